/* What the metrics*.c files share: metrics.c has the page and its rows, metrics_text.c how a sample
 * is written, metrics_rows.c and metrics_peers.c the rows with labels. */
#ifndef NODE_METRICS_INTERNAL_H
#define NODE_METRICS_INTERNAL_H

#include "node/facts.h"
#include "node/metrics.h"
#include "node/snapshot_fetch.h"
#include "node/snapshot_source.h"
#include "resp/reply.h"

/* What the samples of a page are taken from; gathered once, at its beginning. */
struct sources {
    const struct node *node;
    const struct stats *stats;
    const struct measure *measure;
    struct log_stats log;
    struct memory_facts memory;
    struct cpu_facts cpu;
    struct outlook outlook;
    bool ready; /* there is an outlook */
    bool space_low;
    double uptime_s, last_save_s;
    uint32_t leader_id, followers, waiting, forwarded;
    uint64_t applied, raft_log_bytes, checkpoint_slot;
    struct source_figures source;
    struct fetch_figures fetch;
    struct discards_stats discards;
};

struct metrics {
    struct sources sources;
    struct reply out; /* a growing buffer */
    size_t row;
    size_t item;   /* where a row with many items goes on; 0: at its beginning */
    qr_time until; /* the end of this slice */
};

struct metric_row {
    const char *name, *type, *help;
    double (*value)(const struct sources *s); /* NULL: */
    void (*write)(struct metrics *page, const struct metric_row *row);
};

/* --- metrics_text.c: one line each ---------------------------------------------------------- */

/* Labels: pairs of name and value up to a NULL name; values are escaped. */
struct metric_label {
    const char *name, *value;
};
#define LABELS(...) ((const struct metric_label[]){ __VA_ARGS__, { NULL, NULL } })
#define NO_LABELS ((const struct metric_label[]){ { NULL, NULL } })

void metric_head(struct reply *out, const struct metric_row *row);
/* name suffix {labels} value */
void metric_sample(struct reply *out, const char *name, const char *suffix,
                   const struct metric_label *labels, double value);

/* Which of a histogram's bounds are shown, and what divides its values: 1e6 for seconds. */
struct metric_scale {
    uint32_t first, last; /* of histogram_bound */
    double divisor;
};
extern const struct metric_scale metric_seconds; /* 16 us to 8 s, as seconds */
extern const struct metric_scale metric_usec;    /* the same, as microseconds */
extern const struct metric_scale metric_counts;  /* 1 to 4096 */
extern const struct metric_scale metric_bytes;   /* 4 KiB to 8 MiB, less one */
void metric_histogram(struct reply *out, const char *name, const struct metric_label *labels,
                      const struct histogram *h, const struct metric_scale *scale);

/* --- metrics_rows.c, metrics_peers.c -------------------------------------------------------- */

#define ONE(...)
#define MANY(name, type, labels, help, writer) \
    void writer(struct metrics *page, const struct metric_row *row);
#include "node/metrics.def"
#undef ONE
#undef MANY

#endif
