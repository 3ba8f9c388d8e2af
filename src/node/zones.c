/* Writes whose replies are kept back until others have them: until each zone does, by ACK "EACH
 * zone" (U5); until as many have executed them as ON applied wants; or, where a request asks for
 * more than its keyspace, until as many copies are durable as that says.
 *
 * Z1 Such a write is committed and applied like any other; only its reply is kept back. Whatever of
 *    its client comes behind it goes on.
 * Z2 It is answered when, of each zone in which the partition has a voter, one voter has it on
 *    disk: by the zones and the members of that moment, those before and those after a change. A
 *    voter that nobody has given a zone is a zone of its own, as where replicas are placed
 *    (cluster/place.h PL1), whatever zone the one had whose index it has; one that has lost what it
 *    promised does not count. A leader that does not know the zones by now (cluster/coverage.h V5)
 *    takes each voter for a zone of its own.
 * Z3 When its time is over, or this node leads no more, it is -UNCERTAIN and tells what is known:
 *    it is committed and applied, and in which zone it is not known to be. Never is it tried again.
 * Z4 What is kept counts, for the node and for the client that waits for it. Where it is too much
 *    no more such writes are taken, and of those that were under way the replies are not kept. Of
 *    one client no more than there is room left for all others, so that one that keeps writing
 *    leaves room. Only what is applied counts: many that come at once may fill it all the same.
 * Z5 ON applied is the view's rule: what is shared by it (outlook) is answered. Where a later view
 *    of the same leader asks for less that is enough, but for a request that has said ON applied
 *    itself.
 * Z6 Copies that a request asks for count as WAIT counts them, the leader's own among them. */
#include "node/replica_internal.h"

#include "base/limits.h"
#include "cluster/map.h"
#include "node/node.h"
#include "protocol/quorum.h"

#include <string.h>

#define UNCERTAIN_BY(whom) "UNCERTAIN the write is committed " whom "and was applied, but "
#define COMMITTED UNCERTAIN_BY("by a majority ")
#define NOT_WAITED_FOR "for this one that is not waited for"

bool zones_await_reply(const struct pending *p)
{
    const struct wants *w = &p->wants;
    bool wanted = w->each_zone || w->copies != 0 || w->applied;
    return (wanted || p->partition->replica->outlook.shares) && p->stream != NULL && !p->silent;
}

struct reply *zones_keep_reply(struct pending *p)
{
    reply_init(&p->reply, p->version);
    return &p->reply;
}

/* --- What is kept (Z4) ---------------------------------------------------------------------- */

static size_t bytes_of(const struct reply *reply)
{
    return reply->cap + (reply->parts != NULL ? reply->parts->bytes : 0);
}

static bool has_room(const struct node *node, const struct reply *reply)
{
    return node->kept < 2 * KEPT_REPLIES_MAX &&
           node->kept_bytes + bytes_of(reply) <= 2 * KEPT_BYTES_MAX;
}

static void keep(struct pending *p)
{
    struct read_history *own = stream_reads_of(p);
    p->node->kept++;
    p->node->kept_bytes += bytes_of(&p->reply);
    own->kept++;
    own->kept_bytes += bytes_of(&p->reply);
    stream_hold(p);
}

static void release(struct pending *p)
{
    struct read_history *own = stream_reads_of(p);
    qr_assert(p->node->kept > 0 && p->node->kept_bytes >= bytes_of(&p->reply));
    qr_assert(own->kept > 0 && own->kept_bytes >= bytes_of(&p->reply));
    p->node->kept--;
    p->node->kept_bytes -= bytes_of(&p->reply);
    own->kept--;
    own->kept_bytes -= bytes_of(&p->reply);
    stream_release(p);
}

static void discard(struct pending *p)
{
    reply_discard_parts(&p->reply, engine_bin(p->node->zero->engine));
    reply_free(&p->reply);
}

void zones_drop_reply(struct pending *p)
{
    release(p);
    discard(p);
}

void zones_answer(struct pending *p)
{
    struct reply kept = p->reply;
    p->reply = (struct reply){ 0 };
    reply_move(stream_reply(p), &kept);
    reply_free(&kept);
    stream_answered(p, STATUS_OK);
}

/* The node's own bound holds too, however long its client would wait. */
static qr_time end_of(const struct pending *p)
{
    const struct config *config = &p->node->config;
    qr_time longest = p->arrived + config->request_timeout_ms * QR_MILLISECOND;
    qr_time usual = p->node->clock + config->leader_wait_ms * QR_MILLISECOND;
    qr_time end = p->wants.expires != 0 ? p->wants.expires : usual;
    return end < longest ? end : longest;
}

void zones_await(struct replica *r, struct pending *p)
{
    struct node *node = r->node;
    if (!has_room(node, &p->reply)) {
        discard(p);
        node->stats.uncertain++;
        reply_error(stream_reply(p),
                    p->wants.each_zone
                        ? COMMITTED "too many writes wait until each zone has them: " NOT_WAITED_FOR
                        : UNCERTAIN_BY("") "too many writes wait until others have them: "
                                           NOT_WAITED_FOR);
        stream_answered(p, STATUS_OK);
        return;
    }
    if (p->counted) { /* it is decided: what waits for that does not wait for zones (S1) */
        p->strand->writes_done++;
        p->counted = false;
    }
    keep(p);
    p->until = end_of(p);
    if (p->wants.copies != 0) { /* Z6 */
        uint32_t others = quorum_count(membership_voters(&r->outlook.membership) & ~(1u << r->me));
        p->wanted = p->wants.copies == WANTS_ALL_COPIES ? others : p->wants.copies - 1u;
        p->wanted_local = true;
    }
    replica_wait(r, p);
}

/* --- What zones have ------------------------------------------------------------------------ */

/* What was said of whoever had the index before is not said of the one who has it. */
static const char *zone_of(const struct node *node, node_index i)
{
    const struct map_node *said = map_node(node->map, i);
    return said->id == node->known[i].id ? said->zone : "";
}

static bool same_zone(const struct node *node, node_index a, node_index b)
{
    const char *zone = zone_of(node, a);
    return a == b ||
           (zone[0] != 0 && strcmp(zone, zone_of(node, b)) == 0 && node_knows_rules(node));
}

/* What the zone of voter i has on one disk at least. */
static qr_slot zone_holds(const struct replica *r, uint32_t voters, node_index i)
{
    qr_slot most = 0;
    for (uint32_t rest = voters; rest != 0; rest &= rest - 1) {
        node_index other = set_first(rest);
        const struct member_outlook *m = &r->outlook.member[other];
        if (same_zone(r->node, i, other) && !m->forgetful) {
            most = max_u64(most, m->match);
        }
    }
    return most;
}

qr_slot zones_reached(const struct replica *r, node_index *last)
{
    uint32_t voters = membership_voters(&r->outlook.membership);
    qr_slot least = UINT64_MAX;
    *last = NODE_NONE;
    for (uint32_t rest = voters; rest != 0; rest &= rest - 1) {
        node_index i = set_first(rest);
        qr_slot holds = zone_holds(r, voters, i);
        *last = holds < least ? i : *last;
        least = min_u64(least, holds);
    }
    return *last == NODE_NONE ? 0 : least;
}

/* --- What others have executed (Z5) ----------------------------------------------------------- */

qr_slot zones_shared(const struct replica *r, const struct pending *p)
{
    return r->outlook.shares ? r->outlook.shared : p->wants.applied ? 0 : r->outlook.commit;
}

/* --- The end of it -------------------------------------------------------------------------- */

static void refuse(const struct replica *r, struct pending *p, node_index last)
{
    struct reply *reply = stream_reply(p);
    const char *zone = last != NODE_NONE ? zone_of(r->node, last) : "";
    uint32_t id = last != NODE_NONE ? r->node->known[last].id : 0;
    if (!p->wants.each_zone) {
        reply_error(reply, status_text(STATUS_COPIES));
    } else if (!node_knows_rules(r->node)) {
        reply_error(reply, COMMITTED "its leader has not heard from group 0 and does not know the "
                                     "zones by now");
    } else if (zone[0] != 0) {
        reply_errorf(reply, COMMITTED "it is not known yet to be durable in zone '%s'", zone);
    } else if (id != 0) {
        reply_errorf(reply,
                     COMMITTED "it is not known yet to be durable at node %u, which has no zone "
                               "and is one of its own",
                     (unsigned)id);
    } else {
        reply_error(reply, status_text(STATUS_ZONES));
    }
    stream_answered(p, STATUS_OK);
}

void zones_serve(const struct replica *r, struct pending *p, qr_slot reached, node_index last)
{
    if (p->slot <= reached) {
        release(p);
        zones_answer(p);
    } else {
        zones_drop_reply(p);
        r->node->stats.uncertain++;
        refuse(r, p, last);
    }
}

void zones_give_up(struct pending *p)
{
    zones_drop_reply(p);
    p->node->stats.uncertain++;
    stream_refuse(p, p->wants.each_zone ? STATUS_ZONES : STATUS_COPIES);
}
