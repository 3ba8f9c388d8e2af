/* One seed from its beginning to the verdict. */
#ifndef SIM_NODES_RUN_H
#define SIM_NODES_RUN_H

#include "sim/nodes/failpoint.h"
#include "sim/nodes/faults.h"
#include "sim/nodes/models.h"

#include <stdio.h>

/* One more whenever a seed draws anything else, or in another order: it is another run then. */
#define RUN_DICE 9u

struct run_report {
    char failure[512]; /* "": none */
    uint64_t digest;
    qr_time simulated;
    uint64_t befell[FAULTS]; /* how often each fault did */
    uint64_t reached[FAIL_COUNT], struck[FAIL_COUNT][FAILPOINT_WAYS];
    uint64_t starts, disk_errors;
    uint64_t events, acknowledged, reads, refused, unknown, visits, hops;
    uint64_t done[MODELS]; /* of each model, answered */
};

/* `trace` and `history`, if there is one, are told of all that happened and all that was asked. */
/* `seats`: how many nodes; 0: as many as the seed says. */
void run_seed(uint64_t seed, uint32_t seats, FILE *trace, FILE *history, struct run_report *out);

#endif
