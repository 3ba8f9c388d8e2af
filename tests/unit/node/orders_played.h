/* The quotas that orders_played.c plays: what the router asks of them. */
#ifndef TESTS_UNIT_NODE_ORDERS_PLAYED_H
#define TESTS_UNIT_NODE_ORDERS_PLAYED_H

#include "base/types.h"

struct quotas_played {
    bool full;      /* everything is refused */
    size_t bytes;   /* of the command that was asked about last */
    size_t told;    /* ... of the one that was refused last */
    uint32_t spent; /* commands */
};

extern struct quotas_played quotas_played;

#endif
