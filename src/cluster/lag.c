#include "cluster/lag.h"

#include "base/panic.h"

#include <string.h>

static void drop(struct lag_marks *marks, uint32_t at, uint32_t count)
{
    qr_assert(at + count <= marks->n);
    memmove(marks->mark + at, marks->mark + at + count,
            (marks->n - at - count) * sizeof *marks->mark);
    marks->n -= count;
}

/* A3: the first and the last one stay. */
static void make_room(struct lag_marks *marks, qr_time now)
{
    uint32_t best = 1;
    double least = 0;
    for (uint32_t i = 1; i + 1 < marks->n; i++) {
        const struct lag_mark *m = &marks->mark[i];
        double apart = (double)(m[1].at - m[-1].at) / (double)(now - m->at + LAG_GRAIN);
        if (i == 1 || apart < least) {
            least = apart;
            best = i;
        }
    }
    drop(marks, best, 1);
}

void lag_note(struct lag_marks *marks, const struct lag_mark *mark)
{
    const struct lag_mark *newest = marks->n > 0 ? &marks->mark[marks->n - 1] : NULL;
    if (newest != NULL && (mark->last <= newest->last || mark->at < newest->at + LAG_GRAIN)) {
        return; /* the next one is soon */
    }
    if (marks->n == LAG_MARKS) {
        make_room(marks, mark->at);
    }
    marks->mark[marks->n++] = *mark;
}

/* How many of them end at `slot` or before. */
static uint32_t within(const struct lag_marks *marks, qr_slot slot)
{
    uint32_t n = 0;
    while (n < marks->n && marks->mark[n].last <= slot) {
        n++;
    }
    return n;
}

bool lag_forget(struct lag_marks *marks, qr_slot slot)
{
    uint32_t n = within(marks, slot);
    if (n > 1) {
        drop(marks, 0, n - 1); /* the last of them says where the next one begins */
    }
    return marks->n == 0 || (n > 0 && marks->n == 1);
}

/* The group's bytes up to that slot. */
static uint64_t bytes_at(const struct lag_marks *marks, qr_slot slot)
{
    uint32_t n = within(marks, slot);
    if (n == 0 || n == marks->n) {
        return n == 0 ? marks->mark[0].bytes : marks->mark[n - 1].bytes;
    }
    const struct lag_mark *a = &marks->mark[n - 1], *b = &marks->mark[n];
    double part = (double)(slot - a->last) / (double)(b->last - a->last);
    return a->bytes + (uint64_t)(part * (double)(b->bytes - a->bytes));
}

struct lag lag_of(const struct lag_marks *marks, qr_slot match, qr_time seen)
{
    struct lag lag = { 0 };
    uint32_t there = 0;
    while (there < marks->n && marks->mark[there].at <= seen) {
        there++;
    }
    if (there == 0 || marks->mark[there - 1].last <= match) {
        return lag;
    }
    qr_slot last = marks->mark[there - 1].last;
    lag.ops = last - match;
    lag.bytes = bytes_at(marks, last) - bytes_at(marks, match);
    lag.age = seen - marks->mark[within(marks, match)].at;
    lag.age = lag.age > 0 ? lag.age : 1; /* it lacks something */
    return lag;
}
