/* The data directory: who this node is, whom it knew at first, and a lock against a second process.
 *
 * `identity` is a small text file, made once by --bootstrap or when a cluster has taken the node in
 * (--join), replaced atomically when there is something to remember. An empty directory is refused
 * without one of the two: a node that has forgotten what it acknowledged must not vote as if it had
 * not.
 *
 * Who takes part later stands in the log (roster.h). The members here are those that the cluster
 * was made with, or those that were there when this node joined: whom to talk to until its log
 * says more. */
#ifndef NODE_IDENTITY_H
#define NODE_IDENTITY_H

#include "io/io.h"
#include "node/config.h"
#include "node/roster.h"

struct identity {
    uint8_t cluster[16]; /* cluster id */
    uint8_t uuid[16];    /* of this data directory */
    uint32_t node_id;    /* 1.. */
    node_index me;
    qr_slot joined;      /* the entry that brought this node in; 0: the cluster was made with it */
    qr_term joined_term; /* in which it was known to be committed */
    bool removed;        /* it takes part no more */
    uint32_t
        level; /* the highest of its cluster that it has been in (R9): no older version may start */
    struct roster_node members[MEMBERS_MAX]; /* by node index; id 0: none */
    bool log_made; /* from then on a directory without its log has lost it */
    char dir[1024];
    struct io_file *lock;
};

/* The highest level that this binary knows. A build with failpoints may be told to pretend another,
 * by QUORATE_PRETEND_LEVEL: it stands for the next version in tests. */
uint32_t identity_level_known(void);

/* Opens the directory, or makes it when config->bootstrap says so. False with one sentence that
 * says what is wrong and what to do. With config->join an empty directory is opened too: its
 * node_id is 0 until identity_join. */
bool identity_open(struct io *io, const struct config *config, struct identity *out, char *message,
                   size_t cap);
void identity_close(struct identity *identity);

/* The log of a new directory is there: remembers it, durably. 0 or a negative errno. */
int identity_log_made(struct io *io, struct identity *identity);

/* The members that the cluster was made with, all of them voters; nobody when this node has joined:
 * then the log says who took part before. */
void identity_roster(const struct identity *identity, struct roster *out);

/* A cluster has taken this node in: makes the identity of the directory. `identity` has its uuid,
 * cluster, node_id, me, joined and members filled in. 0 or a negative errno. */
int identity_join(struct io *io, struct identity *identity);

/* The UUID of a directory that is to join: the same one at every try, so that the cluster knows it
 * again. 0 or a negative errno. */
int identity_join_uuid(struct io *io, struct identity *identity);

/* This node takes part no more: remembers it. 0 or a negative errno. */
int identity_removed(struct io *io, struct identity *identity);

/* The level of the cluster that is active: remembers it. 0 or a negative errno. */
int identity_level(struct io *io, struct identity *identity, uint32_t level);

uint32_t identity_me(const struct identity *identity); /* node index of this node */

/* Whether `uuid` is the directory of that member as far as this node knows; learns it (durably) the
 * first time. *error is a negative errno where that could not be saved. */
enum identity_peer { IDENTITY_PEER_KNOWN, IDENTITY_PEER_OTHER_DIRECTORY, IDENTITY_PEER_NOT_SAVED };
enum identity_peer identity_meet(struct io *io, struct identity *identity, uint32_t index,
                                 const uint8_t uuid[16], int *error);

#endif
