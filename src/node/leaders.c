#include "node/leaders.h"

#include "node/node.h"
#include "node/replica.h"

/* How long a hint is not followed after its node said no. */
#define DOUBT_TIME (20 * QR_MILLISECOND)

/* The own replica knows a later term than the hint, or as late a one. */
static bool is_overtaken(const struct partition *partition)
{
    return partition->replica != NULL &&
           replica_seen(partition->replica)->term > partition->hint.term;
}

node_index leaders_of(const struct partition *partition)
{
    const struct leader_hint *hint = &partition->hint;
    node_index own = partition->replica != NULL ? replica_leader(partition->replica) : NODE_NONE;
    if (own != NODE_NONE) {
        return own;
    }
    bool doubted = hint->doubted != 0 && partition->node->clock < hint->doubted;
    return hint->term == 0 || doubted || is_overtaken(partition) ? NODE_NONE : hint->leader;
}

void leaders_refuted(struct partition *partition, node_index who)
{
    if (partition->hint.leader == who) {
        partition->hint.doubted = partition->node->clock + DOUBT_TIME;
    }
}
