/* Leases between the nodes and group 0: what a node may believe while it cannot ask, and when group
 * 0 may act without it (design 4).
 *
 * Each node asks group 0's leader for its lease every LEASE_RENEWED_EVERY, and that one answers.
 *
 *   node                               leader of group 0
 *     RENEW sent ------------------->    received
 *                                        a majority answers what was sent to it later: it led
 *     holds until sent + half <------    RENEWED; the lease is gone at now + all of it
 *
 * L1 The node counts half the lease, from the sending: whatever stood still in between, a clock
 *    that runs half as fast as another included, it believes less than it was given.
 * L2 The leader counts the whole lease, from the moment at which it knows that it led after the
 *    renewal had come (as for a read). One that is deposed never learns that, and grants nothing.
 * L3 A new leader does not know what the one before granted. What that one granted it had been
 *    asked for before the new one was elected: so it counts every lease from its own first commit.
 * L4 An answer counts for the process that asked: `life` is drawn at its start. A leader forgets
 *    what was asked when the connection closes or it leads no more.
 * L5 That a lease is gone is this leader's belief, and may be acted on by what group 0 commits in
 *    its term, and by nothing else: a deposed one believes it of everybody, and commits nothing.
 * L6 While a lease was not held group 0 may have acted (L5). So what was written down before the
 *    first answer of an unbroken lease has to be known before this node acts by it (`since`).
 *
 * Pure: the caller has the clock. Times of two nodes are never compared. */
#ifndef CLUSTER_LEASES_H
#define CLUSTER_LEASES_H

#include "base/limits.h"
#include "base/types.h"

#define LEASE_TIME (1200 * QR_MILLISECOND)
#define LEASE_RENEWED_EVERY (200 * QR_MILLISECOND)

/* What RENEW and RENEWED carry. */
struct renewal {
    uint64_t life;
    qr_time sent; /* the asking node's clock */
};

struct leases {
    /* As a node that holds one. */
    uint64_t life;
    qr_time held_until;
    qr_time since; /* held, it is so without a gap since then; 0: it never was (L6) */
    qr_time renew_at;

    /* As leader of group 0. */
    qr_term term;      /* in which this node leads; 0: it does not */
    qr_time confirmed; /* it led at this time, by its own clock; 0: that is not known yet */
    bool serves;       /* it has committed an entry in that term */
    uint16_t asked;    /* whose renewals have come and have no answer */
    struct renewal renewal[MEMBERS_MAX];
    qr_time came[MEMBERS_MAX];
    qr_time gone_at[MEMBERS_MAX]; /* when the lease is gone, whoever granted it */
};

void leases_init(struct leases *l, uint64_t life);

/* --- The node ------------------------------------------------------------------------------- */

/* Whether it is time to send a renewal, which is then taken to be sent. */
bool leases_renew(struct leases *l, qr_time now, struct renewal *out);
/* Whether the answer counts (L4). */
bool leases_renewed(struct leases *l, const struct renewal *renewal, qr_time now);
/* Whether this node holds its lease: true says so for less than group 0 counts. */
bool leases_held(const struct leases *l, qr_time now);

/* --- Group 0's leader ----------------------------------------------------------------------- */

/* Whenever that may have changed; term 0: this node does not lead. */
void leases_lead(struct leases *l, qr_term term, bool serves, qr_time now);
/* A majority has answered what was sent at that time. */
void leases_confirm(struct leases *l, qr_time sent);
/* A renewal came. */
void leases_asked(struct leases *l, node_index from, const struct renewal *renewal, qr_time now);
/* The connection to that node closed. */
void leases_lost(struct leases *l, node_index node);
/* Those whose renewals are granted now; what to answer stands in renewal[]. */
uint16_t leases_grant(struct leases *l, qr_time now);
/* For how long that node's lease has been gone, by this leader's count; 0: it may hold it, or this
 * node does not know (L5). */
qr_time leases_gone_for(const struct leases *l, node_index node, qr_time now);

#endif
