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

const char *fault_name(uint32_t i);

#endif
