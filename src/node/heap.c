#include "node/heap.h"

#include "base/alloc.h"
#include "base/panic.h"
#include "node/stream.h"

#include <stdlib.h>

#define CAP_MIN 64u

/* Places count from 1 in the pending: 0 is nowhere. */
static void put(struct pending_heap *h, uint32_t at, struct heap_place place)
{
    h->v[at] = place;
    place.p->heap_place[h->kind] = at + 1;
}

static void sift_up(struct pending_heap *h, uint32_t at, struct heap_place place)
{
    while (at > 0 && h->v[(at - 1) / 2].key > place.key) {
        put(h, at, h->v[(at - 1) / 2]);
        at = (at - 1) / 2;
    }
    put(h, at, place);
}

static void sift_down(struct pending_heap *h, uint32_t at, struct heap_place place)
{
    for (;;) {
        uint32_t child = 2 * at + 1;
        if (child + 1 < h->n && h->v[child + 1].key < h->v[child].key) {
            child++;
        }
        if (child >= h->n || h->v[child].key >= place.key) {
            break;
        }
        put(h, at, h->v[child]);
        at = child;
    }
    put(h, at, place);
}

void heap_add(struct pending_heap *h, struct pending *p, int64_t key)
{
    qr_assert(p->heap_place[h->kind] == 0);
    if (h->n == h->cap) { /* as many as there may be pendings, at most */
        h->cap = h->cap == 0 ? CAP_MIN : h->cap * 2;
        h->v = qr_realloc(h->v, h->cap * sizeof *h->v);
    }
    h->n++;
    sift_up(h, h->n - 1, (struct heap_place){ .key = key, .p = p });
}

void heap_remove(struct pending_heap *h, struct pending *p)
{
    if (p->heap_place[h->kind] == 0) {
        return;
    }
    uint32_t at = p->heap_place[h->kind] - 1;
    qr_assert(at < h->n && h->v[at].p == p);
    struct heap_place last = h->v[--h->n];
    p->heap_place[h->kind] = 0;
    if (last.p == p) {
        return;
    }
    if (at > 0 && h->v[(at - 1) / 2].key > last.key) {
        sift_up(h, at, last);
    } else {
        sift_down(h, at, last);
    }
}

struct pending *heap_upto(const struct pending_heap *h, int64_t key)
{
    return h->n > 0 && h->v[0].key <= key ? h->v[0].p : NULL;
}

int64_t heap_least(const struct pending_heap *h)
{
    return h->n > 0 ? h->v[0].key : QR_NEVER;
}

void heap_free(struct pending_heap *h)
{
    free(h->v);
    *h = (struct pending_heap){ .kind = h->kind };
}
