/* Where the replicas of primary partitions stand (decision 056), as each node tells group 0's
 * leader, and what that one orders. Bytes only; knows nothing of a node. */
#ifndef NODE_STANDING_FRAMES_H
#define NODE_STANDING_FRAMES_H

#include "base/limits.h"
#include "base/types.h"

/* Of one replica, in the present life of its node: only what is durable is told. */
struct standing {
    uint32_t group;
    bool gone; /* the node has no replica of it any more; nothing else is said */
    bool forgetful;
    bool barred;      /* it is named as primary and may not lead in that term */
    bool leads;       /* as primary of `promised`, */
    bool closed;      /* and it takes nothing more in that term, */
    node_index to;    /* because this node should lead; NODE_NONE: it hands over to nobody */
    uint16_t caught;  /* as primary: who has all that it had a moment ago, itself too */
    qr_term promised; /* 0: nothing that a choice could count on */
    qr_term last_term;
    qr_slot last_slot; /* when it stands: of the last entry of its log */
    qr_term settled;   /* as primary: an entry of this term is committed; 0: none is */
};

/* One frame. */
struct standings {
    uint64_t life; /* of the node, as its renewals say */
    bool whole;    /* what it has told before is void */
    uint32_t count;
    struct standing v[STANDINGS_MAX];
};

#define STANDING_BYTES 42u
#define STANDINGS_BYTES_MAX (11u + STANDINGS_MAX * STANDING_BYTES)

size_t standings_write(const struct standings *standings, uint8_t *p);
/* False when malformed. */
bool standings_read(struct span in, struct standings *out);

/* Group 0's leader to the node of a primary: hand over to `to`, if you lead in that term; `to`
 * being that node itself: hand over to nobody. */
struct hand_over {
    uint32_t group;
    node_index to;
    qr_term term;
    qr_time timeout; /* 0: the protocol's own */
};

#define HAND_OVER_BYTES 21u
size_t hand_over_write(const struct hand_over *order, uint8_t *p);
bool hand_over_read(struct span in, struct hand_over *out);

#endif
