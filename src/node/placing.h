/* Where replicas go: what this node, which leads group 0, knows of the nodes, given to
 * cluster/place.h. */
#ifndef NODE_PLACING_H
#define NODE_PLACING_H

#include "cluster/map.h"
#include "node/edit.h"

struct node;

/* How many nodes can hold replicas. */
uint32_t placing_nodes(const struct node *node);

/* Adds the partitions of a keyspace that is being made. */
void placing_found(const struct node *node, const struct map_keyspace *keyspace, struct edit *edit);

#endif
