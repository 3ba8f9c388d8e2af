/* Bytes that go bad, tails that tear, writes that survive in part: what recovery makes of them
 * (scenarios 46, 47, 57, 62, 104, 105, 109, 110).
 *
 * The one rule: no wrong entry is ever served, and what a durable batch states as synced is never
 * lost silently. */
#include "rig.h"

#include "base/crc32c.h"
#include "base/wire.h"
#include "log/log_internal.h"

#include <errno.h>
#include <string.h>

/* Every byte; with the address sanitizer, which is slow, every seventh. */
#ifdef __SANITIZE_ADDRESS__
#define STRIDE 7u
#else
#define STRIDE 1u
#endif

/* A small log of three segments: two groups, states, a truncation, a trim; `batches` single
 * batches in the last segment. With `clean` its last mark covers everything. */
static void build(struct rig *rig, bool clean, qr_slot batches)
{
    rig_start(rig, 5 * LOG_BLOCK_BYTES);
    rig->config.reserve_bytes = 0;
    log_state(rig->log, 1, SPAN_LITERAL("vote 1"));
    rig_append(rig, 1, 1, 1);
    rig_append(rig, 1, 2, 1);
    rig_append(rig, 1, 3, 1);
    rig_flush(rig);
    log_truncate(rig->log, 1, 3);
    rig_append(rig, 1, 3, 2);
    rig_append(rig, 2, 1, 1);
    rig_flush(rig);
    log_state(rig->log, 1, SPAN_LITERAL("vote 2"));
    rig_append(rig, 2, 2, 1);
    rig_flush(rig);
    log_trim(rig->log, 1, 1, 1);
    rig_append(rig, 2, 3, 1);
    rig_flush(rig);
    assert_int_equal(rig->log->segment_count, 1);
    log_state(rig->log, 2, SPAN_LITERAL("vote 3")); /* the first segment is full now */
    rig_flush(rig);
    assert_int_equal(rig->log->segment_count, 2);
    rig_restart(rig, LOG_OPEN_OK); /* cuts that segment and begins a third */
    for (qr_slot i = 0; i < batches; i++) {
        rig_append(rig, 2, 4 + i, 1);
        rig_flush(rig);
    }
    if (clean) {
        disk_settle(rig->disk);
        log_close(rig->log);
        rig->log = NULL;
    }
    rig_forget(rig);
}

/* Whether the log holds what build() left, with that many of its last batches. */
static bool is_built(struct rig *rig, qr_slot batches)
{
    struct log_group one;
    struct log_group two;
    if (!log_group_state(rig->log, 1, &one)) {
        return false;
    }
    bool first = one.base_slot == 1 && one.base_term == 1 && one.last_slot == 3 &&
                 one.state.n == 6 && memcmp(one.state.p, "vote 2", 6) == 0;
    bool entries = first && rig_has(rig, 1, 2, 1) && rig_has(rig, 1, 3, 2);
    if (!entries || !log_group_state(rig->log, 2, &two) || two.last_slot != 3 + batches) {
        return false;
    }
    for (qr_slot slot = 1; slot <= 3 + batches; slot++) {
        if (!rig_has(rig, 2, slot, 1)) {
            return false;
        }
    }
    return true;
}

/* Entries of a damaged log are the right ones of some moment, or cannot be read. */
static void check_damaged(struct rig *rig)
{
    for (uint32_t group = 1; group <= 2; group++) {
        struct log_group g;
        assert_true(log_group_state(rig->log, group, &g));
        assert_true(g.damaged);
        for (qr_slot slot = g.base_slot + 1; slot <= g.last_slot; slot++) {
            struct span out;
            if (log_read(rig->log, group, slot, slot + 1, 1, &out) == 1) {
                assert_true(rig_has(rig, group, slot, 1) ||
                            (group == 1 && slot == 3 && rig_has(rig, 1, 3, 2)));
            }
        }
    }
}

struct tally {
    uint32_t harmless, holes, cut, damaged;
};

/* The term of an entry that build() left. */
static qr_term built_term(uint32_t group, qr_slot slot)
{
    return group == 1 && slot == 3 ? 2 : 1;
}

/* Fills every hole with what a peer would have; returns how many entries that were. */
static uint32_t fill_holes(struct rig *rig)
{
    uint32_t filled = 0;
    for (uint32_t group = 1; group <= 2; group++) {
        struct log_hole hole;
        while (log_holes(rig->log, group, &hole, 1) == 1) {
            struct span out;
            qr_term term = built_term(group, hole.lo);
            assert_in_range(log_read(rig->log, group, hole.lo, hole.lo + 1, 1, &out), -EBADMSG,
                            -EBADMSG);
            assert_true(hole.term == 0 || hole.term == term);
            assert_true(hole.term != 0 || hole.next_term != 0);
            assert_false(rig_patch(rig, group, hole.lo, term + 9));
            assert_true(rig_patch(rig, group, hole.lo, term));
            assert_true(rig_has(rig, group, hole.lo, term));
            assert_false(rig_patch(rig, group, hole.lo, term)); /* it is not lost any more */
            filled++;
        }
    }
    return filled;
}

/* A damaged log that is cut holds entries of some moment, and goes on. The disk may fail, and the
 * power, at any moment of it. */
static void cut_and_go_on(struct rig *rig, uint64_t seed)
{
    struct rng rng = rng_from(seed);
    rig_forget(rig);
    rig->config.cut_damage = true;
    for (int i = 0; i < 2; i++) {
        disk_fail_at(rig->disk, 1 + rng_below(&rng, 12), -EIO);
        enum log_open_result result =
            log_open(rig->disk, &rig->config, &rig->log, rig->message, sizeof(rig->message));
        assert_true(result == LOG_OPEN_OK || result == LOG_OPEN_IO);
        if (result == LOG_OPEN_OK) {
            rig_forget(rig);
        }
        rig->log = NULL;
        disk_fail_at(rig->disk, 0, 0);
        disk_power_loss(rig->disk, &rng);
    }
    rig_open(rig, LOG_OPEN_OK);
    rig->config.cut_damage = false;
    for (int round = 0; round < 2; round++) {
        for (uint32_t group = 1; group <= 2; group++) {
            struct log_group g = { 0 };
            (void)log_group_state(rig->log, group, &g);
            assert_false(g.damaged);
            (void)fill_holes(rig);
            for (qr_slot slot = g.base_slot + 1; slot <= g.last_slot; slot++) {
                assert_true(rig_has(rig, group, slot, built_term(group, slot)) ||
                            rig_has(rig, group, slot, 7) ||
                            (group == 1 && slot == 3 && rig_has(rig, 1, 3, 1)));
            }
            rig_append(rig, group, g.last_slot + 1, 7);
        }
        rig_flush(rig);
        rig_restart(rig, LOG_OPEN_OK);
    }
}

/* A copy of what was built, to be harmed. */
static struct rig copy_of(const struct rig *built)
{
    struct rig rig = *built;
    rig.disk = disk_copy(built->disk);
    rig.log = NULL;
    return rig;
}

/* Opens a harmed copy: what must be there is there, or the damage is told. */
static void judge(struct rig *rig, bool clean, qr_slot batches, struct tally *tally,
                  const char *file, size_t at)
{
    enum log_open_result result =
        log_open(rig->disk, &rig->config, &rig->log, rig->message, sizeof(rig->message));
    uint32_t filled = result == LOG_OPEN_OK ? fill_holes(rig) : 0;
    if (filled > 0) {
        assert_true(is_built(rig, batches));
        for (int round = 0; round < 2; round++) { /* from its place, then behind a restatement */
            rig_flush(rig);
            rig_restart(rig, LOG_OPEN_OK);
            assert_true(is_built(rig, batches));
        }
        tally->holes++;
    } else if (result == LOG_OPEN_OK && is_built(rig, batches)) {
        tally->harmless++;
    } else if (result == LOG_OPEN_OK) {
        if (clean || !is_built(rig, batches - 1)) {
            fail_msg("%s byte %zu: silently lost", file, at);
        }
        tally->cut++; /* the last batch, which nothing states as synced */
    } else {
        assert_int_equal(result, LOG_OPEN_DAMAGED);
        assert_non_null(strstr(rig->message, "rebuild this replica"));
        check_damaged(rig);
        if (tally->damaged++ % 5 == 0) {
            cut_and_go_on(rig, at);
        }
    }
    rig_stop(rig);
}

/* Flips one byte of a copy of the disk and opens that. */
static void flip(const struct rig *built, size_t file, size_t at, bool clean, qr_slot batches,
                 struct tally *tally)
{
    struct rig rig = copy_of(built);
    size_t n;
    disk_bytes(rig.disk, file, &n)[at] ^= (uint8_t)(1u << (at % 8));
    judge(&rig, clean, batches, tally, disk_name(built->disk, file), at);
}

static struct tally flip_every_byte(bool clean)
{
    struct rig built;
    struct tally tally = { 0 };
    build(&built, clean, 2);
    for (size_t i = 0; i < disk_files(built.disk); i++) {
        size_t n;
        (void)disk_bytes(built.disk, i, &n);
        for (size_t at = 0; at < n; at += STRIDE) {
            flip(&built, i, at, clean, 2, &tally);
        }
    }
    rig_stop(&built);
    assert_true(tally.harmless >
                1000 / STRIDE); /* unused bytes, spare files, one copy of a header */
    assert_true(tally.damaged > 200 / STRIDE);
    assert_true(tally.holes > 1000 / STRIDE);
    return tally;
}

static void scenario_105_every_flipped_byte_is_told_or_harmless(void **state)
{
    (void)state;
    assert_int_equal(flip_every_byte(true).cut, 0);
}

static void after_a_crash_only_the_last_batch_may_be_cut(void **state)
{
    (void)state;
    assert_in_range(flip_every_byte(false).cut, LOG_BLOCK_BYTES / STRIDE,
                    LOG_BLOCK_BYTES / STRIDE + 1);
}

/* Every sector of a clean log once zeroed (scenario 109). */
static void scenario_109_every_zeroed_sector_is_told_or_harmless(void **state)
{
    (void)state;
    struct rig built;
    struct tally tally = { 0 };
    build(&built, true, 2);
    for (size_t i = 0; i < disk_files(built.disk); i++) {
        size_t n;
        (void)disk_bytes(built.disk, i, &n);
        for (size_t at = 0; at < n; at += 512) {
            struct rig rig = copy_of(&built);
            memset(disk_bytes(rig.disk, i, &n) + at, 0, 512);
            judge(&rig, true, 2, &tally, disk_name(built.disk, i), at);
        }
    }
    assert_true(tally.damaged > 5 && tally.harmless > 5);
    rig_stop(&built);
}

/* A write that went to the wrong place: every block over every other one (scenario 46). */
static void scenario_46_every_misdirected_block_is_told_or_harmless(void **state)
{
    (void)state;
    struct rig built;
    struct tally tally = { 0 };
    build(&built, true, 2);
    for (size_t from = 0; from < disk_files(built.disk) * 5; from++) {
        for (size_t to = 0; to < disk_files(built.disk) * 5; to++) {
            struct rig rig = copy_of(&built);
            size_t from_n;
            size_t to_n;
            size_t from_at = from % 5 * LOG_BLOCK_BYTES;
            size_t to_at = to % 5 * LOG_BLOCK_BYTES;
            uint8_t *p = disk_bytes(rig.disk, from / 5, &from_n);
            uint8_t *q = disk_bytes(rig.disk, to / 5, &to_n);
            if (from_at < from_n && to_at < to_n && p + from_at != q + to_at) {
                memcpy(q + to_at, p + from_at, LOG_BLOCK_BYTES);
            }
            judge(&rig, true, 2, &tally, disk_name(built.disk, to / 5), to_at);
        }
    }
    assert_true(tally.damaged > 50 && tally.harmless > 50);
    rig_stop(&built);
}

/* A torn tail at every place: the batches before it are there, the log goes on, and what was cut
 * stays cut even when its bytes come back. */
static void scenario_104_a_tail_may_tear_anywhere(void **state)
{
    (void)state;
    const qr_slot batches = 2;
    struct rig built;
    build(&built, false, batches);
    struct segment_header h;
    size_t n;
    (void)rig_top_segment(&built, &h, &n);
    for (size_t at = h.body_offset; at <= h.body_offset + 2 * LOG_BLOCK_BYTES; at += 37) {
        struct rig rig = built;
        rig.disk = disk_copy(built.disk);
        uint8_t *p = rig_top_segment(&rig, &h, &n);
        memset(p + at, 0, n - at);
        /* A batch ends in padding, so a tear behind its records does not hurt it. */
        qr_slot whole = 0;
        struct batch_header b;
        for (; whole < batches; whole++) {
            const uint8_t *q = p + h.body_offset + whole * LOG_BLOCK_BYTES;
            if (!batch_peek(q, LOG_BLOCK_BYTES, &b) || !batch_check(h.uuid, &b, q)) {
                break;
            }
        }
        rig_open(&rig, LOG_OPEN_OK);
        assert_true(is_built(&rig, whole));
        for (qr_slot i = whole; i < batches + 1; i++) {
            rig_append(&rig, 2, 4 + i, 1);
        }
        rig_flush(&rig);
        rig_restart(&rig, LOG_OPEN_OK);
        assert_true(is_built(&rig, batches + 1));
        rig_stop(&rig);
    }
    rig_stop(&built);
}

/* P5: of two batches in one write the second survives, the first does not. */
static void a_batch_behind_a_gap_never_comes_back(void **state)
{
    (void)state;
    struct rig rig;
    rig_start(&rig, 4 * MIB);
    disk_settle(rig.disk);
    qr_slot slot = 0;
    while (rig.log->pending_count < 2) {
        rig_append(&rig, 1, ++slot, 1);
    }
    uint32_t first_bytes = rig.log->pending[rig.log->pending_head].payload;
    log_flush(rig.log); /* the bytes are written, the sync is not done */
    rig_forget(&rig);
    struct segment_header h;
    size_t n;
    uint8_t *p = rig_top_segment(&rig, &h, &n);
    memset(p + h.body_offset + first_bytes / 2, 0, 512); /* a sector of the first is lost */
    rig_open(&rig, LOG_OPEN_OK);
    struct log_group g;
    assert_false(log_group_state(rig.log, 1, &g));
    assert_non_null(strstr(rig.message, "had not been finished"));
    /* The same slots again: the new log must never meet the old second batch. */
    rig_append(&rig, 1, 1, 9);
    rig_flush(&rig);
    rig_restart(&rig, LOG_OPEN_OK);
    assert_int_equal(rig_group(&rig, 1).last_slot, 1);
    assert_true(rig_has(&rig, 1, 1, 9));
    rig_stop(&rig);
}

/* P5: the same in the first write of a segment whose header is lost too. The file is used again,
 * for the same offsets: only its generation tells what the life before left in it. */
static void scenario_23_110_a_batch_of_another_life_never_comes_back(void **state)
{
    (void)state;
    struct rig rig;
    rig_start(&rig, 4 * MIB);
    qr_slot slot = 0;
    while (rig.log->segment_count < 2) {
        rig_append(&rig, 1, ++slot, 1);
        if (rig.log->segment_count < 2) {
            rig_flush(&rig);
        }
    }
    qr_slot first = slot;
    qr_slot second = 0;
    disk_settle(rig.disk);
    while (rig.log->pending_count < 2) {
        rig_append(&rig, 1, ++slot, 1);
        second = second == 0 && rig.log->pending_count == 1 ? slot : second;
    }
    log_flush(rig.log);
    rig_forget(&rig);
    struct segment_header h;
    size_t n;
    uint8_t *p = rig_top_segment(&rig, &h, &n);
    memset(p, 0, h.body_offset + 512);
    rig_open(&rig, LOG_OPEN_OK);
    assert_int_equal(rig_group(&rig, 1).last_slot, first - 1);
    for (slot = first; slot < second; slot++) {
        rig_append(&rig, 1, slot, 1);
    }
    rig_flush(&rig);
    rig_restart(&rig, LOG_OPEN_OK);
    assert_int_equal(rig_group(&rig, 1).last_slot, second - 1);
    rig_stop(&rig);
}

/* A segment that is gone is missed when its entries or nothing else can tell. */
static void scenario_57_a_missing_segment_is_told(void **state)
{
    (void)state;
    struct rig built;
    build(&built, true, 1);
    uint32_t told = 0;
    for (size_t i = 0; i < disk_files(built.disk); i++) {
        struct rig rig = built;
        rig.disk = disk_copy(built.disk);
        size_t n;
        struct segment_header h;
        const uint8_t *p = disk_bytes(rig.disk, i, &n);
        bool used = n > 0 && segment_header_decode(p, &h) == HEADER_OK;
        disk_remove(rig.disk, i);
        enum log_open_result result =
            log_open(rig.disk, &rig.config, &rig.log, rig.message, sizeof(rig.message));
        if (used) {
            assert_int_equal(result, LOG_OPEN_DAMAGED);
            check_damaged(&rig);
            told++;
        } else {
            assert_int_equal(result, LOG_OPEN_OK);
            assert_true(is_built(&rig, 1));
        }
        rig_stop(&rig);
    }
    assert_int_equal(told, 3);
    rig_stop(&built);
}

/* Zeros all over look like a file that was never used; but the next one had its name already. */
static void a_zeroed_newest_segment_is_told(void **state)
{
    (void)state;
    struct rig rig;
    rig_start(&rig, 64 * KIB);
    for (qr_slot slot = 1; rig.log->segment_count < 3; slot++) {
        rig_append(&rig, 1, slot, 1);
        rig_flush(&rig);
        disk_settle(rig.disk);
    }
    rig_forget(&rig);
    struct segment_header h;
    size_t n;
    uint8_t *p = rig_top_segment(&rig, &h, &n);
    memset(p, 0, n);
    rig_open(&rig, LOG_OPEN_DAMAGED);
    rig_stop(&rig);
}

/* The newest segment's beginning may be torn, which says nothing against the log; but it was begun
 * only when the segment before was synced. When that one's beginning is bad too, its batch is lost,
 * and that must be told. */
static void two_lost_beginnings_are_damage(void **state)
{
    (void)state;
    struct rig rig;
    build(&rig, false, 1);
    for (int i = 0; i < 2; i++) {
        struct segment_header h;
        size_t n;
        uint8_t *p = rig_top_segment(&rig, &h, &n);
        memset(p + LOG_BLOCK_BYTES, 0xff, 64);
        if (i == 0) { /* out of the way, so that the one before is the top now */
            p[0] ^= 1;
            p[SEGMENT_COPY_OFFSET] ^= 1;
        }
    }
    rig_open(&rig, LOG_OPEN_DAMAGED);
    rig_stop(&rig);
}

/* The newest segment's beginning is torn, but its header says how far the one before was synced. */
static void a_torn_beginning_is_heard(void **state)
{
    struct rig rig;
    rig_start(&rig, 5 * LOG_BLOCK_BYTES);
    rig.config.reserve_bytes = 0;
    for (qr_slot slot = 1; rig.log->segment_count < 2; slot++) {
        rig_append_kind(&rig, 1, slot, 1, RECORD_NOOP);
        rig_flush(&rig);
    }
    rig_forget(&rig);
    struct segment_header h;
    struct segment_header before;
    size_t n;
    uint8_t *top = rig_top_segment(&rig, &h, &n);
    memset(top + LOG_BLOCK_BYTES, 0xff, 64);
    memset(top + h.body_offset, 0, *state != NULL ? 0 : n - h.body_offset); /* they tell it too */
    for (size_t i = disk_files(rig.disk); i > 0; i--) {
        const uint8_t *p = disk_bytes(rig.disk, i - 1, &n);
        bool log = strstr(disk_name(rig.disk, i - 1), ".log") != NULL;
        if (log && segment_header_decode(p, &before) != HEADER_OK) {
            disk_remove(rig.disk, i - 1); /* named ahead: it would prove the same */
        }
    }
    for (size_t i = 0; i < disk_files(rig.disk); i++) {
        uint8_t *p = disk_bytes(rig.disk, i, &n);
        if (n >= LOG_BLOCK_BYTES && segment_header_decode(p, &before) == HEADER_OK &&
            before.generation == h.prev_generation) {
            memset(p + before.body_offset + (h.prev_end - before.first) - LOG_BLOCK_BYTES, 0, 64);
        }
    }
    rig_open(&rig, LOG_OPEN_DAMAGED);
    rig_stop(&rig);
}

/* A header with a right checksum that no writer makes, such as one whose segment before is itself:
 * recovery must neither follow it round in a circle nor take its lengths for granted. */
static void a_header_without_sense_is_none(void **state)
{
    (void)state;
    struct rig built;
    build(&built, true, 1);
    for (unsigned field = 0; field < 6; field++) {
        struct rig rig = copy_of(&built);
        struct segment_header h;
        size_t n;
        uint8_t *p = rig_top_segment(&rig, &h, &n);
        uint64_t *const wide[] = { &h.prev_generation, &h.prev_end, &h.first, &h.capacity };
        uint32_t *const narrow[] = { &h.restate_bytes, &h.body_offset };
        if (field < 4) {
            *wide[field] = field == 0 ? h.generation : UINT64_MAX - 7 * LOG_BLOCK_BYTES;
        } else {
            *narrow[field - 4] = field == 4 ? UINT32_MAX : 0;
        }
        /* The encoder refuses such a header: the checksum is made here. */
        for (size_t copy = 0; copy <= SEGMENT_COPY_OFFSET; copy += SEGMENT_COPY_OFFSET) {
            struct wire_writer w = wire_writer(p + copy + 40, 44);
            wire_put_u64(&w, h.first);
            wire_put_u64(&w, h.capacity);
            wire_put_u64(&w, h.prev_generation);
            wire_put_u64(&w, h.prev_end);
            wire_put_u32(&w, h.restate_bytes);
            wire_put_u32(&w, h.restate_crc);
            wire_put_u32(&w, h.body_offset);
            uint32_t crc = crc32c_extend(crc32c_extend(0, p + copy, 12), p + copy + 16, 80);
            w = wire_writer(p + copy + 12, 4);
            wire_put_u32(&w, crc);
        }
        assert_int_equal(segment_header_decode(p, &h), HEADER_NONE);
        rig_open(&rig, LOG_OPEN_DAMAGED);
        rig_stop(&rig);
    }
    rig_stop(&built);
}

/* A damaged log is left as it is: a second look finds the same. */
static void damage_is_found_again(void **state)
{
    (void)state;
    struct rig rig;
    build(&rig, true, 1);
    struct segment_header h;
    size_t n;
    rig_top_segment(&rig, &h, &n)[h.body_offset + 70] ^= 1;
    size_t files = disk_files(rig.disk);
    uint64_t operations = disk_operations(rig.disk);
    for (int i = 0; i < 3; i++) {
        rig_open(&rig, LOG_OPEN_DAMAGED);
        log_flush(rig.log);
        assert_int_equal(log_space(rig.log), LOG_SPACE_NONE);
        disk_settle(rig.disk);
        log_close(rig.log);
        rig.log = NULL;
    }
    assert_int_equal(disk_files(rig.disk), files);
    assert_int_equal(disk_operations(rig.disk), operations + 3); /* syncs of the parent only */
    rig_stop(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(scenario_105_every_flipped_byte_is_told_or_harmless),
        cmocka_unit_test(after_a_crash_only_the_last_batch_may_be_cut),
        cmocka_unit_test(scenario_109_every_zeroed_sector_is_told_or_harmless),
        cmocka_unit_test(scenario_46_every_misdirected_block_is_told_or_harmless),
        cmocka_unit_test(scenario_104_a_tail_may_tear_anywhere),
        cmocka_unit_test(a_batch_behind_a_gap_never_comes_back),
        cmocka_unit_test(scenario_23_110_a_batch_of_another_life_never_comes_back),
        cmocka_unit_test(scenario_57_a_missing_segment_is_told),
        cmocka_unit_test(a_zeroed_newest_segment_is_told),
        cmocka_unit_test(two_lost_beginnings_are_damage),
        cmocka_unit_test(a_torn_beginning_is_heard),
        cmocka_unit_test_prestate(a_torn_beginning_is_heard, "batches"),
        cmocka_unit_test(a_header_without_sense_is_none),
        cmocka_unit_test(damage_is_found_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
