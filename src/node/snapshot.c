#include "node/snapshot.h"

#include "base/limits.h"
#include "node/node.h"
#include "node/snapshot_fetch.h"
#include "node/snapshot_source.h"
#include "node/transfers.h"

size_t snapshot_offer_write(const struct snapshot_offer *offer, uint8_t *p)
{
    struct wire_writer w = wire_writer(p, SNAPSHOT_HEAD_BYTES_MAX);
    wire_put_u64(&w, offer->file);
    wire_put_u64(&w, offer->slot);
    wire_put_u64(&w, offer->slot_term);
    wire_put_u64(&w, offer->bytes);
    qr_assert(!w.bad);
    return w.n;
}

/* The reading ones are false when the frame is malformed. */
static bool read_offer(struct span in, struct snapshot_offer *out)
{
    struct wire_reader r = wire_reader(in);
    out->file = wire_get_u64(&r);
    out->slot = wire_get_u64(&r);
    out->slot_term = wire_get_u64(&r);
    out->bytes = wire_get_u64(&r);
    return wire_finished(&r) && out->slot > 0 && out->slot_term > 0 && out->bytes > 0 &&
           out->bytes <= INT64_MAX;
}

size_t snapshot_piece_write(const struct snapshot_piece *piece, uint8_t *p)
{
    struct wire_writer w = wire_writer(p, SNAPSHOT_HEAD_BYTES_MAX);
    wire_put_u64(&w, piece->file);
    wire_put_u64(&w, piece->offset);
    wire_put_u32(&w, piece->n);
    wire_put_u8(&w, piece->busy ? 1 : 0);
    qr_assert(!w.bad);
    return w.n;
}

static bool read_piece(struct span in, struct snapshot_piece *out)
{
    struct wire_reader r = wire_reader(in);
    out->file = wire_get_u64(&r);
    out->offset = wire_get_u64(&r);
    out->n = wire_get_u32(&r);
    out->busy = wire_get_u8(&r) != 0;
    return wire_finished(&r) && out->offset <= INT64_MAX && out->n > 0 &&
           out->n <= SNAPSHOT_WINDOW_BYTES;
}

size_t snapshot_gone_write(uint64_t file, uint8_t *p)
{
    struct wire_writer w = wire_writer(p, SNAPSHOT_HEAD_BYTES_MAX);
    wire_put_u64(&w, file);
    return w.n;
}

static bool read_gone(struct span in, uint64_t *file)
{
    struct wire_reader r = wire_reader(in);
    *file = wire_get_u64(&r);
    return wire_finished(&r);
}

size_t snapshot_order_write(const struct snapshot_order *order, uint8_t *p)
{
    struct wire_writer w = wire_writer(p, SNAPSHOT_HEAD_BYTES_MAX);
    wire_put_u32(&w, order->member);
    wire_put_u64(&w, order->least);
    wire_put_u64(&w, order->most);
    qr_assert(!w.bad);
    return w.n;
}

static bool read_order(struct span in, struct snapshot_order *out)
{
    struct wire_reader r = wire_reader(in);
    out->member = wire_get_u32(&r);
    out->least = wire_get_u64(&r);
    out->most = wire_get_u64(&r);
    return wire_finished(&r) && out->member != 0 && out->least <= out->most;
}

size_t snapshot_progress_write(const struct snapshot_progress *progress, uint8_t *p)
{
    struct wire_writer w = wire_writer(p, SNAPSHOT_HEAD_BYTES_MAX);
    wire_put_u32(&w, progress->giver);
    wire_put_u64(&w, progress->slot);
    wire_put_u64(&w, progress->done);
    wire_put_u64(&w, progress->total);
    qr_assert(!w.bad);
    return w.n;
}

static bool read_progress(struct span in, struct snapshot_progress *out)
{
    struct wire_reader r = wire_reader(in);
    out->giver = wire_get_u32(&r);
    out->slot = wire_get_u64(&r);
    out->done = wire_get_u64(&r);
    out->total = wire_get_u64(&r);
    return wire_finished(&r) && out->giver != 0 && out->slot > 0 && out->done <= out->total;
}

void snapshot_peer(struct partition *partition, node_index peer, bool up)
{
    if (partition->fetch != NULL) {
        fetch_peer(partition->fetch, peer, up);
    }
    if (!up && partition->source != NULL) {
        source_peer_down(partition->source, peer);
    }
}

static bool on_data(struct partition *partition, node_index from, const struct frame *f)
{
    struct snapshot_piece piece;
    if (!read_piece(f->head, &piece) || f->tail.n != piece.n || piece.n > SNAPSHOT_PIECE_BYTES) {
        return false;
    }
    if (partition->fetch != NULL) {
        fetch_on_data(partition->fetch, from, &piece, f->tail);
    }
    return true;
}

static bool on_order(struct partition *partition, struct span head)
{
    struct snapshot_order order;
    const struct node *node = partition->node;
    if (!read_order(head, &order) || order.member == node->identity.node_id) {
        return false;
    }
    for (node_index i = 0; i < MEMBERS_MAX; i++) {
        if (node->known[i].id == order.member && transfers_source(partition) != NULL) {
            source_ordered(partition->source, i, order.least, order.most);
        }
    }
    return true;
}

static bool on_progress(struct partition *partition, node_index from, struct span head)
{
    struct snapshot_progress progress;
    if (!read_progress(head, &progress)) {
        return false;
    }
    if (transfers_source(partition) != NULL) {
        source_on_progress(partition->source, from, &progress);
    }
    return true;
}

bool snapshot_receive(struct partition *partition, node_index from, const struct frame *f)
{
    struct snapshot_offer offer;
    struct snapshot_piece piece;
    uint64_t file;
    partition_wake(partition);
    if (f->kind == FRAME_SNAPSHOT_DATA) {
        return on_data(partition, from, f);
    }
    if (f->tail.n > 0) {
        return false;
    }
    switch (f->kind) {
    case FRAME_SNAPSHOT_OFFER:
        if (!read_offer(f->head, &offer)) {
            return false;
        }
        if (transfers_fetch(partition) != NULL) {
            fetch_on_offer(partition->fetch, from, &offer);
        }
        return true;
    case FRAME_SNAPSHOT_READ:
        return read_piece(f->head, &piece) &&
               (transfers_source(partition) == NULL || /* it asks again */
                source_on_read(partition->source, from, &piece));
    case FRAME_SNAPSHOT_GONE:
        if (!read_gone(f->head, &file)) {
            return false;
        }
        if (partition->fetch != NULL) {
            fetch_on_gone(partition->fetch, from, file);
        }
        if (partition->source != NULL) {
            source_on_refused(partition->source, from, file);
        }
        return true;
    case FRAME_SNAPSHOT_GIVE:
        return on_order(partition, f->head);
    case FRAME_SNAPSHOT_PROGRESS:
        return on_progress(partition, from, f->head);
    default:
        return false;
    }
}
