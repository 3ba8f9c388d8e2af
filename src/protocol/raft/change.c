/* The leader changes the members: Raft diss. chapter 4, by joint consensus (4.3).
 *
 *   order --> joint (new, old) --committed--> final (new) --committed--> answer, and the leader
 *                                                                that votes no more hands over
 *
 * A change that touches no voter is final at once. The final entry follows from the joint one, so
 * any later leader ends a change that it finds begun.
 *
 * C1 One change at a time, on top of what is committed, in a term that has committed an entry (M1).
 * C2 A learner is promoted when it catches up within an election time-out: so the entry that makes
 *    it a voter does not wait for it (4.2.1). Learners take turns: a round is all that the log held
 *    when it began. One voter becomes three, never two: two that need each other are worse than
 *    one.
 * C3 A leader that votes no more leads until the entry that says so is committed, and does not
 *    count itself; then it hands over and steps down (4.2.2).
 * C4 Whoever is dropped is sent to until it knows that, or for a few election time-outs: else it
 *    would take the silence for a lost leader. What it does then cannot disturb (4.2.3): it never
 *    campaigns once it knows, its pre-votes are refused before. */
#include "protocol/raft/state.h"

#define FAREWELL 4 /* election time-outs */

static void compute_feed(struct raft *r)
{
    uint16_t all = membership_all(&r->members.members);
    qr_assert((all & r->leaving) == 0);
    r->feed = (uint16_t)((all | r->leaving) & ~node_bit(r->me));
}

static void fresh_peer(struct raft *r, node_index i)
{
    r->peer[i] = (struct peer){ .next = r->trail.last_slot + 1, .mode = PEER_PROBE };
    r->past[i] = (struct peer_past){ 0 };
}

void raft_change_lead(struct raft *r)
{
    qr_assert(r->phase == PHASE_LEADER);
    for (node_index i = 0; i < MEMBERS_MAX; i++) {
        fresh_peer(r, i);
    }
    uint16_t all = membership_all(&r->members.members);
    r->leaving = (uint16_t)(membership_all(&r->before.members) & ~all);
    r->leaving_since = 0;
    r->change_req = 0;
    r->retiring = false;
    r->caught_up = 0;
    r->learner = NODE_NONE;
    compute_feed(r);
}

void raft_change_leave(struct raft *r, struct effects *out)
{
    effects_answer(out, r->change_req, 1, STATUS_UNCERTAIN);
    r->change_req = 0;
    r->leaving = 0;
    r->feed = 0;
}

void raft_change_passed(struct raft *r, uint16_t nodes)
{
    for (uint32_t rest = nodes; rest != 0; rest &= rest - 1) {
        fresh_peer(r, set_first(rest)); /* what another node at this index said is not its word */
    }
    r->caught_up = (uint16_t)(r->caught_up & ~nodes);
}

void raft_change_stated(struct raft *r, uint16_t all_before)
{
    qr_assert(r->phase == PHASE_LEADER);
    uint16_t all = membership_all(&r->members.members);
    raft_change_passed(r, (uint16_t)(all & ~all_before));
    r->leaving = (uint16_t)((r->leaving | all_before) & ~all);
    r->leaving_since = 0;
    r->caught_up &= r->members.members.learners;
    r->patient_from = r->now; /* new voters have not had the time to answer */
    compute_feed(r);
}

static void state_members(struct raft *r, struct effects *out, const struct membership *next)
{
    qr_assert(r->members.slot <= r->commit); /* C1 */
    qr_assert(r->commit >= r->term_start);
    raft_persist_members(r, out, next);
    raft_transfer_recheck(r, out);
    raft_replicate_all(r, out);
}

/* --- Orders --------------------------------------------------------------------------------- */

/* Whether i could do a voter's work at once. */
static bool is_ready(const struct raft *r, node_index i)
{
    bool votes = (membership_voters(&r->members.members) & node_bit(i)) != 0;
    bool able = raft_is_lively(r, i) && raft_counts(r, i);
    return i == r->me || (able && (votes || (r->caught_up & node_bit(i)) != 0));
}

static bool is_safe(const struct raft *r, uint16_t voters)
{
    uint16_t ready = 0;
    for (uint32_t rest = voters; rest != 0; rest &= rest - 1) {
        node_index i = set_first(rest);
        ready = (uint16_t)(ready | (is_ready(r, i) ? node_bit(i) : 0));
    }
    return quorum_of_set(ready, voters);
}

static enum qr_status judge(const struct raft *r, const struct membership *wanted, bool forced)
{
    if (r->phase != PHASE_LEADER) {
        return STATUS_NOT_LEADER;
    }
    if (wanted->voters == 0) {
        return STATUS_LAST_VOTER;
    }
    qr_assert(wanted->outgoing == 0);
    qr_assert(membership_is_sound(wanted));
    bool open = r->members.slot > r->commit || r->members.members.outgoing != 0;
    if (open || r->commit < r->term_start || r->retiring) {
        return STATUS_CHANGING; /* C1 */
    }
    if (r->transfer_to != NODE_NONE) {
        return STATUS_HANDING_OVER;
    }
    bool votes_change = wanted->voters != r->members.members.voters;
    return votes_change && !forced && !is_safe(r, wanted->voters) ? STATUS_UNSAFE : STATUS_OK;
}

/* The first of the entries that lead to `wanted`. */
static struct membership first_step(const struct raft *r, struct membership wanted)
{
    if (wanted.voters != r->members.members.voters) {
        wanted.outgoing = r->members.members.voters;
    }
    return wanted;
}

void raft_on_members(struct raft *r, struct effects *out, const struct event *event)
{
    const struct membership *wanted = &event->admin.members;
    enum qr_status status = judge(r, wanted, event->admin.forced);
    bool nothing = !event->admin.restated && membership_equal(wanted, &r->members.members);
    if (status != STATUS_OK || nothing) {
        effects_trace(out, POINT_CHANGE_ANSWERED, wanted->voters, status, 0);
        effects_answer(out, event->admin.req, 1, status);
        return;
    }
    qr_assert(r->change_req == 0);
    struct membership step = first_step(r, *wanted);
    r->change_req = event->admin.req;
    raft_change_passed(r, event->admin.passed);
    state_members(r, out, &step);
}

/* --- Learners (C2) -------------------------------------------------------------------------- */

static void end_round(struct raft *r, struct effects *out, bool in_time)
{
    uint16_t bit = node_bit(r->learner);
    if (in_time && (r->caught_up & bit) == 0) {
        effects_trace(out, POINT_CAUGHT_UP, r->learner, r->learner_slot, 0);
    }
    r->caught_up = (uint16_t)(in_time ? r->caught_up | bit : r->caught_up & ~bit);
}

static bool is_learner(const struct raft *r, node_index i)
{
    return i < MEMBERS_MAX && (r->members.members.learners & node_bit(i)) != 0;
}

/* Ends the round when it can be judged. */
static void judge_round(struct raft *r, struct effects *out)
{
    if (!is_learner(r, r->learner)) {
        r->learner = NODE_NONE;
        return;
    }
    if (r->learner_since == QR_NEVER) {
        return; /* it is judged */
    }
    bool late = r->now >= r->learner_since + r->limits.election;
    bool there = r->peer[r->learner].match >= r->learner_slot && raft_is_lively(r, r->learner);
    if (late || there) {
        end_round(r, out, there && !late);
        r->learner_since = QR_NEVER;
    }
}

void raft_change_round(struct raft *r, struct effects *out)
{
    uint32_t learners = r->members.members.learners;
    if (learners == 0) {
        return;
    }
    judge_round(r, out);
    if (r->learner != NODE_NONE && r->learner_since != QR_NEVER) {
        return; /* it still has time */
    }
    uint32_t behind =
        r->learner == NODE_NONE ? learners : learners & ~(2 * node_bit(r->learner) - 1u);
    r->learner = set_first(behind != 0 ? behind : learners); /* the next in turn */
    r->learner_slot = r->trail.last_slot;
    r->learner_since = r->now;
}

static void promote(struct raft *r, struct effects *out)
{
    const struct membership *now = &r->members.members;
    uint16_t able = 0;
    for (uint32_t rest = now->learners & r->caught_up; rest != 0; rest &= rest - 1) {
        node_index i = set_first(rest);
        bool ready = raft_is_lively(r, i) && raft_counts(r, i);
        able = (uint16_t)(able | (ready ? node_bit(i) : 0));
    }
    bool pair = quorum_count(now->voters) + quorum_count(able) == 2;
    if (able == 0 || pair || r->transfer_to != NODE_NONE) {
        return;
    }
    effects_trace(out, POINT_PROMOTES, able, 0, 0);
    struct membership wanted = *now;
    wanted.voters |= able;
    wanted.learners = (uint16_t)(wanted.learners & ~able);
    struct membership step = first_step(r, wanted);
    state_members(r, out, &step);
}

/* --- Those that leave (C4) ------------------------------------------------------------------ */

static void let_go(struct raft *r, struct effects *out, uint16_t nodes, bool knows)
{
    effects_trace(out, POINT_LET_GO, nodes, knows, 0);
    r->leaving = (uint16_t)(r->leaving & ~nodes);
    compute_feed(r);
}

static void see_off(struct raft *r, struct effects *out)
{
    if (r->leaving == 0 || r->members.slot > r->commit) {
        return;
    }
    if (r->leaving_since == 0) {
        r->leaving_since = r->now;
    } else if (r->now >= r->leaving_since + FAREWELL * r->limits.election) {
        let_go(r, out, r->leaving, false);
    }
}

void raft_change_told(struct raft *r, struct effects *out, node_index from, qr_time sent)
{
    /* The heartbeat that it answered told the commit of the entry that drops it. */
    bool knows = (r->leaving & node_bit(from)) != 0 && r->leaving_since != 0 &&
                 r->peer[from].match >= r->members.slot && sent > r->leaving_since;
    if (knows) {
        let_go(r, out, node_bit(from), true);
    }
}

void raft_change_answered(struct raft *r, struct effects *out, node_index from, qr_slot before)
{
    if (from == r->learner) {
        judge_round(r, out);
    }
    bool learns = before < r->members.slot && r->peer[from].match >= r->members.slot;
    if (learns && (r->leaving & node_bit(from)) != 0 && r->leaving_since != 0) {
        r->leaving_since = r->now; /* it holds the entry: the next heartbeat tells the commit */
    }
}

/* --- The change goes on --------------------------------------------------------------------- */

static void retire(struct raft *r, struct effects *out)
{
    if (r->transfer_to != NODE_NONE) {
        return;
    }
    node_index to = raft_successor(r);
    if (r->retiring || to == NODE_NONE) {
        raft_become_follower(r, out, r->term, NODE_NONE);
        return;
    }
    effects_trace(out, POINT_RETIRES, r->members.slot, to, 0);
    r->retiring = true;
    raft_on_transfer(r, out, to, 0, 0);
    raft_transfer_proceed(r, out);
}

static void end_change(struct raft *r, struct effects *out)
{
    if (r->transfer_closed) {
        return; /* the target has all there is, and ends the change when it leads: X5 */
    }
    struct membership final = r->members.members;
    final.outgoing = 0;
    state_members(r, out, &final);
}

void raft_change_proceed(struct raft *r, struct effects *out)
{
    qr_assert(r->phase == PHASE_LEADER);
    see_off(r, out);
    if (r->members.slot > r->commit || r->commit < r->term_start) {
        return; /* C1 */
    }
    if (r->members.members.outgoing != 0) {
        end_change(r, out);
        return;
    }
    if (r->change_req != 0) {
        effects_answer(out, r->change_req, 1, STATUS_OK);
        r->change_req = 0;
    }
    if ((r->members.members.voters & node_bit(r->me)) == 0) {
        retire(r, out); /* C3 */
    } else if (r->caught_up != 0) {
        promote(r, out);
    }
}
