/* Who carries out a command: this node where it leads the partition, else its leader, else it
 * waits.
 *
 * Any node takes any command (O10). What is for one partition is its track (track.h). A stream's
 * commands in one track must not overtake each other on their way to the leader, also while
 * leadership moves:
 *
 * T1 All commands of a track pass one queue in order of arrival; while anything waits in it,
 *    everything does.
 * T2 What was forwarded to one leader is answered, refused or given up before anything of the track
 *    goes to the next. Forwards carry an epoch; a node that refuses one refuses the rest of that
 *    epoch, so that a command cannot slip past an earlier one that was refused. Each epoch of a
 *    track is later than all epochs that any track of this node has had: a node that has forgotten
 *    what it refused, or never knew the group, refuses them all up to the latest.
 * T3 A forwarded command is never forwarded again (one hop): refused ones come back.
 * T4 A write, or an order, whose fate is unknown is answered -UNCERTAIN and never tried again. A
 *    read may be.
 * T5 Tracks know nothing of each other: one that has no leader, or whose leader cannot decide,
 *    holds up none of the others. It may keep so much waiting and no more (router_is_stuck). */
#ifndef NODE_ROUTER_H
#define NODE_ROUTER_H

#include "node/stream.h"

struct freeze;
struct node;
struct partition;
struct router;

struct router *router_new(struct node *node);
void router_free(struct router *router);

/* A command of a local client for that partition, checked by the caller (it exists, its arity fits,
 * it is not LOCAL). The arguments include the name; they are copied. */
void router_command(struct router *router, struct partition *partition, struct stream *stream,
                    const struct command_spec *spec, uint8_t version, uint8_t db,
                    const struct span *argv, uint32_t argc, bool silent);

/* The same with large arguments, which are the router's from now on (router_cargo.c). */
void router_command_laden(struct router *router, struct partition *partition, struct stream *stream,
                          const struct command_spec *spec, uint8_t version, uint8_t db,
                          const struct span *argv, uint32_t argc, bool silent, struct cargo *cargo);

/* --- For other nodes: router_relay.c */

/* What a peer forwards for one partition. */
struct relay {
    struct stream stream;
    struct partition *partition;
    struct relay *next, *previous; /* of the peer */
    node_index peer;
    uint32_t latest_epoch;  /* of what came last */
    uint32_t refused_epoch; /* everything up to it is refused (T2) */
    qr_time used;
    struct pending *loads; /* those whose large arguments are still coming: cargo->next */
};

/* How a command was forwarded. */
struct forward {
    uint64_t id;
    uint32_t epoch;
    uint32_t sender; /* which client of the peer */
    uint8_t version; /* of RESP */
    bool after_reads;
    bool aside; /* a read that need not come to the leader (router_aside.c): it has no epoch */
    struct wants wants;
};
/* A command for that group from a peer; `op` is checked here. False when malformed (the caller
 * closes the connection). */
bool router_relayed(struct router *router, node_index peer, uint32_t group,
                    const struct forward *forward, struct span op);

/* A piece of the large arguments of a command that the peer forwarded; false when malformed. */
bool router_piece(struct router *router, node_index peer, uint32_t group, uint64_t id,
                  struct span bytes);
/* No more pieces are wanted. */
void router_forget_cargo(struct cargo *cargo);
/* The peer takes replies: its clients' reads that waited for that go on. */
void router_unpark(struct router *router, node_index peer);

/* --- From other nodes: router_forward.c, router_cargo.c */

/* How much of the large arguments of a command of ours the leader has carried on. */
void router_credit(struct router *router, node_index from, uint64_t id, uint64_t bytes);
/* A piece of a long reply; router_reply ends it. */
void router_reply_piece(struct router *router, node_index from, uint64_t id, struct span bytes);

/* The leader's answer to a forwarded command; NOT_LEADER and EXPIRED: it is asked again. */
void router_reply(struct router *router, node_index from, uint64_t id, enum qr_status status,
                  const struct shown *shown, struct span reply);

/* The connection to that peer is gone: what it had is uncertain (writes) or tried again (reads),
 * and what it had forwarded is answered to nobody. */
void router_peer_down(struct router *router, node_index peer);

/* --- */

/* The protocol would not take them (status NOT_LEADER or EXPIRED, surely not applied): they go back
 * to the queues of their tracks, in their places. NOREPLICAS: they are answered with it. */
void router_retry(struct router *router, struct pendings *refused, enum qr_status status);

/* Takes back what waits for another attempt; it keeps its op. */
void router_recall(struct router *router, struct pending *p);
/* Takes p out of wherever it is; the caller answers it. */
void router_withdraw(struct router *router, struct pending *p);

/* The replica of the partition, or the partition with it, is about to go, but is there still: what
 * the replica has goes back to the queue, or all that is for the partition is answered. */
void router_replica_gone(struct router *router, struct partition *partition);
void router_partition_gone(struct router *router, struct partition *partition);

/* Whether a command of this node's clients, begun by then, that goes where its keys' prefixes led
 * has no answer. Those that led to keyspaces which the frozen ones leave are given up; false: not
 * yet, one of them is about to get its slot. */
bool router_has_routed(const struct router *router, uint64_t until);
bool router_give_up_routed(struct router *router);
/* What this node has taken up in keyspace 0 and would propose later is refused where it has a key
 * that is frozen (contact.h: guards). */
void router_guard(struct router *router);

/* Once per turn, before the replicas': follows the leaders, routes what waits, lets deadlines pass.
 */
void router_turn(struct router *router);

/* Whether something waits that may go on: a leader was found, or room was made, in this turn. */
bool router_is_ready(const struct router *router);

uint32_t router_waiting(const struct router *router);
uint32_t router_forwarded(const struct router *router);

#endif
