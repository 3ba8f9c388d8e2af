/* A node of some partitions and what it does about damage: the disk is in memory and loses power,
 * the marks, the alarms and the files are real, replicas and the log are played. */
#ifndef TESTS_NODE_DAMAGE_WORLD_H
#define TESTS_NODE_DAMAGE_WORLD_H

#include "cluster/map.h"
#include "node/alarm.h"
#include "node/checkpoint.h"
#include "node/checkpoint_place.h"
#include "node/damage.h"
#include "node/keeper.h"
#include "node/node.h"
#include "tests/unit/log/disk.h"

#define GROUPS 12u /* group 0, and some of a keyspace */
#define SEEDS 40u

struct replica {
    struct roster roster;
    struct outlook outlook;
};

extern struct node node;
extern struct partition partition[GROUPS];
extern struct replica replica[GROUPS];
extern bool complete;     /* the node knows all its partitions */
extern qr_slot kept_slot; /* of each keeper's checkpoint */
extern uint32_t lines, raised, evidence_dropped;
extern char last_line[800];

int begin(void **state); /* a node that has forgotten nothing, on an empty disk */
int end(void **state);

/* A start on that disk, which is the node's from now on; marks are looked for by the test. */
void damage_world(struct io *disk);
/* The machine may lose power now: of SEEDS times, how often the group would be marked then. */
uint32_t marked_after_power_loss(uint32_t group);
/* The same of one file being there. */
uint32_t there_after_power_loss(const char *path);

#endif
