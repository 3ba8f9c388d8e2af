/* Gathering: records are copied once, into the place from which they will be written, read and
 * sent.
 *
 * The open batch grows at the end of the newest chunk. It is closed when it is flushed or when the
 * chunk or the segment has no room for the next record; a new segment begins with a restatement of
 * the groups as they are at that moment (I3). */
#include "log/log_internal.h"

#include "base/alloc.h"

#include <string.h>

/* --- Chunks --------------------------------------------------------------------------------- */

static void chunk_release(struct log *log, const struct chunk *c)
{
    log->chunk_bytes -= c->cap;
    if (c->cap == LOG_CHUNK_BYTES && log->spare_chunk == NULL) {
        log->spare_chunk = c->p;
    } else {
        free(c->p);
    }
}

void log_evict(struct log *log)
{
    uint32_t gone = 0;
    while (gone + 1 < log->chunk_count && log->chunk_bytes > log->config.cache_bytes) {
        const struct chunk *c = &log->chunks[gone];
        if (c->first + c->used > log->synced) {
            break; /* I5 */
        }
        chunk_release(log, c);
        gone++;
    }
    if (gone > 0) {
        log->chunk_count -= gone;
        memmove(log->chunks, log->chunks + gone, log->chunk_count * sizeof(struct chunk));
    }
}

static void chunk_add(struct log *log, size_t need)
{
    struct chunk c = { .first = log->end, .cap = need > LOG_CHUNK_BYTES ? need : LOG_CHUNK_BYTES };
    if (c.cap == LOG_CHUNK_BYTES && log->spare_chunk != NULL) {
        c.p = log->spare_chunk;
        log->spare_chunk = NULL;
    } else {
        c.p = aligned_alloc(LOG_BLOCK_BYTES, c.cap);
        qr_assert(c.p != NULL);
    }
    if (log->chunk_count == log->chunk_cap) {
        log->chunk_cap = log->chunk_cap == 0 ? 8 : log->chunk_cap * 2;
        log->chunks = qr_realloc(log->chunks, log->chunk_cap * sizeof(struct chunk));
    }
    log->chunks[log->chunk_count++] = c;
    log->chunk_bytes += c.cap;
    log_evict(log);
}

static struct chunk *newest_chunk(struct log *log)
{
    return log->chunk_count == 0 ? NULL : &log->chunks[log->chunk_count - 1];
}

/* --- Batches -------------------------------------------------------------------------------- */

static uint64_t batch_bytes(const struct batch *b)
{
    return block_round((uint64_t)BATCH_HEADER_BYTES + b->payload);
}

void log_close_batch(struct log *log)
{
    struct batch *b = &log->open;
    if (b->p == NULL) {
        return;
    }
    qr_assert(b->offset == log->end);
    qr_assert(b->count > 0);
    if (log->pending_head + log->pending_count == log->pending_cap) {
        if (log->pending_head > log->pending_count) {
            memmove(log->pending, log->pending + log->pending_head,
                    log->pending_count * sizeof(struct batch));
            log->pending_head = 0;
        } else {
            log->pending_cap = log->pending_cap == 0 ? 16 : log->pending_cap * 2;
            log->pending = qr_realloc(log->pending, log->pending_cap * sizeof(struct batch));
        }
    }
    log->pending[log->pending_head + log->pending_count++] = *b;
    newest_chunk(log)->used += batch_bytes(b);
    log->end += batch_bytes(b);
    log_newest(log)->end = log->end;
    b->p = NULL;
}

void log_batch_retire(struct log *log, uint32_t count)
{
    qr_assert(count <= log->pending_count);
    log->pending_head += count;
    log->pending_count -= count;
    if (log->pending_count == 0) {
        log->pending_head = 0;
    }
}

/* Opens a batch that a record of n bytes fits in, in a new segment or chunk where it must. */
static void open_batch(struct log *log, size_t n)
{
    uint64_t need = block_round(BATCH_HEADER_BYTES + n);
    struct segment *s = log_newest(log);
    if (log->end + need > s->header.first + s->header.capacity) {
        segment_begin(log, s->header.generation + 1, log->end, need);
        s = log_newest(log);
    }
    struct chunk *c = newest_chunk(log);
    if (c == NULL || c->first + c->used != log->end || c->cap - c->used < need) {
        chunk_add(log, need);
        c = newest_chunk(log);
    }
    log->open = (struct batch){
        .p = c->p + c->used,
        .offset = log->end,
        .generation = s->header.generation,
        .within = QR_NEVER, /* nothing of it is sooner */
    };
}

/* Whether the open batch can take n bytes more. */
static bool batch_has_room(const struct log *log, size_t n)
{
    const struct batch *b = &log->open;
    if (b->p == NULL) {
        return false;
    }
    uint64_t bytes = block_round((uint64_t)BATCH_HEADER_BYTES + b->payload + n);
    const struct chunk *c = &log->chunks[log->chunk_count - 1];
    const struct segment *s = log_newest(log);
    return bytes <= c->cap - c->used && bytes <= LOG_BATCH_BYTES_MAX &&
           b->offset + bytes <= s->header.first + s->header.capacity;
}

/* Where a record of n bytes goes; *offset is its log offset. */
static uint8_t *take_room(struct log *log, size_t n, qr_time within, uint64_t *offset)
{
    qr_assert(!log->damaged); /* a damaged log is evidence; nothing is added to it */
    if (!batch_has_room(log, n)) {
        log_close_batch(log);
        open_batch(log, n);
    }
    struct batch *b = &log->open;
    *offset = b->offset + BATCH_HEADER_BYTES + b->payload;
    uint8_t *p = b->p + BATCH_HEADER_BYTES + b->payload;
    b->payload += (uint32_t)n;
    b->count++;
    b->within = within < b->within ? within : b->within;
    log->stats.records++;
    log->stats.bytes += n;
    return p;
}

/* --- Records -------------------------------------------------------------------------------- */

static void append(struct log *log, struct span records, uint32_t count, qr_time within)
{
    struct group *g = NULL;
    (void)io_failpoint(log->io, FAIL_PERSIST);
    for (uint32_t i = 0; i < count; i++) {
        struct record r;
        size_t n = record_peek(records, &r);
        qr_assert(n > 0 && record_is_entry(r.kind));
        if (g == NULL) {
            g = groups_get(&log->groups, r.group);
        }
        qr_assert(r.group == g->id);
        qr_assert(r.slot == g->last_slot + 1);
        uint64_t offset;
        memcpy(take_room(log, n, within, &offset), records.p, n);
        group_append(g, r.slot, r.term, offset, (uint32_t)n);
        if (r.kind == RECORD_MEMBERS) {
            group_note_members(g, r.slot);
        }
        records = span_of(records.p + n, records.n - n);
    }
    qr_assert(records.n == 0);
    if (g != NULL && g->pin == 0) {
        pins_add(&log->pins, g);
    }
    (void)io_failpoint(log->io, FAIL_PERSISTED);
}

void log_append(struct log *log, struct span records, uint32_t count)
{
    append(log, records, count, 0);
}

void log_append_lazily(struct log *log, struct span records, uint32_t count, qr_time within)
{
    append(log, records, count, within);
}

uint64_t log_append_note(struct log *log, uint32_t group, uint8_t kind, qr_slot slot, qr_term term,
                         struct span payload)
{
    uint64_t offset;
    uint8_t *p = take_room(log, record_bytes(payload.n), 0, &offset);
    if (payload.n > 0) {
        memcpy(p + RECORD_HEADER_BYTES, payload.p, payload.n);
    }
    record_seal(p, group, kind, slot, term, payload.n);
    return offset;
}

void log_truncate(struct log *log, uint32_t group, qr_slot from)
{
    struct group *g = groups_get(&log->groups, group);
    qr_assert(from > g->base_slot); /* what is trimmed is committed and cannot be dropped */
    if (from > g->last_slot) {
        return;
    }
    (void)io_failpoint(log->io, FAIL_TRUNCATE);
    (void)log_append_note(log, group, RECORD_TRUNCATE, from, 0, (struct span){ 0 });
    group_truncate(g, from);
    (void)io_failpoint(log->io, FAIL_TRUNCATED);
    log->recycle_check = true;
}

void log_state(struct log *log, uint32_t group, struct span state)
{
    qr_assert(state.n <= LOG_STATE_BYTES_MAX);
    struct group *g = groups_get(&log->groups, group);
    (void)io_failpoint(log->io, FAIL_STATE);
    (void)log_append_note(log, group, RECORD_STATE, 0, 0, state);
    group_set_state(g, state);
    (void)io_failpoint(log->io, FAIL_STATED);
}

void log_trim(struct log *log, uint32_t group, qr_slot upto, qr_term term)
{
    struct group *g = groups_get(&log->groups, group);
    if (upto <= g->base_slot) {
        return;
    }
    (void)io_failpoint(log->io, FAIL_TRIM);
    (void)log_append_note(log, group, RECORD_TRIM, upto, term, (struct span){ 0 });
    group_trim(g, upto, term);
    (void)io_failpoint(log->io, FAIL_TRIMMED);
    log->recycle_check = true;
}

void log_reset(struct log *log, uint32_t group, qr_slot slot, qr_term term)
{
    struct group *g = groups_get(&log->groups, group);
    qr_assert(slot > 0 || term == 0); /* behind slot 0 is the very beginning */
    (void)log_append_note(log, group, RECORD_RESET, slot, term, (struct span){ 0 });
    group_reset(g, slot, term);
    log->recycle_check = true;
}

void log_drop(struct log *log, uint32_t group)
{
    struct group *g = groups_find(&log->groups, group);
    if (g == NULL) {
        return;
    }
    (void)io_failpoint(log->io, FAIL_DROP);
    (void)log_append_note(log, group, RECORD_DROP, 0, 0, (struct span){ 0 });
    pins_remove(&log->pins, g);
    groups_forget(&log->groups, g);
    (void)io_failpoint(log->io, FAIL_DROPPED);
    log->recycle_check = true;
}

uint64_t log_position(const struct log *log)
{
    const struct batch *b = &log->open;
    return b->p == NULL ? log->end : b->offset + BATCH_HEADER_BYTES + b->payload;
}

uint64_t log_durable(const struct log *log)
{
    return log->synced;
}

uint64_t log_written(const struct log *log)
{
    return log->written;
}

uint64_t log_backlog(const struct log *log)
{
    return log_position(log) - log->synced;
}
