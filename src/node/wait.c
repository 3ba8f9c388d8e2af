/* WAIT and WAITAOF on the leader: how many other members hold what its client has written, on disk,
 * and whether the leader itself does.
 *
 * Writes that this leadership has applied for a stream are known by the last one's slot. All that
 * is known of others (an earlier leader's, those over an earlier connection of a peer) is that they
 * lie where something is committed by the time the WAIT comes: that is waited for then. So the
 * number is never too high, and never is a write counted that could still be lost.
 *
 * Thousands may wait, and what is looked at in a turn is what may be answered then:
 *
 * W1 `fresh` came since the last turn. `behind` are those whose own writes are not decided. When a
 *    WAIT comes these have their places, or get them with the batch: they are decided when all that
 *    is applied, in the order in which the WAITs came. Where one is given up before then all are
 *    looked at. Those of a peer behind a large write that is still on its way into the log are
 *    looked at in each turn of the partition: no more than a peer may have pending.
 * W2 Of the others it is known which slot, and how many have to hold it: a heap for each such
 *    number, by slot. What so many hold grows, and with it goes whoever is at the top.
 * W3 Writes whose replies are kept (zones.c) are applied in the order of their slots, and so those
 *    that wait for the same stand in a queue of that. What clients can ask for is not much.
 * W4 Whose time is over is in the node's heap of ends; whose client is gone leaves with it. */
#include "node/replica_internal.h"

#include "base/alloc.h"
#include "base/linked.h"
#include "node/node.h"
#include "node/router.h"
#include "protocol/quorum.h"

#include <stdlib.h>

#define COUNTS (MEMBERS_MAX + 2) /* of replicas that may be wanted: as router_wait.c cuts them */

struct kept {
    struct kept *next;
    struct wants wants; /* those of it that say whom a reply is kept for */
    struct pendings queue;
};

struct waits {
    uint32_t count;  /* of all */
    bool look_again; /* at those that are behind: a write was given up */
    struct pendings fresh, behind;
    struct kept *kept;
    struct pending_heap by_slot[2][COUNTS]; /* beside the leader, or without it; by how many */
};

static struct waits *waits_of(struct replica *r)
{
    if (r->waits == NULL) {
        r->waits = qr_zalloc(sizeof *r->waits);
        for (uint32_t i = 0; i < 2 * COUNTS; i++) {
            r->waits->by_slot[i / COUNTS][i % COUNTS].kind = HEAP_SLOTS;
        }
    }
    return r->waits;
}

void replica_free_waits(struct replica *r)
{
    for (uint32_t i = 0; r->waits != NULL && i < 2 * COUNTS; i++) {
        heap_free(&r->waits->by_slot[i / COUNTS][i % COUNTS]);
    }
    while (r->waits != NULL && r->waits->kept != NULL) {
        struct kept *k = r->waits->kept;
        r->waits->kept = k->next;
        free(k);
    }
    free(r->waits);
    r->waits = NULL;
}

static struct pending_heap *heap_of(struct waits *w, const struct pending *p)
{
    qr_assert(p->wanted < COUNTS);
    return &w->by_slot[p->wanted_local ? 1 : 0][p->wanted];
}

static bool is_for(const struct kept *k, const struct wants *wants)
{
    const struct wants_copies *a = &k->wants.copies, *b = &wants->copies;
    return k->wants.each_zone == wants->each_zone && a->count == b->count && a->stage == b->stage &&
           a->among == b->among;
}

static struct kept *kept_of(struct waits *w, const struct pending *p)
{
    struct kept *k = w->kept;
    while (k != NULL && !is_for(k, &p->wants)) {
        k = k->next;
    }
    if (k == NULL) {
        k = qr_zalloc(sizeof *k);
        k->wants = (struct wants){ .each_zone = p->wants.each_zone, .copies = p->wants.copies };
        k->next = w->kept;
        w->kept = k;
    }
    return k;
}

/* Where it stands, if in no heap. */
static struct pendings *queue_of(struct waits *w, const struct pending *p)
{
    return zones_awaits(p) ? &kept_of(w, p)->queue : p->behind ? &w->behind : &w->fresh;
}

/* What has a slot, or gets one with the batch, has none above this one. */
static qr_slot proposed(const struct replica *r)
{
    return r->outlook.last + r->batch_count;
}

void replica_wait(struct replica *r, struct pending *p)
{
    struct waits *w = waits_of(r);
    heap_remove(&r->node->expiries, p);
    p->state = PENDING_BLOCKED;
    p->behind = false;
    p->slot = zones_awaits(p) ? p->slot : proposed(r);
    replica_queue(r, queue_of(w, p), p);
    w->count++;
    r->node->blocked++;
    if (p->until != 0) {
        heap_add(&r->node->expiries, p, p->until);
    }
    partition_wake(r->partition);
}

/* p waits no more; its end is that of its TIMEOUT again, if that is not over. */
static void leave(struct replica *r, struct pending *p)
{
    struct waits *w = r->waits;
    if (p->heap_place[HEAP_SLOTS] != 0) {
        heap_remove(heap_of(w, p), p);
    } else {
        pendings_remove(queue_of(w, p), p);
    }
    w->count--;
    r->node->blocked--;
    heap_remove(&r->node->expiries, p);
    if (p->wants.expires > r->node->clock) {
        heap_add(&r->node->expiries, p, p->wants.expires);
    }
}

void replica_forget_wait(struct replica *r, struct pending *p)
{
    leave(r, p);
    if (zones_awaits(p)) {
        zones_drop_reply(p);
    }
}

void replica_look_at_waits(struct replica *r)
{
    if (r->waits != NULL) {
        r->waits->look_again = true;
    }
}

/* --- How many hold it ----------------------------------------------------------------------- */

/* Those that are members now: who leaves is told of entries for a while, and counts no more. */
static uint32_t others(const struct replica *r)
{
    return membership_all(&r->outlook.membership) & ~(1u << r->me);
}

static uint32_t members_holding(const struct replica *r, qr_slot slot)
{
    uint32_t holding = 0;
    for (uint32_t rest = others(r); rest != 0; rest &= rest - 1) {
        holding += r->outlook.member[set_first(rest)].match >= slot ? 1 : 0;
    }
    return holding;
}

/* On its own disk: with APPENDFSYNC everysec `match` is what is written (early.h). */
static qr_slot own_disk(struct replica *r)
{
    return r->partition->lazy ? replica_synced(r) : r->outlook.member[r->me].match;
}

static bool holds_itself(struct replica *r, qr_slot slot)
{
    return own_disk(r) >= slot;
}

/* Its own writes are not decided yet, or this node does not know yet what is. */
static bool is_behind(const struct replica *r, const struct pending *p)
{
    return stream_waits_for_write(p) || !r->outlook.can_serve;
}

/* To be found once: what is written behind the WAIT, by other clients of a peer say, would always
 * be lacking somewhere. */
static qr_slot slot_for(const struct replica *r, const struct pending *p)
{
    const struct strand *strand = p->strand;
    bool known = strand->last_write != 0 && strand->last_write_term == r->outlook.term;
    return known ? strand->last_write : r->outlook.commit;
}

/* How far that many of the others have everything, and the leader too if that is wanted; -1: there
 * are not so many. */
static int64_t held_by(struct replica *r, uint32_t wanted, bool local)
{
    int64_t most = local ? (int64_t)own_disk(r) : INT64_MAX;
    int64_t held = wanted == 0 ? most : -1;
    for (uint32_t rest = others(r); rest != 0; rest &= rest - 1) {
        qr_slot match = r->outlook.member[set_first(rest)].match;
        bool enough = members_holding(r, match) >= wanted;
        int64_t both = (int64_t)match < most ? (int64_t)match : most;
        held = enough && both > held ? both : held;
    }
    return held;
}

static void reply_holding(struct pending *p, bool local, uint32_t holding)
{
    struct reply *reply = stream_reply(p);
    if (p->spec->tag == COMMAND_WAITAOF) {
        reply_array(reply, 2);
        reply_integer(reply, local ? 1 : 0);
        holding = p->partition->lazy ? 0 : holding; /* who has written it may not have synced it */
    }
    reply_integer(reply, holding);
    stream_answered(p, STATUS_OK);
}

/* It has been taken out; its slot is known. */
static void answer(struct replica *r, struct pending *p)
{
    reply_holding(p, holds_itself(r, p->slot), members_holding(r, p->slot));
}

/* --- In a turn ------------------------------------------------------------------------------ */

/* p is in no queue of those that wait: what it waits for may be another thing now. */
static void sort_in(struct replica *r, struct pending *p)
{
    struct waits *w = r->waits;
    p->behind = is_behind(r, p);
    if (p->behind) {
        pendings_push(&w->behind, p);
    } else {
        p->slot = slot_for(r, p);
        heap_add(heap_of(w, p), p, (int64_t)p->slot);
    }
}

/* Those of W1, each once. */
static void sort_in_all(struct replica *r)
{
    struct waits *w = r->waits;
    for (uint32_t n = w->look_again ? w->behind.count : 0; n > 0; n--) {
        sort_in(r, pendings_pop(&w->behind));
    }
    w->look_again = false;
    uint32_t ready = r->outlook.can_serve ? w->behind.count : 0;
    for (; ready > 0 && w->behind.first->slot <= r->applied; ready--) {
        sort_in(r, pendings_pop(&w->behind)); /* its write may have been put back */
    }
    for (uint32_t n = w->fresh.count; n > 0; n--) {
        sort_in(r, pendings_pop(&w->fresh));
    }
}

static void serve_held(struct replica *r, uint32_t wanted, bool local)
{
    struct pending_heap *heap = &r->waits->by_slot[local ? 1 : 0][wanted];
    int64_t held = heap->n > 0 ? held_by(r, wanted, local) : -1;
    struct pending *p;
    while ((p = heap_upto(heap, held)) != NULL) {
        leave(r, p);
        answer(r, p);
    }
}

static void drop_empty(struct waits *w)
{
    for (struct kept **at = &w->kept; *at != NULL;) {
        struct kept *k = *at;
        if (k->queue.first != NULL) {
            at = &k->next;
        } else {
            *at = k->next;
            free(k);
        }
    }
}

static void serve_kept(struct replica *r)
{
    for (struct kept *k = r->waits->kept; k != NULL; k = k->next) {
        node_index last;
        qr_slot reached = zones_reached(r, &k->wants, &last);
        struct pending *p;
        while ((p = k->queue.first) != NULL && p->slot <= reached) {
            leave(r, p);
            zones_serve(r, p, reached, last);
        }
    }
    drop_empty(r->waits);
}

static struct pending *first_of(struct waits *w)
{
    struct pending *p = w->fresh.first != NULL ? w->fresh.first : w->behind.first;
    for (const struct kept *k = w->kept; p == NULL && k != NULL; k = k->next) {
        p = k->queue.first;
    }
    for (uint32_t i = 0; p == NULL && i < 2 * COUNTS; i++) {
        p = heap_upto(&w->by_slot[i / COUNTS][i % COUNTS], INT64_MAX);
    }
    return p;
}

/* The next leader counts. */
static void leave_all(struct replica *r)
{
    struct pendings leaving = { 0 };
    struct pending *p;
    while ((p = first_of(r->waits)) != NULL) {
        leave(r, p);
        if (zones_awaits(p)) {
            zones_give_up(p);
        } else {
            pendings_push(&leaving, p);
        }
    }
    router_retry(r->node->router, &leaving, STATUS_NOT_LEADER);
}

void replica_serve_waits(struct replica *r)
{
    if (!replica_leads(r)) {
        leave_all(r);
    } else {
        sort_in_all(r);
        serve_kept(r);
        for (uint32_t wanted = 0; wanted < COUNTS; wanted++) {
            serve_held(r, wanted, false);
            serve_held(r, wanted, true);
        }
    }
    if (r->waits->count == 0) {
        replica_free_waits(r);
    } else if (r->trails) {
        partition_expects(r->partition, r->written.position); /* WAITAOF may wait for that sync */
    }
}

/* --- Its time is over ----------------------------------------------------------------------- */

static void end(struct replica *r, struct pending *p)
{
    bool known = p->heap_place[HEAP_SLOTS] != 0, behind = is_behind(r, p);
    leave(r, p);
    p->slot = known ? p->slot : slot_for(r, p);
    uint32_t holding = behind ? 0 : members_holding(r, p->slot);
    bool local = !behind && holds_itself(r, p->slot);
    bool enough = !behind && holding >= p->wanted && (local || !p->wanted_local);
    if (!enough && p->comes_back) {
        stream_refuse(p, STATUS_EXPIRED); /* asked again if somebody still waits */
    } else {
        reply_holding(p, local, holding);
    }
}

void replica_end_wait(struct replica *r, struct pending *p)
{
    node_index last = NODE_NONE;
    replica_look(r); /* what came in its last moment counts */
    if (!replica_leads(r)) {
        leave_all(r);
    } else if (zones_awaits(p)) {
        qr_slot reached = zones_reached(r, &p->wants, &last);
        leave(r, p);
        zones_serve(r, p, reached, last);
    } else {
        end(r, p);
    }
}
