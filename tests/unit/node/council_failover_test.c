/* KEYSPACE FAILOVER (order_keyspace_failover.c, council_orders.h): what is ordered, what comes of
 * it, and what whoever waits is told. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "council_world.h"

#include "node/orders.h"
#include "tests/unit/cluster/put_records.h"

#define WORDS_MAX 12

static struct pending waits[COUNCIL_ORDERS_MAX + 1];

static void give(struct pending *p, const char *words)
{
    char copy[160], *next = copy;
    struct span argv[WORDS_MAX];
    uint32_t argc = 0;
    strcpy(copy, words);
    for (char *word; (word = strsep(&next, " ")) != NULL;) {
        argv[argc++] = span_of(word, strlen(word));
    }
    *p = (struct pending){ .node = node };
    order_cmd_KEYSPACE_FAILOVER(node, p, argv, argc);
}

/* One that is answered at once. */
static const char *ask(const char *words)
{
    uint32_t before = answers;
    give(&waits[0], words);
    assert_int_equal(answers, before + 1);
    return answered();
}

static void begin_order(const char *words)
{
    uint32_t before = answers;
    give(&waits[1], words);
    assert_int_equal(answers, before);
    assert_int_equal(waits[1].state, PENDING_CONTROLLED);
    turn();
}

/* The primary takes nothing more, and the next one is chosen. */
static void hand_over_to(node_index to)
{
    const struct succession *s = record(FIRST);
    tell(s->primary, (struct standing){ .group = FIRST,
                                        .leads = true,
                                        .closed = true,
                                        .to = to,
                                        .promised = s->term,
                                        .settled = s->term,
                                        .caught = 0x7 });
    turn();
    for (node_index i = 0; i < 3; i++) {
        stand(i, FIRST, 9);
    }
    turn();
}

static void who_is_ordered_leads_and_stays_L10(void **state)
{
    (void)state;
    settle();
    begin_order("orders TO 103");
    assert_int_equal(orders, 1);
    assert_int_equal(ordered_of, 1);
    assert_int_equal(ordered.to, 2);
    hand_over_to(2);
    turn();
    assert_int_equal(answers, 1);
    assert_string_equal(answered(), "+OK\r\n");
    assert_int_equal(record(FIRST)->primary, 2);
    assert_int_equal(map_partition(node->map, FIRST)->prefers, 2); /* it is not handed back */
    assert_int_equal(control.council->orders.count, 0);
}

static void without_to_it_is_one_that_has_all(void **state)
{
    (void)state;
    settle();
    lead(FIRST, 0x6);
    begin_order("orders");
    assert_int_equal(ordered.to, 2);
    lead(FIRST, 0x2);
    turn();
    give(&waits[0], "orders ABORT");
    assert_string_equal(ask("orders"),
                        "-ERR FAILOVER requires a connected replica that has caught up, nothing "
                        "was changed\r\n");
    tell(2, (struct standing){ .group = FIRST, .forgetful = true });
    lead(FIRST, 0x6);
    assert_non_null(strstr(ask("orders"), "requires a connected replica"));
    lose(0);
    lead(FIRST, 0x3);
    turn();
    assert_non_null(strstr(ask("orders"), "requires a connected replica"));
}

static void what_does_not_come_about_in_time_is_called_off(void **state)
{
    (void)state;
    settle();
    begin_order("orders TO 101 TIMEOUT 300");
    pass(250 * QR_MILLISECOND);
    assert_int_equal(answers, 0);
    pass(60 * QR_MILLISECOND);
    assert_int_equal(answers, 1);
    assert_string_equal(answered(), "-ERR FAILOVER timed out and was called off, node 102 still "
                                    "leads\r\n");
    assert_int_equal(ordered.to, 1); /* to itself: it goes on */
    assert_int_equal(ordered_of, 1);
    assert_int_equal(control.council->orders.count, 0);
    uint32_t before = orders;
    pass(QR_SECOND);
    assert_int_equal(orders, before);
}

/* The primary has handed over: there is no way back. */
static void what_is_past_calling_off_is_not_said_to_be(void **state)
{
    (void)state;
    settle();
    begin_order("orders TO 101 TIMEOUT 300");
    tell(1, (struct standing){ .group = FIRST,
                               .leads = true,
                               .closed = true,
                               .to = 0,
                               .promised = record(FIRST)->term,
                               .settled = record(FIRST)->term,
                               .caught = 0x7 });
    turn();
    assert_int_equal(record(FIRST)->primary, NODE_NONE);
    uint32_t before = orders;
    pass(310 * QR_MILLISECOND);
    council_orders_turn(node, node->clock);
    assert_non_null(strstr(answered(), "-ERR FAILOVER timed out, and may still come about, no "
                                       "node leads at the moment"));
    assert_int_equal(orders, before);
}

static void why_it_does_not_get_on_is_told(void **state)
{
    (void)state;
    settle();
    begin_order("orders TO 101 TIMEOUT 300");
    lose(0);
    pass(310 * QR_MILLISECOND);
    council_orders_turn(node, node->clock);
    assert_non_null(strstr(answered(), "still leads; keyspace orders, partition 0: "));
    assert_non_null(strstr(answered(), "lacks entries"));
}

static void an_order_has_a_time_though_none_is_said(void **state)
{
    (void)state;
    settle();
    begin_order("orders TO 101");
    pass(COUNCIL_ORDER_TIME - 1);
    council_orders_turn(node, node->clock);
    assert_int_equal(answers, 0);
    node->clock++;
    council_orders_turn(node, node->clock);
    assert_int_equal(answers, 1);
}

static void one_is_under_way_at_a_time_and_can_be_called_off_CO1(void **state)
{
    (void)state;
    settle();
    assert_string_equal(ask("orders ABORT"), "-ERR No failover in progress.\r\n");
    begin_order("orders TO 101");
    assert_string_equal(ask("orders TO 103"), "-ERR FAILOVER already in progress.\r\n");
    uint32_t before = answers;
    give(&waits[0], "orders ABORT");
    assert_int_equal(answers, before + 2);
    assert_string_equal(answered(), "+OK\r\n");
    assert_int_equal(waits[1].state, PENDING_ANSWERED);
    assert_int_equal(ordered.to, 1);
}

static void force_takes_the_best_of_those_that_are_here_and_tells_the_loss_CO2(void **state)
{
    (void)state;
    settle();
    lose(1);
    lose(2);
    pass(LEASE_TIME + 100 * QR_MILLISECOND);
    stand(0, FIRST, 40);
    pass(QR_SECOND);
    assert_int_equal(record(FIRST)->primary, NODE_NONE);
    begin_order("orders FORCE");
    pass(QR_SECOND);
    council_orders_turn(node, node->clock);
    assert_int_equal(answers, 1);
    assert_int_equal(record(FIRST)->primary, 0);
    assert_non_null(strstr(answered(), "+OK node 101 leads; writes acknowledged after entry 40"));
    assert_non_null(strstr(answered(), "may be lost"));
    assert_int_equal(council_figures(node).losses, 1);
}

static void force_without_a_loss_says_ok(void **state)
{
    (void)state;
    settle();
    begin_order("orders TO 103 FORCE");
    assert_int_equal(record(FIRST)->primary, NODE_NONE); /* it is not waited for */
    for (node_index i = 0; i < 3; i++) {
        stand(i, FIRST, 9);
    }
    turn();
    council_orders_turn(node, node->clock);
    assert_string_equal(answered(), "+OK\r\n");
    assert_int_equal(record(FIRST)->primary, 2);
}

static void force_is_refused_where_nothing_need_be_lost(void **state)
{
    (void)state;
    settle();
    assert_non_null(strstr(ask("orders FORCE"), "-ERR node 102 leads: FAILOVER without FORCE"));
    assert_int_equal(control.council->orders.count, 0);
}

static void who_leads_already_need_not_be_chosen(void **state)
{
    (void)state;
    settle();
    assert_string_equal(ask("orders TO 102"), "+OK\r\n");
    assert_int_equal(orders, 0);
}

static void with_another_leader_of_group_0_it_is_uncertain_CO3(void **state)
{
    (void)state;
    settle();
    begin_order("orders TO 101");
    outlook.role = ROLE_FOLLOWER;
    council_orders_turn(node, node->clock);
    assert_string_equal(answered(), "-UNCERTAIN\r\n");
    assert_int_equal(control.council->orders.count, 0);
}

static void of_a_keyspace_that_is_dropped_it_is_refused(void **state)
{
    (void)state;
    settle();
    begin_order("orders TO 101");
    put_erased(node->map, MAP_RECORD_SUCCESSION, FIRST);
    council_orders_turn(node, node->clock);
    assert_string_equal(answered(), "-ERR the keyspace was dropped\r\n");
}

static void what_cannot_be_is_refused_and_nothing_is_changed(void **state)
{
    (void)state;
    static const char *const syntax[] = { "orders X",
                                          "orders TO",
                                          "orders TO x",
                                          "orders TO 101 TO 102",
                                          "orders TIMEOUT 0",
                                          "orders TIMEOUT",
                                          "orders FORCE FORCE",
                                          "orders ABORT TO 101",
                                          "orders ABORT FORCE",
                                          "orders ABORT TIMEOUT 5",
                                          "orders PARTITION",
                                          "orders PARTITION x",
                                          "orders PARTITION 0 PARTITION 0",
                                          "orders ABORT ABORT" };
    settle();
    for (size_t i = 0; i < ARRAY_COUNT(syntax); i++) {
        assert_non_null(strstr(ask(syntax[i]), "-ERR syntax error"));
    }
    assert_non_null(strstr(ask("none"), "-ERR there is no keyspace"));
    assert_non_null(strstr(ask("0"), "has STRATEGY raft"));
    assert_non_null(strstr(ask("orders PARTITION 1"), "has partitions 0 to 0"));
    assert_non_null(strstr(ask("orders TO 104"), "not a member"));
    assert_non_null(strstr(ask("orders TO 99"), "not a member"));
    lose(2);
    assert_non_null(strstr(ask("orders TO 103"), "not connected"));
    assert_non_null(strstr(ask("orders TO 103 FORCE"), "not connected"));
    put_erased(node->map, MAP_RECORD_SUCCESSION, FIRST);
    assert_non_null(strstr(ask("orders"), "-TRYAGAIN"));
    assert_int_equal(orders, 0);
}

static void of_many_partitions_one_is_said(void **state)
{
    (void)state;
    make_partitions(COUNCIL_ORDERS_MAX + 1, ACK_ANY, 1, 0x7);
    assert_non_null(strstr(ask("orders TO 101"), "PARTITION says which"));
    for (uint32_t i = 0; i < COUNCIL_ORDERS_MAX; i++) {
        char words[64];
        (void)snprintf(words, sizeof words, "orders PARTITION %u TO 101", i);
        give(&waits[i], words);
        assert_int_equal(waits[i].state, PENDING_CONTROLLED);
    }
    uint32_t before = answers;
    give(&waits[COUNCIL_ORDERS_MAX], "orders PARTITION 64 TO 101");
    assert_int_equal(answers, before + 1);
    assert_non_null(strstr(answered(), "-THROTTLED"));
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(who_is_ordered_leads_and_stays_L10),
        CASE(without_to_it_is_one_that_has_all),
        CASE(what_does_not_come_about_in_time_is_called_off),
        CASE(what_is_past_calling_off_is_not_said_to_be),
        CASE(why_it_does_not_get_on_is_told),
        CASE(an_order_has_a_time_though_none_is_said),
        CASE(one_is_under_way_at_a_time_and_can_be_called_off_CO1),
        CASE(force_takes_the_best_of_those_that_are_here_and_tells_the_loss_CO2),
        CASE(force_without_a_loss_says_ok),
        CASE(force_is_refused_where_nothing_need_be_lost),
        CASE(who_leads_already_need_not_be_chosen),
        CASE(with_another_leader_of_group_0_it_is_uncertain_CO3),
        CASE(of_a_keyspace_that_is_dropped_it_is_refused),
        CASE(what_cannot_be_is_refused_and_nothing_is_changed),
        CASE(of_many_partitions_one_is_said),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
