/* Writes that are answered when each zone has them (zones.c Z1 to Z4; U5); see apply_world.h. Nodes
 * 0 and 1 are in zone a, 2 and 3 in b, 4 in none. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../cluster/put_records.h"
#include "base/limits.h"
#include "apply_world.h"

#define COMMITTED "-UNCERTAIN the write is committed by a majority and was applied, but "

static int begin(void **state)
{
    static const char zones[] = "aabb";
    (void)setup(state);
    for (node_index i = 0; i < 4; i++) {
        struct map_node record = { .id = i + 11u, .zone = { zones[i] } };
        put_node(world->node.map, i, &record);
        world->node.known[i].id = record.id;
    }
    world->node.known[4].id = 15; /* ids are no indexes */
    world->client.wants.each_zone = true;
    world->node.holding.current = true;
    return 0;
}

static void assert_kept(uint32_t count, size_t bytes)
{
    assert_int_equal(world->node.kept, count);
    assert_int_equal(world->node.kept_bytes, bytes);
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

static void test_one_voter_of_each_zone_has_it_Z2(void **state)
{
    (void)state;
    write_and_apply("set a 1", 1);
    holds(0, 1);
    holds(1, 1);
    assert_heard(""); /* two of one zone */
    holds(3, 1);
    assert_heard(""); /* whoever has no zone is one */
    holds(4, 1);
    assert_heard("+OK\r\n");
    assert_int_equal(world->client.strands.first.seen, 1); /* its session's */
    assert_int_equal(world->node.blocked, 0);
    assert_int_equal(world->node.pending_count, 0);
    world->outlook.membership = (struct membership){ 0 }; /* nobody is no zone */
    write_and_apply("set a 2", 2);
    turn();
    assert_heard("");
}

static void command_in_resp3(const char *name, bool silent)
{
    const struct command_spec *container;
    struct span argv[3] = { span_of(name, strlen(name)), SPAN_LITERAL("a"), SPAN_LITERAL("1") };
    router_command(world->node.router, &world->zero, &world->client,
                   command_find(argv, 3, &container), 3, 0, argv, 3, silent);
    turn();
    apply_upto(world->outlook.last);
}

static void test_a_reply_that_waited_is_of_its_clients_version(void **state)
{
    (void)state;
    command_in_resp3("getset", false);
    assert_heard("");
    assert_int_equal(world->client.first->reply.version, 3);
    for (node_index i = 0; i < 5; i++) {
        holds(i, 1);
    }
    assert_heard("_\r\n");
    assert_int_equal(world->out.version, 3);
}

/* META stands behind it in that version too, when something ahead of it has no answer yet. */
static void test_what_waits_for_its_turn_is_of_its_clients_version(void **state)
{
    (void)state;
    struct pending *ahead = stream_push(&world->client, NULL, 3, world->now);
    world->client.wants.meta = true;
    command_in_resp3("getset", false);
    world->client.wants.meta = false;
    for (node_index i = 0; i < 5; i++) {
        holds(i, 1);
    }
    assert_heard("");
    reply_status(stream_reply(ahead), "AHEAD");
    stream_answered(ahead, STATUS_OK);
    assert_heard("+AHEAD\r\n*2\r\n_\r\n%4\r\n$8\r\nposition\r\n$3\r\n0-1\r\n$7\r\nreplica\r\n"
                 ":11\r\n$12\r\nstaleness_ms\r\n:0\r\n$8\r\nreplayed\r\n:0\r\n");
}

/* CLIENT REPLY OFF; and who has left before its write was applied. */
static void test_where_nobody_listens_nothing_waits(void **state)
{
    (void)state;
    command_in_resp3("set", true);
    assert_int_equal(world->node.blocked, 0);
    assert_int_equal(world->node.pending_count, 0);
    command("set b 1");
    turn();
    stream_detach(&world->client);
    apply_upto(2);
    assert_int_equal(world->node.blocked, 0);
    assert_int_equal(world->node.pending_count, 0);
}

static void test_members_that_do_not_count_are_none_of_a_zone_Z2(void **state)
{
    (void)state;
    world->outlook.membership = (struct membership){ .voters = 5, .outgoing = 1, .learners = 24 };
    write_and_apply("set a 1", 1);
    holds(0, 1);
    holds(3, 1); /* a learner of b */
    assert_heard("");
    world->outlook.member[2].forgetful = true;
    holds(2, 1);
    assert_heard("");
    world->outlook.member[2].forgetful = false;
    turn();
    assert_heard("+OK\r\n");
    world->outlook.membership = (struct membership){ .voters = 1, .outgoing = 21 };
    write_and_apply("set a 2", 2);
    holds(0, 2);
    holds(2, 2);
    assert_heard(""); /* node 4 votes until the change is over */
    world->outlook.membership.outgoing = 0;
    turn();
    assert_heard("+OK\r\n");
}

/* Z1: nothing waits for the reply but what the client is answered behind it. */
static void test_what_comes_behind_goes_on_Z1(void **state)
{
    (void)state;
    command("set a 1");
    world->client.wants.each_zone = false;
    command("get a");
    command("set a 2");
    turn();
    confirm_reads(0, 0);
    turn();
    apply_upto(2);
    turn();
    assert_heard("");
    assert_int_equal(world->client.strands.first.writes_done, 2);
    for (node_index i = 0; i < 5; i++) {
        holds(i, 1);
    }
    assert_heard("+OK\r\n$1\r\n1\r\n+OK\r\n");
}

static void test_a_refusal_of_the_command_is_answered_at_once(void **state)
{
    (void)state;
    write_and_apply("incrby a x", 1);
    assert_heard("-ERR value is not an integer or out of range\r\n");
}

static void test_replies_are_what_they_would_have_been(void **state)
{
    (void)state;
    write_and_apply("set a 1", 1);
    write_and_apply("getdel a", 2);
    write_and_apply("del a", 3);
    assert_heard("");
    for (node_index i = 0; i < 5; i++) {
        holds(i, i == 0 ? 2 : 3);
    }
    assert_heard("+OK\r\n$1\r\n1\r\n:0\r\n");
}

static void test_when_its_time_is_over_it_says_where_it_is_not_known_Z3(void **state)
{
    (void)state;
    write_and_apply("set a 1", 1);
    holds(0, 1);
    holds(4, 1);
    later(world->node.config.leader_wait_ms * QR_MILLISECOND - QR_MILLISECOND);
    assert_heard("");
    later(2 * QR_MILLISECOND);
    assert_heard(COMMITTED "it is not known yet to be durable in zone 'b'\r\n");
    assert_int_equal(world->node.stats.uncertain, 1);
    world->client.wants.expires = world->now + 100 * QR_MILLISECOND;
    write_and_apply("set a 2", 2);
    holds(0, 2);
    holds(2, 2);
    later(99 * QR_MILLISECOND);
    assert_heard("");
    later(2 * QR_MILLISECOND);
    assert_heard(COMMITTED "it is not known yet to be durable at node 15, which has no zone and "
                           "is one of its own\r\n");
}

/* ... also where the one whose index it has had a zone. */
static void test_a_zone_does_not_pass_on_with_an_index_Z2(void **state)
{
    (void)state;
    write_and_apply("set a 1", 1);
    holds(0, 1);
    holds(2, 1);
    world->node.known[3].id = 20; /* before it was told to be in b */
    holds(4, 1);
    assert_heard("");
    later(99 * QR_MILLISECOND);
    holds(3, 1);
    assert_heard("+OK\r\n");
}

static void test_what_cannot_be_named_is_not_Z3(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < 2; i++) {
        world->client.wants.expires = world->now + 100 * QR_MILLISECOND;
        write_and_apply("set a 1", i + 1);
        holds(0, i + 1);
        holds(2, i + 1);
        world->node.known[4].id = 0; /* whoever that is has not told it yet */
        world->outlook.membership.voters = i == 0 ? world->outlook.membership.voters : 0;
        later(101 * QR_MILLISECOND);
        assert_heard(COMMITTED "it is not known to be durable in each zone\r\n");
    }
}

/* However long its client is willing to wait. */
static void test_the_nodes_own_bound_holds_too_Z3(void **state)
{
    (void)state;
    const char *uncertain = COMMITTED "it is not known yet to be durable in zone 'a'\r\n";
    qr_time longest = world->node.config.request_timeout_ms * QR_MILLISECOND;
    world->client.wants.expires = world->now + 3600 * QR_SECOND;
    write_and_apply("set a 1", 1);
    later(longest - QR_MILLISECOND);
    assert_heard("");
    later(2 * QR_MILLISECOND);
    assert_heard(uncertain);
    world->client.wants.expires = 0;
    world->node.config.leader_wait_ms = 2 * world->node.config.request_timeout_ms;
    write_and_apply("set a 1", 2);
    later(longest + QR_MILLISECOND);
    assert_heard(uncertain);
}

/* That bound counts from when the command came, as for all; the usual one from when the zones are
 * waited for. */
static void test_from_when_its_time_counts_Z3(void **state)
{
    (void)state;
    qr_time longest = world->node.config.request_timeout_ms * QR_MILLISECOND;
    qr_time usual = world->node.config.leader_wait_ms * QR_MILLISECOND;
    const char *uncertain = COMMITTED "it is not known yet to be durable in zone 'a'\r\n";
    command("set a 1");
    turn();
    later(usual / 2);
    apply_upto(1);
    later(usual - QR_MILLISECOND);
    assert_heard("");
    later(QR_MILLISECOND);
    assert_heard(uncertain);
    world->client.wants.expires = world->now + 3600 * QR_SECOND;
    command("set a 2");
    turn();
    later(longest / 2);
    apply_upto(2);
    later(longest - longest / 2);
    assert_heard(uncertain);
}

static void test_a_leader_no_more_does_not_know_and_does_not_repeat_it_Z3(void **state)
{
    (void)state;
    write_and_apply("set a 1", 1);
    command("set b 1");
    turn();
    apply_upto(2);
    follow_nobody(2);
    turn();
    const char *expected = COMMITTED "it is not known to be durable in each zone\r\n";
    char both[512];
    (void)snprintf(both, sizeof both, "%s%s", expected, expected);
    assert_heard(both);
    assert_int_equal(world->node.stats.uncertain, 2);
    assert_int_equal(router_waiting(world->node.router), 0);
    assert_int_equal(world->node.pending_count, 0);
    assert_int_equal(world->node.blocked, 0);
    assert_int_equal(strand_of(&world->client.strands, 0)->seen, 2); /* it was applied: N1 */
}

static void test_whoever_is_gone_is_not_waited_for(void **state)
{
    (void)state;
    write_and_apply("set a 1", 1);
    assert_int_equal(world->node.pending_count, 1);
    stream_detach(&world->client);
    turn();
    assert_int_equal(world->node.pending_count, 0);
}

static void test_a_replica_that_goes_leaves_it_uncertain_Z3(void **state)
{
    (void)state;
    write_and_apply("getset a 1", 1);
    write_and_apply("getset a 2", 2);
    router_replica_gone(world->node.router, &world->zero);
    char both[512];
    const char *expected = COMMITTED "it is not known to be durable in each zone\r\n";
    (void)snprintf(both, sizeof both, "%s%s", expected, expected);
    assert_heard(both);
    assert_int_equal(world->node.blocked, 0);
    assert_int_equal(strand_of(&world->client.strands, 0)->seen, 2); /* it was applied: N1 */
}

static uint32_t held; /* how often the client's owner was told */

static void on_held(struct stream *stream)
{
    assert_ptr_equal(stream, &world->client);
    held++;
}

/* Z4: for the node, and for the client as long as it is there. */
static void test_what_is_kept_counts_until_it_is_answered_Z4(void **state)
{
    (void)state;
    held = 0;
    world->client.on_held = on_held;
    write_and_apply("setrange a 99 x", 1);
    write_and_apply("getset a 1", 2);
    assert_int_equal(world->node.kept, 2);
    assert_in_range(world->node.kept_bytes, 6 + 108 + 1, 1000); /* with what is free in them */
    assert_int_equal(world->client.held_bytes, 6 + 108);
    assert_int_equal(held, 2);
    for (node_index i = 0; i < 5; i++) {
        holds(i, 1);
    }
    assert_int_equal(world->node.kept, 1);
    assert_int_equal(world->client.held_bytes, 108);
    later(world->node.config.leader_wait_ms * QR_MILLISECOND); /* its time is over */
    assert_kept(0, 0);
    assert_int_equal(world->client.held_bytes, 0);
    write_and_apply("getset a 3", 3);
    follow_nobody(2);
    assert_kept(0, 0);
    lead(3);
    world->outlook.last = 3;
    write_and_apply("getset a 4", 4);
    assert_int_equal(world->node.kept, 1);
    router_replica_gone(world->node.router, &world->zero);
    assert_kept(0, 0);
    write_and_apply("getset a 5", 5);
    assert_int_equal(world->node.kept, 1);
    stream_detach(&world->client);
    turn();
    assert_kept(0, 0);
}

/* Z4: what a value that only the reply has takes is the client's; what the store has is not. */
static void test_large_values_that_are_kept_count_once_Z4(void **state)
{
    (void)state;
    write_and_apply("setrange a 299999 x", 1);
    write_and_apply("setrange a 0 y", 2);
    size_t small = stream_held_memory(&world->client);
    assert_in_range(small, 1, 100);
    write_and_apply("getdel a", 3);
    assert_true(world->node.kept_bytes >= 300000);
    assert_in_range(stream_held_memory(&world->client), 300000, 300000 + 20000);
    assert_true(world->client.held_bytes >= 300000);
    follow_nobody(2);
    assert_kept(0, 0);
    assert_int_equal(world->client.held_bytes, 0);
    assert_int_equal(world->client.held_apart, 0);
}

static void test_no_more_are_taken_than_may_wait_Z4(void **state)
{
    (void)state;
    const char *refusal = "-THROTTLED too many writes wait until each zone has them, the command "
                          "was not applied\r\n";
    world->node.kept = KEPT_REPLIES_MAX;
    command("set a 1");
    assert_heard(refusal);
    world->node.kept--;
    world->node.kept_bytes = KEPT_BYTES_MAX;
    command("set a 1");
    assert_heard(refusal);
    command("get a");
    world->client.wants.each_zone = false;
    command("set b 1"); /* others go on */
    turn();
    assert_int_equal(world->submits, 1);
    assert_int_equal(world->outlook.last, 1);
    confirm_reads(0, 0);
    apply_upto(1);
    assert_heard("$-1\r\n+OK\r\n");
    world->client.wants.each_zone = true;
    world->node.kept_bytes--;
    command("set c 1");
    turn();
    assert_int_equal(world->outlook.last, 2);
    apply_upto(2);
    for (node_index i = 0; i < 5; i++) {
        holds(i, 2);
    }
    assert_heard("+OK\r\n");
    assert_kept(KEPT_REPLIES_MAX - 1, KEPT_BYTES_MAX - 1);
}

/* One client has no more than is left for all others, who find room for as much. */
static void test_no_client_takes_the_room_of_others_Z4(void **state)
{
    (void)state;
    write_and_apply("set a 1", 1);
    struct read_history *own = &world->client.history;
    size_t bytes = own->kept_bytes;
    assert_int_equal(own->kept, 1);
    assert_int_equal(bytes, world->node.kept_bytes);
    struct stream other;
    stream_init(&other, &world->node, STREAM_GATHER);
    other.begin_reply = world->client.begin_reply;
    other.end_reply = world->client.end_reply;
    other.wants.each_zone = true;
    for (int i = 0; i < 2; i++) {
        bool count = i == 0;
        world->node.kept += count ? KEPT_REPLIES_MAX - 2 : 0;
        world->node.kept_bytes += count ? 0 : KEPT_BYTES_MAX - 2 * bytes;
        command_from(&other, "set a 2");
        turn();
        assert_int_equal(world->outlook.last, 2 + i);
        command("set a 3");
        turn();
        assert_int_equal(world->outlook.last, 2 + i);
        world->node.kept -= count ? KEPT_REPLIES_MAX - 2 : 0;
        world->node.kept_bytes -= count ? 0 : KEPT_BYTES_MAX - 2 * bytes;
    }
    apply_upto(3);
    for (node_index i = 0; i < 5; i++) {
        holds(i, 3);
    }
    assert_int_equal(own->kept, 0);
    assert_int_equal(own->kept_bytes, 0);
    assert_int_equal(other.history.kept, 0);
    assert_kept(0, 0);
    reply_reset(&world->out);
    stream_detach(&other);
}

/* What was proposed while there was room, and brought more than there is. */
static void test_what_is_beyond_all_room_is_in_force_and_not_waited_for_Z4(void **state)
{
    (void)state;
    const char *uncertain = COMMITTED "too many writes wait until each zone has them: for this one "
                                      "that is not waited for\r\n";
    command("incr a");
    turn();
    world->node.kept = 2 * KEPT_REPLIES_MAX;
    apply_upto(1);
    assert_heard(uncertain);
    world->node.kept = 0;
    command("incr a");
    turn();
    world->node.kept_bytes = 2 * KEPT_BYTES_MAX;
    apply_upto(2);
    assert_heard(uncertain);
    assert_kept(0, 2 * KEPT_BYTES_MAX);
    assert_int_equal(world->node.stats.uncertain, 2);
    assert_int_equal(world->client.strands.first.writes_done, 2);
    assert_int_equal(world->node.pending_count, 0);
    world->node.kept_bytes = 0;
    write_and_apply("incr a", 3); /* they were applied */
    for (node_index i = 0; i < 5; i++) {
        holds(i, 3);
    }
    assert_heard(":3\r\n");
}

#define NOT_HEARD \
    COMMITTED "its leader has not heard from group 0 and does not know the zones by now"

/* Z2: nodes 0 and 1, and 2 and 3, are of one zone as far as it has heard; by now they may be in
 * any. What all of them have, each zone has. */
static void assert_each_voter_is_a_zone(void)
{
    write_and_apply("set a 1", 1);
    write_and_apply("set a 2", 2);
    for (node_index i = 0; i < 4; i++) {
        holds(i, 1);
    }
    assert_heard("");
    holds(4, 1);
    assert_heard("+OK\r\n");
    later(world->node.config.leader_wait_ms * QR_MILLISECOND + QR_MILLISECOND);
    assert_heard(NOT_HEARD "\r\n");
}

static void test_who_was_started_just_now_does_not_know_the_zones_Z2(void **state)
{
    (void)state;
    world->node.holding.current = false;
    assert_each_voter_is_a_zone();
}

static void test_who_has_not_heard_from_group_0_does_not_know_the_zones_Z2(void **state)
{
    (void)state;
    world->node.contact.coverage.knows_until = world->node.clock;
    assert_each_voter_is_a_zone();
    write_and_apply("set a 3", 3);
    holds(0, 3);
    holds(2, 3);
    holds(4, 3);
    assert_heard("");
    world->node.contact.coverage.knows_until = QR_NEVER;
    turn(); /* it has heard that they are as they were */
    assert_heard("+OK\r\n");
}

#define ZONES_TEST(name) cmocka_unit_test_setup_teardown(name, begin, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        ZONES_TEST(test_one_voter_of_each_zone_has_it_Z2),
        ZONES_TEST(test_members_that_do_not_count_are_none_of_a_zone_Z2),
        ZONES_TEST(test_what_comes_behind_goes_on_Z1),
        ZONES_TEST(test_a_refusal_of_the_command_is_answered_at_once),
        ZONES_TEST(test_replies_are_what_they_would_have_been),
        ZONES_TEST(test_when_its_time_is_over_it_says_where_it_is_not_known_Z3),
        ZONES_TEST(test_a_zone_does_not_pass_on_with_an_index_Z2),
        ZONES_TEST(test_what_cannot_be_named_is_not_Z3),
        ZONES_TEST(test_a_reply_that_waited_is_of_its_clients_version),
        ZONES_TEST(test_what_waits_for_its_turn_is_of_its_clients_version),
        ZONES_TEST(test_where_nobody_listens_nothing_waits),
        ZONES_TEST(test_from_when_its_time_counts_Z3),
        ZONES_TEST(test_the_nodes_own_bound_holds_too_Z3),
        ZONES_TEST(test_a_leader_no_more_does_not_know_and_does_not_repeat_it_Z3),
        ZONES_TEST(test_whoever_is_gone_is_not_waited_for),
        ZONES_TEST(test_a_replica_that_goes_leaves_it_uncertain_Z3),
        ZONES_TEST(test_what_is_kept_counts_until_it_is_answered_Z4),
        ZONES_TEST(test_large_values_that_are_kept_count_once_Z4),
        ZONES_TEST(test_no_more_are_taken_than_may_wait_Z4),
        ZONES_TEST(test_no_client_takes_the_room_of_others_Z4),
        ZONES_TEST(test_what_is_beyond_all_room_is_in_force_and_not_waited_for_Z4),
        ZONES_TEST(test_who_was_started_just_now_does_not_know_the_zones_Z2),
        ZONES_TEST(test_who_has_not_heard_from_group_0_does_not_know_the_zones_Z2),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
