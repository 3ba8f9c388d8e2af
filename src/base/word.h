/* Words that clients send: compared without regard to case, and quoted in errors. */
#ifndef BASE_WORD_H
#define BASE_WORD_H

#include "base/text.h"

#include <string.h>
#include <strings.h>

#define WORD_QUOTED_BYTES 40u /* of what a client has sent, in an error */

static inline bool word_is(struct span s, const char *word)
{
    return s.n == strlen(word) && strncasecmp((const char *)s.p, word, s.n) == 0;
}

/* What a client has sent, shortened and made printable. */
static inline void word_quote(struct text *t, struct span s)
{
    text_char(t, '\'');
    for (size_t i = 0; i < s.n && i < WORD_QUOTED_BYTES; i++) {
        bool shown = s.p[i] >= ' ' && s.p[i] < 0x7f && s.p[i] != '\'';
        text_char(t, shown ? (char)s.p[i] : '?');
    }
    text_put(t, s.n > WORD_QUOTED_BYTES ? "...'" : "'");
}

#endif
