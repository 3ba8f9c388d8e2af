/* From a command of the connection itself to its handler, and the refusals in Redis's words. */
#include "node/local_internal.h"

#include "base/alloc.h"
#include "base/number.h"
#include "base/panic.h"

#include <string.h>

/* In the order of commands.def, so that the place of a command there is its place here. */
static local_handler *const handlers[] = {
#define READ(...) NULL,
#define WRITE(...) NULL,
#define WAITING(...) NULL,
#define ORDER(...) NULL,
#define PARENT(...) NULL,
#define LOCAL(tag, ident, ...) local_cmd_##ident,
#include "command/commands.def"
};

local_handler *local_handler_of(const struct command_spec *spec)
{
    qr_assert(command_count() == ARRAY_COUNT(handlers));
    local_handler *handler = handlers[command_index(spec)];
    qr_assert((handler != NULL) == (spec->place == PLACE_LOCAL));
    return handler;
}

static bool is_sentinels(const struct command_spec *spec)
{
    static const char *const names[] = { "auth", "client", "command", "hello", "info",
                                         "ping", "quit",   "reset",   "role",  "shutdown" };
    size_t n = strcspn(spec->name, "|");
    for (size_t i = 0; i < ARRAY_COUNT(names); i++) {
        if (strlen(names[i]) == n && memcmp(names[i], spec->name, n) == 0) {
            return true;
        }
    }
    return false;
}

bool local_is_told(enum listener_kind kind, const struct command_spec *spec)
{
    if (spec == NULL) {
        return false;
    }
    bool only = (spec->flags & CF_SENTINEL_ONLY) != 0;
    return kind == LISTENER_SENTINEL ? only || is_sentinels(spec) : !only;
}

/* --- Refusals ------------------------------------------------------------------------------- */

#define QUOTED_BYTES_MAX 128

void local_unknown_command(struct reply *reply, const struct span *argv, uint32_t argc)
{
    /* Redis stops naming arguments once it has printed this much, and cuts the last one. */
    char text[2 * QUOTED_BYTES_MAX];
    struct text arguments = text_in(text, sizeof text);
    for (uint32_t i = 1; i < argc && arguments.n < QUOTED_BYTES_MAX; i++) {
        size_t most = QUOTED_BYTES_MAX - arguments.n;
        text_char(&arguments, '\'');
        for (size_t j = 0; j < argv[i].n && j < most && argv[i].p[j] != 0; j++) {
            text_char(&arguments, (char)argv[i].p[j]);
        }
        text_put(&arguments, "' ");
    }
    qr_assert(!arguments.cut);
    reply_errorf(reply, "ERR unknown command '%.*s', with args beginning with: %s",
                 (int)min_u64(argv[0].n, QUOTED_BYTES_MAX), (const char *)argv[0].p, text);
}

void local_unknown_subcommand(struct reply *reply, const struct span *argv, uint32_t argc)
{
    qr_assert(argc > 1);
    char name[32];
    struct text upper = text_in(name, sizeof name);
    for (size_t i = 0; i < argv[0].n; i++) {
        uint8_t c = argv[0].p[i];
        text_char(&upper, (char)(c >= 'a' && c <= 'z' ? c - 32 : c));
    }
    reply_errorf(reply, "ERR unknown subcommand '%.*s'. Try %s HELP.",
                 (int)min_u64(argv[1].n, QUOTED_BYTES_MAX), (const char *)argv[1].p, name);
}

void local_wrong_arity(struct reply *reply, const struct span *argv, uint32_t argc)
{
    const struct command_spec *container;
    const struct command_spec *spec = command_find(argv, argc, &container);
    qr_assert(spec != NULL);
    local_bad_count(reply, spec->name);
}

void local_bad_count(struct reply *reply, const char *name)
{
    reply_errorf(reply, "ERR wrong number of arguments for '%s' command", name);
}

void local_syntax_error(struct reply *reply)
{
    reply_error(reply, "ERR syntax error");
}

/* --- Helpers -------------------------------------------------------------------------------- */

bool local_id(struct span argument, uint64_t *out)
{
    int64_t v;
    if (!number_from(argument, &v) || v < 1) {
        return false;
    }
    *out = (uint64_t)v;
    return true;
}

bool local_too_many(struct reply *reply, uint32_t names)
{
    if (names <= LOCAL_NAMES_MAX) {
        return false;
    }
    reply_errorf(reply, "ERR too many arguments, at most %d names are allowed", LOCAL_NAMES_MAX);
    return true;
}

struct span local_pattern(struct span pattern, uint8_t **copy)
{
    size_t n = pattern.n > LOCAL_PATTERN_BYTES_MAX ? 0 : pattern.n;
    *copy = qr_alloc(n);
    for (size_t i = 0; i < n; i++) {
        uint8_t c = pattern.p[i];
        (*copy)[i] = (uint8_t)(c >= 'A' && c <= 'Z' ? c + 32 : c);
    }
    return span_of(*copy, n);
}

void local_help(struct reply *reply, const char *container, const char *const *lines, size_t n)
{
    reply_array(reply, n + 3);
    char title[96];
    struct text text = text_in(title, sizeof title);
    text_put(&text, container);
    text_put(&text, " <subcommand> [<arg> [value] [opt] ...]. Subcommands are:");
    reply_status(reply, title);
    for (size_t i = 0; i < n; i++) {
        reply_status(reply, lines[i]);
    }
    reply_status(reply, "HELP");
    reply_status(reply, "    Lists these subcommands.");
}

const char *local_mode(const struct client *client)
{
    static const char *const modes[LISTENER_KINDS] = {
        [LISTENER_PLAIN] = "standalone",
        [LISTENER_CLUSTER] = "cluster",
        [LISTENER_SENTINEL] = "sentinel",
    };
    return modes[client->listener];
}

const struct roster_node *local_member(const struct node *node, uint32_t index)
{
    qr_assert(index < MEMBERS_MAX);
    return &node->known[index];
}
