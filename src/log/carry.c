/* Groups of which the log holds little are carried along: what a checkpoint would cost them, files
 * and syncs, is out of proportion.
 *
 * Their live entries are written once more at the end of the log, as patches (patch.c): where the
 * segments of the originals are gone, a start finds them as it finds entries that were fetched from
 * a peer; where they are not, it passes them over. */
#include "log/log_internal.h"

#include "base/alloc.h"

#include <string.h>

#define CARRY_RUNS_MAX 64u
#define READ_COST_BYTES (8 * KIB)

/* Bytes of the group's live entries; UINT64_MAX when they are too many, or some are lost. */
static uint64_t live_bytes(const struct group *g)
{
    struct lost lost;
    if (g->run_count + g->patches_count > CARRY_RUNS_MAX ||
        group_next_lost(g, 0, UINT64_MAX, &lost)) {
        return UINT64_MAX;
    }
    uint64_t n = 0;
    for (uint32_t i = 0; i < g->run_count; i++) {
        n += run_is_lost(group_run(g, i)) ? 0 : group_run(g, i)->bytes;
    }
    for (uint32_t i = 0; i < g->patches_count; i++) {
        n += g->patches[i].bytes;
    }
    return n;
}

/* Writes the entries of `in`, which follow each other, to the end of the log. */
static void carry_records(struct log *log, struct group *g, struct span in)
{
    struct record r;
    group_carry_begin(g);
    while (in.n > 0) {
        size_t n = record_peek(in, &r);
        qr_assert(n > 0 && r.group == g->id);
        (void)io_failpoint(log->io, FAIL_CARRY);
        uint64_t at = log_append_note(log, g->id, RECORD_PATCH, r.slot, r.term, span_of(in.p, n));
        group_carry(g, r.slot, at + RECORD_HEADER_BYTES, (uint32_t)n);
        in = span_of(in.p + n, in.n - n);
    }
    qr_assert(r.slot == g->last_slot);
    (void)io_failpoint(log->io, FAIL_CARRIED);
}

/* False when the group stays where it is: it holds too much, or cannot be read. */
static bool carry(struct log *log, struct group *g, uint64_t bytes_max, uint64_t *carried)
{
    uint64_t bytes = live_bytes(g);
    uint64_t read_back = log->stats.read_back_bytes;
    struct span all;
    if (bytes > bytes_max || log_read(log, g->id, g->base_slot + 1, g->last_slot + 1, bytes_max,
                                      &all) != (int64_t)(g->last_slot - g->base_slot)) {
        return false;
    }
    uint8_t *copy = qr_alloc(all.n); /* what was read is lent until something is appended */
    memcpy(copy, all.p, all.n);
    carry_records(log, g, span_of(copy, all.n));
    free(copy);
    /* What the cache has no more is dear: the loop waits for the disk. */
    *carried += log->stats.read_back_bytes == read_back ? bytes : max_u64(bytes, READ_COST_BYTES);
    return true;
}

/* The pin at place i, and those below it in the heap. */
static void carry_below(struct log *log, uint32_t i, const struct log_carrying *c,
                        uint64_t *carried)
{
    do {
        if (*carried >= c->bytes || !pins_settle(&log->pins, i) ||
            log->pins.v[i].offset >= c->before) {
            return;
        }
    } while (carry(log, log->pins.v[i].group, c->group_bytes, carried));
    carry_below(log, 2 * i + 1, c, carried); /* as deep as the heap: 16 at most */
    carry_below(log, 2 * i + 2, c, carried);
}

uint64_t log_carry(struct log *log, const struct log_carrying *carrying)
{
    uint64_t carried = 0;
    if (!log->failed && !log->damaged) {
        carry_below(log, 0, carrying, &carried);
    }
    log->recycle_check = log->recycle_check || carried > 0;
    return carried;
}
