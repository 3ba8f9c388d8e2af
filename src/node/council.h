/* The council: while this node leads group 0 it decides who leads each primary partition, and how
 * its members and its rule change (decision 056). What is next says cluster/succession.h, from what
 * the nodes tell (standing.h) and what this leader knows of their leases.
 *
 * CN1 What it writes is one change of the control state like any other (control.h): composed on the
 *     records as they are, and made only if nothing was written since. A leader that is deposed
 *     commits nothing, so what it believes of leases does no harm.
 * CN2 What was told counts for one leadership of group 0 and one connection: it comes anew with
 *     each (T3 of standing.h).
 * CN3 Many partitions change in one record batch; those that wait for it are looked at again. */
#ifndef NODE_COUNCIL_H
#define NODE_COUNCIL_H

#include "node/standing_frames.h"

struct node;
struct council;

/* Since this node's start. */
struct council_figures {
    uint64_t written;   /* records */
    uint64_t failovers; /* primaries chosen in place of another one */
    uint64_t losses;    /* of these: with which acknowledged writes may have been lost */
    uint64_t orders;    /* to hand over */
};

struct council *council_new(void);
void council_free(struct council *council);

/* A node, or this one, has told where its replicas stand. */
void council_take(struct node *node, node_index from, const struct standings *told);
/* FRAME_STANDING; false when malformed. */
bool council_receive(struct node *node, node_index from, struct span head);
/* A node has asked for its lease in that life. */
void council_life(struct node *node, node_index from, uint64_t life);
/* The connection to that node is lost. */
void council_lost(struct node *node, node_index from);

struct council_figures council_figures(const struct node *node);

/* While this node leads group 0, before orders are judged. */
void council_turn(struct node *node, qr_time now);

#endif
