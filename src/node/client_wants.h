/* What a client's command asks for beside its operation: what stands with it (WITH) comes before
 * what its connection has asked for (CONSISTENCY), and that before what its keyspace gives where
 * nothing is said. Whatever is said explicitly is never lowered by a default, nor raised. */
#ifndef NODE_CLIENT_WANTS_H
#define NODE_CLIENT_WANTS_H

#include "cluster/strategy.h"
#include "node/client.h"

/* What a keyspace says where a command does not. */
#define ASKED_OF_KEYSPACE (ASKED_READ | ASKED_ACK | ASKED_FALLBACK)

/* Into the client's stream, for the command that comes next; `with` is what stands with it. */
void client_want(struct client *client, const struct asked *with);

/* The command goes to that keyspace: found by what is selected, by KS, or by the keys' prefixes.
 * What it says of reads counts while this node knows the rules (coverage.h V5): one that was
 * started just now, or is cut off from group 0, reads at the strongest level rather than at one
 * that was given up meanwhile. */
void client_settle_by(struct client *client, const struct map_keyspace *keyspace);
static inline void client_settle(struct client *client, const struct map_keyspace *keyspace)
{
    const struct wants *wants = &client->stream.wants;
    if (keyspace != NULL &&
        (keyspace->read.level != READ_LINEARIZABLE || keyspace->ack_kind == ACK_EACH_ZONE ||
         wants->level != READ_LINEARIZABLE || wants->each_zone)) {
        client_settle_by(client, keyspace);
    } /* else it wants what that gives */
}

/* Whether what was said with the command, or by its connection, is not what the keyspace gives it
 * (A1 of cluster/asked.h): of words that were read before anybody knew where the command goes. Not
 * applied, with the error in *reply. Else its stream wants what was said of ACK. */
bool client_asks_in_vain_by(struct client *client, const struct command_spec *spec,
                            const struct map_keyspace *keyspace, struct reply *reply);
static inline bool client_may_ask_in_vain(const struct client *client,
                                          const struct map_keyspace *keyspace)
{
    return keyspace != NULL && client->by_default != ASKED_OF_KEYSPACE;
}

/* A read as of a position of a command without keys, which would have to walk over what was. */
bool client_wants_no_key(const struct client *client, const struct command_spec *spec);

/* It may be held until that time has passed, and as long as its client waits. */
bool client_has_patience(struct client *client, qr_time patience);
/* It waits no longer: its TIMEOUT has passed. */
bool client_is_late(const struct client *client);

/* A write that says nothing of ACK, once it is settled: this node does not know what the keyspace
 * asks for by now, and the map that it has asks for less than all there is. */
bool client_is_unsure_of_ack_by(struct client *client);
static inline bool client_is_unsure_of_ack(struct client *client, const struct command_spec *spec)
{
    return spec->place == PLACE_WRITE && (client->by_default & ASKED_ACK) != 0 &&
           !client->stream.wants.each_zone && client_is_unsure_of_ack_by(client);
}
/* ... and waits until it is known; false: not any longer. */
bool client_awaits_ack(struct client *client);
/* One that is too large to be held gets all there is. */
static inline void client_settle_laden(struct client *client, const struct command_spec *spec)
{
    client->stream.wants.each_zone =
        client->stream.wants.each_zone || client_is_unsure_of_ack(client, spec);
}

/* A write with an id that waits for the same. By an old map it might say -UPGRADE, the last word on
 * a request that may have been carried out; or remember the id for less time than the keyspace says
 * by now, and the write would count twice. */
bool client_awaits_map(struct client *client, const struct command_spec *spec);
/* Why a command cannot be carried out under an id; NULL: it can. */
typedef void client_refusal(struct reply *reply, const struct span *argv, uint32_t argc);
client_refusal *client_refuses_id(const struct client *client, const struct command_spec *spec);
/* Why one has waited long enough. */
client_refusal *client_refuses_ack(const struct client *client);

/* Why what is wanted makes no sense with a command. */
client_refusal client_write_no_meta, client_write_no_keyspace, client_write_no_snapshot,
    client_write_with_too_long, client_write_with_in_with, client_write_argument_too_long,
    client_write_id_of_one, client_write_too_long;
/* And what is late, in the words of whatever else is. */
void client_write_late(struct reply *reply, const struct span *argv, uint32_t argc);

#endif
