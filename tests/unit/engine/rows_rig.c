/* See rows_rig.h. */
#include "rows_rig.h"

int rig_setup(void **state)
{
    struct rig *rig = calloc(1, sizeof *rig);
    assert_non_null(rig);
    void *harness = NULL;
    (void)harness_setup(&harness);
    rig->h = harness;
    rig->rows = rows_new();
    *state = rig;
    return 0;
}

int rig_teardown(void **state)
{
    struct rig *rig = *state;
    void *harness = rig->h;
    store_check(engine_store(rig->h->engine));
    store_check(engine_store(rig->h->follower));
    rows_free(rig->rows);
    free((void *)(uintptr_t)rig->payload.p);
    free(rig);
    return harness_teardown(&harness);
}

static void keep(struct rig *rig, struct span payload)
{
    uint8_t *copy = malloc(payload.n);
    assert_non_null(copy);
    memcpy(copy, payload.p, payload.n);
    free((void *)(uintptr_t)rig->payload.p);
    rig->payload = span_of(copy, payload.n);
    assert_true(rows_read(rig->payload, &rig->entry));
}

void rig_execute_op(struct rig *rig, struct span op)
{
    reply_reset(&rig->h->reply);
    keep(rig, rows_execute(rig->rows, rig->h->engine, op, &rig->h->reply));
}

static void execute(struct rig *rig, const struct span *argv, uint32_t argc)
{
    struct op op;
    uint8_t *bytes = encode_command(rig->h, argv, argc, rig->h->stamp, &op);
    rig_execute_op(rig, span_of(bytes, OP_HEADER_BYTES + op.args.n));
    free(bytes);
}

void rig_execute(struct rig *rig, const char *command)
{
    struct span argv[WORDS_MAX];
    char *text = strdup(command);
    assert_non_null(text);
    execute(rig, argv, split_words(text, argv));
    free(text);
}

void rig_run(struct rig *rig, const char *command)
{
    rig_execute(rig, command);
    assert_int_equal(rows_apply(rig->h->follower, &rig->entry), ROWS_DONE);
}

void rig_run_long(struct rig *rig, const char *command, size_t n, char byte)
{
    struct span argv[WORDS_MAX];
    char *text = strdup(command);
    char *value = malloc(n);
    assert_non_null(text);
    assert_non_null(value);
    memset(value, byte, n);
    uint32_t argc = split_words(text, argv);
    argv[argc++] = span_of(value, n);
    execute(rig, argv, argc);
    assert_int_equal(rows_apply(rig->h->follower, &rig->entry), ROWS_DONE);
    free(text);
    free(value);
}

void rig_execute_with_id(struct rig *rig, uint16_t tag, const struct span *argv, uint32_t argc)
{
    uint8_t bytes[512], id_bytes[OP_ID_BYTES_MAX];
    const struct op_id id = {
        .pid = span_of("p", 1), .iid = span_of("i", 1), .seconds = 1, .count = 5, .bytes = 2000
    };
    struct op head = { .stamp = rig->h->stamp, .level = SEMANTICS_LEVEL_IDS, .tag = tag };
    head.id = span_of(id_bytes, op_id_write(id_bytes, &id));
    op_write(bytes, &head, argv, argc);
    rig_execute_op(rig, span_of(bytes, op_bytes(argv, argc) + head.id.n));
}

void rig_tick(struct rig *rig)
{
    keep(rig, rows_tick(rig->rows, rig->h->engine, rig->h->stamp));
}

struct row rig_row(const struct rig *rig, uint32_t n)
{
    struct rows_cursor cursor = rows_begin(&rig->entry);
    struct row row;
    for (uint32_t i = 0; i <= n; i++) {
        assert_true(rows_next(&cursor, &row));
    }
    return row;
}
