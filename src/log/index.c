#include "log/index.h"

#include "base/alloc.h"
#include "base/limits.h"

#include <string.h>

#define NEAR_RUNS 3u
#define LIST_CAP_MIN 2u /* most groups are idle, and there may be ten thousand */
#define LIST_KEPT 64u
#define RUN_BYTES_MAX (16 * KIB) /* a longer stretch is split, so that a walk stays short */

/* --- The table ------------------------------------------------------------------------------ */

static uint32_t hash_id(uint32_t id)
{
    return (uint32_t)(((uint64_t)id * 0x9e3779b97f4a7c15u) >> 32);
}

static uint32_t slot_of(const struct groups *groups, uint32_t id)
{
    uint32_t i = hash_id(id) & (groups->cap - 1);
    while (groups->slots[i].group != NULL && groups->slots[i].id != id) {
        i = (i + 1) & (groups->cap - 1);
    }
    return i;
}

struct group *groups_find(const struct groups *groups, uint32_t id)
{
    return groups->cap == 0 ? NULL : groups->slots[slot_of(groups, id)].group;
}

static void groups_grow(struct groups *groups)
{
    struct groups wider = { .cap = groups->cap == 0 ? 16 : groups->cap * 2 };
    wider.slots = qr_zalloc(wider.cap * sizeof *wider.slots);
    wider.count = groups->count;
    for (uint32_t i = 0; i < groups->cap; i++) {
        if (groups->slots[i].group != NULL) {
            wider.slots[slot_of(&wider, groups->slots[i].id)] = groups->slots[i];
        }
    }
    free(groups->slots);
    *groups = wider;
}

struct group *groups_get(struct groups *groups, uint32_t id)
{
    struct group *g = groups_find(groups, id);
    if (g != NULL) {
        return g;
    }
    qr_assert(groups->count < LOG_GROUPS_MAX); /* R4: whoever places groups keeps to it */
    if (groups->count * 2 >= groups->cap) {
        groups_grow(groups);
    }
    g = qr_zalloc_lines(sizeof(*g));
    g->id = id;
    groups->slots[slot_of(groups, id)] = (struct group_place){ .group = g, .id = id };
    groups->count++;
    return g;
}

struct group *groups_next(const struct groups *groups, uint32_t *at)
{
    while (*at < groups->cap) {
        struct group *g = groups->slots[(*at)++].group;
        if (g != NULL) {
            return g;
        }
    }
    return NULL;
}

static void group_free(struct group *g)
{
    free(g->runs);
    free(g->terms);
    free(g->members);
    free(g->patches);
    free(g->state);
    free(g->ages);
    free(g);
}

/* Whoever stands behind the gap moves into it, if it is on the way from his own place. */
void groups_forget(struct groups *groups, struct group *g)
{
    uint32_t mask = groups->cap - 1;
    uint32_t gap = slot_of(groups, g->id);
    qr_assert(groups->slots[gap].group == g);
    for (uint32_t i = (gap + 1) & mask; groups->slots[i].group != NULL; i = (i + 1) & mask) {
        uint32_t home = hash_id(groups->slots[i].id) & mask;
        if (((i - home) & mask) >= ((i - gap) & mask)) {
            groups->slots[gap] = groups->slots[i];
            gap = i;
        }
    }
    groups->slots[gap] = (struct group_place){ .group = NULL };
    groups->count--;
    group_free(g);
}

void groups_free(struct groups *groups)
{
    struct group *g;
    for (uint32_t at = 0; (g = groups_next(groups, &at)) != NULL;) {
        group_free(g);
    }
    free(groups->slots);
    *groups = (struct groups){ 0 };
}

/* --- Lists that lose their front and their back --------------------------------------------- */

/* Makes room for one more behind head + count; returns the new block. */
static void *list_room(void *v, uint32_t *head, uint32_t count, uint32_t *cap, size_t size)
{
    if (*head + count < *cap) {
        return v;
    }
    if (*head > count) { /* more dead than alive: move instead of growing */
        memmove(v, (char *)v + *head * size, count * size);
        *head = 0;
        return v;
    }
    *cap = *cap == 0 ? LIST_CAP_MIN : *cap * 2;
    return qr_realloc(v, *cap * size);
}

/* Gives back what a list that was once long does not need any more. */
static void *list_shrink(void *v, uint32_t *head, uint32_t count, uint32_t *cap, size_t size)
{
    if (*cap <= LIST_KEPT || count >= *cap / 4) {
        return v;
    }
    memmove(v, (char *)v + *head * size, count * size);
    *head = 0;
    *cap = count * 2 > LIST_CAP_MIN ? count * 2 : LIST_CAP_MIN;
    return qr_realloc(v, *cap * size);
}

static void runs_push(struct group *g, struct run run)
{
    g->runs = list_room(g->runs, &g->run_head, g->run_count, &g->run_cap, sizeof(run));
    g->runs[g->run_head + g->run_count++] = run;
}

static void terms_push(struct group *g, qr_slot slot, qr_term term)
{
    qr_assert(term >= g->last_term);
    if (g->term_count > 0 && term == g->last_term) {
        return;
    }
    g->last_term = term;
    g->terms =
        list_room(g->terms, &g->term_head, g->term_count, &g->term_cap, sizeof(struct term_run));
    g->terms[g->term_head + g->term_count++] = (struct term_run){ .slot = slot, .term = term };
}

/* --- One group ------------------------------------------------------------------------------ */

qr_term group_last_term(const struct group *g)
{
    return g->last_term;
}

void group_append(struct group *g, qr_slot slot, qr_term term, uint64_t offset, uint32_t bytes)
{
    qr_assert(slot == g->last_slot + 1);
    terms_push(g, slot, term);
    g->last_slot = slot;
    if (g->run_count > 0) {
        struct run *last = &g->runs[g->run_head + g->run_count - 1];
        if (last->offset + last->bytes == offset && last->slot + last->count == slot &&
            last->count < RUN_ENTRIES_MAX && last->bytes < RUN_BYTES_MAX) {
            last->bytes += bytes;
            last->count++;
            return;
        }
    }
    runs_push(g, (struct run){ .slot = slot, .offset = offset, .bytes = bytes, .count = 1 });
}

void group_note_members(struct group *g, qr_slot slot)
{
    qr_assert(slot > g->base_slot && slot <= g->last_slot);
    if (g->members_count == g->members_cap) {
        g->members_cap = g->members_cap == 0 ? LIST_CAP_MIN : g->members_cap * 2;
        g->members = qr_realloc(g->members, g->members_cap * sizeof(qr_slot));
    }
    uint32_t i = g->members_count++;
    for (; i > 0 && g->members[i - 1] > slot; i--) {
        g->members[i] = g->members[i - 1];
    }
    g->members[i] = slot;
}

/* Forgets those outside (lo, hi]. */
static void members_keep(struct group *g, qr_slot lo, qr_slot hi)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < g->members_count; i++) {
        if (g->members[i] > lo && g->members[i] <= hi) {
            g->members[kept++] = g->members[i];
        }
    }
    g->members_count = kept;
}

void group_missing(struct group *g, qr_slot last, qr_term term)
{
    qr_assert(last > g->last_slot);
    qr_slot from = g->last_slot + 1;
    terms_push(g, from, max_u64(term, group_last_term(g)));
    g->last_slot = last;
    runs_push(g, (struct run){ .slot = from, .offset = RUN_MISSING });
}

void group_hole(struct group *g, qr_slot last, qr_term term, bool exact)
{
    group_missing(g, last, term);
    struct run *run = &g->runs[g->run_head + g->run_count - 1];
    run->offset = RUN_HOLE;
    run->count = exact ? 1 : 0;
}

void group_reset(struct group *g, qr_slot slot, qr_term term)
{
    g->run_head = g->run_count = 0;
    g->term_head = g->term_count = 0;
    g->members_count = 0;
    g->patches_count = 0;
    g->base_slot = g->last_slot = slot;
    g->base_term = g->last_term = term;
    g->runs = list_shrink(g->runs, &g->run_head, 0, &g->run_cap, sizeof(struct run));
}

void group_truncate(struct group *g, qr_slot from)
{
    qr_assert(from > g->base_slot);
    if (from > g->last_slot) {
        return;
    }
    if (from == g->base_slot + 1) { /* a run that began before the base would stay behind */
        group_reset(g, g->base_slot, g->base_term);
        return;
    }
    while (g->run_count > 0 && g->runs[g->run_head + g->run_count - 1].slot >= from) {
        g->run_count--;
    }
    while (g->term_count > 0 && g->terms[g->term_head + g->term_count - 1].slot >= from) {
        g->term_count--;
    }
    qr_assert(g->term_count > 0);
    g->last_term = g->terms[g->term_head + g->term_count - 1].term;
    g->last_slot = from - 1;
    members_keep(g, g->base_slot, g->last_slot);
    group_keep_patches(g, g->base_slot, g->last_slot);
}

void group_trim(struct group *g, qr_slot upto, qr_term term)
{
    if (upto <= g->base_slot) {
        return;
    }
    if (upto >= g->last_slot) {
        group_reset(g, upto, term);
        return;
    }
    g->base_slot = upto;
    g->base_term = term;
    while (g->run_count > 1 && group_run(g, 1)->slot <= upto + 1) {
        g->run_head++;
        g->run_count--;
    }
    while (g->term_count > 1 && g->terms[g->term_head + 1].slot <= upto + 1) {
        g->term_head++;
        g->term_count--;
    }
    qr_assert(g->run_count > 0 && group_run(g, 0)->slot <= upto + 1);
    g->terms[g->term_head].slot = upto + 1;
    g->runs = list_shrink(g->runs, &g->run_head, g->run_count, &g->run_cap, sizeof(struct run));
    members_keep(g, upto, g->last_slot);
    group_keep_patches(g, upto, g->last_slot);
}

void group_carry_begin(struct group *g)
{
    g->run_head = g->run_count = 0;
    g->patches_count = 0;
}

void group_carry(struct group *g, qr_slot slot, uint64_t offset, uint32_t bytes)
{
    qr_assert(slot > g->base_slot && slot <= g->last_slot);
    qr_assert(g->run_count == 0 || group_run(g, g->run_count - 1)->slot + 1 == slot);
    runs_push(g, (struct run){ .slot = slot, .offset = offset, .bytes = bytes, .count = 1 });
}

void group_set_state(struct group *g, struct span state)
{
    if (state.n > g->state_cap) {
        g->state = qr_realloc(g->state, state.n);
        g->state_cap = (uint32_t)state.n;
    }
    if (state.n > 0) {
        memcpy(g->state, state.p, state.n);
    }
    g->state_n = (uint32_t)state.n;
}

uint64_t group_first_offset(const struct group *g)
{
    uint64_t first = RUN_MISSING;
    for (uint32_t i = 0; i < g->run_count && first == RUN_MISSING; i++) {
        first = run_is_lost(group_run(g, i)) ? RUN_MISSING : group_run(g, i)->offset;
    }
    for (uint32_t i = 0; i < g->patches_count; i++) {
        first = min_u64(first, g->patches[i].offset);
    }
    return first;
}

uint32_t group_find_run(const struct group *g, qr_slot slot)
{
    qr_assert(slot > g->base_slot && slot <= g->last_slot);
    uint32_t lo = 0;
    uint32_t hi = g->run_count; /* the answer is in [lo, hi) */
    /* What is sent and applied was appended just now, mostly: the end first. */
    for (uint32_t i = 1; i <= NEAR_RUNS && i <= hi; i++) {
        if (group_run(g, hi - i)->slot <= slot) {
            return hi - i;
        }
    }
    while (hi - lo > 1) {
        uint32_t middle = lo + (hi - lo) / 2;
        if (group_run(g, middle)->slot <= slot) {
            lo = middle;
        } else {
            hi = middle;
        }
    }
    qr_assert(group_run(g, lo)->slot <= slot);
    return lo;
}
