/* Of orders about members: what is in the control state and not in the roster (order_drain.c). */
#ifndef NODE_ORDER_MEMBER_H
#define NODE_ORDER_MEMBER_H

#include "node/orders.h"

/* MEMBER SET id ZONE name */
void order_zone(struct node *node, struct pending *p, struct span id, struct span zone);

/* Whether the member holds replicas of keyspaces; p is refused then. */
bool order_holds_replicas(struct node *node, struct pending *p, node_index i);

#endif
