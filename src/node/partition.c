#include "node/partition.h"

#include "base/alloc.h"
#include "node/node.h"

struct partition *partition_new(struct node *node, uint32_t group)
{
    struct partition *partition = qr_zalloc(sizeof *partition);
    partition->node = node;
    partition->group = group;
    leaders_adopt(partition);
    return partition;
}

struct partition *partition_of_group(const struct node *node, uint32_t group)
{
    return group == 0 ? node->zero : NULL;
}

void partition_free(struct partition *partition)
{
    free(partition->track.relays);
    free(partition);
}
