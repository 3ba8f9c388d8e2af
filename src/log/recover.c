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
 * A batch below the synced mark whose bytes are bad may still be read as far as its records can be
 * told (salvage.c). Anything worse is damage: the log is opened for reading only and nothing in the
 * directory is changed; or, if the caller wants that, it is read again up to the damage, and cut
 * there. */
#include "log/recover.h"

#include "base/alloc.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

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
    } else if (!parse_name(name, ".damaged", &number)) {
        return;
    }
    r->log->next_name = max_u64(r->log->next_name, number + 1);
}

/* --- Outcomes ------------------------------------------------------------------------------- */

static enum log_open_result foreign(struct recovery *r, const struct found *f, const char *why)
{
    snprintf(r->message, r->message_cap, "log %s: segment %016" PRIx64 ".log %s", r->log->dir,
             f->number, why);
    return LOG_OPEN_FOREIGN;
}

/* Everything is suspect: what was lost may have concerned any group. Only what lies below log
 * offset `limit` is proven. */
static enum log_open_result damaged(struct recovery *r, uint64_t number, uint64_t at,
                                    uint64_t limit, const char *what)
{
    struct group *g;
    for (uint32_t i = 0; (g = groups_next(&r->log->groups, &i)) != NULL;) {
        g->damaged = true;
    }
    r->log->damaged = true;
    r->limit = limit < r->limit ? limit : 0;
    if (r->message[0] == 0 || !r->log->config.cut_damage) {
        snprintf(r->message, r->message_cap,
                 "log %s: segment %016" PRIx64 ".log is damaged at byte %" PRIu64 " (%s); %s",
                 r->log->dir, number, at, what,
                 r->log->config.cut_damage
                     ? "it was cut there: this replica has forgotten what followed, the files are "
                       "kept as *.damaged until the others have brought it up to date"
                     : "nothing was changed: keep the files, and rebuild this replica from its "
                       "peers or from a backup");
    }
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
        return recover_io_failed(r, error, "a segment cannot be opened");
    }
    int64_t size = io_file_size(f->file);
    if (size < 0) {
        return recover_io_failed(r, (int)size, "the size of a segment cannot be read");
    }
    f->bytes = (uint64_t)size;
    uint8_t block[LOG_BLOCK_BYTES] = { 0 };
    int64_t got = io_file_pread(f->file, block, sizeof(block), 0);
    if (got < 0) {
        return recover_io_failed(r, (int)got, "a segment cannot be read");
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
    r->next = max_u64(r->next, f->header.first + f->header.capacity);
    f->whole = f->header.generation == f->number; /* else a recycled file before its first use */
    return LOG_OPEN_OK;
}

static enum log_open_result look_at_all(struct recovery *r)
{
    int error = io_list(r->log->io, r->log->dir, note_name, r);
    if (error < 0) {
        return recover_io_failed(r, error, "the directory cannot be read");
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
    window_move(&r->replay.window, f->file);
    uint64_t mark =
        replay_highest_mark(r->log, &r->replay.window, f->number, LOG_BLOCK_BYTES, &first);
    r->stated = max_u64(r->stated, max_u64(mark, f->whole ? f->header.prev_end : 0));
    return mark > first;
}

static bool restate_is_whole(struct recovery *r, const struct found *f)
{
    const struct segment_header *h = &f->header;
    window_move(&r->replay.window, f->file);
    if (h->restate_bytes > h->body_offset - LOG_BLOCK_BYTES) {
        return false;
    }
    const uint8_t *p = window_at(&r->replay.window, LOG_BLOCK_BYTES, h->restate_bytes);
    return p != NULL &&
           restate_crc(h->uuid, h->generation, span_of(p, h->restate_bytes)) == h->restate_crc;
}

/* Why a file that is not the top cannot have been one that was never used; NULL when it can. */
static const char *was_used(struct recovery *r, const struct found *f)
{
    if (f->bytes < 2 * LOG_BLOCK_BYTES || f->bytes % LOG_BLOCK_BYTES != 0) {
        return "the file is cut off";
    }
    bool followed = f->number < r->found[r->count - 1].number; /* janitor.c: one at a time */
    return followed || was_synced(r, f) ? "its beginning is bad though it was synced" : NULL;
}

/* The newest segment whose beginning is whole. One without was never used, unless its batches prove
 * the opposite: that is damage. */
static enum log_open_result find_top(struct recovery *r, struct found **top)
{
    *top = NULL;
    for (uint32_t i = r->count; i > 0; i--) {
        struct found *f = &r->found[i - 1];
        if (f->dropped) {
            continue;
        }
        if (f->whole && restate_is_whole(r, f)) {
            *top = f;
            return LOG_OPEN_OK;
        }
        int error = r->replay.window.error;
        const char *why = error == 0 ? was_used(r, f) : NULL;
        error = error == 0 ? r->replay.window.error : error;
        if (error < 0) { /* that it cannot be read does not say what it is */
            return recover_io_failed(r, error, "a segment cannot be read");
        }
        if (why != NULL && !r->log->config.cut_damage) {
            return damaged(r, f->number, 0, 0, why);
        }
        if (why != NULL) {
            (void)damaged(r, f->number, 0, UINT64_MAX - 1, why); /* what lies before it may stay */
            f->dropped = true;
        }
        f->whole = false;
    }
    return LOG_OPEN_OK;
}

/* --- The chain ------------------------------------------------------------------------------ */

/* Moves the chain that ends in `top` into log->segments, oldest first; not what the limit cuts. */
static enum log_open_result chain(struct recovery *r, struct found *top)
{
    r->stop = UINT64_MAX;
    for (struct found *f = top; f != NULL;) {
        f->chained = f->header.first < r->limit;
        r->stop = f->chained ? r->stop : f->header.prev_end;
        struct found *before = find_number(r, f->header.prev_generation);
        if (before != NULL && !before->whole) {
            return damaged(r, before->number, 0, 0, "its header is bad");
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
            s->end = f->header.first;
        }
    }
    return LOG_OPEN_OK;
}

/* Replays a segment up to `stop`, also through bad batches that lie below `synced`, as far as it
 * can be told what they held. */
static enum replay_end replay_through(struct recovery *r, struct segment *s, uint64_t stop,
                                      uint64_t synced)
{
    enum replay_end end = replay_batches(&r->replay, s, stop);
    while (end == REPLAY_STOPS && replay_salvage(&r->replay, s, synced)) {
        r->bad++;
        end = replay_batches(&r->replay, s, stop);
    }
    return end;
}

static uint64_t file_at(const struct segment *s, uint64_t offset)
{
    return s->header.body_offset + (offset - s->header.first);
}

/* Replays a segment that ends at `stop`; all of it must be there. */
static enum log_open_result replay_sealed(struct recovery *r, struct segment *s, uint64_t stop)
{
    switch (replay_through(r, s, stop, stop)) {
    case REPLAY_WHOLE:
        return LOG_OPEN_OK;
    case REPLAY_IO:
        return recover_io_failed(r, r->replay.window.error, "a segment cannot be read");
    case REPLAY_STOPS:
    case REPLAY_WRONG:
        break;
    }
    return damaged(r, s->header.generation, file_at(s, s->end), s->end, "a synced batch is bad");
}

/* Replays the top segment and decides between a torn tail and damage. */
static enum log_open_result replay_top(struct recovery *r)
{
    struct segment *s = log_newest(r->log);
    struct window *w = &r->replay.window;
    uint64_t generation = s->header.generation;
    uint64_t stop = s->header.first + s->header.capacity;
    enum replay_end end = replay_batches(&r->replay, s, stop);
    if (s->bytes < s->header.body_offset + s->header.capacity) {
        return damaged(r, generation, s->bytes, s->end, "the file is shorter than its header says");
    }
    uint64_t first = 0;
    uint64_t mark = replay_highest_mark(r->log, w, generation, file_at(s, s->end), &first);
    mark = max_u64(mark, r->stated);
    if (end == REPLAY_STOPS && mark > s->end) {
        end = replay_through(r, s, stop, mark);
        first = 0;
        (void)replay_highest_mark(r->log, w, generation, file_at(s, s->end), &first);
    }
    uint64_t at = file_at(s, s->end);
    if (w->error < 0) { /* also where the marks were looked for: they decide what is cut */
        return recover_io_failed(r, w->error, "a segment cannot be read");
    }
    if (end == REPLAY_WRONG) {
        return damaged(r, generation, at, s->end, "its records contradict each other");
    }
    if (mark > s->end) {
        return damaged(r, generation, at, s->end, "a synced batch is bad");
    }
    if (!recover_was_cut(r) && (first != 0 || replay_looks_begun(s, w))) {
        snprintf(r->message, r->message_cap,
                 "log %s: the last write had not been finished; its remains at byte %" PRIu64
                 " of segment %016" PRIx64
                 ".log are cut, nothing of it was acknowledged as durable",
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
        bool newest = i + 1 == log->segment_count;
        uint64_t stop = newest ? min_u64(r->stop, r->limit) : s[1].header.prev_end;
        window_move(&r->replay.window, s->file);
        bool restated = replay_restate(&r->replay, s);
        if (r->replay.window.error < 0) {
            return recover_io_failed(r, r->replay.window.error, "a segment cannot be read");
        }
        if (!restated) {
            return damaged(r, s->header.generation, LOG_BLOCK_BYTES, s->header.first,
                           "its restatement is bad");
        }
        bool sealed = stop <= s->header.first + s->header.capacity;
        result = sealed ? replay_sealed(r, s, stop) : replay_top(r);
    }
    if (result == LOG_OPEN_OK && r->replay.open > 0) {
        const struct segment *s = segment_of(log, r->replay.open_at);
        return damaged(r, s->header.generation, file_at(s, r->replay.open_at), r->replay.open_at,
                       "records that may be more than entries are bad");
    }
    return result;
}

/* A segment may be missing only when nothing of it is needed. */
static enum log_open_result find_missing(struct recovery *r)
{
    struct group *g;
    bool missing = false;
    for (uint32_t i = 0; (g = groups_next(&r->log->groups, &i)) != NULL;) {
        struct lost lost;
        for (qr_slot from = 0; !missing && group_next_lost(g, from, UINT64_MAX, &lost);
             from = lost.hi + 1) {
            missing = lost.run->offset == RUN_MISSING;
        }
    }
    if (!missing) {
        return LOG_OPEN_OK;
    }
    (void)damaged(r, r->log->segments[0].header.generation, 0, 0, "segments before it are missing");
    if (r->log->config.cut_damage) {
        return LOG_OPEN_DAMAGED;
    }
    snprintf(r->message, r->message_cap,
             "log %s: segments before %016" PRIx64 ".log are missing and hold entries that are "
             "still needed; nothing was changed: put them back, or rebuild this replica from its "
             "peers or from a backup",
             r->log->dir, r->log->segments[0].header.generation);
    return LOG_OPEN_DAMAGED;
}

static enum log_open_result wiped(struct recovery *r)
{
    r->log->damaged = true;
    r->limit = 0;
    snprintf(r->message, r->message_cap, "log %s: there is no log though this node has had one; %s",
             r->log->dir,
             r->log->config.cut_damage
                 ? "this replica has forgotten it and begins a new one"
                 : "nothing was changed: put it back, or rebuild this replica from its peers or "
                   "from a backup");
    return LOG_OPEN_DAMAGED;
}

/* Everything that is below the limit, or the damage in it. */
static enum log_open_result read_all(struct recovery *r)
{
    struct found *top = NULL;
    enum log_open_result result = r->limit == 0 ? LOG_OPEN_OK : find_top(r, &top);
    bool lost = r->log->config.must_exist || r->stated > FIRST_LOG_OFFSET;
    if (result == LOG_OPEN_OK && top == NULL && lost && !recover_was_cut(r)) {
        result = wiped(r);
    }
    if (result == LOG_OPEN_OK && top != NULL) {
        result = chain(r, top);
    }
    if (result == LOG_OPEN_OK) {
        result = replay(r);
    }
    return result == LOG_OPEN_OK ? find_missing(r) : result;
}

/* Forgets what was read, so that it can be read again up to the limit. */
static void unread(struct recovery *r)
{
    groups_free(&r->log->groups);
    r->log->segment_count = 0;
    r->log->damaged = false;
    r->replay.open = 0;
    r->bad = 0;
    for (uint32_t i = 0; i < r->count; i++) {
        r->found[i].chained = false;
    }
}

static void find_pins(struct log *log)
{
    struct group *g;
    for (uint32_t i = 0; (g = groups_next(&log->groups, &i)) != NULL;) {
        if (group_first_offset(g) != RUN_MISSING) {
            pins_add(&log->pins, g);
        }
    }
}

/* Says which entries have to come from the other members. */
static void tell_holes(struct recovery *r)
{
    uint64_t n = 0;
    struct group *g;
    struct lost lost;
    for (uint32_t i = 0; (g = groups_next(&r->log->groups, &i)) != NULL;) {
        for (qr_slot from = 0; group_next_lost(g, from, UINT64_MAX, &lost); from = lost.hi + 1) {
            n += lost.hi - lost.lo + 1;
        }
    }
    r->log->lacks = n > 0;
    if (r->bad > 0 && !recover_was_cut(r)) {
        snprintf(r->message, r->message_cap,
                 "log %s: %" PRIu32 " batches have bad bytes; %" PRIu64
                 " entries have to be fetched from the other members, all others are intact",
                 r->log->dir, r->bad, n);
    }
}

static enum log_open_result run(struct recovery *r)
{
    int error = io_failpoint(r->log->io, FAIL_RECOVER);
    if (error < 0) {
        return recover_io_failed(r, error, "the directory cannot be read");
    }
    enum log_open_result result = look_at_all(r);
    if (result == LOG_OPEN_OK) {
        result = read_all(r);
    }
    while (result == LOG_OPEN_DAMAGED && r->log->config.cut_damage) {
        unread(r);
        result = read_all(r);
    }
    if (result == LOG_OPEN_OK) {
        r->log->damaged = false;
        find_pins(r->log);
        tell_holes(r);
        result = recover_go_on(r);
    }
    return result;
}

enum log_open_result log_recover(struct log *log, char *message, size_t cap)
{
    struct recovery r = { .log = log, .message = message, .message_cap = cap };
    r.replay.log = log;
    r.limit = UINT64_MAX;
    log->next_name = 1;
    enum log_open_result result = run(&r);
    bool adopted = log->segment_count > 0; /* then the chained files are the log's */
    for (uint32_t i = 0; i < r.count; i++) {
        if (!r.found[i].chained || !adopted) {
            io_file_close(r.found[i].file);
        }
    }
    window_free(&r.replay.window);
    free(r.found);
    free(r.tmp);
    return result;
}
