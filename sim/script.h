/* What script.c and script_commands.c share. */
#ifndef SIM_SCRIPT_H
#define SIM_SCRIPT_H

#include "sim/seed.h"

struct lines {
    char **v;
    size_t n, cap;
};

struct script {
    struct world *world; /* NULL before `cluster` */
    struct counters counters;
    struct lines output;
    struct seed_run run; /* of `world`, `at` and `run` */
    bool dead;           /* a violation has ended the world */
    unsigned show;       /* what `show` asked for on top */
    sigjmp_buf no_world;
};

#define WORDS_MAX 64u

struct words {
    char *v[WORDS_MAX];
    unsigned n;
};

struct script_command {
    const char *name;
    void (*run)(struct script *s, const struct words *w);
    bool needs_world;
};

extern const struct script_command script_node_commands[]; /* script_nodes.c; NULL ends them */
extern const struct script_command script_view_commands[]; /* script_views.c; so too */

/* What a word says; a script with a mistake fails by what it prints. */
void script_mistake(struct script *s, const char *what);
int64_t script_number(const struct words *w, unsigned i);
struct sim_node *script_node(struct script *s, const struct words *w, unsigned i);
uint64_t script_mask(const char *list); /* "0,2" */
void script_run_for(struct script *s, qr_time length);

/* Carries out one command; what it causes goes to s->output. The line may be changed. */
void script_command(struct script *s, char *line);
void script_say(struct script *s, const char *line);
void script_tell(void *context, const char *line);
void script_end(struct script *s);

#endif
