/* Where replicas go: what group 0's leader knows of the nodes, for cluster/place.h. */
#ifndef NODE_PLACING_H
#define NODE_PLACING_H

#include "cluster/place.h"
#include "node/edit.h"

struct node;

struct place_nodes placing_nodes(const struct node *node);

/* Adds the partitions of a keyspace that is being made, each on `replicas` nodes or, where there
 * are fewer, on all of them. */
void placing_found(const struct node *node, const struct map_keyspace *keyspace, struct edit *edit);

#endif
