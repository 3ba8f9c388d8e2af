/* Leases between nodes and group 0 (cluster/leases.h), as src/node/contact.c drives them: the group
 * of the world is taken for group 0. The checker: whenever the leader of the latest term calls a
 * lease gone, its holder believes in it no more, by its own clock. */
#include "sim/world.h"

void leases_born(struct world *w, struct sim_node *n)
{
    leases_init(&n->leases, rng_next(&w->rng));
}

static void post(struct world *w, node_index from, node_index to, const struct renewal *renewal,
                 bool answer)
{
    if (!network_takes(w, from, to)) {
        return;
    }
    struct renewal *copy = qr_alloc(sizeof *copy);
    *copy = *renewal;
    world_push(w, world_delay(w, w->options.delay_min, w->options.delay_mean),
               (struct item){ .kind = ITEM_LEASE, .node = to, .a = from, .b = answer, .p = copy });
}

/* A RENEW, or its answer, has arrived. */
void leases_arrive(struct world *w, struct sim_node *n, const struct item *item)
{
    if (item->b != 0) {
        leases_renewed(&n->leases, item->p, node_clock(w, n));
    } else {
        leases_asked(&n->leases, (node_index)item->a, item->p, node_clock(w, n));
    }
}

static qr_time confirmed_at(const struct outlook *o, node_index me, qr_time now)
{
    uint64_t at[MEMBERS_MAX] = { 0 };
    for (node_index i = 0; i < o->members; i++) {
        at[i] = o->member[i].forgetful ? 0 : (uint64_t)o->member[i].echoed;
    }
    at[me] = (uint64_t)now;
    return (qr_time)quorum_reached(at, &o->membership);
}

static void check(struct world *w, const struct sim_node *leader, qr_term term)
{
    for (qr_term later = term + 1; later < w->leader_cap; later++) {
        if (w->leader_of[later] != NODE_NONE) {
            return; /* it is deposed, and may believe what it likes (L5) */
        }
    }
    for (node_index i = 0; i < w->node_count; i++) {
        const struct sim_node *holder = &w->nodes[i];
        if (holder->up && leases_gone_for(&leader->leases, i, node_clock(w, leader)) > 0) {
            w->counters->leases_gone++;
            if (leases_held(&holder->leases, node_clock(w, holder))) {
                world_violation(w, VIOLATION_LEASE, "node %d holds its lease, and for node %d %s",
                                i, leader->index, "it is gone");
            }
        }
    }
}

void leases_tick(struct world *w, struct sim_node *n)
{
    struct outlook o;
    struct renewal renewal;
    node_outlook(w, n, &o);
    bool leads = o.role == ROLE_LEADER && w->knows_members;
    qr_time now = node_clock(w, n);
    leases_lead(&n->leases, leads ? o.term : 0, o.can_serve, now);
    if (leads) {
        leases_confirm(&n->leases, confirmed_at(&o, n->index, now));
        for (uint32_t rest = leases_grant(&n->leases, now); rest != 0; rest &= rest - 1) {
            node_index to = set_first(rest);
            w->counters->leases_granted++;
            post(w, n->index, to, &n->leases.renewal[to], true);
        }
        check(w, n, o.term);
    }
    if (o.leader != NODE_NONE && leases_renew(&n->leases, now, &renewal)) {
        post(w, n->index, o.leader, &renewal, false);
    }
}
