/* Random lives of a partition (succession_world.h): many terms, changes of members and rule,
 * crashes, wipes, late views, hand-overs and FORCE; whatever was acknowledged is in the log of each
 * later primary, or its loss was told; and at the end a primary settles. SUCCESSION_SEED: one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "succession_world.h"

#define RUNS 2000
#define STEPS 3000

static void test_what_was_acknowledged_is_there_or_its_loss_was_told(void **state)
{
    (void)state;
    struct counters seen = { 0 };
    const char *one = getenv("SUCCESSION_SEED");
    struct world *w = qr_alloc(sizeof *w);
    uint64_t from = one != NULL ? strtoull(one, NULL, 10) : 1;
    for (uint64_t seed = from; seed < from + (one != NULL ? 1 : RUNS); seed++) {
        world_init(w, seed, &seen);
        for (uint32_t i = 0; i < STEPS; i++) {
            world_step(w);
        }
        world_heal(w);
    }
    free(w);
    if (one == NULL) { /* it was about something */
        const uint64_t rare[] = { seen.lossy,    seen.forced,    seen.settled, seen.fell,
                                  seen.restored, seen.replaced,  seen.handed,  seen.restarted,
                                  seen.members,  seen.recovered, seen.full };
        for (size_t i = 0; i < ARRAY_COUNT(rare); i++) {
            assert_true(rare[i] > 10);
        }
        assert_true(seen.acked > 10 * RUNS && seen.chosen > 4 * RUNS);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_was_acknowledged_is_there_or_its_loss_was_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
