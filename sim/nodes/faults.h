/* The kinds of faults, by number and name (faults.def). */
#ifndef SIM_NODES_FAULTS_H
#define SIM_NODES_FAULTS_H

#include "base/types.h"

enum {
#define FAULT(name, weight, text) FAULT_##name,
#include "sim/nodes/faults.def"
#undef FAULT
    FAULTS
};

/* What is counted of them: of each kind, and what else they do (felt.def). */
enum {
    FELT_FIRST = FAULTS - 1,
#define FELT(name, text) FELT_##name,
#include "sim/nodes/felt.def"
#undef FELT
    FELTS
};

const char *fault_name(uint32_t i);
const char *felt_name(uint32_t i);

struct run;
struct seat;

#define FAULT(name, weight, text) void fault_##name(struct run *run);
#include "sim/nodes/faults.def"
#undef FAULT

struct seat *fault_seat(struct run *run); /* any of them */
qr_time fault_time(struct run *run);      /* for how long; mostly short */

/* Wall clocks may be anywhere; time itself may be, so that no bound in milliseconds holds. */
bool faults_move_clocks(const struct run *run);
bool faults_lie_about_time(const struct run *run);

#endif
