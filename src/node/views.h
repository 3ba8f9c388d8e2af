/* Partitions whose leader group 0 names (STRATEGY primary, decision 056): what their replicas are
 * told of it. Who is primary, and by which rule, stands in the map (map_succession).
 *
 * W1 In each turn of the partition, and ahead of everything else in it, its replica is told the
 *    view that this node's map has, when that is another one, and then whether the lease counts.
 *    So a write or a read never goes by a lease that this node knew to be over when the turn began,
 *    and no lease is told before the views that it goes with (contact.h: lease_counts).
 * W2 A view names its primary in one life. `whole` says that it is this node's present one: a
 *    primary that has started anew since is no primary of that term.
 * W3 All members are told, not primaries alone: who has forgotten recovers by its lease too.
 * W5 Who may feed whom (FEED of the keyspace) it is told whenever that changed.
 * W4 The log of such a group states no members: its roster is the view's. */
#ifndef NODE_VIEWS_H
#define NODE_VIEWS_H

#include "base/types.h"

struct map_keyspace;
struct node;
struct partition;
struct protocol;
struct replica;

/* What a replica was told last. */
struct viewed {
    uint64_t changes; /* of the map, as of then; 0: nothing was told */
    qr_term term;
    qr_term led; /* it led in that term, the last of this life; 0: in none */
    node_index primary;
    uint64_t zones; /* who may feed whom (W5) */
    bool asks; /* all nodes know what its reads ask a primary (MAP_LEVEL_FOLLOWERS) */
    bool leased;
};

/* W1. */
void views_tell(struct partition *partition);
/* A message is about to be stepped outside of a turn: a lease that is over is told first. */
void views_end_lease(struct replica *r);
/* The map may say something else of the partition: it gets a turn, if it does. */
void views_look(struct partition *partition);
/* The lease counts now: all that have views get a turn. */
void views_wake(struct node *node);

#endif
