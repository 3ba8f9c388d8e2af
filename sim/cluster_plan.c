/* What a seed draws for a cluster: clients, operators, crashes and cuts; and how each of it is
 * carried out. An operator asks the machine that leads group 0, or one that believes so. */
#include "sim/cluster.h"

#include "cluster/place.h"

#include <stdlib.h>

#define DURATION (8 * QR_SECOND)
#define BLOCKED 24u /* operations that a group may wait for; it is asked nothing more */

/* --- drawing -------------------------------------------------------------------------------- */

static int64_t up_to(struct rng *r, uint64_t bound)
{
    return (int64_t)rng_below(r, bound);
}

static void put(struct cluster *c, qr_time at, enum cluster_act kind, int64_t a, int64_t b,
                int64_t x)
{
    if (c->plan_count % 64 == 0) {
        c->plan = qr_realloc(c->plan, (c->plan_count + 64) * sizeof *c->plan);
    }
    c->plan[c->plan_count++] =
        (struct cluster_action){ .at = at, .kind = kind, .a = a, .b = b, .c = x };
}

static int64_t down_time(struct rng *r, const struct cluster *c)
{
    switch (rng_below(r, 4)) {
    case 0:
        return 1000 + up_to(r, 100000);
    case 1: /* so long that it is replaced */
        return c->replace_after + up_to(r, 2000000);
    default:
        return 100000 + up_to(r, 900000);
    }
}

static void draw_fault(struct cluster *c, struct rng *r, qr_time at)
{
    int64_t machine = up_to(r, c->machine_count);
    int64_t power = up_to(r, 2);
    int64_t length = down_time(r, c);
    switch (rng_below(r, 11)) {
    case 0:
        put(c, at, ACT_CRASH, machine, power, length);
        break;
    case 1:
        put(c, at, ACT_CRASH_LEADER, 0, power, length);
        break;
    case 2:
        put(c, at, ACT_CRASH_LEADER, 1 + up_to(r, 20), power, length);
        break;
    case 3:
        put(c, at, ACT_CUT, 1 + up_to(r, 1u << c->machine_count), 0, 0);
        put(c, at + length, ACT_HEAL, 0, 0, 0);
        break;
    case 4:
        put(c, at, ACT_ISOLATE_LEADER, up_to(r, 2) * (1 + up_to(r, 20)), 0, 0);
        put(c, at + length, ACT_HEAL, 0, 0, 0);
        break;
    case 5:
        put(c, at, ACT_PAUSE, machine, 0, length / 2);
        break;
    case 6:
        put(c, at, ACT_CRASH_ALL, 0, power, length / 4);
        break;
    case 7:
        put(c, at, ACT_NETWORK, up_to(r, 2) * up_to(r, 150), up_to(r, 2) * up_to(r, 100),
            100 + up_to(r, 8000));
        break;
    case 8:
        put(c, at, ACT_DAMAGE, machine, up_to(r, 60), up_to(r, 3));
        break;
    default:
        put(c, at, ACT_SHAKE, machine, 0, 0);
        break;
    }
}

static void draw_order(struct cluster *c, struct rng *r, qr_time at)
{
    int64_t machine = up_to(r, c->machine_count);
    static const int64_t replicas[] = { 1, 3, 3, 3, 5, 2 };
    switch (rng_below(r, 12)) {
    case 0:
        put(c, at, ACT_CREATE, 1 + up_to(r, 3), replicas[rng_below(r, 6)], 0);
        break;
    case 1:
        put(c, at, ACT_DROP, up_to(r, 8), 0, 0);
        break;
    case 2:
        put(c, at, ACT_RESIZE, up_to(r, 8), replicas[rng_below(r, 6)], 0);
        break;
    case 3:
    case 4:
        put(c, at, ACT_DRAIN, machine, 1, 0);
        put(c, at + 1000000 + up_to(r, 3000000), ACT_DRAIN, machine, 0, 0);
        break;
    case 5:
        put(c, at, ACT_ZONE, machine, 'a' + up_to(r, 3), 0);
        break;
    case 6:
        put(c, at, ACT_BALANCE, up_to(r, 2), 0, 0);
        break;
    default:
        put(c, at, ACT_MOVE, 1 + up_to(r, 20), 1 + up_to(r, 1u << c->machine_count), 0);
        break;
    }
}

static void draw_clients(struct cluster *c, struct rng *r)
{
    for (uint32_t i = 0; i < 260; i++) {
        int64_t kind = rng_chance(r, 2, 5) ? OP_GET : OP_SET;
        put(c, 200000 + up_to(r, DURATION - 200000), ACT_CLIENT, up_to(r, 1000), up_to(r, 3), kind);
    }
}

/* Of every other seed; by a generator of its own, so that the rest of a plan stays what it was. */
static void draw_renewals(struct cluster *c)
{
    struct rng rng = rng_from(c->seed * 0x9fb21c651e98df25u + 17);
    for (uint64_t n = rng_chance(&rng, 1, 2) ? 1 + rng_below(&rng, 3) : 0; n > 0; n--) {
        put(c, 700000 + up_to(&rng, DURATION / 2), ACT_RENEW, up_to(&rng, c->machine_count), 0, 0);
    }
}

static int by_time(const void *x, const void *y)
{
    const struct cluster_action *a = x, *b = y;
    return a->at != b->at       ? (a->at < b->at ? -1 : 1)
           : a->kind != b->kind ? (a->kind < b->kind ? -1 : 1)
           : a->a != b->a       ? (a->a < b->a ? -1 : 1)
                                : (a->b > b->b) - (a->b < b->b);
}

void cluster_draw(struct cluster *c)
{
    struct rng rng = rng_from(c->seed * 0xd1342543de82ef95u + 5);
    struct rng *r = &rng;
    qr_time fault_gap = DURATION / (qr_time)(3 + rng_below(r, 20));
    qr_time order_gap = DURATION / (qr_time)(4 + rng_below(r, 20));
    put(c, 600000, ACT_CREATE, 1 + up_to(r, 3), rng_chance(r, 1, 5) ? 1 : 3, 0);
    for (qr_time at = 900000; at < DURATION; at += 1 + up_to(r, (uint64_t)fault_gap)) {
        draw_fault(c, r, at);
    }
    for (qr_time at = 900000; at < DURATION; at += 1 + up_to(r, (uint64_t)order_gap)) {
        draw_order(c, r, at);
    }
    draw_clients(c, r);
    draw_renewals(c);
    qsort(c->plan, c->plan_count, sizeof *c->plan, by_time);
}

/* --- operators ------------------------------------------------------------------------------ */

static const struct map_keyspace *some_keyspace(const struct map *map, int64_t which)
{
    uint32_t count = map_keyspace_count(map);
    return count < 2 ? NULL : map_keyspace_at(map, 1 + (uint32_t)which % (count - 1));
}

static void create(struct cluster *c, struct proposal *p, const struct map *map,
                   uint32_t partitions, uint32_t replicas)
{
    struct place_nodes nodes = control_nodes(c, p->machine);
    struct placement placed[4];
    struct map_settings settings = *map_settings(map);
    bool room = settings.next_group + partitions < CLUSTER_GROUPS_MAX;
    if (!room || place_check(map, &nodes, replicas, partitions) != PLACE_OK) {
        return;
    }
    place_found(map, &nodes, replicas, settings.next_group, partitions, NULL, placed);
    struct map_keyspace k = { .id = c->next_keyspace++,
                              .first_group = settings.next_group,
                              .partitions = partitions,
                              .strategy = STRATEGY_RAFT,
                              .partitioning = PARTITIONING_HASH,
                              .state = KEYSPACE_IN_USE,
                              .replicas = (uint8_t)replicas };
    (void)snprintf(k.name, sizeof k.name, "k%u", (unsigned)k.id);
    settings.next_group += partitions;
    for (uint32_t i = 0; i < partitions; i++) {
        struct map_partition partition =
            map_found(&k, i, k.first_group + i, placed[i].nodes, placed[i].leads);
        proposal_partition(p, &partition);
    }
    proposal_keyspace(p, &k);
    proposal_settings(p, &settings);
    c->counters->keyspaces++;
}

static void drop(struct proposal *p, const struct map *map, const struct map_keyspace *k)
{
    for (uint32_t i = 0; i < k->partitions; i++) {
        const struct map_partition *partition = map_partition_at(map, k->id, i);
        if (partition != NULL) {
            proposal_delete(p, false, partition->group);
        }
    }
    proposal_delete(p, true, k->id);
}

/* A wish that no plan would have: what is moved by hand. */
static void move(struct cluster *c, struct proposal *p, const struct map *map, int64_t which,
                 uint16_t wish)
{
    uint32_t group = GROUP_FIRST + (uint32_t)which % (CLUSTER_GROUPS_MAX - GROUP_FIRST);
    const struct map_partition *partition = map_partition_after(map, group - 1);
    partition = partition != NULL ? partition : map_partition_after(map, 0);
    wish &= control_nodes(c, p->machine).members;
    if (partition != NULL && wish != 0) {
        struct map_partition next = *partition;
        map_wish(&next, wish, set_first(wish));
        proposal_partition(p, &next);
    }
}

static void compose(struct cluster *c, struct proposal *p, const struct cluster_action *x)
{
    const struct map *map = c->machines[p->machine].control.map;
    const struct map_keyspace *k = some_keyspace(map, x->a);
    node_index i = (node_index)(x->a % c->machine_count);
    struct map_node node = *map_node(map, i);
    struct map_settings settings = *map_settings(map);
    node.id = i + 1u;
    switch (x->kind) {
    case ACT_CREATE:
        create(c, p, map, (uint32_t)x->a, (uint32_t)x->b);
        break;
    case ACT_DROP:
        if (k != NULL && map_keyspace_count(map) > 2) {
            drop(p, map, k);
        }
        break;
    case ACT_RESIZE:
        if (k != NULL && x->b <= c->machine_count) {
            struct map_keyspace next = *k;
            next.replicas = (uint8_t)x->b;
            proposal_keyspace(p, &next);
        }
        break;
    case ACT_DRAIN:
        node.draining = x->b != 0;
        proposal_node(p, i, &node);
        break;
    case ACT_ZONE:
        node.zone[0] = (char)x->b;
        proposal_node(p, i, &node);
        break;
    case ACT_BALANCE:
        settings.balancing = x->a != 0;
        proposal_settings(p, &settings);
        break;
    case ACT_MOVE:
        move(c, p, map, x->a, (uint16_t)x->b);
        break;
    default:
        qr_unreachable();
    }
}

bool cluster_operate(struct cluster *c, const struct cluster_action *x)
{
    bool asked = false;
    for (node_index i = 0; i < c->machine_count; i++) {
        const struct sim_node *n = &c->groups[0].world->nodes[i];
        if (!c->machines[i].up || c->machines[i].paused || n->role != ROLE_LEADER) {
            continue;
        }
        struct proposal *p = qr_alloc(sizeof *p);
        control_follow(c, &c->machines[i].control, n->applied, false);
        proposal_begin(c, i, p);
        compose(c, p, x);
        if (p->count > 0) {
            proposal_send(p);
            asked = true;
        }
        free(p);
    }
    return asked;
}

/* --- faults and clients --------------------------------------------------------------------- */

static void spread_cuts(struct cluster *c)
{
    for (uint32_t i = 0; i < c->group_count; i++) {
        memcpy(c->groups[i].world->cut, c->cut, sizeof c->cut);
    }
}

static void cut(struct cluster *c, uint64_t mask)
{
    for (node_index i = 0; i < c->machine_count; i++) {
        for (node_index k = 0; k < c->machine_count; k++) {
            bool apart = (mask >> i & 1) != (mask >> k & 1);
            c->cut[i][k] = c->cut[i][k] || apart;
        }
    }
    spread_cuts(c);
}

static struct sim_group *some_group(struct cluster *c, int64_t which)
{
    return &c->groups[(uint64_t)which % c->group_count];
}

static void client(struct cluster *c, const struct cluster_action *x)
{
    struct sim_group *g = some_group(c, x->a);
    struct world *w = cluster_world(c, g);
    if (g->dropped || w->open_operations > BLOCKED) {
        return;
    }
    enum op_kind kind = (enum op_kind)x->c;
    if (cluster_sessions_act(c, g, w, kind != OP_GET)) {
        return;
    }
    struct model_value value = { 0 };
    if (kind != OP_GET) {
        value = model_value_of_number((int64_t)w->operation_count);
    }
    uint64_t keys = w->sessions != NULL ? 1 : w->options.keys; /* the others are lists */
    uint32_t key = (uint32_t)((uint64_t)x->b % keys);
    workload_retry(w, workload_operation(w, key, kind, value, NODE_NONE, QR_SECOND));
}

static void network(struct cluster *c, const struct cluster_action *x)
{
    for (uint32_t i = 0; i < c->group_count; i++) {
        c->groups[i].world->options.loss = (uint64_t)x->a;
        c->groups[i].world->options.duplicate = (uint64_t)x->b;
        c->groups[i].world->options.delay_mean = (uint64_t)x->c;
    }
}

/* Whether it died of it. */
static bool crash(struct cluster *c, node_index machine, const struct cluster_action *x)
{
    bool was_up = machine != NODE_NONE && c->machines[machine].up;
    if (was_up) {
        cluster_crash(c, machine, x->b != 0, x->c);
    }
    return was_up;
}

static void crash_all(struct cluster *c, const struct cluster_action *x)
{
    for (node_index i = 0; i < c->machine_count; i++) {
        cluster_crash(c, i, x->b != 0, x->c / (i + 1));
    }
}

/* Whether it had an effect. */
static bool carry_out(struct cluster *c, const struct cluster_action *x)
{
    node_index leader = cluster_leader(c, some_group(c, x->a));
    node_index machine = (node_index)((uint64_t)x->a % c->machine_count);
    switch (x->kind) {
    case ACT_CLIENT:
        client(c, x);
        return true;
    case ACT_CRASH:
        return crash(c, machine, x);
    case ACT_CRASH_LEADER: {
        bool of_zero = some_group(c, x->a)->id == 0;
        bool died = crash(c, leader, x);
        c->counters->zero_crashes += of_zero && died;
        return died;
    }
    case ACT_CRASH_ALL:
        crash_all(c, x);
        return true;
    case ACT_CUT:
        cut(c, (uint64_t)x->a);
        return true;
    case ACT_ISOLATE_LEADER:
        if (leader != NODE_NONE) {
            cut(c, (uint64_t)1 << leader);
        }
        return leader != NODE_NONE;
    case ACT_HEAL:
        memset(c->cut, 0, sizeof c->cut);
        spread_cuts(c);
        return true;
    case ACT_PAUSE:
        cluster_pause(c, machine, x->c);
        return true;
    case ACT_NETWORK:
        network(c, x);
        return true;
    case ACT_DAMAGE:
        cluster_damage(c, machine, (uint64_t)x->b, x->c);
        return true;
    case ACT_RENEW:
        renew_begin(c, machine);
        return true;
    case ACT_SHAKE:
        c->shaken |= node_bit(machine);
        return true;
    default:
        return cluster_operate(c, x);
    }
}

void cluster_act(struct cluster *c, const struct cluster_action *x)
{
    static const char *const names[] = {
        "?",       "client",  "create",    "drop",         "resize", "drain",          "zone",
        "balance", "crash",   "crash-all", "crash-leader", "cut",    "isolate-leader", "heal",
        "pause",   "network", "move",      "shake",        "renew",  "damage"
    };
    _Static_assert(ARRAY_COUNT(names) == ACTS, "one for each");
    if (x->kind != ACT_CLIENT) {
        cluster_tell(c, "- %s %lld %lld %lld", names[x->kind], (long long)x->a, (long long)x->b,
                     (long long)x->c);
    }
    c->counters->acts[x->kind] += carry_out(c, x);
}
