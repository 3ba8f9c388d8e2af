/* The walk: an image of all databases as they were when it began, in hash order, while writes go
 * on; and the digest.
 *
 * A slot carries the number of the last walk that is done with its item. The running walk is done
 * with an item when it has emitted it - in its order, or early because the item was about to change
 * or go - and with every item that was added after it began. A cleared table that the walk still
 * wants is kept until the walk has passed it: clearing and swapping stay O(1) and nothing is ever
 * copied for the image. */
#include "store/store_internal.h"

#include "base/panic.h"
#include "store/digest.h"

#define XXH_INLINE_ALL
#define XXH_NO_INLINE_HINTS 1 /* gcc -Og cannot keep them */
#include <xxhash.h>

#define WALK_UNIT_BYTES (64 * KIB)

/* What emitting an item costs, in small items: a longer one counts as several. Of a large one
 * whoever it is emitted to takes a reference only. */
static uint32_t weight_of(const struct item *item)
{
    return item_is_large(item) ? 1 : 1 + (uint32_t)(item_value_n(item) / WALK_UNIT_BYTES);
}

static void finish_slot(struct store *store, struct table *table, struct slot *slot)
{
    if (slot_walk(slot) == store->walk.number) {
        return;
    }
    slot_set_walk(slot, store->walk.number);
    store->walk.emit(store->walk.context, table->walk_db, slot_item(slot));
}

void walk_touch(struct store *store, struct table *table, struct slot *slot)
{
    if (!store->walk.active) {
        return;
    }
    /* An item of a table that is not part of the walk was added after the beginning: it carries
     * the walk's number. */
    qr_assert(table->walk_wants || slot_walk(slot) == store->walk.number);
    finish_slot(store, table, slot);
}

/* Numbers come round after 65535 walks: then no slot may carry an old one. */
static void forget_numbers(struct table *table)
{
    struct place place = table_seek(table, 0);
    for (struct slot *slot; (slot = place_slot(&place)) != NULL; place_next(table, &place)) {
        slot_set_walk(slot, 0);
    }
}

void store_walk_begin(struct store *store,
                      void (*emit)(void *context, uint8_t db, const struct item *item),
                      void *context)
{
    struct walk *walk = &store->walk;
    qr_assert(!walk->active);
    walk->active = true;
    walk->number++;
    if (walk->number == 0) {
        for (uint8_t db = 0; db < STORE_DATABASES; db++) {
            forget_numbers(store->tables[db]);
        }
        walk->number = 1;
    }
    walk->at = 0;
    walk->point = 0;
    walk->emit = emit;
    walk->context = context;
    for (uint8_t db = 0; db < STORE_DATABASES; db++) {
        struct table *table = store->tables[db];
        if (has_table(store, db)) {
            table->walk_db = db;
            table->walk_wants = true;
        }
        walk->tables[db] = table;
    }
}

static void release(struct store *store, struct table *table)
{
    if (table == table_none()) {
        return;
    }
    table->walk_wants = false;
    if (table->detached) {
        store_discard_table(store, table);
    }
}

bool store_walk_next(struct store *store, uint32_t count)
{
    struct walk *walk = &store->walk;
    qr_assert(walk->active);
    qr_assert(count > 0);
    uint64_t visited = 0;
    while (walk->at < STORE_DATABASES) {
        struct table *table = walk->tables[walk->at];
        struct place place = table_seek(table, walk->point);
        for (struct slot *slot; (slot = place_slot(&place)) != NULL; place_next(table, &place)) {
            if (visited >= count && slot->hash != walk->point) {
                walk->point = slot->hash;
                return true;
            }
            visited += weight_of(slot_item(slot));
            walk->point = slot->hash;
            finish_slot(store, table, slot);
        }
        release(store, table);
        walk->at++;
        walk->point = 0;
    }
    walk->active = false;
    return false;
}

void store_walk_end(struct store *store)
{
    struct walk *walk = &store->walk;
    if (!walk->active) {
        return;
    }
    walk->active = false;
    for (; walk->at < STORE_DATABASES; walk->at++) {
        release(store, walk->tables[walk->at]);
    }
}

/* --- Digest ---------------------------------------------------------------------------------- */

static uint64_t digest_of(const struct store *store, uint8_t databases)
{
    uint64_t digest = 0;
    for (uint8_t db = 0; db < databases; db++) {
        const struct table *table = store->tables[db];
        uint64_t own =
            digest_mix(table->digest ^ 0x9e3779b97f4a7c15u, table->count ^ (uint64_t)~db);
        digest += table->count > 0 ? own : 0;
    }
    return digest;
}

uint64_t store_rolling_digest(const struct store *store)
{
    return digest_of(store, STORE_DATABASES);
}

uint64_t store_content_digest(const struct store *store)
{
    return digest_of(store, DATABASES);
}

/* What the same bytes in one piece would give. */
static uint64_t chain_rope(uint64_t digest, const struct rope *rope)
{
    XXH3_state_t state;
    XXH3_INITSTATE(&state);
    (void)XXH3_64bits_reset_withSeed(&state, digest);
    for (size_t at = 0; at < rope->n;) {
        struct span s = rope_slice(rope, at);
        (void)XXH3_64bits_update(&state, s.p, s.n);
        at += s.n;
    }
    return XXH3_64bits_digest(&state);
}

static uint64_t chain_item(uint64_t digest, uint8_t db, const struct item *item)
{
    struct rope *rope = item_rope(item);
    uint64_t head[5] = { db, (uint64_t)item_type(item), (uint64_t)item_expire(item),
                         item_key(item).n, item_value_n(item) };
    digest = XXH3_64bits_withSeed(head, sizeof head, digest);
    digest = XXH3_64bits_withSeed(item_key(item).p, item_key(item).n, digest);
    return rope != NULL ? chain_rope(digest, rope)
                        : XXH3_64bits_withSeed(item_value(item).p, item_value(item).n, digest);
}

uint64_t store_digest(struct store *store)
{
    uint64_t digest = 0;
    for (uint8_t db = 0; db < STORE_DATABASES; db++) {
        struct table *table = store->tables[db];
        struct place place = table_seek(table, 0);
        for (struct slot *slot; (slot = place_slot(&place)) != NULL; place_next(table, &place)) {
            digest = chain_item(digest, db, slot_item(slot));
        }
    }
    return digest;
}
