/* A partition as the router of this node sees it: what waits for its leader, what is on its way to
 * it, and what other nodes have sent for it. See router.h for the rules. */
#ifndef NODE_TRACK_H
#define NODE_TRACK_H

#include "node/stream.h"

struct relay; /* router.h */

struct track {
    struct track *next, *previous; /* router->active */
    bool active;                   /* something waits or is on its way */
    bool draining;           /* nothing more is forwarded until all on its way is settled (T2) */
    bool given_up;           /* what is on its way is being given up */
    node_index target;       /* of what is on its way */
    struct pendings waiting; /* by sequence (T1) */
    struct pending *retried; /* where the last one of a round of retries was put in */
    uint32_t retry_round;    /* ... and of which round */
    uint32_t forwarded;      /* how many are on their way */
    uint32_t epoch;          /* of forwards: see router.h */
    qr_time drain_until;

    /* Commands without an answer, and their arguments; when one was answered last. */
    uint32_t pending;
    size_t pending_bytes;
    qr_time moved;

    struct relay **relays; /* by peer; made when one is needed */
};

#endif
