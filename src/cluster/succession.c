#include "cluster/succession.h"

#include "base/panic.h"
#include "cluster/succession_internal.h"

/* --- The record ------------------------------------------------------------------------------- */

static void check(const struct succession *s)
{
    qr_assert(s->term > 0 && s->settled <= s->term);
    qr_assert(s->duty_count <= SUCCESSION_DUTIES_MAX);
    qr_assert(s->rule.set == 0 || s->rule.copies == 0);
    qr_assert((s->rule.set & ~s->rule.members) == 0 && (s->learners & s->rule.members) == 0);
    qr_assert(s->primary == NODE_NONE || succession_has(s->rule.members, s->primary));
}

bool succession_wish_is_sound(const struct succession_wish *wish)
{
    uint32_t others = succession_count(wish->members) - 1;
    uint32_t eligible = succession_count(wish->members & wish->set_of);
    bool one_kind = wish->copies == 0 || (wish->set_of == 0 && wish->set_count == 0);
    return wish->members != 0 && wish->members >> MEMBERS_MAX == 0 && one_kind &&
           wish->copies <= others && (wish->set_of == 0 || eligible > 0) &&
           (wish->set_count == 0 || wish->set_count < eligible);
}

struct succession succession_first(const struct succession_wish *wish, node_index preferred)
{
    qr_assert(succession_wish_is_sound(wish));
    struct succession first = { .term = 1,
                                .primary = NODE_NONE,
                                .before = NODE_NONE,
                                .preferred = preferred,
                                .fenced = true,
                                .stage = wish->stage,
                                .rule = { .members = wish->members, .copies = wish->copies } };
    uint16_t eligible = (uint16_t)(wish->set_of & wish->members & ~succession_bit(preferred));
    first.rule.set =
        succession_lowest(eligible, wish->set_count == 0 ? MEMBERS_MAX : wish->set_count);
    check(&first);
    return first;
}

struct view succession_view(const struct succession *now)
{
    return (struct view){ .term = now->term,
                          .primary = now->primary,
                          .members = now->rule.members,
                          .learners = now->learners,
                          .set = (uint16_t)(now->rule.set & ~succession_bit(now->primary)),
                          .copies = now->rule.copies,
                          .stage = now->stage,
                          .forgot = now->forgot };
}

/* --- A turn ----------------------------------------------------------------------------------- */

/* Why the term of the present primary must end (S3); NONE: it need not. */
static enum succession_reason why_open(const struct succession *now,
                                       const struct succession_scene *scene)
{
    const struct succession_told *told = &scene->told[now->primary];
    bool speaks = succession_has(scene->alive, now->primary) && told->life != 0;
    if (scene->lease_over) {
        return SUCCESSION_LEASE_OVER;
    }
    if (speaks && told->life != now->life) {
        return SUCCESSION_RESTARTED;
    }
    if (speaks && told->handed_over && told->promised == now->term) {
        return SUCCESSION_HANDED_OVER;
    }
    bool other = scene->to != NODE_NONE && scene->to != now->primary;
    return scene->order == SUCCESSION_FORCE && other ? SUCCESSION_FORCED : SUCCESSION_NONE;
}

void succession_open(const struct succession *now, const struct succession_scene *scene,
                     enum succession_reason why, struct succession_action *out)
{
    *out = (struct succession_action){
        .kind = SUCCESSION_WRITE, .reason = why, .to = NODE_NONE, .next = *now
    };
    struct succession *next = &out->next;
    for (node_index i = 0; i < MEMBERS_MAX; i++) {
        if (succession_has(scene->alive, i)) {
            next->term = max_u64(next->term, scene->told[i].promised); /* S3 */
        }
    }
    next->term++;
    if (now->primary != NODE_NONE) {
        next->before = now->primary;
        next->primary = NODE_NONE;
        next->fenced = why == SUCCESSION_LEASE_OVER;
        next->preferred = why == SUCCESSION_HANDED_OVER ? scene->told[now->primary].handed_to
                          : scene->order != SUCCESSION_NO_ORDER ? scene->to
                                                                : NODE_NONE;
    }
}

/* FAILOVER TO, step by step: the primary is told to hand over; when it has, a term is opened. */
static void hand_over(const struct succession *now, const struct succession_scene *scene,
                      struct succession_action *out)
{
    bool fit = succession_has(now->rule.members & scene->alive & ~scene->lost, scene->to) &&
               !scene->told[scene->to].forgetful;
    out->kind = fit ? SUCCESSION_HAND_OVER : SUCCESSION_STOP;
    out->reason = fit ? SUCCESSION_NONE : SUCCESSION_NOT_FIT;
    out->to = scene->to;
}

struct succession_action succession_turn(const struct succession *now,
                                         const struct succession_wish *wish,
                                         const struct succession_scene *scene)
{
    struct succession_action out = { .to = NODE_NONE };
    check(now);
    if (now->primary == NODE_NONE) {
        succession_choose(now, scene, &out);
    } else if (why_open(now, scene) != SUCCESSION_NONE) {
        succession_open(now, scene, why_open(now, scene), &out);
    } else if (now->settled != now->term && scene->told[now->primary].settled == now->term) {
        out = (struct succession_action){ .kind = SUCCESSION_WRITE,
                                          .reason = SUCCESSION_SETTLED,
                                          .next = *now };
        succession_settle(&out.next);
    } else if (scene->order == SUCCESSION_TO && scene->to != now->primary) {
        hand_over(now, scene, &out);
    } else if (succession_wish_is_sound(wish)) {
        succession_change(now, wish, scene, &out);
    }
    if (out.kind == SUCCESSION_NOTHING && succession_is_held(now, scene)) {
        out = (struct succession_action){ .kind = SUCCESSION_WRITE,
                                          .reason = SUCCESSION_HELD,
                                          .next = *now };
        succession_gather(&out.next);
    }
    if (out.kind == SUCCESSION_WRITE) {
        if (now->primary != NODE_NONE) {
            out.next.loss = (struct succession_loss){ 0 }; /* whoever asks here has told it */
        }
        check(&out.next);
    }
    return out;
}
