/* Who is right where digests differ (U27). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "node/digests.h"

static struct digests d;
static node_index other;

static int begin(void **state)
{
    (void)state;
    digests_free(&d);
    d = (struct digests){ 0 };
    other = NODE_NONE;
    return 0;
}

static void test_what_nobody_tells_is_unknown(void **state)
{
    (void)state;
    assert_int_equal(digests_judge(&d, 5, &other), DIGEST_UNKNOWN);
    digests_own(&d, 5, 1);
    assert_int_equal(digests_judge(&d, 5, &other), DIGEST_UNKNOWN);
    digests_told(&d, 1, 6, 2); /* of another slot */
    assert_int_equal(digests_judge(&d, 5, &other), DIGEST_UNKNOWN);
    assert_int_equal(digests_judge(&d, 6, &other), DIGEST_UNKNOWN);
    assert_int_equal(d.compared, 0);
}

static void test_scenario_49_one_of_three_is_outvoted_by_two(void **state)
{
    (void)state;
    digests_own(&d, 5, 1);
    digests_told(&d, 1, 5, 2);
    assert_int_equal(digests_judge(&d, 5, &other), DIGEST_DISPUTED);
    assert_int_equal(other, 1);
    digests_told(&d, 2, 5, 2);
    assert_int_equal(digests_judge(&d, 5, &other), DIGEST_OUTVOTED);
    assert_int_equal(d.differed, 2);
}

static void test_the_other_two_are_not_outvoted_by_one(void **state)
{
    (void)state;
    digests_own(&d, 5, 2);
    digests_told(&d, 1, 5, 2);
    assert_int_equal(digests_judge(&d, 5, &other), DIGEST_AGREES);
    digests_told(&d, 2, 5, 1);
    assert_int_equal(digests_judge(&d, 5, &other), DIGEST_UPHELD);
    assert_int_equal(other, 2);
}

static void test_two_replicas_cannot_tell(void **state)
{
    (void)state;
    digests_own(&d, 5, 1);
    digests_told(&d, 1, 5, 2);
    assert_int_equal(digests_judge(&d, 5, &other), DIGEST_DISPUTED);
}

static void test_without_a_majority_nobody_is_outvoted(void **state)
{
    (void)state;
    digests_own(&d, 5, 1); /* three of a kind differ from each other */
    digests_told(&d, 1, 5, 2);
    digests_told(&d, 2, 5, 3);
    assert_int_equal(digests_judge(&d, 5, &other), DIGEST_DISPUTED);
    digests_own(&d, 6, 1); /* two against two, and two camps of two against one */
    digests_told(&d, 1, 6, 1);
    digests_told(&d, 2, 6, 2);
    digests_told(&d, 3, 6, 2);
    assert_int_equal(digests_judge(&d, 6, &other), DIGEST_DISPUTED);
    digests_own(&d, 7, 1);
    digests_told(&d, 1, 7, 2);
    digests_told(&d, 2, 7, 2);
    digests_told(&d, 3, 7, 3);
    digests_told(&d, 4, 7, 3);
    assert_int_equal(digests_judge(&d, 7, &other), DIGEST_DISPUTED);
    digests_told(&d, 5, 7, 2); /* three of six are not more than half */
    assert_int_equal(digests_judge(&d, 7, &other), DIGEST_DISPUTED);
    digests_told(&d, 6, 7, 2);
    assert_int_equal(digests_judge(&d, 7, &other), DIGEST_OUTVOTED);
}

static void test_the_first_word_counts_and_old_ones_go(void **state)
{
    (void)state;
    digests_own(&d, 5, 1);
    digests_told(&d, 1, 5, 1);
    for (uint32_t i = 0; i < DIGESTS_KEPT; i++) {
        digests_told(&d, 1, 5, 2);
    }
    assert_int_equal(digests_judge(&d, 5, &other), DIGEST_AGREES);
    for (qr_slot slot = 6; slot < 6 + DIGESTS_KEPT; slot++) {
        digests_told(&d, 1, slot, 7);
    }
    assert_int_equal(digests_judge(&d, 5, &other), DIGEST_UNKNOWN);
    digests_own(&d, 10, 8);
    assert_int_equal(digests_judge(&d, 10, &other), DIGEST_DISPUTED);
    digests_forget(&d, 1);
    assert_int_equal(digests_judge(&d, 10, &other), DIGEST_UNKNOWN);
    digests_told(&d, 1, 10, 9);
    digests_forget_own(&d);
    assert_int_equal(digests_judge(&d, 10, &other), DIGEST_UNKNOWN);
    digests_told(&d, 1, 0, 9); /* no slot at all */
    assert_int_equal(digests_judge(&d, 0, &other), DIGEST_UNKNOWN);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_what_nobody_tells_is_unknown, begin),
        cmocka_unit_test_setup(test_scenario_49_one_of_three_is_outvoted_by_two, begin),
        cmocka_unit_test_setup(test_the_other_two_are_not_outvoted_by_one, begin),
        cmocka_unit_test_setup(test_two_replicas_cannot_tell, begin),
        cmocka_unit_test_setup(test_without_a_majority_nobody_is_outvoted, begin),
        cmocka_unit_test_setup(test_the_first_word_counts_and_old_ones_go, begin),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
