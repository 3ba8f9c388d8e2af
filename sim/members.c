/* Operators: they order nodes to be taken in, removed, replaced, made voters or observers, and wait
 * for the answer. New nodes wait until they are members and begin with an empty disk. Disks are
 * lost, or damaged: never more of them at once than the protocol promises to survive. */
#include "sim/checkers/safety.h"
#include "sim/council.h"

#include <inttypes.h>

/* --- sets ------------------------------------------------------------------------------------- */

struct membership_at members_in_force(const struct image *i, struct membership_at before)
{
    for (size_t k = i->n; k-- > 0;) {
        if (states_members(&i->v[k])) {
            return (struct membership_at){ .slot = i->base + k + 1, .members = i->v[k].members };
        }
    }
    return before;
}

uint32_t members_epoch(const struct sim_node *n)
{
    for (size_t k = n->log.n; k-- > 0;) {
        if (states_members(&n->log.v[k])) {
            return n->log.v[k].epoch;
        }
    }
    return n->epoch;
}

const struct membership *members_decided(const struct world *w)
{
    return &w->decided[w->decided_count - 1].members;
}

/* --- who is behind an index ------------------------------------------------------------------- */

static uint32_t roster_in_force(const struct sim_node *n)
{
    if (members_in_force(&n->log, n->membership).slot < n->joined_slot) {
        return n->joined_roster; /* its log speaks of a time before */
    }
    for (size_t k = n->log.n; k-- > 0;) {
        if (states_members(&n->log.v[k])) {
            return n->log.v[k].roster;
        }
    }
    return n->roster;
}

uint32_t members_roster(struct world *w, const struct sim_node *n, const struct membership *m)
{
    if (w->roster_count == w->roster_cap) {
        w->roster_cap *= 2;
        w->rosters = qr_realloc(w->rosters, w->roster_cap * sizeof w->rosters[0]);
    }
    uint32_t before = roster_in_force(n);
    uint32_t *made = w->rosters[w->roster_count];
    for (node_index i = 0; i < MEMBERS_MAX; i++) {
        bool in = (membership_all(m) >> i & 1) != 0;
        uint32_t was = w->rosters[before][i];
        made[i] = !in ? 0 : was != 0 ? was : w->nodes[i].identity + 1;
    }
    return w->roster_count++;
}

uint32_t members_named(const struct world *w, const struct sim_node *n, node_index i)
{
    const struct world *z = w->zero != NULL ? w->zero : w;
    const struct sim_node *same = &z->nodes[n->index];
    uint32_t named = z->rosters[roster_in_force(same)][i];
    return named != 0 ? named : z->rosters[same->roster][i];
}

bool members_speaks(struct world *w, struct sim_node *n, node_index from, uint32_t identity)
{
    uint32_t who = identity + 1;
    uint32_t named = members_named(w, n, from);
    bool late = who < named || who < n->met[from];
    struct world *z = w->zero != NULL ? w->zero : w;
    struct outlook o = { .counts = false };
    if (named != 0 && who > named && z->nodes[n->index].up) {
        node_outlook(z, &z->nodes[n->index], &o);
    }
    bool alien = named != 0 && who > named && o.counts;
    w->counters->late += late;
    w->counters->aliens += alien;
    if (late || alien) {
        return false;
    }
    n->met[from] = who;
    return true;
}

/* Nodes that are wanted in and wait are started once they are members. */
void members_commit(struct world *w, qr_slot slot, qr_term term, const struct membership *m,
                    uint32_t roster)
{
    if (w->decided_count == w->decided_cap) {
        w->decided_cap = w->decided_cap == 0 ? 32 : w->decided_cap * 2;
        w->decided = qr_realloc(w->decided, w->decided_cap * sizeof *w->decided);
    }
    w->decided[w->decided_count++] = (struct membership_at){ .slot = slot, .members = *m };
    w->counters->changes += slot > 0 && m->outgoing == 0 ? 1 : 0;
    for (node_index i = 0; i < w->node_count; i++) {
        struct sim_node *n = &w->nodes[i];
        if ((membership_all(m) >> i & 1) == 0 || n->life != LIFE_JOINING || n->joined_slot != 0) {
            continue;
        }
        n->joined_slot = slot;
        n->joined_term = term;
        n->joined_roster = roster;
        if (w->options.join_by_hand == 0) {
            world_push(w, (qr_time)rng_below(&w->rng, 300000),
                       (struct item){ .kind = ITEM_RESTART, .node = i });
        }
    }
}

/* --- what may be lost ------------------------------------------------------------------------- */

uint16_t members_forgetful(const struct world *w)
{
    uint16_t lost = 0;
    for (node_index i = 0; i < w->node_count; i++) {
        if (w->nodes[i].lost || w->nodes[i].life == LIFE_DEAD) {
            lost |= node_bit(i);
        }
    }
    return lost;
}

/* Also when learners who are lost are made voters, because the leader has not noticed yet. */
static bool survives(const struct membership *m, uint16_t lost)
{
    uint32_t late = quorum_count(m->learners & lost);
    uint32_t left = quorum_count(m->voters & (uint16_t)~lost);
    return quorum_of((uint16_t)~lost, m) &&
           (late == 0 || 2 * left > quorum_count(m->voters) + late);
}

static bool log_survives(const struct image *i, uint16_t lost)
{
    for (size_t k = 0; k < i->n; k++) {
        if (states_members(&i->v[k]) && !survives(&i->v[k].members, lost)) {
            return false;
        }
    }
    return true;
}

/* Whoever sent them may have forgotten them since; who receives them goes by them. */
static bool messages_survive(const struct queue *q, uint16_t lost)
{
    for (size_t i = 0; i < q->n; i++) {
        const struct packet *p = q->v[i].kind == ITEM_MESSAGE ? q->v[i].p : NULL;
        for (qr_slot k = 0; p != NULL && k < p->hi - p->lo; k++) {
            if (states_members(&p->entries[k]) && !survives(&p->entries[k].members, lost)) {
                return false;
            }
        }
    }
    return true;
}

/* In every membership that is in force somewhere, or may come to be, a majority remembers. */
static bool all_survive(const struct world *w, uint16_t lost)
{
    if (!survives(members_decided(w), lost) || !messages_survive(&w->queue, lost)) {
        return false;
    }
    for (node_index i = 0; i < w->node_count; i++) {
        const struct sim_node *n = &w->nodes[i];
        const struct membership *least =
            n->safe.number != 0 ? &n->safe.membership.members : &n->born.members;
        bool counts = n->life == LIFE_NODE && membership_all(least) != 0;
        if ((counts && !survives(least, lost)) || !log_survives(&n->log, lost) ||
            !log_survives(&n->disk, lost)) {
            return false;
        }
    }
    for (size_t i = 1; i < w->order_count; i++) {
        const struct order *o = &w->orders[i];
        if (o->given && !o->answered && o->verb != VERB_TRANSFER && !survives(&o->wanted, lost)) {
            return false;
        }
    }
    return true;
}

bool members_may_lose(const struct world *w, node_index node)
{
    const struct sim_node *n = &w->nodes[node];
    for (node_index i = 0; i < w->node_count; i++) {
        if (w->nodes[i].rotten_count > 0) {
            return false; /* this may be who has what the other lacks */
        }
    }
    return w->knows_members && n->life == LIFE_NODE &&
           all_survive(w, members_forgetful(w) | node_bit(node));
}

bool members_wipe(struct world *w, node_index node)
{
    if (w->council != NULL) {
        return council_wipe(w, node);
    }
    if (!members_may_lose(w, node)) {
        return false;
    }
    struct sim_node *n = &w->nodes[node];
    node_crash(w, n, true);
    safety_lost(w, n);
    node_clear(n);
    n->lost = true;
    n->life = LIFE_DEAD;
    w->counters->wiped++;
    world_tell(w, "%d loses its disk", node);
    return true;
}

/* The log ends where the damage begins; of the state record the last is left, an older one, or
 * none. Whether any of that was acknowledged, the node cannot know. State 3, in scripts only: it
 * knows of no damage, which no protocol survives for certain. */
bool members_damage(struct world *w, node_index node, uint64_t entries, int64_t state)
{
    struct sim_node *n = &w->nodes[node];
    if (w->council != NULL) {
        return council_damage(w, node, entries, state);
    }
    if (!members_may_lose(w, node) || quorum_count(members_decided(w)->voters) < 2) {
        return false;
    }
    node_crash(w, n, rng_chance(&w->rng, 1, 2));
    n->unknowing = state == 3;
    if (!n->unknowing) {
        safety_lost(w, n);
    }
    n->disk.n -= min_u64(entries, n->disk.n);
    if (state == 1) {
        n->disk.state_kind = n->disk.older_kind;
        n->disk.state_n = n->disk.older_n;
        memcpy(n->disk.state, n->disk.older, sizeof n->disk.state);
    } else if (state == 2) {
        n->disk.state_kind = 0;
    }
    n->durable_term = n->unknowing ? n->durable_term : 0;
    n->damaged = !n->unknowing;
    image_copy(&n->log, &n->disk);
    w->counters->damaged++;
    world_tell(w, "%d is damaged: its log ends at %" PRIu64, node, image_last(&n->disk));
    return true;
}

/* --- orders ----------------------------------------------------------------------------------- */

uint32_t members_order(struct world *w, node_index at, enum verb verb, uint16_t nodes, bool forced)
{
    if (w->order_count == w->order_cap) {
        w->order_cap = w->order_cap == 0 ? 32 : w->order_cap * 2;
        w->orders = qr_realloc(w->orders, w->order_cap * sizeof *w->orders);
    }
    uint32_t number = (uint32_t)w->order_count++;
    w->orders[number] = (struct order){ .verb = verb, .at = at, .nodes = nodes, .forced = forced };
    world_push(
        w, 0,
        (struct item){
            .kind = ITEM_ORDER, .node = at, .incarnation = w->nodes[at].incarnation, .a = number });
    return number;
}

/* The lowest index that no decided membership names, nor the one in force at the node. Whoever
 * stood there before has been removed: his place is another's now. */
static uint16_t free_index(const struct world *w, uint16_t taken)
{
    taken |= membership_all(members_decided(w));
    for (node_index i = 0; i < w->node_count; i++) {
        if ((taken >> i & 1) == 0) {
            return node_bit(i);
        }
    }
    return 0;
}

static void expect(struct world *w, uint16_t nodes)
{
    for (node_index i = 0; i < w->node_count; i++) {
        struct sim_node *n = &w->nodes[i];
        bool asks_already = n->life == LIFE_JOINING && n->joined_slot == 0;
        if ((nodes >> i & 1) == 0 || asks_already) {
            continue;
        }
        if (n->life != LIFE_NONE) {
            w->counters->reused++;
            node_crash(w, n, true);
        }
        node_clear(n);
        n->life = LIFE_JOINING;
    }
}

/* The sets that the order asks for, given those in force; false when it asks for nothing. New
 * nodes go to `fresh`. */
static bool compose(const struct world *w, const struct order *o, const struct membership *now,
                    struct membership *out, uint16_t *fresh)
{
    uint16_t known = membership_all(now), nodes = o->nodes;
    *out = *now;
    *fresh = 0;
    if (o->verb == VERB_REPLACE) {
        nodes &= known;
        for (uint16_t rest = nodes; rest != 0; rest &= (uint16_t)(rest - 1)) {
            *fresh |= free_index(w, known | *fresh);
        }
    } else if (nodes == 0 && (o->verb == VERB_LEARNER || o->verb == VERB_OBSERVER)) {
        nodes = *fresh = free_index(w, known);
    } else if (o->verb != VERB_REMOVE) {
        nodes &= known;
    }
    out->voters &= (uint16_t)~nodes;
    out->learners &= (uint16_t)~nodes;
    out->observers &= (uint16_t)~nodes;
    out->voters |= o->verb == VERB_VOTER ? nodes : 0;
    out->observers |= o->verb == VERB_OBSERVER ? nodes : 0;
    out->learners |= o->verb == VERB_LEARNER ? nodes : o->verb == VERB_REPLACE ? *fresh : 0;
    return nodes != 0;
}

/* What is wanted must leave the liveness phase a chance: whoever has lost his disk is a minority.
 */
static bool is_sane(const struct world *w, const struct membership *wanted)
{
    return wanted->voters == 0 || survives(wanted, members_forgetful(w));
}

void members_arrive(struct world *w, struct sim_node *n, uint32_t number)
{
    struct order *o = &w->orders[number];
    struct outlook outlook;
    node_outlook(w, n, &outlook);
    if (w->calm) {
        return; /* it waited at a node that stood still */
    }
    uint16_t fresh = 0;
    if (o->verb != VERB_TRANSFER) {
        struct membership now = outlook.membership;
        o->decided = w->decided_count - 1;
        bool asks = compose(w, o, &now, &o->wanted, &fresh);
        o->wanted.outgoing = 0;
        uint16_t taken = membership_all(members_decided(w)) | node_bit(n->index);
        if (!asks || !is_sane(w, &o->wanted) || (fresh & taken) != 0) {
            return;
        }
        expect(w, fresh);
        if (membership_equal(&o->wanted, &now)) {
            o->decided = 0; /* nothing to do: a leader that is over may say so too */
        }
    }
    o->given = true;
    w->counters->orders++;
    requests_order(w, n, number);
}

static void count_answer(struct counters *c, enum qr_status status)
{
    if (status == STATUS_OK) {
        c->orders_done++;
    } else if (status_surely_not_applied(status)) {
        c->orders_refused++;
    } else {
        c->orders_uncertain++;
    }
}

void members_answer(struct world *w, struct sim_node *n, uint32_t number, enum qr_status status)
{
    struct order *o = &w->orders[number];
    if (o->answered) {
        world_violation(w, VIOLATION_CONTRACT, "order %u is answered twice", number);
    }
    o->answered = true;
    o->status = status;
    count_answer(w->counters, status);
    world_tell(w, "%d reply o%u %s", n->index, number, status_text(status));
    if (w->council != NULL) {
        council_answered(w, n, number, status);
        return;
    }
    safety_answered(w, n, o);
}

/* --- who can go on ---------------------------------------------------------------------------- */

/* Also when learners who are gone are made voters, because the leader has not noticed yet. */
static bool decides(const struct membership *m, uint16_t core, uint16_t able)
{
    uint32_t gone = quorum_count(m->learners & (uint16_t)~core);
    bool later = 2 * quorum_count(m->voters & able) > quorum_count(m->voters) + gone;
    return m->voters == 0 || (quorum_of(able, m) && later);
}

/* Whatever the logs of these nodes say about members: a majority of it is among them. Older
 * memberships than the decided one are over. */
static bool core_decides(const struct world *w, uint16_t core)
{
    uint16_t able = core & (uint16_t)~members_forgetful(w);
    qr_slot decided = w->decided[w->decided_count - 1].slot;
    bool good = decides(members_decided(w), core, able);
    for (node_index i = 0; i < w->node_count; i++) {
        const struct image *images[] = { &w->nodes[i].log, &w->nodes[i].disk };
        for (unsigned k = 0; k < 2 && (core >> i & 1) != 0; k++) {
            struct membership_at m = members_in_force(images[k], (struct membership_at){ 0 });
            good = good && (m.slot <= decided || decides(&m.members, core, able));
        }
    }
    return good;
}

uint16_t members_core(struct world *w)
{
    uint16_t core = 0, all = membership_all(members_decided(w));
    bool whole = true;
    for (node_index i = 0; i < w->node_count; i++) {
        const struct sim_node *n = &w->nodes[i];
        bool joins = n->life == LIFE_JOINING && (all >> i & 1) != 0;
        core |= n->life == LIFE_NODE || joins ? node_bit(i) : 0;
        whole = whole && n->rotten_count == 0;
    }
    if (world_chance(w, 250) || !whole) {
        return core;
    }
    for (unsigned tries = 0; tries < 3u * w->node_count; tries++) {
        uint16_t bit = node_bit((node_index)rng_below(&w->rng, w->node_count));
        if ((core & bit) != 0 && core_decides(w, core & (uint16_t)~bit)) {
            core &= (uint16_t)~bit;
        }
    }
    return core;
}
