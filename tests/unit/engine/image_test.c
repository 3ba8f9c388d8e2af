/* The engine's image: round trips, writes during the walk, long values over many chunks, and the
 * refusal of everything that is not exactly what was written. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "base/crc32c.h"
#include "base/limits.h"
#include "base/rng.h"
#include "base/wire.h"
#include "engine/engine.h"

#define CHUNKS_MAX 4096

struct image {
    struct span chunks[CHUNKS_MAX]; /* owned */
    size_t count;
};

static void keep_chunk(void *context, struct span chunk)
{
    struct image *image = context;
    assert_in_range(chunk.n, 1, IMAGE_CHUNK_BYTES);
    assert_in_range(image->count, 0, CHUNKS_MAX - 1);
    uint8_t *copy = qr_alloc(chunk.n);
    memcpy(copy, chunk.p, chunk.n);
    image->chunks[image->count++] = span_of(copy, chunk.n);
}

static void free_image(struct image *image)
{
    for (size_t i = 0; i < image->count; i++) {
        free((void *)(uintptr_t)image->chunks[i].p);
    }
    image->count = 0;
}

static struct engine *new_engine(void)
{
    const struct engine_config config = { .hash_key = { 1 }, .value_bytes_max = VALUE_BYTES_MAX };
    return engine_new(&config);
}

static void put(struct engine *engine, uint8_t db, uint32_t i, size_t n, qr_wall expire)
{
    char key[32];
    size_t key_n = (size_t)snprintf(key, sizeof key, "k%u", i);
    uint8_t *value = qr_alloc(n);
    memset(value, (int)i, n);
    store_put(engine_store(engine), db, span_of(key, key_n), span_of(value, n), expire);
    free(value);
}

static bool load(struct engine *engine, const struct image *image)
{
    for (size_t i = 0; i < image->count; i++) {
        if (!engine_image_load(engine, image->chunks[i])) {
            return false;
        }
    }
    return engine_image_complete(engine);
}

/* Takes an image of an engine that nobody writes to. */
static void take(struct engine *engine, struct image *image)
{
    engine_image_begin(engine, keep_chunk, image);
    while (engine_image_next(engine, 100)) {
    }
}

static void assert_loads_as(const struct image *image, uint64_t digest, qr_wall log_time)
{
    struct engine *copy = new_engine();
    assert_true(load(copy, image));
    assert_true(engine_digest(copy) == digest);
    assert_true(engine_log_time(copy) == log_time);
    assert_false(engine_image_load(copy, image->chunks[0])); /* nothing follows the trailer */
    engine_free(copy);
}

static void test_round_trip(void **state)
{
    (void)state;
    struct engine *engine = new_engine();
    struct rng rng = rng_from(3);
    engine_tick(engine, 77);
    for (uint32_t i = 0; i < 20000; i++) {
        size_t n = (size_t)rng_below(&rng, i % 1000 == 0 ? MIB : 200);
        put(engine, (uint8_t)(i % DATABASES), i, n, i % 3 == 0 ? 100 + i : 0);
    }
    put(engine, 0, 20000, 0, 0);
    store_put(engine_store(engine), 2, span_of(NULL, 0), span_of(NULL, 0), 99);
    struct image image = { 0 };
    take(engine, &image);
    assert_loads_as(&image, engine_digest(engine), 77);
    free_image(&image);
    engine_free(engine);
}

static void test_an_empty_engine(void **state)
{
    (void)state;
    struct engine *engine = new_engine();
    struct image image = { 0 };
    take(engine, &image);
    assert_int_equal(image.count, 1);
    assert_loads_as(&image, engine_digest(engine), 0);
    free_image(&image);
    engine_free(engine);
}

/* What is said about an image's length decides about room only, be it wrong. */
static void test_an_expected_length_changes_no_content(void **state)
{
    (void)state;
    struct engine *engine = new_engine();
    size_t bytes = 0;
    for (uint32_t i = 0; i < 30000; i++) {
        put(engine, i % 7 == 0 ? 3 : 1, i, 50, i % 5 == 0 ? 1000 : 0);
    }
    struct image image = { 0 };
    take(engine, &image);
    for (size_t i = 0; i < image.count; i++) {
        bytes += image.chunks[i].n;
    }
    const uint64_t lengths[] = { 0, 1, bytes, 1000 * bytes, UINT64_MAX };
    for (size_t i = 0; i < ARRAY_COUNT(lengths); i++) {
        struct engine *copy = new_engine();
        engine_image_expect(copy, lengths[i]);
        assert_true(load(copy, &image));
        assert_true(engine_digest(copy) == engine_digest(engine));
        store_check(engine_store(copy));
        engine_free(copy);
    }
    free_image(&image);
    engine_free(engine);
}

/* Keys and values of the limits' sizes, timed and not; a value of 32 MiB comes in slices. */
#define LONG_BYTES (32 * MIB)

static void test_long_keys_and_values(void **state)
{
    (void)state;
    struct engine *engine = new_engine();
    uint8_t *bytes = qr_zalloc(LONG_BYTES);
    for (size_t i = 0; i < 3; i++) {
        bytes[0] = (uint8_t)i;
        store_put(engine_store(engine), 1, span_of(bytes, KEY_BYTES_MAX - i),
                  span_of(bytes, IMAGE_CHUNK_BYTES - KEY_BYTES_MAX + i), (qr_wall)i);
    }
    store_put(engine_store(engine), 1, span_of(bytes, 1), span_of(bytes, LONG_BYTES), 5);
    free(bytes);
    for (uint32_t i = 0; i < 8; i++) {
        put(engine, 2, i, IMAGE_SLICE_BYTES / 2, 0);
    }
    struct image image = { 0 };
    engine_image_begin(engine, keep_chunk, &image);
    uint32_t slices = 1;
    while (engine_image_next(engine, 1000)) {
        slices++;
    }
    assert_in_range(slices, 33, 40); /* bytes bound a slice, too */
    assert_loads_as(&image, engine_digest(engine), 0);
    free_image(&image);
    engine_free(engine);
}

/* Values of every size around the place where a chunk is full. */
static void test_chunk_borders(void **state)
{
    (void)state;
    for (size_t n = IMAGE_CHUNK_BYTES - 70; n < IMAGE_CHUNK_BYTES + 10; n++) {
        struct engine *engine = new_engine();
        put(engine, 0, 1, n, 0);
        put(engine, 0, 2, n % 7, 0);
        struct image image = { 0 };
        take(engine, &image);
        assert_loads_as(&image, engine_digest(engine), 0);
        free_image(&image);
        engine_free(engine);
    }
}

static void test_the_image_is_the_state_at_its_beginning(void **state)
{
    (void)state;
    struct engine *engine = new_engine();
    struct rng rng = rng_from(9);
    for (uint32_t i = 0; i < 5000; i++) {
        put(engine, (uint8_t)(i % 3), i, 50, i % 2 == 0 ? 1000 + i : 0);
    }
    engine_tick(engine, 500);
    uint64_t digest = engine_digest(engine);
    struct image image = { 0 };
    engine_image_begin(engine, keep_chunk, &image);
    uint32_t turns = 0;
    while (engine_image_next(engine, 30)) {
        put(engine, 0, (uint32_t)rng_below(&rng, 10000), 60, 0);
        put(engine, 1, (uint32_t)rng_below(&rng, 10000), 10, 2000);
        engine_tick(engine, 501 + turns * 20);
        if (turns == 40) {
            store_swap(engine_store(engine), 0, 2);
            store_clear(engine_store(engine), 1);
        }
        engine_idle(engine);
        turns++;
    }
    assert_true(turns > 100);
    assert_true(engine_digest(engine) != digest);
    assert_loads_as(&image, digest, 500);
    free_image(&image);
    engine_free(engine);
}

static void test_given_up_and_begun_again(void **state)
{
    (void)state;
    struct engine *engine = new_engine();
    for (uint32_t i = 0; i < 3000; i++) {
        put(engine, 0, i, 50, 0);
    }
    struct image image = { 0 };
    engine_image_begin(engine, keep_chunk, &image);
    assert_true(engine_image_next(engine, 1000));
    put(engine, 0, 3001, 5, 0);
    engine_image_end(engine);
    engine_image_end(engine);
    free_image(&image);
    take(engine, &image);
    assert_loads_as(&image, engine_digest(engine), 0);
    free_image(&image);
    engine_image_begin(engine, keep_chunk, &image); /* and freed in the middle of one */
    engine_free(engine);
    free_image(&image);
}

/* --- Malformed images ------------------------------------------------------------------------ */

/* Feeds the bytes as chunks of the given sizes; true when they are taken as a whole image. */
static bool takes(struct span bytes, size_t first)
{
    struct engine *engine = new_engine();
    bool taken = first == 0 || engine_image_load(engine, span_of(bytes.p, first));
    taken = taken && (first == bytes.n ||
                      engine_image_load(engine, span_of(bytes.p + first, bytes.n - first)));
    taken = taken && engine_image_complete(engine);
    engine_free(engine);
    return taken;
}

static struct span small_image(struct image *image)
{
    struct engine *engine = new_engine();
    put(engine, 0, 1, 3, 0);
    put(engine, 0, 2, 40, 1234567);
    put(engine, 15, 3, 0, 0);
    engine_tick(engine, 99);
    take(engine, image);
    engine_free(engine);
    assert_int_equal(image->count, 1);
    return image->chunks[0];
}

static void test_every_truncation_is_refused(void **state)
{
    (void)state;
    struct image image = { 0 };
    struct span bytes = small_image(&image);
    assert_true(takes(bytes, 0));
    for (size_t n = 1; n < bytes.n; n++) {
        uint8_t *cut = qr_alloc(n); /* exact, so that a sanitizer sees any read behind it */
        memcpy(cut, bytes.p, n);
        assert_false(takes(span_of(cut, n), 0));
        free(cut);
    }
    free_image(&image);
}

static void test_every_byte_flip_is_refused(void **state)
{
    (void)state;
    struct image image = { 0 };
    struct span bytes = small_image(&image);
    uint8_t *copy = qr_alloc(bytes.n);
    for (size_t i = 0; i < bytes.n; i++) {
        for (unsigned flip = 1; flip < 256; flip++) {
            memcpy(copy, bytes.p, bytes.n);
            copy[i] ^= (uint8_t)flip;
            assert_false(takes(span_of(copy, bytes.n), 0));
        }
    }
    free(copy);
    free_image(&image);
}

static void test_random_damage_never_crashes(void **state)
{
    (void)state;
    struct image image = { 0 };
    struct span bytes = small_image(&image);
    struct rng rng = rng_from(11);
    size_t room = bytes.n * 2;
    uint8_t *copy = qr_alloc(room);
    for (uint32_t round = 0; round < 20000; round++) {
        memcpy(copy, bytes.p, bytes.n);
        size_t n = bytes.n;
        for (uint64_t hits = 1 + rng_below(&rng, 4); hits > 0; hits--) {
            size_t at = (size_t)rng_below(&rng, n);
            size_t from = (size_t)rng_below(&rng, n);
            size_t count = (size_t)rng_below(&rng, n - (at > from ? at : from) + 1);
            switch (rng_below(&rng, 3)) {
            case 0:
                copy[at] = (uint8_t)rng_next(&rng);
                break;
            case 1:
                memmove(copy + at, copy + from, count);
                break;
            default:
                n = n + count <= room && rng_chance(&rng, 1, 2) ? n + count / 2 : n - count / 2;
                n = n == 0 ? 1 : n;
            }
        }
        bool same = n == bytes.n && memcmp(copy, bytes.p, n) == 0;
        size_t first = (size_t)rng_below(&rng, n);
        assert_true(same || !takes(span_of(copy, n), first));
        memset(copy, 0, room);
    }
    free(copy);
    free_image(&image);
}

static void test_chunks_lost_doubled_or_exchanged(void **state)
{
    (void)state;
    struct engine *engine = new_engine();
    for (uint32_t i = 0; i < 40; i++) {
        put(engine, 0, i, IMAGE_CHUNK_BYTES / 4, 0);
    }
    struct image image = { 0 };
    take(engine, &image);
    engine_free(engine);
    assert_in_range(image.count, 8, 14);
    for (size_t i = 0; i < image.count; i++) {
        for (size_t j = 0; j < image.count; j++) {
            if (j + 1 == i) {
                continue; /* that is where it was */
            }
            struct image other = { 0 }; /* chunk i goes to j; with i == j it is missing */
            for (size_t k = 0; k < image.count; k++) {
                if (k != i) {
                    other.chunks[other.count++] = image.chunks[k];
                }
                if (k == j && i != j) {
                    other.chunks[other.count++] = image.chunks[i];
                }
            }
            struct engine *copy = new_engine();
            assert_false(load(copy, &other));
            engine_free(copy);
        }
        struct image twice = image;
        memmove(&twice.chunks[i + 1], &image.chunks[i], (image.count - i) * sizeof image.chunks[0]);
        twice.count++;
        struct engine *copy = new_engine();
        assert_false(load(copy, &twice));
        engine_free(copy);
    }
    free_image(&image);
}

/* --- Images with a right checksum and a wrong content ----------------------------------------- */

/* Sets the checksum at the end of an image in one chunk. */
static void reseal(uint8_t *p, size_t n)
{
    struct wire_writer w = wire_writer(p + n - 4, 4);
    wire_put_u32(&w, crc32c_extend(0, p, n - 4));
}

/* Accepted or refused: it must not crash, and what is accepted must be a sound engine. */
static void test_resealed_damage_never_crashes(void **state)
{
    (void)state;
    struct image image = { 0 };
    struct span bytes = small_image(&image);
    struct rng rng = rng_from(12);
    uint8_t *copy = qr_alloc(bytes.n);
    uint32_t accepted = 0;
    for (uint32_t round = 0; round < 30000; round++) {
        memcpy(copy, bytes.p, bytes.n);
        for (uint64_t hits = 1 + rng_below(&rng, 3); hits > 0; hits--) {
            copy[rng_below(&rng, bytes.n - 4)] = (uint8_t)rng_next(&rng);
        }
        reseal(copy, bytes.n);
        struct engine *engine = new_engine();
        if (engine_image_load(engine, span_of(copy, bytes.n))) {
            accepted++;
            store_check(engine_store(engine));
            struct image again = { 0 };
            take(engine, &again);
            assert_loads_as(&again, engine_digest(engine), engine_log_time(engine));
            free_image(&again);
        }
        engine_free(engine);
    }
    assert_true(accepted > 1000); /* other bytes in a value are another value */
    free(copy);
    free_image(&image);
}

struct made_item {
    uint8_t db, type;
    int64_t expire;
    uint32_t key_n, value_n, piece_n;
};

static void make_item(struct wire_writer *w, struct made_item i)
{
    static const uint8_t zeros[256];
    wire_put_u8(w, 2);
    wire_put_u8(w, i.db);
    wire_put_u8(w, i.type);
    wire_put_u64(w, (uint64_t)i.expire);
    wire_put_u32(w, i.key_n);
    wire_put_u32(w, i.value_n);
    wire_put_u32(w, i.piece_n);
    wire_put_bytes(w, zeros, i.key_n % 128 + i.piece_n % 128);
}

static void make_more(struct wire_writer *w, uint32_t n)
{
    static const uint8_t zeros[128];
    wire_put_u8(w, 3);
    wire_put_u32(w, n);
    wire_put_bytes(w, zeros, n);
}

static void make_header(struct wire_writer *w, uint16_t format, uint16_t level, int64_t log_time)
{
    wire_put_u8(w, 1);
    wire_put_u32(w, 0x474d4951);
    wire_put_u16(w, format);
    wire_put_u16(w, level);
    wire_put_u64(w, (uint64_t)log_time);
}

static bool takes_made(struct wire_writer *w, uint64_t items)
{
    wire_put_u8(w, 4);
    wire_put_u64(w, items);
    wire_put_u32(w, 0);
    assert_false(w->bad);
    reseal(w->p, w->n);
    bool taken = takes(span_of(w->p, w->n), 0);
    w->n = 0;
    return taken;
}

static void test_each_field_is_checked(void **state)
{
    (void)state;
    static const struct {
        struct made_item item;
        bool good;
    } items[] = {
        { { 0, 1, 0, 3, 4, 4 }, true },           { { 15, 1, INT64_MAX, 0, 0, 0 }, true },
        { { 16, 1, 0, 3, 4, 4 }, false },         /* none of this level */
        { { 17, 1, 0, 3, 4, 4 }, false },         /* no such database */
        { { 0, 0, 0, 3, 4, 4 }, false },          /* no such type */
        { { 0, 2, 0, 3, 4, 4 }, false },          /* nor that one */
        { { 0, 1, -1, 3, 4, 4 }, false },         /* before 1970 */
        { { 0, 1, 0, 3, 4, 5 }, false },          /* a piece longer than the value */
        { { 0, 1, 0, 3, 4, 0 }, false },          /* an empty piece of a value */
        { { 0, 1, 0, 3, 4, 3 }, false },          /* the rest never comes */
        { { 0, 1, 0, UINT32_MAX, 4, 4 }, false }, /* longer than the image */
        { { 0, 1, 0, 3, UINT32_MAX, 4 }, false }, /* a value longer than any */
    };
    uint8_t bytes[1024];
    struct wire_writer w = wire_writer(bytes, sizeof bytes);
    for (size_t i = 0; i < ARRAY_COUNT(items); i++) {
        make_header(&w, 1, 1, 5);
        make_item(&w, items[i].item);
        assert_int_equal(takes_made(&w, 1), items[i].good);
    }
    static const struct {
        uint16_t format, level;
        int64_t log_time;
        uint64_t items;
        bool good;
    } heads[] = { { 1, 1, 0, 0, true },   { 2, 1, 0, 0, false },  { 0, 1, 0, 0, false },
                  { 1, 99, 0, 0, false }, { 1, 1, -1, 0, false }, { 1, 1, 0, 1, false } };
    for (size_t i = 0; i < ARRAY_COUNT(heads); i++) {
        make_header(&w, heads[i].format, heads[i].level, heads[i].log_time);
        assert_int_equal(takes_made(&w, heads[i].items), heads[i].good);
    }
}

static void test_the_order_of_records_is_checked(void **state)
{
    (void)state;
    const struct made_item whole = { 0, 1, 0, 3, 4, 4 }, half = { 0, 1, 7, 3, 40, 20 };
    uint8_t bytes[1024];
    struct wire_writer w = wire_writer(bytes, sizeof bytes);
    make_header(&w, 1, 1, 5);
    make_item(&w, half);
    make_more(&w, 19);
    make_more(&w, 1);
    assert_true(takes_made(&w, 1));

    make_item(&w, whole); /* no header */
    assert_false(takes_made(&w, 1));
    make_header(&w, 1, 1, 5); /* two */
    make_header(&w, 1, 1, 5);
    assert_false(takes_made(&w, 0));
    make_header(&w, 1, 1, 5); /* one key twice */
    make_item(&w, whole);
    make_item(&w, whole);
    assert_false(takes_made(&w, 2));
    make_header(&w, 1, 1, 5); /* one key twice, the second in pieces */
    make_item(&w, whole);
    make_item(&w, half);
    make_more(&w, 20);
    assert_false(takes_made(&w, 2));
    make_header(&w, 1, 1, 5); /* more of nothing */
    make_more(&w, 1);
    assert_false(takes_made(&w, 0));
    make_header(&w, 1, 1, 5); /* more than the rest */
    make_item(&w, half);
    make_more(&w, 21);
    assert_false(takes_made(&w, 1));
    make_header(&w, 1, 1, 5); /* nothing more */
    make_item(&w, half);
    make_more(&w, 0);
    make_more(&w, 20);
    assert_false(takes_made(&w, 1));
    make_header(&w, 1, 1, 5); /* an item inside another */
    make_item(&w, half);
    make_item(&w, (struct made_item){ 1, 1, 0, 3, 4, 4 });
    make_more(&w, 20);
    assert_false(takes_made(&w, 2));
}

static void test_only_an_empty_engine_loads(void **state)
{
    (void)state;
    struct image image = { 0 };
    struct span bytes = small_image(&image);
    struct engine *engine = new_engine();
    put(engine, 3, 1, 1, 0);
    assert_false(engine_image_load(engine, bytes));
    assert_false(engine_image_complete(engine));
    engine_free(engine);
    free_image(&image);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_an_empty_engine),
        cmocka_unit_test(test_an_expected_length_changes_no_content),
        cmocka_unit_test(test_long_keys_and_values),
        cmocka_unit_test(test_chunk_borders),
        cmocka_unit_test(test_the_image_is_the_state_at_its_beginning),
        cmocka_unit_test(test_given_up_and_begun_again),
        cmocka_unit_test(test_every_truncation_is_refused),
        cmocka_unit_test(test_every_byte_flip_is_refused),
        cmocka_unit_test(test_random_damage_never_crashes),
        cmocka_unit_test(test_chunks_lost_doubled_or_exchanged),
        cmocka_unit_test(test_resealed_damage_never_crashes),
        cmocka_unit_test(test_each_field_is_checked),
        cmocka_unit_test(test_the_order_of_records_is_checked),
        cmocka_unit_test(test_only_an_empty_engine_loads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
