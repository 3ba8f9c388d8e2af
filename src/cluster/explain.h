/* What a keyspace guarantees, in rows of a name and a value: the promise of its strategy with its
 * number of replicas (D1, U1). The same promise picks the simulator's checkers, so what a user is
 * told here is what is tested. With STRATEGY primary most of it follows from ACK as well. */
#ifndef CLUSTER_EXPLAIN_H
#define CLUSTER_EXPLAIN_H

#include "cluster/map.h"
#include "protocol/protocol.h"

#define EXPLAIN_ROWS 16u /* at most */
#define EXPLAIN_VALUE_BYTES 160u

struct explain_row {
    const char *name;
    char value[EXPLAIN_VALUE_BYTES];
};

/* The words after the first of a value are for people. Returns how many rows there are. */
uint32_t explain(const struct map_keyspace *keyspace, const struct protocol *protocol,
                 struct explain_row rows[EXPLAIN_ROWS]);

#endif
