/* CONFIG: settings of this node, read and changed while it runs. */
#include "node/local_internal.h"

#include "base/alloc.h"
#include "engine/call.h"
#include "node/run.h"

#include <string.h>

/* --- GET ------------------------------------------------------------------------------------ */

static bool has_wildcard(struct span pattern)
{
    for (size_t i = 0; i < pattern.n; i++) {
        if (pattern.p[i] == '*' || pattern.p[i] == '?' || pattern.p[i] == '[') {
            return true;
        }
    }
    return false;
}

/* For each directive, under which name it is to be shown; an empty span when it is not. A name
 * without wildcards comes back as it was written, as in Redis. */
static size_t choose(const struct span *patterns, uint32_t n, struct span *names)
{
    size_t chosen = 0;
    for (uint32_t p = 0; p < n; p++) {
        uint8_t *copy;
        struct span pattern = local_pattern(patterns[p], &copy);
        int exact = has_wildcard(pattern) ? -1 : config_find(pattern);
        for (uint32_t i = 0; i < config_count(); i++) {
            const char *name = config_name(i);
            bool match = has_wildcard(pattern) ? glob_match(pattern, span_of(name, strlen(name)))
                                               : exact == (int)i;
            if (match && names[i].n == 0 && config_shown(i)) {
                names[i] = exact == (int)i ? patterns[p] : span_of(name, strlen(name));
                chosen++;
            }
        }
        free(copy);
    }
    return chosen;
}

void local_cmd_CONFIG_GET(struct client *client, const struct span *argv, uint32_t argc,
                          struct reply *reply)
{
    if (local_too_many(reply, argc - 2)) {
        return;
    }
    struct span *names = qr_zalloc(config_count() * sizeof *names);
    reply_map(reply, choose(argv + 2, argc - 2, names));
    for (uint32_t i = 0; i < config_count(); i++) {
        if (names[i].n > 0) {
            char value[CONFIG_VALUE_BYTES];
            struct text text = text_in(value, sizeof value);
            config_value(&client->node->config, i, &text);
            reply_bulk(reply, names[i]);
            reply_bulk(reply, span_of(value, text.n));
        }
    }
    free(names);
}

/* --- SET and the rest ----------------------------------------------------------------------- */

void local_cmd_CONFIG_SET(struct client *client, const struct span *argv, uint32_t argc,
                          struct reply *reply)
{
    char error[512];
    struct node *node = client->node;
    if (!config_set_runtime(&node->config, argv + 2, argc - 2, error, sizeof error)) {
        reply_error(reply, error);
        return;
    }
    for (uint32_t i = 2; i < argc; i += 2) {
        int directive = config_find(argv[i]);
        qr_assert(directive >= 0);
        node_config_changed(node, config_target((uint32_t)directive));
    }
    reply_status(reply, "OK");
}

void local_cmd_CONFIG_RESETSTAT(struct client *client, const struct span *argv, uint32_t argc,
                                struct reply *reply)
{
    (void)argv;
    (void)argc;
    info_reset(client->node);
    reply_status(reply, "OK");
}

void local_cmd_CONFIG_REWRITE(struct client *client, const struct span *argv, uint32_t argc,
                              struct reply *reply)
{
    (void)argv;
    (void)argc;
    if (client->node->config.file[0] == 0) {
        reply_error(reply, "ERR The server is running without a config file");
    } else {
        reply_error(reply, "ERR Rewriting config file: not supported, edit the file instead");
    }
}

void local_cmd_CONFIG_HELP(struct client *client, const struct span *argv, uint32_t argc,
                           struct reply *reply)
{
    static const char *const lines[] = {
        "GET <pattern> [<pattern> ...]",
        "    The settings whose names match.",
        "SET <directive> <value> [<directive> <value> ...]",
        "    Changes settings of this node, all of them or none.",
        "RESETSTAT",
        "    Zeroes the counters of INFO.",
        "REWRITE",
        "    Answers an error: the configuration file is left to its owner.",
    };
    (void)client;
    (void)argv;
    (void)argc;
    local_help(reply, "CONFIG", lines, ARRAY_COUNT(lines));
}
