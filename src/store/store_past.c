/* Who is told of changes: what a store keeps of its past, and who watches. See store.h. */
#include "store/store_internal.h"

#include "base/panic.h"

void store_keep_past(struct store *store, const struct past_limits *limits, qr_slot slot,
                     qr_wall time)
{
    bool keeps = limits->age > 0;
    if (!keeps && store->keeps) {
        past_cut(store->past);
    } else if (keeps && store->past == NULL) {
        store->past = past_new(limits, slot, time, store->all_memory);
    } else if (keeps && !store->keeps) { /* one that was about to go */
        past_enter(store->past, slot);
        past_cut(store->past);
        past_move_time(store->past, time);
    }
    store->keeps = keeps;
    if (keeps) {
        past_set_limits(store->past, limits);
    }
}

void store_enter(struct store *store, qr_slot slot)
{
    if (store->keeps) {
        past_enter(store->past, slot);
    }
}

void store_move_time(struct store *store, qr_wall time)
{
    if (store->keeps) {
        past_move_time(store->past, time);
    }
}

const struct past *store_past(const struct store *store)
{
    return store->keeps ? store->past : NULL;
}

uint64_t store_past_memory(const struct store *store)
{
    return store->past != NULL ? past_memory(store->past) : 0;
}

void store_watch(struct store *store, const struct store_watch *watch)
{
    qr_assert(watch == NULL || store->watch == NULL); /* one at a time */
    store->watch = watch;
    store->watched = watch != NULL;
}

enum past_find store_find_as_of(struct store *store, uint8_t db, struct span key, qr_slot slot,
                                struct item **item)
{
    enum past_find found = past_find(store->past, db, store_hash(store, key), key, slot, item);
    if (found == PAST_NOW) {
        *item = store_find(store, db, key);
    }
    return found;
}
