/* Tables of quorate status and quorate admin, and replies as tables and JSON. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "main/show.h"
#include "main/table.h"

struct memory {
    char *text;
    size_t bytes;
    FILE *file;
};

static struct memory begin(void)
{
    struct memory m = { 0 };
    return m;
}

static void says(struct memory *m, const char *expected)
{
    (void)fclose(m->file);
    assert_string_equal(m->text, expected);
    free(m->text);
}

static void test_columns_are_as_wide_as_they_have_to_be(void **state)
{
    (void)state;
    static const char *const titles[] = { ">id", "name", ">keys", "nothing" };
    struct memory m = begin();
    struct table t;
    m.file = open_memstream(&m.text, &m.bytes);
    table_begin(&t, titles, 4);
    table_put(&t, "%d", 7);
    table_put(&t, "a name");
    table_put(&t, "12");
    table_put(&t, "%s", "");
    table_put(&t, "%d", 1000);
    table_put(&t, "b\033[2J");
    table_put(&t, "3");
    table_put(&t, "%s", "");
    table_print(&t, 80, m.file);
    says(&m, "  id  name    keys\n"
             "   7  a name    12\n"
             "1000  b?[2J      3\n");
    table_free(&t);
}

static void test_what_is_too_wide_is_cut(void **state)
{
    (void)state;
    static const char *const titles[] = { "short", "long", ">n" };
    struct memory m = begin();
    struct table t;
    m.file = open_memstream(&m.text, &m.bytes);
    table_begin(&t, titles, 3);
    table_put(&t, "abc");
    table_put(&t, "abcdefghijklmnopqrstuvwxyz");
    table_put(&t, "5");
    assert_true(table_fits(&t, 36));
    assert_false(table_fits(&t, 35));
    table_print(&t, 25, m.file);
    says(&m, "short  long             n\n"
             "abc    abcdefghijklmn~  5\n");
    m = begin();
    m.file = open_memstream(&m.text, &m.bytes);
    table_print(&t, 10, m.file); /* no column is cut to nothing; the line is */
    says(&m, "short  lon\n"
             "abc    abc\n");
    table_free(&t);
}

static void test_numbers(void **state)
{
    (void)state;
    static const struct {
        uint64_t n;
        const char *count, *bytes;
    } rows[] = { { 0, "0", "0 B" },
                 { 999, "999", "999 B" },
                 { 1000, "1,000", "1.0 KiB" },
                 { 12345, "12,345", "12 KiB" },
                 { 999600, "999,600", "976 KiB" },
                 { 1234567890, "1,234,567,890", "1.1 GiB" } };
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        char text[32];
        table_count_text(rows[i].n, text);
        assert_string_equal(text, rows[i].count);
        table_bytes_text(rows[i].n, text);
        assert_string_equal(text, rows[i].bytes);
    }
}

static void shows(const char *reply, const char *people, const char *json)
{
    struct tree t = { 0 };
    assert_int_equal(tree_read(&t, (const uint8_t *)reply, strlen(reply)), TREE_WHOLE);
    struct memory m = begin();
    m.file = open_memstream(&m.text, &m.bytes);
    show_reply(&t, 0, 30, m.file);
    says(&m, people);
    m = begin();
    m.file = open_memstream(&m.text, &m.bytes);
    show_json(&t, 0, m.file);
    says(&m, json);
    tree_free(&t);
}

static void test_replies(void **state)
{
    (void)state;
    shows("+OK\r\n", "OK\n", "\"OK\"");
    shows(":5\r\n", "5\n", "5");
    shows("$-1\r\n", "\n", "null");
    shows("*2\r\n$1\r\n1\r\n$1\r\n2\r\n", "1\n2\n", "[\"1\", \"2\"]"); /* no names */
    shows("*4\r\n$2\r\nid\r\n:7\r\n$4\r\nname\r\n$3\r\na\"b\r\n",
          "id              7\nname            a\"b\n", "{\"id\": 7, \"name\": \"a\\\"b\"}");
    shows("*2\r\n*4\r\n$2\r\nid\r\n:7\r\n$1\r\nx\r\n$1\r\ny\r\n"
          "*4\r\n$2\r\nid\r\n:10\r\n$1\r\nx\r\n$0\r\n\r\n",
          "id  x\n 7  y\n10\n", "[{\"id\": 7, \"x\": \"y\"}, {\"id\": 10, \"x\": \"\"}]");
    shows("*1\r\n*4\r\n$2\r\nid\r\n:7\r\n$1\r\nx\r\n$31\r\n0123456789012345678901234567890\r\n",
          "id              7\nx               0123456789012345678901234567890\n",
          "[{\"id\": 7, \"x\": \"0123456789012345678901234567890\"}]");
    shows("*2\r\n$4\r\nlist\r\n*1\r\n*2\r\n$1\r\na\r\n:1\r\n", "list\na\n1\n",
          "{\"list\": [{\"a\": 1}]}");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_columns_are_as_wide_as_they_have_to_be),
        cmocka_unit_test(test_what_is_too_wide_is_cut),
        cmocka_unit_test(test_numbers),
        cmocka_unit_test(test_replies),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
