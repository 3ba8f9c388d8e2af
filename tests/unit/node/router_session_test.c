/* Reads of a session: who answers them, with the replica and the peers played by the test
 * (session.h N1, N2). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

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

static void test_else_the_leader_does_and_knows_what_must_be_shown_N2(void **state)
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

#define ROUTER_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        ROUTER_TEST(test_a_replica_answers_that_has_applied_what_was_seen_N2),
        ROUTER_TEST(test_else_the_leader_does_and_knows_what_must_be_shown_N2),
        ROUTER_TEST(test_what_is_not_known_to_the_slot_is_proven_N1),
        ROUTER_TEST(test_behind_what_has_no_answer_it_takes_the_same_way_N2),
        ROUTER_TEST(test_others_of_its_session_that_are_answered_here_come_first_N2),
        ROUTER_TEST(test_for_a_while_after_a_write_the_leader_reads_G7),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
