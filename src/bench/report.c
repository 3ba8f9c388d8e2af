/* The figures as a table, and the progress line. */
#include "bench/bench_internal.h"

#include <inttypes.h>
#include <string.h>

#define MEGA 1e6
#define CLIENT_BUSY 0.9 /* of a core; above it the figures may be the client's */

double per_second(uint64_t count, double seconds)
{
    return seconds > 0 ? (double)count / seconds : 0;
}

double milliseconds(uint64_t ns)
{
    return (double)ns / 1e6;
}

/* From the first counting moment to the last reply, or to the end that was asked for when that is
 * later: at ten requests a second the last one is a tenth of a second before it. */
static double seconds_measured(const struct bench *b)
{
    int64_t end = b->last_done;
    if (b->interrupted) {
        end = b->now;
    } else if (b->measure_to != INT64_MAX && b->measure_to > end &&
               !(b->options.limited && b->measured == b->options.requests)) {
        end = b->measure_to;
    }
    return end > b->measure_from ? (double)(end - b->measure_from) / SECOND_NS : 0;
}

struct summary summary_of(const struct bench *b)
{
    const struct tally *t = &b->tally;
    struct summary s = { .status = "ok",
                         .seconds = b->measuring ? seconds_measured(b) : 0,
                         .operations = t->reads.count + t->writes.count };
    if (s.seconds > 0) {
        s.client_cpu = (b->usage_to.cpu_s - b->usage_from.cpu_s) / s.seconds;
    }
    if (b->failed) {
        s.status = "failed";
    } else if (b->interrupted) {
        s.status = "interrupted";
    } else if (t->errors_total > 0) {
        s.status = "with faults";
    }
    return s;
}

static void print_settings(const struct bench *b, FILE *out)
{
    const struct bench_options *o = &b->options;
    char distribution[64];
    bench_distribution_name(&o->distribution, distribution, sizeof distribution);
    for (uint32_t i = 0; i < o->address_count; i++) {
        (void)fprintf(out, "%s%s", i > 0 ? ", " : "", o->addresses[i].name);
    }
    (void)fprintf(out, "%s: %" PRIu64 " %s%s, pipeline %" PRIu64 ", %s",
                  o->cluster ? " and the rest of the cluster" : "", o->connections,
                  o->cluster ? "session" : "connection", o->connections == 1 ? "" : "s",
                  o->pipeline, bench_operations_name(o->operations));
    if (o->operations == OPERATIONS_MIXED) {
        (void)fprintf(out, " (%g %% reads)", o->reads * 100);
    }
    if (o->rate > 0) {
        (void)fprintf(out, ", %g requests/s", o->rate);
    }
    (void)fprintf(out, "\n%" PRIu64 " keys %s*, %s; values of %" PRIu64, o->keys, o->prefix,
                  distribution, o->bytes_min);
    if (o->bytes_max != o->bytes_min) {
        (void)fprintf(out, " to %" PRIu64, o->bytes_max);
    }
    (void)fprintf(out, " bytes; seed %" PRIu64 "\n\n", o->seed);
}

static void print_row(const char *name, const struct histogram *h, double seconds, FILE *out)
{
    static const double percents[] = { 50, 90, 99, 99.9, 100 };
    (void)fprintf(out, "%-8s %11" PRIu64 " %11.0f", name, h->count, per_second(h->count, seconds));
    for (size_t i = 0; i < ARRAY_COUNT(percents); i++) {
        (void)fprintf(out, " %9.3f", milliseconds(histogram_percentile(h, percents[i])));
    }
    (void)fputc('\n', out);
}

static void print_table(const struct bench *b, double seconds, FILE *out)
{
    const struct tally *t = &b->tally;
    (void)fprintf(out, "%-8s %11s %11s %9s %9s %9s %9s %9s\n", "", "operations", "ops/s", "p50 ms",
                  "p90 ms", "p99 ms", "p99.9 ms", "max ms");
    if (t->reads.count > 0) {
        print_row("reads", &t->reads, seconds, out);
    }
    if (t->writes.count > 0) {
        print_row("writes", &t->writes, seconds, out);
    }
    (void)fprintf(out, "\n%.1f s measured; received %.2f MB/s, sent %.2f MB/s", seconds,
                  per_second(b->usage_to.bytes_in - b->usage_from.bytes_in, seconds) / MEGA,
                  per_second(b->usage_to.bytes_out - b->usage_from.bytes_out, seconds) / MEGA);
}

static void print_faults(const struct bench *b, FILE *out)
{
    const struct tally *t = &b->tally;
    (void)fprintf(out, "errors in the whole run: %" PRIu64, t->errors_total);
    for (uint32_t i = 0; i < t->error_kinds; i++) {
        (void)fprintf(out, "%s %s %" PRIu64, i > 0 ? "," : ":", t->errors[i].code,
                      t->errors[i].count);
    }
    (void)fprintf(out,
                  "\nconnections lost: %" PRIu64 ", requests without an answer: %" PRIu64
                  ", writes of unknown fate: %" PRIu64 "\n",
                  t->lost, t->unanswered, t->unknown_writes);
}

static void print_cluster(const struct bench *b, FILE *out)
{
    uint32_t serving = 0;
    for (uint32_t i = 0; i < b->endpoint_count; i++) {
        serving += b->endpoints[i].serves;
    }
    (void)fprintf(out,
                  "servers that had slots at the end: %u; CLUSTER SLOTS asked %" PRIu64
                  " times, redirections followed: %" PRIu64 "\n",
                  serving, b->tally.maps, b->tally.redirected);
}

static void print_gap(const char *what, const struct gap *gap, int64_t from, FILE *out)
{
    (void)fprintf(out, "  %-26s %10.3f ms, from second %.3f on\n", what,
                  milliseconds((uint64_t)gap->longest), (double)(gap->began - from) / SECOND_NS);
}

static void print_gaps(const struct bench *b, FILE *out)
{
    const struct client *worst = &b->clients[0];
    for (uint32_t i = 1; i < b->session_count; i++) {
        worst = b->clients[i].gap.longest > worst->gap.longest ? &b->clients[i] : worst;
    }
    (void)fputs("longest time without a good reply (warm-up included)\n", out);
    print_gap("on any connection", &b->tally.any, b->run_began, out);
    if (b->options.operations != OPERATIONS_SET) {
        print_gap("to a read", &b->tally.read, b->run_began, out);
    }
    if (b->options.operations != OPERATIONS_GET) {
        print_gap("to a write", &b->tally.write, b->run_began, out);
    }
    print_gap("of a single connection", &worst->gap, b->run_began, out);
}

static void print_doubts(const struct bench *b, const struct summary *s, FILE *out)
{
    const struct tally *t = &b->tally;
    if (t->reads.count > 0 && t->misses > 0) {
        (void)fprintf(out,
                      "NOTE: %.1f %% of the reads found nothing (--fill writes every key first)\n",
                      100 * (double)t->misses / (double)t->reads.count);
    }
    if (s->client_cpu > CLIENT_BUSY) {
        (void)fputs(
            "NOTE: this client was as good as busy all the time; the server may be faster\n", out);
    }
    if (b->unsent > 0) {
        (void)fprintf(
            out,
            "NOTE: the rate was not reached: %" PRIu64
            " requests were never sent, the first of them %.1f ms overdue at the end;\n"
            "      latencies with them would be higher. More --connections or --pipeline?\n",
            b->unsent, milliseconds((uint64_t)b->overdue));
    }
}

void report_print(const struct bench *b, FILE *out)
{
    const struct tally *t = &b->tally;
    struct summary s = summary_of(b);
    print_settings(b, out);
    if (b->interrupted) {
        (void)fputs("INTERRUPTED; so far:\n", out);
    }
    if (t->errors_total > 0) {
        (void)fputs("WITH FAULTS: these figures include what the faults cost\n", out);
    }
    if (s.operations > 0) {
        print_table(b, s.seconds, out);
        (void)fprintf(out, "; this client used %.0f %% of a core\n", 100 * s.client_cpu);
    } else {
        (void)fputs(b->options.limited && b->options.requests == 0 ? "The keys are filled.\n"
                                                                   : "Nothing was measured.\n",
                    out);
    }
    if (b->options.check) {
        (void)fprintf(out, "values checked: %" PRIu64 ", none wrong\n", t->checked);
    }
    if (b->options.cluster) {
        print_cluster(b, out);
    }
    if (b->options.reconnect && b->run_began > 0) {
        print_faults(b, out);
        print_gaps(b, out);
    }
    print_doubts(b, &s, out);
    if (b->options.histogram && t->reads.count > 0) {
        distribution_print(&t->reads, "reads, milliseconds", out);
    }
    if (b->options.histogram && t->writes.count > 0) {
        distribution_print(&t->writes, "writes, milliseconds", out);
    }
}

/* --- Progress -------------------------------------------------------------------------------- */

/* What was added to the histogram since the last call. */
static void since_last(struct bench *b, struct histogram *out)
{
    *out = b->tally.reads;
    histogram_merge(out, &b->tally.writes);
    struct histogram all = *out;
    out->count -= b->seen->count;
    for (uint32_t i = 0; i < HISTOGRAM_BUCKETS; i++) {
        out->buckets[i] -= b->seen->buckets[i];
    }
    *b->seen = all;
}

void progress_print(struct bench *b)
{
    struct histogram h;
    char text[160];
    double at = (double)(b->now - b->began) / SECOND_NS;
    b->progress_next += SECOND_NS;
    since_last(b, &h);
    if (b->phase == PHASE_CONNECT) {
        (void)snprintf(text, sizeof text, "%.0f s: %u of %u connected", at, b->open,
                       b->client_count);
    } else if (b->phase == PHASE_FILL) {
        (void)snprintf(text, sizeof text, "%.0f s: filling, %" PRIu64 " of %" PRIu64 " keys", at,
                       b->fill_next, b->options.keys);
    } else if (b->now < b->measure_from + SECOND_NS / 2) {
        (void)snprintf(text, sizeof text, "%.0f s: warm-up", at);
    } else {
        (void)snprintf(text, sizeof text,
                       "%.0f s: %" PRIu64 " replies in the last second, p50 %.3f ms, p99 %.3f ms, "
                       "errors %" PRIu64,
                       at, h.count, milliseconds(histogram_percentile(&h, 50)),
                       milliseconds(histogram_percentile(&h, 99)), b->tally.errors_total);
    }
    (void)fprintf(stderr, b->progress_is_line ? "\r\033[K%s" : "%s\n", text);
    (void)fflush(stderr);
}

void progress_end(struct bench *b)
{
    if (b->show_progress && b->progress_is_line) {
        (void)fputs("\r\033[K", stderr);
    }
}
