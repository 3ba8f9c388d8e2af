/* Room on disk for the next checkpoint: without one a full disk stays full of the log. */
#include "node/keepers.h"

#include "base/limits.h"
#include "node/checkpoint.h"
#include "node/keeper_internal.h"
#include "node/node.h"
#include "node/quota.h"

/* So many partitions in one look: their states lie far from each other in memory. */
#define ROOM_LOOKS 64u

/* As large as the last one, and what the state, from where it was smallest, and its log have grown
 * by since; never more than the state in memory, since on disk it takes less. */
static uint64_t next_bytes(const struct partition *partition)
{
    struct keeper *keeper = partition->keeper;
    uint64_t memory = quota_bytes(partition);
    if (keeper == NULL || keeper->bytes == 0) {
        return memory;
    }
    keeper->memory = min_u64(memory, keeper->memory);
    keeper->memory_begun = min_u64(memory, keeper->memory_begun);
    uint64_t grown = memory - keeper->memory;
    grown += log_bytes_from(partition->node->log, partition->group, keeper->slot + 1);
    return min_u64(memory, keeper->bytes + grown);
}

/* A checkpoint is written beside the one that it replaces, while the log grows. One at a time, and
 * any group's may be the one that lets the log go. */
static uint64_t largest_bytes(struct node *node)
{
    struct keepers *k = &node->keepers;
    const struct partitions *all = &node->partitions;
    for (uint32_t i = 0; i < ROOM_LOOKS && k->room_at < all->count; i++) {
        const struct partition *partition = partitions_at(all, k->room_at++);
        uint64_t bytes = partition->replica != NULL ? next_bytes(partition) : 0;
        k->largest_seen = max_u64(k->largest_seen, bytes);
    }
    if (k->room_at >= all->count) {
        k->largest = k->largest_seen;
        k->largest_seen = k->room_at = 0;
    }
    return max_u64(k->largest, k->largest_seen);
}

/* What has been written of it is room that it has got: else a disk on which two of them fit well
 * would be found full whenever one is written. */
static uint64_t bytes_left(const struct keeper *keeper)
{
    uint64_t bytes = next_bytes(keeper->partition);
    return bytes - min_u64(bytes, checkpoint_bytes(keeper->writing));
}

void keepers_look_at_room(struct node *node)
{
    const struct config *config = &node->config;
    const struct keeper *writing = node->keepers.writing;
    uint64_t bytes = writing != NULL ? bytes_left(writing) : largest_bytes(node);
    log_leave_free(node->log, bytes + CHECKPOINT_ROOM_BYTES);
    uint64_t soon = max_u64(config->log_reserve_bytes, 2 * config->log_segment_bytes);
    node->keepers.short_of_room = log_room(node->log) < config->log_reserve_bytes + soon;
}
