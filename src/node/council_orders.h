/* FAILOVER of primary partitions, under way at group 0's leader: what people have ordered, until it
 * has come about or its time is over.
 *
 * CO1 One for each partition. Without FORCE nothing is lost, or it does not happen: the primary
 *     pauses, hands over when the other has all, and is told to go on when the time is over.
 * CO2 FORCE gives up what may be acknowledged and is not here. It is answered with what may be
 *     lost.
 * CO3 Where leadership of group 0 ends first whoever waits hears -UNCERTAIN. */
#ifndef NODE_COUNCIL_ORDERS_H
#define NODE_COUNCIL_ORDERS_H

#include "cluster/succession.h"

struct node;
struct pending;

#define COUNCIL_ORDERS_MAX 64u             /* at a time; more are refused: -THROTTLED */
#define COUNCIL_ORDER_TIME (5 * QR_SECOND) /* where none is said */

struct council_order {
    struct pending *p; /* who waits for it */
    uint32_t group;
    enum succession_order_kind kind;
    node_index to; /* FORCE: NODE_NONE: whoever stands best */
    qr_time until;
    qr_term term;                    /* of the record when it began, */
    node_index primary;              /* and its primary */
    struct succession_loss loss;     /* with which one was chosen */
    char why[SUCCESSION_TEXT_BYTES]; /* it did not get on, the last time */
};

struct council_orders {
    struct council_order v[COUNCIL_ORDERS_MAX];
    uint32_t count;
};

/* The one of that partition; NULL: there is none. */
struct council_order *council_order_of(const struct node *node, uint32_t group);
/* False: there are too many. The order's p is answered when it is over. */
bool council_order_begin(struct node *node, const struct council_order *order);
/* It is called off: whoever waits hears so. */
void council_order_end(struct node *node, struct council_order *order);
/* In each turn of the control plane, whether or not this node leads. */
void council_orders_turn(struct node *node, qr_time now);

#endif
