/* The hidden database (engine/system.c): changed by its own op alone, all or nothing, once per
 * version; out of reach of every command; part of images and digests. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "base/limits.h"
#include "base/status.h"
#include "base/wire.h"
#include "command/command.h"
#include "engine/engine.h"

static char told[512]; /* what the hook has heard */

static void note(void *context, struct span key, struct span value)
{
    size_t n = strlen(told);
    assert_ptr_equal(context, told);
    if (key.n == 0) {
        (void)snprintf(told + n, sizeof told - n, "#%u ", (unsigned)wire_load_u64(value.p));
    } else {
        (void)snprintf(told + n, sizeof told - n, "%.*s=%.*s ", (int)key.n, (const char *)key.p,
                       (int)value.n, (const char *)value.p);
    }
}

static struct engine *new_engine(void)
{
    const struct engine_config config = { .hash_key = { 1 },
                                          .value_bytes_max = VALUE_BYTES_MAX,
                                          .system_changed = note,
                                          .system_context = told };
    told[0] = '\0';
    return engine_new(&config);
}

static struct reply reply;

static void apply(struct engine *engine, uint16_t tag, const struct span *argv, uint32_t argc)
{
    uint8_t *bytes = qr_alloc(op_bytes(argv, argc));
    struct op head = { .level = SEMANTICS_LEVEL, .tag = tag, .argc = argc };
    struct op op;
    op_write(bytes, &head, argv, argc);
    assert_true(op_read(span_of(bytes, op_bytes(argv, argc)), &op));
    reply_free(&reply);
    reply_init(&reply, 2);
    engine_apply(engine, &op, &reply);
    free(bytes);
}

static struct span text(const char *s)
{
    return span_of(s, strlen(s));
}

/* Up to two pairs; whether the op was carried out. */
static bool change(struct engine *engine, uint64_t expected, const char *key, const char *value,
                   const char *key2, const char *value2)
{
    uint8_t version[8];
    wire_store_u64(version, expected);
    struct span argv[5] = { span_of(version, 8) };
    uint32_t argc = 1;
    if (key != NULL) {
        argv[argc++] = text(key);
        argv[argc++] = text(value);
    }
    if (key2 != NULL) {
        argv[argc++] = text(key2);
        argv[argc++] = text(value2);
    }
    apply(engine, OP_SYSTEM, argv, argc);
    return !reply.is_error;
}

static void assert_record(const struct engine *engine, const char *key, const char *value)
{
    struct span got = engine_system_get(engine, text(key));
    assert_int_equal(got.n, strlen(value));
    assert_true(got.n == 0 || memcmp(got.p, value, got.n) == 0);
}

static void test_a_change_is_for_one_version(void **state)
{
    (void)state;
    struct engine *engine = new_engine();
    assert_int_equal(engine_system_version(engine), 0);
    assert_int_equal(engine_level(engine), SEMANTICS_LEVEL);
    assert_true(change(engine, 0, "a", "1", "b", "2"));
    assert_memory_equal(reply.p, ":1\r\n", 4);
    assert_int_equal(engine_level(engine), SEMANTICS_LEVEL_RECORDS);
    assert_string_equal(told, "a=1 b=2 #1 ");
    assert_false(change(engine, 0, "a", "x", "c", "3")); /* somebody was first */
    assert_non_null(memmem(reply.p, reply.n, status_text(STATUS_CONFLICT), 10));
    assert_false(change(engine, 2, "a", "x", NULL, NULL));
    assert_string_equal(told, "a=1 b=2 #1 ");
    assert_record(engine, "a", "1");
    assert_record(engine, "c", "");
    assert_true(change(engine, 1, "a", "", "c", "3"));
    assert_int_equal(engine_system_version(engine), 2);
    assert_string_equal(told, "a=1 b=2 #1 a= c=3 #2 ");
    assert_record(engine, "a", "");
    assert_true(change(engine, 2, NULL, NULL, NULL, NULL)); /* the version alone */
    assert_int_equal(engine_system_version(engine), 3);
    engine_free(engine);
}

static void test_what_is_malformed_changes_nothing(void **state)
{
    (void)state;
    struct engine *engine = new_engine();
    uint8_t *bytes = qr_zalloc(SYSTEM_VALUE_BYTES_MAX + 1);
    uint8_t version[8] = { 0 };
    struct span v = span_of(version, 8), k = SPAN_LITERAL("k"), x = SPAN_LITERAL("x");
    const struct span cases[][5] = {
        { span_of(version, 7), k, x, k, x },
        { v, k, x, span_of(bytes, 0), x }, /* the version's own key */
        { v, k, x, span_of(bytes, SYSTEM_KEY_BYTES_MAX + 1), x },
        { v, k, x, k, span_of(bytes, SYSTEM_VALUE_BYTES_MAX + 1) },
    };
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        apply(engine, OP_SYSTEM, cases[i], 5);
        assert_true(reply.is_error);
    }
    apply(engine, OP_SYSTEM, cases[0], 0);
    assert_true(reply.is_error);
    apply(engine, OP_SYSTEM, cases[1], 2);
    assert_true(reply.is_error);
    assert_int_equal(engine_system_version(engine), 0);
    assert_int_equal(store_count(engine_store(engine), SYSTEM_DB), 0);
    assert_string_equal(told, "");
    free(bytes);
    engine_free(engine);
}

static void put(struct engine *engine, const char *name, const struct span *argv, uint32_t argc)
{
    apply(engine, command_by_name(text(name))->tag, argv, argc);
}

static void test_no_command_reaches_it(void **state)
{
    (void)state;
    struct engine *engine = new_engine();
    assert_true(change(engine, 0, "a", "1", NULL, NULL));
    uint8_t none[20] = { 0 }, content[20];
    engine_content_digest(engine, content);
    assert_memory_equal(content, none, sizeof none); /* a client sees an empty server */
    struct span argv[] = { SPAN_LITERAL("0"), SPAN_LITERAL("16") };
    put(engine, "swapdb", argv, 2);
    assert_true(reply.is_error);
    struct span move[] = { SPAN_LITERAL("a"), SPAN_LITERAL("16") };
    put(engine, "move", move, 2);
    assert_true(reply.is_error);
    put(engine, "flushall", NULL, 0);
    put(engine, "flushdb", NULL, 0);
    assert_record(engine, "a", "1");
    for (uint8_t db = 0; db < DATABASES; db++) {
        assert_int_equal(store_count(engine_store(engine), db), 0);
    }
    uint8_t bytes[OP_HEADER_BYTES] = { 0 };
    struct op op = { .tag = command_by_name(SPAN_LITERAL("dbsize"))->tag };
    op_write(bytes, &op, NULL, 0);
    bytes[20] = SYSTEM_DB;
    assert_false(op_read(span_of(bytes, sizeof bytes), &op)); /* neither from a peer */
    op = (struct op){ .tag = OP_SYSTEM };
    reply_reset(&reply);
    assert_int_equal(engine_read(engine, &op, &reply), ENGINE_READ_DONE);
    assert_true(reply.is_error);
    assert_null(command_by_tag(OP_SYSTEM));
    engine_free(engine);
}

/* --- Images --------------------------------------------------------------------------------- */

struct image {
    uint8_t bytes[8192];
    size_t n;
};

static void keep_chunk(void *context, struct span chunk)
{
    struct image *image = context;
    assert_in_range(chunk.n, 1, sizeof image->bytes - image->n);
    memcpy(image->bytes + image->n, chunk.p, chunk.n);
    image->n += chunk.n;
}

static void collect(void *context, struct span key, struct span value)
{
    (void)context;
    note(told, key, value);
}

static void test_an_image_has_it_as_it_was(void **state)
{
    (void)state;
    struct engine *engine = new_engine();
    struct image image = { 0 };
    assert_true(change(engine, 0, "a", "1", "b", "2"));
    uint64_t digest = engine_digest(engine), rolling = engine_rolling_digest(engine);
    engine_image_begin(engine, keep_chunk, &image);
    assert_true(change(engine, 1, "a", "9", "b", ""));
    while (engine_image_next(engine, 1)) {
    }
    assert_true(engine_rolling_digest(engine) != rolling);
    assert_true(engine_digest(engine) != digest);
    assert_int_equal(image.bytes[7], SEMANTICS_LEVEL_RECORDS); /* older versions say it is newer */
    struct engine *copy = new_engine();
    assert_true(engine_image_load(copy, span_of(image.bytes, image.n)));
    assert_true(engine_image_complete(copy));
    assert_int_equal(engine_system_version(copy), 1);
    assert_true(engine_digest(copy) == digest && engine_rolling_digest(copy) == rolling);
    assert_string_equal(told, "");
    engine_system_each(copy, collect, NULL);
    assert_int_equal(strlen(told), strlen("a=1 b=2 "));
    assert_non_null(strstr(told, "a=1 "));
    assert_non_null(strstr(told, "b=2 "));
    store_check(engine_store(copy));
    engine_free(copy);
    engine_free(engine);
}

/* What was written before there was a hidden database, byte for byte. */
static void test_an_image_without_records_is_as_it_always_was(void **state)
{
    (void)state;
    static const uint8_t header[] = { 1, 'Q', 'I', 'M', 'G', 1, 0, 1, 0 };
    struct engine *engine = new_engine();
    struct image image = { 0 };
    struct span argv[] = { SPAN_LITERAL("k"), SPAN_LITERAL("v") };
    put(engine, "set", argv, 2);
    engine_image_begin(engine, keep_chunk, &image);
    while (engine_image_next(engine, 1)) {
    }
    assert_memory_equal(image.bytes, header, sizeof header);
    assert_int_equal(image.n, 17 + 23 + 2 + 13);
    engine_free(engine);
}

/* --- An idle engine ------------------------------------------------------------------------- */

#ifdef __GLIBC__
#include <malloc.h>

static size_t heap_bytes(void)
{
    struct mallinfo2 info = mallinfo2();
    return info.uordblks + info.hblkhd;
}

/* A node may have one for each of ten thousand partitions. */
static void test_an_empty_engine_costs_little(void **state)
{
    (void)state;
    enum { MANY = 1000 };
    struct engine **engines = qr_alloc(MANY * sizeof(struct engine *));
    size_t before = heap_bytes();
    for (uint32_t i = 0; i < MANY; i++) {
        engines[i] = new_engine();
        engine_tick(engines[i], 7);
        (void)engine_next_due(engines[i]);
        (void)engine_rolling_digest(engines[i]);
        (void)engine_idle(engines[i]);
    }
#ifndef __SANITIZE_ADDRESS__
    assert_in_range((heap_bytes() - before) / MANY, 1, KIB);
#else
    (void)before;
#endif
    for (uint32_t i = 0; i < MANY; i++) {
        engine_free(engines[i]);
    }
    free(engines);
}
#endif

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_change_is_for_one_version),
        cmocka_unit_test(test_what_is_malformed_changes_nothing),
        cmocka_unit_test(test_no_command_reaches_it),
        cmocka_unit_test(test_an_image_has_it_as_it_was),
        cmocka_unit_test(test_an_image_without_records_is_as_it_always_was),
#ifdef __GLIBC__
        cmocka_unit_test(test_an_empty_engine_costs_little),
#endif
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    reply_free(&reply);
    return failed;
}
