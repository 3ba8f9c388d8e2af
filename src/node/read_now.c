/* Reads: their beginning, and those that need no round among the members: they are answered where
 * they arrive, as long as nothing else of their stream is pending (S1, S2), without an encoding and
 * without a place in a queue.
 *
 * That is so at a level that asks for no proof, at any replica that may give it (router_read.c): it
 * shows what is applied here. And under a lease for all others.
 *
 * The protocol confirms reads under a lease with the moment until which the confirmation is good:
 * it votes for nobody else before then, nor hands leadership over (protocol/raft/lease.c). So it
 * covers every read that arrives earlier. But not while something is committed that is not applied
 * here, be it for lack of time or because a checkpoint waits for the disk: a follower that was told
 * of it may have shown it.
 *
 * Linearizable as of node->clock: that was read after the read's bytes, and again after whatever
 * was applied since, so at that moment the read had been asked, the lease held, and the state was
 * as it is now. */
#include "base/alloc.h"
#include "cluster/freshness.h"
#include "cluster/level.h"
#include "node/node.h"
#include "node/peers.h"
#include "node/replica_internal.h"

#define ARGUMENTS_MAX 8u /* more keys take longer: they go where time is shared (pace.c) */

bool replica_holds_lease(const struct replica *r)
{
    return r->node->clock < r->lease_until && r->applied >= r->lease_slot &&
           r->applied >= r->apply_to;
}

qr_time replica_lease_end(const struct replica *r)
{
    return r->node->contact.leases.held_until;
}

static bool is_small(const struct stream *stream, const struct command_spec *spec,
                     const struct op *head)
{
    return (spec->flags & CF_FAST) != 0 && head->argc <= ARGUMENTS_MAX &&
           stream->history.usec <= LARGE_READ_USEC && stream->history.bytes <= LARGE_READ_BYTES;
}

/* Log time alone rules where any replica may answer, so that all of them say the same. */
static qr_wall stamp_for(struct replica *r, enum read_level level)
{
    if (level_needs_no_proof(level)) {
        return engine_log_time(r->partition->engine);
    }
    qr_time turn = io_turn_began(r->node->io); /* a partition need not have a turn in each */
    if (r->stamped_at != turn) {
        r->read_stamp = replica_stamp(r);
        r->stamped_at = turn;
    }
    return r->read_stamp;
}

bool replica_read_now(struct replica *r, struct stream *stream, const struct command_spec *spec,
                      uint8_t version, const struct op *head, const struct span *argv)
{
    struct node *node = r->node;
    qr_assert(stream->ordered && stream->first == NULL);
    if (stream->wants.meta || !is_small(stream, spec, head) || stream->is_congested(stream)) {
        return false;
    }
    enum read_level level = (enum read_level)stream->wants.level;
    if (r->logical && execute_awaited(r, level, spec, head->db, argv, head->argc) > r->applied) {
        return false; /* it is executed, and its reply kept */
    }
    struct op op = *head;
    op.stamp = stamp_for(r, level);
    qr_time began = node->clock;
    struct reply *reply = stream->begin_reply(stream, NULL);
    size_t before = reply->n;
    reply->version = version;
    reply->is_error = false;
    (void)io_failpoint(node->io, FAIL_READ);
    if (engine_read_arguments(r->partition->engine, &op, argv, reply) == ENGINE_READ_DUE) {
        return false; /* it has to wait for a tick, and then has its turn among the others */
    }
    replica_count_call(node, spec, reply);
    if (node->config.latency_tracking) {
        measure_latency(node->measure, spec, node->clock - began);
    }
    pace_note_history(&stream->history, node->clock - began, reply_bytes_behind(reply, before));
    stream_note_read(stream, r->node->map, r->group, replica_shows(r, level, r->applied));
    stream->end_reply(stream, NULL, STATUS_OK);
    return true;
}

void replica_begin_read(struct pending *p)
{
    qr_assert(p->op != NULL);
    p->state = PENDING_READING;
    op_stamp(p->op, 0, 0); /* apply.c stamps it when it is served */
    p->confirmed = false;
    p->req = 0;
    if (p->stream != NULL) {
        if (!p->counted) {
            p->strand->reading++;
            p->after_read = stream_order_of(p)->begun++;
            p->counted = true;
        }
        p->after_write = p->strand->writes_begun;
    }
}

void replica_read_unproven(struct replica *r, struct pending *p)
{
    replica_begin_read(p);
    p->confirmed = true;
    p->place = READ_CONFIRMED;
    p->slot = replica_needs(r, p->wants.least);
    p->until = 0;
    replica_queue(r, &r->confirmed, p);
    r->partition->again = true;
    partition_wake(r->partition);
}

/* --- Positions -------------------------------------------------------------------------------- */

/* How many losses there were in the history that its state is of. The map may be behind. */
static bool losses_of(const struct replica *r, const struct lineage **losses, uint16_t *count)
{
    const struct succession *s = map_succession(r->node->map, r->group);
    qr_term term = r->outlook.proven;
    bool known = s != NULL && term != 0 && s->term >= term && r->partition->rollback == NULL;
    *losses = known ? &s->losses : NULL;
    return known && losses_by(*losses, term, count);
}

qr_slot replica_position(const struct replica *r, qr_slot slot)
{
    const struct lineage *losses;
    uint16_t count = 0;
    if (!r->viewed) {
        return slot;
    }
    return losses_of(r, &losses, &count) ? position_of(count, slot) : 0;
}

qr_slot replica_needs(const struct replica *r, qr_slot position)
{
    const struct lineage *losses;
    uint16_t count = 0;
    if (!r->viewed || position == 0) {
        return position;
    }
    return losses_of(r, &losses, &count) ? position_here(losses, count, position) : POSITION_NEVER;
}

/* At level local a primary shows what it has executed, and nobody knows whether that stays. */
qr_slot replica_shows(const struct replica *r, enum read_level level, qr_slot slot)
{
    bool executed = r->logical && level == READ_LOCAL && r->execute->state > r->applied;
    return executed ? 0 : replica_position(r, slot);
}

/* --- How fresh -------------------------------------------------------------------------------- */

#define ASK_PATIENCE (100 * QR_MILLISECOND) /* then another index is asked for */

static struct proofs *proofs_of(struct replica *r)
{
    if (r->proofs == NULL) {
        r->proofs = qr_zalloc(sizeof *r->proofs);
    }
    return r->proofs;
}

void replica_note_ask(struct replica *r)
{
    r->node->stats.indexes_asked += replica_leads(r) ? 0 : 1;
    proofs_asked(proofs_of(r), r->next_req, r->node->clock);
}

qr_time replica_fresh_at(struct replica *r)
{
    if (replica_leads(r) && replica_holds_lease(r)) {
        return r->node->clock;
    }
    return r->proofs != NULL ? proofs_fresh_at(r->proofs, r->applied) : 0;
}

/* A member asks its primary only when what it has executed is surely of the same history, and where
 * all nodes know what it asks. */
static bool knows_whom_it_follows(const struct replica *r)
{
    return r->views.asks && r->outlook.proven == r->outlook.term && r->partition->rollback == NULL;
}

bool replica_may_ask(const struct replica *r)
{
    node_index leader = r->outlook.leader;
    return r->started && !r->frozen && (!r->viewed || knows_whom_it_follows(r)) &&
           leader != NODE_NONE && leader != r->me &&
           peers_connected(r->node->peers, leader) &&
           peers_all_speak(r->node->peers, WIRE_VERSION_LEVELS);
}

bool replica_asks_in_time(const struct replica *r)
{
    return r->proofs == NULL || r->node->clock >= r->proofs->late_until;
}

void replica_asked_late(struct replica *r)
{
    proofs_late(proofs_of(r), r->node->clock);
}

void replica_ask_ahead(struct replica *r)
{
    struct proofs *proofs = proofs_of(r);
    bool may = replica_leads(r) || replica_may_ask(r);
    if (may && !proofs_awaits(proofs, r->node->clock - ASK_PATIENCE)) {
        proofs->wanted = true;
        r->queued = true;
        r->partition->again = true;
        partition_wake(r->partition);
    }
}

bool replica_catches_up(struct replica *r)
{
    const struct outlook *o = &r->outlook;
    if (replica_leads(r)) {
        return r->applied_term == o->term; /* and so what was committed before its term */
    }
    if (o->leader == NODE_NONE) {
        return false;
    }
    if (!peers_all_speak(r->node->peers, WIRE_VERSION_LEVELS)) {
        return r->applied >= o->commit; /* there is nobody to ask */
    }
    bool caught_up = replica_fresh_at(r) != 0;
    if (!caught_up) {
        replica_ask_ahead(r);
    }
    return caught_up;
}

void replica_freshness(struct replica *r, struct freshness *out)
{
    const struct outlook *o = &r->outlook;
    if (!r->current) {
        r->current = o->informed && r->applied >= o->commit;
    }
    *out = (struct freshness){
        .applied = r->applied,
        .fresh_at = replica_fresh_at(r),
        .leads = replica_leads(r),
        .trusted = !r->frozen && !o->forgetful && r->partition->rollback == NULL &&
                   (o->membership.voters & (1u << replica_me(r))) != 0,
        .current = r->current,
    };
}
