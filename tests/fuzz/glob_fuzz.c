/* Patterns: whatever pattern meets whatever text, the work is bounded (scenario 115), and a few
 * laws hold. The bytes up to the first line end are the pattern, the rest is the text. */
#include "fuzz.h"

#include "base/alloc.h"
#include "engine/call.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    const uint8_t *line = n > 0 ? memchr(data, '\n', n) : NULL;
    if (line == NULL) {
        return 0;
    }
    size_t pattern_n = (size_t)(line - data), text_n = n - pattern_n - 1;
    uint8_t *pattern = qr_alloc(pattern_n), *text = qr_alloc(text_n), *star = qr_alloc(text_n + 1);
    memcpy(pattern, data, pattern_n);
    memcpy(text, line + 1, text_n);
    bool match = glob_match(span_of(pattern, pattern_n), span_of(text, text_n));
    if (pattern_n == text_n && memcmp(pattern, text, text_n) == 0 &&
        memchr(pattern, '[', text_n) == NULL && memchr(pattern, '\\', text_n) == NULL) {
        qr_assert(match); /* itself, * and ? included */
    }
    memcpy(star, text, text_n);
    star[text_n] = '*';
    if (text_n > 0 && memchr(text, '[', text_n) == NULL && memchr(text, '\\', text_n) == NULL) {
        qr_assert(glob_match(span_of(star, text_n + 1), span_of(text, text_n)));
    }
    free(pattern);
    free(text);
    free(star);
    return 0;
}
