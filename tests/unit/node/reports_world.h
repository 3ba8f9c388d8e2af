/* Two nodes of which one leads group 0 and the other all other groups: reports, how they are
 * composed and their frames are real, the rest of both nodes is played. */
#ifndef TESTS_NODE_REPORTS_WORLD_H
#define TESTS_NODE_REPORTS_WORLD_H

#include "node/contact.h"
#include "node/control_internal.h"
#include "node/lagging.h"
#include "node/partitions.h"
#include "node/peers.h"
#include "node/quota.h"
#include "node/replica.h"
#include "node/reporting.h"
#include "node/snapshot_source.h"

#define GROUPS_MAX 1400u

struct replica {
    struct outlook o;
    node_index me;
    qr_slot stated; /* its members, last; 0: as it was made */
    qr_term behind; /* what it has applied was of so many terms before */
};

struct peers {
    node_index me;
};

struct source {
    struct source_progress to[MEMBERS_MAX];
};

struct world {
    struct node node;
    struct peers peers;
    struct control control;
    struct replica replica[GROUPS_MAX];
    struct partition partition[GROUPS_MAX], *all[GROUPS_MAX]; /* groups 0, 2, 3, ... */
    uint64_t version;
};

extern struct world nodes[2];
extern struct world *const zero, *const other; /* who leads group 0, and who leads the rest */
extern bool connected;
extern uint32_t sent, lost; /* frames; of them those that went nowhere */
extern uint64_t keys;       /* in a database 0 */
extern uint16_t wire;       /* version of the connection */
extern uint32_t waiting;    /* orders */
extern uint32_t level;      /* of the cluster */
extern struct follower_sight sight[MEMBERS_MAX];
extern uint16_t may_know; /* nodes that group 0's leader has covered a moment ago */

/* With so many groups. */
void make_worlds(uint32_t groups);
int end(void **state);
/* Both have so many turns, 10 ms apart; or 50. */
void live_for(int turns);
void live(void);
void connect_again(void);
/* Group 0's leader is told that. */
void hear(node_index from, const struct report *r);

/* The keyspace of the groups but 0 is in that node's map. */
void know_keyspace(struct world *w);

#endif
