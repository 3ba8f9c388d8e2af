/* Ops with an id (engine/idempotency.c): carried out once; the reply kept, in whichever version it
 * is asked for again; ids kept until they expire and never dropped before. */
#include "ids_world.h"

#include "base/limits.h"
#include "command/command.h"

#define RECORD_COST 128u /* as engine/idempotency.c has it */

/* --- Once ----------------------------------------------------------------------------------- */

static void test_a_command_is_carried_out_once(void **state)
{
    struct world *w = *state;
    ids_expect(w, "1", "incr k", ":1\r\n");
    assert_false(engine_replayed(w->engine));
    assert_int_equal(engine_level(w->engine), SEMANTICS_LEVEL_IDS);
    ids_expect(w, "1", "incr k", ":1\r\n");
    assert_true(engine_replayed(w->engine));
    ids_expect(w, NULL, "incr k", ":2\r\n");
    assert_false(engine_replayed(w->engine));
    ids_expect(w, "1", "incr k", ":1\r\n"); /* the reply of then, whatever came since */
    ids_expect(w, "2", "incr k", ":3\r\n");
    w->pid = "q"; /* ids are their producer's */
    ids_expect(w, "1", "incr k", ":4\r\n");
    ids_assert_value(w, "k", "4");
    assert_int_equal(w->totals.stats.ids_replayed, 2);
    assert_int_equal(w->totals.ids, 3);
}

/* No two pairs of names make one id. */
static void test_names_do_not_run_together(void **state)
{
    struct world *w = *state;
    static const char *const names[][2] = { { "a", "bc" }, { "ab", "c" }, { "abc", "x" } };
    for (size_t i = 0; i < ARRAY_COUNT(names); i++) {
        w->pid = names[i][0];
        w->iid = names[i][1];
        ids_run(w, "incr k");
        assert_false(engine_replayed(w->engine));
    }
    ids_assert_value(w, "k", "3");
    char longest[OP_NAME_BYTES_MAX + 1] = { 0 };
    memset(longest, 'n', OP_NAME_BYTES_MAX);
    w->pid = longest;
    ids_expect(w, longest, "incr k", ":4\r\n");
    ids_expect(w, longest, "incr k", ":4\r\n");
}

static void test_another_command_under_an_id_is_refused(void **state)
{
    struct world *w = *state;
    ids_expect(w, "1", "append k ab", ":2\r\n");
    uint64_t before = engine_digest(w->engine);
    ids_expect_error(w, "1", "append k abc", "IDMPMISMATCH "); /* another argument, */
    ids_expect_error(w, "1", "setnx k ab", "IDMPMISMATCH ");   /* another command, */
    ids_expect_error(w, "1", "append ka b", "IDMPMISMATCH ");  /* the same bytes cut otherwise, */
    w->db = 1;
    ids_expect_error(w, "1", "append k ab", "IDMPMISMATCH "); /* another database */
    w->db = 0;
    assert_true(engine_digest(w->engine) == before);
    assert_int_equal(w->totals.stats.ids_mismatched, 4);
    ids_expect(w, "1", "APPEND k ab", ":2\r\n"); /* it is still there */
    ids_assert_value(w, "k", "ab");
}

/* What is no write is not carried out under an id, and not remembered. */
static void test_only_writes_have_ids(void **state)
{
    struct world *w = *state;
    ids_expect_error(w, "1", "get k", "ERR ");
    assert_int_equal(w->totals.ids, 0);
    uint8_t id[OP_ID_BYTES_MAX], bytes[OP_HEADER_BYTES + OP_ID_BYTES_MAX];
    struct op op = { .level = SEMANTICS_LEVEL_IDS, .tag = OP_SYSTEM, .stamp = w->stamp };
    w->bounds.pid = w->bounds.iid = ids_text("x");
    op.id = span_of(id, op_id_write(id, &w->bounds));
    op_write(bytes, &op, NULL, 0);
    assert_true(op_read(span_of(bytes, OP_HEADER_BYTES + op.id.n), &op));
    reply_reset(&w->reply);
    engine_apply(w->engine, &op, &w->reply);
    engine_apply(w->follower, &op, &w->silence);
    assert_true(w->reply.is_error);
    assert_int_equal(engine_system_version(w->engine), 0);
}

/* --- Replies -------------------------------------------------------------------------------- */

static void test_every_kind_of_reply_is_kept(void **state)
{
    struct world *w = *state;
    static const struct {
        const char *command, *two, *three;
    } cases[] = {
        { "set k 1", "+OK\r\n", "+OK\r\n" },
        { "set k 2 get", "$1\r\n1\r\n", "$1\r\n1\r\n" },
        { "set n 2 get", "$-1\r\n", "_\r\n" },
        { "getdel absent", "$-1\r\n", "_\r\n" },
        { "incrbyfloat k 0.5", "$3\r\n2.5\r\n", "$3\r\n2.5\r\n" },
        { "incr k", "-ERR value is not an integer or out of range\r\n",
          "-ERR value is not an integer or out of range\r\n" },
        { "del k n", ":2\r\n", ":2\r\n" },
    };
    for (uint32_t i = 0; i < ARRAY_COUNT(cases); i++) {
        char iid[8];
        (void)snprintf(iid, sizeof iid, "%u", i);
        w->reply.version = i % 2 == 0 ? 2 : 3; /* whoever asks first */
        for (uint32_t round = 0; round < 4; round++) {
            ids_expect(w, iid, cases[i].command,
                       w->reply.version == 2 ? cases[i].two : cases[i].three);
            assert_true(engine_replayed(w->engine) == (round > 0));
            w->reply.version = w->reply.version == 2 ? 3 : 2;
        }
    }
}

/* The first one hears all of it, the next that it is too long; and the value is still gone. */
static void test_a_long_reply_is_not_kept(void **state)
{
    struct world *w = *state;
    const size_t head = strlen("$4080\r\n") + 2;
    const size_t sizes[] = { ID_REPLY_BYTES_MAX - head, ID_REPLY_BYTES_MAX - head + 1, 1 * MIB };
    for (uint32_t i = 0; i < ARRAY_COUNT(sizes); i++) {
        char iid[8];
        (void)snprintf(iid, sizeof iid, "%u", i);
        ids_put_value(w, "k", sizes[i]);
        w->iid = iid;
        ids_run(w, "getdel k");
        assert_true(reply_bytes(&w->reply) >= sizes[i] + head && !w->reply.is_error);
        ids_assert_value(w, "k", NULL);
        ids_run(w, "getdel k");
        assert_true(engine_replayed(w->engine));
        assert_true(i == 0 ? w->reply.n == ID_REPLY_BYTES_MAX
                           : memcmp(w->reply.p, "+DONE ", 6) == 0);
    }
}

/* --- Expiry --------------------------------------------------------------------------------- */

static void test_ids_expire_by_log_time(void **state)
{
    struct world *w = *state;
    w->bounds.seconds = 10;
    qr_wall start = w->stamp;
    ids_expect(w, "1", "incr k", ":1\r\n");
    w->stamp = start + 9 * QR_SECOND;
    ids_expect(w, "1", "incr k", ":1\r\n"); /* which does not prolong it */
    assert_int_equal(engine_next_due(w->engine), start + 10 * QR_SECOND);
    w->stamp = start + 10 * QR_SECOND - 1;
    ids_expect(w, "1", "incr k", ":1\r\n");
    w->stamp = start + 10 * QR_SECOND;
    ids_expect(w, "1", "incr k", ":2\r\n");
    assert_int_equal(w->totals.ids, 1);
    assert_int_equal(engine_next_due(w->engine), start + 20 * QR_SECOND);
    w->stamp = start + 20 * QR_SECOND;
    ids_tick(w);
    assert_int_equal(w->totals.ids, 0);
    assert_int_equal(w->totals.id_bytes, 0);
    assert_int_equal(store_count(engine_store(w->engine), IDS_DB), 0);
    assert_true(engine_next_due(w->engine) == QR_NEVER);
    assert_int_equal(engine_level(w->engine), SEMANTICS_LEVEL);
}

/* The clock of a new leader is behind, or jumps: what counts is log time, which never goes back. */
static void test_a_stamp_that_goes_back_shortens_nothing(void **state)
{
    struct world *w = *state;
    w->bounds.seconds = 10;
    qr_wall start = w->stamp;
    ids_expect(w, NULL, "set x 1", "+OK\r\n");
    w->stamp = start - 8 * QR_SECOND;
    ids_expect(w, "1", "incr k", ":1\r\n");
    assert_int_equal(engine_next_due(w->engine), start + 10 * QR_SECOND);
    w->stamp = start + 10 * QR_SECOND - 1;
    ids_expect(w, "1", "incr k", ":1\r\n");
    w->stamp = start - 1000 * QR_SECOND; /* it stands still, however far it is behind */
    ids_tick(w);
    ids_expect(w, "1", "incr k", ":1\r\n");
    w->stamp = start + 10 * QR_SECOND; /* the moment itself, by an op that is another's */
    ids_expect(w, NULL, "set x 2", "+OK\r\n");
    w->stamp = start;
    ids_expect(w, "1", "incr k", ":2\r\n");
    assert_int_equal(engine_next_due(w->engine), start + 20 * QR_SECOND);
}

/* --- Bounds --------------------------------------------------------------------------------- */

/* The window is of a whole name: of one that begins as another, or is its beginning, too. */
static void test_windows_of_like_names_are_apart(void **state)
{
    struct world *w = *state;
    static const char *const pids[] = { "web", "web-1", "web-2", "we", "w", "xeb" };
    w->bounds.count = 1;
    for (size_t i = 0; i < ARRAY_COUNT(pids); i++) {
        w->pid = pids[i];
        ids_expect(w, "1", "setnx k v", i == 0 ? ":1\r\n" : ":0\r\n");
        ids_expect_error(w, "2", "setnx k v", "IDMPFULL ");
    }
    w->stamp += 600 * QR_SECOND;
    ids_tick(w);
    assert_int_equal(store_count(engine_store(w->engine), IDS_DB), 0);
}

static void test_a_full_window_refuses(void **state)
{
    struct world *w = *state;
    w->bounds.count = 2;
    w->bounds.seconds = 10;
    ids_expect(w, "1", "incr k", ":1\r\n");
    w->stamp += QR_SECOND;
    ids_expect(w, "2", "incr k", ":2\r\n");
    uint64_t before = engine_digest(w->engine);
    ids_expect_error(w, "3", "incr k", "IDMPFULL ");
    assert_true(engine_digest(w->engine) == before);
    assert_int_equal(w->totals.stats.ids_refused, 1);
    ids_expect(w, "1", "incr k", ":1\r\n"); /* those that are there are as before */
    w->pid = "q";
    ids_expect(w, "3", "incr k", ":3\r\n"); /* and others have a window of their own */
    w->pid = "p";
    w->stamp += 9 * QR_SECOND; /* the first one is due, and no tick has come */
    ids_expect(w, "3", "incr k", ":4\r\n");
    ids_expect_error(w, "4", "incr k", "IDMPFULL ");
    assert_int_equal(w->totals.ids, 3);
    w->bounds.count = 3; /* the op says what the bound is */
    ids_expect(w, "4", "incr k", ":5\r\n");
}

static void test_full_of_bytes_refuses(void **state)
{
    struct world *w = *state;
    const uint64_t one = RECORD_COST + 3 + 9 + 4; /* its names, its head, ":1\r\n" */
    w->bounds.bytes = one + 1;
    ids_expect(w, "1", "incr k", ":1\r\n");
    assert_int_equal(w->totals.id_bytes, one);
    w->pid = "q";
    ids_expect(w, "1", "incr k", ":2\r\n"); /* there was a byte left */
    assert_int_equal(w->totals.id_bytes, 2 * one);
    ids_expect_error(w, "2", "incr k", "IDMPFULL ");
    w->bounds.bytes = 2 * one;
    ids_expect_error(w, "2", "incr k", "IDMPFULL ");
    w->stamp += 600 * QR_SECOND;
    ids_expect(w, "2", "incr k", ":3\r\n");
    assert_int_equal(w->totals.id_bytes, 2 * one);
}

/* What is due and was not ticked away is not gone through without end. */
static void test_room_is_made_in_slices(void **state)
{
    struct world *w = *state;
    const uint32_t many = EXPIRE_BATCH_KEYS + 10;
    w->bounds.count = many;
    w->bounds.seconds = 1;
    for (uint32_t i = 0; i < many; i++) {
        char iid[16];
        (void)snprintf(iid, sizeof iid, "%u", i);
        w->iid = iid;
        ids_run(w, "incr k");
    }
    w->stamp += QR_SECOND;
    w->bounds.count = 5;
    ids_expect_error(w, "x", "incr k", "IDMPFULL ");
    assert_int_equal(w->totals.ids, 10);
    w->iid = "x";
    ids_run(w, "incr k");
    assert_false(w->reply.is_error);
    assert_int_equal(w->totals.ids, 5);
}

static void test_no_command_sees_or_drops_them(void **state)
{
    struct world *w = *state;
    ids_expect(w, "1", "set k v", "+OK\r\n");
    ids_expect(w, "2", "flushall", "+OK\r\n");
    ids_expect(w, NULL, "flushall", "+OK\r\n");
    ids_expect(w, NULL, "flushdb", "+OK\r\n");
    uint8_t none[20] = { 0 }, content[20];
    engine_content_digest(w->engine, content);
    assert_memory_equal(content, none, sizeof none);
    for (uint8_t db = 0; db < DATABASES; db++) {
        assert_int_equal(store_count(engine_store(w->engine), db), 0);
    }
    ids_expect(w, "1", "set k v", "+OK\r\n");
    assert_true(engine_replayed(w->engine));
    ids_assert_value(w, "k", NULL);
    assert_int_equal(w->totals.ids, 2);
    ids_expect_error(w, NULL, "swapdb 0 17", "ERR ");
    ids_expect_error(w, NULL, "move k 17", "ERR ");
}

static void test_memory_is_counted(void **state)
{
    struct world *w = *state;
    uint64_t before = store_memory(engine_store(w->engine));
    for (uint32_t i = 0; i < 1000; i++) {
        char iid[16], pid[16];
        (void)snprintf(iid, sizeof iid, "%u", i);
        (void)snprintf(pid, sizeof pid, "%u", i / 10);
        w->pid = pid;
        w->iid = iid;
        ids_run(w, "incr k");
    }
    uint64_t used = store_memory(engine_store(w->engine)) - before;
    assert_in_range(used, w->totals.id_bytes / 2, w->totals.id_bytes); /* the bound is none below */
    w->pid = "p";
    w->stamp += 600 * QR_SECOND;
    ids_tick(w);
    assert_int_equal(w->totals.ids, 0);
    assert_in_range(store_memory(engine_store(w->engine)), before, before + 8 * KIB);
}

/* The sums of several engines, one of which is given to another thread to be freed. */
static void test_totals_are_of_all_engines(void **state)
{
    struct world *w = *state;
    struct engine *other = ids_engine(&w->totals);
    struct engine *mine = w->engine;
    ids_expect(w, "1", "incr k", ":1\r\n");
    w->engine = other;
    struct engine *follower = w->follower;
    w->follower = ids_engine(NULL);
    ids_expect(w, "1", "incr k", ":1\r\n");
    assert_int_equal(w->totals.ids, 2);
    uint64_t bytes = w->totals.id_bytes;
    engine_leave(other);
    assert_int_equal(w->totals.ids, 1);
    assert_int_equal(w->totals.id_bytes, bytes / 2);
    assert_int_equal(engine_totals(other)->ids, 1); /* its own, from now on */
    assert_int_equal(engine_totals(other)->id_bytes, bytes / 2);
    engine_free(other);
    engine_free(w->follower);
    assert_int_equal(w->totals.ids, 1);
    w->engine = mine;
    w->follower = follower;
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, ids_setup, ids_teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_a_command_is_carried_out_once),
        TEST(test_names_do_not_run_together),
        TEST(test_another_command_under_an_id_is_refused),
        TEST(test_only_writes_have_ids),
        TEST(test_every_kind_of_reply_is_kept),
        TEST(test_a_long_reply_is_not_kept),
        TEST(test_ids_expire_by_log_time),
        TEST(test_a_stamp_that_goes_back_shortens_nothing),
        TEST(test_windows_of_like_names_are_apart),
        TEST(test_a_full_window_refuses),
        TEST(test_full_of_bytes_refuses),
        TEST(test_room_is_made_in_slices),
        TEST(test_no_command_sees_or_drops_them),
        TEST(test_memory_is_counted),
        TEST(test_totals_are_of_all_engines),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
