#include "log/replay.h"

#include "base/alloc.h"

#include <string.h>

#define WINDOW_BYTES (256 * KIB)

static uint64_t file_bytes(struct window *w)
{
    int64_t size = io_file_size(w->file);
    w->error = size < 0 ? (int)size : w->error;
    return size < 0 ? 0 : (uint64_t)size;
}

const uint8_t *window_at(struct window *w, uint64_t at, size_t need)
{
    if (at >= w->at && at + need <= w->at + w->n) {
        return w->p + (at - w->at);
    }
    size_t cap = need > WINDOW_BYTES ? need : WINDOW_BYTES;
    if (need > WINDOW_BYTES && file_bytes(w) < at + need) {
        return NULL; /* a length that was not written by us: no memory for it */
    }
    if (cap > w->cap) {
        free(w->p);
        w->p = qr_alloc(cap);
        w->cap = cap;
    }
    w->at = at;
    w->n = 0;
    int64_t got = io_file_pread(w->file, w->p, w->cap, at);
    if (got < 0) {
        w->error = (int)got;
        return NULL;
    }
    w->n = (size_t)got;
    return w->n >= need ? w->p : NULL;
}

void window_move(struct window *w, struct io_file *file)
{
    w->file = file;
    w->n = 0;
    w->at = 0;
    w->error = 0;
}

void window_free(struct window *w)
{
    free(w->p);
    *w = (struct window){ 0 };
}

/* --- Records -------------------------------------------------------------------------------- */

/* Entries between the last one and this one are holes, if as many records as that are bad. When
 * both ends have one term, every entry between them has it, and nothing was truncated there: a log
 * that holds an entry of a term holds all that its leader had before it. */
static bool apply_gap(struct replay *replay, struct group *g, const struct record *r)
{
    uint64_t gap = r->slot - g->last_slot - 1;
    if (gap > replay->open) {
        return false;
    }
    group_hole(g, r->slot - 1, group_last_term(g), r->term == group_last_term(g));
    replay->open -= (uint32_t)gap;
    return true;
}

static bool apply_entry(struct replay *replay, const struct record *r, uint64_t offset)
{
    struct group *g = groups_get(&replay->log->groups, r->group);
    if (r->slot <= g->last_slot || r->term < group_last_term(g) ||
        (r->slot > g->last_slot + 1 && !apply_gap(replay, g, r))) {
        return false;
    }
    group_append(g, r->slot, r->term, offset, (uint32_t)record_bytes(r->payload.n));
    if (r->kind == RECORD_MEMBERS) {
        group_note_members(g, r->slot);
    }
    return true;
}

/* Of entries in segments that are gone a restatement tells the last one's term alone. When that one
 * is cut off the others, but for those that were carried, may be of any term from the one before
 * them on. */
static void forget_term(struct group *g)
{
    const struct run *last = g->run_count > 0 ? group_run(g, g->run_count - 1) : NULL;
    if (last == NULL || last->offset != RUN_MISSING) {
        return;
    }
    qr_slot upto = g->last_slot;
    qr_slot carried = g->patches_count > 0 ? g->patches[g->patches_count - 1].slot : 0;
    qr_slot from = max_u64(last->slot, max_u64(carried, g->base_slot) + 1);
    if (from <= upto) {
        group_truncate(g, from);
        group_missing(g, upto, group_last_term(g));
    }
}

static bool apply_truncate(struct log *log, const struct record *r)
{
    struct group *g = groups_get(&log->groups, r->group);
    if (r->slot <= g->base_slot) {
        return false;
    }
    if (r->slot <= g->last_slot) {
        group_truncate(g, r->slot);
        forget_term(g);
    }
    return true;
}

/* What a restatement says must be there; entries of segments that are gone may be missing, as long
 * as a later trim drops them. */
static bool apply_last(struct replay *replay, const struct record *r)
{
    struct group *g = groups_get(&replay->log->groups, r->group);
    qr_term before = group_last_term(g);
    if (r->slot <= g->last_slot || r->slot - g->last_slot > replay->open || r->term < before) {
        if (r->slot > g->last_slot) {
            group_missing(g, r->slot, r->term);
        }
        return r->slot == g->last_slot;
    }
    replay->open -= (uint32_t)(r->slot - g->last_slot);
    if (r->slot > g->last_slot + 1) {
        group_hole(g, r->slot - 1, before, r->term == before);
    }
    group_hole(g, r->slot, r->term, true);
    return true;
}

/* A patch of what is not lost, or not any more, is passed over. */
static bool apply_patch(struct log *log, const struct record *r, uint64_t offset)
{
    struct group *g = groups_get(&log->groups, r->group);
    struct record inner;
    size_t n = record_read(r->payload, &inner);
    if (n == 0 || n != r->payload.n || !record_is_entry(inner.kind) || inner.group != r->group ||
        inner.slot != r->slot || inner.term != r->term) {
        return false;
    }
    if (group_lacks(g, r->slot, r->term)) {
        group_patch(g, &inner, offset + RECORD_HEADER_BYTES, (uint32_t)n);
    }
    return true;
}

/* What was its is gone, and with it what may have been missing. */
static bool apply_drop(struct log *log, const struct record *r)
{
    struct group *g = groups_find(&log->groups, r->group);
    if (r->slot != 0 || r->term != 0 || r->payload.n != 0) {
        return false;
    }
    if (g != NULL) {
        groups_forget(&log->groups, g);
    }
    return true;
}

bool replay_record(struct replay *replay, const struct record *r, uint64_t offset)
{
    struct log *log = replay->log;
    switch (r->kind) {
    case RECORD_COMMAND:
    case RECORD_NOOP:
    case RECORD_TICK:
    case RECORD_MEMBERS:
    case RECORD_BLOB:
    case RECORD_ROWS:
        return apply_entry(replay, r, offset);
    case RECORD_STATE:
        if (r->payload.n > LOG_STATE_BYTES_MAX) {
            return false;
        }
        group_set_state(groups_get(&log->groups, r->group), r->payload);
        return true;
    case RECORD_TRUNCATE:
        return apply_truncate(log, r);
    case RECORD_TRIM:
        group_trim(groups_get(&log->groups, r->group), r->slot, r->term);
        return true;
    case RECORD_RESET:
        if (r->slot == 0 && r->term != 0) {
            return false;
        }
        group_reset(groups_get(&log->groups, r->group), r->slot, r->term);
        return true;
    case RECORD_DROP:
        return apply_drop(log, r);
    case RECORD_PATCH:
        return apply_patch(log, r, offset);
    case RECORD_LAST:
        return apply_last(replay, r);
    default:
        return false;
    }
}

/* Applies `count` records that fill all of `in`; the first lies at log offset `offset`. */
static bool apply_records(struct replay *replay, struct span in, uint64_t offset, uint64_t count)
{
    for (; count > 0; count--) {
        struct record r;
        size_t n = record_read(in, &r);
        if (n == 0 || !replay_record(replay, &r, offset)) {
            return false;
        }
        in = span_of(in.p + n, in.n - n);
        offset += n;
    }
    return in.n == 0;
}

bool replay_restate(struct replay *replay, const struct segment *s)
{
    const struct segment_header *h = &s->header;
    if (h->restate_bytes > h->body_offset - LOG_BLOCK_BYTES) {
        return false;
    }
    const uint8_t *p = window_at(&replay->window, LOG_BLOCK_BYTES, h->restate_bytes);
    if (p == NULL) {
        return false;
    }
    struct span in = span_of(p, h->restate_bytes);
    if (restate_crc(h->uuid, h->generation, in) != h->restate_crc) {
        return false;
    }
    while (in.n > 0) {
        struct record r;
        size_t n = record_read(in, &r);
        if (n == 0 || record_is_entry(r.kind) || !replay_record(replay, &r, 0)) {
            return false;
        }
        in = span_of(in.p + n, in.n - n);
    }
    return true;
}

/* --- Batches -------------------------------------------------------------------------------- */

/* The batch that belongs at log offset `at`; NULL when those bytes are not it. */
static const uint8_t *batch_at(const struct segment *s, struct window *w, uint64_t at,
                               struct batch_header *h)
{
    uint64_t end = s->header.first + s->header.capacity;
    uint64_t file_at = s->header.body_offset + (at - s->header.first);
    if (at + LOG_BLOCK_BYTES > end) {
        return NULL;
    }
    const uint8_t *p = window_at(w, file_at, BATCH_HEADER_BYTES);
    if (p == NULL || !batch_peek(p, BATCH_HEADER_BYTES, h) || h->offset != at ||
        h->generation != s->header.generation || h->first != s->header.first ||
        h->bytes > end - at) {
        return NULL;
    }
    p = window_at(w, file_at, h->bytes);
    return p != NULL && batch_check(s->header.uuid, h, p) ? p : NULL;
}

enum replay_end replay_batches(struct replay *r, struct segment *s, uint64_t stop)
{
    struct window *w = &r->window;
    while (s->end < stop) {
        struct batch_header h;
        const uint8_t *p = batch_at(s, w, s->end, &h);
        if (p == NULL) {
            return w->error < 0 ? REPLAY_IO : REPLAY_STOPS;
        }
        struct span records = span_of(p + BATCH_HEADER_BYTES, h.payload);
        if (!apply_records(r, records, h.offset + BATCH_HEADER_BYTES, h.count)) {
            return REPLAY_WRONG;
        }
        r->marked = max_u64(r->marked, h.mark);
        s->end += h.bytes;
    }
    return s->end == stop ? REPLAY_WHOLE : REPLAY_WRONG;
}

bool replay_looks_begun(const struct segment *s, struct window *w)
{
    struct batch_header h;
    uint64_t at = s->header.body_offset + (s->end - s->header.first);
    const uint8_t *p = window_at(w, at, BATCH_HEADER_BYTES);
    return p != NULL && batch_peek(p, BATCH_HEADER_BYTES, &h) &&
           h.generation == s->header.generation;
}

uint64_t replay_highest_mark(struct log *log, struct window *w, uint64_t generation, uint64_t from,
                             uint64_t *first)
{
    uint64_t highest = 0;
    uint64_t size = file_bytes(w);
    for (uint64_t at = from; at + LOG_BLOCK_BYTES <= size; at += LOG_BLOCK_BYTES) {
        struct batch_header h;
        const uint8_t *p = window_at(w, at, BATCH_HEADER_BYTES);
        if (p == NULL || !batch_peek(p, BATCH_HEADER_BYTES, &h) || h.generation != generation ||
            h.mark <= highest || h.bytes > size - at) {
            continue;
        }
        p = window_at(w, at, h.bytes);
        if (p != NULL && batch_check(log->config.uuid, &h, p)) {
            highest = h.mark;
            *first = h.first;
        }
    }
    return highest;
}
