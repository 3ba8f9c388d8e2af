/* Batches to the disk: one write with its sync at a time, the next gathers behind it.
 *
 * One in flight is what makes recovery simple: when anything of a write reached the disk, all that
 * came before it is there, whatever order the disk works in (P5); and each batch can state as its
 * synced mark the end of the sync before. Nothing is ever retried (R7).
 *
 * A batch in which everything may be synced later (log_append_lazily) is only written, into the
 * page cache: a process that dies leaves it whole, and the sync comes in time for all of it. It
 * runs beside the writes that follow, which is what a disk with a slow sync needs. What a loss of
 * power leaves of such writes is any part of them: the log ends before the first that is not whole,
 * as with a torn write, for no mark says that they were synced. */
#include "log/log_internal.h"

#include <errno.h>
#include <stdlib.h>

/* An inline sync saves two switches of threads, 20 to 50 microseconds, and stops the loop for its
 * own length: worth it where that is short and the batch small enough that parsing on meanwhile
 * would not have gained more. */
#define INLINE_SYNC_USEC_MAX 400u
/* One that took longer stood behind others' writes: it says little of what the next will take. */
#define INLINE_SYNC_USEC_COUNTED (3 * INLINE_SYNC_USEC_MAX)
#define INLINE_SYNC_BYTES_MAX (16 * KIB)
/* A copy into the page cache costs less than the switches, while no sync is long in its way. */
#define INLINE_CACHED_BYTES_MAX (128 * KIB)

/* What may be synced later is so at the latest when it is so much. */
#define SYNC_LATER_BYTES (8 * MIB)
/* A disk that takes longer than this is not to be run away from: writes wait for their sync. */
#define SYNC_LATE (2 * QR_SECOND)

void log_fail(struct log *log, int error, const char *what)
{
    qr_assert(error < 0);
    if (!log->failed) {
        log->failed = true;
        if (!log->closing) {
            log->config.on_failure(log->config.context, error, what);
        }
    }
}

static void note_sync(struct log *log, qr_time took)
{
    log->sync_sum += (uint64_t)took;
    log->sync_sum -= log->sync_sum / SYNC_WEIGHT;
    log->usual_sum += min_u64((uint64_t)took, INLINE_SYNC_USEC_COUNTED);
    log->usual_sum -= log->usual_sum / SYNC_WEIGHT;
    log->stats.syncs++;
}

/* All below `end` is on disk, and a batch there states `mark`. What was written since `began`, when
 * that sync did, is not. */
static void synced_to(struct log *log, uint64_t end, uint64_t mark, qr_time began)
{
    log->synced = max_u64(log->synced, end);
    log->marked = max_u64(log->marked, mark);
    log->unsynced_since = log->synced < log->written ? began : 0;
    log_evict(log);
    segment_find_dead(log);
    janitor_kick(log);
}

/* Bookkeeping of a write that is done up to the end of its last batch. */
static void flight_landed(struct log *log)
{
    const struct batch *last = &log->pending[log->pending_head + log->flight_batches - 1];
    uint64_t end = last->offset + block_round((uint64_t)BATCH_HEADER_BYTES + last->payload);
    uint64_t offset = last->offset;
    qr_assert(end > log->written);
    log->written = end;
    log->written_mark = log->flight_mark;
    log->stats.batches += log->flight_batches;
    log_batch_retire(log, log->flight_batches);
    log->flight_batches = 0;
    if (log->write.cached) {
        qr_time due = log->flight_began + log->flight_within;
        log->sync_due = due < log->sync_due ? due : log->sync_due;
        log->unsynced_since = log->unsynced_since != 0 ? log->unsynced_since : log->flight_began;
        return;
    }
    log->sync_due = QR_NEVER;
    note_sync(log, log->write.took);
    histogram_add(&log->figures.sync_usec, (uint64_t)(io_now(log->io) - log->flight_began), 1);
    struct segment *s = segment_of(log, offset);
    free(s->image);
    s->image = NULL;
    synced_to(log, end, log->flight_mark, log->flight_began);
}

/* To whoever waits for it, of what has landed. May close the log: the last use of it. */
static void tell(struct log *log, uint64_t synced_before)
{
    struct io *io = log->io;
    if (log->synced > synced_before) {
        log->config.on_durable(log->config.context, log->synced);
    } else if (log->config.on_written != NULL) {
        log->config.on_written(log->config.context, log->written);
    }
    (void)io_failpoint(io, FAIL_LOG_TOLD);
}

static void sync_what_is_due(struct log *log);

/* First the disk, then the news. */
static void go_on(struct log *log, uint64_t synced_before)
{
    if (log->flush_wanted) {
        log_close_batch(log);
        log_write_next(log);
    }
    sync_what_is_due(log);
    tell(log, synced_before);
}

static void write_done(struct io_write *write, int error)
{
    struct log *log = write->context;
    uint64_t synced = log->synced;
    if (error < 0) {
        log->flight_batches = 0;
    } else if (!log->closing) {
        flight_landed(log);
    }
    if (log->closing) {
        log->flight_batches = 0;
        log_release(log);
    } else if (error < 0) {
        log_fail(log, error, "the log could not be written");
    } else if (!log->failed) {
        go_on(log, synced);
    }
}

/* --- Syncs of what was written before --------------------------------------------------------- */

static void sync_done(struct io_write *write, int error)
{
    struct log *log = write->context;
    uint64_t synced = log->synced;
    log->syncing = false;
    if (log->closing) {
        log_release(log);
    } else if (error < 0) {
        log_fail(log, error, "the log could not be synced");
    } else if (!log->failed) {
        log->stats.syncs++;
        histogram_add(&log->figures.sync_usec, (uint64_t)(io_now(log->io) - log->sync_began), 1);
        synced_to(log, log->sync_end, log->sync_mark, log->sync_began);
        go_on(log, synced);
    }
}

static void sync_now(struct log *log)
{
    qr_assert(!log->syncing && log->written > log->synced);
    log->syncing = true;
    log->sync_due = QR_NEVER;
    log->sync_began = io_now(log->io);
    log->sync_end = log->written;
    log->sync_mark = log->written_mark;
    log->sync = (struct io_write){ .file = segment_of(log, log->written - 1)->file,
                                   .done = sync_done,
                                   .context = log,
                                   .points = FAIL_LOG_WRITE };
    io_file_write_sync(log->io, &log->sync);
}

/* No sync can begin: one is under way, or a write that syncs takes what is before it along. */
static bool sync_must_wait(const struct log *log)
{
    return log->syncing || log->failed || (log->flight_batches > 0 && !log->write.cached);
}

qr_time log_deadline(const struct log *log)
{
    return sync_must_wait(log) ? QR_NEVER : log->sync_due;
}

static void sync_what_is_due(struct log *log)
{
    if (log->synced == log->written || sync_must_wait(log)) {
        return;
    }
    if (log->synced < log->sync_wanted || log->written - log->synced >= SYNC_LATER_BYTES ||
        io_now(log->io) >= log->sync_due) {
        sync_now(log);
    }
}

void log_sync(struct log *log)
{
    log->sync_wanted = log_position(log);
    log->open.within = 0;
    if (log->pending_count > log->flight_batches) {
        log->pending[log->pending_head + log->pending_count - 1].within = 0;
    }
}

/* --- Writes ----------------------------------------------------------------------------------- */

/* Adds n bytes at p to the write; joins them to the last buffer where they follow it. */
static void iov_add(struct log *log, uint8_t *p, size_t n)
{
    struct io_write *w = &log->write;
    if (w->count > 0) {
        struct iovec *last = &log->iov[w->count - 1];
        if ((uint8_t *)last->iov_base + last->iov_len == p) {
            last->iov_len += n;
            return;
        }
    }
    log->iov[w->count++] = (struct iovec){ .iov_base = p, .iov_len = n };
}

/* Seals a batch and adds it; false when it belongs to the next write. */
static bool flight_add(struct log *log, const struct segment *s, const struct batch *b,
                       uint64_t *bytes)
{
    uint64_t n = block_round((uint64_t)BATCH_HEADER_BYTES + b->payload);
    bool fits = *bytes == 0 || *bytes + n <= LOG_BATCH_BYTES_MAX;
    if (b->generation != s->header.generation || !fits) {
        return false;
    }
    struct batch_header h = {
        .bytes = (uint32_t)n,
        .payload = b->payload,
        .offset = b->offset,
        .generation = b->generation,
        .mark = log->synced,
        .first = s->header.first,
        .count = b->count,
    };
    batch_seal(log->config.uuid, &h, b->p);
    iov_add(log, b->p, n);
    *bytes += n;
    histogram_add(&log->figures.batch_records, b->count, 1);
    histogram_add(&log->figures.batch_bytes, n, 1);
    return true;
}

/* Makes the write that the oldest pending batches need; their segment has its file. */
static void flight_build(struct log *log, struct segment *s)
{
    struct io_write *w = &log->write;
    const struct batch *b = &log->pending[log->pending_head];
    *w = (struct io_write){ .file = s->file, .v = log->iov, .done = write_done, .context = log };
    w->points = s->image != NULL ? FAIL_SEGMENT_WRITE : FAIL_LOG_WRITE;
    w->offset = s->header.body_offset + (b->offset - s->header.first);
    if (s->image != NULL) {
        qr_assert(b->offset == s->header.first);
        iov_add(log, s->image, s->header.body_offset);
        w->offset = 0;
    }
    uint64_t bytes = 0;
    uint32_t n = 0;
    bool late = log->unsynced_since != 0 && io_now(log->io) >= log->unsynced_since + SYNC_LATE;
    qr_time within = s->image != NULL || late ? 0 : QR_NEVER;
    while (n < log->pending_count && n < FLUSH_BATCHES_MAX && flight_add(log, s, &b[n], &bytes)) {
        within = b[n].within < within ? b[n].within : within;
        n++;
    }
    qr_assert(n > 0);
    w->cached = within > 0;
    log->flight_within = within;
    log->flight_batches = n;
    log->flight_mark = log->synced;
    log->flight_began = io_now(log->io);
    log->stats.flush_bytes_max = max_u64(log->stats.flush_bytes_max, bytes);
}

/* Whether a write into that segment may begin: it has its file, and where it is the first there all
 * before it is on disk, for a later segment proves that (recover.c). */
static bool may_begin(struct log *log, struct segment *s)
{
    bool first = s->image != NULL && log->written > log->synced;
    if (first && !log->syncing) {
        sync_now(log);
    }
    return !first && (s->file != NULL || segment_adopt(log, s));
}

/* Writes everything that is pending on this thread. Returns 0 or a negative errno. */
static int flush_inline(struct log *log)
{
    while (log->pending_count > 0) {
        struct segment *s = segment_of(log, log->pending[log->pending_head].offset);
        if (!may_begin(log, s)) {
            log->flush_wanted = true;
            return 0; /* the janitor goes on when it has a file, or the sync when it is done */
        }
        flight_build(log, s);
        int error = io_file_write_now(log->io, &log->write);
        log->stats.inline_syncs += log->write.cached ? 0 : 1;
        if (error < 0) {
            log->flight_batches = 0;
            return error;
        }
        flight_landed(log);
    }
    log->flush_wanted = false;
    return 0;
}

/* Whether something is left for the write after the one in flight. */
static bool more_waits(const struct log *log)
{
    return log->open.p != NULL || log->pending_count > log->flight_batches;
}

void log_write_next(struct log *log)
{
    if (log->flight_batches > 0 || log->pending_count == 0 || log->failed) {
        return;
    }
    struct segment *s = segment_of(log, log->pending[log->pending_head].offset);
    if (!may_begin(log, s)) {
        log->flush_wanted = true;
        return; /* the janitor calls again when it has a file, the sync when it is done */
    }
    flight_build(log, s);
    log->flush_wanted = more_waits(log);
    io_file_write_sync(log->io, &log->write);
}

/* Whether what is pending should be synced on this thread. While a helper thread prewrites a
 * segment the disk is not quick, whatever the average still says. */
static bool inline_pays(const struct log *log)
{
    if (log->flight_batches > 0 || log->pending_count == 0) {
        return false;
    }
    if (log->config.sync != LOG_SYNC_AUTO) {
        return log->config.sync == LOG_SYNC_INLINE;
    }
    const struct batch *first = &log->pending[log->pending_head];
    uint64_t bytes = log->end - first->offset;
    bool quick = log->job == NULL && log->usual_sum <= INLINE_SYNC_USEC_MAX * SYNC_WEIGHT;
    if (first->within > 0 && log->pending_count == 1) {
        return (quick || !log->syncing) && bytes <= INLINE_CACHED_BYTES_MAX;
    }
    return quick && bytes <= INLINE_SYNC_BYTES_MAX;
}

bool log_flush(struct log *log)
{
    if (log->failed || log->damaged) {
        return false;
    }
    segment_let_go(log);
    bool behind = log->pending_count > 0;
    if (!behind) {
        log_close_batch(log);
    } /* else it gathers on: closed in each turn it would take up a block for each of them */
    janitor_kick(log);
    if (behind || !inline_pays(log)) {
        log->flush_wanted = more_waits(log);
        log_write_next(log);
        sync_what_is_due(log);
        return false;
    }
    uint64_t synced = log->synced, written = log->written;
    int error = flush_inline(log);
    if (error < 0) {
        log_fail(log, error, "the log could not be written");
        return false;
    }
    sync_what_is_due(log);
    if (log->written == written) {
        return false;
    }
    tell(log, synced);
    return true;
}

void log_set_sync(struct log *log, enum log_sync sync)
{
    log->config.sync = sync;
}

bool log_idle(const struct log *log)
{
    return log->open.p == NULL && log->pending_count == 0 && log->synced == log->written;
}
