/* What the tests of checkpoints share: an engine, a directory, a loop, and faults of the disk put
 * between the checkpoint and io by the linker's --wrap. */
#ifndef TESTS_UNIT_NODE_CHECKPOINT_HARNESS_H
#define TESTS_UNIT_NODE_CHECKPOINT_HARNESS_H

#include "node/checkpoint.h"
#include "node/checkpoint_place.h"

enum call {
    CALL_NONE,
    CALL_OPEN,
    CALL_READ,
    CALL_WRITE,
    CALL_RENAME,
    CALL_SYNC_DIR,
    CALL_OFFLOAD
};

struct world {
    struct io *io;
    struct engine *engine;
    char dir[64];
    struct checkpoint *checkpoint; /* being written */
    struct io_timer timer;
    uint32_t turns;
    void (*between)(struct world *w); /* called in every turn, after the step */

    /* What came of the last checkpoint. */
    bool called;
    enum checkpoint_result result;
    struct checkpoint_header header;
    char message[1400];
};

/* The header of every checkpoint here, and the configuration of every engine. */
extern const struct checkpoint_header test_header;
extern const struct engine_config test_config;

extern uint32_t world_group; /* whose checkpoints all of these are */

struct world *world_open(uint32_t keys);
void world_close(struct world *w);
void world_put(struct engine *engine, uint32_t i, size_t n, qr_wall expire);
void world_path(const struct world *w, const char *name, char path[128]);
bool world_has(const struct world *w, const char *name);

/* Starts a checkpoint, and runs the loop until io_stop. */
void world_start(struct world *w);
void world_run(struct world *w);
/* Writes a checkpoint to its end; the result is in the world. */
void world_take(struct world *w);
void world_take_with(struct world *w, const struct checkpoint_header *header);

/* Loads into a new engine, which is the caller's; or only asks for the result. */
enum checkpoint_load_result world_load(struct world *w, struct engine **out, char message[1400]);
enum checkpoint_load_result world_try(struct world *w, char message[1400]);
void assert_loads_as(struct world *w, uint64_t digest);

/* The n-th of these calls from now fails with that error. */
void fault_set(enum call call, uint32_t n, int error);
/* The process ends with this code, just before its n-th call of any kind. */
#define WORLD_CRASHED 42
void fault_crash(uint32_t n);
/* How often the call was made since. */
uint32_t fault_seen(void);
/* Whether a name was given since a directory was synced last: a loss of power may take it back. */
bool names_may_be_lost(void);
/* Durable writes are held back, until they are let go. */
void fault_withhold(void);
void fault_let_go(struct world *w);

#endif
