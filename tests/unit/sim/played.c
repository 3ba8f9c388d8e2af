/* See played.h. */
#include "played.h"

enum violation play(const char *strategy, uint64_t seed,
                    void (*at_end)(void *context, struct world *w), void *context)
{
    struct counters counters = { 0 };
    struct seed_run run = { .protocol = strategy_of(strategy),
                            .level = level_of(strategy),
                            .seed = seed,
                            .counters = &counters,
                            .at_end = at_end,
                            .end_context = context };
    seed_draw(&run);
    struct seed_result result = seed_execute(&run);
    plan_free(&run.plan);
    return result.violation;
}
