/* The head of an HTTP request: what is taken and what is not, however its bytes arrive. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "node/http_parse.h"

static const struct {
    const char *text;
    enum http_parse_result result;
    const char *method, *path;
} rows[] = {
    { "GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n", HTTP_COMPLETE, "GET", "/metrics" },
    { "GET /metrics?a=b?c HTTP/1.1\r\nHost: a\r\n\r\n", HTTP_COMPLETE, "GET", "/metrics" },
    { "HEAD / HTTP/1.0\r\n\r\n", HTTP_COMPLETE, "HEAD", "/" },
    { "X-Y! /%00 HTTP/1.9\r\nhost:\r\nA: \t x\x80y\r\n\r\n", HTTP_COMPLETE, "X-Y!", "/%00" },
    { "GET / HTTP/1.1\r\n\r\n", HTTP_MALFORMED, "", "" },
    { "GET / HTTP/1.1\r\nHost: a\r\nHOST: b\r\n\r\n", HTTP_MALFORMED, "", "" },
    { "GET / HTTP/2.0\r\nHost: a\r\n\r\n", HTTP_VERSION_UNKNOWN, "", "" },
    { "GET / HTTP/0.9\r\nHost: a\r\n\r\n", HTTP_VERSION_UNKNOWN, "", "" },
    { "GET / HTTP/11\r\n\r\n", HTTP_MALFORMED, "", "" },
    { "GET / http/1.1\r\n\r\n", HTTP_MALFORMED, "", "" },
    { "GET / HTTP/1.1 \r\n\r\n", HTTP_MALFORMED, "", "" },
    { "GET /\r\n\r\n", HTTP_MALFORMED, "", "" },
    { "GET  / HTTP/1.1\r\n\r\n", HTTP_MALFORMED, "", "" },
    { "GET http://a/ HTTP/1.1\r\nHost: a\r\n\r\n", HTTP_MALFORMED, "", "" },
    { "GET /\x7f HTTP/1.1\r\nHost: a\r\n\r\n", HTTP_MALFORMED, "", "" },
    { " GET / HTTP/1.1\r\nHost: a\r\n\r\n", HTTP_MALFORMED, "", "" },
    { "GET / HTTP/1.1\nHost: a\n\n", HTTP_MALFORMED, "", "" },
    { "GET / HTTP/1.1\r\nHost: a\r\n b\r\n\r\n", HTTP_MALFORMED, "", "" },
    { "GET / HTTP/1.1\r\nHost : a\r\n\r\n", HTTP_MALFORMED, "", "" },
    { "GET / HTTP/1.1\r\n: a\r\n\r\n", HTTP_MALFORMED, "", "" },
    { "GET / HTTP/1.1\r\nHost\r\n\r\n", HTTP_MALFORMED, "", "" },
    { "GET / HTTP/1.1\r\nHost: a\rb\r\n\r\n", HTTP_MALFORMED, "", "" },
    { "\r\nGET / HTTP/1.0\r\n\r\n", HTTP_MALFORMED, "", "" },
};

static bool same(struct span s, const char *text)
{
    return s.n == strlen(text) && memcmp(s.p, text, s.n) == 0;
}

static void test_requests(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct http_request request;
        size_t n = strlen(rows[i].text);
        enum http_parse_result result = http_parse(span_of(rows[i].text, n), &request);
        if (result != rows[i].result) {
            fail_msg("%s: %d", rows[i].text, (int)result);
        }
        if (result == HTTP_COMPLETE) {
            assert_true(same(request.method, rows[i].method));
            assert_true(same(request.path, rows[i].path));
            assert_int_equal(request.bytes, n);
        }
    }
}

static void test_a_part_is_incomplete_or_already_wrong(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        enum http_parse_result before = HTTP_INCOMPLETE;
        size_t n = strlen(rows[i].text);
        for (size_t part = 0; part <= n; part++) {
            struct http_request request;
            enum http_parse_result result = http_parse(span_of(rows[i].text, part), &request);
            assert_true(before == HTTP_INCOMPLETE || result == before); /* no change of mind */
            assert_true(result != HTTP_COMPLETE || part == n);
            before = result;
        }
        assert_int_equal(before, rows[i].result);
    }
}

static void test_a_zero_byte_is_malformed(void **state)
{
    static const char target[] = "GET /a\0b HTTP/1.0\r\n\r\n";
    static const char field[] = "GET / HTTP/1.0\r\nA: \0\r\n\r\n";
    static const char name[] = "GET / HTTP/1.0\r\n\0: x\r\n\r\n";
    struct http_request request;
    (void)state;
    assert_int_equal(http_parse(span_of(target, sizeof target - 1), &request), HTTP_MALFORMED);
    assert_int_equal(http_parse(span_of(field, sizeof field - 1), &request), HTTP_MALFORMED);
    assert_int_equal(http_parse(span_of(name, sizeof name - 1), &request), HTTP_MALFORMED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_requests),
        cmocka_unit_test(test_a_part_is_incomplete_or_already_wrong),
        cmocka_unit_test(test_a_zero_byte_is_malformed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
