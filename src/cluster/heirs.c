#include "cluster/heirs.h"

#include "base/alloc.h"
#include "cluster/records.h"

#include <string.h>

/* The first of a group that is `group` or more; count: none. */
static uint32_t place_of(const struct heirs *h, uint32_t group)
{
    uint32_t lo = 0;
    uint32_t hi = h->count;
    while (lo < hi) {
        uint32_t middle = lo + (hi - lo) / 2;
        if (h->v[middle]->group < group) {
            lo = middle + 1;
        } else {
            hi = middle;
        }
    }
    return lo;
}

static bool is_of(const struct heirs *h, uint32_t at, uint32_t group)
{
    return at < h->count && h->v[at]->group == group;
}

static struct heir *need(struct heirs *h, uint32_t group)
{
    uint32_t at = place_of(h, group);
    if (is_of(h, at, group)) {
        return h->v[at];
    }
    if (h->count == h->cap) {
        h->cap = h->cap == 0 ? 8 : h->cap * 2;
        h->v = qr_realloc(h->v, h->cap * sizeof *h->v);
    }
    memmove(h->v + at + 1, h->v + at, (h->count - at) * sizeof *h->v);
    h->count++;
    h->v[at] = qr_zalloc(sizeof *h->v[at]);
    h->v[at]->group = group;
    return h->v[at];
}

static void drop(struct heirs *h, uint32_t group)
{
    uint32_t at = place_of(h, group);
    if (is_of(h, at, group)) {
        free(h->v[at]);
        h->count--;
        memmove(h->v + at, h->v + at + 1, (h->count - at) * sizeof *h->v);
    }
}

void heirs_clear(struct heirs *h)
{
    for (uint32_t i = 0; i < h->count; i++) {
        free(h->v[i]);
    }
    h->count = 0;
}

void heirs_free(struct heirs *h)
{
    heirs_clear(h);
    free(h->v);
    *h = (struct heirs){ 0 };
}

enum map_status heirs_put(struct heirs *h, uint32_t group, struct span value)
{
    struct succession succession;
    enum map_status status = MAP_OK;
    if (value.n == 0) {
        drop(h, group);
    } else if ((status = map_succession_read(value, &succession)) == MAP_OK) {
        need(h, group)->succession = succession;
    }
    return status;
}

const struct succession *heirs_find(const struct heirs *h, uint32_t group)
{
    uint32_t at = place_of(h, group);
    return is_of(h, at, group) ? &h->v[at]->succession : NULL;
}

uint32_t heirs_after(const struct heirs *h, uint32_t group)
{
    uint32_t at = group < UINT32_MAX ? place_of(h, group + 1) : h->count;
    return at < h->count ? h->v[at]->group : 0;
}

static uint32_t bit_of(node_index node)
{
    return node < MEMBERS_MAX ? 1u << node : 0;
}

/* While no primary is chosen the one before may still hold a lease, which another node behind its
 * index would keep alive. */
static uint32_t spoken_of(const struct succession *s)
{
    uint32_t nodes = (uint32_t)(s->rule.members | s->learners) |
                     bit_of(s->primary != NODE_NONE ? s->primary : s->before);
    for (uint32_t i = 0; i < s->duty_count; i++) {
        nodes |= (uint32_t)(s->duty[i].rule.members | s->duty[i].primaries);
    }
    return nodes;
}

uint16_t heirs_spoken_of(const struct heirs *h)
{
    uint32_t nodes = 0;
    for (uint32_t i = 0; i < h->count; i++) {
        nodes |= spoken_of(&h->v[i]->succession);
    }
    return (uint16_t)nodes;
}
