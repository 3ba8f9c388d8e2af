/* One partition of a keyspace as this node has it: a group of replicas that agree among themselves,
 * and all that belongs to one group alone (R3: owned by one worker).
 *
 * Group 0 is the partition of keyspace 0, and the control plane: node->zero. It is on every node
 * that is a member of the cluster. Of other partitions a node knows that they are there, and holds
 * a replica of some: `replica` is NULL where it holds none. What the node does as a whole (members,
 * joining, health, alarms) goes by group 0. */
#ifndef NODE_PARTITION_H
#define NODE_PARTITION_H

#include "base/types.h"
#include "node/track.h"
#include "node/leaders.h"
#include "node/quarantine.h"
#include "node/quota.h"

struct node;
struct replica;  /* replica.h: a protocol instance and its driver */
struct engine;   /* engine/engine.h: its state */
struct keeper;   /* keeper.h: checkpoints of it */
struct source;   /* snapshot_source.h: they go to other nodes */
struct fetch;    /* snapshot_fetch.h: and come from them */
struct repairer; /* repair.h: fills holes of its log before it starts */

/* What a log that is being repaired lacks, for INFO (repair.h). */
struct repair_figures {
    uint32_t holes; /* looked at now; there may be more */
    qr_slot first;
    uint32_t never, gone; /* members that said so of the first */
    uint64_t patched;     /* entries so far */
};

struct partition {
    struct node *node;
    uint32_t group;
    struct replica *replica;
    struct engine *engine;
    struct keeper *keeper;
    struct source *source;
    struct fetch *fetch;   /* both NULL most of the time: transfers.h */
    bool transfers;        /* it is in the list of those that have either */
    struct track track;      /* its commands, in the router */
    struct leader_hint hint; /* who leads it, as others say */
    struct quarantine quarantine;
    struct quota quota;
    uint64_t reached; /* while it leads: the epoch whose wish its members are (follow.h: F6) */
    bool quarantined;          /* its state differs from the others': it serves nothing */
    bool loading;              /* its log is repaired, the replica has not started: -LOADING */
    bool kept_checkpoint;      /* a damaged one is kept beside */
    struct repairer *repairer; /* NULL: the log is whole */
    struct repair_figures repair;
};

struct partition *partition_new(struct node *node, uint32_t group);
/* The partition of that group; NULL: this node knows none. */
struct partition *partition_of_group(const struct node *node, uint32_t group);
/* Frees the struct; what hangs on it is gone already. */
void partition_free(struct partition *partition);

#endif
