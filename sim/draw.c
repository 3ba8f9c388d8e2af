/* What a seed draws (swarm: each class of faults on or off, Groce et al. 2012). The plan is fixed
 * before the run starts, so that shrinking is nothing but leaving actions out. */
#include "sim/council.h"
#include "sim/sessions.h"

#define REST_SALT 70 /* none of the old seeds of tests/seeds.txt has a world that rests */
#define ASK_SALT 50  /* nor one in which reads are excepted */
#define BUSY QR_SECOND

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
    o->retain = o->checkpoint_every != 0 && half(r) ? between(r, 1, 60) : 0;
    o->strike_installs = half(r) ? between(r, 100, 700) : 0;
    o->chunks = between(r, 1, 6);
    o->pin = between(r, 200, 3000) * 1000;
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
    /* A restarted voter waits one lease: with a short one it votes while the election still runs.
     */
    o->lease = half(r) ? 1000 : 3 * o->heartbeat;
    o->election = between(r, 6, 9) * o->heartbeat;
    o->delay_min = between(r, 50, 1000);
    o->delay_mean = between(r, 500, 10000);
    o->sync_mean = between(r, 100, 10000);
    o->elections = 1;
}

/* Half of the worlds have operators, who let nodes come and go; most of these have room for new
 * ones beside those that were removed. */
static void draw_operators(struct rng *r, struct options *o)
{
    if (!half(r)) {
        return;
    }
    o->operators = 1;
    uint64_t room = MEMBERS_MAX - o->nodes;
    o->joiners = rng_chance(r, 1, 8) ? 0 : between(r, 1, room < 5 ? room : 5);
}

/* A world in which members forget, one soon after the other, while messages are lost. */
static void draw_damaged_world(struct rng *r, struct options *o)
{
    o->nodes = half(r) ? 5 : 7;
    o->loss = between(r, 20, 300);
    o->append_entries = between(r, 1, 3);
    if (half(r)) { /* what one has lost the others have in checkpoints only */
        o->checkpoint_every = between(r, 5, 40);
        o->retain = between(r, 1, 20);
    }
    o->damages = 1;
}

/* In half of the worlds the group rests when it is idle. Drawn apart from the rest, so that a seed
 * is the world that it was before there was such a thing, but for that. */
static void draw_rest(uint64_t seed, struct options *o)
{
    struct rng r = rng_from(seed * 0xbf58476d1ce4e5b9u + REST_SALT);
    if (half(&r)) {
        o->quiet_after = between(&r, 1, 4) * o->heartbeat;
    }
}

/* In half of the worlds in which only leaders are given requests, reads are excepted. */
static void draw_follower_reads(uint64_t seed, struct options *o)
{
    struct rng r = rng_from(seed * 0x94d049bb133111ebu + ASK_SALT);
    o->follower_reads = half(&r);
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
    out->probes = 1;
    draw_network(&r, out);
    draw_disk(&r, out);
    draw_limits(&r, out);
    out->lease_reads = half(&r);
    if (rng_chance(&r, 1, 6)) {
        draw_lease_world(&r, out);
        out->lease_reads = 1;
    } else if (rng_chance(&r, 1, 4)) {
        draw_election_world(&r, out);
    } else if (rng_chance(&r, 1, 5)) {
        draw_damaged_world(&r, out);
    }
    out->refuse_here = half(&r);
    out->join_by_hand = 0;
    draw_operators(&r, out);
    draw_rest(seed, out);
    draw_follower_reads(seed, out);
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
    return (int64_t)rng_below(&d->rng, d->o->nodes + d->o->joiners);
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

/* A leader that is deposed without knowing it has a follower that asks it for reads. */
static int64_t draw_companion(struct drawing *d)
{
    bool wanted = d->o->follower_reads != 0 && d->o->nodes > 3 && half(&d->rng);
    return wanted ? 1 + some_node(d) : 0;
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
        add(d, 0, ACTION_ISOLATE_LEADER, half(&d->rng) ? 1 : 0, draw_companion(d), 0);
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
        return;
    }
    int64_t which = (int64_t)rng_below(&d->rng, 2 + d->o->nodes);
    if (which < 2) {
        add(d, 0, ACTION_READ_MODE, which, 0, 0);
    } else {
        add(d, 0, ACTION_CALL, which - 2, 0, 0);
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

/* --- operators and lost disks */

/* Not that its disk is slow or its link cut, but that it is so for long: what it lacks is trimmed.
 */
static void draw_laggard(struct drawing *d)
{
    int64_t node = some_node(d);
    qr_time length = (qr_time)between(&d->rng, 500, 4000) * 1000;
    if (half(&d->rng)) {
        add(d, 0, ACTION_CUT, (int64_t)1 << node, 0, 0);
        add(d, length, ACTION_HEAL, 0, 0, 0);
    } else {
        add(d, 0, ACTION_CRASH, node, 0, 0);
        add(d, length, ACTION_RESTART, node, 0, 0);
    }
}

static void draw_damage(struct drawing *d)
{
    int64_t node = some_node(d);
    uint64_t entries = half(&d->rng) ? between(&d->rng, 1, 5) : between(&d->rng, 1, 200);
    add(d, 0, ACTION_DAMAGE, node, (int64_t)entries, (int64_t)rng_below(&d->rng, 3));
    add(d, down_time(d), ACTION_RESTART, node, 0, 0);
}

/* Entries are lost on several nodes at once. */
static void draw_rot(struct drawing *d)
{
    uint64_t nodes = rng_below(&d->rng, ((uint64_t)1 << d->o->nodes) - 1) + 1;
    add(d, 0, ACTION_ROT, (int64_t)nodes, (int64_t)between(&d->rng, 1, 12), 0);
    for (int64_t i = 0; i < (int64_t)d->o->nodes; i++) {
        add(d, down_time(d), ACTION_RESTART, i, 0, 0);
    }
}

/* The disk is lost, and some time later the node is taken in anew, in the old one's place. */
static void draw_wipe(struct drawing *d)
{
    int64_t node = some_node(d);
    add(d, 0, ACTION_WIPE, node, 0, 0);
    add(d, down_time(d), ACTION_REPLACE, (int64_t)1 << node, 0, 0);
}

static void draw_addition(struct drawing *d)
{
    add(d, 0, ACTION_ADD, (int64_t)rng_below(&d->rng, 8), half(&d->rng), 0);
}

static void draw_removal(struct drawing *d)
{
    add(d, 0, ACTION_REMOVE, half(&d->rng) ? NODE_NONE : some_node(d), half(&d->rng), 0);
}

static void draw_role(struct drawing *d)
{
    add(d, 0, half(&d->rng) ? ACTION_PROMOTE : ACTION_DEMOTE, some_node(d), half(&d->rng),
        half(&d->rng));
}

/* Several at once; and in the middle of it all of them lose their power, or the leader dies. */
static void draw_replacement(struct drawing *d)
{
    int64_t nodes = (int64_t)d->o->nodes;
    int64_t mask = (int64_t)between(&d->rng, 1, (1u << (nodes + (int64_t)d->o->joiners)) - 1);
    add(d, 0, ACTION_REPLACE, half(&d->rng) ? mask : mask & ((1 << nodes) - 1), half(&d->rng), 0);
    qr_time soon = 1 + (qr_time)rng_below(&d->rng, 20 * (d->o->delay_min + d->o->delay_mean));
    switch (rng_below(&d->rng, 3)) {
    case 0:
        add(d, soon, ACTION_CRASH_LEADER, half(&d->rng), 0, 0);
        break;
    case 1:
        for (int64_t i = 0; i < nodes + (int64_t)d->o->joiners; i++) {
            add(d, soon, ACTION_POWER, i, 0, 0);
        }
        break;
    default:
        return;
    }
    for (int64_t i = 0; i < nodes + (int64_t)d->o->joiners; i++) {
        add(d, soon + down_time(d), ACTION_RESTART, i, 0, 0);
    }
}

static void draw_island(struct drawing *d)
{
    add(d, 0, ACTION_ISLAND, 0, 0, 0);
    add(d, down_time(d), ACTION_HEAL, 0, 0, 0);
}

/* Everybody leaves in turn, all are killed, all start, all come back (scenario 32). */
static void draw_mystery(struct drawing *d)
{
    qr_time step = (qr_time)between(&d->rng, 20, 300) * 1000, at = 0;
    int64_t nodes = (int64_t)d->o->nodes;
    for (int64_t i = 0; i < nodes; i++) {
        add(d, at += step, ACTION_REMOVE, i, 1, 0);
    }
    for (int64_t i = 0; i < nodes + (int64_t)d->o->joiners; i++) {
        add(d, at + step, half(&d->rng) ? ACTION_CRASH : ACTION_POWER, i, 0, 0);
        add(d, at + 2 * step, ACTION_RESTART, i, 0, 0);
    }
    at += 3 * step;
    for (int64_t i = 0; i < nodes; i++) {
        add(d, at += step, ACTION_ADD, 0, 1, 0);
    }
}

typedef void draw_fault(struct drawing *d);
static draw_fault *const classes[] = {
    draw_crash,      draw_cut,   draw_voter,  draw_harassment, draw_pause,
    draw_disk_fault, draw_clock, draw_orders, draw_connection, draw_weather,
};

static draw_fault *const orders[] = {
    draw_addition, draw_removal, draw_role,    draw_replacement, draw_addition,
    draw_island,   draw_mystery, draw_laggard, draw_wipe,        draw_damage,
};

/* Some of the classes, from time to time until the safety phase ends. */
static void draw_times(struct drawing *d, draw_fault *const *on, size_t n, qr_time gap_max)
{
    d->at = 300000;
    while (d->at < (qr_time)d->o->duration) {
        on[rng_below(&d->rng, n)](d);
        d->at += 1 + (qr_time)rng_below(&d->rng, (uint64_t)gap_max);
    }
}

static void draw_orders_and_losses(struct drawing *d)
{
    draw_fault *on[ARRAY_COUNT(orders) + 2];
    size_t n = 0;
    if (d->o->damages != 0) {
        on[n++] = draw_damage;
        on[n++] = draw_rot;
    }
    for (size_t i = 0; i < ARRAY_COUNT(orders); i++) {
        bool possible =
            d->o->operators != 0 || orders[i] == draw_laggard ||
            (orders[i] == draw_damage && d->o->council == 0); /* it has a way of its own */
        if (possible && half(&d->rng)) {
            on[n++] = orders[i];
        }
    }
    if (n > 0) {
        uint64_t often = d->o->damages != 0 ? between(&d->rng, 10, 40) : between(&d->rng, 3, 16);
        draw_times(d, on, n, (qr_time)d->o->duration / (qr_time)often);
    }
}

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
    draw_times(d, on, n, gap_max);
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
        if (d->o->quiet_after != 0) { /* busy for an eighth of the time, then idle */
            d->at -= d->at % BUSY - d->at % BUSY / 8;
        }
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
    if (o->level == 0) {
        draw_clients(&d);
    } else {
        sessions_draw_plan(seed, o, out);
    }
    draw_orders_and_losses(&d);
    if (o->council != 0) {
        council_draw_plan(seed, o, out);
    }
    qsort(out->v, out->n, sizeof *out->v, by_time);
}
