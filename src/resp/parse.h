/* Reading requests: RESP arrays of bulk strings, and inline commands. Incremental: it keeps its
 * place between reads and never scans a byte twice.
 *
 * The caller owns the buffer. Arguments are spans into it (no copy), valid until the caller moves
 * or refills it; those of an inline command are spans into the parser, valid until the next call.
 * Error texts are Redis's. Whatever a header announces, memory is taken only for what has come:
 * the argument table grows with the arguments received (scenario 111).
 *
 * The owner may know how the next command begins (`known`): where it does, these items are not
 * read again, and argv begins behind them.
 *
 * Where the owner wants it, long arguments stay out of the buffer: PARSE_APART says that the bytes
 * of one come next, and the owner puts them elsewhere without a copy. */
#ifndef RESP_PARSE_H
#define RESP_PARSE_H

#include "base/types.h"

enum parse_result {
    PARSE_COMMAND,    /* argv is filled; argc may be 0 (an empty line: no reply) */
    PARSE_APART,      /* `apart` bytes of an argument follow: the owner takes them out of the buffer
                         from `consumed` on and off the socket, then goes on with what is behind */
    PARSE_INCOMPLETE, /* feed more bytes; `want` says how many at least, if known */
    PARSE_ERROR,      /* `error` is the text after "Protocol error: "; close the connection */
};

struct parser {
    /* set by the owner */
    bool authenticated;    /* lifts the pre-AUTH limits */
    size_t bulk_bytes_max; /* proto-max-bulk-len */
    size_t command_bytes_max;
    size_t apart_min;       /* longer arguments are kept apart; SIZE_MAX: none */
    size_t apart_bytes_max; /* of a command, together */
    struct span known;      /* the first items of a command, as they came; n == 0: none */
    uint32_t known_items;   /* so many */
    /* results */
    struct span *argv; /* owned by the parser, reused; those kept apart have a length only */
    uint32_t argc;
    size_t apart;
    size_t consumed; /* bytes of the buffer that the command took */
    size_t items_at; /* where in it the first item begins; 0: of an inline command */
    bool skipped;    /* it began with those that are known */
    /* After INCOMPLETE: bytes that the command needs at least, its start being buffer[0]; 0 when
     * nothing is announced. It is the client's claim, so reserve for it with a bound. */
    size_t want;
    const char *error;
    char error_text[64];
    /* private: where it stands in the command */
    size_t at;      /* the item being read starts here */
    size_t scanned; /* bytes behind `at` that hold no line end */
    int64_t items;  /* still to be read; -1: no header read yet */
    int64_t bulk;   /* -1: no bulk header read yet */
    bool is_apart;  /* the argument that was announced last is the owner's */
    size_t apart_sum;
    uint32_t capacity;
    uint8_t *inline_copy; /* unquoted inline arguments */
    size_t inline_capacity;
};

void parser_init(struct parser *p);
void parser_free(struct parser *p);

/* Continues with buffer[0, n): n has grown since the last INCOMPLETE, or the buffer starts anew
 * after a command. The buffer may have been moved (realloc) between calls. */
enum parse_result parser_next(struct parser *p, const uint8_t *buffer, size_t n);

/* One word of an inline command or of a line of a configuration file, s[0] being no blank: quotes
 * and escapes are resolved into `out` (room for n bytes). Returns how many bytes it took, or 0 when
 * a quote does not end, or not in front of a blank. */
size_t resp_next_word(const uint8_t *s, size_t n, uint8_t *out, size_t *out_n);

#endif
