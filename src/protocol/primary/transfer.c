/* A planned hand-over: nothing is lost, and nobody hears an error.
 *
 * X1 Operations are taken until the target is near, so that the pause is one exchange long and not
 *    as long as the target is behind. Then they are held back until the target has, durably, all
 *    of the log, all of it is committed, and ON applied executed by as many as are wanted: the gap
 *    is 0, and nothing waits for an answer that the target could not give. Where nobody's answers
 *    are counted (LOCAL) it is asked how far it is, for it would tell with the next heartbeat.
 * X2 The order is answered OK then, and from that moment on nothing is taken and no read answered
 *    for the rest of the term, whatever becomes of the hand-over: group 0 may write down the next
 *    view at any time after it, and what this primary took meanwhile would be lost with it, though
 *    it were acknowledged by all who do not know of that view yet. Only a later view ends it: the
 *    target's, or one that names this node again.
 * X3 Before that the order may be given up, by another one or by its time-out: then this primary
 *    goes on as if nothing had been, and answers HANDOVER. */
#include "protocol/primary/state.h"

static bool counts(const struct primary *p, node_index i)
{
    return i < MEMBERS_MAX && (p->view.members & p->feed & node_bit(i)) != 0 &&
           !p->peer[i].forgetful;
}

/* The most up to date of those heard lately; ties go to the lowest index (P7). */
static node_index successor(const struct primary *p)
{
    node_index best = NODE_NONE;
    for (uint32_t rest = p->feed; rest != 0; rest &= rest - 1) {
        node_index i = set_first(rest);
        bool able = counts(p, i) && primary_is_lively(p, i);
        if (able && (best == NODE_NONE || p->peer[i].match > p->peer[best].match)) {
            best = i;
        }
    }
    return best;
}

static void give_up(struct primary *p, struct effects *out)
{
    effects_trace(out, POINT_TRANSFER_GIVEN_UP, p->transfer_to, 0, 0);
    effects_answer(out, p->transfer_req, 1, STATUS_HANDOVER);
    p->transfer_to = NODE_NONE;
    p->transfer_paused = false;
    p->transfer_req = 0;
}

void primary_transfer_end(struct primary *p, struct effects *out)
{
    effects_answer(out, p->transfer_req, 1, STATUS_LEADER_CHANGED);
    p->transfer_to = NODE_NONE;
    p->transfer_paused = false;
    p->transfer_closed = false;
    p->transfer_req = 0;
}

static enum qr_status judge(const struct primary *p, node_index to)
{
    if (p->phase != PHASE_PRIMARY) {
        return STATUS_NOT_LEADER;
    }
    if (p->transfer_to != NODE_NONE) {
        return STATUS_HANDING_OVER;
    }
    return counts(p, to) ? STATUS_OK : STATUS_NOT_A_VOTER;
}

void primary_on_transfer(struct primary *p, struct effects *out, const struct event *event)
{
    node_index to = (node_index)min_u64(event->admin.argument, NODE_NONE);
    if (to == p->me && p->transfer_to != NODE_NONE && !p->transfer_closed) {
        give_up(p, out); /* X3 */
        effects_answer(out, event->admin.req, 1, STATUS_OK);
        return;
    }
    if (to == NODE_NONE && p->phase == PHASE_PRIMARY) {
        to = successor(p);
    }
    enum qr_status status = judge(p, to);
    if (status != STATUS_OK) {
        effects_trace(out, POINT_TRANSFER_REFUSED, event->admin.argument, 0, 0);
        effects_answer(out, event->admin.req, 1, status);
        return;
    }
    qr_time span = event->admin.timeout > 0 ? event->admin.timeout : p->limits.election;
    p->transfer_to = to;
    p->transfer_due = p->now + span;
    p->transfer_req = event->admin.req;
    effects_trace(out, POINT_TRANSFER_BEGUN, to, 0, 0);
    if ((p->fed & node_bit(to)) != 0) {
        primary_feed_itself(p, out, to); /* the pause is to be short */
        primary_replicate(p, out, to);
    }
}

static bool is_near(const struct primary *p)
{
    return p->trail.last_slot - p->peer[p->transfer_to].match <= primary_window(p);
}

void primary_transfer_proceed(struct primary *p, struct effects *out)
{
    qr_assert(p->phase == PHASE_PRIMARY);
    if (p->transfer_to == NODE_NONE || p->transfer_closed) {
        return;
    }
    if (p->now >= p->transfer_due || !counts(p, p->transfer_to)) {
        give_up(p, out); /* X3 */
        return;
    }
    if (!p->transfer_paused && is_near(p)) { /* X1 */
        p->transfer_paused = true;
        primary_ask(p, out, p->transfer_to);
    }
    qr_slot last = p->trail.last_slot;
    bool gap = p->peer[p->transfer_to].match < last || p->commit < last || !p->exact ||
               (primary_shares(p) && primary_shared(p) < last);
    if (!p->transfer_paused || gap) {
        return;
    }
    effects_trace(out, POINT_TRANSFER_READY, p->transfer_to, last, p->term);
    p->transfer_closed = true; /* X2 */
    effects_answer(out, p->transfer_req, 1, STATUS_OK);
    p->transfer_req = 0;
}
