/* A leader's engine with a client that sends commands under ids, and a follower's beside it, which
 * must be the same after each of them. */
#ifndef TESTS_UNIT_ENGINE_IDS_WORLD_H
#define TESTS_UNIT_ENGINE_IDS_WORLD_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "engine/engine.h"

struct world {
    struct engine *engine, *follower;
    struct engine_totals totals;
    struct reply reply, silence;
    qr_wall stamp;
    const char *pid, *iid; /* NULL: the command has none */
    struct op_id bounds;
    uint8_t db;
};

struct span ids_text(const char *s);
struct engine *ids_engine(struct engine_totals *totals);

/* cmocka fixtures: *state is a struct world. */
int ids_setup(void **state);
int ids_teardown(void **state);

void ids_assert_same(struct engine *a, struct engine *b);

/* Carries a command out on both; under w->iid, if that is set. */
void ids_apply(struct world *w, const struct span *argv, uint32_t argc);
void ids_run(struct world *w, const char *command);
void ids_assert_reply(const struct world *w, const char *expected);
/* The same, under an id or without one (NULL), and what is answered: all of it, or the code. */
void ids_expect(struct world *w, const char *iid, const char *command, const char *expected);
void ids_expect_error(struct world *w, const char *iid, const char *command, const char *code);
/* A tick at the present stamp, on both. */
void ids_tick(struct world *w);

/* What clients see of a key; NULL: nothing. */
void ids_assert_value(struct world *w, const char *key, const char *value);
/* Sets it to a value of n bytes, without an id. */
void ids_put_value(struct world *w, const char *key, size_t n);

#endif
