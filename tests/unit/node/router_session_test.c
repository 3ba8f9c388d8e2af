/* Reads of a session: who answers them, with the replica and the peers played by the test
 * (session.h N1, N2). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "node/frame.h"
#include "node/replica.h"
#include "router_world.h"

static void read_with(struct wants wants, const char *key)
{
    wants.session = true;
    world->client.wants = wants;
    command("get", key);
    world->client.wants = (struct wants){ 0 };
}

static void read_of_session(const char *key)
{
    read_with((struct wants){ .level = READ_SESSION }, key);
}

static struct strand *strand(void)
{
    return &world->client.strands.first;
}

static void begin_as_follower(qr_slot applied, qr_slot seen)
{
    world->replica.readable = true;
    world->replica.leader = 1;
    world->replica.applied = applied;
    strand()->seen = seen;
}

static void test_a_replica_answers_that_has_applied_what_was_seen_N2(void **state)
{
    (void)state;
    begin_as_follower(40, 40);
    read_of_session("a");
    assert_int_equal(world->replica.unproven, 1);
    world->replica.applied = 39;
    strand()->seen = 38;
    read_with((struct wants){ .level = READ_SESSION, .least = 39 }, "b");
    assert_int_equal(world->replica.unproven, 2);
    assert_string_equal(world->peers.forwarded, "");
}

static void test_scenario_70_else_the_leader_does_and_knows_what_must_be_shown_N2(void **state)
{
    (void)state;
    begin_as_follower(39, 40);
    read_of_session("a");
    assert_int_equal(world->peers.wants.level, READ_LINEARIZABLE);
    assert_int_equal(world->peers.wants.least, 40);
    answer(0, STATUS_OK, "$1\r\n1\r\n");
    strand()->seen = 0;
    read_with((struct wants){ .level = READ_SESSION, .least = 41 }, "b");
    assert_int_equal(world->peers.wants.least, 41);
    assert_int_equal(world->replica.unproven, 0);
    assert_string_equal(world->peers.forwarded, "1:a 1:b ");
}

static void test_what_is_not_known_to_the_slot_is_proven_N1(void **state)
{
    (void)state;
    begin_as_follower(40, 1);
    strand()->unsure = true;
    read_of_session("a");
    assert_string_equal(world->peers.forwarded, "1:a ");
    assert_int_equal(world->peers.wants.level, READ_LINEARIZABLE);
    world->shown.slot = 44;
    answer(0, STATUS_OK, "$1\r\n1\r\n");
    assert_false(strand()->unsure);
    assert_int_equal(strand()->seen, 44);
    world->replica.applied = 44;
    read_of_session("b");
    assert_int_equal(world->replica.unproven, 1);
}

/* A node of before that says of nothing which state it comes of. */
static void test_what_the_leader_refuses_leaves_no_doubt_N1(void **state)
{
    (void)state;
    begin_as_follower(40, 40);
    for (uint32_t i = 0; i < 2; i++) {
        world->peers.version = i == 0 ? WIRE_VERSION_LEVELS : WIRE_VERSION_LEVELS - 1;
        command("set", "a");
        answer(2 * i, STATUS_UNCERTAIN, "-UNCERTAIN it was proposed\r\n");
        command("get", "a");
        answer(2 * i + 1, STATUS_OK, "-QUOTA no\r\n");
        assert_int_equal(strand()->unsure, i == 1);
    }
    assert_int_equal(strand()->seen, 40);
    strand()->unsure = false;
    world->peers.version = WIRE_VERSION_LEVELS;
    world->shown.slot = 44; /* what the state refuses is of the state */
    command("set", "a");
    answer(4, STATUS_OK, "-ERR no integer\r\n");
    assert_int_equal(strand()->seen, 44);
    world->shown.slot = 0;
    command("get", "a");
    answer(5, STATUS_OK, "$1\r\n1\r\n");
    assert_true(strand()->unsure);
}

static void test_behind_what_has_no_answer_it_takes_the_same_way_N2(void **state)
{
    (void)state;
    begin_as_follower(40, 40);
    command("set", "a");
    read_of_session("b");
    assert_string_equal(world->peers.forwarded, "1:a 1:b ");
    answer(0, STATUS_OK, "+OK\r\n");
    answer(1, STATUS_OK, "$1\r\n1\r\n");
    command("get", "c"); /* linearizable: the leader's */
    read_of_session("d");
    assert_string_equal(world->peers.forwarded, "1:a 1:b 1:c 1:d ");
    assert_int_equal(world->replica.unproven, 0);
}

static void test_others_of_its_session_that_are_answered_here_come_first_N2(void **state)
{
    (void)state;
    begin_as_follower(40, 40);
    read_of_session("a");
    read_of_session("b");
    assert_int_equal(world->replica.unproven, 2);
}

static void test_for_a_while_after_a_write_the_leader_reads_G7(void **state)
{
    (void)state;
    begin_as_follower(40, 0);
    struct wants wants = { .level = READ_SESSION, .window = QR_SECOND };
    read_with(wants, "a"); /* it has written nothing */
    assert_int_equal(world->replica.unproven, 1);
    strand()->wrote_at = world->node.clock;
    world->node.clock += QR_SECOND;
    read_with(wants, "b");
    assert_int_equal(world->replica.unproven, 2);
    world->node.clock -= 1;
    read_with(wants, "c");
    assert_int_equal(world->replica.unproven, 2);
    assert_string_equal(world->peers.forwarded, "1:c ");
}

/* One that has written nothing, on a machine that was started less than the window ago. */
static void test_a_window_is_none_for_who_has_not_written_G7(void **state)
{
    (void)state;
    begin_as_follower(40, 0);
    assert_true(world->node.clock < 3600 * QR_SECOND);
    read_with((struct wants){ .level = READ_SESSION, .window = 3600 * QR_SECOND }, "a");
    assert_int_equal(world->replica.unproven, 1);
}

/* Where nothing of its connection is ahead of it. */
static void test_at_once_only_what_a_replica_may_show_N1_N2(void **state)
{
    (void)state;
    begin_as_follower(40, 40);
    world->replica.small = true;
    read_of_session("a");
    read_with((struct wants){ .level = READ_SESSION, .least = 40 }, "a");
    assert_int_equal(world->replica.at_once, 2);
    struct wants more = { .level = READ_SESSION, .least = 41 };
    struct wants window = { .level = READ_SESSION, .window = QR_SECOND };
    for (uint32_t turn = 0; turn < 4; turn++) {
        *strand() = (struct strand){ .seen = turn == 0 ? 41 : 40, .unsure = turn == 1 };
        strand()->wrote_at = turn == 2 ? world->node.clock : 0;
        read_with(turn == 3 ? more : window, "b");
        answer(turn, STATUS_OK, "$1\r\n1\r\n");
    }
    assert_int_equal(world->replica.at_once, 2);
    assert_string_equal(world->peers.forwarded, "1:b 1:b 1:b 1:b ");
}

/* Its level is up to its level, and only a session's read must be proven at the leader. */
static void test_others_are_none_of_its_session(void **state)
{
    (void)state;
    begin_as_follower(40, 50);
    read_with((struct wants){ .level = READ_LOCAL }, "a");
    assert_int_equal(world->replica.unproven, 1);
    read_with((struct wants){ .level = READ_LEADER }, "b");
    assert_int_equal(world->peers.wants.level, READ_LEADER);
    assert_int_equal(world->peers.wants.least, 0);
}

static void test_who_is_gone_is_asked_nothing(void **state)
{
    (void)state;
    begin_as_follower(40, 40);
    world->replica.readable = false;
    world->replica.leader = NODE_NONE;
    read_of_session("a");
    stream_detach(&world->client);
    world->replica.readable = true;
    turn_later(0);
    assert_int_equal(world->replica.unproven, 0);
}

#define ROUTER_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        ROUTER_TEST(test_a_replica_answers_that_has_applied_what_was_seen_N2),
        ROUTER_TEST(test_scenario_70_else_the_leader_does_and_knows_what_must_be_shown_N2),
        ROUTER_TEST(test_what_is_not_known_to_the_slot_is_proven_N1),
        ROUTER_TEST(test_what_the_leader_refuses_leaves_no_doubt_N1),
        ROUTER_TEST(test_behind_what_has_no_answer_it_takes_the_same_way_N2),
        ROUTER_TEST(test_others_of_its_session_that_are_answered_here_come_first_N2),
        ROUTER_TEST(test_for_a_while_after_a_write_the_leader_reads_G7),
        ROUTER_TEST(test_a_window_is_none_for_who_has_not_written_G7),
        ROUTER_TEST(test_at_once_only_what_a_replica_may_show_N1_N2),
        ROUTER_TEST(test_others_are_none_of_its_session),
        ROUTER_TEST(test_who_is_gone_is_asked_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
