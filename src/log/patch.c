/* Entries that are lost, and what takes their place (docs/log-format.md: Holes).
 *
 * A lost stretch stays a run of the index for as long as it lives; the entries that were fetched
 * from peers stand in a short list beside it. They lie later in the log than their neighbours, but
 * are trimmed and truncated with them. */
#include "log/log_internal.h"

#include "base/alloc.h"

#include <string.h>

const struct patch *group_find_patch(const struct group *g, qr_slot slot)
{
    uint32_t lo = 0;
    uint32_t hi = g->patches_count;
    while (lo < hi) {
        uint32_t middle = lo + (hi - lo) / 2;
        lo = g->patches[middle].slot < slot ? middle + 1 : lo;
        hi = g->patches[middle].slot < slot ? hi : middle;
    }
    return lo < g->patches_count && g->patches[lo].slot == slot ? &g->patches[lo] : NULL;
}

void group_keep_patches(struct group *g, qr_slot lo, qr_slot hi)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < g->patches_count; i++) {
        if (g->patches[i].slot > lo && g->patches[i].slot <= hi) {
            g->patches[kept++] = g->patches[i];
        }
    }
    g->patches_count = kept;
}

bool group_next_lost(const struct group *g, qr_slot from, qr_slot upto, struct lost *out)
{
    from = max_u64(from, g->base_slot + 1);
    upto = min_u64(upto, g->last_slot);
    uint32_t first = from <= upto ? group_find_run(g, from) : g->run_count;
    for (uint32_t i = first; i < g->run_count && group_run(g, i)->slot <= upto; i++) {
        const struct run *run = group_run(g, i);
        qr_slot end = i + 1 < g->run_count ? group_run(g, i + 1)->slot : g->last_slot + 1;
        if (!run_is_lost(run) || end <= from) {
            continue;
        }
        qr_slot lo = max_u64(run->slot, from);
        while (lo < end && group_find_patch(g, lo) != NULL) {
            lo++;
        }
        qr_slot hi = lo;
        while (hi + 1 < end && group_find_patch(g, hi + 1) == NULL) {
            hi++;
        }
        if (lo < end && lo <= upto) {
            *out = (struct lost){ .lo = lo, .hi = hi, .run = run };
            return true;
        }
    }
    return false;
}

/* --- Terms ---------------------------------------------------------------------------------- */

/* The term run that holds the slot. */
static uint32_t find_terms(const struct group *g, qr_slot slot)
{
    uint32_t i = g->term_count - 1;
    while (i > 0 && g->terms[g->term_head + i].slot > slot) {
        i--;
    }
    return i;
}

/* Of an entry in [base_slot, last_slot]. */
static qr_term term_at(const struct group *g, qr_slot slot)
{
    qr_assert(slot >= g->base_slot && slot <= g->last_slot);
    return slot == g->base_slot ? g->base_term : g->terms[g->term_head + find_terms(g, slot)].term;
}

static void terms_insert(struct group *g, uint32_t i, struct term_run run)
{
    if (g->term_head + g->term_count == g->term_cap) {
        g->term_cap = g->term_cap * 2;
        g->terms = qr_realloc(g->terms, g->term_cap * sizeof(struct term_run));
    }
    struct term_run *v = g->terms + g->term_head;
    memmove(v + i + 1, v + i, (g->term_count - i) * sizeof(*v));
    v[i] = run;
    g->term_count++;
}

/* Neighbours of one term become one run. */
static void terms_join(struct group *g)
{
    struct term_run *v = g->terms + g->term_head;
    uint32_t kept = 1;
    for (uint32_t i = 1; i < g->term_count; i++) {
        if (v[i].term != v[kept - 1].term) {
            v[kept++] = v[i];
        }
    }
    g->term_count = kept;
}

/* Puts the term of a lost entry that is known now. Until then it stood as that of the entry before
 * the hole or, where the entries were only restated, as that of the last one. */
static void settle_term(struct group *g, qr_slot slot, qr_term term)
{
    uint32_t i = find_terms(g, slot);
    struct term_run *run = &g->terms[g->term_head + i];
    qr_slot end = i + 1 < g->term_count ? run[1].slot : g->last_slot + 1;
    bool begins = run->slot == slot;
    if (term > run->term && !begins) {
        terms_insert(g, i + 1, (struct term_run){ .slot = slot, .term = term });
    } else if (term < run->term && begins && slot + 1 < end) {
        run->slot = slot + 1;
        terms_insert(g, i, (struct term_run){ .slot = slot, .term = term });
    } else if (term < run->term && !begins) { /* what is restated before it has that one at most */
        qr_term last = run->term;
        run->term = term;
        if (slot + 1 < end) {
            terms_insert(g, i + 1, (struct term_run){ .slot = slot + 1, .term = last });
        }
    } else if (term != run->term) {
        qr_assert(begins);
        run->term = term;
    }
    terms_join(g);
}

/* Whether nothing is known of the entries [from, slot] but that they were restated: their segments
 * are gone. Those before `slot` may have been trimmed by what follows. */
static bool only_restated(const struct group *g, qr_slot from, qr_slot slot)
{
    struct lost lost;
    qr_assert(from > g->base_slot); /* no run of terms begins before the log does */
    return group_next_lost(g, from, slot, &lost) && lost.lo == from && lost.hi >= slot &&
           lost.run->offset == RUN_MISSING;
}

/* Whether the entries around a lost one allow it that term. */
static bool term_fits(const struct group *g, const struct lost *lost, qr_slot slot, qr_term term)
{
    uint32_t i = find_terms(g, slot);
    const struct term_run *run = &g->terms[g->term_head + i];
    bool exact = lost->run->offset == RUN_HOLE && lost->run->count == 1;
    if (exact || term == run->term) {
        return term == run->term;
    }
    if (term < run->term && only_restated(g, run->slot, slot)) {
        return term >= (i > 0 ? run[-1].term : g->base_term);
    }
    bool later = i + 1 < g->term_count;
    bool followed = lost->hi < g->last_slot;
    return term >= term_at(g, slot - 1) && (!later || term <= run[1].term) &&
           (!followed || term <= term_at(g, lost->hi + 1)) &&
           (term > run->term || run->slot == slot);
}

/* --- Patches -------------------------------------------------------------------------------- */

bool group_lacks(const struct group *g, qr_slot slot, qr_term term)
{
    struct lost lost;
    return slot > g->base_slot && slot <= g->last_slot && group_next_lost(g, slot, slot, &lost) &&
           lost.lo == slot && term_fits(g, &lost, slot, term);
}

void group_patch(struct group *g, const struct record *r, uint64_t offset, uint32_t bytes)
{
    qr_assert(group_lacks(g, r->slot, r->term));
    settle_term(g, r->slot, r->term);
    if (g->patches_count == g->patches_cap) {
        g->patches_cap = g->patches_cap == 0 ? 4 : g->patches_cap * 2;
        g->patches = qr_realloc(g->patches, g->patches_cap * sizeof(struct patch));
    }
    uint32_t i = g->patches_count++;
    for (; i > 0 && g->patches[i - 1].slot > r->slot; i--) {
        g->patches[i] = g->patches[i - 1];
    }
    g->patches[i] = (struct patch){ .slot = r->slot, .offset = offset, .bytes = bytes };
    if (r->kind == RECORD_MEMBERS) {
        group_note_members(g, r->slot);
    }
}

uint32_t log_holes_in(const struct log *log, uint32_t group, qr_slot lo, qr_slot hi,
                      struct log_hole *out, uint32_t max)
{
    const struct group *g = groups_find(&log->groups, group);
    uint32_t n = 0;
    struct lost lost;
    for (qr_slot from = lo; g != NULL && n < max && group_next_lost(g, from, hi, &lost); n++) {
        bool followed = lost.hi < g->last_slot;
        out[n] = (struct log_hole){
            .lo = lost.lo,
            .hi = lost.hi,
            .term = lost.run->count == 1 ? term_at(g, lost.lo) : 0,
            .next_term = followed ? term_at(g, lost.hi + 1) : 0,
        };
        from = lost.hi + 1;
    }
    return n;
}

uint32_t log_holes(const struct log *log, uint32_t group, struct log_hole *out, uint32_t max)
{
    return log_holes_in(log, group, 0, UINT64_MAX, out, max);
}

bool log_patch(struct log *log, uint32_t group, struct span record)
{
    struct group *g = groups_find(&log->groups, group);
    struct record r;
    if (g == NULL || record_read(record, &r) != record.n || r.group != group ||
        !record_is_entry(r.kind) || !group_lacks(g, r.slot, r.term)) {
        return false;
    }
    uint64_t at = log_append_note(log, group, RECORD_PATCH, r.slot, r.term, record);
    group_patch(g, &r, at + RECORD_HEADER_BYTES, (uint32_t)record.n);
    if (g->pin == 0) {
        pins_add(&log->pins, g);
    }
    return true;
}
