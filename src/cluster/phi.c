#include "cluster/phi.h"

#include "base/panic.h"

/* Deviations above the mean, in thousandths and rounded up, beyond which a normal distribution has
 * 10^-phi. */
static const uint16_t quantile[PHI_MAX + 1] = {
    0,    1282, 2327, 3091, 3720, 4265, 4754, 5200, 5613,
    5998, 6362, 6707, 7035, 7349, 7651, 7942, 8223,
};

void phi_reset(struct phi_window *w)
{
    w->count = 0; /* the ring goes on where it is */
    w->sum = 0;
    w->squares = 0;
}

void phi_add(struct phi_window *w, qr_time gap)
{
    qr_assert(gap >= 0);
    uint32_t in = (uint32_t)(gap < PHI_GAP_MAX ? gap : PHI_GAP_MAX);
    if (w->count == PHI_WINDOW) {
        uint64_t out = w->gap[w->next];
        w->sum -= out;
        w->squares -= out * out;
    } else {
        w->count++;
    }
    w->gap[w->next] = in;
    w->next = (w->next + 1) % PHI_WINDOW;
    w->sum += in;
    w->squares += (uint64_t)in * in;
}

qr_time phi_mean(const struct phi_window *w)
{
    qr_assert(w->count > 0);
    return (qr_time)(w->sum / w->count);
}

/* The largest number whose square is not above n. */
static uint64_t root(uint64_t n)
{
    uint64_t result = 0;
    for (uint64_t bit = (uint64_t)1 << 62; bit != 0; bit >>= 2) {
        if (n >= result + bit) {
            n -= result + bit;
            result = (result >> 1) + bit;
        } else {
            result >>= 1;
        }
    }
    return result;
}

qr_time phi_deviation(const struct phi_window *w)
{
    qr_assert(w->count > 0);
    __extension__ typedef unsigned __int128 wide;
    wide n = w->count;
    wide spread = n * w->squares - (wide)w->sum * w->sum;
    return (qr_time)root((uint64_t)(spread / (n * n)));
}

static qr_time deviation_of(const struct phi_window *w, qr_time least)
{
    qr_time deviation = phi_deviation(w);
    return deviation > least ? deviation : least; /* W2 */
}

qr_time phi_time(const struct phi_window *w, uint32_t phi, qr_time least)
{
    qr_assert(phi >= 1 && phi <= PHI_MAX);
    return phi_mean(w) + (deviation_of(w, least) * quantile[phi] + 999) / 1000;
}

uint32_t phi_of(const struct phi_window *w, qr_time silence, qr_time least)
{
    uint32_t phi = 0;
    while (phi < PHI_MAX && silence >= phi_time(w, phi + 1, least)) {
        phi++;
    }
    return phi;
}
