/* What nodes tell group 0's leader, and it them: here only whom it comes from is looked at. */
#include "peer_world.h"

#include "base/panic.h"
#include "node/council.h"
#include "node/reports.h"
#include "node/standing.h"

bool reports_receive(struct node *node, node_index from, struct span head)
{
    (void)node;
    return from < MEMBERS_MAX && head.n >= 9;
}

void reports_connected(struct node *node, node_index peer)
{
    (void)node;
    qr_assert(peer < MEMBERS_MAX);
}

void standing_anew(struct node *node, node_index leader)
{
    (void)node;
    qr_assert(leader < MEMBERS_MAX);
}

bool standing_order(struct node *node, node_index from, struct span head)
{
    (void)node;
    return from < MEMBERS_MAX && head.n == HAND_OVER_BYTES;
}

void council_lost(struct node *node, node_index from)
{
    (void)node;
    qr_assert(from < MEMBERS_MAX);
}

bool council_receive(struct node *node, node_index from, struct span head)
{
    (void)node;
    return from < MEMBERS_MAX && head.n >= 11;
}
