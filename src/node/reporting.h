/* What this node tells group 0's leader (reports.h): composed from what it leads, only what changed
 * since it was told. */
#ifndef NODE_REPORTING_H
#define NODE_REPORTING_H

#include "node/report_frames.h"

struct node;

struct told_partition {
    struct partition_report report;
    uint64_t ops, refused; /* counted when it was told */
};

struct reporting {
    node_index to; /* whom; another leader is told everything */
    qr_term term;
    uint64_t asked;      /* the latest question */
    node_index asked_by; /* and whose it is */
    uint32_t at;         /* the pass goes on there (partitions_at) */
    bool begun;
    qr_time passed;              /* when the last pass began */
    struct told_partition *told; /* in order of group */
    uint32_t count, cap;
};

void reporting_init(struct reporting *r);
void reporting_free(struct reporting *r);

/* A question has come. */
void reporting_asked(struct reporting *r, node_index from, uint64_t nonce);

/* The next report for `leader`. True: there is more to tell at once. */
bool reporting_compose(struct node *node, struct reporting *r, node_index leader,
                       struct report *out);

#endif
