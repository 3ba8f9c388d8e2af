/* The driver of one replica: events in, commands in, turns. perform.c carries effects out, apply.c
 * executes, replica_new.c makes it. */
#include "node/replica.h"

#include "base/alloc.h"
#include "node/lagging.h"
#include "node/orders.h"
#include "node/replica_internal.h"
#include "node/router.h"
#include "node/run.h"

#include <stdlib.h>
#include <string.h>

/* --- Stepping ------------------------------------------------------------------------------- */

static void step(struct replica *r, struct event *event)
{
    struct effects *out = &r->bench->effects;
    qr_assert(!r->bench->stepping);
    r->bench->stepping = true;
    r->stepped = true;
    r->deadline_known = false;
    r->lease_until = r->viewed ? 0 : r->lease_until; /* its primary may have closed by this */
    out->n = 0;
    out->scratch_n = 0;
    event->now = io_now(r->node->io);
    event->wall = io_wall(r->node->io);
    r->protocol->step(r->self, event, out);
    for (uint32_t i = 0; i < out->n && r->started; i++) { /* not behind a ROLLBACK */
        if (out->v[i].after > r->durable) {
            replica_hold(r, &out->v[i]);
        } else {
            replica_perform(r, &out->v[i]);
        }
    }
    r->bench->stepping = false;
}

/* What became durable meanwhile comes first: it may be what the event counts on. */
static void step_on(struct replica *r, struct event *event)
{
    if (r->durable_untold) {
        r->durable_untold = false;
        struct event durable = { .kind = EVENT_DURABLE };
        durable.durable.upto = r->durable;
        step(r, &durable);
    }
    step(r, event);
}

void replica_step(struct replica *r, struct event *event)
{
    if (r->started) { /* else to the others as if this node was away still */
        partition_wake(r->partition);
        step_on(r, event);
    }
}

/* --- Events --------------------------------------------------------------------------------- */

/* What is in the log will be applied: a command that cannot be read must not get there. */
bool replica_has_meaning(struct replica *r, const struct record *record)
{
    struct op op;
    if (record->kind == RECORD_MEMBERS) {
        return replica_roster_received(r, record);
    }
    if (record->kind == RECORD_BLOB) {
        return blobs_has_meaning(record->payload);
    }
    if (record->kind == RECORD_ROWS) {
        return r->logical && execute_has_meaning(record->payload);
    }
    return record->kind != RECORD_COMMAND || op_read(record->payload, &op);
}

/* Checks that the records are exactly the entries [lo, hi) of that term and group. No entry that
 * states the members may come into the log without the protocol's knowledge: where there are more
 * of them than it can be told of at once, those behind are as good as lost on the way. */
static bool records_fit(struct replica *r, struct span records, qr_slot lo, qr_slot hi,
                        qr_term term)
{
    size_t at = 0;
    r->bench->received_count = 0;
    r->bench->received_hi = hi;
    for (qr_slot slot = lo; slot < hi; slot++) {
        struct record record;
        size_t n = record_read(span_of(records.p + at, records.n - at), &record);
        if (n == 0 || record.slot != slot || record.term != term || record.group != r->group ||
            !record_is_entry(record.kind) || !replica_has_meaning(r, &record)) {
            return false;
        }
        at += n;
    }
    return at == records.n;
}

bool replica_receive(struct replica *r, node_index from, uint16_t kind, struct span body,
                     qr_slot lo, qr_slot hi, qr_term term, struct span records)
{
    if (!r->protocol->codec->decode(kind, body, r->bench->received_body)) {
        return false;
    }
    if (hi > lo && log_backlog(r->node->log) > LOG_BACKLOG_BYTES_MAX) {
        r->node->stats.peer_messages_dropped++;
        return true; /* this disk does not keep up: as if it had been lost on the way */
    }
    if (hi < lo || hi - lo > APPEND_ENTRIES_MAX || !records_fit(r, records, lo, hi, term)) {
        return false;
    }
    r->bench->records = records;
    (void)io_failpoint(r->node->io, FAIL_RECEIVE);
    struct event event = { .kind = EVENT_RECEIVE };
    event.receive.from = from;
    event.receive.message = (struct message){
        .kind = kind, .body = r->bench->received_body, .lo = lo, .hi = r->bench->received_hi,
        .term = term
    };
    event.receive.memberships = r->bench->received;
    event.receive.membership_count = r->bench->received_count;
    if (r->started) {
        views_end_lease(r);
        step_on(r, &event);
        replica_stir(r);
    }
    r->bench->records = (struct span){ 0 };
    (void)io_failpoint(r->node->io, FAIL_RECEIVED);
    return true;
}

void replica_peer(struct replica *r, node_index peer, bool up)
{
    struct event event = { .kind = EVENT_PEER };
    event.peer.node = peer;
    event.peer.up = up;
    if (r->feed != NULL) {
        feed_forget(r->feed, peer); /* it is asked anew where it stands */
    }
    replica_step(r, &event);
}

void replica_durable(struct replica *r, uint64_t position)
{
    if (replica_take_durable(r, position)) {
        r->durable_untold = false;
        struct event event = { .kind = EVENT_DURABLE };
        event.durable.upto = r->durable;
        replica_step(r, &event);
    }
    if (r->marks_count > 0) {
        partition_expects(r->partition, r->marks[r->marks_first].position);
    } else if (r->durable_only && r->trails) {
        partition_expects(r->partition, r->written.position);
    }
}

void replica_checkpointed(struct replica *r, qr_slot slot, qr_slot release, qr_slot pin)
{
    if (slot == 0) {
        return;
    }
    struct event event = { .kind = EVENT_SNAPSHOT };
    event.snapshot.slot = slot;
    event.snapshot.release = release;
    event.snapshot.pin = pin;
    replica_step(r, &event);
}

void replica_admin(struct replica *r, enum admin_kind order, uint64_t argument)
{
    struct event event = { .kind = EVENT_ADMIN };
    event.admin.order = order;
    r->lease_until = order == ADMIN_READ_MODE ? 0 : r->lease_until;
    event.admin.argument = argument;
    replica_step(r, &event);
}

void replica_hand_over(struct replica *r, node_index to, qr_time timeout)
{
    struct event event = { .kind = EVENT_ADMIN };
    event.admin.order = ADMIN_TRANSFER;
    event.admin.argument = to;
    event.admin.timeout = timeout;
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
    /* The others may commit without this disk; its memory must not pay for that. */
    uint64_t backlog = log_backlog(r->node->log);
    bool keeps_up = backlog == 0 || backlog + r->batch_n + n <= LOG_BACKLOG_BYTES_MAX;
    bool may = !r->stalled && r->batch_count < r->outlook.room && (!r->logical || execute_may(r));
    return fits && light && keeps_up && may &&
           (r->batch_n == 0 || r->batch_n + record_bytes(n) <= LOG_BATCH_BYTES_MAX);
}

static uint8_t *batch_record(struct replica *r, struct pending *p, uint8_t kind, size_t n)
{
    size_t total = r->batch_n + record_bytes(n);
    qr_assert(r->batch_count < UNCOMMITTED_ENTRIES_MAX);
    if (r->batch == NULL) {
        replica_prefetch_step(r, NODE_NONE); /* by the turn that the batch goes in it is here */
        r->batch = batch_room_take(r->bench);
        partition_wake(r->partition);
    }
    if (total > r->batch->cap || r->batch_count == r->batch->pending_cap) {
        batch_room_grow(r->batch, total, r->batch_count + 1);
    }
    uint8_t *record = r->batch->p + r->batch_n;
    uint32_t length = (uint32_t)n;
    memcpy(record, &length, sizeof length);
    record[RECORD_KIND_AT] = kind;
    r->batch->pending[r->batch_count++] = p;
    r->batch_n = total;
    return record + RECORD_HEADER_BYTES;
}

uint8_t *replica_write(struct replica *r, struct pending *p, size_t n)
{
    p->state = PENDING_PROPOSED;
    p->op_bytes = n;
    r->flight_bytes += n;
    stream_begin_write(p);
    return batch_record(r, p, RECORD_COMMAND, n);
}

uint8_t *replica_batch(struct replica *r, uint8_t kind, size_t n)
{
    return batch_record(r, NULL, kind, n);
}

void replica_load(struct replica *r, struct pending *p)
{
    blobs_load(r, p);
}

void replica_abandon(struct replica *r, const struct cargo *cargo)
{
    blobs_abandon(r, cargo);
}

void replica_read(struct replica *r, struct pending *p)
{
    replica_begin_read(p);
    replica_queue(r, &r->new_reads, p);
    partition_wake(r->partition);
}

void replica_order(struct replica *r, struct pending *p, struct event *event)
{
    p->state = PENDING_ORDERED;
    p->req = r->next_req++;
    replica_queue(r, &r->orders, p);
    event->kind = EVENT_ADMIN;
    event->admin.req = p->req;
    replica_step(r, event);
}

enum qr_status replica_change(struct replica *r, struct pending *p, struct event *event,
                              const struct roster_node *brought)
{
    enum qr_status status = STATUS_OK;
    r->joining = brought;
    if (p != NULL) {
        replica_order(r, p, event);
    } else {
        event->admin.req = r->next_req++;
        r->change_req = event->admin.req;
        r->change_status = STATUS_OK;
        replica_step(r, event);
        r->change_req = 0;
        status = r->change_status;
    }
    r->joining = NULL;
    return status;
}

bool replica_gathers(const struct replica *r)
{
    return r->batch_count > 0;
}

enum qr_status replica_change_for(struct replica *r, struct event *event, uint64_t epoch)
{
    qr_assert(r->group != 0);
    event->kind = EVENT_ADMIN;
    r->ordered_epoch = epoch;
    enum qr_status status = replica_change(r, NULL, event, NULL);
    r->ordered_epoch = 0;
    return status;
}

bool replica_order_answered(struct replica *r, qr_req req, enum qr_status status)
{
    if (req != 0 && req == r->change_req) {
        r->change_status = status;
        return true;
    }
    struct pending *p = r->orders.first;
    while (p != NULL && p->req != req) {
        p = p->queue_next;
    }
    if (p == NULL) {
        return false;
    }
    pendings_remove(&r->orders, p);
    if (status == STATUS_NOT_LEADER) {
        struct pendings one = { 0 };
        pendings_push(&one, p);
        router_retry(r->node->router, &one, status);
    } else {
        orders_ended(r->node, p, status);
    }
    return true;
}

static void submit_batch(struct replica *r)
{
    r->batch->first = r->next_req;
    r->next_req += r->batch_count;
    struct event event = { .kind = EVENT_SUBMIT };
    event.submit.first = r->batch->first;
    event.submit.count = r->batch_count;
    (void)io_failpoint(r->node->io, FAIL_SUBMIT);
    r->submitting = true;
    replica_step(r, &event);
    r->submitting = false;
    (void)io_failpoint(r->node->io, FAIL_SUBMITTED);
    qr_assert(r->batch_count == 0); /* taken or refused as a whole */
}

static void submit_reads(struct replica *r)
{
    struct event event = { .kind = EVENT_READ };
    event.read.first = r->next_req;
    event.read.count = r->new_reads.count;
    replica_note_ask(r);
    if (event.read.count == 0) { /* nobody's: for those that come (replica_ask_ahead) */
        event.read.count = 1;
        r->next_req++;
    }
    struct pending *p;
    while ((p = pendings_pop(&r->new_reads)) != NULL) {
        p->req = r->next_req++;
        pendings_push(&r->reading, p);
    }
    replica_step(r, &event);
}

/* --- The turn ------------------------------------------------------------------------------- */

/* When the next tick is wanted, if one may be proposed: one at a time, and not before the term has
 * begun. */
static qr_wall next_tick(struct replica *r)
{
    bool may = replica_leads(r) && r->outlook.can_serve && r->tick_slot <= r->applied;
    qr_wall due = may ? engine_next_due(r->partition->engine) : QR_NEVER;
    return due != QR_NEVER && replica_has_room(r, OP_TICK_BYTES) ? due : QR_NEVER;
}

static bool tick_wanted(struct replica *r)
{
    qr_wall due = next_tick(r);
    return due != QR_NEVER && due <= replica_stamp(r);
}

/* What only a step can change is asked for once after it. */
void replica_look(struct replica *r)
{
    qr_term term = r->outlook.term;
    if (!r->stepped) {
        return;
    }
    r->stepped = false;
    uint8_t members = r->outlook.members;
    r->protocol->outlook(r->self, &r->outlook);
    for (uint8_t i = r->outlook.members; i < members; i++) {
        r->outlook.member[i] = (struct member_outlook){ 0 };
    }
    if (r->outlook.term != term) {
        r->tick_slot = 0; /* a tick of an earlier term may be lost, and its slot far ahead */
        r->lease_until = 0;
        r->queued = true; /* blobs_turn shall look */
    }
    if (r->viewed && replica_leads(r)) {
        r->views.led = r->outlook.term;
    }
    if (r->group == 0) {
        chores_outlook(&r->node->chores, &r->outlook);
    }
    leaders_look(r->partition, r->outlook.role == ROLE_LEADER, r->outlook.term);
}

static qr_time timer(struct replica *r)
{
    if (!r->deadline_known) {
        r->deadline_known = true;
        r->deadline = r->protocol->deadline(r->self);
    }
    return r->deadline;
}

qr_time replica_protocol_deadline(struct replica *r)
{
    return r->partition->campaign == CAMPAIGN_WAITS ? QR_NEVER : timer(r); /* C1 */
}

bool replica_campaigns(struct replica *r)
{
    if (!r->started || timer(r) > r->node->clock) {
        return false;
    }
    replica_look(r);
    return !replica_leads(r);
}

/* Reads go ahead of the batch: they arrived, at the latest, together with it, so that the messages
 * which carry it also confirm the reads. */
static void begin_queues(struct replica *r)
{
    r->stamped_at = 0;
    if ((r->new_reads.count > 0 || replica_wants_proof(r)) && r->outlook.room > 0) { /* P4 */
        submit_reads(r);
    }
    blobs_turn(r);
    r->queued = replica_has_queued(r);
}

static void serve_queues(struct replica *r)
{
    if (r->confirmed.count > 0) {
        replica_serve_confirmed(r);
    }
    if (r->due.count > 0) {
        replica_serve_due(r);
    }
    if (r->waits != NULL) {
        replica_serve_waits(r);
    }
    replica_serve_large(r);
}

void replica_turn(struct replica *r)
{
    if (!r->started) {
        return;
    }
    /* After a stall of our own the messages that prove others alive still wait in the sockets. */
    qr_time deadline = replica_protocol_deadline(r);
    bool due = deadline <= r->node->clock; /* as of this turn: later ones make another */
    if (due && !io_has_polled_since(r->node->io, deadline)) {
        r->partition->again = true;
    } else if (due) {
        struct event event = { .kind = EVENT_TIMER };
        replica_step(r, &event);
    }
    if (r->applied < replica_apply_limit(r)) {
        replica_apply(r, APPLY_BUDGET);
    }
    if (tick_wanted(r)) {
        (void)batch_record(r, NULL, RECORD_TICK, OP_TICK_BYTES);
    }
    if (r->queued) {
        begin_queues(r);
    }
    qr_slot before = r->outlook.last;
    uint64_t position = log_position(r->node->log);
    if (r->batch_count > 0) {
        submit_batch(r);
    }
    replica_look(r);
    replica_tell_executed(r);
    lagging_turn(r->partition, before, log_position(r->node->log) - position);
    if (r->queued) {
        serve_queues(r);
    }
    replica_feed(r);
    replica_end_sends(r);
}

qr_time replica_deadline(struct replica *r)
{
    if (!r->started) {
        return QR_NEVER;
    }
    qr_time at = replica_protocol_deadline(r);
    if (r->applied < replica_apply_limit(r)) {
        return 0;
    }
    qr_wall due = next_tick(r);
    if (due != QR_NEVER) {
        qr_wall wait = due - replica_stamp(r);
        qr_time tick = io_now(r->node->io) + (wait > 0 ? wait : 0);
        at = tick < at ? tick : at;
    }
    if (r->queued && r->waits != NULL) {
        qr_time soon = io_now(r->node->io) + 10 * QR_MILLISECOND;
        at = soon < at ? soon : at;
    }
    return at;
}

/* --- Looking in ----------------------------------------------------------------------------- */

void replica_outlook(const struct replica *r, struct outlook *out)
{
    if (!r->started) {
        *out = r->outlook;
        return;
    }
    *out = (struct outlook){ 0 };
    r->protocol->outlook(r->self, out);
}

const struct outlook *replica_seen(const struct replica *r)
{
    return &r->outlook;
}

void replica_queues(const struct replica *r, struct replica_queues *out)
{
    const struct outlook *o = &r->outlook;
    *out = (struct replica_queues){
        .reads = r->new_reads.count + r->reading.count + r->confirmed.count + r->large.count +
                 r->due.count,
        .held = r->held_count,
        .uncommitted = o->role == ROLE_LEADER && o->last > o->commit ? o->last - o->commit : 0,
        .flight_bytes = r->flight_bytes,
        .parts_bytes = r->blobs.flight_bytes,
    };
}

node_index replica_leader(const struct replica *r)
{
    return r->outlook.leader;
}

qr_term replica_term(const struct replica *r)
{
    struct outlook outlook;
    replica_outlook(r, &outlook);
    return outlook.term;
}

qr_slot replica_applied(const struct replica *r)
{
    return r->applied;
}

qr_slot replica_state(const struct replica *r)
{
    return r->logical ? r->execute->state : r->applied;
}

qr_term replica_applied_term(const struct replica *r)
{
    return r->applied_term;
}

void replica_freeze(struct replica *r, bool on)
{
    r->frozen = on;
    r->lease_until = 0;
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
