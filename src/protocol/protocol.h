/* The protocol interface: a strategy is a deterministic state machine, events in, effects out.
 *
 * A protocol instance is one replica of one partition. The driver (src/node/driver.c, or the
 * simulator) feeds it one event at a time and carries out the effects that it pushes, in order.
 * Nothing else passes between them.
 *
 * The contract, cited from assertions and tests:
 *
 * P1 Total.      step() never fails, blocks, logs, allocates or re-enters. A stale or malformed
 *                message is dropped and traced.
 * P2 Borrowed.   Pointers in events and effects die at the next step. What must last is copied
 *                into the instance (bounded) or named by slot.
 * P3 Ranges.     SUBMIT, READ, PERSIST, DURABLE, APPLY and ANSWER speak of ranges of operations;
 *                a step's cost does not depend on their number. A pipeline of a thousand commands
 *                is one step and one log batch.
 * P4 Bounded state. A small core (<= 4 KiB) plus flights from a bounded pool. SUBMIT and READ are
 *                only delivered while outlook().room allows.
 * P5 Crash       = forget the instance, the withheld effects and ANY SUBSET of the writes that were
 *                not yet durable (disks reorder); restart = init + START with what survived. A
 *                process crash (page cache survives) and a power loss are separate faults.
 * P6 Bounded effects. One step pushes at most needs().effects effects and needs().scratch bytes.
 *                More work continues through deadline().
 * P7 Deterministic. Time from event.now, randomness from the seed given to init, iteration by node
 *                index; equal deadlines fire by instance id.
 * P8 Addressless. A node is an index. Addresses exist only in the driver.
 *
 * Durability is data (R5): PERSIST mints a ticket, tickets become durable in order, and an effect
 * with `after` leaves only when that ticket is durable. To the protocol a held effect looks like a
 * slow network. Links lose, duplicate and reorder; nothing else is promised about them.
 *
 * Values travel once (R6): the instance knows slots and terms, never payloads. The driver attaches
 * the records [lo, hi) to a message from its log, and hands the attached records of a received
 * message to the log when PERSIST names them. */
#ifndef PROTOCOL_PROTOCOL_H
#define PROTOCOL_PROTOCOL_H

#include "base/panic.h"
#include "base/status.h"
#include "base/text.h"
#include "base/types.h"
#include "base/wire.h"

/* --- Messages and records ------------------------------------------------------------------- */

/* A typed body, and the log records [lo, hi) that travel with it (lo == hi: none).
 * All attached records have the same `term`; a protocol splits at term boundaries. */
struct message {
    uint16_t kind;    /* a tag of the protocol's codec */
    const void *body; /* the struct of that kind; borrowed (P2) */
    qr_slot lo, hi;
    qr_term term;
    bool patient; /* nobody waits for it: it may leave a little later, with what follows */
};

/* How the driver moves bodies without knowing them; every function comes from the X-macro schema
 * (protocol/schema.h). Kinds are hand-written tags that are never reused. */
struct codec {
    size_t body_max; /* bytes of the largest body struct; its alignment is at most 8 */
    /* False when the kind is unknown. */
    bool (*encode)(uint16_t kind, const void *body, struct wire_writer *out);
    /* Fills body (body_max bytes) from all of `in`; false when malformed or unknown. */
    bool (*decode)(uint16_t kind, struct span in, void *body);
    /* "APPEND term=3 prev_slot=7 ..." */
    void (*print)(uint16_t kind, const void *body, struct text *out);
    bool (*equal)(uint16_t kind, const void *a, const void *b);
    /* A random valid instance, for fuzzing and round-trip tests. */
    void (*random)(uint16_t kind, uint64_t seed, void *body);
    /* True for small urgent messages (votes, heartbeats, leases): they take the control lane. */
    bool (*is_control)(uint16_t kind);
    const char *(*name)(uint16_t kind); /* NULL when unknown */
    uint16_t kind_max;                  /* the largest tag in use, for iteration */
    /* A bit for each kind that nodes know since wire version 5 only (WIRE_VERSION_LEVELS): to an
     * older one it is not sent, as if it had been lost. It would take it for damage. */
    uint64_t late;
};

/* --- Members -------------------------------------------------------------------------------- */

/* Who takes part, as sets of node indexes (bit i: node i). A majority of `voters` decides and,
 * while `outgoing` is not empty, a majority of that too (joint consensus, Raft diss. 4.3). A node
 * may be in `outgoing` and in another set at once; otherwise the sets do not overlap. All empty: a
 * node that has not joined yet. */
struct membership {
    uint16_t voters;
    uint16_t outgoing;  /* the voters before, until the change is over */
    uint16_t learners;  /* replicate, do not count, become voters when they have caught up */
    uint16_t observers; /* replicate, never count, never become voters by themselves */
};

/* The membership that the entry at `slot` states: in force from that entry on, committed or not
 * (diss. 4.1). Slot 0: the one that the group was made with. */
struct membership_at {
    qr_slot slot;
    struct membership members;
};

/* --- Views: the primary is chosen by group 0 (decision 056) ----------------------------------- */

/* Who leads a group, which copies count, and how many must have a write, as group 0 has written it
 * down. A term has one primary for ever; while it has none yet, members promise the term and tell
 * where they stand. A slot is committed when the primary has it, all of `set`, and `copies` other
 * members. */
struct view {
    qr_term term;       /* of what its primary appends; 0: no view */
    node_index primary; /* one of the members; NODE_NONE: it is being chosen */
    uint16_t members;   /* whose copies count */
    uint16_t learners;  /* are brought up and do not count */
    uint16_t set;       /* ALL: of the members */
    uint8_t copies;     /* ANY; LOCAL: 0, and no set */
    uint8_t stage;      /* enum ack_stage: how they must have it, the primary too */
    qr_term forgot;     /* a primary of this term was chosen though it had forgotten what it held:
                           what all had before, they may have no more; 0: none was */
    bool whole; /* told to its primary alone: it was chosen in this life of the node, whatever
                           it has lost: else one that is forgetful does not lead */
};

/* --- Events: everything a protocol can learn ------------------------------------------------ */

enum event_kind {
    EVENT_START = 1, /* once, first: what survived */
    EVENT_RECEIVE,   /* a message from another node */
    EVENT_SUBMIT,    /* new operations */
    EVENT_READ,      /* new linearizable reads, at whichever replica */
    EVENT_DURABLE,   /* tickets up to `upto` are on disk */
    EVENT_SNAPSHOT,  /* a checkpoint of the applied state is durable on this node */
    EVENT_TIMER,     /* deadline() has come */
    EVENT_PEER,      /* a connection opened or closed */
    EVENT_ADMIN,     /* an operator's order */
    EVENT_OFFER,     /* a snapshot of another member is here, whole, checked and durable */
    EVENT_VIEW,      /* group 0 has written down a view; the latest again at each start */
    EVENT_LEASE,     /* this node's lease with group 0 was gained, or is gone */
    EVENT_EXECUTED,  /* what APPLY wanted is done */
    /* FETCHED joins with the strategies that need it. */
};

/* A run of log entries of one term: from `slot` up to the next run. */
struct term_run {
    qr_slot slot;
    qr_term term;
};

enum admin_kind {
    /* argument = node to lead next, or NODE_NONE for the most up to date; this node itself: the
     * hand-over that is under way is given up */
    ADMIN_TRANSFER = 1,
    ADMIN_READ_MODE,  /* argument = enum read_mode */
    ADMIN_MEMBERS,    /* members = the membership wanted, not joint */
    ADMIN_STAND_BACK, /* argument = 1: not to lead until it is 0; goes on voting and persisting */
    ADMIN_CALL,       /* the time-out is over now, where no leader is known: an election is called
                         as after any other one, or not at all */
    ADMIN_SKEWED,     /* argument = 1: this node's wall clock is off, as another group knows; told
                         again and again while it is, then 0 */
    ADMIN_TELL,       /* somebody waits for what is committed by now to be applied everywhere: the
                         others hear of it at once, not with the next heartbeat */
    ADMIN_ZONES,      /* argument = 4 bits of each member, the lowest of node 0: of those with one
                         number, not the leader's, one may feed the others; 0: the leader does */
};

enum read_mode { READ_MODE_READINDEX = 0, READ_MODE_LEASE = 1 };

struct event {
    enum event_kind kind;
    qr_time now;  /* read after the event's bytes were: the only clock for decisions */
    qr_wall wall; /* may jump: used for stamps and skew detection only */
    union {
        struct {
            uint16_t state_kind; /* kind of the last durable PERSIST.state; 0: none was written */
            const void *state;
            qr_slot base_slot; /* the log is trimmed up to here; its first entry follows */
            qr_term base_term;
            qr_slot applied_slot; /* the checkpoint holds the state up to here, so it is committed;
                                     base_slot <= applied_slot <= last_slot; APPLY goes on behind */
            /* The term in which this was known: outlook().term when the checkpoint's state was
             * fixed, or the `term` of the OFFER that it came by. Kept in the checkpoint, because
             * the state record that says so may be lost; 0: an old checkpoint does not say. */
            qr_term commit_term;
            qr_slot last_slot;           /* last entry of the log; == base_slot when it is empty */
            const struct term_run *runs; /* terms of (base_slot, last_slot], ascending */
            uint32_t run_count;
            /* Damage, wipe or lost acknowledgements: neither vote nor acknowledge. Said at every
             * start until a state record that the protocol wrote since is durable; that one says
             * it from then on. Never with a membership in which this node is the only voter. */
            bool forgetful;
            /* Ascending: the first is in force at applied_slot, the others follow in the log. None:
             * a node that has not joined yet. */
            const struct membership_at *memberships;
            uint32_t membership_count;
            /* The entry that took this node in, told when it joined and said at every start. Where
             * the log before it names the node's index, another node is meant. 0: it was there
             * from the beginning. */
            qr_slot joined_slot;
            qr_term joined_term;
        } start;
        /* Said by the node that this one's log names at `from` at this moment. While it follows it
         * may also be the next one there. */
        struct {
            node_index from;
            struct message message;
            /* Those that the attached records state, ascending, each sound (quorum.h). */
            const struct membership_at *memberships;
            uint32_t membership_count;
        } receive;
        struct {
            qr_req first; /* operations [first, first + count) */
            uint32_t count;
        } submit;
        /* At any replica. Who does not lead asks the leader, which every member must know how to
         * answer: where a peer may be older, the driver gives reads to leaders only. Without a
         * leader, or when it is lost before it has answered, they are refused: NOT_LEADER. */
        struct {
            qr_req first; /* reads [first, first + count), numbered in the same series */
            uint32_t count;
        } read;
        struct {
            qr_ticket upto;
        } durable;
        struct {
            qr_slot slot;    /* state up to here is in a durable checkpoint */
            qr_slot release; /* retention: entries up to here may go although a slow member needs
                                them; 0: none */
            qr_slot pin;     /* entries behind it stay: a member loads a snapshot up to it; 0: no
                                such member */
        } snapshot;
        /* Of nodes, not of replicas: many groups share what the driver knows. Nobody is up until
         * that is told, and one that is up is the same process as before. */
        struct {
            node_index node;
            bool up;
        } peer;
        struct {
            enum admin_kind order;
            uint64_t argument;
            struct membership members;
            bool forced;     /* although it could cost the quorum */
            bool restated;   /* an entry even if nothing changes: who the members are does */
            uint16_t passed; /* of them: with another node behind the index than there was */
            qr_time timeout; /* give up after so long; 0: the protocol's own */
            /* ANSWERed when it is done or refused; 0: nobody waits. MEMBERS: OK when the membership
             * wanted is committed, UNCERTAIN when leadership ended before; else nothing was
             * changed: NOT_LEADER, CHANGING, HANDING_OVER, UNSAFE, LAST_VOTER. TRANSFER: OK when
             * another leads, HANDOVER when nobody does in time; NOT_LEADER, HANDING_OVER,
             * NOT_A_VOTER. */
            qr_req req;
        } admin;
        /* The driver keeps the snapshot until the end of this step: without an INSTALL it goes. */
        struct {
            node_index from;
            qr_term term; /* in which the sender knew the state to be committed: the commit_term of
                             its checkpoint */
            qr_slot slot; /* the state up to here */
            qr_term slot_term;
            /* In force at that slot; empty when the sender does not know: it joined later. */
            struct membership_at membership;
        } offer;
        struct view view; /* an older one, or the same again, says nothing */
        /* Nobody holds it before that is told. At a start, and after it was gone, it is told only
         * when this node knows, and has told by VIEW, all that group 0 had written down when it
         * granted it. That it is gone is told before any SUBMIT or READ that comes after. */
        struct {
            bool held;
        } lease;
        /* While outlook().shares: a read at this node shows all up to there, and did not when that
         * was last told. Nothing is told after a crash but what is there then. */
        struct {
            qr_slot slot;
        } executed;
    };
};

/* --- Effects: everything a protocol can do -------------------------------------------------- */

enum effect_kind {
    EFFECT_PERSIST = 1, /* write to the log */
    EFFECT_SEND,        /* a message to another node */
    EFFECT_APPLY,       /* execute committed entries [lo, hi) in order; answer their requests */
    EFFECT_ANSWER,      /* refuse requests */
    EFFECT_READ,        /* reads are confirmed */
    EFFECT_TRIM,        /* entries up to a slot are needed no more */
    EFFECT_TRACE,       /* something worth telling */
    EFFECT_SNAPSHOT,    /* bring a member up by a checkpoint */
    EFFECT_INSTALL,     /* the snapshot offered takes the place of state and log */
    EFFECT_LOSS,        /* another node has lost what it had acknowledged: people have to know */
    EFFECT_ROLLBACK,    /* entries that may have been applied are taken back */
    /* EXECUTE, MERGE and FETCH join with their strategies. */
};

struct effect {
    enum effect_kind kind;
    qr_ticket after; /* hold until this ticket is durable; 0 = now */
    union {
        /* One durable write: a state record, entries, or both. Entries [lo, hi) follow everything
         * before lo; whatever the log held at or after lo is dropped first (truncation). They are
         * the operations of the SUBMIT being stepped (req != 0), the records attached to the
         * message being received beginning at slot lo, or one NOOP entry that the driver makes
         * (noop). */
        struct {
            qr_ticket ticket;
            uint16_t state_kind; /* 0: no state record */
            bool noop;
            const void *state;
            qr_slot lo, hi; /* lo == hi: no entries */
            qr_term term;   /* of the entries */
            qr_req req;     /* request of entry lo, ascending by one; 0: not from a SUBMIT */
            const struct membership *members; /* NULL: no such entry */
        } persist;
        struct {
            node_index to;
            struct message message;
        } send;
        struct {
            qr_slot lo, hi;
        } apply;
        struct {
            qr_req first;
            uint32_t count;
            enum qr_status status;
        } answer;
        /* Reads [first, first + count) may be served from a state that has applied `slot`: it shows
         * whatever was acknowledged before they came. Reads are confirmed in order of request. At
         * who does not lead the slot may be far ahead of what is committed here: nothing more is
         * said about them, and the driver bounds how long they wait. */
        struct {
            qr_req first;
            uint32_t count;
            qr_slot slot;
            qr_time before; /* leased: serve only while the clock is below it; 0 = no bound */
            bool held;      /* serve only while this node holds its lease with group 0 */
        } read;
        struct {
            qr_slot upto; /* entries [.., upto] */
        } trim;
        struct {
            uint16_t point; /* a tag of the protocol's trace list */
            uint64_t argument[3];
        } trace;
        /* `to` lacks what this log has no more. Said again now and then while it does; the driver
         * knows what is under way already. */
        struct {
            node_index to;
            qr_slot least; /* the checkpoint must hold the state up to here at least */
            qr_term term;  /* of this leader */
        } snapshot;
        /* State and checkpoint become the snapshot's, durably, and only then the log becomes empty
         * and begins behind `slot`: nothing in it goes on there. What APPLY wanted and is not
         * executed yet falls away, what was proposed here and has no answer is uncertain. PERSIST
         * and APPLY go on behind. A checkpoint that is being taken is of no use any more. */
        struct {
            qr_ticket ticket; /* durable when all of that is */
            qr_slot slot;
            qr_term term;
        } install;
        struct {
            node_index node;
            qr_slot acknowledged; /* it had said to hold up to here, durably, */
            qr_slot holds;        /* and cannot hold more than that */
        } loss;
        /* What was persisted before is durable first. Then entries (slot, last] go into the discard
         * journal, durably, as lost to `term`; the state comes back to what it was at `slot`; and
         * only then the log ends there. What was proposed here and stands among them is told as
         * lost. PERSIST and APPLY go on behind `slot`. `anew`: the state becomes empty, and so does
         * the log, which begins behind slot 0: a START after it has nothing but the state record.
         * `slot` may be below what the log still holds then: what is gone can only be counted.
         * And what was this node's own up to `given`, which all members were known to hold, is
         * counted as given up, until it is here again (outlook.again). Of what is behind `slot`
         * the primary may have some, up to `maybe`. */
        struct {
            qr_ticket ticket; /* durable when all of that is */
            qr_slot slot, last;
            qr_slot given, maybe; /* 0: nothing, as where it does not begin anew; given <= slot */
            qr_term term;
            bool anew; /* the last checkpoint, or where the log begins, is behind `slot` */
        } rollback;
    };
};

_Static_assert(sizeof(struct effect) <= 80, "an effect stays small");

/* What one step pushes into. The driver owns the arrays and resets them before every step. */
struct effects {
    struct effect *v;
    uint32_t n, cap;
    uint8_t *scratch; /* message bodies and state records live here until the next step */
    size_t scratch_n, scratch_cap;
};

/* The next effect, zeroed, to be filled by the caller. Panics when the step overruns its bound
 * (P6): the bound is the protocol's own claim. */
struct effect *effects_push(struct effects *out, enum effect_kind kind);

/* n bytes of zeroed scratch, aligned to 8. Panics like effects_push. */
void *effects_scratch(struct effects *out, size_t n);

void effects_trace(struct effects *out, uint16_t point, uint64_t a, uint64_t b, uint64_t c);
/* Pushes a SEND that waits for `after`; the caller fills the zeroed body that it returns. */
void *effects_send(struct effects *out, node_index to, uint16_t kind, size_t body_bytes,
                   qr_ticket after);
/* Refuses or grants requests [first, first + count); none when first is 0. */
void effects_answer(struct effects *out, qr_req first, uint32_t count, enum qr_status status);

/* --- A strategy ----------------------------------------------------------------------------- */

enum consistency { CONSISTENCY_LINEARIZABLE = 1, CONSISTENCY_CONVERGENT, CONSISTENCY_EVENTUAL };

/* What a read may show (cluster/level.h says it in words). Of the first three each gives more than
 * those behind it; the others are of strategies and sessions that give them. */
enum read_level {
    READ_LINEARIZABLE = 0, /* whatever was acknowledged before it was asked */
    READ_LEADER,           /* what the leader has applied, who need not prove that it still leads */
    READ_PREFIX,           /* what some replica has applied: the writes up to a point, in order */
    READ_LOCAL,            /* what some replica has */
    READ_SESSION,
    READ_BOUNDED,
    READ_CAUSAL,
    READ_QUORUM,
    READ_SNAPSHOT,
    READ_LEVELS,
};
#define READ_BIT(level) (1u << (level))

/* How many replicas, and which, must have a write before it is answered (cluster/ack.h) ... */
enum ack_kind {
    ACK_MAJORITY = 0,
    ACK_QUORUM, /* another word for it where majorities decide */
    ACK_EACH_ZONE,
    ACK_EACH_DC,
    ACK_ALL,
    ACK_ANY,   /* k beside the one that takes it */
    ACK_COUNT, /* n, with the one that takes it */
    ACK_LOCAL,
    ACK_KINDS,
};

/* ... and how they must have it. */
enum ack_stage {
    ACK_DURABLE = 0,
    ACK_RECEIVED,
    ACK_APPLIED,
    ACK_WRITTEN, /* as durable to protocols: the driver tells them so at the write (early.h) */
    ACK_STAGES,
};
#define ACK_BIT(what) (1u << (what))

/* What a strategy guarantees: it picks the checkers and fills KEYSPACE EXPLAIN. */
struct promise {
    enum consistency consistency;
    uint16_t reads;               /* READ_BITs of the levels that it gives */
    uint8_t acks;                 /* ACK_BITs of the kinds of acknowledgement, */
    uint8_t ack_stages;           /* and of what they may be about */
    bool survives_minority_crash; /* an acknowledged write survives any minority of crashes */
    bool available_in_minority;   /* a minority goes on accepting writes */
    /* Messages that carry or answer one write, for each replica but the one that takes it, when
     * nothing else shares them: 1 asynchronous, 2 synchronous. */
    uint8_t messages_per_replica;
    /* With so many replicas, how many may fail at once and writes still go on. */
    uint32_t (*tolerates)(uint32_t replicas);
};

/* What the worker must set aside for one instance. */
struct needs {
    size_t state;     /* bytes of the instance: one flat block, no internal pointers */
    uint32_t effects; /* most effects of one step */
    size_t scratch;   /* most scratch bytes of one step */
};

/* The limits a protocol runs under; the simulator makes them tiny. All times are microseconds. */
struct protocol_limits {
    qr_time heartbeat;      /* 25 ms */
    qr_time lease;          /* 80 ms; 0 < lease < election */
    qr_time election;       /* 300 ms; randomised over [election, 2 * election) */
    uint32_t drift_percent; /* bound on the drift between two clocks: 10 */
    qr_wall skew_max;       /* a node further off the majority's wall clock may not lead: 500 ms */
    uint32_t uncommitted_max; /* entries */
    uint32_t append_entries;  /* entries attached to one message */
    uint32_t appends_in_flight;
    qr_time quiet_after; /* a group that is idle for so long rests without timers; 0: never */
};

enum role { ROLE_FOLLOWER = 0, ROLE_CANDIDATE, ROLE_LEADER };

/* Where a member stands, as its leader sees it. */
struct member_outlook {
    qr_slot match;       /* durable there up to here */
    qr_time heard;       /* when it last answered; 0: never in this term */
    qr_time echoed;      /* it has answered what was sent then; 0: nothing in this term */
    bool needs_snapshot; /* what it lacks is trimmed here */
    bool forgetful;      /* it has lost what it promised, and does not count */
    bool skewed;         /* its wall clock is far from the leader's */
    bool lively;         /* strategies with views: heard within an election time-out */
    uint8_t fed_by;      /* 1 + the member that feeds it; 0: the leader does */
};

/* Where one stands that has promised a term which has no leader yet: all of it durable, and true
 * until the next view, in this life. */
struct stood {
    qr_term term;      /* promised */
    qr_term last_term; /* of the last entry of its log, */
    qr_slot last;      /* and its slot */
};

/* What the driver routes by and INFO shows: one cache line, and behind it the members: a leader's
 * are filled, others are zero. */
struct outlook {
    qr_term term;
    qr_slot commit, last, first;  /* first entry that the log still holds */
    qr_slot membership_slot;      /* stated by this entry; > commit: not decided yet */
    struct membership membership; /* in force */
    uint32_t room;                /* operations that SUBMIT may bring now; 0: wait */
    uint16_t leaving;             /* dropped, but a leader still sends to them so that they know */
    node_index leader;            /* NODE_NONE: unknown */
    node_index transfer_to;       /* a leader that hands over; NODE_NONE: none */
    enum role role : 8;
    uint8_t members; /* indexes in use are below it; of others `member` says nothing */
    bool can_serve;  /* leader with an entry of its own term committed */
    bool forgetful;
    bool counts;       /* what others answer decides something: it leads, or collects votes */
    bool skewed;       /* its wall clock is known to be off: it leaves leadership to others */
    bool stands_back;  /* it was told to */
    bool quiet : 1;    /* it has no timer: what a leader knows of its members' life is old */
    bool informed : 1; /* since its start it has committed all that a leader knew to be committed */
    /* Of strategies whose leader group 0 names; elsewhere false. */
    bool stands : 1;  /* `stood` tells where: it has promised its term, which has no leader yet */
    bool settled : 1; /* leads, and an entry of its term is committed: the view is settled */
    bool barred : 1;  /* the view names it and it may not lead in that term: another is needed */
    bool closed : 1;  /* a hand-over was answered OK: it takes nothing in this term any more */
    bool shares : 1;  /* a write is answered when others have executed it too (ACK_APPLIED): */
    struct member_outlook member[15];
    qr_slot shared;     /* a leader: as many as are wanted have, up to here */
    struct stood stood; /* when it stands, or is forgetful; zero while that is not durable */
    /* Entries behind it may be nowhere else, though they were acknowledged: when this replica is
     * dropped for good they go into the discard journal first. `last`: there are none. */
    qr_slot sure;
    /* What was given up (rollback.given) to a term behind this one is here again, durably.
     * UINT64_MAX: it is not yet, as far as is known. */
    qr_term again;
    uint16_t feeds; /* of one that does not lead: members that it was told to feed */
    qr_term proven; /* what APPLY has named is a prefix of the history of that term; 0: unknown */
    /* Of a leader that group 0 names: how its view says that a write is committed. */
    uint16_t rule_set;
    uint8_t rule_copies, rule_stage;
};

static inline bool outlook_serves(const struct outlook *o)
{
    return o->role == ROLE_LEADER && o->can_serve;
}

_Static_assert(offsetof(struct outlook, member) <= CACHE_LINE_BYTES, "asked for in each step");

struct protocol {
    const char *name;
    struct promise promise;
    bool views; /* group 0 names its leaders: it is told VIEWs and LEASEs */
    const struct codec *codec;

    struct needs (*needs)(const struct protocol_limits *limits);

    /* Prepares `self` (needs().state zeroed bytes, aligned to 16; on cache lines of its own it is
     * faster) as node `me`. The limits are copied. No effect comes before START. */
    void (*init)(void *self, const struct protocol_limits *limits, node_index me, uint64_t seed);

    /* One event in, effects out, in the order in which they are to be carried out. */
    void (*step)(void *self, const struct event *event, struct effects *out);

    /* A step will follow soon, with a message of `from` or, NODE_NONE, another event: asks for the
     * memory that it touches (base/prefetch.h). */
    void (*prefetch)(const void *self, node_index from);

    /* When TIMER is wanted next; in the past means at once; QR_NEVER means not at all. */
    qr_time (*deadline)(const void *self);

    void (*outlook)(const void *self, struct outlook *out);

    /* Panics when an invariant is broken; with `before` (a copy of the instance from before the
     * last step), also when the step changed what no step may change. */
    void (*check)(const void *self, const void *before);

    /* Equal histories give equal digests on every machine. */
    uint64_t (*digest)(const void *self);

    /* One line for people: role, term, positions. */
    void (*describe)(const void *self, struct text *out);

    /* "term 3 > 2: step down", from a TRACE effect. */
    void (*trace)(uint16_t point, const uint64_t argument[3], struct text *out);
};

#endif
