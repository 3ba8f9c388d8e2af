/* Reads that this node's replica answers by itself, whoever leads: cluster/freshness.h decides. */
#include "node/router_internal.h"

#include "cluster/freshness.h"
#include "node/quota.h"
#include "node/replica.h"

static bool serves(const struct router *router, const struct partition *partition,
                   enum read_level level)
{
    struct freshness freshness;
    struct read_wish wish = { .level = level };
    if (partition->replica == NULL || router->node->removed) {
        return false;
    }
    replica_freshness(partition->replica, &freshness);
    freshness.leads = router_leads_here(router, partition);
    freshness.trusted = freshness.trusted && !partition->quarantined && !partition->loading;
    return freshness_serves(&freshness, &wish) == SERVE_NOW;
}

bool router_read_here(struct router *router, struct pending *p)
{
    if (p->spec->place != PLACE_READ || p->wants.level == READ_LINEARIZABLE ||
        !serves(router, p->partition, (enum read_level)p->wants.level)) {
        return false;
    }
    if (quota_refuses(p->partition, p->spec, 0)) {
        quota_refuse(p, 0);
    } else {
        quota_spend(p->partition);
        replica_read_unproven(p->partition->replica, p);
    }
    return true;
}

/* Under a lease the leader may also answer what needs a proof. */
static bool may_now(const struct router *router, const struct partition *partition,
                    const struct stream *stream)
{
    if (stream->wants.level != READ_LINEARIZABLE) {
        return serves(router, partition, (enum read_level)stream->wants.level);
    }
    return partition->track.waiting.count == 0 && router_leads_here(router, partition) &&
           replica_holds_lease(partition->replica);
}

bool router_read_now(struct router *router, struct partition *partition, struct stream *stream,
                     const struct command_spec *spec, uint8_t version, const struct op *head,
                     const struct span *argv)
{
    bool done = spec->place == PLACE_READ && stream->ordered && stream->first == NULL &&
                may_now(router, partition, stream) && !quota_refuses(partition, spec, 0) &&
                replica_read_now(partition->replica, stream, spec, version, head, argv);
    if (done) {
        quota_spend(partition);
    }
    return done;
}
