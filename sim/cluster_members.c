/* A machine gets another directory: it is drained, removed from group 0, and a new node joins under
 * its index at once, while messages of the one before are still on their way to everybody. What
 * src/node does about that in order_member.c, change.c and join_accept.c. */
#include "sim/cluster.h"

#define ORDER_PAUSE 150000
#define LEAVE_TIME (2 * QR_SECOND) /* as in src/node/peers.c */

bool renew_waits(const struct cluster *c, node_index machine)
{
    const struct sim_node *n = &c->groups[0].world->nodes[machine];
    bool retired = machine == c->renewing && c->retired;
    return retired || (n->life == LIFE_JOINING && n->joined_slot == 0);
}

void renew_begin(struct cluster *c, node_index machine)
{
    if (c->renewing != NODE_NONE) {
        return;
    }
    c->renewing = machine;
    c->renewed = c->retired = false;
    c->removed_at = 0;
    c->renews_at = c->now;
    struct cluster_action drain = { .kind = ACT_DRAIN, .a = machine, .b = 1 };
    (void)cluster_operate(c, &drain);
}

/* What the index has in all groups goes; what it has sent is not called back. */
static void wipe(struct cluster *c, node_index machine)
{
    struct machine *m = &c->machines[machine];
    cluster_tell(c, "machine %d gets another directory", machine);
    cluster_crash(c, machine, false, 0);
    for (uint32_t i = 0; i < c->group_count; i++) {
        struct world *w = cluster_world(c, &c->groups[i]);
        struct sim_node *n = &w->nodes[machine];
        follow_forget(&c->groups[i].deleted[machine]);
        node_clear(n);
        image_clear(&n->ghost);
        n->life = i == 0 ? LIFE_JOINING : LIFE_NONE;
    }
    control_close(&m->control);
    control_open(c, &m->control, false);
    m->lost_below = 0;
    c->renewed = true;
    c->retired = false;
    c->counters->renewed++;
}

static void order(struct cluster *c, node_index leader, struct membership wanted)
{
    struct world *zero = cluster_zero(c);
    struct event e = { .kind = EVENT_ADMIN };
    e.admin.order = ADMIN_MEMBERS;
    e.admin.members = wanted;
    c->renews_at = c->now + ORDER_PAUSE;
    if (quorum_of_set((uint16_t)~members_forgetful(zero), wanted.voters)) {
        node_step(zero, &zero->nodes[leader], &e);
    }
}

static void take_out(struct cluster *c, node_index leader, struct membership wanted)
{
    uint16_t keep = (uint16_t)~node_bit(c->renewing);
    if (c->calm) {
        c->renewing = NODE_NONE; /* it stays who it is */
        return;
    }
    wanted.voters &= keep;
    wanted.learners &= keep;
    order(c, leader, wanted);
}

static void take_in(struct cluster *c, node_index leader, struct membership wanted)
{
    if (!c->renewed) {
        wipe(c, c->renewing);
    }
    wanted.learners |= node_bit(c->renewing);
    if (c->machines[leader].up) {
        order(c, leader, wanted);
    }
}

/* The connections of one that was removed go, after a while. */
static void retire(struct cluster *c)
{
    c->removed_at = c->removed_at == 0 ? c->now : c->removed_at;
    if (!c->retired && c->now >= c->removed_at + LEAVE_TIME) {
        c->retired = true;
        cluster_crash(c, c->renewing, false, 0);
    }
}

static void finish(struct cluster *c)
{
    struct cluster_action drain = { .kind = ACT_DRAIN, .a = c->renewing, .b = 0 };
    if (renew_waits(c, c->renewing)) {
        return; /* its entry is not committed */
    }
    cluster_push(c, (qr_time)rng_below(&c->rng, 300000), DUE_START, c->renewing, 0, NULL);
    c->renewing = NODE_NONE;
    (void)cluster_operate(c, &drain);
}

/* Nothing holds it up any more: it stays who it is, or what has its index may leave it. */
static void let_go(struct cluster *c, node_index leader, bool in)
{
    const struct map *map = c->machines[leader].control.map;
    c->renews_at = c->now + ORDER_PAUSE;
    for (node_index i = 0; i < c->machine_count && !in; i++) {
        struct cluster_action stays = { .kind = ACT_DRAIN, .a = i };
        if (i != c->renewing && map_node(map, i)->draining) {
            (void)cluster_operate(c, &stays);
            return; /* the others when that is done */
        }
    }
    c->renewing = in ? NODE_NONE : c->renewing;
}

void renew_tick(struct cluster *c, node_index machine)
{
    struct world *zero = cluster_zero(c);
    const struct sim_node *n = &zero->nodes[machine];
    struct outlook o;
    if (c->renewing == NODE_NONE || c->now < c->renews_at) {
        return;
    }
    node_outlook(zero, n, &o);
    bool open = o.membership_slot > n->applied || o.membership.outgoing != 0 || !o.can_serve;
    bool in = (membership_all(&o.membership) >> c->renewing & 1) != 0;
    if (!in && !open && !c->renewed) {
        retire(c);
    }
    if (in && c->renewed) {
        finish(c);
    } else if (!open && map_index_is_free(c->machines[machine].control.map, c->renewing)) {
        /* A wish that is on its way may name it: src/node/order_member.c waits for it. */
        if (in && control_rests_at(c, machine)) {
            take_out(c, machine, o.membership);
        } else if (!in) {
            take_in(c, machine, o.membership);
        }
    } else if (c->calm) {
        let_go(c, machine, in);
    }
}
