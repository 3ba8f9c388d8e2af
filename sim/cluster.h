/* The simulator of a whole cluster: many groups on the same machines, and a control plane.
 *
 * Each group is a world of its own (world.h) with one place per machine, of which those are taken
 * that hold a replica; all of the world's checkers judge it. Here is what the groups share: the
 * machines that crash, the links that are cut, the log that is durable in one order, beats, and
 * time. Group 0 holds the control state: changes are entries of its log that the real engine
 * carries out (compare and put), every machine has a map of them (cluster/map.h), does what
 * cluster/follow.h says about every partition, and plans by cluster/place.h while it leads group 0.
 *
 *   cluster.c          a seed from its making to its verdict; the order of things in time
 *   cluster_control.c  changes of the control state: composed, carried out, judged
 *   cluster_follow.c   replicas that are made, changed and deleted
 *   cluster_members.c  machines that get another directory, under the same index
 *   cluster_plan.c     what a seed draws, and how it is carried out
 *   cluster_sessions.c clients whose sessions go over all groups
 *   cluster_end.c      the liveness phase */
#ifndef SIM_CLUSTER_H
#define SIM_CLUSTER_H

#include "cluster/follow.h"
#include "cluster/map.h"
#include "engine/engine.h"
#include "cluster/place.h"
#include "cluster/token.h"
#include "sim/checkers/safety.h"
#include "sim/seed.h"

#define CLUSTER_GROUPS_MAX 24u
#define CLUSTER_REPORTS_MAX 32u
#define CLUSTER_SESSIONS 4u

/* The control state after some of the committed entries of group 0. */
struct control {
    struct engine *engine;
    struct map *map;
    qr_slot slot;
};

/* A replica that was deleted, for as long as a crash may bring it back. */
struct deleted {
    uint64_t order; /* in the machine's log; 0: none */
    struct image disk, ghost;
    struct disk_write *writes; /* not durable yet */
    size_t write_count;
    struct checkpoint safe;
    struct membership_at born;
    bool damaged, lost;
    qr_slot lost_commit;
    qr_term durable_term;
};

struct sim_group {
    uint32_t id; /* 0: the control plane */
    struct world *world;
    bool dropped; /* decided */
    struct deleted deleted[MEMBERS_MAX];
    qr_time paced[MEMBERS_MAX]; /* no order of that machine before */
};

struct report {
    uint32_t group;
    uint64_t epoch;
};

struct machine {
    bool up, paused;
    struct shared_log log;
    struct control control;
    struct follow_fresh fresh;
    uint32_t lost_below;       /* what its log knew of groups below may be lost */
    qr_time seen[MEMBERS_MAX]; /* when the other machine was last in reach */
    struct report reports[CLUSTER_REPORTS_MAX];
    uint32_t report_count;
    qr_time composes_at; /* not before */
};

/* A change of the control state, as an encoded op. */
struct change {
    uint8_t *op;
    size_t n;
};

enum cluster_act {
    ACT_CLIENT = 1,     /* a = which group of those there are, b = key, c = kind */
    ACT_CREATE,         /* a = partitions, b = replicas */
    ACT_DROP,           /* a = which keyspace of those there are */
    ACT_RESIZE,         /* a = which keyspace, b = replicas */
    ACT_DRAIN,          /* a = machine, b = whether */
    ACT_ZONE,           /* a = machine, b = zone */
    ACT_BALANCE,        /* a = whether */
    ACT_CRASH,          /* a = machine, b = power, c = how long */
    ACT_CRASH_ALL,      /* b = power, c = how long */
    ACT_CRASH_LEADER,   /* a = which group (0: the control plane), b = power, c = how long */
    ACT_CUT,            /* a = mask of machines */
    ACT_ISOLATE_LEADER, /* a = which group */
    ACT_HEAL,
    ACT_PAUSE,   /* a = machine, c = how long */
    ACT_NETWORK, /* a = loss, b = duplicates, c = mean delay */
    ACT_MOVE,    /* a = which group, b = machines that it is wished on */
    ACT_SHAKE,   /* a = machine: it loses power when it makes or deletes a replica next */
    ACT_RENEW,   /* a = machine: drained, removed, and another directory joins under its index */
    ACT_DAMAGE,  /* a = machine, b = entries, c = its state records (actions.def: DAMAGE) */
    ACTS
};

struct cluster_action {
    qr_time at;
    enum cluster_act kind;
    int64_t a, b, c;
};

struct cluster_counters {
    uint64_t acts[ACTS], follows[8]; /* with an effect */
    uint64_t seeds, steps, operations, changes, conflicts, moves, settled, keyspaces, drops;
    uint64_t undone, leaders, recovered, virtual_us, messages, joined_again, stale, shaken, damaged,
        lost, renewed, zero_crashes, session_reads, session_judged;
};

struct cluster {
    uint64_t seed;
    const struct protocol *protocol;
    struct rng rng;
    qr_time now, replace_after, tick;
    node_index machine_count;
    struct machine machines[MEMBERS_MAX];
    uint32_t processes[MEMBERS_MAX]; /* a number for each life of a machine */
    bool cut[MEMBERS_MAX][MEMBERS_MAX];
    uint16_t shaken;     /* machines that lose power at their next deed */
    node_index renewing; /* a machine; NODE_NONE: none */
    bool renewed;        /* its directory is another one already */
    bool retired;        /* it knows that it was removed, and has ended */
    qr_time removed_at;  /* 0: it is a member */
    qr_time renews_at;   /* nothing is ordered before */
    struct sim_group groups[CLUSTER_GROUPS_MAX];
    uint32_t group_count;
    struct token tokens[CLUSTER_SESSIONS];
    struct rng session_rng;
    struct queue queue;     /* of the machines and of the cluster; the groups have their own */
    struct control truth;   /* all that is committed */
    struct change *changes; /* by operation of group 0 */
    size_t change_cap;
    uint32_t next_keyspace;
    bool calm;
    struct cluster_action *plan;
    size_t plan_count;
    struct cluster_counters *counters;
    struct counters world_counters;
    void (*tell)(void *context, const char *line);
    void *tell_context;
    unsigned show;
    sigjmp_buf on_violation;
};

/* cluster.c */
struct seed_result cluster_execute(uint64_t seed, struct cluster_counters *counters,
                                   void (*tell)(void *context, const char *line), void *context);
void cluster_tell(struct cluster *c, const char *format, ...) __attribute__((format(printf, 2, 3)));
void cluster_run_until(struct cluster *c, qr_time until);
/* Group 0's world, brought to the cluster's time; so is any other before it is touched. */
struct world *cluster_zero(struct cluster *c);
struct world *cluster_world(struct cluster *c, struct sim_group *g);
struct sim_group *cluster_group(struct cluster *c, uint32_t id);
struct sim_group *cluster_new_group(struct cluster *c, uint32_t id, uint16_t founders);
void cluster_crash(struct cluster *c, node_index machine, bool power, qr_time down);
void cluster_start(struct cluster *c, node_index machine);
/* The end of its log is lost, if every group survives that. */
void cluster_damage(struct cluster *c, node_index machine, uint64_t entries, int64_t state);
void cluster_pause(struct cluster *c, node_index machine, qr_time length);
void cluster_resume(struct cluster *c, node_index machine);
bool cluster_reaches(const struct cluster *c, node_index from, node_index to);
/* cluster_sessions.c: of the worlds of most groups but group 0. */
void cluster_sessions_options(const struct cluster *c, uint32_t id, struct options *o);
/* A command of some session, if w has any; false: somebody else is to do something. */
bool cluster_sessions_act(struct cluster *c, struct sim_group *g, struct world *w, bool append);
/* The leader of a group, or NODE_NONE. */
node_index cluster_leader(struct cluster *c, struct sim_group *g);

enum cluster_item {               /* in `a` of an item of the cluster's queue */
                    DUE_TICK = 1, /* of the machine */
                    DUE_BEAT,     /* the machine beats */
                    DUE_HEARD,    /* b = from << 32 | its process */
                    DUE_REPORT,   /* p = report */
                    DUE_START,
                    DUE_RESUME,
                    DUE_ACT, /* b = index in the plan */
};
void cluster_push(struct cluster *c, qr_time delay, enum cluster_item what, node_index machine,
                  int64_t b, void *p);

/* cluster_control.c */
void control_open(struct cluster *c, struct control *control, bool judged);
void control_close(struct control *control);
/* Brings it to `slot`; back to an earlier one by beginning anew, as after a restart. */
void control_follow(struct cluster *c, struct control *control, qr_slot slot, bool judged);
/* One machine that takes itself for group 0's leader settles, or moves what is due. */
void control_compose(struct cluster *c, node_index machine);

/* Records to be changed together, at the machine whose map they were composed by. */
struct proposal {
    struct cluster *cluster;
    node_index machine;
    uint64_t expected;
    struct span argv[2 * 64 + 1];
    uint8_t bytes[64][272];
    uint8_t version[8];
    uint32_t count;
};
void proposal_begin(struct cluster *c, node_index machine, struct proposal *p);
void proposal_partition(struct proposal *p, const struct map_partition *partition);
void proposal_keyspace(struct proposal *p, const struct map_keyspace *keyspace);
void proposal_settings(struct proposal *p, const struct map_settings *settings);
void proposal_node(struct proposal *p, node_index i, const struct map_node *node);
void proposal_delete(struct proposal *p, bool keyspace, uint32_t number);
void proposal_send(struct proposal *p);
/* Whether no change of the control state is on its way at that leader. */
bool control_rests_at(const struct cluster *c, node_index machine);
struct place_nodes control_nodes(const struct cluster *c, node_index machine);

/* cluster_follow.c */
void follow_tick(struct cluster *c, node_index machine);
void follow_restarted(struct cluster *c, struct sim_group *g, node_index machine);
/* A deletion that was not durable when the machine crashed has not been. */
void follow_forget(struct deleted *d);
/* Whether nothing is left of the replica. */
bool follow_damaged(struct cluster *c, struct sim_group *g, node_index machine, uint64_t entries,
                    int64_t state);
void follow_crashed(struct cluster *c, struct sim_group *g, node_index machine);

/* cluster_members.c */
void renew_begin(struct cluster *c, node_index machine);
/* One machine that leads group 0 goes on with it. */
void renew_tick(struct cluster *c, node_index machine);
/* Whether it waits to be taken in. */
bool renew_waits(const struct cluster *c, node_index machine);

/* cluster_plan.c */
/* Whoever leads group 0, or believes so, is asked; whether anything was. */
bool cluster_operate(struct cluster *c, const struct cluster_action *x);
void cluster_draw(struct cluster *c);
void cluster_act(struct cluster *c, const struct cluster_action *x);

/* cluster_end.c */
void cluster_must_converge(struct cluster *c);

/* main.c's part of it */
int cluster_main(uint64_t seed, uint64_t count, bool twice, bool verbose, bool quiet, bool tap,
                 bool expect_violation);

#endif
