/* What was believed of a node beside what was so (cluster/suspicions.h). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "cluster/suspicions.h"

#define MS QR_MILLISECOND
#define PEER 2
#define ONE 11u
#define TWO 12u

static struct suspicions s;

/* It was connected at one second, and has said which process it is. */
static int known(void **state)
{
    (void)state;
    suspicions_init(&s);
    suspicions_connected(&s, PEER, QR_SECOND);
    suspicions_process(&s, PEER, ONE);
    return 0;
}

static struct suspicion_figures at(qr_time now)
{
    return suspicions_figures(&s, PEER, now);
}

/* --- Q2 -------------------------------------------------------------------------------------- */

static void heard_again_on_its_connection_it_is_a_mistake(void **state)
{
    (void)state;
    suspicions_silent(&s, PEER, 1700 * MS, 2000 * MS);
    suspicions_silent(&s, PEER, 1700 * MS, 2025 * MS); /* told twice, begun once */
    suspicions_heard(&s, PEER, 2100 * MS);
    suspicions_heard(&s, PEER, 2200 * MS);
    suspicions_silent(&s, PEER, 2700 * MS, 3000 * MS);
    suspicions_heard(&s, PEER, 3050 * MS);
    struct suspicion_figures f = at(4000 * MS);
    assert_int_equal(f.silent, 2);
    assert_int_equal(f.closed, 0);
    assert_int_equal(f.mistakes, 2);
    assert_int_equal(f.mistaken, 150 * MS);
    assert_int_equal(f.mistaken_max, 100 * MS);
    assert_int_equal(f.trusted, 2850 * MS);
    assert_int_equal(f.failures + f.missed + f.unproven, 0);
    assert_int_equal(suspicion_accuracy(&f), 950000);
    assert_int_equal(suspicion_completeness(&f), 1000000); /* there was nothing to find */
}

static void the_same_process_on_another_connection_is_a_mistake(void **state)
{
    (void)state;
    suspicions_lost(&s, PEER, 1990 * MS, 2000 * MS);
    suspicions_lost(&s, PEER, 1990 * MS, 2001 * MS); /* by each of its connections */
    suspicions_connected(&s, PEER, 2300 * MS);
    assert_int_equal(at(2400 * MS).mistakes, 0); /* not known yet */
    suspicions_process(&s, PEER, ONE);
    suspicions_process(&s, PEER, ONE);
    struct suspicion_figures f = at(2400 * MS);
    assert_int_equal(f.closed, 1);
    assert_int_equal(f.mistakes, 1);
    assert_int_equal(f.mistaken, 300 * MS);
    assert_int_equal(f.trusted, 1100 * MS);
    assert_int_equal(f.failures, 0);
}

/* --- Q3, Q5 ---------------------------------------------------------------------------------- */

static void another_process_is_a_failure_that_was_found(void **state)
{
    (void)state;
    suspicions_lost(&s, PEER, 1990 * MS, 2000 * MS);
    suspicions_connected(&s, PEER, 9000 * MS);
    suspicions_process(&s, PEER, TWO);
    suspicions_silent(&s, PEER, 9700 * MS, 10000 * MS);
    suspicions_lost(&s, PEER, 9700 * MS, 11000 * MS); /* suspected since it was silent */
    suspicions_heard(&s, PEER, 11010 * MS);           /* what was under way proves nothing */
    suspicions_connected(&s, PEER, 12000 * MS);
    suspicions_process(&s, PEER, ONE);
    suspicions_silent(&s, PEER, 12500 * MS, 12550 * MS);
    suspicions_connected(&s, PEER, 13000 * MS); /* nobody saw the one before close */
    suspicions_process(&s, PEER, TWO);
    struct suspicion_figures f = at(13000 * MS);
    assert_int_equal(f.failures, 3);
    assert_int_equal(f.missed, 0);
    assert_int_equal(f.silent, 2);
    assert_int_equal(f.closed, 1);
    assert_int_equal(f.detection, 360 * MS);
    assert_int_equal(f.detection_max, 300 * MS);
    assert_int_equal(f.mistakes, 0);
    assert_int_equal(f.trusted, 2550 * MS);
    assert_int_equal(suspicion_accuracy(&f), 1000000);
}

/* --- Q4 -------------------------------------------------------------------------------------- */

static void another_process_that_nobody_expected_was_missed(void **state)
{
    (void)state;
    suspicions_connected(&s, PEER, 3000 * MS);
    suspicions_process(&s, PEER, TWO);
    struct suspicion_figures f = at(3500 * MS);
    assert_int_equal(f.missed, 1);
    assert_int_equal(f.failures, 0);
    assert_int_equal(f.trusted, 2500 * MS);
    assert_int_equal(suspicion_completeness(&f), 0);
    suspicions_connected(&s, PEER, 4000 * MS); /* the same one, by a newer connection */
    suspicions_process(&s, PEER, TWO);
    f = at(4000 * MS);
    assert_int_equal(f.missed, 1);
    assert_int_equal(f.mistakes + f.unproven, 0);
    suspicions_lost(&s, PEER, 4000 * MS, 4100 * MS);
    suspicions_connected(&s, PEER, 5000 * MS);
    suspicions_process(&s, PEER, ONE);
    f = at(5000 * MS);
    assert_int_equal(suspicion_completeness(&f), 500000);
}

/* --- What is not proven ---------------------------------------------------------------------- */

static void who_never_says_which_process_it_is_proves_nothing(void **state)
{
    (void)state;
    suspicions_init(&s);
    suspicions_connected(&s, PEER, QR_SECOND);
    suspicions_lost(&s, PEER, QR_SECOND, 2 * QR_SECOND);
    suspicions_connected(&s, PEER, 3 * QR_SECOND);
    suspicions_process(&s, PEER, ONE); /* and before? */
    struct suspicion_figures f = at(3 * QR_SECOND);
    assert_int_equal(f.unproven, 1);
    assert_int_equal(f.failures + f.mistakes + f.missed, 0);
    suspicions_lost(&s, PEER, 4 * QR_SECOND, 4 * QR_SECOND);
    suspicions_connected(&s, PEER, 5 * QR_SECOND);
    suspicions_lost(&s, PEER, 6 * QR_SECOND, 6 * QR_SECOND);
    suspicions_connected(&s, PEER, 7 * QR_SECOND); /* of the one between nothing is known */
    suspicions_process(&s, PEER, TWO);
    f = at(7 * QR_SECOND);
    assert_int_equal(f.unproven, 3);
    assert_int_equal(f.failures + f.mistakes + f.missed, 0);
}

static void a_connection_that_was_not_suspected_is_no_suspicion(void **state)
{
    (void)state;
    suspicions_init(&s);
    suspicions_connected(&s, PEER, QR_SECOND);
    suspicions_connected(&s, PEER, 2 * QR_SECOND);
    suspicions_process(&s, PEER, ONE);
    struct suspicion_figures f = at(2 * QR_SECOND);
    assert_int_equal(f.unproven + f.missed, 0);
}

/* It never was connected: nothing is believed of it. */
static void who_is_unknown_is_neither_trusted_nor_suspected(void **state)
{
    (void)state;
    suspicions_init(&s);
    suspicions_lost(&s, PEER, 0, QR_SECOND);
    suspicions_silent(&s, PEER, 0, QR_SECOND);
    suspicions_heard(&s, PEER, QR_SECOND);
    struct suspicion_figures f = at(2 * QR_SECOND);
    assert_int_equal(f.silent + f.closed + f.mistakes, 0);
    assert_int_equal(f.trusted, 0);
    suspicions_process(&s, PEER, ONE);
    assert_int_equal(at(QR_SECOND).missed, 0);
}

/* --- Figures --------------------------------------------------------------------------------- */

static void a_reset_zeroes_the_figures_and_nothing_else(void **state)
{
    (void)state;
    suspicions_silent(&s, PEER, 1700 * MS, 2000 * MS);
    suspicions_heard(&s, PEER, 2100 * MS);
    suspicions_reset(&s, 3000 * MS);
    struct suspicion_figures f = at(3100 * MS);
    assert_int_equal(f.silent + f.mistakes, 0);
    assert_int_equal(f.trusted, 100 * MS);
    suspicions_silent(&s, PEER, 3100 * MS, 3150 * MS);
    suspicions_reset(&s, 3160 * MS);
    suspicions_heard(&s, PEER, 3200 * MS);
    assert_int_equal(at(3200 * MS).mistaken, 50 * MS);
    suspicions_lost(&s, PEER, 3200 * MS, 3300 * MS);
    suspicions_reset(&s, 3400 * MS);
    suspicions_connected(&s, PEER, 4000 * MS);
    suspicions_process(&s, PEER, TWO);
    f = at(4000 * MS);
    assert_int_equal(f.failures, 1);
    assert_int_equal(f.detection, 100 * MS); /* from before the reset: that is how long it was */
    assert_int_equal(f.closed, 0);
}

static void who_takes_its_place_begins_anew(void **state)
{
    (void)state;
    suspicions_lost(&s, PEER, 1700 * MS, 2000 * MS);
    suspicions_forget(&s, PEER);
    suspicions_connected(&s, PEER, 3000 * MS);
    suspicions_process(&s, PEER, TWO);
    struct suspicion_figures f = at(4000 * MS);
    assert_int_equal(f.closed + f.failures + f.missed + f.unproven, 0);
    assert_int_equal(f.trusted, 1000 * MS);
}

static void shares_are_right_after_a_hundred_thousand_years(void **state)
{
    (void)state;
    struct suspicion_figures f = { .trusted = INT64_MAX / 2, .mistaken = INT64_MAX / 2 };
    assert_int_equal(suspicion_accuracy(&f), 500000);
    f = (struct suspicion_figures){ .trusted = INT64_MAX / 4 * 3, .mistaken = INT64_MAX / 4 };
    assert_in_range(suspicion_accuracy(&f), 749999, 750000);
}

#define CASE(name) cmocka_unit_test_setup(name, known)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(heard_again_on_its_connection_it_is_a_mistake),
        CASE(the_same_process_on_another_connection_is_a_mistake),
        CASE(another_process_is_a_failure_that_was_found),
        CASE(another_process_that_nobody_expected_was_missed),
        CASE(who_never_says_which_process_it_is_proves_nothing),
        CASE(a_connection_that_was_not_suspected_is_no_suspicion),
        CASE(who_is_unknown_is_neither_trusted_nor_suspected),
        CASE(a_reset_zeroes_the_figures_and_nothing_else),
        CASE(who_takes_its_place_begins_anew),
        CASE(shares_are_right_after_a_hundred_thousand_years),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
