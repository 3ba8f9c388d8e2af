/* The discard journal on disks that lose power, run full, fail and rot (node/discards.h, J1 to J6):
 * what was called durable is there or counted, and nothing is there that was never added. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "base/crc32c.h"
#include "base/wire.h"
#include "discards_world.h"
#include "log/record.h"

#define SEEDS 40u

static enum failpoint failing; /* with -EIO */

int __wrap_io_failpoint(struct io *io, enum failpoint point);
int __wrap_io_failpoint(struct io *io, enum failpoint point)
{
    (void)io;
    return failing != FAIL_NOWHERE && point == failing ? -EIO : 0;
}

/* --- Power ---------------------------------------------------------------------------------- */

/* Adds slots 31 to 120 with so many steps of the disk. True: all of them were called durable. */
static bool put_within(struct world *w, uint32_t steps)
{
    int error;
    world_begin(w);
    for (qr_slot slot = 31; slot <= 120; slot++) {
        struct discard entry = world_entry(slot, 3);
        while (!discards_add(w->d, &entry)) {
            if (steps-- == 0) {
                return false;
            }
            w->woken = false;
            assert_true(disk_step(w->disk));
        }
    }
    assert_int_equal(discards_end(w->d, &error), DISCARDS_LATER);
    while (steps-- > 0 && !w->ended) {
        assert_true(disk_step(w->disk));
    }
    return w->ended;
}

/* Between any two operations of the disk, in a batch that begins another segment. */
static void test_j1_what_was_ended_survives_the_loss_of_power(void **state)
{
    (void)state;
    uint32_t torn = 0, ended = 0;
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        for (uint32_t steps = 0; steps < 4; steps++) {
            struct rng rng = rng_from(seed * 100 + steps);
            struct world w;
            world_init(&w);
            assert_int_equal(world_put(&w, 1, 30, 3), DISCARDS_DONE);
            if (seed % 2 == 0) {
                world_restart(&w);
            }
            bool done = put_within(&w, steps);
            w.woken = w.ended = false;
            world_power_loss(&w, &rng);
            torn += w.found.torn_bytes > 0;
            ended += done;
            assert_int_equal(w.found.damaged + w.found.unread_files, 0);
            world_look(&w, 50);
            assert_true(w.count >= (done ? 120 : 30) && w.count <= 120);
            for (size_t i = 0; i < w.count; i++) {
                assert_int_equal(w.items[i].entry.slot, i + 1);
            }
            assert_int_equal(world_put(&w, 1, 120, 3), DISCARDS_DONE); /* J3 */
            world_restart(&w);
            world_look(&w, 50);
            assert_int_equal(w.count, 120);
            assert_int_equal(w.found.damaged + w.found.unread_files, 0);
            world_free(&w);
        }
    }
    assert_true(torn > SEEDS / 2 && ended >= SEEDS);
}

/* --- Failing disks -------------------------------------------------------------------------- */

/* J5: whatever fails, nothing of it is shown and what was there stays; the next try has it all. */
static void each_operation_fails(int with, enum discards_result expected)
{
    for (uint64_t n = 1;; n++) {
        struct world w;
        world_init(&w);
        assert_int_equal(world_put(&w, 1, 900, 3), DISCARDS_DONE);
        world_look(&w, 1000);
        struct discards_stats before = w.stats;
        uint64_t operations = disk_operations(w.disk);
        disk_fail_at(w.disk, n, with);
        enum discards_result result = world_put(&w, 901, 1200, 3);
        disk_fail_at(w.disk, 0, 0);
        if (disk_operations(w.disk) - operations < n) {
            assert_int_equal(result, DISCARDS_DONE);
            assert_true(n > 10);
            world_free(&w);
            return;
        }
        world_look(&w, 1000);
        assert_true(w.stats.total >= before.total);
        assert_int_equal(world_put(&w, 901, 1200, 3), DISCARDS_DONE);
        for (int life = 0; life < 2; life++) {
            world_look(&w, 1000);
            assert_int_equal(w.stats.total, 1200);
            assert_int_equal(w.stats.damaged, 0);
            assert_int_equal(world_shown(&w, 1200, 3, false), 1);
            world_restart(&w);
            assert_int_equal(w.found.damaged + w.found.unread_files, 0);
        }
        if (result != DISCARDS_DONE) { /* that an old file stays is no harm */
            assert_int_equal(result, expected);
            assert_int_equal(w.error, 0);
        }
        world_free(&w);
    }
}

static void test_j5_a_failing_disk_is_told(void **state)
{
    (void)state;
    each_operation_fails(-EIO, DISCARDS_FAILED);
}

static void test_j5_without_room_nothing_has_happened(void **state)
{
    (void)state;
    each_operation_fails(-ENOSPC, DISCARDS_NO_ROOM);
}

static void test_j5_a_full_disk_and_then_room(void **state)
{
    (void)state;
    struct world w;
    world_init(&w);
    assert_int_equal(world_put(&w, 1, 100, 3), DISCARDS_DONE);
    world_look(&w, 1000);
    uint64_t used = w.stats.disk_bytes;
    for (uint64_t room = 0; room < 40000; room += 4096) {
        disk_set_capacity(w.disk, used + room);
        enum discards_result result = world_put(&w, 101, 400, 3);
        world_look(&w, 1000);
        assert_true(w.stats.total >= 100);
        if (result == DISCARDS_DONE) {
            assert_int_equal(w.stats.total, 400);
            world_free(&w);
            return;
        }
        assert_int_equal(result, DISCARDS_NO_ROOM);
        assert_int_equal(w.error, -ENOSPC);
    }
    fail_msg("there never was room");
}

/* The places that tests of real processes will come to. */
static void test_j5_its_failpoints_are_reached_and_told(void **state)
{
    static const enum failpoint points[] = { FAIL_DISCARDS_OPEN, FAIL_DISCARDS_NAMED };
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(points); i++) {
        struct world w;
        world_init(&w);
        failing = points[i];
        assert_int_equal(world_put(&w, 1, 5, 3), DISCARDS_FAILED);
        assert_int_equal(w.error, -EIO);
        failing = FAIL_NOWHERE;
        assert_int_equal(world_put(&w, 1, 5, 3), DISCARDS_DONE);
        world_look(&w, 10);
        assert_int_equal(w.stats.kept, 5);
        assert_int_equal(disk_files(w.disk), 1);
        world_free(&w);
    }
}

/* What was regained and is not durable was not. */
static void test_j4_a_failed_mark_is_none(void **state)
{
    (void)state;
    for (uint64_t n = 1; n <= 2; n++) {
        struct world w;
        world_init(&w);
        assert_int_equal(world_put(&w, 1, 20, 3), DISCARDS_DONE);
        assert_int_equal(world_regain(&w, 18, 20, 3), DISCARDS_DONE);
        disk_fail_at(w.disk, n, -ENOSPC);
        assert_int_equal(world_regain(&w, 5, 9, 3), DISCARDS_NO_ROOM);
        disk_fail_at(w.disk, 0, 0);
        world_begin(&w);
        assert_int_equal(world_end(&w), DISCARDS_DONE); /* now a start knows it as well */
        for (int life = 0; life < 2; life++) {
            world_look(&w, 1000);
            assert_int_equal(w.stats.regained, 3);
            assert_int_equal(world_shown(&w, 7, 3, false), 1);
            assert_true(discards_has(w.d, 7, 5, 9, 3));
            world_restart(&w);
        }
        assert_int_equal(world_regain(&w, 5, 9, 3), DISCARDS_DONE);
        world_restart(&w);
        world_look(&w, 1000);
        assert_int_equal(w.stats.regained, 8);
        world_free(&w);
    }
}

/* --- Rot ------------------------------------------------------------------------------------ */

static void spoil(struct world *w, size_t file, size_t at, size_t n)
{
    size_t size;
    uint8_t *p = disk_bytes(w->disk, file, &size);
    for (size_t i = at; i < at + n && i < size; i++) {
        p[i] ^= 0x5a;
    }
}

static void begin_rot(struct world *w, qr_slot upto)
{
    world_init(w);
    assert_int_equal(world_put(w, 1, upto, 3), DISCARDS_DONE);
    assert_int_equal(world_regain(w, 20, 22, 3), DISCARDS_DONE);
    world_restart(w);
    assert_int_equal(world_put(w, upto + 1, upto + 5, 3), DISCARDS_DONE);
    world_look(w, 1000);
    assert_int_equal(w->stats.total, upto + 5);
    assert_true(w->stats.segments >= 3 && w->stats.overflowed == 0);
}

/* Wherever a few bytes are bad: what cannot be read is counted, all else is read. */
static void test_j6_rot_is_found_at_a_start_and_counted(void **state)
{
    (void)state;
    struct world w;
    begin_rot(&w, 250);
    struct io *sound = disk_copy(w.disk);
    size_t size, step = 61;
    uint32_t damaged = 0;
    for (size_t file = 0; file + 1 < disk_files(sound); file++) {
        (void)disk_bytes(sound, file, &size);
        for (size_t at = 0; at < size; at += step) {
            world_close(&w);
            disk_free(w.disk);
            w.disk = disk_copy(sound);
            spoil(&w, file, at, 3);
            assert_true(world_open(&w));
            world_look(&w, 100);
            assert_int_equal(w.stats.total, 255);
            assert_int_equal(w.found.unread_files, 0); /* one of the headers is whole */
            assert_int_equal(w.stats.damaged, w.found.damaged);
            assert_true(w.stats.damaged <= 1); /* it hits one record */
            damaged += (uint32_t)w.stats.damaged;
            assert_int_equal(world_put(&w, 256, 257, 3), DISCARDS_DONE);
            world_restart(&w);
            assert_int_equal(w.found.damaged, w.stats.damaged);
            world_look(&w, 100);
            assert_int_equal(w.stats.total, 257);
        }
    }
    assert_true(damaged > 200);
    disk_free(sound);
    world_free(&w);
}

/* As long as something behind it says that it was durable. */
static void test_j6_the_last_segment_knows_what_was_durable(void **state)
{
    (void)state;
    struct world w;
    world_init(&w);
    for (qr_slot slot = 1; slot <= 3; slot++) { /* a block each, behind the header */
        assert_int_equal(world_put(&w, slot, slot, 3), DISCARDS_DONE);
    }
    struct io *sound = disk_copy(w.disk);
    for (size_t at = DISCARDS_HEAD_BYTES; at < 12288; at += 8) {
        world_close(&w);
        disk_free(w.disk);
        w.disk = disk_copy(sound);
        spoil(&w, 0, at, 8);
        assert_true(world_open(&w));
        world_look(&w, 100);
        if (at < 8192) { /* the third write says that these were on disk */
            assert_int_equal(w.stats.total, 3);
            assert_int_equal(world_shown(&w, 3, 3, false), 1);
            assert_int_equal(w.found.torn_bytes, 0);
        } else { /* nobody can know */
            assert_true(w.stats.total == 3 || (w.stats.total == 2 && w.found.torn_bytes > 0));
            assert_int_equal(w.stats.damaged, 0);
        }
    }
    disk_free(sound);
    world_free(&w);
}

static void test_j6_rot_is_found_by_a_scan_and_counted(void **state)
{
    (void)state;
    struct world w;
    begin_rot(&w, 250);
    size_t size;
    uint64_t damaged = 0;
    for (size_t file = 0; file + 1 < disk_files(w.disk); file++) {
        (void)disk_bytes(w.disk, file, &size);
        for (size_t at = DISCARDS_HEAD_BYTES + 100; at < size; at += 1500) {
            spoil(&w, file, at, 3);
            world_look(&w, 1 + (uint32_t)at % 37);
            assert_int_equal(w.stats.total, 255);
            assert_true(w.stats.damaged <= damaged + 1);
            damaged = w.stats.damaged;
        }
    }
    assert_true(damaged > 15);
    uint64_t kept = w.stats.kept;
    world_restart(&w);
    world_look(&w, 100);
    assert_int_equal(w.stats.damaged, damaged);
    assert_int_equal(w.stats.kept, kept);
    world_free(&w);
}

/* What was damaged when it made room is remembered as such. */
static void test_j2_damage_is_remembered_when_it_has_made_room(void **state)
{
    (void)state;
    struct world w;
    begin_rot(&w, 250);
    spoil(&w, 0, 3000, 600);
    world_restart(&w);
    world_look(&w, 100);
    uint64_t damaged = w.stats.damaged;
    assert_true(damaged > 1);
    for (qr_slot slot = 300; w.stats.oldest < 250; slot += 100) {
        assert_int_equal(world_put(&w, slot, slot + 99, 3), DISCARDS_DONE);
        world_look(&w, 1000);
    }
    for (int life = 0; life < 2; life++) {
        assert_int_equal(w.stats.damaged, damaged);
        assert_int_equal(w.stats.regained, 3);
        world_restart(&w);
        world_look(&w, 1000);
    }
    world_free(&w);
}

static void test_j6_files_whose_beginning_is_damaged_are_told(void **state)
{
    (void)state;
    struct world w;
    begin_rot(&w, 250);
    struct io *sound = disk_copy(w.disk);
    for (size_t file = 0; file < disk_files(sound); file++) {
        world_close(&w);
        disk_free(w.disk);
        w.disk = disk_copy(sound);
        spoil(&w, file, 0, DISCARDS_HEAD_BYTES);
        assert_true(world_open(&w));
        assert_int_equal(w.found.unread_files, 1);
        world_look(&w, 100);
        assert_int_equal(w.stats.unread_files, 1);
        bool last = file + 1 == disk_files(sound);
        assert_int_equal(w.stats.total, last ? 250 : 255);
        assert_true(last || w.stats.damaged > 5);
        assert_int_equal(world_put(&w, 300, 305, 3), DISCARDS_DONE);
        world_restart(&w);
        world_look(&w, 100);
        assert_int_equal(world_shown(&w, 305, 3, false), 1);
        for (qr_slot slot = 400; w.stats.oldest < 301; slot += 100) {
            assert_int_equal(world_put(&w, slot, slot + 99, 3), DISCARDS_DONE);
            world_look(&w, 1000);
        }
        assert_int_equal(w.stats.unread_files, 0); /* it has made room */
    }
    disk_free(sound);
    world_free(&w);
}

/* --- What is not ours ----------------------------------------------------------------------- */

static void test_files_are_missing(void **state)
{
    (void)state;
    struct world w;
    begin_rot(&w, 250);
    struct io *sound = disk_copy(w.disk);
    for (size_t file = 0; file < disk_files(sound); file++) {
        world_close(&w);
        disk_free(w.disk);
        w.disk = disk_copy(sound);
        disk_remove(w.disk, file);
        assert_true(world_open(&w));
        world_look(&w, 100);
        bool last = file + 1 == disk_files(sound);
        assert_int_equal(w.stats.total, last ? 250 : 255);
        assert_true(file != 0 || w.stats.overflowed > 0);
        assert_true(file == 0 || last || w.stats.damaged > 0);
    }
    disk_free(sound);
    world_free(&w);
}

static void write_later_header(uint8_t *p)
{
    for (uint64_t at = 0; at < DISCARDS_HEAD_BYTES; at += DISCARDS_COPY_AT) {
        uint8_t where[16] = { 0 };
        wire_store_u64(where + 8, at);
        wire_store_u32(p + at + 4, 200);
        wire_store_u32(p + at + DISCARD_RECORD_HEAD_BYTES, DISCARDS_VERSION + 1);
        uint32_t crc = crc32c_extend(0, where, sizeof where);
        wire_store_u32(p + at, crc32c_extend(crc, p + at + 4, DISCARD_RECORD_HEAD_BYTES + 196));
    }
}

static void refused(struct world *w, const char *why)
{
    assert_false(world_open(w));
    if (strstr(w->message, why) == NULL) {
        fail_msg("%s", w->message);
    }
}

static void test_what_another_version_or_journal_wrote_is_refused(void **state)
{
    (void)state;
    struct world w;
    struct discards_header header = { .keyspace = 3, .salt = 1, .segment = 1, .first = 1 };
    world_init(&w);
    assert_int_equal(world_put(&w, 1, 5, 3), DISCARDS_DONE);
    world_close(&w);
    size_t size;
    uint8_t *p = disk_bytes(w.disk, 0, &size);
    header.keyspace = 4;
    discards_write_header(p, &header);
    refused(&w, "another segment or keyspace");
    header.keyspace = 3;
    header.segment = 2;
    discards_write_header(p, &header);
    refused(&w, "another segment or keyspace");
    header.segment = 1;
    discards_write_header(p, &header);
    assert_true(world_open(&w));
    world_close(&w);
    write_later_header(p);
    refused(&w, "a later version of quorate wrote it");
    assert_int_equal(disk_files(w.disk), 1);
    world_free(&w);
}

static void test_a_start_that_cannot_read_it_is_told(void **state)
{
    (void)state;
    struct world w;
    begin_rot(&w, 250);
    for (uint64_t n = 1;; n++) {
        world_close(&w);
        disk_fail_read(w.disk, n);
        if (world_open(&w)) {
            assert_true(n > 10);
            break;
        }
        assert_non_null(strstr(w.message, "Input/output error"));
    }
    disk_fail_read(w.disk, 0);
    world_look(&w, 1000);
    assert_int_equal(w.stats.total, 255);
    world_free(&w);
}

/* --- All of it, by chance ------------------------------------------------------------------- */

#define SLOTS 600u
enum { ABSENT, MAYBE, THERE }; /* of a slot, since it was discarded last */

struct model {
    struct world w;
    struct rng rng;
    uint8_t slot[SLOTS];  /* discarded, */
    uint8_t again[SLOTS]; /* and regained */
};

/* A batch, or what is regained, with a fault or none. */
static bool one_change(struct model *m)
{
    struct world *w = &m->w;
    qr_slot lo = 1 + rng_below(&m->rng, SLOTS - 1);
    qr_slot hi = lo + rng_below(&m->rng, rng_chance(&m->rng, 1, 4) ? 200 : 12);
    hi = hi < SLOTS ? hi : SLOTS - 1;
    bool regain = rng_chance(&m->rng, 1, 4);
    bool full = rng_chance(&m->rng, 1, 8);
    if (full) {
        disk_fail_at(w->disk, 1 + rng_below(&m->rng, 12), -ENOSPC);
    }
    enum discards_result result = regain ? world_regain(w, lo, hi, 3) : world_put(w, lo, hi, 3);
    disk_fail_at(w->disk, 0, 0);
    assert_true(result == DISCARDS_DONE || (full && result == DISCARDS_NO_ROOM));
    for (qr_slot slot = lo; slot <= hi; slot++) {
        uint8_t *mine = regain ? m->again : m->slot, *other = regain ? m->slot : m->again;
        if (regain && m->slot[slot] == ABSENT) {
            continue;
        }
        if (result == DISCARDS_DONE) {
            mine[slot] = THERE;
            other[slot] = ABSENT;
        } else if (mine[slot] != THERE) {
            mine[slot] = other[slot] = MAYBE;
        }
    }
    return result == DISCARDS_DONE;
}

/* Whatever comes next that succeeds settles what a failed write has left. */
static bool settle(struct model *m)
{
    if (rng_chance(&m->rng, 1, 2)) {
        return false;
    }
    m->w.error = 0;
    world_begin(&m->w);
    assert_int_equal(world_end(&m->w), DISCARDS_DONE);
    return true;
}

static void look_at_model(struct model *m)
{
    struct world *w = &m->w;
    world_look(w, 1 + (uint32_t)rng_below(&m->rng, 60));
    for (qr_slot slot = 1; slot < SLOTS; slot++) {
        uint32_t shown = world_shown(w, slot, 3, false);
        assert_true(shown <= 1);
        assert_true(shown == 0 || m->slot[slot] != ABSENT);
        assert_true(shown == 1 || m->slot[slot] != THERE || w->stats.overflowed > 0);
    }
}

static void test_r8_by_chance(void **state)
{
    (void)state;
    uint64_t overflowed = 0;
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        struct model m = { .rng = rng_from(seed) };
        world_init(&m.w);
        for (int i = 0; i < 40; i++) {
            bool sure = one_change(&m) || settle(&m);
            look_at_model(&m);
            struct discards_stats before = m.w.stats;
            if (rng_chance(&m.rng, 1, 4)) {
                world_power_loss(&m.w, &m.rng);
            } else if (rng_chance(&m.rng, 1, 4)) {
                world_restart(&m.w);
            }
            look_at_model(&m);
            if (sure) {
                before.disk_bytes = m.w.stats.disk_bytes;
                assert_memory_equal(&before, &m.w.stats, sizeof before);
            }
            assert_int_equal(m.w.found.damaged + m.w.found.unread_files, 0);
        }
        overflowed += m.w.stats.overflowed;
        world_free(&m.w);
    }
    assert_true(overflowed > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_j1_what_was_ended_survives_the_loss_of_power),
        cmocka_unit_test(test_j5_a_failing_disk_is_told),
        cmocka_unit_test(test_j5_without_room_nothing_has_happened),
        cmocka_unit_test(test_j5_a_full_disk_and_then_room),
        cmocka_unit_test(test_j5_its_failpoints_are_reached_and_told),
        cmocka_unit_test(test_j4_a_failed_mark_is_none),
        cmocka_unit_test(test_j6_rot_is_found_at_a_start_and_counted),
        cmocka_unit_test(test_j6_the_last_segment_knows_what_was_durable),
        cmocka_unit_test(test_j6_rot_is_found_by_a_scan_and_counted),
        cmocka_unit_test(test_j2_damage_is_remembered_when_it_has_made_room),
        cmocka_unit_test(test_j6_files_whose_beginning_is_damaged_are_told),
        cmocka_unit_test(test_files_are_missing),
        cmocka_unit_test(test_what_another_version_or_journal_wrote_is_refused),
        cmocka_unit_test(test_a_start_that_cannot_read_it_is_told),
        cmocka_unit_test(test_r8_by_chance),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
