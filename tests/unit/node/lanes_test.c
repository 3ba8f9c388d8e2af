/* On which of the two connections to a member a message goes (peers.c: lane_for), and whom a node
 * speaks to at all. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "node/run.h"
#include "protocol/raft/raft_messages.h"
#include "tests/fuzz/peer_world.h"

#define OTHER 2u /* an index: its node dials this one */
#define DATA (1u << LANE_DATA)
#define CONTROL (1u << LANE_CONTROL)

static struct world *w;
static struct io_stream *wire[LANES];
static size_t before[LANES];

static void send(uint32_t group, enum haste haste, size_t attached)
{
    static const uint8_t bytes[2 * LINK_LIGHT_BYTES];
    uint16_t kind = haste == SEND_CONTROL ? RAFT_HEARTBEAT : RAFT_APPEND;
    peers_send(w->node.peers, OTHER, group, kind, haste, span_of(bytes, 4), 0, 0, 1,
               span_of(bytes, attached));
}

static void say(uint32_t group, bool urgent, size_t attached)
{
    send(group, urgent ? SEND_CONTROL : SEND_NOW, attached);
}

/* The lanes that something was written to since the last time: bits of enum lane. */
static unsigned written(void)
{
    unsigned lanes = 0;
    peers_flush(w->node.peers);
    for (unsigned lane = 0; lane < LANES; lane++) {
        lanes |= wire[lane]->sent.n > before[lane] ? 1u << lane : 0;
        before[lane] = wire[lane]->sent.n;
    }
    return lanes;
}

static int begin(void **state)
{
    (void)state;
    w = peer_world_new();
    w->node.clock = 10 * QR_SECOND;
    assert_true(peer_world_dial(w, wire, 3, OTHER, 'o', 0));
    (void)written();
    return 0;
}

static int end(void **state)
{
    (void)state;
    peer_world_end(w);
    return 0;
}

static void test_a_partitions_heartbeat_goes_with_its_other_messages(void **state)
{
    (void)state;
    say(WORLD_GROUP, true, 0);
    say(WORLD_GROUP, false, 100);
    say(WORLD_GROUP, true, 0);
    assert_int_equal(written(), DATA);
}

static void test_group_0_has_a_lane_that_nothing_else_fills(void **state)
{
    (void)state;
    say(WORLD_GROUP, true, 0);
    say(0, false, 100);
    assert_int_equal(written(), DATA);
    say(0, true, 0);
    assert_int_equal(written(), CONTROL);
}

/* R4: bulk never delays a heartbeat, neither what waits here nor what the system has taken. */
static void test_scenario_15_beside_bulk_a_heartbeat_has_its_own_lane(void **state)
{
    (void)state;
    say(WORLD_GROUP, false, LINK_LIGHT_BYTES + 1);
    say(WORLD_GROUP, true, 0);
    assert_int_equal(written(), DATA | CONTROL);
    w->node.clock += LINK_LIGHT_AFTER;
    say(WORLD_GROUP, true, 0);
    assert_int_equal(written(), CONTROL);
    w->node.clock++;
    say(WORLD_GROUP, true, 0);
    assert_int_equal(written(), DATA);
}

/* So beats go only where nothing else went (cluster/beats.h). */
static void test_whatever_is_sent_is_as_good_as_a_beat(void **state)
{
    (void)state;
    const struct beats *beats = &w->node.contact.beats;
    for (unsigned i = 0; i < 2; i++) {
        w->node.clock += QR_SECOND;
        assert_true(beats->sent[OTHER] < w->node.clock);
        say(i == 0 ? 0 : WORLD_GROUP, true, 0);
        assert_true(beats->sent[OTHER] < w->node.clock); /* it is not under way yet */
        (void)written();
        assert_int_equal(beats->sent[OTHER], w->node.clock);
    }
}

/* R9: frames of groups would say nothing to it. */
static void test_a_version_that_does_not_know_the_level_is_not_spoken_to(void **state)
{
    (void)state;
    peer_world_end(w);
    static const uint32_t levels[] = { 1, MAP_LEVEL_KEYSPACES, MAP_LEVEL_KEYSPACES + 1 };
    for (size_t i = 0; i < ARRAY_COUNT(levels); i++) {
        w = peer_world_new();
        w->speaks = WIRE_VERSION_GROUPS - 1;
        w->node.identity.level = levels[i];
        assert_int_equal(peer_world_dial(w, wire, 3, OTHER, 'o', 0), i == 0);
        peer_world_end(w);
    }
    w = peer_world_new();
}

/* The first leaves at once, what follows soon is with the kernel at once and leaves together. */
static void test_what_nobody_waits_for_leaves_in_fewer_pieces(void **state)
{
    (void)state;
    const struct peers *peers = w->node.peers;
    struct io_stream *data = wire[LANE_DATA];
    for (unsigned round = 0; round < 3; round++) {
        w->node.clock += QR_SECOND;
        send(WORLD_GROUP, SEND_SOON, 100);
        assert_int_equal(written(), DATA);
        assert_true(!data->corked && peers_deadline(peers) == QR_NEVER);
        w->node.clock += 100;
        send(WORLD_GROUP, SEND_SOON, 100);
        assert_int_equal(written(), DATA);
        assert_true(data->corked);
        qr_time due = peers_deadline(peers);
        assert_true(due > w->node.clock && due <= w->node.clock + 2 * QR_MILLISECOND);
        if (round == 0) { /* time is over: with nothing more, */
            w->node.clock = due;
            assert_int_equal(written(), 0);
        } else if (round == 1) { /* with more, */
            w->node.clock = due;
            send(WORLD_GROUP, SEND_SOON, 100);
            assert_int_equal(written(), DATA);
        } else { /* or something is in a hurry, whatever comes behind it */
            say(WORLD_GROUP, false, 100);
            send(WORLD_GROUP, SEND_SOON, 100);
            assert_int_equal(written(), DATA);
        }
        assert_true(!data->corked && peers_deadline(peers) == QR_NEVER);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_a_partitions_heartbeat_goes_with_its_other_messages,
                                        begin, end),
        cmocka_unit_test_setup_teardown(test_group_0_has_a_lane_that_nothing_else_fills, begin,
                                        end),
        cmocka_unit_test_setup_teardown(test_whatever_is_sent_is_as_good_as_a_beat, begin, end),
        cmocka_unit_test_setup_teardown(test_what_nobody_waits_for_leaves_in_fewer_pieces, begin,
                                        end),
        cmocka_unit_test_setup_teardown(
            test_a_version_that_does_not_know_the_level_is_not_spoken_to, begin, end),
        cmocka_unit_test_setup_teardown(test_scenario_15_beside_bulk_a_heartbeat_has_its_own_lane,
                                        begin, end),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("lanes", tests, NULL, NULL);
}
