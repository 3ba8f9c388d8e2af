/* Changes of the control state (control.h: C1, C2). Streams and the map are real; the log, the
 * engine's records, reports and the orders themselves are played. */
#include "control_world.h"

#include <string.h>

#include "cluster/records.h"
#include "command/op.h"
#include "node/orders.h"
#include "tests/unit/cluster/put_records.h"

static void the_map_is_built_anew_when_the_state_came_from_elsewhere(void **state)
{
    (void)state;
    turn();
    assert_int_equal(map_settings(node->map)->next_group, 3);
    assert_int_equal(control_version(node), 1);
    assert_int_equal(noted[true], 1);
    uint64_t changes = map_changes(node->map);
    uint32_t quotas = node->quotas;
    turn();
    assert_true(map_changes(node->map) == changes && node->quotas == quotas);
    version = 40; /* a checkpoint */
    turn();
    assert_int_equal(map_settings(node->map)->next_group, 42);
    assert_int_equal(control_version(node), 40);
    assert_int_equal(noted[true], 2);
    assert_int_not_equal(node->quotas, quotas);
    control_watch(node);
    noted[false] = 0;
    learn_prefix("a:");
    assert_int_equal(noted[false], 0);
    uint8_t key[MAP_KEY_BYTES_MAX], value[MAP_VALUE_BYTES_MAX];
    struct map_settings settings = { .level = 2, .next_group = 50 };
    size_t n = map_key_write((struct map_key){ MAP_RECORD_SETTINGS, 0 }, key);
    node->engine_config.system_changed(node, span_of(key, n),
                                       span_of(value, map_settings_write(&settings, value)));
    assert_int_equal(noted[false], 1);
    assert_int_equal(noted[true], 2);
    assert_non_null(map_keyspace(node->map, 16));
    version = 50; /* another one, which knows nothing of it */
    turn();
    assert_null(map_keyspace(node->map, 16));
}

/* R9: the level of the records and the one in this node's directory are brought together. */
static void the_level_is_followed_when_it_differs(void **state)
{
    (void)state;
    turn();
    uint32_t before = followed;
    turn();
    assert_int_equal(followed, before);
    node->identity.level = 1;
    turn();
    assert_int_equal(followed, before + 1);
    node->identity.level = 3; /* a new cluster's records say less than its directories */
    turn();
    assert_int_equal(followed, before + 2);
}

/* ... and an entry says which of them is active, not which its leader knows. */
static void an_entry_is_of_the_active_level(void **state)
{
    (void)state;
    turn();
    put_settings(node->map, &(struct map_settings){ .level = 1, .next_group = 2 });
    propose(order(0), 0);
    struct op head;
    assert_true(op_peek(span_of(op, sizeof op), &head));
    assert_int_equal(head.level, 1);
    assert_int_equal(control_level_known(node), 2);
}

/* Leaders of partitions look at their quotas again (quota.h). */
static void a_record_of_a_keyspace_may_be_one_of_quotas(void **state)
{
    (void)state;
    control_watch(node);
    turn();
    uint32_t quotas = node->quotas;
    uint8_t key[MAP_KEY_BYTES_MAX];
    size_t n = map_key_write((struct map_key){ MAP_RECORD_KEYSPACE, 16 }, key);
    node->engine_config.system_changed(node, span_of(key, n), (struct span){ 0 });
    assert_int_not_equal(node->quotas, quotas);
}

static void a_level_that_is_not_known_ends_the_node(void **state)
{
    (void)state;
    static const uint8_t key[] = { 'z' }, newer[] = { 9 };
    control_watch(node);
    node->engine_config.system_changed(node->engine_config.system_context, span_of(key, 1),
                                       span_of(newer, 1));
    assert_true(node->failed);
}

/* --- C1 -------------------------------------------------------------------------------------- */

static void one_change_at_a_time_and_the_others_in_order(void **state)
{
    (void)state;
    turn();
    struct pending *p[3] = { order(0), order(1), order(2) };
    assert_true(control_begins(node, p[0]));
    propose(p[0], 0);
    assert_false(control_begins(node, p[1]));
    assert_false(control_begins(node, p[2]));
    struct edit edit = { 0 };
    edit_settings(&edit, map_settings(node->map));
    assert_false(control_propose_own(node, &edit));
    turn();
    assert_int_equal(begun_count, 0);
    assert_int_equal(proposed, 1);
    assert_int_equal(control_waiting(node->control), 2);
    assert_true(node->wake <= node->clock + 5 * QR_MILLISECOND);
    decided(STATUS_OK, NULL);
    turn();
    assert_int_equal(begun_count, 2); /* neither composed, so both were judged */
    assert_true(begun[0] == p[1] && begun[1] == p[2]);
    assert_true(control_begins(node, p[1]));
    propose(p[1], 0);
    assert_false(control_begins(node, p[2]));
    decided(STATUS_OK, NULL);
    known = true;
    turn();
    assert_string_equal(said(1), "+OK\r\n");
}

/* An order that goes by the map waits for what is on its way to it, from an earlier leader too; for
 * no more than that. */
static void who_goes_by_the_map_waits_until_it_rests(void **state)
{
    (void)state;
    turn();
    struct pending *first = order(0), *p = order(1);
    assert_true(control_begins(node, first));
    propose(first, 0);
    assert_false(control_rests(node, p));
    outlook.commit = 20;
    applied = 19;
    decided(STATUS_OK, NULL);
    turn();
    assert_int_equal(begun_count, 1);
    assert_true(begun[0] == p);
    assert_false(control_rests(node, p)); /* committed by now, and not in the map */
    outlook.commit = 30;
    applied = 20;
    turn();
    assert_int_equal(begun_count, 2);
    assert_true(control_rests(node, p));
    assert_int_equal(clients[1].answers, 0);
}

static void who_may_not_compose_waits(void **state)
{
    (void)state;
    turn();
    struct pending *p = order(0);
    outlook.can_serve = false;
    assert_false(control_begins(node, p));
    turn();
    assert_int_equal(begun_count, 0);
    outlook.can_serve = true;
    applied_term--; /* what leaders before it have decided is not in the map yet */
    turn();
    assert_int_equal(begun_count, 0);
    applied_term++;
    outlook.transfer_to = 2; /* it hands over */
    turn();
    assert_int_equal(begun_count, 0);
    outlook.transfer_to = NODE_NONE;
    turn();
    assert_int_equal(begun_count, 1);
    has_room = false; /* it composes, and the log has no room: it is judged again */
    assert_true(control_begins(node, p));
    propose(p, 0);
    assert_int_equal(proposed, 0);
    has_room = true;
    turn();
    assert_int_equal(begun_count, 2);
}

static void those_in_line_are_bounded_R4(void **state)
{
    (void)state;
    turn();
    outlook.can_serve = false;
    for (uint32_t i = 0; i < CONTROL_ORDERS_MAX; i++) {
        assert_false(control_begins(node, order(0)));
    }
    assert_int_equal(clients[0].answers, 0);
    assert_int_equal(clients[1].answers, 0);
    assert_false(control_begins(node, order(1)));
    assert_int_equal(clients[1].answers, 1);
    assert_int_equal(control_waiting(node->control), CONTROL_ORDERS_MAX);
    outlook.role = ROLE_FOLLOWER;
    turn();
}

/* Whoever waits for it hears so; nothing is composed on a state that it may change, or judged. */
static void a_change_is_under_way_until_it_is_decided(void **state)
{
    (void)state;
    turn();
    propose(order(0), 0);
    node->clock += 5 * QR_SECOND - 1;
    turn();
    assert_int_equal(clients[0].answers, 0);
    assert_int_equal(node->wake, node->clock + 1);
    node->clock += 1;
    turn();
    assert_string_equal(said(0), "-UNDECIDED\r\n");
    assert_int_equal(node->wake, QR_NEVER); /* nobody waits any more */
    assert_false(control_begins(node, order(1)));
    turn();
    assert_true(begun_count == 0 && proposed == 1);
    decided(STATUS_OK, NULL);
    turn();
    assert_int_equal(begun_count, 1);
    assert_int_equal(clients[0].answers, 1);
    propose(begun[0], 0); /* the next one has its own time */
    decided(STATUS_OK, NULL);
    known = true;
    turn();
    assert_string_equal(said(1), "+OK\r\n");
}

/* Ends what is under way; another order is in line. */
static void one_after_another(void)
{
    decided(STATUS_OK, NULL);
    begun_count = 0;
    planned_before = UINT32_MAX;
    turn();
    assert_int_equal(begun_count, 1);
}

/* Orders come first; copies that are missing are made all the same if there is always another. */
static void the_planner_does_not_wait_for_orders_without_end(void **state)
{
    (void)state;
    turn();
    propose(order(0), 0);
    assert_false(control_begins(node, order(1)));
    one_after_another();
    assert_int_equal(planned_before, UINT32_MAX); /* it was its time a moment ago */

    propose(order(2), 0);
    assert_false(control_begins(node, order(3)));
    node->clock += 2 * QR_SECOND;
    one_after_another();
    assert_int_equal(planned_before, 1); /* behind the order, which composed nothing */

    propose(order(4), 0);
    assert_false(control_begins(node, order(5)));
    node->clock += 2 * QR_SECOND + QR_SECOND / 10;
    one_after_another();
    assert_int_equal(planned_before, 0);
}

/* Where leadership has ended meanwhile that is what is told. */
static void a_change_of_whoever_leads_no_more_is_uncertain(void **state)
{
    (void)state;
    turn();
    propose(order(0), 0);
    outlook.role = ROLE_FOLLOWER;
    node->clock += 5 * QR_SECOND;
    turn();
    assert_string_equal(said(0), "-UNCERTAIN\r\n");
    decided(STATUS_UNCERTAIN, NULL);
    turn();
    assert_int_equal(clients[0].answers, 1);
}

/* Another node's state has taken the place of the one that the map shows. */
static void a_change_is_for_the_state_that_the_map_shows(void **state)
{
    (void)state;
    turn();
    version = 40;
    propose(order(0), 0);
    assert_int_equal(composed_on(), 1);
    decided(STATUS_OK, "CONFLICT");
    turn();
    assert_true(begun_count == 1 && control_version(node) == version);
    propose(begun[0], 0);
    assert_int_equal(composed_on(), version);
    decided(STATUS_OK, NULL);
    turn();
    uint64_t shown = version;
    version = 50;
    struct edit edit = { 0 };
    edit_settings(&edit, map_settings(node->map));
    assert_true(control_propose_own(node, &edit));
    assert_int_equal(composed_on(), shown);
    decided(STATUS_OK, "CONFLICT");
    turn();
}

static void nobody_stands_in_line_for_ever(void **state)
{
    (void)state;
    turn();
    propose(order(0), 0);
    assert_false(control_begins(node, order(1)));
    node->clock += QR_SECOND;
    assert_false(control_begins(node, order(2)));
    control_await_reports(node, order(3), 0);
    figures = true;
    turn();
    assert_int_equal(control_waiting(node->control), 3);
    node->clock += 4 * QR_SECOND - 1;
    turn();
    assert_int_equal(clients[1].answers, 0);
    node->clock += 1;
    turn();
    assert_int_equal(clients[1].answers, 1);
    assert_non_null(strstr(said(1), "-TRYAGAIN"));
    assert_non_null(strstr(said(1), "nothing was changed"));
    assert_true(clients[2].answers == 0 && clients[3].answers == 0);
    decided(STATUS_OK, NULL);
    turn();
    assert_int_equal(begun_count, 2);
    has_room = false; /* nor for room in the log */
    propose(begun[0], 0);
    node->clock += QR_SECOND;
    turn();
    assert_int_equal(begun_count, 3);
    propose(begun[2], 0);
    assert_non_null(strstr(said(2), "nothing was changed"));
    assert_int_equal(proposed, 1);
    outlook.role = ROLE_FOLLOWER; /* whoever leads next has its own time for it */
    assert_false(control_begins(node, order(4)));
    turn();
    assert_int_equal(given_back, 1);
}

/* Its client was told that it may have happened, has looked, and writes there again. */
static void what_nobody_waits_for_is_not_begun(void **state)
{
    (void)state;
    turn();
    propose(order(0), 0);
    assert_false(control_begins(node, order(1)));
    assert_false(control_begins(node, order(2)));
    stream_detach(&clients[1].stream);
    decided(STATUS_OK, NULL);
    turn();
    assert_int_equal(begun_count, 1);
    assert_ptr_equal(begun[0], clients[2].stream.first);
    assert_int_equal(control_waiting(node->control), 1); /* the first one, until all know it */
}

/* --- C2 -------------------------------------------------------------------------------------- */

static void ok_when_all_know_it_and_all_partitions_are_led(void **state)
{
    (void)state;
    turn();
    propose(order(0), 16);
    turn();
    decided(STATUS_OK, NULL);
    led = true;
    turn();
    assert_int_equal(clients[0].answers, 0);
    led = false;
    known = true;
    turn();
    assert_int_equal(clients[0].answers, 0);
    led = true;
    turn();
    assert_string_equal(said(0), "+OK\r\n");
    known = false; /* and in any case after two seconds: it is decided */
    change(order(1));
    node->clock += 2 * QR_SECOND - 1;
    turn();
    assert_int_equal(clients[1].answers, 0);
    node->clock += 1;
    turn();
    assert_string_equal(said(1), "+OK\r\n");
    change(order(2)); /* or when nobody here will hear of the others any more */
    outlook.role = ROLE_FOLLOWER;
    turn();
    assert_string_equal(said(2), "+OK\r\n");
}

/* C4 */
static void of_a_change_of_rules_ok_when_nobody_goes_by_those_of_before(void **state)
{
    (void)state;
    turn();
    propose(order(0), CONTROL_RULES);
    assert_int_equal(control_waiting(node->control), 0);
    turn();
    assert_int_equal(clients[0].answers, 0); /* it is not decided yet */
    decided(STATUS_OK, NULL);
    known = led = true; /* all that are connected: that is not enough */
    turn();
    assert_int_equal(clients[0].answers, 0);
    assert_int_equal(control_waiting(node->control), 1);
    all_know = true;
    turn();
    assert_string_equal(said(0), "+OK\r\n");
    all_know = false;
    turn();
    propose(order(1), CONTROL_RULES);
    decided(STATUS_OK, NULL);
    turn();
    propose(order(2), CONTROL_RULES);
    decided(STATUS_OK, NULL);
    turn();
    outlook.role = ROLE_FOLLOWER; /* what it could tell about the others it cannot any more */
    all_know = true;
    node->clock += RULES_TIME - 1;
    turn();
    assert_int_equal(clients[1].answers + clients[2].answers, 0);
    node->clock++; /* whoever leads by now has covered nobody without it */
    turn();
    assert_string_equal(said(1), "+OK\r\n");
    assert_string_equal(said(2), "+OK\r\n");
    assert_int_equal(control_waiting(node->control), 0);
}

/* What is not decided is no more than it was: nobody waits for RULES_TIME. */
static void a_change_of_rules_that_fails_is_answered_at_once(void **state)
{
    (void)state;
    turn();
    propose(order(0), CONTROL_RULES);
    decided(STATUS_UNCERTAIN, NULL);
    turn();
    assert_int_equal(uncertain, 1);
    propose(order(1), CONTROL_RULES); /* other changes came in between: it is judged again */
    decided(STATUS_OK, "ERR another version");
    turn();
    assert_ptr_equal(begun[0], clients[1].stream.first);
    propose(begun[0], 0); /* by the next one's own kind */
    decided(STATUS_OK, NULL);
    known = true;
    turn();
    assert_string_equal(said(1), "+OK\r\n");
}

/* READ, ACK, bounds of ids, zones; nothing that a leader alone goes by. */
static void what_is_a_rule(void **state)
{
    (void)state;
    struct map_keyspace k = a_keyspace(16, "cart", "", 3, 1);
    control_watch(node);
    turn();
    learn_keyspace(&k);
    uint64_t seen = control_rules_version(node);
#define CHANGES(field, value)                               \
    k.field = (value);                                      \
    learn_keyspace(&k);                                     \
    assert_int_equal(control_rules_version(node), version); \
    seen = version;                                         \
    learn_keyspace(&k);                                     \
    assert_int_equal(control_rules_version(node), seen)
    CHANGES(read.level, READ_LOCAL);
    k.read.bound = 7;
    CHANGES(read.level, READ_BOUNDED);
    CHANGES(read.bound, 8);
    CHANGES(read.by_ops, true);
    CHANGES(ack_kind, ACK_EACH_ZONE);
    CHANGES(idmp_seconds, 7);
    CHANGES(idmp_count, 8);
    CHANGES(idmp_bytes, 9);
    k.maxmemory = k.maxops = k.history_ms = 1000000;
    learn_keyspace(&k);
    assert_int_equal(control_rules_version(node), seen);
    learn_zone(2, "a");
    assert_int_equal(control_rules_version(node), version);
    seen = version;
    learn_zone(2, "a");
    assert_int_equal(control_rules_version(node), seen);
    learn_zone(2, "");
    assert_int_equal(control_rules_version(node), version);
    learn_no_keyspace(); /* another one of its name may give other things */
    assert_int_equal(control_rules_version(node), version);
    uint32_t asked = renewed; /* at once: until it is covered anew it may not go by them for long */
    learn_prefix("a:");
    assert_int_equal(renewed, asked + 1);
    learn_prefix("a:");
    assert_int_equal(renewed, asked + 1);
    learn_no_keyspace();
    assert_int_equal(control_rules_version(node), version);
}

static void what_came_in_between_is_judged_anew_a_few_times(void **state)
{
    (void)state;
    turn();
    struct pending *p = order(0);
    for (uint32_t i = 1; i < ATTEMPTS; i++) {
        propose(p, 0);
        decided(STATUS_OK, "ERR another version");
        turn();
        assert_int_equal(begun_count, i);
        assert_int_equal(clients[0].answers, 0);
    }
    propose(p, 0);
    decided(STATUS_OK, "ERR another version");
    turn();
    assert_int_equal(begun_count, ATTEMPTS - 1);
    assert_non_null(strstr(said(0), "nothing was changed"));
}

static void leadership_that_ends_is_told_as_what_it_may_have_left(void **state)
{
    (void)state;
    turn();
    propose(order(0), 0);
    assert_false(control_begins(node, order(1)));
    control_await_reports(node, order(2), 0);
    outlook.role = ROLE_FOLLOWER;
    decided(STATUS_UNCERTAIN, NULL);
    turn();
    assert_int_equal(uncertain, 1);
    assert_int_equal(given_back, 2); /* those that were never proposed */
    assert_int_equal(given_back_with, STATUS_NOT_LEADER);
    assert_int_equal(planned, 1);
    assert_int_equal(control_waiting(node->control), 0);
    outlook.role = ROLE_LEADER;
    propose(order(3), 0);
    decided(STATUS_NOT_LEADER, NULL); /* it is known not to have happened */
    turn();
    assert_int_equal(given_back, 3);
    assert_int_equal(uncertain, 1);
}

static void who_waits_for_figures_is_judged_when_they_came_or_did_not(void **state)
{
    (void)state;
    turn();
    control_await_reports(node, order(0), 16);
    turn();
    assert_int_equal(begun_count, 0);
    figures = true;
    turn();
    assert_int_equal(begun_count, 0);
    led = true; /* whoever leads has told its figures */
    turn();
    assert_int_equal(begun_count, 1);
    figures = false;
    control_await_reports(node, order(1), 16);
    node->clock += QR_SECOND - 1;
    turn();
    assert_int_equal(begun_count, 1);
    node->clock += 1;
    turn();
    assert_int_equal(begun_count, 2);
    propose(begun[0], 0);
    for (uint32_t i = 1; i < ATTEMPTS; i++) { /* and as often as any other */
        decided(STATUS_OK, "ERR another version");
        turn();
        assert_int_equal(begun_count, 2 + i);
        propose(begun[1 + i], 0);
    }
    assert_int_equal(clients[0].answers, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(the_map_is_built_anew_when_the_state_came_from_elsewhere),
        CASE(a_record_of_a_keyspace_may_be_one_of_quotas),
        CASE(the_level_is_followed_when_it_differs),
        CASE(an_entry_is_of_the_active_level),
        CASE(a_level_that_is_not_known_ends_the_node),
        CASE(one_change_at_a_time_and_the_others_in_order),
        CASE(who_goes_by_the_map_waits_until_it_rests),
        CASE(who_may_not_compose_waits),
        CASE(those_in_line_are_bounded_R4),
        CASE(a_change_is_under_way_until_it_is_decided),
        CASE(the_planner_does_not_wait_for_orders_without_end),
        CASE(a_change_of_whoever_leads_no_more_is_uncertain),
        CASE(a_change_is_for_the_state_that_the_map_shows),
        CASE(nobody_stands_in_line_for_ever),
        CASE(what_nobody_waits_for_is_not_begun),
        CASE(ok_when_all_know_it_and_all_partitions_are_led),
        CASE(of_a_change_of_rules_ok_when_nobody_goes_by_those_of_before),
        CASE(a_change_of_rules_that_fails_is_answered_at_once),
        CASE(what_is_a_rule),
        CASE(what_came_in_between_is_judged_anew_a_few_times),
        CASE(leadership_that_ends_is_told_as_what_it_may_have_left),
        CASE(who_waits_for_figures_is_judged_when_they_came_or_did_not),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
