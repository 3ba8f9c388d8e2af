/* The trail against a naive twin: an array with one term per slot. */
#include "base/rng.h"
#include "protocol/trail.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#define SLOTS 4096u

struct twin {
    qr_slot base, last;
    qr_term term[SLOTS]; /* by slot; what the trail forgets stays here */
};

static qr_slot twin_last_within(const struct twin *w, qr_slot slot, qr_term term)
{
    slot = min_u64(slot, w->last);
    while (slot > w->base && w->term[slot] > term) {
        slot--;
    }
    return slot;
}

static qr_slot twin_first_difference(const struct twin *w, qr_slot lo, qr_slot hi, qr_term term)
{
    while (lo < hi && lo <= w->last && w->term[lo] == term) {
        lo++;
    }
    return lo;
}

static void compare(const struct trail *t, const struct twin *w, struct rng *rng)
{
    trail_check(t);
    assert_int_equal(t->base_slot, w->base);
    assert_int_equal(t->last_slot, w->last);
    assert_false(trail_knows(t, w->last + 1));
    assert_true(w->base == 0 || !trail_knows(t, w->base - 1));
    for (qr_slot s = w->base; s <= w->last; s++) {
        assert_int_equal(trail_term(t, s), w->term[s]);
    }
    assert_int_equal(trail_last_term(t), w->term[w->last]);
    for (int i = 0; i < 4; i++) {
        qr_slot s = w->base + rng_below(rng, w->last - w->base + 8);
        qr_term term = rng_below(rng, w->term[w->last] + 3);
        assert_int_equal(trail_last_within(t, s, term), twin_last_within(w, s, term));
        qr_slot lo = w->base + 1 + rng_below(rng, w->last - w->base + 2);
        qr_slot hi = lo + rng_below(rng, 20);
        assert_int_equal(trail_first_difference(t, lo, hi, term),
                         twin_first_difference(w, lo, hi, term));
    }
}

static void append(struct trail *t, struct twin *w, qr_term term, uint64_t count)
{
    trail_append(t, w->last + 1 + count, term);
    for (uint64_t i = 0; i < count; i++) {
        w->term[++w->last] = term;
    }
    w->base = t->base_slot; /* a full trail forgets: checked by test_a_full_trail_forgets */
}

static void test_trail_equals_its_twin(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 60; seed++) {
        struct rng rng = rng_from(seed);
        struct trail t = { 0 };
        struct twin w = { 0 };
        trail_load(&t, 0, 0, 0, NULL, 0);
        while (w.last < 600) {
            uint64_t choice = rng_below(&rng, 10);
            if (choice < 7 || w.last == w.base) {
                qr_term term = w.term[w.last] + rng_below(&rng, 3) + (w.last == 0);
                append(&t, &w, term, 1 + rng_below(&rng, 6));
            } else if (choice < 9) {
                qr_slot from = w.last - rng_below(&rng, min_u64(w.last - w.base, 12));
                trail_truncate(&t, from);
                w.last = from - 1;
            } else {
                w.base += rng_below(&rng, w.last - w.base + 1);
                trail_trim(&t, w.base);
            }
            compare(&t, &w, &rng);
        }
    }
}

static void test_a_full_trail_forgets_its_oldest_run(void **state)
{
    (void)state;
    struct trail t = { 0 };
    trail_load(&t, 0, 0, 0, NULL, 0);
    for (qr_term term = 1; term <= TRAIL_RUNS; term++) {
        assert_true(trail_has_room(&t, t.last_slot + 1, term, 0));
        trail_append(&t, t.last_slot + 3, term); /* two entries each */
    }
    assert_true(trail_has_room(&t, t.last_slot + 1, TRAIL_RUNS, 0)); /* the last run goes on */
    /* Slot 2 of the first run may change; but the last run may be replaced. */
    assert_false(trail_has_room(&t, t.last_slot + 1, TRAIL_RUNS + 1, 1));
    assert_false(trail_has_room(&t, t.last_slot, TRAIL_RUNS + 1, 1));
    assert_true(trail_has_room(&t, t.last_slot - 1, TRAIL_RUNS + 1, 1));
    assert_true(trail_has_room(&t, t.last_slot + 1, TRAIL_RUNS + 1, 2));
    trail_append(&t, t.last_slot + 2, TRAIL_RUNS + 1);
    trail_check(&t);
    assert_int_equal(t.base_slot, 2);
    assert_int_equal(t.base_term, 1);
    assert_int_equal(trail_term(&t, 3), 2);
}

/* T4: what a restart forgets was forgotten before. */
static void test_loading_forgets_no_more_than_appending_did(void **state)
{
    (void)state;
    struct trail t = { 0 };
    struct term_run runs[3 * TRAIL_RUNS];
    uint32_t count = 0;
    trail_load(&t, 0, 0, 0, NULL, 0);
    for (qr_term term = 1; term <= 3 * TRAIL_RUNS; term++) {
        runs[count++] = (struct term_run){ .slot = t.last_slot + 1, .term = term };
        trail_append(&t, t.last_slot + 1 + term % 4 + 1, term);
    }
    struct trail again;
    trail_load(&again, 0, 0, t.last_slot, runs, count);
    assert_memory_equal(&again, &t, sizeof t);
    for (uint32_t lost = 1; lost <= 2 * TRAIL_RUNS;
         lost++) { /* the end of the log was not durable */
        trail_load(&again, 0, 0, runs[count - lost].slot - 1, runs, count - lost);
        assert_true(again.base_slot <= t.base_slot);
        trail_check(&again);
    }
}

static void test_run_end_and_trim_inside_a_run(void **state)
{
    (void)state;
    struct trail t = { 0 };
    const struct term_run runs[] = { { 11, 3 }, { 14, 5 }, { 15, 6 } };
    trail_load(&t, 10, 2, 16, runs, 3);
    assert_int_equal(trail_term(&t, 10), 2);
    assert_int_equal(trail_run_end(&t, 12), 14);
    assert_int_equal(trail_run_end(&t, 14), 15);
    assert_int_equal(trail_run_end(&t, 16), 17);
    trail_trim(&t, 12);
    assert_int_equal(t.base_term, 3);
    assert_int_equal(trail_run(&t, 0).slot, 13);
    trail_trim(&t, 13);
    assert_int_equal(trail_run(&t, 0).slot, 14);
    trail_trim(&t, 16);
    assert_int_equal(t.count, 0);
    assert_int_equal(trail_last_term(&t), 6);
    trail_append(&t, 18, 6);
    trail_check(&t);
}

/* T5: runs are kept by the low halves of their numbers. */
static void test_slots_and_terms_beyond_32_bits(void **state)
{
    (void)state;
    qr_slot base = (7ull << 32) - 3;
    qr_term term = (5ull << 32) - 2;
    struct trail t = { 0 };
    trail_load(&t, base, term, base, NULL, 0);
    for (uint64_t i = 1; i <= 6; i++) {
        trail_append(&t, t.last_slot + 3, term + i);
        trail_check(&t);
    }
    for (uint64_t i = 1; i <= 6; i++) {
        assert_int_equal(trail_term(&t, base + 2 * i), term + i);
        assert_int_equal(trail_run(&t, (uint32_t)i - 1).slot, base + 2 * i - 1);
    }
    assert_true(trail_has_room(&t, t.last_slot + 1, term + UINT32_MAX, 0));
    assert_false(trail_has_room(&t, t.last_slot + 1, term + UINT32_MAX + 1ull, 0));
    trail_trim(&t, base + 7);
    trail_check(&t);
    assert_int_equal(trail_last_term(&t), term + 6);
    assert_int_equal(trail_term(&t, base + 8), term + 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_trail_equals_its_twin),
        cmocka_unit_test(test_a_full_trail_forgets_its_oldest_run),
        cmocka_unit_test(test_loading_forgets_no_more_than_appending_did),
        cmocka_unit_test(test_run_end_and_trim_inside_a_run),
        cmocka_unit_test(test_slots_and_terms_beyond_32_bits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
