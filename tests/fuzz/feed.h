/* A fuzz input read as a program: numbers and bytes are taken from its front until it is used up;
 * from then on everything is zero. Targets whose input is a list of steps use this, so that every
 * change of a byte changes a step and not only a length. */
#ifndef TESTS_FUZZ_FEED_H
#define TESTS_FUZZ_FEED_H

#include "base/types.h"

struct feed {
    const uint8_t *p;
    size_t n;
};

static inline uint8_t feed_u8(struct feed *f)
{
    if (f->n == 0) {
        return 0;
    }
    f->n--;
    return *f->p++;
}

static inline uint16_t feed_u16(struct feed *f)
{
    uint16_t low = feed_u8(f);
    return (uint16_t)(low | feed_u8(f) << 8);
}

static inline uint32_t feed_u32(struct feed *f)
{
    uint32_t low = feed_u16(f);
    return low | (uint32_t)feed_u16(f) << 16;
}

static inline uint64_t feed_u64(struct feed *f)
{
    uint64_t low = feed_u32(f);
    return low | (uint64_t)feed_u32(f) << 32;
}

/* 0 .. n - 1 */
static inline uint32_t feed_below(struct feed *f, uint32_t n)
{
    return (n <= 256 ? feed_u8(f) : feed_u16(f)) % n;
}

/* Up to n bytes, borrowed from the input. */
static inline struct span feed_bytes(struct feed *f, size_t n)
{
    struct span out = span_of(f->p, n < f->n ? n : f->n);
    f->p += out.n;
    f->n -= out.n;
    return out;
}

#endif
