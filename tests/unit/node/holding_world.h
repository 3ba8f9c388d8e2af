/* A node of which only what holds replicas is real (holding.c, partitions.c), and its map. The log,
 * the replicas and all else are played: each replica is a paper one that does nothing. */
#ifndef TESTS_NODE_HOLDING_WORLD_H
#define TESTS_NODE_HOLDING_WORLD_H

#include "cluster/map.h"
#include "node/holding.h"
#include "node/node.h"
#include "node/replica.h"

#define GROUPS 300u
#define ME 1u
#define OLD 10u /* where group 0's log ended at the start */

struct replica {
    uint32_t group;
    struct replica_base base;
    struct outlook outlook;
    bool gathers, founded;
    bool writes; /* its checkpoint, which cannot be called off any more */
    bool forgets; /* some of its past is still to go */
};

struct holding_world {
    struct node node;
    struct replica zero;
    qr_slot applied;   /* of group 0 */
    bool behind;       /* group 0 has not caught up */
    qr_time now, step; /* each look at the clock takes so long */
    bool apart;        /* the sockets were looked at at `polled`; else before each turn */
    qr_time polled;
    bool knows[GROUPS], lost[GROUPS];
    uint64_t position, durable; /* of the log */
    uint32_t opened[GROUPS], dropped[GROUPS], files_removed[GROUPS], gone[GROUPS];
    bool early[GROUPS]; /* an earlier life has acknowledged before its disk */
    uint32_t states_removed[GROUPS], viewed[GROUPS];
    bool unnamed[GROUPS]; /* it has what nobody else may have */
    bool leaves, is_cut, anew; /* what is being taken back (rollback.h) */
    uint32_t resumed[GROUPS], tended[GROUPS], woken[GROUPS];
    uint32_t looks, changes, handed_over, leased, told, let_go; /* by the router */
    node_index handed_to;
    uint64_t change_epoch;
    struct membership change;
    void (*at_opening)(uint32_t group); /* something happens meanwhile */
};

extern struct holding_world world;

int begin(void **state);
int end(void **state);

/* A keyspace of one partition in that group; nobody prefers to lead it. */
void found(uint32_t group, uint16_t founders);
/* Group 0 names its primary: its keyspace is one of STRATEGY primary. */
void succeed(uint32_t group, const struct succession *s);
void wish(uint32_t group, uint16_t nodes);
void settle(uint32_t group);
void erase(uint32_t group);
/* Group 0 is as far as it was before the start: the map is fresh. */
void catch_up(void);
/* Turns until it rests, at most so many; returns how many it took. */
uint32_t turns(uint32_t most);
struct replica *replica_of(uint32_t group); /* NULL: there is none */

#endif
