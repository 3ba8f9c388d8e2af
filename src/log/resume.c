/* The end of a recovery: useless files go, what is kept is synced, and the log goes on in a new
 * segment, whose header makes every cut final. */
#include "log/recover.h"

#include "base/alloc.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum log_open_result recover_io_failed(struct recovery *r, int error, const char *what)
{
    snprintf(r->message, r->message_cap, "log %s: %s: %s", r->log->dir, what, strerror(-error));
    return LOG_OPEN_IO;
}

/* Files that no chain needs go to the pool, or away. */
static int clean_up(struct recovery *r)
{
    struct log *log = r->log;
    char path[LOG_PATH_MAX];
    char to[LOG_PATH_MAX];
    int error = 0;
    for (uint32_t i = 0; i < r->count && error == 0; i++) {
        struct found *f = &r->found[i];
        if (f->chained) {
            continue;
        }
        segment_path(log, path, f->number);
        if (recover_was_cut(r)) {
            snprintf(to, sizeof(to), "%s/%016" PRIx64 ".damaged", log->dir, f->number);
            error = io_rename(log->io, path, to);
        } else if (f->bytes == log->config.segment_bytes) {
            segment_free_path(log, to, log->next_name);
            free_name_push(log, log->next_name++);
            error = io_rename(log->io, path, to);
        } else {
            error = io_unlink(log->io, path);
        }
    }
    for (uint32_t i = 0; i < r->tmp_count && error == 0; i++) {
        snprintf(path, sizeof(path), "%s/%016" PRIx64 ".tmp", log->dir, r->tmp[i]);
        error = io_unlink(log->io, path);
    }
    return error;
}

/* Pool files of another size, from another setting or an unfinished life, are useless. */
static int check_pool(struct log *log)
{
    uint32_t kept = 0;
    int error = 0;
    for (uint32_t i = 0; i < log->free_count && error == 0; i++) {
        char path[LOG_PATH_MAX];
        struct io_file *file = NULL;
        segment_free_path(log, path, log->free_names[i]);
        error = io_file_open(log->io, path, 0, &file);
        if (error < 0) {
            break;
        }
        bool fits = io_file_size(file) == (int64_t)log->config.segment_bytes;
        io_file_close(file);
        if (fits) {
            log->free_names[kept++] = log->free_names[i];
        } else {
            error = io_unlink(log->io, path);
        }
    }
    log->free_count = kept;
    return error;
}

/* Makes the segment that follows: the usual one, or where the disk is full one as small as 64 KiB,
 * so that a node can start there and serve reads. */
static int begin_next(struct log *log, uint64_t first)
{
    uint64_t usual = log->config.segment_bytes;
    int error;
    do {
        segment_begin(log, log->next_name, first, LOG_BLOCK_BYTES);
        error = segment_make_now(log, log_newest(log));
        log->config.segment_bytes =
            log->config.segment_bytes / 2 / LOG_BLOCK_BYTES * LOG_BLOCK_BYTES;
        log->segment_count -= error < 0 ? 1 : 0;
    } while (log_is_full(error) && log->config.segment_bytes >= 64 * KIB);
    log->config.segment_bytes = usual;
    return error;
}

#define AGAIN_BYTES (1 * MIB)

static int write_range_again(struct io_file *file, uint64_t at, uint64_t end)
{
    uint8_t *p = qr_alloc(AGAIN_BYTES);
    int64_t r = 1; /* 0: the file ends before: what is missing is a hole */
    while (at < end && r > 0) {
        r = io_file_pread(file, p, (size_t)min_u64(end - at, AGAIN_BYTES), at);
        r = r > 0 ? io_file_pwrite(file, p, (size_t)r, at) : r;
        at += r > 0 ? (uint64_t)r : 0;
    }
    free(p);
    return r < 0 ? (int)r : 0;
}

/* What no mark tells to have been synced may be in the page cache alone: a sync that failed has
 * left it there as clean, so that the next one succeeds without it, and the next loss of power
 * takes what was counted as durable. Written once more it is what that sync is about. */
static int write_again(const struct recovery *r, const struct segment *s)
{
    uint64_t known = max_u64(r->replay.marked, r->stated), first = s->header.first;
    uint64_t from = known > first ? s->header.body_offset + (known - first) : 0;
    return write_range_again(s->file, from, s->header.body_offset + (s->end - first));
}

/* Syncs what is kept and begins a new segment behind it. */
enum log_open_result recover_go_on(struct recovery *r)
{
    struct log *log = r->log;
    uint64_t first = FIRST_LOG_OFFSET;
    (void)io_failpoint(log->io, FAIL_RECOVER_REPLAYED);
    for (uint32_t i = 0; i < log->segment_count; i++) {
        const struct segment *s = &log->segments[i];
        int error = write_again(r, s);
        error = error < 0 ? error : io_file_sync(s->file);
        if (error < 0) {
            return recover_io_failed(r, error, "a segment cannot be synced");
        }
        first = s->header.first + s->header.capacity;
    }
    int error = io_failpoint(log->io, FAIL_RECOVER_SYNCED);
    error = error < 0 ? error : clean_up(r);
    error = error < 0 ? error : check_pool(log);
    if (error < 0) {
        return recover_io_failed(r, error, "an unused segment cannot be removed");
    }
    (void)io_failpoint(log->io, FAIL_RECOVER_CLEANED);
    first = recover_was_cut(r) ? max_u64(first, block_round(max_u64(r->next, r->stated))) : first;
    error = begin_next(log, first);
    if (error < 0) {
        return recover_io_failed(r, error, "a new segment cannot be made; is the disk full?");
    }
    (void)io_failpoint(log->io, FAIL_RECOVER_BEGUN);
    if (log->segment_count > 1 && !recover_was_cut(r)) {
        struct segment *old = &log->segments[log->segment_count - 2];
        old->bytes = old->header.body_offset + old->end - old->header.first;
        error = io_file_truncate(old->file, old->bytes);
        if (error < 0) {
            return recover_io_failed(r, error, "a segment cannot be cut");
        }
    }
    (void)io_failpoint(log->io, FAIL_RECOVER_CUT);
    log->end = log->written = log->synced = log->marked = first;
    return LOG_OPEN_OK;
}

/* --- Evidence ------------------------------------------------------------------------------- */

static void drop_one(void *context, const char *name)
{
    struct log *log = context;
    char path[LOG_PATH_MAX];
    if (strlen(name) == 24 && strcmp(name + 16, ".damaged") == 0) {
        snprintf(path, sizeof(path), "%s/%.24s", log->dir, name);
        (void)io_unlink(log->io, path);
    }
}

void log_drop_damaged(struct log *log)
{
    (void)io_list(log->io, log->dir, drop_one, log);
}
