/* How one action of a plan is carried out, and what strikes the world by itself: harassed leaders,
 * probes, the healing of the core. */
#include "sim/council.h"
#include "sim/members.h"
#include "sim/sessions.h"

/* --- carrying out
 * ---------------------------------------------------------------------------------------- */

static void set_cut(struct world *w, node_index from, node_index to, bool cut)
{
    if (from != to) {
        w->cut[from][to] = cut;
    }
}

/* Cuts the links between the nodes of the mask and the others: out of the mask, into it, or both.
 */
static void cut_mask(struct world *w, uint64_t mask, bool out, bool in)
{
    for (node_index i = 0; i < w->node_count; i++) {
        for (node_index j = 0; j < w->node_count; j++) {
            if ((mask >> i & 1) != 0 && (mask >> j & 1) == 0) {
                w->cut[i][j] |= out;
                w->cut[j][i] |= in;
            }
        }
    }
}

/* The others see their connections to the node close, as after a reset. */
static void close_connections(struct world *w, node_index node)
{
    for (node_index i = 0; i < w->node_count && node != NODE_NONE; i++) {
        if (i != node && w->nodes[i].up) {
            world_push(w, 0,
                       (struct item){ .kind = ITEM_PEER,
                                      .node = i,
                                      .a = node,
                                      .b = 0,
                                      .incarnation = w->nodes[i].incarnation });
        }
    }
}

/* With somebody, perhaps. */
static void isolate(struct world *w, node_index node, const struct action *x)
{
    uint64_t with = x->b != 0 ? (uint64_t)1 << (x->b - 1) : 0;
    cut_mask(w, (uint64_t)1 << node | with, true, true);
    council_cut(w, (uint16_t)(node_bit(node) | with), true);
    close_connections(w, x->a != 0 ? node : NODE_NONE);
}

static void pause_node(struct world *w, node_index node, qr_time length)
{
    if (node != NODE_NONE && w->nodes[node].up && !w->nodes[node].paused) {
        node_pause(w, &w->nodes[node]);
        world_push(w, length, (struct item){ .kind = ITEM_RESUME, .node = node });
    }
}

static void push_admin(struct world *w, node_index node, int64_t order, int64_t argument)
{
    if (node != NODE_NONE && w->nodes[node].up) {
        world_push(w, 0,
                   (struct item){ .kind = ITEM_ADMIN,
                                  .node = node,
                                  .a = order,
                                  .b = argument,
                                  .incarnation = w->nodes[node].incarnation });
    }
}

static void flap(struct world *w, node_index node, node_index peer)
{
    if (node == peer || !w->nodes[node].up) {
        return;
    }
    uint32_t incarnation = w->nodes[node].incarnation;
    world_push(
        w, 0,
        (struct item){
            .kind = ITEM_PEER, .node = node, .incarnation = incarnation, .a = peer, .b = 0 });
    world_push(
        w, (qr_time)rng_below(&w->rng, 100000),
        (struct item){
            .kind = ITEM_PEER, .node = node, .incarnation = incarnation, .a = peer, .b = 1 });
}

static struct model_value argument_of(enum op_kind kind, int64_t number)
{
    if (kind == OP_GET || kind == OP_DEL) {
        return (struct model_value){ 0 };
    }
    if (kind == OP_APPEND) {
        char text[24];
        int n = snprintf(text, sizeof text, "%lld,", (long long)number);
        return model_value_of(span_of(text, (size_t)n));
    }
    return model_value_of_number(number);
}

static void client(struct world *w, const struct action *x)
{
    enum op_kind kind = (enum op_kind)x->b;
    qr_time patience = (qr_time)(300000 + rng_below(&w->rng, 1700000));
    uint32_t operation =
        workload_operation(w, (uint32_t)x->a, kind, argument_of(kind, x->c), NODE_NONE, patience);
    workload_retry(w, operation);
}

/* Raft keeps the terms of a bounded number of leaders that committed nothing; beyond it the group
 * waits for ever, which is known and not what harassment is to find. */
#define HARASSED_TERMS_MAX 20u

#define PROBES 6u
#define OPERATIONS_MAX 600u /* a seed draws fewer; the rest is for probes */

/* Somebody who hears that node, and may take it for the leader still; else the node itself. */
static node_index near(struct world *w, node_index leader, node_index other)
{
    node_index first = (node_index)rng_below(&w->rng, w->node_count);
    for (node_index k = 0; k < w->node_count; k++) {
        node_index i = (node_index)((first + k) % w->node_count);
        if (w->nodes[i].up && i != leader && i != other && !w->cut[leader][i]) {
            return i;
        }
    }
    return leader;
}

/* A leader is elected while another has not heard of it: the moment in which a stale read is born.
 * Clients write at the new one and read at the old one, and at who follows it still. */
static void probe_rival(struct world *w, const struct sim_node *n)
{
    for (node_index i = 0; i < w->node_count; i++) {
        const struct sim_node *old = &w->nodes[i];
        if (old == n || !old->up || old->role != ROLE_LEADER ||
            w->operation_count > OPERATIONS_MAX) {
            continue;
        }
        for (unsigned k = 0; k < PROBES; k++) {
            /* Soon, since a lease that is counted wrongly is wrong for a moment only; and later. */
            uint64_t within = k % 2 == 0 ? w->options.lease / 8 : w->options.election / 2;
            world_push(w, (qr_time)rng_below(&w->rng, within),
                       (struct item){ .kind = ITEM_PROBE, .node = n->index, .a = OP_SET });
            world_push(w, (qr_time)rng_below(&w->rng, 2 * within),
                       (struct item){ .kind = ITEM_PROBE, .node = i, .a = OP_GET });
            if (w->options.follower_reads != 0) {
                world_push(
                    w, (qr_time)rng_below(&w->rng, 2 * within),
                    (struct item){ .kind = ITEM_PROBE, .node = near(w, i, n->index), .a = OP_GET });
            }
        }
    }
}

void faults_probe(struct world *w, node_index node, enum op_kind kind)
{
    struct model_value argument = { 0 };
    if (kind == OP_SET) {
        argument = model_value_of_number(1000000 + (int64_t)w->operation_count);
    }
    workload_try(w, workload_operation(w, 0, kind, argument, NODE_NONE, QR_SECOND), node);
}

void faults_new_leader(struct world *w, struct sim_node *n)
{
    if (!w->calm && w->options.probes != 0) {
        probe_rival(w, n);
    }
    if (w->harass <= 0 || w->calm || n->term > w->commit_term + HARASSED_TERMS_MAX) {
        return;
    }
    w->harass--;
    struct item strike = { .kind = ITEM_STRIKE, .node = n->index, .incarnation = n->incarnation };
    world_push(w, (qr_time)rng_below(&w->rng, (uint64_t)w->harass_within), strike);
}

/* The struck leader is back before the next but one is elected, as figure 8 wants it. */
void faults_strike(struct world *w, struct sim_node *n)
{
    qr_time back = (qr_time)w->options.election * (qr_time)(1 + rng_below(&w->rng, 3));
    if (w->calm) {
        return;
    }
    if (w->harass_crash) {
        node_crash(w, n, false);
        world_push(w, back, (struct item){ .kind = ITEM_RESTART, .node = n->index });
        return;
    }
    cut_mask(w, (uint64_t)1 << n->index, true, true);
    world_push(w, back, (struct item){ .kind = ITEM_REJOIN, .node = n->index });
}

void faults_rejoin(struct world *w, node_index node)
{
    for (node_index i = 0; i < w->node_count; i++) {
        w->cut[i][node] = w->cut[node][i] = false;
    }
}

/* To the leader, or to anybody, who refuses. */
static bool order(struct world *w, node_index leader, enum verb verb, int64_t nodes, bool forced)
{
    node_index at = leader;
    if (!w->knows_members || nodes < 0 || nodes > UINT16_MAX) {
        return false;
    }
    if (at == NODE_NONE || world_chance(w, 50)) {
        at = (node_index)rng_below(&w->rng, w->node_count);
    }
    if (!w->nodes[at].up) {
        return false;
    }
    (void)members_order(w, at, verb, (uint16_t)nodes, forced);
    return true;
}

static int64_t set_of(const struct world *w, int64_t node, node_index leader)
{
    int64_t at = node == NODE_NONE ? leader : node;
    return at >= 0 && at < w->node_count ? (int64_t)1 << at : -1;
}

/* The leader is cut off from all others and asked to remove them (scenario 31). */
static bool island(struct world *w, node_index leader)
{
    if (leader == NODE_NONE) {
        return false;
    }
    uint16_t others = membership_all(members_decided(w)) & (uint16_t)~node_bit(leader);
    cut_mask(w, (uint64_t)1 << leader, true, true);
    return order(w, leader, VERB_REMOVE, others, true);
}

static bool carry_out_members(struct world *w, const struct action *x, node_index leader)
{
    switch (x->kind) {
    case ACTION_ADD:
        return order(w, leader, x->a == 1 ? VERB_OBSERVER : VERB_LEARNER, 0, x->b != 0);
    case ACTION_REMOVE:
        return order(w, leader, VERB_REMOVE, set_of(w, x->a, leader), x->b != 0);
    case ACTION_PROMOTE:
        return order(w, leader, VERB_VOTER, set_of(w, x->a, leader), x->b != 0);
    case ACTION_DEMOTE:
        return order(w, leader, x->c != 0 ? VERB_LEARNER : VERB_OBSERVER, set_of(w, x->a, leader),
                     x->b != 0);
    case ACTION_REPLACE:
        return order(w, leader, VERB_REPLACE, x->a, x->b != 0);
    case ACTION_ISLAND:
        return island(w, leader);
    default:
        qr_unreachable();
    }
}

static bool carry_out_node(struct world *w, const struct action *x)
{
    struct sim_node *n = &w->nodes[x->a < (int64_t)w->node_count ? x->a : 0];
    bool was_up = n->up;
    switch (x->kind) {
    case ACTION_CRASH:
    case ACTION_POWER:
        node_crash(w, n, x->kind == ACTION_POWER);
        return was_up;
    case ACTION_CRASH_IN:
        n->crash_in = was_up ? x->b : -1;
        n->restart_within = 1000000;
        n->crash_power = x->c != 0;
        return was_up;
    case ACTION_CRASH_VOTER:
        n->crash_after_state = was_up ? x->b : -1;
        n->restart_within = 30000;
        n->crash_power = x->c != 0;
        return was_up;
    case ACTION_RESTART:
        node_start(w, n);
        return !was_up;
    case ACTION_PAUSE:
        pause_node(w, n->index, x->b);
        return was_up;
    case ACTION_SLOW_DISK:
        n->slow = x->b;
        disk_start_sync(w, n);
        return x->b > 1;
    case ACTION_DRIFT:
        node_set_drift(w, n, x->b);
        return true;
    case ACTION_WALL_JUMP:
        n->wall_offset += x->b;
        push_admin(w, (node_index)x->a, ADMIN_SKEWED, 1);
        return true;
    case ACTION_CHECKPOINT:
        if (was_up) {
            snapshots_take(w, n);
        }
        return was_up;
    case ACTION_WIPE:
        return members_wipe(w, n->index);
    case ACTION_DAMAGE:
        return members_damage(w, n->index, (uint64_t)x->b, x->c);
    case ACTION_FLAP:
        flap(w, n->index, (node_index)x->b);
        return was_up;
    default:
        qr_unreachable();
    }
}

static bool carry_out_world(struct world *w, const struct action *x, node_index leader)
{
    switch (x->kind) {
    case ACTION_CLIENT:
        client(w, x);
        return true;
    case ACTION_SESSION:
    case ACTION_HISTORY:
        return sessions_act(w, x);
    case ACTION_CRASH_LEADER:
        if (leader != NODE_NONE) {
            node_crash(w, &w->nodes[leader], x->a != 0);
        }
        return leader != NODE_NONE;
    case ACTION_CUT:
        cut_mask(w, (uint64_t)x->a, true, true);
        return true;
    case ACTION_CUT_ONE_WAY:
        cut_mask(w, (uint64_t)x->a, x->b != 0, x->b == 0);
        return true;
    case ACTION_CUT_LINK:
        set_cut(w, (node_index)x->a, (node_index)x->b, true);
        return x->a != x->b;
    case ACTION_ISOLATE_LEADER:
        if (leader != NODE_NONE) {
            isolate(w, leader, x);
        }
        return leader != NODE_NONE;
    case ACTION_HEAL:
        memset(w->cut, 0, sizeof w->cut);
        return true;
    case ACTION_PAUSE_LEADER:
        pause_node(w, leader, x->b);
        return leader != NODE_NONE;
    case ACTION_HARASS:
        w->harass = x->a;
        w->harass_within = x->b;
        w->harass_crash = x->c != 0;
        return true;
    case ACTION_TRANSFER:
        if (leader != NODE_NONE) {
            (void)members_order(w, leader, VERB_TRANSFER, (uint16_t)x->a, false);
        }
        return leader != NODE_NONE;
    case ACTION_READ_MODE:
        w->options.lease_reads = (uint64_t)x->a;
        for (node_index i = 0; i < w->node_count; i++) {
            push_admin(w, i, ADMIN_READ_MODE, x->a);
        }
        return true;
    case ACTION_CALL:
        push_admin(w, (node_index)x->a, ADMIN_CALL, 0);
        return w->nodes[x->a].up;
    case ACTION_NETWORK:
        w->options.loss = (uint64_t)x->a;
        w->options.duplicate = (uint64_t)x->b;
        w->options.delay_mean = (uint64_t)x->c;
        return true;
    case ACTION_ROT:
        return rot_strike(w, (uint16_t)x->a, (uint64_t)x->b);
    case ACTION_ADD:
    case ACTION_REMOVE:
    case ACTION_PROMOTE:
    case ACTION_DEMOTE:
    case ACTION_REPLACE:
    case ACTION_ISLAND:
        return carry_out_members(w, x, leader);
    default:
        return carry_out_node(w, x);
    }
}

static bool carry_out(struct world *w, const struct action *x)
{
    switch (x->kind) {
    case ACTION_AWAY:
    case ACTION_CUT_COUNCIL:
    case ACTION_RULE:
    case ACTION_MEMBERS:
        return council_act(w, x);
    case ACTION_TRANSFER:
        return w->council != NULL ? council_act(w, x) : carry_out_world(w, x, world_leader(w));
    case ACTION_CUT:
    case ACTION_HEAL:
        council_cut(w, x->kind == ACTION_CUT ? (uint16_t)x->a : 0, x->kind == ACTION_CUT);
        return carry_out_world(w, x, world_leader(w));
    default:
        return carry_out_world(w, x, world_leader(w));
    }
}

void faults_carry_out(struct world *w, const struct action *x)
{
    if (w->calm && x->kind != ACTION_CLIENT) {
        return; /* planned for later than the safety phase lasted */
    }
    if (x->kind != ACTION_CLIENT && x->kind != ACTION_SESSION) {
        world_tell(w, "- %s %lld %lld %lld", action_name(x->kind), (long long)x->a, (long long)x->b,
                   (long long)x->c);
    }
    if (carry_out(w, x)) {
        w->counters->actions[x->kind]++;
        if (action_is_fault(x->kind)) {
            w->fault_count++;
        }
    }
}

void faults_heal_core(struct world *w, uint16_t core)
{
    world_tell(w, "- the core %x heals, the others are gone", core);
    memset(w->cut, 0, sizeof w->cut);
    w->calm = true;
    w->core = core;
    w->options.delay_mean = w->options.delay_mean > 5000 ? 5000 : w->options.delay_mean;
    for (node_index i = 0; i < w->node_count; i++) {
        struct sim_node *n = &w->nodes[i];
        n->crash_in = n->crash_after_state = -1;
        n->slow = 1;
        if ((core >> i & 1) == 0) {
            node_crash(w, n, true);
        } else {
            n->wall_offset = WALL_START; /* somebody has set the clock */
            node_resume(w, n);
            disk_start_sync(w, n);
        }
    }
    rot_restore(w, core);
    for (node_index i = 0; i < w->node_count; i++) {
        if ((core >> i & 1) != 0) {
            node_start(w, &w->nodes[i]);
        }
    }
}
