/* The payload of RECORD_ROWS: what an operation has changed, or the operation itself where that
 * cannot be said by rows (engine/rows.h). Byte by byte in docs/log-format.md, "Rows".
 *
 *   offset size
 *        0    1  version: 1
 *        1    1  form (enum rows_form)
 *        2    2  zero
 *        4    4  how many rows
 *        8    8  stamp: log time is that afterwards, unless it was later before
 *       16    8  log time before
 *       24    -  the rows; or the op, as of RECORD_COMMAND; or nothing
 *
 * F1 Rows stand in ascending order of database and key, so each key has one.
 * F2 A row changes something.
 * F3 Whatever rows_read accepts can be applied without another look at the encoding. */
#ifndef ENGINE_ROWS_FORMAT_H
#define ENGINE_ROWS_FORMAT_H

#include "base/types.h"
#include "base/wire.h"

#define ROWS_VERSION 1
#define ROWS_HEAD_BYTES 24u

enum rows_form {
    ROWS_FORM_ROWS = 1,
    ROWS_FORM_STATEMENT = 2, /* an op, to be executed */
    ROWS_FORM_TICK = 3,      /* a tick at the stamp */
};

#define ROW_ABSENT 0u /* the type of a key that is not there; others: enum value_type */

/* What a key is before or after. */
struct row_image {
    uint8_t type;
    qr_wall expire; /* 0 = never */
    uint32_t n;     /* bytes of its value, at most LARGE_BYTES */
};

/*   offset size
 *        0    1  database; IDS_DB too
 *        1    1  type before
 *        2    1  type after
 *        3    4  bytes of the key
 *        7    -  the key
 *        -   12  expiry (8) and length (4) before, unless it was absent
 *        -   12  the same after
 *        -    8  bytes of value that both share at the beginning (4) and at the end (4), when it
 *                is there before and after
 *        -    -  the other bytes of the value before, those after
 *
 * So an image is whole unless something is shared, which is not done for a few bytes. */
struct row {
    uint8_t db;
    struct span key;
    struct row_image before, after;
    uint32_t prefix, suffix; /* shared */
    struct span old, new;    /* what stands between those */
};

struct rows_entry {
    enum rows_form form;
    uint32_t count; /* of rows */
    qr_wall stamp;
    qr_wall time_before;
    struct span body; /* borrowed, behind the head */
};

/* Checks all of a payload; false: malformed, and *out is worth nothing. */
bool rows_read(struct span in, struct rows_entry *out);
/* The same of a payload that rows_read has accepted once: only the head is looked at. */
bool rows_peek(struct span in, struct rows_entry *out);
/* The database and key of the first row, whatever is behind it; false: there is none. */
bool rows_first_key(struct span in, struct span *key, uint8_t *db);

static inline qr_wall rows_time_after(const struct rows_entry *entry)
{
    return entry->stamp > entry->time_before ? entry->stamp : entry->time_before;
}

/* One row after the other of an entry that was read; none of one of another form. */
struct rows_cursor {
    struct wire_reader in;
    uint32_t left;
};

struct rows_cursor rows_begin(const struct rows_entry *entry);
/* False: there are no more. Spans are borrowed from the payload. */
bool rows_next(struct rows_cursor *cursor, struct row *row);

/* --- Writing -------------------------------------------------------------------------------- */

size_t row_bytes(const struct row *row);
void row_write(struct wire_writer *out, const struct row *row);
void rows_head_write(struct wire_writer *out, const struct rows_entry *entry);

#endif
