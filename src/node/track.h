/* A partition as the router of this node sees it: what waits for its leader, what is on its way to
 * it, and what other nodes have sent for it. See router.h for the rules. */
#ifndef NODE_TRACK_H
#define NODE_TRACK_H

#include "node/stream.h"

struct relay; /* router.h */

struct track {
    /* Looked at by each command, on the cache line where the partition's quota ends. */
    struct pendings waiting; /* by sequence (T1) */
    /* Commands without an answer, and their arguments; when one was answered last. */
    size_t pending_bytes;
    qr_time moved;
    uint32_t pending;
    uint32_t forwarded; /* how many are on their way */
    bool active;        /* something waits or is on its way */
    bool draining;      /* nothing more is forwarded until all on its way is settled (T2) */
    bool given_up;      /* what is on its way is being given up */
    node_index target;  /* of what is on its way */
    uint32_t epoch;     /* of forwards: see router.h */

    struct track *next, *previous; /* router->active */
    struct pending *retried;       /* where the last one of a round of retries was put in */
    uint32_t retry_round;          /* ... and of which round */
    qr_time drain_until;
    struct relay **relays; /* by peer; made when one is needed */
};

#endif
