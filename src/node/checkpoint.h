/* Checkpoint files: the engine's image on disk, so that the log before it may be trimmed.
 *
 * A checkpoint is written beside the old one while the node goes on, a slice per turn of the loop,
 * and takes its place by a rename once every byte is durable. At any crash either the old or the
 * new file is there, whole (scenarios 56, 106, 107). docs/checkpoint-format.md has the layout. */
#ifndef NODE_CHECKPOINT_H
#define NODE_CHECKPOINT_H

#include "engine/engine.h"
#include "io/io.h"
#include "node/roster.h"

#define CHECKPOINT_FILE "checkpoint"
#define CHECKPOINT_NEW_FILE "checkpoint.new"
/* The one before, to be written over by the next: its blocks are there already, so that the next
 * one's sync has no metadata to commit, for which the log's syncs would wait. */
#define CHECKPOINT_SPARE_FILE "checkpoint.spare"

/* What a follower has of another node's checkpoint so far (snapshot_fetch.h). */
#define CHECKPOINT_RECEIVED_FILE "checkpoint.received"

/* One that could not be read, kept for evidence (damage.h). */
#define CHECKPOINT_DAMAGED_FILE "checkpoint.damaged"

/* This replica acknowledges what its disk does not have yet (early.h). */
#define EARLY_FILE "early"

/* The state that the checkpoint is of, and this node's, is not to be served (quarantine.h). */
#define QUARANTINED_FILE "quarantined"

/* Whose state it is and up to where. */
struct checkpoint_header {
    uint8_t cluster[16]; /* cluster id */
    uint8_t uuid[16];    /* of the data directory */
    uint32_t group;
    qr_slot slot;        /* everything up to it is applied */
    qr_term term;        /* of that slot */
    qr_term commit_term; /* in which the state was known to be committed; 0: not known */
    /* It came from another node and took the place of state and log: a log that says otherwise is
     * an older one, whose end was never written. */
    bool installed;
    qr_slot roster_slot;   /* of the entry that states the roster; 0: the group was made with it */
    uint16_t roster_bytes; /* 0: it is not known, as in format 1 */
    uint8_t roster[ROSTER_BYTES_MAX]; /* in force at `slot`, as roster_write made it */

    /* Filled in by the writer and the readers. */
    uint64_t salt;    /* random: it stands for the file */
    qr_wall log_time; /* of the state */
    uint16_t format;
    uint16_t level; /* of the semantics that whoever reads it has to know */
    uint64_t bytes; /* of the file */
};

/* --- Writing --------------------------------------------------------------------------------- */

struct checkpoint; /* one being written */

enum checkpoint_result {
    CHECKPOINT_DONE,      /* durable under its name: the log may be trimmed up to its slot */
    CHECKPOINT_ABANDONED, /* the disk is full or too slow; nothing is left behind: try again later
                           */
    CHECKPOINT_FAILED,    /* a write or sync failed: the node must stop (R7) */
};

/* What came of it; `message` is one sentence for the log. Called once, from checkpoint_step or from
 * a completion of io; the checkpoint is gone when it returns. */
typedef void checkpoint_done(void *context, enum checkpoint_result result,
                             const struct checkpoint_header *header, const char *message);

/* Begins a checkpoint of header->group, in the data directory `dir` (checkpoint_place.h): of the
 * engine as it is now, with everything up to header->slot applied. One at a time for an engine.
 * Errors arrive through `done`, never from inside the call. */
struct checkpoint *checkpoint_start(struct io *io, const char *dir, struct engine *engine,
                                    const struct checkpoint_header *header, checkpoint_done *done,
                                    void *context);

/* Once in every turn of the loop while one is being written: walks for about `budget`
 * microseconds, unless the disk is behind. True when it would go on at once,
 * that is, when the loop should not sleep; false while it waits for the disk, whose completion
 * makes a turn, and when it is over: the pointer is then void if `done` has been called. */
bool checkpoint_step(struct checkpoint *checkpoint, qr_time budget);

/* The old file is still being read: the next checkpoint must not be written over it. 0, or a
 * negative errno: it may still be. */
int checkpoint_forget_spare(struct io *io, const char *dir, uint32_t group);

/* Bytes written so far; in `done`, of the whole file. */
uint64_t checkpoint_bytes(const struct checkpoint *checkpoint);

/* Bytes that wait for the disk. */
size_t checkpoint_queued_bytes(const struct checkpoint *checkpoint);

/* Gives up, unless the file is just taking its place: `done` says what came of it. The engine is
 * left alone at once. */
void checkpoint_cancel(struct checkpoint *checkpoint);

/* Gives up: `done` is not called, the engine is left alone at once, files and memory go when the
 * disk is done with them. If the file is just taking its place, it will. */
void checkpoint_abort(struct checkpoint *checkpoint);

/* --- Loading --------------------------------------------------------------------------------- */

enum checkpoint_load_result {
    CHECKPOINT_NONE, /* there is none: the log must begin at slot 1 */
    CHECKPOINT_LOADED,
    CHECKPOINT_FOREIGN,    /* of another cluster, directory or group, or of a newer version */
    CHECKPOINT_DAMAGED,    /* never ignored: the log behind it may be trimmed */
    CHECKPOINT_UNREADABLE, /* the disk said so */
};

/* Loads the group's checkpoint into an empty engine. `header` names the cluster, the directory
 * and the group that are expected; the rest is filled in. Unless the result is LOADED or NONE
 * the engine's content is worth nothing, the node must not start, and `message` (cap bytes) says in
 * one sentence what was found and what to do. A left-over of an unfinished checkpoint is deleted.
 * The caller still has to compare the slot with where the log begins (scenario 48). */
enum checkpoint_load_result checkpoint_load(struct io *io, const char *dir, struct engine *engine,
                                            struct checkpoint_header *header, char *message,
                                            size_t cap);

#endif
