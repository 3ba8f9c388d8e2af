/* The planner: while this node leads group 0 it closes the gap between what is wished for and what
 * is, a few moves at a time: it notes down what partitions have reached, and begins what
 * cluster/place.h finds due. All that it knows stands in the map, so that the next leader goes on.
 *
 * PN1 What it writes is one change of the control state like any other (control.h), in batches.
 * PN2 At most MOVES_MAX moves are under way, not counting those whose partitions have no leader;
 *     with a rate one at a time, and the next one begins when the bytes of those before have had
 *     their time. A partition is copied at full speed. */
#ifndef NODE_PLANNER_H
#define NODE_PLANNER_H

#include "base/types.h"

struct node;

struct planner {
    qr_time next;         /* when it looks again */
    uint64_t seen;        /* map_changes, when nothing was left to do */
    uint32_t nodes;       /* which nodes were there then */
    qr_time filled;       /* the bucket of the rate */
    int64_t tokens;       /* bytes that may be moved now; below 0: not yet */
    uint64_t begun;       /* moves that this leader has begun */
    uint64_t settled;     /* and partitions that it has noted down as settled */
    uint32_t left, stuck; /* as of the last look */
};

void planner_turn(struct node *node, qr_time now);

#endif
