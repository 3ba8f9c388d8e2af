/* Reading replies: the line that begins each, in any pieces. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "resp/scan.h"

static int64_t scan(const char *text, struct reply_line *line)
{
    return reply_line_scan((const uint8_t *)text, strlen(text), line);
}

static void test_lines_of_every_type(void **state)
{
    (void)state;
    struct reply_line line;
    assert_int_equal(scan("+OK\r\nrest", &line), 5);
    assert_int_equal(line.type, '+');
    assert_memory_equal(line.text.p, "OK", 2);
    assert_int_equal(line.text.n, 2);
    assert_int_equal(scan("-ERR no\r\n", &line), 9);
    assert_int_equal(line.text.n, 6);
    assert_int_equal(scan(":-42\r\n", &line), 6);
    assert_int_equal(line.number, -42);
    assert_int_equal(scan("$-1\r\n", &line), 5);
    assert_int_equal(line.number, -1);
    assert_int_equal(scan("$0\r\n\r\n", &line), 4);
    assert_int_equal(line.number, 0);
    assert_int_equal(scan("*3\r\n", &line), 4);
    assert_int_equal(line.number, 3);
}

static void test_a_line_in_pieces_is_awaited(void **state)
{
    (void)state;
    struct reply_line line;
    const char *whole = "$1048576\r\n";
    for (size_t n = 0; n < strlen(whole); n++) {
        assert_int_equal(reply_line_scan((const uint8_t *)whole, n, &line), 0);
    }
    assert_int_equal(scan(whole, &line), 10);
    assert_int_equal(line.number, 1048576);
}

static void test_what_is_no_reply(void **state)
{
    (void)state;
    static const char *const wrong[] = { "HTTP/1.1 400 Bad Request\r\n",
                                         "\x16\x03\x01",
                                         "OK\r\n",
                                         "\r\n",
                                         "+OK\n",
                                         "$\r\n",
                                         "$-2\r\n",
                                         "$12x\r\n",
                                         "*-3\r\n",
                                         ":\r\n",
                                         ":9223372036854775808\r\n",
                                         "$99999999999999999999\r\n" };
    struct reply_line line;
    for (size_t i = 0; i < ARRAY_COUNT(wrong); i++) {
        if (scan(wrong[i], &line) != -1) {
            fail_msg("taken for a reply: %s", wrong[i]);
        }
    }
    assert_int_equal(reply_line_scan((const uint8_t *)"\0", 1, &line), -1);
}

static void test_a_line_has_a_bound(void **state)
{
    (void)state;
    struct reply_line line;
    static char text[REPLY_LINE_BYTES_MAX + 2];
    memset(text, 'x', sizeof text);
    text[0] = '-';
    assert_int_equal(reply_line_scan((const uint8_t *)text, REPLY_LINE_BYTES_MAX - 1, &line), 0);
    assert_int_equal(reply_line_scan((const uint8_t *)text, REPLY_LINE_BYTES_MAX, &line), -1);
    text[REPLY_LINE_BYTES_MAX - 2] = '\r';
    text[REPLY_LINE_BYTES_MAX - 1] = '\n';
    assert_int_equal(reply_line_scan((const uint8_t *)text, sizeof text, &line),
                     REPLY_LINE_BYTES_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lines_of_every_type),
        cmocka_unit_test(test_a_line_in_pieces_is_awaited),
        cmocka_unit_test(test_what_is_no_reply),
        cmocka_unit_test(test_a_line_has_a_bound),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
