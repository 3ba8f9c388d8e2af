/* What tests of changes of the members share: sets, and a group in which some nodes wait. */
#ifndef TESTS_UNIT_PROTOCOL_MEMBERS_H
#define TESTS_UNIT_PROTOCOL_MEMBERS_H

#include "tests/unit/protocol/group.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#define SET(...) set_of((const node_index[]){ __VA_ARGS__ }, sizeof((node_index[]){ __VA_ARGS__ }))

static inline uint16_t set_of(const node_index *v, size_t n)
{
    uint16_t set = 0;
    for (size_t i = 0; i < n; i++) {
        set |= node_bit(v[i]);
    }
    return set;
}

static inline struct membership voters_of(uint16_t set)
{
    return (struct membership){ .voters = set };
}

static inline void assert_members(struct group *g, node_index i, struct membership expected)
{
    struct membership m = group_members(g, i);
    assert_int_equal(m.voters, expected.voters);
    assert_int_equal(m.outgoing, expected.outgoing);
    assert_int_equal(m.learners, expected.learners);
    assert_int_equal(m.observers, expected.observers);
}

/* Changes and waits until it is over. */
static inline void change(struct group *g, node_index leader, struct membership wanted)
{
    qr_req req = group_change(g, leader, wanted, true);
    group_elapse(g, 30 * QR_MILLISECOND);
    assert_int_equal(group_answer(g, leader, req), STATUS_OK);
}

static inline node_index leader_of(struct group *g)
{
    node_index leader = NODE_NONE;
    for (node_index i = 0; i < g->n; i++) {
        const struct raft *r = group_raft(g, i);
        if (g->node[i].up && r->phase == PHASE_LEADER &&
            (leader == NODE_NONE || r->term > group_raft(g, leader)->term)) {
            leader = i;
        }
    }
    return leader;
}

static inline void assert_no_answer(struct group *g, node_index i, qr_req req)
{
    assert_int_equal(group_answer(g, i, req), -1);
}

/* Every node that takes part holds the same committed log and the same members. */
static inline void assert_agreement(struct group *g)
{
    node_index leader = leader_of(g);
    assert_int_not_equal(leader, NODE_NONE);
    struct membership m = group_members(g, leader);
    qr_slot commit = group_raft(g, leader)->commit;
    for (uint32_t rest = membership_all(&m); rest != 0; rest &= rest - 1) {
        node_index i = set_first(rest);
        if (!g->node[i].up) {
            continue;
        }
        assert_members(g, i, m);
        assert_int_equal(g->node[i].applied, commit);
        for (qr_slot s = g->node[i].log.base + 1; s <= commit; s++) {
            assert_int_equal(g->node[i].log.entry[s].term, g->node[leader].log.entry[s].term);
            assert_int_equal(g->node[i].log.entry[s].req, g->node[leader].log.entry[s].req);
        }
    }
}

#endif
