/* INFO keyspaces: what this node knows of keyspaces and partitions, and what it has of them. */
#include "node/info_internal.h"

#include "cluster/strategy.h"
#include "node/leaders.h"
#include "protocol/quorum.h"

typedef unsigned long long ull; /* what printf calls 64 bits */

struct counts {
    uint32_t here, led, moving;
};

#define HARMED_LINES 16u /* a disk may harm thousands at once */

static void count_partition(const struct node *node, const struct map_partition *p,
                            struct counts *out)
{
    const struct partition *partition = partition_of_group(node, p->group);
    node_index me = (node_index)node->identity.me;
    out->here += p->group == 0 || (p->wish & node_bit(me)) != 0 ? 1 : 0;
    out->led += partition != NULL && leaders_of(partition) == me ? 1 : 0;
    out->moving += p->settled < p->epoch ? 1 : 0;
}

/* What a replica lacks of what it had; NULL: nothing. */
static const char *harm_of(const struct partition *p)
{
    if (p->replica == NULL) {
        return NULL;
    }
    return p->loading ? "repairing" : p->quarantined ? "quarantined" : p->lost ? "forgetful" : NULL;
}

static void harmed_lines(const struct node *node, struct reply *out)
{
    uint32_t repairing = 0, forgetful = 0, quarantined = 0;
    for (uint32_t i = 0; i < node->partitions.count; i++) {
        const struct partition *p = partitions_at(&node->partitions, i);
        repairing += p->loading ? 1 : 0;
        forgetful += p->lost ? 1 : 0;
        quarantined += p->quarantined ? 1 : 0;
    }
    info_line(out, "partitions_repairing:%u", repairing);
    info_line(out, "partitions_forgetful:%u", forgetful);
    info_line(out, "partitions_quarantined:%u", quarantined);
    uint32_t lines = 0;
    for (uint32_t i = 0; i < node->partitions.count && lines < HARMED_LINES; i++) {
        const struct partition *p = partitions_at(&node->partitions, i);
        const struct map_partition *mp = map_partition(node->map, p->group);
        const struct map_keyspace *ks = mp != NULL ? map_keyspace(node->map, mp->keyspace) : NULL;
        if (ks != NULL && harm_of(p) != NULL) {
            info_line(out, "harmed%u:keyspace=%s,partition=%u,group=%u,state=%s", lines++, ks->name,
                      mp->index, p->group, harm_of(p));
        }
    }
}

static void keyspace_line(const struct node *node, const struct map_keyspace *k, struct reply *out)
{
    struct counts counts = { 0 };
    for (uint32_t i = 0; i < k->partitions; i++) {
        count_partition(node, map_partition_at(node->map, k->id, i), &counts);
    }
    info_line(out, "ks%u:name=%s,strategy=%s,replicas=%u,partitions=%u,here=%u,led=%u,moving=%u",
              k->id, k->name, strategy_name(k), local_keyspace(node, k).replicas, k->partitions,
              counts.here, counts.led, counts.moving);
}

void info_keyspaces(struct node *node, struct reply *out)
{
    struct counts counts = { 0 };
    for (const struct map_partition *p = map_partition(node->map, 0); p != NULL;
         p = map_partition_after(node->map, p->group)) {
        count_partition(node, p, &counts);
    }
    info_line(out, "cluster_level:%u", map_settings(node->map)->level);
    info_line(out, "cluster_level_known:%u", identity_level_known());
    info_line(out, "keyspaces:%u", map_keyspace_count(node->map));
    info_line(out, "partitions:%u", map_partition_count(node->map));
    info_line(out, "partitions_here:%u", counts.here);
    info_line(out, "partitions_led:%u", counts.led);
    info_line(out, "partitions_moving:%u", counts.moving);
    info_line(out, "primary_failovers:%llu", (ull)node->stats.primary_failovers);
    info_line(out, "primary_losses:%llu", (ull)node->stats.primary_losses);
    info_line(out, "partitions_resting:%u", node->partitions.schedule.resting);
    const struct campaigns *campaigns = &node->partitions.schedule.campaigns;
    info_line(out, "partitions_campaigning:%u", campaigns->open.count);
    info_line(out, "partitions_awaiting_campaign:%u", campaigns->line.count);
    info_line(out, "partition_turns:%llu", (ull)node->partitions.schedule.turns);
    harmed_lines(node, out);
    info_line(out, "quota_refused:%llu", (ull)node->stats.quota_refused);
    struct discards_stats discards;
    journals_stats(node, &discards);
    info_line(out, "discards_total:%llu", (ull)discards.total);
    info_line(out, "discards_kept:%llu", (ull)discards.kept);
    info_line(out, "discards_regained:%llu", (ull)discards.regained);
    info_line(out, "discards_overflowed:%llu", (ull)discards.overflowed);
    info_line(out, "discards_damaged:%llu", (ull)discards.damaged);
    for (uint32_t i = 0; i < map_keyspace_count(node->map); i++) {
        keyspace_line(node, map_keyspace_at(node->map, i), out);
    }
}
