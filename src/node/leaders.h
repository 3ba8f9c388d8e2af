/* Who leads a partition, as far as this node knows: its own replica says so, or, where it holds
 * none or a late one, the nodes that lead tell each other (FRAME_LEADS): when they begin to lead,
 * everything when they connect, and who else does when they refuse a command.
 *
 * A hint is as good as its term, and one that the node it names has refuted is not believed again
 * for a while. So a wrong one costs a refused command, never an order of commands (router.h T2). */
#ifndef NODE_LEADERS_H
#define NODE_LEADERS_H

#include "base/limits.h"
#include "base/types.h"

struct node;
struct partition;

/* Of one partition: what other nodes have said. */
struct leader_hint {
    qr_term term;  /* 0: nothing */
    qr_term told;  /* the last term for which the others were told that this node leads */
    qr_time doubt; /* who it names, or was guessed, said no: not before then again */
    node_index leader;
    uint8_t guess; /* where the next guess begins */
};

/* What one node says of one group. */
struct leader_word {
    uint32_t group;
    node_index leader;
    qr_term term;
};

/* Of a node. */
struct leaders {
    uint64_t begun;                            /* leaderships of partitions on this node, ever */
    struct leader_word news[LEADERS_NEWS_MAX]; /* groups that this node leads since this turn */
    uint32_t count;
    uint32_t cursor[MEMBERS_MAX]; /* the group that a peer was told of last, */
    uint16_t telling;             /* ... while it is being told of all: a bit for each peer */
    struct leader_word *early;    /* EARLY_LEADERS: of groups that are not known here yet */
};

/* NODE_NONE: not known. */
node_index leaders_of(const struct partition *partition);
/* Where it is not known, and this node has no replica that will: one that may know, or NODE_NONE.
 * */
node_index leaders_guess(const struct partition *partition);

/* That node has refused a command because it does not lead. */
void leaders_refuted(struct partition *partition, node_index who);

/* The partition's replica here may have begun to lead: asked after each of its steps. */
void leaders_look(struct partition *partition, bool leads, qr_term term);
/* What was heard of the partition before it was there. */
void leaders_adopt(struct partition *partition);

/* --- leaders_tell.c */

/* FRAME_LEADS; false when malformed. */
bool leaders_receive(struct node *node, node_index from, struct span head);
/* Tells one peer who leads the partition, if that is known. */
void leaders_tell(struct node *node, node_index to, const struct partition *partition);
/* A peer is connected: it is to be told of everything that this node leads. */
void leaders_connected(struct node *node, node_index peer);
/* At the end of each turn. */
void leaders_turn(struct node *node);
void leaders_free(struct node *node);

#endif
