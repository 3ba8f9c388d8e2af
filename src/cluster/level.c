#include "cluster/level.h"

#include "base/number.h"

#include <string.h>
#include <strings.h>

#define QUOTED_BYTES_MAX 32u

static const char *const names[READ_LEVELS] = {
    [READ_LINEARIZABLE] = "linearizable",
    [READ_LEADER] = "leader",
    [READ_PREFIX] = "prefix",
    [READ_LOCAL] = "local",
    [READ_SESSION] = "session",
    [READ_BOUNDED] = "bounded",
    [READ_CAUSAL] = "causal",
    [READ_QUORUM] = "quorum",
    [READ_SNAPSHOT] = "snapshot",
};

const char *level_name(enum read_level level)
{
    qr_assert(level < READ_LEVELS);
    return names[level];
}

static bool is_word(struct span s, const char *word)
{
    return s.n == strlen(word) && strncasecmp((const char *)s.p, word, s.n) == 0;
}

static void quote(struct text *t, struct span s)
{
    text_char(t, '\'');
    for (size_t i = 0; i < s.n && i < QUOTED_BYTES_MAX; i++) {
        text_char(t, s.p[i] >= ' ' && s.p[i] < 127 ? (char)s.p[i] : '?');
    }
    text_put(t, s.n > QUOTED_BYTES_MAX ? "...'" : "'");
}

/* A level with a parameter ("bounded:5s") is named by what stands before the colon. */
static bool find_level(struct span value, enum read_level *out)
{
    const uint8_t *colon = memchr(value.p, ':', value.n);
    struct span name = { value.p, colon != NULL ? (size_t)(colon - value.p) : value.n };
    for (uint32_t i = 0; i < READ_LEVELS; i++) {
        bool takes_one = i == READ_BOUNDED || i == READ_SNAPSHOT;
        if (is_word(name, names[i]) && takes_one == (colon != NULL)) {
            *out = (enum read_level)i;
            return true;
        }
    }
    return false;
}

void level_names(struct text *out, const struct promise *promise)
{
    const char *between = "";
    for (uint32_t i = 0; i < READ_LEVELS; i++) {
        if ((promise->reads & READ_BIT(i)) != 0) {
            text_put(out, between);
            text_put(out, names[i]);
            between = ", ";
        }
    }
}

static bool read_level(struct asked *out, struct span value, const char *strategy,
                       const struct promise *promise, struct text *why)
{
    enum read_level level;
    if (!find_level(value, &level)) {
        text_put(why, "ERR syntax error: unknown read level ");
        quote(why, value);
        text_put(why, ", use one of ");
    } else if ((promise->reads & READ_BIT(level)) == 0) {
        text_put(why, "LEVEL strategy ");
        text_put(why, strategy);
        text_put(why, " does not give reads at level ");
        quote(why, value);
        text_put(why, ", the command was not applied; it gives ");
    } else {
        out->read = level;
        out->has_read = true;
        return true;
    }
    level_names(why, promise);
    return false;
}

static bool refuse(struct text *why, const char *before, struct span word, const char *behind)
{
    text_put(why, before);
    quote(why, word);
    text_put(why, behind);
    return false;
}

bool asked_read(struct asked *out, const struct span *words, uint32_t n, const char *strategy,
                const struct promise *promise, struct text *why)
{
    struct asked asked = { 0 };
    for (uint32_t i = 0; i < n; i += 2) {
        if (is_word(words[i], "META") && !asked.meta) {
            asked.meta = true;
            i--; /* it has no value */
            continue;
        }
        if (!is_word(words[i], "READ")) {
            return refuse(why, "ERR syntax error: unknown option ", words[i],
                          ", the options are READ level");
        }
        if (asked.has_read) {
            return refuse(why, "ERR syntax error: ", words[i], " stands twice");
        }
        if (i + 1 == n) {
            return refuse(why, "ERR syntax error: ", words[i], " has no value");
        }
        if (!read_level(&asked, words[i + 1], strategy, promise, why)) {
            return false;
        }
    }
    *out = asked;
    return true;
}

uint32_t with_command_at(const struct span *argv, uint32_t argc, struct text *why)
{
    int64_t n;
    if (argc < 2 || !number_from(argv[1], &n) || n < 1 || n > WITH_WORDS_MAX) {
        text_put(why, "ERR syntax error: WITH begins with how many words of options follow, 1 to ");
        text_u64(why, WITH_WORDS_MAX);
        return 0;
    }
    if ((uint64_t)n + 2 >= argc) {
        text_put(why, "ERR syntax error: no command follows the options of WITH");
        return 0;
    }
    uint32_t at = (uint32_t)n + 2;
    if (is_word(argv[at], "WITH")) {
        text_put(why, "ERR syntax error: WITH stands inside of WITH");
        return 0;
    }
    return at;
}
