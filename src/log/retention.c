/* How far the log would have to be trimmed to keep within a bound: asked now and then, and never
 * more exact than a run of entries. */
#include "log/log_internal.h"

#include "base/alloc.h"

#include <string.h>

/* Marks of one group: log and time at most AGE_MARKS times within the longest age asked for. */
#define AGE_MARKS 64u

struct age_marks {
    qr_time at[AGE_MARKS]; /* ascending; every entry up to `slot` had been appended by then */
    qr_slot slot[AGE_MARKS];
    uint32_t count;
};

qr_slot log_slot_over_bytes(const struct log *log, uint32_t group, uint64_t bytes)
{
    const struct group *g = groups_find(&log->groups, group);
    uint64_t position = log_position(log);
    if (g == NULL || position <= bytes || group_first_offset(g) >= position - bytes) {
        return g == NULL ? 0 : g->base_slot;
    }
    uint32_t lo = 0;
    uint32_t hi = g->run_count; /* the first run that may stay is in [lo, hi] */
    while (lo < hi) {
        uint32_t middle = lo + (hi - lo) / 2;
        if (group_run(g, middle)->offset < position - bytes) {
            lo = middle + 1;
        } else {
            hi = middle;
        }
    }
    return lo == g->run_count ? g->last_slot : max_u64(group_run(g, lo)->slot - 1, g->base_slot);
}

qr_slot log_slot_over_age(struct log *log, uint32_t group, qr_time age)
{
    struct group *g = groups_find(&log->groups, group);
    if (g == NULL) {
        return 0;
    }
    if (g->ages == NULL) {
        g->ages = qr_zalloc(sizeof(*g->ages));
    }
    struct age_marks *m = g->ages;
    qr_time now = io_now(log->io);
    uint32_t old = 0; /* marks that are old enough; only the last of them is of use */
    for (uint32_t i = 0; i < m->count; i++) {
        m->slot[i] = min_u64(m->slot[i], g->last_slot); /* a truncation */
        old += m->at[i] <= now - age ? 1 : 0;
    }
    qr_slot upto = old > 0 ? m->slot[old - 1] : g->base_slot;
    uint32_t gone = old > 1 ? old - 1 : 0;
    m->count -= gone;
    memmove(m->at, m->at + gone, m->count * sizeof(m->at[0]));
    memmove(m->slot, m->slot + gone, m->count * sizeof(m->slot[0]));
    if (m->count == 0 || (m->count < AGE_MARKS && now - m->at[m->count - 1] >= age / 32)) {
        m->at[m->count] = now;
        m->slot[m->count++] = g->last_slot;
    }
    return max_u64(upto, g->base_slot);
}
