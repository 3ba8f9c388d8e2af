/* The choice of a primary: S1, S4 to S6 of succession.h. */
#include "base/panic.h"
#include "cluster/succession_internal.h"

/* Those who count, as seen for one choice. */
struct stand {
    uint16_t promised; /* this term, whatever they have forgotten */
    uint16_t standing; /* of these: not forgetful (S1) */
    node_index best;   /* of those standing */
};

/* Whose logs may hold something that is owed: the members of all rules. */
static uint16_t all_members(const struct succession *now)
{
    uint16_t all = now->rule.members;
    for (uint32_t i = 0; i < now->duty_count; i++) {
        all |= now->duty[i].rule.members;
    }
    return all;
}

static int compare(const struct succession_scene *scene, node_index a, node_index b)
{
    const struct succession_told *x = &scene->told[a], *y = &scene->told[b];
    if (x->last_term != y->last_term) {
        return x->last_term < y->last_term ? -1 : 1;
    }
    return x->last_slot == y->last_slot ? 0 : x->last_slot < y->last_slot ? -1 : 1;
}

/* Among equals: who is preferred, then who is a member now, then who remembers all. */
static uint32_t merit(const struct succession *now, const struct succession_scene *scene,
                      node_index node)
{
    bool asked = scene->order != SUCCESSION_NO_ORDER && node == scene->to;
    return (node == now->preferred || asked ? 4u : 0) +
           (succession_has(now->rule.members, node) ? 2u : 0) +
           (scene->told[node].forgetful ? 0 : 1u);
}

static node_index best_of(const struct succession *now, const struct succession_scene *scene,
                          uint16_t nodes)
{
    node_index best = NODE_NONE;
    for (node_index i = 0; i < MEMBERS_MAX; i++) {
        if (!succession_has(nodes, i)) {
            continue;
        }
        int order = best == NODE_NONE ? 1 : compare(scene, i, best);
        if (order > 0 || (order == 0 && merit(now, scene, i) > merit(now, scene, best))) {
            best = i;
        }
    }
    return best;
}

/* Before a term is opened whoever has told anything would stand. */
static struct stand stand_of(const struct succession *now, const struct succession_scene *scene)
{
    struct stand s = { .promised = 0 };
    for (node_index i = 0; i < MEMBERS_MAX; i++) {
        const struct succession_told *told = &scene->told[i];
        bool opened = now->primary == NODE_NONE;
        if (succession_has(scene->alive & all_members(now), i) &&
            (opened ? told->promised == now->term : told->life != 0)) {
            s.promised |= succession_bit(i);
            s.standing |= (uint16_t)(told->forgetful ? 0 : succession_bit(i));
        }
    }
    s.best = best_of(now, scene, s.standing);
    return s;
}

/* S4: whether those nodes meet each smallest set of nodes that may hold an acknowledged write. */
static bool is_met(const struct succession_duty *duty, uint16_t standing)
{
    const struct succession_rule *rule = &duty->rule;
    uint16_t away = (uint16_t)(duty->primaries & ~standing);
    if ((rule->set & standing) != 0) {
        return true;
    }
    for (; away != 0; away &= (uint16_t)(away - 1)) {
        uint16_t rest = (uint16_t)(rule->members & ~rule->set & ~(away & -away));
        if (succession_count(rest & ~standing) >= rule->copies) {
            return false;
        }
    }
    return true;
}

/* S5: whether `node` has all that was acknowledged under that duty, or its loss was told before. */
static bool has_all(const struct succession_duty *duty, const struct succession_scene *scene,
                    const struct stand *s, node_index node)
{
    return scene->told[node].last_term > duty->last ||
           (s->best != NODE_NONE && is_met(duty, s->standing) &&
            compare(scene, node, s->best) >= 0);
}

static struct succession_loss loss_of(const struct succession *now,
                                      const struct succession_scene *scene, const struct stand *s,
                                      node_index node)
{
    struct succession_loss loss = { .term = scene->told[node].last_term,
                                    .slot = scene->told[node].last_slot };
    for (uint32_t i = 0; i < now->duty_count; i++) {
        const struct succession_duty *duty = &now->duty[i];
        if (!has_all(duty, scene, s, node)) {
            loss.possible = true;
            loss.promised_more = loss.promised_more || !succession_is_local(&duty->rule);
            loss.through = max_u64(loss.through, duty->last);
        }
    }
    return loss;
}

/* The duty that most must still come for. */
static void tell_who_is_awaited(const struct succession *now, const struct succession_scene *scene,
                                const struct stand *s, struct succession_action *out)
{
    uint32_t most = 0;
    for (uint32_t i = 0; i < now->duty_count; i++) {
        const struct succession_rule *rule = &now->duty[i].rule;
        uint16_t primaries = now->duty[i].primaries;
        bool counted = rule->copies > 0, local = succession_is_local(rule);
        uint16_t who = counted ? rule->members : (uint16_t)(rule->set | primaries);
        uint32_t needed = counted ? succession_count(rule->members) - rule->copies
                          : local ? succession_count(primaries)
                                  : 1;
        uint32_t stand = succession_count(who & s->standing);
        bool owed = s->best == NODE_NONE || !has_all(&now->duty[i], scene, s, s->best);
        if (owed && needed > stand && needed - stand > most) {
            most = needed - stand;
            out->stand = (uint16_t)(who & s->standing);
            out->needed = (uint8_t)needed;
            out->awaited = (uint16_t)(who & ~s->standing);
        }
    }
}

/* The rule goes on with another primary: the set has one more who must have all (so it is owed
 * already, S8), or, where the best is no member any more, the last rule under which it was one. */
static struct succession_rule rule_for(const struct succession *now, node_index node)
{
    struct succession_rule rule = now->rule;
    qr_term last = 0;
    for (uint32_t i = 0; i < now->duty_count && !succession_has(now->rule.members, node); i++) {
        const struct succession_duty *duty = &now->duty[i];
        if (succession_has(duty->rule.members, node) && duty->last > last) {
            rule = duty->rule;
            last = duty->last;
        }
    }
    rule.set |= (uint16_t)(rule.set != 0 ? succession_bit(node) : 0);
    return rule;
}

static void take(const struct succession *now, const struct succession_scene *scene,
                 node_index node, const struct succession_loss *loss, struct succession_action *out)
{
    out->kind = SUCCESSION_WRITE;
    out->reason = loss->promised_more ? SUCCESSION_FORCED : SUCCESSION_CHOSEN;
    out->loss = *loss;
    out->next = *now;
    out->next.primary = node;
    out->next.loss = loss->possible ? *loss : (struct succession_loss){ 0 };
    if (loss->possible) { /* S12; position.h, O3 */
        qr_slot kept = loss->term >= loss->through ? min_u64(loss->slot, POSITION_SLOTS) : 0;
        losses_add(&out->next.losses, now->term, kept);
    }
    out->next.life = scene->told[node].life;
    out->next.forgot = scene->told[node].forgetful ? now->term : now->forgot; /* S11 */
    out->next.preferred = NODE_NONE;
    out->next.fenced = false;
    out->next.rule = rule_for(now, node);
    out->next.learners &= (uint16_t)~out->next.rule.members;
    succession_owe(&out->next, &out->next.rule, node, now->term);
}

static void stop(enum succession_reason reason, struct succession_action *out)
{
    out->kind = SUCCESSION_STOP;
    out->reason = reason;
}

static bool is_fenced(const struct succession *now, const struct succession_scene *scene)
{
    return now->fenced || scene->lease_over ||
           (succession_has(scene->alive, now->before) &&
            scene->told[now->before].promised >= now->term);
}

/* S6: who may be taken with a loss though nobody has ordered it. */
static uint16_t candidates(const struct succession *now, const struct succession_scene *scene,
                           const struct stand *s)
{
    uint16_t out = s->standing;
    bool all_here = (all_members(now) & ~s->promised) == 0;
    for (node_index i = 0; i < MEMBERS_MAX; i++) {
        bool has_some = scene->told[i].last_term > 0;
        out |= all_here || has_some ? (uint16_t)(s->promised & succession_bit(i)) : 0;
    }
    return out;
}

/* S6: with a loss. Who is taken then, NODE_NONE and the reason when nobody is. */
static node_index give_up(const struct succession *now, const struct succession_scene *scene,
                          const struct stand *s, enum succession_reason *why)
{
    bool forced = scene->order == SUCCESSION_FORCE;
    node_index best = best_of(now, scene, forced ? s->promised : candidates(now, scene, s));
    if (forced && scene->to != NODE_NONE) {
        best = succession_has(s->promised, scene->to) ? scene->to : NODE_NONE;
        *why = SUCCESSION_NOT_FIT;
    }
    if (best == NODE_NONE) {
        return NODE_NONE;
    }
    if (!forced && loss_of(now, scene, s, best).promised_more) {
        *why = s->standing == 0 ? SUCCESSION_NOBODY_STANDS : SUCCESSION_FEW_STAND;
        return NODE_NONE;
    }
    uint16_t others = (uint16_t)(all_members(now) & ~s->promised & (forced ? scene->alive : ~0));
    if (others != 0 && !scene->grace_over) {
        *why = SUCCESSION_GRACE;
        return NODE_NONE;
    }
    return best;
}

/* Whether somebody can never stand in this term, because it has promised a later one (S3). */
static bool is_outdone(const struct succession *now, const struct succession_scene *scene)
{
    for (node_index i = 0; i < MEMBERS_MAX; i++) {
        if (succession_has(scene->alive & all_members(now), i) &&
            scene->told[i].promised > now->term) {
            return true;
        }
    }
    return false;
}

void succession_choose(const struct succession *now, const struct succession_scene *scene,
                       struct succession_action *out)
{
    if (is_outdone(now, scene)) {
        succession_open(now, scene, SUCCESSION_PROMISED, out);
        return;
    }
    struct stand s = stand_of(now, scene);
    tell_who_is_awaited(now, scene, &s, out);
    if (!is_fenced(now, scene)) {
        stop(SUCCESSION_LEASE_HELD, out);
        return;
    }
    if (succession_has(scene->alive & all_members(now) & ~s.promised, now->preferred) &&
        !scene->grace_over) {
        stop(SUCCESSION_GRACE, out); /* the hand-over is for this one */
        return;
    }
    struct succession_loss loss = { .possible = true };
    if (s.best != NODE_NONE) {
        loss = loss_of(now, scene, &s, s.best);
    }
    node_index chosen = s.best;
    enum succession_reason why = SUCCESSION_NOBODY_STANDS;
    bool another = scene->order == SUCCESSION_FORCE && scene->to != NODE_NONE &&
                   scene->to != s.best; /* else who is best would be forced out at once (S3) */
    if (loss.possible || another) {
        chosen = give_up(now, scene, &s, &why);
    }
    if (chosen == NODE_NONE) {
        stop(why, out);
        return;
    }
    loss = loss_of(now, scene, &s, chosen);
    take(now, scene, chosen, &loss, out);
}

node_index succession_forced(const struct succession *now, const struct succession_scene *scene,
                             struct succession_loss *loss)
{
    struct stand s = stand_of(now, scene);
    node_index best = best_of(now, scene, s.promised);
    *loss = (struct succession_loss){ .possible = false };
    if (best != NODE_NONE) {
        *loss = loss_of(now, scene, &s, best);
    }
    return best;
}
