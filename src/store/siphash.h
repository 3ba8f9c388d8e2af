/* SipHash-1-3 (Aumasson and Bernstein, 2012; the reduced variant that hash tables use): a keyed
 * hash whose collisions cannot be found without the key, so that no client can flood one bucket.
 * 16-byte keys cost about 10 ns; an unkeyed or merely seeded fast hash has collisions that hold
 * for every seed. */
#ifndef STORE_SIPHASH_H
#define STORE_SIPHASH_H

#include "base/types.h"

struct siphash_key {
    uint64_t k0, k1;
};

/* Reads the key as two little-endian words, so that every machine computes the same hashes. */
struct siphash_key siphash_key_from(const uint8_t key[16]);
uint64_t siphash(struct siphash_key key, const void *p, size_t n);

#endif
