/* Which keyspace has the longest prefix that a key begins with, in O(log n).
 *
 * The prefixes stand in order, so the last one that is not above the key either begins it, and is
 * then the longest that does, or every prefix that begins the key begins it, too: `shorter` leads
 * from each to the longest other one that begins it. */
#ifndef CLUSTER_PREFIXES_H
#define CLUSTER_PREFIXES_H

#include "cluster/map.h"

struct prefix {
    const struct map_keyspace *keyspace;
    uint32_t shorter; /* index, or NO_PREFIX */
};

struct prefixes {
    struct prefix *item;
    uint32_t count, cap;
};

void prefixes_clear(struct prefixes *prefixes);
/* Nothing when the keyspace has none. */
void prefixes_add(struct prefixes *prefixes, const struct map_keyspace *keyspace);
/* All have been added. */
void prefixes_settle(struct prefixes *prefixes);
const struct map_keyspace *prefixes_find(const struct prefixes *prefixes, struct span key);
void prefixes_free(struct prefixes *prefixes);

#endif
