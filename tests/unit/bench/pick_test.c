/* The distributions of keys against their theory. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "bench/pick.h"

#include <math.h>

#define DRAWS 400000u

static uint32_t *draw(const struct pick_distribution *distribution, uint64_t keys, uint64_t seed)
{
    struct picker picker = picker_new(distribution, keys);
    struct rng rng = rng_from(seed);
    uint32_t *counts = qr_zalloc(keys * sizeof *counts);
    for (uint32_t i = 0; i < DRAWS; i++) {
        uint64_t key = picker_key(&picker, &rng);
        assert_true(key < keys);
        counts[key]++;
    }
    return counts;
}

/* The sum of (found - expected)^2 / expected has a mean of keys - 1 and a deviation of
 * sqrt(2 (keys - 1)); five of these are one draw in a million, and the seed is fixed. */
static void assert_fits(const uint32_t *counts, const double *shares, uint32_t keys)
{
    double chi = 0, freedom = keys - 1;
    for (uint32_t k = 0; k < keys; k++) {
        double expected = shares[k] * DRAWS;
        assert_true(expected > 5);
        chi += (counts[k] - expected) * (counts[k] - expected) / expected;
    }
    if (fabs(chi - freedom) > 5 * sqrt(2 * freedom)) {
        fail_msg("chi squared is %g for %g degrees of freedom", chi, freedom);
    }
}

static void test_uniform(void **state)
{
    (void)state;
    double shares[1000];
    for (uint32_t k = 0; k < 1000; k++) {
        shares[k] = 1.0 / 1000;
    }
    uint32_t *counts = draw(&(struct pick_distribution){ .kind = PICK_UNIFORM }, 1000, 1);
    assert_fits(counts, shares, 1000);
    free(counts);
}

/* Below, at and above 1, where the formula changes its form. */
static void test_zipf_frequencies(void **state)
{
    (void)state;
    static const double thetas[] = { 0.2, 0.5, 0.99, 1, 1.2, 2 };
    enum { KEYS = 100 };
    for (size_t i = 0; i < ARRAY_COUNT(thetas); i++) {
        double shares[KEYS], sum = 0;
        for (uint32_t k = 0; k < KEYS; k++) {
            shares[k] = pow(k + 1, -thetas[i]);
            sum += shares[k];
        }
        for (uint32_t k = 0; k < KEYS; k++) {
            shares[k] /= sum;
        }
        struct pick_distribution zipf = { .kind = PICK_ZIPF, .theta = thetas[i] };
        uint32_t *counts = draw(&zipf, KEYS, 7);
        assert_fits(counts, shares, KEYS);
        free(counts);
    }
}

static void test_zipf_of_few_and_of_very_many_keys(void **state)
{
    (void)state;
    struct pick_distribution zipf = { .kind = PICK_ZIPF, .theta = 0.99 };
    struct rng rng = rng_from(3);
    struct picker one = picker_new(&zipf, 1);
    struct picker many = picker_new(&zipf, 1000000000000u);
    uint64_t highest = 0;
    for (uint32_t i = 0; i < 100000; i++) {
        assert_int_equal(picker_key(&one, &rng), 0);
        uint64_t key = picker_key(&many, &rng);
        assert_true(key < 1000000000000u);
        highest = max_u64(highest, key);
    }
    assert_true(highest > 900000000000u); /* the tail is long */
}

static void test_hot_shares(void **state)
{
    (void)state;
    struct pick_distribution hot = { .kind = PICK_HOT, .hot_keys = 0.05, .hot_access = 0.8 };
    double shares[200];
    for (uint32_t k = 0; k < 200; k++) {
        shares[k] = k < 10 ? 0.8 / 10 : 0.2 / 190;
    }
    uint32_t *counts = draw(&hot, 200, 11);
    assert_fits(counts, shares, 200);
    free(counts);
}

static void test_hot_at_its_edges(void **state)
{
    (void)state;
    struct pick_distribution all = { .kind = PICK_HOT, .hot_keys = 1, .hot_access = 0.1 };
    struct pick_distribution none = { .kind = PICK_HOT, .hot_keys = 1e-9, .hot_access = 0 };
    uint32_t *counts = draw(&all, 3, 1);
    assert_true(counts[0] > 0 && counts[1] > 0 && counts[2] > 0);
    free(counts);
    counts = draw(&none, 3, 1); /* at least one key is hot, and nobody asks for it */
    assert_true(counts[0] == 0 && counts[1] > 0 && counts[2] > 0);
    free(counts);
}

static void test_a_seed_gives_the_same_keys(void **state)
{
    (void)state;
    struct pick_distribution zipf = { .kind = PICK_ZIPF, .theta = 0.7 };
    uint32_t *a = draw(&zipf, 50, 5), *b = draw(&zipf, 50, 5), *c = draw(&zipf, 50, 6);
    assert_memory_equal(a, b, 50 * sizeof *a);
    assert_memory_not_equal(a, c, 50 * sizeof *a);
    free(a);
    free(b);
    free(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_uniform),
        cmocka_unit_test(test_zipf_frequencies),
        cmocka_unit_test(test_zipf_of_few_and_of_very_many_keys),
        cmocka_unit_test(test_hot_shares),
        cmocka_unit_test(test_hot_at_its_edges),
        cmocka_unit_test(test_a_seed_gives_the_same_keys),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
