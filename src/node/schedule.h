/* Which partitions have a turn. A turn of the node costs what has work, however many partitions
 * there are (P4): those that something happened to, those whose deadline has come, those whose
 * tickets became durable. Group 0 has every turn and is not in here.
 *
 * W1 Whatever gives a partition work wakes it: a write or a read for it, a step of its protocol
 *    that leaves something to do (replica_light.c), a change of its peers, its deadline, the log.
 *    It then has the next turn, or this one's rest.
 * W2 A turn ends after SCHEDULE_SLICE_USEC, whatever is left; what is left goes on in the next, in
 *    order. So thousands that wake at once do not hold up the loop.
 * W3 Peers come and go for thousands of groups at once: each is told when the sweep reaches it, and
 *    is told of every loss since, however short.
 * W4 While frames of other nodes wait to be taken (link_read.c), deadlines wait too, for a while:
 *    what would make them void may have come. So elections of thousands of groups go no faster than
 *    their messages are taken. */
#ifndef NODE_SCHEDULE_H
#define NODE_SCHEDULE_H

#include "base/limits.h"
#include "base/types.h"
#include "node/campaigns.h"

struct node;
struct partition;

struct schedule {
    struct partition *awake, *awake_last; /* through awake_next */
    struct partition *expect, *expect_last;
    struct partition **heap; /* by due, the earliest first */
    uint32_t heap_n, heap_cap;
    uint16_t ups[MEMBERS_MAX]; /* changes of each peer's connection: odd while it is up */
    uint32_t changes;          /* of all peers together */
    uint32_t sweep;            /* partitions that the sweep has still to look at, from the end */
    uint32_t resting;          /* partitions with a replica that wants no turn */
    uint64_t durable;          /* the log is, below this position, */
    uint64_t written;          /* and below this one it is written */
    uint64_t turns;            /* of partitions, for figures */
    struct campaigns campaigns;
};

void schedule_free(struct schedule *s);

void schedule_wake(struct partition *partition); /* see partition_wake */

/* Its replica has a ticket that is durable with that position. */
void partition_expects(struct partition *partition, uint64_t position);
/* It is to go: it has no turns any more. */
void schedule_forget(struct partition *partition);

/* Another node is up now, or away (contact.h). Group 0 does not hear of it here. */
void schedule_peer(struct node *node, node_index peer, bool up);

/* Everything below `position` of the log is durable: those that wait for it hear of it in their
 * turns (W2). */
void schedule_durable(struct node *node, uint64_t position);
/* The same of what is written: for those that acknowledge by that (early.h). */
void schedule_written(struct node *node, uint64_t position);

/* Once a turn, before commands are routed: deadlines that have come, peers that came and went. */
void schedule_begin(struct node *node, qr_time now);
/* The turns of those that are awake; may be called several times in a turn of the node, `until`
 * bounds them all. */
void schedule_turn(struct node *node, qr_time now, qr_time until);
/* When the next turn is wanted at the latest; 0: at once. */
qr_time schedule_deadline(const struct schedule *s);

#endif
