#include "node/quota.h"

#include "cluster/map.h"
#include "node/node.h"
#include "node/replica.h"

#include <stdio.h>

typedef unsigned long long ull; /* what printf calls 64 bits */

#define OP ((uint64_t)1000000) /* a command in the bucket */

uint64_t quota_bytes(const struct partition *partition)
{
    return store_memory(engine_store(partition->engine)) + engine_staged_bytes(partition->engine);
}

static const struct map_keyspace *keyspace_of(const struct partition *partition)
{
    return map_keyspace_of_group(partition->node->map, partition->group);
}

/* With what is under way (Q2). */
static uint64_t in_use(const struct partition *partition)
{
    struct replica_queues queues;
    replica_queues(partition->replica, &queues);
    return quota_bytes(partition) + queues.flight_bytes;
}

static bool lacks_memory(const struct partition *partition, const struct map_keyspace *k,
                         const struct command_spec *spec, size_t bytes)
{
    if (k->maxmemory == 0 || (spec->flags & CF_DENYOOM) == 0) {
        return false;
    }
    return in_use(partition) + bytes > k->maxmemory / k->partitions;
}

/* The partition's share; at least one command a second. */
static uint64_t ops_share(const struct map_keyspace *k)
{
    uint64_t share = k->maxops / k->partitions;
    return share > 0 ? share : 1;
}

/* Fills the bucket up to now (Q3). */
static bool lacks_ops(struct partition *partition, const struct map_keyspace *k)
{
    struct quota *quota = &partition->quota;
    if (k->maxops == 0) {
        return false;
    }
    uint64_t share = ops_share(k);
    qr_time now = partition->node->clock;
    qr_time passed = now - quota->filled < QR_SECOND ? now - quota->filled : QR_SECOND;
    quota->filled = now;
    quota->level += (uint64_t)passed * share; /* a microsecond is a millionth of a second */
    quota->level = quota->level < share * OP ? quota->level : share * OP;
    return quota->level < OP;
}

/* With a quota, or without anybody having looked. */
static bool judge(struct partition *partition, const struct command_spec *spec, size_t bytes)
{
    struct quota *quota = &partition->quota;
    const struct map_keyspace *k = keyspace_of(partition);
    quota->epoch = partition->node->quotas;
    quota->limited = k != NULL && (k->maxmemory != 0 || k->maxops != 0);
    bool of_data = spec->place == PLACE_READ || spec->place == PLACE_WRITE;
    return quota->limited && of_data &&
           (lacks_memory(partition, k, spec, bytes) || lacks_ops(partition, k));
}

bool quota_refuses(struct partition *partition, const struct command_spec *spec, size_t bytes)
{
    const struct quota *quota = &partition->quota;
    bool known = quota->epoch == partition->node->quotas;
    return (quota->limited || !known) && judge(partition, spec, bytes);
}

void quota_spend(struct partition *partition)
{
    struct quota *quota = &partition->quota;
    quota->ops++;
    quota->level = quota->level > OP ? quota->level - OP : 0;
}

/* Where the keyspace has several partitions the figures are those of one of them. */
static void say(char *why, size_t cap, const struct map_keyspace *k, const char *what, uint64_t all,
                uint64_t share)
{
    char part[96] = "";
    if (k->partitions > 1) {
        (void)snprintf(part, sizeof part, ", of which this partition's share is %llu", (ull)share);
    }
    (void)snprintf(why, cap, "QUOTA %s of keyspace '%s' is %llu%s:", what, k->name, (ull)all, part);
}

void quota_refuse(struct pending *p, size_t bytes)
{
    char head[256];
    char why[384];
    const struct map_keyspace *k = keyspace_of(p->partition);
    struct quota *quota = &p->partition->quota;
    qr_assert(k != NULL); /* who refused has seen it in this turn */
    quota->refused++;
    partition_wake(p->partition); /* that is told (reporting.h) */
    p->node->stats.quota_refused++;
    if (lacks_memory(p->partition, k, p->spec, bytes)) {
        say(head, sizeof head, k, "MAXMEMORY", k->maxmemory, k->maxmemory / k->partitions);
        (void)snprintf(why, sizeof why,
                       "%s %llu bytes are in use and %zu more were to come, the command was not "
                       "applied",
                       head, (ull)in_use(p->partition), bytes);
    } else {
        uint64_t share = ops_share(k);
        uint64_t ms = quota->level < OP ? (OP - quota->level) / share / 1000 + 1 : 1;
        say(head, sizeof head, k, "MAXOPS", k->maxops, share);
        (void)snprintf(why, sizeof why,
                       "%s the next command is taken in %llu ms, this one was not applied", head,
                       (ull)ms);
    }
    reply_error(stream_reply(p), why);
    stream_refused(p);
}
