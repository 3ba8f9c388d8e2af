/* Commands in a heap (node/heap.c), against a list that is searched. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/rng.h"
#include "node/heap.h"
#include "node/stream.h"

#define MANY 300u

static struct pending_heap heap;
static struct pending all[MANY];

static enum heap_kind kind;

static int begin(void **state)
{
    (void)state;
    memset(all, 0, sizeof all);
    for (uint32_t i = 0; i < MANY; i++) {
        all[i].heap_place[kind == HEAP_TIMES ? HEAP_SLOTS : HEAP_TIMES] = 77; /* in another one */
    }
    heap.kind = kind;
    return 0;
}

static int begin_slots(void **state)
{
    kind = HEAP_SLOTS;
    return begin(state);
}

static int end(void **state)
{
    (void)state;
    heap_free(&heap);
    assert_true(heap.v == NULL && heap.n == 0 && heap.cap == 0);
    return 0;
}

static qr_time soonest(void)
{
    qr_time at = QR_NEVER;
    for (uint32_t i = 0; i < MANY; i++) {
        bool in = all[i].heap_place[kind] != 0;
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
        assert_int_equal(heap.v[i].p->heap_place[kind], i + 1);
        assert_int_equal(heap.v[i].p->heap_place[HEAP_KINDS - 1 - kind], 77);
        assert_true(i == 0 || heap.v[(i - 1) / 2].p->wants.expires <= heap.v[i].p->wants.expires);
    }
    assert_int_equal(heap_least(&heap), soonest());
}

static void test_who_ends_first_is_at_hand_whoever_comes_and_goes(void **state)
{
    (void)state;
    struct rng rng = rng_from(7);
    uint32_t n = 0;
    for (uint32_t step = 0; step < 20000; step++) {
        struct pending *p = &all[rng_next(&rng) % MANY];
        bool comes = step / 2000 % 2 == 0 ? rng_next(&rng) % 4 != 0 : rng_next(&rng) % 4 == 0;
        if (p->heap_place[kind] == 0 && comes) {
            p->wants.expires = 1 + (qr_time)(rng_next(&rng) % 500); /* many at the same time */
            heap_add(&heap, p, p->wants.expires);
            n++;
        } else if (!comes) {
            n -= p->heap_place[kind] != 0 ? 1 : 0;
            heap_remove(&heap, p);
            assert_int_equal(p->heap_place[kind], 0);
        }
        check(n);
    }
    assert_true(n > 0);
}

static void test_it_is_due_at_its_end_and_not_before(void **state)
{
    (void)state;
    assert_null(heap_upto(&heap, QR_NEVER));
    assert_int_equal(heap_least(&heap), QR_NEVER);
    all[0].wants.expires = 20;
    all[1].wants.expires = 10;
    heap_add(&heap, &all[0], 20);
    heap_add(&heap, &all[1], 10);
    assert_null(heap_upto(&heap, 9));
    assert_ptr_equal(heap_upto(&heap, 10), &all[1]);
    assert_ptr_equal(heap_upto(&heap, 30), &all[1]);
    heap_remove(&heap, &all[1]);
    heap_remove(&heap, &all[1]); /* it is in it no more */
    assert_null(heap_upto(&heap, 19));
    assert_ptr_equal(heap_upto(&heap, 20), &all[0]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_who_ends_first_is_at_hand_whoever_comes_and_goes,
                                        begin, end),
        cmocka_unit_test_setup_teardown(test_it_is_due_at_its_end_and_not_before, begin, end),
        cmocka_unit_test_setup_teardown(test_who_ends_first_is_at_hand_whoever_comes_and_goes,
                                        begin_slots, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
