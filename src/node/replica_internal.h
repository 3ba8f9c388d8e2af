/* The inside of a replica, shared by replica.c (events, turns), perform.c (effects), apply.c
 * (execution), reads.c and replica_new.c. */
#ifndef NODE_REPLICA_INTERNAL_H
#define NODE_REPLICA_INTERNAL_H

#include "base/rng.h"
#include "node/node.h"
#include "node/blobs.h"
#include "node/execute.h"
#include "node/feed.h"
#include "node/proofs.h"
#include "node/replica.h"
#include "node/views.h"
#include "node/workbench.h"

#include <stddef.h>

/* A ticket becomes durable with everything the log holds below `position`. */
struct ticket_mark {
    qr_ticket ticket;
    uint64_t position;
    qr_slot last; /* last entry of the log at that point */
    bool lazy;    /* that it is written is enough */
};

/* An effect that waits for its ticket; a SEND's body is kept encoded. */
struct held {
    struct held *next;
    struct effect effect;
    size_t body_bytes;
    uint8_t body[];
};

/* Of a thousand partitions each is written to now and then, and what a write costs is above all the
 * cache lines that it has to fetch (as with struct partition, and struct raft): the fields stand by
 * how often they are wanted, and what is looked at only to see that there is nothing stands behind
 * a flag. */
struct replica {
    /* Always. */
    struct node *node;
    struct partition *partition; /* whose replica this is */
    const struct protocol *protocol;
    void *self;
    struct workbench *bench; /* the worker's, for one step at a time */
    uint32_t group;
    uint32_t flight_cap;
    uint32_t batch_count;
    node_index me;
    bool started;        /* has learnt what survived */
    bool stepped;        /* since the last look */
    bool deadline_known; /* of the protocol, as of the last step */
    bool submitting;     /* the event being stepped is the batch's, for PERSIST (R6) */
    bool durable_untold; /* the protocol hears of it with the next event (replica_light.c) */
    bool durable_only;   /* apply nothing that is not durable here: a checkpoint is due */
    bool frozen;         /* apply nothing, read nothing: quarantine.h */
    bool current;        /* it has applied what it was informed of: it may be read from */
    bool attaches;       /* feed->attached or feed->read_back says something */
    bool logical : 1;    /* `execute` is there */
    bool queued : 1;     /* something may stand in a queue, or the term is a new one */
    bool trails : 1;     /* `written` says something */
    bool stalled : 1;    /* no writes: a follower is behind by more than MAXLAG (lagging.h) */
    bool viewed;         /* group 0 names its leader (views.h) */

    qr_slot applied, apply_to; /* applied <= apply_to: what the protocol has allowed */
    qr_ticket durable;
    qr_slot durable_last; /* entries up to here are durable */
    qr_time deadline;
    size_t flight_bytes; /* of the ops in the batch and in flight (UNCOMMITTED_BYTES_MAX) */
    size_t batch_n;
    qr_req next_req;

    struct ticket_mark *marks; /* a ring of tickets not yet durable */
    uint32_t marks_first, marks_count, marks_cap;
    uint32_t held_count;
    struct held *held, *held_last;
    qr_term applied_term;
    int64_t digest_period; /* of log time: the state is compared where it changes */
    struct feed *feed;     /* NULL: nothing was sent to anybody yet */

    /* Leaders: this turn's writes, and log time (design: expiry by log time). */
    struct batch_room *batch; /* NULL: none so far */
    struct pending *
        *flights; /* by the slot's low bits: flight_cap places, a power of two, or none. Proposed
                     writes by slot; a chain where a later term reused the slot (D1) */
    qr_term stamp_term;
    qr_wall stamp_base, stamp_last;
    qr_time stamp_base_now;
    struct rng rng;
    qr_slot tick_slot; /* our last tick; a new one waits until it is applied */

    struct outlook outlook; /* as of the last look */

    /* Reads, and whatever is not just a write. */
    struct pendings new_reads; /* this turn's reads */
    struct pendings reading;   /* with the protocol, in order of req */
    struct pendings confirmed; /* allowed, waiting for S1 or for their slot to be applied */
    struct pendings large;     /* allowed, to be executed a few per turn (pace.c) */
    struct pendings due;       /* met a due key, waiting for a tick */
    struct pendings loading;   /* their large arguments go into the log first (blobs.h) */
    struct pendings orders;    /* with the protocol, which answers each */
    struct execute *execute;   /* LOG logical; else NULL */
    struct blobs blobs;
    qr_wall read_stamp; /* of the reads that are being served */
    /* A read that arrives before lease_until, once lease_slot is applied, needs no word from the
     * protocol (read_now.c). */
    qr_time lease_until;
    qr_slot lease_slot;
    struct proofs *proofs; /* NULL: no index was asked for yet */
    struct waits *waits;   /* WAIT, and what waits for zones (wait.c); NULL: nothing does */
    qr_time stamped_at; /* read_stamp is of the turn of the node that began then; 0: of none */

    struct roster *roster; /* in force: the latest in the log, at roster_slot */
    qr_slot roster_slot;
    struct roster *applied_roster; /* in force at what is applied here */
    qr_slot applied_roster_slot;
    struct graves *graves;        /* who has left; of group 0 only */
    uint64_t ordered_epoch;       /* of the change being stepped; 0: none, or of group 0 */
    const struct roster *offered; /* of the snapshot in the offer being stepped */
    uint32_t roster_changes;      /* of both */
    qr_req change_req; /* of the change being stepped for which nobody waits, and its refusal */
    enum qr_status change_status;
    const struct roster_node *joining; /* by node index: whom the order being stepped brings */
    struct membership_at *start_memberships; /* until START was stepped */
    uint32_t start_membership_count;
    struct viewed views; /* what it was told of them */
    qr_slot executed;    /* it was told that this is (EVENT_EXECUTED), where it wants to know */
    struct written { /* entries up to `last` are durable once the log is so up to there; */
        uint64_t position;
        qr_slot last;
    } written, written_newest; /* what is waited for, and the newest that was told as durable */
};

BEGINS_LINE(struct replica, applied);
BEGINS_LINE(struct replica, marks);
BEGINS_LINE(struct replica, batch);
BEGINS_LINE(struct replica, outlook);
_Static_assert(offsetof(struct replica, outlook.member) <= REPLICA_HOT_BYTES, "asked for ahead");

/* The position that a read of that level shows, of that slot; 0: not known. */
qr_slot replica_shows(const struct replica *r, enum read_level level, qr_slot slot);

/* p stands in that queue of r from here on. */
static inline void replica_queue(struct replica *r, struct pendings *queue, struct pending *p)
{
    r->queued = true;
    pendings_push(queue, p);
}
/* Whether anything stands in one, or is to be said of a blob. */
bool replica_has_queued(const struct replica *r);

/* One slice of execution; a turn's other work waits behind it (R4). */
#define APPLY_BUDGET (2 * QR_MILLISECOND)

#define FLIGHTS (UNCOMMITTED_ENTRIES_MAX * 2) /* slots, with room for what a turn applies */
#define FLIGHTS_MIN 16u                       /* places, once there are any */

/* One more execution of a command, which took from node->clock, as last read, until now. */
void replica_count_call(struct node *node, const struct command_spec *spec,
                        const struct reply *reply);

/* The stamp for something that happens now, under the leader's clock. */
qr_wall replica_stamp(struct replica *r);

/* Adds an entry of that kind, which nobody waits for, to this turn's batch. Its payload of n bytes
 * is to be written to the result at once. */
uint8_t *replica_batch(struct replica *r, uint8_t kind, size_t n);

/* Before it starts: its log is one of rows (execute.h). */
void replica_go_logical(struct replica *r);

/* Steps the protocol and carries out its effects. */
void replica_step(struct replica *r, struct event *event);

/* What only a step can change, asked for once after it. */
void replica_look(struct replica *r);
qr_time replica_protocol_deadline(struct replica *r);

/* --- replica_light.c */

/* A message was stepped outside of a turn: wakes the partition when a turn has something to do. */
void replica_stir(struct replica *r);
/* What is executed is to be told (EVENT_EXECUTED); tells it. */
static inline bool replica_tells_executed(const struct replica *r)
{
    return r->outlook.shares && r->outlook.role == ROLE_FOLLOWER && r->applied > r->executed &&
           !r->frozen;
}
void replica_tell_executed(struct replica *r);
/* Tickets whose position is durable now, and what was held for them. False: none. */
bool replica_take_durable(struct replica *r, uint64_t position);

/* Carries out an effect whose ticket is durable (perform.c). */
void replica_perform(struct replica *r, const struct effect *e);
/* Keeps an effect until its ticket is durable, and lets those go whose ticket is. */
void replica_hold(struct replica *r, const struct effect *e);
void replica_release_held(struct replica *r);
void replica_drop_held(struct replica *r); /* they never happen */

/* Entries up to here are synced, whatever counts as durable. */
qr_slot replica_synced(struct replica *r);

/* The batch is in the log, or refused. */
void replica_drop_batch(struct replica *r);

/* Entries of this replica go to the log. */
void replica_append(struct replica *r, struct span records, uint32_t count);
/* The log is durable for that ticket once everything appended so far is; `lazy`: written. */
void replica_mark_ticket(struct replica *r, qr_ticket ticket, bool lazy);
/* EFFECT_INSTALL (replica_install.c). */
void replica_perform_install(struct replica *r, const struct effect *e);
/* Proposed writes up to `slot`, whose outcome this node will never see, are answered so. */
void replica_flights_lost(struct replica *r, qr_slot slot);

/* Sends what had to wait for the pace of members that are far behind. */
void replica_feed(struct replica *r);
/* The turn ends: the next has new room for entries. */
void replica_end_sends(struct replica *r);

/* Up to where entries may be applied now. */
static inline qr_slot replica_apply_limit(const struct replica *r)
{
    if (r->frozen) {
        return r->applied;
    }
    return r->durable_only ? min_u64(r->apply_to, r->durable_last) : r->apply_to;
}

/* The state is another one: compared from its next period on. */
static inline int64_t replica_digest_period(const struct replica *r)
{
    return engine_log_time(r->partition->engine) >> 20; /* about a second */
}

/* Applies what is allowed, for at most about `budget` microseconds. */
void replica_apply(struct replica *r, qr_time budget);

/* How much slower its timers are than group 0's. Of others there are thousands, and that a node is
 * gone they hear at once from what is common to them (contact.h). */
static inline qr_time replica_pace(uint32_t group)
{
    return group == 0 ? 1 : 4;
}

/* --- replica_members.c: the roster follows the log */

static inline size_t replica_roster_bytes(const struct replica *r)
{
    return r->group == 0 ? sizeof(struct roster) : offsetof(struct roster, node);
}

/* The rosters of log and checkpoint, for START. False with a message when one cannot be read. */
bool replica_rosters_load(struct replica *r, const struct replica_base *base, char *message,
                          size_t cap);
/* Takes note of a record that came from a peer; false when it is no roster. */
bool replica_roster_received(struct replica *r, const struct record *record);
/* PERSIST.members: the entry, with who and where the members are. */
void replica_persist_members(struct replica *r, const struct effect *e);
/* The entries [lo, hi) were appended; entries at or after `from` were dropped. */
void replica_roster_appended(struct replica *r, qr_slot lo, qr_slot hi);
void replica_roster_truncated(struct replica *r, qr_slot from);
void replica_roster_applied(struct replica *r, const struct record *record);
/* The log of a group with views states no members: they are the view's (views.h W4). */
void replica_roster_viewed(struct replica *r, const struct view *view);
/* A snapshot took the place of the state: `roster` is in force at its slot, the log was cut. */
void replica_roster_installed(struct replica *r, const struct roster *roster, qr_slot slot);

/* Nothing is in flight, and not much was of late: the places for it go. */
void replica_fold_flights(struct replica *r);

/* A proposed write got its slot. */
void replica_took_off(struct replica *r, struct pending *p, qr_slot slot, qr_term term);

/* The protocol has carried out an order, or not; false when nobody waits for that number. */
bool replica_order_answered(struct replica *r, qr_req req, enum qr_status status);

/* An index is to be asked for in the next turn, also where nobody waits for it. */
static inline bool replica_wants_proof(const struct replica *r)
{
    return r->proofs != NULL && r->proofs->wanted;
}
/* The protocol is about to be given the reads from next_req on. */
void replica_note_ask(struct replica *r);

/* p has its op and is a read from here on, which is not confirmed. */
void replica_begin_read(struct pending *p);
/* The protocol confirmed or refused reads. */
void replica_reads_confirmed(struct replica *r, qr_req first, uint32_t count, qr_slot slot,
                             qr_time before);
/* So long may a read be served that wants this node's lease with group 0 (EFFECT_READ: held). */
qr_time replica_lease_end(const struct replica *r);
void replica_reads_refused(struct replica *r, qr_req first, uint32_t count, enum qr_status status);
void replica_serve_confirmed(struct replica *r);
/* At the end of the turn: reads that are large, as far as there is time. */
void replica_serve_large(struct replica *r);
/* S2: reads of the same client that arrived before the write p, which is about to be applied, or to
 * be executed. */
void replica_serve_ahead(struct replica *r, struct pending *p);
/* A read that this replica has leaves whichever queue it is in. */
void replica_leave_reads(struct replica *r, struct pending *p);

/* as_of.c: reads as of a position (READ_SNAPSHOT). What the keyspace is to keep for them, */
void replica_follow_history(struct replica *r);
/* and the answer to one, where its position is applied. */
void replica_serve_as_of(struct replica *r, struct pending *p);

/* pace.c */
bool pace_is_large(const struct replica *r, const struct pending *p);
bool pace_has_time(const struct replica *r);
/* `tried` of them had their turn already, whatever they turned out to be. */
bool pace_has_time_for_large(const struct replica *r, uint32_t tried);
void pace_note_read(struct replica *r, const struct pending *p, qr_time took, size_t bytes);
/* What the reads of one client take: moving averages of the last few. */
void pace_note_history(struct read_history *history, qr_time took, size_t bytes);
void pace_note_write(struct replica *r);
void pace_end_partition(struct replica *r);
/* Serves reads that met a due key. */
void replica_serve_due(struct replica *r);

/* --- wait.c: WAITs whose members are there. Only where there are any. */
void replica_serve_waits(struct replica *r);
/* A write was given up: who waits for what its client has written is looked at. */
void replica_look_at_waits(struct replica *r);
void replica_free_waits(struct replica *r);
void replica_forget_wait(struct replica *r, struct pending *p); /* it waits no more */

/* --- zones.c: writes that are answered when others have them too; they wait as WAIT does */

static inline bool zones_awaits(const struct pending *p)
{
    return p->state == PENDING_BLOCKED && p->spec->place == PLACE_WRITE;
}
/* A reply that is kept back (zones_await_reply) is written here, and then either answered, or
 * awaited. */
struct reply *zones_keep_reply(struct pending *p);
void zones_answer(struct pending *p);
void zones_await(struct replica *r, struct pending *p);
/* Up to here all have everything for whom a write with these wants waits. EACH zone: *last is a
 * voter of the zone that has the least. */
qr_slot zones_reached(const struct replica *r, const struct wants *wants, node_index *last);
/* They have it who have to, or its time is over; it waits no more. */
void zones_serve(const struct replica *r, struct pending *p, qr_slot reached, node_index last);
/* This node does not lead any more. */
void zones_give_up(struct pending *p);
void zones_drop_reply(struct pending *p);

#endif
