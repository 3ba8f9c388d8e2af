#include "node/partition.h"

#include "base/alloc.h"

struct partition *partition_new(struct node *node, uint32_t group)
{
    struct partition *partition = qr_zalloc(sizeof *partition);
    partition->node = node;
    partition->group = group;
    return partition;
}

void partition_free(struct partition *partition)
{
    free(partition);
}
