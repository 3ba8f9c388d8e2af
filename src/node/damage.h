/* What a node does about damage that it finds when it starts (decision 024, docs/repair.md).
 *
 * Where entries are lost and nothing else, or the checkpoint and nothing else, the replica waits
 * until they are repaired (repair.h). Where more is lost - a part of the log, all of it - the node
 * has forgotten what it promised: it goes on as a forgetful member, if there are others that can
 * bring it up. That is made durable, as a file `forgetful` in the directory, before anything
 * damaged is changed; the file goes when the protocol says that the node has recovered. A node that
 * alone decides refuses to start. */
#ifndef NODE_DAMAGE_H
#define NODE_DAMAGE_H

#include "log/log.h"
#include "node/replica.h"

#define FORGETFUL_FILE "forgetful"

/* Opens log and checkpoint, as `log` says, into node->log and the engine; *base is what the replica
 * begins with. False with a sentence when the node must not start. */
bool damage_open(struct node *node, const struct log_config *log, struct replica_base *base,
                 char *message, size_t cap);

/* Whether the own checkpoint, which the replica begins with, covers entries that are lost: then the
 * log is cut so. */
struct repair;
bool damage_cover(struct partition *partition, const struct repair *r,
                  const struct replica_base *base);
/* Entries that the checkpoint covers need no repair. */
void damage_trim(struct partition *partition, const struct replica_base *base);

/* This replica has forgotten promises, for that reason: makes it durable. 0 or a negative errno. */
int damage_mark(struct node *node, const char *why);

/* Now and then: once the replica has recovered, the mark and what was kept for evidence go. */
void damage_turn(struct node *node);

#endif
