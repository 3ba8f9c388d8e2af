/* Writes to the log: the state record and entries, each with its ticket.
 *
 * Entries only ever go behind the last one: what has to go first is taken back (rollback.c), never
 * overwritten. */
#include "protocol/primary/state.h"

static void put_state(const struct primary *p, struct effects *out, struct effect *e)
{
    if (p->forgetful) {
        struct primary_forgetful_state *forgetful = effects_scratch(out, sizeof *forgetful);
        forgetful->term = p->term;
        forgetful->led = p->led;
        forgetful->local = p->local;
        forgetful->floor = p->floor;
        forgetful->own = p->own;
        e->persist.state_kind = PRIMARY_FORGETFUL_STATE;
        e->persist.state = forgetful;
        return;
    }
    struct primary_state *state = effects_scratch(out, sizeof *state);
    state->term = p->term;
    state->led = p->led;
    state->local = p->local;
    state->floor = p->floor;
    state->own = p->own;
    e->persist.state_kind = PRIMARY_STATE;
    e->persist.state = state;
}

/* One PERSIST, with the state record in it when that changed in this step. */
static struct effect *push_persist(struct primary *p, struct effects *out)
{
    struct effect *e = effects_push(out, EFFECT_PERSIST);
    e->persist.ticket = journal_mint(&p->journal);
    if (p->state_dirty) {
        put_state(p, out, e);
        p->state_dirty = false;
        p->state_ticket = e->persist.ticket;
    }
    return e;
}

void primary_persist_state(struct primary *p, struct effects *out)
{
    if (p->state_dirty) {
        push_persist(p, out);
    }
}

void primary_persist_entries(struct primary *p, struct effects *out, qr_slot hi, qr_term term,
                             qr_req req, bool noop)
{
    qr_assert(hi > p->trail.last_slot + 1);
    qr_assert(term <= p->term);
    struct effect *e = push_persist(p, out);
    e->persist.lo = p->trail.last_slot + 1;
    e->persist.hi = hi;
    e->persist.term = term;
    e->persist.req = req;
    e->persist.noop = noop;
    trail_append(&p->trail, hi, term);
    journal_wrote(&p->journal, e->persist.ticket, hi - 1);
}

qr_ticket primary_ticket(struct primary *p, struct effects *out, qr_slot slot)
{
    primary_persist_state(p, out);
    qr_ticket state = journal_pending(&p->journal, p->state_ticket);
    return max_u64(state, journal_covering(&p->journal, slot));
}
