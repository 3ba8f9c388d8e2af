/* Expiry by log time (U56): what is due, when it goes, and when a read has to wait. */
#include "harness.h"

#include "base/limits.h"

#include <stdio.h>

static void test_a_read_waits_for_the_tick(void **state)
{
    struct harness *h = *state;
    expect(h, "SET k v PX 100", "+OK|");
    expect(h, "SET other v", "+OK|");
    assert_true(engine_next_due(h->engine) == (START_MS + 100) * 1000);
    at_ms(h, 99);
    expect(h, "GET k", "$1|v|");
    assert_int_equal(h->result, ENGINE_READ_DONE);
    at_ms(h, 100);
    static const char *const waiting[] = { "GET k",
                                           "MGET other k",
                                           "EXISTS other k",
                                           "TTL k",
                                           "DBSIZE",
                                           "KEYS *",
                                           "SCAN 0",
                                           "RANDOMKEY",
                                           "CLUSTER COUNTKEYSINSLOT 7629",
                                           "CLUSTER GETKEYSINSLOT 7629 9" };
    for (size_t i = 0; i < ARRAY_COUNT(waiting); i++) {
        expect(h, waiting[i], ""); /* nothing was written */
        assert_int_equal(h->result, ENGINE_READ_DUE);
    }
    expect(h, "GET other", "$1|v|"); /* nothing to do with it */
    struct engine_stats stats = engine_totals(h->engine)->stats;
    assert_int_equal(stats.keyspace_misses, 0); /* a read that waits is counted when it is done */
    tick(h);
    expect(h, "GET k", "$-1|");
    expect(h, "DBSIZE", ":1|");
    assert_true(engine_next_due(h->engine) == QR_NEVER);
    stats = engine_totals(h->engine)->stats;
    assert_int_equal(stats.expired_keys, 1);
}

/* A reply that is already there stays untouched when the next read has to wait. */
static void test_a_waiting_read_leaves_the_reply_alone(void **state)
{
    struct harness *h = *state;
    expect(h, "MSET a 1 b 2", "+OK|");
    expect(h, "PEXPIRE b 100", ":1|");
    at_ms(h, 200);
    struct span args[] = { SPAN_LITERAL("a"), SPAN_LITERAL("b") };
    struct op head = { .stamp = h->stamp, .level = SEMANTICS_LEVEL, .tag = 9 /* MGET */ };
    uint8_t bytes[64];
    op_write(bytes, &head, args, 2);
    struct op op;
    assert_true(op_read(span_of(bytes, op_bytes(args, 2)), &op));
    reply_reset(&h->reply);
    reply_error(&h->reply, "ERR before");
    size_t before = h->reply.n;
    assert_int_equal(engine_read(h->engine, &op, &h->reply), ENGINE_READ_DUE);
    assert_int_equal(h->reply.n, before);
    assert_true(h->reply.is_error);
    tick(h);
    assert_int_equal(engine_read(h->engine, &op, &h->reply), ENGINE_READ_DONE);
    assert_memory_equal(h->reply.p + before, "*2\r\n$1\r\n1\r\n$-1\r\n", 16);
    assert_false(h->reply.is_error);
}

/* A write's stamp moves log time: from then on the key is absent, tick or not. */
static void test_a_write_removes_what_it_meets(void **state)
{
    struct harness *h = *state;
    expect(h, "SET k 5 PX 100", "+OK|");
    expect(h, "SET l 5 PX 100", "+OK|");
    at_ms(h, 100);
    expect(h, "SET k 6 XX", "$-1|");
    expect(h, "INCR k", ":1|");
    expect(h, "TTL k", ":-1|"); /* the old time went with the old key */
    expect(h, "GET l", "$-1|"); /* due by log time now: no need to wait */
    expect(h, "KEYS *", "*1|$1|k|");
    expect(h, "RENAME l m", "-ERR no such key|");
    struct engine_stats stats = engine_totals(h->engine)->stats;
    assert_int_equal(stats.expired_keys, 2);
}

/* Log time never goes back, whatever a later leader's clock says. */
static void test_stamps_are_monotonic(void **state)
{
    struct harness *h = *state;
    at_ms(h, 1000);
    expect(h, "SET k v PX 100", "+OK|");
    at_ms(h, 0);
    expect(h, "SET j v PX 50", "+OK|"); /* counted from log time */
    assert_true(engine_log_time(h->engine) == (START_MS + 1000) * 1000);
    expect(h, "PEXPIRETIME j", ":1700000001050|");
    expect(h, "PTTL k", ":100|");
    at_ms(h, 1049);
    tick(h);
    expect(h, "PTTL k", ":51|");
    at_ms(h, 500);
    tick(h);
    assert_true(engine_log_time(h->engine) == (START_MS + 1049) * 1000);
}

/* R4: a tick removes a bounded number of keys, the earliest first, and then waits for the next. */
static void test_ticks_are_bounded_and_ordered(void **state)
{
    struct harness *h = *state;
    char text[64];
    int keys = EXPIRE_BATCH_KEYS + 500;
    for (int i = 0; i < keys; i++) {
        (void)snprintf(text, sizeof text, "SET k:%d v PX %d", i, 10 + i);
        expect(h, text, "+OK|");
    }
    at_ms(h, 100000);
    tick(h);
    assert_int_equal(store_count(engine_store(h->engine), 0), 500);
    assert_true(engine_next_due(h->engine) == (START_MS + 10 + EXPIRE_BATCH_KEYS) * 1000);
    /* Due by log time: absent, though still there. A pick at random finds the only live key. */
    expect(h, "KEYS *", "*0|");
    expect(h, "SCAN 0 COUNT 10000", "*2|$1|0|*0|");
    expect(h, "RANDOMKEY", "$-1|");
    expect(h, "SET live v", "+OK|");
    for (h->seed = 0; h->seed < 50; h->seed++) {
        expect(h, "RANDOMKEY", "$4|live|");
    }
    assert_int_equal(h->result, ENGINE_READ_DONE);
    tick(h);
    expect(h, "DBSIZE", ":1|");
}

/* What a peer may send: refused, and nothing changes. */
static void test_bad_operations(void **state)
{
    struct harness *h = *state;
    expect(h, "SET k v", "+OK|");
    uint64_t digest = engine_digest(h->engine);
    struct span args[] = { SPAN_LITERAL("k"), SPAN_LITERAL("w") };
    static const uint16_t no_writes[] = { 0, 999, 1000, 1404, 65535 };
    uint8_t bytes[64];
    struct op op;
    for (size_t i = 0; i < ARRAY_COUNT(no_writes); i++) {
        struct op head = { .stamp = h->stamp, .level = SEMANTICS_LEVEL, .tag = no_writes[i] };
        op_write(bytes, &head, args, 2);
        assert_true(op_read(span_of(bytes, op_bytes(args, 2)), &op));
        reply_reset(&h->reply);
        engine_apply(h->engine, &op, &h->reply);
        assert_true(h->reply.is_error);
        reply_reset(&h->reply);
        assert_int_equal(engine_read(h->engine, &op, &h->reply), ENGINE_READ_DONE);
        assert_true(h->reply.is_error);
    }
    /* A write that is asked for as a read must not write. */
    struct op head = { .stamp = h->stamp, .level = SEMANTICS_LEVEL, .tag = 1 };
    op_write(bytes, &head, args, 2);
    assert_true(op_read(span_of(bytes, op_bytes(args, 2)), &op));
    assert_int_equal(engine_read(h->engine, &op, &h->reply), ENGINE_READ_DONE);
    assert_true(h->reply.is_error);
    /* Too few arguments for any handler to look at. */
    for (uint16_t tag = 1; tag < 300; tag++) {
        head.tag = tag;
        op_write(bytes, &head, args, 0);
        assert_true(op_read(span_of(bytes, op_bytes(args, 0)), &op));
        if (tag != 201 && tag != 202) { /* FLUSHDB and FLUSHALL need none */
            engine_apply(h->engine, &op, &h->reply);
        }
    }
    assert_true(engine_digest(h->engine) == digest);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_a_read_waits_for_the_tick, harness_setup,
                                        harness_teardown),
        cmocka_unit_test_setup_teardown(test_a_waiting_read_leaves_the_reply_alone, harness_setup,
                                        harness_teardown),
        cmocka_unit_test_setup_teardown(test_a_write_removes_what_it_meets, harness_setup,
                                        harness_teardown),
        cmocka_unit_test_setup_teardown(test_stamps_are_monotonic, harness_setup, harness_teardown),
        cmocka_unit_test_setup_teardown(test_ticks_are_bounded_and_ordered, harness_setup,
                                        harness_teardown),
        cmocka_unit_test_setup_teardown(test_bad_operations, harness_setup, harness_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
