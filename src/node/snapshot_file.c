/* The received file and the engine made of it: see snapshot_fetch.h. Everything that waits for the
 * disk is done by helper threads, but for the names of an installation. */
#include "node/snapshot_fetch_internal.h"

#include "base/alloc.h"
#include "node/alarm.h"
#include "node/keeper.h"
#include "node/node.h"
#include "node/run.h"
#include "node/transfers.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define RETRY_INTERVAL (5 * QR_SECOND) /* after a full disk */

/* --- Ending --------------------------------------------------------------------------------- */

/* Freeing millions of items takes long; nobody else knows them. */
static void free_engine_work(void *context)
{
    engine_free(context);
}

static void let_engine_go(struct fetch *f)
{
    struct engine *engine = f->reader.engine;
    f->reader.engine = NULL;
    if (engine != NULL) {
        engine_leave(engine);
        io_aside(f->node->io, free_engine_work, engine);
    }
}

static void close_work(void *context)
{
    struct fetch *f = context;
    io_file_close(f->pages.file);
    if (!f->keep_file) { /* if it stays, it is no beginning of what is offered next */
        (void)io_unlink(f->node->io, f->path);
    }
}

static void close_done(void *context)
{
    struct fetch *f = context;
    f->working = false;
    f->pages.file = NULL;
    f->phase = IDLE;
    if (f->closing) {
        free(f);
    }
}

/* Goes on when no write is in flight. */
static void close_up(struct fetch *f)
{
    qr_assert(f->phase == DROPPING);
    if (f->pages.in_flight || f->working) {
        return;
    }
    page_file_free(&f->pages);
    f->working = true;
    if (io_offload(f->node->io, close_work, close_done, f) != 0) {
        close_work(f);
        close_done(f);
    }
}

void fetch_drop(struct fetch *f)
{
    qr_assert(f->phase != IDLE && f->phase != DROPPING);
    let_engine_go(f);
    free(f->in);
    f->in = NULL;
    f->in_at = f->in_n = 0;
    f->phase = DROPPING;
    close_up(f);
}

void fetch_look_for_left(struct fetch *f)
{
    uint8_t bytes[CHECKPOINT_HEADER_BYTES_MAX];
    struct checkpoint_header h;
    struct io_file *file;
    size_t length;
    if (io_file_open(f->node->io, f->path, 0, &file) != 0) {
        return;
    }
    int64_t n = io_file_pread(file, bytes, sizeof bytes, 0);
    bool readable = n > 0 && checkpoint_header_read(span_of(bytes, (size_t)n), &h, &length) ==
                                 CHECKPOINT_HEADER_OK;
    f->left = true;
    f->left_slot = readable ? h.slot : 0;
    io_file_close(file);
}

void fetch_drop_left(struct fetch *f)
{
    qr_assert(f->phase == IDLE && f->pages.file == NULL);
    f->left = f->keep_file = false;
    f->phase = DROPPING;
    close_up(f);
}

void fetch_free(struct fetch *f)
{
    f->closing = true;
    f->keep_file = true; /* the next life goes on with it */
    if (f->phase != IDLE && f->phase != DROPPING) {
        struct engine *engine = f->reader.engine;
        f->reader.engine = NULL;
        if (engine != NULL) {
            engine_free(engine);
        }
        fetch_drop(f);
    } else if (f->phase == IDLE) {
        free(f);
    }
}

/* The disk has no room: the attempt ends, the node goes on. Anything else may mean that the disk
 * lies (R7). `error` is a negative errno. */
static void disk_failed(struct fetch *f, const char *what, int error)
{
    char why[1400];
    (void)snprintf(why, sizeof why, "cannot %s %s: %s", what, f->path, strerror(-error));
    if (!io_wants_room(error)) {
        node_fail(f->node, why);
        return;
    }
    f->figures.counts.given_up++;
    f->not_before = io_now(f->node->io) + RETRY_INTERVAL;
    node_log(f->node, NODE_LOG_WARNING, "Gave up a snapshot, to be tried again later: %s", why);
    alarm_raise(f->node, ALARM_SNAPSHOT, "a snapshot finds no room on the disk");
    transfers_trouble(f->node, NODE_NONE);
    fetch_drop(f);
}

/* --- The file ------------------------------------------------------------------------------- */

static void sync_work(void *context)
{
    struct fetch *f = context;
    int error = io_failpoint(f->node->io, FAIL_SNAPSHOT_WHOLE);
    error = error == 0 ? io_file_truncate(f->pages.file, f->offer.bytes) : error;
    error = error == 0 ? io_file_sync(f->pages.file) : error;
    f->sync_error = error;
}

static void sync_done(void *context)
{
    struct fetch *f = context;
    f->working = false;
    if (f->phase == DROPPING) {
        close_up(f);
        return;
    }
    if (f->sync_error != 0) {
        disk_failed(f, "sync", f->sync_error);
        return;
    }
    f->phase = WHOLE;
}

/* The last pages, then the sync. */
static void write_rest(struct fetch *f)
{
    page_file_write(&f->pages, true);
    if (f->pages.first != NULL || f->working) {
        return;
    }
    f->working = true;
    if (io_offload(f->node->io, sync_work, sync_done, f) != 0) {
        sync_work(f);
        sync_done(f);
    }
}

void fetch_begin_syncing(struct fetch *f)
{
    f->phase = SYNCING;
    free(f->in);
    f->in = NULL;
    f->in_at = f->in_n = 0;
    write_rest(f);
}

static void on_written(struct page_file *pages, int error)
{
    struct fetch *f = pages->owner;
    if (f->phase == DROPPING) {
        close_up(f);
    } else if (error != 0) {
        disk_failed(f, "write", error);
    } else if (f->phase == SYNCING) {
        write_rest(f);
    } else {
        page_file_write(&f->pages, false);
    }
}

/* Pages begin on a block's border: what stands before the reader's place in that block is written
 * again. */
bool fetch_rewind_to_block(struct fetch *f)
{
    uint8_t block[IO_BLOCK_BYTES];
    f->pages.offset = f->reader.offset / IO_BLOCK_BYTES * IO_BLOCK_BYTES;
    size_t n = (size_t)(f->reader.offset - f->pages.offset);
    int64_t got = n == 0 ? 0 : io_file_pread(f->pages.file, block, n, f->pages.offset);
    page_file_put(&f->pages, block, got == (int64_t)n ? n : 0);
    return got == (int64_t)n;
}

static void new_engine(struct fetch *f)
{
    let_engine_go(f);
    f->reader = (struct checkpoint_reader){ .engine = engine_new(&f->node->engine_config) };
    engine_image_expect(f->reader.engine, f->offer.bytes);
}

static bool has_space(struct fetch *f)
{
    const struct config *config = &f->node->config;
    int64_t free_bytes = io_free_bytes(f->node->io, config->dir);
    return free_bytes < 0 || (uint64_t)free_bytes >= f->offer.bytes + config->log_reserve_bytes;
}

bool fetch_start_afresh(struct fetch *f)
{
    struct io *io = f->node->io;
    io_file_close(f->pages.file);
    f->pages.file = NULL;
    page_file_free(&f->pages);
    (void)io_unlink(io, f->path);
    new_engine(f);
    f->in_at = f->in_n = 0;
    f->pages.offset = 0;
    if (!has_space(f)) {
        disk_failed(f, "make room for", -ENOSPC);
        return false;
    }
    int error = io_failpoint(io, FAIL_SNAPSHOT_OPEN);
    error = error != 0 ? error : checkpoint_make_dir(io, f->node->config.dir, f->partition->group);
    error = error != 0
                ? error
                : io_file_open(io, f->path, IO_CREATE | IO_WRITE | IO_DIRECT, &f->pages.file);
    if (error != 0) {
        f->pages.file = NULL;
        disk_failed(f, "create", error);
    }
    return error == 0;
}

bool fetch_is_ours(const struct fetch *f, const struct checkpoint_header *h)
{
    return memcmp(h->cluster, f->node->identity.cluster, sizeof h->cluster) == 0 &&
           h->group == f->partition->group;
}

/* Whether the file on disk is a beginning of the one offered. */
static bool is_beginning(struct fetch *f)
{
    uint8_t bytes[CHECKPOINT_HEADER_BYTES_MAX];
    struct checkpoint_header h;
    size_t length;
    int64_t n = io_file_pread(f->pages.file, bytes, sizeof bytes, 0);
    return n > 0 &&
           checkpoint_header_read(span_of(bytes, (size_t)n), &h, &length) == CHECKPOINT_HEADER_OK &&
           fetch_is_ours(f, &h) && h.installed && h.salt == f->offer.file &&
           h.slot == f->offer.slot && h.term == f->offer.slot_term &&
           memcmp(h.uuid, f->node->identity.uuid, sizeof h.uuid) == 0 &&
           roster_read(span_of(h.roster, h.roster_bytes), &f->roster);
}

bool fetch_open_beginning(struct fetch *f)
{
    f->pages = (struct page_file){
        .io = f->node->io, .on_written = on_written, .owner = f, .points = FAIL_SNAPSHOT_WRITE
    };
    if (io_file_open(f->node->io, f->path, IO_WRITE | IO_DIRECT, &f->pages.file) != 0) {
        f->pages.file = NULL;
        return false;
    }
    new_engine(f);
    return is_beginning(f);
}

/* --- Installing ----------------------------------------------------------------------------- */

static void close_old_work(void *context)
{
    io_file_close(context);
}

/* The file that is replaced stays open until a helper thread closes it: the blocks of gigabytes
 * take their time to go. */
int fetch_install(struct fetch *f, struct engine **engine, const struct checkpoint_header **out)
{
    struct io *io = f->node->io;
    struct io_file *old = NULL;
    char path[CHECKPOINT_PATH_MAX];
    const char *dir = f->node->config.dir;
    qr_assert(f->installing && !f->installed);
    checkpoint_path(path, dir, f->partition->group, CHECKPOINT_FILE);
    if (io_file_open(io, path, 0, &old) != 0) {
        old = NULL;
    }
    int error = io_failpoint(io, FAIL_INSTALL_RENAME);
    error = error == 0 ? io_rename(io, f->path, path) : error;
    error = error == 0 ? io_failpoint(io, FAIL_INSTALL_RENAMED) : error;
    error = error == 0 ? checkpoint_sync_dir(io, dir, f->partition->group) : error;
    (void)io_failpoint(io, FAIL_INSTALL_NAMED);
    if (old != NULL) {
        io_aside(io, close_old_work, old);
    }
    f->installed = true;
    *engine = f->reader.engine;
    *out = &f->reader.header;
    f->reader.engine = NULL;
    return error;
}
