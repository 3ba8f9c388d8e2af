/* See all_orders.h. */
#include "all_orders.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* --- one key -------------------------------------------------------------------------------- */

struct word {
    bool is_there;
    char v[128];
};

static struct word word_of(const struct model_value *v)
{
    struct word t = { .is_there = true };
    qr_assert(v->length < MODEL_SMALL);
    memcpy(t.v, v->small, v->length);
    return t;
}

/* Carries it out; false when it cannot have been answered with what the history says. */
static bool carry_out(const struct history_op *o, struct word *now)
{
    bool is_open = o->result.kind == RESULT_UNKNOWN;
    struct word told = { 0 }, before = *now;
    if (o->result.kind == RESULT_VALUE) {
        told = word_of(&o->result.value);
    }
    char number[32] = "";
    switch (o->kind) {
    case OP_GET:
        return is_open || (now->is_there == told.is_there && strcmp(now->v, told.v) == 0);
    case OP_SET:
    case OP_GETSET:
        *now = word_of(&o->argument);
        return is_open || o->kind == OP_SET ||
               (before.is_there == told.is_there && strcmp(before.v, told.v) == 0);
    case OP_SETNX:
    case OP_SETXX:
        if (before.is_there == (o->kind == OP_SETXX)) {
            *now = word_of(&o->argument);
            return is_open || o->result.kind == RESULT_OK;
        }
        return is_open || o->result.kind == RESULT_NIL;
    case OP_GETDEL:
    case OP_CLEAR:
        *now = (struct word){ 0 };
        return is_open || o->kind == OP_CLEAR ||
               (before.is_there == told.is_there && strcmp(before.v, told.v) == 0);
    case OP_DEL:
        *now = (struct word){ 0 };
        return is_open || strcmp(told.v, before.is_there ? "1" : "0") == 0;
    case OP_INCR: {
        char *end = now->v;
        long long value = strtoll(now->v, &end, 10);
        bool is_number = !now->is_there || (end != now->v && *end == 0);
        if (!is_number) {
            return is_open;
        }
        (void)snprintf(number, sizeof number, "%lld",
                       value + strtoll(word_of(&o->argument).v, NULL, 10));
        *now = (struct word){ .is_there = true };
        memcpy(now->v, number, sizeof number);
        return is_open || strcmp(told.v, number) == 0;
    }
    case OP_APPEND:
        now->is_there = true;
        strncat(now->v, word_of(&o->argument).v, sizeof now->v - strlen(now->v) - 1);
        (void)snprintf(number, sizeof number, "%zu", strlen(now->v));
        return is_open || strcmp(told.v, number) == 0;
    }
    return false;
}

static bool try_registers(const struct history_op *ops, size_t n, unsigned placed,
                          const struct word *state)
{
    bool all = true;
    for (size_t i = 0; i < n; i++) {
        bool must = ops[i].result.kind != RESULT_UNKNOWN && ops[i].result.kind != RESULT_FAIL;
        all = all && (!must || (placed >> i & 1) != 0);
    }
    for (size_t i = 0; i < n && !all; i++) {
        bool may = (placed >> i & 1) == 0 && ops[i].result.kind != RESULT_FAIL;
        for (size_t k = 0; k < n && may; k++) { /* nothing that had ended before it is left */
            bool waits = k != i && (placed >> k & 1) == 0 && ops[k].result.kind != RESULT_UNKNOWN &&
                         ops[k].result.kind != RESULT_FAIL;
            may = !waits || ops[k].end >= ops[i].start;
        }
        struct word next = *state;
        if (may && carry_out(&ops[i], &next) && try_registers(ops, n, placed | 1u << i, &next)) {
            return true;
        }
    }
    return all;
}

bool all_orders_register(const struct history_op *ops, size_t n)
{
    const struct word nothing = { 0 };
    qr_assert(n <= ALL_ORDERS_MAX);
    return try_registers(ops, n, 0, &nothing);
}

/* --- lists ---------------------------------------------------------------------------------- */

static bool is_asked(unsigned asked, enum guarantee g)
{
    return (asked >> g & 1) != 0;
}

static bool is_acked(const struct list_op *o)
{
    return o->is_append && o->result == RESULT_OK;
}

static bool is_snapshot(const struct list_op *o)
{
    return !o->is_append && o->level == READ_SNAPSHOT;
}

/* What a session demands: of its later reads at session or linearizable, and of its writes. */
static bool session_demands(const struct list_op *a, const struct list_op *b, unsigned asked)
{
    bool is_held = !b->is_append && (b->level == READ_SESSION || b->level == READ_LINEARIZABLE);
    bool has_read = !a->is_append && !is_snapshot(a);
    if (a->session != b->session || a->end >= b->start) {
        return false;
    }
    return (is_asked(asked, GUARANTEE_READ_YOUR_WRITES) && is_acked(a) && is_held) ||
           (is_asked(asked, GUARANTEE_MONOTONIC_READS) && has_read && is_held) ||
           (is_asked(asked, GUARANTEE_MONOTONIC_WRITES) && is_acked(a) && b->is_append) ||
           (is_asked(asked, GUARANTEE_WRITES_FOLLOW_READS) && has_read && b->is_append);
}

static bool snapshots_demand(const struct list_op *a, const struct list_op *b)
{
    bool placed_a = a->position != 0 && (is_acked(a) || is_snapshot(a));
    bool placed_b = b->position != 0 && (is_acked(b) || is_snapshot(b));
    return placed_a && placed_b &&
           (a->position < b->position ||
            (a->position == b->position && a->is_append && !b->is_append));
}

/* Whether a must come before b, both of one group. */
static bool demands(const struct list_op *a, const struct list_op *b, unsigned asked)
{
    bool is_bounded = !b->is_append && b->level == READ_BOUNDED && b->behind == NOT_COUNTED;
    bool is_new = b->is_append || b->level == READ_LINEARIZABLE;
    bool is_seen = is_acked(a) || !a->is_append;
    return session_demands(a, b, asked) ||
           (is_asked(asked, GUARANTEE_BOUNDED) && is_bounded && is_acked(a) &&
            a->end < b->start - b->bound) ||
           (is_asked(asked, GUARANTEE_LINEARIZABLE) && is_seen && is_new && a->end < b->start) ||
           (is_asked(asked, GUARANTEE_SNAPSHOT) && snapshots_demand(a, b)) ||
           (!a->is_append && b->is_append && a->key == b->key && a->end < b->start);
}

struct lists_try {
    const struct list_op *ops;
    size_t n;
    unsigned asked;
    uint32_t list[ALL_ORDERS_MAX]; /* the writes in the order in which they were placed */
    size_t count;
};

static bool shows_what_is_there(const struct lists_try *t, const struct list_op *read)
{
    uint32_t n = 0;
    for (size_t i = 0; i < t->count; i++) {
        const struct list_op *w = &t->ops[t->list[i]];
        if (w->key == read->key) {
            if (n >= read->n || read->list[n] != w->element) {
                return false;
            }
            n++;
        }
    }
    return n == read->n && !read->is_garbled;
}

static bool length_fits(const struct lists_try *t, const struct list_op *append)
{
    int bytes = snprintf(NULL, 0, "%u,", append->element);
    for (size_t i = 0; i < t->count; i++) {
        const struct list_op *w = &t->ops[t->list[i]];
        bytes += w->key == append->key ? snprintf(NULL, 0, "%u,", w->element) : 0;
    }
    return append->told == 0 || append->told == (uint32_t)bytes;
}

/* Of a bound of operations: so many of what was acknowledged by then are missing. */
static uint64_t missing(const struct lists_try *t, unsigned placed, const struct list_op *read)
{
    uint64_t n = 0;
    for (size_t i = 0; i < t->n; i++) {
        n += is_acked(&t->ops[i]) && (placed >> i & 1) == 0 && t->ops[i].group == read->group &&
                     t->ops[i].end < read->start
                 ? 1
                 : 0;
    }
    return n;
}

static bool may_be_next(const struct lists_try *t, unsigned placed, size_t i)
{
    const struct list_op *o = &t->ops[i];
    for (size_t k = 0; k < t->n; k++) {
        bool is_left = (placed >> k & 1) == 0;
        const struct list_op *other = &t->ops[k];
        if (k != i && is_left && demands(other, o, t->asked)) {
            return false;
        }
        for (size_t m = 0; o->is_append && is_left && is_snapshot(other) && m < t->n; m++) {
            if ((placed >> m & 1) != 0 && is_snapshot(&t->ops[m]) && other->position != 0 &&
                t->ops[m].position == other->position && is_asked(t->asked, GUARANTEE_SNAPSHOT)) {
                return false; /* the same position is the same state */
            }
        }
    }
    if (o->is_append) {
        return length_fits(t, o);
    }
    return shows_what_is_there(t, o) &&
           (!is_asked(t->asked, GUARANTEE_BOUNDED) || o->level != READ_BOUNDED ||
            o->behind == NOT_COUNTED || missing(t, placed, o) <= o->behind);
}

static bool try_lists(struct lists_try *t, unsigned placed)
{
    bool all = true;
    for (size_t i = 0; i < t->n; i++) {
        bool must = !t->ops[i].is_append || is_acked(&t->ops[i]);
        all = all && (!must || (placed >> i & 1) != 0);
    }
    for (size_t i = 0; i < t->n && !all; i++) {
        if ((placed >> i & 1) != 0 || !may_be_next(t, placed, i)) {
            continue;
        }
        bool is_write = t->ops[i].is_append;
        t->list[t->count] = (uint32_t)i;
        t->count += is_write ? 1 : 0;
        bool good = try_lists(t, placed | 1u << i);
        t->count -= is_write ? 1 : 0;
        if (good) {
            return true;
        }
    }
    return all;
}

bool all_orders_lists(const struct list_op *ops, size_t n, unsigned asked)
{
    struct list_op group[ALL_ORDERS_MAX];
    qr_assert(n <= ALL_ORDERS_MAX);
    for (size_t i = 0; i < n; i++) {
        struct lists_try t = { .ops = group, .asked = asked };
        for (size_t k = 0; k < n; k++) {
            if (ops[k].group == ops[i].group &&
                (!ops[k].is_append || ops[k].result != RESULT_FAIL)) {
                group[t.n++] = ops[k];
            }
        }
        if (!try_lists(&t, 0)) {
            return false;
        }
    }
    return true;
}
