/* Records of ids in images, and under long random runs: what comes back is what was there, with
 * exact counts. */
#include "ids_world.h"

#include "base/alloc.h"
#include "base/limits.h"
#include "base/rng.h"
#include "base/wire.h"

/* --- Images --------------------------------------------------------------------------------- */

struct image {
    uint8_t *bytes;
    size_t n, cap;
    size_t ends[64]; /* of its chunks */
    uint32_t chunks;
};

static void keep_chunk(void *context, struct span chunk)
{
    struct image *image = context;
    while (image->cap - image->n < chunk.n) {
        image->cap = image->cap == 0 ? 64 * KIB : image->cap * 2;
        image->bytes = qr_realloc(image->bytes, image->cap);
    }
    memcpy(image->bytes + image->n, chunk.p, chunk.n);
    image->n += chunk.n;
    assert_true(image->chunks < ARRAY_COUNT(image->ends));
    image->ends[image->chunks++] = image->n;
}

static bool load(struct engine *engine, const struct image *image)
{
    bool good = true;
    size_t at = 0;
    for (uint32_t i = 0; good && i < image->chunks; i++) {
        good = engine_image_load(engine, span_of(image->bytes + at, image->ends[i] - at));
        at = image->ends[i];
    }
    return good && engine_image_complete(engine);
}

/* A restart, an install, a move: it answers as the one that it was made from. Returns of how many
 * chunks its image was. */
static uint32_t restart_follower(struct world *w)
{
    struct image image = { 0 };
    engine_image_begin(w->follower, keep_chunk, &image);
    while (engine_image_next(w->follower, 7)) {
    }
    struct engine *copy = ids_engine(NULL);
    assert_true(load(copy, &image));
    ids_assert_same(copy, w->follower);
    assert_int_equal(engine_totals(copy)->ids, engine_totals(w->follower)->ids);
    assert_int_equal(engine_totals(copy)->id_bytes, engine_totals(w->follower)->id_bytes);
    store_check(engine_store(copy));
    engine_free(w->follower);
    w->follower = copy;
    free(image.bytes);
    return image.chunks;
}

static void test_an_image_has_them(void **state)
{
    struct world *w = *state;
    w->bounds.count = 2;
    ids_expect(w, "1", "incr k", ":1\r\n");
    ids_expect(w, "2", "incr k", ":2\r\n");
    ids_put_value(w, "long", 5000);
    w->pid = "q";
    ids_expect(w, "1", "getset absent v", "$-1\r\n");
    w->iid = "2";
    ids_run(w, "getdel long");
    restart_follower(w);
    assert_int_equal(engine_level(w->follower), SEMANTICS_LEVEL_IDS);
    ids_run(w, "getdel long");
    assert_true(engine_replayed(w->engine));
    w->pid = "p";
    ids_expect(w, "1", "incr k", ":1\r\n");
    ids_expect_error(w, "3", "incr k", "IDMPFULL "); /* the counts are there, too */
    ids_expect_error(w, "2", "decr k", "IDMPMISMATCH ");
    w->stamp += 600 * QR_SECOND;
    ids_tick(w);
    assert_int_equal(engine_totals(w->follower)->ids, 0);
    restart_follower(w); /* and nothing is left that an older version would not read */
    assert_int_equal(engine_level(w->follower), SEMANTICS_LEVEL);
}

/* What changes while an image is written is in it as it was. */
static void test_an_image_is_of_its_beginning(void **state)
{
    struct world *w = *state;
    struct image image = { 0 };
    ids_expect(w, "1", "incr k", ":1\r\n");
    ids_expect(w, "2", "incr k", ":2\r\n");
    uint64_t digest = engine_digest(w->engine);
    engine_image_begin(w->engine, keep_chunk, &image);
    ids_expect(w, "3", "incr k", ":3\r\n");
    w->stamp += 600 * QR_SECOND;
    ids_tick(w);
    assert_int_equal(w->totals.ids, 0);
    while (engine_image_next(w->engine, 1)) {
    }
    struct engine *copy = ids_engine(NULL);
    assert_true(load(copy, &image));
    assert_true(engine_digest(copy) == digest);
    assert_int_equal(engine_totals(copy)->ids, 2);
    engine_free(copy);
    free(image.bytes);
}

/* A record is never split, wherever in a chunk it would come: none of those of all sizes is. */
static void test_an_image_of_many_chunks(void **state)
{
    struct world *w = *state;
    for (uint32_t i = 0; i < 1000; i++) {
        char iid[16];
        (void)snprintf(iid, sizeof iid, "%u", i);
        ids_put_value(w, "k", 3 * i + 900);
        w->iid = iid;
        w->bounds.bytes = 64 * MIB;
        ids_run(w, "getdel k");
    }
    assert_int_equal(w->totals.ids, 1000);
    assert_true(restart_follower(w) > 2);
    for (uint32_t i = 0; i < 1000; i++) {
        char iid[16];
        (void)snprintf(iid, sizeof iid, "%u", i);
        w->iid = iid;
        ids_run(w, "getdel k");
        assert_true(engine_replayed(w->engine));
    }
}

/* An image with one item of that database, key and value; of the value as much as that. The bytes
 * end where their memory does. */
static bool loads_piece(uint16_t level, struct span key, struct span value, qr_wall expire,
                        size_t piece_n)
{
    size_t n = 40 + key.n + piece_n;
    uint8_t *bytes = qr_alloc(n);
    struct wire_writer image = wire_writer(bytes, n);
    wire_put_u8(&image, 1);
    wire_put_u32(&image, 0x474d4951u);
    wire_put_u16(&image, 1);
    wire_put_u16(&image, level);
    wire_put_u64(&image, 1);
    wire_put_u8(&image, 2);
    wire_put_u8(&image, IDS_DB);
    wire_put_u8(&image, TYPE_STRING);
    wire_put_u64(&image, (uint64_t)expire);
    wire_put_u32(&image, (uint32_t)key.n);
    wire_put_u32(&image, (uint32_t)value.n);
    wire_put_u32(&image, (uint32_t)piece_n);
    wire_put_bytes(&image, key.p, key.n);
    wire_put_bytes(&image, value.p, piece_n);
    assert_true(!image.bad && image.n == n);
    struct engine *engine = ids_engine(NULL);
    bool good = engine_image_load(engine, span_of(bytes, n));
    engine_free(engine);
    free(bytes);
    return good;
}

static bool loads(uint16_t level, struct span key, struct span value, qr_wall expire)
{
    return loads_piece(level, key, value, expire, value.n);
}

static void test_an_image_with_bad_records_is_refused(void **state)
{
    (void)state;
    uint8_t value[16 + ID_REPLY_BYTES_MAX] = { 0 };
    uint8_t names[2 + 2 * OP_NAME_BYTES_MAX];
    struct span key = SPAN_LITERAL("\1pi"), good = span_of(value, 13);
    memset(names, 'n', sizeof names);
    assert_true(loads(SEMANTICS_LEVEL_IDS, key, good, 5));
    assert_false(loads(SEMANTICS_LEVEL_RECORDS, key, good, 5));
    assert_false(loads(SEMANTICS_LEVEL_IDS, key, good, 0));
    assert_false(loads(SEMANTICS_LEVEL_IDS, SPAN_LITERAL("\0p"), span_of(value, 4), 0));
    assert_false(
        loads(SEMANTICS_LEVEL_IDS, SPAN_LITERAL("\0p"), good, 5)); /* a count, and no record */
    assert_false(loads(SEMANTICS_LEVEL_IDS, SPAN_LITERAL("\0pi"), good, 5));
    assert_false(loads(SEMANTICS_LEVEL_IDS, SPAN_LITERAL(""), good, 5));
    assert_false(loads(SEMANTICS_LEVEL_IDS, SPAN_LITERAL(""), span_of(value, 0), 5));
    assert_false(loads_piece(SEMANTICS_LEVEL_IDS, key, good, 5, 12)); /* the rest is to come */
    assert_false(loads(SEMANTICS_LEVEL_IDS, SPAN_LITERAL("\2pi"), good, 5)); /* no iid */
    assert_false(loads(SEMANTICS_LEVEL_IDS, SPAN_LITERAL("\3pi"), good, 5)); /* beyond it */
    assert_false(loads(SEMANTICS_LEVEL_IDS, key, span_of(value, 9), 5));     /* no reply */
    assert_true(loads(SEMANTICS_LEVEL_IDS, key, span_of(value, 9 + ID_REPLY_BYTES_MAX), 5));
    assert_false(loads(SEMANTICS_LEVEL_IDS, key, span_of(value, 10 + ID_REPLY_BYTES_MAX), 5));
    names[0] = OP_NAME_BYTES_MAX;
    assert_true(loads(SEMANTICS_LEVEL_IDS, span_of(names, 1 + 2 * OP_NAME_BYTES_MAX), good, 5));
    assert_false(loads(SEMANTICS_LEVEL_IDS, span_of(names, 2 + 2 * OP_NAME_BYTES_MAX), good, 5));
    names[0] = OP_NAME_BYTES_MAX + 1;
    assert_false(loads(SEMANTICS_LEVEL_IDS, span_of(names, 1 + 2 * OP_NAME_BYTES_MAX), good, 5));
    value[8] = 1; /* a long reply's length has 8 bytes */
    assert_false(loads(SEMANTICS_LEVEL_IDS, key, good, 5));
    assert_true(loads(SEMANTICS_LEVEL_IDS, key, span_of(value, 17), 5));
    value[8] = 2;
    assert_false(loads(SEMANTICS_LEVEL_IDS, key, span_of(value, 17), 5));
}

/* --- At random ------------------------------------------------------------------------------ */

/* Against a model that counts what was carried out; with replicas that are made anew. */
static void test_a_random_run_counts_right(void **state)
{
    struct world *w = *state;
    enum { PIDS = 5, IIDS = 40, BOUND = 12 };
    qr_wall until[PIDS][IIDS] = { { 0 } };
    int64_t reply[PIDS][IIDS], count = 0;
    uint32_t full = 0, again = 0;
    struct rng rng = rng_from(7);
    w->bounds.seconds = 30;
    w->bounds.count = BOUND;
    for (uint32_t i = 0; i < 4000; i++) {
        uint32_t p = (uint32_t)rng_below(&rng, PIDS), r = (uint32_t)rng_below(&rng, IIDS);
        char pid[8], iid[8], expected[32];
        (void)snprintf(pid, sizeof pid, "%u", p);
        (void)snprintf(iid, sizeof iid, "%u", r);
        w->stamp += (qr_wall)rng_below(&rng, QR_SECOND);
        w->pid = pid;
        uint32_t live = 0;
        for (uint32_t k = 0; k < IIDS; k++) {
            live += until[p][k] > w->stamp ? 1 : 0;
        }
        if (until[p][r] <= w->stamp && live == BOUND) {
            ids_expect_error(w, iid, "incr k", "IDMPFULL ");
            full++;
            continue;
        }
        again += until[p][r] > w->stamp ? 1 : 0;
        if (until[p][r] <= w->stamp) {
            until[p][r] = w->stamp + 30 * QR_SECOND;
            reply[p][r] = ++count;
        }
        (void)snprintf(expected, sizeof expected, ":%lld\r\n", (long long)reply[p][r]);
        ids_expect(w, iid, "incr k", expected);
        if (rng_below(&rng, 16) == 0) {
            ids_tick(w);
        }
        if (rng_below(&rng, 200) == 0) {
            restart_follower(w);
        }
    }
    assert_true(full > 20 && again > 200);
    w->stamp += 31 * QR_SECOND;
    ids_tick(w);
    assert_int_equal(w->totals.ids, 0);
    assert_int_equal(w->totals.id_bytes, 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, ids_setup, ids_teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_an_image_has_them),         TEST(test_an_image_is_of_its_beginning),
        TEST(test_an_image_of_many_chunks),   TEST(test_an_image_with_bad_records_is_refused),
        TEST(test_a_random_run_counts_right),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
