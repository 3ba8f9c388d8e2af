/* KEYSPACE STATS and LAG: what group 0's leader has heard of the leaders of the partitions. */
#include "node/orders.h"

#include "node/control_internal.h"
#include "node/keyspace_options.h"
#include "node/lagging.h"
#include "node/local_internal.h"
#include "node/replica.h"

#include <string.h>

/* The keyspace that the argument names; NULL when p was answered. */
static const struct map_keyspace *asked_for(struct node *node, struct pending *p, struct span name)
{
    if (!replica_leads(node->zero->replica)) {
        orders_leaderless(p); /* nobody else has the figures */
        return NULL;
    }
    const struct map_keyspace *k = keyspace_find(node->map, name);
    if (k == NULL) {
        char why[160];
        struct text text = text_in(why, sizeof why);
        keyspace_unknown(&text, name);
        orders_refuse(p, "%s", why);
    }
    return k;
}

static uint32_t moving(const struct map *map, const struct map_keyspace *k)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < k->partitions; i++) {
        const struct map_partition *part = map_partition_at(map, k->id, i);
        n += part->settled < part->epoch ? 1 : 0;
    }
    return n;
}

void order_cmd_KEYSPACE_STATS(struct node *node, struct pending *p, const struct span *argv,
                              uint32_t argc)
{
    struct keyspace_use use;
    const struct map_keyspace *k = asked_for(node, p, argv[0]);
    (void)argc;
    if (k == NULL) {
        return;
    }
    reports_use(node, k->id, &use);
    struct reply *reply = stream_reply(p);
    reply_map(reply, 16);
    reply_field_integer(reply, "id", k->id);
    reply_field_text(reply, "name", k->name);
    reply_field_integer(reply, "partitions", k->partitions);
    reply_field_integer(reply, "led", use.partitions);
    reply_field_integer(reply, "moving", moving(node->map, k));
    reply_field_integer(reply, "keys", (int64_t)use.keys);
    reply_field_integer(reply, "bytes", (int64_t)use.bytes);
    reply_field_integer(reply, "most_bytes", (int64_t)use.most_bytes);
    reply_field_integer(reply, "clients", (int64_t)use.clients);
    reply_field_integer(reply, "ops_per_sec", (int64_t)use.ops);
    reply_field_integer(reply, "refused_per_sec", (int64_t)use.refused);
    reply_field_integer(reply, "maxmemory", (int64_t)k->maxmemory);
    reply_field_integer(reply, "maxops", (int64_t)k->maxops);
    bool behind = use.worst_node != NODE_NONE;
    reply_field_integer(reply, "worst_lag", (int64_t)use.worst_lag);
    reply_field_integer(reply, "worst_partition", behind ? (int64_t)use.worst_partition : -1);
    reply_field_integer(reply, "worst_node",
                        behind ? (int64_t)local_member(node, use.worst_node)->id : 0);
    stream_answered(p, STATUS_OK);
}

/* A leader of an older version does not tell the state, nor what belongs to it. */
static void write_replica(struct reply *reply, uint32_t id, const struct partition_report *r,
                          node_index i)
{
    bool told = r->state[i] != 0;
    bool known = told && r->lag_ms[i] != REPORT_UNKNOWN;
    reply_map(reply, 6);
    reply_field_integer(reply, "node", id);
    reply_field_text(reply, "role", (r->voters >> i & 1) != 0 ? "voter" : "learner");
    reply_field_text(reply, "state",
                     told ? follower_state_name((enum follower_state)(r->state[i] - 1)) : "");
    reply_field_integer(reply, "lag", (int64_t)r->lag[i]);
    reply_field_integer(reply, "lag_bytes", known ? (int64_t)r->lag_bytes[i] : -1);
    reply_field_integer(reply, "lag_ms", known ? (int64_t)r->lag_ms[i] : -1);
}

static void write_lag(struct reply *reply, const struct node *node,
                      const struct map_partition *part, const struct partition_report *r,
                      node_index leader)
{
    uint16_t members = r != NULL ? (uint16_t)(r->voters | r->others) : 0;
    uint32_t count = 0;
    for (node_index i = 0; i < MEMBERS_MAX; i++) {
        count += (members >> i & 1) != 0 && i != leader ? 1 : 0;
    }
    reply_map(reply, 4);
    reply_field_integer(reply, "partition", part->index);
    reply_field_integer(reply, "leader", r != NULL ? (int64_t)local_member(node, leader)->id : 0);
    reply_field_integer(reply, "last", r != NULL ? (int64_t)r->last : -1);
    reply_bulk_text(reply, "replicas");
    reply_array(reply, count);
    for (node_index i = 0; i < MEMBERS_MAX; i++) {
        if ((members >> i & 1) == 0 || i == leader) {
            continue;
        }
        write_replica(reply, local_member(node, i)->id, r, i);
    }
}

void order_cmd_KEYSPACE_LAG(struct node *node, struct pending *p, const struct span *argv,
                            uint32_t argc)
{
    const struct map_keyspace *k = asked_for(node, p, argv[0]);
    (void)argc;
    if (k == NULL) {
        return;
    }
    struct reply *reply = stream_reply(p);
    reply_array(reply, k->partitions);
    for (uint32_t i = 0; i < k->partitions; i++) {
        node_index leader = NODE_NONE;
        const struct map_partition *part = map_partition_at(node->map, k->id, i);
        const struct partition_report *r = reports_of_group(node, part->group, &leader);
        write_lag(reply, node, part, r, leader);
    }
    stream_answered(p, STATUS_OK);
}
