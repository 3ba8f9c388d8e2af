/* Commands about keys, times and databases: exact replies. */
#include "harness.h"

#include "base/limits.h"

#include <stdio.h>

static void test_delete_and_count(void **state)
{
    struct harness *h = *state;
    expect(h, "MSET a 1 b 2 c 3", "+OK|");
    expect(h, "EXISTS a b a nope", ":3|");
    expect(h, "TOUCH a nope", ":1|");
    expect(h, "TYPE a", "+string|");
    expect(h, "TYPE nope", "+none|");
    expect(h, "DEL a nope a", ":1|");
    expect(h, "UNLINK b c", ":2|");
    expect(h, "DBSIZE", ":0|");
    expect(h, "DEL", "-ERR wrong number of arguments for 'del' command|");
}

static void test_expire(void **state)
{
    struct harness *h = *state;
    expect(h, "EXPIRE k 10", ":0|");
    expect(h, "SET k v", "+OK|");
    expect(h, "TTL k", ":-1|");
    expect(h, "TTL nope", ":-2|");
    expect(h, "PTTL nope", ":-2|");
    expect(h, "EXPIRETIME k", ":-1|");
    expect(h, "EXPIRE k 10", ":1|");
    expect(h, "PTTL k", ":10000|");
    expect(h, "PEXPIREAT k 1700000020001", ":1|");
    expect(h, "PEXPIRETIME k", ":1700000020001|");
    expect(h, "EXPIREAT k 1700000030", ":1|");
    expect(h, "EXPIRETIME k", ":1700000030|");
    expect(h, "PERSIST k", ":1|");
    expect(h, "PERSIST k", ":0|");
    expect(h, "PEXPIRE k 1", ":1|");
    expect(h, "PTTL k", ":1|");
    expect(h, "EXPIRE k -1", ":1|"); /* deletes */
    expect(h, "EXISTS k", ":0|");
    expect(h, "SET k v", "+OK|");
    expect(h, "PEXPIREAT k 0", ":1|");
    expect(h, "EXISTS k", ":0|");
    expect(h, "SET k v", "+OK|");
    expect(h, "EXPIRE k 0", ":1|"); /* this very moment has passed */
    expect(h, "DBSIZE", ":0|");
}

static void test_expire_flags(void **state)
{
    struct harness *h = *state;
    expect(h, "SET k v", "+OK|");
    expect(h, "EXPIRE k 10 XX", ":0|");
    expect(h, "EXPIRE k 10 GT", ":0|"); /* for ever is longer */
    expect(h, "EXPIRE k 10 LT", ":1|");
    expect(h, "EXPIRE k 20 NX", ":0|");
    expect(h, "EXPIRE k 20 LT", ":0|");
    expect(h, "EXPIRE k 10 GT", ":0|"); /* equal is not greater */
    expect(h, "EXPIRE k 10 LT", ":0|"); /* nor less */
    expect(h, "EXPIRE k 20 gt", ":1|");
    expect(h, "EXPIRE k 5 XX LT", ":1|");
    expect(h, "TTL k", ":5|");
    const char *nx = "-ERR NX and XX, GT or LT options at the same time are not compatible|";
    expect(h, "EXPIRE k 5 NX XX", nx);
    expect(h, "EXPIRE k 5 NX LT", nx);
    expect(h, "EXPIRE k 5 GT LT", "-ERR GT and LT options at the same time are not compatible|");
    expect(h, "EXPIRE k 5 FOO", "-ERR Unsupported option FOO|");
    expect(h, "EXPIRE k abc FOO", "-ERR Unsupported option FOO|"); /* looked at first */
    expect(h, "EXPIRE k abc", "-ERR value is not an integer or out of range|");
    expect(h, "EXPIRE k 9223372036854776", "-ERR invalid expire time in 'expire' command|");
    expect(h, "PEXPIRE k 9223372036854775807", "-ERR invalid expire time in 'pexpire' command|");
    expect(h, "EXPIREAT k -9223372036854776", "-ERR invalid expire time in 'expireat' command|");
    expect(h, "TTL k", ":5|");
}

/* What is flushed is gone at once; its memory comes back in slices. */
static void test_flush_in_slices(void **state)
{
    struct harness *h = *state;
    char text[64];
    for (int i = 0; i < 3000; i++) {
        (void)snprintf(text, sizeof text, "SET key:%d x", i);
        expect(h, text, "+OK|");
    }
    uint64_t full = store_memory(engine_store(h->engine));
    expect(h, "FLUSHALL", "+OK|");
    expect(h, "DBSIZE", ":0|");
    unsigned slices = 1;
    while (engine_idle(h->engine)) {
        slices++;
    }
    assert_true(slices >= 3);
    assert_true(store_memory(engine_store(h->engine)) < full / 10);
}

/* More arguments than are kept room for between commands. */
static void test_many_arguments(void **state)
{
    struct harness *h = *state;
    static struct span argv[6001];
    argv[0] = SPAN_LITERAL("DEL");
    for (size_t i = 1; i < ARRAY_COUNT(argv); i++) {
        argv[i] = i % 2 == 0 ? SPAN_LITERAL("a") : SPAN_LITERAL("b");
    }
    expect(h, "MSET a 1 b 2", "+OK|");
    run_command(h, argv, ARRAY_COUNT(argv));
    assert_memory_equal(h->reply.p, ":2\r\n", 4);
    expect(h, "MGET a b", "*2|$-1|$-1|");
}

static void test_rename(void **state)
{
    struct harness *h = *state;
    expect(h, "RENAME nope k", "-ERR no such key|");
    expect(h, "RENAME nope nope", "-ERR no such key|");
    expect(h, "SET a 1 EX 50", "+OK|");
    expect(h, "RENAME a a", "+OK|");
    expect(h, "RENAMENX a a", ":0|");
    expect(h, "SET b 2", "+OK|");
    expect(h, "RENAMENX a b", ":0|");
    expect(h, "RENAME a b", "+OK|");
    expect(h, "TTL b", ":50|");
    expect(h, "GET b", "$1|1|");
    expect(h, "EXISTS a", ":0|");
    expect(h, "RENAMENX b c", ":1|");
    expect(h, "GET c", "$1|1|");
}

static void test_copy_and_move(void **state)
{
    struct harness *h = *state;
    const char *same = "-ERR source and destination objects are the same|";
    expect(h, "SET a 1 EX 50", "+OK|");
    expect(h, "COPY a b", ":1|");
    expect(h, "TTL b", ":50|");
    expect(h, "COPY a b", ":0|");
    expect(h, "SET a 2", "+OK|");
    expect(h, "COPY a b REPLACE", ":1|");
    expect(h, "GET b", "$1|2|");
    expect(h, "TTL b", ":-1|");
    expect(h, "COPY a a", same);
    expect(h, "COPY a a DB 1", ":1|");
    expect(h, "COPY a b DB", "-ERR syntax error|");
    expect(h, "COPY a b DB 16", "-ERR DB index is out of range|");
    expect(h, "COPY a b DB x", "-ERR value is not an integer or out of range|");
    expect(h, "COPY a b DB 2147483648",
           "-ERR value is out of range, value must between -2147483648 and 2147483647|");
    expect(h, "MOVE a 0", same);
    expect(h, "MOVE a 1", ":0|"); /* taken there */
    expect(h, "MOVE b 1", ":1|");
    expect(h, "MOVE b 1", ":0|"); /* gone here */
    expect(h, "MOVE b 16", "-ERR DB index is out of range|");
    h->db = 1;
    expect(h, "MGET a b", "*2|$1|2|$1|2|");
}

static void test_databases(void **state)
{
    struct harness *h = *state;
    expect(h, "SET a 0", "+OK|");
    h->db = 3;
    expect(h, "GET a", "$-1|");
    expect(h, "SET a 3", "+OK|");
    expect(h, "SWAPDB 0 3", "+OK|");
    expect(h, "GET a", "$1|0|");
    expect(h, "SWAPDB x 3", "-ERR invalid first DB index|");
    expect(h, "SWAPDB 3 2147483648", "-ERR invalid second DB index|");
    expect(h, "SWAPDB 3 16", "-ERR DB index is out of range|");
    expect(h, "FLUSHDB foo", "-ERR syntax error|");
    expect(h, "FLUSHDB sync async", "-ERR syntax error|");
    expect(h, "FLUSHDB ASYNC", "+OK|");
    expect(h, "DBSIZE", ":0|");
    h->db = 0;
    expect(h, "DBSIZE", ":1|");
    expect(h, "FLUSHALL", "+OK|");
    expect(h, "DBSIZE", ":0|");
}

static void test_keys_and_random(void **state)
{
    struct harness *h = *state;
    expect(h, "RANDOMKEY", "$-1|");
    expect(h, "KEYS *", "*0|");
    expect(h, "MSET one 1 two 2", "+OK|");
    expect(h, "KEYS o*", "*1|$3|one|");
    expect(h, "KEYS O*", "*0|");
    bool one = false, two = false;
    for (h->seed = 1; h->seed <= 64; h->seed++) {
        struct span argv[] = { SPAN_LITERAL("RANDOMKEY") };
        run_command(h, argv, 1);
        one = one || memcmp(h->reply.p, "$3\r\none\r\n", 9) == 0;
        two = two || memcmp(h->reply.p, "$3\r\ntwo\r\n", 9) == 0;
    }
    assert_true(one && two);
    h->reply.version = 3;
    expect(h, "FLUSHDB", "+OK|");
    expect(h, "RANDOMKEY", "_|");
}

static void test_scan_refusals(void **state)
{
    struct harness *h = *state;
    expect(h, "SCAN 0", "*2|$1|0|*0|");
    expect(h, "SCAN x", "-ERR invalid cursor|");
    expect(h, "SCAN 99999999999999999999", "-ERR invalid cursor|");
    expect(h, "SCAN 18446744073709551615", "*2|$1|0|*0|");
    expect(h, "SCAN 0 COUNT 0", "-ERR syntax error|");
    expect(h, "SCAN 0 COUNT x", "-ERR value is not an integer or out of range|");
    expect(h, "SCAN 0 MATCH", "-ERR syntax error|");
    expect(h, "SCAN 0 FOO bar", "-ERR syntax error|");
    expect(h, "SET k v", "+OK|");
    expect(h, "SCAN 0 TYPE string", "*2|$1|0|*1|$1|k|");
    expect(h, "SCAN 0 TYPE list", "*2|$1|0|*0|");
    expect(h, "SCAN 0 MATCH j*", "*2|$1|0|*0|");
}

/* How many keys of one SCAN over all of them come back. */
static unsigned scanned(struct harness *h, const char *filters)
{
    char line[128];
    (void)snprintf(line, sizeof line, "SCAN 0 COUNT 1000 %s", filters);
    struct span argv[16];
    uint32_t n = 0;
    char *rest = NULL;
    for (char *word = strtok_r(line, " ", &rest); word; word = strtok_r(NULL, " ", &rest)) {
        argv[n++] = span_of(word, strlen(word));
    }
    run_command(h, argv, n);
    unsigned count = UINT32_MAX;
    char text[32] = { 0 };
    memcpy(text, h->reply.p, h->reply.n < 31 ? h->reply.n : 31);
    assert_int_equal(sscanf(text, "*2\r\n$1\r\n0\r\n*%u\r\n", &count), 1);
    return count;
}

/* Filters hold together, in whichever order they stand, and none makes another one void: beside
 * every pattern and type all keys are looked at by a plain one. */
static void test_scenario_52_filters_of_a_scan_hold_together(void **state)
{
    struct harness *h = *state;
    static const struct {
        const char *match;
        unsigned keys;
    } patterns[] = { { "", 25 },     { "*", 25 },  { "a:*", 20 },
                     { "a:1*", 11 }, { "b:?", 5 }, { "c*", 0 } };
    char text[64];
    for (int i = 0; i < 25; i++) {
        (void)snprintf(text, sizeof text, "SET %c:%d x", i < 20 ? 'a' : 'b', i < 20 ? i : i - 20);
        expect(h, text, "+OK|");
    }
    for (size_t i = 0; i < ARRAY_COUNT(patterns); i++) {
        const char *word = patterns[i].match[0] != 0 ? "MATCH" : "";
        (void)snprintf(text, sizeof text, "%s %s", word, patterns[i].match);
        assert_int_equal(scanned(h, text), patterns[i].keys);
        (void)snprintf(text, sizeof text, "%s %s TYPE string", word, patterns[i].match);
        assert_int_equal(scanned(h, text), patterns[i].keys);
        (void)snprintf(text, sizeof text, "TYPE string %s %s", word, patterns[i].match);
        assert_int_equal(scanned(h, text), patterns[i].keys);
        (void)snprintf(text, sizeof text, "%s %s TYPE list", word, patterns[i].match);
        assert_int_equal(scanned(h, text), 0);
        (void)snprintf(text, sizeof text, "TYPE list %s %s", word, patterns[i].match);
        assert_int_equal(scanned(h, text), 0);
    }
}

/* Every key that stays is seen exactly once, whatever happens to the others in between, and though
 * every call asks another replica: a cursor means the same on all of them. */
static void test_scan_while_changing(void **state)
{
    struct harness *h = *state;
    enum { KEYS = 500 };
    uint8_t seen[KEYS] = { 0 };
    char text[64];
    for (int i = 0; i < KEYS; i++) {
        (void)snprintf(text, sizeof text, "SET stay:%d x", i);
        expect(h, text, "+OK|");
    }
    char cursor[32] = "0";
    int round = 0;
    do {
        (void)snprintf(text, sizeof text, "SET come:%d x", round);
        expect(h, text, "+OK|");
        (void)snprintf(text, sizeof text, "DEL come:%d", round / 2);
        expect(h, text, round % 2 == 0 ? ":1|" : ":0|");
        struct span argv[] = { SPAN_LITERAL("SCAN"),  span_of(cursor, strlen(cursor)),
                               SPAN_LITERAL("COUNT"), SPAN_LITERAL("7"),
                               SPAN_LITERAL("MATCH"), SPAN_LITERAL("stay:*") };
        run_command(h, argv, 6);
        struct engine *other = h->follower;
        h->follower = h->engine;
        h->engine = other;
        char *copy = strndup((const char *)h->reply.p, h->reply.n);
        char *rest = NULL;
        (void)strtok_r(copy, "\r\n", &rest); /* *2 */
        (void)strtok_r(NULL, "\r\n", &rest); /* the cursor's length */
        (void)snprintf(cursor, sizeof cursor, "%s", strtok_r(NULL, "\r\n", &rest));
        for (char *line = strtok_r(NULL, "\r\n", &rest); line != NULL;
             line = strtok_r(NULL, "\r\n", &rest)) {
            if (strncmp(line, "stay:", 5) == 0) {
                seen[atoi(line + 5)]++;
            }
        }
        free(copy);
        round++;
    } while (strcmp(cursor, "0") != 0);
    assert_true(round > 20);
    for (int i = 0; i < KEYS; i++) {
        assert_int_equal(seen[i], 1);
    }
}

/* Keys of 64 KiB: all of them together are too long a reply, some at a time are not. */
static void test_long_replies(void **state)
{
    struct harness *h = *state;
    static uint8_t key[KEY_BYTES_MAX];
    memset(key, 'k', sizeof key);
    struct span set[] = { SPAN_LITERAL("SET"), span_of(key, sizeof key), SPAN_LITERAL("v") };
    for (int i = 0; i < 1000; i++) {
        char number[16];
        (void)snprintf(number, sizeof number, "%04d", i);
        memcpy(key, number, 4);
        run_command(h, set, 3);
    }
    const char *too_long = "-ERR reply is too long, ask for less at a time|";
    expect(h, "KEYS *", too_long);
    expect(h, "SCAN 0 COUNT 1000", too_long);
    struct span scan[] = { SPAN_LITERAL("SCAN"), SPAN_LITERAL("0"), SPAN_LITERAL("COUNT"),
                           SPAN_LITERAL("100") };
    run_command(h, scan, 4);
    assert_false(h->reply.is_error);
    struct span keys[] = { SPAN_LITERAL("KEYS"), SPAN_LITERAL("05*") };
    run_command(h, keys, 2);
    assert_false(h->reply.is_error);
    assert_true(h->reply.n > 100 * sizeof key && h->reply.n < 101 * sizeof key);
}

static void test_memory_usage(void **state)
{
    struct harness *h = *state;
    expect(h, "MEMORY USAGE k", "$-1|");
    expect(h, "MEMORY USAGE k SAMPLES", "-ERR syntax error|");
    expect(h, "MEMORY USAGE k SAMPLES -1", "-ERR syntax error|");
    expect(h, "MEMORY USAGE k SAMPLES x", "-ERR value is not an integer or out of range|");
    expect(h, "SET k v", "+OK|");
    struct span argv[] = { SPAN_LITERAL("MEMORY"), SPAN_LITERAL("usage"), SPAN_LITERAL("k") };
    run_command(h, argv, 3);
    assert_int_equal(h->reply.p[0], ':');
    assert_true(h->reply.p[1] != '0');
}

/* Slot 5474 is that of {user}, 12182 that of foo. */
static void test_keys_of_a_slot(void **state)
{
    struct harness *h = *state;
    expect(h, "MSET {user}.a 1 {user}.b 2 foo 3", "+OK|");
    expect(h, "SET {user}.c 1 PX 100", "+OK|");
    expect(h, "CLUSTER COUNTKEYSINSLOT 5474", ":3|");
    expect(h, "CLUSTER GETKEYSINSLOT 12182 9", "*1|$3|foo|");
    expect(h, "CLUSTER GETKEYSINSLOT 12182 0", "*0|");
    at_ms(h, 100);
    expect(h, "SET foo 4", "+OK|"); /* log time has come: what is due is there no more */
    expect(h, "CLUSTER COUNTKEYSINSLOT 5474", ":2|");
    expect(h, "DEL {user}.b", ":1|");
    expect(h, "CLUSTER GETKEYSINSLOT 5474 9", "*1|$8|{user}.a|");
    expect(h, "SET {user}.b 2", "+OK|");
    struct span one[] = { SPAN_LITERAL("CLUSTER"), SPAN_LITERAL("GETKEYSINSLOT"),
                          SPAN_LITERAL("5474"), SPAN_LITERAL("1") };
    run_command(h, one, ARRAY_COUNT(one));
    assert_memory_equal(h->reply.p, "*1\r\n$8\r\n{user}.", 15);
    h->db = 1;
    expect(h, "CLUSTER COUNTKEYSINSLOT 5474", ":0|");
    expect(h, "CLUSTER COUNTKEYSINSLOT 16383", ":0|");
    expect(h, "CLUSTER COUNTKEYSINSLOT 16384", "-ERR Invalid slot|");
    expect(h, "CLUSTER COUNTKEYSINSLOT -1", "-ERR Invalid slot|");
    expect(h, "CLUSTER COUNTKEYSINSLOT x", "-ERR value is not an integer or out of range|");
    expect(h, "CLUSTER GETKEYSINSLOT 16384 1", "-ERR Invalid slot|");
    expect(h, "CLUSTER GETKEYSINSLOT 1 x", "-ERR value is not an integer or out of range|");
    expect(h, "CLUSTER GETKEYSINSLOT 1 -1", "-ERR Invalid slot or number of keys|");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_delete_and_count, harness_setup, harness_teardown),
        cmocka_unit_test_setup_teardown(test_expire, harness_setup, harness_teardown),
        cmocka_unit_test_setup_teardown(test_expire_flags, harness_setup, harness_teardown),
        cmocka_unit_test_setup_teardown(test_flush_in_slices, harness_setup, harness_teardown),
        cmocka_unit_test_setup_teardown(test_many_arguments, harness_setup, harness_teardown),
        cmocka_unit_test_setup_teardown(test_rename, harness_setup, harness_teardown),
        cmocka_unit_test_setup_teardown(test_copy_and_move, harness_setup, harness_teardown),
        cmocka_unit_test_setup_teardown(test_databases, harness_setup, harness_teardown),
        cmocka_unit_test_setup_teardown(test_keys_and_random, harness_setup, harness_teardown),
        cmocka_unit_test_setup_teardown(test_scan_refusals, harness_setup, harness_teardown),
        cmocka_unit_test_setup_teardown(test_scenario_52_filters_of_a_scan_hold_together,
                                        harness_setup, harness_teardown),
        cmocka_unit_test_setup_teardown(test_scan_while_changing, harness_setup, harness_teardown),
        cmocka_unit_test_setup_teardown(test_long_replies, harness_setup, harness_teardown),
        cmocka_unit_test_setup_teardown(test_memory_usage, harness_setup, harness_teardown),
        cmocka_unit_test_setup_teardown(test_keys_of_a_slot, harness_setup, harness_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
