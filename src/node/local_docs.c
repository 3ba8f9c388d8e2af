/* COMMAND DOCS: what commands do, and their arguments as redis-cli and graphical clients want them
 * to give hints: a tree, here written straight from the notation of syntax.def.
 *
 * Redis's kinds of arguments: an upper-case word alone is a pure-token, alternatives are a oneof,
 * several arguments in a parenthesis are a block, everything else is named and typed. */
#include "node/local_internal.h"

#include "base/panic.h"
#include "command/details.h"

#include <string.h>

/* A piece of the notation: [p, end). */
struct notation {
    const char *p, *end;
};

/* One argument: a word or a group, what stands around it, and the token in front of it. */
struct argument {
    struct notation token; /* empty: none */
    struct notation inner; /* the word, or what is inside the brackets */
    bool group;
    bool optional, multiple;
};

/* --- Taking the notation apart
 * --------------------------------------------------------------------- */

/* Where the piece that starts at p ends: behind the closing bracket, or behind the word. */
static const char *skip(struct notation in)
{
    const char *p = in.p;
    uint32_t depth = 0;
    while (p < in.end && (depth > 0 || (*p != ' ' && *p != '|'))) {
        depth += *p == '[' || *p == '(';
        depth -= *p == ']' || *p == ')';
        p++;
    }
    qr_assert(depth == 0);
    return p;
}

static bool is_token(struct notation word)
{
    return word.p < word.end && *word.p >= 'A' && *word.p <= 'Z';
}

static bool is_group(struct notation piece)
{
    return piece.p < piece.end && (*piece.p == '[' || *piece.p == '(');
}

/* The next alternative of a choice; moves in->p behind it. */
static struct notation next_choice(struct notation *in)
{
    struct notation choice = { in->p, in->p };
    while (choice.end < in->end && *choice.end != '|') {
        choice.end = skip((struct notation){ choice.end, in->end });
        choice.end += choice.end < in->end && *choice.end == ' ' ? 1 : 0;
    }
    in->p = choice.end < in->end ? choice.end + 1 : choice.end;
    return choice;
}

static uint32_t count_choices(struct notation in)
{
    uint32_t n = 0;
    while (in.p < in.end) {
        (void)next_choice(&in);
        n++;
    }
    return n;
}

static struct notation next_piece(struct notation *in)
{
    struct notation piece = { in->p, skip(*in) };
    in->p = piece.end < in->end ? piece.end + 1 : piece.end;
    return piece;
}

/* The next argument of a sequence; moves in->p behind it. */
static struct argument next_argument(struct notation *in)
{
    struct argument a = { .inner = next_piece(in) };
    if (is_token(a.inner) && in->p < in->end && *in->p != '[') {
        struct notation next = { in->p, skip(*in) };
        if (!is_token(next)) {
            a.token = a.inner;
            a.inner = next_piece(in);
        }
    }
    size_t n = (size_t)(a.inner.end - a.inner.p);
    a.multiple = n > 3 && memcmp(a.inner.end - 3, "...", 3) == 0;
    a.inner.end -= a.multiple ? 3 : 0;
    a.group = is_group(a.inner);
    if (a.group) {
        a.optional = *a.inner.p == '[';
        a.inner.p++;
        a.inner.end--;
    }
    return a;
}

/* [x] is x that may be missing: the group dissolves when it holds a single argument. */
static struct argument dissolve(struct argument a)
{
    while (a.group && a.token.p == a.token.end && count_choices(a.inner) == 1) {
        struct notation rest = a.inner;
        struct argument only = next_argument(&rest);
        if (rest.p < rest.end) {
            return a; /* several: a block */
        }
        only.optional = only.optional || a.optional;
        only.multiple = only.multiple || a.multiple;
        a = only;
    }
    return a;
}

static uint32_t count_arguments(struct notation in)
{
    uint32_t n = 0;
    while (in.p < in.end) {
        (void)next_argument(&in);
        n++;
    }
    return n;
}

/* --- Writing it
 * ------------------------------------------------------------------------------------ */

/* The first word in it, in lower case: a name for a group. */
static void write_name(struct reply *reply, struct notation in)
{
    char name[64];
    struct text text = text_in(name, sizeof name);
    while (in.p < in.end && (*in.p == '[' || *in.p == '(')) {
        in.p++;
    }
    for (; in.p < in.end && strchr(" |[]().", *in.p) == NULL; in.p++) {
        char c = *in.p;
        text_char(&text, (char)(c >= 'A' && c <= 'Z' ? c + 32 : c));
    }
    reply_bulk_text(reply, name);
}

static bool ends_with(struct notation word, const char *end)
{
    size_t n = strlen(end);
    return (size_t)(word.end - word.p) >= n && memcmp(word.end - n, end, n) == 0;
}

static const char *type_of(const struct argument *a)
{
    static const char *const integers[] = {
        "seconds", "milliseconds", "count",     "cursor",   "db",          "offset",  "start",
        "end",     "increment",    "decrement", "protover", "numreplicas", "timeout", "-id",
    };
    if (a->group) {
        return count_choices(a->inner) > 1 ? "oneof" : "block";
    }
    if (is_token(a->inner)) {
        return "pure-token";
    }
    if (ends_with(a->inner, "key")) {
        return "key";
    }
    if (a->inner.end - a->inner.p > 9 && memcmp(a->inner.p, "unix-time", 9) == 0) {
        return "unix-time";
    }
    if (ends_with(a->inner, "pattern")) {
        return "pattern";
    }
    for (size_t i = 0; i < ARRAY_COUNT(integers); i++) {
        if (ends_with(a->inner, integers[i])) {
            return "integer";
        }
    }
    return "string";
}

static void write_span(struct reply *reply, struct notation word)
{
    reply_bulk(reply, span_of(word.p, (size_t)(word.end - word.p)));
}

static void write_children(struct reply *reply, const struct argument *a, uint32_t *keys);

/* `keys` counts the keys so far: each names its group (details.def has them in this order). */
static void write_argument(struct reply *reply, struct argument a, uint32_t *keys)
{
    a = dissolve(a);
    const char *type = type_of(&a);
    bool pure = strcmp(type, "pure-token") == 0;
    bool key = strcmp(type, "key") == 0;
    struct notation token = pure ? a.inner : a.token;
    bool has_token = token.p < token.end;
    bool flagged = a.optional || a.multiple;
    reply_map(reply, (size_t)2 + key + has_token + flagged + a.group);
    reply_bulk_text(reply, "name");
    write_name(reply, a.inner);
    reply_field_text(reply, "type", type);
    if (key) {
        reply_field_integer(reply, "key_spec_index", (*keys)++);
    }
    if (has_token) {
        reply_bulk_text(reply, "token");
        write_span(reply, token);
    }
    if (flagged) {
        reply_bulk_text(reply, "flags");
        reply_set(reply, (size_t)a.optional + a.multiple);
        if (a.optional) {
            reply_status(reply, "optional");
        }
        if (a.multiple) {
            reply_status(reply, "multiple");
        }
    }
    if (a.group) {
        reply_bulk_text(reply, "arguments");
        write_children(reply, &a, keys);
    }
}

static void write_sequence(struct reply *reply, struct notation in, uint32_t *keys)
{
    reply_array(reply, count_arguments(in));
    while (in.p < in.end) {
        write_argument(reply, next_argument(&in), keys);
    }
}

/* The notation nests three deep at most, and so does this. */
static void write_children(struct reply *reply, const struct argument *a, uint32_t *keys)
{
    struct notation rest = a->inner;
    if (count_choices(rest) == 1) {
        write_sequence(reply, rest, keys);
        return;
    }
    reply_array(reply, count_choices(rest));
    while (rest.p < rest.end) {
        struct argument choice = { .inner = next_choice(&rest), .group = true };
        write_argument(reply, choice, keys);
    }
}

/* --- The command
 * ----------------------------------------------------------------------------------- */

static void write_row(struct reply *reply, const struct command_spec *spec, bool more)
{
    const char *syntax = command_syntax_of(spec);
    reply_bulk_text(reply, spec->name);
    reply_map(reply, (size_t)4 + more + (syntax[0] != 0));
    reply_field_text(reply, "summary", spec->summary);
    reply_field_text(reply, "since", spec->since);
    reply_field_text(reply, "group", spec->group);
    reply_field_text(reply, "complexity", spec->complexity);
    if (syntax[0] != 0) {
        uint32_t keys = 0;
        reply_bulk_text(reply, "arguments");
        write_sequence(reply, (struct notation){ syntax, syntax + strlen(syntax) }, &keys);
    }
}

static void write_docs(struct reply *reply, const struct command_spec *spec)
{
    size_t begin, end;
    local_subcommands_of(spec, &begin, &end);
    write_row(reply, spec, begin < end);
    if (begin == end) {
        return;
    }
    reply_bulk_text(reply, "subcommands");
    reply_map(reply, end - begin);
    for (size_t i = begin; i < end; i++) {
        write_row(reply, command_at(i), false);
    }
}

static bool is_top(const struct client *client, size_t i)
{
    return command_name_words(command_at(i)) == 1 && local_is_told(client->listener, command_at(i));
}

void local_cmd_COMMAND_DOCS(struct client *client, const struct span *argv, uint32_t argc,
                            struct reply *reply)
{
    size_t known = 0;
    if (local_too_many(reply, argc - 2)) {
        return;
    }
    for (size_t i = 0; argc == 2 && i < command_count(); i++) {
        known += is_top(client, i);
    }
    for (uint32_t i = 2; i < argc; i++) {
        known += local_is_told(client->listener, command_by_name(argv[i]));
    }
    reply_map(reply, known);
    for (size_t i = 0; argc == 2 && i < command_count(); i++) {
        if (is_top(client, i)) {
            write_docs(reply, command_at(i));
        }
    }
    for (uint32_t i = 2; i < argc; i++) {
        const struct command_spec *spec = command_by_name(argv[i]);
        if (local_is_told(client->listener, spec)) {
            write_docs(reply, spec);
        }
    }
}
