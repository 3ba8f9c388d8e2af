/* Who leads a partition, as far as this node knows: its own replica says so, or, where it holds
 * none or a late one, the nodes that lead tell each other (FRAME_LEADS). A hint is as good as its
 * term; one that was refuted by the node it names is not believed again for a while. */
#ifndef NODE_LEADERS_H
#define NODE_LEADERS_H

#include "base/types.h"

struct node;
struct partition;

/* What other nodes have said. */
struct leader_hint {
    qr_term term; /* 0: nothing */
    node_index leader;
    qr_time doubted; /* the leader said no: not before then again */
};

/* NODE_NONE: not known. */
node_index leaders_of(const struct partition *partition);

/* That node has refused a command because it does not lead. */
void leaders_refuted(struct partition *partition, node_index who);

#endif
