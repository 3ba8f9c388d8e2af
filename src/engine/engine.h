/* The engine: data types over a store, executed deterministically (rows R9, U56).
 *
 * Time is log time: the largest stamp of the entries applied so far. A key whose expiry is at or
 * below log time is due: every command treats it as absent, a write that touches it removes it, and
 * ticks remove the rest in (expire, db, key) order. Nothing here reads a clock, the environment or
 * a source of randomness (R1's deny-list). */
#ifndef ENGINE_ENGINE_H
#define ENGINE_ENGINE_H

#include "base/types.h"
#include "command/op.h"
#include "resp/reply.h"
#include "store/store.h"

struct engine;

struct engine_stats {
    uint64_t expired_keys, keyspace_hits, keyspace_misses;
    /* Ops with an id: answered from a record, refused for another command's, and for want of room.
     */
    uint64_t ids_replayed, ids_mismatched, ids_refused;
};

/* What all engines that share it come to. They are of one thread (but see engine_leave). */
struct engine_totals {
    uint64_t memory;        /* of their stores */
    uint64_t staged;        /* engine_staged_bytes */
    uint64_t ids, id_bytes; /* records of requests, and their bytes as IDMP-MAXBYTES counts them */
    struct engine_stats stats;
};

struct engine_config {
    uint64_t value_bytes_max; /* max-value-bytes */
    uint8_t hash_key[16];
    /* Told of every record of the hidden database that an op has changed (a value of no bytes: it
     * went) and then, with a key of no bytes, of the new version. Both are borrowed. Not told of
     * what is loaded from an image. NULL: nobody wants to know. */
    void (*system_changed)(void *context, struct span key, struct span value);
    void *system_context;
    struct engine_totals *totals; /* NULL: its own */
};

struct engine *engine_new(const struct engine_config *config);
void engine_free(struct engine *engine);
/* What it holds counts no more in the totals: before another thread frees it. */
void engine_leave(struct engine *engine);
struct store *engine_store(struct engine *engine);

/* Executes a write in log order; the reply is appended to `reply`. Unknown tags and malformed
 * arguments answer an error and change nothing, the same on every replica. */
void engine_apply(struct engine *engine, const struct op *op, struct reply *reply);
/* Whether what was applied last had been carried out before under its id: it changed nothing, and
 * the reply is that of the first time. */
bool engine_replayed(const struct engine *engine);

/* --- Blobs: arguments that come in parts, in log order, before the command that refers to them ---
 */

/* An entry of that term is next. Blobs of an earlier one go: nothing can refer to them any more. */
void engine_enter_term(struct engine *engine, qr_term term);
/* A part of a blob, in order; what does not fit (a gap, another length, too many of them) is passed
 * over, the same on every replica, and a command that refers to it is refused. */
void engine_blob_part(struct engine *engine, uint64_t number, uint64_t total, uint64_t at,
                      struct span bytes);
/* Whoever sent it gave up. */
void engine_blob_drop(struct engine *engine, uint64_t number);
uint64_t engine_staged_bytes(const struct engine *engine); /* of blobs, as announced */
/* Where ropes go that engine_idle is to free, in slices. */
struct rope_bin *engine_bin(struct engine *engine);

/* Finds the first key in an encoded op (op_first_argument), or entry of rows (rows_first_key). */
typedef bool engine_key_of(struct span entry, struct span *key, uint8_t *db);
/* Fetches from memory what these will touch, up to STORE_PREFETCH_MAX of them: for a run of them
 * that is executed or applied right afterwards. Nothing changes. */
void engine_prefetch(const struct engine *engine, engine_key_of *key_of, const struct span *entries,
                     uint32_t n);

/* Applies a tick: log time moves to stamp and at most EXPIRE_BATCH_KEYS due keys go. */
void engine_tick(struct engine *engine, qr_wall stamp);

enum engine_read_result {
    ENGINE_READ_DONE,
    ENGINE_READ_DUE, /* it met a key that is due at op->stamp and still there: wait for a tick that
                        reaches op->stamp, then ask again; nothing was written to the reply */
};

/* Executes a read; op->stamp is the leader's clock, log time rules what is already due. */
enum engine_read_result engine_read(struct engine *engine, const struct op *op,
                                    struct reply *reply);

/* The same with the op->argc arguments as the client sent them, without the name; op->args is not
 * looked at. */
enum engine_read_result engine_read_arguments(struct engine *engine, const struct op *op,
                                              const struct span *argv, struct reply *reply);

/* --- The past: keys as they were (store/past.h) ---------------------------------------------- */

/* Keeps what is overwritten from `slot` on, up to which it has applied, or with an age of 0
 * nothing. `epoch` is the caller's, to see by whether it has said so already: 0 before the first
 * time. */
void engine_keep_past(struct engine *engine, const struct past_limits *limits, qr_slot slot,
                      uint32_t epoch);
uint32_t engine_past_epoch(const struct engine *engine);
/* The entry at that slot is next, whatever it is. */
void engine_enter(struct engine *engine, qr_slot slot);
/* The oldest slot that can be asked for; false: nothing is kept. */
bool engine_past_floor(const struct engine *engine, qr_slot *floor);
uint64_t engine_past_memory(const struct engine *engine); /* bytes; in the totals too */

enum engine_as_of {
    ENGINE_AS_OF_DONE,
    ENGINE_AS_OF_TOO_OLD, /* the slot is below the floor; nothing was written to the reply, */
    ENGINE_AS_OF_LOST,    /* nor when a value of then was too large to be kept */
};

/* Executes a read of keys as of a slot that is applied; what has no keys is answered an error. */
enum engine_as_of engine_read_as_of(struct engine *engine, const struct op *op, qr_slot slot,
                                    struct reply *reply);

qr_wall engine_log_time(const struct engine *engine);
/* When the next tick is wanted: the earliest expiry; QR_NEVER when nothing expires. */
qr_wall engine_next_due(struct engine *engine);

/* --- The hidden database: records for the node itself, changed by ops of OP_SYSTEM alone ---- */

#define SYSTEM_KEY_BYTES_MAX 255u
#define SYSTEM_VALUE_BYTES_MAX (16 * KIB)

/* How often it has been changed: what the next op has to expect. 0: never. */
uint64_t engine_system_version(const struct engine *engine);
/* A record's value, borrowed until the next change; of no bytes when there is none. */
struct span engine_system_get(const struct engine *engine, struct span key);
/* All records, in an order that is the same on every replica; `each` must not change them. */
void engine_system_each(const struct engine *engine,
                        void (*each)(void *context, struct span key, struct span value),
                        void *context);

/* What a binary has to understand to go on with this state: SEMANTICS_LEVEL, or more. */
uint16_t engine_level(const struct engine *engine);

/* Slices of deferred work (freeing); true while more is left. */
bool engine_idle(struct engine *engine);

/* --- Checkpoints: chunks of bytes, written to files by the node ----------------------------- */

/* Begins an image of the state as it is now (all of it applied up to the caller's slot). Chunks of
 * at most IMAGE_CHUNK_BYTES are handed to `sink` in order while engine_image_next is called and
 * writes go on: a write may cause a chunk too, when it touches what is not in the image yet. A
 * chunk is borrowed for the call. */
void engine_image_begin(struct engine *engine, void (*sink)(void *context, struct span chunk),
                        void *context);
/* Goes on by `items` keys, fewer when they are big (IMAGE_SLICE_BYTES); false: complete and ended.
 */
bool engine_image_next(struct engine *engine, uint32_t items);
void engine_image_end(struct engine *engine); /* gives up; harmless when none is running */
/* Bytes of large values that are kept for the image alone: they have been replaced meanwhile. */
uint64_t engine_image_held(const struct engine *engine);

/* Says how long the image that is about to be loaded is; so the store can make room for its items
 * at once. It need not be exact, nor be said. */
void engine_image_expect(struct engine *engine, uint64_t bytes);

/* Loads an image into an empty engine, chunk by chunk as the sink saw them; false when malformed:
 * the engine's content is then worth nothing. Time moves only when the last chunk is in. */
bool engine_image_load(struct engine *engine, struct span chunk);
/* True when an image was loaded to its end, every check passed. */
bool engine_image_complete(const struct engine *engine);

const struct engine_totals *engine_totals(const struct engine *engine);
/* Both cover content and log time, and are the same on all replicas that have applied the same: the
 * rolling one is changed with the state and costs nothing to ask for, the other is made anew. */
uint64_t engine_rolling_digest(struct engine *engine);
uint64_t engine_digest(struct engine *engine);
/* 160 bits of the rolling one, of the content alone; zero when there is none. */
void engine_content_digest(struct engine *engine, uint8_t out[20]);

#ifdef QUORATE_FAILPOINTS
/* Changes the value of a key, silently, as a bug would; false when there is no such key. */
bool engine_corrupt(struct engine *engine, uint8_t db, struct span key);
#endif

#endif
