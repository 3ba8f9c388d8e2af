/* The figures as one JSON document. A failed run has its reason there and no figures. */
#include "bench/bench_internal.h"

#include <inttypes.h>

static void put_string(FILE *out, const char *text)
{
    (void)fputc('"', out);
    for (const char *p = text; *p != 0; p++) {
        if (*p == '"' || *p == '\\') {
            (void)fprintf(out, "\\%c", *p);
        } else if ((unsigned char)*p < ' ' || (unsigned char)*p >= 127) {
            (void)fprintf(out, "\\u%04x", (unsigned char)*p); /* bytes that are no text */
        } else {
            (void)fputc(*p, out);
        }
    }
    (void)fputc('"', out);
}

static void put_settings(const struct bench *b, FILE *out)
{
    const struct bench_options *o = &b->options;
    char distribution[64];
    bench_distribution_name(&o->distribution, distribution, sizeof distribution);
    (void)fputs("  \"settings\": {\n    \"servers\": [", out);
    for (uint32_t i = 0; i < o->address_count; i++) {
        (void)fputs(i > 0 ? ", " : "", out);
        put_string(out, o->addresses[i].name);
    }
    (void)fprintf(out,
                  "],\n    \"connections\": %" PRIu64 ", \"pipeline\": %" PRIu64
                  ", \"operations\": \"%s\", \"read_share\": %g, \"rate\": %g,\n"
                  "    \"keys\": %" PRIu64
                  ", \"distribution\": \"%s\", \"value_bytes_min\": %" PRIu64
                  ", \"value_bytes_max\": %" PRIu64 ",\n",
                  o->connections, o->pipeline, bench_operations_name(o->operations), o->reads,
                  o->rate, o->keys, distribution, o->bytes_min, o->bytes_max);
    (void)fprintf(out,
                  "    \"duration_s\": %g, \"warmup_s\": %g, \"seed\": %" PRIu64
                  ", \"check\": %s, \"reconnect\": %s, \"prefix\": ",
                  o->duration_s, o->warmup_s, o->seed, o->check ? "true" : "false",
                  o->reconnect ? "true" : "false");
    put_string(out, o->prefix);
    (void)fputs("\n  }", out);
}

static void put_kind(const char *name, const struct histogram *h, double seconds, FILE *out)
{
    double mean = h->count > 0 ? (double)h->sum / (double)h->count : 0;
    (void)fprintf(out,
                  ",\n  \"%s\": {\n    \"operations\": %" PRIu64
                  ", \"ops_per_second\": %.1f,\n    \"latency_ms\": { \"mean\": %.6f",
                  name, h->count, per_second(h->count, seconds), mean / 1e6);
    static const struct {
        const char *name;
        double percent;
    } columns[] = { { "p50", 50 },     { "p90", 90 },       { "p99", 99 },
                    { "p99.9", 99.9 }, { "p99.99", 99.99 }, { "max", 100 } };
    for (size_t i = 0; i < ARRAY_COUNT(columns); i++) {
        (void)fprintf(out, ", \"%s\": %.6f", columns[i].name,
                      milliseconds(histogram_percentile(h, columns[i].percent)));
    }
    (void)fputs(" }\n  }", out);
}

static void put_gap(const char *name, const struct gap *gap, int64_t from, FILE *out)
{
    (void)fprintf(out, "\"%s\": { \"ms\": %.3f, \"from_s\": %.3f }", name,
                  milliseconds((uint64_t)gap->longest), (double)(gap->began - from) / SECOND_NS);
}

static void put_faults(const struct bench *b, FILE *out)
{
    const struct tally *t = &b->tally;
    (void)fprintf(out,
                  ",\n  \"faults\": {\n    \"connections_lost\": %" PRIu64
                  ", \"requests_unanswered\": %" PRIu64 ", \"writes_unknown\": %" PRIu64
                  ",\n    \"errors\": {",
                  t->lost, t->unanswered, t->unknown_writes);
    for (uint32_t i = 0; i < t->error_kinds; i++) {
        (void)fputs(i > 0 ? ", " : " ", out);
        put_string(out, t->errors[i].code);
        (void)fprintf(out, ": %" PRIu64, t->errors[i].count);
    }
    (void)fputs(" },\n    \"longest_gap\": { ", out);
    put_gap("any", &t->any, b->run_began, out);
    (void)fputs(", ", out);
    put_gap("reads", &t->read, b->run_began, out);
    (void)fputs(", ", out);
    put_gap("writes", &t->write, b->run_began, out);
    (void)fputs(" },\n    \"longest_gap_ms_of_connections\": [", out);
    for (uint32_t i = 0; i < b->session_count; i++) {
        (void)fprintf(out, "%s%.3f", i > 0 ? ", " : "",
                      milliseconds((uint64_t)b->clients[i].gap.longest));
    }
    (void)fputs("]\n  }", out);
}

static void put_figures(const struct bench *b, const struct summary *s, FILE *out)
{
    const struct tally *t = &b->tally;
    (void)fprintf(out,
                  ",\n  \"seconds\": %.6f, \"operations\": %" PRIu64
                  ", \"ops_per_second\": %.1f, \"client_cpu\": %.3f,\n"
                  "  \"bytes_received_per_second\": %.0f, \"bytes_sent_per_second\": %.0f,\n"
                  "  \"read_misses\": %" PRIu64 ", \"values_checked\": %" PRIu64
                  ", \"unsent\": %" PRIu64 ", \"overdue_ms\": %.3f",
                  s->seconds, s->operations, per_second(s->operations, s->seconds), s->client_cpu,
                  per_second(b->usage_to.bytes_in - b->usage_from.bytes_in, s->seconds),
                  per_second(b->usage_to.bytes_out - b->usage_from.bytes_out, s->seconds),
                  t->misses, t->checked, b->unsent, milliseconds((uint64_t)b->overdue));
    if (b->options.cluster) {
        (void)fprintf(out,
                      ",\n  \"cluster\": { \"maps\": %" PRIu64 ", \"redirected\": %" PRIu64 " }",
                      t->maps, t->redirected);
    }
    put_kind("reads", &t->reads, s->seconds, out);
    put_kind("writes", &t->writes, s->seconds, out);
    if (b->options.reconnect && b->run_began > 0) {
        put_faults(b, out);
    }
}

void json_print(const struct bench *b, FILE *out)
{
    struct summary s = summary_of(b);
    (void)fprintf(
        out, "{\n  \"program\": \"quorate bench\", \"version\": \"%s\",\n  \"status\": \"%s\",\n",
        QUORATE_VERSION, s.status);
    if (b->failed) {
        (void)fputs("  \"reason\": ", out);
        put_string(out, b->reason);
        (void)fputs(",\n", out);
    }
    put_settings(b, out);
    if (!b->failed && s.operations > 0) {
        put_figures(b, &s, out);
    }
    (void)fputs("\n}\n", out);
}
