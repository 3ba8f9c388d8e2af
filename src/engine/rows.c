/* Executing ops for the logical log: see rows.h. */
#include "engine/rows.h"

#include "base/alloc.h"
#include "base/limits.h"
#include "engine/engine_internal.h"
#include "engine/rows_capture.h"

#include <string.h>

/* Fewer bytes that are the same before and after stand in both images all the same, so that who
 * reads the log alone finds small values whole. */
#define SHARED_MIN 64u

struct rows {
    struct capture capture;
    uint8_t *out; /* the entry */
    size_t n, cap;
};

struct rows *rows_new(void)
{
    return qr_zalloc(sizeof(struct rows));
}

void rows_free(struct rows *rows)
{
    if (rows != NULL) {
        capture_free(&rows->capture);
        free(rows->out);
        free(rows);
    }
}

/* n bytes more at the end of the entry. */
static struct wire_writer more(struct rows *rows, size_t n)
{
    if (n > rows->cap - rows->n) {
        rows->cap = (size_t)max_u64(2 * rows->cap, max_u64(rows->n + n, 256));
        rows->out = qr_realloc(rows->out, rows->cap);
    }
    rows->n += n;
    return wire_writer(rows->out + rows->n - n, n);
}

/* --- One row -------------------------------------------------------------------------------- */

static uint32_t shared_at_beginning(struct span a, struct span b)
{
    size_t n = min_u64(a.n, b.n), i = 0;
    while (i + 8 <= n && memcmp(a.p + i, b.p + i, 8) == 0) {
        i += 8;
    }
    while (i < n && a.p[i] == b.p[i]) {
        i++;
    }
    return (uint32_t)i;
}

static uint32_t shared_at_end(struct span a, struct span b, size_t most)
{
    size_t i = 0;
    while (i + 8 <= most && memcmp(a.p + a.n - i - 8, b.p + b.n - i - 8, 8) == 0) {
        i += 8;
    }
    while (i < most && a.p[a.n - i - 1] == b.p[b.n - i - 1]) {
        i++;
    }
    return (uint32_t)i;
}

static struct span between(struct span s, uint32_t prefix, uint32_t suffix)
{
    return s.n == 0 ? s : span_of(s.p + prefix, s.n - prefix - suffix);
}

/* What the key is now. False: rows cannot say it. */
static bool image_now(struct engine *engine, struct row *row)
{
    const struct item *item = store_find(engine->store, row->db, row->key);
    row->after = (struct row_image){ .type = ROW_ABSENT };
    row->new = (struct span){ 0 };
    if (item == NULL) {
        return true;
    }
    if (item_rope(item) != NULL) {
        return false; /* W3 */
    }
    row->new = item_value(item);
    row->after =
        (struct row_image){ (uint8_t)item_type(item), item_expire(item), (uint32_t)row->new.n };
    return true;
}

static bool has_changed(const struct row *row)
{
    return row->before.type != row->after.type || row->before.expire != row->after.expire ||
           row->old.n != row->new.n ||
           (row->old.n > 0 && memcmp(row->old.p, row->new.p, row->old.n) != 0);
}

/* Leaves out what both images share; a record of a request stays whole. */
static void leave_out(struct row *row)
{
    bool both = row->before.type != ROW_ABSENT && row->after.type != ROW_ABSENT;
    row->prefix = row->suffix = 0;
    if (!both || row->db == IDS_DB) {
        return;
    }
    uint32_t prefix = shared_at_beginning(row->old, row->new);
    size_t rest = min_u64(row->old.n, row->new.n) - prefix;
    uint32_t suffix = shared_at_end(row->old, row->new, rest);
    if (prefix + suffix >= SHARED_MIN) {
        row->prefix = prefix;
        row->suffix = suffix;
        row->old = between(row->old, prefix, suffix);
        row->new = between(row->new, prefix, suffix);
    }
}

/* --- An entry ------------------------------------------------------------------------------- */

/* Writes the rows behind the head; false: it takes a statement. */
static bool write_rows(struct rows *rows, struct engine *engine, uint32_t *count)
{
    struct capture *c = &rows->capture;
    *count = 0;
    capture_sort(c);
    for (uint32_t i = 0; i < c->count; i++) {
        const struct was *w = &c->v[i];
        struct row row = {
            .db = w->db, .key = capture_key(c, w), .before = w->image, .old = capture_value(c, w)
        };
        if (!image_now(engine, &row)) {
            return false;
        }
        if (!has_changed(&row)) {
            continue;
        }
        leave_out(&row);
        size_t n = row_bytes(&row);
        if (rows->n + n > ROWS_BYTES_MAX) { /* W2 */
            return false;
        }
        struct wire_writer out = more(rows, n);
        row_write(&out, &row);
        qr_assert(!out.bad && out.n == n);
        ++*count;
    }
    return true;
}

static const struct store_watch *watch_into(struct rows *rows, struct store_watch *watch)
{
    *watch = (struct store_watch){ capture_change, capture_whole, &rows->capture };
    capture_begin(&rows->capture);
    if (rows->cap > CAPTURE_KEPT_BYTES) {
        free(rows->out);
        rows->out = NULL;
        rows->cap = 0;
    }
    rows->n = 0;
    (void)more(rows, ROWS_HEAD_BYTES);
    return watch;
}

/* The entry of what was captured, or of the statement in its place. */
static struct span finish(struct rows *rows, struct engine *engine, struct rows_entry *entry,
                          struct span statement)
{
    if (!rows->capture.whole && write_rows(rows, engine, &entry->count)) {
        entry->form = ROWS_FORM_ROWS;
    } else {
        entry->count = 0;
        rows->n = ROWS_HEAD_BYTES;
        struct wire_writer out = more(rows, statement.n);
        wire_put_bytes(&out, statement.p, statement.n);
    }
    struct wire_writer head = wire_writer(rows->out, ROWS_HEAD_BYTES);
    rows_head_write(&head, entry);
    qr_assert(!head.bad && head.n == ROWS_HEAD_BYTES);
    return span_of(rows->out, rows->n);
}

static struct span execute(struct rows *rows, struct engine *engine, struct span bytes,
                           struct reply *reply, bool whole)
{
    struct store_watch watch;
    struct op op;
    bool good = op_peek(bytes, &op);
    qr_assert(good);
    struct rows_entry entry = { .form = ROWS_FORM_STATEMENT,
                                .stamp = op.stamp,
                                .time_before = engine->log_time };
    store_watch(engine->store, watch_into(rows, &watch));
    rows->capture.whole = op.refs > 0 || op.tag == OP_SYSTEM; /* W3 */
    rows->capture.whole = rows->capture.whole || whole;
    engine_apply(engine, &op, reply);
    store_watch(engine->store, NULL);
    return finish(rows, engine, &entry, bytes);
}

struct span rows_execute(struct rows *rows, struct engine *engine, struct span op,
                         struct reply *reply)
{
    return execute(rows, engine, op, reply, false);
}

struct span rows_statement(struct rows *rows, struct engine *engine, struct span op,
                           struct reply *reply)
{
    return execute(rows, engine, op, reply, true);
}

struct span rows_tick(struct rows *rows, struct engine *engine, qr_wall stamp)
{
    struct store_watch watch;
    struct rows_entry entry = { .form = ROWS_FORM_TICK,
                                .stamp = stamp,
                                .time_before = engine->log_time };
    store_watch(engine->store, watch_into(rows, &watch));
    engine_tick(engine, stamp);
    store_watch(engine->store, NULL);
    return finish(rows, engine, &entry, (struct span){ 0 });
}
