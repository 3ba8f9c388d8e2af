/* Writing a checkpoint: see checkpoint.h.
 *
 *   start -> WALKING: chunks of the image are queued and written while the walk goes on
 *         -> WRITING: the walk is over, the trailer is queued, the rest goes to the disk
 *         -> CLOSING: a helper thread syncs, renames and syncs the directory, or deletes the file
 *         -> done
 *
 * From everywhere a failure leads to CLOSING, once no write is in flight. It is synced once,
 * at the end. */
#include "node/checkpoint.h"

#include "node/checkpoint_format.h"
#include "node/checkpoint_place.h"
#include "node/page_file.h"

#include "base/alloc.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define SPARE_ROOM 8u  /* the old file is kept while so many times its size are free */
#define WALK_ITEMS 16u /* between two looks at the clock */

enum phase { WALKING, WRITING, CLOSING };

struct checkpoint {
    struct io *io;
    struct engine *engine;
    struct checkpoint_header header;
    checkpoint_done *done; /* NULL after checkpoint_abort */
    void *context;

    enum phase phase;
    enum checkpoint_result result;
    bool failing; /* to be closed as soon as nothing is in flight */
    bool overrun; /* the backlog's limit was met inside a write of the engine */

    struct page_file pages;
    uint64_t number; /* of the next block */

    char dir[CHECKPOINT_PATH_MAX];
    char new_path[CHECKPOINT_PATH_MAX], path[CHECKPOINT_PATH_MAX], spare_path[CHECKPOINT_PATH_MAX];
    bool exchanged; /* the file that was replaced has the new one's name */
    char message[1400];
};

static void close_file(struct checkpoint *cp);

__attribute__((format(printf, 2, 3))) static void say(struct checkpoint *cp, const char *format,
                                                      ...)
{
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(cp->message, sizeof cp->message, format, arguments);
    va_end(arguments);
}

/* --- The queue ------------------------------------------------------------------------------- */

static void queue_header(struct checkpoint *cp)
{
    uint8_t bytes[CHECKPOINT_HEADER_BYTES_MAX];
    cp->header.log_time = engine_log_time(cp->engine);
    cp->header.level = engine_level(cp->engine);
    cp->header.format = CHECKPOINT_FORMAT;
    page_file_put(&cp->pages, bytes, checkpoint_header_write(&cp->header, bytes));
}

/* The engine's sink. It may run inside a write of the engine, so it only takes what it gets. */
static void queue_chunk(void *context, struct span chunk)
{
    struct checkpoint *cp = context;
    if (cp->overrun || cp->pages.queued_bytes + chunk.n > CHECKPOINT_BACKLOG_BYTES_MAX) {
        cp->overrun = true;
        return;
    }
    uint8_t head[CHECKPOINT_BLOCK_HEAD_BYTES];
    struct wire_writer w = wire_writer(head, sizeof head);
    uint32_t length = (uint32_t)chunk.n;
    wire_put_u32(&w, length);
    wire_put_u32(&w, checkpoint_block_crc(cp->header.salt, cp->number, length, chunk.p, chunk.n));
    qr_assert(!w.bad);
    cp->number++;
    page_file_put(&cp->pages, head, sizeof head);
    page_file_put(&cp->pages, chunk.p, chunk.n);
}

static void queue_trailer(struct checkpoint *cp)
{
    uint8_t bytes[CHECKPOINT_TRAILER_BYTES];
    struct wire_writer w = wire_writer(bytes, sizeof bytes);
    uint8_t counts[16];
    struct wire_writer c = wire_writer(counts, sizeof counts);
    wire_put_u64(&c, cp->number);
    wire_put_u64(&c, cp->pages.offset + cp->pages.queued_bytes + CHECKPOINT_TRAILER_BYTES);
    wire_put_u32(&w, 0);
    wire_put_u32(&w, checkpoint_block_crc(cp->header.salt, cp->number, 0, counts, sizeof counts));
    wire_put_bytes(&w, counts, sizeof counts);
    qr_assert(!w.bad);
    page_file_put(&cp->pages, bytes, sizeof bytes);
}

/* --- Failing --------------------------------------------------------------------------------- */

/* A lack of room passes; anything else may mean that the disk lies (R7). */
static enum checkpoint_result result_of(int error)
{
    return io_wants_room(error) ? CHECKPOINT_ABANDONED : CHECKPOINT_FAILED;
}

static void fail(struct checkpoint *cp, enum checkpoint_result result)
{
    if (cp->failing || cp->phase == CLOSING) {
        return; /* while closing, a helper thread reads `failing` */
    }
    cp->failing = true;
    cp->result = result;
    if (cp->phase == WALKING) {
        engine_image_end(cp->engine);
    }
    if (!cp->pages.in_flight) {
        close_file(cp);
    }
}

/* --- Closing: on a helper thread, for it may wait for the disk ------------------------------ */

/* Makes what was written durable, at its right length. */
static void sync_file(struct checkpoint *cp)
{
    int error = io_file_truncate(cp->pages.file, cp->pages.offset);
    error = error == 0 ? io_file_sync(cp->pages.file) : error;
    if (error != 0) {
        cp->failing = true;
        cp->result = result_of(error);
        say(cp, "cannot sync %s: %s", cp->new_path, strerror(-error));
    }
}

/* The old file and the new one swap their names, where there is room for both; else the old one
 * goes. The spare is never the file that is in force, or writing over it would destroy that. */
static int take_place(struct checkpoint *cp)
{
    int64_t room = io_free_bytes(cp->io, cp->dir);
    bool fits = room > 0 && (uint64_t)room / SPARE_ROOM >= cp->pages.offset;
    int error = fits ? io_exchange(cp->io, cp->new_path, cp->path) : -ENOENT;
    cp->exchanged = error == 0;
    bool plainly = error == -ENOENT || error == -EINVAL || error == -ENOSYS;
    return plainly ? io_rename(cp->io, cp->new_path, cp->path) : error;
}

/* What was replaced waits to be written over. Without it the next one is dearer, that is all. */
static void keep_spare(struct checkpoint *cp)
{
    if (cp->exchanged) {
        (void)io_unlink(cp->io, cp->spare_path);
        (void)io_link(cp->io, cp->new_path, cp->spare_path);
        (void)io_unlink(cp->io, cp->new_path);
    }
}

/* Deleting a file of gigabytes takes its time, too. */
static void close_work(void *context)
{
    struct checkpoint *cp = context;
    if (!cp->failing) {
        sync_file(cp);
    }
    io_file_close(cp->pages.file);
    if (cp->failing) {
        (void)io_failpoint(cp->io, FAIL_CHECKPOINT_DROP);
        (void)io_unlink(cp->io, cp->new_path); /* what stays is deleted by the next one */
        (void)io_failpoint(cp->io, FAIL_CHECKPOINT_DROPPED);
        return;
    }
    int error = io_failpoint(cp->io, FAIL_CHECKPOINT_RENAME);
    error = error != 0 ? error : take_place(cp);
    if (error != 0) {
        cp->result = result_of(error);
        say(cp, "cannot rename %s: %s", cp->new_path, strerror(-error));
        (void)io_unlink(cp->io, cp->new_path);
        return;
    }
    error = io_failpoint(cp->io, FAIL_CHECKPOINT_RENAMED);
    error = error != 0 ? error : checkpoint_sync_dir(cp->io, cp->dir, cp->header.group);
    (void)io_failpoint(cp->io, FAIL_CHECKPOINT_NAMED);
    if (error != 0) { /* which of the two files a crash would leave is unknown */
        cp->result = CHECKPOINT_FAILED;
        say(cp, "cannot sync directory %s: %s", cp->dir, strerror(-error));
        return;
    }
    keep_spare(cp);
}

static void close_done(void *context)
{
    struct checkpoint *cp = context;
    if (cp->done != NULL) {
        cp->done(cp->context, cp->result, &cp->header, cp->message);
    }
    free(cp);
}

static void close_file(struct checkpoint *cp)
{
    qr_assert(cp->phase != CLOSING);
    cp->phase = CLOSING;
    page_file_free(&cp->pages);
    cp->header.bytes = cp->pages.offset;
    if (!cp->failing) {
        cp->result = CHECKPOINT_DONE;
        say(cp, "checkpoint at slot %llu: %llu bytes", (unsigned long long)cp->header.slot,
            (unsigned long long)cp->header.bytes);
    }
    if (io_offload(cp->io, close_work, close_done, cp) != 0) {
        close_work(cp);
        close_done(cp);
    }
}

/* --- Writing --------------------------------------------------------------------------------- */

/* Hands the next page to the disk, or finishes when there is nothing more. */
static void write_on(struct checkpoint *cp)
{
    page_file_write(&cp->pages, cp->phase == WRITING);
    if (cp->phase == WRITING && cp->pages.first == NULL) {
        close_file(cp);
    }
}

static void on_written(struct page_file *pages, int error)
{
    struct checkpoint *cp = pages->owner;
    if (error != 0) {
        say(cp, "cannot write %s: %s", cp->new_path, strerror(-error));
        fail(cp, result_of(error));
    }
    if (cp->phase == CLOSING) {
        return;
    }
    if (cp->failing) {
        close_file(cp);
    } else {
        write_on(cp);
    }
}

/* --- The interface --------------------------------------------------------------------------- */

static void open_file(struct checkpoint *cp)
{
    int error = io_failpoint(cp->io, FAIL_CHECKPOINT_OPEN);
    error = error != 0 ? error : checkpoint_make_dir(cp->io, cp->dir, cp->header.group);
    error = error != 0 ? error : io_unlink(cp->io, cp->new_path);
    if (error == 0 || error == -ENOENT) {
        bool again = io_link(cp->io, cp->spare_path, cp->new_path) == 0;
        again = again && io_unlink(cp->io, cp->spare_path) == 0;
        unsigned flags = (again ? 0 : IO_CREATE) | IO_WRITE | IO_DIRECT;
        error = io_file_open(cp->io, cp->new_path, flags, &cp->pages.file);
        (void)io_failpoint(cp->io, FAIL_CHECKPOINT_OPENED);
    }
    if (error != 0) {
        say(cp, "cannot create %s: %s", cp->new_path, strerror(-error));
        cp->result = result_of(error);
    }
}

struct checkpoint *checkpoint_start(struct io *io, const char *dir, struct engine *engine,
                                    const struct checkpoint_header *header, checkpoint_done *done,
                                    void *context)
{
    struct checkpoint *cp = qr_zalloc(sizeof *cp);
    cp->io = io;
    cp->engine = engine;
    cp->header = *header;
    cp->done = done;
    cp->context = context;
    (void)snprintf(cp->dir, sizeof cp->dir, "%s", dir);
    checkpoint_path(cp->new_path, dir, header->group, CHECKPOINT_NEW_FILE);
    checkpoint_path(cp->spare_path, dir, header->group, CHECKPOINT_SPARE_FILE);
    checkpoint_path(cp->path, dir, header->group, CHECKPOINT_FILE);
    io_random(io, &cp->header.salt, sizeof cp->header.salt);
    cp->pages = (struct page_file){
        .io = io, .on_written = on_written, .owner = cp, .points = FAIL_CHECKPOINT_WRITE
    };
    open_file(cp);
    queue_header(cp);
    engine_image_begin(engine, queue_chunk, cp);
    return cp;
}

int checkpoint_forget_spare(struct io *io, const char *dir, uint32_t group)
{
    char path[CHECKPOINT_PATH_MAX];
    checkpoint_path(path, dir, group, CHECKPOINT_SPARE_FILE);
    int error = io_unlink(io, path);
    return error == -ENOENT ? 0 : error;
}

static void walk(struct checkpoint *cp, qr_time budget)
{
    qr_time end = io_now(cp->io) + budget;
    do {
        if (!engine_image_next(cp->engine, WALK_ITEMS)) {
            cp->phase = WRITING;
            break;
        }
    } while (cp->pages.queued_bytes < CHECKPOINT_QUEUED_BYTES_MAX && io_now(cp->io) < end);
}

bool checkpoint_step(struct checkpoint *cp, qr_time budget)
{
    if (cp->failing || cp->phase != WALKING) {
        return false;
    }
    if (cp->pages.file == NULL) {
        fail(cp, cp->result); /* it could not be created */
        return false;
    }
    if (cp->pages.queued_bytes < CHECKPOINT_QUEUED_BYTES_MAX) {
        (void)io_failpoint(cp->io, FAIL_CHECKPOINT_SLICE);
        walk(cp, budget);
    }
    if (engine_image_held(cp->engine) > CHECKPOINT_HELD_BYTES_MAX) {
        cp->overrun = true;
    }
    if (cp->overrun) {
        say(cp, "gave up a checkpoint: %zu bytes wait for a slow disk", cp->pages.queued_bytes);
        fail(cp, CHECKPOINT_ABANDONED);
        return false;
    }
    if (cp->phase == WRITING) {
        queue_trailer(cp);
    }
    write_on(cp);
    return cp->phase == WALKING && cp->pages.queued_bytes < CHECKPOINT_QUEUED_BYTES_MAX;
}

uint64_t checkpoint_bytes(const struct checkpoint *cp)
{
    return cp->pages.offset;
}

void checkpoint_cancel(struct checkpoint *cp)
{
    if (!cp->failing && cp->phase != CLOSING) {
        say(cp, "gave up a checkpoint: another node's takes its place");
        fail(cp, CHECKPOINT_ABANDONED);
    }
}

void checkpoint_abort(struct checkpoint *cp)
{
    cp->done = NULL;
    fail(cp, CHECKPOINT_ABANDONED);
}

size_t checkpoint_queued_bytes(const struct checkpoint *cp)
{
    return cp->pages.queued_bytes;
}
