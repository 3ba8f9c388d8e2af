/* WAIT and WAITAOF on the leader: how many other members hold what its client has written, on disk,
 * and whether the leader itself does.
 *
 * Writes that this leadership has applied for a stream are known by the last one's slot. All that
 * is known of others (an earlier leader's, those over an earlier connection of a peer) is that they
 * lie where something is committed by the time the WAIT comes: that is waited for then. So the
 * number is never too high, and never is a write counted that could still be lost. */
#include "node/replica_internal.h"

#include "node/node.h"
#include "node/router.h"
#include "protocol/quorum.h"

void replica_wait(struct replica *r, struct pending *p)
{
    p->state = PENDING_BLOCKED;
    p->slot = 0;
    replica_queue(r, &r->blocked, p);
    r->node->blocked++;
    partition_wake(r->partition);
}

void replica_forget_wait(struct replica *r, struct pending *p)
{
    pendings_remove(&r->blocked, p);
    r->node->blocked--;
    if (zones_awaits(p)) {
        zones_drop_reply(p);
    }
}

/* Those that are members now: who leaves is told of entries for a while, and counts no more. */
static uint32_t members_holding(const struct replica *r, qr_slot slot)
{
    uint32_t holding = 0;
    uint32_t others = membership_all(&r->outlook.membership) & ~(1u << r->me);
    for (node_index i = 0; i < r->outlook.members; i++) {
        bool is_one = (others >> i & 1) != 0;
        holding += is_one && r->outlook.member[i].match >= slot ? 1 : 0;
    }
    return holding;
}

static bool holds_itself(const struct replica *r, qr_slot slot)
{
    return r->outlook.member[r->me].match >= slot;
}

/* Its own writes are not decided yet, or this node does not know yet what is. */
static bool is_behind(const struct replica *r, const struct pending *p)
{
    return stream_waits_for_write(p) || !r->outlook.can_serve;
}

/* The slot is found once: what is written behind the WAIT, by other clients of a peer say, would
 * always be lacking somewhere. */
static void find_slot(const struct replica *r, struct pending *p)
{
    const struct strand *strand = p->strand;
    bool known = strand->last_write != 0 && strand->last_write_term == r->outlook.term;
    if (p->slot == 0) {
        p->slot = known ? strand->last_write : r->outlook.commit;
    }
}

static void reply_holding(struct pending *p, bool local, uint32_t holding)
{
    struct reply *reply = stream_reply(p);
    if (p->spec->tag == COMMAND_WAITAOF) {
        reply_array(reply, 2);
        reply_integer(reply, local ? 1 : 0);
    }
    reply_integer(reply, holding);
    stream_answered(p, STATUS_OK);
}

/* False: it goes on waiting. */
static bool serve(struct replica *r, struct pending *p, qr_time now)
{
    if (p->stream == NULL) {
        stream_answered(p, STATUS_OK); /* whoever asked is gone */
        return true;
    }
    bool behind = is_behind(r, p);
    uint32_t holding = 0;
    bool local = false;
    if (!behind) {
        find_slot(r, p);
        holding = members_holding(r, p->slot);
        local = holds_itself(r, p->slot);
    }
    bool enough = !behind && holding >= p->wanted && (local || !p->wanted_local);
    bool over = p->until != 0 && now >= p->until;
    if (!enough && over && p->comes_back) {
        stream_refuse(p, STATUS_EXPIRED); /* asked again if somebody still waits */
    } else if (enough || over) {
        reply_holding(p, local, holding);
    } else {
        return false;
    }
    return true;
}

void replica_serve_blocked(struct replica *r)
{
    uint32_t count = r->blocked.count;
    qr_time now = count > 0 ? node_clock(r->node) : 0;
    node_index last = NODE_NONE;
    qr_slot reached = count > 0 ? zones_reached(r, &last) : 0;
    struct pendings leaving = { 0 };
    while (count-- > 0) {
        struct pending *p = pendings_pop(&r->blocked);
        bool zones = zones_awaits(p);
        if (!replica_leads(r) && zones) {
            r->node->blocked--;
            zones_give_up(p);
        } else if (!replica_leads(r)) {
            pendings_push(&leaving, p);
            r->node->blocked--;
        } else if (!(zones ? zones_serve(r, p, reached, last, now) : serve(r, p, now))) {
            replica_queue(r, &r->blocked, p);
        } else {
            r->node->blocked--;
        }
    }
    if (leaving.count > 0) {
        router_retry(r->node->router, &leaving, STATUS_NOT_LEADER);
    }
}
