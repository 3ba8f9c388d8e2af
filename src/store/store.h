/* The memory store: point access by hash, order by hash, expiry order (design: Engine).
 *
 * Iteration order, SCAN cursors and the order in which due keys leave are functions of the content
 * alone, so that replicas agree whatever the layout of their tables (deterministic execution).
 * Extendible hashing by the top bits of a keyed 64-bit hash gives that: a segment is a range of
 * hashes, it splits when full, and no resize ever touches more than one segment. */
#ifndef STORE_STORE_H
#define STORE_STORE_H

#include "base/limits.h"
#include "base/rope.h"
#include "base/types.h"
#include "store/past.h"

struct store;

/* Behind the databases that clients see there is one for the node itself: part of the image and of
 * the digests as they are, and out of reach of every command. Nothing in it expires. */
#define SYSTEM_DB DATABASES
/* And one for the ids of requests, whose records expire as keys do (engine/idempotency.c). */
#define IDS_DB (DATABASES + 1)
#define STORE_DATABASES (DATABASES + 2)

enum value_type { TYPE_STRING = 1 /* list, set, zset, hash, stream follow */ };

/* One key with its value: a single block of memory. Opaque but for these accessors. */
struct item;

struct store_config {
    uint8_t hash_key[16]; /* the same on every replica: it decides the order of SCAN */
    /* Where the memory of all stores that share it is summed up; NULL: nobody wants to know. */
    uint64_t *memory;
};

struct store *store_new(const struct store_config *config);
void store_free(struct store *store);
/* Takes its memory out of the sum, for good: before another thread frees it. */
void store_leave(struct store *store);

/* NULL when there is none. Due keys are found too: expiry is the caller's rule. */
struct item *store_find(struct store *store, uint8_t db, struct span key);

/* A key of some database, for store_prefetch. */
struct store_key {
    struct span key;
    uint8_t db;
};

#define STORE_PREFETCH_MAX 16 /* more at once would push each other out of the nearest cache */

/* Starts fetching from memory what accesses to these keys will touch; nothing changes. An access
 * waits twice for memory, once for the slot and once for the item: with up to STORE_PREFETCH_MAX
 * keys that are known ahead these waits overlap. */
void store_prefetch(struct store *store, const struct store_key *keys, uint32_t n);

struct span item_key(const struct item *item);
size_t item_value_n(const struct item *item);    /* bytes of a string */
struct span item_value(const struct item *item); /* a string's bytes; not of a large one */
/* A string of more than LARGE_BYTES; NULL: it has no more. Who keeps it takes a reference. */
struct rope *item_rope(const struct item *item);
enum value_type item_type(const struct item *item);
qr_wall item_expire(const struct item *item); /* microseconds; 0 = never */
size_t item_memory(const struct item *item);  /* bytes that it costs, for MEMORY USAGE */

/* Sets a string: value NULL-based spans allowed when empty. `expire` 0 = never. Replaces whatever
 * was there. The value may alias the item's own bytes. Returns the item (addresses change). */
struct item *store_put(struct store *store, uint8_t db, struct span key, struct span value,
                       qr_wall expire);

/* The same with a rope's bytes, of which none is copied when they are more than LARGE_BYTES; the
 * caller's reference is the store's from now on. `expire` as above. */
struct item *store_put_rope(struct store *store, uint8_t db, struct span key, struct rope *rope,
                            qr_wall expire);

/* Bytes that come from either. */
struct store_bytes {
    struct span span;
    const struct rope *rope; /* NULL: the span */
};

static inline size_t store_bytes_n(struct store_bytes bytes)
{
    return bytes.rope != NULL ? bytes.rope->n : bytes.span.n;
}

/* Puts bytes at an offset of a string, which grows by zeros where it is too short: APPEND,
 * SETRANGE. Creates the key when missing. Keeps the expiry. The bytes must not be the item's. */
void store_write(struct store *store, uint8_t db, struct span key, size_t at,
                 struct store_bytes bytes);

/* Sets or (0) takes away the expiry. Returns the item (addresses change). */
struct item *store_set_expire(struct store *store, uint8_t db, struct item *item, qr_wall expire);
bool store_delete(struct store *store, uint8_t db, struct span key);

/* Renames without copying the value; whatever was at `to` is gone. The expiry goes along. False
 * when `from` is missing. Renaming a key onto itself changes nothing. */
bool store_rename(struct store *store, uint8_t db, struct span from, uint8_t to_db, struct span to);

void store_swap(struct store *store, uint8_t db_a, uint8_t db_b);

uint64_t store_count(const struct store *store, uint8_t db);

/* For a load in hash order: says that the database, which holds a few items of it, is about to get
 * as many in all. In that order a table would otherwise grow at its end alone, where it is full. */
void store_expect(struct store *store, uint8_t db, uint64_t items);
uint64_t store_count_expires(const struct store *store, uint8_t db);
uint64_t store_memory(const struct store *store); /* bytes, as accounted, without the past */

/* Empties a database. The memory is given back in slices by store_idle. */
void store_clear(struct store *store, uint8_t db);

/* Frees at most `items` of what was cleared or replaced; true while more is left. */
bool store_idle(struct store *store, uint32_t items);

/* Where ropes go that store_idle is to free. */
struct rope_bin *store_bin(struct store *store);

/* --- The past: keys as they were (store/past.h) ----------------------------------------------- */

/* Keeps what is overwritten from now on, which is as of that slot; with an age of 0 nothing, and
 * what was kept goes in slices. May be said again. */
void store_keep_past(struct store *store, const struct past_limits *limits, qr_slot slot,
                     qr_wall time);
/* What follows is done by the entry at that slot; it moves log time. */
void store_enter(struct store *store, qr_slot slot);
void store_move_time(struct store *store, qr_wall time);
/* NULL: it keeps none. */
const struct past *store_past(const struct store *store);
uint64_t store_past_memory(const struct store *store); /* of what is kept, and of what still goes */
/* As store_find, as of a slot that is not below the floor; unless it is PAST_LOST. */
enum past_find store_find_as_of(struct store *store, uint8_t db, struct span key, qr_slot slot,
                                struct item **item);

/* --- Who watches ----------------------------------------------------------------------------- */

/* Told of every change before it comes. Whoever is told must not change the store, and keeps
 * nothing of what it is shown. */
struct store_watch {
    /* The key, whose hash that is, is about to become another one, or to go; NULL: to come. */
    void (*change)(void *context, uint8_t db, uint64_t hash, struct span key,
                   const struct item *item);
    /* A database is about to lose all of its keys, or two to change places. */
    void (*whole)(void *context);
    void *context;
};

/* One at a time, borrowed; NULL: nobody watches any more. */
void store_watch(struct store *store, const struct store_watch *watch);

/* --- Order ----------------------------------------------------------------------------------- */

/* Calls `each` for items in hash order from `cursor` (0 = start) until it has visited at least
 * `count` items; cursors that are equal but for the last STORE_SCAN_FINE bits are never split.
 * Returns the next cursor, 0 at the end. Cursors are below 2^48 and mean the same on every replica;
 * every key that is there throughout a full iteration is visited exactly once, also by who clears
 * those last bits. `each` must not change the store. */
#define STORE_SCAN_FINE 9
uint64_t store_scan(struct store *store, uint8_t db, uint64_t cursor, uint64_t count,
                    void (*each)(void *context, struct item *item), void *context);

/* The first item at or after a point of the hash order (the full 64 bits: a random number picks a
 * random key), wrapping; NULL when the db is empty. */
struct item *store_at(struct store *store, uint8_t db, uint64_t point);

/* The item that is due first, in (expire, db, key) order; NULL when nothing expires. */
struct item *store_first_due(struct store *store, uint8_t *db);
/* The same of one database. */
struct item *store_first_due_in(const struct store *store, uint8_t db);

/* --- Walk: a consistent image while writes go on --------------------------------------------- */

/* Starts a walk over all databases as they are now. One at a time. `emit` is called for every item
 * of the image: by store_walk_next, and by the store itself just before an item not yet walked
 * changes or goes. */
void store_walk_begin(struct store *store,
                      void (*emit)(void *context, uint8_t db, const struct item *item),
                      void *context);
/* Visits `count` items more, some of them perhaps emitted before, and fewer when they are large: 64
 * KiB of a value count as another item. False when the walk is complete. */
bool store_walk_next(struct store *store, uint32_t count);
void store_walk_end(struct store *store); /* also to give up */

/* A digest of the whole content, changed with it, so that asking costs nothing. It does not depend
 * on layout or history; 0 when there is nothing. */
uint64_t store_rolling_digest(const struct store *store);
/* The same of what clients see. */
uint64_t store_content_digest(const struct store *store);

/* Another one, made anew: a digest of the whole content that does not depend on layout or history.
 * O(n); for tests and replica comparison. */
uint64_t store_digest(struct store *store);

/* Panics when an invariant of the inside does not hold; for tests. O(n). */
void store_check(struct store *store);

#endif
