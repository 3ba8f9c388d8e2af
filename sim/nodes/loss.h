/* What nodes have said of the operator's keyspace with a primary: that acknowledged writes may be
 * lost, or that a partition falls back to LOCAL. Who reads their logs knows it; nothing else that
 * was acknowledged may be gone (owed.c). */
#ifndef SIM_NODES_LOSS_H
#define SIM_NODES_LOSS_H

#include "base/types.h"

#define LOSSES_MAX 256u

struct loss {
    uint32_t partition;
    qr_time at;
};

struct losses {
    struct loss told[LOSSES_MAX], fell[LOSSES_MAX];
    uint32_t told_count, fell_count;
    bool promised; /* more than LOCAL was: by FAILOVER FORCE */
};

/* A line that a node has written. */
void loss_heard(struct losses *losses, const char *line, qr_time now);

#endif
