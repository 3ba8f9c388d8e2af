/* The inside of struct store, for the files of this directory only. */
#ifndef STORE_STORE_INTERNAL_H
#define STORE_STORE_INTERNAL_H

#include "base/limits.h"
#include "store/past.h"
#include "store/siphash.h"
#include "store/store.h"
#include "store/table.h"

struct walk {
    struct table *tables[STORE_DATABASES];
    void (*emit)(void *context, uint8_t db, const struct item *item);
    void *context;
    uint64_t point;  /* every item below this hash is done */
    uint8_t at;      /* the table being walked, in the order of the databases at the beginning */
    bool active;     /* at the end: beside the tables of the store */
    uint16_t number; /* of the running or last walk; slots that it is done with carry it */
};

/* Keys that were looked ahead for, with their hashes, in the order in which they will be wanted:
 * hashing is the dearest part of a lookup, and this spares the second time. A key is believed only
 * when its bytes are the same; longer ones, and the empty one, are not kept. */
#define AHEAD_KEY_BYTES 40u

struct ahead {
    uint32_t count, at; /* the key at `at` was wanted last, or is wanted next */
    struct {
        uint64_t hash;
        uint32_t n;
        uint8_t key[AHEAD_KEY_BYTES];
    } v[STORE_PREFETCH_MAX];
};

struct store {
    /* What a write touches, and each turn, on one cache line; and on another one the end of `walk`
     * and the table of the first database, the only one that most stores have. */
    struct siphash_key key;
    struct ahead *ahead;
    uint64_t memory;        /* bytes: itself, items, tables and heaps, the cleared ones included */
    struct table *garbage;  /* cleared tables, freed by store_idle */
    struct item *first_due; /* of all databases, in first_due_db; asked for in every turn */
    uint8_t first_due_db;
    bool first_due_known; /* no key with an expiry came, went or moved since */
    bool keeps;           /* what is overwritten, in `past` */
    bool watched;         /* by `watch` */
    struct rope_bin bin;  /* values that are let go */
    struct walk walk;
    uint64_t *all_memory; /* of this store and others; `alone` when there are none */
    struct table *tables[STORE_DATABASES]; /* table_none() until it is written to */
    uint64_t alone;
    struct past *past; /* NULL: none; kept no more, it goes in slices */
    const struct store_watch *watch;
};

_Static_assert(offsetof(struct store, walk) == CACHE_LINE_BYTES, "one line");
_Static_assert(offsetof(struct store, walk.active) / CACHE_LINE_BYTES ==
                   offsetof(struct store, tables[0]) / CACHE_LINE_BYTES,
               "and one more");

/* Of a key, perhaps one that was looked ahead for. */
uint64_t store_hash(const struct store *store, struct span key);
/* Finds out what is due first. */
void store_seek_first_due(struct store *store);

/* Before anything happens to the slot's item: emits it when a walk is not done with it. */
void walk_touch(struct store *store, struct table *table, struct slot *slot);

/* What a slot that is new carries: a running walk has nothing to do with it. */
static inline uint16_t walk_mark(const struct store *store)
{
    return store->walk.active ? store->walk.number : 0;
}

static inline bool has_table(const struct store *store, uint8_t db)
{
    return store->tables[db] != table_none();
}

/* The account: of this store, and of all that share the sum. */
static inline void charge(struct store *store, uint64_t bytes)
{
    store->memory += bytes;
    *store->all_memory += bytes;
}

static inline void refund(struct store *store, uint64_t bytes)
{
    store->memory -= bytes;
    *store->all_memory -= bytes;
}

static inline uint64_t own_memory(const struct table *table)
{
    return table->memory + due_memory(&table->due);
}

/* Something was done to the table, which came to so much before. */
static inline void settle(struct store *store, const struct table *table, uint64_t before)
{
    refund(store, before);
    charge(store, own_memory(table));
}

static inline void tell_whole(const struct store *store)
{
    if (store->watched) {
        store->watch->whole(store->watch->context);
    }
}

/* A table that belongs to no database any more is freed in slices, once no walk wants it. */
void store_discard_table(struct store *store, struct table *table);

#endif
