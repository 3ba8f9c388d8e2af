/* Orders: commands that ask the leader's protocol for something. Any node takes them and the router
 * brings them to the leader, as it does a write; they are carried out once or, when that cannot be
 * known, answered -UNCERTAIN. */
#ifndef NODE_ORDERS_H
#define NODE_ORDERS_H

#include "node/stream.h"

/* Begins the order p, whose op is set, while this node leads. It is answered here, or by the
 * protocol (replica_order). */
void orders_begin(struct node *node, struct pending *p);

/* The handlers: order_cmd_<IDENT>, one per ORDER row of commands.def. argv[0] is the first argument
 * behind the name. Each answers p, or gives it to replica_order. */
#define ORDER(tag, ident, ...)                                                            \
    void order_cmd_##ident(struct node *node, struct pending *p, const struct span *argv, \
                           uint32_t argc);
#include "command/commands.def"

#endif
