/* What the router does for commands that wait at the leader (WAIT) and for questions about the
 * cluster; see router_world.h. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/limits.h"
#include "command/op.h"
#include "router_world.h"

/* A WAIT may take for ever: neither does it hold the window of forwards back, nor is it kept when
 * its client has gone. */
static void test_a_forwarded_wait_holds_nothing_back(void **state)
{
    (void)state;
    const struct command_spec *container;
    struct span argv[3] = { SPAN_LITERAL("wait"), SPAN_LITERAL("9"), SPAN_LITERAL("0") };
    struct stream other = world->client;
    world->replica.leader = 1;
    router_command(world->node.router, &world->zero, &world->client,
                   command_find(argv, 3, &container), 2, 0, argv, 3, true);
    struct span set[3] = { SPAN_LITERAL("set"), SPAN_LITERAL("k"), SPAN_LITERAL("v") };
    const struct command_spec *spec = command_find(set, 3, &container);
    for (uint32_t i = 1; i < 3 * NODE_PENDING_MAX; i++) {
        router_command(world->node.router, &world->zero, &other, spec, 2, 0, set, 3, false);
        assert_int_equal(world->peers.count, i + 1);
        answer(i % 64, STATUS_OK, "+OK\r\n");
        reply_reset(&world->out);
    }
    assert_int_equal(router_forwarded(world->node.router), 1);
    turn_later(60 * QR_SECOND);
    assert_int_equal(router_forwarded(world->node.router), 1);
    stream_detach(&world->client);
    turn_later(QR_SECOND);
    assert_int_equal(router_forwarded(world->node.router), 0);
}

/* A leader gives an endless WAIT back now and then, so that none outlives its client there. */
static void test_a_wait_that_comes_back_is_asked_again(void **state)
{
    (void)state;
    const struct command_spec *container;
    struct span argv[3] = { SPAN_LITERAL("wait"), SPAN_LITERAL("9"), SPAN_LITERAL("0") };
    const struct command_spec *spec = command_find(argv, 3, &container);
    world->replica.leader = 1;
    router_command(world->node.router, &world->zero, &world->client, spec, 2, 0, argv, 3, false);
    answer(0, STATUS_EXPIRED, "-TRYAGAIN\r\n");
    turn_later(QR_MILLISECOND);
    assert_int_equal(world->peers.count, 2);
    answer(1, STATUS_OK, ":2\r\n");
    assert_heard(":2\r\n");
    router_command(world->node.router, &world->zero, &world->client, spec, 2, 0, argv, 3, false);
    stream_detach(&world->client);
    answer(2, STATUS_EXPIRED, "-TRYAGAIN\r\n");
    turn_later(QR_MILLISECOND);
    assert_int_equal(world->peers.count, 3);
    assert_int_equal(world->node.pending_count, 0);
}

/* The next leader gets a WAIT with what is left of its time, so that it ends when it was to. */
static void test_a_wait_goes_on_with_what_is_left_of_its_time(void **state)
{
    (void)state;
    const struct command_spec *container;
    struct span argv[3] = { SPAN_LITERAL("wait"), SPAN_LITERAL("9"), SPAN_LITERAL("5000") };
    world->replica.leader = 1;
    router_command(world->node.router, &world->zero, &world->client,
                   command_find(argv, 3, &container), 2, 0, argv, 3, false);
    assert_string_equal(world->peers.last, "5000");
    world->now += 3 * QR_SECOND;
    answer(0, STATUS_NOT_LEADER, "");
    world->replica.leader = 2;
    turn_later(0);
    assert_string_equal(world->peers.last, "2000");
    world->now += 3 * QR_SECOND;
    answer(1, STATUS_NOT_LEADER, "");
    world->replica.leader = 1;
    turn_later(0);
    assert_string_equal(world->peers.last, "1"); /* 0 would be for ever */
    answer(2, STATUS_OK, ":1\r\n");
    assert_heard(":1\r\n");
}

static void test_a_waitaof_goes_on_with_all_its_numbers(void **state)
{
    (void)state;
    const struct command_spec *container;
    struct span argv[4] = { SPAN_LITERAL("waitaof"), SPAN_LITERAL("1"), SPAN_LITERAL("9"),
                            SPAN_LITERAL("5000") };
    struct op op;
    struct span sent[3];
    world->replica.leader = 1;
    router_command(world->node.router, &world->zero, &world->client,
                   command_find(argv, 4, &container), 2, 0, argv, 4, false);
    struct pending *p = world->client.first;
    world->now += 3 * QR_SECOND;
    answer(0, STATUS_NOT_LEADER, "");
    world->replica.leader = 2;
    turn_later(0);
    assert_true(op_read(span_of(p->op, p->op_bytes), &op));
    assert_int_equal(op.argc, 3);
    op_arguments(&op, sent, NULL);
    assert_memory_equal(sent[0].p, "1", 1);
    assert_memory_equal(sent[1].p, "9", 1);
    assert_memory_equal(sent[2].p, "2000", 4);
    answer(1, STATUS_OK, "*2\r\n:1\r\n:2\r\n");
    assert_heard("*2\r\n:1\r\n:2\r\n");
}

/* U3: an older leader would answer as soon as a majority has it. */
static void test_an_older_leader_gets_nothing_that_it_would_weaken(void **state)
{
    (void)state;
    world->replica.leader = 1;
    world->peers.version = 4;
    world->client.wants.each_zone = true;
    command("set", "a");
    assert_heard(
        "-UPGRADE the leader runs a version that does not know what was asked for: upgrade "
        "all nodes first, the command was not applied\r\n");
    world->client.wants.each_zone = false;
    world->client.wants.copies.count = 2;
    reply_reset(&world->out);
    command("set", "a");
    assert_memory_equal(world->out.p, "-UPGRADE", 8);
    assert_int_equal(world->peers.count, 0);
    command("get", "a"); /* it is about writes */
    assert_int_equal(world->peers.count, 1);
    struct span argv[4] = { SPAN_LITERAL("waitaof"), SPAN_LITERAL("0"), SPAN_LITERAL("0"),
                            SPAN_LITERAL("0") };
    const struct command_spec *container;
    answer(0, STATUS_OK, "$-1\r\n");
    reply_reset(&world->out);
    router_command(world->node.router, &world->zero, &world->client,
                   command_find(argv, 4, &container), 2, 0, argv, 4, false);
    assert_heard("-ERR the leader runs a version that does not know this command\r\n");
}

/* Its time at the leader was not spent waiting for one: the next one has leader-wait to appear. */
static void test_a_wait_whose_leader_is_lost_waits_for_the_next_one_u1(void **state)
{
    (void)state;
    const struct command_spec *container;
    struct span argv[3] = { SPAN_LITERAL("wait"), SPAN_LITERAL("9"), SPAN_LITERAL("60000") };
    const struct command_spec *spec = command_find(argv, 3, &container);
    world->replica.leader = 1;
    router_command(world->node.router, &world->zero, &world->client, spec, 2, 0, argv, 3, false);
    for (uint32_t i = 0; i < 2; i++) { /* it dies; it steps down */
        turn_later(10 * QR_SECOND);
        world->replica.leader = NODE_NONE;
        if (i == 0) {
            router_peer_down(world->node.router, 1);
        } else {
            answer_from(2, 1, STATUS_NOT_LEADER, "");
        }
        turn_later(1980 * QR_MILLISECOND);
        assert_heard("");
        world->replica.leader = 2;
        turn_later(0);
        assert_int_equal(world->peers.count, i + 2);
    }
    world->replica.leader = NODE_NONE;
    router_peer_down(world->node.router, 2);
    turn_later(2 * QR_SECOND);
    assert_memory_equal(world->out.p, "-CLUSTERDOWN", 12);
    assert_int_equal(world->node.pending_count, 0);
}

static void ask_for_members(void)
{
    struct span argv[2] = { SPAN_LITERAL("member"), SPAN_LITERAL("list") };
    const struct command_spec *container;
    router_command(world->node.router, &world->zero, &world->client,
                   command_find(argv, 2, &container), 2, 0, argv, 2, false);
}

static void test_who_the_members_are_is_told_without_a_leader_at_once(void **state)
{
    (void)state;
    ask_for_members();
    assert_int_equal(world->replica.orders, 1);
    command("set", "a"); /* others wait; what is asked about the cluster does not */
    ask_for_members();
    assert_int_equal(world->replica.orders, 2);
    world->replica.leader = 2;
    turn_later(0);
    ask_for_members();
    assert_int_equal(world->replica.orders, 2);
    assert_int_equal(world->peers.count, 2); /* the leader is asked when there is one */
    router_peer_down(world->node.router, 2);
    world->replica.leader = NODE_NONE;
    turn_later(0);
    assert_int_equal(world->replica.orders, 3); /* and when it is lost, nothing is uncertain */
}

static void test_a_leader_that_does_not_answer_is_not_waited_for_in_vain(void **state)
{
    (void)state;
    world->replica.leader = 2;
    ask_for_members();
    turn_later(1999 * QR_MILLISECOND);
    assert_int_equal(world->replica.orders, 0);
    turn_later(21 * QR_MILLISECOND);
    assert_int_equal(world->replica.orders, 1);
    assert_int_equal(router_forwarded(world->node.router), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_a_forwarded_wait_holds_nothing_back, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_wait_that_comes_back_is_asked_again, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_a_wait_goes_on_with_what_is_left_of_its_time, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_a_waitaof_goes_on_with_all_its_numbers, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_an_older_leader_gets_nothing_that_it_would_weaken,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_wait_whose_leader_is_lost_waits_for_the_next_one_u1,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(test_who_the_members_are_is_told_without_a_leader_at_once,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(
            test_a_leader_that_does_not_answer_is_not_waited_for_in_vain, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
