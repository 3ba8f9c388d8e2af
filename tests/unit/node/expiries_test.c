/* Ends of commands in a heap (node/expiries.c), against a list that is searched. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/rng.h"
#include "node/expiries.h"
#include "node/stream.h"

#define MANY 300u

static struct expiries heap;
static struct pending all[MANY];

static int begin(void **state)
{
    (void)state;
    memset(all, 0, sizeof all);
    return 0;
}

static int end(void **state)
{
    (void)state;
    expiries_free(&heap);
    assert_true(heap.heap == NULL && heap.n == 0 && heap.cap == 0);
    return 0;
}

static qr_time soonest(void)
{
    qr_time at = QR_NEVER;
    for (uint32_t i = 0; i < MANY; i++) {
        bool in = all[i].expiry_place != 0;
        at = in && all[i].wants.expires < at ? all[i].wants.expires : at;
    }
    return at;
}

/* Each knows its place, and nobody's end is before that of who stands above. */
static void check(uint32_t n)
{
    assert_int_equal(heap.n, n);
    assert_true(heap.n <= heap.cap);
    for (uint32_t i = 0; i < heap.n; i++) {
        assert_int_equal(heap.heap[i]->expiry_place, i + 1);
        assert_true(i == 0 || heap.heap[(i - 1) / 2]->wants.expires <= heap.heap[i]->wants.expires);
    }
    assert_int_equal(expiries_next(&heap), soonest());
}

static void test_who_ends_first_is_at_hand_whoever_comes_and_goes(void **state)
{
    (void)state;
    struct rng rng = rng_from(7);
    uint32_t n = 0;
    for (uint32_t step = 0; step < 20000; step++) {
        struct pending *p = &all[rng_next(&rng) % MANY];
        bool comes = step / 2000 % 2 == 0 ? rng_next(&rng) % 4 != 0 : rng_next(&rng) % 4 == 0;
        if (p->expiry_place == 0 && comes) {
            p->wants.expires = 1 + (qr_time)(rng_next(&rng) % 500); /* many at the same time */
            expiries_add(&heap, p);
            n++;
        } else if (!comes) {
            n -= p->expiry_place != 0 ? 1 : 0;
            expiries_remove(&heap, p);
            assert_int_equal(p->expiry_place, 0);
        }
        check(n);
    }
    assert_true(n > 0);
}

static void test_it_is_due_at_its_end_and_not_before(void **state)
{
    (void)state;
    assert_null(expiries_due(&heap, QR_NEVER));
    assert_int_equal(expiries_next(&heap), QR_NEVER);
    all[0].wants.expires = 20;
    all[1].wants.expires = 10;
    expiries_add(&heap, &all[0]);
    expiries_add(&heap, &all[1]);
    assert_null(expiries_due(&heap, 9));
    assert_ptr_equal(expiries_due(&heap, 10), &all[1]);
    assert_ptr_equal(expiries_due(&heap, 30), &all[1]);
    expiries_remove(&heap, &all[1]);
    expiries_remove(&heap, &all[1]); /* it is in it no more */
    assert_null(expiries_due(&heap, 19));
    assert_ptr_equal(expiries_due(&heap, 20), &all[0]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_who_ends_first_is_at_hand_whoever_comes_and_goes,
                                        begin, end),
        cmocka_unit_test_setup_teardown(test_it_is_due_at_its_end_and_not_before, begin, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
