/* Redis's glob patterns: * ? [class] [^class] and \ before a literal.
 *
 * Every token but '*' takes exactly one byte, so only the last '*' ever has to be tried longer: two
 * positions are enough, there is no recursion, and the work is at most pattern times text (scenario
 * 115: a*a*a*…b is no trap). The corner cases are Redis's, seen from outside: an unclosed class
 * ends with the pattern, ranges compare signed bytes in either order, and against an empty text
 * only an empty pattern matches. */
#include "engine/call.h"

struct class_state {
    struct span pattern;
    size_t at;
    int8_t byte;
    bool found;
};

/* Takes one member of a class (a byte, an escaped byte, a range); false at the class's end. */
static bool class_member(struct class_state *s)
{
    const uint8_t *p = s->pattern.p + s->at;
    size_t left = s->pattern.n - s->at;
    if (left == 0) {
        return false;
    }
    if (left >= 2 && p[0] == '\\') {
        s->found = s->found || (int8_t)p[1] == s->byte;
        s->at += 2;
    } else if (p[0] == ']') {
        s->at += 1;
        return false;
    } else if (left >= 3 && p[1] == '-') {
        int8_t from = (int8_t)p[0];
        int8_t to = (int8_t)p[2];
        int8_t low = from < to ? from : to;
        int8_t high = from < to ? to : from;
        s->found = s->found || (s->byte >= low && s->byte <= high);
        s->at += 3;
    } else {
        s->found = s->found || (int8_t)p[0] == s->byte;
        s->at += 1;
    }
    return true;
}

/* Matches one byte with the class whose '[' is at *at, and moves *at behind it. */
static bool class_match(struct span pattern, size_t *at, uint8_t byte)
{
    struct class_state s = { .pattern = pattern, .at = *at + 1, .byte = (int8_t)byte };
    bool negated = s.at < pattern.n && pattern.p[s.at] == '^';
    if (negated) {
        s.at++;
    }
    while (class_member(&s)) {
    }
    *at = s.at;
    return s.found != negated;
}

/* Matches one byte with the token at *at, which is no '*', and moves *at behind it. */
static bool token_match(struct span pattern, size_t *at, uint8_t byte)
{
    uint8_t token = pattern.p[*at];
    if (token == '[') {
        return class_match(pattern, at, byte);
    }
    if (token == '\\' && *at + 1 < pattern.n) {
        *at += 1;
        token = pattern.p[*at];
        *at += 1;
        return token == byte;
    }
    *at += 1;
    return token == '?' || token == byte;
}

static size_t skip_stars(struct span pattern, size_t at)
{
    while (at < pattern.n && pattern.p[at] == '*') {
        at++;
    }
    return at;
}

bool glob_match(struct span pattern, struct span s)
{
    size_t at = 0, text = 0;
    size_t retry_at = 0, retry_text = 0;
    bool star = false;
    if (s.n == 0) {
        return pattern.n == 0;
    }
    while (text < s.n) {
        if (at < pattern.n && pattern.p[at] == '*') {
            at = skip_stars(pattern, at);
            if (at == pattern.n) {
                return true;
            }
            star = true;
            retry_at = at;
            retry_text = text;
        } else if (at < pattern.n && token_match(pattern, &at, s.p[text])) {
            text++;
        } else if (star) {
            retry_text++;
            text = retry_text;
            at = retry_at;
        } else {
            return false;
        }
    }
    /* The text is used up. A longer last star would leave even less for what is left of the
     * pattern, so there is nothing to try again. */
    return skip_stars(pattern, at) == pattern.n;
}
