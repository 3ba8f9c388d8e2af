/* The least part of a plan that still breaks the same rule: leave out ever smaller pieces (Zeller's
 * ddmin, without its complement step). The seed stays, so that a run changes as little as it can.
 */
#include "sim/seed.h"

#include <fcntl.h>
#include <inttypes.h>
#include <time.h>
#include <unistd.h>

#define SHRINK_SECONDS 20 /* of CPU: a shorter story is a convenience, not a verdict */

/* A shrunk run may panic hundreds of times; its messages are not wanted. */
static int silence(void)
{
    int saved = dup(2);
    int nowhere = open("/dev/null", O_WRONLY | O_CLOEXEC);
    if (nowhere >= 0) {
        (void)dup2(nowhere, 2);
        (void)close(nowhere);
    }
    return saved;
}

static void speak(int saved)
{
    if (saved >= 0) {
        (void)dup2(saved, 2);
        (void)close(saved);
    }
}

static bool still_fails(const struct seed_run *run, const struct plan *plan,
                        enum violation violation)
{
    struct seed_run trial = *run;
    trial.plan = *plan;
    return seed_execute(&trial).violation == violation;
}

/* Leaves out [at, at + size) if the run still fails without it. */
static bool leave_out(struct seed_run *run, size_t at, size_t size, enum violation violation)
{
    struct plan trial = { 0 };
    for (size_t i = 0; i < run->plan.n; i++) {
        if (i < at || i >= at + size) {
            plan_add(&trial, run->plan.v[i]);
        }
    }
    if (!still_fails(run, &trial, violation)) {
        plan_free(&trial);
        return false;
    }
    plan_free(&run->plan);
    run->plan = trial;
    return true;
}

void seed_shrink(struct seed_run *run, enum violation violation, unsigned tries)
{
    int saved = silence();
    clock_t end = clock() + SHRINK_SECONDS * CLOCKS_PER_SEC;
    for (size_t size = run->plan.n / 2; size > 0 && tries > 0; size /= 2) {
        for (size_t at = 0; at < run->plan.n && tries > 0 && clock() < end; tries--) {
            if (!leave_out(run, at, size, violation)) {
                at += size;
            }
        }
    }
    speak(saved);
}

void seed_write_script(const struct seed_run *run, const struct seed_result *result, FILE *out)
{
    struct options usual;
    options_for_script(&usual);
    (void)fprintf(out, "# %s: %s\nworld %s seed=%" PRIu64 " dice=%u",
                  violation_name(result->violation), result->text, run->protocol->name, run->seed,
                  SIM_DICE);
#define OPTION(name, script, meaning)                                 \
    if (run->options.name != usual.name) {                            \
        (void)fprintf(out, " " #name "=%" PRIu64, run->options.name); \
    }
#include "sim/options.def"
#undef OPTION
    (void)fprintf(out, "\n");
    for (size_t i = 0; i < run->plan.n; i++) {
        const struct action *x = &run->plan.v[i];
        (void)fprintf(out, "at %" PRId64 " %s %" PRId64 " %" PRId64 " %" PRId64 "\n", x->at,
                      action_name(x->kind), x->a, x->b, x->c);
    }
    (void)fprintf(out, "run\n----\nok\n");
}
