/* The world around the driver of a replica, for apply_test.c: router, streams, replica and engine
 * are real; the protocol, the log and the peers are played. */
#ifndef TESTS_NODE_APPLY_WORLD_H
#define TESTS_NODE_APPLY_WORLD_H

#include "engine/engine.h"
#include "node/checkpoint.h"
#include "node/node.h"
#include "node/replica.h"
#include "node/router.h"

#define SLOTS 64
#define EFFECTS 16
#define LATE_KIND 9 /* peers know it since wire version 5 */

struct log {
    uint8_t *record[SLOTS];
    size_t bytes[SLOTS];
    qr_slot last;
    uint64_t position;      /* what was ever written; never less */
    qr_slot members[SLOTS]; /* of the entries that state them, as last asked for */
    qr_term term;           /* of its entries, where the driver asks for it */
    uint32_t resets;
    uint32_t appends; /* calls that brought entries */
};

struct world {
    struct node node;
    struct partition zero;
    const struct protocol *protocol; /* the one that is played */
    struct log log;
    struct stream client;
    struct reply out;
    qr_time now, began; /* of the turn */
    qr_time pace;       /* what passes between two looks at the clock */
    qr_wall wall;
    bool congested;
    bool connected; /* to the other nodes, */
    bool takes;     /* which take commands for others */
    uint64_t unsynced; /* bytes of the log that the disk does not have yet */
    uint64_t credit;   /* the last that a peer was given, */
    uint32_t credits;  /* of so many */
    /* The protocol: effects that the next step pushes, and what it was told. */
    struct effect next[EFFECTS];
    uint32_t next_count;
    struct outlook outlook;
    bool refuses; /* SUBMIT and READ are answered NOT_LEADER */
    qr_ticket minted;
    qr_ticket durable; /* as the driver has told */
    qr_req first_read; /* of the reads that wait, all of them */
    uint32_t reads_waiting;
    uint32_t submits, reads;
    qr_time deadline;   /* of the protocol */
    qr_ticket heard_of; /* what it knew to be durable when the last message came */
    uint32_t sent;      /* messages to peers, */
    uint32_t forwards;  /* and commands */
    uint16_t version;   /* of the wire, of all peers */
    /* What another node has sent, whole. */
    struct engine *snapshot;
    qr_slot noted; /* its digest, when it was committed */
    qr_slot differs; /* the entry there did not fit the state */
    struct checkpoint_header snapshot_header;
};

extern struct world *world; /* the one of the running test; this node leads it in term 1 */

int setup(void **state);
int teardown(void **state);

/* --- What the protocol is made to do --- */

/* Any event: the effects prepared so far are carried out. */
void poke(void);
void apply_upto(qr_slot slot); /* committed up to there */
/* All reads that wait, from a state that has applied `slot`; before: end of the lease. */
void confirm_reads(qr_slot slot, qr_time before);
/* An entry of another leader takes the slot; what stood there and behind is dropped. */
void noop_at(qr_slot slot, qr_term term);
/* The same with an entry that states the members. */
void members_at(qr_slot slot, qr_term term, const struct membership *members);
void lead(qr_term term);
void follow_nobody(qr_term term);

/* --- What the node does --- */

void turn(void);
void later(qr_time elapsed); /* both clocks go on */
/* A client's command, words split at blanks. */
void command(const char *line);
void command_from(struct stream *stream, const char *line);
/* What the client has heard since the last time. */
void assert_heard(const char *expected);

#endif
