/* Patterns: the same answer as a matcher that is plainly right and slow, in bounded work (scenario
 * 115). The bytes up to the first line end are the pattern, the rest is the text. */
#include "fuzz.h"

#include "base/alloc.h"
#include "engine/call.h"

#include <string.h>

#define BYTES_MAX 300u /* of pattern and text, for the slow twin */

/* One byte against the class that begins behind '['; *rest is what follows the class. Redis's
 * rules: an unclosed class ends with the pattern, ranges take both orders of signed bytes. */
static bool in_class(struct span p, uint8_t byte, struct span *rest)
{
    bool found = false, negated = false;
    size_t i = 0;
    if (p.n > 0 && p.p[0] == '^') {
        negated = true;
        i = 1;
    }
    for (; i < p.n && p.p[i] != ']'; i++) {
        int8_t low = (int8_t)p.p[i], high = low, c = (int8_t)byte;
        if (p.p[i] == '\\' && i + 1 < p.n) {
            low = high = (int8_t)p.p[++i];
        } else if (i + 2 < p.n && p.p[i + 1] == '-') {
            high = (int8_t)p.p[i + 2];
            i += 2;
        }
        found = found || (low <= c && c <= high) || (high <= c && c <= low);
    }
    i = i < p.n ? i + 1 : i;
    *rest = span_of(p.p + i, p.n - i);
    return found != negated;
}

/* One byte against the first token of the pattern, which is no star. */
static bool one(struct span p, uint8_t byte, struct span *rest)
{
    if (p.p[0] == '[') {
        return in_class(span_of(p.p + 1, p.n - 1), byte, rest);
    }
    size_t i = p.p[0] == '\\' && p.n > 1 ? 1 : 0;
    *rest = span_of(p.p + i + 1, p.n - i - 1);
    return (i == 0 && p.p[0] == '?') || p.p[i] == byte;
}

/* Row by row: live[t] says whether the pattern so far matches the first t bytes of the text. */
static bool reference(struct span p, struct span text)
{
    bool live[BYTES_MAX + 1] = { true };
    if (text.n == 0) {
        return p.n == 0;
    }
    while (p.n > 0) {
        struct span rest = span_of(p.p + 1, p.n - 1);
        if (p.p[0] == '*') {
            for (size_t t = 1; t <= text.n; t++) {
                live[t] = live[t] || live[t - 1];
            }
        } else {
            for (size_t t = text.n; t > 0; t--) {
                bool fits = one(p, text.p[t - 1], &rest);
                live[t] = live[t - 1] && fits;
            }
            live[0] = false;
        }
        p = rest;
    }
    return live[text.n];
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    const uint8_t *line = n > 0 ? memchr(data, '\n', n) : NULL;
    if (line == NULL) {
        return 0;
    }
    size_t pattern_n = (size_t)(line - data), text_n = n - pattern_n - 1;
    uint8_t *pattern = qr_alloc(pattern_n), *text = qr_alloc(text_n); /* overruns are seen */
    memcpy(pattern, data, pattern_n);
    memcpy(text, line + 1, text_n);
    bool match = glob_match(span_of(pattern, pattern_n), span_of(text, text_n));
    if (text_n <= BYTES_MAX) {
        qr_assert(match == reference(span_of(pattern, pattern_n), span_of(text, text_n)));
    }
    free(pattern);
    free(text);
    return 0;
}
