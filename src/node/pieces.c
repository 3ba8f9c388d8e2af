/* Replies to other nodes, and what goes to them in pieces (router_cargo.c). */
#include "node/link.h"

#include "base/alloc.h"
#include "node/node.h"

/* A reply that waits to be sent in pieces; of large values it has references only. */
struct long_reply {
    struct long_reply *next;
    uint64_t id;
    enum qr_status status;
    struct shown shown;
    struct reply reply;
    struct reply_place place;
    size_t left; /* bytes to go */
};

static struct link *data_link(const struct peers *peers, node_index peer)
{
    return peers->peer[peer].link[LANE_DATA];
}

static void put_id(uint8_t *head, uint64_t id)
{
    wire_store_u64(head, id);
}

/* --- Pieces --------------------------------------------------------------------------------- */

bool peers_takes_piece(const struct peers *peers, node_index peer)
{
    const struct link *link = data_link(peers, peer);
    return peers_connected(peers, peer) && link_queued(link) < PIECES_QUEUED_BYTES;
}

void peers_piece(struct peers *peers, node_index to, uint32_t group, uint64_t id, struct span bytes)
{
    uint8_t head[PIECE_HEAD_BYTES];
    put_id(head, id);
    link_send_group(data_link(peers, to), group, FRAME_PIECE, span_of(head, sizeof head), bytes,
                    false);
}

void peers_credit(struct peers *peers, node_index to, uint64_t id, uint64_t bytes)
{
    uint8_t head[CREDIT_HEAD_BYTES];
    struct link *link = data_link(peers, to);
    if (link != NULL) {
        put_id(head, id);
        wire_store_u64(head + 8, bytes);
        link_send(link, FRAME_CREDIT, span_of(head, sizeof head), (struct span){ 0 }, false);
    }
}

/* --- Replies -------------------------------------------------------------------------------- */

struct reply *peers_reply_buffer(struct peers *peers)
{
    return &peers->reply;
}

bool peers_reply_congested(const struct peers *peers, node_index to)
{
    const struct link *link = data_link(peers, to);
    bool long_ones = peers->peer[to].long_replies != NULL;
    return link != NULL && (long_ones || link_queued(link) > RELAY_OUTPUT_BYTES_MAX);
}

size_t peers_long_most(const struct peers *peers)
{
    size_t most = 0;
    for (node_index i = 0; i < peers->end; i++) {
        most = max_u64(most, peers->peer[i].long_bytes);
    }
    return most;
}

static void send_reply(struct link *link, uint64_t id, enum qr_status status,
                       const struct shown *shown, struct span reply)
{
    uint8_t head[REPLY_HEAD_BYTES + SHOWN_BYTES];
    struct wire_writer w = wire_writer(head, sizeof head);
    wire_put_u64(&w, id);
    wire_put_u8(&w, (uint8_t)status);
    qr_assert(w.n == REPLY_HEAD_BYTES);
    if (link->version >= WIRE_VERSION_LEVELS) {
        shown_put(&w, shown);
    }
    link_send(link, FRAME_REPLY, span_of(head, w.n), reply, false);
}

/* To a peer that knows no pieces: in one message, as far as one can hold it. */
static void send_whole(struct peers *peers, struct link *link, uint64_t id, enum qr_status status,
                       const struct shown *shown)
{
    struct reply *reply = &peers->reply;
    struct reply_place place = { 0 };
    struct reply whole;
    reply_init(&whole, reply->version);
    if (reply_bytes(reply) <= REPLY_BYTES_MAX) {
        for (struct span s; (s = reply_slice(reply, &place)).n > 0;) {
            reply_raw(&whole, s);
            reply_pass(reply, &place, s.n);
        }
    } else {
        reply_error(&whole, "ERR reply is too long for the version that this node runs");
    }
    send_reply(link, id, status, shown, span_of(whole.p, whole.n));
    reply_free(&whole);
}

static void keep_long(struct peers *peers, struct peer *peer, uint64_t id, enum qr_status status,
                      const struct shown *shown)
{
    struct long_reply **last = &peer->long_replies;
    while (*last != NULL) {
        last = &(*last)->next;
    }
    struct long_reply *l = qr_zalloc(sizeof *l);
    l->id = id;
    l->status = status;
    l->shown = *shown;
    l->reply = peers->reply;
    l->left = reply_bytes(&l->reply);
    peer->long_bytes += l->left;
    reply_init(&peers->reply, 2);
    *last = l;
}

void peers_reply(struct peers *peers, node_index to, uint64_t id, enum qr_status status,
                 const struct shown *shown)
{
    struct reply *reply = &peers->reply;
    struct link *link = data_link(peers, to);
    if (link == NULL) {
        return; /* it asked over a connection that is gone, and counts the answer as unknown */
    }
    if (link_queued(link) > CLIENT_OUTPUT_BYTES_KILL ||
        peers->peer[to].long_bytes > LONG_REPLIES_BYTES_MAX) {
        link_drop(link, "too many replies are queued for it");
        return;
    }
    (void)io_failpoint(peers->node->io, FAIL_REPLY_PEER);
    bool is_long = reply->parts != NULL || reply->n > LONG_REPLY_BYTES;
    if (is_long && link->version < WIRE_VERSION_PIECES) {
        send_whole(peers, link, id, status, shown);
    } else if (is_long) {
        keep_long(peers, &peers->peer[to], id, status, shown);
    } else {
        send_reply(link, id, status, shown, span_of(reply->p, reply->n));
    }
    (void)io_failpoint(peers->node->io, FAIL_REPLIED_PEER);
}

static void drop_first(struct peers *peers, struct peer *peer)
{
    struct long_reply *l = peer->long_replies;
    peer->long_replies = l->next;
    peer->long_bytes -= l->left;
    reply_discard_parts(&l->reply, engine_bin(peers->node->zero->engine));
    reply_free(&l->reply);
    free(l);
}

void pieces_drop(struct peers *peers, struct peer *peer)
{
    while (peer->long_replies != NULL) {
        drop_first(peers, peer);
    }
}

static void send_piece(struct link *link, struct peer *peer, struct span piece)
{
    struct long_reply *l = peer->long_replies;
    uint8_t head[PIECE_HEAD_BYTES];
    piece.n = (size_t)min_u64(piece.n, PIECE_BYTES);
    put_id(head, l->id);
    link_send(link, FRAME_REPLY_PIECE, span_of(head, sizeof head), piece, false);
    reply_pass(&l->reply, &l->place, piece.n);
    reply_shed(&l->reply, &l->place);
    qr_assert(l->left >= piece.n);
    l->left -= piece.n;
    peer->long_bytes -= piece.n;
}

void pieces_send(struct peers *peers, struct peer *peer)
{
    struct link *link = peer->link[LANE_DATA];
    for (uint32_t i = 0; peer->long_replies != NULL; i++) {
        struct long_reply *l = peer->long_replies;
        if (link_queued(link) >= PIECES_QUEUED_BYTES) {
            return; /* it goes on when the socket has taken some */
        }
        if (i == PIECES_PER_TURN) {
            peers->node->again = true;
            return;
        }
        struct span piece = reply_slice(&l->reply, &l->place);
        if (piece.n > 0) {
            send_piece(link, peer, piece);
        } else {
            send_reply(link, l->id, l->status, &l->shown, (struct span){ 0 });
            drop_first(peers, peer);
        }
    }
}
