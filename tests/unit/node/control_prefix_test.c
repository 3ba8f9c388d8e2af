/* Changes of prefixes (control.h: C3), with the world of control_test.c. */
#include "control_world.h"

#include <string.h>

#include "cluster/records.h"
#include "tests/unit/cluster/put_records.h"

/* An order that gives keyspace 16 a prefix. */
static void propose_prefix(struct pending *p, const char *prefix)
{
    struct edit edit = { 0 };
    struct map_keyspace k = a_keyspace(16, "cart", prefix, 2, 1);
    edit_settings(&edit, map_settings(node->map));
    edit_keyspace(&edit, &k);
    control_propose(node, p, &edit, 0);
}

static void a_prefix_changes_when_no_node_goes_by_it_C3(void **state)
{
    (void)state;
    turn();
    known = true;
    may_freeze = may_propose = false;
    propose_prefix(order(0), "a:");
    assert_false(control_begins(node, order(1))); /* C1 */
    turn();
    assert_int_equal(frozen, 0);
    assert_true(node->wake <= node->clock + 5 * QR_MILLISECOND);
    may_freeze = true;
    turn();
    turn();
    assert_true(frozen == 1 && proposed == 0);
    may_propose = true;
    has_room = false;
    turn();
    assert_int_equal(proposed, 0);
    has_room = true;
    turn();
    assert_true(proposed == 1 && thawed == 0);
    assert_int_equal(clients[0].answers, 0);
    decided(STATUS_OK, NULL);
    turn();
    assert_int_equal(thawed, 1);
    assert_string_equal(said(0), "+OK\r\n");
    assert_int_equal(begun_count, 1); /* the next in line */
}

/* An earlier change whose time was up is carried out while this one waits: it goes by what was. */
static void what_is_made_while_it_waits_is_not_overwritten_C3(void **state)
{
    (void)state;
    control_watch(node);
    turn();
    may_freeze = false;
    uint64_t before = version;
    propose_prefix(order(0), "a:");
    learn_prefix("b:");
    may_freeze = may_propose = true;
    turn();
    assert_true(proposed == 1 && version == before + 1);
    assert_int_equal(composed_on(), before);
}

static void a_prefix_that_stays_is_not_frozen_C3(void **state)
{
    (void)state;
    control_watch(node);
    turn();
    learn_prefix("a:");
    assert_int_equal(renewed, 1);
    propose_prefix(order(0), "a:");
    assert_true(proposed == 1 && frozen == 0);
    decided(STATUS_OK, NULL);
    turn();
    assert_int_equal(thawed, 0);
    struct edit edit = { 0 }; /* it goes with its keyspace */
    edit_drop(&edit, MAP_RECORD_KEYSPACE, 16);
    learn_prefix("a:");
    control_propose(node, order(1), &edit, 0);
    turn();
    assert_int_equal(frozen, 1);
}

static void who_leads_no_more_gives_the_order_back_C3(void **state)
{
    (void)state;
    turn();
    may_propose = false;
    propose_prefix(order(0), "a:");
    turn();
    assert_int_equal(frozen, 1);
    outlook.role = ROLE_FOLLOWER;
    turn();
    assert_true(given_back == 1 && proposed == 0 && thawed == 1);
    assert_int_equal(given_back_with, STATUS_NOT_LEADER);
    outlook.role = ROLE_LEADER;
    propose_prefix(order(1), "a:");
    turn();
    outlook.can_serve = false; /* it leads again, and others have written in between */
    may_propose = true;
    turn();
    assert_true(given_back == 2 && proposed == 0 && thawed == 2);
    outlook.can_serve = true;
    propose_prefix(order(2), "a:"); /* and what is left at the end goes with the node */
    turn();
}

/* It may be made as long as it is in the log: whoever went by the map of before would not know. */
static void what_is_not_decided_stays_frozen_C3(void **state)
{
    (void)state;
    turn();
    propose_prefix(order(0), "a:");
    turn();
    assert_int_equal(proposed, 1);
    node->clock += 60 * QR_SECOND;
    turn();
    assert_string_equal(said(0), "-UNDECIDED\r\n");
    assert_int_equal(thawed, 0);
    decided(STATUS_OK, NULL);
    turn();
    assert_int_equal(thawed, 1);
}

static void a_freeze_that_is_never_whole_ends_with_nothing_changed_C3(void **state)
{
    (void)state;
    turn();
    may_propose = false;
    propose_prefix(order(0), "a:");
    node->clock += 5 * QR_SECOND + RULES_TIME - 1;
    turn();
    assert_true(frozen == 1 && thawed == 0 && clients[0].answers == 0);
    node->clock += 1;
    turn();
    assert_non_null(strstr(said(0), "nothing was changed"));
    assert_int_equal(thawed, 1);
    may_propose = true;
    turn();
    assert_int_equal(proposed, 0);
    propose_prefix(order(1), "a:");
    turn();
    assert_int_equal(proposed, 1);
    decided(STATUS_OK, NULL);
    turn();
}

static void the_version_of_routes_is_that_of_the_last_change_of_a_prefix(void **state)
{
    (void)state;
    control_watch(node);
    turn();
    assert_int_equal(control_rules_version(node), 1); /* as far as the state tells */
    learn_prefix("a:");
    assert_int_equal(control_rules_version(node), 2);
    learn_prefix("a:"); /* the same: version 3 */
    assert_int_equal(control_rules_version(node), 2);
    learn_prefix("");
    assert_int_equal(control_rules_version(node), 4);
    version = 3; /* another engine, which is behind */
    turn();
    assert_int_equal(uncovered, 1);
    assert_int_equal(control_rules_version(node), 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(a_prefix_changes_when_no_node_goes_by_it_C3),
        CASE(what_is_made_while_it_waits_is_not_overwritten_C3),
        CASE(a_prefix_that_stays_is_not_frozen_C3),
        CASE(who_leads_no_more_gives_the_order_back_C3),
        CASE(what_is_not_decided_stays_frozen_C3),
        CASE(a_freeze_that_is_never_whole_ends_with_nothing_changed_C3),
        CASE(the_version_of_routes_is_that_of_the_last_change_of_a_prefix),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
