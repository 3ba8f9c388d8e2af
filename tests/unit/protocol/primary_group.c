#include "tests/unit/protocol/primary_group.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PROTOCOL primary_sync_protocol

struct protocol_limits flock_limits(void)
{
    return (struct protocol_limits){
        .heartbeat = 25 * QR_MILLISECOND,
        .lease = 80 * QR_MILLISECOND,
        .election = 300 * QR_MILLISECOND,
        .drift_percent = 10,
        .skew_max = 500 * QR_MILLISECOND,
        .uncommitted_max = 64,
        .append_entries = 16,
        .appends_in_flight = 4,
    };
}

struct primary *flock_primary(struct flock *f, node_index i)
{
    qr_assert(i < f->n);
    return f->node[i].primary;
}

struct outlook flock_outlook(const struct flock *f, node_index i)
{
    struct outlook o = { 0 };
    PROTOCOL.outlook(f->node[i].primary, &o);
    return o;
}

/* --- Views ------------------------------------------------------------------------------------ */

struct view flock_any(const struct flock *f, qr_term term, node_index primary, uint8_t copies)
{
    return (struct view){
        .term = term, .primary = primary, .members = (uint16_t)((1u << f->n) - 1), .copies = copies
    };
}

struct view flock_all(const struct flock *f, qr_term term, node_index primary)
{
    struct view v = flock_any(f, term, primary, 0);
    v.set = v.members;
    return v;
}

struct view flock_received(struct view v)
{
    v.stage = ACK_RECEIVED;
    return v;
}

/* --- The mailbox ------------------------------------------------------------------------------ */

static void remove_mail(struct flock *f, uint32_t at)
{
    memmove(&f->mail[at], &f->mail[at + 1], (f->mails - at - 1) * sizeof f->mail[0]);
    f->mails--;
}

void flock_lose_mail(struct flock *f)
{
    f->mails = 0;
}

static int find_mail(const struct flock *f, node_index from, node_index to, uint16_t kind)
{
    for (uint32_t i = 0; i < f->mails; i++) {
        const struct flock_mail *m = &f->mail[i];
        if (m->from == from && m->to == to && m->kind == kind && m->after == 0) {
            return (int)i;
        }
    }
    return -1;
}

const struct flock_mail *flock_sent(const struct flock *f, node_index from, node_index to,
                                    uint16_t kind)
{
    int at = find_mail(f, from, to, kind);
    return at < 0 ? NULL : &f->mail[at];
}

static void do_send(struct flock *f, node_index i, const struct effect *e)
{
    struct flock_node *node = &f->node[i];
    qr_assert(e->send.to != i);
    qr_assert(f->mails < FLOCK_MAIL);
    struct flock_mail *m = &f->mail[f->mails++];
    const struct message *message = &e->send.message;
    *m = (struct flock_mail){ .from = i,
                              .to = e->send.to,
                              .kind = message->kind,
                              .lo = message->lo,
                              .hi = message->hi,
                              .term = message->term };
    m->after = e->after > node->durable ? e->after : 0;
    uint8_t wire[128]; /* through the codec, as on the wire */
    struct wire_writer w = wire_writer(wire, sizeof wire);
    qr_assert(primary_codec.encode(message->kind, message->body, &w));
    qr_assert(primary_codec.decode(message->kind, span_of(wire, w.n), &m->body));
    bool asks = (m->kind == PRIMARY_APPEND && m->body.append.ask) ||
                (m->kind == PRIMARY_RELAY && m->body.relay.ask);
    qr_assert(message->patient == (m->hi > m->lo && !asks)); /* G2 */
    f->sent[m->kind]++;
    m->hi = min_u64(m->hi, m->lo + f->attach_max);
    for (qr_slot s = m->lo; s < m->hi; s++) {
        qr_assert(s > node->log.base && s <= node->log.last);
        qr_assert(node->log.entry[s].term == m->term);
        m->entries[s - m->lo] = node->log.entry[s];
    }
}

/* --- Carrying out effects --------------------------------------------------------------------- */

static void do_trace(struct flock *f, node_index i, const struct effect *e)
{
    char line[200];
    struct text t = text_in(line, sizeof line);
    f->node[i].points[e->trace.point]++;
    PROTOCOL.trace(e->trace.point, e->trace.argument, &t);
    if (getenv("GROUP_TRACE") != NULL) {
        printf("# %8lld %u: %s\n", (long long)f->now, i, line);
    }
}

static void do_note(struct flock_node *node, const struct effect *e)
{
    qr_assert(node->notes < FLOCK_NOTES);
    node->note[node->notes++] = (struct flock_note){ .kind = e->kind, .effect = *e };
}

static void carry_out(struct flock *f, node_index i, const struct flock_mail *received)
{
    struct flock_node *node = &f->node[i];
    for (uint32_t k = 0; k < node->out.n; k++) {
        const struct effect *e = &node->out.v[k];
        if (e->kind == EFFECT_PERSIST) {
            flock_disk_persist(f, i, e, received);
        } else if (e->kind == EFFECT_SEND) {
            do_send(f, i, e);
        } else if (e->kind == EFFECT_TRACE) {
            do_trace(f, i, e);
        } else if (e->kind == EFFECT_APPLY) {
            qr_assert(e->apply.lo == node->applied + 1);
            node->applied = e->apply.hi - 1;
            qr_assert(node->applied <= node->log.last);
        } else {
            do_note(node, e);
            if (e->kind == EFFECT_ROLLBACK) {
                flock_disk_rollback(node, e);
            } else if (e->kind == EFFECT_INSTALL) {
                flock_disk_install(f, node, e);
            }
        }
    }
}

static void step(struct flock *f, node_index i, struct event *event,
                 const struct flock_mail *received)
{
    struct flock_node *node = &f->node[i];
    qr_assert(node->up);
    event->now = f->now;
    memcpy(node->before, node->primary, sizeof *node->primary);
    node->out.n = 0;
    node->out.scratch_n = 0;
    PROTOCOL.step(node->primary, event, &node->out);
    PROTOCOL.check(node->primary, node->before);
    carry_out(f, i, received);
}

void flock_step(struct flock *f, node_index i, struct event *event)
{
    step(f, i, event, NULL);
}

/* --- Events ----------------------------------------------------------------------------------- */

void flock_tell(struct flock *f, node_index i, struct view v)
{
    flock_step(f, i, &(struct event){ .kind = EVENT_VIEW, .view = v });
}

void flock_tell_all(struct flock *f, struct view v)
{
    for (node_index i = 0; i < f->n; i++) {
        if (f->node[i].up && !f->node[i].cut) {
            flock_tell(f, i, v);
        }
    }
}

void flock_execute(struct flock *f, node_index i)
{
    struct event event = { .kind = EVENT_EXECUTED };
    event.executed.slot = f->node[i].applied;
    flock_step(f, i, &event);
}

void flock_zones(struct flock *f, uint64_t zones)
{
    for (node_index i = 0; i < f->n; i++) {
        if (f->node[i].up) {
            struct event event = { .kind = EVENT_ADMIN };
            event.admin.order = ADMIN_ZONES;
            event.admin.argument = zones;
            flock_step(f, i, &event);
        }
    }
}

void flock_lease(struct flock *f, node_index i, bool held)
{
    flock_step(f, i, &(struct event){ .kind = EVENT_LEASE, .lease.held = held });
}

void flock_timer(struct flock *f, node_index i)
{
    flock_step(f, i, &(struct event){ .kind = EVENT_TIMER });
}

qr_req flock_submit(struct flock *f, node_index i, uint32_t count)
{
    struct event event = { .kind = EVENT_SUBMIT };
    event.submit.first = f->next_req;
    event.submit.count = count;
    f->next_req += count;
    flock_step(f, i, &event);
    return event.submit.first;
}

qr_req flock_read(struct flock *f, node_index i)
{
    struct event event = { .kind = EVENT_READ };
    event.read.first = f->next_req++;
    event.read.count = 1;
    flock_step(f, i, &event);
    return event.read.first;
}

qr_req flock_hand_over(struct flock *f, node_index i, node_index to, qr_time timeout)
{
    struct event event = { .kind = EVENT_ADMIN };
    event.admin.order = ADMIN_TRANSFER;
    event.admin.argument = to;
    event.admin.timeout = timeout;
    event.admin.req = f->next_req++;
    flock_step(f, i, &event);
    return event.admin.req;
}

void flock_checkpoint(struct flock *f, node_index i, qr_slot slot, qr_slot release)
{
    struct flock_node *node = &f->node[i];
    struct event event = { .kind = EVENT_SNAPSHOT };
    event.snapshot.slot = slot;
    event.snapshot.release = release;
    flock_step(f, i, &event);
    for (uint32_t k = 0; k < node->out.n; k++) {
        if (node->out.v[k].kind == EFFECT_TRIM) {
            node->log.base = node->out.v[k].trim.upto;
            node->log.base_term = node->log.entry[node->log.base].term;
            flock_sync(f, i);
            node->disk = node->log;
        }
    }
}

void flock_bring_snapshot(struct flock *f, node_index from, node_index to)
{
    struct flock_log *fixed = malloc(sizeof *fixed);
    const struct flock_node *source = &f->node[from];
    *fixed = source->log;
    struct event event = { .kind = EVENT_OFFER };
    event.offer.from = from;
    event.offer.slot = source->applied;
    event.offer.slot_term = fixed->entry[source->applied].term;
    event.offer.term = source->primary->term;
    f->offered = fixed;
    flock_step(f, to, &event);
    f->offered = NULL;
    free(fixed);
}

void flock_peer(struct flock *f, node_index i, node_index peer, bool up)
{
    struct event event = { .kind = EVENT_PEER };
    event.peer.node = peer;
    event.peer.up = up;
    flock_step(f, i, &event);
}

void flock_sync(struct flock *f, node_index i)
{
    struct flock_node *node = &f->node[i];
    flock_disk_sync(node);
    for (uint32_t k = 0; k < f->mails; k++) {
        if (f->mail[k].from == i && f->mail[k].after <= node->durable) {
            f->mail[k].after = 0;
        }
    }
    struct event event = { .kind = EVENT_DURABLE };
    event.durable.upto = node->durable;
    flock_step(f, i, &event);
}

static void deliver(struct flock *f, const struct flock_mail *m)
{
    struct event event = { .kind = EVENT_RECEIVE };
    event.receive.from = m->from;
    event.receive.message = (struct message){
        .kind = m->kind, .body = &m->body, .lo = m->lo, .hi = m->hi, .term = m->term
    };
    step(f, m->to, &event, m);
}

void flock_deliver(struct flock *f, node_index from, node_index to, uint16_t kind, const void *body,
                   qr_slot lo, qr_slot hi, qr_term term)
{
    struct flock_mail m = { .from = from, .to = to, .kind = kind, .lo = lo, .hi = hi };
    m.term = term;
    uint8_t wire[128];
    struct wire_writer w = wire_writer(wire, sizeof wire);
    qr_assert(primary_codec.encode(kind, body, &w));
    qr_assert(primary_codec.decode(kind, span_of(wire, w.n), &m.body));
    for (qr_slot s = lo; s < hi; s++) {
        m.entries[s - lo].term = term;
    }
    deliver(f, &m);
}

static void deliver_at(struct flock *f, uint32_t at)
{
    struct flock_mail m = f->mail[at];
    remove_mail(f, at);
    if (f->node[m.to].up && !f->node[m.to].cut && !f->node[m.from].cut) {
        deliver(f, &m);
    }
}

bool flock_deliver_one(struct flock *f, node_index from, node_index to, uint16_t kind)
{
    int at = find_mail(f, from, to, kind);
    if (at >= 0) {
        deliver_at(f, (uint32_t)at);
    }
    return at >= 0;
}

static bool settle_once(struct flock *f)
{
    for (node_index i = 0; i < f->n; i++) {
        struct flock_node *node = &f->node[i];
        if (node->up && !node->disk_held && node->minted > node->durable) {
            flock_sync(f, i);
            return true;
        }
    }
    for (uint32_t k = 0; k < f->mails; k++) {
        if (f->mail[k].after == 0) {
            deliver_at(f, k);
            return true;
        }
    }
    return false;
}

void flock_settle(struct flock *f)
{
    for (uint32_t limit = 0; settle_once(f); limit++) {
        qr_assert(limit < 100000); /* it must come to rest while no time passes */
    }
}

void flock_elapse(struct flock *f, qr_time span)
{
    qr_time end = f->now + span;
    for (;;) {
        flock_settle(f);
        node_index first = NODE_NONE;
        qr_time due = end;
        for (node_index i = 0; i < f->n; i++) {
            qr_time at = f->node[i].up ? PROTOCOL.deadline(f->node[i].primary) : QR_NEVER;
            if (at < due) {
                due = at;
                first = i;
            }
        }
        if (first == NODE_NONE) {
            f->now = end;
            return;
        }
        f->now = due > f->now ? due : f->now;
        flock_timer(f, first);
    }
}

/* --- Life ------------------------------------------------------------------------------------- */

static void start(struct flock *f, node_index i)
{
    struct flock_node *node = &f->node[i];
    memset(node->primary, 0, sizeof *node->primary);
    PROTOCOL.init(node->primary, &f->limits, i, 1000u * ++f->starts + i);
    node->log = node->disk;
    node->applied = node->disk.base;
    node->durable = node->minted = 0;
    node->notes = 0;
    node->up = true;
    struct term_run runs[FLOCK_LOG];
    uint32_t count = 0;
    for (qr_slot s = node->log.base + 1; s <= node->log.last; s++) {
        if (count == 0 || runs[count - 1].term != node->log.entry[s].term) {
            runs[count++] = (struct term_run){ .slot = s, .term = node->log.entry[s].term };
        }
    }
    struct primary_state state = { .term = node->log.term,
                                   .led = node->log.led,
                                   .local = node->log.local,
                                   .floor = node->log.floor,
                                   .own = node->log.own };
    struct primary_forgetful_state blank = { .term = node->log.term,
                                             .led = node->log.led,
                                             .local = node->log.local,
                                             .floor = node->log.floor,
                                             .own = node->log.own };
    struct event event = { .kind = EVENT_START };
    event.start.state_kind = !node->log.has_state  ? 0
                             : node->log.forgetful ? PRIMARY_FORGETFUL_STATE
                                                   : PRIMARY_STATE;
    event.start.state = node->log.forgetful ? (const void *)&blank : &state;
    event.start.forgetful = node->damaged;
    event.start.base_slot = event.start.applied_slot = node->log.base;
    event.start.base_term = node->log.base_term;
    event.start.last_slot = node->log.last;
    event.start.runs = runs;
    event.start.run_count = count;
    flock_step(f, i, &event);
}

void flock_crash(struct flock *f, node_index i)
{
    struct flock_node *node = &f->node[i];
    node->up = false;
    for (qr_ticket t = node->durable + 1; t <= node->minted; t++) {
        free(node->write[t % FLOCK_WRITES]);
    }
    node->minted = node->durable;
    for (uint32_t k = f->mails; k-- > 0;) {
        if (f->mail[k].from == i && f->mail[k].after != 0) {
            remove_mail(f, k);
        }
    }
}

void flock_restart(struct flock *f, node_index i)
{
    start(f, i);
    flock_lease(f, i, true);
}

void flock_restart_forgetful(struct flock *f, node_index i, qr_slot last)
{
    f->node[i].disk.last = min_u64(f->node[i].disk.last, last);
    f->node[i].damaged = true;
    start(f, i);
}

void flock_wipe(struct flock *f, node_index i)
{
    f->node[i].disk = (struct flock_log){ 0 };
}

struct flock *flock_new_limited(node_index n, const struct protocol_limits *limits)
{
    struct flock *f = calloc(1, sizeof *f);
    f->n = n;
    f->now = QR_SECOND;
    f->limits = *limits;
    f->next_req = 1;
    f->attach_max = ARRAY_COUNT(f->mail[0].entries);
    struct needs needs = PROTOCOL.needs(limits);
    for (node_index i = 0; i < n; i++) {
        struct flock_node *node = &f->node[i];
        node->primary = calloc(1, needs.state);
        node->before = calloc(1, needs.state);
        node->out.v = calloc(needs.effects, sizeof *node->out.v);
        node->out.cap = needs.effects;
        node->out.scratch = malloc(needs.scratch);
        node->out.scratch_cap = needs.scratch;
        flock_restart(f, i);
    }
    return f;
}

struct flock *flock_new(node_index n)
{
    struct protocol_limits limits = flock_limits();
    return flock_new_limited(n, &limits);
}

void flock_free(struct flock *f)
{
    for (node_index i = 0; i < f->n; i++) {
        struct flock_node *node = &f->node[i];
        flock_crash(f, i);
        free(node->primary);
        free(node->before);
        free(node->out.v);
        free(node->out.scratch);
    }
    free(f);
}

/* --- Looking ---------------------------------------------------------------------------------- */

const struct flock_note *flock_noted(const struct flock *f, node_index i, enum effect_kind kind)
{
    for (uint32_t k = f->node[i].notes; k-- > 0;) {
        if (f->node[i].note[k].kind == kind) {
            return &f->node[i].note[k];
        }
    }
    return NULL;
}

int flock_answer(const struct flock *f, node_index i, qr_req req)
{
    for (uint32_t k = 0; k < f->node[i].notes; k++) {
        const struct effect *e = &f->node[i].note[k].effect;
        if (e->kind == EFFECT_ANSWER && req >= e->answer.first &&
            req < e->answer.first + e->answer.count) {
            return (int)e->answer.status;
        }
    }
    return -1;
}

bool flock_applied(const struct flock *f, node_index i, qr_req req)
{
    const struct flock_node *node = &f->node[i];
    for (qr_slot s = 1; s <= node->applied; s++) {
        if (node->log.entry[s].req == req) {
            return true;
        }
    }
    return false;
}

bool flock_discarded(const struct flock *f, node_index i, qr_req req)
{
    for (uint32_t k = 0; k < f->node[i].discards; k++) {
        if (f->node[i].discard[k].req == req) {
            return true;
        }
    }
    return false;
}
