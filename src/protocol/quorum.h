/* Majorities of a group: what a quorum has reached.
 *
 * Commit index, confirmed read round, lease start and the leader's contact with its group are the
 * same question: the largest value that a majority of members has reached. */
#ifndef PROTOCOL_QUORUM_H
#define PROTOCOL_QUORUM_H

#include "base/limits.h"
#include "base/panic.h"
#include "base/types.h"

/* The smallest number of members that is a majority. */
static inline uint32_t quorum_size(uint32_t members)
{
    return members / 2 + 1;
}

/* Whether the members whose bits are set form a majority. */
static inline bool quorum_of(uint32_t bits, uint32_t members)
{
    uint32_t count = 0;
    for (; bits != 0; bits &= bits - 1) {
        count++;
    }
    return count >= quorum_size(members);
}

/* The largest value v such that a majority of the n values is >= v. */
static inline uint64_t quorum_reached(const uint64_t *values, uint32_t n)
{
    qr_assert(n >= 1);
    qr_assert(n <= MEMBERS_MAX);
    uint64_t sorted[MEMBERS_MAX]; /* descending */
    for (uint32_t i = 0; i < n; i++) {
        uint32_t at = i;
        for (; at > 0 && sorted[at - 1] < values[i]; at--) {
            sorted[at] = sorted[at - 1];
        }
        sorted[at] = values[i];
    }
    return sorted[quorum_size(n) - 1];
}

#endif
