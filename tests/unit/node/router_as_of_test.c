/* Reads as of a position (docs/levels.md): who answers them, and what is refused at once; the
 * replica and the peers are played by the test. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "node/frame.h"
#include "node/replica.h"
#include "router_world.h"
#include "tests/unit/cluster/put_records.h"

static void as_of(uint32_t group, qr_slot slot, const char *name, const char *key)
{
    world->client.wants = (struct wants){ .level = READ_SNAPSHOT, .group = group, .least = slot };
    command(name, key);
    world->client.wants = (struct wants){ 0 };
}

/* Keyspace 0 keeps its past, and this node knows it from slot 10 on; it is at 20, node 1 leads. */
static void begin(void)
{
    struct map_keyspace zero = a_keyspace(0, "default", "", 0, 1);
    zero.history_ms = 1000;
    put_keyspace(world->node.map, &zero);
    world->node.config.leader_wait_ms = 500;
    world->node.holding.current = true;
    world->replica.keeps = true;
    world->replica.floor = 10;
    world->replica.applied = 20;
    world->replica.leader = 1;
}

static void test_any_replica_answers_from_its_floor_on(void **state)
{
    (void)state;
    begin();
    as_of(0, 10, "get", "a");
    as_of(0, 20, "get", "b");
    assert_int_equal(world->replica.unproven, 2);
    assert_string_equal(world->peers.forwarded, "");
    as_of(0, 9, "get", "c");
    world->replica.keeps = false; /* it has not heard yet that it is to */
    as_of(0, 15, "get", "d");
    assert_int_equal(world->replica.unproven, 2);
    assert_string_equal(world->peers.forwarded, "1:c 1:d ");
    assert_int_equal(world->peers.wants.least, 15);
    assert_int_equal(world->node.expiries.n, 0);
}

static void test_the_leader_answers_whatever_it_knows(void **state)
{
    (void)state;
    begin();
    world->replica.leads = true;
    world->replica.leader = 0;
    as_of(0, 9, "get", "a"); /* that it is too old */
    world->replica.keeps = false;
    as_of(0, 15, "get", "b");
    assert_int_equal(world->replica.unproven, 2);
}

static void test_whoever_is_not_trusted_sends_on(void **state)
{
    (void)state;
    begin();
    world->zero.quarantined = true;
    as_of(0, 15, "get", "a");
    world->zero.quarantined = false;
    world->zero.loading = true;
    as_of(0, 15, "get", "b");
    world->zero.loading = false;
    assert_int_equal(world->replica.unproven, 0);
    assert_string_equal(world->peers.forwarded, "1:a 1:b ");
    world->node.removed = true;
    as_of(0, 15, "get", "c");
    assert_int_equal(world->replica.unproven, 0);
}

static void test_what_is_to_come_is_waited_for_and_not_for_ever(void **state)
{
    (void)state;
    begin();
    as_of(0, 21, "get", "a");
    assert_int_equal(world->replica.unproven, 1);
    turn_later(499 * QR_MILLISECOND);
    assert_heard("");
    turn_later(QR_MILLISECOND);
    assert_heard("-STALE -1 position 0-21 did not come in time: this node is at 0-20, the command "
                 "was not applied\r\n");
    assert_int_equal(world->node.expiries.n, 0);
}

static void test_a_timeout_of_its_own_is_its_end(void **state)
{
    (void)state;
    begin();
    world->client.wants = (struct wants){ .level = READ_SNAPSHOT,
                                          .least = 21,
                                          .expires = world->node.clock + 100 * QR_MILLISECOND };
    command("get", "a");
    world->client.wants = (struct wants){ 0 };
    turn_later(99 * QR_MILLISECOND);
    assert_heard("");
    turn_later(QR_MILLISECOND);
    assert_heard("-STALE -1 position 0-21 did not come in time: this node is at 0-20, the command "
                 "was not applied\r\n");
}

static void test_without_history_the_level_is_not_given(void **state)
{
    (void)state;
    begin();
    struct map_keyspace zero = a_keyspace(0, "default", "", 0, 1);
    put_keyspace(world->node.map, &zero);
    as_of(0, 15, "get", "a");
    assert_heard("-LEVEL keyspace 'default' keeps nothing of its past, so it does not give reads "
                 "at level snapshot, the command was not applied; KEYSPACE ALTER default HISTORY "
                 "10s makes it keep the last ten seconds from then on\r\n");
    assert_int_equal(world->replica.unproven, 0);
    assert_null(world->client.first); /* that was its answer */
    world->node.holding.current = false; /* by an old map it is not said */
    as_of(0, 15, "get", "a");
    assert_heard("-TRYAGAIN the node does not know this key's keyspace yet, the command was not "
                 "applied\r\n");
}

static void test_a_position_of_another_partition_is_refused(void **state)
{
    (void)state;
    begin();
    as_of(3, 15, "get", "a");
    assert_heard("-ERR position 3-15 is of another partition than the key, whose positions begin "
                 "with 0-, the command was not applied\r\n");
    assert_int_equal(world->replica.unproven, 0);
    assert_false(world->client.strands.first.unsure); /* nothing was shown (session.h N1) */
}

static void test_by_an_old_map_neither_is_said(void **state)
{
    (void)state;
    begin();
    world->node.holding.current = false;
    as_of(3, 15, "get", "a");
    assert_heard("-TRYAGAIN the node does not know this key's keyspace yet, the command was not "
                 "applied\r\n");
    as_of(3, 15, "keys", "*"); /* that is so by any map, */
    assert_heard("-ERR READ snapshot is for commands with keys, the command was not applied\r\n");
    as_of(0, 15, "get", "a"); /* and here nothing looks wrong */
    assert_int_equal(world->replica.unproven, 1);
}

static void test_what_has_no_keys_is_refused(void **state)
{
    (void)state;
    begin();
    as_of(0, 15, "keys", "*");
    assert_heard("-ERR READ snapshot is for commands with keys, the command was not applied\r\n");
    assert_int_equal(world->replica.unproven, 0);
}

static void test_an_older_leader_would_answer_with_something_else(void **state)
{
    (void)state;
    begin();
    world->peers.version = WIRE_VERSION_LEVELS - 1;
    as_of(0, 9, "get", "a");
    assert_heard("-UPGRADE the leader runs a version that does not know what was asked for: "
                 "upgrade all nodes first, the command was not applied\r\n");
    assert_string_equal(world->peers.forwarded, "");
}

static void test_a_write_is_a_write(void **state)
{
    (void)state;
    begin();
    as_of(3, 9, "set", "a");
    assert_string_equal(world->peers.forwarded, "1:a ");
}

#define ROUTER_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        ROUTER_TEST(test_any_replica_answers_from_its_floor_on),
        ROUTER_TEST(test_the_leader_answers_whatever_it_knows),
        ROUTER_TEST(test_whoever_is_not_trusted_sends_on),
        ROUTER_TEST(test_what_is_to_come_is_waited_for_and_not_for_ever),
        ROUTER_TEST(test_a_timeout_of_its_own_is_its_end),
        ROUTER_TEST(test_without_history_the_level_is_not_given),
        ROUTER_TEST(test_a_position_of_another_partition_is_refused),
        ROUTER_TEST(test_by_an_old_map_neither_is_said),
        ROUTER_TEST(test_what_has_no_keys_is_refused),
        ROUTER_TEST(test_an_older_leader_would_answer_with_something_else),
        ROUTER_TEST(test_a_write_is_a_write),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
