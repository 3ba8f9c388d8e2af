/* Many groups in one log: what one costs, what a drop leaves, who pins the log, and groups that are
 * carried along instead of being checkpointed. */
#include "rig.h"

#include "base/alloc.h"
#include "log/log_internal.h"

#include <malloc.h>
#include <string.h>
#include <time.h>

#define MANY 10000u

static void append_and_flush(struct rig *rig, uint32_t group, qr_slot lo, qr_slot hi)
{
    for (qr_slot slot = lo; slot < hi; slot++) {
        rig_append(rig, group, slot, 1);
    }
    rig_flush(rig);
}

/* Entries of group 1 until the log has grown by that much, trimmed behind. */
static void grow(struct rig *rig, uint64_t bytes)
{
    uint64_t end = log_position(rig->log) + bytes;
    struct log_group g;
    qr_slot slot = log_group_state(rig->log, 1, &g) ? g.last_slot : 0;
    while (log_position(rig->log) < end) {
        append_and_flush(rig, 1, slot + 1, slot + 9);
        slot += 8;
        log_trim(rig->log, 1, slot - 1, 1);
    }
    rig_flush(rig);
    disk_settle(rig->disk);
}

static uint64_t segments(struct rig *rig)
{
    struct log_stats stats;
    log_stats(rig->log, &stats);
    return stats.segments;
}

static bool is_known(struct rig *rig, uint32_t group)
{
    struct log_group g;
    return log_group_state(rig->log, group, &g);
}

/* --- Drops ---------------------------------------------------------------------------------- */

static void a_dropped_group_has_never_been(void **state)
{
    (void)state;
    struct rig rig;
    rig_start(&rig, 64 * KIB);
    append_and_flush(&rig, 7, 1, 20);
    log_state(rig.log, 7, SPAN_LITERAL("vote"));
    append_and_flush(&rig, 8, 1, 20);
    log_drop(rig.log, 7);
    log_drop(rig.log, 9); /* which never was: nothing happens */
    assert_false(is_known(&rig, 7));
    struct span out;
    assert_int_equal(log_read(rig.log, 7, 1, 2, 1, &out), 0);
    rig_flush(&rig);
    for (int round = 0; round < 3; round++) {
        assert_false(is_known(&rig, 7));
        rig_expect(&rig, 8, 1, 20);
        rig_restart(&rig, LOG_OPEN_OK);
    }
    /* Another life of it. */
    append_and_flush(&rig, 7, 1, 4);
    for (int round = 0; round < 2; round++) {
        assert_int_equal(rig_group(&rig, 7).last_slot, 3);
        assert_int_equal(rig_group(&rig, 7).state.n, 0);
        rig_expect(&rig, 7, 1, 4);
        rig_restart(&rig, LOG_OPEN_OK);
    }
    rig_stop(&rig);
}

static void a_drop_lets_go_of_segments(void **state)
{
    (void)state;
    struct rig rig;
    rig_start(&rig, 64 * KIB);
    append_and_flush(&rig, 7, 1, 3);
    grow(&rig, 512 * KIB);
    assert_true(segments(&rig) > 6);
    struct log_stats stats;
    log_stats(rig.log, &stats);
    assert_int_equal(stats.pin_group, 7);
    log_drop(rig.log, 7);
    rig_flush(&rig);
    grow(&rig, 64 * KIB);
    assert_in_range(segments(&rig), 1, 4);
    rig_restart(&rig, LOG_OPEN_OK);
    assert_false(is_known(&rig, 7));
    rig_stop(&rig);
}

/* Each segment holds a batch of one block behind what it says of the groups. */
static void a_log_whose_segments_are_all_restatement_comes_to_rest(void **state)
{
    (void)state;
    struct rig rig;
    rig_start(&rig, 64 * KIB);
    uint8_t p[RECORD_HEADER_BYTES];
    for (uint32_t group = 0; group < 1500; group++) {
        record_seal(p, group, RECORD_NOOP, 1, 1, 0);
        log_append(rig.log, span_of(p, sizeof p), 1);
    }
    rig_flush(&rig);
    for (uint32_t group = 0; group < 1500; group++) {
        log_trim(rig.log, group, 1, 1);
    }
    uint64_t position = 0;
    for (int turn = 0; turn < 200; turn++) {
        position = turn == 100 ? log_position(rig.log) : position;
        rig_flush(&rig);
        disk_settle(rig.disk);
    }
    assert_int_equal(log_position(rig.log), position);
    rig_stop(&rig);
}

/* Wherever the power fails around a drop: the group is there as it was, or not at all. */
static void a_crash_around_a_drop(void **state)
{
    (void)state;
    struct rng rng = rng_from(11);
    uint32_t gone = 0, whole = 0;
    for (uint32_t round = 0; round < 200; round++) {
        struct rig rig;
        rig_start(&rig, 64 * KIB);
        append_and_flush(&rig, 7, 1, 10);
        append_and_flush(&rig, 8, 1, 4);
        log_drop(rig.log, 7);
        if (round % 2 == 0) {
            rig_append(&rig, 7, 1, 2); /* another life, in the same write */
        }
        log_flush(rig.log);
        bool durable = round % 4 >= 2 && disk_step(rig.disk) && rig.durable > 0;
        rig_forget(&rig);
        disk_power_loss(rig.disk, &rng);
        rig_restart(&rig, LOG_OPEN_OK);
        rig_expect(&rig, 8, 1, 4);
        struct log_group g = { 0 };
        bool known = log_group_state(rig.log, 7, &g);
        if (known && g.last_slot == 9) {
            rig_expect(&rig, 7, 1, 10);
            assert_false(durable && log_idle(rig.log) && rig.durable > 0);
            whole++;
        } else {
            assert_true(!known || (g.last_slot == 1 && rig_has(&rig, 7, 1, 2)));
            gone++;
        }
        rig_stop(&rig);
    }
    assert_true(gone > 20 && whole > 20);
}

/* --- Pins ----------------------------------------------------------------------------------- */

/* A segment that is let go by the wrong one takes entries of another group with it. */
static void the_oldest_is_on_top_whoever_goes(void **state)
{
    (void)state;
    struct rng rng = rng_from(6);
    for (uint32_t round = 0; round < 200; round++) {
        struct groups groups = { 0 };
        struct pins pins = { 0 };
        for (uint32_t id = 1; id <= 60; id++) { /* as an open finds them: in any order */
            struct group *g = groups_get(&groups, id);
            group_append(g, 1, 1, rng_below(&rng, 1000), 1);
            pins_add(&pins, g);
        }
        for (uint32_t i = 0; i < 30; i++) {
            pins_remove(&pins, groups_find(&groups, 1 + (uint32_t)rng_below(&rng, 60)));
        }
        uint64_t before = 0;
        struct group *first;
        while ((first = pins_first(&pins)) != NULL) {
            assert_true(group_first_offset(first) >= before);
            before = group_first_offset(first);
            pins_remove(&pins, first);
        }
        assert_int_equal(pins.count, 0);
        pins_free(&pins);
        groups_free(&groups);
    }
}

/* Against a look at all groups, while they come, are trimmed and go. */
static void the_oldest_entry_is_known(void **state)
{
    (void)state;
    struct rig rig;
    struct rng rng = rng_from(5);
    rig_start(&rig, 256 * KIB);
    for (uint32_t i = 0; i < 4000; i++) {
        uint32_t group = 1 + (uint32_t)rng_below(&rng, 60);
        struct log_group g = { 0 };
        (void)log_group_state(rig.log, group, &g);
        uint64_t dice = rng_below(&rng, 10);
        if (dice < 5) {
            rig_append(&rig, group, g.last_slot + 1, 1);
        } else if (dice < 8 && g.last_slot > g.base_slot) {
            log_trim(rig.log, group, g.base_slot + 1 + rng_below(&rng, g.last_slot - g.base_slot),
                     1);
        } else if (dice < 9) {
            log_drop(rig.log, group);
        } else if (g.last_slot > g.base_slot) {
            log_truncate(rig.log, group, g.base_slot + 1);
        }
        if (i % 50 == 0) {
            rig_flush(&rig);
        }
        if (i % 1000 == 999) {
            rig_flush(&rig);
            rig_restart(&rig, LOG_OPEN_OK);
        }
        uint64_t most = 0, bytes = 0;
        uint32_t at = 0, id, count = 0;
        while (log_next_group(rig.log, &at, &id)) {
            most = max_u64(most, log_group_bytes(rig.log, id));
            count++;
        }
        assert_int_equal(count, log_group_count(rig.log));
        assert_int_equal(log_pin(rig.log, &id, &bytes), most > 0);
        assert_true(bytes == most);
        assert_true(most == 0 || log_group_bytes(rig.log, id) == most);
    }
    rig_stop(&rig);
}

/* --- Carrying ------------------------------------------------------------------------------- */

static uint64_t carry(struct rig *rig, uint64_t behind, uint64_t group_bytes)
{
    uint64_t position = log_position(rig->log);
    struct log_carrying carrying = { .before = position > behind ? position - behind : 0,
                                     .group_bytes = group_bytes,
                                     .bytes = 64 * KIB };
    uint64_t carried = log_carry(rig->log, &carrying);
    rig_flush(rig);
    return carried;
}

/* Terms and members of several kinds survive the segments of the originals, again and again. */
static void carried_entries_outlive_their_segments(void **state)
{
    (void)state;
    struct rig rig;
    rig_start(&rig, 64 * KIB);
    rig_append_kind(&rig, 7, 1, 1, RECORD_MEMBERS);
    rig_append(&rig, 7, 2, 1);
    rig_append(&rig, 7, 3, 2);
    rig_append_kind(&rig, 7, 4, 4, RECORD_MEMBERS);
    rig_append(&rig, 7, 5, 4);
    log_state(rig.log, 7, SPAN_LITERAL("vote"));
    rig_flush(&rig);
    for (int round = 0; round < 6; round++) {
        grow(&rig, 200 * KIB);
        assert_int_equal(carry(&rig, 1 * MIB, 64 * KIB), 0); /* not that old */
        assert_int_equal(carry(&rig, 100 * KIB, 64), 0);     /* not so little */
        assert_true(carry(&rig, 100 * KIB, 64 * KIB) > 0);
        grow(&rig, 64 * KIB);
        assert_in_range(segments(&rig), 1, 4);
        if (round % 2 == 1) {
            rig_restart(&rig, LOG_OPEN_OK);
        }
        struct log_group g = rig_group(&rig, 7);
        assert_int_equal(g.last_slot, 5);
        assert_int_equal(g.run_count, 3);
        assert_int_equal(g.members_count, 2);
        assert_int_equal(g.members[1], 4);
        static const qr_term terms[] = { 1, 1, 2, 4, 4 };
        for (qr_slot slot = 1; slot <= 5; slot++) {
            assert_true(rig_has(&rig, 7, slot, terms[slot - 1]));
        }
        assert_memory_equal(g.state.p, "vote", 4);
    }
    append_and_flush(&rig, 8, 1, 5);
    rig_append(&rig, 7, 6, 4); /* it goes on behind them */
    log_truncate(rig.log, 7, 4);
    rig_append(&rig, 7, 4, 5);
    log_trim(rig.log, 7, 2, 1);
    rig_flush(&rig);
    rig_restart(&rig, LOG_OPEN_OK);
    assert_int_equal(rig_group(&rig, 7).last_slot, 4);
    assert_true(rig_has(&rig, 7, 3, 2) && rig_has(&rig, 7, 4, 5));
    rig_stop(&rig);
}

/* Carried and then trimmed in the middle: later segments restate what is left with the term of its
 * last entry, and the patches say what the others had. */
static void what_is_left_of_carried_entries_is_found(void **state)
{
    (void)state;
    static const qr_term terms[] = { 1, 1, 2, 4, 4, 6 };
    for (qr_slot trim = 0; trim < 6; trim++) {
        for (int again = 0; again < 2; again++) {
            struct rig rig;
            rig_start(&rig, 64 * KIB);
            for (qr_slot slot = 1; slot <= 6; slot++) {
                rig_append(&rig, 7, slot, terms[slot - 1]);
            }
            rig_flush(&rig);
            grow(&rig, 200 * KIB);
            assert_true(carry(&rig, 100 * KIB, 64 * KIB) > 0);
            if (again == 1) {
                grow(&rig, 200 * KIB); /* a segment begins between them and what trims them */
            }
            if (trim > 0) {
                log_trim(rig.log, 7, trim, terms[trim - 1]);
            }
            rig_flush(&rig);
            for (int round = 0; round < 3; round++) {
                rig_restart(&rig, LOG_OPEN_OK);
                struct log_group g = rig_group(&rig, 7);
                assert_int_equal(g.base_slot, trim);
                assert_int_equal(g.last_slot, 6);
                for (qr_slot slot = trim + 1; slot <= 6; slot++) {
                    assert_true(rig_has(&rig, 7, slot, terms[slot - 1]));
                }
                grow(&rig, 64 * KIB);
            }
            rig_stop(&rig);
        }
    }
}

static void grow_to_the_end_of_a_segment(struct rig *rig, uint64_t from)
{
    grow(rig, 1);
    for (qr_slot slot = rig_group(rig, 1).last_slot + 1;
         log_position(rig->log) < from ||
         log_position(rig->log) - log_newest(rig->log)->header.first < 52 * KIB;
         slot++) {
        append_and_flush(rig, 1, slot, slot + 1);
        log_trim(rig->log, 1, slot - 1, 1);
    }
    disk_settle(rig->disk);
}

/* Carried across the end of a segment, of which the first is gone once what it holds is trimmed:
 * the second restates all of them with the term of the last one, and has patches of those in the
 * middle only. */
static bool carried_in_two_segments(uint32_t group, qr_slot trim)
{
    struct rig rig;
    rig_start(&rig, 64 * KIB);
    for (qr_slot slot = 1; slot <= 9; slot++) {
        rig_append(&rig, group, slot, slot);
    }
    rig_flush(&rig);
    grow_to_the_end_of_a_segment(&rig, 130 * KIB);
    uint64_t before = log_newest(rig.log)->header.generation;
    assert_true(carry(&rig, 100 * KIB, 64 * KIB) > 0);
    bool two = log_newest(rig.log)->header.generation > before;
    log_trim(rig.log, group, trim, trim);
    rig_flush(&rig);
    grow(&rig, 64 * KIB);
    rig_restart(&rig, LOG_OPEN_OK);
    struct log_hole hole;
    struct log_group g = rig_group(&rig, group);
    assert_int_equal(g.base_slot, trim);
    assert_int_equal(g.last_slot, 9);
    assert_int_equal(log_holes(rig.log, group, &hole, 1), 0);
    for (qr_slot slot = trim + 1; slot <= 9; slot++) {
        assert_true(rig_has(&rig, group, slot, slot));
    }
    rig_stop(&rig);
    return two;
}

static void what_was_carried_in_two_segments_is_found(void **state)
{
    (void)state;
    uint32_t two = 0;
    for (uint32_t group = 7; group < 27; group++) {
        for (qr_slot trim = 1; trim < 9; trim++) {
            two += carried_in_two_segments(group, trim);
        }
    }
    assert_in_range(two, 40, 160);
}

/* A budget holds, the oldest go first, and none is carried twice in one go. */
static void carrying_is_bounded(void **state)
{
    (void)state;
    struct rig rig;
    rig_start(&rig, 1 * MIB);
    for (uint32_t group = 100; group < 200; group++) {
        append_and_flush(&rig, group, 1, 3);
    }
    uint64_t position = log_position(rig.log);
    struct log_carrying carrying = { .before = position, .group_bytes = 50000, .bytes = 2000 };
    uint64_t all = 0, n;
    for (uint32_t i = 0; (n = log_carry(rig.log, &carrying)) > 0; i++) {
        assert_true(n < 2000 + 50000);
        assert_true(i < 400);
        all += n;
    }
    uint64_t live = 0;
    for (uint32_t group = 100; group < 200; group++) {
        struct span out;
        assert_int_equal(log_read(rig.log, group, 1, 3, SIZE_MAX / 2, &out), 2);
        live += out.n;
        assert_true(log_group_bytes(rig.log, group) <= log_position(rig.log) - position);
    }
    assert_int_equal(all, live);
    rig_flush(&rig);
    rig_stop(&rig);
}

/* --- Costs ---------------------------------------------------------------------------------- */

static size_t heap_bytes(void)
{
    struct mallinfo2 info = mallinfo2();
    return info.uordblks + info.hblkhd;
}

static double seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void one_entry_each(struct rig *rig, qr_slot slot)
{
    uint8_t p[RECORD_HEADER_BYTES + 100] = { 0 };
    for (uint32_t group = 2; group < 2 + MANY; group++) {
        record_seal(p, group, RECORD_COMMAND, slot, 1, 100);
        log_append(rig->log, span_of(p, sizeof p), 1);
        log_state(rig->log, group, SPAN_LITERAL("a state record, 25 bytes"));
    }
    rig_flush(rig);
}

/* Idle groups are cheap to have, to begin a segment with, and to recover. */
static void ten_thousand_groups(void **state)
{
    (void)state;
    struct rig rig;
    rig_start(&rig, 16 * MIB);
    disk_settle(rig.disk);
    one_entry_each(&rig, 1);
    size_t before = heap_bytes();
    rig_restart(&rig, LOG_OPEN_OK);
    rig_forget(&rig);
    rig_open(&rig, LOG_OPEN_OK);
    size_t with = heap_bytes();
    uint32_t at = 0, id;
    while (log_next_group(rig.log, &at, &id)) {
        log_drop(rig.log, id);
        at = 0; /* the table has changed */
    }
    size_t without = heap_bytes();
    (void)before;
#ifndef __SANITIZE_ADDRESS__
    assert_true(with > without && (with - without) / MANY <= 512);
#endif
    rig_restart(&rig, LOG_OPEN_OK);
    assert_int_equal(log_group_count(rig.log), MANY); /* nothing of that was written */
    one_entry_each(&rig, 2);
    double start = seconds();
    rig_restart(&rig, LOG_OPEN_OK);
    double took = seconds() - start;
    print_message("# %u groups recovered in %.0f ms, %zu bytes each\n", MANY, took * 1e3,
                  (with - without) / MANY);
    assert_int_equal(rig_group(&rig, 2 + MANY - 1).last_slot, 2);
    assert_true(took < 3); /* a tenth of it on a machine with nothing else to do */
    rig_stop(&rig);
}

/* --- What is left of a group whose entries are gone ------------------------------------------- */

/* A snapshot takes the place of all that group 7 had, and its log goes on behind that. */
static void scenario_26_a_replaced_log_begins_where_it_did_before_a_restart(void **state)
{
    (void)state;
    for (uint32_t kind = 0; kind < 4; kind++) {
        struct rig rig;
        rig_start(&rig, 64 * KIB);
        append_and_flush(&rig, 7, 1, 6);
        if (kind % 2 == 0) {
            log_trim(rig.log, 7, 40, 3);
        } else {
            log_reset(rig.log, 7, 40, 3);
        }
        for (qr_slot slot = 41; slot < 44; slot++) {
            rig_append(&rig, 7, slot, 4);
        }
        rig_flush(&rig);
        grow(&rig, kind < 2 ? 1 : 200 * KIB); /* then what a new segment restates tells it */
        for (int restart = 0; restart < 2; restart++) {
            struct log_group g = rig_group(&rig, 7);
            assert_int_equal(g.base_slot, 40);
            assert_int_equal(g.base_term, 3);
            assert_int_equal(g.last_slot, 43);
            for (qr_slot slot = 41; slot < 44; slot++) {
                assert_true(rig_has(&rig, 7, slot, 4));
            }
            rig_restart(&rig, LOG_OPEN_OK);
        }
        rig_stop(&rig);
    }
}

/* Of what is applied and in a checkpoint all entries go, segment by segment, and the process dies
 * now and again meanwhile. */
static void scenario_40_positions_never_go_back_when_old_entries_are_dropped(void **state)
{
    (void)state;
    struct rig rig;
    rig_start(&rig, 64 * KIB);
    uint64_t position = 0;
    for (qr_slot last = 10; last <= 300; last += 10) {
        append_and_flush(&rig, 7, last - 9, last + 1);
        log_trim(rig.log, 7, last, 1);
        grow(&rig, 10 * KIB);
        assert_true(rig.durable > position);
        position = rig.durable;
        rig_restart(&rig, LOG_OPEN_OK);
        assert_true(log_position(rig.log) >= position);
        struct log_group g = rig_group(&rig, 7);
        assert_int_equal(g.base_slot, last);
        assert_int_equal(g.last_slot, last);
    }
    assert_true(segments(&rig) < 5); /* those of before are gone */
    rig_stop(&rig);
}

static void fill(struct rig *rig, qr_slot lo, qr_slot hi)
{
    for (qr_slot slot = lo; slot < hi; slot++) {
        rig_append(rig, 1, slot, 1);
        rig_flush(rig);
    }
}

/* A leader of term 3 replaces an entry of term 2 by its own of term 1; what lies before is trimmed
 * later and its segments go. So the oldest segment that is left restates the entry of term 2 alone,
 * and what follows is of a lower term: nothing is damaged. */
static void a_conflict_may_be_older_than_the_oldest_segment(void **state)
{
    (void)state;
    struct rig rig;
    rig_start(&rig, 64 * KIB);
    rig_append(&rig, 3, 1, 1);
    rig_append(&rig, 3, 2, 2);
    fill(&rig, 1, 60);
    rig_append(&rig, 2, 1, 1); /* its segment stays */
    log_truncate(rig.log, 3, 2);
    rig_append(&rig, 3, 2, 1);
    rig_append(&rig, 3, 3, 3);
    fill(&rig, 60, 120);
    log_trim(rig.log, 1, 118, 1);
    log_trim(rig.log, 3, 2, 1);
    uint64_t before = log_newest_begins(rig.log);
    fill(&rig, 120, 180);
    disk_settle(rig.disk);
    assert_true(log_newest_begins(rig.log) > before);
    rig_restart(&rig, LOG_OPEN_OK);
    struct log_group g = rig_group(&rig, 3);
    assert_false(g.damaged);
    assert_int_equal(g.last_slot, 3);
    assert_true(rig_has(&rig, 3, 3, 3));
    rig_expect(&rig, 2, 1, 2);
    rig_stop(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_dropped_group_has_never_been),
        cmocka_unit_test(a_drop_lets_go_of_segments),
        cmocka_unit_test(a_log_whose_segments_are_all_restatement_comes_to_rest),
        cmocka_unit_test(a_crash_around_a_drop),
        cmocka_unit_test(the_oldest_is_on_top_whoever_goes),
        cmocka_unit_test(the_oldest_entry_is_known),
        cmocka_unit_test(carried_entries_outlive_their_segments),
        cmocka_unit_test(what_is_left_of_carried_entries_is_found),
        cmocka_unit_test(what_was_carried_in_two_segments_is_found),
        cmocka_unit_test(carrying_is_bounded),
        cmocka_unit_test(scenario_26_a_replaced_log_begins_where_it_did_before_a_restart),
        cmocka_unit_test(scenario_40_positions_never_go_back_when_old_entries_are_dropped),
        cmocka_unit_test(ten_thousand_groups),
        cmocka_unit_test(a_conflict_may_be_older_than_the_oldest_segment),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
