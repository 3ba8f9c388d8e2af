/* MEMBER DRAIN, and what else stands in the control state about a node: its zone.
 *
 *   MEMBER DRAIN id [CANCEL]
 *   MEMBER SET id ZONE name
 *
 * A node that drains gets nothing new, and what it holds of keyspaces moves to others, a few
 * partitions at a time (planner.h); REBALANCE STATUS shows how far that is. Then it can be removed.
 */
#include "node/order_member.h"

#include "node/control_internal.h"
#include "node/local_internal.h"
#include "node/placing.h"
#include "node/replica.h"
#include "node/run.h"
#include "protocol/quorum.h"

#include <stdio.h>
#include <string.h>

/* The member whose id that is; NODE_NONE when it was refused. */
static node_index member_with(struct node *node, struct pending *p, struct span text)
{
    qr_slot slot;
    uint64_t id;
    const struct roster *roster = replica_applied_roster(node->zero->replica, &slot);
    if (!local_id(text, &id) || id > UINT16_MAX) {
        orders_refuse(p, "ERR a node id is a number from 1 to 65535");
        return NODE_NONE;
    }
    node_index i = roster_find(roster, (uint32_t)id);
    if (i == NODE_NONE) {
        orders_refuse(p, "ERR there is no member with that id, nothing was changed");
    }
    return i;
}

/* What is said of the node, or what would be when nothing was said yet. */
static struct map_node record_of(const struct node *node, node_index i)
{
    qr_slot slot;
    uint32_t id = replica_applied_roster(node->zero->replica, &slot)->node[i].id;
    struct map_node now = *map_node(node->map, i);
    if (now.id != id) {
        now = (struct map_node){ .id = id };
    }
    return now;
}

static bool level_is_too_low(struct node *node, struct pending *p)
{
    bool low = control_level(node) < MAP_LEVEL_KEYSPACES;
    if (low) {
        orders_refuse(
            p,
            "UPGRADE that needs level %u of the cluster, and level %u is active: when all nodes "
            "run this version, CLUSTER UPGRADE FINALIZE raises it; nothing was changed",
            MAP_LEVEL_KEYSPACES, control_level(node));
    }
    return low;
}

/* A keyspace whose replicas, as many as it is to have, would have no room without the node; NULL:
 * there is none. */
static const struct map_keyspace *left_without_room(const struct node *node, node_index i,
                                                    uint32_t *left)
{
    struct place_nodes nodes = placing_nodes(node);
    uint16_t usable = (uint16_t)(nodes.live & ~nodes.gone & ~node_bit(i));
    for (node_index n = 0; n < MEMBERS_MAX; n++) {
        usable = (uint16_t)(map_node(node->map, n)->draining ? usable & ~node_bit(n) : usable);
    }
    *left = quorum_count(usable);
    for (const struct map_partition *p = map_partition_after(node->map, 0); p != NULL;
         p = map_partition_after(node->map, p->group)) {
        const struct map_keyspace *k = map_keyspace(node->map, p->keyspace);
        uint64_t stay = k != NULL ? min_u64(quorum_count(p->wish), k->replicas) : 0;
        if ((p->wish & node_bit(i)) != 0 && stay > *left) {
            return k;
        }
    }
    return NULL;
}

void order_cmd_MEMBER_DRAIN(struct node *node, struct pending *p, const struct span *argv,
                            uint32_t argc)
{
    bool back = argc == 2 && word_is(argv[1], "CANCEL");
    uint32_t left;
    if (argc > 1 && !back) {
        orders_refuse(p, "ERR syntax error: it is MEMBER DRAIN id [CANCEL], nothing was changed");
        return;
    }
    if (!control_begins(node, p) || level_is_too_low(node, p)) {
        return;
    }
    node_index i = member_with(node, p, argv[0]);
    if (i == NODE_NONE) {
        return;
    }
    struct map_node now = record_of(node, i);
    const struct map_keyspace *k = back ? NULL : left_without_room(node, i, &left);
    if (k != NULL) {
        orders_refuse(
            p,
            "UNSAFE without node %u there are %u nodes for keyspace '%s', which has %u replicas: "
            "add a node first, or KEYSPACE ALTER it to fewer replicas, nothing was changed",
            now.id, left, k->name, k->replicas);
        return;
    }
    struct edit edit = { 0 };
    now.draining = !back;
    edit_node(&edit, i, &now);
    node_log(node, NODE_LOG_NOTICE, "MEMBER DRAIN %u%s was ordered", now.id, back ? " CANCEL" : "");
    control_propose(node, p, &edit, 0);
}

void order_zone(struct node *node, struct pending *p, struct span id, struct span zone)
{
    if (!control_begins(node, p) || level_is_too_low(node, p)) {
        return;
    }
    node_index i = member_with(node, p, id);
    if (i == NODE_NONE) {
        return;
    }
    bool valid = zone.n < NODE_ZONE_BYTES;
    for (size_t k = 0; k < zone.n && valid; k++) {
        valid = zone.p[k] > ' ' && zone.p[k] < 0x7f;
    }
    if (!valid) {
        orders_refuse(p, "ERR a zone has up to 31 printable letters without blanks, nothing was "
                         "changed");
        return;
    }
    struct edit edit = { 0 };
    struct map_node now = record_of(node, i);
    memset(now.zone, 0, sizeof now.zone);
    memcpy(now.zone, zone.p, zone.n);
    edit_node(&edit, i, &now);
    node_log(node, NODE_LOG_NOTICE, "MEMBER SET %u ZONE was ordered", now.id);
    control_propose(node, p, &edit, CONTROL_RULES);
}

bool order_holds_replicas(struct node *node, struct pending *p, node_index i)
{
    qr_slot slot;
    uint32_t held = place_held(node->map, i);
    if (held > 0) {
        uint32_t id = replica_applied_roster(node->zero->replica, &slot)->node[i].id;
        orders_refuse(
            p,
            "UNSAFE node %u holds replicas of %u partitions: MEMBER DRAIN %u moves them to other "
            "nodes, REBALANCE STATUS shows how far that is; FORCE removes it all the same, "
            "nothing was changed",
            id, held, id);
    }
    return held > 0;
}
