/* When a slot is committed: the rule of the view.
 *
 * K1 A slot is committed when the primary has it, every other member of the view's `set`, and
 *    `copies` further members, beside the primary and beside the set.
 * K2 Only entries of the primary's own term are counted; those before are committed with them
 *    (Ongaro 2014, 5.4.2). The NOOP at the start of the term is the first of them. An entry of an
 *    older term on enough copies may still lose to one of a term between, which a member holds
 *    that did not have to stand.
 * K3 To have it is to have it durably; where the view says `received`, to have received it. The
 *    primary's own copy is counted like any other.
 * K4 A forgetful member does not count (forget.c).
 * K5 With too few members in contact for the rule, operations are refused before anything is
 *    written. In the first election time-out of a term everybody is given time to answer.
 * K6 Where the view says `applied`, copies count for the commit as with `durable`: nobody executes
 *    what is not committed. Then the same rule, of what they have executed, says how far it is
 *    `shared`, and the driver answers no write beyond that (executed.c). */
#include "protocol/primary/state.h"

bool primary_awaits(const struct primary *p, node_index i)
{
    bool any = p->view.copies > 0 && (p->view.members & node_bit(i)) != 0;
    return any || (p->view.set & node_bit(i)) != 0;
}

/* K3, K4 */
static qr_slot reached_by(const struct primary *p, node_index i)
{
    bool early = primary_is_early(p);
    if (i == p->me) {
        return early ? p->trail.last_slot : p->journal.durable_slot;
    }
    const struct peer *peer = &p->peer[i];
    return peer->forgetful ? 0 : early ? peer->got : peer->match;
}

/* Those that `copies` are counted of. */
static uint32_t others(const struct primary *p)
{
    return p->view.members & ~p->view.set & ~(uint32_t)node_bit(p->me);
}

/* The largest slot that `copies` of them have. */
static qr_slot had_by_copies(const struct primary *p, qr_slot (*had_by)(const struct primary *p,
                                                                        node_index i))
{
    qr_slot highest[MEMBERS_MAX] = { 0 }; /* descending */
    uint32_t n = 0;
    for (uint32_t rest = others(p); rest != 0; rest &= rest - 1) {
        qr_slot slot = had_by(p, set_first(rest));
        uint32_t at = n++;
        for (; at > 0 && highest[at - 1] < slot; at--) {
            highest[at] = highest[at - 1];
        }
        highest[at] = slot;
    }
    return p->view.copies > n ? 0 : highest[p->view.copies - 1];
}

/* K1 */
static qr_slot had_by_rule(const struct primary *p, qr_slot (*had_by)(const struct primary *p,
                                                                      node_index i))
{
    qr_slot had = had_by(p, p->me);
    for (uint32_t rest = p->view.set & ~(uint32_t)node_bit(p->me); rest != 0; rest &= rest - 1) {
        had = min_u64(had, had_by(p, set_first(rest)));
    }
    return p->view.copies > 0 ? min_u64(had, had_by_copies(p, had_by)) : had;
}

void primary_advance_commit(struct primary *p)
{
    qr_assert(p->phase == PHASE_PRIMARY);
    qr_slot reached = had_by_rule(p, reached_by);
    if (reached > p->commit && reached >= p->term_start) { /* K2 */
        qr_assert(trail_term(&p->trail, reached) == p->term);
        p->commit = reached;
        p->exact = true;    /* L4 */
        p->informed = true; /* A5 */
    }
}

static qr_slot executed_by(const struct primary *p, node_index i)
{
    return i == p->me ? p->commit : p->peer[i].forgetful ? 0 : p->peer[i].executed;
}

qr_slot primary_shared(const struct primary *p)
{
    qr_assert(p->phase == PHASE_PRIMARY);
    return had_by_rule(p, executed_by);
}

bool primary_is_lively(const struct primary *p, node_index i)
{
    qr_time heard = later(p->peer[i].heard, p->leads_since);
    return i == p->me || p->now < heard + p->limits.election;
}

bool primary_has_replicas(const struct primary *p)
{
    uint32_t here = 0;
    for (uint32_t rest = p->feed; rest != 0; rest &= rest - 1) {
        node_index i = set_first(rest);
        here |= primary_is_lively(p, i) && !p->peer[i].forgetful ? node_bit(i) : 0u;
    }
    uint32_t set = p->view.set & ~(uint32_t)node_bit(p->me);
    return (set & ~here) == 0 && quorum_count(others(p) & here) >= p->view.copies; /* K5 */
}

qr_slot primary_floor(const struct primary *p)
{
    qr_slot floor = p->journal.durable_slot;
    for (uint32_t rest = p->feed; rest != 0; rest &= rest - 1) {
        floor = min_u64(floor, p->peer[set_first(rest)].match);
    }
    return floor;
}
