/* The discard journal (node/discards.h): R8, what is thrown away is kept, or counted. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "discards_world.h"
#include "log/record.h"

static void test_nothing_is_made_before_something_is_discarded(void **state)
{
    struct world w;
    (void)state;
    world_init(&w);
    assert_int_equal(disk_operations(w.disk), 0);
    world_look(&w, 10);
    assert_int_equal(w.count, 0);
    assert_int_equal(w.stats.total + w.stats.oldest + w.stats.disk_bytes + w.stats.segments, 0);
    world_begin(&w);
    assert_int_equal(world_end(&w), DISCARDS_DONE); /* nothing was added */
    assert_int_equal(disk_operations(w.disk), 0);
    world_free(&w);
}

/* J1 */
static void test_r8_what_is_discarded_can_be_read_with_its_reason(void **state)
{
    struct world w;
    (void)state;
    world_init(&w);
    struct discard other = { .slot = 0,
                             .term = 4,
                             .lost_to = 9,
                             .at = 77,
                             .group = 8,
                             .partition = 65535,
                             .reason = DISCARD_LAST_WRITER,
                             .acknowledged = DISCARD_ACKNOWLEDGED,
                             .kind = RECORD_BLOB,
                             .bytes = 3,
                             .payload = span_of("abc", 3) };
    assert_int_equal(world_put(&w, 5, 9, 3), DISCARDS_DONE);
    world_begin(&w);
    world_add(&w, &other);
    world_add(&w, &other); /* without a slot there are two of them */
    assert_int_equal(world_end(&w), DISCARDS_DONE);
    for (int life = 0; life < 2; life++) {
        world_look(&w, 1000);
        assert_int_equal(w.count, 7);
        for (qr_slot slot = 5; slot <= 9; slot++) {
            const struct discard *entry = &w.items[slot - 5].entry;
            assert_int_equal(entry->number, slot - 4);
            assert_int_equal(entry->slot, slot);
            assert_int_equal(entry->slots, 1);
            assert_int_equal(entry->term, 3);
            assert_int_equal(entry->partition, 2);
            assert_int_equal(entry->reason, DISCARD_ROLLED_BACK);
            assert_int_equal(entry->acknowledged, DISCARD_MAY_BE_ACKNOWLEDGED);
        }
        const struct discard *entry = &w.items[6].entry;
        assert_int_equal(entry->group, 8);
        assert_int_equal(entry->partition, 65535);
        assert_int_equal(entry->lost_to, 9);
        assert_int_equal(entry->at, 77);
        assert_int_equal(entry->reason, DISCARD_LAST_WRITER);
        assert_int_equal(entry->acknowledged, DISCARD_ACKNOWLEDGED);
        assert_int_equal(entry->kind, RECORD_BLOB);
        assert_memory_equal(entry->payload.p, "abc", 3);
        assert_int_equal(w.stats.total, 7);
        assert_int_equal(w.stats.kept, 7);
        assert_int_equal(w.stats.oldest, 1);
        assert_int_equal(w.stats.segments, 1);
        world_restart(&w);
        assert_int_equal(w.found.torn_bytes + w.found.damaged + w.found.unread_files, 0);
    }
    world_free(&w);
}

static void test_reasons_have_names(void **state)
{
    (void)state;
    assert_string_equal(discard_reason_name(DISCARD_ROLLED_BACK), "rolled-back");
    assert_string_equal(discard_reason_name(DISCARD_HINT_EXPIRED), "hint-expired");
    assert_null(discard_reason_name(0));
    assert_null(discard_reason_name(200));
}

/* J3 */
static void test_a_slot_and_term_is_one_entry(void **state)
{
    struct world w;
    (void)state;
    world_init(&w);
    assert_int_equal(world_put(&w, 5, 9, 3), DISCARDS_DONE);
    assert_int_equal(world_put(&w, 5, 9, 3), DISCARDS_DONE);
    world_restart(&w);
    assert_int_equal(world_put(&w, 3, 12, 3), DISCARDS_DONE);
    world_look(&w, 1000);
    assert_int_equal(w.count, 10);
    for (qr_slot slot = 3; slot <= 12; slot++) {
        assert_int_equal(world_shown(&w, slot, 3, false), 1);
    }
    assert_int_equal(world_put(&w, 5, 5, 4), DISCARDS_DONE); /* another entry */
    struct discard other = world_entry(5, 3);
    other.group = 9;
    world_begin(&w);
    world_add(&w, &other);
    world_add(&w, &other);
    assert_int_equal(world_end(&w), DISCARDS_DONE);
    world_look(&w, 1000);
    assert_int_equal(w.count, 12);
    assert_int_equal(w.stats.total, 12);
    world_free(&w);
}

/* Within one batch, when it overlaps with what is there. */
static void test_slots_may_come_in_any_order(void **state)
{
    static const qr_slot slots[] = { 9, 8, 9, 7, 3, 4, 5, 4, 100, 8, 6, 100 };
    struct world w;
    (void)state;
    world_init(&w);
    world_begin(&w);
    for (size_t i = 0; i < ARRAY_COUNT(slots); i++) {
        struct discard entry = world_entry(slots[i], 1);
        world_add(&w, &entry);
    }
    assert_int_equal(world_end(&w), DISCARDS_DONE);
    world_look(&w, 3);
    assert_int_equal(w.count, 8);
    for (size_t i = 0; i < ARRAY_COUNT(slots); i++) {
        assert_int_equal(world_shown(&w, slots[i], 1, false), 1);
    }
    world_free(&w);
}

/* --- J2: the ring --------------------------------------------------------------------------- */

static void test_r8_what_makes_room_is_counted(void **state)
{
    struct world w;
    (void)state;
    world_init(&w);
    uint64_t overflowed = 0, bytes = 0;
    for (qr_slot lo = 1; lo <= 4000; lo += 100) {
        assert_int_equal(world_put(&w, lo, lo + 99, 2), DISCARDS_DONE);
        world_look(&w, 700);
        assert_int_equal(w.stats.total, lo + 99);
        assert_true(w.stats.overflowed >= overflowed);
        assert_true(w.stats.disk_bytes <= WORLD_BYTES_MAX + 2 * IO_BLOCK_BYTES);
        overflowed = w.stats.overflowed;
        bytes = 0;
        for (size_t i = 0; i < w.count; i++) {
            bytes += w.items[i].entry.payload.n;
        }
        assert_int_equal(w.stats.bytes_total - w.stats.overflowed_bytes, bytes);
        assert_int_equal(disk_files(w.disk), w.stats.segments);
        if (lo % 300 == 1) {
            struct discards_stats before = w.stats;
            world_restart(&w);
            world_look(&w, 1000);
            assert_memory_equal(&before, &w.stats, sizeof before);
        }
    }
    assert_true(overflowed > 3000 && w.stats.kept > 300);
    assert_int_equal(w.items[0].entry.number, w.stats.oldest);
    assert_int_equal(w.stats.oldest, overflowed + 1);
    assert_true(w.stats.disk_bytes > WORLD_BYTES_MAX / 2);
    world_free(&w);
}

/* So that a node that starts often, each time with a little to discard, keeps it. */
static void test_short_segments_are_many(void **state)
{
    struct world w;
    (void)state;
    world_init(&w);
    for (qr_slot slot = 1; slot <= 20; slot++) {
        assert_int_equal(world_put(&w, slot, slot, 2), DISCARDS_DONE);
        world_restart(&w);
    }
    world_look(&w, 1000);
    assert_int_equal(w.stats.kept, 20);
    assert_int_equal(w.stats.segments, 20);
    world_free(&w);
}

static void test_what_is_too_long_is_cut_and_says_so(void **state)
{
    struct world w;
    (void)state;
    world_init(&w);
    static char text[100000];
    memset(text, 'y', sizeof text);
    struct discard entry = world_entry(5, 3);
    entry.group = 9;
    entry.bytes = sizeof text;
    entry.payload = span_of(text, sizeof text);
    world_begin(&w);
    world_add(&w, &entry);
    assert_int_equal(world_end(&w), DISCARDS_DONE);
    world_restart(&w);
    world_look(&w, 1000);
    assert_int_equal(w.count, 1);
    assert_int_equal(w.items[0].entry.bytes, sizeof text);
    assert_int_equal(w.items[0].entry.payload.n, WORLD_BYTES_MAX / DISCARDS_SEGMENTS / 2);
    assert_int_equal(w.stats.bytes_total, w.items[0].entry.payload.n);
    assert_true(w.stats.disk_bytes <= WORLD_BYTES_MAX / DISCARDS_SEGMENTS);
    world_free(&w);
}

/* Their log has been trimmed: only their number is known. */
static void test_r8_slots_without_contents_are_counted(void **state)
{
    struct world w;
    (void)state;
    world_init(&w);
    struct discard entry = world_entry(5, 3);
    entry.kind = 0;
    entry.slots = 1000;
    entry.bytes = 0;
    entry.payload = (struct span){ 0 };
    world_begin(&w);
    world_add(&w, &entry);
    world_add(&w, &entry);
    assert_int_equal(world_end(&w), DISCARDS_DONE);
    assert_int_equal(world_put(&w, 1000, 1006, 3), DISCARDS_DONE); /* up to 1004 they are there */
    for (int life = 0; life < 2; life++) {
        world_look(&w, 1000);
        assert_int_equal(w.count, 3);
        assert_int_equal(w.items[0].entry.slots, 1000);
        assert_int_equal(w.items[0].entry.kind, 0);
        assert_int_equal(w.stats.blind, 1000);
        assert_int_equal(w.stats.total, 3);
        world_restart(&w);
    }
    assert_true(discards_has(w.d, 7, 5, 1004, 3));
    assert_int_equal(discards_last_slot(w.d, 7), 1006);
    assert_int_equal(discards_last_slot(w.d, 8), 0);
    assert_int_equal(world_regain(&w, 5, 1003, 3), DISCARDS_DONE); /* not all of it */
    world_look(&w, 1000);
    assert_int_equal(w.stats.regained, 0);
    assert_int_equal(world_regain(&w, 5, 1004, 3), DISCARDS_DONE);
    world_look(&w, 1000);
    assert_int_equal(w.stats.regained, 1);
    assert_true(w.items[0].regained);
    for (qr_slot slot = 2000; w.stats.overflowed == 0; slot += 100) {
        assert_int_equal(world_put(&w, slot, slot + 99, 3), DISCARDS_DONE);
        world_look(&w, 1000);
    }
    world_restart(&w);
    world_look(&w, 1000);
    assert_int_equal(w.stats.blind, 1000); /* ever */
    assert_int_equal(w.stats.regained, 1);
    world_free(&w);
}

/* What was given up is apart from what is lost: one entry for each term that it was given up to,
 * which no log regains. */
static void test_what_was_given_up_is_here_again_or_not(void **state)
{
    struct world w;
    (void)state;
    world_init(&w);
    struct discard entry = world_entry(1, 3);
    entry.kind = 0;
    entry.slots = 1;
    entry.bytes = 0;
    entry.payload = (struct span){ 0 };
    entry.reason = DISCARD_GIVEN_UP;
    world_begin(&w);
    for (qr_term to = 8; to <= 9; to++) {
        entry.lost_to = to;
        world_add(&w, &entry);
        world_add(&w, &entry); /* a crash came between */
    }
    assert_int_equal(world_end(&w), DISCARDS_DONE);
    assert_int_equal(world_put(&w, 1, 2, 3), DISCARDS_DONE); /* what is lost has its name */
    world_look(&w, 1000);
    assert_int_equal(w.stats.total, 4);
    for (int life = 0; life < 2; life++) {
        assert_int_equal(discards_gave_up(w.d, 7), 9);
        assert_int_equal(discards_gave_up(w.d, 6), 0);
        assert_int_equal(discards_last_slot(w.d, 7), 2);
        world_restart(&w);
    }
    assert_int_equal(world_regain(&w, 1, 2, 3), DISCARDS_DONE);
    world_look(&w, 1000);
    assert_int_equal(w.stats.regained, 2);
    assert_int_equal(world_again(&w, 9), DISCARDS_DONE);
    assert_int_equal(discards_gave_up(w.d, 7), 9);
    assert_int_equal(world_again(&w, 8), DISCARDS_DONE);
    for (int life = 0; life < 2; life++) {
        assert_int_equal(discards_gave_up(w.d, 7), 8);
        world_look(&w, 1000);
        assert_int_equal(w.stats.regained, 3);
        assert_false(w.items[0].regained);
        assert_true(w.items[1].regained);
        assert_int_equal(w.items[0].entry.slot, 1);
        world_restart(&w);
    }
    world_free(&w);
}

/* --- J4 ------------------------------------------------------------------------------------- */

static void test_what_is_in_the_log_again_is_not_shown_as_discarded(void **state)
{
    struct world w;
    (void)state;
    world_init(&w);
    assert_int_equal(world_put(&w, 1, 20, 3), DISCARDS_DONE);
    assert_true(discards_has(w.d, 7, 20, 25, 3));
    assert_true(discards_has(w.d, 7, 1, 1, 3));
    assert_false(discards_has(w.d, 7, 21, 25, 3));
    assert_false(discards_has(w.d, 7, 1, 20, 4));
    assert_false(discards_has(w.d, 8, 1, 20, 3));
    assert_int_equal(world_regain(&w, 5, 9, 3), DISCARDS_DONE);
    assert_false(discards_has(w.d, 7, 5, 9, 3));
    uint64_t operations = disk_operations(w.disk);
    assert_int_equal(world_regain(&w, 5, 9, 3), DISCARDS_DONE);
    assert_int_equal(disk_operations(w.disk), operations); /* nothing to be said */
    for (int life = 0; life < 2; life++) {
        world_look(&w, 1000);
        assert_int_equal(w.count, 20);
        assert_int_equal(w.stats.kept, 15);
        assert_int_equal(w.stats.regained, 5);
        for (qr_slot slot = 1; slot <= 20; slot++) {
            assert_int_equal(world_shown(&w, slot, 3, slot >= 5 && slot <= 9), 1);
        }
        world_restart(&w);
    }
    /* and it is discarded once more */
    assert_int_equal(world_put(&w, 7, 12, 3), DISCARDS_DONE);
    world_look(&w, 1000);
    assert_int_equal(w.count, 23);
    assert_int_equal(world_shown(&w, 7, 3, false), 1);
    assert_int_equal(world_shown(&w, 7, 3, true), 1);
    assert_int_equal(world_shown(&w, 10, 3, false), 1);
    assert_int_equal(world_shown(&w, 5, 3, false), 0);
    world_free(&w);
}

/* --- Reading -------------------------------------------------------------------------------- */

struct first {
    uint64_t number;
    uint32_t count;
};

static void note_first(void *context, const struct discards_item *item)
{
    struct first *first = context;
    first->number = first->count++ == 0 ? item->entry.number : first->number;
}

static void test_a_scan_goes_on_at_any_number(void **state)
{
    struct world w;
    (void)state;
    world_init(&w);
    assert_int_equal(world_put(&w, 1, 2500, 3), DISCARDS_DONE);
    world_look(&w, 7);
    uint64_t oldest = w.stats.oldest;
    assert_true(oldest > 1);
    for (uint64_t cursor = 0; cursor <= 2505; cursor++) {
        struct first first = { 0 };
        uint64_t next = 1;
        assert_int_equal(discards_scan(w.d, cursor, 1, note_first, &first, &next), 0);
        uint64_t expected = cursor < oldest ? oldest : cursor;
        assert_int_equal(first.count, expected <= 2500);
        assert_int_equal(first.number, expected <= 2500 ? expected : 0);
        assert_int_equal(next, expected < 2500 ? expected + 1 : 0);
    }
    struct first all = { 0 };
    uint64_t next;
    assert_int_equal(discards_scan(w.d, 0, UINT32_MAX, note_first, &all, &next), 0);
    assert_true(all.count <= DISCARDS_COUNT_MAX);
    disk_fail_read(w.disk, 1);
    assert_int_equal(discards_scan(w.d, 0, 10, note_first, &all, &next), -EIO);
    assert_int_equal(discards_scan(w.d, 0, 10, note_first, &all, &next), 0);
    world_free(&w);
}

/* What is not durable is not shown. */
static void test_what_is_on_its_way_is_not_shown(void **state)
{
    struct world w;
    (void)state;
    world_init(&w);
    assert_int_equal(world_put(&w, 1, 5, 3), DISCARDS_DONE);
    world_begin(&w);
    for (qr_slot slot = 6; slot <= 9; slot++) {
        struct discard entry = world_entry(slot, 3);
        world_add(&w, &entry);
    }
    int error;
    assert_int_equal(discards_end(w.d, &error), DISCARDS_LATER);
    world_look(&w, 2);
    assert_int_equal(w.count, 5);
    assert_int_equal(w.stats.total, 5);
    disk_settle(w.disk);
    assert_true(w.ended && w.result == DISCARDS_DONE);
    world_look(&w, 2);
    assert_int_equal(w.count, 9);
    world_free(&w);
}

/* A node that fails stops at once: whoever waits for the journal is gone by then. */
static void test_closed_while_it_is_written_it_ends_by_itself(void **state)
{
    (void)state;
    struct world w;
    world_init(&w);
    struct discard entry = world_entry(5, 3);
    int error = 0;
    world_begin(&w);
    world_add(&w, &entry);
    assert_int_equal(discards_end(w.d, &error), DISCARDS_LATER);
    discards_close(w.d);
    w.d = NULL;
    disk_settle(w.disk);
    assert_false(w.ended || w.woken);
    world_restart(&w);
    world_look(&w, 10); /* it may be there or not */
    world_free(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nothing_is_made_before_something_is_discarded),
        cmocka_unit_test(test_r8_what_is_discarded_can_be_read_with_its_reason),
        cmocka_unit_test(test_reasons_have_names),
        cmocka_unit_test(test_a_slot_and_term_is_one_entry),
        cmocka_unit_test(test_slots_may_come_in_any_order),
        cmocka_unit_test(test_r8_what_makes_room_is_counted),
        cmocka_unit_test(test_short_segments_are_many),
        cmocka_unit_test(test_what_is_too_long_is_cut_and_says_so),
        cmocka_unit_test(test_r8_slots_without_contents_are_counted),
        cmocka_unit_test(test_what_was_given_up_is_here_again_or_not),
        cmocka_unit_test(test_what_is_in_the_log_again_is_not_shown_as_discarded),
        cmocka_unit_test(test_a_scan_goes_on_at_any_number),
        cmocka_unit_test(test_what_is_on_its_way_is_not_shown),
        cmocka_unit_test(test_closed_while_it_is_written_it_ends_by_itself),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
