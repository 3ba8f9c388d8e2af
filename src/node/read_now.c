/* Reads: their beginning, and those that need no round among the members.
 *
 * Under a lease they are answered where they arrive.
 *
 * The protocol confirms reads under a lease with the moment until which the confirmation is good:
 * it votes for nobody else before then, nor hands leadership over (protocol/raft/lease.c). So it
 * covers every read that arrives earlier, and such a read needs neither an encoding nor a place in
 * a queue, as long as nothing else of its stream is pending (S1, S2).
 *
 * Linearizable as of node->clock: that was read after the read's bytes, and again after whatever
 * was applied since, so at that moment the read had been asked, the lease held, and the state was
 * as it is now. */
#include "node/node.h"
#include "node/replica_internal.h"

#define ARGUMENTS_MAX 8u /* more keys take longer: they go where time is shared (pace.c) */

static bool is_covered(const struct replica *r)
{
    return r->node->clock < r->lease_until && r->applied >= r->lease_slot;
}

static bool is_small(const struct stream *stream, const struct command_spec *spec,
                     const struct op *head)
{
    return (spec->flags & CF_FAST) != 0 && head->argc <= ARGUMENTS_MAX &&
           stream->history.usec <= LARGE_READ_USEC && stream->history.bytes <= LARGE_READ_BYTES;
}

bool replica_read_now(struct replica *r, struct stream *stream, const struct command_spec *spec,
                      uint8_t version, const struct op *head, const struct span *argv)
{
    struct node *node = r->node;
    qr_assert(stream->ordered && stream->first == NULL);
    if (stream->wants.meta || !is_covered(r) || !is_small(stream, spec, head) ||
        stream->is_congested(stream)) {
        return false;
    }
    qr_time turn = io_turn_began(node->io); /* a partition need not have a turn in each */
    if (r->stamped_at != turn) {
        r->read_stamp = replica_stamp(r);
        r->stamped_at = turn;
    }
    struct op op = *head;
    op.stamp = r->read_stamp;
    op.seed = rng_next(&r->rng);
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
    stream_note_read(stream, r->group, r->applied);
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
    p->slot = 0;
    p->until = 0;
    replica_queue(r, &r->confirmed, p);
    r->partition->again = true;
    partition_wake(r->partition);
}

bool replica_is_readable(struct replica *r)
{
    const struct outlook *o = &r->outlook;
    if (!r->current) {
        r->current = o->leader != NODE_NONE && o->commit > 0 && r->applied >= o->commit;
    }
    return r->current && !r->frozen && !o->forgetful &&
           (o->membership.voters & (1u << replica_me(r))) != 0;
}
