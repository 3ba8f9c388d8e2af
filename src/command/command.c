/* The table of commands.def and its lookups. Everything is constant data: names are found by
 * halving the alphabetical table, so nothing is built at start. */
#include "command/command.h"
#include "command/rows.h"

#include "base/panic.h"

#include <string.h>
#include <strings.h>

#define NAME_BYTES_MAX ((size_t)48)

#define ROW(where, t, text, ar, fl, first, last, step, gr, si, co, su, ac) \
    { .tag = (t),                                                          \
      .name = (text),                                                      \
      .name_bytes = sizeof(text) - 1,                                      \
      .name_words = __builtin_strchr(text, '|') != NULL ? 2 : 1,           \
      .place = (where),                                                    \
      .arity = (ar),                                                       \
      .flags = (fl),                                                       \
      .first_key = (first),                                                \
      .last_key = (last),                                                  \
      .key_step = (step),                                                  \
      .group = (gr),                                                       \
      .since = (si),                                                       \
      .complexity = (co),                                                  \
      .summary = (su),                                                     \
      .acl = (ac) },

static const struct command_spec table[] = {
#define READ(t, id, ...) ROW(PLACE_READ, t, __VA_ARGS__)
#define WRITE(t, id, ...) ROW(PLACE_WRITE, t, __VA_ARGS__)
#define LOCAL(t, id, ...) ROW(PLACE_LOCAL, t, __VA_ARGS__)
#define WAITING(t, id, ...) ROW(PLACE_WAIT, t, __VA_ARGS__)
#define ORDER(t, id, ...) ROW(PLACE_ORDER, t, __VA_ARGS__)
#define PARENT(t, id, text, ar, fl, ...) \
    ROW(PLACE_NONE, t, text, ar, (fl) | CF_CONTAINER, __VA_ARGS__)
#include "command/commands.def"
};

_Static_assert(ROW_COUNT == ARRAY_COUNT(table), "one row per command");

/* Copies a name in lower case; false when no command is that long. */
static bool lower(char *out, size_t *at, struct span name)
{
    if (name.n > NAME_BYTES_MAX - *at) {
        return false;
    }
    for (size_t i = 0; i < name.n; i++) {
        uint8_t c = name.p[i];
        out[*at + i] = (char)(c >= 'A' && c <= 'Z' ? c + 32 : c);
    }
    *at += name.n;
    return true;
}

static const struct command_spec *search(const char *name, size_t n)
{
    size_t low = 0, high = ROW_COUNT;
    while (low < high) {
        size_t middle = (low + high) / 2;
        const struct command_spec *row = &table[middle];
        size_t common = n < row->name_bytes ? n : row->name_bytes;
        int order = memcmp(name, row->name, common);
        if (order == 0) {
            if (n == row->name_bytes) {
                return row;
            }
            order = n < row->name_bytes ? -1 : 1;
        }
        if (order < 0) {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    return NULL;
}

const struct command_spec *command_by_name(struct span name)
{
    char text[NAME_BYTES_MAX];
    size_t n = 0;
    return lower(text, &n, name) ? search(text, n) : NULL;
}

const struct command_spec *command_find(const struct span *argv, uint32_t argc,
                                        const struct command_spec **container_spec)
{
    qr_assert(argc > 0);
    *container_spec = NULL;
    char text[NAME_BYTES_MAX];
    size_t n = 0;
    if (!lower(text, &n, argv[0]) || memchr(text, '|', n) != NULL) {
        return NULL; /* "client|list" is no way to write CLIENT LIST */
    }
    const struct command_spec *spec = search(text, n);
    if (spec == NULL || (spec->flags & CF_CONTAINER) == 0 || argc == 1) {
        return spec;
    }
    *container_spec = spec;
    size_t bar = n;
    if (!lower(text, &n, SPAN_LITERAL("|")) || !lower(text, &n, argv[1])) {
        return NULL;
    }
    qr_assert(text[bar] == '|');
    spec = search(text, n);
    if (spec != NULL) {
        *container_spec = NULL;
    }
    return spec;
}

/* Names differ in their length, first or last letter, mostly. */
static size_t memo_place(struct span name)
{
    uint32_t first = name.p[0] | 32u;
    uint32_t last = name.p[name.n - 1] | 32u;
    return (name.n * 29 + first * 5 + last) % ARRAY_COUNT(((struct command_memo *)0)->spec);
}

static bool is_name_of(const struct command_spec *spec, struct span name)
{
    return spec->name_bytes == name.n && strncasecmp(spec->name, (const char *)name.p, name.n) == 0;
}

const struct command_spec *command_recall(struct command_memo *memo, const struct span *argv,
                                          uint32_t argc, const struct command_spec **container_spec)
{
    if (argv[0].n == 0) {
        return command_find(argv, argc, container_spec);
    }
    const struct command_spec **known = &memo->spec[memo_place(argv[0])];
    if (*known != NULL && is_name_of(*known, argv[0])) {
        *container_spec = NULL;
        return *known;
    }
    const struct command_spec *spec = command_find(argv, argc, container_spec);
    if (spec != NULL && (spec->flags & CF_CONTAINER) == 0 && command_name_words(spec) == 1) {
        *known = spec;
    }
    return spec;
}

const struct command_spec *command_by_tag(uint16_t tag)
{
    switch (tag) {
#define READ(t, id, ...) \
    case (t):            \
        return &table[ROW_##id];
#define WRITE READ
#define LOCAL READ
#define WAITING READ
#define ORDER READ
#include "command/commands.def"
    default:
        return NULL;
    }
}

size_t command_index(const struct command_spec *spec)
{
    qr_assert(spec >= table && spec < table + ROW_COUNT);
    return (size_t)(spec - table);
}

size_t command_count(void)
{
    return ROW_COUNT;
}

const struct command_spec *command_at(size_t i)
{
    qr_assert(i < ROW_COUNT);
    return &table[i];
}
