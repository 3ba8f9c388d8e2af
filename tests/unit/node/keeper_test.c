/* Checkpoints of one group (keeper.h; L5, L8): when one begins, what it says of itself, what comes
 * of it, and what the protocol hears. */
#include "keeper_world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/limits.h"

/* --- When ----------------------------------------------------------------------------------- */

static void test_one_begins_once_the_log_has_grown_enough(void **state)
{
    (void)state;
    assert_false(consider(64 * MIB - 1));
    assert_true(consider(64 * MIB));
    assert_int_equal(started, 1);
    assert_ptr_equal(node.keepers.writing, keeper);
    assert_false(consider(64 * MIB)); /* one at a time */
    assert_int_equal(started, 1);
}

/* A node that had been started 152 times led no more: each start is a term, and after the next one
 * nobody knew that anything of them was committed. */
static void test_many_terms_are_reason_enough(void **state)
{
    (void)state;
    for (run_count = 0; run_count < CHECKPOINT_TERMS_MAX - 1; run_count++) {
        runs[run_count] = (struct term_run){ .slot = 1 + run_count, .term = 1 + run_count };
    }
    replica.applied = replica.durable = 60;
    keeper_remind(keeper, now);
    assert_false(consider(0));
    runs[run_count++] = (struct term_run){ .slot = 55, .term = 60 };
    now += QR_SECOND;
    keeper_remind(keeper, now);
    assert_true(consider(0));
    assert_int_equal(started, 1);
    finish(CHECKPOINT_DONE);
    assert_int_equal(keeper_slot(keeper), 60);
    now += 10 * QR_SECOND;
    replica.applied = replica.durable = 61;
    assert_false(consider(0)); /* those that it holds count no more */
    keeper_remind(keeper, now);
    assert_false(consider(0));
}

static void test_members_begin_at_times_of_their_own(void **state)
{
    (void)state;
    replica.me = 3;
    assert_false(consider(40 * MIB - 1));
    assert_true(consider(40 * MIB));
    finish(CHECKPOINT_ABANDONED);
    now += 5 * QR_SECOND;
    replica.me = 4;
    assert_false(consider(64 * MIB - 1));
}

static void test_it_says_whose_and_up_to_where(void **state)
{
    (void)state;
    assert_true(consider(64 * MIB));
    const struct checkpoint_header *h = &checkpoint.header;
    assert_memory_equal(h->cluster, "clusterclusterc", 16);
    assert_memory_equal(h->uuid, "directorydirect", 16);
    assert_int_equal(h->group, 7);
    assert_int_equal(h->slot, 10);
    assert_int_equal(h->term, 3);
    assert_int_equal(h->commit_term, 4);
    assert_int_equal(h->roster_slot, 2);
    assert_int_equal(h->roster_bytes, 2);
    assert_false(h->installed);
}

/* Where the others sync faster what is applied may be ahead of the own disk. */
static void test_scenario_35_it_never_holds_what_is_not_durable_here(void **state)
{
    (void)state;
    replica.durable = 9;
    assert_true(consider(64 * MIB));
    assert_int_equal(started, 0);
    assert_true(replica.held);
    replica.durable = 10;
    assert_true(consider(64 * MIB));
    assert_int_equal(started, 1);
    assert_false(replica.held);
}

/* A primary of a logical log is ahead of what is committed: that may be taken back. */
static void test_it_never_holds_what_is_executed_and_not_committed_E7(void **state)
{
    (void)state;
    replica.durable = 12;
    replica.ahead = 2;
    assert_true(consider(64 * MIB));
    assert_int_equal(started, 0);
    assert_true(replica.held);
    replica.ahead = 0;
    assert_true(consider(64 * MIB));
    assert_int_equal(started, 1);
    assert_false(replica.held);
}

static void test_none_begins_for_nothing_or_when_it_must_not(void **state)
{
    (void)state;
    static bool *const obstacles[] = { &partition.quarantined, &node.stopping, &fetch.whole };
    for (size_t i = 0; i < ARRAY_COUNT(obstacles); i++) {
        *obstacles[i] = true;
        assert_false(consider(64 * MIB));
        *obstacles[i] = false;
    }
    take_one();
    assert_false(consider(64 * MIB)); /* nothing was applied since */
    replica.applied = replica.durable = 11;
    assert_true(consider(64 * MIB));
}

static void test_while_a_member_is_brought_up_it_may_wait(void **state)
{
    (void)state;
    brings_up = true;
    assert_false(consider(256 * MIB - 4));
    assert_true(consider(256 * MIB));
}

static void test_on_a_full_disk_it_pays_sooner(void **state)
{
    (void)state;
    newest_begins = position - 8 * MIB;
    assert_false(consider(9 * MIB));
    node.space = LOG_SPACE_LOW;
    assert_false(consider(8 * MIB)); /* no segment ends before that */
    assert_true(consider(8 * MIB + 1));
}

/* Not when the disk is full and there is no room for a checkpoint either. */
static void test_before_the_disk_is_full_it_pays_too_unless_it_is_large(void **state)
{
    (void)state;
    newest_begins = position - 8 * MIB;
    node.keepers.short_of_room = true;
    assert_false(consider(8 * MIB));
    assert_true(consider(8 * MIB + 1));
    checkpoint.bytes = 40 * MIB;
    finish(CHECKPOINT_DONE);
    replica.applied = replica.durable = 11;
    assert_false(consider(10 * MIB - 1));
    assert_true(consider(10 * MIB));
    finish(CHECKPOINT_DONE);
    replica.applied = replica.durable = 12;
    node.space = LOG_SPACE_LOW; /* clients wait for it */
    assert_true(consider(9 * MIB));
}

static void test_what_it_does_not_hold_has_grown(void **state)
{
    (void)state;
    newest_begins = position;
    node.space = LOG_SPACE_LOW;
    bytes_behind = 3; /* proposed, not applied: in a segment that is not let go */
    take_one();
    assert_int_equal(asked_from, 11);
    replica.applied = replica.durable = 11;
    bytes_behind = 0;
    uint32_t before = started;
    keeper_turn(keeper, now);
    assert_int_equal(started, before + 1);
    finish(CHECKPOINT_DONE);
    replica.applied = replica.durable = 12;
    keeper_turn(keeper, now);
    assert_int_equal(started, before + 1);
}

static void test_a_member_waits_for_a_newer_one(void **state)
{
    (void)state;
    source.wants = 11;
    assert_false(consider(0)); /* that is not here yet */
    source.wants = 10;
    assert_true(consider(0));
    finish(CHECKPOINT_DONE);
    replica.applied = replica.durable = 12;
    assert_false(consider(0)); /* it will do */
    source.wants = 11;
    assert_true(consider(0));
}

static void test_the_log_is_over_its_bounds(void **state)
{
    (void)state;
    take_one();
    over_bytes = 11;
    replica.applied = replica.durable = 12;
    now += QR_SECOND;
    keeper_remind(keeper, now);
    assert_true(consider(0));
    now += 2 * QR_SECOND; /* that one takes as long */
    finish(CHECKPOINT_DONE);
    over_bytes = 13;
    replica.applied = replica.durable = 14;
    keeper_remind(keeper, now);
    now += 8 * QR_SECOND - 1;
    assert_false(consider(0)); /* not one after the other */
    now += 1;
    assert_true(consider(0));
}

static void test_a_file_that_is_still_read_is_not_written_over(void **state)
{
    (void)state;
    take_one();
    replica.applied = replica.durable = 11;
    source.reads = 99; /* the one in force: its blocks are not the spare's */
    assert_true(consider(64 * MIB));
    assert_int_equal(forgotten, 0);
    finish(CHECKPOINT_ABANDONED);
    now += 5 * QR_SECOND;
    source.reads = 98;
    forget_error = -28;
    assert_true(consider(64 * MIB));
    assert_int_equal(started, 1); /* not again */
    assert_int_equal(small_failures, 1);
    forget_error = 0;
    assert_false(consider(64 * MIB));
    now += 5 * QR_SECOND;
    assert_true(consider(64 * MIB));
    assert_int_equal(forgotten, 2);
    assert_int_equal(started, 2);
}

/* --- What comes of it ------------------------------------------------------------------------ */

static void test_the_protocol_hears_of_what_is_in_its_place(void **state)
{
    (void)state;
    assert_true(consider(64 * MIB));
    assert_int_equal(replica.told, 0);
    checkpoint.bytes = 500;
    now += 10 * QR_MILLISECOND;
    source.pin = 4;
    finish(CHECKPOINT_DONE);
    assert_int_equal(replica.told, 1);
    assert_int_equal(replica.slot, 10);
    assert_int_equal(replica.pin, 4);
    assert_int_equal(source.renewed, 1);
    assert_int_equal(keeper_slot(keeper), 10);
    assert_null(node.keepers.writing);
    assert_int_equal(node.keepers.not_before, now + 10 * QR_MILLISECOND); /* half of the disk */
    assert_int_equal(node.stats.checkpoints, 1);
    assert_int_equal(measure.checkpoint.bytes_total, 500);
    assert_int_equal(measure.checkpoint.usec_total, 10 * QR_MILLISECOND);
    assert_false(node.keepers.abandoned);
}

static void test_one_that_is_abandoned_is_tried_again(void **state)
{
    (void)state;
    keeper->begun_at = position - 64 * MIB;
    keeper_turn(keeper, now);
    assert_int_equal(started, 1);
    assert_true(keeper_busy(keeper));
    finish(CHECKPOINT_ABANDONED);
    assert_true(node.keepers.abandoned);
    assert_int_equal(measure.checkpoint.abandoned, 1);
    assert_int_equal(keeper_slot(keeper), 0);
    assert_null(node.keepers.writing);
    now += 5 * QR_SECOND - 1;
    keeper_turn(keeper, now);
    assert_int_equal(started, 1);
    assert_false(keeper_busy(keeper));
    now += 1; /* as due as it was: nothing more is in the log */
    keeper_turn(keeper, now);
    assert_int_equal(started, 2);
    finish(CHECKPOINT_DONE);
    assert_false(node.keepers.abandoned);
}

/* How large the next one will be is told by one that is there, and the state that it is of. */
static void test_what_is_known_of_the_last_one_is_of_one_that_is_in_place(void **state)
{
    (void)state;
    memory = 900;
    assert_true(consider(64 * MIB));
    memory = 1000;
    checkpoint.bytes = 500;
    finish(CHECKPOINT_DONE);
    assert_int_equal(keeper->bytes, 500);
    assert_int_equal(keeper->memory, 900);
    now += 10 * QR_SECOND;
    replica.applied = replica.durable = 20;
    assert_true(consider(64 * MIB));
    checkpoint.bytes = 200;
    finish(CHECKPOINT_ABANDONED);
    assert_int_equal(keeper->bytes, 500);
    assert_int_equal(keeper->memory, 900);
    struct checkpoint_header other = { .slot = 30, .salt = 31, .bytes = 77 };
    keeper_installed(keeper, &other);
    assert_int_equal(keeper->bytes, 0);
}

static void test_a_disk_that_fails_ends_the_node(void **state)
{
    (void)state;
    assert_true(consider(64 * MIB));
    finish(CHECKPOINT_FAILED);
    assert_int_equal(failures, 1);
    assert_int_equal(replica.told, 0);
}

static void test_another_nodes_takes_its_place(void **state)
{
    (void)state;
    assert_true(keeper_is_quiet(keeper));
    assert_true(consider(64 * MIB));
    assert_false(keeper_is_quiet(keeper));
    assert_true(checkpoint.cancelled);
    finish(CHECKPOINT_ABANDONED);
    assert_true(keeper_is_quiet(keeper));
    assert_false(consider(64 * MIB)); /* or it would begin again and again, and never be quiet */
    assert_false(node.keepers.abandoned); /* it was no failure */
    assert_int_equal(measure.checkpoint.abandoned, 0);
    struct checkpoint_header other = { .slot = 30, .salt = 31 };
    keeper_installed(keeper, &other);
    assert_int_equal(keeper_slot(keeper), 30);
    replica.applied = replica.durable = 31;
    keeper_turn(keeper, now);
    assert_int_equal(started, 1); /* the log behind it begins here */
    assert_true(consider(64 * MIB));
    finish(CHECKPOINT_ABANDONED);
    assert_true(node.keepers.abandoned); /* this one was */
    keeper_forget(keeper);
    assert_int_equal(keeper_slot(keeper), 0);
}

static void test_what_was_not_due_is_not_due_for_being_abandoned(void **state)
{
    (void)state;
    struct checkpoint_header other = { .slot = 5, .salt = 31 };
    keeper_installed(keeper, &other);
    source.wants = 9;
    keeper_turn(keeper, now);
    assert_int_equal(started, 1);
    finish(CHECKPOINT_ABANDONED);
    source.wants = 0;
    now += 5 * QR_SECOND;
    keeper_turn(keeper, now);
    assert_int_equal(started, 1);
}

static void test_it_keeps_its_pace(void **state)
{
    (void)state;
    assert_true(consider(64 * MIB));
    checkpoint.bytes = CHECKPOINT_BYTES_PER_SECOND; /* a second's worth */
    assert_false(keeper_go_on(keeper, now + QR_SECOND - 1));
    assert_int_equal(checkpoint.steps, 0);
    assert_int_equal(node.wake, now + QR_SECOND);
    assert_true(keeper_go_on(keeper, now + QR_SECOND));
    assert_int_equal(checkpoint.steps, 1);
}

static void test_who_goes_leaves_nothing_behind(void **state)
{
    (void)state;
    assert_true(consider(64 * MIB));
    node.keepers.holding = keeper;
    keeper_free(keeper);
    assert_true(checkpoint.aborted);
    assert_null(node.keepers.writing);
    assert_null(node.keepers.holding);
    keeper = keeper_new(&partition);
}

/* --- Retention ------------------------------------------------------------------------------- */

static void test_the_bounds_let_go_and_who_is_brought_up_holds(void **state)
{
    (void)state;
    source.pin = 5;
    keeper_remind(keeper, now);
    assert_int_equal(replica.told, 1);
    assert_int_equal(replica.release, 0);
    assert_int_equal(replica.pin, 5);
    assert_int_equal(asked_age, 0);
    keeper_remind(keeper, now + QR_SECOND - 1);
    assert_int_equal(replica.told, 1); /* now and then */
    over_bytes = 3;
    node.config.log_max_entries = 4;
    now += QR_SECOND;
    keeper_remind(keeper, now);
    assert_int_equal(replica.release, 6);
    node.config.log_max_entries = 10;
    now += QR_SECOND;
    keeper_remind(keeper, now);
    assert_int_equal(replica.release, 3);
    node.config.log_max_age_s = 60;
    over_age = 8;
    node.space = LOG_SPACE_LOW; /* this node comes first */
    now += QR_SECOND;
    keeper_remind(keeper, now);
    assert_int_equal(asked_age, 60 * QR_SECOND);
    assert_int_equal(replica.release, 8);
    assert_int_equal(replica.pin, 0);
}

/* --- Loading --------------------------------------------------------------------------------- */

static bool load(struct replica_base *base)
{
    char message[100] = "";
    bool loaded = keeper_load(keeper, base, message, sizeof message);
    assert_true(loaded || message[0] != 0);
    return loaded;
}

static void test_without_a_file_the_log_counts_from_its_beginning(void **state)
{
    (void)state;
    struct replica_base base = { .slot = 1 };
    group_bytes = 64 * MIB;
    assert_true(load(&base));
    assert_int_equal(base.slot, 1);
    keeper_turn(keeper, now);
    assert_int_equal(started, 1);
}

static void test_what_is_loaded_is_where_the_replica_begins(void **state)
{
    (void)state;
    struct replica_base base = { 0 };
    on_disk = CHECKPOINT_LOADED;
    group_bytes = 64 * MIB;
    disk_header = (struct checkpoint_header){ .slot = 8,
                                              .term = 2,
                                              .commit_term = 3,
                                              .installed = true,
                                              .roster_slot = 6,
                                              .roster_bytes = 2,
                                              .roster = "us",
                                              .salt = 5,
                                              .bytes = 300 };
    memory = 700;
    assert_true(load(&base));
    assert_int_equal(keeper->bytes, 300);
    assert_int_equal(keeper->memory, 700);
    assert_int_equal(base.slot, 8);
    assert_int_equal(base.term, 2);
    assert_int_equal(base.commit_term, 3);
    assert_true(base.installed);
    assert_int_equal(base.roster_slot, 6);
    assert_int_equal(base.roster.epoch, 9);
    assert_int_equal(keeper_slot(keeper), 8);
    keeper_turn(keeper, now);
    assert_int_equal(started, 0);
    source.reads = 5; /* it is the one in force */
    assert_true(consider(64 * MIB));
    assert_int_equal(forgotten, 0);
}

/* A node that is started again and again would never take one, and its log only grow. */
static void test_what_a_start_finds_behind_it_has_grown(void **state)
{
    (void)state;
    struct replica_base base = { 0 };
    on_disk = CHECKPOINT_LOADED;
    disk_header = (struct checkpoint_header){ .slot = 8 };
    bytes_behind = 64 * MIB;
    assert_true(load(&base));
    assert_int_equal(asked_from, 9);
    keeper_turn(keeper, now);
    assert_int_equal(started, 1);
}

static void test_what_cannot_be_trusted_is_not_used(void **state)
{
    (void)state;
    struct replica_base base = { 0 };
    on_disk = CHECKPOINT_LOADED;
    disk_header = (struct checkpoint_header){ .slot = 8, .roster_bytes = 2, .roster = "no" };
    assert_false(load(&base));
    assert_false(keeper_found_damage(keeper));
    on_disk = CHECKPOINT_FOREIGN;
    assert_false(load(&base));
    assert_false(keeper_found_damage(keeper));
    on_disk = CHECKPOINT_UNREADABLE;
    assert_false(load(&base));
    assert_false(keeper_found_damage(keeper));
    on_disk = CHECKPOINT_DAMAGED;
    assert_false(load(&base));
    assert_true(keeper_found_damage(keeper));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_one_begins_once_the_log_has_grown_enough),
        TEST(test_many_terms_are_reason_enough),
        TEST(test_members_begin_at_times_of_their_own),
        TEST(test_it_says_whose_and_up_to_where),
        TEST(test_scenario_35_it_never_holds_what_is_not_durable_here),
        TEST(test_it_never_holds_what_is_executed_and_not_committed_E7),
        TEST(test_none_begins_for_nothing_or_when_it_must_not),
        TEST(test_while_a_member_is_brought_up_it_may_wait),
        TEST(test_on_a_full_disk_it_pays_sooner),
        TEST(test_before_the_disk_is_full_it_pays_too_unless_it_is_large),
        TEST(test_what_it_does_not_hold_has_grown),
        TEST(test_a_member_waits_for_a_newer_one),
        TEST(test_the_log_is_over_its_bounds),
        TEST(test_a_file_that_is_still_read_is_not_written_over),
        TEST(test_the_protocol_hears_of_what_is_in_its_place),
        TEST(test_one_that_is_abandoned_is_tried_again),
        TEST(test_what_is_known_of_the_last_one_is_of_one_that_is_in_place),
        TEST(test_a_disk_that_fails_ends_the_node),
        TEST(test_another_nodes_takes_its_place),
        TEST(test_what_was_not_due_is_not_due_for_being_abandoned),
        TEST(test_it_keeps_its_pace),
        TEST(test_who_goes_leaves_nothing_behind),
        TEST(test_the_bounds_let_go_and_who_is_brought_up_holds),
        TEST(test_without_a_file_the_log_counts_from_its_beginning),
        TEST(test_what_is_loaded_is_where_the_replica_begins),
        TEST(test_what_a_start_finds_behind_it_has_grown),
        TEST(test_what_cannot_be_trusted_is_not_used),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
