/* Text into a fixed buffer, without stdio: the pure core may use it (R1). What does not fit is cut
 * and `cut` says so; the buffer is always terminated. */
#ifndef BASE_TEXT_H
#define BASE_TEXT_H

#include "base/types.h"

struct text {
    char *p;
    size_t n;   /* bytes written, without the terminator */
    size_t cap; /* size of the buffer, with the terminator; at least 1 */
    bool cut;
};

static inline struct text text_in(char *p, size_t cap)
{
    p[0] = 0;
    return (struct text){ .p = p, .n = 0, .cap = cap, .cut = false };
}

static inline void text_char(struct text *t, char c)
{
    if (t->n + 1 >= t->cap) {
        t->cut = true;
        return;
    }
    t->p[t->n++] = c;
    t->p[t->n] = 0;
}

static inline void text_put(struct text *t, const char *s)
{
    while (*s != 0) {
        text_char(t, *s++);
    }
}

static inline void text_u64(struct text *t, uint64_t v)
{
    char digits[20];
    size_t n = 0;
    do {
        digits[n++] = (char)('0' + v % 10);
        v /= 10;
    } while (v > 0);
    while (n > 0) {
        text_char(t, digits[--n]);
    }
}

static inline void text_i64(struct text *t, int64_t v)
{
    if (v < 0) {
        text_char(t, '-');
    }
    text_u64(t, v < 0 ? 0 - (uint64_t)v : (uint64_t)v);
}

/* " name=value", the form in which every describe and print function lists its fields. */
static inline void text_field(struct text *t, const char *name, uint64_t v)
{
    text_char(t, ' ');
    text_put(t, name);
    text_char(t, '=');
    text_u64(t, v);
}

/* n bytes as 2 * n hex digits and a terminator. */
static inline void text_hex(char *out, const uint8_t *p, size_t n)
{
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < n; i++) {
        out[2 * i] = digits[p[i] >> 4];
        out[2 * i + 1] = digits[p[i] & 15];
    }
    out[2 * n] = 0;
}

#endif
