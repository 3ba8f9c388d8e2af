/* Opening a discard journal: see discards.h, J2 and J6.
 *
 * Of a segment counts what the one after it says (`previous`); of the last one, what its own
 * records say was on disk when they were written, and what follows that without a gap: there a gap
 * is the tail that a loss of power tore, and everything behind it was never durable. A gap below
 * is damage: the search goes on behind it, and the numbers say how many entries are lost. */
#include "node/discards_internal.h"

#include "base/alloc.h"

#include <stdio.h>

/* --- Names ---------------------------------------------------------------------------------- */

struct names {
    uint32_t *v;
    uint32_t count, cap;
};

/* False: not a number, or not as one is written here. */
static bool number_of(const char *name, size_t digits, uint32_t *out)
{
    uint64_t v = 0;
    size_t n = strlen(name);
    for (size_t i = 0; i < n; i++) {
        if (name[i] < '0' || name[i] > '9' || n > 10) {
            return false;
        }
        v = v * 10 + (uint64_t)(name[i] - '0');
    }
    *out = (uint32_t)v;
    return n > 0 && v <= UINT32_MAX && (digits == 0 ? n == 1 || name[0] != '0' : n == digits);
}

static void add_name(struct names *names, uint32_t number)
{
    if (names->count == names->cap) {
        names->cap = names->cap == 0 ? 16 : 2 * names->cap;
        names->v = qr_realloc(names->v, names->cap * sizeof *names->v);
    }
    names->v[names->count++] = number;
}

static void on_segment(void *context, const char *name)
{
    uint32_t number;
    if (number_of(name, 10, &number) && number > 0) {
        add_name(context, number);
    }
}

static void on_keyspace(void *context, const char *name)
{
    uint32_t number;
    if (number_of(name, 0, &number)) {
        add_name(context, number);
    }
}

static int ascending(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return x < y ? -1 : x > y;
}

/* 0, also without such a directory. */
static int list(struct io *io, const char *dir, void (*each)(void *, const char *),
                struct names *names)
{
    int error = io_list(io, dir, each, names);
    if (names->count > 0) {
        qsort(names->v, names->count, sizeof *names->v, ascending);
    }
    return error == -ENOENT ? 0 : error;
}

int discards_list(struct io *io, const char *dir, void (*each)(void *context, uint32_t keyspace),
                  void *context)
{
    char path[DISCARDS_PATH_MAX];
    struct names names = { 0 };
    (void)snprintf(path, sizeof path, "%s/%s", dir, DISCARDS_DIR);
    int error = list(io, path, on_keyspace, &names);
    for (uint32_t i = 0; i < names.count && error == 0; i++) {
        each(context, names.v[i]);
    }
    free(names.v);
    return error;
}

/* --- The records of a file ------------------------------------------------------------------ */

bool discards_next_record(struct span part, uint64_t salt, uint32_t offset, uint32_t *at,
                          uint64_t *budget, struct discard_record *out, uint32_t *bytes)
{
    for (; *at < part.n; *at += 8) {
        struct span rest = span_of(part.p + *at, part.n - *at);
        size_t n = discard_peek(rest);
        if (n == 0 || n > rest.n) {
            continue;
        }
        *bytes = (uint32_t)discard_read(rest, salt, offset + *at, out);
        if (*bytes > 0) {
            return true;
        }
        if (n > *budget) {
            return false;
        }
        *budget -= n;
    }
    return false;
}

/* How far its records say that it was on disk. */
static uint32_t synced_of(struct span file, uint64_t salt)
{
    struct discard_record record;
    uint64_t budget = DISCARDS_SEARCH_FACTOR * (uint64_t)file.n;
    uint32_t at = DISCARDS_HEAD_BYTES, bytes, synced = 0;
    while (discards_next_record(file, salt, 0, &at, &budget, &record, &bytes)) {
        synced = record.synced > synced ? record.synced : synced;
        at += bytes;
    }
    return synced;
}

static void take(struct discards *d, const struct discard_record *record, uint32_t at)
{
    struct discards_segment *segment = discards_last(d);
    if (record->kind == DISCARD_RECORD_REGAINED) {
        d->given.marks++;
        discards_note_regained(d, record->first, record->last, d->given.marks);
    } else if (record->kind == DISCARD_RECORD_ENTRY && record->entry.number >= d->given.next) {
        uint64_t lost = record->entry.number - d->given.next;
        segment->entries += lost;
        segment->damaged += lost;
        discards_note_entry(d, &record->entry, at);
        d->given.next = record->entry.number + 1;
        d->given.bytes += record->entry.payload.n;
        d->given.blind += record->entry.kind == 0 ? record->entry.slots : 0;
    }
}

/* `sure` bytes count, and behind them what follows without a gap. Returns how far the file counts.
 */
static uint32_t take_records(struct discards *d, struct span file, uint32_t sure)
{
    struct discard_record record;
    uint64_t salt = discards_last(d)->salt;
    uint64_t budget = DISCARDS_SEARCH_FACTOR * (uint64_t)file.n;
    uint32_t at = DISCARDS_HEAD_BYTES, end = at, bytes;
    while (discards_next_record(file, salt, 0, &at, &budget, &record, &bytes)) {
        if (at > sure && at > end) {
            break;
        }
        take(d, &record, at);
        end = at = at + bytes;
    }
    return end > sure ? end : sure;
}

/* --- Files ---------------------------------------------------------------------------------- */

struct opening {
    struct discards *d;
    struct discards_found *found;
    char *message;
    size_t cap;
    uint8_t *p; /* the file */
    size_t n, room;
    size_t size; /* of the file, of which n bytes were read */
};

static bool refuse(const struct opening *o, const char *what, uint32_t segment, const char *why)
{
    (void)snprintf(o->message, o->cap, "%s %s/%010u: %s", what, o->d->dir, (unsigned)segment, why);
    return false;
}

/* Its first bytes, `most` at most. */
static bool read_file(struct opening *o, uint32_t number, size_t most)
{
    char path[DISCARDS_PATH_MAX];
    struct io_file *file;
    discards_path(o->d, number, path);
    int error = io_file_open(o->d->io, path, 0, &file);
    if (error < 0) {
        return refuse(o, "cannot open", number, strerror(-error));
    }
    int64_t n = io_file_size(file);
    if (n > (int64_t)UINT32_MAX / 2) {
        n = -EFBIG; /* none of ours */
    }
    o->size = n > 0 ? (size_t)n : 0;
    n = n > (int64_t)most ? (int64_t)most : n;
    if (n > (int64_t)o->room) {
        o->room = (size_t)n;
        o->p = qr_realloc(o->p, o->room);
    }
    if (n > 0) {
        n = io_file_pread(file, o->p, (size_t)n, 0);
    }
    io_file_close(file);
    o->n = n > 0 ? (size_t)n : 0;
    return n < 0 ? refuse(o, "cannot read", number, strerror(-(int)n)) : true;
}

/* A later version may have written what this one would take for damage. */
static bool look_at_head(struct opening *o, uint32_t number, size_t most, enum discards_head *head,
                         struct discards_header *header)
{
    if (!read_file(o, number, most)) {
        return false;
    }
    *head = discards_read_header(span_of(o->p, o->n), header);
    if (*head == DISCARDS_HEAD_LATER) {
        return refuse(o, "cannot read", number, "a later version of quorate wrote it");
    }
    if (*head == DISCARDS_HEAD_WHOLE &&
        (header->segment != number || header->keyspace != o->d->keyspace)) {
        return refuse(o, "cannot read", number, "it is that of another segment or keyspace");
    }
    return true;
}

static void drop_file(const struct opening *o, uint32_t number)
{
    char path[DISCARDS_PATH_MAX];
    discards_path(o->d, number, path);
    (void)io_unlink(o->d->io, path); /* the next start tries again */
}

/* What counts of one file of those that are there. */
struct counted {
    bool used;      /* false: it was never durable, or has made room */
    uint32_t bytes; /* UINT32_MAX: nobody says */
};

/* From the last one to the oldest: each says which is before it, and how much of that counts. Where
 * a header is damaged all that are before it may be of use. *newest is the last one that is whole.
 */
static bool follow_headers(struct opening *o, const struct names *names, struct counted *counted,
                           struct discards_header *newest)
{
    uint32_t wanted = 0, bytes = UINT32_MAX; /* 0: any */
    bool found = false;
    *newest = (struct discards_header){ .first = 1 };
    for (uint32_t i = names->count; i > 0; i--) {
        uint32_t number = names->v[i - 1];
        enum discards_head head;
        struct discards_header header;
        counted[i - 1].used = (wanted == 0 || number <= wanted) && number >= newest->oldest;
        counted[i - 1].bytes = number == wanted ? bytes : UINT32_MAX;
        if (!counted[i - 1].used) {
            continue;
        }
        if (!look_at_head(o, number, DISCARDS_HEAD_BYTES, &head, &header)) {
            return false;
        }
        wanted = 0;
        if (head == DISCARDS_HEAD_EMPTY && i == names->count) {
            counted[i - 1].used = false; /* the power went before it was durable */
            o->found->torn_bytes += (uint32_t)o->size;
        } else if (head == DISCARDS_HEAD_WHOLE) {
            *newest = found ? *newest : header;
            found = true;
            wanted = header.before;
            bytes = header.previous;
            newest->oldest = header.before == 0 ? number : newest->oldest;
        }
    }
    return true;
}

/* Numbers that were given behind the last entry that was read were in the last segment. */
static void lose_up_to(struct discards *d, uint64_t next)
{
    struct discards_segment *last = discards_last(d);
    if (next <= d->given.next) {
        return;
    }
    uint64_t lost = next - d->given.next;
    if (last == NULL) {
        d->overflowed += lost;
    } else {
        last->entries += lost;
        last->damaged += lost;
    }
    d->given.next = next;
}

/* So many of its bytes count; UINT32_MAX: nobody says. */
static bool take_file(struct opening *o, uint32_t number, uint32_t counts)
{
    struct discards *d = o->d;
    enum discards_head head;
    struct discards_header header;
    if (!look_at_head(o, number, UINT32_MAX, &head, &header)) {
        return false;
    }
    if (head == DISCARDS_HEAD_WHOLE) {
        lose_up_to(d, header.first);
        d->given.bytes = header.bytes > d->given.bytes ? header.bytes : d->given.bytes;
        d->given.blind = header.blind > d->given.blind ? header.blind : d->given.blind;
    }
    struct discards_segment *segment = discards_add_segment(d, number);
    segment->first = d->given.next;
    segment->disk_bytes = o->n;
    segment->unread = head != DISCARDS_HEAD_WHOLE;
    d->unread_files += segment->unread;
    if (segment->unread) {
        return true;
    }
    segment->salt = header.salt;
    bool bounded = counts != UINT32_MAX;
    struct span file = span_of(o->p, (size_t)min_u64(o->n, counts));
    uint32_t sure = bounded ? (uint32_t)file.n : synced_of(file, header.salt);
    uint32_t end = take_records(d, file, sure);
    o->found->torn_bytes += bounded ? 0 : (uint32_t)(o->n - end);
    discards_last(d)->disk_bytes = end;
    return true;
}

static bool take_files(struct opening *o, const struct names *names, struct counted *counted)
{
    struct discards *d = o->d;
    struct discards_header newest;
    if (!follow_headers(o, names, counted, &newest)) {
        return false;
    }
    d->overflowed = newest.overflowed;
    d->overflowed_bytes = newest.overflowed_bytes;
    d->gone_damaged = newest.damaged;
    d->gone_regained = newest.regained;
    d->given.next = 1 + newest.overflowed + newest.damaged + newest.regained;
    for (uint32_t i = 0; i < names->count; i++) {
        d->last_number = names->v[i];
        if (!counted[i].used) {
            drop_file(o, names->v[i]);
        } else if (!take_file(o, names->v[i], counted[i].bytes)) {
            return false;
        }
    }
    return true;
}

static void begin(struct discards *d)
{
    const struct discards_segment *last = discards_last(d);
    d->given.segment = last != NULL ? last->number : 0;
    d->given.at = last != NULL ? last->disk_bytes : 0;
    d->given.segment_bytes = last != NULL ? last->bytes : 0;
    d->durable = d->given;
    d->clear_lo = 1;
    discards_check(d);
}

struct discards *discards_open(struct io *io, const char *dir, uint32_t keyspace,
                               uint64_t bytes_max, struct discards_found *found, char *message,
                               size_t cap)
{
    struct discards *d = qr_zalloc(sizeof *d);
    struct names names = { 0 };
    struct opening o = { .d = d, .found = found, .message = message, .cap = cap };
    int n = snprintf(d->dir, sizeof d->dir, "%s/%s/%u", dir, DISCARDS_DIR, (unsigned)keyspace);
    qr_assert(n > 0 && n < (int)sizeof d->dir - 16);
    *found = (struct discards_found){ 0 };
    d->io = io;
    d->keyspace = keyspace;
    d->segment_bytes_max = min_u64(bytes_max / DISCARDS_SEGMENTS, DISCARDS_SEGMENT_BYTES_MAX);
    qr_assert(d->segment_bytes_max >= DISCARDS_SEGMENT_BYTES_MIN);
    int error = list(io, d->dir, on_segment, &names);
    if (error < 0) {
        (void)snprintf(message, cap, "cannot list %s: %s", d->dir, strerror(-error));
    }
    struct counted *counted = qr_zalloc(names.count * sizeof *counted);
    bool opened = error == 0 && take_files(&o, &names, counted);
    free(counted);
    free(names.v);
    free(o.p);
    if (!opened) {
        discards_close(d);
        return NULL;
    }
    begin(d);
    for (uint32_t i = 0; i < d->segment_count; i++) {
        found->damaged += d->segments[i].damaged;
    }
    found->unread_files = d->unread_files;
    return d;
}
