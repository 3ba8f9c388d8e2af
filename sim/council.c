#include "sim/council.h"

#include "sim/checkers/safety.h"

#include <inttypes.h>

#define TICK 10000
#define WATCH 20000
#define TOLD_AGAIN 150000 /* who does not know the latest view yet */

bool council_is_wanted(const struct protocol *protocol)
{
    return strncmp(protocol->name, "primary", 7) == 0;
}

bool council_is_weak(const struct world *w)
{
    return w->council != NULL && w->options.copies == 0 && w->options.whole == 0;
}

bool council_acts(const struct world *w)
{
    return w->council != NULL && w->options.council != 0;
}

/* --- views ------------------------------------------------------------------------------------ */

const struct view *council_now(const struct world *w)
{
    const struct council *c = w->council;
    return c->n > 1 ? &c->views[c->n - 1] : NULL;
}

const struct view *council_view(const struct world *w, qr_term term)
{
    const struct council *c = w->council;
    for (uint32_t i = c->n; i-- > 1;) {
        if (c->views[i].term == term && c->views[i].primary != NODE_NONE) {
            return &c->views[i];
        }
    }
    return NULL;
}

bool council_counts(const struct view *view, uint16_t holders)
{
    uint16_t others = view->members & (uint16_t) ~(view->set | node_bit(view->primary));
    return (holders & node_bit(view->primary)) != 0 && (view->set & (uint16_t)~holders) == 0 &&
           quorum_count(holders & others) >= view->copies;
}

void council_write(struct world *w, const struct view *view)
{
    struct council *c = w->council;
    qr_assert(c->n < 2 || view->term >= c->views[c->n - 1].term);
    if (c->n == c->cap) {
        c->cap *= 2;
        c->views = qr_realloc(c->views, c->cap * sizeof *c->views);
    }
    c->views[c->n++] = *view;
    w->counters->views++;
    for (node_index i = 0; i < w->node_count; i++) {
        c->told[i].retold = 0;
    }
    char primary[8] = "none";
    if (view->primary != NODE_NONE) {
        (void)snprintf(primary, sizeof primary, "%d", view->primary);
    }
    world_tell(w, "- view %" PRIu64 ": primary %s, members %x, set %x, copies %d", view->term,
               primary, view->members, view->set, view->copies);
}

void council_begin(struct world *w)
{
    if (!council_is_wanted(w->protocol)) {
        return;
    }
    struct council *c = qr_zalloc(sizeof *c);
    w->council = c;
    c->n = 1;
    c->cap = 16;
    c->views = qr_zalloc(c->cap * sizeof *c->views);
    c->wanted = NODE_NONE;
    c->term = 1;
    c->ancestry = primary_ancestry();
    leases_init(&c->leases, 1);
    if (council_acts(w)) {
        council_first(w);
        world_push(w, 0, (struct item){ .kind = ITEM_COUNCIL, .node = NODE_NONE });
    }
}

void council_end(struct world *w)
{
    if (w->council == NULL) {
        return;
    }
    primary_ancestry_free(w->council->ancestry);
    free(w->council->views);
    free(w->council);
}

/* --- ways to a node and back ------------------------------------------------------------------ */

static bool carries(struct world *w, node_index node)
{
    bool cut = (w->council->cut >> node & 1) != 0;
    return !cut && (w->calm || !world_chance(w, w->options.loss));
}

static qr_time way(struct world *w)
{
    return world_delay(w, w->options.delay_min, w->options.delay_mean);
}

static void to_council(struct world *w, const struct sim_node *n, enum item_kind kind, int64_t b,
                       const void *body, size_t size)
{
    if (!carries(w, n->index)) {
        return;
    }
    void *copy = qr_alloc(size);
    memcpy(copy, body, size);
    world_push(w, way(w),
               (struct item){ .kind = kind, .node = NODE_NONE, .a = n->index, .b = b, .p = copy });
}

static void to_node(struct world *w, node_index node, struct item item)
{
    if (!carries(w, node)) {
        free(item.p);
        return;
    }
    item.node = node;
    world_push(w, way(w), item);
}

/* --- at a node -------------------------------------------------------------------------------- */

static void step_view(struct world *w, struct sim_node *n)
{
    struct council *c = w->council;
    struct event e = { .kind = EVENT_VIEW, .view = c->views[n->desk.known] };
    e.view.whole =
        n->desk.known == c->n - 1 && e.view.primary == n->index && c->record.life == n->incarnation;
    node_step(w, n, &e);
}

static void step_zones(struct world *w, struct sim_node *n)
{
    struct event e = { .kind = EVENT_ADMIN, .admin = { .order = ADMIN_ZONES } };
    e.admin.argument = w->options.zones;
    if (w->options.zones == 1) {
        e.admin.argument = 0x111111111111111u & ~((uint64_t)15 << (4 * n->index));
    }
    node_step(w, n, &e);
}

/* That it starts forgetful is noted before the protocol can acknowledge anything. */
void council_tell(struct world *w, struct sim_node *n, uint32_t number)
{
    struct desk *desk = &n->desk;
    if (!n->up || number < desk->known || number >= w->council->n) {
        return;
    }
    desk->known = number;
    desk->received = desk->received || w->council->views[number].stage == ACK_RECEIVED;
    w->counters->views_told++;
    step_view(w, n);
}

static void step_lease(struct world *w, struct sim_node *n, bool held)
{
    n->desk.held = held;
    struct event e = { .kind = EVENT_LEASE, .lease = { .held = held } };
    node_step(w, n, &e);
}

void council_lease(struct world *w, struct sim_node *n)
{
    struct desk *desk = &n->desk;
    if (!council_acts(w)) {
        return;
    }
    bool held = leases_held(&n->leases, node_clock(w, n));
    desk->needs = held ? desk->needs : UINT32_MAX;
    held = held && desk->known >= desk->needs;
    if (held != desk->held) {
        w->counters->leases_told++;
        step_lease(w, n, held);
    }
}

void council_hold(struct world *w, struct sim_node *n, bool held)
{
    if (n->up) {
        n->leases.held_until = held ? QR_NEVER : 0;
        step_lease(w, n, held);
    }
}

static uint16_t near_of(const struct sim_node *n, const struct outlook *o)
{
    uint16_t near = node_bit(n->index);
    qr_slot all = o->can_serve ? o->commit : o->last; /* it may not know yet what is committed */
    for (node_index i = 0; i < o->members; i++) {
        const struct member_outlook *m = &o->member[i];
        near |= i != n->index && !m->forgetful && m->match >= all ? node_bit(i) : 0;
    }
    return near;
}

/* What it tells of its promise and its log must be so after any crash. */
static void check_report(struct world *w, const struct sim_node *n, const struct standing *r)
{
    if (r->stands && (n->durable_term < r->term || image_last(&n->disk) != r->slot)) {
        world_violation(w, VIOLATION_REGRESSED,
                        "node %d stands for term %" PRIu64 " with slot %" PRIu64
                        ", on its disk are %" PRIu64 " and %" PRIu64,
                        n->index, r->term, r->slot, n->durable_term, image_last(&n->disk));
    }
    if (r->stands && n->lost && !council_is_weak(w)) {
        world_violation(w, VIOLATION_FORGETFUL, "node %d stands, and has forgotten", n->index);
    }
}

static void report(struct world *w, struct sim_node *n)
{
    struct outlook o;
    node_outlook(w, n, &o);
    bool leads = o.role == ROLE_LEADER;
    struct standing r = { .incarnation = n->incarnation,
                          .known = n->desk.known,
                          .role = o.role,
                          .term = o.term,
                          .stands = o.stands,
                          .settled = leads && o.settled,
                          .barred = o.barred,
                          .forgetful = o.forgetful,
                          .slot = o.stands || o.forgetful ? o.stood.last : 0,
                          .slot_term = o.stands || o.forgetful ? o.stood.last_term : 0,
                          .handed_to = leads && o.closed ? o.transfer_to : NODE_NONE,
                          .near = leads ? near_of(n, &o) : 0 };
    check_report(w, n, &r);
    to_council(w, n, ITEM_REPORT, 0, &r, sizeof r);
}

static void watch(struct world *w, struct sim_node *n)
{
    struct renewal renewal;
    uint32_t incarnation = n->incarnation;
    world_push(w, WATCH,
               (struct item){ .kind = ITEM_WATCH, .node = n->index, .incarnation = incarnation });
    council_lease(w, n);
    if (n->incarnation != incarnation) {
        return;
    }
    if (leases_renew(&n->leases, node_clock(w, n), &renewal)) {
        to_council(w, n, ITEM_RENEW, n->incarnation, &renewal, sizeof renewal);
    }
    report(w, n);
}

void council_start(struct world *w, struct sim_node *n)
{
    if (w->council == NULL) {
        return;
    }
    uint32_t incarnation = n->incarnation;
    for (size_t i = 0; i < n->log.n && n->desk.journal_n > 0; i++) {
        desk_regain(&n->desk, n->log.base + i + 1, n->log.v[i].term);
    }
    if (n->desk.voided) {
        struct outlook o;
        node_outlook(w, n, &o);
        n->lost = n->lost && o.forgetful;
    }
    n->desk.held = n->desk.emptied = n->desk.voided = n->desk.tells = false;
    n->desk.needs = UINT32_MAX;
    n->desk.forgot = 0;
    leases_born(w, n);
    if (w->options.zones != 0) {
        step_zones(w, n);
    }
    if (n->incarnation == incarnation && n->desk.known != 0) {
        step_view(w, n);
    }
    if (n->incarnation == incarnation && council_acts(w)) {
        world_push(
            w, (qr_time)rng_below(&w->rng, WATCH),
            (struct item){ .kind = ITEM_WATCH, .node = n->index, .incarnation = incarnation });
    }
}

static void renewed(struct world *w, struct sim_node *n, const struct item *item)
{
    qr_time now = node_clock(w, n);
    bool was_held = leases_held(&n->leases, now);
    if (leases_renewed(&n->leases, item->p, now) && !was_held) {
        n->desk.needs = (uint32_t)item->a;
        w->counters->leases_regained++;
    }
    council_lease(w, n);
}

void council_reach(struct world *w, struct sim_node *n, const struct item *item)
{
    switch (item->kind) {
    case ITEM_WATCH:
        watch(w, n);
        break;
    case ITEM_VIEW:
        council_tell(w, n, (uint32_t)item->a);
        break;
    case ITEM_RENEWED:
        renewed(w, n, item);
        break;
    case ITEM_EXECUTED:
        shares_told(w, n);
        break;
    default:
        qr_unreachable();
    }
}

/* --- at the council --------------------------------------------------------------------------- */

/* V2. Whether it is of the latest process that was heard of. */
static bool is_of_now(struct told *t, uint32_t incarnation)
{
    if (incarnation > t->standing.incarnation) {
        *t = (struct told){ .standing = { .incarnation = incarnation } };
    }
    return incarnation == t->standing.incarnation;
}

static void hear_report(struct world *w, node_index from, const struct standing *r)
{
    struct council *c = w->council;
    if (!is_of_now(&c->told[from], r->incarnation)) {
        return;
    }
    c->told[from].standing = *r;
    c->told[from].at = w->now;
    for (uint32_t rest = r->near; rest != 0; rest &= rest - 1) {
        c->told[set_first(rest)].near = w->now;
    }
}

static void grant(struct world *w)
{
    struct council *c = w->council;
    for (uint32_t rest = leases_grant(&c->leases, w->now); rest != 0; rest &= rest - 1) {
        node_index to = set_first(rest);
        struct renewal *copy = qr_alloc(sizeof *copy);
        *copy = c->leases.renewal[to];
        w->counters->leases_granted++;
        to_node(w, to, (struct item){ .kind = ITEM_RENEWED, .a = c->n - 1, .p = copy });
    }
}

static void check_leases(struct world *w)
{
    for (node_index i = 0; i < w->node_count; i++) {
        const struct sim_node *n = &w->nodes[i];
        if (n->up && leases_gone_for(&w->council->leases, i, w->now) > 0) {
            w->counters->leases_gone++;
            if (leases_held(&n->leases, node_clock(w, n))) {
                world_violation(w, VIOLATION_LEASE,
                                "node %d holds its lease, and for the council it is gone", i);
            }
        }
    }
}

static void tell_all(struct world *w)
{
    struct council *c = w->council;
    for (node_index i = 0; i < w->node_count && c->n > 1; i++) {
        struct told *t = &c->told[i];
        bool knows = t->at != 0 && t->standing.known == c->n - 1;
        if (!knows && (t->retold == 0 || w->now - t->retold > TOLD_AGAIN)) {
            t->retold = w->now;
            to_node(w, i, (struct item){ .kind = ITEM_VIEW, .a = c->n - 1 });
        }
    }
}

/* Another leader of group 0 than before: it has heard nothing yet. */
static void succeed(struct world *w)
{
    struct council *c = w->council;
    c->away_until = 0;
    c->term++;
    for (node_index i = 0; i < w->node_count; i++) {
        c->told[i] =
            (struct told){ .standing = { .incarnation = c->told[i].standing.incarnation } };
    }
}

static void tick(struct world *w)
{
    struct council *c = w->council;
    world_push(w, TICK, (struct item){ .kind = ITEM_COUNCIL, .node = NODE_NONE });
    if (w->now < c->away_until) {
        return;
    }
    if (c->away_until != 0) {
        succeed(w);
    }
    leases_lead(&c->leases, c->term, true, w->now);
    leases_confirm(&c->leases, c->ticked);
    c->ticked = w->now;
    grant(w);
    check_leases(w);
    council_plan(w);
    tell_all(w);
}

void council_hear(struct world *w, const struct item *item)
{
    struct council *c = w->council;
    if (item->kind == ITEM_COUNCIL) {
        tick(w);
        return;
    }
    node_index from = (node_index)item->a;
    if (w->now < c->away_until || (w->calm && (w->core & node_bit(from)) == 0)) {
        return;
    }
    switch (item->kind) {
    case ITEM_REPORT:
        hear_report(w, from, item->p);
        break;
    case ITEM_RENEW:
        if (is_of_now(&c->told[from], (uint32_t)item->b)) {
            leases_asked(&c->leases, from, item->p, w->now);
        }
        break;
    default:
        qr_unreachable();
    }
}

/* Mostly the council is on the other side of a cut. */
void council_cut(struct world *w, uint16_t nodes, bool add)
{
    if (w->council == NULL) {
        return;
    }
    uint16_t before = add ? w->council->cut : 0;
    w->council->cut = before | (nodes != 0 && world_chance(w, 700) ? nodes : 0);
}

/* --- operators -------------------------------------------------------------------------------- */

/* The primary takes nothing more, and what it took is on the disk of that node. */
static void check_handed(struct world *w, const struct sim_node *n, const struct outlook *o,
                         node_index target)
{
    qr_slot last = image_last(&n->log);
    if (o->room != 0 || target >= w->node_count ||
        !safety_on_disk(&w->nodes[target], last, image_chain(&n->log, last))) {
        world_violation(w, VIOLATION_ANSWER,
                        "node %d has handed over to %d, which lacks slot %" PRIu64, n->index,
                        target, last);
    }
}

void council_answered(struct world *w, struct sim_node *n, uint32_t order, enum qr_status status)
{
    const struct order *o = &w->orders[order];
    if (status != STATUS_OK) {
        return;
    }
    struct outlook outlook;
    node_outlook(w, n, &outlook);
    check_handed(w, n, &outlook, (node_index)o->nodes);
    w->counters->handed++;
}

/* FAILOVER TO, asked for a while. */
static bool hand_over(struct world *w, const struct action *x)
{
    struct council *c = w->council;
    if (x->a < 0 || x->a >= w->node_count || x->a == c->record.primary) {
        return false;
    }
    c->wanted = (node_index)x->a;
    c->wanted_until = w->now + QR_SECOND;
    return true;
}

bool council_act(struct world *w, const struct action *x)
{
    struct council *c = w->council;
    if (!council_acts(w)) {
        return false;
    }
    switch (x->kind) {
    case ACTION_AWAY:
        c->away_until = w->now + x->b;
        return true;
    case ACTION_CUT_COUNCIL:
        c->cut = (uint16_t)x->a;
        return x->a != 0;
    case ACTION_TRANSFER:
        return hand_over(w, x);
    case ACTION_RULE:
    case ACTION_MEMBERS:
        return council_wish(w, x);
    default:
        qr_unreachable();
    }
}
