/* A cluster's frame: its making, what happens next over all groups, crashes and starts of machines,
 * one seed from start to verdict. */
#include "sim/cluster.h"

#include <inttypes.h>

/* --- time ----------------------------------------------------------------------------------- */

void cluster_push(struct cluster *c, qr_time delay, enum cluster_item what, node_index machine,
                  int64_t b, void *p)
{
    queue_push(&c->queue, (struct item){ .at = c->now + delay,
                                         .kind = ITEM_ACTION,
                                         .node = machine,
                                         .incarnation = c->processes[machine],
                                         .a = what,
                                         .b = b,
                                         .p = p });
}

struct world *cluster_world(struct cluster *c, struct sim_group *g)
{
    struct world *w = g->world;
    qr_assert(w->queue.n == 0 || w->queue.v[0].at >= c->now);
    w->now = c->now;
    return w;
}

struct world *cluster_zero(struct cluster *c)
{
    return cluster_world(c, &c->groups[0]);
}

struct sim_group *cluster_group(struct cluster *c, uint32_t id)
{
    for (uint32_t i = 0; i < c->group_count; i++) {
        if (c->groups[i].id == id) {
            return &c->groups[i];
        }
    }
    return NULL;
}

void cluster_tell(struct cluster *c, const char *format, ...)
{
    if (c->tell == NULL) {
        return;
    }
    char line[500];
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    char stamped[560];
    (void)snprintf(stamped, sizeof stamped, "%9" PRId64 " %s", c->now, line);
    c->tell(c->tell_context, stamped);
}

/* --- machines ------------------------------------------------------------------------------- */

bool cluster_reaches(const struct cluster *c, node_index from, node_index to)
{
    return c->machines[to].up && !c->machines[to].paused && !c->cut[from][to];
}

node_index cluster_leader(struct cluster *c, struct sim_group *g)
{
    (void)c;
    return world_leader(g->world);
}

void cluster_start(struct cluster *c, node_index machine)
{
    struct machine *m = &c->machines[machine];
    if (m->up || renew_waits(c, machine)) {
        return;
    }
    m->up = true;
    m->report_count = 0;
    m->composes_at = 0;
    c->processes[machine]++;
    cluster_tell(c, "machine %d starts", machine);
    for (node_index i = 0; i < c->machine_count; i++) {
        m->seen[i] = c->now;
    }
    struct world *zero = cluster_zero(c);
    m->fresh = (struct follow_fresh){ .upto = image_last(&zero->nodes[machine].disk),
                                      .joined = zero->nodes[machine].joined_slot };
    node_start(zero, &zero->nodes[machine]);
    control_follow(c, &m->control, zero->nodes[machine].applied, false);
    for (uint32_t i = 1; i < c->group_count; i++) {
        follow_restarted(c, &c->groups[i], machine);
    }
    cluster_push(c, (qr_time)rng_below(&c->rng, (uint64_t)c->tick), DUE_TICK, machine, 0, NULL);
    cluster_push(c, 0, DUE_BEAT, machine, 0, NULL);
}

/* What its log has of all groups after the crash is one prefix of what was written. */
void cluster_crash(struct cluster *c, node_index machine, bool power, qr_time down)
{
    struct machine *m = &c->machines[machine];
    if (!m->up) {
        return;
    }
    uint64_t open = m->log.next - m->log.landed;
    uint64_t kept = power || rng_chance(&c->rng, 1, 3) ? rng_below(&c->rng, open + 1) : open;
    m->log.cut = m->log.landed + kept;
    cluster_tell(c, "machine %d %s", machine, power ? "loses power" : "crashes");
    m->up = m->paused = false;
    c->processes[machine]++;
    for (uint32_t i = 0; i < c->group_count; i++) {
        struct world *w = cluster_world(c, &c->groups[i]);
        node_crash(w, &w->nodes[machine], power);
        follow_crashed(c, &c->groups[i], machine);
    }
    m->log.landed = m->log.next;
    cluster_push(c, down, DUE_START, machine, 0, NULL);
}

/* Every group survives it, also those that the machine is a member of and has no replica yet. */
static bool may_lose(struct cluster *c, node_index machine)
{
    for (uint32_t i = 0; i < c->group_count; i++) {
        const struct world *w = c->groups[i].world;
        const struct membership *m = members_decided(w);
        bool has = w->nodes[machine].life == LIFE_NODE;
        bool is_member = (membership_all(m) >> machine & 1) != 0;
        bool survives = has && members_may_lose(w, machine) && quorum_count(m->voters) > 1;
        if (!w->over && (has || is_member) && !survives) {
            return false;
        }
    }
    return true;
}

void cluster_damage(struct cluster *c, node_index machine, uint64_t entries, int64_t state)
{
    cluster_crash(c, machine, true, (qr_time)rng_below(&c->rng, 500000));
    if (c->machines[machine].up || !may_lose(c, machine)) {
        return;
    }
    cluster_tell(c, "machine %d is damaged", machine);
    c->counters->damaged++;
    c->machines[machine].lost_below = map_settings(c->truth.map)->next_group;
    for (uint32_t i = 0; i < c->group_count; i++) {
        struct world *w = cluster_world(c, &c->groups[i]);
        if (w->nodes[machine].life == LIFE_NODE) {
            c->counters->lost += follow_damaged(c, &c->groups[i], machine, entries, state);
        }
    }
}

void cluster_pause(struct cluster *c, node_index machine, qr_time length)
{
    struct machine *m = &c->machines[machine];
    if (!m->up || m->paused) {
        return;
    }
    m->paused = true;
    for (uint32_t i = 0; i < c->group_count; i++) {
        struct world *w = cluster_world(c, &c->groups[i]);
        node_pause(w, &w->nodes[machine]);
    }
    cluster_push(c, length, DUE_RESUME, machine, 0, NULL);
}

void cluster_resume(struct cluster *c, node_index machine)
{
    struct machine *m = &c->machines[machine];
    m->paused = false;
    for (uint32_t i = 0; i < c->group_count; i++) {
        struct world *w = cluster_world(c, &c->groups[i]);
        node_resume(w, &w->nodes[machine]);
    }
}

/* --- beats ---------------------------------------------------------------------------------- */

static void beat(struct cluster *c, node_index machine)
{
    struct world *zero = cluster_zero(c);
    cluster_push(c, (qr_time)zero->options.heartbeat, DUE_BEAT, machine, 0, NULL);
    for (node_index i = 0; i < c->machine_count; i++) {
        if (i != machine && !c->machines[machine].paused && network_takes(zero, machine, i) &&
            c->machines[i].up) {
            qr_time delay = world_delay(zero, zero->options.delay_min, zero->options.delay_mean);
            cluster_push(c, delay, DUE_HEARD, i, (int64_t)machine << 32 | c->processes[machine],
                         NULL);
        }
    }
    for (uint32_t i = 1; i < c->group_count && !c->machines[machine].paused; i++) {
        struct world *w = cluster_world(c, &c->groups[i]);
        if (w->options.quiet_after != 0 && w->nodes[machine].up) {
            beats_look(w, &w->nodes[machine]);
        }
    }
}

static void heard(struct cluster *c, node_index machine, node_index from, uint32_t process)
{
    for (uint32_t i = 1; i < c->group_count && !c->machines[machine].paused; i++) {
        struct world *w = cluster_world(c, &c->groups[i]);
        if (w->options.quiet_after != 0 && w->nodes[machine].up) {
            beats_hear(w, &w->nodes[machine], from, process);
        }
    }
}

/* --- what is due ---------------------------------------------------------------------------- */

static void tick(struct cluster *c, node_index machine)
{
    struct machine *m = &c->machines[machine];
    cluster_push(c, c->tick / 2 + (qr_time)rng_below(&c->rng, (uint64_t)c->tick), DUE_TICK, machine,
                 0, NULL);
    if (m->paused) {
        return;
    }
    for (node_index i = 0; i < c->machine_count; i++) {
        bool there = cluster_reaches(c, machine, i) && cluster_reaches(c, i, machine);
        m->seen[i] = there ? c->now : m->seen[i];
    }
    struct world *zero = cluster_zero(c);
    const struct sim_node *n = &zero->nodes[machine];
    control_follow(c, &m->control, n->applied, false);
    struct outlook o;
    node_outlook(zero, n, &o);
    (void)follow_look(&m->fresh, &o, n->applied);
    follow_tick(c, machine);
    if (m->up && n->role == ROLE_LEADER) {
        control_compose(c, machine);
        renew_tick(c, machine);
    }
}

static void take_report(struct cluster *c, node_index machine, const struct report *r)
{
    struct machine *m = &c->machines[machine];
    if (m->report_count < CLUSTER_REPORTS_MAX) {
        m->reports[m->report_count++] = *r;
    }
}

static void one(struct cluster *c, struct item *item)
{
    bool lives = item->incarnation == c->processes[item->node] && c->machines[item->node].up;
    switch ((enum cluster_item)item->a) {
    case DUE_ACT:
        if (!c->calm || c->plan[item->b].kind == ACT_CLIENT) {
            cluster_act(c, &c->plan[item->b]);
        }
        return;
    case DUE_START:
        cluster_start(c, item->node);
        return;
    case DUE_RESUME:
        if (lives) {
            cluster_resume(c, item->node);
        }
        return;
    case DUE_TICK:
        if (lives) {
            tick(c, item->node);
        }
        return;
    case DUE_BEAT:
        if (lives) {
            beat(c, item->node);
        }
        return;
    case DUE_HEARD:
        if (lives) {
            heard(c, item->node, (node_index)(item->b >> 32), (uint32_t)item->b);
        }
        return;
    case DUE_REPORT:
        if (lives) {
            take_report(c, item->node, item->p);
        }
        return;
    }
}

/* The group that is due first; NULL: the cluster itself, or nothing before `until`. */
static struct sim_group *first_due(struct cluster *c, qr_time *at)
{
    struct sim_group *first = NULL;
    if (c->queue.n > 0 && c->queue.v[0].at < *at) {
        *at = c->queue.v[0].at;
    }
    for (uint32_t i = 0; i < c->group_count; i++) {
        const struct queue *q = &c->groups[i].world->queue;
        if (q->n > 0 && q->v[0].at < *at) {
            *at = q->v[0].at;
            first = &c->groups[i];
        }
    }
    return first;
}

void cluster_run_until(struct cluster *c, qr_time until)
{
    for (;;) {
        qr_time at = until;
        struct sim_group *g = first_due(c, &at);
        if (at >= until) {
            break;
        }
        c->now = at;
        if (g != NULL) {
            world_run_until(g->world, at);
        } else {
            struct item item;
            (void)queue_pop(&c->queue, &item);
            one(c, &item);
            free(item.p);
        }
        if (g == &c->groups[0]) {
            control_follow(c, &c->truth, c->groups[0].world->committed_count - 1, true);
        }
    }
    c->now = until;
}

/* --- making --------------------------------------------------------------------------------- */

static struct options options_for(struct cluster *c, uint32_t id)
{
    struct options o;
    faults_draw_options(c->seed, &o);
    uint64_t delay_mean = o.delay_mean > 8000 ? o.delay_mean / 4 : o.delay_mean;
    struct options base;
    options_for_script(&base);
    struct rng r = rng_from(c->seed * 0x9e3779b97f4a7c15u + id * 77);
    base.nodes = c->machine_count;
    base.keys = id == 0 ? 2 : 1 + rng_below(&r, 3);
    base.delay_min = o.delay_min;
    base.delay_mean = delay_mean;
    base.fifo = o.fifo;
    base.loss = o.loss / 2;
    base.duplicate = o.duplicate / 2;
    base.reply_loss = o.reply_loss;
    base.sync_min = o.sync_min;
    base.sync_mean = o.sync_mean / 2;
    base.release_first = o.release_first;
    base.checkpoint_every = rng_chance(&r, 1, 2) ? 3 + rng_below(&r, 30) : 0;
    base.retain = base.checkpoint_every != 0 && rng_chance(&r, 1, 2) ? 1 + rng_below(&r, 20) : 0;
    base.lease_reads = rng_below(&r, 2);
    base.quiet_after = id != 0 && rng_chance(&r, 1, 2) ? (1 + rng_below(&r, 4)) * 25000 : 0;
    base.refuse_here = rng_below(&r, 2);
    base.probes = 1;
    base.liveness = 1;
    base.joiners = 0;
    base.join_by_hand = 1;
    base.timer_late = 1;
    cluster_sessions_options(c, id, &base);
    return base;
}

struct sim_group *cluster_new_group(struct cluster *c, uint32_t id, uint16_t founders)
{
    qr_assert(c->group_count < CLUSTER_GROUPS_MAX);
    struct sim_group *g = &c->groups[c->group_count++];
    struct options options = options_for(c, id);
    *g = (struct sim_group){ .id = id };
    struct world *w =
        world_new(c->protocol, &options, c->seed ^ (uint64_t)id << 32, &c->world_counters);
    g->world = w;
    w->now = c->now;
    w->outer = &c->on_violation;
    w->processes = c->processes;
    w->knows_members = true;
    w->zero = id == 0 ? NULL : c->groups[0].world;
    w->calm = c->calm;
    w->core = (uint16_t)((1u << c->machine_count) - 1);
    w->tell = c->tell;
    w->tell_context = c->tell_context;
    w->show = c->show;
    memcpy(w->cut, c->cut, sizeof w->cut);
    w->decided_count = 0;
    w->decided_epoch = FOUNDING_EPOCH;
    struct membership first = { .voters = founders };
    members_commit(w, 0, 0, &first, 0);
    for (node_index i = 0; i < c->machine_count; i++) {
        struct sim_node *n = &w->nodes[i];
        n->shared = &c->machines[i].log;
        n->identity = id == 0 ? 0 : c->groups[0].world->nodes[i].identity;
        n->life = id == 0 ? LIFE_NODE : LIFE_NONE;
        n->born.members = id == 0 ? first : (struct membership){ 0 };
    }
    return g;
}

static void open_cluster(struct cluster *c)
{
    static const uint8_t sizes[] = { 3, 4, 5, 5, 6, 7 };
    c->rng = rng_from(c->seed * 0xff51afd7ed558ccdu + 11);
    c->session_rng = rng_from(c->seed * 0x8cb92ba72f3d8dd7u + 3);
    c->machine_count = sizes[rng_below(&c->rng, sizeof sizes)];
    c->replace_after = (qr_time)(1000 + rng_below(&c->rng, 2000)) * 1000;
    c->tick = (qr_time)(10 + rng_below(&c->rng, 30)) * 1000;
    c->next_keyspace = KEYSPACE_FIRST_ID;
    c->renewing = NODE_NONE;
    (void)cluster_new_group(c, 0, (uint16_t)((1u << c->machine_count) - 1));
    control_open(c, &c->truth, true);
    for (node_index i = 0; i < c->machine_count; i++) {
        control_open(c, &c->machines[i].control, false);
    }
    cluster_draw(c);
    for (size_t i = 0; i < c->plan_count; i++) {
        cluster_push(c, c->plan[i].at, DUE_ACT, 0, (int64_t)i, NULL);
    }
    for (node_index i = 0; i < c->machine_count; i++) {
        cluster_start(c, i);
    }
}

static void close_cluster(struct cluster *c)
{
    for (uint32_t i = 0; i < c->group_count; i++) {
        for (node_index k = 0; k < MEMBERS_MAX; k++) {
            follow_forget(&c->groups[i].deleted[k]);
        }
        world_free(c->groups[i].world);
    }
    for (size_t i = 0; i < c->change_cap; i++) {
        free(c->changes[i].op);
    }
    for (node_index i = 0; i < MEMBERS_MAX; i++) {
        control_close(&c->machines[i].control);
    }
    control_close(&c->truth);
    free(c->changes);
    free(c->plan);
    queue_free(&c->queue);
}

/* --- a seed --------------------------------------------------------------------------------- */

static void whole_run(struct cluster *c)
{
    open_cluster(c);
    cluster_run_until(c, 8 * QR_SECOND);
    cluster_must_converge(c);
    for (uint32_t i = 0; i < c->group_count; i++) {
        safety_at_end(c->groups[i].world);
    }
}

static void settle_counters(struct cluster *c, struct seed_result *result)
{
    struct cluster_counters *k = c->counters;
    k->seeds++;
    k->virtual_us += (uint64_t)c->now;
    k->messages += c->world_counters.messages;
    k->operations += c->world_counters.operations;
    k->recovered += c->world_counters.recovered;
    k->session_reads += c->world_counters.served[SERVE_NOW];
    k->session_judged += c->world_counters.judged[GUARANTEE_MONOTONIC_READS];
    for (uint32_t i = 0; i < c->group_count; i++) {
        const struct world *w = c->groups[i].world;
        k->steps += w->steps;
        k->leaders += w->leader_changes;
        result->steps += w->steps;
        result->digest = (result->digest ^ w->digest) * 0x100000001b3u;
        if (w->violation != VIOLATION_NONE && result->violation == VIOLATION_NONE) {
            result->violation = w->violation;
            (void)snprintf(result->text, sizeof result->text, "group %u: %.480s",
                           (unsigned)c->groups[i].id, w->violation_text);
        }
    }
}

struct seed_result cluster_execute(uint64_t seed, struct cluster_counters *counters,
                                   void (*tell)(void *context, const char *line), void *context)
{
    struct cluster *c = qr_zalloc(sizeof *c);
    struct seed_result result = { .violation = VIOLATION_NONE };
    c->seed = seed;
    c->protocol = strategy_of("raft");
    c->counters = counters;
    c->tell = tell;
    c->tell_context = context;
    seed_catch_panics(&c->on_violation);
    int how = sigsetjmp(c->on_violation, 1);
    if (how == 0) {
        whole_run(c);
    }
    seed_catch_panics(NULL);
    if (how == 2) {
        result.violation = VIOLATION_PANIC;
        (void)snprintf(result.text, sizeof result.text, "see the line above");
    }
    settle_counters(c, &result);
    close_cluster(c);
    free(c);
    return result;
}
