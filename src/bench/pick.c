#include "bench/pick.h"

#include "base/panic.h"

#include <math.h>

/* In [0, 1). */
static double unit(struct rng *rng)
{
    return (double)(rng_next(rng) >> 11) * 0x1p-53;
}

bool picker_chance(double share, struct rng *rng)
{
    return unit(rng) < share;
}

/* --- Zipf ------------------------------------------------------------------------------------ */

/* The density x^-theta, an integral of it, and that integral's inverse. The integral is
 * (x^(1 - theta) - 1) / (1 - theta), which has the limit log x where theta is 1; expm1 and log1p
 * keep the digits near there. */

static double density(double x, double theta)
{
    return exp(-theta * log(x));
}

static double integral(double x, double theta)
{
    double l = log(x);
    double t = (1 - theta) * l;
    return fabs(t) < 1e-9 ? l : l * expm1(t) / t;
}

static double inverse(double area, double theta)
{
    double t = area * (1 - theta);
    t = t < -1 ? -1 : t; /* only by rounding */
    return exp(fabs(t) < 1e-9 ? area : area * log1p(t) / t);
}

static void zipf_prepare(struct picker *p)
{
    double theta = p->distribution.theta;
    p->low = integral(1.5, theta) - 1; /* the first key's bar has the area 1 */
    p->high = integral((double)p->keys + 0.5, theta);
    p->sure = 2 - inverse(integral(2.5, theta) - density(2, theta), theta);
}

/* A point of the area under the density is thrown at the bars of the histogram: what lies over a
 * bar is thrown again, which happens to fewer than one in three. */
static uint64_t zipf_key(const struct picker *p, struct rng *rng)
{
    double theta = p->distribution.theta;
    for (;;) {
        double area = p->high + unit(rng) * (p->low - p->high);
        double x = inverse(area, theta);
        double k = floor(x + 0.5);
        k = k < 1 ? 1 : k > (double)p->keys ? (double)p->keys : k;
        if (k - x <= p->sure || area >= integral(k + 0.5, theta) - density(k, theta)) {
            return (uint64_t)k - 1;
        }
    }
}

/* --- All ------------------------------------------------------------------------------------- */

struct picker picker_new(const struct pick_distribution *distribution, uint64_t keys)
{
    qr_assert(keys > 0);
    struct picker p = { .distribution = *distribution, .keys = keys };
    if (distribution->kind == PICK_ZIPF) {
        zipf_prepare(&p);
    }
    if (distribution->kind == PICK_HOT) {
        p.hot = (uint64_t)ceil(distribution->hot_keys * (double)keys);
        p.hot = p.hot < 1 ? 1 : p.hot > keys ? keys : p.hot;
    }
    return p;
}

uint64_t picker_key(const struct picker *p, struct rng *rng)
{
    switch (p->distribution.kind) {
    case PICK_ZIPF:
        return zipf_key(p, rng);
    case PICK_HOT:
        if (p->hot == p->keys || picker_chance(p->distribution.hot_access, rng)) {
            return rng_below(rng, p->hot);
        }
        return p->hot + rng_below(rng, p->keys - p->hot);
    case PICK_UNIFORM:
        break;
    }
    return rng_below(rng, p->keys);
}
