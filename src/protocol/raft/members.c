/* Who takes part: memberships as entries of the log, joint consensus (Raft diss. 4.1, 4.3).
 *
 * A membership is in force at a node from the moment at which its entry is in the log there,
 * committed or not; when the entry is dropped, the one before it is in force again.
 *
 * M1 A leader appends a membership only when the one before it and an entry of its own term are
 *    committed: one change at a time (diss. 4.1; the second half closes the hole that was found in
 *    2015 in changes of single servers). So of the memberships in one log only the last can be
 *    uncommitted, whoever wrote them, and a log that holds two proves the commit of the first:
 *    two are all that an instance must remember. */
#include "protocol/raft/state.h"

void raft_members_start(struct raft *r, const struct membership_at *v, uint32_t count)
{
    if (count == 0) {
        return; /* it has not joined */
    }
    r->before = v[count > 1 ? count - 2 : 0];
    r->members = v[count - 1];
    qr_assert(r->before.slot <= r->members.slot);
    qr_assert(r->members.slot <= r->trail.last_slot);
    r->commit = max_u64(r->commit, r->before.slot); /* M1 */
}

void raft_members_stated(struct raft *r, const struct membership_at *at)
{
    qr_assert(at->slot > r->members.slot);
    qr_assert(at->slot <= r->trail.last_slot);
    r->before = r->members;
    r->members = *at;
    r->commit = max_u64(r->commit, r->before.slot); /* M1 */
    if (r->phase == PHASE_LEADER) {
        raft_members_lead(r);
    }
}

void raft_members_lead(struct raft *r)
{
    qr_assert(r->phase == PHASE_LEADER);
    r->feed = (uint16_t)(membership_all(&r->members.members) & ~raft_bit(r->me));
}

void raft_members_truncated(struct raft *r, qr_slot from)
{
    qr_assert(from > r->before.slot);
    if (from <= r->members.slot) {
        r->members = r->before;
    }
}

bool raft_is_alone(const struct raft *r)
{
    uint16_t others = membership_voters(&r->members.members);
    if (r->members.slot > r->commit) {
        others |= membership_voters(&r->before.members);
    }
    return others == raft_bit(r->me);
}

bool raft_may_lead(const struct raft *r)
{
    uint16_t able = membership_voters(&r->members.members);
    if (r->members.slot > r->commit) {
        /* Until the entry that drops it is committed, the others may not be able to do without
         * it: its log may be ahead of all of theirs (diss. 4.2.2). */
        able |= membership_voters(&r->before.members);
    }
    return (able & raft_bit(r->me)) != 0;
}
