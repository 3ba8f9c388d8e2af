/* Field-by-field little-endian encoding. A struct is never copied to the wire or to disk.
 *
 * A writer that runs out of room, or a reader that runs past the end, sets `bad` once and goes on
 * harmlessly (the writer drops, the reader returns zeros): callers test `bad` at the end and need
 * no error ladder. */
#ifndef BASE_WIRE_H
#define BASE_WIRE_H

#include "base/types.h"

#include <endian.h>
#include <string.h>

/* Single fields at a place that is known to have room. */
static inline void wire_store_u64(uint8_t *p, uint64_t v)
{
    v = htole64(v);
    memcpy(p, &v, sizeof v);
}

static inline void wire_store_u32(uint8_t *p, uint32_t v)
{
    v = htole32(v);
    memcpy(p, &v, sizeof v);
}

static inline void wire_store_u16(uint8_t *p, uint16_t v)
{
    v = htole16(v);
    memcpy(p, &v, sizeof v);
}

static inline uint64_t wire_load_u64(const uint8_t *p)
{
    uint64_t v;
    memcpy(&v, p, sizeof v);
    return le64toh(v);
}

static inline uint32_t wire_load_u32(const uint8_t *p)
{
    uint32_t v;
    memcpy(&v, p, sizeof v);
    return le32toh(v);
}

static inline uint16_t wire_load_u16(const uint8_t *p)
{
    uint16_t v;
    memcpy(&v, p, sizeof v);
    return le16toh(v);
}

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
    v = htole64(v);
    wire_put_bytes(w, &v, sizeof v);
}

static inline void wire_put_u32(struct wire_writer *w, uint32_t v)
{
    v = htole32(v);
    wire_put_bytes(w, &v, sizeof v);
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
    return s.n == 8 ? wire_load_u64(s.p) : 0;
}

static inline uint32_t wire_get_u32(struct wire_reader *r)
{
    struct span s = wire_get_bytes(r, 4);
    return s.n == 4 ? wire_load_u32(s.p) : 0;
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
