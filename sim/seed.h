/* One seed from start to verdict. */
#ifndef SIM_SEED_H
#define SIM_SEED_H

#include "sim/world.h"

/* One more whenever a seed draws anything else, or in another order: it is another world then. */
#define SIM_DICE 1u
#define OTHER_DICE \
    "of dice %" PRIu64 ", and these are dice %u: it would be another world, which says nothing " \
    "about that one"

struct seed_result {
    enum violation violation; /* VIOLATION_NONE: the seed passed */
    char text[512];
    uint64_t digest;
    uint64_t steps, faults, leader_changes;
};

struct seed_run {
    const struct protocol *protocol;
    struct options options;
    struct plan plan; /* owned by the caller */
    uint64_t seed;
    uint64_t level; /* options.level of its world */
    unsigned mode;  /* of primary/backup (council_mode) */
    struct counters *counters;
    bool deep_digest;
    unsigned show; /* SHOW_*: what is told */
    void (*tell)(void *context, const char *line);
    void *tell_context;
    void (*at_end)(void *context, struct world *w); /* of a run that passed; NULL: nobody looks */
    void *end_context;
};

/* A panic ends the run: control returns to the target with 2. NULL: no more. */
void seed_catch_panics(sigjmp_buf *target);

/* Draws options and plan of a seed. */
void seed_draw(struct seed_run *run);
struct seed_result seed_execute(const struct seed_run *run);

/* The least part of the plan that still breaks the same rule; takes at most `tries` runs. */
void seed_shrink(struct seed_run *run, enum violation violation, unsigned tries);
/* Writes the run as a script that the script runner can repeat. */
void seed_write_script(const struct seed_run *run, const struct seed_result *result, FILE *out);

/* The command line of `quorate sim`; see main.c. */
int sim_main(int argc, char **argv);
/* `quorate check-history FILE`; see history.c. */
int check_history_main(int argc, char **argv);
/* The same for an open file. Exit code 0: linearizable; 1: not, or the search hit its limit; 2: the
 * file is no history, which stderr is told. */
int history_check(FILE *in, const char *name, uint64_t steps_max, FILE *out);
/* Runs a .qt file; see script.c. 0: as expected, 1: not. */
int script_run(const char *path, bool rewrite, bool quiet);
/* The seeds of `make test`, as TAP; see suite.c. */
int suite_run(const char *seeds, const char *commit, bool with_canary);
/* One line of a list of seeds: "strategy seed reason", or a comment, after which `strategy` is
 * empty. False when it is neither. */
bool seed_line_read(const char *line, char strategy[32], uint64_t *seed);
/* The strategy of that name, with a planted bug behind a colon ("canary:3"), or a level at which
 * sessions read ("raft:session"); NULL: none. */
const struct protocol *strategy_of(const char *name);
/* options.level of that name; 0: none. */
uint64_t level_of(const char *name);

#endif
