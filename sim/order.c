#include "sim/order.h"

#include "sim/sessions.h"

#include <inttypes.h>

/* An operation, and a slot at which something is asked about it. */
struct stand {
    qr_slot slot;
    uint32_t operation;
};

static int by_slot(const void *x, const void *y)
{
    const struct stand *a = x, *b = y;
    if (a->slot != b->slot) {
        return a->slot < b->slot ? -1 : 1;
    }
    return a->operation < b->operation ? -1 : a->operation > b->operation;
}

static bool is_answered_read(const struct operation *o)
{
    enum result_kind result = o->record.result.kind;
    return o->session != 0 && o->record.kind == OP_GET && o->done &&
           (result == RESULT_VALUE || result == RESULT_NIL);
}

/* What was committed by then. */
static qr_slot committed_by(const struct world *w, qr_time then)
{
    qr_slot low = 0, high = w->committed_count; /* the last one is in [low, high) */
    while (high - low > 1) {
        qr_slot middle = low + (high - low) / 2;
        if (w->committed[middle].at <= then) {
            low = middle;
        } else {
            high = middle;
        }
    }
    return low;
}

/* O2; 0: nothing is owed. */
static qr_slot owed_to(const struct world *w, const struct operation *o)
{
    uint64_t behind = w->options.behind;
    if (o->level == READ_LINEARIZABLE) {
        return o->begun_at;
    }
    if (o->level != READ_BOUNDED) {
        return 0;
    }
    if (behind != 0) {
        return o->begun_at > behind ? o->begun_at - behind : 0;
    }
    return committed_by(w, o->record.start - sessions_bound(w));
}

static size_t collect(const struct world *w, bool owed, struct stand *v)
{
    size_t n = 0;
    for (uint32_t i = 1; i < w->operation_count; i++) {
        const struct operation *o = &w->operations[i];
        if (is_answered_read(o)) {
            v[n++] = (struct stand){ .slot = owed ? owed_to(w, o) : o->shown, .operation = i };
        }
    }
    qsort(v, n, sizeof *v, by_slot);
    return n;
}

static const struct history_op *write_at(const struct world *w, qr_slot slot)
{
    uint32_t attempt = w->committed[slot].attempt;
    return attempt == 0 ? NULL : &w->operations[w->attempts[attempt].operation].record;
}

/* O1; an operation that breaks it, or 0. */
static uint32_t find_false(struct world *w, const struct stand *v, size_t n)
{
    struct model_value *values = qr_zalloc((w->options.keys + 1) * sizeof *values);
    uint32_t found = 0;
    qr_slot at = 0;
    for (size_t i = 0; i < n && found == 0; i++) {
        const struct history_op *o = &w->operations[v[i].operation].record;
        for (; at < v[i].slot && at + 1 < w->committed_count; at++) {
            const struct history_op *write = write_at(w, at + 1);
            if (write != NULL) {
                (void)model_apply(write->kind, &write->argument, &values[write->key]);
            }
        }
        struct model_result right = model_apply(OP_GET, &o->argument, &values[o->key]);
        if (at < v[i].slot || !model_result_equal(&right, &o->result)) {
            found = v[i].operation;
        }
        w->counters->placed++;
    }
    free(values);
    return found;
}

/* O2; an operation that breaks it, or 0. */
static uint32_t find_behind(struct world *w, const struct stand *v, size_t n)
{
    qr_slot *last = qr_zalloc((w->options.keys + 1) * sizeof *last);
    uint32_t found = 0;
    qr_slot at = 0;
    for (size_t i = 0; i < n && found == 0; i++) {
        const struct operation *o = &w->operations[v[i].operation];
        for (; at < v[i].slot; at++) {
            const struct history_op *write = write_at(w, at + 1);
            if (write != NULL) {
                last[write->key] = at + 1;
            }
        }
        found = o->shown < last[o->record.key] ? v[i].operation : 0;
        w->counters->owed += last[o->record.key] > 0 ? 1 : 0;
    }
    free(last);
    return found;
}

void order_judge(struct world *w)
{
    if (w->sessions == NULL) {
        return;
    }
    struct stand *v = qr_alloc(w->operation_count * sizeof *v);
    uint32_t untrue = find_false(w, v, collect(w, false, v));
    uint32_t behind = find_behind(w, v, collect(w, true, v));
    free(v);
    if (untrue != 0) {
        world_violation(w, VIOLATION_GUARANTEE, "operation r%u does not show the state of %" PRIu64,
                        untrue, w->operations[untrue].shown);
    }
    if (behind != 0) {
        world_violation(w, VIOLATION_GUARANTEE,
                        "operation r%u shows the state of %" PRIu64 ", %" PRIu64 " was owed",
                        behind, w->operations[behind].shown, owed_to(w, &w->operations[behind]));
    }
}
