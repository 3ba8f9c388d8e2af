/* Taking back what the primary of a later term does not have.
 *
 * B1 Entries are dropped only here, and everything that is dropped goes through ROLLBACK: whether
 *    applied or not, committed or not. Of ANY and ALL it was never answered; but an entry does not
 *    say under which rule it was made, one of LOCAL was answered by its primary alone, and after a
 *    forced failover one of any rule may have been. The driver says which of them it knows to have
 *    been answered. Only then has an entry that is lost a name.
 * B2 Only what stands behind the common point goes: an entry of the primary differs from the one
 *    here at the slot after it, or, B3, where the log begins.
 * B3 What the common point needs may be gone here: the checkpoint is beyond it, or the log begins
 *    behind it. Or it is gone at the primary, whose snapshots do not go beyond what was executed
 *    here (LOCAL): none of them would ever be taken. Then the replica becomes one that has
 *    nothing: empty state, a log that begins behind slot 0. It may have acknowledged what it drops
 *    below the common point: it is forgetful from then on (forget.c), and the record that says so
 *    is durable before anything goes. What was its own it names from the floor on: the primary has
 *    it up to the common point at most (`maybe`), and may be gone for good before it has sent it
 *    again. What the log does not hold any more has no name in the discard journal: (slot, base]
 *    are counted there.
 * B5 Where the primary has an entry of an older term than the one here, all that it has before is
 *    older too: everything here behind the last entry that is not of a later term goes at once. Its
 *    log may begin there, or behind the end of the one here: no entry of it would ever tell.
 * B6 What was its own up to the floor, or where the logs part, all members held, the primary among
 *    them: it is not lost, and has no name. But this copy is gone, and before the primary has sent
 *    it again the others' disks may be lost too. So it is *given up*: counted in the journal, as of
 *    the term of this primary (`given`). It is here again once this member counts, and is informed
 *    (A5): it holds then what was the log of a primary of this term or of a later one, and each of
 *    those had it, but one that had forgotten it and those that came after such a one. Of that the
 *    view tells, by the latest term in which somebody was chosen so (`forgot`): what was given up
 *    to a term not behind that one stays counted.
 * B4 A primary takes nothing back, and who stands does not either: it follows nobody. */
#include "protocol/primary/state.h"

static struct effect *push_rollback(struct primary *p, struct effects *out, qr_slot slot)
{
    qr_assert(p->phase == PHASE_FOLLOWER); /* B4 */
    primary_persist_state(p, out);
    effects_trace(out, POINT_ROLLED_BACK, slot, p->trail.last_slot, trail_last_term(&p->trail));
    if (slot < p->applied) {
        effects_trace(out, POINT_ROLLED_BACK_APPLIED, slot, p->applied, 0);
    }
    struct effect *e = effects_push(out, EFFECT_ROLLBACK);
    e->rollback.ticket = journal_mint(&p->journal);
    e->rollback.slot = slot;
    e->rollback.last = p->trail.last_slot;
    e->rollback.term = p->term;
    return e;
}

/* Entries behind `slot` are named. */
static void begin_anew(struct primary *p, struct effects *out, qr_slot slot, qr_slot maybe)
{
    qr_assert(slot <= p->trail.last_slot);
    effects_trace(out, POINT_ROLLED_BACK_ANEW, slot, p->trail.base_slot, 0);
    primary_forget(p, out);
    struct effect *e = push_rollback(p, out, slot);
    e->rollback.anew = true;
    e->rollback.given = p->local ? min_u64(p->own, slot) : 0; /* B6 */
    e->rollback.maybe = maybe;
    trail_reset(&p->trail, 0, 0);
    journal_truncate(&p->journal, 1);
    journal_wrote(&p->journal, e->rollback.ticket, 0);
    p->commit = 0;
    p->applied = 0;
    p->executed = 0;
    p->trimmed = 0;
    p->checkpoint = 0;
    p->floor = 0;
    p->own = 0;
    p->matched = 0;
    p->had = 0;
    p->proven = 0;
    p->feed = 0;
    p->informed = false;
    primary_refuse_reads(p, out); /* I3 */
}

/* B3: the logs agree up to `common` at most. What is its own goes by name from where others may
 * lack it, the rest behind `slot`. */
static void begin_anew_behind(struct primary *p, struct effects *out, qr_slot common, qr_slot slot)
{
    qr_slot known = min_u64(p->floor, common);
    begin_anew(p, out, p->own > known ? known : slot, common);
}

void primary_make_room(struct primary *p, struct effects *out)
{
    qr_slot sure = primary_sure(p);
    begin_anew(p, out, p->own > p->floor ? min_u64(sure, p->floor) : sure, p->trail.last_slot);
}

qr_term primary_again(const struct primary *p)
{
    bool here = !p->forgetful && p->informed && p->view.term == p->term;
    return here ? p->forgot : UINT64_MAX; /* B6 */
}

void primary_roll_back(struct primary *p, struct effects *out, qr_slot slot)
{
    qr_assert(slot >= p->trail.base_slot);
    qr_assert(slot < p->trail.last_slot);
    qr_assert(slot >= p->matched); /* A2 */
    if (p->checkpoint > slot) {
        begin_anew_behind(p, out, slot, slot);
        return;
    }
    const struct effect *e = push_rollback(p, out, slot);
    trail_truncate(&p->trail, slot + 1);
    journal_truncate(&p->journal, slot + 1);
    journal_wrote(&p->journal, e->rollback.ticket, slot);
    p->commit = min_u64(p->commit, slot);
    p->applied = min_u64(p->applied, slot);
    p->executed = min_u64(p->executed, slot);
    p->own = min_u64(p->own, slot);
    p->had = min_u64(p->had, slot);
}

void primary_on_foreign(struct primary *p, struct effects *out, node_index from,
                        const struct primary_foreign *m)
{
    if (!primary_follow(p, out, from, m->term)) {
        return;
    }
    bool here = m->slot > 0 && trail_knows(&p->trail, m->slot) &&
                trail_term(&p->trail, m->slot) == m->slot_term;
    bool stuck = m->slot == p->trail.base_slot || p->commit >= m->slot;
    if (!here || !stuck || p->matched >= m->slot) {
        effects_trace(out, POINT_DROPPED, PRIMARY_FOREIGN, from, 0);
        return;
    }
    if (p->matched != 0 && p->matched >= p->trail.base_slot) {
        primary_roll_back(p, out, p->matched); /* a snapshot goes on from there */
        return;
    }
    qr_slot below = max_u64(m->slot - 1, p->trail.base_slot);
    begin_anew_behind(p, out, min_u64(m->common, below), below);
}

void primary_give_way(struct primary *p, struct effects *out, qr_slot slot, qr_term term)
{
    slot = min_u64(slot, p->trail.last_slot); /* B5: older before that, too */
    bool later = trail_knows(&p->trail, slot) && trail_term(&p->trail, slot) > term;
    if (!later || slot <= p->matched) {
        return;
    }
    qr_slot last = trail_last_within(&p->trail, slot, term);
    if (trail_term(&p->trail, last) <= term) {
        primary_roll_back(p, out, last);
    } else {
        begin_anew_behind(p, out, 0, last);
    }
}
