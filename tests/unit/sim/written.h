/* Histories written as text (sim/history.c), for `check-history` to judge. */
#ifndef TESTS_UNIT_SIM_WRITTEN_H
#define TESTS_UNIT_SIM_WRITTEN_H

#include "sim/checkers/guarantees.h"

/* The exit code for a history of lists, and what it says. Every acknowledged append was told a
 * length. */
int written_judge(const struct list_op *ops, size_t n, char *said, size_t cap);

#endif
