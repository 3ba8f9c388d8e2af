/* The options of quorate bench, the printed distribution, and the table of errors. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "bench/bench_internal.h"

/* --- Options --------------------------------------------------------------------------------- */

#define WORDS_MAX 32

static bool parse(struct bench_options *options, char *message, const char *line)
{
    static char text[1024];
    char *words[WORDS_MAX] = { "bench" };
    int n = 1;
    snprintf(text, sizeof text, "%s", line);
    char *rest = text;
    for (char *word = strsep(&rest, " "); word != NULL; word = strsep(&rest, " ")) {
        if (word[0] != 0) {
            words[n++] = word;
        }
    }
    return bench_options_parse(options, n, words, message, 512);
}

static struct bench_options good(const char *line)
{
    struct bench_options options;
    char message[512] = "";
    if (!parse(&options, message, line)) {
        fail_msg("%s: %s", line, message);
    }
    return options;
}

static void bad(const char *line, const char *expected)
{
    struct bench_options options;
    char message[512] = "";
    assert_false(parse(&options, message, line));
    if (strstr(message, expected) == NULL) {
        fail_msg("%s: '%s' does not say '%s'", line, message, expected);
    }
}

static void test_defaults(void **state)
{
    (void)state;
    struct bench_options o = good("");
    assert_int_equal(o.address_count, 1);
    assert_string_equal(o.addresses[0].name, "127.0.0.1:6379");
    assert_int_equal(o.connections, 50);
    assert_int_equal(o.pipeline, 1);
    assert_int_equal(o.keys, 100000);
    assert_int_equal(o.operations, OPERATIONS_MIXED);
    assert_true(o.duration_s == 10 && !o.limited && o.rate == 0);
}

static void test_every_option(void **state)
{
    (void)state;
    struct bench_options o =
        good("--host a,b:7002,[::1]:7003,::2 -p 7001 -a secret --user u --db 3 -c 5 -P 6 "
             "--duration 1.5 -n 1000 --warmup 0 -r 77 --prefix x:");
    assert_int_equal(o.address_count, 4);
    assert_string_equal(o.addresses[0].name, "a:7001");
    assert_string_equal(o.addresses[1].name, "b:7002");
    assert_string_equal(o.addresses[2].host, "::1");
    assert_string_equal(o.addresses[2].name, "[::1]:7003");
    assert_string_equal(o.addresses[3].name, "[::2]:7001");
    assert_string_equal(o.password, "secret");
    assert_string_equal(o.user, "u");
    assert_string_equal(o.prefix, "x:");
    assert_int_equal(o.db, 3);
    assert_int_equal(o.connections, 5);
    assert_int_equal(o.pipeline, 6);
    assert_true(o.duration_s == 1.5 && o.limited && o.requests == 1000 && o.warmup_s == 0);
    assert_int_equal(o.keys, 77);
    o = good("--distribution zipf:1.2 -d 40-80 --reads 0.25 --rate 1000.5 --fill --seed 9 --check "
             "--reconnect --timeout 2 --give-up 3 --json - --progress");
    assert_int_equal(o.distribution.kind, PICK_ZIPF);
    assert_true(o.distribution.theta == 1.2 && o.reads == 0.25 && o.rate == 1000.5);
    assert_true(o.bytes_min == 40 && o.bytes_max == 80 && o.seeded && o.seed == 9);
    assert_true(o.fill && o.check && o.reconnect && o.progress && !o.histogram);
    assert_true(o.timeout_s == 2 && o.give_up_s == 3);
    o = good("--distribution hot:0.01:0.9 -t get --history h --histogram");
    assert_int_equal(o.distribution.kind, PICK_HOT);
    assert_true(o.distribution.hot_keys == 0.01 && o.distribution.hot_access == 0.9);
    assert_true(o.check && o.fill && o.operations == OPERATIONS_GET);
}

static void test_what_is_refused(void **state)
{
    (void)state;
    bad("--frob", "unknown option '--frob'");
    bad("12", "unknown option '12'");
    bad("--keys", "--keys wants a value");
    bad("--keys 0", "--keys wants a number from 1");
    bad("--keys 12x", "not '12x'");
    bad("--keys -1", "not '-1'");
    bad("--keys 99999999999999999999999", "--keys wants");
    bad("-p 65536", "--port wants a number from 1 to 65535");
    bad("-h a:0", "is no port");
    bad("-h [::1", "HOST[:PORT]");
    bad("-h a,,b", "HOST[:PORT]");
    bad("--duration 0", "--duration wants");
    bad("--duration 1e400", "--duration wants");
    bad("--rate inf", "--rate wants");
    bad("--rate nan", "--rate wants");
    bad("--rate 0x10", "--rate wants");
    bad("--reads 1.01", "share from 0 to 1");
    bad("--distribution pareto", "uniform, zipf");
    bad("--distribution zipf:0", "uniform, zipf");
    bad("--distribution zipf:1:2", "uniform, zipf");
    bad("--distribution hot:0.1", "uniform, zipf");
    bad("--distribution hot:0:1", "uniform, zipf");
    bad("--distribution hot:0.1:1.5", "uniform, zipf");
    bad("-d 0", "--size wants");
    bad("-d 9-8", "--size wants");
    bad("-d 99999999999", "--size wants");
    bad("-t incr", "set, get or mixed");
    bad("-t set --reads 0.5", "contradict");
    bad("-n 0", "only with --fill");
    bad("--user u", "wants a --password");
    bad("--check -d 31", "at least 32 bytes");
    bad("--check -r 100000001", "at most 100000000 keys");
    bad("-c 10000 -P 4096", "may be at most");
    bad("--json - --histogram", "leaves no room");
}

/* --- The distribution ------------------------------------------------------------------------ */

/* One value of each millisecond up to 1000: every line can be told beforehand. */
static void test_the_printed_distribution(void **state)
{
    (void)state;
    struct histogram *h = qr_zalloc(sizeof *h);
    for (uint64_t ms = 1; ms <= 1000; ms++) {
        histogram_add(h, ms * 1000000, 1);
    }
    char text[16384] = "";
    FILE *out = fmemopen(text, sizeof text, "w");
    distribution_print(h, "writes, milliseconds", out);
    fclose(out);
    assert_non_null(strstr(text, "# writes, milliseconds\n"));
    assert_non_null(strstr(text, "       Value     Percentile TotalCount 1/(1-Percentile)\n"));
    assert_non_null(strstr(text, "#[Mean    =      500.500, StdDeviation   ="));
    assert_non_null(strstr(text, "    1000.000 1.000000000000       1000\n"));
    assert_non_null(strstr(text, "Total count    =         1000]"));
    double value, percentile, inverse, last_value = 0, last_percentile = -1;
    unsigned count, last_count = 0, lines = 0;
    for (char *line = strtok(text, "\n"); line != NULL; line = strtok(NULL, "\n")) {
        if (sscanf(line, "%lf %lf %u %lf", &value, &percentile, &count, &inverse) != 4) {
            continue;
        }
        lines++;
        assert_true(value >= last_value && percentile > last_percentile && count >= last_count);
        assert_true(value >= percentile * 1000 && value <= percentile * 1000 * 65 / 64 + 1.1);
        assert_true(count >= percentile * 1000 && count < percentile * 1000 + 20);
        assert_true(inverse > 0.99 / (1 - percentile) && inverse < 1.01 / (1 - percentile));
        last_value = value;
        last_percentile = percentile;
        last_count = count;
    }
    assert_true(lines >= 25 && lines <= 60); /* five to each halving, and 2^10 is 1000 */
    free(h);
}

/* --- Errors ---------------------------------------------------------------------------------- */

static void test_kinds_of_error_are_bounded(void **state)
{
    (void)state;
    struct tally *tally = qr_zalloc(sizeof *tally);
    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < 100; i++) {
            char code[64];
            int n = snprintf(code, sizeof code, "CODE%d", i);
            tally_error(tally, code, (size_t)n);
        }
    }
    assert_int_equal(tally->errors_total, 200);
    assert_int_equal(tally->error_kinds, BENCH_ERROR_CODES_MAX);
    assert_string_equal(tally->errors[0].code, "CODE0");
    assert_int_equal(tally->errors[0].count, 2);
    assert_string_equal(tally->errors[BENCH_ERROR_CODES_MAX - 1].code, "others");
    assert_int_equal(tally->errors[BENCH_ERROR_CODES_MAX - 1].count,
                     200 - 2 * (BENCH_ERROR_CODES_MAX - 1));
    char longest[500];
    memset(longest, 'X', sizeof longest);
    memset(tally, 0, sizeof *tally);
    tally_error(tally, longest, sizeof longest);
    assert_int_equal(strlen(tally->errors[0].code), sizeof tally->errors[0].code - 1);
    free(tally);
}

int main(void)
{
    unsetenv("REDISCLI_AUTH");
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_defaults),
        cmocka_unit_test(test_every_option),
        cmocka_unit_test(test_what_is_refused),
        cmocka_unit_test(test_the_printed_distribution),
        cmocka_unit_test(test_kinds_of_error_are_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
