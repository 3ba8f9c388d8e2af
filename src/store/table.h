/* The hash table of one database: extendible hashing by the top bits of the hash.
 *
 *   directory[2^depth] -> segments; a segment of depth d serves one prefix of d bits and stands in
 *   2^(depth - d) entries that follow each other.
 *
 * Inside a segment the slots are kept in the order of (hash, key) by linear probing whose home
 * position grows with the hash. Invariants of a segment:
 *   S1 occupied slots are in increasing (hash, key) order;
 *   S2 no slot lies before its home, and none between its home and itself is empty;
 *   S3 the last slot is empty.
 * Hence iterating the directory is iterating in hash order, whatever the history, and a split needs
 * neither sorting nor the items themselves: a slot carries the whole hash. No operation moves more
 * than one segment's slots; the directory, doubled or halved, copies pointers only.
 *
 * A slot also carries 16 bits for the walk (walk.c): the number of the last walk that is done with
 * its item. */
#ifndef STORE_TABLE_H
#define STORE_TABLE_H

#include "store/due.h"
#include "store/item.h"

struct slot {
    uint64_t hash;
    uint64_t word; /* 16 bits of walk number, 48 bits of pointer; 0 = empty */
};

struct segment {
    uint32_t count;
    uint32_t cap;   /* homes are in [0, cap) */
    uint32_t total; /* slots there are: cap and room behind for what is pushed on */
    uint8_t depth;
    struct slot slots[];
};

#define TABLE_DEPTH_MAX 40

struct table {
    /* What any operation touches, on one cache line. */
    struct segment **directory;
    uint64_t count;   /* items */
    uint64_t memory;  /* bytes of directory and segments; not of items, nor of the due heap */
    uint64_t digest;  /* rolling (digest.h) */
    uint64_t deepest; /* segments of the directory's own depth */
    struct due due;
    uint8_t depth;

    uint8_t walk_db;     /* the database it was when the walk began */
    bool detached;       /* cleared: no longer any database's */
    bool walk_wants;     /* the running walk is not done with it */
    struct table *next;  /* among the tables that wait to be freed */
    uint64_t freed_upto; /* directory entries already freed */
};

_Static_assert(offsetof(struct table, depth) < CACHE_LINE_BYTES, "one line");

/* A position in hash order; `segment` is NULL at the end. */
struct place {
    struct segment *segment;
    uint32_t at;
    uint64_t entry; /* the segment's first directory entry */
};

static inline struct item *slot_item(const struct slot *slot)
{
    return (struct item *)(uintptr_t)(slot->word & 0xffffffffffffu);
}

static inline uint16_t slot_walk(const struct slot *slot)
{
    return (uint16_t)(slot->word >> 48);
}

static inline void slot_set_walk(struct slot *slot, uint16_t walk)
{
    slot->word = (slot->word & 0xffffffffffffu) | (uint64_t)walk << 48;
}

void slot_set_item(struct slot *slot, struct item *item);

struct table *table_new(void);

/* What a database has that has never held an item: the same for all, and never changed. Looking
 * into it needs no case of its own; a table of its own takes its place before the first item. */
extern const struct table table_empty;

static inline struct table *table_none(void)
{
    return (struct table *)(uintptr_t)&table_empty;
}

/* Frees slots with their items, `items` of them or a few more; true while more is left. The table
 * itself goes with the last; *freed grows by the bytes given back. Ropes go to the bin. */
bool table_free_slice(struct table *table, uint32_t items, uint64_t *freed, struct rope_bin *bin);

struct slot *table_find(struct table *table, uint64_t hash, struct span key);

/* Starts fetching from memory what table_find will look at: first the slots, then, once they have
 * had time to come, the item. Neither changes anything. */
void table_prefetch_slots(const struct table *table, uint64_t hash);
void table_prefetch_item(const struct table *table, uint64_t hash);

/* Adds an item whose key is not there. Slots found before are invalid afterwards. */
void table_insert(struct table *table, uint64_t hash, struct item *item, uint16_t walk);

/* Splits the table into as many segments as that many items will need. */
void table_expect(struct table *table, uint64_t items);

/* Takes the slot out; its item stays the caller's. Slots found before are invalid afterwards. */
void table_remove(struct table *table, struct slot *slot);

/* The first occupied slot at or after `hash`, and the following ones. */
struct place table_seek(const struct table *table, uint64_t hash);
void place_next(const struct table *table, struct place *place);

static inline struct slot *place_slot(const struct place *place)
{
    return place->segment == NULL ? NULL : &place->segment->slots[place->at];
}

/* Panics when an invariant does not hold; for tests. */
void table_check(const struct table *table);

#endif
