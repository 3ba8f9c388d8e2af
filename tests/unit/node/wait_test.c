/* WAIT on the leader and past its leadership (wait.c; ask U1); see apply_world.h. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "apply_world.h"

static void test_wait_counts_members_that_hold_the_last_write(void **state)
{
    (void)state;
    command("set a 1");
    command("wait 2 0");
    turn();
    world->outlook.member[1].match = 1;
    world->outlook.member[2].match = 1;
    turn();
    command("wait 0 0");
    turn();
    assert_heard(""); /* its write is not applied */
    apply_upto(1);
    turn();
    assert_heard("+OK\r\n:2\r\n:2\r\n");
    world->client.strands.first.last_write = 0; /* a flush: it stands somewhere up to what is */
    world->outlook.commit = 2;
    command("wait 1 100");
    turn();
    assert_heard("");
    world->outlook.commit = 1;
    later(101 * QR_MILLISECOND);
    assert_heard(":0\r\n");
    command("wait 4 100");
    turn();
    assert_heard("");
    later(101 * QR_MILLISECOND);
    assert_heard(":2\r\n");
}

/* U1: on a stream that others write on as well, the last write is always one that somebody lacks
 * for a moment. */
static void test_wait_is_not_about_what_was_written_behind_it(void **state)
{
    (void)state;
    command("set a 1");
    command("wait 2 0");
    turn();
    apply_upto(1);
    world->outlook.member[1].match = 1;
    turn();
    assert_heard("+OK\r\n");
    command("set b 1");
    turn();
    apply_upto(2);
    world->outlook.member[1].match = 2;
    world->outlook.member[2].match = 1;
    turn();
    assert_heard(":2\r\n+OK\r\n");
}

/* U1: what the client has written under another leader is somewhere up to what is committed. */
static void test_wait_counts_nobody_who_may_lack_what_another_leader_has_taken(void **state)
{
    (void)state;
    world->outlook.commit = 7;
    world->outlook.member[1].match = 6;
    turn();
    command("wait 1 100");
    turn();
    assert_heard("");
    world->outlook.member[1].match = 7;
    turn();
    assert_heard(":1\r\n");
    world->outlook.can_serve = false; /* elected: what is committed is not known yet */
    turn();
    command("wait 1 100");
    turn();
    assert_heard("");
    later(101 * QR_MILLISECOND);
    assert_heard(":0\r\n");
}

static void test_a_wait_outlives_leadership_and_goes_on(void **state)
{
    (void)state;
    command("set a 1");
    command("wait 1 60000");
    turn();
    apply_upto(1);
    assert_heard("+OK\r\n");
    later(5 * QR_SECOND);
    follow_nobody(2);
    later(world->node.config.leader_wait_ms * QR_MILLISECOND - QR_MILLISECOND);
    assert_heard("");
    assert_int_equal(router_waiting(world->node.router), 1);
    assert_int_equal(world->node.blocked, 0);
    lead(3);
    world->outlook.commit = 4;
    later(QR_MILLISECOND);
    world->outlook.member[1].match = 3;
    turn();
    assert_heard(""); /* its write may stand at 4, for all that this term knows */
    world->outlook.member[1].match = 4;
    turn();
    assert_heard(":1\r\n");
}

static void test_a_wait_without_a_leader_says_that_the_writes_stay(void **state)
{
    (void)state;
    command("wait 9 60000");
    turn();
    follow_nobody(2);
    turn();
    later(world->node.config.leader_wait_ms * QR_MILLISECOND + QR_MILLISECOND);
    later(20 * QR_MILLISECOND);
    assert_heard("-CLUSTERDOWN no leader, the replicas were not counted; writes that were answered "
                 "OK are on a majority and stay\r\n");
    assert_int_equal(world->node.pending_count, 0);
}

static void test_a_wait_of_a_client_that_is_gone_is_forgotten(void **state)
{
    (void)state;
    command("wait 9 0");
    turn();
    assert_int_equal(world->node.pending_count, 1);
    stream_detach(&world->client);
    turn();
    assert_int_equal(world->node.pending_count, 0);
}

static void test_an_endless_wait_of_another_node_comes_back(void **state)
{
    (void)state;
    world->client.ordered = false; /* as a peer's stream */
    world->client.relayed = true;
    command("wait 9 0");
    turn();
    later(world->node.config.request_timeout_ms * QR_MILLISECOND);
    assert_heard("-TRYAGAIN not applied, its time was over before it was served\r\n");
    world->outlook.commit = 1;
    turn();
    command("wait 1 0");
    turn();
    world->outlook.member[1].match = 1; /* in its last moment */
    later(world->node.config.request_timeout_ms * QR_MILLISECOND);
    assert_heard(":1\r\n");
    assert_int_equal(world->node.pending_count, 0);
}

/* Whoever asked for so much patience may be gone, and only the node it was connected to knows. */
static void test_a_long_wait_of_another_node_comes_back_too(void **state)
{
    (void)state;
    world->client.ordered = false; /* as a peer's stream */
    world->client.relayed = true;
    command("wait 9 86400000");
    command("wait 9 100");
    turn();
    later(101 * QR_MILLISECOND);
    assert_heard(":4\r\n");
    later(world->node.config.request_timeout_ms * QR_MILLISECOND);
    assert_heard("-TRYAGAIN not applied, its time was over before it was served\r\n");
    assert_int_equal(world->node.pending_count, 0);
}

/* Who leaves is told of entries until it knows, and may have them: it is no replica any more. */
static void test_who_leaves_is_not_counted(void **state)
{
    (void)state;
    command("set a 1");
    command("wait 1 100");
    turn();
    apply_upto(1);
    world->outlook.membership = (struct membership){ .voters = 7, .learners = 8 };
    world->outlook.leaving = 16;
    world->outlook.member[4].match = 1;
    turn();
    assert_heard("+OK\r\n");
    world->outlook.member[3].match = 1; /* one that does not vote yet is one */
    turn();
    assert_heard(":1\r\n");
}

/* WAITAOF: the leader's own disk is one thing, those of the others another. */
static void test_waitaof_tells_the_leader_and_the_others_apart(void **state)
{
    (void)state;
    command("set a 1");
    command("waitaof 1 1 0");
    turn();
    apply_upto(1);
    world->outlook.member[1].match = 1;
    world->outlook.member[2].match = 1;
    turn();
    assert_heard("+OK\r\n"); /* its own disk lacks it */
    world->outlook.member[0].match = 1;
    turn();
    assert_heard("*2\r\n:1\r\n:2\r\n");
    command("waitaof 0 3 100");
    turn();
    assert_heard("");
    later(101 * QR_MILLISECOND);
    assert_heard("*2\r\n:1\r\n:2\r\n");
    command("set b 1");
    command("waitaof 0 2 100");
    turn();
    later(101 * QR_MILLISECOND);
    apply_upto(2);
    assert_heard("+OK\r\n*2\r\n:0\r\n:0\r\n"); /* over before its write was decided */
    command("waitaof 0 0 0");
    turn();
    assert_heard("*2\r\n:0\r\n:0\r\n");
}

static void assert_answer(const char *line, const char *expected)
{
    command(line);
    turn();
    assert_heard(expected);
}

/* As Redis 7.2 words them. */
static void test_what_makes_no_sense_is_refused_as_by_redis(void **state)
{
    (void)state;
    const char *integer = "-ERR value is not an integer or out of range\r\n";
    const char *positive = "-ERR value is out of range, must be positive\r\n";
    const char *one = "-ERR value is out of range, value must between 0 and 1\r\n";
    assert_answer("wait x 0", integer);
    assert_answer("wait 1 x", "-ERR timeout is not an integer or out of range\r\n");
    assert_answer("wait 1 -1", "-ERR timeout is negative\r\n");
    assert_answer("wait -5 0", ":4\r\n"); /* at once: nothing is committed */
    assert_answer("waitaof x 0 0", integer);
    assert_answer("waitaof 2 0 0", one);
    assert_answer("waitaof -1 0 0", one);
    assert_answer("waitaof 0 x 0", positive);
    assert_answer("waitaof 0 -1 0", positive);
    assert_answer("waitaof 0 0 x", "-ERR timeout is not an integer or out of range\r\n");
    assert_answer("waitaof 0 0 -1", "-ERR timeout is negative\r\n");
    assert_int_equal(world->node.pending_count, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_who_leaves_is_not_counted, setup, teardown),
        cmocka_unit_test_setup_teardown(test_waitaof_tells_the_leader_and_the_others_apart, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_what_makes_no_sense_is_refused_as_by_redis, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_wait_is_not_about_what_was_written_behind_it, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_wait_counts_members_that_hold_the_last_write, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(
            test_wait_counts_nobody_who_may_lack_what_another_leader_has_taken, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_wait_outlives_leadership_and_goes_on, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_a_wait_without_a_leader_says_that_the_writes_stay,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_wait_of_a_client_that_is_gone_is_forgotten, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_a_long_wait_of_another_node_comes_back_too, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_an_endless_wait_of_another_node_comes_back, setup,
                                        teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
