/* The control state as the nodes show it, whenever it is looked at (charts.c). */
#ifndef SIM_NODES_CHARTS_H
#define SIM_NODES_CHARTS_H

#include "cluster/coverage.h"
#include "sim/nodes/ordered.h"

struct charts;

struct charts *charts_new(void);
void charts_free(struct charts *charts);

/* A node has that map at that version of the state. NULL, or what is wrong with it, or with a
 * keyspace that no node has shown before. */
const char *charts_see(struct charts *charts, const struct map *map, uint64_t version,
                       struct ordered *ordered);
/* Whether keys of all prefixes of that map and of the latest state that was seen, those that are
 * frozen aside, lead where they do there: of who goes by prefixes that is asked
 * (cluster/coverage.h). NULL, or what is wrong. */
const char *charts_go_by(const struct charts *charts, const struct map *map,
                         const struct freeze *frozen);
/* Versions that were seen. */
uint64_t charts_seen(const struct charts *charts);

#endif
