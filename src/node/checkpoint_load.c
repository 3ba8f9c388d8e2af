/* Loading a checkpoint at the start of a node: see checkpoint.h.
 *
 * Every byte is checked; the engine only counts as loaded when the last one was right. A checkpoint
 * that cannot be used is never passed over in silence: the log before its slot may be gone. */
#include "node/checkpoint.h"

#include "node/checkpoint_format.h"

#include "base/alloc.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

struct loader {
    struct io *io;
    struct engine *engine;
    struct checkpoint_header *header;
    struct io_file *file;
    char path[1088];
    char *message;
    size_t cap;

    uint64_t size, offset, number, salt;
    qr_wall log_time;
    uint8_t buffer[IMAGE_CHUNK_BYTES];
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
        l->path, (unsigned long long)l->offset, what);
    return CHECKPOINT_DAMAGED;
}

static enum checkpoint_load_result unreadable(struct loader *l, const char *what, int error)
{
    say(l, "cannot %s %s: %s; check the disk and the permissions, then start again", what, l->path,
        strerror(-error));
    return CHECKPOINT_UNREADABLE;
}

static enum checkpoint_load_result foreign(struct loader *l, const char *what)
{
    say(l,
        "checkpoint %s %s; start the node on its own data directory, with a binary that knows it",
        l->path, what);
    return CHECKPOINT_FOREIGN;
}

/* Reads exactly n bytes at the offset into the buffer. */
static enum checkpoint_load_result get(struct loader *l, size_t n, const char *what)
{
    qr_assert(n <= sizeof l->buffer);
    int64_t got = io_file_pread(l->file, l->buffer, n, l->offset);
    if (got < 0) {
        return unreadable(l, "read", (int)got);
    }
    if ((size_t)got < n) {
        return damaged(l, what);
    }
    l->offset += n;
    return CHECKPOINT_LOADED;
}

static enum checkpoint_load_result load_header(struct loader *l)
{
    enum checkpoint_load_result result =
        get(l, CHECKPOINT_HEADER_BYTES, "the file ends inside its header");
    if (result != CHECKPOINT_LOADED) {
        return result;
    }
    struct wire_reader in = wire_reader(span_of(l->buffer, CHECKPOINT_HEADER_BYTES));
    bool magic = memcmp(wire_get_bytes(&in, 8).p, CHECKPOINT_MAGIC, 8) == 0;
    uint16_t format = wire_get_u16(&in);
    uint16_t level = wire_get_u16(&in);
    uint32_t group = wire_get_u32(&in);
    bool cluster = memcmp(wire_get_bytes(&in, 16).p, l->header->cluster, 16) == 0;
    bool uuid = memcmp(wire_get_bytes(&in, 16).p, l->header->uuid, 16) == 0;
    l->header->slot = wire_get_u64(&in);
    l->header->term = wire_get_u64(&in);
    l->log_time = (qr_wall)wire_get_u64(&in);
    l->salt = wire_get_u64(&in);
    uint32_t crc = crc32c_extend(0, l->buffer, in.at);
    if (wire_get_u32(&in) != crc || !magic) {
        l->offset = 0;
        return damaged(l, "its header is not one");
    }
    if (format != CHECKPOINT_FORMAT) {
        return foreign(l, "has a format of another version");
    }
    if (level > SEMANTICS_LEVEL) {
        return foreign(l, "was written at a higher semantics level");
    }
    if (!cluster || !uuid || group != l->header->group) {
        return foreign(l, "belongs to another cluster, data directory or group");
    }
    return CHECKPOINT_LOADED;
}

static enum checkpoint_load_result load_trailer(struct loader *l, uint32_t crc)
{
    enum checkpoint_load_result result =
        get(l, CHECKPOINT_TRAILER_BYTES - CHECKPOINT_BLOCK_HEAD_BYTES,
            "the file ends inside its trailer");
    if (result != CHECKPOINT_LOADED) {
        return result;
    }
    if (checkpoint_block_crc(l->salt, l->number, 0, l->buffer, 16) != crc) {
        return damaged(l, "bad checksum of the trailer");
    }
    struct wire_reader in = wire_reader(span_of(l->buffer, 16));
    if (wire_get_u64(&in) != l->number || wire_get_u64(&in) != l->offset) {
        return damaged(l, "the trailer counts other blocks or bytes");
    }
    if (l->offset != l->size) {
        return damaged(l, "there are bytes behind the trailer");
    }
    if (!engine_image_complete(l->engine)) {
        return damaged(l, "the image has no end");
    }
    if (engine_log_time(l->engine) != l->log_time) {
        return damaged(l, "header and image disagree about the time");
    }
    return CHECKPOINT_LOADED;
}

static enum checkpoint_load_result load_block(struct loader *l, uint32_t length, uint32_t crc)
{
    if (length > IMAGE_CHUNK_BYTES) {
        return damaged(l, "a block is longer than any");
    }
    enum checkpoint_load_result result = get(l, length, "the file ends inside a block");
    if (result != CHECKPOINT_LOADED) {
        return result;
    }
    if (checkpoint_block_crc(l->salt, l->number, length, l->buffer, length) != crc) {
        return damaged(l, "bad checksum of the block before");
    }
    if (!engine_image_load(l->engine, span_of(l->buffer, length))) {
        return damaged(l, "the block before is no part of an image");
    }
    l->number++;
    return CHECKPOINT_LOADED;
}

static enum checkpoint_load_result load_file(struct loader *l)
{
    int64_t size = io_file_size(l->file);
    if (size < 0) {
        return unreadable(l, "read the size of", (int)size);
    }
    l->size = (uint64_t)size;
    engine_image_expect(l->engine, l->size);
    enum checkpoint_load_result result = load_header(l);
    for (uint32_t length = 1; result == CHECKPOINT_LOADED && length != 0;) {
        result = get(l, CHECKPOINT_BLOCK_HEAD_BYTES, "the file ends before its trailer");
        if (result == CHECKPOINT_LOADED) {
            struct wire_reader in = wire_reader(span_of(l->buffer, CHECKPOINT_BLOCK_HEAD_BYTES));
            length = wire_get_u32(&in);
            uint32_t crc = wire_get_u32(&in);
            result = length == 0 ? load_trailer(l, crc) : load_block(l, length, crc);
        }
    }
    return result;
}

static enum checkpoint_load_result load(struct loader *l, const char *dir)
{
    (void)snprintf(l->path, sizeof l->path, "%s/" CHECKPOINT_NEW_FILE, dir);
    int error = io_failpoint(l->io, FAIL_LOAD);
    error = error != 0 ? error : io_unlink(l->io, l->path);
    if (error != 0 && error != -ENOENT) {
        return unreadable(l, "delete the unfinished", error);
    }
    (void)snprintf(l->path, sizeof l->path, "%s/" CHECKPOINT_FILE, dir);
    error = io_file_open(l->io, l->path, 0, &l->file);
    if (error == -ENOENT) {
        return CHECKPOINT_NONE;
    }
    if (error != 0) {
        return unreadable(l, "open", error);
    }
    enum checkpoint_load_result result = load_file(l);
    io_file_close(l->file);
    if (result != CHECKPOINT_LOADED) {
        return result;
    }
    /* The crash may have come between rename and sync: the log must not be trimmed by a name that
     * is not durable yet (scenario 106). */
    error = io_sync_dir(l->io, dir);
    return error == 0 ? CHECKPOINT_LOADED : unreadable(l, "sync the directory of", error);
}

enum checkpoint_load_result checkpoint_load(struct io *io, const char *dir, struct engine *engine,
                                            struct checkpoint_header *header, char *message,
                                            size_t cap)
{
    struct loader *l = qr_zalloc(sizeof *l);
    l->io = io;
    l->engine = engine;
    l->header = header;
    l->message = message;
    l->cap = cap;
    message[0] = 0;
    enum checkpoint_load_result result = load(l, dir);
    (void)io_failpoint(io, FAIL_LOADED);
    free(l);
    return result;
}
