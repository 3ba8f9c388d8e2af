/* A primary that goes on: members, set, rule and fallback, S8 to S10 of succession.h. */
#include "base/panic.h"
#include "cluster/succession_internal.h"

/* Who says of itself that it has forgotten something. */
static uint16_t forgetful_of(const struct succession_scene *scene)
{
    uint16_t forgetful = 0;
    for (node_index i = 0; i < MEMBERS_MAX; i++) {
        forgetful |= scene->told[i].forgetful ? succession_bit(i) : 0;
    }
    return forgetful;
}

/* Who has all, is wanted, and forgot nothing. The primary's account is of the term in which it gave
 * it: who comes back was perhaps no member in between. */
static uint16_t fit_of(const struct succession *now, const struct succession_scene *scene)
{
    bool counts = scene->told[now->primary].promised == now->term;
    uint16_t caught = counts ? scene->caught : succession_bit(now->primary);
    return (uint16_t)(caught & scene->alive & ~scene->lost & ~forgetful_of(scene));
}

/* The set beside the primary: those that are in it stay while they are not lost and remember, then
 * come those that have caught up; others stay while nobody else can be had (S9). */
static uint16_t set_for(const struct succession *now, const struct succession_wish *wish,
                        const struct succession_scene *scene, uint16_t members)
{
    uint16_t eligible = (uint16_t)(wish->set_of & members & ~succession_bit(now->primary));
    uint16_t stay = (uint16_t)(now->rule.set & ~scene->lost);
    uint16_t classes[] = { (uint16_t)(stay & ~forgetful_of(scene)), fit_of(now, scene), stay,
                           now->rule.set, UINT16_MAX };
    uint16_t set = 0;
    if (wish->set_count == 0) {
        return eligible;
    }
    for (uint32_t i = 0; i < ARRAY_COUNT(classes); i++) {
        uint32_t missing = wish->set_count - succession_count(set);
        set |= succession_lowest((uint16_t)(eligible & classes[i] & ~set), missing);
    }
    return set;
}

/* What the wish says for those members. */
static struct succession_rule rule_for(const struct succession *now,
                                       const struct succession_wish *wish,
                                       const struct succession_scene *scene, uint16_t members)
{
    struct succession_rule rule = { .members = members, .copies = wish->copies };
    if (wish->set_of != 0) {
        rule.set = (uint16_t)(set_for(now, wish, scene, members) | succession_bit(now->primary));
    }
    return rule;
}

/* Whether those members give as many copies as are promised: while some are on their way there may
 * be too few of them. */
static bool gives(const struct succession_rule *rule, const struct succession_wish *wish,
                  node_index primary)
{
    uint32_t all = succession_count(wish->set_of & wish->members & ~succession_bit(primary));
    uint32_t promised = wish->set_count == 0 ? all : wish->set_count;
    return succession_count(rule->members) > wish->copies &&
           succession_count(rule->set & ~succession_bit(primary)) >= promised;
}

/* S9, one step: the members of the next term. */
static uint16_t members_for(const struct succession *now, const struct succession_wish *wish,
                            const struct succession_scene *scene)
{
    uint16_t members = now->rule.members;
    members |= (uint16_t)(wish->members & now->learners & fit_of(now, scene));
    bool all_in = (wish->members & ~members) == 0;
    if (members != now->rule.members || !all_in || !succession_has(wish->members, now->primary)) {
        return members;
    }
    struct succession_rule rule = rule_for(now, wish, scene, wish->members);
    uint16_t here = (uint16_t)(scene->alive & ~scene->lost);
    bool holds = succession_can_meet(&rule, now->primary, here);
    return holds ? wish->members : members;
}

static bool same_rule(const struct succession_rule *a, const struct succession_rule *b)
{
    return a->members == b->members && a->set == b->set && a->copies == b->copies;
}

static enum succession_reason reason_of(const struct succession *now, const struct succession *next)
{
    if (next->fallen != now->fallen) {
        return next->fallen ? SUCCESSION_FELL_BACK : SUCCESSION_RESTORED;
    }
    if (next->rule.members != now->rule.members || next->learners != now->learners) {
        return SUCCESSION_MEMBERS;
    }
    bool replaced = next->rule.copies == now->rule.copies && next->stage == now->stage &&
                    succession_count(next->rule.set) == succession_count(now->rule.set);
    return replaced ? SUCCESSION_REPLACED : SUCCESSION_RULE;
}

/* The record as it should be, but for its term and duties. */
static struct succession wanted(const struct succession *now, const struct succession_wish *wish,
                                const struct succession_scene *scene)
{
    struct succession next = *now;
    uint16_t members = members_for(now, wish, scene);
    struct succession_rule rule = rule_for(now, wish, scene, members);
    uint16_t here = (uint16_t)(scene->alive & ~scene->lost);
    next.learners = (uint16_t)(wish->members & ~members);
    bool ready = gives(&rule, wish, now->primary);
    if (!ready) { /* the rule before, with those who have come */
        rule = now->rule;
        rule.members = members;
    }
    /* It falls when too few are here, and stands up when enough have caught up (S10). */
    uint16_t able = now->fallen ? fit_of(now, scene) : here;
    next.fallen = (!ready && now->fallen) ||
                  (wish->fallback && !succession_can_meet(&rule, now->primary, able));
    if (next.fallen) {
        rule.set = 0;
        rule.copies = 0;
    }
    next.rule = rule;
    next.stage = wish->stage;
    return next;
}

/* In the life in which it leads: nobody else settles a change, and if the primary is gone already,
 * the choice has to meet one rule more, under which nothing was ever acknowledged. */
static bool is_here(const struct succession *now, const struct succession_scene *scene)
{
    return succession_has(scene->alive, now->primary) &&
           scene->told[now->primary].life == now->life;
}

/* Who is wished and should lead, when the primary is not. */
static node_index heir(const struct succession *now, const struct succession_wish *wish,
                       const struct succession_scene *scene)
{
    uint16_t fit = (uint16_t)(wish->members & now->rule.members & fit_of(now, scene));
    return fit == 0 ? NODE_NONE : (node_index)__builtin_ctz(fit);
}

void succession_change(const struct succession *now, const struct succession_wish *wish,
                       const struct succession_scene *scene, struct succession_action *out)
{
    struct succession next = wanted(now, wish, scene);
    uint16_t here = (uint16_t)(scene->alive & ~scene->lost);
    bool meetable = succession_can_meet(&now->rule, now->primary, here);
    bool differs = !same_rule(&next.rule, &now->rule) || next.learners != now->learners ||
                   next.stage != now->stage || next.fallen != now->fallen;
    if (differs && ((now->settled != now->term && meetable) ||
                    !succession_has_room(now, &next.rule))) { /* S8 */
        out->kind = SUCCESSION_STOP;
        out->reason = SUCCESSION_UNSETTLED;
    } else if (differs && !is_here(now, scene)) { /* S8 */
        out->kind = SUCCESSION_STOP;
        out->reason = SUCCESSION_AWAY;
    } else if (differs) {
        out->kind = SUCCESSION_WRITE;
        out->reason = reason_of(now, &next);
        next.term++;
        succession_owe(&next, &next.rule, next.primary, next.term);
        out->next = next;
    } else if (!meetable) {
        out->kind = SUCCESSION_STOP;
        out->reason = SUCCESSION_FEW_COPIES;
        out->needed = (uint8_t)(now->rule.copies +
                                succession_count(now->rule.set & ~succession_bit(now->primary)));
        uint16_t others = (uint16_t)(now->rule.set != 0 ? now->rule.set : now->rule.members);
        others &= (uint16_t)~succession_bit(now->primary);
        out->stand = (uint16_t)(others & here);
        out->awaited = (uint16_t)(others & ~here);
    } else if (!succession_has(wish->members, now->primary) &&
               (wish->members & ~now->rule.members) == 0) {
        out->to = heir(now, wish, scene);
        out->kind = out->to == NODE_NONE ? SUCCESSION_STOP : SUCCESSION_HAND_OVER;
        out->reason = out->to == NODE_NONE ? SUCCESSION_NOT_FIT : SUCCESSION_NONE;
    }
}
