/* What a discard journal holds, in memory: segments and runs (discards_internal.h). */
#include "node/discards_internal.h"

#include "base/alloc.h"

struct discards_segment *discards_add_segment(struct discards *d, uint32_t number)
{
    qr_assert(d->segment_count == 0 || number > discards_last(d)->number);
    if (d->segment_count == d->segment_cap) {
        d->segment_cap = d->segment_cap == 0 ? DISCARDS_SEGMENTS + 1 : 2 * d->segment_cap;
        d->segments = qr_realloc(d->segments, d->segment_cap * sizeof *d->segments);
    }
    struct discards_segment *segment = &d->segments[d->segment_count++];
    *segment = (struct discards_segment){ .number = number };
    return segment;
}

struct discards_segment *discards_segment_of(const struct discards *d, uint32_t number)
{
    uint32_t i = d->segment_count;
    while (i > 0 && d->segments[i - 1].number != number) {
        i--;
    }
    qr_assert(i > 0);
    return &d->segments[i - 1];
}

static struct discards_run *insert_run(struct discards *d, uint32_t i)
{
    if (d->run_count == d->run_cap) {
        d->run_cap = d->run_cap == 0 ? 16 : 2 * d->run_cap;
        d->runs = qr_realloc(d->runs, d->run_cap * sizeof *d->runs);
    }
    memmove(&d->runs[i + 1], &d->runs[i], (d->run_count - i) * sizeof *d->runs);
    d->run_count++;
    return &d->runs[i];
}

uint32_t discards_run_from(const struct discards *d, uint64_t number)
{
    uint32_t lo = 0, hi = d->run_count;
    while (lo < hi) {
        uint32_t middle = lo + (hi - lo) / 2;
        const struct discards_run *run = &d->runs[middle];
        if (run->number + run->count - 1 < number) {
            lo = middle + 1;
        } else {
            hi = middle;
        }
    }
    return lo;
}

static bool goes_on(const struct discards_run *run, const struct discard *entry, uint32_t segment,
                    uint32_t offset)
{
    return run->segment == segment && run->given_up == 0 &&
           offset - run->offset < DISCARDS_RUN_BYTES && run->regained == 0 &&
           run->group == entry->group && run->term == entry->term &&
           run->number + run->count == entry->number && run->slots == run->count &&
           entry->slots == 1 && entry->reason != DISCARD_GIVEN_UP &&
           (run->slot == 0) == (entry->slot == 0) &&
           (entry->slot == 0 || run->slot + run->slots == entry->slot);
}

void discards_note_entry(struct discards *d, const struct discard *entry, uint32_t offset)
{
    struct discards_segment *segment = discards_last(d);
    struct discards_run *last = d->run_count > 0 ? &d->runs[d->run_count - 1] : NULL;
    qr_assert(entry->number == segment->first + segment->entries);
    segment->entries++;
    segment->bytes += entry->payload.n;
    if (last != NULL && goes_on(last, entry, segment->number, offset)) {
        last->count++;
        last->slots++;
        return;
    }
    *insert_run(d, d->run_count) = (struct discards_run){
        .number = entry->number,
        .count = 1,
        .slot = entry->reason == DISCARD_GIVEN_UP ? 0 : entry->slot,
        .given_up = entry->reason == DISCARD_GIVEN_UP ? entry->lost_to : 0,
        .slots = entry->slots,
        .term = entry->term,
        .group = entry->group,
        .segment = segment->number,
        .offset = offset,
    };
    d->runs_here++;
}

uint32_t discards_cut_run(struct discards *d, uint32_t i, uint64_t number)
{
    struct discards_run *first = &d->runs[i];
    uint64_t before = number - first->number;
    if (before == 0) {
        return i;
    }
    qr_assert(before < first->count && first->slots == first->count);
    struct discards_run *second = insert_run(d, i + 1);
    first = &d->runs[i];
    *second = *first;
    second->number += before;
    second->count -= before;
    second->slots -= before;
    second->slot += first->slot == 0 ? 0 : before;
    first->count = first->slots = before;
    return i + 1;
}

void discards_note_regained(struct discards *d, uint64_t first, uint64_t last, uint64_t mark)
{
    uint32_t i = discards_run_from(d, first);
    while (i < d->run_count && d->runs[i].number <= last) {
        if (d->runs[i].regained != 0) {
            i++;
            continue;
        }
        i = d->runs[i].number < first ? discards_cut_run(d, i, first) : i;
        if (d->runs[i].number + d->runs[i].count - 1 > last) {
            (void)discards_cut_run(d, i, last + 1);
        }
        d->runs[i].regained = mark;
        discards_segment_of(d, d->runs[i].segment)->regained += d->runs[i].count;
        i++;
    }
}

void discards_forget_segments(struct discards *d, uint32_t n)
{
    qr_assert(n <= d->segment_count);
    for (uint32_t i = 0; i < n; i++) {
        d->unread_files -= d->segments[i].unread ? 1 : 0;
    }
    uint32_t runs = 0;
    uint32_t last = n > 0 ? d->segments[n - 1].number : 0;
    while (runs < d->run_count && d->runs[runs].segment <= last) {
        runs++;
    }
    d->segment_count -= n;
    d->run_count -= runs;
    memmove(d->segments, d->segments + n, d->segment_count * sizeof *d->segments);
    memmove(d->runs, d->runs + runs, d->run_count * sizeof *d->runs);
}

void discards_undo(struct discards *d)
{
    uint64_t next = d->durable.next;
    for (uint32_t i = 0; i < d->run_count; i++) {
        struct discards_run *run = &d->runs[i];
        if (run->regained > d->durable.marks) {
            run->regained = 0;
            discards_segment_of(d, run->segment)->regained -= run->count;
        }
    }
    while (d->run_count > 0 && d->runs[d->run_count - 1].number >= next) {
        d->run_count--;
    }
    if (d->run_count > 0) {
        struct discards_run *last = &d->runs[d->run_count - 1];
        if (last->number + last->count > next) {
            last->slots = last->count = next - last->number;
        }
    }
    if (d->segment_count > 0 && discards_last(d)->number != d->durable.segment) {
        d->segment_count--;
    } else if (d->segment_count > 0) {
        struct discards_segment *segment = discards_last(d);
        segment->entries = next - segment->first;
        segment->bytes = d->durable.segment_bytes;
    }
    d->given = d->durable;
}

void discards_check(const struct discards *d)
{
    uint64_t next = 1 + d->overflowed + d->gone_damaged + d->gone_regained;
    uint32_t run = 0;
    for (uint32_t i = 0; i < d->segment_count; i++) {
        const struct discards_segment *segment = &d->segments[i];
        uint64_t readable = 0, regained = 0;
        qr_assert(segment->first == next);
        next += segment->entries;
        for (; run < d->run_count && d->runs[run].segment == segment->number; run++) {
            const struct discards_run *r = &d->runs[run];
            qr_assert(r->number >= segment->first && r->number + r->count <= next);
            qr_assert(run == 0 || r->number >= r[-1].number + r[-1].count);
            readable += r->count;
            regained += r->regained != 0 ? r->count : 0;
        }
        qr_assert(readable + segment->damaged == segment->entries);
        qr_assert(regained == segment->regained);
    }
    qr_assert(run == d->run_count && next == d->given.next);
}

/* --- By slot -------------------------------------------------------------------------------- */

static bool holds(const struct discards_run *run, uint32_t group, qr_slot slot, qr_term term)
{
    return run->group == group && run->term == term && run->regained == 0 && run->slot != 0 &&
           slot >= run->slot && slot - run->slot < run->slots;
}

bool discards_knows(struct discards *d, uint32_t group, qr_slot slot, qr_term term)
{
    bool clear = group == d->clear_group && term == d->clear_term;
    if (clear && slot >= d->clear_lo && slot <= d->clear_hi) {
        return false;
    }
    d->clear_group = group;
    d->clear_term = term;
    d->clear_lo = slot;
    d->clear_hi = UINT64_MAX;
    for (uint32_t i = d->run_count; i > 0; i--) {
        const struct discards_run *run = &d->runs[i - 1];
        if (holds(run, group, slot, term)) {
            d->clear_lo = 1;
            d->clear_hi = 0;
            return true;
        }
        if (run->group == group && run->term == term && run->regained == 0 && run->slot > slot) {
            d->clear_hi = min_u64(d->clear_hi, run->slot - 1);
        }
    }
    return false;
}

/* A blind entry is regained as a whole or not at all. */
bool discards_next_held(const struct discards *d, uint32_t group, qr_slot lo, qr_slot hi,
                        qr_term term, uint64_t *first, uint64_t *last)
{
    for (uint32_t i = 0; i < d->run_count; i++) {
        const struct discards_run *run = &d->runs[i];
        if (run->group != group || run->term != term || run->regained != 0 || run->slot == 0 ||
            run->slot > hi || run->slot + run->slots <= lo) {
            continue;
        }
        if (run->slots != run->count) {
            if (run->slot < lo || run->slot + run->slots - 1 > hi) {
                continue;
            }
            *first = *last = run->number;
            return true;
        }
        qr_slot from = run->slot > lo ? run->slot : lo;
        qr_slot upto = min_u64(run->slot + run->slots - 1, hi);
        *first = run->number + (from - run->slot);
        *last = run->number + (upto - run->slot);
        return true;
    }
    return false;
}

bool discards_has(const struct discards *d, uint32_t group, qr_slot lo, qr_slot hi, qr_term term)
{
    uint64_t first, last;
    return discards_next_held(d, group, lo, hi, term, &first, &last);
}

qr_slot discards_last_slot(const struct discards *d, uint32_t group)
{
    qr_slot last = 0;
    for (uint32_t i = 0; i < d->run_count; i++) {
        const struct discards_run *run = &d->runs[i];
        if (run->group == group && run->regained == 0 && run->slot != 0) {
            last = max_u64(last, run->slot + run->slots - 1);
        }
    }
    return last;
}

uint64_t discards_next_given(const struct discards *d, uint32_t group, qr_term since)
{
    for (uint32_t i = 0; i < d->run_count; i++) {
        const struct discards_run *run = &d->runs[i];
        if (run->group == group && run->regained == 0 && run->given_up > since) {
            return run->number;
        }
    }
    return 0;
}

qr_term discards_gave_up(const struct discards *d, uint32_t group)
{
    qr_term last = 0;
    for (uint32_t i = 0; i < d->run_count; i++) {
        const struct discards_run *run = &d->runs[i];
        bool held = run->group == group && run->regained == 0;
        last = held ? max_u64(last, run->given_up) : last;
    }
    return last;
}
