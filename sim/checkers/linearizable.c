/* See linearizable.h.
 *
 * The search of one key keeps the calls and returns of the operations with a known outcome in one
 * list, in order of time. An operation may come next when its call stands before the first return
 * that is left. Taking it lifts its two events out of the list; a dead end puts them back.
 *
 * Five cuts keep the search short on what clients really do:
 *   - A get that fits the state, or a del that found nothing, is taken at once and for good: taking
 *     it later could not help anybody.
 *   - On a key that only knows get, set and del a value must not be overwritten while a read of it
 *     is still to come and no other set could bring it back.
 *   - On such a key a set whose value nobody will read, and which may come next, goes unseen just
 *     before whatever set is taken, unless a del still to come began before the set ended: then the
 *     set might be what that del found. (Any other del comes after the set, and finds the key
 *     present with or without it.) See first_del for dels of unknown outcome.
 *   - A list that only grows must not outgrow what somebody still has to see.
 *   - On a key with get, set and del a set can wait until somebody is about to see it, or must go
 *     first because no other event comes before its return: nothing else can tell when it happened.
 *     So can a del of unknown outcome, until somebody misses the key.
 *
 * Operations of unknown outcome stand outside of the list: they have no return and so never force
 * anything. They are tried last at each point, since most of them explain nothing. The search is
 * over when every known operation has its place; the unknown ones left over never took effect, or
 * did so after the end. */
#include "sim/checkers/search.h"

#include "base/rng.h"

#include <string.h>

/* A number per operation; the set of placed operations is named by the sum of their numbers in two
 * independent series, 128 bits in all: two different sets do not meet. */
static uint64_t number_of(uint32_t op, uint64_t series)
{
    struct rng r = rng_from(((uint64_t)op << 8) ^ series);
    (void)rng_next(&r);
    return rng_next(&r);
}

static void table_grow(struct search *s);

/* Remembers the configuration (placed set, state); false when it had been there before. */
static bool remember(struct search *s, uint64_t a, uint64_t b, const struct model_value *state)
{
    uint64_t tag = state->present ? state->hash + state->length * 0x9e3779b97f4a7c15u : 1;
    struct seen key = { .a = a ^ (tag * 0xff51afd7ed558ccdu), .b = (b + tag) | 1 };
    if (s->table_n * 2 >= s->table_cap) {
        table_grow(s);
    }
    size_t i = key.a & (s->table_cap - 1);
    while (s->table[i].b != 0) {
        if (s->table[i].a == key.a && s->table[i].b == key.b) {
            return false;
        }
        i = (i + 1) & (s->table_cap - 1);
    }
    s->table[i] = key;
    s->table_n++;
    return true;
}

static void table_grow(struct search *s)
{
    struct seen *old = s->table;
    size_t old_cap = s->table_cap;
    s->table_cap = old_cap == 0 ? 256 : old_cap * 2;
    s->table = qr_zalloc(s->table_cap * sizeof *s->table);
    for (size_t k = 0; k < old_cap; k++) {
        if (old[k].b != 0) {
            size_t i = old[k].a & (s->table_cap - 1);
            while (s->table[i].b != 0) {
                i = (i + 1) & (s->table_cap - 1);
            }
            s->table[i] = old[k];
        }
    }
    free(old);
}

static void unlink_event(struct search *s, uint32_t e)
{
    struct event_node *n = &s->events[e];
    s->events[n->previous].next = n->next;
    if (n->next != NO_EVENT) {
        s->events[n->next].previous = n->previous;
    }
}

static void relink_event(struct search *s, uint32_t e)
{
    struct event_node *n = &s->events[e];
    s->events[n->previous].next = e;
    if (n->next != NO_EVENT) {
        s->events[n->next].previous = e;
    }
}

static void count_out(struct search *s, uint32_t op, bool out)
{
    uint32_t family = s->family[op];
    if (family == NO_EVENT) {
        return;
    }
    uint32_t *left = s->ops[op]->kind == OP_GET ? &s->reads_left[family] : &s->sets_left[family];
    *left += out ? UINT32_MAX : 1u; /* one less or one more */
}

static void place(struct search *s, uint32_t op, struct taken frame)
{
    s->stack[s->depth++] = frame;
    s->chosen_a += number_of(op, 0x5bd1);
    s->chosen_b += number_of(op, 0x94d0);
    count_out(s, op, true);
    s->used[op] = true;
    if (!frame.unknown) {
        unlink_event(s, s->call_of[op]);
        unlink_event(s, s->return_of[op]);
    }
}

static void place_free(struct search *s, uint32_t op)
{
    place(s, op,
          (struct taken){ .op = op, .free = true, .state = s->state, .current = s->current });
}

/* Whether it never changes anything with that result, if it fits at all: a get, a getdel that found
 * nothing, a setnx or setxx that did not set; a del may. */
static bool changes_nothing(const struct history_op *o)
{
    bool looks_first = o->kind == OP_SETNX || o->kind == OP_SETXX || o->kind == OP_GETDEL;
    return o->kind == OP_GET || o->kind == OP_DEL ||
           (looks_first && o->result.kind == RESULT_NIL);
}

/* Such an operation, known, that may come next, fits and changes nothing. NO_EVENT when there is
 * none. */
static uint32_t find_free(struct search *s)
{
    for (uint32_t e = s->events[0].next; e != NO_EVENT && !s->events[e].is_return;
         e = s->events[e].next) {
        const struct history_op *o = s->ops[s->events[e].op];
        if (!changes_nothing(o)) {
            continue; /* a set of the value that is there might be wanted later */
        }
        struct model_value state = s->state;
        struct model_result result = model_apply(o->kind, &o->argument, &state);
        s->steps++;
        if (model_value_equal(&state, &s->state) && model_result_equal(&result, &o->result)) {
            return s->events[e].op;
        }
    }
    return NO_EVENT;
}

static void take_free(struct search *s)
{
    for (uint32_t op = find_free(s); op != NO_EVENT; op = find_free(s)) {
        place_free(s, op);
    }
}

static int64_t first_start(const struct search *s, const uint32_t *ops, uint32_t n, bool unknown)
{
    int64_t first = INT64_MAX;
    for (uint32_t i = 0; i < n; i++) {
        if (!s->used[ops[i]] && (ops[i] >= s->known) == unknown && s->ops[ops[i]]->start < first) {
            first = s->ops[ops[i]]->start;
        }
    }
    return first;
}

/* From when on an unseen set might matter: a del that is still to come might find it. A del of
 * unknown outcome is of use only if somebody is still to miss the key. */
static int64_t first_del(const struct search *s)
{
    int64_t known = first_start(s, s->dels, s->del_count, false);
    int64_t unknown = first_start(s, s->dels, s->del_count, true);
    int64_t missed = first_start(s, s->nils, s->nil_count, false);
    unknown = unknown > missed ? unknown : missed;
    return known < unknown ? known : unknown;
}

/* The other sets that may come next and whose values nobody has to see. */
static uint32_t find_unseen(struct search *s, uint32_t than)
{
    uint32_t n = 0;
    int64_t del = first_del(s);
    for (uint32_t e = s->events[0].next; e != NO_EVENT && !s->events[e].is_return;
         e = s->events[e].next) {
        uint32_t op = s->events[e].op;
        if (op != than && s->ops[op]->kind == OP_SET && s->reads_left[s->family[op]] == 0 &&
            s->ops[op]->end < del) {
            s->unseen[n++] = op;
        }
    }
    return n;
}

/* Whether somebody still has to see the current value, which the new state would end for ever. */
static bool destroys(const struct search *s, const struct model_value *state)
{
    uint32_t family = s->current;
    return s->registers && family != NO_EVENT && s->reads_left[family] > 0 &&
           s->sets_left[family] == 0 && !model_value_equal(state, &s->state);
}

/* Whether a del of unknown outcome may come now: it can wait until somebody misses the key. */
static bool is_missed(const struct search *s)
{
    for (uint32_t e = s->events[0].next; e != NO_EVENT && !s->events[e].is_return;
         e = s->events[e].next) {
        const struct history_op *o = s->ops[s->events[e].op];
        if (o->result.kind == RESULT_NIL ||
            (o->kind == OP_DEL && o->result.value.length == 1 && o->result.value.small[0] == '0')) {
            return true;
        }
    }
    return false;
}

static uint32_t length_before(const struct history_op *o)
{
    if (o->kind == OP_GET) {
        return o->result.kind == RESULT_VALUE ? o->result.value.length : 0;
    }
    uint32_t length = 0;
    for (uint32_t i = 0; i < o->result.value.length && i < 9; i++) {
        length = length * 10 + (uint32_t)(o->result.value.small[i] - '0');
    }
    return length - o->argument.length;
}

/* Whether a list that only ever grows may grow to that length: somebody may still have to see it
 * shorter. */
static bool outgrows(const struct search *s, uint32_t length)
{
    for (uint32_t e = s->events[0].next; s->list && e != NO_EVENT; e = s->events[e].next) {
        if (!s->events[e].is_return && length_before(s->ops[s->events[e].op]) < length) {
            return true;
        }
    }
    return false;
}

/* Whether a set may come now: see the fifth cut. A set that nobody will see can wait only if it can
 * go unseen before another one (the third cut). */
static bool is_timely(const struct search *s, uint32_t op, bool unknown)
{
    if (s->registers && unknown && s->ops[op]->kind == OP_DEL) {
        return is_missed(s);
    }
    if (!s->registers || s->ops[op]->kind != OP_SET) {
        return true;
    }
    bool unseen = s->reads_left[s->family[op]] == 0;
    if (!unseen && s->family_sets[s->family[op]] > 1) {
        return true; /* another set of this value may be the one that is seen */
    }
    if (unseen && !unknown && s->ops[op]->end >= first_del(s)) {
        return true;
    }
    uint32_t e = s->events[0].next;
    for (; e != NO_EVENT && !s->events[e].is_return; e = s->events[e].next) {
        const struct history_op *o = s->ops[s->events[e].op];
        bool sees = o->kind == OP_GET && s->family[s->events[e].op] == s->family[op];
        if (sees || o->kind == OP_DEL) {
            return true;
        }
    }
    return !unknown && e == s->return_of[op];
}

/* Places op next if its result fits and the configuration is new. */
static bool try_take(struct search *s, uint32_t op, bool unknown, int64_t before)
{
    const struct history_op *o = s->ops[op];
    struct model_value state = s->state;
    struct model_result result = model_apply(o->kind, &o->argument, &state);
    s->steps++;
    if (unknown ? model_value_equal(&state, &s->state) : !model_result_equal(&result, &o->result)) {
        return false; /* an unknown operation that changes nothing explains nothing */
    }
    if (!is_timely(s, op, unknown) || (unknown && outgrows(s, state.length))) {
        return false;
    }
    uint64_t a = s->chosen_a + number_of(op, 0x5bd1), b = s->chosen_b + number_of(op, 0x94d0);
    if (destroys(s, &state) || !remember(s, a, b, &state)) {
        return false;
    }
    uint32_t unseen = o->kind == OP_SET && s->registers ? find_unseen(s, op) : 0;
    place(s, op,
          (struct taken){ .op = op,
                          .unknown = unknown,
                          .before = before,
                          .resume_unknown = op + 1,
                          .state = s->state,
                          .current = s->current });
    s->state = state;
    s->current = o->kind == OP_SET ? s->family[op] : NO_EVENT;
    for (uint32_t i = 0; i < unseen; i++) {
        place_free(s, s->unseen[i]);
    }
    take_free(s);
    return true;
}

static struct taken take_back(struct search *s)
{
    struct taken t = s->stack[--s->depth];
    s->state = t.state;
    s->current = t.current;
    count_out(s, t.op, false);
    s->chosen_a -= number_of(t.op, 0x5bd1);
    s->chosen_b -= number_of(t.op, 0x94d0);
    s->used[t.op] = false;
    if (!t.unknown) {
        relink_event(s, s->return_of[t.op]);
        relink_event(s, s->call_of[t.op]);
    }
    return t;
}

/* A set of unknown outcome that nobody will see serves only to let a del find something. */
static bool is_unseen_set(const struct search *s, uint32_t op)
{
    return s->registers && s->ops[op]->kind == OP_SET && s->reads_left[s->family[op]] == 0;
}

/* The next unknown operation from `from` on that could take effect before `before`. Of operations
 * that do the same the earliest is as good as any. */
static bool take_unknown(struct search *s, uint32_t from, int64_t before)
{
    bool unseen_tried = s->state.present;
    for (uint32_t u = s->known; u < s->known + s->unknown && s->ops[u]->start <= before; u++) {
        if (s->used[u]) {
            continue;
        }
        bool unseen = is_unseen_set(s, u);
        bool skip = (unseen && unseen_tried) || (s->twin[u] != NO_EVENT && !s->used[s->twin[u]]);
        unseen_tried = unseen_tried || unseen;
        if (u >= from && !skip && try_take(s, u, true, before)) {
            return true;
        }
    }
    return false;
}

static enum verdict search_run(struct search *s)
{
    take_free(s);
    uint32_t at = s->events[0].next;
    while (s->events[0].next != NO_EVENT) {
        if (s->steps > s->steps_max) {
            return VERDICT_UNDECIDED;
        }
        struct event_node *e = &s->events[at];
        if (!e->is_return) {
            at = try_take(s, e->op, false, 0) ? s->events[0].next : e->next;
            continue;
        }
        if (s->depth >= s->deepest) {
            s->deepest = s->depth;
            s->stuck = e->op;
        }
        /* No known operation can come before this return: an unknown one may explain it. */
        bool found = take_unknown(s, s->known, e->time);
        while (!found) {
            if (s->depth == 0) {
                return VERDICT_VIOLATED;
            }
            struct taken t = take_back(s);
            if (t.free) {
                continue;
            }
            if (!t.unknown) {
                at = s->events[s->call_of[t.op]].next;
                break;
            }
            s->steps++;
            found = take_unknown(s, t.resume_unknown, t.before);
        }
        if (found) {
            at = s->events[0].next;
        }
    }
    return VERDICT_LINEARIZABLE;
}

/* Searches one key. `ops` holds known operations first, then unknown ones, each part by start. */
static enum verdict check_key(const struct history_op **ops, uint32_t known, uint32_t unknown,
                              uint64_t steps_max, uint32_t *stuck, uint64_t *steps)
{
    uint32_t n = known + unknown;
    struct search s = { .ops = ops, .known = known, .unknown = unknown, .steps_max = steps_max };
    s.events = qr_alloc((2 * (size_t)known + 1) * sizeof *s.events);
    s.call_of = qr_alloc(n * sizeof *s.call_of);
    s.return_of = qr_alloc(n * sizeof *s.return_of);
    s.twin = qr_alloc(n * sizeof *s.twin);
    s.used = qr_zalloc(n * sizeof *s.used);
    s.stack = qr_alloc(n * sizeof *s.stack);
    s.family = qr_alloc(n * sizeof *s.family);
    s.reads_left = qr_zalloc(n * sizeof *s.reads_left);
    s.sets_left = qr_zalloc(n * sizeof *s.sets_left);
    s.family_sets = qr_zalloc(n * sizeof *s.family_sets);
    s.unseen = qr_alloc(n * sizeof *s.unseen);
    s.dels = qr_alloc(n * sizeof *s.dels);
    s.nils = qr_alloc(n * sizeof *s.nils);
    s.current = NO_EVENT;
    search_prepare(&s);
    enum verdict verdict = search_run(&s);
    *stuck = s.stuck;
    *steps += s.steps;
    free(s.events);
    free(s.call_of);
    free(s.return_of);
    free(s.twin);
    free(s.used);
    free(s.stack);
    free(s.family);
    free(s.reads_left);
    free(s.sets_left);
    free(s.family_sets);
    free(s.unseen);
    free(s.dels);
    free(s.nils);
    free(s.table);
    return verdict;
}

static bool is_unknown(const struct history_op *o)
{
    return o->result.kind == RESULT_UNKNOWN;
}

static int by_key(const void *x, const void *y)
{
    const struct history_op *a = *(const struct history_op *const *)x;
    const struct history_op *b = *(const struct history_op *const *)y;
    if (a->key != b->key) {
        return a->key < b->key ? -1 : 1;
    }
    if (is_unknown(a) != is_unknown(b)) {
        return is_unknown(a) ? 1 : -1;
    }
    if (a->start != b->start) {
        return a->start < b->start ? -1 : 1;
    }
    return a < b ? -1 : a > b;
}

/* Failed operations did not happen, and a read without an answer constrains nothing. */
static bool tells_something(const struct history_op *o)
{
    return o->result.kind != RESULT_FAIL && !(is_unknown(o) && o->kind == OP_GET);
}

struct linearizable_report linearizable_check(const struct history_op *ops, size_t n,
                                              uint64_t steps_max)
{
    struct linearizable_report report = { .verdict = VERDICT_LINEARIZABLE };
    const struct history_op **sorted = qr_alloc(n * sizeof *sorted);
    size_t count = 0;
    for (size_t i = 0; i < n; i++) {
        if (tells_something(&ops[i])) {
            sorted[count++] = &ops[i];
        }
    }
    qsort(sorted, count, sizeof *sorted, by_key);
    for (size_t lo = 0, hi; lo < count && report.verdict == VERDICT_LINEARIZABLE; lo = hi) {
        uint32_t known = 0;
        for (hi = lo; hi < count && sorted[hi]->key == sorted[lo]->key; hi++) {
            known += is_unknown(sorted[hi]) ? 0 : 1;
        }
        uint32_t stuck = 0;
        report.verdict = check_key(sorted + lo, known, (uint32_t)(hi - lo) - known, steps_max,
                                   &stuck, &report.steps);
        report.key = sorted[lo]->key;
        report.stuck_at = (size_t)(sorted[lo + stuck] - ops);
    }
    free(sorted);
    return report;
}
