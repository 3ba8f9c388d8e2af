/* Duties: what is owed to rules of before, S4, S7 and S8 of succession.h. */
#include "base/panic.h"
#include "cluster/succession_internal.h"

#define GUARDS_MAX 3u /* duties that stay beside a settled LOCAL, where they can be put together */

/* Whether whoever meets the duty for `owed` meets the one for `rule` as well. One of a set is one
 * of each set around it, whoever else is a member. */
static bool covers(const struct succession_rule *owed, const struct succession_rule *rule)
{
    if (owed->set != 0 && rule->set != 0) {
        return (owed->set & ~rule->set) == 0;
    }
    return owed->members == rule->members && owed->copies == rule->copies && owed->set == rule->set;
}

static void drop(struct succession *s, uint32_t at)
{
    s->duty_count--;
    for (uint32_t i = at; i < s->duty_count; i++) {
        s->duty[i] = s->duty[i + 1];
    }
    s->duty[s->duty_count] = (struct succession_duty){ .last = 0 };
}

/* --- Two become one --------------------------------------------------------------------------- */

/* Whether somebody beside the primary has what was acknowledged under it. */
static bool is_shared(const struct succession_rule *rule)
{
    return rule->copies > 0 || (rule->set & (rule->set - 1)) != 0;
}

/* Which two are put together first: where the choice is left the most freedom. 0: they cannot be,
 * LOCAL is given up sooner, and of a set of one nobody else can speak for that one. */
static uint32_t fitness(const struct succession_rule *a, const struct succession_rule *b)
{
    if (succession_is_local(a) && succession_is_local(b)) {
        return 2;
    }
    if ((a->set & b->set) != 0) {
        return 2 + succession_count(a->set & b->set);
    }
    bool counted = a->copies > 0 && b->copies > 0;
    return counted ? 2 : is_shared(a) && is_shared(b) ? 1 : 0;
}

/* Whoever meets it meets both: one of both sets, or all but fewer than either number of all their
 * members, or all of their primaries. */
static struct succession_duty join(const struct succession_duty *a, const struct succession_duty *b)
{
    struct succession_duty both = { .rule = { .members = a->rule.members | b->rule.members,
                                              .set = a->rule.set & b->rule.set },
                                    .primaries = a->primaries | b->primaries,
                                    .last = max_u64(a->last, b->last) };
    if (both.rule.set == 0 && !succession_is_local(&a->rule)) {
        uint8_t fewest = a->rule.copies < b->rule.copies ? a->rule.copies : b->rule.copies;
        both.rule.copies = fewest > 0 ? fewest : 1;
    }
    return both;
}

/* False: no two of them can be. */
static bool find_two(const struct succession *s, uint32_t *first, uint32_t *second)
{
    uint32_t best = 0;
    for (uint32_t i = 0; i < s->duty_count; i++) {
        for (uint32_t j = i + 1; j < s->duty_count; j++) {
            uint32_t fits = fitness(&s->duty[i].rule, &s->duty[j].rule);
            if (fits > best) {
                best = fits;
                *first = i;
                *second = j;
            }
        }
    }
    return best > 0;
}

static bool join_two(struct succession *s)
{
    uint32_t first, second;
    if (!find_two(s, &first, &second)) {
        return false;
    }
    s->duty[first] = join(&s->duty[first], &s->duty[second]);
    drop(s, second);
    return true;
}

/* --- In and out ------------------------------------------------------------------------------- */

bool succession_has_room(const struct succession *now, const struct succession_rule *rule)
{
    uint32_t first, second;
    bool has = now->duty_count < SUCCESSION_DUTIES_MAX || find_two(now, &first, &second);
    for (uint32_t i = 0; i < now->duty_count; i++) {
        has = has || covers(&now->duty[i].rule, rule);
    }
    return has;
}

/* Room for one that none of them covers: those that it covers go. */
static void make_room(struct succession *next, const struct succession_rule *rule)
{
    for (uint32_t i = next->duty_count; i-- > 0;) {
        if (rule->set != 0 && covers(rule, &next->duty[i].rule)) {
            drop(next, i);
        }
    }
    if (next->duty_count == SUCCESSION_DUTIES_MAX) {
        qr_assert(join_two(next)); /* S8 */
    }
}

void succession_owe(struct succession *next, const struct succession_rule *rule, node_index primary,
                    qr_term term)
{
    uint32_t i = 0;
    while (i < next->duty_count && !covers(&next->duty[i].rule, rule)) {
        i++;
    }
    if (i == next->duty_count) {
        make_room(next, rule);
        i = next->duty_count++;
        next->duty[i] = (struct succession_duty){ .rule = *rule };
    }
    next->duty[i].primaries |= succession_bit(primary);
    next->duty[i].last = term;
}

/* Whether somebody else than one of the present members may be needed for it. */
static bool is_elsewhere(const struct succession *s, const struct succession_duty *duty)
{
    return !succession_is_local(&duty->rule) && duty->rule.set != s->rule.members;
}

bool succession_is_held(const struct succession *now, const struct succession_scene *scene)
{
    uint16_t past = (uint16_t)(scene->alive & scene->caught) | succession_bit(now->primary);
    bool elsewhere = false;
    for (node_index i = 0; i < MEMBERS_MAX; i++) {
        past &= (uint16_t)~(scene->told[i].forgetful ? succession_bit(i) : 0);
    }
    for (uint32_t i = 0; i < now->duty_count; i++) {
        elsewhere = elsewhere || is_elsewhere(now, &now->duty[i]);
    }
    return elsewhere && now->primary != NODE_NONE && now->settled == now->term && !now->fallen &&
           succession_is_local(&now->rule) && (now->rule.members & ~past) == 0;
}

void succession_gather(struct succession *next)
{
    struct succession_duty held = { .rule = { .members = next->rule.members,
                                              .set = next->rule.members },
                                    .primaries = succession_bit(next->primary) };
    for (uint32_t i = next->duty_count; i-- > 0;) {
        if (!succession_is_local(&next->duty[i].rule)) {
            held.last = max_u64(held.last, next->duty[i].last);
            drop(next, i);
        }
    }
    next->duty[next->duty_count++] = held;
}

void succession_settle(struct succession *next)
{
    bool local = succession_is_local(&next->rule);
    for (uint32_t i = next->duty_count; i-- > 0;) {
        if (!local || succession_is_local(&next->duty[i].rule)) {
            drop(next, i);
        }
    }
    while (next->duty_count > GUARDS_MAX && join_two(next)) {
    }
    next->settled = next->term;
    succession_owe(next, &next->rule, next->primary, next->term);
}
