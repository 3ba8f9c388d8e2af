/* The table of commands: its order, its tags, its lookups. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "command/command.h"

static const struct command_spec *find(const char *a, const char *b,
                                       const struct command_spec **container)
{
    struct span argv[2] = { span_of(a, strlen(a)) };
    if (b != NULL) {
        argv[1] = span_of(b, strlen(b));
    }
    return command_find(argv, b != NULL ? 2 : 1, container);
}

static void test_table_is_in_strict_order(void **state)
{
    (void)state;
    for (size_t i = 1; i < command_count(); i++) {
        assert_true(strcmp(command_at(i - 1)->name, command_at(i)->name) < 0);
    }
}

static void test_every_row_is_found_by_name_and_by_tag(void **state)
{
    (void)state;
    for (size_t i = 0; i < command_count(); i++) {
        const struct command_spec *row = command_at(i);
        assert_int_equal(command_index(row), i);
        assert_int_equal(row->name_bytes, strlen(row->name));
        assert_ptr_equal(command_by_name(span_of(row->name, strlen(row->name))), row);
        if (row->place == PLACE_NONE) {
            assert_int_equal(row->tag, 0);
        } else {
            assert_ptr_equal(command_by_tag(row->tag), row); /* fails on a tag used twice */
        }
    }
    assert_null(command_by_tag(0));
    assert_null(command_by_tag(65535));
}

static void test_lookup_ignores_case_and_knows_subcommands(void **state)
{
    (void)state;
    const struct command_spec *container;
    assert_string_equal(find("GeT", NULL, &container)->name, "get");
    assert_string_equal(find("CLIENT", "lIsT", &container)->name, "client|list");
    assert_null(container);
    assert_int_equal(command_name_words(find("client", "list", &container)), 2);
    assert_int_equal(command_name_words(find("get", "list", &container)), 1);
}

static void test_unknown_names(void **state)
{
    (void)state;
    const struct command_spec *container;
    assert_null(find("", NULL, &container));
    assert_null(find("gett", NULL, &container));
    assert_null(find("ge", NULL, &container));
    assert_null(find("client|list", NULL, &container));
    assert_null(container);
    assert_null(
        find("zzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzz", NULL, &container));
    assert_null(find("client", "nope", &container));
    assert_string_equal(container->name, "client");
    assert_null(find("client", "", &container));
    assert_string_equal(container->name, "client");
    assert_string_equal(find("client", NULL, &container)->name, "client"); /* arity refuses it */
}

static void test_arity(void **state)
{
    (void)state;
    const struct command_spec *container;
    const struct command_spec *get = find("get", NULL, &container);
    assert_true(command_arity_fits(get, 2));
    assert_false(command_arity_fits(get, 1));
    assert_false(command_arity_fits(get, 3));
    const struct command_spec *mget = find("mget", NULL, &container);
    assert_false(command_arity_fits(mget, 1));
    assert_true(command_arity_fits(mget, 2));
    assert_true(command_arity_fits(mget, 200));
    assert_false(command_arity_fits(find("client", NULL, &container), 1));
    assert_true(command_arity_fits(find("command", NULL, &container), 1));
}

static void assert_keys(const char *name, const char *sub, uint32_t argc, uint32_t first,
                        uint32_t end, uint32_t step)
{
    const struct command_spec *container;
    struct key_range keys = command_keys(find(name, sub, &container), argc);
    assert_int_equal(keys.first, first);
    assert_int_equal(keys.end, end);
    assert_int_equal(keys.step, step);
}

static void test_keys_are_where_the_table_says(void **state)
{
    (void)state;
    assert_keys("get", NULL, 2, 1, 2, 1);
    assert_keys("set", NULL, 7, 1, 2, 1);
    assert_keys("mget", NULL, 5, 1, 5, 1);
    assert_keys("mset", NULL, 5, 1, 5, 2);
    assert_keys("copy", NULL, 6, 1, 3, 1);
    assert_keys("memory", "usage", 5, 2, 3, 1);
    assert_keys("dbsize", NULL, 1, 0, 0, 1); /* none */
    assert_keys("scan", NULL, 4, 0, 0, 1);
}

static void test_writes_say_so(void **state)
{
    (void)state;
    for (size_t i = 0; i < command_count(); i++) {
        const struct command_spec *row = command_at(i);
        assert_int_equal(row->place == PLACE_WRITE, (row->flags & CF_WRITE) != 0);
        if ((row->flags & CF_DENYOOM) != 0) {
            assert_int_equal(row->place, PLACE_WRITE);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_table_is_in_strict_order),
        cmocka_unit_test(test_every_row_is_found_by_name_and_by_tag),
        cmocka_unit_test(test_lookup_ignores_case_and_knows_subcommands),
        cmocka_unit_test(test_unknown_names),
        cmocka_unit_test(test_arity),
        cmocka_unit_test(test_keys_are_where_the_table_says),
        cmocka_unit_test(test_writes_say_so),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
