/* Large arguments into the log: see blobs.h. */
#include "node/blobs.h"

#include "base/alloc.h"
#include "base/limits.h"
#include "base/wire.h"
#include "log/record.h"
#include "node/peers.h"
#include "node/replica_internal.h"
#include "node/router.h"

#include <string.h>

/* --- Queue ---------------------------------------------------------------------------------- */

/* Bytes that a peer sent and that are in the log need not be kept: it has them still. */
static void settle(struct replica *r, struct pending *p)
{
    struct cargo *cargo = p->cargo;
    cargo->mark = cargo->place;
    if (cargo->relay == NULL) {
        return;
    }
    cargo_shed(cargo);
    if (cargo->place.bytes > cargo->told) {
        r->node->relayed_bytes -= cargo->place.bytes - cargo->told;
        cargo->told = cargo->place.bytes;
        peers_credit(r->node->peers, cargo->relay->peer, p->id, cargo->told);
    }
}

static void note_dropped(struct replica *r, uint64_t number)
{
    struct blobs *b = &r->blobs;
    r->queued = true;
    if (b->dropped_count == b->dropped_cap) {
        b->dropped_cap = b->dropped_cap == 0 ? 8 : b->dropped_cap * 2;
        b->dropped = qr_realloc(b->dropped, b->dropped_cap * sizeof *b->dropped);
    }
    b->dropped[b->dropped_count++] = number;
}

void blobs_abandon(struct replica *r, const struct cargo *cargo)
{
    struct blobs *b = &r->blobs;
    qr_assert(cargo->begun && !cargo->used);
    if (cargo->term != b->term) {
        return; /* its term is over, or will have ended with the next entry */
    }
    for (uint32_t i = 0; i < cargo->count; i++) {
        if (i < cargo->place.part || (i == cargo->place.part && cargo->place.at > 0)) {
            note_dropped(r, cargo->first_number + i);
        } else {
            b->opening_bytes -= cargo->v[i].n;
        }
    }
}

void blobs_load(struct replica *r, struct pending *p)
{
    qr_assert(p->cargo != NULL);
    p->state = PENDING_LOADING;
    p->moved = r->node->clock;
    stream_begin_write(p);
    replica_queue(r, &r->loading, p);
    partition_wake(r->partition);
}

void blobs_forget(struct replica *r, struct pending *p)
{
    qr_assert(p->state == PENDING_LOADING);
    pendings_remove(&r->loading, p);
}

void blobs_free(struct replica *r)
{
    free(r->blobs.dropped);
}

/* --- Proposing ------------------------------------------------------------------------------ */

static bool has_room(const struct replica *r, size_t budget)
{
    const struct blobs *b = &r->blobs;
    return budget >= BLOB_PART_BYTES && b->flight_bytes + BLOB_PART_BYTES <= BLOB_FLIGHT_BYTES &&
           replica_has_room(r, BLOB_HEAD_BYTES + BLOB_PART_BYTES);
}

static void put_head(uint8_t *payload, uint64_t number, uint64_t total, uint64_t at)
{
    wire_store_u64(payload, number);
    wire_store_u64(payload + 8, total);
    wire_store_u64(payload + 16, at);
}

static void put_dropped(struct replica *r)
{
    struct blobs *b = &r->blobs;
    while (b->dropped_count > 0 && replica_has_room(r, BLOB_HEAD_BYTES)) {
        uint8_t *payload = replica_batch(r, RECORD_BLOB, BLOB_HEAD_BYTES);
        put_head(payload, b->dropped[--b->dropped_count], 0, 0);
    }
}

/* Numbers its blobs when there is room for them beside the others. */
static bool begin(struct replica *r, struct cargo *cargo)
{
    struct blobs *b = &r->blobs;
    if (cargo->begun && cargo->term == b->term) {
        return true;
    }
    uint64_t staged = engine_staged_bytes(r->partition->engine) + b->opening_bytes;
    if (staged > 0 && staged + cargo->total > STAGED_BYTES_MAX) {
        return false;
    }
    cargo->partition = r->partition;
    cargo->begun = true;
    cargo->term = b->term;
    cargo->first_number = b->next_number;
    cargo->place = cargo->mark = (struct cargo_place){ 0 }; /* nothing of it is in this term */
    b->next_number += cargo->count;
    b->opening_bytes += cargo->total;
    return true;
}

/* One part of p's, or its command. Returns the bytes that went into the batch; 0: it waits for its
 * bytes to come, or for room. */
static size_t carry(struct replica *r, struct pending *p, bool *done)
{
    struct cargo *cargo = p->cargo;
    if (!begin(r, cargo)) {
        return 0;
    }
    if (cargo_is_carried(cargo)) {
        if (!replica_has_room(r, p->op_bytes)) {
            return 0;
        }
        size_t n = p->op_bytes;
        uint8_t *op = replica_write(r, p, n);
        memcpy(op, p->op, n);
        op_number_refs(op, n, cargo->first_number);
        cargo->used = true;
        *done = true;
        return n;
    }
    struct span s = cargo_slice(cargo, BLOB_PART_BYTES);
    if (s.n == 0) {
        return 0;
    }
    const struct cargo_part *part = &cargo->v[cargo->place.part];
    uint8_t *payload = replica_batch(r, RECORD_BLOB, BLOB_HEAD_BYTES + s.n);
    put_head(payload, cargo->first_number + cargo->place.part, part->n, cargo->place.at);
    memcpy(payload + BLOB_HEAD_BYTES, s.p, s.n);
    cargo_pass(cargo, s.n);
    p->moved = r->node->clock;
    return s.n;
}

/* All of them, each a part in turn, as far as there is room. */
static void carry_on(struct replica *r)
{
    size_t budget = BLOB_TURN_BYTES;
    uint32_t stuck = 0;
    while (stuck < r->loading.count && has_room(r, budget)) {
        struct pending *p = pendings_pop(&r->loading);
        bool done = false;
        size_t n = carry(r, p, &done);
        if (!done) {
            replica_queue(r, &r->loading, p);
        }
        stuck = n == 0 ? stuck + 1 : 0;
        budget -= (size_t)min_u64(n, budget);
    }
    if (r->loading.count > stuck && budget < BLOB_PART_BYTES) {
        r->partition->again = true;
    }
}

/* Whoever would send the rest of it is gone. */
static bool is_orphan(const struct pending *p)
{
    return p->stream == NULL && !cargo_is_whole(p->cargo);
}

/* Peers send theirs again from the beginning, to whoever leads then (B1). */
static bool is_lost(const struct replica *r, const struct cargo *cargo)
{
    return cargo->term != r->blobs.term && cargo->told > 0;
}

static void look_after(struct replica *r)
{
    struct pendings refused = { 0 };
    for (struct pending *p = r->loading.first, *next; p != NULL; p = next) {
        next = p->queue_next;
        if (is_orphan(p)) {
            blobs_forget(r, p);
            p->state = PENDING_ANSWERED;
            stream_answered(p, STATUS_OK);
        } else if (!replica_leads(r) || is_lost(r, p->cargo)) {
            pendings_remove(&r->loading, p);
            pendings_push(&refused, p);
        } else {
            settle(r, p);
        }
    }
    router_retry(r->node->router, &refused, STATUS_NOT_LEADER);
}

void blobs_turn(struct replica *r)
{
    struct blobs *b = &r->blobs;
    if (replica_leads(r) && b->term != r->outlook.term) {
        b->term = r->outlook.term;
        b->next_number = 1;
        b->flight_bytes = 0;
        b->opening_bytes = 0;
        b->dropped_count = 0;
    }
    if (r->loading.count > 0) {
        look_after(r);
    }
    if ((b->dropped_count > 0 || r->loading.count > 0) && replica_leads(r)) {
        put_dropped(r);
        carry_on(r);
    }
}

/* --- In the log ------------------------------------------------------------------------------ */

void blobs_proposed(struct replica *r, struct span payload)
{
    r->blobs.flight_bytes += payload.n;
}

void blobs_unproposed(struct replica *r, struct span payload)
{
    if (wire_load_u64(payload.p + 8) == 0) {
        note_dropped(r, wire_load_u64(payload.p)); /* to be said again */
    }
}

void blobs_refused(struct replica *r, struct pendings *refused)
{
    for (struct pending *p = r->loading.first; p != NULL; p = p->queue_next) {
        p->cargo->place = p->cargo->mark;
    }
    for (struct pending *p = refused->first; p != NULL; p = p->queue_next) {
        if (p->cargo != NULL) {
            p->cargo->place = p->cargo->mark;
            p->cargo->used = false; /* and this node may lead on: a hand-over called off */
        }
    }
}

bool blobs_has_meaning(struct span payload)
{
    struct wire_reader in = wire_reader(payload);
    (void)wire_get_u64(&in);
    uint64_t total = wire_get_u64(&in);
    uint64_t at = wire_get_u64(&in);
    uint64_t n = payload.n - in.at;
    if (in.bad || total > VALUE_BYTES_MAX || at > total || n > total - at) {
        return false;
    }
    return n > 0 || (total == 0 && at == 0);
}

void blobs_stage(struct replica *r, struct span payload)
{
    struct engine *engine = r->partition->engine;
    struct wire_reader in = wire_reader(payload);
    uint64_t number = wire_get_u64(&in);
    uint64_t total = wire_get_u64(&in);
    uint64_t at = wire_get_u64(&in);
    qr_assert(!in.bad); /* whoever proposed it wrote it so, and blobs_has_meaning has looked */
    if (total == 0) {
        engine_blob_drop(engine, number);
    } else {
        engine_blob_part(engine, number, total, at, wire_get_bytes(&in, in.n - in.at));
    }
}

void blobs_landed(struct replica *r, const struct record *record)
{
    struct blobs *b = &r->blobs;
    uint64_t total = wire_load_u64(record->payload.p + 8);
    uint64_t at = wire_load_u64(record->payload.p + 16);
    if (record->term == b->term) {
        b->flight_bytes -= (size_t)min_u64(b->flight_bytes, record->payload.n);
        b->opening_bytes -= at == 0 ? min_u64(b->opening_bytes, total) : 0;
    }
}
