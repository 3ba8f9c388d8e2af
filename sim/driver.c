/* The model driver: carries out effects as src/node does, and holds the protocol to its contract.
 */
#include "sim/checkers/safety.h"
#include "sim/council.h"
#include "sim/pasts.h"
#include "sim/sessions.h"

#include <inttypes.h>

/* --- messages ------------------------------------------------------------------------------- */

/* The body, encoded; the records are attached when the message leaves. */
static struct packet *packet_of(struct world *w, const struct sim_node *n, const struct effect *x)
{
    const struct message *m = &x->send.message;
    size_t entries = (size_t)(m->hi - m->lo);
    struct packet *p = qr_zalloc(sizeof *p + entries * sizeof p->entries[0]);
    p->from = n->index;
    p->to = x->send.to;
    p->kind = m->kind;
    p->lo = m->lo;
    p->hi = m->hi;
    p->term = m->term;
    struct wire_writer out = wire_writer(p->body, sizeof p->body);
    if (!w->protocol->codec->encode(m->kind, m->body, &out) || out.bad) {
        world_violation(w, VIOLATION_CONTRACT, "message %u does not encode", m->kind);
    }
    p->body_n = out.n;
    return p;
}

/* Attaches as many of the asked records as fit and still are what was asked for: while a message
 * was held, its entries may have been trimmed or replaced. Nothing left means nothing to say. */
static void leave(struct world *w, struct sim_node *n, struct packet *p)
{
    qr_slot lo = p->lo, hi = p->lo;
    while (hi < p->hi && hi - lo < w->options.append_operations) {
        const struct entry *e = image_at(&n->log, hi);
        if (e == NULL || e->term != p->term) {
            break;
        }
        p->entries[hi - lo] = *e;
        hi++;
    }
    if (hi < p->hi) {
        w->counters->short_appends++;
        if (hi == lo) {
            free(p);
            return;
        }
    }
    p->hi = hi;
    network_send(w, p);
}

static void check_send(struct world *w, struct sim_node *n, const struct effect *x)
{
    if (x->send.to >= w->node_count || x->send.to == n->index) {
        world_violation(w, VIOLATION_CONTRACT, "node %d sends to %d", n->index, x->send.to);
    }
    if (x->send.message.lo > x->send.message.hi) {
        world_violation(w, VIOLATION_CONTRACT, "node %d sends an inverted range", n->index);
    }
    safety_sent(w, n, x);
}

/* --- persist -------------------------------------------------------------------------------- */

/* What stands in `slot` of a PERSIST: from the SUBMIT being stepped, from the message being
 * received, or what the driver makes: a membership, or nothing. */
static struct entry entry_for(struct world *w, struct sim_node *n, const struct effect *x,
                              qr_slot slot, const struct packet *received)
{
    struct entry made = { .term = x->persist.term };
    if (x->persist.members != NULL) {
        made.members = *x->persist.members;
        made.epoch = n->ordered_epoch != 0 ? n->ordered_epoch : members_epoch(n);
        made.roster = members_roster(w, n, &made.members);
        safety_stated(w, n, slot, &made.members);
        return made;
    }
    if (x->persist.noop) {
        return made;
    }
    if (x->persist.req != 0) {
        struct pending *p = requests_find(n, x->persist.req + (slot - x->persist.lo));
        if (p == NULL || p->is_read || p->slot != 0 || p->order != 0) {
            world_violation(w, VIOLATION_CONTRACT,
                            "node %d persists a request that it does not have", n->index);
        }
        p->slot = slot;
        p->term = x->persist.term;
        made.attempt = p->attempt;
        return made;
    }
    if (received == NULL || slot < received->lo || slot >= received->hi ||
        received->term != x->persist.term) {
        world_violation(w, VIOLATION_CONTRACT,
                        "node %d persists entry %" PRIu64 " that did not come with the message",
                        n->index, slot);
    }
    made.attempt = received->entries[slot - received->lo].attempt;
    made.members = received->entries[slot - received->lo].members;
    made.epoch = received->entries[slot - received->lo].epoch;
    made.roster = received->entries[slot - received->lo].roster;
    return made;
}

static void check_persist(struct world *w, const struct sim_node *n, const struct effect *x)
{
    if (x->persist.ticket != n->minted + 1 || x->after != 0) {
        world_violation(w, VIOLATION_CONTRACT, "node %d mints ticket %" PRIu64 " after %" PRIu64,
                        n->index, x->persist.ticket, n->minted);
    }
    bool made = x->persist.noop || x->persist.members != NULL;
    if (x->persist.lo > x->persist.hi || (made && x->persist.hi != x->persist.lo + 1)) {
        world_violation(w, VIOLATION_CONTRACT, "node %d persists a malformed range", n->index);
    }
    if (x->persist.lo < x->persist.hi &&
        (x->persist.lo <= n->log.base || x->persist.lo > image_last(&n->log) + 1)) {
        world_violation(w, VIOLATION_CONTRACT,
                        "node %d persists from %" PRIu64 ", but its log is (%" PRIu64 ", %" PRIu64
                        "]",
                        n->index, x->persist.lo, n->log.base, image_last(&n->log));
    }
}

/* An armed crash: after so many more effects, or after a moment, before the sync or behind it. */
static void strike_voter(struct world *w, struct sim_node *n)
{
    if (n->crash_after_state < 1) {
        n->crash_in = n->crash_after_state;
    } else {
        world_push(w, (qr_time)rng_below(&w->rng, 3 * (w->options.sync_min + w->options.sync_mean)),
                   (struct item){ .kind = ITEM_CRASH,
                                  .node = n->index,
                                  .a = n->crash_power,
                                  .incarnation = n->incarnation });
    }
    n->crash_after_state = -1;
}

static void persist(struct world *w, struct sim_node *n, const struct effect *x,
                    const struct packet *received)
{
    check_persist(w, n, x);
    size_t count = (size_t)(x->persist.hi - x->persist.lo);
    struct outlook outlook;
    node_outlook(w, n, &outlook);
    struct disk_write write = { .ticket = x->persist.ticket,
                                .lo = x->persist.lo,
                                .hi = x->persist.hi,
                                .term_then = outlook.term,
                                .forgetful_then = outlook.forgetful };
    if (x->persist.state_kind != 0) {
        struct wire_writer out = wire_writer(write.state, sizeof write.state);
        if (!w->protocol->codec->encode(x->persist.state_kind, x->persist.state, &out) || out.bad) {
            world_violation(w, VIOLATION_CONTRACT, "a state record does not encode");
        }
        if (n->crash_after_state >= 0) {
            strike_voter(w, n);
        }
        write.state_kind = x->persist.state_kind;
        write.state_n = out.n;
    }
    if (count > 0) {
        if (x->persist.lo <= image_last(&n->log)) {
            safety_truncating(w, n, x->persist.lo);
        }
        write.entries = qr_alloc(count * sizeof *write.entries);
        uint64_t chain = image_chain(&n->log, x->persist.lo - 1);
        for (size_t i = 0; i < count; i++) {
            struct entry *e = &write.entries[i];
            *e = entry_for(w, n, x, x->persist.lo + i, received);
            e->chain = chain = safety_chain(chain, e);
        }
    }
    disk_persist(w, n, &write);
    for (size_t i = 0; i < count; i++) {
        safety_appended(w, n, x->persist.lo + i);
    }
}

/* --- apply ---------------------------------------------------------------------------------- */

static struct model_result execute(struct world *w, struct model_value *values, uint32_t attempt)
{
    if (attempt == 0) {
        return (struct model_result){ .kind = RESULT_OK };
    }
    const struct history_op *o = &w->operations[w->attempts[attempt].operation].record;
    struct model_value before = values[o->key];
    struct model_result result = model_apply(o->kind, &o->argument, &values[o->key]);
    if (o->kind == OP_APPEND) {
        sessions_wrote(w, &before, &values[o->key], w->attempts[attempt].operation);
    }
    return result;
}

void driver_execute(struct world *w, struct sim_node *n, uint32_t attempt)
{
    (void)execute(w, n->values, attempt);
}

static void apply(struct world *w, struct sim_node *n, const struct effect *x)
{
    if (x->apply.lo != n->applied + 1 || x->apply.hi <= x->apply.lo) {
        world_violation(w, VIOLATION_CONTRACT,
                        "node %d applies from %" PRIu64 " when %" PRIu64 " is applied", n->index,
                        x->apply.lo, n->applied);
    }
    for (qr_slot slot = x->apply.lo; slot < x->apply.hi; slot++) {
        const struct entry *e = image_at(&n->log, slot);
        if (e == NULL) {
            world_violation(w, VIOLATION_CONTRACT, "node %d applies %" PRIu64 ", which it lacks",
                            n->index, slot);
        }
        struct entry copy = *e;
        safety_applying(w, n, slot, &copy);
        pasts_enter(w, n, slot);
        struct model_result result = execute(w, n->values, copy.attempt);
        n->applied = slot;
        n->applied_chain = copy.chain;
        pasts_applied(w, n, copy.attempt);
        if (states_members(&copy)) {
            n->membership = (struct membership_at){ .slot = slot, .members = copy.members };
            n->epoch = copy.epoch;
            n->roster = copy.roster;
        }
        w->counters->applied++;
        requests_applied(w, n, slot, &copy, result);
    }
    shares_applied(w, n);
    requests_serve(w, n);
    uint64_t every = w->options.checkpoint_every;
    if (every != 0 && n->applied >= n->safe.slot + every) {
        snapshots_take(w, n);
    }
}

static void trim(struct world *w, struct sim_node *n, qr_slot upto)
{
    if (n->safe.number == 0 || upto > n->safe.slot) {
        world_violation(w, VIOLATION_CONTRACT, "node %d trims beyond its checkpoint", n->index);
    }
    if (upto <= n->log.base) {
        return;
    }
    qr_term term = image_term(&n->log, upto);
    uint64_t chain = image_chain(&n->log, upto);
    image_trim(&n->log, upto, term, chain);
    image_trim(&n->disk, upto, term, chain);
    w->counters->trims++;
}

/* From now on the leader believes no more of it than it holds (VIOLATION_MATCH). */
static void lose(struct world *w, struct sim_node *n, node_index member)
{
    if (!w->nodes[member].unknowing) {
        world_violation(w, VIOLATION_LOSS, "node %d takes %d for one that has lost entries",
                        n->index, member);
    }
    w->nodes[member].unknowing = false;
}

/* --- one effect, all effects ---------------------------------------------------------------- */

static void do_effect(struct world *w, struct sim_node *n, const struct effect *x,
                      const struct packet *received, struct packet *packet)
{
    switch (x->kind) {
    case EFFECT_PERSIST:
        persist(w, n, x, received);
        break;
    case EFFECT_SEND:
        leave(w, n, packet);
        break;
    case EFFECT_APPLY:
        apply(w, n, x);
        break;
    case EFFECT_ANSWER:
        requests_refuse(w, n, x);
        break;
    case EFFECT_READ:
        requests_confirm(w, n, x);
        break;
    case EFFECT_TRIM:
        trim(w, n, x->trim.upto);
        break;
    case EFFECT_ROLLBACK:
        takeback(w, n, x);
        break;
    case EFFECT_TRACE:
        driver_trace(w, n, x);
        break;
    case EFFECT_SNAPSHOT:
        snapshots_wanted(w, n, x->snapshot.to, x->snapshot.least);
        break;
    case EFFECT_INSTALL:
        snapshots_install(w, n, x);
        break;
    case EFFECT_LOSS:
        lose(w, n, x->loss.node);
        break;
    }
}

static void hold(struct world *w, struct sim_node *n, const struct effect *x, struct packet *packet)
{
    if (x->after > n->minted) {
        free(packet);
        world_violation(w, VIOLATION_CONTRACT, "node %d waits for ticket %" PRIu64 " of %" PRIu64,
                        n->index, x->after, n->minted);
    }
    if (n->held_count == n->held_cap) {
        n->held_cap = n->held_cap == 0 ? 16 : n->held_cap * 2;
        n->held = qr_realloc(n->held, n->held_cap * sizeof *n->held);
    }
    n->held[n->held_count++] = (struct held){ .effect = *x, .packet = packet };
    w->counters->held_effects++;
}

/* True when the armed crash strikes before this effect. */
static bool strikes(struct world *w, struct sim_node *n)
{
    if (n->crash_in < 0 || n->crash_in-- > 0) {
        return false;
    }
    w->counters->crashes_between_effects++;
    node_crash_briefly(w, n, n->crash_power);
    return true;
}

void driver_carry_out(struct world *w, struct sim_node *n, const struct event *e,
                      const struct packet *received)
{
    (void)e;
    for (uint32_t i = 0; i < w->out.n; i++) {
        const struct effect *x = &w->out.v[i];
        if (x->kind != EFFECT_TRACE && strikes(w, n)) {
            return;
        }
        struct packet *packet = NULL;
        if (x->kind == EFFECT_SEND) {
            check_send(w, n, x);
            packet = packet_of(w, n, x);
        }
        world_mix(w, ((uint64_t)x->kind << 32) ^ x->after);
        if ((w->show & SHOW_EFFECTS) != 0) {
            driver_tell(w, n, x);
        }
        if (x->after > n->synced) {
            hold(w, n, x, packet);
        } else {
            do_effect(w, n, x, received, packet);
        }
    }
}

void driver_release(struct world *w, struct sim_node *n, qr_ticket upto)
{
    size_t kept = 0, count = n->held_count;
    struct held *held = n->held;
    /* The list is taken over first: what is carried out must not find itself in it. */
    n->held = NULL;
    n->held_count = n->held_cap = 0;
    uint32_t incarnation = n->incarnation;
    for (size_t i = 0; i < count; i++) {
        bool alive = n->up && n->incarnation == incarnation;
        if (alive && held[i].effect.after <= upto && strikes(w, n)) {
            alive = false;
        }
        if (!alive) {
            free(held[i].packet);
        } else if (held[i].effect.after <= upto) {
            do_effect(w, n, &held[i].effect, NULL, held[i].packet);
        } else {
            held[kept++] = held[i];
        }
    }
    if (!n->up || n->incarnation != incarnation) {
        for (size_t i = 0; i < kept; i++) {
            free(held[i].packet);
        }
        free(held);
        return;
    }
    qr_assert(n->held_count == 0);
    n->held = held;
    n->held_count = kept;
    n->held_cap = count;
}

/* What a crash takes with it. */
void driver_forget(struct sim_node *n)
{
    for (size_t i = 0; i < n->held_count; i++) {
        free(n->held[i].packet);
    }
    n->held_count = 0;
    n->pending_count = 0;
    n->waiting_count = 0;
    n->taking = (struct checkpoint){ 0 };
}
