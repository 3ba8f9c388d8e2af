/* Who takes part: memberships as entries of the log, joint consensus (Raft diss. 4.1, 4.3).
 *
 * A membership is in force at a node from the moment at which its entry is in the log there,
 * committed or not; when the entry is dropped, the one before it is in force again.
 *
 * M1 A leader appends a membership only when the one before it and an entry of its own term are
 *    committed: one change at a time. (Without the second half two leaders in turn can each begin
 *    one on top of the same membership; that hole was found in changes of single servers in 2015.)
 *    So of the memberships in one log only the last can be uncommitted, whoever wrote them, and a
 *    log that holds two proves the commit of the first: two are all that an instance remembers.
 * M2 Two memberships in a row have the same voters, or one of them is joint: first (new, old), then
 *    (new). Of the voters of any two in a row every two decisions share a node (quorum_test.c).
 * M3 An index is given again. The new node there must not speak for the old one to those who do not
 *    know yet that it is gone: {0, 1, 2} is made {1}, and index 0 is another node now; node 2, who
 *    was away, would win its vote, or lead on in its old term with its acknowledgements. So a new
 *    node knows the committed entry that took it in. It votes as if its log held that already,
 *    campaigns only when it does, and is in no earlier term.
 * M4 A learner may have to lead. Of {0, 1, 2} node 0 has an entry that makes learner 3 a voter;
 *    node 1 led after it without that entry, brought its own to nobody but 3, and died. Now 0 does
 *    not vote for 2, nor can it win without 3, whose log is ahead of all. So a learner that refuses
 *    a candidate for its log, which asks none but voters, is called: until it hears a leader it may
 *    campaign, by the votes of its own membership's voters, as one who is dropped may (C3). Its own
 *    vote counts nowhere, and it hands over when what it brought is committed. */
#include "protocol/raft/state.h"

bool raft_members_follow(const struct membership *before, const struct membership *next)
{
    if (membership_all(before) == 0) {
        return true; /* it has not joined: it cannot know what was before */
    }
    if (next->outgoing != 0) {
        return before->outgoing == 0 && next->outgoing == before->voters;
    }
    return next->voters == before->voters; /* M2 */
}

void raft_members_start(struct raft *r, const struct membership_at *v, uint32_t count)
{
    if (count == 0) {
        return; /* it has not joined */
    }
    qr_assert(v[0].slot <= r->applied);
    for (uint32_t i = 1; i < count; i++) {
        qr_assert(v[i].slot > r->applied);
        qr_assert(v[i].slot > v[i - 1].slot);
        qr_assert(raft_members_follow(&v[i - 1].members, &v[i].members));
    }
    r->before = v[count > 1 ? count - 2 : 0];
    r->members = v[count - 1];
    qr_assert(r->members.slot <= r->trail.last_slot);
    r->commit = max_u64(r->commit, r->before.slot); /* M1 */
}

void raft_members_stated(struct raft *r, struct effects *out, const struct membership_at *at)
{
    qr_assert(at->slot > r->members.slot);
    qr_assert(at->slot <= r->trail.last_slot);
    qr_assert(raft_members_follow(&r->members.members, &at->members));
    effects_trace(out, POINT_MEMBERS_STATED, at->slot, at->members.voters, at->members.outgoing);
    r->before = r->members;
    r->members = *at;
    r->commit = max_u64(r->commit, r->before.slot); /* M1 */
}

void raft_members_installed(struct raft *r, struct effects *out, const struct membership_at *at)
{
    qr_assert(at->slot <= r->commit);
    if (at->slot != r->members.slot) {
        effects_trace(out, POINT_MEMBERS_STATED, at->slot, at->members.voters,
                      at->members.outgoing);
    }
    r->members = *at;
    r->before = *at;
}

void raft_members_truncated(struct raft *r, struct effects *out, qr_slot from)
{
    qr_assert(from > r->before.slot);
    if (from <= r->members.slot) {
        effects_trace(out, POINT_MEMBERS_REVERTED, r->members.slot, r->before.slot, 0);
        r->members = r->before;
    }
}

/* Its log does not yet reach the entry that took it in (M3). */
static bool is_new(const struct raft *r)
{
    return r->trail.last_slot < r->joined_slot;
}

bool raft_is_alone(const struct raft *r)
{
    uint16_t voters = membership_voters(&r->members.members);
    if (r->members.slot > r->commit) {
        voters |= membership_voters(&r->before.members);
    }
    return voters == node_bit(r->me) && !is_new(r);
}

bool raft_may_lead(const struct raft *r)
{
    uint16_t able = membership_voters(&r->members.members);
    if (r->members.slot > r->commit) {
        /* Until the entry that drops it is known to be committed, the others may not be able to do
         * without it: its log may be ahead of all of theirs (diss. 4.2.2). */
        able |= membership_voters(&r->before.members);
    }
    bool called = r->called && (r->members.members.learners & node_bit(r->me)) != 0; /* M4 */
    return (called || (able & node_bit(r->me)) != 0) && !is_new(r);
}

bool raft_is_lively(const struct raft *r, node_index i)
{
    qr_assert(r->phase == PHASE_LEADER);
    const struct peer *p = &r->peer[i];
    bool slept = r->woken != 0 && (r->away & node_bit(i)) == 0; /* Q5 */
    qr_time heard = slept && r->woken > p->heard ? r->woken : p->heard;
    return i == r->me || (p->heard != 0 && r->now < heard + r->limits.election);
}
