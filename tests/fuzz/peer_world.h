/* A node's peers without a node: link.c and peers.c are real, the streams, the replica and the
 * router are played. What the replica and the router are told is kept for comparison. */
#ifndef TESTS_FUZZ_PEER_WORLD_H
#define TESTS_FUZZ_PEER_WORLD_H

#include "node/link.h"
#include "node/node.h"

#define STREAMS_MAX 24u
#define MEMBERS 3u
#define ME 1u /* node index: it dials 0 and is dialed by 2 */

struct io_stream {
    struct world *world;
    const struct io_stream_callbacks *callbacks;
    void *owner;
    bool open, closing, dialed, connecting, corked;
    void (*on_connect)(void *context, struct io_stream *stream, int error);
    void *context;
    struct outbox sent;         /* what the node has written */
    uint8_t hello[HELLO_BYTES]; /* what the test has said in its handshake */
};

/* The last thing that the replica or the router was given. */
struct told {
    uint32_t count;
    uint8_t frame; /* its kind */
    node_index from;
    struct outbox bytes; /* its fields, and what was attached */
};

#define WORLD_GROUP 7u

struct world {
    struct roster roster; /* that the log states at that slot */
    qr_slot roster_slot;
    uint32_t roster_changes;
    bool counts;                  /* it leads, or collects votes */
    struct roster *states;        /* the replica's next step states this one */
    uint8_t removed[16];          /* a directory that was a member */
    uint32_t passed[MEMBERS_MAX]; /* how often an index passed to another node */
    struct io *disk;
    struct node node;
    struct partition zero, other; /* of group 0; of WORLD_GROUP, of which it has a replica */
    struct io_stream stream[STREAMS_MAX];
    void (*on_accept)(void *context, struct io_stream *stream);
    void *accept_context;
    uint16_t speaks; /* who dials, version of the wire; 0: as this one */
    struct told told;
    bool up[MEMBERS_MAX]; /* as the replica was told */
    uint64_t chance;
};

struct world *peer_world_new(void);
void peer_world_free(struct world *w);
struct io_stream *peer_world_stream(struct world *w); /* an unused one, or NULL */
/* Closed streams tell their owners, as the loop would between two callbacks. */
void peer_world_settle(struct world *w);
/* The other side sends; in pieces no longer than `longest`. */
void peer_world_receive(struct io_stream *stream, struct span bytes, size_t longest);
/* A directory dials on both lanes, which are put into `wire`, calls itself node `id` at that index
 * since that slot, and proves that it knows the secret. Whether it is taken for it. */
bool peer_world_dial(struct world *w, struct io_stream *wire[LANES], uint32_t id, node_index index,
                     uint8_t directory, qr_slot since);
void peer_world_check(struct world *w);
/* Settled, checked and freed: the end of a test. */
void peer_world_end(struct world *w);
/* The log states another roster from here on. */
void peer_world_state(struct world *w, const struct roster *roster, qr_slot slot);

#endif
