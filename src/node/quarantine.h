/* Comparing states, and a node whose state is wrong (decision 025; U27, T14).
 *
 * Nodes note the digest of their state at the same slots: where log time comes to another second,
 * and where all is quiet. They tell each other, and whoever is outvoted (digests.h) goes into
 * quarantine:
 *
 *   Q1 It executes nothing more and answers nothing from its state: reads and what was proposed
 *      wait for another leader, or for the state that is to come.
 *   Q2 It does not lead and does not campaign (ADMIN_STAND_BACK), but goes on voting and
 *      persisting.
 *   Q3 Its state is written to the directory `quarantine` for people to look at: of one group at a
 *      time, and of so many only; what they have in common is seen from these.
 *   Q4 Then it asks the other members, one after the other, for a checkpoint (FRAME_REPAIR_FETCH):
 *      that takes the place of its state and of its checkpoint, and its own log, which was never in
 *      doubt, brings it up to date from there.
 *   Q5 A file remembers it over restarts until Q4 is done. Where a start cannot see whether that is
 *      there it is taken to be, and looked for again.
 *
 * Where nobody is outvoted there is an alarm and nothing else. */
#ifndef NODE_QUARANTINE_H
#define NODE_QUARANTINE_H

#include "base/wire.h"
#include "node/digests.h"

struct partition;
struct checkpoint;

struct quarantine {
    struct digests digests;
    qr_slot noted, quiet; /* the last slot noted; applied at the last look */

    qr_time ask_at;        /* another member, for its state */
    node_index asked_last; /* who was asked */

    qr_time disputed_since; /* 0: not */
    qr_slot disputed_at;
    node_index disputed_with;

    qr_slot begun_at; /* the state as it was found */
    struct checkpoint *saving;
    bool saved;
    bool marked;           /* Q5 */
    bool unseen;           /* ... or there is no mark: the look failed */
    bool alarmed;          /* ALARM_CORRUPT is up because of it, too */
    uint64_t begun, ended; /* for INFO */
};

/* At the start, before the replica: does the directory say that its state is wrong? */
void quarantine_open(struct partition *partition);
/* The replica has begun, with such a state. */
void quarantine_start(struct partition *partition);
void quarantine_free(struct partition *partition);

/* Everything up to `slot` is applied, nothing behind it. */
void quarantine_note_state(struct partition *partition, qr_slot slot);
/* Its digest was that when it was at that slot, up to which all is committed by now. */
void quarantine_note_digest(struct partition *partition, qr_slot slot, uint64_t digest);
/* Slots may come again with other entries: what was told of them says nothing. */
void quarantine_forget(struct partition *partition);
/* An entry does not fit the state: it is not the one that its primary has. */
void quarantine_differs(struct partition *partition, qr_slot slot);
/* Frame DIGEST. False when malformed. */
bool quarantine_receive(struct partition *partition, node_index from, struct span head);
void quarantine_peer(struct partition *partition, node_index peer);

/* Once in each turn in which anything happened to the group, or is to be looked at; returns when it
 * wants to be called next. */
qr_time quarantine_turn(struct partition *partition, qr_time now);

/* Another state may take the place of this one: it is saved, or cannot be. */
bool quarantine_may_end(const struct partition *partition);
/* It has. */
void quarantine_end(struct partition *partition);

#endif
