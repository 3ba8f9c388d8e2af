/* What this node tells group 0's leader of its replicas of primary partitions, so that it can
 * choose who leads them (cluster/succession.h S1; what that one does with it: council.h).
 *
 * T1 Only what is durable and holds for the rest of this node's life is told, as the protocol says
 *    it (outlook.stands, .settled, .barred, .closed): a restart of the node is another life.
 * T2 What changed is told at once; who has caught up is looked at again after CAUGHT_TIME at the
 *    earliest: it means whoever holds, durably, what its primary had at the last look. What was
 *    committed would not tell: where a member of a set hangs, nothing is.
 * T3 Another leader of group 0, another term of it, or a new connection to it: everything is told
 *    anew, and what was told before is void. */
#ifndef NODE_STANDING_H
#define NODE_STANDING_H

#include "node/standing_frames.h"

struct node;
struct partition;
struct outlook;

#define CAUGHT_TIME (100 * QR_MILLISECOND)

/* Of one replica; it outlives it until that it is gone was told. */
struct told_standing {
    struct partition *partition; /* NULL: it is gone */
    struct standing told;
    bool was_told, listed;
    qr_time looked; /* at who has caught up */
    qr_slot last;   /* of its log, then */
    uint16_t caught;
    struct told_standing *next, *previous;
};

/* Of a node: those of whom there is something to tell. */
struct standing_news {
    struct told_standing *first, *last;
    node_index to; /* whom the others were told to; NODE_NONE: nobody */
    qr_term term;  /* of group 0, then */
    struct standings frame;
    uint8_t bytes[STANDINGS_BYTES_MAX];
};

struct standing_news *standing_news_new(void);
void standing_news_free(struct standing_news *news);

/* As it is told, but for `caught`; of a replica whose leader is named by group 0. */
struct standing standing_of(uint32_t group, const struct outlook *o);

/* The partition has had a turn. */
void standing_look(struct partition *partition);
/* Its replica is closed. */
void standing_forget(struct partition *partition);
/* What `leader` was told may not have come. */
void standing_anew(struct node *node, node_index leader);

/* Tells what there is to tell, to group 0's leader, which may be this node. In every turn of the
 * chores. */
void standing_turn(struct node *node, qr_time now);

/* A FRAME_ORDER of group 0's leader; false when malformed. */
bool standing_order(struct node *node, node_index from, struct span head);
/* The same without a frame: this node leads group 0. */
void standing_obey(struct node *node, const struct hand_over *order);

#endif
