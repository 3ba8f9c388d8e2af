/* By which rules of its map a node may go, though it cannot ask: where prefixes lead, and how one
 * is changed (node/route.h: K6); what keyspaces give where a request says nothing, and the zones.
 *
 * A prefix leads to a keyspace. While it changes no node may still go by the old way when another
 * goes by the new one, whatever is late or away; and what was sent by the old way has its answer
 * before anything goes by the new one.
 *
 *   leader of group 0                    node
 *     FREEZE prefixes ---------------->    holds their keys back; what it has sent on is answered
 *     all have said so, or are    <----    RENEW: "frozen"
 *     covered no more: the change
 *     is proposed, and made
 *     thaws, grants coverage      ---->    goes by the map, which has the change
 *
 * V1 A node goes by prefixes while it is covered, by an answer to a renewal of its lease
 *    (leases.h): it counts half the time from the asking, group 0's leader all of it from the
 *    answer. It is covered only if its map has every rule that the leader knows.
 * V2 A leader answers so only when it has applied an entry of its own term, and with it every
 *    change that was made. Another one's coverage it counts from then on.
 * V3 While a leader freezes it covers those only that have said that they are frozen: they go by
 *    all prefixes but those. It proposes the change when no other node may be covered.
 * V4 A node stays frozen until a leader of the same or a later term covers it that does not freeze.
 *    It takes nothing from those before. So the change of a leader that was deposed is made with
 *    all nodes frozen, or never: its successor covers nobody before it knows which.
 *
 * V5 What a keyspace gives where a request says nothing (READ, ACK, how long ids are kept) and the
 *    zones are changed without a freeze: who is not covered gives what is strongest, or nothing. So
 *    coverage for those rules lasts longer, RULES_TIME, over an election or two of group 0, and a
 *    freeze does not end it. Whoever orders a change hears OK when each node has it in its map or
 *    is covered no more by an answer from before: RULES_TIME behind the change nobody is, whichever
 *    leaders there were and are (those to come have the change when they cover anybody, V2).
 *
 * Stages count the freezes and thaws of a leader, odd while it freezes. Pure: the caller has the
 * clock. */
#ifndef CLUSTER_COVERAGE_H
#define CLUSTER_COVERAGE_H

#include "base/limits.h"
#include "base/types.h"
#include "cluster/map.h"

/* For so long an answer covers, as group 0 counts: prefixes, and other rules. */
#define COVER_TIME (2 * QR_SECOND)
#define RULES_TIME (2 * COVER_TIME)
/* Of one change: where a keyspace's prefix was, and where it will be. */
#define FROZEN_MAX 2u
#define FREEZE_BYTES_MAX (16u + 1u + FROZEN_MAX * (1u + KEYSPACE_PREFIX_BYTES))

struct cover_stage {
    qr_term term;
    uint64_t count;
};

struct frozen_prefix {
    uint8_t n;
    uint8_t bytes[KEYSPACE_PREFIX_BYTES];
};

struct freeze {
    struct cover_stage stage;
    uint32_t count; /* 0: nothing is frozen */
    struct frozen_prefix prefix[FROZEN_MAX];
};

struct coverage {
    /* As a node that sends keys on. */
    struct freeze frozen;
    bool settled;        /* what it sent before that is answered */
    qr_time until;       /* it is covered; 0: it is not */
    qr_time knows_until; /* the same for rules that are no prefixes (V5) */
    uint64_t changes;    /* grows with what may be sent on */

    /* As leader of group 0. */
    struct freeze freeze; /* of its term; count 0: it does not */
    struct cover_stage said[MEMBERS_MAX];
    qr_time gone_at[MEMBERS_MAX]; /* of what was granted */
};

bool cover_is_later(struct cover_stage a, struct cover_stage b);

bool freeze_add(struct freeze *f, struct span prefix);
bool freeze_has(const struct freeze *f, struct span key);
/* Into p (FREEZE_BYTES_MAX); returns how many bytes. */
size_t freeze_write(const struct freeze *f, uint8_t *p);
bool freeze_read(struct span in, struct freeze *out);

/* --- The node ------------------------------------------------------------------------------- */

/* A leader freezes, or does not any more (count 0). True: what was sent before is to be settled. */
bool coverage_freeze(struct coverage *c, const struct freeze *f);
/* Which freeze it may say that it is in. */
struct cover_stage coverage_said(const struct coverage *c);
/* A leader at that stage covers it: the answer to what was sent at that time. */
void coverage_granted(struct coverage *c, struct cover_stage stage, qr_time sent);
static inline bool coverage_holds(const struct coverage *c, qr_time now)
{
    return now < c->until;
}
/* Group 0 is led by a node of a version that knows no rules: there are none, for they need a level
 * that all nodes know. */
void coverage_without_rules(struct coverage *c, qr_time now);
/* V5 */
static inline bool coverage_knows_rules(const struct coverage *c, qr_time now)
{
    return now < c->knows_until;
}
/* The map is older than it was. */
void coverage_end(struct coverage *c);

/* --- Group 0's leader ----------------------------------------------------------------------- */

/* It leads in that term and has applied an entry of it (V2). */
void coverage_lead(struct coverage *c, qr_term term, qr_time now);
/* A node has renewed its lease, and said in which freeze it is. */
void coverage_asked(struct coverage *c, node_index node, struct cover_stage said);
/* Whether it may be covered now; granted: it is. */
bool coverage_may_grant(const struct coverage *c, node_index node);
void coverage_grant(struct coverage *c, node_index node, qr_time now);
/* Freezes the prefixes of *f, or thaws: the next stage of the term. */
void coverage_begin(struct coverage *c, const struct freeze *f);
void coverage_thaw(struct coverage *c);
/* Whether that node may go by a prefix that is frozen. */
bool coverage_may_go(const struct coverage *c, node_index node, qr_time now);
/* Whether it may go by rules that it was covered for. */
bool coverage_may_know_rules(const struct coverage *c, node_index node, qr_time now);

#endif
