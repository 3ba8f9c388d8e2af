/* What control_test.c and control_prefix_test.c play around the control plane: the log, the
 * engine's records, reports, other nodes and the orders themselves. */
#ifndef TESTS_UNIT_NODE_CONTROL_WORLD_H
#define TESTS_UNIT_NODE_CONTROL_WORLD_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "node/control_internal.h"

#define CLIENTS 8

extern struct node *node;
extern struct outlook outlook;
extern qr_slot applied; /* of group 0 */
extern qr_term applied_term;
extern uint32_t noted[2]; /* how often there may be more groups: by an entry, and as a whole */
extern bool has_room, known, all_know, led, figures;
extern bool may_freeze, may_propose; /* as the other nodes stand */
extern uint64_t version;             /* of the state in the engine */
extern uint32_t proposed, planned, given_back, uncertain, uncovered, frozen, thawed, renewed;
extern uint32_t followed; /* the level was brought together */
extern uint8_t op[512];   /* as proposed last */
extern struct pending *begun[64];
extern uint32_t begun_count;
extern uint32_t planned_before; /* so many orders were begun when the planner planned */
extern enum qr_status given_back_with;

extern struct client_side {
    struct stream stream;
    struct reply out;
    uint32_t answers;
} clients[CLIENTS];

int begin(void **state);
int end(void **state);
struct pending *order(int client);
void turn(void);
/* An order that may compose its change does. */
void propose(struct pending *p, uint32_t keyspace);
/* What was proposed has ended. */
void decided(enum qr_status status, const char *error);
/* The version of the state that the change is for, as proposed last. */
uint64_t composed_on(void);
void change(struct pending *p);
const char *said(int client);
/* Keyspace 16, "cart", has that prefix now. */
void learn_prefix(const char *prefix);
void learn_keyspace(const struct map_keyspace *k);
void learn_no_keyspace(void);
void learn_zone(node_index i, const char *zone);

#define CASE(name) cmocka_unit_test_setup_teardown(name, begin, end)

#endif
