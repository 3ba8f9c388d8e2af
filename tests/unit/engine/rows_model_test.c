/* Equal digests (row L3, point 2 of the features that primary/backup is made of): of three engines
 * one executes commands, as with LOG statement, one executes them for their rows, one applies the
 * rows and executes nothing. And whatever was applied can be taken back. */
#include "entries.h"
#include "harness.h"

#include "base/limits.h"
#include "command/command.h"
#include "engine/rows.h"

#define WINDOW 80 /* entries that are taken back at a time */
#define STEP 40   /* so each prefix is gone back to twice */
#define FULL 20   /* the digest that is made anew, which takes long, of one in so many */

struct world {
    struct entries *log;
    struct engine *statement, *primary, *follower;
    struct rows *rows;
    struct reply reply, expected;
    struct span payload[ENTRIES];
    uint64_t rolling[ENTRIES + 1], digest[ENTRIES + 1]; /* before each entry, and at the end */
    unsigned forms[4], undone, one_way, twice;
};

static struct engine *new_engine(void)
{
    struct engine_config config = { .value_bytes_max = 64 * KIB };
    memcpy(config.hash_key, "fedcba9876543210", sizeof config.hash_key);
    return engine_new(&config);
}

static struct world *world_new(uint64_t seed)
{
    struct world *w = calloc(1, sizeof *w);
    assert_non_null(w);
    w->log = entries_new(seed);
    w->statement = new_engine();
    w->primary = new_engine();
    w->follower = new_engine();
    w->rows = rows_new();
    reply_init(&w->reply, 2);
    reply_init(&w->expected, 2);
    return w;
}

static void world_free(struct world *w)
{
    for (size_t i = 0; i < ENTRIES; i++) {
        free((void *)(uintptr_t)w->payload[i].p);
    }
    entries_free(w->log);
    engine_free(w->statement);
    engine_free(w->primary);
    engine_free(w->follower);
    rows_free(w->rows);
    reply_free(&w->reply);
    reply_free(&w->expected);
    free(w);
}

static struct rows_entry entry_of(const struct world *w, size_t i)
{
    struct rows_entry entry;
    assert_true(rows_read(w->payload[i], &entry));
    return entry;
}

static void keep(struct world *w, size_t i, struct span payload)
{
    uint8_t *copy = malloc(payload.n);
    assert_non_null(copy);
    memcpy(copy, payload.p, payload.n);
    w->payload[i] = span_of(copy, payload.n);
    w->forms[entry_of(w, i).form]++;
}

/* By the statement, and by its rows, which are kept. */
static void execute(struct world *w, size_t i)
{
    const struct entry *entry = &w->log->v[i];
    if (entry->bytes == NULL) {
        engine_tick(w->statement, entry->stamp);
        keep(w, i, rows_tick(w->rows, w->primary, entry->stamp));
        return;
    }
    struct op op;
    assert_true(op_read(span_of(entry->bytes, entry->n), &op));
    reply_reset(&w->expected);
    reply_reset(&w->reply);
    engine_apply(w->statement, &op, &w->expected);
    keep(w, i, rows_execute(w->rows, w->primary, span_of(entry->bytes, entry->n), &w->reply));
    assert_int_equal(w->reply.n, w->expected.n);
    assert_memory_equal(w->reply.p, w->expected.p, w->reply.n);
    assert_int_equal(engine_replayed(w->primary), engine_replayed(w->statement));
}

static void same_accounts(const struct engine *a, const struct engine *b)
{
    assert_int_equal(engine_totals(a)->ids, engine_totals(b)->ids);
    assert_int_equal(engine_totals(a)->id_bytes, engine_totals(b)->id_bytes);
}

/* Takes back up to WINDOW of the entries before `to`, on both, and applies them again. */
static void back_and_forth(struct world *w, size_t to)
{
    size_t i = to;
    while (i > 0 && to - i < WINDOW) {
        struct rows_entry entry = entry_of(w, i - 1);
        enum rows_result result = rows_undo(w->primary, &entry);
        assert_int_equal(result, rows_can_undo(&entry) ? ROWS_DONE : ROWS_ONE_WAY);
        assert_int_equal(rows_undo(w->follower, &entry), result);
        w->one_way += result == ROWS_ONE_WAY;
        if (result == ROWS_ONE_WAY) {
            break;
        }
        i--;
        w->undone++;
        assert_true(engine_rolling_digest(w->primary) == w->rolling[i]);
        assert_true(engine_rolling_digest(w->follower) == w->rolling[i]);
        assert_true(i % FULL > 0 || engine_digest(w->follower) == w->digest[i]);
    }
    for (; i < to; i++) {
        struct rows_entry entry = entry_of(w, i);
        assert_int_equal(rows_apply(w->primary, &entry), ROWS_DONE);
        assert_int_equal(rows_apply(w->follower, &entry), ROWS_DONE);
        assert_true(engine_rolling_digest(w->primary) == w->rolling[i + 1]);
    }
}

static void note_digests(struct world *w, size_t i)
{
    w->rolling[i] = engine_rolling_digest(w->statement);
    assert_true(engine_rolling_digest(w->primary) == w->rolling[i]);
    assert_true(engine_rolling_digest(w->follower) == w->rolling[i]);
    if (i % FULL == 0) {
        w->digest[i] = engine_digest(w->statement);
        assert_true(engine_digest(w->primary) == w->digest[i]);
        assert_true(engine_digest(w->follower) == w->digest[i]);
    }
    same_accounts(w->statement, w->primary);
    same_accounts(w->statement, w->follower);
}

static void run(struct world *w, bool undoing)
{
    note_digests(w, 0);
    for (size_t i = 0; i < ENTRIES; i++) {
        execute(w, i);
        struct rows_entry entry = entry_of(w, i);
        assert_int_equal(rows_apply(w->follower, &entry), ROWS_DONE);
        if (i % 7 == 0 && entry.form == ROWS_FORM_ROWS) { /* W5 */
            assert_int_equal(rows_apply(w->follower, &entry), ROWS_DONE);
            w->twice++;
        }
        note_digests(w, i + 1);
        if (undoing && (i + 1) % STEP == 0) {
            back_and_forth(w, i + 1);
            note_digests(w, i + 1);
        }
    }
    store_check(engine_store(w->primary));
    store_check(engine_store(w->follower));
}

static void test_L3_rows_and_statements_give_equal_digests(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 3; seed++) {
        struct world *w = world_new(seed);
        run(w, false);
        /* The run must have meant something. */
        assert_true(w->forms[ROWS_FORM_ROWS] > ENTRIES * 9 / 10);
        assert_true(w->forms[ROWS_FORM_STATEMENT] > 50 && w->twice > 1000);
        assert_true(engine_totals(w->follower)->ids > 5);
        world_free(w);
    }
}

static void test_every_prefix_comes_back(void **state)
{
    (void)state;
    for (uint64_t seed = 4; seed <= 6; seed++) {
        struct world *w = world_new(seed);
        run(w, true);
        assert_true(w->undone > ENTRIES && w->one_way > 5);
        world_free(w);
    }
}

/* The workload has every command that writes. */
static void test_all_commands_are_among_them(void **state)
{
    (void)state;
    struct entries *log = entries_new(1);
    for (size_t at = 0; at < command_count(); at++) {
        bool found = command_at(at)->place != PLACE_WRITE;
        for (size_t i = 0; i < ENTRIES && !found; i++) {
            struct span bytes = span_of(log->v[i].bytes, log->v[i].n);
            struct op op;
            found = bytes.p != NULL && op_read(bytes, &op) && op.tag == command_at(at)->tag;
        }
        assert_true(found);
    }
    entries_free(log);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_L3_rows_and_statements_give_equal_digests),
        cmocka_unit_test(test_every_prefix_comes_back),
        cmocka_unit_test(test_all_commands_are_among_them),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
