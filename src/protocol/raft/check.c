/* Invariants of one instance, and of one step. Properties of the whole group (one leader per term,
 * log matching, leader completeness) are the simulator's to check. */
#include "protocol/raft/state.h"

static void check_log(const struct raft *r)
{
    trail_check(&r->trail);
    journal_check(&r->journal);
    qr_assert(r->trimmed <= r->applied);
    qr_assert(r->applied <= r->commit);
    qr_assert(r->commit <= r->trail.last_slot);
    qr_assert(r->trail.base_slot <= r->commit); /* T4 */
    qr_assert(r->trimmed <= r->trail.base_slot);
    qr_assert(r->journal.durable_slot <= r->trail.last_slot);
    qr_assert(trail_last_term(&r->trail) <= r->term);
    qr_assert(!r->state_dirty);
}

static void check_members(const struct raft *r)
{
    qr_assert(r->me < MEMBERS_MAX);
    qr_assert(r->before.slot <= r->members.slot);
    qr_assert(r->before.slot <= r->commit); /* M1 */
    qr_assert(r->members.slot <= r->trail.last_slot);
    bool none = membership_all(&r->members.members) == 0;
    qr_assert(none ? r->members.slot == 0 : membership_is_sound(&r->members.members));
    if (r->members.slot > r->before.slot) {
        qr_assert(raft_members_follow(&r->before.members, &r->members.members)); /* M2 */
    } else {
        qr_assert(membership_equal(&r->before.members, &r->members.members));
    }
}

static void check_peer(const struct raft *r, node_index i)
{
    const struct peer *p = &r->peer[i];
    qr_assert(p->match < p->next);
    qr_assert(p->next <= r->trail.last_slot + 1);
    qr_assert(p->round_echoed <= p->round_sent);
    qr_assert(p->round_sent <= r->round);
    qr_assert(p->heard <= r->now);
    qr_assert(p->echoed <= p->heard);
    qr_assert(p->lease_from <= p->heard);
    qr_assert(p->recovery <= RECOVERY_TOLD);
    qr_assert(p->recovery == RECOVERY_NONE || r->past[i].life != 0);
    qr_assert(p->recovery < RECOVERY_BARRED || r->barrier > r->term_start);
}

static void check_leader(const struct raft *r)
{
    qr_assert(r->leader == r->me);
    qr_assert(r->vote == r->me);
    qr_assert(!r->forgetful);
    qr_assert(r->term_start <= r->trail.last_slot);
    qr_assert(r->barrier <= r->trail.last_slot);
    qr_assert(r->trail.base_slot >= r->term_start ||
              trail_term(&r->trail, r->term_start) == r->term);
    qr_assert(trail_last_term(&r->trail) == r->term);
    uint16_t all = membership_all(&r->members.members);
    qr_assert((all & r->leaving) == 0);
    qr_assert(r->feed == ((all | r->leaving) & ~node_bit(r->me)));
    qr_assert((r->caught_up & ~r->members.members.learners) == 0);
    qr_assert(r->transfer_to == NODE_NONE ||
              (r->members.members.voters & node_bit(r->transfer_to)) != 0);
    qr_assert(!r->transfer_closed || r->transfer_to != NODE_NONE);
    for (uint32_t rest = r->feed; rest != 0; rest &= rest - 1) {
        check_peer(r, set_first(rest));
    }
}

/* D1, R1 */
static void check_reads(const struct raft *r)
{
    bool leads = r->phase == PHASE_LEADER;
    qr_req next = 0;
    uint32_t asks = 0;
    for (uint32_t i = 0; i < r->read_count; i++) {
        const struct read_range *range = &r->reads[i];
        if (i > 0) {
            qr_assert(r->reads[i - 1].round <= range->round);
            qr_assert(r->reads[i - 1].slot <= range->slot);
        }
        qr_assert(range->round <= (leads ? r->round : r->asked + 1));
        if (range->from == r->me) {
            qr_assert(next <= range->first);
            next = range->first + range->count;
        } else {
            qr_assert(leads && (asks & node_bit(range->from)) == 0);
            asks |= node_bit(range->from);
        }
    }
    if (!leads && r->read_count > 0) {
        qr_assert(r->leader != NODE_NONE && !r->leader_closed);
        qr_assert(r->reads[0].round <= r->asked);
    }
}

/* quiet.c: Q1, Q2, Q3. */
static void check_quiet(const struct raft *r)
{
    if (!r->quiet) {
        return;
    }
    qr_slot last = r->trail.last_slot;
    qr_assert(r->limits.quiet_after > 0);
    qr_assert(!r->forgetful);
    qr_assert(r->leader != NODE_NONE);
    qr_assert(r->commit == last);
    qr_assert(r->read_count == 0);
    if (r->phase != PHASE_LEADER) {
        qr_assert(r->phase == PHASE_FOLLOWER);
        qr_assert(!r->leader_closed);
        qr_assert((r->away & node_bit(r->leader)) == 0);
        qr_assert(r->matched == last);
        return;
    }
    qr_assert(r->journal.durable_slot == last);
    qr_assert(r->transfer_to == NODE_NONE);
    qr_assert(raft_change_rests(r));
    uint32_t here = node_bit(r->me);
    for (uint32_t rest = r->feed & ~r->away; rest != 0; rest &= rest - 1) {
        node_index i = set_first(rest);
        qr_assert(r->peer[i].match == last);
        qr_assert(r->peer[i].recovery == RECOVERY_NONE);
        here |= node_bit(i);
    }
    qr_assert(quorum_of(here, &r->members.members));
}

static void check_state(const struct raft *r)
{
    qr_assert(r->forgetful == (r->life != 0));
    qr_assert(!r->forgetful || (r->vote == NODE_NONE && r->phase == PHASE_FOLLOWER));
    qr_assert(r->phase == PHASE_FOLLOWER || r->trail.last_slot >= r->joined_slot); /* M3 */
    qr_assert(r->term >= r->joined_term);
    check_log(r);
    check_members(r);
    check_quiet(r);
    check_reads(r);
    if (r->phase == PHASE_LEADER) {
        check_leader(r);
        return;
    }
    qr_assert(r->leader != r->me);
    qr_assert(r->transfer_to == NODE_NONE);
    qr_assert(r->feed == 0);
    qr_assert(r->change_req == 0);
    qr_assert(r->matched <= r->trail.last_slot);
    qr_assert(r->phase != PHASE_CANDIDATE || r->vote == r->me);
    qr_assert(r->phase == PHASE_FOLLOWER || r->leader == NODE_NONE);
}

/* What no step may do, whatever the event (compare LogCabin's delta invariants). */
static void check_delta(const struct raft *r, const struct raft *b)
{
    qr_assert(r->now >= b->now);
    qr_assert(r->term >= b->term);
    qr_assert(r->commit >= b->commit);
    qr_assert(r->applied >= b->applied);
    qr_assert(r->trail.base_slot >= b->trail.base_slot);
    qr_assert(r->trail.last_slot >= b->commit); /* truncation stays above the commit index */
    qr_assert(r->promise_until >= b->promise_until);
    qr_assert(r->journal.durable >= b->journal.durable);
    qr_assert(r->floor >= b->floor);
    qr_assert(r->told >= b->told);
    qr_assert(r->informed >= b->informed);
    qr_assert(r->asked >= b->asked); /* R2 */
    if (r->term > b->term) {
        return;
    }
    qr_assert(b->vote == NODE_NONE || r->vote == b->vote); /* one vote per term */
    if (b->phase != PHASE_LEADER && r->phase == PHASE_LEADER) {
        qr_assert(b->phase == PHASE_CANDIDATE);
        qr_assert(quorum_of(r->votes, &b->members.members));
    }
    if (b->phase == PHASE_LEADER && r->phase == PHASE_LEADER) {
        qr_assert(r->trail.last_slot >= b->trail.last_slot); /* Leader Append-Only */
        qr_assert(!b->transfer_closed || !r->transfer_closed ||
                  r->trail.last_slot == b->trail.last_slot); /* X5 */
        qr_assert(r->term_start == b->term_start);
        if (r->members.slot != b->members.slot) { /* C1 */
            qr_assert(b->members.slot <= r->commit);
            qr_assert(r->commit >= r->term_start);
        }
        /* One that had left and takes part again is known anew. */
        uint32_t stayed = r->feed & b->feed & ~b->leaving;
        for (uint32_t rest = stayed; rest != 0; rest &= rest - 1) {
            node_index i = set_first(rest);
            if (r->peer[i].heard == 0) {
                qr_assert(r->peer[i].match == 0);
                continue; /* another node has the index */
            }
            if (r->past[i].life != b->past[i].life) {
                continue; /* it has lost what it had */
            }
            qr_assert(r->peer[i].match >= b->peer[i].match);
            qr_assert(r->peer[i].round_echoed >= b->peer[i].round_echoed);
        }
    }
}

void raft_check(const void *self, const void *before)
{
    const struct raft *r = self;
    const struct raft *b = before;
    if (!r->started) {
        return;
    }
    check_state(r);
    if (b != NULL && b->started) {
        check_delta(r, b);
    }
}
