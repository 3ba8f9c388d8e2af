/* What a node does about damage that it finds in a group other than 0 when that starts, and what a
 * checkpoint covers of a log's holes (damage.h, decision 024; R11, scenarios 16, 17, 48): nothing
 * that is wrong with one concerns another, and its own mark comes first. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "damage_start_world.h"

/* --- What the own checkpoint covers --------------------------------------------------------- */

static void test_what_the_checkpoint_covers_needs_no_repair(void **state)
{
    static const struct {
        qr_slot hole, base;
        bool installed;
        enum repair_fit fit;
        qr_slot trimmed, reset;
    } row[] = {
        { 10, 0, false, REPAIR_UNFIT, 20, RESET_NONE }, /* taken here: of this log */
        { 20, 0, false, REPAIR_UNFIT, 20, RESET_NONE },
        { 21, 0, false, REPAIR_UNFIT, 0, RESET_NONE },
        { 21, 20, false, REPAIR_UNFIT, 0, RESET_NONE },
        { 10, 0, true, REPAIR_UNFIT, 0, RESET_NONE }, /* it may fit when others have answered */
        { 10, 0, true, REPAIR_KEEP, 20, RESET_NONE },
        { 10, 0, true, REPAIR_REPLACE, 0, 20 },
    };
    for (size_t i = 0; i < ARRAY_COUNT(row); i++) {
        again(state);
        played[0].holes = 1;
        played[0].hole = (struct log_hole){ .lo = row[i].hole, .hi = row[i].hole + 2 };
        played[0].state.base_slot = row[i].base;
        keepers[0].installed = row[i].installed;
        fit = row[i].fit;
        assert_true(starts());
        assert_int_equal(played[0].trimmed, row[i].trimmed);
        assert_true(played[0].reset == row[i].reset);
        assert_nothing_forgotten();
    }
}

/* --- Another group -------------------------------------------------------------------------- */

static void test_a_group_that_is_whole_starts_as_it_was(void **state)
{
    (void)state;
    uint64_t before = disk_operations(node.io);
    assert_true(group_starts());
    assert_int_equal(disk_operations(node.io), before);
    assert_nothing_forgotten();
    assert_int_equal(base.slot, 20);
    assert_int_equal(lines, 0);
    assert_false(partition[G].kept_checkpoint);
}

static void test_scenario_63_a_groups_damaged_checkpoint_alone_forgets_nothing(void **state)
{
    (void)state;
    keepers[1].finds = DAMAGED;
    assert_true(group_starts());
    assert_nothing_forgotten();
    assert_int_equal(base.slot, 0);
    assert_int_equal(engines, 1);
    assert_true(partition[G].kept_checkpoint);
    assert_int_equal(there_after_power_loss("d/groups/5.checkpoint.damaged"), SEEDS);
    assert_int_equal(there_after_power_loss("d/groups/5.checkpoint"), 0);
    assert_string_equal(last_line, "group 5: the checkpoint is damaged; it is not used");
}

static void test_a_group_whose_log_ends_too_early_has_forgotten_alone(void **state)
{
    (void)state;
    played[G].state.last_slot = 19;
    assert_true(group_starts());
    assert_true(base.forgetful && partition[G].lost && partition[G].marked);
    assert_int_equal(marked_after_power_loss(G), SEEDS);
    assert_int_equal(marked_after_power_loss(0), 0);
    assert_false(node.forgetful);
    assert_int_equal(base.slot, 20); /* its state is one that once was */
    again(state);
    played[G].state.last_slot = 19;
    keepers[1].installed = true;
    assert_true(group_starts());
    assert_nothing_forgotten();
}

static void test_entries_that_a_groups_checkpoint_covers_need_no_repair(void **state)
{
    (void)state;
    played[G].holes = 1;
    played[G].hole = (struct log_hole){ .lo = 10, .hi = 12 };
    assert_true(group_starts());
    assert_int_equal(played[G].trimmed, 20);
    assert_int_equal(played[0].trimmed, 0);
    assert_nothing_forgotten();
}

/* One of the two is of another time, and nobody knows which. */
static void test_a_group_whose_log_and_checkpoint_disagree_begins_anew(void **state)
{
    static const struct {
        bool installed, hole;
        qr_slot base, last;
        bool forgets;
    } row[] = {
        { false, false, 0, 40, true },
        { false, false, 20, 40, true },
        { false, false, 20, 20, true },
        { true, false, 0, 40, false },   /* the log may not know of it yet */
        { false, true, 0, 40, false },   /* what is damaged is repaired first */
        { false, false, 21, 40, false }, /* the log says nothing of it */
    };
    for (size_t i = 0; i < ARRAY_COUNT(row); i++) {
        again(state);
        keepers[1].term = 2; /* replica_log_holds: the log says 3 */
        keepers[1].installed = row[i].installed;
        played[G].state.base_slot = row[i].base;
        played[G].state.last_slot = row[i].last;
        played[G].holes = row[i].hole;
        played[G].hole = (struct log_hole){ .lo = 30, .hi = 31 };
        assert_true(group_starts());
        assert_int_equal(base.forgetful, row[i].forgets);
        assert_int_equal(marked_after_power_loss(G), row[i].forgets ? SEEDS : 0);
        assert_int_equal(base.slot, row[i].forgets ? 0 : 20);
        assert_int_equal(keepers[1].forgotten, row[i].forgets);
        assert_int_equal(engines, row[i].forgets);
        assert_int_equal(there_after_power_loss("d/groups/5.checkpoint.damaged"),
                         row[i].forgets ? SEEDS : 0);
    }
}

static void test_a_group_of_a_log_that_was_cut_has_forgotten(void **state)
{
    (void)state;
    node.forgetful = node.lost_log = true;
    assert_true(group_starts());
    assert_true(base.forgetful && partition[G].lost);
    assert_false(partition[G].marked); /* the node's mark says so for all */
    again(state);
    node.forgetful = node.lost_log = true;
    node.holding.fresh.fresh = true;
    node.holding.fresh_below = G; /* it was made since */
    assert_true(group_starts());
    assert_false(base.forgetful);
}

static void test_a_groups_evidence_is_kept_while_it_has_no_other_checkpoint(void **state)
{
    make_file(G, CHECKPOINT_DAMAGED_FILE, span_of("x", 1));
    assert_true(group_starts());
    assert_true(partition[G].kept_checkpoint); /* goes when the replica counts */
    again(state);
    make_file(G, CHECKPOINT_DAMAGED_FILE, span_of("x", 1));
    keepers[1].finds = NOTHING;
    kept_slot = 0;
    assert_true(group_starts());
    assert_false(partition[G].kept_checkpoint); /* with the first one that is taken */
}

static void test_no_failure_of_a_group_goes_unnoticed(void **state)
{
    for (uint64_t n = 1;; n++) {
        again(state);
        keepers[1].term = 2;
        disk_fail_at(node.io, n, -EIO);
        uint64_t before = disk_operations(node.io);
        bool started = group_starts();
        if (disk_operations(node.io) - before < n) {
            assert_true(started && n > 4);
            return;
        }
        assert_false(started);
        assert_non_null(strstr(message, "Input/output error"));
        disk_fail_at(node.io, 0, 0);
        assert_true(there_after_power_loss("d/groups/5.checkpoint") == SEEDS ||
                    marked_after_power_loss(G) == SEEDS);
    }
}

/* Where all members saw the same, and forgot, nobody could bring them up. */
static void test_a_mark_that_cannot_be_looked_at_is_nothing_to_go_by(void **state)
{
    for (uint64_t n = 1; n <= 2; n++) { /* opened, read */
        again(state);
        assert_int_equal(damage_forgets(&partition[G], "in an earlier life"), 0);
        partition[G].marked = false;
        disk_fail_read(node.io, n);
        uint64_t before = disk_operations(node.io);
        assert_false(group_starts());
        assert_string_equal(message, "whether it has forgotten cannot be seen: Input/output error");
        assert_int_equal(disk_operations(node.io), before);
        disk_fail_read(node.io, 0);
        assert_true(group_starts());
        assert_true(base.forgetful);
    }
}

static void test_a_group_whose_checkpoint_is_not_for_this_version(void **state)
{
    (void)state;
    keepers[1].finds = FOREIGN;
    uint64_t before = disk_operations(node.io);
    assert_false(group_starts());
    assert_string_equal(message, "the checkpoint is damaged");
    assert_int_equal(disk_operations(node.io), before);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, start_whole, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_what_the_checkpoint_covers_needs_no_repair),
        TEST(test_a_group_that_is_whole_starts_as_it_was),
        TEST(test_scenario_63_a_groups_damaged_checkpoint_alone_forgets_nothing),
        TEST(test_a_group_whose_log_ends_too_early_has_forgotten_alone),
        TEST(test_entries_that_a_groups_checkpoint_covers_need_no_repair),
        TEST(test_a_group_whose_log_and_checkpoint_disagree_begins_anew),
        TEST(test_a_group_of_a_log_that_was_cut_has_forgotten),
        TEST(test_a_groups_evidence_is_kept_while_it_has_no_other_checkpoint),
        TEST(test_no_failure_of_a_group_goes_unnoticed),
        TEST(test_a_mark_that_cannot_be_looked_at_is_nothing_to_go_by),
        TEST(test_a_group_whose_checkpoint_is_not_for_this_version),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
