/* How a keyspace looks to clients that know Redis Cluster: which node is the master of which slots.
 *
 * V1 The master of a slot is the node that leads its partition. A node that leads anything is a
 *    master and nobody's replica; one that leads nothing is the replica of one master. So every
 *    node is shown once, in one role, and CLUSTER SLOTS, SHARDS, NODES and INFO say the same.
 * V2 While the leader is not known, is gone, or has no port for these clients, the first node that
 *    is up stands in for it: it carries out what it is asked or, for a while, waits for a leader. A
 *    client that looks just then is not sent to a node that is gone.
 * V3 Epochs are terms. The epoch of a master grows with the terms of what it leads, and the current
 *    one whenever any leader changes. */
#ifndef NODE_SHARDS_H
#define NODE_SHARDS_H

#include "base/limits.h"
#include "base/types.h"

struct node;
struct partition;

/* Slots in a row with one master. */
struct shard_range {
    uint16_t first, last;
    node_index master;
};

struct shards {
    uint16_t shown;                    /* the nodes that have a port for these clients, ... */
    uint16_t up;                       /* ... of those: this one and those it hears */
    uint16_t masters;                  /* of those */
    node_index master_of[MEMBERS_MAX]; /* of a replica, which keeps one copy of it at least */
    uint64_t epoch_of[MEMBERS_MAX];
    uint64_t epoch;
    uint32_t slots_served; /* whose partition has a leader, or enough voters to get one */
    uint32_t count;
    struct shard_range *range; /* in order of slots, all of them */
};

/* As this node sees that keyspace now; one that is not there has no slots. */
void shards_look(const struct node *node, uint32_t keyspace, struct shards *out);
void shards_free(struct shards *shards);

/* Who leads the partition of that slot; NODE_NONE: not known. */
node_index shards_leader(const struct node *node, uint32_t keyspace, uint16_t slot);

/* The latest term of the partition that its own replica here, or another node, has told of. */
qr_term shards_term(const struct partition *partition);
/* How far a node's copy of keyspace 0 is known to have come; 0: not known. */
int64_t shards_offset(const struct node *node, node_index i);

/* Whether this node is a master there. */
bool shards_lead_here(const struct node *node, uint32_t keyspace);

#endif
