/* TIMEOUT: what a command hears when its time has passed, wherever it is then (D3, U3), with the
 * replica and the peers played by the test. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/rng.h"
#include "node/replica.h"
#include "router_world.h"

#define LATE "-TRYAGAIN not applied, its TIMEOUT has passed\r\n"
#define UNCERTAIN "-UNCERTAIN the write was proposed and its fate is unknown\r\n"
#define STALE                                                                               \
    "-STALE -1 no replica that shows what was asked for answered in time, the command was " \
    "not applied\r\n"

static void within(uint32_t ms, const char *name, const char *key, enum read_level level)
{
    world->client.wants = (struct wants){ .level = (uint8_t)level,
                                          .expires = world->node.clock + ms * QR_MILLISECOND };
    command(name, key);
    world->client.wants = (struct wants){ 0 };
}

static void test_in_the_queue_it_is_surely_not_applied(void **state)
{
    (void)state;
    within(100, "set", "a", READ_LINEARIZABLE);
    within(100, "get", "b", READ_LINEARIZABLE);
    within(100, "get", "c", READ_LEADER);
    within(100, "get", "d", READ_LOCAL);
    turn_later(99 * QR_MILLISECOND);
    assert_heard("");
    turn_later(QR_MILLISECOND);
    assert_heard(LATE LATE LATE STALE);
    world->replica.leader = 1;
    turn_later(0);
    assert_string_equal(world->peers.forwarded, ""); /* nothing of it goes on */
    assert_int_equal(world->node.expiries.n, 0);
}

static void test_what_has_its_leader_at_the_last_moment_is_not_sent_on(void **state)
{
    (void)state;
    within(100, "set", "a", READ_LINEARIZABLE);
    world->replica.leader = 1;
    turn_later(100 * QR_MILLISECOND);
    assert_heard(LATE);
    assert_string_equal(world->peers.forwarded, "");
}

static void test_a_write_that_was_proposed_is_uncertain_and_a_read_is_not(void **state)
{
    (void)state;
    world->replica.leads = true;
    world->replica.leader = 0;
    within(50, "set", "a", READ_LINEARIZABLE);
    within(60, "get", "b", READ_LINEARIZABLE);
    turn_later(50 * QR_MILLISECOND);
    assert_heard(UNCERTAIN);
    assert_int_equal(world->node.stats.uncertain, 1);
    turn_later(10 * QR_MILLISECOND);
    assert_heard(LATE);
}

static void test_what_was_sent_to_the_leader(void **state)
{
    (void)state;
    world->replica.leader = 1;
    within(200, "set", "a", READ_LINEARIZABLE);
    within(200, "get", "b", READ_LINEARIZABLE);
    within(200, "get", "c", READ_LOCAL);
    assert_string_equal(world->peers.forwarded, "1:a 1:b 1:c ");
    turn_later(200 * QR_MILLISECOND);
    assert_heard(UNCERTAIN LATE STALE);
    answer(0, STATUS_OK, "+OK\r\n"); /* nobody hears it */
    assert_heard("");
    assert_int_equal(router_forwarded(world->node.router), 0);
}

static void test_the_leader_hears_what_is_left_and_a_little_less(void **state)
{
    (void)state;
    within(1000, "set", "a", READ_LINEARIZABLE);
    turn_later(500 * QR_MILLISECOND);
    world->replica.leader = 1;
    turn_later(0);
    assert_int_equal(world->peers.wants.expires, world->node.clock + 450 * QR_MILLISECOND);
    within(40, "set", "b", READ_LINEARIZABLE);
    assert_int_equal(world->peers.wants.expires, world->node.clock + 30 * QR_MILLISECOND);
    command("set", "c");
    assert_int_equal(world->peers.wants.expires, 0);
}

static void test_who_answers_in_time_is_heard_and_leaves_nothing_behind(void **state)
{
    (void)state;
    world->replica.leader = 1;
    within(200, "get", "a", READ_LINEARIZABLE);
    within(200, "get", "b", READ_LINEARIZABLE);
    answer(1, STATUS_OK, "$1\r\nB\r\n"); /* it waits for the first: its TIMEOUT is over */
    assert_int_equal(world->node.expiries.n, 1);
    answer(0, STATUS_OK, "$1\r\nA\r\n");
    assert_heard("$1\r\nA\r\n$1\r\nB\r\n");
    assert_int_equal(world->node.expiries.n, 0);
    turn_later(300 * QR_MILLISECOND);
    assert_heard("");
}

static void test_what_a_peer_forwards_has_what_is_left_of_its_time(void **state)
{
    (void)state;
    uint8_t op[64];
    struct span key = SPAN_LITERAL("k");
    const struct command_spec *container;
    const struct command_spec *get =
        command_find((struct span[]){ SPAN_LITERAL("get") }, 1, &container);
    struct op head = { .level = SEMANTICS_LEVEL, .tag = get->tag, .argc = 1 };
    op_write(op, &head, &key, 1);
    struct forward forward = { .id = 7,
                               .epoch = 1,
                               .version = 2,
                               .wants = { .expires = world->node.clock + 30 * QR_MILLISECOND } };
    world->replica.leads = true;
    world->replica.leader = 0;
    assert_true(router_relayed(world->node.router, 2, 0, &forward, span_of(op, op_bytes(&key, 1))));
    turn_later(29 * QR_MILLISECOND);
    assert_string_equal(world->peers.replies, "");
    turn_later(QR_MILLISECOND);
    assert_string_equal(world->peers.replies, "7:43 ");
}

static void test_without_a_timeout_the_nodes_own_times_hold(void **state)
{
    (void)state;
    command("set", "a");
    within(3600000, "set", "b", READ_LINEARIZABLE);
    turn_later(2020 * QR_MILLISECOND);
    assert_heard("-CLUSTERDOWN no leader, the command was not applied\r\n"
                 "-CLUSTERDOWN no leader, the command was not applied\r\n");
}

static void test_thousands_with_different_times_go_when_theirs_has_come(void **state)
{
    (void)state;
    struct rng rng = rng_from(69);
    enum { N = 3000 };
    uint32_t ms[N];
    world->node.config.leader_wait_ms = 3600000;
    for (uint32_t i = 0; i < N; i++) {
        ms[i] = (uint32_t)rng_below(&rng, 1000) + 1;
        within(ms[i], "get", "k", READ_LINEARIZABLE);
    }
    for (uint32_t now = 10; now <= 1000; now += 10) {
        uint32_t left = 0;
        turn_later(10 * QR_MILLISECOND);
        for (uint32_t i = 0; i < N; i++) {
            left += ms[i] > now ? 1 : 0;
        }
        assert_int_equal(world->node.expiries.n, left);
        assert_int_equal(world->zero.track.waiting.count, left);
    }
}

#define ROUTER_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

static void change_control_state(void)
{
    struct pending *p = stream_push(&world->client, NULL, 2, world->node.clock);
    pending_join(p, &world->zero);
    (void)replica_write(&world->replica, p, 8);
    p->term = world->replica.outlook.term;
}

/* control.h: C1. Who asked for it has a time of his own there. */
static void test_a_change_of_the_control_state_has_no_time_while_this_node_leads(void **state)
{
    (void)state;
    world->replica.leads = true;
    world->replica.leader = 0;
    world->replica.outlook.term = 7;
    change_control_state();
    turn_later(60 * QR_SECOND);
    assert_heard("");
    world->replica.leads = false;
    turn_later(QR_SECOND);
    assert_heard(UNCERTAIN);
    world->replica.leads = true;
    change_control_state();
    world->replica.outlook.term = 9; /* in between its entry was lost, perhaps */
    turn_later(5 * QR_SECOND - 1);
    assert_heard("");
    turn_later(QR_SECOND);
    assert_heard(UNCERTAIN);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        ROUTER_TEST(test_in_the_queue_it_is_surely_not_applied),
        ROUTER_TEST(test_what_has_its_leader_at_the_last_moment_is_not_sent_on),
        ROUTER_TEST(test_a_write_that_was_proposed_is_uncertain_and_a_read_is_not),
        ROUTER_TEST(test_a_change_of_the_control_state_has_no_time_while_this_node_leads),
        ROUTER_TEST(test_what_was_sent_to_the_leader),
        ROUTER_TEST(test_the_leader_hears_what_is_left_and_a_little_less),
        ROUTER_TEST(test_who_answers_in_time_is_heard_and_leaves_nothing_behind),
        ROUTER_TEST(test_what_a_peer_forwards_has_what_is_left_of_its_time),
        ROUTER_TEST(test_without_a_timeout_the_nodes_own_times_hold),
        ROUTER_TEST(test_thousands_with_different_times_go_when_theirs_has_come),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
