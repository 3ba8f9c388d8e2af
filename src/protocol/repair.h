/* Repair of a log with holes, before its replica starts (decision 024, docs/repair.md): a pure
 * state machine, like a protocol, that decides whom to ask and what the answers mean.
 *
 * A hole is a stretch of entries whose bytes are lost although it is certain that they were there
 * (docs/log-format.md). The rule:
 *
 * H1 An entry that a member holds is taken over when it is proven to be the same: it has the term
 *    that ours had, or the entry behind the hole is in that log as well. (A log that holds an entry
 *    of a term holds all that its leader had before it.)
 * H2 What a majority of the voters says it never had was not committed. It may be dropped.
 * H3 What a member has trimmed was committed and is in its checkpoint; what another entry stands in
 *    the place of, that cannot be told from ours, is there or was not committed. Both may be
 *    dropped here: the leader brings what belongs there.
 * H4 Dropping forgets promises. Whoever drops starts forgetful (raft/forget.c), and so can harm
 *    nobody; H2 and H3 are about not standing still, or losing a copy, without need.
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
};

/* --- Answering ------------------------------------------------------------------------------ */

/* A log as it stands, for answering what others ask. */
struct repair_log {
    qr_slot base_slot, last_slot;
    const struct term_run *runs; /* of (base_slot, last_slot]; guesses where entries are lost */
    uint32_t run_count;
    const struct repair_hole *holes; /* its own, ascending */
    uint32_t hole_count;
    bool forgetful; /* it may have held more than it does */
};

/* Whether the entry is in the log, and proven to be the one that is asked for. */
bool repair_holds(const struct repair_log *log, const struct repair_hole *asked, qr_slot slot);

enum repair_answer repair_judge(const struct repair_log *log, const struct repair_hole *asked);

/* --- Asking --------------------------------------------------------------------------------- */

#define REPAIR_QUESTIONS_MAX 16u /* the lowest holes; the others come when these are filled */

struct repair_question {
    struct repair_hole hole;
    uint16_t never, gone;        /* members that answered NEVER; TRIMMED or OTHER */
    qr_time ask_at[MEMBERS_MAX]; /* whom to ask when; QR_NEVER: has said all that it can */
    qr_time decided_at;          /* since then it could be dropped; 0: it cannot */
};

struct repair {
    node_index me;
    struct membership members;
    uint16_t up; /* connected members */
    struct repair_question question[REPAIR_QUESTIONS_MAX];
    uint32_t count; /* 0: there is no hole */
};

enum repair_action {
    REPAIR_WAIT, /* until `at`, or an event */
    REPAIR_ASK,  /* member `to` about `hole` */
    REPAIR_DROP, /* all entries from hole.lo on, and start forgetful */
    REPAIR_DONE, /* there is no hole */
};

struct repair_step {
    enum repair_action action;
    node_index to;
    struct repair_hole hole;
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

/* What to do next; call it again until it says WAIT or DONE. */
struct repair_step repair_next(struct repair *r, qr_time now);

#endif
