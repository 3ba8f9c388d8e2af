/* Acknowledgements before the disk (ACK ... ON received, decisions 056 and 057): after a crash this
 * node may lack what it acknowledged, so its next life must not pass for a member that has it.
 *
 * Two kinds: what was received is acknowledged from memory (RECEIVED), and any restart may lose it.
 * With APPENDFSYNC everysec it is acknowledged when it is written (WRITTEN): a restart of the
 * process finds it, and only one of the machine may not.
 *
 * E1 Before a replica is told a view of such a stage, a note of it is durable: a file of its own.
 *    It holds the name of the machine's present run (io_boot) where what was written is enough,
 *    and nothing where it is not. Nobody acknowledges early who does not know the view.
 * E2 A life that finds the note begins forgetful, unless it names the run of the machine that goes
 *    on still. Within a life nothing is forgotten.
 * E3 The note goes, or gives way to one that claims less, when a view of another stage was told and
 *    all that was in the log then is durable: so is what was acknowledged before, and the state
 *    record that says what of this life has been forgotten.
 * E4 It goes at an orderly end too, when the log is idle and nothing is taken any more.
 * E5 Where the log cannot be written or synced the note names no run any more: the file system may
 *    have dropped what was written to it, whatever the machine does. */
#ifndef NODE_EARLY_H
#define NODE_EARLY_H

#include "base/types.h"
#include "protocol/protocol.h"

struct node;
struct partition;

/* What a note claims, each more than the one before it. */
enum early { EARLY_NOT = 0, EARLY_WRITTEN, EARLY_RECEIVED };

enum early early_of(enum ack_stage stage);

/* E2: whether the replica that is opened begins forgetful. */
bool early_open(struct partition *partition);
/* E1: before a view of that kind. False: the disk is full, it is not to be told yet. */
bool early_begins(struct partition *partition, enum early kind);
/* E3: a view of that kind was told; and in each turn. */
void early_ends(struct partition *partition, enum early kind);
void early_turn(struct partition *partition);
/* E4. */
void early_stop(struct node *node);
/* E5. */
void early_failed(struct node *node);

#endif
