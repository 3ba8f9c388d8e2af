/* Keeping the log of all groups short (decision 029).
 *
 * One checkpoint is written at a time. Group 0's is due as ever, when the log has grown by so much;
 * of the others it is the turn of the one whose oldest entry is the oldest of all, when the log
 * behind that has grown by so much, and of those for whom a member waits. Groups of which the log
 * holds next to nothing have no checkpoint taken: their entries are carried along (log_carry). */
#ifndef NODE_KEEPERS_H
#define NODE_KEEPERS_H

#include "base/types.h"

struct keeper;
struct node;
struct partition;

struct keepers {
    struct keeper *writing; /* NULL: no checkpoint is being written */
    struct keeper *holding; /* its replica applies no more than is durable, for a checkpoint */
    bool abandoned;         /* the last one, of whatever group: no room, or the disk was too slow */
    bool short_of_room;     /* not much more log, and clients are refused */
    uint64_t largest;       /* bytes that the largest checkpoint will take, as of the last round, */
    uint64_t largest_seen;  /* and of this one, */
    uint32_t room_at;       /* which has come to this partition */
    uint64_t carried_at;    /* position of the log when the last carrying was done */
    uint32_t terms_of;      /* the partition whose terms are looked at next, */
    qr_time terms_at;       /* and when */
    qr_time not_before;     /* the next checkpoint of another group than 0 */
};

/* At the start, once the log is open: what a crash has left of groups goes. 0 or negative. */
int keepers_clean(struct node *node);

/* Asks the log to leave room for the next checkpoint, and says whether one had better come soon,
 * before there is none. Now and then, as the log grows. */
void keepers_look_at_room(struct node *node);

/* Once a turn. */
void keepers_turn(struct node *node, qr_time now);

#endif
