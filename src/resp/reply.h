/* Writing RESP2 and RESP3 replies into a growing buffer.
 *
 * A reply is written once, in the client's protocol version, by whoever executes the command; other
 * nodes relay the bytes unchanged. Parts of large values are not copied: the reply holds references
 * to their ropes, which stand at their places between the bytes (base/rope.h). A reply with
 * `discard` set swallows everything: a follower applies entries that nobody waits for. */
#ifndef RESP_REPLY_H
#define RESP_REPLY_H

#include "base/rope.h"
#include "base/types.h"

/* n bytes of a rope, in front of the buffer's byte `at`. */
struct reply_part {
    size_t at;
    struct rope *rope;
    size_t from, n;
};

struct reply_parts {
    uint32_t count, cap;
    size_t bytes; /* of all of them */
    struct reply_part v[];
};

struct reply {
    uint8_t *p;
    size_t n, cap;
    struct reply_parts *parts; /* NULL: all of it is in the buffer */
    uint8_t version;           /* 2 or 3 */
    bool discard;
    bool is_error; /* the last top-level thing written was an error */
};

void reply_init(struct reply *r, uint8_t version);
void reply_free(struct reply *r);
/* Takes back what was written behind the first n bytes of the buffer. */
void reply_cut(struct reply *r, size_t n);
static inline void reply_reset(struct reply *r)
{
    if (r->parts != NULL) {
        reply_cut(r, 0);
    }
    r->n = 0;
    r->is_error = false;
}
/* Bytes of all of it. */
static inline size_t reply_bytes(const struct reply *r)
{
    return r->parts == NULL ? r->n : r->n + r->parts->bytes;
}
/* Bytes written since the buffer held `start`. */
size_t reply_bytes_behind(const struct reply *r, size_t start);
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
/* A pair of a map: its name and its value. */
void reply_field_text(struct reply *r, const char *name, const char *text);
void reply_field_integer(struct reply *r, const char *name, int64_t value);
void reply_raw(struct reply *r, struct span s); /* bytes that are RESP already */
/* A bulk of n bytes of a rope, by reference where that pays. */
void reply_bulk_rope(struct reply *r, struct rope *rope, size_t from, size_t n);
/* Bytes of a rope that are RESP already. The reference is the reply's from now on. */
void reply_raw_rope(struct reply *r, struct rope *rope);
/* All of another reply, which is empty then. */
void reply_move(struct reply *r, struct reply *from);

/* A place in a reply, for reading it from its beginning (zeroes). */
struct reply_place {
    size_t at;
    uint32_t part;
    size_t part_at;
};
/* The bytes from there on that lie together; empty at the end. */
struct span reply_slice(const struct reply *r, const struct reply_place *place);
/* n bytes of that slice are dealt with. */
void reply_pass(const struct reply *r, struct reply_place *place, size_t n);
/* Bytes of large values that only this reply keeps, from a part on. */
size_t reply_pinned(const struct reply *r, uint32_t from);
/* What only this reply has kept of large values goes as far as the place. */
void reply_shed(struct reply *r, const struct reply_place *place);
/* Hands the ropes of a reply that is not wanted to a bin. */
void reply_discard_parts(struct reply *r, struct rope_bin *bin);

#endif
