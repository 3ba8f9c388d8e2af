/* What the operator has been told of the level at which keyspaces are read by default (rules.c). */
#ifndef SIM_NODES_RULES_H
#define SIM_NODES_RULES_H

#include "resp/tree.h"
#include "sim/nodes/seat.h"

/* The order that the request is: one of a default, or RULE_NONE. It may take effect from now on. */
enum rule_order rules_ordered(struct run *run, const char *request);
void rules_answered(struct run *run, enum rule_order order, const struct tree *reply);
/* Nobody knows what became of it, nor when. */
void rules_lost(struct run *run, enum rule_order order);

/* A read that says nothing of its level, when it is asked and when it is answered: where the
 * default was or may have been weak in between, its record says so, and it is judged by that. */
void rules_read(const struct run *run, bool in_keyspace, struct deed *asked);
void rules_shown(const struct run *run, struct deed *asked);

#endif
