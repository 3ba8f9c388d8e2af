#include "node/meta.h"

#include "node/node.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define OPENING_BYTES 4u /* "*2\r\n" */

void meta_begin(struct pending *p, struct reply *reply)
{
    p->meta_in = reply;
    p->meta_at = reply->n;
    reply_array(reply, 2);
    qr_assert(reply->discard || reply->n == p->meta_at + OPENING_BYTES);
}

static bool is_error(const struct reply *reply, size_t at)
{
    return reply->n > at && (reply->p[at] == '-' || reply->p[at] == '!');
}

static void field_null(struct reply *reply, const char *name)
{
    reply_bulk_text(reply, name);
    reply_null(reply);
}

/* "17-4211": the state of a partition, by its group, as far as a slot; "17-4211-2" when two of its
 * primaries were chosen with a loss (cluster/position.h). */
static void put_position(const struct pending *p, struct reply *reply)
{
    char bytes[48];
    struct text text = text_in(bytes, sizeof bytes);
    if (p->partition == NULL || p->shown.slot == 0) {
        field_null(reply, "position");
        return;
    }
    text_u64(&text, p->partition->group);
    text_put(&text, "-");
    text_u64(&text, position_slot(p->shown.slot));
    if (position_losses(p->shown.slot) != 0) {
        text_put(&text, "-");
        text_u64(&text, position_losses(p->shown.slot));
    }
    reply_field_text(reply, "position", bytes);
}

/* By its id, which an index is not: that goes to another node when its own is gone. */
static void put_replica(const struct pending *p, struct reply *reply)
{
    uint32_t id = p->shown.slot != 0 ? p->node->known[p->shown.by].id : 0;
    if (id == 0) {
        field_null(reply, "replica");
    } else {
        reply_field_integer(reply, "replica", id);
    }
}

static void put_stale(const struct pending *p, struct reply *reply)
{
    if (!p->shown.has_stale) {
        field_null(reply, "staleness_ms");
        return;
    }
    reply_field_integer(reply, "staleness_ms", (int64_t)shown_stale_ms(&p->shown));
}

void meta_end(struct pending *p)
{
    struct reply *reply = p->meta_in;
    size_t at = p->meta_at + OPENING_BYTES;
    p->meta_in = NULL;
    if (reply->discard) {
        return;
    }
    qr_assert(reply->n >= at);
    if (is_error(reply, at)) { /* which has no references, that would stand elsewhere then */
        memmove(reply->p + p->meta_at, reply->p + at, reply->n - at);
        reply->n -= OPENING_BYTES;
        return;
    }
    reply_map(reply, p->stream->put_session != NULL ? 5 : 4);
    put_position(p, reply);
    put_replica(p, reply);
    put_stale(p, reply);
    reply_field_integer(reply, "replayed", p->shown.replayed ? 1 : 0);
    if (p->stream->put_session != NULL) {
        p->stream->put_session(p, reply);
    }
}
