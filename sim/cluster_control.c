/* The control state of a simulated cluster: changes are composed at a machine that leads group 0,
 * or believes so, as ops that the real engine carries out when their entry is applied; what is
 * decided may only go forward. */
#include "sim/cluster.h"

#include "cluster/place.h"
#include "cluster/records.h"
#include "command/op.h"

#include <inttypes.h>

#define MOVES_MAX 3u
#define COMPOSE_PAUSE 60000

/* --- carrying out --------------------------------------------------------------------------- */

static void take_record(void *context, struct span key, struct span value)
{
    struct control *control = context;
    enum map_status status = map_put(control->map, key, value);
    qr_assert(status == MAP_OK);
}

void control_open(struct cluster *c, struct control *control, bool judged)
{
    (void)c;
    (void)judged;
    *control = (struct control){ .map = map_new() };
    struct engine_config config = { .value_bytes_max = 1024,
                                    .system_changed = take_record,
                                    .system_context = control };
    control->engine = engine_new(&config);
}

void control_close(struct control *control)
{
    if (control->engine != NULL) {
        engine_free(control->engine);
        map_free(control->map);
    }
    *control = (struct control){ 0 };
}

/* As after a restart or a snapshot: the map is made of all records anew. */
static void rebuild(struct control *control)
{
    map_reset(control->map);
    engine_system_each(control->engine, take_record, control);
}

static bool carry_out(struct control *control, const struct change *change)
{
    struct op op;
    struct reply reply;
    bool good = op_read(span_of(change->op, change->n), &op);
    qr_assert(good);
    reply_init(&reply, 2);
    engine_apply(control->engine, &op, &reply);
    bool done = !reply.is_error;
    reply_free(&reply);
    return done;
}

/* --- judging what is decided ---------------------------------------------------------------- */

static const char *went_back(const struct map_partition *a, const struct map_partition *b)
{
    return b->epoch < a->epoch || b->settled < a->settled          ? "epochs go back"
           : b->founders != a->founders                            ? "founders change"
           : (a->moved & ~b->moved) != 0                           ? "who moved has not"
           : b->epoch == a->epoch && b->wish != a->wish            ? "one epoch, two wishes"
           : b->epoch > a->epoch + 1                               ? "an epoch is left out"
           : b->settled == a->settled && (a->held & ~b->held) != 0 ? "a holder is forgotten"
                                                                   : NULL;
}

struct before {
    struct map_partition partition[CLUSTER_GROUPS_MAX];
    bool there[CLUSTER_GROUPS_MAX];
};

static void remember(struct cluster *c, struct before *before)
{
    for (uint32_t i = 1; i < c->group_count; i++) {
        const struct map_partition *p = map_partition(c->truth.map, c->groups[i].id);
        before->there[i] = p != NULL;
        before->partition[i] = p != NULL ? *p : (struct map_partition){ 0 };
    }
}

static void judge_partition(struct cluster *c, struct sim_group *g, const struct map_partition *a)
{
    const struct map_partition *b = map_partition(c->truth.map, g->id);
    if (b == NULL) {
        g->dropped = true;
        g->world->options.liveness = 0; /* nobody promises what was dropped */
        g->world->over = true;
        c->counters->drops++;
        cluster_tell(c, "group %u is dropped", (unsigned)g->id);
        return;
    }
    const char *why = went_back(a, b);
    if (why != NULL) {
        world_violation(g->world, VIOLATION_CONTROL, "group %u: %s", (unsigned)g->id, why);
    }
    if (b->settled > a->settled && g->world->decided_epoch < b->settled) {
        world_violation(g->world, VIOLATION_CONTROL,
                        "group %u: epoch %" PRIu64 " is called settled, its log is at %u",
                        (unsigned)g->id, b->settled, (unsigned)g->world->decided_epoch); /* F6 */
    }
    if (b->epoch != a->epoch || b->settled != a->settled) {
        cluster_tell(c, "group %u: epoch %" PRIu64 " wish %x held %x settled %" PRIu64,
                     (unsigned)g->id, b->epoch, b->wish, b->held, b->settled);
    }
    c->counters->moves += b->epoch != a->epoch;
    c->counters->settled += b->settled != a->settled;
}

static void judge(struct cluster *c, const struct before *before)
{
    for (uint32_t i = 1; i < c->group_count; i++) {
        if (before->there[i]) {
            judge_partition(c, &c->groups[i], &before->partition[i]);
        }
    }
    const struct map_partition *p = map_partition_after(c->truth.map, 0);
    for (; p != NULL; p = map_partition_after(c->truth.map, p->group)) {
        if (cluster_group(c, p->group) == NULL) {
            (void)cluster_new_group(c, p->group, p->founders);
            cluster_tell(c, "group %u is founded by %x", (unsigned)p->group, p->founders);
        }
    }
}

static bool is_change(const struct cluster *c, uint32_t operation)
{
    return operation != 0 && operation < c->change_cap && c->changes[operation].n > 0;
}

/* As control_rests in src/node/control.c. */
bool control_rests_at(const struct cluster *c, node_index machine)
{
    const struct world *w = c->groups[0].world;
    const struct sim_node *n = &w->nodes[machine];
    for (qr_slot slot = n->applied + 1; slot <= image_last(&n->log); slot++) {
        const struct entry *e = image_at(&n->log, slot);
        if (e != NULL && e->attempt != 0 && is_change(c, w->attempts[e->attempt].operation)) {
            return false;
        }
    }
    for (uint32_t i = (uint32_t)min_u64(w->operation_count, c->change_cap); i-- > 0;) {
        const struct operation *o = &w->operations[i];
        if (!o->done && o->fixed == machine && is_change(c, i)) {
            return false; /* it was composed a moment ago */
        }
    }
    return true;
}

static const struct change *change_at(struct cluster *c, qr_slot slot)
{
    const struct world *w = c->groups[0].world;
    uint32_t attempt = w->committed[slot].attempt;
    uint32_t operation = attempt == 0 ? 0 : w->attempts[attempt].operation;
    return is_change(c, operation) ? &c->changes[operation] : NULL;
}

void control_follow(struct cluster *c, struct control *control, qr_slot slot, bool judged)
{
    bool anew = slot < control->slot;
    if (anew) {
        control_close(control);
        control_open(c, control, judged);
    }
    while (control->slot < slot) {
        control->slot++;
        const struct change *change = change_at(c, control->slot);
        if (change == NULL) {
            continue;
        }
        struct before before;
        if (judged) {
            remember(c, &before);
        }
        bool done = carry_out(control, change);
        if (judged) {
            c->counters->changes += done;
            c->counters->conflicts += !done;
            judge(c, &before);
        }
    }
    if (anew) {
        rebuild(control);
    }
}

/* --- proposals ------------------------------------------------------------------------------ */

void proposal_begin(struct cluster *c, node_index machine, struct proposal *p)
{
    p->cluster = c;
    p->machine = machine;
    p->count = 0;
    p->expected = engine_system_version(c->machines[machine].control.engine);
    wire_store_u64(p->version, p->expected);
    p->argv[0] = span_of(p->version, sizeof p->version);
}

static void add(struct proposal *p, struct map_key key, size_t value_n)
{
    uint8_t *bytes = p->bytes[p->count];
    size_t n = map_key_write(key, bytes);
    p->argv[1 + 2 * p->count] = span_of(bytes, n);
    p->argv[2 + 2 * p->count] = span_of(bytes + MAP_KEY_BYTES_MAX, value_n);
    p->count++;
}

static uint8_t *value_of(struct proposal *p)
{
    qr_assert(p->count < ARRAY_COUNT(p->bytes));
    _Static_assert(sizeof p->bytes[0] >= MAP_KEY_BYTES_MAX + MAP_VALUE_BYTES_MAX, "room for both");
    return p->bytes[p->count] + MAP_KEY_BYTES_MAX;
}

void proposal_partition(struct proposal *p, const struct map_partition *partition)
{
    size_t n = map_partition_write(partition, value_of(p));
    add(p, (struct map_key){ MAP_RECORD_PARTITION, partition->group }, n);
}

void proposal_keyspace(struct proposal *p, const struct map_keyspace *keyspace)
{
    size_t n = map_keyspace_write(keyspace, value_of(p));
    add(p, (struct map_key){ MAP_RECORD_KEYSPACE, keyspace->id }, n);
}

void proposal_settings(struct proposal *p, const struct map_settings *settings)
{
    size_t n = map_settings_write(settings, value_of(p));
    add(p, (struct map_key){ MAP_RECORD_SETTINGS, 0 }, n);
}

void proposal_node(struct proposal *p, node_index i, const struct map_node *node)
{
    size_t n = map_node_write(node, value_of(p));
    add(p, (struct map_key){ MAP_RECORD_NODE, i }, n);
}

void proposal_delete(struct proposal *p, bool keyspace, uint32_t number)
{
    (void)value_of(p);
    add(p, (struct map_key){ keyspace ? MAP_RECORD_KEYSPACE : MAP_RECORD_PARTITION, number }, 0);
}

void proposal_send(struct proposal *p)
{
    struct cluster *c = p->cluster;
    struct world *zero = cluster_zero(c);
    uint32_t argc = 1 + 2 * p->count;
    uint32_t operation = workload_operation(zero, (uint32_t)zero->options.keys, OP_SET,
                                            model_value_of_number((int64_t)zero->operation_count),
                                            p->machine, 5 * QR_SECOND);
    if (operation >= c->change_cap) {
        size_t cap = (operation + 1u) * 2u;
        c->changes = qr_realloc(c->changes, cap * sizeof *c->changes);
        memset(c->changes + c->change_cap, 0, (cap - c->change_cap) * sizeof *c->changes);
        c->change_cap = cap;
    }
    struct op head = { .level = SEMANTICS_LEVEL, .tag = OP_SYSTEM, .argc = argc };
    struct change *change = &c->changes[operation];
    change->n = op_bytes(p->argv, argc);
    change->op = qr_alloc(change->n);
    op_write(change->op, &head, p->argv, argc);
    workload_try(zero, operation, p->machine);
}

/* --- the planner ---------------------------------------------------------------------------- */

struct place_nodes control_nodes(const struct cluster *c, node_index machine)
{
    const struct sim_node *n = &c->groups[0].world->nodes[machine];
    struct membership m = members_in_force(&n->log, n->membership).members;
    struct place_nodes nodes = { .members = membership_all(&n->membership.members) };
    nodes.members &= m.voters | m.learners; /* nothing new on who is about to go */
    for (node_index i = 0; i < c->machine_count; i++) {
        qr_time silent = i == machine ? 0 : c->now - c->machines[machine].seen[i];
        nodes.live |= silent < 300000 ? node_bit(i) : 0;
        nodes.gone |= silent > c->replace_after ? node_bit(i) : 0;
    }
    return nodes;
}

/* What leaders have reported, as far as it is still news. */
static void settle(struct machine *m, struct proposal *p)
{
    for (uint32_t i = 0; i < m->report_count; i++) {
        const struct map_partition *partition = map_partition(m->control.map, m->reports[i].group);
        bool news = partition != NULL && m->reports[i].epoch == partition->epoch &&
                    partition->settled < partition->epoch;
        for (uint32_t k = 0; k < i; k++) {
            news = news && m->reports[k].group != m->reports[i].group;
        }
        if (news) {
            struct map_partition next = *partition;
            map_settle(&next);
            proposal_partition(p, &next);
        }
    }
    m->report_count = 0;
}

static void plan(struct cluster *c, node_index machine, struct proposal *p)
{
    const struct map *map = c->machines[machine].control.map;
    struct place_nodes nodes = control_nodes(c, machine);
    struct place_plan todo;
    struct map_partition due[8];
    place_plan(map, &nodes, map_settings(map)->balancing, &todo);
    uint32_t open = place_under_way(map);
    /* Moves of groups that have lost their majorities never end, and must not hold up others. */
    uint32_t moves = open >= MOVES_MAX ? (rng_chance(&c->rng, 1, 4) ? 1 : 0) : MOVES_MAX - open;
    uint32_t n = place_due(map, &nodes, &todo, moves, due, ARRAY_COUNT(due));
    for (uint32_t i = 0; i < n; i++) {
        proposal_partition(p, &due[i]);
    }
    place_plan_free(&todo);
}

void control_compose(struct cluster *c, node_index machine)
{
    struct machine *m = &c->machines[machine];
    if (c->now < m->composes_at) {
        return;
    }
    struct proposal *p = qr_alloc(sizeof *p);
    proposal_begin(c, machine, p);
    settle(m, p);
    if (p->count == 0) {
        plan(c, machine, p);
    }
    if (p->count > 0) {
        /* Now and then sooner than the last one can be applied: one of the two is refused. */
        m->composes_at = c->now + (rng_chance(&c->rng, 1, 4) ? 0 : COMPOSE_PAUSE);
        proposal_send(p);
    }
    free(p);
}
