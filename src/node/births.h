/* The first election of a group is called, not waited for (follow.h: F11): a keyspace that was just
 * made can be used at once, and so can all partitions when all nodes have started again.
 *
 * Whoever is to call does when its replica is there. Others may not have founded theirs yet, and
 * then the call is lost: it is made again, a few times, more and more slowly. What comes of it is
 * the protocol's matter, and when nothing does, its time-outs are there still. */
#ifndef NODE_BIRTHS_H
#define NODE_BIRTHS_H

#include "base/types.h"

struct partition;

/* The replica was opened: founded just now, or it is one of an earlier life. */
void births_begin(struct partition *partition, bool founded);
/* In each turn of the partition. */
void births_turn(struct partition *partition, qr_time now);

#endif
