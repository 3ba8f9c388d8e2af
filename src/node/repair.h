/* Holes in the log are filled from the other members before the replica starts (protocol/repair.h
 * decides; docs/repair.md). The node listens meanwhile: clients get -LOADING, and what other
 * members ask is answered, so that nodes which are all damaged, each elsewhere, heal each other.
 *
 *   repairing node                               any member, started or not
 *     | ASK: hole --------------------------------->|   now and then, until it has said all it can
 *     |<- REPLY: hole, answer, records -------------|   the entries of it that it has */
#ifndef NODE_REPAIR_H
#define NODE_REPAIR_H

#include "node/frame.h"
#include "node/replica.h"
#include "protocol/repair.h"

struct node;
struct repairer;

#define REPAIR_HEAD_BYTES_MAX 40u

size_t repair_ask_write(const struct repair_hole *hole, uint8_t *p);
bool repair_ask_read(struct span in, struct repair_hole *out);
size_t repair_reply_write(const struct repair_hole *hole, enum repair_answer answer, uint8_t *p);
bool repair_reply_read(struct span in, struct repair_hole *hole, enum repair_answer *answer);

/* Starts node->replica, now or when its log is whole. False with a message when it cannot. */
bool repairer_begin(struct node *node, const struct replica_base *base, char *message, size_t cap);
void repairer_free(struct repairer *repairer);

void repairer_turn(struct node *node, qr_time now);
void repairer_peer(struct node *node, node_index peer, bool up);
/* A frame of one of the two kinds came. False: it makes no sense, the connection is closed. */
bool repairer_receive(struct node *node, node_index from, const struct frame *frame);

#endif
