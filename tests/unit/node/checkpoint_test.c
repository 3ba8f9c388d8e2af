/* Writing checkpoints: while writes go on, on a disk that is full or fails at each of its calls,
 * given up (scenarios 56, 102, 106, 107). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include <errno.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/limits.h"
#include "checkpoint_harness.h"

/* --- Writing and loading --------------------------------------------------------------------- */

static void test_round_trip(void **state)
{
    (void)state;
    struct world *w = world_open(20000);
    char message[1400];
    assert_int_equal(world_try(w, message), CHECKPOINT_NONE);
    world_take(w);
    assert_int_equal(w->result, CHECKPOINT_DONE);
    assert_int_equal(w->header.slot, test_header.slot);
    assert_false(world_has(w, CHECKPOINT_NEW_FILE));
    assert_loads_as(w, engine_digest(w->engine));
    world_take(w); /* over the old one */
    assert_int_equal(w->result, CHECKPOINT_DONE);
    assert_loads_as(w, engine_digest(w->engine));
    world_close(w);
}

static void write_on(struct world *w)
{
    world_put(w->engine, w->turns * 7, 500, 0);
    engine_tick(w->engine, 1000000 + w->turns * 10);
    if (w->turns % 16 == 0) {
        store_swap(engine_store(w->engine), 3, 4);
    }
    if (w->turns == 20) {
        store_clear(engine_store(w->engine), 15);
    }
}

static void test_scenario_30_writes_go_on_meanwhile(void **state)
{
    (void)state;
    struct world *w = world_open(50000);
    uint64_t digest = engine_digest(w->engine);
    w->between = write_on;
    world_take(w);
    assert_int_equal(w->result, CHECKPOINT_DONE);
    assert_true(w->turns > 20);
    assert_true(engine_digest(w->engine) != digest);
    assert_loads_as(w, digest);
    world_close(w);
}

static void test_a_left_over_is_deleted(void **state)
{
    (void)state;
    struct world *w = world_open(10);
    char path[128], message[1400];
    assert_int_equal(checkpoint_make_dir(w->io, w->dir, world_group), 0);
    world_path(w, CHECKPOINT_NEW_FILE, path);
    for (int i = 0; i < 2; i++) {
        FILE *f = fopen(path, "w");
        assert_non_null(f);
        (void)fputs("half a checkpoint", f);
        (void)fclose(f);
        if (i == 0) {
            world_take(w);
            assert_int_equal(w->result, CHECKPOINT_DONE);
        } else {
            assert_int_equal(world_try(w, message), CHECKPOINT_LOADED);
        }
        assert_false(world_has(w, CHECKPOINT_NEW_FILE));
    }
    assert_loads_as(w, engine_digest(w->engine));
    world_close(w);
}

/* --- Faults while writing -------------------------------------------------------------------- */

/* Fails each call of a kind in turn until none fails. The old checkpoint must stay, nothing may be
 * left behind, and the next one succeeds. Returns how many were failed. */
static uint32_t sweep(enum call call, int error, enum checkpoint_result expected)
{
    struct world *w = world_open(0);
    world_take(w);
    uint64_t old = engine_digest(w->engine);
    uint32_t failed = 0;
    for (uint32_t n = 1;; n++) {
        for (uint32_t i = 0; i < 30000; i++) {
            world_put(w->engine, i, 300, (qr_wall)(n + 1) * 1000);
        }
        fault_set(call, n, error);
        world_take(w);
        bool reached = fault_seen() >= n;
        fault_set(CALL_NONE, 0, 0);
        if (!reached) {
            assert_int_equal(w->result, CHECKPOINT_DONE);
            break;
        }
        failed++;
        assert_int_equal(w->result, expected);
        if (call != CALL_SYNC_DIR) { /* then nobody knows which file has which name */
            assert_false(world_has(w, CHECKPOINT_NEW_FILE));
            assert_non_null(strstr(w->message, strerror(-error)));
            assert_loads_as(w, old);
        }
    }
    assert_loads_as(w, engine_digest(w->engine));
    world_close(w);
    return failed;
}

static void test_scenario_56_a_full_disk_is_survived(void **state)
{
    (void)state;
    assert_int_equal(sweep(CALL_OPEN, -ENOSPC, CHECKPOINT_ABANDONED), 1);
    assert_in_range(sweep(CALL_WRITE, -ENOSPC, CHECKPOINT_ABANDONED), 3, 20);
    assert_int_equal(sweep(CALL_RENAME, -ENOSPC, CHECKPOINT_ABANDONED), 1);
    assert_in_range(sweep(CALL_WRITE, -EDQUOT, CHECKPOINT_ABANDONED), 3, 20);
}

static void test_scenario_106_a_failing_disk_is_told(void **state)
{
    (void)state;
    assert_int_equal(sweep(CALL_OPEN, -EIO, CHECKPOINT_FAILED), 1);
    assert_in_range(sweep(CALL_WRITE, -EIO, CHECKPOINT_FAILED), 3, 20);
    assert_int_equal(sweep(CALL_RENAME, -EIO, CHECKPOINT_FAILED), 1);
    uint32_t dirs = world_group == 0 ? 1 : 2;
    assert_int_equal(sweep(CALL_SYNC_DIR, -EIO, CHECKPOINT_FAILED), dirs);
    assert_int_equal(sweep(CALL_SYNC_DIR, -ENOSPC, CHECKPOINT_FAILED), dirs);
}

/* The first is renamed, the others swap their names with the one before. */
static void test_scenario_106_who_is_told_of_a_checkpoint_has_its_name_for_good(void **state)
{
    (void)state;
    struct world *w = world_open(100);
    for (uint32_t i = 0; i < 3; i++) {
        world_put(w->engine, i, 300, 7);
        world_take(w);
        assert_int_equal(w->result, CHECKPOINT_DONE);
        assert_false(names_may_be_lost());
    }
    world_close(w);
}

static void test_without_a_helper_thread(void **state)
{
    (void)state;
    struct world *w = world_open(100);
    fault_set(CALL_OFFLOAD, 1, -EAGAIN);
    world_take(w);
    assert_int_equal(fault_seen(), 1);
    assert_int_equal(w->result, CHECKPOINT_DONE);
    assert_loads_as(w, engine_digest(w->engine));
    world_close(w);
}

/* Every key is overwritten while the disk stands still: the walk's backlog is bounded. */
static void overwrite(struct world *w)
{
    static uint8_t value[256 * 1024];
    if (w->turns > 1300) {
        fault_let_go(w);
        return;
    }
    uint32_t i = w->turns;
    store_put(engine_store(w->engine), 0, span_of(&i, sizeof i), span_of(value, 1), 0);
}

static void test_a_backlog_is_bounded(void **state)
{
    (void)state;
    struct world *w = world_open(0);
    uint8_t *value = qr_zalloc(256 * 1024);
    for (uint32_t i = 0; i < 1400; i++) {
        store_put(engine_store(w->engine), 0, span_of(&i, sizeof i), span_of(value, 256 * 1024), 0);
    }
    free(value);
    fault_withhold();
    w->between = overwrite;
    world_take(w);
    assert_int_equal(w->result, CHECKPOINT_ABANDONED);
    assert_non_null(strstr(w->message, "slow disk"));
    assert_false(world_has(w, CHECKPOINT_NEW_FILE));
    w->between = NULL;
    world_take(w);
    assert_int_equal(w->result, CHECKPOINT_DONE);
    assert_loads_as(w, engine_digest(w->engine));
    world_close(w);
}

/* A process that dies just before each of its calls in turn: there is always a whole checkpoint,
 * the old one or the new one, and what was half done is cleared away (scenarios 35, 38, 56). */
static void test_scenario_38_a_crash_at_every_call(void **state)
{
    (void)state;
    struct world *w = world_open(0);
    uint64_t old = 0, new = 0;
    bool seen_old = false, seen_new = false;
    uint32_t crashes = 0;
    for (int code = WORLD_CRASHED; code == WORLD_CRASHED; crashes++) {
        world_put(w->engine, 1, 500, 0);
        old = engine_digest(w->engine);
        world_take(w);
        assert_int_equal(w->result, CHECKPOINT_DONE);
        for (uint32_t i = 0; i < 10000; i++) {
            world_put(w->engine, i, 300, 7);
        }
        new = engine_digest(w->engine);
        pid_t child = fork();
        assert_true(child >= 0);
        if (child == 0) {
            w->io = io_new(); /* loops do not survive a fork */
            memset(&w->timer, 0, sizeof w->timer);
            fault_crash(crashes + 1);
            world_take(w);
            _exit(0);
        }
        int status;
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_true(WIFEXITED(status));
        code = WEXITSTATUS(status);
        char message[1400];
        struct engine *engine;
        assert_int_equal(world_load(w, &engine, message), CHECKPOINT_LOADED);
        seen_old = seen_old || engine_digest(engine) == old;
        seen_new = seen_new || engine_digest(engine) == new;
        assert_true(engine_digest(engine) == old || engine_digest(engine) == new);
        assert_false(world_has(w, CHECKPOINT_NEW_FILE));
        engine_free(engine);
        for (uint32_t i = 0; i < DATABASES; i++) {
            store_clear(engine_store(w->engine), (uint8_t)i);
        }
    }
    assert_in_range(crashes, 7, 30);
    assert_true(seen_old);
    assert_true(seen_new);
    world_close(w);
}

/* --- Giving up ------------------------------------------------------------------------------- */

static void abort_in_turn(struct world *w)
{
    if (w->checkpoint != NULL && w->turns >= 3) {
        checkpoint_abort(w->checkpoint);
        w->checkpoint = NULL;
    } else if (w->turns > 3 && !world_has(w, CHECKPOINT_NEW_FILE)) {
        io_stop(w->io);
    }
}

static void test_abort_leaves_nothing(void **state)
{
    (void)state;
    struct world *w = world_open(50000);
    w->between = abort_in_turn;
    world_start(w);
    world_run(w);
    assert_false(w->called);
    assert_false(world_has(w, CHECKPOINT_NEW_FILE));
    assert_false(world_has(w, CHECKPOINT_FILE));
    w->between = NULL;
    world_take(w); /* the engine can begin again at once */
    assert_int_equal(w->result, CHECKPOINT_DONE);
    assert_loads_as(w, engine_digest(w->engine));
    world_close(w);
}

/* The same of a group whose files lie elsewhere. */
static int another_group(void **state)
{
    (void)state;
    world_group = 77;
    return 0;
}

static int group_0(void **state)
{
    (void)state;
    world_group = 0;
    return 0;
}

#define ANOTHER(test)                                          \
    {                                                          \
        "group 77: " #test, test, another_group, group_0, NULL \
    }

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_scenario_30_writes_go_on_meanwhile),
        cmocka_unit_test(test_a_left_over_is_deleted),
        cmocka_unit_test(test_scenario_56_a_full_disk_is_survived),
        cmocka_unit_test(test_scenario_106_a_failing_disk_is_told),
        cmocka_unit_test(test_scenario_106_who_is_told_of_a_checkpoint_has_its_name_for_good),
        cmocka_unit_test(test_without_a_helper_thread),
        cmocka_unit_test(test_scenario_38_a_crash_at_every_call),
        cmocka_unit_test(test_a_backlog_is_bounded),
        cmocka_unit_test(test_abort_leaves_nothing),
        ANOTHER(test_round_trip),
        ANOTHER(test_a_left_over_is_deleted),
        ANOTHER(test_scenario_106_a_failing_disk_is_told),
        ANOTHER(test_scenario_106_who_is_told_of_a_checkpoint_has_its_name_for_good),
        ANOTHER(test_scenario_38_a_crash_at_every_call),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
