/* What ids leave in the state, byte by byte. All replicas write it, and nodes of two versions serve
 * one group while a cluster is upgraded: whatever changes here - the record, the digest of a
 * command, the text of an error that a command answers - needs a level of semantics of its own
 * (docs/upgrade.md), or their states differ and one of them is taken out of service. */
#include "ids_world.h"

#include "base/alloc.h"
#include "base/limits.h"

/* --- Records -------------------------------------------------------------------------------- */

static void assert_item(struct world *w, struct span key, struct span value, qr_wall expire)
{
    const struct item *item = store_find(engine_store(w->engine), IDS_DB, key);
    assert_non_null(item);
    assert_int_equal(item_value(item).n, value.n);
    assert_memory_equal(item_value(item).p, value.p, value.n);
    assert_true(item_expire(item) == expire);
}

static void test_a_record_byte_by_byte(void **state)
{
    struct world *w = *state;
    qr_wall end = w->stamp + 600 * QR_SECOND;
    w->pid = "pro";
    w->db = 3;
    ids_expect(w, "12", "incrby k 41", ":41\r\n");
    assert_item(w, SPAN_LITERAL("\3pro12"),
                SPAN_LITERAL("\xd1\x65\x2e\x27\x66\xc6\x43\xeb\0:41\r\n"), end);
    assert_item(w, SPAN_LITERAL("\0pro"), SPAN_LITERAL("\1\0\0\0"), 0);
    w->db = 0;
    ids_put_value(w, "long", 5000);
    ids_expect(w, "13", "set v w get", "$-1\r\n"); /* whoever asks: in RESP3 */
    assert_item(w, SPAN_LITERAL("\3pro13"), SPAN_LITERAL("\x8b\xc6\x38\xf6\xbf\x7a\x9d\x6b\0_\r\n"),
                end);
    w->iid = "14";
    ids_run(w, "getdel long");
    assert_item(w, SPAN_LITERAL("\3pro14"),
                SPAN_LITERAL("\x4b\x99\x9e\x15\xb8\x85\x84\x6c\1\x91\x13\0\0\0\0\0\0"), end);
    assert_item(w, SPAN_LITERAL("\0pro"), SPAN_LITERAL("\3\0\0\0"), 0);
    assert_int_equal(store_count(engine_store(w->engine), IDS_DB), 4);
}

/* --- Errors --------------------------------------------------------------------------------- */

/* What a write may be refused with by the engine, and its record keeps. */
static void test_the_texts_of_errors_are_state(void **state)
{
    struct world *w = *state;
    static const char *const cases[][2] = {
        { "incr word", "ERR value is not an integer or out of range" },
        { "incr most", "ERR increment or decrement would overflow" },
        { "decrby word -9223372036854775808", "ERR decrement would overflow" },
        { "incrbyfloat word 1", "ERR value is not a valid float" },
        { "incrbyfloat float inf", "ERR increment would produce NaN or Infinity" },
        { "setrange word -1 x", "ERR offset is out of range" },
        { "setrange word 99999999 x",
          "ERR string exceeds maximum allowed size (proto-max-bulk-len)" },
        { "set word v sometimes", "ERR syntax error" },
        { "set word v ex 0", "ERR invalid expire time in 'set' command" },
        { "expire word 9223372036854775807", "ERR invalid expire time in 'expire' command" },
        { "expire word 1 never", "ERR Unsupported option never" },
        { "expire word 1 nx xx",
          "ERR NX and XX, GT or LT options at the same time are not compatible" },
        { "expire word 1 gt lt", "ERR GT and LT options at the same time are not compatible" },
        { "mset a 1 b", "ERR wrong number of arguments for 'mset' command" },
        { "rename absent word", "ERR no such key" },
        { "copy word word", "ERR source and destination objects are the same" },
        { "move word 16", "ERR DB index is out of range" },
        { "swapdb x 1", "ERR invalid first DB index" },
        { "swapdb 1 x", "ERR invalid second DB index" },
    };
    ids_expect(w, NULL, "mset word abc most 9223372036854775807 float 1", "+OK\r\n");
    for (uint32_t i = 0; i < ARRAY_COUNT(cases); i++) {
        char iid[8], expected[128];
        (void)snprintf(iid, sizeof iid, "%u", i);
        (void)snprintf(expected, sizeof expected, "-%s\r\n", cases[i][1]);
        ids_expect(w, iid, cases[i][0], expected);
        ids_expect(w, iid, cases[i][0], expected);
        assert_true(engine_replayed(w->engine));
    }
    char name[KEY_BYTES_MAX + 1];
    memset(name, 'k', sizeof name);
    struct span argv[] = { ids_text("incr"), span_of(name, sizeof name) };
    w->iid = "long key";
    ids_apply(w, argv, 2);
    ids_assert_reply(w, "-ERR key is too long\r\n");
}

/* --- All of it ------------------------------------------------------------------------------ */

/* The digest that nodes compare, after a bit of everything. */
static void test_the_same_entries_lead_to_the_same_state(void **state)
{
    struct world *w = *state;
    static const char *const commands[] = {
        "set k v",          "append k w",        "incr k",       "set k x get",    "getset k y",
        "msetnx a 1 b 2",   "incrbyfloat f 0.1", "getdel k",     "getex a ex 100", "copy a c",
        "rename c d",       "del a b",           "set k v px 5", "setex s 10 v",   "persist s",
        "setrange s 3 abc", "flushdb",
    };
    for (uint32_t i = 0; i < ARRAY_COUNT(commands); i++) {
        char iid[8];
        (void)snprintf(iid, sizeof iid, "%u", i);
        w->pid = i % 3 == 0 ? "p" : "q";
        w->iid = iid;
        w->bounds.seconds = 5 + i;
        w->db = (uint8_t)(i / 4);
        w->stamp += QR_SECOND / 2;
        ids_run(w, commands[i]);
        ids_run(w, commands[i]);
        assert_true(engine_replayed(w->engine));
    }
    w->stamp += 2 * QR_SECOND;
    ids_tick(w);
    assert_int_equal(w->totals.stats.expired_keys, 1);
    w->totals.stats.expired_keys = 0; /* as all other tests of ids leave it */
    assert_int_equal(w->totals.ids, 13);
    assert_int_equal(w->totals.id_bytes, 1902);
    assert_true(engine_digest(w->engine) == 0xfa8876f16eeef353u);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, ids_setup, ids_teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_a_record_byte_by_byte),
        TEST(test_the_texts_of_errors_are_state),
        TEST(test_the_same_entries_lead_to_the_same_state),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
