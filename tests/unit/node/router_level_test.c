/* Reads that need no proof, with the replica and the peers played by the test (docs/levels.md). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/limits.h"
#include "node/replica.h"
#include "router_world.h"

#define REFUSED                                                                              \
    "-STALE 1 this replica is behind by more than MAXLAG and answers no reads until it has " \
    "caught up, the command was not applied\r\n"

static void read_at(enum read_level level, const char *key)
{
    world->client.wants.level = (uint8_t)level;
    command("get", key);
    world->client.wants.level = READ_LINEARIZABLE;
}

static void test_any_replica_may_answer_is_here_whatever_waits_for_the_leader_G4(void **state)
{
    (void)state;
    world->replica.readable = true;
    command("set", "a"); /* nobody leads */
    read_at(READ_LOCAL, "b");
    read_at(READ_PREFIX, "c");
    read_at(READ_LEADER, "d");
    assert_int_equal(world->replica.unproven, 2);
    assert_int_equal(world->replica.reads.count, 2);
    world->replica.leader = 1;
    turn_later(0);
    assert_string_equal(world->peers.forwarded, "1:a 1:d ");
}

static void test_a_replica_that_may_not_be_read_sends_on_what_it_is_asked_U55(void **state)
{
    (void)state;
    world->replica.leader = 1;
    read_at(READ_LOCAL, "a");
    world->replica.readable = true;
    world->zero.quarantined = true;
    read_at(READ_LOCAL, "b");
    world->zero.quarantined = false;
    world->zero.loading = true;
    read_at(READ_LOCAL, "c");
    assert_int_equal(world->replica.unproven, 0);
    assert_string_equal(world->peers.forwarded, "1:a 1:b 1:c ");
}

static void test_the_leaders_level_needs_no_proof_where_it_leads_G2(void **state)
{
    (void)state;
    world->replica.leads = true;
    world->replica.leader = 0;
    read_at(READ_LEADER, "a");
    assert_int_equal(world->replica.unproven, 1);
    read_at(READ_LINEARIZABLE, "b");
    assert_int_equal(world->replica.unproven, 1);
    assert_int_equal(world->replica.reads.count, 2);
}

static void test_what_needs_no_proof_is_answered_where_it_arrives_G4(void **state)
{
    (void)state;
    world->replica.small = true;
    world->replica.leader = 1;
    read_at(READ_LOCAL, "a"); /* it may not be read from yet: the leader answers */
    answer(0, STATUS_OK, "$1\r\n1\r\n");
    world->replica.readable = true;
    read_at(READ_LOCAL, "b");
    read_at(READ_LINEARIZABLE, "c");
    assert_int_equal(world->replica.at_once, 1);
    read_at(READ_PREFIX, "d"); /* behind what has no answer yet: in its place */
    assert_int_equal(world->replica.at_once, 1);
    assert_int_equal(world->replica.unproven, 1);
    assert_string_equal(world->peers.forwarded, "1:a 1:c ");
}

static void test_a_leader_needs_no_lease_for_what_needs_no_proof_G2(void **state)
{
    (void)state;
    world->replica.small = true;
    world->replica.leads = true;
    world->replica.leader = 0;
    read_at(READ_LEADER, "a");
    assert_int_equal(world->replica.at_once, 1);
    read_at(READ_LINEARIZABLE, "b");
    assert_int_equal(world->replica.at_once, 1);
    assert_int_equal(world->replica.reads.count, 1);
}

static void read_within(qr_time bound, const char *key)
{
    world->client.wants = (struct wants){ .level = READ_BOUNDED, .bound = (uint64_t)bound };
    command("get", key);
    world->client.wants = (struct wants){ 0 };
}

static void fresh_follower(void)
{
    world->replica.leader = 1;
    world->replica.readable = true;
    world->replica.small = true;
    world->replica.may_ask = true;
    world->replica.fresh_at = world->now - 100;
}

static void test_within_the_bound_nobody_is_asked_G11(void **state)
{
    (void)state;
    fresh_follower();
    read_within(200, "a");
    assert_int_equal(world->replica.at_once, 1);
    assert_int_equal(world->replica.asked_ahead, 0);
    read_within(100, "b"); /* to the microsecond; but the next might have to wait */
    assert_int_equal(world->replica.at_once, 2);
    assert_int_equal(world->replica.asked_ahead, 1);
    assert_string_equal(world->peers.forwarded, "");
}

static void test_beyond_the_bound_it_waits_for_an_index_G11(void **state)
{
    (void)state;
    fresh_follower();
    read_within(99, "a");
    assert_int_equal(world->replica.at_once, 0);
    assert_int_equal(world->replica.reads.count, 1);
    assert_int_equal(world->replica.unproven, 0);
    assert_string_equal(world->peers.forwarded, "");
}

static void test_who_may_ask_for_no_index_sends_on_what_it_cannot_answer(void **state)
{
    (void)state;
    fresh_follower();
    world->replica.may_ask = false; /* some node runs an older version */
    read_within(99, "a");
    assert_string_equal(world->peers.forwarded, "1:a ");
    assert_int_equal(world->replica.reads.count, 0);
}

/* With what an index brings it may learn that the key is of another keyspace. */
static void test_who_may_lack_a_prefix_asks_for_no_index_in_keyspace_0_K6(void **state)
{
    (void)state;
    fresh_follower();
    world->node.contact.coverage.until = world->node.clock;
    read_within(99, "a");
    assert_string_equal(world->peers.forwarded, "1:a ");
    assert_int_equal(world->replica.reads.count, 0);
}

static void test_an_index_that_was_refused_is_not_asked_for_again(void **state)
{
    (void)state;
    fresh_follower();
    read_within(99, "a");
    struct pendings refused = { 0 };
    struct pending *p = pendings_pop(&world->replica.reads);
    p->state = PENDING_WAITING;
    pendings_push(&refused, p);
    router_retry(world->node.router, &refused, STATUS_NOT_LEADER);
    turn_later(0);
    assert_int_equal(world->replica.reads.count, 0);
    assert_string_equal(world->peers.forwarded, "1:a ");
}

static void test_an_index_that_does_not_come_is_given_up_for_the_leader(void **state)
{
    (void)state;
    fresh_follower();
    read_within(99, "a");
    turn_later((INDEX_PATIENCE_MS - 1) * QR_MILLISECOND);
    assert_string_equal(world->peers.forwarded, "");
    turn_later(25 * QR_MILLISECOND);
    turn_later(25 * QR_MILLISECOND);
    assert_string_equal(world->peers.forwarded, "1:a ");
}

static void test_without_a_leader_it_is_told_how_old_the_state_is_U3(void **state)
{
    (void)state;
    fresh_follower();
    world->replica.may_ask = false;
    world->replica.leader = NODE_NONE;
    read_within(99, "a");
    turn_later(1999 * QR_MILLISECOND);
    assert_heard("");
    turn_later(25 * QR_MILLISECOND);
    assert_heard("-STALE 2025 no replica that shows what was asked for answered in time, the "
                 "command was not applied\r\n");
    assert_int_equal(world->node.stats.stale, 1);
}

static void test_a_node_that_was_removed_answers_nothing_by_itself(void **state)
{
    (void)state;
    world->replica.readable = true;
    world->node.removed = true;
    read_at(READ_LOCAL, "a");
    assert_heard("-REMOVED this node is no member of its cluster any more, the command was not "
                 "applied\r\n");
}

#define ROUTER_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

/* lagging.h B6: at once, whatever way it would have been answered here. */
static void test_who_is_behind_by_more_than_MAXLAG_refuses_U22(void **state)
{
    (void)state;
    fresh_follower();
    world->rejects = BEHIND_AGES;
    read_at(READ_LOCAL, "a");
    assert_int_equal(world->replica.at_once, 1);
    world->rejects = BEHIND_TOO_FAR;
    read_at(READ_LOCAL, "b");
    read_at(READ_PREFIX, "c");
    read_within(QR_SECOND, "d");
    read_within(1, "e"); /* it would have asked */
    assert_int_equal(world->replica.at_once, 1);
    assert_int_equal(world->replica.unproven, 0);
    assert_string_equal(world->peers.forwarded, "");
    assert_int_equal(world->node.stats.stale, 4);
    assert_heard(REFUSED REFUSED REFUSED REFUSED);
    read_at(READ_LINEARIZABLE, "f"); /* which has a proof */
    read_at(READ_LEADER, "g");
    assert_int_equal(world->node.stats.stale, 4);
    world->rejects = BEHIND_NOT;
    read_at(READ_LOCAL, "h");
    assert_int_equal(world->node.stats.stale, 4);
}

static void test_of_whom_nobody_knows_whether_it_is_behind_the_leader_answers_U22(void **state)
{
    (void)state;
    fresh_follower();
    world->rejects = BEHIND_UNKNOWN;
    read_at(READ_LOCAL, "a");
    read_within(QR_SECOND, "b");
    assert_int_equal(world->replica.at_once, 0);
    assert_int_equal(world->replica.unproven, 0);
    assert_string_equal(world->peers.forwarded, "1:a 1:b ");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        ROUTER_TEST(test_any_replica_may_answer_is_here_whatever_waits_for_the_leader_G4),
        ROUTER_TEST(test_a_replica_that_may_not_be_read_sends_on_what_it_is_asked_U55),
        ROUTER_TEST(test_the_leaders_level_needs_no_proof_where_it_leads_G2),
        ROUTER_TEST(test_what_needs_no_proof_is_answered_where_it_arrives_G4),
        ROUTER_TEST(test_a_leader_needs_no_lease_for_what_needs_no_proof_G2),
        ROUTER_TEST(test_within_the_bound_nobody_is_asked_G11),
        ROUTER_TEST(test_beyond_the_bound_it_waits_for_an_index_G11),
        ROUTER_TEST(test_who_may_ask_for_no_index_sends_on_what_it_cannot_answer),
        ROUTER_TEST(test_who_may_lack_a_prefix_asks_for_no_index_in_keyspace_0_K6),
        ROUTER_TEST(test_an_index_that_was_refused_is_not_asked_for_again),
        ROUTER_TEST(test_an_index_that_does_not_come_is_given_up_for_the_leader),
        ROUTER_TEST(test_without_a_leader_it_is_told_how_old_the_state_is_U3),
        ROUTER_TEST(test_a_node_that_was_removed_answers_nothing_by_itself),
        ROUTER_TEST(test_who_is_behind_by_more_than_MAXLAG_refuses_U22),
        ROUTER_TEST(test_of_whom_nobody_knows_whether_it_is_behind_the_leader_answers_U22),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
