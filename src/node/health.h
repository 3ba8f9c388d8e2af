/* How the members do, and who should lead (decision 025).
 *
 * Each node measures how long its disk takes to make writes durable and tells the others, with its
 * wish to lead (frame HEALTH). The leader hands over, when another voter has kept up with it for a
 * while,
 *
 *   L1 because that one has a higher priority;
 *   L2 because its own disk is slow and that one's is not.
 *
 * So that leadership does not flap:
 *
 *   L3 Whoever was slow, or is quarantined, is not fit to be preferred until it has been well for
 *      FIT_AFTER; a slow leader that stepped aside is not fit either.
 *   L4 A hand-over that does not succeed is tried again after a pause that doubles.
 *   L5 Each time a preferred node loses leadership soon after it got it, it has to keep up for
 *      twice as long before it gets it again.
 *
 * Partitions rest and hear nothing of wall clocks then; group 0 never does. What its leader says of
 * this node's clock is passed on to all replicas here (skew.c: W4), again and again, and to the
 * other nodes, who let nobody lead whose clock is off.
 *
 * Also watched here, because the leader alone sees it: members that do not keep up (LAG). */
#ifndef NODE_HEALTH_H
#define NODE_HEALTH_H

#include "base/limits.h"
#include "protocol/protocol.h"

struct node;

/* What a member has told of itself. */
struct member_health {
    qr_time heard; /* 0: nothing since it was connected */
    uint32_t sync_usec;
    uint8_t priority;
    bool fit;         /* to be preferred: its disk is fine and its state is trusted */
    bool quarantined; /* its state differs from the others' */
    bool gives;       /* its checkpoint to a member that is being brought up */
    bool off;         /* its wall clock is */
};

/* What is known of a member besides. */
struct member_watch {
    qr_time keeps_up_since; /* 0: it does not */
    qr_time caught_at;      /* when it last held what was committed a moment before */
    uint8_t losses;         /* of leadership, soon after it got it (L5) */
    qr_time lost_at;
};

struct health {
    struct member_health told[MEMBERS_MAX];
    struct member_watch watch[MEMBERS_MAX];
    qr_time next, next_tell;
    bool gives; /* as last told */

    /* The own disk. */
    uint64_t syncs_seen, usec_seen;
    uint32_t sync_usec;
    qr_time slow_since; /* 0: it is not */
    qr_time fit_from;   /* after it was slow (L3) */
    bool skewed;
    qr_time unskewed_since;
    qr_time off_since; /* group 0's leader says so without a break; 0: it does not */
    bool off;          /* ... for longer than after a pause: others shall lead */
    uint32_t tells;    /* looks in which partitions are to hear of it, */
    uint32_t untold;   /* ... and how many have not yet, from the last one on */

    /* Leading. */
    node_index leader; /* as last seen */
    qr_time leader_since;
    qr_slot commit_before;
    qr_time pause, not_before; /* of hand-overs (L4) */
    uint64_t handed_over_slow, handed_over_priority;

    /* ALARM_FORGOT about these is over after so many looks; 0: it is. */
    uint16_t forgot[MEMBERS_MAX];
};

#define FORGOT_LOOKS 600u /* a minute */

void health_init(struct health *h, qr_time now);

/* Now and then; returns when it wants to be called next. */
qr_time health_turn(struct node *node, qr_time now);

/* Whenever another node leads, or none. */
void health_leader(struct node *node, const struct outlook *o, qr_time now);

/* Frame HEALTH. False when malformed. */
bool health_receive(struct node *node, node_index from, struct span head);
void health_peer(struct node *node, node_index peer, bool up);
void health_tell(struct node *node, node_index to); /* NODE_NONE: all */

/* The voter that should lead instead of this node, which leads: connected, trusted, then fit, then
 * of the highest priority, then the furthest; NODE_NONE: there is none. */
node_index health_successor(const struct node *node, const struct outlook *now);

/* The nodes that are up and whose wall clocks are right, as far as is known: they may be asked to
 * lead a partition. */
uint16_t health_able(const struct node *node);

/* Whether any member is being brought up by another one's checkpoint, as far as is known here. */
bool health_brings_up(const struct node *node);

#endif
