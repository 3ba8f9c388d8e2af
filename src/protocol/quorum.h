/* Majorities of a group: what a quorum has reached.
 *
 * Commit index, confirmed read round, lease start and the leader's contact with its group are the
 * same question: the largest value that a majority of the voters has reached. While a change of the
 * members is under way (`outgoing` is not empty) two majorities must agree, that of the voters to
 * be and that of the voters before (joint consensus, Raft diss. 4.3). */
#ifndef PROTOCOL_QUORUM_H
#define PROTOCOL_QUORUM_H

#include "base/limits.h"
#include "base/panic.h"
#include "base/types.h"
#include "protocol/protocol.h"

/* How many nodes are in a set. */
static inline uint32_t quorum_count(uint32_t set)
{
    uint32_t count = 0;
    for (; set != 0; set &= set - 1) {
        count++;
    }
    return count;
}

/* The set of one node. */
static inline uint16_t node_bit(node_index node)
{
    return (uint16_t)(1u << node);
}

/* The lowest node of a set that is not empty. Sets are walked in order of index (P7):
 * for (uint32_t rest = set; rest != 0; rest &= rest - 1) { node_index i = set_first(rest); ... } */
static inline node_index set_first(uint32_t set)
{
    return (node_index)__builtin_ctz(set);
}

/* Whether `bits` hold a majority of that set; never of an empty one. */
static inline bool quorum_of_set(uint32_t bits, uint32_t set)
{
    return quorum_count(bits & set) > quorum_count(set) / 2;
}

/* Whether the nodes whose bits are set decide. */
static inline bool quorum_of(uint32_t bits, const struct membership *m)
{
    return quorum_of_set(bits, m->voters) && (m->outgoing == 0 || quorum_of_set(bits, m->outgoing));
}

/* The largest value v such that a majority of the set has v or more; values by node index. */
static inline uint64_t quorum_reached_set(const uint64_t *values, uint32_t set)
{
    qr_assert(set != 0);
    qr_assert(set < 1u << MEMBERS_MAX);
    uint64_t sorted[MEMBERS_MAX]; /* descending */
    uint32_t n = 0;
    for (uint32_t rest = set; rest != 0; rest &= rest - 1) {
        uint64_t value = values[set_first(rest)];
        uint32_t at = n++;
        for (; at > 0 && sorted[at - 1] < value; at--) {
            sorted[at] = sorted[at - 1];
        }
        sorted[at] = value;
    }
    return sorted[n / 2];
}

static inline uint64_t quorum_reached(const uint64_t *values, const struct membership *m)
{
    uint64_t reached = quorum_reached_set(values, m->voters);
    if (m->outgoing != 0) {
        reached = min_u64(reached, quorum_reached_set(values, m->outgoing));
    }
    return reached;
}

/* Of so many voters so many may fail, and the others are still a majority. */
static inline uint32_t quorum_tolerates(uint32_t voters)
{
    return voters == 0 ? 0 : (voters - 1) / 2;
}

/* --- Sets of a membership ------------------------------------------------------------------- */

/* Whoever votes and may lead. */
static inline uint16_t membership_voters(const struct membership *m)
{
    return m->voters | m->outgoing;
}

/* Every index in any of the sets. */
static inline uint16_t membership_all(const struct membership *m)
{
    return m->voters | m->outgoing | m->learners | m->observers;
}

static inline bool membership_equal(const struct membership *a, const struct membership *b)
{
    return a->voters == b->voters && a->outgoing == b->outgoing && a->learners == b->learners &&
           a->observers == b->observers;
}

/* What an entry may state: somebody votes, and the sets do not overlap, but for `outgoing`. */
static inline bool membership_is_sound(const struct membership *m)
{
    uint32_t overlap =
        (m->voters & m->learners) | (m->voters & m->observers) | (m->learners & m->observers);
    return m->voters != 0 && overlap == 0 && membership_all(m) < 1u << MEMBERS_MAX;
}

#endif
