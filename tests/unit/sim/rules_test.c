/* What is known of the level at which keyspaces are read by default (sim/nodes/rules.c): a read is
 * judged as linearizable exactly where no order, answered or not, lets it be less. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/alloc.h"
#include "sim/nodes/rules.h"

#include <stdio.h>
#include <string.h>

#define ALTER(keyspace, level)                                                                  \
    "*5\r\n$8\r\nKEYSPACE\r\n$5\r\nALTER\r\n$7\r\n" keyspace "\r\n$4\r\nREAD\r\n$5\r\n" level \
    "\r\n"

static struct run *run;

static int begin(void **state)
{
    (void)state;
    free(run);
    run = qr_zalloc(sizeof *run);
    return 0;
}

static int end(void **state)
{
    (void)state;
    free(run);
    run = NULL;
    return 0;
}

static void answer(enum rule_order order, const char *reply)
{
    struct tree tree = { 0 };
    assert_int_equal(tree_read(&tree, (const uint8_t *)reply, strlen(reply)), TREE_WHOLE);
    rules_answered(run, order, &tree);
    tree_free(&tree);
}

static void ordered(const char *request, const char *reply)
{
    answer(rules_ordered(run, request), reply);
}

/* Whether a read that is asked and answered now is one of which linearizable is asked. */
static bool is_strong(bool in_keyspace)
{
    struct deed d = { .kind = OP_GET };
    rules_read(run, in_keyspace, &d);
    rules_shown(run, &d);
    assert_int_equal(d.rule, 1 + in_keyspace);
    return d.level[0] == 0;
}

static void test_the_default_is_linearizable(void **state)
{
    (void)state;
    assert_true(is_strong(false) && is_strong(true));
}

static void test_only_orders_of_the_default_count(void **state)
{
    (void)state;
    assert_int_equal(rules_ordered(run, "*1\r\n$8\r\nFAILOVER\r\n"), RULE_NONE);
    assert_int_equal(rules_ordered(run, ALTER("junk", "local")), RULE_NONE);
    assert_int_equal(rules_ordered(run, "\r\nALTER\r\ncart\r\nACK\r\nlocal\r\n"), RULE_NONE);
    assert_int_equal(rules_ordered(run, "\r\nCREATE\r\ncart\r\nREAD\r\nlocal\r\n"), RULE_NONE);
    answer(RULE_NONE, "+OK\r\n");
    rules_lost(run, RULE_NONE);
    assert_true(is_strong(false) && is_strong(true));
    assert_int_equal(run->strengthened, 0);
}

static void test_weak_from_the_order_on_and_strong_from_the_answer_on(void **state)
{
    (void)state;
    enum rule_order order = rules_ordered(run, ALTER("default", "local"));
    assert_int_equal(order, RULE_ZERO_WEAK);
    assert_false(is_strong(false)); /* it may be in force already */
    assert_true(is_strong(true));   /* that is another keyspace's */
    answer(order, "+OK\r\n");
    assert_false(is_strong(false));
    order = rules_ordered(run, ALTER("default", "linearizable"));
    assert_int_equal(order, RULE_ZERO_STRONG);
    assert_false(is_strong(false)); /* it may not be in force yet */
    answer(order, "+OK\r\n");
    assert_true(is_strong(false));
    assert_int_equal(run->strengthened, 1);
}

static void test_the_operators_keyspace_has_its_own(void **state)
{
    (void)state;
    ordered(ALTER("cart", "local"), "+OK\r\n");
    assert_true(is_strong(false) && !is_strong(true));
    ordered(ALTER("default", "linearizable"), "+OK\r\n");
    assert_false(is_strong(true));
    ordered(ALTER("cart", "linearizable"), "+OK\r\n");
    assert_true(is_strong(true));
}

static void test_a_refusal_changes_nothing(void **state)
{
    (void)state;
    ordered(ALTER("default", "local"), "-CLUSTERDOWN no\r\n");
    assert_true(is_strong(false));
    ordered(ALTER("default", "local"), "+OK\r\n");
    ordered(ALTER("default", "linearizable"), "-CLUSTERDOWN no\r\n");
    assert_false(is_strong(false));
    ordered(ALTER("default", "local"), "-CLUSTERDOWN no\r\n");
    assert_false(is_strong(false)); /* as it was before */
    assert_int_equal(run->strengthened, 0);
}

static void test_an_order_without_an_answer_may_take_effect_at_any_time(void **state)
{
    (void)state;
    rules_lost(run, rules_ordered(run, ALTER("cart", "linearizable")));
    assert_true(is_strong(true)); /* of those nothing is to be feared */
    rules_lost(run, rules_ordered(run, ALTER("cart", "local")));
    ordered(ALTER("cart", "linearizable"), "+OK\r\n");
    assert_false(is_strong(true));
    assert_true(is_strong(false));
}

/* An order that comes and goes between a read and its answer. */
static void test_a_read_is_judged_by_all_of_its_time(void **state)
{
    (void)state;
    struct deed d = { .kind = OP_GET }, other = d;
    rules_read(run, false, &d);
    rules_read(run, true, &other);
    ordered(ALTER("default", "local"), "+OK\r\n");
    ordered(ALTER("default", "linearizable"), "+OK\r\n");
    rules_shown(run, &d);
    rules_shown(run, &other);
    assert_string_equal(d.level, "local");
    assert_string_equal(other.level, "");
    struct deed named = { .kind = OP_GET, .level = "prefix" }; /* which says what it wants */
    rules_shown(run, &named);
    assert_string_equal(named.level, "prefix");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_the_default_is_linearizable, begin),
        cmocka_unit_test_setup(test_only_orders_of_the_default_count, begin),
        cmocka_unit_test_setup(test_weak_from_the_order_on_and_strong_from_the_answer_on, begin),
        cmocka_unit_test_setup(test_the_operators_keyspace_has_its_own, begin),
        cmocka_unit_test_setup(test_a_refusal_changes_nothing, begin),
        cmocka_unit_test_setup(test_an_order_without_an_answer_may_take_effect_at_any_time, begin),
        cmocka_unit_test_setup(test_a_read_is_judged_by_all_of_its_time, begin),
    };
    return cmocka_run_group_tests(tests, NULL, end);
}
