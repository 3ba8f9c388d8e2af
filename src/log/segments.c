/* Segments in memory: how one begins, which are needed no more, what space is left.
 *
 * A generation is used once: after a crash the numbers of all files seen are left behind, so that
 * remains of an unfinished write never fit a new segment. */
#include "log/log_internal.h"

#include "base/alloc.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* Room in a segment for twice the two batches that it may take to let others go. */
#define LET_GO_BLOCKS 4u
/* How long a look at the file system stays good. */
#define FREE_BYTES_FRESH (100 * QR_MILLISECOND)

void segment_path(const struct log *log, char *p, uint64_t generation)
{
    snprintf(p, LOG_PATH_MAX, "%s/%016" PRIx64 ".log", log->dir, generation);
}

void segment_free_path(const struct log *log, char *p, uint64_t name)
{
    snprintf(p, LOG_PATH_MAX, "%s/%016" PRIx64 ".free", log->dir, name);
}

struct segment *segment_push(struct log *log)
{
    if (log->segment_count == log->segment_cap) {
        log->segment_cap = log->segment_cap == 0 ? 8 : log->segment_cap * 2;
        log->segments = qr_realloc(log->segments, log->segment_cap * sizeof(struct segment));
    }
    struct segment *s = &log->segments[log->segment_count++];
    memset(s, 0, sizeof(*s));
    return s;
}

struct segment *segment_of(const struct log *log, uint64_t offset)
{
    uint32_t lo = 0;
    uint32_t hi = log->segment_count;
    while (hi - lo > 1) {
        uint32_t middle = lo + (hi - lo) / 2;
        if (log->segments[middle].header.first <= offset) {
            lo = middle;
        } else {
            hi = middle;
        }
    }
    return &log->segments[lo];
}

static uint8_t *restate_put(uint8_t *p, const struct group *g, uint8_t kind, qr_slot slot,
                            qr_term term, struct span payload)
{
    if (payload.n > 0) {
        memcpy(p + RECORD_HEADER_BYTES, payload.p, payload.n);
    }
    record_seal(p, g->id, kind, slot, term, payload.n);
    return p + record_bytes(payload.n);
}

/* Bytes that the restatement of all groups takes. */
static size_t restate_bytes(const struct log *log)
{
    size_t n = 0;
    const struct group *g;
    for (uint32_t at = 0; (g = groups_next(&log->groups, &at)) != NULL;) {
        n += 2 * record_bytes(0) + record_bytes(g->state_n);
    }
    return n;
}

/* Every group's base, state and last entry, as they are now. */
static void restate(const struct log *log, uint8_t *p)
{
    const struct group *g;
    for (uint32_t at = 0; (g = groups_next(&log->groups, &at)) != NULL;) {
        p = restate_put(p, g, RECORD_TRIM, g->base_slot, g->base_term, (struct span){ 0 });
        p = restate_put(p, g, RECORD_STATE, 0, 0, span_of(g->state, g->state_n));
        p = restate_put(p, g, RECORD_LAST, g->last_slot, group_last_term(g), (struct span){ 0 });
    }
}

/* Begins a segment at log offset `first` with room for at least `need` bytes of batches. Its file
 * and the write of its image come later. */
void segment_begin(struct log *log, uint64_t generation, uint64_t first, uint64_t need)
{
    uint64_t prev_generation = 0;
    uint64_t prev_end = 0;
    if (log->segment_count > 0) {
        prev_generation = log_newest(log)->header.generation;
        prev_end = log_newest(log)->end;
    }
    size_t n = restate_bytes(log);
    uint64_t body = LOG_BLOCK_BYTES + block_round(n);
    qr_assert(body <= UINT32_MAX); /* LOG_GROUPS_MAX * LOG_STATE_BYTES_MAX is far below */
    struct segment *s = segment_push(log);
    s->bytes = max_u64(log->config.segment_bytes, body + need);
    s->end = first;
    s->image = aligned_alloc(LOG_BLOCK_BYTES, body);
    qr_assert(s->image != NULL);
    memset(s->image, 0, body);
    restate(log, s->image + LOG_BLOCK_BYTES);
    s->header = (struct segment_header){
        .version = LOG_FORMAT_VERSION,
        .generation = generation,
        .first = first,
        .capacity = s->bytes - body,
        .prev_generation = prev_generation,
        .prev_end = prev_end,
        .restate_bytes = (uint32_t)n,
        .restate_crc =
            restate_crc(log->config.uuid, generation, span_of(s->image + LOG_BLOCK_BYTES, n)),
        .body_offset = (uint32_t)body,
    };
    memcpy(s->header.uuid, log->config.uuid, 16);
    segment_header_encode(&s->header, s->image);
    log->next_name = max_u64(log->next_name, generation + 1);
    log->recycle_check = true;
}

/* Gives the segment the file that was made ready for it; false when there is none. */
bool segment_adopt(struct log *log, struct segment *s)
{
    if (log->ready == NULL || log->ready_bytes < s->bytes) {
        return false;
    }
    qr_assert(log->ready_generation == s->header.generation);
    s->file = log->ready;
    s->bytes = log->ready_bytes;
    log->ready = NULL;
    return true;
}

/* --- What nothing needs any more ------------------------------------------------------------ */

/* Log offset of the oldest entry that any group still wants; notes whose it is. */
static uint64_t oldest_live(struct log *log)
{
    const struct group *g = pins_first(&log->pins);
    log->pin_group = g != NULL ? g->id : log->pin_group;
    return g != NULL ? group_first_offset(g) : RUN_MISSING;
}

static bool group_lacks_entries(const struct group *g)
{
    struct lost lost;
    return g != NULL && group_next_lost(g, 0, UINT64_MAX, &lost);
}

/* Whether a hole is still open. What is left of its batch is what proves, at another start, that
 * entries are lost there and nothing else. */
static bool lacks_entries(struct log *log)
{
    const struct group *g;
    if (!log->lacks || group_lacks_entries(groups_find(&log->groups, log->lacks_group))) {
        return log->lacks;
    }
    log->lacks = false;
    for (uint32_t at = 0; !log->lacks && (g = groups_next(&log->groups, &at)) != NULL;) {
        log->lacks = group_lacks_entries(g);
        log->lacks_group = g->id;
    }
    return log->lacks;
}

/* Looks which of the oldest segments nothing needs (I4). They go once a durable batch states that
 * everything up to here is on disk: the trims, and the restatement that replaces theirs. */
void segment_find_dead(struct log *log)
{
    if (!log->recycle_check || log->recycle_count > 0 || log->segment_count < 2 ||
        lacks_entries(log)) {
        return;
    }
    log->recycle_check = false;
    uint64_t oldest = oldest_live(log);
    uint32_t dead = 0;
    while (dead + 1 < log->segment_count && log->segments[dead + 1].header.first <= oldest) {
        dead++;
    }
    while (dead > 0 && (log->segments[dead].file == NULL || log->segments[dead].image != NULL)) {
        dead--; /* what replaces it is not even written */
        log->recycle_check = true;
    }
    log->recycle_count = dead;
    log->recycle_above = max_u64(log_position(log), log->segments[dead].header.first + 1);
}

/* The batch that lets dead segments go is the next one. Where nobody has anything to write, or may
 * not on a full disk, it is one that says nothing new. Not where such batches would only be the
 * cause of segments that are let go then: each has room for more than one of them. */
void segment_let_go(struct log *log)
{
    if (log->recycle_count == 0 || log->marked >= log->recycle_above || !log_idle(log) ||
        log_newest(log)->header.capacity < LET_GO_BLOCKS * LOG_BLOCK_BYTES) {
        return;
    }
    qr_assert(log->recycle_above <= log->synced + 1); /* this batch says it, or the next */
    uint32_t at = 0;
    const struct group *g = groups_next(&log->groups, &at);
    if (g != NULL) {
        (void)log_append_note(log, g->id, RECORD_STATE, 0, 0, span_of(g->state, g->state_n));
    }
}

uint64_t log_newest_begins(const struct log *log)
{
    return log->segments[log->segment_count - 1].header.first;
}

/* Whether that was asked anew. */
static bool look_at_disk(struct log *log)
{
    qr_time now = io_now(log->io);
    if (log->fs_free_at != 0 && now - log->fs_free_at <= FREE_BYTES_FRESH) {
        return false;
    }
    int64_t n = io_free_bytes(log->io, log->dir);
    log->fs_free = n < 0 ? 0 : (uint64_t)n;
    log->fs_free_at = now;
    return true;
}

/* As of the last look: whoever asks for the room looks anew, and then this is asked again. */
bool log_leaves_less(struct log *log, uint64_t more)
{
    if (log->leave_free == 0) {
        return false;
    }
    if (log->fs_free_at == 0) {
        (void)look_at_disk(log);
    }
    return log->fs_free < log->leave_free + more;
}

void log_leave_free(struct log *log, uint64_t bytes)
{
    if (bytes > log->leave_free) {
        log->fs_free_at = 0; /* what was written or let go just now counts */
    }
    (void)look_at_disk(log);
    uint64_t most = log->fs_free + log->free_count * log->config.segment_bytes;
    for (uint32_t i = 0; i < log->segment_count; i++) {
        most += log->segments[i].bytes;
    }
    log->leave_free = bytes <= most ? bytes : 0;
    janitor_kick(log);
}

uint64_t log_room(struct log *log)
{
    if (look_at_disk(log)) {
        janitor_kick(log);
    }
    const struct segment *s = log_newest(log);
    uint64_t segment_bytes = log->config.segment_bytes;
    uint64_t fs = log->fs_free > log->leave_free ? log->fs_free - log->leave_free : 0;
    /* Free space is of use in whole segments. */
    uint64_t left = fs / segment_bytes * segment_bytes;
    left += log->free_count * segment_bytes;
    left += log->ready != NULL ? log->ready_bytes : 0;
    return left + s->header.first + s->header.capacity - log->end;
}

enum log_space log_space(struct log *log)
{
    if (log->damaged || log->failed) {
        return LOG_SPACE_NONE;
    }
    uint64_t left = log_room(log);
    uint64_t reserve = log->config.reserve_bytes;
    return left >= reserve ? LOG_SPACE_OK : left >= reserve / 4 ? LOG_SPACE_LOW : LOG_SPACE_NONE;
}
