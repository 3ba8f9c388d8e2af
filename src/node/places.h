/* Where clients find the nodes: addresses and ports as they are announced, which need not be those
 * that the nodes use among themselves.
 *
 * A node says of itself where it is, in FRAME_PLACE: to each peer that connects, and to all when a
 * setting changes. Of a node that has not said so - one of an older version, or one that was never
 * met - only what the roster says is known, and it has no port for cluster-aware clients. */
#ifndef NODE_PLACES_H
#define NODE_PLACES_H

#include "base/types.h"

struct node;

struct place {
    char address[64], hostname[256]; /* for clients of cluster-port; no hostname: "" */
    uint16_t cluster_port;           /* 0: it has none */
    uint32_t endpoint;               /* enum endpoint_type: by which of the two it is reached */
    char keyspace[64];               /* that cluster-port is for: its id or name */
    char plain_address[64];          /* for clients of sentinel-port */
    uint16_t plain_port, sentinel_port;
};

/* A place as its node has told it, and which directory that was. */
struct told_place {
    bool told;
    uint8_t uuid[16];
    struct place place;
};

#define PLACE_BYTES_MAX 768u

/* Where that node is. The index is known (node->known). */
void place_of(const struct node *node, node_index index, struct place *out);

/* Tells a peer, or all (NODE_NONE), where this node is. */
void places_tell(struct node *node, node_index to);
/* A peer has told it; false when malformed. */
bool places_receive(struct node *node, node_index from, struct span head);

/* The body of the frame: how many bytes it takes; false when it is none. */
size_t place_write(const struct place *place, uint8_t out[PLACE_BYTES_MAX]);
bool place_read(struct span in, struct place *out);

/* The id of a node for clients: 40 hex digits, made of its directory's UUID. False where that is
 * not known, or nobody has the index. */
bool place_id_of(const struct node *node, node_index index, char out[41]);

#endif
