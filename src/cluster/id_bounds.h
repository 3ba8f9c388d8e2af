/* How many ids of requests are remembered, and for how long (engine/idempotency.c).
 *
 * The node that encodes a command writes the bounds into its op, as it knows them of the keyspace.
 * From then on the op is what it is: who forwards it, proposes it or tries it again has nothing to
 * add, and all replicas judge it by the same bounds, whichever state of the keyspace they know. */
#ifndef CLUSTER_ID_BOUNDS_H
#define CLUSTER_ID_BOUNDS_H

#include "cluster/map.h"

struct id_bounds {
    uint32_t seconds, count; /* of one producer */
    uint64_t bytes;
};

/* What was said of the keyspace, or what is where nothing is. */
struct id_bounds id_bounds_of(const struct map_keyspace *keyspace);

/* Those of one partition, which has an equal share of the bytes. The defaults where the group is
 * not known: its commands are refused when they come to where it was. */
struct id_bounds id_bounds_of_group(const struct map *map, uint32_t group);

#endif
