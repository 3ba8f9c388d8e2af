/* A node's connections to its peers: what link.c makes of any bytes and any order of events. Frames
 * that are right arrive at the replica and the router as they were sent, however they are cut;
 * nobody gets in without the cluster's secret; memory is bounded.
 *
 * The input is a list of steps (feed.h). */
#include "feed.h"
#include "fuzz.h"
#include "peer_world.h"

#include "base/alloc.h"
#include "protocol/raft/raft_messages.h"
#include "tests/unit/log/disk.h"

#include <errno.h>
#include <string.h>

#define STEPS_MAX 120u

static void send_frame(struct io_stream *s, uint8_t kind, struct span head, struct span tail,
                       bool records, size_t longest)
{
    struct outbox out = { 0 };
    frame_append(&out, kind, head, tail, records);
    peer_world_receive(s, span_of(out.p, out.n), longest);
    outbox_free(&out);
}

/* Any frame, about any group. */
static void send_any(struct io_stream *s, struct feed *f)
{
    struct outbox out = { 0 };
    struct span head = feed_bytes(f, feed_u8(f));
    uint8_t kind = (uint8_t)feed_below(f, FRAME_KINDS + 1);
    struct span tail = feed_bytes(f, feed_u8(f));
    unsigned flags = feed_u8(f);
    frame_append_group(&out, flags >> 1, kind, head, tail, flags & 1);
    peer_world_receive(s, span_of(out.p, out.n), 50);
    outbox_free(&out);
}

/* --- The handshake, as an honest member plays it; `lie` makes it differ in one place --------- */

static struct greeting greeting_of(const struct io_stream *s, node_index from, uint8_t lane)
{
    const struct identity *me = &s->world->node.identity;
    struct greeting g = { .version = WIRE_VERSION,
                          .oldest = WIRE_VERSION_OLDEST,
                          .from = me->members[from].id,
                          .to = me->node_id,
                          .uuid = { from },
                          .nonce = { 9 },
                          .lane = lane };
    memcpy(g.cluster, me->cluster, 16);
    return g;
}

static void lie_about(struct greeting *g, unsigned lie)
{
    uint8_t *const places[] = { &g->cluster[3], &g->uuid[1], &g->nonce[1] };
    if (lie < 3) {
        *places[lie] ^= 1;
    } else if (lie < 6) {
        uint32_t *const numbers[] = { &g->from, &g->to };
        *numbers[lie % 2] += lie;
    } else if (lie == 6) {
        g->version = g->oldest = WIRE_VERSION + 1;
    } else if (lie == 7) {
        g->lane = LANES;
    } else if (lie == 8) {
        g->to = 0; /* it wants to join */
    } else if (lie < 11) {
        g->version =
            lie == 9 ? WIRE_VERSION_GROUPS - 1 : WIRE_VERSION_OLDEST; /* not upgraded yet */
    }
}

/* The first frame of that kind among what the node has written; an empty span when there is none.
 */
static struct span sent_frame(const struct io_stream *s, uint8_t kind)
{
    struct span in = span_of(s->sent.p, s->sent.n);
    struct frame frame;
    size_t bytes;
    while (in.n > 0) {
        qr_assert(frame_read(in, &frame, &bytes) == FRAME_COMPLETE); /* it writes whole frames */
        if (frame.kind == kind) {
            return frame.head;
        }
        in = span_of(in.p + bytes, in.n - bytes);
    }
    return (struct span){ 0 };
}

static void say_hello(struct io_stream *s, struct feed *f)
{
    struct greeting g = greeting_of(s, 2 * (feed_u8(f) & 1), (uint8_t)feed_below(f, LANES));
    lie_about(&g, feed_below(f, 24));
    hello_write(s->hello, &g);
    send_frame(s, FRAME_HELLO, span_of(s->hello, HELLO_BYTES), (struct span){ 0 }, false, 1000);
}

/* What the honest member says of itself; a lie makes it another index, or newer than it can be. */
static struct claim claim_of(const struct greeting *g, unsigned lie)
{
    struct claim claim = { .made = lie != 3, .index = (node_index)(g->from - 1) };
    claim.client_port = 7001;
    claim.peer_port = 17001;
    claim.index = lie == 4 ? (node_index)(g->nonce[0] % MEMBERS_MAX) : claim.index;
    claim.slot = lie == 5 ? g->nonce[0] : 0;
    claim.index = claim.index < MEMBERS_MAX ? claim.index : NODE_NONE;
    strcpy(claim.address, "127.0.0.1");
    return claim;
}

/* The dialer's last word: the proof over what was said. */
static void say_proof(struct io_stream *s, struct feed *f)
{
    uint8_t proof[PROOF_BYTES_MAX];
    struct span welcome = sent_frame(s, FRAME_WELCOME);
    struct greeting g;
    if (welcome.n == 0 || !hello_read(span_of(s->hello, HELLO_BYTES), &g)) {
        return;
    }
    unsigned lie = feed_below(f, 16);
    struct claim claim = claim_of(&g, lie);
    size_t n = proof_write(proof, &claim, span_of(s->hello, HELLO_BYTES), welcome,
                           lie == 1 ? "wrong" : "secret");
    proof[0] ^= lie == 2;
    struct link *link = s->owner;
    bool may = link->state == LINK_EXPECTS_PROOF && !s->closing;
    struct link before = *link;
    send_frame(s, FRAME_PROOF, span_of(proof, n), (struct span){ 0 }, false, 1000);
    bool in = link->state == LINK_UP || link->state == LINK_JOINS;
    qr_assert(!may || lie == 1 || lie == 2 || s->closing || in);
    qr_assert(before.state == LINK_UP || link->state != LINK_UP || (lie != 1 && lie != 2));
}

/* To one whom the node has dialed: the answer to its HELLO. */
static void say_welcome(struct io_stream *s, struct feed *f)
{
    uint8_t out[WELCOME_BYTES_MAX];
    struct span hello = sent_frame(s, FRAME_HELLO);
    struct greeting g = greeting_of(s, 2 * (feed_u8(f) & 1), 0);
    unsigned lie = feed_below(f, 24);
    lie_about(&g, lie);
    if (hello.n == HELLO_BYTES) {
        bool was_up = ((struct link *)s->owner)->state == LINK_UP;
        struct claim claim = claim_of(&g, lie);
        size_t n = welcome_write(out, &g, &claim, hello, lie == 10 ? "wrong" : "secret");
        send_frame(s, FRAME_WELCOME, span_of(out, n), (struct span){ 0 }, false, 1000);
        bool up = ((struct link *)s->owner)->state == LINK_UP;
        qr_assert(was_up || !up || (lie != 10 && lie != 0 && lie != 6));
    }
}

/* --- Frames for a connection that is up ----------------------------------------------------- */

/* The frame must arrive as it was sent. */
static void send_right(struct io_stream *s, uint8_t kind, struct span head, struct span tail,
                       bool records, struct feed *f)
{
    const struct link *link = s->owner;
    struct told *told = &s->world->told;
    uint32_t count = told->count;
    bool up = link->state == LINK_UP && !link->closing && link->in_n == link->in_at;
    node_index from = link->peer;
    send_frame(s, kind, head, tail, records, 1 + feed_u16(f));
    if (up) {
        struct outbox want = { 0 };
        frame_append(&want, kind, head, tail, false);
        qr_assert(!s->closing && told->count == count + 1 && told->from == from);
        qr_assert(told->bytes.n == want.n && memcmp(told->bytes.p, want.p, want.n) == 0);
        outbox_free(&want);
    }
}

static void send_message(struct io_stream *s, struct feed *f)
{
    uint8_t head[PROTOCOL_HEAD_BYTES + 512];
    uint16_t kind = (uint16_t)(1 + feed_below(f, 11));
    uint64_t *body = qr_zalloc(raft_codec.body_max);
    struct wire_writer w = wire_writer(head, sizeof head);
    raft_codec.random(kind, feed_u16(f), body);
    wire_put_u32(&w, 0);
    wire_put_u16(&w, kind);
    wire_put_u64(&w, feed_u16(f));
    wire_put_u64(&w, feed_u16(f));
    wire_put_u64(&w, feed_u16(f));
    qr_assert(raft_codec.encode(kind, body, &w));
    free(body);
    send_right(s, FRAME_PROTOCOL, span_of(head, w.n), feed_bytes(f, feed_u16(f)), true, f);
}

static void send_reply(struct io_stream *s, struct feed *f)
{
    uint8_t head[REPLY_HEAD_BYTES + SHOWN_BYTES];
    struct wire_writer w = wire_writer(head, sizeof head);
    const struct link *link = s->owner;
    wire_put_u64(&w, feed_u64(f));
    wire_put_u8(&w, feed_u8(f) % 4);
    if (link->version >= WIRE_VERSION_LEVELS) {
        struct shown shown = { .slot = 1 + feed_u16(f), .has_stale = feed_u8(f) % 2 == 0 };
        shown.stale = (uint64_t)feed_u16(f) * QR_MILLISECOND;
        shown.replayed = feed_u8(f) % 2 == 0;
        shown_put(&w, &shown);
    }
    send_right(s, FRAME_REPLY, span_of(head, w.n), feed_bytes(f, feed_u16(f)), false, f);
}

static void send_forward(struct io_stream *s, struct feed *f)
{
    uint8_t head[FORWARD_HEAD_BYTES + WANTS_BYTES], bytes[64 + 512];
    const struct link *link = s->owner;
    bool wants = link->version >= WIRE_VERSION_LEVELS && feed_u8(f) % 2 == 0;
    struct wire_writer w = wire_writer(head, sizeof head);
    struct span argument = feed_bytes(f, feed_u8(f));
    struct op op = { .stamp = feed_u16(f), .tag = 1, .level = SEMANTICS_LEVEL };
    wire_put_u64(&w, feed_u64(f));
    wire_put_u32(&w, feed_u16(f));
    wire_put_u8(&w, 2 + feed_u8(f) % 2);
    wire_put_u32(&w, feed_u16(f));
    wire_put_u8(&w, (uint8_t)((feed_u8(f) & FORWARD_AFTER_READS) | (wants ? FORWARD_WANTS : 0)));
    if (wants) {
        wants_put(&w,
                  &(struct wants){ .level = (uint8_t)feed_below(f, READ_LEVELS),
                                   .least = 1 + feed_u16(f),
                                   .bound = feed_u64(f),
                                   .bound_is_operations = feed_u8(f) % 2 == 0 },
                  s->world->node.clock);
    }
    op_write(bytes, &op, &argument, 1);
    send_right(s, FRAME_FORWARD, span_of(head, w.n), span_of(bytes, op_bytes(&argument, 1)), false,
               f);
}

/* --- Steps ---------------------------------------------------------------------------------- */

static void accept_one(struct world *w)
{
    struct io_stream *s = peer_world_stream(w);
    if (s != NULL) {
        w->on_accept(w->accept_context, s);
    }
}

static void pass_time(struct world *w, struct feed *f)
{
    disk_advance(w->disk, (qr_time)feed_u8(f) * 20 * QR_MILLISECOND);
    (void)peers_housekeeping(w->node.peers, io_now(w->disk));
}

/* A dial succeeds or fails. */
static void connect_one(struct io_stream *s, bool succeeds)
{
    if (s->connecting) {
        s->connecting = false;
        s->open = succeeds;
        s->on_connect(s->context, succeeds ? s : NULL, succeeds ? 0 : -ECONNREFUSED);
    }
}

static void say_something(struct world *w, struct feed *f)
{
    node_index to = 2 * (feed_u8(f) & 1);
    struct span bytes = feed_bytes(f, feed_u8(f));
    switch (feed_below(f, 6)) {
    case 4:
        peers_tell_group(w->node.peers, NODE_NONE, (uint32_t)bytes.n / 2, FRAME_BEAT, bytes);
        break;
    case 5:
        (void)peers_send_bulk_group(w->node.peers, to, (uint32_t)bytes.n / 2, FRAME_SNAPSHOT_DATA,
                                    bytes, bytes);
        break;
    case 0:
        peers_send(w->node.peers, to, (uint32_t)bytes.n / 2, RAFT_VOTE, SEND_CONTROL, bytes, 1, 2,
                   3, bytes);
        break;
    case 1:
        reply_reset(peers_reply_buffer(w->node.peers));
        reply_raw(peers_reply_buffer(w->node.peers), bytes);
        peers_reply(w->node.peers, to, 7, STATUS_OK, &(struct shown){ .slot = 3 });
        break;
    case 2:
        if (peers_may_forward(w->node.peers, to)) {
            struct forward forward = { .id = 1, .epoch = 2, .version = 3, .after_reads = true };
            forward.wants.level = (uint8_t)(bytes.n % 2);
            peers_forward(w->node.peers, to, 0, &forward, bytes);
        }
        break;
    default:
        peers_tell_space(w->node.peers, bytes.n % 2 == 0);
    }
    peers_flush(w->node.peers);
}

static void on_stream(struct io_stream *s, unsigned what, struct feed *f)
{
    struct span bytes;
    switch (what) {
    case 0:
        bytes = feed_bytes(f, feed_u16(f));
        peer_world_receive(s, bytes, 1 + feed_u8(f));
        break;
    case 1:
        send_any(s, f);
        break;
    case 2:
        say_hello(s, f);
        break;
    case 3:
        s->dialed ? say_welcome(s, f) : say_proof(s, f);
        break;
    case 4:
        send_message(s, f);
        break;
    case 5:
        send_reply(s, f);
        break;
    case 6:
        send_forward(s, f);
        break;
    default:
        s->closing = true;
    }
}

static void step(struct world *w, struct feed *f)
{
    unsigned what = feed_below(f, 16);
    struct io_stream *s = &w->stream[feed_below(f, STREAMS_MAX)];
    switch (what) {
    case 8:
    case 9:
        accept_one(w);
        break;
    case 10:
        pass_time(w, f);
        break;
    case 11:
    case 12:
        connect_one(s, feed_u8(f) % 4 != 0);
        break;
    case 13:
        say_something(w, f);
        break;
    default:
        if (s->open && !s->connecting && !s->closing) {
            on_stream(s, what % 8, f);
        }
    }
    peer_world_settle(w);
    peer_world_check(w);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct feed f = { .p = data, .n = n };
    struct world *w = peer_world_new();
    for (uint32_t i = 0; i < STEPS_MAX && f.n > 0; i++) {
        step(w, &f);
    }
    peer_world_free(w);
    return 0;
}
