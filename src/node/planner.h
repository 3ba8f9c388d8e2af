/* The planner: while this node leads group 0, what has to be done about replicas so that the wishes
 * of operators come true, a few moves at a time. */
#ifndef NODE_PLANNER_H
#define NODE_PLANNER_H

#include "base/types.h"

struct node;

struct planner {
    qr_time next; /* when it looks again */
};

void planner_turn(struct node *node, qr_time now);

#endif
