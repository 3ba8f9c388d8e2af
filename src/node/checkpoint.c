/* Writing a checkpoint: see checkpoint.h.
 *
 *   start -> WALKING: chunks of the image are queued and written while the walk goes on
 *         -> WRITING: the walk is over, the trailer is queued, the rest goes to the disk
 *         -> CLOSING: a helper thread renames and syncs the directory, or deletes the file
 *         -> done
 *
 * From everywhere a failure leads to CLOSING, once no write is in flight. One write is in flight at
 * a time, synced by itself: a sync at the end of gigabytes would stall the log's syncs. */
#include "node/checkpoint.h"

#include "node/checkpoint_format.h"

#include "base/alloc.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* A write and its sync stop the log's syncs on the same disk for their own length: a write of 1 MiB
 * is as fast per byte as a longer one, and short. */
#define WRITE_BLOCKS_MAX 4u
#define WRITE_BYTES_MIN (768 * KIB) /* while the walk goes on: fewer are not worth a sync */
#define WALK_ITEMS 16u              /* between two looks at the clock */

enum phase { WALKING, WRITING, CLOSING };

/* Blocks are used again, for their memory is already there: the kernel has to clear each page that
 * it gives out. */
#define BLOCK_BYTES_MAX (CHECKPOINT_BLOCK_HEAD_BYTES + IMAGE_CHUNK_BYTES)
#define SPARE_MAX (CHECKPOINT_QUEUED_BYTES_MAX / IMAGE_CHUNK_BYTES)

struct block {
    struct block *next;
    size_t n;
    uint8_t bytes[];
};

struct checkpoint {
    struct io *io;
    struct engine *engine;
    struct checkpoint_header header;
    checkpoint_done *done; /* NULL after checkpoint_abort */
    void *context;

    enum phase phase;
    enum checkpoint_result result;
    bool failing;   /* to be closed as soon as nothing is in flight */
    bool overrun;   /* the backlog's limit was met inside a write of the engine */
    bool in_flight; /* `write` is */

    struct io_file *file;
    uint64_t salt, number; /* of the next block */
    uint64_t offset;       /* where the next block goes */
    struct block *first, *last;
    struct block *spare;
    uint32_t spares;
    size_t queued_bytes; /* not durable yet, in flight or not */
    struct io_write write;
    struct iovec v[WRITE_BLOCKS_MAX];

    char dir[1024], new_path[1088], path[1088];
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

static void queue(struct checkpoint *cp, struct block *block)
{
    block->next = NULL;
    if (cp->last == NULL) {
        cp->first = block;
    } else {
        cp->last->next = block;
    }
    cp->last = block;
    cp->queued_bytes += block->n;
}

static void give_back(struct checkpoint *cp, struct block *block)
{
    if (cp->spares == SPARE_MAX) {
        free(block);
        return;
    }
    block->next = cp->spare;
    cp->spare = block;
    cp->spares++;
}

static void drop(struct checkpoint *cp, unsigned count)
{
    for (; count > 0 && cp->first != NULL; count--) {
        struct block *block = cp->first;
        cp->first = block->next;
        cp->queued_bytes -= block->n;
        give_back(cp, block);
    }
    if (cp->first == NULL) {
        cp->last = NULL;
    }
}

static void free_spare(struct checkpoint *cp)
{
    while (cp->spare != NULL) {
        struct block *block = cp->spare;
        cp->spare = block->next;
        free(block);
    }
}

static struct block *new_block(struct checkpoint *cp, size_t n, struct wire_writer *w)
{
    struct block *block = cp->spare;
    qr_assert(n <= BLOCK_BYTES_MAX);
    if (block != NULL) {
        cp->spare = block->next;
        cp->spares--;
    } else {
        block = qr_alloc(sizeof *block + BLOCK_BYTES_MAX);
    }
    block->n = n;
    *w = wire_writer(block->bytes, n);
    return block;
}

static void queue_header(struct checkpoint *cp)
{
    struct wire_writer w;
    struct block *block = new_block(cp, CHECKPOINT_HEADER_BYTES, &w);
    wire_put_bytes(&w, CHECKPOINT_MAGIC, 8);
    wire_put_u16(&w, CHECKPOINT_FORMAT);
    wire_put_u16(&w, SEMANTICS_LEVEL);
    wire_put_u32(&w, cp->header.group);
    wire_put_bytes(&w, cp->header.cluster, 16);
    wire_put_bytes(&w, cp->header.uuid, 16);
    wire_put_u64(&w, cp->header.slot);
    wire_put_u64(&w, cp->header.term);
    wire_put_u64(&w, (uint64_t)engine_log_time(cp->engine));
    wire_put_u64(&w, cp->salt);
    wire_put_u32(&w, crc32c_extend(0, w.p, w.n));
    qr_assert(!w.bad && w.n == CHECKPOINT_HEADER_BYTES);
    queue(cp, block);
}

/* The engine's sink. It may run inside a write of the engine, so it only takes what it gets. */
static void queue_chunk(void *context, struct span chunk)
{
    struct checkpoint *cp = context;
    if (cp->overrun || cp->queued_bytes + chunk.n > CHECKPOINT_BACKLOG_BYTES_MAX) {
        cp->overrun = true;
        return;
    }
    struct wire_writer w;
    struct block *block = new_block(cp, CHECKPOINT_BLOCK_HEAD_BYTES + chunk.n, &w);
    uint32_t length = (uint32_t)chunk.n;
    wire_put_u32(&w, length);
    wire_put_u32(&w, checkpoint_block_crc(cp->salt, cp->number, length, chunk.p, chunk.n));
    wire_put_bytes(&w, chunk.p, chunk.n);
    qr_assert(!w.bad);
    cp->number++;
    queue(cp, block);
}

static void queue_trailer(struct checkpoint *cp)
{
    struct wire_writer w;
    struct block *block = new_block(cp, CHECKPOINT_TRAILER_BYTES, &w);
    uint8_t counts[16];
    struct wire_writer c = wire_writer(counts, sizeof counts);
    wire_put_u64(&c, cp->number);
    wire_put_u64(&c, cp->offset + cp->queued_bytes + CHECKPOINT_TRAILER_BYTES);
    wire_put_u32(&w, 0);
    wire_put_u32(&w, checkpoint_block_crc(cp->salt, cp->number, 0, counts, sizeof counts));
    wire_put_bytes(&w, counts, sizeof counts);
    qr_assert(!w.bad);
    queue(cp, block);
}

/* --- Failing --------------------------------------------------------------------------------- */

/* A lack of room passes; anything else may mean that the disk lies (R7). */
static enum checkpoint_result result_of(int error)
{
    switch (-error) {
    case ENOSPC:
    case EDQUOT:
    case EFBIG:
    case EMFILE:
    case ENFILE:
        return CHECKPOINT_ABANDONED;
    default:
        return CHECKPOINT_FAILED;
    }
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
    if (!cp->in_flight) {
        close_file(cp);
    }
}

/* --- Closing: on a helper thread, for it may wait for the disk ------------------------------ */

/* Deleting a file of gigabytes takes its time, too. */
static void close_work(void *context)
{
    struct checkpoint *cp = context;
    if (cp->file != NULL) {
        io_file_close(cp->file);
    }
    if (cp->failing) {
        (void)io_failpoint(cp->io, FAIL_CHECKPOINT_DROP);
        (void)io_unlink(cp->io, cp->new_path); /* what stays is deleted by the next one */
        (void)io_failpoint(cp->io, FAIL_CHECKPOINT_DROPPED);
        return;
    }
    int error = io_failpoint(cp->io, FAIL_CHECKPOINT_RENAME);
    error = error != 0 ? error : io_rename(cp->io, cp->new_path, cp->path);
    if (error != 0) {
        cp->result = result_of(error);
        say(cp, "cannot rename %s: %s", cp->new_path, strerror(-error));
        (void)io_unlink(cp->io, cp->new_path);
        return;
    }
    error = io_failpoint(cp->io, FAIL_CHECKPOINT_RENAMED);
    error = error != 0 ? error : io_sync_dir(cp->io, cp->dir);
    (void)io_failpoint(cp->io, FAIL_CHECKPOINT_NAMED);
    if (error != 0) { /* which of the two files a crash would leave is unknown */
        cp->result = CHECKPOINT_FAILED;
        say(cp, "cannot sync directory %s: %s", cp->dir, strerror(-error));
    }
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
    qr_assert(!cp->in_flight);
    qr_assert(cp->phase != CLOSING);
    cp->phase = CLOSING;
    drop(cp, UINT32_MAX);
    free_spare(cp);
    if (!cp->failing) {
        cp->result = CHECKPOINT_DONE;
        say(cp, "checkpoint at slot %llu: %llu bytes", (unsigned long long)cp->header.slot,
            (unsigned long long)cp->offset);
    }
    if (io_offload(cp->io, close_work, close_done, cp) != 0) {
        close_work(cp);
        close_done(cp);
    }
}

/* --- Writing --------------------------------------------------------------------------------- */

static void start_write(struct checkpoint *cp);

static void on_written(struct io_write *write, int error)
{
    struct checkpoint *cp = write->context;
    cp->in_flight = false;
    if (error == 0) {
        for (int i = 0; i < write->count; i++) {
            cp->offset += write->v[i].iov_len;
        }
        drop(cp, (unsigned)write->count);
    } else {
        say(cp, "cannot write %s: %s", cp->new_path, strerror(-error));
        fail(cp, result_of(error));
    }
    if (cp->phase == CLOSING) {
        return;
    }
    if (cp->failing) {
        close_file(cp);
    } else {
        start_write(cp);
    }
}

/* Hands what is queued to the disk, or finishes when there is nothing more. */
static void start_write(struct checkpoint *cp)
{
    if (cp->in_flight || (cp->phase == WALKING && cp->queued_bytes < WRITE_BYTES_MIN)) {
        return;
    }
    if (cp->first == NULL) {
        close_file(cp);
        return;
    }
    int count = 0;
    for (struct block *b = cp->first; b != NULL && count < (int)WRITE_BLOCKS_MAX; b = b->next) {
        cp->v[count++] = (struct iovec){ .iov_base = b->bytes, .iov_len = b->n };
    }
    cp->write = (struct io_write){ .file = cp->file,
                                   .v = cp->v,
                                   .count = count,
                                   .offset = cp->offset,
                                   .done = on_written,
                                   .context = cp,
                                   .points = FAIL_CHECKPOINT_WRITE };
    cp->in_flight = true;
    io_file_write_sync(cp->io, &cp->write);
}

/* --- The interface --------------------------------------------------------------------------- */

static void open_file(struct checkpoint *cp)
{
    int error = io_failpoint(cp->io, FAIL_CHECKPOINT_OPEN);
    error = error != 0 ? error : io_unlink(cp->io, cp->new_path);
    if (error == 0 || error == -ENOENT) {
        error = io_file_open(cp->io, cp->new_path, IO_CREATE | IO_WRITE, &cp->file);
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
    qr_assert(strlen(dir) < sizeof cp->dir);
    (void)snprintf(cp->dir, sizeof cp->dir, "%s", dir);
    (void)snprintf(cp->new_path, sizeof cp->new_path, "%s/" CHECKPOINT_NEW_FILE, dir);
    (void)snprintf(cp->path, sizeof cp->path, "%s/" CHECKPOINT_FILE, dir);
    io_random(io, &cp->salt, sizeof cp->salt);
    open_file(cp);
    queue_header(cp);
    engine_image_begin(engine, queue_chunk, cp);
    return cp;
}

static void walk(struct checkpoint *cp, qr_time budget)
{
    qr_time end = io_now(cp->io) + budget;
    do {
        if (!engine_image_next(cp->engine, WALK_ITEMS)) {
            cp->phase = WRITING;
            break;
        }
    } while (cp->queued_bytes < CHECKPOINT_QUEUED_BYTES_MAX && io_now(cp->io) < end);
}

bool checkpoint_step(struct checkpoint *cp, qr_time budget)
{
    if (cp->failing || cp->phase != WALKING) {
        return false;
    }
    if (cp->file == NULL) {
        fail(cp, cp->result); /* it could not be created */
        return false;
    }
    if (cp->queued_bytes < CHECKPOINT_QUEUED_BYTES_MAX) {
        (void)io_failpoint(cp->io, FAIL_CHECKPOINT_SLICE);
        walk(cp, budget);
    }
    if (cp->overrun) {
        say(cp, "gave up a checkpoint: %zu bytes wait for a slow disk", cp->queued_bytes);
        fail(cp, CHECKPOINT_ABANDONED);
        return false;
    }
    if (cp->phase == WRITING) {
        queue_trailer(cp);
    }
    start_write(cp);
    return cp->phase == WALKING && cp->queued_bytes < CHECKPOINT_QUEUED_BYTES_MAX;
}

uint64_t checkpoint_bytes(const struct checkpoint *cp)
{
    return cp->offset;
}

void checkpoint_abort(struct checkpoint *cp)
{
    cp->done = NULL;
    fail(cp, CHECKPOINT_ABANDONED);
}

size_t checkpoint_queued_bytes(const struct checkpoint *cp)
{
    return cp->queued_bytes;
}
