/* What a seed draws before its world is made: options (sim/options.def) and a plan of actions
 * (sim/actions.def). Fixed before the run, so that shrinking is leaving actions out. */
#ifndef SIM_PLAN_H
#define SIM_PLAN_H

#include "base/types.h"

/* --- options -------------------------------------------------------------------------------- */

struct options {
#define OPTION(name, script, meaning) uint64_t name;
#include "sim/options.def"
#undef OPTION
};

void options_for_script(struct options *out);
bool options_set(struct options *o, const char *name, uint64_t value); /* false: unknown name */
bool options_make_sense(const struct options *o); /* a world can be made of them */

/* --- actions: what a plan consists of ------------------------------------------------------- */

enum action_kind {
#define ACTION(name, text, is_fault) ACTION_##name,
#include "sim/actions.def"
#undef ACTION
    ACTION_COUNT
};

struct action {
    qr_time at;
    enum action_kind kind;
    int64_t a, b, c; /* see actions.def */
};

/* Its operands name nodes and keys that a world of these options has. */
bool action_makes_sense(const struct options *o, const struct action *action);

struct plan {
    struct action *v;
    size_t n, cap;
};

void plan_add(struct plan *plan, struct action action);
void plan_free(struct plan *plan);
bool action_is_fault(enum action_kind kind);
const char *action_name(enum action_kind kind);

#endif
