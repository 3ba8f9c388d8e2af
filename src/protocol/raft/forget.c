/* A forgetful member: one that may have lost what it promised, by a damaged disk, a wiped one, or
 * acknowledgements that were not durable. It may have lost entries that it acknowledged, and votes
 * that it gave. Until it holds again whatever it may have promised, it follows, stores and applies,
 * but neither votes nor campaigns nor promises leases, and its answers are of a kind of their own
 * that no leader counts: not for the commit index, not for reads, not for having a quorum.
 *
 *   forgetful F                              leader L of term t
 *     FORGETFUL_ACK match, life  ---------->   first of this life: what F had acknowledged is void;
 *                                              appends a NOOP, the barrier, at slot b
 *     FORGETFUL_ACK match >= b   ---------->   b committed, F not counted:
 *                                <----------   RECOVERED b
 *     state record with a vote for L, then
 *     APPEND_ACK match >= b      ---------->   counts again
 *
 * Why that is enough:
 *
 * V1 Lost entries. L was elected without F's vote, or before the loss; either way it has every
 *    committed entry, also those that F helped to commit: the votes for L and the acknowledgements
 *    of the entry share a member that is not F (Leader Completeness, with F out of one of the
 *    quorums). F holds L's log up to b when it recovers. Entries that were acknowledged and are not
 *    committed yet, and never will be by L, nobody relies on.
 * V2 Lost votes. F may have voted in a term u for a candidate C, and forgotten.
 *    u < t: F is in term t now.  u = t: F comes back with its vote of t given, to L.
 *    u > t: F must not vote again in u. It may, because C cannot win any more: C asked F before the
 *    loss, with a log that lacks the barrier, which was made after it. The barrier is on a majority
 *    without F. One of C's other voters, N, is in that majority; N took the barrier in term t < u,
 *    so before it voted in u, and it does not vote for a log that is behind its own. Could C's log
 *    be ahead with an entry of a term v, t < v < u? Its leader was elected before C asked, so
 *    before the barrier, by a majority that shares a member other than F with the barrier's; that
 *    member would have refused the barrier as of an older term. And the entries of term t that C
 *    had were made by L before the barrier, so its log ends before b.
 *    So no two leaders of a term u come from a vote that F gives twice.
 * V3 The barrier must be younger than the loss. `life` is drawn at each start; a leader that hears
 *    a new one makes a new barrier, and RECOVERED names the life it is for.
 * V4 Links reorder. While the leader takes F for forgetful, an APPEND_ACK of F counts only when it
 *    reaches the barrier: what F acknowledged before the loss lies below it, and what it
 *    acknowledged as a forgetful member is no APPEND_ACK. So F has heard RECOVERED.
 * V5 That F is forgetful is durable (FORGETFUL_STATE) until the state record of its recovery is.
 *    Everything that F says as a normal member waits for that one.
 *
 * V6 A word of an earlier life may come when the member has recovered in a later one. It is taken
 *    for forgetful then, and a barrier made, but it does not know: so its answers, though they do
 *    not count, say where to go on until they reach the barrier. One from before a loss may say too
 *    much; what is sent then is refused.
 *
 * V7 A member may have lost what it acknowledged and not know it: its disk is an older one, or does
 *    not keep what it says is durable. Its leader can tell: an acknowledgement says that its log
 *    equals the leader's up to `match`, durably; in that term nothing takes it back; so whatever is
 *    sent after the acknowledgement came is not refused for want of an entry up to `match`. If it
 *    is, the member is taken for forgetful, as in V6: it counts for nothing until its log reaches a
 *    barrier made since, so no entry is committed by an acknowledgement that holds no more. What
 *    was committed by it before may be on a minority now; that, and a vote that it may have lost,
 *    nobody can bring back: it is told (`lost`), and the member fed from where its log ends.
 *
 * When so many members are forgetful that the others are no majority, no barrier is ever committed
 * and the group stands still: what was acknowledged may exist nowhere but on the disks that are
 * missing. That is for an operator to decide. */
#include "protocol/raft/state.h"

/* --- The forgetful member ------------------------------------------------------------------- */

void raft_forget_start(struct raft *r)
{
    r->forgetful = true;
    r->vote = NODE_NONE;
    r->life = (uint32_t)rng_next(&r->rng) | 1; /* V3 */
    r->state_dirty = true;                     /* V5 */
}

void raft_forgetful_ack(struct raft *r, struct effects *out, node_index to, bool matched)
{
    qr_assert(r->forgetful);
    qr_ticket after = raft_ticket(r, out, r->matched);
    struct raft_forgetful_ack *reply = RAFT_SEND(out, to, FORGETFUL_ACK, forgetful_ack, after);
    reply->term = r->term;
    reply->match = r->matched;
    reply->matched = matched;
    reply->life = r->life;
}

void raft_forgetful_reject(struct raft *r, struct effects *out, const struct raft_append *m,
                           qr_slot hint)
{
    qr_assert(r->forgetful);
    qr_ticket after = raft_ticket(r, out, 0);
    struct raft_forgetful_reject *reply =
        RAFT_SEND(out, r->leader, FORGETFUL_REJECT, forgetful_reject, after);
    reply->term = r->term;
    reply->prev_slot = m->prev_slot;
    reply->sent = m->sent;
    reply->hint_slot = hint;
    reply->hint_term = trail_term(&r->trail, hint);
    reply->life = r->life;
}

void raft_on_recovered(struct raft *r, struct effects *out, node_index from,
                       const struct raft_recovered *m)
{
    if (!raft_follow(r, out, from, m->term)) {
        return;
    }
    if (!r->forgetful || m->life != r->life || m->slot == 0 || m->slot > r->matched) {
        effects_trace(out, POINT_DROPPED, RAFT_RECOVERED, from, 0);
        return;
    }
    effects_trace(out, POINT_RECOVERED, r->term, from, m->slot);
    r->forgetful = false;
    r->life = 0;
    r->vote = from; /* V2 */
    r->state_dirty = true;
    raft_acknowledge_unasked(r, out); /* V5 */
}

/* --- Its leader ----------------------------------------------------------------------------- */

static bool is_majority_left(const struct raft *r)
{
    uint32_t bits = 0;
    for (uint32_t rest = membership_voters(&r->members.members); rest != 0; rest &= rest - 1) {
        node_index i = set_first(rest);
        bits |= raft_counts(r, i) ? node_bit(i) : 0u;
    }
    return quorum_of(bits, &r->members.members);
}

/* A life not heard of before: what it acknowledged earlier is void. */
static void begin_life(struct raft *r, struct effects *out, node_index from, uint32_t life)
{
    struct peer *p = &r->peer[from];
    effects_trace(out, POINT_FORGETFUL_MEMBER, from, life, 0);
    r->past[from].life = life;
    p->recovery = RECOVERY_UNBARRED;
    p->match = 0;
    p->suspected = false;
    p->round_echoed = 0;
    p->echoed = 0;
    p->lease_from = 0;
    p->skew_ms = 0;
    raft_probe(r, from);
    if (!is_majority_left(r)) {
        effects_trace(out, POINT_FORGETFUL_MAJORITY, r->term, 0, 0);
    }
}

/* V7: what it acknowledged it does not hold. */
static void take_for_forgetful(struct raft *r, struct effects *out, node_index from,
                               qr_slot refused, qr_slot holds)
{
    struct peer *p = &r->peer[from];
    struct effect *e = effects_push(out, EFFECT_LOSS);
    e->loss.node = from;
    e->loss.acknowledged = p->match;
    e->loss.holds = holds;
    effects_trace(out, POINT_LOST, from, p->match, holds);
    begin_life(r, out, from, (r->past[from].life + 2) | 1); /* as good a number as one of its own */
    p->next = refused + 1;
}

/* What every answer of a forgetful member tells. NULL when it is not for this leadership, or of a
 * life that has recovered. */
static struct peer *note_forgetful(struct raft *r, struct effects *out, node_index from,
                                   qr_term term, uint32_t life)
{
    if (term > r->term) {
        raft_become_follower(r, out, term, NODE_NONE);
        return NULL;
    }
    bool fed = (r->feed & node_bit(from)) != 0;
    if (term < r->term || r->phase != PHASE_LEADER || !fed || life == 0) {
        return NULL;
    }
    struct peer *p = &r->peer[from];
    if (r->past[from].life != life) {
        begin_life(r, out, from, life);
    }
    p->heard = r->now;
    return p->recovery == RECOVERY_NONE ? NULL : p;
}

/* One barrier at a time is on its way; it serves all members whose lives were heard before it. */
static void make_barrier(struct raft *r, struct effects *out)
{
    if (r->barrier > r->commit || r->transfer_to != NODE_NONE) {
        return; /* their next answer comes with the next heartbeat */
    }
    r->barrier = r->trail.last_slot + 1;
    effects_trace(out, POINT_BARRIER, r->term, r->barrier, 0);
    raft_persist_entries(r, out, r->barrier, r->barrier + 1, r->term, 0, true);
    for (uint32_t rest = r->feed; rest != 0; rest &= rest - 1) {
        node_index i = set_first(rest);
        if (r->peer[i].recovery == RECOVERY_UNBARRED) {
            r->peer[i].recovery = RECOVERY_BARRED; /* V3 */
            r->past[i].barrier_low = (uint32_t)r->barrier;
        }
    }
    raft_replicate_all(r, out);
}

/* Never too low: one that is 2^32 slots older than the latest would seem younger than it is. */
static qr_slot barrier_of(const struct raft *r, node_index i)
{
    qr_assert(r->peer[i].recovery >= RECOVERY_BARRED);
    return r->barrier - (uint32_t)((uint32_t)r->barrier - r->past[i].barrier_low);
}

static void tell_recovered(struct raft *r, struct effects *out, node_index to)
{
    struct peer *p = &r->peer[to];
    qr_assert(p->recovery == RECOVERY_BARRED);
    effects_trace(out, POINT_RECOVERY_TOLD, to, barrier_of(r, to), 0);
    p->recovery = RECOVERY_TOLD;
    struct raft_recovered *m = RAFT_SEND(out, to, RECOVERED, recovered, 0);
    m->term = r->term;
    m->slot = barrier_of(r, to);
    m->life = r->past[to].life;
}

void raft_on_forgetful_ack(struct raft *r, struct effects *out, node_index from,
                           const struct raft_forgetful_ack *m)
{
    struct peer *p = note_forgetful(r, out, from, m->term, m->life);
    if (p == NULL || m->match > r->trail.last_slot) {
        return;
    }
    if (m->matched) {
        raft_take_match(r, out, from, m->match);
    } else {
        raft_replicate(r, out, from);
    }
    if (p->recovery == RECOVERY_UNBARRED) {
        make_barrier(r, out);
    } else if (p->recovery == RECOVERY_BARRED && p->match >= barrier_of(r, from) &&
               r->commit >= barrier_of(r, from)) {
        tell_recovered(r, out, from);
    }
}

void raft_on_forgetful_reject(struct raft *r, struct effects *out, node_index from,
                              const struct raft_forgetful_reject *m)
{
    struct peer *p = note_forgetful(r, out, from, m->term, m->life);
    if (p != NULL && m->sent >= r->past[from].probed_since) {
        raft_back_off(r, out, from, m->prev_slot, m->hint_slot, m->hint_term);
    }
}

/* V6: an answer of one that does not know that it is taken for forgetful, or one from before. It
 * gets its barrier, and is asked again when it has answered a heartbeat, got further or installed a
 * snapshot: if every answer were a reason, two that have nothing to say would not stop. */
static void doubt(struct raft *r, struct effects *out, node_index from, qr_slot match)
{
    struct peer *p = &r->peer[from];
    if (p->recovery == RECOVERY_UNBARRED) {
        make_barrier(r, out);
    }
    bool further = match == 0 || (match >= p->next && match <= r->trail.last_slot);
    bool installed = match > 0 && match >= r->trail.base_slot && match <= r->trail.last_slot;
    if (p->mode == PEER_SNAPSHOT && installed) {
        p->mode = PEER_PROBE; /* by the log from here on, and no entry counts before its barrier */
        p->next = match + 1;
        p->probed = false;
        raft_replicate(r, out, from);
    } else if (p->mode == PEER_PROBE && further) {
        p->next = max_u64(p->next, match + 1);
        p->probed = false;
        raft_replicate(r, out, from);
    }
}

/* V7. The refusal may be an old one, from before the acknowledgement: so it is asked again. What it
 * refuses then was sent after all that it had acknowledged was heard. */
void raft_suspect(struct raft *r, struct effects *out, node_index from,
                  const struct raft_append_reject *m)
{
    struct peer *p = &r->peer[from];
    qr_assert(p->recovery == RECOVERY_NONE);
    qr_assert(m->prev_slot <= p->match);
    if (p->mode == PEER_SNAPSHOT) {
        return; /* what it held is below all that is here, and committed */
    }
    if (!p->suspected) {
        p->suspected = true;
        r->past[from].probed_since = r->now;
        raft_probe(r, from);
        raft_replicate(r, out, from);
    } else if (m->sent > r->past[from].probed_since) {
        take_for_forgetful(r, out, from, m->prev_slot, min_u64(m->hint_slot, m->prev_slot - 1));
        raft_back_off(r, out, from, m->prev_slot, m->hint_slot, m->hint_term);
    }
}

bool raft_hear_again(struct raft *r, struct effects *out, node_index from, qr_slot match)
{
    struct peer *p = &r->peer[from];
    if (p->recovery >= RECOVERY_BARRED && match >= barrier_of(r, from)) { /* V4 */
        effects_trace(out, POINT_COUNTS_AGAIN, from, match, 0);
        p->recovery = RECOVERY_NONE;
        raft_advance_commit(r); /* what it holds already counts from now on */
    } else if (p->recovery != RECOVERY_NONE) {
        doubt(r, out, from, match);
    }
    return p->recovery == RECOVERY_NONE;
}
