/* The roster: the nodes of the cluster by index, as an entry RECORD_MEMBERS of the log states it.
 *
 * The protocol knows sets of indexes (struct membership); here is who and where they are. A node is
 * its id and the UUID of its directory; its addresses may change. An index stays a node's for as
 * long as it takes part, and is free again when the entry that drops it is committed.
 *
 * A new entry gives an index to another node only when that index is free in a committed roster: so
 * an older roster that comes back by truncation never names another node at an index in use. */
#ifndef NODE_ROSTER_H
#define NODE_ROSTER_H

#include "base/limits.h"
#include "base/types.h"
#include "protocol/protocol.h"
#include "protocol/quorum.h" /* membership_all and so on */

struct roster_node {
    uint32_t id;      /* 0: the index is free */
    uint8_t uuid[16]; /* of its data directory; zero: not met yet */
    char address[64]; /* numeric */
    uint16_t client_port, peer_port;
    uint8_t priority; /* to lead; the highest that keeps up does. 100 unless set */
};

struct roster {
    struct membership members;
    /* Of a partition's group: the epoch of the wish that the sets serve (cluster/follow.h: F5), and
     * no nodes; who is behind the indexes is for group 0's roster to say. 0: of group 0. */
    uint64_t epoch;
    struct roster_node node[MEMBERS_MAX]; /* by node index */
};

#define ROSTER_PRIORITY 100    /* unless set */
#define ROSTER_BYTES_MAX 2048u /* of its encoding */

/* Encodes into p (ROSTER_BYTES_MAX bytes); returns how many. */
size_t roster_write(const struct roster *roster, uint8_t *p);

/* False when the bytes are none: out of bounds, sets that overlap or name free indexes, two nodes
 * with one UUID, or with one id when neither is about to go. With an epoch no node is named. */
bool roster_read(struct span in, struct roster *out);

/* The index of the node with that id; NODE_NONE when there is none. While a change is under way
 * that gives an id to another directory, both have it: this is the one that stays. */
node_index roster_find(const struct roster *roster, uint32_t id);

/* What a node is to the group, in a word: voter, learner, observer, leaving, none. */
const char *roster_role(const struct membership *members, node_index index);

/* Directories that have left the cluster, the latest: whoever asks to be taken in and was removed
 * meanwhile is to hear that, and not to come back. Kept in memory; what a node replays at its start
 * tells it again. */
#define GRAVES_KEPT 64
struct graves {
    uint8_t uuid[GRAVES_KEPT][16];
    uint32_t next;
};
/* A roster takes the place of another one, decided. */
void graves_follow(struct graves *graves, const struct roster *before, const struct roster *after);
bool graves_hold(const struct graves *graves, const uint8_t uuid[16]);

/* Whether a text is made of what numeric addresses are made of. */
bool roster_is_address(const char *text);

/* Whether the directory of that node is known. */
bool roster_uuid_known(const struct roster_node *node);

#endif
