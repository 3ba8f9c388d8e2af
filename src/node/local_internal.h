/* What the local_*.c files share. */
#ifndef NODE_LOCAL_INTERNAL_H
#define NODE_LOCAL_INTERNAL_H

#include "base/word.h"
#include "cluster/map.h"
#include "node/local.h"
#include "node/node.h"

/* The prototypes of all handlers: local_cmd_<IDENT>, one per LOCAL row of commands.def. */
#define LOCAL(tag, ident, ...)                                                            \
    void local_cmd_##ident(struct client *client, const struct span *argv, uint32_t argc, \
                           struct reply *reply);
#include "command/commands.def"

/* A number that grows from 1, as ids do; false for anything else. */
bool local_id(struct span argument, uint64_t *out);

/* -ERR syntax error */
void local_syntax_error(struct reply *reply);

/* Whether these are more names than one command may bring: the work and the reply would be out of
 * proportion. Writes the error. */
bool local_too_many(struct reply *reply, uint32_t names);

/* A pattern for names, in lower case like them, to be freed by the caller. One that is too long
 * becomes empty: it matches nothing. */
struct span local_pattern(struct span pattern, uint8_t **copy);

/* -ERR wrong number of arguments for 'ping' command: for arities that depend on the arguments. */
void local_bad_count(struct reply *reply, const char *name);

/* The answer of a HELP subcommand: a line about the container, then per entry its usage and, set
 * in, what it does. HELP itself is added. */
void local_help(struct reply *reply, const char *container, const char *const *lines, size_t n);

/* The rows of a container's subcommands, which follow it in the table: [*begin, *end). */
void local_subcommands_of(const struct command_spec *spec, size_t *begin, size_t *end);

/* What HELLO and INFO announce: clients choose their features by it. */
#define REDIS_VERSION "7.2.4"

/* Whether a client may have this name; writes the error if not. */
bool local_name_allowed(const struct client *client, struct span name, struct reply *reply);
void local_set_name(struct client *client, struct span name);

/* What kind of server its port makes a client believe in: standalone, cluster, sentinel. */
const char *local_mode(const struct client *client);

/* --- The node as its replica sees it */

/* False, and an outlook without a leader, while the node is still starting. */
bool local_outlook(const struct node *node, struct outlook *out);
bool local_leads(const struct node *node);
/* What the client takes this node for: on cluster-port whoever leads any of its keyspace. */
bool local_is_master(struct client *client);
/* Another member that is connected. */
bool local_is_follower(const struct node *node, uint32_t index);
/* And does not hang: nothing came from it for so long. */
#define DOWN_AFTER_MS 1000
bool local_is_heard(const struct node *node, uint32_t index);
/* And was not killed a moment ago: for clients that are sent there. Costs system calls. */
bool local_is_alive(const struct node *node, uint32_t index);
/* Who has that index; id 0: nobody that this node knows. */
const struct roster_node *local_member(const struct node *node, uint32_t index);

/* --- local_keyspace.c */

/* The keyspace as users are told of it: of keyspace 0 the members and the setting read-mode say
 * what is in the records of others. */
struct map_keyspace local_keyspace(const struct node *node, const struct map_keyspace *keyspace);

/* The keyspace that the argument names; NULL: the error is written. It may be there, for all that a
 * node knows which has just started (holding.h). */
const struct map_keyspace *local_named_keyspace(const struct node *node, struct span name,
                                                struct reply *reply);

/* --- info.c */

/* Zeroes the counters that INFO shows (CONFIG RESETSTAT). */
void info_reset(struct node *node);

#endif
