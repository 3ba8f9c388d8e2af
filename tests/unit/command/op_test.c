/* Operations: what is written is read back; whatever else comes is refused or harmless. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/limits.h"
#include "base/rng.h"
#include "command/op.h"

#define ARGUMENTS_MAX 8

struct sample {
    struct op head;
    uint8_t data[ARGUMENTS_MAX][40];
    struct span argv[ARGUMENTS_MAX];
    uint8_t bytes[512];
    size_t n;
};

static void make_sample(struct sample *s, struct rng *rng)
{
    s->head = (struct op){ .stamp = (qr_wall)(rng_next(rng) >> 1),
                           .seed = rng_next(rng),
                           .level = (uint16_t)rng_next(rng),
                           .tag = (uint16_t)rng_next(rng),
                           .db = (uint8_t)rng_below(rng, DATABASES),
                           .argc = (uint32_t)rng_below(rng, ARGUMENTS_MAX + 1) };
    for (uint32_t i = 0; i < s->head.argc; i++) {
        size_t n = rng_below(rng, sizeof s->data[i] + 1);
        for (size_t j = 0; j < n; j++) {
            s->data[i][j] = (uint8_t)rng_next(rng);
        }
        s->argv[i] = span_of(s->data[i], n);
    }
    s->n = op_bytes(s->argv, s->head.argc);
    assert_true(s->n <= sizeof s->bytes);
    op_write(s->bytes, &s->head, s->argv, s->head.argc);
}

/* Reads from an allocation of exactly this size, so that a sanitizer sees a read behind it. */
static bool read_exactly(const uint8_t *p, size_t n)
{
    uint8_t *copy = malloc(n > 0 ? n : 1);
    assert_non_null(copy);
    memcpy(copy, p, n);
    struct op op;
    bool good = op_read(span_of(copy, n), &op);
    if (good) {
        struct span *argv = calloc(op.argc + 1, sizeof *argv);
        assert_non_null(argv);
        op_arguments(&op, argv, NULL);
        size_t total = OP_HEADER_BYTES;
        for (uint32_t i = 0; i < op.argc; i++) {
            total += 4 + argv[i].n;
            assert_true(argv[i].n == 0 || (argv[i].p >= copy && argv[i].p + argv[i].n <= copy + n));
        }
        assert_int_equal(total, n);
        free(argv);
    }
    free(copy);
    return good;
}

static void test_round_trip(void **state)
{
    (void)state;
    struct rng rng = rng_from(1);
    for (int i = 0; i < 5000; i++) {
        struct sample s;
        make_sample(&s, &rng);
        struct op op;
        assert_true(op_read(span_of(s.bytes, s.n), &op));
        assert_true(op.stamp == s.head.stamp && op.seed == s.head.seed);
        assert_true(op.level == s.head.level && op.tag == s.head.tag && op.db == s.head.db);
        assert_int_equal(op.argc, s.head.argc);
        struct span argv[ARGUMENTS_MAX];
        op_arguments(&op, argv, NULL);
        for (uint32_t j = 0; j < op.argc; j++) {
            assert_int_equal(argv[j].n, s.argv[j].n);
            assert_memory_equal(argv[j].p, s.argv[j].p, argv[j].n);
        }
    }
}

static void test_known_bytes(void **state)
{
    (void)state;
    struct op head = { .stamp = 0x0102, .seed = 3, .level = 1, .tag = 0x0405, .db = 6 };
    struct span argv[] = { SPAN_LITERAL("ab"), SPAN_LITERAL("") };
    static const uint8_t expected[] = {
        2, 1, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0, 0, 0,   0,   0, 1, 0, 5,
        4, 6, 0, 0, 0, 2, 0, 0, 0, 2, 0, 0, 0, 'a', 'b', 0, 0, 0, 0
    };
    uint8_t bytes[sizeof expected];
    assert_int_equal(op_bytes(argv, 2), sizeof expected);
    op_write(bytes, &head, argv, 2);
    assert_memory_equal(bytes, expected, sizeof expected);
}

static void test_stamp_changes_stamp_and_seed_alone(void **state)
{
    (void)state;
    struct rng rng = rng_from(2);
    struct sample s;
    make_sample(&s, &rng);
    op_stamp(s.bytes, 77, 78);
    struct op op;
    assert_true(op_read(span_of(s.bytes, s.n), &op));
    assert_true(op.stamp == 77 && op.seed == 78);
    assert_true(op.level == s.head.level && op.tag == s.head.tag && op.argc == s.head.argc);
}

static void test_every_truncation_is_refused(void **state)
{
    (void)state;
    struct rng rng = rng_from(3);
    for (int i = 0; i < 200; i++) {
        struct sample s;
        make_sample(&s, &rng);
        for (size_t n = 0; n < s.n; n++) {
            assert_false(read_exactly(s.bytes, n));
        }
        s.bytes[s.n] = 0;
        assert_false(read_exactly(s.bytes, s.n + 1)); /* and so is a tail */
    }
}

/* A flipped bit may give another op, but never one that reaches outside of its bytes. */
static void test_every_flip_is_refused_or_harmless(void **state)
{
    (void)state;
    struct rng rng = rng_from(4);
    unsigned refused = 0;
    for (int i = 0; i < 100; i++) {
        struct sample s;
        make_sample(&s, &rng);
        for (size_t bit = 0; bit < 8 * s.n; bit++) {
            s.bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
            refused += !read_exactly(s.bytes, s.n);
            s.bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
        }
    }
    assert_true(refused > 5000);
}

static void test_named_refusals(void **state)
{
    (void)state;
    struct span argv[] = { SPAN_LITERAL("k") };
    struct op head = { .stamp = 1, .level = 1, .tag = 2 };
    uint8_t good[64], bytes[64];
    size_t n = op_bytes(argv, 1);
    op_write(good, &head, argv, 1);
    static const struct {
        size_t at;
        uint8_t value;
    } changes[] = {
        { 7, 0x80 },       /* a stamp before 1970 */
        { 20, DATABASES }, /* no such database */
        { 21, 1 },         /* not zero */
        { 23, 1 },         /* not zero */
        { 24, 0 },         /* bytes that belong to no argument */
        { 24, 2 },         /* an argument that is not there */
        { 27, 0xff },      /* more arguments than a command may have */
        { 28, 0 },         /* too short a length */
        { 31, 0xff },      /* a length far beyond the end */
    };
    assert_true(read_exactly(good, n));
    for (size_t i = 0; i < ARRAY_COUNT(changes); i++) {
        memcpy(bytes, good, n);
        bytes[changes[i].at] = changes[i].value;
        assert_false(read_exactly(bytes, n));
    }
}

/* The bounds of limits.h hold for ops too: COMMAND_ARGUMENTS_MAX and COMMAND_BYTES_MAX. */
static void test_bounds(void **state)
{
    (void)state;
    size_t n = OP_HEADER_BYTES + 4 * ((size_t)COMMAND_ARGUMENTS_MAX + 1);
    uint8_t *bytes = calloc(1, n);
    assert_non_null(bytes);
    struct op head = { .level = 1, .tag = 2 };
    op_write(bytes, &head, NULL, 0);
    uint32_t argc = COMMAND_ARGUMENTS_MAX;
    struct op op;
    for (int i = 0; i < 2; i++) {
        for (unsigned j = 0; j < 4; j++) {
            bytes[24 + j] = (uint8_t)(argc >> (8 * j));
        }
        bool good = op_read(span_of(bytes, OP_HEADER_BYTES + 4 * (size_t)argc), &op);
        assert_int_equal(good, argc <= COMMAND_ARGUMENTS_MAX);
        argc++;
    }
    free(bytes);

    n = COMMAND_BYTES_MAX / 2 - 3; /* two of them with their lengths are 2 bytes too long */
    uint8_t *half = calloc(1, n);
    bytes = malloc(OP_HEADER_BYTES + 2 * (4 + n) + OP_ID_BYTES_MAX);
    assert_true(half != NULL && bytes != NULL);
    struct span halves[] = { span_of(half, n), span_of(half, n) };
    op_write(bytes, &head, halves, 2);
    assert_false(op_read(span_of(bytes, op_bytes(halves, 2)), &op));
    halves[1].n -= 2;
    op_write(bytes, &head, halves, 2);
    assert_true(op_read(span_of(bytes, op_bytes(halves, 2)), &op));
    op_write(bytes, &head, halves, 1);
    assert_true(op_read(span_of(bytes, op_bytes(halves, 1)), &op));

    /* An id counts as the arguments do: a record has room for so much and no more. */
    uint8_t id[OP_ID_BYTES_MAX];
    const struct op_id names = {
        .pid = SPAN_LITERAL("p"), .iid = SPAN_LITERAL("i"), .seconds = 1, .count = 1, .bytes = 1
    };
    head.level = SEMANTICS_LEVEL_IDS;
    head.id = span_of(id, op_id_write(id, &names));
    halves[0].n -= head.id.n;
    op_write(bytes, &head, halves, 2);
    assert_true(op_read(span_of(bytes, op_bytes(halves, 2) + head.id.n), &op));
    halves[0].n++;
    op_write(bytes, &head, halves, 2);
    assert_false(op_read(span_of(bytes, op_bytes(halves, 2) + head.id.n), &op));
    free(half);
    free(bytes);
}

static void test_first_argument(void **state)
{
    (void)state;
    uint8_t bytes[64];
    struct span argv[] = { SPAN_LITERAL("key"), SPAN_LITERAL("value") };
    struct op head = { .level = 1, .tag = 2, .db = 7 };
    struct span argument;
    uint8_t db = 0;
    op_write(bytes, &head, argv, 2);
    size_t n = op_bytes(argv, 2);
    assert_true(op_first_argument(span_of(bytes, n), &argument, &db));
    assert_int_equal(db, 7);
    assert_int_equal(argument.n, 3);
    assert_memory_equal(argument.p, "key", 3);
    for (size_t cut = 0; cut < OP_HEADER_BYTES + 4 + 3; cut++) {
        assert_false(op_first_argument(span_of(bytes, cut), &argument, &db));
    }
    bytes[20] = 16; /* no such database */
    assert_false(op_first_argument(span_of(bytes, n), &argument, &db));
    op_write(bytes, &head, NULL, 0);
    assert_false(op_first_argument(span_of(bytes, OP_HEADER_BYTES), &argument, &db));
}

static size_t make_with_id(uint8_t *bytes, size_t cap, const struct op_id *id)
{
    struct span argv[] = { SPAN_LITERAL("key"), SPAN_LITERAL("value") };
    uint8_t encoded[OP_ID_BYTES_MAX];
    struct op head = { .stamp = 1, .level = SEMANTICS_LEVEL_IDS, .tag = 2, .db = 3 };
    head.id = span_of(encoded, op_id_write(encoded, id));
    size_t n = op_bytes(argv, 2) + head.id.n;
    assert_true(n <= cap);
    op_write(bytes, &head, argv, 2);
    return n;
}

/* As op.h has it. */
static void test_an_id_byte_by_byte(void **state)
{
    (void)state;
    const struct op_id id = { .pid = SPAN_LITERAL("pro"),
                              .iid = SPAN_LITERAL("request"),
                              .seconds = 0x1020,
                              .count = 0x0a0b0c0d,
                              .bytes = 0x1112131415161718 };
    uint8_t bytes[128];
    static const char expected[] = "\x20\x10\0\0\x0d\x0c\x0b\x0a\x18\x17\x16\x15\x14\x13\x12\x11"
                                   "\3\7prorequest\3\0\0\0key\5\0\0\0value";
    size_t n = make_with_id(bytes, sizeof bytes, &id);
    assert_int_equal(n, OP_HEADER_BYTES + sizeof expected - 1);
    assert_int_equal(bytes[21], 1);
    assert_memory_equal(bytes + OP_HEADER_BYTES, expected, sizeof expected - 1);
}

static void test_an_id_is_read_back(void **state)
{
    (void)state;
    uint8_t bytes[512], names[2 * OP_NAME_BYTES_MAX];
    memset(names, 'n', sizeof names);
    static const size_t sizes[][2] = { { 1, 1 }, { 1, 64 }, { 64, 1 }, { 64, 64 }, { 7, 9 } };
    for (size_t i = 0; i < ARRAY_COUNT(sizes); i++) {
        struct op_id id = { .pid = { names, sizes[i][0] },
                            .iid = { names + OP_NAME_BYTES_MAX, sizes[i][1] },
                            .seconds = OP_ID_SECONDS_MAX,
                            .count = 77,
                            .bytes = (uint64_t)1 << 40 };
        struct op_id got;
        struct op op;
        struct span argv[2], first;
        uint8_t db;
        size_t n = make_with_id(bytes, sizeof bytes, &id);
        assert_true(op_read(span_of(bytes, n), &op));
        op_id_read(&op, &got);
        assert_int_equal(got.pid.n, id.pid.n);
        assert_int_equal(got.iid.n, id.iid.n);
        assert_true(got.seconds == id.seconds && got.count == 77 && got.bytes == id.bytes);
        op_arguments(&op, argv, NULL);
        assert_memory_equal(argv[0].p, "key", 3);
        assert_memory_equal(argv[1].p, "value", 5);
        assert_true(op_first_argument(span_of(bytes, n), &first, &db));
        assert_memory_equal(first.p, "key", 3);
        assert_int_equal(db, 3);
        for (size_t cut = 0; cut < n; cut++) {
            assert_false(op_read(span_of(bytes, cut), &op));
        }
    }
    assert_false(op_id_fits((struct span){ names, 0 }, (struct span){ names, 1 }));
    assert_false(op_id_fits((struct span){ names, 1 }, (struct span){ names, 65 }));
    assert_false(op_id_fits((struct span){ names, 65 }, (struct span){ names, 1 }));
}

static void test_ids_that_cannot_be_are_refused(void **state)
{
    (void)state;
    const struct op_id id = {
        .pid = SPAN_LITERAL("p"), .iid = SPAN_LITERAL("i"), .seconds = 1, .count = 1, .bytes = 1
    };
    uint8_t good[128], bytes[128];
    size_t n = make_with_id(good, sizeof good, &id);
    static const struct {
        size_t at;
        uint8_t value;
    } changes[] = {
        { 16, 2 },    /* a level that knows none */
        { 21, 3 },    /* a flag that nobody knows */
        { 22, 1 },    /* references */
        { 28, 0 },    /* kept for no time */
        { 30, 2 },    /* for more than a day */
        { 32, 0 },    /* none at all */
        { 36, 0 },    /* of no bytes */
        { 44, 0 },    /* no name */
        { 45, 0 },    /* no name */
        { 44, 65 },   /* too long a name */
        { 45, 0xff }, /* beyond the end */
    };
    struct op op;
    assert_true(op_read(span_of(good, n), &op));
    for (size_t i = 0; i < ARRAY_COUNT(changes); i++) {
        memcpy(bytes, good, n);
        bytes[changes[i].at] = changes[i].value;
        assert_false(op_read(span_of(bytes, n), &op));
        struct span argument;
        uint8_t db;
        assert_false(op_first_argument(span_of(bytes, n), &argument, &db));
    }
    static const uint8_t names[][2] = { { 0, 2 }, { 2, 0 } }; /* cut otherwise, all bytes belong */
    for (size_t i = 0; i < ARRAY_COUNT(names); i++) {
        memcpy(bytes, good, n);
        memcpy(bytes + 44, names[i], 2);
        assert_false(op_read(span_of(bytes, n), &op));
    }
}

/* The blobs of a try that is answered from its record would stay. */
static void test_an_id_and_references_do_not_go_together(void **state)
{
    (void)state;
    uint8_t bytes[128], encoded[OP_ID_BYTES_MAX];
    struct span argv[] = { SPAN_LITERAL("k"), { .p = NULL, .n = 300 * KIB } };
    struct op_id id = { .pid = argv[0], .iid = argv[0], .seconds = 1, .count = 1, .bytes = 1 };
    struct op head = { .stamp = 1, .level = SEMANTICS_LEVEL_IDS, .tag = 2 }, op;
    op_write(bytes, &head, argv, 2);
    assert_true(op_read(span_of(bytes, op_bytes(argv, 2)), &op));
    head.id = span_of(encoded, op_id_write(encoded, &id));
    op_write(bytes, &head, argv, 2);
    assert_false(op_read(span_of(bytes, op_bytes(argv, 2) + head.id.n), &op));
}

static void test_ticks(void **state)
{
    (void)state;
    uint8_t bytes[OP_TICK_BYTES + 1] = { 0 };
    qr_wall stamp = 0;
    op_tick_write(bytes, 123456789, 5);
    assert_true(op_tick_read(span_of(bytes, OP_TICK_BYTES), &stamp));
    assert_true(stamp == 123456789);
    for (size_t n = 0; n < OP_TICK_BYTES; n++) {
        assert_false(op_tick_read(span_of(bytes, n), &stamp));
    }
    assert_false(op_tick_read(span_of(bytes, OP_TICK_BYTES + 1), &stamp));
    op_tick_write(bytes, -1, 5);
    assert_false(op_tick_read(span_of(bytes, OP_TICK_BYTES), &stamp));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_known_bytes),
        cmocka_unit_test(test_stamp_changes_stamp_and_seed_alone),
        cmocka_unit_test(test_every_truncation_is_refused),
        cmocka_unit_test(test_every_flip_is_refused_or_harmless),
        cmocka_unit_test(test_named_refusals),
        cmocka_unit_test(test_bounds),
        cmocka_unit_test(test_first_argument),
        cmocka_unit_test(test_an_id_byte_by_byte),
        cmocka_unit_test(test_an_id_is_read_back),
        cmocka_unit_test(test_ids_that_cannot_be_are_refused),
        cmocka_unit_test(test_an_id_and_references_do_not_go_together),
        cmocka_unit_test(test_ticks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
