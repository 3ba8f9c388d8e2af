/* Commands about keys and databases as such, whatever the values are. */
#include "engine/call.h"

#include "base/limits.h"

#include <string.h>

static bool same(struct span a, struct span b)
{
    return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}

/* --- One key after the other ---------------------------------------------------------------- */

static void delete_keys(struct call *c)
{
    int64_t deleted = 0;
    for (uint32_t i = 0; i < c->argc; i++) {
        if (find_for_write(c, c->db, c->argv[i]) != NULL) {
            (void)store_delete(c->engine->store, c->db, c->argv[i]);
            deleted++;
        }
    }
    reply_integer(c->reply, deleted);
}

void engine_cmd_DEL(struct call *c)
{
    delete_keys(c);
}

void engine_cmd_UNLINK(struct call *c)
{
    delete_keys(c);
}

/* A key that is named twice counts twice. */
static void count_keys(struct call *c)
{
    int64_t found = 0;
    for (uint32_t i = 0; i < c->argc; i++) {
        found += find_for_read(c, c->db, c->argv[i]) != NULL;
    }
    reply_integer(c->reply, found);
}

void engine_cmd_EXISTS(struct call *c)
{
    count_keys(c);
}

void engine_cmd_TOUCH(struct call *c)
{
    count_keys(c);
}

void engine_cmd_TYPE(struct call *c)
{
    const struct item *item = find_for_read(c, c->db, c->argv[0]);
    reply_status(c->reply, item == NULL ? "none" : "string");
}

/* --- Names and places ----------------------------------------------------------------------- */

/* RENAME and RENAMENX; a key may be renamed to itself, which changes nothing. */
static void rename_key(struct call *c, bool only_new)
{
    struct span from = c->argv[0], to = c->argv[1];
    if (find_for_write(c, c->db, from) == NULL) {
        reply_error(c->reply, "ERR no such key");
        return;
    }
    bool taken = same(from, to) || find_for_write(c, c->db, to) != NULL;
    if (!same(from, to) && !(only_new && taken)) {
        (void)store_rename(c->engine->store, c->db, from, c->db, to);
    }
    if (only_new) {
        reply_integer(c->reply, !taken);
    } else {
        reply_ok(c);
    }
}

void engine_cmd_RENAME(struct call *c)
{
    rename_key(c, false);
}

void engine_cmd_RENAMENX(struct call *c)
{
    rename_key(c, true);
}

static void reply_same_object(struct call *c)
{
    reply_error(c->reply, "ERR source and destination objects are the same");
}

void engine_cmd_MOVE(struct call *c)
{
    uint8_t to_db = 0;
    if (!arg_db(c, c->argv[1], &to_db)) {
        return;
    }
    if (to_db == c->db) {
        reply_same_object(c);
        return;
    }
    bool moves = find_for_write(c, c->db, c->argv[0]) != NULL &&
                 find_for_write(c, to_db, c->argv[0]) == NULL;
    if (moves) {
        (void)store_rename(c->engine->store, c->db, c->argv[0], to_db, c->argv[0]);
    }
    reply_integer(c->reply, moves);
}

static bool copy_options(struct call *c, uint8_t *to_db, bool *replace)
{
    *to_db = c->db;
    *replace = false;
    for (uint32_t i = 2; i < c->argc; i++) {
        if (arg_is(c->argv[i], "REPLACE")) {
            *replace = true;
        } else if (arg_is(c->argv[i], "DB") && i + 1 < c->argc) {
            i++;
            if (!arg_db(c, c->argv[i], to_db)) {
                return false;
            }
        } else {
            reply_syntax_error(c);
            return false;
        }
    }
    return true;
}

void engine_cmd_COPY(struct call *c)
{
    uint8_t to_db = 0;
    bool replace = false;
    if (!copy_options(c, &to_db, &replace)) {
        return;
    }
    struct span from = c->argv[0], to = c->argv[1];
    if (to_db == c->db && same(from, to)) {
        reply_same_object(c);
        return;
    }
    if (find_for_write(c, c->db, from) == NULL ||
        (find_for_write(c, to_db, to) != NULL && !replace)) {
        reply_integer(c->reply, 0);
        return;
    }
    const struct item *source = store_find(c->engine->store, c->db, from);
    struct rope *rope = item_rope(source);
    if (rope != NULL) {
        (void)store_put_rope(c->engine->store, to_db, to, rope_ref(rope), item_expire(source));
    } else {
        (void)store_put(c->engine->store, to_db, to, item_value(source), item_expire(source));
    }
    reply_integer(c->reply, 1);
}

void engine_cmd_SWAPDB(struct call *c)
{
    int a = 0, b = 0;
    if (!arg_int(c, c->argv[0], &a, "ERR invalid first DB index") ||
        !arg_int(c, c->argv[1], &b, "ERR invalid second DB index")) {
        return;
    }
    if (a < 0 || a >= DATABASES || b < 0 || b >= DATABASES) {
        reply_error(c->reply, "ERR DB index is out of range");
        return;
    }
    if (a != b) {
        store_swap(c->engine->store, (uint8_t)a, (uint8_t)b);
    }
    reply_ok(c);
}

/* --- Whole databases ------------------------------------------------------------------------ */

/* SYNC and ASYNC mean the same here: the keys are gone at once, their memory in slices. */
static bool flush_options_are_good(struct call *c)
{
    if (c->argc == 0 ||
        (c->argc == 1 && (arg_is(c->argv[0], "SYNC") || arg_is(c->argv[0], "ASYNC")))) {
        return true;
    }
    reply_syntax_error(c);
    return false;
}

void engine_cmd_FLUSHDB(struct call *c)
{
    if (flush_options_are_good(c)) {
        store_clear(c->engine->store, c->db);
        reply_ok(c);
    }
}

void engine_cmd_FLUSHALL(struct call *c)
{
    if (flush_options_are_good(c)) {
        for (uint8_t db = 0; db < DATABASES; db++) {
            store_clear(c->engine->store, db);
        }
        reply_ok(c);
    }
}

/* Counts keys that are due by log time and wait for their tick, as Redis counts expired ones. */
void engine_cmd_DBSIZE(struct call *c)
{
    if (!must_wait_for_tick(c)) {
        reply_integer(c->reply, (int64_t)store_count(c->engine->store, c->db));
    }
}

/* --- MEMORY USAGE --------------------------------------------------------------------------- */

/* SAMPLES is read and does not matter: a string is counted whole. */
void engine_cmd_MEMORY_USAGE(struct call *c)
{
    for (uint32_t i = 1; i < c->argc; i += 2) {
        int64_t samples = 0;
        if (!arg_is(c->argv[i], "SAMPLES") || i + 1 == c->argc) {
            reply_syntax_error(c);
            return;
        }
        if (!arg_integer(c, c->argv[i + 1], &samples)) {
            return;
        }
        if (samples < 0) {
            reply_syntax_error(c);
            return;
        }
    }
    const struct item *item = find_for_read(c, c->db, c->argv[0]);
    if (item == NULL) {
        reply_null(c->reply);
    } else {
        reply_integer(c->reply, (int64_t)item_memory(item));
    }
}
