/* When the council writes which view: what it knows goes to cluster/succession.h, whose answer is
 * carried out. */
#include "sim/council.h"
#include "sim/members.h"

#define ALIVE (300 * QR_MILLISECOND) /* heard within this */
#define LOST QR_SECOND               /* not heard, or behind, for so long */
#define ORDERED_AGAIN (200 * QR_MILLISECOND)

/* --- what is wished --------------------------------------------------------------------------- */

static struct succession_wish wish_of(const struct options *o, uint16_t members, uint64_t copies,
                                      uint64_t whole)
{
    return (struct succession_wish){
        .members = members,
        .set_of = whole != 0 ? members : 0,
        .set_count = (uint8_t)(whole == WHOLE_ALL ? 0 : whole),
        .copies = (uint8_t)copies,
        .stage = o->received != 0  ? ACK_RECEIVED
                 : o->applied != 0 ? ACK_APPLIED
                                   : ACK_DURABLE,
    };
}

void council_first(struct world *w)
{
    const struct options *o = &w->options;
    struct council *c = w->council;
    c->wish = wish_of(o, (uint16_t)((1u << o->nodes) - 1), o->copies, o->whole);
    c->record = succession_first(&c->wish, (node_index)rng_below(&w->rng, o->nodes));
    struct view view = succession_view(&c->record);
    council_write(w, &view);
}

static bool wish(struct world *w, const struct succession_wish *wish)
{
    bool alone = quorum_count(wish->members) < 2 && !council_is_weak(w); /* another promise, too */
    if (alone || !succession_wish_is_sound(wish)) {
        return false;
    }
    w->council->wish = *wish;
    return true;
}

bool council_wish(struct world *w, const struct action *x)
{
    const struct succession_wish *now = &w->council->wish;
    uint64_t whole = now->set_of == 0 ? 0 : now->set_count == 0 ? WHOLE_ALL : now->set_count;
    uint16_t all = (uint16_t)((1u << w->node_count) - 1);
    if (x->kind == ACTION_MEMBERS) {
        struct succession_wish next =
            wish_of(&w->options, (uint16_t)x->a & all, now->copies, whole);
        return wish(w, &next);
    }
    if (council_is_weak(w)) {
        return false; /* another promise */
    }
    struct succession_wish next =
        wish_of(&w->options, now->members, (uint64_t)x->a, (uint64_t)x->b);
    return (x->a != 0 || x->b != 0) && wish(w, &next);
}

/* --- what is known ---------------------------------------------------------------------------- */

static void tell(const struct standing *r, struct succession_told *out)
{
    bool leads = r->role == ROLE_LEADER;
    /* The promise of one that stands is durable; that of a forgetful one counts for nobody else. */
    bool promised = r->stands || leads || r->barred || r->forgetful;
    *out = (struct succession_told){ .promised = promised ? r->term : 0,
                                     .last_term = r->slot_term,
                                     .last_slot = r->slot,
                                     .settled = r->settled ? r->term : 0,
                                     .forgetful = r->forgetful,
                                     .handed_over = leads && r->handed_to != NODE_NONE,
                                     .handed_to = r->handed_to,
                                     .life = r->incarnation };
}

static void look(const struct world *w, struct succession_scene *s)
{
    const struct council *c = w->council;
    for (node_index i = 0; i < w->node_count; i++) {
        const struct told *t = &c->told[i];
        bool heard = t->at != 0;
        s->alive |= heard && w->now - t->at < ALIVE ? node_bit(i) : 0;
        s->caught |= heard && t->near != 0 && w->now - t->near < ALIVE ? node_bit(i) : 0;
        s->lost |= w->now - (t->at > c->opened_at ? t->at : c->opened_at) > LOST ? node_bit(i) : 0;
        if (heard) {
            tell(&t->standing, &s->told[i]);
        }
    }
    node_index before = c->record.primary != NODE_NONE ? c->record.primary : c->record.before;
    s->lease_over = before == NODE_NONE || leases_gone_for(&c->leases, before, w->now) > 0;
    s->grace_over = w->now - c->opened_at > c->grace;
    if (c->wanted != NODE_NONE && w->now < c->wanted_until) {
        s->order = SUCCESSION_TO;
        s->to = c->wanted;
    }
}

/* --- what is done ----------------------------------------------------------------------------- */

static bool is_same(const struct view *a, const struct view *b)
{
    return a->term == b->term && a->primary == b->primary && a->members == b->members &&
           a->learners == b->learners && a->set == b->set && a->copies == b->copies &&
           a->stage == b->stage;
}

static void write_down(struct world *w, const struct succession_action *a)
{
    struct council *c = w->council;
    struct view view = succession_view(&a->next);
    if (a->next.term != c->record.term) {
        c->opened_at = w->now;
        for (node_index i = 0; i < w->node_count; i++) {
            c->told[i].near = 0;
        }
        c->grace = (qr_time)rng_below(&w->rng, 600000);
    }
    w->counters->successions[a->reason]++;
    c->record = a->next;
    if (c->wanted == view.primary) {
        c->wanted = NODE_NONE;
    }
    if (!is_same(&view, council_now(w))) {
        council_write(w, &view);
    }
}

static void order_hand_over(struct world *w, node_index to)
{
    struct council *c = w->council;
    node_index primary = c->record.primary;
    if (w->now - c->ordered_at < ORDERED_AGAIN || !w->nodes[primary].up) {
        return;
    }
    c->ordered_at = w->now;
    (void)members_order(w, primary, VERB_TRANSFER, to, false);
}

static void tell_stop(struct world *w, const struct succession_action *a)
{
    static const uint64_t ids[MEMBERS_MAX] = { 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14 };
    struct council *c = w->council;
    enum succession_reason reason = a->kind == SUCCESSION_STOP ? a->reason : SUCCESSION_NONE;
    if (reason != SUCCESSION_NONE && reason != c->stopped) {
        char line[SUCCESSION_TEXT_BYTES];
        struct text t = text_in(line, sizeof line);
        succession_explain(&t, &c->record, a, ids);
        world_tell(w, "- %s", line);
    }
    c->stopped = reason;
}

#define TURNS 4u /* one thing at a time */

void council_plan(struct world *w)
{
    struct succession_scene scene = { 0 };
    look(w, &scene);
    for (unsigned i = 0; i < TURNS; i++) {
        struct succession_action a =
            succession_turn(&w->council->record, &w->council->wish, &scene);
        w->counters->stops += a.kind == SUCCESSION_STOP ? 1 : 0;
        tell_stop(w, &a);
        if (a.kind == SUCCESSION_HAND_OVER) {
            order_hand_over(w, a.to);
        }
        if (a.kind != SUCCESSION_WRITE) {
            return;
        }
        write_down(w, &a);
    }
}

/* --- who can go on ---------------------------------------------------------------------------- */

/* Whether these meet each smallest set of nodes that may hold an acknowledged write. */
static bool is_met(const struct succession_duty *d, uint16_t able)
{
    for (uint32_t rest = d->primaries; rest != 0; rest &= rest - 1) {
        uint16_t p = node_bit(set_first(rest));
        uint16_t others = d->rule.members & (uint16_t) ~(d->rule.set | p);
        bool meets = ((p | d->rule.set) & able) != 0 ||
                     quorum_count(others & (uint16_t)~able) < d->rule.copies;
        if (!meets && (d->rule.set != 0 || d->rule.copies != 0)) {
            return false;
        }
    }
    return true;
}

bool council_can_go_on(const struct world *w, uint16_t core)
{
    const struct council *c = w->council;
    uint16_t able = 0;
    for (node_index i = 0; i < w->node_count; i++) {
        const struct sim_node *n = &w->nodes[i];
        bool remembers = !n->lost && !n->damaged && n->life == LIFE_NODE;
        able |= (core >> i & 1) != 0 && remembers ? node_bit(i) : 0;
    }
    able &= c->record.rule.members;
    for (unsigned i = 0; i < c->record.duty_count; i++) {
        if (!is_met(&c->record.duty[i], able)) {
            return false;
        }
    }
    /* A wish that is not written down yet will be owed as well. */
    const struct succession_wish *wish = &c->wish;
    uint16_t members = (wish->members | c->record.rule.members) & core;
    struct succession_duty next = {
        .rule = { .members = members, .copies = wish->copies },
        .primaries = (uint16_t)(c->record.primary == NODE_NONE ? 0 : node_bit(c->record.primary))
    };
    if (!is_met(&next, able)) {
        return false;
    }
    uint32_t wanted = wish->set_of == 0 ? wish->copies + 1u : wish->set_count + 1u;
    return able != 0 && quorum_count(core & c->record.rule.members) >= wanted;
}

uint16_t council_core(struct world *w)
{
    uint16_t core = (uint16_t)((1u << w->node_count) - 1);
    if (!council_can_go_on(w, core)) {
        return 0;
    }
    for (unsigned tries = 0; tries < 3u * w->node_count && !world_chance(w, 250); tries++) {
        uint16_t bit = node_bit((node_index)rng_below(&w->rng, w->node_count));
        if ((core & bit) != 0 && council_can_go_on(w, core & (uint16_t)~bit)) {
            core &= (uint16_t)~bit;
        }
    }
    return core;
}

/* Who is gone is let go: the wish is about those who are left. */
void council_heal(struct world *w, uint16_t core)
{
    struct council *c = w->council;
    c->cut = 0;
    c->away_until = c->away_until != 0 ? w->now : 0;
    c->wanted = NODE_NONE;
    for (node_index i = 0; i < w->node_count; i++) {
        if ((core >> i & 1) == 0) {
            c->told[i] = (struct told){ .standing = { .incarnation = UINT32_MAX } };
        }
    }
    c->wish.members = (c->wish.members | c->record.rule.members) & core;
    if (c->wish.set_of != 0) {
        c->wish.set_of = c->wish.members;
    }
}
