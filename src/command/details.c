/* See details.h. Small constant tables that are searched from the front: COMMAND is not in a hurry.
 */
#include "command/details.h"

#include "base/panic.h"
#include "command/rows.h"

#include <string.h>

/* Parallel to `keys`, so that the groups of one command are a slice of it. */
static const uint16_t keys_row[] = {
#define KEYS(id, first, last, step, flags, note) ROW_##id,
#define TIPS(...)
#include "command/details.def"
#undef KEYS
#undef TIPS
};

static const struct command_keys keys[] = {
#define KEYS(id, first, last, step, flags, note) { first, last, step, flags, note },
#define TIPS(...)
#include "command/details.def"
#undef KEYS
#undef TIPS
};

static const struct {
    uint16_t row;
    const char *text;
} tips[] = {
#define KEYS(...)
#define TIPS(id, text) { ROW_##id, text },
#include "command/details.def"
#undef KEYS
#undef TIPS
};

static const struct {
    uint16_t row;
    const char *text;
} syntaxes[] = {
#define SYNTAX(id, text) { ROW_##id, text },
#include "command/syntax.def"
#undef SYNTAX
};

uint32_t command_keys_of(const struct command_spec *spec, const struct command_keys **out)
{
    size_t row = command_index(spec);
    uint32_t count = 0;
    *out = NULL;
    for (size_t i = 0; i < ARRAY_COUNT(keys); i++) {
        if (keys_row[i] == row) {
            *out = count == 0 ? &keys[i] : *out;
            count++;
        }
    }
    return count;
}

const char *command_tips_of(const struct command_spec *spec)
{
    size_t row = command_index(spec);
    for (size_t i = 0; i < ARRAY_COUNT(tips); i++) {
        if (tips[i].row == row) {
            return tips[i].text;
        }
    }
    return "";
}

const char *command_syntax_of(const struct command_spec *spec)
{
    size_t row = command_index(spec);
    for (size_t i = 0; i < ARRAY_COUNT(syntaxes); i++) {
        if (syntaxes[i].row == row) {
            return syntaxes[i].text;
        }
    }
    return "";
}

void command_keys_range(const struct command_keys *group, uint32_t argc, uint32_t *begin,
                        uint32_t *end)
{
    qr_assert(group->first > 0 && group->step > 0);
    *begin = (uint32_t)group->first;
    int64_t last = group->last < 0 ? (int64_t)argc + group->last : group->first + group->last;
    *end = last < (int64_t)argc ? (uint32_t)(last + 1) : argc;
    if (*begin > argc) {
        *begin = argc;
    }
    if (*end < *begin) {
        *end = *begin;
    }
}

const char *command_flag_name(uint32_t bit)
{
    static const char *const names[] = {
        "write",      "readonly", "denyoom",      "admin",        "noscript",    "loading",
        "stale",      "fast",     "no_auth",      "blocking",     "movablekeys", "no_async_loading",
        "allow_busy", "no_multi", "skip_monitor", "skip_slowlog", "pubsub",
    };
    return bit < ARRAY_COUNT(names) ? names[bit] : NULL;
}
