/* LOG logical at a replica: a primary executes a command when it proposes it, and its log holds
 * what that has changed (engine/rows.h); followers apply rows when they are committed.
 *
 * So the state may be ahead of what is applied, which stays what it was: what is committed, and
 * answered. What lies between is in the overlay (engine/overlay.h).
 *
 * E1 A command is executed when the protocol has taken it and given it its slot, so one that was
 *    refused was not executed. Only a state that holds all of the log goes on (`state` == `last`):
 *    who becomes primary first applies what it finds in its log.
 * E2 Its reply is kept until its slot is applied with its own term (replica.h: D1).
 * E3 A read shows what is executed. Its reply is kept until all that it could see is committed;
 *    only at the level LOCAL it leaves at once. So it is executed when its turn comes, and a key
 *    that never rests lets nobody wait for ever.
 * E4 A read ahead of a write of its own client is executed before it (stream.h: S2), and where it
 *    has no proof of its own, its reply is kept until that write is committed, which proves it: the
 *    write was proposed after the read had arrived.
 * E5 A kept reply leaves, or is refused when what it shows was taken back or cannot be told any
 *    more. A read that was refused so has shown nothing, but is not tried again: what its client
 *    has asked behind it may have been shown already.
 * E6 Bounded: with a full overlay, or replies of as much, nothing more is taken. What was taken
 *    before goes on as statements, of which the overlay keeps no images.
 * E7 A checkpoint holds nothing but what is applied: while one is due nothing is executed until
 *    what is executed is applied; not for long, for that may never be.
 * E8 What is taken back is undone by its rows, entry by entry as the log holds them, and only where
 *    all of them can be. `one_way` is the last that cannot, of those that this life knows: what
 *    the state began with is not asked. */
#ifndef NODE_EXECUTE_H
#define NODE_EXECUTE_H

#include "engine/overlay.h"
#include "engine/rows.h"
#include "node/stream.h"
#include "protocol/protocol.h"

struct record;
struct replica;

struct execute {
    struct overlay *overlay;
    qr_slot state; /* the engine holds entries up to here: at least what is applied */
    qr_term state_term;
    qr_slot last;         /* of the log */
    qr_slot one_way;      /* E8 */
    struct pendings kept; /* reads with their replies, by no order */
    size_t kept_bytes;    /* of those replies, and of writes' */
    qr_time held_since;   /* E7; 0: not */
    /* The digest of a state that is not applied yet, told when it is; 0: none. */
    qr_slot noted;
    uint64_t noted_digest;
};

/* From the replica's first moment on. */
struct execute *execute_new(const struct replica *r);
void execute_free(struct execute *x);

/* Whether another command may be taken (E1, E6, E7). */
bool execute_may(const struct replica *r);
/* The batch that the protocol has taken, from slot `lo` on: executed, and in the log. */
void execute_batch(struct replica *r, qr_slot lo, qr_term term);
/* The first entry of a term is in the log, of this node's own. */
void execute_noop(struct replica *r, qr_slot slot, qr_term term);
/* Entries were added to the log, or cut from it. */
void execute_logged(struct replica *r);

/* A committed entry of the log that is in the state already; the next one. */
void execute_settle(struct replica *r, const struct record *record);
/* One that was not is, with what stood in its way told: whether it can be undone. */
void execute_applied(struct replica *r, const struct record *record, bool one_way);
/* Entries up to there are applied: what waits for them leaves. */
void execute_release(struct replica *r);
/* The rows of a committed entry, at whoever has not executed it. False: they do not fit. */
bool execute_apply(struct replica *r, const struct record *record, bool *one_way);
/* Whether that payload of RECORD_ROWS can be applied. */
bool execute_has_meaning(struct span payload);

/* Which slot must be applied before a read of that level may show the state; 0: none. Arguments
 * without the name. */
qr_slot execute_awaited(const struct replica *r, enum read_level level,
                        const struct command_spec *spec, uint8_t db, const struct span *argv,
                        uint32_t argc);
/* The same of an op. */
qr_slot execute_awaited_by(const struct replica *r, const struct pending *p, const struct op *op);

/* Where p's reply goes while it is kept; it is, with all it has to show: a write until it lands, a
 * read until `slot` is applied. */
struct reply *execute_reply(struct pending *p);
void execute_keep(struct replica *r, struct pending *p);
void execute_keep_read(struct replica *r, struct pending *p, qr_slot slot);
/* p's reply leaves. */
void execute_answer(struct replica *r, struct pending *p);
/* p is to have another answer than the one that is kept, if any is. */
void execute_drop_reply(struct replica *r, struct pending *p);
/* A read whose reply is kept leaves its queue. */
void execute_leave(struct replica *r, struct pending *p);

/* What follows `slot` is to be taken back; the log has it still. False: not by rows, or the state
 * is not what the log says: it is to be made anew. */
bool execute_undo(struct replica *r, qr_slot slot);
/* The engine is another one, which holds entries up to `slot`. */
void execute_reset(struct replica *r, qr_slot slot, qr_term term);

#endif
