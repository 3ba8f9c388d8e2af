/* Invariants of one instance, and of one step. Properties of the whole group (one primary per
 * term, log matching, nothing acknowledged is lost) are the simulator's to check. */
#include "protocol/primary/state.h"

static void check_log(const struct primary *p)
{
    trail_check(&p->trail);
    journal_check(&p->journal);
    qr_assert(p->trimmed <= p->applied);
    qr_assert(p->applied <= p->commit);
    qr_assert(p->commit <= p->trail.last_slot);
    qr_assert(p->trail.base_slot <= p->commit);
    qr_assert(p->trimmed <= p->trail.base_slot);
    qr_assert(p->checkpoint <= p->applied);
    qr_assert(p->matched <= p->trail.last_slot && p->had <= p->trail.last_slot);
    qr_assert(p->journal.durable_slot <= p->trail.last_slot);
    qr_assert(trail_last_term(&p->trail) <= p->term);
    qr_assert(!p->state_dirty);
    qr_assert(p->proven <= p->term);
    qr_assert(p->proven != p->term || p->phase == PHASE_PRIMARY || p->applied <= p->matched);
}

static void check_peer(const struct primary *p, node_index i)
{
    const struct peer *peer = &p->peer[i];
    qr_assert(peer->match <= peer->got);
    qr_assert(peer->got < peer->next);
    qr_assert(peer->next <= primary_end(p) + 1);
    qr_assert(peer->heard <= p->now);
    qr_assert(peer->echoed <= peer->heard);
    qr_assert(!peer->forgetful || peer->life != 0);
    qr_assert(peer->barrier <= p->trail.last_slot);
    qr_assert(peer->executed <= p->commit);
}

static void check_primary(const struct primary *p)
{
    qr_assert(p->leader == p->me);
    qr_assert(p->led && !p->forgetful && !p->barred);               /* L2, L7 */
    qr_assert(p->view.term == p->term && p->view.primary == p->me); /* L2 */
    qr_assert(p->term_start <= p->trail.last_slot);
    qr_assert(trail_last_term(&p->trail) == p->term);
    qr_assert(p->commit < p->term_start || p->exact); /* L4 */
    qr_assert(p->feed == (view_all(&p->view) & ~node_bit(p->me)));
    qr_assert((p->fed & ~p->feed) == 0);
    qr_assert(p->matched == 0 && p->ask_count == 0);
    qr_assert(!p->transfer_closed || p->transfer_paused);
    qr_assert(!p->transfer_paused || p->transfer_to != NODE_NONE);
    for (uint32_t rest = p->feed; rest != 0; rest &= rest - 1) {
        check_peer(p, set_first(rest));
    }
}

static void check_state(const struct primary *p)
{
    qr_assert(p->me < MEMBERS_MAX);
    qr_assert(p->life != 0);
    qr_assert(p->view.term <= p->term); /* L6 */
    check_log(p);
    if (p->phase == PHASE_PRIMARY) {
        check_primary(p);
        return;
    }
    qr_assert(p->leader != p->me);
    qr_assert(p->ask_count == 0 || p->leader != NODE_NONE); /* I4 */
    qr_assert(p->fed == 0);
    if (p->feed != 0) { /* R1, R4 */
        qr_assert(p->phase == PHASE_FOLLOWER && p->leader != NODE_NONE && p->matched > 0);
        qr_assert((p->feed & (node_bit(p->me) | node_bit(p->leader))) == 0);
    }
    for (uint32_t rest = p->feed; rest != 0; rest &= rest - 1) {
        check_peer(p, set_first(rest));
    }
    qr_assert(!p->exact);
    qr_assert(p->transfer_to == NODE_NONE && p->transfer_req == 0);
    if (p->phase == PHASE_STANDING) { /* L3 */
        qr_assert(p->leader == NODE_NONE && !p->forgetful);
        qr_assert(p->view.term == p->term && p->view.primary == NODE_NONE);
        qr_assert((p->view.members & node_bit(p->me)) != 0);
    }
}

/* Of a primary that stays one in a term. */
static void check_delta_primary(const struct primary *p, const struct primary *b)
{
    qr_assert(p->trail.last_slot >= b->trail.last_slot);
    qr_assert(p->commit >= b->commit);
    qr_assert(p->term_start == b->term_start);
    qr_assert(p->exact >= b->exact);
    qr_assert(p->transfer_closed >= b->transfer_closed); /* X2 */
    qr_assert(!b->transfer_closed || p->trail.last_slot == b->trail.last_slot);
    for (uint32_t rest = p->feed & b->feed; rest != 0; rest &= rest - 1) {
        const struct peer *now = &p->peer[set_first(rest)];
        const struct peer *before = &b->peer[set_first(rest)];
        qr_assert(now->since >= before->since);
        qr_assert(now->echoed >= before->echoed);
    }
}

/* What no step may do, whatever the event. */
static void check_delta(const struct primary *p, const struct primary *b)
{
    qr_assert(p->now >= b->now);
    qr_assert(p->term >= b->term); /* L1 */
    qr_assert(p->view.term >= b->view.term);
    qr_assert(p->journal.durable >= b->journal.durable);
    qr_assert(p->journal.minted >= b->journal.minted);
    if (p->commit < b->commit) {
        qr_assert(p->phase == PHASE_FOLLOWER);                       /* B4 */
        qr_assert(p->journal.minted > b->journal.minted);            /* B1 */
        qr_assert(p->forgetful || p->applied <= p->trail.last_slot); /* B3 */
    }
    if (p->term > b->term) {
        return;
    }
    qr_assert(p->led >= b->led);
    qr_assert(b->leader == NODE_NONE || p->leader == b->leader); /* a term has one primary */
    qr_assert(p->matched >= b->matched || p->phase == PHASE_PRIMARY ||
              p->checkpoint != b->checkpoint);
    qr_assert(b->phase != PHASE_PRIMARY || p->phase == PHASE_PRIMARY);
    if (b->phase == PHASE_PRIMARY) {
        check_delta_primary(p, b);
    } else if (p->phase == PHASE_PRIMARY) {
        qr_assert(!b->led); /* L2 */
    }
}

void primary_check(const void *self, const void *before)
{
    const struct primary *p = self;
    const struct primary *b = before;
    if (!p->started) {
        return;
    }
    check_state(p);
    if (b != NULL && b->started) {
        check_delta(p, b);
    }
}
