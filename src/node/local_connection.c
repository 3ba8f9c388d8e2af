/* Commands about the connection: who it is, which protocol it speaks, which database it uses.
 *
 * There is one user, `default`; without a password everybody is that user. */
#include "node/local_internal.h"

#include "base/number.h"
#include "node/replica.h"
#include "node/session.h"
#include "node/subscribe.h"

#include <string.h>

#define WRONG_PASSWORD "WRONGPASS invalid username-password pair or user is disabled."

void local_cmd_PING(struct client *client, const struct span *argv, uint32_t argc,
                    struct reply *reply)
{
    if (argc > 2) {
        local_bad_count(reply, "ping");
    } else if (client->subscriptions != NULL && client->version == 2) {
        reply_array(reply, 2);
        reply_bulk_text(reply, "pong");
        reply_bulk(reply, argc == 2 ? argv[1] : SPAN_LITERAL(""));
    } else if (argc == 2) {
        reply_bulk(reply, argv[1]);
    } else {
        reply_status(reply, "PONG");
    }
}

void local_cmd_ECHO(struct client *client, const struct span *argv, uint32_t argc,
                    struct reply *reply)
{
    (void)client;
    (void)argc;
    reply_bulk(reply, argv[1]);
}

void local_cmd_SELECT(struct client *client, const struct span *argv, uint32_t argc,
                      struct reply *reply)
{
    (void)argc;
    struct selected selected;
    if (!route_select(client->node, argv[1], &selected, reply)) {
        return;
    }
    bool is_zero = selected.keyspace == 0 && selected.db == 0;
    if (client->listener == LISTENER_CLUSTER && !is_zero) {
        reply_error(reply, "ERR SELECT is not allowed in cluster mode");
        return;
    }
    if (client->listener != LISTENER_CLUSTER) { /* where "0" is the one that the port is for */
        client->selected = selected;
    }
    reply_status(reply, "OK");
}

void local_cmd_QUIT(struct client *client, const struct span *argv, uint32_t argc,
                    struct reply *reply)
{
    (void)argv;
    (void)argc;
    reply_status(reply, "OK");
    client_close_gently(client);
}

/* --- AUTH ----------------------------------------------------------------------------------- */

/* Compares in a time that depends on the length offered only, so that an attacker cannot find a
 * password letter by letter. */
static bool same_password(const char *password, struct span offered)
{
    size_t n = strlen(password);
    volatile uint8_t difference = offered.n == n ? 0 : 1;
    for (size_t i = 0; i < offered.n; i++) {
        uint8_t expected = (uint8_t)(n > 0 ? password[i % n] : 0);
        difference = (uint8_t)(difference | (expected ^ offered.p[i]));
    }
    return difference == 0;
}

static bool has_password(const struct client *client)
{
    return client->node->config.requirepass[0] != 0;
}

/* Lets the connection in when user and password are right. */
static bool authenticate(struct client *client, struct span user, struct span password)
{
    bool known = user.n == 7 && memcmp(user.p, "default", 7) == 0;
    if (!known ||
        (has_password(client) && !same_password(client->node->config.requirepass, password))) {
        return false;
    }
    client->authenticated = true;
    client->parser.authenticated = true;
    return true;
}

void local_cmd_AUTH(struct client *client, const struct span *argv, uint32_t argc,
                    struct reply *reply)
{
    if (argc > 3) {
        local_syntax_error(reply);
        return;
    }
    if (argc == 2 && !has_password(client)) {
        reply_error(reply, "ERR AUTH <password> called without any password configured for the "
                           "default user. Are you sure your configuration is correct?");
        return;
    }
    struct span user = argc == 3 ? argv[1] : SPAN_LITERAL("default");
    if (authenticate(client, user, argv[argc - 1])) {
        reply_status(reply, "OK");
    } else {
        reply_error(reply, WRONG_PASSWORD);
    }
}

/* --- HELLO and RESET ------------------------------------------------------------------------ */

static void write_hello(struct client *client, struct reply *reply)
{
    bool sentinel = client->listener == LISTENER_SENTINEL;
    reply_map(reply, sentinel ? 6 : 7);
    reply_field_text(reply, "server", "redis");
    reply_field_text(reply, "version", REDIS_VERSION);
    reply_field_integer(reply, "proto", client->version);
    reply_field_integer(reply, "id", (int64_t)client->id);
    reply_field_text(reply, "mode", local_mode(client));
    if (!sentinel) {
        reply_field_text(reply, "role", local_is_master(client) ? "master" : "replica");
    }
    reply_bulk_text(reply, "modules");
    reply_array(reply, 0);
}

/* The options behind the version. False when one was refused. */
static bool hello_options(struct client *client, const struct span *argv, uint32_t argc,
                          struct span *name, struct reply *reply)
{
    for (uint32_t i = 2; i < argc; i++) {
        uint32_t more = argc - 1 - i;
        if (word_is(argv[i], "AUTH") && more >= 2) {
            if (!authenticate(client, argv[i + 1], argv[i + 2])) {
                reply_error(reply, WRONG_PASSWORD);
                return false;
            }
            i += 2;
        } else if (word_is(argv[i], "SETNAME") && more >= 1) {
            *name = argv[i + 1];
            if (!local_name_allowed(client, *name, reply)) {
                return false;
            }
            i++;
        } else {
            reply_errorf(reply, "ERR Syntax error in HELLO option '%.*s'", (int)argv[i].n,
                         (const char *)argv[i].p);
            return false;
        }
    }
    return true;
}

void local_cmd_HELLO(struct client *client, const struct span *argv, uint32_t argc,
                     struct reply *reply)
{
    int64_t version = client->version;
    if (argc > 1 && !number_from(argv[1], &version)) {
        reply_error(reply, "ERR Protocol version is not an integer or out of range");
        return;
    }
    if (version < 2 || version > 3) {
        reply_error(reply, "NOPROTO unsupported protocol version");
        return;
    }
    struct span name = { .p = NULL };
    if (!hello_options(client, argv, argc, &name, reply)) {
        return;
    }
    if (!client->authenticated && has_password(client)) {
        reply_error(reply,
                    "NOAUTH HELLO must be called with the client already authenticated, otherwise "
                    "the HELLO <proto> AUTH <user> <pass> option can be used to authenticate the "
                    "client and select the RESP protocol version at the same time");
        return;
    }
    if (name.p != NULL) {
        local_set_name(client, name);
    }
    client->version = (uint8_t)version;
    reply->version = (uint8_t)version;
    write_hello(client, reply);
}

void local_cmd_RESET(struct client *client, const struct span *argv, uint32_t argc,
                     struct reply *reply)
{
    (void)argv;
    (void)argc;
    if (client->listener != LISTENER_CLUSTER) {
        client->selected = (struct selected){ 0 };
    }
    client->version = 2;
    client->authenticated = !has_password(client);
    client->parser.authenticated = client->authenticated;
    client->name[0] = 0;
    client->no_evict = false;
    client->no_touch = false;
    client->readonly = false;
    client->asked = (struct asked){ 0 };
    session_forget(&client->stream.strands);
    client->pin = 0;
    subscribe_forget(client);
    client->reply_mode = REPLY_ON;
    reply->version = 2;
    reply_status(reply, "RESET");
}
