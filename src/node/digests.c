#include "node/digests.h"

#include "base/panic.h"

static void put(struct digest_ring *ring, qr_slot slot, uint64_t digest)
{
    qr_assert(slot > 0);
    ring->slot[ring->next] = slot;
    ring->digest[ring->next] = digest;
    ring->next = (ring->next + 1) % DIGESTS_KEPT;
}

static bool get(const struct digest_ring *ring, qr_slot slot, uint64_t *digest)
{
    for (uint32_t i = 0; i < DIGESTS_KEPT; i++) {
        if (ring->slot[i] == slot) {
            *digest = ring->digest[i];
            return true;
        }
    }
    return false;
}

void digests_own(struct digests *d, qr_slot slot, uint64_t digest)
{
    put(&d->own, slot, digest);
}

void digests_told(struct digests *d, node_index from, qr_slot slot, uint64_t digest)
{
    qr_assert(from < MEMBERS_MAX);
    uint64_t before;
    if (slot > 0 && !get(&d->told[from], slot, &before)) {
        put(&d->told[from], slot, digest);
    }
}

void digests_forget(struct digests *d, node_index member)
{
    d->told[member] = (struct digest_ring){ 0 };
}

void digests_forget_own(struct digests *d)
{
    d->own = (struct digest_ring){ 0 };
}

enum digest_verdict digests_judge(struct digests *d, qr_slot slot, node_index *other)
{
    uint64_t own;
    uint64_t said[MEMBERS_MAX];
    uint32_t n = 0;
    bool differs = false;
    if (slot == 0 || !get(&d->own, slot, &own)) {
        return DIGEST_UNKNOWN;
    }
    for (node_index i = 0; i < MEMBERS_MAX; i++) {
        if (!get(&d->told[i], slot, &said[n])) {
            continue;
        }
        if (said[n] != own) {
            differs = true;
            *other = i;
        }
        n++;
    }
    d->compared += n > 0;
    if (!differs) {
        return n > 0 ? DIGEST_AGREES : DIGEST_UNKNOWN;
    }
    d->differed++;
    uint32_t with_own = 1;
    for (uint32_t i = 0; i < n; i++) {
        with_own += said[i] == own;
    }
    if (with_own >= 2 && 2 * with_own > n + 1) {
        return DIGEST_UPHELD;
    }
    for (uint32_t i = 0; i < n; i++) {
        uint32_t agree = 0;
        for (uint32_t k = 0; k < n; k++) {
            agree += said[k] == said[i];
        }
        if (said[i] != own && agree >= 2 && 2 * agree > n + 1) {
            return DIGEST_OUTVOTED;
        }
    }
    return DIGEST_DISPUTED;
}
