/* Snapshots between nodes: what their frames hold, and who gets them (decision 022).
 *
 *   source                                     follower
 *     | OFFER: file, slot, its term, bytes ------->|   again and again while it needs one
 *     |<- READ: file, offset, n -------------------|   as far as it has room
 *     | DATA: file, offset, busy?, bytes --------->|   pieces, in order
 *     | GONE: file ------------------------------->|   it is here no more, or wrong
 *     |<- GONE: file ------------------------------|   that file was refused
 *
 * and where the leader has another one give it (snapshot_givers.c): GIVE, from the leader to the
 * source, and PROGRESS, from the follower to the leader, again and again.
 *
 * A file is named by its salt. It is a checkpoint as it lies on the source's disk, so that a
 * follower may go on at any offset, after a lost connection, its own restart or the source's. */
#ifndef NODE_SNAPSHOT_H
#define NODE_SNAPSHOT_H

#include "base/types.h"
#include "base/wire.h"
#include "node/frame.h"

struct partition;

struct snapshot_offer {
    uint64_t file;
    qr_slot slot; /* the state up to here */
    qr_term slot_term;
    uint64_t bytes;
};

struct snapshot_piece {
    uint64_t file;
    uint64_t offset;
    uint32_t n;
    bool busy; /* DATA: the source has clients to serve, so the follower leaves it time */
};

/* GIVE: to that member the checkpoint, if it is up to a slot from `least` to `most`. */
struct snapshot_order {
    uint32_t member; /* the node's id */
    qr_slot least, most;
};

struct snapshot_progress {
    uint32_t giver; /* the node's id */
    qr_slot slot;
    uint64_t done, total; /* bytes */
};

#define SNAPSHOT_HEAD_BYTES_MAX 40u

/* Each returns the length of what it writes. */
size_t snapshot_offer_write(const struct snapshot_offer *offer, uint8_t *p);
size_t snapshot_piece_write(const struct snapshot_piece *piece, uint8_t *p); /* READ and DATA */
size_t snapshot_gone_write(uint64_t file, uint8_t *p);
size_t snapshot_order_write(const struct snapshot_order *order, uint8_t *p);
size_t snapshot_progress_write(const struct snapshot_progress *progress, uint8_t *p);

/* A connection to a peer opened or closed. */
void snapshot_peer(struct partition *partition, node_index peer, bool up);

/* A frame of one of these kinds came. False: it makes no sense, the connection is closed. */
bool snapshot_receive(struct partition *partition, node_index from, const struct frame *frame);

#endif
