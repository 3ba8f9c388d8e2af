/* Groups that rest. A node holds thousands of groups of which most are idle; a heartbeat and a
 * timer for each would be all it does. So the leader of an idle group says QUIET, and from then on
 * nobody has a timer: that the leader lives is concluded from its node, which beats once for all
 * its groups (EVENT_PEER).
 *
 *   leader, idle for quiet_after             member
 *     QUIET commit          ---------->      holds the log up to there, and nothing behind it:
 *                           <----------      rests, QUIET_ACK
 *     all that are here have answered:
 *     rests
 *
 * Rest takes timers away and gives nothing: no vote, no lease, no entry depends on it. A group that
 * rests is at any moment in a state that it could be in just as well with slow clocks and a slow
 * network. What must be shown is that nobody rests for ever who should not.
 *
 * Q1 Who rests has no deadline. A follower that rests is in touch with its leader (E3) as long as
 *    the leader's node is up; when it is told otherwise it campaigns soon, as behind any closed
 *    connection. The driver owes that word whenever the node is silent for an election time-out
 *    (a process that hangs with open connections as well), and whenever its process is another one.
 *    Nobody is up until that is told: who was never told anything does not rest.
 * Q2 A leader rests only with nothing open: the log committed, durable and in the hands of every
 *    member, no read, no hand-over, no change of the members and nobody who leaves; no learners,
 *    whose rounds need heartbeats; nobody forgetful, who needs its barrier; no snapshot under way;
 *    not while it stands back or its wall clock is off. Members whose nodes are away are excused as
 *    long as the others are a quorum, or one dead node would keep all groups awake. They are
 *    awaited: when such a node is up again the leader wakes and brings it what it lacks.
 * Q3 A member answers QUIET only when it holds all there is, durably, is not forgetful and has no
 *    reads that wait; else it answers as to a heartbeat. QUIET is repeated until all have answered:
 *    a member that missed it keeps the leader awake, not itself alone.
 * Q4 Whatever else arrives wakes: a message, whoever sent it, a read, and at the leader an
 *    operation or an order. (Who asks the leader for a read has timers: it may lead no more.) To be
 *    awake is always safe, and who is awake for nothing finds the way back. Only echoes do not
 *    wake: answers that bring nothing new, and what the leader sent before the QUIET. Whoever is
 *    woken by another than the leader counts an election time-out from there before it takes the
 *    leader for lost: a node that is alone in its trouble disturbs nobody.
 * Q5 A leader that wakes beats at once. Silence counts from there, both against the leader
 *    (CheckQuorum) and against its members. Leases have run out meanwhile; they are counted from
 *    messages, so that no rest prolongs one, and a read that comes first waits for a round: a
 *    deposed leader that rests and does not know it answers nothing.
 * Q6 A leader that leads no more, while members rest that trust in it, speaks: it campaigns, and so
 *    wakes all whom it reaches, or follows a later leader, who speaks to all members itself and
 *    rests only when they have answered. It may be barred from campaigning, or have started anew
 *    with less than it had. So whoever knows no leader and may not campaign says WAKE once in an
 *    election time-out. That ends with the next leader; a node that knows that it is no member says
 *    nothing: the entry that says so has woken a majority. */
#include "protocol/raft/state.h"

static void wake(struct raft *r, struct effects *out)
{
    r->hush_since = 0;
    if (!r->quiet) {
        return;
    }
    effects_trace(out, POINT_WOKEN, r->term, 0, 0);
    r->quiet = false;
    if (r->phase == PHASE_LEADER) {
        r->woken = r->now; /* Q5 */
        r->patient_from = r->now;
        r->heartbeat_due = r->now;
    } else {
        r->leader_heard = r->now; /* Q4 */
        raft_election_reset(r);
    }
}

/* The leader and all members that are not away. */
static uint32_t present(const struct raft *r)
{
    return (uint32_t)(r->feed & ~r->away) | node_bit(r->me);
}

/* --- What wakes (Q4) ------------------------------------------------------------------------ */

/* An answer to this leader that tells nothing new. */
static bool is_echo(const struct raft *r, node_index from, const struct message *message)
{
    const struct raft_append_ack *ack = message->body;
    const struct raft_heartbeat_ack *beat = message->body;
    if (*(const qr_term *)message->body != r->term || (r->feed & node_bit(from)) == 0) {
        return false;
    }
    switch (message->kind) {
    case RAFT_APPEND_ACK:
        return ack->match <= r->peer[from].match;
    case RAFT_HEARTBEAT_ACK:
        return beat->matched;
    case RAFT_QUIET_ACK:
        return true;
    }
    return false;
}

/* What the leader whom it trusts says, and QUIET itself. */
static bool is_of_old(const struct raft *r, node_index from, const struct message *message)
{
    if (from != r->leader || *(const qr_term *)message->body != r->term) {
        return false;
    }
    const struct raft_heartbeat *beat = message->body;
    const struct raft_append *append = message->body;
    switch (message->kind) {
    case RAFT_QUIET:
        return ((const struct raft_quiet *)message->body)->commit == r->commit;
    case RAFT_HEARTBEAT:
        return beat->sent < r->hush_since;
    case RAFT_APPEND:
        return append->sent < r->hush_since;
    case RAFT_READ_AT:
        return true; /* nobody waits for it any more */
    }
    return false;
}

static bool stirs_leader(const struct raft *r, const struct event *event)
{
    node_index node = event->peer.node;
    switch (event->kind) {
    case EVENT_SUBMIT:
    case EVENT_READ:
    case EVENT_ADMIN:
    case EVENT_OFFER:
        return true;
    case EVENT_RECEIVE:
        node = event->receive.from;
        return node < MEMBERS_MAX && !is_echo(r, node, &event->receive.message);
    case EVENT_PEER:
        if (node < MEMBERS_MAX && event->peer.up) {
            return (r->feed & node_bit(node)) != 0; /* Q2: it may lack something */
        }
        return !quorum_of(present(r), &r->members.members); /* Q2: CheckQuorum shall look */
    default:
        return false;
    }
}

static bool stirs_follower(const struct raft *r, const struct event *event)
{
    switch (event->kind) {
    case EVENT_OFFER:
    case EVENT_READ:
        return true;
    case EVENT_RECEIVE:
        return !is_of_old(r, event->receive.from, &event->receive.message);
    case EVENT_PEER:
        return !event->peer.up && event->peer.node == r->leader; /* Q1 */
    default:
        return false; /* operations and orders are the leader's matter, who wakes all */
    }
}

static void note_peer(struct raft *r, node_index node, bool up)
{
    if (node < MEMBERS_MAX && node != r->me) {
        uint16_t others = (uint16_t)(r->away & ~node_bit(node));
        r->away = (uint16_t)(up ? others : others | node_bit(node));
    }
}

/* What is sent for it goes to all and wakes them too. */
static bool speaks_to_all(const struct event *event)
{
    bool asked = event->kind == EVENT_RECEIVE && event->receive.message.kind == RAFT_READ_ASK;
    return asked || event->kind == EVENT_SUBMIT || event->kind == EVENT_READ;
}

void raft_quiet_notice(struct raft *r, struct effects *out, const struct event *event)
{
    if (event->kind == EVENT_PEER) {
        note_peer(r, event->peer.node, event->peer.up);
    }
    if (r->phase == PHASE_LEADER && stirs_leader(r, event)) {
        r->active = r->now;
        bool rested = r->quiet;
        wake(r, out);
        if (rested && speaks_to_all(event)) {
            r->heartbeat_due = r->now + r->limits.heartbeat;
            r->beaten = r->now;
        }
    } else if (r->phase != PHASE_LEADER && r->quiet && stirs_follower(r, event)) {
        wake(r, out);
    }
}

/* --- The leader ----------------------------------------------------------------------------- */

static bool holds_all(const struct raft *r, node_index i)
{
    const struct peer *p = &r->peer[i];
    return p->mode == PEER_REPLICATE && p->match == r->trail.last_slot &&
           p->recovery == RECOVERY_NONE;
}

bool raft_may_rest(const struct raft *r)
{
    qr_assert(r->phase == PHASE_LEADER);
    if (r->limits.quiet_after == 0 || r->now < r->active + r->limits.quiet_after) {
        return false;
    }
    bool log_open = r->commit < r->trail.last_slot || r->journal.durable_slot < r->commit;
    bool asked = r->read_count > 0 || r->transfer_to != NODE_NONE || r->transfer_req != 0;
    bool changes = !raft_change_rests(r) || r->members.members.learners != 0;
    bool off = r->stands_back || r->now < r->skewed_until;
    if (log_open || asked || changes || off || !quorum_of(present(r), &r->members.members)) {
        return false;
    }
    for (uint32_t rest = r->feed & ~r->away; rest != 0; rest &= rest - 1) {
        if (!holds_all(r, set_first(rest))) {
            return false;
        }
    }
    return true;
}

/* All that are here have answered: nobody needs the timers any more. */
static void rest_when_answered(struct raft *r, struct effects *out)
{
    uint32_t awaited = r->feed & ~(r->away | r->hushed); /* Q3 */
    if (awaited == 0 && raft_may_rest(r)) {
        effects_trace(out, POINT_QUIET, r->term, r->commit, r->away & r->feed);
        r->quiet = true;
    }
}

void raft_hush(struct raft *r, struct effects *out)
{
    r->heartbeat_due = r->now + r->limits.heartbeat;
    r->floor = max_u64(r->floor, raft_floor(r));
    if (r->hush_since == 0) {
        r->hush_since = r->now;
        r->hushed = 0;
    }
    for (uint32_t rest = r->feed; rest != 0; rest &= rest - 1) {
        struct raft_quiet *m = RAFT_SEND(out, set_first(rest), QUIET, quiet, 0);
        m->term = r->term;
        m->commit = r->commit;
        m->floor = r->floor;
        m->sent = r->now;
    }
    rest_when_answered(r, out); /* it may be that nobody else is here */
}

void raft_on_quiet_ack(struct raft *r, struct effects *out, node_index from,
                       const struct raft_quiet_ack *m)
{
    struct peer *p = raft_note_answer(r, out, from, m->term, 0, m->sent, 0, 0);
    if (p == NULL || r->quiet || r->hush_since == 0 || m->sent < r->hush_since) {
        return;
    }
    r->hushed = (uint16_t)(r->hushed | node_bit(from));
    rest_when_answered(r, out);
}

/* --- Followers ------------------------------------------------------------------------------ */

void raft_rest(struct raft *r, struct effects *out, qr_time sent)
{
    qr_assert(r->phase == PHASE_FOLLOWER);
    if (!r->quiet) {
        effects_trace(out, POINT_RESTS, r->term, r->leader, 0);
    }
    r->quiet = true;
    r->hush_since = sent;
}

/* --- Those who may not campaign (Q6) -------------------------------------------------------- */

static bool is_barred(const struct raft *r)
{
    return r->forgetful || r->stands_back || !raft_may_lead(r);
}

qr_time raft_call_at(const struct raft *r)
{
    bool member = (membership_all(&r->members.members) & node_bit(r->me)) != 0;
    bool calls = r->limits.quiet_after > 0 && r->leader == NODE_NONE && member && is_barred(r);
    return calls ? r->election_due : QR_NEVER;
}

void raft_call(struct raft *r, struct effects *out)
{
    effects_trace(out, POINT_CALLS, r->term, 0, 0);
    uint32_t others = membership_all(&r->members.members) & ~node_bit(r->me);
    for (uint32_t rest = others; rest != 0; rest &= rest - 1) {
        struct raft_wake *m = RAFT_SEND(out, set_first(rest), WAKE, wake, 0);
        m->term = r->term;
    }
    raft_election_reset(r);
}
