/* INCRBYFLOAT's numbers (base/wide.h): some that are known, and on machines whose long double is
 * x86's as many as there is time for beside the library's own. */
#include <errno.h>
#include <float.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/rng.h"
#include "base/types.h"
#include "base/wide.h"

static bool reads(const char *text, struct wide *out)
{
    return wide_read(span_of(text, strlen(text)), out);
}

static void expect_sum(const char *a, const char *b, const char *sum)
{
    struct wide x, y;
    char text[WIDE_TEXT_MAX];
    assert_true(reads(a, &x));
    assert_true(reads(b, &y));
    size_t n = wide_write(wide_add(x, y), text);
    assert_int_equal(n, strlen(sum));
    assert_memory_equal(text, sum, n);
}

static void test_sums_are_those_of_64_bits(void **state)
{
    (void)state;
    expect_sum("0.1", "0.2", "0.3");
    expect_sum("0.3", "1e3", "1000.29999999999999999");
    expect_sum("10.50", "0.1", "10.6");
    expect_sum("5.0e3", "200", "5200");
    expect_sum("-0.0", "0", "0");
    expect_sum("-1e-18", "0", "0");
    expect_sum("3", "-3", "0");
    expect_sum("0x1.8p1", "1", "4");
    expect_sum("18446744073709551615", "1", "18446744073709551616");
    expect_sum("18446744073709551616", "1", "18446744073709551616"); /* a tie, to even */
    expect_sum("18446744073709551616", "3", "18446744073709551620");
    expect_sum("18446744073709551616", "-0.5", "18446744073709551616");
    expect_sum("18446744073709551620", "-1", "18446744073709551620"); /* another one, */
    expect_sum("18446744073709551620", "-1.0000000000000000001", "18446744073709551618"); /* less */
    expect_sum("18446744073709551616", "-0.50001", "18446744073709551615");
}

static void test_what_is_no_number(void **state)
{
    (void)state;
    static const char *const none[] = {
        "",       "-",       "+",   ".",         "e5",         "1e",    "1e+",     "0x",
        "0x.",    "0xp1",    "1 ",  " 1",        "nan",        "1.2.3", "--1",     "+-1",
        "\r1",    "\v1",     "1f",  "0x1p",      "in",         "infi",  "1e-6000", "1e5000",
        "1e4933", "1e-4952", "1,5", "0x1p16384", "0x1p-16447",
    };
    struct wide v;
    for (size_t i = 0; i < sizeof none / sizeof none[0]; i++) {
        assert_false(reads(none[i], &v));
    }
    assert_false(wide_read(span_of("1\0002", 3), &v));
    assert_true(reads("iNf", &v) && v.infinite && !v.negative);
    assert_true(reads("-Infinity", &v) && v.infinite && v.negative);
    assert_true(reads("0e99999999999999", &v) && v.mantissa == 0);
    assert_true(reads("1.18973149535723176502e4932", &v) && !v.infinite);
    struct wide twice = wide_add(v, v);
    assert_true(twice.infinite);
    char digits[WIDE_TEXT_MAX];
    memset(digits, '9', sizeof digits);
    assert_false(wide_read(span_of(digits, WIDE_TEXT_MAX), &v));
    assert_false(wide_read(span_of(digits, WIDE_TEXT_MAX - 1), &v)); /* it is too large */
    digits[0] = '.';
    assert_true(wide_read(span_of(digits, WIDE_TEXT_MAX - 1), &v));
    assert_true(v.mantissa == (uint64_t)1 << 63 && v.exponent == -63);
}

/* --- Beside the library ----------------------------------------------------------------------- */

static bool library_reads(const char *text, long double *out)
{
    char *end = NULL;
    errno = 0;
    *out = strtold(text, &end);
    bool out_of_range = errno == ERANGE && (isinf(*out) || *out == 0);
    bool blank = text[0] == 0 || strchr(" \t\n\v\f\r", text[0]) != NULL;
    return *end == 0 && !blank && !out_of_range && !isnan(*out);
}

static size_t library_writes(char *text, long double v)
{
    size_t n = (size_t)snprintf(text, WIDE_TEXT_MAX, "%.17Lf", v);
    for (; text[n - 1] == '0'; n--) {
    }
    n -= text[n - 1] == '.';
    if (n == 2 && text[0] == '-' && text[1] == '0') {
        text[0] = '0';
        n = 1;
    }
    return n;
}

static void some_digits(struct rng *rng, char *text, uint32_t most, const char *digits)
{
    for (uint64_t i = rng_below(rng, most); i > 0; i--) {
        text[strlen(text) + 1] = 0;
        text[strlen(text)] = digits[rng_below(rng, strlen(digits))];
    }
}

/* Mostly a number; where it is near another one, or near the half between two, by intent. */
static void some_text(struct rng *rng, char *text)
{
    static const char *const ranges[] = { "%d", "%d", "%d", "-4951", "-4932", "4932", "-4966" };
    bool hex = rng_below(rng, 8) == 0;
    const char *digits = hex                      ? "0123456789abcdefABCDEF"
                         : rng_below(rng, 3) == 0 ? "05"
                                                  : "0123456789";
    uint32_t most = rng_below(rng, 40) == 0 ? 400 : 24;
    memset(text, 0, 64);
    strcat(text, rng_below(rng, 3) == 0 ? "-" : rng_below(rng, 9) == 0 ? "+" : "");
    strcat(text, hex ? "0x" : "");
    some_digits(rng, text, most, digits);
    if (rng_below(rng, 3) != 0) {
        strcat(text, ".");
        some_digits(rng, text, most, digits);
    }
    if (rng_below(rng, 3) == 0) {
        char exponent[32];
        const char *form = ranges[rng_below(rng, 7)];
        int power = (int)rng_below(rng, 80) - 40;
        strcat(text, hex ? "p" : "E");
        snprintf(exponent, sizeof exponent, strcmp(form, "%d") == 0 ? "%d" : form, power);
        strcat(text, exponent);
    }
}

static void test_sums_are_those_of_the_library(void **state)
{
    (void)state;
    if (LDBL_MANT_DIG != 64 || getenv("RUNNING_ON_VALGRIND") != NULL) {
        skip();
    }
    struct rng rng = rng_from(7);
    uint32_t sums = 0;
    for (uint32_t i = 0; i < 20000; i++) {
        char a[2048], b[2048], ours[WIDE_TEXT_MAX], theirs[WIDE_TEXT_MAX];
        long double x, y;
        struct wide v, w;
        some_text(&rng, a);
        some_text(&rng, b);
        bool first = library_reads(a, &x), second = library_reads(b, &y);
        if (reads(a, &v) != first || reads(b, &w) != second) {
            fail_msg("'%s' or '%s' is no number, or is one", a, b);
        }
        if (!first || !second || v.infinite || w.infinite) {
            continue;
        }
        struct wide sum = wide_add(v, w);
        assert_int_equal(sum.infinite, isinf(x + y) != 0);
        if (sum.infinite) {
            continue;
        }
        size_t n = wide_write(sum, ours);
        if (n != library_writes(theirs, x + y) || memcmp(ours, theirs, n) != 0) {
            fail_msg("'%s' + '%s' is %.60s, not %.*s", a, b, theirs, (int)(n < 60 ? n : 60), ours);
        }
        sums++;
    }
    assert_true(sums > 10000);
}

/* Every bit counts: numbers as they lie in memory. */
static void test_bits_are_those_of_the_library(void **state)
{
    (void)state;
    if (LDBL_MANT_DIG != 64) {
        skip();
    }
    struct rng rng = rng_from(7);
    for (uint32_t i = 0; i < 50000; i++) {
        struct wide v[2];
        long double x[2];
        for (unsigned k = 0; k < 2; k++) {
            uint64_t zeros = rng_below(&rng, 4) == 0 ? rng_below(&rng, 64) : 0;
            v[k].mantissa = (rng_next(&rng) | (uint64_t)1 << 63) >> zeros << zeros;
            v[k].exponent = (int32_t)rng_below(&rng, 300) - 200 - (i % 16 == 0 ? 16200 : 0);
            v[k].negative = rng_below(&rng, 2) != 0;
            v[k].infinite = false;
            x[k] = ldexpl((long double)v[k].mantissa, v[k].exponent);
            x[k] = v[k].negative ? -x[k] : x[k];
            if (v[k].exponent < -16445) {
                char text[64];
                snprintf(text, sizeof text, "%La", x[k]);
                (void)reads(text, &v[k]);
                v[k].mantissa = x[k] == 0 ? 0 : v[k].mantissa;
            }
        }
        struct wide sum = wide_add(v[0], v[1]);
        long double s = x[0] + x[1];
        long double ours = ldexpl((long double)sum.mantissa, sum.exponent);
        assert_true((sum.negative && sum.mantissa != 0 ? -ours : ours) == s);
        char mine[WIDE_TEXT_MAX], theirs[WIDE_TEXT_MAX];
        size_t n = wide_write(sum, mine);
        assert_int_equal(n, library_writes(theirs, s));
        assert_memory_equal(mine, theirs, n);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sums_are_those_of_64_bits),
        cmocka_unit_test(test_what_is_no_number),
        cmocka_unit_test(test_sums_are_those_of_the_library),
        cmocka_unit_test(test_bits_are_those_of_the_library),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("wide", tests, NULL, NULL);
}
