/* Leadership transfer: dissertation 3.10.
 *
 * The leader stops taking operations, brings the target's log up to its own, and tells it to
 * campaign at once; the other members let that election pass although they hear a leader. After an
 * election time-out without success it goes on leading.
 *
 * X1 Leases are revoked first: from the order on no read is answered under one, and TIMEOUT_NOW
 *    leaves only when the last lease that was used has ended. After TIMEOUT_NOW this leadership
 *    uses no lease any more, even when the transfer is given up: the message, or the campaign that
 *    it causes, may arrive much later.
 * X2 Operations are taken until the target is near, so that the pause is one exchange long and not
 *    as long as the target is behind.
 * X3 The order is answered when somebody leads: OK by another's first word, HANDOVER when this node
 *    leads still, or again, or nobody does in time.
 * X4 A node that stands back (its driver does not trust its state) neither campaigns nor takes
 *    over. It votes and persists like any other: the group's safety and majority need it. As leader
 *    it hands over, and steps down when that does not succeed.
 * X5 Once operations are held back nothing at all is appended: behind an entry that the target does
 *    not have when it campaigns, nobody would vote for it.
 * X6 A leader hands over once an entry of its own term is committed. Members that hand leadership
 *    on and on would otherwise log term after term without a commit, and soon so many that nobody
 *    can campaign any more (trail.h, T3).
 * X7 Nor does it behind so many terms that the last checkpoint does not hold: hand-overs may follow
 *    each other within milliseconds, and after a start of all nodes the checkpoint alone says what
 *    was committed (trail.h, T3). */
#include "protocol/raft/state.h"

#define TRANSFER_TERMS_MAX 100u /* twice as many as make a checkpoint due */

/* Ties go to the lowest index (P7). */
node_index raft_successor(const struct raft *r)
{
    node_index best = NODE_NONE;
    for (uint32_t rest = r->members.members.voters; rest != 0; rest &= rest - 1) {
        node_index i = set_first(rest);
        bool able = i != r->me && raft_is_lively(r, i) && raft_counts(r, i);
        if (able && (best == NODE_NONE || r->peer[i].match > r->peer[best].match)) {
            best = i;
        }
    }
    return best;
}

static bool is_voter(const struct raft *r, node_index i)
{
    return i < MEMBERS_MAX && (r->members.members.voters & node_bit(i)) != 0;
}

static enum qr_status judge(const struct raft *r, node_index to)
{
    if (r->phase != PHASE_LEADER) {
        return STATUS_NOT_LEADER;
    }
    if (r->transfer_to != NODE_NONE) {
        return STATUS_HANDING_OVER;
    }
    if (!is_voter(r, to) || to == r->me || !raft_counts(r, to)) {
        return STATUS_NOT_A_VOTER;
    }
    bool many = trail_runs_behind(&r->trail, r->checkpoint) >= TRANSFER_TERMS_MAX; /* X7 */
    return many ? STATUS_HANDOVER : STATUS_OK;
}

void raft_transfer_over(struct raft *r, struct effects *out, enum qr_status status)
{
    effects_answer(out, r->transfer_req, 1, status);
    r->transfer_req = 0;
}

static void give_up(struct raft *r, struct effects *out)
{
    qr_assert(r->transfer_to != NODE_NONE);
    effects_trace(out, POINT_TRANSFER_GIVEN_UP, r->transfer_to, 0, 0);
    r->transfer_to = NODE_NONE;
    r->transfer_closed = false;
    raft_transfer_over(r, out, STATUS_HANDOVER);
}

void raft_on_transfer(struct raft *r, struct effects *out, uint64_t argument, qr_time timeout,
                      qr_req req)
{
    node_index to = (node_index)min_u64(argument, NODE_NONE);
    if (to == NODE_NONE && r->phase == PHASE_LEADER) {
        to = raft_successor(r);
    }
    if (to == r->me && r->transfer_to != NODE_NONE) {
        qr_assert(r->phase == PHASE_LEADER);
        give_up(r, out);
        effects_answer(out, req, 1, STATUS_OK);
        return;
    }
    enum qr_status status = judge(r, to);
    if (status != STATUS_OK) {
        effects_trace(out, POINT_TRANSFER_REFUSED, argument, 0, 0);
        effects_answer(out, req, 1, status);
        return;
    }
    qr_assert(r->transfer_req == 0);
    r->transfer_to = to;
    r->transfer_sent = false;
    r->transfer_closed = false;
    r->transfer_due = r->now + (timeout > 0 ? timeout : r->limits.election);
    r->transfer_req = req;
    effects_trace(out, POINT_TRANSFER_BEGUN, to, 0, 0);
}

void raft_transfer_recheck(struct raft *r, struct effects *out)
{
    if (r->transfer_to != NODE_NONE && !is_voter(r, r->transfer_to)) {
        give_up(r, out);
    }
}

/* What the target lacks may be under way to it, and no read can still be served under a lease. */
static bool is_near(const struct raft *r)
{
    const struct peer *p = &r->peer[r->transfer_to];
    uint64_t window = (uint64_t)r->limits.append_entries * r->limits.appends_in_flight;
    return r->trail.last_slot - p->match <= window && r->now >= r->lease_given;
}

void raft_transfer_proceed(struct raft *r, struct effects *out)
{
    qr_assert(r->phase == PHASE_LEADER);
    if (r->transfer_to == NODE_NONE) {
        return;
    }
    if (r->now >= r->transfer_due) {
        give_up(r, out);
        return;
    }
    r->transfer_closed = r->transfer_closed || is_near(r); /* X2 */
    bool ready = r->transfer_closed && r->peer[r->transfer_to].match == r->trail.last_slot &&
                 r->commit >= r->term_start; /* X6 */
    if (r->transfer_sent || !ready) {
        return;
    }
    struct raft_timeout_now *m = RAFT_SEND(out, r->transfer_to, TIMEOUT_NOW, timeout_now, 0);
    m->term = r->term;
    r->transfer_sent = true;
    r->lease_barred = true; /* X1 */
    effects_trace(out, POINT_TRANSFER_SENT, r->transfer_to, 0, 0);
}

qr_time raft_transfer_deadline(const struct raft *r)
{
    if (r->transfer_to == NODE_NONE && r->transfer_req == 0) {
        return QR_NEVER;
    }
    bool waits_for_lease = r->transfer_to != NODE_NONE && r->now < r->lease_given;
    return waits_for_lease && r->lease_given < r->transfer_due ? r->lease_given : r->transfer_due;
}

void raft_on_timeout_now(struct raft *r, struct effects *out, node_index from,
                         const struct raft_timeout_now *m)
{
    if (!raft_follow(r, out, from, m->term) || r->forgetful) {
        return;
    }
    if (!trail_has_room(&r->trail, r->trail.last_slot + 1, r->term + 1, r->commit)) {
        effects_trace(out, POINT_TRAIL_FULL, r->term + 1, 0, 0);
        return;
    }
    if (!raft_may_lead(r)) {
        effects_trace(out, POINT_NO_VOTER, from, 0, 0);
        return;
    }
    if (r->stands_back) {
        effects_trace(out, POINT_STANDS_BACK, 1, from, 0); /* X4 */
        return;
    }
    effects_trace(out, POINT_TIMEOUT_NOW, from, m->term, 0);
    raft_begin_election(r, out, true); /* no question first: the leader has asked for it */
}

/* --- Standing back -------------------------------------------------------------------------- */

void raft_on_stand_back(struct raft *r, struct effects *out, bool on)
{
    effects_trace(out, POINT_STANDS_BACK, on, r->me, 0);
    r->stands_back = on;
    if (on && r->phase == PHASE_LEADER) {
        raft_yield_when_standing_back(r, out);
    } else if (on && r->phase != PHASE_FOLLOWER) {
        raft_become_follower(r, out, r->term, NODE_NONE); /* what it has asked for is void */
    }
}

void raft_yield_when_standing_back(struct raft *r, struct effects *out)
{
    qr_assert(r->phase == PHASE_LEADER);
    if (!r->stands_back || r->transfer_to != NODE_NONE || raft_is_alone(r)) {
        return; /* alone there is nobody else to lead */
    }
    if (r->stood_back) {
        raft_become_follower(r, out, r->term, NODE_NONE);
        return;
    }
    node_index to = raft_successor(r);
    if (to != NODE_NONE) {
        r->stood_back = true;
        raft_on_transfer(r, out, to, 0, 0);
    }
}
