/* Positions: what of a partition's history somebody knows (node/session.h), as one number that can
 * be carried in tokens and between nodes.
 *
 * What raft has committed at a slot stays there, so of its groups a position is a slot. A partition
 * with a primary may lose the end of its history when a primary is chosen that lacks it (LOCAL, or
 * by order): then the same slots name other entries. Group 0 counts these choices in the
 * partition's succession, and how much of the history each has kept; a position is the count so
 * far, and the slot.
 *
 * O1 Of equal counts the larger slot has all that the smaller one has.
 * O2 A position of fewer losses is still part of the history if none of the losses since then kept
 *    less than its slot. What each has kept is told for the last few; of the others it is not
 *    known, and not known is lost: nothing is passed in silence.
 * O3 What a loss has kept is known only where the chosen log ends in the last term of which
 *    anything may be missing. Else its end may be of a history that was given up before.
 * O4 A succession that was written below MAP_LEVEL_FOLLOWERS does not count: nothing is known by
 *    it. When it begins to, all of before is lost. */
#ifndef CLUSTER_POSITION_H
#define CLUSTER_POSITION_H

#include "base/panic.h"
#include "base/types.h"

#define LOSSES_LISTED 6u
#define POSITION_LOSSES_MAX UINT16_MAX /* from there on every position is lost */
#define POSITION_SLOT_BITS 48u
#define POSITION_SLOTS ((1ull << POSITION_SLOT_BITS) - 1)

/* In a succession; zeroed: it does not count (O4). */
struct lineage {
    bool counted;
    uint8_t listed;
    uint16_t count;
    struct loss_kept {
        qr_term term; /* whose primary was chosen so */
        qr_slot kept;
    } last[LOSSES_LISTED]; /* the latest at the end */
};

void losses_add(struct lineage *losses, qr_term term, qr_slot kept);

/* How many there were in the history of that term. False: it is not known. */
bool losses_by(const struct lineage *losses, qr_term term, uint16_t *count);

static inline qr_slot position_of(uint16_t losses, qr_slot slot)
{
    qr_assert(slot <= POSITION_SLOTS);
    return (qr_slot)losses << POSITION_SLOT_BITS | slot;
}

static inline uint16_t position_losses(qr_slot position)
{
    return (uint16_t)(position >> POSITION_SLOT_BITS);
}

static inline qr_slot position_slot(qr_slot position)
{
    return position & POSITION_SLOTS;
}

#define POSITION_NEVER UINT64_MAX

/* The slot that a state of so many losses must have applied to show what that position does;
 * POSITION_NEVER: it has lost that, or lacks a loss itself. */
qr_slot position_here(const struct lineage *losses, uint16_t count, qr_slot position);

/* Knows what both do. NULL: of a group whose positions are slots. False: it is not known how they
 * lie to each other, and *known is the one of fewer losses, as it is where that is lost. */
bool position_join(const struct lineage *losses, qr_slot *known, qr_slot more);

#endif
