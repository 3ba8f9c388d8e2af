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

/* What the lease was given with is to be applied first. */
static void test_a_lease_is_good_for_its_slot_G1(void **state)
{
    (void)state;
    lease_until(world->now + QR_SECOND);
    noop_at(1, 1);
    noop_at(2, 1);
    command("get b");
    world->zero.replica->lease_slot = 2;
    command("get a");
    assert_false(replica_holds_lease(world->zero.replica));
    apply_upto(1);
    assert_false(replica_holds_lease(world->zero.replica));
    apply_upto(2);
    assert_true(replica_holds_lease(world->zero.replica));
}

/* Followers may have shown what is committed and, for want of a sync, not applied here. */
static void test_a_lease_is_not_good_while_less_is_applied_than_is_committed_G1(void **state)
{
    (void)state;
    struct replica *r = world->zero.replica;
    lease_until(world->now + QR_SECOND);
    noop_at(1, 1);
    assert_true(replica_holds_lease(r)); /* nobody knows it to be committed */
    replica_apply_durable_only(r, true);
    apply_upto(1);
    assert_int_equal(replica_applied(r), 0);
    assert_false(replica_holds_lease(r));
    command("get a");
    assert_heard("");
    turn();
    confirm_reads(1, world->now + QR_SECOND);
    turn();
    assert_heard("");
    replica_apply_durable_only(r, false);
    turn();
    turn();
    assert_heard("$-1\r\n");
    assert_true(replica_holds_lease(r));
}

/* What takes long, or says more than its answer, goes the way of those that wait. */
static void test_only_small_reads_are_answered_at_once(void **state)
{
    (void)state;
    write_a("set a 1");
    world->client.history.usec = LARGE_READ_USEC + 1;
    read_at(READ_LOCAL, "get a");
    assert_heard("");
    turn();
    assert_heard("$1\r\n1\r\n");
    world->client.history.usec = LARGE_READ_USEC;
    world->client.history.bytes = LARGE_READ_BYTES + 1;
    read_at(READ_LOCAL, "get a");
    assert_heard("");
    turn();
    assert_heard("$1\r\n1\r\n");
    world->client.history.bytes = LARGE_READ_BYTES;
    read_at(READ_LOCAL, "get a");
    assert_heard("$1\r\n1\r\n");
    world->client.wants.meta = true;
    read_at(READ_LOCAL, "get a");
    assert_heard("");
    stream_detach(&world->client);
    turn();
}

static void test_many_keys_take_longer(void **state)
{
    (void)state;
    struct span argv[10] = { SPAN_LITERAL("exists") };
    for (uint32_t i = 1; i < 10; i++) {
        argv[i] = SPAN_LITERAL("a");
    }
    write_a("set a 1");
    world->client.wants.level = READ_LOCAL;
    for (uint32_t argc = 9; argc <= 10; argc++) {
        router_command(world->node.router, &world->zero, &world->client, command_by_name(argv[0]),
                       2, 0, argv, argc, false);
        assert_heard(argc == 9 ? ":8\r\n" : "");
    }
    turn();
    assert_heard(":9\r\n");
}

/* In a session whose token came from elsewhere only a proof tells that nothing of it is lost. */
static void test_under_a_lease_a_token_wants_a_proof_F5(void **state)
{
    (void)state;
    lease_until(world->now + QR_SECOND);
    world->client.wants.least = 1;
    command("get a");
    world->client.wants.least = 0;
    assert_heard("");
    turn();
    confirm_reads(0, 0);
    turn();
    assert_heard("-SESSIONLOST what this session has seen is lost: no replica has it, the command "
                 "was not applied\r\n");
}

/* A question of the leader's own goes to nobody. */
static void test_only_a_question_to_another_counts_as_asked(void **state)
{
    (void)state;
    write_a("set a 1");
    read_within(BOUND, "get a");
    turn();
    assert_int_equal(world->node.stats.indexes_asked, 0);
}

/* It is seen, and counted, as any other. */
static void test_what_was_answered_at_once_was_seen_N1(void **state)
{
    (void)state;
    write_a("set a 1");
    world->client.strands.first.seen = 0;
    const struct command_spec *get = command_by_name(SPAN_LITERAL("get"));
    uint64_t calls = world->node.command_stats[command_index(get)].calls;
    read_at(READ_LOCAL, "get a");
    assert_heard("$1\r\n1\r\n");
    assert_int_equal(world->client.strands.first.seen, 1);
    assert_int_equal(world->node.command_stats[command_index(get)].calls, calls + 1);
    read_at(READ_LOCAL, "getrange a 0 0"); /* it may take long */
    assert_heard("");
    turn();
    assert_heard("$1\r\n1\r\n");
}

/* It was confirmed by a lease, and waited for longer than that: nothing of it counts when it needs
 * no proof any more. */
static void test_what_needs_no_proof_any_more_has_no_end(void **state)
{
    (void)state;
    write_a("set a 1");
    world->congested = true;
    read_within(QR_SECOND, "get a");
    turn();
    confirm_reads(1, world->now + 10 * QR_MILLISECOND);
    turn();
    later(20 * QR_MILLISECOND);
    world->congested = false;
    uint32_t reads = world->reads;
    replica_unpark(&world->client);
    for (int i = 0; i < 4; i++) {
        turn();
    }
    assert_heard("$1\r\n1\r\n");
    assert_int_equal(world->reads, reads);
}

/* Its lease was over: it is asked for again, and nothing of the first time is left. */
static void test_asked_again_it_begins_anew(void **state)
{
    (void)state;
    write_a("set a 1");
    world->congested = true;
    command("get a");
    turn();
    confirm_reads(1, world->now + 10 * QR_MILLISECOND);
    later(20 * QR_MILLISECOND);
    world->congested = false;
    replica_unpark(&world->client);
    turn();
    const struct pending *p = world->client.last;
    assert_int_equal(p->state, PENDING_WAITING);
    router_turn(world->node.router);
    assert_int_equal(p->state, PENDING_READING);
    assert_false(p->confirmed);
    assert_int_equal(p->req, 0);
    turn();
    confirm_reads(1, 0);
    turn();
    assert_heard("$1\r\n1\r\n");
}

/* A question without an answer is asked anew, but not with each read. */
static void test_it_asks_ahead_again_after_a_while(void **state)
{
    (void)state;
    write_a("set a 1");
    follow_1(1);
    uint32_t reads = world->reads;
    replica_ask_ahead(world->zero.replica);
    turn();
    assert_int_equal(world->reads, reads + 1);
    later(50 * QR_MILLISECOND);
    replica_ask_ahead(world->zero.replica);
    turn();
    assert_int_equal(world->reads, reads + 1);
    later(51 * QR_MILLISECOND);
    replica_ask_ahead(world->zero.replica);
    turn();
    assert_int_equal(world->reads, reads + 2);
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
        TEST(test_a_lease_is_good_for_its_slot_G1),
        TEST(test_a_lease_is_not_good_while_less_is_applied_than_is_committed_G1),
        TEST(test_only_small_reads_are_answered_at_once),
        TEST(test_many_keys_take_longer),
        TEST(test_under_a_lease_a_token_wants_a_proof_F5),
        TEST(test_only_a_question_to_another_counts_as_asked),
        TEST(test_what_was_answered_at_once_was_seen_N1),
        TEST(test_what_needs_no_proof_any_more_has_no_end),
        TEST(test_asked_again_it_begins_anew),
        TEST(test_it_asks_ahead_again_after_a_while),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
