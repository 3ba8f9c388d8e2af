/* Repair of a log with holes, before its replica starts (decision 024, docs/repair.md): a pure
 * state machine, like a protocol, that decides whom to ask and what the answers mean.
 *
 * A hole is a stretch of entries whose bytes are lost although it is certain that they were there
 * (docs/log-format.md). The rule:
 *
 * H1 An entry that a member holds is taken over when it is proven to be the same: it has the term
 *    that ours had, or the entry behind the hole is in that log as well. (A log that holds an entry
 *    of a term holds all that its leader had before it.)
 * H2 What a majority of the voters says it never had was not committed. It may be dropped, and so
 *    may what another entry stands in the place of that cannot be told from ours.
 * H3 What a member has trimmed was committed and is in its checkpoint (S, T): the state up to slot
 *    S, whose term is T. That takes the place of all that the own log holds up to S:
 *      - the log goes on behind S when it holds (S, T): up to there it is what was committed (log
 *        matching), so what it lacks below S is in the checkpoint, and what it holds behind S is as
 *        right as it was. An entry at S that is lost counts when its term is known; or when a
 *        member has committed the end of that hole and holds the entry behind it as this log does.
 *      - the log becomes empty at (S, T) when it ends there or before, or has another term at S:
 *        then its entries from S on contradict what is committed, and never will be.
 *      - else nobody can tell, and the checkpoint does not fit.
 *    Nothing is forgotten by that. Whatever this node voted is in its state record, which is whole.
 *    Whatever it acknowledged and is committed, or may yet be, it still has, as an entry or in the
 *    state; so no candidate that lacks it gets its vote, nor is it elected without it. That S is
 *    committed is known as of a term, which the node takes over when it starts (raft, S2). It is
 *    what a running replica does (raft, S3 and S4), but for entries that are lost.
 *    In the same way a state is got back whose own checkpoint is lost, when it reaches to where
 *    the log begins.
 * H4 Dropping (H2) forgets promises. Whoever drops starts forgetful (raft/forget.c), and so can
 *    harm nobody; H2 is about not standing still, or losing a copy, without need. It is also the
 *    way out where a checkpoint was promised by H3 and none comes that fits. It does so
 *    only when a majority of the voters has said that it has not what is lost: they can lead, and
 *    bring it up. Else it would be one more that has forgotten, and what it dropped may be what
 *    another one lacks.
 * H5 A member that has forgotten itself, or whose log is damaged there too, knows nothing: it is
 *    asked again. Without an answer that decides, a node waits for ever, and says for what. */
#ifndef PROTOCOL_REPAIR_H
#define PROTOCOL_REPAIR_H

#include "base/limits.h"
#include "protocol/protocol.h"

/* Entries [lo, hi] are lost. Terms that are not known are 0. */
struct repair_hole {
    qr_slot lo, hi;
    qr_term term;      /* of all of them */
    qr_term next_term; /* of entry hi + 1 */
};

/* Hand-written tags: they travel between nodes. */
enum repair_answer {
    REPAIR_HAS = 1,     /* some of the entries come with the answer; the others speak of lo */
    REPAIR_NEVER = 2,   /* that entry is not in this log and never was, or was not committed */
    REPAIR_TRIMMED = 3, /* it was committed, but is in a checkpoint only */
    REPAIR_OTHER = 4,   /* there is an entry, and no telling whether it is the same */
    REPAIR_UNKNOWN = 5, /* this log is damaged there too, or has forgotten */
    REPAIR_MATCHES =
        6, /* TRIMMED, just up to its end, behind which both logs have the same entry */
};

/* --- Answering ------------------------------------------------------------------------------ */

/* A log as it stands, for answering what others ask. */
struct repair_log {
    qr_slot base_slot, last_slot;
    qr_term base_term;
    const struct term_run *runs; /* of (base_slot, last_slot]; guesses where entries are lost */
    uint32_t run_count;
    const struct repair_hole
        *holes; /* its own, ascending; at least those that touch the question */
    uint32_t hole_count;
    bool forgetful;  /* it may have held more than it does */
    bool repairs;    /* its own holes, or its state; it may drop what it has */
    bool state_lost; /* the one up to its beginning */
};

/* The next entries of the hole, at or behind `from`, that are in the log and proven to be those
 * that are asked for: [*lo, *hi]. False: there are none. */
bool repair_held(const struct repair_log *log, const struct repair_hole *asked, qr_slot from,
                 qr_slot *lo, qr_slot *hi);

enum repair_answer repair_judge(const struct repair_log *log, const struct repair_hole *asked);

/* --- Asking --------------------------------------------------------------------------------- */

#define REPAIR_QUESTIONS_MAX 16u /* the lowest holes; the others come when these are filled */

struct repair_question {
    struct repair_hole hole;
    uint16_t never, trimmed, other; /* members that answered so */
    bool matches;                   /* one of `trimmed` answered MATCHES */
    qr_time ask_at[MEMBERS_MAX];    /* whom to ask when; QR_NEVER: has said all that it can */
    qr_time decided_at;             /* since then no entry need be waited for; 0: it must */
};

struct repair {
    node_index me;
    struct membership members;
    uint16_t up; /* connected members */
    struct repair_question question[REPAIR_QUESTIONS_MAX];
    uint32_t count;
    qr_slot state_lost; /* the state up to here, where the log begins; 0: it is there */

    /* The checkpoint that is wanted (H3). */
    bool coming;           /* one that fits is on its way, or here */
    bool waits;            /* others are served first: nobody is asked now */
    qr_time fetch_at;      /* somebody is asked for one again */
    node_index fetch_last; /* who was last */
    qr_time asked_at;      /* since then somebody who is there is asked in vain; 0: nobody is */
    uint16_t unfit_from;   /* members whose last offer does not fit, the highest up to `unfit` */
    qr_slot unfit;
    qr_time unfit_at; /* since then those are all who could have one; 0: they are not */
};

enum repair_action {
    REPAIR_WAIT,       /* until `at`, or an event */
    REPAIR_ASK,        /* member `to` about `hole` */
    REPAIR_FETCH,      /* member `to` is asked for a checkpoint, of slot `least` or a later one */
    REPAIR_DROP,       /* all entries from hole.lo on, and start forgetful */
    REPAIR_DROP_STATE, /* the whole log, and start forgetful */
    REPAIR_DONE,       /* there is no hole */
};

struct repair_step {
    enum repair_action action;
    node_index to;
    struct repair_hole hole;
    qr_slot least;
    qr_time at;
};

void repair_init(struct repair *r, node_index me, const struct membership *members);

/* The lowest holes as they are now, ascending, at most REPAIR_QUESTIONS_MAX. */
void repair_look(struct repair *r, const struct repair_hole *holes, uint32_t count);

void repair_peer(struct repair *r, node_index peer, bool up);

/* What a member answered; when it is to an older question it is passed over. With HAS the entries
 * are patched and repair_look is called; where that fails the answer was UNKNOWN. */
void repair_answered(struct repair *r, node_index from, const struct repair_hole *asked,
                     enum repair_answer answer, qr_time now);

/* The own checkpoint is lost, and the log begins behind `slot`. 0: it is there (again). */
void repair_lost_state(struct repair *r, qr_slot slot);

/* Whether a checkpoint up to `slot`, of that term, may take the place of what `own` holds (H3). */
enum repair_fit {
    REPAIR_UNFIT,   /* nothing is gained by it, or nobody can tell */
    REPAIR_KEEP,    /* what the log holds behind it stays */
    REPAIR_REPLACE, /* the log becomes empty */
};
enum repair_fit repair_fits(const struct repair *r, const struct repair_log *own, qr_slot slot,
                            qr_term term);

/* A member offers one: whether to get it, now. */
bool repair_offered(struct repair *r, const struct repair_log *own, node_index from, qr_slot slot,
                    qr_term term, qr_time now);
/* Whether one is on its way, with hope, or here. */
void repair_coming(struct repair *r, bool coming);

/* Whether a checkpoint is to be asked for; and where there are many who ask: not yet. */
bool repair_wants_checkpoint(const struct repair *r, qr_time now);
void repair_waits(struct repair *r, bool waits);

/* What to do next; call it again until it says WAIT or DONE. */
struct repair_step repair_next(struct repair *r, qr_time now);

#endif
