/* Who has forgotten what it promised, made durable and told (damage.h, decision 024; R11, scenarios
 * 16, 17): marks are durable before anything goes on, they go when the protocol has recovered and
 * no sooner, and people hear of it once. The disk is in memory and loses power; the replicas are
 * played by the test. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "damage_world.h"

/* A start on that disk, which is the node's from now on. */
static void start(struct io *disk)
{
    damage_world(disk);
    assert_int_equal(damage_look_for_mark(&node), 0);
    for (uint32_t i = 1; i < GROUPS; i++) {
        assert_int_equal(damage_look_for_own_mark(&partition[i]), 0);
        replica[i].outlook.forgetful = partition[i].lost;
    }
    replica[0].outlook.forgetful = node.forgetful;
}

static void all_turn(qr_time elapse)
{
    disk_advance(node.io, elapse);
    for (uint32_t i = 0; i < GROUPS; i++) {
        damage_turn(&partition[i], io_now(node.io));
    }
}

static bool alarmed(void)
{
    return alarms_own(&node.alarms, ALARM_DAMAGED, 102) != NULL;
}

/* --- A group's own mark ----------------------------------------------------------------------- */

static void test_scenario_107_a_mark_is_durable_when_it_is_written(void **state)
{
    (void)state;
    assert_int_equal(damage_forgets(&partition[5], "its log ends too early"), 0);
    assert_int_equal(marked_after_power_loss(5), SEEDS);
    assert_int_equal(marked_after_power_loss(6), 0);
    assert_int_equal(node.harm.lost, 1);
    assert_false(damage_lost_log(&node, 5)); /* it alone */
    assert_false(damage_lost_log(&node, 6));
    assert_int_equal(damage_forgets(&partition[5], "once more"), 0);
    assert_int_equal(node.harm.lost, 1);
    assert_int_equal(lines, 1);
}

/* The caller must not change anything damaged then. */
static void test_a_mark_that_cannot_be_written_is_told(void **state)
{
    (void)state;
    for (uint64_t n = 1;; n++) {
        struct io *disk = disk_new();
        start(disk);
        disk_fail_at(disk, n, -EIO);
        uint64_t before = disk_operations(disk);
        int error = damage_forgets(&partition[5], "its log ends too early");
        if (disk_operations(disk) - before < n) {
            assert_int_equal(error, 0);
            assert_true(n > 3);
            return;
        }
        assert_int_equal(error, -EIO);
    }
}

static void test_a_mark_goes_when_the_replica_has_recovered(void **state)
{
    (void)state;
    assert_int_equal(damage_forgets(&partition[5], "its log ends too early"), 0);
    replica[5].outlook.forgetful = true;
    all_turn(60 * QR_SECOND);
    assert_true(partition[5].marked);
    assert_true(alarmed());
    assert_int_equal(marked_after_power_loss(5), SEEDS);
    replica[5].outlook.forgetful = false;
    all_turn(QR_SECOND);
    assert_false(partition[5].marked);
    assert_false(partition[5].lost);
    assert_int_equal(node.harm.lost, 0);
    assert_false(alarmed());
    assert_int_equal(marked_after_power_loss(5), 0);
    assert_int_equal(evidence_dropped, 1);
}

static void test_a_mark_that_cannot_go_ends_the_node(void **state)
{
    (void)state;
    assert_int_equal(damage_forgets(&partition[5], "its log ends too early"), 0);
    disk_fail_at(node.io, 1, -EIO);
    damage_turn(&partition[5], io_now(node.io));
    assert_true(node.failed);
    assert_true(partition[5].marked);
}

static void test_group_0s_own_mark_is_about_no_other_group(void **state)
{
    (void)state;
    assert_int_equal(damage_forgets(&partition[0], "its checkpoint is gone"), 0);
    start(disk_copy(node.io));
    assert_true(node.forgetful);
    assert_false(node.lost_log);
    assert_false(partition[5].lost);
    replica[0].outlook.forgetful = false;
    all_turn(QR_SECOND); /* whatever the others are: they have lost nothing */
    assert_false(node.forgetful);
    assert_int_equal(marked_after_power_loss(0), 0);
}

/* --- The node's ------------------------------------------------------------------------------- */

static void all_are_lost(void)
{
    assert_int_equal(damage_mark(&node, "the end of the log was lost"), 0);
    assert_int_equal(marked_after_power_loss(0), SEEDS);
    start(disk_copy(node.io));
    assert_true(node.forgetful && node.lost_log);
    assert_int_equal(node.harm.lost, GROUPS);
    assert_true(damage_lost_log(&node, 5));
    node.holding.fresh.fresh = true;
    node.holding.fresh_below = 9;
    assert_true(damage_lost_log(&node, 8));
    assert_false(damage_lost_log(&node, 9)); /* made since */
}

static void recover(uint32_t from, uint32_t to)
{
    for (uint32_t i = from; i < to; i++) {
        replica[i].outlook.forgetful = false;
    }
}

static void test_the_nodes_mark_stays_while_there_may_be_more_groups(void **state)
{
    (void)state;
    all_are_lost();
    recover(0, GROUPS);
    all_turn(QR_SECOND);
    assert_int_equal(node.harm.lost, 0);
    all_turn(60 * QR_SECOND);
    assert_true(node.forgetful);
    assert_int_equal(evidence_dropped, 0);
    complete = true;
    all_turn(QR_SECOND);
    assert_false(node.forgetful);
    assert_false(node.lost_log);
    assert_int_equal(marked_after_power_loss(0), 0);
    assert_false(alarmed());
    assert_true(evidence_dropped > 0);
}

/* A crash at any moment must find one mark or the other. */
static void test_the_nodes_mark_stays_until_each_has_recovered_or_has_its_own(void **state)
{
    (void)state;
    all_are_lost();
    complete = true;
    recover(0, 2);
    all_turn(QR_SECOND);
    assert_int_equal(node.harm.lost, GROUPS - 2);
    all_turn(29 * QR_SECOND);
    assert_true(node.forgetful); /* they may recover soon */
    assert_false(partition[5].marked);
    for (uint32_t i = 0; i < 10 && node.forgetful; i++) {
        all_turn(QR_SECOND);
    }
    assert_false(node.forgetful);
    assert_int_equal(marked_after_power_loss(0), 0);
    for (uint32_t i = 1; i < GROUPS; i++) {
        assert_int_equal(marked_after_power_loss(i), i < 2 ? 0 : SEEDS);
    }
    assert_true(alarmed()); /* of the others */
    assert_int_equal(evidence_dropped, 0);
    start(disk_copy(node.io));
    assert_false(node.forgetful);
    assert_int_equal(node.harm.lost, GROUPS - 2);
    recover(0, GROUPS);
    all_turn(QR_SECOND);
    assert_int_equal(node.harm.lost, 0);
    assert_int_equal(evidence_dropped, 1);
}

static void test_without_room_for_its_own_mark_the_nodes_stays(void **state)
{
    (void)state;
    all_are_lost();
    complete = true;
    recover(0, 1);
    recover(2, GROUPS);
    all_turn(QR_SECOND);
    all_turn(29 * QR_SECOND);
    disk_fail_at(node.io, 1, -ENOSPC);
    all_turn(QR_SECOND);
    assert_true(node.forgetful);
    assert_false(partition[1].marked);
    all_turn(QR_SECOND);
    assert_true(partition[1].marked);
    all_turn(QR_SECOND);
    assert_false(node.forgetful);
}

/* --- Telling ---------------------------------------------------------------------------------- */

static void test_the_alarm_is_told_once_and_names_one_that_is_harmed(void **state)
{
    (void)state;
    for (uint32_t i = 3; i < 7; i++) {
        damage_tell(&partition[i], "it is damaged");
        damage_tell(&partition[i], "it is damaged");
    }
    assert_int_equal(raised, 1);
    assert_int_equal(node.harm.told, 4);
    const struct alarm *row = alarms_own(&node.alarms, ALARM_DAMAGED, 102);
    assert_non_null(strstr(row->text, "group 3"));
    damage_healed(&partition[5]);
    assert_int_equal(raised, 1);
    damage_healed(&partition[3]);
    assert_int_equal(raised, 2);
    row = alarms_own(&node.alarms, ALARM_DAMAGED, 102);
    assert_non_null(strstr(row->text, "group 4"));
    damage_healed(&partition[4]); /* at once: not every one of thousands is named */
    assert_int_equal(raised, 2);
    damage_healed(&partition[6]);
    damage_healed(&partition[6]);
    assert_false(alarmed());
    assert_int_equal(node.harm.told, 0);
}

static void test_a_group_without_others_needs_a_backup(void **state)
{
    (void)state;
    replica[4].roster.members.voters = 2; /* this node */
    damage_tell(&partition[4], "it is damaged");
    assert_non_null(strstr(alarms_own(&node.alarms, ALARM_DAMAGED, 102)->text, "restore this one"));
}

static void test_a_group_that_leaves_is_told_of_no_more(void **state)
{
    (void)state;
    assert_int_equal(damage_forgets(&partition[5], "its log ends too early"), 0);
    replica[5].outlook.forgetful = true;
    all_turn(QR_SECOND);
    assert_true(alarmed());
    damage_forget(&partition[5]);
    assert_false(alarmed());
    assert_int_equal(node.harm.lost, 0);
    assert_false(partition[5].marked);
}

static void test_lines_about_thousands_are_bounded(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < 1000; i++) {
        damage_log(&partition[1 + i % 5], NODE_LOG_WARNING, "it is damaged");
    }
    assert_int_equal(lines, 33);
    assert_non_null(strstr(last_line, "left out"));
    damage_log(&partition[0], NODE_LOG_WARNING, "it is damaged");
    assert_int_equal(lines, 34); /* of group 0 always */
    disk_advance(node.io, 10 * QR_SECOND);
    damage_log(&partition[3], NODE_LOG_WARNING, "it is damaged");
    assert_int_equal(lines, 35);
    assert_string_equal(last_line, "group 3: it is damaged");
}

/* --- Others --------------------------------------------------------------------------------- */

/* People hear which member, which partition and which slots; once, however many it lost them in. */
static void test_a_member_that_lost_what_it_acknowledged_is_named_R11(void **state)
{
    (void)state;
    node.known[2].id = 103;
    damage_of_another(&partition[5], 2, 40, 17);
    assert_non_null(strstr(last_line, "group 5: Node 103 lacks slots 18 to 40,"));
    const struct alarm *row = alarms_own(&node.alarms, ALARM_FORGOT, 103);
    assert_non_null(row);
    assert_non_null(strstr(row->text, "group 5: it lacks slots 18 to 40,"));
    assert_int_equal(node.health.forgot[2], FORGOT_LOOKS);
    damage_of_another(&partition[0], 2, 9, 8);
    assert_non_null(strstr(last_line, "Node 103 lacks slots 9 to 9,"));
    assert_int_equal(raised, 1);
    assert_null(alarms_own(&node.alarms, ALARM_FORGOT, 102));
}

#define DAMAGE_MARK_TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        DAMAGE_MARK_TEST(test_a_member_that_lost_what_it_acknowledged_is_named_R11),
        DAMAGE_MARK_TEST(test_scenario_107_a_mark_is_durable_when_it_is_written),
        DAMAGE_MARK_TEST(test_a_mark_that_cannot_be_written_is_told),
        DAMAGE_MARK_TEST(test_a_mark_goes_when_the_replica_has_recovered),
        DAMAGE_MARK_TEST(test_a_mark_that_cannot_go_ends_the_node),
        DAMAGE_MARK_TEST(test_group_0s_own_mark_is_about_no_other_group),
        DAMAGE_MARK_TEST(test_the_nodes_mark_stays_while_there_may_be_more_groups),
        DAMAGE_MARK_TEST(test_the_nodes_mark_stays_until_each_has_recovered_or_has_its_own),
        DAMAGE_MARK_TEST(test_without_room_for_its_own_mark_the_nodes_stays),
        DAMAGE_MARK_TEST(test_the_alarm_is_told_once_and_names_one_that_is_harmed),
        DAMAGE_MARK_TEST(test_a_group_without_others_needs_a_backup),
        DAMAGE_MARK_TEST(test_a_group_that_leaves_is_told_of_no_more),
        DAMAGE_MARK_TEST(test_lines_about_thousands_are_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
