/* What unit tests want of a node of peer_world.h: a member that dials it, and its end. */
#include "peer_world.h"

#include <string.h>

static void send(struct io_stream *s, uint8_t kind, struct span head)
{
    struct outbox out = { 0 };
    frame_append(&out, kind, head, (struct span){ 0 }, false);
    peer_world_receive(s, span_of(out.p, out.n), 100000);
    outbox_free(&out);
}

static struct span sent(const struct io_stream *s, uint8_t kind)
{
    struct span in = span_of(s->sent.p, s->sent.n);
    struct frame frame;
    size_t bytes;
    while (frame_read(in, &frame, &bytes) == FRAME_COMPLETE) {
        if (frame.kind == kind) {
            return frame.head;
        }
        in = span_of(in.p + bytes, in.n - bytes);
    }
    return (struct span){ 0 };
}

bool peer_world_dial(struct world *w, struct io_stream *wire[LANES], uint32_t id, node_index index,
                     uint8_t directory, qr_slot since)
{
    uint8_t proof[PROOF_BYTES_MAX];
    const struct identity *me = &w->node.identity;
    struct claim claim = { .made = true, .index = index, .slot = since, .peer_port = 17001 };
    strcpy(claim.address, "127.0.0.1");
    claim.client_port = 7001;
    for (uint8_t lane = 0; lane < LANES; lane++) {
        struct greeting g = { .version = w->speaks != 0 ? w->speaks : WIRE_VERSION,
                              .oldest = WIRE_VERSION_OLDEST,
                              .from = id,
                              .to = me->node_id,
                              .uuid = { directory },
                              .nonce = { 9 },
                              .lane = lane };
        memcpy(g.cluster, me->cluster, 16);
        wire[lane] = peer_world_stream(w);
        w->on_accept(w->accept_context, wire[lane]);
        hello_write(wire[lane]->hello, &g);
        struct span hello = span_of(wire[lane]->hello, HELLO_BYTES);
        send(wire[lane], FRAME_HELLO, hello);
        size_t n = proof_write(proof, &claim, hello, sent(wire[lane], FRAME_WELCOME), "secret");
        send(wire[lane], FRAME_PROOF, span_of(proof, n));
    }
    return !wire[LANE_CONTROL]->closing && !wire[LANE_DATA]->closing;
}

void peer_world_end(struct world *w)
{
    peer_world_settle(w);
    peer_world_check(w);
    peer_world_free(w);
}
