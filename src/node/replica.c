#include "node/replica.h"

#include "base/alloc.h"
#include "base/rng.h"
#include "node/peers.h"
#include "node/replica_internal.h"
#include "node/router.h"
#include "node/run.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* One slice of execution; a turn's other work waits behind it (R4). */
#define APPLY_BUDGET (2 * QR_MILLISECOND)

/* --- Stepping ------------------------------------------------------------------------------- */

static void perform(struct replica *r, const struct effect *e);
static void hold(struct replica *r, const struct effect *e);

void replica_step(struct replica *r, struct event *event)
{
    struct effects *out = &r->effects;
    out->n = 0;
    out->scratch_n = 0;
    event->now = io_now(r->node->io);
    event->wall = io_wall(r->node->io);
    r->protocol->step(r->self, event, out);
    for (uint32_t i = 0; i < out->n; i++) {
        if (out->v[i].after > r->durable) {
            hold(r, &out->v[i]);
        } else {
            perform(r, &out->v[i]);
        }
    }
}

static size_t encode_body(struct replica *r, uint16_t kind, const void *body)
{
    struct wire_writer w = wire_writer(r->encoded, r->encoded_cap);
    bool known = r->protocol->codec->encode(kind, body, &w);
    qr_assert(known);
    qr_assert(!w.bad);
    return w.n;
}

static void hold(struct replica *r, const struct effect *e)
{
    qr_assert(e->kind != EFFECT_PERSIST); /* a PERSIST mints tickets, it cannot wait for one */
    size_t n = 0;
    if (e->kind == EFFECT_SEND) {
        n = encode_body(r, e->send.message.kind, e->send.message.body);
    }
    struct held *h = qr_alloc(sizeof *h + n);
    h->next = NULL;
    h->effect = *e;
    h->body_bytes = n;
    if (n > 0) {
        memcpy(h->body, r->encoded, n);
    }
    if (r->held_last != NULL) {
        r->held_last->next = h;
    } else {
        r->held = h;
    }
    r->held_last = h;
}

/* --- Effects -------------------------------------------------------------------------------- */

static void send_message(struct replica *r, node_index to, const struct message *m,
                         struct span body)
{
    struct span records = { 0 };
    qr_slot hi = m->lo;
    if (m->hi > m->lo) {
        int64_t n = log_read(r->node->log, r->group, m->lo, m->hi, APPEND_BYTES_MAX, &records);
        if (n < 0) {
            node_fail(r->node, "an entry of the log cannot be read back");
            return;
        }
        hi = m->lo + (qr_slot)n;
    }
    peers_send(r->node->peers, to, r->group, m->kind, r->protocol->codec->is_control(m->kind), body,
               m->lo, hi, m->term, records);
}

static void perform_send(struct replica *r, const struct effect *e)
{
    const struct message *m = &e->send.message;
    size_t n = encode_body(r, m->kind, m->body);
    send_message(r, e->send.to, m, span_of(r->encoded, n));
}

static void mark_ticket(struct replica *r, qr_ticket ticket)
{
    struct log_group group = { 0 };
    (void)log_group_state(r->node->log, r->group, &group);
    if (r->marks_count == r->marks_cap) {
        uint32_t cap = r->marks_cap * 2;
        struct ticket_mark *grown = qr_alloc(cap * sizeof *grown);
        for (uint32_t i = 0; i < r->marks_count; i++) {
            grown[i] = r->marks[(r->marks_first + i) % r->marks_cap];
        }
        free(r->marks);
        r->marks = grown;
        r->marks_first = 0;
        r->marks_cap = cap;
    }
    r->marks[(r->marks_first + r->marks_count++) % r->marks_cap] = (struct ticket_mark){
        .ticket = ticket, .position = log_position(r->node->log), .last = group.last_slot
    };
}

/* The batch's records get their slots and go to the log as they are. */
static void persist_batch(struct replica *r, const struct effect *e)
{
    qr_assert(r->submitting);
    qr_assert(e->persist.req == r->batch_first);
    qr_assert(e->persist.hi - e->persist.lo == r->batch_count);
    qr_wall stamp = replica_stamp(r);
    size_t at = 0;
    for (uint32_t i = 0; i < r->batch_count; i++) {
        uint8_t *record = r->batch + at;
        uint32_t n;
        memcpy(&n, record, sizeof n); /* replica_write left the length there */
        uint8_t kind = RECORD_COMMAND;
        qr_slot slot = e->persist.lo + i;
        if (r->batch_pending[i] == NULL) {
            kind = RECORD_TICK;
            op_tick_write(record + RECORD_HEADER_BYTES, stamp, rng_next(&r->rng));
            r->tick_slot = slot;
        } else {
            op_stamp(record + RECORD_HEADER_BYTES, stamp, rng_next(&r->rng));
            replica_took_off(r, r->batch_pending[i], slot, e->persist.term);
        }
        record_seal(record, r->group, kind, slot, e->persist.term, n);
        at += record_bytes(n);
    }
    qr_assert(at == r->batch_n);
    log_append(r->node->log, span_of(r->batch, r->batch_n), r->batch_count);
    r->batch_count = 0;
    r->batch_n = 0;
}

static void persist_noop(struct replica *r, const struct effect *e)
{
    uint8_t record[RECORD_HEADER_BYTES];
    qr_assert(e->persist.hi - e->persist.lo == 1);
    record_seal(record, r->group, RECORD_NOOP, e->persist.lo, e->persist.term, 0);
    log_append(r->node->log, span_of(record, sizeof record), 1);
}

static void persist_received(struct replica *r, const struct effect *e)
{
    struct span rest = r->records;
    uint32_t count = (uint32_t)(e->persist.hi - e->persist.lo);
    struct record record;
    size_t n;
    while ((n = record_peek(rest, &record)) > 0 && record.slot < e->persist.lo) {
        rest = span_of(rest.p + n, rest.n - n);
    }
    size_t bytes = 0;
    for (uint32_t i = 0; i < count; i++) {
        n = record_peek(span_of(rest.p + bytes, rest.n - bytes), &record);
        qr_assert(n > 0);
        qr_assert(record.slot == e->persist.lo + i);
        qr_assert(record.term == e->persist.term);
        bytes += n;
    }
    log_append(r->node->log, span_of(rest.p, bytes), count);
}

/* What is dropped is not durable any more, whatever was synced before; neither is what will replace
 * it until its own ticket is. */
static void undo_durable(struct replica *r, qr_slot from)
{
    r->durable_last = min_u64(r->durable_last, from - 1);
    for (uint32_t i = 0; i < r->marks_count; i++) {
        struct ticket_mark *mark = &r->marks[(r->marks_first + i) % r->marks_cap];
        mark->last = min_u64(mark->last, from - 1);
    }
}

static void persist_entries(struct replica *r, const struct effect *e)
{
    struct log_group group;
    if (log_group_state(r->node->log, r->group, &group) && e->persist.lo <= group.last_slot) {
        qr_assert(e->persist.lo > r->applied); /* D2: what is applied is never taken back */
        log_truncate(r->node->log, r->group, e->persist.lo);
        undo_durable(r, e->persist.lo);
    }
    if (e->persist.req != 0) {
        persist_batch(r, e);
    } else if (e->persist.noop) {
        persist_noop(r, e);
    } else {
        persist_received(r, e);
    }
}

static void perform_persist(struct replica *r, const struct effect *e)
{
    if (e->persist.state_kind != 0) {
        uint8_t tag[2] = { (uint8_t)e->persist.state_kind, (uint8_t)(e->persist.state_kind >> 8) };
        size_t n = encode_body(r, e->persist.state_kind, e->persist.state);
        qr_assert(n + 2 <= r->encoded_cap);
        memmove(r->encoded + 2, r->encoded, n);
        memcpy(r->encoded, tag, 2);
        log_state(r->node->log, r->group, span_of(r->encoded, n + 2));
    }
    if (e->persist.hi > e->persist.lo) {
        persist_entries(r, e);
    }
    mark_ticket(r, e->persist.ticket);
}

/* Refused writes are still in the batch: they were stepped just now. */
static void refuse_batch(struct replica *r, const struct effect *e)
{
    qr_assert(e->answer.first == r->batch_first);
    qr_assert(e->answer.count == r->batch_count);
    struct pendings refused = { 0 };
    size_t at = 0;
    for (uint32_t i = 0; i < r->batch_count; i++) {
        uint32_t n;
        memcpy(&n, r->batch + at, sizeof n);
        struct pending *p = r->batch_pending[i];
        if (p != NULL) {
            uint8_t *op = qr_alloc(n);
            memcpy(op, r->batch + at + RECORD_HEADER_BYTES, n);
            r->flight_bytes -= n;
            pending_set_op(p, op, n);
            pendings_push(&refused, p);
        }
        at += record_bytes(n);
    }
    r->batch_count = 0;
    r->batch_n = 0;
    router_retry(r->node->router, &refused, e->answer.status);
}

static void perform_answer(struct replica *r, const struct effect *e)
{
    if (r->submitting && e->answer.first == r->batch_first) {
        refuse_batch(r, e);
    } else {
        replica_reads_refused(r, e->answer.first, e->answer.count, e->answer.status);
    }
}

static void perform_trim(struct replica *r, const struct effect *e)
{
    struct log_group group;
    struct span records;
    struct record record;
    if (!log_group_state(r->node->log, r->group, &group) || e->trim.upto <= group.base_slot) {
        return;
    }
    if (log_read(r->node->log, r->group, e->trim.upto, e->trim.upto + 1, 1, &records) == 1 &&
        record_peek(records, &record) > 0) {
        log_trim(r->node->log, r->group, e->trim.upto, record.term);
    }
}

static void perform_trace(struct replica *r, const struct effect *e)
{
    char line[256];
    struct text t = text_in(line, sizeof line);
    r->protocol->trace(e->trace.point, e->trace.argument, &t);
    node_log(r->node, NODE_LOG_VERBOSE, "%s", line);
}

static void perform(struct replica *r, const struct effect *e)
{
    switch (e->kind) {
    case EFFECT_PERSIST:
        perform_persist(r, e);
        return;
    case EFFECT_SEND:
        perform_send(r, e);
        return;
    case EFFECT_APPLY:
        qr_assert(e->apply.lo == r->apply_to + 1); /* D2 */
        r->apply_to = e->apply.hi - 1;
        replica_apply(r, APPLY_BUDGET);
        return;
    case EFFECT_ANSWER:
        perform_answer(r, e);
        return;
    case EFFECT_READ:
        replica_reads_confirmed(r, e->read.first, e->read.count, e->read.slot, e->read.before);
        return;
    case EFFECT_TRIM:
        perform_trim(r, e);
        return;
    case EFFECT_TRACE:
        perform_trace(r, e);
        return;
    }
    qr_unreachable();
}

/* --- Events --------------------------------------------------------------------------------- */

/* What is in the log will be applied: a command that cannot be read must not get there. */
static bool has_meaning(const struct record *record)
{
    struct op op;
    return record->kind != RECORD_COMMAND || op_read(record->payload, &op);
}

/* Checks that the records are exactly the entries [lo, hi) of that term and group. */
static bool records_fit(const struct replica *r, struct span records, qr_slot lo, qr_slot hi,
                        qr_term term)
{
    size_t at = 0;
    for (qr_slot slot = lo; slot < hi; slot++) {
        struct record record;
        size_t n = record_read(span_of(records.p + at, records.n - at), &record);
        if (n == 0 || record.slot != slot || record.term != term || record.group != r->group ||
            !record_is_entry(record.kind) || !has_meaning(&record)) {
            return false;
        }
        at += n;
    }
    return at == records.n;
}

bool replica_receive(struct replica *r, node_index from, uint16_t kind, struct span body,
                     qr_slot lo, qr_slot hi, qr_term term, struct span records)
{
    if (!r->protocol->codec->decode(kind, body, r->received_body)) {
        return false;
    }
    if (hi < lo || hi - lo > APPEND_ENTRIES_MAX || !records_fit(r, records, lo, hi, term)) {
        return false;
    }
    r->records = records;
    struct event event = { .kind = EVENT_RECEIVE };
    event.receive.from = from;
    event.receive.message = (struct message){
        .kind = kind, .body = r->received_body, .lo = lo, .hi = hi, .term = term
    };
    replica_step(r, &event);
    r->records = (struct span){ 0 };
    return true;
}

void replica_peer(struct replica *r, node_index peer, bool up)
{
    struct event event = { .kind = EVENT_PEER };
    event.peer.node = peer;
    event.peer.up = up;
    replica_step(r, &event);
}

/* Effects whose ticket is durable now, in the order in which they were held. */
static void release_held(struct replica *r)
{
    struct held **link = &r->held;
    r->held_last = NULL;
    while (*link != NULL) {
        struct held *h = *link;
        if (h->effect.after > r->durable) {
            r->held_last = h;
            link = &h->next;
            continue;
        }
        *link = h->next;
        if (h->effect.kind == EFFECT_SEND) {
            send_message(r, h->effect.send.to, &h->effect.send.message,
                         span_of(h->body, h->body_bytes));
        } else {
            perform(r, &h->effect);
        }
        free(h);
    }
}

void replica_durable(struct replica *r, uint64_t position)
{
    qr_ticket upto = r->durable;
    while (r->marks_count > 0 && r->marks[r->marks_first].position <= position) {
        upto = r->marks[r->marks_first].ticket;
        r->durable_last = r->marks[r->marks_first].last;
        r->marks_first = (r->marks_first + 1) % r->marks_cap;
        r->marks_count--;
    }
    if (upto == r->durable) {
        return;
    }
    qr_assert(upto > r->durable); /* tickets become durable in order */
    r->durable = upto;
    release_held(r);
    struct event event = { .kind = EVENT_DURABLE };
    event.durable.upto = upto;
    replica_step(r, &event);
}

void replica_checkpointed(struct replica *r, qr_slot slot)
{
    struct event event = { .kind = EVENT_SNAPSHOT };
    event.snapshot.slot = slot;
    event.snapshot.force = replica_log_bytes(r) > r->node->config.log_max_bytes;
    replica_step(r, &event);
}

void replica_admin(struct replica *r, enum admin_kind order, uint64_t argument)
{
    struct event event = { .kind = EVENT_ADMIN };
    event.admin.order = order;
    event.admin.argument = argument;
    replica_step(r, &event);
}

/* --- Commands ------------------------------------------------------------------------------- */

bool replica_leads(const struct replica *r)
{
    return r->outlook.role == ROLE_LEADER;
}

bool replica_has_room(const struct replica *r, size_t n)
{
    /* A new leader may still have much to apply: what it takes now must fit behind that. */
    bool fits = r->outlook.last + r->batch_count - r->applied < FLIGHTS / 2;
    bool light = r->flight_bytes == 0 || r->flight_bytes + n <= UNCOMMITTED_BYTES_MAX;
    return fits && light && r->batch_count < r->outlook.room &&
           (r->batch_n == 0 || r->batch_n + record_bytes(n) <= LOG_BATCH_BYTES_MAX);
}

static uint8_t *batch_record(struct replica *r, struct pending *p, size_t n)
{
    size_t total = r->batch_n + record_bytes(n);
    if (total > r->batch_cap) {
        r->batch_cap = total * 2;
        r->batch = qr_realloc(r->batch, r->batch_cap);
    }
    qr_assert(r->batch_count < UNCOMMITTED_ENTRIES_MAX);
    uint8_t *record = r->batch + r->batch_n;
    uint32_t length = (uint32_t)n;
    memcpy(record, &length, sizeof length);
    r->batch_pending[r->batch_count++] = p;
    r->batch_n = total;
    return record + RECORD_HEADER_BYTES;
}

uint8_t *replica_write(struct replica *r, struct pending *p, size_t n)
{
    qr_assert(p->op == NULL);
    p->state = PENDING_PROPOSED;
    p->op_bytes = n;
    r->flight_bytes += n;
    if (p->stream != NULL && !p->counted) {
        p->counted = true;
        p->stream->writes_begun++;
    }
    return batch_record(r, p, n);
}

void replica_read(struct replica *r, struct pending *p)
{
    qr_assert(p->op != NULL);
    p->state = PENDING_READING;
    op_stamp(p->op, 0, 0); /* apply.c stamps it when it is served */
    p->confirmed = false;
    p->req = 0;
    if (p->stream != NULL) {
        p->stream->reading += p->counted ? 0 : 1;
        p->counted = true;
        p->after_write = p->stream->writes_begun;
    }
    pendings_push(&r->new_reads, p);
}

void replica_wait(struct replica *r, struct pending *p)
{
    p->state = PENDING_BLOCKED;
    pendings_push(&r->blocked, p);
}

static void submit_batch(struct replica *r)
{
    r->batch_first = r->next_req;
    r->next_req += r->batch_count;
    struct event event = { .kind = EVENT_SUBMIT };
    event.submit.first = r->batch_first;
    event.submit.count = r->batch_count;
    r->submitting = true;
    replica_step(r, &event);
    r->submitting = false;
    qr_assert(r->batch_count == 0); /* taken or refused as a whole */
}

static void submit_reads(struct replica *r)
{
    struct event event = { .kind = EVENT_READ };
    event.read.first = r->next_req;
    event.read.count = r->new_reads.count;
    struct pending *p;
    while ((p = pendings_pop(&r->new_reads)) != NULL) {
        p->req = r->next_req++;
        pendings_push(&r->reading, p);
    }
    replica_step(r, &event);
}

/* --- The turn ------------------------------------------------------------------------------- */

/* Whether a tick may be proposed: one at a time, and not before the term has begun. */
static bool may_tick(const struct replica *r)
{
    return replica_leads(r) && r->outlook.can_serve && r->tick_slot <= r->applied &&
           replica_has_room(r, OP_TICK_BYTES);
}

static bool tick_wanted(struct replica *r)
{
    return may_tick(r) && engine_next_due(r->node->engine) <= replica_stamp(r);
}

static void look(struct replica *r)
{
    qr_term term = r->outlook.term;
    r->protocol->outlook(r->self, &r->outlook);
    if (r->outlook.term != term) {
        r->tick_slot = 0; /* a tick of an earlier term may be lost, and its slot far ahead */
    }
}

void replica_turn(struct replica *r)
{
    if (r->protocol->deadline(r->self) <= io_now(r->node->io)) {
        struct event event = { .kind = EVENT_TIMER };
        replica_step(r, &event);
    }
    if (r->applied < r->apply_to) {
        replica_apply(r, APPLY_BUDGET);
    }
    if (tick_wanted(r)) {
        (void)batch_record(r, NULL, OP_TICK_BYTES);
    }
    /* Reads first: they arrived, at the latest, together with the batch, so that the messages which
     * carry the batch also confirm the reads. */
    if (r->new_reads.count > 0 && r->outlook.room > 0) { /* P4 */
        submit_reads(r);
    }
    if (r->batch_count > 0) {
        submit_batch(r);
    }
    look(r);
    replica_serve_confirmed(r);
    replica_serve_due(r);
    replica_serve_blocked(r);
}

qr_time replica_deadline(struct replica *r)
{
    qr_time at = r->protocol->deadline(r->self);
    if (r->applied < r->apply_to) {
        return 0;
    }
    if (may_tick(r)) {
        qr_wall due = engine_next_due(r->node->engine);
        if (due != QR_NEVER) {
            qr_wall wait = due - replica_stamp(r);
            qr_time tick = io_now(r->node->io) + (wait > 0 ? wait : 0);
            at = tick < at ? tick : at;
        }
    }
    if (r->blocked.count > 0) {
        qr_time soon = io_now(r->node->io) + 10 * QR_MILLISECOND;
        at = soon < at ? soon : at;
    }
    return at;
}

/* --- Looking in ----------------------------------------------------------------------------- */

void replica_outlook(const struct replica *r, struct outlook *out)
{
    r->protocol->outlook(r->self, out);
}

node_index replica_leader(const struct replica *r)
{
    return r->outlook.leader;
}

qr_slot replica_applied(const struct replica *r)
{
    return r->applied;
}

qr_term replica_applied_term(const struct replica *r)
{
    return r->applied_term;
}

qr_slot replica_durable_slot(const struct replica *r)
{
    return r->durable_last;
}

uint64_t replica_log_bytes(const struct replica *r)
{
    return log_group_bytes(r->node->log, r->group);
}

node_index replica_me(const struct replica *r)
{
    return r->me;
}

uint8_t replica_members(const struct replica *r)
{
    return r->members;
}

void replica_describe(const struct replica *r, struct text *out)
{
    r->protocol->describe(r->self, out);
}

/* --- Making --------------------------------------------------------------------------------- */

static struct protocol_limits limits_of(const struct config *config)
{
    return (struct protocol_limits){
        .heartbeat = config->heartbeat_ms * QR_MILLISECOND,
        .lease = config->lease_ms * QR_MILLISECOND,
        .election = config->election_timeout_ms * QR_MILLISECOND,
        .drift_percent = 10,
        .skew_max = 500 * QR_MILLISECOND,
        .uncommitted_max = UNCOMMITTED_ENTRIES_MAX,
        .append_entries = APPEND_ENTRIES_MAX,
        .appends_in_flight = APPENDS_IN_FLIGHT_MAX,
    };
}

static void allocate(struct replica *r, const struct needs *needs)
{
    r->self = aligned_alloc(16, (needs->state + 15) & ~(size_t)15);
    qr_assert(r->self != NULL);
    r->effects.v = qr_alloc(needs->effects * sizeof *r->effects.v);
    r->effects.cap = needs->effects;
    r->effects.scratch = aligned_alloc(16, (needs->scratch + 15) & ~(size_t)15);
    r->effects.scratch_cap = needs->scratch;
    r->received_body = qr_alloc(r->protocol->codec->body_max);
    r->encoded_cap = r->protocol->codec->body_max * 2 + 64;
    r->encoded = qr_alloc(r->encoded_cap);
    r->batch_cap = 64 * KIB;
    r->batch = qr_alloc(r->batch_cap);
    r->batch_pending = qr_alloc(UNCOMMITTED_ENTRIES_MAX * sizeof(struct pending *));
    r->flights = qr_zalloc(FLIGHTS * sizeof(struct pending *));
    r->marks_cap = 64;
    r->marks = qr_alloc(r->marks_cap * sizeof *r->marks);
}

/* The term of an entry that the log holds, or of its base. */
static qr_term term_at(const struct log_group *group, qr_slot slot)
{
    qr_term term = group->base_term;
    for (uint32_t i = 0; i < group->run_count && group->runs[i].slot <= slot; i++) {
        term = group->runs[i].term;
    }
    return term;
}

/* The event that tells the protocol what survived. False when log and checkpoint do not join. */
static bool start_event(struct replica *r, qr_slot checkpoint_slot, qr_term checkpoint_term,
                        struct event *event, char *message, size_t cap)
{
    struct log_group group = { .group = r->group };
    bool known = log_group_state(r->node->log, r->group, &group);
    if (known && group.base_slot > checkpoint_slot) {
        (void)snprintf(message, cap,
                       "the log begins after slot %llu but the checkpoint ends at slot %llu: the "
                       "checkpoint file was lost or replaced; restore it, or wipe this directory "
                       "and let the node join anew",
                       (unsigned long long)group.base_slot, (unsigned long long)checkpoint_slot);
        return false;
    }
    if (known && checkpoint_slot > 0 && group.last_slot >= checkpoint_slot &&
        term_at(&group, checkpoint_slot) != checkpoint_term) {
        /* A checkpoint is only taken of what is durable in this log: they cannot part by themselves. */
        (void)snprintf(message, cap,
                       "log and checkpoint disagree about slot %llu: one of them is not this node's; "
                       "restore both from the same time, or wipe this directory and let the node "
                       "join anew",
                       (unsigned long long)checkpoint_slot);
        return false;
    }
    if (!known || group.last_slot < checkpoint_slot) {
        /* The checkpoint is ahead of what the log kept: it alone is the base. */
        log_trim(r->node->log, r->group, checkpoint_slot, checkpoint_term);
        group.base_slot = checkpoint_slot;
        group.base_term = checkpoint_term;
        group.last_slot = checkpoint_slot;
        group.run_count = 0;
        if (!known) {
            group.state = (struct span){ 0 };
        }
    }
    r->durable_last = group.last_slot; /* recovery has synced what it kept */
    event->kind = EVENT_START;
    event->start.members = r->members;
    event->start.base_slot = group.base_slot;
    event->start.base_term = group.base_term;
    event->start.last_slot = group.last_slot;
    event->start.runs = group.runs;
    event->start.run_count = group.run_count;
    event->start.forgetful = group.damaged;
    event->start.applied_slot = checkpoint_slot;
    if (group.state.n >= 2) {
        event->start.state_kind = (uint16_t)(group.state.p[0] | (group.state.p[1] << 8));
        if (!r->protocol->codec->decode(event->start.state_kind,
                                        span_of(group.state.p + 2, group.state.n - 2),
                                        r->received_body)) {
            (void)snprintf(message, cap,
                           "the log holds a state record that this version of "
                           "quorate cannot read: start the version that wrote it");
            return false;
        }
        event->start.state = r->received_body;
    }
    return true;
}

struct replica *replica_new(struct node *node, const struct protocol *protocol, uint32_t group,
                            uint8_t members, node_index me, qr_slot checkpoint_slot,
                            qr_term checkpoint_term, char *message, size_t cap)
{
    struct protocol_limits limits = limits_of(&node->config);
    struct needs needs = protocol->needs(&limits);
    struct replica *r = qr_zalloc(sizeof *r);
    r->node = node;
    r->protocol = protocol;
    r->group = group;
    r->me = me;
    r->members = members;
    r->next_req = 1;
    r->applied = checkpoint_slot;
    r->apply_to = checkpoint_slot;
    r->applied_term = checkpoint_term;
    uint64_t seed;
    io_random(node->io, &seed, sizeof seed);
    r->rng = rng_from(seed);
    allocate(r, &needs);
    memset(r->self, 0, needs.state);
    protocol->init(r->self, &limits, me, rng_next(&r->rng));
    struct event event = { 0 };
    if (!start_event(r, checkpoint_slot, checkpoint_term, &event, message, cap)) {
        replica_free(r);
        return NULL;
    }
    node->replica = r;
    replica_step(r, &event);
    replica_admin(r, ADMIN_READ_MODE, node->config.read_mode);
    r->protocol->outlook(r->self, &r->outlook);
    return r;
}

void replica_free(struct replica *r)
{
    while (r->held != NULL) {
        struct held *h = r->held;
        r->held = h->next;
        free(h);
    }
    free(r->self);
    free(r->effects.v);
    free(r->effects.scratch);
    free(r->received_body);
    free(r->encoded);
    free(r->batch);
    free(r->batch_pending);
    free(r->flights);
    free(r->marks);
    free(r);
}
