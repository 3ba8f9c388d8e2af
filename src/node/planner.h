/* The planner: while this node leads group 0 it closes the gap between what is wished for and what
 * is, a few moves at a time: it notes down what partitions have reached, and begins what
 * cluster/place.h finds due. All that it knows stands in the map, so that the next leader goes on.
 *
 * PN1 What it writes is one change of the control state like any other (control.h), in batches.
 * PN2 At most MOVES_MAX moves are under way, not counting those whose partitions have no leader;
 *     with a rate one at a time, and the next one begins when the bytes of those before have had
 *     their time. Its snapshot goes no faster either (planner_copy_rate); entries that are still
 *     in the log of its leader do. */
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
    uint64_t left_bytes;  /* of the moves that are left, to be copied */
    uint64_t begun_bytes; /* of those that were begun since then */
    qr_time since;        /* when the first began after nothing was left; 0: nothing has */
};

void planner_turn(struct node *node, qr_time now);
/* Brings what is left up to date: who asks right behind an order must not hear of the time before
 * it. */
void planner_look(struct node *node);

/* How far a move is: the newcomer that lacks most. */
struct planner_progress {
    uint64_t bytes, bytes_left; /* to be copied to it; bytes_left is an estimate */
    uint64_t entries_left;      /* of the log */
    uint32_t percent;           /* below 100 until nothing is left */
};
struct map_partition;
struct planner_progress planner_progress_of(const struct node *node, const struct map_partition *p);
/* Bytes a second at which this node may give a snapshot of that group, if that is for a move and
 * moves have a rate; else `most`. */
uint64_t planner_copy_rate(const struct node *node, uint32_t group, uint64_t most);

#endif
