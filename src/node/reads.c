/* Reads on their way to their answers: confirmed, refused, waiting for a slot, for what came before
 * them (stream.h S1, S2), or for their turn (pace.c). */
#include "node/replica_internal.h"

#include "base/alloc.h"
#include "cluster/freshness.h"
#include "node/router.h"
#include "node/run.h"

/* Commands are executed one after the other: the reading of the clock at the end of one is that at
 * the beginning of the next. */
void replica_count_call(struct node *node, const struct command_spec *spec,
                        const struct reply *reply)
{
    if (spec == NULL) {
        return; /* nobody's command */
    }
    qr_time began = node->clock;
    struct command_stats *stats = &node->command_stats[command_index(spec)];
    stats->calls++;
    stats->usec += (uint64_t)(node_clock(node) - began);
    stats->failed += reply->is_error ? 1 : 0;
}

/* The state as it is here now, as of that slot, and how old it may be at most. */
static struct shown shown_by(struct replica *r, const struct pending *p, qr_slot slot)
{
    struct shown shown = { .slot = replica_shows(r, (enum read_level)p->wants.level, slot),
                           .by = r->me };
    if (p->wants.level == READ_LINEARIZABLE) { /* it was current when it was asked for */
        shown.has_stale = true;
        return shown;
    }
    qr_time fresh_at = replica_fresh_at(r);
    if (fresh_at != 0) {
        shown.has_stale = true;
        shown.stale = r->node->clock > fresh_at ? (uint64_t)(r->node->clock - fresh_at) : 0;
    }
    return shown;
}

/* The state as of that slot, which is current as far as anybody can know, lacks what the read's
 * session has seen: freshness.h F5. */
static bool is_lost(const struct replica *r, const struct pending *p, qr_slot slot)
{
    bool knows = !r->viewed || replica_leads(r); /* a member may lack what its primary has */
    return knows && p->wants.least != 0 && p->wants.level != READ_SNAPSHOT &&
           replica_needs(r, p->wants.least) > slot;
}

/* Up to where all must be committed before that may be shown (execute.h: E3, E4); 0: it is. One
 * that needs a proof has it by `write`, where that is not 0. */
static qr_slot kept_until(const struct replica *r, const struct pending *p, const struct op *op,
                          qr_slot write)
{
    if (!r->logical || p->stream == NULL || p->silent) {
        return 0;
    }
    qr_slot slot = execute_awaited_by(r, p, op);
    bool proven = level_needs_no_proof((enum read_level)p->wants.level);
    slot = proven ? slot : max_u64(slot, write);
    return slot > r->applied ? slot : 0;
}

/* Executes a confirmed read on the state as of `slot` and answers it. In `forced` mode, and where
 * any replica may answer, log time rules alone: a read that must be served now cannot wait for a
 * tick. */
static void serve_read(struct replica *r, struct pending *p, bool forced, qr_slot slot,
                       qr_slot write)
{
    struct op op;
    struct node *node = r->node;
    if (p->wants.level == READ_SNAPSHOT) {
        replica_serve_as_of(r, p);
        return;
    }
    if (is_lost(r, p, slot)) {
        stream_refuse(p, STATUS_SESSIONLOST);
        return;
    }
    bool valid = op_peek(span_of(p->op, p->op_bytes), &op);
    qr_assert(valid);              /* encoded here, or checked when it came from a peer */
    if (forced || op.stamp == 0) { /* once: a tick that reaches it must satisfy it */
        op.stamp = forced ? engine_log_time(r->partition->engine) : r->read_stamp;
        op.seed = rng_next(&r->rng);
        op_stamp(p->op, op.stamp, op.seed);
    }
    qr_slot kept = kept_until(r, p, &op, write);
    struct reply *reply = kept != 0 ? execute_reply(p) : stream_reply(p);
    size_t before = reply->n;
    reply->is_error = false;
    (void)io_failpoint(node->io, FAIL_READ);
    if (engine_read(r->partition->engine, &op, reply) == ENGINE_READ_DUE) {
        qr_assert(!forced);
        stream_take_back(p);
        replica_queue(r, &r->due, p);
        return;
    }
    qr_time began = node->clock;
    p->shown = shown_by(r, p, max_u64(slot, kept));
    replica_count_call(node, p->spec, reply);
    pace_note_read(r, p, node->clock - began, reply_bytes_behind(reply, before));
    if (kept != 0) {
        execute_keep_read(r, p, kept);
    } else {
        stream_answered(p, STATUS_OK);
    }
}

static bool waits_for_write(const struct pending *p)
{
    return p->stream != NULL && stream_waits_for_write(p); /* S1 */
}

static bool lacks(const struct replica *r, qr_slot position)
{
    return r->applied < replica_needs(r, position);
}

/* What came before it was answered elsewhere, and shows more than there is here (session.h N2, and
 * of linearizable reads the order of the stream). */
static bool is_outrun(const struct replica *r, const struct pending *p)
{
    bool proven = p->wants.level == READ_LINEARIZABLE && p->by_index && !replica_leads(r);
    bool ahead = (p->wants.level == READ_SESSION || proven) && lacks(r, p->strand->seen) &&
                 lacks(r, stream_seen_before(p));
    return ahead || (r->viewed && !replica_leads(r) && lacks(r, p->wants.least));
}

/* p, which is in no queue, goes back to the router. */
static void stop_reading(struct pending *p)
{
    qr_assert(p->state == PENDING_READING);
    p->state = PENDING_WAITING;
}

/* The lease ended before the read was served: it asks again. */
static void ask_again(struct replica *r, struct pending *p)
{
    stop_reading(p);
    struct pendings one = { 0 };
    pendings_push(&one, p);
    router_retry(r->node->router, &one, STATUS_EXPIRED);
}

/* Who does not lead knows the time only well enough to see that a key may be due: then the leader
 * says. The stamps of a leader to come are not touched: this clock may be far off. */
static qr_wall stamp_elsewhere(const struct replica *r)
{
    qr_wall wall = io_wall(r->node->io);
    qr_wall log_time = engine_log_time(r->partition->engine);
    return wall > log_time ? wall : log_time;
}

/* The clock for the reads that are served next. It is read once for all of them and by
 * replica_count_call between them: nothing is applied meanwhile, so that a lease which held at that
 * reading, when the reads had all been asked already, makes each of them linearizable as of that
 * moment. */
static void look_at_clock(struct replica *r)
{
    (void)node_clock(r->node);
    r->read_stamp = replica_leads(r) ? replica_stamp(r) : stamp_elsewhere(r);
}

/* Replies are not taken, or those that wait for an earlier one are too many. */
static bool is_congested(const struct pending *p)
{
    const struct stream *stream = p->stream;
    return stream->is_congested(stream) ||
           (stream->held_bytes >= CLIENT_OUTPUT_BYTES_MAX && stream->first != p);
}

static void keep_read(struct replica *r, struct pending *p, enum read_place place)
{
    p->place = place;
    replica_queue(r, place == READ_LARGE ? &r->large : &r->confirmed, p);
}

/* Serves a confirmed read, or keeps it until it may be; one that is large only where they have
 * their turn. p is in no queue. */
static void try_read(struct replica *r, struct pending *p, bool large_ones)
{
    if (p->stream == NULL) { /* nobody waits for it any more */
        stream_answered(p, STATUS_OK);
    } else if (r->frozen) {
        ask_again(r, p);
    } else if (is_congested(p)) { /* R4 */
        p->place = READ_PARKED;
        pendings_push(&p->stream->parked, p);
    } else if (r->applied < p->slot || waits_for_write(p)) {
        keep_read(r, p, READ_CONFIRMED);
    } else if (large_ones && stream_waits_for_read(p)) {
        keep_read(r, p, READ_CONFIRMED);
    } else if (!large_ones && (stream_waits_for_read(p) || pace_is_large(r, p))) {
        keep_read(r, p, READ_LARGE); /* or behind one of its client's */
    } else if ((p->until != 0 && r->node->clock >= p->until) || is_outrun(r, p)) {
        ask_again(r, p);
    } else {
        if (p->by_index && r->proofs != NULL) {
            proofs_in_time(r->proofs);
        }
        serve_read(r, p, level_needs_no_proof((enum read_level)p->wants.level), r->applied, 0);
    }
}

/* Starts fetching from memory what the next reads will look at. */
static void prefetch_reads(const struct replica *r, const struct pending *p, uint32_t count)
{
    struct span ops[STORE_PREFETCH_MAX];
    uint32_t n = 0;
    for (; p != NULL && n < count && n < STORE_PREFETCH_MAX; p = p->queue_next) {
        ops[n++] = span_of(p->op, p->op_bytes);
    }
    engine_prefetch(r->partition->engine, op_first_argument, ops, n);
}

/* What must be applied before p is served, now that the slot is confirmed for it. */
static qr_slot needs(const struct replica *r, const struct pending *p, qr_slot slot)
{
    qr_slot least = replica_needs(r, p->wants.least);
    if (p->wants.level == READ_LINEARIZABLE && least <= slot) {
        return slot;
    }
    struct read_wish wish = freshness_wish(&p->wants, p->arrived);
    wish.least = least;
    wish.index = slot;
    return freshness_needs(&wish);
}

void replica_reads_confirmed(struct replica *r, qr_req first, uint32_t count, qr_slot slot,
                             qr_time before)
{
    if (before != 0) {
        r->lease_until = before;
        r->lease_slot = slot;
    }
    if (r->proofs != NULL) {
        proofs_confirmed(r->proofs, first, count, slot);
    }
    look_at_clock(r);
    for (uint32_t i = 0; r->reading.first != NULL && r->reading.first->req < first + count; i++) {
        if (i % STORE_PREFETCH_MAX == 0) {
            prefetch_reads(r, r->reading.first, count - i);
        }
        struct pending *p = pendings_pop(&r->reading);
        qr_assert(p->req >= first); /* ranges are confirmed in order */
        p->confirmed = true;
        p->slot = needs(r, p, slot);
        p->until = before;
        if (is_lost(r, p, slot)) {
            stream_refuse(p, STATUS_SESSIONLOST);
        } else if (r->confirmed.count == 0 && pace_has_time(r)) {
            try_read(r, p, false);
        } else {
            keep_read(r, p, READ_CONFIRMED); /* others have waited longer */
        }
    }
}

void replica_reads_refused(struct replica *r, qr_req first, uint32_t count, enum qr_status status)
{
    struct pendings refused = { 0 };
    if (r->proofs != NULL) {
        proofs_refused(r->proofs, first, count);
    }
    struct pending *p = r->reading.first;
    while (p != NULL && p->req < first) {
        p = p->queue_next; /* later ones may be refused while these still wait (no room) */
    }
    while (p != NULL && p->req < first + count) {
        struct pending *next = p->queue_next;
        pendings_remove(&r->reading, p);
        stop_reading(p);
        pendings_push(&refused, p);
        p = next;
    }
    router_retry(r->node->router, &refused, status);
}

/* Confirmed reads that waited for their slot, for a write (S1), or for replies to be taken. */
void replica_serve_confirmed(struct replica *r)
{
    uint32_t count = r->confirmed.count;
    uint32_t looks = count < READS_LOOKED_AT ? count : READS_LOOKED_AT;
    if (count > 0) {
        look_at_clock(r);
    }
    while (looks > 0 && pace_has_time(r)) {
        try_read(r, pendings_pop(&r->confirmed), false);
        looks--;
    }
    r->partition->again = r->partition->again || looks > 0;
    if (count > READS_LOOKED_AT) { /* most of them wait for a write, which makes a turn itself */
        qr_time soon = r->node->clock + QR_MILLISECOND;
        partition_wake_at(r->partition, soon);
    }
}

void replica_serve_large(struct replica *r)
{
    if (r->large.count > 0) {
        look_at_clock(r);
    }
    uint32_t served = r->bench->pace.served;
    for (uint32_t i = 0; r->large.count > 0 && pace_has_time_for_large(r, i); i++) {
        try_read(r, pendings_pop(&r->large), true);
    }
    if (r->bench->pace.served > served && r->confirmed.count > 0) {
        r->partition->again = true; /* some of these may have waited for some of those (S2) */
    }
    pace_end_partition(r);
}

void replica_unpark(struct stream *stream)
{
    struct pending *p;
    while ((p = pendings_pop(&stream->parked)) != NULL) {
        qr_assert(p->partition->replica != NULL); /* they leave with it */
        keep_read(p->partition->replica, p, READ_CONFIRMED);
        p->partition->again = true;
        partition_wake(p->partition);
    }
}

static void ask_elsewhere(struct replica *r)
{
    struct pendings refused = { 0 };
    struct pending *p;
    while ((p = pendings_pop(&r->due)) != NULL) {
        stop_reading(p);
        pendings_push(&refused, p);
    }
    router_retry(r->node->router, &refused, STATUS_NOT_LEADER);
}

void replica_serve_due(struct replica *r)
{
    uint32_t count = r->due.count;
    if (!replica_leads(r) || r->frozen) {
        ask_elsewhere(r); /* the tick is another node's to give */
    } else if (count > 0 && r->tick_slot <= r->applied) {
        look_at_clock(r);
        while (count-- > 0) {
            serve_read(r, pendings_pop(&r->due), false, r->applied, 0);
        }
    }
}

void replica_leave_reads(struct replica *r, struct pending *p)
{
    if (p->place == READ_KEPT) {
        execute_leave(r, p);
        execute_drop_reply(r, p);
        return;
    }
    bool is_due = false;
    for (struct pending *q = r->due.first; q != NULL && !is_due; q = q->queue_next) {
        is_due = q == p;
    }
    if (is_due) {
        pendings_remove(&r->due, p);
    } else if (p->confirmed) {
        struct pendings *queue = p->place == READ_PARKED  ? &p->stream->parked
                                 : p->place == READ_LARGE ? &r->large
                                                          : &r->confirmed;
        pendings_remove(queue, p);
    } else if (p->req == 0) {
        pendings_remove(&r->new_reads, p);
    } else {
        pendings_remove(&r->reading, p);
    }
}

/* A read without its answer, be it that it is to be asked again. What a write does is nothing to
 * one as of a position. */
static bool is_open_read(const struct pending *p)
{
    return p->wants.level != READ_SNAPSHOT &&
           ((p->state == PENDING_READING && p->place != READ_KEPT) ||
            (p->state == PENDING_WAITING && p->spec->place == PLACE_READ));
}

static bool same_sender(const struct pending *p, const struct pending *q)
{
    return p->strand == q->strand && (!p->stream->relayed || p->sender == q->sender);
}

/* The first read from `at` on that is from the sender of `end`, or `end`. */
static struct pending *next_reading(struct pending *at, const struct pending *end)
{
    while (at != end && !(is_open_read(at) && same_sender(at, end))) {
        at = at->next;
    }
    return at;
}

/* A write that was proposed here serves the reads ahead of itself, and a command that left for the
 * leader has taken them along; a WAIT leaves alone. */
static bool hides_no_read(const struct pending *p, const struct pending *end)
{
    bool took = p->state == PENDING_FORWARDED &&
                (p->spec->place == PLACE_READ || p->spec->place == PLACE_WRITE);
    return (took || p->state == PENDING_PROPOSED) && same_sender(p, end);
}

/* One of those that p's strand counts as `reading`. */
static bool is_counted_read(const struct pending *at, const struct pending *p)
{
    return at->strand == p->strand && at->counted && at->spec->place == PLACE_READ &&
           at->state != PENDING_ANSWERED;
}

/* The first of p's stream that p has to look at, where at most so many reads are ahead of it: what
 * has its answer already, or is of other strands, may be long. */
static struct pending *first_ahead(struct pending *p, uint32_t reads)
{
    struct pending *at = p;
    while (reads > 0 && at->previous != NULL && !hides_no_read(at->previous, p)) {
        at = at->previous;
        reads -= is_counted_read(at, p) ? 1 : 0;
    }
    return next_reading(at, p);
}

/* It lacks nothing but its turn. */
static bool may_be_served(const struct replica *r, const struct pending *p)
{
    return p->state == PENDING_READING && p->confirmed && !r->frozen &&
           level_needs_no_proof((enum read_level)p->wants.level) && r->applied >= p->slot &&
           !waits_for_write(p) && !stream_waits_for_read(p) && !is_outrun(r, p);
}

void replica_serve_before(struct replica *r, struct pending *p, struct pendings *left)
{
    bool is_one = p->counted && p->spec->place == PLACE_READ;
    struct pending *at = first_ahead(p, p->strand->reading - (is_one ? 1 : 0));
    while (at != p) {
        struct pending *next = next_reading(at->next, p); /* a read: see below */
        if (may_be_served(r, at)) {
            replica_leave_reads(r, at);
            serve_read(r, at, true, r->applied, 0);
        } else if (at->state == PENDING_READING) {
            replica_leave_reads(r, at);
            stop_reading(at);
            pendings_push(left, at);
        }
        at = next;
    }
}

/* Its client was shown more than that slot already, ahead of it. */
static bool is_shown_more(const struct replica *r, const struct pending *p, qr_slot slot)
{
    return is_lost(r, p, slot) || (replica_needs(r, p->strand->seen) > slot &&
                                   replica_needs(r, stream_seen_before(p)) > slot);
}

/* One whose client was shown p's write by another leader already is not served without it, nor what
 * comes behind that one: its own proof tells what is lost, if anything is. */
void replica_serve_ahead(struct replica *r, struct pending *p)
{
    if (p->stream == NULL || p->strand->reading == 0 || (p->stream->relayed && !p->after_reads)) {
        return;
    }
    struct pending *at = first_ahead(p, UINT32_MAX);
    while (at != p && !is_shown_more(r, at, p->slot - 1)) {
        /* Answering the head of a stream frees the answered ones behind it: what is kept across
         * must be a read. */
        struct pending *next = next_reading(at->next, p);
        if (at->state == PENDING_WAITING) {
            router_recall(r->node->router, at);
            at->state = PENDING_READING;
        } else {
            replica_leave_reads(r, at);
        }
        serve_read(r, at, true, p->slot - 1, p->slot); /* which is not executed yet */
        at = next;
    }
}
