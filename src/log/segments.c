/* Segment files: made ahead of need, let go behind it.
 *
 *   <generation>.log   in use, or named ahead for the next segment
 *   <number>.free      prewritten, waits for use; its content is meaningless
 *   <number>.tmp       being prewritten; removed at the next open
 *
 * A file is prewritten with zeros so that a sync of a batch commits no metadata, and so that a full
 * disk cannot fail it. All of this is slow and runs as one job at a time on a helper thread: the
 * loop hands it paths and takes the result. The file of the next segment is always named ahead; the
 * rest of the pool is the reserve (R7). A generation is used once: after a crash the numbers of all
 * files seen are left behind, so that remains of an unfinished write never fit a new segment. */
#include "log/log_internal.h"

#include "base/alloc.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define PREWRITE_BYTES (256 * KIB)
#define NO_SPACE_RETRY QR_SECOND
#define FREE_BYTES_FRESH                                                    \
    (100 * QR_MILLISECOND) /* how long a look at the file system stays good \
                            */

void segment_path(const struct log *log, char *p, uint64_t generation)
{
    snprintf(p, LOG_PATH_MAX, "%s/%016" PRIx64 ".log", log->dir, generation);
}

void segment_free_path(const struct log *log, char *p, uint64_t name)
{
    snprintf(p, LOG_PATH_MAX, "%s/%016" PRIx64 ".free", log->dir, name);
}

/* --- Segments in memory --------------------------------------------------------------------- */

struct segment *segment_push(struct log *log)
{
    if (log->segment_count == log->segment_cap) {
        log->segment_cap = log->segment_cap == 0 ? 8 : log->segment_cap * 2;
        log->segments = qr_realloc(log->segments, log->segment_cap * sizeof(struct segment));
    }
    struct segment *s = &log->segments[log->segment_count++];
    memset(s, 0, sizeof(*s));
    return s;
}

struct segment *segment_of(const struct log *log, uint64_t offset)
{
    uint32_t lo = 0;
    uint32_t hi = log->segment_count;
    while (hi - lo > 1) {
        uint32_t middle = lo + (hi - lo) / 2;
        if (log->segments[middle].header.first <= offset) {
            lo = middle;
        } else {
            hi = middle;
        }
    }
    return &log->segments[lo];
}

static uint8_t *restate_put(uint8_t *p, const struct group *g, uint8_t kind, qr_slot slot,
                            qr_term term, struct span payload)
{
    if (payload.n > 0) {
        memcpy(p + RECORD_HEADER_BYTES, payload.p, payload.n);
    }
    record_seal(p, g->id, kind, slot, term, payload.n);
    return p + record_bytes(payload.n);
}

/* Bytes that the restatement of all groups takes. */
static size_t restate_bytes(const struct log *log)
{
    size_t n = 0;
    const struct group *g;
    for (uint32_t at = 0; (g = groups_next(&log->groups, &at)) != NULL;) {
        n += 2 * record_bytes(0) + record_bytes(g->state_n);
    }
    return n;
}

/* Every group's base, state and last entry, as they are now. */
static void restate(const struct log *log, uint8_t *p)
{
    const struct group *g;
    for (uint32_t at = 0; (g = groups_next(&log->groups, &at)) != NULL;) {
        p = restate_put(p, g, RECORD_TRIM, g->base_slot, g->base_term, (struct span){ 0 });
        p = restate_put(p, g, RECORD_STATE, 0, 0, span_of(g->state, g->state_n));
        p = restate_put(p, g, RECORD_LAST, g->last_slot, group_last_term(g), (struct span){ 0 });
    }
}

/* Begins a segment at log offset `first` with room for at least `need` bytes of batches. Its file
 * and the write of its image come later. */
void segment_begin(struct log *log, uint64_t generation, uint64_t first, uint64_t need)
{
    uint64_t prev_generation = 0;
    uint64_t prev_end = 0;
    if (log->segment_count > 0) {
        prev_generation = log_newest(log)->header.generation;
        prev_end = log_newest(log)->end;
    }
    size_t n = restate_bytes(log);
    uint64_t body = LOG_BLOCK_BYTES + block_round(n);
    qr_assert(body <= UINT32_MAX); /* LOG_GROUPS_MAX * LOG_STATE_BYTES_MAX is far below */
    struct segment *s = segment_push(log);
    s->bytes = max_u64(log->config.segment_bytes, body + need);
    s->end = first;
    s->image = aligned_alloc(LOG_BLOCK_BYTES, body);
    qr_assert(s->image != NULL);
    memset(s->image, 0, body);
    restate(log, s->image + LOG_BLOCK_BYTES);
    s->header = (struct segment_header){
        .version = LOG_FORMAT_VERSION,
        .generation = generation,
        .first = first,
        .capacity = s->bytes - body,
        .prev_generation = prev_generation,
        .prev_end = prev_end,
        .restate_bytes = (uint32_t)n,
        .restate_crc =
            restate_crc(log->config.uuid, generation, span_of(s->image + LOG_BLOCK_BYTES, n)),
        .body_offset = (uint32_t)body,
    };
    memcpy(s->header.uuid, log->config.uuid, 16);
    segment_header_encode(&s->header, s->image);
    log->next_name = max_u64(log->next_name, generation + 1);
    log->recycle_check = true;
}

/* Gives the segment the file that was made ready for it; false when there is none. */
bool segment_adopt(struct log *log, struct segment *s)
{
    if (log->ready == NULL || log->ready_bytes < s->bytes) {
        return false;
    }
    qr_assert(log->ready_generation == s->header.generation);
    s->file = log->ready;
    s->bytes = log->ready_bytes;
    log->ready = NULL;
    return true;
}

/* --- Jobs ----------------------------------------------------------------------------------- */

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

static int write_zeros(struct io_file *file, uint64_t bytes)
{
    uint8_t *zeros = qr_zalloc(PREWRITE_BYTES);
    int64_t r = 0;
    for (uint64_t at = 0; at < bytes && r >= 0;) {
        size_t n = (size_t)min_u64(PREWRITE_BYTES, bytes - at);
        r = io_file_pwrite(file, zeros, n, at);
        if (r >= 0 && (size_t)r != n) {
            r = -EIO;
        }
        at += n;
    }
    free(zeros);
    return r < 0 ? (int)r : io_file_sync(file);
}

static int prewrite(struct janitor_job *job)
{
    struct io_file *file = NULL;
    (void)io_unlink(job->io, job->from); /* a leftover, or nothing */
    int error = io_file_open(job->io, job->from, IO_CREATE | IO_WRITE, &file);
    if (error < 0) {
        return error;
    }
    error = write_zeros(file, job->bytes);
    io_file_close(file);
    if (error < 0) {
        (void)io_unlink(job->io, job->from);
    }
    return error;
}

static void job_work(void *context)
{
    struct janitor_job *job = context;
    int error = job->prewrite ? prewrite(job) : 0;
    if (error == 0) {
        error = job->to[0] == 0 ? io_unlink(job->io, job->from)
                                : io_rename(job->io, job->from, job->to);
    }
    if (error == 0) {
        error = io_sync_dir(job->io, job->dir);
    }
    if (error == 0 && job->task == TASK_READY) {
        error = io_file_open(job->io, job->to, IO_WRITE, &job->file);
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

static struct janitor_job *recycle_job(struct log *log)
{
    struct segment s = log->segments[0];
    struct janitor_job *job = job_new(log, TASK_RECYCLE);
    segment_path(log, job->from, s.header.generation);
    if (s.bytes == log->config.segment_bytes && log->free_count < pool_target(log)) {
        job->name = log->next_name++;
        segment_free_path(log, job->to, job->name);
    }
    io_file_close(s.file);
    log->segment_count--;
    log->recycle_count--;
    memmove(log->segments, log->segments + 1, log->segment_count * sizeof(struct segment));
    return job;
}

/* The next thing to do, most urgent first; NULL when there is none. */
static struct janitor_job *next_job(struct log *log)
{
    struct segment *s = log->segments;
    while (s->file != NULL && s != log_newest(log)) {
        s++;
    }
    bool waits = s->file == NULL; /* the oldest segment without a file */
    uint64_t generation = waits ? s->header.generation : s->header.generation + 1;
    uint64_t bytes = waits ? s->bytes : log->config.segment_bytes;
    bool may_grow = !log->no_space || io_now(log->io) >= log->retry_at;
    bool from_pool = log->free_count > 0 && bytes <= log->config.segment_bytes;
    if (log->ready != NULL && waits && log->ready_bytes < s->bytes) {
        io_file_close(log->ready); /* too small for one huge record: it will be replaced */
        log->ready = NULL;
    }
    if (waits && log->ready == NULL && (from_pool || may_grow)) {
        return ready_job(log, generation, bytes);
    }
    if (log->recycle_count > 0 && log->marked >= log->recycle_above) {
        return recycle_job(log);
    }
    if (log->ready == NULL && !waits && (from_pool || may_grow)) {
        return ready_job(log, generation, bytes);
    }
    if (log->free_count + 1 < pool_target(log) && may_grow) {
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

static bool is_full(int error)
{
    return error == -ENOSPC || error == -EDQUOT;
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
    } else if (is_full(error) && job->prewrite) {
        log->no_space = true;
        log->retry_at = io_now(log->io) + NO_SPACE_RETRY;
    }
    bool fatal = error < 0 && !(is_full(error) && job->prewrite);
    free(job);
    if (log->closing) {
        log_release(log);
    } else if (fatal) {
        log_fail(log, error, "a segment of the log could not be made or let go");
    } else {
        if (log->flush_wanted) {
            log_write_next(log);
        }
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
    free(job);
    free(s->image);
    s->image = NULL;
    return error;
}

/* --- What nothing needs any more ------------------------------------------------------------ */

/* Log offset of the oldest entry that any group still wants; notes whose it is. */
static uint64_t oldest_live(struct log *log)
{
    uint64_t oldest = RUN_MISSING;
    const struct group *g;
    for (uint32_t at = 0; (g = groups_next(&log->groups, &at)) != NULL;) {
        if (group_first_offset(g) < oldest) {
            oldest = group_first_offset(g);
            log->pin_group = g->id;
        }
    }
    return oldest;
}

/* Looks which of the oldest segments nothing needs (I4). They go once a durable batch states that
 * everything up to here is on disk: the trims, and the restatement that replaces theirs. */
void segment_find_dead(struct log *log)
{
    if (!log->recycle_check || log->recycle_count > 0 || log->segment_count < 2) {
        return;
    }
    log->recycle_check = false;
    const struct group *pin = groups_find(&log->groups, log->pin_group);
    if (pin != NULL && group_first_offset(pin) < log->segments[1].header.first) {
        return; /* the group that pinned the log last time still does */
    }
    uint64_t oldest = oldest_live(log);
    uint32_t dead = 0;
    while (dead + 1 < log->segment_count && log->segments[dead + 1].header.first <= oldest) {
        dead++;
    }
    while (dead > 0 && (log->segments[dead].file == NULL || log->segments[dead].image != NULL)) {
        dead--; /* what replaces it is not even written */
        log->recycle_check = true;
    }
    log->recycle_count = dead;
    log->recycle_above = max_u64(log_position(log), log->segments[dead].header.first + 1);
}

enum log_space log_space(struct log *log)
{
    if (log->damaged || log->failed) {
        return LOG_SPACE_LOW;
    }
    qr_time now = io_now(log->io);
    if (log->fs_free_at == 0 || now - log->fs_free_at > FREE_BYTES_FRESH) {
        int64_t n = io_free_bytes(log->io, log->dir);
        log->fs_free = n < 0 ? 0 : (uint64_t)n;
        log->fs_free_at = now;
        janitor_kick(log);
    }
    const struct segment *s = log_newest(log);
    uint64_t left = log->fs_free + log->free_count * log->config.segment_bytes;
    left += log->ready != NULL ? log->ready_bytes : 0;
    left += s->header.first + s->header.capacity - log->end;
    return left < log->config.reserve_bytes ? LOG_SPACE_LOW : LOG_SPACE_OK;
}
