#include "node/expiries.h"

#include "base/alloc.h"
#include "base/panic.h"
#include "node/stream.h"

#include <stdlib.h>

#define CAP_MIN 64u

static qr_time end_of(const struct expiries *e, uint32_t at)
{
    return e->heap[at]->wants.expires;
}

/* Places count from 1 in the pending: 0 is nowhere. */
static void put(struct expiries *e, uint32_t at, struct pending *p)
{
    e->heap[at] = p;
    p->expiry_place = at + 1;
}

static void sift_up(struct expiries *e, uint32_t at, struct pending *p)
{
    while (at > 0 && end_of(e, (at - 1) / 2) > p->wants.expires) {
        put(e, at, e->heap[(at - 1) / 2]);
        at = (at - 1) / 2;
    }
    put(e, at, p);
}

static void sift_down(struct expiries *e, uint32_t at, struct pending *p)
{
    for (;;) {
        uint32_t child = 2 * at + 1;
        if (child + 1 < e->n && end_of(e, child + 1) < end_of(e, child)) {
            child++;
        }
        if (child >= e->n || end_of(e, child) >= p->wants.expires) {
            break;
        }
        put(e, at, e->heap[child]);
        at = child;
    }
    put(e, at, p);
}

void expiries_add(struct expiries *e, struct pending *p)
{
    qr_assert(p->wants.expires != 0 && p->expiry_place == 0);
    if (e->n == e->cap) { /* as many as there may be pendings, at most */
        e->cap = e->cap == 0 ? CAP_MIN : e->cap * 2;
        e->heap = qr_realloc(e->heap, e->cap * sizeof *e->heap);
    }
    e->n++;
    sift_up(e, e->n - 1, p);
}

void expiries_remove(struct expiries *e, struct pending *p)
{
    if (p->expiry_place == 0) {
        return;
    }
    uint32_t at = p->expiry_place - 1;
    qr_assert(at < e->n && e->heap[at] == p);
    struct pending *last = e->heap[--e->n];
    p->expiry_place = 0;
    if (last == p) {
        return;
    }
    if (at > 0 && end_of(e, (at - 1) / 2) > last->wants.expires) {
        sift_up(e, at, last);
    } else {
        sift_down(e, at, last);
    }
}

struct pending *expiries_due(const struct expiries *e, qr_time now)
{
    return e->n > 0 && end_of(e, 0) <= now ? e->heap[0] : NULL;
}

qr_time expiries_next(const struct expiries *e)
{
    return e->n > 0 ? end_of(e, 0) : QR_NEVER;
}

void expiries_free(struct expiries *e)
{
    free(e->heap);
    *e = (struct expiries){ 0 };
}
