/* Execution: committed entries through the engine, reads between them, answers to whoever asked
 * (stream.h S1, S2; replica.h D1, D2). */
#include "node/replica_internal.h"

#include "base/alloc.h"
#include "node/quarantine.h"
#include "node/router.h"
#include "node/run.h"

/* Bytes of records taken from the log at a time. */
#define APPLY_CHUNK_BYTES (256 * KIB)

/* --- Log time ------------------------------------------------------------------------------- */

/* The wall clock, never behind what is applied, and at most 1 % faster than the monotonic clock
 * within a term: a clock that jumps ahead cannot expire everything at once. */
qr_wall replica_stamp(struct replica *r)
{
    qr_time now = io_now(r->node->io);
    qr_wall wall = io_wall(r->node->io);
    qr_wall log_time = engine_log_time(r->partition->engine);
    if (r->stamp_term != r->outlook.term) {
        r->stamp_term = r->outlook.term;
        r->stamp_base = wall > log_time ? wall : log_time;
        r->stamp_base_now = now;
    }
    qr_time elapsed = now - r->stamp_base_now;
    qr_wall limit = r->stamp_base + elapsed + elapsed / 100;
    qr_wall stamp = wall < limit ? wall : limit;
    stamp = stamp > log_time ? stamp : log_time;
    r->stamp_last = stamp > r->stamp_last ? stamp : r->stamp_last;
    return r->stamp_last;
}

/* --- Writes --------------------------------------------------------------------------------- */

static struct pending **flight(struct replica *r, qr_slot slot)
{
    return &r->flights[slot & (r->flight_cap - 1)];
}

/* There are places for all slots up to `slot` that are not applied. */
static void grow_flights(struct replica *r, qr_slot slot)
{
    uint32_t cap = r->flight_cap > 0 ? r->flight_cap : FLIGHTS_MIN;
    while (slot - r->applied > cap) {
        cap *= 2;
    }
    struct pending **grown = qr_zalloc(cap * sizeof *grown);
    for (uint32_t i = 0; i < r->flight_cap; i++) {
        struct pending *p = r->flights[i]; /* all in one place have one slot */
        if (p != NULL) {
            grown[p->slot & (cap - 1)] = p;
        }
    }
    free(r->flights);
    r->flights = grown;
    r->flight_cap = cap;
}

void replica_fold_flights(struct replica *r)
{
    if (r->flight_bytes == 0) { /* no write has nothing */
        free(r->flights);
        r->flights = NULL;
        r->flight_cap = 0;
    }
}

void replica_took_off(struct replica *r, struct pending *p, qr_slot slot, qr_term term)
{
    p->slot = slot;
    p->term = term;
    qr_assert(slot > r->applied && slot - r->applied <= FLIGHTS);
    if (slot - r->applied > r->flight_cap) {
        grow_flights(r, slot);
    }
    struct pending **at = flight(r, slot);
    p->queue_next = *at; /* an older one at this slot is from an earlier term (D1) */
    *at = p;
    if (p->cargo != NULL) { /* the log has all of it */
        pending_drop_op(p);
        pending_drop_cargo(p);
    }
}

void replica_forget(struct replica *r, struct pending *p)
{
    if (p->state == PENDING_READING) {
        replica_leave_reads(r, p);
    } else if (p->state == PENDING_LOADING) {
        blobs_forget(r, p);
    } else if (p->state == PENDING_BLOCKED) {
        replica_forget_wait(r, p);
    } else if (p->state == PENDING_ORDERED) {
        pendings_remove(&r->orders, p);
    } else if (p->state == PENDING_PROPOSED) {
        execute_drop_reply(r, p);
        struct pending **link = flight(r, p->slot);
        while (*link != NULL && *link != p) {
            link = &(*link)->queue_next;
        }
        qr_assert(*link == p);
        *link = p->queue_next;
        p->queue_next = NULL;
        r->flight_bytes -= p->op_bytes;
        replica_look_at_waits(r);
    }
}

/* The write that waits for (slot, term), or NULL; those that lost the slot are answered (D1). */
static struct pending *landing(struct replica *r, qr_slot slot, qr_term term)
{
    struct pending *winner = NULL;
    if (r->flight_cap == 0) {
        return NULL;
    }
    struct pending *p = *flight(r, slot);
    *flight(r, slot) = NULL;
    while (p != NULL) {
        struct pending *next = p->queue_next;
        p->queue_next = NULL;
        qr_assert(p->slot == slot);
        qr_assert(r->flight_bytes >= p->op_bytes);
        r->flight_bytes -= p->op_bytes;
        if (p->term == term) {
            qr_assert(winner == NULL);
            winner = p;
        } else {
            r->node->stats.leader_changed++;
            execute_drop_reply(r, p);
            stream_refuse(p, STATUS_LEADER_CHANGED);
        }
        p = next;
    }
    return winner;
}

void replica_flights_lost(struct replica *r, qr_slot slot)
{
    struct pendings lost = { 0 };
    for (uint32_t i = 0; i < r->flight_cap; i++) {
        struct pending **link = &r->flights[i];
        while (*link != NULL) {
            struct pending *p = *link;
            if (p->slot > slot) {
                link = &p->queue_next;
                continue;
            }
            *link = p->queue_next;
            p->queue_next = NULL;
            qr_assert(r->flight_bytes >= p->op_bytes);
            r->flight_bytes -= p->op_bytes;
            pendings_push(&lost, p);
        }
    }
    struct pending *p;
    while ((p = pendings_pop(&lost)) != NULL) {
        execute_drop_reply(r, p);
        r->node->stats.uncertain++;
        stream_refuse(p, STATUS_UNCERTAIN);
    }
}

static void apply_command(struct replica *r, const struct record *record)
{
    struct node *node = r->node;
    struct op op;
    struct pending *p = landing(r, record->slot, record->term);
    bool valid = op_peek(record->payload, &op);
    qr_assert(valid); /* the checksum held and whoever proposed it had checked */
    if (p == NULL) {
        reply_reset(&node->nowhere);
        engine_apply(r->partition->engine, &op, &node->nowhere);
        return;
    }
    replica_serve_ahead(r, p);
    bool keep = zones_await_reply(p);
    struct reply *reply = keep ? zones_keep_reply(p) : stream_reply(p);
    reply->is_error = false;
    engine_apply(r->partition->engine, &op, reply);
    replica_count_call(node, p->spec, reply);
    pace_note_write(r);
    if (p->stream != NULL) {
        p->strand->last_write = record->slot;
        p->strand->last_write_term = record->term;
        p->shown = (struct shown){ .slot = replica_position(r, record->slot),
                                   .by = r->me,
                                   .has_stale = true,
                                   .replayed = engine_replayed(r->partition->engine) };
    }
    if (keep && reply->is_error) { /* nothing was changed */
        zones_answer(p);
    } else if (keep) {
        zones_await(r, p);
    } else {
        stream_answered(p, STATUS_OK);
    }
}

/* Log time is the same on all replicas that have applied the same. */
static void note_period(struct replica *r, qr_slot slot)
{
    int64_t period = replica_digest_period(r);
    if (period != r->digest_period) {
        r->digest_period = period;
        quarantine_note_state(r->partition, slot);
    }
}

/* Its client has made the state as far as that. */
static void note_write(struct pending *p, const struct record *record)
{
    if (p->stream != NULL) {
        p->strand->last_write = record->slot;
        p->strand->last_write_term = record->term;
    }
}

/* What was executed here is committed (execute.h: E2). */
static void settle_record(struct replica *r, const struct record *record)
{
    r->applied = record->slot;
    r->applied_term = record->term;
    execute_settle(r, record);
    struct pending *p = landing(r, record->slot, record->term);
    if (p == NULL) {
        return;
    }
    note_write(p, record);
    if (p->kept) {
        execute_answer(r, p);
    } else {
        stream_answered(p, STATUS_OK); /* to nobody */
    }
}

/* Rows of another node, or of this one in another life; or executed here, by a state that is gone:
 * then its reply is here still. */
static bool apply_rows(struct replica *r, const struct record *record)
{
    bool one_way;
    struct pending *p = landing(r, record->slot, record->term);
    if (!execute_apply(r, record, &one_way)) {
        quarantine_differs(r->partition, record->slot);
    }
    if (p != NULL && p->kept) {
        note_write(p, record);
        execute_answer(r, p);
    } else if (p != NULL) {
        stream_answered(p, STATUS_OK); /* to nobody */
    }
    note_period(r, record->slot);
    return one_way;
}

/* By its kind; true: no row could take it back. */
static bool apply_entry(struct replica *r, const struct record *record)
{
    qr_wall stamp;
    switch (record->kind) {
    case RECORD_COMMAND:
        (void)io_failpoint(r->node->io, FAIL_APPLY);
        apply_command(r, record);
        note_period(r, record->slot);
        (void)io_failpoint(r->node->io, FAIL_APPLIED);
        return true;
    case RECORD_ROWS:
        (void)io_failpoint(r->node->io, FAIL_APPLY);
        bool one_way = apply_rows(r, record);
        (void)io_failpoint(r->node->io, FAIL_APPLIED);
        return one_way;
    case RECORD_TICK:
        if (op_tick_read(record->payload, &stamp)) {
            engine_tick(r->partition->engine, stamp);
            note_period(r, record->slot);
        }
        (void)landing(r, record->slot, record->term);
        return true;
    case RECORD_MEMBERS:
        replica_roster_applied(r, record);
        (void)landing(r, record->slot, record->term);
        return false;
    case RECORD_BLOB:
        blobs_landed(r, record);
        blobs_stage(r, record->payload);
        (void)landing(r, record->slot, record->term);
        return true;
    case RECORD_NOOP:
        (void)landing(r, record->slot, record->term);
        return false;
    default:
        qr_unreachable();
    }
}

static void apply_record(struct replica *r, const struct record *record)
{
    struct engine *engine = r->partition->engine;
    bool one_way = false;
    qr_assert(record->slot == r->applied + 1); /* D2 */
    qr_assert(record->term >= r->applied_term);
    if (r->logical && record->slot <= r->execute->state) {
        settle_record(r, record);
        return;
    }
    if (record->term != r->applied_term) {
        one_way = engine_staged_bytes(engine) > 0; /* that goes */
        engine_enter_term(engine, record->term);
    }
    r->applied = record->slot;
    r->applied_term = record->term;
    engine_enter(engine, record->slot);
    one_way = apply_entry(r, record) || one_way;
    if (r->logical) {
        execute_applied(r, record, one_way);
    }
}

/* Starts fetching from memory what the next entries will touch. */
static void prefetch_records(const struct replica *r, struct span records)
{
    enum record_kind kind = r->logical ? RECORD_ROWS : RECORD_COMMAND;
    struct span entries[STORE_PREFETCH_MAX];
    struct record record;
    uint32_t n = 0;
    if (r->logical && r->execute->state > r->applied) {
        return; /* these were executed */
    }
    for (size_t at = 0; at < records.n && n < STORE_PREFETCH_MAX;) {
        size_t bytes = record_peek(span_of(records.p + at, records.n - at), &record);
        qr_assert(bytes > 0);
        if (record.kind == kind) {
            entries[n++] = record.payload;
        }
        at += bytes;
    }
    engine_prefetch(r->partition->engine, r->logical ? rows_first_key : op_first_argument, entries,
                    n);
}

static void apply_records(struct replica *r, struct span records)
{
    struct record record;
    size_t at = 0;
    for (uint32_t i = 0; at < records.n; i++) {
        if (i % STORE_PREFETCH_MAX == 0) {
            prefetch_records(r, span_of(records.p + at, records.n - at));
        }
        size_t n = record_peek(span_of(records.p + at, records.n - at), &record);
        qr_assert(n > 0);
        apply_record(r, &record);
        at += n;
        if (r->frozen) {
            break; /* it did not fit */
        }
    }
    if (r->logical) {
        execute_release(r);
    }
}

void replica_apply(struct replica *r, qr_time budget)
{
    qr_time end = node_clock(r->node) + budget;
    qr_slot limit = replica_apply_limit(r);
    replica_follow_history(r);
    if (r->applied < limit && io_failpoint(r->node->io, FAIL_APPLY_SLICE) != 0) {
        limit = r->applied; /* a test holds this replica back: nothing is lost by that */
    }
    while (r->applied < limit) {
        struct span records;
        int64_t count = log_read(r->node->log, r->group, r->applied + 1, limit + 1,
                                 APPLY_CHUNK_BYTES, &records);
        if (count <= 0) {
            node_fail(r->node, "a committed entry cannot be read back from the log");
            return;
        }
        apply_records(r, records);
        if (node_clock(r->node) >= end || r->frozen) {
            break;
        }
    }
    replica_serve_confirmed(r);
}

void replica_tell_executed(struct replica *r)
{
    if (replica_tells_executed(r)) {
        struct event event = { .kind = EVENT_EXECUTED };
        r->executed = r->applied;
        event.executed.slot = r->applied;
        replica_step(r, &event);
        replica_look(r);
    }
}
