/* Sessions that hop between nodes, and the nodes' part in what they ask for.
 *
 * A client carries its position to whichever node it asks, as a token does. The node decides by
 * cluster/freshness.h, as a real one does: it answers from its own state, asks for an index, or
 * sends the client elsewhere. What came of it is judged at the end by what was read alone. */
#include "sim/sessions.h"

#include "cluster/pin.h"
#include "sim/pasts.h"

#include <inttypes.h>

#define LEVEL_SALT 0x6c6576656cu
#define PATIENCE_MIN 400000u
#define PATIENCE_MORE 1600000u
#define BUSY_WAIT 20000u /* until a session that is busy is looked at again */

/* --- drawing -------------------------------------------------------------------------------- */

bool sessions_make_sense(const struct options *o)
{
    return o->level == 0 || (o->level <= READ_LEVELS && o->sessions >= 1 &&
                             o->sessions <= SESSIONS_MAX && o->keys >= 2);
}

void sessions_draw_options(uint64_t seed, enum read_level level, struct options *o)
{
    struct rng r = rng_from(seed ^ LEVEL_SALT);
    o->level = 1 + (uint64_t)level;
    o->sessions = 2 + rng_below(&r, 4);
    o->keys = 2 + rng_below(&r, 3);
    o->bound = 10000 + rng_below(&r, rng_chance(&r, 1, 2) ? 100000 : 1000000);
    o->behind = rng_chance(&r, 1, 3) ? 1 + rng_below(&r, 8) : 0;
    o->follower_reads = rng_chance(&r, 3, 4);
    if (level == READ_SNAPSHOT) {
        pasts_draw_options(&r, o);
    }
}

/* Reads at other levels than the world's move a session too. */
static int64_t draw_read(struct rng *r)
{
    static const enum read_level others[] = { READ_LOCAL, READ_PREFIX, READ_LEADER,
                                              READ_LINEARIZABLE, READ_SESSION };
    return rng_chance(r, 4, 5) ? 0 : -1 - (int64_t)others[rng_below(r, ARRAY_COUNT(others))];
}

void sessions_draw_plan(uint64_t seed, const struct options *o, struct plan *plan)
{
    struct rng r = rng_from(seed * 0xd1342543de82ef95u + LEVEL_SALT);
    for (int64_t number = 1; number <= (int64_t)o->operations; number++) {
        qr_time at = (qr_time)rng_below(&r, o->duration);
        if (o->quiet_after != 0) { /* busy for an eighth of the time, then idle */
            at -= at % QR_SECOND - at % QR_SECOND / 8;
        }
        plan_add(plan, (struct action){ .at = at,
                                        .kind = ACTION_SESSION,
                                        .a = (int64_t)rng_below(&r, o->sessions),
                                        .b = 1 + (int64_t)rng_below(&r, o->keys - 1),
                                        .c = rng_chance(&r, 2, 5) ? number : draw_read(&r) });
    }
    if (o->level == 1 + READ_SNAPSHOT) {
        pasts_draw_plan(&r, o, plan);
    }
}

/* --- clients -------------------------------------------------------------------------------- */

void sessions_begin(struct world *w)
{
    if (w->options.level == 0) {
        return;
    }
    w->sessions = qr_zalloc(sizeof *w->sessions);
}

void sessions_end(struct world *w)
{
    if (w->sessions != NULL) {
        free(w->sessions->written);
        free(w->sessions);
    }
}

static struct model_value element_of(int64_t number)
{
    char text[24];
    int n = snprintf(text, sizeof text, "%" PRId64 ",", number);
    return model_value_of(span_of(text, (size_t)n));
}

/* Often the same again: several reads of one state. Some are of a state that is still to come, or
 * that was long ago. */
static qr_slot draw_position(struct world *w, const struct session *s)
{
    const struct session *other = &w->sessions->v[rng_below(&w->rng, w->options.sessions)];
    uint64_t dice = rng_below(&w->rng, 8);
    if (dice < 2 && s->asked != 0) {
        return s->asked;
    }
    if (dice < 3 && other->asked != 0) {
        return other->asked;
    }
    if (dice < 5) {
        return max_u64(other->seen, 1);
    }
    if (dice < 6) {
        return s->seen + 1 + rng_below(&w->rng, 5);
    }
    return max_u64(s->seen, 1) - rng_below(&w->rng, max_u64(s->seen, 1));
}

bool sessions_act(struct world *w, const struct action *x)
{
    if (w->sessions == NULL) {
        return false;
    }
    if (x->kind == ACTION_HISTORY) {
        return pasts_change(w, &w->nodes[x->a], x);
    }
    struct session *s = &w->sessions->v[x->a];
    if (s->busy) {
        world_push(w, (qr_time)(1 + rng_below(&w->rng, BUSY_WAIT)),
                   (struct item){ .kind = ITEM_ACTION, .node = NODE_NONE, .a = w->current.a });
        return false;
    }
    bool append = x->c > 0;
    struct model_value element = append ? element_of(x->c) : (struct model_value){ 0 };
    qr_time patience = (qr_time)(PATIENCE_MIN + rng_below(&w->rng, PATIENCE_MORE));
    uint32_t number = workload_operation(w, (uint32_t)x->b, append ? OP_APPEND : OP_GET, element,
                                         NODE_NONE, patience);
    struct operation *o = &w->operations[number];
    o->session = 1 + (uint32_t)x->a;
    o->level = x->c < 0 ? (enum read_level)(-1 - x->c) : (enum read_level)(w->options.level - 1);
    s->busy = true;
    if (!append && o->level == READ_SNAPSHOT) {
        s->asked = o->position = draw_position(w, s);
    }
    workload_retry(w, number);
    return true;
}

/* Writes need the leader; a read stays where its session was, or hops. */
node_index sessions_place(struct world *w, uint32_t operation, node_index other)
{
    const struct operation *o = &w->operations[operation];
    if (o->session == 0 || o->record.kind != OP_GET) {
        return other;
    }
    struct session *s = &w->sessions->v[o->session - 1];
    if (s->pin != 0 && o->attempt == 0) {
        uint32_t up = 0;
        for (node_index i = 0; i < w->node_count; i++) {
            up |= w->nodes[i].up ? 1u << i : 0;
        }
        s->at = up != 0 ? pin_pick(s->pin, (uint16_t)up) : other;
    } else if (o->attempt != 0 || world_chance(w, 500)) {
        s->at = world_chance(w, 700) ? (node_index)rng_below(&w->rng, w->node_count) : other;
    }
    return s->at;
}

void sessions_hear(struct world *w, uint32_t attempt)
{
    const struct attempt *a = &w->attempts[attempt];
    const struct operation *o = &w->operations[a->operation];
    if (o->session != 0 && o->position == 0) { /* what once was moves nobody */
        struct session *s = &w->sessions->v[o->session - 1];
        s->seen = max_u64(s->seen, a->shown);
    }
}

void sessions_finish(struct world *w, struct operation *o)
{
    if (o->session != 0) {
        w->sessions->v[o->session - 1].busy = false;
    }
}

/* --- nodes ---------------------------------------------------------------------------------- */

static struct freshness freshness_of(struct world *w, const struct sim_node *n)
{
    struct outlook o;
    node_outlook(w, n, &o);
    bool leads = o.role == ROLE_LEADER && o.can_serve;
    return (struct freshness){
        .applied = n->applied,
        .fresh_at = n->fresh_at,
        .leads = leads,
        .trusted = leads || (!o.forgetful && (o.membership.voters & node_bit(n->index)) != 0),
        .current = n->current,
    };
}

static struct read_wish wish_of(struct world *w, const struct sim_node *n, uint32_t attempt)
{
    const struct operation *o = &w->operations[w->attempts[attempt].operation];
    struct read_wish wish = { .level = o->level, .asked = node_clock(w, n) };
    if (o->level == READ_SESSION) {
        wish.least = w->sessions->v[o->session - 1].seen;
    }
    if (o->level == READ_BOUNDED) {
        wish.bound = (qr_time)w->options.bound;
        wish.behind = w->options.behind;
        wish.by_count = w->options.behind != 0;
    }
    return wish;
}

void sessions_answer(struct world *w, struct sim_node *n, uint32_t attempt)
{
    const struct operation *o = &w->operations[w->attempts[attempt].operation];
    struct model_value value = n->values[o->record.key];
    enum qr_status status = STATUS_OK;
    struct outlook outlook;
    node_outlook(w, n, &outlook);
    if (o->position != 0) {
        status = pasts_read(w, n, o, &value);
    }
    if (o->session != 0 && status == STATUS_OK && outlook.role != ROLE_LEADER) {
        bool counted = o->level == READ_BOUNDED && w->options.behind != 0;
        w->counters->followers[o->level]++;
        w->counters->followers_behind += counted ? 1 : 0;
    }
    workload_answer(w, attempt, status, model_apply(OP_GET, &o->record.argument, &value));
}

void sessions_take(struct world *w, struct sim_node *n)
{
    size_t kept = 0;
    for (size_t i = 0; i < n->waiting_count && w->sessions != NULL; i++) {
        uint32_t attempt = n->waiting[i];
        const struct operation *o = &w->operations[w->attempts[attempt].operation];
        enum serve serve = SERVE_ASK;
        if (o->position != 0) {
            serve = pasts_serve(w, n, o);
        } else if (o->session != 0 && o->record.kind == OP_GET) {
            struct freshness fresh = freshness_of(w, n);
            struct read_wish wish = wish_of(w, n, attempt);
            serve = freshness_serves(&fresh, &wish);
            w->counters->served[serve]++;
        }
        if (serve == SERVE_NOW) {
            sessions_answer(w, n, attempt);
        } else if (serve == SERVE_WAIT) {
            pasts_wait(n, attempt, o->position);
        } else if (serve == SERVE_ELSEWHERE) {
            workload_answer(w, attempt, STATUS_NOT_LEADER, (struct model_result){ 0 });
        } else {
            n->waiting[kept++] = attempt;
        }
    }
    n->waiting_count = w->sessions != NULL ? kept : n->waiting_count;
}

void sessions_ask(struct world *w, struct sim_node *n, struct pending *p)
{
    const struct operation *o = &w->operations[w->attempts[p->attempt].operation];
    if (o->session != 0 && p->is_read) {
        p->has_wish = true;
        p->wish = wish_of(w, n, p->attempt);
    }
}

/* Of a confirmed read. Its index also says how fresh this node is (F3), whoever asked for it. */
bool sessions_serve(struct world *w, struct sim_node *n, struct pending *p)
{
    if (p->wish.level == READ_SNAPSHOT) {
        return pasts_came(w, n, p);
    }
    bool expired = p->before != 0 && node_clock(w, n) >= p->before;
    p->wish.confirmed = true;
    p->wish.index = p->slot;
    struct freshness fresh = freshness_of(w, n);
    if (p->slot <= n->applied && !expired) {
        freshness_proven(&fresh, p->wish.asked);
        n->fresh_at = fresh.fresh_at;
    }
    enum serve serve = freshness_serves(&fresh, &p->wish);
    if (serve == SERVE_LOST) {
        world_violation(w, VIOLATION_GUARANTEE,
                        "node %d has index %" PRIu64 ", a session has seen %" PRIu64, n->index,
                        p->slot, p->wish.least);
    }
    return serve == SERVE_NOW;
}

void sessions_after_step(struct world *w, struct sim_node *n)
{
    pasts_idle(n);
    if (w->sessions == NULL || n->current) {
        return;
    }
    struct outlook o;
    node_outlook(w, n, &o);
    n->current = o.informed && n->applied >= o.commit;
}

void sessions_wrote(struct world *w, const struct model_value *before,
                    const struct model_value *after, uint32_t operation)
{
    struct sessions *s = w->sessions;
    if (s == NULL) {
        return;
    }
    if (s->written_count == s->written_cap) {
        s->written_cap = s->written_cap == 0 ? 1024 : s->written_cap * 2;
        s->written = qr_realloc(s->written, s->written_cap * sizeof *s->written);
    }
    s->written[s->written_count++] = (struct written){
        .hash = after->hash,
        .before = before->present ? before->hash : 0,
        .element = (uint32_t)strtoul(w->operations[operation].record.argument.small, NULL, 10),
    };
}

/* --- the verdict ---------------------------------------------------------------------------- */

bool sessions_is_list(const struct world *w, const struct operation *o)
{
    return w->sessions != NULL && o->record.key > 0;
}

static int by_hash(const void *x, const void *y)
{
    const struct written *a = x, *b = y;
    return a->hash < b->hash ? -1 : a->hash > b->hash;
}

/* The elements of a value, into the end of `room`, which ends at `end`; their number. */
static uint32_t unfold(const struct sessions *s, const struct model_value *value, uint32_t *end,
                       uint32_t max)
{
    uint32_t n = 0;
    uint64_t hash = value->hash;
    while (hash != 0 && n < max) {
        struct written wanted = { .hash = hash };
        const struct written *found =
            s->written_count == 0
                ? NULL
                : bsearch(&wanted, s->written, s->written_count, sizeof wanted, by_hash);
        if (found == NULL) {
            return NOWHERE;
        }
        n++;
        end[-(int64_t)n] = found->element;
        hash = found->before;
    }
    return hash == 0 ? n : NOWHERE;
}

static struct list_op list_op_of(const struct world *w, uint32_t number, uint32_t *end,
                                 uint32_t max)
{
    const struct operation *o = &w->operations[number];
    const struct model_result *result = &o->record.result;
    struct list_op op = { .session = o->session != 0 ? o->session : SESSIONS_MAX + number,
                          .key = o->record.key,
                          .is_append = o->record.kind == OP_APPEND,
                          .result = result->kind == RESULT_VALUE ? RESULT_OK : result->kind,
                          .level = o->level,
                          .bound = sessions_bound(w),
                          .behind = w->options.behind != 0 ? w->options.behind : NOT_COUNTED,
                          .position = o->position,
                          .start = o->record.start,
                          .end = o->record.end };
    if (op.is_append) {
        op.element = (uint32_t)strtoul(o->record.argument.small, NULL, 10);
        op.position = o->shown;
        op.told =
            result->kind == RESULT_VALUE ? (uint32_t)strtoul(result->value.small, NULL, 10) : 0;
    } else if (result->kind == RESULT_VALUE) {
        uint32_t n = unfold(w->sessions, &result->value, end, max);
        op.is_garbled = n == NOWHERE;
        op.n = op.is_garbled ? 0 : n;
        op.list = end - op.n;
    }
    return op;
}

struct list_history sessions_history(struct world *w)
{
    size_t max = 1;
    for (size_t i = 1; i < w->operation_count; i++) {
        max += w->operations[i].record.kind == OP_APPEND ? 1 : 0;
    }
    struct sessions *s = w->sessions;
    if (s->written_count > 0) {
        qsort(s->written, s->written_count, sizeof *s->written, by_hash);
    }
    struct list_history h = { .ops = qr_alloc(w->operation_count * sizeof *h.ops),
                              .from = qr_alloc(w->operation_count * sizeof *h.from),
                              .room = qr_alloc(w->operation_count * max * sizeof *h.room) };
    for (uint32_t i = 1; i < w->operation_count; i++) {
        const struct operation *o = &w->operations[i];
        enum result_kind result = o->record.result.kind;
        bool says = o->record.kind == OP_APPEND || result == RESULT_VALUE || result == RESULT_NIL;
        if (sessions_is_list(w, o) && says) {
            h.from[h.n] = i;
            h.ops[h.n] = list_op_of(w, i, h.room + (h.n + 1) * max, (uint32_t)max);
            h.n++;
        }
    }
    return h;
}

void list_history_free(struct list_history *h)
{
    free(h->ops);
    free(h->from);
    free(h->room);
}

void sessions_judge(struct world *w)
{
    if (w->sessions == NULL) {
        return;
    }
    struct list_history h = sessions_history(w);
    struct guarantees_report report = guarantees_check(h.ops, h.n);
    for (unsigned g = 0; g < GUARANTEES; g++) {
        w->counters->judged[g] += report.judged[g];
    }
    uint32_t op = h.n > 0 ? h.from[report.op] : 0, other = h.n > 0 ? h.from[report.other] : 0;
    list_history_free(&h);
    if (report.is_broken) {
        world_violation(w, VIOLATION_GUARANTEE, "%s: operation r%u contradicts r%u",
                        guarantee_name(report.broken), op, other);
    }
}
