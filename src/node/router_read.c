/* Reads that this node's replica answers by itself, whoever leads: cluster/freshness.h decides.
 *
 * At once where the state is good enough as it is. A linearizable read, and one within a bound for
 * which the state is too old, asks the leader for an index, together with all that wait, and is
 * served here when that is applied; if that takes long the leader answers it, and where none can be
 * reached it is refused. Reads within a bound of time never wait as long as they keep coming: at
 * half of the bound the next index is asked for. */
#include "node/router_internal.h"

#include "cluster/freshness.h"
#include "node/lagging.h"
#include "node/quota.h"
#include "node/replica.h"

#include <string.h>

/* What its session has seen is not known to the slot, or the leader is wanted for a while (G7). */
static bool wants_proof(const struct node *node, const struct strand *strand,
                        const struct wants *wants)
{
    qr_time wrote = strand->wrote_at;
    return strand->unsure || (wrote != 0 && node->clock - wrote < wants->window);
}

/* Of a read that this replica, which follows, would answer by itself (lagging.h B6). Of whom nobody
 * knows whether it is behind, for example since nobody has read there for long, asks the leader how
 * far it should be, and that one answers until it knows. */
static enum serve unless_behind(const struct partition *partition, enum serve serve)
{
    switch (lagging_rejects(partition)) {
    case BEHIND_NOT:
    case BEHIND_AGES:
        return serve;
    case BEHIND_UNKNOWN:
        return SERVE_ELSEWHERE;
    case BEHIND_TOO_FAR:
        return SERVE_BEHIND;
    }
    qr_unreachable();
}

static enum serve serves(const struct router *router, const struct partition *partition,
                         const struct wants *wants, qr_slot least, qr_time asked)
{
    struct freshness freshness;
    struct read_wish wish = freshness_wish(wants, asked);
    if (partition->replica == NULL || router->node->removed) {
        return SERVE_ELSEWHERE;
    }
    wish.least = replica_needs(partition->replica, least);
    replica_freshness(partition->replica, &freshness);
    freshness.leads = router_leads_here(router, partition);
    freshness.trusted = freshness.trusted && !partition->quarantined && !partition->loading;
    enum serve serve = freshness_serves(&freshness, &wish);
    bool ages = serve == SERVE_NOW && wish.level == READ_BOUNDED &&
                asked - freshness.fresh_at > wish.bound / 2;
    if (ages || (freshness.trusted && !freshness.current)) {
        replica_ask_ahead(partition->replica);
    }
    bool by_itself = serve == SERVE_NOW || (serve == SERVE_ASK && wish.level == READ_BOUNDED);
    return by_itself && !freshness.leads ? unless_behind(partition, serve) : serve;
}

/* What comes before it in its strand has its answers, or gets them here and earlier (N2). */
static bool is_next(const struct pending *p)
{
    return p->strand->open == p->strand->reading + (p->counted ? 0 : 1);
}

/* By the leader's clock, which nobody knows here. */
static bool tells_time(const struct command_spec *spec)
{
    return spec->tag == COMMAND_TTL || spec->tag == COMMAND_PTTL;
}

/* A linearizable read shows what its client has written before it, and the leader has that first
 * (S1). One that would wait here longer than there goes there. */
static bool may_ask_at(const struct pending *p)
{
    if (p->wants.level == READ_LINEARIZABLE) {
        return is_next(p) && !tells_time(p->spec) && replica_asks_in_time(p->partition->replica);
    }
    return p->wants.level == READ_BOUNDED;
}

/* Where this node leads it goes the leader's way, in the order of its track (T1). While it may lack
 * a prefix group 0's leader looks whether the key is keyspace 0's (route.h K6): what the index
 * brings may be that it is not. */
static bool may_ask(const struct router *router, const struct pending *p)
{
    if (p->by_index || p->stream == NULL || p->stream->relayed || p->partition->replica == NULL ||
        router_leads_here(router, p->partition)) {
        return false;
    }
    bool knows = p->partition->group != 0 ||
                 coverage_holds(&router->node->contact.coverage, router->node->clock);
    return knows && may_ask_at(p) && replica_may_ask(p->partition->replica);
}

bool router_wants_proof(const struct pending *p)
{
    return p->strand == NULL || wants_proof(p->node, p->strand, &p->wants);
}

/* Behind what the leader has yet to answer, a read goes there too where it must show that: one of a
 * session, of which it also has to be known what that is, and one within a bound. */
static bool may_be_here(const struct router *router, const struct pending *p)
{
    switch (p->wants.level) {
    case READ_SESSION:
        return p->strand != NULL && is_next(p) && !router_wants_proof(p);
    case READ_BOUNDED:
        return p->stream == NULL || p->stream->relayed || is_next(p) ||
               router_leads_here(router, p->partition);
    default:
        return true;
    }
}

static bool spends_quota(struct pending *p)
{
    if (quota_refuses(p->partition, p->spec, 0)) {
        quota_refuse(p, 0);
        return false;
    }
    quota_spend(p->partition);
    return true;
}

void router_serve_unproven(struct pending *p)
{
    if (spends_quota(p)) {
        replica_read_unproven(p->partition->replica, p);
    }
}

bool router_serve_now(struct router *router, struct pending *p)
{
    if (serves(router, p->partition, &p->wants, p->wants.least, p->arrived) != SERVE_NOW) {
        return false;
    }
    router_serve_unproven(p);
    return true;
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

static void refuse_behind(struct pending *p)
{
    p->node->stats.stale++;
    reply_errorf(stream_reply(p),
                 "STALE %lld this replica is behind by more than MAXLAG and answers no reads until "
                 "it has caught up, the command was not applied",
                 lag_ms(p));
    stream_answered(p, STATUS_STALE);
}

bool router_read_here(struct router *router, struct pending *p)
{
    if (p->wants.level == READ_SNAPSHOT) {
        return router_read_as_of(router, p);
    }
    if (p->wants.level == READ_LINEARIZABLE && !may_ask(router, p)) {
        return false;
    }
    if (p->wants.level == READ_SESSION && p->strand != NULL) {
        bool sure = strand_join(router->node->map, p->partition->group, &p->wants.least,
                                stream_seen_before(p));
        p->strand->unsure = p->strand->unsure || !sure;
    }
    enum aside aside = router_read_aside(router, p);
    if (aside != ASIDE_NOT) {
        return aside == ASIDE_SENT;
    }
    enum serve serve = may_be_here(router, p)
                           ? serves(router, p->partition, &p->wants, p->wants.least, p->arrived)
                           : SERVE_ELSEWHERE;
    bool asks = serve == SERVE_ASK && may_ask(router, p);
    if (asks && spends_quota(p)) {
        p->by_index = true;
        p->moved = router->node->clock;
        replica_read(p->partition->replica, p);
    } else if (serve == SERVE_NOW) {
        router_serve_unproven(p);
    } else if (serve == SERVE_BEHIND) {
        refuse_behind(p);
    }
    return asks || serve == SERVE_NOW || serve == SERVE_BEHIND;
}

/* Nothing of its stream is ahead of it. Under a lease the leader may also answer what needs a
 * proof. */
static bool may_now(const struct router *router, const struct partition *partition,
                    struct stream *stream)
{
    const struct wants *wants = &stream->wants;
    qr_time now = router->node->clock;
    if (wants->level == READ_SNAPSHOT) {
        return false;
    }
    if (wants->pin != 0 && router_pinned_to(router, partition, wants) != NODE_NONE) {
        return false;
    }
    if (wants->level == READ_SESSION) {
        const struct strand *strand = strand_of(&stream->strands, partition->group);
        qr_slot least = wants->least;
        return strand_join(router->node->map, partition->group, &least, strand->seen) &&
               !wants_proof(router->node, strand, wants) &&
               serves(router, partition, wants, least, now) == SERVE_NOW;
    }
    if (wants->level != READ_LINEARIZABLE) {
        return serves(router, partition, wants, wants->least, now) == SERVE_NOW;
    }
    return partition->track.waiting.count == 0 && partition->replica != NULL &&
           replica_holds_lease(partition->replica) && router_leads_here(router, partition) &&
           wants->least == 0; /* what its session has seen may be lost: a proof tells */
}

bool router_read_now(struct router *router, struct partition *partition, struct stream *stream,
                     const struct command_spec *spec, uint8_t version, const struct op *head,
                     const struct span *argv)
{
    bool done = stream->ordered && may_now(router, partition, stream) &&
                !quota_refuses(partition, spec, 0) &&
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

bool router_index_is_late(const struct pending *p, qr_time now)
{
    bool proven = p->wants.level == READ_LINEARIZABLE;
    qr_time patience = (proven ? INDEX_PATIENCE_PROVEN_MS : INDEX_PATIENCE_MS) * QR_MILLISECOND;
    if (!p->by_index || p->state != PENDING_READING || now - p->moved < patience) {
        return false;
    }
    /* Where its node has come to lead it waits as a leader's reads do: asked for anew each time, it
     * would never see the end of a round that takes long. */
    const struct replica *replica = p->partition->replica;
    return !replica_leads(replica) && (!p->confirmed || replica_applied(replica) < p->slot);
}

void router_refuse_late(struct pending *p, enum qr_status status)
{
    bool read = p->spec != NULL && p->spec->place == PLACE_READ;
    if (read && p->wants.level == READ_SNAPSHOT) {
        router_refuse_late_as_of(p);
        return;
    }
    bool fresh = p->wants.session || p->wants.level == READ_BOUNDED;
    if (status != STATUS_STALE && !(read && fresh)) {
        stream_refuse(p, status);
        return;
    }
    p->node->stats.stale++;
    reply_errorf(stream_reply(p), "STALE %lld%s", lag_ms(p),
                 status_text(STATUS_STALE) + strlen("STALE -1"));
    stream_answered(p, STATUS_STALE);
}
