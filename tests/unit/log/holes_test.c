/* Entries whose bytes are bad while everything around them is proven: they are named, filled from
 * outside, and stay filled (scenarios 62, 105, 109). Whatever else could have stood there is told
 * as damage. */
#include "rig.h"

#include "log/log_internal.h"

#include <errno.h>
#include <string.h>

/* Where the record of an entry lies on the disk. */
static uint8_t *bytes_of(struct rig *rig, uint32_t group, qr_slot slot)
{
    const struct group *g = groups_find(&rig->log->groups, group);
    const struct run *run = group_run(g, group_find_run(g, slot));
    const struct segment *s = segment_of(rig->log, run->offset);
    for (size_t i = 0; i < disk_files(rig->disk); i++) {
        size_t n;
        uint8_t *p = disk_bytes(rig->disk, i, &n);
        struct segment_header h;
        if (n < LOG_BLOCK_BYTES || segment_header_decode(p, &h) != HEADER_OK ||
            h.generation != s->header.generation) {
            continue;
        }
        p += h.body_offset + (run->offset - h.first);
        for (qr_slot at = run->slot; at < slot; at++) {
            struct record r;
            p += record_peek(span_of(p, 64 * KIB), &r);
        }
        return p;
    }
    fail();
    return NULL;
}

/* Roster, parts of a large argument, commands. */
static uint8_t kind_of(qr_slot slot)
{
    return slot == 15 ? RECORD_MEMBERS : slot >= 5 && slot <= 8 ? RECORD_BLOB : RECORD_COMMAND;
}

/* A log of 30 entries in one batch, of terms 1 (to 10), 2 (to 20) and 3, and a batch behind it. */
static void build(struct rig *rig)
{
    rig_start(rig, 1 * MIB);
    log_state(rig->log, 1, SPAN_LITERAL("vote"));
    for (qr_slot slot = 1; slot <= 30; slot++) {
        rig_append_kind(rig, 1, slot, 1 + (slot - 1) / 10, kind_of(slot));
    }
    rig_flush(rig);
    rig_append(rig, 1, 31, 3);
    rig_flush(rig);
    rig_append(rig, 1, 32, 3);
    rig_flush(rig);
    disk_settle(rig->disk);
}

static qr_term built_term(qr_slot slot)
{
    return slot > 30 ? 3 : 1 + (slot - 1) / 10;
}

static struct log_hole only_hole(struct rig *rig)
{
    struct log_hole hole[2];
    assert_int_equal(log_holes(rig->log, 1, hole, 2), 1);
    return hole[0];
}

static void check_whole(struct rig *rig)
{
    struct log_hole hole;
    struct log_group g = rig_group(rig, 1);
    assert_int_equal(log_holes(rig->log, 1, &hole, 1), 0);
    assert_int_equal(g.last_slot, 32);
    assert_int_equal(g.run_count, 3);
    for (uint32_t i = 0; i < 3; i++) {
        assert_int_equal(g.runs[i].slot, 1 + 10 * i);
        assert_int_equal(g.runs[i].term, 1 + i);
    }
    for (qr_slot slot = 1; slot <= 32; slot++) {
        assert_true(slot == 15 || rig_has(rig, 1, slot, built_term(slot)));
    }
    struct span out;
    assert_int_equal(log_read(rig->log, 1, 1, 33, 1 * MIB, &out), 32);
}

static void the_term_of_a_hole_follows_from_its_neighbours(void **state)
{
    (void)state;
    for (qr_slot lo = 1; lo <= 30; lo++) {
        struct rig rig;
        build(&rig);
        bytes_of(&rig, 1, lo)[RECORD_HEADER_BYTES - 4] ^= 0x40; /* the kind */
        rig_restart(&rig, LOG_OPEN_OK);
        struct log_hole hole = only_hole(&rig);
        assert_int_equal(hole.lo, lo);
        assert_int_equal(hole.hi, lo);
        assert_int_equal(hole.next_term, built_term(lo + 1));
        bool sure = lo > 1 && built_term(lo - 1) == built_term(lo + 1);
        assert_int_equal(hole.term, sure ? built_term(lo) : 0);
        assert_false(rig_patch(&rig, 1, lo, built_term(lo + 1) + 1));
        assert_false(lo > 10 && rig_patch(&rig, 1, lo, built_term(lo - 1) - 1));
        assert_false(sure && rig_patch(&rig, 1, lo, built_term(lo) - 1));
        assert_true(rig_patch(&rig, 1, lo, built_term(lo)));
        rig_flush(&rig);
        check_whole(&rig);
        rig_restart(&rig, LOG_OPEN_OK);
        check_whole(&rig);
        rig_stop(&rig);
    }
}

static void many_entries_are_filled_in_order(void **state)
{
    (void)state;
    struct rig rig;
    build(&rig);
    uint8_t *from = bytes_of(&rig, 1, 5);
    uint8_t *to = bytes_of(&rig, 1, 24);
    memset(from + 7, 0, (size_t)(to - from) - 7); /* lengths and all: slots 5 to 23 */
    rig_restart(&rig, LOG_OPEN_OK);
    for (int life = 0; life < 4; life++) {
        struct log_hole hole = only_hole(&rig);
        assert_int_equal(hole.lo, 5 + 3 * life);
        assert_int_equal(hole.hi, 23);
        assert_int_equal(hole.term, 0);
        assert_int_equal(hole.next_term, 3);
        for (qr_slot slot = hole.lo; slot < hole.lo + 3; slot++) {
            assert_true(rig_patch(&rig, 1, slot, built_term(slot)));
        }
        rig_flush(&rig);
        assert_true(rig_patch(&rig, 1, hole.lo + 3, built_term(hole.lo + 3)));
        rig_restart(&rig, LOG_OPEN_OK); /* the last one was not durable */
    }
    for (qr_slot slot = 17; slot <= 23; slot++) {
        assert_true(rig_patch(&rig, 1, slot, built_term(slot)));
    }
    rig_flush(&rig);
    check_whole(&rig);
    rig_stop(&rig);
}

static void a_roster_in_a_hole_is_known_again(void **state)
{
    (void)state;
    struct rig rig;
    build(&rig);
    bytes_of(&rig, 1, 15)[RECORD_HEADER_BYTES + 1] ^= 1;
    rig_restart(&rig, LOG_OPEN_OK);
    assert_int_equal(rig_group(&rig, 1).members_count, 0);
    uint8_t p[RECORD_HEADER_BYTES + RIG_PAYLOAD_MAX];
    size_t n = rig_payload(1, 15, 2, p + RECORD_HEADER_BYTES);
    record_seal(p, 1, RECORD_MEMBERS, 15, 2, n);
    assert_false(log_patch(rig.log, 2, span_of(p, record_bytes(n))));
    assert_true(log_patch(rig.log, 1, span_of(p, record_bytes(n))));
    rig_flush(&rig);
    for (int round = 0; round < 2; round++) {
        assert_int_equal(rig_group(&rig, 1).members_count, 1);
        assert_int_equal(rig_group(&rig, 1).members[0], 15);
        rig_restart(&rig, LOG_OPEN_OK);
    }
    rig_stop(&rig);
}

/* A bad record that no gap explains may have been a vote, or a truncation: no hole, but damage; and
 * what is cut then is all from its batch on. */
static void scenario_62_what_may_be_more_than_an_entry_is_damage(void **state)
{
    (void)state;
    for (int kind = 0; kind < 2; kind++) {
        struct rig rig;
        rig_start(&rig, 1 * MIB);
        for (qr_slot slot = 1; slot <= 5; slot++) {
            rig_append(&rig, 1, slot, 1);
        }
        rig_flush(&rig);
        if (kind == 0) {
            log_state(rig.log, 1, SPAN_LITERAL("vote"));
        } else {
            log_truncate(rig.log, 1, 5);
            rig_append(&rig, 1, 5, 2);
        }
        rig_append(&rig, 1, 6, 2);
        rig_flush(&rig);
        rig_append(&rig, 1, 7, 2);
        rig_flush(&rig);
        uint8_t *first;
        const struct group *g = groups_find(&rig.log->groups, 1);
        uint32_t run = group_find_run(g, kind == 0 ? 6 : 5); /* the first of its batch */
        first = bytes_of(&rig, 1, group_run(g, run)->slot);
        first -= group_run(g, run)->offset % LOG_BLOCK_BYTES;
        first[BATCH_HEADER_BYTES + 9] ^= 1;
        if (kind == 1) {
            bytes_of(&rig, 1, 5)[9] ^= 1;
        }
        rig_restart(&rig, LOG_OPEN_DAMAGED);
        rig_forget(&rig);
        rig.config.cut_damage = true;
        rig_open(&rig, LOG_OPEN_OK);
        rig.config.cut_damage = false;
        assert_non_null(strstr(rig.message, "has forgotten"));
        assert_int_equal(rig_group(&rig, 1).last_slot, 5);
        rig_expect(&rig, 1, 1, 6);
        rig_append(&rig, 1, 6, 3);
        rig_flush(&rig);
        rig_restart(&rig, LOG_OPEN_OK);
        assert_true(rig_has(&rig, 1, 6, 3));
        rig_stop(&rig);
    }
}

/* Entries of term 1 until there are three segments; returns the last slot. */
static qr_slot fill_three_segments(struct rig *rig)
{
    qr_slot slot = 0;
    while (rig->log->segment_count < 3) {
        rig_append(rig, 1, ++slot, 1);
        rig_flush(rig);
    }
    disk_settle(rig->disk);
    return slot;
}

/* The segment with the hole goes before the one with the patch. */
static void a_patch_outlives_the_segment_of_its_hole(void **state)
{
    (void)state;
    struct rig rig;
    rig_start(&rig, 64 * KIB);
    qr_slot slot = fill_three_segments(&rig);
    const struct group *g = groups_find(&rig.log->groups, 1);
    qr_slot hole = g->runs[group_find_run(g, 2)].slot;
    while (segment_of(rig.log, group_run(g, group_find_run(g, hole + 1))->offset) ==
           &rig.log->segments[0]) {
        hole++; /* the last of the first segment */
    }
    bytes_of(&rig, 1, hole)[6] ^= 1;
    rig_restart(&rig, LOG_OPEN_OK);
    assert_int_equal(only_hole(&rig).lo, hole);
    assert_true(rig_patch(&rig, 1, hole, 1));
    log_trim(rig.log, 1, hole - 1, 1);
    for (int i = 0; i < 3; i++) {
        rig_append(&rig, 1, ++slot, 1);
        rig_flush(&rig);
        disk_settle(rig.disk);
    }
    uint64_t oldest = rig.log->segments[0].header.generation;
    assert_true(oldest > 1);
    for (int round = 0; round < 2; round++) {
        struct log_hole none;
        rig_restart(&rig, LOG_OPEN_OK);
        assert_int_equal(log_holes(rig.log, 1, &none, 1), 0);
        rig_expect(&rig, 1, hole, slot + 1);
    }
    log_truncate(rig.log, 1, hole + 1); /* now it is the oldest, and the last */
    slot = hole;
    uint64_t wanted = log_newest(rig.log)->header.generation + 5;
    while (log_newest(rig.log)->header.generation < wanted) {
        rig_append(&rig, 1, ++slot, 2);
        rig_flush(&rig);
        disk_settle(rig.disk);
    }
    rig_restart(&rig, LOG_OPEN_OK);
    assert_true(rig_has(&rig, 1, hole, 1));
    rig_stop(&rig);
}

/* A segment of which nothing is wanted but what is lost in it stays until that is filled: without
 * it nobody could tell after a death in between that only entries are lost. */
static void the_segment_of_a_hole_stays_until_it_is_filled(void **state)
{
    (void)state;
    struct rig rig;
    rig_start(&rig, 64 * KIB);
    qr_slot slot = fill_three_segments(&rig);
    const struct group *g = groups_find(&rig.log->groups, 1);
    qr_slot hole = 2;
    while (segment_of(rig.log, group_run(g, group_find_run(g, hole + 2))->offset) ==
           &rig.log->segments[0]) {
        hole++; /* the last two of the first segment */
    }
    bytes_of(&rig, 1, hole)[6] ^= 1;
    bytes_of(&rig, 1, hole + 1)[6] ^= 1;
    log_trim(rig.log, 1, hole - 1, 1);
    rig_flush(&rig);
    uint64_t oldest = rig.log->segments[0].header.generation;
    for (int round = 0; round < 2; round++) {
        rig_restart(&rig, LOG_OPEN_OK);
        (void)rig_patch(&rig, 1, hole, 1);
        for (int i = 0; i < 3; i++) {
            log_state(rig.log, 1, SPAN_LITERAL("vote"));
            rig_flush(&rig);
            disk_settle(rig.disk);
        }
        assert_int_equal(only_hole(&rig).lo, hole + 1);
        assert_int_equal(rig.log->segments[0].header.generation, oldest);
    }
    assert_true(rig_patch(&rig, 1, hole + 1, 1));
    for (int i = 0; i < 3; i++) {
        log_state(rig.log, 1, SPAN_LITERAL("vote"));
        rig_flush(&rig);
        disk_settle(rig.disk);
    }
    assert_true(rig.log->segments[0].header.generation > oldest);
    rig_restart(&rig, LOG_OPEN_OK);
    rig_expect(&rig, 1, hole, slot + 1);
    rig_stop(&rig);
}

/* Whatever may be appended as an entry is one when the log is read back. */
static void every_kind_of_entry_survives_a_restart(void **state)
{
    (void)state;
    struct rig rig;
    qr_slot slot = 0;
    rig_start(&rig, 64 * KIB);
    for (unsigned kind = 0; kind <= UINT8_MAX; kind++) {
        if (record_is_entry((uint8_t)kind)) {
            rig_append_kind(&rig, 1, ++slot, 1, (uint8_t)kind);
        }
    }
    assert_int_equal(slot, RECORD_ROWS);
    rig_flush(&rig);
    rig_restart(&rig, LOG_OPEN_OK);
    assert_int_equal(log_last_slot(rig.log, 1), slot);
    rig_stop(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_kind_of_entry_survives_a_restart),
        cmocka_unit_test(the_term_of_a_hole_follows_from_its_neighbours),
        cmocka_unit_test(many_entries_are_filled_in_order),
        cmocka_unit_test(a_roster_in_a_hole_is_known_again),
        cmocka_unit_test(scenario_62_what_may_be_more_than_an_entry_is_damage),
        cmocka_unit_test(a_patch_outlives_the_segment_of_its_hole),
        cmocka_unit_test(the_segment_of_a_hole_stays_until_it_is_filled),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
