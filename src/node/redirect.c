#include "node/redirect.h"

#include "base/number.h"
#include "cluster/slots.h"
#include "command/op.h"
#include "node/client_wants.h"
#include "node/local_internal.h"
#include "node/peers.h"
#include "node/places.h"
#include "node/shards.h"

#include <stdio.h>
#include <string.h>

/* Redis's: what has a hostname for an endpoint and none to tell says "?". */
void redirect_endpoint(const struct place *place, char out[ENDPOINT_TEXT_BYTES])
{
    const char *host = place->endpoint == ENDPOINT_IP         ? place->address
                       : place->endpoint == ENDPOINT_HOSTNAME ? place->hostname
                                                              : "";
    bool unknown = place->endpoint == ENDPOINT_HOSTNAME && host[0] == 0;
    (void)snprintf(out, ENDPOINT_TEXT_BYTES, "%s:%u", unknown ? "?" : host, place->cluster_port);
}

/* The slot of all keys; SLOTS when there are none, or one is too large to look at; M1. */
static bool slot_of(const struct command_spec *spec, const struct span *argv, uint32_t argc,
                    uint32_t *slot)
{
    struct key_range keys = command_keys(spec, argc);
    *slot = SLOTS;
    for (uint32_t i = keys.first; i < keys.end; i += keys.step) {
        uint32_t one = op_is_ref(argv[i]) ? SLOTS : slot_of_key(argv[i]);
        if (i > keys.first && one != *slot) {
            return false;
        }
        *slot = one;
    }
    return true;
}

/* Commands over several databases; M4. */
static const char *refused_for_databases(const struct command_spec *spec, const struct span *argv,
                                         uint32_t argc)
{
    if (strcmp(spec->name, "move") == 0) {
        return "ERR MOVE is not allowed in cluster mode";
    }
    if (strcmp(spec->name, "swapdb") == 0) {
        return "ERR SWAPDB is not allowed in cluster mode";
    }
    for (uint32_t i = 3; strcmp(spec->name, "copy") == 0 && i + 1 < argc; i++) {
        if (word_is(argv[i], "DB")) {
            return "ERR Copying to another database is not allowed in cluster mode";
        }
    }
    return NULL;
}

uint16_t redirect_slot(struct span argument)
{
    int64_t slot;
    return number_from(argument, &slot) && slot >= 0 && slot < SLOTS ? (uint16_t)slot : 0;
}

uint32_t redirect_keyspace(struct client *client)
{
    const struct node *node = client->node;
    const char *name = node->config.cluster_keyspace;
    bool is_zero = strcmp(name, "0") == 0;
    bool had = client->selected.keyspace != 0 && route_keyspace(node, &client->selected) != NULL;
    if (is_zero || had) {
        return client->selected.keyspace;
    }
    struct reply error;
    reply_init(&error, 2);
    bool is = route_select(node, span_of(name, strlen(name)), &client->selected, &error);
    reply_free(&error);
    return is ? client->selected.keyspace : REDIRECT_NO_KEYSPACE;
}

/* Where to send the client; false: nowhere, M2. */
static bool leads_elsewhere(const struct client *client, uint16_t slot, struct place *out)
{
    const struct node *node = client->node;
    node_index leader = shards_leader(node, client->selected.keyspace, slot);
    if (leader == NODE_NONE || !local_is_heard(node, leader)) { /* nobody, this node, or gone */
        return false;
    }
    place_of(node, leader, out);
    return out->cluster_port != 0 && strcmp(out->keyspace, node->config.cluster_keyspace) == 0;
}

/* Whether the slot's leader, if there is one, has a version of the wire that has such ports. */
static bool leader_knows(const struct client *client, uint16_t slot)
{
    const struct node *node = client->node;
    node_index leader = shards_leader(node, client->selected.keyspace, slot);
    return leader == NODE_NONE || !local_is_follower(node, leader) ||
           peers_wire_version(node->peers, leader) >= WIRE_VERSION_GROUPS;
}

/* M5. The word stands there twice for redis-py 4.3: it cuts off the first, then looks for it. */
bool redirect_is_removed(const struct node *node, struct reply *reply)
{
    if (node->removed) {
        reply_error(reply,
                    "CLUSTERDOWN this node is no member of its cluster any more, the command "
                    "was not applied: ask another node, here it is CLUSTERDOWN for good");
    }
    return node->removed;
}

bool redirect(struct client *client, const struct command_spec *spec, const struct span *argv,
              uint32_t argc, struct reply *reply)
{
    uint32_t slot;
    struct place place;
    if (redirect_is_removed(client->node, reply)) {
        return true;
    }
    if (!client->apart && redirect_keyspace(client) == REDIRECT_NO_KEYSPACE) {
        reply_errorf(
            reply,
            "CLUSTERDOWN this port is for keyspace '%s', which is not there or, right after "
            "a start, not known yet, the command was not applied",
            client->node->config.cluster_keyspace);
        return true;
    }
    if (!slot_of(spec, argv, argc, &slot)) {
        reply_error(reply, "CROSSSLOT Keys in request don't hash to the same slot");
        return true;
    }
    client_settle(client, route_keyspace(client->node, &client->selected));
    bool any =
        client->readonly || level_needs_no_proof((enum read_level)client->stream.wants.level);
    bool here = slot == SLOTS || (any && spec->place == PLACE_READ);
    if (!here && leads_elsewhere(client, (uint16_t)slot, &place)) {
        char endpoint[ENDPOINT_TEXT_BYTES];
        redirect_endpoint(&place, endpoint);
        reply_errorf(reply, "MOVED %u %s", slot, endpoint);
        return true;
    }
    const char *refusal = refused_for_databases(spec, argv, argc);
    if ((spec->flags & CF_CLUSTER_ONLY) != 0 && !leader_knows(client, redirect_slot(argv[2]))) {
        refusal = "ERR the leader runs a version that does not know this command";
    }
    if (refusal != NULL) {
        reply_error(reply, refusal);
    }
    return refusal != NULL;
}
