/* CONSISTENCY and WITH: how fresh what a client reads is to be (cluster/asked.h). */
#include "node/local_internal.h"

#include "node/session.h"
#include "cluster/strategy.h"
#include "protocol/raft/raft.h"

#define WHY_BYTES 512

/* Where a command may go to a keyspace with a primary, what such ones give is taken too: each
 * command is looked at again when it is known where it goes (client_asks_in_vain_by). */
static bool read_asked(const struct client *client, const struct span *words, uint32_t n, bool with,
                       struct asked *out, struct text *why)
{
    struct asked_by by = { .strategy = raft_protocol.name,
                           .promise = &raft_protocol.promise,
                           .with = with };
    if (asked_read(out, words, n, &by, why)) {
        return true;
    }
    bool views = !node_knows_rules(client->node); /* there may be one by now */
    for (uint32_t i = 0; i < map_keyspace_count(client->node->map) && !views; i++) {
        views = strategy_has_views(map_keyspace_at(client->node->map, i));
    }
    if (!views) {
        return false;
    }
    struct promise either = raft_protocol.promise;
    either.acks |= ACK_BIT(ACK_LOCAL) | ACK_BIT(ACK_ANY) | ACK_BIT(ACK_ALL);
    either.ack_stages |= ACK_BIT(ACK_RECEIVED) | ACK_BIT(ACK_APPLIED);
    by.strategy = "raft or primary";
    by.promise = &either;
    *why = text_in(why->p, why->cap);
    return asked_read(out, words, n, &by, why);
}

/* What holds for the connection's commands, and who says so. */
static void show(const struct client *client, struct reply *reply)
{
    static const struct map_keyspace none;
    const struct asked *asked = &client->asked;
    const struct map_keyspace *keyspace = route_keyspace(client->node, &client->selected);
    keyspace = keyspace != NULL ? keyspace : &none;
    bool read = (asked->given & ASKED_READ) != 0, acks = (asked->given & ASKED_ACK) != 0;
    bool said = acks || (asked->given & ASKED_FALLBACK) != 0;
    bool async = said ? asked->fallback_async : keyspace->primary.fallback_async;
    struct ack given = strategy_ack(keyspace);
    char level[LEVEL_BYTES], ack[ACK_TEXT_BYTES];
    struct text words = text_in(level, sizeof level);
    level_put(&words, read ? &asked->read : &keyspace->read);
    words = text_in(ack, sizeof ack);
    ack_put(&words, acks ? &asked->ack : &given);
    reply_map(reply, 7);
    reply_field_text(reply, "read", level);
    reply_field_text(reply, "read-from", read ? "connection" : "keyspace");
    reply_field_text(reply, "ack", ack);
    reply_field_text(reply, "ack-from", acks ? "connection" : "keyspace");
    reply_field_text(reply, "fallback", async ? "async" : "fail");
    reply_field_integer(reply, "timeout", asked->timeout_ms);
    reply_field_integer(reply, "leaderwindow", asked->window_ms);
}

void local_cmd_CONSISTENCY(struct client *client, const struct span *argv, uint32_t argc,
                           struct reply *reply)
{
    char text[WHY_BYTES];
    struct text why = text_in(text, sizeof text);
    struct asked asked;
    if (argc == 2 && word_is(argv[1], "SHOW")) {
        show(client, reply);
    } else if (argc == 2 && word_is(argv[1], "RESET")) {
        client->asked = (struct asked){ 0 };
        reply_status(reply, "OK");
    } else if (read_asked(client, argv + 1, argc - 1, false, &asked, &why)) {
        asked_merge(&client->asked, &asked);
        reply_status(reply, "OK");
    } else {
        reply_error(reply, text);
    }
}

uint32_t local_with(const struct client *client, const struct span *argv, uint32_t argc,
                    struct asked *asked, struct reply *reply)
{
    char text[WHY_BYTES];
    struct text why = text_in(text, sizeof text);
    uint32_t at = with_command_at(argv, argc, &why);
    if (at > 0 && !read_asked(client, argv + 2, at - 2, true, asked, &why)) {
        at = 0;
    }
    if (at == 0 && reply != NULL) {
        reply_error(reply, text);
    }
    return at;
}

/* Only what makes no sense comes here, and what is too large: no read has an argument that long,
 * nor a write with an id. */
void local_cmd_WITH(struct client *client, const struct span *argv, uint32_t argc,
                    struct reply *reply)
{
    struct asked asked;
    struct token token;
    enum token_status status = TOKEN_OK;
    if (local_with(client, argv, argc, &asked, reply) == 0) {
        return;
    }
    if ((asked.given & ASKED_SESSION) != 0) {
        status = session_read(client->node, asked.token, &token);
    }
    if (status != TOKEN_OK) {
        reply_errorf(reply, "%s, the command was not applied", token_refusal(status));
    } else {
        reply_error(reply, WITH_TOO_LONG);
    }
}
