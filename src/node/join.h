/* Joining: a node with an empty directory asks a cluster to take it in.
 *
 * It dials the peer port of any member, proves the cluster secret and says who it is. The leader
 * makes it a learner, or an observer, by an entry of the log; when that is committed the node
 * learns its id, its index and who the members are, and only then gets an identity. A crash at any
 * point is safe: until then its directory holds nothing but its UUID, by which the cluster knows it
 * again. */
#ifndef NODE_JOIN_H
#define NODE_JOIN_H

#include "io/io.h"
#include "node/identity.h"
#include "node/logline.h"

struct link;

/* FRAME_JOIN: what the node wants to be. */
struct join_request {
    bool observer;
    uint32_t id; /* 0: any */
    uint8_t uuid[16];
    uint16_t client_port, peer_port;
    char address[64];
    uint16_t level; /* the highest that it knows; 0: it, or who is asked, has no word for that */
};

#define JOIN_BYTES_MAX 96u

enum join_result {
    JOIN_TAKEN = 1, /* it is a member: cluster, id, index, slot, and the roster as the tail */
    JOIN_ELSEWHERE, /* the leader: its peer port and address */
    JOIN_LATER,     /* why not yet, in words */
    JOIN_REFUSED,   /* why not, in words */
};

struct join_answer {
    enum join_result result;
    uint8_t cluster[16];
    uint32_t id;
    node_index index;
    qr_slot slot;
    qr_term term; /* in which that was known to be committed */
    struct roster roster;
    uint16_t peer_port;
    char text[256]; /* an address or a sentence */
};

size_t join_request_write(const struct join_request *request, uint8_t *p);
bool join_request_read(struct span in, struct join_request *out);

/* The head has at most JOIN_ANSWER_BYTES_MAX, the tail ROSTER_BYTES_MAX bytes. */
#define JOIN_ANSWER_BYTES_MAX 320u
size_t join_answer_write(const struct join_answer *answer, uint8_t *head, uint8_t *tail,
                         size_t *tail_n);
bool join_answer_read(struct span head, struct span tail, struct join_answer *out);

/* A node that has proven the secret asks; false when the request is malformed (join_accept.c). */
bool join_asked(struct link *link, struct span head);

/* At a leader: another directory asks again and again for the place of a connected member. */
struct contest {
    node_index index;
    uint32_t asks;
    qr_time since, last;
};

/* Asks the nodes of config->join until one takes this node in, and makes the identity. Runs the
 * loop. False with a sentence when it must not be tried again. */
bool join_cluster(struct io *io, const struct config *config, struct identity *identity,
                  const struct logger *logger, char *message, size_t cap);

#endif
