/* Who has which index, as far as this node knows: node->known.
 *
 * Mostly that is the roster of its log. A node that joins knows what it was told; one that was away
 * hears of changes from the nodes that came meanwhile, before its log does. A directory keeps its
 * index for as long as it takes part and never comes back under another, so that an index and the
 * slot of a committed roster are enough for two nodes to find out which of them is behind.
 *
 * I1 An index is given again, often at once and while the one who had it still runs and sends. So a
 *    connection is one directory's. Before any frame of any connection is looked at, this node
 *    knows whom its log names at each index, as of the frame before; where that is another
 *    directory than the one that is connected, the connection is closed, and what stands in its
 *    buffer, or waits for its turn there, is never looked at. Nothing lies between there and the
 *    protocol: a frame is stepped when it is looked at. So what the protocol is told of an index,
 *    that directory has said.
 * I2 Where this node's log still names the one before, and the one behind has come (an alien), what
 *    it says is used only as long as this node counts no answers: a leader may be followed, also by
 *    one that asks whether it could win an election, or it would ask for ever.
 * I3 What is kept by index about a node is forgotten when the index passes on. */
#ifndef NODE_MEMBERS_H
#define NODE_MEMBERS_H

#include "node/handshake.h"
#include "node/node.h"

/* The log states another roster, or nothing has been looked at yet. */
void members_follow(struct node *node);

/* The same, if the log states another roster than was followed last (I1). */
void members_look(struct node *node);

/* What this node says of itself to others. */
struct claim members_claim(const struct node *node);

enum members_verdict {
    MEMBERS_WELCOME,
    MEMBERS_NOT_ONE,         /* its id is none of a member's */
    MEMBERS_REMOVED,         /* it was one, and is no more */
    MEMBERS_OTHER_DIRECTORY, /* its id is a member's, its directory another one */
    MEMBERS_NOT_SAVED,       /* its directory is new here and could not be noted down */
};

/* Who that is that has proven the cluster secret, and under which index it takes part. What is new
 * about it is remembered. */
enum members_verdict members_meet(struct node *node, const struct greeting *g,
                                  const struct claim *claim, node_index *index);

/* Whether a peer that this node's log names no more was removed by what is committed here. Else the
 * log is behind the peer: the entry that named it was never committed, and is gone. */
bool members_has_gone(const struct node *node, const struct claim *claim);

/* Whether a message from that index may be used now (I2): the votes and acknowledgements of one
 * whom the log does not know yet must not count as another's; what a leader has to say may be
 * followed. */
bool members_may_speak(const struct node *node, node_index from);

/* Both connections to it are gone. */
void members_lost(struct node *node, node_index index);

/* This node takes part no more. */
void members_removed(struct node *node, const char *why);

#endif
