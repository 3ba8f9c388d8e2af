/* Acknowledgements before the disk (ACK ... ON received, decision 056): after a crash this node may
 * lack what it acknowledged, so its next life must not pass for a member that has it.
 *
 * E1 Before a replica is told a view of that stage, a note of it is durable: a file of its own.
 *    Nobody acknowledges early who does not know the view.
 * E2 A life that finds the note begins forgetful. Within a life nothing is forgotten.
 * E3 The note goes when a view of another stage was told, and all that was in the log then is
 *    durable: so is what was acknowledged before, and the state record that says what of this life
 *    has been forgotten.
 * E4 It goes at an orderly end too, when the log is idle and nothing is taken any more. */
#ifndef NODE_EARLY_H
#define NODE_EARLY_H

#include "base/types.h"

struct node;
struct partition;

/* E2: whether the replica that is opened begins forgetful. */
bool early_open(struct partition *partition);
/* E1: before a view of the stage RECEIVED. False: the disk is full, it is not to be told yet. */
bool early_begins(struct partition *partition);
/* E3: a view of another stage was told; and in each turn. */
void early_ends(struct partition *partition);
void early_turn(struct partition *partition);
/* E4. */
void early_stop(struct node *node);

#endif
