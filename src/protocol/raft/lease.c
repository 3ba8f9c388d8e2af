/* Leader leases: dissertation 6.4.1, with promises that bind (design: reads and leases).
 *
 * A message of the leader asks for a lease of L. A follower that answers it promises not to vote
 * before its own clock has advanced by L stretched by the drift bound; the leader counts L shrunk
 * by the drift bound from the moment at which the answered message was sent. So while the leader
 * counts its lease, a majority refuses to elect another, and what it has committed is all there is.
 *
 * L1 The promise binds whether or not the connection to the leader is closed, towards every
 *    candidate, the node itself included. Only an election that the leader asked for voids it, and
 *    a leader asks only after the last lease that it answered reads under has ended (transfer.c).
 * L2 A node that starts has forgotten its promises: it votes for nobody for one lease. That is
 *    enough because it never promises more than its own limit. Who has no term has promised
 *    nothing: a promise travels after the term that it was given in is durable. So the first
 *    election of a group need not wait.
 * L3 A leader that is one no more still keeps faith with the reads it answered: see elect.c.
 * L4 Switching leases off needs no round: promises run out by themselves. */
#include "protocol/raft/state.h"

/* Real time passes for at least `span` on the true clock. */
static qr_time stretch(const struct raft *r, qr_time span)
{
    return span + span * (qr_time)r->limits.drift_percent / 100 + 1;
}

/* Real time passes for at most `span` on the true clock. */
static qr_time shrink(const struct raft *r, qr_time span)
{
    return span - span * (qr_time)r->limits.drift_percent / 100 - 1;
}

qr_time raft_promise(struct raft *r, qr_time lease)
{
    if (lease <= 0 || lease > r->limits.lease) {
        return 0; /* L2 */
    }
    qr_time until = r->now + stretch(r, lease);
    r->promise_until = later(r->promise_until, until);
    return lease;
}

void raft_promise_forgotten(struct raft *r)
{
    /* Alone there is nobody to have promised anything to. */
    bool none = raft_is_alone(r) || (r->term == 0 && !r->forgetful);
    r->promise_until = none ? r->now : r->now + stretch(r, r->limits.lease);
}

qr_time raft_lease_wanted(const struct raft *r)
{
    bool off = r->read_mode != READ_MODE_LEASE || r->lease_barred || r->transfer_to != NODE_NONE;
    return off ? 0 : r->limits.lease;
}

qr_time raft_lease_end(const struct raft *r)
{
    qr_assert(r->phase == PHASE_LEADER);
    if (raft_lease_wanted(r) == 0) {
        return 0;
    }
    uint64_t from[MEMBERS_MAX];
    for (uint32_t rest = membership_voters(&r->members.members); rest != 0; rest &= rest - 1) {
        node_index i = set_first(rest);
        from[i] = i == r->me ? (uint64_t)r->now : (uint64_t)r->peer[i].lease_from;
    }
    qr_time start = (qr_time)quorum_reached(from, &r->members.members);
    return start == 0 ? 0 : start + shrink(r, r->limits.lease);
}
