/* Three nodes of which only what sends and takes snapshots is real: one has a checkpoint, two lack
 * what it holds. Disks are in memory, time passes when the test says so, and what goes from node to
 * node is carried by the test, which may lose it. */
#ifndef TESTS_NODE_SNAPSHOT_WORLD_H
#define TESTS_NODE_SNAPSHOT_WORLD_H

#include "node/checkpoint.h"
#include "node/checkpoint_place.h"
#include "node/node.h"
#include "node/snapshot.h"
#include "node/snapshot_fetch.h"
#include "node/snapshot_source.h"
#include "tests/unit/log/disk.h"

#define NODES 3u
#define SOURCE 0u
#define SLOT 100u /* of the checkpoint, and what the two lack */

struct mail {
    struct mail *next;
    node_index to;
    struct frame frame;
    uint8_t bytes[];
};

struct peers {
    node_index me;
    struct mail *first, **end;
    uint64_t reads, pieces, gone, orders; /* frames sent */
    uint64_t read_from;           /* offset of the last READ */
    bool full;                    /* no room for bulk */
    uint16_t away;                /* not connected */
};

struct keeper {
    qr_slot slot; /* of the checkpoint in force */
    bool writes;  /* another one, which cannot be called off any more */
};

struct replica {
    struct node *node;
    qr_slot applied;
    struct outlook outlook;
    bool takes; /* what is offered is installed */
};

struct world {
    uint32_t group; /* of which node->zero is the partition: 0, or one of a keyspace */
    struct node node[NODES];
    struct partition zero[NODES];
    struct peers peers[NODES];
    struct keeper keeper[NODES];
    struct replica replica[NODES];
    char log[16384]; /* warnings and notices, of all */
    uint32_t alarms, alarms_over, opened;
    int open_fails;     /* with this errno, the checkpoint in force */
    uint64_t move_rate; /* 0: nothing moves */
    bool views;         /* the group's leader is named by group 0 */
    uint16_t old;       /* nodes of an older wire version */
};

extern struct world *world;

int setup(void **state);
int setup_partition(void **state); /* the same of another group than 0 */
int teardown(void **state);

/* The source takes a checkpoint up to `slot`; `size` bytes in values of 4000 and `seed` in each. */
void take_checkpoint(qr_slot slot, size_t size, char seed);
void take_checkpoint_at(node_index at, qr_slot slot, size_t size, char seed);
uint64_t file_bytes(node_index node, const char *name); /* 0: there is none */
uint8_t *file_of(node_index node, const char *name, size_t *n);

void want(node_index to); /* the source's protocol wants that node brought up */
/* All frames that are under way arrive; those to or from `lost` do not. */
void carry(node_index lost);
/* A turn of all nodes, their disks, and `elapsed` passes. */
void turn_all(qr_time elapsed);
/* Turns of 1 ms with all frames carried, until `node` has n bytes of its file or is done. */
void pull(node_index node, uint64_t n);
void connect_again(node_index node); /* its connections were lost, with all that was under way */
struct fetch_figures figures_of(node_index node);
bool has_installed(node_index node);
bool was_said(const char *text);

#endif
