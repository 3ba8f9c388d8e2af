#include "log_twin.h"

#include "base/crc32c.h"
#include "base/limits.h"
#include "base/wire.h"
#include "log/format.h"

#include <string.h>

#define PAYLOAD_MAX 9000u

uint32_t twin_group_id(uint32_t i)
{
    return 100 + i * 77777;
}

void twin_keep(struct life *life)
{
    life->now.position = log_position(life->log);
    qr_assert(life->kept_n < TWIN_KEPT);
    life->kept[life->kept_n++] = life->now;
}

/* --- Changes -------------------------------------------------------------------------------- */

/* Mostly short; now and then beyond a block, or beyond two. */
static size_t payload(uint32_t group, qr_slot slot, qr_term term, uint8_t *p)
{
    struct rng rng = rng_from(slot * 1000003 + term * 7919 + group);
    size_t n = rng_chance(&rng, 1, 12) ? rng_below(&rng, PAYLOAD_MAX) : rng_below(&rng, 90);
    for (size_t i = 0; i < n; i += 8) {
        uint64_t v = rng_next(&rng);
        memcpy(p + i, &v, n - i < 8 ? n - i : 8);
    }
    return n;
}

void twin_append(struct life *life, uint32_t group, uint32_t count)
{
    struct twin_group *g = &life->now.group[group];
    uint8_t p[RECORD_HEADER_BYTES + PAYLOAD_MAX];
    for (; count > 0 && g->last - g->base < TWIN_SLOTS; count--) {
        g->last++;
        g->terms[g->last % TWIN_SLOTS] = (uint8_t)g->term;
        g->known = true;
        uint32_t id = twin_group_id(group);
        size_t n = payload(id, g->last, g->term, p + RECORD_HEADER_BYTES);
        record_seal(p, id, RECORD_COMMAND, g->last, g->term, n);
        log_append(life->log, span_of(p, record_bytes(n)), 1);
        twin_keep(life);
    }
}

void twin_truncate(struct life *life, uint32_t group, uint32_t which)
{
    struct twin_group *g = &life->now.group[group];
    if (g->last == g->base || g->term == 250) {
        return;
    }
    qr_slot from = g->base + 1 + which % (g->last - g->base);
    g->last = from - 1;
    g->term++;
    log_truncate(life->log, twin_group_id(group), from);
    twin_keep(life);
}

static qr_term term_at(const struct twin_group *g, qr_slot slot)
{
    return slot == g->base ? g->base_term : g->terms[slot % TWIN_SLOTS];
}

void twin_trim(struct life *life, uint32_t group, uint32_t which)
{
    struct twin_group *g = &life->now.group[group];
    if (g->last == g->base) {
        return;
    }
    qr_slot upto = g->base + 1 + which % (g->last - g->base);
    g->base_term = term_at(g, upto);
    g->base = upto;
    log_trim(life->log, twin_group_id(group), upto, g->base_term);
    twin_keep(life);
}

void twin_install(struct life *life, uint32_t group, uint32_t gap)
{
    struct twin_group *g = &life->now.group[group];
    g->base = g->last = g->last + 1 + gap;
    g->base_term = g->term;
    g->known = true;
    log_trim(life->log, twin_group_id(group), g->base, g->base_term);
    twin_keep(life);
}

void twin_reset(struct life *life, uint32_t group, uint32_t which)
{
    struct twin_group *g = &life->now.group[group];
    g->base = g->last = which % (g->last + 10);
    g->base_term = g->base > 0 ? g->term : 0;
    g->known = true;
    log_reset(life->log, twin_group_id(group), g->base, g->base_term);
    twin_keep(life);
}

void twin_drop(struct life *life, uint32_t group)
{
    struct twin_group *g = &life->now.group[group];
    *g = (struct twin_group){ .term = g->term };
    log_drop(life->log, twin_group_id(group));
    twin_keep(life);
}

/* Entries move to the end of the log: nothing else is to be seen of it. */
void twin_carry(struct life *life, uint64_t behind, uint64_t group_bytes)
{
    uint64_t position = log_position(life->log);
    struct log_carrying carrying = { .before = position - min_u64(position, behind),
                                     .group_bytes = group_bytes,
                                     .bytes = 32 * KIB };
    (void)log_carry(life->log, &carrying);
    twin_keep(life);
}

void twin_state(struct life *life, uint32_t group, size_t bytes)
{
    uint8_t p[4 + 255] = { 0 };
    struct twin_group *g = &life->now.group[group];
    g->state = ++life->states;
    g->known = true;
    memcpy(p, &g->state, 4);
    log_state(life->log, twin_group_id(group), span_of(p, 4 + bytes % 256));
    twin_keep(life);
}

/* --- Comparison ----------------------------------------------------------------------------- */

static bool same_terms(const struct log_group *g, const struct twin_group *want)
{
    uint32_t at = 0;
    for (qr_slot slot = want->base + 1; slot <= want->last; slot++) {
        while (at + 1 < g->run_count && g->runs[at + 1].slot <= slot) {
            at++;
        }
        if (g->run_count == 0 || g->runs[0].slot != want->base + 1 ||
            g->runs[at].term != term_at(want, slot)) {
            return false;
        }
    }
    return true;
}

static bool same_group(struct life *life, uint32_t i, const struct twin_group *want)
{
    struct log_group g;
    if (!log_group_state(life->log, twin_group_id(i), &g)) {
        return !want->known;
    }
    uint32_t state = 0;
    if (g.state.n >= 4) {
        memcpy(&state, g.state.p, 4);
    }
    return want->known && !g.damaged && g.base_slot == want->base && g.last_slot == want->last &&
           g.base_term == want->base_term && state == want->state && same_terms(&g, want);
}

bool twin_is(struct life *life, const struct twin *want)
{
    for (uint32_t i = 0; i < TWIN_GROUPS; i++) {
        if (!same_group(life, i, &want->group[i])) {
            return false;
        }
    }
    return true;
}

/* Whether the record is the group's entry at that slot, byte by byte; its term goes to *term. */
static bool is_right(struct span in, uint32_t group, qr_slot slot, qr_term *term)
{
    uint8_t p[PAYLOAD_MAX];
    struct record r;
    if (record_read(in, &r) != in.n || r.group != group || r.slot != slot) {
        return false;
    }
    *term = r.term;
    size_t n = payload(group, slot, r.term, p);
    return r.payload.n == n && (n == 0 || memcmp(r.payload.p, p, n) == 0);
}

void twin_check_entries(struct life *life)
{
    for (uint32_t i = 0; i < TWIN_GROUPS; i++) {
        const struct twin_group *g = &life->now.group[i];
        for (qr_slot slot = g->base + 1; slot <= g->last; slot++) {
            struct span out;
            qr_term term = 0;
            qr_assert(log_read(life->log, twin_group_id(i), slot, slot + 1, 1, &out) == 1);
            qr_assert(is_right(out, twin_group_id(i), slot, &term) && term == term_at(g, slot));
        }
    }
}

/* A peer that had the same log as this one at some time knows the entry. */
static bool fill(struct life *life, uint32_t i, qr_slot slot)
{
    struct log_group g;
    uint8_t p[RECORD_HEADER_BYTES + PAYLOAD_MAX];
    uint32_t id = twin_group_id(i);
    bool filled = false;
    qr_assert(log_group_state(life->log, id, &g));
    for (uint32_t k = life->kept_n; k > 0 && !filled; k--) {
        const struct twin_group *peer = &life->kept[k - 1].group[i];
        if (peer->base == g.base_slot && peer->last == g.last_slot) {
            qr_term term = term_at(peer, slot);
            size_t n = payload(id, slot, term, p + RECORD_HEADER_BYTES);
            record_seal(p, id, RECORD_COMMAND, slot, term, n);
            filled = log_patch(life->log, id, span_of(p, record_bytes(n)));
        }
    }
    return filled;
}

void twin_fill_holes(struct life *life)
{
    for (uint32_t i = 0; i < TWIN_GROUPS; i++) {
        struct log_hole hole;
        while (log_holes(life->log, twin_group_id(i), &hole, 1) == 1) {
            qr_assert(fill(life, i, hole.lo)); /* else the hole is not one that ever was an entry */
        }
    }
}

bool twin_reads_right_or_not(struct life *life, uint32_t group, qr_slot slot)
{
    struct span out;
    qr_term term;
    int64_t n = log_read(life->log, twin_group_id(group), slot, slot + 1, 1, &out);
    return n <= 0 || (n == 1 && is_right(out, twin_group_id(group), slot, &term));
}

uint64_t twin_stated(const struct life *life, const uint8_t *p, size_t n)
{
    uint64_t most = 0;
    struct segment_header s;
    if (n < LOG_BLOCK_BYTES || segment_header_decode(p, &s) != HEADER_OK) {
        return 0; /* nothing says which batches are of this segment's present life */
    }
    for (size_t at = s.body_offset; at + LOG_BLOCK_BYTES <= n; at += LOG_BLOCK_BYTES) {
        struct batch_header h;
        if (batch_peek(p + at, n - at, &h) && h.generation == s.generation && h.bytes <= n - at &&
            batch_check(life->config.uuid, &h, p + at)) {
            most = max_u64(most, h.mark);
        }
    }
    return most;
}

/* --- Mending -------------------------------------------------------------------------------- */

static void mend_records(uint8_t *p, size_t n)
{
    while (n >= RECORD_HEADER_BYTES && wire_load_u32(p + 4) <= n - RECORD_HEADER_BYTES) {
        size_t bytes = RECORD_HEADER_BYTES + wire_load_u32(p + 4);
        wire_store_u32(p, crc32c_extend(0, p + 4, bytes - 4));
        p += bytes;
        n -= bytes;
    }
}

static void mend_header(const uint8_t uuid[16], uint8_t *p, size_t n)
{
    uint32_t restated = wire_load_u32(p + 72);
    if (restated <= n && n - restated >= LOG_BLOCK_BYTES) {
        mend_records(p + LOG_BLOCK_BYTES, restated);
        uint32_t crc = crc32c_extend(0, uuid, 16);
        crc = crc32c_extend(crc, p + 32, 8);
        wire_store_u32(p + 76, crc32c_extend(crc, p + LOG_BLOCK_BYTES, restated));
    }
    wire_store_u32(p + 12,
                   crc32c_extend(crc32c_extend(0, p, 12), p + 16, SEGMENT_HEADER_BYTES - 16));
}

void twin_mend(const struct life *life, uint8_t *p, size_t n)
{
    for (size_t at = 0; at + LOG_BLOCK_BYTES <= n; at += LOG_BLOCK_BYTES) {
        uint32_t bytes = wire_load_u32(p + at + 8);
        if (memcmp(p + at, "QRLOGSEG", 8) == 0) {
            mend_header(life->config.uuid, p + at, n - at);
        } else if (memcmp(p + at, "QQRB", 4) == 0 && bytes >= BATCH_HEADER_BYTES &&
                   bytes <= n - at) {
            mend_records(p + at + BATCH_HEADER_BYTES, bytes - BATCH_HEADER_BYTES);
            uint32_t crc = crc32c_extend(0, life->config.uuid, 16);
            crc = crc32c_extend(crc, p + at, 4);
            wire_store_u32(p + at + 4, crc32c_extend(crc, p + at + 8, bytes - 8));
        }
    }
}
