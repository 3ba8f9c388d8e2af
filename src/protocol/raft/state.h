/* The state of one Raft instance, and what its files say to each other. Nobody outside this
 * directory includes it (the unit tests do).
 *
 * Every function below runs inside one step; `out` takes its effects. Times are microseconds. */
#ifndef PROTOCOL_RAFT_STATE_H
#define PROTOCOL_RAFT_STATE_H

#include "base/rng.h"
#include "protocol/quorum.h"
#include "protocol/journal.h"
#include "protocol/raft/raft_messages.h"
#include "protocol/trail.h"

#define READ_RANGES 23u      /* ranges of reads that wait, and asks; full: no room */
#define APPENDS_PER_STEP 2u  /* to one follower: acknowledgements pull the rest */
#define SNAPSHOT_REMINDER 8u /* heartbeats from one reminder of a snapshot to the next */

enum trace_point {
#define POINT(tag, NAME, sentence) POINT_##NAME = (tag),
#include "protocol/raft/raft_traces.def"
#undef POINT
};

/* A follower that hears nothing asks first (PRECANDIDATE, diss. 9.6) and then campaigns. */
enum phase { PHASE_FOLLOWER = 0, PHASE_PRECANDIDATE, PHASE_CANDIDATE, PHASE_LEADER };

/* How a leader sends to one member:
 *
 *            APPEND_ACK                    next entry is trimmed
 *   PROBE ---------------> REPLICATE     -----------------------> SNAPSHOT
 *     ^                        |                                      |
 *     +------------------------+--------------------------------------+
 *        APPEND_REJECT, restart of the follower, new connection
 *
 * PROBE sends one APPEND and waits, because it does not know where the logs agree; REPLICATE sends
 * ahead of the acknowledgements; SNAPSHOT sends heartbeats and empty APPENDs, while the drivers
 * bring the member a snapshot (snapshot.c). */
enum peer_mode { PEER_PROBE = 0, PEER_REPLICATE, PEER_SNAPSHOT };

/* How far a forgetful member has come, as its leader knows (forget.c). */
enum recovery {
    RECOVERY_NONE = 0, /* not forgetful: it counts */
    RECOVERY_UNBARRED, /* no barrier has been made since its life was heard of */
    RECOVERY_BARRED,   /* a barrier is made */
    RECOVERY_TOLD,     /* RECOVERED was sent since the last heartbeat */
};

/* What each write and each answer touches, in one cache line of its own. */
struct peer {
    qr_slot match;         /* its log equals ours up to here, durably; falls with a new life only */
    qr_slot next;          /* the next entry to send, match < next */
    uint64_t round_sent;   /* the latest read round that a message took there */
    uint64_t round_echoed; /* and that came back */
    qr_time heard;         /* when it last answered in this term; 0: never */
    qr_time echoed;        /* when the latest message that it answered was sent; 0: none */
    qr_time lease_from;    /* when the latest message that it answered with a promise was sent */
    int32_t skew_ms;       /* its wall clock minus ours, when it last said; 0: agrees, or unknown */
    uint16_t in_flight;    /* APPENDs that have no answer yet, about; SNAPSHOT: heartbeats since the
                              last reminder */
    uint8_t mode : 3;      /* enum peer_mode */
    uint8_t suspected : 1; /* it has refused what it should hold; asked again at probed_since */
    uint8_t recovery : 4;  /* enum recovery */
    bool probed;           /* PROBE: an APPEND is on its way */
};

_Static_assert(sizeof(struct peer) == CACHE_LINE_BYTES, "a peer is one line");

/* The rest of it: of one that refused something, or that was forgetful. */
struct peer_past {
    qr_time probed_since; /* refusals of what was sent before it say nothing new */
    uint32_t life;        /* the last that it was forgetful in; 0: none in this term */
    uint32_t barrier_low; /* BARRED, TOLD: of the one made for it, the low half */
};

/* Reads [first, first + count) wait until `round` is confirmed; at a leader also the ask `first` of
 * a follower. A follower's own wait for the answer to its ask `round`, which tells their slot. */
struct read_range {
    qr_req first;
    uint64_t round;
    qr_slot slot;
    uint32_t count;
    node_index from; /* who asked; `me`: this node's driver, for reads */
};

/* A node has thousands of instances, and each is written to now and then: what a write costs are
 * above all the cache lines that it has to fetch. So the fields stand by how often they are wanted,
 * and by whom: a leader's write and a follower's each touch the limits, three lines of those that
 * follow, one of the journal, one of the trail, and a leader one for each peer. */
struct raft {
    struct protocol_limits limits; /* set by init, as `me` */

    /* Any role, with each step. */
    qr_time now; /* of the event being stepped; never falls */
    qr_wall wall;
    qr_term term; /* durable (figure 2), as the vote */
    qr_slot commit;
    qr_slot applied;      /* handed to APPLY up to here: trimmed <= applied <= commit <= last */
    qr_slot trimmed;      /* the log itself begins behind it */
    qr_time skewed_until; /* its wall clock is known to be off: no campaign before it (skew.c) */
    qr_req transfer_req;  /* waits for the outcome, whoever leads; 0: nobody does */

    struct membership_at members; /* in force: what the last such entry of the log states */
    uint16_t feed;                /* leaders: whom it sends to, all members and those that leave */
    uint16_t leaving;             /* dropped, but they may not know */
    uint16_t caught_up;           /* learners whose last round was short */
    uint16_t hushed;              /* leaders: who has answered QUIET since hush_since */
    uint16_t away;                /* nodes that EVENT_PEER told to be away */
    uint8_t phase;
    uint8_t read_mode;
    node_index me;
    node_index vote;
    node_index leader;      /* NODE_NONE: unknown */
    node_index transfer_to; /* NODE_NONE: no transfer */
    uint8_t read_count;     /* ranges of reads that wait */
    bool started, forgetful;
    bool stands_back;   /* ADMIN_STAND_BACK */
    bool state_dirty;   /* term or vote changed in this step and are not yet in a PERSIST */
    bool quiet;         /* it rests (quiet.c) */
    bool leader_closed; /* its connection is closed and it has not been heard since */
    bool round_used;    /* a message has carried `round` */
    qr_slot floor;      /* every member holds the log up to here */
    qr_time hush_since; /* leaders: QUIET goes out since then; followers that rest: when the QUIET
                           that they answered was sent; 0: neither */
    qr_req change_req;  /* waits for the end of the change of the members */

    /* Leaders, with each step. */
    qr_time heartbeat_due;
    qr_time beaten;       /* when heartbeats last went to all */
    qr_time active;       /* when something last happened */
    qr_time patient_from; /* silence counts from here: elected, or new members */
    qr_slot term_start;   /* the NOOP of this term */
    uint64_t round;       /* the read round that messages carry now */
    uint64_t announced;   /* the latest round that heartbeats went out for */
    bool lease_barred;    /* no leases for the rest of this term (transfer.c) */
    bool transfer_sent;
    bool transfer_closed; /* the target is near: no operations are taken any more */
    bool stood_back;      /* has tried to hand over because it stands back */
    bool retiring;        /* it votes no more, and has tried to hand over */
    bool informed;        /* for good: A6 */
    bool hurries;         /* leaders: `hurried` counts */
    uint8_t spare[1];     /* up to the next line */

    /* Followers, with each step. */
    qr_slot matched; /* the log equals the leader's up to here; 0: not known in this term */
    qr_time leader_heard;
    qr_time promise_until; /* no vote before it, whoever asks (lease.c) */
    qr_time election_due;
    struct rng rng;
    qr_ticket state_ticket; /* of the last state record */
    qr_slot told;           /* committed up to here, as answers to asks have told (ask.c) */
    uint32_t life;          /* of a forgetful node: a number of this start; else 0 */
    uint16_t votes;         /* candidates: bits of the members that granted */
    bool called;            /* M4: a learner that voters cannot do without, for now */
    node_index learner;     /* leaders: the one whose round it is; NODE_NONE: none */

    /* The log, and who took part (members.c). */
    struct journal journal;
    struct membership_at before; /* what the entry before that of `members` states: committed */
    qr_slot joined_slot; /* the entry that took this node in, committed; 0: it was made with it */
    qr_term joined_term;
    struct trail trail;

    /* Now and then. */
    qr_slot checkpoint;    /* of the last SNAPSHOT */
    qr_ticket vote_ticket; /* candidates: of the own vote: it counts when it is durable */
    qr_time rival_until;   /* PRECANDIDATE: until then the lower index goes first */
    qr_time woken;         /* leaders: when the last rest ended; 0: none in this term */
    qr_time closed_until;  /* behind a closed connection: until then the leader's successor is
                              looked for with haste: E5 */
    uint64_t asked;        /* the number of the latest ask; of no earlier life (R2) */
    qr_time ask_due;       /* when it is sent again */
    struct read_range reads[READ_RANGES];
    qr_slot barrier; /* leaders: the latest NOOP made for forgetful members; 0: none (forget.c) */
    qr_time lease_given;   /* the latest end of a lease that reads were answered under */
    qr_time transfer_due;  /* the transfer is given up then */
    qr_time leaving_since; /* what is sent later tells them; 0: it is not decided yet */
    qr_slot learner_slot;  /* the round ends when it holds the log up to here */
    qr_time learner_since;
    qr_slot hurried;    /* G5: that it is committed is told to whoever comes to have it, at once */
    uint8_t unused[16]; /* up to the next line */
    struct peer peer[MEMBERS_MAX];
    struct peer_past past[MEMBERS_MAX];
};

BEGINS_LINE(struct raft, now);
BEGINS_LINE(struct raft, members);
BEGINS_LINE(struct raft, heartbeat_due);
BEGINS_LINE(struct raft, matched);
BEGINS_LINE(struct raft, journal);
BEGINS_LINE(struct raft, trail);
BEGINS_LINE(struct raft, peer);
_Static_assert(sizeof(struct raft) <= 4096, "the core of an instance stays small (P4)");

/* --- raft.c: small tools ---------------------------------------------------------------------- */

static inline qr_time earlier(qr_time a, qr_time b)
{
    return a < b ? a : b;
}

static inline qr_time later(qr_time a, qr_time b)
{
    return a > b ? a : b;
}

/* Whether a leader counts what that member (or it itself) has reached. */
static inline bool raft_counts(const struct raft *r, node_index node)
{
    return node == r->me || r->peer[node].recovery == RECOVERY_NONE;
}

#define RAFT_SEND(out, to, KIND, name, after)                                                 \
    ((struct raft_##name *)effects_send((out), (to), RAFT_##KIND, sizeof(struct raft_##name), \
                                        (after)))

/* --- persist.c ------------------------------------------------------------------------------ */

/* Writes (term, vote) when they changed in this step. */
void raft_persist_state(struct raft *r, struct effects *out);

/* Writes entries [lo, hi) of `term` at the end of the log or over its uncommitted tail. `req` as in
 * EFFECT_PERSIST. The state record goes with them when it changed. */
struct effect *raft_persist_entries(struct raft *r, struct effects *out, qr_slot lo, qr_slot hi,
                                    qr_term term, qr_req req, bool noop);

/* Writes an entry that states that membership, which is in force from now on. */
void raft_persist_members(struct raft *r, struct effects *out, const struct membership *members);

/* The ticket that makes the current term, the vote and the log up to `slot` durable; 0: they are.
 */
qr_ticket raft_ticket(struct raft *r, struct effects *out, qr_slot slot);

/* --- members.c ------------------------------------------------------------------------------ */

void raft_members_start(struct raft *r, const struct membership_at *v, uint32_t count);
/* Whether a log may hold these two in a row. */
bool raft_members_follow(const struct membership *before, const struct membership *next);
/* An entry that states a membership is in the log now. */
void raft_members_stated(struct raft *r, struct effects *out, const struct membership_at *at);
/* Entries at and after `from` are dropped. */
void raft_members_truncated(struct raft *r, struct effects *out, qr_slot from);
/* A snapshot with that membership takes the place of the log. */
void raft_members_installed(struct raft *r, struct effects *out, const struct membership_at *at);
/* Nobody else votes, whatever becomes of the entries that are not committed. */
bool raft_is_alone(const struct raft *r);
/* Whether it may campaign: it votes, or its vote may still be needed. */
bool raft_may_lead(const struct raft *r);
/* Heard within an election time-out: what a leader knows of a member's life. */
bool raft_is_lively(const struct raft *r, node_index i);

/* --- change.c: the leader changes the members ------------------------------------------------ */

void raft_change_lead(struct raft *r);
void raft_change_leave(struct raft *r, struct effects *out);
/* The indexes pass to other nodes, which have said nothing yet. */
void raft_change_passed(struct raft *r, uint16_t nodes);
/* The leader has stated another membership, which is in force; `all` took part before. */
void raft_change_stated(struct raft *r, uint16_t all);
void raft_on_members(struct raft *r, struct effects *out, const struct event *event);
/* Whether there is nothing to go on with: no change is under way, nobody leaves or has caught up.
 */
static inline bool raft_change_rests(const struct raft *r)
{
    uint16_t work = r->leaving | r->caught_up | r->members.members.outgoing;
    return work == 0 && r->change_req == 0 && (r->members.members.voters & node_bit(r->me)) != 0;
}

/* Goes on with a change as far as it is decided; promotes learners. */
void raft_change_proceed(struct raft *r, struct effects *out);
/* A member acknowledged, `before` was its match: a learner may have caught up. */
void raft_change_answered(struct raft *r, struct effects *out, node_index from, qr_slot before);
/* A member answered a heartbeat sent then: one that leaves may know it. */
void raft_change_told(struct raft *r, struct effects *out, node_index from, qr_time sent);
/* With each heartbeat: the next round of a learner. */
void raft_change_round(struct raft *r, struct effects *out);

/* --- quiet.c ---------------------------------------------------------------------------------- */

/* With every event, before it is dispatched: whoever rests wakes when the event wants it. */
void raft_quiet_notice(struct raft *r, struct effects *out, const struct event *event);
/* A leader's heartbeat is due: whether it can be a QUIET. */
bool raft_may_rest(const struct raft *r);
void raft_hush(struct raft *r, struct effects *out);
/* A follower that holds all that QUIET, sent then, speaks of. */
void raft_rest(struct raft *r, struct effects *out, qr_time sent);
void raft_on_quiet(struct raft *r, struct effects *out, node_index from,
                   const struct raft_quiet *m);
void raft_on_quiet_ack(struct raft *r, struct effects *out, node_index from,
                       const struct raft_quiet_ack *m);
/* When a member that knows no leader and may not campaign speaks; QR_NEVER: it need not. */
qr_time raft_call_at(const struct raft *r);
void raft_call(struct raft *r, struct effects *out);

/* --- elect.c -------------------------------------------------------------------------------- */

/* Of election and CheckQuorum, at the least: E6. */
qr_time raft_election_span(const struct raft *r);
void raft_election_reset(struct raft *r);
/* Whether the leader was heard so recently that nobody may replace it. */
bool raft_in_touch(const struct raft *r);
/* When this node would ask for pre-votes. */
qr_time raft_campaign_at(const struct raft *r);
void raft_on_call(struct raft *r, struct effects *out); /* ADMIN_CALL */
void raft_become_follower(struct raft *r, struct effects *out, qr_term term, node_index leader);
void raft_begin_prevote(struct raft *r, struct effects *out);
void raft_begin_election(struct raft *r, struct effects *out, bool transfer);
void raft_count_own_vote(struct raft *r, struct effects *out); /* after DURABLE */
void raft_on_prevote(struct raft *r, struct effects *out, node_index from,
                     const struct raft_prevote *m);
void raft_on_prevote_reply(struct raft *r, struct effects *out, node_index from,
                           const struct raft_prevote_reply *m);
void raft_on_vote(struct raft *r, struct effects *out, node_index from, const struct raft_vote *m);
void raft_on_vote_reply(struct raft *r, struct effects *out, node_index from,
                        const struct raft_vote_reply *m);

/* Memberships in the records of a received message. */
struct stated {
    const struct membership_at *v;
    uint32_t count;
};

/* --- append.c: the follower's side of replication ------------------------------------------- */

/* A message of a leader of `term` came from `from`: refuses an older term, follows otherwise. */
bool raft_follow(struct raft *r, struct effects *out, node_index from, qr_term term);
/* There is a leader of this term: A5. */
void raft_match_own_term(struct raft *r);
void raft_on_append(struct raft *r, struct effects *out, node_index from,
                    const struct message *message, const struct stated *stated);
/* An acknowledgement of `matched` that no APPEND asked for. */
void raft_acknowledge_unasked(struct raft *r, struct effects *out);
/* The leader calls that slot committed. */
void raft_follow_commit(struct raft *r, qr_slot leader_commit);
/* That slot is all that the leader of this term knows to be committed: A6. */
void raft_inform(struct raft *r, qr_slot leader_commit);
void raft_on_heartbeat(struct raft *r, struct effects *out, node_index from,
                       const struct raft_heartbeat *m);

/* --- replicate.c: the leader's side --------------------------------------------------------- */

void raft_become_leader(struct raft *r, struct effects *out);
void raft_replicate(struct raft *r, struct effects *out, node_index to);
void raft_replicate_all(struct raft *r, struct effects *out);
/* After operations went out: heartbeats are put off (G4). */
void raft_spare_heartbeats(struct raft *r);
void raft_send_heartbeat(struct raft *r, struct effects *out, node_index to);
void raft_heartbeat_all(struct raft *r, struct effects *out);
void raft_tell(struct raft *r, struct effects *out); /* ADMIN_TELL */
/* Forgets where the logs agree and asks again from behind `match` on. */
void raft_probe(struct raft *r, node_index to);
void raft_advance_commit(struct raft *r);
void raft_on_append_ack(struct raft *r, struct effects *out, node_index from,
                        const struct raft_append_ack *m);
void raft_on_append_reject(struct raft *r, struct effects *out, node_index from,
                           const struct raft_append_reject *m);
void raft_on_heartbeat_ack(struct raft *r, struct effects *out, node_index from,
                           const struct raft_heartbeat_ack *m);
/* What every answer tells. NULL when it is not for this leadership. */
struct peer *raft_note_answer(struct raft *r, struct effects *out, node_index from, qr_term term,
                              uint64_t round, qr_time sent, qr_time lease, qr_slot match);
/* The member's log equals the leader's up to `match`: goes on from there. */
void raft_take_match(struct raft *r, struct effects *out, node_index from, qr_slot match);
/* The member has refused an APPEND behind prev_slot: asks from the hint on. */
void raft_back_off(struct raft *r, struct effects *out, node_index from, qr_slot prev_slot,
                   qr_slot hint_slot, qr_term hint_term);
/* The time at which a majority, with this leader in it, was last heard; QR_NEVER when alone. */
qr_time raft_quorum_heard(const struct raft *r);
/* Whether that is at or after `time`. */
bool raft_quorum_heard_since(const struct raft *r, qr_time time);
/* The smallest match of all members, the leader's own durable log included. */
qr_slot raft_floor(const struct raft *r);

/* --- snapshot.c ----------------------------------------------------------------------------- */

void raft_on_snapshot(struct raft *r, struct effects *out, qr_slot slot, qr_slot release,
                      qr_slot pin);
/* The member is in mode SNAPSHOT: has a snapshot brought to it when it is there. */
void raft_want_snapshot(struct raft *r, struct effects *out, node_index to);
void raft_on_offer(struct raft *r, struct effects *out, const struct event *event);

/* --- forget.c ------------------------------------------------------------------------------- */

void raft_forget_start(struct raft *r);
/* The forgetful node's answers to an APPEND or a HEARTBEAT. */
void raft_forgetful_ack(struct raft *r, struct effects *out, node_index to, bool matched);
void raft_forgetful_reject(struct raft *r, struct effects *out, const struct raft_append *m,
                           qr_slot hint);
void raft_on_recovered(struct raft *r, struct effects *out, node_index from,
                       const struct raft_recovered *m);
void raft_on_forgetful_ack(struct raft *r, struct effects *out, node_index from,
                           const struct raft_forgetful_ack *m);
void raft_on_forgetful_reject(struct raft *r, struct effects *out, node_index from,
                              const struct raft_forgetful_reject *m);
/* A normal member has refused what lies within its match. */
void raft_suspect(struct raft *r, struct effects *out, node_index from,
                  const struct raft_append_reject *m);
/* A normal answer came, with that match (0: it tells none): whether the member counts. */
bool raft_hear_again(struct raft *r, struct effects *out, node_index from, qr_slot match);

/* --- read.c --------------------------------------------------------------------------------- */

void raft_on_read(struct raft *r, struct effects *out, qr_req first, uint32_t count);
/* Answers what is confirmed and starts the next round when one is wanted. */
void raft_release_reads(struct raft *r, struct effects *out);
void raft_refuse_reads(struct raft *r, struct effects *out);
/* They wait, with the last range when they continue it. False: there is no room. */
bool raft_reads_wait(struct raft *r, const struct read_range *range);
/* The first `count` ranges are answered. */
void raft_reads_done(struct raft *r, uint32_t count);
void raft_on_read_ask(struct raft *r, struct effects *out, node_index from,
                      const struct raft_read_ask *m);

/* --- ask.c: reads at those who do not lead --------------------------------------------------- */

/* Numbers of this life begin where no earlier one has been. */
void raft_ask_init(struct raft *r, uint64_t seed);
void raft_ask_start(struct raft *r);
void raft_ask(struct raft *r, struct effects *out, qr_req first, uint32_t count);
/* When it is asked again; QR_NEVER: nothing is. */
qr_time raft_ask_at(const struct raft *r);
void raft_ask_again(struct raft *r, struct effects *out);
void raft_on_read_at(struct raft *r, struct effects *out, node_index from,
                     const struct raft_read_at *m);

/* --- lease.c -------------------------------------------------------------------------------- */

/* The promise that a follower gives for a lease asked for; returns what it promised (0: nothing).
 */
qr_time raft_promise(struct raft *r, qr_time lease);
/* A node that starts may have promised a lease before it crashed: waits it out. */
void raft_promise_forgotten(struct raft *r);
/* What the leader asks for now: 0 when leases are off, barred or being revoked. */
qr_time raft_lease_wanted(const struct raft *r);
/* Up to when this leader alone can lead, by its own clock; 0: no lease. */
qr_time raft_lease_end(const struct raft *r);

/* --- skew.c -------------------------------------------------------------------------------------
 */

/* A follower's answer told its wall clock; a leader's heartbeat told its own. */
void raft_note_skew(struct raft *r, node_index from, qr_wall wall);
/* Whether the wall clock of member i, as it last said, is far from this node's. */
bool raft_is_skewed(const struct raft *r, node_index i);
void raft_compare_wall(struct raft *r, qr_wall leader_wall);
/* ADMIN_SKEWED. */
void raft_on_skewed(struct raft *r, bool off);
/* A leader hands over, or steps down, when a majority's wall clocks are far from its own. */
void raft_yield_when_skewed(struct raft *r, struct effects *out);

/* --- transfer.c ----------------------------------------------------------------------------- */

/* timeout 0: an election time-out; req 0: nobody waits. */
/* ADMIN_STAND_BACK, and what a leader does about it with each heartbeat. */
void raft_on_stand_back(struct raft *r, struct effects *out, bool on);
void raft_yield_when_standing_back(struct raft *r, struct effects *out);

void raft_on_transfer(struct raft *r, struct effects *out, uint64_t argument, qr_time timeout,
                      qr_req req);
/* Answers the one who waits for a transfer, if any. */
void raft_transfer_over(struct raft *r, struct effects *out, enum qr_status status);
/* The voter to hand over to: the most up to date of those heard lately; NODE_NONE: nobody. */
node_index raft_successor(const struct raft *r);
/* The target votes no more: gives up. */
void raft_transfer_recheck(struct raft *r, struct effects *out);
void raft_transfer_proceed(struct raft *r, struct effects *out);
/* When raft_transfer_proceed wants to run; QR_NEVER: not by time. */
qr_time raft_transfer_deadline(const struct raft *r);
void raft_on_timeout_now(struct raft *r, struct effects *out, node_index from,
                         const struct raft_timeout_now *m);

/* --- check.c, describe.c -------------------------------------------------------------------- */

void raft_check(const void *self, const void *before);
uint64_t raft_digest(const void *self);
void raft_describe(const void *self, struct text *out);
void raft_trace_text(uint16_t point, const uint64_t argument[3], struct text *out);

#endif
