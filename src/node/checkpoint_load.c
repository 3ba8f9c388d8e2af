/* Loading a checkpoint at the start of a node: see checkpoint.h.
 *
 * Every byte is checked; the engine only counts as loaded when the last one was right. A checkpoint
 * that cannot be used is never passed over in silence: the log before its slot may be gone. */
#include "node/checkpoint.h"

#include "node/checkpoint_format.h"
#include "node/checkpoint_place.h"

#include "base/alloc.h"

#include <errno.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

struct loader {
    struct io *io;
    struct checkpoint_reader reader;
    struct checkpoint_header *header;
    struct io_file *file;
    char path[CHECKPOINT_PATH_MAX];
    char *message;
    size_t cap;

    uint64_t size;
    size_t n; /* bytes in the buffer, from the reader's offset on */
    uint8_t buffer[4 * CHECKPOINT_UNIT_BYTES_MAX];
};

__attribute__((format(printf, 2, 3))) static void say(struct loader *l, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(l->message, l->cap, format, arguments);
    va_end(arguments);
}

static enum checkpoint_load_result damaged(struct loader *l, const char *what)
{
    say(l,
        "checkpoint %s is damaged at byte %llu: %s; the log behind it may be trimmed, so it cannot "
        "be passed over: restore this data directory from a backup, or move it away and replace "
        "this node",
        l->path, (unsigned long long)l->reader.offset, what);
    return CHECKPOINT_DAMAGED;
}

static enum checkpoint_load_result unreadable(struct loader *l, const char *what, int error)
{
    say(l, "cannot %s %s: %s; check the disk and the permissions, then start again", what, l->path,
        strerror(-error));
    return CHECKPOINT_UNREADABLE;
}

static enum checkpoint_load_result failed(struct loader *l, const char *what, int error)
{
    return checkpoint_is_of_the_file(error) ? damaged(l, strerror(-error))
                                            : unreadable(l, what, error);
}

static enum checkpoint_load_result foreign(struct loader *l, const char *what)
{
    say(l,
        "checkpoint %s %s; start the node on its own data directory, with a binary that knows it",
        l->path, what);
    return CHECKPOINT_FOREIGN;
}

/* Fills the buffer; false at an error. */
static bool fill(struct loader *l, int64_t *error)
{
    uint64_t at = l->reader.offset + l->n;
    int64_t got = io_file_pread(l->file, l->buffer + l->n, sizeof l->buffer - l->n, at);
    l->n += got > 0 ? (size_t)got : 0;
    *error = got;
    return got >= 0;
}

static const char *what_is_missing(const struct loader *l)
{
    if (!l->reader.begun) {
        return "the file ends inside its header";
    }
    return l->n < CHECKPOINT_BLOCK_HEAD_BYTES ? "the file ends before its trailer"
                                              : "the file ends inside a block";
}

static bool is_expected(const struct loader *l)
{
    const struct checkpoint_header *found = &l->reader.header;
    return memcmp(found->cluster, l->header->cluster, sizeof found->cluster) == 0 &&
           memcmp(found->uuid, l->header->uuid, sizeof found->uuid) == 0 &&
           found->group == l->header->group;
}

/* The header first, alone, to see whose file it is; then as much as the buffer holds. */
static enum checkpoint_reading read_some(struct loader *l, size_t *taken)
{
    uint32_t units = l->reader.begun ? UINT32_MAX : 1;
    enum checkpoint_reading result =
        checkpoint_read(&l->reader, span_of(l->buffer, l->n), units, taken);
    memmove(l->buffer, l->buffer + *taken, l->n - *taken);
    l->n -= *taken;
    return result;
}

static enum checkpoint_load_result load_on(struct loader *l)
{
    for (;;) {
        int64_t error;
        size_t taken;
        bool begun = l->reader.begun;
        if (!fill(l, &error)) {
            return failed(l, "read", (int)error);
        }
        switch (read_some(l, &taken)) {
        case CHECKPOINT_READING_MORE:
            break;
        case CHECKPOINT_READING_BAD:
            return damaged(l, l->reader.why);
        case CHECKPOINT_READING_FOREIGN:
            return foreign(l, l->reader.why);
        case CHECKPOINT_READING_END:
            return l->reader.offset == l->size ? CHECKPOINT_LOADED
                                               : damaged(l, "there are bytes behind the trailer");
        }
        if (taken == 0 && error == 0) {
            return damaged(l, what_is_missing(l));
        }
        if (!begun && l->reader.begun && !is_expected(l)) {
            return foreign(l, "belongs to another cluster, data directory or group");
        }
    }
}

static enum checkpoint_load_result load_file(struct loader *l)
{
    int64_t size = io_file_size(l->file);
    if (size < 0) {
        return unreadable(l, "read the size of", (int)size);
    }
    l->size = (uint64_t)size;
    engine_image_expect(l->reader.engine, l->size);
    enum checkpoint_load_result result = load_on(l);
    if (result == CHECKPOINT_LOADED) {
        *l->header = l->reader.header;
    }
    return result;
}

static enum checkpoint_load_result load(struct loader *l, const char *dir)
{
    uint32_t group = l->header->group;
    checkpoint_path(l->path, dir, group, CHECKPOINT_NEW_FILE);
    int error = io_failpoint(l->io, FAIL_LOAD);
    error = error != 0 ? error : io_unlink(l->io, l->path);
    if (error != 0 && error != -ENOENT) {
        return unreadable(l, "delete the unfinished", error);
    }
    checkpoint_path(l->path, dir, group, CHECKPOINT_FILE);
    error = io_file_open(l->io, l->path, 0, &l->file);
    if (error == -ENOENT) {
        return CHECKPOINT_NONE;
    }
    if (error != 0) {
        return failed(l, "open", error);
    }
    enum checkpoint_load_result result = load_file(l);
    io_file_close(l->file);
    if (result != CHECKPOINT_LOADED) {
        return result;
    }
    /* The crash may have come between rename and sync: the log must not be trimmed by a name that
     * is not durable yet (scenario 106). */
    error = checkpoint_sync_dir(l->io, dir, group);
    return error == 0 ? CHECKPOINT_LOADED : unreadable(l, "sync the directory of", error);
}

enum checkpoint_load_result checkpoint_load(struct io *io, const char *dir, struct engine *engine,
                                            struct checkpoint_header *header, char *message,
                                            size_t cap)
{
    struct loader *l = qr_alloc(sizeof *l);
    memset(l, 0, offsetof(struct loader, buffer)); /* most of thousands of groups have no file */
    l->io = io;
    l->reader.engine = engine;
    l->header = header;
    l->message = message;
    l->cap = cap;
    message[0] = 0;
    enum checkpoint_load_result result = load(l, dir);
    (void)io_failpoint(io, FAIL_LOADED);
    free(l);
    return result;
}
