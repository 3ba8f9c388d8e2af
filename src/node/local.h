/* What a node answers without its replica: the refusals in Redis's words (ecosystem: they are API).
 * The commands themselves are in local_*.c, found by local_handler_of (client.h). */
#ifndef NODE_LOCAL_H
#define NODE_LOCAL_H

#include "base/types.h"
#include "command/command.h"
#include "node/client.h"
#include "resp/reply.h"

/* Whether clients that came by such a port know the command (NULL: nobody does): a sentinel knows
 * few, and those about it nobody else. */
bool local_is_told(enum listener_kind kind, const struct command_spec *spec);

/* -ERR unknown command 'foo', with args beginning with: 'a' 'b' */
void local_unknown_command(struct reply *reply, const struct span *argv, uint32_t argc);
/* -ERR unknown subcommand 'x'. Try CLIENT HELP. */
void local_unknown_subcommand(struct reply *reply, const struct span *argv, uint32_t argc);
/* -ERR wrong number of arguments for 'get' command */
void local_wrong_arity(struct reply *reply, const struct span *argv, uint32_t argc);

/* What WITH asks for, and where its command begins in argv. 0: it makes no sense; then the error is
 * written, where `reply` is not NULL. */
uint32_t local_with(const struct client *client, const struct span *argv, uint32_t argc,
                    struct asked *asked, struct reply *reply);

#endif
