#include "node/snapshot_fetch.h"

#include "base/alloc.h"
#include "base/limits.h"
#include "node/alarm.h"
#include "node/checkpoint_format.h"
#include "node/keeper.h"
#include "node/node.h"
#include "node/page_file.h"
#include "node/peers.h"
#include "node/replica.h"
#include "node/run.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define SLICE (QR_MILLISECOND)          /* of loop time a turn, to load what has come */
#define ASK_INTERVAL QR_SECOND          /* asked again when nothing comes */
#define SOURCE_PATIENCE (3 * QR_SECOND) /* a source that is away may come back with its file */
#define SOURCE_SILENCE (10 * QR_SECOND) /* one that is there but gives nothing */
#define RETRY_INTERVAL (5 * QR_SECOND)  /* after a full disk */
#define ASK_BYTES_MIN (SNAPSHOT_WINDOW_BYTES / 8)

enum phase { IDLE, REREADING, PULLING, SYNCING, WHOLE, DROPPING };

struct fetch {
    struct node *node;
    enum phase phase;
    node_index source;
    struct snapshot_offer offer;
    struct checkpoint_reader reader; /* of the new engine */
    struct roster roster;            /* from its header */
    struct page_file pages;

    uint8_t *in; /* what has come from reader.offset on: in[in_at .. in_n) */
    size_t in_at, in_n;
    uint64_t asked; /* the source sends up to here */
    qr_time began, heard, asked_at;
    uint64_t resumed_at;
    bool installing, installed; /* in the step of the offer */
    bool keep_file;             /* dropped, but what is there may be gone on with */
    int sync_error;
    bool working; /* a helper thread is at the file */
    bool closing;

    uint64_t refused_file;
    qr_time not_before;
    char path[1088];
    struct fetch_figures figures;
};

struct fetch *fetch_new(struct node *node)
{
    struct fetch *f = qr_zalloc(sizeof *f);
    f->node = node;
    f->source = NODE_NONE;
    (void)snprintf(f->path, sizeof f->path, "%s/" CHECKPOINT_RECEIVED_FILE, node->config.dir);
    return f;
}

static uint64_t received(const struct fetch *f)
{
    return f->reader.offset + (f->in_n - f->in_at);
}

static uint32_t source_id(const struct fetch *f)
{
    qr_slot slot;
    return replica_roster(f->node->replica, &slot)->node[f->source].id;
}

/* --- Ending --------------------------------------------------------------------------------- */

/* Freeing millions of items takes long; nobody else knows them. */
static void free_engine_work(void *context)
{
    engine_free(context);
}

static void nothing(void *context)
{
    (void)context;
}

static void let_engine_go(struct fetch *f)
{
    struct engine *engine = f->reader.engine;
    f->reader.engine = NULL;
    if (engine != NULL && io_offload(f->node->io, free_engine_work, nothing, engine) != 0) {
        engine_free(engine);
    }
}

static void close_work(void *context)
{
    struct fetch *f = context;
    io_file_close(f->pages.file);
    if (!f->keep_file) {
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

static void drop(struct fetch *f)
{
    qr_assert(f->phase != IDLE && f->phase != DROPPING);
    let_engine_go(f);
    free(f->in);
    f->in = NULL;
    f->in_at = f->in_n = 0;
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
        drop(f);
    } else if (f->phase == IDLE) {
        free(f);
    }
}

__attribute__((format(printf, 2, 3))) static void refuse(struct fetch *f, const char *format, ...)
{
    char why[200];
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(why, sizeof why, format, arguments);
    va_end(arguments);
    f->figures.refused++;
    f->refused_file = f->offer.file;
    node_log(f->node, NODE_LOG_WARNING,
             "Refused the snapshot at slot %" PRIu64 " from node %" PRIu32
             ": %s; this node's state is as it was, another snapshot is asked for",
             f->offer.slot, source_id(f), why);
    alarm_raise_about(f->node, ALARM_SNAPSHOT, source_id(f), "a snapshot was refused: %s", why);
    uint8_t head[SNAPSHOT_HEAD_BYTES_MAX];
    peers_tell(f->node->peers, f->source, FRAME_SNAPSHOT_GONE,
               span_of(head, snapshot_gone_write(f->offer.file, head)));
    drop(f);
}

/* The disk has no room: the attempt ends, the node goes on. Anything else may mean that the disk
 * lies (R7). */
static void disk_failed(struct fetch *f, const char *what, int error)
{
    char why[1400];
    (void)snprintf(why, sizeof why, "cannot %s %s: %s", what, f->path, strerror(-error));
    bool full = error == -ENOSPC || error == -EDQUOT || error == -EFBIG || error == -EMFILE ||
                error == -ENFILE;
    if (!full) {
        node_fail(f->node, why);
        return;
    }
    f->figures.given_up++;
    f->not_before = io_now(f->node->io) + RETRY_INTERVAL;
    node_log(f->node, NODE_LOG_WARNING, "Gave up a snapshot, to be tried again later: %s", why);
    alarm_raise(f->node, ALARM_SNAPSHOT, "a snapshot finds no room on the disk");
    drop(f);
}

/* --- Asking --------------------------------------------------------------------------------- */

/* Tells the source how far there is room. */
static void ask(struct fetch *f, qr_time now)
{
    uint64_t end = min_u64(f->reader.offset + SNAPSHOT_WINDOW_BYTES, f->offer.bytes);
    bool enough = end >= f->asked + ASK_BYTES_MIN || (end == f->offer.bytes && end > f->asked);
    if (!enough || f->pages.queued_bytes > CHECKPOINT_QUEUED_BYTES_MAX) {
        return;
    }
    uint8_t head[SNAPSHOT_HEAD_BYTES_MAX];
    struct snapshot_piece piece = { .file = f->offer.file,
                                    .offset = f->asked,
                                    .n = (uint32_t)(end - f->asked) };
    peers_tell(f->node->peers, f->source, FRAME_SNAPSHOT_READ,
               span_of(head, snapshot_piece_write(&piece, head)));
    f->asked = end;
    f->asked_at = now;
}

/* What was asked for may be lost. */
static void ask_again(struct fetch *f, qr_time now)
{
    f->asked = received(f);
    ask(f, now);
}

/* --- Loading -------------------------------------------------------------------------------- */

static bool is_ours(const struct fetch *f, const struct checkpoint_header *h)
{
    return memcmp(h->cluster, f->node->identity.cluster, sizeof h->cluster) == 0 && h->group == 0;
}

/* The header of the file that is being written: this node's, but the state is another's. */
static void put_header(struct fetch *f)
{
    uint8_t bytes[CHECKPOINT_HEADER_BYTES_MAX];
    struct checkpoint_header *h = &f->reader.header;
    memcpy(h->uuid, f->node->identity.uuid, sizeof h->uuid);
    h->installed = true;
    size_t n = checkpoint_header_write(h, bytes);
    qr_assert(n == f->reader.offset);
    page_file_put(&f->pages, bytes, n);
}

/* False when it is refused. */
static bool take_header(struct fetch *f)
{
    const struct checkpoint_header *h = &f->reader.header;
    if (!is_ours(f, h)) {
        refuse(f, "it belongs to another cluster or group");
        return false;
    }
    if (h->format != CHECKPOINT_FORMAT || h->salt != f->offer.file || h->slot != f->offer.slot ||
        h->term != f->offer.slot_term) {
        refuse(f, "it is not the one that was offered");
        return false;
    }
    if (h->roster_bytes == 0 || !roster_read(span_of(h->roster, h->roster_bytes), &f->roster)) {
        refuse(f, "it does not say who the members are");
        return false;
    }
    put_header(f);
    return true;
}

static void begin_syncing(struct fetch *f);

/* Loads one header, block or trailer of what has come; false when there is none whole. */
static bool load_one(struct fetch *f)
{
    size_t taken;
    bool begun = f->reader.begun;
    struct span rest = span_of(f->in + f->in_at, f->in_n - f->in_at);
    enum checkpoint_reading result = checkpoint_read(&f->reader, rest, 1, &taken);
    if (result == CHECKPOINT_READING_BAD || result == CHECKPOINT_READING_FOREIGN) {
        refuse(f, "%s (at byte %" PRIu64 ")", f->reader.why, f->reader.offset);
        return false;
    }
    f->in_at += taken;
    if (!begun && f->reader.begun) {
        return take_header(f);
    }
    page_file_put(&f->pages, rest.p, taken);
    if (result == CHECKPOINT_READING_END) {
        if (f->reader.offset != f->offer.bytes) {
            refuse(f, "it ends before its end");
            return false;
        }
        begin_syncing(f);
        return false;
    }
    if (taken == 0 && received(f) == f->offer.bytes) {
        refuse(f, "it has no end");
    }
    return taken > 0;
}

/* Loads for a slice; true when more could be loaded at once. */
static bool load_some(struct fetch *f, qr_time now)
{
    qr_time end = now + SLICE;
    while (f->pages.queued_bytes <= CHECKPOINT_QUEUED_BYTES_MAX) {
        if (!load_one(f)) {
            return false;
        }
        if (io_now(f->node->io) >= end) {
            return f->in_n > f->in_at;
        }
    }
    return false; /* the disk makes a turn when it has taken a page */
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
    f->node->again = true;
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

static void begin_syncing(struct fetch *f)
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
        f->node->again = true;
    }
}

/* Pages begin on a block's border: what stands before the reader's place in that block is written
 * again. */
static bool rewind_to_block(struct fetch *f)
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

/* The file is made anew; false when that fails. */
static bool start_afresh(struct fetch *f)
{
    struct io *io = f->node->io;
    io_file_close(f->pages.file);
    f->pages.file = NULL;
    page_file_free(&f->pages);
    (void)io_unlink(io, f->path);
    int error = io_failpoint(io, FAIL_SNAPSHOT_OPEN);
    error = error != 0
                ? error
                : io_file_open(io, f->path, IO_CREATE | IO_WRITE | IO_DIRECT, &f->pages.file);
    new_engine(f);
    f->in_at = f->in_n = 0;
    f->pages.offset = 0;
    if (error != 0) {
        f->pages.file = NULL;
        disk_failed(f, "create", error);
    }
    return error == 0;
}

static void begin_pulling(struct fetch *f, qr_time now)
{
    f->phase = PULLING;
    f->in_at = f->in_n = 0;
    f->heard = now;
    f->resumed_at = f->reader.offset;
    if (f->reader.offset > 0) {
        f->figures.resumed++;
        node_log(f->node, NODE_LOG_NOTICE,
                 "Goes on with the snapshot at slot %" PRIu64 " from node %" PRIu32
                 " at byte %" PRIu64 " of %" PRIu64,
                 f->offer.slot, source_id(f), f->reader.offset, f->offer.bytes);
    } else {
        node_log(f->node, NODE_LOG_NOTICE,
                 "Pulls the snapshot at slot %" PRIu64 " from node %" PRIu32 ": %" PRIu64 " bytes",
                 f->offer.slot, source_id(f), f->offer.bytes);
    }
    ask_again(f, now);
}

/* --- Going on with what is there -------------------------------------------------------------- */

/* Whether the file on disk is a beginning of the one offered. */
static bool is_beginning(struct fetch *f)
{
    uint8_t bytes[CHECKPOINT_HEADER_BYTES_MAX];
    struct checkpoint_header h;
    size_t length;
    int64_t n = io_file_pread(f->pages.file, bytes, sizeof bytes, 0);
    return n > 0 &&
           checkpoint_header_read(span_of(bytes, (size_t)n), &h, &length) == CHECKPOINT_HEADER_OK &&
           is_ours(f, &h) && h.installed && h.salt == f->offer.file && h.slot == f->offer.slot &&
           h.term == f->offer.slot_term &&
           memcmp(h.uuid, f->node->identity.uuid, sizeof h.uuid) == 0 &&
           roster_read(span_of(h.roster, h.roster_bytes), &f->roster);
}

/* Nothing more of the file can be read back. */
static void end_rereading(struct fetch *f, qr_time now)
{
    if ((f->reader.spoiled || !rewind_to_block(f)) && !start_afresh(f)) {
        return;
    }
    begin_pulling(f, now);
}

static void reread_some(struct fetch *f, qr_time now)
{
    uint64_t at = received(f);
    size_t taken;
    int64_t got = io_file_pread(f->pages.file, f->in + f->in_n, CHECKPOINT_UNIT_BYTES_MAX, at);
    f->in_n += got > 0 ? (size_t)got : 0;
    enum checkpoint_reading result =
        checkpoint_read(&f->reader, span_of(f->in, f->in_n), UINT32_MAX, &taken);
    memmove(f->in, f->in + taken, f->in_n - taken);
    f->in_n -= taken;
    if (result == CHECKPOINT_READING_END && f->reader.offset == f->offer.bytes) {
        f->resumed_at = f->reader.offset;
        f->figures.resumed++;
        f->pages.offset = f->reader.offset;
        begin_syncing(f);
    } else if (result != CHECKPOINT_READING_MORE || (taken == 0 && got <= 0)) {
        f->reader.spoiled = f->reader.spoiled || result == CHECKPOINT_READING_END;
        end_rereading(f, now);
    }
}

/* --- Offers --------------------------------------------------------------------------------- */

static bool has_space(struct fetch *f)
{
    const struct config *config = &f->node->config;
    int64_t free_bytes = io_free_bytes(f->node->io, config->dir);
    return free_bytes < 0 || (uint64_t)free_bytes >= f->offer.bytes + config->log_reserve_bytes;
}

static void begin(struct fetch *f, node_index from, const struct snapshot_offer *offer)
{
    qr_time now = io_now(f->node->io);
    f->offer = *offer;
    f->source = from;
    f->phase = REREADING;
    f->keep_file = false;
    f->began = f->heard = now;
    f->figures.begun++;
    f->pages = (struct page_file){
        .io = f->node->io, .on_written = on_written, .owner = f, .points = FAIL_SNAPSHOT_WRITE
    };
    f->in = qr_alloc(SNAPSHOT_WINDOW_BYTES + CHECKPOINT_UNIT_BYTES_MAX);
    new_engine(f);
    int error = io_file_open(f->node->io, f->path, IO_WRITE | IO_DIRECT, &f->pages.file);
    f->pages.file = error == 0 ? f->pages.file : NULL;
    if (f->pages.file != NULL && is_beginning(f)) {
        f->node->again = true;
        return;
    }
    if (!has_space(f)) {
        disk_failed(f, "make room for", -ENOSPC);
    } else if (start_afresh(f)) {
        begin_pulling(f, now);
    }
}

/* Whether the one that is being pulled may still come to its end. */
static bool has_hope(const struct fetch *f, qr_time now)
{
    bool connected = peers_connected(f->node->peers, f->source);
    qr_time patience = connected ? SOURCE_SILENCE : SOURCE_PATIENCE;
    return f->phase != PULLING || now - f->heard < (received(f) > 0 ? patience : ASK_INTERVAL);
}

void fetch_on_offer(struct fetch *f, node_index from, const struct snapshot_offer *offer)
{
    qr_time now = io_now(f->node->io);
    if (f->phase == DROPPING || offer->slot <= replica_applied(f->node->replica) ||
        now < f->not_before || f->node->stopping) {
        return;
    }
    if (f->phase == IDLE) {
        if (offer->file != f->refused_file) {
            begin(f, from, offer);
        }
        return;
    }
    if (offer->file == f->offer.file) {
        if (f->source != from && f->phase == PULLING &&
            !peers_connected(f->node->peers, f->source)) {
            f->source = from; /* another one that has it too */
            ask_again(f, now);
        }
    } else if (!has_hope(f, now)) {
        f->figures.dropped++;
        node_log(f->node, NODE_LOG_NOTICE,
                 "Node %" PRIu32 " gives no more of its snapshot: another one is taken",
                 source_id(f));
        drop(f); /* the next offer begins */
    }
}

void fetch_on_data(struct fetch *f, node_index from, const struct snapshot_piece *piece,
                   struct span bytes)
{
    /* What was asked for twice comes twice; what was asked of another is late. */
    if (f->phase != PULLING || from != f->source || piece->file != f->offer.file ||
        piece->offset != received(f) || piece->offset + bytes.n > f->asked) {
        return;
    }
    if (f->in_at > 0 && f->in_n + bytes.n > SNAPSHOT_WINDOW_BYTES + CHECKPOINT_UNIT_BYTES_MAX) {
        memmove(f->in, f->in + f->in_at, f->in_n - f->in_at);
        f->in_n -= f->in_at;
        f->in_at = 0;
    }
    qr_assert(f->in_n + bytes.n <= SNAPSHOT_WINDOW_BYTES + CHECKPOINT_UNIT_BYTES_MAX);
    memcpy(f->in + f->in_n, bytes.p, bytes.n);
    f->in_n += bytes.n;
    f->figures.bytes += bytes.n;
    f->heard = io_now(f->node->io);
    f->node->again = true;
    (void)io_failpoint(f->node->io, FAIL_SNAPSHOT_DATA);
}

void fetch_on_gone(struct fetch *f, node_index from, uint64_t file)
{
    if (f->phase == PULLING && from == f->source && file == f->offer.file) {
        f->figures.dropped++;
        node_log(f->node, NODE_LOG_NOTICE,
                 "Node %" PRIu32 " has the snapshot at slot %" PRIu64
                 " no more: a newer one follows",
                 source_id(f), f->offer.slot);
        drop(f);
    }
}

void fetch_peer(struct fetch *f, node_index peer, bool up)
{
    if (up && f->phase == PULLING && peer == f->source) {
        ask_again(f, io_now(f->node->io));
    }
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
    char path[1088];
    qr_assert(f->installing && !f->installed);
    (void)snprintf(path, sizeof path, "%s/" CHECKPOINT_FILE, f->node->config.dir);
    if (io_file_open(io, path, 0, &old) != 0) {
        old = NULL;
    }
    int error = io_failpoint(io, FAIL_INSTALL_RENAME);
    error = error == 0 ? io_rename(io, f->path, path) : error;
    error = error == 0 ? io_failpoint(io, FAIL_INSTALL_RENAMED) : error;
    error = error == 0 ? io_sync_dir(io, f->node->config.dir) : error;
    (void)io_failpoint(io, FAIL_INSTALL_NAMED);
    if (old != NULL && io_offload(io, close_old_work, nothing, old) != 0) {
        io_file_close(old);
    }
    f->installed = true;
    *engine = f->reader.engine;
    *out = &f->reader.header;
    f->reader.engine = NULL;
    return error;
}

static void offer_to_protocol(struct fetch *f)
{
    f->installing = true;
    f->installed = false;
    replica_offer(f->node->replica, f->source, &f->reader.header, &f->roster);
    f->installing = false;
    if (f->node->failed) {
        return;
    }
    qr_time took = io_now(f->node->io) - f->began;
    if (f->installed) {
        f->figures.installed++;
        f->keep_file = true; /* it has another name */
        alarm_clear(f->node, ALARM_SNAPSHOT);
        alarm_clear_about(f->node, ALARM_SNAPSHOT, source_id(f));
        node_log(f->node, NODE_LOG_NOTICE,
                 "Installed the snapshot at slot %" PRIu64 " from node %" PRIu32 ": %" PRIu64
                 " bytes in %" PRId64 " ms",
                 f->offer.slot, source_id(f), f->offer.bytes, took / QR_MILLISECOND);
    } else {
        f->figures.dropped++;
        node_log(f->node, NODE_LOG_NOTICE, "The snapshot at slot %" PRIu64 " is needed no more",
                 f->offer.slot);
    }
    drop(f);
}

bool fetch_is_whole(const struct fetch *f)
{
    return f->phase == WHOLE;
}

/* --- The turn ------------------------------------------------------------------------------- */

static bool pull(struct fetch *f, qr_time now)
{
    bool more = load_some(f, now);
    if (f->phase != PULLING) {
        return f->phase == WHOLE;
    }
    page_file_write(&f->pages, false);
    ask(f, now);
    qr_time last = f->heard > f->asked_at ? f->heard : f->asked_at;
    if (now - last >= ASK_INTERVAL && f->in_n == f->in_at && f->pages.queued_bytes < PAGE_BYTES) {
        ask_again(f, now);
    }
    return more;
}

bool fetch_turn(struct fetch *f, qr_time now)
{
    if (f->phase != IDLE && f->phase != DROPPING && f->phase != WHOLE &&
        replica_applied(f->node->replica) >= f->offer.slot) {
        f->figures.dropped++; /* the log has brought it after all */
        drop(f);
    }
    switch (f->phase) {
    case REREADING:
        reread_some(f, now);
        return true;
    case PULLING:
        return pull(f, now);
    case WHOLE:
        if (keeper_is_quiet(f->node->keeper)) {
            offer_to_protocol(f);
        }
        return false;
    case IDLE:
    case SYNCING:
    case DROPPING:
        return false;
    }
    qr_unreachable();
}

void fetch_figures(const struct fetch *f, struct fetch_figures *out)
{
    *out = f->figures;
    out->active = f->phase != IDLE && f->phase != DROPPING;
    out->heard = f->heard;
    if (!out->active) {
        return;
    }
    qr_time took = io_now(f->node->io) - f->began;
    out->source = source_id(f);
    out->done = f->reader.offset;
    out->total = f->offer.bytes;
    out->resumed_at = f->resumed_at;
    out->bytes_per_second = took > 0
                                ? (f->reader.offset - min_u64(f->resumed_at, f->reader.offset)) *
                                      (uint64_t)QR_SECOND / (uint64_t)took
                                : 0;
    out->memory = f->pages.queued_bytes +
                  (f->in != NULL ? SNAPSHOT_WINDOW_BYTES + CHECKPOINT_UNIT_BYTES_MAX : 0);
}
