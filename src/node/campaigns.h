/* Elections of this node's partitions, so many at a time.
 *
 * When a node is lost, or a keyspace of thousands of partitions is made, thousands of groups want a
 * leader at once. An election is messages, syncs and a first entry on three nodes. Where processor
 * time is short all of them together take it from group 0's heartbeats, and then group 0 elects a
 * leader as well, again and again, and every order waits for it.
 *
 * C1 Whose time-out has come, or who is called (births.h), takes a place or stands in line for one;
 *    in line its protocol is not told what time it is. To the protocol that is a slow clock: what
 *    it does comes later, and nothing else changes. What others ask it answers as ever.
 * C2 A place is had until the partition is led, for CAMPAIGN_TIME at most, whatever has come of it
 *    by then. Who has to ask again stands at the end of the line: everybody gets his turn.
 * C3 How many places there are goes by how long the node's turns take, which is what group 0's
 *    heartbeats wait for: a long one halves them, short ones add some while there is a line.
 * C4 Who has got a leader meanwhile, leads, or goes leaves the line.
 *
 * Group 0 is not in here. */
#ifndef NODE_CAMPAIGNS_H
#define NODE_CAMPAIGNS_H

#include "base/types.h"

struct partition;

enum campaign { CAMPAIGN_NONE = 0, CAMPAIGN_WAITS, CAMPAIGN_HAS };

struct campaign_list {
    struct partition *first, *last;
    uint32_t count;
};

struct campaigns {
    uint32_t places;
    struct campaign_list open; /* who has a place, in the order of their ends */
    struct campaign_list line; /* who waits for one, in the order of their coming */
};

void campaigns_init(struct campaigns *c);

/* Before a turn of the partition: its protocol's time may have come. */
void campaigns_gate(struct partition *partition, qr_time now);
/* After it: what has become of it. */
void campaigns_look(struct partition *partition);
/* It is to go. */
void campaigns_forget(struct partition *partition);
/* Whether others are to go first, so that it would be of no use to call. */
bool campaigns_hold_back(const struct partition *partition);

/* Once a turn of the node: places end, and the next ones take them. */
void campaigns_turn(struct campaigns *c, qr_time now);
/* When the next turn is wanted for that at the latest; 0: at once. */
qr_time campaigns_deadline(const struct campaigns *c);
/* A turn of the node took so long (C3). */
void campaigns_paced(struct campaigns *c, qr_time took);

#endif
