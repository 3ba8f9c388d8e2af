/* The own checkpoint file and who reads it: see snapshot_source.h. */
#include "node/snapshot_source_internal.h"

#include "base/alloc.h"
#include "base/limits.h"
#include "node/alarm.h"
#include "node/checkpoint_format.h"
#include "node/checkpoint_place.h"
#include "node/feed.h"
#include "node/keeper.h"
#include "node/node.h"
#include "node/peers.h"
#include "node/planner.h"
#include "node/replica.h"
#include "node/run.h"
#include "node/transfers.h"
#include "protocol/quorum.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define OFFER_INTERVAL (100 * QR_MILLISECOND) /* to one member */
#define BURST_TIME (20 * QR_MILLISECOND)      /* unused rate that may be made up for */

struct source *source_new(struct partition *partition)
{
    struct source *s = qr_zalloc(sizeof *s);
    s->node = partition->node;
    s->partition = partition;
    for (node_index i = 0; i < MEMBERS_MAX; i++) {
        s->follower[i].giver = NODE_NONE;
    }
    return s;
}

static void close_work(void *context)
{
    io_file_close(context); /* the last name of a large file may be gone: its blocks go now */
}

static void free_job(struct source *s)
{
    if (s->job != NULL) {
        free(s->job->block);
        free(s->job);
        s->job = NULL;
    }
    s->figures.memory = 0;
}

static void make_job(struct source *s)
{
    size_t bytes = SNAPSHOT_READ_BYTES + 2 * IO_BLOCK_BYTES;
    s->job = qr_zalloc(sizeof *s->job);
    s->job->source = s;
    s->job->block = aligned_alloc(IO_BLOCK_BYTES, bytes);
    qr_assert(s->job->block != NULL);
    s->figures.memory = sizeof *s->job + bytes;
}

static void close_file(struct source *s)
{
    qr_assert(!s->reading);
    if (s->file != NULL) {
        io_aside(s->node->io, close_work, s->file);
    }
    s->file = NULL;
    free_job(s);
    for (node_index i = 0; i < MEMBERS_MAX; i++) {
        struct follower *f = &s->follower[i];
        f->next = f->end = 0;
        if (f->giver == NODE_NONE) {
            f->sent = 0;
            f->read = f->began = 0;
        }
    }
}

void source_free(struct source *s)
{
    s->closing = true;
    if (!s->reading) {
        io_file_close(s->file);
        free_job(s);
        free(s);
    }
}

/* --- The file ------------------------------------------------------------------------------- */

static const char of_an_older_version[] = "it is of an older version";

/* NULL, or what is wrong with it. */
static const char *read_header(const struct source *s, struct io_file *file,
                               struct checkpoint_header *out)
{
    uint8_t bytes[CHECKPOINT_HEADER_BYTES_MAX];
    size_t length;
    int64_t n = io_file_pread(file, bytes, sizeof bytes, 0), size = io_file_size(file);
    if (n <= 0 || size <= 0 ||
        checkpoint_header_read(span_of(bytes, (size_t)n), out, &length) != CHECKPOINT_HEADER_OK) {
        return "its header is damaged";
    }
    if (out->format != CHECKPOINT_FORMAT) { /* its header cannot say whose it becomes */
        return of_an_older_version;
    }
    out->bytes = (uint64_t)size;
    bool ours = memcmp(out->cluster, s->node->identity.cluster, sizeof out->cluster) == 0 &&
                out->group == s->partition->group;
    return ours ? NULL : "it belongs to another cluster or group";
}

static bool is_being_read(const struct source *s, qr_time now)
{
    for (node_index i = 0; i < MEMBERS_MAX; i++) {
        const struct follower *f = &s->follower[i];
        if (f->giver == NODE_NONE && f->read != 0 && now - f->read < PIN_TIME) {
            return true;
        }
    }
    return false;
}

/* Told once per checkpoint. Unless it is for now only, another one is to be taken. */
static void cannot_use(struct source *s, const char *why, bool for_good)
{
    qr_slot slot = keeper_slot(s->partition->keeper);
    if (s->told_of != slot) {
        s->figures.unusable++;
        node_log(s->node, NODE_LOG_WARNING,
                 "The checkpoint at slot %" PRIu64 " cannot be offered: %s", slot, why);
    }
    if (s->told_of != slot && why != of_an_older_version) {
        alarm_raise(s->node, ALARM_SNAPSHOT, "this node's checkpoint cannot be offered: %s", why);
    }
    if (why != of_an_older_version) {
        transfers_trouble(s->node, NODE_NONE);
    }
    s->told_of = slot;
    s->unusable = for_good ? slot : s->unusable;
}

/* Opens the checkpoint in force unless the open file will do. False: there is none that holds the
 * state up to `least`. */
static bool open_file(struct source *s, qr_slot least, qr_time now)
{
    if (s->file != NULL && s->header.slot >= least && s->header.salt != s->refused_file &&
        (is_being_read(s, now) || s->header.slot == keeper_slot(s->partition->keeper))) {
        return true;
    }
    if (s->reading || keeper_slot(s->partition->keeper) < least) {
        return false;
    }
    close_file(s);
    char path[CHECKPOINT_PATH_MAX];
    checkpoint_path(path, s->node->config.dir, s->partition->group, CHECKPOINT_FILE);
    int error = io_file_open(s->node->io, path, IO_DIRECT, &s->file);
    if (error != 0) {
        s->file = NULL;
        cannot_use(s, strerror(-error), !io_wants_room(error));
        return false;
    }
    const char *wrong = read_header(s, s->file, &s->header);
    if (wrong == NULL && (s->header.slot < least || s->header.salt == s->refused_file)) {
        wrong = s->header.slot < least ? "it is not the one that was taken" : "it was refused";
    }
    if (wrong != NULL) {
        cannot_use(s, wrong, true);
        close_file(s);
        return false;
    }
    return true;
}

/* --- Offering ------------------------------------------------------------------------------- */

static void offer(struct source *s, node_index to, qr_time now)
{
    struct follower *f = &s->follower[to];
    bool is_at_it = f->read != 0 && now - f->read < QR_SECOND;
    if (is_at_it || s->partition->quarantined) { /* a wrong file would be open behind the end */
        return;
    }
    if (f->offered != 0 && now - f->offered < OFFER_INTERVAL) {
        return;
    }
    if (!open_file(s, f->least, now) || s->header.slot > f->most) {
        return; /* source_wants tells the keeper; or it is ordered again */
    }
    uint8_t head[SNAPSHOT_HEAD_BYTES_MAX];
    struct snapshot_offer o = { .file = s->header.salt,
                                .slot = s->header.slot,
                                .slot_term = s->header.term,
                                .bytes = s->header.bytes };
    (void)io_failpoint(s->node->io, FAIL_SNAPSHOT_OFFER);
    peers_tell_group(s->node->peers, to, s->partition->group, FRAME_SNAPSHOT_OFFER,
                     span_of(head, snapshot_offer_write(&o, head)));
    f->offered = now;
    s->figures.offers++;
}

/* Offers the own one, from slot `least` to `most`. */
static void give(struct source *s, node_index to, qr_slot least, qr_slot most)
{
    struct follower *f = &s->follower[to];
    s->wanting |= node_bit(to);
    f->repairs = f->ordered = false;
    f->least = least;
    f->most = most;
    f->wanted = io_now(s->node->io);
    offer(s, to, f->wanted);
}

void source_wanted(struct source *s, node_index to, qr_slot least)
{
    qr_assert(to < MEMBERS_MAX);
    s->follower[to].least = least;
    if (!givers_name(s, to, io_now(s->node->io))) {
        give(s, to, least, UINT64_MAX);
    } else {
        s->wanting &= (uint16_t)~node_bit(to);
    }
}

void source_asked(struct source *s, node_index to, qr_slot least)
{
    if (!s->partition->quarantined) {
        /* A replica that has applied that much takes a new one, if need be. */
        bool has = replica_applied(s->partition->replica) >= least;
        give(s, to, has ? least : 0, UINT64_MAX);
        s->follower[to].repairs = true;
    }
}

void source_ordered(struct source *s, node_index to, qr_slot least, qr_slot most)
{
    if (!s->partition->quarantined && replica_applied(s->partition->replica) >= least) {
        give(s, to, least, most);
        s->follower[to].ordered = true;
    }
}

qr_slot source_wants(const struct source *s)
{
    qr_slot most = 0;
    for (uint32_t rest = s != NULL ? s->wanting : 0; rest != 0; rest &= rest - 1) {
        const struct follower *f = &s->follower[set_first(rest)];
        bool served =
            s->file != NULL && s->header.slot >= f->least && s->header.salt != s->refused_file;
        most = !served ? max_u64(most, max_u64(f->least, s->unusable + 1)) : most;
    }
    return most;
}

void source_checkpointed(struct source *s)
{
    if (s == NULL) {
        return;
    }
    qr_time now = io_now(s->node->io);
    for (node_index i = 0; i < MEMBERS_MAX; i++) {
        if ((s->wanting & node_bit(i)) != 0) {
            s->follower[i].offered = 0;
            offer(s, i, now);
        }
    }
}

/* --- Reading -------------------------------------------------------------------------------- */

static void say_gone(struct source *s, node_index to, uint64_t file)
{
    uint8_t head[SNAPSHOT_HEAD_BYTES_MAX];
    s->figures.gone++;
    peers_tell_group(s->node->peers, to, s->partition->group, FRAME_SNAPSHOT_GONE,
                     span_of(head, snapshot_gone_write(file, head)));
}

void source_distrust(struct source *s)
{
    if (s == NULL || s->file == NULL) {
        return;
    }
    s->distrusted = s->refused_file = s->header.salt;
    for (node_index i = 0; i < MEMBERS_MAX; i++) {
        struct follower *f = &s->follower[i];
        if (f->giver != NODE_NONE) {
            continue;
        }
        if (f->read != 0) {
            say_gone(s, i, s->header.salt);
        }
        f->next = f->end = 0;
        f->read = f->began = 0;
    }
}

bool source_on_read(struct source *s, node_index from, const struct snapshot_piece *piece)
{
    qr_time now = io_now(s->node->io);
    if (s->partition->quarantined || (s->distrusted != 0 && piece->file == s->distrusted)) {
        say_gone(s, from, piece->file);
        return true;
    }
    bool here = s->file != NULL && s->header.salt == piece->file;
    /* After a restart of this node nothing is open, yet the file may still be in force. */
    if (!here && (s->reading || is_being_read(s, now) || !open_file(s, 0, now) ||
                  s->header.salt != piece->file)) {
        say_gone(s, from, piece->file);
        return true;
    }
    if (piece->offset + piece->n > s->header.bytes) {
        return false;
    }
    struct follower *f = &s->follower[from];
    if (f->read == 0 || f->giver != NODE_NONE) {
        f->began = now;
        f->began_at = piece->offset;
    }
    f->giver = NODE_NONE;
    f->read = now;
    s->served |= node_bit(from);
    s->wanting &= (uint16_t)~node_bit(from);
    f->match = 0;
    if (piece->offset != f->end) { /* it begins, or goes on where a connection was lost */
        f->next = piece->offset;
    }
    f->end = piece->offset + piece->n;
    return f->end - f->next <= SNAPSHOT_WINDOW_BYTES; /* the turn that follows sends */
}

void source_on_refused(struct source *s, node_index from, uint64_t file)
{
    if (s->file == NULL || s->header.salt != file || s->refused_file == file) {
        return; /* about a file of others; or an answer to this node as a follower */
    }
    s->refused_file = file;
    s->figures.refused++;
    struct follower *f = &s->follower[from];
    s->wanting |= node_bit(from);
    f->read = 0;
    f->next = f->end = 0;
    f->least = max_u64(f->least, s->header.slot + 1);
    node_log(s->node, NODE_LOG_WARNING,
             "Node %" PRIu32 " cannot use this node's checkpoint at slot %" PRIu64
             ": a new one is taken; check this node's disk",
             s->node->known[from].id, s->header.slot);
    alarm_raise(s->node, ALARM_SNAPSHOT, "node %" PRIu32 " found this node's checkpoint damaged",
                s->node->known[from].id);
    transfers_trouble(s->node, NODE_NONE);
}

void source_peer_down(struct source *s, node_index peer)
{
    struct follower *f = &s->follower[peer];
    f->next = f->end = 0;
    s->wanting &= (uint16_t)~node_bit(peer); /* said again when it is back */
    f->repairs = false;
    f->offered = 0;
}

/* --- Sending -------------------------------------------------------------------------------- */

static void send_pieces(struct source *s, node_index to, const struct job *job)
{
    struct follower *f = &s->follower[to];
    for (size_t at = 0; at < job->n && f->next == job->offset + at; at += SNAPSHOT_PIECE_BYTES) {
        uint8_t head[SNAPSHOT_HEAD_BYTES_MAX];
        size_t n = min_u64(job->n - at, SNAPSHOT_PIECE_BYTES);
        struct snapshot_piece piece = {
            .file = s->header.salt, .offset = f->next, .n = (uint32_t)n, .busy = s->demand.busy
        };
        (void)io_failpoint(s->node->io, FAIL_SNAPSHOT_SEND);
        if (!peers_send_bulk_group(s->node->peers, to, s->partition->group, FRAME_SNAPSHOT_DATA,
                                   span_of(head, snapshot_piece_write(&piece, head)),
                                   span_of(job->block + job->ahead + at, n))) {
            return;
        }
        f->sent = f->next += n;
        f->all_sent = io_now(s->node->io);
        s->figures.pieces++;
        s->figures.bytes += n;
    }
}

static void job_work(void *context)
{
    struct job *job = context;
    size_t blocks = (job->ahead + job->n + IO_BLOCK_BYTES - 1) / IO_BLOCK_BYTES;
    job->got =
        io_file_pread(job->file, job->block, blocks * IO_BLOCK_BYTES, job->offset - job->ahead);
}

static void job_done(void *context)
{
    struct job *job = context;
    struct source *s = job->source;
    s->reading = false;
    if (s->closing) {
        source_free(s);
        return;
    }
    struct follower *f = &s->follower[s->job_to];
    if (job->got >= (int64_t)(job->ahead + job->n)) {
        if (f->next == job->offset && f->end > f->next) {
            send_pieces(s, s->job_to, job);
        }
    } else {
        alarm_raise(s->node, ALARM_SNAPSHOT, "this node's checkpoint cannot be read");
        transfers_trouble(s->node, NODE_NONE);
        node_log(s->node, NODE_LOG_WARNING, "The checkpoint at slot %" PRIu64 " cannot be read",
                 s->header.slot);
        s->refused_file = s->header.salt;
        say_gone(s, s->job_to, s->header.salt);
        close_file(s);
    }
}

/* Whether bytes for that member can go out now. */
static bool may_send(const struct source *s, node_index to)
{
    const struct follower *f = &s->follower[to];
    return f->end > f->next && peers_bulk_room(s->node->peers, to);
}

/* The next member in turn that waits for bytes and has room for them; NODE_NONE: none. What finds
 * no room may have it as soon as this turn has ended. */
static node_index next_reader(const struct source *s, bool *waits)
{
    *waits = false;
    for (node_index i = 1; i <= MEMBERS_MAX; i++) {
        node_index to = (node_index)((s->turn + i) % MEMBERS_MAX);
        if (may_send(s, to)) {
            return to;
        }
        *waits = *waits || s->follower[to].end > s->follower[to].next;
    }
    return NODE_NONE;
}

static uint64_t rate_of(const struct source *s)
{
    return planner_copy_rate(s->node, s->partition->group, s->node->config.snapshot_rate);
}

/* When the rate lets the next piece go; another rate counts at once. */
static qr_time due(const struct source *s)
{
    uint64_t spent = s->node->transfers.spent;
    return s->node->transfers.spent_from + (qr_time)(spent * QR_SECOND / rate_of(s));
}

static void start_read(struct source *s, node_index to, qr_time now)
{
    struct follower *f = &s->follower[to];
    if (s->job == NULL) {
        make_job(s);
    }
    uint64_t rate = rate_of(s);
    bool moves = rate < s->node->config.snapshot_rate; /* then a quarter of a second at a time */
    uint64_t most = moves ? min_u64(SNAPSHOT_READ_BYTES, rate / 4 + 1) : SNAPSHOT_READ_BYTES;
    size_t n = min_u64(f->end - f->next, most);
    s->job->file = s->file;
    s->job->offset = f->next;
    s->job->ahead = f->next % IO_BLOCK_BYTES;
    s->job->n = n;
    s->job_to = to;
    s->turn = to;
    qr_time last = due(s);
    s->node->transfers.spent_from = last > now - BURST_TIME ? last : now - BURST_TIME;
    s->node->transfers.spent = n;
    s->reading = io_offload(s->node->io, job_work, job_done, s->job) == 0;
}

/* --- The turn ------------------------------------------------------------------------------- */

bool source_holds_old_file(const struct source *s, uint64_t in_force)
{
    return s != NULL && s->file != NULL && s->header.salt != in_force;
}

bool source_is_idle(const struct source *s)
{
    return s->file == NULL && !s->reading && s->wanting == 0 && !givers_are_at_it(s);
}

bool source_is_unused(const struct source *s, qr_time before)
{
    bool used = s->reading || givers_are_at_it(s);
    for (node_index i = 0; i < MEMBERS_MAX; i++) {
        used = used || s->follower[i].read != 0 || s->follower[i].offered > before;
    }
    return !used;
}

void source_turn(struct source *s, qr_time now)
{
    givers_watch(s, now);
    if (s->file == NULL || s->reading) {
        return;
    }
    const struct stats *stats = &s->node->stats;
    demand_look(&s->demand, stats->commands_processed + stats->forwarded_for_others, now);
    if (!is_being_read(s, now)) {
        if (s->wanting == 0) {
            close_file(s);
        }
        return;
    }
    bool waits;
    node_index to = next_reader(s, &waits);
    qr_time wake = to != NODE_NONE ? due(s) : waits ? now + QR_MILLISECOND : QR_NEVER;
    if (to == NODE_NONE || now < wake) {
        s->node->wake = wake < s->node->wake ? wake : s->node->wake;
        return;
    }
    start_read(s, to, now);
}

const struct source_figures *source_figures(const struct source *s)
{
    return &s->figures;
}
