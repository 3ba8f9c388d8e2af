/* Where replicas go: what group 0's leader knows of the nodes, for cluster/place.h. */
#ifndef NODE_PLACING_H
#define NODE_PLACING_H

#include "cluster/place.h"
#include "node/edit.h"

struct node;

struct place_nodes placing_nodes(const struct node *node);
/* The same, and live are those only that could found a replica at once. */
struct place_nodes placing_ready(const struct node *node);
/* Whether of so many replicas a majority could be founded at once. */
bool placing_can_found(const struct node *node, uint32_t replicas);

/* Adds the partitions of a keyspace that is being made, each on `replicas` nodes or, where they can
 * not be founded, on fewer; with views, their successions too. False: ACK could not be met by those
 * of the partition in *refused, and the edit is of no use. */
bool placing_found(const struct node *node, const struct map_keyspace *keyspace, struct edit *edit,
                   struct map_partition *refused);

#endif
