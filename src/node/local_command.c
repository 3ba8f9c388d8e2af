/* COMMAND: the table of commands, told to clients. */
#include "node/local_internal.h"

#include "base/panic.h"
#include "command/details.h"
#include "engine/call.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

static bool is_subcommand(const struct command_spec *spec)
{
    return command_name_words(spec) == 2;
}

void local_subcommands_of(const struct command_spec *spec, size_t *begin, size_t *end)
{
    *begin = command_index(spec) + 1;
    *end = *begin;
    if ((spec->flags & CF_CONTAINER) == 0) {
        return;
    }
    while (*end < command_count() && is_subcommand(command_at(*end))) {
        qr_assert(strncmp(command_at(*end)->name, spec->name, spec->name_bytes) == 0);
        (*end)++;
    }
}

/* --- INFO ----------------------------------------------------------------------------------- */

static size_t count_words(const char *words)
{
    size_t n = 0;
    for (const char *p = words; *p != 0; p++) {
        n += *p != ' ' && (p == words || p[-1] == ' ');
    }
    return n;
}

/* A set of the words: simple strings, or bulks. */
static void write_words(struct reply *reply, const char *words, bool simple)
{
    reply_set(reply, count_words(words));
    while (*words != 0) {
        size_t n = strcspn(words, " ");
        char word[64];
        struct text text = text_in(word, sizeof word);
        for (size_t i = 0; i < n; i++) {
            text_char(&text, words[i]);
        }
        if (simple) {
            reply_status(reply, word);
        } else {
            reply_bulk_text(reply, word);
        }
        words += n + (words[n] == ' ' ? 1 : 0);
    }
}

static void write_flags(struct reply *reply, uint32_t flags)
{
    size_t n = 0;
    for (uint32_t bit = 0; command_flag_name(bit) != NULL; bit++) {
        n += (flags >> bit) & 1;
    }
    reply_set(reply, n);
    for (uint32_t bit = 0; command_flag_name(bit) != NULL; bit++) {
        if ((flags >> bit) & 1) {
            reply_status(reply, command_flag_name(bit));
        }
    }
}

static void write_keys(struct reply *reply, const struct command_keys *keys)
{
    reply_map(reply, keys->note[0] != 0 ? 4 : 3);
    if (keys->note[0] != 0) {
        reply_field_text(reply, "notes", keys->note);
    }
    reply_bulk_text(reply, "flags");
    write_words(reply, keys->flags, true);
    reply_bulk_text(reply, "begin_search");
    reply_map(reply, 2);
    reply_field_text(reply, "type", "index");
    reply_bulk_text(reply, "spec");
    reply_map(reply, 1);
    reply_field_integer(reply, "index", keys->first);
    reply_bulk_text(reply, "find_keys");
    reply_map(reply, 2);
    reply_field_text(reply, "type", "range");
    reply_bulk_text(reply, "spec");
    reply_map(reply, 3);
    reply_field_integer(reply, "lastkey", keys->last);
    reply_field_integer(reply, "keystep", keys->step);
    reply_field_integer(reply, "limit", 0);
}

/* All but the last element, which are the subcommands. */
static void write_row(struct reply *reply, const struct command_spec *spec)
{
    const struct command_keys *keys;
    uint32_t key_count = command_keys_of(spec, &keys);
    reply_array(reply, 10);
    reply_bulk_text(reply, spec->name);
    reply_integer(reply, spec->arity);
    write_flags(reply, spec->flags);
    reply_integer(reply, spec->first_key);
    reply_integer(reply, spec->last_key);
    reply_integer(reply, spec->key_step);
    write_words(reply, spec->acl, true);
    write_words(reply, command_tips_of(spec), false);
    reply_set(reply, key_count);
    for (uint32_t i = 0; i < key_count; i++) {
        write_keys(reply, &keys[i]);
    }
}

static void write_info(struct reply *reply, const struct command_spec *spec)
{
    size_t begin, end;
    local_subcommands_of(spec, &begin, &end);
    write_row(reply, spec);
    reply_set(reply, end - begin);
    for (size_t i = begin; i < end; i++) {
        write_row(reply, command_at(i));
        reply_set(reply, 0);
    }
}

/* Commands, not subcommands, that the client knows. */
static bool is_shown(const struct client *client, size_t i)
{
    return !is_subcommand(command_at(i)) && local_is_told(client->listener, command_at(i));
}

static size_t top_count(const struct client *client)
{
    size_t n = 0;
    for (size_t i = 0; i < command_count(); i++) {
        n += is_shown(client, i);
    }
    return n;
}

void local_cmd_COMMAND(struct client *client, const struct span *argv, uint32_t argc,
                       struct reply *reply)
{
    (void)argv;
    (void)argc;
    reply_array(reply, top_count(client));
    for (size_t i = 0; i < command_count(); i++) {
        if (is_shown(client, i)) {
            write_info(reply, command_at(i));
        }
    }
}

void local_cmd_COMMAND_INFO(struct client *client, const struct span *argv, uint32_t argc,
                            struct reply *reply)
{
    if (argc == 2) {
        local_cmd_COMMAND(client, argv, argc, reply);
        return;
    }
    if (local_too_many(reply, argc - 2)) {
        return;
    }
    reply_array(reply, argc - 2);
    for (uint32_t i = 2; i < argc; i++) {
        const struct command_spec *spec = command_by_name(argv[i]);
        if (!local_is_told(client->listener, spec)) {
            reply_null(reply);
        } else {
            write_info(reply, spec);
        }
    }
}

void local_cmd_COMMAND_COUNT(struct client *client, const struct span *argv, uint32_t argc,
                             struct reply *reply)
{
    (void)argv;
    (void)argc;
    reply_integer(reply, (int64_t)top_count(client));
}

/* --- LIST ----------------------------------------------------------------------------------- */

/* Whether the category, named without its @, is one of the space-separated words. */
static bool has_category(const char *words, struct span category)
{
    while (*words != 0) {
        size_t n = strcspn(words, " ");
        if (n == category.n + 1 &&
            strncasecmp(words + 1, (const char *)category.p, category.n) == 0) {
            return true;
        }
        words += n + (words[n] == ' ' ? 1 : 0);
    }
    return false;
}

enum list_filter { LIST_ALL, LIST_NONE, LIST_CATEGORY, LIST_PATTERN };

static bool listed(const struct client *client, const struct command_spec *spec,
                   enum list_filter filter, struct span value)
{
    if (!local_is_told(client->listener, spec)) {
        return false;
    }
    switch (filter) {
    case LIST_ALL:
        return true;
    case LIST_NONE:
        return false;
    case LIST_CATEGORY:
        return has_category(spec->acl, value);
    case LIST_PATTERN:
        return glob_match(value, span_of(spec->name, spec->name_bytes));
    }
    qr_unreachable();
}

static void write_list(const struct client *client, struct reply *reply, enum list_filter filter,
                       struct span value)
{
    size_t n = 0;
    for (size_t i = 0; i < command_count(); i++) {
        n += listed(client, command_at(i), filter, value);
    }
    reply_array(reply, n);
    for (size_t i = 0; i < command_count(); i++) {
        if (listed(client, command_at(i), filter, value)) {
            reply_bulk_text(reply, command_at(i)->name);
        }
    }
}

void local_cmd_COMMAND_LIST(struct client *client, const struct span *argv, uint32_t argc,
                            struct reply *reply)
{
    if (argc == 2) {
        write_list(client, reply, LIST_ALL, SPAN_LITERAL(""));
    } else if (argc != 5 || !word_is(argv[2], "FILTERBY")) {
        local_syntax_error(reply);
    } else if (word_is(argv[3], "MODULE")) {
        write_list(client, reply, LIST_NONE, argv[4]);
    } else if (word_is(argv[3], "ACLCAT")) {
        write_list(client, reply, LIST_CATEGORY, argv[4]);
    } else if (word_is(argv[3], "PATTERN")) {
        uint8_t *copy;
        write_list(client, reply, LIST_PATTERN, local_pattern(argv[4], &copy));
        free(copy);
    } else {
        local_syntax_error(reply);
    }
}

/* --- GETKEYS -------------------------------------------------------------------------------- */

/* What SET does to its key depends on one of its options. */
static const char *flags_of(const struct command_spec *spec, const struct command_keys *keys,
                            const struct span *argv, uint32_t argc)
{
    if (strcmp(spec->name, "set") != 0) {
        return keys->flags;
    }
    for (uint32_t i = 3; i < argc; i++) {
        if (word_is(argv[i], "GET")) {
            return "RW access update";
        }
    }
    return "OW update";
}

static void write_found_keys(struct reply *reply, const struct command_spec *spec,
                             const struct span *argv, uint32_t argc, bool with_flags)
{
    const struct command_keys *groups;
    uint32_t count = command_keys_of(spec, &groups);
    size_t total = 0;
    uint32_t begin, end;
    for (uint32_t g = 0; g < count; g++) {
        command_keys_range(&groups[g], argc, &begin, &end);
        uint32_t step = (uint32_t)groups[g].step;
        for (uint32_t i = begin; i < end; i += step) {
            total++;
        }
    }
    reply_array(reply, total);
    for (uint32_t g = 0; g < count; g++) {
        command_keys_range(&groups[g], argc, &begin, &end);
        uint32_t step = (uint32_t)groups[g].step;
        for (uint32_t i = begin; i < end; i += step) {
            if (with_flags) {
                reply_array(reply, 2);
            }
            reply_bulk(reply, argv[i]);
            if (with_flags) {
                write_words(reply, flags_of(spec, &groups[g], argv, argc), true);
            }
        }
    }
}

static void get_keys(const struct client *client, const struct span *argv, uint32_t argc,
                     struct reply *reply, bool with_flags)
{
    const struct command_spec *container;
    const struct command_keys *groups;
    struct asked asked;
    if (word_is(argv[2], "WITH")) {
        uint32_t at = local_with(client, argv + 2, argc - 2, &asked, reply);
        if (at == 0) {
            return; /* it has its error */
        }
        argv += at;
        argc -= at;
    }
    const struct command_spec *spec = command_find(argv + 2, argc - 2, &container);
    if (spec == NULL) {
        reply_error(reply, "ERR Invalid command specified");
    } else if (command_keys_of(spec, &groups) == 0) {
        reply_error(reply, "ERR The command has no key arguments");
    } else if (!command_arity_fits(spec, argc - 2)) {
        reply_error(reply, "ERR Invalid number of arguments specified for command");
    } else {
        write_found_keys(reply, spec, argv + 2, argc - 2, with_flags);
    }
}

void local_cmd_COMMAND_GETKEYS(struct client *client, const struct span *argv, uint32_t argc,
                               struct reply *reply)
{
    get_keys(client, argv, argc, reply, false);
}

void local_cmd_COMMAND_GETKEYSANDFLAGS(struct client *client, const struct span *argv,
                                       uint32_t argc, struct reply *reply)
{
    get_keys(client, argv, argc, reply, true);
}

void local_cmd_COMMAND_HELP(struct client *client, const struct span *argv, uint32_t argc,
                            struct reply *reply)
{
    static const char *const lines[] = {
        "(no subcommand)",
        "    What there is to know about every command.",
        "COUNT",
        "    How many commands there are.",
        "DOCS [<command-name> [...]]",
        "    What commands do.",
        "GETKEYS <full-command>",
        "    The keys in a command.",
        "GETKEYSANDFLAGS <full-command>",
        "    The keys in a command and what it does to them.",
        "INFO [<command-name> [...]]",
        "    What there is to know about the named commands.",
        "LIST [FILTERBY MODULE <name> | ACLCAT <category> | PATTERN <pattern>]",
        "    The names of commands.",
    };
    (void)client;
    (void)argv;
    (void)argc;
    local_help(reply, "COMMAND", lines, ARRAY_COUNT(lines));
}
