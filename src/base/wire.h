/* Field-by-field little-endian encoding. A struct is never copied to the wire or to disk.
 *
 * A writer that runs out of room, or a reader that runs past the end, sets `bad` once and goes on
 * harmlessly (the writer drops, the reader returns zeros): callers test `bad` at the end and need
 * no error ladder. */
#ifndef BASE_WIRE_H
#define BASE_WIRE_H

#include "base/types.h"

#include <string.h>

struct wire_writer {
    uint8_t *p;
    size_t n;   /* bytes written */
    size_t cap; /* bytes there is room for */
    bool bad;
};

struct wire_reader {
    const uint8_t *p;
    size_t n;  /* bytes in all */
    size_t at; /* bytes read */
    bool bad;
};

static inline struct wire_writer wire_writer(void *p, size_t cap)
{
    return (struct wire_writer){ .p = p, .n = 0, .cap = cap, .bad = false };
}

static inline struct wire_reader wire_reader(struct span s)
{
    return (struct wire_reader){ .p = s.p, .n = s.n, .at = 0, .bad = false };
}

static inline void wire_put_bytes(struct wire_writer *w, const void *p, size_t n)
{
    if (w->bad || n > w->cap - w->n) {
        w->bad = true;
        return;
    }
    if (n > 0) {
        memcpy(w->p + w->n, p, n);
    }
    w->n += n;
}

static inline void wire_put_u64(struct wire_writer *w, uint64_t v)
{
    uint8_t b[8];
    for (unsigned i = 0; i < 8; i++) {
        b[i] = (uint8_t)(v >> (8 * i));
    }
    wire_put_bytes(w, b, 8);
}

static inline void wire_put_u32(struct wire_writer *w, uint32_t v)
{
    uint8_t b[4];
    for (unsigned i = 0; i < 4; i++) {
        b[i] = (uint8_t)(v >> (8 * i));
    }
    wire_put_bytes(w, b, 4);
}

static inline void wire_put_u16(struct wire_writer *w, uint16_t v)
{
    uint8_t b[2] = { (uint8_t)v, (uint8_t)(v >> 8) };
    wire_put_bytes(w, b, 2);
}

static inline void wire_put_u8(struct wire_writer *w, uint8_t v)
{
    wire_put_bytes(w, &v, 1);
}

/* The next n bytes, borrowed; an empty span with `bad` set when there are fewer. */
static inline struct span wire_get_bytes(struct wire_reader *r, size_t n)
{
    if (r->bad || n > r->n - r->at) {
        r->bad = true;
        return (struct span){ 0 };
    }
    struct span s = { .p = r->p + r->at, .n = n };
    r->at += n;
    return s;
}

static inline uint64_t wire_get_u64(struct wire_reader *r)
{
    struct span s = wire_get_bytes(r, 8);
    uint64_t v = 0;
    for (unsigned i = 0; i < s.n; i++) {
        v |= (uint64_t)s.p[i] << (8 * i);
    }
    return v;
}

static inline uint32_t wire_get_u32(struct wire_reader *r)
{
    struct span s = wire_get_bytes(r, 4);
    uint32_t v = 0;
    for (unsigned i = 0; i < s.n; i++) {
        v |= (uint32_t)s.p[i] << (8 * i);
    }
    return v;
}

static inline uint16_t wire_get_u16(struct wire_reader *r)
{
    struct span s = wire_get_bytes(r, 2);
    return s.n == 2 ? (uint16_t)(s.p[0] | (unsigned)s.p[1] << 8) : 0;
}

static inline uint8_t wire_get_u8(struct wire_reader *r)
{
    struct span s = wire_get_bytes(r, 1);
    return s.n == 1 ? s.p[0] : 0;
}

/* True when every byte was read and none was missing. */
static inline bool wire_finished(const struct wire_reader *r)
{
    return !r->bad && r->at == r->n;
}

#endif
