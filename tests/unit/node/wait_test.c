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
    assert_heard(""); /* its write is not applied */
    apply_upto(1);
    turn();
    assert_heard("+OK\r\n:2\r\n");
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
    assert_heard("-TRYAGAIN the lease ended before the read was served\r\n");
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
    assert_heard("-TRYAGAIN the lease ended before the read was served\r\n");
    assert_int_equal(world->node.pending_count, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
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
