/* SipHash-1-3: one round per word, three at the end. */
#include "store/siphash.h"

#include <string.h>

struct state {
    uint64_t v0, v1, v2, v3;
};

static inline uint64_t rotate(uint64_t x, unsigned bits)
{
    return (x << bits) | (x >> (64 - bits));
}

static inline void round_once(struct state *s)
{
    s->v0 += s->v1;
    s->v1 = rotate(s->v1, 13) ^ s->v0;
    s->v0 = rotate(s->v0, 32);
    s->v2 += s->v3;
    s->v3 = rotate(s->v3, 16) ^ s->v2;
    s->v0 += s->v3;
    s->v3 = rotate(s->v3, 21) ^ s->v0;
    s->v2 += s->v1;
    s->v1 = rotate(s->v1, 17) ^ s->v2;
    s->v2 = rotate(s->v2, 32);
}

static inline uint64_t word_at(const uint8_t *p)
{
    uint64_t v;
    memcpy(&v, p, 8);
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    v = __builtin_bswap64(v);
#endif
    return v;
}

static inline void absorb(struct state *s, uint64_t word)
{
    s->v3 ^= word;
    round_once(s);
    s->v0 ^= word;
}

struct siphash_key siphash_key_from(const uint8_t key[16])
{
    return (struct siphash_key){ .k0 = word_at(key), .k1 = word_at(key + 8) };
}

uint64_t siphash(struct siphash_key key, const void *p, size_t n)
{
    struct state s = {
        .v0 = key.k0 ^ 0x736f6d6570736575u,
        .v1 = key.k1 ^ 0x646f72616e646f6du,
        .v2 = key.k0 ^ 0x6c7967656e657261u,
        .v3 = key.k1 ^ 0x7465646279746573u,
    };
    const uint8_t *at = p;
    size_t left = n;
    for (; left >= 8; at += 8, left -= 8) {
        absorb(&s, word_at(at));
    }
    uint64_t last = (uint64_t)n << 56;
    for (size_t i = 0; i < left; i++) {
        last |= (uint64_t)at[i] << (8 * i);
    }
    absorb(&s, last);
    s.v2 ^= 0xff;
    for (int i = 0; i < 3; i++) {
        round_once(&s);
    }
    return s.v0 ^ s.v1 ^ s.v2 ^ s.v3;
}
