/* What is taken back (node/rollback.h: K1-K6; L11, decision 056): first on disk, then named, then
 * cut, and the replica takes no part meanwhile. The map is real; log, journal and all else are
 * played. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "node/node.h"
#include "tests/unit/cluster/put_records.h"
#include "tests/unit/node/rollback_world.h"

static void test_it_is_durable_then_named_then_cut_K1(void **state)
{
    (void)state;
    bool anew;
    take_back(8, false);
    assert_false(w.replica.started);
    assert_true(w.partition.loading);
    assert_int_equal(w.held_dropped, 1); /* what was not said yet never is */
    assert_int_equal(w.digests_forgotten, 1);
    turns(5);
    assert_int_equal(w.begins, 0);
    w.durable = 100;
    w.late = true;
    turns(8);
    assert_int_equal(w.named_count, 4);
    for (uint32_t i = 0; i < 4; i++) {
        const struct discard *d = &w.named[i].entry;
        char text[8];
        (void)snprintf(text, sizeof text, "%u", 9 + i);
        assert_int_equal(d->slot, 9 + i);
        assert_int_equal(d->term, 3);
        assert_int_equal(d->lost_to, 9);
        assert_int_equal(d->group, GROUP);
        assert_int_equal(d->kind, RECORD_COMMAND);
        assert_int_equal(d->reason, DISCARD_ROLLED_BACK);
        assert_int_equal(d->acknowledged, DISCARD_MAY_BE_ACKNOWLEDGED);
        assert_int_equal(d->at, 77);
        assert_int_equal(d->bytes, strlen(text));
        assert_string_equal(w.named[i].payload, text);
    }
    assert_int_equal(w.truncations, 0); /* the names are not durable yet */
    w.owner.ended(w.owner.context, DISCARDS_DONE, 0);
    turns(1);
    assert_int_equal(w.truncations, 1);
    assert_int_equal(w.cut_from, 9);
    turns(3);
    assert_false(is_cut(&anew)); /* nor is the cut */
    w.durable = w.position;
    turns(1);
    assert_true(is_cut(&anew));
    assert_false(anew);
    assert_int_equal(w.truncations, 1);
    assert_true(w.disturbed > 0);
}

/* And what its primary may have says so. */
static void test_what_is_given_up_is_counted_K7(void **state)
{
    (void)state;
    w.durable = 100;
    w.base = 7;
    w.room = 1;
    begin_anew(5, 4, 9);
    turns(5);
    assert_int_equal(w.named_count, 1);
    assert_int_equal(w.resets, 0);
    w.room = 9;
    w.owner.wake(w.owner.context);
    turns(9);
    const struct discard *d = &w.named[0].entry;
    assert_int_equal(d->reason, DISCARD_GIVEN_UP);
    assert_int_equal(d->slot, 1);
    assert_int_equal(d->slots, 4);
    assert_int_equal(d->term, 2);
    assert_int_equal(d->lost_to, 9);
    assert_int_equal(d->acknowledged, DISCARD_MAY_BE_ACKNOWLEDGED);
    d = &w.named[1].entry;
    assert_int_equal(d->reason, DISCARD_BEGAN_ANEW);
    assert_int_equal(d->slot, 6);
    assert_int_equal(d->slots, 2);
    assert_int_equal(w.named_count, 2 + 5);
    for (uint32_t i = 2; i < w.named_count; i++) {
        assert_int_equal(w.named[i].entry.slot, 6 + i);
        assert_int_equal(w.named[i].entry.reason, i < 4 ? DISCARD_BEGAN_ANEW : DISCARD_ROLLED_BACK);
    }
    assert_int_equal(w.resets, 1);
}

static void test_of_a_log_that_is_gone_the_primary_may_have_a_part_K4_K7(void **state)
{
    (void)state;
    w.durable = 100;
    w.base = w.last;
    begin_anew(5, 0, 9);
    turns(9);
    assert_int_equal(w.named_count, 2);
    assert_int_equal(w.named[0].entry.reason, DISCARD_BEGAN_ANEW);
    assert_int_equal(w.named[0].entry.slots, 4);
    assert_int_equal(w.named[1].entry.reason, DISCARD_ROLLED_BACK);
    assert_int_equal(w.named[1].entry.slot, 10);
    assert_int_equal(w.named[1].entry.slots, 3);
}

/* Nothing behind the slot has to be named: its log begins there, and is of no use. */
static void test_a_log_without_entries_begins_anew(void **state)
{
    (void)state;
    bool anew;
    w.durable = 100;
    w.base = w.last;
    begin_anew(w.last, 0, 0);
    turns(9);
    w.durable = w.position;
    turns(1);
    assert_true(is_cut(&anew) && anew);
    assert_int_equal(w.named_count, 0);
    assert_int_equal(w.resets, 1);
}

/* Older nodes do not know those reasons. */
static void test_below_its_level_nothing_is_given_up_K7(void **state)
{
    (void)state;
    w.durable = 100;
    w.level = MAP_LEVEL_FOLLOWERS - 1;
    begin_anew(8, 4, 9);
    turns(9);
    assert_int_equal(w.named_count, 4);
    assert_int_equal(w.named[0].entry.reason, DISCARD_ROLLED_BACK);
}

static void test_while_the_journal_is_full_nothing_is_cut_K2(void **state)
{
    (void)state;
    bool anew;
    w.durable = 100;
    w.room = 2;
    take_back(8, false);
    turns(9);
    assert_int_equal(w.named_count, 2);
    assert_int_equal(w.truncations, 0);
    w.room = 1; /* it says so itself */
    turns(3);
    assert_int_equal(w.named_count, 2);
    w.owner.wake(w.owner.context);
    turns(3);
    assert_int_equal(w.named_count, 3);
    w.room = 9;
    w.result = DISCARDS_NO_ROOM;
    w.owner.wake(w.owner.context);
    turns(3);
    assert_int_equal(w.named_count, 4);
    assert_int_equal(w.truncations, 0);
    assert_false(is_cut(&anew));
    assert_int_equal(w.begins, 1);
    turns(1);
    assert_int_equal(w.begins, 1);
    assert_int_equal(w.partition.wake, w.node.clock + QR_SECOND);
    w.node.clock += QR_SECOND; /* all over again: it knows what it has */
    w.result = DISCARDS_DONE;
    turns(9);
    assert_int_equal(w.begins, 2);
    assert_int_equal(w.named_count, 8);
    assert_int_equal(w.truncations, 1);
}

static void test_a_journal_that_cannot_be_opened_or_is_at_work_is_waited_for_K2(void **state)
{
    (void)state;
    w.durable = 100;
    w.busy = true;
    take_back(8, false);
    turns(3);
    assert_int_equal(w.begins, 0);
    assert_true(w.partition.wake > w.node.clock && w.partition.wake < QR_NEVER);
    w.busy = false;
    w.cannot_open = true;
    w.node.clock += QR_SECOND;
    turns(3);
    assert_int_equal(w.begins, 0);
    assert_int_equal(w.truncations, 0);
    w.cannot_open = false;
    w.node.clock += QR_SECOND;
    turns(9);
    assert_int_equal(w.truncations, 1);
}

/* Slice by slice, and nobody but itself makes the next turn. */
static void test_it_goes_on_by_itself(void **state)
{
    (void)state;
    w.durable = 100;
    take_back(8, false);
    uint32_t slices = 0;
    do {
        turns(1);
        slices++;
    } while (w.partition.again);
    assert_int_equal(w.named_count, 4);
    assert_int_equal(w.truncations, 1);
    assert_in_range(slices, 4, 6);
}

static void test_a_journal_that_fails_ends_the_node(void **state)
{
    (void)state;
    w.durable = 100;
    w.result = DISCARDS_FAILED;
    take_back(8, false);
    turns(9);
    assert_true(w.node.failed);
    assert_int_equal(w.truncations, 0);
}

static void test_no_checkpoint_of_what_is_taken_back_stays_K3(void **state)
{
    (void)state;
    bool anew;
    w.durable = 100;
    w.writes = true;
    take_back(8, false);
    turns(3);
    assert_int_equal(w.begins, 0);
    w.writes = false;
    w.checkpoint = 8; /* up to there it is of use */
    turns(9);
    assert_int_equal(w.forgot, 0);
    assert_int_equal(w.truncations, 1);
    w.durable = w.position;
    turns(1);
    assert_true(is_cut(&anew));
    assert_false(anew);
}

static void test_a_checkpoint_beyond_it_is_forgotten_K3(void **state)
{
    (void)state;
    bool anew;
    w.durable = 100;
    w.checkpoint = 9;
    take_back(8, false);
    turns(9);
    assert_int_equal(w.forgot, 1);
    assert_int_equal(w.resets, 1);
    assert_int_equal(w.truncations, 0);
    w.durable = w.position;
    turns(1);
    assert_true(is_cut(&anew));
    assert_true(anew);
}

static void test_what_is_trimmed_is_counted_K4(void **state)
{
    (void)state;
    bool anew;
    w.durable = 100;
    w.base = 10;
    w.checkpoint = 10;
    take_back(4, true);
    turns(9);
    assert_int_equal(w.forgot, 0); /* its protocol has said so durably */
    assert_int_equal(w.named_count, 3);
    assert_int_equal(w.named[0].entry.kind, 0);
    assert_int_equal(w.named[0].entry.slot, 5);
    assert_int_equal(w.named[0].entry.slots, 6);
    assert_int_equal(w.named[0].entry.bytes, 0);
    assert_int_equal(w.named[1].entry.slot, 11);
    assert_int_equal(w.named[2].entry.slot, 12);
    assert_int_equal(w.resets, 1);
    assert_int_equal(w.named_when_cut, 3);
    w.durable = w.position;
    turns(1);
    assert_true(is_cut(&anew));
    assert_true(anew);
}

static void test_what_was_answered_here_is_known_K6(void **state)
{
    (void)state;
    w.durable = 100;
    w.replica.views.led = 3;
    take_back(8, false);
    turns(9);
    assert_int_equal(w.named[1].entry.slot, 10);
    assert_int_equal(w.named[1].entry.acknowledged, DISCARD_ACKNOWLEDGED);
    assert_int_equal(w.named[2].entry.acknowledged, DISCARD_NOT_ACKNOWLEDGED);
}

static void test_who_leaves_names_what_it_alone_may_have_K5(void **state)
{
    (void)state;
    bool anew;
    w.durable = 100;
    w.outlook = (struct outlook){ .sure = 12, .last = 12, .term = 9 };
    assert_true(rollback_named_all(&w.partition));
    w.outlook.sure = 10;
    w.checkpoint = 12; /* it goes with all the rest */
    assert_false(rollback_named_all(&w.partition));
    assert_true(rollback_leaves(&w.partition));
    assert_false(w.replica.started);
    assert_false(rollback_named_all(&w.partition));
    turns(9);
    assert_int_equal(w.named_count, 2);
    assert_int_equal(w.named[0].entry.slot, 11);
    assert_true(is_cut(&anew));
    assert_true(rollback_named_all(&w.partition));
    assert_int_equal(w.truncations + w.resets + w.forgot, 0);
}

static void test_others_have_nothing_to_name(void **state)
{
    (void)state;
    w.replica.viewed = false;
    w.outlook = (struct outlook){ .sure = 0, .last = 12 };
    assert_true(rollback_named_all(&w.partition));
    w.replica.viewed = true;
    take_back(8, false); /* and while something is taken back nothing is deleted */
    assert_false(rollback_leaves(&w.partition));
    assert_false(rollback_named_all(&w.partition));
}

static void test_a_keyspace_that_was_dropped_has_no_journal(void **state)
{
    (void)state;
    bool anew;
    w.durable = 100;
    (void)put_raw(w.node.map, MAP_RECORD_PARTITION, GROUP, NULL, 0);
    (void)put_raw(w.node.map, MAP_RECORD_KEYSPACE, KEYSPACE, NULL, 0);
    take_back(8, false);
    turns(2);
    assert_true(is_cut(&anew));
    assert_int_equal(w.begins, 0);
}

#define ROLLBACK_TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        ROLLBACK_TEST(test_it_is_durable_then_named_then_cut_K1),
        ROLLBACK_TEST(test_what_is_given_up_is_counted_K7),
        ROLLBACK_TEST(test_of_a_log_that_is_gone_the_primary_may_have_a_part_K4_K7),
        ROLLBACK_TEST(test_a_log_without_entries_begins_anew),
        ROLLBACK_TEST(test_below_its_level_nothing_is_given_up_K7),
        ROLLBACK_TEST(test_while_the_journal_is_full_nothing_is_cut_K2),
        ROLLBACK_TEST(test_a_journal_that_cannot_be_opened_or_is_at_work_is_waited_for_K2),
        ROLLBACK_TEST(test_it_goes_on_by_itself),
        ROLLBACK_TEST(test_a_journal_that_fails_ends_the_node),
        ROLLBACK_TEST(test_no_checkpoint_of_what_is_taken_back_stays_K3),
        ROLLBACK_TEST(test_a_checkpoint_beyond_it_is_forgotten_K3),
        ROLLBACK_TEST(test_what_is_trimmed_is_counted_K4),
        ROLLBACK_TEST(test_what_was_answered_here_is_known_K6),
        ROLLBACK_TEST(test_who_leaves_names_what_it_alone_may_have_K5),
        ROLLBACK_TEST(test_others_have_nothing_to_name),
        ROLLBACK_TEST(test_a_keyspace_that_was_dropped_has_no_journal),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
