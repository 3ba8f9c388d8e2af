/* What was discarded and is in a log again (discards.h J4): an entry that came back from a member
 * that had it, or one that a crash between the journal and the cut left where it was. The journal
 * shall not show it as discarded.
 *
 *   G1 It is said when the log holds the entry durably, never before: what the next start does not
 *      find must have its name still.
 *   G2 A slot and a term name one entry, and one primary has made all entries of a term, in order.
 *      So a log that begins behind (slot, term) stands for all entries of that term up to there,
 *      and of others for nothing that it does not hold itself.
 *   G3 Where nothing is held against a group it costs nothing: what the journal names of the group
 *      is asked once, when the replica starts, and again when something was regained. Whatever adds
 *      to it (rollback.h) ends in another start.
 *   G5 What was given up (rollback.h, K7) is here again when the replica's protocol says so.
 *   G4 A rollback waits for it (discards_busy), and then names anew what goes after all. */
#ifndef NODE_REGAIN_H
#define NODE_REGAIN_H

#include "base/types.h"

struct partition;
struct replica;

/* Its replica has started: the log has what was left of it. */
void regain_start(struct replica *r);
/* Entries from `lo` on were added to the log, or it stands for them now. */
void regain_logged(struct replica *r, qr_slot lo);
/* In each turn of the partition. */
void regain_turn(struct partition *partition, qr_time now);
/* The replica goes, or the node ends. */
void regain_free(struct partition *partition);

#endif
