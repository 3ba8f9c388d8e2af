/* Reading replies, for clients: the line that begins each one. A bulk string's bytes follow its
 * line and are left to the caller, who may take them in pieces and keeps none that he does not
 * need. RESP2, which is what a connection speaks until it says HELLO. */
#ifndef RESP_SCAN_H
#define RESP_SCAN_H

#include "base/types.h"

#define REPLY_LINE_BYTES_MAX 4096 /* a longer line is taken for no reply at all */

struct reply_line {
    char type;        /* + - : $ * */
    struct span text; /* behind the type, without the line end; points into the input */
    int64_t number;   /* of : $ *; -1 is a null string or array */
};

/* How many bytes the line at p takes; 0 when it is not whole yet, -1 when this begins no reply. */
int64_t reply_line_scan(const uint8_t *p, size_t n, struct reply_line *line);

#endif
