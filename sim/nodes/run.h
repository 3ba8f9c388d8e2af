/* One seed from its beginning to the verdict. */
#ifndef SIM_NODES_RUN_H
#define SIM_NODES_RUN_H

#include "sim/nodes/failpoint.h"
#include "sim/nodes/faults.h"
#include "sim/nodes/models.h"

#include <stdio.h>

/* One more whenever a seed draws anything else, or in another order: it is another run then. */
#define RUN_DICE 13u

struct run_report {
    char failure[512]; /* "": none */
    uint64_t digest;
    qr_time simulated;
    uint64_t befell[FAULTS], felt[FELTS]; /* how often each fault did, and what came of it */
    uint64_t reached[FAIL_COUNT], struck[FAIL_COUNT][FAILPOINT_WAYS];
    uint64_t traced[TRACE_POINTS_MAX];
    uint64_t starts, disk_errors;
    uint64_t events, acknowledged, reads, refused, unknown, visits, hops, cores;
    uint64_t done[MODELS]; /* of each model, answered */
    uint64_t found, named, told, shown; /* backup.h */
    uint64_t states, orders, compared, covered; /* of the control state (charts.c, ordered.c) */
};

/* What of a seed's world is otherwise than it says. */
struct run_choice {
    uint32_t seats;   /* how many nodes; 0: as many as it says */
    uint64_t without; /* kinds of faults, by bit, that do not come */
    qr_time safety;   /* for so long they do */
    bool primary;     /* the operator makes a keyspace with STRATEGY primary (backup.h) */
};
#define SAFETY_TIME (20 * QR_SECOND)

/* A failing seed: tells what it needs to fail, and the options that repeat that. */
void shrink(uint64_t seed, struct run_choice choice, struct run_report *found);

/* `trace` and `history`, if there is one, are told of all that happened and all that was asked. */
void run_seed(uint64_t seed, const struct run_choice *choice, FILE *trace, FILE *history,
              struct run_report *out);

#endif
