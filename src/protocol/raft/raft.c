/* Raft: one leader orders operations into a log, a majority makes them durable.
 *
 * After Ongaro and Ousterhout, "In Search of an Understandable Consensus Algorithm" (2014, "the
 * paper"; figure 2 is the specification) and Ongaro's dissertation (2014, "diss."). This file is
 * the frame: events come in here and go to the file of their concern.
 *
 *   elect.c      who leads: time-outs, PreVote, votes           paper 5.2, 5.4.1; diss. 9.6
 *   replicate.c  the leader's side of the log, the commit index  paper 5.3, 5.4.2; diss. 10.2
 *   append.c     the follower's side                             paper 5.3
 *   read.c       linearizable reads by read index                diss. 6.4
 *   ask.c        and at those who do not lead                    diss. 6.4, end
 *   lease.c      and by lease                                    diss. 6.4.1
 *   members.c    who takes part                                  diss. 4.1, 4.3
 *   change.c     the leader changes that                         diss. 4
 *   transfer.c   handing leadership over                         diss. 3.10
 *   snapshot.c   checkpoints, and members brought up by them     diss. 5
 *   forget.c     members that may have lost what they promised
 *   quiet.c      groups that rest: no timers, no messages
 *   skew.c       leaving leadership when the wall clock is off
 *   persist.c    what must be durable, and since which ticket
 *   trail.c      which term stands at which slot; journal.c: which slots are durable
 *   check.c      invariants; describe.c: text, digest, trace points
 *
 * One instance per group and node: a flat struct raft, no pointers inside. */
#include "protocol/raft/raft.h"

#include "base/prefetch.h"
#include "protocol/raft/state.h"

/* The most that one step pushes: per member two APPENDs with entries, as many again when it ends
 * with another membership or with a barrier, one more, a heartbeat, a SNAPSHOT and a trace point
 * from the timer, and an answer; every waiting range of reads answered; three PERSISTs, INSTALL,
 * APPLY, TRIM, two orders answered; and a handful of trace points. */
#define STEP_EFFECTS (MEMBERS_MAX * (2 * APPENDS_PER_STEP + 5) + READ_RANGES + 1 + 8 + 20)
#define STEP_SCRATCH (STEP_EFFECTS * sizeof(struct raft_append))

/* --- Life ----------------------------------------------------------------------------------- */

static struct needs raft_needs(const struct protocol_limits *limits)
{
    qr_assert(limits->append_entries > 0);
    return (struct needs){ .state = sizeof(struct raft),
                           .effects = STEP_EFFECTS,
                           .scratch = STEP_SCRATCH };
}

static void raft_init(void *self, const struct protocol_limits *limits, node_index me,
                      uint64_t seed)
{
    struct raft *r = self;
    qr_assert(limits->heartbeat > 0);
    qr_assert(limits->lease > 0);
    qr_assert(limits->lease < limits->election);
    qr_assert(limits->drift_percent < 100);
    *r = (struct raft){ .limits = *limits, .me = me, .rng = rng_from(seed) };
    raft_ask_init(r, seed);
    r->vote = NODE_NONE;
    r->leader = NODE_NONE;
    r->transfer_to = NODE_NONE;
    r->learner = NODE_NONE;
    r->away = (uint16_t)(0xffff & ~node_bit(me)); /* until they are told to be up */
    r->read_mode = READ_MODE_READINDEX;
}

static void load_state(struct raft *r, uint16_t kind, const void *body)
{
    if (kind == RAFT_HARD_STATE) {
        const struct raft_hard_state *state = body;
        r->term = state->term;
        r->vote = state->vote;
    } else if (kind == RAFT_FORGETFUL_STATE) {
        const struct raft_forgetful_state *state = body;
        r->term = state->term;
    } else {
        qr_assert(kind == 0);
    }
}

static void on_start(struct raft *r, struct effects *out, const struct event *event)
{
    qr_assert(!r->started);
    qr_assert(r->me < MEMBERS_MAX);
    qr_assert(event->start.base_slot <= event->start.applied_slot);
    qr_assert(event->start.applied_slot <= event->start.last_slot);
    r->started = true;
    raft_ask_start(r);
    load_state(r, event->start.state_kind, event->start.state);
    if (event->start.forgetful || event->start.state_kind == RAFT_FORGETFUL_STATE) {
        raft_forget_start(r);
    }
    trail_load(&r->trail, event->start.base_slot, event->start.base_term, event->start.last_slot,
               event->start.runs, event->start.run_count);
    journal_start(&r->journal, event->start.last_slot);
    r->joined_slot = event->start.joined_slot;
    r->joined_term = event->start.joined_term;
    qr_term seen = max_u64(trail_last_term(&r->trail), event->start.commit_term);
    seen = max_u64(seen, r->joined_term); /* M3 */
    if (seen > r->term) {
        /* Entries of a term are written with or after its state record; the checkpoint may be ahead
         * of both (S2). No vote of that term has left: its record would have been durable. */
        r->term = seen;
        r->vote = NODE_NONE;
        r->state_dirty = true;
    }
    r->trimmed = event->start.base_slot;
    r->applied = event->start.applied_slot;
    r->checkpoint = event->start.applied_slot;
    r->commit = max_u64(r->applied, r->trail.base_slot); /* T4 */
    raft_members_start(r, event->start.memberships, event->start.membership_count);
    raft_promise_forgotten(r);
    raft_election_reset(r);
    if (raft_is_alone(r)) {
        r->election_due = r->now; /* nobody to wait for */
    }
    effects_trace(out, POINT_STARTED, r->term, r->trail.last_slot, 0);
    if (r->forgetful) {
        effects_trace(out, POINT_FORGETFUL, 0, 0, 0);
    }
}

/* --- Clients -------------------------------------------------------------------------------- */

static uint32_t room(const struct raft *r)
{
    bool full = r->read_count == READ_RANGES;
    if (r->phase != PHASE_LEADER) {
        return full ? 0 : r->limits.uncommitted_max; /* refused rather than kept waiting */
    }
    uint64_t open = r->trail.last_slot - r->commit;
    bool closed = r->transfer_closed || full;
    return closed || open >= r->limits.uncommitted_max ? 0
                                                       : r->limits.uncommitted_max - (uint32_t)open;
}

static void on_submit(struct raft *r, struct effects *out, qr_req first, uint32_t count)
{
    qr_assert(count > 0);
    bool leads = r->phase == PHASE_LEADER && !r->transfer_closed;
    uint64_t open = r->trail.last_slot - r->commit;
    if (!leads || open + count > r->limits.uncommitted_max) {
        effects_answer(out, first, count, leads ? STATUS_OVERLOADED : STATUS_NOT_LEADER);
        return;
    }
    qr_slot lo = r->trail.last_slot + 1;
    raft_persist_entries(r, out, lo, lo + count, r->term, first, false);
    raft_replicate_all(r, out);
    raft_spare_heartbeats(r);
}

/* --- Messages ------------------------------------------------------------------------------- */

static void on_stale(struct raft *r, struct effects *out, const struct raft_stale *m)
{
    if (m->term > r->term) {
        raft_become_follower(r, out, m->term, NODE_NONE);
    }
}

/* A forgetful node takes no part in elections: it might give a vote twice. */
static void on_election_message(struct raft *r, struct effects *out, node_index from,
                                const struct message *message)
{
    if (r->forgetful) {
        effects_trace(out, POINT_DROPPED, message->kind, from, 0);
        return;
    }
    switch (message->kind) {
    case RAFT_PREVOTE:
        raft_on_prevote(r, out, from, message->body);
        return;
    case RAFT_PREVOTE_REPLY:
        raft_on_prevote_reply(r, out, from, message->body);
        return;
    case RAFT_VOTE:
        raft_on_vote(r, out, from, message->body);
        return;
    case RAFT_VOTE_REPLY:
        raft_on_vote_reply(r, out, from, message->body);
        return;
    }
    qr_unreachable();
}

#define MESSAGE(tag, NAME, name, lane, sentence) \
    _Static_assert(offsetof(struct raft_##name, term) == 0, "is_absurd looks there");
#define FIELD(type, name)
#define END(name)
#include "protocol/raft/raft_messages.def"
#undef MESSAGE
#undef FIELD
#undef END

static bool is_absurd(const struct raft *r, const struct message *message)
{
    qr_term term = *(const qr_term *)message->body; /* the first field of every kind */
    return trail_is_absurd(&r->trail, term);
}

/* Any index may speak: a node that joins knows nobody, and a membership here may be old. Who counts
 * for what is each rule's own matter. */
static void on_receive(struct raft *r, struct effects *out, node_index from,
                       const struct message *message, const struct stated *stated)
{
    if (from >= MEMBERS_MAX || from == r->me || is_absurd(r, message)) {
        effects_trace(out, POINT_DROPPED, message->kind, from, 0);
        return;
    }
    switch (message->kind) {
    case RAFT_PREVOTE:
    case RAFT_PREVOTE_REPLY:
    case RAFT_VOTE:
    case RAFT_VOTE_REPLY:
        on_election_message(r, out, from, message);
        return;
    case RAFT_APPEND:
        raft_on_append(r, out, from, message, stated);
        return;
    case RAFT_APPEND_ACK:
        raft_on_append_ack(r, out, from, message->body);
        return;
    case RAFT_APPEND_REJECT:
        raft_on_append_reject(r, out, from, message->body);
        return;
    case RAFT_HEARTBEAT:
        raft_on_heartbeat(r, out, from, message->body);
        return;
    case RAFT_HEARTBEAT_ACK:
        raft_on_heartbeat_ack(r, out, from, message->body);
        return;
    case RAFT_STALE:
        on_stale(r, out, message->body);
        return;
    case RAFT_TIMEOUT_NOW:
        raft_on_timeout_now(r, out, from, message->body);
        return;
    case RAFT_FORGETFUL_ACK:
        raft_on_forgetful_ack(r, out, from, message->body);
        return;
    case RAFT_FORGETFUL_REJECT:
        raft_on_forgetful_reject(r, out, from, message->body);
        return;
    case RAFT_RECOVERED:
        raft_on_recovered(r, out, from, message->body);
        return;
    case RAFT_QUIET:
        raft_on_quiet(r, out, from, message->body);
        return;
    case RAFT_QUIET_ACK:
        raft_on_quiet_ack(r, out, from, message->body);
        return;
    case RAFT_READ_ASK:
        raft_on_read_ask(r, out, from, message->body);
        return;
    case RAFT_READ_AT:
        raft_on_read_at(r, out, from, message->body);
        return;
    case RAFT_WAKE:
        return; /* that it came is all it says: raft_quiet_notice */
    }
    effects_trace(out, POINT_DROPPED, message->kind, from, 0); /* P1 */
}

/* --- Disk, peers, operators, time ----------------------------------------------------------- */

static void on_durable(struct raft *r, struct effects *out, qr_ticket upto)
{
    if (upto <= r->journal.durable) {
        return;
    }
    journal_durable(&r->journal, upto);
    raft_count_own_vote(r, out);
    if (r->phase == PHASE_LEADER && r->journal.durable_slot > r->commit) {
        raft_advance_commit(r);
    }
}

static void on_peer(struct raft *r, struct effects *out, node_index node, bool up)
{
    if (node >= MEMBERS_MAX || node == r->me) {
        return;
    }
    if (r->phase == PHASE_LEADER) {
        if (up && (r->feed & node_bit(node)) != 0) {
            raft_probe(r, node); /* what was in flight may be lost */
            raft_send_heartbeat(r, out, node);
            raft_replicate(r, out, node);
        }
        return;
    }
    if (!up && node == r->leader) {
        /* A killed process is replaced in milliseconds: the election time-out is for silence. A
         * short random wait keeps the followers from campaigning against each other. */
        effects_trace(out, POINT_LEADER_CLOSED, node, 0, 0);
        raft_refuse_reads(r, out);
        r->leader_closed = true;
        r->closed_until = r->now + r->limits.election; /* E5 */
        qr_time soon = r->now + (qr_time)rng_below(&r->rng, (uint64_t)r->limits.heartbeat / 2 + 1);
        r->election_due = earlier(r->election_due, soon);
    }
}

static void on_admin(struct raft *r, struct effects *out, const struct event *event)
{
    uint64_t argument = event->admin.argument;
    switch (event->admin.order) {
    case ADMIN_TRANSFER:
        raft_on_transfer(r, out, argument, event->admin.timeout, event->admin.req);
        return;
    case ADMIN_READ_MODE:
        effects_trace(out, POINT_READ_MODE, argument, 0, 0);
        r->read_mode = argument == READ_MODE_LEASE ? READ_MODE_LEASE : READ_MODE_READINDEX;
        return;
    case ADMIN_MEMBERS:
        raft_on_members(r, out, event);
        return;
    case ADMIN_STAND_BACK:
        raft_on_stand_back(r, out, argument != 0);
        return;
    case ADMIN_CALL:
        raft_on_call(r, out);
        return;
    case ADMIN_SKEWED:
        raft_on_skewed(r, argument != 0);
        return;
    case ADMIN_TELL:
        raft_tell(r, out);
        return;
    case ADMIN_ZONES: /* a leader feeds all itself */
        return;
    }
    qr_unreachable();
}

/* CheckQuorum (diss. 6.2): a leader that a majority has not answered for an election time-out may
 * have been replaced; it stops, so that its clients go elsewhere. */
static bool has_lost_quorum(const struct raft *r)
{
    qr_time heard = raft_quorum_heard(r);
    return heard != QR_NEVER && r->now >= heard + raft_election_span(r);
}

static void on_timer(struct raft *r, struct effects *out)
{
    if (r->phase != PHASE_LEADER) {
        if (r->now >= raft_campaign_at(r)) {
            raft_begin_prevote(r, out);
        } else if (r->now >= raft_call_at(r)) {
            raft_call(r, out);
        }
        if (r->now >= raft_ask_at(r)) {
            raft_ask_again(r, out);
        }
        if (r->now >= raft_transfer_deadline(r)) {
            raft_transfer_over(r, out, STATUS_HANDOVER); /* nobody leads */
        }
        return;
    }
    if (r->quiet) {
        return;
    }
    if (has_lost_quorum(r)) {
        effects_trace(out, POINT_QUORUM_LOST, r->term, 0, 0);
        raft_become_follower(r, out, r->term, NODE_NONE);
        return;
    }
    if (r->now >= r->heartbeat_due && raft_may_rest(r)) {
        raft_hush(r, out);
    } else if (r->now >= r->heartbeat_due) {
        r->hush_since = 0;
        raft_heartbeat_all(r, out);
        r->transfer_sent = false; /* the message may be lost: say it again */
        raft_change_round(r, out);
        raft_yield_when_skewed(r, out);
    }
    if (r->phase == PHASE_LEADER) {
        raft_yield_when_standing_back(r, out);
    }
}

#define PEERS_USUAL 3u /* most groups have no more members, and of the lowest indexes */

/* The lines that any write touches (state.h). */
static void raft_prefetch(const void *self, node_index from)
{
    const struct raft *r = self;
    qr_prefetch(&r->now, offsetof(struct raft, journal) - offsetof(struct raft, now));
    qr_prefetch(&r->journal, 2 * CACHE_LINE_BYTES);
    qr_prefetch(&r->trail, 2 * CACHE_LINE_BYTES);
    if (from < MEMBERS_MAX) {
        qr_prefetch(&r->peer[from], sizeof r->peer[from]);
    } else {
        qr_prefetch(r->peer, PEERS_USUAL * sizeof r->peer[0]);
    }
}

static qr_time raft_deadline(const void *self)
{
    const struct raft *r = self;
    if (!r->started) {
        return QR_NEVER;
    }
    if (r->phase != PHASE_LEADER) {
        qr_time speaks = earlier(raft_campaign_at(r), raft_call_at(r));
        return earlier(earlier(speaks, raft_ask_at(r)), raft_transfer_deadline(r));
    }
    if (r->feed == 0 || r->quiet) {
        return QR_NEVER; /* nobody to speak to */
    }
    qr_time due = earlier(r->heartbeat_due, raft_transfer_deadline(r));
    qr_time span = raft_election_span(r);
    if (raft_quorum_heard_since(r, due - span)) {
        return due; /* as nearly always: contact cannot be lost before it */
    }
    qr_time heard = raft_quorum_heard(r);
    return heard == QR_NEVER ? due : earlier(due, heard + span);
}

/* --- The step ------------------------------------------------------------------------------- */

static void dispatch(struct raft *r, struct effects *out, const struct event *event)
{
    switch (event->kind) {
    case EVENT_START:
        on_start(r, out, event);
        return;
    case EVENT_RECEIVE:
        on_receive(r, out, event->receive.from, &event->receive.message,
                   &(struct stated){ event->receive.memberships, event->receive.membership_count });
        return;
    case EVENT_SUBMIT:
        on_submit(r, out, event->submit.first, event->submit.count);
        return;
    case EVENT_READ:
        raft_on_read(r, out, event->read.first, event->read.count);
        return;
    case EVENT_DURABLE:
        on_durable(r, out, event->durable.upto);
        return;
    case EVENT_SNAPSHOT:
        raft_on_snapshot(r, out, event->snapshot.slot, event->snapshot.release,
                         event->snapshot.pin);
        return;
    case EVENT_TIMER:
        on_timer(r, out);
        return;
    case EVENT_PEER:
        on_peer(r, out, event->peer.node, event->peer.up);
        return;
    case EVENT_ADMIN:
        on_admin(r, out, event);
        return;
    case EVENT_OFFER:
        raft_on_offer(r, out, event);
        return;
    case EVENT_VIEW: /* its members choose their leader themselves */
    case EVENT_LEASE:
    case EVENT_EXECUTED:
        return;
    }
    qr_unreachable();
}

/* What any event may have made possible. Reads come before APPLY, so that they see the state that
 * they were promised and not more than they must wait for. */
static void finish(struct raft *r, struct effects *out)
{
    bool campaigns = r->phase == PHASE_PRECANDIDATE || r->phase == PHASE_CANDIDATE;
    if (campaigns && !raft_may_lead(r)) {
        raft_become_follower(r, out, r->term, NODE_NONE); /* it learned that it is removed */
    }
    raft_persist_state(r, out);
    if (r->phase == PHASE_LEADER) {
        raft_transfer_proceed(r, out);
        raft_release_reads(r, out);
    }
    if (r->commit > r->applied) {
        struct effect *e = effects_push(out, EFFECT_APPLY);
        e->apply.lo = r->applied + 1;
        e->apply.hi = r->commit + 1;
        r->applied = r->commit;
    }
    if (r->phase == PHASE_LEADER && !raft_change_rests(r)) {
        raft_change_proceed(r, out);
    }
}

static void raft_step(void *self, const struct event *event, struct effects *out)
{
    struct raft *r = self;
    qr_assert(r->started == (event->kind != EVENT_START));
    r->now = event->now > r->now ? event->now : r->now;
    r->wall = event->wall;
    if (r->limits.quiet_after > 0) {
        raft_quiet_notice(r, out, event);
    }
    dispatch(r, out, event);
    finish(r, out);
}

/* --- Looking in ----------------------------------------------------------------------------- */

/* Asked after nearly every step: field by field, and no member that is not there. */
static void raft_outlook(const void *self, struct outlook *out)
{
    const struct raft *r = self;
    bool leads = r->phase == PHASE_LEADER;
    out->counts = leads || r->phase == PHASE_CANDIDATE;
    out->role = leads ? ROLE_LEADER : r->phase == PHASE_FOLLOWER ? ROLE_FOLLOWER : ROLE_CANDIDATE;
    out->leader = r->leader;
    out->term = r->term;
    out->commit = r->commit;
    out->last = r->trail.last_slot;
    out->first = r->trimmed + 1;
    out->room = room(r);
    out->can_serve = leads && r->commit >= r->term_start;
    out->informed = r->informed;
    out->stands = out->settled = out->barred = out->closed = false;
    out->sure = out->last;
    out->forgetful = r->forgetful;
    out->skewed = r->now < r->skewed_until;
    out->stands_back = r->stands_back;
    out->quiet = r->quiet;
    out->membership = r->members.members;
    out->membership_slot = r->members.slot;
    out->leaving = r->leaving;
    out->transfer_to = r->transfer_to;
    uint32_t known = membership_all(&r->members.members) | r->feed;
    out->members = known == 0 ? 0 : (uint8_t)(32 - __builtin_clz(known));
    for (node_index i = 0; i < out->members; i++) {
        const struct peer *p = &r->peer[i];
        struct member_outlook *m = &out->member[i];
        if (!leads || (known >> i & 1) == 0) {
            *m = (struct member_outlook){ 0 };
            continue;
        }
        m->match = i == r->me ? r->journal.durable_slot : p->match;
        m->heard = i == r->me ? r->now : p->heard;
        m->echoed = i == r->me ? r->now : p->echoed;
        m->needs_snapshot = p->mode == PEER_SNAPSHOT;
        m->forgetful = !raft_counts(r, i);
        m->skewed = i != r->me && raft_is_skewed(r, i);
    }
}

const struct protocol raft_protocol = {
    .name = "raft",
    .promise = { .consistency = CONSISTENCY_LINEARIZABLE,
                 .reads = READ_BIT(READ_LINEARIZABLE) | READ_BIT(READ_LEADER) |
                          READ_BIT(READ_SESSION) | READ_BIT(READ_PREFIX) | READ_BIT(READ_LOCAL) |
                          READ_BIT(READ_BOUNDED) | READ_BIT(READ_SNAPSHOT),
                 .acks = ACK_BIT(ACK_MAJORITY) | ACK_BIT(ACK_QUORUM) | ACK_BIT(ACK_EACH_ZONE),
                 .ack_stages = ACK_BIT(ACK_DURABLE),
                 .survives_minority_crash = true,
                 .available_in_minority = false,
                 .messages_per_replica = 2, /* the entry, and that it is durable */
                 .tolerates = quorum_tolerates },
    .codec = &raft_codec,
    .needs = raft_needs,
    .init = raft_init,
    .step = raft_step,
    .prefetch = raft_prefetch,
    .deadline = raft_deadline,
    .outlook = raft_outlook,
    .check = raft_check,
    .digest = raft_digest,
    .describe = raft_describe,
    .trace = raft_trace_text,
};
