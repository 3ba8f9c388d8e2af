/* An index is given again while the one who had it still runs and sends (members.h: I1 to I3;
 * scenario 14): what stands in its connections must not be taken for the word of the one behind it.
 * Connections, handshakes and members are real, the replica states what the test wants. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "node/members.h"
#include "protocol/raft/raft_messages.h"
#include "tests/fuzz/peer_world.h"

#define OTHER 2u /* an index: its node dials this one */

static struct world *w;
static struct io_stream *wire[LANES]; /* of OTHER, as this node has them */

static int begin(void **state)
{
    (void)state;
    w = peer_world_new();
    return 0;
}

static int end(void **state)
{
    (void)state;
    peer_world_end(w);
    return 0;
}

/* A directory calls itself node `id` at index OTHER since that slot; whether it is taken for it. */
static bool dials(uint32_t id, uint8_t directory, qr_slot since)
{
    return peer_world_dial(w, wire, id, OTHER, directory, since);
}

/* --- What it says ---------------------------------------------------------------------------- */

/* As many acknowledgements as that, in one piece. */
static void acknowledge(uint32_t count)
{
    uint8_t head[PROTOCOL_HEAD_BYTES + 512];
    struct raft_append_ack ack = { .term = 1, .match = 606 };
    struct wire_writer out = wire_writer(head, sizeof head);
    wire_put_u32(&out, 0);
    wire_put_u16(&out, RAFT_APPEND_ACK);
    wire_put_u64(&out, 0);
    wire_put_u64(&out, 0);
    wire_put_u64(&out, 0);
    assert_true(raft_codec.encode(RAFT_APPEND_ACK, &ack, &out));
    struct outbox frames = { 0 };
    for (uint32_t i = 0; i < count; i++) {
        frame_append(&frames, FRAME_PROTOCOL, span_of(head, out.n), (struct span){ 0 }, true);
    }
    peer_world_receive(wire[LANE_DATA], span_of(frames.p, frames.n), 100000);
    outbox_free(&frames);
}

static uint32_t heard(void)
{
    uint32_t count = w->told.count;
    w->told.count = 0;
    return count;
}

static struct roster with(uint32_t id, uint8_t directory)
{
    struct roster roster = w->roster;
    roster.node[OTHER].id = id;
    memset(roster.node[OTHER].uuid, 0, 16);
    roster.node[OTHER].uuid[0] = directory;
    return roster;
}

/* --- Tests ----------------------------------------------------------------------------------- */

/* The roster changes in a step of another connection's frame; what the node before has sent comes
 * in the same turn, before anything else is looked at. */
static void late_words_are_not_the_next_ones_14(void **state)
{
    (void)state;
    assert_true(dials(3, 'o', 0));
    acknowledge(1);
    assert_int_equal(heard(), 1);
    struct roster next = with(3, 'n');
    peer_world_state(w, &next, 607);
    acknowledge(2);
    assert_int_equal(heard(), 0);
    assert_true(wire[LANE_CONTROL]->closing && wire[LANE_DATA]->closing);
    assert_false(w->up[OTHER]);
    assert_true(dials(3, 'n', 608));
    acknowledge(1);
    assert_int_equal(heard(), 1);
}

/* The first of three frames in one buffer makes the change: the others are not read. */
static void words_in_the_buffer_are_not_the_next_ones_14(void **state)
{
    (void)state;
    assert_true(dials(3, 'o', 0));
    struct roster next = with(3, 'n');
    w->states = &next;
    acknowledge(3);
    assert_int_equal(heard(), 1);
    assert_true(wire[LANE_DATA]->closing);
}

/* Whoever connects is looked at by the roster as it is now. */
static void one_that_connects_late_is_not_taken_for_the_next_14(void **state)
{
    (void)state;
    struct roster next = with(3, 'n');
    peer_world_state(w, &next, 607);
    assert_false(dials(3, 'o', 0));
    assert_false(w->up[OTHER]);
    assert_true(dials(3, 'n', 607));
}

/* MEMBER ADD has made room under an id and no directory is known yet: one that was removed does not
 * get it, and one that is connected loses it when another is taken in. */
static void room_that_was_made_is_for_who_is_taken_in_14(void **state)
{
    (void)state;
    struct roster next = with(9, 0);
    w->removed[0] = 'o';
    peer_world_state(w, &next, 607);
    assert_false(dials(9, 'o', 0));
    assert_true(dials(9, 'p', 607));
    peer_world_state(w, &next, 608); /* something else in it has changed */
    acknowledge(1);
    assert_int_equal(heard(), 1);
    next = with(9, 'n');
    peer_world_state(w, &next, 609);
    acknowledge(1);
    assert_int_equal(heard(), 0);
    assert_true(wire[LANE_DATA]->closing);
}

/* The same while the one that was removed is still connected, as it is until it has heard that. */
static void room_is_not_for_one_that_was_removed_and_still_speaks_14(void **state)
{
    (void)state;
    assert_true(dials(3, 'o', 0));
    struct roster next = with(0, 0);
    w->removed[0] = 'o';
    peer_world_state(w, &next, 607);
    acknowledge(1);
    (void)heard();
    assert_false(wire[LANE_DATA]->closing);
    next = with(3, 0);
    peer_world_state(w, &next, 608);
    acknowledge(1);
    assert_int_equal(heard(), 0);
    assert_true(wire[LANE_DATA]->closing);
    assert_false(dials(3, 'o', 0));
    next = with(3, 'n');
    peer_world_state(w, &next, 609);
    assert_true(dials(3, 'n', 609));
}

/* What the directory itself noted down of whom it met is older than that (a founder). */
static void room_is_not_for_a_founder_that_was_removed_14(void **state)
{
    (void)state;
    struct roster next = with(3, 0);
    w->node.identity.members[OTHER].id = 3;
    w->node.identity.members[OTHER].uuid[0] = 'o';
    w->removed[0] = 'o';
    peer_world_state(w, &next, 608);
    assert_false(dials(3, 'o', 0));
}

/* It came before its entry did (I2). */
static void one_the_log_does_not_know_leads_and_is_not_counted_14(void **state)
{
    (void)state;
    assert_true(dials(3, 'o', 0));
    assert_true(dials(3, 'n', 700));
    acknowledge(1);
    assert_int_equal(heard(), 1);
    w->counts = true; /* since the step before, and seen_role does not know */
    acknowledge(1);
    assert_int_equal(heard(), 0);
    assert_false(wire[LANE_DATA]->closing);
    struct roster next = with(3, 'n');
    peer_world_state(w, &next, 700);
    acknowledge(1);
    assert_int_equal(heard(), 1);
}

static void what_is_kept_by_index_is_forgotten_14(void **state)
{
    (void)state;
    assert_true(dials(3, 'o', 0));
    uint32_t before = w->passed[OTHER];
    struct suspicion_figures *believed = &w->node.contact.suspicions.of[OTHER].figures;
    believed->closed = 5;
    struct roster moved = with(3, 'o');
    moved.node[OTHER].client_port = 7009;
    peer_world_state(w, &moved, 606);
    acknowledge(1);
    assert_int_equal(w->passed[OTHER], before);
    assert_int_equal(believed->closed, 5);
    struct roster next = with(3, 'n');
    peer_world_state(w, &next, 607);
    acknowledge(1);
    assert_int_equal(w->passed[OTHER], before + 1);
    assert_int_equal(believed->closed, 0);
    believed->closed = 5;
    assert_true(dials(3, 'm', 700)); /* known from itself */
    assert_int_equal(w->passed[OTHER], before + 2);
    assert_int_equal(believed->closed, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(late_words_are_not_the_next_ones_14, begin, end),
        cmocka_unit_test_setup_teardown(words_in_the_buffer_are_not_the_next_ones_14, begin, end),
        cmocka_unit_test_setup_teardown(one_that_connects_late_is_not_taken_for_the_next_14, begin,
                                        end),
        cmocka_unit_test_setup_teardown(room_that_was_made_is_for_who_is_taken_in_14, begin, end),
        cmocka_unit_test_setup_teardown(room_is_not_for_one_that_was_removed_and_still_speaks_14,
                                        begin, end),
        cmocka_unit_test_setup_teardown(room_is_not_for_a_founder_that_was_removed_14, begin, end),
        cmocka_unit_test_setup_teardown(one_the_log_does_not_know_leads_and_is_not_counted_14,
                                        begin, end),
        cmocka_unit_test_setup_teardown(what_is_kept_by_index_is_forgotten_14, begin, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
