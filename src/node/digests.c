#include "node/digests.h"

#include "base/alloc.h"
#include "base/panic.h"

#include <stdlib.h>

#define RING_CAP_MIN 4u

static void put(struct digest_ring *ring, qr_slot slot, uint64_t digest)
{
    qr_assert(slot > 0);
    if (ring->count == ring->cap && ring->cap < DIGESTS_KEPT) {
        ring->cap = ring->cap == 0 ? RING_CAP_MIN : ring->cap * 2;
        ring->v = qr_realloc(ring->v, ring->cap * sizeof *ring->v);
        ring->next = ring->count;
    }
    ring->v[ring->next] = (struct digest_at){ .slot = slot, .digest = digest };
    ring->count += ring->count < ring->cap;
    ring->next = (ring->next + 1) % ring->cap;
}

static bool get(const struct digest_ring *ring, qr_slot slot, uint64_t *digest)
{
    for (uint32_t i = 0; i < ring->count; i++) {
        if (ring->v[i].slot == slot) {
            *digest = ring->v[i].digest;
            return true;
        }
    }
    return false;
}

static void forget(struct digest_ring *ring)
{
    free(ring->v);
    *ring = (struct digest_ring){ 0 };
}

void digests_free(struct digests *d)
{
    digests_forget_own(d);
    for (node_index i = 0; i < MEMBERS_MAX; i++) {
        digests_forget(d, i);
    }
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
    forget(&d->told[member]);
}

void digests_forget_own(struct digests *d)
{
    forget(&d->own);
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
