#include "node/standing.h"

#include "base/alloc.h"
#include "base/linked.h"
#include "node/council.h"
#include "node/lagging.h"
#include "node/node.h"
#include "node/peers.h"
#include "node/replica.h"
#include "protocol/quorum.h"

#include <stdlib.h>
#include <string.h>

#define FRAMES_PER_TURN 8u /* the others go with the next turn */

struct standing_news *standing_news_new(void)
{
    struct standing_news *news = qr_zalloc(sizeof *news);
    news->to = NODE_NONE;
    return news;
}

/* --- Who is to be told of -------------------------------------------------------------------- */

static void list(struct standing_news *news, struct told_standing *t)
{
    if (!t->listed) {
        t->listed = true;
        LINKED_APPEND(news->first, news->last, t, previous, next);
    }
}

static void unlist(struct standing_news *news, struct told_standing *t)
{
    if (t->listed) {
        t->listed = false;
        LINKED_REMOVE(news->first, news->last, t, previous, next);
    }
}

void standing_news_free(struct standing_news *news)
{
    while (news->first != NULL) {
        struct told_standing *t = news->first;
        unlist(news, t);
        if (t->partition == NULL) {
            free(t);
        }
    }
    free(news);
}

struct standing standing_of(uint32_t group, const struct outlook *o)
{
    bool leads = o->role == ROLE_LEADER;
    bool promised = o->stands || leads || o->barred || o->forgetful;
    bool knows = o->stands || (o->forgetful && o->leader == NODE_NONE); /* else it grows: T1 */
    return (struct standing){
        .group = group,
        .forgetful = o->forgetful,
        .barred = o->barred,
        .leads = leads,
        .closed = leads && o->closed,
        .to = leads && o->closed ? o->transfer_to : NODE_NONE,
        .promised = promised ? o->term : 0,
        .last_term = knows ? o->stood.last_term : 0,
        .last_slot = knows ? o->stood.last : 0,
        .settled = leads && o->settled ? o->term : 0,
    };
}

/* T2 */
static void look_who_has_caught_up(struct told_standing *t, const struct outlook *o)
{
    struct partition *p = t->partition;
    qr_time now = p->node->clock;
    if (o->role != ROLE_LEADER) {
        t->caught = 0;
        t->looked = 0;
        return;
    }
    if (t->looked == 0 || now >= t->looked + CAUGHT_TIME) {
        qr_slot all = t->looked == 0 ? o->last : t->last;
        t->caught = node_bit(replica_me(p->replica));
        for (node_index i = 0; i < o->members; i++) {
            const struct member_outlook *m = &o->member[i];
            bool dropped = lagging_is_dropped(p, i);
            bool has =
                !dropped && !m->forgetful && !m->needs_snapshot && m->heard != 0 && m->match >= all;
            t->caught = (uint16_t)(t->caught | (has ? node_bit(i) : 0));
        }
        t->looked = now;
        t->last = o->last;
    }
    uint16_t members = (uint16_t)(o->membership.voters | o->membership.learners);
    if ((members & ~t->caught) != 0) {
        partition_wake_at(p, t->looked + CAUGHT_TIME);
    }
}

static struct standing now_of(struct told_standing *t)
{
    const struct outlook *o = replica_seen(t->partition->replica);
    struct standing now = standing_of(t->partition->group, o);
    look_who_has_caught_up(t, o);
    now.caught = t->caught;
    return now;
}

static bool is_same(const struct standing *a, const struct standing *b)
{
    return a->gone == b->gone && a->forgetful == b->forgetful && a->barred == b->barred &&
           a->leads == b->leads && a->closed == b->closed && a->to == b->to &&
           a->caught == b->caught && a->promised == b->promised && a->last_term == b->last_term &&
           a->last_slot == b->last_slot && a->settled == b->settled;
}

void standing_look(struct partition *p)
{
    if (p->replica == NULL || !replica_has_views(p->replica)) {
        return;
    }
    if (p->standing == NULL) {
        p->standing = qr_zalloc(sizeof *p->standing);
        p->standing->partition = p;
    }
    struct told_standing *t = p->standing;
    struct standing now = now_of(t);
    if (!t->was_told || !is_same(&now, &t->told)) {
        list(p->node->standings, t);
        node_stir(p->node);
    }
}

void standing_forget(struct partition *p)
{
    struct told_standing *t = p->standing;
    if (t == NULL) {
        return;
    }
    p->standing = NULL;
    t->partition = NULL;
    if (t->was_told) {
        t->told = (struct standing){ .group = t->told.group, .gone = true, .to = NODE_NONE };
        list(p->node->standings, t);
    } else {
        unlist(p->node->standings, t);
        free(t);
    }
}

/* --- Telling --------------------------------------------------------------------------------- */

void standing_anew(struct node *node, node_index leader)
{
    struct standing_news *news = node->standings;
    news->to = news->to == leader ? NODE_NONE : news->to;
}

/* T3 */
static void begin_anew(struct node *node, node_index leader, qr_term term)
{
    struct standing_news *news = node->standings;
    news->to = leader;
    news->term = term;
    news->frame.whole = true;
    struct told_standing *next;
    for (struct told_standing *t = news->first; t != NULL; t = next) {
        next = t->next;
        if (t->partition == NULL) {
            unlist(news, t);
            free(t);
        }
    }
    for (uint32_t i = 0; i < node->partitions.count; i++) {
        struct partition *p = partitions_at(&node->partitions, i);
        if (p->standing != NULL) {
            p->standing->was_told = false;
            list(news, p->standing);
        }
    }
}

static void compose(struct node *node)
{
    struct standing_news *news = node->standings;
    struct standings *frame = &news->frame;
    frame->life = node->contact.leases.life;
    frame->count = 0;
    while (news->first != NULL && frame->count < STANDINGS_MAX) {
        struct told_standing *t = news->first;
        unlist(news, t);
        if (t->partition == NULL) {
            frame->v[frame->count++] = t->told;
            free(t);
        } else if (t->partition->replica != NULL) {
            t->told = now_of(t);
            t->was_told = true;
            frame->v[frame->count++] = t->told;
        }
    }
}

void standing_turn(struct node *node, qr_time now)
{
    struct standing_news *news = node->standings;
    const struct outlook *zero = replica_seen(node->zero->replica);
    node_index me = replica_me(node->zero->replica);
    (void)now;
    if (zero->leader == NODE_NONE ||
        (zero->leader != me && !peers_hears(node->peers, zero->leader))) {
        return;
    }
    if (news->to != zero->leader || news->term != zero->term) {
        begin_anew(node, zero->leader, zero->term);
    }
    for (uint32_t i = 0; i < FRAMES_PER_TURN && news->first != NULL; i++) {
        compose(node);
        if (zero->leader == me) {
            council_take(node, me, &news->frame);
        } else {
            size_t n = standings_write(&news->frame, news->bytes);
            peers_tell(node->peers, zero->leader, FRAME_STANDING, span_of(news->bytes, n));
        }
        news->frame.whole = false;
    }
    node->again = node->again || news->first != NULL;
}

/* --- Orders ---------------------------------------------------------------------------------- */

void standing_obey(struct node *node, const struct hand_over *order)
{
    struct partition *p = partition_of_group(node, order->group);
    if (p == NULL || p->replica == NULL || !replica_has_views(p->replica)) {
        return;
    }
    const struct outlook *o = replica_seen(p->replica);
    bool ends = order->to == replica_me(p->replica);
    bool due = ends ? o->transfer_to != NODE_NONE : o->transfer_to == NODE_NONE;
    if (o->role == ROLE_LEADER && o->term == order->term && due) {
        replica_hand_over(p->replica, order->to, order->timeout);
        partition_wake(p);
    }
}

bool standing_order(struct node *node, node_index from, struct span head)
{
    struct hand_over order;
    if (!hand_over_read(head, &order)) {
        return false;
    }
    if (from == replica_leader(node->zero->replica)) {
        standing_obey(node, &order);
    }
    return true;
}
