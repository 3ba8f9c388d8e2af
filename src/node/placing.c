#include "node/placing.h"

#include "base/alloc.h"
#include "node/control_internal.h"
#include "node/peers.h"
#include "node/replica.h"
#include "protocol/quorum.h"

#include <stdlib.h>

/* Members that may hold replicas: no observers, which are there to follow group 0. */
static uint16_t members(const struct node *node)
{
    qr_slot slot;
    const struct membership *m = &replica_applied_roster(node->zero->replica, &slot)->members;
    return (uint16_t)(m->voters | m->outgoing | m->learners);
}

static bool is_there(const struct node *node, node_index i)
{
    return i == replica_me(node->zero->replica) ||
           (peers_connected(node->peers, i) &&
            peers_wire_version(node->peers, i) >= WIRE_VERSION_GROUPS);
}

void placing_look(struct node *node, qr_time now)
{
    struct absences *a = &node->control->absences;
    qr_term term = replica_seen(node->zero->replica)->term;
    for (node_index i = 0; i < MEMBERS_MAX; i++) {
        if (is_there(node, i)) {
            a->since[i] = 0;
        } else if (a->since[i] == 0 || a->term != term) {
            a->since[i] = now; /* a new leader counts from its own beginning */
        }
    }
    a->term = term;
}

struct place_nodes placing_nodes(const struct node *node)
{
    const struct absences *a = &node->control->absences;
    struct place_nodes nodes = { .members = members(node) };
    qr_time after = node->config.replace_after_s * QR_SECOND;
    for (node_index i = 0; i < MEMBERS_MAX; i++) {
        uint16_t bit = (uint16_t)(nodes.members & node_bit(i));
        nodes.live |= is_there(node, i) ? bit : 0;
        bool gone = after > 0 && !is_there(node, i) && a->since[i] != 0 &&
                    node->clock - a->since[i] >= after;
        nodes.gone |= gone ? bit : 0;
    }
    return nodes;
}

void placing_found(const struct node *node, const struct map_keyspace *keyspace, struct edit *edit)
{
    struct place_nodes nodes = placing_nodes(node);
    uint32_t replicas = keyspace->replicas;
    while (replicas > 1 &&
           place_check(node->map, &nodes, replicas, keyspace->partitions) == PLACE_TOO_FEW_NODES) {
        replicas--; /* the planner adds the others when there are nodes for them */
    }
    struct placement *placed = qr_alloc(keyspace->partitions * sizeof *placed);
    place_found(node->map, &nodes, replicas, keyspace->first_group, keyspace->partitions, placed);
    for (uint32_t i = 0; i < keyspace->partitions; i++) {
        struct map_partition p =
            map_found(keyspace, i, keyspace->first_group + i, placed[i].nodes, placed[i].leads);
        edit_partition(edit, &p);
    }
    free(placed);
}
