/* Raising alarms: what an operator has to look at, listed by ALARM LIST on any node.
 *
 * An alarm is raised once per cause; raising it again while it goes on does nothing, so a watcher
 * may call alarm_raise as often as it looks, and alarm_clear when all is well. An alarm stays in
 * the list, over or not, until ALARM ACK; it is in the list again when its cause comes anew. */
#ifndef NODE_ALARM_H
#define NODE_ALARM_H

#include "node/alarms.h"

struct node;

/* About this node. */
void alarm_raise(struct node *node, enum alarm_kind kind, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
void alarm_clear(struct node *node, enum alarm_kind kind);

/* About the node with that id. */
void alarm_raise_about(struct node *node, enum alarm_kind kind, uint32_t about, const char *format,
                       ...) __attribute__((format(printf, 4, 5)));
void alarm_clear_about(struct node *node, enum alarm_kind kind, uint32_t about);
/* All of that kind about other nodes: this node is in no position to say so any more. */
void alarm_clear_all(struct node *node, enum alarm_kind kind);

/* ALARM ACK: false when there is none of that number in the list. */
bool alarm_ack(struct node *node, uint32_t reporter, uint32_t number);
uint32_t alarm_ack_all(struct node *node);

/* Frame 18. False when malformed. */
bool alarm_receive(struct node *node, struct span head);
/* A connection to a peer is up: it gets to know all of them. */
void alarm_tell_all(struct node *node, node_index peer);

#endif
