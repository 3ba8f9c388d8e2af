/* A small primary/backup group for tests: instances, a mailbox, disks that sync when told to, and
 * a test that stands for group 0.
 *
 * Nothing happens by itself: messages lie in the mailbox until flock_settle or flock_elapse
 * delivers them, writes are durable when flock_sync says so (or settle, unless the disk is held).
 * After every step the instance checks its invariants. Tests may look into struct primary. */
#ifndef TESTS_UNIT_PROTOCOL_PRIMARY_GROUP_H
#define TESTS_UNIT_PROTOCOL_PRIMARY_GROUP_H

#include "protocol/primary/primary.h"
#include "protocol/primary/state.h"

#define FLOCK_NODES 5u
#define FLOCK_LOG 512u
#define FLOCK_WRITES 256u
#define FLOCK_MAIL 512u
#define FLOCK_NOTES 256u

struct flock_entry {
    qr_term term;
    qr_req req; /* of this test, of whichever node; 0: a NOOP */
};

struct flock_log {
    qr_slot base, last;
    qr_term base_term;
    bool has_state, forgetful, led, local;
    qr_term term; /* of the state record, as the next */
    qr_slot floor, own;
    struct flock_entry entry[FLOCK_LOG]; /* by slot, what the checkpoint stands for too */
};

struct flock_note {
    enum effect_kind kind; /* READ, ANSWER, TRIM, SNAPSHOT, INSTALL, LOSS or ROLLBACK */
    struct effect effect;
};

struct flock_node {
    bool up, disk_held, cut;
    bool damaged; /* START.forgetful until that is durable */
    struct primary *primary, *before;
    struct flock_log log, disk;
    struct flock_log *write[FLOCK_WRITES]; /* the log as each ticket leaves it */
    qr_ticket durable, minted;
    qr_slot applied;
    struct flock_entry discard[4 * FLOCK_LOG];
    uint32_t discards, blind; /* of them: those that are only counted */
    struct flock_note note[FLOCK_NOTES];
    uint32_t notes;
    uint32_t points[64]; /* trace points reached */
    struct effects out;
};

struct flock_mail {
    node_index from, to;
    uint16_t kind;
    qr_slot lo, hi;
    qr_term term;
    qr_ticket after; /* held by the sender until then; 0: on its way */
    union {
        struct primary_append append;
        struct primary_append_ack append_ack;
        struct primary_append_reject append_reject;
        struct primary_heartbeat heartbeat;
        struct primary_heartbeat_ack heartbeat_ack;
        struct primary_stale stale;
        struct primary_recovered recovered;
        struct primary_foreign foreign;
        struct primary_applied applied;
        struct primary_feed feed;
        struct primary_relay relay;
        struct primary_read_ask read_ask;
        struct primary_read_at read_at;
    } body;
    struct flock_entry entries[32];
};

struct flock {
    node_index n;
    qr_time now;
    struct protocol_limits limits;
    struct flock_node node[FLOCK_NODES];
    struct flock_mail mail[FLOCK_MAIL];
    uint32_t mails, sent[64]; /* messages sent, by kind */
    qr_req next_req;
    uint32_t starts, attach_max;
    const struct flock_log *offered;
};

struct protocol_limits flock_limits(void);

/* n nodes, started, with empty logs and their leases, without a view. */
struct flock *flock_new(node_index n);
struct flock *flock_new_limited(node_index n, const struct protocol_limits *limits);
void flock_free(struct flock *f);

/* All nodes are members. */
struct view flock_any(const struct flock *f, qr_term term, node_index primary, uint8_t copies);
struct view flock_all(const struct flock *f, qr_term term, node_index primary);
struct view flock_received(struct view v);

void flock_step(struct flock *f, node_index i, struct event *event);
void flock_tell(struct flock *f, node_index i, struct view v);
void flock_tell_all(struct flock *f, struct view v); /* all that are up and not cut off */
void flock_zones(struct flock *f, uint64_t zones); /* to all that are up */
void flock_lease(struct flock *f, node_index i, bool held);
void flock_timer(struct flock *f, node_index i);
void flock_execute(struct flock *f, node_index i); /* all that is applied: EXECUTED */
qr_req flock_submit(struct flock *f, node_index i, uint32_t count);
qr_req flock_read(struct flock *f, node_index i);
qr_req flock_hand_over(struct flock *f, node_index i, node_index to, qr_time timeout);
void flock_checkpoint(struct flock *f, node_index i, qr_slot slot, qr_slot release);
/* A checkpoint of what `from` has applied lies on the disk of `to`. */
void flock_bring_snapshot(struct flock *f, node_index from, node_index to);
void flock_peer(struct flock *f, node_index i, node_index peer, bool up);

void flock_sync(struct flock *f, node_index i);
void flock_crash(struct flock *f, node_index i); /* what was not durable is lost */
void flock_restart(struct flock *f, node_index i);
void flock_restart_forgetful(struct flock *f, node_index i, qr_slot last); /* the rest is lost */
void flock_wipe(struct flock *f, node_index i);                            /* of one that is down */

/* Hands a message over; entries [lo, hi) of `term` come with it when hi > lo. */
void flock_deliver(struct flock *f, node_index from, node_index to, uint16_t kind, const void *body,
                   qr_slot lo, qr_slot hi, qr_term term);
void flock_settle(struct flock *f);
void flock_elapse(struct flock *f, qr_time span);
void flock_lose_mail(struct flock *f);
bool flock_deliver_one(struct flock *f, node_index from, node_index to, uint16_t kind);
const struct flock_mail *flock_sent(const struct flock *f, node_index from, node_index to,
                                    uint16_t kind);

const struct flock_note *flock_noted(const struct flock *f, node_index i, enum effect_kind kind);
/* The status that a request was answered with; -1: it waits, or was carried out. */
int flock_answer(const struct flock *f, node_index i, qr_req req);
/* Whether node i has applied that request. */
bool flock_applied(const struct flock *f, node_index i, qr_req req);
bool flock_discarded(const struct flock *f, node_index i, qr_req req);
struct outlook flock_outlook(const struct flock *f, node_index i);
struct primary *flock_primary(struct flock *f, node_index i);

/* primary_group_disk.c, for primary_group.c. */
void flock_disk_persist(struct flock *f, node_index i, const struct effect *e,
                        const struct flock_mail *received);
void flock_disk_rollback(struct flock_node *node, const struct effect *e);
void flock_disk_install(struct flock *f, struct flock_node *node, const struct effect *e);
void flock_disk_sync(struct flock_node *node); /* everything written is durable */

#endif
