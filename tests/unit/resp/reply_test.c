/* Replies in both protocol versions, to the byte. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "resp/reply.h"

/* Writes with both versions and compares. */
#define CHECK(call, two, three)                                    \
    do {                                                           \
        struct reply reply, *r = &reply;                           \
        for (uint8_t version = 2; version <= 3; version++) {       \
            const char *expected = version == 2 ? (two) : (three); \
            reply_init(r, version);                                \
            call;                                                  \
            assert_int_equal(r->n, strlen(expected));              \
            assert_memory_equal(r->p, expected, r->n);             \
            reply_free(r);                                         \
        }                                                          \
    } while (0)

static void test_scalars(void **state)
{
    (void)state;
    CHECK(reply_status(r, "OK"), "+OK\r\n", "+OK\r\n");
    CHECK(reply_integer(r, 0), ":0\r\n", ":0\r\n");
    CHECK(reply_integer(r, -7), ":-7\r\n", ":-7\r\n");
    CHECK(reply_integer(r, INT64_MAX), ":9223372036854775807\r\n", ":9223372036854775807\r\n");
    CHECK(reply_integer(r, INT64_MIN), ":-9223372036854775808\r\n", ":-9223372036854775808\r\n");
    CHECK(reply_bulk(r, SPAN_LITERAL("")), "$0\r\n\r\n", "$0\r\n\r\n");
    CHECK(reply_bulk_text(r, "hello"), "$5\r\nhello\r\n", "$5\r\nhello\r\n");
    CHECK(reply_null(r), "$-1\r\n", "_\r\n");
    CHECK(reply_null_array(r), "*-1\r\n", "_\r\n");
    CHECK(reply_bool(r, true), ":1\r\n", "#t\r\n");
    CHECK(reply_bool(r, false), ":0\r\n", "#f\r\n");
    CHECK(reply_verbatim(r, SPAN_LITERAL("ab")), "$2\r\nab\r\n", "=6\r\ntxt:ab\r\n");
    CHECK(reply_raw(r, SPAN_LITERAL("x")), "x", "x");
}

static void test_aggregates(void **state)
{
    (void)state;
    CHECK(reply_array(r, 12), "*12\r\n", "*12\r\n");
    CHECK(reply_map(r, 3), "*6\r\n", "%3\r\n");
    CHECK(reply_set(r, 3), "*3\r\n", "~3\r\n");
    CHECK(reply_push(r, 3), "*3\r\n", ">3\r\n");
}

static void test_errors(void **state)
{
    (void)state;
    CHECK(reply_error(r, "ERR x"), "-ERR x\r\n", "-ERR x\r\n");
    CHECK(reply_error(r, "ERR a\r\nb\r\n"), "-ERR a  b\r\n", "-ERR a  b\r\n");
    CHECK(reply_error(r, ""), "-\r\n", "-\r\n");
    CHECK(reply_errorf(r, "ERR %s %d", "n", 5), "-ERR n 5\r\n", "-ERR n 5\r\n");
    struct reply r;
    reply_init(&r, 2);
    reply_error(&r, "ERR x");
    assert_true(r.is_error);
    reply_status(&r, "OK");
    assert_false(r.is_error);
    reply_error(&r, "ERR x");
    reply_reset(&r);
    assert_false(r.is_error);
    assert_int_equal(r.n, 0);
    reply_free(&r);
}

static void check_double(double v, const char *text)
{
    char two[80], three[80];
    (void)snprintf(two, sizeof two, "$%zu\r\n%s\r\n", strlen(text), text);
    (void)snprintf(three, sizeof three, ",%s\r\n", text);
    CHECK(reply_double(r, v), two, three);
}

/* Redis 7.2's notation. */
static void test_doubles(void **state)
{
    (void)state;
    check_double(3, "3");
    check_double(-3, "-3");
    check_double(0, "0");
    check_double(-0.0, "-0");
    check_double(0.1, "0.1");
    check_double(-1.5, "-1.5");
    check_double(100.25, "100.25");
    check_double(1e15, "1000000000000000");
    check_double(1e17, "1e+17");
    check_double(1.5e21, "1.5e+21");
    check_double(0.001, "0.001");
    check_double(0.000001, "0.000001");
    check_double(1e-7, "1e-7");
    check_double(1.25e-10, "1.25e-10");
    check_double(3.141592653589793, "3.141592653589793");
    check_double(0.1 + 0.2, "0.30000000000000004");
    check_double(4611686018427387904.0, "4611686018427388000");
    check_double(1.234567890123457e22, "12345678901234570000000");
    check_double(1.234567890123457e23, "1.234567890123457e+23");
    check_double(1e100, "1e+100");
    check_double(5e-324, "5e-324");
    check_double(1.7976931348623157e308, "1.7976931348623157e+308");
    check_double(INFINITY, "inf");
    check_double(-INFINITY, "-inf");
    check_double((double)NAN, "nan");
}

/* Whatever is written reads back as the same number. */
static void test_doubles_round_trip(void **state)
{
    (void)state;
    uint64_t bits = 88172645463325252u;
    struct reply r;
    reply_init(&r, 3);
    for (int i = 0; i < 100000; i++) {
        bits ^= bits << 13;
        bits ^= bits >> 7;
        bits ^= bits << 17;
        double v;
        memcpy(&v, &bits, sizeof v);
        if (!isfinite(v)) {
            continue;
        }
        reply_reset(&r);
        reply_double(&r, v);
        *reply_reserve(&r, 1) = 0;
        assert_true(strtod((const char *)r.p + 1, NULL) == v);
    }
    reply_free(&r);
}

static void test_integers_of_every_length(void **state)
{
    (void)state;
    struct reply r;
    reply_init(&r, 2);
    char expected[32];
    for (int64_t v = 1; v > 0 && v < INT64_MAX / 11; v = v * 11 + 7) {
        reply_reset(&r);
        reply_integer(&r, v);
        int n = snprintf(expected, sizeof expected, ":%lld\r\n", (long long)v);
        assert_int_equal(r.n, n);
        assert_memory_equal(r.p, expected, r.n);
    }
    for (int64_t v = 0; v < 1000; v++) {
        reply_reset(&r);
        reply_integer(&r, v);
        int n = snprintf(expected, sizeof expected, ":%lld\r\n", (long long)v);
        assert_int_equal(r.n, n);
        assert_memory_equal(r.p, expected, r.n);
    }
    reply_free(&r);
}

static void test_grows_and_keeps_what_was_there(void **state)
{
    (void)state;
    struct reply r;
    reply_init(&r, 2);
    for (int i = 0; i < 10000; i++) {
        reply_integer(&r, i % 10);
    }
    assert_int_equal(r.n, 40000);
    assert_true(r.cap < 100000);
    for (size_t i = 0; i < 10000; i++) {
        assert_int_equal(r.p[4 * i + 1], '0' + (char)(i % 10));
    }
    uint8_t *p = reply_reserve(&r, 100000);
    memset(p, 'x', 100000);
    r.n += 100000;
    assert_int_equal(r.p[0], ':');
    reply_free(&r);
}

static void test_discard_swallows_everything(void **state)
{
    (void)state;
    struct reply r;
    reply_init(&r, 2);
    r.discard = true;
    reply_status(&r, "OK");
    reply_bulk_text(&r, "x");
    reply_array(&r, 5);
    reply_double(&r, 0.5);
    reply_error(&r, "ERR x");
    assert_true(r.is_error); /* statistics may still want to know */
    assert_int_equal(r.n, 0);
    for (int i = 0; i < 1000; i++) {
        memset(reply_reserve(&r, 1000), 'x', 1000);
        r.n += 1000;
    }
    assert_true(r.cap < 10000);
    reply_free(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_scalars),
        cmocka_unit_test(test_aggregates),
        cmocka_unit_test(test_errors),
        cmocka_unit_test(test_doubles),
        cmocka_unit_test(test_doubles_round_trip),
        cmocka_unit_test(test_integers_of_every_length),
        cmocka_unit_test(test_grows_and_keeps_what_was_there),
        cmocka_unit_test(test_discard_swallows_everything),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
