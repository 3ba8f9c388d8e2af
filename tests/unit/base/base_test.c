/* The vocabulary: checksums, encoding, text, chance, statuses. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/crc32c.h"
#include "base/histogram.h"
#include "base/rng.h"
#include "base/status.h"
#include "base/text.h"
#include "base/wire.h"

static void test_crc32c_known_values(void **state)
{
    (void)state;
    assert_int_equal(crc32c_extend(0, "123456789", 9), 0xe3069283u);
    uint8_t zeros[32] = { 0 }; /* RFC 3720 B.4 */
    assert_int_equal(crc32c_extend(0, zeros, sizeof zeros), 0x8a9136aau);
    uint32_t in_pieces = crc32c_extend(crc32c_extend(0, "1234", 4), "56789", 5);
    assert_int_equal(in_pieces, 0xe3069283u);
}

static void test_wire_round_trip_and_overrun(void **state)
{
    (void)state;
    uint8_t buffer[15];
    struct wire_writer w = wire_writer(buffer, sizeof buffer);
    wire_put_u64(&w, 0x0123456789abcdefu);
    wire_put_u32(&w, 0xdeadbeefu);
    wire_put_u16(&w, 0xfffe);
    wire_put_u8(&w, 7);
    assert_false(w.bad);
    assert_int_equal(buffer[0], 0xef); /* little-endian */
    wire_put_u8(&w, 1);
    assert_true(w.bad);

    struct wire_reader r = wire_reader(span_of(buffer, sizeof buffer));
    assert_true(wire_get_u64(&r) == 0x0123456789abcdefu);
    assert_true(wire_get_u32(&r) == 0xdeadbeefu);
    assert_int_equal(wire_get_u16(&r), 0xfffe);
    assert_int_equal(wire_get_u8(&r), 7);
    assert_true(wire_finished(&r));
    assert_int_equal(wire_get_u8(&r), 0);
    assert_true(r.bad);
}

static void test_text_cuts_and_terminates(void **state)
{
    (void)state;
    char buffer[12];
    struct text t = text_in(buffer, sizeof buffer);
    text_i64(&t, INT64_MIN);
    assert_true(t.cut);
    assert_string_equal(buffer, "-9223372036");
    t = text_in(buffer, sizeof buffer);
    text_field(&t, "n", 0);
    assert_string_equal(buffer, " n=0");
}

static void test_rng_is_the_published_sequence(void **state)
{
    (void)state;
    struct rng r = rng_from(1234567);
    assert_true(rng_next(&r) == 6457827717110365317u); /* reference SplitMix64 */
    assert_true(rng_next(&r) == 3203168211198807973u);
}

static void test_statuses_say_what_happened(void **state)
{
    (void)state;
    assert_true(status_surely_not_applied(STATUS_CLUSTERDOWN));
    assert_false(status_surely_not_applied(STATUS_UNCERTAIN));
    static const enum qr_status statuses[] = {
#define STATUS(tag, name, retryable, surely_not_applied, text) STATUS_##name,
#include "base/status.def"
#undef STATUS
    };
    for (size_t i = 1; i < ARRAY_COUNT(statuses); i++) { /* after OK: the text says the same (D9) */
        const char *text = status_text(statuses[i]);
        bool nothing = strstr(text, "not applied") != NULL || strstr(text, "nothing was changed");
        assert_int_equal(status_surely_not_applied(statuses[i]), nothing);
        assert_int_equal(strncmp(text, "UNCERTAIN ", 10) == 0, !nothing);
    }
}

/* Every value lies within 1/64 below the top of its bucket, and buckets follow without a gap. */
static void test_histogram_buckets_have_a_bounded_error(void **state)
{
    (void)state;
    assert_int_equal(histogram_bucket(((uint64_t)1 << HISTOGRAM_VALUE_BITS) - 1),
                     HISTOGRAM_BUCKETS - 1);
    assert_int_equal(histogram_bucket(UINT64_MAX), HISTOGRAM_BUCKETS - 1);
    uint64_t low = 0;
    for (uint32_t bucket = 0; bucket < HISTOGRAM_BUCKETS; bucket++) {
        uint64_t top = histogram_bucket_top(bucket);
        assert_int_equal(histogram_bucket(low), bucket);
        assert_int_equal(histogram_bucket(top), bucket);
        assert_true((top - low) * 64 <= low);
        low = top + 1;
    }
}

static void test_histogram_counts_are_exact_at_the_bounds(void **state)
{
    static struct histogram h;
    uint64_t upto[HISTOGRAM_BOUNDS], naive[HISTOGRAM_BOUNDS] = { 0 };
    (void)state;
    for (uint64_t value = 0; value < 5000; value++) {
        uint64_t v = value * value;
        histogram_add(&h, v, 1);
        for (uint32_t i = 0; i < HISTOGRAM_BOUNDS; i++) {
            naive[i] += v <= histogram_bound(i);
        }
    }
    histogram_cumulate(&h, upto);
    assert_memory_equal(upto, naive, sizeof naive);
    assert_int_equal(upto[HISTOGRAM_BOUNDS - 1], h.count);
}

static void test_histogram_percentiles(void **state)
{
    (void)state;
    static struct histogram h, other, all;
    assert_int_equal(histogram_percentile(&h, 99), 0);
    for (uint64_t value = 1; value <= 100; value++) {
        histogram_add(value <= 40 ? &h : &other, value, 1);
    }
    histogram_merge(&all, &h);
    histogram_merge(&all, &other);
    assert_int_equal(histogram_percentile(&all, 0), 1);
    assert_int_equal(histogram_percentile(&all, 50), 50);
    assert_int_equal(histogram_percentile(&all, 99), 99);
    assert_int_equal(histogram_percentile(&all, 99.5), 100);
    assert_int_equal(all.sum, 5050);
    histogram_add(&all, 1000003, 900);
    assert_int_equal(histogram_percentile(&all, 99), 1000003); /* never above the largest seen */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_crc32c_known_values),
        cmocka_unit_test(test_wire_round_trip_and_overrun),
        cmocka_unit_test(test_text_cuts_and_terminates),
        cmocka_unit_test(test_rng_is_the_published_sequence),
        cmocka_unit_test(test_histogram_buckets_have_a_bounded_error),
        cmocka_unit_test(test_histogram_counts_are_exact_at_the_bounds),
        cmocka_unit_test(test_histogram_percentiles),
        cmocka_unit_test(test_statuses_say_what_happened),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
