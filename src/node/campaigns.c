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

static void take_place(struct campaigns *c, struct partition *p, qr_time now)
{
    qr_assert(p->campaign == CAMPAIGN_NONE);
    p->campaign = CAMPAIGN_HAS;
    p->campaign_until = now + CAMPAIGN_TIME;
    c->open++;
    LINKED_APPEND(c->has, c->has_last, p, campaign_previous, campaign_next);
}

static void give_place(struct campaigns *c, struct partition *p)
{
    qr_assert(p->campaign == CAMPAIGN_HAS && c->open > 0);
    p->campaign = CAMPAIGN_NONE;
    c->open--;
    LINKED_REMOVE(c->has, c->has_last, p, campaign_previous, campaign_next);
}

static void enter_line(struct campaigns *c, struct partition *p)
{
    qr_assert(p->campaign == CAMPAIGN_NONE);
    p->campaign = CAMPAIGN_WAITS;
    c->waiting++;
    c->waited++;
    LINKED_APPEND(c->line, c->line_last, p, campaign_previous, campaign_next);
}

static void leave_line(struct campaigns *c, struct partition *p)
{
    qr_assert(p->campaign == CAMPAIGN_WAITS && c->waiting > 0);
    p->campaign = CAMPAIGN_NONE;
    c->waiting--;
    LINKED_REMOVE(c->line, c->line_last, p, campaign_previous, campaign_next);
}

/* --- One partition ---------------------------------------------------------------------------- */

void campaigns_gate(struct partition *p, qr_time now)
{
    struct campaigns *c = campaigns_of(p);
    bool wants = replica_campaigns(p->replica);
    if (p->campaign == CAMPAIGN_WAITS && !wants) {
        leave_line(c, p); /* C4 */
    }
    if (p->campaign != CAMPAIGN_NONE || !wants) {
        return;
    }
    if (c->line == NULL && c->open < c->places) {
        take_place(c, p, now);
    } else {
        enter_line(c, p);
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
        give_place(campaigns_of(p), p);
    }
}

void campaigns_forget(struct partition *p)
{
    if (p->campaign == CAMPAIGN_HAS) {
        give_place(campaigns_of(p), p);
    } else if (p->campaign == CAMPAIGN_WAITS) {
        leave_line(campaigns_of(p), p);
    }
}

bool campaigns_hold_back(const struct partition *p)
{
    bool has = p->campaign == CAMPAIGN_HAS && campaigns_of(p)->line != NULL;
    return has || p->campaign == CAMPAIGN_WAITS;
}

/* --- All of them ------------------------------------------------------------------------------ */

void campaigns_turn(struct campaigns *c, qr_time now)
{
    while (c->has != NULL && c->has->campaign_until <= now) {
        struct partition *p = c->has;
        give_place(c, p);
        partition_wake(p); /* it may call again */
    }
    while (c->line != NULL && c->open < c->places) {
        struct partition *p = c->line;
        leave_line(c, p);
        take_place(c, p, now);
        partition_wake(p);
    }
}

qr_time campaigns_deadline(const struct campaigns *c)
{
    bool room = c->line != NULL && c->open < c->places;
    return room ? 0 : c->has != NULL ? c->has->campaign_until : QR_NEVER;
}

void campaigns_paced(struct campaigns *c, qr_time took)
{
    if (took > LONG_TURN && c->open > 0) {
        c->places = c->places / 2 > CAMPAIGNS_MIN ? c->places / 2 : CAMPAIGNS_MIN;
    } else if (took <= LONG_TURN && c->line != NULL) {
        uint32_t more = c->places + 1 + c->places / 32;
        c->places = more < CAMPAIGNS_MAX ? more : CAMPAIGNS_MAX;
    }
}
