/* Payloads of the logical log: refused, or written again as the same bytes; and applied to a state
 * that some of them fit. What does not fit changes nothing; what does goes back and forth. */
#include "fuzz.h"

#include "base/alloc.h"
#include "base/limits.h"
#include "engine/overlay.h"
#include "engine/rows.h"

#include <string.h>

/* Log time 10; "a" is "1", "b" 100 times "x", "c" is "3" until 20, and a request "pi" is known. */
static struct engine *new_engine(void)
{
    struct engine_config config = { .value_bytes_max = 16 * KIB, .hash_key = { 7 } };
    struct engine *engine = engine_new(&config);
    struct store *store = engine_store(engine);
    uint8_t long_value[100], bytes[128], id_bytes[OP_ID_BYTES_MAX];
    memset(long_value, 'x', sizeof long_value);
    (void)store_put(store, 0, span_of("a", 1), span_of("1", 1), 0);
    (void)store_put(store, 0, span_of("b", 1), span_of(long_value, sizeof long_value), 0);
    (void)store_put(store, 0, span_of("c", 1), span_of("3", 1), 20);
    const struct op_id id = {
        .pid = span_of("p", 1), .iid = span_of("i", 1), .seconds = 1, .count = 5, .bytes = 2000
    };
    const struct span argv[] = { span_of("none", 4) };
    struct op op, head = { .stamp = 10, .level = SEMANTICS_LEVEL_IDS, .tag = 100 /* DEL */ };
    head.id = span_of(id_bytes, op_id_write(id_bytes, &id));
    op_write(bytes, &head, argv, 1);
    bool good = op_read(span_of(bytes, op_bytes(argv, 1) + head.id.n), &op);
    qr_assert(good);
    struct reply reply;
    reply_init(&reply, 2);
    engine_apply(engine, &op, &reply);
    reply_free(&reply);
    return engine;
}

static void check_same(const struct rows_entry *entry, struct span payload)
{
    uint8_t *again = qr_alloc(payload.n);
    struct wire_writer out = wire_writer(again, payload.n);
    struct rows_cursor cursor = rows_begin(entry);
    struct row row;
    rows_head_write(&out, entry);
    while (rows_next(&cursor, &row)) {
        size_t before = out.n;
        row_write(&out, &row);
        qr_assert(out.n - before == row_bytes(&row));
    }
    if (entry->form != ROWS_FORM_ROWS) {
        wire_put_bytes(&out, entry->body.p, entry->body.n);
    }
    qr_assert(!out.bad && out.n == payload.n && memcmp(again, payload.p, payload.n) == 0);
    free(again);
}

static void go_back_and_forth(struct engine *engine, const struct rows_entry *entry)
{
    uint64_t after = engine_digest(engine);
    enum rows_result back = rows_undo(engine, entry);
    if (entry->form != ROWS_FORM_ROWS) {
        qr_assert(back == (rows_can_undo(entry) ? ROWS_DONE : ROWS_ONE_WAY));
        qr_assert(back == ROWS_DONE || engine_digest(engine) == after);
        return;
    }
    qr_assert(back == ROWS_DONE);
    for (int i = 0; i < 2; i++) {
        enum rows_result result = rows_apply(engine, entry);
        qr_assert(result == ROWS_DONE && engine_digest(engine) == after);
    }
}

static void apply(const struct rows_entry *entry)
{
    struct engine *engine = new_engine();
    uint64_t before = engine_digest(engine);
    if (rows_apply(engine, entry) == ROWS_DONE) {
        go_back_and_forth(engine, entry);
    } else {
        qr_assert(engine_digest(engine) == before);
    }
    store_check(engine_store(engine));
    engine_free(engine);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    uint8_t *copy = qr_alloc(n); /* exactly as long, so that an overrun is seen */
    memcpy(copy, data, n);
    struct rows_entry entry;
    if (rows_read(span_of(copy, n), &entry)) {
        check_same(&entry, span_of(copy, n));
        apply(&entry);
        uint8_t hash_key[16] = { 0 };
        struct overlay *overlay = overlay_new(hash_key, NULL);
        overlay_add(overlay, 1, span_of(copy, n));
        overlay_check(overlay);
        overlay_free(overlay);
    }
    free(copy);
    return 0;
}
