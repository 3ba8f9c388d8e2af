/* Entries that may be synced later (decision 057): written at once, durable within a second. */
#include "rig.h"

#include "log/log.h"

/* Appended lazily: it outlives the process once it is written, and it is synced within a second. */
static void what_may_be_synced_later_is_written_at_once(void **state)
{
    (void)state;
    struct rig rig;
    rig_start(&rig, 256 * KIB);
    disk_settle(rig.disk);
    rig.lazy = LOG_SYNC_LATER;
    struct log_stats before, after;
    log_stats(rig.log, &before);
    for (qr_slot slot = 1; slot <= 5; slot++) {
        rig_append(&rig, 1, slot, 1);
        log_flush(rig.log);
        disk_settle(rig.disk);
        assert_true(rig.written >= log_position(rig.log));
    }
    log_stats(rig.log, &after);
    assert_int_equal(after.syncs, before.syncs);
    assert_true(rig.durable < rig.written);
    assert_false(log_idle(rig.log));
    qr_time due = log_deadline(rig.log);
    assert_true(due <= io_now(rig.disk) + QR_SECOND);
    disk_advance(rig.disk, due - io_now(rig.disk));
    log_flush(rig.log);
    disk_settle(rig.disk);
    log_stats(rig.log, &after);
    assert_int_equal(after.syncs, before.syncs + 1);
    assert_true(rig.durable >= log_position(rig.log));
    assert_true(log_idle(rig.log) && log_deadline(rig.log) == QR_NEVER);
    rig_append(&rig, 1, 6, 1);
    log_flush(rig.log);
    disk_settle(rig.disk);
    rig_restart(&rig, LOG_OPEN_OK); /* a kill */
    rig_expect(&rig, 1, 1, 7);
    rig_stop(&rig);
}

/* One entry of the batch that may not be synced later takes all of it to the disk. */
static void a_batch_with_more_than_that_is_synced(void **state)
{
    (void)state;
    struct rig rig;
    rig_start(&rig, 256 * KIB);
    disk_settle(rig.disk);
    rig.lazy = LOG_SYNC_LATER;
    rig_append(&rig, 1, 1, 1);
    log_flush(rig.log);
    disk_settle(rig.disk);
    rig_append(&rig, 1, 2, 1);
    log_state(rig.log, 2, span_of("term", 4));
    rig_append(&rig, 1, 3, 1);
    log_flush(rig.log);
    disk_settle(rig.disk);
    assert_true(rig.durable >= log_position(rig.log));
    rig_append(&rig, 1, 4, 1);
    log_flush(rig.log);
    disk_settle(rig.disk);
    assert_true(rig.durable < log_position(rig.log));
    log_sync(rig.log); /* or where somebody wants it */
    log_flush(rig.log);
    disk_settle(rig.disk);
    assert_true(rig.durable >= log_position(rig.log));
    rig_stop(&rig);
}

/* A disk whose sync does not come back: writes wait for theirs. */
static void a_late_sync_is_waited_for(void **state)
{
    (void)state;
    struct rig rig;
    rig_start(&rig, 256 * KIB);
    disk_settle(rig.disk);
    rig.lazy = LOG_SYNC_LATER;
    rig_append(&rig, 1, 1, 1);
    log_flush(rig.log);
    disk_settle(rig.disk);
    disk_advance(rig.disk, 3 * QR_SECOND);
    rig_append(&rig, 1, 2, 1);
    log_flush(rig.log);
    disk_settle(rig.disk);
    assert_true(rig.durable >= log_position(rig.log));
    rig_stop(&rig);
}

/* What is to be there sooner brings the sync of all that was written forward, and what is written
 * during a sync is owed another one. */
static void the_sooner_of_two_counts(void **state)
{
    (void)state;
    struct rig rig;
    rig_start(&rig, 256 * KIB);
    disk_settle(rig.disk);
    qr_time began = io_now(rig.disk);
    for (qr_slot slot = 1; slot <= 3; slot++) {
        rig.lazy = slot == 2 ? LOG_SYNC_SOON : LOG_SYNC_LATER;
        rig_append(&rig, 1, slot, 1);
        log_flush(rig.log);
        disk_settle(rig.disk);
        assert_true(rig.durable < log_position(rig.log));
        qr_time waits = log_deadline(rig.log) - began;
        assert_true(slot == 1 ? waits >= LOG_SYNC_LATER : waits <= 2 * LOG_SYNC_SOON);
    }
    disk_advance(rig.disk, log_deadline(rig.log) - io_now(rig.disk));
    log_flush(rig.log); /* a sync begins */
    assert_true(log_deadline(rig.log) == QR_NEVER);
    rig.lazy = LOG_SYNC_SOON;
    rig_append(&rig, 1, 4, 1);
    log_flush(rig.log);
    uint64_t position = log_position(rig.log);
    disk_settle(rig.disk);
    assert_true(rig.durable < position);
    assert_true(log_deadline(rig.log) <= io_now(rig.disk) + LOG_SYNC_SOON);
    disk_advance(rig.disk, LOG_SYNC_SOON);
    log_flush(rig.log);
    disk_settle(rig.disk);
    assert_true(rig.durable >= position && log_idle(rig.log));
    rig_stop(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_may_be_synced_later_is_written_at_once),
        cmocka_unit_test(a_batch_with_more_than_that_is_synced),
        cmocka_unit_test(the_sooner_of_two_counts),
        cmocka_unit_test(a_late_sync_is_waited_for),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
