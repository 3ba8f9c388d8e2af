/* Snapshots: what a checkpoint allows to trim, and how a member that lacks what is trimmed is
 * brought up by the checkpoint of another (diss. chapter 5; figure 5.3, adapted).
 *
 * The bytes are the drivers' business (they are pulled, see docs/decisions): a leader says who
 * needs a snapshot and from which slot on it helps (SNAPSHOT), the member is asked once a whole one
 * lies on its disk (OFFER) and takes it (INSTALL) or not.
 *
 * S1 A snapshot holds nothing but committed entries. So it is welcome from whoever sent it and
 *    however long ago, as long as it goes beyond what is committed here; nothing that is committed
 *    here is ever replaced.
 * S2 To know that a slot is committed is to know it as of a term: leaders of earlier terms may lack
 *    it, and this node would tell them that up to its commit index their log equals its own (A2).
 *    Five nodes: 0 leads term 4 and has 4@4 on itself and 1; 2 is elected in term 5 by 2, 3, 4 and
 *    commits 4@3. Node 1 gets that snapshot. Still in term 4, it would acknowledge 4@4 to node 0,
 *    which may then count an older answer of 3 and commit it as well. So the node takes over the
 *    term of the offer first; every leader from that term on has the slot (Leader Completeness). A
 *    start does the same with the term that is in the checkpoint (START.commit_term): the state
 *    record may be lost when the checkpoint is not.
 * S3 When the log holds the snapshot's last entry, everything up to it is equal (Log Matching) and
 *    nothing is replaced: the commit index rises, the log is applied. That is figure 5.3, rule 6,
 *    except that the snapshot itself is not even needed.
 * S4 Else what the log holds behind the commit index contradicts the snapshot, or does not reach
 *    it: the log becomes empty at its slot. Term and vote stay. Nothing here calls entries durable
 *    that went: see journal_replace.
 * S5 The installation is acknowledged like entries, after its ticket. Should that answer be lost,
 *    the empty APPENDs that go to a member in need find out, and so they do when it was brought up
 *    by somebody else.
 * S6 A leader never installs (Leader Append-Only). A candidate that does is a candidate no more: it
 *    campaigns with a log that it does not have now. */
#include "protocol/raft/state.h"

/* --- The own checkpoint --------------------------------------------------------------------- */

/* Trims what a checkpoint holds and no member needs any more. */
static void trim(struct raft *r, struct effects *out, qr_slot release, qr_slot pin)
{
    qr_slot upto = min_u64(r->checkpoint, max_u64(r->floor, release));
    upto = pin == 0 ? upto : min_u64(upto, pin);
    if (upto <= r->trimmed) {
        return;
    }
    qr_assert(upto <= r->applied);
    if (upto > r->trail.base_slot) {
        trail_trim(&r->trail, upto);
    }
    r->trimmed = upto;
    struct effect *e = effects_push(out, EFFECT_TRIM);
    e->trim.upto = upto;
}

void raft_on_snapshot(struct raft *r, struct effects *out, qr_slot slot, qr_slot release,
                      qr_slot pin)
{
    qr_assert(slot <= r->applied);
    r->checkpoint = max_u64(r->checkpoint, slot); /* one that was begun before an installation */
    if (r->phase == PHASE_LEADER) {
        r->floor = max_u64(r->floor, raft_floor(r));
    }
    trim(r, out, release, pin);
}

/* --- The leader: who needs one -------------------------------------------------------------- */

void raft_want_snapshot(struct raft *r, struct effects *out, node_index to)
{
    qr_assert(r->phase == PHASE_LEADER);
    qr_assert(r->peer[to].mode == PEER_SNAPSHOT);
    if (!raft_is_lively(r, to)) {
        return; /* nobody is there to read it */
    }
    struct effect *e = effects_push(out, EFFECT_SNAPSHOT);
    e->snapshot.to = to;
    e->snapshot.least = r->trail.base_slot;
    e->snapshot.term = r->term;
}

/* --- The member: an offer ------------------------------------------------------------------- */

struct offer {
    qr_slot slot;
    qr_term slot_term, term;
    struct membership_at membership;
};

/* A node to which nobody tells the members has not joined, or not yet heard again that it has: it
 * does not campaign. Members of an earlier slot than the log's would be worse than none. */
static bool is_membership_sound(const struct membership_at *at, qr_slot slot)
{
    bool unknown = membership_all(&at->members) == 0;
    return unknown ? at->slot == 0 : at->slot <= slot && membership_is_sound(&at->members);
}

/* Whether it can be a snapshot of this group at all. Terms never fall along a log. */
static bool is_sound(const struct raft *r, const struct offer *o)
{
    return o->slot <= UINT64_MAX / 2 && o->slot_term > 0 && o->slot_term <= o->term &&
           o->slot_term >= trail_term(&r->trail, r->commit) &&
           !trail_is_absurd(&r->trail, o->term) && is_membership_sound(&o->membership, o->slot);
}

static bool holds(const struct raft *r, const struct offer *o)
{
    return o->slot <= r->trail.last_slot && trail_term(&r->trail, o->slot) == o->slot_term;
}

static void install(struct raft *r, struct effects *out, const struct offer *o)
{
    qr_assert(r->phase != PHASE_LEADER); /* S6 */
    qr_assert(o->slot > r->commit);      /* S1 */
    qr_assert(o->term <= r->term);       /* S2 */
    if (r->phase != PHASE_FOLLOWER) {
        raft_become_follower(r, out, r->term, NODE_NONE); /* S6 */
    }
    raft_persist_state(r, out);
    effects_trace(out, POINT_INSTALLED, o->slot, o->slot_term, r->trail.last_slot);
    struct effect *e = effects_push(out, EFFECT_INSTALL);
    e->install.ticket = journal_mint(&r->journal);
    e->install.slot = o->slot;
    e->install.term = o->slot_term;
    journal_replace(&r->journal, e->install.ticket, r->commit, o->slot); /* S4 */
    trail_reset(&r->trail, o->slot, o->slot_term);
    r->commit = o->slot;
    r->applied = o->slot;
    r->trimmed = o->slot;
    r->checkpoint = o->slot;
    raft_members_installed(r, out, &o->membership);
}

/* S5: tells the leader where it may go on. */
static void acknowledge(struct raft *r, struct effects *out, qr_slot slot)
{
    if (r->phase != PHASE_FOLLOWER || r->leader == NODE_NONE) {
        return;
    }
    r->matched = max_u64(r->matched, slot); /* the leader of this term has it: S2 */
    raft_acknowledge_unasked(r, out);
}

void raft_on_offer(struct raft *r, struct effects *out, const struct event *event)
{
    struct offer o = { .slot = event->offer.slot,
                       .slot_term = event->offer.slot_term,
                       .term = event->offer.term,
                       .membership = event->offer.membership };
    if (o.slot <= r->commit || (r->phase == PHASE_LEADER && o.term <= r->term)) {
        effects_trace(out, POINT_OFFER_STALE, o.slot, r->commit, 0); /* S1, S6 */
        return;
    }
    if (!is_sound(r, &o)) {
        effects_trace(out, POINT_OFFER_REFUSED, o.slot, o.slot_term, 0);
        return;
    }
    if (o.term > r->term) {
        raft_become_follower(r, out, o.term, NODE_NONE); /* S2 */
    }
    if (holds(r, &o)) {
        effects_trace(out, POINT_OFFER_HELD, o.slot, 0, 0);
        r->commit = o.slot; /* S3 */
    } else if (o.slot <= r->matched) {
        effects_trace(out, POINT_OFFER_REFUSED, o.slot, o.slot_term, 0);
        return; /* the leader of this term has another entry there, and has what is committed */
    } else {
        install(r, out, &o);
    }
    acknowledge(r, out, o.slot);
}
