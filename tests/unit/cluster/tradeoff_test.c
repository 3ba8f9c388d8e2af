/* The trade-off of the failure detectors: how soon a node that failed is suspected, against how
 * often one that lives is. Each detector at several thresholds lives through an hour in each of
 * four networks, all drawn from a seed, as the real beats.h sees them; every few seconds a copy of
 * it finds that the other node has failed.
 *
 *     tradeoff_test FILE.svg [--write]
 *
 * says whether the picture is that of today's detectors, and whether what the page beside it claims
 * holds (docs/failure-detection.md); or draws it anew. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/rng.h"
#include "cluster/beats.h"

#define MS QR_MILLISECOND
#define INTERVAL (25 * MS)
#define HOUR (3600 * QR_SECOND)
#define FAILURE_EVERY (4 * QR_SECOND)
#define FOUND_WITHIN (10 * QR_SECOND)
#define WINDOW_BEATS 512 /* under way at most: the longest delay is far shorter */

enum { KINDS = 3, THRESHOLDS = 8, WORLDS = 4 };

static const char *const kind_names[KINDS] = { "heartbeat", "ping", "phi" };
static const uint32_t timeouts_ms[THRESHOLDS] = { 60, 80, 110, 150, 200, 300, 450, 700 };
static const uint32_t phis[THRESHOLDS] = { 1, 2, 3, 4, 6, 8, 12, 16 };

struct point {
    uint32_t failures, found, mistakes;
    qr_time detection, detection_max; /* all together; the longest */
};

/* --- Networks -------------------------------------------------------------------------------- */

/* Exponential, with that mean: of a random fraction the logarithm, which is linear enough between
 * two powers of two. */
static qr_time exponential(struct rng *rng, qr_time mean)
{
    uint64_t draw = rng_next(rng) | 1;
    int zeros = __builtin_clzll(draw);
    qr_time fraction = (qr_time)((draw << zeros << 1) >> 48);
    return mean * 693 / 1000 * ((zeros + 1) * 65536 - fraction) / 65536;
}

/* Nearly normal: the sum of twelve fractions has deviation 1. */
static qr_time normal(struct rng *rng, qr_time mean, qr_time deviation)
{
    qr_time sum = -6 * deviation;
    for (int i = 0; i < 12; i++) {
        sum += (qr_time)rng_below(rng, (uint64_t)deviation + 1);
    }
    return mean + sum > 0 ? mean + sum : 0;
}

static bool is_calm(qr_time at)
{
    return at / (300 * QR_SECOND) % 2 == 0;
}

static qr_time steady(struct rng *rng, qr_time at)
{
    (void)at;
    return 1 * MS + exponential(rng, 1 * MS);
}

static qr_time unsteady(struct rng *rng, qr_time at)
{
    (void)at;
    return 5 * MS + exponential(rng, 30 * MS);
}

/* Five minutes as in a rack, five as behind a full line. */
static qr_time changing(struct rng *rng, qr_time at)
{
    return is_calm(at) ? steady(rng, at) : normal(rng, 400 * MS, 100 * MS);
}

static qr_time changing_tail(struct rng *rng, qr_time at)
{
    return is_calm(at) ? steady(rng, at) : 10 * MS + exponential(rng, 60 * MS);
}

static const struct {
    const char *name;
    qr_time (*delay)(struct rng *rng, qr_time at);
} worlds[WORLDS] = { { "steady delays", steady },
                     { "unsteady delays with long tails", unsteady },
                     { "calm and busy by turns", changing },
                     { "the same with long tails", changing_tail } };

/* --- A life of an hour ----------------------------------------------------------------------- */

struct life {
    struct rng rng;
    qr_time (*delay)(struct rng *rng, qr_time at);
    qr_time send_at, arrived;        /* the next beat; the latest arrival: they come in order */
    qr_time under_way[WINDOW_BEATS]; /* a ring of arrivals */
    uint32_t first, count;
};

/* One beat in 500 is the first behind a pause of the machine that it comes from. */
/* What was sent until now. One beat in 500 is behind a pause of the machine that it comes from. */
static void send(struct life *l, qr_time now)
{
    while (l->send_at <= now) {
        qr_time arrives = l->send_at + l->delay(&l->rng, l->send_at);
        l->arrived = arrives > l->arrived ? arrives : l->arrived;
        l->under_way[(l->first + l->count++) % WINDOW_BEATS] = l->arrived;
        bool pauses = rng_chance(&l->rng, 1, 500);
        l->send_at += INTERVAL + (pauses ? (qr_time)rng_below(&l->rng, 120 * MS) : 0);
    }
}

static void arrive(struct life *l, struct beats *b, qr_time now)
{
    for (; l->count > 0 && l->under_way[l->first] <= now; l->count--) {
        beats_heard(b, 0, l->under_way[l->first]);
        l->first = (l->first + 1) % WINDOW_BEATS;
    }
}

static bool trusts(struct beats *b, qr_time now, qr_time *next)
{
    uint16_t beat_to, up;
    *next = beats_turn(b, now, &beat_to, &up);
    return up != 0;
}

/* The other node has failed just now: what is under way comes, and nothing more. It is detected
 * when it is suspected for good. */
static void fail_now(const struct life *alive, const struct beats *believed, qr_time now,
                     struct point *p)
{
    static struct life l;
    static struct beats b;
    l = *alive;
    b = *believed;
    p->failures++;
    qr_time since = QR_NEVER;
    for (qr_time at = now, next; at - now < FOUND_WITHIN; at = next) {
        arrive(&l, &b, at);
        bool suspects = !trusts(&b, at, &next);
        since = !suspects ? QR_NEVER : since == QR_NEVER ? at : since;
        if (suspects && l.count == 0) {
            p->found++;
            p->detection += since - now;
            p->detection_max = since - now > p->detection_max ? since - now : p->detection_max;
            return;
        }
    }
}

static struct point live(uint32_t world, uint32_t kind, uint32_t threshold)
{
    static struct life l;
    static struct beats b;
    struct point p = { 0 };
    struct detector_options options = {
        .kind = (enum detector_kind)kind,
        .interval = INTERVAL,
        .silence = (kind == DETECTOR_PHI ? 300 : timeouts_ms[threshold]) * MS,
        .phi = phis[threshold],
        .deviation = INTERVAL,
    };
    l = (struct life){ .rng = rng_from(1 + world), .delay = worlds[world].delay };
    beats_init(&b, &options);
    qr_time now = QR_SECOND, next;
    l.send_at = now;
    beats_connected(&b, 0, true, now);
    bool trusted = true;
    for (qr_time fails = now + FAILURE_EVERY, end = now + HOUR; now < end; now = next) {
        send(&l, now);
        arrive(&l, &b, now);
        bool trusts_now = trusts(&b, now, &next);
        p.mistakes += trusted && !trusts_now;
        trusted = trusts_now;
        if (now >= fails && trusted) {
            fail_now(&l, &b, now, &p);
            fails = now + FAILURE_EVERY;
        }
    }
    return p;
}

/* --- The picture ----------------------------------------------------------------------------- */

#define PANEL_WIDTH 380
#define PANEL_HEIGHT 250
#define LEFT 56
#define TOP 34
#define PLOT_WIDTH 300
#define PLOT_HEIGHT 170
#define DETECTION_MAX (1000 * MS)
#define DECADES 5

static struct point all[WORLDS][KINDS][THRESHOLDS];
static const char *const colours[KINDS] = { "#1f77b4", "#2ca02c", "#d62728" };

/* 65536 times the logarithm to base 2, digit by digit. */
static uint32_t logarithm(uint32_t n)
{
    uint32_t whole = 31 - (uint32_t)__builtin_clz(n);
    uint64_t rest = ((uint64_t)n << 31) >> whole;
    uint32_t result = whole;
    for (int i = 0; i < 16; i++) {
        rest = rest * rest >> 31;
        result = result << 1 | (uint32_t)(rest >> 32);
        rest >>= rest >> 32;
    }
    return result;
}

/* Of a point: none at all lies on the axis, one a little above it. */
static uint32_t height(uint32_t mistakes)
{
    return mistakes == 0 ? 0 : logarithm(2 * mistakes);
}

static qr_time mean_detection(const struct point *p)
{
    return p->found == 0 ? 0 : p->detection / p->found;
}

static int x_of(qr_time detection)
{
    return LEFT + (int)(detection * PLOT_WIDTH / DETECTION_MAX);
}

static int y_of(uint32_t mistakes)
{
    uint64_t decade = logarithm(10);
    return TOP + PLOT_HEIGHT - (int)((uint64_t)height(mistakes) * PLOT_HEIGHT / (decade * DECADES));
}

static void draw_axes(FILE *out, uint32_t world)
{
    (void)fprintf(out, "<text x=\"%d\" y=\"18\" class=\"t\">%s</text>\n", LEFT, worlds[world].name);
    for (uint32_t mistakes = 0, next = 1; mistakes <= 10000; mistakes = next, next *= 10) {
        int y = y_of(mistakes);
        (void)fprintf(out, "<path d=\"M%d %dh%d\" class=\"g\"/>", LEFT, y, PLOT_WIDTH);
        (void)fprintf(out, "<text x=\"%d\" y=\"%d\" text-anchor=\"end\">%u</text>\n", LEFT - 4,
                      y + 4, mistakes);
    }
    for (qr_time at = 0; at <= DETECTION_MAX; at += 200 * MS) {
        (void)fprintf(out, "<text x=\"%d\" y=\"%d\" text-anchor=\"middle\">%d</text>\n", x_of(at),
                      TOP + PLOT_HEIGHT + 15, (int)(at / MS));
    }
    (void)fprintf(out, "<text x=\"%d\" y=\"%d\" text-anchor=\"middle\">%s</text>\n",
                  LEFT + PLOT_WIDTH / 2, TOP + PLOT_HEIGHT + 31, "detection time, ms (mean)");
    (void)fprintf(out, "<text transform=\"translate(12 %d) rotate(-90)\" text-anchor=\"middle\">%s",
                  TOP + PLOT_HEIGHT / 2, "mistakes an hour</text>\n");
}

static void draw_curve(FILE *out, uint32_t kind, const struct point *points)
{
    (void)fprintf(out, "<g stroke=\"%s\" fill=\"%s\">\n<path fill=\"none\"\nd=\"", colours[kind],
                  colours[kind]);
    for (uint32_t i = 0; i < THRESHOLDS; i++) {
        (void)fprintf(out, "%c%d %d", i == 0 ? 'M' : 'L', x_of(mean_detection(&points[i])),
                      y_of(points[i].mistakes));
    }
    (void)fprintf(out, "\"/>\n");
    for (uint32_t i = 0; i < THRESHOLDS; i++) {
        (void)fprintf(out, "<circle cx=\"%d\" cy=\"%d\" r=\"%d\"><title>%s %u: %d ms, %u</title>",
                      x_of(mean_detection(&points[i])), y_of(points[i].mistakes),
                      kind == DETECTOR_HEARTBEAT ? 5 : 3, kind_names[kind],
                      kind == DETECTOR_PHI ? phis[i] : timeouts_ms[i],
                      (int)(mean_detection(&points[i]) / MS), points[i].mistakes);
        (void)fprintf(out, "</circle>\n");
    }
    (void)fprintf(out, "</g>\n");
}

static void draw(FILE *out)
{
    (void)fprintf(out,
                  "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%d\"\n"
                  "font-family=\"sans-serif\" font-size=\"11\">\n"
                  "<!-- Drawn by tests/unit/cluster/tradeoff_test.c. -->\n"
                  "<style>.t{font-size:13px;font-weight:bold}.g{stroke:#ccc}</style>\n"
                  "<rect width=\"100%%\" height=\"100%%\" fill=\"white\"/>\n",
                  2 * PANEL_WIDTH, 2 * PANEL_HEIGHT + 24);
    for (uint32_t w = 0; w < WORLDS; w++) {
        (void)fprintf(out, "<g transform=\"translate(%u %u)\">\n", w % 2 * PANEL_WIDTH,
                      w / 2 * PANEL_HEIGHT);
        draw_axes(out, w);
        for (uint32_t k = 0; k < KINDS; k++) {
            draw_curve(out, k, all[w][k]);
        }
        (void)fprintf(out, "</g>\n");
    }
    for (uint32_t k = 0; k < KINDS; k++) {
        (void)fprintf(out, "<text x=\"%u\" y=\"%d\" fill=\"%s\" class=\"t\">%s</text>\n",
                      LEFT + k * 120, 2 * PANEL_HEIGHT + 16, colours[k], kind_names[k]);
    }
    (void)fprintf(out, "</svg>\n");
}

/* --- What the page claims -------------------------------------------------------------------- */

#define TWICE 65536u
#define TEN_SEVENTHS 33724u /* 65536 times its logarithm to base 2 */

/* Those of the fixed time-out at that detection time, on the line in the picture. */
static uint32_t fixed_at(uint32_t world, qr_time detection)
{
    const struct point *p = all[world][DETECTOR_HEARTBEAT];
    for (uint32_t i = 0; i + 1 < THRESHOLDS; i++) {
        qr_time from = mean_detection(&p[i]), to = mean_detection(&p[i + 1]);
        if (detection >= from && detection <= to) {
            uint32_t high = height(p[i].mistakes);
            uint32_t less = high - height(p[i + 1].mistakes);
            return high - (uint32_t)((qr_time)less * (detection - from) / (to - from));
        }
    }
    return 0;
}

static bool is_complete(void)
{
    bool complete = true;
    for (uint32_t i = 0; i < WORLDS * KINDS * THRESHOLDS; i++) {
        const struct point *p = &all[0][0][0] + i;
        complete = complete && p->failures > 800 && p->found == p->failures;
    }
    return complete;
}

static bool patience_buys_accuracy(void)
{
    bool holds = true;
    for (uint32_t i = 0; i < WORLDS * KINDS; i++) {
        const struct point *p = &all[0][0][0] + i * THRESHOLDS;
        for (uint32_t t = 1; t < THRESHOLDS; t++) {
            holds = holds && p[t].mistakes <= p[t - 1].mistakes;
            holds = holds && mean_detection(&p[t]) > mean_detection(&p[t - 1]);
        }
    }
    return holds;
}

/* Where delays change, from phi 2 to 8 at most half the mistakes of a fixed time-out. */
static bool phi_is_better_where_delays_change(void)
{
    bool holds = true;
    for (uint32_t w = 2; w < WORLDS; w++) {
        for (uint32_t t = 1; t < THRESHOLDS && phis[t] <= 8; t++) {
            const struct point *p = &all[w][DETECTOR_PHI][t];
            holds = holds && height(p->mistakes) + TWICE <= fixed_at(w, mean_detection(p));
        }
    }
    return holds;
}

/* Where they do not, nowhere less than seven tenths; and at 16 it is the worse one. */
static bool and_not_elsewhere(void)
{
    bool holds = true;
    for (uint32_t t = 0; t < THRESHOLDS; t++) {
        const struct point *p = &all[1][DETECTOR_PHI][t];
        holds = holds && height(p->mistakes) + TEN_SEVENTHS >= fixed_at(1, mean_detection(p));
    }
    const struct point *last = &all[2][DETECTOR_PHI][THRESHOLDS - 1];
    return holds && height(last->mistakes) > fixed_at(2, mean_detection(last));
}

static bool is_picture(const char *path, const char *text, size_t n)
{
    FILE *file = fopen(path, "r");
    char *there = malloc(n + 1);
    size_t read = file != NULL && there != NULL ? fread(there, 1, n + 1, file) : 0;
    bool same = read == n && memcmp(there, text, n) == 0;
    free(there);
    if (file != NULL) {
        (void)fclose(file);
    }
    return same;
}

static bool renew(const char *path, const char *text, size_t n)
{
    FILE *file = fopen(path, "w");
    return file != NULL && fwrite(text, 1, n, file) == n && fclose(file) == 0;
}

int main(int argc, char **argv)
{
    if (argc < 2) {
        (void)fprintf(stderr, "usage: %s FILE.svg [--write]\n", argv[0]);
        return 2;
    }
    for (uint32_t i = 0; i < WORLDS * KINDS * THRESHOLDS; i++) {
        uint32_t kind = i / THRESHOLDS;
        all[kind / KINDS][kind % KINDS][i % THRESHOLDS] =
            live(kind / KINDS, kind % KINDS, i % THRESHOLDS);
    }
    char *text = NULL;
    size_t n = 0;
    FILE *out = open_memstream(&text, &n);
    draw(out);
    (void)fclose(out);
    if (argc > 2 && strcmp(argv[2], "--write") == 0) {
        return renew(argv[1], text, n) ? 0 : 1;
    }
    const struct {
        const char *name;
        bool holds;
    } claims[] = { { "F4: every failure is found, by each at every threshold", is_complete() },
                   { "F3: who waits longer is wrong less often", patience_buys_accuracy() },
                   { "F3: phi is wrong half as often in networks that change, from 2 to 8",
                     phi_is_better_where_delays_change() },
                   { "F3: and not in those that do not", and_not_elsewhere() },
                   { "the picture is today's (else: --write)", is_picture(argv[1], text, n) } };
    int failed = 0;
    (void)printf("1..%zu\n", sizeof claims / sizeof *claims);
    for (size_t i = 0; i < sizeof claims / sizeof *claims; i++) {
        failed += !claims[i].holds;
        (void)printf("%sok %zu - %s\n", claims[i].holds ? "" : "not ", i + 1, claims[i].name);
    }
    free(text);
    return failed == 0 ? 0 : 1;
}
