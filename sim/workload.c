/* Clients: they send an operation to one node, try the next when it was surely refused, give up
 * after a while, and remember what they were told. A reply may be lost on its way. */
#include "sim/sessions.h"

#define WAITING_MAX 1000u /* requests at one node; more are refused */

static qr_time client_delay(struct world *w)
{
    return (qr_time)(50 + rng_below(&w->rng, 950));
}

static bool surely_not(enum qr_status status)
{
    return status != STATUS_OK && status_surely_not_applied(status);
}

uint32_t workload_operation(struct world *w, uint32_t key, enum op_kind kind,
                            struct model_value argument, node_index fixed, qr_time patience)
{
    if (w->operation_count == w->operation_cap) {
        w->operation_cap = w->operation_cap == 0 ? 512 : w->operation_cap * 2;
        w->operations = qr_realloc(w->operations, w->operation_cap * sizeof *w->operations);
    }
    uint32_t number = (uint32_t)w->operation_count++;
    w->operations[number] = (struct operation){
        .record = { .process = number,
                    .key = key,
                    .kind = kind,
                    .argument = argument,
                    .start = w->now,
                    .result = { .kind = RESULT_UNKNOWN } },
        .fixed = fixed,
        .begun_at = w->committed_count - 1,
    };
    w->open_operations++;
    w->counters->operations++;
    world_push(w, patience, (struct item){ .kind = ITEM_GIVE_UP, .node = NODE_NONE, .a = number });
    return number;
}

void workload_try(struct world *w, uint32_t operation, node_index node)
{
    if (w->attempt_count == w->attempt_cap) {
        w->attempt_cap = w->attempt_cap == 0 ? 512 : w->attempt_cap * 2;
        w->attempts = qr_realloc(w->attempts, w->attempt_cap * sizeof *w->attempts);
    }
    uint32_t number = (uint32_t)w->attempt_count++;
    w->attempts[number] = (struct attempt){ .operation = operation, .node = node };
    w->operations[operation].attempt = number;
    world_push(w, w->operations[operation].fixed == NODE_NONE ? client_delay(w) : 0,
               (struct item){ .kind = ITEM_REQUEST, .node = node, .a = number });
}

void workload_arrive(struct world *w, struct sim_node *n, uint32_t attempt)
{
    if (n->waiting_count >= WAITING_MAX) {
        workload_answer(w, attempt, STATUS_OVERLOADED, (struct model_result){ 0 });
        return;
    }
    if (n->waiting_count == n->waiting_cap) {
        n->waiting_cap = n->waiting_cap == 0 ? 32 : n->waiting_cap * 2;
        n->waiting = qr_realloc(n->waiting, n->waiting_cap * sizeof *n->waiting);
    }
    n->waiting[n->waiting_count++] = attempt;
    if (!n->pumping) { /* what arrives at the same moment goes in together */
        n->pumping = true;
        world_push(
            w, 0,
            (struct item){ .kind = ITEM_PUMP, .node = n->index, .incarnation = n->incarnation });
    }
}

static const char *result_text(const struct model_result *r, char *out, size_t cap)
{
    if (r->kind == RESULT_VALUE) {
        (void)snprintf(out, cap, "%.*s", (int)min_u64(r->value.length, MODEL_SMALL),
                       r->value.small);
        return out;
    }
    return r->kind == RESULT_NIL ? "nil" : r->kind == RESULT_OK ? "OK" : "error";
}

void workload_answer(struct world *w, uint32_t attempt, enum qr_status status,
                     struct model_result result)
{
    struct attempt *a = &w->attempts[attempt];
    struct operation *o = &w->operations[a->operation];
    if (a->answered) {
        world_violation(w, VIOLATION_CONTRACT, "attempt %u is answered twice", attempt);
    }
    a->answered = true;
    a->life = w->nodes[a->node].incarnation;
    a->wipes = w->nodes[a->node].desk.wipes;
    a->status = status;
    a->result = result;
    a->refused = surely_not(status);
    a->shown = o->record.kind == OP_GET ? w->nodes[a->node].applied : a->committed;
    a->shown = o->position != 0 ? o->position : a->shown;
    if (a->refused && a->committed != 0) {
        world_violation(w, VIOLATION_FALSE_REFUSAL, "operation %u stands in slot %llu",
                        a->operation, (unsigned long long)a->committed);
    }
    if (status == STATUS_OK && o->record.kind != OP_GET) {
        o->acked = true;
        o->acked_slot = a->committed;
    }
    char text[40];
    world_tell(w, "%d reply r%u %s", a->node, a->operation,
               status == STATUS_OK ? result_text(&result, text, sizeof text) : status_text(status));
    if (!w->calm && world_chance(w, w->options.reply_loss)) {
        return;
    }
    world_push(w, o->fixed == NODE_NONE ? client_delay(w) : 0,
               (struct item){ .kind = ITEM_RESULT, .node = NODE_NONE, .a = attempt });
}

static void finish(struct world *w, struct operation *o, struct model_result result)
{
    o->done = true;
    o->record.result = result;
    o->record.end = w->now;
    w->open_operations--;
    sessions_finish(w, o);
    if (result.kind == RESULT_UNKNOWN) {
        w->counters->unknown++;
    } else if (result.kind == RESULT_FAIL) {
        w->counters->refused++;
    } else if (o->record.kind == OP_GET) {
        w->counters->reads++;
    } else {
        w->counters->acked++;
    }
}

void workload_hear(struct world *w, uint32_t attempt)
{
    struct attempt *a = &w->attempts[attempt];
    struct operation *o = &w->operations[a->operation];
    if (o->done) {
        return;
    }
    if (a->status == STATUS_OK) {
        sessions_hear(w, attempt);
        o->shown = a->shown;
        finish(w, o, a->result);
        return;
    }
    if (a->status == STATUS_STALE) { /* of reads alone, and nobody else can do better */
        finish(w, o, (struct model_result){ .kind = RESULT_FAIL });
        return;
    }
    /* A read that gets no answer may be tried again whatever happened to it. */
    if (!a->refused && o->record.kind != OP_GET) {
        finish(w, o, (struct model_result){ .kind = RESULT_UNKNOWN });
        return;
    }
    if (o->fixed != NODE_NONE) {
        finish(w, o, (struct model_result){ .kind = RESULT_FAIL });
        return;
    }
    w->counters->retried++;
    world_push(w, (qr_time)(5000 + rng_below(&w->rng, 45000)),
               (struct item){ .kind = ITEM_RETRY, .node = NODE_NONE, .a = a->operation });
}

/* Clients know the nodes that there are, removed ones too. */
static node_index some_place(struct world *w)
{
    node_index node = (node_index)rng_below(&w->rng, w->node_count);
    for (node_index i = 0; i < w->node_count && w->nodes[node].life != LIFE_NODE; i++) {
        node = (node_index)((node + 1) % w->node_count);
    }
    return node;
}

/* Mostly to whom it believes to lead, often to anybody: that is how a deposed leader gets reads. */
void workload_retry(struct world *w, uint32_t operation)
{
    struct operation *o = &w->operations[operation];
    if (o->done) {
        return;
    }
    node_index leader = world_leader(w);
    node_index node = some_place(w);
    if (leader != NODE_NONE && world_chance(w, 600)) {
        node = leader;
    }
    workload_try(w, operation, sessions_place(w, operation, node));
}

void workload_give_up(struct world *w, uint32_t operation)
{
    struct operation *o = &w->operations[operation];
    if (!o->done) {
        enum result_kind kind = w->attempts[o->attempt].refused ? RESULT_FAIL : RESULT_UNKNOWN;
        finish(w, o, (struct model_result){ .kind = kind });
    }
}
