/* Levels of reads and the options that ask for one: what is understood, and each refusal (D3). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "cluster/level.h"

#define WORDS 8

static const struct promise promise = { .reads =
                                            READ_BIT(READ_LINEARIZABLE) | READ_BIT(READ_LOCAL) };

static struct span word(const char *s)
{
    return span_of(s, strlen(s));
}

/* What the words ask for, with the error, or "" in `why`. */
static struct asked ask(const char *const *words, uint32_t n, char why[200], bool *good)
{
    struct span argv[WORDS];
    struct text text = text_in(why, 200);
    struct asked asked = { .read = READ_CAUSAL, .has_read = true }; /* what is there before */
    for (uint32_t i = 0; i < n; i++) {
        argv[i] = word(words[i]);
    }
    *good = asked_read(&asked, argv, n, "raft", &promise, &text);
    return asked;
}

static void assert_refused(const char *const *words, uint32_t n, const char *expected)
{
    char why[200];
    bool good;
    struct asked asked = ask(words, n, why, &good);
    assert_false(good);
    assert_string_equal(why, expected);
    assert_int_equal(asked.read, READ_CAUSAL); /* as it was */
    assert_true(asked.has_read);
}

static void test_a_level_is_understood_in_any_case(void **state)
{
    (void)state;
    char why[200];
    bool good;
    struct asked asked = ask((const char *[]){ "read", "LoCaL" }, 2, why, &good);
    assert_true(good && asked.has_read);
    assert_int_equal(asked.read, READ_LOCAL);
    asked = ask(NULL, 0, why, &good);
    assert_true(good && !asked.has_read);
    assert_int_equal(asked.read, READ_LINEARIZABLE);
}

static void test_each_refusal_says_what_was_wrong(void **state)
{
    (void)state;
    assert_refused((const char *[]){ "SPEED", "high" }, 2,
                   "ERR syntax error: unknown option 'SPEED', the options are READ level");
    assert_refused((const char *[]){ "READ" }, 1, "ERR syntax error: 'READ' has no value");
    assert_refused((const char *[]){ "READ", "local", "read", "local" }, 4,
                   "ERR syntax error: 'read' stands twice");
    assert_refused((const char *[]){ "READ", "" }, 2,
                   "ERR syntax error: unknown read level '', use one of linearizable, local");
    assert_refused((const char *[]){ "READ", "bounded" }, 2, /* by how much? */
                   "ERR syntax error: unknown read level 'bounded', use one of linearizable, "
                   "local");
    assert_refused((const char *[]){ "READ", "local:1" }, 2,
                   "ERR syntax error: unknown read level 'local:1', use one of linearizable, "
                   "local");
}

static void test_a_level_that_cannot_be_given_is_no_weaker_one_U3(void **state)
{
    (void)state;
    assert_refused((const char *[]){ "READ", "leader" }, 2,
                   "LEVEL strategy raft does not give reads at level 'leader', the command was not "
                   "applied; it gives linearizable, local");
    assert_refused((const char *[]){ "READ", "bounded:5s" }, 2,
                   "LEVEL strategy raft does not give reads at level 'bounded:5s', the command was "
                   "not applied; it gives linearizable, local");
}

static void test_what_is_not_text_is_quoted_and_cut(void **state)
{
    (void)state;
    assert_refused((const char *[]){ "a\r\nb\001c", "x" }, 2,
                   "ERR syntax error: unknown option 'a??b?c', the options are READ level");
    assert_refused((const char *[]){ "0123456789012345678901234567890123456789", "x" }, 2,
                   "ERR syntax error: unknown option '01234567890123456789012345678901...', the "
                   "options are READ level");
}

static uint32_t command_at(const char *const *words, uint32_t n, char why[200])
{
    struct span argv[WORDS];
    struct text text = text_in(why, 200);
    for (uint32_t i = 0; i < n; i++) {
        argv[i] = word(words[i]);
    }
    return with_command_at(argv, n, &text);
}

static void test_where_the_command_of_WITH_begins(void **state)
{
    (void)state;
    char why[200];
    assert_int_equal(command_at((const char *[]){ "WITH", "2", "a", "b", "GET" }, 5, why), 4);
    assert_int_equal(command_at((const char *[]){ "WITH", "1", "a", "b", "GET" }, 5, why), 3);
    assert_string_equal(why, "");
    assert_int_equal(command_at((const char *[]){ "WITH", "3", "a", "b", "GET" }, 5, why), 0);
    assert_string_equal(why, "ERR syntax error: no command follows the options of WITH");
    assert_int_equal(command_at((const char *[]){ "WITH", "1", "a", "with", "1" }, 5, why), 0);
    assert_string_equal(why, "ERR syntax error: WITH stands inside of WITH");
    static const char *const wrong[] = { "", "0", "65", "-1", "two", "18446744073709551618" };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        assert_int_equal(command_at((const char *[]){ "WITH", wrong[i], "a", "GET" }, 4, why), 0);
        assert_string_equal(
            why, "ERR syntax error: WITH begins with how many words of options follow, 1 to 64");
    }
}

static void test_every_level_has_a_name(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < READ_LEVELS; i++) {
        assert_true(level_name((enum read_level)i)[0] != 0);
    }
    assert_true(level_is_of_any_replica(READ_LOCAL) && level_is_of_any_replica(READ_PREFIX));
    assert_false(level_is_of_any_replica(READ_LEADER));
    assert_false(level_is_of_any_replica(READ_LINEARIZABLE));
    assert_false(level_is_of_any_replica(READ_SESSION));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_level_is_understood_in_any_case),
        cmocka_unit_test(test_each_refusal_says_what_was_wrong),
        cmocka_unit_test(test_a_level_that_cannot_be_given_is_no_weaker_one_U3),
        cmocka_unit_test(test_what_is_not_text_is_quoted_and_cut),
        cmocka_unit_test(test_where_the_command_of_WITH_begins),
        cmocka_unit_test(test_every_level_has_a_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
