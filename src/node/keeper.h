/* Keeps the log short: takes checkpoints and lets the log be trimmed behind them (rows L5, L8).
 *
 * A checkpoint begins when the log has grown by checkpoint-bytes since the last one; it never holds
 * anything that is not durable in this node's log. Only when its file is in place does the protocol
 * hear of it, and only the protocol decides what may be trimmed. */
#ifndef NODE_KEEPER_H
#define NODE_KEEPER_H

#include "base/types.h"

struct partition;
struct keeper;
struct replica_base;
struct checkpoint_header;

struct keeper *keeper_new(struct partition *partition);
void keeper_free(struct keeper *keeper);

/* Loads the checkpoint into the empty engine; *base stays as it is when there is none. False with a
 * message when there is one that cannot be trusted. */
bool keeper_load(struct keeper *keeper, struct replica_base *base, char *message, size_t cap);

/* Whether keeper_load failed because the file is damaged; the engine may hold a part of it. */
bool keeper_found_damage(const struct keeper *keeper);
/* The one that was loaded is not used: it is as if there had been none. */
void keeper_forget(struct keeper *keeper);

/* Once per turn, of group 0: begins, goes on with, or ends a checkpoint.
 * The others': keepers.h. */
void keeper_turn(struct keeper *keeper, qr_time now);
/* Ends a checkpoint that is being written: another node's is about to take its place, or the
 * replica goes. False: not yet, its file may just be taking its place. None begins for a while. */
bool keeper_is_quiet(struct keeper *keeper);
/* Another node's checkpoint has taken the place of this node's. */
void keeper_installed(struct keeper *keeper, const struct checkpoint_header *header);
bool keeper_busy(const struct keeper *keeper);           /* wants another turn at once */
size_t keeper_queued_bytes(const struct keeper *keeper); /* that wait for the disk */
qr_slot keeper_slot(const struct keeper *keeper);        /* of the last checkpoint */

#endif
