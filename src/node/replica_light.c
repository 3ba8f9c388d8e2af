/* What a replica does without a turn. Of a thousand partitions each is written to now and then: two
 * acknowledgements, an entry, a sync concern one of them each time, and a turn for each would cost
 * more than all that they bring about.
 *
 * L1 A message is stepped, and its effects carried out, when it arrives. A turn follows when
 *    anything in replica_turn, or beside it, has something to do.
 * L2 What is done now and then only (digests, a deadline that moved) waits for the turn that the
 *    partition has soon in any case. Without one, it gets one.
 * L3 A sync releases what waits for it. The protocol hears of it with its next event, before it: to
 *    the protocol the disk was that much slower. Not where the step itself would be waited for: a
 *    leader that could commit by its own disk, a candidate, and whatever is rare. */
#include "node/replica_internal.h"

#include "engine/engine.h"
#include "protocol/quorum.h"

#define SOON (500 * QR_MILLISECOND)

/* --- Messages (L1) -------------------------------------------------------------------------- */

bool replica_has_queued(const struct replica *r)
{
    bool reads = r->new_reads.count > 0 || r->confirmed.count > 0 || r->large.count > 0 ||
                 r->due.count > 0 || r->waits != NULL;
    reads = reads || replica_wants_proof(r);
    return reads || r->loading.count > 0 || r->blobs.dropped_count > 0 || r->orders.count > 0;
}

void replica_prefetch_step(const struct replica *r, node_index from)
{
    r->protocol->prefetch(r->self, from);
    log_prefetch(r->node->log, r->group);
    qr_prefetch(r->partition->engine, CACHE_LINE_BYTES);
}

static bool has_work(const struct replica *r)
{
    bool sends = r->attaches || (r->feed != NULL && r->feed->waiting != 0);
    return r->batch_count > 0 || sends || r->durable_only || r->frozen ||
           (r->queued && replica_has_queued(r)) || replica_tells_executed(r);
}

/* Members or the leader are on their way to be others: what is to be done about it, others look up
 * in the turn. */
static bool is_changing(const struct outlook *o)
{
    return o->membership_slot > o->commit || o->membership.outgoing != 0 ||
           o->membership.learners != 0 || o->transfer_to != NODE_NONE;
}

/* Who leads, who takes part, whether it rests. */
static bool has_news(struct replica *r)
{
    const struct outlook *o = &r->outlook;
    enum role role = o->role;
    qr_term term = o->term;
    node_index leader = o->leader;
    qr_slot stated = o->membership_slot;
    uint16_t leaving = o->leaving;
    bool could_serve = o->can_serve, rested = o->quiet, forgot = o->forgetful;
    bool changed = is_changing(o); /* it may be over now */
    replica_look(r);
    bool led = role != o->role || term != o->term || leader != o->leader;
    bool members = stated != o->membership_slot || leaving != o->leaving;
    return changed || is_changing(o) || led || members || could_serve != o->can_serve ||
           rested != o->quiet || forgot != o->forgetful;
}

/* Something is wrong with it: no turn is too many. */
static bool is_unwell(const struct partition *p)
{
    return p->quarantined || p->repairer != NULL || p->lost || p->kept_checkpoint;
}

static bool needs_turn(struct replica *r)
{
    const struct partition *p = r->partition;
    if (p->due > r->node->clock + SOON || is_unwell(p)) { /* L2 */
        return true;
    }
    if (has_work(r) || r->applied < replica_apply_limit(r) || has_news(r)) {
        return true;
    }
    bool ticks = replica_leads(r) && engine_next_due(p->engine) != QR_NEVER;
    return ticks || replica_protocol_deadline(r) < p->due || engine_idle(p->engine);
}

void replica_stir(struct replica *r)
{
    if (!r->partition->awake && needs_turn(r)) {
        partition_wake(r->partition);
    }
}

/* --- Syncs (L3) ----------------------------------------------------------------------------- */

/* What was told as durable when it was written: one such place is waited for at a time, since under
 * load there is always a newer one, and then the newest. */
static void note_last(struct replica *r, const struct ticket_mark *mark, uint64_t position)
{
    if (mark->position <= position) {
        r->durable_last = mark->last;
        r->trails = false;
        return;
    }
    r->written_newest = (struct written){ .position = mark->position, .last = mark->last };
    r->written = r->trails ? r->written : r->written_newest;
    r->trails = true;
}

static void note_synced(struct replica *r, uint64_t position)
{
    while (r->trails && r->written.position <= position) {
        r->durable_last = r->written.last;
        r->trails = r->written.position < r->written_newest.position;
        r->written = r->written_newest;
    }
}

qr_slot replica_synced(struct replica *r)
{
    note_synced(r, r->node->partitions.schedule.durable);
    return r->durable_last;
}

bool replica_take_durable(struct replica *r, uint64_t position)
{
    qr_ticket upto = r->durable;
    uint64_t written = r->node->partitions.schedule.written;
    note_synced(r, position);
    while (r->marks_count > 0) {
        const struct ticket_mark *mark = &r->marks[r->marks_first];
        if (mark->position > (mark->lazy ? max_u64(written, position) : position)) {
            break;
        }
        upto = mark->ticket;
        note_last(r, mark, position);
        r->marks_first = (r->marks_first + 1) % r->marks_cap;
        r->marks_count--;
    }
    r->marks_first = r->marks_count > 0 ? r->marks_first : 0; /* the same memory again */
    if (upto == r->durable) {
        return false;
    }
    qr_assert(upto > r->durable); /* tickets become durable in order */
    r->durable = upto;
    (void)io_failpoint(r->node->io, FAIL_DURABLE);
    replica_release_held(r);
    return true;
}

/* As of the last look, which nothing has happened since. */
static bool commits_by_others(const struct replica *r)
{
    const struct outlook *o = &r->outlook;
    if ((membership_voters(&o->membership) & ~node_bit(r->me)) == 0) {
        return false;
    }
    for (node_index i = 0; i < o->members; i++) {
        if (i != r->me && o->member[i].match > o->commit) {
            return false; /* it may need only this disk */
        }
    }
    return true;
}

bool replica_awaits_only(const struct replica *r)
{
    const struct outlook *o = &r->outlook;
    bool rare = r->durable_only || o->forgetful || is_changing(o);
    rare = rare || (r->viewed && o->role != ROLE_FOLLOWER); /* its own copy may be all that lacks */
    if (!r->started || r->stepped || rare || r->group == 0) {
        return false;
    }
    for (const struct held *h = r->held; h != NULL; h = h->next) {
        if (h->effect.kind != EFFECT_SEND) {
            return false;
        }
    }
    return o->role == ROLE_FOLLOWER || (o->role == ROLE_LEADER && commits_by_others(r));
}

void replica_durable_aside(struct replica *r, uint64_t position)
{
    r->durable_untold = replica_take_durable(r, position) || r->durable_untold;
    if (r->marks_count > 0) {
        partition_expects(r->partition, r->marks[r->marks_first].position);
    }
}

void replica_apply_durable_only(struct replica *r, bool on)
{
    if (on && !r->durable_only && r->logical) {
        r->execute->held_since = r->node->clock;
    }
    if (on && !r->durable_only && (r->partition->lazy || r->partition->soon)) {
        log_sync(r->node->log);
        partition_expects(r->partition, log_position(r->node->log));
    }
    r->durable_only = on;
}

bool replica_is_lazy(const struct replica *r)
{
    return r->partition->lazy && !r->durable_only;
}
