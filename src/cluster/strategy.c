#include "cluster/strategy.h"

#include "base/panic.h"
#include "protocol/primary/primary.h"
#include "protocol/raft/raft.h"

#include <string.h>

const struct protocol *strategy_of_primary(const struct primary_options *options)
{
    switch (options->ack.kind) {
    case ACK_LOCAL:
        return &primary_async_protocol;
    case ACK_ANY:
        return &primary_semi_protocol;
    default:
        qr_assert(options->ack.kind == ACK_ALL);
        return &primary_sync_protocol;
    }
}

const struct protocol *strategy_protocol(const struct map_keyspace *keyspace)
{
    return strategy_has_views(keyspace) ? strategy_of_primary(&keyspace->primary) : &raft_protocol;
}

const char *strategy_name(const struct map_keyspace *keyspace)
{
    return strategy_has_views(keyspace) ? "primary" : raft_protocol.name;
}

struct ack strategy_ack(const struct map_keyspace *keyspace)
{
    struct ack raft = { .kind = keyspace->ack_kind, .stage = keyspace->ack_stage };
    return strategy_has_views(keyspace) ? keyspace->primary.ack : raft;
}

uint16_t strategy_zone(const struct map *map, const char *zone)
{
    uint32_t nodes = 0;
    for (node_index i = 0; i < MEMBERS_MAX; i++) {
        bool there = zone[0] != 0 && strcmp(map_node(map, i)->zone, zone) == 0;
        nodes |= there ? 1u << i : 0;
    }
    return (uint16_t)nodes;
}

struct succession_wish strategy_wish(const struct map *map, const struct map_keyspace *keyspace,
                                     uint16_t members)
{
    const struct primary_options *o = &keyspace->primary;
    char why[256];
    struct text text = text_in(why, sizeof why);
    qr_assert(strategy_has_views(keyspace));
    uint16_t in_zone = (uint16_t)(strategy_zone(map, o->ack.zone) & members);
    struct succession_wish wish = primary_options_wish(o, members, in_zone);
    if (!primary_options_check(o, (uint32_t)__builtin_popcount(members),
                               (uint32_t)__builtin_popcount(in_zone), &text)) {
        wish.members = 0; /* ALL of one node would be none */
    }
    return wish;
}

bool strategy_first(const struct map *map, const struct map_keyspace *keyspace,
                    const struct map_partition *partition, struct succession *first)
{
    struct succession_wish wish = strategy_wish(map, keyspace, partition->wish);
    bool sound = succession_wish_is_sound(&wish);
    if (sound) {
        *first = succession_first(&wish, partition->prefers);
    }
    return sound;
}
