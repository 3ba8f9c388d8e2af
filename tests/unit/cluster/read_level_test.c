/* Levels of reads in words, with their parameters, and those that a strategy gives (D3). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "cluster/level.h"

static bool reads(const char *words, struct level_asked *out, char why[200])
{
    struct text text = text_in(why, 200);
    return level_read(span_of(words, strlen(words)), out, &text);
}

/* As it is written, as it is told, and the number in it. */
static void assert_level(const char *words, const char *told, uint64_t bound)
{
    char why[200], text[LEVEL_BYTES];
    struct level_asked level, again;
    struct text out = text_in(text, sizeof text);
    assert_true(reads(words, &level, why));
    assert_string_equal(why, "");
    level_put(&out, &level);
    assert_false(out.cut);
    assert_string_equal(text, told);
    assert_int_equal(level.bound, bound);
    assert_true(reads(text, &again, why));
    assert_int_equal(again.level, level.level);
    assert_int_equal(again.bound, level.bound);
    assert_int_equal(again.group, level.group);
    assert_int_equal(again.by_ops, level.by_ops);
}

static void test_levels_and_their_parameters_in_any_case(void **state)
{
    (void)state;
    assert_level("LoCaL", "local", 0);
    assert_level("linearizable", "linearizable", 0);
    assert_level("Bounded:500MS", "bounded:500ms", 500);
    assert_level("bounded:5s", "bounded:5000ms", 5000);
    assert_level("bounded:2m", "bounded:120000ms", 120000);
    assert_level("bounded:1", "bounded:1ms", 1);
    assert_level("bounded:86400s", "bounded:86400000ms", 86400000);
    assert_level("bounded:1440m", "bounded:86400000ms", 86400000);
    assert_level("bounded:7OPS", "bounded:7ops", 7);
    assert_level("bounded:2147483647ops", "bounded:2147483647ops", 2147483647);
    assert_level("snapshot:3-17", "snapshot:3-17", 17);
    assert_level("snapshot:4294967295-9223372036854775807",
                 "snapshot:4294967295-9223372036854775807", INT64_MAX);
}

static void test_what_is_no_level_or_no_parameter_of_it(void **state)
{
    (void)state;
    static const char *const unknown[] = { "", ":", "locals", "loca", ":5s", "bounded 5s" };
    static const char *const wrong[] = {
        "local:1",
        "session:",
        "bounded",
        "bounded:",
        "bounded:0",
        "bounded:-1",
        "bounded:5h",
        "bounded:s",
        "bounded:ops",
        "bounded:0ops",
        "bounded:2147483648ops",
        "bounded:86400001",
        "bounded:1441m",
        "bounded:86401s",
        "bounded:05s",
        "bounded:5 s",
        "bounded:1.5s",
        "bounded:18446744073709551617",
        "snapshot",
        "snapshot:",
        "snapshot:-",
        "snapshot:3",
        "snapshot:3-",
        "snapshot:-17",
        "snapshot:3-0",
        "snapshot:3--1",
        "snapshot:4294967296-1",
        "snapshot:-1-1",
        "snapshot:3-9223372036854775808",
        "snapshot:3-17-1",
    };
    struct level_asked level;
    char why[200];
    for (size_t i = 0; i < ARRAY_COUNT(unknown); i++) {
        assert_false(reads(unknown[i], &level, why));
        assert_string_equal(why, "");
    }
    for (size_t i = 0; i < ARRAY_COUNT(wrong); i++) {
        assert_false(reads(wrong[i], &level, why));
        assert_true(why[0] == ':');
    }
    assert_false(level_read((struct span){ 0 }, &level, &(struct text){ why, 0, 1, false }));
}

static void test_every_level_has_a_name(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < READ_LEVELS; i++) {
        assert_true(level_name((enum read_level)i)[0] != 0);
    }
    static const struct promise promise = { .reads = READ_BIT(READ_LOCAL) |
                                                     READ_BIT(READ_LINEARIZABLE) };
    char text[100];
    struct text names = text_in(text, sizeof text);
    level_names(&names, &promise);
    assert_string_equal(text, "linearizable, local");
    assert_true(level_is_of_any_replica(READ_LOCAL) && level_is_of_any_replica(READ_PREFIX));
    assert_false(level_is_of_any_replica(READ_LEADER));
    assert_false(level_is_of_any_replica(READ_LINEARIZABLE));
    assert_false(level_is_of_any_replica(READ_SESSION));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_levels_and_their_parameters_in_any_case),
        cmocka_unit_test(test_what_is_no_level_or_no_parameter_of_it),
        cmocka_unit_test(test_every_level_has_a_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
