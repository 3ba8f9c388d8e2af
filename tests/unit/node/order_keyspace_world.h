/* KEYSPACE orders as group 0's leader judges them. The map, the placement and the records of a
 * change are real; reports and the log are played, and every change is decided at once. cmocka.h
 * stands in front of this. */
#ifndef TESTS_NODE_ORDER_KEYSPACE_WORLD_H
#define TESTS_NODE_ORDER_KEYSPACE_WORLD_H

#include "cluster/strategy.h"
#include "node/control_internal.h"
#include "node/node.h"
#include "node/orders.h"
#include "node/placing.h"
#include "node/reports.h"
#include "tests/unit/cluster/put_records.h"

#define WALL ((qr_wall)1700000000123456)

extern struct node node;
extern struct place_nodes nodes;
extern uint16_t not_ready; /* of those that are live */
extern uint16_t placed;    /* on these are replicas founded; 0: on all members */
extern struct keyspace_use use;
extern struct partition_report report; /* of group 2, by node 0 */
extern struct roster_node member[MEMBERS_MAX];
extern bool leads, answered, ready, figures;
extern uint32_t changes, asked, waited_for;

/* cmocka's set-up and tear-down. */
int order_begin(void **state);
int order_end(void **state);

typedef void handler(struct node *n, struct pending *p, const struct span *argv, uint32_t argc);

/* What the client hears; empty: nothing yet. In the line "_" is an empty word, "~" a blank. */
const char *give(handler *order, struct pending *p, const char *line);
void accept(handler *order, const char *line);
/* And nothing was changed. */
void refuse(handler *order, const char *line, const char *why);

#define CREATE order_cmd_KEYSPACE_CREATE
#define ALTER order_cmd_KEYSPACE_ALTER
#define DROP order_cmd_KEYSPACE_DROP

const struct map_keyspace *of(const char *name);

#endif
