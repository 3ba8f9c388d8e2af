/* Reads as of a position, in a replica: what it keeps for them, and their answers.
 *
 * What has been applied is committed, and stays so: the state as of a slot is the same wherever it
 * is asked for, and nothing has to be proven. */
#include "node/replica_internal.h"

#include "cluster/map.h"
#include "node/router.h"

#include <inttypes.h>

void replica_follow_history(struct replica *r)
{
    const struct node *node = r->node;
    struct engine *engine = r->partition->engine;
    if (engine_past_epoch(engine) == node->quotas) {
        return;
    }
    struct past_limits limits = { 0 };
    const struct map_keyspace *k = map_keyspace_of_group(node->map, r->group);
    if (k != NULL) {
        limits.age = (int64_t)k->history_ms * QR_MILLISECOND;
        limits.bytes = k->history_bytes / k->partitions;
    }
    engine_keep_past(engine, &limits, replica_state(r), node->quotas);
}

bool replica_tend_past(struct replica *r)
{
    replica_follow_history(r);
    return engine_idle(r->partition->engine);
}

bool replica_past_floor(struct replica *r, qr_slot *floor)
{
    replica_follow_history(r);
    return engine_past_floor(r->partition->engine, floor) && !r->frozen;
}

/* The leader may know its past further back; what it does not know is not known. */
static void refuse(struct replica *r, struct pending *p)
{
    qr_slot floor;
    stream_take_back(p);
    if (!replica_leads(r)) {
        struct pendings one = { 0 };
        pendings_push(&one, p);
        router_retry(r->node->router, &one, STATUS_NOT_LEADER);
        return;
    }
    if (!engine_past_floor(r->partition->engine, &floor)) {
        floor = r->applied; /* it has just been switched off */
    }
    reply_errorf(stream_reply(p),
                 "STALE -1 position %" PRIu32 "-%" PRIu64
                 " is too old: the oldest that can be asked "
                 "for is %" PRIu32 "-%" PRIu64 ", the command was not applied",
                 r->group, p->wants.least, r->group, floor);
    stream_refused(p);
}

static void refuse_lost(struct replica *r, struct pending *p)
{
    stream_take_back(p);
    reply_errorf(stream_reply(p),
                 "STALE -1 what a key was as of position %" PRIu32 "-%" PRIu64 " is not known any "
                 "more: its value was too large to be kept, the command was not applied",
                 r->group, p->wants.least);
    stream_refused(p);
}

void replica_serve_as_of(struct replica *r, struct pending *p)
{
    struct op op;
    struct node *node = r->node;
    bool valid = op_peek(span_of(p->op, p->op_bytes), &op);
    qr_assert(valid); /* encoded here, or checked when it came from a peer */
    struct reply *reply = stream_reply(p);
    size_t before = reply->n;
    reply->is_error = false;
    qr_assert(r->applied >= p->wants.least);
    switch (engine_read_as_of(r->partition->engine, &op, p->wants.least, reply)) {
    case ENGINE_AS_OF_TOO_OLD:
        refuse(r, p);
        return;
    case ENGINE_AS_OF_LOST:
        refuse_lost(r, p);
        return;
    case ENGINE_AS_OF_DONE:
        break;
    }
    qr_time began = node->clock;
    p->shown = (struct shown){ .slot = p->wants.least, .by = r->me };
    replica_count_call(node, p->spec, reply);
    pace_note_read(r, p, node->clock - began, reply_bytes_behind(reply, before));
    stream_answered(p, STATUS_OK);
}
