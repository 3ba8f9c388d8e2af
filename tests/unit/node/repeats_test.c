/* What is logged rarely (repeats.h). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "node/repeats.h"

static void test_a_text_is_told_once_and_then_now_and_then(void **state)
{
    (void)state;
    struct repeats repeats = { 0 };
    uint32_t more = 9;
    assert_true(repeats_due(&repeats, "a", 5, 100, &more));
    assert_int_equal(more, 0);
    assert_false(repeats_due(&repeats, "a", 6, 100, &more));
    assert_true(repeats_due(&repeats, "b", 7, 100, &more)); /* another one is not held back */
    assert_false(repeats_due(&repeats, "a", 104, 100, &more));
    assert_true(repeats_due(&repeats, "a", 105, 100, &more));
    assert_int_equal(more, 2);
    assert_false(repeats_due(&repeats, "a", 204, 100, &more));
}

/* Room is bounded (R4): what comes often stays, what was not seen for longest goes. */
static void test_what_goes_on_keeps_its_row_while_others_come(void **state)
{
    (void)state;
    struct repeats repeats = { 0 };
    uint32_t more;
    char other[24];
    assert_true(repeats_due(&repeats, "often", 1, 1000000, &more));
    for (int i = 2; i < 200; i++) {
        (void)snprintf(other, sizeof other, "once %d", i);
        assert_true(repeats_due(&repeats, other, i, 1000000, &more));
        assert_false(repeats_due(&repeats, "often", i, 1000000, &more));
    }
    assert_true(repeats_due(&repeats, "once 2", 200, 1000000, &more)); /* it was forgotten */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_text_is_told_once_and_then_now_and_then),
        cmocka_unit_test(test_what_goes_on_keeps_its_row_while_others_come),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
