/* The inside of struct engine, for the files of this directory only.
 *
 * What a replica's state is made of: the store's content, the blobs that no command has used yet,
 * and the log time. An image holds exactly those, and the digest covers exactly those; statistics
 * and scratch are neither. */
#ifndef ENGINE_ENGINE_INTERNAL_H
#define ENGINE_ENGINE_INTERNAL_H

#include "engine/engine.h"

/* Both are private to image.c: NULL when no image is being written, or loaded. */
struct image_writer;
struct image_reader;

/* Bytes of an argument that a later command of the same term will refer to (staging.c). */
struct blob {
    uint64_t number, total;
    struct rope *rope; /* what has come of it */
};

struct staging {
    qr_term term; /* of all of them */
    struct blob *v;
    uint32_t count, cap;
    uint64_t bytes; /* their totals */
};

/* Drops all blobs; the ropes go to the store's bin. */
void staging_clear(struct engine *engine);
/* The blob when it has come whole and has n bytes, else NULL. */
struct rope *staging_find(struct engine *engine, struct op_ref ref);
void staging_drop(struct engine *engine, uint64_t number);
/* Puts a blob there that an image holds; false when there is no room. The rope is not its own yet:
 * the caller appends to it. */
struct rope *staging_add(struct engine *engine, qr_term term, uint64_t number, uint64_t total);
uint64_t staging_digest(const struct engine *engine); /* 0 when there is nothing */

struct engine {
    /* What a write touches, and each turn, on one cache line, which ends with config's first. */
    struct store *store;
    qr_wall log_time;        /* the largest stamp applied so far; 0 at the start */
    struct span *argv;       /* of the command that runs, when it has many: kept between commands */
    uint64_t system_version; /* of the hidden database, as its record says; asked in every turn */
    struct engine_totals *totals; /* `alone` when it shares none */
    struct engine_config config;
    struct staging staging;

    struct image_writer *image_writer;
    struct image_reader *image_reader;
    uint32_t argv_capacity;
    uint32_t past_epoch;    /* the caller's, of what it said last */
    struct rope **ropes;    /* of those arguments that are references */
    uint64_t ids, id_bytes; /* records of requests (idempotency.c) */
    bool replayed;
    struct engine_totals alone;
};

_Static_assert(offsetof(struct engine, config.value_bytes_max) < CACHE_LINE_BYTES, "one line");

/* Log time goes on, or stays when that is not later. */
void engine_move_time(struct engine *engine, qr_wall stamp);

/* Whether that can be a record of IDS_DB. */
bool ids_fits(struct span key, struct span value, qr_wall expire);
/* A record in IDS_DB is about to be deleted, as it is due. */
void ids_expire(struct engine *engine, const struct item *record);
/* Whether the item counts records and is none itself: no image has it, since it follows from the
 * records. */
bool ids_is_count(const struct item *item);
static inline bool ids_is_count_key(struct span key)
{
    return key.p[0] == 0;
}

/* A record that comes with an image; false: it is not one that can be. */
bool ids_load(struct engine *engine, struct span key, struct span value, qr_wall expire);

/* A record of the hidden database has come with an image. */
void system_loaded(struct engine *engine, struct span key, struct span value);

/* Gives back what image.c keeps, in whatever state it is; called by engine_free before the store
 * goes. */
void engine_image_free(struct engine *engine);

#endif
