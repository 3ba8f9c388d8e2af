/* Samples in Prometheus's text format 0.0.4: "name{label="value"} 1". Lines end in a line feed; a
 * backslash and a line feed are escaped in help texts, and in label values quotes too. */
#include "node/metrics_internal.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

const struct metric_scale metric_seconds = { 4, 23, 1e6 };
const struct metric_scale metric_usec = { 4, 23, 1 };
const struct metric_scale metric_counts = { 0, 12, 1 };
const struct metric_scale metric_bytes = { 12, 23, 1 };

static void put(struct reply *out, const char *text)
{
    size_t n = strlen(text);
    memcpy(reply_reserve(out, n), text, n);
    out->n += n;
}

static void put_escaped(struct reply *out, const char *text, bool quotes)
{
    for (; *text != 0; text++) {
        char c[3] = { *text, 0, 0 };
        if (*text == '\\' || *text == '\n' || (*text == '"' && quotes)) {
            c[0] = '\\';
            c[1] = *text == '\n' ? 'n' : *text;
        }
        put(out, c);
    }
}

static void put_number(struct reply *out, double value)
{
    char text[40];
    if (isinf(value) || isnan(value)) {
        (void)snprintf(text, sizeof text, "%s", isnan(value) ? "NaN" : value > 0 ? "+Inf" : "-Inf");
    } else if (value == floor(value) && fabs(value) < 1e15) {
        (void)snprintf(text, sizeof text, "%.0f", value);
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

/* The name and the labels, with one more label unless its name is NULL. */
static void put_series(struct reply *out, const char *name, const char *suffix,
                       const struct metric_label *labels, const char *more, const char *value)
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
    if (more != NULL) {
        put(out, between);
        put(out, more);
        put(out, "=\"");
        put(out, value);
        put(out, "\"");
        between = ",";
    }
    put(out, *between == ',' ? "} " : " ");
}

void metric_sample(struct reply *out, const char *name, const char *suffix,
                   const struct metric_label *labels, double value)
{
    put_series(out, name, suffix, labels, NULL, NULL);
    put_number(out, value);
    put(out, "\n");
}

static void put_bucket(struct reply *out, const char *name, const struct metric_label *labels,
                       const char *bound, uint64_t count)
{
    put_series(out, name, "_bucket", labels, "le", bound);
    put_number(out, (double)count);
    put(out, "\n");
}

void metric_histogram(struct reply *out, const char *name, const struct metric_label *labels,
                      const struct histogram *h, const struct metric_scale *scale)
{
    uint64_t upto[HISTOGRAM_BOUNDS];
    histogram_cumulate(h, upto);
    for (uint32_t i = scale->first; i <= scale->last; i++) {
        char bound[40];
        (void)snprintf(bound, sizeof bound, "%.12g", (double)histogram_bound(i) / scale->divisor);
        put_bucket(out, name, labels, bound, upto[i]);
    }
    put_bucket(out, name, labels, "+Inf", h->count);
    metric_sample(out, name, "_sum", labels, (double)h->sum / scale->divisor);
    metric_sample(out, name, "_count", labels, (double)h->count);
}
