/* The logical log, case by case: what is a row, and what is a statement (engine/rows.h). */
#include "rows_rig.h"

#include "base/limits.h"
#include "command/command.h"
#include "engine/engine_internal.h"
#include "engine/rows_capture.h"

#include <stdio.h>

#define START_US (START_MS * 1000)

static void expect_span(struct span s, const char *text)
{
    assert_int_equal(s.n, strlen(text));
    assert_memory_equal(s.p, text, s.n);
}

static void expect_image(const struct row_image *image, unsigned type, qr_wall expire, uint32_t n)
{
    assert_int_equal(image->type, type);
    assert_int_equal(image->expire, expire);
    assert_int_equal(image->n, n);
}

/* --- What rows say -------------------------------------------------------------------------- */

/* Byte by byte, as docs/log-format.md has it. */
static void test_L3_an_entry_byte_by_byte(void **state)
{
    struct rig *rig = *state;
    rig->h->stamp = 5;
    rig_run(rig, "SET k v");
    rig->h->stamp = 0x0102;
    rig_run(rig, "SET k word EXAT 1");
    static const uint8_t expected[] = {
        1,    1,    0,    0,   1,   0, 0, 0,               /* version, form, zero, rows */
        2,    1,    0,    0,   0,   0, 0, 0,               /* stamp */
        5,    0,    0,    0,   0,   0, 0, 0,               /* log time before */
        0,    1,    1,    1,   0,   0, 0, 'k',             /* database, types, key */
        0,    0,    0,    0,   0,   0, 0, 0,   1, 0, 0, 0, /* before: expiry, length */
        0x40, 0x42, 0x0f, 0,   0,   0, 0, 0,   4, 0, 0, 0, /* after */
        0,    0,    0,    0,   0,   0, 0, 0,               /* nothing shared */
        'v',  'w',  'o',  'r', 'd',
    };
    assert_int_equal(rig->payload.n, sizeof expected);
    assert_memory_equal(rig->payload.p, expected, sizeof expected);
}

static void test_images_are_whole_when_they_are_small(void **state)
{
    struct rig *rig = *state;
    rig_run(rig, "SET k 12345678901234567890");
    struct row row = rig_row(rig, 0);
    expect_image(&row.before, ROW_ABSENT, 0, 0);
    expect_image(&row.after, TYPE_STRING, 0, 20);
    expect_span(row.new, "12345678901234567890");
    rig_run(rig, "APPEND k x");
    row = rig_row(rig, 0);
    expect_span(row.old, "12345678901234567890");
    expect_span(row.new, "12345678901234567890x");
    rig_run(rig, "DEL k");
    row = rig_row(rig, 0);
    expect_image(&row.after, ROW_ABSENT, 0, 0);
    expect_span(row.old, "12345678901234567890x");
}

static void test_what_both_images_share_is_left_out(void **state)
{
    struct rig *rig = *state;
    rig_run_long(rig, "SET k", 1000, 'a');
    rig_run(rig, "SETRANGE k 500 XY");
    struct row row = rig_row(rig, 0);
    assert_int_equal(row.prefix, 500);
    assert_int_equal(row.suffix, 498);
    expect_span(row.old, "aa");
    expect_span(row.new, "XY");
    rig_run(rig, "APPEND k end");
    row = rig_row(rig, 0);
    assert_int_equal(row.prefix, 1000);
    assert_int_equal(row.suffix, 0);
    expect_span(row.old, "");
    expect_span(row.new, "end");
    rig_run(rig, "PEXPIRE k 1000");
    row = rig_row(rig, 0);
    assert_int_equal(row.old.n + row.new.n, 0);
    expect_image(&row.after, TYPE_STRING, rig->h->stamp + 1000000, 1003);
    /* The same end as beginning: no byte is shared twice. */
    rig_run_long(rig, "SET k", 900, 'a');
    rig_run_long(rig, "SET k", 1000, 'a');
    row = rig_row(rig, 0);
    assert_int_equal(row.prefix, 900);
    assert_int_equal(row.suffix, 0);
    assert_int_equal(row.new.n, 100);
    /* All of it at the end. */
    rig_run(rig, "SET j b");
    rig_run_long(rig, "APPEND j", 100, 'a');
    rig_run_long(rig, "SET k", 100, 'a');
    rig_run(rig, "COPY j k REPLACE");
    row = rig_row(rig, 0);
    assert_int_equal(row.suffix, 100);
    expect_span(row.new, "b");
    /* 63 bytes are not worth it, 64 are. */
    rig_run_long(rig, "SET k", 63, 'a');
    rig_run(rig, "APPEND k b");
    assert_int_equal(rig_row(rig, 0).prefix, 0);
    rig_run(rig, "APPEND k c");
    assert_int_equal(rig_row(rig, 0).prefix, 64);
    /* A shared value may lose bytes in its middle, or all that is its own. */
    rig_run_long(rig, "SET k", 64, 'a');
    rig_run_long(rig, "SET k", 70, 'a');
    rig_run_long(rig, "SET k", 66, 'a');
    row = rig_row(rig, 0);
    assert_int_equal(row.prefix, 66);
    assert_int_equal(row.old.n, 4);
    assert_int_equal(row.new.n, 0);
}

static void test_what_changes_nothing_moves_time_alone(void **state)
{
    struct rig *rig = *state;
    rig_run(rig, "SET k v");
    static const char *const commands[] = { "SET k v",   "SET k w NX", "DEL none",    "INCR k",
                                            "PERSIST k", "SET k",      "FLUSHDB what" };
    for (size_t i = 0; i < ARRAY_COUNT(commands); i++) {
        at_ms(rig->h, (int64_t)i + 1);
        rig_run(rig, commands[i]);
        assert_int_equal(rig->entry.form, ROWS_FORM_ROWS);
        assert_int_equal(rig->entry.count, 0);
        assert_int_equal(engine_log_time(rig->h->follower), rig->h->stamp);
    }
    at_ms(rig->h, 1); /* an older stamp */
    rig_run(rig, "SET k w");
    assert_int_equal(rows_time_after(&rig->entry), START_US + 7000);
}

static void test_a_key_that_was_due_is_seen_as_it_was(void **state)
{
    struct rig *rig = *state;
    rig_run(rig, "SET k old PX 10");
    at_ms(rig->h, 20);
    rig_run(rig, "SETNX k new");
    struct row row = rig_row(rig, 0);
    expect_image(&row.before, TYPE_STRING, START_US + 10000, 3);
    expect_image(&row.after, TYPE_STRING, 0, 3);
    rig_run(rig, "SET j old PX 10");
    at_ms(rig->h, 40);
    rig_run(rig, "GETDEL j");
    row = rig_row(rig, 0);
    expect_span(row.key, "j");
    expect_image(&row.after, ROW_ABSENT, 0, 0);
}

static void test_ticks_are_rows(void **state)
{
    struct rig *rig = *state;
    rig_run(rig, "MSET a 1 b 2");
    rig_run(rig, "PEXPIRE a 10");
    rig_run(rig, "PEXPIRE b 10");
    rig_run(rig, "SWAPDB 0 1"); /* a statement just before */
    uint64_t digest = engine_digest(rig->h->engine);
    at_ms(rig->h, 10);
    rig_tick(rig);
    assert_int_equal(rig->entry.form, ROWS_FORM_ROWS);
    assert_int_equal(rig->entry.count, 2);
    assert_int_equal(rows_apply(rig->h->follower, &rig->entry), ROWS_DONE);
    assert_int_equal(rows_undo(rig->h->engine, &rig->entry), ROWS_DONE);
    assert_true(engine_digest(rig->h->engine) == digest);
    assert_int_equal(rows_apply(rig->h->engine, &rig->entry), ROWS_DONE);
}

/* Rows stand in order, each key once, also where so many are changed that they need an index. */
static void test_each_key_has_one_row(void **state)
{
    struct rig *rig = *state;
    rig_run(rig, "MSET b 1 a 2 b 3 aa 4 a 5");
    assert_int_equal(rig->entry.count, 3);
    expect_span(rig_row(rig, 0).key, "a");
    expect_span(rig_row(rig, 0).new, "5");
    expect_span(rig_row(rig, 1).key, "aa");
    expect_span(rig_row(rig, 2).key, "b");
    enum { KEYS = 700, ARGUMENTS = 1 + 2 * 3 * KEYS };
    static struct span argv[ARGUMENTS];
    static char words[KEYS][8];
    uint32_t argc = 0;
    argv[argc++] = span_of("MSET", 4);
    for (uint32_t i = 0; i < 3 * KEYS; i++) {
        uint32_t k = i * 389 % KEYS;
        (void)snprintf(words[k], sizeof words[k], "%u", k);
        argv[argc++] = span_of(words[k], strlen(words[k]));
        argv[argc++] = span_of("123" + i / KEYS, 1); /* another value each time */
    }
    struct op op;
    uint8_t *bytes = encode_command(rig->h, argv, argc, rig->h->stamp, &op);
    rig_execute_op(rig, span_of(bytes, OP_HEADER_BYTES + op.args.n));
    free(bytes);
    assert_int_equal(rig->entry.count, KEYS);
    assert_int_equal(rows_apply(rig->h->follower, &rig->entry), ROWS_DONE);
}

static void test_keys_of_other_databases(void **state)
{
    struct rig *rig = *state;
    rig_run(rig, "SET k v");
    rig_run(rig, "COPY k k DB 3");
    assert_int_equal(rig_row(rig, 0).db, 3);
    assert_int_equal(rig->entry.count, 1);
    rig_run(rig, "MOVE k 2");
    assert_int_equal(rig->entry.count, 2);
    assert_int_equal(rig_row(rig, 0).db, 0);
    assert_int_equal(rig_row(rig, 1).db, 2);
}

/* It is looked at, and so it stands whole, also where another one like it was there before. */
static void test_records_of_requests_are_rows(void **state)
{
    struct rig *rig = *state;
    static uint8_t value[100];
    memset(value, 'v', sizeof value);
    const struct span argv[] = { span_of("k", 1), span_of(value, sizeof value) };
    rig_run_long(rig, "SET k", sizeof value, 'v');
    for (int i = 0; i < 2; i++) {
        at_ms(rig->h, 1000 * i);
        rig_execute_with_id(rig, 6 /* GETSET */, argv, 2);
        assert_int_equal(rig->entry.count, 1);
        struct row row = rig_row(rig, 0);
        assert_int_equal(row.db, IDS_DB);
        assert_int_equal(row.prefix, 0);
        assert_int_equal(row.old.n > 100, i == 1);
        assert_int_equal(rows_apply(rig->h->follower, &rig->entry), ROWS_DONE);
        assert_int_equal(engine_totals(rig->h->follower)->ids, 1);
    }
    rig_execute_with_id(rig, 6, argv, 2);
    assert_true(engine_replayed(rig->h->engine));
    assert_int_equal(rig->entry.count, 0);
}

/* --- What goes as a statement ---------------------------------------------------------------- */

static void expect_statement(struct rig *rig, const char *command)
{
    rig_run(rig, command);
    assert_int_equal(rig->entry.form, ROWS_FORM_STATEMENT);
    assert_true(engine_digest(rig->h->engine) == engine_digest(rig->h->follower));
}

static void test_whole_databases_go_as_statements(void **state)
{
    struct rig *rig = *state;
    rig_run(rig, "MSET a 1 b 2");
    expect_statement(rig, "SWAPDB 0 1");
    expect_statement(rig, "FLUSHALL");
    rig_run(rig, "SET a 1");
    expect_statement(rig, "FLUSHDB");
    rig_run(rig, "FLUSHDB"); /* nothing was there */
    assert_int_equal(rig->entry.form, ROWS_FORM_ROWS);
}

static void test_large_values_go_as_statements(void **state)
{
    struct rig *rig = *state;
    rig->h->engine->config.value_bytes_max = rig->h->follower->config.value_bytes_max = 4 * MIB;
    rig_run_long(rig, "SET k", LARGE_BYTES, 'x');
    assert_int_equal(rig->entry.form, ROWS_FORM_ROWS);
    expect_statement(rig, "APPEND k x"); /* becomes large */
    expect_statement(rig, "APPEND k x");
    expect_statement(rig, "PEXPIRE k 1000000");
    expect_statement(rig, "COPY k j");
    expect_statement(rig, "RENAME k l");
    expect_statement(rig, "SET l small");
    expect_statement(rig, "SETRANGE l 300000 x");
    expect_statement(rig, "DEL j l");
}

/* W2: a statement of a few bytes takes the place of rows that are too large. */
static void test_rows_are_bounded(void **state)
{
    struct rig *rig = *state;
    char command[128];
    rig->h->engine->config.value_bytes_max = rig->h->follower->config.value_bytes_max = 4 * MIB;
    static char text[512] = "DEL";
    const int keys = (int)(ROWS_BYTES_MAX / LARGE_BYTES);
    for (int i = 0; i <= keys; i++) {
        (void)snprintf(command, sizeof command, "SET k%d", i);
        rig_run_long(rig, command, LARGE_BYTES - 200, 'a');
        assert_int_equal(rig->entry.form, ROWS_FORM_ROWS);
        (void)snprintf(command, sizeof command, " k%d", i);
        (void)strcat(text, command);
        if (i < keys) {
            (void)snprintf(command, sizeof command, "PEXPIRE k%d 10", i);
            rig_run(rig, command);
        }
    }
    at_ms(rig->h, 20);
    rig_tick(rig); /* just within it */
    assert_int_equal(rig->entry.form, ROWS_FORM_ROWS);
    assert_int_equal(rig->entry.count, keys);
    assert_int_equal(rows_apply(rig->h->follower, &rig->entry), ROWS_DONE);
    for (int i = 0; i <= keys; i++) {
        (void)snprintf(command, sizeof command, "SET k%d", i);
        rig_run_long(rig, command, LARGE_BYTES, 'a');
    }
    expect_statement(rig, text);
    assert_true(rig->payload.n < 512);
    rig_run(rig, "SET k v"); /* and what comes after has rows again */
    assert_int_equal(rig->entry.form, ROWS_FORM_ROWS);
}

static void test_a_tick_of_much_goes_as_a_tick(void **state)
{
    struct rig *rig = *state;
    char command[64];
    rig->h->engine->config.value_bytes_max = rig->h->follower->config.value_bytes_max = 4 * MIB;
    for (int i = 0; i < 20; i++) {
        (void)snprintf(command, sizeof command, "PSETEX k%d 10", i);
        rig_run_long(rig, command, LARGE_BYTES, 'a');
    }
    at_ms(rig->h, 20);
    rig_tick(rig);
    assert_int_equal(rig->entry.form, ROWS_FORM_TICK);
    assert_int_equal(rig->payload.n, ROWS_HEAD_BYTES);
    assert_int_equal(rows_apply(rig->h->follower, &rig->entry), ROWS_DONE);
    assert_int_equal(rows_undo(rig->h->engine, &rig->entry), ROWS_ONE_WAY);
}

/* MSET: nothing before, and too much after. */
static void test_what_is_too_much_after_is_a_statement(void **state)
{
    struct rig *rig = *state;
    enum { KEYS = 80 };
    static uint8_t value[60 * 1024];
    static char words[KEYS][8];
    struct span argv[1 + 2 * KEYS] = { span_of("MSET", 4) };
    for (uint32_t i = 0; i < KEYS; i++) {
        (void)snprintf(words[i], sizeof words[i], "%u", i);
        argv[1 + 2 * i] = span_of(words[i], strlen(words[i]));
        argv[2 + 2 * i] = span_of(value, sizeof value);
    }
    for (uint32_t keys = KEYS - 20; keys <= KEYS; keys += 20) {
        struct op op;
        rig_run(rig, "FLUSHALL");
        uint8_t *bytes = encode_command(rig->h, argv, 1 + 2 * keys, rig->h->stamp, &op);
        rig_execute_op(rig, span_of(bytes, OP_HEADER_BYTES + op.args.n));
        assert_int_equal(rig->entry.form, keys < KEYS ? ROWS_FORM_ROWS : ROWS_FORM_STATEMENT);
        assert_int_equal(rows_apply(rig->h->follower, &rig->entry), ROWS_DONE);
        free(bytes);
    }
}

/* The bound is on what is kept meanwhile, too: here nothing has changed in the end. */
static void test_what_is_too_much_before_is_a_statement(void **state)
{
    struct rig *rig = *state;
    enum { KEYS = 17 };
    static uint8_t value[LARGE_BYTES];
    static char words[KEYS][8];
    struct span argv[1 + 2 * KEYS] = { span_of("MSET", 4) };
    rig->h->engine->config.value_bytes_max = rig->h->follower->config.value_bytes_max = MIB;
    for (uint32_t i = 0; i < KEYS; i++) {
        (void)snprintf(words[i], sizeof words[i], "%u", i);
        argv[1 + 2 * i] = span_of(words[i], strlen(words[i]));
        argv[2 + 2 * i] = span_of(value, sizeof value);
    }
    for (uint32_t keys = KEYS; keys >= KEYS - 2; keys -= 2) {
        struct op op;
        uint8_t *bytes = encode_command(rig->h, argv, 1 + 2 * keys, rig->h->stamp, &op);
        for (int i = 0; i < 2; i++) {
            rig_execute_op(rig, span_of(bytes, OP_HEADER_BYTES + op.args.n));
            assert_int_equal(rows_apply(rig->h->follower, &rig->entry), ROWS_DONE);
        }
        assert_int_equal(rig->entry.form, keys == KEYS ? ROWS_FORM_STATEMENT : ROWS_FORM_ROWS);
        free(bytes);
    }
}

static void test_very_many_keys_go_as_a_statement(void **state)
{
    struct rig *rig = *state;
    enum { KEYS = CAPTURE_KEYS_MAX + 1 };
    static char words[KEYS][8];
    static struct span argv[1 + 2 * KEYS] = { { .p = (const uint8_t *)"MSET", .n = 4 } };
    for (uint32_t i = 0; i < KEYS; i++) {
        (void)snprintf(words[i], sizeof words[i], "%u", i);
        argv[1 + 2 * i] = span_of(words[i], strlen(words[i]));
        argv[2 + 2 * i] = span_of("v", 1);
    }
    for (uint32_t keys = KEYS - 1; keys <= KEYS; keys++) {
        struct op op;
        rig_run(rig, "FLUSHALL");
        uint8_t *bytes = encode_command(rig->h, argv, 1 + 2 * keys, rig->h->stamp, &op);
        rig_execute_op(rig, span_of(bytes, OP_HEADER_BYTES + op.args.n));
        assert_int_equal(rig->entry.form, keys < KEYS ? ROWS_FORM_ROWS : ROWS_FORM_STATEMENT);
        assert_int_equal(rows_apply(rig->h->follower, &rig->entry), ROWS_DONE);
        free(bytes);
    }
}

static void test_records_of_the_node_go_as_statements(void **state)
{
    struct rig *rig = *state;
    uint8_t version[8] = { 0 }, bytes[128];
    const struct span argv[] = { span_of(version, 8), span_of("key", 3), span_of("value", 5) };
    struct op head = { .stamp = START_US, .level = SEMANTICS_LEVEL, .tag = OP_SYSTEM };
    op_write(bytes, &head, argv, 3);
    rig_execute_op(rig, span_of(bytes, op_bytes(argv, 3)));
    assert_int_equal(rig->entry.form, ROWS_FORM_STATEMENT);
    assert_int_equal(rows_apply(rig->h->follower, &rig->entry), ROWS_DONE);
    assert_int_equal(engine_system_version(rig->h->follower), 1);
}

/* What comes in parts is staged on both, and used up on both. */
static void test_blobs_go_as_statements(void **state)
{
    struct rig *rig = *state;
    uint8_t bytes[128];
    const struct span argv[] = { span_of("k", 1), { .n = 3 } };
    struct op head = { .stamp = START_US, .level = SEMANTICS_LEVEL, .tag = 1 };
    op_write(bytes, &head, argv, 2);
    size_t n = op_bytes(argv, 2);
    op_number_refs(bytes, n, 7);
    engine_blob_part(rig->h->engine, 7, 3, 0, span_of("abc", 3));
    engine_blob_part(rig->h->follower, 7, 3, 0, span_of("abc", 3));
    rig_execute_op(rig, span_of(bytes, n));
    assert_int_equal(rig->entry.form, ROWS_FORM_STATEMENT);
    assert_int_equal(rows_undo(rig->h->engine, &rig->entry), ROWS_ONE_WAY);
    assert_int_equal(rows_apply(rig->h->follower, &rig->entry), ROWS_DONE);
    assert_int_equal(engine_staged_bytes(rig->h->follower), 0);
    expect(rig->h, "GET k", "$3|abc|");
}

/* --- The statement log ----------------------------------------------------------------------- */

static void test_L1_all_that_writes_is_pinned(void **state)
{
    (void)state;
    for (size_t i = 0; i < command_count(); i++) {
        const struct command_spec *spec = command_at(i);
        assert_int_equal(rows_is_pinned(spec->tag), spec->place == PLACE_WRITE);
    }
    assert_true(rows_is_pinned(OP_SYSTEM));
    assert_false(rows_is_pinned(65000));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, rig_setup, rig_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_L3_an_entry_byte_by_byte),
        TEST(test_images_are_whole_when_they_are_small),
        TEST(test_what_both_images_share_is_left_out),
        TEST(test_what_changes_nothing_moves_time_alone),
        TEST(test_a_key_that_was_due_is_seen_as_it_was),
        TEST(test_ticks_are_rows),
        TEST(test_each_key_has_one_row),
        TEST(test_keys_of_other_databases),
        TEST(test_records_of_requests_are_rows),
        TEST(test_whole_databases_go_as_statements),
        TEST(test_large_values_go_as_statements),
        TEST(test_rows_are_bounded),
        TEST(test_a_tick_of_much_goes_as_a_tick),
        TEST(test_what_is_too_much_after_is_a_statement),
        TEST(test_what_is_too_much_before_is_a_statement),
        TEST(test_very_many_keys_go_as_a_statement),
        TEST(test_records_of_the_node_go_as_statements),
        TEST(test_blobs_go_as_statements),
        cmocka_unit_test(test_L1_all_that_writes_is_pinned),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
