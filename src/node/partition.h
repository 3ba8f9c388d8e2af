/* One partition of a keyspace as this node has it: a group of replicas that agree among themselves,
 * and all that belongs to one group alone (R3: owned by one worker).
 *
 * Group 0 is the partition of keyspace 0, and the control plane: node->zero. It is on every node
 * that is a member of the cluster. Of other partitions a node knows that they are there, and holds
 * a replica of some: `replica` is NULL where it holds none. What the node does as a whole (members,
 * joining, health, alarms) goes by group 0.
 *
 * What many partitions need now and then, and most of them never, is there only while it is needed:
 * of ten thousand nearly all are idle. */
#ifndef NODE_PARTITION_H
#define NODE_PARTITION_H

#include "base/limits.h"
#include "base/types.h"
#include "node/leaders.h"
#include "node/quota.h"
#include "node/schedule.h"
#include "node/track.h"

struct node;
struct replica;    /* replica.h: a protocol instance and its driver */
struct engine;     /* engine/engine.h: its state */
struct keeper;     /* keeper.h: checkpoints of it */
struct source;     /* snapshot_source.h: they go to other nodes */
struct fetch;      /* snapshot_fetch.h: and come from them */
struct quarantine; /* quarantine.h: its state is compared with the others' */
struct told_partition;
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
    struct engine *engine; /* there while a replica is */
    struct keeper *keeper; /* NULL: its log is not kept short yet */
    struct source *source;
    struct fetch *fetch;           /* both NULL most of the time: transfers.h */
    bool transfers;                /* it is in the list of those that have either */
    struct track track;            /* its commands, in the router */
    struct leader_hint hint;       /* who leads it, as others say */
    struct quarantine *quarantine; /* NULL: nothing was compared yet */
    struct quota quota;
    uint64_t reached;     /* while it leads: the epoch whose wish its members are (follow.h: F6) */
    bool quarantined;     /* its state differs from the others': it serves nothing */
    bool loading;         /* its log is repaired, the replica has not started: -LOADING */
    bool kept_checkpoint; /* a damaged one is kept beside */
    bool lost;            /* it has forgotten what it promised (damage.h), */
    bool marked;          /* ... and a file of its own says so */
    bool harmed;          /* it is told of: ALARM_DAMAGED goes on while any is */
    struct repairer *repairer; /* NULL: the log is whole */
    struct repair_figures repair;

    qr_time call_at;   /* an election is called then if nobody leads (births.h); 0: it is not */
    uint8_t calls;     /* so far */
    bool leases;       /* linearizable reads by leader lease */
    bool restless;     /* something is left to do about its replica (holding.h) */
    bool led;          /* as of its last turn: it leads and can serve; */
    qr_slot stated;    /* ... and where its members were stated and decided */
    bool has_files;    /* of a replica that is gone, */
    uint64_t drops_at; /* ... and that the log forgets up to there; 0: none is going */

    /* What is told of it (reporting.h). */
    struct told_partition *told; /* NULL: that it does not lead, or nothing */
    struct partition *news_next, *news_previous;
    bool news;

    /* Turns (schedule.h). */
    qr_time wake;        /* what its parts want the next turn for, beside the replica's deadline */
    bool again;          /* this turn left work for one more */
    bool awake;          /* it has a turn; group 0 always has */
    bool expects;        /* it waits for the log */
    bool rests;          /* it wants no turn */
    uint64_t expects_at; /* up to there, at least */
    struct partition *awake_next, *expects_next, *expects_previous;
    qr_time due;                   /* the turn that it will have in any case; QR_NEVER: none */
    uint32_t heap_at;              /* its place among the others by `due` */
    uint32_t index;                /* its place among all: partitions_at */
    uint16_t told_of[MEMBERS_MAX]; /* ups and downs of each peer, as counted by the node */
    uint32_t told_at;              /* by this many changes of all of them */

    /* Its election (campaigns.h). */
    uint8_t campaign; /* enum campaign */
    qr_time campaign_until;
    struct partition *campaign_next, *campaign_previous;
};

struct partition *partition_new(struct node *node, uint32_t group);
/* The partition of that group; NULL: this node knows none (partitions.h). */
struct partition *partition_of_group(const struct node *node, uint32_t group);
/* Its end, in this order: what frees something after the first finds no replica any more. */
void partition_close_replica(struct partition *partition);
void partition_strip(struct partition *partition); /* all that is beside the replica */
void partition_free(struct partition *partition);  /* and its state */

/* What is beside the replica has its turn: repair and digests; and freeing in slices. */
void partition_house(struct partition *partition, qr_time now);
void partition_tidy(struct partition *partition);

/* Something happened to it: it has a turn (schedule.h: W1). */
static inline void partition_wake(struct partition *partition)
{
    if (!partition->awake) {
        schedule_wake(partition);
    }
}
/* It wants a turn at that time at the latest. */
static inline void partition_wake_at(struct partition *partition, qr_time at)
{
    partition->wake = at < partition->wake ? at : partition->wake;
}

#endif
