/* What a connection has selected: a keyspace, and in keyspace 0 a database (K1 and K5 of route.h).
 * */
#ifndef NODE_SELECTED_H
#define NODE_SELECTED_H

#include "resp/reply.h"

struct map_keyspace;
struct node;

/* Of what a node that has just started does not find (holding.h). */
#define SELECTED_UNKNOWN                                                                     \
    "LOADING this node has just started and does not know yet which keyspaces there are, "   \
    "the command was not applied: try again in a moment"

/* What a connection has selected. Zeroed: database 0 of keyspace 0. */
struct selected {
    uint32_t keyspace;    /* its id, */
    uint32_t first_group; /* and one of its groups: an id may be given again, a group never is */
    uint8_t db;           /* in keyspace 0 */
};

/* The keyspace that is selected; NULL: it was dropped. */
const struct map_keyspace *route_keyspace(const struct node *node, const struct selected *selected);

/* SELECT: a number below 16, an id, or a name. False, with the error, when it is none. */
bool route_select(const struct node *node, struct span what, struct selected *out,
                  struct reply *reply);

/* Whether everything is keyspace 0's one partition: nothing else need be looked at. */
bool route_is_plain(const struct node *node, const struct selected *selected);

#endif
