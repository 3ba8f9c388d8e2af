/* Wall clocks: keys expire by them (design: expiry by log time), so a node whose wall clock is far
 * off the majority's may not lead. No decision of Raft itself depends on them.
 *
 * Heartbeats and their answers carry the sender's wall clock. What travels takes time, so that the
 * other clock looks late by the way of a message: far below the bound of half a second.
 *
 * W1 A leader that is ahead of, or behind, a whole majority by more than skew_max hands over to the
 *    nearest clock on that side, so that a chain of hand-overs ends in the middle; when that does
 *    not succeed, it steps down, though not before an entry of its term is committed (X6).
 * W2 A node that knows itself to be off does not campaign, but not for ever: its knowledge is one
 *    leader's word, and that leader may be gone.
 * W3 A leader that knows itself to be off says so, by a wall clock of 0: its followers must not
 *    take themselves for the ones that are off.
 * W4 In a group that rests nobody says what time it is. There another group's word counts, which
 *    the driver passes on (ADMIN_SKEWED). It wakes a leader, which then hears the others' clocks
 *    (W1); a follower keeps from campaigns (W2), as long as it has a leader: once that is gone
 *    patience runs out as it does anywhere else. Whoever is alone has nobody to leave it to.
 *    A member whose clock is right, as the other group knows, hears that when its leader is lost:
 *    the last heartbeat may have waited here, or have come of the leader's own clock (W2). */
#include "protocol/raft/state.h"

/* How long a node that is off leaves elections to the others. */
static qr_time patience(const struct raft *r)
{
    return 4 * r->limits.election;
}

/* a - b in milliseconds, for any two clocks. */
static int32_t difference_ms(qr_wall a, qr_wall b)
{
    int64_t ms = (int64_t)((uint64_t)a - (uint64_t)b) / 1000;
    return (int32_t)(ms > INT32_MAX ? INT32_MAX : ms < -INT32_MAX ? -INT32_MAX : ms);
}

void raft_note_skew(struct raft *r, node_index from, qr_wall wall)
{
    qr_assert(from != r->me);
    r->peer[from].skew_ms = difference_ms(wall, r->wall);
}

void raft_compare_wall(struct raft *r, qr_wall leader_wall)
{
    int32_t ms = difference_ms(leader_wall, r->wall);
    bool off = leader_wall != 0 && (ms < 0 ? -ms : ms) > r->limits.skew_max / 1000;
    r->skewed_until = off ? r->now + patience(r) : 0; /* W2 */
}

void raft_on_skewed(struct raft *r, bool off)
{
    bool follows = r->phase == PHASE_FOLLOWER && r->leader != NODE_NONE && !r->leader_closed;
    bool new = r->term == 0 && !raft_is_alone(r);
    if (!off && r->phase != PHASE_LEADER) {
        r->skewed_until = 0;
    } else if (off && (follows || new)) {
        r->skewed_until = r->now + patience(r); /* W4 */
    }
}

bool raft_is_skewed(const struct raft *r, node_index i)
{
    int32_t ms = r->peer[i].skew_ms;
    return (ms < 0 ? -ms : ms) > r->limits.skew_max / 1000;
}

/* How far member i is on that side (1: ahead, -1: behind) of this node, by what it last said. */
static int64_t distance(const struct raft *r, node_index i, int side)
{
    return i == r->me ? 0 : (int64_t)side * r->peer[i].skew_ms * 1000;
}

/* The nearest lively member on that side when a majority is beyond the bound there; else
 * NODE_NONE. A leader with a quorum always has one: two majorities share a member. */
static node_index nearest_beyond(const struct raft *r, int side)
{
    node_index nearest = NODE_NONE;
    uint32_t beyond = 0;
    for (uint32_t rest = r->members.members.voters; rest != 0; rest &= rest - 1) {
        node_index i = set_first(rest);
        int64_t d = distance(r, i, side);
        if (d <= r->limits.skew_max) {
            continue;
        }
        beyond |= node_bit(i);
        if (raft_is_lively(r, i) && (nearest == NODE_NONE || d < distance(r, nearest, side))) {
            nearest = i;
        }
    }
    return quorum_of_set(beyond, r->members.members.voters) ? nearest : NODE_NONE;
}

void raft_yield_when_skewed(struct raft *r, struct effects *out)
{
    qr_assert(r->phase == PHASE_LEADER);
    node_index ahead = nearest_beyond(r, 1);
    node_index to = ahead != NODE_NONE ? ahead : nearest_beyond(r, -1);
    if (to == NODE_NONE || r->transfer_to != NODE_NONE) {
        return;
    }
    bool tried = r->now < r->skewed_until;
    effects_trace(out, POINT_SKEWED, r->term, to, tried);
    r->skewed_until = r->now + patience(r);
    if (tried && r->commit >= r->term_start) {            /* X6 */
        raft_become_follower(r, out, r->term, NODE_NONE); /* W1 */
    } else {
        raft_on_transfer(r, out, to, 0, 0);
    }
}
