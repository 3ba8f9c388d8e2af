/* The invariants of a store's inside, for tests. */
#include "store/store_internal.h"

#include "base/panic.h"
#include "store/digest.h"

void store_check(struct store *store)
{
    uint64_t bytes = block_cost(sizeof *store);
    for (uint8_t db = 0; db < STORE_DATABASES; db++) {
        struct table *table = store->tables[db];
        bytes += own_memory(table);
        if (!has_table(store, db)) {
            qr_assert(table->count == 0 && table->digest == 0);
            continue;
        }
        table_check(table);
        uint64_t expires = 0;
        uint64_t digest = 0;
        struct place place = table_seek(table, 0);
        for (struct slot *slot; (slot = place_slot(&place)) != NULL; place_next(table, &place)) {
            const struct item *item = slot_item(slot);
            qr_assert(store_hash(store, item_key(item)) == slot->hash);
            bytes += item_memory(item);
            digest += digest_item(slot->hash, item);
            if (item_expire(item) != 0) {
                expires++;
                qr_assert(item->heap_at < table->due.count);
                qr_assert(table->due.entries[item->heap_at].item == item);
                qr_assert(table->due.entries[item->heap_at].expire == item->expire);
            }
        }
        qr_assert(expires == table->due.count);
        qr_assert(digest == table->digest);
    }
    struct item *first_due = store->first_due;
    bool known = store->first_due_known;
    store_seek_first_due(store);
    qr_assert(!known || store->first_due == first_due);
    qr_assert(bytes <= store->memory && store->memory <= *store->all_memory);
    qr_assert(store->garbage != NULL || store->walk.active || bytes == store->memory);
    if (store->past != NULL) {
        past_check(store->past);
    }
}
