/* Writes whose answer waits for the copies that their request asks for (zones.c Z6, Z7; U3, U50);
 * see apply_world.h. Node 0 leads, 1 to 4 are the others. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/limits.h"
#include "apply_world.h"

#define UNCERTAIN                                                                              \
    "-UNCERTAIN the write is committed and was applied, but it is not known yet that as many " \
    "replicas have it as were asked for\r\n"
#define TOO_FEW                                                                                \
    "-NOREPLICAS too few replicas are in contact for the ACK that was asked for, the command " \
    "was not applied\r\n"
#define FOR_NOBODY                                                                               \
    "-NOREPLICAS the partition waits for no other node by now, so more copies promise nothing, " \
    "the command was not applied\r\n"
#define NODES 5
#define ME 0

/* ANY 1 ON durable, settled; all are there. */
static int begin(void **state)
{
    (void)setup(state);
    world->outlook.settled = true;
    world->outlook.rule_copies = 1;
    for (node_index i = 0; i < NODES; i++) {
        world->outlook.member[i].lively = true;
    }
    turn();
    return 0;
}

static void asks(uint8_t count, enum ack_stage stage, uint16_t among)
{
    world->client.wants.copies = (struct wants_copies){ count, (uint8_t)stage, among };
}

static void holds(node_index i, qr_slot slot)
{
    world->outlook.member[i].match = slot;
    turn();
}

static void write_and_apply(const char *line, qr_slot slot)
{
    command(line);
    turn();
    apply_upto(slot);
}

static void test_what_the_rule_gives_is_answered_when_it_is_committed_Z6(void **state)
{
    (void)state;
    asks(2, ACK_DURABLE, 0);
    write_and_apply("set a 1", 1);
    assert_heard("+OK\r\n");
    asks(2, ACK_RECEIVED, 0);
    write_and_apply("set a 2", 2);
    assert_heard("+OK\r\n");
    world->outlook.rule_copies = 0;
    world->outlook.rule_set = (uint16_t)(1u << ME | 1u << 1 | 1u << 2);
    turn();
    asks(3, ACK_DURABLE, 0);
    write_and_apply("set a 3", 3);
    assert_heard("+OK\r\n");
    asks(WANTS_ALL_COPIES, ACK_DURABLE, (uint16_t)(1u << 2 | 1u << ME));
    write_and_apply("set a 4", 4);
    assert_heard("+OK\r\n");
    world->outlook.rule_stage = ACK_APPLIED;
    turn();
    asks(3, ACK_APPLIED, 0);
    write_and_apply("set a 5", 5);
    assert_heard("+OK\r\n");
    assert_int_equal(world->node.kept, 0);
}

/* Of the rule's copies some may be elsewhere than where they were asked for. */
static void test_the_rules_copies_may_be_anywhere_Z6(void **state)
{
    (void)state;
    uint16_t two = (uint16_t)(1u << 3 | 1u << 4);
    asks(2, ACK_DURABLE, two);
    write_and_apply("set a 1", 1);
    holds(ME, 1);
    holds(1, 1);
    holds(2, 1);
    assert_heard("");
    holds(4, 1);
    assert_heard("+OK\r\n");
    world->outlook.rule_copies = 3; /* so one of the two has it */
    turn();
    write_and_apply("set a 2", 2);
    assert_heard("+OK\r\n");
}

static void test_more_copies_are_waited_for_on_disk_Z6(void **state)
{
    (void)state;
    asks(3, ACK_DURABLE, 0);
    write_and_apply("set a 1", 1);
    asks(WANTS_ALL_COPIES, ACK_DURABLE, 0);
    write_and_apply("incr b", 2);
    holds(1, 2);
    world->outlook.member[2].forgetful = true;
    holds(2, 2);
    holds(ME, 1);
    assert_heard(""); /* it has lost what it promised */
    holds(3, 1);
    assert_heard("+OK\r\n");
    world->outlook.member[2].forgetful = false;
    holds(ME, 2);
    holds(3, 2);
    assert_heard("");
    holds(4, 2);
    assert_heard(":1\r\n");
    assert_int_equal(world->node.kept, 0);
    assert_int_equal(world->node.blocked, 0);
}

/* Those that wait for more do not hold back those that wait for less. */
static void test_each_waits_for_its_own_Z6(void **state)
{
    (void)state;
    world->client.ordered = false;
    asks(5, ACK_DURABLE, 0);
    write_and_apply("incr n", 1);
    asks(3, ACK_DURABLE, 0);
    write_and_apply("incr n", 2);
    asks(2, ACK_DURABLE, (uint16_t)(1u << 4));
    write_and_apply("incr n", 3);
    assert_int_equal(world->node.kept, 3);
    holds(ME, 3);
    holds(4, 3);
    assert_heard(":3\r\n");
    holds(2, 2);
    assert_heard(":2\r\n");
    holds(1, 1);
    holds(3, 1);
    assert_heard(":1\r\n");
}

/* ANY 1 ON received: what is committed is on no disk, and so on the primary's own. */
static void test_on_disk_is_more_than_received_Z6(void **state)
{
    (void)state;
    world->outlook.rule_stage = ACK_RECEIVED;
    turn();
    asks(2, ACK_DURABLE, 0);
    write_and_apply("set a 1", 1);
    assert_heard("");
    holds(1, 1);
    assert_heard("");
    holds(ME, 1);
    assert_heard("+OK\r\n");
    asks(1, ACK_DURABLE, 0); /* LOCAL */
    write_and_apply("set a 2", 2);
    assert_heard("");
    holds(ME, 2);
    assert_heard("+OK\r\n");
    world->outlook.rule_stage = ACK_WRITTEN; /* altered to everysec: `match` is what is written */
    turn();
    asks(3, ACK_RECEIVED, 0);
    write_and_apply("set a 3", 3);
    holds(1, 3);
    assert_heard("");
    holds(2, 3);
    assert_heard("+OK\r\n");
    asks(2, ACK_DURABLE, 0);
    write_and_apply("set a 4", 4);
    holds(ME, 4);
    holds(1, 4);
    assert_heard("");
    later(world->node.config.leader_wait_ms * QR_MILLISECOND);
    assert_heard(UNCERTAIN);
}

/* Z7: proposed under ANY 1, committed as LOCAL: who is chosen next may lack it. */
static void test_one_that_fell_back_meanwhile_waits_for_the_rule_Z7(void **state)
{
    (void)state;
    asks(2, ACK_DURABLE, 0);
    command("set a 1");
    turn();
    world->outlook.rule_copies = 0;
    apply_upto(1);
    for (node_index i = 0; i < NODES; i++) {
        holds(i, 1);
    }
    assert_heard("");
    world->outlook.rule_copies = 1; /* the next view, of which nothing is committed yet, */
    world->outlook.settled = false;
    turn();
    assert_heard("");
    world->outlook.settled = true; /* and then all that was before it */
    turn();
    assert_heard("+OK\r\n");
}

static void test_where_nobody_is_waited_for_it_is_not_carried_out_Z7(void **state)
{
    (void)state;
    world->outlook.rule_copies = 0;
    turn();
    asks(2, ACK_DURABLE, 0);
    command("set a 1");
    asks(WANTS_ALL_COPIES, ACK_RECEIVED, 0);
    command("set a 1");
    assert_heard(FOR_NOBODY FOR_NOBODY);
    world->outlook.rule_set = (uint16_t)(1u << ME); /* ALL OF a zone in which it is alone */
    turn();
    command("set a 1");
    assert_heard(FOR_NOBODY);
    asks(1, ACK_DURABLE, 0);
    command("set a 1");
    turn();
    assert_int_equal(world->submits, 1);
    apply_upto(1);
    assert_heard("+OK\r\n");
}

static void test_too_few_are_told_before_anything_is_done(void **state)
{
    (void)state;
    world->outlook.member[1].lively = false;
    world->outlook.member[2].forgetful = true;
    turn();
    asks(4, ACK_DURABLE, 0);
    command("set a 1");
    assert_heard(TOO_FEW);
    asks(WANTS_ALL_COPIES, ACK_DURABLE, 0);
    command("set a 1");
    assert_heard(TOO_FEW);
    asks(2, ACK_DURABLE, (uint16_t)(1u << 1 | 1u << ME));
    command("set a 1");
    assert_heard(TOO_FEW);
    asks(WANTS_ALL_COPIES, ACK_DURABLE, (uint16_t)(1u << ME | 1u << 9)); /* nobody is there */
    command("set a 1");
    assert_heard(TOO_FEW);
    assert_int_equal(world->submits, 0);
    asks(3, ACK_DURABLE, 0);
    command("set a 1");
    turn();
    assert_int_equal(world->submits, 1);
}

static void test_when_its_time_is_over_it_is_uncertain_and_in_force(void **state)
{
    (void)state;
    asks(3, ACK_DURABLE, 0);
    world->client.wants.expires = world->now + 100 * QR_MILLISECOND;
    write_and_apply("set a 1", 1);
    later(99 * QR_MILLISECOND);
    assert_heard("");
    later(2 * QR_MILLISECOND);
    assert_heard(UNCERTAIN);
    assert_int_equal(world->node.stats.uncertain, 1);
    world->client.wants.expires = 0;
    write_and_apply("set a 2", 2);
    follow_nobody(2);
    turn();
    assert_heard(UNCERTAIN);
    assert_int_equal(world->node.kept, 0);
    assert_int_equal(world->node.blocked, 0);
    assert_int_equal(router_waiting(world->node.router), 0);
}

static void test_no_more_are_taken_than_may_wait_Z4(void **state)
{
    (void)state;
    asks(3, ACK_DURABLE, 0);
    world->node.kept = KEPT_REPLIES_MAX;
    command("set a 1");
    assert_heard("-THROTTLED too many writes wait until others have them, the command was not "
                 "applied\r\n");
    asks(2, ACK_DURABLE, 0); /* it does not wait */
    command("set a 1");
    turn();
    assert_int_equal(world->submits, 1);
    world->node.kept = 0;
}

/* Its client is gone: what waited for the same goes with it. */
static void test_whoever_is_gone_is_not_waited_for(void **state)
{
    (void)state;
    asks(3, ACK_DURABLE, 0);
    write_and_apply("set a 1", 1);
    assert_int_equal(world->node.kept, 1);
    stream_detach(&world->client);
    turn();
    assert_int_equal(world->node.kept, 0);
    assert_int_equal(world->node.pending_count, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, teardown)

int main(void)
{
    static const struct CMUnitTest tests[] = {
        TEST(test_what_the_rule_gives_is_answered_when_it_is_committed_Z6),
        TEST(test_the_rules_copies_may_be_anywhere_Z6),
        TEST(test_more_copies_are_waited_for_on_disk_Z6),
        TEST(test_each_waits_for_its_own_Z6),
        TEST(test_on_disk_is_more_than_received_Z6),
        TEST(test_one_that_fell_back_meanwhile_waits_for_the_rule_Z7),
        TEST(test_where_nobody_is_waited_for_it_is_not_carried_out_Z7),
        TEST(test_too_few_are_told_before_anything_is_done),
        TEST(test_when_its_time_is_over_it_is_uncertain_and_in_force),
        TEST(test_no_more_are_taken_than_may_wait_Z4),
        TEST(test_whoever_is_gone_is_not_waited_for),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
