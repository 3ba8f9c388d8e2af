/* See canary.h. Raft's figure 2 with the simplest choice everywhere: one APPEND per follower at a
 * time, no PreVote, no leases, back-off by one slot, a read round per READ event.
 *
 * Each planted bug is one condition, marked by has(c, BUG_...): what stands without it is right. */
#include "protocol/canary/state.h"
#include "protocol/quorum.h"

static bool has(const struct canary *c, enum bug bug)
{
    return c->bug == bug;
}

/* --- the log -------------------------------------------------------------------------------- */

qr_term canary_term_at(const struct canary *c, qr_slot slot)
{
    qr_term term = c->base_term;
    for (uint32_t i = 0; i < c->run_count && c->runs[i].slot <= slot; i++) {
        term = c->runs[i].term;
    }
    return slot > c->last ? 0 : term;
}

static void truncate_log(struct canary *c, qr_slot from)
{
    while (c->run_count > 0 && c->runs[c->run_count - 1].slot >= from) {
        c->run_count--;
    }
    c->last = from - 1;
    c->durable = min_u64(c->durable, c->last);
    for (uint32_t i = 0; i < c->mark_count; i++) {
        c->marks[i].slot = min_u64(c->marks[i].slot, c->last);
    }
}

static void mark(struct canary *c)
{
    if (c->mark_count == MARKS_MAX) {
        c->mark_count--; /* the newest two become durable together */
    }
    c->marks[c->mark_count++] = (struct mark){ .ticket = c->minted, .slot = c->last };
}

static void persist_state(struct canary *c, struct effects *out)
{
    struct canary_state *state = effects_scratch(out, sizeof *state);
    state->term = c->term;
    state->vote = c->vote;
    struct effect *e = effects_push(out, EFFECT_PERSIST);
    e->persist.ticket = ++c->minted;
    e->persist.state_kind = CANARY_STATE;
    e->persist.state = state;
    mark(c);
}

static void persist_entries(struct canary *c, struct effects *out, qr_slot lo, qr_slot hi,
                            qr_term term, qr_req req, bool noop)
{
    qr_assert(lo > c->base && lo <= c->last + 1 && lo < hi);
    if (lo <= c->last) {
        truncate_log(c, lo);
    }
    struct effect *e = effects_push(out, EFFECT_PERSIST);
    e->persist.ticket = ++c->minted;
    e->persist.lo = lo;
    e->persist.hi = hi;
    e->persist.term = term;
    e->persist.req = req;
    e->persist.noop = noop;
    c->last = hi - 1;
    if (canary_term_at(c, lo - 1) != term || lo == c->base + 1) {
        qr_assert(c->run_count < RUNS_MAX);
        c->runs[c->run_count++] = (struct term_run){ .slot = lo, .term = term };
    }
    mark(c);
}

/* --- messages ------------------------------------------------------------------------------- */

static void send_append(struct canary *c, struct effects *out, node_index to)
{
    qr_slot next = max_u64(c->next[to], c->base + 1);
    struct canary_append *m = effects_send(out, to, CANARY_APPEND, sizeof *m, 0);
    m->term = c->term;
    m->prev_slot = next - 1;
    m->prev_term = canary_term_at(c, next - 1);
    m->commit = c->commit;
    m->round = c->round;
    if (next > c->last || (has(c, BUG_NEVER_RESENDS) && c->sent[to])) {
        return;
    }
    c->sent[to] = true;
    struct message *message = &out->v[out->n - 1].send.message;
    message->term = canary_term_at(c, next);
    message->lo = next;
    message->hi = next;
    while (message->hi <= c->last && message->hi - next < c->limits.append_entries &&
           canary_term_at(c, message->hi) == message->term) {
        message->hi++;
    }
}

static void append_all(struct canary *c, struct effects *out)
{
    for (node_index i = 0; i < c->members; i++) {
        if (i != c->me) {
            send_append(c, out, i);
        }
    }
    c->heartbeat_due = c->now + c->limits.heartbeat;
}

static uint32_t quorum(const struct canary *c)
{
    return c->members / 2u + 1u;
}

/* --- roles ---------------------------------------------------------------------------------- */

static void reset_election(struct canary *c)
{
    c->election_due =
        c->now + c->limits.election + (qr_time)rng_below(&c->rng, (uint64_t)c->limits.election);
}

static void refuse(struct effects *out, qr_req first, uint32_t count, enum qr_status status)
{
    struct effect *e = effects_push(out, EFFECT_ANSWER);
    e->answer.first = first;
    e->answer.count = count;
    e->answer.status = status;
}

static void step_down(struct canary *c, struct effects *out, qr_term term)
{
    if (c->role == ROLE_LEADER) {
        for (uint32_t i = 0; i < c->read_count; i++) {
            refuse(out, c->reads[i].first, c->reads[i].count, STATUS_NOT_LEADER);
        }
        if (has(c, BUG_FALSE_REFUSAL) && c->open_count > 0 && c->open_slot > c->applied) {
            refuse(out, c->open_first, c->open_count, STATUS_LEADER_CHANGED);
            c->open_count = 0;
        }
        c->read_count = 0;
    }
    c->role = ROLE_FOLLOWER;
    if (term > c->term) {
        c->term = term;
        c->vote = NODE_NONE;
        c->leader = NODE_NONE;
        persist_state(c, out);
    }
    reset_election(c);
}

static void apply(struct canary *c, struct effects *out, qr_slot from)
{
    if (c->commit > c->applied) {
        struct effect *e = effects_push(out, EFFECT_APPLY);
        e->apply.lo = from;
        e->apply.hi = c->commit + 1;
        c->applied = c->commit;
    }
}

static void advance(struct canary *c, struct effects *out)
{
    c->match[c->me] = has(c, BUG_COUNTS_UNSYNCED) ? c->last : c->durable;
    for (qr_slot slot = c->last; slot > c->commit; slot--) {
        uint32_t count = 0;
        for (node_index i = 0; i < c->members; i++) {
            count += c->match[i] >= slot ? 1u : 0u;
        }
        uint32_t enough = has(c, BUG_SMALL_QUORUM) ? quorum(c) - 1 : quorum(c);
        bool own_term = canary_term_at(c, slot) == c->term || has(c, BUG_COMMITS_OLD_TERM);
        if (count >= enough && own_term) {
            bool first = canary_term_at(c, c->commit) != c->term;
            c->commit = slot;
            qr_slot twice = has(c, BUG_APPLIES_TWICE) && first && c->applied > 0 ? 1 : 0;
            apply(c, out, c->applied + 1 - twice);
            return;
        }
    }
}

static void become_leader(struct canary *c, struct effects *out)
{
    c->role = ROLE_LEADER;
    c->leader = c->me;
    c->read_count = 0;
    c->open_count = 0;
    for (node_index i = 0; i < c->members; i++) {
        c->next[i] = c->last + 1;
        c->match[i] = 0;
        c->echoed[i] = 0;
        c->sent[i] = false;
    }
    persist_entries(c, out, c->last + 1, c->last + 2, c->term, 0, true);
    append_all(c, out);
    advance(c, out);
}

static void campaign(struct canary *c, struct effects *out)
{
    c->role = ROLE_CANDIDATE;
    c->term++;
    c->vote = c->me;
    c->votes = 1u << c->me;
    c->leader = NODE_NONE;
    persist_state(c, out);
    reset_election(c);
    for (node_index i = 0; i < c->members; i++) {
        if (i != c->me) {
            struct canary_vote *m = effects_send(out, i, CANARY_VOTE, sizeof *m, c->minted);
            m->term = c->term;
            m->last_slot = c->last;
            m->last_term = canary_term_at(c, c->last);
        }
    }
}

/* --- handlers ------------------------------------------------------------------------------- */

static void on_vote(struct canary *c, struct effects *out, node_index from,
                    const struct canary_vote *m)
{
    if (m->term > c->term) {
        step_down(c, out, m->term);
    }
    qr_term last_term = canary_term_at(c, c->last);
    bool current =
        m->last_term > last_term || (m->last_term == last_term && m->last_slot >= c->last);
    bool granted = m->term == c->term && (c->vote == NODE_NONE || c->vote == from) &&
                   (current || has(c, BUG_ELECTS_ANYBODY));
    if (granted) {
        c->vote = from;
        persist_state(c, out);
        reset_election(c);
    }
    qr_ticket after = has(c, BUG_VOTE_BEFORE_SYNC) ? 0 : c->minted;
    struct canary_voted *reply = effects_send(out, from, CANARY_VOTED, sizeof *reply, after);
    reply->term = c->term;
    reply->granted = granted;
}

static void count_votes(struct canary *c, struct effects *out)
{
    uint32_t count = 0;
    for (uint32_t bits = c->votes; bits != 0; bits &= bits - 1) {
        count++;
    }
    if (c->role == ROLE_CANDIDATE && count >= quorum(c)) {
        become_leader(c, out);
    }
}

static void on_voted(struct canary *c, struct effects *out, node_index from,
                     const struct canary_voted *m)
{
    if (m->term > c->term) {
        step_down(c, out, m->term);
    } else if (m->term == c->term && c->role == ROLE_CANDIDATE && m->granted) {
        c->votes |= 1u << from;
        count_votes(c, out);
    }
}

/* Stores what of the entries [message.lo, hi) is new. */
static void store(struct canary *c, struct effects *out, const struct message *message)
{
    qr_slot slot = max_u64(message->lo, c->base + 1);
    while (slot < message->hi && slot <= c->last && canary_term_at(c, slot) == message->term) {
        slot++;
    }
    if (has(c, BUG_KEEPS_CONFLICT) && slot <= c->last) {
        return;
    }
    if (slot < message->hi) {
        persist_entries(c, out, slot, message->hi, message->term, 0, false);
    }
}

static void on_append(struct canary *c, struct effects *out, node_index from,
                      const struct message *message)
{
    const struct canary_append *m = message->body;
    if (m->term > c->term || (m->term == c->term && c->role == ROLE_CANDIDATE)) {
        step_down(c, out, m->term);
    }
    bool equal = m->prev_slot <= c->base || has(c, BUG_SKIPS_PREVIOUS) ||
                 canary_term_at(c, m->prev_slot) == m->prev_term;
    bool success = m->term == c->term && m->prev_slot <= c->last && equal;
    qr_slot match = min_u64(m->prev_slot > 0 ? m->prev_slot - 1 : 0, c->last);
    if (m->term == c->term) {
        c->leader = from;
        reset_election(c);
    }
    if (success) {
        match = m->prev_slot;
        if (message->lo < message->hi && message->lo == m->prev_slot + 1) {
            store(c, out, message);
            match = message->hi - 1;
        }
    }
    if (success || (m->term == c->term && has(c, BUG_COMMITS_UNMATCHED))) {
        qr_slot known = success ? match : c->last;
        c->commit = max_u64(c->commit, min_u64(m->commit, min_u64(known, c->last)));
        apply(c, out, c->applied + 1);
    }
    qr_ticket after = has(c, BUG_ACK_BEFORE_SYNC) ? 0 : c->minted;
    struct canary_appended *reply = effects_send(out, from, CANARY_APPENDED, sizeof *reply, after);
    reply->term = c->term;
    reply->success = success;
    reply->match = match;
    reply->round = m->round;
}

static void release_reads(struct canary *c, struct effects *out)
{
    c->echoed[c->me] = c->round;
    while (c->read_count > 0) {
        uint32_t count = 0;
        for (node_index i = 0; i < c->members; i++) {
            count += c->echoed[i] >= c->reads[0].round ? 1u : 0u;
        }
        if (count < quorum(c)) {
            return;
        }
        struct effect *e = effects_push(out, EFFECT_READ);
        e->read.first = c->reads[0].first;
        e->read.count = c->reads[0].count;
        e->read.slot = c->reads[0].slot;
        c->read_count--;
        memmove(c->reads, c->reads + 1, c->read_count * sizeof c->reads[0]);
    }
}

static void on_appended(struct canary *c, struct effects *out, node_index from,
                        const struct canary_appended *m)
{
    if (m->term > c->term) {
        step_down(c, out, m->term);
        return;
    }
    if (c->role != ROLE_LEADER || m->term != c->term) {
        return;
    }
    c->echoed[from] = max_u64(c->echoed[from], m->round);
    if (m->success) {
        bool news = m->match > c->match[from];
        c->match[from] = max_u64(c->match[from], m->match);
        c->next[from] = c->match[from] + 1;
        c->sent[from] = c->sent[from] && !news;
        advance(c, out);
        if (news && c->next[from] <= c->last) {
            send_append(c, out, from);
        }
    } else if (m->match + 1 < c->next[from]) {
        c->next[from] = max_u64(c->match[from], m->match) + 1;
        c->sent[from] = false;
        send_append(c, out, from);
    }
    release_reads(c, out);
}

static void on_submit(struct canary *c, struct effects *out, qr_req first, uint32_t count)
{
    if (c->role != ROLE_LEADER) {
        refuse(out, first, count, STATUS_NOT_LEADER);
        return;
    }
    persist_entries(c, out, c->last + 1, c->last + 1 + count, c->term, first, false);
    c->open_first = first;
    c->open_count = count;
    c->open_slot = c->last + 1 - count;
    append_all(c, out);
    advance(c, out);
}

static void on_read(struct canary *c, struct effects *out, qr_req first, uint32_t count)
{
    bool knows = canary_term_at(c, c->commit) == c->term || has(c, BUG_READS_EARLY);
    if (c->role != ROLE_LEADER || !knows || c->read_count == READS_MAX) {
        refuse(out, first, count, STATUS_NOT_LEADER);
        return;
    }
    c->round++;
    struct read_round read = {
        .first = first, .count = count, .round = c->round, .slot = c->commit
    };
    if (has(c, BUG_STALE_READ)) {
        read.round = 0;
    }
    c->reads[c->read_count++] = read;
    append_all(c, out);
    release_reads(c, out);
}

static void on_durable(struct canary *c, struct effects *out, qr_ticket upto)
{
    uint32_t gone = 0;
    while (gone < c->mark_count && c->marks[gone].ticket <= upto) {
        c->durable = c->marks[gone].slot;
        gone++;
    }
    c->mark_count -= gone;
    memmove(c->marks, c->marks + gone, c->mark_count * sizeof c->marks[0]);
    if (c->role == ROLE_LEADER) {
        advance(c, out);
    } else if (c->mark_count == 0) {
        count_votes(c, out);
    }
}

static void on_start(struct canary *c, const struct event *event)
{
    c->started = true;
    c->members = (uint8_t)quorum_count(event->start.memberships[0].members.voters);
    c->base = event->start.base_slot;
    c->base_term = event->start.base_term;
    c->last = c->durable = event->start.last_slot;
    c->commit = c->applied = event->start.applied_slot;
    if (event->start.state_kind == CANARY_STATE) {
        const struct canary_state *state = event->start.state;
        c->term = state->term;
        c->vote = has(c, BUG_FORGETS_VOTE) ? NODE_NONE : state->vote;
    }
    qr_assert(event->start.run_count <= RUNS_MAX);
    c->run_count = event->start.run_count;
    memcpy(c->runs, event->start.runs, c->run_count * sizeof c->runs[0]);
    reset_election(c);
}

static void on_timer(struct canary *c, struct effects *out)
{
    if (c->role == ROLE_LEADER && c->now >= c->heartbeat_due) {
        append_all(c, out);
    } else if (c->role != ROLE_LEADER && c->now >= c->election_due) {
        campaign(c, out);
    }
}

static void on_receive(struct canary *c, struct effects *out, const struct event *event)
{
    node_index from = event->receive.from;
    const struct message *message = &event->receive.message;
    switch (message->kind) {
    case CANARY_VOTE:
        on_vote(c, out, from, message->body);
        break;
    case CANARY_VOTED:
        on_voted(c, out, from, message->body);
        break;
    case CANARY_APPEND:
        on_append(c, out, from, message);
        break;
    case CANARY_APPENDED:
        on_appended(c, out, from, message->body);
        break;
    default: /* P1: dropped */
        break;
    }
}

void canary_step(void *self, const struct event *event, struct effects *out)
{
    struct canary *c = self;
    c->now = event->now;
    switch (event->kind) {
    case EVENT_START:
        on_start(c, event);
        break;
    case EVENT_RECEIVE:
        on_receive(c, out, event);
        break;
    case EVENT_SUBMIT:
        on_submit(c, out, event->submit.first, event->submit.count);
        break;
    case EVENT_READ:
        on_read(c, out, event->read.first, event->read.count);
        break;
    case EVENT_DURABLE:
        on_durable(c, out, event->durable.upto);
        break;
    case EVENT_TIMER:
        on_timer(c, out);
        break;
    case EVENT_SNAPSHOT: /* it never trims, knows no connections and takes no orders */
    case EVENT_PEER:
    case EVENT_ADMIN:
    case EVENT_OFFER:
    case EVENT_VIEW:
    case EVENT_LEASE:
    case EVENT_EXECUTED:
        break;
    }
}
