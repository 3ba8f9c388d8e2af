#include "node/placing.h"

#include "node/control_internal.h"
#include "node/peers.h"
#include "node/replica.h"
#include "protocol/quorum.h"

/* Nodes that may hold replicas: members that are no observers, stay, and know other groups. One
 * that is away counts: it comes back, or is replaced. */
static uint16_t candidates(const struct node *node)
{
    qr_slot slot;
    const struct roster *roster = replica_applied_roster(node->zero->replica, &slot);
    const struct membership *m = &roster->members;
    uint16_t set = (uint16_t)(m->voters | m->learners);
    for (node_index i = 0; i < MEMBERS_MAX; i++) {
        bool old = peers_connected(node->peers, i) &&
                   peers_wire_version(node->peers, i) < WIRE_VERSION_GROUPS;
        if (map_node(node->map, i)->draining || old) {
            set = (uint16_t)(set & ~node_bit(i));
        }
    }
    return set;
}

uint32_t placing_nodes(const struct node *node)
{
    return quorum_count(candidates(node));
}

void placing_found(const struct node *node, const struct map_keyspace *keyspace, struct edit *edit)
{
    uint16_t set = candidates(node);
    uint32_t there = quorum_count(set);
    uint32_t wanted = keyspace->replicas < there ? keyspace->replicas : there;
    for (uint32_t i = 0; i < keyspace->partitions; i++) {
        uint16_t founders = 0;
        node_index prefers = NODE_NONE;
        uint32_t skip = i % there;
        for (uint32_t n = 0; quorum_count(founders) < wanted; n++) {
            node_index index = (node_index)(n % MEMBERS_MAX);
            if ((set & node_bit(index)) == 0 || skip-- > 0) {
                skip = (set & node_bit(index)) == 0 || skip != UINT32_MAX ? skip : 0;
                continue;
            }
            skip = 0;
            prefers = prefers == NODE_NONE ? index : prefers;
            founders |= node_bit(index);
        }
        struct map_partition p =
            map_found(keyspace, i, keyspace->first_group + i, founders, prefers);
        edit_partition(edit, &p);
    }
}
