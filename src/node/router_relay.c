/* What other nodes forward: a stream for each peer and partition, made when it is needed and given
 * back when it has not been for a while. */
#include "node/router_internal.h"

#include "base/alloc.h"
#include "command/op.h"
#include "node/leaders.h"
#include "node/peers.h"
#include "node/replica.h"

#include <stdlib.h>
#include <string.h>

#define RELAY_IDLE_TIME (2 * QR_SECOND)
#define RELAYS_LOOKED_AT 16u /* of each peer, at a time */

/* --- Replies -------------------------------------------------------------------------------- */

static struct reply *begin_reply(struct stream *stream, struct pending *p)
{
    struct reply *reply = peers_reply_buffer(stream->node->peers);
    reply_reset(reply);
    reply->version = p->version;
    return reply;
}

static void end_reply(struct stream *stream, struct pending *p, enum qr_status status)
{
    struct relay *relay = (struct relay *)stream;
    peers_reply(stream->node->peers, relay->peer, p->id, status, &p->shown);
}

static bool is_congested(const struct stream *stream)
{
    const struct relay *relay = (const struct relay *)stream;
    return peers_reply_congested(stream->node->peers, relay->peer);
}

/* --- Coming and going ----------------------------------------------------------------------- */

static struct relay *make_relay(struct router *router, struct partition *partition, node_index peer)
{
    struct relay *relay = qr_zalloc(sizeof *relay);
    stream_init(&relay->stream, router->node, STREAM_PEER);
    relay->stream.strands.first.group = partition->group;
    relay->stream.sender_places = partition->group == 0 ? SENDERS_KEPT : SENDERS_KEPT_GROUP;
    relay->stream.begin_reply = begin_reply;
    relay->stream.end_reply = end_reply;
    relay->stream.is_congested = is_congested;
    relay->partition = partition;
    relay->peer = peer;
    relay->refused_epoch = router->floor[peer];
    relay->next = router->relays[peer];
    if (relay->next != NULL) {
        relay->next->previous = relay;
    }
    router->relays[peer] = relay;
    return relay;
}

static struct relay *relay_of(struct router *router, struct partition *partition, node_index peer)
{
    struct track *track = &partition->track;
    if (track->relays == NULL) {
        track->relays = qr_zalloc(MEMBERS_MAX * sizeof *track->relays);
    }
    if (track->relays[peer] == NULL) {
        track->relays[peer] = make_relay(router, partition, peer);
    }
    return track->relays[peer];
}

static void give_back(struct router *router, struct relay *relay)
{
    node_index peer = relay->peer;
    struct relay **link = relay->previous != NULL ? &relay->previous->next : &router->relays[peer];
    *link = relay->next;
    if (relay->next != NULL) {
        relay->next->previous = relay->previous;
    }
    if (router->visit[peer] == relay) {
        router->visit[peer] = relay->next;
    }
    uint32_t *floor = &router->floor[peer];
    *floor = relay->refused_epoch > *floor ? relay->refused_epoch : *floor; /* T2 */
    router_drop_loads(relay);
    stream_detach(&relay->stream);
    relay->partition->track.relays[peer] = NULL;
    free(relay);
}

void router_trim_relays(struct router *router, qr_time now)
{
    for (node_index peer = 0; peer < MEMBERS_MAX; peer++) {
        struct relay *relay = router->visit[peer];
        relay = relay != NULL ? relay : router->relays[peer];
        for (uint32_t i = 0; i < RELAYS_LOOKED_AT && relay != NULL; i++) {
            struct relay *next = relay->next;
            if (relay->stream.count == 0 && now - relay->used > RELAY_IDLE_TIME &&
                relay->partition->group != 0) {
                give_back(router, relay);
            }
            relay = next;
        }
        router->visit[peer] = relay;
    }
}

void router_forget_peer(struct router *router, node_index peer)
{
    while (router->relays[peer] != NULL) {
        give_back(router, router->relays[peer]);
    }
    router->floor[peer] = 0;
}

void router_forget_relays(struct router *router, struct track *track)
{
    for (node_index peer = 0; track->relays != NULL && peer < MEMBERS_MAX; peer++) {
        if (track->relays[peer] != NULL) {
            give_back(router, track->relays[peer]);
        }
    }
    free(track->relays);
    track->relays = NULL;
}

void router_unpark(struct router *router, node_index peer)
{
    for (struct relay *relay = router->relays[peer]; relay != NULL; relay = relay->next) {
        if (relay->stream.parked.count > 0) {
            replica_unpark(&relay->stream);
        }
    }
}

/* --- Commands ------------------------------------------------------------------------------- */

void router_refuse_relayed(struct pending *p)
{
    struct relay *relay = (struct relay *)p->stream;
    if (p->was_aside) { /* it has no epoch, and its sender knows who leads, or asks him who does */
        stream_refuse(p, STATUS_NOT_LEADER);
        return;
    }
    if (relay->refused_epoch != relay->latest_epoch) {
        leaders_tell(p->node, relay->peer, relay->partition); /* who does, if not this node */
    }
    relay->refused_epoch = relay->latest_epoch;
    stream_refuse(p, STATUS_NOT_LEADER);
}

/* A group that is not known here, or not any more. */
static void refuse_unknown(struct router *router, node_index peer, const struct forward *forward)
{
    uint32_t *floor = &router->floor[peer];
    *floor = forward->epoch > *floor ? forward->epoch : *floor; /* T2 */
    reply_reset(peers_reply_buffer(router->node->peers));
    peers_reply(router->node->peers, peer, forward->id, STATUS_NOT_LEADER, &(struct shown){ 0 });
}

static bool is_too_much(const struct node *node, const struct op *op)
{
    return node->pending_count > 2 * NODE_PENDING_MAX ||
           node->pending_bytes > 2 * NODE_PENDING_BYTES_MAX ||
           (op->refs > 0 && node->windows_bytes > CARGO_WINDOWS_BYTES);
}

/* Carried out here, or refused, or waiting for room. */
static bool take(struct router *router, struct relay *relay, struct pending *p, const struct op *op,
                 struct span bytes)
{
    struct node *node = router->node;
    const struct replica *replica = p->partition->replica;
    if (!p->was_aside && (relay->latest_epoch <= relay->refused_epoch || replica == NULL ||
                          !replica_leads(replica))) {
        router_refuse_relayed(p);
        return true;
    }
    if (is_too_much(node, op)) {
        stream_refuse(p, STATUS_OVERLOADED);
        return true;
    }
    if (router_may_be_astray(p) && router_is_astray(p, op)) {
        stream_refuse(p, p->was_aside ? STATUS_NOT_LEADER : STATUS_ASTRAY);
        return true;
    }
    memcpy(pending_take_room(p, bytes.n), bytes.p, bytes.n);
    if (op->refs > 0 && !router_expect_pieces(relay, p, op)) {
        stream_refuse(p, STATUS_BAD_MESSAGE); /* no queue would ever know it */
        return false;
    }
    if (p->was_aside) {
        router_take_aside(router, p);
    } else {
        router_take(router, p);
    }
    return true;
}

bool router_relayed(struct router *router, node_index peer, uint32_t group,
                    const struct forward *forward, struct span bytes)
{
    struct op op;
    struct node *node = router->node;
    if (!op_read(bytes, &op) || op.db >= DATABASES ||
        (forward->version != 2 && forward->version != 3)) {
        return false;
    }
    const struct command_spec *spec = command_by_tag(op.tag);
    if (spec == NULL || spec->place == PLACE_LOCAL || spec->place == PLACE_NONE ||
        (forward->aside && (spec->place != PLACE_READ || op.refs > 0))) {
        return false;
    }
    node->stats.forwarded_for_others++;
    struct partition *partition = partition_of_group(node, group);
    if (partition == NULL) {
        refuse_unknown(router, peer, forward);
        return true;
    }
    struct relay *relay = relay_of(router, partition, peer);
    struct pending *p = stream_push(&relay->stream, spec, forward->version, node->clock);
    pending_join(p, partition);
    p->id = forward->id;
    p->sender = forward->sender;
    p->after_reads = forward->after_reads;
    pending_want(p, &forward->wants);
    p->was_aside = forward->aside;
    relay->latest_epoch = forward->aside ? relay->latest_epoch : forward->epoch;
    relay->used = node->clock;
    return take(router, relay, p, &op, bytes);
}

bool router_piece(struct router *router, node_index peer, uint32_t group, uint64_t id,
                  struct span bytes)
{
    struct partition *partition = partition_of_group(router->node, group);
    struct relay **relays = partition != NULL ? partition->track.relays : NULL;
    return relays == NULL || relays[peer] == NULL || router_piece_came(relays[peer], id, bytes);
}
