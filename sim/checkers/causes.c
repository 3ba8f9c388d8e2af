/* Is there one order of all writes of a group that explains everybody?
 *
 * A graph: its nodes are writes, reads and moments, an edge says what came first. A read stands for
 * the state that it was answered from: behind what it shows, before what it does not show of the
 * same key. Reads at one position stand for the same state. The rules of guarantees.c and the
 * positions put nodes into an order. There is an order of the writes, and in it a place for every
 * read, exactly if the graph has no cycle. */
#include "sim/checkers/guarantees.h"

struct edge {
    uint32_t from, to;
    uint32_t op; /* whose answer says so; NOWHERE: the lists do */
};

struct graph {
    const struct lists *l;
    struct edge *edges;
    size_t edge_count, edge_cap;
    size_t nodes; /* [0, n): operations; [n, 2n): behind all that was read of a key; then moments */
    uint32_t *node; /* of each operation; snapshots of one position share that position's moment */
};

static void add(struct graph *g, size_t from, size_t to, uint32_t op)
{
    if (g->edge_count == g->edge_cap) {
        g->edge_cap = g->edge_cap == 0 ? 1024 : g->edge_cap * 2;
        g->edges = qr_realloc(g->edges, g->edge_cap * sizeof *g->edges);
    }
    qr_assert(from < NOWHERE && to < NOWHERE);
    g->edges[g->edge_count++] =
        (struct edge){ .from = (uint32_t)from, .to = (uint32_t)to, .op = op };
}

static size_t behind_all(const struct graph *g, uint32_t op)
{
    return g->l->n + g->l->longest[op];
}

static const uint32_t *writers_of(const struct lists *l, uint32_t op)
{
    return l->writer + l->first[l->longest[op]];
}

static bool is_snapshot(const struct list_op *o)
{
    return !o->is_append && o->level == READ_SNAPSHOT && o->position != 0;
}

/* Behind the latest write that the read shows, before the first that it does not show. */
static void place_read(struct graph *g, uint32_t read, uint32_t op)
{
    const struct list_op *o = &g->l->ops[read];
    const uint32_t *writers = writers_of(g->l, read);
    if (o->n > 0) {
        add(g, writers[o->n - 1], g->node[read], op);
    }
    bool shows_all = o->n == g->l->ops[g->l->longest[read]].n;
    add(g, g->node[read], shows_all ? behind_all(g, read) : writers[o->n], op);
}

static void add_lists(struct graph *g)
{
    const struct lists *l = g->l;
    for (uint32_t i = 0; i < l->n; i++) {
        const struct list_op *o = &l->ops[i];
        if (o->is_append && l->place[i] == NOWHERE) { /* it is, or will be, or will never be */
            add(g, behind_all(g, i), i, NOWHERE);
        }
        if (!o->is_append && !is_snapshot(o)) {
            place_read(g, i, NOWHERE);
        }
        if (l->longest[i] != i || o->n == 0) {
            continue;
        }
        const uint32_t *writers = writers_of(l, i);
        for (uint32_t k = 1; k < o->n; k++) {
            add(g, writers[k - 1], writers[k], NOWHERE);
        }
        add(g, writers[o->n - 1], behind_all(g, i), NOWHERE);
    }
}

/* A chain of moments, one for each giver in the order in which they ended. */
static void add_meeting(void *context, const struct rule *rule, const struct meeting *m)
{
    struct graph *g = context;
    size_t first = g->nodes;
    (void)rule;
    g->nodes += m->giver_count;
    for (size_t i = 0; i < m->giver_count; i++) {
        add(g, g->node[m->givers[i]], first + i, m->givers[i]);
        if (i > 0) {
            add(g, first + i - 1, first + i, NOWHERE);
        }
    }
    for (size_t i = 0; i < m->obliged_count; i++) {
        if (m->ended[i] > 0) {
            add(g, first + m->ended[i] - 1, g->node[m->obliged[i]], m->obliged[i]);
        }
    }
}

/* --- snapshots ------------------------------------------------------------------------------ */

struct placed {
    uint32_t group, op;
    uint64_t position;
    size_t moment;
};

static int by_position(const void *x, const void *y)
{
    const struct placed *a = x, *b = y;
    if (a->group != b->group) {
        return a->group < b->group ? -1 : 1;
    }
    if (a->position != b->position) {
        return a->position < b->position ? -1 : 1;
    }
    return a->op < b->op ? -1 : a->op > b->op;
}

/* What has a position, by it. Each position is a moment, of which snapshots stand. */
static size_t find_placed(struct graph *g, struct placed *v)
{
    const struct lists *l = g->l;
    size_t n = 0;
    for (uint32_t i = 0; i < l->n; i++) {
        const struct list_op *o = &l->ops[i];
        g->node[i] = i;
        if (is_snapshot(o) || (o->is_append && o->result == RESULT_OK && o->position != 0)) {
            v[n++] = (struct placed){ .group = o->group, .op = i, .position = o->position };
        }
    }
    qsort(v, n, sizeof *v, by_position);
    for (size_t i = 0; i < n; i++) {
        bool is_new = i == 0 || v[i].group != v[i - 1].group || v[i].position != v[i - 1].position;
        g->nodes += is_new ? 1 : 0;
        v[i].moment = g->nodes - 1;
        g->node[v[i].op] = l->ops[v[i].op].is_append ? v[i].op : (uint32_t)v[i].moment;
    }
    return n;
}

/* Moments follow one another, and a write stands between that of its position and the one before:
 * what is read at a position shows all writes up to it, of every key. */
static void add_placed(struct graph *g, const struct placed *v, size_t n)
{
    for (size_t i = 0, first = 0; i < n; i++) {
        first = i > 0 && v[i].group == v[i - 1].group ? first : v[i].moment;
        bool is_first = v[i].moment == first;
        if (g->l->ops[v[i].op].is_append) {
            add(g, v[i].op, v[i].moment, v[i].op);
            if (!is_first) {
                add(g, v[i].moment - 1, v[i].op, v[i].op);
            }
        } else {
            place_read(g, v[i].op, v[i].op);
        }
        if (!is_first) {
            add(g, v[i].moment - 1, v[i].moment, NOWHERE);
        }
    }
}

/* --- cycles --------------------------------------------------------------------------------- */

/* How many edges come in from nodes that are on a cycle, or behind one; all 0: there is none. */
static bool has_cycle(const struct graph *g, size_t edge_count, uint32_t *in)
{
    size_t *out = qr_zalloc((g->nodes + 2) * sizeof *out);
    uint32_t *to = qr_alloc((edge_count + 1) * sizeof *to);
    uint32_t *ready = qr_alloc((g->nodes + 1) * sizeof *ready);
    size_t ready_count = 0, done = 0;
    memset(in, 0, g->nodes * sizeof *in);
    for (size_t e = 0; e < edge_count; e++) {
        in[g->edges[e].to]++;
        out[g->edges[e].from + 2]++;
    }
    for (size_t i = 2; i < g->nodes + 2; i++) {
        out[i] += out[i - 1];
    }
    for (size_t e = 0; e < edge_count; e++) {
        to[out[g->edges[e].from + 1]++] = g->edges[e].to;
    }
    for (uint32_t i = 0; i < g->nodes; i++) {
        if (in[i] == 0) {
            ready[ready_count++] = i;
        }
    }
    for (; done < ready_count; done++) {
        for (size_t k = out[ready[done]]; k < out[ready[done] + 1]; k++) {
            if (--in[to[k]] == 0) {
                ready[ready_count++] = to[k];
            }
        }
    }
    free(out);
    free(to);
    free(ready);
    return done < g->nodes;
}

/* Two operations of a cycle, of which the one comes behind a moment and the other before it. */
static void tell_cycle(const struct graph *g, size_t edge_count, const uint32_t *in,
                       struct guarantees_report *report)
{
    uint32_t *by = qr_alloc((g->nodes + 1) * sizeof *by);
    uint32_t at = 0, op = NOWHERE;
    for (size_t e = 0; e < edge_count; e++) {
        if (in[g->edges[e].from] > 0 && in[g->edges[e].to] > 0) {
            at = g->edges[e].to;
            by[at] = (uint32_t)e;
        }
    }
    /* After so many steps back it is on a cycle for certain, and after as many again all round. */
    for (size_t i = 0; i < 3 * g->nodes; i++) {
        const struct edge *e = &g->edges[by[at]];
        bool is_behind = e->to < 2 * g->l->n;
        if (i >= g->nodes && e->op != NOWHERE && is_behind) {
            op = e->op;
        } else if (e->op != NOWHERE && op != NOWHERE && op != e->op) {
            report->op = op;
            report->other = e->op;
            op = NOWHERE;
        }
        at = e->from;
    }
    free(by);
}

bool causes_explain(const struct lists *l, struct guarantees_report *report)
{
    struct graph g = { .l = l, .nodes = 2 * l->n };
    size_t upto[GUARANTEES] = { 0 };
    struct placed *placed = qr_alloc((l->n + 1) * sizeof *placed);
    g.node = qr_alloc((l->n + 1) * sizeof *g.node);
    size_t placed_count = find_placed(&g, placed);
    add_lists(&g);
    for (size_t i = 0; i < guarantee_rule_count; i++) {
        guarantees_meet(l, &guarantee_rules[i], false, add_meeting, &g);
        upto[i] = g.edge_count;
    }
    add_placed(&g, placed, placed_count);
    free(placed);
    uint32_t *in = qr_alloc((g.nodes + 1) * sizeof *in);
    if (has_cycle(&g, g.edge_count, in)) {
        report->is_broken = true;
        report->broken = GUARANTEE_SNAPSHOT;
        size_t edges = g.edge_count;
        for (size_t i = guarantee_rule_count; i > 0 && has_cycle(&g, upto[i - 1], in); i--) {
            report->broken = guarantee_rules[i - 1].name;
            edges = upto[i - 1];
        }
        (void)has_cycle(&g, edges, in);
        tell_cycle(&g, edges, in, report);
    }
    free(in);
    free(g.edges);
    free(g.node);
    return !report->is_broken;
}
