#include "protocol/raft/trail.h"

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
    while (t->runs[i].slot > slot) {
        qr_assert(i > 0); /* T1 */
        i--;
    }
    return i;
}

qr_term trail_term(const struct trail *t, qr_slot slot)
{
    qr_assert(trail_knows(t, slot));
    return slot == t->base_slot ? t->base_term : t->runs[run_of(t, slot)].term;
}

qr_term trail_last_term(const struct trail *t)
{
    return trail_term(t, t->last_slot);
}

qr_slot trail_run_end(const struct trail *t, qr_slot slot)
{
    uint32_t i = run_of(t, slot);
    return i + 1 < t->count ? t->runs[i + 1].slot : t->last_slot + 1;
}

qr_slot trail_last_within(const struct trail *t, qr_slot slot, qr_term term)
{
    qr_assert(slot >= t->base_slot);
    slot = min_u64(slot, t->last_slot);
    while (slot > t->base_slot) {
        struct term_run run = t->runs[run_of(t, slot)];
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

bool trail_has_room(const struct trail *t, qr_term term, qr_slot commit)
{
    if (t->count < TRAIL_RUNS || trail_last_term(t) == term) {
        return true;
    }
    return t->runs[1].slot - 1 <= commit;
}

static void forget_first_run(struct trail *t)
{
    qr_assert(t->count > 1);
    trail_trim(t, t->runs[1].slot - 1);
}

void trail_append(struct trail *t, qr_slot hi, qr_term term)
{
    qr_assert(hi > t->last_slot + 1);
    qr_assert(term >= trail_last_term(t)); /* terms never fall along a log */
    if (t->count == 0 || t->runs[t->count - 1].term != term) {
        if (t->count == TRAIL_RUNS) {
            forget_first_run(t); /* T3 */
        }
        t->runs[t->count++] = (struct term_run){ .slot = t->last_slot + 1, .term = term };
    }
    t->last_slot = hi - 1;
}

void trail_load(struct trail *t, qr_slot base_slot, qr_term base_term, qr_slot last_slot,
                const struct term_run *runs, uint32_t count)
{
    *t = (struct trail){ .base_slot = base_slot, .base_term = base_term, .last_slot = base_slot };
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
    while (t->count > 0 && t->runs[t->count - 1].slot >= from) {
        t->count--;
    }
    t->last_slot = from - 1;
}

void trail_trim(struct trail *t, qr_slot upto)
{
    qr_term term = trail_term(t, upto);
    uint32_t gone = 0;
    while (gone < t->count && t->runs[gone].slot <= upto) {
        gone++;
    }
    bool goes_on =
        gone > 0 && upto < t->last_slot && (gone == t->count || t->runs[gone].slot > upto + 1);
    if (goes_on) {
        gone--; /* the run that holds `upto` goes on behind it */
        t->runs[gone].slot = upto + 1;
    }
    t->count -= gone;
    memmove(t->runs, t->runs + gone, t->count * sizeof t->runs[0]);
    t->base_slot = upto;
    t->base_term = term;
}

void trail_check(const struct trail *t)
{
    qr_assert(t->last_slot >= t->base_slot);                         /* T2 */
    qr_assert((t->count > 0) == (t->last_slot > t->base_slot));      /* T2 */
    qr_assert(t->count == 0 || t->runs[0].slot == t->base_slot + 1); /* T1 */
    qr_term term = t->base_term;
    for (uint32_t i = 0; i < t->count; i++) {
        qr_assert(t->runs[i].term >= term);
        qr_assert(i == 0 || t->runs[i].term > t->runs[i - 1].term); /* T1 */
        qr_assert(i == 0 || t->runs[i].slot > t->runs[i - 1].slot); /* T1 */
        qr_assert(t->runs[i].slot <= t->last_slot);
        term = t->runs[i].term;
    }
}
