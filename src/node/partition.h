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
struct told_standing;
struct rollback; /* rollback.h: entries are taken back */
struct regain;   /* regain.h: and came back all the same */
struct repairer; /* repair.h: fills holes of its log before it starts */

/* What a log that is being repaired lacks, for INFO (repair.h). */
struct repair_figures {
    uint32_t holes; /* looked at now; there may be more */
    qr_slot first;
    uint32_t never, gone; /* members that said so of the first */
    uint64_t patched;     /* entries so far */
};

/* The fields stand by how often they are wanted: a write of one of many partitions costs above all
 * the cache lines that it has to fetch. The first two are for each turn, the next two for each
 * command. */
struct partition {
    struct node *node;
    struct replica *replica;
    struct engine *engine;     /* there while a replica is */
    struct repairer *repairer; /* NULL: the log is whole */
    qr_time call_at; /* an election is called then if nobody leads (births.h); 0: it is not */
    uint32_t group;
    uint32_t heap_at;     /* its place among the others by `due` */
    uint32_t told_at;     /* of ups and downs of peers: by this many changes of all of them */
    bool again;           /* this turn left work for one more */
    bool awake;           /* it has a turn; group 0 always has */
    bool expects;         /* it waits for the log */
    bool rests;           /* it wants no turn */
    bool quarantined;     /* its state differs from the others': it serves nothing */
    bool loading;         /* its log is repaired, the replica has not started: -LOADING */
    bool kept_checkpoint; /* a damaged one is kept beside */
    bool lost;            /* it has forgotten what it promised (damage.h), */
    bool led;             /* as of its last turn: it leads and can serve; */
    bool news;            /* something is to be told of it (reporting.h) */
    uint8_t campaign;     /* enum campaign, of its election (campaigns.h) */
    bool restless;        /* something is left to do about its replica (holding.h) */

    /* Turns (schedule.h). */
    qr_time due;         /* the turn that it will have in any case; QR_NEVER: none */
    qr_time wake;        /* what its parts want the next turn for, beside the replica's deadline */
    qr_time compare_at;  /* its state is looked at, for others to compare (quarantine.h) */
    qr_slot stated;      /* as `led`: where its members were stated and decided */
    uint64_t expects_at; /* up to there, at least */
    struct partition *awake_next, *expects_next, *expects_previous;

    struct leader_hint hint; /* who leads it, as others say */
    struct quota quota;
    struct track track; /* its commands, in the router */

    struct quarantine *quarantine; /* NULL: nothing was compared yet */
    struct keeper *keeper;         /* NULL: its log is not kept short yet */
    struct rollback *rollback;     /* NULL: nothing is being taken back */
    struct regain *regain;         /* NULL: nothing can come back that was */
    struct source *source;
    struct fetch *fetch;         /* both NULL most of the time: transfers.h */
    struct told_partition *told; /* NULL: that it does not lead, or nothing */
    struct partition *news_next, *news_previous;
    struct lagging *lagging;        /* NULL: no follower of it lacks anything (lagging.h) */
    struct told_standing *standing; /* standing.h; NULL: none of it is to be told */
    uint64_t reached;     /* while it leads: the epoch whose wish its members are (follow.h: F6) */
    uint64_t early_until; /* when the log is durable up to there the note becomes early_next; 0:
                             it stays */
    uint64_t drops_at;    /* the log forgets a replica that is gone up to there; 0: none is going */
    struct repair_figures repair;
    uint16_t told_of[MEMBERS_MAX]; /* ups and downs of each peer, as counted by the node */
    uint32_t index;                /* its place among all: partitions_at */
    uint8_t calls;                 /* of elections so far */
    bool leases;                   /* linearizable reads by leader lease */
    bool transfers;                /* it is in the list of those that have either */
    bool marked;                   /* a file of its own says that it is lost */
    bool harmed;                   /* it is told of: ALARM_DAMAGED goes on while any is */
    uint8_t early; /* enum early: which note says that it acknowledges early (early.h), */
    uint8_t early_next;
    bool lazy;      /* and it does so when what it appends is written; */
    bool soon;      /* or when it has it: the disk need not hurry */
    bool has_files; /* of a replica that is gone */

    /* Its election (campaigns.h). */
    qr_time campaign_until;
    struct partition *campaign_next, *campaign_previous;
};

BEGINS_LINE(struct partition, due);
BEGINS_LINE(struct partition, hint);
BEGINS_LINE(struct partition, track.next);

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
