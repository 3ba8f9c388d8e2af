/* What was measured: latencies of reads and writes apart, errors by code, gaps.
 *
 * Times are nanoseconds of one monotonic clock. Latencies count for operations that began in the
 * measured time; errors and gaps for all of the run, warm-up and filling included, since a fault
 * does not become harmless by its date. */
#ifndef BENCH_TALLY_H
#define BENCH_TALLY_H

#include "base/histogram.h"
#include "base/limits.h"

/* Times without a good reply. */
struct gap {
    int64_t last;    /* when the last good reply came, or the run began */
    int64_t longest; /* ... of these times */
    int64_t began;   /* when the longest did */
};

static inline void gap_start(struct gap *gap, int64_t now)
{
    *gap = (struct gap){ .last = now, .began = now };
}

/* A good reply, or the end. */
static inline void gap_ends(struct gap *gap, int64_t now)
{
    if (now - gap->last > gap->longest) {
        gap->longest = now - gap->last;
        gap->began = gap->last;
    }
    gap->last = now;
}

struct tally_error {
    char code[32]; /* the first word of the error, or a word of ours for what is no reply */
    uint64_t count;
};

struct tally {
    struct histogram reads, writes; /* nanoseconds */
    uint64_t misses;                /* reads that found nothing, of those in the histogram */
    uint64_t checked;               /* values that --check looked at */
    struct gap any, read, write;
    struct tally_error errors[BENCH_ERROR_CODES_MAX];
    uint32_t error_kinds;
    uint64_t errors_total;
    uint64_t unknown_writes; /* whose fate is open: -UNCERTAIN, or without a reply */
    uint64_t unanswered;     /* operations, reads too, whose connection was lost */
    uint64_t lost;           /* connections */
    uint64_t redirected;     /* answers of MOVED or ASK, each of them followed */
    uint64_t maps;           /* that were taken from CLUSTER SLOTS */
    uint64_t bytes_in, bytes_out;
};

void tally_error(struct tally *tally, const char *code, size_t n);

#endif
