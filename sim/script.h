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

/* Carries out one command; what it causes goes to s->output. The line may be changed. */
void script_command(struct script *s, char *line);
void script_say(struct script *s, const char *line);
void script_tell(void *context, const char *line);
void script_end(struct script *s);

#endif
