/* The router and the streams, with the replica and the peers played by the test: commands keep
 * their order whoever leads (router.h T1 to T4, stream.h S3; decisions 012, 013). */
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

/* --- Tests ---------------------------------------------------------------------------------- */

static void test_a_leader_proposes_at_once_and_in_order(void **state)
{
    (void)state;
    world->replica.leads = true;
    world->replica.leader = 0;
    command("set", "a");
    command("set", "b");
    assert_string_equal(proposed(), "a b ");
}

static void test_scenario_9_replies_leave_in_stream_order_S3(void **state)
{
    (void)state;
    world->replica.leader = 1;
    command("get", "a");
    command("get", "b");
    answer(1, STATUS_OK, "$1\r\nB\r\n");
    assert_heard("");
    answer(0, STATUS_OK, "$1\r\nA\r\n");
    assert_heard("$1\r\nA\r\n$1\r\nB\r\n");
}

static void test_without_a_leader_commands_wait_and_then_go_in_order_T1(void **state)
{
    (void)state;
    command("set", "a");
    command("get", "b");
    world->replica.leader = 2;
    command("set", "c"); /* must not overtake those that wait */
    assert_string_equal(world->peers.forwarded, "");
    turn_later(0);
    assert_string_equal(world->peers.forwarded, "2:a 2:b 2:c ");
}

static void test_waiting_too_long_is_clusterdown_and_surely_not_applied(void **state)
{
    (void)state;
    command("set", "a");
    turn_later(1999 * QR_MILLISECOND);
    assert_heard("");
    turn_later(21 * QR_MILLISECOND);
    assert_heard("-CLUSTERDOWN no leader, the command was not applied\r\n");
    world->replica.leader = 1;
    turn_later(0);
    assert_string_equal(world->peers.forwarded, "");
}

static void test_a_refused_epoch_is_sent_again_whole_and_in_order_T2(void **state)
{
    (void)state;
    world->replica.leader = 1;
    command("set", "a");
    command("set", "b");
    answer(0, STATUS_NOT_LEADER, "");
    world->replica.leader = 2;
    turn_later(0);
    assert_string_equal(world->peers.forwarded, "1:a 1:b "); /* b is still with node 1 */
    answer_from(1, 1, STATUS_NOT_LEADER, "");
    command("set", "c");
    turn_later(0);
    assert_string_equal(world->peers.forwarded, "1:a 1:b 2:a 2:b 2:c ");
    assert_true(world->peers.epochs[2] > world->peers.epochs[0]);
}

static void test_a_refusal_by_the_same_leader_holds_the_rest_back_T2(void **state)
{
    (void)state;
    world->replica.leader = 1;
    command("set", "a");
    command("set", "b");
    answer(0, STATUS_NOT_LEADER, "");
    turn_later(0); /* "a" must not be sent behind "b" of the same epoch */
    assert_string_equal(world->peers.forwarded, "1:a 1:b ");
    answer(1, STATUS_NOT_LEADER, "");
    turn_later(0);
    assert_string_equal(world->peers.forwarded, "1:a 1:b 1:a 1:b ");
}

static void test_a_former_leader_that_is_silent_is_given_up_T4(void **state)
{
    (void)state;
    world->replica.leader = 1;
    command("set", "a");
    command("get", "b");
    world->replica.leader = 2;
    turn_later(0);
    turn_later(99 * QR_MILLISECOND);
    assert_heard("");
    turn_later(2 * QR_MILLISECOND);
    assert_heard("-UNCERTAIN the write was proposed and its fate is unknown\r\n");
    turn_later(0);
    assert_string_equal(world->peers.forwarded, "1:a 1:b 2:b "); /* the read only */
    answer_from(1, 0, STATUS_OK, "+OK\r\n");                     /* too late: nobody hears it */
    answer_from(2, 2, STATUS_OK, "$-1\r\n");
    assert_heard("$-1\r\n");
}

static void test_a_former_leader_that_goes_on_answering_is_waited_for(void **state)
{
    (void)state;
    world->replica.leader = 1;
    command("set", "a");
    command("set", "b");
    command("set", "c");
    world->replica.leader = 2;
    turn_later(0);
    turn_later(90 * QR_MILLISECOND);
    answer_from(1, 0, STATUS_OK, "+OK\r\n");
    turn_later(90 * QR_MILLISECOND);
    answer_from(1, 1, STATUS_OK, "+OK\r\n");
    turn_later(90 * QR_MILLISECOND);
    assert_heard("+OK\r\n+OK\r\n");
    turn_later(20 * QR_MILLISECOND);
    assert_heard("-UNCERTAIN the write was proposed and its fate is unknown\r\n");
}

static void test_a_lost_connection_gives_up_at_once_T4(void **state)
{
    (void)state;
    world->replica.leader = 1;
    command("set", "a");
    command("get", "b");
    router_peer_down(world->node.router, 1);
    assert_heard("-UNCERTAIN the write was proposed and its fate is unknown\r\n");
    assert_int_equal(router_forwarded(world->node.router), 0);
    assert_int_equal(router_waiting(world->node.router), 1);
}

static void test_an_order_is_carried_out_by_the_leader_and_never_twice_T4(void **state)
{
    (void)state;
    world->replica.leader = 1;
    command("failover", "abort");
    assert_string_equal(world->peers.forwarded, "1:abort ");
    turn_later(6 * QR_SECOND); /* it takes as long as it takes */
    assert_heard("");
    world->replica.leader = 2;
    turn_later(0);
    turn_later(QR_SECOND);
    assert_heard("-UNCERTAIN the write was proposed and its fate is unknown\r\n");
    turn_later(0);
    assert_string_equal(world->peers.forwarded, "1:abort ");
    world->replica.leader = 0;
    world->replica.leads = true;
    command("failover", "abort");
    assert_int_equal(world->replica.orders, 1);
    assert_int_equal(world->node.youngest->state, PENDING_ORDERED);
    turn_later(60 * QR_SECOND);
    assert_heard("");
}

static void test_an_order_is_not_sent_to_a_leader_that_does_not_know_orders(void **state)
{
    (void)state;
    world->replica.leader = 1;
    world->peers.version = 2; /* it would take the connection for broken */
    command("failover", "abort");
    assert_heard("-ERR the leader runs a version that does not know this command\r\n");
    assert_string_equal(world->peers.forwarded, "");
}

static void test_own_leadership_waits_for_what_was_forwarded_T2(void **state)
{
    (void)state;
    world->replica.leader = 1;
    command("set", "a");
    world->replica.leader = 0;
    world->replica.leads = true;
    turn_later(0);
    command("set", "b");
    turn_later(0);
    assert_int_equal(world->replica.write_count, 0);
    answer_from(1, 0, STATUS_OK, "+OK\r\n");
    turn_later(0);
    assert_string_equal(proposed(), "b ");
}

static void test_without_room_commands_wait(void **state)
{
    (void)state;
    world->replica.leads = true;
    world->replica.leader = 0;
    world->replica.room = 1;
    command("set", "a");
    command("set", "b");
    command("set", "c");
    assert_string_equal(proposed(), "a ");
    world->replica.room = 5;
    turn_later(0);
    assert_string_equal(proposed(), "a b c ");
}

static void test_short_of_space_only_growing_commands_are_refused(void **state)
{
    (void)state;
    world->replica.leads = true;
    world->replica.leader = 0;
    world->node.space = LOG_SPACE_LOW;
    command("set", "a");
    assert_heard("-NOSPACE a quorum member is short of disk space, the command was not "
                 "applied\r\n");
    command("del", "a");
    assert_int_equal(world->replica.write_count, 1);
}

static void test_without_any_space_all_writes_are_refused(void **state)
{
    (void)state;
    world->replica.leads = true;
    world->replica.leader = 0;
    world->node.space = LOG_SPACE_NONE;
    command("del", "a");
    assert_heard("-NOSPACE a quorum member is short of disk space, the command was not "
                 "applied\r\n");
    assert_int_equal(world->replica.write_count, 0);
}

/* --- As the leader for another node --------------------------------------------------------- */

static bool relay_op(uint64_t id, uint32_t epoch, struct span op)
{
    struct forward forward = {
        .id = id, .epoch = epoch, .version = 2, .sender = 1, .after_reads = true
    };
    return router_relayed(world->node.router, 2, 0, &forward, op);
}

static void relay(uint64_t id, uint32_t epoch, const char *key)
{
    uint8_t bytes[128];
    struct span argv[2] = { span_of(key, strlen(key)), SPAN_LITERAL("v") };
    struct span name = SPAN_LITERAL("set");
    const struct command_spec *spec = command_by_name(name);
    struct op head = { .level = SEMANTICS_LEVEL, .tag = spec->tag };
    op_write(bytes, &head, argv, 2);
    assert_true(relay_op(id, epoch, span_of(bytes, op_bytes(argv, 2))));
}

static void test_scenario_1_one_hop_only_T3(void **state)
{
    (void)state;
    world->replica.leader = 1;
    relay(7, 1, "a");
    assert_string_equal(world->peers.replies, "7:1 "); /* NOT_LEADER */
    assert_string_equal(world->peers.forwarded, "");
}

static void test_after_a_refusal_the_rest_of_the_epoch_is_refused_T2(void **state)
{
    (void)state;
    relay(1, 4, "a");
    world->replica.leads = true; /* just now: the second must not slip past the first */
    world->replica.leader = 0;
    relay(2, 4, "b");
    assert_string_equal(world->peers.replies, "1:1 2:1 ");
    relay(3, 5, "a");
    assert_string_equal(proposed(), "a ");
}

/* Else nobody would find what is acknowledged: all others look for it in the other keyspace. */
static void test_a_key_of_a_prefix_that_its_node_does_not_know_is_refused_K1(void **state)
{
    (void)state;
    world->replica.leads = true;
    world->replica.leader = 0;
    learn_prefix("c");
    relay(1, 1, "c");
    assert_int_equal(world->node.pending_count, 0);
    relay(2, 1, "d");
    assert_string_equal(proposed(), "d ");
    assert_string_equal(world->peers.replies, "1:42 "); /* ASTRAY */
    uint8_t bytes[128];
    struct span keys[2] = { SPAN_LITERAL("d"), SPAN_LITERAL("c") }; /* any of them */
    struct op head = { .level = SEMANTICS_LEVEL, .tag = command_by_name(SPAN_LITERAL("del"))->tag };
    op_write(bytes, &head, keys, 2);
    assert_true(relay_op(3, 1, span_of(bytes, op_bytes(keys, 2))));
    assert_string_equal(world->peers.replies, "1:42 3:42 ");
    assert_string_equal(proposed(), "d ");
}

/* It came by a map that did not have the prefix yet, and found no leader until it had. */
static void test_what_waited_while_a_prefix_came_is_refused_K6(void **state)
{
    (void)state;
    command("set", "c");
    command("set", "d");
    learn_prefix("c");
    world->replica.leads = true;
    world->replica.leader = 0;
    turn_later(1);
    assert_string_equal(proposed(), "d ");
}

/* The change is in the log already: what is behind it there would be found by nobody. */
static void test_a_leader_that_changes_a_prefix_takes_none_of_its_keys_K6(void **state)
{
    (void)state;
    struct contact *c = &world->node.contact;
    command("set", "c");
    assert_true(freeze_add(&c->coverage.freeze, span_of("c", 1)));
    world->replica.leads = true;
    world->replica.leader = 0;
    relay(1, 1, "c");
    turn_later(1); /* those two are in the log before it */
    c->guards = true;
    relay(2, 1, "c");
    relay(3, 1, "d");
    assert_string_equal(proposed(), "c c d ");
    assert_string_equal(world->peers.replies, "2:42 "); /* ASTRAY */
}

/* Until an entry of its own term is applied it may not know of a prefix that was answered. */
static void test_a_new_leader_of_group_0_carries_out_nothing_yet_K6(void **state)
{
    (void)state;
    world->replica.leads = true;
    world->replica.leader = 0;
    world->replica.outlook.term = 5;
    world->replica.applied_term = 4;
    command("set", "a");
    relay(1, 1, "b");
    turn_later(1);
    assert_string_equal(proposed(), "");
    assert_string_equal(world->peers.replies, "");
    world->replica.applied_term = 5;
    turn_later(1);
    assert_string_equal(proposed(), "a b ");
}

static void test_a_malformed_operation_is_noticed(void **state)
{
    (void)state;
    assert_false(relay_op(1, 1, SPAN_LITERAL("nonsense")));
    assert_int_equal(world->node.pending_count, 0);
}

/* References where there are none: it must not stay behind in no queue at all. */
static void test_a_read_with_references_is_noticed(void **state)
{
    (void)state;
    uint8_t bytes[128];
    struct span argv[1] = { { .n = 2 * LARGE_BYTES } };
    const struct command_spec *spec = command_by_name(SPAN_LITERAL("get"));
    struct op head = { .level = SEMANTICS_LEVEL, .tag = spec->tag };
    world->replica.leads = true;
    world->replica.leader = 0;
    op_write(bytes, &head, argv, 1);
    assert_false(relay_op(1, 1, span_of(bytes, op_bytes(argv, 1))));
    assert_int_equal(world->node.pending_count, 0);
}

/* --- Large arguments (router_cargo.c) ------------------------------------------------------- */

/* SET a <n bytes, which are there>. */
static void large(size_t n)
{
    static const uint8_t bytes[64 * KIB];
    struct span argv[3] = { SPAN_LITERAL("set"), SPAN_LITERAL("a"), { .n = n } };
    struct cargo *cargo = cargo_new();
    (void)cargo_add(cargo, n);
    for (size_t at = 0; at < n; at += sizeof bytes) {
        assert_true(cargo_fill(cargo, span_of(bytes, (size_t)min_u64(n - at, sizeof bytes))));
    }
    assert_true(cargo_is_whole(cargo));
    router_command_laden(world->node.router, &world->zero, &world->client, command_by_name(argv[0]),
                         2, 0, argv, 3, false, cargo);
}

static void turns(int n)
{
    while (n-- > 0) {
        turn_later(0);
    }
}

static void test_pieces_wait_for_credit_R4(void **state)
{
    (void)state;
    world->replica.leader = 1;
    large(6 * MIB);
    turns(5);
    uint64_t first = world->peers.piece_bytes;
    uint64_t id = world->peers.ids[0];
    assert_in_range(first, CARGO_WINDOW_BYTES - PIECE_BYTES + 1, CARGO_WINDOW_BYTES);
    router_credit(world->node.router, 2, id, MIB);       /* of another node */
    router_credit(world->node.router, 1, id + 1, MIB);   /* for another command */
    router_credit(world->node.router, 1, id, first + 1); /* for more than it got */
    turns(5);
    assert_int_equal(world->peers.piece_bytes, first);
    router_credit(world->node.router, 1, id, MIB);
    router_credit(world->node.router, 1, id, 1); /* it does not shrink */
    turns(5);
    assert_in_range(world->peers.piece_bytes, CARGO_WINDOW_BYTES + MIB - PIECE_BYTES + 1,
                    CARGO_WINDOW_BYTES + MIB);
    router_credit(world->node.router, 1, id, 3 * MIB);
    turns(5);
    assert_int_equal(world->peers.piece_bytes, 6 * MIB);
    answer(0, STATUS_OK, "+OK\r\n");
    assert_heard("+OK\r\n");
    assert_int_equal(world->node.pending_bytes, 0);
}

static void test_the_next_leader_gets_all_pieces_T2(void **state)
{
    (void)state;
    world->replica.leader = 1;
    large(MIB);
    turns(2);
    assert_int_equal(world->peers.piece_bytes, MIB);
    answer(0, STATUS_NOT_LEADER, "");
    world->replica.leader = 2;
    world->peers.piece_bytes = 0;
    turns(3);
    assert_string_equal(world->peers.forwarded, "1:a 2:a ");
    assert_int_equal(world->peers.piece_bytes, MIB);
    answer_from(2, 1, STATUS_OK, "+OK\r\n");
    assert_heard("+OK\r\n");
}

/* The leader has not had all of it, so it cannot have been proposed. */
static void test_pieces_that_get_no_credit_are_surely_not_applied_T4(void **state)
{
    (void)state;
    world->replica.leader = 1;
    large(6 * MIB);
    turns(5);
    turn_later(60 * QR_SECOND);
    assert_heard("-TRYAGAIN not applied, its large arguments did not get through in time\r\n");
}

#define UPGRADE                                                                             \
    "-UPGRADE a member runs a version that knows no arguments beyond 256 KiB: upgrade all " \
    "nodes first, the command was not applied\r\n"

static void test_members_of_an_older_version_get_no_large_arguments(void **state)
{
    (void)state;
    world->peers.version = 2;
    world->replica.leader = 1;
    large(MIB);
    assert_heard(UPGRADE);
    world->replica.leader = 0;
    world->replica.leads = true;
    large(MIB);
    assert_heard(UPGRADE);
    assert_null(world->replica.load);
    assert_string_equal(world->peers.forwarded, "");
    world->peers.version = 3;
    large(MIB);
    assert_non_null(world->replica.load);
}

/* As the leader: a peer's SET a <n bytes> with its reference numbered so. */
static bool relay_large(uint64_t id, size_t n, uint64_t number)
{
    uint8_t bytes[128];
    struct span argv[2] = { SPAN_LITERAL("a"), { .n = n } };
    struct op head = { .level = SEMANTICS_LEVEL, .tag = command_by_name(SPAN_LITERAL("set"))->tag };
    op_write(bytes, &head, argv, 2);
    op_number_refs(bytes, op_bytes(argv, 2), number);
    return relay_op(id, 1, span_of(bytes, op_bytes(argv, 2)));
}

static void lead(void)
{
    world->replica.leads = true;
    world->replica.leader = 0;
}

static bool piece(uint64_t id, struct span bytes)
{
    return router_piece(world->node.router, 2, 0, id, bytes);
}

/* It is proposed when all of them are in the log: by then the change may be ahead of it there. */
static void test_what_waits_for_its_pieces_is_refused_when_its_prefix_changes_K6(void **state)
{
    (void)state;
    struct contact *c = &world->node.contact;
    lead();
    large(MIB);
    assert_non_null(world->replica.load);
    assert_true(freeze_add(&c->coverage.freeze, span_of("b", 1)));
    c->guards = true;
    router_guard(world->node.router);
    assert_int_equal(world->node.pending_count, 1);
    assert_true(freeze_add(&c->coverage.freeze, span_of("a", 1)));
    router_guard(world->node.router);
    assert_heard("-TRYAGAIN the node does not know this key's keyspace yet, the command was not "
                 "applied\r\n");
    assert_int_equal(world->node.pending_count, 0);
}

static void test_pieces_that_make_no_sense_are_noticed(void **state)
{
    (void)state;
    static const uint8_t bytes[PIECE_BYTES];
    struct span whole = span_of(bytes, sizeof bytes);
    lead();
    assert_true(relay_large(1, MIB, 0));
    assert_true(piece(9, whole)); /* of a command that was refused, as far as we know */
    for (int i = 0; i < 3; i++) {
        assert_true(piece(1, whole));
    }
    assert_true(piece(1, span_of(bytes, PIECE_BYTES - 1)));
    assert_false(piece(1, span_of(bytes, 2))); /* more than was announced */
    assert_int_equal(world->zero.track.relays[2]->loads->cargo->come, MIB - 1);
    assert_true(piece(1, span_of(bytes, 1)));
    assert_false(piece(1, span_of(bytes, 1)));
    assert_false(relay_large(2, MIB, 1)); /* numbers begin at 0 */
}

static void test_pieces_without_credit_are_noticed_R4(void **state)
{
    (void)state;
    static const uint8_t bytes[PIECE_BYTES];
    lead();
    assert_true(relay_large(1, 8 * MIB, 0));
    for (size_t n = 0; n < CARGO_WINDOW_BYTES; n += sizeof bytes) {
        assert_true(piece(1, span_of(bytes, sizeof bytes)));
    }
    assert_false(piece(1, span_of(bytes, 1)));
}

static void test_scenario_50_a_client_that_leaves_leaves_nothing_behind(void **state)
{
    (void)state;
    command("set", "a");
    command("get", "b");
    stream_detach(&world->client);
    world->replica.leader = 1;
    turn_later(0);
    answer(0, STATUS_OK, "+OK\r\n");
    answer(1, STATUS_OK, "$-1\r\n");
    assert_heard("");
    assert_int_equal(world->node.pending_count, 0);
    assert_int_equal(world->node.pending_bytes, 0);
}

#define ROUTER_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        ROUTER_TEST(test_a_leader_proposes_at_once_and_in_order),
        ROUTER_TEST(test_scenario_9_replies_leave_in_stream_order_S3),
        ROUTER_TEST(test_without_a_leader_commands_wait_and_then_go_in_order_T1),
        ROUTER_TEST(test_waiting_too_long_is_clusterdown_and_surely_not_applied),
        ROUTER_TEST(test_a_refused_epoch_is_sent_again_whole_and_in_order_T2),
        ROUTER_TEST(test_a_refusal_by_the_same_leader_holds_the_rest_back_T2),
        ROUTER_TEST(test_a_former_leader_that_is_silent_is_given_up_T4),
        ROUTER_TEST(test_a_former_leader_that_goes_on_answering_is_waited_for),
        ROUTER_TEST(test_a_lost_connection_gives_up_at_once_T4),
        ROUTER_TEST(test_an_order_is_carried_out_by_the_leader_and_never_twice_T4),
        ROUTER_TEST(test_an_order_is_not_sent_to_a_leader_that_does_not_know_orders),
        ROUTER_TEST(test_own_leadership_waits_for_what_was_forwarded_T2),
        ROUTER_TEST(test_without_room_commands_wait),
        ROUTER_TEST(test_short_of_space_only_growing_commands_are_refused),
        ROUTER_TEST(test_without_any_space_all_writes_are_refused),
        ROUTER_TEST(test_scenario_1_one_hop_only_T3),
        ROUTER_TEST(test_after_a_refusal_the_rest_of_the_epoch_is_refused_T2),
        ROUTER_TEST(test_a_key_of_a_prefix_that_its_node_does_not_know_is_refused_K1),
        ROUTER_TEST(test_what_waited_while_a_prefix_came_is_refused_K6),
        ROUTER_TEST(test_a_leader_that_changes_a_prefix_takes_none_of_its_keys_K6),
        ROUTER_TEST(test_a_new_leader_of_group_0_carries_out_nothing_yet_K6),
        ROUTER_TEST(test_a_malformed_operation_is_noticed),
        ROUTER_TEST(test_a_read_with_references_is_noticed),
        ROUTER_TEST(test_pieces_wait_for_credit_R4),
        ROUTER_TEST(test_the_next_leader_gets_all_pieces_T2),
        ROUTER_TEST(test_pieces_that_get_no_credit_are_surely_not_applied_T4),
        ROUTER_TEST(test_members_of_an_older_version_get_no_large_arguments),
        ROUTER_TEST(test_what_waits_for_its_pieces_is_refused_when_its_prefix_changes_K6),
        ROUTER_TEST(test_pieces_that_make_no_sense_are_noticed),
        ROUTER_TEST(test_pieces_without_credit_are_noticed_R4),
        ROUTER_TEST(test_scenario_50_a_client_that_leaves_leaves_nothing_behind),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
