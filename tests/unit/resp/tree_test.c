/* Reading whole replies: nested ones, in any pieces, from a buffer that moves. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "resp/request.h"
#include "resp/tree.h"

static const char slots[] = "*2\r\n"
                            "*4\r\n:0\r\n:99\r\n*2\r\n$9\r\n127.0.0.1\r\n:7101\r\n*0\r\n"
                            "*3\r\n:100\r\n:16383\r\n*3\r\n$-1\r\n:7102\r\n*-1\r\n";

static enum tree_result read_all(struct tree *t, const char *text)
{
    tree_reset(t);
    return tree_read(t, (const uint8_t *)text, strlen(text));
}

static void look(const struct tree *t)
{
    assert_int_equal(tree_length(t, 0), 2);
    uint32_t first = tree_element(t, 0, 0), second = tree_element(t, 0, 1);
    assert_int_equal(tree_number(t, tree_element(t, first, 1)), 99);
    uint32_t node = tree_element(t, first, 2);
    assert_true(tree_is(t, tree_element(t, node, 0), "127.0.0.1"));
    assert_int_equal(tree_number(t, tree_element(t, node, 1)), 7101);
    assert_int_equal(tree_length(t, tree_element(t, first, 3)), 0);
    node = tree_element(t, second, 2);
    assert_true(t->items[tree_element(t, node, 0)].null);
    assert_int_equal(tree_text(t, tree_element(t, node, 0)).n, 0);
    assert_true(t->items[tree_element(t, node, 2)].null);
    assert_int_equal(tree_element(t, second, 3), UINT32_MAX);
    assert_int_equal(tree_type(t, UINT32_MAX), 0);
}

static void test_nested_arrays(void **state)
{
    (void)state;
    struct tree t = { 0 };
    assert_int_equal(read_all(&t, slots), TREE_WHOLE);
    assert_int_equal(t.at, strlen(slots));
    look(&t);
    tree_free(&t);
}

static void test_any_pieces_from_a_buffer_that_moves(void **state)
{
    (void)state;
    for (size_t step = 1; step < 9; step++) {
        struct tree t = { 0 };
        uint8_t *block = NULL;
        for (size_t n = 0;; n += step) {
            size_t have = n < strlen(slots) ? n : strlen(slots);
            uint8_t *next = qr_alloc(have);
            memcpy(next, slots, have);
            free(block);
            block = next;
            enum tree_result result = tree_read(&t, block, have);
            assert_int_equal(result, have < strlen(slots) ? TREE_MORE : TREE_WHOLE);
            if (result == TREE_WHOLE) {
                break;
            }
        }
        look(&t);
        tree_free(&t);
        free(block);
    }
}

static void test_one_after_the_other(void **state)
{
    (void)state;
    struct tree t = { 0 };
    const char *two = "+OK\r\n-ERR no\r\n";
    assert_int_equal(read_all(&t, two), TREE_WHOLE);
    assert_int_equal(t.at, 5);
    assert_true(tree_is(&t, 0, "OK"));
    assert_int_equal(read_all(&t, two + t.at), TREE_WHOLE);
    assert_int_equal(tree_type(&t, 0), '-');
    assert_true(tree_is(&t, 0, "ERR no"));
    tree_free(&t);
}

static void test_fields_by_name(void **state)
{
    (void)state;
    struct tree t = { 0 };
    const char *map = "*6\r\n$4\r\nname\r\n*1\r\n:5\r\n$2\r\nid\r\n$2\r\n17\r\n$1\r\nx\r\n+y\r\n";
    assert_int_equal(read_all(&t, map), TREE_WHOLE);
    assert_int_equal(tree_length(&t, tree_field(&t, 0, "name")), 1);
    assert_int_equal(tree_number(&t, tree_field(&t, 0, "id")), 17);
    assert_true(tree_is(&t, tree_field(&t, 0, "x"), "y"));
    assert_int_equal(tree_field(&t, 0, "z"), UINT32_MAX);
    assert_int_equal(tree_field(&t, UINT32_MAX, "z"), UINT32_MAX);
    tree_free(&t);
}

static void test_what_is_no_reply(void **state)
{
    (void)state;
    struct tree t = { 0 };
    assert_int_equal(read_all(&t, "HTTP/1.1 400\r\n"), TREE_BAD);
    assert_int_equal(read_all(&t, "*2\r\n+a\r\nb\r\n"), TREE_BAD);
    assert_int_equal(read_all(&t, "$99999999999\r\nx"), TREE_BAD);
    char deep[8 * (TREE_DEPTH_MAX + 2)] = "";
    for (int i = 0; i <= TREE_DEPTH_MAX; i++) {
        strcat(deep, "*1\r\n");
    }
    assert_int_equal(read_all(&t, deep), TREE_BAD);
    assert_int_equal(read_all(&t, deep + 4), TREE_MORE);
    tree_free(&t);
}

static void test_requests(void **state)
{
    (void)state;
    char out[64];
    const char *const words[] = { "SET", "k", "" };
    const char *whole = "*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$0\r\n\r\n";
    assert_int_equal(request_write(out, sizeof out, words, 3), strlen(whole));
    assert_memory_equal(out, whole, strlen(whole));
    memset(out, 'x', sizeof out);
    assert_int_equal(request_write(out, strlen(whole) - 1, words, 3), strlen(whole));
    assert_int_equal(out[0], 'x');
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nested_arrays),
        cmocka_unit_test(test_any_pieces_from_a_buffer_that_moves),
        cmocka_unit_test(test_one_after_the_other),
        cmocka_unit_test(test_fields_by_name),
        cmocka_unit_test(test_what_is_no_reply),
        cmocka_unit_test(test_requests),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
