/* Linearizable reads at a node that does not lead: it asks the leader for an index and answers
 * itself, with the replica and the peers played by the test (docs/levels/linearizable.md). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/limits.h"
#include "node/replica.h"
#include "node/router_internal.h"
#include "orders_played.h"
#include "router_world.h"

static void begin_as_follower(void)
{
    world->replica.leader = 1;
    world->replica.readable = true;
    world->replica.may_ask = true;
    world->replica.applied = 40;
}

static void read_at(enum read_level level, const char *key)
{
    world->client.wants = (struct wants){ .level = (uint8_t)level };
    command("get", key);
    world->client.wants = (struct wants){ 0 };
}

static void assert_sent(const char *forwarded, uint32_t here)
{
    assert_string_equal(world->peers.forwarded, forwarded);
    assert_int_equal(world->replica.reads.count, here);
}

static void test_it_asks_for_an_index_and_stays_here_G1(void **state)
{
    (void)state;
    begin_as_follower();
    command("get", "a");
    command("get", "b");
    assert_sent("", 2);
    assert_int_equal(world->replica.unproven, 0);
    assert_false(world->replica.reads.first->confirmed);
}

static void test_who_may_not_ask_sends_it_on(void **state)
{
    (void)state;
    begin_as_follower();
    world->replica.may_ask = false;
    command("get", "a");
    world->replica.may_ask = true;
    world->zero.quarantined = true;
    command("get", "b");
    world->zero.quarantined = false;
    world->node.contact.coverage.until = world->node.clock; /* K6 */
    command("get", "c");
    assert_sent("1:a 1:b 1:c ", 0);
}

static void test_by_its_own_clock_it_tells_nobody_how_long_a_key_will_live(void **state)
{
    (void)state;
    begin_as_follower();
    command("ttl", "a");
    command("pttl", "b");
    assert_sent("1:a 1:b ", 0);
}

static void test_without_a_replica_it_is_the_leaders(void **state)
{
    (void)state;
    begin_as_follower();
    world->more[0].replica = NULL;
    struct span argv[2] = { SPAN_LITERAL("get"), SPAN_LITERAL("a") };
    const struct command_spec *container;
    router_command(world->node.router, &world->more[0], &world->client,
                   command_find(argv, 2, &container), 2, 0, argv, 2, false);
    assert_sent("2:a ", 0); /* who probably leads */
}

static void test_behind_its_clients_write_it_takes_the_same_way_S1(void **state)
{
    (void)state;
    begin_as_follower();
    command("set", "a");
    command("get", "b");
    command("get", "c");
    assert_sent("1:a 1:b 1:c ", 0);
    answer(0, STATUS_OK, "+OK\r\n");
    answer(1, STATUS_OK, "$1\r\n1\r\n");
    command("get", "d"); /* c has no answer */
    assert_sent("1:a 1:b 1:c 1:d ", 0);
    answer(2, STATUS_OK, "$1\r\n1\r\n");
    answer(3, STATUS_OK, "$1\r\n1\r\n");
    command("get", "e");
    assert_sent("1:a 1:b 1:c 1:d ", 1);
}

static void test_a_write_behind_it_takes_it_along_in_front_S2(void **state)
{
    (void)state;
    begin_as_follower();
    command("get", "a");
    command("get", "b");
    command("set", "c");
    assert_sent("1:a 1:b 1:c ", 0);
    command("get", "d");
    assert_sent("1:a 1:b 1:c 1:d ", 0);
}

static void test_a_read_behind_it_that_leaves_takes_it_along_S2(void **state)
{
    (void)state;
    begin_as_follower();
    command("get", "a");
    command("ttl", "b");
    assert_sent("1:a 1:b ", 0);
}

static void test_what_is_no_read_and_no_write_leaves_it_where_it_is(void **state)
{
    (void)state;
    begin_as_follower();
    command("get", "a");
    world->replica.may_ask = false;
    struct span argv[3] = { SPAN_LITERAL("wait"), SPAN_LITERAL("1"), SPAN_LITERAL("9") };
    const struct command_spec *container;
    router_command(world->node.router, &world->zero, &world->client,
                   command_find(argv, 3, &container), 2, 0, argv, 3, false);
    assert_sent("1:1 ", 1);
}

static void test_where_its_reads_find_no_room_a_write_waits_S2(void **state)
{
    (void)state;
    begin_as_follower();
    command("get", "a");
    struct strand *strand = &world->client.strands.first;
    strand->reading += (uint32_t)FORWARD_WINDOW;
    command("set", "b");
    assert_sent("", 1);
    assert_int_equal(router_waiting(world->node.router), 1);
    strand->reading -= (uint32_t)FORWARD_WINDOW;
    turn_later(0);
    assert_sent("1:a 1:b ", 0);
}

static void refuse_first(enum qr_status status)
{
    struct pendings refused = { 0 };
    struct pending *p = pendings_pop(&world->replica.reads);
    p->state = PENDING_WAITING;
    pendings_push(&refused, p);
    router_retry(world->node.router, &refused, status);
}

static void test_refused_it_goes_to_the_leader_and_asks_no_more(void **state)
{
    (void)state;
    begin_as_follower();
    command("get", "a");
    refuse_first(STATUS_NOT_LEADER);
    turn_later(0);
    assert_sent("1:a ", 0);
    answer(0, STATUS_NOT_LEADER, "");
    turn_later(0);
    assert_sent("1:a 1:a ", 0);
}

static void test_too_few_replicas_are_told_at_once_R3(void **state)
{
    (void)state;
    world->replica.leads = true;
    world->replica.leader = 0;
    command("set", "a");
    assert_int_equal(world->replica.write_count, 1);
    struct pendings refused = { 0 };
    pendings_push(&refused, world->replica.writes[0]);
    world->replica.write_count = 0;
    free(world->replica.ops[0]);
    router_retry(world->node.router, &refused, STATUS_NOREPLICAS);
    assert_heard("-NOREPLICAS too few replicas are in contact for what this keyspace promises, "
                 "the command was not applied\r\n");
    turn_later(0);
    assert_int_equal(world->replica.write_count, 0);
}

static void test_late_it_goes_to_the_leader_and_so_do_the_next(void **state)
{
    (void)state;
    begin_as_follower();
    command("get", "a");
    turn_later((INDEX_PATIENCE_PROVEN_MS - 1) * QR_MILLISECOND);
    turn_later(0);
    assert_sent("", 1);
    assert_false(world->replica.late);
    world->node.housekeeping = 0;
    turn_later(QR_MILLISECOND);
    turn_later(0);
    assert_sent("1:a ", 0);
    assert_true(world->replica.late);
    answer(0, STATUS_OK, "$1\r\n1\r\n");
    command("get", "b");
    assert_sent("1:a 1:b ", 0);
    answer(1, STATUS_OK, "$1\r\n1\r\n");
    world->replica.late = false;
    command("get", "c");
    assert_sent("1:a 1:b ", 1);
}

static void test_the_leaders_answer_wakes_those_that_wait_here_for_it_S2(void **state)
{
    (void)state;
    begin_as_follower();
    command("get", "a");
    command("get", "b");
    refuse_first(STATUS_NOT_LEADER);
    world->replica.reads.first->confirmed = true; /* and waits for its turn alone */
    turn_later(0);
    assert_sent("1:a ", 1);
    world->zero.awake = false;
    answer(0, STATUS_OK, "$1\r\n1\r\n");
    assert_true(world->zero.awake);
    refuse_first(STATUS_NOT_LEADER);
    turn_later(0);
    world->zero.awake = false;
    answer(1, STATUS_OK, "$1\r\n1\r\n");
    assert_false(world->zero.awake); /* nobody waits for it */
}

static void test_late_is_what_has_no_index_or_is_not_applied(void **state)
{
    (void)state;
    begin_as_follower();
    command("get", "a");
    struct pending *p = world->replica.reads.first;
    qr_time late = p->moved + INDEX_PATIENCE_PROVEN_MS * QR_MILLISECOND;
    p->confirmed = true;
    p->slot = 40;
    assert_false(router_index_is_late(p, late)); /* it waits for its turn alone */
    p->slot = 41;
    assert_true(router_index_is_late(p, late));
    assert_false(router_index_is_late(p, late - 1));
    p->by_index = false; /* a leader's */
    assert_false(router_index_is_late(p, late));
}

/* Where its node has come to lead it waits for a round like any other: asked for anew each time
 * that it looks late, it would never see the end of one that takes long. */
static void test_at_who_leads_by_now_no_index_is_late(void **state)
{
    (void)state;
    begin_as_follower();
    command("get", "a");
    refuse_first(STATUS_NOT_LEADER);
    world->replica.leads = true;
    world->replica.leader = 0;
    turn_later(0);
    assert_sent("", 1);
    const struct pending *p = world->replica.reads.first;
    assert_true(p->by_index && !p->confirmed);
    world->node.housekeeping = 0;
    turn_later(INDEX_PATIENCE_MS * QR_MILLISECOND);
    turn_later(0);
    assert_sent("", 1);
    assert_ptr_equal(world->replica.reads.first, p);
    assert_int_equal(p->state, PENDING_READING);
    assert_false(world->replica.late);
    world->node.housekeeping = 0;
    turn_later(5 * QR_SECOND); /* and then it has its answer */
    assert_int_equal(world->replica.reads.count, 0);
    assert_heard("-CLUSTERDOWN no leader, the command was not applied\r\n");
}

static void test_within_a_bound_it_waits_longer(void **state)
{
    (void)state;
    begin_as_follower();
    world->client.wants = (struct wants){ .level = READ_BOUNDED, .bound = 1 };
    command("get", "a");
    world->client.wants = (struct wants){ 0 };
    const struct pending *p = world->replica.reads.first;
    qr_time patience = INDEX_PATIENCE_MS * QR_MILLISECOND;
    assert_int_equal(world->replica.asked_ahead, 0); /* it asks itself */
    assert_false(router_index_is_late(p, p->moved + patience - 1));
    assert_true(router_index_is_late(p, p->moved + patience));
}

static void test_a_bounded_read_behind_what_left_for_the_leader_goes_there_S1(void **state)
{
    (void)state;
    begin_as_follower();
    world->replica.fresh_at = world->node.clock;
    world->client.wants = (struct wants){ .level = READ_BOUNDED, .bound = QR_SECOND };
    command("get", "a");
    command("get", "b"); /* behind a read here it stays */
    assert_int_equal(world->replica.unproven, 2);
    command("set", "c");
    command("get", "d");
    assert_string_equal(world->peers.forwarded, "1:c 1:d ");
    assert_int_equal(world->replica.unproven, 2);
}

static void test_at_the_leader_a_bounded_read_stays_behind_a_write(void **state)
{
    (void)state;
    begin_as_follower();
    world->replica.leads = true;
    world->replica.leader = 0;
    world->replica.fresh_at = world->node.clock;
    world->client.wants = (struct wants){ .level = READ_BOUNDED, .bound = QR_SECOND };
    command("set", "c");
    command("get", "d");
    assert_int_equal(world->replica.unproven, 1);
}

static void test_a_local_read_passes_what_has_left_for_the_leader_G4(void **state)
{
    (void)state;
    begin_as_follower();
    command("set", "a");
    read_at(READ_LOCAL, "b");
    assert_sent("1:a ", 1);
    assert_int_equal(world->replica.unproven, 1);
}

static void test_who_knows_too_little_since_its_start_asks(void **state)
{
    (void)state;
    begin_as_follower();
    world->replica.readable = false;
    read_at(READ_LOCAL, "a");
    assert_sent("1:a ", 0);
    uint32_t asked = world->replica.asked_ahead;
    assert_true(asked > 0);
    world->replica.readable = true;
    read_at(READ_LOCAL, "b");
    assert_int_equal(world->replica.unproven, 1);
    assert_int_equal(world->replica.asked_ahead, asked);
}

static void test_of_a_session_the_leaders_word_is_this_nodes_to_say_U3(void **state)
{
    (void)state;
    begin_as_follower();
    world->client.wants = (struct wants){ .level = READ_SESSION, .least = 41, .session = true };
    command("get", "a");
    answer(0, STATUS_CLUSTERDOWN, "-CLUSTERDOWN its words\r\n");
    assert_heard("-STALE -1 no replica that shows what was asked for answered in time, the "
                 "command was not applied\r\n");
    command("set", "b");
    answer(1, STATUS_CLUSTERDOWN, "-CLUSTERDOWN its words\r\n");
    assert_heard("-CLUSTERDOWN its words\r\n");
    world->client.wants = (struct wants){ 0 };
    world->replica.may_ask = false;
    command("get", "c");
    answer(2, STATUS_CLUSTERDOWN, "-CLUSTERDOWN its words\r\n");
    assert_heard("-CLUSTERDOWN its words\r\n");
}

static void test_nor_in_milliseconds(void **state)
{
    (void)state;
    begin_as_follower();
    command("pttl", "a");
    assert_sent("1:a ", 0);
}

/* Patience begins when it asks, however long it has waited for somebody to ask. */
static void test_it_is_late_by_the_time_since_it_asked(void **state)
{
    (void)state;
    begin_as_follower();
    world->replica.leader = NODE_NONE;
    world->replica.may_ask = false;
    command("get", "a");
    turn_later(200 * QR_MILLISECOND);
    world->replica.leader = 1;
    world->replica.may_ask = true;
    turn_later(0);
    assert_sent("", 1);
    world->node.housekeeping = 0;
    turn_later((INDEX_PATIENCE_PROVEN_MS - 1) * QR_MILLISECOND);
    assert_sent("", 1);
    world->node.housekeeping = 0;
    turn_later(QR_MILLISECOND);
    turn_later(0);
    assert_sent("1:a ", 0);
}

static void test_it_counts_for_the_quota(void **state)
{
    (void)state;
    begin_as_follower();
    uint32_t spent = quotas_played.spent;
    command("get", "a");
    assert_int_equal(quotas_played.spent, spent + 1);
    read_at(READ_LOCAL, "b");
    assert_int_equal(quotas_played.spent, spent + 2);
}

/* As of a position: what is here now is another state. */
static void test_a_position_is_never_answered_at_once(void **state)
{
    (void)state;
    begin_as_follower();
    world->replica.small = true;
    world->client.wants = (struct wants){ .level = READ_SNAPSHOT, .least = 7 };
    command("get", "a");
    world->client.wants = (struct wants){ 0 };
    assert_int_equal(world->replica.at_once, 0);
}

/* A refusal tells how old the state is at any of the levels that may be. */
static void test_whoever_is_refused_as_stale_hears_how_stale(void **state)
{
    (void)state;
    begin_as_follower();
    world->replica.leader = NODE_NONE;
    world->replica.readable = false;
    world->replica.fresh_at = world->node.clock - 7 * QR_MILLISECOND + 1;
    world->client.wants = (struct wants){ .level = READ_LOCAL,
                                          .expires = world->node.clock + QR_MILLISECOND };
    command("get", "a");
    world->client.wants = (struct wants){ 0 };
    turn_later(QR_MILLISECOND);
    assert_heard("-STALE 8 no replica that shows what was asked for answered in time, the command "
                 "was not applied\r\n");
    assert_int_equal(world->node.stats.stale, 1);
}

/* Nobody has to be told by whom. */
static void test_whose_client_is_gone_asks_nobody(void **state)
{
    (void)state;
    begin_as_follower();
    world->replica.leader = NODE_NONE;
    world->replica.may_ask = false;
    command("get", "a");
    world->client.wants = (struct wants){ .level = READ_BOUNDED, .bound = 1 };
    command("get", "b");
    world->client.wants = (struct wants){ 0 };
    stream_detach(&world->client);
    world->replica.leader = 1;
    world->replica.may_ask = true;
    turn_later(0);
    assert_int_equal(world->replica.reads.count, 0);
    assert_int_equal(world->replica.unproven, 0);
}

#define ROUTER_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        ROUTER_TEST(test_it_asks_for_an_index_and_stays_here_G1),
        ROUTER_TEST(test_who_may_not_ask_sends_it_on),
        ROUTER_TEST(test_by_its_own_clock_it_tells_nobody_how_long_a_key_will_live),
        ROUTER_TEST(test_without_a_replica_it_is_the_leaders),
        ROUTER_TEST(test_behind_its_clients_write_it_takes_the_same_way_S1),
        ROUTER_TEST(test_a_write_behind_it_takes_it_along_in_front_S2),
        ROUTER_TEST(test_a_read_behind_it_that_leaves_takes_it_along_S2),
        ROUTER_TEST(test_what_is_no_read_and_no_write_leaves_it_where_it_is),
        ROUTER_TEST(test_where_its_reads_find_no_room_a_write_waits_S2),
        ROUTER_TEST(test_refused_it_goes_to_the_leader_and_asks_no_more),
        ROUTER_TEST(test_too_few_replicas_are_told_at_once_R3),
        ROUTER_TEST(test_late_it_goes_to_the_leader_and_so_do_the_next),
        ROUTER_TEST(test_the_leaders_answer_wakes_those_that_wait_here_for_it_S2),
        ROUTER_TEST(test_late_is_what_has_no_index_or_is_not_applied),
        ROUTER_TEST(test_at_who_leads_by_now_no_index_is_late),
        ROUTER_TEST(test_within_a_bound_it_waits_longer),
        ROUTER_TEST(test_a_bounded_read_behind_what_left_for_the_leader_goes_there_S1),
        ROUTER_TEST(test_at_the_leader_a_bounded_read_stays_behind_a_write),
        ROUTER_TEST(test_a_local_read_passes_what_has_left_for_the_leader_G4),
        ROUTER_TEST(test_who_knows_too_little_since_its_start_asks),
        ROUTER_TEST(test_of_a_session_the_leaders_word_is_this_nodes_to_say_U3),
        ROUTER_TEST(test_nor_in_milliseconds),
        ROUTER_TEST(test_it_is_late_by_the_time_since_it_asked),
        ROUTER_TEST(test_it_counts_for_the_quota),
        ROUTER_TEST(test_a_position_is_never_answered_at_once),
        ROUTER_TEST(test_whoever_is_refused_as_stale_hears_how_stale),
        ROUTER_TEST(test_whose_client_is_gone_asks_nobody),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
