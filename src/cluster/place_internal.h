/* A plan in the making: partitions with their wishes so far, and what each node has by them. */
#ifndef CLUSTER_PLACE_INTERNAL_H
#define CLUSTER_PLACE_INTERNAL_H

#include "cluster/place.h"
#include "protocol/quorum.h"

/* Where ACK wants replicas (PL6). Zeroed: wherever they are. */
struct place_home {
    uint16_t nodes;
    uint16_t least; /* so many of them */
};

static inline bool place_keeps_home(const struct place_home *home, uint16_t set)
{
    return quorum_count((uint16_t)(set & home->nodes)) >= home->least;
}

struct place_item {
    const struct map_partition *partition;
    struct place_home home;
    uint16_t wish;
    uint16_t replicas; /* wanted */
    node_index prefers;
    uint8_t reason; /* 0: as it was */
};

struct place_work {
    uint16_t able;              /* may keep what they have */
    uint16_t usable;            /* may be given more: able and live */
    uint16_t draining;          /* and live */
    uint16_t zone[MEMBERS_MAX]; /* who is in the node's zone, itself too */
    uint32_t load[MEMBERS_MAX]; /* replicas */
    uint32_t leads[MEMBERS_MAX];
    struct place_item *item;
    uint32_t count;
    uint32_t stuck;
};

/* Nodes and their zones; no load yet. */
void place_begin(struct place_work *work, const struct map *map, const struct place_nodes *nodes);

/* The node to add to, or to drop from, the set; NODE_NONE: there is none among `from`. */
node_index place_to_add(const struct place_work *work, uint32_t group, uint16_t set, uint16_t from);
node_index place_to_drop(const struct place_work *work, uint32_t group, uint16_t set,
                         uint16_t from);
/* Of the set, who leads least. */
node_index place_to_lead(const struct place_work *work, uint32_t group, uint16_t set);

/* How many replicas of the set share a zone with one before. */
uint32_t place_crowd(const struct place_work *work, uint16_t set);

void place_set_wish(struct place_work *work, struct place_item *item, uint16_t wish,
                    enum place_reason reason);
void place_set_prefers(struct place_work *work, struct place_item *item, node_index prefers);

/* place_balance.c */
void place_part_zones(struct place_work *work);
void place_even_replicas(struct place_work *work);
void place_even_leads(struct place_work *work);

#endif
