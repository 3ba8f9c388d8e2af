#include "tests/unit/protocol/group.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct protocol_limits group_limits(void)
{
    return (struct protocol_limits){
        .heartbeat = 25 * QR_MILLISECOND,
        .lease = 80 * QR_MILLISECOND,
        .election = 300 * QR_MILLISECOND,
        .drift_percent = 10,
        .skew_max = 500 * QR_MILLISECOND,
        .uncommitted_max = 256,
        .append_entries = 16,
        .appends_in_flight = 4,
    };
}

struct raft *group_raft(struct group *g, node_index i)
{
    qr_assert(i < g->n);
    return g->node[i].raft;
}

/* --- The mailbox ------------------------------------------------------------------------------ */

static void remove_mail(struct group *g, uint32_t at)
{
    free(g->mail[at].entries);
    memmove(&g->mail[at], &g->mail[at + 1], (g->mail_count - at - 1) * sizeof g->mail[0]);
    g->mail_count--;
}

void group_lose_mail(struct group *g)
{
    while (g->mail_count > 0) {
        remove_mail(g, g->mail_count - 1);
    }
}

static int find_mail(const struct group *g, node_index from, node_index to, uint16_t kind,
                     bool held)
{
    for (uint32_t i = 0; i < g->mail_count; i++) {
        const struct mail *m = &g->mail[i];
        if (m->from == from && m->to == to && m->kind == kind && (m->after != 0) == held) {
            return (int)i;
        }
    }
    return -1;
}

const struct mail *group_sent(const struct group *g, node_index from, node_index to, uint16_t kind)
{
    int at = find_mail(g, from, to, kind, false);
    return at < 0 ? NULL : &g->mail[at];
}

const struct mail *group_held(const struct group *g, node_index from, node_index to, uint16_t kind)
{
    int at = find_mail(g, from, to, kind, true);
    return at < 0 ? NULL : &g->mail[at];
}

uint32_t group_count(const struct group *g, uint16_t kind)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < g->mail_count; i++) {
        n += g->mail[i].kind == kind;
    }
    return n;
}

void group_lose(struct group *g, node_index from, node_index to, uint16_t kind)
{
    int at = find_mail(g, from, to, kind, false);
    qr_assert(at >= 0);
    remove_mail(g, (uint32_t)at);
}

/* --- Carrying out effects --------------------------------------------------------------------- */

static void attach(struct group *g, struct group_node *node, struct mail *m)
{
    if (m->hi <= m->lo) {
        return;
    }
    m->hi = min_u64(m->hi, m->lo + g->attach_max);
    m->entries = group_zalloc((m->hi - m->lo) * sizeof m->entries[0]);
    qr_assert(m->lo > node->log.base);
    qr_assert(m->hi - 1 <= node->log.last);
    for (qr_slot s = m->lo; s < m->hi; s++) {
        m->entries[s - m->lo] = node->log.entry[s];
        qr_assert(node->log.entry[s].term == m->term);
    }
}

static void do_send(struct group *g, node_index i, const struct effect *e)
{
    qr_assert(e->send.to != i);
    qr_assert(g->mail_count < GROUP_MAIL);
    struct mail *m = &g->mail[g->mail_count++];
    const struct message *message = &e->send.message;
    *m = (struct mail){ .from = i, .to = e->send.to, .kind = message->kind };
    m->lo = message->lo;
    m->hi = message->hi;
    m->term = message->term;
    m->after = e->after > g->node[i].durable ? e->after : 0;
    /* Through the codec, as on the wire. */
    uint8_t wire[128];
    struct wire_writer w = wire_writer(wire, sizeof wire);
    qr_assert(raft_codec.encode(message->kind, message->body, &w));
    qr_assert(raft_codec.decode(message->kind, span_of(wire, w.n), &m->body));
    attach(g, &g->node[i], m);
}

static void do_note(struct group_node *node, const struct effect *e)
{
    qr_assert(node->note_count < GROUP_NOTES);
    struct group_note *note = &node->note[node->note_count++];
    *note = (struct group_note){ .kind = e->kind, .applied = node->applied };
    if (e->kind == EFFECT_READ) {
        note->first = e->read.first;
        note->count = e->read.count;
        note->slot = e->read.slot;
        note->before = e->read.before;
    } else if (e->kind == EFFECT_ANSWER) {
        note->first = e->answer.first;
        note->count = e->answer.count;
        note->status = e->answer.status;
    } else if (e->kind == EFFECT_SNAPSHOT) {
        note->slot = e->snapshot.least;
        note->to = e->snapshot.to;
    } else if (e->kind == EFFECT_LOSS) {
        note->slot = e->loss.acknowledged;
        note->to = e->loss.node;
    } else {
        note->slot = e->kind == EFFECT_INSTALL ? e->install.slot : e->trim.upto;
    }
}

static void carry_out(struct group *g, node_index i, const struct event *event,
                      const struct mail *received)
{
    struct group_node *node = &g->node[i];
    for (uint32_t k = 0; k < node->out.n; k++) {
        const struct effect *e = &node->out.v[k];
        switch (e->kind) {
        case EFFECT_PERSIST:
            group_disk_persist(g, i, e, received);
            break;
        case EFFECT_SEND:
            do_send(g, i, e);
            break;
        case EFFECT_APPLY:
            qr_assert(e->apply.lo == node->applied + 1);
            node->applied = e->apply.hi - 1;
            qr_assert(node->applied <= node->log.last);
            break;
        case EFFECT_INSTALL:
            do_note(node, e);
            group_disk_install(g, i, e, event);
            break;
        case EFFECT_READ:
        case EFFECT_ANSWER:
        case EFFECT_TRIM:
        case EFFECT_SNAPSHOT:
        case EFFECT_LOSS:
        case EFFECT_ROLLBACK:
            do_note(node, e);
            break;
        case EFFECT_TRACE: {
            node->point_count[e->trace.point]++;
            char line[200];
            struct text t = text_in(line, sizeof line);
            raft_protocol.trace(e->trace.point, e->trace.argument, &t);
            if (getenv("GROUP_TRACE") != NULL) {
                printf("# %8lld %u: %s\n", (long long)g->now, i, line);
            }
            break;
        }
        }
    }
}

static void step(struct group *g, node_index i, struct event *event, const struct mail *received)
{
    struct group_node *node = &g->node[i];
    qr_assert(node->up);
    event->now = g->now;
    event->wall = 1700000000 * QR_SECOND + g->now + node->wall_offset;
    memcpy(node->before, node->raft, sizeof *node->raft);
    node->out.n = 0;
    node->out.scratch_n = 0;
    raft_protocol.step(node->raft, event, &node->out);
    raft_protocol.check(node->raft, node->before);
    carry_out(g, i, event, received);
}

void group_step(struct group *g, node_index i, struct event *event)
{
    step(g, i, event, NULL);
}

/* --- Events ----------------------------------------------------------------------------------- */

void group_timer(struct group *g, node_index i)
{
    struct event event = { .kind = EVENT_TIMER };
    group_step(g, i, &event);
}

qr_req group_submit(struct group *g, node_index i, uint32_t count)
{
    struct event event = { .kind = EVENT_SUBMIT };
    event.submit.first = g->node[i].next_req;
    event.submit.count = count;
    g->node[i].next_req += count;
    group_step(g, i, &event);
    return event.submit.first;
}

qr_req group_read(struct group *g, node_index i, uint32_t count)
{
    struct event event = { .kind = EVENT_READ };
    event.read.first = g->node[i].next_req;
    event.read.count = count;
    g->node[i].next_req += count;
    group_step(g, i, &event);
    return event.read.first;
}

void group_peer(struct group *g, node_index i, node_index peer, bool up)
{
    struct event event = { .kind = EVENT_PEER };
    event.peer.node = peer;
    event.peer.up = up;
    group_step(g, i, &event);
}

void group_checkpoint(struct group *g, node_index i, qr_slot slot, qr_slot release, qr_slot pin)
{
    struct event event = { .kind = EVENT_SNAPSHOT };
    event.snapshot.slot = slot;
    event.snapshot.release = release;
    event.snapshot.pin = pin;
    group_step(g, i, &event);
}

void group_offer(struct group *g, node_index i, const struct group_snapshot *snapshot)
{
    struct event event = { .kind = EVENT_OFFER };
    event.offer.from = snapshot->from;
    event.offer.slot = snapshot->slot;
    event.offer.slot_term = snapshot->slot_term;
    event.offer.term = snapshot->term;
    event.offer.membership = snapshot->membership;
    g->offered = snapshot;
    group_step(g, i, &event);
    g->offered = NULL;
}

void group_bring_snapshot(struct group *g, node_index from, node_index to)
{
    struct group_snapshot *snapshot = group_zalloc(sizeof *snapshot);
    group_fix_snapshot(g, from, snapshot);
    group_offer(g, to, snapshot);
    free(snapshot);
}

void group_sync(struct group *g, node_index i)
{
    struct group_node *node = &g->node[i];
    group_disk_sync(node);
    for (uint32_t k = 0; k < g->mail_count; k++) {
        if (g->mail[k].from == i && g->mail[k].after <= node->durable) {
            g->mail[k].after = 0;
        }
    }
    struct event event = { .kind = EVENT_DURABLE };
    event.durable.upto = node->durable;
    group_step(g, i, &event);
}

static void deliver(struct group *g, const struct mail *m)
{
    struct event event = { .kind = EVENT_RECEIVE };
    struct membership_at stated[GROUP_LOG];
    event.receive.memberships = stated;
    for (qr_slot s = m->lo; s < m->hi; s++) {
        if (states_members(&m->entries[s - m->lo])) {
            stated[event.receive.membership_count++] =
                (struct membership_at){ .slot = s, .members = m->entries[s - m->lo].members };
        }
    }
    event.receive.from = m->from;
    event.receive.message = (struct message){
        .kind = m->kind, .body = &m->body, .lo = m->lo, .hi = m->hi, .term = m->term
    };
    step(g, m->to, &event, m);
}

void group_deliver(struct group *g, node_index from, node_index to, uint16_t kind, const void *body,
                   qr_slot lo, qr_slot hi, qr_term term)
{
    struct mail m = { .from = from, .to = to, .kind = kind, .lo = lo, .hi = hi, .term = term };
    uint8_t wire[128];
    struct wire_writer w = wire_writer(wire, sizeof wire);
    qr_assert(raft_codec.encode(kind, body, &w));
    qr_assert(raft_codec.decode(kind, span_of(wire, w.n), &m.body));
    if (hi > lo) {
        m.entries = group_zalloc((hi - lo) * sizeof m.entries[0]);
        for (qr_slot s = lo; s < hi; s++) {
            m.entries[s - lo].term = term;
        }
    }
    deliver(g, &m);
    free(m.entries);
}

/* Takes a message out of the mailbox and hands it over, or loses it when somebody is cut off. */
static void deliver_at(struct group *g, uint32_t at)
{
    struct mail m = g->mail[at];
    g->mail[at].entries = NULL;
    remove_mail(g, at);
    bool apart = ((g->island >> m.to ^ g->island >> m.from) & 1) != 0;
    if (g->node[m.to].up && !g->node[m.to].cut && !g->node[m.from].cut && !apart) {
        deliver(g, &m);
    }
    free(m.entries);
}

bool group_deliver_one(struct group *g, node_index from, node_index to, uint16_t kind)
{
    int at = find_mail(g, from, to, kind, false);
    if (at >= 0) {
        deliver_at(g, (uint32_t)at);
    }
    return at >= 0;
}

static bool settle_once(struct group *g)
{
    for (node_index i = 0; i < g->n; i++) {
        if (g->node[i].up && !g->node[i].disk_held && g->node[i].write_count > 0) {
            group_sync(g, i);
            return true;
        }
    }
    for (uint32_t k = 0; k < g->mail_count; k++) {
        if (g->mail[k].after == 0) {
            deliver_at(g, k);
            return true;
        }
    }
    return false;
}

void group_settle(struct group *g)
{
    for (uint32_t limit = 0; settle_once(g); limit++) {
        qr_assert(limit < 100000); /* it must come to rest while no time passes */
    }
}

void group_elapse(struct group *g, qr_time span)
{
    qr_time end = g->now + span;
    for (;;) {
        group_settle(g);
        node_index first = NODE_NONE;
        qr_time due = end;
        for (node_index i = 0; i < g->n; i++) {
            qr_time at = g->node[i].up ? raft_protocol.deadline(g->node[i].raft) : QR_NEVER;
            if (at < due) {
                due = at;
                first = i;
            }
        }
        if (first == NODE_NONE) {
            g->now = end;
            return;
        }
        g->now = due > g->now ? due : g->now;
        group_timer(g, first);
    }
}

void group_time_out(struct group *g, node_index i)
{
    struct raft *r = g->node[i].raft;
    qr_time due = raft_campaign_at(r);
    g->now = due > g->now ? due : g->now;
    for (node_index k = 0; k < g->n; k++) {
        if (k != i && g->node[k].up && g->node[k].raft->election_due <= g->now) {
            g->node[k].raft->election_due = g->now + 2 * g->limits.election;
        }
    }
    group_timer(g, i);
}

void group_elect(struct group *g, node_index i)
{
    group_time_out(g, i);
    group_settle(g);
    qr_assert(g->node[i].raft->phase == PHASE_LEADER);
}

struct group *group_led_by_0(node_index n, node_index voters)
{
    struct membership members = { .voters = (uint16_t)((1u << voters) - 1) };
    struct group *g = group_new_of(n, members);
    group_elect(g, 0);
    group_elapse(g, 30 * QR_MILLISECOND);
    return g;
}

/* --- Life ------------------------------------------------------------------------------------- */

static void start(struct group *g, node_index i)
{
    struct group_node *node = &g->node[i];
    memset(node->raft, 0, sizeof *node->raft);
    raft_protocol.init(node->raft, &g->limits, i, 1000u * ++g->starts + i);
    node->log = node->disk;
    node->applied = node->disk.base;
    node->durable = 0;
    node->next_req = 1;
    node->note_count = 0;
    node->up = true;
    struct term_run runs[GROUP_LOG];
    uint32_t run_count = 0;
    for (qr_slot s = node->log.base + 1; s <= node->log.last; s++) {
        if (run_count == 0 || runs[run_count - 1].term != node->log.entry[s].term) {
            runs[run_count++] = (struct term_run){ .slot = s, .term = node->log.entry[s].term };
        }
    }
    struct membership_at stated[GROUP_LOG] = { node->log.base_members };
    uint32_t stated_count = 1;
    for (qr_slot s = node->log.base + 1; s <= node->log.last; s++) {
        if (states_members(&node->log.entry[s])) {
            stated[stated_count++] =
                (struct membership_at){ .slot = s, .members = node->log.entry[s].members };
        }
    }
    struct event event = { .kind = EVENT_START };
    event.start.memberships = stated;
    event.start.membership_count = stated_count;
    struct raft_forgetful_state forgetful = { .term = node->disk.state.term };
    if (node->disk.has_state) {
        event.start.state_kind = node->disk.forgetful ? RAFT_FORGETFUL_STATE : RAFT_HARD_STATE;
    }
    event.start.state = node->disk.forgetful ? (const void *)&forgetful : &node->disk.state;
    event.start.forgetful = node->damaged;
    event.start.commit_term = node->disk.commit_term;
    event.start.base_slot = node->log.base;
    event.start.base_term = node->log.base_term;
    event.start.applied_slot = node->log.base;
    event.start.last_slot = node->log.last;
    event.start.runs = runs;
    event.start.run_count = run_count;
    group_step(g, i, &event);
}

static struct group *make(node_index n, const struct protocol_limits *limits,
                          struct membership members)
{
    struct group *g = group_zalloc(sizeof *g);
    g->n = n;
    g->limits = *limits;
    g->now = QR_SECOND;
    g->attach_max = UINT32_MAX;
    struct needs needs = raft_protocol.needs(limits);
    for (node_index i = 0; i < n; i++) {
        struct group_node *node = &g->node[i];
        node->raft = group_zalloc(needs.state);
        node->before = group_zalloc(needs.state);
        node->out.v = group_zalloc(needs.effects * sizeof node->out.v[0]);
        node->out.cap = needs.effects;
        node->out.scratch = group_zalloc(needs.scratch);
        node->out.scratch_cap = needs.scratch;
        if ((membership_all(&members) & node_bit(i)) != 0) {
            node->disk.base_members.members = members;
        }
        start(g, i);
    }
    g->now += g->limits.lease * 2; /* the promise of a start has ended */
    return g;
}

struct group *group_new_limited(node_index n, const struct protocol_limits *limits)
{
    return make(n, limits, (struct membership){ .voters = (uint16_t)((1u << n) - 1) });
}

struct group *group_new_of(node_index n, struct membership members)
{
    struct protocol_limits limits = group_limits();
    return make(n, &limits, members);
}

struct group *group_new(node_index n)
{
    struct protocol_limits limits = group_limits();
    return group_new_limited(n, &limits);
}

void group_free(struct group *g)
{
    group_lose_mail(g);
    for (node_index i = 0; i < g->n; i++) {
        struct group_node *node = &g->node[i];
        group_disk_forget(node);
        free(node->raft);
        free(node->before);
        free(node->out.v);
        free(node->out.scratch);
    }
    free(g);
}

void group_crash(struct group *g, node_index i)
{
    group_disk_forget(&g->node[i]);
    g->node[i].up = false;
    for (uint32_t k = g->mail_count; k > 0; k--) {
        if (g->mail[k - 1].from == i && g->mail[k - 1].after != 0) {
            remove_mail(g, k - 1); /* withheld effects die with the node (P5) */
        }
    }
}

void group_restart(struct group *g, node_index i, bool wait)
{
    if (g->node[i].up) {
        group_crash(g, i);
    }
    start(g, i);
    if (wait && g->now < g->node[i].raft->promise_until) {
        g->now = g->node[i].raft->promise_until;
    }
}

void group_restart_damaged(struct group *g, node_index i, qr_slot last)
{
    struct group_node *node = &g->node[i];
    group_crash(g, i);
    qr_assert(last >= node->disk.base);
    node->disk.last = min_u64(node->disk.last, last);
    node->disk.has_state = node->disk.forgetful = false;
    node->damaged = true;
    start(g, i);
}
