#include "node/planner.h"

#include "node/control_internal.h"

void planner_turn(struct node *node, qr_time now)
{
    (void)node;
    (void)now;
}
