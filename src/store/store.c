/* The memory store: databases, each a table and a due heap. See store.h.
 *
 * Every change of an item follows the same steps: walk_touch (a walk may have to emit it first),
 * note (for the past), out of the due heap, change; then back into the heap. Memory is accounted
 * where a block changes (charge, refund), for this store and for all that share a sum. */
#include "store/store_internal.h"

#include "base/alloc.h"
#include "base/panic.h"
#include "store/digest.h"

#include <string.h>

static bool is_ahead(const struct ahead *ahead, uint32_t i, struct span key)
{
    return i < ahead->count && ahead->v[i].n == key.n && memcmp(ahead->v[i].key, key.p, key.n) == 0;
}

static uint64_t hash_of(const struct store *store, struct span key)
{
    struct ahead *ahead = store->ahead;
    for (uint32_t i = ahead->at; i < ahead->at + 2; i++) {
        if (is_ahead(ahead, i, key)) {
            ahead->at = i;
            return ahead->v[i].hash;
        }
    }
    return siphash(store->key, key.p, key.n);
}

uint64_t store_hash(const struct store *store, struct span key)
{
    return hash_of(store, key);
}

/* Its hash, which will be wanted after those of the keys before it. */
static uint64_t hash_ahead(struct ahead *ahead, struct siphash_key by, struct span key)
{
    uint64_t hash = siphash(by, key.p, key.n);
    if (key.n > 0 && key.n <= AHEAD_KEY_BYTES) {
        uint32_t i = ahead->count++;
        ahead->v[i].hash = hash;
        ahead->v[i].n = (uint32_t)key.n;
        memcpy(ahead->v[i].key, key.p, key.n);
    }
    return hash;
}

static struct table *table_of(const struct store *store, uint8_t db)
{
    qr_assert(db < STORE_DATABASES);
    return store->tables[db];
}

/* One that an item may be added to. */
static struct table *own_table(struct store *store, uint8_t db)
{
    if (!has_table(store, db)) {
        store->tables[db] = table_new();
        charge(store, own_memory(store->tables[db]));
    }
    return store->tables[db];
}

/* Nothing is looked ahead for. */
static const struct ahead ahead_none;

struct store *store_new(const struct store_config *config)
{
    struct store *store = qr_zalloc_lines(sizeof *store);
    store->key = siphash_key_from(config->hash_key);
    store->ahead = (struct ahead *)(uintptr_t)&ahead_none;
    store->all_memory = config->memory != NULL ? config->memory : &store->alone;
    charge(store, block_cost(sizeof *store));
    for (uint8_t db = 0; db < STORE_DATABASES; db++) {
        store->tables[db] = table_none();
    }
    return store;
}

void store_free(struct store *store)
{
    if (store == NULL) {
        return;
    }
    store_walk_end(store);
    past_free(store->past);
    store->past = NULL;
    for (uint8_t db = 0; db < STORE_DATABASES; db++) {
        if (has_table(store, db)) {
            store_discard_table(store, store->tables[db]);
        }
    }
    while (store_idle(store, UINT32_MAX)) {
    }
    refund(store, block_cost(sizeof *store));
    qr_assert(store->memory == 0);
    if (store->ahead != &ahead_none) {
        free(store->ahead);
    }
    free(store);
}

void store_leave(struct store *store)
{
    *store->all_memory -= store->memory;
    store->alone = store->memory;
    store->all_memory = &store->alone;
    if (store->past != NULL) {
        past_leave(store->past, &store->alone);
    }
}

/* --- Access ---------------------------------------------------------------------------------- */

struct item *store_find(struct store *store, uint8_t db, struct span key)
{
    struct slot *slot = table_find(table_of(store, db), hash_of(store, key), key);
    return slot == NULL ? NULL : slot_item(slot);
}

void store_prefetch(struct store *store, const struct store_key *keys, uint32_t n)
{
    uint64_t hashes[STORE_PREFETCH_MAX];
    qr_assert(n <= STORE_PREFETCH_MAX);
    if (store->ahead == &ahead_none) {
        store->ahead = qr_zalloc(sizeof *store->ahead);
    }
    store->ahead->count = store->ahead->at = 0;
    for (uint32_t i = 0; i < n; i++) {
        hashes[i] = hash_ahead(store->ahead, store->key, keys[i].key);
        table_prefetch_slots(table_of(store, keys[i].db), hashes[i]);
    }
    for (uint32_t i = 0; i < n; i++) {
        table_prefetch_item(table_of(store, keys[i].db), hashes[i]);
    }
}

/* The key is about to be changed, or to come. */
static inline void note(struct store *store, uint8_t db, uint64_t hash, const struct item *item,
                        bool comes)
{
    if (store->keeps) {
        past_note(store->past, db, hash, item_key(item), comes ? NULL : item, &store->bin);
    }
    if (store->watched) {
        const struct store_watch *watch = store->watch;
        watch->change(watch->context, db, hash, item_key(item), comes ? NULL : item);
    }
}

static struct item *add(struct store *store, uint8_t db, uint64_t hash, struct item *item)
{
    note(store, db, hash, item, true);
    struct table *table = own_table(store, db);
    uint64_t before = own_memory(table);
    charge(store, item_memory(item));
    table->digest += digest_item(hash, item);
    table_insert(table, hash, item, walk_mark(store));
    if (item_expire(item) != 0) {
        store->first_due_known = false;
        due_add(&table->due, item);
    }
    settle(store, table, before);
    return item;
}

/* Gives an item another shape (item_reshape), keeping slot, heap and account right. */
static struct item *reshape(struct store *store, struct table *table, struct slot *slot, size_t n,
                            qr_wall expire)
{
    struct item *item = slot_item(slot);
    qr_wall old = item_expire(item);
    uint64_t before = own_memory(table);
    if (old != 0 || expire != 0) {
        store->first_due_known = false;
    }
    if (old != 0 && old != expire) {
        due_remove(&table->due, item);
    }
    refund(store, item_memory(item));
    uint32_t heap_at = old != 0 ? item->heap_at : 0;
    item = item_reshape(item, item_key(item), n, expire);
    charge(store, item_memory(item));
    slot_set_item(slot, item);
    if (expire != 0 && old == expire) {
        item->heap_at = heap_at;
        due_moved(&table->due, item);
    } else if (expire != 0) {
        due_add(&table->due, item);
    }
    settle(store, table, before);
    return item;
}

/* Takes the item out of its database; the caller owns it and its bytes in the account. */
static struct item *take(struct store *store, uint8_t db, struct slot *slot)
{
    struct table *table = table_of(store, db);
    walk_touch(store, table, slot);
    struct item *item = slot_item(slot);
    note(store, db, slot->hash, item, false);
    uint64_t before = own_memory(table);
    table->digest -= digest_item(slot->hash, item);
    if (item_expire(item) != 0) {
        store->first_due_known = false;
        due_remove(&table->due, item);
    }
    table_remove(table, slot);
    settle(store, table, before);
    refund(store, item_memory(item));
    return item;
}

static bool aliases(const struct item *item, struct span value)
{
    struct span own = item_value(item);
    struct span key = item_key(item);
    return value.n > 0 && value.p < key.p + key.n && value.p + value.n > own.p;
}

static bool has_large(const struct slot *slot)
{
    return slot != NULL && item_is_large(slot_item(slot));
}

struct item *store_put(struct store *store, uint8_t db, struct span key, struct span value,
                       qr_wall expire)
{
    struct table *table = table_of(store, db);
    uint64_t hash = hash_of(store, key);
    struct slot *slot = table_find(table, hash, key);
    if (value.n > LARGE_BYTES) {
        struct rope *rope = rope_new();
        rope_append_of(rope, value, value.n);
        return store_put_rope(store, db, key, rope, expire);
    }
    if (has_large(slot)) {
        item_free(take(store, db, slot), &store->bin);
        slot = NULL;
    }
    if (slot == NULL) {
        struct item *item = item_new(key, TYPE_STRING, value.n, expire);
        if (value.n > 0) {
            memcpy(item_value_bytes(item), value.p, value.n);
        }
        return add(store, db, hash, item);
    }
    walk_touch(store, table, slot);
    note(store, db, hash, slot_item(slot), false);
    uint8_t *copy = NULL;
    if (aliases(slot_item(slot), value)) {
        copy = qr_alloc(value.n);
        memcpy(copy, value.p, value.n);
        value.p = copy;
    }
    table->digest -= digest_item(hash, slot_item(slot));
    struct item *item = reshape(store, table, slot, value.n, expire);
    if (value.n > 0) {
        memcpy(item_value_bytes(item), value.p, value.n);
    }
    table->digest += digest_item(hash, item);
    free(copy);
    return item;
}

static struct item *put_rope(struct store *store, uint8_t db, struct span key, struct rope *rope,
                             qr_wall expire)
{
    struct table *table = table_of(store, db);
    uint64_t hash = hash_of(store, key);
    struct slot *slot = table_find(table, hash, key);
    struct item *item = item_new_large(key, TYPE_STRING, rope, expire); /* before its key may go */
    if (slot != NULL) {
        item_free(take(store, db, slot), &store->bin);
    }
    return add(store, db, hash, item);
}

struct item *store_put_rope(struct store *store, uint8_t db, struct span key, struct rope *rope,
                            qr_wall expire)
{
    if (rope->n > LARGE_BYTES) {
        return put_rope(store, db, key, rope, expire);
    }
    uint8_t *bytes = qr_alloc(rope->n);
    rope_copy(rope, 0, rope->n, bytes);
    struct item *item = store_put(store, db, key, span_of(bytes, rope->n), expire);
    free(bytes);
    rope_release(rope);
    return item;
}

/* --- Writing into a value -------------------------------------------------------------------- */

/* The value becomes at most LARGE_BYTES long. */
static void write_small(struct store *store, uint8_t db, struct span key, size_t n, size_t at,
                        struct store_bytes bytes)
{
    struct table *table = table_of(store, db);
    uint64_t hash = hash_of(store, key);
    struct slot *slot = table_find(table, hash, key);
    struct item *item;
    if (slot == NULL) {
        item = item_new(key, TYPE_STRING, n, 0);
        memset(item_value_bytes(item), 0, n);
        add(store, db, hash, item);
        table = table_of(store, db);
        table->digest -= digest_item(hash, item);
    } else {
        walk_touch(store, table, slot);
        note(store, db, hash, slot_item(slot), false);
        table->digest -= digest_item(hash, slot_item(slot));
        item = reshape(store, table, slot, n, item_expire(slot_item(slot)));
    }
    if (bytes.rope != NULL) {
        rope_copy(bytes.rope, 0, bytes.rope->n, item_value_bytes(item) + at);
    } else if (bytes.span.n > 0) {
        memcpy(item_value_bytes(item) + at, bytes.span.p, bytes.span.n);
    }
    table->digest += digest_item(hash, item);
}

/* A rope with the bytes put at `at`: the one given or another in its place. */
static struct rope *write_rope(struct store *store, struct rope *rope, size_t at,
                               struct store_bytes bytes)
{
    size_t n = store_bytes_n(bytes);
    rope_zeros(rope, at > rope->n ? at - rope->n : 0);
    if (bytes.rope != NULL) {
        struct rope *joined = rope_new();
        rope_share(joined, rope, 0, at);
        rope_share(joined, bytes.rope, 0, n);
        rope_share(joined, rope, (size_t)min_u64(at + n, rope->n),
                   rope->n - (size_t)min_u64(at + n, rope->n));
        rope_discard(&store->bin, rope);
        return joined;
    }
    size_t inside = (size_t)min_u64(n, rope->n - at);
    rope_write(rope, at, span_of(bytes.span.p, inside));
    rope_append(rope, span_of(bytes.span.p + inside, n - inside));
    return rope;
}

void store_write(struct store *store, uint8_t db, struct span key, size_t at,
                 struct store_bytes bytes)
{
    struct table *table = table_of(store, db);
    struct slot *slot = table_find(table, hash_of(store, key), key);
    struct item *item = slot != NULL ? slot_item(slot) : NULL;
    size_t old = item != NULL ? item_value_n(item) : 0;
    size_t n = (size_t)max_u64(old, at + store_bytes_n(bytes));
    if (n <= LARGE_BYTES) {
        write_small(store, db, key, n, at, bytes);
    } else if (!has_large(slot)) {
        struct rope *rope = rope_new();
        if (old > 0) {
            rope_append_of(rope, item_value(item), 2 * old);
        }
        rope = write_rope(store, rope, at, bytes);
        (void)put_rope(store, db, key, rope, item != NULL ? item_expire(item) : 0);
    } else {
        walk_touch(store, table, slot);
        if (store->keeps) { /* each reference would break the rope into more pieces */
            past_note_lost(store->past, db, slot->hash, key, &store->bin);
        }
        if (store->watched) {
            store->watch->change(store->watch->context, db, slot->hash, key, item);
        }
        refund(store, item_memory(item));
        table->digest -= digest_item(slot->hash, item);
        item_set_rope(item, write_rope(store, rope_own(item_rope(item)), at, bytes));
        table->digest += digest_item(slot->hash, item);
        charge(store, item_memory(item));
    }
}

struct rope_bin *store_bin(struct store *store)
{
    return &store->bin;
}

struct item *store_set_expire(struct store *store, uint8_t db, struct item *item, qr_wall expire)
{
    struct table *table = table_of(store, db);
    struct span key = item_key(item);
    struct slot *slot = table_find(table, hash_of(store, key), key);
    qr_assert(slot != NULL && slot_item(slot) == item);
    walk_touch(store, table, slot);
    note(store, db, slot->hash, item, false);
    table->digest -= digest_item(slot->hash, item);
    item = reshape(store, table, slot, item_value_n(item), expire);
    table->digest += digest_item(slot->hash, item);
    return item;
}

bool store_delete(struct store *store, uint8_t db, struct span key)
{
    struct table *table = table_of(store, db);
    struct slot *slot = table_find(table, hash_of(store, key), key);
    if (slot == NULL) {
        return false;
    }
    item_free(take(store, db, slot), &store->bin);
    return true;
}

bool store_rename(struct store *store, uint8_t db, struct span from, uint8_t to_db, struct span to)
{
    struct table *source = table_of(store, db);
    struct table *target = table_of(store, to_db);
    struct slot *slot = table_find(source, hash_of(store, from), from);
    if (slot == NULL) {
        return false;
    }
    if (source == target && item_has_key(slot_item(slot), to)) {
        return true;
    }
    struct item *item = take(store, db, slot);
    uint64_t hash = hash_of(store, to);
    uint8_t *copy = qr_alloc(to.n); /* `to` may lie in either item */
    if (to.n > 0) {
        memcpy(copy, to.p, to.n);
    }
    slot = table_find(target, hash, to);
    if (slot != NULL) {
        item_free(take(store, to_db, slot), &store->bin);
    }
    item = item_reshape(item, span_of(copy, to.n), item_value_n(item), item_expire(item));
    free(copy);
    add(store, to_db, hash, item);
    return true;
}

void store_swap(struct store *store, uint8_t db_a, uint8_t db_b)
{
    struct table *table = table_of(store, db_a);
    tell_whole(store);
    if (store->keeps) {
        past_cut(store->past);
    }
    store->first_due_known = false;
    store->tables[db_a] = table_of(store, db_b);
    store->tables[db_b] = table;
}

/* --- Counts ---------------------------------------------------------------------------------- */

uint64_t store_count(const struct store *store, uint8_t db)
{
    return table_of(store, db)->count;
}

void store_expect(struct store *store, uint8_t db, uint64_t items)
{
    struct table *table = own_table(store, db);
    uint64_t before = own_memory(table);
    table_expect(table, items);
    settle(store, table, before);
}

uint64_t store_count_expires(const struct store *store, uint8_t db)
{
    return table_of(store, db)->due.count;
}

uint64_t store_memory(const struct store *store)
{
    return store->memory;
}

/* --- Clearing -------------------------------------------------------------------------------- */

void store_discard_table(struct store *store, struct table *table)
{
    table->detached = true;
    if (table->walk_wants) {
        return; /* the walk hands it back when it is done */
    }
    table->next = store->garbage;
    store->garbage = table;
}

void store_clear(struct store *store, uint8_t db)
{
    struct table *table = table_of(store, db);
    if (table->count == 0) {
        return;
    }
    tell_whole(store);
    if (store->keeps) {
        past_cut(store->past); /* to note each key would take too long */
    }
    store->first_due_known = false;
    store->tables[db] = table_none();
    store_discard_table(store, table);
}

/* Whether more of the past is to go. */
static bool idle_past(struct store *store, uint32_t items)
{
    bool more = past_idle(store->past, items, &store->bin);
    if (!more && !store->keeps) {
        past_free(store->past);
        store->past = NULL;
    }
    return more;
}

bool store_idle(struct store *store, uint32_t items)
{
    struct table *table = store->garbage;
    bool more = store->past != NULL && idle_past(store, items);
    more = rope_bin_empty_slice(&store->bin, IDLE_FREE_PIECES) || more;
    if (table == NULL) {
        return more;
    }
    struct table *next = table->next;
    uint64_t freed = 0;
    if (!table_free_slice(table, items, &freed, &store->bin)) {
        store->garbage = next;
    }
    refund(store, freed);
    return more || store->garbage != NULL || store->bin.first != NULL;
}

/* --- Order ----------------------------------------------------------------------------------- */

#define CURSOR_SHIFT 16 /* a cursor is the top 48 bits of a hash */

uint64_t store_scan(struct store *store, uint8_t db, uint64_t cursor, uint64_t count,
                    void (*each)(void *context, struct item *item), void *context)
{
    struct table *table = table_of(store, db);
    if (cursor >> (64 - CURSOR_SHIFT) != 0) {
        return 0;
    }
    struct place place = table_seek(table, cursor << CURSOR_SHIFT);
    uint64_t visited = 0;
    uint64_t last = 0;
    for (struct slot *slot; (slot = place_slot(&place)) != NULL; place_next(table, &place)) {
        uint64_t here = slot->hash >> CURSOR_SHIFT;
        if (visited >= count && visited > 0 && here >> STORE_SCAN_FINE != last >> STORE_SCAN_FINE) {
            return here;
        }
        each(context, slot_item(slot));
        visited++;
        last = here;
    }
    return 0;
}

struct item *store_at(struct store *store, uint8_t db, uint64_t point)
{
    struct table *table = table_of(store, db);
    struct place place = table_seek(table, point);
    if (place_slot(&place) == NULL) {
        place = table_seek(table, 0);
    }
    struct slot *slot = place_slot(&place);
    return slot == NULL ? NULL : slot_item(slot);
}

void store_seek_first_due(struct store *store)
{
    struct item *first = NULL;
    for (uint8_t i = 0; i < STORE_DATABASES; i++) {
        struct item *item = due_first(&store->tables[i]->due);
        if (item != NULL && (first == NULL || item->expire < first->expire)) {
            first = item;
            store->first_due_db = i;
        }
    }
    store->first_due = first;
    store->first_due_known = true;
}

struct item *store_first_due(struct store *store, uint8_t *db)
{
    if (!store->first_due_known) {
        store_seek_first_due(store);
    }
    *db = store->first_due_db;
    return store->first_due;
}

struct item *store_first_due_in(const struct store *store, uint8_t db)
{
    return due_first(&table_of(store, db)->due);
}
