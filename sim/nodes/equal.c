/* At the end of a run, when all is well and nobody writes: replicas of a partition that have
 * applied the same are the same, and soon have applied the same. */
#include "sim/nodes/seat.h"

#include "engine/engine.h"
#include "node/node.h"
#include "node/replica.h"

#include <inttypes.h>

static const struct partition *find(const struct seat *seat, uint32_t group)
{
    const struct node *node = seat->host->process != NULL ? seat->node : NULL;
    for (uint32_t i = 0; node != NULL && i < node->partitions.count; i++) {
        const struct partition *p = partitions_at(&node->partitions, i);
        if (p->group == group && p->replica != NULL && p->engine != NULL) {
            return p;
        }
    }
    return NULL;
}

/* One of the group on this seat with those on the seats behind it. */
static bool compare(struct run *run, uint32_t at, const struct partition *one)
{
    bool settled = true;
    uint64_t digest = engine_digest(one->engine);
    for (uint32_t i = at + 1; i < run->seats; i++) {
        const struct partition *other = find(&run->seat[i], one->group);
        if (other == NULL) {
            continue;
        }
        if (replica_applied(other->replica) != replica_applied(one->replica)) {
            settled = false;
        } else if (engine_digest(other->engine) != digest) {
            realm_fail(run->realm, run->seat[i].host,
                       "group %" PRIu32 " differs from that of %s at slot %" PRIu64, one->group,
                       run->seat[at].host->name, replica_applied(one->replica));
        }
    }
    return settled;
}

bool replicas_settled(struct run *run)
{
    bool settled = true;
    for (uint32_t i = 0; i < run->seats; i++) {
        const struct seat *seat = &run->seat[i];
        const struct node *node = seat->host->process != NULL ? seat->node : NULL;
        settled = settled && node != NULL;
        for (uint32_t k = 0; node != NULL && k < node->partitions.count; k++) {
            const struct partition *p = partitions_at(&node->partitions, k);
            if (p->quarantined) {
                realm_fail(run->realm, seat->host, "group %" PRIu32 " is in quarantine", p->group);
            } else if (p->replica != NULL && p->engine != NULL) {
                settled = compare(run, i, p) && settled;
            }
        }
    }
    return settled;
}
