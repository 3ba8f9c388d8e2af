/* The data directory: who this node is, whom it knows, and a lock against a second process.
 *
 * `identity` is a small text file, made once by --bootstrap, replaced atomically when a peer's
 * directory UUID is learnt. An empty directory is refused without --bootstrap: a node that has
 * forgotten what it acknowledged must not vote as if it had not. */
#ifndef NODE_IDENTITY_H
#define NODE_IDENTITY_H

#include "io/io.h"
#include "node/config.h"
#include "node/roster.h"

struct identity {
    uint8_t cluster[16];                       /* cluster id */
    uint8_t uuid[16];                          /* of this data directory */
    uint32_t node_id;                          /* 1.. */
    struct member_config members[MEMBERS_MAX]; /* in order of id: the index is the node index */
    uint32_t member_count;
    uint8_t peer_uuid[MEMBERS_MAX][16]; /* by node index; zero: not met yet */
    bool log_made;                      /* from then on a directory without its log has lost it */
    char dir[1024];
    struct io_file *lock;
};

/* Opens the directory, or makes it when config->bootstrap says so. False with one sentence that
 * says what is wrong and what to do. */
bool identity_open(struct io *io, const struct config *config, struct identity *out, char *message,
                   size_t cap);
void identity_close(struct identity *identity);

/* The log of a new directory is there: remembers it, durably. 0 or a negative errno. */
int identity_log_made(struct io *io, struct identity *identity);

/* The members that the cluster was made with, all of them voters. */
void identity_roster(const struct identity *identity, struct roster *out);

uint32_t identity_me(const struct identity *identity); /* node index of this node */

/* Whether `uuid` is the directory of that member as far as this node knows; learns it (durably) the
 * first time. */
enum identity_peer { IDENTITY_PEER_KNOWN, IDENTITY_PEER_OTHER_DIRECTORY, IDENTITY_PEER_NOT_SAVED };
enum identity_peer identity_meet(struct io *io, struct identity *identity, uint32_t index,
                                 const uint8_t uuid[16]);

#endif
