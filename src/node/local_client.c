/* CLIENT: what connections are called, how they look from outside, closing them. */
#include "node/local_internal.h"

#include "base/number.h"
#include "cluster/strategy.h"
#include "node/redirect.h"
#include "node/session.h"
#include "node/subscribe.h"

#include <stdio.h>
#include <string.h>

/* --- Names ---------------------------------------------------------------------------------- */

static bool is_plain(struct span s)
{
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] < '!' || s.p[i] > '~') {
            return false;
        }
    }
    return true;
}

bool local_name_allowed(const struct client *client, struct span name, struct reply *reply)
{
    if (!is_plain(name)) {
        reply_error(reply, "ERR Client names cannot contain spaces, newlines or special "
                           "characters.");
        return false;
    }
    if (name.n >= sizeof client->name) {
        reply_errorf(reply, "ERR Client names cannot be longer than %zu bytes.",
                     sizeof client->name - 1);
        return false;
    }
    return true;
}

void local_set_name(struct client *client, struct span name)
{
    memcpy(client->name, name.p, name.n);
    client->name[name.n] = 0;
}

void local_cmd_CLIENT_SETNAME(struct client *client, const struct span *argv, uint32_t argc,
                              struct reply *reply)
{
    (void)argc;
    if (local_name_allowed(client, argv[2], reply)) {
        local_set_name(client, argv[2]);
        reply_status(reply, "OK");
    }
}

void local_cmd_CLIENT_GETNAME(struct client *client, const struct span *argv, uint32_t argc,
                              struct reply *reply)
{
    (void)argv;
    (void)argc;
    if (client->name[0] == 0) {
        reply_null(reply);
    } else {
        reply_bulk_text(reply, client->name);
    }
}

void local_cmd_CLIENT_SETINFO(struct client *client, const struct span *argv, uint32_t argc,
                              struct reply *reply)
{
    (void)argc;
    int shown = (int)argv[2].n;
    bool version = word_is(argv[2], "LIB-VER");
    if (!version && !word_is(argv[2], "LIB-NAME")) {
        reply_errorf(reply, "ERR Unrecognized option '%.*s'", shown, (const char *)argv[2].p);
        return;
    }
    if (!is_plain(argv[3])) {
        reply_errorf(reply, "ERR %.*s cannot contain spaces, newlines or special characters.",
                     shown, (const char *)argv[2].p);
        return;
    }
    if (argv[3].n >= sizeof client->lib_name) {
        reply_errorf(reply, "ERR %.*s cannot be longer than %zu bytes.", shown,
                     (const char *)argv[2].p, sizeof client->lib_name - 1);
        return;
    }
    char *field = version ? client->lib_version : client->lib_name;
    memcpy(field, argv[3].p, argv[3].n);
    field[argv[3].n] = 0;
    reply_status(reply, "OK");
}

/* --- Switches ------------------------------------------------------------------------------- */

void local_cmd_CLIENT_ID(struct client *client, const struct span *argv, uint32_t argc,
                         struct reply *reply)
{
    (void)argv;
    (void)argc;
    reply_integer(reply, (int64_t)client->id);
}

void local_cmd_CLIENT_REPLY(struct client *client, const struct span *argv, uint32_t argc,
                            struct reply *reply)
{
    (void)argc;
    if (word_is(argv[2], "ON")) {
        client->reply_mode = REPLY_ON;
        reply_status(reply, "OK");
    } else if (word_is(argv[2], "OFF")) {
        client->reply_mode = REPLY_OFF;
    } else if (word_is(argv[2], "SKIP")) {
        if (client->reply_mode != REPLY_OFF) {
            client->reply_mode = REPLY_SKIP_NEXT;
        }
    } else {
        local_syntax_error(reply);
    }
}

static void set_switch(bool *field, struct span word, struct reply *reply)
{
    if (!word_is(word, "ON") && !word_is(word, "OFF")) {
        local_syntax_error(reply);
        return;
    }
    *field = word_is(word, "ON");
    reply_status(reply, "OK");
}

void local_cmd_CLIENT_NO_EVICT(struct client *client, const struct span *argv, uint32_t argc,
                               struct reply *reply)
{
    (void)argc;
    set_switch(&client->no_evict, argv[2], reply);
}

void local_cmd_CLIENT_NO_TOUCH(struct client *client, const struct span *argv, uint32_t argc,
                               struct reply *reply)
{
    (void)argc;
    set_switch(&client->no_touch, argv[2], reply);
}

/* --- Looking -------------------------------------------------------------------------------- */

#define CLIENT_LINE_BYTES ((size_t)2048)

/* One line of CLIENT LIST, with its line end. */
/* What its commands are read at and acknowledged by, where they say nothing; without blanks. */
static void describe_asked(const struct client *client, const struct map_keyspace *keyspace,
                           char level[LEVEL_BYTES], char ack[ACK_TEXT_BYTES])
{
    static const struct map_keyspace none;
    const struct asked *asked = &client->asked;
    keyspace = keyspace != NULL ? keyspace : &none;
    struct ack given = strategy_ack(keyspace);
    struct text out = text_in(level, LEVEL_BYTES);
    level_put(&out, (asked->given & ASKED_READ) != 0 ? &asked->read : &keyspace->read);
    out = text_in(ack, ACK_TEXT_BYTES);
    ack_put(&out, (asked->given & ASKED_ACK) != 0 ? &asked->ack : &given);
    for (char *p = ack; *p != 0; p++) {
        *p = *p == ' ' ? '-' : *p;
    }
}

static void client_line(struct client *client, char *out, size_t cap)
{
    if (client->listener == LISTENER_CLUSTER) {
        (void)redirect_keyspace(client); /* it may have asked nothing yet */
    }
    const struct command_spec *last = client->last_command;
    qr_time now = io_now(client->node->io);
    size_t used = client->input_n - client->input_at;
    used += client->cargo != NULL ? (size_t)client->cargo->come : 0; /* large arguments */
    /* Values that a reply refers to may be the store's too; here they are shown as the client's. */
    size_t values = client->out.parts != NULL ? reply_bytes(&client->out) - client->out_sent : 0;
    size_t queued = io_stream_memory(client->socket) + values;
    size_t memory = sizeof *client + client_memory(client) + values + client->stream.op_bytes +
                    client->stream.count * sizeof(struct pending);
    static const char *const events[] = { "", "r", "w", "rw" };
    bool reads = !client->paused && client->line == NULL && !client->closing;
    char flags[8];
    struct text letters = text_in(flags, sizeof flags);
    text_put(&letters, client->subscriptions != NULL ? "P" : "");
    text_put(&letters, client->no_evict ? "e" : "");
    text_put(&letters, client->no_touch ? "T" : "");
    text_put(&letters, letters.n == 0 ? "N" : "");
    const struct map_keyspace *keyspace = route_keyspace(client->node, &client->selected);
    char session[16], pin[PIN_SHOWN_BYTES];
    char level[LEVEL_BYTES], ack[ACK_TEXT_BYTES];
    describe_asked(client, keyspace, level, ack);
    session_pin_text(client, pin);
    session_describe(&client->stream.strands, session, sizeof session);
    unsigned db = client->selected.keyspace != 0 ? client->selected.keyspace : client->selected.db;
    int n = snprintf(
        out, cap,
        "id=%llu addr=%s laddr=%s fd=%d name=%s age=%lld idle=%lld flags=%s db=%u sub=%u psub=%u "
        "ssub=0 multi=-1 qbuf=%zu qbuf-free=%zu argv-mem=0 multi-mem=0 rbs=%zu rbp=%zu obl=%zu "
        "oll=%u omem=%zu tot-mem=%zu events=%s cmd=%s user=default redir=-1 resp=%u lib-name=%s "
        "lib-ver=%s ks=%s read=%s ack=%s pin=%s session=%s\n",
        (unsigned long long)client->id, client->peer_name, client->local_name,
        io_stream_fd(client->socket), client->name,
        (long long)((now - client->created) / QR_SECOND),
        (long long)((now - client->last_active) / QR_SECOND), flags, db, subscribe_channels(client),
        subscribe_patterns(client), used, client->input_cap - client->input_n, client->out.cap,
        client->out.cap, client->out.n, queued > 0 ? 1u : 0u, queued, memory,
        events[(reads ? 1 : 0) + (queued > 0 ? 2 : 0)], last != NULL ? last->name : "NULL",
        client->version, client->lib_name, client->lib_version,
        keyspace != NULL ? keyspace->name : "", level, ack, pin, session);
    qr_assert(n > 0 && (size_t)n < cap);
}

void local_cmd_CLIENT_INFO(struct client *client, const struct span *argv, uint32_t argc,
                           struct reply *reply)
{
    (void)argv;
    (void)argc;
    char line[CLIENT_LINE_BYTES];
    client_line(client, line, sizeof line);
    reply_verbatim(reply, span_of(line, strlen(line)));
}

enum client_type { CLIENT_NORMAL, CLIENT_OTHER };

/* Redis's types of clients; all of ours are normal. */
static bool read_type(struct span word, enum client_type *out, struct reply *reply)
{
    static const char *const others[] = { "slave", "replica", "pubsub", "master" };
    *out = CLIENT_NORMAL;
    if (word_is(word, "normal")) {
        return true;
    }
    *out = CLIENT_OTHER;
    for (size_t i = 0; i < ARRAY_COUNT(others); i++) {
        if (word_is(word, others[i])) {
            return true;
        }
    }
    reply_errorf(reply, "ERR Unknown client type '%.*s'", (int)word.n, (const char *)word.p);
    return false;
}

/* The clients are in order of id, but a list of ids may name them in any. */
static struct client *by_id(const struct node *node, uint64_t id)
{
    struct client *client = node->clients;
    while (client != NULL && client->id != id) {
        client = client->next;
    }
    return client;
}

static void add_line(struct reply *lines, struct client *client)
{
    char *line = (char *)reply_reserve(lines, CLIENT_LINE_BYTES);
    client_line(client, line, CLIENT_LINE_BYTES);
    lines->n += strlen(line);
}

static bool list_ids(const struct node *node, const struct span *ids, uint32_t count,
                     struct reply *lines, struct reply *reply)
{
    for (uint32_t i = 0; i < count; i++) {
        int64_t id;
        if (!number_from(ids[i], &id)) {
            reply_error(reply, "ERR Invalid client ID");
            return false;
        }
        struct client *client = by_id(node, (uint64_t)id);
        if (client != NULL) {
            add_line(lines, client);
        }
    }
    return true;
}

void local_cmd_CLIENT_LIST(struct client *client, const struct span *argv, uint32_t argc,
                           struct reply *reply)
{
    struct reply lines; /* used as a growing buffer */
    reply_init(&lines, 2);
    bool ok = true;
    enum client_type type = CLIENT_NORMAL;
    if (argc > 3 && word_is(argv[2], "ID")) {
        ok = !local_too_many(reply, argc - 3) &&
             list_ids(client->node, argv + 3, argc - 3, &lines, reply);
        type = CLIENT_OTHER;
    } else if (argc == 4 && word_is(argv[2], "TYPE")) {
        ok = read_type(argv[3], &type, reply);
    } else if (argc != 2) {
        local_syntax_error(reply);
        ok = false;
    }
    if (ok && type == CLIENT_NORMAL) {
        for (struct client *c = client->node->clients; c != NULL; c = c->next) {
            if (!c->closing) {
                add_line(&lines, c);
            }
        }
    }
    if (ok) {
        reply_verbatim(reply, span_of(lines.p, lines.n));
    }
    reply_free(&lines);
}

void local_cmd_CLIENT_HELP(struct client *client, const struct span *argv, uint32_t argc,
                           struct reply *reply)
{
    static const char *const lines[] = {
        "GETNAME",
        "    The name of this connection.",
        "ID",
        "    The id of this connection.",
        "INFO",
        "    This connection as one line of CLIENT LIST.",
        "KILL <ip:port>",
        "    Closes the connection from there.",
        "KILL <option> <value> [<option> <value> [...]]",
        "    Closes the connections that all options fit: ID <id>, ADDR <ip:port>,",
        "    LADDR <ip:port>, TYPE <type>, USER <name>, SKIPME yes|no (yes: spare this one).",
        "LIST [TYPE <type> | ID <id> [<id> ...]]",
        "    One line per connection to this node.",
        "NO-EVICT ON|OFF",
        "    Whether this connection is spared when memory runs short.",
        "NO-TOUCH ON|OFF",
        "    Whether commands of this connection leave the age of keys alone.",
        "REPLY ON|OFF|SKIP",
        "    Whether commands of this connection are answered.",
        "SETINFO LIB-NAME|LIB-VER <value>",
        "    The client library of this connection and its version.",
        "SETNAME <name>",
        "    Names this connection.",
    };
    (void)client;
    (void)argv;
    (void)argc;
    local_help(reply, "CLIENT", lines, ARRAY_COUNT(lines));
}

/* --- Closing -------------------------------------------------------------------------------- */

struct kill_filter {
    uint64_t id; /* 0: any */
    struct span address, local_address;
    bool by_address, by_local_address;
    bool nobody; /* a type that no client has */
    bool skip_me;
};

/* One option and its value. False when it was refused. */
static bool kill_option(struct kill_filter *filter, struct span option, struct span value,
                        struct reply *reply)
{
    enum client_type type;
    if (word_is(option, "ID")) {
        if (!local_id(value, &filter->id)) {
            reply_error(reply, "ERR client-id should be greater than 0");
            return false;
        }
    } else if (word_is(option, "TYPE")) {
        if (!read_type(value, &type, reply)) {
            return false;
        }
        filter->nobody = filter->nobody || type != CLIENT_NORMAL;
    } else if (word_is(option, "ADDR")) {
        filter->address = value;
        filter->by_address = true;
    } else if (word_is(option, "LADDR")) {
        filter->local_address = value;
        filter->by_local_address = true;
    } else if (word_is(option, "USER")) {
        if (value.n != 7 || memcmp(value.p, "default", 7) != 0) {
            reply_errorf(reply, "ERR No such user '%.*s'", (int)value.n, (const char *)value.p);
            return false;
        }
    } else if (word_is(option, "SKIPME") && word_is(value, "yes")) {
        filter->skip_me = true;
    } else if (word_is(option, "SKIPME") && word_is(value, "no")) {
        filter->skip_me = false;
    } else {
        local_syntax_error(reply);
        return false;
    }
    return true;
}

static bool same_text(struct span s, const char *text)
{
    return s.n == strlen(text) && memcmp(s.p, text, s.n) == 0;
}

static bool fits(const struct kill_filter *filter, const struct client *c, const struct client *me)
{
    return !filter->nobody && !(filter->skip_me && c == me) &&
           (filter->id == 0 || filter->id == c->id) &&
           (!filter->by_address || same_text(filter->address, c->peer_name)) &&
           (!filter->by_local_address || same_text(filter->local_address, c->local_name));
}

static int64_t kill_matching(struct client *me, const struct kill_filter *filter)
{
    int64_t killed = 0;
    struct client *next;
    for (struct client *c = me->node->clients; c != NULL; c = next) {
        next = c->next;
        if (!fits(filter, c, me) || (c != me && c->closing)) {
            continue;
        }
        killed++;
        if (c == me) {
            client_close_gently(c); /* it shall still hear how many */
        } else {
            client_kill(c);
        }
    }
    return killed;
}

void local_cmd_CLIENT_KILL(struct client *client, const struct span *argv, uint32_t argc,
                           struct reply *reply)
{
    struct kill_filter filter = { .skip_me = true };
    if (argc == 3) { /* the old form */
        filter.address = argv[2];
        filter.by_address = true;
        filter.skip_me = false;
        if (kill_matching(client, &filter) == 0) {
            reply_error(reply, "ERR No such client");
        } else {
            reply_status(reply, "OK");
        }
        return;
    }
    for (uint32_t i = 2; i < argc; i += 2) {
        if (i + 1 == argc) {
            local_syntax_error(reply);
            return;
        }
        if (!kill_option(&filter, argv[i], argv[i + 1], reply)) {
            return;
        }
    }
    reply_integer(reply, kill_matching(client, &filter));
}
