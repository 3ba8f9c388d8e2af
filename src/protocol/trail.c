#include "protocol/trail.h"

struct term_run trail_run(const struct trail *t, uint32_t i)
{
    qr_assert(i < t->count);
    /* Differences of low halves are exact: T5. */
    uint32_t slots = t->runs[i].slot_low - (uint32_t)t->base_slot;
    uint32_t terms = t->runs[i].term_low - (uint32_t)t->base_term;
    return (struct term_run){ .slot = t->base_slot + slots, .term = t->base_term + terms };
}

bool trail_knows(const struct trail *t, qr_slot slot)
{
    return slot >= t->base_slot && slot <= t->last_slot;
}

/* The index of the run that holds a slot above the base. Recent slots are asked for most. */
static uint32_t run_of(const struct trail *t, qr_slot slot)
{
    qr_assert(slot > t->base_slot);
    qr_assert(slot <= t->last_slot);
    uint32_t i = t->count - 1;
    while (trail_run(t, i).slot > slot) {
        qr_assert(i > 0); /* T1 */
        i--;
    }
    return i;
}

qr_term trail_term(const struct trail *t, qr_slot slot)
{
    qr_assert(trail_knows(t, slot));
    if (slot == t->last_slot && t->count > 0) {
        return trail_run(t, t->count - 1).term;
    }
    return slot == t->base_slot ? t->base_term : trail_run(t, run_of(t, slot)).term;
}

qr_term trail_last_term(const struct trail *t)
{
    return trail_term(t, t->last_slot);
}

qr_slot trail_run_end(const struct trail *t, qr_slot slot)
{
    uint32_t i = run_of(t, slot);
    return i + 1 < t->count ? trail_run(t, i + 1).slot : t->last_slot + 1;
}

uint32_t trail_runs_behind(const struct trail *t, qr_slot slot)
{
    uint32_t n = 0;
    while (n < t->count && trail_run(t, t->count - 1 - n).slot > slot) {
        n++;
    }
    return n;
}

qr_slot trail_last_within(const struct trail *t, qr_slot slot, qr_term term)
{
    qr_assert(slot >= t->base_slot);
    slot = min_u64(slot, t->last_slot);
    while (slot > t->base_slot) {
        struct term_run run = trail_run(t, run_of(t, slot));
        if (run.term <= term) {
            return slot;
        }
        slot = run.slot - 1;
    }
    return t->base_slot;
}

qr_slot trail_first_difference(const struct trail *t, qr_slot lo, qr_slot hi, qr_term term)
{
    qr_assert(lo > t->base_slot);
    qr_assert(lo <= hi);
    qr_slot slot = lo;
    while (slot < hi && slot <= t->last_slot && trail_term(t, slot) == term) {
        slot = trail_run_end(t, slot);
    }
    return min_u64(slot, hi);
}

bool trail_has_room(const struct trail *t, qr_slot from, qr_term term, qr_slot commit)
{
    qr_assert(from > t->base_slot);
    qr_assert(from <= t->last_slot + 1);
    if (term - t->base_term > UINT32_MAX) {
        return false; /* T5 */
    }
    bool full = t->count == TRAIL_RUNS && trail_run(t, TRAIL_RUNS - 1).slot < from;
    if (!full || trail_term(t, from - 1) == term) {
        return true;
    }
    return trail_run(t, 1).slot - 1 <= commit;
}

static void forget_first_run(struct trail *t)
{
    qr_assert(t->count > 1);
    trail_trim(t, trail_run(t, 1).slot - 1);
}

void trail_append(struct trail *t, qr_slot hi, qr_term term)
{
    qr_assert(hi > t->last_slot + 1);
    qr_assert(term >= trail_last_term(t));        /* terms never fall along a log */
    qr_assert(hi - t->base_slot <= UINT32_MAX);   /* T5 */
    qr_assert(term - t->base_term <= UINT32_MAX); /* T5 */
    if (t->count == 0 || trail_last_term(t) != term) {
        if (t->count == TRAIL_RUNS) {
            forget_first_run(t); /* T3 */
        }
        t->runs[t->count++] = (struct trail_run){ .slot_low = (uint32_t)(t->last_slot + 1),
                                                  .term_low = (uint32_t)term };
    }
    t->last_slot = hi - 1;
}

void trail_reset(struct trail *t, qr_slot base_slot, qr_term base_term)
{
    *t = (struct trail){ .base_slot = base_slot, .base_term = base_term, .last_slot = base_slot };
}

void trail_load(struct trail *t, qr_slot base_slot, qr_term base_term, qr_slot last_slot,
                const struct term_run *runs, uint32_t count)
{
    trail_reset(t, base_slot, base_term);
    for (uint32_t i = 0; i < count; i++) {
        qr_assert(runs[i].slot == t->last_slot + 1);
        trail_append(t, i + 1 < count ? runs[i + 1].slot : last_slot + 1, runs[i].term);
    }
    qr_assert(t->last_slot == last_slot);
}

void trail_truncate(struct trail *t, qr_slot from)
{
    qr_assert(from > t->base_slot);
    qr_assert(from <= t->last_slot);
    while (t->count > 0 && trail_run(t, t->count - 1).slot >= from) {
        t->count--;
    }
    t->last_slot = from - 1;
}

void trail_trim(struct trail *t, qr_slot upto)
{
    qr_term term = trail_term(t, upto);
    uint32_t gone = 0;
    while (gone < t->count && trail_run(t, gone).slot <= upto) {
        gone++;
    }
    bool goes_on =
        gone > 0 && upto < t->last_slot && (gone == t->count || trail_run(t, gone).slot > upto + 1);
    if (goes_on) {
        gone--; /* the run that holds `upto` goes on behind it */
        t->runs[gone].slot_low = (uint32_t)(upto + 1);
    }
    t->count -= gone;
    memmove(t->runs, t->runs + gone, t->count * sizeof t->runs[0]);
    t->base_slot = upto;
    t->base_term = term;
}

void trail_check(const struct trail *t)
{
    qr_assert(t->last_slot >= t->base_slot);                              /* T2 */
    qr_assert((t->count > 0) == (t->last_slot > t->base_slot));           /* T2 */
    qr_assert(t->count == 0 || trail_run(t, 0).slot == t->base_slot + 1); /* T1 */
    struct term_run below = { .slot = t->base_slot, .term = t->base_term };
    for (uint32_t i = 0; i < t->count; i++) {
        struct term_run run = trail_run(t, i);
        qr_assert(run.slot > below.slot);                                   /* T1 */
        qr_assert(i == 0 ? run.term >= below.term : run.term > below.term); /* T1 */
        qr_assert(run.slot <= t->last_slot);
        below = run;
    }
}
