/* What rebalance_test.c and drain_test.c play around the orders that move replicas: four nodes of
 * which three hold "cart", reports, leases and the log. Map, placement, edits and the planner are
 * real, and each change is decided at once. */
#ifndef TESTS_UNIT_NODE_MOVES_WORLD_H
#define TESTS_UNIT_NODE_MOVES_WORLD_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "node/control_internal.h"

#define PARTITIONS 4u
#define FIRST 2u /* the group of the first */

extern struct node *node;
extern struct roster applied_roster, latest_roster;
extern qr_time lease_gone[MEMBERS_MAX];                    /* for how long */
extern uint16_t old_nodes;                                 /* of a version without groups */
extern struct partition_report report[FIRST + PARTITIONS]; /* by group; group 0: no leader */
extern uint32_t changes, rule_changes, leader_of_all;

int begin(void **state);
int end(void **state);

/* Carries out an order in these words; its answer. */
const char *order(const char *line);
/* Behind the name of a field in the answer of the last order: "5", "yes". The nth of that name. */
const char *field(const char *name, uint32_t nth);

const struct map_partition *partition(uint32_t group);
/* The partition is to be on these nodes, and is still on those before. */
void move(uint32_t group, uint16_t wish);
/* It is. */
void reach(uint32_t group);
void drains(node_index i, bool draining);

#define CASE(name) cmocka_unit_test_setup_teardown(name, begin, end)

#endif
