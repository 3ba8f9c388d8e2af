/* Replicas agree: whoever applies the same entries has the same content, whether it heard its own
 * replies or not, and whether it has lived through all of them or started from an image (design,
 * "Deterministic execution"). */
#include "entries.h"
#include "harness.h"

#include "base/limits.h"

#define IMAGE_CHUNKS_MAX 4096

static void apply(struct engine *engine, const struct entry *entry, struct reply *reply)
{
    reply_reset(reply);
    if (entry->bytes == NULL) {
        engine_tick(engine, entry->stamp);
        return;
    }
    struct op op;
    assert_true(op_read(span_of(entry->bytes, entry->n), &op));
    engine_apply(engine, &op, reply);
}

static struct engine *new_engine(void)
{
    struct engine_config config = { .value_bytes_max = 64 * KIB };
    memcpy(config.hash_key, "fedcba9876543210", sizeof config.hash_key);
    return engine_new(&config);
}

struct image {
    uint8_t *chunks[IMAGE_CHUNKS_MAX];
    size_t bytes[IMAGE_CHUNKS_MAX];
    size_t n;
};

static void keep_chunk(void *context, struct span chunk)
{
    struct image *image = context;
    assert_true(image->n < IMAGE_CHUNKS_MAX);
    image->chunks[image->n] = malloc(chunk.n);
    assert_non_null(image->chunks[image->n]);
    memcpy(image->chunks[image->n], chunk.p, chunk.n);
    image->bytes[image->n++] = chunk.n;
}

static struct engine *load(struct image *image)
{
    struct engine *engine = new_engine();
    for (size_t i = 0; i < image->n; i++) {
        assert_true(engine_image_load(engine, span_of(image->chunks[i], image->bytes[i])));
        free(image->chunks[i]);
    }
    image->n = 0;
    return engine;
}

/* Applies the entries from `from` on to both; their replies and their content must not differ. */
static void apply_to_both(const struct entries *log, size_t from, size_t to, struct engine *old,
                          struct engine *restarted)
{
    struct reply a, b;
    reply_init(&a, 2);
    reply_init(&b, 2);
    for (size_t i = from; i < to; i++) {
        apply(old, &log->v[i], &a);
        apply(restarted, &log->v[i], &b);
        assert_int_equal(a.n, b.n);
        assert_memory_equal(a.p, b.p, a.n);
        if (i % 97 == 0) {
            assert_true(engine_digest(old) == engine_digest(restarted));
        }
    }
    assert_true(engine_digest(old) == engine_digest(restarted));
    reply_free(&a);
    reply_free(&b);
}

/* An image is begun at a position and finished while entries go on; whoever loads it and replays
 * what came after the position is where the others are. */
static void test_restarted_from_images(void **state)
{
    (void)state;
    struct entries *log = entries_new(1);
    struct engine *engine = new_engine();
    struct reply reply;
    reply_init(&reply, 2);
    static struct image image;
    size_t i = 0;
    unsigned restarts = 0;
    while (i + 1000 < ENTRIES) {
        size_t position = i;
        uint64_t digest = engine_digest(engine);
        engine_image_begin(engine, keep_chunk, &image);
        while (engine_image_next(engine, 1)) {
            for (int j = 0; j < 3 && i < ENTRIES; j++) {
                apply(engine, &log->v[i++], &reply);
            }
        }
        engine_image_end(engine);
        struct engine *restarted = load(&image);
        assert_true(engine_digest(restarted) == digest);
        for (size_t j = position; j < i; j++) {
            apply(restarted, &log->v[j], &reply);
        }
        apply_to_both(log, i, i + 500, engine, restarted);
        i += 500;
        engine_free(engine);
        engine = restarted;
        restarts++;
    }
    assert_true(restarts >= 8);
    engine_free(engine);
    reply_free(&reply);
    entries_free(log);
}

/* The same entries, with somebody waiting for the replies, with nobody, and in RESP3. */
static void test_replies_change_nothing(void **state)
{
    (void)state;
    struct entries *log = entries_new(2);
    struct engine *engines[3];
    struct reply replies[3];
    for (size_t r = 0; r < 3; r++) {
        engines[r] = new_engine();
        reply_init(&replies[r], r == 2 ? 3 : 2);
    }
    replies[1].discard = true;
    unsigned errors = 0, ticks = 0;
    for (size_t i = 0; i < ENTRIES; i++) {
        for (size_t r = 0; r < 3; r++) {
            apply(engines[r], &log->v[i], &replies[r]);
        }
        assert_int_equal(replies[1].n, 0);
        errors += replies[0].is_error;
        ticks += log->v[i].bytes == NULL;
        if (i % 97 == 0 || i + 1 == ENTRIES) {
            assert_true(engine_digest(engines[0]) == engine_digest(engines[1]));
            assert_true(engine_digest(engines[0]) == engine_digest(engines[2]));
        }
    }
    struct engine_stats stats = engine_totals(engines[0])->stats;
    /* The run must have meant something. */
    assert_true(stats.expired_keys > 500 && ticks > 300);
    assert_true(errors > 100 && errors < ENTRIES / 4);
    for (size_t r = 0; r < 3; r++) {
        engine_free(engines[r]);
        reply_free(&replies[r]);
    }
    entries_free(log);
}

/* Other content, or another time, is another digest: the test above could fail. */
static void test_digests_differ(void **state)
{
    struct harness *h = *state;
    uint64_t digests[6];
    expect(h, "SET k v", "+OK|");
    digests[0] = engine_digest(h->engine);
    expect(h, "SET k w", "+OK|");
    digests[1] = engine_digest(h->engine);
    expect(h, "PEXPIRE k 100", ":1|");
    digests[2] = engine_digest(h->engine);
    expect(h, "MOVE k 1", ":1|");
    digests[3] = engine_digest(h->engine);
    at_ms(h, 1);
    tick(h);
    digests[4] = engine_digest(h->engine);
    expect(h, "FLUSHALL", "+OK|");
    digests[5] = engine_digest(h->engine);
    for (size_t i = 0; i < ARRAY_COUNT(digests); i++) {
        for (size_t j = 0; j < i; j++) {
            assert_true(digests[i] != digests[j]);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_restarted_from_images),
        cmocka_unit_test(test_replies_change_nothing),
        cmocka_unit_test_setup_teardown(test_digests_differ, harness_setup, harness_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
