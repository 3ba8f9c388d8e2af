/* How reads share the turns of the loop (R4).
 *
 * A turn executes reads for READS_TURN_USEC and READS_TURN_BYTES of replies, oldest first. Reads
 * that take long or have large replies stand in a queue of their own, so that a client which asks
 * for little never waits behind a thousand that ask for much. Of those each turn executes one at
 * least; while there is anything else to do, only a little of it and half of the time. */
#include "node/replica_internal.h"

/* A stream that is a whole node's tells nothing about the next read; its kind does. */
bool pace_is_large(const struct replica *r, const struct pending *p)
{
    const struct stream *stream = p->stream;
    if (p->op_bytes >= LARGE_READ_OP_BYTES) {
        return true;
    }
    if (stream->ordered) {
        return stream->read_usec > LARGE_READ_USEC || stream->read_bytes > LARGE_READ_BYTES;
    }
    const struct command_stats *stats = &r->node->command_stats[command_index(p->spec)];
    return stats->usec > stats->calls * LARGE_READ_USEC;
}

static bool is_turn_over(const struct replica *r)
{
    return r->node->clock >= io_turn_began(r->node->io) + READS_TURN_USEC;
}

bool pace_has_time(const struct replica *r)
{
    const struct reads_pace *pace = &r->pace;
    return pace->served == 0 || (pace->bytes < READS_TURN_BYTES && !is_turn_over(r));
}

bool pace_has_time_for_large(const struct replica *r)
{
    const struct reads_pace *pace = &r->pace;
    bool alone = pace->others + pace->others_before == 0;
    if (!alone && r->node->clock < pace->large_after) {
        return false;
    }
    size_t most = alone ? READS_TURN_BYTES : READS_TURN_BYTES / 8;
    return pace->served_large == 0 || (pace->bytes < most && !is_turn_over(r));
}

void pace_note_read(struct replica *r, const struct pending *p, qr_time took, size_t bytes)
{
    struct reads_pace *pace = &r->pace;
    pace->served++;
    pace->bytes += bytes;
    if (p->stream == NULL) {
        return;
    }
    if (pace_is_large(r, p)) {
        pace->served_large++;
        pace->large_took += took;
    } else {
        pace->others++;
    }
    uint64_t usec = (uint64_t)(took < QR_SECOND ? took : QR_SECOND);
    p->stream->read_usec = (uint32_t)((p->stream->read_usec * 3 + usec) / 4);
    p->stream->read_bytes = (p->stream->read_bytes * 3 + bytes) / 4;
}

void pace_note_write(struct replica *r)
{
    r->pace.others++;
}

void pace_end_turn(struct replica *r)
{
    struct reads_pace *pace = &r->pace;
    struct node *node = r->node;
    qr_time large_after = pace->large_after;
    if (pace->served_large > 0) {
        large_after = node->clock + pace->large_took;
    }
    *pace = (struct reads_pace){ .others_before = pace->others, .large_after = large_after };
    if (r->large.count > 0) {
        node->wake = large_after < node->wake ? large_after : node->wake;
    }
}
