/* This node's contact with the others: it beats to them, notices who is silent, and holds its
 * lease with group 0. The logic is in cluster/beats.h and cluster/leases.h; here are its frames
 * and turns.
 *
 * Group 0 has timers of its own and hears of connections only. The other partitions rest, and hear
 * from here who is up and who is away.
 *
 * Routes by prefixes (route.h: K6): the answer to a renewal says at which version of the control
 * state a prefix was changed last. It covers this node's routes if the map has that version.
 * P1 Group 0's leader answers so only when it has applied an entry of its own term, and with it
 *    all that was ever answered.
 * P2 A change of a prefix is answered when every node has it, or the coverage is gone of what was
 *    granted before: ROUTES_TIME after it was applied at the latest (control.c). */
#ifndef NODE_CONTACT_H
#define NODE_CONTACT_H

#include "cluster/beats.h"
#include "cluster/leases.h"

struct node;

struct contact {
    struct beats beats;
    struct leases leases;
    uint16_t told; /* who is up, as the partitions know */
    qr_time next;
    qr_time routes_until; /* routes by prefixes are covered; 0: they are not */
    uint64_t renewed;     /* leases granted as group 0's leader */
};

void contact_init(struct node *node);

/* Connections open and close. */
void contact_connected(struct node *node, node_index peer);
void contact_lost(struct node *node, node_index peer);

/* FRAME_BEAT, FRAME_RENEW, FRAME_RENEWED. False when malformed. */
bool contact_receive(struct node *node, node_index from, uint8_t kind, struct span head);

/* In every turn; returns when it wants to be called next. */
qr_time contact_turn(struct node *node, qr_time now);

/* The nodes that are up, this one among them. */
uint16_t contact_alive(const struct node *node);

/* Whether this node holds its lease with group 0. */
bool lease_held(const struct node *node);
/* Whether what this node was told before the last change of a prefix may still cover the routes of
 * that node, by the count of group 0's leader. */
bool contact_may_cover(const struct node *node, node_index index);
/* The map is older than it was. */
void contact_uncover(struct node *node);
/* For how long the lease of that node has been gone, by the count of group 0's leader; 0: it may
 * hold it, or this node does not lead group 0. To be acted on only by what group 0 commits (L5). */
qr_time lease_gone_for(const struct node *node, node_index index);

#endif
