/* Blobs: parts that no command has used yet are state like any other (engine/staging.c). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "base/limits.h"
#include "command/command.h"
#include "engine/engine.h"

struct image {
    struct span chunks[64]; /* owned */
    uint32_t count;
};

static void keep_chunk(void *context, struct span chunk)
{
    struct image *image = context;
    uint8_t *copy = qr_alloc(chunk.n);
    memcpy(copy, chunk.p, chunk.n);
    assert_in_range(image->count, 0, ARRAY_COUNT(image->chunks) - 1);
    image->chunks[image->count++] = span_of(copy, chunk.n);
}

static void free_image(struct image *image)
{
    for (uint32_t i = 0; i < image->count; i++) {
        free((void *)(uintptr_t)image->chunks[i].p);
    }
}

static struct engine *new_engine(void)
{
    const struct engine_config config = { .hash_key = { 1 }, .value_bytes_max = VALUE_BYTES_MAX };
    return engine_new(&config);
}

static void part(struct engine *engine, uint64_t number, uint8_t byte, uint64_t at, size_t n)
{
    uint8_t *bytes = qr_alloc(n);
    memset(bytes, byte, n);
    engine_blob_part(engine, number, 3 * LARGE_BYTES, at, span_of(bytes, n));
    free(bytes);
}

/* SET key <blob>; true when it was taken. */
static bool set_blob(struct engine *engine, const char *key, uint64_t number)
{
    struct span argv[2] = { span_of(key, strlen(key)), { .n = 3 * LARGE_BYTES } };
    struct op head = { .level = SEMANTICS_LEVEL,
                       .tag = command_by_name(SPAN_LITERAL("SET"))->tag,
                       .argc = 2 };
    uint8_t bytes[128];
    size_t n = op_bytes(argv, 2);
    op_write(bytes, &head, argv, 2);
    op_number_refs(bytes, n, number);
    struct op op;
    assert_true(op_read(span_of(bytes, n), &op));
    assert_int_equal(op.refs, 1);
    struct reply reply;
    reply_init(&reply, 2);
    engine_apply(engine, &op, &reply);
    bool taken = !reply.is_error;
    reply_free(&reply);
    return taken;
}

static void assert_all(struct engine *engine, const char *key, uint8_t byte)
{
    struct item *item = store_find(engine_store(engine), 0, span_of(key, strlen(key)));
    assert_non_null(item);
    assert_int_equal(item_value_n(item), 3 * LARGE_BYTES);
    for (size_t at = 0; at < item_value_n(item); at += 1000) {
        assert_int_equal(rope_slice(item_rope(item), at).p[0], byte);
    }
}

/* Parts of two stand side by side; a checkpoint in the middle has them, and what is loaded goes on
 * as the original does. */
static void test_blobs_side_by_side_and_in_an_image(void **state)
{
    (void)state;
    struct engine *engine = new_engine();
    engine_enter_term(engine, 7);
    part(engine, 1, 'a', 0, LARGE_BYTES);
    part(engine, 2, 'b', 0, 2 * LARGE_BYTES);
    part(engine, 1, 'a', LARGE_BYTES, LARGE_BYTES);
    struct image image = { 0 };
    engine_image_begin(engine, keep_chunk, &image);
    part(engine, 1, 'a', 2 * LARGE_BYTES, LARGE_BYTES); /* the image is of before */
    while (engine_image_next(engine, 1)) {
    }
    struct engine *copy = new_engine();
    for (uint32_t i = 0; i < image.count; i++) {
        assert_true(engine_image_load(copy, image.chunks[i]));
    }
    assert_true(engine_image_complete(copy));
    assert_true(engine_digest(copy) != engine_digest(engine));
    engine_enter_term(copy, 7);
    part(copy, 1, 'a', 2 * LARGE_BYTES, LARGE_BYTES);
    assert_true(engine_digest(copy) == engine_digest(engine));
    struct engine *both[] = { engine, copy };
    for (size_t i = 0; i < 2; i++) {
        assert_false(set_blob(both[i], "half", 2)); /* not whole: refused, and used up */
        assert_true(set_blob(both[i], "whole", 1));
        assert_false(set_blob(both[i], "again", 1));
        assert_all(both[i], "whole", 'a');
        assert_int_equal(engine_staged_bytes(both[i]), 0);
    }
    assert_true(engine_digest(copy) == engine_digest(engine));
    engine_free(copy);
    free_image(&image);
    engine_free(engine);
}

/* B2 in node/blobs.h: a dead leader's parts go with the first entry of another term; those that
 * their leader gave up by its word. Gaps are passed over. */
static void test_blobs_that_nobody_uses_go(void **state)
{
    (void)state;
    struct engine *engine = new_engine();
    uint64_t empty = engine_digest(engine);
    engine_enter_term(engine, 3);
    part(engine, 1, 'a', 0, LARGE_BYTES);
    part(engine, 1, 'a', 2 * LARGE_BYTES, LARGE_BYTES); /* a gap */
    part(engine, 2, 'b', LARGE_BYTES, LARGE_BYTES);     /* no beginning */
    assert_false(set_blob(engine, "k", 1));
    part(engine, 3, 'c', 0, LARGE_BYTES);
    assert_int_equal(engine_staged_bytes(engine), 3 * LARGE_BYTES);
    engine_blob_drop(engine, 3);
    assert_int_equal(engine_staged_bytes(engine), 0);
    part(engine, 4, 'd', 0, LARGE_BYTES);
    engine_enter_term(engine, 3);
    assert_int_equal(engine_staged_bytes(engine), 3 * LARGE_BYTES);
    engine_enter_term(engine, 4);
    assert_int_equal(engine_staged_bytes(engine), 0);
    assert_true(engine_digest(engine) == empty);
    engine_free(engine);
}

static void get(struct engine *engine, const char *key)
{
    struct span argv[1] = { span_of(key, strlen(key)) };
    struct op op = { .level = SEMANTICS_LEVEL,
                     .tag = command_by_name(SPAN_LITERAL("GET"))->tag,
                     .argc = 1 };
    struct reply reply;
    reply_init(&reply, 2);
    assert_int_equal(engine_read_arguments(engine, &op, argv, &reply), ENGINE_READ_DONE);
    reply_free(&reply);
}

/* What a node tells of its memory and its reads is of all its engines: of one that goes, the memory
 * goes and the reads stay. */
static void test_engines_share_totals(void **state)
{
    (void)state;
    struct engine_totals totals = { 0 };
    struct engine_config config = { .value_bytes_max = VALUE_BYTES_MAX, .totals = &totals };
    struct engine *a = engine_new(&config);
    struct engine *b = engine_new(&config);
    part(a, 1, 'a', 0, LARGE_BYTES);
    part(b, 1, 'b', 0, 3 * LARGE_BYTES);
    part(b, 2, 'b', 0, LARGE_BYTES);
    assert_int_equal(totals.staged, 9 * LARGE_BYTES);
    assert_true(set_blob(b, "k", 1));
    assert_int_equal(totals.staged, 6 * LARGE_BYTES);
    assert_int_equal(totals.memory, store_memory(engine_store(a)) + store_memory(engine_store(b)));
    assert_in_range(totals.memory, 3 * LARGE_BYTES, 4 * LARGE_BYTES);
    get(a, "k");
    get(b, "k");
    get(b, "k");
    engine_leave(b); /* another thread frees it */
    assert_int_equal(totals.staged, 3 * LARGE_BYTES);
    assert_int_equal(totals.memory, store_memory(engine_store(a)));
    engine_free(b);
    assert_int_equal(totals.staged, 3 * LARGE_BYTES);
    engine_free(a);
    assert_int_equal(totals.staged, 0);
    assert_int_equal(totals.memory, 0);
    assert_int_equal(totals.stats.keyspace_hits, 2);
    assert_int_equal(totals.stats.keyspace_misses, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_blobs_side_by_side_and_in_an_image),
        cmocka_unit_test(test_blobs_that_nobody_uses_go),
        cmocka_unit_test(test_engines_share_totals),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
