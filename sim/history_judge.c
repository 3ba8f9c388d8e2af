/* The verdict on a history: lists by what their reads show, other keys by a search. */
#include "sim/history.h"

#include <inttypes.h>

struct key_facts {
    bool is_register; /* something that no list has was done to it */
    bool is_list;     /* appended to, or read below linearizable, or of a group that is stated */
    bool is_weak;     /* read below linearizable */
    bool is_stated;   /* its group is */
    uint32_t group;
    size_t line; /* of the first weak read */
};

/* Elements are appended once; what is appended again makes its key none that can be judged. */
static int by_element(const void *x, const void *y)
{
    const struct list_op *a = *(const struct list_op *const *)x;
    const struct list_op *b = *(const struct list_op *const *)y;
    if (a->key != b->key) {
        return a->key < b->key ? -1 : 1;
    }
    return a->element < b->element ? -1 : a->element > b->element;
}

static void find_repeated(const struct history *h, struct key_facts *keys)
{
    const struct list_op **v = qr_alloc((h->n + 1) * sizeof *v);
    size_t n = 0;
    for (size_t i = 0; i < h->n; i++) {
        if (h->more[i].op.is_append) {
            v[n++] = &h->more[i].op;
        }
    }
    qsort(v, n, sizeof *v, by_element);
    for (size_t i = 1; i < n; i++) {
        if (by_element(&v[i - 1], &v[i]) == 0) {
            keys[v[i]->key].is_register = true;
        }
    }
    free(v);
}

/* 0, or the line that states another group of its key than one before it. */
static size_t find_facts(const struct history *h, struct key_facts *keys)
{
    bool *seen = qr_zalloc((h->keys.n + 1) * sizeof *seen);
    size_t bad = 0;
    for (size_t i = 0; i < h->n && bad == 0; i++) {
        const struct history_more *m = &h->more[i];
        struct key_facts *k = &keys[h->ops[i].key];
        bool stated = (m->options & OPTION_GROUP) != 0, first = !seen[h->ops[i].key];
        seen[h->ops[i].key] = true;
        if (!first && (stated != k->is_stated || m->op.group != k->group)) {
            bad = m->line;
        }
        k->is_stated = stated;
        k->group = m->op.group;
        k->is_register = k->is_register || !m->fits;
        k->is_list = k->is_list || m->op.is_append || stated;
        if (!m->op.is_append && m->op.level != READ_LINEARIZABLE && !k->is_weak) {
            k->is_weak = k->is_list = true;
            k->line = m->line;
        }
    }
    free(seen);
    find_repeated(h, keys);
    return bad;
}

static bool is_list(const struct key_facts *k)
{
    return k->is_list && !k->is_register;
}

/* --- lists ---------------------------------------------------------------------------------- */

/* A read without an answer says nothing. */
static bool tells_something(const struct list_op *o)
{
    return o->is_append || o->result == RESULT_OK;
}

static void tell_lists(const struct guarantees_report *report, size_t n, size_t keys, FILE *out)
{
    (void)fprintf(out, "lists: %zu operations on %zu keys", n, keys);
    for (unsigned g = 0; g < GUARANTEES; g++) {
        if (report->judged[g] > 0) {
            (void)fprintf(out, "%s %s (%" PRIu64 ")", g == 0 ? ":" : ",",
                          guarantee_name((enum guarantee)g), report->judged[g]);
        }
    }
    (void)fputc('\n', out);
}

static size_t list_count(const struct history *h, const struct key_facts *keys)
{
    size_t count = 0;
    for (size_t k = 0; k < h->keys.n; k++) {
        count += is_list(&keys[k]) ? 1 : 0;
    }
    return count;
}

static int judge_lists(const struct history *h, const struct key_facts *keys, FILE *out)
{
    struct list_op *ops = qr_alloc((h->n + 1) * sizeof *ops);
    size_t *from = qr_alloc((h->n + 1) * sizeof *from);
    size_t n = 0, count = list_count(h, keys);
    for (size_t i = 0; i < h->n; i++) {
        const struct key_facts *k = &keys[h->ops[i].key];
        if (is_list(k) && tells_something(&h->more[i].op)) {
            from[n] = i;
            ops[n] = h->more[i].op;
            ops[n++].group = k->is_stated ? (uint32_t)h->keys.n + k->group : h->ops[i].key;
        }
    }
    struct guarantees_report report = guarantees_check(ops, n);
    if (report.is_broken) {
        size_t op = from[report.op], other = from[report.other];
        (void)fprintf(out, "NOT %s: key %s; line %zu contradicts line %zu\n",
                      guarantee_name(report.broken), h->keys.v[h->ops[op].key], h->more[op].line,
                      h->more[other].line);
    } else if (count > 0) {
        tell_lists(&report, n, count, out);
    }
    free(ops);
    free(from);
    return report.is_broken ? 1 : 0;
}

/* --- others --------------------------------------------------------------------------------- */

static int search_others(const struct history *h, const struct key_facts *keys, uint64_t steps_max,
                         FILE *out)
{
    struct history_op *ops = qr_alloc((h->n + 1) * sizeof *ops);
    size_t *from = qr_alloc((h->n + 1) * sizeof *from);
    size_t n = 0, lists = list_count(h, keys);
    for (size_t i = 0; i < h->n; i++) {
        if (!is_list(&keys[h->ops[i].key])) {
            from[n] = i;
            ops[n++] = h->ops[i];
        }
    }
    struct linearizable_report report = linearizable_check(ops, n, steps_max);
    if (report.verdict != VERDICT_LINEARIZABLE) {
        (void)fprintf(out, "%s: key %s; no order explains line %zu\n",
                      report.verdict == VERDICT_VIOLATED ? "NOT linearizable"
                                                         : "UNDECIDED, search limit",
                      h->keys.v[report.key], h->more[from[report.stuck_at]].line);
    } else if (n > 0 || lists == 0) {
        (void)fprintf(out, "linearizable: %zu operations on %zu keys, %" PRIu64 " steps\n", n,
                      h->keys.n - lists, report.steps);
    }
    free(ops);
    free(from);
    return report.verdict == VERDICT_LINEARIZABLE ? 0 : 1;
}

int history_judge(const struct history *h, const char *name, uint64_t steps_max, FILE *out)
{
    struct key_facts *keys = qr_zalloc((h->keys.n + 1) * sizeof *keys);
    size_t bad = find_facts(h, keys);
    int code = bad != 0 ? 2 : 0;
    if (bad != 0) {
        (void)fprintf(stderr, "%s:%zu: another line states another group of the key\n", name, bad);
    }
    for (size_t k = 0; k < h->keys.n && code == 0; k++) {
        if (keys[k].is_weak && !is_list(&keys[k])) {
            (void)fprintf(stderr, "%s:%zu: a level below linearizable, and the key is no list\n",
                          name, keys[k].line);
            code = 2;
        }
    }
    code = code == 0 ? judge_lists(h, keys, out) : code;
    code = code == 0 ? search_others(h, keys, steps_max, out) : code;
    free(keys);
    return code;
}
