#include "node/lagging.h"

#include "base/alloc.h"
#include "base/linked.h"
#include "cluster/map.h"
#include "node/alarm.h"
#include "node/node.h"
#include "node/peers.h"
#include "node/replica_internal.h"
#include "node/run.h"
#include "node/snapshot_source.h"
#include "protocol/quorum.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ONLINE_LAG 1000u /* entries; a follower that lacks more is catching up */
#define LOOKS 512u       /* partitions, of those that have somebody behind, in one look */

struct lagging {
    struct partition *partition;
    struct lagging *next, *previous;
    qr_term term;
    uint64_t bytes;     /* of the log, since this began */
    uint64_t limit;     /* MAXLAG; 0: none */
    uint8_t unit;       /* enum primary_maxlag */
    uint8_t policy;     /* enum primary_lagging */
    uint16_t dropped;   /* B4 */
    uint16_t returning; /* fed again, and not yet within MAXLAG */
    struct {
        qr_slot match;
        uint64_t sent;  /* of a checkpoint */
        qr_time moved;  /* one of them did, or nothing was lacked */
        qr_time timely; /* it answers in time since then; 0: it does not */
    } member[MEMBERS_MAX];
    struct lag_marks marks;
};

/* --- Those that have somebody behind (B1) ---------------------------------------------------- */

static uint16_t followers(const struct partition *p, const struct outlook *o)
{
    return (uint16_t)(membership_all(&o->membership) & ~node_bit(replica_me(p->replica)));
}

/* All of them have the log up to there. */
static qr_slot shared(const struct partition *p, const struct outlook *o)
{
    qr_slot least = o->last;
    for (uint32_t rest = followers(p, o); rest != 0; rest &= rest - 1) {
        node_index i = set_first(rest);
        least = min_u64(least, i < o->members ? o->member[i].match : 0);
    }
    return least;
}

/* The rule may have been altered. */
static void learn_limit(struct lagging *l)
{
    const struct map_keyspace *k =
        map_keyspace_of_group(l->partition->node->map, l->partition->group);
    bool limited = k != NULL && k->strategy == STRATEGY_PRIMARY;
    l->limit = limited ? k->primary.maxlag : 0;
    l->unit = limited ? k->primary.maxlag_unit : (uint8_t)MAXLAG_TIME;
    l->policy = limited ? k->primary.lagging : (uint8_t)PRIMARY_REJECT;
}

static struct lagging *begin(struct partition *p, const struct outlook *o, qr_slot before,
                             uint64_t bytes)
{
    struct node *node = p->node;
    struct lagging_list *list = &node->lagging;
    struct lagging *l = qr_zalloc(sizeof *l);
    qr_slot common = max_u64(shared(p, o), o->first - 1);
    l->partition = p;
    l->term = o->term;
    for (node_index i = 0; i < MEMBERS_MAX; i++) {
        l->member[i].moved = node->clock;
    }
    learn_limit(l);
    /* What is older than this turn, by the log as a whole: about so much. */
    uint64_t old = common < before ? log_bytes_from(node->log, p->group, common + 1) : 0;
    l->bytes = old > bytes ? old - bytes : 0;
    lag_note(&l->marks, &(struct lag_mark){ node->clock - 2 * LAG_GRAIN, common, 0 });
    lag_note(&l->marks, &(struct lag_mark){ node->clock - LAG_GRAIN, before, l->bytes });
    p->lagging = l;
    LINKED_APPEND(list->first, list->last, l, previous, next);
    list->count++;
    return l;
}

void lagging_forget(struct partition *p)
{
    struct lagging_list *list = &p->node->lagging;
    struct lagging *l = p->lagging;
    if (l != NULL) {
        if (p->replica != NULL) {
            p->replica->stalled = false;
        }
        p->lagging = NULL;
        LINKED_REMOVE(list->first, list->last, l, previous, next);
        list->count--;
        free(l);
    }
}

/* --- One follower ----------------------------------------------------------------------------- */

/* It answers what the group is sent when idle, too: one heartbeat may be late. */
static bool is_timely(const struct partition *p, const struct member_outlook *m)
{
    const struct node *node = p->node;
    qr_time beat = replica_pace(p->group) * (qr_time)node->config.heartbeat_ms * QR_MILLISECOND;
    return m->echoed != 0 && node->clock - m->echoed <= 2 * beat;
}

static bool is_brought_up(const struct partition *p, const struct member_outlook *m, node_index i)
{
    return m->needs_snapshot || (p->source != NULL && source_progress_of(p->source, i).active);
}

static bool is_beyond(const struct lagging *l, const struct lag *lag)
{
    uint64_t is = l->unit == MAXLAG_BYTES        ? lag->bytes
                  : l->unit == MAXLAG_OPERATIONS ? lag->ops
                                                 : (uint64_t)lag->age;
    return l->limit > 0 && is > l->limit;
}

static struct follower_sight follower_of(const struct partition *p, const struct outlook *o,
                                         node_index i)
{
    const struct node *node = p->node;
    const struct member_outlook *m = &o->member[i];
    const struct lagging *l = p->lagging;
    bool brought_up = is_brought_up(p, m, i);
    struct follower_sight f = { .match = m->match,
                                .known = m->heard != 0 && !brought_up,
                                .silence = m->heard != 0 ? node->clock - m->heard : -1 };
    if (f.known && l != NULL) { /* A1 */
        f.lag = lag_of(&l->marks, m->match, is_timely(p, m) ? m->echoed : node->clock);
    }
    f.state = !peers_connected(node->peers, i)                           ? FOLLOWER_AWAY
              : brought_up                                               ? FOLLOWER_BOOTSTRAP
              : m->forgetful || lagging_is_dropped(p, i)                 ? FOLLOWER_FENCED
              : l != NULL && p->replica->stalled && is_beyond(l, &f.lag) ? FOLLOWER_THROTTLED
              : f.lag.ops > ONLINE_LAG                                   ? FOLLOWER_CATCHUP
                                                                         : FOLLOWER_ONLINE;
    return f;
}

static void note(struct lagging *l, const struct outlook *o)
{
    lag_note(&l->marks, &(struct lag_mark){ l->partition->node->clock, o->last, l->bytes });
}

struct follower_sight lagging_of(struct partition *p, node_index member)
{
    struct outlook o;
    replica_outlook(p->replica, &o);
    if (p->lagging != NULL) {
        note(p->lagging, &o);
    }
    return follower_of(p, &o, member);
}

/* --- MAXLAG (B3, B4) -------------------------------------------------------------------------- */

bool lagging_is_dropped(const struct partition *p, node_index member)
{
    return p->lagging != NULL && (p->lagging->dropped & node_bit(member)) != 0;
}

static bool has_pace(const struct lagging *l, node_index i)
{
    const struct node *node = l->partition->node;
    return peers_connected(node->peers, i) && node->clock - l->member[i].moved < FEED_PATIENCE;
}

static bool should_stall(const struct lagging *l, const struct outlook *o)
{
    const struct partition *p = l->partition;
    uint32_t rest =
        l->limit > 0 && l->policy == PRIMARY_STALL ? o->membership.voters & followers(p, o) : 0;
    for (; rest != 0; rest &= rest - 1) {
        node_index i = set_first(rest);
        struct follower_sight f = follower_of(p, o, i);
        if (f.known && is_beyond(l, &f.lag) && has_pace(l, i)) {
            return true;
        }
    }
    return false;
}

static void judge_stall(struct lagging *l, const struct outlook *o)
{
    struct partition *p = l->partition;
    bool stalled = should_stall(l, o);
    if (stalled != p->replica->stalled) {
        p->replica->stalled = stalled;
        partition_wake(p); /* what waits may go */
        node_stir(p->node);
    }
}

bool lagging_refuses(const struct partition *p, qr_time since)
{
    return p->replica != NULL && p->replica->stalled && p->node->clock - since >= STALL_PATIENCE;
}

/* One whom it finds beyond MAXLAG is dropped; one that answers in time again is fed. */
static void judge_drop(struct lagging *l, node_index i, const struct follower_sight *f)
{
    uint16_t bit = node_bit(i);
    struct partition *p = l->partition;
    qr_time now = p->node->clock;
    bool applies = l->limit > 0 && l->policy == PRIMARY_DROP;
    bool beyond = f->known && is_beyond(l, &f->lag);
    bool stands_still = now - l->member[i].moved >= FEED_PATIENCE;
    l->returning = (uint16_t)(beyond && !stands_still ? l->returning : l->returning & ~bit);
    bool timely = l->member[i].timely != 0 && now - l->member[i].timely >= DROP_PAUSE;
    if ((l->dropped & bit) != 0 && (!applies || timely)) {
        l->dropped &= (uint16_t)~bit;
        l->returning |= bit;
        l->member[i].moved = now;
        node_log(p->node, NODE_LOG_NOTICE, "Node %u is fed again, partition of group %u",
                 p->node->known[i].id, p->group);
    } else if ((l->dropped & bit) == 0 && applies && beyond && (l->returning & bit) == 0) {
        l->dropped |= bit;
        node_log(p->node, NODE_LOG_WARNING,
                 "Node %u is behind by more than MAXLAG and gets no entries until it answers in "
                 "time, partition of group %u",
                 p->node->known[i].id, p->group);
    } else {
        return;
    }
    p->replica->views.changes = 0; /* those that feed others are told (views.c) */
    partition_wake(p);             /* and group 0 is (standing.c) */
}

/* --- This node follows (B6) ------------------------------------------------------------------- */

enum behind lagging_rejects(const struct partition *p)
{
    struct replica *r = p->replica;
    const struct map_keyspace *k = r->viewed ? map_keyspace_of_group(p->node->map, p->group) : NULL;
    bool rejects =
        k != NULL && k->strategy == STRATEGY_PRIMARY && primary_options_reject(&k->primary);
    if (!rejects || (replica_leads(r) && replica_holds_lease(r))) {
        return BEHIND_NOT;
    }
    struct proofs_limit limit = { k->primary.maxlag, k->primary.maxlag_unit == MAXLAG_OPERATIONS };
    enum behind behind = r->proofs == NULL
                             ? BEHIND_UNKNOWN
                             : proofs_behind(r->proofs, r->applied, p->node->clock, &limit);
    if (behind != BEHIND_NOT) {
        replica_ask_ahead(r);
    }
    bool vain = behind == BEHIND_UNKNOWN && !replica_may_ask(r);
    return vain ? BEHIND_TOO_FAR : behind;
}

/* --- Turns ------------------------------------------------------------------------------------ */

void lagging_turn(struct partition *p, qr_slot before, uint64_t bytes)
{
    const struct outlook *o = replica_seen(p->replica);
    struct lagging *l = p->lagging;
    if (o->role != ROLE_LEADER || (l != NULL && l->term != o->term)) {
        lagging_forget(p);
        l = NULL;
    }
    if (o->role != ROLE_LEADER || (l == NULL && shared(p, o) >= o->last)) {
        return;
    }
    l = l != NULL ? l : begin(p, o, before, bytes);
    l->bytes += bytes;
    note(l, o);
    if (l->marks.n > LAG_MARKS / 2) {
        (void)lag_forget(&l->marks, shared(p, o));
    }
    if (l->limit > 0 && l->policy == PRIMARY_STALL) {
        judge_stall(l, o);
    }
}

/* --- The alarm (B5) --------------------------------------------------------------------------- */

static const char *keyspace_name(const struct partition *p)
{
    const struct map_keyspace *k = map_keyspace_of_group(p->node->map, p->group);
    return k != NULL ? k->name : "?";
}

static void tell_worst(const struct lagging *l, node_index i, const struct follower_sight *f)
{
    struct node *node = l->partition->node;
    struct lagging_worst *w = &node->lagging.found[i];
    qr_time most = (qr_time)node->config.lag_alarm_ms * QR_MILLISECOND;
    qr_time still = node->clock - l->member[i].moved;
    bool beyond = f->known && is_beyond(l, &f->lag);
    bool stands_still = f->state != FOLLOWER_AWAY && still >= FEED_PATIENCE;
    bool raise = most > 0 && (f->lag.age >= most || beyond || stands_still);
    w->keeps = w->keeps || raise || (most > 0 && f->lag.age >= most / 4) || still >= QR_SECOND;
    if (!raise || (w->raise && w->age >= f->lag.age)) {
        return;
    }
    w->raise = true;
    w->age = f->lag.age;
    (void)snprintf(w->text, sizeof w->text,
                   stands_still ? "keyspace %s: connected, and its feed has not moved for %lld s"
                                : "keyspace %s: it lacks what was written in the last %lld s%s",
                   keyspace_name(l->partition),
                   (long long)((stands_still ? still : f->lag.age) / QR_SECOND),
                   beyond ? ", more than MAXLAG" : "");
}

static void watch(struct lagging *l, const struct outlook *o, node_index i)
{
    struct partition *p = l->partition;
    qr_time now = p->node->clock;
    const struct member_outlook *m = &o->member[i];
    struct follower_sight f = follower_of(p, o, i);
    uint64_t sent = p->source != NULL ? source_progress_of(p->source, i).sent : 0;
    bool moves = m->match > l->member[i].match || sent != l->member[i].sent || f.lag.ops == 0;
    bool wants = f.lag.ops > 0 || f.state == FOLLOWER_BOOTSTRAP;
    l->member[i].match = m->match;
    l->member[i].sent = sent;
    l->member[i].moved = moves || !wants ? now : l->member[i].moved;
    bool timely = is_timely(p, m);
    l->member[i].timely = !timely ? 0 : l->member[i].timely != 0 ? l->member[i].timely : now;
    judge_drop(l, i, &f);
    if (p->group != 0) {
        tell_worst(l, i, &f);
    }
}

/* False: nobody lacks anything any more. */
static bool look_at(struct lagging *l)
{
    struct partition *p = l->partition;
    struct outlook o;
    qr_assert(p->replica != NULL); /* partition_close_replica */
    replica_outlook(p->replica, &o);
    if (o.role != ROLE_LEADER || o.term != l->term) {
        return false;
    }
    note(l, &o);
    learn_limit(l);
    for (uint32_t rest = followers(p, &o); rest != 0; rest &= rest - 1) {
        watch(l, &o, set_first(rest));
    }
    judge_stall(l, &o);
    (void)lag_forget(&l->marks, shared(p, &o));
    return shared(p, &o) < o.last || l->dropped != 0;
}

/* Group 0's leader has more to say of them (health.c). */
static void raise_alarms(struct node *node)
{
    struct lagging_list *list = &node->lagging;
    memcpy(list->worst, list->found, sizeof list->worst);
    memset(list->found, 0, sizeof list->found);
    list->left = list->count;
    for (node_index i = 0; i < MEMBERS_MAX && !replica_leads(node->zero->replica); i++) {
        const struct lagging_worst *w = &list->worst[i];
        if (node->known[i].id != 0 && w->raise) {
            alarm_raise_about(node, ALARM_LAG, node->known[i].id, "%s", w->text);
        } else if (node->known[i].id != 0 && !w->keeps) {
            alarm_clear_about(node, ALARM_LAG, node->known[i].id);
        }
    }
}

void lagging_look(struct node *node, qr_time now)
{
    struct lagging_list *list = &node->lagging;
    if (now < list->next) {
        return;
    }
    list->next = now + LAGGING_INTERVAL;
    for (uint32_t i = 0; i < LOOKS && list->left > 0 && list->first != NULL; i++, list->left--) {
        struct lagging *l = list->first;
        LINKED_REMOVE(list->first, list->last, l, previous, next);
        LINKED_APPEND(list->first, list->last, l, previous, next);
        if (!look_at(l)) {
            lagging_forget(l->partition);
        }
    }
    if (list->left == 0 || list->first == NULL) {
        raise_alarms(node);
    }
}
