/* String commands: exact replies, in both protocol versions. */
#include "harness.h"

#include "base/limits.h"

static void test_set_and_get(void **state)
{
    struct harness *h = *state;
    expect(h, "GET k", "$-1|");
    expect(h, "SET k v", "+OK|");
    expect(h, "GET k", "$1|v|");
    expect(h, "SET k ~", "+OK|");
    expect(h, "GET k", "$0||");
    h->reply.version = 3;
    expect(h, "GET missing", "_|");
}

static void test_set_conditions(void **state)
{
    struct harness *h = *state;
    expect(h, "SET k 1 XX", "$-1|");
    expect(h, "SET k 1 NX", "+OK|");
    expect(h, "SET k 2 nx", "$-1|");
    expect(h, "SET k 2 XX", "+OK|");
    expect(h, "SET k 3 NX XX", "-ERR syntax error|");
    expect(h, "SET k 3 GET", "$1|2|");
    expect(h, "SET k 4 NX GET", "$1|3|"); /* not set */
    expect(h, "GET k", "$1|3|");
    expect(h, "SET new 1 NX GET", "$-1|"); /* set */
    expect(h, "GET new", "$1|1|");
    expect(h, "SET other 1 XX GET", "$-1|"); /* not set */
    expect(h, "EXISTS other", ":0|");
    expect(h, "SETNX k x", ":0|");
    expect(h, "SETNX k2 x", ":1|");
    h->reply.version = 3;
    expect(h, "SET k 9 NX", "_|");
}

static void test_set_times(void **state)
{
    struct harness *h = *state;
    expect(h, "SET k v EX 10", "+OK|");
    expect(h, "PTTL k", ":10000|");
    expect(h, "SET k v PX 1500", "+OK|");
    expect(h, "PTTL k", ":1500|");
    expect(h, "TTL k", ":2|");
    expect(h, "SET k w KEEPTTL", "+OK|");
    expect(h, "PTTL k", ":1500|");
    expect(h, "SET k v", "+OK|");
    expect(h, "TTL k", ":-1|");
    expect(h, "SET k v EXAT 1700000100", "+OK|");
    expect(h, "EXPIRETIME k", ":1700000100|");
    expect(h, "SET k v PXAT 1700000000001", "+OK|");
    expect(h, "PEXPIRETIME k", ":1700000000001|");
    expect(h, "SET k v EXAT 1", "+OK|"); /* long past */
    expect(h, "EXISTS k", ":0|");
    expect(h, "SET k v EX 1 EX 5", "+OK|"); /* the last counts */
    expect(h, "TTL k", ":5|");
    expect(h, "SETEX k 7 v", "+OK|");
    expect(h, "TTL k", ":7|");
    expect(h, "PSETEX k 7000 v", "+OK|");
    expect(h, "PTTL k", ":7000|");
}

static void test_set_refusals(void **state)
{
    struct harness *h = *state;
    expect(h, "SET k", "-ERR wrong number of arguments for 'set' command|");
    expect(h, "SET k v EX", "-ERR syntax error|");
    expect(h, "SET k v EX 1 PX 1", "-ERR syntax error|");
    expect(h, "SET k v EX 1 KEEPTTL", "-ERR syntax error|");
    expect(h, "SET k v PERSIST", "-ERR syntax error|");
    expect(h, "SET k v FOO", "-ERR syntax error|");
    expect(h, "SET k v EX abc", "-ERR value is not an integer or out of range|");
    expect(h, "SET k v EX 0", "-ERR invalid expire time in 'set' command|");
    expect(h, "SET k v PX -1", "-ERR invalid expire time in 'set' command|");
    expect(h, "SET k v EX 9223372036854776", "-ERR invalid expire time in 'set' command|");
    expect(h, "SET k v PX 9223372036854775807", "-ERR invalid expire time in 'set' command|");
    expect(h, "SETEX k 0 v", "-ERR invalid expire time in 'setex' command|");
    expect(h, "PSETEX k -5 v", "-ERR invalid expire time in 'psetex' command|");
    expect(h, "EXISTS k", ":0|");
    expect(h, "SET k v PXAT 9223372036854775807", "+OK|"); /* saturates */
    expect(h, "PEXPIRETIME k", ":9223372036854775|");
}

static void test_get_and_change(void **state)
{
    struct harness *h = *state;
    expect(h, "GETSET k 1", "$-1|");
    expect(h, "EXPIRE k 100", ":1|");
    expect(h, "GETSET k 2", "$1|1|");
    expect(h, "TTL k", ":-1|");
    expect(h, "GETEX k EX 50", "$1|2|");
    expect(h, "TTL k", ":50|");
    expect(h, "GETEX k", "$1|2|");
    expect(h, "TTL k", ":50|");
    expect(h, "GETEX k PERSIST", "$1|2|");
    expect(h, "TTL k", ":-1|");
    expect(h, "GETEX k EX 0", "-ERR invalid expire time in 'getex' command|");
    expect(h, "GETEX k NX", "-ERR syntax error|");
    expect(h, "GETEX k EX 1 PERSIST", "-ERR syntax error|");
    expect(h, "GETEX missing EX abc", "$-1|");
    expect(h, "GETEX k EXAT 1", "$1|2|");
    expect(h, "GETDEL k", "$-1|");
    expect(h, "SET k 3", "+OK|");
    expect(h, "GETDEL k", "$1|3|");
    expect(h, "EXISTS k", ":0|");
}

static void test_several_keys(void **state)
{
    struct harness *h = *state;
    expect(h, "MSET a 1 b 2 a 3", "+OK|");
    expect(h, "MGET a b c", "*3|$1|3|$1|2|$-1|");
    expect(h, "MSET a 1 b", "-ERR wrong number of arguments for 'mset' command|");
    expect(h, "MSETNX c 1 a 2", ":0|");
    expect(h, "EXISTS c", ":0|");
    expect(h, "MSETNX c 1 d 2", ":1|");
    expect(h, "MGET c d", "*2|$1|1|$1|2|");
    expect(h, "MSETNX c 1 d", "-ERR wrong number of arguments for 'msetnx' command|");
    h->reply.version = 3;
    expect(h, "MGET nope a", "*2|_|$1|3|");
}

static void test_parts(void **state)
{
    struct harness *h = *state;
    expect(h, "SET k hello", "+OK|");
    expect(h, "STRLEN k", ":5|");
    expect(h, "STRLEN missing", ":0|");
    expect(h, "GETRANGE k 1 3", "$3|ell|");
    expect(h, "SUBSTR k -3 -1", "$3|llo|");
    expect(h, "GETRANGE k -1 -3", "$0||");
    expect(h, "GETRANGE k -100 100", "$5|hello|");
    expect(h, "GETRANGE k 5 9", "$0||");
    expect(h, "GETRANGE k -9223372036854775808 9223372036854775807", "$5|hello|");
    expect(h, "GETRANGE missing 0 -1", "$0||");
    expect(h, "GETRANGE k a 1", "-ERR value is not an integer or out of range|");
    expect(h, "APPEND k !", ":6|");
    expect(h, "APPEND new ab", ":2|");
    expect(h, "EXPIRE k 10", ":1|");
    expect(h, "SETRANGE k 1 ipp", ":6|");
    expect(h, "TTL k", ":10|");
    expect(h, "GET k", "$6|hippo!|");
    expect(h, "SETRANGE none 3 ~", ":0|");
    expect(h, "EXISTS none", ":0|");
    expect(h, "SETRANGE k -1 x", "-ERR offset is out of range|");
    expect(h, "SETRANGE gap 2 x", ":3|");
    assert_int_equal(h->reply.n, 4);
    expect(h, "STRLEN gap", ":3|");
}

/* R4: past a limit there is a named error and nothing happens. */
static void test_limits(void **state)
{
    struct harness *h = *state;
    const char *too_big = "-ERR string exceeds maximum allowed size (proto-max-bulk-len)|";
    expect(h, "SETRANGE k 65535 x", ":65536|");
    expect(h, "SETRANGE k 65536 x", too_big);
    expect(h, "SETRANGE k 9223372036854775807 x", too_big);
    expect(h, "APPEND k x", too_big);
    expect(h, "STRLEN k", ":65536|");

    static uint8_t bytes[KEY_BYTES_MAX + 1];
    memset(bytes, 'x', sizeof bytes);
    struct span longest[] = { SPAN_LITERAL("SETNX"), span_of(bytes, KEY_BYTES_MAX),
                              SPAN_LITERAL("1") };
    run_command(h, longest, 3);
    assert_memory_equal(h->reply.p, ":1\r\n", 4);
    struct span longer[] = { SPAN_LITERAL("MSET"), SPAN_LITERAL("a"), SPAN_LITERAL("1"),
                             span_of(bytes, sizeof bytes), SPAN_LITERAL("2") };
    run_command(h, longer, 5);
    assert_memory_equal(h->reply.p, "-ERR key is too long\r\n", 22);
    expect(h, "EXISTS a", ":0|");
    struct span value[] = { SPAN_LITERAL("SET"), SPAN_LITERAL("a"), span_of(bytes, sizeof bytes) };
    static const char *const names[] = { "SET", "SETNX", "GETSET", "APPEND", "MSET", "MSETNX" };
    for (size_t i = 0; i < ARRAY_COUNT(names); i++) {
        value[0] = span_of(names[i], strlen(names[i]));
        run_command(h, value, 3);
        assert_true(h->reply.is_error);
        expect(h, "EXISTS a", ":0|");
    }
    struct span timed[] = { SPAN_LITERAL("SETEX"), SPAN_LITERAL("a"), SPAN_LITERAL("9"),
                            span_of(bytes, sizeof bytes) };
    run_command(h, timed, 4);
    assert_true(h->reply.is_error);
    expect(h, "EXISTS a", ":0|");
}

/* A reply has to fit a frame between nodes: 1000 times 64 KiB does not. */
static void test_long_replies(void **state)
{
    struct harness *h = *state;
    expect(h, "SETRANGE k 65535 x", ":65536|");
    static struct span argv[1001];
    argv[0] = SPAN_LITERAL("MGET");
    for (size_t i = 1; i < ARRAY_COUNT(argv); i++) {
        argv[i] = SPAN_LITERAL("k");
    }
    run_command(h, argv, 700);
    assert_int_equal(h->reply.p[0], '*');
    assert_true(h->reply.n > 699 * 64 * KIB);
    run_command(h, argv, 1001);
    assert_true(h->reply.is_error);
    assert_memory_equal(h->reply.p, "-ERR reply is too long, ask for less at a time\r\n", 48);
    assert_int_equal(h->reply.n, 48);
}

static void test_integers(void **state)
{
    struct harness *h = *state;
    const char *not_integer = "-ERR value is not an integer or out of range|";
    const char *overflow = "-ERR increment or decrement would overflow|";
    expect(h, "INCR n", ":1|");
    expect(h, "INCRBY n 41", ":42|");
    expect(h, "DECR n", ":41|");
    expect(h, "DECRBY n -1", ":42|");
    expect(h, "GET n", "$2|42|");
    expect(h, "EXPIRE n 100", ":1|");
    expect(h, "INCR n", ":43|");
    expect(h, "TTL n", ":100|");
    expect(h, "INCRBY n 1.5", not_integer);
    expect(h, "INCRBY n +1", not_integer);
    expect(h, "SET n 01", "+OK|");
    expect(h, "INCR n", not_integer);
    expect(h, "SET n 9223372036854775807", "+OK|");
    expect(h, "INCR n", overflow);
    expect(h, "DECR n", ":9223372036854775806|");
    expect(h, "SET n -9223372036854775808", "+OK|");
    expect(h, "DECR n", overflow);
    expect(h, "INCRBY n 9223372036854775808", not_integer);
    expect(h, "DECRBY n -9223372036854775808", "-ERR decrement would overflow|");
}

static void test_scenario_119_floats(void **state)
{
    struct harness *h = *state;
    const char *not_float = "-ERR value is not a valid float|";
    expect(h, "INCRBYFLOAT f 0.1", "$3|0.1|");
    expect(h, "INCRBYFLOAT f 0.2", "$3|0.3|");
    expect(h, "INCRBYFLOAT f 1e3", "$22|1000.29999999999999999|");
    expect(h, "SET f 3.0e3", "+OK|");
    expect(h, "INCRBYFLOAT f 200", "$4|3200|");
    expect(h, "INCRBYFLOAT f -3200", "$1|0|");
    expect(h, "SET f -0.0", "+OK|");
    expect(h, "INCRBYFLOAT f -0.0", "$1|0|");
    expect(h, "INCRBYFLOAT f abc", not_float);
    expect(h, "INCRBYFLOAT f nan", not_float);
    expect(h, "INCRBYFLOAT f 1e5000", not_float);
    expect(h, "INCRBYFLOAT f inf", "-ERR increment would produce NaN or Infinity|");
    expect(h, "SET f text", "+OK|");
    expect(h, "INCRBYFLOAT f 1", not_float);
    h->reply.version = 3; /* it stays a bulk string */
    expect(h, "INCRBYFLOAT g 1.5", "$3|1.5|");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_set_and_get, harness_setup, harness_teardown),
        cmocka_unit_test_setup_teardown(test_set_conditions, harness_setup, harness_teardown),
        cmocka_unit_test_setup_teardown(test_set_times, harness_setup, harness_teardown),
        cmocka_unit_test_setup_teardown(test_set_refusals, harness_setup, harness_teardown),
        cmocka_unit_test_setup_teardown(test_get_and_change, harness_setup, harness_teardown),
        cmocka_unit_test_setup_teardown(test_several_keys, harness_setup, harness_teardown),
        cmocka_unit_test_setup_teardown(test_parts, harness_setup, harness_teardown),
        cmocka_unit_test_setup_teardown(test_limits, harness_setup, harness_teardown),
        cmocka_unit_test_setup_teardown(test_long_replies, harness_setup, harness_teardown),
        cmocka_unit_test_setup_teardown(test_integers, harness_setup, harness_teardown),
        cmocka_unit_test_setup_teardown(test_scenario_119_floats, harness_setup, harness_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
