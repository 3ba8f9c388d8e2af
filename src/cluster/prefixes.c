/* Prefixes in order, each with the next shorter one that begins it. */
#include "cluster/prefixes.h"

#include "base/alloc.h"

#include <string.h>

#define NO_PREFIX UINT32_MAX

static struct span text_of(const struct prefix *prefix)
{
    return span_of(prefix->keyspace->prefix, prefix->keyspace->prefix_length);
}

static int compare(struct span a, struct span b)
{
    int order = memcmp(a.p, b.p, min_u64(a.n, b.n));
    return order != 0 ? order : a.n < b.n ? -1 : a.n > b.n;
}

static bool begins(struct span prefix, struct span key)
{
    return prefix.n <= key.n && memcmp(prefix.p, key.p, prefix.n) == 0;
}

/* Of two equal ones the lower id is to be found, so it comes last. */
static int in_order(const void *a, const void *b)
{
    const struct prefix *x = a;
    const struct prefix *y = b;
    int order = compare(text_of(x), text_of(y));
    return order != 0 ? order : x->keyspace->id > y->keyspace->id ? -1 : 1;
}

void prefixes_clear(struct prefixes *prefixes)
{
    prefixes->count = 0;
}

void prefixes_add(struct prefixes *prefixes, const struct map_keyspace *keyspace)
{
    if (keyspace->prefix_length == 0) {
        return;
    }
    if (prefixes->count == prefixes->cap) {
        prefixes->cap = prefixes->cap == 0 ? 8 : prefixes->cap * 2;
        prefixes->item = qr_realloc(prefixes->item, prefixes->cap * sizeof *prefixes->item);
    }
    prefixes->item[prefixes->count++] =
        (struct prefix){ .keyspace = keyspace, .shorter = NO_PREFIX };
}

void prefixes_settle(struct prefixes *prefixes)
{
    if (prefixes->count == 0) {
        return;
    }
    qsort(prefixes->item, prefixes->count, sizeof *prefixes->item, in_order);
    for (uint32_t i = 1; i < prefixes->count; i++) {
        struct span text = text_of(&prefixes->item[i]);
        uint32_t at = i - 1;
        while (at != NO_PREFIX && !begins(text_of(&prefixes->item[at]), text)) {
            at = prefixes->item[at].shorter;
        }
        prefixes->item[i].shorter = at;
    }
}

const struct map_keyspace *prefixes_find(const struct prefixes *prefixes, struct span key)
{
    uint32_t lo = 0;
    uint32_t hi = prefixes->count;
    while (lo < hi) { /* the first above the key */
        uint32_t middle = lo + (hi - lo) / 2;
        if (compare(text_of(&prefixes->item[middle]), key) <= 0) {
            lo = middle + 1;
        } else {
            hi = middle;
        }
    }
    uint32_t at = lo == 0 ? NO_PREFIX : lo - 1;
    while (at != NO_PREFIX && !begins(text_of(&prefixes->item[at]), key)) {
        at = prefixes->item[at].shorter;
    }
    return at == NO_PREFIX ? NULL : prefixes->item[at].keyspace;
}

void prefixes_free(struct prefixes *prefixes)
{
    free(prefixes->item);
    *prefixes = (struct prefixes){ 0 };
}
