/* Numbers of bytes as Redis reads them: "10", "1k" = 1000, "1kb" = 1024, and so on. */
#ifndef BASE_SIZE_H
#define BASE_SIZE_H

#include "base/limits.h"
#include "base/number.h"

#include <string.h>
#include <strings.h>

static inline bool size_from(struct span s, uint64_t *out)
{
    static const struct {
        const char *name;
        uint64_t bytes;
    } units[] = {
        { "", 1 },        { "b", 1 },    { "k", 1000 },       { "kb", 1024 },
        { "m", 1000000 }, { "mb", MIB }, { "g", 1000000000 }, { "gb", GIB },
    };
    size_t digits = 0;
    while (digits < s.n && s.p[digits] >= '0' && s.p[digits] <= '9') {
        digits++;
    }
    int64_t v;
    if (!number_from(span_of(s.p, digits), &v)) {
        return false;
    }
    for (size_t i = 0; i < ARRAY_COUNT(units); i++) {
        const char *unit = units[i].name;
        if (s.n - digits == strlen(unit) &&
            strncasecmp((const char *)s.p + digits, unit, s.n - digits) == 0) {
            return !__builtin_mul_overflow((uint64_t)v, units[i].bytes, out);
        }
    }
    return false;
}

#endif
