/* The rules are in the header; here is which of them decides. */
#include "cluster/follow.h"

#include "base/panic.h"
#include "protocol/quorum.h"

static struct follow_action action(enum follow_kind kind)
{
    return (struct follow_action){ .kind = kind, .to = NODE_NONE };
}

bool follow_is_gone(const struct map *map, uint32_t group)
{
    return map_partition(map, group) == NULL && group >= GROUP_FIRST &&
           group < map_settings(map)->next_group;
}

struct membership follow_first_members(const struct map_partition *partition, node_index me,
                                       bool forgetful)
{
    if (forgetful && partition->founders == node_bit(me)) {
        return (struct membership){ 0 }; /* F4 */
    }
    return (struct membership){ .voters = partition->founders };
}

node_index follow_caller(const struct map_partition *p, uint16_t alive)
{
    uint16_t could = (uint16_t)(p->held & alive);
    if (p->prefers != NODE_NONE && (could & node_bit(p->prefers)) != 0) {
        return p->prefers;
    }
    return could != 0 ? set_first(could) : NODE_NONE;
}

bool follow_look(struct follow_fresh *fresh, const struct outlook *zero, qr_slot applied)
{
    if (fresh->fresh) {
        return true;
    }
    /* Entries that were dropped since nobody has gone by. */
    fresh->upto = zero->forgetful ? UINT64_MAX : min_u64(fresh->upto, zero->last);
    fresh->fresh = applied >= fresh->upto && applied >= fresh->joined;
    return fresh->fresh;
}

/* --- The replica itself --------------------------------------------------------------------- */

static enum follow_kind create(const struct map_partition *p, const struct follow_view *view)
{
    uint16_t me = node_bit(view->me);
    bool founder = (p->founders & ~p->moved & me) != 0;
    if (founder && (p->held & me) != 0 && !view->log_knows && !view->log_lost) {
        return FOLLOW_FOUND; /* F2 */
    }
    return (p->wish & me) != 0 ? FOLLOW_JOIN : FOLLOW_NOTHING; /* F3 */
}

static bool is_to_go(const struct map_partition *p, const struct follow_view *view)
{
    uint16_t me = node_bit(view->me);
    if ((p->held & me) != 0 || view->epoch > p->epoch) {
        return false; /* F7 */
    }
    qr_assert((p->wish & me) == 0);
    qr_assert((p->founders & ~p->moved & me) == 0); /* F7 */
    return true;
}

/* F12: what it has may be wanted for a choice yet. */
static bool is_owed(const struct succession *s, node_index me)
{
    if (s == NULL) {
        return false;
    }
    uint16_t named = s->rule.members | s->rule.set | s->learners;
    for (uint32_t i = 0; i < s->duty_count; i++) {
        named |= s->duty[i].rule.members | s->duty[i].rule.set | s->duty[i].primaries;
    }
    return (named & node_bit(me)) != 0 || s->settled != s->term;
}

/* --- Its leader ----------------------------------------------------------------------------- */

/* The next step from the present members towards the wish (F9). */
static struct membership step_to(const struct membership *now, uint16_t wish)
{
    uint16_t missing = (uint16_t)(wish & ~now->voters);
    bool swap = quorum_count(now->voters) == 1 && quorum_count(missing) == 1;
    if (missing == 0 || (swap && now->learners == missing)) {
        return (struct membership){ .voters = wish };
    }
    return (struct membership){ .voters = now->voters, .learners = missing };
}

/* Whether that node could lead at once, as far as the leader knows. */
static bool could_lead(const struct follow_view *view, node_index node)
{
    const struct outlook *o = view->outlook;
    const struct member_outlook *m = &o->member[node];
    bool votes = (o->membership.voters & view->able & node_bit(node)) != 0;
    return votes && m->heard != 0 && !m->skewed && !m->forgetful && !m->needs_snapshot &&
           m->match >= o->commit;
}

static struct follow_action lead(const struct map_partition *p, const struct follow_view *view)
{
    const struct outlook *o = view->outlook;
    bool open = o->membership_slot > o->commit || o->membership.outgoing != 0;
    if (!o->can_serve || open || o->transfer_to != NODE_NONE || view->epoch > p->epoch) {
        return action(FOLLOW_NOTHING); /* F5 */
    }
    struct membership wish = { .voters = p->wish };
    bool reached = membership_equal(&o->membership, &wish) && view->epoch == p->epoch;
    if (!reached) {
        struct membership next = step_to(&o->membership, p->wish);
        bool waits = membership_equal(&next, &o->membership) && view->epoch == p->epoch;
        struct follow_action change = action(waits ? FOLLOW_NOTHING : FOLLOW_CHANGE_MEMBERS);
        change.members = next;
        change.restated = view->epoch != p->epoch;
        change.epoch = p->epoch;
        return change;
    }
    if (p->settled < p->epoch) {
        struct follow_action report = action(FOLLOW_REPORT_SETTLED); /* F6 */
        report.epoch = p->epoch;
        return report;
    }
    bool others = p->prefers != NODE_NONE && p->prefers != view->me;
    struct follow_action hand_over = action(FOLLOW_NOTHING);
    if (others && could_lead(view, p->prefers)) {
        hand_over.kind = FOLLOW_HAND_OVER; /* F10 */
        hand_over.to = p->prefers;
    }
    return hand_over;
}

struct follow_action follow(const struct map *map, uint32_t group, const struct follow_view *view)
{
    const struct map_partition *p = map_partition(map, group);
    qr_assert(group >= GROUP_FIRST); /* N3 */
    qr_assert(view->me < MEMBERS_MAX);
    if (p == NULL) {
        bool gone = view->has_replica && view->fresh && follow_is_gone(map, group);
        return action(gone ? FOLLOW_DELETE : FOLLOW_NOTHING);
    }
    if (!view->has_replica) {
        return action(view->fresh ? create(p, view) : FOLLOW_NOTHING); /* F1 */
    }
    const struct succession *s = map_succession(map, group);
    if (view->fresh && is_to_go(p, view) && !is_owed(s, view->me)) {
        return action(FOLLOW_DELETE);
    }
    bool leads = view->outlook != NULL && view->outlook->role == ROLE_LEADER;
    leads = leads && s == NULL; /* F12 */
    return leads ? lead(p, view) : action(FOLLOW_NOTHING);
}
