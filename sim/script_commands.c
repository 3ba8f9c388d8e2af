/* The commands of scripts; see docs/testing.md. Those about nodes are in script_nodes.c. */
#include "sim/script.h"

#include "sim/checkers/safety.h"

#include <inttypes.h>

#define PATIENCE (10 * QR_SECOND)
#define ELECT_WAIT (5 * QR_SECOND)
#define SETTLE 100000

/* A script with a mistake fails by what it prints. */
void script_mistake(struct script *s, const char *what)
{
    char line[200];
    (void)snprintf(line, sizeof line, "mistake: %s", what);
    script_say(s, line);
}

int64_t script_number(const struct words *w, unsigned i)
{
    return i < w->n ? strtoll(w->v[i], NULL, 0) : 0;
}

struct sim_node *script_node(struct script *s, const struct words *w, unsigned i)
{
    int64_t index = script_number(w, i);
    if (i >= w->n || index < 0 || index >= (int64_t)s->world->node_count) {
        script_mistake(s, "no such node");
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

void script_run_for(struct script *s, qr_time length)
{
    world_run_until(s->world, s->world->now + length);
}

/* --- worlds
 * ----------------------------------------------------------------------------------------- */

/* A world that was written down by another version is told to be one. */
static void check_dice(struct script *s, uint64_t dice)
{
    char text[120];
    if (dice != SIM_DICE) {
        (void)snprintf(text, sizeof text, OTHER_DICE, dice, SIM_DICE);
        script_mistake(s, text);
    }
}

static const struct protocol *read_options(struct script *s, const struct words *w,
                                           struct options *o, uint64_t *seed)
{
    options_for_script(o);
    const struct protocol *protocol = w->n > 1 ? strategy_of(w->v[1]) : NULL;
    for (unsigned i = 2; i < w->n; i++) {
        char *equals = strchr(w->v[i], '=');
        if (equals == NULL) {
            script_mistake(s, w->v[i]);
            continue;
        }
        *equals = 0;
        uint64_t value = strtoull(equals + 1, NULL, 0);
        if (strcmp(w->v[i], "seed") == 0) {
            *seed = value;
        } else if (strcmp(w->v[i], "dice") == 0) {
            check_dice(s, value);
        } else if (!options_set(o, strcmp(w->v[i], "n") == 0 ? "nodes" : w->v[i], value)) {
            script_mistake(s, w->v[i]);
        }
    }
    if (!options_make_sense(o)) {
        script_mistake(s, "no world has such options");
        options_for_script(o);
    }
    if (protocol == NULL) {
        script_mistake(s, "no such strategy");
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
    script_run_for(s, 5000);
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
        struct action action = { .at = script_number(w, 1),
                                 .kind = (enum action_kind)kind,
                                 .a = script_number(w, 3),
                                 .b = script_number(w, 4),
                                 .c = script_number(w, 5) };
        if (strcmp(w->v[2], action_name((enum action_kind)kind)) == 0 &&
            action_makes_sense(&s->run.options, &action)) {
            plan_add(&s->run.plan, action);
            return;
        }
    }
    script_mistake(s, "no such action");
}

static void on_run(struct script *s, const struct words *w)
{
    (void)w;
    if (s->run.protocol == NULL) {
        script_mistake(s, "run without world");
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
        script_mistake(s, "keys are k0, k1, ...");
        return 0;
    }
    return (uint32_t)key;
}

static void on_submit(struct script *s, const struct words *w)
{
    enum op_kind kind = OP_SET;
    if (w->n < 4 || !op_kind_of(w->v[2], &kind)) {
        script_mistake(s, "submit NODE set|incr|append|del KEY [VALUE]");
        return;
    }
    struct model_value argument = { 0 };
    if (w->n > 4) {
        argument = model_value_of(span_of(w->v[4], strlen(w->v[4])));
    }
    node_index to = script_node(s, w, 1)->index;
    workload_try(s->world,
                 workload_operation(s->world, key_of(s, w, 3), kind, argument, to, PATIENCE), to);
    script_run_for(s, 0);
}

static void on_read(struct script *s, const struct words *w)
{
    node_index to = script_node(s, w, 1)->index;
    workload_try(s->world,
                 workload_operation(s->world, key_of(s, w, 2), OP_GET, (struct model_value){ 0 },
                                    to, PATIENCE),
                 to);
    script_run_for(s, 0);
}

/* --- the network
 * ------------------------------------------------------------------------------------ */

uint64_t script_mask(const char *list)
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
        script_mistake(s, "cut NODES | NODES, or cut NODES > NODES");
        return;
    }
    uint64_t left = script_mask(w->v[1]), right = script_mask(w->v[3]);
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
    script_run_for(s, 0);
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
    const struct sim_node *n = script_node(s, w, 1);
    world_push(s->world, 0,
               (struct item){ .kind = ITEM_PEER,
                              .node = n->index,
                              .b = up,
                              .a = script_node(s, w, 2)->index,
                              .incarnation = n->incarnation });
    script_run_for(s, 0);
}

static void on_close(struct script *s, const struct words *w)
{
    connection(s, w, false);
}

static void on_open(struct script *s, const struct words *w)
{
    connection(s, w, true);
}

/* --- time
 * ------------------------------------------------------------------------------------------- */

static void on_elapse(struct script *s, const struct words *w)
{
    quieter(s);
    script_run_for(s, w->n > 1 ? duration(w->v[1]) : 0);
}

static void on_settle(struct script *s, const struct words *w)
{
    (void)w;
    quieter(s);
    script_run_for(s, SETTLE);
}

/* Lets time pass for NODE's timer only, until it leads; `bare`: not a moment longer, so that what
 * it sends first is still on its way. */
static void on_elect(struct script *s, const struct words *w)
{
    node_index who = script_node(s, w, 1)->index;
    quieter(s);
    s->world->only_timer = who + 1;
    qr_time until = s->world->now + ELECT_WAIT;
    while (world_leader(s->world) != who && s->world->now < until) {
        script_run_for(s, 100);
    }
    s->world->only_timer = 0;
    script_run_for(s, w->n > 2 ? 0 : 20000);
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

static const struct script_command commands[] = {
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
    { "elapse", on_elapse, true },
    { "settle", on_settle, true },
    { "elect", on_elect, true },
    { "print", on_print, true },
    { "check", on_check, true },
    { NULL, NULL, false },
};

static const struct script_command *find(const char *name)
{
    const struct script_command *tables[] = { commands, script_node_commands,
                                              script_view_commands };
    for (size_t t = 0; t < ARRAY_COUNT(tables); t++) {
        for (const struct script_command *c = tables[t]; c->name != NULL; c++) {
            if (strcmp(name, c->name) == 0) {
                return c;
            }
        }
    }
    return NULL;
}

void script_command(struct script *s, char *line)
{
    struct words w = { 0 };
    for (char *word; (word = strsep(&line, " ")) != NULL && w.n < WORDS_MAX;) {
        if (*word != 0) {
            w.v[w.n++] = word;
        }
    }
    const struct script_command *c = w.n > 0 ? find(w.v[0]) : NULL;
    if (c == NULL) {
        script_mistake(s, "no such command");
        return;
    }
    if (c->needs_world && s->world == NULL) {
        script_mistake(s, "no cluster yet");
        return;
    }
    if (s->world != NULL) {
        s->world->show = SHOW_EFFECTS | SHOW_SENDS | s->show;
    }
    c->run(s, &w);
}

void script_end(struct script *s)
{
    if (s->world != NULL) {
        world_free(s->world);
    }
    plan_free(&s->run.plan);
}
