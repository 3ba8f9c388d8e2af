/* ON applied: a write is answered when as many copies as the rule wants have executed it, so that a
 * read at any of them shows it (commit.c, K6).
 *
 *   primary                                  member
 *     APPEND entries          ---------->    persists, acknowledges as ever
 *     commits, executes
 *     APPEND commit           ---------->    executes: EXECUTED
 *                             <----------    APPLIED slot
 *     answers what is shared
 *
 * Y1 A member tells what it has executed of the log of the present primary: no more than is
 *    matched in this term, so that nothing of it is ever taken back in it (append.c, A2). What was
 *    told is said again with each heartbeat's answer: it may have been lost.
 * Y2 A commit would reach members with the next entries, or a heartbeat: here they are told at
 *    once, each of those that the rule waits for. No answer is wanted but APPLIED.
 * Y3 A life that is over has executed nothing: the next one begins with its checkpoint. */
#include "protocol/primary/state.h"

void primary_tell_executed(struct primary *p, struct effects *out)
{
    bool wanted = primary_shares(p) && p->phase == PHASE_FOLLOWER && p->leader != NODE_NONE;
    qr_slot slot = min_u64(p->executed, p->matched); /* Y1 */
    if (!wanted || slot == 0 || p->forgetful) {
        return;
    }
    struct primary_applied *m =
        PRIMARY_SEND(out, p->leader, APPLIED, applied, primary_ticket(p, out, 0));
    m->term = p->term;
    m->life = p->life;
    m->slot = slot;
}

void primary_on_executed(struct primary *p, struct effects *out, qr_slot slot)
{
    qr_assert(slot <= p->applied);
    p->executed = slot;
    primary_tell_executed(p, out);
}

void primary_on_applied(struct primary *p, struct effects *out, node_index from,
                        const struct primary_applied *m)
{
    if (m->term > p->term) {
        primary_promise(p, out, m->term);
        return;
    }
    bool fed = p->phase == PHASE_PRIMARY && (p->feed & node_bit(from)) != 0;
    struct peer *peer = &p->peer[from];
    if (m->term < p->term || !fed || m->life != peer->life || m->slot > p->commit) { /* Y3 */
        effects_trace(out, POINT_DROPPED, PRIMARY_APPLIED, from, 0);
        return;
    }
    peer->executed = max_u64(peer->executed, m->slot);
}

/* Y2 */
void primary_tell_commit(struct primary *p, struct effects *out)
{
    if (!primary_shares(p) || p->commit <= p->commit_told) {
        return;
    }
    p->commit_told = p->commit;
    for (uint32_t rest = p->feed; rest != 0; rest &= rest - 1) {
        node_index to = set_first(rest);
        const struct peer *peer = &p->peer[to];
        if (primary_awaits(p, to) && peer->mode == PEER_REPLICATE &&
            peer->got >= p->trail.base_slot) {
            primary_push_append(p, out, to, peer->got, false);
        }
    }
}
