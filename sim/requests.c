/* What waits at a node for an answer: requests of clients, orders of operators.
 *
 * A write is answered OK when APPLY covers its slot with its term; it surely failed when APPLY
 * covers its slot with another term; everything else is uncertain. */
#include "sim/council.h"
#include "sim/members.h"
#include "sim/sessions.h"

#include <inttypes.h>

struct pending *requests_find(struct sim_node *n, qr_req req)
{
    size_t lo = 0, hi = n->pending_count;
    while (lo < hi) {
        size_t mid = (lo + hi) / 2;
        if (n->pending[mid].req < req) {
            lo = mid + 1;
        } else {
            hi = mid;
        }
    }
    return lo < n->pending_count && n->pending[lo].req == req ? &n->pending[lo] : NULL;
}

static void drop(struct sim_node *n, struct pending *p)
{
    size_t at = (size_t)(p - n->pending);
    n->pending_count--;
    memmove(p, p + 1, (n->pending_count - at) * sizeof *p);
}

void requests_applied(struct world *w, struct sim_node *n, qr_slot slot, const struct entry *e,
                      struct model_result result)
{
    /* A slot may have been proposed twice here, in two terms. */
    for (size_t i = 0; i < n->pending_count;) {
        struct pending *p = &n->pending[i];
        if (p->is_read || p->order != 0 || p->slot != slot) {
            i++;
            continue;
        }
        uint32_t attempt = p->attempt;
        bool ours = p->term == e->term;
        if (ours && w->options.applied != 0) {
            p->done = true;
            p->result = result;
            i++;
            continue;
        }
        drop(n, p);
        workload_answer(w, attempt, ours ? STATUS_OK : STATUS_LEADER_CHANGED, result);
    }
}

qr_slot requests_shared(struct sim_node *n, qr_slot upto, uint32_t *attempt,
                        struct model_result *result)
{
    for (size_t i = 0; i < n->pending_count; i++) {
        struct pending *p = &n->pending[i];
        if (p->done && p->slot <= upto) {
            qr_slot slot = p->slot;
            *attempt = p->attempt;
            *result = p->result;
            drop(n, p);
            return slot;
        }
    }
    return 0;
}

static bool may_serve(struct world *w, struct sim_node *n, struct pending *p)
{
    return p->is_read && p->confirmed &&
           (p->has_wish ? sessions_serve(w, n, p) : p->slot <= n->applied);
}

void requests_serve(struct world *w, struct sim_node *n)
{
    for (size_t i = 0; i < n->pending_count;) {
        struct pending *p = &n->pending[i];
        if (!may_serve(w, n, p)) {
            i++;
            continue;
        }
        uint32_t attempt = p->attempt;
        bool expired = (p->before != 0 && node_clock(w, n) >= p->before) ||
                       (p->held && !leases_held(&n->leases, node_clock(w, n)));
        drop(n, p);
        w->counters->expired += expired ? 1 : 0;
        if (expired) {
            workload_answer(w, attempt, STATUS_EXPIRED, (struct model_result){ 0 });
        } else {
            sessions_answer(w, n, attempt);
        }
    }
}

void requests_refuse(struct world *w, struct sim_node *n, const struct effect *x)
{
    for (qr_req req = x->answer.first; req < x->answer.first + x->answer.count; req++) {
        struct pending *p = requests_find(n, req);
        if (p == NULL) {
            world_violation(w, VIOLATION_CONTRACT, "node %d answers request %" PRIu64 " twice",
                            n->index, req);
        }
        uint32_t attempt = p->attempt, order = p->order;
        drop(n, p);
        if (order != 0) {
            members_answer(w, n, order, x->answer.status);
            continue;
        }
        workload_answer(w, attempt, x->answer.status, (struct model_result){ .kind = RESULT_OK });
    }
}

void requests_confirm(struct world *w, struct sim_node *n, const struct effect *x)
{
    struct outlook outlook;
    node_outlook(w, n, &outlook);
    bool asked = outlook.role != ROLE_LEADER;
    for (qr_req req = x->read.first; req < x->read.first + x->read.count; req++) {
        struct pending *p = requests_find(n, req);
        if (p == NULL || !p->is_read || p->confirmed) {
            world_violation(w, VIOLATION_CONTRACT, "node %d confirms read %" PRIu64 " twice",
                            n->index, req);
        }
        p->confirmed = true;
        p->slot = x->read.slot;
        p->before = x->read.before;
        p->held = x->read.held;
        w->counters->asked_reads += asked ? 1 : 0;
        w->counters->asked_ahead += asked && p->slot > n->applied ? 1 : 0;
    }
    requests_serve(w, n);
}

/* --- requests in ---------------------------------------------------------------------------- */

void requests_add(struct sim_node *n, struct pending p)
{
    if (n->pending_count == n->pending_cap) {
        n->pending_cap = n->pending_cap == 0 ? 32 : n->pending_cap * 2;
        n->pending = qr_realloc(n->pending, n->pending_cap * sizeof *n->pending);
    }
    n->pending[n->pending_count++] = p;
}

static bool is_read(const struct world *w, uint32_t attempt)
{
    return w->operations[w->attempts[attempt].operation].record.kind == OP_GET;
}

static void refuse_waiting(struct world *w, struct sim_node *n, bool reads_too)
{
    size_t kept = 0;
    for (size_t i = 0; i < n->waiting_count; i++) {
        if (!reads_too && is_read(w, n->waiting[i])) {
            n->waiting[kept++] = n->waiting[i];
            continue;
        }
        workload_answer(w, n->waiting[i], STATUS_NOT_LEADER, (struct model_result){ 0 });
    }
    n->waiting_count = kept;
}

/* Brings what waits to the protocol, one run of writes or of reads as one event, while there is
 * room. The next step of the node calls again for the rest. */
void requests_pump(struct world *w, struct sim_node *n)
{
    n->pumping = false;
    sessions_take(w, n);
    uint32_t incarnation = n->incarnation;
    council_lease(w, n);
    if (n->incarnation != incarnation) {
        return;
    }
    struct outlook outlook;
    node_outlook(w, n, &outlook);
    if (outlook.role != ROLE_LEADER && (w->options.refuse_here != 0 || outlook.room == 0)) {
        refuse_waiting(w, n, outlook.room == 0 || w->options.follower_reads == 0);
    }
    if (n->waiting_count == 0) {
        return;
    }
    bool reads = is_read(w, n->waiting[0]);
    uint32_t count = 0;
    struct event e = { .kind = reads ? EVENT_READ : EVENT_SUBMIT };
    qr_req first = n->next_req;
    while (count < n->waiting_count && count < outlook.room &&
           is_read(w, n->waiting[count]) == reads) {
        requests_add(n, (struct pending){
                            .req = n->next_req++, .attempt = n->waiting[count], .is_read = reads });
        sessions_ask(w, n, &n->pending[n->pending_count - 1]);
        count++;
    }
    if (count == 0) {
        return;
    }
    n->waiting_count -= count;
    memmove(n->waiting, n->waiting + count, n->waiting_count * sizeof *n->waiting);
    if (reads) {
        e.read.first = first;
        e.read.count = count;
    } else {
        e.submit.first = first;
        e.submit.count = count;
    }
    node_step(w, n, &e);
}

void requests_order(struct world *w, struct sim_node *n, uint32_t number)
{
    const struct order *o = &w->orders[number];
    qr_req req = n->next_req++;
    requests_add(n, (struct pending){ .req = req, .order = number });
    struct event e = { .kind = EVENT_ADMIN,
                       .admin = { .order = ADMIN_MEMBERS,
                                  .members = o->wanted,
                                  .forced = o->forced,
                                  .timeout = o->timeout,
                                  .req = req } };
    if (o->verb == VERB_TRANSFER) {
        e.admin.order = ADMIN_TRANSFER;
        e.admin.argument = o->nodes;
    }
    node_step(w, n, &e);
}

void requests_skip(struct world *w, struct sim_node *n)
{
    for (size_t i = 0; i < n->pending_count;) {
        struct pending *p = &n->pending[i];
        if (p->is_read || p->slot == 0) {
            i++;
            continue;
        }
        uint32_t attempt = p->attempt;
        drop(n, p);
        workload_answer(w, attempt, STATUS_UNCERTAIN, (struct model_result){ 0 });
    }
    requests_serve(w, n);
}

void requests_taken(struct world *w, struct sim_node *n, qr_slot slot)
{
    for (size_t i = 0; i < n->pending_count;) {
        struct pending *p = &n->pending[i];
        if (p->is_read || p->order != 0 || p->slot <= slot) {
            i++;
            continue;
        }
        uint32_t attempt = p->attempt;
        drop(n, p);
        workload_answer(w, attempt, STATUS_UNCERTAIN, (struct model_result){ 0 });
    }
}
