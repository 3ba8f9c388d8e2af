/* What schedule_test.c plays around the schedule: the clock, and replicas, each of which counts
 * what it is told. */
#ifndef TESTS_UNIT_NODE_SCHEDULE_WORLD_H
#define TESTS_UNIT_NODE_SCHEDULE_WORLD_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/rng.h" /* before names that it uses for other things */
#include "node/node.h"

#define MANY 5000u

/* What happened to one replica, and what it wants. */
struct played {
    uint32_t turns;
    qr_time deadline;
    uint64_t durable; /* as last told */
    uint32_t durables;
    bool aside; /* nothing of what waits for the log needs a turn */
    uint32_t asides;
    char peers[64]; /* told of them: "-3+3" */
    node_index leader;
    uint32_t righted;        /* it was told that the clock is right */
    struct partition *wakes; /* its turn gives this one work */
    bool unfinished;         /* its turn leaves work */
    bool campaigns;          /* its deadline is one */
    struct outlook seen;     /* with a role: as which it is seen */
};

extern struct node node;
extern struct partition zero;
extern struct partition part[MANY];
extern struct played played[MANY];
extern uint32_t order[MANY * 2], ordered; /* who had a turn, since the last one */
extern qr_time now, turn_takes;
extern uint32_t disturbed; /* partitions that something else is to be done about */
extern bool frames_wait;   /* of other nodes, to be taken */

struct schedule *schedule(void);
/* Partitions of groups 2 and up, each with a replica that wants nothing. */
void partitions(uint32_t count);
int end(void **state);
/* One turn of the node. */
void turn(void);
void settle(void);

extern uint32_t views_told; /* so many turns began by that */

#endif
