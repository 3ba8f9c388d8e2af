/* A primary and a follower with the logical log between them: the harness's two engines. */
#ifndef TESTS_UNIT_ENGINE_ROWS_RIG_H
#define TESTS_UNIT_ENGINE_ROWS_RIG_H

#include "harness.h"

#include "engine/rows.h"

struct rig {
    struct harness *h; /* h->engine executes, h->follower applies */
    struct rows *rows;
    struct span payload; /* of the last entry, owned */
    struct rows_entry entry;
};

/* cmocka fixtures: *state is a struct rig. At the end both digests must agree. */
int rig_setup(void **state);
int rig_teardown(void **state);

/* Executes a command (expect_at's words) and takes its entry, which the follower has not applied.
 */
void rig_execute(struct rig *rig, const char *command);
void rig_execute_op(struct rig *rig, struct span op);
/* Under one id, which is kept for a second. */
void rig_execute_with_id(struct rig *rig, uint16_t tag, const struct span *argv, uint32_t argc);
void rig_tick(struct rig *rig);
/* The same, and the follower applies it. */
void rig_run(struct rig *rig, const char *command);
/* The entry's n-th row. */
struct row rig_row(const struct rig *rig, uint32_t n);
/* A command with an argument of n bytes at the end, each of them `byte`. */
void rig_run_long(struct rig *rig, const char *command, size_t n, char byte);

#endif
