#include "peer_world.h"

#include "base/alloc.h"
#include "command/op.h"
#include "node/health.h"
#include "node/reports.h"
#include "node/join.h"
#include "node/members.h"
#include "node/quarantine.h"
#include "node/replica.h"
#include "node/run.h"
#include "node/repair.h"
#include "node/snapshot.h"
#include "protocol/raft/raft_messages.h"
#include "tests/unit/log/disk.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* The calls below know no world but through a node or a stream; io is the disk, its user is this.
 */
static struct world *the_world;

static void tell(uint8_t frame, node_index from, struct span fields, struct span attached)
{
    struct told *told = &the_world->told;
    told->count++;
    told->frame = frame;
    told->from = from;
    told->bytes.n = 0;
    frame_append(&told->bytes, frame, fields, attached, false);
}

void schedule_wake(struct partition *partition)
{
    qr_assert(partition->group == 0 || partition->replica != NULL);
}

void replica_prefetch_step(const struct replica *r, node_index from)
{
    qr_assert(r != NULL && from < MEMBERS_MAX);
}

struct partition *partition_of_group(const struct node *node, uint32_t group)
{
    (void)node;
    return group == 0 ? &the_world->zero : group == WORLD_GROUP ? &the_world->other : NULL;
}

bool quarantine_receive(struct partition *partition, node_index from, struct span head)
{
    (void)partition;
    return from < MEMBERS_MAX && head.n >= 17;
}

bool health_receive(struct node *node, node_index from, struct span head)
{
    (void)node;
    return from < MEMBERS_MAX && head.n >= 6;
}

bool contact_receive(struct node *node, node_index from, uint8_t kind, struct span head)
{
    (void)node;
    (void)from;
    return kind == FRAME_BEAT ? head.n == 0 : head.n == 16;
}

void contact_connected(struct node *node, node_index peer)
{
    (void)node;
    (void)peer;
}

void contact_lost(struct node *node, node_index peer)
{
    (void)node;
    (void)peer;
}

void health_peer(struct node *node, node_index peer, bool up)
{
    (void)node;
    (void)peer;
    (void)up;
}

qr_wall io_wall(struct io *io)
{
    return 1700000000000000 + io_now(io);
}

/* --- io: streams ---------------------------------------------------------------------------- */

void io_stream_open(struct io_stream *s, const struct io_stream_callbacks *callbacks, void *owner)
{
    s->callbacks = callbacks;
    s->owner = owner;
}

void io_plain(struct io *io)
{
    (void)io;
}

void *io_stream_owner(const struct io_stream *s)
{
    return s->owner;
}

void io_stream_read(struct io_stream *s, bool on)
{
    (void)s;
    (void)on;
}

void io_stream_close(struct io_stream *s)
{
    s->closing = true;
}

void io_stream_finish(struct io_stream *s)
{
    s->closing = true;
}

void io_stream_dismiss(struct io_stream *s)
{
    s->closing = true;
}

void io_stream_unheard_max(struct io_stream *s, uint32_t ms)
{
    (void)s, (void)ms;
}

void io_stream_cork(struct io_stream *s, bool on)
{
    s->corked = on;
}

bool io_stream_ended(const struct io_stream *s)
{
    (void)s;
    return false;
}

size_t io_stream_queued(const struct io_stream *s)
{
    (void)s;
    return 0;
}

void io_stream_write(struct io_stream *s, const void *p, size_t n)
{
    qr_assert(s->open && !s->connecting);
    const struct link *link = s->owner;
    struct frame frame;
    size_t bytes;
    for (size_t at = 0; at < n; at += bytes) { /* whole frames, which the other side knows */
        struct span rest = span_of((const uint8_t *)p + at, n - at);
        qr_assert(frame_read(rest, &frame, &bytes) == FRAME_COMPLETE);
        qr_assert(frame_wire_version(frame.kind, frame.group) <= link->version);
        qr_assert(frame.kind != FRAME_PROTOCOL || link->version >= WIRE_VERSION_GROUPS ||
                  wire_load_u32(frame.head.p) == 0);
    }
    struct outbox *o = &s->sent;
    o->p = qr_realloc(o->p, o->n + n);
    memcpy(o->p + o->n, p, n);
    o->n += n;
}

void io_stream_give(struct io_stream *s, void *p, size_t n)
{
    io_stream_write(s, p, n);
    free(p);
}

void io_stream_peer_name(const struct io_stream *s, char *p, size_t n)
{
    (void)s;
    (void)snprintf(p, n, "127.0.0.1:1");
}

int io_listen(struct io *io, const char *address, uint16_t port, int backlog,
              void (*on_accept)(void *context, struct io_stream *stream), void *context,
              struct io_listener **out)
{
    (void)io;
    (void)address;
    (void)port;
    (void)backlog;
    the_world->on_accept = on_accept;
    the_world->accept_context = context;
    *out = (struct io_listener *)the_world;
    return 0;
}

void io_listener_close(struct io_listener *listener)
{
    (void)listener;
}

int io_connect(struct io *io, const char *address, uint16_t port,
               void (*on_connect)(void *context, struct io_stream *stream, int error),
               void *context, struct io_stream **out)
{
    (void)io;
    (void)address;
    (void)port;
    struct io_stream *s = peer_world_stream(the_world);
    if (s == NULL) {
        return -EMFILE;
    }
    s->dialed = s->connecting = true;
    s->on_connect = on_connect;
    s->context = context;
    *out = s;
    return 0;
}

void io_random(struct io *io, void *p, size_t n)
{
    (void)io;
    for (size_t i = 0; i < n; i++) {
        ((uint8_t *)p)[i] = (uint8_t)(the_world->chance++ * 37 + 11);
    }
}

/* --- The node around the peers -------------------------------------------------------------- */

void node_log_rarely(struct node *node, enum node_log_level level, const char *format, ...)
{
    (void)node, (void)level, (void)format;
}

void node_log(struct node *node, enum node_log_level level, const char *format, ...)
{
    char line[1024];
    va_list arguments;
    (void)node;
    (void)level;
    va_start(arguments, format);
    (void)vsnprintf(line, sizeof line, format, arguments); /* the arguments can be read */
    va_end(arguments);
}

void node_fail(struct node *node, const char *why)
{
    (void)node, (void)why;
    qr_unreachable(); /* the disk is well */
}

bool replica_receive(struct replica *r, node_index from, uint16_t kind, struct span body,
                     qr_slot lo, qr_slot hi, qr_term term, struct span records)
{
    (void)r;
    qr_assert(from < MEMBERS_MAX && from != ME);
    void *message = qr_zalloc(raft_codec.body_max);
    bool valid = raft_codec.decode(kind, body, message);
    free(message);
    if (!valid) {
        return false;
    }
    uint8_t fields[PROTOCOL_HEAD_BYTES + 4096];
    struct wire_writer w = wire_writer(fields, sizeof fields);
    wire_put_u32(&w, 0);
    wire_put_u16(&w, kind);
    wire_put_u64(&w, lo);
    wire_put_u64(&w, hi);
    wire_put_u64(&w, term);
    wire_put_bytes(&w, body.p, body.n);
    qr_assert(!w.bad);
    tell(FRAME_PROTOCOL, from, span_of(fields, w.n), records);
    if (the_world->states != NULL) {
        peer_world_state(the_world, the_world->states, the_world->roster_slot + 1);
        the_world->states = NULL;
    }
    return true;
}

void replica_outlook(const struct replica *r, struct outlook *out)
{
    (void)r;
    *out = (struct outlook){ .counts = the_world->counts };
}

uint32_t replica_roster_changes(const struct replica *r)
{
    (void)r;
    return the_world->roster_changes;
}

bool replica_has_removed(const struct replica *r, const uint8_t uuid[16])
{
    (void)r;
    static const uint8_t nobody[16] = { 0 };
    return memcmp(uuid, the_world->removed, 16) == 0 && memcmp(uuid, nobody, 16) != 0;
}

void reports_passed(struct node *node, node_index index)
{
    (void)node;
    the_world->passed[index]++;
}

void replica_peer(struct replica *r, node_index peer, bool up)
{
    (void)r;
    qr_assert(peer < MEMBERS_MAX && peer != ME);
    qr_assert(the_world->up[peer] != up);
    the_world->up[peer] = up;
}

void transfers_peer(struct node *node, node_index peer, bool up)
{
    (void)node;
    (void)up;
    qr_assert(peer < MEMBERS_MAX && peer != ME);
}

bool snapshot_receive(struct partition *partition, node_index from, const struct frame *frame)
{
    (void)partition;
    qr_assert(from < MEMBERS_MAX && from != ME);
    tell(frame->kind, from, frame->head, frame->tail);
    return true;
}

void repairer_peer(struct partition *partition, node_index peer, bool up)
{
    (void)partition;
    (void)up;
    qr_assert(peer < MEMBERS_MAX && peer != ME);
}

bool repairer_receive(struct partition *partition, node_index from, const struct frame *frame)
{
    (void)partition;
    qr_assert(from < MEMBERS_MAX && from != ME);
    tell(frame->kind, from, frame->head, frame->tail);
    return true;
}

void router_unpark(struct router *router, node_index peer)
{
    (void)router;
    qr_assert(peer < MEMBERS_MAX && peer != ME);
}

bool router_relayed(struct router *router, node_index peer, uint32_t group,
                    const struct forward *forward, struct span op)
{
    struct op read;
    (void)router, (void)group;
    if (!op_read(op, &read) || (forward->version != 2 && forward->version != 3)) {
        return false;
    }
    uint8_t fields[FORWARD_HEAD_BYTES + WANTS_BYTES];
    struct wire_writer w = wire_writer(fields, sizeof fields);
    wire_put_u64(&w, forward->id);
    wire_put_u32(&w, forward->epoch);
    wire_put_u8(&w, forward->version);
    wire_put_u32(&w, forward->sender);
    bool wants = wants_travel(&forward->wants);
    wire_put_u8(&w, (uint8_t)((forward->after_reads ? FORWARD_AFTER_READS : 0) |
                              (wants ? FORWARD_WANTS : 0)));
    if (wants) {
        wants_put(&w, &forward->wants, the_world->node.clock);
    }
    tell(FRAME_FORWARD, peer, span_of(fields, w.n), op);
    return true;
}

void router_reply(struct router *router, node_index from, uint64_t id, enum qr_status status,
                  const struct shown *shown, struct span reply)
{
    (void)router;
    uint8_t fields[REPLY_HEAD_BYTES + SHOWN_BYTES];
    struct wire_writer w = wire_writer(fields, sizeof fields);
    wire_put_u64(&w, id);
    wire_put_u8(&w, (uint8_t)status);
    if (shown->slot != 0) { /* the fuzzer's always have one where the version knows it */
        shown_put(&w, shown);
    }
    tell(FRAME_REPLY, from, span_of(fields, w.n), reply);
}

bool router_piece(struct router *router, node_index peer, uint32_t group, uint64_t id,
                  struct span bytes)
{
    (void)router, (void)peer, (void)group;
    qr_assert(bytes.n > 0);
    return id % 2 == 0;
}

void router_credit(struct router *router, node_index from, uint64_t id, uint64_t bytes)
{
    (void)router, (void)from, (void)id, (void)bytes;
}

void router_reply_piece(struct router *router, node_index from, uint64_t id, struct span bytes)
{
    (void)router, (void)from, (void)id, (void)bytes;
}

void router_peer_down(struct router *router, node_index peer)
{
    (void)router;
    qr_assert(peer < MEMBERS_MAX && peer != ME);
}

void stream_detach(struct stream *stream)
{
    (void)stream;
}

/* --- Members: those that the cluster was made with ------------------------------------------ */

const struct roster *replica_roster(const struct replica *r, qr_slot *slot)
{
    (void)r;
    *slot = the_world->roster_slot;
    return &the_world->roster;
}

const struct roster *replica_applied_roster(const struct replica *r, qr_slot *slot)
{
    return replica_roster(r, slot);
}

bool replica_leads(const struct replica *r)
{
    (void)r;
    return false;
}

bool join_asked(struct link *link, struct span head)
{
    struct join_request request;
    qr_assert(link->state == LINK_JOINS);
    return join_request_read(head, &request);
}

void peer_world_state(struct world *w, const struct roster *roster, qr_slot slot)
{
    w->roster = *roster;
    w->roster_slot = slot;
    w->roster_changes++;
}

/* --- The world ------------------------------------------------------------------------------ */

static void make_identity(struct world *w)
{
    struct config config = { .node_id = ME + 1, .bootstrap = true, .member_count = MEMBERS };
    char message[512];
    (void)snprintf(config.dir, sizeof config.dir, "data");
    (void)snprintf(config.cluster_id, sizeof config.cluster_id, "%032d", 7);
    for (uint32_t i = 0; i < MEMBERS; i++) {
        config.members[i] = (struct member_config){ .id = i + 1, .client_port = 7001 };
        (void)snprintf(config.members[i].address, sizeof config.members[i].address, "127.0.0.1");
    }
    qr_assert(identity_open(w->disk, &config, &w->node.identity, message, sizeof message));
}

struct world *peer_world_new(void)
{
    struct world *w = qr_zalloc(sizeof *w);
    char message[512];
    the_world = w;
    w->zero.node = &w->node;
    w->node.zero = &w->zero;
    w->other = (struct partition){ .node = &w->node, .group = WORLD_GROUP };
    w->other.replica = (struct replica *)w; /* never looked into */
    w->disk = disk_new();
    disk_advance(w->disk, 100 * QR_SECOND);
    w->node.io = w->disk;
    (void)snprintf(w->node.config.cluster_secret, sizeof w->node.config.cluster_secret, "secret");
    make_identity(w);
    w->node.peers = peers_new(&w->node, message, sizeof message);
    qr_assert(w->node.peers != NULL);
    identity_roster(&w->node.identity, &w->roster);
    members_follow(&w->node);
    return w;
}

void peer_world_free(struct world *w)
{
    w->node.stopping = true;
    peers_free(w->node.peers);
    identity_close(&w->node.identity);
    disk_free(w->disk);
    for (uint32_t i = 0; i < STREAMS_MAX; i++) {
        free(w->stream[i].sent.p);
    }
    outbox_free(&w->told.bytes);
    free(w);
}

struct io_stream *peer_world_stream(struct world *w)
{
    for (uint32_t i = 0; i < STREAMS_MAX; i++) {
        if (!w->stream[i].open) {
            free(w->stream[i].sent.p);
            w->stream[i] = (struct io_stream){ .world = w, .open = true };
            return &w->stream[i];
        }
    }
    return NULL;
}

void peer_world_settle(struct world *w)
{
    for (uint32_t i = 0; i < STREAMS_MAX; i++) {
        struct io_stream *s = &w->stream[i];
        if (s->open && s->closing && !s->connecting) {
            if (s->callbacks != NULL) { /* else it was turned away at once */
                s->callbacks->on_close(s, 0);
            }
            s->open = false;
            i = UINT32_MAX; /* it may have closed others */
        }
    }
}

void peer_world_receive(struct io_stream *s, struct span bytes, size_t longest)
{
    while (bytes.n > 0 && s->open && !s->closing && !s->connecting) {
        uint8_t *p;
        size_t n;
        s->callbacks->buffer(s, &p, &n);
        qr_assert(n > 0);
        n = min_u64(n, min_u64(longest, bytes.n));
        memcpy(p, bytes.p, n);
        s->callbacks->on_read(s, n);
        bytes = span_of(bytes.p + n, bytes.n - n);
    }
}

/* Bounded, counted, and nobody is up who is not proven on both connections. */
void peer_world_check(struct world *w)
{
    const struct peers *peers = w->node.peers;
    uint32_t strangers = 0;
    for (const struct link *link = peers->links; link != NULL; link = link->next) {
        strangers += !link->dialed && link->state != LINK_UP;
        qr_assert(link->in_at <= link->in_n && link->in_n <= link->in_cap);
        qr_assert(link->state == LINK_UP || link->in_cap <= 16 * KIB);
        qr_assert(link->state != LINK_UP || (link->peer < MEMBERS_MAX && link->peer != ME));
    }
    qr_assert(strangers == peers->stranger_count && strangers <= STRANGERS_MAX);
    for (node_index i = 0; i < MEMBERS_MAX; i++) {
        qr_assert(peers->peer[i].up == w->up[i]);
        qr_assert(!w->up[i] || peers_connected(peers, i));
    }
}

bool leaders_receive(struct node *node, node_index from, struct span head)
{
    (void)node;
    qr_assert(from < MEMBERS_MAX && from != ME);
    tell(FRAME_LEADS, from, head, (struct span){ 0 });
    return true;
}

void leaders_connected(struct node *node, node_index peer)
{
    (void)node;
    qr_assert(peer < MEMBERS_MAX && peer != ME);
}
