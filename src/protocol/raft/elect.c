/* Elections: Raft paper 5.2 and 5.4.1, with PreVote and the stickiness of a living leader
 * (dissertation 4.2.3 and 9.6).
 *
 *   FOLLOWER --time-out or closed connection--> PRECANDIDATE --majority would--> CANDIDATE
 *      ^                                              |                              |
 *      +---- a leader is heard, a higher term --------+------------------------------+
 *                                                          majority did --> LEADER (replicate.c)
 *
 * E1 A node votes for one candidate in a term, and the vote is durable before it leaves: its own
 *    vote counts from DURABLE, a granted one travels `after` its ticket.
 * E2 A vote goes only to a candidate whose log is at least as up to date (5.4.1).
 * E3 A node in touch with a living leader ignores elections, and so does one whose lease promise
 *    has not ended (lease.c); only an election that the leader itself asked for passes (3.10).
 * E4 A campaign claims only durable entries: VOTE leaves after everything written before it. A
 *    candidate that lost its claimed tail in a crash could otherwise win with the old votes.
 * E5 Members hear of a closed connection one after the other, and whoever has not yet is in touch
 *    and gives no answer. So behind a closed connection a question is soon asked again, for one
 *    election time-out, and a rival that has to wait is asked at once: it has heard by now.
 * E6 Time-outs that are too short for network and disks (3.9) give one leader after the other, each
 *    of which leaves an entry in logs and commits nothing. Behind so many of them that the trail
 *    could become full (trail.h: T3) time-outs grow, here and of CheckQuorum, until one of these
 *    leaders has the time that it needs. Nobody's safety hangs on these two: stickiness and leases
 *    go by the time-out as it was set. */
#include "protocol/raft/state.h"

#define VAIN_USUAL 64u /* a log that is read at a start may have as many, and nobody knows better */
#define VAIN_STEP 8u   /* so many more: once more as long */

qr_time raft_election_span(const struct raft *r)
{
    uint32_t vain = trail_runs_behind(&r->trail, r->commit);
    uint32_t more = vain > VAIN_USUAL ? (vain - VAIN_USUAL) / VAIN_STEP : 0;
    return r->limits.election * (1 + (qr_time)more);
}

void raft_election_reset(struct raft *r)
{
    qr_time span = raft_election_span(r);
    r->election_due = r->now + span + (qr_time)rng_below(&r->rng, (uint64_t)span);
}

qr_time raft_campaign_at(const struct raft *r)
{
    if (r->quiet || r->forgetful || r->stands_back || !raft_may_lead(r)) { /* Q1, X4 */
        return QR_NEVER;
    }
    /* A campaign is a vote for oneself: the promise not to vote forbids it too. */
    return later(later(r->election_due, r->promise_until), r->skewed_until); /* W2 */
}

/* ADMIN_CALL: what the driver knows in advance, a group that was just made above all, need not be
 * found out by waiting. It moves the time-out and nothing else: what comes is asked for first, and
 * is barred by whatever bars a campaign. */
void raft_on_call(struct raft *r, struct effects *out)
{
    bool led = r->leader != NODE_NONE && !r->leader_closed;
    if (led || r->phase == PHASE_LEADER || r->phase == PHASE_CANDIDATE) {
        return; /* it is known who leads, or the votes are on their way */
    }
    effects_trace(out, POINT_ASKED_TO_CALL, r->term, 0, 0);
    r->election_due = earlier(r->election_due, r->now);
}

bool raft_in_touch(const struct raft *r)
{
    if (r->phase == PHASE_LEADER) {
        return true; /* without a quorum it steps down by itself: CheckQuorum */
    }
    return r->leader != NODE_NONE && !r->leader_closed &&
           r->now < r->leader_heard + r->limits.election;
}

/* 5.4.1: the log with the later last term is more up to date, then the longer one. */
static int compare_log(const struct raft *r, qr_term last_term, qr_slot last_slot)
{
    bool new = r->trail.last_slot < r->joined_slot; /* M3 */
    qr_term own_term = new ? r->joined_term : trail_last_term(&r->trail);
    qr_slot own_slot = new ? r->joined_slot : r->trail.last_slot;
    if (last_term != own_term) {
        return last_term > own_term ? 1 : -1;
    }
    if (last_slot != own_slot) {
        return last_slot > own_slot ? 1 : -1;
    }
    return 0;
}

/* Leadership ends: what only a leader may do ends with it. */
static void leave_leadership(struct raft *r, struct effects *out)
{
    effects_trace(out, POINT_STEPPED_DOWN, r->term, 0, 0);
    raft_refuse_reads(r, out);
    raft_change_leave(r, out);
    r->transfer_to = NODE_NONE; /* whoever waits for it hears when somebody leads */
    r->transfer_closed = false;
    /* Reads answered under a lease may still be served: no vote for another before they cannot. */
    r->promise_until = later(r->promise_until, r->lease_given);
}

void raft_become_follower(struct raft *r, struct effects *out, qr_term term, node_index leader)
{
    qr_assert(term >= r->term);
    qr_assert(leader != r->me);
    if (r->phase == PHASE_LEADER) {
        leave_leadership(r, out);
        raft_election_reset(r);
    } else if (term > r->term || leader != r->leader) {
        raft_refuse_reads(r, out);
    }
    if (term > r->term) {
        effects_trace(out, POINT_TERM_RAISED, r->term, term, 0);
        r->term = term;
        r->vote = NODE_NONE;
        r->state_dirty = true;
        r->matched = 0;
    }
    if (leader != NODE_NONE) {
        raft_match_own_term(r);
        effects_trace(out, POINT_FOLLOWS, term, leader, 0);
        raft_transfer_over(r, out, STATUS_OK);
    }
    r->phase = PHASE_FOLLOWER;
    r->leader = leader;
    r->leader_closed = false;
    r->quiet = false;
    r->hush_since = 0;
    r->called = r->called && leader == NODE_NONE;
}

/* Whom a candidate asks. */
static uint16_t electorate(const struct raft *r)
{
    return (uint16_t)(membership_voters(&r->members.members) & ~node_bit(r->me));
}

/* --- Asking first --------------------------------------------------------------------------- */

static void ask(const struct raft *r, struct effects *out, node_index to)
{
    struct raft_prevote *m = RAFT_SEND(out, to, PREVOTE, prevote, 0);
    m->term = r->term + 1;
    m->last_slot = r->trail.last_slot;
    m->last_term = trail_last_term(&r->trail);
}

/* E5 */
static void ask_again_soon(struct raft *r)
{
    qr_time wait = r->limits.heartbeat;
    if (r->leader_closed && r->now + 2 * wait < r->closed_until) {
        qr_time soon = r->now + wait + (qr_time)rng_below(&r->rng, (uint64_t)wait);
        r->election_due = earlier(r->election_due, soon);
    }
}

void raft_begin_prevote(struct raft *r, struct effects *out)
{
    qr_assert(r->phase != PHASE_LEADER);
    qr_assert(!r->forgetful);
    raft_election_reset(r);
    if (!trail_has_room(&r->trail, r->trail.last_slot + 1, r->term + 1, r->commit)) {
        effects_trace(out, POINT_TRAIL_FULL, r->term + 1, 0, 0);
        return; /* its first entry would not fit; another member's log may be shorter */
    }
    effects_trace(out, POINT_PREVOTE_BEGUN, r->term + 1, 0, 0);
    raft_refuse_reads(r, out);
    r->phase = PHASE_PRECANDIDATE;
    r->leader = NODE_NONE;
    r->votes = node_bit(r->me);
    r->rival_until = r->now + r->limits.heartbeat;
    ask_again_soon(r);
    for (uint32_t rest = electorate(r); rest != 0; rest &= rest - 1) {
        ask(r, out, set_first(rest));
    }
    if (quorum_of(r->votes, &r->members.members)) {
        raft_begin_election(r, out, false);
    }
}

/* Whether a PREVOTE would get this node's vote. It binds nobody, but it follows the same rules, so
 * that a node that cannot win disturbs nobody. */
static bool would_vote(const struct raft *r, node_index from, const struct raft_prevote *m)
{
    int order = compare_log(r, m->last_term, m->last_slot);
    if (m->term <= r->term || order < 0) {
        return false;
    }
    /* Two that ask at the same moment would each vote for themselves: one of them gives way. For a
     * short time only, or a node that nobody hears could refuse its rivals for ever. */
    bool rivals = r->phase == PHASE_PRECANDIDATE && r->now < r->rival_until;
    return !rivals || order > 0 || from < r->me;
}

/* M4: it lacks what this log has, and takes this node for a voter. */
static void hear_call(struct raft *r, struct effects *out, node_index from)
{
    if (!r->called && (r->members.members.learners & node_bit(r->me)) != 0) {
        effects_trace(out, POINT_CALLED, from, r->trail.last_slot, 0);
        r->called = true;
        raft_election_reset(r);
    }
}

void raft_on_prevote(struct raft *r, struct effects *out, node_index from,
                     const struct raft_prevote *m)
{
    if (raft_in_touch(r)) {
        effects_trace(out, POINT_VOTE_IGNORED_LEADER, m->term, from, 0); /* E3 */
        return;
    }
    if (r->now < r->promise_until) {
        effects_trace(out, POINT_VOTE_IGNORED_PROMISE, m->term, from, 0); /* E3 */
        return;
    }
    bool granted = would_vote(r, from, m);
    effects_trace(out, granted ? POINT_PREVOTE_GRANTED : POINT_PREVOTE_REFUSED, m->term, from, 0);
    if (granted) {
        if (r->phase == PHASE_PRECANDIDATE) {
            effects_trace(out, POINT_RIVALS, from, 0, 0);
            r->phase = PHASE_FOLLOWER;
        }
        /* It goes first: an own campaign that is just due would split the vote. */
        qr_time wait = r->limits.heartbeat;
        qr_time soon = r->now + wait + (qr_time)rng_below(&r->rng, (uint64_t)wait);
        r->election_due = later(r->election_due, soon);
    } else if (compare_log(r, m->last_term, m->last_slot) < 0) {
        hear_call(r, out, from);
    }
    struct raft_prevote_reply *reply =
        RAFT_SEND(out, from, PREVOTE_REPLY, prevote_reply, raft_ticket(r, out, 0));
    reply->term = granted ? m->term : r->term;
    reply->granted = granted;
    if (!granted && r->phase == PHASE_PRECANDIDATE && m->term > r->term) {
        ask(r, out, from); /* E5: of two one has the better log, or goes first, and gets its vote */
    }
}

void raft_on_prevote_reply(struct raft *r, struct effects *out, node_index from,
                           const struct raft_prevote_reply *m)
{
    if (!m->granted) {
        r->rival_until = r->now; /* refused: no claim to go first any more */
        if (m->term > r->term) {
            raft_become_follower(r, out, m->term, NODE_NONE);
        }
        return;
    }
    if (r->phase != PHASE_PRECANDIDATE || m->term != r->term + 1) {
        return; /* of an earlier question */
    }
    r->votes |= node_bit(from);
    if (quorum_of(r->votes, &r->members.members)) {
        raft_begin_election(r, out, false);
    }
}

/* --- Voting --------------------------------------------------------------------------------- */

void raft_begin_election(struct raft *r, struct effects *out, bool transfer)
{
    qr_assert(r->phase != PHASE_LEADER);
    qr_assert(!r->forgetful);
    raft_refuse_reads(r, out);
    r->term++;
    r->vote = r->me;
    r->state_dirty = true;
    r->matched = 0;
    r->phase = PHASE_CANDIDATE;
    r->leader = NODE_NONE;
    r->votes = 0; /* the own vote counts when it is durable: E1 */
    raft_election_reset(r);
    effects_trace(out, POINT_ELECTION_BEGUN, r->term, 0, 0);
    raft_persist_state(r, out);
    r->vote_ticket = r->state_ticket;
    for (uint32_t rest = electorate(r); rest != 0; rest &= rest - 1) {
        node_index to = set_first(rest);
        struct raft_vote *m = RAFT_SEND(out, to, VOTE, vote, r->vote_ticket); /* E4 */
        m->term = r->term;
        m->last_slot = r->trail.last_slot;
        m->last_term = trail_last_term(&r->trail);
        m->transfer = transfer;
    }
}

static void count_vote(struct raft *r, struct effects *out, node_index voter)
{
    qr_assert(r->phase == PHASE_CANDIDATE);
    r->votes |= node_bit(voter);
    if (quorum_of(r->votes, &r->members.members)) {
        raft_become_leader(r, out);
    }
}

void raft_count_own_vote(struct raft *r, struct effects *out)
{
    if (r->phase == PHASE_CANDIDATE && r->journal.durable >= r->vote_ticket) {
        qr_assert(r->vote == r->me);
        count_vote(r, out, r->me);
    }
}

static void reply_vote(struct raft *r, struct effects *out, node_index to, bool granted)
{
    qr_ticket after = raft_ticket(r, out, 0); /* E1 */
    struct raft_vote_reply *reply = RAFT_SEND(out, to, VOTE_REPLY, vote_reply, after);
    reply->term = r->term;
    reply->granted = granted;
}

/* RequestVote, receiver's rules of figure 2. */
void raft_on_vote(struct raft *r, struct effects *out, node_index from, const struct raft_vote *m)
{
    if (!m->transfer && raft_in_touch(r)) {
        effects_trace(out, POINT_VOTE_IGNORED_LEADER, m->term, from, 0); /* E3 */
        return;
    }
    if (!m->transfer && r->now < r->promise_until) {
        effects_trace(out, POINT_VOTE_IGNORED_PROMISE, m->term, from, 0); /* E3 */
        return;
    }
    if (m->term > r->term) {
        raft_become_follower(r, out, m->term, NODE_NONE);
    }
    if (m->term < r->term) {
        reply_vote(r, out, from, false);
        return;
    }
    if (r->vote != NODE_NONE && r->vote != from) {
        effects_trace(out, POINT_VOTE_REFUSED_TAKEN, r->term, from, r->vote); /* E1 */
        reply_vote(r, out, from, false);
        return;
    }
    if (compare_log(r, m->last_term, m->last_slot) < 0) {
        effects_trace(out, POINT_VOTE_REFUSED_LOG, r->term, from, 0); /* E2 */
        reply_vote(r, out, from, false);
        return;
    }
    effects_trace(out, POINT_VOTE_GRANTED, r->term, from, 0);
    r->state_dirty = r->state_dirty || r->vote != from;
    r->vote = from;
    r->phase = PHASE_FOLLOWER; /* a question of its own is settled */
    raft_election_reset(r);
    reply_vote(r, out, from, true);
}

void raft_on_vote_reply(struct raft *r, struct effects *out, node_index from,
                        const struct raft_vote_reply *m)
{
    if (m->term > r->term) {
        raft_become_follower(r, out, m->term, NODE_NONE);
        return;
    }
    bool asked = r->journal.durable >= r->vote_ticket; /* VOTE has left: E4 */
    if (r->phase == PHASE_CANDIDATE && m->term == r->term && m->granted && asked) {
        count_vote(r, out, from);
    }
}
