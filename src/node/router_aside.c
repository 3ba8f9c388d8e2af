/* Reads of pinned sessions (SESSION PIN, feature G8): they go to the node that the session's hash
 * picks among the partition's voters that are up, and that node answers them from its replica
 * whether it leads or not.
 *
 * They go aside: past the partition's track, so epochs and who leads are none of their business (T2
 * is about what a leader proposes). In exchange they are reads alone, nothing else of their strand
 * is without an answer when they go, and nothing of their stream is taken up before they are
 * answered (`alone`): so they pass nothing, and nothing passes them (N2). Each goes aside once.
 * Where that node does not answer at once - it is away, behind what must be shown, or slow - the
 * read takes the way of those that are not pinned. */
#include "node/router_internal.h"

#include "cluster/map.h"
#include "cluster/pin.h"
#include "node/leaders.h"
#include "node/peers.h"
#include "node/replica.h"

/* What any replica may answer without asking anybody, and whose age the client may notice. */
static bool is_pinnable(const struct wants *wants)
{
    return wants->level == READ_SESSION || wants->level == READ_PREFIX ||
           wants->level == READ_LOCAL;
}

/* As this node knows them. While replicas move two nodes may differ about that for a while. */
static uint16_t voters_of(const struct partition *partition)
{
    if (partition->replica != NULL) {
        return replica_seen(partition->replica)->membership.voters;
    }
    const struct map_partition *p = map_partition(partition->node->map, partition->group);
    return p != NULL ? p->wish : 0;
}

node_index router_pinned_to(const struct router *router, const struct partition *partition,
                            const struct wants *wants)
{
    const struct node *node = router->node;
    if (wants->pin == 0 || !is_pinnable(wants) || node->removed) {
        return NODE_NONE;
    }
    node_index me = replica_me(node->zero->replica);
    uint32_t voters = voters_of(partition), up = 0;
    for (node_index i = 0; voters >> i != 0; i++) {
        bool is_up = i == me || peers_connected(node->peers, i);
        up |= is_up ? voters & 1u << i : 0;
    }
    node_index picked = pin_pick(wants->pin, (uint16_t)up);
    return picked == me ? NODE_NONE : picked;
}

/* --- There ---------------------------------------------------------------------------------- */

static bool may_go(const struct router *router, const struct pending *p, node_index to)
{
    const struct peers *peers = router->node->peers;
    return !p->was_aside && p->stream != NULL && p->strand->open == 1 &&
           router->forwarded_count < FORWARD_WINDOW / 2 &&
           peers_wire_version(peers, to) >= WIRE_VERSION_LEVELS && peers_may_forward(peers, to);
}

static void send_aside(struct router *router, struct pending *p, node_index to)
{
    p->aside = to + 1;
    p->was_aside = true;
    p->stream->alone++;
    p->alone = true;
    p->moved = router->node->clock;
    router->asides++;
    router_enter(router, p);
    struct forward forward = { .id = p->id,
                               .sender = p->stream->sender,
                               .version = p->version,
                               .aside = true,
                               .wants = router_wants_there(p) };
    peers_forward(router->node->peers, to, p->partition->group, &forward,
                  span_of(p->op, p->op_bytes));
}

enum aside router_read_aside(struct router *router, struct pending *p)
{
    node_index to = router_pinned_to(router, p->partition, &p->wants);
    if (to == NODE_NONE) {
        return ASIDE_NOT;
    }
    bool proof = p->wants.level == READ_SESSION && router_wants_proof(p);
    if (!proof && may_go(router, p, to)) {
        send_aside(router, p, to);
        return ASIDE_SENT;
    }
    /* A session knows what it must be shown. The others have the leader, who is behind nobody. */
    bool led = leaders_of(p->partition) != NODE_NONE;
    return p->wants.level != READ_SESSION && led ? ASIDE_LEADER : ASIDE_NOT;
}

bool router_aside_is_late(const struct pending *p, qr_time now)
{
    return p->aside != 0 && now - p->moved >= INDEX_PATIENCE_MS * QR_MILLISECOND;
}

void router_asides_lost(struct router *router, node_index peer)
{
    struct pendings lost = { 0 };
    for (uint64_t i = 0; i < FORWARD_WINDOW && router->asides > 0; i++) {
        struct pending *p = *router_forwarded_at(router, router->next_id + i);
        if (p != NULL && p->aside == peer + 1) {
            router_settle(router, p);
            pendings_push(&lost, p);
        }
    }
    router_retry(router, &lost, STATUS_NOT_LEADER);
}

/* --- Here ----------------------------------------------------------------------------------- */

void router_take_aside(struct router *router, struct pending *p)
{
    if (!is_pinnable(&p->wants) || !router_serve_now(router, p)) {
        stream_refuse(p, STATUS_NOT_LEADER);
    }
}
