/* The store against its naive twin: random operations, the walk's image, the promise of SCAN, the
 * order of expiry, the memory account, and equality of stores with different histories. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "base/crc32c.h"
#include "base/limits.h"
#include "twin.h"

struct world {
    struct rng rng;
    struct store_config config;
    struct store *store;
    struct twin *twin;

    /* A running walk: the twin as it was at the beginning, what of it has not been emitted yet. */
    struct twin *image;
    uint64_t image_left;

    /* A running scan: keys that were there all the time, and how often they were visited. */
    bool scanning;
    uint8_t scan_db;
    uint64_t cursor;
    bool *throughout;
    uint8_t *visits;
};

static void emit(void *context, uint8_t db, const struct item *item)
{
    struct world *w = context;
    uint32_t id = twin_key_id(item_key(item));
    assert_non_null(w->image);
    assert_true(db < TWIN_DBS);
    assert_true(w->image->cells[db][id].there); /* of the image, and not emitted before */
    assert_true(twin_agrees(w->image, db, id, item));
    twin_drop(w->image, db, id);
    w->image_left--;
}

static uint32_t any_id(struct world *w)
{
    return (uint32_t)rng_below(&w->rng, TWIN_KEYS);
}

static uint8_t any_db(struct world *w)
{
    return rng_chance(&w->rng, 3, 4) ? 0 : (uint8_t)rng_below(&w->rng, TWIN_DBS);
}

static qr_wall any_expire(struct world *w)
{
    return rng_chance(&w->rng, 1, 2) ? 0 : (qr_wall)(1 + rng_below(&w->rng, 500));
}

static void gone(struct world *w, uint8_t db, uint32_t id)
{
    twin_drop(w->twin, db, id);
    if (w->scanning && db == w->scan_db) {
        w->throughout[id] = false;
    }
}

static void do_put(struct world *w)
{
    static uint8_t bytes[70000];
    uint8_t buffer[512];
    uint8_t db = any_db(w);
    uint32_t id = any_id(w);
    struct span key = twin_key(id, buffer);
    size_t n = (size_t)rng_below(&w->rng, rng_chance(&w->rng, 1, 200) ? sizeof bytes : 150);
    memset(bytes, (int)rng_below(&w->rng, 256), n);
    struct span value = span_of(bytes, n);
    qr_wall expire = any_expire(w);
    struct item *old = store_find(w->store, db, key);
    if (old != NULL && item_rope(old) == NULL &&
        rng_chance(&w->rng, 1, 5)) { /* the value lies in the item itself */
        struct span own = item_value(old);
        size_t skip = (size_t)rng_below(&w->rng, own.n + 1);
        value = span_of(own.p + skip, (size_t)rng_below(&w->rng, own.n - skip + 1));
        key = item_key(old);
    }
    twin_set(w->twin, db, id, value, expire);
    struct item *item = store_put(w->store, db, key, value, expire);
    assert_true(twin_agrees(w->twin, db, id, item));
}

static uint32_t crc_of(const struct rope *rope)
{
    uint32_t crc = 0;
    for (size_t at = 0; at < rope->n;) {
        struct span s = rope_slice(rope, at);
        crc = crc32c_extend(crc, s.p, s.n);
        at += s.n;
    }
    return crc;
}

/* Bytes into a value, beyond its end too; now and then so many that it becomes large, or more. */
static void do_write(struct world *w)
{
    static uint8_t bytes[400 * 1024];
    uint8_t buffer[512];
    uint8_t db = any_db(w);
    uint32_t id = any_id(w);
    struct cell *cell = &w->twin->cells[db][id];
    bool large = rng_chance(&w->rng, 1, 300) || cell->n > LARGE_BYTES;
    size_t at = (size_t)rng_below(&w->rng, large ? cell->n + 300000 : 200);
    size_t n = (size_t)rng_below(&w->rng, large ? sizeof bytes : 100);
    size_t total = at + n > cell->n ? at + n : cell->n;
    if (total > 2000000) {
        return;
    }
    memset(bytes, (int)rng_below(&w->rng, 256), n);
    uint8_t *expected = qr_zalloc(total);
    if (cell->n > 0) {
        memcpy(expected, cell->value, cell->n);
    }
    memcpy(expected + at, bytes, n);
    struct store_bytes with = { .span = span_of(bytes, n) };
    struct rope *rope = NULL;
    if (rng_chance(&w->rng, 1, 3)) {
        rope = rope_new();
        rope_append(rope, with.span);
        with.rope = rope;
    }
    struct item *old = store_find(w->store, db, twin_key(id, buffer));
    struct rope *held = old != NULL && item_rope(old) != NULL ? rope_ref(item_rope(old)) : NULL;
    uint64_t sum = held != NULL ? crc_of(held) : 0;
    store_write(w->store, db, twin_key(id, buffer), at, with);
    if (held != NULL) { /* who holds a value keeps it as it was */
        assert_int_equal(crc_of(held), sum);
        rope_release(held);
    }
    rope_release(rope);
    twin_set(w->twin, db, id, span_of(expected, total), cell->expire);
    free(expected);
    assert_true(twin_agrees(w->twin, db, id, store_find(w->store, db, twin_key(id, buffer))));
}

static void do_expire(struct world *w)
{
    uint8_t buffer[512];
    uint8_t db = any_db(w);
    uint32_t id = any_id(w);
    struct item *item = store_find(w->store, db, twin_key(id, buffer));
    assert_true(twin_agrees(w->twin, db, id, item));
    if (item != NULL) {
        qr_wall expire = any_expire(w);
        item = store_set_expire(w->store, db, item, expire);
        w->twin->cells[db][id].expire = expire;
        assert_true(twin_agrees(w->twin, db, id, item));
    }
}

static void do_delete(struct world *w)
{
    uint8_t buffer[512];
    uint8_t db = any_db(w);
    uint32_t id = any_id(w);
    bool there = w->twin->cells[db][id].there;
    assert_int_equal(store_delete(w->store, db, twin_key(id, buffer)), there);
    gone(w, db, id);
}

static void do_rename(struct world *w)
{
    uint8_t from_buffer[512], to_buffer[512];
    uint8_t db = any_db(w), to_db = any_db(w);
    uint32_t id = any_id(w);
    uint32_t to_id = rng_chance(&w->rng, 1, 5) ? id : any_id(w);
    struct cell *cell = &w->twin->cells[db][id];
    bool there = cell->there;
    assert_int_equal(
        store_rename(w->store, db, twin_key(id, from_buffer), to_db, twin_key(to_id, to_buffer)),
        there);
    if (there && (db != to_db || id != to_id)) {
        twin_set(w->twin, to_db, to_id, span_of(cell->value, cell->n), cell->expire);
        gone(w, db, id);
    }
}

static void do_swap(struct world *w)
{
    uint8_t a = any_db(w), b = any_db(w);
    store_swap(w->store, a, b);
    struct cell *cells = w->twin->cells[a];
    w->twin->cells[a] = w->twin->cells[b];
    w->twin->cells[b] = cells;
    if (w->scanning && w->scan_db == a) {
        w->scan_db = b;
    } else if (w->scanning && w->scan_db == b) {
        w->scan_db = a;
    }
}

static void do_clear(struct world *w)
{
    uint8_t db = any_db(w);
    store_clear(w->store, db);
    for (uint32_t id = 0; id < TWIN_KEYS; id++) {
        gone(w, db, id);
    }
    assert_int_equal(store_count(w->store, db), 0);
}

/* The key that is due first, by looking at all of them. */
static bool first_due(const struct twin *twin, uint8_t *db, uint32_t *id)
{
    bool found = false;
    uint8_t best_buffer[512], buffer[512];
    struct span best = { 0 };
    qr_wall expire = QR_NEVER;
    for (uint8_t i = 0; i < TWIN_DBS; i++) {
        for (uint32_t j = 0; j < TWIN_KEYS; j++) {
            const struct cell *cell = &twin->cells[i][j];
            if (!cell->there || cell->expire == 0 || cell->expire > expire) {
                continue;
            }
            struct span key = twin_key(j, buffer);
            size_t n = key.n < best.n ? key.n : best.n;
            int order = found ? memcmp(key.p, best.p, n) : 0;
            bool less = order < 0 || (order == 0 && key.n < best.n);
            if (!found || cell->expire < expire || (*db == i && less)) {
                found = true;
                expire = cell->expire;
                *db = i;
                *id = j;
                best = twin_key(j, best_buffer);
            }
        }
    }
    return found;
}

static void do_due(struct world *w)
{
    uint8_t db = 0, due_db = 0xff;
    uint32_t id = 0;
    struct item *item = store_first_due(w->store, &due_db);
    if (!first_due(w->twin, &db, &id)) {
        assert_null(item);
        return;
    }
    assert_non_null(item);
    assert_int_equal(due_db, db);
    assert_int_equal(twin_key_id(item_key(item)), id);
    assert_true(store_delete(w->store, db, item_key(item)));
    gone(w, db, id);
}

static void visit(void *context, struct item *item)
{
    struct world *w = context;
    uint32_t id = twin_key_id(item_key(item));
    assert_true(twin_agrees(w->twin, w->scan_db, id, item));
    w->visits[id]++;
}

static void do_scan(struct world *w)
{
    if (!w->scanning) {
        w->scanning = true;
        w->scan_db = any_db(w);
        w->cursor = 0;
        for (uint32_t id = 0; id < TWIN_KEYS; id++) {
            w->throughout[id] = w->twin->cells[w->scan_db][id].there;
            w->visits[id] = 0;
        }
    }
    uint64_t count = rng_below(&w->rng, 200);
    uint64_t next = store_scan(w->store, w->scan_db, w->cursor, count, visit, w);
    assert_true(next == 0 || next > w->cursor);
    assert_true(next < (uint64_t)1 << 48);
    w->cursor = next;
    if (next == 0) {
        w->scanning = false;
        for (uint32_t id = 0; id < TWIN_KEYS; id++) {
            if (w->throughout[id]) {
                assert_int_equal(w->visits[id], 1);
            }
        }
    }
}

static void do_walk(struct world *w)
{
    if (w->image == NULL) {
        w->image = twin_copy(w->twin);
        w->image_left = 0;
        for (uint8_t db = 0; db < TWIN_DBS; db++) {
            w->image_left += twin_count(w->image, db);
        }
        store_walk_begin(w->store, emit, w);
    } else if (!store_walk_next(w->store, 1 + (uint32_t)rng_below(&w->rng, 100))) {
        assert_int_equal(w->image_left, 0);
        twin_free(w->image);
        w->image = NULL;
    } else if (rng_chance(&w->rng, 1, 100)) { /* given up, in the middle */
        store_walk_end(w->store);
        twin_free(w->image);
        w->image = NULL;
    }
}

struct cursors {
    uint64_t at[64];
    uint32_t n;
};

static void count_one(void *context, struct item *item)
{
    (void)item;
    ++*(uint64_t *)context;
}

/* Another history, the same store: digest, cursors, random choice. */
static void compare_histories(struct world *w)
{
    struct store *other = twin_store(w->twin, &w->config, rng_next(&w->rng));
    store_check(other);
    assert_true(store_digest(other) == store_digest(w->store));
    for (uint8_t db = 0; db < TWIN_DBS; db++) {
        assert_int_equal(store_count(w->store, db), twin_count(w->twin, db));
        assert_int_equal(store_count_expires(w->store, db), store_count_expires(other, db));
        uint64_t a = 0, b = 0, seen_a = 0, seen_b = 0;
        do {
            uint64_t count = rng_below(&w->rng, 50);
            a = store_scan(w->store, db, a, count, count_one, &seen_a);
            b = store_scan(other, db, b, count, count_one, &seen_b);
            assert_true(a == b);
            assert_true(seen_a == seen_b);
        } while (a != 0);
        struct item *x = store_at(w->store, db, rng_next(&w->rng));
        assert_int_equal(x != NULL, store_count(w->store, db) > 0);
        uint64_t point = rng_next(&w->rng);
        x = store_at(w->store, db, point);
        struct item *y = store_at(other, db, point);
        assert_true(x == NULL || twin_key_id(item_key(x)) == twin_key_id(item_key(y)));
    }
    store_free(other);
}

/* How many puts and deletes of a thousand steps: growing, shrinking, churning. */
static const struct phase {
    uint32_t puts, deletes;
} phases[] = { { 500, 100 }, { 10, 690 }, { 300, 400 }, { 350, 350 } };

static void step(struct world *w, const struct phase *phase)
{
    uint64_t dice = rng_below(&w->rng, 1000);
    if (dice < phase->puts) {
        do_put(w);
    } else if (dice < phase->puts + phase->deletes) {
        do_delete(w);
    } else if (dice < 720) {
        do_write(w);
    } else if (dice < 830) {
        do_expire(w);
    } else if (dice < 900) {
        do_rename(w);
    } else if (dice < 905) {
        do_due(w);
    } else if (dice < 930) {
        do_scan(w);
    } else if (dice < 990) {
        do_walk(w);
    } else if (dice < 996) {
        store_idle(w->store, 1 + (uint32_t)rng_below(&w->rng, 200));
    } else if (dice < 998) {
        do_swap(w);
    } else if (rng_chance(&w->rng, 1, 40)) {
        do_clear(w);
    }
}

static void run(uint64_t seed, uint32_t steps)
{
    struct world w = { .rng = rng_from(seed), .twin = twin_new() };
    memcpy(w.config.hash_key, &seed, sizeof seed);
    w.store = store_new(&w.config);
    w.throughout = qr_zalloc(TWIN_KEYS * sizeof *w.throughout);
    w.visits = qr_zalloc(TWIN_KEYS);
    for (uint32_t i = 0; i < steps; i++) {
        step(&w, &phases[i / 20000 % ARRAY_COUNT(phases)]);
        if (i % 5000 == 4999) {
            store_check(w.store);
            compare_histories(&w);
        }
    }
    store_check(w.store);
    store_free(w.store); /* in the middle of a walk, or not */
    twin_free(w.image);
    twin_free(w.twin);
    free(w.throughout);
    free(w.visits);
}

static void test_random_operations_agree_with_the_twin(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 5; seed++) {
        run(seed, 80000);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_random_operations_agree_with_the_twin),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
