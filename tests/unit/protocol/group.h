/* A tiny Raft group for tests: instances, a mailbox, disks that sync when told to.
 *
 * Nothing happens by itself: messages lie in the mailbox until group_settle or group_elapse
 * delivers them, writes are durable when group_sync says so (or settle, unless the disk is held).
 * After every step the instance checks its invariants. Tests may look into struct raft. */
#ifndef TESTS_UNIT_PROTOCOL_GROUP_H
#define TESTS_UNIT_PROTOCOL_GROUP_H

#include "protocol/raft/raft.h"
#include "protocol/raft/state.h"

#define GROUP_LOG 1024u
#define GROUP_WRITES 512u
#define GROUP_MAIL 1024u
#define GROUP_NOTES 256u

struct group_entry {
    qr_term term;
    qr_req req;                /* 0: a NOOP, a membership, or not from this test */
    struct membership members; /* all empty: it states none */
};

static inline bool states_members(const struct group_entry *e)
{
    return membership_all(&e->members) != 0;
}

struct group_write {
    qr_ticket ticket;
    bool has_state;
    bool forgetful; /* a FORGETFUL_STATE: only the term counts */
    struct raft_hard_state state;
    qr_slot lo, hi;
    bool install; /* an INSTALL: the log begins behind `lo`, of `term`, known in `commit_term` */
    qr_term term, commit_term;
    struct membership_at members;
    struct group_entry *entries;
};

struct mail {
    node_index from, to;
    uint16_t kind;
    qr_slot lo, hi;
    qr_term term;
    qr_ticket after; /* held by the sender until then; 0: on its way */
    union {
        struct raft_prevote prevote;
        struct raft_prevote_reply prevote_reply;
        struct raft_vote vote;
        struct raft_vote_reply vote_reply;
        struct raft_append append;
        struct raft_append_ack append_ack;
        struct raft_append_reject append_reject;
        struct raft_heartbeat heartbeat;
        struct raft_heartbeat_ack heartbeat_ack;
        struct raft_stale stale;
        struct raft_timeout_now timeout_now;
        struct raft_forgetful_ack forgetful_ack;
        struct raft_forgetful_reject forgetful_reject;
        struct raft_recovered recovered;
        struct raft_quiet quiet;
        struct raft_quiet_ack quiet_ack;
        struct raft_wake wake;
        struct raft_read_ask read_ask;
        struct raft_read_at read_at;
    } body;
    struct group_entry *entries; /* hi - lo of them, owned */
};

/* A log as one node sees it, or as its disk holds it. */
struct group_image {
    qr_slot base, last;
    qr_term base_term;
    struct membership_at base_members; /* in force at base */
    qr_term commit_term;               /* in the checkpoint up to `base` */
    bool has_state, forgetful;
    struct raft_hard_state state;
    struct group_entry entry[GROUP_LOG]; /* by slot */
};

struct group_snapshot {
    node_index from;
    qr_slot slot;
    qr_term slot_term, term; /* term: in which it was known to be committed */
    struct membership_at membership;
    struct group_entry entry[GROUP_LOG]; /* up to `slot`: what the state stands for */
};

/* An answer that the driver would have got. */
struct group_note {
    enum effect_kind kind; /* READ, ANSWER, TRIM, SNAPSHOT or INSTALL */
    qr_req first;
    uint32_t count;
    qr_slot slot; /* of all but ANSWER; applied: how far APPLY had come before it */
    node_index to;
    qr_slot applied;
    qr_time before;
    enum qr_status status;
};

struct group_node {
    bool up, disk_held, cut;
    bool damaged;        /* START.forgetful until that is durable */
    qr_wall wall_offset; /* how far its wall clock is off */
    struct raft *raft, *before;
    struct group_image log, disk;
    qr_ticket durable;
    struct group_write write[GROUP_WRITES];
    uint32_t write_count;
    qr_slot applied;
    qr_req next_req;
    struct group_note note[GROUP_NOTES];
    uint32_t note_count;
    uint32_t point_count[128]; /* trace points reached */
    struct effects out;
};

struct group {
    node_index n;
    qr_time now;
    struct protocol_limits limits;
    struct group_node node[MEMBERS_MAX];
    struct mail mail[GROUP_MAIL];
    uint32_t mail_count;
    uint16_t island;     /* messages between these nodes and the others are lost */
    uint32_t attach_max; /* the driver attaches at most so many entries */
    uint32_t starts;
    const struct group_snapshot *offered; /* in the step of an OFFER */
};

struct protocol_limits group_limits(void);

/* A group of n nodes, started, with empty logs. The time is far enough from 0 that nobody is bound
 * by the promise of a start. */
struct group *group_new(node_index n);
struct group *group_new_limited(node_index n, const struct protocol_limits *limits);
/* Of n nodes, of which only those in `members` know that and take part; the others wait. */
struct group *group_new_of(node_index n, struct membership members);
/* Nodes 0..voters-1 vote, and have heard that 0 leads; the others of n wait to join. */
struct group *group_led_by_0(node_index n, node_index voters);
void group_free(struct group *g);

void group_step(struct group *g, node_index i, struct event *event);
void group_timer(struct group *g, node_index i); /* TIMER, now */
qr_req group_submit(struct group *g, node_index i, uint32_t count);
qr_req group_read(struct group *g, node_index i, uint32_t count);
void group_admin(struct group *g, node_index i, enum admin_kind order, uint64_t argument);
/* Orders a change of the members, or a hand-over; returns the request that is answered. */
qr_req group_change(struct group *g, node_index i, struct membership wanted, bool forced);
/* The sets stay; other nodes than before are behind those indexes. */
qr_req group_restate(struct group *g, node_index i, uint16_t passed);
qr_req group_hand_over(struct group *g, node_index i, node_index to, qr_time timeout);
void group_peer(struct group *g, node_index i, node_index peer, bool up);
/* A checkpoint up to `slot` is durable. */
void group_checkpoint(struct group *g, node_index i, qr_slot slot, qr_slot release, qr_slot pin);
/* Node `from` fixes a checkpoint of what it has applied. */
void group_fix_snapshot(const struct group *g, node_index from, struct group_snapshot *out);
/* A snapshot lies on the disk of node i. */
void group_offer(struct group *g, node_index i, const struct group_snapshot *snapshot);
/* Both at once. */
void group_bring_snapshot(struct group *g, node_index from, node_index to);

/* Makes everything that node i has written durable and releases what waited for it. */
void group_sync(struct group *g, node_index i);
/* The node is gone; what was not durable is lost. */
void group_crash(struct group *g, node_index i);
/* Starts it from its disk; the time moves past its start promise when `wait` is set. */
void group_restart(struct group *g, node_index i, bool wait);
/* The same after damage: the log has lost everything behind `last`, the state record too. */
void group_restart_damaged(struct group *g, node_index i, qr_slot last);
/* Changes the disk of a crashed or new node. */
void group_disk_append(struct group *g, node_index i, qr_term term, uint32_t count);
/* The disk of a crashed node keeps a checkpoint up to `slot` and the entries behind it. */
void group_disk_trim(struct group *g, node_index i, qr_slot slot);
void group_disk_state(struct group *g, node_index i, qr_term term, node_index vote);

/* Hands a message to node `to`; entries [lo, hi) of `term` come with it when hi > lo. */
void group_deliver(struct group *g, node_index from, node_index to, uint16_t kind, const void *body,
                   qr_slot lo, qr_slot hi, qr_term term);
/* Delivers and syncs until nothing is left to do, without the time moving. */
void group_settle(struct group *g);
/* Lets time pass: timers fire when they are due, everything else settles at once. */
void group_elapse(struct group *g, qr_time span);
/* Time passes for one node's timers only: it campaigns and, heard by the rest, is elected. */
void group_elect(struct group *g, node_index i);
/* Its election time-out passes; what it sends stays in the mailbox. */
void group_time_out(struct group *g, node_index i);

/* The first message in the mailbox on its way (not held) from one node to another; NULL: none. */
const struct mail *group_sent(const struct group *g, node_index from, node_index to, uint16_t kind);
const struct mail *group_held(const struct group *g, node_index from, node_index to, uint16_t kind);
uint32_t group_count(const struct group *g, uint16_t kind);
void group_lose_mail(struct group *g); /* empties the mailbox */
void group_lose(struct group *g, node_index from, node_index to, uint16_t kind);
bool group_deliver_one(struct group *g, node_index from, node_index to, uint16_t kind);

const struct group_note *group_noted(const struct group *g, node_index i, enum effect_kind kind,
                                     qr_req first);
/* The status that a request was answered with; -1: it waits. */
int group_answer(const struct group *g, node_index i, qr_req req);
struct raft *group_raft(struct group *g, node_index i);
/* What the last membership in its log states. */
struct membership group_members(struct group *g, node_index i);

/* group_disk.c, for group.c. */
void *group_zalloc(size_t n);
void group_disk_persist(struct group *g, node_index i, const struct effect *e,
                        const struct mail *received);
void group_disk_install(struct group *g, node_index i, const struct effect *e,
                        const struct event *event);
void group_disk_sync(struct group_node *node); /* everything written is durable */
void group_disk_forget(struct group_node *node);

#endif
