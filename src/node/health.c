#include "node/health.h"

#include "node/alarm.h"
#include "node/node.h"
#include "node/peers.h"
#include "node/quarantine.h"
#include "node/replica.h"
#include "node/run.h"
#include "node/snapshot_source.h"

#define LOOK_INTERVAL (100 * QR_MILLISECOND)
#define TELL_INTERVAL (500 * QR_MILLISECOND)
#define TOLD_VALID (3 * QR_SECOND)      /* what was told longer ago says nothing */
#define SLOW_AFTER (2 * QR_SECOND)      /* a disk has to be slow for so long */
#define FIT_AFTER (60 * QR_SECOND)      /* L3 */
#define PAUSE_LEAST (2 * QR_SECOND)     /* L4 */
#define PAUSE_MOST (5 * 60 * QR_SECOND) /* L4 */
#define SOON (10 * 60 * QR_SECOND)      /* L5 */
#define LOSSES_MAX 6u                   /* L5: up to 64 times as long */
#define NEAR_ENTRIES 8192u /* a member so far behind keeps up: its entries are on the way */
#define OFF_LOOKS 4u /* in so many looks all partitions hear that the clock is off, or right */
#define OFF_BEATS 4  /* heartbeats that say so; less may come of a pause */
#define UNSKEWED_AFTER (5 * QR_SECOND)

void health_init(struct health *h, qr_time now)
{
    *h = (struct health){ .leader = NODE_NONE };
    h->next = now;
    h->next_tell = now;
    h->pause = PAUSE_LEAST;
}

static uint8_t own_priority(const struct node *node)
{
    qr_slot slot;
    const struct roster *roster = replica_roster(node->zero->replica, &slot);
    uint8_t stated = roster->node[replica_me(node->zero->replica)].priority;
    return stated != ROSTER_PRIORITY ? stated : (uint8_t)node->config.leader_priority;
}

static bool is_fit(const struct node *node, qr_time now)
{
    const struct health *h = &node->health;
    return h->slow_since == 0 && now >= h->fit_from && !node->zero->quarantined;
}

/* --- Telling -------------------------------------------------------------------------------- */

#define HEALTH_FIT 1u
#define HEALTH_QUARANTINED 2u
#define HEALTH_GIVES 4u
#define HEALTH_OFF 8u
#define HEALTH_BYTES 6u /* a later version may append */

void health_tell(struct node *node, node_index to)
{
    uint8_t head[HEALTH_BYTES];
    struct wire_writer w = wire_writer(head, sizeof head);
    unsigned flags = (is_fit(node, io_now(node->io)) ? HEALTH_FIT : 0) |
                     (node->zero->quarantined ? HEALTH_QUARANTINED : 0) |
                     (source_pin(node->zero->source) != 0 ? HEALTH_GIVES : 0) |
                     (node->health.off ? HEALTH_OFF : 0);
    wire_put_u32(&w, node->health.sync_usec);
    wire_put_u8(&w, own_priority(node));
    wire_put_u8(&w, (uint8_t)flags);
    qr_assert(!w.bad && w.n == sizeof head);
    peers_tell(node->peers, to, FRAME_HEALTH, span_of(head, w.n));
}

bool health_receive(struct node *node, node_index from, struct span head)
{
    struct wire_reader r = wire_reader(head);
    struct member_health told = { .heard = io_now(node->io) };
    told.sync_usec = wire_get_u32(&r);
    told.priority = wire_get_u8(&r);
    uint8_t flags = wire_get_u8(&r);
    told.fit = (flags & HEALTH_FIT) != 0;
    told.quarantined = (flags & HEALTH_QUARANTINED) != 0;
    told.gives = (flags & HEALTH_GIVES) != 0;
    told.off = (flags & HEALTH_OFF) != 0;
    if (r.bad || from >= MEMBERS_MAX) {
        return false;
    }
    node->health.told[from] = told;
    return true;
}

void health_peer(struct node *node, node_index peer, bool up)
{
    struct health *h = &node->health;
    h->told[peer] = (struct member_health){ 0 };
    quarantine_peer(node->zero, peer);
    h->watch[peer].keeps_up_since = 0;
    if (up) {
        health_tell(node, peer);
    }
}

uint16_t health_able(const struct node *node)
{
    const struct health *h = &node->health;
    uint16_t able = contact_alive(node);
    for (node_index i = 0; i < MEMBERS_MAX; i++) {
        bool off = i == identity_me(&node->identity) ? h->off : h->told[i].off;
        able = (uint16_t)(off ? able & ~node_bit(i) : able);
    }
    return able;
}

bool health_brings_up(const struct node *node)
{
    bool gives = source_pin(node->zero->source) != 0;
    qr_time now = io_now(node->io);
    for (node_index i = 0; i < MEMBERS_MAX && !gives; i++) {
        const struct member_health *t = &node->health.told[i];
        gives = t->gives && t->heard != 0 && now - t->heard <= TOLD_VALID;
    }
    return gives;
}

/* --- The own disk and clock ----------------------------------------------------------------- */

/* The syncs since the last look, or the one that does not end. */
static void measure_syncs(struct node *node)
{
    struct health *h = &node->health;
    const struct histogram *syncs = &log_figures(node->log)->sync_usec;
    bool reset = syncs->count < h->syncs_seen;
    uint64_t count = syncs->count - (reset ? 0 : h->syncs_seen);
    uint64_t usec = syncs->sum - (reset ? 0 : h->usec_seen);
    h->syncs_seen = syncs->count;
    h->usec_seen = syncs->sum;
    uint64_t waits = (uint64_t)log_sync_waits(node->log);
    if (count == 0 && waits <= h->sync_usec) {
        return; /* nothing is known of it now */
    }
    uint64_t now = max_u64(count > 0 ? usec / count : 0, waits);
    h->sync_usec = (uint32_t)min_u64((3 * (uint64_t)h->sync_usec + now) / 4, UINT32_MAX);
}

static void watch_disk(struct node *node, qr_time now)
{
    struct health *h = &node->health;
    measure_syncs(node);
    uint64_t bound = (uint64_t)(node->config.slow_disk_ms * QR_MILLISECOND);
    bool slow = bound > 0 && h->sync_usec > bound;
    if (slow && h->slow_since == 0) {
        h->slow_since = now;
    } else if (!slow && h->slow_since != 0) {
        if (now - h->slow_since >= SLOW_AFTER) {
            h->fit_from = now + FIT_AFTER; /* L3 */
        }
        h->slow_since = 0;
        alarm_clear(node, ALARM_SLOWDISK);
    }
    if (slow && now - h->slow_since >= SLOW_AFTER) {
        alarm_raise(node, ALARM_SLOWDISK,
                    "writes take %u ms to become durable, more than slow-disk-ms %u",
                    h->sync_usec / 1000, node->config.slow_disk_ms);
    }
}

/* All of them within a few looks, far sooner than they forget it (skew.c: W2). */
static void tell_partitions(struct node *node)
{
    struct health *h = &node->health;
    uint32_t count = node->partitions.count;
    h->tells -= h->tells > 0;
    h->untold = h->untold > 0 && h->untold <= count ? h->untold : count;
    for (uint32_t n = count / OFF_LOOKS + 1; n > 0 && h->untold > 0; n--) {
        struct partition *p = partitions_at(&node->partitions, --h->untold);
        if (p->group != 0 && p->replica != NULL) {
            replica_admin(p->replica, ADMIN_SKEWED, h->off);
        }
    }
}

/* A node that stood still finds old heartbeats, and fresh ones at once behind them. */
static void judge_clock(struct node *node, bool skewed, qr_time now)
{
    struct health *h = &node->health;
    qr_time patience = OFF_BEATS * (qr_time)node->config.heartbeat_ms * QR_MILLISECOND;
    bool was_off = h->off;
    h->off_since = !skewed ? 0 : h->off_since != 0 ? h->off_since : now;
    h->off = h->off_since != 0 && now - h->off_since >= patience;
    if (h->off != was_off) {
        h->next_tell = now;
        h->untold = 0;
    }
    if (h->off || was_off) {
        h->tells = OFF_LOOKS;
    }
    if (h->tells > 0) {
        tell_partitions(node);
    }
}

static void watch_clock(struct node *node, const struct outlook *o, qr_time now)
{
    struct health *h = &node->health;
    judge_clock(node, o->skewed, now);
    if (o->skewed) {
        h->skewed = true;
        h->unskewed_since = now;
        alarm_raise(node, ALARM_CLOCKSKEW,
                    "the wall clock differs by more than half a second from those of the others: "
                    "this node does not lead");
    } else if (h->skewed && now - h->unskewed_since >= UNSKEWED_AFTER) {
        h->skewed = false;
        alarm_clear(node, ALARM_CLOCKSKEW);
    }
}

/* --- The others ----------------------------------------------------------------------------- */

static uint32_t id_of(const struct node *node, node_index i)
{
    qr_slot slot;
    return replica_roster(node->zero->replica, &slot)->node[i].id;
}

/* Whether it holds, but for what is on its way, all that this leader has. */
static bool keeps_up(const struct node *node, const struct outlook *o, node_index i, qr_time now)
{
    const struct member_outlook *m = &o->member[i];
    qr_time silence = 4 * (qr_time)node->config.heartbeat_ms * QR_MILLISECOND;
    return peers_connected(node->peers, i) && m->heard != 0 && now - m->heard <= silence &&
           !m->needs_snapshot && !m->forgetful && m->match + NEAR_ENTRIES >= o->last;
}

/* How long a member has not kept up; 0: it does, or this node does not lead. */
static qr_time behind_for(const struct node *node, node_index member, qr_time now)
{
    const struct health *h = &node->health;
    return h->leader == replica_me(node->zero->replica) ? now - h->watch[member].caught_at : 0;
}

/* Whoever joins is expected to be behind for a while. */
static void watch_lag(struct node *node, node_index i, bool joins, qr_time now)
{
    qr_time most = (qr_time)node->config.lag_alarm_ms * QR_MILLISECOND;
    qr_time lag = behind_for(node, i, now);
    const struct lagging_worst *elsewhere = &node->lagging.worst[i]; /* other partitions */
    bool well = most == 0 || joins || lag < LOOK_INTERVAL * 2;
    if (well && elsewhere->raise) {
        alarm_raise_about(node, ALARM_LAG, id_of(node, i), "%s", elsewhere->text);
    } else if (well && !elsewhere->keeps) {
        alarm_clear_about(node, ALARM_LAG, id_of(node, i));
    } else if (!well && lag >= most) {
        alarm_raise_about(node, ALARM_LAG, id_of(node, i), "it %s for %lld s",
                          peers_connected(node->peers, i) ? "has not kept up with the log"
                                                          : "has not been connected to the leader",
                          (long long)(lag / QR_SECOND));
    }
}

static void watch_members(struct node *node, const struct outlook *o, qr_time now)
{
    struct health *h = &node->health;
    uint32_t all = membership_all(&o->membership);
    for (node_index i = 0; i < MEMBERS_MAX; i++) {
        struct member_watch *w = &h->watch[i];
        if (i == replica_me(node->zero->replica) || (all & 1u << i) == 0) {
            w->keeps_up_since = 0;
            w->caught_at = now;
            continue;
        }
        if (!keeps_up(node, o, i, now)) {
            w->keeps_up_since = 0;
        } else if (w->keeps_up_since == 0) {
            w->keeps_up_since = now;
        }
        bool fresh = o->member[i].heard != 0 && now - o->member[i].heard < QR_SECOND;
        if (fresh && o->member[i].match >= h->commit_before) {
            w->caught_at = now;
        }
        watch_lag(node, i, (o->membership.learners & 1u << i) != 0, now);
    }
    h->commit_before = o->commit;
}

/* --- Who leads ------------------------------------------------------------------------------ */

/* Another node leads, or none: who has lost leadership soon after it got it (L5)? */
void health_leader(struct node *node, const struct outlook *o, qr_time now)
{
    struct health *h = &node->health;
    if (o->leader == h->leader) {
        return;
    }
    if (h->leader != NODE_NONE && h->leader != replica_me(node->zero->replica) &&
        !peers_connected(node->peers, h->leader) && now - h->leader_since < SOON) {
        struct member_watch *w = &h->watch[h->leader];
        w->losses = (uint8_t)(w->losses + (w->losses < LOSSES_MAX));
        w->lost_at = now;
    }
    bool led = h->leader == replica_me(node->zero->replica);
    h->leader = o->leader;
    h->leader_since = now;
    if (h->leader == replica_me(node->zero->replica)) {
        for (node_index i = 0; i < MEMBERS_MAX; i++) {
            h->watch[i].caught_at = now;
            h->watch[i].keeps_up_since = 0;
        }
        h->commit_before = o->commit;
    } else if (led) {
        alarm_clear_all(node, ALARM_LAG);
    }
}

static bool is_eligible(const struct node *node, const struct outlook *o, node_index i)
{
    const struct member_outlook *m = &o->member[i];
    return i != replica_me(node->zero->replica) && (o->membership.voters & 1u << i) != 0 &&
           peers_connected(node->peers, i) && m->heard != 0 && !m->forgetful &&
           !node->health.told[i].quarantined;
}

/* Higher is better; nodes of an older version have told nothing. */
static uint64_t rank(const struct node *node, const struct outlook *o, node_index i)
{
    const struct member_health *t = &node->health.told[i];
    uint64_t fit = t->heard == 0 || t->fit;
    uint64_t priority = t->heard == 0 ? ROSTER_PRIORITY : t->priority;
    uint64_t behind = o->last - min_u64(o->member[i].match, o->last);
    uint64_t right = o->member[i].skewed ? 0 : 1; /* else it would hand back */
    uint64_t near = ((uint64_t)1 << 39) - min_u64(behind, (uint64_t)1 << 38);
    return right << 56 | fit << 48 | priority << 40 | near;
}

node_index health_successor(const struct node *node, const struct outlook *o)
{
    node_index best = NODE_NONE;
    for (node_index i = 0; i < o->members; i++) {
        if (is_eligible(node, o, i) &&
            (best == NODE_NONE || rank(node, o, i) > rank(node, o, best))) {
            best = i;
        }
    }
    return best;
}

/* Whether it has kept up, and told that it is fit, for so long. */
static bool is_proven(const struct node *node, const struct outlook *o, node_index i, qr_time span,
                      qr_time now)
{
    const struct member_health *t = &node->health.told[i];
    const struct member_watch *w = &node->health.watch[i];
    return is_eligible(node, o, i) && !o->member[i].skewed && t->heard != 0 &&
           now - t->heard <= TOLD_VALID && t->fit && w->keeps_up_since != 0 &&
           now - w->keeps_up_since >= span;
}

/* L1: the fit voter of the highest priority above the own, if any has kept up for long enough. */
static node_index preferred(const struct node *node, const struct outlook *o, qr_time now)
{
    const struct health *h = &node->health;
    node_index best = NODE_NONE;
    uint8_t most = own_priority(node);
    for (node_index i = 0; i < o->members; i++) {
        const struct member_watch *w = &h->watch[i];
        qr_time span = (qr_time)node->config.leader_priority_delay_ms * QR_MILLISECOND;
        span <<= now - w->lost_at < SOON ? w->losses : 0; /* L5 */
        if (h->told[i].priority > most && is_proven(node, o, i, span, now)) {
            best = i;
            most = h->told[i].priority;
        }
    }
    return best;
}

/* L2: the voter whose disk is the best, if it is clearly better. */
static node_index faster(const struct node *node, const struct outlook *o, qr_time now)
{
    const struct health *h = &node->health;
    uint32_t least = (uint32_t)min_u64((uint64_t)node->config.slow_disk_ms * 1000 / 2, UINT32_MAX);
    node_index best = NODE_NONE;
    for (node_index i = 0; i < o->members; i++) {
        if (is_proven(node, o, i, SLOW_AFTER, now) && h->told[i].sync_usec < least) {
            best = i;
            least = h->told[i].sync_usec;
        }
    }
    return best;
}

static void hand_over(struct node *node, node_index to, const char *why, qr_time now)
{
    struct health *h = &node->health;
    node_log(node, NODE_LOG_NOTICE, "Hands leadership over to node %u: %s", id_of(node, to), why);
    h->not_before = now + h->pause; /* L4 */
    h->pause = h->pause * 2 < PAUSE_MOST ? h->pause * 2 : PAUSE_MOST;
    replica_admin(node->zero->replica, ADMIN_TRANSFER, to);
}

static void consider_handing_over(struct node *node, const struct outlook *o, qr_time now)
{
    struct health *h = &node->health;
    if (o->transfer_to != NODE_NONE || now < h->not_before || node->stopping || !o->can_serve) {
        return;
    }
    bool slow = h->slow_since != 0 && now - h->slow_since >= SLOW_AFTER;
    node_index to = slow ? faster(node, o, now) : NODE_NONE;
    if (to != NODE_NONE) {
        h->handed_over_slow++;
        hand_over(node, to, "its disk is faster", now);
        return;
    }
    to = preferred(node, o, now);
    if (to != NODE_NONE) {
        h->handed_over_priority++;
        hand_over(node, to, "it has a higher priority", now);
    }
}

/* --- What a member has forgotten ------------------------------------------------------------- */

/* A disk that has lost writes in many partitions shows it in one after the other. */
static void end_forgot(struct node *node)
{
    for (node_index i = 0; i < MEMBERS_MAX; i++) {
        uint16_t *looks = &node->health.forgot[i];
        if (*looks > 0 && --*looks == 0) {
            alarm_clear_about(node, ALARM_FORGOT, id_of(node, i));
        }
    }
}

/* --- The turn -------------------------------------------------------------------------------- */

qr_time health_turn(struct node *node, qr_time now)
{
    struct health *h = &node->health;
    if (now < h->next || node->zero->loading) {
        return h->next < now ? now + LOOK_INTERVAL : h->next;
    }
    h->next = now + LOOK_INTERVAL;
    struct outlook o;
    replica_outlook(node->zero->replica, &o);
    watch_disk(node, now);
    watch_clock(node, &o, now);
    end_forgot(node);
    if (o.role == ROLE_LEADER) {
        watch_members(node, &o, now);
        consider_handing_over(node, &o, now);
    } else {
        h->pause = PAUSE_LEAST;
        h->not_before = 0;
    }
    bool gives = source_pin(node->zero->source) != 0;
    if (now >= h->next_tell || gives != h->gives) {
        h->next_tell = now + TELL_INTERVAL;
        h->gives = gives;
        health_tell(node, NODE_NONE);
    }
    return h->next;
}
