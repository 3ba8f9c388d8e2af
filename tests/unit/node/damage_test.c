/* What a node does about damage that it finds in its log and in group 0 when it starts (damage.h,
 * decision 024; R11, scenarios 16, 17, 48): what is forgotten, and what is not; the mark is durable
 * before anything damaged is changed; who is alone changes nothing. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "damage_start_world.h"
#include "node/checkpoint_format.h"

static void assert_refused(const char *why)
{
    uint64_t before = disk_operations(node.io);
    assert_false(starts());
    assert_non_null(strstr(message, why));
    assert_non_null(strstr(message, "No other member could repair this node"));
    assert_int_equal(disk_operations(node.io), before);
    assert_false(the_log.cut || node.forgetful);
    assert_true(played[0].reset == RESET_NONE && played[0].trimmed == 0);
}

/* The node as a whole has forgotten, for good. */
static void assert_all_forgotten(void)
{
    assert_true(base.forgetful);
    assert_true(node.forgetful && node.lost_log);
    assert_int_equal(marked_after_power_loss(0), SEEDS);
}

static void be_alone(void)
{
    base.roster.members.voters = 1u << 1;
}

/* --- The node: its log and group 0 ------------------------------------------------------------ */

static void test_who_is_whole_starts_as_it_was(void **state)
{
    (void)state;
    uint64_t before = disk_operations(node.io);
    assert_true(starts());
    assert_int_equal(disk_operations(node.io), before);
    assert_nothing_forgotten();
    assert_int_equal(base.slot, 20);
    assert_false(partition[0].kept_checkpoint);
    assert_true(played[0].reset == RESET_NONE && played[0].trimmed == 0);
    assert_int_equal(engines, 0);
}

static void test_a_damaged_log_is_cut_when_that_is_remembered(void **state)
{
    (void)state;
    opens = LOG_OPEN_DAMAGED;
    assert_true(starts());
    assert_true(the_log.cut && the_log.open);
    assert_ptr_equal(node.log, &the_log);
    assert_all_forgotten();
    assert_string_equal(last_line, "it was cut");
    assert_int_equal(base.slot, 20); /* the state is as good as it was */
}

static void test_a_damaged_log_and_a_damaged_checkpoint(void **state)
{
    (void)state;
    opens = LOG_OPEN_DAMAGED;
    keepers[0].finds = DAMAGED;
    assert_true(starts());
    assert_true(the_log.cut);
    assert_all_forgotten();
    assert_int_equal(base.slot, 0);
}

static void test_a_log_that_is_not_ours_ends_the_start(void **state)
{
    (void)state;
    opens = LOG_OPEN_FOREIGN;
    assert_false(starts());
    assert_string_equal(message, "the log is damaged"); /* as it says */
    opens = LOG_OPEN_IO;
    assert_false(starts());
    opens = LOG_OPEN_OK;
    keepers[0].finds = FOREIGN; /* of a newer version: whole, and not for this one */
    uint64_t before = disk_operations(node.io);
    assert_false(starts());
    assert_string_equal(message, "the checkpoint is damaged");
    assert_int_equal(disk_operations(node.io), before);
}

static void test_who_is_alone_changes_nothing(void **state)
{
    opens = LOG_OPEN_DAMAGED;
    be_alone();
    assert_refused("the log is damaged");
    again(state);
    played[0].state.last_slot = 19;
    be_alone();
    assert_refused("the log ends before slot 20");
    again(state);
    keepers[0].finds = NOTHING;
    played[0].state.base_slot = 15;
    be_alone();
    assert_refused("the log begins behind the checkpoint, which ends at slot 0");
    again(state);
    played[0].holes = 1;
    played[0].hole = (struct log_hole){ .lo = 30, .hi = 31 };
    be_alone();
    assert_refused("entries of the log are damaged");
}

static void test_who_is_alone_is_said_by_the_last_roster(void **state)
{
    (void)state;
    static const qr_slot at[] = { 5, 9 };
    opens = LOG_OPEN_DAMAGED;
    played[0].state.members = at;
    played[0].state.members_count = 2;
    stated.members.voters = 1u << 1;
    stated.members.learners = 1u << 2; /* does not decide */
    stated.node[1] = (struct roster_node){ .id = 102, .uuid = { 1 } };
    stated.node[2] = (struct roster_node){ .id = 103, .uuid = { 2 } };
    assert_refused("the log is damaged");
    be_alone();
    stated.members = (struct membership){ .voters = 1u << 1 | 1u << 2 };
    the_log.open = false;
    assert_true(starts());
}

/* Neither checkpoint nor log say who takes part: the directory was made with them. */
static void test_who_is_alone_is_said_by_the_identity_at_last(void **state)
{
    (void)state;
    opens = LOG_OPEN_DAMAGED;
    base.roster.members.voters = 0;
    node.identity.members[1].id = 102;
    assert_refused("the log is damaged");
    node.identity.members[2].id = 103;
    the_log.open = false;
    assert_true(starts());
    assert_all_forgotten();
}

static void test_scenario_48_a_lost_end_is_known_by_the_checkpoint(void **state)
{
    played[0].state.last_slot = 20; /* where it was taken */
    assert_true(starts());
    assert_nothing_forgotten();
    again(state);
    played[0].state.last_slot = 19;
    assert_true(starts());
    assert_all_forgotten();
    assert_false(the_log.cut); /* nothing of it is damaged */
    again(state);
    played[0].state.last_slot = 19;
    keepers[0].installed = true; /* the log may not know of it yet */
    assert_true(starts());
    assert_nothing_forgotten();
    again(state);
    played[0].known = false;
    assert_true(starts());
    assert_all_forgotten();
}

/* Before any group acts: what one of them proves to be gone is gone for all. */
static void test_a_lost_end_is_known_by_the_checkpoint_of_any_group(void **state)
{
    static const struct {
        const char *uuid;
        bool installed;
        qr_slot last;
        bool lost;
    } row[] = {
        { "directorydirect", false, 29, true },
        { "directorydirect", false, 30, false },
        { "directorydirect", true, 29, false }, /* it was not taken of this log */
        { "anotherdirectry", false, 29, false },
    };
    for (size_t i = 0; i < ARRAY_COUNT(row); i++) {
        uint8_t bytes[CHECKPOINT_HEADER_BYTES_MAX];
        struct checkpoint_header h = {
            .group = 7, .slot = 30, .term = 3, .installed = row[i].installed
        };
        again(state);
        memcpy(h.uuid, row[i].uuid, 16);
        make_file(7, CHECKPOINT_FILE, span_of(bytes, checkpoint_header_write(&h, bytes)));
        played[7].state.last_slot = row[i].last;
        assert_true(starts());
        assert_int_equal(base.forgetful, row[i].lost);
        assert_int_equal(marked_after_power_loss(0), row[i].lost ? SEEDS : 0);
        assert_int_equal(lines, row[i].lost);
        if (row[i].lost) {
            assert_non_null(strstr(last_line, "of group 7 the log ends before slot 30"));
        }
    }
}

/* What it would prove stays unknown: the node does not start as if nothing were gone. */
static void test_a_checkpoint_of_a_group_that_cannot_be_read_proves_nothing(void **state)
{
    (void)state;
    uint8_t bytes[CHECKPOINT_HEADER_BYTES_MAX];
    struct checkpoint_header h = { .group = 7, .slot = 30, .term = 3 };
    memcpy(h.uuid, "directorydirect", 16);
    make_file(7, CHECKPOINT_FILE, span_of(bytes, checkpoint_header_write(&h, bytes)));
    played[7].state.last_slot = 29;
    disk_end_reads(node.io, 0);
    uint64_t before = disk_operations(node.io);
    assert_false(starts());
    assert_string_equal(message, "the checkpoint of a partition cannot be read, see to the disk: "
                                 "Input/output error");
    assert_int_equal(disk_operations(node.io), before);
    disk_end_reads(node.io, UINT64_MAX);
    the_log.open = false;
    assert_true(starts());
    assert_all_forgotten();
}

/* The state is rebuilt from the log, or another's is fetched: nothing is forgotten (repair.h). */
static void test_a_damaged_checkpoint_alone_forgets_nothing(void **state)
{
    for (qr_slot from = 0; from <= 15; from += 15) {
        again(state);
        keepers[0].finds = DAMAGED;
        played[0].state.base_slot = from;
        assert_true(starts());
        assert_nothing_forgotten();
        assert_int_equal(base.slot, 0);
        assert_int_equal(engines, 1);
        assert_true(partition[0].kept_checkpoint);
        assert_int_equal(there_after_power_loss("d/checkpoint.damaged"), SEEDS);
        assert_int_equal(there_after_power_loss("d/checkpoint"), 0);
        assert_true(played[0].reset == RESET_NONE); /* it waits for the state before it */
    }
}

static void test_who_has_forgotten_anyway_begins_anew(void **state)
{
    (void)state;
    assert_int_equal(damage_mark(&node, "in an earlier life"), 0);
    node.forgetful = node.lost_log = false;
    keepers[0].finds = NOTHING;
    played[0].state.base_slot = 15;
    assert_true(starts());
    assert_true(base.forgetful);
    assert_int_equal(played[0].reset, 0);
    again(state);
    opens = LOG_OPEN_DAMAGED; /* and so does who forgets now */
    keepers[0].finds = NOTHING;
    played[0].state.base_slot = 15;
    assert_true(starts());
    assert_int_equal(played[0].reset, 0);
}

static void test_what_is_kept_for_evidence_is_found_again(void **state)
{
    (void)state;
    make_file(0, CHECKPOINT_DAMAGED_FILE, span_of("x", 1));
    assert_true(starts());
    assert_true(partition[0].kept_checkpoint);
    assert_nothing_forgotten();
}

/* Whatever fails: it is told, and nothing was changed that no mark explains. */
static void test_no_failure_goes_unnoticed(void **state)
{
    for (uint64_t n = 1;; n++) {
        again(state);
        opens = LOG_OPEN_DAMAGED;
        keepers[0].finds = DAMAGED;
        disk_fail_at(node.io, n, -EIO);
        uint64_t before = disk_operations(node.io);
        bool started = starts();
        if (disk_operations(node.io) - before < n) {
            assert_true(started && n > 4);
            return;
        }
        assert_false(started);
        assert_non_null(strstr(message, "Input/output error"));
        assert_false(the_log.cut);
        disk_fail_at(node.io, 0, 0);
        assert_true(there_after_power_loss("d/checkpoint") == SEEDS ||
                    marked_after_power_loss(0) == SEEDS);
    }
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, start_whole, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_who_is_whole_starts_as_it_was),
        TEST(test_a_damaged_log_is_cut_when_that_is_remembered),
        TEST(test_a_damaged_log_and_a_damaged_checkpoint),
        TEST(test_a_log_that_is_not_ours_ends_the_start),
        TEST(test_who_is_alone_changes_nothing),
        TEST(test_who_is_alone_is_said_by_the_last_roster),
        TEST(test_who_is_alone_is_said_by_the_identity_at_last),
        TEST(test_scenario_48_a_lost_end_is_known_by_the_checkpoint),
        TEST(test_a_lost_end_is_known_by_the_checkpoint_of_any_group),
        TEST(test_a_checkpoint_of_a_group_that_cannot_be_read_proves_nothing),
        TEST(test_a_damaged_checkpoint_alone_forgets_nothing),
        TEST(test_who_has_forgotten_anyway_begins_anew),
        TEST(test_what_is_kept_for_evidence_is_found_again),
        TEST(test_no_failure_goes_unnoticed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
