/* Who carries out a command: this node when it leads, else the leader, else it waits.
 *
 * Any node takes any command (O10). A stream's commands must not overtake each other on their way
 * to the leader, also while leadership moves:
 *
 * T1 All commands pass one queue in order of arrival; while anything waits in it, everything does.
 * T2 What was forwarded to one leader is answered, refused or given up before anything goes to the
 *    next. Forwards carry an epoch; a node that refuses one refuses the rest of that epoch, so that
 *    a command cannot slip past an earlier one that was refused.
 * T3 A forwarded command is never forwarded again (one hop): refused ones come back.
 * T4 A write, or an order, whose fate is unknown is answered -UNCERTAIN and never tried again. A
 *    read may be. */
#ifndef NODE_ROUTER_H
#define NODE_ROUTER_H

#include "node/stream.h"

struct node;
struct router;

struct router *router_new(struct node *node);
void router_free(struct router *router);

/* A command of a local client, checked by the caller (it exists, its arity fits, it is not LOCAL).
 * The arguments include the name; they are copied. */
void router_command(struct router *router, struct stream *stream, const struct command_spec *spec,
                    uint8_t version, uint8_t db, const struct span *argv, uint32_t argc,
                    bool silent);

/* The same with large arguments, which are the router's from now on (router_cargo.c). */
void router_command_laden(struct router *router, struct stream *stream,
                          const struct command_spec *spec, uint8_t version, uint8_t db,
                          const struct span *argv, uint32_t argc, bool silent, struct cargo *cargo);

/* A command that peer `from` forwarded; `relay` is that peer's stream. `op` is checked here. */
struct relay {
    struct stream stream;
    node_index peer;
    uint32_t latest_epoch;  /* of what came last */
    uint32_t refused_epoch; /* everything up to it is refused (T2) */
    struct pending *loads;  /* those whose large arguments are still coming: cargo->next */
};
void router_relay_init(struct relay *relay, struct node *node, node_index peer);
/* False when malformed (the caller closes the connection). */
bool router_relayed(struct router *router, struct relay *relay, uint64_t id, uint32_t epoch,
                    uint8_t version, uint32_t sender, bool after_reads, struct span op);

/* A piece of the large arguments of a command that the peer forwarded; false when malformed. */
bool router_piece(struct relay *relay, uint64_t id, struct span bytes);
/* No more pieces are wanted. */
void router_forget_cargo(struct cargo *cargo);
/* The connection to the peer is gone: call it before stream_detach. */
void router_relay_lost(struct relay *relay);

/* How much of the large arguments of a command of ours the leader has carried on. */
void router_credit(struct router *router, node_index from, uint64_t id, uint64_t bytes);
/* A piece of a long reply; router_reply ends it. */
void router_reply_piece(struct router *router, node_index from, uint64_t id, struct span bytes);

/* The leader's answer to a forwarded command; NOT_LEADER and EXPIRED: it is asked again. */
void router_reply(struct router *router, node_index from, uint64_t id, enum qr_status status,
                  struct span reply);

/* The connection to that peer is gone: what it had is uncertain (writes) or tried again (reads). */
void router_peer_down(struct router *router, node_index peer);

/* The protocol would not take them (status NOT_LEADER or EXPIRED, surely not applied): they go back
 * to the queue, in their places. */
void router_retry(struct router *router, struct pendings *refused, enum qr_status status);

/* Takes back what waits for another attempt; it keeps its op. */
void router_recall(struct router *router, struct pending *p);

/* Once per turn, before replica_turn: follows the leader, routes what waits, lets deadlines pass.
 */
void router_turn(struct router *router);

uint32_t router_waiting(const struct router *router);
uint32_t router_forwarded(const struct router *router);

#endif
