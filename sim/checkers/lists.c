/* The order of each key's writes, from the longest list that anybody has read of it. */
#include "sim/checkers/guarantees.h"

static bool broken(struct guarantees_report *r, enum guarantee g, uint32_t op, uint32_t other)
{
    *r = (struct guarantees_report){ .is_broken = true, .broken = g, .op = op, .other = other };
    return false;
}

/* --- keys and elements by number ------------------------------------------------------------ */

/* Hash table from (key, element) to an operation. */
struct slots {
    uint32_t *v;
    size_t cap;
};

static size_t hash_of(uint32_t key, uint32_t element)
{
    uint64_t h = ((uint64_t)key << 32 | element) * 0x9e3779b97f4a7c15u;
    return (size_t)(h ^ h >> 29);
}

static struct slots slots_new(size_t n)
{
    struct slots s = { .cap = 16 };
    while (s.cap < 2 * n) {
        s.cap *= 2;
    }
    s.v = qr_alloc(s.cap * sizeof *s.v);
    memset(s.v, 0xff, s.cap * sizeof *s.v);
    return s;
}

static uint32_t *slot_of(const struct slots *s, const struct list_op *ops, uint32_t key,
                         uint32_t element, bool by_element)
{
    size_t i = hash_of(key, by_element ? element : 0) & (s->cap - 1);
    while (s->v[i] != NOWHERE &&
           (ops[s->v[i]].key != key || (by_element && ops[s->v[i]].element != element))) {
        i = (i + 1) & (s->cap - 1);
    }
    return &s->v[i];
}

/* --- what was read -------------------------------------------------------------------------- */

static void find_longest(struct lists *l)
{
    struct slots longest = slots_new(l->n);
    for (uint32_t i = 0; i < l->n; i++) {
        uint32_t *at = slot_of(&longest, l->ops, l->ops[i].key, 0, false);
        bool longer = *at == NOWHERE || (l->ops[*at].is_append && !l->ops[i].is_append) ||
                      (!l->ops[i].is_append && l->ops[i].n > l->ops[*at].n);
        *at = longer ? i : *at;
    }
    size_t places = 0;
    for (uint32_t i = 0; i < l->n; i++) {
        l->longest[i] = *slot_of(&longest, l->ops, l->ops[i].key, 0, false);
        if (l->longest[i] == i) {
            l->first[i] = places;
            places += l->ops[i].n;
        }
    }
    free(longest.v);
    l->writer = qr_alloc(places * sizeof *l->writer);
}

/* Each element of the longest list was appended, once, and did not fail. */
static bool find_writers(struct lists *l, struct guarantees_report *report)
{
    struct slots writers = slots_new(l->n);
    bool good = true;
    for (uint32_t i = 0; i < l->n; i++) {
        if (l->ops[i].is_append) {
            *slot_of(&writers, l->ops, l->ops[i].key, l->ops[i].element, true) = i;
        }
    }
    for (uint32_t i = 0; i < l->n && good; i++) {
        const struct list_op *o = &l->ops[i];
        for (uint32_t k = 0; k < o->n && l->longest[i] == i && good; k++) {
            uint32_t writer = *slot_of(&writers, l->ops, o->key, o->list[k], true);
            if (writer == NOWHERE || l->ops[writer].result == RESULT_FAIL ||
                l->place[writer] != NOWHERE) {
                good = broken(report, GUARANTEE_PREFIX, i, writer == NOWHERE ? i : writer);
                break;
            }
            l->place[writer] = k;
            l->writer[l->first[i] + k] = writer;
        }
    }
    free(writers.v);
    return good;
}

/* Everything that was read is a beginning of that. */
static bool all_begin_alike(const struct lists *l, struct guarantees_report *report)
{
    for (uint32_t i = 0; i < l->n; i++) {
        const struct list_op *o = &l->ops[i], *longest = &l->ops[l->longest[i]];
        if (o->is_append) {
            continue;
        }
        bool same = o->n == 0 || memcmp(o->list, longest->list, o->n * sizeof *o->list) == 0;
        if (o->is_garbled || !same) {
            return broken(report, GUARANTEE_PREFIX, i, l->longest[i]);
        }
    }
    return true;
}

/* The read that ended first of those that show an element: it ended after that was written. */
static bool none_is_early(const struct lists *l, struct guarantees_report *report)
{
    for (uint32_t i = 0; i < l->n; i++) {
        const struct list_op *o = &l->ops[i];
        const uint32_t *writers = l->writer + l->first[l->longest[i]];
        for (uint32_t k = o->is_append ? 0 : o->n; k > 0; k--) {
            if (l->ops[writers[k - 1]].start > o->end) {
                return broken(report, GUARANTEE_PREFIX, i, writers[k - 1]);
            }
        }
    }
    return true;
}

static uint32_t digits(uint32_t element)
{
    uint32_t n = 1;
    while (element >= 10) {
        element /= 10;
        n++;
    }
    return n;
}

/* An append is told how long the list is with it, a comma behind each element. */
static bool lengths_fit(const struct lists *l, struct guarantees_report *report)
{
    for (uint32_t i = 0; i < l->n; i++) {
        const struct list_op *o = &l->ops[i];
        if (o->is_append || l->longest[i] != i) {
            continue;
        }
        uint64_t bytes = 0;
        for (uint32_t k = 0; k < o->n; k++) {
            const struct list_op *writer = &l->ops[l->writer[l->first[i] + k]];
            bytes += digits(o->list[k]) + 1;
            if (writer->told != 0 && writer->told != bytes) {
                return broken(report, GUARANTEE_LINEARIZABLE, (uint32_t)(writer - l->ops), i);
            }
        }
    }
    return true;
}

bool lists_order(struct lists *l, struct guarantees_report *report)
{
    l->place = qr_alloc(l->n * sizeof *l->place);
    memset(l->place, 0xff, l->n * sizeof *l->place);
    l->longest = qr_alloc(l->n * sizeof *l->longest);
    l->first = qr_zalloc(l->n * sizeof *l->first);
    find_longest(l);
    return find_writers(l, report) && all_begin_alike(l, report) && none_is_early(l, report) &&
           lengths_fit(l, report);
}

void lists_free(struct lists *l)
{
    free(l->place);
    free(l->longest);
    free(l->first);
    free(l->writer);
}

uint32_t lists_shown(const struct lists *l, uint32_t op)
{
    if (!l->ops[op].is_append) {
        return l->ops[op].n;
    }
    return l->place[op] == NOWHERE ? NOWHERE : l->place[op] + 1;
}
