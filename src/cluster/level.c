#include "cluster/level.h"

#include "base/number.h"
#include "base/word.h"

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

bool level_find(struct span name, enum read_level *out)
{
    for (uint32_t i = 0; i < READ_LEVELS; i++) {
        if (word_is(name, names[i])) {
            *out = (enum read_level)i;
            return true;
        }
    }
    return false;
}

void level_names(struct text *out, const struct promise *promise)
{
    static const enum read_level strongest_first[] = {
        READ_LINEARIZABLE, READ_QUORUM, READ_LEADER,   READ_SESSION, READ_BOUNDED,
        READ_CAUSAL,       READ_PREFIX, READ_SNAPSHOT, READ_LOCAL,
    };
    const char *between = "";
    for (size_t i = 0; i < ARRAY_COUNT(strongest_first); i++) {
        enum read_level level = strongest_first[i];
        if ((promise->reads & READ_BIT(level)) != 0) {
            text_put(out, between);
            text_put(out, names[level]);
            between = ", ";
        }
    }
}

/* --- Parameters ----------------------------------------------------------------------------- */

static bool count_read(struct span value, uint64_t most, uint64_t *out)
{
    int64_t n;
    bool valid = number_from(value, &n) && n >= 1 && (uint64_t)n <= most;
    *out = valid ? (uint64_t)n : 0;
    return valid;
}

/* Whether the value ends in that unit; the rest is what stands before it. */
static bool ends_in(struct span value, const char *unit, struct span *rest)
{
    size_t n = strlen(unit);
    *rest = span_of(value.p, value.n > n ? value.n - n : 0);
    return value.n > n && word_is(span_of(value.p + value.n - n, n), unit);
}

bool duration_read(struct span value, uint64_t *ms)
{
    static const struct {
        const char *name;
        uint64_t ms;
    } units[] = { { "ms", 1 }, { "s", 1000 }, { "m", 60000 }, { "", 1 } };
    struct span rest = value;
    size_t i = 0;
    while (!ends_in(value, units[i].name, &rest) && i + 1 < ARRAY_COUNT(units)) {
        i++;
    }
    bool valid = count_read(rest, LEVEL_MS_MAX / units[i].ms, ms);
    *ms *= units[i].ms;
    return valid;
}

static bool bound_read(struct span value, struct level_asked *out, struct text *why)
{
    struct span count;
    out->by_ops = ends_in(value, "ops", &count);
    bool valid = out->by_ops ? count_read(count, LEVEL_OPS_MAX, &out->bound)
                             : duration_read(value, &out->bound);
    text_put(why, valid ? ""
                        : ": a bound is a time such as 500ms, 5s or 2m up to a day, or a "
                          "number of operations such as 100ops up to 2147483647");
    return valid;
}

/* As a position is told: <group>-<slot>. */
static bool position_read(struct span value, struct level_asked *out, struct text *why)
{
    const uint8_t *dash = value.n > 0 ? memchr(value.p, '-', value.n) : NULL;
    size_t n = dash != NULL ? (size_t)(dash - value.p) : 0;
    int64_t group;
    bool valid = dash != NULL && number_from(span_of(value.p, n), &group) && group >= 0 &&
                 group <= UINT32_MAX &&
                 count_read(span_of(dash + 1, value.n - n - 1), INT64_MAX, &out->bound);
    out->group = valid ? (uint32_t)group : 0;
    text_put(why, valid ? "" : ": a position is told as <group>-<slot>, such as 3-17");
    return valid;
}

bool level_read(struct span value, struct level_asked *out, struct text *why)
{
    const uint8_t *colon = value.n > 0 ? memchr(value.p, ':', value.n) : NULL;
    size_t n = colon != NULL ? (size_t)(colon - value.p) : value.n;
    enum read_level level;
    if (!level_find(span_of(value.p, n), &level)) {
        return false;
    }
    *out = (struct level_asked){ .level = (uint8_t)level };
    struct span parameter =
        colon != NULL ? span_of(colon + 1, value.n - n - 1) : span_of(value.p, 0);
    if (level == READ_BOUNDED) {
        return bound_read(parameter, out, why);
    }
    if (level == READ_SNAPSHOT) {
        return position_read(parameter, out, why);
    }
    text_put(why, colon == NULL ? "" : ": this level has no parameter");
    return colon == NULL;
}

void level_put(struct text *out, const struct level_asked *level)
{
    text_put(out, level_name((enum read_level)level->level));
    if (level->level == READ_BOUNDED) {
        text_char(out, ':');
        text_u64(out, level->bound);
        text_put(out, level->by_ops ? "ops" : "ms");
    } else if (level->level == READ_SNAPSHOT) {
        text_char(out, ':');
        text_u64(out, level->group);
        text_char(out, '-');
        text_u64(out, level->bound);
    }
}
