/* CONSISTENCY and WITH: how fresh what a client reads is to be (cluster/asked.h). */
#include "node/local_internal.h"

#include "node/session.h"
#include "protocol/raft/raft.h"

#define WHY_BYTES 512

/* What a connection or a command asks for must be given by the keyspace that is selected. */
static bool read_asked(const struct span *words, uint32_t n, bool with, struct asked *out,
                       struct text *why)
{
    struct asked_by by = { .strategy = raft_protocol.name,
                           .promise = &raft_protocol.promise,
                           .with = with,
                           .built = ASKED_BUILT };
    return asked_read(out, words, n, &by, why);
}

void local_cmd_CONSISTENCY(struct client *client, const struct span *argv, uint32_t argc,
                           struct reply *reply)
{
    char text[WHY_BYTES], level[LEVEL_BYTES];
    struct text why = text_in(text, sizeof text), words = text_in(level, sizeof level);
    struct asked asked;
    if (argc == 2 && word_is(argv[1], "SHOW")) {
        level_put(&words, &client->asked.read);
        reply_map(reply, 1);
        reply_field_text(reply, "read", level);
    } else if (argc == 2 && word_is(argv[1], "RESET")) {
        client->asked = (struct asked){ 0 };
        reply_status(reply, "OK");
    } else if (read_asked(argv + 1, argc - 1, false, &asked, &why)) {
        asked_merge(&client->asked, &asked);
        reply_status(reply, "OK");
    } else {
        reply_error(reply, text);
    }
}

uint32_t local_with(const struct span *argv, uint32_t argc, struct asked *asked,
                    struct reply *reply)
{
    char text[WHY_BYTES];
    struct text why = text_in(text, sizeof text);
    uint32_t at = with_command_at(argv, argc, &why);
    if (at > 0 && !read_asked(argv + 2, at - 2, true, asked, &why)) {
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
    if (local_with(argv, argc, &asked, reply) == 0) {
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
