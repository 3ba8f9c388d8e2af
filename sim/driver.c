/* The model driver: carries out effects as src/node does, and holds the protocol to its contract.
 *
 * A write is answered OK when APPLY covers its slot with its term; it surely failed when APPLY
 * covers its slot with another term; everything else is uncertain. */
#include "sim/checkers/safety.h"
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

static struct pending *pending_of(struct sim_node *n, qr_req req)
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
        struct pending *p = pending_of(n, x->persist.req + (slot - x->persist.lo));
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

/* --- apply and answer ----------------------------------------------------------------------- */

static void drop_pending(struct sim_node *n, struct pending *p)
{
    size_t at = (size_t)(p - n->pending);
    n->pending_count--;
    memmove(p, p + 1, (n->pending_count - at) * sizeof *p);
}

static void answer_write(struct world *w, struct sim_node *n, qr_slot slot, const struct entry *e,
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
        drop_pending(n, p);
        workload_answer(w, attempt, ours ? STATUS_OK : STATUS_LEADER_CHANGED, result);
    }
}

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

static bool may_serve(struct world *w, struct sim_node *n, struct pending *p)
{
    return p->is_read && p->confirmed &&
           (p->has_wish ? sessions_serve(w, n, p) : p->slot <= n->applied);
}

static void serve_reads(struct world *w, struct sim_node *n)
{
    for (size_t i = 0; i < n->pending_count;) {
        struct pending *p = &n->pending[i];
        if (!may_serve(w, n, p)) {
            i++;
            continue;
        }
        uint32_t attempt = p->attempt;
        bool expired = p->before != 0 && node_clock(w, n) >= p->before;
        drop_pending(n, p);
        w->counters->expired += expired ? 1 : 0;
        if (expired) {
            workload_answer(w, attempt, STATUS_EXPIRED, (struct model_result){ 0 });
        } else {
            sessions_answer(w, n, attempt);
        }
    }
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
        answer_write(w, n, slot, &copy, result);
    }
    serve_reads(w, n);
    uint64_t every = w->options.checkpoint_every;
    if (every != 0 && n->applied >= n->safe.slot + every) {
        snapshots_take(w, n);
    }
}

static void refuse(struct world *w, struct sim_node *n, const struct effect *x)
{
    for (qr_req req = x->answer.first; req < x->answer.first + x->answer.count; req++) {
        struct pending *p = pending_of(n, req);
        if (p == NULL) {
            world_violation(w, VIOLATION_CONTRACT, "node %d answers request %" PRIu64 " twice",
                            n->index, req);
        }
        uint32_t attempt = p->attempt, order = p->order;
        drop_pending(n, p);
        if (order != 0) {
            members_answer(w, n, order, x->answer.status);
            continue;
        }
        workload_answer(w, attempt, x->answer.status, (struct model_result){ .kind = RESULT_OK });
    }
}

static void confirm_reads(struct world *w, struct sim_node *n, const struct effect *x)
{
    struct outlook outlook;
    node_outlook(w, n, &outlook);
    bool asked = outlook.role != ROLE_LEADER;
    for (qr_req req = x->read.first; req < x->read.first + x->read.count; req++) {
        struct pending *p = pending_of(n, req);
        if (p == NULL || !p->is_read || p->confirmed) {
            world_violation(w, VIOLATION_CONTRACT, "node %d confirms read %" PRIu64 " twice",
                            n->index, req);
        }
        p->confirmed = true;
        p->slot = x->read.slot;
        p->before = x->read.before;
        w->counters->asked_reads += asked ? 1 : 0;
        w->counters->asked_ahead += asked && p->slot > n->applied ? 1 : 0;
    }
    serve_reads(w, n);
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
        refuse(w, n, x);
        break;
    case EFFECT_READ:
        confirm_reads(w, n, x);
        break;
    case EFFECT_TRIM:
        trim(w, n, x->trim.upto);
        break;
    case EFFECT_ROLLBACK: /* no strategy that is simulated says so yet */
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

/* --- requests in ---------------------------------------------------------------------------- */

void driver_add(struct sim_node *n, struct pending p)
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
void driver_pump(struct world *w, struct sim_node *n)
{
    n->pumping = false;
    sessions_take(w, n);
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
        driver_add(n, (struct pending){
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

void driver_order(struct world *w, struct sim_node *n, uint32_t number)
{
    const struct order *o = &w->orders[number];
    qr_req req = n->next_req++;
    driver_add(n, (struct pending){ .req = req, .order = number });
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

void driver_skip(struct world *w, struct sim_node *n)
{
    for (size_t i = 0; i < n->pending_count;) {
        struct pending *p = &n->pending[i];
        if (p->is_read || p->slot == 0) {
            i++;
            continue;
        }
        uint32_t attempt = p->attempt;
        drop_pending(n, p);
        workload_answer(w, attempt, STATUS_UNCERTAIN, (struct model_result){ 0 });
    }
    serve_reads(w, n);
}
