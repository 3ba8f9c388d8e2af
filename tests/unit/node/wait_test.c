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

static struct stream other;

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

/* Nor is one that nobody had taken up when its client went. */
static void test_nor_is_it_taken_up_then(void **state)
{
    (void)state;
    follow_nobody(2);
    command("wait 9 0");
    turn();
    assert_int_equal(router_waiting(world->node.router), 1);
    stream_detach(&world->client);
    lead(3);
    turn();
    assert_int_equal(world->node.pending_count, 0);
}

/* What its client has written is given up: it is about what is committed then. */
static void test_it_waits_for_no_write_that_was_given_up(void **state)
{
    (void)state;
    command("set a 1");
    turn();
    apply_upto(1);
    world->outlook.member[1].match = 1;
    turn();
    assert_heard("+OK\r\n");
    world->client.strands.first.last_write = 0; /* by another connection */
    world->client.wants.expires = world->now + 20 * QR_MILLISECOND;
    command("set a 1");
    world->client.wants.expires = 0;
    command("wait 1 0");
    turn();
    later(20 * QR_MILLISECOND);
    assert_heard("-UNCERTAIN the write was proposed and its fate is unknown\r\n:1\r\n");
}

/* A TIMEOUT ends the wait for a leader and nothing else; what is left of it is no more then. */
static void test_a_timeout_is_for_the_wait_for_a_leader_alone(void **state)
{
    (void)state;
    world->client.wants.expires = world->now + 50 * QR_MILLISECOND;
    command("wait 9 60000");
    command("wait 9 60000");
    world->client.wants.expires = 0;
    turn();
    assert_int_equal(heap_least(&world->node.expiries), world->now + 60 * QR_SECOND);
    later(20 * QR_MILLISECOND);
    follow_nobody(2);
    assert_int_equal(heap_least(&world->node.expiries), world->now + 30 * QR_MILLISECOND);
    lead(3);
    turn();
    later(100 * QR_MILLISECOND);
    assert_heard("");
    follow_nobody(4); /* it is over */
    assert_int_equal(heap_least(&world->node.expiries), QR_NEVER);
    turn();
    assert_heard("");
}

/* It came a moment ago, and nobody has looked at it yet. */
static void test_one_that_is_over_at_once(void **state)
{
    (void)state;
    command("set a 1");
    turn();
    apply_upto(1);
    turn();
    command("set a 2");
    turn();
    world->outlook.member[1].match = 1; /* of what its client has written */
    stream_init(&other, &world->node, STREAM_GATHER);
    other.begin_reply = world->client.begin_reply;
    other.end_reply = world->client.end_reply;
    assert_heard("+OK\r\n");
    command_from(&other, "wait 2 1");
    world->now += 2 * QR_MILLISECOND;
    turn();
    assert_heard(":1\r\n");
    stream_detach(&other);
}

/* What stood behind a write under the leader before is looked at as if it had just come. */
static void test_under_a_new_leader_it_is_behind_nothing(void **state)
{
    (void)state;
    command("set a 1");
    command("wait 1 60000");
    turn();
    turn();
    follow_nobody(2);
    noop_at(1, 2);
    noop_at(2, 2);
    apply_upto(1);
    assert_heard("-TRYAGAIN not applied, leader changed\r\n");
    world->outlook.member[1].match = 1;
    lead(3);
    turn();
    assert_heard(":1\r\n");
}

/* Its write has another place than it would have had when the WAIT came. */
static void test_it_is_about_a_write_that_was_put_back(void **state)
{
    (void)state;
    world->refuses = true;
    command("set a 1");
    command("wait 1 0");
    turn();
    world->refuses = false;
    noop_at(1, 1);
    noop_at(2, 1);
    world->outlook.member[1].match = 2;
    turn();
    turn();
    apply_upto(3);
    turn();
    assert_heard("+OK\r\n");
    world->outlook.member[1].match = 3;
    turn();
    assert_heard(":1\r\n");
}

/* The last word on who leads is heard before its time is called over. */
static void test_nobody_counts_who_leads_no_more(void **state)
{
    (void)state;
    command("wait 9 100");
    turn();
    world->outlook.role = ROLE_FOLLOWER;
    world->outlook.leader = NODE_NONE;
    later(101 * QR_MILLISECOND);
    assert_heard("");
    assert_int_equal(router_waiting(world->node.router), 1);
}

/* Its own disk may have it without a word to the protocol. */
static void test_it_is_looked_at_every_few_milliseconds(void **state)
{
    (void)state;
    turn();
    assert_int_equal(replica_deadline(world->zero.replica), QR_NEVER);
    command("wait 9 0");
    turn();
    assert_in_range(replica_deadline(world->zero.replica), world->now,
                    world->now + 10 * QR_MILLISECOND);
}

/* Whatever is wanted: what is not known is no number. */
static void test_what_comes_back_is_asked_again_in_whole(void **state)
{
    (void)state;
    qr_time longest = world->node.config.request_timeout_ms * QR_MILLISECOND;
    const char *again = "-TRYAGAIN not applied, its time was over before it was served\r\n";
    world->client.ordered = false; /* as a peer's stream */
    world->client.relayed = true;
    command("waitaof 1 0 0");
    world->outlook.commit = 1;
    turn();
    later(longest);
    assert_heard(again);
    world->outlook.can_serve = false;
    turn();
    command("wait 0 0");
    turn();
    later(longest);
    assert_heard(again);
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

/* Its replicas go before its router, which takes back what has come from other nodes. */
static void test_a_node_ends_while_waits_of_another_node_stand_there(void **state)
{
    (void)state;
    world->client.ordered = false; /* as a peer's stream */
    world->client.relayed = true;
    world->client.wants.each_zone = true;
    command("set a 1");
    world->client.wants.each_zone = false;
    turn();
    apply_upto(1);
    command("wait 9 0");
    turn();
    command("wait 9 60000"); /* nobody has looked at it yet */
    assert_int_equal(world->node.blocked, 3);
    replica_free(world->zero.replica);
    world->zero.replica = NULL;
    stream_detach(&world->client);
    assert_int_equal(world->node.pending_count, 0);
    assert_int_equal(heap_least(&world->node.expiries), QR_NEVER);
    assert_heard("");
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

/* A partition that rests looks at nobody who waits. */
static void test_a_wait_wakes_its_partition(void **state)
{
    (void)state;
    world->zero.group = 2; /* group 0 never rests */
    world->zero.awake = false;
    command("wait 1 100");
    assert_true(world->zero.awake);
    world->zero.group = 0;
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

#define WAIT_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WAIT_TEST(test_wait_counts_members_that_hold_the_last_write),
        WAIT_TEST(test_a_wait_wakes_its_partition),
        WAIT_TEST(test_wait_is_not_about_what_was_written_behind_it),
        WAIT_TEST(test_wait_counts_nobody_who_may_lack_what_another_leader_has_taken),
        WAIT_TEST(test_a_wait_outlives_leadership_and_goes_on),
        WAIT_TEST(test_a_wait_without_a_leader_says_that_the_writes_stay),
        WAIT_TEST(test_a_wait_of_a_client_that_is_gone_is_forgotten),
        WAIT_TEST(test_nor_is_it_taken_up_then),
        WAIT_TEST(test_it_waits_for_no_write_that_was_given_up),
        WAIT_TEST(test_a_timeout_is_for_the_wait_for_a_leader_alone),
        WAIT_TEST(test_one_that_is_over_at_once),
        WAIT_TEST(test_under_a_new_leader_it_is_behind_nothing),
        WAIT_TEST(test_it_is_about_a_write_that_was_put_back),
        WAIT_TEST(test_nobody_counts_who_leads_no_more),
        WAIT_TEST(test_it_is_looked_at_every_few_milliseconds),
        WAIT_TEST(test_what_comes_back_is_asked_again_in_whole),
        WAIT_TEST(test_an_endless_wait_of_another_node_comes_back),
        WAIT_TEST(test_a_long_wait_of_another_node_comes_back_too),
        WAIT_TEST(test_a_node_ends_while_waits_of_another_node_stand_there),
        WAIT_TEST(test_who_leaves_is_not_counted),
        WAIT_TEST(test_waitaof_tells_the_leader_and_the_others_apart),
        WAIT_TEST(test_what_makes_no_sense_is_refused_as_by_redis),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
