/* Positions in histories of which ends may be lost (src/cluster/position.h). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "cluster/position.h"

static struct lineage counted(void)
{
    return (struct lineage){ .counted = true };
}

static void test_without_losses_a_position_is_a_slot(void **state)
{
    (void)state;
    struct lineage none = counted();
    uint16_t count = 9;
    assert_int_equal(position_of(0, 4711), 4711);
    assert_true(losses_by(&none, 3, &count));
    assert_int_equal(count, 0);
    assert_int_equal(position_here(&none, 0, 4711), 4711);
    qr_slot known = 7;
    assert_true(position_join(NULL, &known, 9));
    assert_true(position_join(NULL, &known, 8));
    assert_int_equal(known, 9);
}

static void test_O2_what_each_loss_kept_is_there_and_nothing_else(void **state)
{
    (void)state;
    struct lineage l = counted();
    losses_add(&l, 5, 100);
    losses_add(&l, 8, 80);
    losses_add(&l, 9, 120);
    assert_int_equal(position_here(&l, 3, position_of(0, 80)), 80);
    assert_int_equal(position_here(&l, 3, position_of(0, 81)), POSITION_NEVER);
    assert_int_equal(position_here(&l, 1, position_of(0, 100)), 100);
    assert_int_equal(position_here(&l, 1, position_of(0, 101)), POSITION_NEVER);
    assert_int_equal(position_here(&l, 3, position_of(2, 120)), 120);
    assert_int_equal(position_here(&l, 3, position_of(2, 121)), POSITION_NEVER);
    assert_int_equal(position_here(&l, 3, position_of(3, 500)), 500); /* to be waited for */
    assert_int_equal(position_here(&l, 2, position_of(3, 1)), POSITION_NEVER); /* it lacks one */
}

static void test_a_term_has_the_losses_up_to_it(void **state)
{
    (void)state;
    struct lineage l = counted();
    uint16_t count;
    losses_add(&l, 5, 100);
    losses_add(&l, 8, 80);
    assert_true(losses_by(&l, 4, &count));
    assert_int_equal(count, 0);
    assert_true(losses_by(&l, 5, &count));
    assert_int_equal(count, 1);
    assert_true(losses_by(&l, 7, &count));
    assert_int_equal(count, 1);
    assert_true(losses_by(&l, 12, &count));
    assert_int_equal(count, 2);
}

static void test_O2_of_losses_that_are_not_listed_any_more_nothing_is_known(void **state)
{
    (void)state;
    struct lineage l = counted();
    uint16_t count;
    for (uint32_t i = 0; i < LOSSES_LISTED + 2; i++) {
        losses_add(&l, 10 + i, 1000 + i);
    }
    assert_int_equal(position_here(&l, l.count, position_of(1, 1)), POSITION_NEVER);
    assert_int_equal(position_here(&l, l.count, position_of(2, 1002)), 1002);
    assert_false(losses_by(&l, 11, &count));
    assert_true(losses_by(&l, 12, &count));
    assert_int_equal(count, 3);
    l.count = POSITION_LOSSES_MAX;
    assert_false(losses_by(&l, 100, &count));
    assert_int_equal(position_here(&l, l.count, position_of(l.count, 1)), POSITION_NEVER);
}

static void test_O4_who_does_not_count_knows_nothing(void **state)
{
    (void)state;
    struct lineage l = { .counted = false };
    uint16_t count;
    assert_false(losses_by(&l, 4, &count));
    assert_int_equal(position_here(&l, 0, 1), POSITION_NEVER);
}

static void test_two_positions_become_one_and_what_is_lost_stays_so(void **state)
{
    (void)state;
    struct lineage l = counted();
    losses_add(&l, 5, 100);
    qr_slot known = position_of(0, 90);
    assert_true(position_join(&l, &known, position_of(1, 70)));
    assert_int_equal(known, position_of(1, 90));
    known = position_of(0, 101);
    assert_true(position_join(&l, &known, position_of(1, 300)));
    assert_int_equal(known, position_of(0, 101));
    assert_int_equal(position_here(&l, 1, known), POSITION_NEVER);
    known = position_of(1, 300); /* shown by one that has not heard of the loss */
    assert_true(position_join(&l, &known, position_of(0, 101)));
    assert_int_equal(known, position_of(0, 101));
    known = position_of(0, 90); /* the map here has not */
    assert_false(position_join(&l, &known, position_of(2, 70)));
    assert_int_equal(known, position_of(0, 90));
    known = 0;
    assert_true(position_join(&l, &known, position_of(2, 70)));
    assert_int_equal(known, position_of(2, 70));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_without_losses_a_position_is_a_slot),
        cmocka_unit_test(test_O2_what_each_loss_kept_is_there_and_nothing_else),
        cmocka_unit_test(test_a_term_has_the_losses_up_to_it),
        cmocka_unit_test(test_O2_of_losses_that_are_not_listed_any_more_nothing_is_known),
        cmocka_unit_test(test_O4_who_does_not_count_knows_nothing),
        cmocka_unit_test(test_two_positions_become_one_and_what_is_lost_stays_so),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
