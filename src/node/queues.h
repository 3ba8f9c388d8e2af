/* How full every bounded queue of the node is and was (R4): the rows of queues.def, measured at the
 * end of each turn, for INFO and /metrics. */
#ifndef NODE_QUEUES_H
#define NODE_QUEUES_H

#include "base/types.h"

struct node;

enum queue_id {
#define QUEUE(name, limit, what) QUEUE_##name,
#include "node/queues.def"
#undef QUEUE
    QUEUES
};

struct queue_level {
    uint64_t now, most;
};

/* Before they are shown; what clients hold is as at the end of the last turn. */
void queues_measure(struct node *node);
/* At the end of each turn: measures them when the chores have run (chores.h), and when more
 * commands are under way than there were when they were measured last. */
void queues_turn(struct node *node);
/* For those who show it: `now`, or looked up where that costs more than a look. */
uint64_t queue_now(const struct node *node, enum queue_id id);

/* The same for all that show them. */
const char *queue_name(enum queue_id id);
uint64_t queue_limit(const struct node *node, enum queue_id id);

#endif
