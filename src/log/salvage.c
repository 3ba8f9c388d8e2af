/* What is left of a batch whose checksum is wrong although it was once synced.
 *
 * Its header must be what belongs there. Its records are walked by their lengths; one whose own
 * checksum is wrong is stepped over when its length leads to the next good one or to the end of the
 * records. Where it does not, the next good entry is looked for. The header says how many records
 * there are, so it is known how many are bad; what they were is known when entries that follow show
 * gaps of just as many slots (replay.c: apply_gap). */
#include "log/replay.h"

#include <string.h>

/* A batch's records, and what is known about where they lie. */
struct frames {
    struct groups *groups;
    struct span all;
    size_t at;      /* of the record looked at */
    uint32_t group; /* of the last good one: it need not be known from before this batch */
};

/* Whether the record there is good: an entry of a known group, as a place to go on from. */
static bool is_entry_at(const struct frames *f, size_t at, uint32_t count)
{
    struct record r;
    struct span in = span_of(f->all.p + at, f->all.n - at);
    if (record_peek(in, &r) == 0 || !record_is_entry(r.kind)) {
        return false;
    }
    const struct group *g = groups_find(f->groups, r.group);
    qr_slot last = g != NULL ? g->last_slot : 0;
    return (g != NULL || r.group == f->group) && r.slot > last && r.slot <= last + count &&
           record_read(in, &r) > 0;
}

static bool is_good_at(const struct frames *f, size_t at)
{
    struct record r;
    return at == f->all.n || record_read(span_of(f->all.p + at, f->all.n - at), &r) > 0;
}

/* Where the next good record begins behind the bad one at f->at; the end when there is none. */
static size_t next_good(const struct frames *f, uint32_t count)
{
    struct record r;
    size_t at = f->at;
    size_t n = record_peek(span_of(f->all.p + at, f->all.n - at), &r);
    if (n > 0 && is_good_at(f, at + n)) {
        return at + n;
    }
    for (at++; at < f->all.n && !is_entry_at(f, at, count); at++) {
    }
    return at;
}

/* How many of the records are good. */
static uint32_t count_good(struct frames f, uint32_t count)
{
    uint32_t good = 0;
    while (f.at < f.all.n) {
        struct record r;
        size_t n = record_read(span_of(f.all.p + f.at, f.all.n - f.at), &r);
        good += n > 0 ? 1 : 0;
        f.group = n > 0 ? r.group : f.group;
        f.at = n > 0 ? f.at + n : next_good(&f, count);
    }
    return good;
}

static bool apply_good(struct replay *replay, struct frames f, uint64_t offset, uint32_t count)
{
    while (f.at < f.all.n) {
        struct record r;
        size_t n = record_read(span_of(f.all.p + f.at, f.all.n - f.at), &r);
        if (n > 0 && !replay_record(replay, &r, offset + f.at)) {
            return false;
        }
        f.at = n > 0 ? f.at + n : next_good(&f, count);
    }
    return true;
}

/* The bytes of the bad batch at s->end. Every field of its header that says where it belongs must
 * be right: it could be another batch, that was written to a wrong place. What it says about its
 * size is proven when its records fill it. */
static const uint8_t *bad_batch(struct replay *replay, const struct segment *s, uint64_t synced,
                                struct batch_header *h)
{
    uint64_t at = s->header.body_offset + (s->end - s->header.first);
    const uint8_t *p = window_at(&replay->window, at, BATCH_HEADER_BYTES);
    if (p == NULL || !batch_peek(p, BATCH_HEADER_BYTES, h) || h->offset != s->end ||
        h->generation != s->header.generation || h->first != s->header.first ||
        s->end + h->bytes > synced || h->count > h->payload / RECORD_HEADER_BYTES) {
        return NULL;
    }
    return window_at(&replay->window, at, h->bytes);
}

bool replay_salvage(struct replay *replay, struct segment *s, uint64_t synced)
{
    struct batch_header h;
    const uint8_t *p = bad_batch(replay, s, synced, &h);
    if (p == NULL) {
        return false;
    }
    struct frames f = { .groups = &replay->log->groups,
                        .all = span_of(p + BATCH_HEADER_BYTES, h.payload) };
    uint32_t good = count_good(f, h.count);
    if (good > h.count) {
        return false;
    }
    if (replay->open == 0) {
        replay->open_at = s->end;
    }
    replay->open += h.count - good;
    if (!apply_good(replay, f, s->end + BATCH_HEADER_BYTES, h.count)) {
        return false;
    }
    s->end += h.bytes;
    return true;
}
