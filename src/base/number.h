/* Decimal integers as Redis reads them: no spaces, no plus sign, no leading zeros, no overflow. */
#ifndef BASE_NUMBER_H
#define BASE_NUMBER_H

#include "base/types.h"

static inline bool number_from(struct span s, int64_t *out)
{
    size_t i = 0;
    bool negative = s.n > 0 && s.p[0] == '-';
    i += negative ? 1 : 0;
    if (i == s.n || s.n - i > 19 || s.p[i] < '0' || s.p[i] > '9') {
        return false;
    }
    if (s.p[i] == '0' && (s.n - i > 1 || negative)) {
        return false;
    }
    uint64_t v = 0;
    for (; i < s.n; i++) {
        if (s.p[i] < '0' || s.p[i] > '9') {
            return false;
        }
        v = v * 10 + (uint64_t)(s.p[i] - '0'); /* 19 digits fit */
    }
    uint64_t most = (uint64_t)INT64_MAX + (negative ? 1 : 0);
    if (v > most) {
        return false;
    }
    *out = negative ? (int64_t)(0 - v) : (int64_t)v;
    return true;
}

#endif
