/* Which replicas this node holds: it follows the map of the control state (cluster/follow.h says
 * what is done when, and why that is safe). Every partition of the map has a struct partition here,
 * with a replica or without.
 *
 * All of it goes in slices: thousands of groups are opened, made and deleted without holding up the
 * loop. A partition is looked at when the map has changed, a little later when something is left to
 * do about it, and now and then in any case.
 *
 * Between two looks at the sockets there is one slice, and it is short: on a busy machine a process
 * that has used a millisecond or two waits until all others had as much, and group 0's heartbeats
 * wait with it. */
#ifndef NODE_HOLDING_H
#define NODE_HOLDING_H

#include "cluster/follow.h"

struct node;
struct partition;

struct holding {
    struct follow_fresh fresh;
    uint32_t fresh_below; /* groups from here on were made behind what makes the map fresh: no
                             earlier life of this node knew them */
    bool current;         /* all that was committed in group 0 when this node asked is in its map,
                          once since the start: it knows which keyspaces there are, and what
                          they say */
    uint64_t seen;        /* changes of the map that have been looked at */
    uint64_t sweeping;    /* ... that the sweep under way looks at */
    uint32_t cursor;      /* of the sweep: a group of the map, or an index of ours, from behind */
    uint8_t phase;        /* enum holding_phase */
    bool full;            /* the sweep looks at all, not only where something is left to do */
    qr_time sliced;       /* when the last slice of a sweep began */
    qr_time next;         /* the next sweep; */
    qr_time next_full;    /* ... of all */
    uint32_t restless;    /* partitions where something is left to do, as of the last sweep */
    uint32_t counting;
    uint64_t complete_at; /* position of the log when all were there; 0: they are not */
    uint64_t durable;     /* the log is, up to this position */
};

/* At the start, when group 0's replica is there: what its log holds makes a map fresh (F1). */
void holding_open(struct node *node);
/* The map may know more groups: by the entry that is being applied, or all of it came `whole`. */
void holding_note_groups(struct node *node, bool whole);
/* Once a turn. */
void holding_turn(struct node *node, qr_time now);
/* When the next turn is wanted at the latest; 0: at once. */
qr_time holding_deadline(const struct node *node);

/* The replica may have something to do now: it leads, or its members have changed. */
void holding_disturb(struct partition *partition);

/* Whether every replica that this node is to hold is there, by a fresh map, and what it knows of
 * itself is durable. */
bool holding_is_complete(struct node *node);

#endif
