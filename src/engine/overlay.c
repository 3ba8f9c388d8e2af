/* See overlay.h.
 *
 *   ring     the entries, oldest first
 *   buckets  (database, key) -> node: the last write of that key, and how many entries name it
 *
 * An entry knows for each key that it wrote which slot had written it before, so that taking it
 * back gives the node its former slot. Where that one is committed by then no entry names the key
 * any more, and the node goes. */
#include "engine/overlay.h"

#include "base/alloc.h"
#include "base/limits.h"
#include "engine/engine_internal.h"
#include "engine/rows.h"
#include "store/siphash.h"

#include <string.h>

#define RING_MIN 16u
#define BUCKETS_MIN 64u

struct node {
    struct node *next; /* in its bucket */
    qr_slot slot;      /* of the last write */
    uint64_t hash;
    uint32_t entries; /* that name it */
    uint32_t key_n;
    uint8_t db;
    uint8_t key[];
};

struct ref {
    struct node *node;
    qr_slot before; /* the slot that the node had */
};

struct pending {
    qr_slot slot;
    qr_wall time_before, time_after; /* log time; both ascend from entry to entry */
    bool one_way;                    /* Y4 */
    bool any;                        /* it may have changed any key */
    qr_slot any_before;              /* the last such one before it; of one that is */
    uint32_t count;                  /* refs */
    size_t n;                        /* bytes of the payload, which stands behind the refs */
    struct ref refs[];
};

struct overlay {
    struct pending **ring;
    uint32_t first, count, cap; /* a power of two */
    struct node **buckets;
    uint64_t nodes, bucket_count; /* a power of two */
    struct siphash_key key;
    qr_slot any;      /* the last entry that may have changed any key */
    qr_slot released; /* slots up to here are committed */
    uint64_t memory;
    uint64_t *sum;
    uint64_t alone;
};

static void charge(struct overlay *overlay, uint64_t bytes)
{
    overlay->memory += bytes;
    *overlay->sum += bytes;
}

static void refund(struct overlay *overlay, uint64_t bytes)
{
    qr_assert(overlay->memory >= bytes);
    overlay->memory -= bytes;
    *overlay->sum -= bytes;
}

static struct pending *at(const struct overlay *overlay, uint32_t i)
{
    return overlay->ring[(overlay->first + i) & (overlay->cap - 1)];
}

static uint64_t ring_bytes(const struct overlay *overlay)
{
    return overlay->cap * sizeof *overlay->ring;
}

static uint64_t bucket_bytes(const struct overlay *overlay)
{
    return overlay->bucket_count * sizeof *overlay->buckets;
}

static uint64_t pending_bytes(const struct pending *p)
{
    return sizeof *p + p->count * sizeof *p->refs + p->n;
}

static uint64_t node_bytes(const struct node *node)
{
    return sizeof *node + node->key_n;
}

struct overlay *overlay_new(const uint8_t *hash_key, uint64_t *memory)
{
    struct overlay *overlay = qr_zalloc(sizeof *overlay);
    overlay->key = siphash_key_from(hash_key);
    overlay->sum = memory != NULL ? memory : &overlay->alone;
    overlay->cap = RING_MIN;
    overlay->ring = qr_zalloc(ring_bytes(overlay));
    overlay->bucket_count = BUCKETS_MIN;
    overlay->buckets = qr_zalloc(bucket_bytes(overlay));
    charge(overlay, sizeof *overlay + ring_bytes(overlay) + bucket_bytes(overlay));
    return overlay;
}

bool overlay_has_room(const struct overlay *overlay)
{
    return overlay->memory < OVERLAY_BYTES_MAX;
}

uint64_t overlay_memory(const struct overlay *overlay)
{
    return overlay->memory;
}

/* --- Keys ------------------------------------------------------------------------------------ */

/* The same key of two databases has two hashes. */
static uint64_t hash_of(const struct overlay *overlay, uint8_t db, struct span key)
{
    struct siphash_key by = { overlay->key.k0 ^ db, overlay->key.k1 };
    return siphash(by, key.p, key.n);
}

static struct node **bucket_of(const struct overlay *overlay, uint64_t hash)
{
    return &overlay->buckets[hash & (overlay->bucket_count - 1)];
}

static struct node *find(const struct overlay *overlay, uint64_t hash, uint8_t db, struct span key)
{
    struct node *node = *bucket_of(overlay, hash);
    while (node != NULL && (node->hash != hash || node->db != db || node->key_n != key.n ||
                            memcmp(node->key, key.p, key.n) != 0)) {
        node = node->next;
    }
    return node;
}

static void resize(struct overlay *overlay, uint64_t count)
{
    struct node **old = overlay->buckets;
    uint64_t old_count = overlay->bucket_count;
    refund(overlay, bucket_bytes(overlay));
    overlay->bucket_count = count;
    overlay->buckets = qr_zalloc(bucket_bytes(overlay));
    charge(overlay, bucket_bytes(overlay));
    for (uint64_t i = 0; i < old_count; i++) {
        for (struct node *node = old[i], *next; node != NULL; node = next) {
            next = node->next;
            struct node **bucket = bucket_of(overlay, node->hash);
            node->next = *bucket;
            *bucket = node;
        }
    }
    free(old);
}

static struct node *add_node(struct overlay *overlay, uint64_t hash, uint8_t db, struct span key)
{
    if (overlay->nodes == overlay->bucket_count) {
        resize(overlay, overlay->bucket_count * 2);
    }
    struct node **bucket = bucket_of(overlay, hash);
    struct node *node = qr_alloc(sizeof *node + key.n);
    *node = (struct node){ .next = *bucket, .hash = hash, .key_n = (uint32_t)key.n, .db = db };
    if (key.n > 0) {
        memcpy(node->key, key.p, key.n);
    }
    *bucket = node;
    overlay->nodes++;
    charge(overlay, node_bytes(node));
    return node;
}

/* An entry names it no more; the last one lets it go. */
static void leave_node(struct overlay *overlay, struct node *node)
{
    qr_assert(node->entries > 0);
    if (--node->entries > 0) {
        return;
    }
    struct node **link = bucket_of(overlay, node->hash);
    while (*link != node) {
        link = &(*link)->next;
    }
    *link = node->next;
    overlay->nodes--;
    refund(overlay, node_bytes(node));
    free(node);
    if (overlay->nodes < overlay->bucket_count / 8 && overlay->bucket_count > BUCKETS_MIN) {
        resize(overlay, overlay->bucket_count / 2);
    }
}

/* --- Entries --------------------------------------------------------------------------------- */

static void push(struct overlay *overlay, struct pending *p)
{
    qr_assert(p->slot > overlay_last(overlay) && p->slot > overlay->released); /* Y1 */
    if (overlay->count == overlay->cap) {
        struct pending **ring = qr_alloc(2 * ring_bytes(overlay));
        for (uint32_t i = 0; i < overlay->count; i++) {
            ring[i] = at(overlay, i);
        }
        free(overlay->ring);
        charge(overlay, ring_bytes(overlay));
        overlay->ring = ring;
        overlay->first = 0;
        overlay->cap *= 2;
    }
    overlay->ring[(overlay->first + overlay->count++) & (overlay->cap - 1)] = p;
    charge(overlay, pending_bytes(p));
}

static struct pending *pending_new(qr_slot slot, uint32_t count, struct span payload)
{
    struct pending *p = qr_alloc(sizeof *p + count * sizeof *p->refs + payload.n);
    *p = (struct pending){ .slot = slot, .count = count, .n = payload.n };
    if (payload.n > 0) {
        memcpy(&p->refs[count], payload.p, payload.n);
    }
    return p;
}

static struct rows_entry entry_of(const struct pending *p)
{
    struct rows_entry entry;
    bool good = rows_read(span_of(&p->refs[p->count], p->n), &entry);
    qr_assert(good);
    return entry;
}

bool overlay_add(struct overlay *overlay, qr_slot slot, struct span payload)
{
    struct rows_entry entry;
    bool good = rows_read(payload, &entry);
    qr_assert(good);
    struct pending *p = pending_new(slot, entry.count, payload);
    p->time_before = entry.time_before;
    p->time_after = rows_time_after(&entry);
    p->one_way = !rows_can_undo(&entry);
    p->any = entry.form != ROWS_FORM_ROWS;
    push(overlay, p);
    if (p->any) {
        p->any_before = overlay->any;
        overlay->any = slot;
    }
    struct rows_cursor cursor = rows_begin(&entry);
    struct row row;
    for (uint32_t i = 0; rows_next(&cursor, &row); i++) {
        uint64_t hash = hash_of(overlay, row.db, row.key);
        struct node *node = find(overlay, hash, row.db, row.key);
        if (node == NULL) {
            node = add_node(overlay, hash, row.db, row.key);
        }
        p->refs[i] = (struct ref){ .node = node, .before = node->slot };
        node->slot = slot;
        node->entries++;
    }
    return !p->one_way;
}

void overlay_add_other(struct overlay *overlay, qr_slot slot, qr_wall log_time)
{
    struct pending *p = pending_new(slot, 0, (struct span){ 0 });
    p->one_way = true;
    p->time_before = p->time_after = log_time;
    push(overlay, p);
}

static void drop(struct overlay *overlay, struct pending *p)
{
    for (uint32_t i = 0; i < p->count; i++) {
        leave_node(overlay, p->refs[i].node);
    }
    refund(overlay, pending_bytes(p));
    free(p);
}

void overlay_release(struct overlay *overlay, qr_slot upto)
{
    while (overlay->count > 0 && at(overlay, 0)->slot <= upto) {
        struct pending *p = at(overlay, 0);
        overlay->first = (overlay->first + 1) & (overlay->cap - 1);
        overlay->count--;
        drop(overlay, p);
    }
    overlay->released = max_u64(overlay->released, upto);
}

void overlay_free(struct overlay *overlay)
{
    if (overlay == NULL) {
        return;
    }
    overlay_release(overlay, UINT64_MAX);
    qr_assert(overlay->nodes == 0);
    refund(overlay, sizeof *overlay + ring_bytes(overlay) + bucket_bytes(overlay));
    qr_assert(overlay->memory == 0);
    free(overlay->ring);
    free(overlay->buckets);
    free(overlay);
}

/* --- Reads ----------------------------------------------------------------------------------- */

qr_slot overlay_last(const struct overlay *overlay)
{
    return overlay->count > 0 ? at(overlay, overlay->count - 1)->slot : 0;
}

/* The first entry that brought log time there; 0: what is committed had. */
static qr_slot slot_of_time(const struct overlay *overlay, qr_wall time)
{
    uint32_t low = 0, high = overlay->count;
    if (time <= at(overlay, 0)->time_before) {
        return 0;
    }
    while (low < high) {
        uint32_t middle = (low + high) / 2;
        if (at(overlay, middle)->time_after < time) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    qr_assert(low < overlay->count); /* somebody brought it where it is */
    return at(overlay, low)->slot;
}

static qr_slot slot_of_key(const struct overlay *overlay, const struct engine *engine, uint8_t db,
                           struct span key)
{
    const struct node *node = find(overlay, hash_of(overlay, db, key), db, key);
    const struct item *item = store_find(engine->store, db, key);
    qr_slot slot = node != NULL ? node->slot : 0;
    bool is_due = item != NULL && item_expire(item) != 0 && item_expire(item) <= engine->log_time;
    return is_due ? max_u64(slot, slot_of_time(overlay, item_expire(item))) : slot;
}

qr_slot overlay_awaited(const struct overlay *overlay, const struct engine *engine,
                        const struct command_spec *spec, uint8_t db, const struct span *argv,
                        uint32_t argc)
{
    if (overlay->count == 0) {
        return 0;
    }
    uint32_t words = spec != NULL ? command_name_words(spec) : 0;
    if (spec == NULL || spec->first_key == 0 || !command_arity_fits(spec, argc + words)) {
        return overlay_last(overlay);
    }
    qr_slot slot = overlay->any > overlay->released ? overlay->any : 0;
    struct key_range keys = command_keys(spec, argc + words);
    for (uint32_t i = keys.first; i < keys.end; i += keys.step) {
        slot = max_u64(slot, slot_of_key(overlay, engine, db, argv[i - words]));
    }
    return slot;
}

/* --- Back ------------------------------------------------------------------------------------ */

static void give_back(struct overlay *overlay, struct pending *p)
{
    for (uint32_t i = 0; i < p->count; i++) {
        p->refs[i].node->slot = p->refs[i].before;
    }
    if (p->any) {
        overlay->any = p->any_before;
    }
    overlay->count--;
    drop(overlay, p);
}

enum overlay_result overlay_undo(struct overlay *overlay, struct engine *engine, qr_slot behind)
{
    qr_assert(behind >= overlay->released); /* what is committed stays */
    for (uint32_t i = overlay->count; i > 0 && at(overlay, i - 1)->slot > behind; i--) {
        if (at(overlay, i - 1)->one_way) {
            return OVERLAY_ONE_WAY;
        }
    }
    while (overlay_last(overlay) > behind) {
        struct pending *p = at(overlay, overlay->count - 1);
        struct rows_entry entry = entry_of(p);
        if (rows_undo(engine, &entry) != ROWS_DONE) {
            return OVERLAY_DIFFERENT;
        }
        give_back(overlay, p);
    }
    return OVERLAY_DONE;
}

void overlay_check(const struct overlay *overlay)
{
    uint64_t memory = sizeof *overlay + ring_bytes(overlay) + bucket_bytes(overlay);
    uint64_t named = 0, naming = 0, nodes = 0;
    for (uint64_t i = 0; i < overlay->bucket_count; i++) {
        for (const struct node *node = overlay->buckets[i]; node != NULL; node = node->next) {
            qr_assert(node->entries > 0 && node->slot > overlay->released);
            qr_assert((node->hash & (overlay->bucket_count - 1)) == i);
            named += node->entries;
            memory += node_bytes(node);
            nodes++;
        }
    }
    for (uint32_t i = 0; i < overlay->count; i++) {
        const struct pending *p = at(overlay, i);
        const struct pending *older = i > 0 ? at(overlay, i - 1) : p;
        qr_assert(p->slot > overlay->released && (i == 0 || p->slot > older->slot)); /* Y1 */
        qr_assert(p->time_before >= older->time_before && p->time_after >= p->time_before);
        qr_assert(i == 0 || p->time_before >= older->time_after);
        naming += p->count;
        memory += pending_bytes(p);
    }
    qr_assert(named == naming && nodes == overlay->nodes && memory == overlay->memory);
}
