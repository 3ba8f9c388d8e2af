/* What the machines of a simulated cluster do about partitions: whatever cluster/follow.h says. A
 * deletion is a write in the machine's log like any other, so a crash may take it back. */
#include "sim/cluster.h"

#include <inttypes.h>

#define ORDER_PAUSE 100000
#define HAND_OVER_PAUSE 1000000
#define REPORT_PAUSE 100000

/* --- replicas ------------------------------------------------------------------------------- */

static bool disk_knows(const struct sim_node *n)
{
    return n->disk.state_kind != 0 || n->disk.n > 0 || n->disk.base > 0 || n->safe.number != 0;
}

/* The place is as if nothing had ever been there; who sends to it does not know. */
static void clear(struct sim_node *n)
{
    uint32_t identity = n->identity;
    node_clear(n);
    n->identity = identity;
    image_clear(&n->ghost);
}

/* Nothing is left of the replica. One that has forgotten counts as such until it has joined and
 * remembers again. */
static void vanish(struct sim_node *n)
{
    bool lost = n->lost;
    qr_slot lost_commit = n->lost_commit;
    node_clear(n);
    n->identity--; /* who sends to it does not know */
    n->lost = lost;
    n->lost_commit = lost_commit;
}

static void found(struct cluster *c, struct sim_group *g, node_index machine,
                  const struct map_partition *p, bool forgetful)
{
    struct world *w = cluster_world(c, g);
    struct sim_node *n = &w->nodes[machine];
    cluster_tell(c, "machine %d %s group %u", machine, forgetful ? "joins" : "founds",
                 (unsigned)g->id);
    bool lost = n->lost;
    vanish(n);
    n->lost = false;
    n->life = LIFE_NODE;
    n->born.members = follow_first_members(p, machine, forgetful);
    n->damaged = forgetful;
    if (forgetful) {
        c->counters->joined_again += (p->founders & node_bit(machine)) != 0;
        n->lost = lost;
        safety_lost(w, n);
        if (!lost) {
            image_clear(&n->ghost);
        }
    } else {
        image_clear(&n->ghost);
    }
    node_start(w, n);
}

static uint16_t alive(const struct cluster *c, node_index machine)
{
    uint16_t set = node_bit(machine);
    for (node_index i = 0; i < c->machine_count; i++) {
        set |= c->now - c->machines[machine].seen[i] < 100000 ? node_bit(i) : 0;
    }
    return set;
}

/* F11: a replica that is made or starts again. */
static void call(struct cluster *c, struct sim_group *g, node_index machine)
{
    struct world *w = cluster_world(c, g);
    const struct map_partition *p = map_partition(c->machines[machine].control.map, g->id);
    struct event e = { .kind = EVENT_ADMIN };
    e.admin.order = ADMIN_CALL;
    if (p != NULL && follow_caller(p, alive(c, machine)) == machine) {
        node_step(w, &w->nodes[machine], &e);
    }
}

/* Not a crash: the connections stay open. */
static void stop(struct sim_node *n)
{
    n->writes = NULL;
    n->write_count = n->write_cap = 0;
    n->syncing = false;
    n->up = false;
    n->incarnation++;
    n->role = ROLE_FOLLOWER;
    n->pumping = false;
    driver_forget(n);
}

void follow_forget(struct deleted *d)
{
    for (size_t i = 0; i < d->write_count; i++) {
        disk_write_free(&d->writes[i]);
    }
    free(d->writes);
    free(d->disk.v);
    free(d->ghost.v);
    *d = (struct deleted){ 0 };
}

static void erase(struct cluster *c, struct sim_group *g, node_index machine)
{
    struct sim_node *n = &cluster_world(c, g)->nodes[machine];
    struct deleted *d = &g->deleted[machine];
    cluster_tell(c, "machine %d deletes group %u", machine, (unsigned)g->id);
    if (!g->dropped && (membership_voters(members_decided(g->world)) >> machine & 1) != 0) {
        world_violation(g->world, VIOLATION_CONTROL,
                        "machine %d deletes its replica of group %u, and is a voter", machine,
                        (unsigned)g->id); /* F7 */
    }
    follow_forget(d);
    image_copy(&d->disk, &n->disk);
    image_copy(&d->ghost, &n->ghost);
    d->writes = n->writes;
    d->write_count = n->write_count;
    d->safe = n->safe;
    d->born = n->born;
    d->damaged = n->damaged;
    d->lost = n->lost;
    d->lost_commit = n->lost_commit;
    d->durable_term = n->durable_term;
    d->order = ++n->shared->next;
    stop(n);
    clear(n);
}

void follow_crashed(struct cluster *c, struct sim_group *g, node_index machine)
{
    struct sim_node *n = &g->world->nodes[machine];
    struct deleted *d = &g->deleted[machine];
    if (d->order > c->machines[machine].log.cut) {
        c->counters->undone++;
        cluster_tell(c, "machine %d has not deleted group %u", machine, (unsigned)g->id);
        clear(n);
        image_copy(&n->disk, &d->disk);
        image_copy(&n->ghost, &d->ghost);
        free(n->writes);
        n->writes = d->writes;
        n->write_count = n->write_cap = d->write_count;
        d->writes = NULL;
        d->write_count = 0;
        n->safe = d->safe;
        n->born = d->born;
        n->damaged = d->damaged;
        n->lost = d->lost;
        n->lost_commit = d->lost_commit;
        n->durable_term = d->durable_term;
        n->life = LIFE_NODE;
        disk_crash(g->world, n, true);
    }
    follow_forget(d);
    if (n->life == LIFE_NODE && g->id != 0 && !disk_knows(n)) {
        vanish(n); /* nothing of it was durable */
    }
}

bool follow_damaged(struct cluster *c, struct sim_group *g, node_index machine, uint64_t entries,
                    int64_t state)
{
    struct world *w = cluster_world(c, g);
    struct sim_node *n = &w->nodes[machine];
    (void)members_damage(w, machine, entries, state);
    if (g->id == 0 || disk_knows(n)) {
        return false;
    }
    vanish(n);
    return true;
}

void follow_restarted(struct cluster *c, struct sim_group *g, node_index machine)
{
    struct world *w = cluster_world(c, g);
    if (w->nodes[machine].life == LIFE_NODE) {
        node_start(w, &w->nodes[machine]);
        call(c, g, machine);
    }
}

/* --- what is to be done --------------------------------------------------------------------- */

static void order(struct cluster *c, struct sim_group *g, node_index machine,
                  const struct follow_action *action)
{
    struct world *w = cluster_world(c, g);
    struct sim_node *n = &w->nodes[machine];
    struct event e = { .kind = EVENT_ADMIN };
    if (action->kind == FOLLOW_HAND_OVER) {
        e.admin.order = ADMIN_TRANSFER;
        e.admin.argument = action->to;
    } else {
        e.admin.order = ADMIN_MEMBERS;
        e.admin.members = action->members;
        e.admin.restated = action->restated;
        n->ordered_epoch = (uint32_t)action->epoch;
    }
    uint16_t remember = (uint16_t)~members_forgetful(w);
    /* Leadership of the few that have forgotten is no way out, and no leader knows them all. */
    if (action->kind == FOLLOW_HAND_OVER || quorum_of_set(remember, action->members.voters)) {
        node_step(w, n, &e);
    }
    n->ordered_epoch = 0;
}

static void report(struct cluster *c, struct sim_group *g, node_index machine, uint64_t epoch)
{
    struct outlook o;
    struct world *zero = cluster_zero(c);
    node_outlook(zero, &zero->nodes[machine], &o);
    bool own = o.leader == machine;
    if (o.leader == NODE_NONE || (!own && !network_takes(zero, machine, o.leader))) {
        return;
    }
    struct report *r = qr_zalloc(sizeof *r);
    *r = (struct report){ .group = g->id, .epoch = epoch };
    qr_time delay = own ? 0 : world_delay(zero, zero->options.delay_min, zero->options.delay_mean);
    cluster_push(c, delay, DUE_REPORT, o.leader, 0, r);
}

static void carry_out(struct cluster *c, struct sim_group *g, node_index machine,
                      const struct follow_action *action)
{
    const struct map *map = c->machines[machine].control.map;
    g->paced[machine] = c->now + ORDER_PAUSE;
    switch (action->kind) {
    case FOLLOW_NOTHING:
        g->paced[machine] = 0;
        break;
    case FOLLOW_FOUND:
    case FOLLOW_JOIN:
        found(c, g, machine, map_partition(map, g->id), action->kind == FOLLOW_JOIN);
        call(c, g, machine);
        g->paced[machine] = 0;
        break;
    case FOLLOW_DELETE:
        erase(c, g, machine);
        g->paced[machine] = 0;
        break;
    case FOLLOW_CHANGE_MEMBERS:
        order(c, g, machine, action);
        break;
    case FOLLOW_HAND_OVER:
        order(c, g, machine, action);
        g->paced[machine] = c->now + HAND_OVER_PAUSE;
        break;
    case FOLLOW_REPORT_SETTLED:
        report(c, g, machine, action->epoch);
        g->paced[machine] = c->now + REPORT_PAUSE;
        break;
    }
    c->counters->follows[action->kind]++;
    uint16_t bit = node_bit(machine);
    bool deed = action->kind == FOLLOW_FOUND || action->kind == FOLLOW_JOIN ||
                action->kind == FOLLOW_DELETE;
    if (deed && (c->shaken & bit) != 0 && !c->calm) {
        c->shaken &= (uint16_t)~bit;
        c->counters->shaken++;
        cluster_crash(c, machine, true, (qr_time)rng_below(&c->rng, 300000));
    }
}

void follow_tick(struct cluster *c, node_index machine)
{
    const struct machine *m = &c->machines[machine];
    uint32_t process = c->processes[machine];
    for (uint32_t i = 1; i < c->group_count && c->processes[machine] == process; i++) {
        struct sim_group *g = &c->groups[i];
        struct world *w = cluster_world(c, g);
        struct sim_node *n = &w->nodes[machine];
        struct outlook o;
        bool has = n->life == LIFE_NODE;
        if (n->up) {
            node_outlook(w, n, &o);
        }
        struct follow_view view = { .me = machine,
                                    .fresh = m->fresh.fresh,
                                    .has_replica = has,
                                    .log_knows = has,
                                    .log_lost = g->id < m->lost_below,
                                    .epoch = has ? members_epoch(n) : 0,
                                    .outlook = n->up ? &o : NULL,
                                    .able = alive(c, machine) };
        struct follow_action action = follow(m->control.map, g->id, &view);
        bool leads = action.kind >= FOLLOW_CHANGE_MEMBERS;
        c->counters->stale += has && view.epoch > 1 &&
                              map_partition(m->control.map, g->id) != NULL &&
                              view.epoch > map_partition(m->control.map, g->id)->epoch;
        if (!leads || c->now >= g->paced[machine]) {
            carry_out(c, g, machine, &action);
        }
    }
}
