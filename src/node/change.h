/* A change of the members, composed on the leader and given to the protocol as one order. */
#ifndef NODE_CHANGE_H
#define NODE_CHANGE_H

#include "base/status.h"
#include "node/node.h"

struct pending;

struct change {
    struct roster now; /* what is in force, decided */
    struct membership wanted;
    struct roster_node node[MEMBERS_MAX]; /* whom or what it brings; id 0: nothing */
    bool restated;                        /* the sets stay, but who or where somebody is does not */
    node_index added;                     /* the last that was; NODE_NONE */
    const struct map *map;                /* which indexes partitions still speak of */
};

/* Begins with what is in force. A sentence when nothing can be changed now. */
const char *change_begin(struct node *node, struct change *out);

/* A new member; NODE_NONE when there is no index left. */
node_index change_add(struct change *change, const struct roster_node *node, bool observer);
void change_drop(struct change *change, node_index index);
/* The member has another address, directory or priority. */
void change_node(struct change *change, node_index index, const struct roster_node *node);

/* Gives the order. With p, it is answered when all is decided, or by the refusal; without, the
 * refusal is returned, or OK when the change is under way. */
enum qr_status change_order(struct node *node, const struct change *change, bool forced,
                            struct pending *p);

/* While it leads: what a member says of itself, and what the node itself does, gets into the log.
 */
void change_follow_addresses(struct node *node);

#endif
