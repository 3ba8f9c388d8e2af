/* Connections to the other members: the peers themselves and what is sent to them. What a link
 * receives is in link.c. */
#include "node/peers.h"

#include "base/alloc.h"
#include "base/limits.h"
#include "node/alarm.h"
#include "node/council.h"
#include "node/health.h"
#include "node/link.h"
#include "node/members.h"
#include "node/node.h"
#include "node/repair.h"
#include "node/replica.h"
#include "node/reports.h"
#include "node/run.h"
#include "node/snapshot.h"
#include "node/standing.h"

#include <stdio.h>
#include <string.h>

#define DIAL_INTERVAL (50 * QR_MILLISECOND)
#define REFUSED_INTERVAL (1 * QR_SECOND) /* at first; doubled until somebody else is known */
#define REFUSED_INTERVAL_MAX (16 * QR_SECOND)
/* The lower index leaves it to the higher one, which may not know it, or its address. */
#define SECOND_DIAL_INTERVAL (1 * QR_SECOND)
/* What a node that was dropped still hears: that the entry which drops it is committed. */
#define LEAVE_TIME (2 * QR_SECOND)
#define YOUNG_TIME (2 * QR_SECOND)           /* for connecting, and then for the handshake */
#define LOOK_INTERVAL (100 * QR_MILLISECOND) /* for what no event tells */

static void on_accept(void *context, struct io_stream *stream)
{
    struct peers *peers = context;
    if (peers->stranger_count >= STRANGERS_MAX || peers->node->removed) {
        io_stream_close(stream);
        return;
    }
    link_accept(peers, stream);
}

struct peers *peers_new(struct node *node, char *message, size_t cap)
{
    struct peers *peers = qr_zalloc(sizeof *peers);
    const struct roster_node *me = &node->identity.members[identity_me(&node->identity)];
    bool alone = true;
    peers->node = node;
    peers->me = (node_index)identity_me(&node->identity);
    reply_init(&peers->reply, 2);
    for (node_index i = 0; i < MEMBERS_MAX; i++) {
        alone = alone && (i == peers->me || node->identity.members[i].id == 0);
    }
    if (node->removed) {
        peers->retires_at = io_now(node->io);
        return peers; /* nobody to talk to, nothing to listen for */
    }
    int error =
        io_listen(node->io, me->address, me->peer_port, 64, on_accept, peers, &peers->listener);
    if (error != 0) {
        (void)snprintf(message, cap, "cannot listen for peers on %s:%u: %s", me->address,
                       (unsigned)me->peer_port, strerror(-error));
        if (alone) {
            node_log(node, NODE_LOG_WARNING, "No other node can reach this one: %s", message);
            return peers;
        }
        peers_free(peers);
        return NULL;
    }
    return peers;
}

void peers_free(struct peers *peers)
{
    if (peers->listener != NULL) {
        io_listener_close(peers->listener);
    }
    links_free(peers);
    for (node_index i = 0; i < MEMBERS_MAX; i++) {
        pieces_drop(peers, &peers->peer[i]);
    }
    reply_free(&peers->reply);
    free(peers);
}

/* --- Figures -------------------------------------------------------------------------------- */

const struct peer_stats *peers_stats(const struct peers *peers, node_index peer)
{
    return &peers->peer[peer].stats;
}

void peers_reset_stats(struct peers *peers)
{
    for (node_index i = 0; i < MEMBERS_MAX; i++) {
        peers->peer[i].stats = (struct peer_stats){ 0 };
    }
}

size_t peers_queued(const struct peers *peers, node_index peer)
{
    size_t n = 0;
    for (unsigned lane = 0; lane < LANES; lane++) {
        const struct link *link = peers->peer[peer].link[lane];
        n += link != NULL ? link_queued(link) : 0;
    }
    return n;
}

/* --- Up and down ---------------------------------------------------------------------------- */

bool peers_connected(const struct peers *peers, node_index peer)
{
    return peers->peer[peer].link[LANE_CONTROL] != NULL &&
           peers->peer[peer].link[LANE_DATA] != NULL;
}

bool peers_alive(const struct peers *peers, node_index peer)
{
    bool alive = peers_connected(peers, peer);
    for (unsigned lane = 0; lane < LANES && alive; lane++) {
        alive = !io_stream_ended(peers->peer[peer].link[lane]->stream);
    }
    return alive;
}

uint16_t peers_wire_version(const struct peers *peers, node_index peer)
{
    return peers_connected(peers, peer) ? peers->peer[peer].link[LANE_CONTROL]->version : 0;
}

bool peers_all_speak(const struct peers *peers, uint16_t version)
{
    bool all = true;
    for (node_index i = 0; i < MEMBERS_MAX; i++) {
        all = all && (!peers_connected(peers, i) || peers_wire_version(peers, i) >= version);
    }
    return all;
}

/* Both connections of a peer go together, and with them everything that was asked over them: what
 * comes next may be another life of that process, to which our answers would mean something else.
 */
static void lose_peer(struct peers *peers, node_index index, const char *why)
{
    peers->look_at = 0;
    node_stir(peers->node);
    struct peer *peer = &peers->peer[index];
    bool was_up = peer->up;
    bool was_linked = false; /* one connection is enough to have sent something */
    peer->lost_at = was_up ? io_now(peers->node->io) : peer->lost_at;
    peer->leaves_at = 0;
    for (unsigned lane = 0; lane < LANES; lane++) {
        struct link *link = peer->link[lane];
        peer->link[lane] = NULL;
        if (link != NULL) {
            was_linked = true;
            link_drop(link, why);
        }
    }
    peer->up = false;
    if (index > peers->me) {
        peer->dial_at[LANE_CONTROL] = peer->dial_at[LANE_DATA] = 0;
    }
    peer->space = LOG_SPACE_OK;
    health_peer(peers->node, index, false);
    contact_lost(peers->node, index);
    council_lost(peers->node, index);
    pieces_drop(peers, peer);
    if (was_up || was_linked) {
        router_peer_down(peers->node->router, index);
    }
    if (!was_up) {
        return;
    }
    transfers_peer(peers->node, index, false);
    repairer_peer(peers->node->zero, index, false);
    if (peers->node->stopping) {
        return;
    }
    peers->node->stats.peer_reconnects++;
    peer->stats.losses++;
    node_log(peers->node, NODE_LOG_NOTICE, "Lost node %u", (unsigned)peers->node->known[index].id);
    replica_peer(peers->node->zero->replica, index, false);
    members_lost(peers->node, index);
}

void peers_link_up(struct peers *peers, struct link *link)
{
    struct peer *peer = &peers->peer[link->peer];
    if (peer->link[link->lane] != NULL) {
        lose_peer(peers, link->peer, "a newer connection of the same peer");
    }
    peer->link[link->lane] = link;
    if (peers_connected(peers, link->peer)) {
        peer->up = true;
        peer->refused_for = 0;
        node_log(peers->node, NODE_LOG_NOTICE, "Connected to node %u",
                 (unsigned)peers->node->known[link->peer].id);
        uint8_t space = (uint8_t)peers->node->space;
        link_send(peer->link[LANE_CONTROL], FRAME_SPACE, span_of(&space, 1), (struct span){ 0 },
                  false);
        alarm_tell_all(peers->node, link->peer);
        leaders_connected(peers->node, link->peer);
        places_tell(peers->node, link->peer);
        reports_connected(peers->node, link->peer);
        standing_anew(peers->node, link->peer);
        health_peer(peers->node, link->peer, true);
        contact_connected(peers->node, link->peer);
        replica_peer(peers->node->zero->replica, link->peer, true);
        transfers_peer(peers->node, link->peer, true);
        repairer_peer(peers->node->zero, link->peer, true);
    }
}

void peers_link_down(struct peers *peers, struct link *link)
{
    if (peers->peer[link->peer].link[link->lane] == link) { /* else it was replaced */
        lose_peer(peers, link->peer, "its other connection closed");
    }
}

void peers_refused(struct peers *peers, node_index index)
{
    struct peer *peer = &peers->peer[index];
    qr_time now = io_now(peers->node->io);
    peers->look_at = 0;
    peers->node->stats.peer_refused++;
    if (peer->refused_for == 0) {
        peer->refused_for = REFUSED_INTERVAL;
    } else if (now >= peer->refused_at + peer->refused_for / 2) { /* not the other lane's */
        qr_time twice = 2 * peer->refused_for;
        peer->refused_for = twice < REFUSED_INTERVAL_MAX ? twice : REFUSED_INTERVAL_MAX;
    }
    peer->refused_at = now;
    for (unsigned lane = 0; lane < LANES; lane++) {
        peer->dial_at[lane] = now + peer->refused_for;
    }
}

qr_time peers_lost_at(const struct peers *peers, node_index peer)
{
    return peers->peer[peer].lost_at;
}

bool peers_claim(const struct peers *peers, node_index peer, struct claim *out)
{
    if (!peers_connected(peers, peer)) {
        return false;
    }
    *out = peers->peer[peer].link[LANE_CONTROL]->claim;
    return out->made;
}

/* --- Coming and going ----------------------------------------------------------------------- */

void peers_known(struct peers *peers)
{
    peers->look_at = 0;
    for (node_index i = peers->end; i < MEMBERS_MAX; i++) {
        peers->end = peers->node->known[i].id != 0 ? i + 1 : peers->end;
    }
    for (node_index i = 0; i < peers->end; i++) {
        struct peer *peer = &peers->peer[i];
        qr_time soon = peer->refused_at + REFUSED_INTERVAL;
        for (unsigned lane = 0; lane < LANES && peer->refused_for != 0; lane++) {
            peer->dial_at[lane] = soon < peer->dial_at[lane] ? soon : peer->dial_at[lane];
        }
        peer->refused_for = 0; /* what stood in the way may be gone */
    }
}

bool peers_leave(struct peers *peers, node_index index, bool at_once)
{
    struct peer *peer = &peers->peer[index];
    for (unsigned lane = 0; lane < LANES; lane++) {
        if (peer->dialing[lane] != NULL && peer->dialing[lane]->state != LINK_DIALING) {
            link_drop(peer->dialing[lane], "another node has its place");
        }
    }
    if (!peer->up || at_once) {
        lose_peer(peers, index, "it takes part no more");
        peer->stats = (struct peer_stats){ 0 };
        return false;
    }
    if (peer->leaves_at == 0) {
        peer->leaves_at = io_now(peers->node->io) + LEAVE_TIME;
        peers->look_at = 0;
    }
    return true;
}

void peers_stay(struct peers *peers, node_index index)
{
    peers->peer[index].leaves_at = 0;
}

void peers_retire(struct peers *peers)
{
    peers->look_at = 0;
    peers->retires_at = io_now(peers->node->io) + LEAVE_TIME;
}

/* Those whose time has come hear why. */
static void let_go(struct peers *peers, qr_time now)
{
    bool retired = peers->retires_at != 0 && now >= peers->retires_at;
    for (node_index i = 0; i < peers->end; i++) {
        struct peer *peer = &peers->peer[i];
        if (peer->up && retired) {
            lose_peer(peers, i, "this node takes part no more");
        } else if (peer->up && peer->leaves_at != 0 && now >= peer->leaves_at) {
            if (members_has_gone(peers->node, &peer->link[LANE_CONTROL]->claim)) {
                link_dismiss(peer->link[LANE_CONTROL]);
            }
            lose_peer(peers, i, "it takes part no more");
        }
    }
}

/* When to dial, if at all: the higher index at once, the other after a while. */
static qr_time dial_at(struct peers *peers, node_index i, unsigned lane, qr_time now)
{
    struct peer *peer = &peers->peer[i];
    bool first = i < peers->me;
    if (peers->node->known[i].id == 0 || i == peers->me || peers->retires_at != 0 ||
        peer->leaves_at != 0 || peer->link[lane] != NULL || peer->dialing[lane] != NULL) {
        return QR_NEVER;
    }
    if (!first && peer->dial_at[lane] == 0) {
        peer->dial_at[lane] = now + SECOND_DIAL_INTERVAL;
    }
    return peer->dial_at[lane];
}

qr_time peers_housekeeping(struct peers *peers, qr_time now)
{
    if (now < peers->look_at) {
        return peers->look_at;
    }
    qr_time next = now + LOOK_INTERVAL;
    let_go(peers, now);
    for (node_index i = 0; i < peers->end; i++) {
        struct peer *peer = &peers->peer[i];
        qr_time interval = i < peers->me ? DIAL_INTERVAL : SECOND_DIAL_INTERVAL;
        for (unsigned lane = 0; lane < LANES; lane++) {
            qr_time at = dial_at(peers, i, lane, now);
            if (now >= at) {
                at = peer->dial_at[lane] = now + interval;
                link_dial(peers, i, (enum lane)lane);
            }
            next = at < next ? at : next;
        }
    }
    link_expire_young(peers, now - YOUNG_TIME);
    peers->look_at = next;
    return next;
}

/* --- Sending -------------------------------------------------------------------------------- */

/* One message always fits: a command may be as large as the bound. */
static bool has_room(struct peers *peers, node_index to, struct link *link, uint16_t version,
                     size_t n)
{
    if (link != NULL && link->version >= version &&
        (link_queued(link) == 0 || link_queued(link) + n <= PEER_OUTPUT_BYTES_MAX)) {
        return true;
    }
    peers->node->stats.peer_messages_dropped++;
    peers->peer[to].stats.dropped++;
    return false;
}

/* Small urgent messages have a lane of their own, which bulk never fills. While there is no bulk
 * they go with the others: of thousands of groups some have one in each turn, and a second lane
 * costs a write, and at the other end a wake-up and a read. Group 0's stay apart. */
static struct link *lane_for(struct peers *peers, node_index to, uint32_t group, bool control)
{
    struct link *data = peers->peer[to].link[LANE_DATA];
    bool shared = group != 0 && data != NULL && data->out.n <= LINK_LIGHT_BYTES &&
                  peers->node->clock - data->heavy_at > LINK_LIGHT_AFTER;
    return control && !shared ? peers->peer[to].link[LANE_CONTROL] : data;
}

void peers_send(struct peers *peers, node_index to, uint32_t group, uint16_t kind, enum haste haste,
                struct span body, qr_slot lo, qr_slot hi, qr_term term, struct span records)
{
    uint8_t head[PROTOCOL_HEAD_BYTES + 4096];
    struct link *link = lane_for(peers, to, group, haste == SEND_CONTROL);
    uint16_t version = frame_wire_version(FRAME_PROTOCOL, group);
    if (!has_room(peers, to, link, version, body.n + records.n)) {
        return;
    }
    struct wire_writer w = wire_writer(head, sizeof head);
    wire_put_u32(&w, group);
    wire_put_u16(&w, kind);
    wire_put_u64(&w, lo);
    wire_put_u64(&w, hi);
    wire_put_u64(&w, term);
    wire_put_bytes(&w, body.p, body.n);
    qr_assert(!w.bad);
    peers->node->stats.peer_messages_sent++;
    bool hurries = link->hurries || haste != SEND_SOON;
    link_send(link, FRAME_PROTOCOL, span_of(head, w.n), records, true);
    link->hurries = hurries;
}

bool peers_may_forward(const struct peers *peers, node_index peer)
{
    return peers_connected(peers, peer) &&
           link_queued(peers->peer[peer].link[LANE_DATA]) < PEER_OUTPUT_BYTES_MAX / 2;
}

void peers_forward(struct peers *peers, node_index to, uint32_t group,
                   const struct forward *forward, struct span op)
{
    uint8_t head[FORWARD_HEAD_BYTES + WANTS_BYTES];
    struct wire_writer w = wire_writer(head, sizeof head);
    qr_assert(peers_connected(peers, to));
    struct link *link = peers->peer[to].link[LANE_DATA];
    bool wants = link->version >= WIRE_VERSION_LEVELS && wants_travel(&forward->wants);
    wire_put_u64(&w, forward->id);
    wire_put_u32(&w, forward->epoch);
    wire_put_u8(&w, forward->version);
    wire_put_u32(&w, forward->sender);
    wire_put_u8(&w, (uint8_t)((forward->after_reads ? FORWARD_AFTER_READS : 0) |
                              (wants ? FORWARD_WANTS : 0) | (forward->aside ? FORWARD_ASIDE : 0)));
    qr_assert(w.n == FORWARD_HEAD_BYTES);
    if (wants) {
        wants_put(&w, &forward->wants, peers->node->clock);
    }
    (void)io_failpoint(peers->node->io, FAIL_FORWARD);
    link_send_group(link, group, FRAME_FORWARD, span_of(head, w.n), op, false);
    (void)io_failpoint(peers->node->io, FAIL_FORWARDED);
}

void peers_tell_space(struct peers *peers, enum log_space space)
{
    uint8_t byte = (uint8_t)space;
    for (node_index i = 0; i < peers->end; i++) {
        if (peers->peer[i].link[LANE_CONTROL] != NULL) {
            link_send(peers->peer[i].link[LANE_CONTROL], FRAME_SPACE, span_of(&byte, 1),
                      (struct span){ 0 }, false);
        }
    }
}

void peers_tell(struct peers *peers, node_index to, uint8_t kind, struct span head)
{
    peers_tell_group(peers, to, 0, kind, head);
}

static bool hears(const struct link *link)
{
    return link != NULL && link_queued(link) <= PEER_OUTPUT_BYTES_MAX;
}

bool peers_hears(const struct peers *peers, node_index to)
{
    return hears(peers->peer[to].link[LANE_CONTROL]);
}

void peers_tell_group(struct peers *peers, node_index to, uint32_t group, uint8_t kind,
                      struct span head)
{
    uint16_t version = frame_wire_version(kind, group);
    for (node_index i = 0; i < peers->end; i++) {
        struct link *link = peers->peer[i].link[LANE_CONTROL];
        if ((to == NODE_NONE || to == i) && hears(link) && link->version >= version) {
            link_send_group(link, group, kind, head, (struct span){ 0 }, false);
        }
    }
}

bool peers_bulk_room(const struct peers *peers, node_index to)
{
    return peers_connected(peers, to) &&
           link_queued(peers->peer[to].link[LANE_DATA]) <= SNAPSHOT_OUTPUT_BYTES;
}

bool peers_send_bulk(struct peers *peers, node_index to, uint8_t kind, struct span head,
                     struct span tail)
{
    return peers_send_bulk_group(peers, to, 0, kind, head, tail);
}

bool peers_send_bulk_group(struct peers *peers, node_index to, uint32_t group, uint8_t kind,
                           struct span head, struct span tail)
{
    struct link *link = peers->peer[to].link[LANE_DATA];
    if (link == NULL || link->version < frame_wire_version(kind, group)) {
        return false;
    }
    link_send_group(link, group, kind, head, tail, false);
    return true;
}

enum log_space peers_space(const struct peers *peers)
{
    enum log_space worst = LOG_SPACE_OK;
    for (node_index i = 0; i < peers->end; i++) {
        worst = peers->peer[i].space > worst ? peers->peer[i].space : worst;
    }
    return worst;
}

void peers_flush(struct peers *peers)
{
    qr_time at = QR_NEVER;
    for (node_index i = 0; i < peers->end; i++) {
        if (peers->peer[i].long_replies != NULL) {
            pieces_send(peers, &peers->peer[i]);
        }
        for (unsigned lane = 0; lane < LANES; lane++) {
            struct link *link = peers->peer[i].link[lane];
            if (link != NULL && (link->out.n > 0 || link->corked)) {
                link_flush_soon(link);
                qr_time due = link_deadline(link);
                at = due < at ? due : at;
            }
        }
    }
    peers->push_at = at != QR_NEVER ? at : 0;
}

qr_time peers_deadline(const struct peers *peers)
{
    return peers->push_at != 0 ? peers->push_at : QR_NEVER;
}

size_t peers_queued_most(const struct peers *peers)
{
    size_t most = 0;
    for (node_index i = 0; i < peers->end; i++) {
        for (unsigned lane = 0; lane < LANES; lane++) {
            const struct link *link = peers->peer[i].link[lane];
            most = max_u64(most, link != NULL ? link_queued(link) : 0);
        }
    }
    return most;
}

uint32_t peers_strangers(const struct peers *peers)
{
    return peers->stranger_count;
}
