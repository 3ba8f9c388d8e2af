/* The router over many partitions: tracks that know nothing of each other (router.h T1 to T5),
 * strands (stream.h S1 to S3), relays that come and go, and hints of who leads. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/limits.h"
#include "cluster/map.h"
#include "node/leaders.h"
#include "node/replica.h"
#include "router_world.h"

#define UNCERTAIN "-UNCERTAIN the write was proposed and its fate is unknown\r\n"

static void to(uint32_t nth, const char *name, const char *key)
{
    struct span argv[3] = { span_of(name, strlen(name)), span_of(key, strlen(key)),
                            SPAN_LITERAL("v") };
    uint32_t argc = strcmp(name, "set") == 0 ? 3 : 2;
    const struct command_spec *container;
    router_command(world->node.router, &world->more[nth], &world->client,
                   command_find(argv, argc, &container), 2, 0, argv, argc, false);
}

static void led_by(uint32_t nth, node_index leader)
{
    world->replicas[nth].leader = leader;
    world->replicas[nth].leads = leader == 0;
}

/* As a leader: node 2 forwards SET <key>. */
static void relay(uint32_t group, uint64_t id, uint32_t epoch, const char *key)
{
    uint8_t bytes[128];
    struct span argv[2] = { span_of(key, strlen(key)), SPAN_LITERAL("v") };
    struct op head = { .level = SEMANTICS_LEVEL, .tag = command_by_name(SPAN_LITERAL("set"))->tag };
    struct forward forward = { .id = id, .epoch = epoch, .version = 2, .sender = 1 };
    op_write(bytes, &head, argv, 2);
    assert_true(
        router_relayed(world->node.router, 2, group, &forward, span_of(bytes, op_bytes(argv, 2))));
}

/* --- Tracks --------------------------------------------------------------------------------- */

static void test_a_partition_without_a_leader_holds_up_no_other_T5(void **state)
{
    (void)state;
    led_by(1, 1);
    to(0, "set", "a");
    to(1, "set", "b");
    assert_string_equal(world->peers.forwarded, "1:b ");
    answer_from(1, 0, STATUS_OK, "+OK\r\n");
    assert_heard(""); /* S3: behind the one that waits */
    turn_later(2 * QR_SECOND);
    assert_heard("-CLUSTERDOWN no leader, the command was not applied\r\n+OK\r\n");
}

static void test_one_track_drains_and_the_others_go_on_T2(void **state)
{
    (void)state;
    led_by(0, 1);
    led_by(1, 1);
    to(0, "set", "a");
    to(0, "set", "b");
    answer_from(1, 0, STATUS_NOT_LEADER, "");
    to(0, "set", "c");
    to(1, "set", "x");
    turn_later(0);
    assert_string_equal(world->peers.forwarded, "1:a 1:b 1:x ");
    led_by(0, 2);
    answer_from(1, 1, STATUS_NOT_LEADER, "");
    turn_later(0);
    assert_string_equal(world->peers.forwarded, "1:a 1:b 1:x 2:a 2:b 2:c ");
}

/* So a node that has forgotten which epoch of one track it refused may go by those of others. */
static void test_epochs_are_later_than_those_of_all_tracks_T2(void **state)
{
    (void)state;
    uint32_t latest = 0;
    for (uint32_t i = 0; i < 6; i++) {
        uint32_t nth = i % 2;
        led_by(nth, 1);
        to(nth, "set", "a");
        uint32_t at = world->peers.count - 1;
        answer_from(1, at, STATUS_NOT_LEADER, "");
        turn_later(0); /* again, in the next epoch */
        assert_true(world->peers.epochs[at + 1] > latest);
        latest = world->peers.epochs[at + 1];
        answer_from(1, at + 1, STATUS_OK, "+OK\r\n");
    }
}

static void test_a_lost_peer_is_given_up_in_all_tracks_at_once_T4(void **state)
{
    (void)state;
    led_by(0, 1);
    led_by(1, 1);
    led_by(2, 2);
    to(0, "set", "a");
    to(1, "get", "b");
    to(2, "set", "c");
    router_peer_down(world->node.router, 1);
    assert_heard(UNCERTAIN);
    led_by(1, 2);
    turn_later(0);
    assert_string_equal(world->peers.forwarded, "1:a 1:b 2:c 2:b "); /* the read alone */
    answer_from(2, 3, STATUS_OK, "$-1\r\n");
    answer_from(2, 2, STATUS_OK, "+OK\r\n");
    assert_heard("$-1\r\n+OK\r\n");
    assert_int_equal(router_forwarded(world->node.router), 0);
}

static void test_a_partition_that_does_not_answer_keeps_a_bounded_share_T5_R4(void **state)
{
    (void)state;
    led_by(0, 1);
    led_by(1, 1);
    for (uint32_t i = 0; i <= TRACK_PENDING_MAX; i++) {
        to(0, "set", "a");
    }
    uint32_t count = world->peers.count;
    turn_later(TRACK_STUCK_TIME_MS * QR_MILLISECOND - 1);
    to(0, "set", "a"); /* it may be a moment only */
    assert_int_equal(world->peers.count, ++count);
    turn_later(1);
    to(0, "set", "a");
    assert_int_equal(world->peers.count, count);
    assert_int_equal(world->client.last->state, PENDING_ANSWERED);
    assert_memory_equal(world->client.last->reply.p, "-THROTTLED the partition", 24);
    to(1, "set", "b");
    assert_int_equal(world->peers.count, count + 1);
    router_peer_down(world->node.router, 1);
    reply_reset(&world->out);
}

static void test_a_leader_that_cannot_commit_takes_a_bounded_share_T5_R4(void **state)
{
    (void)state;
    led_by(0, 0);
    world->node.pending_count += NODE_PENDING_MAX; /* the node is full of others' */
    for (uint32_t i = 0; i < 40; i++) {
        to(0, "set", "a");
    }
    turn_later(TRACK_STUCK_TIME_MS * QR_MILLISECOND);
    world->more[0].track.pending += TRACK_PENDING_MIN;
    to(0, "set", "a");
    assert_int_equal(world->replicas[0].write_count, 40);
    world->more[0].track.pending -= TRACK_PENDING_MIN;
    to(0, "set", "a");
    assert_int_equal(world->replicas[0].write_count, 41);
    world->node.pending_count -= NODE_PENDING_MAX;
}

static void test_each_partition_has_its_own_replica(void **state)
{
    (void)state;
    struct span argv[3] = { SPAN_LITERAL("wait"), SPAN_LITERAL("1"), SPAN_LITERAL("100") };
    const struct command_spec *wait = command_by_name(argv[0]);
    led_by(1, 0);
    to(1, "set", "a");
    to(1, "get", "b");
    router_command(world->node.router, &world->more[1], &world->client, wait, 2, 0, argv, 3, false);
    assert_int_equal(world->replicas[1].write_count, 1);
    assert_int_equal(world->replicas[1].reads.count, 1);
    assert_int_equal(world->replicas[1].waits, 1);
}

/* --- Partitions that go --------------------------------------------------------------------- */

static void test_what_a_dropped_partition_had_is_answered(void **state)
{
    (void)state;
    led_by(1, 1);
    to(0, "set", "a"); /* waits */
    to(1, "set", "b"); /* is on its way */
    to(1, "get", "c");
    router_partition_gone(world->node.router, &world->more[0]);
    router_partition_gone(world->node.router, &world->more[1]);
    assert_heard("-NOKEYSPACE the keyspace was dropped, the command was not applied\r\n" UNCERTAIN
                 "-NOKEYSPACE the keyspace was dropped, the command was not applied\r\n");
    assert_int_equal(world->node.pending_count, 0);
    answer_from(1, 0, STATUS_OK, "+OK\r\n"); /* too late */
    assert_heard("");
}

static void test_what_a_replica_had_that_goes_is_asked_elsewhere(void **state)
{
    (void)state;
    led_by(0, 0);
    to(0, "set", "a");
    to(0, "get", "b");
    led_by(0, 1);
    struct pending *read = pendings_pop(&world->replicas[0].reads);
    assert_non_null(read);
    router_replica_gone(world->node.router, &world->more[0]);
    world->more[0].replica = NULL;
    world->more[0].hint = (struct leader_hint){ .term = 3, .leader = 1 };
    assert_heard(UNCERTAIN); /* it may be applied yet */
    turn_later(0);
    assert_string_equal(world->peers.forwarded, "1:b ");
}

/* A node is drained under load: what its clients have asked the leader for is answered by that. */
static void test_what_a_leader_was_asked_for_does_not_go_with_the_own_replica(void **state)
{
    (void)state;
    led_by(0, 1);
    to(0, "set", "a");
    to(0, "get", "b");
    router_replica_gone(world->node.router, &world->more[0]);
    world->more[0].replica = NULL;
    assert_heard("");
    answer_from(1, 0, STATUS_OK, "+OK\r\n");
    answer_from(1, 1, STATUS_OK, "$1\r\nv\r\n");
    assert_heard("+OK\r\n$1\r\nv\r\n");
    assert_string_equal(world->peers.forwarded, "1:a 1:b ");
}

/* --- Strands -------------------------------------------------------------------------------- */

static void test_strands_are_kept_while_needed_and_what_has_written_is_known(void **state)
{
    (void)state;
    struct strands strands = { 0 };
    for (uint32_t group = 2; group < 2 + 3 * STRANDS_KEPT; group++) {
        struct strand *s = strand_of(&strands, group);
        s->open = group % 3 == 0 ? 1 : 0;
    }
    assert_false(strands.forgot);
    for (uint32_t group = 3; group < 2 + 3 * STRANDS_KEPT; group += 3) {
        assert_int_equal(strand_of(&strands, group)->open, 1); /* none of those had to go */
    }
    assert_true(strands.count <= 2 * STRANDS_KEPT);
    strands_free(&strands);

    uint32_t groups[4];
    struct strands few = { 0 };
    strand_of(&few, 0)->wrote = true;
    strand_of(&few, 7)->wrote = true;
    (void)strand_of(&few, 8);
    assert_int_equal(strands_written(&few, groups, 4), 2);
    assert_int_equal(groups[0], 0);
    assert_int_equal(groups[1], 7);
    for (uint32_t group = 100; group < 100 + STRANDS_KEPT; group++) {
        strand_of(&few, group)->wrote = true;
    }
    assert_true(few.forgot); /* WAIT has to ask more than it remembers */
    strands_free(&few);
}

/* --- For other nodes ------------------------------------------------------------------------ */

static void test_a_relay_is_given_back_and_what_it_refused_stays_refused_T2(void **state)
{
    (void)state;
    relay(GROUP_FIRST, 1, 4, "a"); /* not its leader */
    assert_non_null(world->more[0].track.relays[2]);
    turn_later(3 * QR_SECOND);
    assert_null(world->more[0].track.relays[2]);
    led_by(0, 0);
    relay(GROUP_FIRST, 2, 4, "b"); /* would slip past "a" */
    assert_int_equal(world->replicas[0].write_count, 0);
    relay(GROUP_FIRST, 3, 5, "a");
    assert_int_equal(world->replicas[0].write_count, 1);
    assert_string_equal(world->peers.replies, "1:1 2:1 ");
}

static void test_who_asks_the_wrong_one_is_told_who_leads_once_an_epoch(void **state)
{
    (void)state;
    world->now += QR_SECOND;
    led_by(0, 1);
    world->replicas[0].outlook.term = 4;
    relay(GROUP_FIRST, 40, 1, "a");
    relay(GROUP_FIRST, 41, 1, "b");
    assert_int_equal(world->peers.told, 1);
    relay(GROUP_FIRST, 42, 2, "c");
    assert_int_equal(world->peers.told, 2);
}

static void test_an_unknown_group_is_refused_with_all_of_its_epoch_T2(void **state)
{
    (void)state;
    relay(99, 1, 4, "a");
    assert_string_equal(world->peers.replies, "1:1 ");
    led_by(0, 0);
    relay(GROUP_FIRST, 2, 4, "b"); /* as if it had been made meanwhile */
    assert_string_equal(world->peers.replies, "1:1 2:1 ");
    relay(GROUP_FIRST, 3, 5, "b");
    assert_int_equal(world->replicas[0].write_count, 1);
}

static void test_a_relay_is_of_one_partition_and_one_peer(void **state)
{
    (void)state;
    led_by(0, 0);
    led_by(1, 0);
    relay(GROUP_FIRST, 1, 1, "a");
    relay(GROUP_FIRST + 1, 2, 1, "b");
    assert_ptr_not_equal(world->more[0].track.relays[2], world->more[1].track.relays[2]);
    assert_int_equal(world->more[0].track.relays[2]->stream.strands.first.group, GROUP_FIRST);
    router_peer_down(world->node.router, 2); /* nobody waits for them any more */
    assert_null(world->more[0].track.relays[2]);
    assert_null(world->replicas[0].writes[0]->stream);
}

/* --- Who leads ------------------------------------------------------------------------------ */

static void hint(qr_term term, node_index leader)
{
    uint8_t bytes[13];
    struct wire_writer w = wire_writer(bytes, sizeof bytes);
    wire_put_u32(&w, GROUP_FIRST);
    wire_put_u64(&w, term);
    wire_put_u8(&w, (uint8_t)leader);
    assert_true(leaders_receive(&world->node, leader, span_of(bytes, w.n)));
}

static void test_without_a_replica_hints_are_followed_by_term(void **state)
{
    (void)state;
    world->more[0].replica = NULL;
    hint(4, 3);
    hint(3, 1); /* late */
    to(0, "set", "a");
    assert_string_equal(world->peers.forwarded, "3:a ");
    answer_from(3, 0, STATUS_NOT_LEADER, "");
    turn_later(0);
    assert_string_equal(world->peers.forwarded, "3:a "); /* not at once again */
    hint(5, 1);
    turn_later(0);
    assert_string_equal(world->peers.forwarded, "3:a 1:a ");
}

static void test_a_hint_is_worth_less_than_a_later_term_of_the_own_replica(void **state)
{
    (void)state;
    hint(4, 3);
    assert_int_equal(leaders_of(&world->more[0]), 3);
    world->replicas[0].outlook.term = 5;
    assert_int_equal(leaders_of(&world->more[0]), NODE_NONE);
    led_by(0, 1);
    assert_int_equal(leaders_of(&world->more[0]), 1);
}

static void test_without_any_hint_those_who_hold_it_are_asked_in_turn(void **state)
{
    (void)state;
    world->more[0].replica = NULL;
    assert_int_equal(leaders_of(&world->more[0]), NODE_NONE);
    to(0, "set", "a"); /* the one that is to lead, then the others */
    for (uint32_t i = 0; i < 3; i++) {
        answer_from((node_index[]){ 2, 3, 1 }[i], i, STATUS_NOT_LEADER, "");
        turn_later(21 * QR_MILLISECOND);
    }
    assert_string_equal(world->peers.forwarded, "2:a 3:a 1:a 2:a ");
}

static void test_what_is_heard_before_a_partition_is_there_is_kept(void **state)
{
    (void)state;
    uint8_t bytes[13];
    struct wire_writer w = wire_writer(bytes, sizeof bytes);
    wire_put_u32(&w, 77);
    wire_put_u64(&w, 9);
    wire_put_u8(&w, 3);
    assert_true(leaders_receive(&world->node, 3, span_of(bytes, w.n)));
    struct partition late = { .node = &world->node, .group = 77 };
    leaders_adopt(&late);
    assert_int_equal(leaders_of(&late), 3);
    assert_false(leaders_receive(&world->node, 3, span_of(bytes, w.n - 1)));
    leaders_free(&world->node);
}

/* --- Prefixes that change ------------------------------------------------------------------- */

static void by_prefix(uint32_t nth, const char *name, const char *key)
{
    world->client.by_prefix = true;
    to(nth, name, key);
    world->client.by_prefix = false;
}

static void test_what_went_by_a_prefix_that_changes_is_settled_or_given_up_K6(void **state)
{
    (void)state;
    struct freeze *f = &world->node.contact.coverage.frozen;
    learn_prefix("p:");
    assert_true(freeze_add(f, span_of("p:", 2)));
    led_by(0, 1);
    by_prefix(0, "set", "p:1"); /* at the leader */
    by_prefix(1, "set", "p:2"); /* waits for one */
    to(0, "set", "other");      /* of who has selected the keyspace */
    uint64_t until = world->node.next_sequence;
    assert_true(router_has_routed(world->node.router, until));
    assert_false(router_has_routed(world->node.router, until - 3));
    router_give_up_routed(world->node.router);
    assert_heard(UNCERTAIN "-TRYAGAIN the node does not know this key's keyspace yet, the command "
                           "was not applied\r\n");
    assert_false(router_has_routed(world->node.router, until));
    assert_int_equal(world->node.pending_count, 1);
    by_prefix(0, "set", "p:3");
    assert_false(router_has_routed(world->node.router, until)); /* later ones are not waited for */
    *f = (struct freeze){ 0 };
    assert_true(freeze_add(f, span_of("q:", 2)));
    router_give_up_routed(world->node.router);
    answer_from(1, 1, STATUS_OK, "+OK\r\n");
    answer_from(1, 2, STATUS_OK, "+OK\r\n");
    assert_heard("+OK\r\n+OK\r\n");
}

static enum qr_status own_status;

static struct reply *own_reply(struct stream *stream, struct pending *p)
{
    (void)stream;
    (void)p;
    reply_reset(&world->out);
    return &world->out;
}

static void own_ended(struct stream *stream, struct pending *p, enum qr_status status)
{
    (void)stream;
    (void)p;
    own_status = status;
}

/* A change of the control state that the protocol has no room for, whatever it had told: it is no
 * command that could wait in a queue. */
static void test_the_nodes_own_change_that_finds_no_room_goes_back_T3(void **state)
{
    (void)state;
    struct relay own = { .peer = NODE_NONE };
    struct pendings refused = { 0 };
    stream_init(&own.stream, &world->node, STREAM_PEER);
    own.stream.begin_reply = own_reply;
    own.stream.end_reply = own_ended;
    world->replica.leads = true;
    struct pending *p = stream_push(&own.stream, NULL, 2, world->now);
    pending_join(p, &world->zero);
    pendings_push(&refused, p);
    router_retry(world->node.router, &refused, STATUS_OVERLOADED);
    assert_int_equal(own_status, STATUS_NOT_LEADER);
    assert_int_equal(world->node.pending_count, 0);
    assert_int_equal(world->peers.told, 0);
    stream_detach(&own.stream);
}

/* Its partition may not have had its turn: the batch that it stands in names it. */
static void test_what_is_about_to_get_its_slot_is_not_given_up(void **state)
{
    (void)state;
    learn_prefix("p:");
    assert_true(freeze_add(&world->node.contact.coverage.frozen, span_of("p:", 2)));
    led_by(0, 0);
    by_prefix(0, "set", "p:1");
    by_prefix(1, "set", "p:2");
    struct pending *p = world->replicas[0].writes[0];
    qr_slot slot = p->slot;
    p->slot = 0;
    assert_false(router_give_up_routed(world->node.router));
    assert_int_equal(world->node.pending_count, 2);
    p->slot = slot;
    assert_true(router_give_up_routed(world->node.router));
    assert_int_equal(world->node.pending_count, 0);
    to(0, "set", "other"); /* that of nobody who went by a prefix holds nothing up */
    world->replicas[0].writes[1]->slot = 0;
    assert_true(router_give_up_routed(world->node.router));
    assert_int_equal(world->node.pending_count, 1);
}

#define TRACKS_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TRACKS_TEST(test_a_partition_without_a_leader_holds_up_no_other_T5),
        TRACKS_TEST(test_one_track_drains_and_the_others_go_on_T2),
        TRACKS_TEST(test_epochs_are_later_than_those_of_all_tracks_T2),
        TRACKS_TEST(test_a_lost_peer_is_given_up_in_all_tracks_at_once_T4),
        TRACKS_TEST(test_a_partition_that_does_not_answer_keeps_a_bounded_share_T5_R4),
        TRACKS_TEST(test_a_leader_that_cannot_commit_takes_a_bounded_share_T5_R4),
        TRACKS_TEST(test_each_partition_has_its_own_replica),
        TRACKS_TEST(test_what_a_dropped_partition_had_is_answered),
        TRACKS_TEST(test_what_a_replica_had_that_goes_is_asked_elsewhere),
        TRACKS_TEST(test_what_a_leader_was_asked_for_does_not_go_with_the_own_replica),
        TRACKS_TEST(test_strands_are_kept_while_needed_and_what_has_written_is_known),
        TRACKS_TEST(test_a_relay_is_given_back_and_what_it_refused_stays_refused_T2),
        TRACKS_TEST(test_who_asks_the_wrong_one_is_told_who_leads_once_an_epoch),
        TRACKS_TEST(test_an_unknown_group_is_refused_with_all_of_its_epoch_T2),
        TRACKS_TEST(test_a_relay_is_of_one_partition_and_one_peer),
        TRACKS_TEST(test_without_a_replica_hints_are_followed_by_term),
        TRACKS_TEST(test_a_hint_is_worth_less_than_a_later_term_of_the_own_replica),
        TRACKS_TEST(test_without_any_hint_those_who_hold_it_are_asked_in_turn),
        TRACKS_TEST(test_what_is_heard_before_a_partition_is_there_is_kept),
        TRACKS_TEST(test_what_went_by_a_prefix_that_changes_is_settled_or_given_up_K6),
        TRACKS_TEST(test_what_is_about_to_get_its_slot_is_not_given_up),
        TRACKS_TEST(test_the_nodes_own_change_that_finds_no_room_goes_back_T3),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
