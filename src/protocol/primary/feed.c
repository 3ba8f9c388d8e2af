/* Members that feed others: what the primary would send comes from one that has it already.
 *
 *   primary P of term t          feeder B                       member F
 *     FEED {F}  ---------------->
 *     APPEND, entries  --------->
 *                                 RELAY, the same entries  ---->
 *                                 <----  APPEND_ACK, APPEND_REJECT
 *     <--------------------------------  APPEND_ACK, where the rule waits for F
 *     HEARTBEAT, APPEND without entries, and their answers  <---->
 *
 * R1 What comes by a feeder is what the primary would send. A feeder sends no more than what it has
 *    matched in the term that it says: up to there its log equals that primary's. F takes it only
 *    while it follows the primary of that very term, where it stands on an entry that it has too;
 *    and a slot and a term name one entry. So all of append.c holds. The commit index is that of a
 *    moment before; the floor, and who is informed, only the primary tells.
 * R2 The rule does not change: F's own answers to the primary alone move what the primary knows of
 *    F. To its feeder F answers for the window, before anything is durable.
 * R3 The primary watches: what F lacks it finds out by APPENDs without entries. When F does not
 *    come on for an election time-out, or B is lost or may not feed any more, it feeds F itself
 *    from where F stands; after the former for a while, whatever others could do.
 * R4 Who feeds does so as long as it is told to, which is said with each heartbeat: it ends with
 *    the term, when its log begins anew, or an election time-out later. Whom it cannot help it
 *    forgets (R3 does the rest).
 * R5 Who may feed whom comes from outside (ADMIN_ZONES). The primary feeds one member of each other
 *    zone itself: one whose copy counts, that has kept up. It feeds those that need a snapshot, and
 *    to whom it hands over. Nobody who is fed by another one feeds. */
#include "protocol/primary/state.h"

#define ALONE_TIMES 10 /* election time-outs in which nobody else feeds who did not come on */

static uint32_t zone_of(const struct primary *p, node_index i)
{
    return (uint32_t)(p->zones >> (4 * i)) & 15;
}

void primary_on_zones(struct primary *p, uint64_t zones)
{
    p->zones = zones;
}

/* --- The primary ------------------------------------------------------------------------------ */

void primary_feed_itself(struct primary *p, struct effects *out, node_index to)
{
    if ((p->fed & node_bit(to)) != 0) {
        effects_trace(out, POINT_FEEDS_ITSELF, to, p->peer[to].got, 0);
        p->fed &= (uint16_t)~node_bit(to);
        p->peer[to].feeder = NODE_NONE;
    }
    primary_probe(p, to);
}

void primary_feeder_lost(struct primary *p, struct effects *out, node_index feeder)
{
    for (uint32_t rest = p->fed; rest != 0; rest &= rest - 1) {
        node_index i = set_first(rest);
        if (p->peer[i].feeder == feeder) {
            primary_feed_itself(p, out, i);
            primary_replicate(p, out, i);
        }
    }
}

static void feed_by(struct primary *p, struct effects *out, node_index to, node_index feeder)
{
    struct peer *peer = &p->peer[to];
    effects_trace(out, POINT_FED_BY, feeder, to, peer->got);
    p->fed |= node_bit(to);
    peer->feeder = feeder;
    peer->fed_got = peer->got;
    peer->fed_at = p->now;
    primary_probe(p, to); /* what is on its way may be lost, and is not sent again (R3) */
}

static bool heard_lately(const struct primary *p, node_index i)
{
    return p->peer[i].heard != 0 && p->now < p->peer[i].heard + p->limits.election;
}

/* Whether that member may feed others, as far as that goes without looking at them. */
static bool is_fit(const struct primary *p, node_index i)
{
    const struct peer *peer = &p->peer[i];
    bool counts = (p->view.members & p->feed & ~p->fed & node_bit(i)) != 0 && !peer->forgetful;
    return counts && peer->mode == PEER_REPLICATE && heard_lately(p, i);
}

static bool feeds_somebody(const struct primary *p, node_index i)
{
    for (uint32_t rest = p->fed; rest != 0; rest &= rest - 1) {
        if (p->peer[set_first(rest)].feeder == i) {
            return true;
        }
    }
    return false;
}

/* One that feeds already, or else the first that is near the end of the log. */
static node_index feeder_in_zone(const struct primary *p, node_index to)
{
    node_index best = NODE_NONE;
    for (uint32_t rest = p->feed; rest != 0; rest &= rest - 1) {
        node_index i = set_first(rest);
        if (i == to || zone_of(p, i) != zone_of(p, to) || !is_fit(p, i)) {
            continue;
        }
        if (feeds_somebody(p, i)) {
            return i;
        }
        bool kept_up = p->trail.last_slot - p->peer[i].got <= primary_window(p);
        best = best == NODE_NONE && kept_up && p->peer[i].got >= p->peer[to].got ? i : best;
    }
    return best;
}

/* R5; NODE_NONE: the primary itself. */
static node_index feeder_of(const struct primary *p, node_index to)
{
    const struct peer *peer = &p->peer[to];
    uint32_t zone = zone_of(p, to);
    bool own = zone == 0 || zone == zone_of(p, p->me) || to == p->transfer_to;
    bool able = peer->mode != PEER_SNAPSHOT && peer->life != 0 && heard_lately(p, to);
    if (own || !able || p->now < peer->alone_till || feeds_somebody(p, to)) {
        return NODE_NONE;
    }
    bool goes_on =
        (p->fed & node_bit(to)) != 0 && is_fit(p, peer->feeder) && zone_of(p, peer->feeder) == zone;
    return goes_on ? peer->feeder : feeder_in_zone(p, to);
}

/* R3 */
static void watch(struct primary *p, struct effects *out, node_index to)
{
    struct peer *peer = &p->peer[to];
    if (peer->got > peer->fed_got || peer->got == p->trail.last_slot) {
        peer->fed_got = peer->got;
        peer->fed_at = p->now;
    } else if (p->now >= peer->fed_at + p->limits.election) {
        peer->alone_till = p->now + ALONE_TIMES * p->limits.election;
        primary_feed_itself(p, out, to);
    }
}

static void tell_feeders(struct primary *p, struct effects *out)
{
    uint16_t members[MEMBERS_MAX] = { 0 };
    for (uint32_t rest = p->fed; rest != 0; rest &= rest - 1) {
        node_index i = set_first(rest);
        members[p->peer[i].feeder] |= node_bit(i);
    }
    qr_ticket begun = journal_pending(&p->journal, p->state_ticket);
    for (node_index i = 0; i < MEMBERS_MAX; i++) {
        if (members[i] != 0) {
            struct primary_feed *m = PRIMARY_SEND(out, i, FEED, feed, begun);
            m->term = p->term;
            m->members = members[i];
        }
    }
}

void primary_feed_plan(struct primary *p, struct effects *out)
{
    for (uint32_t rest = p->fed; rest != 0; rest &= rest - 1) {
        watch(p, out, set_first(rest));
    }
    for (uint32_t rest = p->zones != 0 ? p->feed : p->fed; rest != 0; rest &= rest - 1) {
        node_index i = set_first(rest);
        node_index feeder = feeder_of(p, i);
        if (feeder == p->peer[i].feeder) {
            continue;
        }
        if (feeder == NODE_NONE) {
            primary_feed_itself(p, out, i);
        } else {
            feed_by(p, out, i, feeder);
        }
    }
    if (p->fed != 0) {
        tell_feeders(p, out);
    }
}

/* --- The member that feeds ------------------------------------------------------------------ */

void primary_feed_no_more(struct primary *p, struct effects *out, node_index to, qr_slot lacks)
{
    qr_assert(p->phase != PHASE_PRIMARY);
    effects_trace(out, POINT_FEEDS_NO_MORE, to, lacks, 0);
    p->feed &= (uint16_t)~node_bit(to);
}

void primary_on_feed(struct primary *p, struct effects *out, node_index from,
                     const struct primary_feed *m)
{
    if (!primary_follow(p, out, from, m->term)) {
        return;
    }
    bool able = p->matched > 0 && p->matched >= p->trail.base_slot;
    uint16_t own = node_bit(p->me) | node_bit(from);
    uint16_t feed = able ? (uint16_t)(m->members & ((1u << MEMBERS_MAX) - 1) & ~own) : 0;
    if (feed != p->feed) {
        effects_trace(out, POINT_FEEDS, feed, 0, 0);
    }
    for (uint32_t rest = feed & ~p->feed; rest != 0; rest &= rest - 1) {
        p->peer[set_first(rest)] = (struct peer){ .feeder = NODE_NONE };
        primary_probe(p, set_first(rest));
    }
    p->feed = feed;
    p->feeds_till = p->now + p->limits.election;
    for (uint32_t rest = feed; rest != 0; rest &= rest - 1) {
        primary_remind(p, out, set_first(rest));
    }
}

void primary_relay(struct primary *p, struct effects *out)
{
    if (p->feed != 0 && p->now >= p->feeds_till) {
        p->feed = 0; /* R4 */
    }
    primary_replicate_all(p, out);
}
