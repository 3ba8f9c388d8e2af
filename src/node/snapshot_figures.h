/* What is counted of checkpoints on their way, for INFO and metrics. */
#ifndef NODE_SNAPSHOT_FIGURES_H
#define NODE_SNAPSHOT_FIGURES_H

#include "base/types.h"

/* Of those that come (snapshot_fetch.h). */
struct fetch_figures {
    bool active;
    uint32_t source;      /* id of the node that it comes from */
    uint64_t done, total; /* bytes of the file, loaded */
    uint64_t resumed_at;  /* offset at which this life went on with it */
    uint64_t bytes_per_second;
    qr_time heard; /* when bytes came last */
    size_t memory;
    struct fetch_counts {
        uint64_t begun, installed, resumed;
        uint64_t bytes;    /* received, of all files */
        uint64_t refused;  /* damaged or foreign */
        uint64_t given_up; /* for want of disk space */
        uint64_t dropped;  /* not wanted any more, or gone at the source */
    } counts;
};

/* Of those that are given (snapshot_source.h). */
struct source_figures {
    uint64_t offers, pieces, bytes; /* sent */
    uint64_t orders;                /* members that others were asked to bring up */
    uint64_t gone;                  /* reads of files that were not there */
    uint64_t refused;               /* files that a follower found unusable */
    uint64_t unusable;              /* files that this node itself did */
    size_t memory;                  /* the buffer of the one read under way */
};

#endif
