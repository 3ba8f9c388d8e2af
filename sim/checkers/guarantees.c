/* The rules, and what they say about each key by itself. */
#include "sim/checkers/guarantees.h"

static const char *const names[] = {
#define GUARANTEE(name, text) text,
#include "sim/checkers/guarantees.def"
#undef GUARANTEE
};

const char *guarantee_name(enum guarantee g)
{
    qr_assert(g < GUARANTEES);
    return names[g];
}

/* --- the rules ------------------------------------------------------------------------------ */

static bool is_acked_append(const struct list_op *o)
{
    return o->is_append && o->result == RESULT_OK;
}

static bool is_append(const struct list_op *o)
{
    return o->is_append && o->result != RESULT_FAIL;
}

/* A snapshot shows what once was: nobody's view goes on from there. */
static bool is_read(const struct list_op *o)
{
    return !o->is_append && o->level != READ_SNAPSHOT;
}

static bool is_session_read(const struct list_op *o)
{
    return !o->is_append && (o->level == READ_SESSION || o->level == READ_LINEARIZABLE);
}

static bool is_bounded_read(const struct list_op *o)
{
    return !o->is_append && o->level == READ_BOUNDED && o->behind == NOT_COUNTED;
}

static bool is_counted_read(const struct list_op *o)
{
    return !o->is_append && o->level == READ_BOUNDED && o->behind != NOT_COUNTED;
}

/* What some replica shows is committed: no state after it is without it. */
static bool is_seen(const struct list_op *o)
{
    return is_acked_append(o) || !o->is_append;
}

static bool is_linearizable(const struct list_op *o)
{
    return is_append(o) || (!o->is_append && o->level == READ_LINEARIZABLE);
}

const struct rule guarantee_rules[] = {
    { GUARANTEE_READ_YOUR_WRITES, true, is_acked_append, is_session_read, false },
    { GUARANTEE_MONOTONIC_READS, true, is_read, is_session_read, false },
    { GUARANTEE_MONOTONIC_WRITES, true, is_acked_append, is_append, false },
    { GUARANTEE_WRITES_FOLLOW_READS, true, is_read, is_append, false },
    { GUARANTEE_BOUNDED, false, is_acked_append, is_bounded_read, true },
    { GUARANTEE_LINEARIZABLE, false, is_seen, is_linearizable, false },
};
const size_t guarantee_rule_count = ARRAY_COUNT(guarantee_rules);

/* --- who meets whom ------------------------------------------------------------------------- */

struct moment {
    uint64_t scope;
    int64_t at;
    uint32_t op;
};

static int by_scope_and_time(const void *x, const void *y)
{
    const struct moment *a = x, *b = y;
    if (a->scope != b->scope) {
        return a->scope < b->scope ? -1 : 1;
    }
    if (a->at != b->at) {
        return a->at < b->at ? -1 : 1;
    }
    return a->op < b->op ? -1 : a->op > b->op;
}

static struct moment *moments(const struct lists *l, const struct rule *rule, bool by_key,
                              bool givers, size_t *count)
{
    struct moment *v = qr_alloc((l->n + 1) * sizeof *v);
    *count = 0;
    for (uint32_t i = 0; i < l->n; i++) {
        const struct list_op *o = &l->ops[i];
        if (!(givers ? rule->gives : rule->must)(o)) {
            continue;
        }
        uint64_t scope = (uint64_t)(rule->in_session ? o->session : 0) << 32;
        scope |= by_key ? o->key : o->group;
        int64_t at = givers ? o->end : o->start;
        if (!givers && rule->is_shifted && __builtin_sub_overflow(o->start, o->bound, &at)) {
            at = INT64_MIN;
        }
        v[(*count)++] = (struct moment){ .scope = scope, .at = at, .op = i };
    }
    qsort(v, *count, sizeof *v, by_scope_and_time);
    return v;
}

void guarantees_meet(const struct lists *l, const struct rule *rule, bool by_key,
                     void (*meet)(void *context, const struct rule *rule,
                                  const struct meeting *meeting),
                     void *context)
{
    size_t g_count, o_count;
    struct moment *g = moments(l, rule, by_key, true, &g_count);
    struct moment *o = moments(l, rule, by_key, false, &o_count);
    uint32_t *givers = qr_alloc((g_count + 1) * sizeof *givers);
    uint32_t *obliged = qr_alloc((o_count + 1) * sizeof *obliged);
    size_t *ended = qr_alloc((o_count + 1) * sizeof *ended);
    for (size_t lo = 0, hi = 0, from = 0; lo < o_count; lo = hi) {
        while (from < g_count && g[from].scope < o[lo].scope) {
            from++;
        }
        struct meeting m = { .givers = givers, .obliged = obliged, .ended = ended };
        size_t at = from;
        for (hi = lo; hi < o_count && o[hi].scope == o[lo].scope; hi++) {
            while (at < g_count && g[at].scope == o[lo].scope && g[at].at < o[hi].at) {
                givers[m.giver_count++] = g[at++].op;
            }
            obliged[m.obliged_count] = o[hi].op;
            ended[m.obliged_count++] = m.giver_count;
        }
        meet(context, rule, &m);
    }
    free(g);
    free(o);
    free(givers);
    free(obliged);
    free(ended);
}

/* --- each key by itself --------------------------------------------------------------------- */

struct judgement {
    const struct lists *l;
    struct guarantees_report *report;
};

static void breaks(struct guarantees_report *r, enum guarantee g, size_t op, size_t other)
{
    if (!r->is_broken) {
        r->is_broken = true;
        r->broken = g;
        r->op = op;
        r->other = other;
    }
}

static void judge_key(void *context, const struct rule *rule, const struct meeting *m)
{
    struct judgement *j = context;
    uint32_t most = 0, witness = 0;
    size_t at = 0;
    for (size_t i = 0; i < m->obliged_count; i++) {
        for (; at < m->ended[i]; at++) {
            uint32_t shown = lists_shown(j->l, m->givers[at]);
            if (shown > most) {
                most = shown;
                witness = m->givers[at];
            }
        }
        uint32_t op = m->obliged[i], shown = lists_shown(j->l, op);
        bool is_append = j->l->ops[op].is_append;
        if (is_append ? shown <= most && shown != NOWHERE : shown < most) {
            breaks(j->report, rule->name, op, witness);
        }
        j->report->judged[rule->name] += m->ended[i] > 0 ? 1 : 0;
    }
}

/* --- a bound of operations ------------------------------------------------------------------ */

/* What was acknowledged before the read began and is not in it. */
static bool is_missing(const struct lists *l, const struct list_op *read, uint32_t write)
{
    const struct list_op *w = &l->ops[write];
    return is_acked_append(w) && w->key == read->key && w->end < read->start &&
           lists_shown(l, write) > read->n;
}

/* Operations are those of the group: with a write that is missing all are that began when it was
 * there, whatever their keys. */
static void judge_counted(const struct lists *l, uint32_t read, struct guarantees_report *report)
{
    const struct list_op *o = &l->ops[read];
    uint32_t first = NOWHERE;
    uint64_t missing = 0;
    for (uint32_t i = 0; i < l->n; i++) {
        if (is_missing(l, o, i) && (first == NOWHERE || l->ops[i].end < l->ops[first].end)) {
            first = i;
        }
    }
    for (uint32_t i = 0; i < l->n && first != NOWHERE; i++) {
        const struct list_op *w = &l->ops[i];
        bool behind = is_acked_append(w) && w->group == o->group && w->end < o->start &&
                      w->start > l->ops[first].end;
        missing += behind || is_missing(l, o, i) ? 1 : 0;
    }
    if (missing > o->behind) {
        breaks(report, GUARANTEE_BOUNDED, read, first);
        return;
    }
    report->judged[GUARANTEE_BOUNDED]++;
}

/* --- snapshots ------------------------------------------------------------------------------ */

static bool is_placed(const struct list_op *o)
{
    return o->position != 0 && (o->is_append ? o->result == RESULT_OK : o->level == READ_SNAPSHOT);
}

/* Of one position, a write comes before the reads that show it. */
static int by_position(const void *x, const void *y)
{
    const struct list_op *a = *(const struct list_op *const *)x;
    const struct list_op *b = *(const struct list_op *const *)y;
    if (a->key != b->key) {
        return a->key < b->key ? -1 : 1;
    }
    if (a->position != b->position) {
        return a->position < b->position ? -1 : 1;
    }
    if (a->is_append != b->is_append) {
        return a->is_append ? -1 : 1;
    }
    return a < b ? -1 : a > b;
}

/* Two reads at one position show the same, and none more than one at a later position; a write
 * stands before what is read at its position or later, and behind what is read before it. */
static void judge_snapshots(const struct lists *l, struct guarantees_report *report)
{
    const struct list_op **v = qr_alloc((l->n + 1) * sizeof *v);
    size_t n = 0;
    for (uint32_t i = 0; i < l->n; i++) {
        if (is_placed(&l->ops[i])) {
            v[n++] = &l->ops[i];
        }
    }
    qsort(v, n, sizeof *v, by_position);
    for (size_t i = 0; i < n; i++) {
        report->judged[GUARANTEE_SNAPSHOT] += v[i]->is_append ? 0 : 1;
        if (i == 0 || v[i]->key != v[i - 1]->key) {
            continue;
        }
        size_t a = (size_t)(v[i - 1] - l->ops), b = (size_t)(v[i] - l->ops);
        uint32_t before = lists_shown(l, (uint32_t)a), shown = lists_shown(l, (uint32_t)b);
        bool same = v[i]->position == v[i - 1]->position && !v[i]->is_append &&
                    !v[i - 1]->is_append && before != shown;
        bool back = v[i]->is_append ? shown <= before && shown != NOWHERE : shown < before;
        if (same || back) {
            breaks(report, GUARANTEE_SNAPSHOT, b, a);
        }
    }
    free(v);
}

/* --- all together --------------------------------------------------------------------------- */

static void judge_keys(const struct lists *l, struct guarantees_report *report)
{
    struct judgement j = { .l = l, .report = report };
    for (size_t i = 0; i < guarantee_rule_count && !report->is_broken; i++) {
        guarantees_meet(l, &guarantee_rules[i], true, judge_key, &j);
    }
    for (uint32_t i = 0; i < l->n && !report->is_broken; i++) {
        report->judged[GUARANTEE_PREFIX] += l->ops[i].is_append ? 0 : 1;
        if (is_counted_read(&l->ops[i])) {
            judge_counted(l, i, report);
        }
    }
    if (!report->is_broken) {
        judge_snapshots(l, report);
    }
}

struct guarantees_report guarantees_check(const struct list_op *ops, size_t n)
{
    struct guarantees_report report = { 0 };
    struct lists l = { .ops = ops, .n = n };
    qr_assert(n < NOWHERE);
    if (lists_order(&l, &report)) {
        judge_keys(&l, &report);
        if (!report.is_broken) {
            (void)causes_explain(&l, &report);
        }
    }
    lists_free(&l);
    return report;
}
