/* What a client's command asks for beside its operation: what stands with it (WITH) comes before
 * what its connection has asked for (CONSISTENCY), and that before what its keyspace gives where
 * nothing is said. Whatever is said explicitly is never lowered by a default, nor raised. */
#ifndef NODE_CLIENT_WANTS_H
#define NODE_CLIENT_WANTS_H

#include "node/client.h"

struct map_keyspace;

/* Into the client's stream, for the command that comes next; `with` is what stands with it. */
void client_want(struct client *client, const struct asked *with);

/* The command goes to that keyspace: found by what is selected, by KS, or by the keys' prefixes.
 * What it says of reads counts when the map is current: a node that was started just now reads at
 * the strongest level rather than at one that was given up meanwhile. */
void client_settle(struct client *client, const struct map_keyspace *keyspace);

/* A read as of a position of a command without keys, which would have to walk over what was. */
bool client_wants_no_key(const struct client *client, const struct command_spec *spec);

/* It may be held until that time has passed, and as long as its client waits. */
bool client_has_patience(struct client *client, qr_time patience);

/* A write with an id that waits: the node was started just now. By the map of before it might say
 * -UPGRADE, the last word on a request that may have been carried out; or remember the id for less
 * time than the keyspace says by now, and the write would count twice. */
bool client_awaits_map(struct client *client, const struct command_spec *spec);
void client_write_no_leader(struct reply *reply, const struct span *argv, uint32_t argc);

/* Why what is wanted makes no sense with a command. */
void client_write_no_meta(struct reply *reply, const struct span *argv, uint32_t argc);
void client_write_no_keyspace(struct reply *reply, const struct span *argv, uint32_t argc);
void client_write_no_snapshot(struct reply *reply, const struct span *argv, uint32_t argc);

#endif
