/* A world's frame: making it, running it, telling about it. */
#include "sim/council.h"
#include "sim/members.h"
#include "sim/pasts.h"
#include "sim/sessions.h"

#include <inttypes.h>

#define BYTES_OF(node_count, size) ((size_t)(node_count) * (size))

void options_for_script(struct options *out)
{
#define OPTION(name, script, meaning) out->name = (script);
#include "sim/options.def"
#undef OPTION
}

bool options_set(struct options *o, const char *name, uint64_t value)
{
#define OPTION(field, script, meaning) \
    if (strcmp(name, #field) == 0) {   \
        o->field = value;              \
        return true;                   \
    }
#include "sim/options.def"
#undef OPTION
    return false;
}

/* Scripts are written by people: what a protocol or the world would panic at is a mistake. */
bool options_make_sense(const struct options *o)
{
    const uint64_t times[] = { o->heartbeat,  o->lease,      o->election,   o->skew_max,
                               o->delay_min,  o->sync_min,   o->delay_mean, o->sync_mean,
                               o->timer_late, o->quiet_after };
    for (size_t i = 0; i < ARRAY_COUNT(times); i++) {
        if (times[i] > 3600 * (uint64_t)QR_SECOND) {
            return false;
        }
    }
    return o->nodes >= 1 && o->nodes <= MEMBERS_MAX && o->joiners <= MEMBERS_MAX - o->nodes &&
           o->chunks >= 1 && o->chunks <= 100 && o->keys >= 1 && o->keys <= 1000 &&
           o->heartbeat > 0 && o->lease > 0 && o->lease < o->election && o->drift_percent < 100 &&
           o->uncommitted_max > 0 && o->uncommitted_max <= UNCOMMITTED_ENTRIES_MAX &&
           o->append_entries > 0 && o->append_entries <= APPEND_ENTRIES_MAX &&
           o->append_operations > 0 && o->appends_in_flight > 0 &&
           o->appends_in_flight <= APPENDS_IN_FLIGHT_MAX && o->copies < o->nodes &&
           (o->whole < o->nodes || o->whole == 255) && sessions_make_sense(o);
}

bool action_makes_sense(const struct options *o, const struct action *x)
{
    int64_t nodes = (int64_t)(o->nodes + o->joiners);
    bool is_node = x->a >= 0 && x->a < nodes;
    bool is_second = x->b >= 0 && x->b < nodes;
    if (x->at < 0) {
        return false;
    }
    switch (x->kind) {
    case ACTION_CLIENT:
        return x->a >= 0 && x->a < (int64_t)o->keys && x->b >= 0 && x->b <= OP_APPEND;
    case ACTION_SESSION:
        return o->level != 0 && x->a >= 0 && x->a < (int64_t)o->sessions && x->b >= 1 &&
               x->b < (int64_t)o->keys && x->c >= -READ_LEVELS && x->c < UINT32_MAX &&
               (x->c != -1 - READ_SNAPSHOT || o->level == 1 + READ_SNAPSHOT);
    case ACTION_HISTORY:
        return o->level == 1 + READ_SNAPSHOT && is_node && x->b >= 0 && x->c >= 0;
    case ACTION_CUT_LINK:
    case ACTION_FLAP:
        return is_node && is_second;
    case ACTION_TRANSFER:
        return is_node || x->a == NODE_NONE;
    case ACTION_ISOLATE_LEADER:
        return x->b >= 0 && x->b <= MEMBERS_MAX;
    case ACTION_PAUSE_LEADER:
    case ACTION_HARASS:
        return x->b >= 0;
    case ACTION_NETWORK:
        return x->a >= 0 && x->b >= 0 && x->c >= 0;
    case ACTION_AWAY:
        return x->b >= 0;
    case ACTION_RULE:
    case ACTION_MEMBERS:
        return x->a >= 0 && x->a <= UINT16_MAX && x->b >= 0 && x->b <= 255;
    case ACTION_CUT_COUNCIL:
    case ACTION_CRASH_LEADER:
    case ACTION_CUT:
    case ACTION_CUT_ONE_WAY:
    case ACTION_HEAL:
    case ACTION_READ_MODE:
    case ACTION_ROT:
    case ACTION_ADD:
    case ACTION_REMOVE:
    case ACTION_PROMOTE:
    case ACTION_DEMOTE:
    case ACTION_REPLACE:
    case ACTION_ISLAND:
        return true;
    case ACTION_DRIFT:
        return is_node && x->b > -500000 && x->b < 500000;
    default:
        return is_node && (x->kind == ACTION_WALL_JUMP || x->b >= 0);
    }
}

static const struct {
    const char *text;
    bool is_fault;
} actions[] = {
#define ACTION(name, text, is_fault) { text, is_fault },
#include "sim/actions.def"
#undef ACTION
};

const char *action_name(enum action_kind kind)
{
    qr_assert(kind < ACTION_COUNT);
    return actions[kind].text;
}

bool action_is_fault(enum action_kind kind)
{
    qr_assert(kind < ACTION_COUNT);
    return actions[kind].is_fault;
}

static const char *const violations[] = {
#define VIOLATION(name, text) text,
#include "sim/violations.def"
#undef VIOLATION
};

const char *violation_name(enum violation v)
{
    qr_assert(v < VIOLATION_COUNT);
    return violations[v];
}

void plan_add(struct plan *plan, struct action action)
{
    if (plan->n == plan->cap) {
        plan->cap = plan->cap == 0 ? 256 : plan->cap * 2;
        plan->v = qr_realloc(plan->v, plan->cap * sizeof *plan->v);
    }
    plan->v[plan->n++] = action;
}

void plan_free(struct plan *plan)
{
    free(plan->v);
    *plan = (struct plan){ 0 };
}

/* --- making a world ------------------------------------------------------------------------- */

static struct protocol_limits limits_of(const struct options *o)
{
    return (struct protocol_limits){
        .heartbeat = (qr_time)o->heartbeat,
        .lease = (qr_time)o->lease,
        .election = (qr_time)o->election,
        .drift_percent = (uint32_t)o->drift_percent,
        .skew_max = (qr_wall)o->skew_max,
        .uncommitted_max = (uint32_t)o->uncommitted_max,
        .append_entries = (uint32_t)o->append_entries,
        .appends_in_flight = (uint32_t)o->appends_in_flight,
        .quiet_after = (qr_time)o->quiet_after,
    };
}

static void *aligned_zeroed(size_t n)
{
    size_t size = (n + 15) & ~(size_t)15;
    void *p = aligned_alloc(16, size > 0 ? size : 16);
    qr_assert(p != NULL);
    memset(p, 0, size);
    return p;
}

static void make_node(struct world *w, node_index i)
{
    struct sim_node *n = &w->nodes[i];
    n->index = i;
    n->self = aligned_zeroed(w->needs.state);
    n->before = aligned_zeroed(w->needs.state);
    n->anchor_local = (qr_time)rng_below(&w->rng, 1000000000) + 1;
    n->wall_offset = WALL_START;
    n->slow = 1;
    n->crash_in = n->crash_after_state = -1;
    n->log.base_chain = n->disk.base_chain = IMAGE_CHAIN;
    if (i < w->options.nodes) {
        n->life = LIFE_NODE;
        n->born.members.voters = (uint16_t)((1u << w->options.nodes) - 1);
    }
    n->values = qr_zalloc(BYTES_OF(w->options.keys + 1, sizeof *n->values));
    n->next_req = 1;
}

struct world *world_new(const struct protocol *protocol, const struct options *options,
                        uint64_t seed, struct counters *counters)
{
    qr_assert(options->nodes >= 1 && options->nodes <= MEMBERS_MAX);
    struct world *w = qr_zalloc(sizeof *w);
    w->protocol = protocol;
    w->options = *options;
    w->seed = seed;
    w->rng = rng_from(seed * 0xff51afd7ed558ccdu + 3);
    w->limits = limits_of(options);
    w->needs = protocol->needs(&w->limits);
    w->counters = counters;
    w->out.v = qr_alloc(w->needs.effects * sizeof *w->out.v);
    w->out.cap = w->needs.effects;
    w->out.scratch_cap = w->needs.scratch;
    w->out.scratch = aligned_zeroed(w->needs.scratch);
    w->operation_count = 1;
    w->operation_cap = 512;
    w->operations = qr_zalloc(w->operation_cap * sizeof *w->operations);
    w->attempt_count = 1;
    w->attempt_cap = 512;
    w->attempts = qr_zalloc(w->attempt_cap * sizeof *w->attempts);
    w->committed_count = 1;
    w->committed_cap = 512;
    w->committed = qr_zalloc(w->committed_cap * sizeof *w->committed);
    w->order_count = 1;
    w->order_cap = 16;
    w->orders = qr_zalloc(w->order_cap * sizeof *w->orders);
    w->node_count = (node_index)(options->nodes + options->joiners);
    sessions_begin(w);
    for (node_index i = 0; i < w->node_count; i++) {
        make_node(w, i);
    }
    w->rosters = qr_zalloc(sizeof w->rosters[0]);
    w->roster_count = w->roster_cap = 1;
    for (node_index i = 0; i < options->nodes; i++) {
        w->rosters[0][i] = 1;
    }
    members_commit(w, 0, 0, &w->nodes[0].born.members, 0);
    council_begin(w);
    return w;
}

static void free_node(struct sim_node *n)
{
    driver_forget(n);
    for (size_t i = 0; i < n->stalled_count; i++) {
        free(n->stalled[i].p);
    }
    for (size_t i = 0; i < n->write_count; i++) {
        disk_write_free(&n->writes[i]);
    }
    desk_free(&n->desk);
    free(n->self);
    free(n->before);
    free(n->log.v);
    free(n->disk.v);
    free(n->writes);
    free(n->held);
    free(n->values);
    pasts_end(n);
    free(n->ghost.v);
    free(n->memberships);
    free(n->pending);
    free(n->waiting);
    free(n->stalled);
    free(n->runs);
}

void world_free(struct world *w)
{
    for (node_index i = 0; i < w->node_count; i++) {
        free_node(&w->nodes[i]);
    }
    for (size_t i = 0; i < w->file_count; i++) {
        free(w->files[i]);
    }
    free(w->files);
    free(w->orders);
    free(w->decided);
    free(w->rosters);
    queue_free(&w->queue);
    free(w->current.p);
    plan_free(&w->plan);
    free(w->out.v);
    free(w->out.scratch);
    free(w->operations);
    free(w->attempts);
    free(w->committed);
    free(w->facts);
    free(w->leader_of);
    sessions_end(w);
    council_end(w);
    free(w);
}

/* --- running -------------------------------------------------------------------------------- */

void world_start(struct world *w)
{
    struct outlook o;
    for (node_index i = 0; i < w->node_count; i++) {
        node_start(w, &w->nodes[i]);
    }
    node_outlook(w, &w->nodes[0], &o);
    w->knows_members = w->council == NULL && o.membership.voters != 0;
}

#define QUEUE_MAX 20000u /* items under way; a seed has some hundreds */
#define STEPS_MAX 2000000u

/* Duplicates that are answered with more than they are would not end. */
static void check_storm(struct world *w)
{
    if (w->queue.n > QUEUE_MAX || w->steps > STEPS_MAX) {
        world_violation(w, VIOLATION_STORM, "%zu items under way after %llu steps", w->queue.n,
                        (unsigned long long)w->steps);
    }
}

void world_run_until(struct world *w, qr_time until)
{
    while (w->queue.n > 0 && w->queue.v[0].at <= until) {
        (void)queue_pop(&w->queue, &w->current);
        qr_assert(w->current.at >= w->now);
        w->now = w->current.at;
        world_one(w, &w->current);
        check_storm(w);
        free(w->current.p);
        w->current.p = NULL;
    }
    w->now = until;
}

void world_violation(struct world *w, enum violation v, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(w->violation_text, sizeof w->violation_text, format, arguments);
    va_end(arguments);
    w->violation = v;
    world_tell(w, "VIOLATION: %s: %s", violation_name(v), w->violation_text);
    siglongjmp(*(w->outer != NULL ? w->outer : &w->on_violation), 1);
}

void world_tell(struct world *w, const char *format, ...)
{
    if (w->tell == NULL) {
        return;
    }
    char line[600];
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    w->tell(w->tell_context, line);
}

/* The exponential distribution in whole numbers: 16 halvings of the range, each with even odds, are
 * close enough, and equal on every machine. */
qr_time world_delay(struct world *w, uint64_t min, uint64_t mean)
{
    if (mean == 0) {
        return (qr_time)min;
    }
    uint64_t bits = rng_next(&w->rng), octaves = 0;
    while (octaves < 5 && (bits & 1) != 0) {
        bits >>= 1;
        octaves++;
    }
    /* -ln(u) = octave * ln 2 + a rest that is about uniform in [0, ln 2). */
    return (qr_time)(min + mean * (octaves * 693 + rng_below(&w->rng, 693)) / 1000);
}

bool world_chance(struct world *w, uint64_t per_mille)
{
    return per_mille > 0 && rng_chance(&w->rng, per_mille, 1000);
}

void world_mix(struct world *w, uint64_t value)
{
    w->digest = (w->digest ^ value) * 0x100000001b3u;
    w->digest ^= w->digest >> 29;
}

void world_push(struct world *w, qr_time delay, struct item item)
{
    item.at = w->now + delay;
    queue_push(&w->queue, item);
}
