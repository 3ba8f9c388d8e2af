/* Holes in the log are filled from the other members before the replica starts (protocol/repair.h
 * decides; docs/repair.md). The node listens meanwhile: clients get -LOADING, and what other
 * members ask is answered, so that nodes which are all damaged, each elsewhere, heal each other.
 *
 *   repairing node                               any member, started or not
 *     | ASK: hole --------------------------------->|   now and then, until it has said all it can
 *     |<- REPLY: hole, answer, records -------------|   the entries of it that it has
 *     | FETCH: least ------------------------------>|   what is only in a checkpoint
 *     |<- OFFER ------------------------------------|   and on as in snapshot.h
 *
 * The file is pulled as by a replica that runs (snapshot_fetch.h); whether it fits the log is
 * decided when it is offered, and again when it is whole and durable. */
#ifndef NODE_REPAIR_H
#define NODE_REPAIR_H

#include "node/frame.h"
#include "node/replica.h"
#include "protocol/repair.h"

struct partition;
struct repairer;
struct checkpoint_header;

#define REPAIR_HEAD_BYTES_MAX 40u

size_t repair_ask_write(const struct repair_hole *hole, uint8_t *p);
bool repair_ask_read(struct span in, struct repair_hole *out);
size_t repair_reply_write(const struct repair_hole *hole, enum repair_answer answer, uint8_t *p);
bool repair_reply_read(struct span in, struct repair_hole *hole, enum repair_answer *answer);
size_t repair_fetch_write(qr_slot least, uint8_t *p);
bool repair_fetch_read(struct span in, qr_slot *least);

/* Starts the replica, now or when log and state are whole. False with a message when it cannot.
 */
bool repairer_begin(struct partition *partition, const struct replica_base *base, char *message,
                    size_t cap);
void repairer_free(struct repairer *repairer);

void repairer_turn(struct partition *partition, qr_time now);
void repairer_peer(struct partition *partition, node_index peer, bool up);
/* A frame of one of the three kinds came. False: it makes no sense, the connection is closed. */
bool repairer_receive(struct partition *partition, node_index from, const struct frame *frame);

/* FETCH: the member is asked for a checkpoint, of slot `least` at least. */
void repair_ask_for_state(struct partition *partition, node_index to, qr_slot least);

/* Whether the state up to where the log begins is lost. */
bool repairer_lost_state(const struct repairer *repairer);
/* While it repairs: a member offers a checkpoint; whether to get it. */
bool repairer_offered(struct partition *partition, node_index from, qr_slot slot, qr_term term);
/* Whether the one that is coming is still of use. */
bool repairer_needs(struct partition *partition, qr_slot slot, qr_term term);
/* It is here, whole and durable: it takes its place, if it fits. */
void repairer_whole(struct partition *partition, const struct checkpoint_header *header,
                    const struct roster *roster);

/* --- repair_answer.c: the own log, and what is answered from it ------------------------------- */

#define REPAIR_VIEW_HOLES 32u

/* The log as far as [lo, hi] is concerned; for as long as nothing is done to it. */
struct repair_view {
    struct repair_log log;
    struct repair_hole holes[REPAIR_VIEW_HOLES];
};
void repair_view(struct partition *partition, qr_slot lo, qr_slot hi, struct repair_view *out);
/* The lowest holes, at most REPAIR_QUESTIONS_MAX. */
uint32_t repair_own_holes(struct partition *partition, struct repair_hole *out);
/* How a checkpoint would fit the log (H3), by what `r` has learnt of it. */
enum repair_fit repair_own_fit(struct partition *partition, const struct repair *r, qr_slot slot,
                               qr_term term);
void repair_on_ask(struct partition *partition, node_index from, const struct repair_hole *asked);

#endif
