/* Which protocol carries out what a keyspace asks for, and so what it promises. */
#ifndef CLUSTER_STRATEGY_H
#define CLUSTER_STRATEGY_H

#include "cluster/map.h"
#include "protocol/protocol.h"

/* Of STRATEGY primary by ACK: LOCAL, ANY and ALL differ in their promise alone (primary.h). */
const struct protocol *strategy_protocol(const struct map_keyspace *keyspace);

/* Of the options of STRATEGY primary. */
const struct protocol *strategy_of_primary(const struct primary_options *options);

/* As STRATEGY says it: "raft", "primary". */
const char *strategy_name(const struct map_keyspace *keyspace);

/* Whether group 0 names the primaries of its partitions (decision 056): each has a succession. */
static inline bool strategy_has_views(const struct map_keyspace *keyspace)
{
    return keyspace->strategy == STRATEGY_PRIMARY;
}

/* How many copies a write has when it is answered, where the request says nothing. */
struct ack strategy_ack(const struct map_keyspace *keyspace);

/* What succession goes by for that partition's wish. Not sound where the members, or those of them
 * that are in ACK's zone, are too few: then nothing is made of it. */
struct succession_wish strategy_wish(const struct map *map, const struct map_keyspace *keyspace,
                                     uint16_t members);

/* The first record of a partition that is made, whose primary is chosen when it stands (the one
 * that prefers to lead, where it does). False: its nodes cannot give what ACK says. */
bool strategy_first(const struct map *map, const struct map_keyspace *keyspace,
                    const struct map_partition *partition, struct succession *first);

/* Nodes that are said to be in that zone. */
uint16_t strategy_zone(const struct map *map, const char *zone);

#endif
