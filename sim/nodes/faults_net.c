/* What goes wrong between hosts: links that are cut, narrow or long, and connections that are
 * reset (faults.def). */
#include "sim/nodes/faults.h"
#include "sim/nodes/seat.h"

#define FAR_MAX (400 * QR_MILLISECOND)
#define FLAP_MAX (200 * QR_MILLISECOND) /* between two changes */
#define NARROW_MIN 2u                   /* bytes a millisecond */
#define NARROW_MAX 100u

static struct rng *dice(struct run *run)
{
    return &run->fault_dice;
}

static uint64_t link_of(const struct host *from, const struct host *to)
{
    return (uint64_t)from->number * HOSTS_MAX + to->number;
}

static void on_mend(struct realm *realm, void *what, uint64_t link)
{
    (void)what;
    const struct link *here = &realm->link[link / HOSTS_MAX][link % HOSTS_MAX];
    bool cut = here->cut != NULL;
    net_cut(realm, &realm->host[link / HOSTS_MAX], &realm->host[link % HOSTS_MAX], NULL);
    realm->felt[FELT_link_again] += cut && here->cut == NULL;
}

static void cut(struct run *run, uint32_t kind, const struct host *from, const struct host *to,
                qr_time length)
{
    realm_note(run->realm, from, "is cut off towards %s", to->name);
    net_cut(run->realm, from, to, &run->realm->felt[kind]);
    realm_at(run->realm, run->realm->now + length, on_mend, NULL, link_of(from, to));
}

static void cut_both(struct run *run, uint32_t kind, const struct host *a, const struct host *b,
                     qr_time length)
{
    cut(run, kind, a, b, length);
    cut(run, FELT_way_back, b, a, length);
}

void fault_cut_one_way(struct run *run)
{
    const struct host *from = fault_seat(run)->host;
    cut(run, FAULT_cut_one_way, from, fault_seat(run)->host, fault_time(run));
}

void fault_cut(struct run *run)
{
    const struct host *a = fault_seat(run)->host;
    const struct host *b = fault_seat(run)->host;
    cut_both(run, FAULT_cut, a, b, fault_time(run));
}

static void cut_from_all(struct run *run, uint32_t kind, const struct host *a, qr_time length)
{
    for (uint32_t i = 0; i < run->seats; i++) {
        if (run->seat[i].host != a) {
            cut_both(run, kind, a, run->seat[i].host, length);
        }
    }
}

void fault_isolate(struct run *run)
{
    const struct host *a = fault_seat(run)->host;
    cut_from_all(run, FAULT_isolate, a, fault_time(run));
}

void fault_cut_client(struct run *run)
{
    const struct host *client = run->asker[rng_below(dice(run), run->askers)].host;
    const struct host *node = fault_seat(run)->host;
    qr_time length = fault_time(run);
    bool there = rng_chance(dice(run), 2, 3);
    if (there) {
        cut(run, FAULT_cut_client, client, node, length);
    }
    if (!there || rng_chance(dice(run), 1, 2)) {
        cut(run, FELT_client_back, node, client, length);
    }
}

/* Of n in a ring, each with as many on both sides as make a majority; of three none is cut off. */
void fault_ring(struct run *run)
{
    uint32_t n = run->seats;
    uint32_t reach = (n / 2 + 1) / 2;
    qr_time length = fault_time(run);
    uint32_t step = n == 5 || n == 7 ? 1 + (uint32_t)rng_below(dice(run), 2) : 1; /* which ring */
    for (uint32_t a = 0; a < n; a++) {
        for (uint32_t d = reach + 1; d + reach < n; d++) {
            const struct host *to = run->seat[(a + d * step) % n].host;
            cut(run, FAULT_ring, run->seat[a].host, to, length);
        }
    }
}

static void on_flap(struct realm *realm, void *what, uint64_t link)
{
    struct run *run = what;
    const struct host *a = &realm->host[link / HOSTS_MAX];
    const struct host *b = &realm->host[link % HOSTS_MAX];
    bool ends = run->ending || realm->now >= run->flaps_until;
    const uint64_t *was = realm->link[a->number][b->number].cut;
    bool off = !ends && was == NULL;
    net_cut(realm, a, b, off ? &realm->felt[FAULT_flap] : NULL);
    net_cut(realm, b, a, off ? &realm->felt[FAULT_flap] : NULL);
    if (!ends) {
        realm->felt[FELT_flap_again] += was == &realm->felt[FAULT_flap] && !off;
        qr_time pause = 1 + (qr_time)rng_below(dice(run), FLAP_MAX);
        realm_at(realm, realm->now + pause, on_flap, run, link);
    }
}

void fault_flap(struct run *run)
{
    const struct host *a = fault_seat(run)->host;
    const struct host *b = fault_seat(run)->host;
    if (a != b && run->realm->now >= run->flaps_until + FLAP_MAX) {
        run->flaps_until = run->realm->now + fault_time(run);
        realm_note(run->realm, a, "its link to %s flaps", b->name);
        on_flap(run->realm, run, link_of(a, b));
    }
}

static void on_clog(struct realm *realm, void *what, uint64_t seat)
{
    (void)realm;
    struct run *run = what;
    if (!run->ending) {
        cut_from_all(run, FAULT_swizzle, run->seat[seat].host, fault_time(run));
    }
}

void fault_swizzle(struct run *run)
{
    qr_time at = run->realm->now;
    uint32_t first = (uint32_t)rng_below(dice(run), run->seats);
    for (uint32_t i = 0; i < run->seats; i++) {
        at += (qr_time)rng_below(dice(run), FLAP_MAX);
        realm_at(run->realm, at, on_clog, run, (first + i) % run->seats);
    }
}

static void on_wide(struct realm *realm, void *what, uint64_t link)
{
    (void)what;
    const struct link *here = &realm->link[link / HOSTS_MAX][link % HOSTS_MAX];
    bool was = here->bytes_per_ms > 0 || here->further > 0;
    net_narrow(realm, &realm->host[link / HOSTS_MAX], &realm->host[link % HOSTS_MAX], 0, 0);
    realm->felt[FELT_wide_again] += was && here->bytes_per_ms == 0 && here->further == 0;
}

static void narrow(struct run *run, uint32_t bytes_per_ms, qr_time further)
{
    struct host *a = fault_seat(run)->host;
    struct host *b = fault_seat(run)->host;
    qr_time until = run->realm->now + fault_time(run);
    realm_note(run->realm, a, "to %s: %u KB/s, %d ms further", b->name, bytes_per_ms,
               (int)(further / QR_MILLISECOND));
    net_narrow(run->realm, a, b, bytes_per_ms, further);
    net_narrow(run->realm, b, a, bytes_per_ms, further);
    realm_at(run->realm, until, on_wide, NULL, link_of(a, b));
    realm_at(run->realm, until, on_wide, NULL, link_of(b, a));
}

void fault_narrow(struct run *run)
{
    narrow(run, NARROW_MIN + (uint32_t)rng_below(dice(run), NARROW_MAX - NARROW_MIN + 1), 0);
}

void fault_far(struct run *run)
{
    narrow(run, 0, (qr_time)rng_below(dice(run), FAR_MAX));
}

void fault_reset(struct run *run)
{
    const struct host *host = fault_seat(run)->host;
    uint32_t n = net_reset(run->realm, host, 1 + (uint32_t)rng_below(dice(run), 3));
    realm_note(run->realm, host, "%u of its connections are reset", n);
}
