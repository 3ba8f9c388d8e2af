/* The commands of scripts that write views and leases by hand, as group 0 would (docs/testing.md).
 */
#include "sim/council.h"
#include "sim/script.h"

#include <inttypes.h>

static bool is_option(const char *word, const char *name, const char **value)
{
    size_t n = strlen(name);
    *value = word + n + 1;
    return strncmp(word, name, n) == 0 && word[n] == '=';
}

/* False when the word is none. */
static bool read_option(const char *word, struct view *view, uint16_t *to)
{
    const char *value;
    if (is_option(word, "members", &value)) {
        view->members = (uint16_t)script_mask(value);
    } else if (is_option(word, "learners", &value)) {
        view->learners = (uint16_t)script_mask(value);
    } else if (is_option(word, "set", &value)) {
        view->set = (uint16_t)script_mask(value);
    } else if (is_option(word, "copies", &value)) {
        view->copies = (uint8_t)strtoul(value, NULL, 10);
    } else if (is_option(word, "to", &value)) {
        *to = (uint16_t)script_mask(value);
    } else if (strcmp(word, "received") == 0) {
        view->stage = ACK_RECEIVED;
    } else if (strcmp(word, "applied") == 0) {
        view->stage = ACK_APPLIED;
    } else if (strcmp(word, "durable") == 0) {
        view->stage = ACK_DURABLE;
    } else {
        return false;
    }
    return true;
}

static void tell(struct script *s, uint16_t to)
{
    struct world *w = s->world;
    for (uint32_t rest = to; rest != 0; rest &= rest - 1) {
        node_index i = set_first(rest);
        if (i < w->node_count) {
            council_tell(w, &w->nodes[i], w->council->n - 1);
        }
    }
    script_run_for(s, 0);
}

/* view TERM NODE|none [members=0,1,2] [learners=NODES] [set=NODES] [copies=N]
 * [received|durable|applied] [to=NODES]: what is not said is as in the view before; at first all
 * are members. It is told to all, or to these nodes. `view to=NODES` tells the latest one. */
static void on_view(struct script *s, const struct words *words)
{
    struct world *w = s->world;
    if (w->council == NULL) {
        script_mistake(s, "this strategy has no views");
        return;
    }
    uint16_t all = (uint16_t)((1u << w->node_count) - 1), to = all;
    const struct view *now = council_now(w);
    struct view view = now != NULL ? *now : (struct view){ .members = all };
    bool anew = words->n > 2 && strchr(words->v[1], '=') == NULL;
    if (anew) {
        view.term = strtoull(words->v[1], NULL, 10);
        view.primary =
            strcmp(words->v[2], "none") == 0 ? NODE_NONE : (node_index)script_number(words, 2);
    }
    for (unsigned i = anew ? 3 : 1; i < words->n; i++) {
        if (!read_option(words->v[i], &view, &to)) {
            script_mistake(s, words->v[i]);
            return;
        }
    }
    if ((!anew && now == NULL) || (anew && now != NULL && view.term < now->term)) {
        script_mistake(s, "views come in order of their terms");
        return;
    }
    if (anew) {
        council_write(w, &view);
    }
    tell(s, to);
}

/* lease NODES on|off */
static void on_lease(struct script *s, const struct words *words)
{
    if (s->world->council == NULL || words->n != 3) {
        script_mistake(s, "lease NODES on|off, with a strategy that has views");
        return;
    }
    for (uint32_t rest = (uint16_t)script_mask(words->v[1]); rest != 0; rest &= rest - 1) {
        node_index i = set_first(rest);
        if (i < s->world->node_count) {
            council_hold(s->world, &s->world->nodes[i], strcmp(words->v[2], "on") == 0);
        }
    }
    script_run_for(s, 0);
}

/* What the journals of all nodes name. */
static void on_journal(struct script *s, const struct words *words)
{
    (void)words;
    for (node_index i = 0; i < s->world->node_count; i++) {
        const struct desk *desk = &s->world->nodes[i].desk;
        for (size_t k = 0; k < desk->journal_n; k++) {
            const struct taken *t = &desk->journal[k];
            char line[120];
            (void)snprintf(
                line, sizeof line,
                "%d lost slot %" PRIu64 " of term %" PRIu64 " to term %" PRIu64 ": request r%u", i,
                t->slot, t->term, t->lost_to, s->world->attempts[t->attempt].operation);
            script_say(s, line);
        }
    }
}

const struct script_command script_view_commands[] = {
    { "view", on_view, true },
    { "lease", on_lease, true },
    { "journal", on_journal, true },
    { NULL, NULL, false },
};
