/* Getting another node's checkpoint (snapshot_fetch.h): whatever is lost, damaged or foreign, the
 * state in force stays as it was until a whole and right file takes its place, and no byte that is
 * here is asked for again. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "node/checkpoint_format.h"
#include "snapshot_world.h"

#define ME 1u
#define BYTES (3 * MIB)

static void assert_equal_states(node_index node)
{
    assert_true(has_installed(node));
    assert_int_equal(engine_digest(world->node[node].zero->engine),
                     engine_digest(world->node[SOURCE].zero->engine));
    assert_int_equal(file_bytes(node, CHECKPOINT_RECEIVED_FILE), 0);
    assert_int_equal(file_bytes(node, CHECKPOINT_FILE), file_bytes(SOURCE, CHECKPOINT_FILE));
}

/* The state that was there serves on, and nothing of the file is left. */
static void assert_untouched(node_index node, const struct engine *before)
{
    assert_ptr_equal(world->node[node].zero->engine, before);
    assert_int_equal(world->replica[node].applied, 1);
    assert_int_equal(file_bytes(node, CHECKPOINT_FILE), 0);
    assert_int_equal(file_bytes(node, CHECKPOINT_RECEIVED_FILE), 0);
}

static void restart(node_index node)
{
    struct node *n = &world->node[node];
    carry(node);
    fetch_free(n->zero->fetch);
    disk_settle(n->io);
    n->zero->fetch = fetch_new(n->zero);
    snapshot_peer(world->node[SOURCE].zero, node, false);
}

static void begin_to_pull(void)
{
    take_checkpoint(SLOT, BYTES, 'a');
    want(ME);
    pull(ME, BYTES / 2);
    assert_false(has_installed(ME));
    assert_true(figures_of(ME).done >= BYTES / 2);
}

static void test_a_whole_file_takes_the_place_U15(void **state)
{
    (void)state;
    begin_to_pull();
    pull(ME, UINT64_MAX);
    assert_equal_states(ME);
    assert_int_equal(figures_of(ME).counts.bytes, file_bytes(SOURCE, CHECKPOINT_FILE));
}

static void test_a_lost_connection_is_gone_on_with_U19(void **state)
{
    (void)state;
    begin_to_pull();
    connect_again(ME);
    assert_int_equal(world->peers[ME].read_from, figures_of(ME).counts.bytes);
    pull(ME, UINT64_MAX);
    assert_equal_states(ME);
    assert_int_equal(figures_of(ME).counts.begun, 1);
    assert_int_equal(figures_of(ME).counts.bytes, file_bytes(SOURCE, CHECKPOINT_FILE));
}

/* Nothing more comes behind a part of a unit, and no connection is lost: it is asked for again, or
 * this node would wait until somebody offers another file. */
static void test_what_does_not_come_is_asked_for_again_U19(void **state)
{
    (void)state;
    begin_to_pull();
    carry(ME);
    for (int i = 0; i < 4; i++) {
        disk_advance(world->node[SOURCE].io, 4 * QR_SECOND); /* it has given up on this node */
        disk_advance(world->node[ME].io, QR_SECOND);
        turn_all(0);
    }
    pull(ME, UINT64_MAX);
    assert_equal_states(ME);
    assert_int_equal(figures_of(ME).counts.begun, 1);
}

/* At (file, offset): what is on this disk is not asked for again. */
static void test_a_restart_is_gone_on_with_U19(void **state)
{
    (void)state;
    begin_to_pull();
    restart(ME);
    uint64_t there = file_bytes(ME, CHECKPOINT_RECEIVED_FILE);
    assert_true(there >= MIB);
    disk_advance(world->node[SOURCE].io, QR_SECOND); /* or it is not offered yet */
    want(ME);
    pull(ME, UINT64_MAX);
    struct fetch_figures f = figures_of(ME);
    assert_int_equal(f.counts.resumed, 1);
    assert_in_range(f.counts.bytes, 1, file_bytes(SOURCE, CHECKPOINT_FILE) - MIB / 2);
    assert_equal_states(ME);
}

/* The source has another file now: what is here is no beginning of it. */
static void test_another_file_begins_anew_U19(void **state)
{
    (void)state;
    begin_to_pull();
    restart(ME);
    disk_advance(world->node[SOURCE].io, 20 * QR_SECOND);
    turn_all(0);
    take_checkpoint(SLOT + 5, BYTES, 'q');
    want(ME);
    pull(ME, UINT64_MAX);
    assert_int_equal(figures_of(ME).counts.resumed, 0);
    assert_int_equal(figures_of(ME).counts.bytes, file_bytes(SOURCE, CHECKPOINT_FILE));
    assert_equal_states(ME);
}

static void test_a_damaged_block_is_refused_and_told_27_63(void **state)
{
    (void)state;
    const struct engine *before = world->node[ME].zero->engine;
    size_t n;
    take_checkpoint(SLOT, BYTES, 'a');
    file_of(SOURCE, CHECKPOINT_FILE, &n)[BYTES * 3 / 4] ^= 4;
    want(ME);
    pull(ME, UINT64_MAX);
    assert_untouched(ME, before);
    assert_int_equal(figures_of(ME).counts.refused, 1);
    assert_true(was_said("Refused the snapshot at slot 100 from node 1: bad checksum of a block"));
    assert_true(was_said("Node 2 cannot use this node's checkpoint"));
    assert_int_equal(world->alarms, 2);
    assert_int_equal(source_figures(world->node[SOURCE].zero->source)->refused, 1);
    want(ME); /* nobody begins with that one again */
    pull(ME, UINT64_MAX);
    assert_int_equal(figures_of(ME).counts.begun, 1);
    assert_true(source_wants(world->node[SOURCE].zero->source) > SLOT);
    take_checkpoint(SLOT + 1, BYTES, 'b');
    want(ME);
    pull(ME, UINT64_MAX);
    assert_equal_states(ME);
}

/* The source takes it for its own; so might a node with a directory copied from elsewhere. */
static void test_a_file_of_another_cluster_is_refused_and_told(void **state)
{
    (void)state;
    const struct engine *before = world->node[ME].zero->engine;
    memset(world->node[SOURCE].identity.cluster, 9, 16);
    take_checkpoint(SLOT, BYTES, 'a');
    want(ME);
    pull(ME, UINT64_MAX);
    assert_untouched(ME, before);
    assert_int_equal(figures_of(ME).counts.refused, 1);
    assert_true(was_said("it belongs to another cluster or group"));
}

static void test_an_older_file_than_the_state_is_not_begun_with(void **state)
{
    (void)state;
    take_checkpoint(SLOT, BYTES, 'a');
    world->replica[ME].applied = SLOT;
    want(ME);
    pull(ME, 1);
    assert_int_equal(figures_of(ME).counts.begun, 0);
}

static void test_what_the_log_has_brought_meanwhile_is_dropped(void **state)
{
    (void)state;
    begin_to_pull();
    world->replica[ME].applied = SLOT + 1;
    turn_all(QR_MILLISECOND);
    turn_all(QR_MILLISECOND);
    assert_false(figures_of(ME).active);
    assert_int_equal(figures_of(ME).counts.dropped, 1);
    assert_int_equal(file_bytes(ME, CHECKPOINT_RECEIVED_FILE), 0);
}

/* The source has restarted with a newer checkpoint. */
static void test_a_file_that_is_gone_in_the_middle_is_let_go_28(void **state)
{
    (void)state;
    const struct engine *before = world->node[ME].zero->engine;
    begin_to_pull();
    carry(SOURCE);
    source_free(world->node[SOURCE].zero->source);
    world->node[SOURCE].zero->source = source_new(world->node[SOURCE].zero);
    disk_settle(world->node[SOURCE].io);
    take_checkpoint(SLOT + 7, BYTES, 'c');
    connect_again(ME);
    pull(ME, UINT64_MAX);
    assert_untouched(ME, before);
    assert_int_equal(figures_of(ME).counts.dropped, 1);
    assert_true(was_said("has the snapshot at slot 100 no more"));
    want(ME);
    pull(ME, UINT64_MAX);
    assert_equal_states(ME);
}

/* Until all of it is here, and is being made durable. */
static void pull_until_it_syncs(void)
{
    struct node *me = &world->node[ME];
    struct node *source = &world->node[SOURCE];
    for (int i = 0; i < 3000 && figures_of(ME).done < figures_of(ME).total; i++) {
        disk_settle(me->io);
        carry(NODE_NONE);
        disk_advance(source->io, QR_MILLISECOND);
        source_turn(source->zero->source, io_now(source->io));
        disk_settle(source->io);
        disk_advance(me->io, QR_MILLISECOND);
        (void)fetch_turn(me->zero->fetch, io_now(me->io));
    }
    assert_int_equal(figures_of(ME).done, figures_of(ME).total);
    assert_false(fetch_is_whole(me->zero->fetch));
}

/* It was found to be wrong: that is said of it, and to whoever still asks for more of it again. */
static void test_what_is_wrong_is_let_go_while_it_is_synced_and_once_U27(void **state)
{
    (void)state;
    size_t n, length;
    struct checkpoint_header h;
    struct fetch *fetch = world->node[ME].zero->fetch;
    const struct engine *before = world->node[ME].zero->engine;
    begin_to_pull();
    const uint8_t *file = file_of(SOURCE, CHECKPOINT_FILE, &n);
    assert_int_equal(checkpoint_header_read(span_of(file, n), &h, &length), CHECKPOINT_HEADER_OK);
    pull_until_it_syncs();
    fetch_on_gone(fetch, SOURCE + 2, h.salt); /* he would not know */
    fetch_on_gone(fetch, SOURCE, h.salt + 1);
    assert_int_equal(figures_of(ME).counts.dropped, 0);
    fetch_on_gone(fetch, SOURCE, h.salt);
    assert_int_equal(figures_of(ME).counts.dropped, 1);
    fetch_on_gone(fetch, SOURCE, h.salt);
    disk_settle(world->node[ME].io);
    fetch_on_gone(fetch, SOURCE, h.salt);
    turn_all(QR_SECOND);
    assert_untouched(ME, before);
    assert_int_equal(figures_of(ME).counts.dropped, 1);
    want(ME);
    pull(ME, UINT64_MAX);
    assert_equal_states(ME);
}

static void test_without_room_it_is_given_up_and_tried_again_56(void **state)
{
    (void)state;
    const struct engine *before = world->node[ME].zero->engine;
    take_checkpoint(SLOT, BYTES, 'a');
    disk_set_capacity(world->node[ME].io, BYTES / 2);
    want(ME);
    pull(ME, UINT64_MAX);
    assert_false(world->node[ME].failed);
    assert_untouched(ME, before);
    assert_int_equal(figures_of(ME).counts.given_up, 1);
    disk_set_capacity(world->node[ME].io, UINT64_MAX);
    disk_advance(world->node[SOURCE].io, 10 * QR_SECOND);
    want(ME);
    pull(ME, UINT64_MAX);
    assert_int_equal(figures_of(ME).counts.begun, 1); /* not at once */
    disk_advance(world->node[ME].io, 10 * QR_SECOND);
    disk_advance(world->node[SOURCE].io, 10 * QR_SECOND);
    want(ME);
    pull(ME, UINT64_MAX);
    assert_equal_states(ME);
}

/* Whoever wanted it may need it no more, or be gone: nobody else would say so. */
static void test_the_alarm_is_over_when_nothing_has_been_wrong_for_a_while_U27(void **state)
{
    (void)state;
    struct node *node = &world->node[ME];
    take_checkpoint(SLOT, BYTES, 'a');
    disk_set_capacity(node->io, BYTES / 2);
    want(ME);
    pull(ME, UINT64_MAX);
    assert_int_equal(world->alarms, 1);
    assert_false(fetch_is_idle(node->zero->fetch, 1)); /* or it begins at once */
    transfers_turn(node, io_now(node->io));
    assert_int_equal(world->alarms_over, 0);
    disk_advance(node->io, 15 * QR_SECOND);
    assert_true(fetch_is_idle(node->zero->fetch, io_now(node->io)));
    transfers_turn(node, io_now(node->io));
    transfers_turn(node, io_now(node->io));
    assert_int_equal(world->alarms_over, 1);
}

static void test_a_disk_that_fills_in_the_middle_gives_it_up_56(void **state)
{
    (void)state;
    const struct engine *before = world->node[ME].zero->engine;
    take_checkpoint(SLOT, BYTES, 'a');
    want(ME);
    pull(ME, MIB / 2);
    disk_fail_at(world->node[ME].io, 1, -ENOSPC);
    pull(ME, UINT64_MAX);
    assert_false(world->node[ME].failed);
    assert_int_equal(figures_of(ME).counts.given_up, 1);
    assert_untouched(ME, before);
}

/* Every operation of the disk in turn: written, synced, cut, named, the directory synced. */
static void test_an_error_of_the_disk_stops_the_node_R7(void **state)
{
    uint32_t failures = 0;
    for (uint64_t nth = 1;; nth++) {
        take_checkpoint(SLOT, BYTES, 'a');
        want(ME);
        pull(ME, 1);
        disk_fail_at(world->node[ME].io, nth, -EIO);
        pull(ME, UINT64_MAX);
        bool failed = world->node[ME].failed;
        bool installed = has_installed(ME);
        assert_int_not_equal(failed, installed);
        failures += failed;
        int (*again)(void **) = world->group == 0 ? setup : setup_partition;
        teardown(state);
        again(state);
        if (installed) {
            break;
        }
    }
    assert_in_range(failures, 6, 13); /* a partition has a directory to be made, too */
}

/* Group 0, and a partition of a keyspace. */
#define TEST(name)                                                     \
    cmocka_unit_test_setup_teardown(name, setup, teardown),            \
    {                                                                  \
#name "_of_a_partition", name, setup_partition, teardown, NULL \
    }

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_a_whole_file_takes_the_place_U15),
        TEST(test_a_lost_connection_is_gone_on_with_U19),
        TEST(test_what_does_not_come_is_asked_for_again_U19),
        TEST(test_a_restart_is_gone_on_with_U19),
        TEST(test_another_file_begins_anew_U19),
        TEST(test_a_damaged_block_is_refused_and_told_27_63),
        TEST(test_a_file_of_another_cluster_is_refused_and_told),
        TEST(test_an_older_file_than_the_state_is_not_begun_with),
        TEST(test_what_the_log_has_brought_meanwhile_is_dropped),
        TEST(test_a_file_that_is_gone_in_the_middle_is_let_go_28),
        TEST(test_what_is_wrong_is_let_go_while_it_is_synced_and_once_U27),
        TEST(test_without_room_it_is_given_up_and_tried_again_56),
        TEST(test_the_alarm_is_over_when_nothing_has_been_wrong_for_a_while_U27),
        TEST(test_a_disk_that_fills_in_the_middle_gives_it_up_56),
        TEST(test_an_error_of_the_disk_stops_the_node_R7),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
