/* Memory that will be touched soon is asked for: it comes while other work is done. No more than a
 * hint, at any address; pure (R1). Worth it where what is next is known and lies anywhere, as with
 * the messages of thousands of groups. */
#ifndef BASE_PREFETCH_H
#define BASE_PREFETCH_H

#include "base/types.h"

#include <stddef.h>

static inline void qr_prefetch(const void *p, size_t n)
{
    for (size_t at = 0; at < n; at += CACHE_LINE_BYTES) {
        __builtin_prefetch((const char *)p + at);
    }
}

#endif
