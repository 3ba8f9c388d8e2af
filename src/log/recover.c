/* Recovery: what survived, and where the log ends.
 *
 *   1. The newest segment with a whole header is the top; each header names the segment before
 *      it and where that one ends, so the chain leads back to the oldest segment still needed.
 *   2. Replay, oldest first. Below the top every batch must be there.
 *   3. In the top the batches end somewhere. If any whole batch behind that place states a synced
 *      mark beyond it, synced bytes are bad: damage. Else it is a torn tail and is cut.
 *   4. What is kept is synced, then a new segment is begun. Its header says where the old one
 *      ends, so that nothing behind the cut can ever come back to life, and its log offsets begin
 *      behind all that the old segment could have held.
 *
 * A damaged log is opened for reading only and nothing in the directory is changed. */
#include "log/replay.h"

#include "base/alloc.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

struct found {
    uint64_t number; /* from the name */
    uint64_t bytes;
    struct io_file *file;
    struct segment_header header;
    bool whole;   /* the header is; else the file was never used, or is damaged */
    bool chained; /* in use: its file belongs to log->segments now */
};

struct recovery {
    struct log *log;
    struct found *found; /* .log files by number, ascending */
    uint32_t count, cap;
    uint64_t *tmp; /* numbers of .tmp files */
    uint32_t tmp_count, tmp_cap;
    uint64_t stated; /* log offset below which everything was synced, says what is passed over */
    struct window window;
    char *message;
    size_t message_cap;
};

/* --- What is in the directory --------------------------------------------------------------- */

static void numbers_push(uint64_t **v, uint32_t *count, uint32_t *cap, uint64_t number)
{
    if (*count == *cap) {
        *cap = *cap == 0 ? 8 : *cap * 2;
        *v = qr_realloc(*v, *cap * sizeof(uint64_t));
    }
    (*v)[(*count)++] = number;
}

static void found_push(struct recovery *r, uint64_t number)
{
    if (r->count == r->cap) {
        r->cap = r->cap == 0 ? 8 : r->cap * 2;
        r->found = qr_realloc(r->found, r->cap * sizeof(struct found));
    }
    uint32_t i = r->count++;
    for (; i > 0 && r->found[i - 1].number > number; i--) {
        r->found[i] = r->found[i - 1];
    }
    r->found[i] = (struct found){ .number = number };
}

/* The number of a name of 16 lower-case hexadecimal digits and the suffix. */
static bool parse_name(const char *name, const char *suffix, uint64_t *number)
{
    uint64_t n = 0;
    for (int i = 0; i < 16; i++) {
        char c = name[i];
        if (c >= '0' && c <= '9') {
            n = n * 16 + (uint64_t)(c - '0');
        } else if (c >= 'a' && c <= 'f') {
            n = n * 16 + (uint64_t)(c - 'a') + 10;
        } else {
            return false;
        }
    }
    *number = n;
    return strcmp(name + 16, suffix) == 0;
}

static void note_name(void *context, const char *name)
{
    struct recovery *r = context;
    uint64_t number;
    if (parse_name(name, ".log", &number)) {
        found_push(r, number);
    } else if (parse_name(name, ".free", &number)) {
        free_name_push(r->log, number);
    } else if (parse_name(name, ".tmp", &number)) {
        numbers_push(&r->tmp, &r->tmp_count, &r->tmp_cap, number);
    } else {
        return;
    }
    r->log->next_name = max_u64(r->log->next_name, number + 1);
}

/* --- Outcomes ------------------------------------------------------------------------------- */

static enum log_open_result io_failed(struct recovery *r, int error, const char *what)
{
    snprintf(r->message, r->message_cap, "log %s: %s: %s", r->log->dir, what, strerror(-error));
    return LOG_OPEN_IO;
}

static enum log_open_result foreign(struct recovery *r, const struct found *f, const char *why)
{
    snprintf(r->message, r->message_cap, "log %s: segment %016" PRIx64 ".log %s", r->log->dir,
             f->number, why);
    return LOG_OPEN_FOREIGN;
}

/* Everything is suspect: what was lost may have concerned any group. */
static enum log_open_result damaged(struct recovery *r, uint64_t number, uint64_t at,
                                    const char *what)
{
    struct group *g;
    for (uint32_t i = 0; (g = groups_next(&r->log->groups, &i)) != NULL;) {
        g->damaged = true;
    }
    r->log->damaged = true;
    snprintf(r->message, r->message_cap,
             "log %s: segment %016" PRIx64 ".log is damaged at byte %" PRIu64 " (%s); nothing was "
             "changed: keep the files, and rebuild this replica from its peers or from a backup",
             r->log->dir, number, at, what);
    return LOG_OPEN_DAMAGED;
}

/* --- Headers -------------------------------------------------------------------------------- */

/* Opens a segment file and reads its header. */
static enum log_open_result look_at(struct recovery *r, struct found *f)
{
    char path[LOG_PATH_MAX];
    segment_path(r->log, path, f->number);
    int error = io_file_open(r->log->io, path, IO_WRITE, &f->file);
    if (error < 0) {
        return io_failed(r, error, "a segment cannot be opened");
    }
    int64_t size = io_file_size(f->file);
    f->bytes = size < 0 ? 0 : (uint64_t)size;
    uint8_t block[LOG_BLOCK_BYTES] = { 0 };
    int64_t got = io_file_pread(f->file, block, sizeof(block), 0);
    if (got < 0) {
        return io_failed(r, (int)got, "a segment cannot be read");
    }
    switch (segment_header_decode(block, &f->header)) {
    case HEADER_NEWER:
        return foreign(r, f, "has another format: it was written by a newer version, use that one");
    case HEADER_NONE:
        return LOG_OPEN_OK;
    case HEADER_OK:
        break;
    }
    if (memcmp(f->header.uuid, r->log->config.uuid, 16) != 0) {
        return foreign(r, f, "belongs to the log of another data directory: put it back there");
    }
    f->whole = f->header.generation == f->number; /* else a recycled file before its first use */
    return LOG_OPEN_OK;
}

static enum log_open_result look_at_all(struct recovery *r)
{
    int error = io_list(r->log->io, r->log->dir, note_name, r);
    if (error < 0) {
        return io_failed(r, error, "the directory cannot be read");
    }
    enum log_open_result result = LOG_OPEN_OK;
    for (uint32_t i = 0; i < r->count && result == LOG_OPEN_OK; i++) {
        result = look_at(r, &r->found[i]);
    }
    return result;
}

static struct found *find_number(struct recovery *r, uint64_t number)
{
    for (uint32_t i = 0; i < r->count; i++) {
        if (r->found[i].number == number) {
            return &r->found[i];
        }
    }
    return NULL;
}

/* Whether some batch in the file proves that its beginning was once on disk. If not, what it says
 * of the segments before it is true all the same: it was begun after they were synced. */
static bool was_synced(struct recovery *r, const struct found *f)
{
    uint64_t first = 0;
    r->window = (struct window){ .file = f->file, .p = r->window.p, .cap = r->window.cap };
    uint64_t mark = replay_highest_mark(r->log, &r->window, f->number, LOG_BLOCK_BYTES, &first);
    r->stated = max_u64(r->stated, max_u64(mark, f->whole ? f->header.prev_end : 0));
    return mark > first;
}

static bool restate_is_whole(struct recovery *r, const struct found *f)
{
    const struct segment_header *h = &f->header;
    r->window = (struct window){ .file = f->file, .p = r->window.p, .cap = r->window.cap };
    if (h->restate_bytes > h->body_offset - LOG_BLOCK_BYTES) {
        return false;
    }
    const uint8_t *p = window_at(&r->window, LOG_BLOCK_BYTES, h->restate_bytes);
    return p != NULL &&
           restate_crc(h->uuid, h->generation, span_of(p, h->restate_bytes)) == h->restate_crc;
}

/* The newest segment whose beginning is whole. One without was never used, unless its batches prove
 * the opposite: that is damage. */
static enum log_open_result find_top(struct recovery *r, struct found **top)
{
    *top = NULL;
    for (uint32_t i = r->count; i > 0; i--) {
        struct found *f = &r->found[i - 1];
        if (f->whole && restate_is_whole(r, f)) {
            *top = f;
            return LOG_OPEN_OK;
        }
        if (f->bytes < 2 * LOG_BLOCK_BYTES || f->bytes % LOG_BLOCK_BYTES != 0) {
            return damaged(r, f->number, f->bytes, "the file is cut off");
        }
        if (was_synced(r, f)) {
            return damaged(r, f->number, 0, "its beginning is bad though it was synced");
        }
        f->whole = false;
    }
    return LOG_OPEN_OK;
}

/* --- The chain ------------------------------------------------------------------------------ */

/* Moves the chain that ends in `top` into log->segments, oldest first. */
static enum log_open_result chain(struct recovery *r, struct found *top)
{
    uint32_t n = 0;
    for (struct found *f = top; f != NULL; n++) {
        f->chained = true;
        struct found *before = find_number(r, f->header.prev_generation);
        if (before != NULL && !before->whole) {
            return damaged(r, before->number, 0, "its header is bad");
        }
        f = before;
    }
    for (uint32_t i = 0; i < r->count; i++) {
        struct found *f = &r->found[i];
        if (f->chained) {
            struct segment *s = segment_push(r->log);
            s->header = f->header;
            s->bytes = f->bytes;
            s->file = f->file;
        }
    }
    qr_assert(r->log->segment_count == n);
    return LOG_OPEN_OK;
}

/* Replays segment i; all of it must be there. */
static enum log_open_result replay_sealed(struct recovery *r, uint32_t i)
{
    struct segment *s = &r->log->segments[i];
    uint64_t stop = r->log->segments[i + 1].header.prev_end;
    switch (replay_batches(r->log, s, &r->window, stop)) {
    case REPLAY_WHOLE:
        return LOG_OPEN_OK;
    case REPLAY_IO:
        return io_failed(r, r->window.error, "a segment cannot be read");
    case REPLAY_STOPS:
    case REPLAY_WRONG:
        break;
    }
    return damaged(r, s->header.generation, s->header.body_offset + s->end - s->header.first,
                   "a synced batch is bad");
}

/* Replays the top segment and decides between a torn tail and damage. */
static enum log_open_result replay_top(struct recovery *r)
{
    struct segment *s = log_newest(r->log);
    uint64_t generation = s->header.generation;
    if (s->bytes < s->header.body_offset + s->header.capacity) {
        (void)replay_batches(r->log, s, &r->window, s->header.first + s->header.capacity);
        return damaged(r, generation, s->bytes, "the file is shorter than its header says");
    }
    enum replay_end end =
        replay_batches(r->log, s, &r->window, s->header.first + s->header.capacity);
    uint64_t at = s->header.body_offset + s->end - s->header.first;
    if (end == REPLAY_IO) {
        return io_failed(r, r->window.error, "a segment cannot be read");
    }
    if (end == REPLAY_WRONG) {
        return damaged(r, generation, at, "its records contradict each other");
    }
    uint64_t first = 0;
    uint64_t mark = replay_highest_mark(r->log, &r->window, generation, at, &first);
    if (max_u64(mark, r->stated) > s->end) {
        return damaged(r, generation, at, "a synced batch is bad");
    }
    if (first != 0 || replay_looks_begun(s, &r->window)) {
        snprintf(r->message, r->message_cap,
                 "log %s: the last write had not been finished; its remains at byte %" PRIu64
                 " of segment %016" PRIx64 ".log are cut, nothing of it was acknowledged",
                 r->log->dir, at, generation);
    }
    return LOG_OPEN_OK;
}

static enum log_open_result replay(struct recovery *r)
{
    struct log *log = r->log;
    enum log_open_result result = LOG_OPEN_OK;
    for (uint32_t i = 0; i < log->segment_count && result == LOG_OPEN_OK; i++) {
        struct segment *s = &log->segments[i];
        r->window = (struct window){ .file = s->file, .p = r->window.p, .cap = r->window.cap };
        if (!replay_restate(log, s, &r->window)) {
            return damaged(r, s->header.generation, LOG_BLOCK_BYTES, "its restatement is bad");
        }
        result = i + 1 < log->segment_count ? replay_sealed(r, i) : replay_top(r);
    }
    return result;
}

/* A segment may be missing only when nothing of it is needed. */
static enum log_open_result find_missing(struct recovery *r)
{
    struct group *g;
    bool missing = false;
    for (uint32_t i = 0; (g = groups_next(&r->log->groups, &i)) != NULL;) {
        g->damaged = group_has_missing(g);
        missing |= g->damaged;
    }
    if (!missing) {
        return LOG_OPEN_OK;
    }
    r->log->damaged = true;
    snprintf(r->message, r->message_cap,
             "log %s: segments before %016" PRIx64 ".log are missing and hold entries that are "
             "still needed; nothing was changed: put them back, or rebuild this replica from its "
             "peers or from a backup",
             r->log->dir, r->log->segments[0].header.generation);
    return LOG_OPEN_DAMAGED;
}

/* --- Going on ------------------------------------------------------------------------------- */

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
        if (f->bytes == log->config.segment_bytes) {
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

/* Syncs what is kept and begins a new segment behind it. */
static enum log_open_result go_on(struct recovery *r)
{
    struct log *log = r->log;
    uint64_t first = FIRST_LOG_OFFSET;
    (void)io_failpoint(log->io, FAIL_RECOVER_REPLAYED);
    for (uint32_t i = 0; i < log->segment_count; i++) {
        const struct segment *s = &log->segments[i];
        int error = io_file_sync(s->file);
        if (error < 0) {
            return io_failed(r, error, "a segment cannot be synced");
        }
        first = s->header.first + s->header.capacity;
    }
    int error = io_failpoint(log->io, FAIL_RECOVER_SYNCED);
    error = error < 0 ? error : clean_up(r);
    error = error < 0 ? error : check_pool(log);
    if (error < 0) {
        return io_failed(r, error, "an unused segment cannot be removed");
    }
    (void)io_failpoint(log->io, FAIL_RECOVER_CLEANED);
    error = begin_next(log, first);
    if (error < 0) {
        return io_failed(r, error, "a new segment cannot be made; is the disk full?");
    }
    (void)io_failpoint(log->io, FAIL_RECOVER_BEGUN);
    if (log->segment_count > 1) {
        struct segment *old = &log->segments[log->segment_count - 2];
        old->bytes = old->header.body_offset + old->end - old->header.first;
        error = io_file_truncate(old->file, old->bytes);
        if (error < 0) {
            return io_failed(r, error, "a segment cannot be cut");
        }
    }
    (void)io_failpoint(log->io, FAIL_RECOVER_CUT);
    log->end = log->synced = log->marked = first;
    return LOG_OPEN_OK;
}

static enum log_open_result wiped(struct recovery *r)
{
    r->log->damaged = true;
    snprintf(r->message, r->message_cap,
             "log %s: there is no log though this node has had one; nothing was changed: put it "
             "back, or rebuild this replica from its peers or from a backup",
             r->log->dir);
    return LOG_OPEN_DAMAGED;
}

static enum log_open_result run(struct recovery *r)
{
    struct found *top = NULL;
    int error = io_failpoint(r->log->io, FAIL_RECOVER);
    if (error < 0) {
        return io_failed(r, error, "the directory cannot be read");
    }
    enum log_open_result result = look_at_all(r);
    if (result == LOG_OPEN_OK) {
        result = find_top(r, &top);
    }
    if (result == LOG_OPEN_OK && top == NULL &&
        (r->log->config.must_exist || r->stated > FIRST_LOG_OFFSET)) {
        result = wiped(r);
    }
    if (result == LOG_OPEN_OK && top != NULL) {
        result = chain(r, top);
    }
    if (result == LOG_OPEN_OK) {
        result = replay(r);
    }
    if (result == LOG_OPEN_OK) {
        result = find_missing(r);
    }
    return result == LOG_OPEN_OK ? go_on(r) : result;
}

enum log_open_result log_recover(struct log *log, char *message, size_t cap)
{
    struct recovery r = { .log = log, .message = message, .message_cap = cap };
    log->next_name = 1;
    enum log_open_result result = run(&r);
    bool adopted = log->segment_count > 0; /* then the chained files are the log's */
    for (uint32_t i = 0; i < r.count; i++) {
        if (!r.found[i].chained || !adopted) {
            io_file_close(r.found[i].file);
        }
    }
    window_free(&r.window);
    free(r.found);
    free(r.tmp);
    return result;
}
