/* Reads as of an earlier slot, case by case; past_model_test.c compares them with whole states. */
#include "harness.h"

#include "base/limits.h"
#include "command/command.h"

#include <stdio.h>

static const struct past_limits plenty = { .age = 60 * QR_SECOND, .bytes = 64 * MIB };

static void keep(struct harness *h, const struct past_limits *limits, qr_slot slot)
{
    engine_keep_past(h->engine, limits, slot, 1);
}

/* The write of that slot. */
static void write_at(struct harness *h, qr_slot slot, const char *command)
{
    char text[256];
    struct span argv[WORDS_MAX];
    (void)snprintf(text, sizeof text, "%s", command);
    engine_enter(h->engine, slot);
    run_command(h, argv, split_words(text, argv));
    assert_false(h->reply.is_error);
}

static void tick_at(struct harness *h, qr_slot slot)
{
    engine_enter(h->engine, slot);
    tick(h);
}

static enum engine_as_of read_as_of(struct harness *h, qr_slot slot, const char *command)
{
    char text[256];
    struct span argv[WORDS_MAX];
    struct op op;
    (void)snprintf(text, sizeof text, "%s", command);
    uint8_t *bytes = encode_command(h, argv, split_words(text, argv), 0, &op);
    reply_reset(&h->reply);
    enum engine_as_of result = engine_read_as_of(h->engine, &op, slot, &h->reply);
    free(bytes);
    return result;
}

static void expect_as_of_at(struct harness *h, qr_slot slot, const char *command,
                            const char *expected, int line)
{
    enum engine_as_of result = read_as_of(h, slot, command);
    char *got = shown_reply(h);
    if (result != ENGINE_AS_OF_DONE || strcmp(got, expected) != 0) {
        print_error("%s as of %d: got %d %s, expected %s\n", command, (int)slot, (int)result, got,
                    expected);
        _fail(__FILE__, line);
    }
    free(got);
}
#define expect_as_of(h, slot, command, expected) \
    expect_as_of_at(h, slot, command, expected, __LINE__)

static qr_slot floor_of(struct harness *h)
{
    qr_slot floor;
    assert_true(engine_past_floor(h->engine, &floor));
    return floor;
}

static void test_nothing_is_kept_unless_it_is_said(void **state)
{
    struct harness *h = *state;
    qr_slot floor;
    write_at(h, 1, "SET k old");
    write_at(h, 2, "SET k new");
    assert_false(engine_past_floor(h->engine, &floor));
    assert_int_equal(read_as_of(h, 1, "GET k"), ENGINE_AS_OF_TOO_OLD);
    assert_int_equal(h->reply.n, 0);
    assert_int_equal(engine_past_memory(h->engine), 0);
    assert_int_equal(engine_past_epoch(h->engine), 0);
}

static void test_a_key_is_what_it_was(void **state)
{
    struct harness *h = *state;
    write_at(h, 5, "SET there before");
    keep(h, &plenty, 5);
    write_at(h, 6, "SET k one");
    write_at(h, 7, "SET k two");
    write_at(h, 9, "DEL k");
    write_at(h, 12, "SET k three");
    write_at(h, 13, "DEL there");
    expect_as_of(h, 5, "GET k", "$-1|");
    expect_as_of(h, 6, "GET k", "$3|one|");
    expect_as_of(h, 7, "GET k", "$3|two|");
    expect_as_of(h, 8, "GET k", "$3|two|");
    expect_as_of(h, 9, "GET k", "$-1|");
    expect_as_of(h, 11, "EXISTS k k there", ":1|");
    expect_as_of(h, 12, "MGET k there", "*2|$5|three|$6|before|");
    expect_as_of(h, 13, "MGET k there", "*2|$5|three|$-1|");
    expect_as_of(h, 99, "GET k", "$5|three|"); /* nothing has changed since */
    expect_as_of(h, 7, "STRLEN k", ":3|");
    expect_as_of(h, 7, "GETRANGE k 1 -1", "$2|wo|");
    expect_as_of(h, 9, "TYPE k", "+none|");
    expect_as_of(h, 7, "TYPE k", "+string|");
    assert_int_equal(read_as_of(h, 4, "GET k"), ENGINE_AS_OF_TOO_OLD); /* before it began */
    assert_int_equal(floor_of(h), 5);
}

/* Whatever one entry does to a key, what it was before the entry is what counts. */
static void test_an_entry_is_seen_whole(void **state)
{
    struct harness *h = *state;
    write_at(h, 1, "MSET a 1 b 1");
    keep(h, &plenty, 1);
    write_at(h, 2, "MSET a 2 b 2 a 3 b 3");
    write_at(h, 3, "RENAME a b");
    write_at(h, 4, "COPY b c");
    write_at(h, 5, "RENAME c c");
    write_at(h, 6, "MOVE c 3");
    expect_as_of(h, 1, "MGET a b c", "*3|$1|1|$1|1|$-1|");
    expect_as_of(h, 2, "MGET a b c", "*3|$1|3|$1|3|$-1|");
    expect_as_of(h, 3, "MGET a b c", "*3|$-1|$1|3|$-1|");
    expect_as_of(h, 4, "MGET a b c", "*3|$-1|$1|3|$1|3|");
    expect_as_of(h, 6, "MGET a b c", "*3|$-1|$1|3|$-1|");
    h->db = 3;
    expect_as_of(h, 5, "GET c", "$-1|"); /* the same key of another database */
    expect_as_of(h, 6, "GET c", "$1|3|");
}

static void test_expiry_is_that_of_then(void **state)
{
    struct harness *h = *state;
    write_at(h, 1, "SET k v PX 100");
    write_at(h, 2, "SET n v PX 1000");
    keep(h, &plenty, 2);
    at_ms(h, 50);
    write_at(h, 3, "SET other v");
    at_ms(h, 200);
    write_at(h, 4, "SET other w"); /* k is due as of now, and not ticked */
    tick_at(h, 5);
    at_ms(h, 300);
    write_at(h, 6, "PERSIST n");
    expect_as_of(h, 2, "PTTL k", ":100|");
    expect_as_of(h, 3, "PTTL k", ":50|");
    expect_as_of(h, 3, "GET k", "$1|v|");
    expect_as_of(h, 4, "GET k", "$-1|");
    expect_as_of(h, 5, "GET k", "$-1|");
    expect_as_of(h, 5, "PTTL n", ":800|");
    expect_as_of(h, 6, "PTTL n", ":-1|");
    expect_as_of(h, 2, "PEXPIRETIME n", ":1700000001000|");
}

/* A write that meets a due key removes it first: as of the slot before it was gone all the same. */
static void test_a_due_key_that_a_write_removes(void **state)
{
    struct harness *h = *state;
    write_at(h, 1, "SET k v PX 100");
    keep(h, &plenty, 1);
    at_ms(h, 150);
    write_at(h, 2, "SET other v");
    write_at(h, 3, "APPEND k w");
    expect_as_of(h, 1, "GET k", "$1|v|");
    expect_as_of(h, 2, "GET k", "$-1|");
    expect_as_of(h, 3, "GET k", "$1|w|");
}

static void test_age_raises_the_floor(void **state)
{
    struct harness *h = *state;
    struct past_limits limits = { .age = QR_SECOND, .bytes = 64 * MIB };
    write_at(h, 1, "SET k 1");
    keep(h, &limits, 1);
    at_ms(h, 400);
    write_at(h, 2, "SET k 2");
    at_ms(h, 1000);
    write_at(h, 3, "SET k 3");
    assert_int_equal(floor_of(h), 1); /* a second ago it was 1 */
    at_ms(h, 1399);
    write_at(h, 4, "SET k 4");
    assert_int_equal(floor_of(h), 1);
    at_ms(h, 1400);
    write_at(h, 5, "SET k 5");
    assert_int_equal(floor_of(h), 2);
    assert_int_equal(read_as_of(h, 1, "GET k"), ENGINE_AS_OF_TOO_OLD);
    expect_as_of(h, 2, "GET k", "$1|2|");
    at_ms(h, 9000);
    tick_at(h, 6); /* time goes on by any entry */
    assert_int_equal(floor_of(h), 5);
    expect_as_of(h, 5, "GET k", "$1|5|");
}

static void test_bytes_raise_the_floor(void **state)
{
    struct harness *h = *state;
    struct past_limits limits = { .age = 60 * QR_SECOND, .bytes = 64 * KIB };
    keep(h, &limits, 0);
    char command[256];
    for (qr_slot slot = 1; slot <= 5000; slot++) {
        (void)snprintf(command, sizeof command, "SET key:%d %0100d", (int)(slot % 700), (int)slot);
        write_at(h, slot, command);
        assert_true(engine_past_memory(h->engine) < 2 * limits.bytes);
        assert_true(floor_of(h) < slot);
        store_check(engine_store(h->engine));
    }
    assert_true(floor_of(h) > 4000 && floor_of(h) < 4800);
    (void)snprintf(command, sizeof command, "$100|%0100d|", 4800);
    expect_as_of(h, 4900, "GET key:600", command);
    assert_true(engine_totals(h->engine)->memory ==
                store_memory(engine_store(h->engine)) + engine_past_memory(h->engine));
}

/* An entry that alone exceeds the bytes: nothing before it can be asked for, and all from it on. */
static void test_an_entry_that_is_too_much(void **state)
{
    struct harness *h = *state;
    struct past_limits limits = { .age = 60 * QR_SECOND, .bytes = 400 };
    keep(h, &limits, 0);
    write_at(h, 1, "SET a 1");
    write_at(h, 2, "MSET a 2 b 2 c 2 d 2 e 2");
    assert_int_equal(floor_of(h), 2);
    store_check(engine_store(h->engine));
    write_at(h, 3, "SET a 3");
    expect_as_of(h, 2, "MGET a e", "*2|$1|2|$1|2|");
}

static void test_a_flush_cuts(void **state)
{
    static const char *const cuts[] = { "FLUSHALL", "FLUSHDB", "SWAPDB 0 1" };
    struct harness *h = *state;
    keep(h, &plenty, 0);
    for (qr_slot i = 0; i < ARRAY_COUNT(cuts); i++) {
        qr_slot slot = 10 * i + 10;
        write_at(h, slot, "SET k v");
        write_at(h, slot + 1, "SET k w");
        expect_as_of(h, slot, "GET k", "$1|v|");
        write_at(h, slot + 2, cuts[i]);
        assert_int_equal(floor_of(h), slot + 2);
        expect_as_of(h, slot + 2, "GET k", "$-1|");
        write_at(h, slot + 3, "SET k x");
        expect_as_of(h, slot + 2, "GET k", "$-1|");
        while (engine_idle(h->engine)) {
        }
        store_check(engine_store(h->engine));
    }
}

static void fill(struct harness *h, qr_slot slot, const char *name, const char *key, size_t n)
{
    uint8_t *bytes = calloc(1, n);
    assert_non_null(bytes);
    struct span argv[] = { span_of(name, strlen(name)), span_of(key, strlen(key)),
                           span_of(bytes, n) };
    engine_enter(h->engine, slot);
    run_command(h, argv, 3);
    free(bytes);
}

static void test_what_is_too_large_is_lost(void **state)
{
    struct harness *h = *state;
    struct past_limits limits = { .age = 60 * QR_SECOND, .bytes = 64 * KIB };
    keep(h, &limits, 0);
    write_at(h, 1, "SET k v");
    fill(h, 2, "SET", "big", 20000);
    fill(h, 3, "SET", "fits", 10000);
    write_at(h, 4, "SET big v");
    write_at(h, 5, "SET fits v");
    expect_as_of(h, 1, "GET big", "$-1|");
    assert_int_equal(read_as_of(h, 2, "STRLEN big"), ENGINE_AS_OF_LOST);
    assert_int_equal(read_as_of(h, 3, "MGET k big"), ENGINE_AS_OF_LOST);
    assert_int_equal(h->reply.n, 0);
    expect_as_of(h, 3, "STRLEN fits", ":10000|"); /* and what others were is known */
    expect_as_of(h, 4, "GET big", "$1|v|");
}

/* Large values are kept by reference, and those that are written into are not kept. */
static void test_large_values(void **state)
{
    struct harness *h = *state;
    keep(h, &plenty, 0);
    for (qr_slot slot = 1; slot <= 5; slot++) {
        fill(h, slot, "APPEND", "k", 60000); /* the harness's longest value is 64 KiB */
    }
    expect_as_of(h, 1, "STRLEN k", ":60000|");
    store_check(engine_store(h->engine));
    struct store *store = engine_store(h->engine);
    uint8_t *bytes = calloc(1, LARGE_BYTES + 1);
    assert_non_null(bytes);
    engine_enter(h->engine, 6);
    struct store_bytes all = { .span = span_of(bytes, LARGE_BYTES + 1) };
    (void)store_put(store, 0, SPAN_LITERAL("large"), all.span, 0);
    engine_enter(h->engine, 7);
    (void)store_put(store, 0, SPAN_LITERAL("large"), SPAN_LITERAL("v"), 0);
    engine_enter(h->engine, 8);
    (void)store_put(store, 0, SPAN_LITERAL("large"), all.span, 0);
    engine_enter(h->engine, 9);
    store_write(store, 0, SPAN_LITERAL("large"), LARGE_BYTES + 1,
                (struct store_bytes){ .span = SPAN_LITERAL("more") });
    free(bytes);
    store_check(store);
    expect_as_of(h, 5, "STRLEN large", ":0|");
    expect_as_of(h, 6, "STRLEN large", ":262145|");
    expect_as_of(h, 7, "GET large", "$1|v|");
    assert_int_equal(read_as_of(h, 8, "STRLEN large"), ENGINE_AS_OF_LOST);
    expect_as_of(h, 9, "STRLEN large", ":262149|");
    assert_true(store_delete(store, 0, SPAN_LITERAL("large"))); /* the follower has none */
}

static void test_only_reads_of_keys(void **state)
{
    static const char *const others[] = { "DBSIZE", "KEYS *", "SCAN 0", "RANDOMKEY", "SET k v" };
    struct harness *h = *state;
    keep(h, &plenty, 0);
    write_at(h, 1, "SET k v");
    for (size_t i = 0; i < ARRAY_COUNT(others); i++) {
        assert_int_equal(read_as_of(h, 1, others[i]), ENGINE_AS_OF_DONE);
        assert_true(h->reply.n > 0 && h->reply.p[0] == '-');
    }
}

static void test_limits_can_be_changed(void **state)
{
    struct harness *h = *state;
    struct past_limits small = { .age = QR_MILLISECOND, .bytes = 64 * MIB }, none = { 0 };
    keep(h, &plenty, 0);
    write_at(h, 1, "SET k 1");
    at_ms(h, 100);
    write_at(h, 2, "SET k 2");
    keep(h, &plenty, 2);
    assert_int_equal(floor_of(h), 0);
    keep(h, &small, 2);
    assert_int_equal(floor_of(h), 1);
    keep(h, &none, 2);
    qr_slot floor;
    assert_false(engine_past_floor(h->engine, &floor));
    write_at(h, 3, "SET k 3"); /* what was kept is still being freed */
    at_ms(h, 200);
    write_at(h, 4, "SET k 4");
    keep(h, &plenty, 4); /* and is not believed when it is wanted again */
    assert_int_equal(floor_of(h), 4);
    write_at(h, 5, "SET k 5 PX 50");
    expect_as_of(h, 4, "GET k", "$1|4|");
    expect_as_of(h, 5, "PTTL k", ":50|");
    keep(h, &none, 5);
    while (engine_idle(h->engine)) {
    }
    assert_int_equal(engine_past_memory(h->engine), 0);
    keep(h, &none, 5);
    keep(h, &plenty, 5);
    assert_int_equal(floor_of(h), 5);
    for (qr_slot slot = 6; slot < 6 + 2 * IDLE_FREE_ITEMS; slot++) {
        write_at(h, slot, "INCR n");
    }
    keep(h, &none, 6 + 2 * IDLE_FREE_ITEMS);
    assert_true(engine_idle(h->engine)); /* a slice of it went */
    assert_true(engine_past_memory(h->engine) > 0);
    assert_false(engine_idle(h->engine) && engine_idle(h->engine));
    assert_int_equal(engine_past_memory(h->engine), 0);
}

/* Nor is it freed by one entry where the bytes become few: that is for later ones, and for idle
 * moments. */
static void test_what_is_given_up_at_once_goes_in_slices(void **state)
{
    struct harness *h = *state;
    struct past_limits small = { .age = 60 * QR_SECOND, .bytes = 64 * KIB };
    qr_slot slot = 1;
    keep(h, &plenty, 0);
    for (; slot <= 8000; slot++) {
        write_at(h, slot, "INCR n");
    }
    uint64_t before = engine_past_memory(h->engine);
    keep(h, &small, slot - 1);
    write_at(h, slot++, "INCR n");
    assert_true(engine_past_memory(h->engine) > before / 2);
    assert_true(before > 8 * small.bytes);
    for (int i = 0; i < 4000; i++) {
        write_at(h, slot++, "INCR n");
    }
    assert_true(engine_past_memory(h->engine) < 2 * small.bytes);
    store_check(engine_store(h->engine));
}

/* Its memory is part of a sum that others share, for as long as it is. */
static void test_the_sum_of_memory(void **state)
{
    struct engine_totals totals = { 0 };
    struct engine_config config = { .value_bytes_max = KIB, .totals = &totals };
    struct harness *h = *state;
    struct engine *own = h->engine, *other = engine_new(&config);
    h->engine = engine_new(&config);
    keep(h, &plenty, 0);
    write_at(h, 1, "SET k 1");
    write_at(h, 2, "DEL k");
    assert_true(engine_past_memory(h->engine) > 0);
    assert_true(totals.memory == store_memory(engine_store(h->engine)) +
                                     engine_past_memory(h->engine) +
                                     store_memory(engine_store(other)));
    engine_leave(h->engine);
    assert_true(totals.memory == store_memory(engine_store(other)));
    write_at(h, 3, "SET k 1");
    assert_true(totals.memory == store_memory(engine_store(other)));
    engine_free(h->engine);
    engine_free(other);
    assert_true(totals.memory == 0);
    h->engine = own;
    engine_enter(h->engine, 1);
    run_command(h, (struct span[]){ SPAN_LITERAL("SET"), SPAN_LITERAL("k"), SPAN_LITERAL("1") }, 3);
}

/* A key that is all that is written has as many versions as fit: none of the ways back may end
 * where some have been freed. */
static void test_one_key_with_many_versions(void **state)
{
    struct harness *h = *state;
    struct past_limits limits = { .age = 60 * QR_SECOND, .bytes = 256 * KIB };
    keep(h, &limits, 0);
    char expected[64];
    for (qr_slot slot = 1; slot <= 20000; slot++) {
        write_at(h, slot, "INCR n");
        qr_slot floor = floor_of(h);
        qr_slot back = slot * 7919 % (slot - floor + 1);
        qr_slot ask = slot - back < 1 ? 1 : slot - back;
        int n = snprintf(expected, sizeof expected, "%d", (int)ask);
        char reply[96];
        (void)snprintf(reply, sizeof reply, "$%d|%s|", n, expected);
        expect_as_of(h, ask, "GET n", reply);
    }
    store_check(engine_store(h->engine));
}

#define past_test(f) cmocka_unit_test_setup_teardown(f, harness_setup, harness_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        past_test(test_nothing_is_kept_unless_it_is_said),
        past_test(test_a_key_is_what_it_was),
        past_test(test_an_entry_is_seen_whole),
        past_test(test_expiry_is_that_of_then),
        past_test(test_a_due_key_that_a_write_removes),
        past_test(test_age_raises_the_floor),
        past_test(test_bytes_raise_the_floor),
        past_test(test_an_entry_that_is_too_much),
        past_test(test_a_flush_cuts),
        past_test(test_what_is_too_large_is_lost),
        past_test(test_large_values),
        past_test(test_only_reads_of_keys),
        past_test(test_limits_can_be_changed),
        past_test(test_what_is_given_up_at_once_goes_in_slices),
        past_test(test_the_sum_of_memory),
        past_test(test_one_key_with_many_versions),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
