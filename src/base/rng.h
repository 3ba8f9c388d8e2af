/* A small deterministic generator (SplitMix64, Steele et al. 2014). Its state lives in its owner,
 * so that a seed gives the same run everywhere (P7). Not for secrets. */
#ifndef BASE_RNG_H
#define BASE_RNG_H

#include "base/types.h"

struct rng {
    uint64_t state;
};

static inline struct rng rng_from(uint64_t seed)
{
    return (struct rng){ .state = seed };
}

static inline uint64_t rng_next(struct rng *r)
{
    uint64_t z = (r->state += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

/* A number in [0, bound); bound must not be 0. The bias is below 2^-32 for bounds below 2^32. */
static inline uint64_t rng_below(struct rng *r, uint64_t bound)
{
    return rng_next(r) % bound;
}

/* True `part` times out of `whole`. */
static inline bool rng_chance(struct rng *r, uint64_t part, uint64_t whole)
{
    return rng_below(r, whole) < part;
}

#endif
