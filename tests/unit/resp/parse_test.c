/* Requests, whole and in every split, and Redis's protocol errors to the byte (scenario 111). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/limits.h"
#include "base/text.h"
#include "resp/parse.h"

#define TRANSCRIPT_BYTES 4096

/* Appends what came out: "[3:SET 1:k 1:v]" per command, "!error" at the end. Empty commands leave
 * "[]". */
static void write_command(struct text *out, const struct parser *p)
{
    text_char(out, '[');
    for (uint32_t i = 0; i < p->argc; i++) {
        if (i > 0) {
            text_char(out, ' ');
        }
        text_u64(out, p->argv[i].n);
        text_char(out, ':');
        for (size_t j = 0; j < p->argv[i].n; j++) {
            uint8_t c = p->argv[i].p[j];
            text_char(out, c >= ' ' && c < 127 ? (char)c : '.');
        }
    }
    text_char(out, ']');
}

/* Parses what is in the buffer; false after an error. */
static bool drain(struct parser *p, const uint8_t *buffer, size_t n, size_t *at, struct text *out)
{
    for (;;) {
        switch (parser_next(p, buffer + *at, n - *at)) {
        case PARSE_COMMAND:
            write_command(out, p);
            *at += p->consumed;
            break;
        case PARSE_APART:
            fail();
            return false;
        case PARSE_INCOMPLETE:
            assert_true(p->want == 0 || p->want > n - *at);
            return true;
        case PARSE_ERROR:
            text_char(out, '!');
            text_put(out, p->error);
            return false;
        }
    }
}

/* Feeds input[0, n) in pieces that end at the given places. Every piece arrives in a new block of
 * exactly the bytes so far, so that a stale pointer or an overrun is seen by the sanitizer. */
static void feed(const char *input, size_t n, const size_t *ends, size_t count, bool authenticated,
                 char *transcript)
{
    struct parser p;
    parser_init(&p);
    p.authenticated = authenticated;
    struct text out = text_in(transcript, TRANSCRIPT_BYTES);
    size_t at = 0;
    for (size_t i = 0; i <= count; i++) {
        size_t end = i < count ? ends[i] : n;
        uint8_t *block = malloc(end > at ? end - at : 1);
        assert_non_null(block);
        memcpy(block, input + at, end - at);
        size_t used = 0;
        bool alive = drain(&p, block, end - at, &used, &out);
        free(block);
        at += used;
        if (!alive) {
            break;
        }
    }
    assert_false(out.cut);
    parser_free(&p);
}

#define CHECK(input, expected) check(input, sizeof(input) - 1, true, expected)
#define CHECK_BEFORE_AUTH(input, expected) check(input, sizeof(input) - 1, false, expected)

/* The same result whole, byte by byte, and in every split into two and (short inputs) three. */
static void check(const char *input, size_t n, bool authenticated, const char *expected)
{
    char got[TRANSCRIPT_BYTES];
    size_t ends[256];
    feed(input, n, NULL, 0, authenticated, got);
    assert_string_equal(got, expected);
    if (n <= ARRAY_COUNT(ends)) {
        for (size_t i = 0; i < n; i++) {
            ends[i] = i;
        }
        feed(input, n, ends, n, authenticated, got);
        assert_string_equal(got, expected);
    }
    for (size_t i = 0; i <= n && n < 2000; i++) {
        ends[0] = i;
        feed(input, n, ends, 1, authenticated, got);
        assert_string_equal(got, expected);
        for (size_t j = i; j <= n && n < 80; j++) {
            ends[1] = j;
            feed(input, n, ends, 2, authenticated, got);
            assert_string_equal(got, expected);
        }
    }
}

static void test_arrays(void **state)
{
    (void)state;
    CHECK("*1\r\n$4\r\nPING\r\n", "[4:PING]");
    CHECK("*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$0\r\n\r\n*2\r\n$3\r\nget\r\n$1\r\nk\r\n",
          "[3:SET 1:k 0:][3:get 1:k]");
    CHECK("*2\r\n$3\r\nGET\r\n$4\r\n\r\n\0*\r\n", "[3:GET 4:...*]");
    CHECK("*18\r\n$1\r\n1\r\n$1\r\n2\r\n$1\r\n3\r\n$1\r\n4\r\n$1\r\n5\r\n$1\r\n6\r\n$1\r\n7\r\n"
          "$1\r\n8\r\n$1\r\n9\r\n$1\r\na\r\n$1\r\nb\r\n$1\r\nc\r\n$1\r\nd\r\n$1\r\ne\r\n$1\r\nf\r\n"
          "$1\r\ng\r\n$1\r\nh\r\n$1\r\ni\r\n",
          "[1:1 1:2 1:3 1:4 1:5 1:6 1:7 1:8 1:9 1:a 1:b 1:c 1:d 1:e 1:f 1:g 1:h 1:i]");
}

static void test_nothing_is_ignored(void **state)
{
    (void)state;
    CHECK("*0\r\n*-1\r\n\r\n\n   \r\n*1\r\n$1\r\nx\r\n", "[][][][][][1:x]");
    CHECK("*-17\r\n", "[]");
}

static void test_inline(void **state)
{
    (void)state;
    CHECK("PING\r\n", "[4:PING]");
    CHECK("set  k\tv \n", "[3:set 1:k 1:v]");
    CHECK(" get k\r\n*1\r\n$1\r\nx\r\nquit\r\n", "[3:get 1:k][1:x][4:quit]");
    CHECK("set k \"a b\\\"\\x41\\n\\q\\xzz\"\r\n", "[3:set 1:k 10:a b\"A.qxzz]");
    CHECK("set k 'a \\'b\\' \"c\\n'\n", "[3:set 1:k 10:a 'b' \"c\\n]");
    CHECK("set k ab\"c d\"\r\n", "[3:set 1:k 5:abc d]");
    CHECK("set \"\" ''\n", "[3:set 0: 0:]");
    CHECK("$3\r\n", "[2:$3]");
    CHECK("get a\0b c\r\nget d\n", "[3:get 1:a][3:get 1:d]"); /* a C string, as in Redis */
}

static void test_inline_quotes_out_of_balance(void **state)
{
    (void)state;
    CHECK("set k \"abc\r\n", "!unbalanced quotes in request");
    CHECK("set k 'abc\r\n", "!unbalanced quotes in request");
    CHECK("set k \"abc\"d\r\n", "!unbalanced quotes in request");
    CHECK("set k 'abc'\"d\"\r\n", "!unbalanced quotes in request");
    CHECK("set k \"abc\\\"\r\n", "!unbalanced quotes in request");
    CHECK("ping\r\nset k \"\\\r\nping\r\n", "[4:ping]!unbalanced quotes in request");
}

/* Cross-protocol scripting: what a browser was made to send is not carried out. */
static void test_http_is_refused(void **state)
{
    (void)state;
    CHECK("POST / HTTP/1.1\r\nset k v\r\n", "!this is no HTTP server");
    CHECK("GET /x HTTP/1.1\r\nHost: a\r\nset k v\r\n",
          "[3:GET 2:/x 8:HTTP/1.1]!this is no HTTP server");
    CHECK("*1\r\n$4\r\nPOST\r\npostx\r\n", "[4:POST][5:postx]");
}

static void test_scenario_111_lengths(void **state)
{
    (void)state;
    CHECK("*x\r\n", "!invalid multibulk length");
    CHECK("*\r\n", "!invalid multibulk length");
    CHECK("*01\r\n", "!invalid multibulk length");
    CHECK("*+1\r\n", "!invalid multibulk length");
    CHECK("* 1\r\n", "!invalid multibulk length");
    CHECK("*-0\r\n", "!invalid multibulk length");
    CHECK("*2147483647\r\n", "!invalid multibulk length");
    CHECK("*1048577\r\n", "!invalid multibulk length");
    CHECK("*9223372036854775808\r\n", "!invalid multibulk length");
    CHECK("*99999999999999999999999\r\n", "!invalid multibulk length");
    CHECK("*1\r\n$-1\r\n", "!invalid bulk length");
    CHECK("*1\r\n$\r\n", "!invalid bulk length");
    CHECK("*1\r\n$1x\r\n", "!invalid bulk length");
    CHECK("*1\r\n$536870913\r\n", "!invalid bulk length");
    CHECK("*1\r\n$9223372036854775807\r\n", "!invalid bulk length");
    CHECK("*1\r\n:3\r\n", "!expected '$', got ':'");
    CHECK("*1\r\nPING\r\n", "!expected '$', got 'P'");
    CHECK("*2\r\n$1\r\na\r\n\r\n", "!expected '$', got '\r'");
    CHECK("*2\r\n$1\r\nabc$1\r\nd\r\n", "[1:a 1:d]");
}

static void test_limits_before_authentication(void **state)
{
    (void)state;
    CHECK_BEFORE_AUTH("*10\r\n", "");
    CHECK_BEFORE_AUTH("*11\r\n", "!unauthenticated multibulk length");
    CHECK_BEFORE_AUTH("*1\r\n$16384\r\n", "");
    CHECK_BEFORE_AUTH("*1\r\n$16385\r\n", "!unauthenticated bulk length");
    CHECK("*11\r\n$16385\r\n", "");
}

/* Lines that do not end. */
static void test_long_lines(void **state)
{
    (void)state;
    static char input[INLINE_BYTES_MAX + 10];
    char got[TRANSCRIPT_BYTES];
    const struct {
        const char *start, *error;
    } cases[] = {
        { "a", "!too big inline request" },
        { "*", "!too big mbulk count string" },
        { "*1\r\n$", "!too big bulk count string" },
    };
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        memset(input, '1', sizeof input);
        memcpy(input, cases[i].start, strlen(cases[i].start));
        feed(input, 60000, NULL, 0, true, got);
        assert_string_equal(got, "");
        size_t halves[] = { 60000 };
        feed(input, sizeof input, halves, 1, true, got);
        assert_string_equal(got, cases[i].error);
        feed(input, sizeof input, NULL, 0, true, got);
        assert_string_equal(got, cases[i].error);
    }
}

/* An announced million of arguments costs nothing until they come (scenario 111, CVE-2021-32675).
 */
static void test_scenario_111_memory_only_for_what_came(void **state)
{
    (void)state;
    struct parser p;
    parser_init(&p);
    p.authenticated = true;
    const char *input = "*1048576\r\n$60000000\r\nab";
    assert_int_equal(parser_next(&p, (const uint8_t *)input, strlen(input)), PARSE_INCOMPLETE);
    assert_int_equal(p.capacity, 0);
    assert_int_equal(p.want, strlen("*1048576\r\n$60000000\r\n") + 60000000 + 2);
    parser_free(&p);
}

/* A client keeps no more than the usual once its long command has passed. */
static void test_room_is_given_back(void **state)
{
    (void)state;
    struct parser p;
    parser_init(&p);
    p.authenticated = true;
    static uint8_t input[100000];
    int n = snprintf((char *)input, sizeof input, "*5000\r\n");
    for (int i = 0; i < 5000; i++) {
        n += snprintf((char *)input + n, sizeof input - (size_t)n, "$1\r\nx\r\n");
    }
    assert_int_equal(parser_next(&p, input, (size_t)n), PARSE_COMMAND);
    assert_int_equal(p.argc, 5000);
    memset(input, 'y', 9999);
    input[9999] = '\n';
    assert_int_equal(parser_next(&p, input, 10000), PARSE_COMMAND);
    assert_int_equal(p.argc, 1);
    assert_int_equal(p.argv[0].n, 9999);
    assert_true(p.capacity < 100);
    assert_int_equal(parser_next(&p, (const uint8_t *)"ping\n", 5), PARSE_COMMAND);
    assert_true(p.inline_capacity < 100);
    parser_free(&p);
}

static void test_a_command_has_a_bound(void **state)
{
    (void)state;
    struct parser p;
    parser_init(&p);
    p.authenticated = true;
    p.bulk_bytes_max = 100;
    p.command_bytes_max = 150;
    char input[400];
    int n = snprintf(input, sizeof input, "*2\r\n$100\r\n%0100d\r\n$100\r\n", 7);
    assert_int_equal(parser_next(&p, (const uint8_t *)input, (size_t)n), PARSE_ERROR);
    assert_string_equal(p.error, "too big request");
    assert_int_equal(parser_next(&p, (const uint8_t *)input, (size_t)n), PARSE_ERROR);
    parser_free(&p);
}

/* A byte at a time must not cost the square: 8 MiB would then take hours. */
static void test_never_scans_twice(void **state)
{
    (void)state;
    enum { BYTES = 8 * 1024 * 1024 };
    char *input = malloc(BYTES + 64);
    assert_non_null(input);
    int head = snprintf(input, 64, "*2\r\n$3\r\nSET\r\n$%d\r\n", BYTES);
    memset(input + head, '\r', BYTES);
    memcpy(input + head + BYTES, "\r\n", 2);
    size_t n = (size_t)head + BYTES + 2;
    struct parser p;
    parser_init(&p);
    p.authenticated = true;
    for (size_t i = 0; i < n; i++) {
        assert_int_equal(parser_next(&p, (const uint8_t *)input, i), PARSE_INCOMPLETE);
    }
    assert_int_equal(parser_next(&p, (const uint8_t *)input, n), PARSE_COMMAND);
    assert_int_equal(p.argv[1].n, BYTES);
    assert_ptr_equal(p.argv[1].p, input + head); /* no copy */
    parser_free(&p);
    free(input);
}

/* What comes of input[0, n) in pieces of `step` bytes when arguments of more than 4 bytes are taken
 * out of the buffer, at most 16 bytes of them in a command: a letter per result, and the bytes
 * taken. */
static void feed_apart(const char *input, size_t n, size_t step, struct text *out)
{
    struct parser p;
    parser_init(&p);
    p.authenticated = true;
    p.apart_min = 4;
    p.apart_bytes_max = 16;
    uint8_t *buffer = malloc(n + 1);
    size_t there = 0;
    size_t left = 0;
    enum parse_result result = PARSE_INCOMPLETE;
    for (size_t at = 0; at < n && result != PARSE_ERROR; at += step) {
        size_t end = at + step < n ? at + step : n;
        for (size_t i = at; i < end; i++) {
            if (left > 0) {
                text_char(out, input[i]);
                left--;
            } else {
                buffer[there++] = (uint8_t)input[i];
            }
        }
        while (left == 0 && (result = parser_next(&p, buffer, there)) != PARSE_INCOMPLETE) {
            size_t drop = p.consumed;
            size_t from = 0;
            if (result == PARSE_ERROR) {
                text_char(out, '!');
                text_put(out, p.error);
                break;
            }
            if (result == PARSE_COMMAND) {
                text_char(out, '[');
                text_u64(out, p.argc);
                text_char(out, ']');
            } else { /* what is there of it goes, what is in front of it stays */
                from = p.consumed;
                drop = there - from < p.apart ? there - from : p.apart;
                text_char(out, '{');
                for (size_t i = 0; i < drop; i++) {
                    text_char(out, (char)buffer[from + i]);
                }
                left = p.apart - drop;
            }
            memmove(buffer + from, buffer + from + drop, there - from - drop);
            there -= drop;
        }
    }
    free(buffer);
    parser_free(&p);
}

/* Whatever a large argument holds is not looked at, and what follows it is read as ever. */
/* In one piece and in two, wherever they part: the same commands. */
static void test_a_beginning_that_is_known_is_not_read_again(void **state)
{
    (void)state;
    const char known[] = "$4\r\nWITH\r\n$1\r\n2\r\n";
    const char input[] = "*4\r\n$4\r\nWITH\r\n$1\r\n2\r\n$3\r\nGET\r\n$1\r\nk\r\n"
                         "*2\r\n$4\r\nWITH\r\n$1\r\n2\r\n"
                         "*3\r\n$4\r\nWITH\r\n$1\r\n3\r\n$3\r\nGET\r\n";
    size_t n = sizeof input - 1;
    for (size_t cut = 0; cut <= n; cut++) {
        char transcript[TRANSCRIPT_BYTES];
        struct text out = text_in(transcript, sizeof transcript);
        struct parser p;
        size_t at = 0;
        parser_init(&p);
        p.authenticated = true;
        p.known = span_of(known, sizeof known - 1);
        p.known_items = 2;
        assert_true(drain(&p, (const uint8_t *)input, cut, &at, &out));
        bool skipped = cut >= strlen("*4\r\n") + p.known.n;
        assert_true(drain(&p, (const uint8_t *)input, n, &at, &out));
        assert_int_equal(at, n);
        assert_false(p.skipped);
        const char *rest = " 3:GET 1:k][4:WITH 1:2][4:WITH 1:3 3:GET]";
        const char *first = transcript[1] == '4' ? "[4:WITH 1:2" : "[";
        assert_int_equal(strncmp(transcript, first, strlen(first)), 0);
        assert_string_equal(transcript + strlen(first), first[1] == 0 ? rest + 1 : rest);
        assert_true(!skipped || first[1] == 0);
        parser_free(&p);
    }
}

static void test_arguments_kept_apart_U16(void **state)
{
    (void)state;
    static const struct {
        const char *input, *expected;
    } cases[] = {
        { "*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$6\r\nabcdef\r\n*1\r\n$4\r\nPING\r\n", "{abcdef[3][1]" },
        { "*2\r\n$5\r\n\r\n*1x\r\n$8\r\n$1\r\na\r\n*\r\n*x\r\n",
          "{\r\n*1x{$1\r\na\r\n*[2]!invalid multibulk length" },
        { "*2\r\n$5\r\nabcde\r\nx1\r\n", "{abcde!expected '$', got 'x'" },
        { "*3\r\n$8\r\nabcdefgh\r\n$8\r\nabcdefgh\r\n$5\r\nabcde\r\n",
          "{abcdefgh{abcdefgh!too big request" },
        { "*1\r\n$17\r\n", "!too big request" },
        { "*1\r\n$-5\r\n", "!invalid bulk length" },
    };
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        for (size_t step = 1; step <= strlen(cases[i].input); step++) {
            char got[256];
            struct text out = text_in(got, sizeof got);
            feed_apart(cases[i].input, strlen(cases[i].input), step, &out);
            assert_false(out.cut);
            assert_string_equal(got, cases[i].expected);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_arrays),
        cmocka_unit_test(test_nothing_is_ignored),
        cmocka_unit_test(test_inline),
        cmocka_unit_test(test_inline_quotes_out_of_balance),
        cmocka_unit_test(test_http_is_refused),
        cmocka_unit_test(test_scenario_111_lengths),
        cmocka_unit_test(test_limits_before_authentication),
        cmocka_unit_test(test_long_lines),
        cmocka_unit_test(test_scenario_111_memory_only_for_what_came),
        cmocka_unit_test(test_room_is_given_back),
        cmocka_unit_test(test_a_command_has_a_bound),
        cmocka_unit_test(test_never_scans_twice),
        cmocka_unit_test(test_a_beginning_that_is_known_is_not_read_again),
        cmocka_unit_test(test_arguments_kept_apart_U16),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
