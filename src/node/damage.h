/* What a node does about damage that it finds when it starts (decision 024, docs/repair.md).
 *
 * Damage belongs to a partition, and so does what is done about it, for each alike:
 *
 * - Where entries are lost and nothing else, or the checkpoint and nothing else, the replica waits
 *   until they are repaired (repair.h). Nothing is forgotten.
 * - Where more is lost the replica has forgotten what it promised: it goes on as a forgetful
 *   member, if there are others that can bring it up. That is made durable before anything damaged
 *   is changed: as a file `<group>.forgetful` of its own, which goes when the protocol says that it
 *   has recovered.
 * - Where nobody could help it does not take part: it waits, and says for what.
 *
 * All groups share one log. What stood in a part of it that cannot be read, or that is gone, nobody
 * can tell, so with such a part every group may have forgotten. The file `forgetful` says that once
 * for all of them; it goes when each has recovered or has a file of its own. Of groups that were
 * made since nothing can be lost.
 *
 * Of group 0 two things differ. Without it a node knows of no other group, so where it cannot be
 * helped the node does not start. And its own mark is the file `forgetful` too, with a text that
 * begins with MARK_ZERO: versions that know no other group than 0 look for that file. */
#ifndef NODE_DAMAGE_H
#define NODE_DAMAGE_H

#include "log/log.h"
#include "node/replica.h"
#include "node/run.h"

#define FORGETFUL_FILE "forgetful"
#define MARK_ZERO "group 0: "

/* Opens the log, as `log` says, into node->log, and the checkpoint of group 0 into its engine;
 * *base is what its replica begins with. False with a sentence when the node must not start. */
bool damage_open(struct node *node, const struct log_config *log, struct replica_base *base,
                 char *message, size_t cap);
/* The same of another group, whose engine is empty and whose keeper is there; *base is what its
 * replica would begin with if there was no checkpoint. False: the node cannot go on. */
bool damage_open_group(struct partition *partition, struct replica_base *base, char *message,
                       size_t cap);

/* Whether the own checkpoint, which the replica begins with, covers entries that are lost: then the
 * log is cut so. */
struct repair;
bool damage_cover(struct partition *partition, const struct repair *r,
                  const struct replica_base *base);
/* Entries that the checkpoint covers need no repair. */
void damage_trim(struct partition *partition, const struct replica_base *base);

/* --- damage_mark.c: what is remembered of it, and told ---------------------------------------- */

/* All replicas of this node have forgotten promises, for that reason; or that one alone has. Makes
 * it durable. 0 or a negative errno. */
int damage_mark(struct node *node, const char *why);
int damage_forgets(struct partition *partition, const char *why);
/* At the start: what an earlier life has made durable. 0 or a negative errno: nobody knows. */
int damage_look_for_mark(struct node *node);
int damage_look_for_own_mark(struct partition *partition);
/* The log may have held more of that group than it does. */
bool damage_lost_log(const struct node *node, uint32_t group);
/* The partition leaves this node, with its files. */
void damage_forget(struct partition *partition);

/* While partition->lost or ->kept_checkpoint: once the replica has recovered, the mark and what was
 * kept for evidence go. */
void damage_turn(struct partition *partition, qr_time now);

/* "partition 3 of keyspace 'x' (group 7): "; "" of group 0. */
#define PARTITION_PREFIX_BYTES 120u
void damage_prefix(const struct partition *partition, char out[PARTITION_PREFIX_BYTES]);
/* ALARM_DAMAGED: one for all groups. */
void damage_tell(struct partition *partition, const char *what);
void damage_healed(struct partition *partition);
/* EFFECT_LOSS: a member of this group has lost entries that it acknowledged. ALARM_FORGOT. */
void damage_of_another(struct partition *partition, node_index member, qr_slot acknowledged,
                       qr_slot holds);
/* node_log about one partition. Thousands may be harmed at once: no more than so many lines within
 * some seconds. */
void damage_log(struct partition *partition, enum node_log_level level, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#endif
