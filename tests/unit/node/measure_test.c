/* What a node counts about itself. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "node/measure.h"
#include "protocol/protocol.h"

static struct measure *m;

static int begin(void **state)
{
    (void)state;
    m = measure_new();
    return 0;
}

static int end(void **state)
{
    (void)state;
    measure_free(m);
    return 0;
}

static void error(const char *reply)
{
    measure_error(m, span_of(reply, strlen(reply)));
}

static void test_errors_are_counted_by_their_first_word(void **state)
{
    (void)state;
    error("-WRONGTYPE Operation against\r\n");
    error("-ERR a\r\n");
    error("-ERR b\r\n");
    error("-NOAUTH\r\n");
    error("-\r\n");
    assert_int_equal(m->error_codes, 4);
    assert_string_equal(m->errors[0].code, "");
    assert_string_equal(m->errors[1].code, "ERR"); /* in order, as Redis shows them */
    assert_int_equal(m->errors[1].count, 2);
    assert_string_equal(m->errors[2].code, "NOAUTH");
    assert_string_equal(m->errors[3].code, "WRONGTYPE");
}

static void test_codes_are_bounded_R4(void **state)
{
    (void)state;
    for (unsigned i = 0; i < ERROR_CODES_MAX + 10; i++) {
        char text[32];
        (void)snprintf(text, sizeof text, "-CODE%u x\r\n", 1000 - i);
        error(text);
        error(text);
    }
    assert_int_equal(m->error_codes, ERROR_CODES_MAX);
    assert_int_equal(m->other_errors, 20);
    char longest[100] = "-";
    memset(longest + 1, 'X', 90);
    measure_reset(m);
    error(longest);
    assert_int_equal(strlen(m->errors[0].code), ERROR_CODE_BYTES - 1);
}

static void test_stalls_are_turns_longer_than_their_level(void **state)
{
    (void)state;
    measure_turn(m, 1000);
    assert_int_equal(m->stalls[0], 0);
    measure_turn(m, 1001);
    measure_turn(m, 20001);
    measure_turn(m, 5 * 1000 * 1000);
    assert_int_equal(m->stalls[0], 3);
    assert_int_equal(m->stalls[1], 2);
    assert_int_equal(m->stalls[2], 2);
    assert_int_equal(m->stalls[3], 1);
    assert_int_equal(m->turn_usec.count, 4);
    assert_int_equal(m->turn_usec.max, 5000000);
}

static void test_one_append_at_a_time_is_watched(void **state)
{
    struct outlook outlook = { .role = ROLE_LEADER };
    (void)state;
    measure_append(m, 1, 3, 10, 100);
    measure_append(m, 1, 1, 11, 150); /* the first one counts */
    outlook.member[1].match = 9;
    measure_acks(m, &outlook, 3, 200);
    assert_null(m->append_usec[1]);
    outlook.member[1].match = 11;
    measure_acks(m, &outlook, 3, 300);
    measure_acks(m, &outlook, 3, 400);
    assert_int_equal(m->append_usec[1]->count, 1);
    assert_int_equal(m->append_usec[1]->sum, 200);
    assert_int_equal(m->records_per_append.sum, 4);
}

static void test_who_leads_no_more_does_not_wait_for_an_answer(void **state)
{
    struct outlook outlook = { .role = ROLE_LEADER };
    (void)state;
    measure_append(m, 1, 1, 10, 100);
    outlook.role = ROLE_FOLLOWER;
    measure_acks(m, &outlook, 3, 200);
    outlook.role = ROLE_LEADER;
    outlook.member[1].match = 50;
    measure_acks(m, &outlook, 3, 1000000);
    assert_null(m->append_usec[1]);
}

static void test_reset_begins_anew(void **state)
{
    (void)state;
    measure_latency(m, command_at(0), 5);
    measure_latency(m, command_at(0), -5); /* clocks are read at different moments */
    assert_int_equal(m->latency[0]->count, 2);
    measure_append(m, 1, 1, 10, 100);
    error("-ERR\r\n");
    measure_reset(m);
    assert_null(m->latency[0]);
    assert_int_equal(m->error_codes, 0);
    assert_int_equal(m->watched[1].slot, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_errors_are_counted_by_their_first_word, begin, end),
        cmocka_unit_test_setup_teardown(test_codes_are_bounded_R4, begin, end),
        cmocka_unit_test_setup_teardown(test_stalls_are_turns_longer_than_their_level, begin, end),
        cmocka_unit_test_setup_teardown(test_one_append_at_a_time_is_watched, begin, end),
        cmocka_unit_test_setup_teardown(test_who_leads_no_more_does_not_wait_for_an_answer, begin,
                                        end),
        cmocka_unit_test_setup_teardown(test_reset_begins_anew, begin, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
