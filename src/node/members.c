#include "node/members.h"

#include "node/peers.h"
#include "node/replica.h"
#include "node/reports.h"
#include "node/run.h"

#include <inttypes.h>
#include <string.h>

static bool is_same(const struct roster_node *a, const struct roster_node *b)
{
    bool other_directory = roster_uuid_known(a) && roster_uuid_known(b) &&
                           memcmp(a->uuid, b->uuid, sizeof a->uuid) != 0;
    return a->id == b->id && !other_directory;
}

/* --- What the log says ---------------------------------------------------------------------- */

/* Until the entry that brought this node in is in its log, the log speaks of a time before. */
static struct roster_node stated(const struct node *node, node_index i)
{
    qr_slot slot;
    qr_slot applied_slot;
    const struct roster *roster = replica_roster(node->zero->replica, &slot);
    const struct roster *applied = replica_applied_roster(node->zero->replica, &applied_slot);
    struct roster_node n = slot < node->identity.joined ? node->identity.members[i]
                           : roster->node[i].id != 0    ? roster->node[i]
                                                        : applied->node[i];
    const struct roster_node *met = &node->identity.members[i];
    if (n.id != 0 && !roster_uuid_known(&n) && n.id == met->id &&
        !replica_has_removed(node->zero->replica, met->uuid)) {
        memcpy(n.uuid, met->uuid, sizeof n.uuid);
    }
    if (slot == 0 && n.id != 0 && n.id == met->id) {
        n = *met; /* the configuration may have moved it */
    }
    return n;
}

static void know(struct node *node, node_index i, const struct roster_node *now)
{
    if (!is_same(&node->known[i], now)) {
        reports_passed(node, i); /* I3 */
        suspicions_forget(&node->contact.suspicions, i);
    }
    node->known[i] = *now;
}

/* MEMBER ADD has made room under the id of one that was removed and is still connected: another one
 * is to come. */
static bool is_room_for_another(const struct node *node, const struct roster_node *known,
                                const struct roster_node *now)
{
    return !roster_uuid_known(now) && roster_uuid_known(known) &&
           replica_has_removed(node->zero->replica, known->uuid);
}

static void follow_index(struct node *node, node_index i)
{
    struct roster_node now = stated(node, i);
    struct roster_node *known = &node->known[i];
    uint16_t bit = node_bit(i);
    if (now.id == 0 && (node->guests & bit) != 0) {
        return; /* it is known from itself; the log may follow */
    }
    if ((node->aliens & bit) != 0 && !is_same(&now, known)) {
        return;
    }
    node->guests = (uint16_t)(node->guests & ~bit);
    node->aliens = (uint16_t)(node->aliens & ~bit);
    bool another = known->id != 0 && (now.id == 0 || !is_same(known, &now) ||
                                      is_room_for_another(node, known, &now));
    if (!another && now.id != 0 && known->id != 0 && !roster_uuid_known(&now)) {
        memcpy(now.uuid, known->uuid, sizeof now.uuid); /* whose connection that is (I1) */
    }
    if (another && i != node->identity.me && peers_leave(node->peers, i, now.id != 0)) {
        return; /* known for as long as it is connected */
    }
    if (now.id != 0) {
        peers_stay(node->peers, i); /* the entry that left it out was never committed */
    }
    know(node, i, &now);
    if (i == node->identity.me) {
        *known = node->identity.members[i];
        known->priority = now.id != 0 ? now.priority : ROSTER_PRIORITY;
    }
}

/* Whether the applied roster has this node in it, or is from before its time. */
static bool takes_part(const struct node *node)
{
    qr_slot slot;
    const struct roster *applied = replica_applied_roster(node->zero->replica, &slot);
    const struct roster_node *me = &node->identity.members[node->identity.me];
    return slot <= node->identity.joined || is_same(&applied->node[node->identity.me], me);
}

/* Who the members are, when that is decided anew. */
static void tell_members(struct node *node)
{
    char line[sizeof node->members_told];
    struct text text = text_in(line, sizeof line);
    qr_slot slot;
    const struct roster *roster = replica_applied_roster(node->zero->replica, &slot);
    if (slot == 0 || roster->members.outgoing != 0) {
        return; /* as it was made; or the change goes on */
    }
    for (node_index i = 0; i < MEMBERS_MAX; i++) {
        if (roster->node[i].id != 0) {
            text_put(&text, text.n > 0 ? ", " : "");
            text_u64(&text, roster->node[i].id);
            text_put(&text, " (");
            text_put(&text, roster_role(&roster->members, i));
            text_put(&text, ")");
        }
    }
    if (strcmp(line, node->members_told) != 0) {
        memcpy(node->members_told, line, sizeof line);
        node_log(node, NODE_LOG_NOTICE, "Members now: %s", line);
    }
}

void members_look(struct node *node)
{
    if (replica_roster_changes(node->zero->replica) != node->followed) {
        node->followed = replica_roster_changes(node->zero->replica);
        node_stir(node);
        members_follow(node);
    }
}

void members_follow(struct node *node)
{
    tell_members(node);
    for (node_index i = 0; i < MEMBERS_MAX; i++) {
        follow_index(node, i);
    }
    peers_known(node->peers);
    if (node->removed || takes_part(node)) {
        return;
    }
    if (replica_leads(node->zero->replica)) {
        node->followed--; /* it serves until it has handed over: to be looked at again */
    } else {
        members_removed(node, "it was removed from its cluster");
    }
}

void members_lost(struct node *node, node_index index)
{
    uint16_t bit = node_bit(index);
    node->guests = (uint16_t)(node->guests & ~bit);
    node->aliens = (uint16_t)(node->aliens & ~bit);
    struct roster_node now = stated(node, index);
    know(node, index, &now);
}

void members_removed(struct node *node, const char *why)
{
    if (node->removed) {
        return;
    }
    node->removed = true;
    node_log(node, NODE_LOG_WARNING,
             "This node takes part no more: %s. It answers -REMOVED; to take part again, stop it, "
             "wipe %s and start it with --join",
             why, node->config.dir);
    int error = identity_removed(node->io, &node->identity);
    if (error != 0) { /* for want of room: after a restart it learns it again */
        node_disk_failed(node, "that this node was removed cannot be noted down", error);
    }
    peers_retire(node->peers);
}

/* --- Whom it meets -------------------------------------------------------------------------- */

struct claim members_claim(const struct node *node)
{
    const struct roster_node *me = &node->identity.members[node->identity.me];
    struct claim claim = { .made = true,
                           .index = node->identity.me,
                           .slot = node->identity.joined,
                           .client_port = me->client_port,
                           .peer_port = me->peer_port };
    memcpy(claim.address, me->address, sizeof claim.address);
    if (node->zero->replica != NULL) {
        qr_slot slot;
        (void)replica_applied_roster(node->zero->replica, &slot);
        claim.slot = slot > claim.slot ? slot : claim.slot;
    }
    return claim;
}

/* A node of the roster: the directory is the one that is known, or is learnt. */
static enum members_verdict recognise(struct node *node, node_index i, const uint8_t uuid[16])
{
    struct roster_node *known = &node->known[i];
    if (roster_uuid_known(known)) {
        return memcmp(known->uuid, uuid, 16) == 0 ? MEMBERS_WELCOME : MEMBERS_OTHER_DIRECTORY;
    }
    if (replica_has_removed(node->zero->replica, uuid)) {
        return MEMBERS_REMOVED; /* MEMBER ADD has made room for another one under its id */
    }
    if (node->identity.members[i].id == known->id) {
        int error = 0;
        switch (identity_meet(node->io, &node->identity, i, uuid, &error)) {
        case IDENTITY_PEER_KNOWN:
            break;
        case IDENTITY_PEER_OTHER_DIRECTORY:
            return MEMBERS_OTHER_DIRECTORY;
        case IDENTITY_PEER_NOT_SAVED: /* it may come again */
            node_disk_failed(node, "who another member is cannot be noted down", error);
            return MEMBERS_NOT_SAVED;
        }
    }
    memcpy(known->uuid, uuid, 16);
    return MEMBERS_WELCOME;
}

/* Two have one id while a directory takes the place of another. */
static node_index index_of(const struct node *node, uint32_t id, const uint8_t uuid[16])
{
    node_index found = NODE_NONE;
    for (node_index i = 0; i < MEMBERS_MAX; i++) {
        if (node->known[i].id == id &&
            (found == NODE_NONE || memcmp(node->known[i].uuid, uuid, 16) == 0)) {
            found = i;
        }
    }
    return found;
}

/* It came after what this node knows: who it says it is stands for its log until that follows. */
static void take_in(struct node *node, const struct greeting *g, const struct claim *claim)
{
    uint16_t bit = node_bit(claim->index);
    (void)peers_leave(node->peers, claim->index, true);
    if (stated(node, claim->index).id != 0) {
        node->aliens |= bit;
    }
    node->guests |= bit;
    struct roster_node now = { .id = g->from,
                               .client_port = claim->client_port,
                               .peer_port = claim->peer_port,
                               .priority = ROSTER_PRIORITY };
    memcpy(now.uuid, g->uuid, sizeof now.uuid);
    memcpy(now.address, claim->address, sizeof now.address);
    know(node, claim->index, &now);
    peers_known(node->peers);
}

enum members_verdict members_meet(struct node *node, const struct greeting *g,
                                  const struct claim *claim, node_index *index)
{
    qr_slot slot = 0;
    node_index i = index_of(node, g->from, g->uuid);
    enum members_verdict verdict = MEMBERS_NOT_ONE;
    (void)replica_applied_roster(node->zero->replica, &slot);
    slot = max_u64(slot, node->identity.joined);
    if (i != NODE_NONE && i != node->identity.me) {
        *index = i;
        verdict = recognise(node, i, g->uuid);
        if (verdict == MEMBERS_WELCOME && claim->made && claim->index != i) {
            verdict = MEMBERS_NOT_ONE;
        }
    }
    bool settled = verdict == MEMBERS_WELCOME || verdict == MEMBERS_NOT_SAVED;
    if (settled || !claim->made || claim->index == node->identity.me ||
        claim->index >= MEMBERS_MAX) {
        return verdict;
    }
    if (claim->slot > slot) {
        *index = claim->index;
        take_in(node, g, claim);
        return MEMBERS_WELCOME;
    }
    return slot > claim->slot ? MEMBERS_REMOVED : verdict;
}

bool members_has_gone(const struct node *node, const struct claim *claim)
{
    qr_slot slot;
    (void)replica_applied_roster(node->zero->replica, &slot);
    return !claim->made || slot > claim->slot;
}

bool members_may_speak(const struct node *node, node_index from)
{
    struct outlook now;
    if ((node->aliens >> from & 1) == 0) {
        return true;
    }
    replica_outlook(node->zero->replica, &now);
    return !now.counts;
}
