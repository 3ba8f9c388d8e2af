/* The leader's side of replication: Raft paper 5.3 and 5.4.2, pipelined (dissertation 10.2).
 *
 * G1 Entries go out before the leader's own write is durable; its own match counts from DURABLE
 *    like anyone's (10.2.1).
 * G2 Only entries of the leader's own term are committed by counting; older ones are committed
 *    with them (5.4.2, figure 8). The NOOP at the start of the term is the first of them.
 * G3 What was asked to be sent is a hope: the driver may attach fewer entries, the link may lose
 *    them. Only an acknowledgement moves `match`. A gap is refused by the follower; when the last
 *    answer brings less than was sent, the rest is sent again; a loss with nothing behind it is
 *    found by the empty APPEND that goes with each heartbeat while something is unanswered.
 * G5 What is committed is told with the next message, which a group without much to do sends late.
 *    ADMIN_TELL tells it at once, whoever has it, and each of the others when he has it.
 * G4 In a group that may rest an APPEND to all is as good as a heartbeat, which is put off by it:
 *    of a thousand groups each is written to now and then, and heartbeats in between would be half
 *    of all messages. Not beyond half an election time-out: heartbeats alone carry clocks, and the
 *    reminders of G3. */
#include "protocol/raft/state.h"

void raft_become_leader(struct raft *r, struct effects *out)
{
    qr_assert(r->phase == PHASE_CANDIDATE);
    qr_assert(r->journal.durable >= r->vote_ticket);
    r->phase = PHASE_LEADER;
    r->leader = r->me;
    r->leader_closed = false;
    r->matched = 0;
    r->patient_from = r->now;
    r->lease_given = 0;
    r->lease_barred = false;
    r->stood_back = false;
    r->active = r->now;
    r->hush_since = 0;
    r->woken = 0;
    r->skewed_until = 0; /* what another leader said; now all members' clocks will tell */
    r->transfer_to = NODE_NONE;
    r->transfer_closed = false;
    r->round = 1;
    r->announced = 0;
    r->hurries = false;
    r->round_used = false;
    qr_assert(r->read_count == 0);
    raft_change_lead(r);
    raft_transfer_over(r, out, STATUS_HANDOVER);
    effects_trace(out, POINT_ELECTED, r->term, r->trail.last_slot, 0);
    r->barrier = 0;
    r->term_start = r->trail.last_slot + 1;
    raft_persist_entries(r, out, r->term_start, r->term_start + 1, r->term, 0,
                         true); /* 6.4 step 1 */
    raft_heartbeat_all(r, out); /* at once: nobody else need campaign (5.2) */
}

/* --- Sending -------------------------------------------------------------------------------- */

/* One APPEND with entries [next, ..), at most as many as one message may hold, of one term. */
static void send_append(struct raft *r, struct effects *out, node_index to, bool with_entries)
{
    struct peer *p = &r->peer[to];
    qr_slot prev = p->next - 1;
    qr_assert(prev >= r->trail.base_slot);
    qr_slot hi = p->next;
    if (with_entries && p->next <= r->trail.last_slot) {
        hi = min_u64(trail_run_end(&r->trail, p->next), p->next + r->limits.append_entries);
    }
    struct raft_append *m = RAFT_SEND(out, to, APPEND, append, 0); /* G1 */
    m->term = r->term;
    m->prev_slot = prev;
    m->prev_term = trail_term(&r->trail, prev);
    m->commit = r->commit;
    m->floor = r->floor;
    m->round = r->round;
    m->sent = r->now;
    m->lease = raft_lease_wanted(r);
    if (hi > p->next) {
        struct message *message = &out->v[out->n - 1].send.message;
        message->lo = p->next;
        message->hi = hi;
        message->term = trail_term(&r->trail, p->next);
    }
    p->in_flight = (uint16_t)(p->in_flight + (p->in_flight < UINT16_MAX));
    p->round_sent = r->round;
    r->round_used = true;
    if (p->mode == PEER_PROBE) {
        p->probed = true;
    } else {
        p->next = hi;
    }
}

/* Without the entry before `next` there is no APPEND to make: it needs a snapshot. */
static bool is_within_reach(struct raft *r, struct effects *out, node_index to)
{
    struct peer *p = &r->peer[to];
    if (p->mode != PEER_SNAPSHOT && p->next - 1 < r->trail.base_slot) {
        effects_trace(out, POINT_NEEDS_SNAPSHOT, to, r->trail.base_slot + 1, 0);
        p->mode = PEER_SNAPSHOT;
        p->in_flight = 0;
        raft_want_snapshot(r, out, to);
    }
    return p->mode != PEER_SNAPSHOT;
}

void raft_replicate(struct raft *r, struct effects *out, node_index to)
{
    qr_assert(r->phase == PHASE_LEADER);
    qr_assert(to != r->me);
    struct peer *p = &r->peer[to];
    if (!is_within_reach(r, out, to)) {
        return;
    }
    if (p->mode == PEER_PROBE) {
        if (!p->probed) {
            send_append(r, out, to, true);
        }
        return;
    }
    for (uint32_t i = 0; i < APPENDS_PER_STEP; i++) {
        if (p->next > r->trail.last_slot || p->in_flight >= r->limits.appends_in_flight) {
            return;
        }
        send_append(r, out, to, true);
    }
}

void raft_replicate_all(struct raft *r, struct effects *out)
{
    for (uint32_t rest = r->feed; rest != 0; rest &= rest - 1) {
        raft_replicate(r, out, set_first(rest));
    }
}

/* Whether every member was just sent the end of the log, and nothing but answers is awaited. */
static bool all_are_told(const struct raft *r)
{
    bool asked = r->transfer_to != NODE_NONE || r->stands_back || r->now < r->skewed_until;
    if (asked || !raft_change_rests(r) || r->members.members.learners != 0) {
        return false;
    }
    for (uint32_t rest = r->feed; rest != 0; rest &= rest - 1) {
        const struct peer *p = &r->peer[set_first(rest)];
        if (p->mode != PEER_REPLICATE || p->recovery != RECOVERY_NONE ||
            p->next <= r->trail.last_slot) {
            return false;
        }
    }
    return true;
}

void raft_spare_heartbeats(struct raft *r)
{
    qr_assert(r->phase == PHASE_LEADER);
    if (r->limits.quiet_after == 0 || !all_are_told(r)) {
        return;
    }
    qr_time last = r->beaten + r->limits.election / 2; /* clocks are compared by heartbeats alone */
    qr_time due = earlier(r->now + r->limits.heartbeat, last);
    r->heartbeat_due = later(r->heartbeat_due, due); /* G4 */
}

void raft_probe(struct raft *r, node_index to)
{
    struct peer *p = &r->peer[to];
    p->mode = PEER_PROBE;
    p->probed = false;
    p->in_flight = 0;
    p->next = r->trail.last_slot + 1;
    if (p->match > 0) {
        p->next = max_u64(p->match, r->trail.base_slot) + 1;
    }
}

void raft_send_heartbeat(struct raft *r, struct effects *out, node_index to)
{
    qr_assert(r->phase == PHASE_LEADER);
    struct peer *p = &r->peer[to];
    struct raft_heartbeat *m = RAFT_SEND(out, to, HEARTBEAT, heartbeat, 0);
    m->term = r->term;
    m->commit = min_u64(r->commit, p->match);
    m->floor = r->floor;
    m->round = r->round;
    m->sent = r->now;
    m->lease = raft_lease_wanted(r);
    m->wall = r->now < r->skewed_until ? 0 : r->wall; /* W3 */
    p->round_sent = r->round;
    r->round_used = true;
}

/* Now and then only: every such APPEND is refused until a snapshot is installed. */
static void remind_of_snapshot(struct raft *r, struct effects *out, node_index to)
{
    struct peer *p = &r->peer[to];
    if (++p->in_flight < SNAPSHOT_REMINDER) {
        return;
    }
    p->next = r->trail.base_slot + 1; /* S5: it may have been brought so far meanwhile */
    send_append(r, out, to, false);
    raft_want_snapshot(r, out, to);
    p->in_flight = 0;
}

/* The APPEND that goes with a heartbeat to a member of which something is awaited: a repeated probe
 * carries nothing, the follower may be down or slow. */
static void remind(struct raft *r, struct effects *out, node_index to)
{
    struct peer *p = &r->peer[to];
    if (p->recovery == RECOVERY_TOLD) {
        p->recovery = RECOVERY_BARRED; /* RECOVERED may be lost: its next answer will tell */
    }
    if (p->mode == PEER_SNAPSHOT) {
        remind_of_snapshot(r, out, to);
    } else if (!is_within_reach(r, out, to)) {
        return;
    } else if (p->mode == PEER_PROBE) {
        send_append(r, out, to, !p->probed);
    } else if (p->match + 1 < p->next || p->recovery != RECOVERY_NONE) {
        send_append(r, out, to, false); /* G3, V4 */
    }
}

void raft_heartbeat_all(struct raft *r, struct effects *out)
{
    r->heartbeat_due = r->now + r->limits.heartbeat;
    r->beaten = r->now;
    r->floor = max_u64(r->floor, raft_floor(r));
    for (uint32_t rest = r->feed; rest != 0; rest &= rest - 1) {
        node_index to = set_first(rest);
        raft_send_heartbeat(r, out, to);
        remind(r, out, to);
    }
    r->announced = r->round;
}

void raft_tell(struct raft *r, struct effects *out)
{
    if (r->phase != PHASE_LEADER || (r->hurries && r->hurried == r->commit)) {
        return;
    }
    r->hurries = true;
    r->hurried = r->commit;
    for (uint32_t rest = r->feed; rest != 0; rest &= rest - 1) {
        node_index to = set_first(rest);
        if (r->peer[to].match >= r->hurried) {
            raft_send_heartbeat(r, out, to);
        }
    }
}

/* --- Answers -------------------------------------------------------------------------------- */

struct peer *raft_note_answer(struct raft *r, struct effects *out, node_index from, qr_term term,
                              uint64_t round, qr_time sent, qr_time lease, qr_slot match)
{
    if (term > r->term) {
        raft_become_follower(r, out, term, NODE_NONE);
        return NULL;
    }
    bool fed = r->phase == PHASE_LEADER && (r->feed & node_bit(from)) != 0;
    if (term < r->term || !fed || round > r->round || sent > r->now) {
        return NULL;
    }
    struct peer *p = &r->peer[from];
    p->heard = r->now; /* V6: it lives, and may need a snapshot, although it counts for nothing */
    if (!raft_hear_again(r, out, from, match)) {
        return NULL;
    }
    p->echoed = later(p->echoed, sent);
    p->round_echoed = max_u64(p->round_echoed, round);
    if (lease == r->limits.lease && sent > p->lease_from) {
        p->lease_from = sent;
    }
    return p;
}

/* Figure 2, leaders 4: a majority holds the entry durably and it is of the own term. */
void raft_advance_commit(struct raft *r)
{
    qr_assert(r->phase == PHASE_LEADER);
    uint64_t match[MEMBERS_MAX];
    for (uint32_t rest = membership_voters(&r->members.members); rest != 0; rest &= rest - 1) {
        node_index i = set_first(rest);
        match[i] = i == r->me ? r->journal.durable_slot : r->peer[i].match; /* G1 */
        match[i] = raft_counts(r, i) ? match[i] : 0;
    }
    qr_slot reached = quorum_reached(match, &r->members.members);
    if (reached > r->commit && reached >= r->term_start) { /* G2 */
        qr_assert(trail_term(&r->trail, reached) == r->term);
        r->commit = reached;
        r->informed = true; /* A6 */
    }
}

void raft_on_append_ack(struct raft *r, struct effects *out, node_index from,
                        const struct raft_append_ack *m)
{
    qr_slot match = m->match <= r->trail.last_slot ? m->match : 0;
    struct peer *p = raft_note_answer(r, out, from, m->term, m->round, m->sent, m->lease, match);
    if (p != NULL && match == m->match) {
        raft_take_match(r, out, from, match);
    }
}

void raft_take_match(struct raft *r, struct effects *out, node_index from, qr_slot match)
{
    qr_assert(match <= r->trail.last_slot);
    struct peer *p = &r->peer[from];
    qr_slot before = p->match;
    bool progress = match > before;
    p->match = max_u64(before, match);
    p->suspected = p->suspected && !progress;
    if (p->mode == PEER_SNAPSHOT && p->match < r->trail.base_slot) {
        p->next = max_u64(p->next, p->match + 1);
        return; /* that it is behind is not news */
    }
    p->in_flight = (uint16_t)(p->in_flight - (p->in_flight > 0));
    if (p->mode != PEER_REPLICATE || (progress && p->in_flight == 0)) {
        /* All is answered: what is not acknowledged was not attached, or was lost (G3). Without
         * progress this would turn every old answer into a new message. */
        p->mode = PEER_REPLICATE;
        p->next = p->match + 1;
    }
    p->next = max_u64(p->next, p->match + 1);
    if (p->next == p->match + 1) {
        p->in_flight = 0; /* answers may have been lost: now none is missing */
    }
    if (progress && match > r->commit) {
        raft_advance_commit(r);
    }
    if (progress) {
        raft_change_answered(r, out, from, before);
    }
    if (r->hurries && before < r->hurried && p->match >= r->hurried) {
        raft_send_heartbeat(r, out, from); /* G5 */
    }
    raft_replicate(r, out, from);
}

/* The last slot here that may agree with a follower whose last fitting entry is the hint. */
static qr_slot last_common(const struct raft *r, qr_slot hint_slot, qr_term hint_term)
{
    qr_assert(hint_slot >= r->trail.base_slot);
    qr_slot slot = trail_last_within(&r->trail, hint_slot, hint_term);
    bool below = slot == r->trail.base_slot && r->trail.base_term > hint_term;
    return below ? slot - 1 : slot;
}

void raft_on_append_reject(struct raft *r, struct effects *out, node_index from,
                           const struct raft_append_reject *m)
{
    bool counts = raft_note_answer(r, out, from, m->term, m->round, m->sent, m->lease, 0) != NULL;
    /* A refusal promises nothing: it is heard although the word that ends V4 was lost. */
    bool fed = r->phase == PHASE_LEADER && (r->feed & node_bit(from)) != 0;
    bool told = fed && m->term == r->term && r->peer[from].recovery >= RECOVERY_BARRED;
    /* Else each of many old refusals would start over, and what that sends be refused again. */
    if ((!counts && !told) || m->sent < r->past[from].probed_since) {
        return;
    }
    if (counts && m->prev_slot <= r->peer[from].match) {
        raft_suspect(r, out, from, m);
    } else {
        raft_back_off(r, out, from, m->prev_slot, m->hint_slot, m->hint_term);
    }
}

void raft_back_off(struct raft *r, struct effects *out, node_index from, qr_slot prev_slot,
                   qr_slot hint_slot, qr_term hint_term)
{
    struct peer *p = &r->peer[from];
    if (p->mode == PEER_SNAPSHOT || prev_slot <= p->match) {
        return; /* it has caught up since */
    }
    if (p->mode == PEER_PROBE && prev_slot != p->next - 1) {
        return; /* of an earlier probe */
    }
    qr_slot common = hint_slot < r->trail.base_slot
                         ? hint_slot
                         : last_common(r, min_u64(hint_slot, r->trail.last_slot), hint_term);
    p->mode = PEER_PROBE;
    p->probed = false;
    p->in_flight = 0;
    r->past[from].probed_since = r->now;
    p->next = max_u64(common, p->match) + 1;
    effects_trace(out, POINT_REJECTED, from, prev_slot, p->next);
    raft_replicate(r, out, from);
}

void raft_on_heartbeat_ack(struct raft *r, struct effects *out, node_index from,
                           const struct raft_heartbeat_ack *m)
{
    struct peer *p = raft_note_answer(r, out, from, m->term, m->round, m->sent, m->lease, 0);
    if (p == NULL) {
        return;
    }
    raft_note_skew(r, from, m->wall);
    if (m->matched) {
        raft_change_told(r, out, from, m->sent);
    }
    if (p->mode != PEER_REPLICATE || m->matched) {
        return;
    }
    /* It has started anew and knows neither our log nor its own commit index. */
    raft_probe(r, from);
    raft_replicate(r, out, from);
}

/* --- The group as the leader knows it ------------------------------------------------------- */

qr_time raft_quorum_heard(const struct raft *r)
{
    uint64_t heard[MEMBERS_MAX];
    for (uint32_t rest = membership_voters(&r->members.members); rest != 0; rest &= rest - 1) {
        node_index i = set_first(rest);
        bool heard_since = raft_counts(r, i) && r->peer[i].heard > r->patient_from;
        qr_time at = heard_since ? r->peer[i].heard : r->patient_from;
        heard[i] = i == r->me ? (uint64_t)QR_NEVER : (uint64_t)at;
    }
    return (qr_time)quorum_reached(heard, &r->members.members);
}

bool raft_quorum_heard_since(const struct raft *r, qr_time time)
{
    if (r->patient_from >= time) {
        return true;
    }
    uint32_t bits = node_bit(r->me);
    for (uint32_t rest = membership_voters(&r->members.members); rest != 0; rest &= rest - 1) {
        node_index i = set_first(rest);
        bits |= raft_counts(r, i) && r->peer[i].heard >= time ? node_bit(i) : 0;
    }
    return quorum_of(bits, &r->members.members);
}

qr_slot raft_floor(const struct raft *r)
{
    qr_slot floor = r->journal.durable_slot;
    for (uint32_t rest = r->feed & ~r->leaving; rest != 0; rest &= rest - 1) {
        floor = min_u64(floor, r->peer[set_first(rest)].match);
    }
    return floor;
}
