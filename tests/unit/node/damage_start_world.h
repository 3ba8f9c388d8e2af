/* A node that starts with damage (damage_world.h): the log and the keepers of group 0 and of one
 * more are played, the files are real. */
#ifndef TESTS_NODE_DAMAGE_START_WORLD_H
#define TESTS_NODE_DAMAGE_START_WORLD_H

#include "damage_world.h"
#include "log/log.h"
#include "node/repair.h"

#define G 5u /* some group */
#define RESET_NONE UINT64_MAX

/* What the log says of a group. */
struct played_group {
    bool known;
    struct log_group state;
    struct log_hole hole;
    uint32_t holes;
    qr_slot trimmed, reset; /* what was done to it; RESET_NONE: nothing */
};

struct log {
    bool open, cut;
};

/* What a keeper finds. */
struct keeper {
    enum { NOTHING, WHOLE, DAMAGED, FOREIGN } finds;
    qr_slot slot;
    qr_term term;
    bool installed, forgotten;
};

extern struct played_group played[GROUPS];
extern struct log the_log;
extern struct keeper keepers[2]; /* of group 0 and of G */
extern enum log_open_result opens;
extern struct roster stated; /* by entry 9 of group 0's log */
extern enum repair_fit fit;
extern uint32_t engines; /* made so far */
extern struct replica_base base;
extern char message[700];

/* A node of three with a log of entries 1 to 40 of each group, and checkpoints of slot 20. */
int start_whole(void **state);
void again(void **state); /* for the next row of a test, or part of it */

void make_file(uint32_t group, const char *name, struct span bytes);
bool starts(void);
bool group_starts(void);
void assert_nothing_forgotten(void);

#endif
