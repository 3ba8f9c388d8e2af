/* Entries that are taken back (EFFECT_ROLLBACK; decision 056; docs/discards.md).
 *
 *   its effect          the replica stops: to its protocol it is a crash in which all that was
 *                       persisted before survives, and nothing else
 *   all that is durable the entries are named in the keyspace's discard journal
 *   those are durable   the log is cut
 *   that is durable     the replica is opened again, from what is left (holding.c)
 *
 * K1 Nothing is cut before it has its name on disk, and nothing is named before it is sure that it
 *    is in the log. A crash in between begins again from the beginning: the journal knows what it
 *    has (discards.h: J3), and the next primary asks for the rest once more.
 * K2 While the journal takes nothing, nothing is cut: the replica takes no part meanwhile.
 * K3 A checkpoint that is being written is given up first. One that was finished beyond the slot
 *    meanwhile is of no use: then the state begins anew, and so does the log, as when the protocol
 *    says so. The replica has forgotten then; that is durable before anything goes.
 * K4 Of an entry that the log holds no more nobody knows anything but that it was there: it is
 *    counted.
 * K5 A replica that leaves this node for good (follow.h F7) may have what nobody else has, though
 *    it was acknowledged (LOCAL): what its protocol is not sure of is named first, in the same way,
 *    and then all of it goes.
 * K6 What was answered: of the entries that this node proposed in this life it knows, and says so.
 *    Of any other one the client may have been told that it is done.
 * K7 What a replica that begins anew has acknowledged and all members were known to have is not
 *    lost, but not here any more: it is counted as given up, until it is here again (regain.h).
 *    What it names, and its primary may have, says so (BEGAN_ANEW). */
#ifndef NODE_ROLLBACK_H
#define NODE_ROLLBACK_H

#include "protocol/protocol.h"

struct partition;
struct replica;

/* EFFECT_ROLLBACK. The replica does nothing any more. */
void rollback_begin(struct replica *r, const struct effect *e);
/* K5: whether all is named that has to be before the replica is deleted; else that has begun, and
 * the replica does nothing any more. */
bool rollback_named_all(struct partition *partition);
/* While partition->rollback is there: in each turn of the partition. */
void rollback_turn(struct partition *partition, qr_time now);
/* Whether the replica may be closed and opened again; *anew: without its checkpoint. Before it may
 * it stays. */
bool rollback_is_cut(const struct partition *partition, bool *anew);
/* Whether it is to be deleted then (K5), should the map still say so. */
bool rollback_leaves(const struct partition *partition);
/* The replica is closed, or the node ends. */
void rollback_free(struct partition *partition);

#endif
