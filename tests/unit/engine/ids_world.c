#include "ids_world.h"

#include "base/alloc.h"
#include "base/limits.h"
#include "command/command.h"

#define WORDS_MAX 16

struct engine *ids_engine(struct engine_totals *totals)
{
    struct engine_config config = { .value_bytes_max = 2 * MIB, .totals = totals };
    memcpy(config.hash_key, "0123456789abcdef", sizeof config.hash_key);
    return engine_new(&config);
}

int ids_setup(void **state)
{
    struct world *w = qr_zalloc(sizeof *w);
    w->engine = ids_engine(&w->totals);
    w->follower = ids_engine(NULL);
    reply_init(&w->reply, 2);
    reply_init(&w->silence, 2);
    w->silence.discard = true;
    w->stamp = 1000 * QR_SECOND;
    w->pid = "p";
    w->bounds = (struct op_id){ .seconds = 600, .count = 1000, .bytes = 1 * MIB };
    *state = w;
    return 0;
}

void ids_assert_same(struct engine *a, struct engine *b)
{
    assert_true(engine_digest(a) == engine_digest(b));
    assert_true(engine_rolling_digest(a) == engine_rolling_digest(b));
    assert_int_equal(engine_level(a), engine_level(b));
}

int ids_teardown(void **state)
{
    struct world *w = *state;
    ids_assert_same(w->engine, w->follower);
    store_check(engine_store(w->engine));
    assert_int_equal(w->totals.stats.expired_keys, 0);
    engine_free(w->engine);
    engine_free(w->follower);
    assert_int_equal(w->totals.ids, 0);
    assert_int_equal(w->totals.id_bytes, 0);
    assert_int_equal(w->totals.memory, 0);
    reply_free(&w->reply);
    reply_free(&w->silence);
    free(w);
    return 0;
}

struct span ids_text(const char *s)
{
    return span_of(s, strlen(s));
}

void ids_apply(struct world *w, const struct span *argv, uint32_t argc)
{
    const struct command_spec *container = NULL;
    const struct command_spec *spec = command_find(argv, argc, &container);
    assert_non_null(spec);
    uint8_t id[OP_ID_BYTES_MAX];
    struct op head = {
        .stamp = w->stamp, .seed = 1, .level = SEMANTICS_LEVEL, .tag = spec->tag, .db = w->db
    };
    if (w->iid != NULL) {
        w->bounds.pid = ids_text(w->pid);
        w->bounds.iid = ids_text(w->iid);
        head.id = span_of(id, op_id_write(id, &w->bounds));
        head.level = SEMANTICS_LEVEL_IDS;
    }
    size_t n = op_bytes(argv + 1, argc - 1) + head.id.n;
    uint8_t *bytes = qr_alloc(n);
    op_write(bytes, &head, argv + 1, argc - 1);
    struct op op;
    assert_true(op_read(span_of(bytes, n), &op));
    reply_reset(&w->reply);
    engine_apply(w->engine, &op, &w->reply);
    engine_apply(w->follower, &op, &w->silence);
    assert_int_equal(w->silence.n, 0);
    assert_true(engine_replayed(w->engine) == engine_replayed(w->follower));
    assert_true(engine_rolling_digest(w->engine) == engine_rolling_digest(w->follower));
    free(bytes);
}

void ids_run(struct world *w, const char *command)
{
    char words[256];
    struct span argv[WORDS_MAX];
    uint32_t argc = 0;
    char *rest = NULL;
    assert_true(strlen(command) < sizeof words);
    strcpy(words, command);
    for (char *word = strtok_r(words, " ", &rest); word != NULL;
         word = strtok_r(NULL, " ", &rest)) {
        argv[argc++] = ids_text(word);
    }
    ids_apply(w, argv, argc);
}

void ids_assert_reply(const struct world *w, const char *expected)
{
    assert_int_equal(reply_bytes(&w->reply), strlen(expected));
    assert_memory_equal(w->reply.p, expected, strlen(expected));
    assert_true(w->reply.is_error == (expected[0] == '-'));
}

/* Under an id, or without one (NULL). */
void ids_expect(struct world *w, const char *iid, const char *command, const char *expected)
{
    w->iid = iid;
    ids_run(w, command);
    ids_assert_reply(w, expected);
}

void ids_expect_error(struct world *w, const char *iid, const char *command, const char *code)
{
    w->iid = iid;
    ids_run(w, command);
    assert_true(w->reply.is_error && w->reply.n > strlen(code));
    assert_memory_equal(w->reply.p + 1, code, strlen(code));
    assert_false(engine_replayed(w->engine));
}

void ids_tick(struct world *w)
{
    engine_tick(w->engine, w->stamp);
    engine_tick(w->follower, w->stamp);
}

/* What clients see of a key. */
void ids_assert_value(struct world *w, const char *key, const char *value)
{
    const struct item *item = store_find(engine_store(w->engine), w->db, ids_text(key));
    assert_true((item != NULL) == (value != NULL));
    if (item != NULL) {
        assert_int_equal(item_value(item).n, strlen(value));
        assert_memory_equal(item_value(item).p, value, strlen(value));
    }
}

void ids_put_value(struct world *w, const char *key, size_t n)
{
    char *value = qr_alloc(n);
    memset(value, 'v', n);
    struct span argv[] = { ids_text("set"), ids_text(key), span_of(value, n) };
    w->iid = NULL;
    ids_apply(w, argv, 3);
    free(value);
}
