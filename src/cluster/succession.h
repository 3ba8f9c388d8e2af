/* Who may become primary of a partition, and how the rule of acknowledgement changes without losing
 * what was acknowledged (decision 056; features L9 to L11). Group 0's leader asks, with what it
 * knows; the answer is the next record to be committed in group 0, or why there is none.
 *
 * A **rule** says which copies a write needs: those of a primary p, of all of `set`, and of
 * `copies` others among the members. So the smallest sets of nodes that may hold an acknowledged
 * write are W(p) = {p} + set + any `copies` of the rest. LOCAL is W(p) = {p}.
 *
 * S1 Telling. What a node tells counts while it is connected and in the life in which it told it.
 *    It **stands** when it has promised exactly the present term, durably, is not forgetful, and is
 *    a member under some rule that is still owed something (S4). Its log's end is durable then, and
 *    nothing of an older term can be added to it any more.
 * S2 A term has one primary for ever, in one life of it: a primary that restarts never leads its
 *    term again, since what it had sent and lost would come twice under one (slot, term). Another
 *    primary comes only by way of a term without one; the same one goes on in a later term when
 *    members or rule change, without a choice.
 * S3 A term is opened when the lease of the primary is over, when it has handed over (it takes
 *    nothing more in its term, so a later one must come), when it tells another life than the one
 *    that was named, or by force. It is above all that was promised, as far as is told; where a
 *    member has promised more, another one is opened. A primary is chosen when the one before can
 *    answer no more reads: its lease was over, or it has itself promised the later term.
 * S4 Duties. Each rule under which something may have been acknowledged stays in the record, with
 *    the primaries that it had and its last term, until it is discharged (S7). A duty is **met** by
 *    those who stand when they meet each W(p): p stands, or one of `set`, or fewer than `copies`
 *    of the rest do not. For ANY k of n that is n - k who stand, or p; for a set one of it
 *    (|W| + |standers| > n: Howard, Malkhi and Spiegelman 2016).
 * S5 The choice is who stands with the highest (term, slot) of its last entry. It has everything
 *    that was acknowledged under a duty when that is met, or when its last entry is of a later term
 *    than the duty's last one: the primary of that term had it all, and logs agree before a common
 *    entry. By induction over the terms this is Leader Completeness (Ongaro 2014, 3.6.3) with
 *    quorums of any size.
 * S6 Loss. A duty of LOCAL that is not met is given up after a grace: the best of those that stand
 *    is taken, forgetful or not, and the answer says what may be lost. But one that is forgetful
 *    and has nothing is taken only where all have come: an empty disk is no reason to empty the
 *    others. Any other duty that is
 *    not met stops the choice until somebody comes back, or FORCE gives it up. Nothing else ever
 *    does: FALLBACK async does not.
 * S7 Discharge. When the primary reports that an entry of its own term is committed, the term is
 *    **settled**: whatever was acknowledged before is held under the present rule as well, so it
 *    is the only duty left. But LOCAL holds it at the primary alone: stricter duties stay beside
 *    it (those who have an entry of the LOCAL term are past them, S5). When all members have
 *    caught up in that term, each of them has all that was owed: any one of them will do from then
 *    on, and nobody else is needed. When they become many, two become one, as in S8.
 * S8 One change at a time: another one waits until the last is settled, unless those that are not
 *    lost cannot settle it; and none is made while the primary is away. The record has room for
 *    SUCCESSION_DUTIES_MAX duties; a choice never needs a new one. Where a change needs one more,
 *    two become one that asks for no less than both; where no two can, it waits.
 * S9 Never fewer. Who is wished comes in as a learner, counts when it has caught up, and only when
 *    all who are wished count the others go; no step leaves a rule with fewer copies than are
 *    promised. A lost, slow or forgetful member of a set is replaced when there is another one that
 *    has caught up; it counts from the next term on, so from when it is recorded.
 * S10 FALLBACK async is a record like any other: rule LOCAL, `fallen`, a term of its own. It comes
 *    when the members that are not lost are too few for the rule and nobody can replace them, and
 *    ends when enough have caught up, or when the keyspace says FALLBACK fail.
 * S11 Who is chosen forgetful may lack what every member once held. The record keeps that term, and
 *    each member is told by its view: no floor of before is believed (protocol/primary/state.h).
 * S12 Each choice with a possible loss (S6) is counted, with how much of the history it has kept:
 *    sessions go by that (position.h).
 *
 * After PacificA (Lin et al. 2008: reconfiguration by a separate group) and Vertical Paxos
 * (Lamport, Malkhi, Zhou 2009: the configuration before is owed until the new one is complete).
 *
 * Pure: no clock, no memory beside the record. The caller has the patience: it says who is lost and
 * when a grace is over. */
#ifndef CLUSTER_SUCCESSION_H
#define CLUSTER_SUCCESSION_H

#include "base/limits.h"
#include "base/text.h"
#include "base/types.h"
#include "cluster/position.h"
#include "protocol/protocol.h"

#define SUCCESSION_DUTIES_MAX 6u

/* Sets of nodes are masks of indexes. `set` names the primary too where there is one; a rule has a
 * set, or copies, or (LOCAL) neither. */
struct succession_rule {
    uint16_t members;
    uint16_t set;
    uint8_t copies;
};

/* Something may have been acknowledged under this rule by these primaries, in no term after `last`
 * (S4). */
struct succession_duty {
    struct succession_rule rule;
    uint16_t primaries;
    qr_term last;
};

/* What may be gone with a choice (S6). */
struct succession_loss {
    bool possible;
    bool promised_more; /* it was acknowledged under more than LOCAL: FORCE gives it up */
    qr_term through; /* what was acknowledged in a term up to this one, but after the last entry */
    qr_term term;    /* of the chosen: in a later term than this, or in it behind */
    qr_slot slot;    /* this slot */
};

/* What group 0 keeps of a partition. Each answer that is to be written down is a whole one. */
struct succession {
    qr_term term;
    node_index primary;   /* NODE_NONE: it is being chosen */
    node_index before;    /* primary of the last term that had one; NODE_NONE: none had */
    node_index preferred; /* being chosen: among equals this one; NODE_NONE: any */
    bool fenced;          /* being chosen: the lease of `before` was over (S3) */
    bool fallen;          /* S10 */
    uint8_t stage;        /* enum ack_stage */
    uint8_t duty_count;
    uint16_t learners;
    uint64_t life;   /* of the primary: in no other one does it lead (S2) */
    qr_term settled; /* the last term that was reported settled (S7) */
    qr_term forgot;  /* the last term whose primary was chosen forgetful (S11); 0: none was */
    struct lineage losses; /* S12 */
    struct succession_rule rule;
    struct succession_duty duty[SUCCESSION_DUTIES_MAX];
    struct succession_loss loss; /* with which its primary was chosen, until the term is settled:
                                    for whoever leads group 0 then to tell (S6) */
};

/* What the keyspace asks for. */
struct succession_wish {
    uint16_t members;
    uint16_t set_of;   /* ALL [OF zone]: who may be of the set; 0: there is no set */
    uint8_t set_count; /* so many of them beside the primary; 0: all */
    uint8_t copies;    /* ANY */
    uint8_t stage;     /* enum ack_stage */
    bool fallback;     /* FALLBACK async */
};

/* What a node has told in its present life (S1); zeroed: nothing. */
struct succession_told {
    uint64_t life; /* drawn at each start */
    qr_term promised;
    qr_term last_term; /* of its last entry, of one that stands or is forgetful */
    qr_slot last_slot;
    qr_term settled; /* as primary: an entry of this term is committed; 0: none is */
    bool forgetful;
    bool handed_over;     /* as primary of `promised`: it takes nothing more in that term, */
    node_index handed_to; /* because this node should lead */
};

enum succession_order_kind {
    SUCCESSION_NO_ORDER = 0,
    SUCCESSION_TO,    /* FAILOVER TO: nothing is lost, or it does not happen */
    SUCCESSION_FORCE, /* FAILOVER FORCE [TO]: duties that are not met are given up; with TO that
                         one is taken though another has more, and the loss is told */
};

/* What group 0's leader knows now. */
struct succession_scene {
    uint16_t alive;  /* connected */
    uint16_t caught; /* have all that is committed, by the primary's account; while it does not know
                        that (it does not serve yet), all of its log */
    uint16_t lost;   /* away, or too slow, for so long that somebody else is wanted */
    bool lease_over; /* of the primary; while one is chosen, of the one before */
    bool grace_over; /* since this term was opened long enough has passed for who can to stand */
    enum succession_order_kind order;
    node_index to; /* of the order; FORCE: NODE_NONE: the best */
    struct succession_told told[MEMBERS_MAX];
};

enum succession_kind {
    SUCCESSION_NOTHING = 0,
    SUCCESSION_WRITE,     /* commit `next` in group 0, if the record is still the one given */
    SUCCESSION_HAND_OVER, /* order the primary to hand over to `to`; again while that is said */
    SUCCESSION_STOP,      /* there is something to do, and it cannot be done: `reason` */
};

#define SUCCESSION_REASONS(R)                                                      \
    R(NONE, "")                                                                    \
    /* Of what is written down. */                                                 \
    R(LEASE_OVER, "the primary's lease is over")                                   \
    R(HANDED_OVER, "the primary has handed over")                                  \
    R(RESTARTED, "the primary has restarted")                                      \
    R(PROMISED, "a later term was promised")                                       \
    R(FORCED, "by FAILOVER FORCE")                                                 \
    R(CHOSEN, "it stands best")                                                    \
    R(SETTLED, "an entry of the term is committed")                                \
    R(HELD, "each member has what was owed to a rule of before")                   \
    R(MEMBERS, "the members change")                                               \
    R(RULE, "the rule changes")                                                    \
    R(REPLACED, "a lost member of the set is replaced")                            \
    R(FELL_BACK, "too few members for the rule: FALLBACK async")                   \
    R(RESTORED, "enough members for the rule again")                               \
    R(COUNTED, "losses are counted from now on")                                   \
    /* Of what cannot be done (yet). */                                            \
    R(LEASE_HELD, "the primary before may still answer reads")                     \
    R(NOBODY_STANDS, "nobody stands")                                              \
    R(FEW_STAND, "too few stand")                                                  \
    R(GRACE, "whoever has more may still come")                                    \
    R(FEW_COPIES, "too few members for the rule")                                  \
    R(NOT_FIT, "the node that is to lead is away, not a member, or lacks entries") \
    R(UNSETTLED, "the change before is not settled")                               \
    R(AWAY, "the primary is away, and a change waits for it")

enum succession_reason {
#define SUCCESSION_TAG(name, text) SUCCESSION_##name,
    SUCCESSION_REASONS(SUCCESSION_TAG)
#undef SUCCESSION_TAG
};

struct succession_action {
    enum succession_kind kind;
    enum succession_reason reason;
    node_index to;               /* HAND_OVER */
    struct succession next;      /* WRITE */
    struct succession_loss loss; /* WRITE of a primary that was chosen; to be told (S6) */
    uint16_t stand;              /* STOP: these do, */
    uint8_t needed;              /* so many must, by the duty that is furthest from being met, */
    uint16_t awaited;            /* and each of these would help */
};

/* The first record: term 1, whose primary is chosen as any other, this one among equals (NODE_NONE:
 * any). Nothing is owed yet. The wish is sound. */
struct succession succession_first(const struct succession_wish *wish, node_index preferred);

/* What to do now. Asked again after each change of anything; one thing at a time. */
struct succession_action succession_turn(const struct succession *now,
                                         const struct succession_wish *wish,
                                         const struct succession_scene *scene);

/* What FAILOVER FORCE would do at this moment, for people: whom it would take, with what loss.
 * NODE_NONE: nobody. Before a term is opened it counts what members have told as if they stood. */
node_index succession_forced(const struct succession *now, const struct succession_scene *scene,
                             struct succession_loss *loss);

/* As protocols are told it. */
struct view succession_view(const struct succession *now);

/* Whether the rule of that wish can be held by its members at all. */
bool succession_wish_is_sound(const struct succession_wish *wish);

/* "no primary in term 7: too few stand: 1 of 2, nodes 2 and 3 are awaited". `ids`: of the nodes by
 * index. */
#define SUCCESSION_TEXT_BYTES 320u
void succession_explain(struct text *out, const struct succession *now,
                        const struct succession_action *action, const uint64_t *ids);

#endif
