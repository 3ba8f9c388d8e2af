/* Replicas agree: whoever applies the same entries has the same content, whether it heard its own
 * replies or not, and whether it has lived through all of them or started from an image (design,
 * "Deterministic execution"). */
#include "harness.h"

#include "base/limits.h"
#include "base/rng.h"
#include "command/command.h"

#include <stdio.h>

#define ENTRIES 12000
#define IMAGE_CHUNKS_MAX 4096
#define ARGUMENTS_MAX 5

/* A log: the encoded ops in order; an empty one is a tick. */
struct entry {
    uint8_t *bytes;
    size_t n;
    qr_wall stamp;
};

struct log {
    struct entry entries[ENTRIES];
    struct rng rng;
    qr_wall clock;
    char words[ARGUMENTS_MAX][48];
};

static struct span word(struct log *log, uint32_t i, const char *format, uint64_t v)
{
    (void)snprintf(log->words[i], sizeof log->words[i], format, (unsigned long long)v);
    return span_of(log->words[i], strlen(log->words[i]));
}

/* Commands with arguments that make most of them succeed: k key, v value, n number, t a time in
 * milliseconds that passes soon, d a database; capitals stand for themselves. */
static const char *const templates[] = {
    "SET k v",          "SET k v PX t",    "SET k v KEEPTTL", "SET k v GET",    "SETNX k v",
    "PSETEX k t v",     "GETSET k v",      "GETDEL k",        "GETEX k PX t",   "GETEX k PERSIST",
    "MSET k v k v",     "MSETNX k v k v",  "APPEND k v",      "SETRANGE k n v", "INCR k",
    "DECRBY k n",       "INCRBYFLOAT k n", "DEL k k",         "UNLINK k",       "PEXPIRE k t",
    "PEXPIRE k t GT",   "PERSIST k",       "RENAME k k",      "RENAMENX k k",   "COPY k k",
    "COPY k k REPLACE", "COPY k k DB d",   "MOVE k d",        "SWAPDB d d",     "SET k v",
    "SET k v PX t",     "SET k v PX t",    "SET k v",         "PEXPIRE k t",    "APPEND k v",
};

static struct span argument(struct log *log, uint32_t i, const char *token)
{
    switch (token[0]) {
    case 'k':
        return word(log, i, "key:%llu", rng_below(&log->rng, 60));
    case 'v':
        return word(log, i, "%llu", rng_next(&log->rng) >> rng_below(&log->rng, 64));
    case 'n':
        return word(log, i, "%llu", rng_below(&log->rng, 100));
    case 't':
        return word(log, i, "%llu", 1 + rng_below(&log->rng, 3000));
    case 'd':
        return word(log, i, "%llu", rng_below(&log->rng, 3));
    default:
        (void)snprintf(log->words[i], sizeof log->words[i], "%s", token);
        return span_of(log->words[i], strlen(log->words[i]));
    }
}

static void make_command(struct log *log, struct entry *entry)
{
    char text[64];
    const char *command = templates[rng_below(&log->rng, ARRAY_COUNT(templates))];
    if (rng_chance(&log->rng, 1, 1000)) {
        command = rng_chance(&log->rng, 1, 4) ? "FLUSHALL" : "FLUSHDB";
    }
    (void)snprintf(text, sizeof text, "%s", command);
    char *rest = NULL;
    struct span argv[ARGUMENTS_MAX];
    const char *name = strtok_r(text, " ", &rest);
    const struct command_spec *spec = command_by_name(span_of(name, strlen(name)));
    assert_non_null(spec);
    uint32_t argc = 0;
    for (char *token = strtok_r(NULL, " ", &rest); token != NULL;
         token = strtok_r(NULL, " ", &rest)) {
        argv[argc] = argument(log, argc, token);
        argc++;
    }
    struct op head = { .stamp = entry->stamp,
                       .seed = rng_next(&log->rng),
                       .level = SEMANTICS_LEVEL,
                       .tag = spec->tag,
                       .db = (uint8_t)rng_below(&log->rng, 3) };
    entry->n = op_bytes(argv, argc);
    entry->bytes = malloc(entry->n);
    assert_non_null(entry->bytes);
    op_write(entry->bytes, &head, argv, argc);
}

static struct log *make_log(uint64_t seed)
{
    struct log *log = calloc(1, sizeof *log);
    assert_non_null(log);
    log->rng = rng_from(seed);
    log->clock = START_MS * 1000;
    for (size_t i = 0; i < ENTRIES; i++) {
        struct entry *entry = &log->entries[i];
        log->clock += (qr_wall)rng_below(&log->rng, 20000); /* up to 20 ms */
        /* Leaders change, and their clocks differ. */
        entry->stamp = log->clock - (qr_wall)rng_below(&log->rng, 500000);
        if (!rng_chance(&log->rng, 1, 20)) {
            make_command(log, entry);
        }
    }
    return log;
}

static void free_log(struct log *log)
{
    for (size_t i = 0; i < ENTRIES; i++) {
        free(log->entries[i].bytes);
    }
    free(log);
}

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
static void apply_to_both(const struct log *log, size_t from, size_t to, struct engine *old,
                          struct engine *restarted)
{
    struct reply a, b;
    reply_init(&a, 2);
    reply_init(&b, 2);
    for (size_t i = from; i < to; i++) {
        apply(old, &log->entries[i], &a);
        apply(restarted, &log->entries[i], &b);
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
    struct log *log = make_log(1);
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
                apply(engine, &log->entries[i++], &reply);
            }
        }
        engine_image_end(engine);
        struct engine *restarted = load(&image);
        assert_true(engine_digest(restarted) == digest);
        for (size_t j = position; j < i; j++) {
            apply(restarted, &log->entries[j], &reply);
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
    free_log(log);
}

/* The same entries, with somebody waiting for the replies, with nobody, and in RESP3. */
static void test_replies_change_nothing(void **state)
{
    (void)state;
    struct log *log = make_log(2);
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
            apply(engines[r], &log->entries[i], &replies[r]);
        }
        assert_int_equal(replies[1].n, 0);
        errors += replies[0].is_error;
        ticks += log->entries[i].bytes == NULL;
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
    free_log(log);
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
