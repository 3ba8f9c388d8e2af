/* Large arguments into the log: parts first, then the command that refers to them.
 *
 *   RECORD_BLOB   u64 number, u64 bytes in all (0: the blob is given up), u64 offset, bytes
 *
 * A command's arguments of more than LARGE_BYTES are blobs. The leader numbers them and proposes
 * them in parts, in order, a few per turn, those of several commands side by side and other
 * clients' commands between them; and then the command. Applying a part appends it to the blob
 * (engine.h).
 *
 * B1 The command's entry alone decides whether it is applied (D1): before it is proposed the
 *    command is surely not applied, and may be tried again from its beginning.
 * B2 A command has the term of its parts. So the first entry of another term frees what a dead
 *    leader has left; a leader that goes on frees what it gave up by an entry of its own. */
#ifndef NODE_BLOBS_H
#define NODE_BLOBS_H

#include "base/types.h"

struct cargo;
struct pending;
struct pendings;
struct record;
struct replica;

#define BLOB_HEAD_BYTES 24u

/* This leader's account; all of it is void when the term changes. */
struct blobs {
    qr_term term;
    uint64_t next_number;
    size_t flight_bytes;    /* of parts that are proposed and not applied */
    uint64_t opening_bytes; /* of blobs whose first part is */
    uint64_t *dropped;      /* numbers of those given up, to be proposed */
    uint32_t dropped_count, dropped_cap;
};

/* p, a write with a cargo, is in no queue: its arguments go ahead of it. */
void blobs_load(struct replica *r, struct pending *p);
/* p is taken out of the queue of those that load. */
void blobs_forget(struct replica *r, struct pending *p);
/* What is in the log of it will not be used: it goes, whatever queue its command was in. */
void blobs_abandon(struct replica *r, const struct cargo *cargo);
/* Once a turn, before the batch is submitted: adds to it what may be. */
void blobs_turn(struct replica *r);
/* A part got its slot. */
void blobs_proposed(struct replica *r, struct span payload);
/* One that got none. */
void blobs_unproposed(struct replica *r, struct span payload);
/* The batch was refused: what was in it has not been carried on. */
void blobs_refused(struct replica *r, struct pendings *refused);
/* Whether the payload of a RECORD_BLOB can be applied. */
bool blobs_has_meaning(struct span payload);
/* A part goes into the staging area; and it is committed, and was of this leader's term or not. */
void blobs_stage(struct replica *r, struct span payload);
void blobs_landed(struct replica *r, const struct record *record);
void blobs_free(struct replica *r);

#endif
