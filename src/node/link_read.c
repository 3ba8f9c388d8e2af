/* What a connection brings: read as it comes, taken a slice at a time.
 *
 * S1 The frames of a connection are taken in their order, and in each turn as many as
 *    PEERS_SLICE_USEC allow. Thousands of groups speak at once when a node is lost or comes back,
 *    or a keyspace is made: what they say holds up neither the loop nor the other connections.
 * S2 The protocol of group 0 and the leases of nodes go ahead of all that waits, in their own
 *    order. Among groups there is no order: those of group 0 and the rest are as on two lanes.
 * S3 What waits is bounded: past PEER_HELD_BYTES_MAX the socket is not read.
 * S4 What waits when the connection closes is lost, as if it had been on its way. */
#include "node/link.h"

#include "base/alloc.h"
#include "node/node.h"
#include "node/replica.h"
#include "node/run.h"

#include <stdlib.h>
#include <string.h>

#define STRANGER_FRAME_BYTES_MAX 1024u /* before the handshake is done */
#define READ_BYTES (256 * KIB)
/* A frame is as much work as its bytes divided by this, and one. So much is done whatever the clock
 * says: where the machine gives this process little time, turns of a few frames would cost more
 * than the frames do. Then the clock is looked at, and again after so much more. */
#define WORK_BYTES 256u
#define WORK_AT_LEAST 256u
#define WORK_BETWEEN_LOOKS 64u
#define FRAMES_AHEAD 12u /* whose memory is asked for at once */

bool peers_hold(const struct peers *peers)
{
    return peers->held > 0;
}

static size_t waiting(const struct link *link)
{
    return link->in_n - link->in_at;
}

size_t peers_held_most(const struct peers *peers)
{
    size_t most = 0;
    for (const struct link *link = peers->links; link != NULL && peers->held > 0;
         link = link->next) {
        most = link->held ? max_u64(most, waiting(link)) : most;
    }
    return most;
}

static void complain(struct link *link)
{
    node_log(link->peers->node, NODE_LOG_WARNING,
             "A peer connection sent bytes that are no frame for it; closing it");
    link_drop(link, "malformed frame");
}

/* --- In order -------------------------------------------------------------------------------- */

/* The group that a message of the protocol is about. */
static bool speaks_of(const struct frame *f, uint32_t *group)
{
    if (f->kind != FRAME_PROTOCOL || f->head.n < 4) {
        return false;
    }
    *group = wire_load_u32(f->head.p);
    return true;
}

/* Of thousands of groups each is spoken of now and then, and what a message about one touches has
 * left the caches since: asked for together with what the next ones touch, it is waited for once.
 * Returns the place behind the frames that were looked at. */
static size_t look_ahead(const struct link *link)
{
    const struct partition *ahead[FRAMES_AHEAD];
    uint32_t n = 0;
    size_t at = link->in_at;
    for (uint32_t i = 0; i < FRAMES_AHEAD; i++) {
        struct frame frame;
        size_t bytes;
        struct span rest = span_of(link->in + at, link->in_n - at);
        if (frame_peek(rest, &frame, &bytes) != FRAME_COMPLETE) {
            break;
        }
        at += bytes;
        uint32_t group;
        const struct partition *p = NULL;
        if (speaks_of(&frame, &group) && group != 0) { /* group 0's is at hand */
            p = partition_of_group(link->peers->node, group);
        }
        if (p != NULL && p->replica != NULL) {
            ahead[n++] = p;
            replica_prefetch(p->replica);
        }
    }
    for (uint32_t i = 0; i < n; i++) {
        replica_prefetch_step(ahead[i]->replica, link->peer);
    }
    return at;
}

/* True: no whole frame is left. */
static bool take_some(struct link *link, qr_time until)
{
    size_t work = 0, allowed = WORK_AT_LEAST, looked = 0;
    while (!link->closing) {
        struct frame frame;
        size_t bytes = 0;
        if (link->in_at >= looked && link->state == LINK_UP) {
            looked = look_ahead(link);
        }
        if (work >= allowed) {
            if (node_clock(link->peers->node) >= until) {
                return false;
            }
            allowed = work + WORK_BETWEEN_LOOKS;
        }
        enum frame_result result =
            frame_read(span_of(link->in + link->in_at, waiting(link)), &frame, &bytes);
        if (link->state != LINK_UP && bytes > STRANGER_FRAME_BYTES_MAX) {
            result = FRAME_BAD;
        }
        if (result == FRAME_INCOMPLETE) {
            return true;
        }
        if (result == FRAME_BAD || !link_take(link, &frame)) {
            complain(link);
            return true;
        }
        link->in_at += bytes;
        work += 1 + bytes / WORK_BYTES;
    }
    return true;
}

/* --- Ahead of the others (S2) ---------------------------------------------------------------- */

static bool goes_ahead(const struct frame *f)
{
    uint32_t group;
    return speaks_of(f, &group) ? group == 0 : f->kind == FRAME_RENEW || f->kind == FRAME_RENEWED;
}

/* Takes those out of what has come since this was done last; the others move up. */
static void take_ahead(struct link *link)
{
    struct frame frame;
    size_t bytes;
    size_t at = link->looked_at > link->in_at ? link->looked_at : link->in_at;
    size_t kept = at;
    while (!link->closing) {
        struct span rest = span_of(link->in + at, link->in_n - at);
        if (frame_peek(rest, &frame, &bytes) != FRAME_COMPLETE) {
            break; /* what is bad is found to be when its turn comes */
        }
        if (!goes_ahead(&frame)) {
            memmove(link->in + kept, rest.p, kept != at ? bytes : 0);
            kept += bytes;
        } else if (frame_read(rest, &frame, &bytes) != FRAME_COMPLETE || !link_take(link, &frame)) {
            complain(link);
        }
        at += bytes;
    }
    memmove(link->in + kept, link->in + at, link->in_n - at);
    link->in_n -= at - kept;
    link->looked_at = kept;
}

/* --- What waits ------------------------------------------------------------------------------ */

void link_forget_rest(struct link *link)
{
    if (link->held) {
        link->held = false;
        link->peers->held--;
    }
}

static void go_on(struct link *link, qr_time until)
{
    struct node *node = link->peers->node;
    if (take_some(link, until)) {
        link_forget_rest(link);
    }
    if (link->closing) {
        return;
    }
    beats_heard(&node->contact.beats, link->peer, node->clock); /* it has said more than was read */
    if (link->paused && (!link->held || waiting(link) < PEER_HELD_BYTES_MAX / 2)) {
        link->paused = false;
        io_stream_read(link->stream, true);
    }
}

void peers_turn(struct peers *peers)
{
    qr_time now = peers->held > 0 ? node_clock(peers->node) : 0;
    qr_time end = now + PEERS_SLICE_USEC - peers->reading_took;
    uint32_t left = peers->held;
    for (struct link *link = peers->links; link != NULL && left > 0; link = link->next) {
        if (link->held) {
            now = node_clock(peers->node);
            go_on(link, now < end ? now + (end - now) / left : now);
            left--;
        }
    }
    peers->reading_took = 0;
}

/* --- The stream ------------------------------------------------------------------------------ */

void link_buffer(struct io_stream *stream, uint8_t **p, size_t *n)
{
    struct link *link = io_stream_owner(stream);
    if (link->held && waiting(link) >= PEER_HELD_BYTES_MAX) {
        link->paused = true;
        *n = 0;
        return;
    }
    if (link->in_at > 0) {
        memmove(link->in, link->in + link->in_at, waiting(link));
        link->in_n -= link->in_at;
        link->looked_at -= link->looked_at > link->in_at ? link->in_at : link->looked_at;
        link->in_at = 0;
    }
    if (link->in_n == 0 && link->in_cap > LINK_KEPT_BYTES) {
        free(link->in);
        link->in = NULL;
        link->in_cap = 0;
    }
    size_t want = link->state == LINK_UP ? READ_BYTES : 2 * STRANGER_FRAME_BYTES_MAX;
    if (link->in_cap - link->in_n < want) {
        size_t cap = link->in_cap * 2 > link->in_n + want ? link->in_cap * 2 : link->in_n + want;
        link->in = qr_realloc(link->in, cap);
        link->in_cap = cap;
    }
    *p = link->in + link->in_n;
    *n = link->in_cap - link->in_n;
}

/* Of what this turn has for frames the first connection gets a half, and so on. */
static qr_time share_ends(const struct peers *peers, qr_time now)
{
    qr_time left = PEERS_SLICE_USEC - peers->reading_took;
    return left > 0 ? now + left / 2 : now;
}

void link_received(struct io_stream *stream, size_t n)
{
    struct link *link = io_stream_owner(stream);
    struct peers *peers = link->peers;
    qr_time began = node_clock(peers->node);
    bool is_up = link->state == LINK_UP;
    link->in_n += n;
    if (is_up) {
        io_plain(peers->node->io);
    }
    if (link->peer != NODE_NONE) {
        peers->peer[link->peer].stats.bytes_received += n;
        beats_heard(&peers->node->contact.beats, link->peer, peers->node->clock);
    }
    if (!link->held && !take_some(link, is_up ? share_ends(peers, began) : QR_NEVER)) {
        link->held = true;
        link->looked_at = link->in_at;
        peers->held++;
    }
    if (link->held) {
        take_ahead(link);
    }
    peers->reading_took += node_clock(peers->node) - began;
}
