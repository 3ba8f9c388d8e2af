#include "node/keepers.h"

#include "base/limits.h"
#include "node/checkpoint_place.h"
#include "node/keeper.h"
#include "node/keeper_internal.h"
#include "node/node.h"
#include "node/replica.h"
#include "node/run.h"
#include "node/snapshot_source.h"
#include "node/transfers.h"

#include <inttypes.h>

/* Looks at pins in one turn: each may let another come to the top. */
#define PINS_PER_TURN 16u
/* Looks at how many terms a log holds; 16,384 groups take half a minute. */
#define TERMS_PER_LOOK 64u
#define TERMS_INTERVAL (100 * QR_MILLISECOND)

/* --- The start -------------------------------------------------------------------------------- */

/* The files of the others are of groups that have left, or whose first replica a crash ended. */
static bool is_known(void *context, uint32_t group)
{
    struct node *node = context;
    struct log_group state;
    return log_group_state(node->log, group, &state);
}

static bool is_gone_on_with(void *context, uint32_t group)
{
    struct node *node = context;
    if (transfers_keep(node, group)) {
        return true;
    }
    node_log(node, NODE_LOG_NOTICE,
             "What was received of a snapshot of group %" PRIu32
             " is removed: no more than %u of them are gone on with",
             group, (unsigned)FETCHES_MAX);
    return false;
}

int keepers_clean(struct node *node)
{
    struct checkpoint_keeping keeping = { .is_known = is_known,
                                          .is_gone_on_with = is_gone_on_with,
                                          .context = node };
    return checkpoint_clean(node->io, node->config.dir, &keeping);
}

/* --- Carrying -------------------------------------------------------------------------------- */

/* While the entries are in the cache still; and so little of each group that all of them together
 * are a small part of the log that is written meanwhile. */
static void carry(struct node *node)
{
    struct keepers *k = &node->keepers;
    uint64_t position = log_position(node->log);
    uint32_t groups = log_group_count(node->log);
    if (groups < 2 || position - k->carried_at < CARRY_STEP_BYTES ||
        node->space == LOG_SPACE_NONE) {
        return;
    }
    uint64_t behind = min_u64(LOG_CACHE_BYTES_MAX, node->config.checkpoint_bytes) / 2;
    struct log_carrying carrying = {
        .before = position > behind ? position - behind : 0,
        .group_bytes = min_u64(behind / CARRY_PART / groups, CARRY_GROUP_BYTES_MAX),
        .bytes = CARRY_TURN_BYTES,
    };
    uint64_t n = log_carry(node->log, &carrying);
    node->measure->carried_bytes += n;
    if (n < CARRY_TURN_BYTES) {
        k->carried_at = log_position(node->log);
    } else {
        node_stay(node);
    }
}

/* --- Checkpoints ----------------------------------------------------------------------------- */

/* A replica whose checkpoint waits for its disk goes on when it is not to be taken any more. */
static void hold(struct node *node, struct keeper *keeper)
{
    struct keepers *k = &node->keepers;
    if (k->holding != NULL && k->holding != keeper) {
        replica_apply_durable_only(k->holding->partition->replica, false);
    }
    k->holding = keeper;
}

/* The keeper of a group that could have a checkpoint; NULL: it cannot. */
static struct keeper *keeper_of(struct partition *partition)
{
    if (partition == NULL || partition->replica == NULL || partition->loading) {
        return NULL;
    }
    if (partition->keeper == NULL) {
        partition->keeper = keeper_new(partition);
    }
    return partition->keeper;
}

/* What its log has grown by. What a checkpoint holds already and a slow member still needs is let
 * go by no other one. */
static uint64_t grown_of(const struct keeper *keeper, uint64_t kept)
{
    const struct partition *partition = keeper->partition;
    uint64_t since = log_bytes_from(partition->node->log, partition->group, keeper->slot + 1);
    return since > 0 ? since : kept;
}

/* The groups that keep the log longest, as long as telling their protocols lets some of it go. */
static void look_at_pins(struct node *node, qr_time now)
{
    uint32_t group, before = 0;
    uint64_t bytes;
    for (uint32_t i = 0; i < PINS_PER_TURN && log_pin(node->log, &group, &bytes); i++) {
        struct keeper *keeper = group != 0 ? keeper_of(partition_of_group(node, group)) : NULL;
        if (keeper == NULL || group == before) {
            return;
        }
        keeper_remind(keeper, now);
        if (keeper_consider(keeper, now, grown_of(keeper, bytes))) {
            hold(node, keeper);
            return;
        }
        before = group;
    }
}

/* Groups of which a member waits for a newer checkpoint. */
static bool look_at_wanted(struct node *node, qr_time now)
{
    const struct transfers *t = &node->transfers;
    for (uint32_t i = 0; i < t->count; i++) {
        struct partition *partition = t->v[(t->first + i) % t->count];
        struct keeper *keeper = keeper_of(partition);
        if (partition->group != 0 && keeper != NULL && source_wants(partition->source) > 0 &&
            keeper_consider(keeper, now, 0)) {
            hold(node, keeper);
            return true;
        }
    }
    return false;
}

/* Groups whose log holds many terms behind its checkpoint: a few at a time, round and round. */
static bool look_at_terms(struct node *node, qr_time now)
{
    struct keepers *k = &node->keepers;
    uint32_t count = node->partitions.count;
    for (uint32_t i = 0; i < min_u64(TERMS_PER_LOOK, count) && now >= k->terms_at; i++) {
        struct partition *partition = partitions_at(&node->partitions, k->terms_of % count);
        qr_slot slot = partition->keeper != NULL ? keeper_slot(partition->keeper) : 0;
        bool many = partition->group != 0 && keeper_many_terms(node, partition->group, slot);
        struct keeper *keeper = many ? keeper_of(partition) : NULL;
        if (keeper != NULL) {
            keeper->many_terms = true;
        }
        if (keeper != NULL && keeper_consider(keeper, now, 0)) {
            hold(node, keeper);
            return true;
        }
        k->terms_of++;
    }
    k->terms_at = now >= k->terms_at ? now + TERMS_INTERVAL : k->terms_at;
    return false;
}

static void look_at_others(struct node *node, qr_time now)
{
    struct keepers *k = &node->keepers;
    if (k->writing != NULL || now < k->not_before) {
        return;
    }
    hold(node, NULL);
    if (!look_at_wanted(node, now) && !look_at_terms(node, now)) {
        look_at_pins(node, now);
    }
}

void keepers_turn(struct node *node, qr_time now)
{
    struct keepers *k = &node->keepers;
    keeper_turn(node->zero->keeper, now);
    bool busy = keeper_busy(node->zero->keeper);
    if (!node->failed && log_group_count(node->log) > 1) {
        carry(node);
        look_at_others(node, now);
        if (k->writing != NULL && k->writing != node->zero->keeper) {
            busy = keeper_go_on(k->writing, now) || busy;
        }
    }
    node->again = node->again || busy;
    if (k->writing != NULL || k->holding != NULL) {
        node_stay(node);
    }
}
