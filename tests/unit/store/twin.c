/* The naive twin: see twin.h. */
#include "twin.h"

#include "base/alloc.h"

#include <stdio.h>
#include <string.h>

struct span twin_key(uint32_t id, uint8_t buffer[512])
{
    qr_assert(id < TWIN_KEYS);
    if (id == 0) {
        return span_of(buffer, 0);
    }
    int n = snprintf((char *)buffer, 512, "%u", id);
    if (id % 50 == 0) {
        memset(buffer + n, 'k', 300);
        n += 300;
    } else if (id % 7 == 0) {
        memset(buffer + n, 0, 9);
        n += 9;
    }
    return span_of(buffer, (size_t)n);
}

uint32_t twin_key_id(struct span key)
{
    uint32_t id = 0;
    for (size_t i = 0; i < key.n && key.p[i] >= '0' && key.p[i] <= '9'; i++) {
        id = id * 10 + (uint32_t)(key.p[i] - '0');
    }
    uint8_t buffer[512];
    struct span whole = twin_key(id, buffer);
    qr_assert(whole.n == key.n && memcmp(whole.p, key.p, key.n) == 0);
    return id;
}

struct twin *twin_new(void)
{
    struct twin *twin = qr_zalloc(sizeof *twin);
    for (uint8_t db = 0; db < TWIN_DBS; db++) {
        twin->cells[db] = qr_zalloc(TWIN_KEYS * sizeof(struct cell));
    }
    return twin;
}

void twin_free(struct twin *twin)
{
    if (twin == NULL) {
        return;
    }
    for (uint8_t db = 0; db < TWIN_DBS; db++) {
        twin_clear(twin, db);
        free(twin->cells[db]);
    }
    free(twin);
}

struct twin *twin_copy(const struct twin *twin)
{
    struct twin *copy = twin_new();
    for (uint8_t db = 0; db < TWIN_DBS; db++) {
        for (uint32_t id = 0; id < TWIN_KEYS; id++) {
            const struct cell *cell = &twin->cells[db][id];
            if (cell->there) {
                twin_set(copy, db, id, span_of(cell->value, cell->n), cell->expire);
            }
        }
    }
    return copy;
}

void twin_set(struct twin *twin, uint8_t db, uint32_t id, struct span value, qr_wall expire)
{
    uint8_t *bytes = qr_alloc(value.n);
    if (value.n > 0) {
        memcpy(bytes, value.p, value.n);
    }
    twin_drop(twin, db, id);
    twin->cells[db][id] =
        (struct cell){ .there = true, .expire = expire, .value = bytes, .n = value.n };
}

void twin_drop(struct twin *twin, uint8_t db, uint32_t id)
{
    free(twin->cells[db][id].value);
    twin->cells[db][id] = (struct cell){ 0 };
}

void twin_clear(struct twin *twin, uint8_t db)
{
    for (uint32_t id = 0; id < TWIN_KEYS; id++) {
        twin_drop(twin, db, id);
    }
}

uint64_t twin_count(const struct twin *twin, uint8_t db)
{
    uint64_t count = 0;
    for (uint32_t id = 0; id < TWIN_KEYS; id++) {
        count += twin->cells[db][id].there;
    }
    return count;
}

bool twin_agrees(const struct twin *twin, uint8_t db, uint32_t id, const struct item *item)
{
    const struct cell *cell = &twin->cells[db][id];
    if (item == NULL) {
        return !cell->there;
    }
    uint8_t *copy = NULL;
    struct rope *rope = item_rope(item);
    if (rope != NULL) {
        copy = qr_alloc(rope->n);
        rope_copy(rope, 0, rope->n, copy);
    }
    struct span value = rope != NULL ? span_of(copy, rope->n) : item_value(item);
    bool same = cell->there && twin_key_id(item_key(item)) == id &&
                item_expire(item) == cell->expire && value.n == cell->n &&
                (value.n == 0 || memcmp(value.p, cell->value, value.n) == 0);
    free(copy);
    return same;
}

struct store *twin_store(const struct twin *twin, const struct store_config *config, uint64_t seed)
{
    struct rng rng = rng_from(seed);
    struct store *store = store_new(config);
    uint32_t step =
        1 + 2 * (uint32_t)rng_below(&rng, 1000); /* odd and, below, prime to the count */
    while (TWIN_KEYS % step == 0 || step % 5 == 0) {
        step += 2;
    }
    for (uint32_t i = 0; i < TWIN_KEYS; i++) {
        uint32_t id = (uint32_t)((uint64_t)i * step % TWIN_KEYS);
        uint8_t buffer[512];
        struct span key = twin_key(id, buffer);
        for (uint8_t db = 0; db < TWIN_DBS; db++) {
            const struct cell *cell = &twin->cells[db][id];
            if (cell->there) {
                store_put(store, db, key, span_of(cell->value, cell->n), cell->expire);
            } else if (rng_chance(&rng, 1, 4)) {
                store_put(store, db, key, key, 17);
                store_delete(store, db, key);
            }
        }
    }
    return store;
}
