/* The store, case by case: the hash, degenerate hashes, the account of memory, clearing in slices,
 * the walk's corners. Random operations are in store_twin_test.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include <malloc.h>

#include "base/alloc.h"
#include "base/limits.h"
#include "base/rng.h"
#include "store/siphash.h"
#include "store/store_internal.h"

#if defined(__SANITIZE_ADDRESS__)
#define KEYS_MANY 100000
#else
#define KEYS_MANY 1000000
#endif

static const struct store_config config = { .hash_key = { 7, 1, 2, 3 } };

static struct span number_key(uint32_t i, char buffer[24])
{
    return span_of(buffer, (size_t)snprintf(buffer, 24, "key:%012u", i));
}

static void put_number(struct store *store, uint8_t db, uint32_t i, qr_wall expire)
{
    char buffer[24];
    struct span key = number_key(i, buffer);
    store_put(store, db, key, key, expire);
}

static void test_siphash_is_the_published_function(void **state)
{
    (void)state;
    /* CPython 3.11 hashes bytes by SipHash-1-3; these are its values under the key 0. */
    const struct siphash_key zero = { 0 };
    uint8_t bytes[63];
    for (uint8_t i = 0; i < sizeof bytes; i++) {
        bytes[i] = i;
    }
    assert_true(siphash(zero, "a", 1) == 0x407448d2b89b1813u);
    assert_true(siphash(zero, "quorate", 7) == 0x72e30006b8c8b3b7u);
    assert_true(siphash(zero, "12345678", 8) == 0x3489982430560a87u);
    assert_true(siphash(zero, bytes, sizeof bytes) == 0x385d3e39e5f37359u);
}

/* --- Degenerate hashes ----------------------------------------------------------------------- */

static void fill(struct table *table, uint32_t n, uint64_t mask, struct item **items)
{
    struct rng rng = rng_from(5);
    char buffer[24];
    for (uint32_t i = 0; i < n; i++) {
        items[i] = item_new(number_key(i, buffer), TYPE_STRING, 0, 0);
        table_insert(table, rng_next(&rng) & mask, items[i], 0);
    }
}

static void check_hashes_stay_bounded(uint64_t mask)
{
    enum { N = 6000 };
    struct item *items[N];
    char buffer[24];
    struct table *table = table_new();
    fill(table, N, mask, items);
    table_check(table);
    assert_int_equal(table->count, N);
    assert_true(table->memory < N * 16 * 4);
    assert_true((uint64_t)1 << table->depth <= 32 * (N / 512 + 1));
    struct rng rng = rng_from(5);
    for (uint32_t i = 0; i < N; i++) {
        uint64_t hash = rng_next(&rng) & mask;
        struct slot *slot = table_find(table, hash, number_key(i, buffer));
        assert_non_null(slot);
        assert_ptr_equal(slot_item(slot), items[i]);
        table_remove(table, slot);
        assert_null(table_find(table, hash, number_key(i, buffer)));
        free(items[i]);
        if (i % 500 == 0) {
            table_check(table);
        }
    }
    table_check(table);
    uint64_t freed = 0;
    assert_false(table_free_slice(table, 1, &freed, &(struct rope_bin){ 0 }));
    assert_true(freed < 2000); /* what grew has shrunk again */
}

/* A client that knew the hash key could flood one bucket; the directory must not explode. */
static void test_flooded_buckets(void **state)
{
    (void)state;
    check_hashes_stay_bounded(0);
    check_hashes_stay_bounded(0xff);
    check_hashes_stay_bounded(0xfffff);
    check_hashes_stay_bounded(0xff00000000000000u);
    check_hashes_stay_bounded(0xfff000000000fffu);
    check_hashes_stay_bounded(~(uint64_t)0);
}

/* --- Memory ---------------------------------------------------------------------------------- */

#if !defined(__SANITIZE_ADDRESS__) /* which has another allocator, with room around every block */
static size_t heap_bytes(void)
{
    struct mallinfo2 info = mallinfo2();
    return info.uordblks + info.hblkhd;
}

static void test_memory_account_is_what_malloc_says(void **state)
{
    (void)state;
    size_t start = heap_bytes();
    struct store *store = store_new(&config);
    uint8_t value[100] = { 0 };
    uint8_t *large = qr_zalloc(3 * MIB);
    char buffer[24];
    for (uint32_t i = 0; i < 100000; i++) {
        store_put(store, 0, number_key(i, buffer), span_of(value, i % 100), i % 3 == 0 ? i + 1 : 0);
    }
    for (uint32_t i = 0; i < 100000; i += 2) {
        store_delete(store, 0, number_key(i, buffer));
    }
    store_put(store, 1, SPAN_LITERAL("big"), span_of(large, 3 * MIB), 0);
    free(large);
    size_t real = heap_bytes() - start;
    assert_in_range(store_memory(store), real - real / 50, real + real / 50);
    store_free(store);
    /* malloc keeps some freed blocks at hand and counts them as used. */
    assert_in_range(heap_bytes(), start, start + 64 * KIB);
}
#endif

/* 116 bytes of key and value may cost 160 (design: Engine). */
static void test_a_million_keys(void **state)
{
    (void)state;
    struct store *store = store_new(&config);
    uint8_t value[100] = { 1 };
    char buffer[24];
    uint64_t worst = 0;
    for (uint32_t i = 0; i < KEYS_MANY; i++) {
        store_put(store, 0, number_key(i, buffer), span_of(value, sizeof value), 0);
        if (i > 10000) {
            worst = max_u64(worst, store_memory(store) / (i + 1));
        }
    }
    assert_true(worst <= 160);
    assert_int_equal(store_count(store, 0), KEYS_MANY);
    for (uint32_t i = 0; i < KEYS_MANY; i++) {
        assert_non_null(store_find(store, 0, number_key(i, buffer)));
    }
    assert_null(store_find(store, 0, number_key(KEYS_MANY, buffer)));
    store_check(store);
    store_free(store);
}

static void test_clear_is_freed_in_slices(void **state)
{
    (void)state;
    struct store *store = store_new(&config);
    put_number(store, 3, 0, 0); /* it gets a table of its own, which stays */
    store_delete(store, 3, item_key(store_at(store, 3, 0)));
    uint64_t empty = store_memory(store);
    for (uint32_t i = 0; i < 20000; i++) {
        put_number(store, 3, i, i % 2 == 0 ? 5 : 0);
    }
    uint64_t full = store_memory(store);
    store_clear(store, 3);
    assert_int_equal(store_count(store, 3), 0);
    assert_int_equal(store_count_expires(store, 3), 0);
    assert_true(store_memory(store) >= full); /* nothing is given back yet */
    uint8_t db;
    assert_null(store_first_due(store, &db));
    put_number(store, 3, 1, 0); /* in use again at once */

    uint32_t slices = 0;
    for (uint64_t before = store_memory(store); store_idle(store, 1000); slices++) {
        uint64_t now = store_memory(store);
        assert_true(now < before);
        assert_true(before - now < full / 8);
        before = now;
    }
    assert_in_range(slices, 10, 20);
    store_delete(store, 3, item_key(store_at(store, 3, 0)));
    assert_int_equal(store_memory(store), empty);
    store_free(store);
}

/* --- Order ----------------------------------------------------------------------------------- */

static void count_item(void *context, struct item *item)
{
    (void)item;
    ++*(uint64_t *)context;
}

/* What an insertion may replace at once: a segment by two, or the directory by a copy. Nothing else
 * takes time that grows with the number of keys. */
static void test_growing_replaces_one_segment_at_a_time(void **state)
{
    (void)state;
    enum { N = 100000, SLOTS_MAX = 1024, ENTRIES_MAX = 1024 };
    struct store *store = store_new(&config);
    put_number(store, 0, 0, 0);
    struct table *table = store->tables[0];
    static struct segment *before[ENTRIES_MAX], *other[ENTRIES_MAX];
    uint8_t depth = 0;
    uint64_t memory = 0;
    uint32_t splits = 0;
    for (uint32_t i = 0; i < N; i++) {
        put_number(store, 0, i, 0);
        if (table->memory == memory) {
            continue; /* no segment came or went */
        }
        assert_true(table->depth <= depth + 1);
        uint32_t replaced = 0;
        uint64_t entries = (uint64_t)1 << table->depth;
        assert_true(entries <= ENTRIES_MAX);
        for (uint64_t j = 0; j < entries; j++) {
            struct segment *old = i == 0 ? NULL : before[j >> (table->depth - depth)];
            bool is_new = table->directory[j] != old;
            bool repeated = j > 0 && table->directory[j] == table->directory[j - 1];
            replaced += is_new && !repeated;
            assert_true(table->directory[j]->total <= SLOTS_MAX);
            other[j] = table->directory[j];
        }
        assert_true(replaced <= 2);
        splits += replaced == 2;
        memcpy(before, other, entries * sizeof *before);
        depth = table->depth;
        memory = table->memory;
    }
    assert_true(splits > N / 600);
    store_free(store);
}

static uint64_t slots_of_largest_segment(const struct table *table)
{
    uint64_t most = 0;
    for (uint64_t i = 0; i < (uint64_t)1 << table->depth; i++) {
        most = max_u64(most, table->directory[i]->total);
    }
    return most;
}

static void add_to_other(void *context, struct item *item)
{
    store_put(context, 0, item_key(item), item_value(item), 0);
}

/* Loading in the order of the hashes fills a table at its end alone. Where it was told what to
 * expect, no segment ever holds more than its share. */
static void test_an_expected_load_in_hash_order(void **state)
{
    (void)state;
    enum { N = 50000 };
    struct store *store = store_new(&config);
    struct store *copy = store_new(&config);
    uint64_t most = 0;
    uint64_t cursor = 0;
    for (uint32_t i = 0; i < N; i++) {
        put_number(store, 0, i, 0);
    }
    do {
        cursor = store_scan(store, 0, cursor, 1000, add_to_other, copy);
        if (store_count(copy, 0) < 2000) {
            store_expect(copy, 0, N);
            assert_true(store_count(copy, 0) < 2000);
        }
        most = max_u64(most, slots_of_largest_segment(copy->tables[0]));
    } while (cursor != 0);
    assert_true(most < 1024);
    assert_true(store_digest(copy) == store_digest(store));
    store_check(copy);
    for (uint32_t i = 0; i < N; i++) { /* and what was made for them goes with them */
        char buffer[24];
        assert_true(store_delete(copy, 0, number_key(i, buffer)));
    }
    assert_true(store_memory(copy) < store_memory(store) / 50);
    store_check(copy);
    store_free(copy);
    store_free(store);
}

static void test_fetching_ahead_changes_nothing(void **state)
{
    (void)state;
    struct store *store = store_new(&config);
    char buffer[STORE_PREFETCH_MAX][24];
    struct store_key keys[STORE_PREFETCH_MAX];
    for (uint32_t i = 0; i < 5000; i += 2) {
        put_number(store, (uint8_t)(i % DATABASES), i, 1 + i);
    }
    uint64_t digest = store_digest(store);
    store_prefetch(store, keys, 0);
    for (uint32_t i = 0; i < 5000; i++) { /* every other key is there */
        uint32_t at = i % STORE_PREFETCH_MAX;
        keys[at] = (struct store_key){ .key = number_key(i, buffer[at]), .db = i % DATABASES };
        if (at == STORE_PREFETCH_MAX - 1) {
            store_prefetch(store, keys, STORE_PREFETCH_MAX);
        }
    }
    keys[1] = (struct store_key){ .key = { 0 } };
    store_prefetch(store, keys, 2);
    assert_true(store_digest(store) == digest);
    store_check(store);
    store_free(store);
}

static void test_scan_of_an_empty_store_and_wild_cursors(void **state)
{
    (void)state;
    struct store *store = store_new(&config);
    uint64_t seen = 0;
    assert_int_equal(store_scan(store, 0, 0, 10, count_item, &seen), 0);
    put_number(store, 0, 1, 0);
    assert_int_equal(store_scan(store, 0, UINT64_MAX, 10, count_item, &seen), 0);
    assert_int_equal(store_scan(store, 0, (uint64_t)1 << 48, 10, count_item, &seen), 0);
    assert_int_equal(seen, 0);
    assert_int_equal(store_scan(store, 0, 0, 0, count_item, &seen), 0);
    assert_int_equal(seen, 1);
    assert_non_null(store_at(store, 0, UINT64_MAX));
    assert_null(store_at(store, 1, 0));
    store_free(store);
}

/* Hashes that differ below the cursor's bits that count: a scan must not stop between them, or the
 * rest would be lost or come twice, to some for ever. */
static void test_equal_cursors_are_never_split(void **state)
{
    (void)state;
    struct store *store = store_new(&config);
    char buffer[24];
    store->tables[0] = table_new();
    for (uint32_t i = 0; i < 30; i++) {
        struct item *item = item_new(number_key(i, buffer), TYPE_STRING, 0, 0);
        store->memory += item_memory(item);
        uint64_t below = (uint64_t)(i % 10) << (16 + STORE_SCAN_FINE - 4); /* up to 9 of 16 */
        table_insert(store->tables[0], ((uint64_t)(i / 10) << 60) + below, item, 0);
    }
    store->memory += store->tables[0]->memory;
    uint64_t seen = 0;
    uint64_t cursor = store_scan(store, 0, 0, 3, count_item, &seen);
    assert_int_equal(seen, 10);
    assert_true(cursor == (uint64_t)1 << 44);
    assert_true(store_scan(store, 0, cursor, 11, count_item, &seen) == 0);
    assert_int_equal(seen, 30);
    store_free(store);
}

static void test_due_order_is_expire_db_key(void **state)
{
    (void)state;
    struct store *store = store_new(&config);
    static const struct {
        uint8_t db;
        const char *key;
        qr_wall expire;
    } order[] = {
        { 5, "zz", 1 }, { 0, "a", 2 }, { 0, "aa", 2 }, { 0, "b", 2 },
        { 1, "", 2 },   { 1, "a", 2 }, { 15, "a", 2 }, { 0, "", 3 },
    };
    for (size_t i = ARRAY_COUNT(order); i-- > 0;) {
        struct span key = span_of(order[i].key, strlen(order[i].key));
        store_put(store, order[i].db, key, key, order[i].expire);
    }
    for (size_t i = 0; i < ARRAY_COUNT(order); i++) {
        uint8_t db;
        struct item *item = store_first_due(store, &db);
        assert_int_equal(db, order[i].db);
        assert_int_equal(item_key(item).n, strlen(order[i].key));
        assert_memory_equal(item_key(item).p, order[i].key, item_key(item).n);
        store_delete(store, db, item_key(item));
    }
    uint8_t db;
    assert_null(store_first_due(store, &db));
    store_free(store);
}

static void test_rename_onto_itself_and_over_another(void **state)
{
    (void)state;
    struct store *store = store_new(&config);
    struct span a = SPAN_LITERAL("a"), b = SPAN_LITERAL("b");
    store_put(store, 0, a, SPAN_LITERAL("one"), 9);
    assert_true(store_rename(store, 0, a, 0, a));
    assert_int_equal(item_expire(store_find(store, 0, a)), 9);
    store_put(store, 0, b, SPAN_LITERAL("two"), 0);
    assert_true(store_rename(store, 0, a, 0, item_key(store_find(store, 0, b))));
    assert_null(store_find(store, 0, a));
    assert_memory_equal(item_value(store_find(store, 0, b)).p, "one", 3);
    assert_int_equal(item_expire(store_find(store, 0, b)), 9);
    assert_true(store_rename(store, 0, b, 9, b)); /* MOVE */
    assert_int_equal(store_count(store, 0), 0);
    assert_int_equal(store_count_expires(store, 9), 1);
    assert_false(store_rename(store, 0, a, 0, b));
    store_free(store);
}

/* --- Walks ----------------------------------------------------------------------------------- */

struct image {
    uint64_t items[DATABASES];
    uint64_t sum; /* of the numbers in the keys */
};

static void add_to_image(void *context, uint8_t db, const struct item *item)
{
    struct image *image = context;
    image->items[db]++;
    char text[24] = { 0 };
    memcpy(text, item_key(item).p, item_key(item).n);
    unsigned number;
    assert_int_equal(sscanf(text, "key:%u", &number), 1);
    image->sum += number;
}

static void test_a_cleared_and_swapped_database_is_still_walked(void **state)
{
    (void)state;
    enum { N = 5000 };
    struct store *store = store_new(&config);
    for (uint32_t i = 0; i < N; i++) {
        put_number(store, 0, i, 0);
        put_number(store, 7, i, 0);
    }
    struct image image = { 0 };
    store_walk_begin(store, add_to_image, &image);
    assert_true(store_walk_next(store, 1000));
    store_swap(store, 0, 7);
    store_clear(store, 0);
    store_clear(store, 7);
    store_swap(store, 0, 12);
    for (uint32_t i = 0; i < N; i++) {
        put_number(store, 7, i, 0); /* new: not of the image */
    }
    store_clear(store, 7);
    while (store_idle(store, 100)) { /* must not free what the walk still wants */
    }
    while (store_walk_next(store, 100)) {
    }
    assert_int_equal(image.items[0], N);
    assert_int_equal(image.items[7], N);
    assert_true(image.sum == 2ull * N * (N - 1) / 2);
    while (store_idle(store, 100)) {
    }
    struct store *empty = store_new(&config);
    assert_int_equal(store_memory(store), store_memory(empty));
    store_free(empty);
    store_free(store);
}

static void count_walked(void *context, uint8_t db, const struct item *item)
{
    (void)db;
    (void)item;
    ++*(uint32_t *)context;
}

/* So that a slice of a walk has about as many bytes, whatever the values are. */
static void test_large_items_count_for_more_in_a_walk(void **state)
{
    (void)state;
    struct store *store = store_new(&config);
    uint8_t *bytes = qr_zalloc(LARGE_BYTES);
    char buffer[24];
    for (uint32_t i = 0; i < 100; i++) {
        struct span value = span_of(bytes, LARGE_BYTES);
        store_put(store, 0, number_key(i, buffer), value, 0);
        put_number(store, 1, i, 0);
    }
    free(bytes);
    uint32_t seen = 0;
    store_walk_begin(store, count_walked, &seen);
    assert_true(store_walk_next(store, 16));
    assert_in_range(seen, 1, 4);
    while (seen < 100) {
        uint32_t before = seen;
        assert_true(store_walk_next(store, 16));
        assert_true(seen > before);
    }
    uint32_t before = seen;
    assert_true(store_walk_next(store, 16));
    assert_in_range(seen - before, 1, 17);
    store_walk_end(store);
    store_free(store);
}

/* The slots' walk numbers come round; what an abandoned walk has left behind must not be missed. */
static void test_many_abandoned_walks(void **state)
{
    (void)state;
    struct store *store = store_new(&config);
    for (uint32_t i = 0; i < 100; i++) {
        put_number(store, 0, i, 0);
    }
    for (uint32_t walk = 0; walk < 140000; walk++) {
        struct image image = { 0 };
        store_walk_begin(store, add_to_image, &image);
        store_walk_next(store, 1 + walk % 40);
        if (walk % 997 == 0 || walk == 65535 || walk == 131071) {
            while (store_walk_next(store, 7)) {
            }
            assert_int_equal(image.items[0], 100);
            assert_int_equal(image.sum, 4950);
        }
        store_walk_end(store);
    }
    store_free(store);
}

/* A key that was new in an abandoned walk, and 65535 walks later the same number again. */
static void test_a_walk_number_comes_round(void **state)
{
    (void)state;
    struct store *store = store_new(&config);
    struct image image = { 0 };
    put_number(store, 0, 1, 0);
    store_walk_begin(store, add_to_image, &image);
    put_number(store, 0, 2, 0);
    put_number(store, 9, 3, 0);
    store_walk_end(store);
    for (uint32_t i = 0; i < 65534; i++) {
        store_walk_begin(store, add_to_image, &image);
        store_walk_end(store);
    }
    assert_int_equal(image.sum, 0);
    store_walk_begin(store, add_to_image, &image);
    while (store_walk_next(store, 1)) {
    }
    assert_int_equal(image.sum, 6);
    store_free(store);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_siphash_is_the_published_function),
        cmocka_unit_test(test_flooded_buckets),
#if !defined(__SANITIZE_ADDRESS__)
        cmocka_unit_test(test_memory_account_is_what_malloc_says),
#endif
        cmocka_unit_test(test_a_million_keys),
        cmocka_unit_test(test_growing_replaces_one_segment_at_a_time),
        cmocka_unit_test(test_an_expected_load_in_hash_order),
        cmocka_unit_test(test_fetching_ahead_changes_nothing),
        cmocka_unit_test(test_clear_is_freed_in_slices),
        cmocka_unit_test(test_scan_of_an_empty_store_and_wild_cursors),
        cmocka_unit_test(test_equal_cursors_are_never_split),
        cmocka_unit_test(test_due_order_is_expire_db_key),
        cmocka_unit_test(test_rename_onto_itself_and_over_another),
        cmocka_unit_test(test_a_cleared_and_swapped_database_is_still_walked),
        cmocka_unit_test(test_large_items_count_for_more_in_a_walk),
        cmocka_unit_test(test_many_abandoned_walks),
        cmocka_unit_test(test_a_walk_number_comes_round),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
