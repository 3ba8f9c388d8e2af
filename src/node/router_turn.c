/* The queues of tracks, and the router's part of a turn: leaders are followed, what waits is
 * routed, deadlines pass. */
#include "node/router_internal.h"

#include "cluster/map.h"
#include "command/op.h"
#include "node/gather.h"
#include "node/leaders.h"
#include "node/orders.h"
#include "node/replica.h"

/* --- The queues ----------------------------------------------------------------------------- */

void router_insert(struct router *router, struct pending *at, struct pending *p)
{
    struct track *track = &p->partition->track;
    pendings_insert(&track->waiting, at, p);
    router->waiting++;
    router_activate(router, track);
}

static struct pending *pop_waiting(struct router *router, struct track *track)
{
    router->waiting--;
    return pendings_pop(&track->waiting);
}

void router_recall(struct router *router, struct pending *p)
{
    qr_assert(p->state == PENDING_WAITING);
    pendings_remove(&p->partition->track.waiting, p);
    router->waiting--;
}

/* Puts p back where it belongs by its age. Those of one round come in order, mostly: the place of
 * the one before is where the look begins. */
static void put_back(struct router *router, struct pending *p)
{
    struct track *track = &p->partition->track;
    bool same = track->retry_round == router->retry_round;
    struct pending *at = same ? track->retried : NULL;
    at = at != NULL && at->sequence > p->sequence ? NULL : at;
    struct pending *next = at != NULL ? at->queue_next : track->waiting.first;
    while (next != NULL && next->sequence < p->sequence) {
        at = next;
        next = next->queue_next;
    }
    router_insert(router, at, p);
    track->retried = p;
    track->retry_round = router->retry_round;
}

void router_retry(struct router *router, struct pendings *refused, enum qr_status status)
{
    struct pending *p;
    router->retry_round++;
    while ((p = pendings_pop(refused)) != NULL) {
        if (p->stream == NULL) { /* nobody waits for it and it surely was not applied */
            p->state = PENDING_WAITING;
            stream_answered(p, STATUS_OK);
            continue;
        }
        if (p->stream->relayed && (status == STATUS_NOT_LEADER || p->spec == NULL)) {
            router_refuse_relayed(p); /* T3: back to the node it came from, or to control.c */
            continue;
        }
        p->state = PENDING_WAITING;
        if (status == STATUS_NOREPLICAS) {
            stream_refuse(p, status); /* nobody knows when there are more, and whoever asks does */
            continue;
        }
        if (p->spec->place == PLACE_WAIT) {
            p->moved = router->node->clock; /* the next leader is waited for from here on */
        }
        put_back(router, p);
    }
    router->retry_round++; /* what was put in may go from now on */
}

/* --- Tracks ---------------------------------------------------------------------------------- */

/* True: what is on its way is to be given up. */
static bool follow_leader(struct router *router, struct track *track)
{
    if (track->forwarded == 0) {
        return false;
    }
    node_index leader = leaders_of(router_partition_of(track));
    if (leader != NODE_NONE && leader != track->target) {
        router_drain(router, track);
    }
    return track->draining && io_now(router->node->io) >= track->drain_until;
}

/* The map may have changed since it came. */
static bool went_astray(const struct pending *p)
{
    struct op op;
    return router_may_be_astray(p) && op_read(span_of(p->op, p->op_bytes), &op) &&
           router_is_astray(p, &op);
}

static void route_waiting(struct router *router, struct track *track)
{
    struct partition *partition = router_partition_of(track);
    while (track->waiting.first != NULL) {
        struct pending *p = pop_waiting(router, track);
        bool relayed = p->stream != NULL && p->stream->relayed;
        bool leads = partition->replica != NULL && replica_leads(partition->replica);
        if (relayed && !leads) {
            router_refuse_relayed(p);
        } else if (went_astray(p)) {
            stream_refuse(p, STATUS_ASTRAY);
        } else if (!router_route(router, p)) {
            router_insert(router, NULL, p);
            return;
        }
    }
}

static void follow_leaders(struct router *router)
{
    bool any = false;
    for (struct track *track = router->active; track != NULL; track = track->next) {
        track->given_up = follow_leader(router, track);
        any = any || track->given_up;
    }
    if (any) {
        router_give_up(router);
    }
}

static void visit_tracks(struct router *router)
{
    struct track *next;
    for (struct track *track = router->active; track != NULL; track = next) {
        if (track->waiting.first != NULL) {
            route_waiting(router, track);
        }
        next = track->next;
        if (track->waiting.first == NULL && track->forwarded == 0) {
            track->active = false;
            LINKED_REMOVE(router->active, router->active_last, track, previous, next);
            track->next = NULL;
            track->previous = NULL;
        }
    }
}

void router_peer_down(struct router *router, node_index peer)
{
    bool any = false;
    router_forget_peer(router, peer);
    router_asides_lost(router, peer);
    for (struct track *track = router->active; track != NULL; track = track->next) {
        track->given_up = track->target == peer && track->forwarded > 0;
        any = any || track->given_up;
    }
    if (any) {
        router_give_up(router);
    }
}

/* --- Deadlines ------------------------------------------------------------------------------ */

/* A change of the control state ends when it is decided, as long as that is for the leadership in
 * which it was proposed (control.h: C1). A later one may have lost the entry, with nothing in its
 * place that would tell. */
static bool is_under_way(const struct pending *p)
{
    const struct replica *r = p->partition->replica;
    return p->spec == NULL && replica_leads(r) && replica_seen(r)->term == p->term;
}

/* What its state says when it has waited too long; false: not yet. Reads are never uncertain. */
static bool overdue(const struct config *config, const struct pending *p, qr_time now,
                    enum qr_status *status)
{
    qr_time age = now - (p->moved > p->arrived ? p->moved : p->arrived);
    qr_time leader_wait = config->leader_wait_ms * QR_MILLISECOND;
    qr_time request_timeout = config->request_timeout_ms * QR_MILLISECOND;
    bool write = p->spec != NULL && p->spec->place == PLACE_WRITE;
    bool asks = p->spec != NULL && p->spec->place == PLACE_ORDER && orders_only_asks(p->spec);
    bool patient =
        p->spec != NULL && (p->spec->place == PLACE_WAIT || p->spec->place == PLACE_ORDER);
    switch (p->state) {
    case PENDING_WAITING:
        *status = STATUS_CLUSTERDOWN;
        return age >= leader_wait;
    case PENDING_PROPOSED:
        *status = STATUS_UNCERTAIN;
        return p->slot != 0 && age >= request_timeout && !stream_holds_write(p) &&
               !is_under_way(p);
    case PENDING_READING:
        *status = STATUS_CLUSTERDOWN;
        return age >= request_timeout && !p->confirmed; /* then it waits only for its own strand */
    case PENDING_LOADING:
        *status = STATUS_STALLED;
        return age >= request_timeout;
    case PENDING_FORWARDED:
        *status = router_is_held_back(p) ? STATUS_STALLED
                  : write                ? STATUS_UNCERTAIN
                                         : STATUS_CLUSTERDOWN;
        return asks ? age >= leader_wait
                    : (!patient || p->stream == NULL) && age >= request_timeout;
    case PENDING_BLOCKED:
    case PENDING_ORDERED:
    case PENDING_CONTROLLED:
    case PENDING_GATHERING:
    case PENDING_ANSWERED:
        return false;
    }
    qr_unreachable();
}

void router_withdraw(struct router *router, struct pending *p)
{
    if (p->state == PENDING_WAITING) {
        router_recall(router, p);
    } else if (p->state == PENDING_FORWARDED) {
        router_settle(router, p);
    } else if (p->partition->replica != NULL) { /* else the node ends, and it with the replica */
        replica_forget(p->partition->replica, p);
    }
}

static void expire(struct router *router, struct pending *p, enum qr_status status)
{
    struct node *node = router->node;
    router_withdraw(router, p);
    if (p->stream != NULL && p->stream->ordered && p->spec != NULL &&
        p->spec->place == PLACE_ORDER && orders_only_asks(p->spec)) {
        orders_begin(node, p); /* the leader does not answer: what is known here */
        return;
    }
    if (p->spec != NULL && p->spec->place == PLACE_WAIT && status == STATUS_CLUSTERDOWN) {
        node->stats.clusterdown++;
        router_refuse_wait(p);
        return;
    }
    if (p->spec != NULL && p->spec->place == PLACE_ORDER && status == STATUS_CLUSTERDOWN) {
        node->stats.clusterdown++;
        orders_leaderless(p);
        return;
    }
    node->stats.uncertain += status == STATUS_UNCERTAIN ? 1 : 0;
    node->stats.clusterdown += status == STATUS_CLUSTERDOWN ? 1 : 0;
    router_refuse_late(p, status);
}

/* What its state says when its TIMEOUT has passed; false: it has a time of its own. While it is in
 * a queue nothing has come of it. A write that was proposed, here or elsewhere, may be applied. */
static bool is_late(const struct pending *p, enum qr_status *status)
{
    enum read_level level = (enum read_level)p->wants.level;
    if (p->spec == NULL) {
        return false;
    }
    bool read = p->spec->place == PLACE_READ, write = p->spec->place == PLACE_WRITE;
    bool weak = read && ((level != READ_LINEARIZABLE && level != READ_LEADER) || p->wants.session);
    *status = weak ? STATUS_STALE : STATUS_LATE;
    switch (p->state) {
    case PENDING_WAITING:
    case PENDING_LOADING:
    case PENDING_READING:
        return true;
    case PENDING_PROPOSED:
        *status = STATUS_UNCERTAIN;
        return p->slot != 0 && !stream_holds_write(p);
    case PENDING_FORWARDED:
        *status = write && !router_is_held_back(p) ? STATUS_UNCERTAIN : *status;
        return read || write;
    case PENDING_BLOCKED:
    case PENDING_ORDERED:
    case PENDING_CONTROLLED:
    case PENDING_GATHERING: /* those that it has asked have the same time */
    case PENDING_ANSWERED:
        return false;
    }
    qr_unreachable();
}

/* Those whose TIMEOUT has passed. One that is about to get its slot is looked at again, one that
 * waits for reads (S2) when nothing is ahead of it. */
static void let_expire(struct router *router, qr_time now)
{
    struct pending_heap *expiries = &router->node->expiries;
    struct pending *p;
    while ((p = heap_upto(expiries, now)) != NULL) {
        enum qr_status status;
        struct wants wants = p->wants;
        if (p->state == PENDING_BLOCKED) {
            replica_end_wait(p->partition->replica, p);
        } else if (is_late(p, &status)) {
            router_withdraw(router, p);
            router->node->stats.uncertain += status == STATUS_UNCERTAIN ? 1 : 0;
            router_refuse_late(p, status);
        } else if (p->state == PENDING_PROPOSED && p->slot == 0) {
            wants.expires = now + QR_MILLISECOND;
            pending_want(p, &wants);
        } else {
            heap_remove(expiries, p);
        }
    }
}

/* p leaves the replica, its own or another node's, and is to be routed anew: to the leader. */
static void leave_for_leader(struct router *router, struct pending *p, struct pendings *late)
{
    router_withdraw(router, p);
    p->state = PENDING_WAITING;
    pendings_push(late, p);
}

static void let_deadlines_pass(struct router *router, qr_time now)
{
    struct node *node = router->node;
    qr_time shortest = node->config.leader_wait_ms < node->config.request_timeout_ms
                           ? node->config.leader_wait_ms * QR_MILLISECOND
                           : node->config.request_timeout_ms * QR_MILLISECOND;
    shortest = shortest < INDEX_PATIENCE_PROVEN_MS * QR_MILLISECOND
                   ? shortest
                   : INDEX_PATIENCE_PROVEN_MS * QR_MILLISECOND;
    struct pending *p = node->sweep != NULL ? node->sweep : node->oldest;
    struct pendings late = { 0 }; /* in order, and put back as one round: they may be thousands */
    /* Reads of clients that do not take their replies grow old by the thousand: a part of them each
     * time. Answering one may free others, which node->sweep follows. */
    for (uint32_t i = 0; i < DEADLINES_PER_SWEEP && p != NULL; i++) {
        bool young = now - p->arrived < shortest;
        node->sweep = young ? NULL : p->age_next;
        enum qr_status status;
        if (!young && router_index_is_late(p, now)) {
            replica_asked_late(p->partition->replica);
            leave_for_leader(router, p, &late);
        } else if (!young && router_aside_is_late(p, now)) {
            leave_for_leader(router, p, &late);
        } else if (!young && overdue(&node->config, p, now, &status)) {
            expire(router, p, status);
        }
        p = node->sweep;
    }
    if (late.first != NULL) {
        router_retry(router, &late, STATUS_EXPIRED);
    }
}

/* --- Partitions that go --------------------------------------------------------------------- */

/* A write that was proposed, here or elsewhere, may be applied yet. */
static bool may_be_applied(const struct pending *p)
{
    bool proposed = p->state == PENDING_BLOCKED || p->state == PENDING_PROPOSED ||
                    p->state == PENDING_ORDERED ||
                    (p->state == PENDING_FORWARDED && !router_is_held_back(p));
    return proposed && (p->spec->place == PLACE_WRITE || p->spec->place == PLACE_ORDER);
}

static bool is_in_replica(const struct pending *p)
{
    return p->state != PENDING_WAITING && p->state != PENDING_FORWARDED;
}

static void end_for_good(struct router *router, struct pending *p)
{
    enum qr_status status = may_be_applied(p) ? STATUS_UNCERTAIN : STATUS_GONE;
    if (p->state == PENDING_BLOCKED && status == STATUS_UNCERTAIN) {
        status = p->wants.each_zone ? STATUS_ZONES : STATUS_COPIES;
    }
    router_withdraw(router, p);
    stream_refuse(p, status);
}

static void leave_replica(struct router *router, struct pending *p)
{
    if (!is_in_replica(p)) {
        return;
    }
    if (may_be_applied(p)) {
        end_for_good(router, p);
        return;
    }
    bool executed = p->place == READ_KEPT; /* and what is behind it may have been shown already */
    router_withdraw(router, p);
    if (executed) {
        stream_refuse(p, STATUS_LEADER_CHANGED);
        return;
    }
    struct pendings one = { 0 };
    pendings_push(&one, p);
    router_retry(router, &one, STATUS_NOT_LEADER);
}

/* Each command of the partition, NULL: of all, oldest first; answering one may free others. */
static void for_each(struct router *router, struct partition *partition,
                     void (*each)(struct router *, struct pending *))
{
    struct node *node = router->node;
    struct pending *p = node->oldest;
    while (p != NULL && (partition == NULL || partition->track.pending > 0)) {
        node->sweep = p->age_next; /* which follows when that one goes */
        if (partition == NULL || p->partition == partition) {
            each(router, p);
        }
        p = node->sweep;
    }
    node->sweep = NULL;
}

void router_replica_gone(struct router *router, struct partition *partition)
{
    for_each(router, partition, leave_replica);
}

void router_partition_gone(struct router *router, struct partition *partition)
{
    struct track *track = &partition->track;
    for_each(router, partition, end_for_good);
    router_forget_relays(router, track);
    if (track->active) {
        track->active = false;
        LINKED_REMOVE(router->active, router->active_last, track, previous, next);
    }
    qr_assert(track->pending == 0 && track->forwarded == 0);
}

/* --- Prefixes that change ------------------------------------------------------------------- */

/* It looks at the oldest ones only: until the first that has no answer. */
bool router_has_routed(const struct router *router, uint64_t until)
{
    const struct pending *p = router->node->oldest;
    while (p != NULL && p->sequence <= until &&
           (!p->routed || p->partition == NULL || p->spec->place > PLACE_WRITE)) {
        p = p->age_next;
    }
    return p != NULL && p->sequence <= until;
}

/* It went to the keyspace that the frozen prefixes led to, where that is a created one. In keyspace
 * 0 its leader sees to it (contact.h: guards). */
static bool is_left(const struct pending *p)
{
    const struct map *map = p->node->map;
    const struct freeze *f = &p->node->contact.coverage.frozen;
    const struct map_partition *part =
        p->routed && p->partition != NULL ? map_partition(map, p->partition->group) : NULL;
    bool left = false;
    for (uint32_t i = 0; part != NULL && i < f->count && !left; i++) {
        const struct map_keyspace *k =
            map_keyspace_of_key(map, span_of(f->prefix[i].bytes, f->prefix[i].n));
        left = k != NULL && k->id == part->keyspace;
    }
    return left;
}

static void give_up_left(struct router *router, struct pending *p)
{
    if (is_left(p)) {
        enum qr_status status = may_be_applied(p) ? STATUS_UNCERTAIN : STATUS_ASTRAY;
        router->node->stats.uncertain += status == STATUS_UNCERTAIN ? 1 : 0;
        router_withdraw(router, p);
        stream_refuse(p, status);
    }
}

bool router_give_up_routed(struct router *router)
{
    const struct pending *p = router->node->oldest;
    while (p != NULL && !(p->state == PENDING_PROPOSED && p->slot == 0 && is_left(p))) {
        p = p->age_next;
    }
    if (p == NULL) {
        for_each(router, NULL, give_up_left);
    }
    return p == NULL; /* its partition has its turn first */
}

/* What waits is looked at when its turn comes. */
static void refuse_loading(struct router *router, struct pending *p)
{
    if (p->state == PENDING_LOADING && went_astray(p)) {
        router_withdraw(router, p);
        stream_refuse(p, STATUS_ASTRAY);
    }
}

void router_guard(struct router *router)
{
    qr_assert(router->node->contact.guards);
    for_each(router, NULL, refuse_loading);
}

/* The leader is known, and takes what is for it: here, or elsewhere. */
static bool is_open(const struct router *router, struct track *track)
{
    const struct partition *partition = router_partition_of(track);
    node_index leader = leaders_of(partition);
    return leader != NODE_NONE && (leader == replica_me(router->node->zero->replica) ||
                                   router_may_forward(router, track, leader));
}

bool router_is_ready(const struct router *router)
{
    struct track *track = router->waiting > 0 ? router->active : NULL;
    while (track != NULL && (track->waiting.first == NULL || !is_open(router, track))) {
        track = track->next;
    }
    return track != NULL;
}

/* --- The turn ------------------------------------------------------------------------------- */

void router_turn(struct router *router)
{
    struct node *node = router->node;
    qr_time now = node->clock;
    if (node->expiries.n > 0) {
        let_expire(router, now);
    }
    if (router->active != NULL) {
        follow_leaders(router);
        visit_tracks(router);
    }
    if (router->gathers != NULL) {
        gather_turn(router);
    }
    if (router->loads.count > 0) {
        router_send_pieces(router);
    }
    if (now >= node->housekeeping) {
        node->housekeeping = now + 20 * QR_MILLISECOND;
        let_deadlines_pass(router, now);
        router_trim_relays(router, now);
    }
}
