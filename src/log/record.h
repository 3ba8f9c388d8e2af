/* A log record: the one encoding of an entry from socket to log to peer.
 *
 *   offset size
 *        0    4  crc32c of everything from offset 4 to the end of the payload
 *        4    4  payload bytes
 *        8    8  slot
 *       16    8  term
 *       24    4  group
 *       28    1  kind (enum record_kind)
 *       29    3  zero
 *       32    n  payload
 *
 * Records follow each other without padding. The checksum binds content to (group, slot, term), so
 * it travels with the record between nodes; where a record lies in a log is bound by the batch
 * around it (log.c). All integers are little-endian. */
#ifndef LOG_RECORD_H
#define LOG_RECORD_H

#include "base/types.h"

#define RECORD_HEADER_BYTES 32u
#define RECORD_KIND_AT 28u

/* Hand-written tags, on disk and on the wire; never reused. */
enum record_kind {
    RECORD_COMMAND = 1,   /* an entry: one command (command/op.h) */
    RECORD_NOOP = 2,      /* an entry: the first of a leader's term */
    RECORD_TICK = 3,      /* an entry: log time moves, due keys go */
    RECORD_MEMBERS = 4,   /* an entry: who takes part from here on (node/roster.h) */
    RECORD_BLOB = 5,      /* an entry: a part of a large argument (node/blobs.h) */
    RECORD_ROWS = 6,      /* an entry: what a command has changed (engine/rows_format.h) */
    RECORD_STATE = 16,    /* not an entry: the protocol's state record; slot 0 */
    RECORD_TRUNCATE = 17, /* not an entry: entries at or after `slot` are dropped */
    RECORD_TRIM = 18,     /* not an entry: entries up to `slot` (of `term`) are needed no more */
    RECORD_LAST = 19,     /* not an entry: restates that `slot` (of `term`) is the group's last */
    RECORD_PATCH = 21,    /* not an entry: its payload is the record of an entry that was damaged */
    RECORD_RESET = 20,    /* not an entry: all entries are dropped, it goes on behind `slot` */
    RECORD_DROP = 22,     /* not an entry: the group is forgotten, as if it had never been */
};

struct record {
    uint32_t group;
    uint8_t kind;
    qr_slot slot;
    qr_term term;
    struct span payload; /* borrowed from the buffer it was read from */
};

static inline bool record_is_entry(uint8_t kind)
{
    return kind >= RECORD_COMMAND && kind <= RECORD_ROWS;
}

/* Bytes of a record with that payload. */
static inline size_t record_bytes(size_t payload)
{
    return RECORD_HEADER_BYTES + payload;
}

/* Fills the header in front of a payload of n bytes that already stands at p + 32. */
void record_seal(uint8_t *p, uint32_t group, uint8_t kind, qr_slot slot, qr_term term, size_t n);

/* Reads the record at the start of `in`. Returns its size, or 0 when it is cut short, damaged or
 * longer than any may be; *out is then untouched. */
size_t record_read(struct span in, struct record *out);

/* The same without the checksum: for records that were checked before. */
size_t record_peek(struct span in, struct record *out);

#endif
