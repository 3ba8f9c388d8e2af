/* Orders: commands that ask the leader's protocol for something. Any node takes them and the router
 * brings them to the leader, as it does a write; they are carried out once or, when that cannot be
 * known, answered -UNCERTAIN. */
#ifndef NODE_ORDERS_H
#define NODE_ORDERS_H

#include "node/stream.h"

/* Begins the order p, whose op is set, while this node leads. It is answered here, or by the
 * protocol (replica_order). */
void orders_begin(struct node *node, struct pending *p);

/* Whether it changes nothing: it may be asked again, and where no leader can be reached
 * orders_begin answers it from what this node knows, and says so. */
bool orders_only_asks(const struct command_spec *spec);

/* The first wire version whose nodes know it. */
uint16_t orders_wire_version(const struct command_spec *spec);

/* The protocol has answered p. */
void orders_ended(struct node *node, struct pending *p, enum qr_status status);

/* There is no leader to carry p out. */
void orders_leaderless(struct pending *p);

/* Leadership ended, or the connection to the leader, before p was answered. */
void orders_uncertain(struct pending *p);
/* Its change of the control state is in the log, and was not decided in time (control.h: C2). */
void orders_undecided(struct pending *p);

/* Answers p, which changed the control state: OK, and behind it what was asked for and is not. */
void orders_ok(struct node *node, struct pending *p);

/* Answers p with an error, printf's way. */
void orders_refuse(struct pending *p, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* The keyspace that `name` says in an order that changes it; NULL when p was refused. */
const struct map_keyspace *orders_keyspace(struct node *node, struct pending *p, struct span name);

/* The handlers: order_cmd_<IDENT>, one per ORDER row of commands.def. argv[0] is the first argument
 * behind the name. Each answers p, or gives it to replica_order. */
#define ORDER(tag, ident, ...)                                                            \
    void order_cmd_##ident(struct node *node, struct pending *p, const struct span *argv, \
                           uint32_t argc);
#include "command/commands.def"

#endif
