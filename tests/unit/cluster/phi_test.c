/* The window of silences behind the phi accrual failure detector (cluster/phi.h). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/rng.h"
#include "cluster/phi.h"

#define MS QR_MILLISECOND

static struct phi_window window;

static int empty(void **state)
{
    (void)state;
    phi_reset(&window);
    return 0;
}

static void mean_and_deviation_are_those_of_what_was_added(void **state)
{
    (void)state;
    phi_add(&window, 20 * MS);
    phi_add(&window, 30 * MS);
    assert_int_equal(phi_mean(&window), 25 * MS);
    assert_int_equal(phi_deviation(&window), 5 * MS);
    phi_add(&window, 25 * MS);
    assert_int_equal(phi_mean(&window), 25 * MS);
    assert_int_equal(phi_deviation(&window), 4082); /* sqrt(50/3) ms */
}

/* W1 */
static void only_the_latest_count(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < PHI_WINDOW; i++) {
        phi_add(&window, PHI_GAP_MAX + MS); /* for PHI_GAP_MAX */
    }
    assert_int_equal(phi_mean(&window), PHI_GAP_MAX);
    assert_int_equal(phi_deviation(&window), 0);
    for (uint32_t i = 0; i < PHI_WINDOW; i++) {
        assert_true(phi_mean(&window) > 25 * MS);
        phi_add(&window, 25 * MS);
    }
    assert_int_equal(phi_mean(&window), 25 * MS);
    assert_int_equal(phi_deviation(&window), 0);
}

/* W3 */
static void nothing_is_known_at_first(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < PHI_SAMPLES_LEAST; i++) {
        assert_false(phi_knows(&window));
        phi_add(&window, 25 * MS);
    }
    assert_true(phi_knows(&window));
    phi_reset(&window);
    assert_false(phi_knows(&window));
    phi_add(&window, 10 * MS);
    assert_int_equal(phi_mean(&window), 10 * MS); /* nothing is left of those before */
    assert_int_equal(phi_deviation(&window), 0);
}

/* W2 */
static void deviation_has_a_least(void **state)
{
    (void)state;
    phi_add(&window, 24 * MS);
    phi_add(&window, 26 * MS);
    assert_int_equal(phi_time(&window, 8, MS / 2), 25 * MS + 5613);
    assert_int_equal(phi_time(&window, 8, 10 * MS), 25 * MS + 56130);
    assert_int_equal(phi_time(&window, 1, 1), 25 * MS + 1282);
    phi_reset(&window);
    phi_add(&window, 25 * MS);
    assert_int_equal(phi_time(&window, 1, 1), 25 * MS + 2); /* never sooner than that phi */
}

static void phi_of_a_silence_is_the_highest_that_it_reaches(void **state)
{
    (void)state;
    phi_add(&window, 25 * MS);
    assert_int_equal(phi_of(&window, 0, MS), 0);
    qr_time before = 0;
    for (uint32_t phi = 1; phi <= PHI_MAX; phi++) {
        qr_time time = phi_time(&window, phi, MS);
        assert_true(time > before);
        before = time;
        assert_int_equal(phi_of(&window, time, MS), phi);
        assert_int_equal(phi_of(&window, time - 1, MS), phi - 1);
    }
    assert_int_equal(phi_of(&window, QR_SECOND, MS), PHI_MAX);
}

/* About normal: the sum of twelve uniform ones has deviation 1. */
static qr_time normal(struct rng *rng, qr_time mean, qr_time deviation)
{
    qr_time sum = 0;
    for (int i = 0; i < 12; i++) {
        sum += (qr_time)rng_below(rng, (uint64_t)deviation + 1);
    }
    return mean + sum - 6 * deviation;
}

/* Hayashibara et al. 2004, section 4: at phi 1 one of ten suspicions is wrong, at 2 of a hundred,
 * at 3 of a thousand. */
static void test_paper_phi_is_the_exponent_of_being_wrong_F4(void **state)
{
    (void)state;
    struct rng rng = rng_from(7);
    const uint32_t all = 200000;
    uint32_t wrong[4] = { 0 };
    for (uint32_t i = 0; i < all + PHI_WINDOW; i++) {
        qr_time gap = normal(&rng, 100 * MS, 10 * MS);
        for (uint32_t phi = 1; phi <= 3 && i >= PHI_WINDOW; phi++) {
            wrong[phi] += gap >= phi_time(&window, phi, 1);
        }
        phi_add(&window, gap);
    }
    assert_in_range(wrong[1], all * 9 / 100, all * 11 / 100);
    assert_in_range(wrong[2], all * 7 / 1000, all * 13 / 1000);
    assert_in_range(wrong[3], all * 3 / 10000, all * 15 / 10000);
}

#define CASE(name) cmocka_unit_test_setup(name, empty)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(mean_and_deviation_are_those_of_what_was_added),
        CASE(only_the_latest_count),
        CASE(nothing_is_known_at_first),
        CASE(deviation_has_a_least),
        CASE(phi_of_a_silence_is_the_highest_that_it_reaches),
        CASE(test_paper_phi_is_the_exponent_of_being_wrong_F4),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
