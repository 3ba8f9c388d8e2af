/* Checkpoints on their way between this node and others, for all groups (decision 029).
 *
 * A group has a source or a fetch only while it needs one: thousands of idle ones have none. How
 * many files are given and taken at a time is bounded per node, and so is the rate; whoever finds
 * no room now says so again, as the protocol does anyway, and is served in turn. Group 0 always has
 * both, and is never turned away. */
#ifndef NODE_TRANSFERS_H
#define NODE_TRANSFERS_H

#include "base/limits.h"
#include "base/types.h"
#include "node/snapshot_figures.h"

struct fetch;
struct node;
struct partition;
struct source;

/* A group that asks by itself for the state of another node: it repairs itself, or is in
 * quarantine. */
struct asking {
    uint32_t group; /* 0: nobody */
    qr_time until;  /* then it is another one's turn, unless a file is coming */
};

struct transfers {
    uint32_t left[FETCHES_MAX]; /* groups of which the life before has received a part of a file,
                                   and that are not open yet; 0: none */
    struct asking asking[FETCHES_MAX];
    qr_time refused;      /* when a group was told last that it has to wait */
    struct partition **v; /* those that have either */
    uint32_t count, cap;
    uint32_t first;     /* whose turn it is to be served first */
    qr_time spent_from; /* the rate at which files are given has been used up from then on, */
    size_t spent;       /* by so many bytes */
    /* When something was wrong with the files of each node, and behind them with this node's own;
     * 0: nothing is. */
    qr_time trouble[MEMBERS_MAX + 1];
    bool troubled; /* one of these is not 0 */
    /* Of fetches and sources that are gone. */
    struct fetch_counts took;
    struct source_figures gave;
};

/* Of group 0, at the start. */
void transfers_open(struct partition *partition);
/* At the start: an earlier life has received a part of the group's file. True: it stays, and is
 * gone on with when the group is open, or goes when nobody needs it. */
bool transfers_keep(struct node *node, uint32_t group);
/* Another group than 0 is open. */
void transfers_resume(struct partition *partition);
/* Ends what the group has under way: it leaves this node, or the node ends. */
void transfers_close(struct partition *partition);
void transfers_free(struct node *node);

/* What the group has; made when there is room for it, else NULL. */
struct source *transfers_source(struct partition *partition);
struct fetch *transfers_fetch(struct partition *partition);

/* Whether the group may ask other nodes for a state now: of thousands that are harmed at once only
 * so many do as can be served. Group 0 always may. */
bool transfers_may_ask(struct partition *partition, qr_time now);

/* As source_wanted and source_asked. */
void transfers_wanted(struct partition *partition, node_index to, qr_slot least);
void transfers_asked(struct partition *partition, node_index from, qr_slot least);

/* A connection to a peer opened or closed. */
void transfers_peer(struct node *node, node_index peer, bool up);

/* ALARM_SNAPSHOT was raised about that node, NODE_NONE: this one. It is over when nothing has been
 * wrong for a while: whose transfer it was may be gone, with the partition or because its log
 * sufficed. */
void transfers_trouble(struct node *node, node_index about);

/* For INFO: the counts of all groups since the start; the file that comes is group 0's or, if none
 * does, another group's. */
void transfers_took(const struct node *node, struct fetch_figures *out);
void transfers_gave(const struct node *node, struct source_figures *out);

/* Once a turn. */
void transfers_turn(struct node *node, qr_time now);

#endif
