/* The commands of scripts; see docs/testing.md. */
#include "sim/script.h"

#include "sim/checkers/safety.h"

#include <inttypes.h>

#define WORDS_MAX 64u
#define PATIENCE (10 * QR_SECOND)
#define ELECT_WAIT (5 * QR_SECOND)
#define SETTLE 100000

struct words {
    char *v[WORDS_MAX];
    unsigned n;
};

/* A script with a mistake fails by what it prints. */
static void mistake(struct script *s, const char *what)
{
    char line[200];
    (void)snprintf(line, sizeof line, "mistake: %s", what);
    script_say(s, line);
}

static int64_t number(const struct words *w, unsigned i)
{
    return i < w->n ? strtoll(w->v[i], NULL, 0) : 0;
}

static struct sim_node *node(struct script *s, const struct words *w, unsigned i)
{
    int64_t index = number(w, i);
    if (i >= w->n || index < 0 || index >= (int64_t)s->world->node_count) {
        mistake(s, "no such node");
        return &s->world->nodes[0];
    }
    return &s->world->nodes[index];
}

/* "1500", "25ms", "2s": microseconds. */
static qr_time duration(const char *text)
{
    char *end;
    qr_time value = strtoll(text, &end, 10);
    return strcmp(end, "ms") == 0  ? value * 1000
           : strcmp(end, "s") == 0 ? value * QR_SECOND
                                   : value;
}

static void run_for(struct script *s, qr_time length)
{
    world_run_until(s->world, s->world->now + length);
}

/* --- worlds
 * ----------------------------------------------------------------------------------------- */

static const struct protocol *read_options(struct script *s, const struct words *w,
                                           struct options *o, uint64_t *seed)
{
    options_for_script(o);
    const struct protocol *protocol = w->n > 1 ? strategy_of(w->v[1]) : NULL;
    for (unsigned i = 2; i < w->n; i++) {
        char *equals = strchr(w->v[i], '=');
        if (equals == NULL) {
            mistake(s, w->v[i]);
            continue;
        }
        *equals = 0;
        uint64_t value = strtoull(equals + 1, NULL, 0);
        if (strcmp(w->v[i], "seed") == 0) {
            *seed = value;
        } else if (!options_set(o, strcmp(w->v[i], "n") == 0 ? "nodes" : w->v[i], value)) {
            mistake(s, w->v[i]);
        }
    }
    if (!options_make_sense(o)) {
        mistake(s, "no world has such options");
        options_for_script(o);
    }
    if (protocol == NULL) {
        mistake(s, "no such strategy");
        protocol = strategy_of("canary");
    }
    return protocol;
}

static void quieter(struct script *s)
{
    s->world->show = SHOW_EFFECTS | s->show;
}

static void on_cluster(struct script *s, const struct words *w)
{
    struct options o;
    uint64_t seed = 1;
    const struct protocol *protocol = read_options(s, w, &o, &seed);
    if (s->world != NULL) {
        world_free(s->world);
    }
    s->world = world_new(protocol, &o, seed, &s->counters);
    for (node_index i = 0; i < o.nodes; i++) { /* clocks that are easy to read */
        s->world->nodes[i].anchor_local = QR_SECOND;
    }
    if (sigsetjmp(s->world->on_violation, 1) != 0) {
        s->dead = true;
        return;
    }
    world_start(s->world);
    run_for(s, 5000);
    s->world->tell = script_tell;
    s->world->tell_context = s;
}

static void on_world(struct script *s, const struct words *w)
{
    plan_free(&s->run.plan);
    s->run = (struct seed_run){ .counters = &s->counters };
    s->run.protocol = read_options(s, w, &s->run.options, &s->run.seed);
}

static void on_at(struct script *s, const struct words *w)
{
    for (unsigned kind = 0; kind < ACTION_COUNT && w->n > 2; kind++) {
        struct action action = { .at = number(w, 1),
                                 .kind = (enum action_kind)kind,
                                 .a = number(w, 3),
                                 .b = number(w, 4),
                                 .c = number(w, 5) };
        if (strcmp(w->v[2], action_name((enum action_kind)kind)) == 0 &&
            action_makes_sense(&s->run.options, &action)) {
            plan_add(&s->run.plan, action);
            return;
        }
    }
    mistake(s, "no such action");
}

static void on_run(struct script *s, const struct words *w)
{
    (void)w;
    if (s->run.protocol == NULL) {
        mistake(s, "run without world");
        return;
    }
    struct seed_result result = seed_execute(&s->run);
    script_say(s, result.violation == VIOLATION_NONE ? "ok" : violation_name(result.violation));
}

/* --- clients
 * ---------------------------------------------------------------------------------------- */

static uint32_t key_of(struct script *s, const struct words *w, unsigned i)
{
    uint64_t key = i < w->n && w->v[i][0] == 'k' ? strtoull(w->v[i] + 1, NULL, 10) : UINT64_MAX;
    if (key >= s->world->options.keys) {
        mistake(s, "keys are k0, k1, ...");
        return 0;
    }
    return (uint32_t)key;
}

static void on_submit(struct script *s, const struct words *w)
{
    enum op_kind kind = OP_SET;
    if (w->n < 4 || !op_kind_of(w->v[2], &kind)) {
        mistake(s, "submit NODE set|incr|append|del KEY [VALUE]");
        return;
    }
    struct model_value argument = { 0 };
    if (w->n > 4) {
        argument = model_value_of(span_of(w->v[4], strlen(w->v[4])));
    }
    node_index to = node(s, w, 1)->index;
    workload_try(s->world,
                 workload_operation(s->world, key_of(s, w, 3), kind, argument, to, PATIENCE), to);
    run_for(s, 0);
}

static void on_read(struct script *s, const struct words *w)
{
    node_index to = node(s, w, 1)->index;
    workload_try(s->world,
                 workload_operation(s->world, key_of(s, w, 2), OP_GET, (struct model_value){ 0 },
                                    to, PATIENCE),
                 to);
    run_for(s, 0);
}

/* --- the network
 * ------------------------------------------------------------------------------------ */

static uint64_t mask_of(const char *list)
{
    uint64_t mask = 0;
    for (const char *p = list; *p != 0;) {
        char *end;
        mask |= (uint64_t)1 << (strtoull(p, &end, 10) % 64);
        p = *end == ',' ? end + 1 : end + strlen(end);
    }
    return mask;
}

/* "0 | 1,2": both ways; "0 > 1,2": that way only. */
static void on_cut(struct script *s, const struct words *w)
{
    if (w->n != 4) {
        mistake(s, "cut NODES | NODES, or cut NODES > NODES");
        return;
    }
    uint64_t left = mask_of(w->v[1]), right = mask_of(w->v[3]);
    for (node_index i = 0; i < MEMBERS_MAX; i++) {
        for (node_index j = 0; j < MEMBERS_MAX; j++) {
            if ((left >> i & 1) != 0 && (right >> j & 1) != 0) {
                s->world->cut[i][j] = true;
                s->world->cut[j][i] |= w->v[2][0] == '|';
            }
        }
    }
}

static void on_heal(struct script *s, const struct words *w)
{
    (void)w;
    memset(s->world->cut, 0, sizeof s->world->cut);
}

static void on_hold(struct script *s, const struct words *w)
{
    (void)w;
    s->world->hold_messages = true;
}

/* Which of the waiting messages a command means: "0>1", or all. */
static bool meant(const struct words *w, const struct item *item)
{
    const struct packet *p = item->p;
    if (item->kind != ITEM_MESSAGE) {
        return false;
    }
    char link[16];
    (void)snprintf(link, sizeof link, "%d>%d", p->from, p->to);
    return w->n < 2 || strcmp(w->v[1], link) == 0;
}

/* Takes the messages out of the queue, in the order in which they were sent. */
static size_t take_messages(struct script *s, const struct words *w, struct item **out)
{
    struct queue kept = { .age = s->world->queue.age };
    struct item item;
    size_t n = 0, cap = s->world->queue.n + 1;
    struct item *taken = qr_alloc(cap * sizeof *taken);
    while (queue_pop(&s->world->queue, &item)) {
        if (meant(w, &item)) {
            taken[n++] = item;
        } else {
            queue_push(&kept, item);
        }
    }
    queue_free(&s->world->queue);
    s->world->queue = kept;
    *out = taken;
    return n;
}

static void on_deliver(struct script *s, const struct words *w)
{
    struct item *taken;
    size_t n = take_messages(s, w, &taken);
    for (size_t i = 0; i < n; i++) {
        world_push(s->world, 0, taken[i]);
    }
    free(taken);
    run_for(s, 0);
}

static void on_drop(struct script *s, const struct words *w)
{
    struct item *taken;
    size_t n = take_messages(s, w, &taken);
    for (size_t i = 0; i < n; i++) {
        free(taken[i].p);
    }
    free(taken);
}

static void on_duplicate(struct script *s, const struct words *w)
{
    struct item *taken;
    size_t n = take_messages(s, w, &taken);
    for (size_t i = 0; i < n; i++) {
        const struct packet *p = taken[i].p;
        size_t size = sizeof *p + (size_t)(p->hi - p->lo) * sizeof p->entries[0];
        struct item twin = taken[i];
        twin.p = qr_alloc(size);
        memcpy(twin.p, p, size);
        queue_push(&s->world->queue, taken[i]);
        queue_push(&s->world->queue, twin);
    }
    free(taken);
}

/* From now on messages flow again; those that wait go first. */
static void on_flow(struct script *s, const struct words *w)
{
    const struct words all = { .n = 1 };
    (void)w;
    s->world->hold_messages = false;
    on_deliver(s, &all);
}

static void connection(struct script *s, const struct words *w, bool up)
{
    const struct sim_node *n = node(s, w, 1);
    world_push(s->world, 0,
               (struct item){ .kind = ITEM_PEER,
                              .node = n->index,
                              .b = up,
                              .a = node(s, w, 2)->index,
                              .incarnation = n->incarnation });
    run_for(s, 0);
}

static void on_close(struct script *s, const struct words *w)
{
    connection(s, w, false);
}

static void on_open(struct script *s, const struct words *w)
{
    connection(s, w, true);
}

/* --- nodes
 * ------------------------------------------------------------------------------------------ */

static void on_crash(struct script *s, const struct words *w)
{
    node_crash(s->world, node(s, w, 1), false);
}

static void on_power(struct script *s, const struct words *w)
{
    node_crash(s->world, node(s, w, 1), true);
}

static void on_restart(struct script *s, const struct words *w)
{
    node_start(s->world, node(s, w, 1));
    run_for(s, 0);
}

static void on_pause(struct script *s, const struct words *w)
{
    node_pause(s->world, node(s, w, 1));
}

static void on_resume(struct script *s, const struct words *w)
{
    node_resume(s->world, node(s, w, 1));
    run_for(s, 0);
}

/* durable NODE off: its disk holds every sync; on: they go through again. */
static void on_durable(struct script *s, const struct words *w)
{
    struct sim_node *n = node(s, w, 1);
    n->slow = w->n > 2 && strcmp(w->v[2], "off") == 0 ? 0 : 1;
    disk_start_sync(s->world, n);
    run_for(s, 1000);
}

static void on_drift(struct script *s, const struct words *w)
{
    int64_t ppm = number(w, 2);
    if (ppm <= -500000 || ppm >= 500000) {
        mistake(s, "no clock runs like that");
        return;
    }
    node_set_drift(s->world, node(s, w, 1), ppm);
}

static void on_checkpoint(struct script *s, const struct words *w)
{
    s->world->release_all = w->n > 2 && strcmp(w->v[2], "force") == 0;
    snapshots_take(s->world, node(s, w, 1));
    run_for(s, 1000);
}

static void order(struct script *s, node_index to, enum admin_kind kind, int64_t argument)
{
    world_push(s->world, 0,
               (struct item){ .kind = ITEM_ADMIN,
                              .node = to,
                              .a = kind,
                              .b = argument,
                              .incarnation = s->world->nodes[to].incarnation });
}

static void on_transfer(struct script *s, const struct words *w)
{
    (void)members_order(s->world, node(s, w, 1)->index, VERB_TRANSFER,
                        (uint16_t)(w->n > 2 ? number(w, 2) : NODE_NONE), false);
    run_for(s, 0);
}

static void on_mode(struct script *s, const struct words *w)
{
    bool lease = w->n > 1 && strcmp(w->v[1], "lease") == 0;
    s->world->options.lease_reads = lease;
    for (node_index i = 0; i < s->world->node_count; i++) {
        if (s->world->nodes[i].up) {
            order(s, i, ADMIN_READ_MODE, lease ? READ_MODE_LEASE : READ_MODE_READINDEX);
        }
    }
    run_for(s, 0);
}

/* --- time
 * ------------------------------------------------------------------------------------------- */

static void on_elapse(struct script *s, const struct words *w)
{
    quieter(s);
    run_for(s, w->n > 1 ? duration(w->v[1]) : 0);
}

static void on_settle(struct script *s, const struct words *w)
{
    (void)w;
    quieter(s);
    run_for(s, SETTLE);
}

/* Lets time pass for NODE's timer only, until it leads; `bare`: not a moment longer, so that what
 * it sends first is still on its way. */
static void on_elect(struct script *s, const struct words *w)
{
    node_index who = node(s, w, 1)->index;
    quieter(s);
    s->world->only_timer = who + 1;
    qr_time until = s->world->now + ELECT_WAIT;
    while (world_leader(s->world) != who && s->world->now < until) {
        run_for(s, 100);
    }
    s->world->only_timer = 0;
    run_for(s, w->n > 2 ? 0 : 20000);
    if (world_leader(s->world) != who) {
        script_say(s, "nobody is elected");
    }
}

/* --- looking
 * ---------------------------------------------------------------------------------------- */

static void on_print(struct script *s, const struct words *w)
{
    (void)w;
    for (node_index i = 0; i < s->world->node_count; i++) {
        const struct sim_node *n = &s->world->nodes[i];
        char line[300];
        struct text t = text_in(line, sizeof line);
        text_u64(&t, i);
        text_char(&t, ' ');
        if (!n->up) {
            text_put(&t, "down");
        } else {
            s->world->protocol->describe(n->self, &t);
        }
        for (uint64_t k = 0; n->up && k < s->world->options.keys; k++) {
            const struct model_value *v = &n->values[k];
            if (v->present) {
                text_put(&t, k == 0 ? " | k0 " : k == 1 ? " | k1 " : " | k2 ");
                for (uint32_t c = 0; c < v->length && c < MODEL_SMALL; c++) {
                    text_char(&t, v->small[c]);
                }
            }
        }
        script_say(s, line);
    }
}

static void on_check(struct script *s, const struct words *w)
{
    (void)w;
    safety_at_end(s->world);
    script_say(s, "ok");
}

static void on_show(struct script *s, const struct words *w)
{
    static const struct {
        const char *name;
        unsigned flag;
    } flags[] = { { "sends", SHOW_SENDS }, { "events", SHOW_EVENTS }, { "routine", SHOW_ROUTINE } };
    s->show = 0;
    for (unsigned i = 1; i < w->n; i++) {
        for (size_t k = 0; k < ARRAY_COUNT(flags); k++) {
            s->show |= strcmp(w->v[i], flags[k].name) == 0 ? flags[k].flag : 0;
        }
    }
}

/* --- dispatch
 * --------------------------------------------------------------------------------------- */

static const struct {
    const char *name;
    void (*run)(struct script *s, const struct words *w);
    bool needs_world;
} commands[] = {
    { "cluster", on_cluster, false },
    { "world", on_world, false },
    { "at", on_at, false },
    { "run", on_run, false },
    { "show", on_show, false },
    { "submit", on_submit, true },
    { "read", on_read, true },
    { "cut", on_cut, true },
    { "heal", on_heal, true },
    { "hold", on_hold, true },
    { "deliver", on_deliver, true },
    { "drop", on_drop, true },
    { "duplicate", on_duplicate, true },
    { "flow", on_flow, true },
    { "close", on_close, true },
    { "open", on_open, true },
    { "crash", on_crash, true },
    { "power", on_power, true },
    { "restart", on_restart, true },
    { "pause", on_pause, true },
    { "resume", on_resume, true },
    { "durable", on_durable, true },
    { "drift", on_drift, true },
    { "checkpoint", on_checkpoint, true },
    { "transfer", on_transfer, true },
    { "mode", on_mode, true },
    { "elapse", on_elapse, true },
    { "settle", on_settle, true },
    { "elect", on_elect, true },
    { "print", on_print, true },
    { "check", on_check, true },
};

void script_command(struct script *s, char *line)
{
    struct words w = { 0 };
    for (char *word; (word = strsep(&line, " ")) != NULL && w.n < WORDS_MAX;) {
        if (*word != 0) {
            w.v[w.n++] = word;
        }
    }
    for (size_t i = 0; i < ARRAY_COUNT(commands) && w.n > 0; i++) {
        if (strcmp(w.v[0], commands[i].name) != 0) {
            continue;
        }
        if (commands[i].needs_world && s->world == NULL) {
            mistake(s, "no cluster yet");
            return;
        }
        if (s->world != NULL) {
            s->world->show = SHOW_EFFECTS | SHOW_SENDS | s->show;
        }
        commands[i].run(s, &w);
        return;
    }
    mistake(s, "no such command");
}

void script_end(struct script *s)
{
    if (s->world != NULL) {
        world_free(s->world);
    }
    plan_free(&s->run.plan);
}
