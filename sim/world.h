/* The simulator's world, ring 1: protocol instances alone, over a model of everything else.
 *
 * A world has one true time in microseconds, nodes with clocks of their own, a network, disks, and
 * clients. Whatever happens is an item in one queue, ordered by time and then by age, and every
 * choice comes from one generator: equal options and plans give equal runs (R2).
 *
 *   queue.c      what happens next
 *   node.c       a node's life: clocks, steps, crash and restart
 *   driver.c     effects: persist, hold, send, apply (what src/node does for real)
 *   requests.c   what waits for an answer, and its answer
 *   disk.c       what a crash leaves; image.c: a log as an array of entries
 *   network.c    who hears what, when, how often
 *   leases.c     what nodes believe of group 0, and it of them
 *   council.h    group 0, where it chooses who leads
 *   takeback.c   what is taken back, and the journal of it
 *   shares.c     ON applied: what others have executed too
 *   beats.c      who is up, as the nodes find out
 *   workload.c   clients and what they were told
 *   sessions.c   those that read at levels and hop between the nodes
 *   pasts.c      what nodes keep of their past; order.c: the verdict by the whole order of writes
 *   members.c    operators: who shall take part; nodes that come, are removed, lose their disks
 *   rot.c        entries that are lost on disks, and how they come back
 *   snapshots.c  checkpoints, and how one travels to a node that needs it
 *   draw.c       the world and the plan of a seed
 *   faults.c     how an action of a plan is carried out
 *   checkers/    what must never be
 *   tell.c       what an effect reads like
 *   run.c        a world from its making to its end, step by step
 *   cluster.h    many worlds, one for each group of a cluster
 * Above it stand seed.c, a seed to its verdict, shrink.c, suite.c, script.c and main.c. */
#ifndef SIM_WORLD_H
#define SIM_WORLD_H

#include "base/alloc.h"
#include "base/limits.h"
#include "base/rng.h"
#include "protocol/quorum.h"
#include "cluster/leases.h"
#include "sim/checkers/linearizable.h"
#include "sim/counters.h"
#include "sim/image.h"
#include "sim/plan.h"
#include "sim/desk.h"
#include "store/store.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#define WALL_START 1700000000000000 /* wall clock at the start */

/* --- writes of a node ------------------------------------------------------------------------ */

/* One PERSIST on its way to the disk. */
struct disk_write {
    qr_ticket ticket;
    uint16_t state_kind;
    size_t state_n;
    uint8_t state[STATE_BYTES_MAX];
    qr_slot lo, hi;
    struct entry *entries;
    qr_term term_then; /* of the outlook after the step that wrote it */
    bool forgetful_then;
    uint64_t order;            /* in the log that it shares with other groups */
    struct checkpoint install; /* of an INSTALL: the checkpoint takes the log's place */
    bool takes, anew;          /* of a ROLLBACK: the log ends before `taken_from`, or is empty */
    qr_slot taken_from;
    struct taken *taken; /* for the journal */
    size_t taken_n;
};

/* --- what travels --------------------------------------------------------------------------- */

struct packet {
    node_index from, to;
    uint32_t from_identity, to_identity; /* a connection is between these two, not their indexes */
    uint16_t kind;
    size_t body_n;
    uint8_t body[STATE_BYTES_MAX]; /* encoded */
    qr_slot lo, hi;
    qr_term term;
    struct entry entries[]; /* [lo, hi) */
};

enum frame_kind { FRAME_OFFER = 1, FRAME_READ, FRAME_DATA, FRAME_GONE };

/* What the drivers say to each other about a checkpoint that travels. */
struct frame {
    node_index from, to;
    uint32_t from_identity, to_identity;
    enum frame_kind kind;
    struct checkpoint file;
    uint64_t piece;
};

/* --- the queue ------------------------------------------------------------------------------ */

enum item_kind {
    ITEM_MESSAGE = 1, /* p = packet */
    ITEM_TIMER,       /* a = generation */
    ITEM_SYNCED,      /* a = sync number */
    ITEM_CHECKPOINT,  /* a = number of the checkpoint */
    ITEM_REQUEST,     /* a = attempt: arrives at the node */
    ITEM_PUMP,        /* the node looks at its waiting requests */
    ITEM_RESULT,      /* a = attempt: the client hears */
    ITEM_RETRY,       /* a = operation */
    ITEM_GIVE_UP,     /* a = operation */
    ITEM_PEER,        /* a = other node, b = up */
    ITEM_ADMIN,       /* a = order, b = argument */
    ITEM_ACTION,      /* a = index in the plan */
    ITEM_RESUME,      /* the pause of the node ends */
    ITEM_RESTART,     /* the node starts again */
    ITEM_PROBE,       /* a = op_kind: a client asks this node */
    ITEM_CRASH,       /* a = power; it restarts soon */
    ITEM_STRIKE,      /* a harassed leader's time is over */
    ITEM_REJOIN,      /* the links of the node work again */
    ITEM_FRAME,       /* p = frame */
    ITEM_FETCH,       /* a = file, b = pieces: has anything come since? */
    ITEM_OFFER,       /* a = file: all of it is here and durable */
    ITEM_BEATS,       /* the node beats */
    ITEM_BEAT,        /* a = from, b = its incarnation */
    ITEM_LEASE,       /* a = from, b = 1: an answer, p = renewal */
    ITEM_ORDER,       /* a = order: reaches the node */
    ITEM_COUNCIL,     /* it looks at what it knows */
    ITEM_WATCH,       /* the node looks at its lease, and tells the council where it stands */
    ITEM_REPORT,      /* a = from, p = report: reaches the council */
    ITEM_RENEW,       /* a = from, b = its incarnation, p = renewal: reaches the council */
    ITEM_RENEWED,     /* a = views that were written then, p = renewal: reaches the node */
    ITEM_VIEW,        /* a = its number: reaches the node */
    ITEM_EXECUTED     /* the node tells its protocol what it has executed */
};

struct item {
    qr_time at;
    uint64_t age;
    enum item_kind kind;
    node_index node;      /* NODE_NONE: of no node */
    uint32_t incarnation; /* 0: any */
    int64_t a, b;
    void *p; /* owned */
};

struct queue {
    struct item *v;
    size_t n, cap;
    uint64_t age;
};

void queue_push(struct queue *q, struct item item);
bool queue_pop(struct queue *q, struct item *out);
void queue_free(struct queue *q);

/* --- a node --------------------------------------------------------------------------------- */

/* A request that the driver has given to the protocol and not yet answered. */
struct pending {
    qr_req req;
    uint32_t attempt;
    qr_slot slot; /* of a write: where it stands in the log; of a read: what must be applied */
    qr_term term;
    qr_time before;
    bool is_read, confirmed, held; /* held: only with the lease of group 0 */
    bool has_wish;                 /* a session's read: of what it asks for */
    struct read_wish wish;
    uint32_t order; /* an operator's, not a client's; 0: a client's */
    bool done;      /* a write that is executed here, and waits for others (shares.c): */
    struct model_result result;
};

struct held {
    struct effect effect;
    struct packet *packet; /* of a SEND, body already encoded */
};

/* An index is a place; who stands there may change. */
enum life {
    LIFE_NONE = 0, /* nobody yet */
    LIFE_JOINING,  /* a new node waits until it is a member; its disk is empty */
    LIFE_NODE,     /* it has a disk */
    LIFE_DEAD      /* its disk is lost: it never comes back under this index */
};

/* What a node has of a checkpoint of another one. It survives a restart. */
struct received {
    struct checkpoint file; /* number 0: nothing */
    node_index source;
    uint64_t pieces;
    bool asking; /* a READ is on its way, or its answer */
    unsigned silent;
};

/* The log that a machine keeps for all its groups: what is durable of it is a prefix. */
struct shared_log {
    uint64_t next;   /* order of the latest write */
    uint64_t landed; /* of the latest that is durable */
    uint64_t cut;    /* of the latest that a crash leaves */
};

#define KEPT_MAX 4u
#define ROTTEN_MAX 8u

/* A checkpoint that somebody reads stays, although a newer one has taken its place. */
struct kept {
    struct checkpoint file;
    qr_time until;
};

struct sim_node {
    node_index index;
    enum life life;
    uint32_t identity; /* of its disk */
    bool up, paused;
    uint32_t incarnation;
    void *self, *before;

    /* Clocks: local = anchor_local + (true - anchor_true) * (1e6 + drift_ppm) / 1e6. */
    qr_time anchor_true, anchor_local;
    int64_t drift_ppm;
    qr_wall wall_offset;
    uint64_t timer_generation;
    qr_time timer_at;
    qr_time fired_at;
    uint32_t spins; /* timer events without progress of time */

    /* Of the others (beats.c). */
    qr_time heard[MEMBERS_MAX];
    bool away[MEMBERS_MAX];
    uint32_t known[MEMBERS_MAX]; /* the latest process that it has heard of; 0: none */
    struct leases leases;

    struct image log, disk;
    struct disk_write *writes; /* not durable yet, oldest first */
    size_t write_count, write_cap;
    qr_ticket minted, synced;
    bool syncing, lazy; /* lazy: it begins later, unless something urgent comes */
    qr_ticket sync_upto;
    uint64_t sync_number;
    int64_t slow; /* the disk is that many times slower; 0: syncs are held back */
    qr_term durable_term;

    struct held *held;
    size_t held_count, held_cap;

    struct model_value *values; /* the state machine */
    qr_slot applied;
    uint64_t applied_chain;
    struct membership_at born, membership; /* what it began with; of the applied state */
    qr_slot joined_slot; /* of the entry that took it in; 0: it was there from the start */
    qr_term joined_term;
    uint32_t epoch, ordered_epoch;  /* of the applied membership; of the order being stepped */
    uint32_t roster, joined_roster; /* of the applied membership; of the entry that took it in */
    uint32_t met[MEMBERS_MAX];      /* the latest directory that it has heard from there, + 1 */
    struct shared_log *shared;      /* NULL: its log is its own */
    struct checkpoint safe, taking; /* durable; being written */
    struct kept kept[KEPT_MAX];
    struct received received;
    struct checkpoint offered;                /* during the step of an OFFER */
    qr_slot rotten[ROTTEN_MAX], rotten_count; /* entries of its disk that are lost */
    bool damaged;                             /* the next START is a forgetful one */
    bool unknowing;      /* it has lost entries and does not know, nor has a leader found out */
    bool lost;           /* it has lost what it may have promised, and not recovered */
    qr_slot lost_commit; /* what was committed when that happened */
    struct image ghost;  /* its disk before */

    struct pending *pending; /* ascending by req */
    size_t pending_count, pending_cap;
    qr_req next_req;
    uint32_t *waiting; /* attempts that SUBMIT or READ will bring */
    size_t waiting_count, waiting_cap;
    bool pumping;

    struct term_run *runs;             /* for START */
    struct membership_at *memberships; /* for START and RECEIVE */
    size_t memberships_cap;

    struct item *stalled; /* what reached the node while it was paused */
    size_t stalled_count, stalled_cap;

    int64_t crash_in; /* effects until the crash; < 0: not armed */
    bool crash_power;
    int64_t crash_after_state; /* armed by the next state record; < 0: not armed */
    qr_time restart_within;    /* after an armed crash */

    struct desk desk; /* council.h */

    bool current; /* sessions.c */
    qr_time fresh_at;
    struct store *store; /* pasts.c; NULL: nothing is kept */
    struct past_limits history;

    /* What the checkers remember of it. */
    qr_slot checked_commit;
    enum role role;
    qr_term term;
    bool was_member, removed; /* it has applied a membership without itself */
    qr_time removed_at;
};

/* --- clients -------------------------------------------------------------------------------- */

/* A request is tried at one node at a time; each try is an attempt, which may be in a log once. */
struct attempt {
    uint32_t operation;
    node_index node;
    bool answered;
    bool refused;      /* somebody swore that it did not happen */
    qr_slot committed; /* where; 0: nowhere yet */
    qr_slot shown;     /* the position that it was answered with */
    struct model_result result;
    enum qr_status status;
    uint32_t life, wipes; /* of the process that answered; of its journal before */
};

struct operation {
    struct history_op record;
    uint32_t attempt; /* the latest */
    node_index fixed; /* the node it must go to (scripts), or NODE_NONE */
    uint32_t session; /* 1 + its number; 0: of none */
    enum read_level level;
    qr_slot position;        /* of a read as of one; 0: it is of now */
    qr_slot begun_at, shown; /* committed when it began; it was answered with that position */
    bool done, acked;
    qr_slot acked_slot;
};

/* --- operators ------------------------------------------------------------------------------ */

enum verb {
    VERB_LEARNER = 0, /* `nodes` is 0: at a free index */
    VERB_OBSERVER,
    VERB_VOTER,
    VERB_REMOVE,
    VERB_REPLACE, /* the nodes by new learners, in one change */
    VERB_TRANSFER
};

/* An order to one node. What is wanted is composed when it arrives, from what that node knows. */
struct order {
    enum verb verb;
    node_index at;
    uint16_t nodes;
    bool forced, given, answered;
    enum qr_status status;
    struct membership wanted;
    size_t decided; /* how many memberships were when it arrived, the latest not counted */
    qr_time timeout;
};

/* --- violations ----------------------------------------------------------------------------- */

enum violation {
#define VIOLATION(name, text) VIOLATION_##name,
#include "sim/violations.def"
#undef VIOLATION
    VIOLATION_COUNT
};

const char *violation_name(enum violation v);

/* --- the world ------------------------------------------------------------------------------ */

struct committed {
    qr_term term, by; /* by: the term in which somebody first called it committed */
    uint64_t chain;
    uint32_t attempt;
    qr_time at, time; /* when somebody first called it so; log time as of it */
};

struct term_fact {
    qr_term term;
    qr_slot slot;
    uint64_t chain; /* 0: empty */
};

#define SHOW_EFFECTS 1u
#define SHOW_SENDS 2u
#define SHOW_EVENTS 4u
#define SHOW_ROUTINE 8u /* heartbeats and timers too */

struct world {
    const struct protocol *protocol;
    struct options options;
    uint64_t seed;
    struct needs needs;
    struct protocol_limits limits;
    struct rng rng;
    qr_time now;
    struct queue queue;
    struct item current; /* being carried out; what it owns is freed with it */
    struct plan plan;
    struct effects out;

    struct sim_node nodes[MEMBERS_MAX];
    node_index node_count;              /* the first members, and the indexes for those who join */
    bool knows_members;                 /* the protocol's outlook tells a membership */
    bool cut[MEMBERS_MAX][MEMBERS_MAX]; /* from, to */
    qr_time link_last[MEMBERS_MAX][MEMBERS_MAX];
    unsigned only_timer; /* scripts: timers of all nodes but only_timer - 1 wait; 0: none do */
    bool hold_messages;  /* scripts: messages wait for `deliver` */
    bool release_all;    /* scripts: a checkpoint lets its log go whoever needs it */
    int64_t harass;      /* how many leaders to come are struck */
    qr_time harass_within;
    bool harass_crash;
    bool calm; /* the core has healed: no loss, no duplicates */
    uint16_t core;
    bool over;                 /* the group was dropped: its disks are emptied while some go on */
    const uint32_t *processes; /* of a cluster's machines, which beat by themselves; NULL: none */

    struct operation *operations; /* [0] is not used */
    size_t operation_count, operation_cap;
    struct attempt *attempts; /* [0] is the no-op */
    size_t attempt_count, attempt_cap;
    size_t open_operations;

    struct sessions *sessions; /* NULL: there are none */
    struct council *council;   /* NULL: there is none */

    struct order *orders; /* [0] is not used */
    size_t order_count, order_cap;
    struct model_value **files; /* the states of all checkpoints */
    size_t file_count, file_cap;

    struct committed *committed; /* by slot; [0] is not used */
    size_t committed_count, committed_cap;
    struct membership_at *decided; /* the committed memberships; [0]: of the beginning */
    size_t decided_count, decided_cap;
    uint32_t decided_epoch;           /* that the latest committed membership serves */
    uint32_t (*rosters)[MEMBERS_MAX]; /* directories by index, + 1; [0]: of the beginning */
    uint32_t roster_count, roster_cap;
    struct world *zero;      /* whose logs say who is behind the indexes; NULL: its own */
    struct term_fact *facts; /* hash table: (slot, term) -> chain */
    size_t fact_count, fact_cap;
    node_index *leader_of; /* by term */
    size_t leader_cap;
    qr_slot counted;     /* up to here a leader's majorities were looked at */
    qr_term commit_term; /* the latest term in which something was committed */
    uint64_t leader_changes;
    uint64_t fault_count;

    uint64_t digest;
    bool deep_digest;
    uint64_t steps;

    struct counters *counters; /* may be shared by many worlds */

    unsigned show;
    void (*tell)(void *context, const char *line);
    void *tell_context;

    enum violation violation;
    char violation_text[512];
    sigjmp_buf on_violation;
    sigjmp_buf *outer; /* where control leaves through instead; NULL: on_violation */
};

/* run.c */
struct world *world_new(const struct protocol *protocol, const struct options *options,
                        uint64_t seed, struct counters *counters);
void world_free(struct world *w);
void world_start(struct world *w); /* starts all nodes */
/* Runs what is due until `until`; the time is `until` afterwards. */
void world_run_until(struct world *w, qr_time until);
void world_one(struct world *w, struct item *item);
/* Ends the run: control leaves through on_violation. */
_Noreturn void world_violation(struct world *w, enum violation v, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
void world_tell(struct world *w, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* min + an exponential amount of the given mean. */
qr_time world_delay(struct world *w, uint64_t min, uint64_t mean);
bool world_chance(struct world *w, uint64_t per_mille);
void world_mix(struct world *w, uint64_t value);
void world_push(struct world *w, qr_time delay, struct item item);

/* node.c */
qr_time node_clock(const struct world *w, const struct sim_node *n);
void node_set_drift(struct world *w, struct sim_node *n, int64_t ppm);
void node_start(struct world *w, struct sim_node *n);
void node_crash(struct world *w, struct sim_node *n, bool power);
/* The place is another node's now, whose disk is empty. */
void node_clear(struct sim_node *n);
/* Restarts within the node's restart_within. */
void node_crash_briefly(struct world *w, struct sim_node *n, bool power);
void node_step(struct world *w, struct sim_node *n, struct event *e);
void node_pause(struct world *w, struct sim_node *n);
void node_resume(struct world *w, struct sim_node *n);
void node_outlook(struct world *w, const struct sim_node *n, struct outlook *out);
node_index world_leader(struct world *w); /* the one of the highest term, or NODE_NONE */

/* driver.c */
void driver_carry_out(struct world *w, struct sim_node *n, const struct event *e,
                      const struct packet *received);
void driver_release(struct world *w, struct sim_node *n, qr_ticket upto);
void driver_forget(struct sim_node *n);
void driver_execute(struct world *w, struct sim_node *n, uint32_t attempt);

/* requests.c */
struct pending *requests_find(struct sim_node *n, qr_req req); /* NULL: it does not wait */
void requests_add(struct sim_node *n, struct pending p);
void requests_pump(struct world *w, struct sim_node *n);
/* Gives the order to the protocol, which answers it some time. */
void requests_order(struct world *w, struct sim_node *n, uint32_t order);
/* The entry at the slot is executed. */
void requests_applied(struct world *w, struct sim_node *n, qr_slot slot, const struct entry *e,
                      struct model_result result);
void requests_serve(struct world *w, struct sim_node *n); /* the reads that may be */
/* The next write that is executed, at most up to that slot, and not answered: it waits no more. Its
 * slot; 0: there is none. */
qr_slot requests_shared(struct sim_node *n, qr_slot upto, uint32_t *attempt,
                        struct model_result *result);
void requests_refuse(struct world *w, struct sim_node *n, const struct effect *x);
/* Entries behind the slot are taken back. */
void requests_taken(struct world *w, struct sim_node *n, qr_slot slot);
void requests_confirm(struct world *w, struct sim_node *n, const struct effect *x);
/* State and log are others now: what was proposed here and waits will not be told its end. */
void requests_skip(struct world *w, struct sim_node *n);

/* snapshots.c */
void snapshots_take(struct world *w, struct sim_node *n);
void snapshots_taken(struct world *w, struct sim_node *n, uint64_t number);
void snapshots_wanted(struct world *w, struct sim_node *n, node_index to, qr_slot least);
void snapshots_frame(struct world *w, struct sim_node *n, const struct frame *frame);
void snapshots_silent(struct world *w, struct sim_node *n, uint64_t file, uint64_t pieces);
void snapshots_offer(struct world *w, struct sim_node *n, uint64_t file);
void snapshots_install(struct world *w, struct sim_node *n, const struct effect *x);
void snapshots_resume(struct world *w, struct sim_node *n); /* after a restart */

/* rot.c: some entries of these nodes are lost, if they can be; whether a node may start again */
bool rot_strike(struct world *w, uint16_t nodes, uint64_t entries);
bool rot_is_healed(struct world *w, struct sim_node *n);
void rot_restore(struct world *w, uint16_t core); /* what nobody in the core can give */

/* tell.c */
void driver_tell(struct world *w, const struct sim_node *n, const struct effect *x);
void driver_trace(struct world *w, const struct sim_node *n, const struct effect *x);

/* disk.c */
void disk_persist(struct world *w, struct sim_node *n, struct disk_write *write);
void disk_start_sync(struct world *w, struct sim_node *n);
void disk_synced(struct world *w, struct sim_node *n, uint64_t number);
/* What the next START will find; the process's own view is lost. */
void disk_crash(struct world *w, struct sim_node *n, bool power);
void disk_write_free(struct disk_write *write);

/* network.c */
void network_send(struct world *w, struct packet *packet);     /* takes it */
void network_send_frame(struct world *w, struct frame *frame); /* takes it */
void network_connections(struct world *w, node_index node, bool up, bool silent);
bool network_takes(struct world *w, node_index from, node_index to); /* something sent */

/* beats.c */
void beats_start(struct world *w, struct sim_node *n);
void beats_tick(struct world *w, struct sim_node *n);
void beats_look(struct world *w, struct sim_node *n); /* for who was not heard for long */
void beats_hear(struct world *w, struct sim_node *n, node_index from, uint32_t process);
void beats_connection(struct world *w, struct sim_node *n, node_index peer, bool up);

/* leases.c */
void leases_born(struct world *w, struct sim_node *n);
void leases_tick(struct world *w, struct sim_node *n);
void leases_arrive(struct world *w, struct sim_node *n, const struct item *item);

/* workload.c */
uint32_t workload_operation(struct world *w, uint32_t key, enum op_kind kind,
                            struct model_value argument, node_index fixed, qr_time patience);
void workload_try(struct world *w, uint32_t operation, node_index node);
void workload_arrive(struct world *w, struct sim_node *n, uint32_t attempt);
/* The node answers; the client hears later, or never. */
void workload_answer(struct world *w, uint32_t attempt, enum qr_status status,
                     struct model_result result);
void workload_hear(struct world *w, uint32_t attempt);
void workload_give_up(struct world *w, uint32_t operation);
void workload_retry(struct world *w, uint32_t operation);

/* draw.c */
void faults_draw_options(uint64_t seed, struct options *out);
void faults_draw_plan(uint64_t seed, const struct options *o, struct plan *out);

/* faults.c */
void faults_carry_out(struct world *w, const struct action *action);
void faults_new_leader(struct world *w, struct sim_node *n); /* a harassed one is struck soon */
void faults_probe(struct world *w, node_index node, enum op_kind kind);
void faults_strike(struct world *w, struct sim_node *n);
void faults_rejoin(struct world *w, node_index node);
void faults_heal_core(struct world *w, uint16_t core); /* bit per node */

#endif
