/* The commands of scripts that are about nodes: what happens to them, and what operators ask of
 * them (docs/testing.md). */
#include "sim/members.h"
#include "sim/script.h"

/* --- nodes
 * ------------------------------------------------------------------------------------------ */

static void on_crash(struct script *s, const struct words *w)
{
    node_crash(s->world, script_node(s, w, 1), false);
}

static void on_power(struct script *s, const struct words *w)
{
    node_crash(s->world, script_node(s, w, 1), true);
}

static void on_restart(struct script *s, const struct words *w)
{
    node_start(s->world, script_node(s, w, 1));
    script_run_for(s, 0);
}

static void on_pause(struct script *s, const struct words *w)
{
    node_pause(s->world, script_node(s, w, 1));
}

static void on_resume(struct script *s, const struct words *w)
{
    node_resume(s->world, script_node(s, w, 1));
    script_run_for(s, 0);
}

/* durable NODE off: its disk holds every sync; on: they go through again. */
static void on_durable(struct script *s, const struct words *w)
{
    struct sim_node *n = script_node(s, w, 1);
    n->slow = w->n > 2 && strcmp(w->v[2], "off") == 0 ? 0 : 1;
    disk_start_sync(s->world, n);
    script_run_for(s, 1000);
}

static void on_drift(struct script *s, const struct words *w)
{
    int64_t ppm = script_number(w, 2);
    if (ppm <= -500000 || ppm >= 500000) {
        script_mistake(s, "no clock runs like that");
        return;
    }
    node_set_drift(s->world, script_node(s, w, 1), ppm);
}

static void on_checkpoint(struct script *s, const struct words *w)
{
    s->world->release_all = w->n > 2 && strcmp(w->v[2], "force") == 0;
    snapshots_take(s->world, script_node(s, w, 1));
    script_run_for(s, 1000);
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

/* --- operators
 * -------------------------------------------------------------------------------------- */

static bool says(const struct words *w, const char *word)
{
    for (unsigned i = 2; i < w->n; i++) {
        if (strcmp(w->v[i], word) == 0) {
            return true;
        }
    }
    return false;
}

static void ask(struct script *s, const struct words *w, enum verb verb, uint16_t nodes)
{
    struct sim_node *n = script_node(s, w, 1);
    if (!n->up) {
        script_mistake(s, "nobody is there to be asked");
        return;
    }
    (void)members_order(s->world, n->index, verb, nodes, says(w, "force"));
    script_run_for(s, 0);
}

/* add NODE [observer] [force]: a new node, at the lowest free index; `restart` starts it once it is
 * a member. */
static void on_add(struct script *s, const struct words *w)
{
    ask(s, w, says(w, "observer") ? VERB_OBSERVER : VERB_LEARNER, 0);
}

/* WORD NODE NODES [force]: NODE is asked to change what NODES are. */
static void change(struct script *s, const struct words *w, enum verb verb)
{
    uint16_t nodes = w->n > 2 ? (uint16_t)script_mask(w->v[2]) : 0;
    if (nodes == 0) {
        script_mistake(s, "which nodes?");
        return;
    }
    ask(s, w, verb, nodes);
}

static void on_remove(struct script *s, const struct words *w)
{
    change(s, w, VERB_REMOVE);
}

static void on_promote(struct script *s, const struct words *w)
{
    change(s, w, VERB_VOTER);
}

static void on_demote(struct script *s, const struct words *w)
{
    change(s, w, VERB_OBSERVER);
}

static void on_replace(struct script *s, const struct words *w)
{
    change(s, w, VERB_REPLACE);
}

static void on_wipe(struct script *s, const struct words *w)
{
    if (!members_wipe(s->world, script_node(s, w, 1)->index)) {
        script_mistake(s, "more than the group can survive");
    }
}

/* damage NODE ENTRIES [older|none|unknowing]: the end of its log is lost, and its state record is
 * the one before the last, or none; or it does not know of any loss. */
static void on_damage(struct script *s, const struct words *w)
{
    int64_t state = says(w, "older") ? 1 : says(w, "none") ? 2 : says(w, "unknowing") ? 3 : 0;
    if (!members_damage(s->world, script_node(s, w, 1)->index, (uint64_t)script_number(w, 2),
                        state)) {
        script_mistake(s, "more than the group can survive");
    }
}

static void on_transfer(struct script *s, const struct words *w)
{
    ask(s, w, VERB_TRANSFER, (uint16_t)(w->n > 2 ? script_number(w, 2) : NODE_NONE));
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
    script_run_for(s, 0);
}

const struct script_command script_node_commands[] = {
    { "crash", on_crash, true },       { "power", on_power, true },
    { "restart", on_restart, true },   { "pause", on_pause, true },
    { "resume", on_resume, true },     { "durable", on_durable, true },
    { "drift", on_drift, true },       { "checkpoint", on_checkpoint, true },
    { "transfer", on_transfer, true }, { "mode", on_mode, true },
    { "add", on_add, true },           { "remove", on_remove, true },
    { "promote", on_promote, true },   { "demote", on_demote, true },
    { "replace", on_replace, true },   { "wipe", on_wipe, true },
    { "damage", on_damage, true },     { NULL, NULL, false },
};
