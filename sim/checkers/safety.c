/* What must hold after every step: Raft's five safety properties (Ongaro and Ousterhout, figure 3),
 * seen from outside through logs and outlooks, and what a client was promised.
 *
 * Every entry carries a hash of all that comes before it, so that one comparison of two hashes
 * compares two prefixes: log matching, leader completeness and the quorum rule each cost one look
 * at one slot. */
#include "sim/checkers/safety.h"

#include "sim/council.h"

#include "sim/order.h"
#include "sim/sessions.h"

#include <inttypes.h>

uint64_t safety_chain(uint64_t before, const struct entry *e)
{
    struct rng r =
        rng_from(before ^ (e->term * 0x9e3779b97f4a7c15u) ^ ((uint64_t)e->attempt << 32));
    uint64_t chain = rng_next(&r) | 1;
    if (states_members(e)) {
        uint64_t sets;
        _Static_assert(sizeof sets == sizeof e->members, "four sets of sixteen bits");
        memcpy(&sets, &e->members, sizeof sets);
        r = rng_from(chain ^ sets ^ (uint64_t)e->epoch << 20);
        chain = rng_next(&r) | 1;
    }
    return chain;
}

/* --- log matching
 * ----------------------------------------------------------------------------------- */

static struct term_fact *fact_at(struct world *w, qr_slot slot, qr_term term)
{
    struct rng r = rng_from(slot * 0x100000001b3u ^ (term << 40));
    size_t i = rng_next(&r) & (w->fact_cap - 1);
    while (w->facts[i].chain != 0 && (w->facts[i].slot != slot || w->facts[i].term != term)) {
        i = (i + 1) & (w->fact_cap - 1);
    }
    return &w->facts[i];
}

static void grow_facts(struct world *w)
{
    struct term_fact *old = w->facts;
    size_t old_cap = w->fact_cap;
    w->fact_cap = old_cap == 0 ? 1024 : old_cap * 2;
    w->facts = qr_zalloc(w->fact_cap * sizeof *w->facts);
    for (size_t k = 0; k < old_cap; k++) {
        if (old[k].chain != 0) {
            *fact_at(w, old[k].slot, old[k].term) = old[k];
        }
    }
    free(old);
}

#define VOID_CHAIN 2 /* others are odd */

/* What stood there is nobody's any more, and was never heard of. */
void safety_voided(struct world *w, qr_slot slot, qr_term term)
{
    struct term_fact *fact = fact_at(w, slot, term);
    if (fact->chain != 0) {
        fact->chain = VOID_CHAIN;
    }
}

void safety_appended(struct world *w, struct sim_node *n, qr_slot slot)
{
    const struct entry *e = image_at(&n->log, slot);
    qr_assert(e != NULL);
    if (w->council != NULL) {
        primary_appended(w, e, slot, image_chain(&n->log, slot - 1));
    }
    if (w->fact_count * 2 >= w->fact_cap) {
        grow_facts(w);
    }
    struct term_fact *fact = fact_at(w, slot, e->term);
    if (fact->chain == 0) {
        *fact = (struct term_fact){ .term = e->term, .slot = slot, .chain = e->chain };
        w->fact_count++;
    } else if (fact->chain == VOID_CHAIN) {
        fact->chain = e->chain;
    } else if (fact->chain != e->chain) {
        world_violation(w, VIOLATION_LOG_MATCHING, "node %d, slot %" PRIu64 " of term %" PRIu64,
                        n->index, slot, e->term);
    }
}

/* --- leaders
 * ------------------------------------------------------------------------------------------ */

void safety_truncating(struct world *w, struct sim_node *n, qr_slot from)
{
    struct outlook o;
    node_outlook(w, n, &o);
    if (n->role == ROLE_LEADER && o.role == ROLE_LEADER && n->term == o.term) {
        world_violation(w, VIOLATION_LEADER_APPEND_ONLY, "leader %d truncates from %" PRIu64,
                        n->index, from);
    }
    if (from <= n->checked_commit) {
        world_violation(w, VIOLATION_STATE_MACHINE_SAFETY,
                        "node %d truncates from %" PRIu64 ", committed up to %" PRIu64, n->index,
                        from, n->checked_commit);
    }
}

static void check_completeness(struct world *w, struct sim_node *n, qr_term term)
{
    for (qr_slot slot = w->committed_count; slot-- > 1;) {
        const struct committed *c = &w->committed[slot];
        if (c->by >= term) {
            continue; /* committed in a later term: this leader is a latecomer */
        }
        if (slot > n->log.base &&
            (slot > image_last(&n->log) || image_chain(&n->log, slot) != c->chain)) {
            world_violation(w, VIOLATION_LEADER_COMPLETENESS,
                            "leader %d of term %" PRIu64 " lacks slot %" PRIu64
                            ", committed in term %" PRIu64,
                            n->index, term, slot, c->by);
        }
        return;
    }
}

static void became_leader(struct world *w, struct sim_node *n, qr_term term)
{
    if (term >= w->leader_cap) {
        size_t cap = w->leader_cap == 0 ? 64 : w->leader_cap;
        while (cap <= term) {
            cap *= 2;
        }
        w->leader_of = qr_realloc(w->leader_of, cap);
        memset(w->leader_of + w->leader_cap, NODE_NONE, cap - w->leader_cap);
        w->leader_cap = cap;
    }
    bool again = w->leader_of[term] == n->index && primary_was_silent(w, n, term);
    if (w->leader_of[term] != NODE_NONE && !again) {
        world_violation(w, VIOLATION_ELECTION_SAFETY, "nodes %d and %d in term %" PRIu64,
                        w->leader_of[term], n->index, term);
    }
    w->leader_of[term] = n->index;
    w->leader_changes++;
    if (w->council != NULL) {
        primary_leads(w, n, term);
    }
    if (!council_is_weak(w)) {
        check_completeness(w, n, term);
    }
    faults_new_leader(w, n);
}

/* --- commitment
 * ---------------------------------------------------------------------------------------- */

static void check_quorum(struct world *w, struct sim_node *n, qr_slot slot, uint64_t chain,
                         const struct outlook *o)
{
    struct outlook before = { 0 };
    w->protocol->outlook(n->before, &before);
    if (w->council != NULL) {
        primary_quorum(w, n, slot, chain, o, &before);
        return;
    }
    uint16_t holders = 0;
    for (node_index i = 0; i < w->node_count; i++) {
        holders |= safety_on_disk(&w->nodes[i], slot, chain) ? node_bit(i) : 0;
    }
    /* What is decided may begin the next change in the same step. */
    bool enough = quorum_of(holders, &o->membership) || quorum_of(holders, &before.membership);
    if (!w->over && !(w->knows_members ? enough : quorum_of(holders, &w->decided[0].members))) {
        world_violation(w, VIOLATION_QUORUM,
                        "node %d commits slot %" PRIu64 ", on the disks of %x only", n->index, slot,
                        holders);
    }
    w->counted = slot;
}

/* Only the leader that commits knows by which membership it counted: it is looked at before its
 * effects, which a crash may cut short. */
void safety_leading(struct world *w, struct sim_node *n)
{
    struct outlook o;
    node_outlook(w, n, &o);
    const struct entry *e = o.role == ROLE_LEADER ? image_at(&n->log, o.commit) : NULL;
    if (e != NULL && o.commit > w->counted && o.commit > n->checked_commit) {
        check_quorum(w, n, o.commit, e->chain, &o);
    }
}

/* As long as no later entry moves it: the latest time at which one up to it was asked for. */
static qr_time log_time(const struct world *w, qr_slot slot, const struct entry *e)
{
    qr_time before = w->committed[slot - 1].time;
    qr_time asked = w->operations[w->attempts[e->attempt].operation].record.start;
    return e->attempt != 0 && asked > before ? asked : before;
}

static void commit_new(struct world *w, struct sim_node *n, qr_slot slot, const struct entry *e,
                       qr_term by)
{
    if (w->committed_count == w->committed_cap) {
        w->committed_cap = w->committed_cap == 0 ? 512 : w->committed_cap * 2;
        w->committed = qr_realloc(w->committed, w->committed_cap * sizeof *w->committed);
    }
    qr_assert(slot == w->committed_count);
    w->commit_term = max_u64(w->commit_term, by);
    w->committed[w->committed_count++] = (struct committed){ .term = e->term,
                                                             .by = by,
                                                             .chain = e->chain,
                                                             .attempt = e->attempt,
                                                             .at = w->now,
                                                             .time = log_time(w, slot, e) };
    if (states_members(e)) {
        members_commit(w, slot, e->term, &e->members, e->roster);
        if (e->epoch < w->decided_epoch) {
            world_violation(w, VIOLATION_CONTROL, "slot %" PRIu64 ": epoch %u after %u", slot,
                            (unsigned)e->epoch, (unsigned)w->decided_epoch); /* F5 */
        }
        w->decided_epoch = e->epoch;
    }
    if (e->attempt == 0) {
        return;
    }
    struct attempt *a = &w->attempts[e->attempt];
    if (a->committed != 0) {
        world_violation(w, VIOLATION_TWICE, "operation %u in slots %" PRIu64 " and %" PRIu64,
                        a->operation, a->committed, slot);
    }
    if (a->refused) {
        world_violation(w, VIOLATION_FALSE_REFUSAL, "operation %u, slot %" PRIu64 ", node %d",
                        a->operation, slot, n->index);
    }
    a->committed = slot;
}

static void check_commit(struct world *w, struct sim_node *n, const struct outlook *o)
{
    if (council_is_weak(w)) {
        primary_committed(w, n, o);
        return;
    }
    if (o->commit > image_last(&n->log)) {
        world_violation(w, VIOLATION_CONTRACT, "node %d commits beyond its log", n->index);
    }
    for (qr_slot slot = n->checked_commit + 1; slot <= o->commit; slot++) {
        const struct entry *e = image_at(&n->log, slot);
        qr_assert(e != NULL);
        if (slot >= w->committed_count) {
            commit_new(w, n, slot, e, o->term);
            if (slot == o->commit && slot > w->counted && o->role == ROLE_LEADER) {
                check_quorum(w, n, slot, e->chain, o);
            }
        } else if (w->committed[slot].chain != e->chain) {
            world_violation(w, VIOLATION_STATE_MACHINE_SAFETY,
                            "node %d commits another entry in slot %" PRIu64, n->index, slot);
        }
        n->checked_commit = slot;
    }
}

void safety_after_step(struct world *w, struct sim_node *n)
{
    struct outlook o;
    node_outlook(w, n, &o);
    if (o.term < n->term) {
        world_violation(w, VIOLATION_REGRESSED, "node %d: term %" PRIu64 " after %" PRIu64,
                        n->index, o.term, n->term);
    }
    if (o.last != image_last(&n->log)) {
        world_violation(w, VIOLATION_CONTRACT,
                        "node %d believes that its log ends at %" PRIu64
                        ", and it ends at %" PRIu64,
                        n->index, o.last, image_last(&n->log));
    }
    if (o.role == ROLE_LEADER && (n->role != ROLE_LEADER || n->term != o.term)) {
        became_leader(w, n, o.term);
    }
    n->role = o.role;
    n->term = o.term;
    check_commit(w, n, &o);
    safety_members(w, n, &o);
    if (w->council != NULL) {
        primary_checked(w, n, &o);
    }
}

/* The commit index of the step that applies is looked at after the step; what is applied in the
 * middle of it must already agree with what others have committed. */
void safety_applying(struct world *w, struct sim_node *n, qr_slot slot, const struct entry *e)
{
    struct outlook o;
    node_outlook(w, n, &o);
    if (slot > o.commit) {
        world_violation(w, VIOLATION_CONTRACT, "node %d applies %" PRIu64 " before its commitment",
                        n->index, slot);
    }
    check_commit(w, n, &o);
    if (!council_is_weak(w) && w->committed[slot].chain != e->chain) {
        world_violation(w, VIOLATION_STATE_MACHINE_SAFETY,
                        "node %d applies another entry in %" PRIu64, n->index, slot);
    }
}

void safety_restarted(struct world *w, struct sim_node *n)
{
    if (n->term < n->durable_term) {
        world_violation(w, VIOLATION_REGRESSED,
                        "node %d restarts in term %" PRIu64 ", %" PRIu64 " was durable", n->index,
                        n->term, n->durable_term);
    }
}

/* --- at the end
 * -------------------------------------------------------------------------------------- */

static void check_acknowledged(struct world *w)
{
    qr_slot held = 0;
    for (node_index i = 0; i < w->node_count; i++) {
        held = w->nodes[i].up ? max_u64(held, w->nodes[i].checked_commit) : held;
    }
    for (size_t i = 1; i < w->operation_count; i++) {
        const struct operation *o = &w->operations[i];
        if (o->acked && (o->acked_slot == 0 || o->acked_slot > held)) {
            world_violation(w, VIOLATION_DURABILITY,
                            "operation %zu was acknowledged in slot %" PRIu64
                            ", the core has committed %" PRIu64,
                            i, o->acked_slot, held);
        }
    }
}

void safety_at_end(struct world *w)
{
    if (w->council != NULL) {
        primary_judge(w);
    }
    bool promised = w->council != NULL ? w->calm && !council_is_weak(w)
                                       : w->protocol->promise.survives_minority_crash;
    if (w->options.liveness != 0 && promised) {
        check_acknowledged(w);
    }
    if (council_is_weak(w)) {
        return;
    }
    if (w->council == NULL && w->protocol->promise.consistency != CONSISTENCY_LINEARIZABLE) {
        return;
    }
    struct history_op *ops = qr_zalloc(w->operation_count * sizeof *ops);
    size_t *from = qr_alloc(w->operation_count * sizeof *from), n = 0;
    for (size_t i = 1; i < w->operation_count; i++) {
        if (!sessions_is_list(w, &w->operations[i])) {
            from[n] = i;
            ops[n++] = w->operations[i].record;
        }
    }
    struct linearizable_report report = linearizable_check(ops, n, LINEARIZABLE_STEPS_MAX);
    size_t stuck = n > 0 ? from[report.stuck_at] : 0;
    free(ops);
    free(from);
    if (report.verdict != VERDICT_LINEARIZABLE) {
        world_violation(w,
                        report.verdict == VERDICT_VIOLATED ? VIOLATION_LINEARIZABILITY
                                                           : VIOLATION_SEARCH_LIMIT,
                        "key k%u, operation r%zu fits nowhere", report.key, stuck);
    }
    sessions_judge(w);
    order_judge(w);
}
