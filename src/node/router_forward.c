/* What is on its way to leaders: the window of forwards, and what becomes of them (router.h T2,
 * T4).
 */
#include "node/router_internal.h"

#include "node/leaders.h"
#include "node/orders.h"
#include "node/peers.h"

/* How long the next answer of a former leader is awaited before what it had is given up. One that
 * has handed over lives, and answers what it has proposed when its successor commits it. */
#define DRAIN_TIME (100 * QR_MILLISECOND)

#define EXPIRY_MARGIN (50 * QR_MILLISECOND)

bool router_may_forward(const struct router *router, const struct track *track, node_index leader)
{
    return !track->draining && router->forwarded_count < FORWARD_WINDOW / 2 &&
           (track->forwarded == 0 || track->target == leader) &&
           peers_may_forward(router->node->peers, leader);
}

/* Whoever carries it out gives up a little earlier: it knows whether the command is applied, and
 * what it says is to be heard in time. */
struct wants router_wants_there(const struct pending *p)
{
    struct wants wants = p->wants;
    qr_time now = p->node->clock;
    qr_time left = wants.expires > now ? wants.expires - now : 0;
    qr_time margin = left / 4 < EXPIRY_MARGIN ? left / 4 : EXPIRY_MARGIN;
    wants.expires -= wants.expires != 0 ? margin : 0;
    return wants;
}

void router_enter(struct router *router, struct pending *p)
{
    p->state = PENDING_FORWARDED;
    while (*router_forwarded_at(router, router->next_id) != NULL) {
        router->next_id++;
    }
    p->id = router->next_id++;
    *router_forwarded_at(router, p->id) = p;
    router->forwarded_count++;
    router->node->stats.forwarded++;
}

void router_forward(struct router *router, struct pending *p, node_index leader)
{
    struct track *track = &p->partition->track;
    router_prove(p);
    if (p->spec->place == PLACE_WAIT) {
        router_shorten_wait(router, p);
    }
    track->target = leader;
    track->epoch = track->epoch != 0 ? track->epoch : router->epoch;
    router_enter(router, p);
    track->forwarded++;
    router_activate(router, track);
    bool after_reads = p->stream != NULL && p->strand->reads_forwarded > 0;
    uint32_t sender = p->stream != NULL ? p->stream->sender : 0;
    if (p->stream != NULL && p->spec->place == PLACE_READ) {
        p->strand->reads_forwarded++;
    }
    struct forward forward = { .id = p->id,
                               .epoch = track->epoch,
                               .sender = sender,
                               .version = p->version,
                               .after_reads = after_reads,
                               .wants = router_wants_there(p) };
    peers_forward(router->node->peers, leader, p->partition->group, &forward,
                  span_of(p->op, p->op_bytes));
    if (p->cargo != NULL) {
        p->cargo->place = (struct cargo_place){ 0 };
        p->cargo->credit = 0;
        p->moved = router->node->clock;
        pendings_push(&router->loads, p);
    }
}

static void leave_window(struct router *router, struct pending *p)
{
    qr_assert(*router_forwarded_at(router, p->id) == p);
    *router_forwarded_at(router, p->id) = NULL;
    qr_assert(router->forwarded_count > 0);
    router->forwarded_count--;
    if (p->arriving != NULL) {
        rope_discard(engine_bin(router->node->zero->engine), p->arriving);
        p->arriving = NULL;
    }
}

/* Reads that were taken up here may wait for it (S2), and nothing else may happen for long. */
static void wake_those_behind(const struct pending *p)
{
    if (p->counted && p->strand->reading > 1 && p->partition->replica != NULL) {
        partition_wake(p->partition);
    }
}

void router_settle(struct router *router, struct pending *p)
{
    struct track *track = &p->partition->track;
    leave_window(router, p);
    if (p->aside != 0) {
        qr_assert(router->asides > 0);
        router->asides--;
        p->aside = 0;
        return;
    }
    qr_assert(track->forwarded > 0);
    track->forwarded--;
    if (p->cargo != NULL) {
        pendings_remove(&router->loads, p);
    }
    if (p->stream != NULL && p->spec->place == PLACE_READ) {
        qr_assert(p->strand->reads_forwarded > 0);
        p->strand->reads_forwarded--;
        wake_those_behind(p);
    }
    if (track->forwarded == 0 && track->draining) {
        track->draining = false;
        track->epoch = ++router->epoch;
    }
}

void router_drain(struct router *router, struct track *track)
{
    if (track->forwarded > 0 && !track->draining) {
        track->draining = true;
        track->drain_until = io_now(router->node->io) + DRAIN_TIME;
    }
}

bool router_is_held_back(const struct pending *p)
{
    return p->cargo != NULL && !cargo_is_carried(p->cargo);
}

/* T4: writes are uncertain, reads are tried again. */
static void give_up(struct router *router, struct pending *p, struct pendings *reads)
{
    router_settle(router, p);
    if (p->spec->place == PLACE_WRITE) {
        router->node->stats.uncertain++;
        stream_refuse(p, STATUS_UNCERTAIN);
    } else if (p->spec->place == PLACE_ORDER && !orders_only_asks(p->spec)) {
        orders_uncertain(p);
    } else {
        pendings_push(reads, p);
    }
}

void router_give_up(struct router *router)
{
    struct pendings reads = { 0 };
    uint32_t left = 0;
    for (struct track *track = router->active; track != NULL; track = track->next) {
        track->draining = track->draining || (track->given_up && track->forwarded > 0);
        left += track->given_up ? track->forwarded : 0;
    }
    for (uint64_t i = 0; i < FORWARD_WINDOW && left > 0; i++) {
        struct pending *p =
            *router_forwarded_at(router, router->next_id + i); /* in order of id, mostly */
        if (p != NULL && p->partition->track.given_up && p->aside == 0) {
            left--;
            give_up(router, p, &reads);
        }
    }
    qr_assert(left == 0);
    for (struct track *track = router->active; track != NULL; track = track->next) {
        track->given_up = false;
    }
    router_retry(router, &reads, STATUS_NOT_LEADER);
}

/* What this node has asked of that peer and has no answer to. */
static struct pending *asked(struct router *router, node_index from, uint64_t id)
{
    struct pending *p = *router_forwarded_at(router, id);
    if (p == NULL || p->id != id) {
        return NULL;
    }
    node_index to = p->aside != 0 ? (node_index)(p->aside - 1) : p->partition->track.target;
    return to == from ? p : NULL;
}

static void leader_replied(struct router *router, struct pending *p, node_index from,
                           enum qr_status status)
{
    struct track *track = &p->partition->track;
    if (status == STATUS_NOT_LEADER) {
        router_drain(router, track); /* T2: what follows in this epoch is refused too */
        leaders_refuted(p->partition, from);
    }
    track->drain_until = io_now(router->node->io) + DRAIN_TIME;
}

/* The leader did not know that it was asked for a session: what it says of one is this node's to
 * say. */
static bool is_too_late(const struct pending *p, enum qr_status status)
{
    return p->spec->place == PLACE_READ && p->wants.session &&
           (status == STATUS_LATE || status == STATUS_CLUSTERDOWN);
}

/* An error that comes of a state says of which; a node of before that told it of nothing. */
static bool is_refusal(const struct router *router, node_index from, const struct shown *shown,
                       struct span reply)
{
    return shown->slot == 0 && reply.n > 0 && reply.p[0] == '-' &&
           peers_wire_version(router->node->peers, from) >= WIRE_VERSION_LEVELS;
}

void router_reply(struct router *router, node_index from, uint64_t id, enum qr_status status,
                  const struct shown *shown, struct span reply)
{
    struct pending *p = asked(router, from, id);
    if (p == NULL) {
        return; /* given up before its answer came */
    }
    if (p->aside == 0) {
        leader_replied(router, p, from, status);
    }
    struct rope *arrived = p->arriving;
    p->arriving = NULL;
    router_settle(router, p);
    if (status == STATUS_NOT_LEADER || status == STATUS_EXPIRED) {
        if (arrived != NULL) {
            rope_discard(engine_bin(router->node->zero->engine), arrived);
        }
        struct pendings one = { 0 };
        pendings_push(&one, p);
        router_retry(router, &one, status);
    } else if (is_too_late(p, status)) {
        if (arrived != NULL) {
            rope_discard(engine_bin(router->node->zero->engine), arrived);
        }
        router_refuse_late(p, status);
    } else {
        struct reply *out = stream_reply(p);
        if (arrived != NULL) {
            reply_raw_rope(out, arrived);
        }
        reply_raw(out, reply);
        p->shown = *shown;
        p->refused = is_refusal(router, from, shown, reply);
        stream_answered(p, STATUS_OK);
    }
}

/* --- Large arguments and replies: router_cargo.c has the rest ------------------------------- */

void router_credit(struct router *router, node_index from, uint64_t id, uint64_t bytes)
{
    struct pending *p = asked(router, from, id);
    if (p == NULL || p->cargo == NULL) {
        return; /* given up before */
    }
    if (bytes > p->cargo->credit && bytes <= p->cargo->place.bytes) {
        p->cargo->credit = bytes;
        p->moved = router->node->clock;
    }
}

void router_reply_piece(struct router *router, node_index from, uint64_t id, struct span bytes)
{
    struct pending *p = asked(router, from, id);
    if (p == NULL) {
        return;
    }
    p->moved = router->node->clock;
    if (p->stream == NULL) {
        return; /* nobody waits for it any more */
    }
    p->arriving = p->arriving != NULL ? p->arriving : rope_new();
    rope_append_of(p->arriving, bytes, LONG_REPLY_BYTES);
}
