/* A strict reader of RESP2 and RESP3 values, slow and plain: what the reply writer says must be
 * exactly that, and nothing that another reader would forgive. */
#ifndef TESTS_FUZZ_RESP_VALUE_H
#define TESTS_FUZZ_RESP_VALUE_H

#include "base/types.h"

/* One piece of a value: a scalar, or the head of an aggregate whose elements follow. */
struct resp_piece {
    char type;     /* + - : $ * _ , # = % ~ > */
    bool null;     /* $-1, *-1 or _ */
    int64_t n;     /* the integer, the length, the count of elements, 0 or 1 of a boolean */
    struct span s; /* the bytes of + - $ = , */
};

/* Reads one piece; returns its bytes, or 0 when it is none. */
size_t resp_piece_read(struct span in, struct resp_piece *out);

/* The bytes of one whole value, its elements included; 0 when it is none. */
size_t resp_value_read(struct span in);

#endif
