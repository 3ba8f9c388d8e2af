/* This node's contact with the others: it beats to them, notices who is silent, and holds its
 * lease with group 0. The logic is in cluster/beats.h and cluster/leases.h; here are its frames
 * and turns.
 *
 * Group 0 has timers of its own and hears of connections only. The other partitions rest, and hear
 * from here who is up and who is away.
 *
 * Rules (cluster/coverage.h): the answer to a renewal says at which version of the control state a
 * rule was changed last, and covers this node if its map has that version. Before a change of a
 * prefix its keys are frozen: control.c begins that, and makes the change when no node may go by
 * them. Of other rules the change is made, and answered when none goes by what was before. */
#ifndef NODE_CONTACT_H
#define NODE_CONTACT_H

#include "cluster/beats.h"
#include "cluster/coverage.h"
#include "cluster/leases.h"
#include "cluster/suspicions.h"

struct node;

struct contact {
    struct beats beats;
    struct suspicions suspicions;
    struct leases leases;
    uint16_t told; /* who is up, as the partitions know */
    qr_time next;
    struct coverage coverage;
    uint64_t settling;    /* frozen: commands up to that sequence are to be answered first ... */
    qr_time settle_until; /* ... or given up */
    bool guards;          /* group 0's leader has proposed the change: frozen keys are refused */
    uint64_t renewed;     /* leases granted as group 0's leader */
    qr_time tenure;       /* the `since` of the lease that a fresh map goes with; 0: none */
};

void contact_init(struct node *node);

/* Connections open and close. */
void contact_connected(struct node *node, node_index peer);
void contact_lost(struct node *node, node_index peer);

/* FRAME_BEAT, FRAME_RENEW, FRAME_RENEWED, FRAME_FREEZE. False when malformed. */
bool contact_receive(struct node *node, node_index from, uint8_t kind, struct span head);

/* In every turn; returns when it wants to be called next. */
qr_time contact_turn(struct node *node, qr_time now);

/* The nodes that are up, this one among them. */
uint16_t contact_alive(const struct node *node);

/* Whether this node holds its lease with group 0. */
bool lease_held(const struct node *node);
/* Whether it does, and its map holds all that group 0 had written down when the lease began: what
 * primaries lead by (EVENT_LEASE). Looked after only while a partition here has views. */
bool lease_counts(const struct node *node);
/* Asks for it at once: rules have changed. */
void contact_renew(struct node *node);
/* As leader of group 0: whether that node may go by rules that it was covered for, by an answer
 * before now and with it before what this leader has applied. */
bool contact_may_know_rules(const struct node *node, node_index index);
/* The map is older than it was. */
void contact_uncover(struct node *node);

/* --- freeze.c: group 0's leader changes prefixes. Begins to freeze them; false: not yet, for a
 * node is away that may go by them. It is called again. */
bool contact_freeze(struct node *node, const struct freeze *f);
/* No node goes by them any more: the change may be proposed, and from now on nothing of theirs. */
bool contact_guard(struct node *node);
/* The change is made, or will not be. */
void contact_thaw(struct node *node);
/* Looks whether what this node sent on by prefixes that are frozen has its answer. Returns when it
 * is to look again. */
qr_time contact_settle(struct node *node, qr_time now);
bool contact_take_freeze(struct node *node, struct span head);
/* For how long the lease of that node has been gone, by the count of group 0's leader; 0: it may
 * hold it, or this node does not lead group 0. To be acted on only by what group 0 commits (L5). */
qr_time lease_gone_for(const struct node *node, node_index index);

#endif
