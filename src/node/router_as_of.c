/* Reads as of a position (level snapshot, docs/levels.md). Any replica that knows its past that far
 * back answers them, whoever leads, and waits for what is still to come; one that does not sends
 * them to the leader, and what the leader does not know any more is refused. */
#include "node/router_internal.h"

#include "cluster/map.h"
#include "node/replica.h"

#include <inttypes.h>
#include <stdio.h>

/* It was started a moment ago and has an old map or none: what looks wrong by it may be right. */
static bool may_be_wrong(const struct pending *p, const struct map_keyspace *k)
{
    bool lacks = k != NULL && k->history_ms == 0;
    return !p->node->holding.current && p->spec->first_key > 0 &&
           (lacks || p->wants.group != p->partition->group);
}

/* What makes no sense wherever it goes; the group is looked at where its client is. */
static bool is_refused(struct pending *p)
{
    const struct map_keyspace *k = map_keyspace_of_group(p->node->map, p->partition->group);
    const struct wants *wants = &p->wants;
    bool relayed = p->stream != NULL && p->stream->relayed;
    if (!relayed && may_be_wrong(p, k)) {
        stream_refuse(p, STATUS_ASTRAY);
        return true;
    }
    if (p->spec->first_key <= 0) {
        reply_error(stream_reply(p), "ERR READ snapshot is for commands with keys, the command was "
                                     "not applied");
    } else if (k != NULL && k->history_ms == 0) {
        reply_errorf(stream_reply(p),
                     "LEVEL keyspace '%s' keeps nothing of its past, so it does not give reads at "
                     "level snapshot, the command was not applied; KEYSPACE ALTER %s HISTORY 10s "
                     "makes it keep the last ten seconds from then on",
                     k->name, k->name);
    } else if (!relayed && wants->group != p->partition->group) {
        reply_errorf(stream_reply(p),
                     "ERR position %" PRIu32 "-%" PRIu64 " is of another partition than the key, "
                     "whose positions begin with %" PRIu32 "-, the command was not applied",
                     wants->group, wants->least, p->partition->group);
    } else {
        return false;
    }
    stream_refused(p);
    return true;
}

static bool is_trusted(const struct router *router, const struct partition *partition)
{
    return partition->replica != NULL && !router->node->removed && !partition->quarantined &&
           !partition->loading;
}

/* At the leader it is answered in any case: nobody is asked after it. */
static bool answers_here(const struct router *router, const struct pending *p)
{
    struct replica *replica = p->partition->replica;
    bool relayed = p->stream != NULL && p->stream->relayed;
    qr_slot floor;
    if (!is_trusted(router, p->partition)) {
        return false;
    }
    return (replica_past_floor(replica, &floor) && floor <= p->wants.least) ||
           (relayed ? replica_leads(replica) : router_leads_here(router, p->partition));
}

bool router_read_as_of(struct router *router, struct pending *p)
{
    if (is_refused(p)) {
        return true;
    }
    if (!answers_here(router, p)) {
        return false;
    }
    if (p->wants.expires == 0 && replica_applied(p->partition->replica) < p->wants.least) {
        struct wants wants = p->wants;
        wants.expires = p->arrived + router->node->config.leader_wait_ms * QR_MILLISECOND;
        pending_want(p, &wants);
    }
    router_serve_unproven(p);
    return true;
}

void router_refuse_late_as_of(struct pending *p)
{
    const struct replica *replica = p->partition->replica;
    char here[80] = "no leader was found that might know it";
    if (replica != NULL) {
        (void)snprintf(here, sizeof here, "this node is at %" PRIu32 "-%" PRIu64,
                       p->partition->group, replica_applied(replica));
    }
    reply_errorf(stream_reply(p),
                 "STALE -1 position %" PRIu32 "-%" PRIu64 " did not come in time: %s, the command "
                 "was not applied",
                 p->partition->group, p->wants.least, here);
    stream_refused(p);
}
