/* Entries back out: from the chunks where they are there, else from the file with their checksums.
 *
 * Entries that follow each other in one batch of the cache are lent as they stand; anything else
 * is put together in the log's read buffer. */
#include "log/log_internal.h"

#include "base/alloc.h"

#include <errno.h>
#include <string.h>

/* The bytes at a log offset, when a chunk has them; *n is how many follow in that chunk.
 *
 * The newest chunk that begins at or before the offset: an older one may seem to reach over it with
 * the room at its end that the next record did not fit in. */
static const uint8_t *cache_find(const struct log *log, uint64_t offset, size_t *n)
{
    uint32_t lo = 0;
    uint32_t hi = log->chunk_count;
    while (lo < hi) {
        uint32_t middle = lo + (hi - lo) / 2;
        if (log->chunks[middle].first <= offset) {
            lo = middle + 1;
        } else {
            hi = middle;
        }
    }
    if (lo == 0) {
        return NULL;
    }
    const struct chunk *c = &log->chunks[lo - 1];
    if (offset >= c->first + c->cap) {
        return NULL;
    }
    *n = c->cap - (size_t)(offset - c->first);
    return c->p + (offset - c->first);
}

static void read_room(struct log *log, size_t n)
{
    if (log->read_cap > BUFFER_KEPT_BYTES && n <= BUFFER_KEPT_BYTES) {
        free(log->read_buffer);
        log->read_buffer = NULL;
        log->read_cap = 0;
    }
    if (n > log->read_cap) {
        log->read_cap = n < 64 * KIB ? 64 * KIB : n;
        log->read_buffer = qr_realloc(log->read_buffer, log->read_cap);
    }
}

/* What a read has so far: lent from the cache, or copied into the read buffer. */
struct reading {
    struct log *log;
    struct group *group;
    qr_slot next, hi;
    size_t max_bytes;
    const uint8_t *lent; /* start of the bytes in the cache; NULL: they are in the read buffer */
    size_t n;
};

/* Takes the entries of a run at p (n bytes) that are wanted and fit. Returns false when the read
 * is complete, because max_bytes or hi is reached; a negative errno when an entry is bad. */
static int take_run(struct reading *r, const uint8_t *p, size_t n, qr_slot slot, qr_slot end,
                    bool check)
{
    while (slot < end && slot < r->hi) {
        struct record record;
        struct span in = span_of(p, n);
        size_t bytes = check ? record_read(in, &record) : record_peek(in, &record);
        if (bytes == 0 || record.slot != slot || record.group != r->group->id) {
            return -EBADMSG;
        }
        if (slot >= r->next) {
            if (r->n > 0 && r->n + bytes > r->max_bytes) {
                return 0;
            }
            if (r->n == 0 && !check) {
                r->lent = p;
            }
            if (r->lent == NULL || p != r->lent + r->n) {
                /* A gap: from here on everything is copied. */
                read_room(r->log, max_u64(r->n + bytes, min_u64(r->max_bytes, 4 * MIB)));
                if (r->lent != NULL) {
                    memcpy(r->log->read_buffer, r->lent, r->n);
                    r->lent = NULL;
                }
                memcpy(r->log->read_buffer + r->n, p, bytes);
            }
            r->n += bytes;
            r->next = slot + 1;
        }
        p += bytes;
        n -= bytes;
        slot++;
    }
    return r->next < r->hi;
}

/* Reads a run's bytes from its segment and takes what is wanted. A run of which only a part would
 * fit is left to the next read, which would have to read it again. */
static int take_from_file(struct reading *r, const struct run *run, qr_slot end)
{
    const struct segment *s = segment_of(r->log, run->offset);
    if (run->offset < s->header.first || s->file == NULL) {
        return -EBADMSG;
    }
    if (r->n > 0 && r->n + run->bytes > r->max_bytes) {
        return 0;
    }
    uint8_t *p = qr_alloc(run->bytes);
    int64_t got = io_file_pread(s->file, p, run->bytes,
                                s->header.body_offset + (run->offset - s->header.first));
    r->log->stats.read_back_bytes += run->bytes;
    int result = got < 0 ? (int)got : take_run(r, p, (size_t)got, run->slot, end, true);
    free(p);
    return result;
}

/* Takes what is wanted of a run. */
static int take_stretch(struct reading *r, const struct run *run, qr_slot end)
{
    size_t n;
    const uint8_t *p = cache_find(r->log, run->offset, &n);
    return p != NULL ? take_run(r, p, n, run->slot, end, false) : take_from_file(r, run, end);
}

/* Of a run that is lost, the entries that were patched. */
static int take_patched(struct reading *r, qr_slot end)
{
    int more = 1;
    while (more > 0 && r->next < end) {
        const struct patch *patch = group_find_patch(r->group, r->next);
        if (patch == NULL) {
            return -EBADMSG;
        }
        struct run one = {
            .slot = patch->slot, .offset = patch->offset, .bytes = patch->bytes, .count = 1
        };
        more = take_stretch(r, &one, patch->slot + 1);
    }
    return more;
}

int64_t log_read(struct log *log, uint32_t group, qr_slot lo, qr_slot hi, size_t max_bytes,
                 struct span *out)
{
    struct group *g = groups_find(&log->groups, group);
    *out = (struct span){ 0 };
    if (g == NULL || lo >= hi || lo <= g->base_slot || hi > g->last_slot + 1) {
        return 0;
    }
    struct reading r = { .log = log, .group = g, .next = lo, .hi = hi, .max_bytes = max_bytes };
    int more = 1;
    for (uint32_t i = group_find_run(g, lo); more > 0; i++) {
        const struct run *run = group_run(g, i);
        qr_slot end = i + 1 < g->run_count ? group_run(g, i + 1)->slot : g->last_slot + 1;
        more = run_is_lost(run) ? take_patched(&r, end) : take_stretch(&r, run, end);
    }
    if (more < 0 && r.n == 0) {
        return more;
    }
    *out = span_of(r.lent != NULL ? r.lent : log->read_buffer, r.n);
    return (int64_t)(r.next - lo);
}

uint64_t log_bytes_from(const struct log *log, uint32_t group, qr_slot slot)
{
    const struct group *g = groups_find(&log->groups, group);
    if (g == NULL || slot <= g->base_slot || slot > g->last_slot) {
        return 0;
    }
    const struct run *run = group_run(g, group_find_run(g, slot));
    return run_is_lost(run) ? 0 : log_position(log) - run->offset;
}

uint64_t log_read_back_bytes(const struct log *log)
{
    return log->stats.read_back_bytes;
}

uint64_t log_cache_bytes(const struct log *log)
{
    return log->chunk_bytes;
}
