#include "node/campaigns.h"

#include "base/limits.h"
#include "base/linked.h"
#include "node/node.h"
#include "node/replica.h"

/* A little more than it takes where processor time is short, and less than the time-out after which
 * one that nobody answers tries again. */
#define CAMPAIGN_TIME (250 * QR_MILLISECOND)
#define LONG_TURN (25 * QR_MILLISECOND) /* a heartbeat's pause, by default */

static struct campaigns *campaigns_of(const struct partition *p)
{
    return &p->node->partitions.schedule.campaigns;
}

void campaigns_init(struct campaigns *c)
{
    *c = (struct campaigns){ .places = CAMPAIGNS_MAX / 4 };
}

/* --- Places and the line ---------------------------------------------------------------------- */

static struct campaign_list *list_of(struct campaigns *c, const struct partition *p)
{
    return p->campaign == CAMPAIGN_WAITS ? &c->line : &c->open;
}

static void enter(struct campaigns *c, struct partition *p, enum campaign as)
{
    qr_assert(p->campaign == CAMPAIGN_NONE);
    p->campaign = as;
    struct campaign_list *list = list_of(c, p);
    list->count++;
    LINKED_APPEND(list->first, list->last, p, campaign_previous, campaign_next);
}

static void leave(struct campaigns *c, struct partition *p)
{
    struct campaign_list *list = list_of(c, p);
    qr_assert(p->campaign != CAMPAIGN_NONE && list->count > 0);
    p->campaign = CAMPAIGN_NONE;
    list->count--;
    LINKED_REMOVE(list->first, list->last, p, campaign_previous, campaign_next);
}

static void take_place(struct campaigns *c, struct partition *p, qr_time now)
{
    enter(c, p, CAMPAIGN_HAS);
    p->campaign_until = now + CAMPAIGN_TIME;
}

/* Somebody stands in line, and a place is free. */
static bool has_room_for_next(const struct campaigns *c)
{
    return c->line.first != NULL && c->open.count < c->places;
}

/* --- One partition ---------------------------------------------------------------------------- */

void campaigns_gate(struct partition *p, qr_time now)
{
    struct campaigns *c = campaigns_of(p);
    bool wants = replica_campaigns(p->replica);
    if (p->campaign == CAMPAIGN_WAITS && !wants) {
        leave(c, p); /* C4 */
    }
    if (p->campaign != CAMPAIGN_NONE || !wants) {
        return;
    }
    if (c->line.first == NULL && c->open.count < c->places) {
        take_place(c, p, now);
    } else {
        enter(c, p, CAMPAIGN_WAITS);
    }
}

void campaigns_look(struct partition *p)
{
    if (p->campaign != CAMPAIGN_HAS) {
        return;
    }
    const struct outlook *o = replica_seen(p->replica);
    bool begins = o->role == ROLE_LEADER && !o->can_serve; /* its first entry is on its way */
    if (o->role != ROLE_CANDIDATE && !begins) {
        leave(campaigns_of(p), p);
    }
}

void campaigns_forget(struct partition *p)
{
    if (p->campaign != CAMPAIGN_NONE) {
        leave(campaigns_of(p), p);
    }
}

bool campaigns_hold_back(const struct partition *p)
{
    bool has = p->campaign == CAMPAIGN_HAS && campaigns_of(p)->line.first != NULL;
    return has || p->campaign == CAMPAIGN_WAITS;
}

/* --- All of them ------------------------------------------------------------------------------ */

void campaigns_turn(struct campaigns *c, qr_time now)
{
    while (c->open.first != NULL && c->open.first->campaign_until <= now) {
        struct partition *p = c->open.first;
        leave(c, p);
        partition_wake(p); /* it may call again */
    }
    while (has_room_for_next(c)) {
        struct partition *p = c->line.first;
        leave(c, p);
        take_place(c, p, now);
        partition_wake(p);
    }
}

qr_time campaigns_deadline(const struct campaigns *c)
{
    const struct partition *first = c->open.first;
    return has_room_for_next(c) ? 0 : first != NULL ? first->campaign_until : QR_NEVER;
}

void campaigns_paced(struct campaigns *c, qr_time took)
{
    if (took > LONG_TURN && c->open.count > 0) {
        c->places = c->places / 2 > CAMPAIGNS_MIN ? c->places / 2 : CAMPAIGNS_MIN;
    } else if (took <= LONG_TURN && c->line.first != NULL) {
        uint32_t more = c->places + 1 + c->places / 32;
        c->places = more < CAMPAIGNS_MAX ? more : CAMPAIGNS_MAX;
    }
}
