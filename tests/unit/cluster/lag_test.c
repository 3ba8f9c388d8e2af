/* How far followers are behind (cluster/lag.h: A1 to A3). A leader adds 10 entries of 100 bytes in
 * each millisecond from 1 s on, behind slot 1000. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "cluster/lag.h"

#define MS QR_MILLISECOND
#define BEGIN (1000 * MS)
#define FIRST 1000u

static struct lag_marks marks;

static qr_slot last_at(qr_time t)
{
    return FIRST + (qr_slot)((t - BEGIN) / MS) * 10;
}

static void note_until(qr_time from, qr_time to, qr_time step)
{
    for (qr_time t = from; t <= to; t += step) {
        qr_slot last = last_at(t);
        lag_note(&marks, &(struct lag_mark){ t, last, (last - FIRST) * 100 });
    }
}

static int setup(void **state)
{
    (void)state;
    marks = (struct lag_marks){ 0 };
    return 0;
}

static void test_who_has_all_lacks_nothing(void **state)
{
    (void)state;
    assert_int_equal(lag_of(&marks, 0, BEGIN).ops, 0);
    note_until(BEGIN, BEGIN + 20 * MS, MS);
    struct lag lag = lag_of(&marks, last_at(BEGIN + 20 * MS), BEGIN + 30 * MS);
    assert_int_equal(lag.ops, 0);
    assert_int_equal(lag.bytes, 0);
    assert_int_equal(lag.age, 0);
}

static void test_what_is_lacked_is_counted_from_when_it_was_written(void **state)
{
    (void)state;
    note_until(BEGIN, BEGIN + 20 * MS, MS);
    struct lag lag = lag_of(&marks, last_at(BEGIN + 15 * MS), BEGIN + 30 * MS);
    assert_int_equal(lag.ops, 50);
    assert_int_equal(lag.bytes, 5000);
    assert_int_equal(lag.age, 14 * MS); /* the first one it lacks came at 16 */
    lag = lag_of(&marks, last_at(BEGIN + 15 * MS) + 5, BEGIN + 30 * MS);
    assert_int_equal(lag.ops, 45);
    assert_int_equal(lag.bytes, 4500); /* between two marks */
    assert_int_equal(lag.age, 14 * MS);
}

static void test_what_came_after_a_question_is_on_its_way(void **state)
{
    (void)state;
    note_until(BEGIN, BEGIN + 20 * MS, MS);
    assert_int_equal(lag_of(&marks, last_at(BEGIN + 15 * MS), BEGIN + 15 * MS).ops, 0);
    struct lag lag = lag_of(&marks, last_at(BEGIN + 15 * MS), BEGIN + 17 * MS);
    assert_int_equal(lag.ops, 20);
    assert_int_equal(lag.bytes, 2000);
    assert_int_equal(lag.age, 1 * MS);
}

static void test_marks_are_not_closer_than_the_grain(void **state)
{
    (void)state;
    note_until(BEGIN, BEGIN + 10 * MS, MS / 4);
    assert_int_equal(marks.n, 11);
    lag_note(&marks, &(struct lag_mark){ BEGIN + 20 * MS, last_at(BEGIN + 10 * MS), 10000 });
    assert_int_equal(marks.n, 11); /* nothing was added */
}

static void test_what_all_have_is_forgotten(void **state)
{
    (void)state;
    assert_true(lag_forget(&marks, 0));
    note_until(BEGIN, BEGIN + 20 * MS, MS);
    assert_false(lag_forget(&marks, FIRST - 1));
    assert_int_equal(marks.n, 21);
    assert_false(lag_forget(&marks, last_at(BEGIN + 15 * MS) + 5));
    assert_int_equal(marks.n, 6); /* one below it, from which bytes are counted */
    struct lag lag = lag_of(&marks, last_at(BEGIN + 15 * MS) + 5, BEGIN + 20 * MS);
    assert_int_equal(lag.ops, 45);
    assert_int_equal(lag.bytes, 4500);
    assert_int_equal(lag.age, 4 * MS);
    assert_true(lag_forget(&marks, last_at(BEGIN + 20 * MS)));
    assert_int_equal(marks.n, 1);
}

/* An hour of it, with followers that stopped at all sorts of times. */
static void test_any_age_is_told_to_a_third(void **state)
{
    (void)state;
    qr_time end = BEGIN + 3600 * QR_SECOND;
    note_until(BEGIN, end, MS);
    assert_int_equal(marks.n, LAG_MARKS);
    for (qr_time age = 2 * MS; age < 3000 * QR_SECOND; age += (age / 3 / MS + 1) * MS) {
        struct lag lag = lag_of(&marks, last_at(end - age), end);
        assert_in_range(lag.age, (age - MS) * 2 / 3, age - MS);
        assert_in_range(lag.ops, (uint64_t)(age / MS) * 10, (uint64_t)(age / MS) * 10);
        assert_in_range(lag.bytes, lag.ops * 99, lag.ops * 101);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_who_has_all_lacks_nothing, setup),
        cmocka_unit_test_setup(test_what_is_lacked_is_counted_from_when_it_was_written, setup),
        cmocka_unit_test_setup(test_what_came_after_a_question_is_on_its_way, setup),
        cmocka_unit_test_setup(test_marks_are_not_closer_than_the_grain, setup),
        cmocka_unit_test_setup(test_what_all_have_is_forgotten, setup),
        cmocka_unit_test_setup(test_any_age_is_told_to_a_third, setup),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
