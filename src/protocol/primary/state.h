/* The state of one instance of primary/backup, and what its files say to each other. Nobody
 * outside this directory includes it (the unit tests do).
 *
 * Every function below runs inside one step; `out` takes its effects. Times are microseconds. */
#ifndef PROTOCOL_PRIMARY_STATE_H
#define PROTOCOL_PRIMARY_STATE_H

#include "base/rng.h"
#include "protocol/primary/primary.h"
#include "protocol/primary/primary_messages.h"
#include "protocol/quorum.h"
#include "protocol/journal.h"
#include "protocol/trail.h"

#define APPENDS_PER_STEP 2u  /* to one member: acknowledgements pull the rest */
#define SNAPSHOT_REMINDER 8u /* heartbeats from one reminder of a snapshot to the next */
#define READ_WAITS 8u        /* ranges of reads that wait for the primary's word; full: refused */

enum primary_point {
#define POINT(tag, NAME, sentence) POINT_##NAME = (tag),
#include "protocol/primary/primary_traces.def"
#undef POINT
};

/*              VIEW, no primary yet               VIEW: this node
 *   FOLLOWER ---------------------> STANDING ----------------------> PRIMARY
 *      ^  ^                            |                                |
 *      |  +----------------------------+                                |
 *      |      VIEW or message: another                                  |
 *      +----------------------------------------------------------------+
 *             a later view or term */
enum phase { PHASE_FOLLOWER = 0, PHASE_STANDING, PHASE_PRIMARY };

/* How a primary sends to one member; as in raft/state.h. */
enum peer_mode { PEER_PROBE = 0, PEER_REPLICATE, PEER_SNAPSHOT };

/* What a primary knows of one member. */
struct peer {
    qr_slot match;        /* its log equals ours up to here, durably */
    qr_slot got;          /* and up to here it has received it: match <= got */
    qr_slot next;         /* the next entry to send, got < next */
    qr_slot barrier;      /* forgetful: it counts from here on */
    qr_slot executed;     /* it has executed all up to here, in this life (K6) */
    qr_time heard;        /* when it last answered in this term; 0: never */
    qr_time echoed;       /* when the latest message that it answered was sent; 0: none */
    qr_time since;        /* its life was heard of then: answers to what was sent before it say
                             nothing (F2) */
    qr_time acked_at;     /* `match` rose then */
    qr_time probed_since; /* refusals of what was sent before it say nothing new */
    uint32_t life;        /* 0: not heard in this term */
    uint16_t in_flight;   /* APPENDs that want an answer and have none, about; SNAPSHOT: heartbeats
                             since the last reminder */
    uint8_t mode;         /* enum peer_mode */
    bool probed;          /* PROBE: an APPEND is on its way */
    bool unasked;         /* entries are on their way of which no answer is wanted */
    bool forgetful;       /* it does not count */

    /* Who feeds it instead of the primary (feed.c). */
    node_index feeder;  /* NODE_NONE: nobody does */
    qr_slot fed_got;    /* where it stood when it last came on, */
    qr_time fed_at;     /* at that time */
    qr_time alone_till; /* and nobody else feeds it before */
};

/* Reads [first, first + count) of a member wait for the answer to its ask of that number. */
struct read_wait {
    qr_req first;
    uint64_t number;
    uint32_t count;
};

struct primary {
    struct protocol_limits limits; /* set by init, as `me` */

    qr_time now;  /* of the event being stepped; never falls */
    qr_term term; /* promised: nothing of an older primary is taken */
    qr_slot commit;
    qr_slot applied;        /* handed to APPLY up to here: trimmed <= applied <= commit <= last */
    qr_slot trimmed;        /* the log itself begins behind it */
    qr_slot floor;          /* every member holds the log durably up to here */
    qr_term forgot;         /* of the views that were told in this life (S5) */
    qr_slot own;            /* up to here the log was a primary's: others may lack it (S5) */
    qr_slot checkpoint;     /* of the last SNAPSHOT */
    qr_slot executed;       /* of the last EXECUTED */
    qr_term proven;         /* all up to `applied` is of the history of that term; 0: not known */
    qr_ticket state_ticket; /* of the last state record */
    struct view view;       /* the latest that was told; its term is at most the promised one */

    uint8_t phase;
    node_index me;
    node_index leader; /* the primary of `term`; NODE_NONE: unknown, or there is none yet */
    bool started, forgetful;
    bool state_dirty; /* the state record changed in this step and is not yet in a PERSIST */
    bool leased;      /* this node holds its lease with group 0 */
    bool led;         /* began as the primary of `term`, in this life or another */
    bool barred;      /* the view names this node, and it may not lead */
    bool informed;    /* for good: A5 */
    bool exact;       /* primaries: it knows of every write that was ever acknowledged (L4) */
    bool local;       /* a view waited for no copies: any entry may have been answered (S5) */
    uint32_t life;    /* a number of this start, never 0 */

    /* Primaries. */
    qr_slot term_start;  /* the NOOP of this term */
    qr_slot commit_told; /* up to here members were told of it by an APPEND of its own (Y2) */
    qr_time heartbeat_due;
    qr_time leads_since;
    uint16_t feed;          /* whom it sends to: all members and learners but itself. Of a follower:
                               those that it was told to feed */
    uint16_t fed;           /* of them: those that another one feeds */
    uint64_t zones;         /* of each member, 4 bits (feed.c, R5) */
    node_index transfer_to; /* NODE_NONE: no transfer */
    bool transfer_paused;   /* the target is near: no operations are taken */
    bool transfer_closed;   /* it has all: nothing is taken for the rest of the term (X2) */
    qr_req transfer_req;
    qr_time transfer_due; /* the transfer is given up then */

    /* Followers. */
    qr_slot matched;    /* the log equals the primary's up to here; 0: not known in this term */
    qr_slot had;        /* and equalled that of the primary of the term right before, */
    node_index had_by;  /* which was that one */
    qr_time echo;       /* the latest `sent` of the primary of this term; 0: none */
    qr_time feeds_till; /* unless it is told again */
    qr_slot told;       /* committed, as answers to asks of this term have told (I5) */
    uint64_t asked;     /* the number of the latest ask; of no earlier life (I2) */
    qr_time ask_due;    /* when it is sent again */
    qr_time ask_since;  /* when it was sent first */
    uint32_t ask_count;
    struct read_wait asks[READ_WAITS];

    struct rng rng;
    struct journal journal;
    struct trail trail;
    struct peer peer[MEMBERS_MAX];
};

_Static_assert(sizeof(struct primary) <= 4096, "the core of an instance stays small (P4)");

/* --- primary.c: small tools ------------------------------------------------------------------- */

static inline qr_time earlier(qr_time a, qr_time b)
{
    return a < b ? a : b;
}

static inline qr_time later(qr_time a, qr_time b)
{
    return a > b ? a : b;
}

/* Everybody whom the view knows. */
static inline uint16_t view_all(const struct view *v)
{
    return v->members | v->learners;
}

/* How many entries may be on their way to one member. */
static inline uint64_t primary_window(const struct primary *p)
{
    return (uint64_t)p->limits.append_entries * p->limits.appends_in_flight;
}

/* Whether a write is answered when copies have executed it (K6). */
static inline bool primary_shares(const struct primary *p)
{
    return p->view.term == p->term && p->view.stage == ACK_APPLIED;
}

/* Whether writes are counted as soon as they are received. */
static inline bool primary_is_early(const struct primary *p)
{
    return p->view.term == p->term && p->view.stage == ACK_RECEIVED;
}

#define PRIMARY_SEND(out, to, KIND, name, after)                        \
    ((struct primary_##name *)effects_send((out), (to), PRIMARY_##KIND, \
                                           sizeof(struct primary_##name), (after)))

/* --- persist.c ------------------------------------------------------------------------------ */

/* Writes the state record when it changed in this step. */
void primary_persist_state(struct primary *p, struct effects *out);
/* Writes entries [last + 1, hi) of `term`. `req` as in EFFECT_PERSIST. */
void primary_persist_entries(struct primary *p, struct effects *out, qr_slot hi, qr_term term,
                             qr_req req, bool noop);
/* The ticket that makes the state record and the log up to `slot` durable; 0: they are. */
qr_ticket primary_ticket(struct primary *p, struct effects *out, qr_slot slot);

/* --- view.c --------------------------------------------------------------------------------- */

void primary_on_view(struct primary *p, struct effects *out, const struct view *v);
void primary_on_lease(struct primary *p, struct effects *out, bool held);
/* Promises that term, and is nobody in it yet. */
void primary_promise(struct primary *p, struct effects *out, qr_term term);
/* A message of the primary of `term`, as it says. False: it is not, or is no more. */
bool primary_follow(struct primary *p, struct effects *out, node_index from, qr_term term);
/* Whether promise and log are durable, so that where it stands may be told. */
bool primary_stands(const struct primary *p);

/* --- replicate.c: the primary's side ---------------------------------------------------------- */

void primary_replicate(struct primary *p, struct effects *out, node_index to);
void primary_replicate_all(struct primary *p, struct effects *out);
void primary_heartbeat(struct primary *p, struct effects *out, node_index to);
/* How far it is, where it was sent entries of which no answer is wanted. */
void primary_ask(struct primary *p, struct effects *out, node_index to);
void primary_heartbeat_all(struct primary *p, struct effects *out);
/* To one of which something is awaited: what was lost with nothing behind it is found (G3). */
void primary_remind(struct primary *p, struct effects *out, node_index to);
/* An APPEND behind `prev`, without entries. */
void primary_push_append(struct primary *p, struct effects *out, node_index to, qr_slot prev,
                         bool ask);
/* Up to here the log here may be sent: it is the primary's. */
qr_slot primary_end(const struct primary *p);
/* Forgets where the logs agree and asks again from behind `got` on. */
void primary_probe(struct primary *p, node_index to);
void primary_on_append_ack(struct primary *p, struct effects *out, node_index from,
                           const struct primary_append_ack *m);
void primary_on_append_reject(struct primary *p, struct effects *out, node_index from,
                              const struct primary_append_reject *m);
void primary_on_heartbeat_ack(struct primary *p, struct effects *out, node_index from,
                              const struct primary_heartbeat_ack *m);

/* --- ask.c: reads at members that do not lead ------------------------------------------------- */

void primary_ask_start(struct primary *p);
/* At the end of each step: of which term's history the state is. */
void primary_prove(struct primary *p);
void primary_ask_index(struct primary *p, struct effects *out, qr_req first, uint32_t count);
/* When it is asked again; QR_NEVER: nothing is. */
qr_time primary_ask_at(const struct primary *p);
void primary_ask_again(struct primary *p, struct effects *out);
void primary_refuse_reads(struct primary *p, struct effects *out);
void primary_on_read_ask(struct primary *p, struct effects *out, node_index from,
                         const struct primary_read_ask *m);
void primary_on_read_at(struct primary *p, struct effects *out, node_index from,
                        const struct primary_read_at *m);
/* primary.c: whether all that was acknowledged is committed here, and nobody else acknowledges
 * anything (L4, L5). */
bool primary_may_show(const struct primary *p);

/* --- feed.c: members that feed others --------------------------------------------------------- */

void primary_on_zones(struct primary *p, uint64_t zones);
/* The connection to it is lost: whom it fed the primary feeds itself. */
void primary_feeder_lost(struct primary *p, struct effects *out, node_index feeder);
/* With each heartbeat: who feeds whom from now on. */
void primary_feed_plan(struct primary *p, struct effects *out);
/* The primary sends to it itself, from where it is known to stand. */
void primary_feed_itself(struct primary *p, struct effects *out, node_index to);
void primary_on_feed(struct primary *p, struct effects *out, node_index from,
                     const struct primary_feed *m);
/* New entries are here: they go on to those that this member feeds. */
void primary_relay(struct primary *p, struct effects *out);
/* This member cannot feed it. */
void primary_feed_no_more(struct primary *p, struct effects *out, node_index to, qr_slot lacks);

/* --- commit.c ------------------------------------------------------------------------------- */

/* Whether the rule waits for that member. */
bool primary_awaits(const struct primary *p, node_index i);
void primary_advance_commit(struct primary *p);
/* The smallest match of all members, the own durable log included. */
qr_slot primary_floor(const struct primary *p);
/* Heard within an election time-out. */
bool primary_is_lively(const struct primary *p, node_index i);
/* Whether as many members are in contact as the rule wants. */
bool primary_has_replicas(const struct primary *p);
/* Up to here as many members as the rule wants have executed everything (K6). */
qr_slot primary_shared(const struct primary *p);

/* --- executed.c: ON applied ------------------------------------------------------------------ */

void primary_on_executed(struct primary *p, struct effects *out, qr_slot slot);
/* A member's word, where the primary wants it. */
void primary_tell_executed(struct primary *p, struct effects *out);
void primary_on_applied(struct primary *p, struct effects *out, node_index from,
                        const struct primary_applied *m);
/* Members learn at once what is committed. */
void primary_tell_commit(struct primary *p, struct effects *out);

/* --- append.c: the other members ------------------------------------------------------------- */

/* The commit index, and the floor, as far as the logs are known to agree (A4). */
void primary_follow_commit(struct primary *p, qr_slot commit, qr_slot floor);
/* A log that ends with an entry of the promised term has it from its one primary. */
void primary_match_own_term(struct primary *p);
void primary_on_append(struct primary *p, struct effects *out, node_index from,
                       const struct message *message);
/* The same, of a member that feeds. */
void primary_on_relay(struct primary *p, struct effects *out, node_index from,
                      const struct message *message);
/* Tells the primary, if there is one, where the log begins: a snapshot was installed. */
void primary_reject_unasked(struct primary *p, struct effects *out);
void primary_on_heartbeat(struct primary *p, struct effects *out, node_index from,
                          const struct primary_heartbeat *m);

/* --- rollback.c ------------------------------------------------------------------------------- */

/* Takes back everything behind `slot`, which the primary of the promised term does not have. */
void primary_roll_back(struct primary *p, struct effects *out, qr_slot slot);
/* A snapshot is to take the log's place: takes back everything, by name what may not be in it. */
void primary_make_room(struct primary *p, struct effects *out);
/* The primary has an entry of that term at `slot`: takes back what is of a later one (B5). */
void primary_give_way(struct primary *p, struct effects *out, qr_slot slot, qr_term term);
void primary_on_foreign(struct primary *p, struct effects *out, node_index from,
                        const struct primary_foreign *m);

/* --- snapshot.c ----------------------------------------------------------------------------- */

void primary_on_snapshot(struct primary *p, struct effects *out, qr_slot slot, qr_slot release,
                         qr_slot pin);
/* The member is in mode SNAPSHOT: has a snapshot brought to it when it is there. */
void primary_want_snapshot(struct primary *p, struct effects *out, node_index to);
/* S5: up to where what stands here is surely in any snapshot that is beyond it. */
qr_slot primary_sure(const struct primary *p);
/* outlook.again: B6. */
qr_term primary_again(const struct primary *p);
void primary_on_offer(struct primary *p, struct effects *out, const struct event *event);

/* --- forget.c ------------------------------------------------------------------------------- */

/* This node has lost what it may have acknowledged. */
void primary_forget(struct primary *p, struct effects *out);
void primary_on_recovered(struct primary *p, struct effects *out, node_index from,
                          const struct primary_recovered *m);
/* What every answer tells. NULL when it is not for this primary, or of an earlier life. */
struct peer *primary_note_answer(struct primary *p, struct effects *out, node_index from,
                                 qr_term term, uint32_t life, bool forgetful, qr_time sent);
/* `got` or `match` may have reached the barrier of a forgetful member. */
void primary_tell_recovered(struct primary *p, struct effects *out, node_index to);

/* --- transfer.c ----------------------------------------------------------------------------- */

void primary_on_transfer(struct primary *p, struct effects *out, const struct event *event);
void primary_transfer_proceed(struct primary *p, struct effects *out);
/* Its term is over. */
void primary_transfer_end(struct primary *p, struct effects *out);

/* --- check.c, describe.c -------------------------------------------------------------------- */

void primary_check(const void *self, const void *before);
uint64_t primary_digest(const void *self);
void primary_describe(const void *self, struct text *out);
void primary_trace_text(uint16_t point, const uint64_t argument[3], struct text *out);

#endif
