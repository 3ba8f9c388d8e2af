/* The inside of the control plane, shared by control.c, order_keyspace.c, reports.c, planner.c. */
#ifndef NODE_CONTROL_INTERNAL_H
#define NODE_CONTROL_INTERNAL_H

#include "node/control.h"
#include "node/council.h"
#include "node/node.h"
#include "node/placing.h"
#include "node/planner.h"
#include "node/reports.h"
#include "node/router.h"

#define USABLE_TIME (2 * QR_SECOND) /* what is decided is answered by then, known or not */
#define ATTEMPTS 5u                 /* other changes may come in between that often */

/* The change that is under way (C1). */
struct control_flight {
    bool busy, ended;
    bool prepares; /* it is not proposed yet: its prefixes have to be frozen first (C3) */
    bool frozen;
    struct freeze freeze; /* with `prepares` */
    struct edit edit;
    uint64_t composed_on; /* with `edit`: the version of the state that it is for */
    bool refused;         /* ended OK, but something else had been written meanwhile */
    enum qr_status status;
    struct pending *order; /* NULL: nobody waits */
    qr_time until;         /* ... for longer than this */
    uint32_t keyspace;
    uint64_t version; /* of the state, when it is made */
};

struct control {
    struct node *node;
    uint64_t version;            /* of the state that the map shows */
    uint64_t rules;              /* its version when one of them was changed last */
    uint64_t rules_seen;         /* map_rules() then */
    const struct engine *engine; /* which holds it */
    struct relay own;            /* the stream of what is proposed here */
    struct reply reply;
    struct control_flight flight;
    struct pendings waiting;   /* orders that are to be judged */
    struct pendings asking;    /* orders that wait for figures */
    struct pendings settling;  /* orders that are decided */
    struct pendings spreading; /* ... and are known everywhere before they are answered (C4) */
    struct reports *reports;
    struct planner planner;
    struct council *council;
};

/* order_cluster.c: what the level that is active asks of this node. */
void control_follow_level(struct node *node);

#endif
