/* A node's log as an array of entries above a base. */
#include "sim/image.h"

#include "base/alloc.h"
#include "base/panic.h"

#include <string.h>

qr_slot image_last(const struct image *i)
{
    return i->base + i->n;
}

const struct entry *image_at(const struct image *i, qr_slot slot)
{
    return slot > i->base && slot <= image_last(i) ? &i->v[slot - i->base - 1] : NULL;
}

qr_term image_term(const struct image *i, qr_slot slot)
{
    if (slot == i->base) {
        return i->base_term;
    }
    const struct entry *e = image_at(i, slot);
    qr_assert(e != NULL);
    return e->term;
}

uint64_t image_chain(const struct image *i, qr_slot slot)
{
    if (slot == i->base) {
        return i->base_chain;
    }
    const struct entry *e = image_at(i, slot);
    qr_assert(e != NULL);
    return e->chain;
}

void image_truncate(struct image *i, qr_slot from)
{
    qr_assert(from > i->base);
    if (from <= image_last(i)) {
        i->n = from - i->base - 1;
    }
}

void image_clear(struct image *i)
{
    struct entry *v = i->v;
    size_t cap = i->cap;
    *i = (struct image){ .base_chain = IMAGE_CHAIN, .v = v, .cap = cap };
}

void image_append(struct image *i, struct entry e)
{
    if (i->n == i->cap) {
        i->cap = i->cap == 0 ? 64 : i->cap * 2;
        i->v = qr_realloc(i->v, i->cap * sizeof *i->v);
    }
    i->v[i->n++] = e;
}

void image_reset(struct image *i, qr_slot slot, qr_term term, uint64_t chain)
{
    i->n = 0;
    i->base = slot;
    i->base_term = term;
    i->base_chain = chain;
}

/* Whatever stands behind `upto` stays only if it continues what is trimmed. */
void image_trim(struct image *i, qr_slot upto, qr_term term, uint64_t chain)
{
    if (upto <= i->base) {
        return;
    }
    const struct entry *e = image_at(i, upto);
    size_t drop = e != NULL && e->chain == chain ? (size_t)(upto - i->base) : i->n;
    if (drop < i->n) {
        memmove(i->v, i->v + drop, (i->n - drop) * sizeof *i->v);
    }
    i->n -= drop;
    i->base = upto;
    i->base_term = term;
    i->base_chain = chain;
}

void image_copy(struct image *to, const struct image *from)
{
    struct entry *v = to->v;
    size_t cap = to->cap;
    if (cap < from->n) {
        cap = from->cap;
        v = qr_realloc(v, cap * sizeof *v);
    }
    if (from->n > 0) {
        memcpy(v, from->v, from->n * sizeof *v);
    }
    *to = *from;
    to->v = v;
    to->cap = cap;
}
