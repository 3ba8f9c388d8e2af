/* What a seed draws (swarm: each class of faults on or off, Groce et al. 2012), and how one action
 * of a plan is carried out. The plan is fixed before the run starts, so that shrinking is nothing
 * but leaving actions out. */
#include "sim/world.h"

static uint64_t between(struct rng *r, uint64_t lo, uint64_t hi)
{
    return lo + rng_below(r, hi - lo + 1);
}

static bool half(struct rng *r)
{
    return rng_chance(r, 1, 2);
}

/* --- options
 * ------------------------------------------------------------------------------------------ */

static void draw_network(struct rng *r, struct options *o)
{
    o->delay_min = between(r, 50, 3000);
    o->delay_mean = half(r) ? between(r, 100, 5000) : between(r, 5000, 30000);
    o->fifo = half(r);
    o->loss = half(r) ? between(r, 1, 150) : 0;
    o->duplicate = half(r) ? between(r, 1, 200) : 0;
    o->reply_loss = half(r) ? between(r, 1, 60) : 0;
    o->timer_late = half(r) ? between(r, 1, 20000) : 1;
}

static void draw_disk(struct rng *r, struct options *o)
{
    o->sync_min = between(r, 50, 1000);
    o->sync_mean = half(r) ? between(r, 50, 2000) : between(r, 2000, 20000);
    o->release_first = half(r);
    o->checkpoint_every = half(r) ? between(r, 3, 80) : 0;
    o->force_trim = o->checkpoint_every != 0 && rng_chance(r, 1, 4) ? between(r, 1, 200) : 0;
}

static void draw_limits(struct rng *r, struct options *o)
{
    if (rng_chance(r, 1, 3)) {
        o->uncommitted_max = between(r, 1, 12);
        o->append_entries = between(r, 1, 4);
        o->appends_in_flight = between(r, 1, 3);
        o->append_operations = between(r, 1, 3);
    }
    if (rng_chance(r, 1, 4)) { /* another machine's settings, in the same order of sizes */
        o->heartbeat = between(r, 10, 50) * 1000;
        o->lease = o->heartbeat * 3;
        o->election = o->lease * 3;
    }
}

/* A world in which the drift of clocks decides: long leases, short ways, everybody on one key. */
static void draw_lease_world(struct rng *r, struct options *o)
{
    o->keys = 1;
    o->heartbeat = 25000;
    o->lease = between(r, 200, 500) * 1000;
    o->election = o->lease + o->lease / 8;
    o->delay_min = 50;
    o->delay_mean = between(r, 50, 300);
    o->sync_min = 50;
    o->sync_mean = between(r, 10, 300);
    o->loss = 0;
    o->timer_late = 1;
    o->extreme_drift = 1;
}

/* A world in which elections follow each other: what a vote must survive is tried again and again.
 */
static void draw_election_world(struct rng *r, struct options *o)
{
    o->nodes = half(r) ? 3 : 5;
    o->heartbeat = between(r, 5, 15) * 1000;
    o->lease = 3 * o->heartbeat;
    o->election = between(r, 2, 3) * o->lease;
    o->delay_min = between(r, 50, 1000);
    o->delay_mean = between(r, 500, 10000);
    o->sync_mean = between(r, 100, 10000);
    o->elections = 1;
}

void faults_draw_options(uint64_t seed, struct options *out)
{
    struct rng r = rng_from(seed * 0x9e3779b97f4a7c15u + 1);
    options_for_script(out);
    static const uint8_t sizes[] = { 3, 3, 3, 3, 5, 5, 2, 4, 1, 7 };
    out->nodes = sizes[rng_below(&r, sizeof sizes)];
    out->keys = between(&r, 1, 6);
    out->operations = between(&r, 200, 300);
    out->duration = between(&r, 4000, 9000) * 1000;
    out->liveness = 1;
    draw_network(&r, out);
    draw_disk(&r, out);
    draw_limits(&r, out);
    out->lease_reads = half(&r);
    if (rng_chance(&r, 1, 6)) {
        draw_lease_world(&r, out);
        out->lease_reads = 1;
    } else if (rng_chance(&r, 1, 4)) {
        draw_election_world(&r, out);
    }
    out->refuse_here = half(&r);
}

/* --- the plan
 * ------------------------------------------------------------------------------------------ */

struct drawing {
    struct rng rng;
    const struct options *o;
    struct plan *plan;
    qr_time at;
};

static void add(struct drawing *d, qr_time later, enum action_kind kind, int64_t a, int64_t b,
                int64_t c)
{
    plan_add(d->plan, (struct action){ .at = d->at + later, .kind = kind, .a = a, .b = b, .c = c });
}

static int64_t some_node(struct drawing *d)
{
    return (int64_t)rng_below(&d->rng, d->o->nodes);
}

/* Down times: mostly short, sometimes longer than an election. */
static qr_time down_time(struct drawing *d)
{
    if (d->o->elections != 0) {
        return (qr_time)rng_below(&d->rng, d->o->election * 2);
    }
    return (qr_time)(half(&d->rng) ? between(&d->rng, 1, 100) : between(&d->rng, 100, 2500)) * 1000;
}

static void draw_crash(struct drawing *d)
{
    int64_t power = (int64_t)rng_below(&d->rng, 2), node = some_node(d);
    switch (rng_below(&d->rng, 4)) {
    case 0:
        add(d, 0, ACTION_CRASH_LEADER, power, 0, 0);
        break;
    case 1:
        add(d, 0, ACTION_CRASH_IN, node, (int64_t)rng_below(&d->rng, 40), power);
        return; /* it restarts by itself */
    case 2:     /* all of them at once: what the disks hold is all there is */
        for (int64_t i = 0; i < (int64_t)d->o->nodes; i++) {
            add(d, 0, power ? ACTION_POWER : ACTION_CRASH, i, 0, 0);
        }
        break;
    default:
        add(d, 0, power ? ACTION_POWER : ACTION_CRASH, node, 0, 0);
        break;
    }
    qr_time down = down_time(d);
    for (int64_t i = 0; i < (int64_t)d->o->nodes; i++) {
        add(d, down + (qr_time)rng_below(&d->rng, 50000), ACTION_RESTART, i, 0, 0);
    }
}

/* Elections are short: to strike one, the crash waits for it. */
static void draw_voter(struct drawing *d)
{
    int64_t power = (int64_t)rng_below(&d->rng, 2);
    for (int64_t i = 0; i < (int64_t)d->o->nodes; i++) {
        add(d, 0, ACTION_CRASH_VOTER, i, (int64_t)rng_below(&d->rng, 6), power);
    }
    add(d, 1 + (qr_time)rng_below(&d->rng, d->o->election / 3), ACTION_CRASH_LEADER, power, 0, 0);
    qr_time down = down_time(d);
    for (int64_t i = 0; i < (int64_t)d->o->nodes; i++) {
        add(d, (qr_time)d->o->election + down, ACTION_RESTART, i, 0, 0);
    }
}

/* Several leaders in a row that do not get far: figure 8 of the paper lives here. */
static void draw_harassment(struct drawing *d)
{
    add(d, 0, ACTION_HARASS, (int64_t)between(&d->rng, 3, 12),
        (int64_t)between(&d->rng, 1, 6) * (int64_t)(d->o->delay_min + d->o->delay_mean),
        (int64_t)rng_below(&d->rng, 2));
    add(d, 0, half(&d->rng) ? ACTION_ISOLATE_LEADER : ACTION_CRASH_LEADER, 0, 0, 0);
    qr_time end = (qr_time)d->o->election * (qr_time)between(&d->rng, 3, 20);
    for (int64_t i = 0; i < (int64_t)d->o->nodes; i++) {
        add(d, end, ACTION_RESTART, i, 0, 0);
    }
    add(d, end, ACTION_HEAL, 0, 0, 0);
}

static void draw_cut(struct drawing *d)
{
    int64_t mask = (int64_t)between(&d->rng, 1, (1u << d->o->nodes) - 1);
    switch (rng_below(&d->rng, 5)) {
    case 0:
        add(d, 0, ACTION_CUT, mask, 0, 0);
        break;
    case 1:
        add(d, 0, ACTION_CUT_ONE_WAY, mask, (int64_t)rng_below(&d->rng, 2), 0);
        break;
    case 2:
        for (unsigned i = 0; i < 3; i++) {
            add(d, 0, ACTION_CUT_LINK, some_node(d), some_node(d), 0);
        }
        break;
    default:
        add(d, 0, ACTION_ISOLATE_LEADER, half(&d->rng) ? 1 : 0, 0, 0);
        break;
    }
    add(d, down_time(d), ACTION_HEAL, 0, 0, 0);
}

static void draw_pause(struct drawing *d)
{
    add(d, 0, half(&d->rng) ? ACTION_PAUSE_LEADER : ACTION_PAUSE, some_node(d), down_time(d), 0);
}

static void draw_disk_fault(struct drawing *d)
{
    int64_t node = some_node(d);
    add(d, 0, ACTION_SLOW_DISK, node, (int64_t)between(&d->rng, 5, 200), 0);
    add(d, down_time(d), ACTION_SLOW_DISK, node, 1, 0);
}

static void draw_clock(struct drawing *d)
{
    int64_t node = some_node(d);
    if (half(&d->rng)) { /* ahead and behind together: the drift bound holds between two clocks */
        add(d, 0, ACTION_DRIFT, node, (int64_t)rng_below(&d->rng, 94000) - 47000, 0);
    } else {
        add(d, 0, ACTION_WALL_JUMP, node, (int64_t)rng_below(&d->rng, 7200) * 1000000 - 3600000000,
            0);
    }
}

static void draw_orders(struct drawing *d)
{
    if (half(&d->rng)) {
        add(d, 0, ACTION_TRANSFER, half(&d->rng) ? some_node(d) : NODE_NONE, 0, 0);
    } else {
        add(d, 0, ACTION_READ_MODE, (int64_t)rng_below(&d->rng, 2), 0, 0);
    }
}

static void draw_connection(struct drawing *d)
{
    add(d, 0, ACTION_FLAP, some_node(d), some_node(d), 0);
}

static void draw_weather(struct drawing *d)
{
    add(d, 0, ACTION_NETWORK, (int64_t)rng_below(&d->rng, 300), (int64_t)rng_below(&d->rng, 300),
        (int64_t)rng_below(&d->rng, 40000));
    add(d, down_time(d), ACTION_NETWORK, (int64_t)d->o->loss, (int64_t)d->o->duplicate,
        (int64_t)d->o->delay_mean);
}

typedef void draw_fault(struct drawing *d);
static draw_fault *const classes[] = {
    draw_crash,      draw_cut,   draw_voter,  draw_harassment, draw_pause,
    draw_disk_fault, draw_clock, draw_orders, draw_connection, draw_weather,
};

static void draw_faults(struct drawing *d)
{
    draw_fault *on[ARRAY_COUNT(classes)];
    size_t n = 0, count = d->o->elections != 0 ? 4 : ARRAY_COUNT(classes);
    for (size_t i = 0; i < count; i++) {
        /* Crashes and cuts are what protocols die of. */
        if (rng_chance(&d->rng, i < 4 ? 3 : 2, 4)) {
            on[n++] = classes[i];
        }
    }
    if (n == 0) {
        on[n++] = classes[rng_below(&d->rng, 2)];
    }
    for (int64_t i = 0; i < (int64_t)d->o->nodes && d->o->extreme_drift != 0; i++) {
        add(d, 0, ACTION_DRIFT, i, half(&d->rng) ? 47000 : -47000, 0);
    }
    qr_time gap_max = (qr_time)d->o->duration / (qr_time)between(&d->rng, 6, 24);
    if (d->o->elections != 0) {
        gap_max = (qr_time)d->o->election * (qr_time)between(&d->rng, 2, 10);
    }
    d->at = 300000;
    while (d->at < (qr_time)d->o->duration) {
        on[rng_below(&d->rng, n)](d);
        d->at += 1 + (qr_time)rng_below(&d->rng, (uint64_t)gap_max);
    }
}

/* The types of keys differ, so that every kind of operation succeeds: the second key is a counter,
 * the third a list, the others registers. The list is used less: appends of unknown outcome, which
 * may stand anywhere in it, are what the search for a linear order finds hardest. */
static void draw_operation(struct drawing *d, uint64_t number, qr_time later)
{
    int64_t key = (int64_t)rng_below(&d->rng, d->o->keys);
    if (key == 2 && rng_chance(&d->rng, 9, 10)) {
        key = 0;
    }
    bool read = rng_chance(&d->rng, 2, 5);
    int64_t kind = read ? OP_GET : key == 1 ? OP_INCR : key == 2 ? OP_APPEND : OP_SET;
    if (!read && key > 2 && rng_chance(&d->rng, 1, 16)) {
        kind = OP_DEL;
    }
    add(d, later, ACTION_CLIENT, key, kind, key == 1 ? 1 : (int64_t)number);
}

static void draw_clients(struct drawing *d)
{
    uint64_t number = 1;
    while (number <= d->o->operations) {
        d->at = (qr_time)rng_below(&d->rng, d->o->duration);
        uint64_t burst = rng_chance(&d->rng, 1, 4) ? between(&d->rng, 2, 8) : 1;
        for (uint64_t i = 0; i < burst && number <= d->o->operations; i++) {
            draw_operation(d, number++, (qr_time)i);
        }
    }
}

static int by_time(const void *x, const void *y)
{
    const struct action *a = x, *b = y;
    if (a->at != b->at) {
        return a->at < b->at ? -1 : 1;
    }
    if (a->kind != b->kind) {
        return a->kind < b->kind ? -1 : 1;
    }
    if (a->a != b->a) {
        return a->a < b->a ? -1 : 1;
    }
    return a->c < b->c ? -1 : a->c > b->c;
}

void faults_draw_plan(uint64_t seed, const struct options *o, struct plan *out)
{
    struct drawing d = { .rng = rng_from(seed * 0xd1342543de82ef95u + 2), .o = o, .plan = out };
    draw_faults(&d);
    draw_clients(&d);
    qsort(out->v, out->n, sizeof *out->v, by_time);
}

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
    for (node_index i = 0; i < w->options.nodes; i++) {
        for (node_index j = 0; j < w->options.nodes; j++) {
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
    for (node_index i = 0; i < w->options.nodes && node != NODE_NONE; i++) {
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

/* A leader is elected while another has not heard of it: the moment in which a stale read is born.
 * Clients write at the new one and read at the old one. */
static void probe_rival(struct world *w, const struct sim_node *n)
{
    for (node_index i = 0; i < w->options.nodes; i++) {
        const struct sim_node *old = &w->nodes[i];
        if (old == n || !old->up || old->role != ROLE_LEADER ||
            w->operation_count > OPERATIONS_MAX) {
            continue;
        }
        for (unsigned k = 0; k < PROBES; k++) {
            world_push(w, (qr_time)rng_below(&w->rng, w->options.election / 2),
                       (struct item){ .kind = ITEM_PROBE, .node = n->index, .a = OP_SET });
            world_push(w, (qr_time)rng_below(&w->rng, w->options.election),
                       (struct item){ .kind = ITEM_PROBE, .node = i, .a = OP_GET });
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
    if (!w->calm) {
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
    for (node_index i = 0; i < w->options.nodes; i++) {
        w->cut[i][node] = w->cut[node][i] = false;
    }
}

static bool carry_out_node(struct world *w, const struct action *x)
{
    struct sim_node *n = &w->nodes[x->a < (int64_t)w->options.nodes ? x->a : 0];
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
        return true;
    case ACTION_CHECKPOINT:
        if (was_up) {
            driver_checkpoint(w, n);
        }
        return was_up;
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
            cut_mask(w, (uint64_t)1 << leader, true, true);
            close_connections(w, x->a != 0 ? leader : NODE_NONE);
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
        push_admin(w, leader, ADMIN_TRANSFER, x->a);
        return leader != NODE_NONE;
    case ACTION_READ_MODE:
        w->options.lease_reads = (uint64_t)x->a;
        for (node_index i = 0; i < w->options.nodes; i++) {
            push_admin(w, i, ADMIN_READ_MODE, x->a);
        }
        return true;
    case ACTION_NETWORK:
        w->options.loss = (uint64_t)x->a;
        w->options.duplicate = (uint64_t)x->b;
        w->options.delay_mean = (uint64_t)x->c;
        return true;
    default:
        return carry_out_node(w, x);
    }
}

void faults_carry_out(struct world *w, const struct action *x)
{
    if (w->calm && x->kind != ACTION_CLIENT) {
        return; /* planned for later than the safety phase lasted */
    }
    if (x->kind != ACTION_CLIENT) {
        world_tell(w, "- %s %lld %lld %lld", action_name(x->kind), (long long)x->a, (long long)x->b,
                   (long long)x->c);
    }
    if (carry_out_world(w, x, world_leader(w))) {
        w->counters->actions[x->kind]++;
        if (action_is_fault(x->kind)) {
            w->fault_count++;
        }
    }
}

/* Whether a leader with the shortest log of the core can bring the node up to date: the node must
 * hold, in this history, the slot where that log begins. */
static bool can_follow(struct world *w, const struct sim_node *n, qr_slot base)
{
    if (n->disk.base >= base) {
        return true;
    }
    const struct entry *e = image_at(&n->disk, base);
    return e != NULL && base < w->committed_count && e->chain == w->committed[base].chain;
}

static void install_on(struct world *w, struct sim_node *n, const struct sim_node *donor)
{
    node_crash(w, n, false);
    size_t size = (w->options.keys + 1) * sizeof *n->values;
    free(n->safe.values);
    n->safe = donor->safe;
    n->safe.number = ++n->checkpoint_number;
    n->safe.values = qr_alloc(size);
    memcpy(n->safe.values, donor->safe.values, size);
    w->counters->installs++;
}

/* A member too far behind gets the newest checkpoint of the core: what an operator would copy until
 * snapshots travel. It loses nothing that it acknowledged: what it has ends below the checkpoint,
 * or left the committed history before it. */
static void install(struct world *w, uint64_t core)
{
    const struct sim_node *donor = NULL;
    qr_slot base = 0;
    for (node_index i = 0; i < w->options.nodes; i++) {
        const struct sim_node *n = &w->nodes[i];
        if ((core >> i & 1) == 0) {
            continue;
        }
        base = max_u64(base, n->disk.base);
        if (n->safe.number != 0 && (donor == NULL || n->safe.slot > donor->safe.slot)) {
            donor = n;
        }
    }
    for (node_index i = 0; donor != NULL && i < w->options.nodes; i++) {
        if ((core >> i & 1) != 0 && !can_follow(w, &w->nodes[i], base)) {
            install_on(w, &w->nodes[i], donor);
        }
    }
}

void faults_heal_core(struct world *w, uint64_t core)
{
    world_tell(w, "- the core %llx heals, the others are gone", (unsigned long long)core);
    memset(w->cut, 0, sizeof w->cut);
    w->calm = true;
    w->options.force_trim = 0; /* it could leave a member behind that nobody helps any more */
    w->options.delay_mean = w->options.delay_mean > 5000 ? 5000 : w->options.delay_mean;
    for (node_index i = 0; i < w->options.nodes; i++) {
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
    install(w, core);
    for (node_index i = 0; i < w->options.nodes; i++) {
        if ((core >> i & 1) != 0) {
            node_start(w, &w->nodes[i]);
        }
    }
}
