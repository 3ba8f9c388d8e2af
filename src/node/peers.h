/* Connections to the other members: two per pair of nodes, so that bulk never delays a heartbeat;
 * while there is no bulk, those of partitions share one (lane_for).
 *
 * The member with the higher index dials, and when that has not come about for a second the other
 * does too; both use the connection in both directions. Before anything else each side proves that
 * it belongs to the cluster: cluster id, node ids, directory UUIDs, wire version, and an HMAC over
 * the cluster secret and both nonces (handshake.c). A peer whose directory has another UUID than
 * the one remembered for its id is refused: its log may have forgotten what it acknowledged. Who
 * the members are changes while the node runs (members.h). */
#ifndef NODE_PEERS_H
#define NODE_PEERS_H

#include "base/status.h"
#include "node/frame.h"
#include "base/types.h"
#include "log/log.h"
#include "resp/reply.h"

struct forward;
struct shown;
struct claim;
struct node;
struct peers;

enum lane { LANE_CONTROL = 0, LANE_DATA = 1, LANES = 2 };

/* Listens on the peer port and starts to dial. NULL with a message when the port is taken. */
struct peers *peers_new(struct node *node, char *message, size_t cap);
void peers_free(struct peers *peers);

/* Once a turn, first of all: frames that the turns before had no time for (link_read.c). */
void peers_turn(struct peers *peers);
/* Whether there still are some: other nodes have said more than this one knows. */
bool peers_hold(const struct peers *peers);

enum haste {
    SEND_SOON,    /* nobody waits for it: with what follows, SOON_USEC after the last at most */
    SEND_NOW,     /* with all else of this turn */
    SEND_CONTROL, /* small and urgent */
};

/* A protocol message with attached records; dropped (and counted) when the peer is away or too much
 * is queued for it, or it does not know the group: to a protocol that is a lossy link. */
void peers_send(struct peers *peers, node_index to, uint32_t group, uint16_t kind, enum haste haste,
                struct span body, qr_slot lo, qr_slot hi, qr_term term, struct span records);

/* Another node takes part under that index, or none: its connections go, at once or when it has had
 * the time to learn why. Whether it is still connected. */
bool peers_leave(struct peers *peers, node_index index, bool at_once);
void peers_stay(struct peers *peers, node_index index); /* it takes part after all */
/* Somebody else is known to the node. */
void peers_known(struct peers *peers);
/* This node takes part no more: all connections go, soon. */
void peers_retire(struct peers *peers);

/* When the last connection of both lanes was lost; 0: there was none since the start. */
qr_time peers_lost_at(const struct peers *peers, node_index peer);
/* Where the peer says it is; false: it is not connected or of a version that does not say. */
bool peers_claim(const struct peers *peers, node_index peer, struct claim *out);

bool peers_connected(const struct peers *peers, node_index peer); /* both lanes */
/* The same, and it has closed neither, as the system knows before this node has read so far: a node
 * that was killed is gone for whoever is told where to go. Costs system calls. */
bool peers_alive(const struct peers *peers, node_index peer);
/* What it speaks with this node; 0 while it is not connected. */
uint16_t peers_wire_version(const struct peers *peers, node_index peer);
/* Whether all that are connected speak that version, or a later one. */
bool peers_all_speak(const struct peers *peers, uint16_t version);

/* What went to and came from a member since the start or peers_reset_stats; the first messages of a
 * connection, before it is clear whose it is, are not in it. */
struct peer_stats {
    uint64_t sent[FRAME_KINDS], received[FRAME_KINDS]; /* messages, by enum frame_kind */
    uint64_t dropped;                                  /* protocol messages that found no room */
    uint64_t bytes_sent, bytes_received, writes;
    uint64_t losses; /* of the connection */
};
const struct peer_stats *peers_stats(const struct peers *peers, node_index peer);
void peers_reset_stats(struct peers *peers);
size_t peers_queued(const struct peers *peers, node_index peer); /* bytes not yet sent to it */

/* Whether a command may be forwarded now: connected, and its queue below half its bound. */
bool peers_may_forward(const struct peers *peers, node_index peer);
void peers_forward(struct peers *peers, node_index to, uint32_t group,
                   const struct forward *forward, struct span op);

/* Whether the next piece of something large may go to it now; the pieces of the arguments of a
 * command that was forwarded to it, and how much of those it may go on with. */
bool peers_takes_piece(const struct peers *peers, node_index peer);
void peers_piece(struct peers *peers, node_index to, uint32_t group, uint64_t id,
                 struct span bytes);
void peers_credit(struct peers *peers, node_index to, uint64_t id, uint64_t bytes);

/* The answer to a command that peer `to` forwarded, written into the shared buffer first. A long
 * one is kept and goes in pieces, in order with other long ones. */
struct reply *peers_reply_buffer(struct peers *peers);
bool peers_reply_congested(const struct peers *peers, node_index to);
void peers_reply(struct peers *peers, node_index to, uint64_t id, enum qr_status status,
                 const struct shown *shown);

/* How this node stands for disk space; told to everybody when it changes. And the worst that the
 * others have told. */
void peers_tell_space(struct peers *peers, enum log_space space);
enum log_space peers_space(const struct peers *peers);

/* A small frame to one peer, or to all (NODE_NONE); not to those that are away or of a version of
 * the wire that does not know it. */
void peers_tell(struct peers *peers, node_index to, uint8_t kind, struct span head);
void peers_tell_group(struct peers *peers, node_index to, uint32_t group, uint8_t kind,
                      struct span head);

/* A large frame, on the connection for data: false when the peer is away or does not know it. Ask
 * first whether there is room, so that bulk never stands in the way of what matters more. */
bool peers_bulk_room(const struct peers *peers, node_index to);
bool peers_send_bulk(struct peers *peers, node_index to, uint8_t kind, struct span head,
                     struct span tail);
bool peers_send_bulk_group(struct peers *peers, node_index to, uint32_t group, uint8_t kind,
                           struct span head, struct span tail);

/* Whether what peers_tell sends to it now is sent. */
bool peers_hears(const struct peers *peers, node_index to);

/* Once at the end of a turn: hands what was gathered to the sockets. */
void peers_flush(struct peers *peers);
/* When that has something to do that waits; QR_NEVER: nothing does. */
qr_time peers_deadline(const struct peers *peers);

/* Dials what is not connected. Returns when it wants to be called next. */
qr_time peers_housekeeping(struct peers *peers, qr_time now);

/* Bytes that wait for the peer that has most of them; connections that have not proven themselves.
 */
size_t peers_queued_most(const struct peers *peers);
/* Bytes that one connection has brought and that wait for their turn (link_read.c), the most of
 * all. */
size_t peers_held_most(const struct peers *peers);
/* Replies that wait to go to a peer in pieces, where there are most. */
size_t peers_long_most(const struct peers *peers);
uint32_t peers_strangers(const struct peers *peers);

#endif
