#include "node/placing.h"

#include "base/alloc.h"
#include "cluster/strategy.h"
#include "node/contact.h"
#include "node/control_internal.h"
#include "node/peers.h"
#include "node/replica.h"
#include "protocol/quorum.h"

#include <stdlib.h>

/* Members that may hold replicas: no observers, which are there to follow group 0, and nobody who
 * is about to go: what was placed there now would be found on no member. */
static uint16_t members(const struct node *node)
{
    qr_slot slot;
    const struct membership *m = &replica_applied_roster(node->zero->replica, &slot)->members;
    const struct membership *next = &replica_roster(node->zero->replica, &slot)->members;
    return (uint16_t)((m->voters | m->outgoing | m->learners) & (next->voters | next->learners));
}

/* Away is who has no lease, or knows no other groups than 0; gone, who has had none for long. */
struct place_nodes placing_nodes(const struct node *node)
{
    struct place_nodes nodes = { .members = members(node) };
    qr_time after = node->config.replace_after_s * QR_SECOND;
    for (uint32_t rest = nodes.members; rest != 0; rest &= rest - 1) {
        node_index i = set_first(rest);
        bool me = i == replica_me(node->zero->replica);
        bool old = peers_connected(node->peers, i) &&
                   peers_wire_version(node->peers, i) < WIRE_VERSION_GROUPS;
        qr_time gone_for = me ? 0 : lease_gone_for(node, i);
        nodes.live |= gone_for == 0 && !old ? node_bit(i) : 0;
        nodes.gone |= after > 0 && gone_for >= after ? node_bit(i) : 0;
    }
    return nodes;
}

/* Who can found at once. A lease that runs on says nothing of a node that died a moment ago, and
 * after an election of none; one that has forgotten founds nothing before it is brought up, and
 * says so when it answers this leader. */
static uint16_t ready(const struct node *node)
{
    const struct outlook *zero = replica_seen(node->zero->replica);
    uint16_t ready = node_bit(replica_me(node->zero->replica));
    for (node_index i = 0; i < zero->members; i++) {
        const struct member_outlook *m = &zero->member[i];
        bool there = peers_connected(node->peers, i) && m->heard != 0 && !m->forgetful;
        ready |= there ? node_bit(i) : 0;
    }
    return ready;
}

struct place_nodes placing_ready(const struct node *node)
{
    struct place_nodes nodes = placing_nodes(node);
    nodes.live &= ready(node);
    return nodes;
}

/* A group of which a majority is not born never is: those that are ready, and no more of the others
 * than are needed. */
static struct place_nodes founders(const struct node *node, uint32_t replicas, uint32_t partitions)
{
    struct place_nodes nodes = placing_ready(node);
    uint32_t rest = placing_nodes(node).live & ~(uint32_t)nodes.live;
    while (rest != 0 && place_check(node->map, &nodes, replicas, partitions) != PLACE_OK) {
        nodes.live |= node_bit(set_first(rest));
        rest &= rest - 1;
    }
    return nodes;
}

bool placing_can_found(const struct node *node, uint32_t replicas)
{
    struct place_nodes nodes = placing_ready(node);
    return place_check_replicas(node->map, &nodes, replicas / 2 + 1) == PLACE_OK;
}

bool placing_found(const struct node *node, const struct map_keyspace *keyspace, struct edit *edit,
                   struct map_partition *refused)
{
    struct place_nodes nodes = placing_nodes(node);
    uint32_t replicas = keyspace->replicas;
    while (replicas > 1 && (!placing_can_found(node, replicas) ||
                            place_check(node->map, &nodes, replicas, keyspace->partitions) ==
                                PLACE_TOO_FEW_NODES)) {
        replicas--; /* the planner adds the others when there are nodes for them */
    }
    nodes = founders(node, replicas, keyspace->partitions);
    struct placement *placed = qr_alloc(keyspace->partitions * sizeof *placed);
    place_found(node->map, &nodes, replicas, keyspace->first_group, keyspace->partitions, keyspace,
                placed);
    bool sound = true;
    for (uint32_t i = 0; i < keyspace->partitions && sound; i++) {
        struct map_partition p =
            map_found(keyspace, i, keyspace->first_group + i, placed[i].nodes, placed[i].leads);
        edit_partition(edit, &p);
        if (strategy_has_views(keyspace)) {
            struct succession first = { .term = 0 };
            sound = strategy_first(node->map, keyspace, &p, &first);
            first.losses.counted = map_settings(node->map)->level >= MAP_LEVEL_FOLLOWERS;
            edit_succession(edit, p.group, &first);
        }
        *refused = p;
    }
    free(placed);
    return sound;
}
