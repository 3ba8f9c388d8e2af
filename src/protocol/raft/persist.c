/* Writes to the log: the state record and entries, each with its ticket.
 *
 * Figure 2 demands that term, vote and log are on stable storage before any answer to a message.
 * Here the answer names the ticket that it depends on (R5); raft_ticket gives that ticket. */
#include "protocol/raft/state.h"

static void put_state(const struct raft *r, struct effects *out, struct effect *e)
{
    if (r->forgetful) {
        struct raft_forgetful_state *forgetful = effects_scratch(out, sizeof *forgetful);
        forgetful->term = r->term;
        e->persist.state_kind = RAFT_FORGETFUL_STATE;
        e->persist.state = forgetful;
        return;
    }
    struct raft_hard_state *state = effects_scratch(out, sizeof *state);
    state->term = r->term;
    state->vote = r->vote;
    e->persist.state_kind = RAFT_HARD_STATE;
    e->persist.state = state;
}

/* One PERSIST, with the state record in it when that changed in this step. */
static struct effect *push_persist(struct raft *r, struct effects *out)
{
    struct effect *e = effects_push(out, EFFECT_PERSIST);
    e->persist.ticket = journal_mint(&r->journal);
    if (r->state_dirty) {
        put_state(r, out, e);
        r->state_dirty = false;
        r->state_ticket = e->persist.ticket;
    }
    return e;
}

void raft_persist_state(struct raft *r, struct effects *out)
{
    if (r->state_dirty) {
        push_persist(r, out);
    }
}

struct effect *raft_persist_entries(struct raft *r, struct effects *out, qr_slot lo, qr_slot hi,
                                    qr_term term, qr_req req, bool noop)
{
    qr_assert(lo < hi);
    qr_assert(lo <= r->trail.last_slot + 1); /* no gap */
    qr_assert(lo > r->commit);               /* what is committed stays */
    if (lo <= r->trail.last_slot) {
        qr_assert(r->phase != PHASE_LEADER); /* Leader Append-Only, figure 3 */
        effects_trace(out, POINT_TRUNCATED, lo, r->trail.last_slot, 0);
        trail_truncate(&r->trail, lo);
        journal_truncate(&r->journal, lo);
        raft_members_truncated(r, out, lo);
    }
    struct effect *e = push_persist(r, out);
    e->persist.lo = lo;
    e->persist.hi = hi;
    e->persist.term = term;
    e->persist.req = req;
    e->persist.noop = noop;
    trail_append(&r->trail, hi, term);
    journal_wrote(&r->journal, e->persist.ticket, hi - 1);
    return e;
}

void raft_persist_members(struct raft *r, struct effects *out, const struct membership *members)
{
    qr_assert(r->phase == PHASE_LEADER);
    qr_assert(membership_is_sound(members));
    struct membership *stated = effects_scratch(out, sizeof *stated);
    *stated = *members;
    qr_slot slot = r->trail.last_slot + 1;
    struct effect *e = raft_persist_entries(r, out, slot, slot + 1, r->term, 0, false);
    e->persist.members = stated;
    uint16_t all_before = membership_all(&r->members.members);
    raft_members_stated(r, out, &(struct membership_at){ .slot = slot, .members = *members });
    raft_change_stated(r, all_before);
}

qr_ticket raft_ticket(struct raft *r, struct effects *out, qr_slot slot)
{
    raft_persist_state(r, out);
    qr_ticket state = journal_pending(&r->journal, r->state_ticket);
    return max_u64(state, journal_covering(&r->journal, slot));
}
