/* Who carries out a command, and the queue of those that wait for it: see router.h. What is too
 * large for one message is in router_cargo.c. */
#include "node/router_internal.h"

#include "base/alloc.h"
#include "node/node.h"
#include "node/orders.h"
#include "node/peers.h"
#include "node/replica.h"

#include <string.h>

/* Places for forwards in flight, by id; a power of two. At most half of them are taken, so that the
 * next free one is near: a WAIT may keep its place for as long as it likes. */

/* How long the next answer of a former leader is awaited before what it had is given up. One that
 * has handed over lives, and answers what it has proposed when its successor commits it. */
#define DRAIN_TIME (100 * QR_MILLISECOND)

struct router *router_new(struct node *node)
{
    struct router *router = qr_zalloc(sizeof *router);
    router->node = node;
    router->forwarded = qr_zalloc(FORWARD_WINDOW * sizeof(struct pending *));
    router->next_id = 1;
    router->epoch = 1;
    router->target = NODE_NONE;
    return router;
}

void router_free(struct router *router)
{
    free(router->forwarded);
    free(router);
}

uint32_t router_waiting(const struct router *router)
{
    return router->waiting.count;
}

uint32_t router_forwarded(const struct router *router)
{
    return router->forwarded_count;
}

/* --- Here ----------------------------------------------------------------------------------- */

static bool leads_here(const struct router *router)
{
    return !router->node->removed && !router->node->zero->quarantined &&
           replica_leads(router->node->zero->replica) && router->forwarded_count == 0;
}

static bool refused_for_space(struct router *router, const struct command_spec *spec)
{
    enum log_space space = node_space(router->node);
    return space == LOG_SPACE_NONE || (space == LOG_SPACE_LOW && (spec->flags & CF_DENYOOM) != 0);
}

/* False when there is no room now. p is in no queue and has its op. */
static bool carry_out(struct router *router, struct pending *p)
{
    struct replica *replica = router->node->zero->replica;
    switch (p->spec->place) {
    case PLACE_READ:
        replica_read(replica, p);
        return true;
    case PLACE_WAIT:
        router_begin_wait(router, p);
        return true;
    case PLACE_ORDER:
        orders_begin(router->node, p);
        return true;
    case PLACE_WRITE:
        if (refused_for_space(router, p->spec)) {
            stream_refuse(p, STATUS_NOSPACE);
            return true;
        }
        if (p->cargo != NULL) {
            router_load(router, p);
            return true;
        }
        if (!replica_has_room(replica, p->op_bytes)) {
            return false;
        }
        size_t n = p->op_bytes;
        memcpy(replica_write(replica, p, n), p->op, n);
        pending_drop_op(p);
        return true;
    case PLACE_LOCAL:
    case PLACE_NONE:
        break;
    }
    qr_unreachable();
}

/* --- To the leader -------------------------------------------------------------------------- */

static bool may_forward(const struct router *router, node_index leader)
{
    return !router->draining && router->forwarded_count < FORWARD_WINDOW / 2 &&
           (router->forwarded_count == 0 || router->target == leader) &&
           peers_may_forward(router->node->peers, leader);
}

static void forward(struct router *router, struct pending *p, node_index leader)
{
    if (p->spec->place == PLACE_WAIT) {
        router_shorten_wait(router, p);
    }
    router->target = leader;
    p->state = PENDING_FORWARDED;
    while (*router_forwarded_at(router, router->next_id) != NULL) {
        router->next_id++;
    }
    p->id = router->next_id++;
    *router_forwarded_at(router, p->id) = p;
    router->forwarded_count++;
    router->node->stats.forwarded++;
    bool after_reads = p->stream != NULL && p->strand->reads_forwarded > 0;
    uint32_t sender = p->stream != NULL ? p->stream->sender : 0;
    if (p->stream != NULL && p->spec->place == PLACE_READ) {
        p->strand->reads_forwarded++;
    }
    peers_forward(router->node->peers, leader, 0, p->id, router->epoch, p->version, sender,
                  after_reads, span_of(p->op, p->op_bytes));
    if (p->cargo != NULL) {
        p->cargo->place = (struct cargo_place){ 0 };
        p->cargo->credit = 0;
        p->moved = router->node->clock;
        pendings_push(&router->loads, p);
    }
}

/* Takes p out of the window. */
static void settle(struct router *router, struct pending *p)
{
    qr_assert(*router_forwarded_at(router, p->id) == p);
    *router_forwarded_at(router, p->id) = NULL;
    qr_assert(router->forwarded_count > 0);
    router->forwarded_count--;
    if (p->cargo != NULL) {
        pendings_remove(&router->loads, p);
    }
    if (p->arriving != NULL) {
        rope_discard(engine_bin(router->node->zero->engine), p->arriving);
        p->arriving = NULL;
    }
    if (p->stream != NULL && p->spec->place == PLACE_READ) {
        qr_assert(p->strand->reads_forwarded > 0);
        p->strand->reads_forwarded--;
    }
    if (router->forwarded_count == 0 && router->draining) {
        router->draining = false;
        router->epoch++;
    }
}

static void start_draining(struct router *router)
{
    if (router->forwarded_count > 0 && !router->draining) {
        router->draining = true;
        router->drain_until = io_now(router->node->io) + DRAIN_TIME;
    }
}

/* The leader cannot have proposed it: it has not got all of it. */
static bool is_held_back(const struct pending *p)
{
    return p->cargo != NULL && !cargo_is_carried(p->cargo);
}

/* T4: writes are uncertain, reads are tried again. */
static void give_up_forwarded(struct router *router)
{
    struct pendings reads = { 0 };
    router->draining = router->forwarded_count > 0;
    for (uint64_t i = 0; i < FORWARD_WINDOW && router->forwarded_count > 0; i++) {
        struct pending *p =
            *router_forwarded_at(router, router->next_id + i); /* in order of id, mostly */
        if (p == NULL) {
            continue;
        }
        settle(router, p);
        if (p->spec->place == PLACE_WRITE) {
            router->node->stats.uncertain++;
            stream_refuse(p, STATUS_UNCERTAIN);
        } else if (p->spec->place == PLACE_ORDER && !orders_only_asks(p->spec)) {
            orders_uncertain(p);
        } else {
            pendings_push(&reads, p);
        }
    }
    router_retry(router, &reads, STATUS_NOT_LEADER);
}

void router_peer_down(struct router *router, node_index peer)
{
    if (router->target == peer && router->forwarded_count > 0) {
        give_up_forwarded(router);
    }
}

void router_reply(struct router *router, node_index from, uint64_t id, enum qr_status status,
                  struct span reply)
{
    struct pending *p = *router_forwarded_at(router, id);
    if (p == NULL || p->id != id || router->target != from) {
        return; /* given up before its answer came */
    }
    if (status == STATUS_NOT_LEADER) {
        start_draining(router); /* T2: what follows in this epoch is refused too */
    }
    struct rope *arrived = p->arriving;
    p->arriving = NULL;
    router->drain_until = io_now(router->node->io) + DRAIN_TIME;
    settle(router, p);
    if (status == STATUS_NOT_LEADER || status == STATUS_EXPIRED) {
        if (arrived != NULL) {
            rope_discard(engine_bin(router->node->zero->engine), arrived);
        }
        struct pendings one = { 0 };
        pendings_push(&one, p);
        router_retry(router, &one, status);
    } else {
        struct reply *out = stream_reply(p);
        if (arrived != NULL) {
            reply_raw_rope(out, arrived);
        }
        reply_raw(out, reply);
        stream_answered(p, STATUS_OK);
    }
}

/* --- The queue ------------------------------------------------------------------------------ */

static void insert_after(struct pendings *q, struct pending *at, struct pending *p)
{
    p->queue_previous = at;
    p->queue_next = at != NULL ? at->queue_next : q->first;
    if (p->queue_next != NULL) {
        p->queue_next->queue_previous = p;
    } else {
        q->last = p;
    }
    if (at != NULL) {
        at->queue_next = p;
    } else {
        q->first = p;
    }
    q->count++;
}

/* T2: what the peer sends in this epoch after it is refused as well. */
static void refuse_relayed(struct pending *p)
{
    struct relay *relay = (struct relay *)p->stream;
    relay->refused_epoch = relay->latest_epoch;
    stream_refuse(p, STATUS_NOT_LEADER);
}

void router_retry(struct router *router, struct pendings *refused, enum qr_status status)
{
    struct pending *at = NULL; /* the last one in `waiting` that is older */
    struct pending *p;
    while ((p = pendings_pop(refused)) != NULL) {
        if (p->stream == NULL) { /* nobody waits for it and it surely was not applied */
            p->state = PENDING_WAITING;
            stream_answered(p, STATUS_OK);
            continue;
        }
        if (p->stream->relayed && status == STATUS_NOT_LEADER) {
            refuse_relayed(p); /* T3: back to the node it came from */
            continue;
        }
        p->state = PENDING_WAITING;
        if (p->spec->place == PLACE_WAIT) {
            p->moved = router->node->clock; /* the next leader is waited for from here on */
        }
        at = at != NULL && at->sequence > p->sequence ? NULL : at;
        struct pending *next = at != NULL ? at->queue_next : router->waiting.first;
        while (next != NULL && next->sequence < p->sequence) {
            at = next;
            next = next->queue_next;
        }
        insert_after(&router->waiting, at, p);
        at = p;
    }
}

void router_recall(struct router *router, struct pending *p)
{
    qr_assert(p->state == PENDING_WAITING);
    pendings_remove(&router->waiting, p);
}

/* An order that only asks is answered from what this node knows when no leader can be reached. */
static bool asked_here(const struct router *router, const struct pending *p)
{
    const struct replica *replica = router->node->zero->replica;
    node_index leader = replica_leader(replica);
    return p->spec->place == PLACE_ORDER && orders_only_asks(p->spec) && !router->node->removed &&
           p->stream != NULL && p->stream->ordered &&
           (leader == NODE_NONE || leader == replica_me(replica) ||
            !peers_connected(router->node->peers, leader));
}

/* False when p has to wait. p is in no queue and has its op. */
static bool route(struct router *router, struct pending *p)
{
    bool relayed = p->stream != NULL && p->stream->relayed;
    if (router->node->removed && !relayed) {
        stream_refuse(p, STATUS_REMOVED);
        return true;
    }
    if (relayed && replica_leads(router->node->zero->replica) && !router->node->zero->quarantined) {
        return carry_out(router, p);
    }
    if (leads_here(router) || asked_here(router, p)) {
        return carry_out(router, p);
    }
    node_index leader = replica_leader(router->node->zero->replica);
    if (leader == NODE_NONE || leader == replica_me(router->node->zero->replica) || relayed ||
        !may_forward(router, leader)) {
        return false;
    }
    if (p->spec->place == PLACE_ORDER && peers_wire_version(router->node->peers, leader) < 3) {
        reply_error(stream_reply(p),
                    "ERR the leader runs a version that does not know this command");
        stream_answered(p, STATUS_OK);
        return true;
    }
    if (p->cargo != NULL && peers_wire_version(router->node->peers, leader) < WIRE_VERSION_PIECES) {
        stream_refuse(p, STATUS_UPGRADE);
        return true;
    }
    forward(router, p, leader);
    return true;
}

void router_take(struct router *router, struct pending *p)
{
    bool waits = router->waiting.count > 0 && !asked_here(router, p);
    if (waits || !route(router, p)) {
        p->state = PENDING_WAITING;
        pendings_push(&router->waiting, p); /* T1 */
    }
}

/* A write on a leader with room: encoded once, straight into the batch. */
static bool write_here(struct router *router, struct pending *p, const struct op *head,
                       const struct span *argv, uint32_t argc, size_t n)
{
    struct replica *replica = router->node->zero->replica;
    if (p->spec->place != PLACE_WRITE || router->waiting.count > 0 || !leads_here(router) ||
        refused_for_space(router, p->spec) || !replica_has_room(replica, n)) {
        return false;
    }
    op_write(replica_write(replica, p, n), head, argv, argc);
    return true;
}

/* A read on a leader with a lease, and nothing of its client ahead of it. */
static bool read_now(struct router *router, struct stream *stream, const struct command_spec *spec,
                     uint8_t version, const struct op *head, const struct span *argv)
{
    return spec->place == PLACE_READ && stream->ordered && stream->first == NULL &&
           router->waiting.count == 0 && leads_here(router) &&
           replica_read_now(router->node->zero->replica, stream, spec, version, head, argv);
}

void router_command(struct router *router, struct stream *stream, const struct command_spec *spec,
                    uint8_t version, uint8_t db, const struct span *argv, uint32_t argc,
                    bool silent)
{
    uint32_t words = command_name_words(spec);
    struct op head = { .level = SEMANTICS_LEVEL, .tag = spec->tag, .db = db, .argc = argc - words };
    if (!silent && read_now(router, stream, spec, version, &head, argv + words)) {
        return;
    }
    struct pending *p = stream_push(stream, spec, version, router->node->clock);
    p->silent = silent;
    pending_join(p, 0);
    size_t n = op_bytes(argv + words, argc - words);
    if (write_here(router, p, &head, argv + words, argc - words, n)) {
        return;
    }
    op_write(pending_take_room(p, n), &head, argv + words, argc - words);
    router_take(router, p);
}

/* --- For other nodes ------------------------------------------------------------------------ */

static struct reply *relay_begin_reply(struct stream *stream, struct pending *p)
{
    struct reply *reply = peers_reply_buffer(stream->node->peers);
    reply_reset(reply);
    reply->version = p->version;
    return reply;
}

static void relay_end_reply(struct stream *stream, struct pending *p, enum qr_status status)
{
    struct relay *relay = (struct relay *)stream;
    peers_reply(stream->node->peers, relay->peer, p->id, status);
}

static bool relay_is_congested(const struct stream *stream)
{
    const struct relay *relay = (const struct relay *)stream;
    return peers_reply_congested(stream->node->peers, relay->peer);
}

void router_relay_init(struct relay *relay, struct node *node, node_index peer)
{
    stream_init(&relay->stream, node, STREAM_PEER);
    relay->stream.begin_reply = relay_begin_reply;
    relay->stream.end_reply = relay_end_reply;
    relay->stream.is_congested = relay_is_congested;
    relay->peer = peer;
    relay->refused_epoch = 0;
    relay->loads = NULL;
}

bool router_relayed(struct router *router, struct relay *relay, uint64_t id, uint32_t epoch,
                    uint8_t version, uint32_t sender, bool after_reads, struct span bytes)
{
    struct op op;
    if (!op_read(bytes, &op) || op.db >= DATABASES || (version != 2 && version != 3)) {
        return false;
    }
    const struct command_spec *spec = command_by_tag(op.tag);
    if (spec == NULL || spec->place == PLACE_LOCAL || spec->place == PLACE_NONE) {
        return false;
    }
    struct node *node = router->node;
    node->stats.forwarded_for_others++;
    struct pending *p = stream_push(&relay->stream, spec, version, node->clock);
    pending_join(p, 0);
    p->id = id;
    p->sender = sender;
    p->after_reads = after_reads;
    relay->latest_epoch = epoch;
    if (epoch <= relay->refused_epoch || !replica_leads(node->zero->replica)) {
        refuse_relayed(p);
        return true;
    }
    if (node->pending_count > 2 * NODE_PENDING_MAX ||
        node->pending_bytes > 2 * NODE_PENDING_BYTES_MAX ||
        (op.refs > 0 && node->windows_bytes > CARGO_WINDOWS_BYTES)) {
        stream_refuse(p, STATUS_OVERLOADED);
        return true;
    }
    memcpy(pending_take_room(p, bytes.n), bytes.p, bytes.n);
    if (op.refs > 0 && !router_expect_pieces(relay, p, &op)) {
        stream_refuse(p, STATUS_BAD_MESSAGE); /* no queue would ever know it */
        return false;
    }
    router_take(router, p);
    return true;
}

/* --- The turn ------------------------------------------------------------------------------- */

static void follow_leader(struct router *router)
{
    node_index leader = replica_leader(router->node->zero->replica);
    if (router->forwarded_count == 0) {
        return;
    }
    if (leader != NODE_NONE && leader != router->target) {
        start_draining(router);
    }
    if (router->draining && io_now(router->node->io) >= router->drain_until) {
        give_up_forwarded(router);
    }
}

static void route_waiting(struct router *router)
{
    while (router->waiting.first != NULL) {
        struct pending *p = pendings_pop(&router->waiting);
        bool relayed = p->stream != NULL && p->stream->relayed;
        if (relayed && !replica_leads(router->node->zero->replica)) {
            refuse_relayed(p);
        } else if (!route(router, p)) {
            insert_after(&router->waiting, NULL, p);
            return;
        }
    }
}

/* What its state says when it has waited too long; false: not yet. Reads are never uncertain. */
static bool overdue(const struct config *config, const struct pending *p, qr_time now,
                    enum qr_status *status)
{
    qr_time age = now - (p->moved > p->arrived ? p->moved : p->arrived);
    qr_time leader_wait = config->leader_wait_ms * QR_MILLISECOND;
    qr_time request_timeout = config->request_timeout_ms * QR_MILLISECOND;
    bool write = p->spec != NULL && p->spec->place == PLACE_WRITE;
    bool asks = p->spec != NULL && p->spec->place == PLACE_ORDER && orders_only_asks(p->spec);
    bool patient =
        p->spec != NULL && (p->spec->place == PLACE_WAIT || p->spec->place == PLACE_ORDER);
    switch (p->state) {
    case PENDING_WAITING:
        *status = STATUS_CLUSTERDOWN;
        return age >= leader_wait;
    case PENDING_PROPOSED:
        *status = STATUS_UNCERTAIN;
        return p->slot != 0 && age >= request_timeout;
    case PENDING_READING:
        *status = STATUS_CLUSTERDOWN;
        return age >= request_timeout && !p->confirmed; /* then it waits only for its own stream */
    case PENDING_LOADING:
        *status = STATUS_STALLED;
        return age >= request_timeout;
    case PENDING_FORWARDED:
        *status = is_held_back(p) ? STATUS_STALLED : write ? STATUS_UNCERTAIN : STATUS_CLUSTERDOWN;
        return asks ? age >= leader_wait
                    : (!patient || p->stream == NULL) && age >= request_timeout;
    case PENDING_BLOCKED:
    case PENDING_ORDERED:
    case PENDING_ANSWERED:
        return false;
    }
    qr_unreachable();
}

static void expire(struct router *router, struct pending *p, enum qr_status status)
{
    struct node *node = router->node;
    if (p->state == PENDING_WAITING) {
        pendings_remove(&router->waiting, p);
    } else if (p->state == PENDING_FORWARDED) {
        settle(router, p);
    } else {
        replica_forget(node->zero->replica, p);
    }
    if (p->stream != NULL && p->stream->ordered && p->spec != NULL &&
        p->spec->place == PLACE_ORDER && orders_only_asks(p->spec)) {
        orders_begin(node, p); /* the leader does not answer: what is known here */
        return;
    }
    if (p->spec != NULL && p->spec->place == PLACE_WAIT && status == STATUS_CLUSTERDOWN) {
        node->stats.clusterdown++;
        router_refuse_wait(p);
        return;
    }
    if (p->spec != NULL && p->spec->place == PLACE_ORDER && status == STATUS_CLUSTERDOWN) {
        node->stats.clusterdown++;
        orders_leaderless(p);
        return;
    }
    node->stats.uncertain += status == STATUS_UNCERTAIN ? 1 : 0;
    node->stats.clusterdown += status == STATUS_CLUSTERDOWN ? 1 : 0;
    stream_refuse(p, status);
}

static void let_deadlines_pass(struct router *router, qr_time now)
{
    struct node *node = router->node;
    qr_time shortest = node->config.leader_wait_ms < node->config.request_timeout_ms
                           ? node->config.leader_wait_ms * QR_MILLISECOND
                           : node->config.request_timeout_ms * QR_MILLISECOND;
    struct pending *p = node->sweep != NULL ? node->sweep : node->oldest;
    /* Reads of clients that do not take their replies grow old by the thousand: a part of them each
     * time. Answering one may free others, which node->sweep follows. */
    for (uint32_t i = 0; i < DEADLINES_PER_SWEEP && p != NULL; i++) {
        bool young = now - p->arrived < shortest;
        node->sweep = young ? NULL : p->age_next;
        enum qr_status status;
        if (!young && overdue(&node->config, p, now, &status)) {
            expire(router, p, status);
        }
        p = node->sweep;
    }
}

void router_turn(struct router *router)
{
    struct node *node = router->node;
    qr_time now = node->clock;
    follow_leader(router);
    if (router->waiting.first != NULL) {
        route_waiting(router);
    }
    if (router->loads.count > 0) {
        router_send_pieces(router);
    }
    if (now >= node->housekeeping) {
        node->housekeeping = now + 20 * QR_MILLISECOND;
        let_deadlines_pass(router, now);
    }
}
