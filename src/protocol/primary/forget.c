/* A forgetful member: one that may have lost what it promised, by a damaged disk, a wiped one, or
 * acknowledgements that were not durable. Until it holds again whatever it may have acknowledged
 * it follows, stores and applies, but it neither stands nor leads, and its answers do not count.
 *
 *   forgetful F                              primary P of term t
 *     answer, life, forgetful  ------------>   first of this life: what F had acknowledged is void;
 *                                              the barrier is b, where P's log ends now
 *     answer, match >= b       ------------>
 *                              <------------   RECOVERED b
 *     state record, then
 *     answer, not forgetful    ------------>   counts again
 *
 * Why that is enough:
 *
 * F1 Lost entries. What F acknowledged to P lies below b, and F holds P's log up to b when it
 *    recovers. Of what it acknowledged to primaries before P, all that is committed is in P's log:
 *    P was chosen by those that stood, and F was either not among them, or it stood before the
 *    loss with all that it had. (The barrier need not be committed, as in raft/forget.c it must:
 *    there it keeps candidates of later terms from winning by a vote that F forgot; here group 0
 *    keeps them.)
 * F2 Links reorder. An answer names the life that gives it, and what it answers by the time at
 *    which that was sent: answers of a life before to what was sent before the present one was
 *    heard of say nothing.
 * F3 Lost promises. F may have stood for a term u > t, and forgotten: group 0 would count it among
 *    those that take nothing of P any more, while F acknowledges P's entries. So F recovers only
 *    while it holds its lease with group 0 in this life. Before group 0 grants that, it takes what
 *    F's earlier lives told for void; and the driver tells a lease when this node's map is as new
 *    as group 0's was when it granted it, so a term that was written down with F's old stand is
 *    known here, and promised.
 * F4 That F is forgetful is durable until the record of its recovery is. Everything that it says
 *    as a member that counts waits for that one.
 * F5 Said late: an answer "forgetful" of a life that counts by now was said before it recovered.
 *    */
#include "protocol/primary/state.h"

/* --- The forgetful member ------------------------------------------------------------------- */

void primary_forget(struct primary *p, struct effects *out)
{
    qr_assert(p->phase != PHASE_PRIMARY);
    effects_trace(out, POINT_FORGETFUL, 0, 0, 0);
    p->phase = PHASE_FOLLOWER;
    p->forgetful = true;
    p->life = (uint32_t)rng_next(&p->rng) | 1;
    p->state_dirty = true; /* F4 */
}

void primary_on_recovered(struct primary *p, struct effects *out, node_index from,
                          const struct primary_recovered *m)
{
    if (!primary_follow(p, out, from, m->term)) {
        return;
    }
    if (!p->forgetful || m->life != p->life || m->slot == 0 || m->slot > p->matched) {
        effects_trace(out, POINT_DROPPED, PRIMARY_RECOVERED, from, 0);
        return;
    }
    if (!p->leased) {
        effects_trace(out, POINT_RECOVERY_WAITS, 0, 0, 0); /* F3; it is said again */
        return;
    }
    effects_trace(out, POINT_RECOVERED, p->term, from, m->slot);
    p->forgetful = false;
    p->state_dirty = true; /* F4 */
}

/* --- Its primary ----------------------------------------------------------------------------- */

/* What is durable stays so, unless it says otherwise; what was only received is lost. */
static void begin_life(struct primary *p, struct effects *out, node_index from, uint32_t life,
                       bool forgetful)
{
    struct peer *peer = &p->peer[from];
    bool first = peer->life == 0;
    bool remembers = peer->forgetful && !forgetful; /* it was told RECOVERED, and died */
    peer->life = life;
    peer->since = p->now;
    peer->forgetful = forgetful && p->phase == PHASE_PRIMARY; /* a feeder counts nobody */
    peer->match = forgetful ? 0 : peer->match;                /* F1 */
    peer->got = peer->match;
    peer->executed = 0; /* Y3 */
    peer->barrier = primary_end(p);
    if (peer->forgetful) {
        effects_trace(out, POINT_FORGETFUL_MEMBER, from, peer->barrier, 0);
    }
    if (remembers) {
        effects_trace(out, POINT_COUNTS_AGAIN, from, peer->match, 0);
        primary_advance_commit(p);
    }
    if (!first) {
        effects_trace(out, POINT_LIFE, from, life, 0);
        primary_feed_itself(p, out, from);
        primary_replicate(p, out, from);
    }
}

struct peer *primary_note_answer(struct primary *p, struct effects *out, node_index from,
                                 qr_term term, uint32_t life, bool forgetful, qr_time sent)
{
    if (term > p->term) {
        primary_promise(p, out, term);
        return NULL;
    }
    bool fed = (p->feed & node_bit(from)) != 0; /* by the primary, or a feeder (feed.c) */
    if (term < p->term || !fed || life == 0 || sent > p->now) {
        return NULL;
    }
    struct peer *peer = &p->peer[from];
    if (peer->life != life) {
        if (peer->life != 0 && sent <= peer->since) {
            return NULL; /* F2 */
        }
        begin_life(p, out, from, life, forgetful);
    }
    peer->heard = p->now;
    peer->echoed = later(peer->echoed, sent);
    if (p->phase != PHASE_PRIMARY) {
        return peer;
    }
    if (forgetful && !peer->forgetful) {
        return NULL; /* F5 */
    }
    if (!forgetful && peer->forgetful) {
        effects_trace(out, POINT_COUNTS_AGAIN, from, peer->match, 0);
        peer->forgetful = false;
        primary_advance_commit(p); /* what it holds already counts from now on */
    }
    return peer;
}

void primary_tell_recovered(struct primary *p, struct effects *out, node_index to)
{
    const struct peer *peer = &p->peer[to];
    if (!peer->forgetful || peer->match < peer->barrier) {
        return;
    }
    effects_trace(out, POINT_RECOVERY_TOLD, to, peer->barrier, 0);
    qr_ticket begun = journal_pending(&p->journal, p->state_ticket);
    struct primary_recovered *m = PRIMARY_SEND(out, to, RECOVERED, recovered, begun);
    m->term = p->term;
    m->slot = peer->barrier;
    m->life = peer->life;
}
