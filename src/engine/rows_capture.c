/* Noting what keys were, each at its first change by the op. See rows_capture.h. */
#include "engine/rows_capture.h"

#include "base/alloc.h"
#include "base/limits.h"
#include "engine/engine_internal.h"

#include <string.h>

void capture_begin(struct capture *c)
{
    c->count = 0;
    c->n = 0;
    c->whole = false;
    if (c->kept_cap > CAPTURE_KEPT_BYTES || c->cap * sizeof *c->v > CAPTURE_KEPT_BYTES) {
        capture_free(c);
    }
}

void capture_free(struct capture *c)
{
    free(c->v);
    free(c->kept);
    free(c->index);
    *c = (struct capture){ 0 };
}

/* --- Each key once -------------------------------------------------------------------------- */

static bool is_key(const struct capture *c, uint32_t i, uint8_t db, uint64_t hash, struct span key)
{
    const struct was *w = &c->v[i];
    return w->hash == hash && w->db == db && w->key_n == key.n &&
           (key.n == 0 || memcmp(c->kept + w->at, key.p, key.n) == 0);
}

/* The place in the index of that key, or a free one. The same key of two databases has one hash. */
static uint32_t *place_of(const struct capture *c, uint8_t db, uint64_t hash, struct span key)
{
    uint32_t mask = c->index_cap - 1;
    uint32_t at = (uint32_t)(hash >> 32) & mask;
    while (c->index[at] != 0 && !is_key(c, c->index[at] - 1, db, hash, key)) {
        at = (at + 1) & mask;
    }
    return &c->index[at];
}

/* Half of it is free at least. */
static void grow_index(struct capture *c)
{
    c->index_cap = c->cap * 2;
    free(c->index);
    c->index = qr_zalloc(c->index_cap * sizeof *c->index);
    for (uint32_t i = 0; i < c->count; i++) {
        const struct was *w = &c->v[i];
        *place_of(c, w->db, w->hash, capture_key(c, w)) = i + 1;
    }
}

static bool is_known(const struct capture *c, uint8_t db, uint64_t hash, struct span key)
{
    if (c->count > CAPTURE_FEW) {
        return *place_of(c, db, hash, key) != 0;
    }
    for (uint32_t i = 0; i < c->count; i++) {
        if (is_key(c, i, db, hash, key)) {
            return true;
        }
    }
    return false;
}

/* --- Noting --------------------------------------------------------------------------------- */

static void keep(struct capture *c, struct span bytes)
{
    if (bytes.n > c->kept_cap - c->n) {
        c->kept_cap = (size_t)max_u64(2 * c->kept_cap, max_u64(c->n + bytes.n, 256));
        c->kept = qr_realloc(c->kept, c->kept_cap);
    }
    if (bytes.n > 0) {
        memcpy(c->kept + c->n, bytes.p, bytes.n);
    }
    c->n += bytes.n;
}

static void add(struct capture *c, const struct was *w)
{
    bool grows = c->count == c->cap;
    if (grows) {
        c->cap = c->cap == 0 ? CAPTURE_FEW : c->cap * 2;
        c->v = qr_realloc(c->v, c->cap * sizeof *c->v);
    }
    c->v[c->count++] = *w;
    if (c->count == CAPTURE_FEW + 1 || (grows && c->count > CAPTURE_FEW)) {
        grow_index(c);
    } else if (c->count > CAPTURE_FEW) {
        *place_of(c, w->db, w->hash, capture_key(c, w)) = c->count;
    }
}

void capture_change(void *context, uint8_t db, uint64_t hash, struct span key,
                    const struct item *item)
{
    struct capture *c = context;
    if (c->whole || (db == IDS_DB && ids_is_count_key(key)) || is_known(c, db, hash, key)) {
        return;
    }
    size_t n = item != NULL ? item_value_n(item) : 0;
    bool large = item != NULL && item_rope(item) != NULL;
    bool much = c->count == CAPTURE_KEYS_MAX || c->n + key.n + n > ROWS_BYTES_MAX; /* W2 */
    if (db == SYSTEM_DB || large || much) {                                        /* W3 */
        c->whole = true;
        return;
    }
    struct was w = { .hash = hash, .at = c->n, .key_n = (uint32_t)key.n, .db = db };
    keep(c, key);
    if (item != NULL) {
        w.image.type = (uint8_t)item_type(item);
        w.image.expire = item_expire(item);
        w.image.n = (uint32_t)n;
        keep(c, item_value(item));
    }
    add(c, &w);
}

void capture_whole(void *context)
{
    struct capture *c = context;
    c->whole = true;
}

/* --- Order ---------------------------------------------------------------------------------- */

/* Heapsort: in place and without a worst case, for an op may have a hundred thousand keys in any
 * order. */
static bool is_less(const struct capture *c, const struct was *a, const struct was *b)
{
    size_t n = min_u64(a->key_n, b->key_n);
    int order = n > 0 ? memcmp(c->kept + a->at, c->kept + b->at, n) : 0;
    return a->db < b->db || (a->db == b->db && (order < 0 || (order == 0 && a->key_n < b->key_n)));
}

static void sink(struct capture *c, uint32_t i, uint32_t n)
{
    for (;;) {
        uint32_t child = 2 * i + 1;
        if (child + 1 < n && is_less(c, &c->v[child], &c->v[child + 1])) {
            child++;
        }
        if (child >= n || !is_less(c, &c->v[i], &c->v[child])) {
            return;
        }
        struct was w = c->v[i];
        c->v[i] = c->v[child];
        c->v[child] = w;
        i = child;
    }
}

void capture_sort(struct capture *c)
{
    for (uint32_t i = c->count / 2; i-- > 0;) {
        sink(c, i, c->count);
    }
    for (uint32_t n = c->count; n > 1; n--) {
        struct was w = c->v[0];
        c->v[0] = c->v[n - 1];
        c->v[n - 1] = w;
        sink(c, 0, n - 1);
    }
}
