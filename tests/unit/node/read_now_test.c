/* Reads that are answered where they arrive (node/read_now.c), under a lease or because they need
 * no proof, in the world of apply_test.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "apply_world.h"
#include "node/frame.h"
#include "node/replica_internal.h"
#include "orders_played.h"

/* The lease that the protocol has given with one read covers those that arrive until its end. */
static void lease_until(qr_time end)
{
    command("get a");
    turn();
    confirm_reads(0, end);
    turn();
    assert_heard("$-1\r\n");
}

static void lease_of_present_key(qr_time end)
{
    command("get a");
    turn();
    confirm_reads(1, end);
    turn();
    assert_heard("$1\r\n1\r\n");
}

static void test_a_read_within_the_lease_is_answered_at_once_G1(void **state)
{
    (void)state;
    lease_until(world->now + QR_SECOND);
    uint32_t reads = world->reads;
    command("get a");
    assert_heard("$-1\r\n"); /* in the middle of a turn, without a word to the protocol */
    command("exists a");
    assert_heard(":0\r\n");
    turn();
    assert_int_equal(world->reads, reads);
}

static void test_a_read_after_the_lease_asks_the_protocol_G1(void **state)
{
    (void)state;
    lease_until(world->now + QR_SECOND);
    later(QR_SECOND);
    uint32_t reads = world->reads;
    command("get a");
    assert_heard("");
    turn();
    assert_true(world->reads > reads);
}

static void test_a_read_within_the_lease_stays_behind_its_clients_write_S1(void **state)
{
    (void)state;
    lease_until(world->now + QR_SECOND);
    command("set a 1");
    command("get a");
    turn();
    assert_heard("");
    apply_upto(1);
    confirm_reads(0, 0);
    turn();
    assert_heard("+OK\r\n$1\r\n1\r\n");
}

static void test_a_lease_ends_with_its_term_and_with_the_read_mode_G1(void **state)
{
    (void)state;
    lease_until(world->now + QR_SECOND);
    lead(2);
    command("get a");
    assert_heard("");
    turn();
    confirm_reads(0, world->now + QR_SECOND);
    turn();
    assert_heard("$-1\r\n");
    replica_admin(world->zero.replica, ADMIN_READ_MODE, 0);
    command("get a");
    assert_heard("");
}

/* A partition need not have a turn whenever the node has one. */
static void test_a_key_is_gone_when_its_time_is_over_without_a_turn_of_its_own(void **state)
{
    (void)state;
    command("set a 1 px 50");
    turn();
    apply_upto(1);
    turn();
    assert_heard("+OK\r\n");
    lease_of_present_key(world->now + QR_SECOND);
    command("get a");
    assert_heard("$1\r\n1\r\n");
    world->now += 60 * QR_MILLISECOND;
    world->wall += 60 * QR_MILLISECOND;
    world->began = world->now;
    command("get a");
    assert_heard(""); /* it waits for the tick that deletes it */
}

/* And one over the quota goes the way on which that is said (router.c). */
static void test_a_read_within_the_lease_counts_for_the_quota(void **state)
{
    (void)state;
    lease_until(world->now + QR_SECOND);
    uint32_t spent = quotas_played.spent;
    command("get a");
    assert_heard("$-1\r\n");
    assert_int_equal(quotas_played.spent, spent + 1);
    quotas_played.full = true;
    command("get a");
    quotas_played.full = false;
    assert_heard("-THROTTLED too many commands in flight, the command was not applied\r\n");
    assert_int_equal(quotas_played.spent, spent + 1);
}

static void read_at(enum read_level level, const char *line)
{
    world->client.wants.level = (uint8_t)level;
    command(line);
    world->client.wants.level = READ_LINEARIZABLE;
}

static void write_a(const char *line)
{
    command(line);
    turn();
    apply_upto(1);
    world->outlook.membership.voters = 31;
    turn();
    assert_heard("+OK\r\n");
}

static void test_a_read_that_needs_no_proof_is_answered_at_once_G4(void **state)
{
    (void)state;
    write_a("set a 1");
    uint32_t reads = world->reads;
    read_at(READ_LOCAL, "get a");
    assert_heard("$1\r\n1\r\n");
    read_at(READ_LEADER, "exists a");
    assert_heard(":1\r\n");
    follow_nobody(2); /* and it goes on where nobody leads */
    read_at(READ_PREFIX, "get a");
    assert_heard("$1\r\n1\r\n");
    read_at(READ_LEADER, "get a");
    assert_heard("");
    assert_int_equal(world->reads, reads);
}

static void test_a_read_that_needs_no_proof_stays_behind_its_clients_write_S1(void **state)
{
    (void)state;
    write_a("set a 1");
    command("set a 2");
    read_at(READ_LOCAL, "get a");
    turn();
    assert_heard("");
    apply_upto(2);
    turn();
    assert_heard("+OK\r\n$1\r\n2\r\n");
}

/* All replicas that have applied the same say the same, whatever their clocks show. */
static void test_log_time_rules_where_any_replica_may_answer(void **state)
{
    (void)state;
    write_a("set a 1 px 50");
    world->now += 60 * QR_MILLISECOND;
    world->wall += 60 * QR_MILLISECOND;
    world->began = world->now;
    read_at(READ_LOCAL, "get a");
    assert_heard("$1\r\n1\r\n");
    read_at(READ_LEADER, "get a");
    assert_heard(""); /* the leader's clock rules: a tick deletes it first */
}

static void read_within(qr_time bound, const char *line)
{
    world->client.wants = (struct wants){ .level = READ_BOUNDED, .bound = (uint64_t)bound };
    command(line);
    world->client.wants = (struct wants){ 0 };
}

#define BOUND (100 * QR_MILLISECOND)

static void test_within_the_bound_of_a_proof_no_other_is_needed_G11(void **state)
{
    (void)state;
    write_a("set a 1");
    uint32_t reads = world->reads;
    read_within(BOUND, "get a");
    assert_heard(""); /* a leader without a lease does not know that it leads */
    turn();
    assert_int_equal(world->reads, reads + 1);
    confirm_reads(1, 0);
    turn();
    assert_heard("$1\r\n1\r\n");
    read_within(BOUND, "get a");
    assert_heard("$1\r\n1\r\n");
    turn();
    assert_int_equal(world->reads, reads + 1);
    later(BOUND / 2 + 1);
    for (int i = 0; i < 3; i++) { /* they ask ahead, once */
        read_within(BOUND, "get a");
        assert_heard("$1\r\n1\r\n");
        turn();
        assert_int_equal(world->reads, reads + 2);
    }
    later(BOUND / 2);
    read_within(BOUND, "get a");
    assert_heard("");
    confirm_reads(1, 0); /* what was asked ahead: as fresh as that */
    read_within(BOUND, "get a");
    assert_heard("");
    turn();
    confirm_reads(1, 0);
    turn();
    assert_heard("$1\r\n1\r\n$1\r\n1\r\n");
}

static void test_a_follower_serves_when_it_has_applied_the_slot_that_it_was_told_G11(void **state)
{
    (void)state;
    write_a("set a 1");
    follow_nobody(1);
    world->outlook.leader = 1;
    world->connected = true;
    turn();
    uint32_t reads = world->reads;
    read_within(BOUND, "get a");
    turn();
    assert_int_equal(world->reads, reads + 1);
    noop_at(2, 1);
    confirm_reads(2, 0);
    turn();
    assert_heard("");
    apply_upto(2);
    turn();
    assert_heard("$1\r\n1\r\n");
    read_within(BOUND, "get a");
    assert_heard("$1\r\n1\r\n");
    later(BOUND + 1);
    read_within(BOUND, "get a");
    assert_heard("");
    confirm_reads(0, 0);
    turn();
}

/* --- Whether it has caught up since its start ------------------------------------------------- */

static struct replica *follow_1(qr_term term)
{
    follow_nobody(term);
    world->outlook.leader = 1;
    world->connected = true;
    turn();
    return world->zero.replica;
}

/* What it knows to be committed is what its log has in common with the leader's: all of its own. */
static void test_a_follower_has_caught_up_when_it_has_applied_a_slot_that_it_asked_for(void **state)
{
    (void)state;
    write_a("set a 1");
    struct replica *r = follow_1(1);
    world->outlook.commit = 1;
    uint32_t reads = world->reads;
    for (int i = 0; i < 3; i++) { /* it asks, once */
        assert_false(replica_catches_up(r));
        turn();
        assert_int_equal(world->reads, reads + 1);
    }
    noop_at(2, 1);
    confirm_reads(2, 0);
    turn();
    assert_false(replica_catches_up(r));
    apply_upto(2);
    assert_true(replica_catches_up(r));
    later(QR_SECOND);
    assert_true(replica_catches_up(r));
    follow_nobody(2);
    assert_false(replica_catches_up(r)); /* who has asked has noted it by then (holding.c) */
}

static void test_an_answer_that_does_not_come_is_asked_for_again(void **state)
{
    (void)state;
    struct replica *r = follow_1(1);
    uint32_t reads = world->reads;
    assert_false(replica_catches_up(r));
    turn();
    later(200 * QR_MILLISECOND);
    assert_false(replica_catches_up(r));
    turn();
    assert_int_equal(world->reads, reads + 2);
    confirm_reads(0, 0);
}

static void test_a_leader_has_caught_up_with_an_entry_of_its_own_term(void **state)
{
    (void)state;
    struct replica *r = world->zero.replica;
    assert_true(replica_catches_up(r));
    lead(2);
    r->applied_term = 1;
    assert_false(replica_catches_up(r));
    r->applied_term = 2;
    assert_true(replica_catches_up(r));
}

/* They know neither ids of requests nor defaults. */
static void test_among_older_versions_what_is_known_to_be_committed_is_all_there_is(void **state)
{
    (void)state;
    write_a("set a 1");
    struct replica *r = follow_1(1);
    uint32_t reads = world->reads;
    world->version = WIRE_VERSION_LEVELS - 1;
    world->outlook.commit = 2;
    turn();
    assert_false(replica_catches_up(r));
    world->outlook.commit = 1;
    turn();
    assert_true(replica_catches_up(r));
    assert_int_equal(world->reads, reads);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_a_read_within_the_lease_is_answered_at_once_G1),
        TEST(test_a_read_after_the_lease_asks_the_protocol_G1),
        TEST(test_a_read_within_the_lease_stays_behind_its_clients_write_S1),
        TEST(test_a_key_is_gone_when_its_time_is_over_without_a_turn_of_its_own),
        TEST(test_a_read_within_the_lease_counts_for_the_quota),
        TEST(test_a_read_that_needs_no_proof_is_answered_at_once_G4),
        TEST(test_a_read_that_needs_no_proof_stays_behind_its_clients_write_S1),
        TEST(test_log_time_rules_where_any_replica_may_answer),
        TEST(test_within_the_bound_of_a_proof_no_other_is_needed_G11),
        TEST(test_a_follower_serves_when_it_has_applied_the_slot_that_it_was_told_G11),
        TEST(test_a_follower_has_caught_up_when_it_has_applied_a_slot_that_it_asked_for),
        TEST(test_an_answer_that_does_not_come_is_asked_for_again),
        TEST(test_a_leader_has_caught_up_with_an_entry_of_its_own_term),
        TEST(test_among_older_versions_what_is_known_to_be_committed_is_all_there_is),
        TEST(test_a_lease_ends_with_its_term_and_with_the_read_mode_G1),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
