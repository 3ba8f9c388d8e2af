/* The logical log, case by case: where an entry applies, and how it goes back (engine/rows.h). */
#include "rows_rig.h"

#include "base/limits.h"
#include "command/command.h"
#include "engine/engine_internal.h"
#include "store/past.h"

#define START_US (START_MS * 1000)

/* --- Where it applies ------------------------------------------------------------------------ */

/* W4: nothing is changed, and it is said. */
static void expect_different(struct rig *rig, const char *difference, const char *mend)
{
    struct harness *h = rig->h;
    struct engine *primary = h->engine;
    h->engine = h->follower;
    rig_execute(rig, difference); /* at the follower alone */
    h->engine = primary;
    rig_execute(rig, "MSET a new b new");
    uint64_t digest = engine_digest(h->follower);
    assert_int_equal(rows_apply(h->follower, &rig->entry), ROWS_DIFFERENT);
    assert_true(engine_digest(h->follower) == digest);
    assert_int_equal(rows_undo(h->engine, &rig->entry), ROWS_DONE);
    h->engine = h->follower;
    rig_execute(rig, mend);
    h->engine = primary;
    assert_true(engine_digest(h->engine) == engine_digest(h->follower));
}

static void test_a_state_that_differs_is_refused(void **state)
{
    struct rig *rig = *state;
    rig_run(rig, "MSET a 1 b 2");
    expect_different(rig, "SET b 3", "SET b 2");
    expect_different(rig, "SET b 22", "SET b 2");
    expect_different(rig, "DEL a", "SET a 1");
    expect_different(rig, "PEXPIRE a 100", "PERSIST a");
    rig_run(rig, "DEL a");
    expect_different(rig, "SET a 1", "DEL a");
}

static void test_a_log_time_that_differs_is_refused(void **state)
{
    struct rig *rig = *state;
    rig_run(rig, "SET k 1");
    at_ms(rig->h, 10);
    rig_execute(rig, "SET k 2");
    engine_tick(rig->h->follower, START_US + 5000);
    assert_int_equal(rows_apply(rig->h->follower, &rig->entry), ROWS_DIFFERENT);
    expect(rig->h, "GET k", "$1|2|");
    engine_tick(rig->h->engine, START_US + 11000);
    assert_int_equal(rows_undo(rig->h->engine, &rig->entry), ROWS_DIFFERENT);
    engine_tick(rig->h->follower, START_US + 10000); /* as if only the key had not come along */
    assert_int_equal(rows_apply(rig->h->follower, &rig->entry), ROWS_DONE);
    at_ms(rig->h, 12); /* a follower that is behind */
    rig_execute(rig, "SET k 3");
    assert_int_equal(rows_apply(rig->h->follower, &rig->entry), ROWS_DIFFERENT);
    engine_tick(rig->h->follower, START_US + 11000);
    assert_int_equal(rows_apply(rig->h->follower, &rig->entry), ROWS_DONE);
}

/* Shared bytes are believed, the others are not. */
static void test_a_long_value_that_differs_is_refused(void **state)
{
    struct rig *rig = *state;
    rig_run_long(rig, "SET k", 1000, 'a');
    struct engine *primary = rig->h->engine;
    rig->h->engine = rig->h->follower;
    rig_execute(rig, "SETRANGE k 501 b");
    rig->h->engine = primary;
    rig_execute(rig, "SETRANGE k 500 XX");
    assert_int_equal(rows_apply(rig->h->follower, &rig->entry), ROWS_DIFFERENT);
    rig->h->engine = rig->h->follower;
    rig_execute(rig, "SETRANGE k 500 XX");
    rig->h->engine = primary;
}

/* A large value where the row has a small one. */
static void test_a_large_value_is_another_one(void **state)
{
    struct rig *rig = *state;
    rig->h->follower->config.value_bytes_max = 4 * MIB;
    rig_run(rig, "SET k v");
    struct engine *primary = rig->h->engine;
    rig->h->engine = rig->h->follower;
    rig_execute(rig, "SETRANGE k 300000 v");
    rig->h->engine = primary;
    rig_execute(rig, "SET k w");
    assert_int_equal(rows_apply(rig->h->follower, &rig->entry), ROWS_DIFFERENT);
    rig->h->engine = rig->h->follower;
    rig_execute(rig, "SET k w");
    rig->h->engine = primary;
}

/* W5: also to a state that has some of them already. */
static void test_rows_may_be_applied_again(void **state)
{
    struct rig *rig = *state;
    rig_run(rig, "MSET a 1 b 2 c 3");
    at_ms(rig->h, 10);
    rig_execute(rig, "MSET a 10 b 20 c 30");
    struct store_bytes value = { .span = SPAN_LITERAL("20") };
    (void)store_put(engine_store(rig->h->follower), 0, span_of("b", 1), value.span, 0);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(rows_apply(rig->h->follower, &rig->entry), ROWS_DONE);
        assert_true(engine_digest(rig->h->follower) == engine_digest(rig->h->engine));
    }
}

/* --- Back ------------------------------------------------------------------------------------ */

static void test_statements_do_not_go_back(void **state)
{
    struct rig *rig = *state;
    rig_run(rig, "SET k v");
    uint64_t digest = engine_digest(rig->h->engine);
    at_ms(rig->h, 10);
    rig_execute(rig, "SWAPDB 0 1");
    assert_true(rows_can_undo(&rig->entry));
    assert_int_equal(rows_undo(rig->h->engine, &rig->entry), ROWS_DONE);
    assert_true(engine_digest(rig->h->engine) == digest);
    rig_run(rig, "FLUSHALL");
    assert_false(rows_can_undo(&rig->entry));
    digest = engine_digest(rig->h->engine);
    assert_int_equal(rows_undo(rig->h->engine, &rig->entry), ROWS_ONE_WAY);
    assert_true(engine_digest(rig->h->engine) == digest);
}

/* W5: a follower that has it takes it for another state. */
static void test_statements_do_not_come_again(void **state)
{
    struct rig *rig = *state;
    at_ms(rig->h, 10);
    rig_run(rig, "SET k v");
    at_ms(rig->h, 20);
    rig_run(rig, "SWAPDB 0 1");
    uint64_t digest = engine_digest(rig->h->follower);
    assert_int_equal(rows_apply(rig->h->follower, &rig->entry), ROWS_DIFFERENT);
    assert_true(engine_digest(rig->h->follower) == digest);
}

/* Its record would stay, and the next try be answered from it. */
static void test_an_exchange_with_an_id_does_not_go_back(void **state)
{
    struct rig *rig = *state;
    const struct span argv[] = { span_of("0", 1), span_of("1", 1) };
    rig_execute_with_id(rig, COMMAND_SWAPDB, argv, 2);
    assert_int_equal(rig->entry.form, ROWS_FORM_STATEMENT);
    assert_int_equal(rows_apply(rig->h->follower, &rig->entry), ROWS_DONE);
    assert_int_equal(rows_undo(rig->h->engine, &rig->entry), ROWS_ONE_WAY);
}

/* W8 */
static void test_a_past_is_given_up(void **state)
{
    struct rig *rig = *state;
    const struct past_limits limits = { .age = QR_SECOND, .bytes = MIB };
    qr_slot floor;
    rig_run(rig, "SET k v");
    engine_keep_past(rig->h->engine, &limits, 1, 9);
    engine_enter(rig->h->engine, 2);
    rig_execute(rig, "SET k w");
    assert_true(engine_past_floor(rig->h->engine, &floor));
    assert_int_equal(rows_undo(rig->h->engine, &rig->entry), ROWS_DONE);
    assert_false(engine_past_floor(rig->h->engine, &floor));
    assert_int_equal(engine_past_epoch(rig->h->engine), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, rig_setup, rig_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_a_state_that_differs_is_refused),
        TEST(test_a_log_time_that_differs_is_refused),
        TEST(test_a_long_value_that_differs_is_refused),
        TEST(test_a_large_value_is_another_one),
        TEST(test_rows_may_be_applied_again),
        TEST(test_statements_do_not_go_back),
        TEST(test_statements_do_not_come_again),
        TEST(test_an_exchange_with_an_id_does_not_go_back),
        TEST(test_a_past_is_given_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
