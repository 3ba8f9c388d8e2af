/* Primary/backup: one member takes all writes and brings them to the others; how many must have
 * one before it is answered is the view's rule, from none to all.
 *
 * After Oki and Liskov, "Viewstamped Replication" (1988), Liskov and Cowling, "Viewstamped
 * Replication Revisited" (2012), Lin, Yang, Zhang and Zhou, "PacificA" (2008), Howard, Malkhi and
 * Spiegelman, "Flexible Paxos" (2016) for the size of the quorums, and the log of Ongaro's
 * dissertation (2014). Who is the primary is not decided here but by group 0, which writes down
 * views (docs/decisions/056). This file is the frame: events come in here and go to the file of
 * their concern.
 *
 *   view.c       views, promises, leases: who is the primary    PacificA 4; VR revisited 4.2
 *   replicate.c  the primary's side of the log
 *   feed.c       members that feed others
 *   commit.c     when a slot is committed                       Flexible Paxos; diss. 3.6.2
 *   executed.c   when it is executed by others, too
 *   append.c     the other members' side
 *   ask.c        reads at those who do not lead
 *   rollback.c   what is taken back
 *   snapshot.c   checkpoints, and members brought up by them
 *   forget.c     members that may have lost what they acknowledged
 *   transfer.c   a planned hand-over
 *   persist.c    what must be durable, and since which ticket
 *   check.c      invariants; describe.c: text, digest, trace points
 *
 * One instance per group and node: a flat struct primary, no pointers inside. There is no election
 * and no time-out: a member without a primary waits for group 0. */
#include "protocol/primary/primary.h"

#include "base/prefetch.h"
#include "protocol/primary/state.h"

/* The most that one step pushes: per member two APPENDs with entries, one with a commit, a
 * heartbeat, a reminder, a SNAPSHOT, a FEED and two trace points; three PERSISTs, ROLLBACK,
 * INSTALL, APPLY, TRIM, LOSS, a handful of answers and trace points. */
#define STEP_EFFECTS (MEMBERS_MAX * (APPENDS_PER_STEP + 7) + 32)
#define STEP_SCRATCH (STEP_EFFECTS * sizeof(struct primary_append_reject))

/* --- Life ----------------------------------------------------------------------------------- */

static struct needs primary_needs(const struct protocol_limits *limits)
{
    qr_assert(limits->append_entries > 0);
    return (struct needs){ .state = sizeof(struct primary),
                           .effects = STEP_EFFECTS,
                           .scratch = STEP_SCRATCH };
}

static void primary_init(void *self, const struct protocol_limits *limits, node_index me,
                         uint64_t seed)
{
    struct primary *p = self;
    qr_assert(limits->heartbeat > 0);
    qr_assert(limits->appends_in_flight > 0);
    *p = (struct primary){ .limits = *limits, .me = me, .rng = rng_from(seed) };
    p->life = (uint32_t)rng_next(&p->rng) | 1;
    p->leader = NODE_NONE;
    p->view.primary = NODE_NONE;
    p->transfer_to = NODE_NONE;
}

static void load_state(struct primary *p, uint16_t kind, const void *body)
{
    if (kind == PRIMARY_STATE) {
        const struct primary_state *state = body;
        p->term = state->term;
        p->led = state->led;
        p->local = state->local;
        p->floor = state->floor;
        p->own = state->own;
    } else if (kind == PRIMARY_FORGETFUL_STATE) {
        const struct primary_forgetful_state *state = body;
        p->term = state->term;
        p->led = state->led;
        p->local = state->local;
        p->floor = state->floor;
        p->own = state->own;
    } else {
        qr_assert(kind == 0);
    }
}

static void on_start(struct primary *p, struct effects *out, const struct event *event)
{
    qr_assert(!p->started);
    qr_assert(p->me < MEMBERS_MAX);
    qr_assert(event->start.base_slot <= event->start.applied_slot);
    qr_assert(event->start.applied_slot <= event->start.last_slot);
    p->started = true;
    load_state(p, event->start.state_kind, event->start.state);
    trail_load(&p->trail, event->start.base_slot, event->start.base_term, event->start.last_slot,
               event->start.runs, event->start.run_count);
    journal_start(&p->journal, event->start.last_slot);
    p->own = min_u64(p->own, p->trail.last_slot); /* what was taken back has its name */
    qr_term seen = max_u64(trail_last_term(&p->trail), event->start.commit_term);
    if (seen > p->term) {
        /* Entries of a term are written with or after its state record; the checkpoint may be
         * ahead of both. Nothing of that term has left: its record would have been durable. */
        p->term = seen;
        p->led = false;
        p->state_dirty = true;
    }
    if (p->led && trail_last_term(&p->trail) == p->term) {
        p->own = p->trail.last_slot; /* S5 */
    }
    p->trimmed = event->start.base_slot;
    p->applied = event->start.applied_slot;
    p->checkpoint = event->start.applied_slot;
    p->commit = max_u64(p->applied, p->trail.base_slot);
    primary_ask_start(p);
    effects_trace(out, POINT_STARTED, p->term, p->trail.last_slot, 0);
    if (event->start.forgetful || event->start.state_kind == PRIMARY_FORGETFUL_STATE) {
        primary_forget(p, out);
    }
}

/* --- Clients -------------------------------------------------------------------------------- */

/* Whether it takes anything at all: L5, X2. */
static bool is_open(const struct primary *p)
{
    return p->phase == PHASE_PRIMARY && p->leased && !p->transfer_closed;
}

static uint32_t room(const struct primary *p)
{
    if (p->phase != PHASE_PRIMARY) {
        return p->limits.uncommitted_max; /* refused rather than kept waiting */
    }
    uint64_t open = p->trail.last_slot - p->commit;
    bool closed = !is_open(p) || p->transfer_paused || open >= p->limits.uncommitted_max;
    return closed ? 0 : p->limits.uncommitted_max - (uint32_t)open;
}

static enum qr_status judge(const struct primary *p, uint32_t count)
{
    if (!is_open(p) || p->transfer_paused) {
        return STATUS_NOT_LEADER;
    }
    if (p->trail.last_slot - p->commit + count > p->limits.uncommitted_max) {
        return STATUS_OVERLOADED;
    }
    return primary_has_replicas(p) ? STATUS_OK : STATUS_NOREPLICAS; /* K5 */
}

static void on_submit(struct primary *p, struct effects *out, qr_req first, uint32_t count)
{
    qr_assert(count > 0);
    enum qr_status status = judge(p, count);
    if (status != STATUS_OK) {
        effects_answer(out, first, count, status);
        return;
    }
    primary_persist_entries(p, out, p->trail.last_slot + 1 + count, p->term, first, false);
    primary_advance_commit(p); /* where its own copy, just received, is enough */
    primary_replicate_all(p, out);
}

bool primary_may_show(const struct primary *p)
{
    return is_open(p) && p->exact;
}

static void on_read(struct primary *p, struct effects *out, qr_req first, uint32_t count)
{
    qr_assert(count > 0);
    if (p->phase != PHASE_PRIMARY) {
        primary_ask_index(p, out, first, count);
        return;
    }
    if (!primary_may_show(p)) {
        effects_trace(out, POINT_READS_REFUSED, count, 0, 0);
        effects_answer(out, first, count, STATUS_NOT_LEADER);
        return;
    }
    struct effect *e = effects_push(out, EFFECT_READ);
    e->read.first = first;
    e->read.count = count;
    e->read.slot = p->commit;
    e->read.held = true;
}

/* --- Messages ------------------------------------------------------------------------------- */

#define MESSAGE(tag, NAME, name, lane, sentence) \
    _Static_assert(offsetof(struct primary_##name, term) == 0, "on_receive looks there");
#define FIELD(type, name)
#define END(name)
#include "protocol/primary/primary_messages.def"
#undef MESSAGE
#undef FIELD
#undef END

static void on_stale(struct primary *p, struct effects *out, const struct primary_stale *m)
{
    if (m->term > p->term) {
        primary_promise(p, out, m->term);
    }
}

/* Any index may speak: a view here may be old. Who counts for what is each rule's own matter. */
static void on_receive(struct primary *p, struct effects *out, const struct event *event)
{
    node_index from = event->receive.from;
    const struct message *message = &event->receive.message;
    bool alien = from >= MEMBERS_MAX || from == p->me || event->receive.membership_count > 0;
    if (alien || trail_is_absurd(&p->trail, *(const qr_term *)message->body)) {
        effects_trace(out, POINT_DROPPED, message->kind, from, 0);
        return;
    }
    switch (message->kind) {
    case PRIMARY_APPEND:
        primary_on_append(p, out, from, message);
        return;
    case PRIMARY_FEED:
        primary_on_feed(p, out, from, message->body);
        return;
    case PRIMARY_RELAY:
        primary_on_relay(p, out, from, message);
        return;
    case PRIMARY_APPEND_ACK:
        primary_on_append_ack(p, out, from, message->body);
        return;
    case PRIMARY_APPEND_REJECT:
        primary_on_append_reject(p, out, from, message->body);
        return;
    case PRIMARY_HEARTBEAT:
        primary_on_heartbeat(p, out, from, message->body);
        return;
    case PRIMARY_HEARTBEAT_ACK:
        primary_on_heartbeat_ack(p, out, from, message->body);
        return;
    case PRIMARY_STALE:
        on_stale(p, out, message->body);
        return;
    case PRIMARY_RECOVERED:
        primary_on_recovered(p, out, from, message->body);
        return;
    case PRIMARY_FOREIGN:
        primary_on_foreign(p, out, from, message->body);
        return;
    case PRIMARY_APPLIED:
        primary_on_applied(p, out, from, message->body);
        return;
    case PRIMARY_READ_ASK:
        primary_on_read_ask(p, out, from, message->body);
        return;
    case PRIMARY_READ_AT:
        primary_on_read_at(p, out, from, message->body);
        return;
    }
    effects_trace(out, POINT_DROPPED, message->kind, from, 0); /* P1 */
}

/* --- Disk, peers, operators, time ----------------------------------------------------------- */

static void on_durable(struct primary *p, qr_ticket upto)
{
    if (upto <= p->journal.durable) {
        return;
    }
    journal_durable(&p->journal, upto);
    if (p->phase == PHASE_PRIMARY) {
        primary_advance_commit(p);
    }
}

/* What was in flight may be lost. */
static void on_peer(struct primary *p, struct effects *out, node_index node, bool up)
{
    bool fed = node < MEMBERS_MAX && (p->feed & node_bit(node)) != 0;
    if (up && fed) {
        primary_feed_itself(p, out, node);
        if (p->phase == PHASE_PRIMARY) {
            primary_heartbeat(p, out, node);
        }
        primary_replicate(p, out, node);
    } else if (!up && p->phase == PHASE_PRIMARY) {
        primary_feeder_lost(p, out, node);
    } else if (!up && node == p->leader) {
        primary_refuse_reads(p, out); /* I4 */
    }
}

/* Members, and who leads, are group 0's to say. */
static void on_admin(struct primary *p, struct effects *out, const struct event *event)
{
    if (event->admin.order == ADMIN_TRANSFER) {
        primary_on_transfer(p, out, event);
    } else if (event->admin.order == ADMIN_ZONES) {
        primary_on_zones(p, event->admin.argument);
    } else {
        effects_answer(out, event->admin.req, 1, STATUS_NOT_LEADER);
    }
}

static void on_timer(struct primary *p, struct effects *out)
{
    if (p->phase == PHASE_PRIMARY && p->now >= p->heartbeat_due) {
        primary_heartbeat_all(p, out);
    }
    primary_ask_again(p, out);
}

static qr_time primary_deadline(const void *self)
{
    const struct primary *p = self;
    if (p->phase != PHASE_PRIMARY) {
        return primary_ask_at(p);
    }
    bool hands_over = p->transfer_to != NODE_NONE && !p->transfer_closed;
    qr_time due = hands_over ? p->transfer_due : QR_NEVER;
    return p->feed == 0 ? due : earlier(due, p->heartbeat_due);
}

/* --- The step ------------------------------------------------------------------------------- */

static void dispatch(struct primary *p, struct effects *out, const struct event *event)
{
    switch (event->kind) {
    case EVENT_START:
        on_start(p, out, event);
        return;
    case EVENT_RECEIVE:
        on_receive(p, out, event);
        return;
    case EVENT_SUBMIT:
        on_submit(p, out, event->submit.first, event->submit.count);
        return;
    case EVENT_READ:
        on_read(p, out, event->read.first, event->read.count);
        return;
    case EVENT_DURABLE:
        on_durable(p, event->durable.upto);
        return;
    case EVENT_SNAPSHOT:
        primary_on_snapshot(p, out, event->snapshot.slot, event->snapshot.release,
                            event->snapshot.pin);
        return;
    case EVENT_TIMER:
        on_timer(p, out);
        return;
    case EVENT_PEER:
        on_peer(p, out, event->peer.node, event->peer.up);
        return;
    case EVENT_ADMIN:
        on_admin(p, out, event);
        return;
    case EVENT_OFFER:
        primary_on_offer(p, out, event);
        return;
    case EVENT_VIEW:
        primary_on_view(p, out, &event->view);
        return;
    case EVENT_LEASE:
        primary_on_lease(p, out, event->lease.held);
        return;
    case EVENT_EXECUTED:
        primary_on_executed(p, out, event->executed.slot);
        return;
    }
    qr_unreachable();
}

/* What any event may have made possible. */
static void finish(struct primary *p, struct effects *out)
{
    primary_persist_state(p, out);
    if (p->commit > p->applied) {
        struct effect *e = effects_push(out, EFFECT_APPLY);
        e->apply.lo = p->applied + 1;
        e->apply.hi = p->commit + 1;
        p->applied = p->commit;
    }
    primary_prove(p);
    if (p->phase == PHASE_PRIMARY) {
        primary_tell_commit(p, out);
        primary_transfer_proceed(p, out);
    }
}

static void primary_step(void *self, const struct event *event, struct effects *out)
{
    struct primary *p = self;
    qr_assert(p->started == (event->kind != EVENT_START));
    p->now = event->now > p->now ? event->now : p->now;
    dispatch(p, out, event);
    finish(p, out);
}

/* --- Looking in ----------------------------------------------------------------------------- */

static void primary_prefetch(const void *self, node_index from)
{
    const struct primary *p = self;
    qr_prefetch(&p->now, 3 * CACHE_LINE_BYTES);
    qr_prefetch(&p->journal, 2 * CACHE_LINE_BYTES);
    qr_prefetch(&p->trail, 2 * CACHE_LINE_BYTES);
    if (from < MEMBERS_MAX) {
        qr_prefetch(&p->peer[from], sizeof p->peer[from]);
    }
}

static void tell_members(const struct primary *p, struct outlook *out)
{
    bool leads = p->phase == PHASE_PRIMARY;
    uint32_t known = view_all(&p->view);
    out->members = known == 0 ? 0 : (uint8_t)(32 - __builtin_clz(known));
    for (node_index i = 0; i < out->members; i++) {
        const struct peer *peer = &p->peer[i];
        struct member_outlook *m = &out->member[i];
        *m = (struct member_outlook){ 0 };
        if (!leads || (known >> i & 1) == 0) {
            continue;
        }
        m->match = i == p->me ? p->journal.durable_slot : peer->match;
        m->heard = i == p->me ? p->now : peer->heard;
        m->echoed = i == p->me ? p->now : peer->echoed;
        m->needs_snapshot = i != p->me && peer->mode == PEER_SNAPSHOT;
        m->fed_by = (p->fed & node_bit(i)) != 0 ? (uint8_t)(peer->feeder + 1) : 0;
        m->forgetful = i != p->me && peer->forgetful;
        m->lively = primary_is_lively(p, i);
    }
}

static void primary_outlook(const void *self, struct outlook *out)
{
    const struct primary *p = self;
    bool leads = p->phase == PHASE_PRIMARY;
    out->term = p->term;
    out->commit = p->commit;
    out->last = p->trail.last_slot;
    out->first = p->trimmed + 1;
    out->membership_slot = 0;
    out->membership =
        (struct membership){ .voters = p->view.members, .learners = p->view.learners };
    out->room = room(p);
    out->leaving = 0;
    out->leader = p->leader;
    out->transfer_to = p->transfer_to;
    out->role = leads ? ROLE_LEADER : p->phase == PHASE_STANDING ? ROLE_CANDIDATE : ROLE_FOLLOWER;
    out->can_serve = primary_may_show(p);
    out->forgetful = p->forgetful;
    out->counts = leads;
    out->skewed = false;
    out->stands_back = false;
    out->quiet = false;
    out->informed = p->informed;
    out->stands = primary_stands(p);
    out->settled = leads && p->commit >= p->term_start;
    out->barred = p->barred;
    out->closed = p->transfer_closed;
    out->sure = primary_sure(p);
    out->again = primary_again(p);
    out->shares = primary_shares(p);
    out->proven = p->proven;
    out->shared = leads && out->shares ? primary_shared(p) : 0;
    out->feeds = leads || p->now >= p->feeds_till ? 0 : p->feed;
    out->rule_set = leads ? p->view.set : 0;
    out->rule_copies = leads ? p->view.copies : 0;
    out->rule_stage = leads ? p->view.stage : 0;
    if (out->stands || (p->forgetful && p->journal.durable == p->journal.minted)) {
        out->stood = (struct stood){ p->term, trail_last_term(&p->trail), p->trail.last_slot };
    }
    tell_members(p, out);
}

/* --- Three promises --------------------------------------------------------------------------- */

static uint32_t tolerates_none(uint32_t replicas)
{
    (void)replicas;
    return 0;
}

/* Of ANY k with n members writes go on while k others are there; with k = 1 of what is promised
 * here nobody else is needed. */
static uint32_t tolerates_all_but_two(uint32_t replicas)
{
    return replicas < 2 ? 0 : replicas - 2;
}

#define READS                                                                        \
    (READ_BIT(READ_LEADER) | READ_BIT(READ_PREFIX) | READ_BIT(READ_LOCAL) |           \
     READ_BIT(READ_SESSION) | READ_BIT(READ_BOUNDED))

#define OF_COPIES (ACK_BIT(ACK_DURABLE) | ACK_BIT(ACK_RECEIVED) | ACK_BIT(ACK_APPLIED))

#define PRIMARY_PROTOCOL(name_, ...)                                                            \
    {                                                                                           \
        .name = (name_), .promise = { __VA_ARGS__ }, .views = true, .codec = &primary_codec,    \
        .needs = primary_needs, .init = primary_init, .step = primary_step,                     \
        .prefetch = primary_prefetch, .deadline = primary_deadline, .outlook = primary_outlook, \
        .check = primary_check, .digest = primary_digest, .describe = primary_describe,         \
        .trace = primary_trace_text                                                             \
    }

const struct protocol primary_async_protocol = PRIMARY_PROTOCOL(
    "primary-async", .consistency = CONSISTENCY_EVENTUAL, .reads = READS,
    .acks = ACK_BIT(ACK_LOCAL), .ack_stages = ACK_BIT(ACK_DURABLE) | ACK_BIT(ACK_RECEIVED),
    .survives_minority_crash = false, .available_in_minority = true, .messages_per_replica = 1,
    .tolerates = tolerates_all_but_two);

const struct protocol primary_semi_protocol = PRIMARY_PROTOCOL(
    "primary-semi", .consistency = CONSISTENCY_LINEARIZABLE,
    .reads = READS | READ_BIT(READ_LINEARIZABLE), .acks = ACK_BIT(ACK_ANY), .ack_stages = OF_COPIES,
    .survives_minority_crash = true, .available_in_minority = true, .messages_per_replica = 2,
    .tolerates = tolerates_all_but_two);

const struct protocol primary_sync_protocol = PRIMARY_PROTOCOL(
    "primary-sync", .consistency = CONSISTENCY_LINEARIZABLE,
    .reads = READS | READ_BIT(READ_LINEARIZABLE), .acks = ACK_BIT(ACK_ALL), .ack_stages = OF_COPIES,
    .survives_minority_crash = true, .available_in_minority = false, .messages_per_replica = 2,
    .tolerates = tolerates_none);
