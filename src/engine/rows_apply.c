/* Applying entries of the logical log, and taking them back: see rows.h. Both are one thing: a row
 * leads from one image to another, and back. */
#include "engine/rows.h"

#include "base/alloc.h"
#include "command/command.h"
#include "engine/engine_internal.h"

#include <string.h>

/* One of a row's two sides. */
struct side {
    const struct row_image *image;
    struct span own; /* what is not shared */
};

static struct side side_of(const struct row *row, bool after)
{
    return after ? (struct side){ &row->after, row->new } : (struct side){ &row->before, row->old };
}

/* Whether the key is that now, as far as the row tells. */
static bool is_now(struct engine *engine, const struct row *row, struct side side)
{
    const struct item *item = store_find(engine->store, row->db, row->key);
    if (item == NULL || side.image->type == ROW_ABSENT) {
        return item == NULL && side.image->type == ROW_ABSENT;
    }
    if (item_rope(item) != NULL || item_value_n(item) != side.image->n ||
        item_expire(item) != side.image->expire || item_type(item) != side.image->type) {
        return false;
    }
    return side.own.n == 0 || memcmp(item_value(item).p + row->prefix, side.own.p, side.own.n) == 0;
}

/* --- One row -------------------------------------------------------------------------------- */

static void make_record(struct engine *engine, const struct row *row, struct side to)
{
    const struct item *item = store_find(engine->store, IDS_DB, row->key);
    if (item != NULL) {
        ids_expire(engine, item);
    }
    if (to.image->type != ROW_ABSENT) {
        bool fits = ids_load(engine, row->key, to.own, to.image->expire);
        qr_assert(fits); /* F3 */
    }
}

/* The value that the key has now has what both sides share, whichever of them it is. */
static void make_shared(struct engine *engine, const struct row *row, struct side to)
{
    struct item *item = store_find(engine->store, row->db, row->key);
    struct span now = item_value(item);
    if (to.own.n == 0 && now.n == to.image->n) {
        (void)store_set_expire(engine->store, row->db, item, to.image->expire);
        return;
    }
    uint8_t *value = qr_alloc(to.image->n);
    memcpy(value, now.p, row->prefix);
    if (to.own.n > 0) {
        memcpy(value + row->prefix, to.own.p, to.own.n);
    }
    memcpy(value + row->prefix + to.own.n, now.p + now.n - row->suffix, row->suffix);
    (void)store_put(engine->store, row->db, row->key, span_of(value, to.image->n),
                    to.image->expire);
    free(value);
}

static void make(struct engine *engine, const struct row *row, struct side to)
{
    if (row->db == IDS_DB) {
        make_record(engine, row, to);
    } else if (to.image->type == ROW_ABSENT) {
        (void)store_delete(engine->store, row->db, row->key);
    } else if (row->prefix + row->suffix > 0) {
        make_shared(engine, row, to);
    } else {
        (void)store_put(engine->store, row->db, row->key, to.own, to.image->expire);
    }
}

/* --- An entry ------------------------------------------------------------------------------- */

/* W4, W5: whether each key is as it was before or after. */
static bool fits(struct engine *engine, const struct rows_entry *entry)
{
    struct rows_cursor cursor = rows_begin(entry);
    struct row row;
    while (rows_next(&cursor, &row)) {
        if (!is_now(engine, &row, side_of(&row, false)) &&
            !is_now(engine, &row, side_of(&row, true))) {
            return false;
        }
    }
    return true;
}

/* To make what is there already changes nothing. */
static bool make_all(struct engine *engine, const struct rows_entry *entry, bool after)
{
    struct rows_cursor cursor = rows_begin(entry);
    struct row row;
    if (!fits(engine, entry)) {
        return false;
    }
    while (rows_next(&cursor, &row)) {
        make(engine, &row, side_of(&row, after));
    }
    return true;
}

static void execute(struct engine *engine, struct span bytes)
{
    struct reply nobody;
    struct op op;
    bool good = op_peek(bytes, &op);
    qr_assert(good); /* F3 */
    reply_init(&nobody, 2);
    nobody.discard = true;
    engine_apply(engine, &op, &nobody);
    reply_free(&nobody);
}

enum rows_result rows_apply(struct engine *engine, const struct rows_entry *entry)
{
    bool before = engine->log_time == entry->time_before;
    bool again = entry->form == ROWS_FORM_ROWS && engine->log_time == rows_time_after(entry);
    if (!before && !again) {
        return ROWS_DIFFERENT;
    }
    switch (entry->form) {
    case ROWS_FORM_ROWS:
        if (!make_all(engine, entry, true)) {
            return ROWS_DIFFERENT;
        }
        engine_move_time(engine, entry->stamp);
        break;
    case ROWS_FORM_STATEMENT:
        execute(engine, entry->body);
        break;
    case ROWS_FORM_TICK:
        engine_tick(engine, entry->stamp);
        break;
    }
    return ROWS_DONE;
}

/* Exchanging two databases once more brings them back. */
static bool undoes_itself(const struct rows_entry *entry)
{
    struct op op;
    return entry->form == ROWS_FORM_STATEMENT && op_peek(entry->body, &op) &&
           op.tag == COMMAND_SWAPDB && op.id.n == 0;
}

bool rows_can_undo(const struct rows_entry *entry)
{
    return entry->form == ROWS_FORM_ROWS || undoes_itself(entry);
}

enum rows_result rows_undo(struct engine *engine, const struct rows_entry *entry)
{
    if (!rows_can_undo(entry)) {
        return ROWS_ONE_WAY;
    }
    if (engine->log_time != rows_time_after(entry)) {
        return ROWS_DIFFERENT;
    }
    if (entry->form == ROWS_FORM_STATEMENT) {
        execute(engine, entry->body);
    } else if (!make_all(engine, entry, false)) {
        return ROWS_DIFFERENT;
    }
    const struct past_limits none = { 0 };
    store_keep_past(engine->store, &none, 0, 0); /* W8 */
    engine->past_epoch = 0;
    engine->log_time = entry->time_before;
    return ROWS_DONE;
}
