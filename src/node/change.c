#include "node/change.h"

#include "cluster/map.h"
#include "node/members.h"
#include "node/peers.h"
#include "node/replica.h"
#include "node/run.h"

#include <string.h>

const char *change_begin(struct node *node, struct change *out)
{
    qr_slot slot;
    qr_slot applied_slot;
    struct outlook outlook;
    const struct roster *roster = replica_roster(node->zero->replica, &slot);
    (void)replica_applied_roster(node->zero->replica, &applied_slot);
    replica_outlook(node->zero->replica, &outlook);
    *out = (struct change){
        .now = *roster, .wanted = roster->members, .added = NODE_NONE, .map = node->map
    };
    if (outlook.role != ROLE_LEADER || !outlook.can_serve) {
        return "TRYAGAIN the leader is not ready, nothing was changed";
    }
    if (slot != applied_slot || roster->members.outgoing != 0) {
        return status_text(STATUS_CHANGING);
    }
    for (node_index i = 0; i < MEMBERS_MAX; i++) {
        if (roster->node[i].id != 0 && peers_connected(node->peers, i) &&
            peers_wire_version(node->peers, i) < CLAIM_VERSION) {
            return "ERR a member runs a version that knows no changes of the members: upgrade all "
                   "nodes first, nothing was changed";
        }
    }
    return NULL;
}

node_index change_add(struct change *change, const struct roster_node *node, bool observer)
{
    node_index i = 0;
    while (i < MEMBERS_MAX && (change->now.node[i].id != 0 || change->node[i].id != 0 ||
                               !map_index_is_free(change->map, i))) {
        i++; /* follow.h: F8 */
    }
    if (i == MEMBERS_MAX) {
        return NODE_NONE;
    }
    *(observer ? &change->wanted.observers : &change->wanted.learners) |= node_bit(i);
    change->node[i] = *node;
    change->added = i;
    return i;
}

void change_drop(struct change *change, node_index index)
{
    uint16_t keep = (uint16_t)~node_bit(index);
    change->wanted.voters &= keep;
    change->wanted.learners &= keep;
    change->wanted.observers &= keep;
}

void change_node(struct change *change, node_index index, const struct roster_node *node)
{
    change->node[index] = *node;
    change->restated = true;
}

/* The indexes that get a directory while the sets stay as they are: what was heard from there until
 * now, if anything, is not its word. */
static uint16_t passed(const struct change *change)
{
    uint16_t bits = 0;
    for (node_index i = 0; i < MEMBERS_MAX; i++) {
        const struct roster_node *now = &change->now.node[i];
        const struct roster_node *next = &change->node[i];
        bool other = memcmp(now->uuid, next->uuid, sizeof now->uuid) != 0;
        bits |= now->id != 0 && next->id != 0 && other ? node_bit(i) : 0;
    }
    return bits;
}

/* Whether a majority of the voters to be is connected: the protocol, which judges too, goes by what
 * it has heard of late. */
static bool is_safe(const struct node *node, const struct change *change)
{
    uint16_t there = node_bit(replica_me(node->zero->replica));
    for (node_index i = 0; i < MEMBERS_MAX; i++) {
        there |= peers_connected(node->peers, i) ? node_bit(i) : 0;
    }
    return change->wanted.voters == change->now.members.voters || change->wanted.voters == 0 ||
           quorum_of_set(there, change->wanted.voters);
}

enum qr_status change_order(struct node *node, const struct change *change, bool forced,
                            struct pending *p)
{
    if (!forced && !is_safe(node, change)) {
        if (p != NULL) {
            stream_refuse(p, STATUS_UNSAFE);
        }
        return STATUS_UNSAFE;
    }
    struct event event = { .kind = EVENT_ADMIN };
    event.admin.order = ADMIN_MEMBERS;
    event.admin.members = change->wanted;
    event.admin.forced = forced;
    event.admin.restated = change->restated;
    event.admin.passed = passed(change);
    return replica_change(node->zero->replica, p, &event, change->node);
}

/* --- Addresses ------------------------------------------------------------------------------ */

/* Where member i is, by its own word; false when it has not said so. */
static bool whereabouts(const struct node *node, node_index i, struct claim *out)
{
    if (i == replica_me(node->zero->replica)) {
        *out = members_claim(node);
        return true;
    }
    return peers_claim(node->peers, i, out);
}

void change_follow_addresses(struct node *node)
{
    struct change change;
    if (!replica_leads(node->zero->replica) || change_begin(node, &change) != NULL) {
        return;
    }
    for (node_index i = 0; i < MEMBERS_MAX; i++) {
        struct roster_node now = change.now.node[i];
        struct claim claim;
        if (now.id == 0 || !whereabouts(node, i, &claim) ||
            (now.client_port == claim.client_port && now.peer_port == claim.peer_port &&
             strcmp(now.address, claim.address) == 0)) {
            continue;
        }
        now.client_port = claim.client_port;
        now.peer_port = claim.peer_port;
        memcpy(now.address, claim.address, sizeof now.address);
        change_node(&change, i, &now);
        node_log(node, NODE_LOG_NOTICE, "Node %u is at %s:%u now", now.id, now.address,
                 (unsigned)now.client_port);
    }
    if (change.restated) {
        (void)change_order(node, &change, false, NULL);
    }
}
