/* The past of a store: what was overwritten lately, so that a key can be looked at as it was.
 *
 * Whoever changes the store says which slot of the log it does so for. The first change of a key in
 * a slot leaves a version: what the key was before. So as of slot s a key is what the oldest of its
 * versions behind s says, and what it is now when there is none.
 *
 * B1 As of every slot from the floor on, all that was is known, but for values that were too large
 *    to be kept: that they are lost is known then.
 * B2 The floor rises with age, which is counted in log time, and with bytes; it never falls. What
 *    lies below it is looked at no more, and freed in slices.
 * B3 It is no part of the state: replicas that have applied the same may differ in it, and neither
 *    images nor digests know of it. */
#ifndef STORE_PAST_H
#define STORE_PAST_H

#include "base/rope.h"
#include "base/types.h"

struct item;
struct past;

struct past_limits {
    int64_t age;    /* of log time, in microseconds: what is older may go; 0: nothing is kept */
    uint64_t bytes; /* and never more than so much */
};

/* It begins as of that slot, in whose state it was that time. `memory`: a sum that it is part of.
 */
struct past *past_new(const struct past_limits *limits, qr_slot slot, qr_wall time,
                      uint64_t *memory);
void past_free(struct past *past);
void past_set_limits(struct past *past, const struct past_limits *limits);
/* Counts in another sum from now on. */
void past_leave(struct past *past, uint64_t *memory);

/* What follows is done by the entry at that slot, */
void past_enter(struct past *past, qr_slot slot);
/* which moves log time. */
void past_move_time(struct past *past, qr_wall time);

/* The key is about to become another one, or to go; NULL: to come. Those of the node's own database
 * are not kept. Ropes that are let go are put into the bin. */
void past_note(struct past *past, uint8_t db, uint64_t hash, struct span key,
               const struct item *item, struct rope_bin *bin);
/* The same where the item's value is about to be written into, and keeping it would cost the
 * store's own value its shape: it is lost. */
void past_note_lost(struct past *past, uint8_t db, uint64_t hash, struct span key,
                    struct rope_bin *bin);
/* Much changes at once: the past begins anew, behind the entry that does so. */
void past_cut(struct past *past);

enum past_find {
    PAST_NOW,  /* the key is since then what it is now */
    PAST_WAS,  /* it was that item, */
    PAST_NONE, /* or not there, */
    PAST_LOST, /* or nobody knows any more */
};

/* What the key was as of `slot`, which is not below the floor. The item is borrowed until the next
 * change. */
enum past_find past_find(const struct past *past, uint8_t db, uint64_t hash, struct span key,
                         qr_slot slot, struct item **item);

qr_slot past_floor(const struct past *past);
/* The log time of the state of `slot`, which is not below the floor. */
qr_wall past_time_at(const struct past *past, qr_slot slot);
uint64_t past_memory(const struct past *past); /* bytes, as accounted */

/* Frees at most `items` of what nobody can ask for; true while more is left. */
bool past_idle(struct past *past, uint32_t items, struct rope_bin *bin);

/* Panics when an invariant of the inside does not hold; for tests. O(n). */
void past_check(const struct past *past);

#endif
