/* Reads that this node's replica answers by itself, whoever leads: cluster/freshness.h decides. */
#include "node/router_internal.h"

#include "cluster/freshness.h"
#include "node/quota.h"
#include "node/replica.h"

#include <string.h>

/* What its session has seen is not known to the slot, or the leader is wanted for a while (G7). */
static bool wants_proof(const struct node *node, const struct strand *strand,
                        const struct wants *wants)
{
    qr_time wrote = strand->wrote_at;
    return strand->unsure ||
           (wants->window > 0 && wrote != 0 && node->clock - wrote < wants->window);
}

static enum serve serves(const struct router *router, const struct partition *partition,
                         const struct wants *wants, qr_slot least)
{
    struct freshness freshness;
    struct read_wish wish = { .level = (enum read_level)wants->level, .least = least };
    if (partition->replica == NULL || router->node->removed) {
        return SERVE_ELSEWHERE;
    }
    replica_freshness(partition->replica, &freshness);
    freshness.leads = router_leads_here(router, partition);
    freshness.trusted = freshness.trusted && !partition->quarantined && !partition->loading;
    return freshness_serves(&freshness, &wish);
}

/* What comes before it in its strand has its answers, or gets them here and earlier (N2). */
static bool is_next(const struct pending *p)
{
    return p->strand->open == p->strand->reading + (p->counted ? 0 : 1);
}

/* A read of a session goes to the leader unless it is known what it must show and all that comes
 * before it is answered here. */
static bool may_be_here(const struct pending *p)
{
    if (p->wants.level != READ_SESSION) {
        return p->wants.level != READ_LINEARIZABLE;
    }
    return p->strand != NULL && is_next(p) && !wants_proof(p->node, p->strand, &p->wants);
}

bool router_read_here(struct router *router, struct pending *p)
{
    if (p->spec->place != PLACE_READ || p->wants.level == READ_LINEARIZABLE) {
        return false;
    }
    if (p->wants.level == READ_SESSION && p->strand != NULL) {
        p->wants.least = max_u64(p->wants.least, p->strand->seen);
    }
    if (!may_be_here(p) ||
        serves(router, p->partition, &p->wants, p->wants.least) != SERVE_NOW) {
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

/* Nothing of its stream is ahead of it. Under a lease the leader may also answer what needs a
 * proof. */
static bool may_now(const struct router *router, const struct partition *partition,
                    struct stream *stream)
{
    const struct wants *wants = &stream->wants;
    if (wants->level == READ_SESSION) {
        const struct strand *strand = strand_of(&stream->strands, partition->group);
        return !wants_proof(router->node, strand, wants) &&
               serves(router, partition, wants, max_u64(wants->least, strand->seen)) == SERVE_NOW;
    }
    if (wants->level != READ_LINEARIZABLE) {
        return serves(router, partition, wants, wants->least) == SERVE_NOW;
    }
    return partition->track.waiting.count == 0 && router_leads_here(router, partition) &&
           replica_holds_lease(partition->replica) &&
           wants->least == 0; /* what its session has seen may be lost: a proof tells */
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

void router_prove(struct pending *p)
{
    if (p->spec->place == PLACE_READ && p->wants.level == READ_SESSION) {
        p->wants.level = READ_LINEARIZABLE;
    }
}

/* How far this node's replica is behind, as far as it knows; -1: it does not. */
static long long lag_ms(const struct pending *p)
{
    struct freshness freshness = { 0 };
    if (p->partition->replica != NULL) {
        replica_freshness(p->partition->replica, &freshness);
    }
    qr_time lag = p->node->clock - freshness.fresh_at;
    return freshness.fresh_at == 0 ? -1 : (long long)((lag + QR_MILLISECOND - 1) / QR_MILLISECOND);
}

void router_refuse_late(struct pending *p, enum qr_status status)
{
    bool read = p->spec != NULL && p->spec->place == PLACE_READ;
    if (status != STATUS_STALE && !(read && p->wants.session)) {
        stream_refuse(p, status);
        return;
    }
    reply_errorf(stream_reply(p), "STALE %lld%s", lag_ms(p),
                 status_text(STATUS_STALE) + strlen("STALE -1"));
    stream_answered(p, STATUS_STALE);
}
