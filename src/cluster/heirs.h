/* The successions that a map has, in order of group: a part of map.c. */
#ifndef CLUSTER_HEIRS_H
#define CLUSTER_HEIRS_H

#include "cluster/map.h"

/* Of a partition, whether or not that is here (N2). */
struct heir {
    uint32_t group;
    struct succession succession;
};

/* Zeroed: none. */
struct heirs {
    struct heir **v; /* each on its own, since lookups hand it out */
    uint32_t count, cap;
};

void heirs_clear(struct heirs *h);
void heirs_free(struct heirs *h);

/* The record of that group is now that one; value.n == 0: it is deleted. */
enum map_status heirs_put(struct heirs *h, uint32_t group, struct span value);

const struct succession *heirs_find(const struct heirs *h, uint32_t group); /* NULL: none */

/* The first group above that one which has a record; 0: none. */
uint32_t heirs_after(const struct heirs *h, uint32_t group);

/* Nodes that some succession counts, or has counted on. */
uint16_t heirs_spoken_of(const struct heirs *h);

#endif
