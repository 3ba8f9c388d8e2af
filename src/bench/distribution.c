/* A latency distribution in the form that HdrHistogram prints, for those who plot it: five lines to
 * each halving of what is left above. */
#include "bench/bench_internal.h"

#include <inttypes.h>
#include <math.h>

#define LINES_PER_HALF 5.0

static uint64_t count_up_to(const struct histogram *h, uint64_t value)
{
    uint64_t count = 0;
    for (uint32_t i = 0; i <= histogram_bucket(value); i++) {
        count += h->buckets[i];
    }
    return count;
}

static double deviation(const struct histogram *h, double mean)
{
    double squares = 0;
    for (uint32_t i = 0; i < HISTOGRAM_BUCKETS; i++) {
        uint64_t below = i > 0 ? histogram_bucket_top(i - 1) : 0;
        double middle = ((double)below + (double)histogram_bucket_top(i)) / 2;
        squares += (double)h->buckets[i] * (middle - mean) * (middle - mean);
    }
    return sqrt(squares / (double)h->count);
}

/* The next percentile to print: the steps halve as 100 comes near. */
static double next_percent(double percent)
{
    double halvings = floor(log2(100 / (100 - percent))) + 1;
    return percent + 100 / (LINES_PER_HALF * exp2(halvings));
}

void distribution_print(const struct histogram *h, const char *title, FILE *out)
{
    double mean = (double)h->sum / (double)h->count;
    (void)fprintf(out, "\n# %s\n%12s %14s %10s %14s\n\n", title, "Value", "Percentile",
                  "TotalCount", "1/(1-Percentile)");
    uint64_t count = 0;
    for (double percent = 0; count < h->count; percent = next_percent(percent)) {
        uint64_t value = histogram_percentile(h, percent);
        count = count_up_to(h, value);
        if (count == h->count) {
            break; /* the last line says it */
        }
        (void)fprintf(out, "%12.3f %2.12f %10" PRIu64 " %14.2f\n", milliseconds(value),
                      percent / 100, count, 100 / (100 - percent));
    }
    (void)fprintf(out, "%12.3f %2.12f %10" PRIu64 "\n", milliseconds(h->max), 1.0, h->count);
    (void)fprintf(out, "#[Mean    = %12.3f, StdDeviation   = %12.3f]\n", mean / 1e6,
                  deviation(h, mean) / 1e6);
    (void)fprintf(out, "#[Max     = %12.3f, Total count    = %12" PRIu64 "]\n",
                  milliseconds(h->max), h->count);
    (void)fprintf(out, "#[Buckets = %12u, SubBuckets     = %12u]\n",
                  HISTOGRAM_VALUE_BITS - HISTOGRAM_STEP_BITS, 1u << HISTOGRAM_STEP_BITS);
}
