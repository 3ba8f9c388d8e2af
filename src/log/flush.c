/* Batches to the disk: one write with its sync at a time, the next gathers behind it.
 *
 * One in flight is what makes recovery simple: when anything of a write reached the disk, all that
 * came before it is there, whatever order the disk works in (P5); and each batch can state as its
 * synced mark the end of the write before. Nothing is ever retried (R7). */
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

/* Bookkeeping of a write that is durable up to the end of its last batch. */
static void flight_landed(struct log *log)
{
    const struct batch *last = &log->pending[log->pending_head + log->flight_batches - 1];
    uint64_t end = last->offset + block_round((uint64_t)BATCH_HEADER_BYTES + last->payload);
    qr_assert(end > log->synced);
    log->synced = end;
    log->marked = log->flight_mark;
    log->stats.batches += log->flight_batches;
    note_sync(log, log->write.took);
    histogram_add(&log->figures.sync_usec, (uint64_t)(io_now(log->io) - log->flight_began), 1);
    struct segment *s = segment_of(log, last->offset);
    free(s->image);
    s->image = NULL;
    log_batch_retire(log, log->flight_batches);
    log->flight_batches = 0;
    log_evict(log);
    segment_find_dead(log);
    janitor_kick(log);
}

static void write_done(struct io_write *write, int error)
{
    struct log *log = write->context;
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
        uint64_t synced = log->synced;
        if (log->flush_wanted) {
            log_close_batch(log);
            log_write_next(log); /* first the disk, then the news */
        }
        struct io *io = log->io;
        log->config.on_durable(log->config.context, synced); /* may close the log: the last use */
        (void)io_failpoint(io, FAIL_LOG_TOLD);
    }
}

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
    while (n < log->pending_count && n < FLUSH_BATCHES_MAX && flight_add(log, s, &b[n], &bytes)) {
        n++;
    }
    qr_assert(n > 0);
    log->flight_batches = n;
    log->flight_mark = log->synced;
    log->flight_began = io_now(log->io);
    log->stats.flush_bytes_max = max_u64(log->stats.flush_bytes_max, bytes);
}

/* Writes everything that is pending on this thread. Returns 0 or a negative errno. */
static int flush_inline(struct log *log)
{
    while (log->pending_count > 0) {
        struct segment *s = segment_of(log, log->pending[log->pending_head].offset);
        if (s->file == NULL && !segment_adopt(log, s)) {
            log->flush_wanted = true;
            return 0; /* the janitor goes on when it has a file */
        }
        flight_build(log, s);
        int error = io_file_write_now(log->io, &log->write);
        log->stats.inline_syncs++;
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
    if (s->file == NULL && !segment_adopt(log, s)) {
        return; /* the janitor calls again when it has a file */
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
    return log->job == NULL && log->usual_sum <= INLINE_SYNC_USEC_MAX * SYNC_WEIGHT &&
           log->end - first->offset <= INLINE_SYNC_BYTES_MAX;
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
        return false;
    }
    uint64_t before = log->synced;
    int error = flush_inline(log);
    if (error < 0) {
        log_fail(log, error, "the log could not be written");
        return false;
    }
    bool synced = log->synced > before;
    if (synced) {
        struct io *io = log->io;
        log->config.on_durable(log->config.context, log->synced); /* may close the log */
        (void)io_failpoint(io, FAIL_LOG_TOLD);
    }
    return synced;
}

void log_set_sync(struct log *log, enum log_sync sync)
{
    log->config.sync = sync;
}

bool log_idle(const struct log *log)
{
    return log->open.p == NULL && log->pending_count == 0;
}
