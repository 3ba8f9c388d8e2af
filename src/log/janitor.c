/* The janitor: segment files are made ahead of need and let go behind it.
 *
 *   <generation>.log   in use, or named ahead for the next segment
 *   <number>.free      prewritten, waits for use; its content is meaningless
 *   <number>.tmp       being prewritten; removed at the next open
 *
 * A file is prewritten with zeros so that a sync of a batch commits no metadata, and so that a full
 * disk cannot fail it. All of this is slow and runs as one job at a time on a helper thread: the
 * loop hands it paths and takes the result. The file of the next segment is always named ahead; the
 * rest of the pool is the reserve (R7). */
#include "log/log_internal.h"

#include "base/alloc.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define PREWRITE_BYTES (1 * MIB)
#define PREWRITE_SYNC_BYTES (8 * MIB)
#define NO_SPACE_RETRY QR_SECOND

enum janitor_task {
    TASK_READY,  /* the file of the next segment, named and open */
    TASK_FREE,   /* one more file for the pool */
    TASK_RECYCLE /* a dead segment into the pool, or away */
};

/* What a helper thread needs to know; it touches nothing else. */
struct janitor_job {
    struct log *log; /* for the loop's side only */
    struct io *io;
    enum janitor_task task;
    bool prewrite; /* make `from` before it is renamed */
    uint64_t bytes, name, generation;
    char dir[LOG_PATH_MAX], from[LOG_PATH_MAX], to[LOG_PATH_MAX]; /* to "": remove */
    int error;
    struct io_file *file;
};

/* Synced now and then, so that the syncs of batches never queue behind a whole segment. */
static int write_zeros(struct io *io, struct io_file *file, uint64_t bytes)
{
    uint8_t *zeros = aligned_alloc(IO_BLOCK_BYTES, PREWRITE_BYTES);
    qr_assert(zeros != NULL);
    memset(zeros, 0, PREWRITE_BYTES);
    int error = 0;
    for (uint64_t at = 0; at < bytes && error == 0; at += PREWRITE_BYTES) {
        size_t n = (size_t)min_u64(PREWRITE_BYTES, bytes - at);
        int64_t r = io_file_pwrite(file, zeros, n, at);
        error = r < 0 ? (int)r : (size_t)r != n ? -EIO : 0;
        if (error == 0 && ((at + n) % PREWRITE_SYNC_BYTES == 0 || at + n == bytes)) {
            error = io_failpoint(io, FAIL_PREWRITE_HALF);
            error = error < 0 ? error : io_file_sync(file);
        }
    }
    free(zeros);
    return error;
}

static int prewrite(struct janitor_job *job)
{
    struct io_file *file = NULL;
    (void)io_unlink(job->io, job->from); /* a leftover, or nothing */
    int error = io_failpoint(job->io, FAIL_PREWRITE);
    if (error < 0) {
        return error;
    }
    error = io_file_open(job->io, job->from, IO_CREATE | IO_WRITE | IO_DIRECT, &file);
    if (error < 0) {
        return error;
    }
    error = write_zeros(job->io, file, job->bytes);
    io_file_close(file);
    if (error < 0) {
        (void)io_unlink(job->io, job->from);
    }
    return error;
}

static void job_work(void *context)
{
    struct janitor_job *job = context;
    bool recycles = job->task == TASK_RECYCLE;
    int error = job->prewrite ? prewrite(job) : 0;
    if (error == 0) {
        error = io_failpoint(job->io, recycles ? FAIL_RECYCLE : FAIL_SEGMENT_NAME);
    }
    if (error == 0) {
        error = job->to[0] == 0 ? io_unlink(job->io, job->from)
                                : io_rename(job->io, job->from, job->to);
    }
    if (error == 0) {
        error = io_failpoint(job->io, recycles ? FAIL_RECYCLED : FAIL_SEGMENT_NAMED);
    }
    if (error == 0) {
        error = io_sync_dir(job->io, job->dir);
    }
    if (!recycles) {
        (void)io_failpoint(job->io, FAIL_SEGMENT_READY);
    }
    if (error == 0 && job->task == TASK_READY) {
        error = io_file_open(job->io, job->to, IO_WRITE | IO_DIRECT, &job->file);
    }
    job->error = error;
}

static struct janitor_job *job_new(struct log *log, enum janitor_task task)
{
    struct janitor_job *job = qr_zalloc(sizeof(*job));
    job->log = log;
    job->io = log->io;
    job->task = task;
    snprintf(job->dir, sizeof(job->dir), "%s", log->dir);
    return job;
}

void free_name_push(struct log *log, uint64_t name)
{
    if (log->free_count == log->free_cap) {
        log->free_cap = log->free_cap == 0 ? 8 : log->free_cap * 2;
        log->free_names = qr_realloc(log->free_names, log->free_cap * sizeof(uint64_t));
    }
    log->free_names[log->free_count++] = name;
}

static void tmp_path(struct log *log, char *p)
{
    snprintf(p, LOG_PATH_MAX, "%s/%016" PRIx64 ".tmp", log->dir, log->next_name++);
}

/* A job that makes the file of segment `generation`, from the pool where that is large enough. */
static struct janitor_job *ready_job(struct log *log, uint64_t generation, uint64_t bytes)
{
    struct janitor_job *job = job_new(log, TASK_READY);
    job->generation = generation;
    segment_path(log, job->to, generation);
    if (log->free_count > 0 && bytes <= log->config.segment_bytes) {
        segment_free_path(log, job->from, log->free_names[--log->free_count]);
        job->bytes = log->config.segment_bytes;
    } else {
        job->prewrite = true;
        job->bytes = bytes;
        tmp_path(log, job->from);
    }
    return job;
}

/* Files wanted ahead, the one made ready included. */
static uint32_t pool_target(const struct log *log)
{
    uint64_t n =
        (log->config.reserve_bytes + log->config.segment_bytes - 1) / log->config.segment_bytes;
    return n == 0 ? 1 : (uint32_t)n;
}

/* Dead segments are worth keeping, since a new one must be written once more before its use. */
static uint32_t pool_most(const struct log *log)
{
    uint64_t n = max_u64(log->config.recycle_bytes / log->config.segment_bytes, pool_target(log));
    return (uint32_t)min_u64(n, UINT32_MAX);
}

static struct janitor_job *recycle_job(struct log *log)
{
    struct segment s = log->segments[0];
    struct janitor_job *job = job_new(log, TASK_RECYCLE);
    segment_path(log, job->from, s.header.generation);
    if (s.bytes == log->config.segment_bytes && log->free_count < pool_most(log) &&
        !log_leaves_less(log, 0)) {
        job->name = log->next_name++;
        segment_free_path(log, job->to, job->name);
    }
    io_file_close(s.file);
    log->segment_count--;
    log->recycle_count--;
    memmove(log->segments, log->segments + 1, log->segment_count * sizeof(struct segment));
    return job;
}

/* A file that waits for use makes room for what is not the log's. */
static struct janitor_job *shed_job(struct log *log)
{
    struct janitor_job *job = job_new(log, TASK_RECYCLE);
    segment_free_path(log, job->from, log->free_names[--log->free_count]);
    return job;
}

/* One more file leaves others what is theirs. */
static bool has_spare(struct log *log, bool may_grow)
{
    return may_grow && !log_leaves_less(log, log->config.segment_bytes);
}

/* The next thing to do, most urgent first; NULL when there is none. */
static struct janitor_job *next_job(struct log *log)
{
    struct segment *s = log_newest(log);
    while (s > log->segments && s[-1].file == NULL) {
        s--;
    }
    bool waits = s->file == NULL; /* s is the oldest segment without a file */
    uint64_t generation = waits ? s->header.generation : s->header.generation + 1;
    uint64_t bytes = waits ? s->bytes : log->config.segment_bytes;
    bool may_grow = !log->no_space || io_now(log->io) >= log->retry_at;
    bool from_pool = log->free_count > 0 && bytes <= log->config.segment_bytes;
    if (log->ready != NULL && waits && log->ready_bytes < s->bytes) {
        io_file_close(log->ready); /* too small for one huge record: it will be replaced */
        log->ready = NULL;
    }
    /* A file is named only when the beginning of the segment before is on disk: a later name proves
     * that what stands before it was used, even if nothing of it can be read any more. */
    const struct segment *before = waits ? s - 1 : s;
    bool in_turn = before < log->segments || before->image == NULL;
    bool recyclable = log->recycle_count > 0 && log->marked >= log->recycle_above;
    bool huge = bytes > log->config.segment_bytes; /* no recycled file will do */
    if (waits && in_turn && log->ready == NULL &&
        (from_pool || (may_grow && (huge || !recyclable)))) {
        return ready_job(log, generation, bytes);
    }
    if (recyclable) {
        return recycle_job(log); /* into an empty pool first: a rename is cheaper than a prewrite */
    }
    bool makes = log->ready == NULL && !waits && in_turn;
    if (makes && (from_pool || has_spare(log, may_grow))) {
        return ready_job(log, generation, bytes);
    }
    if (log->free_count > pool_target(log) / 2 && log_leaves_less(log, 0)) {
        return shed_job(log);
    }
    if (log->free_count + 1 < pool_target(log) && has_spare(log, may_grow)) {
        struct janitor_job *job = job_new(log, TASK_FREE);
        job->prewrite = true;
        job->bytes = log->config.segment_bytes;
        job->name = log->next_name++;
        tmp_path(log, job->from);
        segment_free_path(log, job->to, job->name);
        return job;
    }
    return NULL;
}

/* Takes over what a job has made. */
static void job_take(struct log *log, const struct janitor_job *job)
{
    if (job->task == TASK_READY) {
        log->ready = job->file;
        log->ready_bytes = job->bytes;
        log->ready_generation = job->generation;
    } else if (job->to[0] != 0) {
        free_name_push(log, job->name);
    }
    if (job->prewrite || job->task == TASK_RECYCLE) {
        log->no_space = false;
    }
    log->fs_free_at = 0;
}

static void job_done(void *context)
{
    struct janitor_job *job = context;
    struct log *log = job->log;
    int error = job->error;
    log->job = NULL;
    if (error == 0) {
        job_take(log, job);
    } else if (log_is_full(error) && job->prewrite) {
        log->no_space = true;
        log->retry_at = io_now(log->io) + NO_SPACE_RETRY;
    }
    bool fatal = error < 0 && !(log_is_full(error) && job->prewrite);
    free(job);
    if (log->closing) {
        log_release(log);
    } else if (fatal) {
        log_fail(log, error, "a segment of the log could not be made or let go");
    } else {
        if (log->flush_wanted) {
            log_close_batch(log);
            log_write_next(log);
        }
        segment_find_dead(log); /* what was trimmed while others were let go */
        janitor_kick(log);
    }
}

void janitor_kick(struct log *log)
{
    if (log->job != NULL || log->failed || log->damaged || log->closing) {
        return;
    }
    struct janitor_job *job = next_job(log);
    if (job == NULL) {
        return;
    }
    log->job = job;
    int error = io_offload(log->io, job_work, job_done, job);
    qr_assert(error == 0);
}

/* Makes the segment's file and writes its image, all on this thread: for log_open. */
int segment_make_now(struct log *log, struct segment *s)
{
    struct janitor_job *job = ready_job(log, s->header.generation, s->bytes);
    job_work(job);
    int error = job->error;
    if (error == 0) {
        s->file = job->file;
        s->bytes = job->bytes;
        int64_t r = io_file_pwrite(s->file, s->image, s->header.body_offset, 0);
        error = r < 0 ? (int)r : io_file_sync(s->file);
    }
    if (error < 0 && s->file != NULL) { /* the caller forgets the segment */
        io_file_close(s->file);
        s->file = NULL;
    }
    free(job);
    free(s->image);
    s->image = NULL;
    return error;
}
