/* The overlay (engine/overlay.h): which slot a read waits for, how entries leave it on both sides,
 * and what it costs; case by case, and against a model that looks at all entries each time. */
#include "entries.h"
#include "rows_rig.h"

#include "base/limits.h"
#include "engine/engine_internal.h"
#include "engine/overlay.h"

#include <stdio.h>

static const uint8_t hash_key[16] = { 1, 2, 3 };

/* --- Cases ----------------------------------------------------------------------------------- */

struct stage {
    struct rig *rig;
    struct overlay *overlay;
    uint64_t memory; /* the sum */
    qr_slot slot;    /* the last one */
};

static int stage_setup(void **state)
{
    struct stage *s = calloc(1, sizeof *s);
    assert_non_null(s);
    void *rig = NULL;
    (void)rig_setup(&rig);
    s->rig = rig;
    s->memory = 1000; /* of others */
    s->overlay = overlay_new(hash_key, &s->memory);
    *state = s;
    return 0;
}

static int stage_teardown(void **state)
{
    struct stage *s = *state;
    void *rig = s->rig;
    assert_int_equal(s->memory, 1000 + overlay_memory(s->overlay));
    overlay_free(s->overlay);
    assert_int_equal(s->memory, 1000);
    free(s);
    return rig_teardown(&rig);
}

/* Executes it as the entry at the next slot. */
static void run(struct stage *s, const char *command)
{
    rig_run(s->rig, command);
    overlay_add(s->overlay, ++s->slot, s->rig->payload);
    overlay_check(s->overlay);
}

static qr_slot awaited(struct stage *s, const char *command)
{
    struct span argv[WORDS_MAX];
    char *text = strdup(command);
    assert_non_null(text);
    const struct command_spec *container = NULL;
    uint32_t argc = split_words(text, argv);
    const struct command_spec *spec = command_find(argv, argc, &container);
    uint32_t words = spec != NULL ? command_name_words(spec) : 1;
    qr_slot slot = overlay_awaited(s->overlay, s->rig->h->engine, spec, s->rig->h->db, argv + words,
                                   argc - words);
    free(text);
    return slot;
}

static void test_a_read_waits_for_the_slots_that_it_touched(void **state)
{
    struct stage *s = *state;
    assert_int_equal(awaited(s, "GET a"), 0);
    assert_int_equal(awaited(s, "DBSIZE"), 0);
    run(s, "SET a 1");
    run(s, "MSET b 2 c 3");
    run(s, "SET a 4");
    assert_int_equal(awaited(s, "GET a"), 3);
    assert_int_equal(awaited(s, "GET b"), 2);
    assert_int_equal(awaited(s, "GET d"), 0);
    assert_int_equal(awaited(s, "MGET d b c"), 2);
    assert_int_equal(awaited(s, "MGET a b"), 3);
    assert_int_equal(awaited(s, "MEMORY USAGE b"), 2);
    s->rig->h->db = 1;
    assert_int_equal(awaited(s, "GET a"), 0);
    s->rig->h->db = 0;
    overlay_release(s->overlay, 2);
    overlay_check(s->overlay);
    assert_int_equal(awaited(s, "GET b"), 0);
    assert_int_equal(awaited(s, "GET a"), 3);
    overlay_release(s->overlay, 3);
    assert_int_equal(awaited(s, "GET a"), 0);
    assert_int_equal(overlay_last(s->overlay), 0);
}

static void test_who_reads_all_keys_waits_for_the_last_entry(void **state)
{
    struct stage *s = *state;
    run(s, "SET a 1");
    run(s, "DEL none"); /* changed nothing but time */
    assert_int_equal(awaited(s, "SCAN 0"), 2);
    assert_int_equal(awaited(s, "DBSIZE"), 2);
    assert_int_equal(awaited(s, "RANDOMKEY"), 2);
    assert_int_equal(awaited(s, "NONSENSE"), 2);
    assert_int_equal(awaited(s, "GET"), 2); /* its error does not depend on it, but who knows */
    assert_int_equal(awaited(s, "GET none"), 0);
}

static void test_a_statement_may_have_changed_any_key(void **state)
{
    struct stage *s = *state;
    run(s, "SET a 1");
    run(s, "SWAPDB 0 1");
    run(s, "SWAPDB 0 1");
    run(s, "SET a 1 NX");
    assert_int_equal(awaited(s, "GET b"), 3);
    assert_int_equal(awaited(s, "GET a"), 3);
    overlay_release(s->overlay, 2);
    assert_int_equal(awaited(s, "GET b"), 3);
    assert_int_equal(overlay_undo(s->overlay, s->rig->h->engine, 2), OVERLAY_DONE);
    overlay_check(s->overlay);
    assert_int_equal(awaited(s, "GET b"), 0);
    assert_int_equal(overlay_last(s->overlay), 0);
    rig_execute(s->rig, "SWAPDB 0 1"); /* as the follower has it */
}

/* The statement before the one that is taken back counts again. */
static void test_of_two_statements_the_first_counts_again(void **state)
{
    struct stage *s = *state;
    run(s, "SWAPDB 0 1");
    run(s, "SWAPDB 0 1");
    assert_int_equal(overlay_undo(s->overlay, s->rig->h->engine, 1), OVERLAY_DONE);
    assert_int_equal(awaited(s, "GET b"), 1);
    rig_execute(s->rig, "SWAPDB 0 1");
}

/* A key that is due by a log time that may be lost: what it was may come back. */
static void test_a_moment_may_be_lost_too(void **state)
{
    struct stage *s = *state;
    rig_run(s->rig, "SET a 1 PX 10");
    rig_run(s->rig, "SET b 1 PX 20");
    rig_run(s->rig, "SET c 1 PX 2");
    at_ms(s->rig->h, 5);
    rig_run(s->rig, "SET z 1"); /* committed, and c is due by it */
    run(s, "SET d 1");
    at_ms(s->rig->h, 10);
    run(s, "SET d 2");
    at_ms(s->rig->h, 15);
    run(s, "SET d 3");
    assert_int_equal(awaited(s, "GET a"), 2);
    assert_int_equal(awaited(s, "GET b"), 0); /* not due yet */
    assert_int_equal(awaited(s, "GET c"), 0);
    assert_int_equal(awaited(s, "MGET a d"), 3);
    overlay_release(s->overlay, 2);
    assert_int_equal(awaited(s, "GET a"), 0);
    at_ms(s->rig->h, 20);
    overlay_add_other(s->overlay, ++s->slot, s->rig->h->engine->log_time);
    run(s, "SET d 4");
    assert_int_equal(awaited(s, "GET b"), 5);
    at_ms(s->rig->h, 25);
    run(s, "SETNX b 2"); /* now its row says so */
    assert_int_equal(awaited(s, "GET b"), 6);
}

static void test_what_is_no_rows_cannot_be_taken_back(void **state)
{
    struct stage *s = *state;
    run(s, "SET a 1");
    overlay_add_other(s->overlay, ++s->slot, s->rig->h->engine->log_time);
    run(s, "SET a 2");
    assert_int_equal(awaited(s, "GET b"), 0);
    assert_int_equal(awaited(s, "GET a"), 3);
    assert_int_equal(overlay_undo(s->overlay, s->rig->h->engine, 1), OVERLAY_ONE_WAY);
    expect(s->rig->h, "GET a", "$1|2|");
    assert_int_equal(overlay_last(s->overlay), 3);
    assert_int_equal(overlay_undo(s->overlay, s->rig->h->engine, 2), OVERLAY_DONE);
    expect(s->rig->h, "GET a", "$1|1|");
    assert_int_equal(awaited(s, "GET a"), 1);
    run(s, "FLUSHALL");
    assert_int_equal(overlay_undo(s->overlay, s->rig->h->engine, 2), OVERLAY_ONE_WAY);
    rig_run(s->rig, "FLUSHALL");
}

static void test_a_state_that_others_changed_is_refused(void **state)
{
    struct stage *s = *state;
    run(s, "SET a 1");
    run(s, "SET a 2");
    rig_run(s->rig, "SET a 3"); /* not told */
    assert_int_equal(overlay_undo(s->overlay, s->rig->h->engine, 0), OVERLAY_DIFFERENT);
}

static void test_it_is_bounded(void **state)
{
    struct stage *s = *state;
    char command[64];
    s->rig->h->engine->config.value_bytes_max = MIB;
    s->rig->h->follower->config.value_bytes_max = MIB;
    uint64_t empty = overlay_memory(s->overlay);
    int entries = 0;
    for (; overlay_has_room(s->overlay); entries++) {
        uint64_t before = overlay_memory(s->overlay);
        (void)snprintf(command, sizeof command, "SET key:%d", entries);
        rig_run_long(s->rig, command, LARGE_BYTES, (char)('a' + entries % 26));
        overlay_add(s->overlay, ++s->slot, s->rig->payload);
        assert_true(overlay_memory(s->overlay) >= before + s->rig->payload.n);
        assert_true(before < OVERLAY_BYTES_MAX);
    }
    assert_true(overlay_memory(s->overlay) >= OVERLAY_BYTES_MAX);
    assert_in_range(entries, 250, 256);
    overlay_check(s->overlay);
    overlay_release(s->overlay, 1);
    assert_true(overlay_has_room(s->overlay));
    overlay_release(s->overlay, s->slot);
    overlay_check(s->overlay);
    assert_in_range(overlay_memory(s->overlay), empty, empty + 8 * KIB); /* its ring has grown */
}

/* Of many keys; the table of keys follows their number up and down. */
static void test_many_keys(void **state)
{
    struct stage *s = *state;
    char command[64];
    uint64_t empty = overlay_memory(s->overlay);
    for (int i = 0; i < 1500; i++) {
        (void)snprintf(command, sizeof command, "SET key:%d v", i);
        run(s, command);
    }
    for (int i = 0; i < 1500; i++) {
        (void)snprintf(command, sizeof command, "GET key:%d", i);
        assert_int_equal(awaited(s, command), i + 1);
    }
    overlay_release(s->overlay, 700);
    overlay_check(s->overlay);
    assert_int_equal(awaited(s, "GET key:699"), 0);
    assert_int_equal(awaited(s, "GET key:700"), 701);
    overlay_release(s->overlay, 1499);
    overlay_check(s->overlay);
    assert_int_equal(awaited(s, "GET key:1499"), 1500);
    overlay_release(s->overlay, 1500);
    assert_in_range(overlay_memory(s->overlay), empty, empty + 16 * KIB); /* the ring */
}

/* --- The model ------------------------------------------------------------------------------- */

struct known {
    qr_slot slot;
    struct span payload;
    uint64_t digest; /* before it */
};

struct model {
    struct known v[ENTRIES];
    uint32_t from, to; /* not committed: v[from .. to - 1] */
    struct engine *engine;
    struct overlay *overlay;
    struct rows *rows;
    struct rng rng;
    unsigned waits, free_reads, undone, refused, by_time;
};

static bool names(const struct rows_entry *entry, uint8_t db, struct span key)
{
    struct rows_cursor cursor = rows_begin(entry);
    struct row row;
    while (rows_next(&cursor, &row)) {
        if (row.db == db && row.key.n == key.n && memcmp(row.key.p, key.p, key.n) == 0) {
            return true;
        }
    }
    return entry->form != ROWS_FORM_ROWS;
}

static qr_slot expected(struct model *m, uint8_t db, struct span key)
{
    const struct item *item = store_find(m->engine->store, db, key);
    qr_wall due = item != NULL ? item_expire(item) : 0;
    qr_slot slot = 0;
    for (uint32_t i = m->from; i < m->to; i++) {
        struct rows_entry entry;
        assert_true(rows_read(m->v[i].payload, &entry));
        if (names(&entry, db, key)) {
            slot = m->v[i].slot;
        } else if (due > entry.time_before && due <= rows_time_after(&entry)) {
            slot = m->v[i].slot; /* a later write of it would have let it go */
            m->by_time++;
        }
    }
    return slot;
}

static void look(struct model *m)
{
    const struct command_spec *get = command_by_name(span_of("get", 3));
    char text[32];
    uint8_t db = (uint8_t)rng_below(&m->rng, 4);
    (void)snprintf(text, sizeof text, "key:%u", (unsigned)rng_below(&m->rng, 64));
    struct span key = span_of(text, strlen(text));
    qr_slot slot = overlay_awaited(m->overlay, m->engine, get, db, &key, 1);
    assert_int_equal(slot, expected(m, db, key));
    m->waits += slot > 0;
    m->free_reads += slot == 0 && m->from < m->to;
}

static void go_back(struct model *m)
{
    uint32_t to = m->from + (uint32_t)rng_below(&m->rng, m->to - m->from + 1);
    uint32_t most = m->to > 30 ? m->to - 30 : 0;
    to = to < most ? most : to;
    qr_slot behind = to > 0 ? m->v[to - 1].slot : 0;
    uint64_t digest = engine_rolling_digest(m->engine);
    enum overlay_result result = overlay_undo(m->overlay, m->engine, behind);
    if (result == OVERLAY_ONE_WAY) {
        m->refused++;
        assert_true(engine_rolling_digest(m->engine) == digest);
        return;
    }
    assert_int_equal(result, OVERLAY_DONE);
    assert_true(to == m->to || engine_rolling_digest(m->engine) == m->v[to].digest);
    for (; m->to > to; m->to--) {
        free((void *)(uintptr_t)m->v[m->to - 1].payload.p);
        m->undone++;
    }
}

static void execute(struct model *m, const struct entry *entry, struct reply *reply)
{
    struct known *known = &m->v[m->to++];
    known->digest = engine_rolling_digest(m->engine);
    known->slot = (m->to > 1 ? m->v[m->to - 2].slot : 0) + 1 + rng_below(&m->rng, 3);
    reply_reset(reply);
    struct span payload =
        entry->bytes == NULL
            ? rows_tick(m->rows, m->engine, entry->stamp)
            : rows_execute(m->rows, m->engine, span_of(entry->bytes, entry->n), reply);
    overlay_add(m->overlay, known->slot, payload);
    uint8_t *copy = malloc(payload.n);
    assert_non_null(copy);
    memcpy(copy, payload.p, payload.n);
    known->payload = span_of(copy, payload.n);
}

static void test_agrees_with_a_model(void **state)
{
    (void)state;
    struct engine_config config = { .value_bytes_max = 64 * KIB };
    struct model *m = calloc(1, sizeof *m);
    struct entries *log = entries_new(11);
    struct reply reply;
    assert_non_null(m);
    reply_init(&reply, 2);
    m->engine = engine_new(&config);
    m->overlay = overlay_new(hash_key, NULL);
    m->rows = rows_new();
    m->rng = rng_from(12);
    for (size_t i = 0; i < ENTRIES / 2; i++) {
        execute(m, &log->v[i], &reply);
        look(m);
        if (rng_chance(&m->rng, 1, 10)) {
            m->from += (uint32_t)rng_below(&m->rng, m->to - m->from + 1) / 2;
            overlay_release(m->overlay, m->from > 0 ? m->v[m->from - 1].slot : 0);
        }
        if (rng_chance(&m->rng, 1, 40)) {
            go_back(m);
        }
        look(m);
        if (i % 50 == 0) {
            overlay_check(m->overlay);
        }
    }
    assert_true(m->waits > 500 && m->free_reads > 500 && m->undone > 300);
    assert_true(m->refused > 3 && m->by_time > 10);
    while (m->to > 0) {
        free((void *)(uintptr_t)m->v[--m->to].payload.p);
    }
    overlay_free(m->overlay);
    rows_free(m->rows);
    engine_free(m->engine);
    entries_free(log);
    reply_free(&reply);
    free(m);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, stage_setup, stage_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_a_read_waits_for_the_slots_that_it_touched),
        TEST(test_who_reads_all_keys_waits_for_the_last_entry),
        TEST(test_a_statement_may_have_changed_any_key),
        TEST(test_of_two_statements_the_first_counts_again),
        TEST(test_a_moment_may_be_lost_too),
        TEST(test_what_is_no_rows_cannot_be_taken_back),
        TEST(test_a_state_that_others_changed_is_refused),
        TEST(test_it_is_bounded),
        TEST(test_many_keys),
        cmocka_unit_test(test_agrees_with_a_model),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
