/* The liveness phase of a cluster: all machines heal, and in bounded time every replica is where it
 * is wished and nowhere else, every group takes a write and answers a read of each key, and what
 * was dropped is gone. */
#include "sim/cluster.h"

#include "cluster/place.h"

#include <inttypes.h>

#define WAIT (60 * QR_SECOND)

static void heal(struct cluster *c)
{
    cluster_tell(c, "- all machines heal");
    memset(c->cut, 0, sizeof c->cut);
    c->calm = true;
    c->shaken = 0;
    for (uint32_t i = 0; i < c->group_count; i++) {
        struct world *w = cluster_world(c, &c->groups[i]);
        memset(w->cut, 0, sizeof w->cut);
        w->calm = true;
        w->core = (uint16_t)((1u << c->machine_count) - 1);
        w->options.delay_mean = min_u64(w->options.delay_mean, 3000);
    }
    for (node_index i = 0; i < c->machine_count; i++) {
        cluster_resume(c, i);
        cluster_start(c, i);
    }
}

/* NULL when the group is what the map wishes. */
static const char *is_not_as_wished(struct cluster *c, struct sim_group *g)
{
    const struct map_partition *p = map_partition(c->truth.map, g->id);
    for (node_index i = 0; i < c->machine_count; i++) {
        bool has = g->world->nodes[i].life == LIFE_NODE;
        bool wished = p != NULL && (p->wish >> i & 1) != 0;
        if (has != wished) {
            return has ? "a replica is left over" : "a replica is missing";
        }
        if (has && g->world->nodes[i].lost) {
            return "a replica does not remember";
        }
    }
    if (p == NULL) {
        return NULL;
    }
    node_index leader = cluster_leader(c, g);
    if (p->settled < p->epoch || leader == NODE_NONE) {
        return leader == NODE_NONE ? "nobody leads" : "a wish is not settled";
    }
    struct outlook o;
    struct membership wish = { .voters = p->wish };
    node_outlook(g->world, &g->world->nodes[leader], &o);
    return membership_equal(&o.membership, &wish) ? NULL : "the members are not who is wished";
}

static const char *is_unsettled(struct cluster *c, uint32_t *group)
{
    struct place_nodes nodes = { .members = membership_all(members_decided(c->groups[0].world)) };
    nodes.live = nodes.members;
    struct place_plan plan;
    place_plan(c->truth.map, &nodes, map_settings(c->truth.map)->balancing, &plan);
    uint32_t left = 0;
    for (uint32_t i = 0; i < plan.count; i++) {
        left += plan.change[i].reason != PLACE_LEADS;
        cluster_tell(c, "left to do: group %u from %x to %x: %s", (unsigned)plan.change[i].group,
                     plan.change[i].before, plan.change[i].wish,
                     place_reason_name(plan.change[i].reason));
    }
    place_plan_free(&plan);
    if (c->renewing != NODE_NONE) {
        return "another directory is not a member";
    }
    if (left > 0) {
        return "the plan is not carried out";
    }
    for (uint32_t i = 1; i < c->group_count; i++) {
        const char *why = is_not_as_wished(c, &c->groups[i]);
        *group = c->groups[i].id;
        if (why != NULL) {
            return why;
        }
    }
    return NULL;
}

static void tell_groups(struct cluster *c)
{
    for (uint32_t i = 0; i < c->group_count; i++) {
        struct world *w = c->groups[i].world;
        for (node_index k = 0; k < c->machine_count; k++) {
            if (w->nodes[k].up) {
                char line[300];
                struct text t = text_in(line, sizeof line);
                w->protocol->describe(w->nodes[k].self, &t);
                cluster_tell(c, "group %u, machine %d: %s", (unsigned)c->groups[i].id, k, line);
            }
        }
    }
}

static void must_settle(struct cluster *c)
{
    qr_time until = c->now + WAIT;
    uint32_t group = 0;
    const char *why = is_unsettled(c, &group);
    while (why != NULL && c->now < until) {
        cluster_run_until(c, c->now + 50000);
        why = is_unsettled(c, &group);
    }
    if (why != NULL) {
        tell_groups(c);
        world_violation(c->groups[0].world, VIOLATION_CONVERGENCE, "group %u: %s", (unsigned)group,
                        why);
    }
}

static void must_finish(struct cluster *c, struct sim_group *g, uint32_t key, enum op_kind kind)
{
    qr_time until = c->now + WAIT;
    while (c->now < until) {
        struct world *w = cluster_world(c, g);
        struct model_value value = { 0 };
        if (kind != OP_GET) {
            value = model_value_of_number((int64_t)w->operation_count);
        }
        uint32_t number = workload_operation(w, key, kind, value, NODE_NONE, 2 * QR_SECOND);
        workload_retry(w, number);
        while (!w->operations[number].done && c->now < until) {
            cluster_run_until(c, c->now + 20000);
        }
        enum result_kind result = w->operations[number].record.result.kind;
        if (w->operations[number].done && result != RESULT_UNKNOWN && result != RESULT_FAIL) {
            return;
        }
    }
    world_violation(g->world, VIOLATION_LIVENESS, "no %s finished",
                    kind == OP_GET ? "read" : "write");
}

void cluster_must_converge(struct cluster *c)
{
    heal(c);
    must_settle(c);
    for (uint32_t i = 0; i < c->group_count; i++) {
        struct sim_group *g = &c->groups[i];
        for (uint32_t key = 0; key < g->world->options.keys && !g->dropped; key++) {
            if (key == 0 || g->world->sessions == NULL) { /* the others are lists */
                must_finish(c, g, key, OP_SET);
            }
            must_finish(c, g, key, OP_GET);
        }
    }
    cluster_run_until(c, c->now + 2 * QR_SECOND); /* open operations end */
}
