/* CLUSTER: the nodes as clients of Redis Cluster know them (shards.h says how that is meant).
 *
 * Clients of the other ports hear what a Redis without a cluster says, for some of them would
 * behave as cluster clients otherwise; what needs no cluster works there too. */
#include "node/local_internal.h"

#include "base/number.h"
#include "cluster/slots.h"
#include "node/info_internal.h"
#include "node/peers.h"
#include "node/places.h"
#include "node/redirect.h"
#include "node/shards.h"
#include "protocol/quorum.h"

#include <stdio.h>
#include <string.h>

typedef unsigned long long ull; /* what printf calls 64 bits */

static bool is_refused(const struct client *client, struct reply *reply)
{
    if (client->listener != LISTENER_CLUSTER) {
        reply_error(reply, "ERR This instance has cluster support disabled");
        return true;
    }
    return redirect_is_removed(client->node, reply); /* what it knows of the others is old */
}

static bool is_me(const struct node *node, node_index i)
{
    return i == identity_me(&node->identity);
}

/* --- Small answers -------------------------------------------------------------------------- */

void local_cmd_ASKING(struct client *client, const struct span *argv, uint32_t argc,
                      struct reply *reply)
{
    (void)argv;
    (void)argc;
    if (!is_refused(client, reply)) {
        reply_status(reply, "OK");
    }
}

void local_cmd_READONLY(struct client *client, const struct span *argv, uint32_t argc,
                        struct reply *reply)
{
    (void)argv;
    (void)argc;
    client->readonly = true;
    reply_status(reply, "OK");
}

void local_cmd_READWRITE(struct client *client, const struct span *argv, uint32_t argc,
                         struct reply *reply)
{
    (void)argv;
    (void)argc;
    client->readonly = false;
    reply_status(reply, "OK");
}

void local_cmd_CLUSTER_KEYSLOT(struct client *client, const struct span *argv, uint32_t argc,
                               struct reply *reply)
{
    (void)client;
    (void)argc;
    reply_integer(reply, slot_of_key(argv[2]));
}

void local_cmd_CLUSTER_MYID(struct client *client, const struct span *argv, uint32_t argc,
                            struct reply *reply)
{
    char id[41];
    (void)argv;
    (void)argc;
    (void)place_id_of(client->node, (node_index)identity_me(&client->node->identity), id);
    reply_bulk_text(reply, id);
}

void local_cmd_CLUSTER_HELP(struct client *client, const struct span *argv, uint32_t argc,
                            struct reply *reply)
{
    static const char *const lines[] = {
        "COUNTKEYSINSLOT <slot>",
        "    How many keys a hash slot has.",
        "COUNT-FAILURE-REPORTS <node-id>",
        "    How many nodes believe that this one is down: 0, or 1 for this node's belief.",
        "GETKEYSINSLOT <slot> <count>",
        "    Some keys of a hash slot.",
        "INFO",
        "    How the cluster is.",
        "KEYSLOT <key>",
        "    The hash slot of a key.",
        "LINKS",
        "    The connections of this node to the others.",
        "MYID",
        "    The id of this node.",
        "NODES",
        "    The nodes, a line each: <id> <ip:port@peer-port> <flags> <master> <ping-sent>",
        "    <pong-recv> <epoch> <link> <slot> ...",
        "REPLICAS <node-id>",
        "    The replicas of a master.",
        "SHARDS",
        "    The slots and nodes of each master.",
        "SLOTS",
        "    The nodes of each range of slots, the master first.",
        "UPGRADE STATUS|FINALIZE",
        "    Shows, or raises, the level that all nodes have to know.",
    };
    (void)client;
    (void)argv;
    (void)argc;
    local_help(reply, "CLUSTER", lines, ARRAY_COUNT(lines));
}

/* --- Nodes ---------------------------------------------------------------------------------- */

static void put_slots(struct reply *line, const struct shards *shards, node_index i)
{
    for (uint32_t r = 0; r < shards->count; r++) {
        const struct shard_range *range = &shards->range[r];
        char text[32];
        int n = range->first == range->last
                    ? snprintf(text, sizeof text, " %u", range->first)
                    : snprintf(text, sizeof text, " %u-%u", range->first, range->last);
        if (range->master == i) {
            reply_raw(line, span_of(text, (size_t)n));
        }
    }
}

/* One line of CLUSTER NODES, without its end. */
static void node_line(const struct node *node, const struct shards *shards, node_index i,
                      struct reply *out)
{
    char id[41];
    char master[41] = "-";
    char text[1024];
    struct place place;
    bool leads = (shards->masters & node_bit(i)) != 0;
    bool up = (shards->up & node_bit(i)) != 0;
    place_of(node, i, &place);
    (void)place_id_of(node, i, id);
    if (!leads && shards->master_of[i] != NODE_NONE) {
        (void)place_id_of(node, shards->master_of[i], master);
    }
    int n =
        snprintf(text, sizeof text, "%s %s:%u@%u%s%s %s%s%s %s 0 %lld %llu %s", id, place.address,
                 place.cluster_port, local_member(node, i)->peer_port,
                 place.hostname[0] != 0 ? "," : "", place.hostname, is_me(node, i) ? "myself," : "",
                 leads ? "master" : "slave", up ? "" : ",fail", master,
                 up && !is_me(node, i) ? (long long)(io_wall(node->io) / QR_MILLISECOND) : 0LL,
                 (ull)shards->epoch_of[i], up ? "connected" : "disconnected");
    qr_assert(n > 0 && (size_t)n < sizeof text);
    reply_raw(out, span_of(text, (size_t)n));
    put_slots(out, shards, i);
}

void local_cmd_CLUSTER_NODES(struct client *client, const struct span *argv, uint32_t argc,
                             struct reply *reply)
{
    struct shards shards;
    struct reply out; /* used as a growing buffer */
    (void)argv;
    (void)argc;
    if (is_refused(client, reply)) {
        return;
    }
    shards_look(client->node, redirect_keyspace(client), &shards);
    reply_init(&out, 2);
    for (uint32_t rest = shards.shown; rest != 0; rest &= rest - 1) {
        node_line(client->node, &shards, set_first(rest), &out);
        reply_raw(&out, SPAN_LITERAL("\n"));
    }
    reply_verbatim(reply, span_of(out.p, out.n));
    reply_free(&out);
    shards_free(&shards);
}

/* NODE_NONE, and the error: nobody has that id. */
static node_index node_with_id(const struct node *node, const struct shards *shards,
                               struct span wanted, struct reply *reply)
{
    for (uint32_t rest = shards->shown; rest != 0; rest &= rest - 1) {
        char id[41];
        (void)place_id_of(node, set_first(rest), id);
        if (wanted.n == 40 && memcmp(wanted.p, id, 40) == 0) {
            return set_first(rest);
        }
    }
    reply_errorf(reply, "ERR Unknown node %.*s", (int)min_u64(wanted.n, 64),
                 (const char *)wanted.p);
    return NODE_NONE;
}

static void write_replicas(const struct node *node, const struct shards *shards, node_index master,
                           struct reply *reply)
{
    size_t count = 0;
    for (node_index i = 0; i < MEMBERS_MAX; i++) {
        count += shards->master_of[i] == master;
    }
    reply_array(reply, count);
    for (node_index i = 0; i < MEMBERS_MAX; i++) {
        if (shards->master_of[i] == master) {
            struct reply line; /* used as a growing buffer */
            reply_init(&line, 2);
            node_line(node, shards, i, &line);
            reply_bulk(reply, span_of(line.p, line.n));
            reply_free(&line);
        }
    }
}

void local_cmd_CLUSTER_REPLICAS(struct client *client, const struct span *argv, uint32_t argc,
                                struct reply *reply)
{
    struct shards shards;
    (void)argc;
    if (is_refused(client, reply)) {
        return;
    }
    shards_look(client->node, redirect_keyspace(client), &shards);
    node_index master = node_with_id(client->node, &shards, argv[2], reply);
    if (master != NODE_NONE && (shards.masters & node_bit(master)) == 0) {
        reply_error(reply, "ERR The specified node is not a master");
    } else if (master != NODE_NONE) {
        write_replicas(client->node, &shards, master, reply);
    }
    shards_free(&shards);
}

void local_cmd_CLUSTER_SLAVES(struct client *client, const struct span *argv, uint32_t argc,
                              struct reply *reply)
{
    local_cmd_CLUSTER_REPLICAS(client, argv, argc, reply);
}

void local_cmd_CLUSTER_COUNT_FAILURE_REPORTS(struct client *client, const struct span *argv,
                                             uint32_t argc, struct reply *reply)
{
    struct shards shards;
    (void)argc;
    if (is_refused(client, reply)) {
        return;
    }
    shards_look(client->node, redirect_keyspace(client), &shards);
    node_index i = node_with_id(client->node, &shards, argv[2], reply);
    if (i != NODE_NONE) {
        reply_integer(reply, (shards.up & node_bit(i)) == 0);
    }
    shards_free(&shards);
}

void local_cmd_CLUSTER_LINKS(struct client *client, const struct span *argv, uint32_t argc,
                             struct reply *reply)
{
    const struct node *node = client->node;
    size_t count = 0;
    (void)argv;
    (void)argc;
    if (is_refused(client, reply)) {
        return;
    }
    for (uint32_t i = 0; i < MEMBERS_MAX; i++) {
        count += local_is_follower(node, i);
    }
    reply_array(reply, count);
    for (node_index i = 0; i < MEMBERS_MAX; i++) {
        if (local_is_follower(node, i)) {
            char id[41];
            int64_t queued = (int64_t)peers_queued(node->peers, i);
            (void)place_id_of(node, i, id);
            reply_map(reply, 6);
            reply_field_text(reply, "direction", "to");
            reply_field_text(reply, "node", id);
            reply_field_integer(reply, "create-time", node->started_wall / QR_MILLISECOND);
            reply_field_text(reply, "events", queued > 0 ? "rw" : "r");
            reply_field_integer(reply, "send-buffer-allocated", queued);
            reply_field_integer(reply, "send-buffer-used", queued);
        }
    }
}

/* --- Slots ---------------------------------------------------------------------------------- */

/* By what clients reach it: null where it does not say, "?" where it has no name to tell. */
static void write_endpoint(const struct place *place, struct reply *reply)
{
    if (place->endpoint == ENDPOINT_UNKNOWN) {
        reply_null(reply);
    } else if (place->endpoint == ENDPOINT_HOSTNAME) {
        reply_bulk_text(reply, place->hostname[0] != 0 ? place->hostname : "?");
    } else {
        reply_bulk_text(reply, place->address);
    }
}

/* Address, port, id, and what else there is to reach it by. */
static void write_slots_node(const struct node *node, node_index i, struct reply *reply)
{
    struct place place;
    char id[41];
    place_of(node, i, &place);
    (void)place_id_of(node, i, id);
    bool ip = place.endpoint != ENDPOINT_IP;
    bool hostname = place.endpoint != ENDPOINT_HOSTNAME && place.hostname[0] != 0;
    reply_array(reply, 4);
    write_endpoint(&place, reply);
    reply_integer(reply, place.cluster_port);
    reply_bulk_text(reply, id);
    reply_map(reply, (ip ? 1u : 0u) + (hostname ? 1u : 0u));
    if (ip) {
        reply_field_text(reply, "ip", place.address);
    }
    if (hostname) {
        reply_field_text(reply, "hostname", place.hostname);
    }
}

/* The replicas of a master that can be asked: a client would wait for the others in vain. */
static uint32_t replicas_up(const struct shards *shards, node_index master)
{
    uint32_t set = 0;
    for (uint32_t rest = shards->shown & shards->up; rest != 0; rest &= rest - 1) {
        node_index i = set_first(rest);
        set |= shards->master_of[i] == master ? node_bit(i) : 0u;
    }
    return set;
}

void local_cmd_CLUSTER_SLOTS(struct client *client, const struct span *argv, uint32_t argc,
                             struct reply *reply)
{
    struct shards shards;
    (void)argv;
    (void)argc;
    if (is_refused(client, reply)) {
        return;
    }
    shards_look(client->node, redirect_keyspace(client), &shards);
    reply_array(reply, shards.count);
    for (uint32_t r = 0; r < shards.count; r++) {
        const struct shard_range *range = &shards.range[r];
        uint32_t replicas = replicas_up(&shards, range->master);
        reply_array(reply, 3 + quorum_count(replicas));
        reply_integer(reply, range->first);
        reply_integer(reply, range->last);
        write_slots_node(client->node, range->master, reply);
        for (uint32_t rest = replicas; rest != 0; rest &= rest - 1) {
            write_slots_node(client->node, set_first(rest), reply);
        }
    }
    shards_free(&shards);
}

static const char *health(const struct node *node, const struct shards *shards, node_index i)
{
    if ((shards->up & node_bit(i)) == 0) {
        return "fail";
    }
    return is_me(node, i) && node->zero->loading ? "loading" : "online";
}

static void write_shard_node(const struct node *node, const struct shards *shards, node_index i,
                             struct reply *reply)
{
    struct place place;
    char id[41];
    bool leads = (shards->masters & node_bit(i)) != 0;
    place_of(node, i, &place);
    (void)place_id_of(node, i, id);
    reply_map(reply, place.hostname[0] != 0 ? 8 : 7);
    reply_field_text(reply, "id", id);
    reply_field_integer(reply, "port", place.cluster_port);
    reply_field_text(reply, "ip", place.address);
    reply_bulk_text(reply, "endpoint");
    write_endpoint(&place, reply);
    if (place.hostname[0] != 0) {
        reply_field_text(reply, "hostname", place.hostname);
    }
    reply_field_text(reply, "role", leads ? "master" : "replica");
    reply_field_integer(reply, "replication-offset", shards_offset(node, i));
    reply_field_text(reply, "health", health(node, shards, i));
}

static void write_shard(const struct node *node, const struct shards *shards, node_index master,
                        struct reply *reply)
{
    size_t ranges = 0;
    uint32_t nodes = 0;
    for (uint32_t r = 0; r < shards->count; r++) {
        ranges += shards->range[r].master == master;
    }
    for (node_index i = 0; i < MEMBERS_MAX; i++) {
        nodes |= shards->master_of[i] == master ? node_bit(i) : 0u;
    }
    reply_map(reply, 2);
    reply_bulk_text(reply, "slots");
    reply_array(reply, 2 * ranges);
    for (uint32_t r = 0; r < shards->count; r++) {
        if (shards->range[r].master == master) {
            reply_integer(reply, shards->range[r].first);
            reply_integer(reply, shards->range[r].last);
        }
    }
    reply_bulk_text(reply, "nodes");
    reply_array(reply, 1 + quorum_count(nodes));
    write_shard_node(node, shards, master, reply);
    for (uint32_t rest = nodes; rest != 0; rest &= rest - 1) {
        write_shard_node(node, shards, set_first(rest), reply);
    }
}

void local_cmd_CLUSTER_SHARDS(struct client *client, const struct span *argv, uint32_t argc,
                              struct reply *reply)
{
    struct shards shards;
    (void)argv;
    (void)argc;
    if (is_refused(client, reply)) {
        return;
    }
    shards_look(client->node, redirect_keyspace(client), &shards);
    reply_array(reply, quorum_count(shards.masters));
    for (uint32_t rest = shards.masters; rest != 0; rest &= rest - 1) {
        write_shard(client->node, &shards, set_first(rest), reply);
    }
    shards_free(&shards);
}

/* --- Info ----------------------------------------------------------------------------------- */

void local_cmd_CLUSTER_INFO(struct client *client, const struct span *argv, uint32_t argc,
                            struct reply *reply)
{
    const struct node *node = client->node;
    struct shards shards;
    struct reply out; /* used as a growing buffer */
    (void)argv;
    (void)argc;
    if (is_refused(client, reply)) {
        return;
    }
    shards_look(node, redirect_keyspace(client), &shards);
    reply_init(&out, 2);
    info_line(&out, "cluster_state:%s", shards.slots_served == SLOTS ? "ok" : "fail");
    info_line(&out, "cluster_slots_assigned:%u", SLOTS);
    info_line(&out, "cluster_slots_ok:%u", shards.slots_served);
    info_line(&out, "cluster_slots_pfail:0");
    info_line(&out, "cluster_slots_fail:%u", SLOTS - shards.slots_served);
    info_line(&out, "cluster_known_nodes:%u", quorum_count(shards.shown));
    info_line(&out, "cluster_size:%u", quorum_count(shards.masters));
    info_line(&out, "cluster_current_epoch:%llu", (ull)shards.epoch);
    info_line(&out, "cluster_my_epoch:%llu", (ull)shards.epoch_of[identity_me(&node->identity)]);
    info_line(&out, "cluster_stats_messages_sent:%llu", (ull)node->stats.peer_messages_sent);
    info_line(&out, "cluster_stats_messages_received:%llu",
              (ull)node->stats.peer_messages_received);
    info_line(&out, "total_cluster_links_buffer_limit_exceeded:%llu",
              (ull)node->stats.peer_messages_dropped);
    reply_verbatim(reply, span_of(out.p, out.n));
    reply_free(&out);
    shards_free(&shards);
}
