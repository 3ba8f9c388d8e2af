/* SESSION: what this connection knows, to be seen, carried on, and taken over (session.h). They
 * come when everything before them on the connection has its answer (client_commands.c). */
#include "node/local_internal.h"

#include "cluster/pin.h"
#include "node/session.h"

#include <inttypes.h>
#include <stdio.h>

#include <string.h>

void local_cmd_SESSION_TOKEN(struct client *client, const struct span *argv, uint32_t argc,
                             struct reply *reply)
{
    struct token token;
    char text[TOKEN_TEXT_MAX];
    (void)argv;
    (void)argc;
    session_sum(&client->stream.strands, &token);
    reply_bulk(reply, span_of(text, session_write(client->node, &token, text)));
}

void local_cmd_SESSION_USE(struct client *client, const struct span *argv, uint32_t argc,
                           struct reply *reply)
{
    struct token token;
    (void)argc;
    enum token_status status = session_read(client->node, argv[2], &token);
    if (status != TOKEN_OK) {
        reply_errorf(reply, "%s, nothing was changed", token_refusal(status));
        return;
    }
    session_use(&client->stream.strands, client->node->map, &token);
    reply_status(reply, "OK");
}

void local_cmd_SESSION_RESET(struct client *client, const struct span *argv, uint32_t argc,
                             struct reply *reply)
{
    (void)argv;
    (void)argc;
    session_forget(&client->stream.strands);
    client->pin = 0;
    reply_status(reply, "OK");
}

void local_cmd_SESSION_PIN(struct client *client, const struct span *argv, uint32_t argc,
                           struct reply *reply)
{
    (void)argc;
    if (argv[2].n == 0 || argv[2].n > PIN_TEXT_MAX) {
        reply_errorf(reply, "ERR SESSION PIN: 1 to %u bytes, nothing was changed", PIN_TEXT_MAX);
        return;
    }
    client->pin = pin_hash(argv[2]);
    reply_status(reply, "OK");
}

void local_cmd_SESSION_UNPIN(struct client *client, const struct span *argv, uint32_t argc,
                             struct reply *reply)
{
    (void)argv;
    (void)argc;
    client->pin = 0;
    reply_status(reply, "OK");
}

void session_pin_text(const struct client *client, char out[PIN_SHOWN_BYTES])
{
    out[0] = 0;
    if (client->pin != 0) {
        (void)snprintf(out, PIN_SHOWN_BYTES, "%016" PRIx64, client->pin);
    }
}

/* --- SHOW ----------------------------------------------------------------------------------- */

static void show_place(const struct node *node, const struct token_place *place,
                       struct reply *reply)
{
    const struct map_partition *partition = map_partition(node->map, place->group);
    const struct map_keyspace *keyspace =
        partition != NULL ? map_keyspace(node->map, partition->keyspace) : NULL;
    reply_map(reply, 5);
    reply_bulk_text(reply, "keyspace");
    if (keyspace != NULL) {
        reply_bulk_text(reply, keyspace->name);
    } else {
        reply_null(reply); /* it was dropped, or this node does not know it yet */
    }
    reply_bulk_text(reply, "partition");
    if (partition != NULL) {
        reply_integer(reply, partition->index);
    } else {
        reply_null(reply);
    }
    reply_field_integer(reply, "group", place->group);
    reply_field_integer(reply, "slot", (int64_t)position_slot(place->slot));
    reply_field_integer(reply, "losses", position_losses(place->slot));
}

void local_cmd_SESSION_SHOW(struct client *client, const struct span *argv, uint32_t argc,
                            struct reply *reply)
{
    struct token token;
    char pin[PIN_SHOWN_BYTES];
    (void)argv;
    (void)argc;
    session_sum(&client->stream.strands, &token);
    session_pin_text(client, pin);
    reply_map(reply, 3);
    reply_field_text(reply, "pin", pin);
    reply_field_text(reply, "open", token.open ? "yes" : "no");
    reply_bulk_text(reply, "positions");
    reply_array(reply, token.count);
    for (uint32_t i = 0; i < token.count; i++) {
        show_place(client->node, &token.places[i], reply);
    }
}

void local_cmd_SESSION_HELP(struct client *client, const struct span *argv, uint32_t argc,
                            struct reply *reply)
{
    static const char *const lines[] = {
        "PIN <string>", "    One replica answers its reads, by a hash of the string.",
        "RESET",       "    Forgets what this connection has seen and written, and the pin.",
        "SHOW",        "    What this connection has seen and written: a position by partition.",
        "TOKEN",       "    The same as a piece of text, for USE and for WITH 2 SESSION <token>.",
        "UNPIN", "    Any replica answers its reads again.",
        "USE <token>", "    Takes over what another connection has seen and written.",
    };
    (void)client;
    (void)argv;
    (void)argc;
    local_help(reply, "SESSION", lines, ARRAY_COUNT(lines));
}
