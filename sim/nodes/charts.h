/* The control state as the nodes show it, whenever it is looked at (charts.c). */
#ifndef SIM_NODES_CHARTS_H
#define SIM_NODES_CHARTS_H

#include "sim/nodes/ordered.h"

struct charts;

struct charts *charts_new(void);
void charts_free(struct charts *charts);

/* A node has that map at that version of the state. NULL, or what is wrong with it, or with a
 * keyspace that no node has shown before. */
const char *charts_see(struct charts *charts, const struct map *map, uint64_t version,
                       struct ordered *ordered);
/* Versions that were seen. */
uint64_t charts_seen(const struct charts *charts);

#endif
