#include "cluster/detector.h"

#include "base/panic.h"

void detector_init(struct detector *d, const struct detector_options *options)
{
    qr_assert(options->interval > 0);
    qr_assert(options->silence > 2 * options->interval);
    if (options->kind == DETECTOR_PHI) {
        qr_assert(options->phi >= 1 && options->phi <= PHI_MAX);
        qr_assert(options->deviation > 0);
    }
    *d = (struct detector){ .options = *options };
}

void detector_begin(struct detector *d, node_index node, qr_time now)
{
    d->asked[node] = now;
    d->seen[node] = now;
    d->sampled[node] = now;
    phi_reset(&d->window[node]);
}

static qr_time earlier(qr_time a, qr_time b)
{
    return a < b ? a : b;
}

static qr_time longest_silence(const struct detector *d)
{
    return DETECTOR_PATIENCE * d->options.silence;
}

/* D3 */
static void sample(struct detector *d, node_index node, qr_time heard)
{
    qr_time gap = heard - d->seen[node];
    d->seen[node] = heard;
    if (heard - d->sampled[node] >= d->options.interval) {
        gap = gap > d->options.interval ? gap : d->options.interval;
        phi_add(&d->window[node], earlier(gap, longest_silence(d)));
        d->sampled[node] = heard;
    }
}

void detector_heard(struct detector *d, node_index node, qr_time heard)
{
    if (d->unanswered[node] < heard) {
        d->unanswered[node] = QR_NEVER;
    }
    sample(d, node, heard);
}

void detector_forgive(struct detector *d, node_index node, qr_time late)
{
    if (d->unanswered[node] != QR_NEVER) {
        d->unanswered[node] += late;
    }
    d->seen[node] += late;
}

bool detector_asks(struct detector *d, node_index node, qr_time now, qr_time *next)
{
    if (d->options.kind != DETECTOR_PING) {
        return false;
    }
    if (now - d->asked[node] < d->options.interval) {
        *next = earlier(*next, d->asked[node] + d->options.interval);
        return false;
    }
    d->asked[node] = now;
    d->unanswered[node] = earlier(d->unanswered[node], now);
    return true;
}

qr_time detector_timeout(const struct detector *d, node_index node)
{
    const struct detector_options *o = &d->options;
    if (o->kind != DETECTOR_PHI || !phi_knows(&d->window[node])) {
        return o->silence;
    }
    return earlier(phi_time(&d->window[node], o->phi, o->deviation), longest_silence(d));
}

qr_time detector_due(const struct detector *d, node_index node, qr_time heard)
{
    qr_time from = d->options.kind == DETECTOR_PING ? d->unanswered[node] : heard;
    return from == QR_NEVER ? QR_NEVER : from + detector_timeout(d, node);
}
