/* The log over a disk in memory: what goes in comes out, before and after a restart. */
#include "rig.h"

static void one_record_comes_back(void **state)
{
    (void)state;
    struct rig rig;
    rig_start(&rig, 64 * KIB);
    rig_append(&rig, 7, 1, 1);
    uint64_t position = log_position(rig.log);
    rig_expect(&rig, 7, 1, 2); /* readable at once */
    log_flush(rig.log);
    assert_int_equal(rig.durable, 0);
    disk_settle(rig.disk);
    assert_true(rig.durable >= position);
    assert_true(log_idle(rig.log));
    rig_restart(&rig, LOG_OPEN_OK);
    rig_expect(&rig, 7, 1, 2);
    rig_stop(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_record_comes_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
