/* What this node tells group 0's leader (reports.h): composed from what it leads, only what changed
 * since it was told.
 *
 * Of ten thousand partitions nearly all are idle, and none of those is looked at: a turn of a
 * partition puts it into the list of those that are (schedule.c), and so does whatever changes what
 * is told of it without a turn (reporting_note). */
#ifndef NODE_REPORTING_H
#define NODE_REPORTING_H

#include "node/report_frames.h"

struct node;
struct partition;

struct told_partition {
    struct partition_report report;
    uint64_t ops, refused; /* counted when it was told */
};

/* Partitions to be looked at, through news_next. */
struct news {
    struct partition *first, *last;
    uint32_t count;
};

struct reporting {
    node_index to; /* whom; another leader is told everything */
    qr_term term;
    uint64_t asked;      /* the latest question */
    node_index asked_by; /* and whose it is */
    uint32_t left;       /* partitions that the pass under way has still to look at */
    bool begun;
    bool followers; /* it was told how they do */
    bool begins;    /* the pass has met a leader that has not all of its state yet */
    qr_time passed; /* when the last pass ended */
};

void reporting_init(struct reporting *r);

/* Something of the partition is other than it was, perhaps: it is looked at in the next pass. */
void reporting_note(struct partition *partition);
/* It is to be freed. */
void reporting_forget(struct partition *partition);

/* What `leader` was told may not have come: if it is told anything, then everything anew. */
void reporting_anew(struct reporting *r, node_index leader);

/* A question has come. */
void reporting_asked(struct reporting *r, node_index from, uint64_t nonce);

/* The next report for `leader`. True: there is more to tell at once. */
bool reporting_compose(struct node *node, struct reporting *r, node_index leader,
                       struct report *out);

#endif
