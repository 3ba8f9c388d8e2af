/* A member is asked to take a node in (join.h). Nothing is kept about whoever asks: a change of the
 * members is begun where that can be done, and the node asks again until it finds itself in what is
 * committed. So the same request twice is one member. */
#include "node/join.h"

#include "node/change.h"
#include "node/contact.h"
#include "node/link.h"
#include "node/node.h"
#include "node/replica.h"
#include "node/run.h"
#include "protocol/quorum.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* A node that may only have lost its connection keeps its id for so long. */
#define AWAY_TIME (5 * QR_SECOND)
/* One that has lost its power is not heard for so long, and its connection is given up; whoever
 * waits for that asks so often at least. */
#define CONTEST_TIME (10 * QR_SECOND)
#define CONTEST_ASKS 50u
#define CONTEST_PAUSE QR_SECOND /* without a question: another contest */

static struct join_answer say(enum join_result result, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
static struct join_answer say(enum join_result result, const char *format, ...)
{
    struct join_answer answer = { .result = result };
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(answer.text, sizeof answer.text, format, arguments);
    va_end(arguments);
    return answer;
}

static node_index find_directory(const struct roster *roster, const uint8_t uuid[16])
{
    for (node_index i = 0; i < MEMBERS_MAX; i++) {
        if (roster->node[i].id != 0 && memcmp(roster->node[i].uuid, uuid, 16) == 0) {
            return i;
        }
    }
    return NODE_NONE;
}

static struct join_answer taken(const struct node *node, node_index index)
{
    struct join_answer answer = { .result = JOIN_TAKEN, .index = index };
    const struct roster *applied = replica_applied_roster(node->zero->replica, &answer.slot);
    answer.roster = *applied;
    if (applied->members.outgoing != 0) {
        return say(JOIN_LATER, "node %u is being taken in", applied->node[index].id);
    }
    for (node_index i = 0; i < MEMBERS_MAX; i++) {
        bool met = node->known[i].id == applied->node[i].id && applied->node[i].id != 0;
        if (met && !roster_uuid_known(&applied->node[i])) {
            memcpy(answer.roster.node[i].uuid, node->known[i].uuid, 16);
        }
    }
    struct outlook outlook;
    replica_outlook(node->zero->replica, &outlook);
    answer.term = outlook.term;
    answer.id = applied->node[index].id;
    memcpy(answer.cluster, node->identity.cluster, 16);
    return answer;
}

/* --- Where the node goes -------------------------------------------------------------------- */

/* Ids are not used again as long as larger ones are there. */
static uint32_t next_id(const struct roster *roster)
{
    uint32_t id = 0;
    for (node_index i = 0; i < MEMBERS_MAX; i++) {
        id = roster->node[i].id > id ? roster->node[i].id : id;
    }
    return id + 1;
}

/* It lives: it is heard still, on the connection that it had when its place was asked for first. */
static bool lives_on(struct node *node, node_index index)
{
    struct contest *c = &node->contest;
    qr_time now = io_now(node->io);
    if (c->index != index || now - c->last > CONTEST_PAUSE ||
        peers_lost_at(node->peers, index) > c->since) {
        *c = (struct contest){ .index = index, .since = now };
    }
    c->last = now;
    c->asks++;
    return c->asks >= CONTEST_ASKS && now - c->since >= CONTEST_TIME &&
           (contact_alive(node) & node_bit(index)) != 0;
}

/* A member whose place the node may take: its id is asked for by another directory. */
static bool may_replace(struct node *node, node_index old, const struct join_request *request,
                        struct join_answer *answer)
{
    const struct roster_node *known = &node->known[old];
    qr_time away = io_now(node->io) - peers_lost_at(node->peers, old);
    bool same_place =
        known->peer_port == request->peer_port && strcmp(known->address, request->address) == 0;
    bool me = old == replica_me(node->zero->replica);
    /* Two processes do not listen at one place: power was lost there, and nobody has closed it. */
    if (!me && same_place && peers_connected(node->peers, old)) {
        if (lives_on(node, old)) {
            *answer = say(JOIN_REFUSED,
                          "%s:%u is where node %u is, which lives: announce another address, and "
                          "start without its node-id",
                          known->address, (unsigned)known->peer_port, known->id);
            return false;
        }
        *answer = say(JOIN_LATER, "node %u is connected from that very place still", known->id);
        return false;
    }
    if (me || peers_connected(node->peers, old)) {
        *answer = say(JOIN_REFUSED, "node %u is in use by another directory, which is connected",
                      known->id);
        return false;
    }
    if (!same_place && peers_lost_at(node->peers, old) != 0 && away < AWAY_TIME) {
        *answer =
            say(JOIN_LATER, "node %u was connected a moment ago from another directory", known->id);
        return false;
    }
    return true;
}

static bool place_is_free(const struct roster *roster, node_index except,
                          const struct join_request *request, struct join_answer *answer)
{
    for (node_index i = 0; i < MEMBERS_MAX; i++) {
        const struct roster_node *n = &roster->node[i];
        if (n->id != 0 && i != except && n->peer_port == request->peer_port &&
            strcmp(n->address, request->address) == 0) {
            *answer = say(JOIN_REFUSED,
                          "%s:%u is the address of node %u: to take its place start with node-id "
                          "%u, or remove it first (MEMBER REMOVE %u)",
                          n->address, (unsigned)n->peer_port, n->id, n->id, n->id);
            return false;
        }
    }
    return true;
}

static struct join_answer begin(struct node *node, const struct join_request *request)
{
    struct change change;
    struct join_answer answer = { .result = 0 };
    const char *why_not = change_begin(node, &change);
    if (why_not != NULL) {
        return say(JOIN_LATER, "%s", why_not);
    }
    struct roster_node fresh = { .id = request->id != 0 ? request->id : next_id(&change.now),
                                 .client_port = request->client_port,
                                 .peer_port = request->peer_port,
                                 .priority = ROSTER_PRIORITY };
    memcpy(fresh.uuid, request->uuid, sizeof fresh.uuid);
    memcpy(fresh.address, request->address, sizeof fresh.address);
    node_index old = roster_find(&change.now, fresh.id);
    bool announced = old != NODE_NONE && !roster_uuid_known(&change.now.node[old]) &&
                     (change.now.members.voters >> old & 1) == 0;
    if (!place_is_free(&change.now, old, request, &answer) ||
        (old != NODE_NONE && !announced && !may_replace(node, old, request, &answer))) {
        return answer;
    }
    if (announced) { /* MEMBER ADD has made room for it */
        fresh.priority = change.now.node[old].priority;
        change_node(&change, old, &fresh);
    } else {
        if (old != NODE_NONE) {
            change_drop(&change, old);
        }
        if (change_add(&change, &fresh, request->observer) == NODE_NONE) {
            return say(JOIN_REFUSED, "the cluster is full: it has %d members", MEMBERS_MAX);
        }
    }
    enum qr_status status = change_order(node, &change, false, NULL);
    if (status != STATUS_OK && status != STATUS_CHANGING) {
        return say(JOIN_LATER, "%s", status_text(status));
    }
    if (status == STATUS_OK) {
        node_log(node, NODE_LOG_NOTICE, "Takes in node %u at %s:%u as %s", fresh.id, fresh.address,
                 (unsigned)fresh.client_port,
                 announced ? "announced" : roster_role(&change.wanted, change.added));
    }
    return say(JOIN_LATER, "node %u is being taken in", fresh.id);
}

/* --- Who answers ---------------------------------------------------------------------------- */

static bool is_near(const struct link *link)
{
    char name[64];
    io_stream_peer_name(link->stream, name, sizeof name);
    return strncmp(name, "127.", 4) == 0 || strncmp(name, "[::1]", 5) == 0;
}

/* It would stop as soon as it has the control state: it must not count before it does. */
static bool knows_too_little(const struct node *node, const struct join_request *request)
{
    uint32_t knows = request->level != 0 ? request->level : MAP_LEVEL_FIRST;
    return knows < node->identity.level;
}

static struct join_answer answer_to(const struct link *link, const struct join_request *request)
{
    struct node *node = link->peers->node;
    node_index leader = replica_leader(node->zero->replica);
    qr_slot slot;
    node_index index =
        find_directory(replica_applied_roster(node->zero->replica, &slot), request->uuid);
    if (node->removed) {
        return say(JOIN_LATER, "the node that was asked takes part in its cluster no more");
    }
    if (node->config.cluster_secret[0] == 0 && !is_near(link)) {
        return say(JOIN_REFUSED,
                   "the cluster has no cluster-secret: whoever reaches it could join; "
                   "give all nodes one first");
    }
    if (knows_too_little(node, request)) {
        return say(JOIN_REFUSED,
                   "the cluster is of level %u, which this node's version does not know: start a "
                   "newer version",
                   node->identity.level);
    }
    if (replica_leads(node->zero->replica) && index == NODE_NONE &&
        replica_has_removed(node->zero->replica, request->uuid)) {
        return say(JOIN_REFUSED, "it was taken in and then removed (MEMBER REMOVE); to join anew, "
                                 "wipe its directory");
    }
    if (replica_leads(node->zero->replica)) {
        bool mine = index != NODE_NONE && request->id != 0 && node->known[index].id != request->id;
        return mine ? say(JOIN_REFUSED, "this directory is node %u already", node->known[index].id)
               : index != NODE_NONE ? taken(node, index)
                                    : begin(node, request);
    }
    if (leader == NODE_NONE || leader == replica_me(node->zero->replica)) {
        return say(JOIN_LATER, "no leader is known to node %u", node->identity.node_id);
    }
    struct join_answer answer = say(JOIN_ELSEWHERE, "%s", node->known[leader].address);
    answer.peer_port = node->known[leader].peer_port;
    return answer;
}

bool join_asked(struct link *link, struct span head)
{
    struct join_request request;
    uint8_t bytes[JOIN_ANSWER_BYTES_MAX];
    uint8_t roster[ROSTER_BYTES_MAX];
    size_t roster_n;
    if (!join_request_read(head, &request)) {
        return false;
    }
    link->since = io_now(link->peers->node->io);
    struct join_answer answer = answer_to(link, &request);
    if (answer.result == JOIN_REFUSED) {
        node_log(link->peers->node, NODE_LOG_WARNING, "Refused a node that wants to join: %s",
                 answer.text);
    }
    size_t n = join_answer_write(&answer, bytes, roster, &roster_n);
    link_send(link, FRAME_JOINED, span_of(bytes, n), span_of(roster, roster_n), false);
    link_flush(link);
    return true;
}
