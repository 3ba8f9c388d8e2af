/* How reads share the turns of the loop (R4).
 *
 * A turn executes reads for READS_TURN_USEC and READS_TURN_BYTES of replies, oldest first. Reads
 * that take long or have large replies stand in a queue of their own, so that a client which asks
 * for little never waits behind a thousand that ask for much. Of those each turn executes one at
 * least; while there is anything else to do, only a little of it and half of the time. */
#include "node/replica_internal.h"

bool pace_is_large(const struct replica *r, const struct pending *p)
{
    (void)r;
    const struct read_history *h = stream_reads_of(p);
    return p->op_bytes >= LARGE_READ_OP_BYTES || h->usec > LARGE_READ_USEC ||
           h->bytes > LARGE_READ_BYTES;
}

static bool is_turn_over(const struct replica *r)
{
    return r->node->clock >= io_turn_began(r->node->io) + READS_TURN_USEC;
}

bool pace_has_time(const struct replica *r)
{
    const struct reads_pace *pace = &r->bench->pace;
    return pace->served == 0 || (pace->bytes < READS_TURN_BYTES && !is_turn_over(r));
}

bool pace_has_time_for_large(const struct replica *r, uint32_t tried)
{
    const struct reads_pace *pace = &r->bench->pace;
    bool alone = pace->others + pace->others_before == 0;
    if (!alone && r->node->clock < pace->large_after) {
        return false;
    }
    size_t most = alone ? READS_TURN_BYTES : READS_TURN_BYTES / 8;
    return tried == 0 || (pace->bytes < most && !is_turn_over(r));
}

static uint32_t average(uint32_t so_far, uint64_t value)
{
    return (uint32_t)((so_far * 3ull + min_u64(value, UINT32_MAX)) / 4);
}

void pace_note_history(struct read_history *history, qr_time took, size_t bytes)
{
    history->usec = average(history->usec, (uint64_t)took);
    history->bytes = average(history->bytes, bytes);
}

void pace_note_read(struct replica *r, const struct pending *p, qr_time took, size_t bytes)
{
    struct reads_pace *pace = &r->bench->pace;
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
    pace_note_history(stream_reads_of(p), took, bytes);
}

void pace_note_write(struct replica *r)
{
    r->bench->pace.others++;
}

/* Those of this partition that are left have another turn. */
void pace_end_partition(struct replica *r)
{
    const struct reads_pace *pace = &r->bench->pace;
    if (r->large.count > 0) {
        qr_time took = pace->served_large > 0 ? r->node->clock + pace->large_took : 0;
        partition_wake_at(r->partition, took > pace->large_after ? took : pace->large_after);
    }
}

void pace_end_turn(struct workbench *bench, qr_time now)
{
    struct reads_pace *pace = &bench->pace;
    qr_time large_after = pace->served_large > 0 ? now + pace->large_took : pace->large_after;
    *pace = (struct reads_pace){ .others_before = pace->others, .large_after = large_after };
}
