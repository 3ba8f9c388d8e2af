/* SENTINEL: who leads, as clients of Redis Sentinel ask for it (sentinel.h). */
#include "node/local_internal.h"

#include "base/number.h"
#include "node/peers.h"
#include "node/places.h"
#include "node/sentinel.h"
#include "node/shards.h"
#include "protocol/quorum.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static bool is_known(const struct client *client, struct span name, struct sentinel_view *view,
                     struct reply *reply)
{
    if (sentinel_named(client->node, name, view)) {
        return true;
    }
    reply_error(reply, "ERR No such master with that name");
    return false;
}

static uint32_t me(const struct node *node)
{
    return node_bit((node_index)identity_me(&node->identity));
}

/* All values are texts. */
static void field_number(struct reply *reply, const char *name, int64_t value)
{
    char text[24];
    (void)snprintf(text, sizeof text, "%" PRId64, value);
    reply_field_text(reply, name, text);
}

/* Name, address and flags, and how the connection is: what all kinds begin with; 11 fields. */
static void write_instance(const struct node *node, node_index i, const char *name,
                           const char *flags, bool up, unsigned port, struct reply *reply)
{
    struct place place;
    char id[41];
    place_of(node, i, &place);
    (void)place_id_of(node, i, id);
    qr_time away = up || node->peers == NULL ? 0 : io_now(node->io) - peers_lost_at(node->peers, i);
    reply_field_text(reply, "name", name);
    reply_field_text(reply, "ip", place.plain_address);
    field_number(reply, "port", port);
    reply_field_text(reply, "runid", id);
    reply_field_text(reply, "flags", flags);
    reply_field_text(reply, "link-pending-commands", "0");
    reply_field_text(reply, "link-refcount", "1");
    reply_field_text(reply, "last-ping-sent", "0");
    field_number(reply, "last-ok-ping-reply", away / QR_MILLISECOND);
    field_number(reply, "last-ping-reply", away / QR_MILLISECOND);
    field_number(reply, "down-after-milliseconds", DOWN_AFTER_MS); /* a lost connection: at once */
}

/* --- Masters -------------------------------------------------------------------------------- */

static void write_master(const struct node *node, const struct sentinel_view *view,
                         struct reply *reply)
{
    struct place place;
    bool known = view->master != NODE_NONE;
    node_index i = known ? view->master : (node_index)identity_me(&node->identity);
    bool down = view->down || !known;
    place_of(node, i, &place);
    reply_map(reply, 20);
    write_instance(node, i, view->name, down ? "s_down,o_down,master" : "master", !down,
                   place.plain_port, reply);
    reply_field_text(reply, "info-refresh", "0");
    reply_field_text(reply, "role-reported", "master");
    field_number(reply, "role-reported-time", (io_now(node->io) - node->started) / QR_MILLISECOND);
    field_number(reply, "config-epoch", (int64_t)view->epoch);
    field_number(reply, "num-slaves", quorum_count(view->known & ~node_bit(i)));
    field_number(reply, "num-other-sentinels", quorum_count(view->sentinels & ~me(node)));
    field_number(reply, "quorum", view->quorum);
    reply_field_text(reply, "failover-timeout", "180000");
    reply_field_text(reply, "parallel-syncs", "1");
}

void local_cmd_SENTINEL_MASTER(struct client *client, const struct span *argv, uint32_t argc,
                               struct reply *reply)
{
    struct sentinel_view view;
    (void)argc;
    if (is_known(client, argv[2], &view, reply)) {
        write_master(client->node, &view, reply);
    }
}

void local_cmd_SENTINEL_MASTERS(struct client *client, const struct span *argv, uint32_t argc,
                                struct reply *reply)
{
    struct sentinel_view view;
    uint32_t count = 0;
    (void)argv;
    (void)argc;
    while (sentinel_at(client->node, count, &view)) {
        count++;
    }
    reply_array(reply, count);
    for (uint32_t i = 0; i < count; i++) {
        (void)sentinel_at(client->node, i, &view);
        write_master(client->node, &view, reply);
    }
}

void local_cmd_SENTINEL_GET_MASTER_ADDR_BY_NAME(struct client *client, const struct span *argv,
                                                uint32_t argc, struct reply *reply)
{
    struct sentinel_view view;
    struct place place;
    (void)argc;
    if (!sentinel_named(client->node, argv[2], &view) || view.master == NODE_NONE) {
        reply_null_array(reply);
        return;
    }
    char port[8];
    place_of(client->node, view.master, &place);
    (void)snprintf(port, sizeof port, "%u", place.plain_port);
    reply_array(reply, 2);
    reply_bulk_text(reply, place.plain_address);
    reply_bulk_text(reply, port);
}

void local_cmd_SENTINEL_IS_MASTER_DOWN_BY_ADDR(struct client *client, const struct span *argv,
                                               uint32_t argc, struct reply *reply)
{
    struct sentinel_view view;
    struct place place = { .plain_port = 0 };
    int64_t port;
    (void)argc;
    if (!number_from(argv[3], &port)) {
        reply_error(reply, "ERR value is not an integer or out of range");
        return;
    }
    if (sentinel_at(client->node, 0, &view) && view.master != NODE_NONE) {
        place_of(client->node, view.master, &place);
    }
    bool it = place.plain_port == port && argv[2].n == strlen(place.plain_address) &&
              memcmp(argv[2].p, place.plain_address, argv[2].n) == 0;
    reply_array(reply, 3);
    reply_integer(reply, it && view.down);
    reply_bulk_text(reply, "*"); /* nobody is voted for this way */
    reply_integer(reply, 0);
}

/* --- Replicas and sentinels ----------------------------------------------------------------- */

static void write_replica(const struct node *node, const struct sentinel_view *view, node_index i,
                          struct reply *reply)
{
    struct place place;
    struct place master;
    char name[96];
    bool up = (view->up & node_bit(i)) != 0;
    place_of(node, i, &place);
    place_of(node, view->master, &master);
    (void)snprintf(name, sizeof name, "%s:%u", place.plain_address, place.plain_port);
    reply_map(reply, 21);
    write_instance(node, i, name, up ? "slave" : "s_down,slave,disconnected", up, place.plain_port,
                   reply);
    reply_field_text(reply, "info-refresh", "0");
    reply_field_text(reply, "role-reported", "slave");
    field_number(reply, "role-reported-time", (io_now(node->io) - node->started) / QR_MILLISECOND);
    reply_field_text(reply, "master-link-down-time", "0");
    reply_field_text(reply, "master-link-status", up && !view->down ? "ok" : "err");
    reply_field_text(reply, "master-host", master.plain_address);
    field_number(reply, "master-port", master.plain_port);
    reply_field_text(reply, "slave-priority", "100");
    field_number(reply, "slave-repl-offset", shards_offset(node, i));
    reply_field_text(reply, "replica-announced", "1");
}

void local_cmd_SENTINEL_REPLICAS(struct client *client, const struct span *argv, uint32_t argc,
                                 struct reply *reply)
{
    struct sentinel_view view;
    (void)argc;
    if (!is_known(client, argv[2], &view, reply)) {
        return;
    }
    uint32_t set = view.master != NODE_NONE ? view.known & ~node_bit(view.master) : 0;
    reply_array(reply, quorum_count(set));
    for (uint32_t rest = set; rest != 0; rest &= rest - 1) {
        write_replica(client->node, &view, set_first(rest), reply);
    }
}

void local_cmd_SENTINEL_SLAVES(struct client *client, const struct span *argv, uint32_t argc,
                               struct reply *reply)
{
    local_cmd_SENTINEL_REPLICAS(client, argv, argc, reply);
}

static void write_sentinel(const struct node *node, const struct sentinel_view *view, node_index i,
                           struct reply *reply)
{
    struct place place;
    char id[41];
    bool up = (view->up & node_bit(i)) != 0;
    place_of(node, i, &place);
    (void)place_id_of(node, i, id);
    reply_map(reply, 14);
    write_instance(node, i, id, up ? "sentinel" : "s_down,sentinel,disconnected", up,
                   place.sentinel_port, reply);
    reply_field_text(reply, "last-hello-message", "0");
    reply_field_text(reply, "voted-leader", "?");
    reply_field_text(reply, "voted-leader-epoch", "0");
}

void local_cmd_SENTINEL_SENTINELS(struct client *client, const struct span *argv, uint32_t argc,
                                  struct reply *reply)
{
    struct sentinel_view view;
    (void)argc;
    if (!is_known(client, argv[2], &view, reply)) {
        return;
    }
    uint32_t set = view.sentinels & ~me(client->node);
    reply_array(reply, quorum_count(set));
    for (uint32_t rest = set; rest != 0; rest &= rest - 1) {
        write_sentinel(client->node, &view, set_first(rest), reply);
    }
}

/* --- The rest ------------------------------------------------------------------------------- */

void local_cmd_SENTINEL_CKQUORUM(struct client *client, const struct span *argv, uint32_t argc,
                                 struct reply *reply)
{
    struct sentinel_view view;
    char text[128];
    (void)argc;
    if (!is_known(client, argv[2], &view, reply)) {
        return;
    }
    uint32_t usable = quorum_count(view.up & view.sentinels);
    if (view.down) {
        reply_errorf(reply,
                     "NOQUORUM %u usable Sentinels. Not enough available Sentinels to reach the "
                     "specified quorum for this master. Not enough available Sentinels to reach "
                     "the majority and authorize a failover",
                     usable);
        return;
    }
    (void)snprintf(text, sizeof text,
                   "OK %u usable Sentinels. Quorum and failover authorization can be reached",
                   usable);
    reply_status(reply, text);
}

void local_cmd_SENTINEL_MYID(struct client *client, const struct span *argv, uint32_t argc,
                             struct reply *reply)
{
    local_cmd_CLUSTER_MYID(client, argv, argc, reply);
}

void local_cmd_SENTINEL_HELP(struct client *client, const struct span *argv, uint32_t argc,
                             struct reply *reply)
{
    static const char *const lines[] = {
        "CKQUORUM <master-name>",
        "    Whether enough nodes are up to elect a leader.",
        "GET-MASTER-ADDR-BY-NAME <master-name>",
        "    Address and port of the leader.",
        "IS-MASTER-DOWN-BY-ADDR <ip> <port> <current-epoch> <runid>",
        "    Whether the master at that address is down.",
        "MASTER <master-name>",
        "    What there is to know of the leader.",
        "MASTERS",
        "    The same of all names.",
        "MYID",
        "    The id of this node.",
        "REPLICAS <master-name>",
        "    The nodes that follow.",
        "SENTINELS <master-name>",
        "    The other nodes that can be asked.",
    };
    (void)client;
    (void)argv;
    (void)argc;
    local_help(reply, "SENTINEL", lines, ARRAY_COUNT(lines));
}
