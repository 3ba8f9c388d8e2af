/* The linearizability checker: known good and bad histories, and every small random history against
 * a twin that tries all orders. The checkers judge everything else, so they are judged here. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "all_orders.h"
#include "base/rng.h"
#include "sim/seed.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#define LIMIT 20000000u

static struct model_value text(const char *s)
{
    return model_value_of(span_of(s, strlen(s)));
}

static struct history_op op(enum op_kind kind, const char *argument, const char *result,
                            int64_t start, int64_t end)
{
    struct history_op o = { .kind = kind, .start = start, .end = end };
    if (argument != NULL) {
        o.argument = text(argument);
    }
    if (strcmp(result, "ok") == 0) {
        o.result.kind = RESULT_OK;
    } else if (strcmp(result, "nil") == 0) {
        o.result.kind = RESULT_NIL;
    } else if (strcmp(result, "?") == 0) {
        o.result.kind = RESULT_UNKNOWN;
    } else if (strcmp(result, "fail") == 0) {
        o.result.kind = RESULT_FAIL;
    } else {
        o.result.kind = RESULT_VALUE;
        o.result.value = text(result);
    }
    return o;
}

static enum verdict check(const struct history_op *ops, size_t n)
{
    return linearizable_check(ops, n, LIMIT).verdict;
}

#define GOOD(...)                                                             \
    do {                                                                      \
        const struct history_op ops[] = { __VA_ARGS__ };                      \
        assert_int_equal(check(ops, ARRAY_COUNT(ops)), VERDICT_LINEARIZABLE); \
    } while (0)
#define BAD(...)                                                          \
    do {                                                                  \
        const struct history_op ops[] = { __VA_ARGS__ };                  \
        assert_int_equal(check(ops, ARRAY_COUNT(ops)), VERDICT_VIOLATED); \
    } while (0)

static void test_known_good(void **state)
{
    (void)state;
    GOOD(op(OP_GET, NULL, "nil", 0, 1));
    GOOD(op(OP_SET, "a", "ok", 0, 10), op(OP_GET, NULL, "nil", 1, 2), op(OP_GET, NULL, "a", 3, 4));
    GOOD(op(OP_SET, "a", "?", 0, 1), op(OP_GET, NULL, "nil", 5, 6), op(OP_GET, NULL, "a", 7, 8));
    GOOD(op(OP_INCR, "1", "1", 0, 9), op(OP_INCR, "1", "2", 0, 9), op(OP_GET, NULL, "2", 10, 11));
    GOOD(op(OP_APPEND, "x", "1", 0, 9), op(OP_APPEND, "y", "2", 0, 9),
         op(OP_GET, NULL, "xy", 3, 11));
    GOOD(op(OP_SET, "a", "ok", 0, 1), op(OP_DEL, NULL, "1", 2, 3), op(OP_GET, NULL, "nil", 4, 5));
    GOOD(op(OP_SET, "a", "fail", 0, 1), op(OP_GET, NULL, "nil", 4, 5));
    GOOD(op(OP_SET, "-5", "ok", 0, 1), op(OP_INCR, "1", "-4", 2, 3),
         op(OP_INCR, "-6", "-10", 4, 5));
    /* Of two sets of one value the first is not the one that is seen, and must go early. */
    GOOD(op(OP_SET, "v", "ok", 0, 10), op(OP_SET, "w", "ok", 1, 2), op(OP_GET, NULL, "w", 11, 12),
         op(OP_SET, "v", "ok", 13, 14), op(OP_GET, NULL, "v", 15, 16));
}

static void test_known_bad(void **state)
{
    (void)state;
    /* A read of what was never written. */
    BAD(op(OP_GET, NULL, "a", 0, 1));
    /* A stale read. */
    BAD(op(OP_SET, "a", "ok", 0, 1), op(OP_SET, "b", "ok", 2, 3), op(OP_GET, NULL, "a", 4, 5));
    /* A lost write. */
    BAD(op(OP_SET, "a", "ok", 0, 1), op(OP_GET, NULL, "nil", 2, 3));
    /* The new value, then the old one again. */
    BAD(op(OP_SET, "a", "ok", 0, 1), op(OP_SET, "b", "?", 2, 9), op(OP_GET, NULL, "b", 3, 4),
        op(OP_GET, NULL, "a", 5, 6));
    /* An increment that happened twice. */
    BAD(op(OP_INCR, "1", "1", 0, 1), op(OP_GET, NULL, "2", 2, 3));
    /* A write that surely failed, seen. */
    BAD(op(OP_SET, "a", "fail", 0, 1), op(OP_GET, NULL, "a", 2, 3));
    /* A lost update among appends. */
    BAD(op(OP_APPEND, "x", "1", 0, 5), op(OP_APPEND, "y", "1", 0, 5));
    /* What is no number is not increased. */
    BAD(op(OP_SET, "", "ok", 0, 1), op(OP_INCR, "1", "1", 2, 3));
    BAD(op(OP_SET, "-", "ok", 0, 1), op(OP_INCR, "1", "1", 2, 3));
    /* Two deletes of one value. */
    BAD(op(OP_SET, "a", "ok", 0, 1), op(OP_DEL, NULL, "1", 2, 9), op(OP_DEL, NULL, "1", 2, 9));
}

/* --- all orders
 * ------------------------------------------------------------------------------------- */

#define SMALL_OPS 7

/* A plausible history: what a store answers that executes each operation at some moment within it,
 * with one answer in a few changed. */
static size_t random_history(struct rng *r, struct history_op *ops)
{
    static const enum op_kind mixes[][4] = { { OP_GET, OP_SET, OP_GET, OP_SET },
                                             { OP_GET, OP_SET, OP_DEL, OP_SET },
                                             { OP_GET, OP_APPEND, OP_GET, OP_APPEND },
                                             { OP_GET, OP_INCR, OP_INCR, OP_DEL },
                                             { OP_GET, OP_SET, OP_APPEND, OP_DEL },
                                             { OP_GET, OP_SETNX, OP_SETXX, OP_DEL },
                                             { OP_GETDEL, OP_SETNX, OP_GETSET, OP_SETXX },
                                             { OP_GET, OP_SETNX, OP_SETNX, OP_GETDEL },
                                             { OP_GET, OP_SETXX, OP_SET, OP_CLEAR },
                                             { OP_GET, OP_GETSET, OP_GETSET, OP_GETDEL } };
    const enum op_kind *mix = mixes[rng_below(r, ARRAY_COUNT(mixes))];
    static const char *const values[] = { "1", "2", "3", "4", "5", "6", "7" };
    size_t n = 2 + rng_below(r, SMALL_OPS - 1);
    uint64_t span = 5 + rng_below(r, 60);
    bool repeat = rng_chance(r, 1, 3);
    struct model_value state = { 0 };
    for (size_t i = 0; i < n; i++) {
        int64_t at = (int64_t)i * 10;
        struct history_op *o = &ops[i];
        *o = (struct history_op){ .kind = mix[rng_below(r, 4)] };
        o->start = at - (int64_t)rng_below(r, span);
        o->end = at + 1 + (int64_t)rng_below(r, span);
        if (!op_is_bare(o->kind)) {
            o->argument = text(o->kind == OP_INCR ? "1" : values[repeat ? rng_below(r, 2) : i]);
        }
        bool open = rng_chance(r, 1, 4), happens = !open || rng_chance(r, 1, 2);
        struct model_value next = state;
        o->result = model_apply(o->kind, &o->argument, &next);
        state = happens ? next : state;
        if (open) {
            o->result.kind = RESULT_UNKNOWN;
        }
    }
    for (size_t i = 0; i < n; i++) { /* swap two answers of one kind: often a violation */
        size_t k = rng_below(r, n);
        if (rng_chance(r, 1, 2) && ops[i].kind == ops[k].kind) {
            struct model_result result = ops[i].result;
            ops[i].result = ops[k].result;
            ops[k].result = result;
        }
    }
    return n;
}

static void write_value(FILE *out, const char *before, const struct model_value *v)
{
    (void)fprintf(out, "%s%.*s", before, (int)v->length, v->small);
}

/* What check-history says of it: 0 is linearizable. */
static int check_file(const struct history_op *ops, size_t n, uint64_t limit)
{
    static const char *const results[] = { "ok", "nil", "=", "unknown", "fail" };
    char *text = NULL, said[200];
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    for (size_t i = 0; i < n; i++) {
        const struct history_op *o = &ops[i];
        bool has_argument = !op_is_bare(o->kind);
        (void)fprintf(out, "%zu k %s ", i, op_kind_name(o->kind));
        write_value(out, has_argument ? "" : "-", &o->argument);
        (void)fprintf(out, " %s", results[o->result.kind]);
        if (o->result.kind == RESULT_VALUE) {
            write_value(out, "", &o->result.value);
        }
        (void)fprintf(out, " %lld %lld\n", (long long)o->start, (long long)o->end);
    }
    (void)fclose(out);
    FILE *in = fmemopen(text, size, "r");
    out = fmemopen(said, sizeof said, "w");
    int code = history_check(in, "the history", limit, out);
    (void)fclose(in);
    (void)fclose(out);
    free(text);
    return code;
}

static void test_all_orders(void **state)
{
    (void)state;
    unsigned violated = 0, count = 300000;
    for (uint64_t seed = 1; seed <= count; seed++) {
        struct rng r = rng_from(seed);
        struct history_op ops[SMALL_OPS + 1];
        size_t n = random_history(&r, ops);
        bool good = all_orders_register(ops, n);
        enum verdict verdict = check(ops, n);
        if (verdict != (good ? VERDICT_LINEARIZABLE : VERDICT_VIOLATED)) {
            fail_msg("seed %llu: all orders say %d, the checker %d", (unsigned long long)seed, good,
                     (int)verdict);
        }
        if (seed % 8 == 0 && check_file(ops, n, LIMIT) != (good ? 0 : 1)) {
            fail_msg("seed %llu: written to a file it is another one", (unsigned long long)seed);
        }
        violated += good ? 0 : 1;
    }
    assert_true(violated > count / 20); /* both answers are common */
    assert_true(violated < count / 2);
}

/* --- limits
 * ------------------------------------------------------------------------------------------- */

static void test_limit_is_a_failure(void **state)
{
    (void)state;
    const struct history_op ops[] = { op(OP_INCR, "1", "1", 0, 9), op(OP_INCR, "1", "2", 0, 9),
                                      op(OP_INCR, "1", "9", 0, 9) };
    assert_int_equal(linearizable_check(ops, 3, 1).verdict, VERDICT_UNDECIDED);
    assert_int_equal(check_file(ops, 3, 1), 1);
}

/* What may have been cut, what says nothing, and what cannot be read at all. */
static void test_what_is_no_history_is_not_judged(void **state)
{
    static const struct {
        const char *text;
        int code;
    } rows[] = { { "1 k set a ok 0 1\n", 0 },
                 { "1 k set a ok 0 1", 2 },
                 { "1 k set a ok 0 1\n# or so", 2 },
                 { "# nobody\n\n", 2 } };
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        FILE *in = fmemopen((void *)(uintptr_t)rows[i].text, strlen(rows[i].text), "r");
        assert_int_equal(history_check(in, "the history", LIMIT, stdout), rows[i].code);
        (void)fclose(in);
    }
    FILE *in = fopen("/", "re");
    assert_int_equal(history_check(in, "a directory", LIMIT, stdout), 2);
    (void)fclose(in);
}

/* 100,000 operations of 16 clients on 300 keys, one in fifty without an answer. */
static void test_large_history(void **state)
{
    (void)state;
    enum { OPS = 100000, KEYS = 300, CLIENTS = 16 };
    static struct history_op ops[OPS];
    static struct model_value values[KEYS];
    struct rng r = rng_from(7);
    for (size_t i = 0; i < OPS; i++) {
        struct history_op *o = &ops[i];
        uint32_t key = (uint32_t)rng_below(&r, KEYS);
        char value[24];
        (void)snprintf(value, sizeof value, "%zu", i);
        enum op_kind writes[] = { OP_SET, OP_INCR, OP_DEL, OP_SET };
        enum op_kind kind = rng_chance(&r, 1, 2) ? OP_GET
                            : key % 3 == 0       ? OP_INCR
                                                 : writes[key % 4];
        *o = (struct history_op){ .process = (uint32_t)(i % CLIENTS), .key = key, .kind = kind };
        o->argument = text(kind == OP_INCR ? "1" : value);
        o->start = (int64_t)i * 100 - (int64_t)rng_below(&r, 5000);
        o->end = (int64_t)i * 100 + (int64_t)rng_below(&r, 5000);
        o->result = model_apply(kind, &o->argument, &values[key]);
        if (o->result.kind != RESULT_FAIL && rng_chance(&r, 1, 50)) {
            o->result.kind = RESULT_UNKNOWN;
        }
    }
    clock_t begin = clock();
    assert_int_equal(linearizable_check(ops, OPS, LIMIT).verdict, VERDICT_LINEARIZABLE);
    assert_true((clock() - begin) / CLOCKS_PER_SEC < 20);
    for (size_t i = OPS / 2; i < OPS; i++) { /* one stale answer among them */
        if (ops[i].kind == OP_GET && ops[i].result.kind == RESULT_VALUE && ops[i].key % 4 == 3) {
            ops[i].result.value = text("stale");
            break;
        }
    }
    assert_int_equal(linearizable_check(ops, OPS, LIMIT).verdict, VERDICT_VIOLATED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_known_good),    cmocka_unit_test(test_known_bad),
        cmocka_unit_test(test_all_orders),    cmocka_unit_test(test_limit_is_a_failure),
        cmocka_unit_test(test_what_is_no_history_is_not_judged),
        cmocka_unit_test(test_large_history),
    };
    return cmocka_run_group_tests_name("linearizable", tests, NULL, NULL);
}
