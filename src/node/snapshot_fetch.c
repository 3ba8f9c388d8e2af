/* What is asked for and what comes: see snapshot_fetch.h. What becomes of it: snapshot_file.c. */
#include "node/snapshot_fetch_internal.h"

#include "base/alloc.h"
#include "base/limits.h"
#include "node/alarm.h"
#include "node/keeper.h"
#include "node/node.h"
#include "node/peers.h"
#include "node/quarantine.h"
#include "node/repair.h"
#include "node/replica.h"
#include "node/run.h"
#include "node/transfers.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define SLICE (QR_MILLISECOND)          /* of loop time a turn, to load what has come */
#define BURST_TIME (5 * QR_MILLISECOND) /* unused pace that may be made up for */
#define TELL_INTERVAL (200 * QR_MILLISECOND)
#define ASK_INTERVAL QR_SECOND          /* asked again when nothing comes */
#define SOURCE_PATIENCE (3 * QR_SECOND) /* a source that is away may come back with its file */
#define SOURCE_SILENCE (10 * QR_SECOND) /* one that is there but gives nothing */
#define ASK_BYTES_MIN (SNAPSHOT_WINDOW_BYTES / 8)

struct fetch *fetch_new(struct partition *partition)
{
    struct node *node = partition->node;
    struct fetch *f = qr_zalloc(sizeof *f);
    f->node = node;
    f->partition = partition;
    f->source = NODE_NONE;
    checkpoint_path(f->path, node->config.dir, partition->group, CHECKPOINT_RECEIVED_FILE);
    fetch_look_for_left(f);
    return f;
}

static uint64_t received(const struct fetch *f)
{
    return f->reader.offset + (f->in_n - f->in_at);
}

static uint32_t source_id(const struct fetch *f)
{
    return f->node->known[f->source].id;
}

__attribute__((format(printf, 2, 3))) static void refuse(struct fetch *f, const char *format, ...)
{
    char why[200];
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(why, sizeof why, format, arguments);
    va_end(arguments);
    f->figures.counts.refused++;
    f->refused_file = f->offer.file;
    node_log(f->node, NODE_LOG_WARNING,
             "Refused the snapshot at slot %" PRIu64 " from node %" PRIu32
             ": %s; this node's state is as it was, another snapshot is asked for",
             f->offer.slot, source_id(f), why);
    alarm_raise_about(f->node, ALARM_SNAPSHOT, source_id(f), "a snapshot was refused: %s", why);
    transfers_trouble(f->node, f->source);
    uint8_t head[SNAPSHOT_HEAD_BYTES_MAX];
    peers_tell_group(f->node->peers, f->source, f->partition->group, FRAME_SNAPSHOT_GONE,
                     span_of(head, snapshot_gone_write(f->offer.file, head)));
    fetch_drop(f);
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
    peers_tell_group(f->node->peers, f->source, f->partition->group, FRAME_SNAPSHOT_READ,
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
    if (!fetch_is_ours(f, h)) {
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
            refuse(f, "it goes on behind its end");
            return false;
        }
        fetch_begin_syncing(f);
        return false;
    }
    if (taken == 0 && received(f) == f->offer.bytes) {
        refuse(f, "its end is missing");
    }
    return taken > 0;
}

/* Loads for a slice, or one block while others need the machine; true when more could be loaded at
 * once. */
static bool load_some(struct fetch *f, qr_time now)
{
    qr_time end = now + SLICE;
    while (f->pages.queued_bytes <= CHECKPOINT_QUEUED_BYTES_MAX) {
        if (!load_one(f)) {
            return false;
        }
        if (f->busy || io_now(f->node->io) >= end) {
            return f->in_n > f->in_at;
        }
    }
    return false; /* the disk makes a turn when it has taken a page */
}

static void begin_pulling(struct fetch *f, qr_time now)
{
    f->phase = PULLING;
    f->in_at = f->in_n = 0;
    f->heard = now;
    f->resumed_at = f->reader.offset;
    if (f->reader.offset > 0) {
        f->figures.counts.resumed++;
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

/* Nothing more of the file can be read back. */
static void end_rereading(struct fetch *f, qr_time now)
{
    if ((f->reader.spoiled || !fetch_rewind_to_block(f)) && !fetch_start_afresh(f)) {
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
        f->figures.counts.resumed++;
        f->pages.offset = f->reader.offset;
        fetch_begin_syncing(f);
    } else if (result != CHECKPOINT_READING_MORE || (taken == 0 && got <= 0)) {
        f->reader.spoiled = f->reader.spoiled || result == CHECKPOINT_READING_END;
        end_rereading(f, now);
    }
}

/* --- Offers --------------------------------------------------------------------------------- */

static void begin(struct fetch *f, node_index from, const struct snapshot_offer *offer)
{
    qr_time now = io_now(f->node->io);
    f->offer = *offer;
    f->source = from;
    f->phase = REREADING;
    f->keep_file = f->left = false;
    f->began = f->heard = now;
    f->figures.counts.begun++;
    f->in = qr_alloc(SNAPSHOT_WINDOW_BYTES + CHECKPOINT_UNIT_BYTES_MAX);
    if (!fetch_open_beginning(f) && fetch_start_afresh(f)) {
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

bool fetch_has_hope(const struct fetch *f, qr_time now)
{
    return f != NULL && f->phase != IDLE && f->phase != DROPPING && has_hope(f, now);
}

/* What its state already holds a node does not need; unless that state is wrong, or its log
 * damaged. */
static bool is_needed(const struct fetch *f, qr_slot slot, qr_term term)
{
    struct partition *partition = f->partition;
    if (partition->repairer != NULL) {
        return repairer_needs(partition, slot, term);
    }
    qr_slot applied = replica_applied(partition->replica);
    return slot > applied || (partition->quarantined && slot == applied);
}

static bool is_wanted(const struct fetch *f, node_index from, const struct snapshot_offer *offer)
{
    struct partition *partition = f->partition;
    return partition->repairer != NULL
               ? repairer_offered(partition, from, offer->slot, offer->slot_term)
               : is_needed(f, offer->slot, offer->slot_term);
}

void fetch_on_offer(struct fetch *f, node_index from, const struct snapshot_offer *offer)
{
    qr_time now = io_now(f->node->io);
    if (f->phase == DROPPING || !is_wanted(f, from, offer) || now < f->not_before ||
        f->node->stopping) {
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
        f->figures.counts.dropped++;
        node_log(f->node, NODE_LOG_NOTICE,
                 "Node %" PRIu32 " gives no more of its snapshot: another one is taken",
                 source_id(f));
        fetch_drop(f); /* the next offer begins */
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
    f->figures.counts.bytes += bytes.n;
    f->busy = piece->busy;
    f->heard = io_now(f->node->io);
    (void)io_failpoint(f->node->io, FAIL_SNAPSHOT_DATA);
}

void fetch_on_gone(struct fetch *f, node_index from, uint64_t file)
{
    bool has_some = f->phase != IDLE && f->phase != DROPPING; /* all of it, and it is wrong */
    if (has_some && from == f->source && file == f->offer.file) {
        f->figures.counts.dropped++;
        node_log(f->node, NODE_LOG_NOTICE,
                 "Node %" PRIu32 " has the snapshot at slot %" PRIu64
                 " no more: a newer one follows",
                 source_id(f), f->offer.slot);
        fetch_drop(f);
    }
}

void fetch_peer(struct fetch *f, node_index peer, bool up)
{
    if (up && f->phase == PULLING && peer == f->source) {
        ask_again(f, io_now(f->node->io));
    }
}

/* --- Installing ----------------------------------------------------------------------------- */

static void offer_to_protocol(struct fetch *f)
{
    f->installing = true;
    f->installed = false;
    bool repairs = f->partition->repairer != NULL;
    bool wrong = f->partition->quarantined && !repairs; /* the state that is here: any is better */
    if (repairs) {
        repairer_whole(f->partition, &f->reader.header, &f->roster);
    } else if (!wrong || !replica_reinstall(f->partition->replica, &f->reader.header, &f->roster)) {
        replica_offer(f->partition->replica, f->source, &f->reader.header, &f->roster);
    }
    f->installing = false;
    if (f->node->failed) {
        return;
    }
    if (wrong && f->installed) {
        quarantine_end(f->partition);
    }
    qr_time took = io_now(f->node->io) - f->began;
    if (f->installed) {
        f->figures.counts.installed++;
        f->keep_file = true; /* it has another name */
        node_log(f->node, NODE_LOG_NOTICE,
                 "Installed the snapshot at slot %" PRIu64 " from node %" PRIu32 ": %" PRIu64
                 " bytes in %" PRId64 " ms",
                 f->offer.slot, source_id(f), f->offer.bytes, took / QR_MILLISECOND);
    } else {
        f->figures.counts.dropped++;
        node_log(f->node, NODE_LOG_NOTICE, "The snapshot at slot %" PRIu64 " is needed no more",
                 f->offer.slot);
    }
    fetch_drop(f);
}

bool fetch_is_whole(const struct fetch *f)
{
    return f != NULL && f->phase == WHOLE;
}

bool fetch_waits(const struct fetch *f)
{
    return f->phase == IDLE && f->left;
}

bool fetch_is_idle(const struct fetch *f, qr_time now)
{
    return f->phase == IDLE && !f->left && now >= f->not_before;
}

/* --- The turn ------------------------------------------------------------------------------- */

static uint64_t items_of(const struct fetch *f)
{
    uint64_t items = 0;
    for (uint8_t db = 0; db < DATABASES; db++) {
        items += store_count(engine_store(f->reader.engine), db);
    }
    return items;
}

/* While the source has clients to serve, machine, network and disk are left to them: no more than
 * so many items and bytes a second. */
static void pause(struct fetch *f, qr_time now, uint64_t items, uint64_t offset)
{
    if (f->busy && f->phase == PULLING) {
        uint64_t usec = (items_of(f) - items) * (uint64_t)QR_SECOND / SNAPSHOT_BUSY_ITEMS;
        usec += (f->reader.offset - offset) * (uint64_t)QR_SECOND / SNAPSHOT_BUSY_BYTES;
        qr_time from = f->load_due > now - BURST_TIME ? f->load_due : now - BURST_TIME;
        f->load_due = from + (qr_time)usec;
    }
}

static bool pull(struct fetch *f, qr_time now)
{
    if (now < f->load_due) {
        f->node->wake = f->load_due < f->node->wake ? f->load_due : f->node->wake;
        return false;
    }
    uint64_t items = items_of(f);
    uint64_t offset = f->reader.offset;
    bool more = load_some(f, now);
    pause(f, now, items, offset);
    if (f->phase != PULLING) {
        return f->phase == WHOLE;
    }
    page_file_write(&f->pages, false);
    ask(f, now);
    qr_time last = f->heard > f->asked_at ? f->heard : f->asked_at;
    if (now - last >= ASK_INTERVAL && !more && f->pages.queued_bytes < PAGE_BYTES) {
        ask_again(f, now);
    }
    return more;
}

/* The leader keeps its log for it, and need not give its own (snapshot_givers.c). */
static void tell_leader(struct fetch *f, qr_time now)
{
    struct outlook outlook;
    if (f->phase == IDLE || f->phase == DROPPING || now - f->told_at < TELL_INTERVAL ||
        f->partition->repairer != NULL || f->partition->quarantined) {
        return;
    }
    f->told_at = now;
    replica_outlook(f->partition->replica, &outlook);
    if (outlook.leader == NODE_NONE || outlook.leader == f->source ||
        !replica_has_views(f->partition->replica)) {
        return;
    }
    struct snapshot_progress progress = { .giver = source_id(f),
                                          .slot = f->offer.slot,
                                          .done = f->reader.offset,
                                          .total = f->offer.bytes };
    uint8_t head[SNAPSHOT_HEAD_BYTES_MAX];
    peers_tell_group(f->node->peers, outlook.leader, f->partition->group, FRAME_SNAPSHOT_PROGRESS,
                     span_of(head, snapshot_progress_write(&progress, head)));
}

bool fetch_turn(struct fetch *f, qr_time now)
{
    if (f->phase == IDLE && !f->left) {
        return false;
    }
    if (f->phase != IDLE && f->phase != DROPPING && f->phase != WHOLE &&
        !is_needed(f, f->offer.slot, f->offer.slot_term)) {
        f->figures.counts.dropped++; /* the log has brought it after all */
        fetch_drop(f);
    }
    if (f->phase == IDLE && f->left && f->partition->repairer == NULL &&
        !is_needed(f, f->left_slot, 0)) {
        fetch_drop_left(f);
    }
    tell_leader(f, now);
    switch (f->phase) {
    case REREADING:
        reread_some(f, now);
        return true;
    case PULLING:
        return pull(f, now);
    case WHOLE:
        if (f->partition->quarantined && f->partition->repairer == NULL &&
            !quarantine_may_end(f->partition)) {
            return false;
        }
        if (keeper_is_quiet(f->partition->keeper)) {
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

size_t fetch_memory(const struct fetch *f)
{
    return f->pages.queued_bytes +
           (f->in != NULL ? SNAPSHOT_WINDOW_BYTES + CHECKPOINT_UNIT_BYTES_MAX : 0);
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
    out->memory = fetch_memory(f);
}
