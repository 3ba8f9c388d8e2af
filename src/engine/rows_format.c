/* Encoding and checking rows: see rows_format.h. Payloads come from peers and from disk, so nothing
 * in them is believed. */
#include "engine/rows_format.h"

#include "base/limits.h"
#include "base/panic.h"
#include "command/op.h"
#include "engine/engine_internal.h"
#include "store/store.h"

#include <string.h>

/* --- Writing -------------------------------------------------------------------------------- */

static bool is_there(const struct row_image *image)
{
    return image->type != ROW_ABSENT;
}

size_t row_bytes(const struct row *row)
{
    bool before = is_there(&row->before), after = is_there(&row->after);
    return 7 + row->key.n + (before ? 12u : 0) + (after ? 12u : 0) + (before && after ? 8u : 0) +
           row->old.n + row->new.n;
}

static void image_write(struct wire_writer *out, const struct row_image *image)
{
    if (is_there(image)) {
        wire_put_u64(out, (uint64_t)image->expire);
        wire_put_u32(out, image->n);
    }
}

void row_write(struct wire_writer *out, const struct row *row)
{
    wire_put_u8(out, row->db);
    wire_put_u8(out, row->before.type);
    wire_put_u8(out, row->after.type);
    wire_put_u32(out, (uint32_t)row->key.n);
    wire_put_bytes(out, row->key.p, row->key.n);
    image_write(out, &row->before);
    image_write(out, &row->after);
    if (is_there(&row->before) && is_there(&row->after)) {
        wire_put_u32(out, row->prefix);
        wire_put_u32(out, row->suffix);
    }
    wire_put_bytes(out, row->old.p, row->old.n);
    wire_put_bytes(out, row->new.p, row->new.n);
}

void rows_head_write(struct wire_writer *out, const struct rows_entry *entry)
{
    wire_put_u8(out, ROWS_VERSION);
    wire_put_u8(out, (uint8_t)entry->form);
    wire_put_u16(out, 0);
    wire_put_u32(out, entry->count);
    wire_put_u64(out, (uint64_t)entry->stamp);
    wire_put_u64(out, (uint64_t)entry->time_before);
}

/* --- Reading -------------------------------------------------------------------------------- */

static void image_get(struct wire_reader *in, struct row_image *image)
{
    image->expire = 0;
    image->n = 0;
    if (is_there(image)) {
        image->expire = (qr_wall)wire_get_u64(in);
        image->n = wire_get_u32(in);
        in->bad =
            in->bad || image->type != TYPE_STRING || image->expire < 0 || image->n > LARGE_BYTES;
    }
}

/* What both share lies in both. */
static void shared_get(struct wire_reader *in, struct row *row)
{
    row->prefix = row->suffix = 0;
    if (is_there(&row->before) && is_there(&row->after)) {
        row->prefix = wire_get_u32(in);
        row->suffix = wire_get_u32(in);
        uint64_t shared = (uint64_t)row->prefix + row->suffix;
        in->bad = in->bad || shared > row->before.n || shared > row->after.n;
    }
}

static bool record_fits(struct span key, const struct row_image *image, struct span value)
{
    return !is_there(image) || ids_fits(key, value, image->expire);
}

/* Records of requests stand whole, for they are looked at. */
static bool place_fits(const struct row *row)
{
    if (row->db == IDS_DB) {
        return row->prefix == 0 && row->suffix == 0 &&
               record_fits(row->key, &row->before, row->old) &&
               record_fits(row->key, &row->after, row->new);
    }
    return row->db < DATABASES && row->key.n <= KEY_BYTES_MAX;
}

/* F2 */
static bool changes(const struct row *row)
{
    return row->before.type != row->after.type || row->before.expire != row->after.expire ||
           row->before.n != row->after.n || row->old.n != row->new.n ||
           (row->old.n > 0 && memcmp(row->old.p, row->new.p, row->old.n) != 0);
}

static void row_get(struct wire_reader *in, struct row *row)
{
    row->db = wire_get_u8(in);
    row->before.type = wire_get_u8(in);
    row->after.type = wire_get_u8(in);
    row->key = wire_get_bytes(in, wire_get_u32(in));
    image_get(in, &row->before);
    image_get(in, &row->after);
    shared_get(in, row);
    if (in->bad) {
        return;
    }
    row->old = wire_get_bytes(in, row->before.n - row->prefix - row->suffix);
    row->new = wire_get_bytes(in, row->after.n - row->prefix - row->suffix);
    in->bad = in->bad || !place_fits(row) || !changes(row);
}

struct rows_cursor rows_begin(const struct rows_entry *entry)
{
    bool has = entry->form == ROWS_FORM_ROWS;
    return (struct rows_cursor){ .in = wire_reader(entry->body), .left = has ? entry->count : 0 };
}

bool rows_next(struct rows_cursor *cursor, struct row *row)
{
    if (cursor->left == 0) {
        return false;
    }
    cursor->left--;
    row_get(&cursor->in, row);
    return true;
}

/* F1 */
static bool is_before(const struct row *a, const struct row *b)
{
    size_t n = min_u64(a->key.n, b->key.n);
    int order = n > 0 ? memcmp(a->key.p, b->key.p, n) : 0;
    return a->db < b->db || (a->db == b->db && (order < 0 || (order == 0 && a->key.n < b->key.n)));
}

static bool rows_are_good(const struct rows_entry *entry)
{
    struct rows_cursor cursor = rows_begin(entry);
    struct row last, row;
    for (bool first = true; !cursor.in.bad && rows_next(&cursor, &row); first = false) {
        cursor.in.bad = cursor.in.bad || (!first && !is_before(&last, &row));
        last = row;
    }
    return wire_finished(&cursor.in);
}

static bool statement_is_good(const struct rows_entry *entry)
{
    struct op op;
    return entry->count == 0 && op_read(entry->body, &op) && op.stamp == entry->stamp;
}

bool rows_peek(struct span in, struct rows_entry *out)
{
    struct wire_reader r = wire_reader(in);
    uint8_t version = wire_get_u8(&r);
    out->form = (enum rows_form)wire_get_u8(&r);
    uint16_t zero = wire_get_u16(&r);
    out->count = wire_get_u32(&r);
    out->stamp = (qr_wall)wire_get_u64(&r);
    out->time_before = (qr_wall)wire_get_u64(&r);
    if (r.bad || version != ROWS_VERSION || zero != 0 || out->stamp < 0 || out->time_before < 0) {
        return false;
    }
    out->body = span_of(in.p + ROWS_HEAD_BYTES, in.n - ROWS_HEAD_BYTES);
    return true;
}

bool rows_first_key(struct span in, struct span *key, uint8_t *db)
{
    struct rows_entry entry;
    if (!rows_peek(in, &entry) || entry.form != ROWS_FORM_ROWS || entry.count == 0) {
        return false;
    }
    struct wire_reader r = wire_reader(entry.body);
    *db = wire_get_u8(&r);
    (void)wire_get_u16(&r); /* the types */
    *key = wire_get_bytes(&r, wire_get_u32(&r));
    return !r.bad && (*db < DATABASES || *db == IDS_DB);
}

bool rows_read(struct span in, struct rows_entry *out)
{
    if (!rows_peek(in, out)) {
        return false;
    }
    switch (out->form) {
    case ROWS_FORM_ROWS:
        return rows_are_good(out);
    case ROWS_FORM_STATEMENT:
        return statement_is_good(out);
    case ROWS_FORM_TICK:
        return out->count == 0 && out->body.n == 0;
    }
    return false;
}
