#include "node/link.h"

#include "base/alloc.h"
#include "base/limits.h"
#include "cluster/map.h"
#include "node/join.h"
#include "node/members.h"
#include "node/node.h"
#include "node/replica.h"
#include "node/run.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* A connection whose other side acknowledges nothing for so long is given up, and another one is
 * dialed. Longer than what a bad line loses in a row. */
#define UNHEARD_MS 5000u
/* Whatever is in no hurry leaves that often. */
#define SOON_USEC QR_MILLISECOND

/* --- Going out ------------------------------------------------------------------------------ */

size_t link_queued(const struct link *link)
{
    return link->out.n + io_stream_queued(link->stream);
}

void link_send(struct link *link, uint8_t kind, struct span head, struct span tail,
               bool tail_is_records)
{
    link_send_group(link, 0, kind, head, tail, tail_is_records);
}

void link_send_group(struct link *link, uint32_t group, uint8_t kind, struct span head,
                     struct span tail, bool tail_is_records)
{
    qr_assert(link->version >= frame_wire_version(kind, group));
    frame_append_group(&link->out, group, kind, head, tail, tail_is_records);
    link->hurries = true;
    struct stats *stats = &link->peers->node->stats;
    if (link->peer != NODE_NONE) {
        link->peers->peer[link->peer].stats.sent[kind]++;
    }
    stats->peer_output_max = max_u64(stats->peer_output_max, link_queued(link));
}

/* The peer takes replies: its clients' reads that waited for that go on. */
static void unpark(struct link *link)
{
    if (link->state == LINK_UP) {
        router_unpark(link->peers->node->router, link->peer);
    }
}

void link_flush(struct link *link)
{
    if (link->out.n == 0 || link->closing) {
        return;
    }
    if (link->peer != NODE_NONE) {
        link->peers->peer[link->peer].stats.bytes_sent += link->out.n;
        link->peers->peer[link->peer].stats.writes++;
        beats_sent(&link->peers->node->contact.beats, link->peer, link->peers->node->clock);
    }
    (void)io_failpoint(link->peers->node->io, FAIL_PEER_FLUSH);
    bool heavy = link->out.n > LINK_LIGHT_BYTES;
    if (link->out.n > IO_GIVE_BYTES) {
        io_stream_give(link->stream, link->out.p, link->out.n);
        link->out = (struct outbox){ 0 };
    } else {
        io_stream_write(link->stream, link->out.p, link->out.n);
        link->out.n = 0;
    }
    (void)io_failpoint(link->peers->node->io, FAIL_PEER_FLUSHED);
    if (link_queued(link) == 0) {
        unpark(link); /* the kernel has taken all of it: nothing will be drained */
    } else {
        heavy = true;
    }
    link->heavy_at = heavy ? link->peers->node->clock : link->heavy_at;
}

qr_time link_deadline(const struct link *link)
{
    return link->corked ? link->pushed + SOON_USEC : QR_NEVER;
}

/* Each piece wakes the other node up, which costs both of them more than to take what is in it. So
 * entries that nobody waits for go as one piece, where they come quickly. They are with the kernel
 * before anybody hears that they are written: a process that is killed has sent them. */
void link_flush_soon(struct link *link)
{
    struct node *node = link->peers->node;
    bool due = link->hurries || node->clock >= link->pushed + SOON_USEC;
    if (!due && !link->corked) {
        link->corked = true;
        io_stream_cork(link->stream, true);
    }
    link_flush(link);
    link->hurries = false;
    if (due) {
        link->pushed = node->clock;
    }
    if (due && link->corked) {
        link->corked = false;
        io_stream_cork(link->stream, false);
    }
}

/* --- Life ----------------------------------------------------------------------------------- */

static struct link *link_new(struct peers *peers)
{
    struct link *link = qr_zalloc(sizeof *link);
    link->peers = peers;
    link->peer = NODE_NONE;
    link->since = io_now(peers->node->io);
    link->next = peers->links;
    if (peers->links != NULL) {
        peers->links->previous = link;
    }
    peers->links = link;
    return link;
}

static void link_free(struct link *link)
{
    struct peers *peers = link->peers;
    if (link->previous != NULL) {
        link->previous->next = link->next;
    } else {
        peers->links = link->next;
    }
    if (link->next != NULL) {
        link->next->previous = link->previous;
    }
    if (!link->dialed && link->state != LINK_UP) {
        peers->stranger_count--;
    }
    if (link->dialed && peers->peer[link->peer].dialing[link->lane] == link) {
        peers->peer[link->peer].dialing[link->lane] = NULL;
        peers->look_at = 0;
    }
    outbox_free(&link->out);
    link_forget_rest(link);
    free(link->in);
    free(link);
}

void links_free(struct peers *peers)
{
    while (peers->links != NULL) {
        link_free(peers->links);
    }
}

void link_drop(struct link *link, const char *why)
{
    if (!link->closing) {
        link->closing = true;
        node_log(link->peers->node, NODE_LOG_VERBOSE, "Peer connection closed: %s", why);
        io_stream_close(link->stream);
    }
}

static void on_close(struct io_stream *stream, int error)
{
    (void)error;
    struct link *link = io_stream_owner(stream);
    link->closing = true;
    if (link->state == LINK_UP) {
        peers_link_down(link->peers, link);
    }
    link_free(link);
}

void link_expire_young(struct peers *peers, qr_time since)
{
    for (struct link *link = peers->links; link != NULL; link = link->next) {
        if (link->state != LINK_UP && link->since < since) {
            link_drop(link, "it took too long to come about");
        }
    }
}

/* --- Handshake ------------------------------------------------------------------------------ */

/* What this node says of itself, to those who understand it. */
static struct claim claim_to(const struct link *link)
{
    struct claim claim = members_claim(link->peers->node);
    claim.made = link->version >= CLAIM_VERSION;
    return claim;
}

static struct greeting greeting_to(struct link *link, uint32_t to)
{
    const struct identity *me = &link->peers->node->identity;
    struct greeting g = { .version = WIRE_VERSION,
                          .oldest = WIRE_VERSION_OLDEST,
                          .from = me->node_id,
                          .to = to,
                          .lane = (uint8_t)link->lane };
    memcpy(g.cluster, me->cluster, 16);
    memcpy(g.uuid, me->uuid, 16);
    io_random(link->peers->node->io, g.nonce, NONCE_BYTES);
    return g;
}

/* Whether the greeting may be from a member of this cluster that looks for this one, or from one
 * that wants to be; refuses otherwise. */
static bool acceptable(struct link *link, const struct greeting *g)
{
    struct node *node = link->peers->node;
    struct identity *me = &node->identity;
    static const uint8_t unknown[16] = { 0 };
    if (g->version < WIRE_VERSION_OLDEST || g->oldest > WIRE_VERSION) {
        return link_refuse(
            link, "it speaks wire version %u..%u, this node %u..%u: upgrade one step at a time",
            g->oldest, g->version, WIRE_VERSION_OLDEST, WIRE_VERSION);
    }
    if (g->version < WIRE_VERSION_GROUPS && me->level >= MAP_LEVEL_KEYSPACES) {
        return link_refuse(link, "its version knows no level %u: start a newer one", me->level);
    }
    link->version = g->version < WIRE_VERSION ? g->version : WIRE_VERSION;
    link->joins = !link->dialed && g->to == 0 && link->version >= CLAIM_VERSION;
    bool any = link->joins && memcmp(g->cluster, unknown, 16) == 0;
    if (!any && memcmp(g->cluster, me->cluster, 16) != 0) {
        return link_refuse(link, "it belongs to another cluster: check the member addresses");
    }
    if (g->to != me->node_id && !link->joins) {
        return link_refuse(link,
                           "it looks for node %u, this is node %u: check the member addresses",
                           g->to, me->node_id);
    }
    if (g->from == me->node_id && !link->joins) {
        return link_refuse(link, "it calls itself node %u, as this one: check the member addresses",
                           g->from);
    }
    if (link->peer != NODE_NONE && node->known[link->peer].id != g->from) {
        return link_refuse(link, "node %u answered in the place of node %u", g->from,
                           node->known[link->peer].id);
    }
    return true;
}

/* After the proof: who is it, and is it the directory we know? */
static bool introduced(struct link *link, const struct greeting *g)
{
    struct node *node = link->peers->node;
    node_index index = link->peer;
    switch (members_meet(node, g, &link->claim, &index)) {
    case MEMBERS_WELCOME:
        if (link->peer != NODE_NONE && link->peer != index) {
            return link_refuse(link, "node %u is known under another index", g->from);
        }
        link->peer = index;
        memcpy(link->uuid, g->uuid, sizeof link->uuid);
        return true;
    case MEMBERS_NOT_ONE:
        return link_refuse(link, "node %u is not another member of this cluster", g->from);
    case MEMBERS_REMOVED:
        node_log_rarely(node, NODE_LOG_NOTICE, "Sent node %u away: it takes part no more", g->from);
        link_dismiss(link);
        return false;
    case MEMBERS_OTHER_DIRECTORY:
        return link_refuse(
            link,
            "node %u comes with another data directory than before: it may have "
            "forgotten what it acknowledged; start it with the old directory, or with "
            "an empty one and --join in place of --bootstrap",
            g->from);
    case MEMBERS_NOT_SAVED:
        return link_refuse(link, "its identity could not be saved to disk");
    }
    qr_unreachable();
}

static void become_up(struct link *link)
{
    if (!link->dialed) {
        link->peers->stranger_count--;
    } else {
        link->peers->peer[link->peer].dialing[link->lane] = NULL;
        link->peers->look_at = 0;
    }
    link->state = LINK_UP;
    peers_link_up(link->peers, link);
}

static bool on_hello(struct link *link, struct span head)
{
    struct greeting g;
    if (!hello_read(head, &g) || g.lane >= LANES) {
        return false;
    }
    memcpy(link->hello, head.p, HELLO_BYTES);
    link->lane = (enum lane)g.lane;
    if (!acceptable(link, &g)) {
        return true;
    }
    struct greeting mine = greeting_to(link, g.from);
    struct claim claim = claim_to(link);
    link->welcome_n = welcome_write(link->welcome, &mine, &claim, span_of(link->hello, HELLO_BYTES),
                                    link->peers->node->config.cluster_secret);
    link_send(link, FRAME_WELCOME, span_of(link->welcome, link->welcome_n), (struct span){ 0 },
              false);
    link_flush(link);
    link->state = LINK_EXPECTS_PROOF;
    return true;
}

static bool on_welcome(struct link *link, struct span head)
{
    struct greeting g;
    bool proven;
    const char *secret = link->peers->node->config.cluster_secret;
    struct span hello = span_of(link->hello, HELLO_BYTES);
    if (!welcome_read(head, &g, &link->claim, hello, secret, &proven)) {
        return false;
    }
    if (!acceptable(link, &g)) {
        return true;
    }
    if (!proven) {
        return !link_refuse(link, "its proof fails: the cluster-secret differs");
    }
    if (!introduced(link, &g)) {
        return true;
    }
    uint8_t proof[PROOF_BYTES_MAX];
    struct claim claim = claim_to(link);
    size_t n = proof_write(proof, &claim, hello, head, secret);
    link_send(link, FRAME_PROOF, span_of(proof, n), (struct span){ 0 }, false);
    link_flush(link);
    become_up(link);
    return true;
}

static bool on_proof(struct link *link, struct span head)
{
    struct greeting g;
    struct span hello = span_of(link->hello, HELLO_BYTES);
    if (!proof_holds(head, &link->claim, hello, span_of(link->welcome, link->welcome_n),
                     link->peers->node->config.cluster_secret)) {
        return !link_refuse(link, "its proof fails: the cluster-secret differs");
    }
    bool valid = hello_read(hello, &g);
    qr_assert(valid);
    if (link->joins) {
        link->state = LINK_JOINS;
    } else if (introduced(link, &g)) {
        become_up(link);
    }
    return true;
}

/* --- Frames --------------------------------------------------------------------------------- */

/* Before the connection is up. */
static bool on_early_frame(struct link *link, const struct frame *f)
{
    switch (link->state) {
    case LINK_EXPECTS_HELLO:
        return f->kind == FRAME_HELLO && on_hello(link, f->head);
    case LINK_EXPECTS_WELCOME:
        return f->kind == FRAME_WELCOME && on_welcome(link, f->head);
    case LINK_EXPECTS_PROOF:
        return f->kind == FRAME_PROOF && on_proof(link, f->head);
    case LINK_JOINS:
        return f->kind == FRAME_JOIN && join_asked(link, f->head);
    case LINK_DIALING:
    case LINK_UP:
        break;
    }
    return false;
}

bool link_take(struct link *link, const struct frame *f)
{
    members_look(link->peers->node);
    if (link->closing) {
        return true; /* another directory has the index now (members.h: I1) */
    }
    if (f->kind == FRAME_REFUSED) {
        link_refused(link, f->head, f->tail);
        return true;
    }
    if (link->state != LINK_UP) {
        return f->group == 0 && on_early_frame(link, f);
    }
    if (f->kind < FRAME_KINDS) {
        link->peers->peer[link->peer].stats.received[f->kind]++;
    }
    if (link->version < frame_wire_version(f->kind, f->group)) {
        return false;
    }
    return link_frame(link, f);
}

static void on_drained(struct io_stream *stream)
{
    unpark(io_stream_owner(stream));
}

static const struct io_stream_callbacks callbacks = {
    .on_read = link_received, .buffer = link_buffer, .on_drained = on_drained, .on_close = on_close
};

/* --- Beginning ------------------------------------------------------------------------------ */

static void open_stream(struct link *link)
{
    io_stream_open(link->stream, &callbacks, link);
    io_stream_unheard_max(link->stream, UNHEARD_MS);
}

static void on_connect(void *context, struct io_stream *stream, int error)
{
    struct link *link = context;
    if (error != 0) {
        link_free(link);
        return;
    }
    struct peers *peers = link->peers;
    link->stream = stream;
    link->state = LINK_EXPECTS_WELCOME;
    link->since = io_now(peers->node->io);
    open_stream(link);
    struct greeting g = greeting_to(link, peers->node->known[link->peer].id);
    hello_write(link->hello, &g);
    link_send(link, FRAME_HELLO, span_of(link->hello, HELLO_BYTES), (struct span){ 0 }, false);
    link_flush(link);
}

void link_dial(struct peers *peers, node_index peer, enum lane lane)
{
    const struct roster_node *m = &peers->node->known[peer];
    struct link *link = link_new(peers);
    link->dialed = true;
    link->peer = peer;
    link->lane = lane;
    link->state = LINK_DIALING;
    peers->peer[peer].dialing[lane] = link;
    int error =
        io_connect(peers->node->io, m->address, m->peer_port, on_connect, link, &link->stream);
    if (error != 0) {
        link_free(link);
    }
}

void link_accept(struct peers *peers, struct io_stream *stream)
{
    struct link *link = link_new(peers);
    link->stream = stream;
    link->state = LINK_EXPECTS_HELLO;
    peers->stranger_count++;
    open_stream(link);
}
