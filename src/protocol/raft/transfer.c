/* Leadership transfer: dissertation 3.10.
 *
 * The leader stops taking operations, brings the target's log up to its own, and tells it to
 * campaign at once; the other members let that election pass although they hear a leader. After an
 * election time-out without success it goes on leading.
 *
 * X1 Leases are revoked first: from the order on no read is answered under one, and TIMEOUT_NOW
 *    leaves only when the last lease that was used has ended. After TIMEOUT_NOW this leadership
 *    uses no lease any more, even when the transfer is given up: the message, or the campaign that
 *    it causes, may arrive much later. */
#include "protocol/raft/state.h"

/* The member that is furthest, among those heard lately; ties go to the lowest index (P7). */
static node_index most_up_to_date(const struct raft *r)
{
    node_index best = NODE_NONE;
    for (uint32_t rest = r->members.members.voters; rest != 0; rest &= rest - 1) {
        node_index i = set_first(rest);
        const struct peer *p = &r->peer[i];
        bool lively = i != r->me && p->heard != 0 && r->now < p->heard + r->limits.election;
        if (lively && (best == NODE_NONE || p->match > r->peer[best].match)) {
            best = i;
        }
    }
    return best;
}

void raft_on_transfer(struct raft *r, struct effects *out, uint64_t argument)
{
    if (r->phase != PHASE_LEADER || r->transfer_to != NODE_NONE) {
        raft_trace(out, POINT_TRANSFER_REFUSED, argument, 0, 0);
        return;
    }
    node_index to = argument == NODE_NONE ? most_up_to_date(r) : (node_index)min_u64(argument, 255);
    bool votes = to < MEMBERS_MAX && (r->members.members.voters & raft_bit(to)) != 0;
    if (!votes || to == r->me) {
        raft_trace(out, POINT_TRANSFER_REFUSED, argument, 0, 0);
        return;
    }
    r->transfer_to = to;
    r->transfer_sent = false;
    r->transfer_due = r->now + r->limits.election;
    raft_trace(out, POINT_TRANSFER_BEGUN, to, 0, 0);
}

/* The target holds the whole log and no read can still be served under a lease. */
static bool is_ready(const struct raft *r)
{
    return r->peer[r->transfer_to].match == r->trail.last_slot && r->now >= r->lease_given;
}

void raft_transfer_proceed(struct raft *r, struct effects *out)
{
    qr_assert(r->phase == PHASE_LEADER);
    if (r->transfer_to == NODE_NONE) {
        return;
    }
    if (r->now >= r->transfer_due) {
        raft_trace(out, POINT_TRANSFER_GIVEN_UP, r->transfer_to, 0, 0);
        r->transfer_to = NODE_NONE;
        return;
    }
    if (r->transfer_sent || !is_ready(r)) {
        return;
    }
    struct raft_timeout_now *m = RAFT_SEND(out, r->transfer_to, TIMEOUT_NOW, timeout_now, 0);
    m->term = r->term;
    r->transfer_sent = true;
    r->lease_barred = true; /* X1 */
    raft_trace(out, POINT_TRANSFER_SENT, r->transfer_to, 0, 0);
}

qr_time raft_transfer_deadline(const struct raft *r)
{
    if (r->transfer_to == NODE_NONE) {
        return QR_NEVER;
    }
    bool waits_for_lease = !r->transfer_sent && r->now < r->lease_given &&
                           r->peer[r->transfer_to].match == r->trail.last_slot;
    return waits_for_lease && r->lease_given < r->transfer_due ? r->lease_given : r->transfer_due;
}

void raft_on_timeout_now(struct raft *r, struct effects *out, node_index from,
                         const struct raft_timeout_now *m)
{
    if (!raft_follow(r, out, from, m->term) || r->forgetful) {
        return;
    }
    if (!trail_has_room(&r->trail, r->term + 1, r->commit)) {
        raft_trace(out, POINT_TRAIL_FULL, r->term + 1, 0, 0);
        return;
    }
    raft_trace(out, POINT_TIMEOUT_NOW, from, m->term, 0);
    raft_begin_election(r, out, true); /* no question first: the leader has asked for it */
}
