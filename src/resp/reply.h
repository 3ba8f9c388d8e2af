/* Writing RESP2 and RESP3 replies into a growing buffer.
 *
 * A reply is written once, in the client's protocol version, by whoever executes the command; other
 * nodes relay the bytes unchanged. A NULL-buffer reply (`reply_discard`) swallows everything: a
 * follower applies entries that nobody waits for. */
#ifndef RESP_REPLY_H
#define RESP_REPLY_H

#include "base/types.h"

struct reply {
    uint8_t *p;
    size_t n, cap;
    uint8_t version; /* 2 or 3 */
    bool discard;
    bool is_error; /* the last top-level thing written was an error */
};

void reply_init(struct reply *r, uint8_t version);
void reply_free(struct reply *r);
static inline void reply_reset(struct reply *r)
{
    r->n = 0;
    r->is_error = false;
}
/* n bytes of room at the end, for callers that fill them themselves (then r->n += n). */
uint8_t *reply_reserve(struct reply *r, size_t n);

void reply_status(struct reply *r, const char *s); /* +OK */
/* -ERR ...: `s` without '-' and line end; line breaks in it become spaces. */
void reply_error(struct reply *r, const char *s);
void reply_errorf(struct reply *r, const char *format, ...) __attribute__((format(printf, 2, 3)));
void reply_integer(struct reply *r, int64_t v);
void reply_bulk(struct reply *r, struct span s);
void reply_bulk_text(struct reply *r, const char *s);
void reply_null(struct reply *r);                    /* $-1 or _ */
void reply_null_array(struct reply *r);              /* *-1 or _ */
void reply_double(struct reply *r, double v);        /* bulk or , ; shortest form, inf, -inf, nan */
void reply_bool(struct reply *r, bool v);            /* :1 or #t */
void reply_verbatim(struct reply *r, struct span s); /* bulk or =txt: */
void reply_array(struct reply *r, size_t n);         /* n elements follow */
void reply_map(struct reply *r, size_t pairs);       /* 2n array or %n */
void reply_set(struct reply *r, size_t n);           /* array or ~ */
void reply_push(struct reply *r, size_t n);          /* array or > */
void reply_raw(struct reply *r, struct span s);      /* bytes that are RESP already */

#endif
