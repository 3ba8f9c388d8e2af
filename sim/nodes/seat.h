/* Nodes and clients as processes of the realm (seat.c, asker.c, guest.c). */
#ifndef SIM_NODES_SEAT_H
#define SIM_NODES_SEAT_H

#include "sim/nodes/backup.h"
#include "sim/nodes/charts.h"
#include "sim/nodes/drive.h"
#include "sim/nodes/failpoint.h"
#include "sim/nodes/faults.h"
#include "sim/nodes/hop.h"
#include "sim/nodes/models.h"
#include "sim/nodes/realm.h"

#define SEATS_MAX 7u
#define ASKERS_MAX 6u /* and an operator, and a guest */
#define SEAT_PORT 7000u
#define SEAT_CLUSTER_PORT 7001u
#define SEAT_SENTINEL_PORT 7002u
#define SEAT_METRICS_PORT 7003u
#define VISITORS_MAX 2u
#define ASKED_KEYS_MAX 8u

struct run;
struct node;

/* A host with a node on it, or none. */
struct seat {
    struct run *run;
    struct host *host;
    uint32_t id; /* of the node */
    struct node *node; /* while it runs */
    uint32_t errors;   /* of the drive before it was started: one more is a reason to end */
    uint32_t refusals; /* the same */
    bool mends;        /* it has lost what it had, and is not made whole yet */
    bool told_to_end;  /* by SIGTERM or SHUTDOWN */
    bool joins;        /* its first directory is gone */
    struct drive *copy; /* of its drive, as it was; NULL: there is none */
    uint64_t charted[2]; /* of which map (run.c) */
};

/* A client: one command at a time, to one node at a time. */
struct asker {
    struct run *run;
    struct host *host;
    uint32_t number;
    struct rng rng;
    bool is_operator; /* it gives orders, and believes no answer */
    bool is_guest;    /* it tries everything (guest.c) */
    bool done;        /* of the last phase: it has read all keys */
    struct hop hop;
    bool flushes; /* and does all that it does in a database of its own (model_flush.c) */
    struct mortal mortal;
    uint32_t lock; /* that it asked for last */
};

/* One that asks for anything (visitor.c). */
struct visitor {
    struct run *run;
    struct host *host;
    struct rng rng;
};

/* Of reads that say nothing, in keyspace 0 and in the operator's (rules.c). */
enum rule_order {
    RULE_NONE,
    RULE_ZERO_WEAK,
    RULE_ZERO_STRONG,
    RULE_CREATED_WEAK,
    RULE_CREATED_STRONG,
};
struct rule {
    bool weak; /* they may be less than linearizable */
    bool weak_before; /* the order that has no answer yet */
    bool lost; /* an order for that may take effect at any time */
    uint64_t weakened; /* counts such orders */
};

struct run {
    struct realm *realm;
    struct seat seat[SEATS_MAX];
    uint32_t seats;
    uint32_t founders; /* the first so many are members from the beginning, the others join */
    char limits[400];  /* settings of all nodes, small ones mostly */
    size_t segment_bytes; /* of their logs; and limits of Raft's, 0: as they are */
    uint32_t append_entries, in_flight, uncommitted_max;
    struct backup backup;
    bool members;      /* the operator orders who takes part */
    uint32_t fragile; /* the first so many are those whose drives lose what they had synced */
    struct asker asker[ASKERS_MAX + 2];
    uint32_t askers;
    struct visitor visitor[VISITORS_MAX];
    uint32_t visitors;
    uint64_t visits; /* replies to them */
    bool large;      /* they write large values */
    uint32_t keys;
    qr_time think;          /* of a client between two commands, at most */
    struct realm_pace pace; /* of this seed's world when nothing is wrong */
    uint32_t weight[FAULTS]; /* how often each befalls somebody */
    uint64_t without;    /* kinds that do not come (shrink.c) */
    struct rng schedule; /* which comes when, whatever the others do */
    struct rng fault_dice; /* of the one that comes */
    qr_time fault_pause;
    qr_time flaps_until;
    bool timeless; /* nothing hangs on leases */
    bool ending;   /* the last phase: all is well again, askers read */
    char lacks[120]; /* of what replicas_settled waits for */
    bool orders;             /* there is an operator, and a keyspace of several partitions */
    bool ids;                /* writes have ids */
    struct rule rule[2];
    struct charts *charts;
    struct ordered ordered;
    uint64_t covered; /* looks at a node that goes by prefixes */
    uint64_t strengthened; /* orders for linearizable that were answered OK */
    struct story story;
    struct models models;
    qr_time clock_error; /* the most that a wall clock was wrong by (models.h) */
    struct lock lock;
    struct elements elements_of;
    uint32_t lists; /* appended to so far: one after the other, so that none grows long */
    uint32_t sessions, elements;
    uint64_t hops; /* connections that went on with a session */
    uint64_t cores; /* 1: at the end those who were dead came back last */
    uint32_t away;  /* seats that stay dead, as bits */
    uint64_t acknowledged, reads, refused, unknown; /* answers, by kind */
    uint64_t starts, befell[FAULTS];
};

/* The node that runs there; NULL: none does. */
static inline const struct node *node_on(const struct seat *seat)
{
    return seat->host->process != NULL ? seat->node : NULL;
}

void seat_start(struct seat *seat);
/* What an operator does while it is down: all new, a copy for later, that copy put back. */
uint64_t seat_wipe(struct seat *seat); /* how many bytes it had */
void seat_copy(struct seat *seat);
uint64_t seat_restore(struct seat *seat); /* how many are older now, or gone */
/* Wiped and made to join anew, if its node says that it was removed. */
void seat_look(struct seat *seat);
void seat_died(void *seat); /* where it was armed to: it starts again, a little later */
void seat_later(struct seat *seat); /* it starts, a little later */
enum failpoint_life run_failpoint_life(const struct run *run); /* of the one each seed has */
void faults_begin(struct run *run);
/* All of them are mended, and all nodes run, or as few as can decide (run->away: the others). */
void faults_end(struct run *run);
void faults_end_of_all(struct run *run); /* those run too */
/* Whether all replicas of each partition have applied the same; that they differ then is a failure
 * of the run (equal.c). */
bool replicas_settled(struct run *run);
void replicas_tell(const struct run *run); /* what each knows, as lines of the trace */
/* Whether nothing is left of what a node has lost: groups count on nobody who is gone for good.
 * Until then nobody loses more: where one of three is being replaced, two would be lost. */
bool replicas_sound(struct run *run);
/* The same at this moment, of what is known to the nodes that run. */
bool replicas_have_all(struct run *run);
void asker_start(struct asker *asker);
void guest_start(struct asker *asker);
void visitor_start(struct visitor *visitor);

#endif
