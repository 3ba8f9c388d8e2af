/* The verdict on the reads of sessions by who knows the whole order: each write has its slot, which
 * no node is asked for.
 *
 * O1 What a read shows is the state as of the position that it was answered with, of one that asked
 *    for a position as of that.
 * O2 What it must show is: at linearizable all that was committed when it was asked; within a bound
 *    all that was then less the bound, in time or in slots of the group, whatever keys they wrote.
 *
 * checkers/guarantees.h judges by values alone, and does not believe in slots. */
#ifndef SIM_ORDER_H
#define SIM_ORDER_H

#include "sim/world.h"

void order_judge(struct world *w);

#endif
