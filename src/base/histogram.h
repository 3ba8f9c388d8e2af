/* A histogram of durations with a bounded relative error, after Gil Tene's HdrHistogram: buckets
 * are exact up to 127 and then 64 to each power of two, so that a percentile read from it is at
 * most 1/64 (1.6 %) above the truth, from one unit to 2^40 of them. Recording is a few
 * instructions and never allocates. The unit is the caller's (microseconds, bytes, entries). */
#ifndef BASE_HISTOGRAM_H
#define BASE_HISTOGRAM_H

#include "base/types.h"

#define HISTOGRAM_STEP_BITS 6u /* 64 buckets to a power of two */
#define HISTOGRAM_VALUE_BITS 40u
#define HISTOGRAM_BUCKETS ((HISTOGRAM_VALUE_BITS - HISTOGRAM_STEP_BITS + 1) << HISTOGRAM_STEP_BITS)

/* Zeroed memory is an empty histogram. About 17 KiB. */
struct histogram {
    uint64_t count, sum, max;
    uint64_t buckets[HISTOGRAM_BUCKETS];
};

/* The bucket of a value; larger ones than 2^40 - 1 count as that. */
static inline uint32_t histogram_bucket(uint64_t value)
{
    const uint64_t top = ((uint64_t)1 << HISTOGRAM_VALUE_BITS) - 1;
    value = value > top ? top : value;
    if (value < (2u << HISTOGRAM_STEP_BITS)) {
        return (uint32_t)value;
    }
    uint32_t power = 63u - (uint32_t)__builtin_clzll(value); /* of the leading one, at least 7 */
    uint32_t shift = power - HISTOGRAM_STEP_BITS;
    return (shift << HISTOGRAM_STEP_BITS) + (uint32_t)(value >> shift);
}

/* The largest value that falls into the bucket. */
uint64_t histogram_bucket_top(uint32_t bucket);

/* Counts `times` occurrences of the value. */
static inline void histogram_add(struct histogram *h, uint64_t value, uint64_t times)
{
    h->count += times;
    h->sum += value * times;
    h->max = value > h->max ? value : h->max;
    h->buckets[histogram_bucket(value)] += times;
}

/* Adds what `from` has counted. */
void histogram_merge(struct histogram *h, const struct histogram *from);

/* The value that the given share of all counted ones does not exceed, 0 <= percent <= 100; never
 * above the largest value seen. 0 when nothing was counted. */
uint64_t histogram_percentile(const struct histogram *h, double percent);

/* Coarse bounds for showing a histogram: 1, 2, 4, ..., 64, and then 127, 255, 511 and so on, at
 * which its counts are exact. */
#define HISTOGRAM_BOUNDS (HISTOGRAM_VALUE_BITS + 1)
static inline uint64_t histogram_bound(uint32_t i)
{
    return i <= HISTOGRAM_STEP_BITS ? (uint64_t)1 << i : ((uint64_t)1 << i) - 1;
}

/* How many of the values are at most each bound. */
void histogram_cumulate(const struct histogram *h, uint64_t upto[HISTOGRAM_BOUNDS]);

#endif
