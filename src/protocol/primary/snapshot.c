/* Snapshots: what a checkpoint allows to trim, and how a member that lacks what is trimmed is
 * brought up by the checkpoint of another. The bytes are the drivers' business.
 *
 * S1 A snapshot is welcome from whoever sent it and however long ago, as long as it goes beyond
 *    what is committed here, and its last entry is not of an older term than the last one here.
 * S2 To know that a slot is committed is to know it as of a term: the node takes over the term of
 *    the offer first, so that nothing of an older primary comes behind it (raft/snapshot.c, S2).
 * S3 When the log holds the snapshot's last entry nothing is replaced: the commit index rises.
 * S4 An installed snapshot is looked at as entries are: with LOCAL it may hold what the primary
 *    does not have. So nothing is taken for matched by it. The member tells where its log begins
 *    now, and the primary goes on from there, or says that it is foreign (rollback.c).
 * S5 What the log here holds may be missing in the snapshot. Where every copy that was answered
 *    for was waited for, what is not committed was never answered, and what is committed is in it.
 *    With LOCAL, now or before (`local`), a primary answered alone: of what was its log (`own`)
 *    only what every member holds (`floor`), or what was matched in this term, is sure; or in the
 *    term right before, where the same primary leads this one, and was not chosen for it forgetful:
 *    so a member that is let go right after it has handed over has nothing to name. The rest
 *    is taken back before the snapshot is installed: by name, and what is trimmed is counted,
 *    although some of it may be in the snapshot. While nobody leads nothing is installed over it.
 *    A primary that was chosen forgetful may lack what was below the floor: then the floor begins
 *    at nothing again, which only the view of its term says (`forgot`).
 *    Who got an entry from another has not to name it: that one does.
 * S6 A primary installs nothing. */
#include "protocol/primary/state.h"

/* --- The own checkpoint --------------------------------------------------------------------- */

/* Trims what a checkpoint holds and no member needs any more. */
static void trim(struct primary *p, struct effects *out, qr_slot release, qr_slot pin)
{
    qr_slot upto = min_u64(p->checkpoint, max_u64(p->floor, release));
    upto = pin == 0 ? upto : min_u64(upto, pin);
    if (upto <= p->trimmed) {
        return;
    }
    qr_assert(upto <= p->applied);
    if (upto > p->trail.base_slot) {
        trail_trim(&p->trail, upto);
    }
    p->trimmed = upto;
    struct effect *e = effects_push(out, EFFECT_TRIM);
    e->trim.upto = upto;
}

void primary_on_snapshot(struct primary *p, struct effects *out, qr_slot slot, qr_slot release,
                         qr_slot pin)
{
    if (slot > p->applied) {
        return; /* of what was taken back since */
    }
    p->checkpoint = max_u64(p->checkpoint, slot);
    if (p->phase == PHASE_PRIMARY) {
        p->floor = max_u64(p->floor, primary_floor(p));
    }
    trim(p, out, release, pin);
}

/* --- The primary: who needs one --------------------------------------------------------------- */

void primary_want_snapshot(struct primary *p, struct effects *out, node_index to)
{
    qr_assert(p->phase == PHASE_PRIMARY);
    qr_assert(p->peer[to].mode == PEER_SNAPSHOT);
    if (!primary_is_lively(p, to)) {
        return; /* nobody is there to read it */
    }
    struct effect *e = effects_push(out, EFFECT_SNAPSHOT);
    e->snapshot.to = to;
    e->snapshot.least = p->trail.base_slot;
    e->snapshot.term = p->term;
}

/* --- The member: an offer ------------------------------------------------------------------- */

struct offer {
    qr_slot slot;
    qr_term slot_term, term;
};

/* Whether it can be a snapshot of this group at all. Terms never fall along a log. */
static bool is_sound(const struct primary *p, const struct offer *o)
{
    return o->slot <= UINT64_MAX / 2 && o->slot_term > 0 && o->slot_term <= o->term &&
           o->slot_term >= trail_last_term(&p->trail) &&
           !trail_is_absurd(&p->trail, o->term); /* S1 */
}

static bool holds(const struct primary *p, const struct offer *o)
{
    return trail_knows(&p->trail, o->slot) && trail_term(&p->trail, o->slot) == o->slot_term;
}

qr_slot primary_sure(const struct primary *p)
{
    bool goes_on = p->view.term == p->term && p->view.primary == p->had_by && p->forgot < p->term;
    qr_slot known = max_u64(min_u64(p->floor, p->trail.last_slot), p->matched);
    known = goes_on ? max_u64(known, p->had) : known;
    qr_slot own = p->phase == PHASE_PRIMARY ? p->trail.last_slot : p->own;
    return p->local && own > known ? known : p->trail.last_slot;
}

/* S5: what would be taken back is lost to nobody yet, or the floor may be nothing any more. */
static bool is_unnamed(const struct primary *p)
{
    bool owns = p->local && p->own > 0;
    return owns && (p->leader == NODE_NONE ? primary_sure(p) < p->trail.last_slot
                                           : p->view.term != p->term);
}

static void install(struct primary *p, struct effects *out, const struct offer *o)
{
    qr_assert(p->phase != PHASE_PRIMARY); /* S6 */
    if (primary_sure(p) < p->trail.last_slot || (p->local && p->own > o->slot)) {
        primary_make_room(p, out);
    }
    qr_assert(o->slot > p->commit);
    primary_persist_state(p, out);
    effects_trace(out, POINT_INSTALLED, o->slot, o->slot_term, p->trail.last_slot);
    struct effect *e = effects_push(out, EFFECT_INSTALL);
    e->install.ticket = journal_mint(&p->journal);
    e->install.slot = o->slot;
    e->install.term = o->slot_term;
    journal_replace(&p->journal, e->install.ticket, p->commit, o->slot);
    trail_reset(&p->trail, o->slot, o->slot_term);
    p->commit = o->slot;
    p->applied = o->slot;
    p->trimmed = o->slot;
    p->checkpoint = o->slot;
    p->own = 0;
    p->had = 0;
    p->matched = 0; /* S4 */
    p->proven = 0;
    p->feed = 0;
    primary_reject_unasked(p, out);
}

void primary_on_offer(struct primary *p, struct effects *out, const struct event *event)
{
    struct offer o = { .slot = event->offer.slot,
                       .slot_term = event->offer.slot_term,
                       .term = event->offer.term };
    if (o.slot <= p->commit || (p->phase == PHASE_PRIMARY && o.term <= p->term)) {
        effects_trace(out, POINT_OFFER_STALE, o.slot, p->commit, 0); /* S1, S6 */
        return;
    }
    if (!is_sound(p, &o)) {
        effects_trace(out, POINT_OFFER_REFUSED, o.slot, o.slot_term, 0);
        return;
    }
    if (o.term > p->term) {
        primary_promise(p, out, o.term); /* S2 */
    }
    if (holds(p, &o)) {
        effects_trace(out, POINT_OFFER_HELD, o.slot, 0, 0);
        p->commit = o.slot; /* S3 */
    } else if (o.slot <= p->matched || is_unnamed(p)) {
        effects_trace(out, POINT_OFFER_REFUSED, o.slot, o.slot_term, 0);
    } else {
        install(p, out, &o);
    }
}
