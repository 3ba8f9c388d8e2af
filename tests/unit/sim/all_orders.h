/* Judges of small histories that know nothing but what is promised: they try every order.
 *
 * They share no line with sim/checkers, not even the model of what a command does, so that both can
 * be wrong only independently. What they take is exponential: a dozen operations at most. */
#ifndef TESTS_UNIT_SIM_ALL_ORDERS_H
#define TESTS_UNIT_SIM_ALL_ORDERS_H

#include "sim/checkers/guarantees.h"
#include "sim/checkers/linearizable.h"

#define ALL_ORDERS_MAX 12

/* Some order of the operations on one key, each at a moment within its time, gives their results.
 * Values are shorter than MODEL_SMALL. */
bool all_orders_register(const struct history_op *ops, size_t n);

/* Each group's reads and writes have an order in which every read shows its key as it is there, and
 * that keeps what the guarantees demand whose bits are set in `asked`. A consistent prefix is
 * always asked for. */
bool all_orders_lists(const struct list_op *ops, size_t n, unsigned asked);

#endif
