/* The inside of the router, shared by router.c and router_cargo.c (what is too large for one
 * message). */
#ifndef NODE_ROUTER_INTERNAL_H
#define NODE_ROUTER_INTERNAL_H

#include "base/limits.h"
#include "node/node.h"
#include "node/router.h"

#define FORWARD_WINDOW ((uint64_t)NODE_PENDING_MAX * 2)

struct router {
    struct node *node;
    struct pendings waiting;    /* by sequence (T1) */
    struct pending **forwarded; /* FORWARD_WINDOW of them, by id */
    uint64_t next_id;
    uint32_t forwarded_count;
    struct pendings loads; /* of those: whose large arguments are under way too */
    node_index target;     /* of what is in flight */
    uint32_t epoch;
    bool draining; /* nothing more is forwarded until all in flight is settled (T2) */
    qr_time drain_until;
};

static inline struct pending **router_forwarded_at(struct router *router, uint64_t id)
{
    return &router->forwarded[id % FORWARD_WINDOW];
}

/* A command on its way: to where it is carried out, or into the queue. */
void router_take(struct router *router, struct pending *p);

/* router_wait.c: WAIT is counted here; it goes on to a leader with what is left of its time; there
 * is no leader. */
void router_begin_wait(struct router *router, struct pending *p);
void router_shorten_wait(struct router *router, struct pending *p);
void router_refuse_wait(struct pending *p);

/* router_cargo.c: here, p's large arguments go into the log. */
void router_load(struct router *router, struct pending *p);
/* Sends on what may be sent of large arguments. */
void router_send_pieces(struct router *router);
/* The command of a peer that p stands for has large arguments, which come in pieces; false when
 * they make no sense. */
bool router_expect_pieces(struct relay *relay, struct pending *p, const struct op *op);

#endif
