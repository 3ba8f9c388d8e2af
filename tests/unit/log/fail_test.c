/* Disks that fail and disks that fill (R7; scenarios 56, 102, 103). */
#include "rig.h"

#include "log/log_internal.h"

#include <errno.h>
#include <string.h>

/* --- The n-th operation fails --------------------------------------------------------------- */

/* Appends, trims and flushes until the disk fails or the work is done; returns the last slot that
 * was reported durable. Entry i ends at position positions[i]. */
static qr_slot live(struct rig *rig, qr_slot slots)
{
    uint64_t positions[256];
    memset(positions, 0xff, sizeof(positions));
    for (qr_slot slot = 1; slot <= slots && rig->failure == 0; slot++) {
        rig_append(rig, 1, slot, 1);
        positions[slot] = log_position(rig->log);
        log_flush(rig->log);
        if (slot % 3 == 0) {
            disk_settle(rig->disk);
        }
        if (slot % 40 == 0) {
            log_trim(rig->log, 1, slot - 30, 1);
        }
    }
    disk_settle(rig->disk);
    qr_slot durable = 0;
    while (durable < slots && positions[durable + 1] <= rig->durable) {
        durable++;
    }
    return durable;
}

static void fail_every_operation(bool inline_sync)
{
    struct rng rng = rng_from(1);
    uint32_t failures = 0;
    for (uint64_t n = 1;; n++) {
        struct rig rig;
        rig_start(&rig, 64 * KIB);
        rig.log->config.sync = inline_sync ? LOG_SYNC_INLINE : LOG_SYNC_THREAD;
        disk_fail_at(rig.disk, n, -EIO);
        qr_slot durable = live(&rig, 120);
        bool failed = rig.failure != 0;
        failures += failed;
        if (failed) { /* nothing more is reported, whatever the caller goes on to ask for */
            assert_int_equal(rig.failure, -EIO);
            uint64_t before = rig.durable;
            uint64_t operations = disk_operations(rig.disk);
            rig_append(&rig, 1, rig_group(&rig, 1).last_slot + 1, 1);
            log_flush(rig.log);
            disk_settle(rig.disk);
            assert_int_equal(rig.durable, before);
            assert_int_equal(disk_operations(rig.disk), operations); /* and nothing retried */
        }
        rig_forget(&rig);
        disk_power_loss(rig.disk, &rng);
        rig_open(&rig, LOG_OPEN_OK);
        if (durable > 0) {
            struct log_group g = rig_group(&rig, 1);
            assert_true(g.last_slot >= durable);
            rig_expect(&rig, 1, g.base_slot + 1, g.last_slot + 1);
        }
        rig_stop(&rig);
        if (!failed) {
            break;
        }
    }
    assert_true(failures > 150); /* writes and syncs of batches, and all of segment keeping */
}

static void scenario_102_no_report_after_a_failed_operation(void **state)
{
    (void)state;
    fail_every_operation(false);
}

static void nor_with_inline_syncs(void **state)
{
    (void)state;
    fail_every_operation(true);
}

static void opening_on_a_failing_disk_says_so(void **state)
{
    (void)state;
    for (uint64_t n = 1;; n++) {
        struct rig rig = { .disk = disk_new(), .config = { .dir = "log" } };
        rig.config.segment_bytes = 64 * KIB;
        disk_fail_at(rig.disk, n, -EIO);
        enum log_open_result result =
            log_open(rig.disk, &rig.config, &rig.log, rig.message, sizeof(rig.message));
        if (result == LOG_OPEN_OK) {
            rig_stop(&rig);
            assert_true(n > 5);
            break;
        }
        assert_int_equal(result, LOG_OPEN_IO);
        assert_non_null(strstr(rig.message, "log log: "));
        assert_non_null(strstr(rig.message, strerror(EIO)));
        assert_null(rig.log);
        disk_free(rig.disk);
    }
}

#define SLOTS 330u

enum bad { NOTHING_BAD, HEADER_BAD, BATCHES_BAD, ALL_BUT_THE_LAST_BAD, BADS };

/* A log of two segments, in the newest of which that is bad. */
static void build(struct rig *rig, enum bad bad)
{
    rig_start(rig, 1 * MIB);
    for (qr_slot slot = 1; slot <= SLOTS; slot++) {
        rig_append(rig, 1, slot, 1);
        rig_flush(rig);
    }
    assert_int_equal(rig->log->segment_count, 2);
    rig_forget(rig);
    assert_string_equal(disk_name(rig->disk, 2), "log/0000000000000003.log");
    disk_remove(rig->disk, 2); /* made ahead, it would prove that the one before was used */
    struct segment_header h;
    size_t n;
    uint8_t *p = rig_top_segment(rig, &h, &n);
    size_t last = n - 1;
    while (p[last] == 0) {
        last--;
    }
    last -= last % LOG_BLOCK_BYTES;
    /* Batches at the end of what is read at once: what proves them is read after them. */
    size_t from = bad == HEADER_BAD ? 0 : LOG_BLOCK_BYTES + 224 * KIB;
    size_t bytes = bad == HEADER_BAD             ? LOG_BLOCK_BYTES
                   : bad == BATCHES_BAD          ? 32 * KIB
                   : bad == ALL_BUT_THE_LAST_BAD ? last - from
                                                 : 0;
    memset(p + from, 0, bytes);
}

/* Opens a copy of it on a drive that reads only so often, or where one read fails. */
static enum log_open_result open_copy(const struct rig *built, uint64_t reads, uint64_t fails,
                                      char *message)
{
    struct rig rig = *built;
    rig.disk = disk_copy(built->disk);
    disk_end_reads(rig.disk, reads);
    disk_fail_read(rig.disk, fails);
    enum log_open_result result =
        log_open(rig.disk, &rig.config, &rig.log, rig.message, sizeof rig.message);
    if (result == LOG_OPEN_OK) {
        assert_int_equal(rig_group(&rig, 1).last_slot, SLOTS);
    }
    memcpy(message, rig.message, sizeof rig.message);
    rig_stop(&rig);
    return result;
}

/* What cannot be read at a start is not the end of the log, nor bad: nothing is cut for it. */
static void scenario_103_a_start_that_cannot_read_says_so_and_cuts_nothing(void **state)
{
    (void)state;
    for (enum bad bad = NOTHING_BAD; bad < BADS; bad++) {
        struct rig built;
        build(&built, bad);
        char whole[sizeof built.message], message[sizeof built.message];
        enum log_open_result expected = open_copy(&built, UINT64_MAX, 0, whole);
        assert_int_equal(expected, bad == NOTHING_BAD ? LOG_OPEN_OK : LOG_OPEN_DAMAGED);
        enum log_open_result result = LOG_OPEN_IO;
        uint64_t reads = 0;
        for (; result == LOG_OPEN_IO; reads++) {
            result = open_copy(&built, reads, 0, message);
            assert_true(result != LOG_OPEN_IO || strstr(message, strerror(EIO)) != NULL);
        }
        assert_int_equal(result, expected);
        assert_string_equal(message, whole);
        assert_true(reads > 6);
        rig_stop(&built);
    }
}

/* Nor what could not be read once: the one batch that proves the others may be what it was. */
static void scenario_103_one_read_that_fails_cuts_nothing(void **state)
{
    (void)state;
    for (enum bad bad = NOTHING_BAD; bad < BADS; bad++) {
        struct rig built;
        build(&built, bad);
        char whole[sizeof built.message], message[sizeof built.message];
        enum log_open_result expected = open_copy(&built, UINT64_MAX, 0, whole);
        uint32_t failed = 0;
        for (uint64_t n = 1; n < 40; n++) {
            enum log_open_result result = open_copy(&built, UINT64_MAX, n, message);
            failed += result == LOG_OPEN_IO;
            if (result != LOG_OPEN_IO) {
                assert_int_equal(result, expected);
                assert_string_equal(message, whole);
            }
        }
        assert_true(failed > 6);
        rig_stop(&built);
    }
}

/* What was put aside keeps its name: the next segment has another one. */
static void no_segment_takes_the_name_of_a_damaged_one(void **state)
{
    (void)state;
    struct rig rig;
    struct io_file *file;
    rig_start(&rig, 64 * KIB);
    rig_forget(&rig);
    assert_int_equal(
        io_file_open(rig.disk, "log/00000000000000ff.damaged", IO_CREATE | IO_WRITE, &file), 0);
    io_file_close(file);
    rig_open(&rig, LOG_OPEN_OK);
    bool named = false;
    for (size_t i = 0; i < disk_files(rig.disk); i++) {
        const char *name = disk_name(rig.disk, i);
        named = named || (strcmp(name, "log/0000000000000100") > 0 && strstr(name, ".log") != NULL);
    }
    assert_true(named);
    rig_stop(&rig);
}

/* --- Full disks ----------------------------------------------------------------------------- */

static void start_with_reserve(struct rig *rig)
{
    *rig = (struct rig){ .disk = disk_new(), .config = { .dir = "log" } };
    rig->config.segment_bytes = 64 * KIB;
    rig->config.reserve_bytes = 128 * KIB;
    disk_set_capacity(rig->disk, 1 * MIB);
    rig_open(rig, LOG_OPEN_OK);
    disk_settle(rig->disk);
}

/* Another program takes what is left of the disk. */
static void fill_disk(struct rig *rig)
{
    disk_set_capacity(rig->disk, 0);
    disk_advance(rig->disk, QR_SECOND);
}

static void scenario_56_the_reserve_outlives_a_full_disk(void **state)
{
    (void)state;
    struct rig rig;
    start_with_reserve(&rig);
    assert_int_equal(log_space(rig.log), LOG_SPACE_OK);
    fill_disk(&rig);
    qr_slot slot = 0;
    while (log_space(rig.log) == LOG_SPACE_OK) {
        rig_append(&rig, 1, ++slot, 1);
        rig_flush(&rig);
        disk_settle(rig.disk);
        disk_advance(rig.disk, 200 * QR_MILLISECOND);
        assert_true(slot < 1000);
    }
    assert_int_equal(rig.failure, 0); /* a full disk stops nothing */
    /* Deletes and trims still fit. */
    uint64_t low_at = log_position(rig.log);
    while (log_position(rig.log) - low_at < 64 * KIB) {
        rig_append(&rig, 1, ++slot, 1);
        rig_flush(&rig);
        disk_settle(rig.disk);
    }
    assert_int_equal(log_space(rig.log), LOG_SPACE_LOW);
    /* A trim gives segments back, without a free byte on the disk. */
    log_trim(rig.log, 1, slot, 1);
    rig_flush(&rig);
    log_state(rig.log, 1, SPAN_LITERAL("x"));
    rig_flush(&rig);
    disk_settle(rig.disk);
    disk_advance(rig.disk, QR_SECOND);
    assert_int_equal(log_space(rig.log), LOG_SPACE_OK);
    assert_int_equal(rig.failure, 0);
    rig_restart(&rig, LOG_OPEN_OK); /* scenario 56 */
    assert_int_equal(rig_group(&rig, 1).base_slot, slot);
    rig_stop(&rig);
}

static uint64_t free_bytes(struct rig *rig)
{
    return (uint64_t)io_free_bytes(rig->disk, "log");
}

static void look(struct rig *rig, uint64_t leave)
{
    disk_advance(rig->disk, QR_SECOND);
    log_leave_free(rig->log, leave);
    disk_settle(rig->disk);
    disk_advance(rig->disk, QR_SECOND);
}

static qr_slot write_until_low(struct rig *rig, qr_slot slot, uint64_t leave)
{
    while (log_space(rig->log) == LOG_SPACE_OK) {
        rig_append(rig, 1, ++slot, 1);
        rig_flush(rig);
        look(rig, leave);
        assert_true(slot < 2000);
    }
    return slot;
}

static void let_go(struct rig *rig, qr_slot slot)
{
    log_trim(rig->log, 1, slot, 1);
    rig_flush(rig);
    log_state(rig->log, 1, SPAN_LITERAL("x"));
    rig_flush(rig);
    disk_settle(rig->disk);
}

/* Else a checkpoint, without which the log is never let go, finds no room. */
static void what_is_to_be_left_free_is_not_the_logs(void **state)
{
    (void)state;
    struct rig rig;
    start_with_reserve(&rig);
    rig.config.recycle_bytes = 1 * MIB;
    rig_restart(&rig, LOG_OPEN_OK);
    look(&rig, 300 * KIB);
    uint64_t room = log_room(rig.log);
    qr_slot slot = write_until_low(&rig, 0, 300 * KIB);
    assert_in_range(free_bytes(&rig), 300 * KIB, 364 * KIB);
    assert_in_range(log_room(rig.log), 128 * KIB - RIG_PAYLOAD_MAX - 4 * KIB, 128 * KIB - 1);
    assert_in_range(room, log_position(rig.log), 1 * MIB - 300 * KIB);
    /* What is let go does not take it either. */
    let_go(&rig, slot);
    disk_set_capacity(rig.disk, 1 * MIB - 200 * KIB);
    look(&rig, 300 * KIB);
    look(&rig, 300 * KIB);
    assert_int_equal(log_space(rig.log), LOG_SPACE_OK);
    assert_in_range(free_bytes(&rig), 300 * KIB, 364 * KIB);
    assert_int_equal(rig.failure, 0);
    rig_restart(&rig, LOG_OPEN_OK);
    rig_stop(&rig);
}

static void files_that_wait_for_use_make_room_down_to_half_of_the_reserve(void **state)
{
    (void)state;
    struct rig rig;
    start_with_reserve(&rig);
    rig.config.recycle_bytes = 1 * MIB;
    rig_restart(&rig, LOG_OPEN_OK);
    qr_slot slot = write_until_low(&rig, 0, 0);
    let_go(&rig, slot);
    look(&rig, 0);
    assert_true(free_bytes(&rig) < 200 * KIB); /* it is all kept, to be used again */
    look(&rig, 400 * KIB);
    look(&rig, 400 * KIB);
    assert_in_range(free_bytes(&rig), 400 * KIB, 464 * KIB);
    fill_disk(&rig);
    look(&rig, 300 * KIB);
    assert_in_range(log_room(rig.log), 128 * KIB + 1, 192 * KIB); /* deletes can be written still */
    assert_int_equal(rig.failure, 0);
    rig_restart(&rig, LOG_OPEN_OK);
    rig_stop(&rig);
}

static void what_the_whole_log_would_not_make_room_for_is_not_left(void **state)
{
    (void)state;
    struct rig rig;
    start_with_reserve(&rig);
    uint64_t room = log_room(rig.log);
    look(&rig, 1 * MIB + 1);
    assert_int_equal(log_room(rig.log), room);
    look(&rig, 1 * MIB - 64 * KIB);
    assert_in_range(log_room(rig.log), 64 * KIB, 192 * KIB);
    rig_stop(&rig);
}

/* A file that has gone in the last moment is one that the next takes the place of. */
static void who_asks_for_more_sees_what_is_free_by_then(void **state)
{
    (void)state;
    struct rig rig;
    start_with_reserve(&rig);
    look(&rig, 64 * KIB);
    uint64_t room = log_room(rig.log);
    disk_set_capacity(rig.disk, 2 * MIB);
    log_leave_free(rig.log, 1 * MIB + 64 * KIB);
    assert_int_equal(log_room(rig.log), room);
    disk_settle(rig.disk);
    rig_stop(&rig);
}

static void writes_wait_when_even_the_reserve_is_used_up(void **state)
{
    (void)state;
    struct rig rig;
    start_with_reserve(&rig);
    fill_disk(&rig);
    qr_slot slot = 0;
    uint64_t waited = 0;
    while (waited == 0) {
        rig_append(&rig, 1, ++slot, 1);
        log_flush(rig.log);
        disk_settle(rig.disk);
        waited = rig.durable < log_position(rig.log) ? slot : 0;
        assert_true(slot < 1000);
    }
    rig_append(&rig, 1, ++slot, 1); /* gathers on */
    log_flush(rig.log);
    disk_settle(rig.disk);
    assert_int_equal(rig.failure, 0);
    rig_expect(&rig, 1, 1, slot + 1);
    assert_int_equal(log_space(rig.log), LOG_SPACE_LOW);
    disk_set_capacity(rig.disk, 1 * MIB); /* space again */
    disk_advance(rig.disk, 2 * QR_SECOND);
    log_flush(rig.log);
    disk_settle(rig.disk);
    assert_true(rig.durable >= log_position(rig.log));
    rig_restart(&rig, LOG_OPEN_OK);
    rig_expect(&rig, 1, 1, slot + 1);
    rig_stop(&rig);
}

static void a_first_open_on_a_full_disk_says_so(void **state)
{
    (void)state;
    struct rig rig = { .disk = disk_new(), .config = { .dir = "log" } };
    rig.config.segment_bytes = 64 * KIB;
    disk_set_capacity(rig.disk, 30 * KIB);
    rig_open(&rig, LOG_OPEN_IO);
    assert_non_null(strstr(rig.message, "disk full"));
    disk_set_capacity(rig.disk, 1 * MIB);
    rig_open(&rig, LOG_OPEN_OK);
    rig_stop(&rig);
}

static void where_no_usual_segment_fits_a_smaller_one_will_do(void **state)
{
    (void)state;
    struct rig rig = { .disk = disk_new(), .config = { .dir = "log" } };
    rig.config.segment_bytes = 256 * KIB;
    disk_set_capacity(rig.disk, 100 * KIB);
    rig_open(&rig, LOG_OPEN_OK);
    rig_append(&rig, 1, 1, 1);
    rig_flush(&rig);
    disk_settle(rig.disk);
    assert_true(rig.durable >= log_position(rig.log));
    disk_set_capacity(rig.disk, 4 * MIB);
    disk_advance(rig.disk, 2 * QR_SECOND);
    for (qr_slot slot = 2; slot < 100; slot++) { /* and then usual ones follow */
        rig_append(&rig, 1, slot, 1);
        rig_flush(&rig);
        disk_settle(rig.disk);
    }
    assert_true(rig.durable >= log_position(rig.log));
    rig_restart(&rig, LOG_OPEN_OK); /* scenario 56 */
    rig_expect(&rig, 1, 1, 100);
    rig_stop(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(scenario_102_no_report_after_a_failed_operation),
        cmocka_unit_test(nor_with_inline_syncs),
        cmocka_unit_test(opening_on_a_failing_disk_says_so),
        cmocka_unit_test(scenario_103_a_start_that_cannot_read_says_so_and_cuts_nothing),
        cmocka_unit_test(scenario_103_one_read_that_fails_cuts_nothing),
        cmocka_unit_test(no_segment_takes_the_name_of_a_damaged_one),
        cmocka_unit_test(scenario_56_the_reserve_outlives_a_full_disk),
        cmocka_unit_test(what_is_to_be_left_free_is_not_the_logs),
        cmocka_unit_test(files_that_wait_for_use_make_room_down_to_half_of_the_reserve),
        cmocka_unit_test(what_the_whole_log_would_not_make_room_for_is_not_left),
        cmocka_unit_test(who_asks_for_more_sees_what_is_free_by_then),
        cmocka_unit_test(writes_wait_when_even_the_reserve_is_used_up),
        cmocka_unit_test(a_first_open_on_a_full_disk_says_so),
        cmocka_unit_test(where_no_usual_segment_fits_a_smaller_one_will_do),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
