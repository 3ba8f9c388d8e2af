/* Memory, or a panic: a node without memory is a stopped node, never one that limps on (R7).
 *
 * Not for src/protocol, which allocates nothing (R1). What grows is bounded by its owner through
 * base/limits.h; nothing here knows a limit. */
#ifndef BASE_ALLOC_H
#define BASE_ALLOC_H

#include "base/panic.h"
#include "base/types.h"

#include <stdlib.h>
#include <string.h>

static inline void *qr_alloc(size_t n)
{
    void *p = malloc(n > 0 ? n : 1);
    qr_assert(p != NULL);
    return p;
}

static inline void *qr_zalloc(size_t n)
{
    void *p = calloc(1, n > 0 ? n : 1);
    qr_assert(p != NULL);
    return p;
}

/* Zeroed, and on cache lines of its own. */
static inline void *qr_zalloc_lines(size_t n)
{
    size_t lines = (n + CACHE_LINE_BYTES - 1) / CACHE_LINE_BYTES * CACHE_LINE_BYTES;
    void *p = aligned_alloc(CACHE_LINE_BYTES, lines);
    qr_assert(p != NULL);
    return memset(p, 0, lines);
}

static inline void *qr_realloc(void *old, size_t n)
{
    void *p = realloc(old, n > 0 ? n : 1);
    qr_assert(p != NULL);
    return p;
}

#endif
