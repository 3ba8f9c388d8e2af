/* A keeper of which all around it is played: the file, the log, the replica and whoever reads the
 * file. */
#ifndef TESTS_NODE_KEEPER_WORLD_H
#define TESTS_NODE_KEEPER_WORLD_H

#include "node/checkpoint.h"
#include "node/keeper_internal.h"
#include "node/node.h"
#include "node/replica.h"
#include "node/run.h"
#include "node/snapshot_fetch.h"
#include "node/snapshot_source.h"

struct replica {
    node_index me;
    qr_slot applied, durable;
    qr_slot ahead; /* of what is applied: executed and not committed */
    bool held; /* it applies what is durable only */
    struct roster roster;
    /* What the protocol was told. */
    uint32_t told;
    qr_slot slot, release, pin;
};

struct source {
    qr_slot wants, pin;
    uint64_t reads; /* the file with that salt; 0: none */
    uint32_t renewed;
};

struct fetch {
    bool whole;
};

struct checkpoint {
    checkpoint_done *done;
    void *context;
    struct checkpoint_header header;
    uint64_t bytes;
    uint32_t steps;
    bool cancelled, aborted;
};

extern struct node node;
extern struct measure measure;
extern struct partition partition;
extern struct replica replica;
extern struct source source;
extern struct fetch fetch;
extern struct checkpoint checkpoint;
extern struct keeper *keeper;
extern uint32_t started, forgotten, failures, small_failures;
extern int forget_error;
extern bool brings_up;
extern qr_time now;
extern uint64_t memory, position, group_bytes, newest_begins, bytes_behind;
extern qr_slot asked_from; /* log_bytes_from */
extern qr_slot over_bytes, over_age, last_slot;
extern qr_time asked_age;
extern struct term_run runs[100]; /* of the log */
extern uint32_t run_count;
extern enum checkpoint_load_result on_disk;
extern struct checkpoint_header disk_header;

int begin(void **state); /* one that has taken none, in a log of which 10 entries are applied */
int end(void **state);

bool consider(uint64_t grown);
void finish(enum checkpoint_result result); /* of the one under way */
void take_one(void);

#endif
