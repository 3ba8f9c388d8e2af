/* The log over a disk in memory: what goes in comes out, before and after a restart. */
#include "rig.h"

#include "log/log_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static void one_record_comes_back(void **state)
{
    (void)state;
    struct rig rig;
    rig_start(&rig, 64 * KIB);
    rig_append(&rig, 7, 1, 1);
    uint64_t position = log_position(rig.log);
    rig_expect(&rig, 7, 1, 2); /* readable at once */
    log_flush(rig.log);
    assert_int_equal(rig.durable, 0); /* R5: not before the sync */
    disk_settle(rig.disk);
    assert_true(rig.durable >= position);
    assert_true(log_idle(rig.log));
    rig_restart(&rig, LOG_OPEN_OK);
    rig_expect(&rig, 7, 1, 2);
    struct log_group g;
    assert_false(log_group_state(rig.log, 8, &g));
    rig_stop(&rig);
}

static void many_groups_share_batches(void **state)
{
    (void)state;
    struct rig rig;
    rig_start(&rig, 1 * MIB);
    for (qr_slot slot = 1; slot <= 20; slot++) {
        for (uint32_t group = 0; group < 50; group++) {
            rig_append(&rig, group * 999, slot, 1);
        }
        rig_flush(&rig);
    }
    for (int round = 0; round < 2; round++) {
        for (uint32_t group = 0; group < 50; group++) {
            rig_expect(&rig, group * 999, 1, 21);
            assert_int_equal(rig_group(&rig, group * 999).last_slot, 20);
            struct span out;
            assert_int_equal(log_read(rig.log, group * 999, 1, 21, 10 * MIB, &out), 20);
        }
        rig_restart(&rig, LOG_OPEN_OK);
    }
    rig_stop(&rig);
}

static void a_flush_gathers_behind_the_one_in_flight(void **state)
{
    (void)state;
    struct rig rig;
    rig_start(&rig, 1 * MIB);
    disk_settle(rig.disk);
    rig_append(&rig, 1, 1, 1);
    log_flush(rig.log);
    for (qr_slot slot = 2; slot <= 10; slot++) {
        rig_append(&rig, 1, slot, 1);
        log_flush(rig.log);
    }
    disk_settle(rig.disk);
    assert_int_equal(rig.reports, 2); /* group commit: nine flushes, one sync */
    assert_true(rig.durable >= log_position(rig.log));
    struct log_stats stats;
    log_stats(rig.log, &stats);
    assert_int_equal(stats.batches, 2); /* in one batch: a block for each would fill the segments */
    rig_stop(&rig);
}

static void what_waits_for_a_segment_gathers(void **state)
{
    (void)state;
    struct rig rig;
    rig_start(&rig, 1 * MIB);
    for (qr_slot slot = 1; slot <= 10; slot++) {
        rig_append(&rig, 1, slot, 1);
        log_flush(rig.log);
    }
    disk_settle(rig.disk);
    struct log_stats stats;
    log_stats(rig.log, &stats);
    assert_int_equal(stats.batches, 2); /* what came while the file was made is one */
    rig_stop(&rig);
}

static void inline_syncs_report_at_once(void **state)
{
    (void)state;
    struct rig rig;
    rig_start(&rig, 64 * KIB);
    rig.log->config.sync = LOG_SYNC_INLINE;
    rig_append(&rig, 1, 1, 1);
    uint64_t position = log_position(rig.log);
    log_flush(rig.log);
    assert_true(rig.durable >= position);
    rig_restart(&rig, LOG_OPEN_OK);
    rig_expect(&rig, 1, 1, 2);
    rig_stop(&rig);
}

static void a_truncated_tail_is_replaced(void **state)
{
    (void)state;
    struct rig rig;
    rig_start(&rig, 256 * KIB);
    for (qr_slot slot = 1; slot <= 30; slot++) {
        rig_append(&rig, 1, slot, 1);
    }
    rig_flush(&rig);
    log_truncate(rig.log, 1, 11);
    for (qr_slot slot = 11; slot <= 15; slot++) {
        rig_append(&rig, 1, slot, 4);
    }
    rig_flush(&rig);
    for (int round = 0; round < 2; round++) {
        struct log_group g = rig_group(&rig, 1);
        assert_int_equal(g.last_slot, 15);
        assert_int_equal(g.run_count, 2);
        assert_int_equal(g.runs[0].slot, 1);
        assert_int_equal(g.runs[1].slot, 11);
        assert_int_equal(g.runs[1].term, 4);
        rig_expect(&rig, 1, 1, 11);
        assert_true(rig_has(&rig, 1, 15, 4));
        assert_false(rig_has(&rig, 1, 16, 1));
        rig_restart(&rig, LOG_OPEN_OK);
    }
    log_truncate(rig.log, 1, 1); /* all of it */
    rig_flush(&rig);
    rig_restart(&rig, LOG_OPEN_OK);
    assert_int_equal(rig_group(&rig, 1).last_slot, 0);
    assert_int_equal(rig_group(&rig, 1).run_count, 0);
    rig_stop(&rig);
}

static void the_last_state_counts(void **state)
{
    (void)state;
    struct rig rig;
    rig_start(&rig, 64 * KIB);
    log_state(rig.log, 1, SPAN_LITERAL("first"));
    log_state(rig.log, 1, SPAN_LITERAL("second, longer"));
    log_state(rig.log, 2, SPAN_LITERAL("other"));
    rig_flush(&rig);
    log_state(rig.log, 1, SPAN_LITERAL("never flushed"));
    rig_restart(&rig, LOG_OPEN_OK);
    rig_restart(&rig, LOG_OPEN_OK); /* now from a restatement */
    struct log_group g = rig_group(&rig, 1);
    assert_int_equal(g.state.n, strlen("second, longer"));
    assert_memory_equal(g.state.p, "second, longer", g.state.n);
    assert_int_equal(rig_group(&rig, 2).state.n, 5);
    rig_stop(&rig);
}

static void trimmed_segments_are_used_again(void **state)
{
    (void)state;
    struct rig rig;
    rig_start(&rig, 128 * KIB);
    struct log_stats stats;
    log_state(rig.log, 1, SPAN_LITERAL("vote"));
    for (qr_slot slot = 1; slot <= 3000; slot++) {
        rig_append(&rig, 1, slot, 1);
        if (slot % 10 == 0) {
            rig_flush(&rig);
        }
        if (slot > 100 && slot % 50 == 0) {
            log_trim(rig.log, 1, slot - 100, 1);
        }
        if (slot % 500 == 0) {
            disk_settle(rig.disk);
            log_stats(rig.log, &stats);
            assert_true(stats.segments <= 5);
            assert_true(disk_files(rig.disk) <= 9);
        }
    }
    rig_flush(&rig);
    assert_true(log_group_bytes(rig.log, 1) < 512 * KIB);
    rig_restart(&rig, LOG_OPEN_OK);
    struct log_group g = rig_group(&rig, 1);
    assert_int_equal(g.base_slot, 2900);
    assert_int_equal(g.base_term, 1);
    assert_int_equal(g.runs[0].slot, 2901);
    assert_int_equal(g.state.n, 4); /* restated: its own segment is long gone */
    rig_expect(&rig, 1, 2901, 3001);
    struct span out;
    assert_int_equal(log_read(rig.log, 1, 2900, 2902, 100, &out), 0);
    rig_stop(&rig);
}

static void a_group_that_pins_the_log_is_named(void **state)
{
    (void)state;
    struct rig rig;
    rig_start(&rig, 128 * KIB);
    rig_append(&rig, 5, 1, 1);
    for (qr_slot slot = 1; slot <= 1000; slot++) {
        rig_append(&rig, 1, slot, 1);
        rig_flush(&rig);
        log_trim(rig.log, 1, slot, 1);
    }
    struct log_stats stats;
    log_stats(rig.log, &stats);
    assert_true(stats.segments > 5);
    assert_int_equal(stats.pin_group, 5);
    log_trim(rig.log, 5, 1, 1);
    rig_flush(&rig);
    rig_flush(&rig); /* this batch states that the trim is on disk */
    disk_settle(rig.disk);
    log_stats(rig.log, &stats);
    assert_int_equal(stats.segments, 1);
    rig_restart(&rig, LOG_OPEN_OK);
    assert_int_equal(rig_group(&rig, 5).base_slot, 1);
    rig_stop(&rig);
}

static void what_was_trimmed_last_goes_though_nothing_more_is_written(void **state)
{
    (void)state;
    struct rig rig;
    rig_start(&rig, 128 * KIB);
    struct log_stats stats;
    for (qr_slot slot = 1; slot <= 1000; slot++) {
        rig_append(&rig, 1, slot, 1);
        rig_append(&rig, 2, slot, 1);
        rig_flush(&rig);
    }
    log_trim(rig.log, 1, 1000, 1);
    log_trim(rig.log, 2, 500, 1);
    rig_flush(&rig);
    log_trim(rig.log, 2, 1000, 1); /* while the first ones go */
    for (int turn = 0; turn < 50; turn++) {
        rig_flush(&rig);
        (void)disk_step(rig.disk);
    }
    log_stats(rig.log, &stats);
    assert_int_equal(stats.segments, 1);
    uint64_t position = log_position(rig.log);
    rig_flush(&rig);
    disk_settle(rig.disk);
    assert_int_equal(log_position(rig.log), position); /* then it is idle */
    rig_restart(&rig, LOG_OPEN_OK);
    assert_int_equal(rig_group(&rig, 2).base_slot, 1000);
    rig_stop(&rig);
}

static void a_snapshot_moves_the_base_beyond_the_end(void **state)
{
    (void)state;
    struct rig rig;
    rig_start(&rig, 64 * KIB);
    rig_append(&rig, 1, 1, 1);
    log_trim(rig.log, 1, 500, 3);
    rig_append(&rig, 1, 501, 3);
    rig_flush(&rig);
    rig_restart(&rig, LOG_OPEN_OK);
    assert_int_equal(rig_group(&rig, 1).base_slot, 500);
    assert_int_equal(rig_group(&rig, 1).base_term, 3);
    assert_true(rig_has(&rig, 1, 501, 3));
    rig_stop(&rig);
}

/* A roster that was overwritten or trimmed away is not in the list (scenarios 13, 25). */
static void scenario_13_25_rosters_are_known_by_slot(void **state)
{
    (void)state;
    struct rig rig;
    rig_start(&rig, 64 * KIB);
    for (qr_slot slot = 1; slot <= 12; slot++) {
        rig_append_kind(&rig, 1, slot, 1,
                        slot % 3 == 0   ? RECORD_MEMBERS
                        : slot % 3 == 1 ? RECORD_BLOB
                                        : RECORD_COMMAND);
    }
    log_truncate(rig.log, 1, 12);
    rig_append(&rig, 1, 12, 2);
    log_trim(rig.log, 1, 3, 1);
    rig_flush(&rig);
    for (int round = 0; round < 2; round++) {
        struct log_group g = rig_group(&rig, 1);
        assert_int_equal(g.members_count, 2);
        assert_int_equal(g.members[0], 6);
        assert_int_equal(g.members[1], 9);
        rig_restart(&rig, LOG_OPEN_OK);
    }
    log_truncate(rig.log, 1, 4);
    assert_int_equal(rig_group(&rig, 1).members_count, 0);
    rig_stop(&rig);
}

/* An installed snapshot that contradicts the log, or a state that was lost: nothing of the old
 * entries comes back, whether the group goes on behind or before where it stood. */
static void a_reset_drops_everything(void **state)
{
    (void)state;
    for (qr_slot slot = 0; slot <= 40; slot += 10) {
        struct rig rig;
        rig_start(&rig, 64 * KIB);
        for (qr_slot i = 1; i <= 25; i++) {
            rig_append(&rig, 1, i, 1);
        }
        log_trim(rig.log, 1, 15, 1);
        rig_flush(&rig);
        log_reset(rig.log, 1, slot, slot > 0 ? 2 : 0);
        rig_append(&rig, 1, slot + 1, 3);
        rig_flush(&rig);
        for (int round = 0; round < 3; round++) { /* the last from a restatement */
            struct log_group g = rig_group(&rig, 1);
            assert_int_equal(g.base_slot, slot);
            assert_int_equal(g.base_term, slot > 0 ? 2 : 0);
            assert_int_equal(g.last_slot, slot + 1);
            assert_int_equal(g.members_count, 0);
            assert_true(rig_has(&rig, 1, slot + 1, 3));
            rig_restart(&rig, LOG_OPEN_OK);
        }
        rig_stop(&rig);
    }
}

/* Appends one entry of n payload bytes. */
static void append_big(struct rig *rig, qr_slot slot, size_t n)
{
    uint8_t *p = calloc(1, record_bytes(n));
    memset(p + RECORD_HEADER_BYTES, (int)slot, n);
    record_seal(p, 1, RECORD_COMMAND, slot, 1, n);
    log_append(rig->log, span_of(p, record_bytes(n)), 1);
    free(p);
}

static void a_record_may_be_larger_than_a_segment(void **state)
{
    (void)state;
    struct rig rig;
    rig_start(&rig, 64 * KIB);
    rig.log->config.cache_bytes = 0;
    rig_append(&rig, 2, 1, 1);
    append_big(&rig, 1, 3 * MIB);
    append_big(&rig, 2, 10);
    append_big(&rig, 3, 1 * MIB);
    rig_append(&rig, 2, 2, 1);
    log_flush(rig.log);
    disk_settle(rig.disk);
    for (int round = 0; round < 2; round++) {
        struct span out;
        struct record r;
        assert_int_equal(log_read(rig.log, 1, 1, 4, 100, &out), 1); /* at least one */
        assert_int_equal(record_read(out, &r), record_bytes(3 * MIB));
        assert_int_equal(r.payload.p[3 * MIB - 1], 1);
        assert_int_equal(log_read(rig.log, 1, 1, 4, 10 * MIB, &out), 3);
        rig_expect(&rig, 2, 1, 3);
        rig_restart(&rig, LOG_OPEN_OK);
    }
    rig_stop(&rig);
}

/* A record goes to a new chunk when the room at the end of the last one is too small for it; that
 * room must not be taken for the place of what follows. */
static void records_that_did_not_fit_in_a_chunk_come_back(void **state)
{
    (void)state;
    struct rig rig;
    rig_start(&rig, 16 * MIB);
    for (qr_slot slot = 1; slot <= 9; slot++) {
        append_big(&rig, slot, slot % 3 == 0 ? 5 : 700 * KIB);
    }
    for (qr_slot slot = 1; slot <= 9; slot++) {
        struct span out;
        struct record r;
        assert_int_equal(log_read(rig.log, 1, slot, slot + 1, 1, &out), 1);
        assert_int_not_equal(record_read(out, &r), 0);
        assert_int_equal(r.slot, slot);
        assert_int_equal(r.payload.p[4], slot);
    }
    rig_stop(&rig);
}

static void old_entries_come_from_the_file(void **state)
{
    (void)state;
    struct rig rig;
    rig_start(&rig, 4 * MIB);
    rig.log->config.cache_bytes = 0;
    for (qr_slot slot = 1; slot <= 4000; slot++) {
        rig_append(&rig, 1, slot, 1);
        if (slot % 100 == 0) {
            rig_flush(&rig);
        }
    }
    struct log_stats stats;
    log_stats(rig.log, &stats);
    assert_true(stats.cache_bytes <= 2 * MIB); /* R4 */
    rig_expect(&rig, 1, 1, 4001);
    struct span out;
    size_t n;
    uint8_t *p = disk_bytes(rig.disk, 0, &n); /* the oldest segment */
    const struct run *run = group_run(groups_find(&rig.log->groups, 1), 0);
    p[LOG_BLOCK_BYTES + run->offset - FIRST_LOG_OFFSET + 20] ^= 1;
    assert_int_equal(log_read(rig.log, 1, 1, 2, 10, &out), -EBADMSG);
    rig_stop(&rig);
}

/* --- Retention ------------------------------------------------------------------------------- */

static void a_bound_in_bytes_names_a_slot(void **state)
{
    (void)state;
    struct rig rig;
    rig_start(&rig, 128 * KIB);
    assert_int_equal(log_slot_over_bytes(rig.log, 1, 0), 0);
    for (qr_slot slot = 1; slot <= 2000; slot++) {
        rig_append(&rig, 1, slot, 1);
        if (slot % 7 == 0) {
            rig_flush(&rig);
        }
    }
    log_trim(rig.log, 1, 10, 1);
    uint64_t all = log_group_bytes(rig.log, 1);
    assert_int_equal(log_slot_over_bytes(rig.log, 1, all), 10);
    qr_slot before = 2000;
    for (uint64_t bytes = 0; bytes < all; bytes += 50000) {
        qr_slot upto = log_slot_over_bytes(rig.log, 1, bytes);
        assert_in_range(upto, 11, before);
        assert_true(upto < before || bytes == 0);
        before = upto;
        if (bytes == 500000) {
            log_trim(rig.log, 1, upto, 1);
            assert_in_range(log_group_bytes(rig.log, 1), bytes - 64 * KIB, bytes);
            break;
        }
    }
    rig_stop(&rig);
}

static void a_bound_in_age_names_a_slot(void **state)
{
    (void)state;
    struct rig rig;
    rig_start(&rig, 128 * KIB);
    assert_int_equal(log_slot_over_age(rig.log, 1, 100 * QR_SECOND), 0);
    for (qr_slot slot = 1; slot <= 1000; slot++) { /* one a second */
        rig_append(&rig, 1, slot, 1);
        disk_advance(rig.disk, QR_SECOND);
        qr_slot upto = log_slot_over_age(rig.log, 1, 100 * QR_SECOND);
        if (slot <= 100) {
            assert_int_equal(upto, 0);
        } else {
            assert_in_range(upto, slot > 105 ? slot - 105 : 0, slot - 100);
        }
    }
    log_truncate(rig.log, 1, 500);
    assert_int_equal(log_slot_over_age(rig.log, 1, 100 * QR_SECOND), 499);
    log_trim(rig.log, 1, 499, 1);
    rig_flush(&rig);
    rig_restart(&rig, LOG_OPEN_OK);
    rig_append(&rig, 1, 500, 1);
    assert_int_equal(log_slot_over_age(rig.log, 1, QR_SECOND), 499);
    disk_advance(rig.disk, QR_SECOND);
    assert_int_equal(log_slot_over_age(rig.log, 1, QR_SECOND), 500);
    rig_stop(&rig);
}

/* --- Refusals ------------------------------------------------------------------------------- */

static void filled(struct rig *rig)
{
    rig_start(rig, 64 * KIB);
    rig_append(rig, 1, 1, 1);
    rig_flush(rig);
    disk_settle(rig->disk);
    log_close(rig->log);
    rig->log = NULL;
}

static void another_logs_segments_are_refused(void **state)
{
    (void)state;
    struct rig rig;
    filled(&rig);
    rig.config.uuid[3] ^= 1;
    rig_open(&rig, LOG_OPEN_FOREIGN);
    assert_non_null(strstr(rig.message, "another data directory"));
    rig.config.uuid[3] ^= 1;
    rig_open(&rig, LOG_OPEN_OK);
    rig_expect(&rig, 1, 1, 2);
    rig_stop(&rig);
}

static void a_newer_format_is_refused(void **state)
{
    (void)state;
    struct rig rig;
    filled(&rig);
    size_t n;
    uint8_t *p = disk_bytes(rig.disk, 0, &n);
    struct segment_header h;
    assert_int_equal(segment_header_decode(p, &h), HEADER_OK);
    h.version = LOG_FORMAT_VERSION + 1;
    segment_header_encode(&h, p);
    rig_open(&rig, LOG_OPEN_FOREIGN);
    assert_non_null(strstr(rig.message, "newer version"));
    rig_stop(&rig);
}

static void scenario_108_a_cut_file_is_refused(void **state)
{
    (void)state;
    for (size_t n = 0; n < 64 * KIB; n += 1000) { /* scenario 108 */
        struct rig rig;
        filled(&rig);
        disk_cut(rig.disk, 0, n);
        rig_open(&rig, LOG_OPEN_DAMAGED);
        struct log_group g;
        assert_true(log_group_state(rig.log, 1, &g));
        assert_true(g.damaged);
        rig_stop(&rig);
    }
}

static void a_wiped_log_is_missed(void **state)
{
    (void)state;
    struct rig rig;
    filled(&rig);
    rig.config.must_exist = true;
    rig_open(&rig, LOG_OPEN_OK);
    assert_int_equal(rig.message[0], 0);
    rig_stop(&rig);
    rig.disk = disk_new(); /* scenario 53 */
    rig_open(&rig, LOG_OPEN_DAMAGED);
    assert_non_null(strstr(rig.message, "there is no log"));
    assert_int_equal(disk_files(rig.disk), 1); /* the lock */
    assert_int_equal(log_space(rig.log), LOG_SPACE_NONE);
    struct log_group g;
    assert_true(log_group_state(rig.log, 1, &g));
    assert_true(g.damaged);
    rig_stop(&rig);
}

static void two_processes_cannot_share_a_log(void **state)
{
    (void)state;
    struct rig rig;
    rig_start(&rig, 64 * KIB);
    struct log *second;
    assert_int_equal(log_open(rig.disk, &rig.config, &second, rig.message, sizeof(rig.message)),
                     LOG_OPEN_IO);
    assert_non_null(strstr(rig.message, "another process"));
    rig_stop(&rig);
}

static void closing_while_a_write_is_in_flight(void **state)
{
    (void)state;
    struct rig rig;
    rig_start(&rig, 64 * KIB);
    disk_settle(rig.disk);
    rig_append(&rig, 1, 1, 1);
    log_flush(rig.log);
    log_close(rig.log);
    disk_settle(rig.disk); /* frees it; the sanitizer would tell */
    rig.log = NULL;
    assert_int_equal(rig.durable, 0);
    rig_open(&rig, LOG_OPEN_OK);
    rig_expect(&rig, 1, 1, 2);
    rig_stop(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_record_comes_back),
        cmocka_unit_test(many_groups_share_batches),
        cmocka_unit_test(a_flush_gathers_behind_the_one_in_flight),
        cmocka_unit_test(what_waits_for_a_segment_gathers),
        cmocka_unit_test(inline_syncs_report_at_once),
        cmocka_unit_test(a_truncated_tail_is_replaced),
        cmocka_unit_test(the_last_state_counts),
        cmocka_unit_test(trimmed_segments_are_used_again),
        cmocka_unit_test(a_group_that_pins_the_log_is_named),
        cmocka_unit_test(what_was_trimmed_last_goes_though_nothing_more_is_written),
        cmocka_unit_test(a_snapshot_moves_the_base_beyond_the_end),
        cmocka_unit_test(scenario_13_25_rosters_are_known_by_slot),
        cmocka_unit_test(a_reset_drops_everything),
        cmocka_unit_test(a_record_may_be_larger_than_a_segment),
        cmocka_unit_test(records_that_did_not_fit_in_a_chunk_come_back),
        cmocka_unit_test(old_entries_come_from_the_file),
        cmocka_unit_test(a_bound_in_bytes_names_a_slot),
        cmocka_unit_test(a_bound_in_age_names_a_slot),
        cmocka_unit_test(another_logs_segments_are_refused),
        cmocka_unit_test(a_newer_format_is_refused),
        cmocka_unit_test(scenario_108_a_cut_file_is_refused),
        cmocka_unit_test(a_wiped_log_is_missed),
        cmocka_unit_test(two_processes_cannot_share_a_log),
        cmocka_unit_test(closing_while_a_write_is_in_flight),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
