/* How the cluster looks to clients that know Redis Sentinel: every node is a sentinel of a master
 * of one name, the leader of keyspace 0, and the other nodes are its replicas. A created keyspace
 * is one more master, by its own name. Messages are of keyspace 0's.
 *
 * While no leader is known a node that is up stands in for the last one, if that is gone: its plain
 * port takes commands as every node's does, and lets them wait for the leader. Where there cannot
 * be one the master is shown as down.
 *
 * A created keyspace that is named as keyspace 0 is here has no master: clients that put masters in
 * a table by name would take it for keyspace 0. A node that was removed knows of no master, so that
 * its clients ask another sentinel. */
#ifndef NODE_SENTINEL_H
#define NODE_SENTINEL_H

#include "base/types.h"
#include "node/places.h"

struct node;

struct sentinel_view {
    char name[64];
    node_index master; /* NODE_NONE: none was known yet */
    bool down;         /* no leader, and too few voters are up to elect one */
    uint32_t known;    /* nodes, ... */
    uint32_t up;       /* ... of those: this one and those it hears */
    uint32_t sentinels;
    uint32_t quorum;
    uint64_t epoch;
};

/* The masters that there are, by number; false beyond the last. */
bool sentinel_at(const struct node *node, uint32_t i, struct sentinel_view *out);
/* The one of that name; false when there is none. */
bool sentinel_named(const struct node *node, struct span name, struct sentinel_view *out);

/* What was last told by messages. */
struct sentinel_told {
    node_index master; /* index + 1; 0: none yet */
    struct place master_place;
    uint32_t known, up;
};

/* Publishes what has changed: +switch-master, +slave, +sentinel, +sdown, -sdown. */
void sentinel_tell(struct node *node);

#endif
