/* Writes whose replies are kept back until others have them: until each zone does, by ACK "EACH
 * zone" (U5); until as many have executed them as ON applied wants; or, where a request says an ACK
 * of its own (STRATEGY primary), until as many have them as that says.
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
 *    of the same leader asks for less that is enough.
 * Z6 Copies that a request asks for (cluster/primary_asked.h) count by what the primary knows of
 *    each member on disk: more than `received` asks for, and nothing where `durable` is told at the
 *    write. Where the view's own rule is as much, what is committed has them.
 * Z7 They are worth something only where nobody is chosen without them: beside an entry of a view
 *    that waits for others, settled, so that all before it is committed by that too. Under one that
 *    waits for nobody (LOCAL, fallen back) no such write is taken, and one that was is not
 *    answered before there is another. */
#include "node/replica_internal.h"

#include "base/limits.h"
#include "cluster/map.h"
#include "node/node.h"
#include "protocol/quorum.h"

#include <string.h>

#define UNCERTAIN_BY(whom) "UNCERTAIN the write is committed " whom "and was applied, but "
#define COMMITTED UNCERTAIN_BY("by a majority ")
#define NOT_WAITED_FOR "for this one that is not waited for"

/* --- Copies (Z6, Z7) -------------------------------------------------------------------------- */

/* Those beside the leader that count for it. */
static uint32_t counted(const struct replica *r, const struct wants_copies *w)
{
    uint32_t others = membership_voters(&r->outlook.membership) & ~(1u << r->me);
    return w->among != 0 ? others & w->among : others;
}

static uint32_t wanted(const struct replica *r, const struct wants_copies *w)
{
    return w->count == WANTS_ALL_COPIES ? quorum_count(counted(r, w)) : w->count - 1u;
}

/* Z7 */
static bool rule_waits(const struct replica *r)
{
    const struct outlook *o = &r->outlook;
    return o->rule_copies > 0 || (o->rule_set & ~(1u << r->me)) != 0;
}

static bool stage_gives(uint8_t stage, uint8_t asked)
{
    return asked == ACK_RECEIVED || stage == ACK_APPLIED ||
           (stage == ACK_DURABLE && asked == stage);
}

/* What is committed by the view's rule has all that is wanted. */
static bool rule_gives(const struct replica *r, const struct wants_copies *w)
{
    const struct outlook *o = &r->outlook;
    uint32_t count = counted(r, w);
    uint32_t elsewhere =
        membership_voters(&o->membership) & ~(1u << r->me) & ~(uint32_t)o->rule_set & ~count;
    uint32_t had = quorum_count(count & o->rule_set);
    had += o->rule_copies > quorum_count(elsewhere) ? o->rule_copies - quorum_count(elsewhere) : 0;
    return had >= wanted(r, w) && stage_gives(o->rule_stage, w->stage);
}

/* Up to here as many have everything on disk. */
static qr_slot on_disks(const struct replica *r, const struct wants_copies *w)
{
    const struct outlook *o = &r->outlook;
    uint32_t here = counted(r, w), want = wanted(r, w);
    qr_slot own = w->stage == ACK_RECEIVED ? UINT64_MAX : o->member[r->me].match;
    if (w->stage == ACK_APPLIED || (w->stage == ACK_DURABLE && o->rule_stage == ACK_WRITTEN)) {
        return 0; /* nobody tells */
    }
    qr_slot held = want == 0 ? own : 0;
    for (uint32_t rest = here; rest != 0; rest &= rest - 1) {
        qr_slot match = o->member[set_first(rest)].match;
        uint32_t have = 0;
        for (uint32_t all = here; all != 0; all &= all - 1) {
            const struct member_outlook *m = &o->member[set_first(all)];
            have += m->match >= match && !m->forgetful ? 1 : 0;
        }
        held = have >= want ? max_u64(held, min_u64(match, own)) : held;
    }
    return held;
}

/* With the primary's own copy alone nothing is said of others. */
static bool is_of_others(const struct wants_copies *w)
{
    return w->count > 1;
}

static qr_slot copies_reached(const struct replica *r, const struct wants_copies *w)
{
    const struct outlook *o = &r->outlook;
    bool none = is_of_others(w) && (!rule_waits(r) || wanted(r, w) == 0);
    if (none || !o->settled) {
        return 0;
    }
    return rule_gives(r, w) ? UINT64_MAX : on_disks(r, w);
}

const char *zones_lack(const struct pending *p)
{
    const struct wants_copies *w = &p->wants.copies;
    if (w->count == 0) {
        return NULL;
    }
    struct replica *r = p->partition->replica;
    uint32_t here = 0;
    replica_look(r);
    for (uint32_t rest = counted(r, w); rest != 0; rest &= rest - 1) {
        const struct member_outlook *m = &r->outlook.member[set_first(rest)];
        here |= m->lively && !m->forgetful ? rest & -rest : 0;
    }
    if (is_of_others(w) && !rule_waits(r)) {
        return "NOREPLICAS the partition waits for no other node by now, so more copies promise "
               "nothing, the command was not applied";
    }
    if (quorum_count(here) < wanted(r, w) || (is_of_others(w) && wanted(r, w) == 0)) {
        return "NOREPLICAS too few replicas are in contact for the ACK that was asked for, the "
               "command was not applied";
    }
    return NULL;
}

/* What the view's rule has done by now may be enough. */
static bool awaits_copies(const struct pending *p)
{
    const struct wants_copies *w = &p->wants.copies;
    if (w->count == 0) {
        return false;
    }
    replica_look(p->partition->replica);
    return copies_reached(p->partition->replica, w) != UINT64_MAX;
}

bool zones_await_reply(const struct pending *p)
{
    if (p->stream == NULL || p->silent) {
        return false;
    }
    return p->wants.each_zone || p->partition->replica->outlook.shares || awaits_copies(p);
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

static qr_slot reached_by_zones(const struct replica *r, node_index *last)
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

qr_slot zones_reached(const struct replica *r, const struct wants *wants, node_index *last)
{
    *last = NODE_NONE;
    if (wants->each_zone) {
        return reached_by_zones(r, last);
    }
    qr_slot reached = r->outlook.shares ? r->outlook.shared : r->outlook.commit; /* Z5 */
    const struct wants_copies *w = &wants->copies;
    return w->count == 0 ? reached : min_u64(reached, copies_reached(r, w));
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
