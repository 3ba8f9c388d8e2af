#include "resp_value.h"

#include "base/panic.h"

#include <string.h>

/* A canonical decimal: no plus, no leading zeros, no -0. */
static bool decimal(struct span s, int64_t *out)
{
    uint64_t v = 0;
    bool negative = s.n > 0 && s.p[0] == '-';
    size_t i = negative ? 1 : 0;
    if (i == s.n || (s.p[i] == '0' && (s.n > i + 1 || negative))) {
        return false;
    }
    for (; i < s.n; i++) {
        if (s.p[i] < '0' || s.p[i] > '9' || v > (UINT64_MAX - 9) / 10) {
            return false;
        }
        v = v * 10 + (uint64_t)(s.p[i] - '0');
    }
    *out = negative ? (int64_t)(0 - v) : (int64_t)v;
    return negative ? v <= (uint64_t)INT64_MAX + 1 : v <= INT64_MAX;
}

/* The bytes up to the line end, which holds no other '\r' or '\n'; returns all bytes, or 0. */
static size_t line(struct span in, struct span *out)
{
    for (size_t i = 0; i + 1 < in.n; i++) {
        if (in.p[i] == '\r' || in.p[i] == '\n') {
            *out = span_of(in.p, i);
            return in.p[i] == '\r' && in.p[i + 1] == '\n' ? i + 2 : 0;
        }
    }
    return 0;
}

static size_t bulk(struct span in, size_t head, struct resp_piece *out)
{
    if (out->n < 0 || in.n < head + 2 || (uint64_t)out->n > in.n - head - 2 ||
        memcmp(in.p + head + out->n, "\r\n", 2) != 0) {
        return 0;
    }
    out->s = span_of(in.p + head, (size_t)out->n);
    return head + (size_t)out->n + 2;
}

size_t resp_piece_read(struct span in, struct resp_piece *out)
{
    struct span text;
    size_t n = in.n > 0 ? line(span_of(in.p + 1, in.n - 1), &text) : 0;
    if (n == 0) {
        return 0;
    }
    n++;
    *out = (struct resp_piece){ .type = (char)in.p[0], .s = text };
    switch (in.p[0]) {
    case '+':
    case '-':
        return n;
    case ',':
        return text.n > 0 ? n : 0;
    case '_':
        out->null = true;
        return text.n == 0 ? n : 0;
    case '#':
        out->n = text.n == 1 && text.p[0] == 't';
        return text.n == 1 && (text.p[0] == 't' || text.p[0] == 'f') ? n : 0;
    case '$':
    case '*':
        out->null = text.n == 2 && memcmp(text.p, "-1", 2) == 0;
        if (out->null) {
            return n;
        }
        break;
    case ':':
    case '=':
    case '%':
    case '~':
    case '>':
        break;
    default:
        return 0;
    }
    if (!decimal(text, &out->n) || (in.p[0] != ':' && out->n < 0)) {
        return 0;
    }
    return in.p[0] == '$' || in.p[0] == '=' ? bulk(in, n, out) : n;
}

size_t resp_value_read(struct span in)
{
    struct resp_piece piece;
    size_t at = 0;
    for (uint64_t left = 1; left > 0; left--) {
        size_t n = resp_piece_read(span_of(in.p + at, in.n - at), &piece);
        if (n == 0) {
            return 0;
        }
        at += n;
        if (!piece.null && strchr("*%~>", piece.type) != NULL) {
            left += (uint64_t)piece.n * (piece.type == '%' ? 2 : 1);
        }
    }
    return at;
}
