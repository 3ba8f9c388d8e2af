/* What the paper tests share: messages as a leader would send them, logs written as lists of terms.
 */
#ifndef TESTS_PAPER_PAPER_H
#define TESTS_PAPER_PAPER_H

#include "tests/unit/protocol/group.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

/* An APPEND as a leader of `term` would send it. */
static inline struct raft_append append_of(qr_term term, qr_slot prev_slot, qr_term prev_term,
                                           qr_slot commit)
{
    return (struct raft_append){
        .term = term, .prev_slot = prev_slot, .prev_term = prev_term, .commit = commit
    };
}

/* Gives a node that was just made a durable log, and starts it anew with it. */
static inline void refill(struct group *g, node_index i, const qr_term *terms, uint32_t count,
                          qr_term term)
{
    for (uint32_t k = 0; k < count; k++) {
        group_disk_append(g, i, terms[k], 1);
    }
    group_disk_state(g, i, term, NODE_NONE);
    group_restart(g, i, true);
}

#define REFILL(g, i, term, ...)                        \
    refill((g), (i), (const qr_term[]){ __VA_ARGS__ }, \
           (uint32_t)(sizeof((const qr_term[]){ __VA_ARGS__ }) / sizeof(qr_term)), (term))

static inline void assert_log(struct group *g, node_index i, const qr_term *terms, uint32_t count)
{
    assert_int_equal(g->node[i].log.last, count);
    assert_int_equal(group_raft(g, i)->trail.last_slot, count);
    for (uint32_t k = 0; k < count; k++) {
        assert_int_equal(g->node[i].log.entry[k + 1].term, terms[k]);
        assert_int_equal(trail_term(&group_raft(g, i)->trail, k + 1), terms[k]);
    }
}

#define ASSERT_LOG(g, i, ...)                              \
    assert_log((g), (i), (const qr_term[]){ __VA_ARGS__ }, \
               (uint32_t)(sizeof((const qr_term[]){ __VA_ARGS__ }) / sizeof(qr_term)))

#endif
