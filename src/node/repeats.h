/* What goes on for long is told once and then now and then: the last few texts, and when each was
 * told. */
#ifndef NODE_REPEATS_H
#define NODE_REPEATS_H

#include "base/types.h"

#define REPEATS_KEPT 16

struct repeats {
    struct repeat {
        uint64_t hash; /* of the text; 0: the row is free */
        qr_time told_at, seen_at;
        uint32_t kept_back; /* since then */
    } row[REPEATS_KEPT];
};

/* Whether the text is to be told: it is new, or was told `interval` ago. *kept_back is how often it
 * was not since. Room is made by forgetting what has not been seen for longest. */
bool repeats_due(struct repeats *repeats, const char *text, qr_time now, qr_time interval,
                 uint32_t *kept_back);

#endif
