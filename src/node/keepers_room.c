/* Room on disk for the next checkpoint: without one a full disk stays full of the log. */
#include "node/keepers.h"

#include "base/limits.h"
#include "node/checkpoint.h"
#include "node/keeper_internal.h"
#include "node/node.h"
#include "node/quota.h"

/* It is written beside the one that it replaces, while the log grows. It takes less on disk than
 * the state in memory does. */
static uint64_t next_bytes(const struct node *node)
{
    uint64_t behind, bytes = quota_bytes(node->zero);
    uint32_t group;
    if (log_pin(node->log, &group, &behind) && group != 0) {
        const struct partition *partition = partition_of_group(node, group);
        bool has_state = partition != NULL && partition->replica != NULL;
        bytes = max_u64(bytes, has_state ? quota_bytes(partition) : 0);
    }
    return bytes;
}

/* What has been written of it is room that it has got: else a disk on which two of them fit well
 * would be found full whenever one is written. */
static uint64_t bytes_left(const struct keeper *keeper)
{
    uint64_t bytes = quota_bytes(keeper->partition);
    return bytes - min_u64(bytes, checkpoint_bytes(keeper->writing));
}

void keepers_look_at_room(struct node *node)
{
    const struct config *config = &node->config;
    const struct keeper *writing = node->keepers.writing;
    uint64_t bytes = writing != NULL ? bytes_left(writing) : next_bytes(node);
    log_leave_free(node->log, bytes + CHECKPOINT_ROOM_BYTES);
    uint64_t soon = max_u64(config->log_reserve_bytes, 2 * config->log_segment_bytes);
    node->keepers.short_of_room = log_room(node->log) < config->log_reserve_bytes + soon;
}
