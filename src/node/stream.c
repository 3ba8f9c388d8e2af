#include "node/stream.h"

#include "base/alloc.h"
#include "base/limits.h"
#include "base/linked.h"
#include "cluster/token.h"
#include "node/meta.h"
#include "node/node.h"
#include "node/router.h"

#include <stdlib.h>
#include <string.h>

void stream_init(struct stream *stream, struct node *node, enum stream_kind kind)
{
    *stream = (struct stream){ .node = node,
                               .ordered = kind == STREAM_CLIENT,
                               .sender_places = SENDERS_KEPT,
                               .relayed = kind == STREAM_PEER };
}

/* --- Queues --------------------------------------------------------------------------------- */

void pendings_push(struct pendings *q, struct pending *p)
{
    LINKED_APPEND(q->first, q->last, p, queue_previous, queue_next);
    q->count++;
}

void pendings_insert(struct pendings *q, struct pending *at, struct pending *p)
{
    p->queue_previous = at;
    p->queue_next = at != NULL ? at->queue_next : q->first;
    *(p->queue_next != NULL ? &p->queue_next->queue_previous : &q->last) = p;
    *(at != NULL ? &at->queue_next : &q->first) = p;
    q->count++;
}

void pendings_remove(struct pendings *q, struct pending *p)
{
    qr_assert(q->count > 0);
    qr_assert(p->queue_previous != NULL || q->first == p);
    LINKED_REMOVE(q->first, q->last, p, queue_previous, queue_next);
    p->queue_next = NULL;
    p->queue_previous = NULL;
    q->count--;
}

struct pending *pendings_pop(struct pendings *q)
{
    struct pending *p = q->first;
    if (p != NULL) {
        pendings_remove(q, p);
    }
    return p;
}

/* --- Pendings ------------------------------------------------------------------------------- */

static void age_push(struct node *node, struct pending *p)
{
    LINKED_APPEND(node->oldest, node->youngest, p, age_previous, age_next);
    node->pending_count++;
    node->stats.pending_max = max_u64(node->stats.pending_max, node->pending_count);
}

static void age_remove(struct node *node, struct pending *p)
{
    if (node->sweep == p) {
        node->sweep = p->age_next;
    }
    LINKED_REMOVE(node->oldest, node->youngest, p, age_previous, age_next);
    qr_assert(node->pending_count > 0);
    node->pending_count--;
}

/* Of its places those that are there. */
static void keep_token(struct pending *p, const struct token *token)
{
    p->token_bytes = offsetof(struct token, places) + token->count * sizeof token->places[0];
    p->token = qr_alloc(p->token_bytes);
    memcpy(p->token, token, p->token_bytes);
    p->node->pending_bytes += p->token_bytes;
}

static void drop_token(struct pending *p)
{
    if (p->token != NULL) {
        p->node->pending_bytes -= p->token_bytes;
        free(p->token);
        p->token = NULL;
    }
}

struct pending *stream_push(struct stream *stream, const struct command_spec *spec, uint8_t version,
                            qr_time now)
{
    struct node *node = stream->node;
    struct pending *p = node->free_pendings;
    if (p != NULL) {
        node->free_pendings = p->next;
    } else {
        p = qr_alloc(sizeof *p);
    }
    memset(p, 0, offsetof(struct pending, wants));
    p->stream = stream;
    p->node = node;
    p->spec = spec;
    p->version = version;
    p->arrived = now;
    p->sequence = ++node->next_sequence;
    LINKED_APPEND(stream->first, stream->last, p, previous, next);
    stream->count++;
    age_push(node, p);
    p->wants = stream->wants;
    if (p->wants.expires != 0) {
        heap_add(&node->expiries, p, p->wants.expires);
    }
    if (p->wants.meta && stream->token != NULL) {
        keep_token(p, stream->token);
    }
    return p;
}

void pending_want(struct pending *p, const struct wants *wants)
{
    struct pending_heap *expiries = &p->node->expiries;
    heap_remove(expiries, p);
    p->wants = *wants;
    if (wants->expires != 0) {
        heap_add(expiries, p, wants->expires);
    }
}

void pending_join(struct pending *p, struct partition *partition)
{
    struct track *track = &partition->track;
    p->partition = partition;
    p->strand = strand_of(&p->stream->strands, partition->group);
    p->strand->open++;
    p->routed = !p->stream->relayed && (partition->group == 0 || p->stream->by_prefix);
    track->moved = track->pending == 0 ? p->arrived : track->moved;
    track->pending++;
}

/* It has its answer, or nobody is to answer it. */
static void leave_track(struct pending *p)
{
    if (p->partition != NULL) {
        qr_assert(p->partition->track.pending > 0);
        p->partition->track.pending--;
        p->partition = NULL;
    }
}

struct read_history *stream_reads_of_sender(const struct pending *p)
{
    struct stream *stream = p->stream;
    if (stream->senders == NULL) {
        stream->senders = qr_zalloc(stream->sender_places * sizeof *stream->senders);
    }
    struct read_history *h = &stream->senders[p->sender % stream->sender_places];
    if (h->sender != p->sender) {
        h->sender = p->sender;
        h->usec = h->bytes = 0; /* the counts go on: some may have no answer yet */
    }
    return h;
}

bool stream_waits(const struct stream *stream)
{
    const struct pending *p = stream->first;
    while (p != NULL && (p->spec == NULL || p->spec->place != PLACE_WAIT)) {
        p = p->next;
    }
    return p != NULL;
}

static void unlink_from_stream(struct pending *p)
{
    struct stream *stream = p->stream;
    LINKED_REMOVE(stream->first, stream->last, p, previous, next);
    stream->count--;
    stream->alone -= p->alone ? 1 : 0;
    p->alone = false;
    if (stream->first != NULL && stream->first->state == PENDING_GATHERING) {
        stream->node->again = true; /* its time has come */
    }
    if (p->strand != NULL) {
        qr_assert(p->strand->open > 0);
        (void)strand_join(p->node->map, p->strand->group, &p->strand->told, p->shown.slot);
        p->strand->open--;
        p->strand = NULL;
    }
}

/* E1; most have no end of their own. */
static inline void leave_expiries(struct pending *p)
{
    if (p->heap_place[HEAP_TIMES] != 0) {
        heap_remove(&p->node->expiries, p);
    }
}

static void pending_free(struct pending *p)
{
    struct node *node = p->node;
    age_remove(node, p);
    leave_expiries(p);
    pending_drop_op(p);
    pending_drop_cargo(p);
    drop_token(p);
    leave_track(p);
    if (p->arriving != NULL) {
        rope_discard(engine_bin(node->zero->engine), p->arriving);
        p->arriving = NULL;
    }
    if (p->reply.cap > 0 || p->reply.parts != NULL) {
        reply_free(&p->reply);
    }
    p->next = node->free_pendings;
    node->free_pendings = p;
}

void pending_free_all(struct node *node)
{
    while (node->oldest != NULL) {
        pending_free(node->oldest);
    }
    while (node->free_pendings != NULL) {
        struct pending *p = node->free_pendings;
        node->free_pendings = p->next;
        free(p);
    }
    heap_free(&node->expiries);
}

uint8_t *pending_take_room(struct pending *p, size_t n)
{
    qr_assert(p->op == NULL);
    p->op = n <= sizeof p->near ? p->near : qr_alloc(n);
    p->op_bytes = n;
    p->node->pending_bytes += n;
    if (p->partition != NULL) {
        p->partition->track.pending_bytes += n;
    }
    if (p->stream != NULL) {
        p->stream->op_bytes += n;
    }
    return p->op;
}

void pending_drop_op(struct pending *p)
{
    if (p->op == NULL) {
        return;
    }
    p->node->pending_bytes -= p->op_bytes;
    if (p->partition != NULL) {
        qr_assert(p->partition->track.pending_bytes >= p->op_bytes);
        p->partition->track.pending_bytes -= p->op_bytes;
    }
    if (p->stream != NULL) {
        qr_assert(p->stream->op_bytes >= p->op_bytes);
        p->stream->op_bytes -= p->op_bytes;
    }
    if (p->op != p->near) {
        free(p->op);
    }
    p->op = NULL;
}

void pending_take_cargo(struct pending *p, struct cargo *cargo)
{
    qr_assert(p->cargo == NULL && p->stream != NULL);
    p->cargo = cargo;
    p->alone = true;
    p->stream->alone++;
    p->stream->cargo_bytes += cargo->total;
}

void pending_drop_cargo(struct pending *p)
{
    if (p->cargo == NULL) {
        return;
    }
    if (p->stream != NULL) {
        qr_assert(p->stream->cargo_bytes >= p->cargo->total);
        p->stream->cargo_bytes -= p->cargo->total;
    }
    cargo_free(p->node, p->cargo);
    p->cargo = NULL;
}

bool stream_finds_no_room(const struct stream *stream, size_t input)
{
    const struct node *node = stream->node;
    size_t bytes = node->pending_bytes;
    if (node->pending_count >= 2 * NODE_PENDING_MAX || bytes >= 2 * NODE_PENDING_BYTES_MAX) {
        return true; /* many small shares are as much as a hoard */
    }
    bool many = stream->count > NODE_PENDING_MAX / node->client_count;
    if (node->pending_count >= NODE_PENDING_MAX) {
        return many;
    }
    bool heavy = stream->op_bytes > NODE_PENDING_BYTES_MAX / node->client_count;
    return bytes >= NODE_PENDING_BYTES_MAX && (many || heavy || input >= CLIENT_READ_BYTES);
}

/* --- Replies -------------------------------------------------------------------------------- */

struct reply *stream_reply(struct pending *p)
{
    if (p->stream == NULL || p->silent) {
        struct reply *nowhere = &p->node->nowhere;
        reply_reset(nowhere);
        return nowhere;
    }
    struct reply *reply = &p->reply;
    if (p->stream->ordered && p->stream->first != p) {
        reply_init(reply, p->version);
    } else {
        reply = p->stream->begin_reply(p->stream, p);
        reply->version = p->version;
    }
    if (p->wants.meta) {
        meta_begin(p, reply);
    }
    return reply;
}

void stream_take_back(struct pending *p)
{
    if (p->meta_in == NULL) {
        return;
    }
    p->meta_in->n = p->meta_at;
    if (p->meta_in == &p->reply) {
        reply_free(&p->reply);
    }
    p->meta_in = NULL;
}

/* p is answered: its reply is where its client will get it from. What a peer asked for counts where
 * its client is. */
static void count_latency(const struct pending *p)
{
    const struct node *node = p->node;
    if (node->config.latency_tracking && p->spec != NULL && p->stream->ordered) {
        measure_latency(node->measure, p->spec, node->clock - p->arrived);
    }
}

static size_t apart_bytes(const struct reply *reply)
{
    return reply->parts != NULL ? reply->parts->bytes : 0;
}

void stream_hold(struct pending *p)
{
    struct stream *stream = p->stream;
    if (stream != NULL && stream->ordered) {
        stream->held_bytes += reply_bytes(&p->reply);
        stream->held_apart += apart_bytes(&p->reply);
        if (stream->on_held != NULL) {
            stream->on_held(stream);
        }
    }
}

void stream_release(struct pending *p)
{
    struct stream *stream = p->stream;
    if (stream != NULL && stream->ordered) {
        qr_assert(stream->held_bytes >= reply_bytes(&p->reply));
        stream->held_bytes -= reply_bytes(&p->reply);
        stream->held_apart -= apart_bytes(&p->reply);
    }
}

/* Answers that came early and are now at the head of their stream (S3). */
static void deliver_heads(struct stream *stream)
{
    while (stream->first != NULL && stream->first->state == PENDING_ANSWERED) {
        struct pending *p = stream->first;
        stream_release(p);
        struct reply *reply = stream->begin_reply(stream, p);
        reply_move(reply, &p->reply); /* of a silent one nothing */
        stream->end_reply(stream, p, STATUS_OK);
        count_latency(p);
        unlink_from_stream(p);
        pending_free(p);
    }
}

/* Its time was over already, and it was not given up (S2): now it may be. */
static void let_head_expire(struct stream *stream)
{
    struct pending *p = stream->first;
    if (p != NULL && p->state == PENDING_PROPOSED && p->wants.expires != 0 &&
        p->heap_place[HEAP_TIMES] == 0) {
        heap_add(&stream->node->expiries, p, p->wants.expires);
    }
}

/* All that was committed when it came is in what it shows, so that nothing before it matters. */
static bool is_proven(const struct pending *p)
{
    return p->spec->place == PLACE_WRITE || p->wants.level == READ_LINEARIZABLE;
}

/* Its client has seen, or made, the state as far as that slot (session.h N1). */
static void note_seen(const struct pending *p, enum qr_status status)
{
    struct strand *strand = p->strand;
    if (strand == NULL || p->spec == NULL || !p->stream->ordered) {
        return;
    }
    if (p->spec->place == PLACE_WRITE) {
        strand->wrote_at = p->node->clock; /* whatever became of it */
    }
    status = status == STATUS_ZONES ? STATUS_OK : status; /* it was applied, and is told to be */
    if (status != STATUS_OK || p->refused) {
        return;
    }
    if (p->shown.slot == 0) {
        strand->unsure =
            strand->unsure || p->spec->place == PLACE_READ || p->spec->place == PLACE_WRITE;
    } else {
        strand->unsure = strand->unsure && !(strand->open == 1 && is_proven(p));
        strand_see(strand, p->node->map, p->shown.slot);
    }
}

qr_slot stream_seen_before(const struct pending *p)
{
    const struct strand *strand = p->strand;
    if (p->next == NULL || strand->seen == strand->told) {
        return strand->seen;
    }
    qr_slot seen = strand->told; /* p has no answer, so that was before it */
    for (const struct pending *q = p->previous; q != NULL; q = q->previous) {
        bool counts = q->strand == strand && q->state == PENDING_ANSWERED;
        (void)strand_join(p->node->map, strand->group, &seen, counts ? q->shown.slot : 0);
    }
    return seen;
}

static bool is_read(const struct pending *p)
{
    return p->spec != NULL && p->spec->place == PLACE_READ;
}

static bool comes_first(const struct pending *q, const struct pending *p, bool read)
{
    return q->strand == p->strand && q->counted && q->state != PENDING_ANSWERED &&
           is_read(q) == read && (!read || !p->stream->relayed || q->sender == p->sender);
}

bool stream_has_ahead(const struct pending *p, bool read)
{
    const struct pending *q = p->previous;
    while (q != NULL && !comes_first(q, p, read)) {
        q = q->previous;
    }
    return q != NULL;
}

void stream_begin_write(struct pending *p)
{
    if (p->stream != NULL && !p->counted) {
        p->counted = true;
        p->after_write = p->strand->writes_begun++;
        bool follows = !p->stream->relayed || p->after_reads; /* any reads of its client */
        p->after_read = follows ? stream_order_of(p)->begun : 0;
        p->passed = p->next != NULL;
    }
}

bool stream_holds_write(const struct pending *p)
{
    return p->stream != NULL && stream_waits_for_read(p) &&
           (!p->passed || stream_has_ahead(p, true)); /* not those that passed it (S1) */
}

/* The nth of its kind is answered, beside `done` others; what `early` is then. */
static uint64_t early_by(uint64_t early, uint64_t nth, uint64_t done)
{
    return nth > done ? max_u64(early, nth + 1) : early;
}

void stream_read_is_done(struct pending *p)
{
    if (p->stream != NULL && p->counted) {
        qr_assert(p->strand->reading > 0);
        p->strand->reading--;
        struct read_order *reads = stream_order_of(p);
        reads->early = early_by(reads->early, p->after_read, reads->done++);
        qr_assert(reads->done <= reads->begun);
        p->counted = false;
    }
}

void stream_answered(struct pending *p, enum qr_status status)
{
    struct stream *stream = p->stream;
    if (p->partition != NULL && status == STATUS_OK) {
        p->partition->track.moved = p->node->clock;
    }
    if (stream == NULL) {
        pending_free(p);
        return;
    }
    note_seen(p, status);
    if (p->meta_in != NULL) {
        meta_end(p);
    }
    if (p->counted && is_read(p)) {
        stream_read_is_done(p);
    } else if (p->counted) {
        struct strand *strand = p->strand;
        strand->writes_early =
            early_by(strand->writes_early, p->after_write, strand->writes_done++);
        qr_assert(strand->writes_done <= strand->writes_begun); /* S1 */
    }
    if (stream->ordered && stream->first != p) {
        p->state = PENDING_ANSWERED;
        stream_hold(p);
        pending_drop_op(p);
        pending_drop_cargo(p);
        leave_track(p);
        leave_expiries(p);
        return;
    }
    if (p->silent) {
        (void)stream->begin_reply(stream, p); /* nothing follows, but its owner may wait for room */
    }
    stream->end_reply(stream, p, status);
    count_latency(p);
    pending_drop_cargo(p);
    unlink_from_stream(p);
    pending_free(p);
    if (stream->ordered) {
        deliver_heads(stream);
        let_head_expire(stream);
    }
}

void stream_refuse(struct pending *p, enum qr_status status)
{
    reply_error(stream_reply(p), status_text(status));
    if (p->spec != NULL) {
        p->node->command_stats[command_index(p->spec)].rejected++;
    }
    stream_answered(p, status);
}

void stream_detach(struct stream *stream)
{
    struct pending *parked;
    while ((parked = pendings_pop(&stream->parked)) != NULL) {
        parked->state = PENDING_ANSWERED; /* there is nobody left to answer */
    }
    while (stream->first != NULL) {
        struct pending *p = stream->first;
        if (p->state == PENDING_WAITING && p->cargo != NULL) { /* much, for nobody */
            router_recall(stream->node->router, p);
            p->state = PENDING_ANSWERED;
        } else if (p->state == PENDING_BLOCKED) { /* it may be for ever */
            router_withdraw(stream->node->router, p);
            p->state = PENDING_ANSWERED;
        }
        size_t cargo = p->cargo != NULL ? (size_t)p->cargo->total : 0;
        stream->cargo_bytes -= cargo;
        unlink_from_stream(p);
        p->stream = NULL;
        p->next = NULL;
        p->previous = NULL;
        if (p->state == PENDING_ANSWERED) {
            pending_free(p);
        }
    }
    strands_free(&stream->strands);
    free(stream->senders);
    stream->senders = NULL;
}
