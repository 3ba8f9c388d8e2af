/* Writing a discard journal: see discards.h.
 *
 * Records are gathered in one chunk while another one is written and synced by a helper thread; a
 * chunk never spans segments. Each is filled up to a block's end, so that no block that is durable
 * is ever written again. */
#include "node/discards_internal.h"

#include "base/alloc.h"

#include <stdio.h>

void discards_path(const struct discards *d, uint32_t segment, char path[DISCARDS_PATH_MAX])
{
    int n = snprintf(path, DISCARDS_PATH_MAX, "%s/%010u", d->dir, (unsigned)segment);
    qr_assert(n > 0 && n < (int)DISCARDS_PATH_MAX);
}

bool discards_busy(const struct discards *d)
{
    return d->owner != NULL;
}

static uint8_t *reserve(struct discards_chunk *chunk, size_t n)
{
    if (chunk->n + n > chunk->cap) {
        chunk->cap = chunk->n + n > DISCARDS_CHUNK_BYTES ? chunk->n + n : DISCARDS_CHUNK_BYTES;
        chunk->p = qr_realloc(chunk->p, chunk->cap);
    }
    return chunk->p + chunk->n;
}

static void drop_chunk(struct discards_chunk *chunk)
{
    free(chunk->p);
    *chunk = (struct discards_chunk){ 0 };
}

static struct discards_place place_of(const struct discards *d)
{
    bool durable = d->durable.segment == d->given.segment;
    return (struct discards_place){
        .salt = discards_last(d)->salt,
        .at = (uint32_t)d->given.at,
        .synced = durable ? (uint32_t)d->durable.at : 0,
    };
}

static void took(struct discards *d, size_t n)
{
    d->filling.n += n;
    d->given.at += n;
}

/* --- The end of something ------------------------------------------------------------------- */

static enum discards_result result_of(int error)
{
    return error == 0 ? DISCARDS_DONE : io_wants_room(error) ? DISCARDS_NO_ROOM : DISCARDS_FAILED;
}

static void close_file(struct discards *d)
{
    if (d->file != NULL) {
        io_file_close(d->file);
        d->file = NULL;
    }
}

/* J5, J6: what is not durable was never there, although a start could find it: the next thing that
 * is ended, even where nothing is added, begins another segment, whose header says so. */
static void fail(struct discards *d, int error)
{
    char path[DISCARDS_PATH_MAX];
    qr_assert(error < 0 && !d->in_flight);
    d->unsure = true;
    d->error = error;
    d->filling.n = 0;
    bool unborn = d->file != NULL && d->durable.segment != d->given.segment;
    close_file(d);
    if (unborn) { /* best effort: the next header says that it is none */
        discards_path(d, d->given.segment, path);
        (void)io_unlink(d->io, path);
    }
    discards_undo(d);
    d->clear_lo = 1;
    d->clear_hi = 0;
    discards_check(d);
}

static enum discards_result finish(struct discards *d, int *error)
{
    enum discards_result result = result_of(d->error);
    *error = d->error;
    d->owner = NULL;
    d->ending = d->waiting = false;
    drop_chunk(&d->filling);
    drop_chunk(&d->flying);
    return result;
}

/* --- Segments ------------------------------------------------------------------------------- */

static void parent_of(const struct discards *d, char path[DISCARDS_PATH_MAX])
{
    (void)snprintf(path, DISCARDS_PATH_MAX, "%s", d->dir);
    *strrchr(path, '/') = 0;
}

/* DIR/discards and this journal's directory in it, for good. */
static int make_dirs(struct discards *d)
{
    char parent[DISCARDS_PATH_MAX], above[DISCARDS_PATH_MAX];
    if (d->made) {
        return 0;
    }
    parent_of(d, parent);
    (void)snprintf(above, sizeof above, "%s", parent);
    *strrchr(above, '/') = 0;
    int error = io_mkdir(d->io, parent);
    error = error < 0 ? error : io_sync_dir(d->io, above);
    error = error < 0 ? error : io_mkdir(d->io, d->dir);
    error = error < 0 ? error : io_sync_dir(d->io, parent);
    d->made = error == 0;
    return error;
}

/* How many of the oldest segments make room for one more (J2). */
static uint32_t to_go(const struct discards *d)
{
    uint64_t bytes = d->segment_bytes_max;
    uint32_t n = d->segment_count;
    while (n > 0 &&
           bytes + d->segments[n - 1].disk_bytes <= DISCARDS_SEGMENTS * d->segment_bytes_max) {
        n--;
        bytes += d->segments[n].disk_bytes;
    }
    uint32_t kept = d->segment_count - n;
    return kept < DISCARDS_FILES_MAX ? n : d->segment_count - (DISCARDS_FILES_MAX - 1);
}

/* Its header counts what goes with the oldest ones; they go when it is durable. */
static void put_header(struct discards *d, const struct discards_segment *segment, uint32_t going)
{
    const struct discards_segment *before =
        d->segment_count > 1 ? &d->segments[d->segment_count - 2] : NULL;
    struct discards_header header = {
        .keyspace = d->keyspace,
        .salt = segment->salt,
        .segment = segment->number,
        .oldest = d->segments[going].number,
        .before = before != NULL ? before->number : 0,
        .previous = before != NULL ? (uint32_t)before->disk_bytes : 0,
        .first = segment->first,
        .bytes = d->given.bytes,
        .blind = d->given.blind,
        .overflowed = d->overflowed,
        .overflowed_bytes = d->overflowed_bytes,
        .damaged = d->gone_damaged,
        .regained = d->gone_regained,
    };
    for (uint32_t i = 0; i < going; i++) {
        const struct discards_segment *s = &d->segments[i];
        header.overflowed += s->entries - s->damaged - s->regained;
        header.overflowed_bytes += s->bytes;
        header.damaged += s->damaged;
        header.regained += s->regained;
    }
    discards_write_header(reserve(&d->filling, DISCARDS_HEAD_BYTES), &header);
    d->head = header;
    took(d, DISCARDS_HEAD_BYTES);
}

/* All that was given out is durable. */
static int begin_segment(struct discards *d)
{
    char path[DISCARDS_PATH_MAX];
    qr_assert(!d->in_flight && d->filling.n == 0 && d->given.next == d->durable.next);
    close_file(d);
    int error = make_dirs(d);
    error = error < 0 ? error : io_failpoint(d->io, FAIL_DISCARDS_OPEN);
    if (error < 0) {
        return error;
    }
    uint32_t going = to_go(d);
    discards_path(d, ++d->last_number, path);
    error = io_file_open(d->io, path, IO_CREATE | IO_WRITE, &d->file);
    if (error < 0) {
        d->file = NULL;
        return error;
    }
    struct discards_segment *segment = discards_add_segment(d, d->last_number);
    io_random(d->io, &segment->salt, sizeof segment->salt);
    segment->first = d->given.next;
    d->given.segment = segment->number;
    d->given.at = d->given.segment_bytes = 0;
    d->going = going;
    d->runs_here = 0;
    put_header(d, segment, going);
    return 0;
}

/* Its name and its header are durable: what is counted there may go. What cannot be removed is of
 * no use, and goes at a start. */
static int name_segment(struct discards *d)
{
    char path[DISCARDS_PATH_MAX];
    int error = io_failpoint(d->io, FAIL_DISCARDS_NAMED);
    error = error < 0 ? error : io_sync_dir(d->io, d->dir);
    if (error < 0) {
        return error;
    }
    (void)io_failpoint(d->io, FAIL_DISCARDS_DROP);
    for (uint32_t i = 0; i < d->going; i++) {
        discards_path(d, d->segments[i].number, path);
        (void)io_unlink(d->io, path);
    }
    discards_forget_segments(d, d->going);
    d->overflowed = d->head.overflowed;
    d->overflowed_bytes = d->head.overflowed_bytes;
    d->gone_damaged = d->head.damaged;
    d->gone_regained = d->head.regained;
    d->going = 0;
    return 0;
}

/* --- Chunks --------------------------------------------------------------------------------- */

static void on_written(struct io_write *write, int error);

static void put_pad(struct discards *d)
{
    size_t n = discard_pad_bytes(d->given.at);
    if (n > 0) {
        discard_write_pad(reserve(&d->filling, n), place_of(d), n);
        took(d, n);
    }
}

/* Starts to write what has been gathered, unless a write is under way. */
static void kick(struct discards *d)
{
    if (d->in_flight || d->filling.n == 0) {
        return;
    }
    put_pad(d);
    struct discards_chunk chunk = d->flying;
    d->flying = d->filling;
    d->filling = chunk;
    d->filling.n = 0;
    d->flight = d->given;
    d->v = (struct iovec){ .iov_base = d->flying.p, .iov_len = d->flying.n };
    d->write = (struct io_write){
        .file = d->file,
        .v = &d->v,
        .count = 1,
        .offset = d->given.at - d->flying.n,
        .done = on_written,
        .context = d,
        .points = FAIL_DISCARDS_WRITE,
    };
    d->in_flight = true;
    io_file_write_sync(d->io, &d->write);
}

static void on_written(struct io_write *write, int error)
{
    struct discards *d = write->context;
    const struct discards_owner *owner = d->owner;
    d->in_flight = false;
    if (d->closed) {
        discards_close(d);
        return;
    }
    if (error == 0 && d->durable.segment != d->flight.segment) {
        error = name_segment(d);
    }
    if (error < 0) {
        fail(d, error);
    } else {
        d->durable = d->flight;
        d->unsure = false;
        discards_last(d)->disk_bytes = d->durable.at;
        if (d->ending) {
            kick(d);
        }
        discards_check(d);
    }
    if (d->ending && !d->in_flight) {
        enum discards_result result = finish(d, &error);
        owner->ended(owner->context, result, error);
    } else if (d->waiting) {
        d->waiting = false;
        owner->wake(owner->context);
    }
}

/* Whether a record of so many bytes has room now. False: later, or never (d->error). */
static bool make_room(struct discards *d, size_t n)
{
    bool full =
        d->file == NULL || d->given.at + n > d->segment_bytes_max || d->runs_here >= DISCARDS_RUNS;
    if (full) {
        kick(d);
        if (d->in_flight) {
            d->waiting = true;
            return false;
        }
        int error = begin_segment(d);
        if (error < 0) {
            fail(d, error);
            return false;
        }
    }
    if (d->filling.n > 0 && d->filling.n + n > DISCARDS_CHUNK_BYTES) {
        kick(d);
        d->waiting = d->filling.n > 0;
        return !d->waiting;
    }
    return true;
}

/* --- What the owner calls ------------------------------------------------------------------- */

void discards_begin(struct discards *d, const struct discards_owner *owner)
{
    qr_assert(d->owner == NULL && !d->in_flight && d->filling.n == 0);
    d->owner = owner;
    d->error = 0;
    d->clear_lo = 1;
    d->clear_hi = 0;
}

bool discards_add(struct discards *d, const struct discard *given)
{
    struct discard entry = *given;
    qr_assert(d->owner != NULL && !d->ending && entry.payload.n <= entry.bytes);
    entry.slots = entry.kind == 0 ? entry.slots : 1;
    qr_assert(entry.kind != 0 || (entry.bytes == 0 && entry.slot > 0 && entry.slots > 0));
    bool known = entry.reason == DISCARD_GIVEN_UP
                     ? discards_next_given(d, entry.group, entry.lost_to - 1) != 0
                     : entry.slot != 0 && discards_knows(d, entry.group, entry.slot, entry.term);
    if (d->error < 0 || known) {
        return true;
    }
    size_t most = (size_t)min_u64(DISCARD_ENTRY_BYTES_MAX, d->segment_bytes_max / 2);
    entry.payload.n = (size_t)min_u64(entry.payload.n, most);
    size_t n = discard_entry_bytes(entry.payload.n);
    if (!make_room(d, n)) {
        return d->error < 0;
    }
    entry.number = d->given.next;
    discard_write_entry(reserve(&d->filling, n), place_of(d), &entry);
    discards_note_entry(d, &entry, (uint32_t)d->given.at);
    took(d, n);
    d->given.next++;
    d->given.bytes += entry.payload.n;
    d->given.segment_bytes += entry.payload.n;
    d->given.blind += entry.kind == 0 ? entry.slots : 0;
    d->clear_lo = entry.slot + entry.slots;
    return true;
}

/* There is room for it. */
static void put_regained(struct discards *d, uint64_t first, uint64_t last, qr_wall at)
{
    size_t n = discard_record_bytes(DISCARD_REGAINED_BYTES);
    discard_write_regained(reserve(&d->filling, n), place_of(d), first, last, at);
    took(d, n);
    d->runs_here++;
    discards_note_regained(d, first, last, ++d->given.marks);
}

bool discards_regain(struct discards *d, uint32_t group, qr_slot lo, qr_slot hi, qr_term term,
                     qr_wall at)
{
    uint64_t first, last;
    qr_assert(d->owner != NULL && !d->ending);
    d->clear_lo = 1;
    d->clear_hi = 0;
    while (d->error == 0 && discards_next_held(d, group, lo, hi, term, &first, &last)) {
        if (!make_room(d, discard_record_bytes(DISCARD_REGAINED_BYTES))) {
            return d->error < 0;
        }
        if (!discards_next_held(d, group, lo, hi, term, &first, &last)) {
            break;
        }
        put_regained(d, first, last, at);
    }
    return true;
}

bool discards_again(struct discards *d, uint32_t group, qr_term since, qr_wall at)
{
    qr_assert(d->owner != NULL && !d->ending);
    while (d->error == 0 && discards_next_given(d, group, since) != 0) {
        if (!make_room(d, discard_record_bytes(DISCARD_REGAINED_BYTES))) {
            return d->error < 0;
        }
        uint64_t number = discards_next_given(d, group, since);
        if (number != 0) {
            put_regained(d, number, number, at);
        }
    }
    return true;
}

enum discards_result discards_end(struct discards *d, int *error)
{
    qr_assert(d->owner != NULL && !d->ending);
    d->ending = true;
    d->waiting = false;
    if (d->error == 0 && d->unsure && !d->in_flight && d->filling.n == 0) {
        int unmade = begin_segment(d);
        if (unmade < 0) {
            fail(d, unmade);
        }
    }
    kick(d);
    return d->in_flight ? DISCARDS_LATER : finish(d, error);
}

void discards_close(struct discards *d)
{
    d->closed = true;
    if (d->in_flight) {
        return; /* a helper thread still uses the buffers; its end calls again */
    }
    close_file(d);
    drop_chunk(&d->filling);
    drop_chunk(&d->flying);
    free(d->segments);
    free(d->runs);
    free(d);
}
