/* A council of five nodes, of which this is node 0: the map, succession and leases are real; the
 * log, the nodes and alarms are played, and every change is decided at once. */
#ifndef TESTS_NODE_COUNCIL_WORLD_H
#define TESTS_NODE_COUNCIL_WORLD_H

#include "node/alarm.h"
#include "node/control_internal.h"
#include "node/council_internal.h"

#define FIRST 2u /* group of partition 0 of keyspace "orders" */
#define ME 0u

extern struct node *node;
extern struct control control;
extern struct outlook outlook; /* of group 0's replica */
extern uint16_t alive;
extern uint32_t changes;
extern uint32_t raised[16], cleared[16]; /* by kind of alarm */
extern char raised_text[16][256];
extern bool refuses, no_room;    /* nothing can be composed; the log has no room */
extern struct hand_over ordered; /* the last one, */
extern node_index ordered_of;    /* whom it went to, */
extern uint32_t answers;         /* to orders, and the last one: */
const char *answered(void);
extern uint32_t orders; /* and how many there were */
extern uint32_t cluster_level; /* of the cluster, when partitions are made */
extern uint32_t tells;  /* times that the others were told at once */

/* Of a keyspace with that ACK, on those nodes; nobody leads. */
void make_partitions(uint32_t count, uint8_t ack, uint8_t copies, uint16_t members);
int begin(void **state);
int end(void **state);
void turn(void);
/* Time passes in which those that are alive renew their leases. */
void pass(qr_time time);
void put_succession(uint32_t group, const struct succession *s);
const struct succession *record(uint32_t group);
void tell(node_index from, struct standing s);
/* It stands in the present term; `last`: of the term before, 0: it has nothing. */
void stand(node_index from, uint32_t group, qr_slot last);
/* The primary says that it serves. */
void lead(uint32_t group, uint16_t caught);
/* The connection to that node. */
void lose(node_index i);
/* Nodes 0, 1, 2 with ANY 1; node 1 leads, all is settled. */
void settle(void);

#endif
