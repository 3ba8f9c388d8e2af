/* What the next operation is about: a key, drawn from a distribution, and whether to read or write.
 *
 * uniform   all keys alike
 * zipf      key k, counted from 0, in proportion to 1 / (k + 1)^theta: key 0 is the most popular.
 *           Rejection-inversion (Hoermann and Derflinger 1996): exact, without a table, for any
 *           number of keys.
 * hot       the first keys, a given share of all, get a given share of the operations */
#ifndef BENCH_PICK_H
#define BENCH_PICK_H

#include "base/rng.h"

enum pick_kind { PICK_UNIFORM = 0, PICK_ZIPF, PICK_HOT };

struct pick_distribution {
    enum pick_kind kind;
    double theta;                /* of zipf */
    double hot_keys, hot_access; /* of hot: shares, 0 to 1 */
};

struct picker {
    struct pick_distribution distribution;
    uint64_t keys;
    uint64_t hot; /* how many keys are hot */
    /* of zipf: the integral of the density at both ends, and where no test is needed */
    double low, high, sure;
};

struct picker picker_new(const struct pick_distribution *distribution, uint64_t keys);
/* A key in [0, keys). */
uint64_t picker_key(const struct picker *picker, struct rng *rng);
/* True with that probability. */
bool picker_chance(double share, struct rng *rng);

#endif
