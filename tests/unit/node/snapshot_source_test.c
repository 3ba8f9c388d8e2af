/* Giving one's checkpoint to others (snapshot_source.h): one file for all of them, kept while it is
 * read and no longer, no faster than it may be, and none that nobody could use. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "snapshot_world.h"

#define BYTES (3 * MIB)

static struct source *source(void)
{
    return world->node[SOURCE].zero->source;
}

static const struct source_figures *figures(void)
{
    return source_figures(source());
}

static void pass(qr_time time)
{
    for (qr_time at = 0; at < time; at += 100 * QR_MILLISECOND) {
        turn_all(100 * QR_MILLISECOND);
    }
}

static void test_two_followers_share_one_open_file_28(void **state)
{
    (void)state;
    take_checkpoint(SLOT, BYTES, 'a');
    uint64_t digest = engine_digest(world->node[SOURCE].zero->engine);
    want(1);
    pull(1, BYTES / 2);
    uint32_t opened = world->opened;
    want(2);
    pull(2, BYTES / 4);
    take_checkpoint(SLOT + 50, BYTES, 'z'); /* its name goes to another one meanwhile */
    world->opened = opened;
    pull(1, UINT64_MAX);
    pull(2, UINT64_MAX);
    for (node_index i = 1; i < NODES; i++) {
        assert_true(has_installed(i));
        assert_int_equal(world->replica[i].applied, SLOT);
        assert_int_equal(engine_digest(world->node[i].zero->engine), digest);
    }
    assert_int_equal(world->opened, opened + 2); /* by those who install, to close it later */
    assert_int_equal(figures()->gone, 0);
}

/* Ten seconds after the last read. */
static void test_a_pin_ends_with_the_reads_U25(void **state)
{
    (void)state;
    take_checkpoint(SLOT, BYTES, 'a');
    assert_int_equal(source_pin(source()), 0);
    want(1);
    pull(1, BYTES / 2);
    assert_int_equal(source_pin(source()), SLOT);
    world->peers[1].away = 1u << SOURCE;
    pass(9 * QR_SECOND);
    assert_int_equal(source_pin(source()), SLOT);
    pass(2 * QR_SECOND);
    assert_int_equal(source_pin(source()), 0);
    assert_int_equal(figures()->memory, 0); /* the file is closed */
    assert_false(source_holds_old_file(source(), 1));
}

/* One of few places for files that go out (transfers.h) is not kept for who is away. */
static void test_nobody_waits_for_who_has_gone(void **state)
{
    (void)state;
    take_checkpoint(SLOT, BYTES, 'a');
    qr_time before = io_now(world->node[SOURCE].io);
    want(1);
    turn_all(QR_MILLISECOND);
    assert_false(source_is_idle(source()));
    assert_false(source_is_unused(source(), before - 1)); /* an offer has its time */
    assert_true(source_is_unused(source(), before + QR_MILLISECOND));
    source_peer_down(source(), 1);
    turn_all(QR_MILLISECOND);
    assert_true(source_is_idle(source()));
}

/* Who has installed it and follows behind keeps the log until it has caught up. */
static void test_a_pin_goes_with_who_follows_behind_it_L8(void **state)
{
    (void)state;
    take_checkpoint(SLOT, BYTES, 'a');
    want(1);
    pull(1, UINT64_MAX);
    struct outlook *o = &world->replica[SOURCE].outlook;
    o->last = SLOT + 5000;
    o->member[1].match = SLOT + 10;
    turn_all(QR_MILLISECOND);
    assert_int_equal(source_pin(source()), SLOT + 10);
    o->member[1].match = SLOT + 4900;
    turn_all(QR_MILLISECOND);
    assert_int_equal(source_pin(source()), 0);
}

/* One has it and follows, the other one is still at it: the log stays for both. */
static void test_a_pin_is_of_who_needs_most_L8(void **state)
{
    (void)state;
    take_checkpoint(SLOT, BYTES, 'a');
    want(1);
    want(2);
    pull(1, UINT64_MAX);
    pull(2, BYTES / 2);
    struct outlook *o = &world->replica[SOURCE].outlook;
    o->last = SLOT + 5000;
    o->member[1].match = SLOT + 10;
    turn_all(QR_MILLISECOND);
    assert_int_equal(source_pin(source()), SLOT);
    pull(2, UINT64_MAX);
    o->member[1].match = SLOT + 4900;
    o->member[2].match = SLOT + 20;
    turn_all(QR_MILLISECOND);
    assert_int_equal(source_pin(source()), SLOT + 20);
}

/* With its last piece: of many groups that repair themselves the next one waits for the place. */
static void test_who_repairs_itself_and_has_all_needs_no_place_U25(void **state)
{
    (void)state;
    take_checkpoint(SLOT, BYTES, 'a');
    world->replica[SOURCE].outlook.last = SLOT + 1000;
    source_asked(source(), 1, SLOT);
    pull(1, BYTES / 2);
    assert_int_equal(source_pin(source()), SLOT);
    assert_false(source_is_idle(source()));
    pull(1, UINT64_MAX);
    assert_true(has_installed(1));
    turn_all(QR_MILLISECOND);
    assert_int_equal(source_pin(source()), 0);
    assert_true(source_is_idle(source()));
}

/* Of a large one the last pieces have a second to arrive. */
static void test_who_has_all_of_a_large_file_needs_no_place_soon_U25(void **state)
{
    (void)state;
    take_checkpoint(SLOT, 2 * BYTES, 'a');
    assert_true(file_bytes(SOURCE, CHECKPOINT_FILE) > SNAPSHOT_WINDOW_BYTES);
    source_asked(source(), 1, SLOT);
    pull(1, UINT64_MAX);
    assert_true(has_installed(1));
    pass(900 * QR_MILLISECOND);
    assert_int_equal(source_pin(source()), SLOT);
    pass(200 * QR_MILLISECOND);
    assert_int_equal(source_pin(source()), 0);
    assert_true(source_is_idle(source()));
}

static void test_what_is_behind_a_repair_stays_while_it_is_much_L8(void **state)
{
    (void)state;
    take_checkpoint(SLOT, BYTES, 'a');
    world->replica[SOURCE].outlook.last = SLOT + 1001;
    source_asked(source(), 1, SLOT);
    pull(1, UINT64_MAX);
    pass(9 * QR_SECOND);
    assert_int_equal(source_pin(source()), SLOT);
    pass(2 * QR_SECOND);
    assert_int_equal(source_pin(source()), 0);
}

static void test_a_repair_whose_last_pieces_were_lost_goes_on_58(void **state)
{
    (void)state;
    take_checkpoint(SLOT, BYTES, 'a');
    source_asked(source(), 1, SLOT);
    carry(NODE_NONE);
    carry(NODE_NONE); /* the offer, and what is asked for then: all of it */
    while (!source_is_idle(source())) {
        turn_all(QR_MILLISECOND);
    }
    assert_int_equal(figures_of(1).counts.bytes, 0);
    connect_again(1);
    pull(1, UINT64_MAX);
    assert_true(has_installed(1));
    assert_int_equal(figures()->gone, 0);
}

static void test_no_more_than_the_rate_goes_out_U18(void **state)
{
    (void)state;
    world->node[SOURCE].config.snapshot_rate = MIB;
    take_checkpoint(SLOT, 2 * BYTES, 'a');
    want(1);
    for (int i = 0; i < 2000; i++) {
        carry(NODE_NONE);
        turn_all(QR_MILLISECOND);
    }
    assert_in_range(figures()->bytes, 2 * MIB - SNAPSHOT_READ_BYTES, 2 * MIB + SNAPSHOT_READ_BYTES);
    assert_in_range(source_progress_of(source(), 1).bytes_per_second, MIB * 3 / 4, MIB * 5 / 4);
}

/* After a very low rate nobody waits for what that would have allowed. */
static void test_another_rate_counts_at_once_U18(void **state)
{
    (void)state;
    world->node[SOURCE].config.snapshot_rate = 64 * KIB; /* a read every eight seconds */
    take_checkpoint(SLOT, BYTES, 'a');
    want(1);
    for (int i = 0; i < 100; i++) {
        carry(NODE_NONE);
        turn_all(QR_MILLISECOND);
    }
    assert_int_equal(figures()->bytes, SNAPSHOT_READ_BYTES);
    world->node[SOURCE].config.snapshot_rate = 64 * MIB;
    for (int i = 0; i < 20; i++) {
        carry(NODE_NONE);
        turn_all(QR_MILLISECOND);
    }
    assert_in_range(figures()->bytes, MIB, BYTES + MIB);
}

static void test_a_move_goes_at_its_rate_and_not_in_bursts_U46(void **state)
{
    (void)state;
    world->move_rate = 128 * KIB;
    take_checkpoint(SLOT, BYTES, 'a');
    want(1);
    for (uint64_t seconds = 1; seconds <= 3; seconds++) {
        for (int i = 0; i < 1000; i++) {
            carry(NODE_NONE);
            turn_all(QR_MILLISECOND);
        }
        uint64_t so_far = seconds * world->move_rate;
        assert_in_range(figures()->bytes, so_far - 48 * KIB, so_far + 48 * KIB);
    }
    world->move_rate = 0;
    pull(1, UINT64_MAX);
    assert_true(has_installed(1));
}

static void test_two_share_the_rate(void **state)
{
    (void)state;
    world->node[SOURCE].config.snapshot_rate = MIB;
    take_checkpoint(SLOT, 2 * BYTES, 'a');
    want(1);
    want(2);
    for (int i = 0; i < 3000; i++) {
        carry(NODE_NONE);
        turn_all(QR_MILLISECOND);
    }
    assert_in_range(figures()->bytes, 3 * MIB - SNAPSHOT_READ_BYTES, 3 * MIB + SNAPSHOT_READ_BYTES);
    assert_in_range(figures_of(1).counts.bytes, MIB, 2 * MIB);
    assert_in_range(figures_of(2).counts.bytes, MIB, 2 * MIB);
}

/* A slow connection: nothing is read for it beyond the one piece under way. */
static void test_who_takes_nothing_costs_nothing_U21(void **state)
{
    (void)state;
    take_checkpoint(SLOT, BYTES, 'a');
    want(1);
    pull(1, MIB);
    world->peers[SOURCE].full = true;
    carry(NODE_NONE);
    turn_all(QR_MILLISECOND);
    uint64_t pieces = world->peers[SOURCE].pieces;
    pass(QR_SECOND);
    assert_int_equal(world->peers[SOURCE].pieces, pieces);
    assert_in_range(figures()->memory, 1, 2 * SNAPSHOT_READ_BYTES);
    world->peers[SOURCE].full = false;
    pull(1, UINT64_MAX);
    assert_true(has_installed(1));
}

static bool read_at(uint64_t file, uint64_t offset, uint32_t n)
{
    struct snapshot_piece piece = { .file = file, .offset = offset, .n = n };
    return source_on_read(source(), 2, &piece);
}

static uint64_t salt(void)
{
    size_t n;
    uint64_t file;
    memcpy(&file, file_of(SOURCE, CHECKPOINT_FILE, &n) + 72, sizeof file);
    return file;
}

static void test_what_is_not_there_is_gone(void **state)
{
    (void)state;
    take_checkpoint(SLOT, BYTES, 'a');
    assert_true(read_at(12345, 0, 100));
    assert_int_equal(figures()->gone, 1);
    assert_true(read_at(salt(), 0, 100)); /* without an offer: this node has restarted since */
    assert_int_equal(figures()->gone, 1);
}

static void test_reads_that_make_no_sense_close_the_connection(void **state)
{
    (void)state;
    take_checkpoint(SLOT, 2 * BYTES, 'a');
    uint32_t end = (uint32_t)file_bytes(SOURCE, CHECKPOINT_FILE);
    assert_false(read_at(salt(), end - 1, 2));
    assert_true(read_at(salt(), 0, SNAPSHOT_WINDOW_BYTES));
    assert_false(read_at(salt(), SNAPSHOT_WINDOW_BYTES, 1)); /* before any of it was sent */
}

static void assert_not_offered(void)
{
    want(1);
    turn_all(QR_SECOND);
    want(1);
    assert_int_equal(figures()->offers, 0);
    assert_int_equal(figures()->unusable, 1); /* told once */
    assert_int_equal(world->alarms, 1);
    assert_int_equal(source_wants(source()), SLOT + 1); /* the keeper is to take another one */
    assert_true(was_said("The checkpoint at slot 100 cannot be offered"));
}

static void assert_the_next_one_is(void)
{
    take_checkpoint(SLOT + 1, BYTES, 'b');
    pull(1, UINT64_MAX);
    assert_true(has_installed(1));
    assert_int_equal(source_wants(source()), 0);
}

static void test_a_file_of_another_cluster_is_not_offered(void **state)
{
    (void)state;
    memset(world->node[SOURCE].identity.cluster, 9, 16);
    take_checkpoint(SLOT, BYTES, 'a');
    memset(world->node[SOURCE].identity.cluster, 5, 16);
    assert_not_offered();
    assert_true(was_said("it belongs to another cluster"));
    assert_the_next_one_is();
}

static void test_a_file_with_a_damaged_header_is_not_offered_63(void **state)
{
    (void)state;
    size_t n;
    take_checkpoint(SLOT, BYTES, 'a');
    file_of(SOURCE, CHECKPOINT_FILE, &n)[40] ^= 1;
    assert_not_offered();
    assert_the_next_one_is();
}

static void test_a_file_that_cannot_be_opened_is_not_offered_R7(void **state)
{
    (void)state;
    take_checkpoint(SLOT, BYTES, 'a');
    world->open_fails = -EIO;
    assert_not_offered();
    world->open_fails = 0;
    assert_the_next_one_is();
}

/* It is there when one may be opened again. */
static void test_want_of_descriptors_passes(void **state)
{
    (void)state;
    take_checkpoint(SLOT, BYTES, 'a');
    world->open_fails = -EMFILE;
    want(1);
    assert_int_equal(figures()->offers, 0);
    assert_true(was_said("cannot be offered"));
    world->open_fails = 0;
    want(1);
    pull(1, UINT64_MAX);
    assert_true(has_installed(1));
}

static void test_nothing_more_goes_out_of_a_state_that_is_wrong_U27(void **state)
{
    (void)state;
    take_checkpoint(SLOT, BYTES, 'a');
    want(1);
    pull(1, BYTES / 2);
    source_distrust(source());
    pull(1, UINT64_MAX);
    assert_false(has_installed(1));
    assert_int_equal(figures_of(1).counts.dropped, 1);
}

/* What was being written when it was found out could not be called off. */
static void test_what_is_written_of_a_wrong_state_is_not_offered_U27(void **state)
{
    (void)state;
    take_checkpoint(SLOT, BYTES, 'a');
    world->zero[SOURCE].quarantined = true;
    want(1);
    source_checkpointed(source());
    assert_int_equal(figures()->offers, 0);
    world->zero[SOURCE].quarantined = false;
    world->keeper[SOURCE].slot = 0;
    take_checkpoint(SLOT, BYTES, 'b'); /* another node's of the same slot: the file that is read */
    want(1);
    pull(1, UINT64_MAX);
    assert_true(has_installed(1));
    assert_int_equal(engine_digest(world->node[1].zero->engine),
                     engine_digest(world->node[SOURCE].zero->engine));
}

/* All of it has come already, and waits to be installed. */
static void test_what_is_here_whole_of_a_wrong_state_is_not_installed_U27(void **state)
{
    (void)state;
    take_checkpoint(SLOT, BYTES, 'a');
    want(1);
    world->keeper[1].writes = true;
    pull(1, UINT64_MAX);
    assert_true(fetch_is_whole(world->zero[1].fetch));
    source_distrust(source());
    carry(NODE_NONE);
    world->keeper[1].writes = false;
    pull(1, UINT64_MAX);
    assert_false(has_installed(1));
    assert_int_equal(figures_of(1).counts.dropped, 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_two_followers_share_one_open_file_28),
        TEST(test_a_pin_ends_with_the_reads_U25),
        TEST(test_nobody_waits_for_who_has_gone),
        TEST(test_a_pin_goes_with_who_follows_behind_it_L8),
        TEST(test_a_pin_is_of_who_needs_most_L8),
        TEST(test_who_repairs_itself_and_has_all_needs_no_place_U25),
        TEST(test_who_has_all_of_a_large_file_needs_no_place_soon_U25),
        TEST(test_what_is_behind_a_repair_stays_while_it_is_much_L8),
        TEST(test_a_repair_whose_last_pieces_were_lost_goes_on_58),
        TEST(test_no_more_than_the_rate_goes_out_U18),
        TEST(test_another_rate_counts_at_once_U18),
        TEST(test_a_move_goes_at_its_rate_and_not_in_bursts_U46),
        TEST(test_two_share_the_rate),
        TEST(test_who_takes_nothing_costs_nothing_U21),
        TEST(test_what_is_not_there_is_gone),
        TEST(test_reads_that_make_no_sense_close_the_connection),
        TEST(test_a_file_of_another_cluster_is_not_offered),
        TEST(test_a_file_with_a_damaged_header_is_not_offered_63),
        TEST(test_a_file_that_cannot_be_opened_is_not_offered_R7),
        TEST(test_want_of_descriptors_passes),
        TEST(test_nothing_more_goes_out_of_a_state_that_is_wrong_U27),
        TEST(test_what_is_written_of_a_wrong_state_is_not_offered_U27),
        TEST(test_what_is_here_whole_of_a_wrong_state_is_not_installed_U27),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
