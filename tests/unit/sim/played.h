/* Runs of the simulator, for their histories. */
#ifndef TESTS_UNIT_SIM_PLAYED_H
#define TESTS_UNIT_SIM_PLAYED_H

#include "sim/seed.h"

/* A seed of a strategy or level, as `quorate sim --strategy` has them; at_end is called when it has
 * passed. */
enum violation play(const char *strategy, uint64_t seed,
                    void (*at_end)(void *context, struct world *w), void *context);

#endif
