#include "node/council_orders.h"

#include "node/control_internal.h"
#include "node/council_internal.h"
#include "node/orders.h"
#include "node/peers.h"
#include "node/replica.h"
#include "node/standing.h"

#include <stdio.h>

#define ANSWER_BYTES (SUCCESSION_TEXT_BYTES + 160u)

struct council_order *council_order_of(const struct node *node, uint32_t group)
{
    struct council_orders *orders = &node->control->council->orders;
    for (uint32_t i = 0; i < orders->count; i++) {
        if (orders->v[i].group == group) {
            return &orders->v[i];
        }
    }
    return NULL;
}

bool council_order_begin(struct node *node, const struct council_order *order)
{
    struct council *c = node->control->council;
    if (c->orders.count == COUNCIL_ORDERS_MAX) {
        return false;
    }
    qr_assert(council_order_of(node, order->group) == NULL); /* CO1 */
    order->p->state = PENDING_CONTROLLED;
    c->orders.v[c->orders.count++] = *order;
    council_add(c, order->group)->calm = false;
    c->stirred = true;
    node_stir(node);
    return true;
}

static void drop(struct council_orders *orders, struct council_order *order)
{
    *order = orders->v[--orders->count];
}

/* The primary goes on as if nothing had been, unless it takes nothing any more already. */
static void call_off(struct node *node, const struct council_order *o, const struct succession *s)
{
    if (o->kind != SUCCESSION_TO || s == NULL || s->primary == NODE_NONE || s->term != o->term) {
        return;
    }
    struct hand_over order = { .group = o->group, .to = s->primary, .term = s->term };
    council_hand_over(node, s->primary, &order);
}

/* It did not come about: who leads now, and why no other one does. */
static void refuse(struct node *node, const struct council_order *o, const char *what)
{
    const struct succession *s = map_succession(node->map, o->group);
    const char *why = o->why[0] != 0 ? "; " : "";
    if (s == NULL || s->primary == NODE_NONE) {
        orders_refuse(o->p, "ERR FAILOVER %s, no node leads at the moment%s%s", what, why, o->why);
    } else {
        orders_refuse(o->p, "ERR FAILOVER %s, node %u %s%s%s", what,
                      (unsigned)node->known[s->primary].id,
                      s->primary == o->primary ? "still leads" : "leads now", why, o->why);
    }
}

void council_order_end(struct node *node, struct council_order *order)
{
    call_off(node, order, map_succession(node->map, order->group));
    refuse(node, order, "was called off");
    drop(&node->control->council->orders, order);
}

static bool is_done(const struct council_order *o, const struct succession *s)
{
    if (s->primary == NODE_NONE) {
        return false;
    }
    bool chosen = o->primary == NODE_NONE || s->term > o->term;
    return o->kind == SUCCESSION_TO ? s->primary == o->to
                                    : chosen && (o->to == NODE_NONE || s->primary == o->to);
}

/* CO2 */
static void answer(struct node *node, const struct council_order *o)
{
    char text[ANSWER_BYTES];
    const struct succession *s = map_succession(node->map, o->group);
    if (!o->loss.possible) {
        reply_status(stream_reply(o->p), "OK");
    } else {
        (void)snprintf(text, sizeof text,
                       "OK node %u leads; writes acknowledged after entry %llu of term %llu, up to "
                       "term %llu, may be lost",
                       (unsigned)node->known[s->primary].id, (unsigned long long)o->loss.slot,
                       (unsigned long long)o->loss.term, (unsigned long long)o->loss.through);
        reply_status(stream_reply(o->p), text);
    }
    stream_answered(o->p, STATUS_OK);
}

void council_orders_turn(struct node *node, qr_time now)
{
    struct council_orders *orders = &node->control->council->orders;
    bool leads = replica_leads(node->zero->replica);
    for (uint32_t i = orders->count; i-- > 0;) {
        struct council_order *o = &orders->v[i];
        const struct succession *s = map_succession(node->map, o->group);
        if (!leads) {
            orders_uncertain(o->p); /* CO3 */
        } else if (s == NULL) {
            orders_refuse(o->p, "ERR the keyspace was dropped");
        } else if (is_done(o, s)) {
            answer(node, o);
        } else if (now >= o->until) {
            call_off(node, o, s);
            refuse(node, o,
                   s->term == o->term ? "timed out and was called off"
                                      : "timed out, and may still come about");
        } else {
            node->wake = o->until < node->wake ? o->until : node->wake;
            continue;
        }
        drop(orders, o);
    }
}
