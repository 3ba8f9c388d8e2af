/* What the driver asks of orders, for tests that play them (router_world.c, apply_world.c). */
#include "orders_played.h"

#include "node/orders.h"
#include "node/quota.h"

#include <string.h>

struct quotas_played quotas_played;

bool orders_only_asks(const struct command_spec *spec)
{
    return strcmp(spec->name, "member|list") == 0;
}

uint16_t orders_wire_version(const struct command_spec *spec)
{
    (void)spec;
    return 3;
}

void orders_uncertain(struct pending *p)
{
    stream_refuse(p, STATUS_UNCERTAIN);
}

void orders_leaderless(struct pending *p)
{
    stream_refuse(p, STATUS_CLUSTERDOWN);
}

void orders_ended(struct node *node, struct pending *p, enum qr_status status)
{
    (void)node;
    stream_refuse(p, status);
}

bool quota_refuses(struct partition *partition, const struct command_spec *spec, size_t bytes)
{
    (void)partition;
    quotas_played.bytes = bytes;
    return quotas_played.full && (spec->place == PLACE_READ || spec->place == PLACE_WRITE);
}

void quota_spend(struct partition *partition)
{
    (void)partition;
    quotas_played.spent++;
}

void quota_refuse(struct pending *p, size_t bytes)
{
    quotas_played.told = bytes;
    stream_refuse(p, STATUS_OVERLOADED);
}
