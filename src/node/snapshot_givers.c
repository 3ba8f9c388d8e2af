/* How far members are that are brought up, and other members that give their checkpoint in the
 * leader's place (rows L7, U18; decision 059). So far in groups whose leaders group 0 names.
 *
 *   leader                          giver                             follower
 *     GIVE: follower, least, most ---->
 *                                     OFFER, READ, DATA as ever <------>
 *     <------------------------------------- PROGRESS: giver, slot, bytes
 *     the log behind that slot ------------------------------------------>
 *
 * G1 The leader vouches for the file: it holds the state up to `least` at least, where the leader's
 *    log begins, and up to `most` at most: there the giver's log equals the leader's, durably, in
 *    this very term. So its state is one of the leader's own history. Should there be another
 *    leader by the time that it is here, the follower's protocol looks at it as at any other.
 * G2 The leader's log stays meanwhile: from `least` on until the follower has said what it pulls,
 *    behind that slot from then on, for as long as it comes on.
 * G3 Who was named has a time to have it begun, and to bring it on. Then another one is named, and
 *    nobody twice; at last the leader gives its own. What the follower has it goes on with where
 *    the file is the same.
 * G4 Whoever leads hears of it from the follower, so a new leader lets it go on. */
#include "node/snapshot_source_internal.h"

#include "cluster/map.h"
#include "node/node.h"
#include "node/peers.h"
#include "node/replica.h"
#include "node/run.h"
#include "node/transfers.h"
#include "protocol/quorum.h"

#include <inttypes.h>
#include <string.h>

#define ARRIVAL_TIME QR_SECOND /* of what is sent last of a large file */
#define CAUGHT_UP 1000u        /* entries: a member that lacks no more follows by itself */
#define BEGIN_TIME (2 * QR_SECOND)
#define STEP_TIME (4 * QR_SECOND)  /* from one step of the pull to the next */
#define ORDER_TIME (5 * QR_SECOND) /* an order that is not said again is over */

/* --- The leader: who gives -------------------------------------------------------------------- */

void givers_forget(struct follower *f)
{
    f->giver = NODE_NONE;
    f->failed = 0;
    f->slot = 0;
}

bool givers_are_at_it(const struct source *s)
{
    bool any = false;
    for (uint32_t rest = s->served; rest != 0; rest &= rest - 1) {
        any = any || s->follower[set_first(rest)].giver != NODE_NONE;
    }
    return any;
}

/* G1; and it is there to do it. */
static bool is_fit(const struct source *s, const struct outlook *o, node_index i, qr_slot least)
{
    const struct node *node = s->node;
    const struct member_outlook *m = &o->member[i];
    bool counts = i != o->leader && (o->membership.voters & node_bit(i)) != 0;
    bool there = counts && peers_connected(node->peers, i) && m->heard != 0 && m->lively &&
                 peers_wire_version(node->peers, i) >= WIRE_VERSION_GIVERS;
    bool whole = !m->needs_snapshot && !m->forgetful && !node->health.told[i].quarantined;
    return there && whole && m->match >= least;
}

static bool same_zone(const struct node *node, node_index a, node_index b)
{
    const char *zone = map_node(node->map, a)->zone;
    return zone[0] != 0 && strcmp(zone, map_node(node->map, b)->zone) == 0;
}

/* One in the zone of `to`, else any other unless the leader is there; of several partitions not
 * always the same. NODE_NONE: this node. */
static node_index choose(const struct source *s, const struct outlook *o, node_index to)
{
    const struct follower *f = &s->follower[to];
    node_index found = NODE_NONE;
    bool own = same_zone(s->node, o->leader, to);
    for (uint32_t k = 0; k < MEMBERS_MAX; k++) {
        node_index i = (node_index)((s->partition->group + k) % MEMBERS_MAX);
        bool passed = i == to || (f->failed & node_bit(i)) != 0;
        if (passed || !is_fit(s, o, i, f->least)) {
            continue;
        }
        if (same_zone(s->node, i, to)) {
            return i;
        }
        found = found == NODE_NONE && !own ? i : found;
    }
    return found;
}

/* G3 */
static bool has_time(const struct source *s, const struct follower *f, qr_time now)
{
    if (f->read != 0) {
        return now - f->read < STEP_TIME;
    }
    return now - f->named < BEGIN_TIME && peers_connected(s->node->peers, f->giver);
}

static void pass_over(struct source *s, node_index to)
{
    struct follower *f = &s->follower[to];
    node_log(s->node, NODE_LOG_NOTICE,
             "Node %" PRIu32 " does not bring node %" PRIu32 " its checkpoint: another one does",
             s->node->known[f->giver].id, s->node->known[to].id);
    f->failed |= node_bit(f->giver);
    f->giver = NODE_NONE;
    f->slot = 0;
    f->read = f->began = 0;
}

static void order(const struct source *s, node_index to, const struct outlook *o)
{
    const struct follower *f = &s->follower[to];
    struct snapshot_order order = { .member = s->node->known[to].id,
                                    .least = f->least,
                                    .most = o->member[f->giver].match };
    uint8_t head[SNAPSHOT_HEAD_BYTES_MAX];
    peers_tell_group(s->node->peers, f->giver, s->partition->group, FRAME_SNAPSHOT_GIVE,
                     span_of(head, snapshot_order_write(&order, head)));
}

bool givers_name(struct source *s, node_index to, qr_time now)
{
    struct follower *f = &s->follower[to];
    bool reads_here = f->giver == NODE_NONE && f->read != 0;
    if (reads_here || !replica_has_views(s->partition->replica) ||
        peers_wire_version(s->node->peers, to) < WIRE_VERSION_GIVERS) {
        return false;
    }
    struct outlook o;
    replica_outlook(s->partition->replica, &o);
    if (f->giver != NODE_NONE && !has_time(s, f, now)) {
        pass_over(s, to);
    }
    if (f->giver == NODE_NONE) {
        f->giver = choose(s, &o, to);
        s->served |= node_bit(to);
        f->named = now;
        s->figures.orders += f->giver != NODE_NONE;
    }
    if (f->giver != NODE_NONE && f->read == 0) {
        order(s, to, &o);
    }
    return f->giver != NODE_NONE;
}

void source_on_progress(struct source *s, node_index from, const struct snapshot_progress *p)
{
    struct outlook o;
    qr_time now = io_now(s->node->io);
    struct follower *f = &s->follower[from];
    node_index giver = node_index_of(s->node, p->giver);
    replica_outlook(s->partition->replica, &o);
    if (o.role != ROLE_LEADER || giver == NODE_NONE || giver == o.leader || giver == from) {
        return;
    }
    bool other = f->giver != giver || f->slot != p->slot;
    s->served |= node_bit(from);
    if (other && f->read != 0 && f->giver == NODE_NONE) {
        return; /* said before it began to read here */
    }
    if (other) {
        f->giver = giver;
        f->slot = p->slot;
        f->named = f->began = now;
        f->began_at = p->done;
    }
    if (other || p->done > f->sent || p->done == p->total) {
        f->read = now;
    }
    f->sent = p->done;
    f->total = p->total;
    f->match = 0;
    s->wanting &= (uint16_t)~node_bit(from);
}

/* --- How far they are ------------------------------------------------------------------------- */

static qr_slot slot_of(const struct source *s, const struct follower *f)
{
    return f->giver != NODE_NONE ? f->slot : s->header.slot;
}

/* It repairs itself and has all of the file, a large one for long enough to have arrived; little
 * came since: another group can have its place. What was lost on its way it asks for again. So can
 * it where the leader feeds who has got it. */
static bool has_all(const struct source *s, const struct follower *f, qr_slot last, qr_time now)
{
    bool arrived = s->header.bytes <= SNAPSHOT_WINDOW_BYTES || now - f->all_sent >= ARRIVAL_TIME;
    bool whole = s->file != NULL && f->next == s->header.bytes && arrived;
    return whole && (f->ordered || (f->repairs && last <= s->header.slot + CAUGHT_UP));
}

/* One that has installed the snapshot and follows behind it: where it stands. */
static void watch_member(struct source *s, const struct outlook *o, node_index i, qr_time now)
{
    struct follower *f = &s->follower[i];
    bool leads = o->role == ROLE_LEADER;
    /* The log of one in quarantine has all; it is the state that has to come. */
    bool follows = leads && !f->repairs && !f->ordered && !s->node->health.told[i].quarantined;
    qr_slot match = follows ? o->member[i].match : 0;
    if (match >= slot_of(s, f) && match > f->match) {
        f->match = match;
        f->read = now;
    }
    bool done = f->match > 0 && f->match + CAUGHT_UP >= o->last;
    bool over = f->giver != NODE_NONE ? !leads : has_all(s, f, o->last, now);
    if (done || over || now - f->read >= PIN_TIME) {
        f->read = 0;
        f->match = 0;
        givers_forget(f);
    }
}

void givers_watch(struct source *s, qr_time now)
{
    struct outlook outlook;
    bool looked = false;
    for (uint32_t rest = s->served | s->wanting; rest != 0; rest &= rest - 1) {
        node_index i = set_first(rest);
        struct follower *f = &s->follower[i];
        if (f->ordered && (s->wanting & node_bit(i)) != 0 && now - f->wanted >= ORDER_TIME) {
            s->wanting &= (uint16_t)~node_bit(i);
        }
        if (f->read == 0 && f->giver != NODE_NONE && now - f->named >= ORDER_TIME) {
            givers_forget(f);
        }
        if (f->read == 0) {
            if (f->giver == NODE_NONE) {
                s->served &= (uint16_t)~node_bit(i);
            }
            continue;
        }
        if (!looked) {
            replica_outlook(s->partition->replica, &outlook);
            looked = true;
        }
        watch_member(s, &outlook, i, now);
    }
}

qr_slot source_pin(const struct source *s)
{
    qr_slot pin = 0;
    for (node_index i = 0; s != NULL && i < MEMBERS_MAX; i++) {
        const struct follower *f = &s->follower[i];
        bool given = f->giver != NODE_NONE;
        if ((f->read != 0 && s->file != NULL) || given) {
            qr_slot needs = given && f->read == 0 ? f->least : max_u64(slot_of(s, f), f->match);
            pin = pin == 0 ? needs : min_u64(pin, needs);
        }
    }
    return pin;
}

struct source_progress source_progress_of(const struct source *s, node_index member)
{
    const struct follower *f = &s->follower[member];
    struct source_progress p = { 0 };
    bool given = f->giver != NODE_NONE;
    p.active = (s->file != NULL || given) && f->began != 0 && f->read != 0 && f->match == 0;
    if (p.active) {
        qr_time took = io_now(s->node->io) - f->began;
        p.giver = given ? s->node->known[f->giver].id : 0;
        p.sent = f->sent;
        p.total = given ? f->total : s->header.bytes;
        p.bytes_per_second = took > 0 && f->sent > f->began_at
                                 ? (f->sent - f->began_at) * (uint64_t)QR_SECOND / (uint64_t)took
                                 : 0;
    }
    return p;
}
