#include "cluster/asked.h"

#include "base/number.h"
#include "base/word.h"

static const char not_applied[] = ", the command was not applied";

static bool refuse(struct text *why, const char *before, struct span word, const char *behind)
{
    text_put(why, before);
    word_quote(why, word);
    text_put(why, behind);
    text_put(why, not_applied);
    return false;
}

/* --- Values --------------------------------------------------------------------------------- */

static bool read_read(struct asked *out, const struct span *value, const struct asked_by *by,
                      struct text *why)
{
    enum read_level level;
    const uint8_t *colon = value->n > 0 ? memchr(value->p, ':', value->n) : NULL;
    struct span name = { value->p, colon != NULL ? (size_t)(colon - value->p) : value->n };
    char wrong[160];
    struct text what = text_in(wrong, sizeof wrong);
    if (!level_find(name, &level)) {
        text_put(why, "ERR syntax error: unknown READ level ");
        word_quote(why, *value);
        text_put(why, ", the command was not applied; use one of ");
        level_names(why, by->promise);
        return false;
    }
    if ((by->promise->reads & READ_BIT(level)) == 0) {
        text_put(why, "LEVEL strategy ");
        text_put(why, by->strategy);
        text_put(why, " does not give reads at level ");
        word_quote(why, *value);
        text_put(why, ", the command was not applied; it gives ");
        level_names(why, by->promise);
        return false;
    }
    return level_read(*value, &out->read, &what) ||
           refuse(why, "ERR syntax error: READ ", *value, wrong);
}

/* A word of at most that many bytes. */
static bool bounded_word(struct span value, size_t most, const char *before, const char *behind,
                         struct text *why)
{
    return (value.n > 0 && value.n <= most) || refuse(why, before, value, behind);
}

static bool read_ack(struct asked *out, const struct span *value, const struct asked_by *by,
                     struct text *why)
{
    return ack_read(&out->ack, *value, by->strategy, by->promise, why);
}

void asked_refuse_async(struct text *why, const char *strategy)
{
    text_put(why, "LEVEL strategy ");
    text_put(why, strategy);
    (void)refuse(why, " never acknowledges less than was asked for: FALLBACK ",
                 SPAN_LITERAL("async"), " is not given, fail is");
}

static bool read_fallback(struct asked *out, const struct span *value, const struct asked_by *by,
                          struct text *why)
{
    out->fallback_async = word_is(*value, "async");
    if (out->fallback_async && (by->promise->acks & ACK_BIT(ACK_LOCAL)) != 0) {
        return true;
    }
    if (out->fallback_async) {
        asked_refuse_async(why, by->strategy);
        return false;
    }
    return word_is(*value, "fail") ||
           refuse(why, "ERR syntax error: FALLBACK is fail or async, not ", *value, "");
}

static bool read_timeout(struct asked *out, const struct span *value, const struct asked_by *by,
                         struct text *why)
{
    int64_t ms;
    (void)by;
    bool valid = number_from(*value, &ms) && ms >= 1 && ms <= ASKED_TIMEOUT_MS_MAX;
    out->timeout_ms = valid ? (uint32_t)ms : 0;
    return valid ||
           refuse(why, "ERR syntax error: TIMEOUT is 1 to 3600000 milliseconds, not ", *value, "");
}

static bool read_ks(struct asked *out, const struct span *value, const struct asked_by *by,
                    struct text *why)
{
    (void)by;
    out->keyspace = *value;
    return bounded_word(*value, ASKED_NAME_BYTES_MAX, "ERR syntax error: KS ",
                        " is no name of a keyspace", why);
}

static bool read_meta(struct asked *out, const struct span *value, const struct asked_by *by,
                      struct text *why)
{
    (void)out;
    (void)value;
    (void)by;
    (void)why;
    return true;
}

static bool read_session(struct asked *out, const struct span *value, const struct asked_by *by,
                         struct text *why)
{
    (void)by;
    out->token = *value;
    return bounded_word(*value, TOKEN_TEXT_MAX, "ERR syntax error: SESSION ",
                        " is no token of SESSION TOKEN", why);
}

static bool read_window(struct asked *out, const struct span *value, const struct asked_by *by,
                        struct text *why)
{
    uint64_t ms;
    (void)by;
    bool valid = duration_read(*value, &ms);
    out->window_ms = valid ? (uint32_t)ms : 0;
    return valid ||
           refuse(why, "ERR syntax error: LEADERWINDOW is a time such as 60s up to a day, not ",
                  *value, "");
}

static bool read_idmp(struct asked *out, const struct span *value, const struct asked_by *by,
                      struct text *why)
{
    (void)by;
    out->pid = value[0];
    out->iid = value[1];
    static const char before[] = "ERR syntax error: IDMP ",
                      behind[] = ": pid and iid have 1 to 64 bytes";
    return bounded_word(value[0], ASKED_NAME_BYTES_MAX, before, behind, why) &&
           bounded_word(value[1], ASKED_NAME_BYTES_MAX, before, behind, why);
}

/* --- Options -------------------------------------------------------------------------------- */

static const struct option {
    const char *name;
    enum asked_option bit;
    uint8_t values;
    bool with; /* WITH alone: it is about one command */
    bool (*read)(struct asked *out, const struct span *value, const struct asked_by *by,
                 struct text *why);
} options[] = {
    { "READ", ASKED_READ, 1, false, read_read },
    { "ACK", ASKED_ACK, 1, false, read_ack },
    { "FALLBACK", ASKED_FALLBACK, 1, false, read_fallback },
    { "TIMEOUT", ASKED_TIMEOUT, 1, false, read_timeout },
    { "KS", ASKED_KS, 1, true, read_ks },
    { "META", ASKED_META, 0, true, read_meta },
    { "SESSION", ASKED_SESSION, 1, true, read_session },
    { "LEADERWINDOW", ASKED_LEADERWINDOW, 1, false, read_window },
    { "IDMP", ASKED_IDMP, 2, true, read_idmp },
};

static bool refuse_unknown(struct span word, const struct asked_by *by, struct text *why)
{
    text_put(why, "ERR syntax error: unknown option ");
    word_quote(why, word);
    text_put(why, ", the command was not applied; the options are");
    const char *between = " ";
    for (size_t i = 0; i < ARRAY_COUNT(options); i++) {
        if (by->with || !options[i].with) {
            text_put(why, between);
            text_put(why, options[i].name);
            between = ", ";
        }
    }
    text_put(why, by->with ? "" : "; SHOW and RESET stand alone");
    return false;
}

static const struct option *find(struct span word)
{
    for (size_t i = 0; i < ARRAY_COUNT(options); i++) {
        if (word_is(word, options[i].name)) {
            return &options[i];
        }
    }
    return NULL;
}

/* Reads the option that begins `left` words; returns how many it has; 0: refused. */
static uint32_t option_read(struct asked *out, const struct span *words, uint32_t left,
                            const struct asked_by *by, struct text *why)
{
    const struct option *o = find(words[0]);
    if (o == NULL) {
        return refuse_unknown(words[0], by, why);
    }
    if (o->with && !by->with) {
        return refuse(why, "ERR syntax error: ", words[0],
                      " is about one command and stands in WITH alone");
    }
    if ((out->given & o->bit) != 0) {
        return refuse(why, "ERR syntax error: ", words[0], " stands twice");
    }
    if (left <= o->values) {
        return refuse(why, "ERR syntax error: ", words[0],
                      o->values == 1 ? " has no value" : " wants two words, pid and iid");
    }
    out->given |= (uint16_t)o->bit;
    return o->read(out, words + 1, by, why) ? 1u + o->values : 0;
}

/* What makes no sense together. */
static bool is_consistent(const struct asked *asked, struct text *why)
{
    enum read_level level = (enum read_level)asked->read.level;
    bool has_read = (asked->given & ASKED_READ) != 0;
    const char *other = NULL;
    if (has_read && (asked->given & ASKED_LEADERWINDOW) != 0 && level != READ_SESSION) {
        other = "LEADERWINDOW is about reads of a session";
    } else if ((asked->given & ASKED_SESSION) != 0 && level_is_of_any_replica(level)) {
        other = "SESSION asks for more than that";
    }
    if (other == NULL) {
        return true;
    }
    text_put(why, "ERR syntax error: READ ");
    text_put(why, level_name(level));
    text_put(why, " contradicts another option: ");
    text_put(why, other);
    text_put(why, not_applied);
    return false;
}

bool asked_read(struct asked *out, const struct span *words, uint32_t n, const struct asked_by *by,
                struct text *why)
{
    struct asked asked = { 0 };
    for (uint32_t i = 0; i < n;) {
        uint32_t took = option_read(&asked, words + i, n - i, by, why);
        if (took == 0) {
            return false;
        }
        i += took;
    }
    if (!is_consistent(&asked, why)) {
        return false;
    }
    *out = asked;
    return true;
}

void asked_merge(struct asked *asked, const struct asked *later)
{
    asked->read = (later->given & ASKED_READ) != 0 ? later->read : asked->read;
    asked->ack = (later->given & ASKED_ACK) != 0 ? later->ack : asked->ack;
    if ((later->given & (ASKED_ACK | ASKED_FALLBACK)) != 0) { /* never of an ACK before it */
        asked->fallback_async = later->fallback_async;
    }
    asked->timeout_ms = (later->given & ASKED_TIMEOUT) != 0 ? later->timeout_ms : asked->timeout_ms;
    asked->window_ms =
        (later->given & ASKED_LEADERWINDOW) != 0 ? later->window_ms : asked->window_ms;
    asked->given |= later->given;
}

/* --- WITH ----------------------------------------------------------------------------------- */

uint32_t with_command_at(const struct span *argv, uint32_t argc, struct text *why)
{
    int64_t n;
    if (argc < 2 || !number_from(argv[1], &n) || n < 1 || n > WITH_WORDS_MAX) {
        text_put(why, "ERR syntax error: WITH begins with how many words of options follow, 1 to ");
        text_u64(why, WITH_WORDS_MAX);
        text_put(why, not_applied);
        return 0;
    }
    if ((uint64_t)n + 2 >= argc) {
        text_put(why, "ERR syntax error: no command follows the options of WITH");
        text_put(why, not_applied);
        return 0;
    }
    uint32_t at = (uint32_t)n + 2;
    if (word_is(argv[at], "WITH")) {
        text_put(why, WITH_IN_WITH);
        return 0;
    }
    return at;
}
