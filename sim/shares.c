/* ON applied: a write is answered when as many copies as the view wants have executed it (K6).
 *
 *   the node executes        after a moment its protocol is told (EXECUTED)
 *   outlook.shared rises     the primary answers what is executed and shared
 *   it leads no more         what it has executed and not answered is uncertain */
#include "sim/council.h"

#include <inttypes.h>

#define SOON 2000

void shares_applied(struct world *w, struct sim_node *n)
{
    if (w->options.applied == 0 || n->desk.tells) {
        return;
    }
    n->desk.tells = true;
    world_push(
        w, (qr_time)rng_below(&w->rng, SOON),
        (struct item){ .kind = ITEM_EXECUTED, .node = n->index, .incarnation = n->incarnation });
}

void shares_told(struct world *w, struct sim_node *n)
{
    struct event e = { .kind = EVENT_EXECUTED, .executed = { .slot = n->applied } };
    n->desk.tells = false;
    node_step(w, n, &e);
}

/* Those that have executed it, in this life or in one of which the primary need not have heard. */
static void check(struct world *w, const struct sim_node *n, qr_slot slot, qr_term term)
{
    const struct view *view = council_view(w, term);
    uint16_t holders = 0;
    for (node_index i = 0; i < w->node_count; i++) {
        holders |= w->nodes[i].desk.shown >= slot ? node_bit(i) : 0;
    }
    if (view == NULL || !council_counts(view, holders)) {
        world_violation(w, VIOLATION_QUORUM,
                        "node %d answers slot %" PRIu64
                        ", and not all that its view wants have executed it",
                        n->index, slot);
    }
    w->counters->shared++;
}

void shares_after_step(struct world *w, struct sim_node *n)
{
    struct outlook o;
    struct model_result result;
    uint32_t attempt;
    if (w->options.applied == 0) {
        return;
    }
    n->desk.shown = max_u64(n->desk.shown, n->applied);
    node_outlook(w, n, &o);
    bool leads = o.role == ROLE_LEADER && o.shares;
    for (qr_slot slot;
         (slot = requests_shared(n, leads ? o.shared : UINT64_MAX, &attempt, &result)) != 0;) {
        if (leads) {
            check(w, n, slot, o.term);
        }
        workload_answer(w, attempt, leads ? STATUS_OK : STATUS_UNCERTAIN, result);
    }
}
