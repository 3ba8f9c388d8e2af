/* The partitions of a worker: all that it knows, by group and in any order. Group 0 is always the
 * first. */
#ifndef NODE_PARTITIONS_H
#define NODE_PARTITIONS_H

#include "node/partition.h"

struct node;

/* The group beside the index: whoever looks for one touches no other partition. */
struct partition_place {
    uint32_t group;
    uint32_t index; /* + 1; 0: free */
};

struct partitions {
    struct partition **all; /* `count` of them, without gaps */
    uint32_t count, cap;
    struct partition_place *places; /* open addressing by group */
    uint32_t place_count;
    struct schedule schedule;
    uint32_t viewed; /* of them: with a replica whose leader group 0 names (views.h) */
};

static inline struct partition *partitions_at(const struct partitions *partitions, uint32_t i)
{
    return partitions->all[i];
}

/* A partition that is not there yet, without a replica. */
struct partition *partitions_add(struct node *node, uint32_t group);
/* The partition of the group: also of one that the map has and the sweep has not come to yet
 * (holding.h). NULL: there is no such group. */
struct partition *partitions_of_map(struct node *node, uint32_t group);
/* It goes, and its state; its replica and what is beside it are gone already. The last one takes
 * its index (partitions_at). */
void partitions_remove(struct partition *partition);
void partitions_free(struct partitions *partitions);

#endif
