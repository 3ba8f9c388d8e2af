#include "cluster/strategy.h"

#include "base/panic.h"
#include "protocol/primary/primary.h"
#include "protocol/raft/raft.h"

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
