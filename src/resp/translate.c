#include "resp/translate.h"

#include "base/number.h"
#include "base/panic.h"

#include <string.h>

#define TYPE_BYTES 4u /* "txt:" in front of a verbatim string */

/* The line that begins at `at`, without its end; empty: it has none. */
static struct span line_at(struct span in, size_t at)
{
    const uint8_t *end = memchr(in.p + at, '\n', in.n - at);
    size_t n = end == NULL ? 0 : (size_t)(end - (in.p + at));
    return span_of(in.p + at, n > 0 ? n - 1 : 0);
}

/* The number in a header. */
static size_t number_in(struct span line)
{
    int64_t n = 0;
    return number_from(span_of(line.p + 1, line.n - 1), &n) && n > 0 ? (size_t)n : 0;
}

/* A bulk whose header ends before `at`, without the first `skip` bytes; returns what is behind. */
static size_t translate_bulk(struct reply *out, struct span in, struct span line, size_t at,
                             size_t skip)
{
    size_t n = number_in(line);
    if (n < skip || n > in.n - at) {
        return in.n;
    }
    reply_bulk(out, span_of(in.p + at + skip, n - skip));
    return at + n + 2;
}

/* Translates what begins at `at`, without the elements of an aggregate; returns what is behind. */
static size_t translate_one(struct reply *out, struct span in, size_t at)
{
    struct span line = line_at(in, at);
    size_t behind = at + line.n + 2;
    if (line.n == 0) {
        return in.n; /* it was not written by reply.h */
    }
    switch (line.p[0]) {
    case '_':
        reply_null(out);
        return behind;
    case '#':
        reply_bool(out, line.p[1] == 't');
        return behind;
    case ',':
    case '(':
        reply_bulk(out, span_of(line.p + 1, line.n - 1));
        return behind;
    case '$':
        return translate_bulk(out, in, line, behind, 0);
    case '=':
        return translate_bulk(out, in, line, behind, TYPE_BYTES);
    case '%':
        reply_map(out, number_in(line));
        return behind;
    case '~':
    case '>':
        reply_array(out, number_in(line));
        return behind;
    default: /* + - : * are alike */
        reply_raw(out, span_of(in.p + at, behind - at));
        return behind;
    }
}

void reply_translate(struct reply *out, struct span resp3)
{
    if (out->version == 3) {
        reply_raw(out, resp3);
    } else {
        for (size_t at = 0; at < resp3.n;) {
            at = translate_one(out, resp3, at);
        }
    }
    out->is_error = resp3.n > 0 && resp3.p[0] == '-';
}
