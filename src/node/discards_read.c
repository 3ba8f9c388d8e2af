/* Reading a discard journal: see discards.h. A cursor is the number of an entry. A run is read at a
 * time: it is short in bytes, and says where it begins. */
#include "node/discards_internal.h"

#include "base/alloc.h"

void discards_stats(const struct discards *d, struct discards_stats *out)
{
    uint64_t undurable = d->given.next - d->durable.next;
    *out = (struct discards_stats){
        .total = d->durable.next - 1,
        .regained = d->gone_regained,
        .overflowed = d->overflowed,
        .damaged = d->gone_damaged,
        .bytes_total = d->durable.bytes,
        .overflowed_bytes = d->overflowed_bytes,
        .blind = d->durable.blind,
        .segments = d->segment_count,
        .unread_files = d->unread_files,
        .oldest = d->run_count > 0 && d->runs[0].number < d->durable.next ? d->runs[0].number : 0,
    };
    for (uint32_t i = 0; i < d->segment_count; i++) {
        const struct discards_segment *segment = &d->segments[i];
        out->kept += segment->entries - segment->damaged - segment->regained;
        out->damaged += segment->damaged;
        out->regained += segment->regained;
        out->disk_bytes += segment->disk_bytes;
    }
    out->kept -= min_u64(undurable, out->kept);
}

/* Entries [first, last] of one run were there and cannot be read any more. */
static void lose(struct discards *d, uint64_t first, uint64_t last)
{
    uint32_t i = discards_cut_run(d, discards_run_from(d, first), first);
    if (d->runs[i].number + d->runs[i].count - 1 > last) {
        (void)discards_cut_run(d, i, last + 1);
    }
    const struct discards_run *run = &d->runs[i];
    struct discards_segment *segment = discards_segment_of(d, run->segment);
    segment->damaged += run->count;
    segment->regained -= run->regained != 0 ? run->count : 0;
    d->run_count--;
    memmove(&d->runs[i], &d->runs[i + 1], (d->run_count - i) * sizeof *d->runs);
    discards_check(d);
}

struct scan {
    struct discards *d;
    uint64_t next; /* the number to go on with */
    uint32_t left; /* items */
    size_t bytes;
    void (*each)(void *context, const struct discards_item *item);
    void *context;
};

static bool is_full(const struct scan *s)
{
    return s->left == 0 || s->bytes >= DISCARDS_READ_BYTES;
}

static void give(struct scan *s, const struct discards_item *item)
{
    s->left--;
    s->bytes += item->entry.payload.n;
    s->each(s->context, item);
}

static void give_unread(struct scan *s, uint64_t upto)
{
    give(s, &(struct discards_item){ .entry.number = s->next, .unread = upto - s->next });
    s->next = upto;
}

/* Where the records of a run end: those behind it begin there, or its segment has no more. */
static uint32_t end_of_run(const struct discards *d, uint32_t i)
{
    const struct discards_run *run = &d->runs[i];
    for (uint32_t k = i + 1; k < d->run_count && d->runs[k].segment == run->segment; k++) {
        if (d->runs[k].offset > run->offset) {
            return d->runs[k].offset;
        }
    }
    return (uint32_t)discards_segment_of(d, run->segment)->disk_bytes;
}

/* Bytes [from, upto) of a segment, in *p, which the caller frees. Their count, or an error. */
static int64_t read_part(struct discards *d, uint32_t segment, uint32_t from, uint32_t upto,
                         uint8_t **p)
{
    char path[DISCARDS_PATH_MAX];
    struct io_file *file;
    discards_path(d, segment, path);
    *p = NULL;
    int error = io_file_open(d->io, path, 0, &file);
    if (error < 0) {
        return error;
    }
    *p = qr_alloc(upto - from);
    int64_t n = io_file_pread(file, *p, upto - from, from);
    io_file_close(file);
    return n;
}

/* Gives what is asked for of the run that holds s->next. What is not where it was is damaged: the
 * run is another one then, and the caller looks again. */
static void give_run(struct scan *s, uint32_t i, struct span part)
{
    struct discards *d = s->d;
    struct discards_run run = d->runs[i];
    uint64_t salt = discards_segment_of(d, run.segment)->salt;
    uint64_t last = min_u64(run.number + run.count, d->durable.next) - 1;
    uint64_t budget = DISCARDS_SEARCH_FACTOR * (uint64_t)part.n;
    uint32_t at = 0, bytes;
    struct discard_record record;
    while (discards_next_record(part, salt, run.offset, &at, &budget, &record, &bytes)) {
        const struct discard *entry = &record.entry;
        at += bytes;
        if (record.kind != DISCARD_RECORD_ENTRY || entry->number < s->next) {
            continue;
        }
        if (entry->number > s->next) {
            lose(d, s->next, min_u64(entry->number - 1, last));
            return;
        }
        give(s, &(struct discards_item){ .entry = *entry, .regained = run.regained != 0 });
        if (s->next++ == last || is_full(s)) {
            return;
        }
    }
    lose(d, s->next, last);
}

int discards_scan(struct discards *d, uint64_t cursor, uint32_t count,
                  void (*each)(void *context, const struct discards_item *item), void *context,
                  uint64_t *next)
{
    struct scan s = { .d = d, .next = cursor, .each = each, .context = context };
    uint64_t oldest = d->segment_count > 0 ? d->segments[0].first : d->durable.next;
    s.next = s.next < oldest ? oldest : s.next;
    s.left = (uint32_t)min_u64(count, DISCARDS_COUNT_MAX);
    while (s.next < d->durable.next && !is_full(&s)) {
        uint32_t i = discards_run_from(d, s.next);
        uint64_t there = i < d->run_count ? d->runs[i].number : d->durable.next;
        if (there > s.next) {
            give_unread(&s, min_u64(there, d->durable.next));
            continue;
        }
        uint8_t *p;
        const struct discards_run *run = &d->runs[i];
        int64_t n = read_part(d, run->segment, run->offset, end_of_run(d, i), &p);
        if (n >= 0) {
            give_run(&s, i, span_of(p, (size_t)n));
        }
        free(p);
        if (n < 0) {
            return (int)n;
        }
    }
    *next = s.next < d->durable.next ? s.next : 0;
    return 0;
}
