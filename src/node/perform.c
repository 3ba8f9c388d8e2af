/* Effects carried out: what a protocol has decided becomes records, messages and answers. */
#include "node/replica_internal.h"

#include "base/alloc.h"
#include "node/damage.h"
#include "node/frame.h"
#include "node/lagging.h"
#include "node/peers.h"
#include "node/regain.h"
#include "node/rollback.h"
#include "node/router.h"
#include "node/run.h"
#include "node/transfers.h"

#include <string.h>

#define MARKS_MIN 4u

/* --- Bodies and waiting effects ----------------------------------------------------------------
 */

static size_t encode_body(struct replica *r, uint16_t kind, const void *body)
{
    struct wire_writer w = wire_writer(r->bench->encoded, r->bench->encoded_cap);
    bool known = r->protocol->codec->encode(kind, body, &w);
    qr_assert(known);
    qr_assert(!w.bad);
    return w.n;
}

void replica_hold(struct replica *r, const struct effect *e)
{
    qr_assert(e->kind != EFFECT_PERSIST); /* a PERSIST mints tickets, it cannot wait for one */
    size_t n = 0;
    if (e->kind == EFFECT_SEND && r->held_count >= HELD_EFFECTS_MAX) {
        r->node->stats.peer_messages_dropped++;
        return;
    }
    if (e->kind == EFFECT_SEND) {
        n = encode_body(r, e->send.message.kind, e->send.message.body);
    }
    struct held *h = qr_alloc(sizeof *h + n);
    h->next = NULL;
    h->effect = *e;
    h->body_bytes = n;
    if (n > 0) {
        memcpy(h->body, r->bench->encoded, n);
    }
    if (r->held_last != NULL) {
        r->held_last->next = h;
    } else {
        r->held = h;
    }
    r->held_last = h;
    r->held_count++;
}

/* --- Effects -------------------------------------------------------------------------------- */

/* What could not be attached leaves a gap, behind which entries are no use to a follower: they come
 * when it has refused what follows. */
static bool is_behind_gap(const struct replica *r, node_index to, qr_slot lo)
{
    qr_slot gap = r->feed != NULL ? feed_gap(r->feed, to) : 0;
    return gap != 0 && lo > gap && lo > r->outlook.member[to].match + 1;
}

/* Whether this turn has room for more entries to that follower (R4). One that is far behind asks
 * for much at once, and its entries come from files. */
static bool may_attach(struct replica *r, node_index to, qr_slot lo)
{
    r->attaches = true;
    if (r->feed == NULL) {
        r->feed = qr_zalloc_lines(sizeof *r->feed);
    }
    struct feed *f = r->feed;
    size_t bytes = f->attached[to];
    bool room = bytes == 0 || (bytes < APPEND_TURN_BYTES && f->read_back < READ_BACK_TURN_BYTES);
    feed_set_gap(f, to, room ? 0 : lo);
    return room;
}

/* Whether the pace counts: far behind, and nobody waits for it. */
static bool is_paced(const struct replica *r, qr_slot lo)
{
    return r->feed != NULL && r->feed->paced && lo <= r->outlook.commit &&
           log_bytes_from(r->node->log, r->group, lo) > CATCH_UP_NEAR_BYTES;
}

static void note_attached(struct replica *r, node_index to, const struct message *m, qr_slot hi,
                          size_t bytes)
{
    r->feed->attached[to] += (uint32_t)bytes;
    feed_set_gap(r->feed, to, hi < m->hi ? hi : 0);
    if (is_paced(r, m->lo)) {
        feed_took(r->feed, to, bytes, r->node->clock);
    }
}

void replica_end_sends(struct replica *r)
{
    if (r->attaches) {
        r->attaches = false;
        if (r->feed != NULL) {
            memset(r->feed->attached, 0, sizeof r->feed->attached);
            r->feed->read_back = 0;
        }
    }
}

static void send_message(struct replica *r, node_index to, const struct message *m,
                         struct span body)
{
    struct span records = { 0 };
    qr_slot hi = m->lo;
    if (m->hi > m->lo && lagging_is_dropped(r->partition, to)) {
        return; /* as if lost: without its entries it would be refused, and come again */
    }
    bool wanted = m->hi > m->lo && !is_behind_gap(r, to, m->lo);
    if (wanted && is_paced(r, m->lo) && feed_must_wait(r->feed, to, r->node->clock)) {
        feed_keep(r->feed, to, m, body);
        return;
    }
    if (wanted && may_attach(r, to, m->lo)) {
        uint64_t read_before = log_read_back_bytes(r->node->log);
        int64_t n = log_read(r->node->log, r->group, m->lo, m->hi, APPEND_BYTES_MAX, &records);
        if (n < 0) {
            node_fail(r->node, "an entry of the log cannot be read back");
            return;
        }
        hi = m->lo + (qr_slot)n;
        r->feed->read_back += log_read_back_bytes(r->node->log) - read_before;
        note_attached(r, to, m, hi, records.n);
        if (r->group == 0) { /* acknowledgements are watched by slot */
            measure_append(r->node->measure, to, (uint32_t)n, hi - 1, r->node->clock);
        }
        (void)io_failpoint(r->node->io, FAIL_SEND_ENTRIES);
    }
    enum haste haste = r->protocol->codec->is_control(m->kind) ? SEND_CONTROL
                       : m->patient                            ? SEND_SOON
                                                               : SEND_NOW;
    peers_send(r->node->peers, to, r->group, m->kind, haste, body, m->lo, hi, m->term, records);
    if (hi > m->lo) {
        (void)io_failpoint(r->node->io, FAIL_SENT_ENTRIES);
    }
}

/* What the pace lets go now; for the rest this node wakes itself. */
void replica_feed(struct replica *r)
{
    struct node *node = r->node;
    struct feed *f = r->feed;
    const struct outlook *o = &r->outlook;
    if (f == NULL) {
        return;
    }
    bool feeds = o->role == ROLE_LEADER || o->feeds != 0;
    struct feed_sight sight = { .now = node->clock,
                                .term = feeds ? o->term : 0,
                                .position = log_position(node->log),
                                .commands = node->stats.commands_processed +
                                            node->stats.forwarded_for_others,
                                .commit = o->commit,
                                .last = o->last,
                                .hurried = o->transfer_to != NODE_NONE };
    feed_look(f, &sight);
    if (sight.term == 0 && r->group != 0) {
        free(f); /* nothing of it counts before this node leads again, and it keeps no message */
        r->feed = NULL;
        return;
    }
    for (uint32_t rest = f->waiting; rest != 0; rest &= rest - 1) {
        node_index to = set_first(rest);
        if (feed_must_wait(f, to, node->clock)) {
            qr_time due = f->member[to].due;
            partition_wake_at(r->partition, due);
            continue;
        }
        struct late *late = feed_take(f, to);
        send_message(r, to, &late->message, span_of(late->body, late->body_bytes));
        free(late);
    }
}

static void perform_send(struct replica *r, const struct effect *e)
{
    const struct message *m = &e->send.message;
    if ((r->protocol->codec->late >> m->kind & 1) != 0 &&
        peers_wire_version(r->node->peers, e->send.to) < WIRE_VERSION_LEVELS) {
        return; /* it would close the connection */
    }
    size_t n = encode_body(r, m->kind, m->body);
    send_message(r, e->send.to, m, span_of(r->bench->encoded, n));
}

void replica_mark_ticket(struct replica *r, qr_ticket ticket, bool lazy)
{
    uint64_t position = log_position(r->node->log);
    if (r->marks_count == r->marks_cap) {
        uint32_t cap = r->marks_cap > 0 ? r->marks_cap * 2 : MARKS_MIN;
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
        .ticket = ticket,
        .position = position,
        .last = log_last_slot(r->node->log, r->group),
        .lazy = lazy,
    };
    partition_expects(r->partition, position);
}

void replica_drop_batch(struct replica *r)
{
    batch_room_give(r->bench, r->batch);
    r->batch = NULL;
    r->batch_count = 0;
    r->batch_n = 0;
}

void replica_append(struct replica *r, struct span records, uint32_t count)
{
    const struct partition *p = r->partition;
    if (r->durable_only || !(p->lazy || p->soon)) {
        log_append(r->node->log, records, count);
    } else { /* what was received is acknowledged already: the disk has a moment */
        log_append_lazily(r->node->log, records, count, p->soon ? LOG_SYNC_SOON : LOG_SYNC_LATER);
    }
}

/* The batch's records get their slots and go to the log as they are. */
static void persist_batch(struct replica *r, const struct effect *e)
{
    qr_assert(r->submitting);
    qr_assert(e->persist.req == r->batch->first);
    qr_assert(e->persist.hi - e->persist.lo == r->batch_count);
    qr_wall stamp = replica_stamp(r);
    size_t at = 0;
    for (uint32_t i = 0; i < r->batch_count; i++) {
        uint8_t *record = r->batch->p + at;
        uint32_t n;
        memcpy(&n, record, sizeof n); /* replica_write left the length there */
        uint8_t kind = record[RECORD_KIND_AT];
        qr_slot slot = e->persist.lo + i;
        if (kind == RECORD_TICK) {
            op_tick_write(record + RECORD_HEADER_BYTES, stamp, rng_next(&r->rng));
            r->tick_slot = slot;
        } else if (kind == RECORD_BLOB) {
            blobs_proposed(r, span_of(record + RECORD_HEADER_BYTES, n));
        } else {
            op_stamp(record + RECORD_HEADER_BYTES, stamp, rng_next(&r->rng));
            replica_took_off(r, r->batch->pending[i], slot, e->persist.term);
        }
        record_seal(record, r->group, kind, slot, e->persist.term, n);
        at += record_bytes(n);
    }
    qr_assert(at == r->batch_n);
    replica_append(r, span_of(r->batch->p, r->batch_n), r->batch_count);
    replica_drop_batch(r);
}

static void persist_noop(struct replica *r, const struct effect *e)
{
    uint8_t record[RECORD_HEADER_BYTES];
    qr_assert(e->persist.hi - e->persist.lo == 1);
    record_seal(record, r->group, RECORD_NOOP, e->persist.lo, e->persist.term, 0);
    replica_append(r, span_of(record, sizeof record), 1);
    if (r->logical) {
        execute_noop(r, e->persist.lo, e->persist.term);
    }
}

static void persist_received(struct replica *r, const struct effect *e)
{
    struct span rest = r->bench->records;
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
    replica_append(r, span_of(rest.p, bytes), count);
    if (r->bench->received_count > 0) {
        replica_roster_appended(r, e->persist.lo, e->persist.hi);
    }
}

/* What is dropped is not durable any more, whatever was synced before; neither is what will replace
 * it until its own ticket is. */
static void undo_durable(struct replica *r, qr_slot from)
{
    r->durable_last = min_u64(r->durable_last, from - 1);
    r->written.last = min_u64(r->written.last, from - 1);
    r->written_newest.last = min_u64(r->written_newest.last, from - 1);
    for (uint32_t i = 0; i < r->marks_count; i++) {
        struct ticket_mark *mark = &r->marks[(r->marks_first + i) % r->marks_cap];
        mark->last = min_u64(mark->last, from - 1);
    }
}

static void persist_entries(struct replica *r, const struct effect *e)
{
    if (e->persist.lo <= log_last_slot(r->node->log, r->group)) {
        qr_assert(e->persist.lo > r->applied); /* D2: what is applied is never taken back */
        log_truncate(r->node->log, r->group, e->persist.lo);
        undo_durable(r, e->persist.lo);
        replica_roster_truncated(r, e->persist.lo);
    }
    if (e->persist.req != 0 && r->logical) {
        qr_assert(r->submitting && e->persist.req == r->batch->first);
        qr_assert(e->persist.hi - e->persist.lo == r->batch_count);
        execute_batch(r, e->persist.lo, e->persist.term);
        replica_drop_batch(r);
    } else if (e->persist.req != 0) {
        persist_batch(r, e);
    } else if (e->persist.noop) {
        persist_noop(r, e);
    } else if (e->persist.members != NULL) {
        replica_persist_members(r, e);
    } else {
        persist_received(r, e);
    }
    if (r->logical) {
        execute_logged(r);
    }
}

static void perform_persist(struct replica *r, const struct effect *e)
{
    bool cuts =
        e->persist.hi > e->persist.lo && e->persist.lo <= log_last_slot(r->node->log, r->group);
    if (e->persist.state_kind != 0) {
        uint8_t tag[2] = { (uint8_t)e->persist.state_kind, (uint8_t)(e->persist.state_kind >> 8) };
        size_t n = encode_body(r, e->persist.state_kind, e->persist.state);
        uint8_t *encoded = r->bench->encoded;
        qr_assert(n + 2 <= r->bench->encoded_cap);
        memmove(encoded + 2, encoded, n);
        memcpy(encoded, tag, 2);
        log_state(r->node->log, r->group, span_of(encoded, n + 2));
    }
    if (e->persist.hi > e->persist.lo) {
        persist_entries(r, e);
        regain_logged(r, e->persist.lo);
    }
    bool lazy = replica_is_lazy(r) && e->persist.state_kind == 0 && !cuts;
    replica_mark_ticket(r, e->persist.ticket, lazy);
}

/* Refused writes are still in the batch: they were stepped just now. */
static void refuse_batch(struct replica *r, const struct effect *e)
{
    qr_assert(e->answer.count == r->batch_count);
    struct pendings refused = { 0 };
    size_t at = 0;
    for (uint32_t i = 0; i < r->batch_count; i++) {
        uint32_t n;
        memcpy(&n, r->batch->p + at, sizeof n);
        struct pending *p = r->batch->pending[i];
        if (p != NULL) {
            r->flight_bytes -= n;
            if (p->op == NULL) { /* one with a cargo keeps its own */
                memcpy(pending_take_room(p, n), r->batch->p + at + RECORD_HEADER_BYTES, n);
            }
            pendings_push(&refused, p);
        } else if (r->batch->p[at + RECORD_KIND_AT] == RECORD_BLOB) {
            blobs_unproposed(r, span_of(r->batch->p + at + RECORD_HEADER_BYTES, n));
        }
        at += record_bytes(n);
    }
    replica_drop_batch(r);
    blobs_refused(r, &refused);
    router_retry(r->node->router, &refused, e->answer.status);
}

static void perform_answer(struct replica *r, const struct effect *e)
{
    if (r->submitting && r->batch != NULL && e->answer.first == r->batch->first) {
        refuse_batch(r, e);
    } else if (!replica_order_answered(r, e->answer.first, e->answer.status)) {
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
    } else { /* the next trim goes further; until then the log is longer than it need be */
        node_log(r->node, NODE_LOG_WARNING, "The log is not trimmed: an entry cannot be read back");
    }
}

static void perform_trace(struct replica *r, const struct effect *e)
{
    char line[256];
    struct text t = text_in(line, sizeof line);
    r->protocol->trace(e->trace.point, e->trace.argument, &t);
    node_log(r->node, NODE_LOG_VERBOSE, "%s", line);
}

void replica_perform(struct replica *r, const struct effect *e)
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
        replica_reads_confirmed(r, e->read.first, e->read.count, e->read.slot,
                                e->read.held ? replica_lease_end(r) : e->read.before);
        return;
    case EFFECT_TRACE:
        perform_trace(r, e);
        return;
    case EFFECT_TRIM:
        node_stir(r->node);
        perform_trim(r, e);
        return;
    case EFFECT_SNAPSHOT:
        node_stir(r->node);
        transfers_wanted(r->partition, e->snapshot.to, e->snapshot.least);
        return;
    case EFFECT_INSTALL:
        node_stir(r->node);
        replica_perform_install(r, e);
        return;
    case EFFECT_LOSS:
        damage_of_another(r->partition, e->loss.node, e->loss.acknowledged, e->loss.holds);
        return;
    case EFFECT_ROLLBACK:
        node_stir(r->node);
        rollback_begin(r, e);
        return;
    }
    qr_unreachable();
}

/* What waited for its ticket is a promise that this node must keep from here on. */
static void send_held(struct replica *r, const struct held *h)
{
    const struct message *m = &h->effect.send.message;
    bool vote = r->protocol->codec->is_control(m->kind);
    (void)io_failpoint(r->node->io, vote ? FAIL_SEND_VOTE : FAIL_SEND_ACK);
    send_message(r, h->effect.send.to, m, span_of(h->body, h->body_bytes));
    (void)io_failpoint(r->node->io, vote ? FAIL_SENT_VOTE : FAIL_SENT_ACK);
}

/* Effects whose ticket is durable now, in the order in which they were held. */
void replica_release_held(struct replica *r)
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
        r->held_count--;
        if (h->effect.kind == EFFECT_SEND) {
            send_held(r, h);
        } else {
            replica_perform(r, &h->effect);
        }
        free(h);
    }
}
