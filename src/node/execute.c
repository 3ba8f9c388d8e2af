/* LOG logical at a replica: see execute.h. */
#include "node/execute.h"

#include "base/alloc.h"
#include "base/limits.h"
#include "log/log.h"
#include "log/record.h"
#include "node/quarantine.h"
#include "node/replica_internal.h"
#include "node/run.h"

#include <string.h>

#define APPEND_CHUNK_BYTES (256 * KIB)          /* of records before they go to the log */
#define HELD_FOR_CHECKPOINT (100 * QR_MILLISECOND) /* E7 */

static struct overlay *overlay_made(const struct replica *r)
{
    uint8_t key[16];
    io_random(r->node->io, key, sizeof key);
    return overlay_new(key, &r->node->overlay_bytes);
}

struct execute *execute_new(const struct replica *r)
{
    struct execute *x = qr_zalloc(sizeof *x);
    x->overlay = overlay_made(r);
    x->state = x->one_way = r->applied;
    x->state_term = r->applied_term;
    x->last = max_u64(r->applied, log_last_slot(r->node->log, r->group));
    return x;
}

void execute_free(struct execute *x)
{
    if (x != NULL) {
        overlay_free(x->overlay);
        free(x);
    }
}

/* --- Taking commands ------------------------------------------------------------------------ */

static bool has_room(const struct execute *x)
{
    return overlay_has_room(x->overlay) && x->kept_bytes < OVERLAY_BYTES_MAX;
}

/* A checkpoint is due, and waits for what is executed. */
static bool is_held(const struct replica *r)
{
    return r->durable_only && r->node->clock - r->execute->held_since < HELD_FOR_CHECKPOINT;
}

bool execute_may(const struct replica *r)
{
    const struct execute *x = r->execute;
    return x->state == x->last && has_room(x) && !is_held(r) && !r->frozen;
}

void execute_logged(struct replica *r)
{
    struct execute *x = r->execute;
    x->last = log_last_slot(r->node->log, r->group);
    x->last = max_u64(x->last, r->applied); /* of a log that the checkpoint is ahead of */
}

/* --- Executing ------------------------------------------------------------------------------ */

/* The entry at that slot is next. */
static void enter(struct replica *r, qr_slot slot, qr_term term)
{
    struct execute *x = r->execute;
    struct engine *engine = r->partition->engine;
    qr_assert(slot == x->state + 1 && term >= x->state_term);
    if (term != x->state_term) {
        x->one_way = engine_staged_bytes(engine) > 0 ? slot : x->one_way; /* that goes, E8 */
        engine_enter_term(engine, term);
    }
    x->state = slot;
    x->state_term = term;
    engine_enter(engine, slot);
}

/* Its state is compared at this slot, when it is committed. */
static void note_state(struct replica *r)
{
    struct execute *x = r->execute;
    int64_t period = replica_digest_period(r);
    if (period != r->digest_period && x->noted == 0) {
        r->digest_period = period;
        x->noted = x->state;
        x->noted_digest = engine_rolling_digest(r->partition->engine);
    }
}

static void add(struct execute *x, struct span payload)
{
    if (!overlay_add(x->overlay, x->state, payload)) {
        x->one_way = x->state;
    }
}

static struct span run_command(struct replica *r, struct pending *p, struct span bytes)
{
    struct execute *x = r->execute;
    struct node *node = r->node;
    bool wanted = p->stream != NULL && !p->silent;
    struct reply *reply = wanted ? execute_reply(p) : &node->nowhere;
    reply_reset(reply);
    (void)io_failpoint(node->io, FAIL_APPLY);
    struct span payload =
        has_room(x) ? rows_execute(node->bench.rows, r->partition->engine, bytes, reply)
                    : rows_statement(node->bench.rows, r->partition->engine, bytes, reply);
    replica_count_call(node, p->spec, reply);
    pace_note_write(r);
    p->shown = (struct shown){ .slot = replica_position(r, x->state),
                               .by = r->me,
                               .has_stale = true,
                               .replayed = engine_replayed(r->partition->engine) };
    if (wanted) {
        execute_keep(r, p);
    }
    return payload;
}

/* One record of the batch, whose payload of n bytes stands behind its head; and what stands for it
 * in the log. */
static struct span run_record(struct replica *r, uint8_t *record, struct span payload,
                              struct pending *p, qr_wall stamp)
{
    struct execute *x = r->execute;
    struct engine *engine = r->partition->engine;
    switch (record[RECORD_KIND_AT]) {
    case RECORD_TICK:
        r->tick_slot = x->state;
        payload = rows_tick(r->node->bench.rows, engine, stamp);
        break;
    case RECORD_COMMAND:
        op_stamp(record + RECORD_HEADER_BYTES, stamp, rng_next(&r->rng));
        payload = run_command(r, p, payload);
        break;
    case RECORD_BLOB:
        blobs_proposed(r, payload);
        blobs_stage(r, payload);
        x->one_way = x->state;
        overlay_add_other(x->overlay, x->state, engine_log_time(engine));
        return payload;
    default:
        qr_unreachable();
    }
    record[RECORD_KIND_AT] = RECORD_ROWS;
    add(x, payload);
    note_state(r);
    return payload;
}

static void flush(struct replica *r, struct batch_room *out, size_t *n, uint32_t *count)
{
    if (*count > 0) {
        replica_append(r, span_of(out->p, *n), *count);
    }
    *n = 0;
    *count = 0;
}

/* Of the batch from its record i on, which stands at that byte. */
static void prefetch_batch(const struct replica *r, uint32_t i, size_t at)
{
    struct span ops[STORE_PREFETCH_MAX];
    uint32_t n = 0;
    for (uint32_t end = i + STORE_PREFETCH_MAX; i < end && i < r->batch_count; i++) {
        const uint8_t *record = r->batch->p + at;
        uint32_t bytes;
        memcpy(&bytes, record, sizeof bytes);
        if (record[RECORD_KIND_AT] == RECORD_COMMAND) {
            ops[n++] = span_of(record + RECORD_HEADER_BYTES, bytes);
        }
        at += record_bytes(bytes);
    }
    engine_prefetch(r->partition->engine, op_first_argument, ops, n);
}

void execute_batch(struct replica *r, qr_slot lo, qr_term term)
{
    struct execute *x = r->execute;
    struct batch_room *out = batch_room_take(r->bench);
    qr_wall stamp = replica_stamp(r);
    size_t at = 0, n = 0;
    uint32_t count = 0;
    qr_assert(x->state == x->last && lo == x->last + 1); /* E1 */
    for (uint32_t i = 0; i < r->batch_count; i++) {
        uint8_t *record = r->batch->p + at;
        struct pending *p = r->batch->pending[i];
        uint32_t bytes;
        memcpy(&bytes, record, sizeof bytes); /* replica_write left the length there */
        if (i % STORE_PREFETCH_MAX == 0) {
            prefetch_batch(r, i, at);
        }
        at += record_bytes(bytes);
        if (p != NULL) {
            replica_took_off(r, p, lo + i, term);
            replica_serve_ahead(r, p);
        }
        enter(r, lo + i, term);
        struct span payload =
            run_record(r, record, span_of(record + RECORD_HEADER_BYTES, bytes), p, stamp);
        batch_room_grow(out, n + record_bytes(payload.n), 1);
        if (payload.n > 0) {
            memcpy(out->p + n + RECORD_HEADER_BYTES, payload.p, payload.n);
        }
        record_seal(out->p + n, r->group, record[RECORD_KIND_AT], lo + i, term, payload.n);
        n += record_bytes(payload.n);
        count++;
        if (n >= APPEND_CHUNK_BYTES) {
            flush(r, out, &n, &count);
        }
    }
    qr_assert(at == r->batch_n);
    flush(r, out, &n, &count);
    batch_room_give(r->bench, out);
    execute_logged(r);
}

void execute_noop(struct replica *r, qr_slot slot, qr_term term)
{
    struct execute *x = r->execute;
    if (x->state + 1 != slot) {
        return; /* it is applied like what stands before it */
    }
    bool staged = engine_staged_bytes(r->partition->engine) > 0;
    enter(r, slot, term);
    if (staged) {
        overlay_add_other(x->overlay, slot, engine_log_time(r->partition->engine));
    }
}

/* --- Committed ------------------------------------------------------------------------------ */

void execute_settle(struct replica *r, const struct record *record)
{
    struct execute *x = r->execute;
    qr_assert(record->slot <= x->state);
    if (record->kind == RECORD_BLOB) {
        blobs_landed(r, record);
    }
    if (x->noted != 0 && record->slot >= x->noted) {
        qr_assert(record->slot == x->noted);
        quarantine_note_digest(r->partition, x->noted, x->noted_digest);
        x->noted = 0;
    }
}

void execute_applied(struct replica *r, const struct record *record, bool one_way)
{
    struct execute *x = r->execute;
    qr_assert(record->slot == x->state + 1);
    x->state = record->slot;
    x->state_term = record->term;
    x->one_way = one_way ? record->slot : x->one_way;
}

bool execute_apply(struct replica *r, const struct record *record, bool *one_way)
{
    struct rows_entry entry;
    bool good = rows_peek(record->payload, &entry);
    qr_assert(good); /* execute_has_meaning has looked at it when it came */
    *one_way = !rows_can_undo(&entry);
    return rows_apply(r->partition->engine, &entry) == ROWS_DONE;
}

bool execute_has_meaning(struct span payload)
{
    struct rows_entry entry;
    return rows_read(payload, &entry);
}

void execute_release(struct replica *r)
{
    struct execute *x = r->execute;
    overlay_release(x->overlay, r->applied);
    while (x->kept.first != NULL && x->kept.first->slot <= r->applied) {
        struct pending *p = x->kept.first;
        execute_leave(r, p);
        execute_answer(r, p);
    }
}

/* --- Reads ---------------------------------------------------------------------------------- */

qr_slot execute_awaited(const struct replica *r, enum read_level level,
                        const struct command_spec *spec, uint8_t db, const struct span *argv,
                        uint32_t argc)
{
    const struct execute *x = r->execute;
    if (level == READ_LOCAL || overlay_last(x->overlay) <= r->applied) {
        return 0;
    }
    return overlay_awaited(x->overlay, r->partition->engine, spec, db, argv, argc);
}

qr_slot execute_awaited_by(const struct replica *r, const struct pending *p, const struct op *op)
{
    struct span near[16];
    const struct execute *x = r->execute;
    if (p->wants.level == READ_LOCAL || overlay_last(x->overlay) <= r->applied) {
        return 0;
    }
    struct span *argv = op->argc <= ARRAY_COUNT(near) ? near : qr_alloc(op->argc * sizeof *argv);
    op_arguments(op, argv, NULL);
    qr_slot slot = execute_awaited(r, (enum read_level)p->wants.level, command_by_tag(op->tag),
                                   op->db, argv, op->argc);
    if (argv != near) {
        free(argv);
    }
    return slot;
}

/* --- Kept replies --------------------------------------------------------------------------- */

static size_t bytes_of(const struct reply *reply)
{
    return reply->cap + (reply->parts != NULL ? reply->parts->bytes : 0);
}

struct reply *execute_reply(struct pending *p)
{
    qr_assert(!p->kept);
    reply_init(&p->reply, p->version);
    return &p->reply;
}

void execute_keep(struct replica *r, struct pending *p)
{
    qr_assert(!p->kept);
    p->kept = true;
    r->execute->kept_bytes += bytes_of(&p->reply);
    stream_hold(p);
}

static void let_go(struct replica *r, struct pending *p)
{
    size_t n = bytes_of(&p->reply);
    qr_assert(p->kept && r->execute->kept_bytes >= n);
    p->kept = false;
    r->execute->kept_bytes -= n;
    stream_release(p);
}

void execute_keep_read(struct replica *r, struct pending *p, qr_slot slot)
{
    struct pendings *q = &r->execute->kept;
    struct pending *at = q->last;
    execute_keep(r, p);
    stream_read_is_done(p);
    p->confirmed = false; /* and it may be given up, when that takes too long */
    p->place = READ_KEPT;
    p->slot = slot;
    while (at != NULL && at->slot > slot) {
        at = at->queue_previous;
    }
    pendings_insert(q, at, p);
}

void execute_leave(struct replica *r, struct pending *p)
{
    qr_assert(p->place == READ_KEPT);
    pendings_remove(&r->execute->kept, p);
    p->place = READ_CONFIRMED;
}

void execute_answer(struct replica *r, struct pending *p)
{
    let_go(r, p);
    if (!zones_await_reply(p) || p->reply.is_error || p->spec->place != PLACE_WRITE) {
        zones_answer(p);
    } else {
        zones_await(r, p);
    }
}

void execute_drop_reply(struct replica *r, struct pending *p)
{
    if (p->kept) {
        let_go(r, p);
        reply_discard_parts(&p->reply, engine_bin(r->partition->engine));
        reply_free(&p->reply);
        p->reply = (struct reply){ 0 };
        p->shown = (struct shown){ 0 };
    }
}

/* Reads that show what is behind that slot are told that it may be gone (E5). */
static void refuse_reads(struct replica *r, qr_slot behind)
{
    struct execute *x = r->execute;
    while (x->kept.last != NULL && x->kept.last->slot > behind) {
        struct pending *p = x->kept.last;
        execute_leave(r, p);
        execute_drop_reply(r, p);
        stream_refuse(p, STATUS_LEADER_CHANGED);
    }
}

/* --- Back ----------------------------------------------------------------------------------- */

/* Those that are applied, by the log; the newest first. */
static bool undo_applied(struct replica *r, qr_slot slot)
{
    struct execute *x = r->execute;
    while (x->state > slot) {
        struct span bytes;
        struct record record;
        struct rows_entry entry;
        if (log_read(r->node->log, r->group, x->state, x->state + 1, 1, &bytes) != 1 ||
            record_peek(bytes, &record) == 0) {
            return false;
        }
        if (record.kind == RECORD_ROWS &&
            (!rows_read(record.payload, &entry) ||
             rows_undo(r->partition->engine, &entry) != ROWS_DONE)) {
            return false;
        }
        x->state--;
    }
    return true;
}

static void renew_overlay(struct replica *r)
{
    overlay_free(r->execute->overlay);
    r->execute->overlay = overlay_made(r);
}

bool execute_undo(struct replica *r, qr_slot slot)
{
    struct execute *x = r->execute;
    refuse_reads(r, slot);
    x->noted = x->noted > slot ? 0 : x->noted;
    if (x->state <= slot) {
        return true;
    }
    if (x->one_way > slot) {
        return false;
    }
    if (overlay_undo(x->overlay, r->partition->engine, max_u64(slot, r->applied)) !=
        OVERLAY_DONE) {
        return false;
    }
    x->state = min_u64(x->state, max_u64(slot, r->applied));
    if (!undo_applied(r, slot)) {
        return false;
    }
    if (slot < r->applied) {
        renew_overlay(r); /* what stands there again was released once */
    }
    x->state_term = replica_log_term(r, slot);
    r->digest_period = replica_digest_period(r);
    return true;
}

void execute_reset(struct replica *r, qr_slot slot, qr_term term)
{
    struct execute *x = r->execute;
    refuse_reads(r, 0);
    renew_overlay(r);
    x->state = x->one_way = slot;
    x->state_term = term;
    x->noted = 0;
}
