/* A node's life: its clocks, one step at a time, crash and restart, pause and resume. */
#include "sim/checkers/safety.h"
#include "sim/council.h"
#include "sim/pasts.h"
#include "sim/sessions.h"

#define SPINS_MAX 2000u /* timer events at one moment of true time */

qr_time node_clock(const struct world *w, const struct sim_node *n)
{
    qr_time passed = w->now - n->anchor_true;
    return n->anchor_local + passed + passed * n->drift_ppm / 1000000;
}

static void set_timer(struct world *w, struct sim_node *n)
{
    qr_time deadline = w->protocol->deadline(n->self);
    if (deadline == QR_NEVER) {
        n->timer_generation++;
        n->timer_at = QR_NEVER;
        return;
    }
    qr_time ahead = deadline - node_clock(w, n);
    qr_time at = w->now;
    if (ahead > 0) {
        /* One more than the rounding can take away, so that the clock has really reached it. */
        at += ahead * 1000000 / (1000000 + n->drift_ppm) + 2;
    }
    if (at == n->timer_at) {
        return;
    }
    n->timer_at = at;
    n->timer_generation++;
    qr_time late =
        w->options.timer_late > 0 ? (qr_time)rng_below(&w->rng, w->options.timer_late) : 0;
    world_push(w, at - w->now + late,
               (struct item){ .kind = ITEM_TIMER,
                              .node = n->index,
                              .incarnation = n->incarnation,
                              .a = (int64_t)n->timer_generation });
}

void node_set_drift(struct world *w, struct sim_node *n, int64_t ppm)
{
    n->anchor_local = node_clock(w, n);
    n->anchor_true = w->now;
    n->drift_ppm = ppm;
    if (n->up) {
        n->timer_at = -1;
        set_timer(w, n);
    }
}

static const char *event_name(const struct event *e)
{
    static const char *const names[] = { "?",       "start",    "receive", "submit",  "read",
                                         "durable", "snapshot", "timer",   "peer",    "admin",
                                         "offer",   "view",     "lease",   "executed" };
    return names[e->kind];
}

static void tell_event(struct world *w, const struct sim_node *n, const struct event *e)
{
    if ((w->show & SHOW_EVENTS) == 0 || (e->kind == EVENT_TIMER && (w->show & SHOW_ROUTINE) == 0)) {
        return;
    }
    if (e->kind == EVENT_RECEIVE) {
        char line[300];
        struct text t = text_in(line, sizeof line);
        w->protocol->codec->print(e->receive.message.kind, e->receive.message.body, &t);
        if (w->protocol->codec->is_control(e->receive.message.kind) && !(w->show & SHOW_ROUTINE)) {
            return;
        }
        world_tell(w, "%d < from %d: %s", n->index, e->receive.from, line);
        return;
    }
    world_tell(w, "%d < %s", n->index, event_name(e));
}

/* Hands the event to the protocol and carries out what it wants. The caller looks at the node's
 * incarnation when it goes on: the node may have crashed between two effects. */
static void step_with(struct world *w, struct sim_node *n, struct event *e,
                      const struct packet *received)
{
    qr_assert(n->up && !n->paused);
    e->now = node_clock(w, n);
    e->wall = w->now + n->wall_offset;
    w->steps++;
    tell_event(w, n, e);
    memcpy(n->before, n->self, w->needs.state);
    w->out.n = 0;
    w->out.scratch_n = 0;
    w->protocol->step(n->self, e, &w->out);
    w->protocol->check(n->self, n->before);
    safety_leading(w, n);
    world_mix(w, ((uint64_t)e->kind << 8) ^ n->index ^ ((uint64_t)w->now << 16));
    if (w->deep_digest) {
        world_mix(w, w->protocol->digest(n->self));
    }
    uint32_t incarnation = n->incarnation;
    driver_carry_out(w, n, e, received);
    if (!n->up || n->incarnation != incarnation) {
        return;
    }
    n->sync_upto = n->sync_upto == 0 ? n->minted : n->sync_upto;
    safety_after_step(w, n);
    sessions_after_step(w, n);
    takeback_again(w, n);
    shares_after_step(w, n);
    set_timer(w, n);
    if (n->waiting_count > 0 && !n->pumping) {
        n->pumping = true;
        world_push(
            w, 0,
            (struct item){ .kind = ITEM_PUMP, .node = n->index, .incarnation = n->incarnation });
    }
}

void node_step(struct world *w, struct sim_node *n, struct event *e)
{
    step_with(w, n, e, NULL);
}

/* What entries state about members, behind `after`, into n->memberships from `count` on. */
static uint32_t stated(struct sim_node *n, uint32_t count, qr_slot lo, const struct entry *v,
                       size_t entries)
{
    for (size_t k = 0; k < entries; k++) {
        if (!states_members(&v[k])) {
            continue;
        }
        if (count >= n->memberships_cap) {
            n->memberships_cap = n->memberships_cap == 0 ? 16 : n->memberships_cap * 2;
            n->memberships =
                qr_realloc(n->memberships, n->memberships_cap * sizeof *n->memberships);
        }
        n->memberships[count++] = (struct membership_at){ .slot = lo + k, .members = v[k].members };
    }
    return count;
}

static void receive(struct world *w, struct sim_node *n, const struct packet *p)
{
    if (p->to_identity != n->identity || !members_speaks(w, n, p->from, p->from_identity)) {
        return; /* the connection was another node's */
    }
    bool gone =
        (w->core & node_bit(p->from)) == 0 || p->from_identity != w->nodes[p->from].identity;
    if (w->calm && gone) {
        return; /* the last word of one that is gone could tie up those that are left */
    }
    _Alignas(16) uint8_t body[1024];
    const struct codec *codec = w->protocol->codec;
    qr_assert(codec->body_max <= sizeof body);
    if (!codec->decode(p->kind, span_of(p->body, p->body_n), body)) {
        world_violation(w, VIOLATION_CONTRACT, "message %u does not decode", p->kind);
    }
    struct event e = { .kind = EVENT_RECEIVE,
                       .receive = { .from = p->from,
                                    .message = { .kind = p->kind,
                                                 .body = body,
                                                 .lo = p->lo,
                                                 .hi = p->hi,
                                                 .term = p->term } } };
    e.receive.membership_count = stated(n, 0, p->lo, p->entries, (size_t)(p->hi - p->lo));
    e.receive.memberships = n->memberships;
    step_with(w, n, &e, p);
}

void node_crash(struct world *w, struct sim_node *n, bool power)
{
    if (!n->up) {
        return;
    }
    world_tell(w, "%d %s", n->index, power ? "loses power" : "crashes");
    council_crashing(w, n);
    disk_crash(w, n, power);
    council_crashed(w, n, power);
    driver_forget(n);
    n->up = false;
    n->incarnation++;
    n->crash_in = n->crash_after_state = -1;
    n->role = ROLE_FOLLOWER;
    n->pumping = false;
    n->received.asking = false;
    if (power) { /* the last pieces may not have been on the disk */
        n->received.pieces -= rng_below(&w->rng, n->received.pieces + 1);
    }
    memset(n->kept, 0, sizeof n->kept);
    for (size_t i = 0; i < n->stalled_count; i++) {
        free(n->stalled[i].p);
    }
    n->stalled_count = 0;
    n->paused = false;
    network_connections(w, n->index, false, power);
    if (power) { /* the monotonic clock starts anew with the machine */
        n->anchor_local = (qr_time)rng_below(&w->rng, 1000000000);
        n->anchor_true = w->now;
    }
}

void node_crash_briefly(struct world *w, struct sim_node *n, bool power)
{
    qr_time back = (qr_time)rng_below(&w->rng, (uint64_t)n->restart_within);
    node_crash(w, n, power);
    world_push(w, back, (struct item){ .kind = ITEM_RESTART, .node = n->index });
}

/* The checkpoint holds committed state. A log that does not reach it, or that tells another story
 * at its slot (the writes that would have replaced the entries there were lost), continues nothing:
 * the checkpoint alone is the base then. */
static void recover(struct sim_node *n)
{
    n->applied = n->safe.slot;
    n->applied_chain = n->safe.number != 0 ? n->safe.chain : n->log.base_chain;
    n->membership = n->safe.number != 0 ? n->safe.membership : n->born;
    n->epoch = n->safe.number != 0 ? n->safe.epoch : 1;
    n->roster = n->safe.number != 0 ? n->safe.roster : 0;
    const struct entry *e = image_at(&n->disk, n->applied);
    if (n->applied > n->disk.base && (e == NULL || e->chain != n->safe.chain)) {
        image_trim(&n->disk, n->safe.slot, n->safe.term, n->safe.chain);
    }
    image_copy(&n->log, &n->disk);
    n->checked_commit = n->applied;
}

static uint32_t runs_of(const struct image *i, struct term_run *runs, uint32_t cap)
{
    uint32_t count = 0;
    for (size_t k = 0; k < i->n; k++) {
        if (count == 0 || runs[count - 1].term != i->v[k].term) {
            qr_assert(count < cap);
            runs[count++] = (struct term_run){ .slot = i->base + k + 1, .term = i->v[k].term };
        }
    }
    return count;
}

static void start_event(struct world *w, struct sim_node *n)
{
    _Alignas(16) uint8_t state[1024];
    n->runs = qr_realloc(n->runs, (n->log.n + 1) * sizeof *n->runs);
    struct event e = { .kind = EVENT_START };
    e.start.forgetful = n->damaged;
    if (n->log.state_kind != 0) {
        bool good = w->protocol->codec->decode(n->log.state_kind,
                                               span_of(n->log.state, n->log.state_n), state);
        qr_assert(good);
        e.start.state_kind = n->log.state_kind;
        e.start.state = state;
    }
    e.start.base_slot = n->log.base;
    e.start.base_term = n->log.base_term;
    e.start.applied_slot = n->applied;
    e.start.commit_term = n->safe.number != 0 ? n->safe.commit_term : 0;
    e.start.last_slot = image_last(&n->log);
    e.start.runs = n->runs;
    e.start.run_count = runs_of(&n->log, n->runs, (uint32_t)n->log.n + 1);
    if (n->memberships == NULL) {
        n->memberships_cap = 16;
        n->memberships = qr_alloc(n->memberships_cap * sizeof *n->memberships);
    }
    size_t behind = (size_t)(n->applied - n->log.base);
    n->memberships[0] = n->membership;
    e.start.membership_count = stated(n, 1, n->applied + 1, n->log.v + behind, n->log.n - behind);
    e.start.memberships = n->memberships;
    e.start.joined_slot = n->joined_slot;
    e.start.joined_term = n->joined_term;
    uint32_t incarnation = n->incarnation;
    node_step(w, n, &e);
    if (n->incarnation == incarnation) {
        safety_restarted(w, n);
        snapshots_resume(w, n);
    }
}

void node_clear(struct sim_node *n)
{
    qr_assert(!n->up);
    image_clear(&n->log);
    image_clear(&n->disk);
    n->safe = (struct checkpoint){ 0 };
    memset(n->kept, 0, sizeof n->kept);
    n->received = (struct received){ 0 };
    n->born = n->membership = (struct membership_at){ 0 };
    n->joined_slot = 0;
    n->joined_term = 0;
    n->roster = n->joined_roster = 0;
    n->durable_term = 0;
    n->checked_commit = 0;
    n->identity++;
    n->life = LIFE_NONE;
    n->damaged = n->unknowing = n->lost = n->removed = n->was_member = false;
    n->rotten_count = 0;
}

void node_start(struct world *w, struct sim_node *n)
{
    if (n->up || n->life == LIFE_NONE || n->life == LIFE_DEAD) {
        return;
    }
    if (n->life == LIFE_JOINING) {
        if ((membership_all(members_decided(w)) >> n->index & 1) == 0) {
            return; /* who asked to join begins when it is a member */
        }
        n->life = LIFE_NODE;
        w->counters->joined++;
    }
    if (!rot_is_healed(w, n)) {
        return;
    }
    recover(n);
    size_t size = (w->options.keys + 1) * sizeof *n->values;
    if (n->safe.number != 0) {
        memcpy(n->values, n->safe.values, size);
    } else {
        memset(n->values, 0, size);
    }
    pasts_load(w, n);
    n->up = true;
    n->incarnation++;
    memset(n->met, 0, sizeof n->met);
    n->term = 0;
    n->role = ROLE_FOLLOWER;
    n->timer_at = -1;
    n->current = false;
    n->fresh_at = 0;
    n->removed = false; /* until it applies that again, it cannot know */
    n->minted = n->synced = 0;
    memset(n->self, 0, w->needs.state);
    w->protocol->init(n->self, &w->limits, n->index, rng_next(&w->rng));
    world_tell(w, "%d starts", n->index);
    start_event(w, n);
    if (!n->up) {
        return;
    }
    uint32_t incarnation = n->incarnation;
    council_start(w, n);
    if (n->incarnation != incarnation) {
        return;
    }
    world_push(w, 0,
               (struct item){ .kind = ITEM_ADMIN,
                              .node = n->index,
                              .incarnation = n->incarnation,
                              .a = ADMIN_READ_MODE,
                              .b = (int64_t)w->options.lease_reads });
    beats_start(w, n);
    network_connections(w, n->index, true, false);
}

void node_pause(struct world *w, struct sim_node *n)
{
    if (n->up && !n->paused) {
        world_tell(w, "%d is paused", n->index);
        n->paused = true;
    }
}

void node_resume(struct world *w, struct sim_node *n)
{
    if (!n->paused) {
        return;
    }
    world_tell(w, "%d goes on", n->index);
    n->paused = false;
    n->removed_at = w->now; /* it has had no time to act on that */
    for (size_t i = 0; i < n->stalled_count; i++) {
        n->stalled[i].at = w->now;
        queue_push(&w->queue, n->stalled[i]);
    }
    n->stalled_count = 0;
}

void node_outlook(struct world *w, const struct sim_node *n, struct outlook *out)
{
    memset(out, 0, sizeof *out);
    w->protocol->outlook(n->self, out);
}

node_index world_leader(struct world *w)
{
    node_index best = NODE_NONE;
    for (node_index i = 0; i < w->node_count; i++) {
        const struct sim_node *n = &w->nodes[i];
        if (n->up && n->role == ROLE_LEADER &&
            (best == NODE_NONE || n->term > w->nodes[best].term)) {
            best = i;
        }
    }
    return best;
}

static void stall(struct sim_node *n, struct item *item)
{
    if (n->stalled_count == n->stalled_cap) {
        n->stalled_cap = n->stalled_cap == 0 ? 32 : n->stalled_cap * 2;
        n->stalled = qr_realloc(n->stalled, n->stalled_cap * sizeof *n->stalled);
    }
    n->stalled[n->stalled_count++] = *item;
    item->p = NULL; /* moved */
}

static void fire_timer(struct world *w, struct sim_node *n, const struct item *item)
{
    if ((uint64_t)item->a != n->timer_generation) {
        return; /* the deadline has moved since */
    }
    if (w->only_timer != 0 && w->only_timer != n->index + 1u) {
        world_push(w, 5000, *item);
        return;
    }
    n->spins = n->fired_at == w->now ? n->spins + 1 : 0;
    n->fired_at = w->now;
    if (n->spins > SPINS_MAX) {
        world_violation(w, VIOLATION_CONTRACT, "the timer of node %d fires without end", n->index);
    }
    n->timer_at = -1;
    struct event e = { .kind = EVENT_TIMER };
    node_step(w, n, &e);
}

static void node_item(struct world *w, struct sim_node *n, struct item *item)
{
    struct event e = { 0 };
    switch (item->kind) {
    case ITEM_MESSAGE:
        receive(w, n, item->p);
        break;
    case ITEM_TIMER:
        fire_timer(w, n, item);
        break;
    case ITEM_SYNCED:
        disk_synced(w, n, (uint64_t)item->a);
        break;
    case ITEM_CHECKPOINT:
        snapshots_taken(w, n, (uint64_t)item->a);
        break;
    case ITEM_FRAME:
        snapshots_frame(w, n, item->p);
        break;
    case ITEM_FETCH:
        snapshots_silent(w, n, (uint64_t)item->a, (uint64_t)item->b);
        break;
    case ITEM_OFFER:
        snapshots_offer(w, n, (uint64_t)item->a);
        break;
    case ITEM_ORDER:
        members_arrive(w, n, (uint32_t)item->a);
        break;
    case ITEM_REQUEST:
        workload_arrive(w, n, (uint32_t)item->a);
        break;
    case ITEM_PUMP:
        requests_pump(w, n);
        break;
    case ITEM_BEATS:
        beats_tick(w, n);
        break;
    case ITEM_BEAT:
        beats_hear(w, n, (node_index)item->a, (uint32_t)item->b);
        break;
    case ITEM_LEASE:
        leases_arrive(w, n, item);
        break;
    case ITEM_WATCH:
    case ITEM_VIEW:
    case ITEM_RENEWED:
    case ITEM_EXECUTED:
        council_reach(w, n, item);
        break;
    case ITEM_PEER:
        if (w->options.quiet_after != 0) {
            beats_connection(w, n, (node_index)item->a, item->b != 0);
            break;
        }
        e.kind = EVENT_PEER;
        e.peer.node = (node_index)item->a;
        e.peer.up = item->b != 0;
        node_step(w, n, &e);
        break;
    case ITEM_ADMIN:
        e.kind = EVENT_ADMIN;
        e.admin.order = (enum admin_kind)item->a;
        e.admin.argument = (uint64_t)item->b;
        node_step(w, n, &e);
        break;
    default:
        qr_unreachable();
    }
}

/* Carries out one item. The caller frees what it owns, unless a paused node took it. */
void world_one(struct world *w, struct item *item)
{
    struct sim_node *n = item->node == NODE_NONE ? NULL : &w->nodes[item->node];
    switch (item->kind) {
    case ITEM_RESULT:
        workload_hear(w, (uint32_t)item->a);
        return;
    case ITEM_RETRY:
        workload_retry(w, (uint32_t)item->a);
        return;
    case ITEM_GIVE_UP:
        workload_give_up(w, (uint32_t)item->a);
        return;
    case ITEM_ACTION:
        faults_carry_out(w, &w->plan.v[item->a]);
        return;
    case ITEM_RESUME:
        node_resume(w, n);
        return;
    case ITEM_RESTART:
        if (!w->calm || (w->core >> item->node & 1) != 0) { /* who is not of the core stays gone */
            node_start(w, n);
        }
        return;
    case ITEM_PROBE:
        if (!w->calm) {
            faults_probe(w, item->node, (enum op_kind)item->a);
        }
        return;
    case ITEM_CRASH:
        if (!w->calm && n->up && n->incarnation == item->incarnation) {
            node_crash_briefly(w, n, item->a != 0);
        }
        return;
    case ITEM_STRIKE:
        if (n->up && n->incarnation == item->incarnation) {
            faults_strike(w, n);
        }
        return;
    case ITEM_COUNCIL:
    case ITEM_REPORT:
    case ITEM_RENEW:
        council_hear(w, item);
        return;
    case ITEM_REJOIN:
        faults_rejoin(w, item->node);
        return;
    default:
        break;
    }
    if (!n->up || (item->incarnation != 0 && item->incarnation != n->incarnation)) {
        if (item->kind == ITEM_REQUEST && !n->up) {
            workload_answer(w, (uint32_t)item->a, STATUS_NOT_LEADER, (struct model_result){ 0 });
        }
        return;
    }
    if (n->paused) {
        stall(n, item);
        return;
    }
    node_item(w, n, item);
}
