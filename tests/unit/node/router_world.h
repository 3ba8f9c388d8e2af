/* What router_test.c plays around the router: the replica, the peers, one client. */
#ifndef TESTS_UNIT_NODE_ROUTER_WORLD_H
#define TESTS_UNIT_NODE_ROUTER_WORLD_H

#include "node/node.h"
#include "node/router.h"

struct replica {
    bool leads;
    node_index leader;
    struct outlook outlook; /* its term alone is looked at */
    qr_term applied_term;
    uint32_t room;
    char log[256]; /* the keys of what was proposed or read, in order; reads in lower case */
    struct pendings reads;
    struct pending *writes[64];
    uint8_t *ops[64];
    uint32_t write_count;
    uint32_t orders, waits;
    uint32_t unproven; /* reads at levels that any replica gives */
    bool readable;
    bool may_ask; /* the leader for an index, */
    bool late;    /* which came late of late */
    qr_time fresh_at;
    qr_slot applied;
    uint32_t asked_ahead;
    bool keeps; /* its past, from that slot on */
    qr_slot floor;
    bool small; /* reads that need no proof are answered where they arrive: so many were */
    uint32_t at_once;
    struct pending *load; /* the last that came with a cargo */
};

struct peers {
    bool connected;
    uint16_t away; /* though: those of these indexes */
    uint16_t version;
    char forwarded[256]; /* "<peer>:<key> " in order */
    char last[32];       /* the last argument of the latest */
    uint64_t ids[64];
    uint32_t epochs[64];
    uint32_t count;
    uint64_t piece_bytes;
    uint32_t piece_count;
    uint32_t told;     /* words about who leads */
    char replies[256]; /* "<id>:<status> " to the peer that forwarded */
    struct reply reply;
    struct wants wants; /* of the latest that was forwarded, */
    bool aside;         /* and whether it went past the leader, */
    uint32_t sender;    /* whose it was, */
    uint8_t speaks;     /* and in which RESP version */
    bool congested;     /* nothing more can be forwarded */
    struct shown shown; /* of the latest answer to a peer */
};

#define MORE 4u /* partitions of keyspace 16, "cart": groups from GROUP_FIRST on */

struct world {
    struct shown shown; /* what answers of other nodes show */
    struct node node;
    struct partition zero;
    struct replica replica;
    struct partition more[MORE];
    struct replica replicas[MORE];
    struct peers peers;
    struct stream client;
    struct reply out;
    struct rope_bin bin;
    qr_time now;
    bool behind;         /* a follower is, by more than MAXLAG */
    enum behind rejects; /* this one, where it follows */
    uint32_t replicas_here;
};

extern struct world *world; /* the one of the running test */

int setup(void **state);
int teardown(void **state);
void command(const char *name, const char *key);
void turn_later(qr_time elapsed);
void answer(uint32_t nth, enum qr_status status, const char *reply);
void answer_from(node_index from, uint32_t nth, enum qr_status status, const char *reply);
void assert_heard(const char *expected);
/* This node knows of a prefix of the keyspace "cart" now. */
void learn_prefix(const char *prefix);
const char *proposed(void);

#endif
