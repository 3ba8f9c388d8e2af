#include "base/histogram.h"

#include "base/panic.h"

uint64_t histogram_bucket_top(uint32_t bucket)
{
    qr_assert(bucket < HISTOGRAM_BUCKETS);
    if (bucket < (2u << HISTOGRAM_STEP_BITS)) {
        return bucket;
    }
    uint32_t shift = (bucket >> HISTOGRAM_STEP_BITS) - 1;
    uint64_t step = bucket - (shift << HISTOGRAM_STEP_BITS);
    return ((step + 1) << shift) - 1;
}

void histogram_merge(struct histogram *h, const struct histogram *from)
{
    h->count += from->count;
    h->sum += from->sum;
    h->max = from->max > h->max ? from->max : h->max;
    for (uint32_t i = 0; i < HISTOGRAM_BUCKETS; i++) {
        h->buckets[i] += from->buckets[i];
    }
}

uint64_t histogram_percentile(const struct histogram *h, double percent)
{
    qr_assert(percent >= 0 && percent <= 100);
    double share = (double)h->count * percent / 100;
    uint64_t wanted = (uint64_t)share;
    wanted += (double)wanted < share || wanted == 0 ? 1 : 0; /* rounded up, at least the first */
    uint64_t seen = 0;
    for (uint32_t i = 0; i < HISTOGRAM_BUCKETS && h->count > 0; i++) {
        seen += h->buckets[i];
        if (seen >= wanted) {
            uint64_t top = histogram_bucket_top(i);
            return top < h->max ? top : h->max;
        }
    }
    return h->max;
}

void histogram_cumulate(const struct histogram *h, uint64_t upto[HISTOGRAM_BOUNDS])
{
    uint64_t seen = 0;
    uint32_t bucket = 0;
    for (uint32_t i = 0; i < HISTOGRAM_BOUNDS; i++) {
        for (uint32_t end = histogram_bucket(histogram_bound(i)); bucket <= end; bucket++) {
            seen += h->buckets[bucket];
        }
        upto[i] = seen;
    }
}
