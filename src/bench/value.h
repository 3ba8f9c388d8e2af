/* The values that are written, and what --check reads out of those that come back.
 *
 * Any value is a stretch of one fixed pattern of printable characters, which starts at a place that
 * depends on the sequence number of the write. A checked value also says whose it is:
 *
 *     RRRRRR-KKKKKKKKKK-SSSSSSSSSSSS:pattern...pattern.
 *
 * in hexadecimal: the run, the key, the sequence number, which is unique in the run; and a full
 * stop ends it. So a value that was cut, mixed up or damaged shows, as does one of another key. */
#ifndef BENCH_VALUE_H
#define BENCH_VALUE_H

#include "base/types.h"

#define VALUE_HEAD_BYTES 31u
#define VALUE_CHECKED_BYTES_MIN (VALUE_HEAD_BYTES + 1u)
#define VALUE_PATTERN_BYTES 4096u /* it repeats itself after so many */
#define VALUE_RUN_BITS 24u
#define VALUE_SEQUENCE_BITS 48u

struct value_form {
    bool checked;
    uint32_t run;
    uint64_t seed; /* of the sizes */
    uint32_t bytes_min, bytes_max;
    char pattern[2 * VALUE_PATTERN_BYTES];
};

void value_form_init(struct value_form *form, bool checked, uint32_t run, uint64_t seed,
                     uint32_t bytes_min, uint32_t bytes_max);

/* How long the value of this write is. */
uint32_t value_bytes(const struct value_form *form, uint64_t sequence);

/* Writes the bytes [offset, offset + n) of a value to out. */
void value_write(const struct value_form *form, uint64_t key, uint64_t sequence, uint32_t bytes,
                 uint32_t offset, uint32_t n, char *out);

/* Reads a checked value of which the pieces come one after the other. */
struct value_reader {
    uint64_t bytes, at;
    char head[VALUE_HEAD_BYTES];
    bool sound; /* so far; at the end: the value is whole and as it was written */
    uint32_t run;
    uint64_t key, sequence;
};

void value_reader_begin(struct value_reader *reader, uint64_t bytes);
void value_reader_feed(struct value_reader *reader, const struct value_form *form, const uint8_t *p,
                       size_t n);

#endif
