/* Samples in Prometheus's text format 0.0.4: "name{label="value"} 1". Lines end in a line feed; a
 * backslash and a line feed are escaped in help texts, and in label values quotes too. */
#include "node/metrics_internal.h"

#include "base/text.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

const struct metric_scale metric_seconds = { 4, 23, 1e6 };
const struct metric_scale metric_usec = { 4, 23, 1 };
const struct metric_scale metric_counts = { 0, 12, 1 };
const struct metric_scale metric_bytes = { 12, 23, 1 };

static void put_bytes(struct reply *out, const char *p, size_t n)
{
    memcpy(reply_reserve(out, n), p, n);
    out->n += n;
}

static void put(struct reply *out, const char *text)
{
    put_bytes(out, text, strlen(text));
}

static void put_escaped(struct reply *out, const char *text, bool quotes)
{
    for (;;) {
        size_t plain = strcspn(text, quotes ? "\\\n\"" : "\\\n");
        put_bytes(out, text, plain);
        text += plain;
        if (*text == 0) {
            return;
        }
        put(out, *text == '\n' ? "\\n" : *text == '"' ? "\\\"" : "\\\\");
        text++;
    }
}

static void put_number(struct reply *out, double value)
{
    char text[40];
    if (value >= 0 && value < 1e15 && value == (double)(uint64_t)value) {
        struct text t = text_in(text, sizeof text);
        text_u64(&t, (uint64_t)value);
    } else if (isinf(value) || isnan(value)) {
        (void)snprintf(text, sizeof text, "%s", isnan(value) ? "NaN" : value > 0 ? "+Inf" : "-Inf");
    } else {
        (void)snprintf(text, sizeof text, "%.12g", value);
    }
    put(out, text);
}

void metric_head(struct reply *out, const struct metric_row *row)
{
    put(out, "# HELP ");
    put(out, row->name);
    put(out, " ");
    put_escaped(out, row->help, false);
    put(out, "\n# TYPE ");
    put(out, row->name);
    put(out, " ");
    put(out, row->type);
    put(out, "\n");
}

/* The name and the labels; with `open` the caller adds one more label and closes the brace. */
static void put_series(struct reply *out, const char *name, const char *suffix,
                       const struct metric_label *labels, bool open)
{
    put(out, name);
    put(out, suffix);
    const char *between = "{";
    for (; labels->name != NULL; labels++) {
        put(out, between);
        put(out, labels->name);
        put(out, "=\"");
        put_escaped(out, labels->value, true);
        put(out, "\"");
        between = ",";
    }
    put(out, open ? between : *between == ',' ? "} " : " ");
}

void metric_sample(struct reply *out, const char *name, const char *suffix,
                   const struct metric_label *labels, double value)
{
    put_series(out, name, suffix, labels, false);
    put_number(out, value);
    put(out, "\n");
}

/* Repeats n bytes that stand in `out` already, from `at` on. */
static void repeat(struct reply *out, size_t at, size_t n)
{
    (void)reply_reserve(out, n); /* may move the buffer */
    memcpy(out->p + out->n, out->p + at, n);
    out->n += n;
}

void metric_histogram(struct reply *out, const char *name, const struct metric_label *labels,
                      const struct histogram *h, const struct metric_scale *scale)
{
    uint64_t upto[HISTOGRAM_BOUNDS];
    histogram_cumulate(h, upto);
    size_t series = out->n;
    put_series(out, name, "_bucket", labels, true);
    put(out, "le=\"");
    size_t series_n = out->n - series;
    for (uint32_t i = scale->first; i <= scale->last; i++) {
        put_number(out, (double)histogram_bound(i) / scale->divisor);
        put(out, "\"} ");
        put_number(out, (double)upto[i]);
        put(out, "\n");
        repeat(out, series, series_n);
    }
    put(out, "+Inf\"} ");
    put_number(out, (double)h->count);
    put(out, "\n");
    metric_sample(out, name, "_sum", labels, (double)h->sum / scale->divisor);
    metric_sample(out, name, "_count", labels, (double)h->count);
}
