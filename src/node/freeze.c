/* Prefixes that are about to change are frozen on all nodes first: cluster/coverage.h says why.
 * Here a node settles what it has sent on by them, and group 0's leader waits for all nodes. */
#include "node/contact.h"

#include "node/node.h"
#include "node/peers.h"
#include "node/replica.h"
#include "node/router.h"
#include "node/run.h"

/* What is not answered by then is given up: a partition that stands still must not hold up a change
 * of its prefix. */
#define SETTLE_TIME QR_SECOND

/* --- The node ------------------------------------------------------------------------------- */

static void take(struct node *node, const struct freeze *f)
{
    struct contact *c = &node->contact;
    if (coverage_freeze(&c->coverage, f)) {
        c->settling = node->next_sequence;
        c->settle_until = node->clock + SETTLE_TIME;
        (void)contact_settle(node, node->clock);
    }
    contact_renew(node);
}

bool contact_take_freeze(struct node *node, struct span head)
{
    struct freeze f;
    if (!freeze_read(head, &f)) {
        return false;
    }
    (void)node_clock(node);
    take(node, &f);
    return true;
}

qr_time contact_settle(struct node *node, qr_time now)
{
    struct contact *c = &node->contact;
    if (c->coverage.frozen.count == 0 || c->coverage.settled) {
        return QR_NEVER;
    }
    bool open = router_has_routed(node->router, c->settling);
    if (open && now >= c->settle_until) {
        open = !router_give_up_routed(node->router);
    }
    if (open) {
        return now + QR_MILLISECOND;
    }
    c->coverage.settled = true;
    contact_renew(node); /* which says so */
    return QR_NEVER;
}

/* --- Group 0's leader ----------------------------------------------------------------------- */

static void tell(struct node *node)
{
    uint8_t head[FREEZE_BYTES_MAX];
    const struct freeze *f = &node->contact.coverage.freeze;
    size_t n = freeze_write(f, head);
    peers_tell(node->peers, NODE_NONE, FRAME_FREEZE, span_of(head, n));
    take(node, f);
}

static bool is_led(const struct node *node)
{
    const struct outlook *o = replica_seen(node->zero->replica);
    return o->role == ROLE_LEADER && node->contact.coverage.freeze.stage.term == o->term;
}

bool contact_may_know_rules(const struct node *node, node_index index)
{
    return !is_led(node) || coverage_may_know_rules(&node->contact.coverage, index, node->clock);
}

/* A node that is away cannot freeze: its coverage ends, and nobody else stands still for that. */
bool contact_freeze(struct node *node, const struct freeze *f)
{
    struct contact *c = &node->contact;
    uint16_t alive = contact_alive(node);
    if (!is_led(node)) {
        return false;
    }
    for (node_index i = 0; i < MEMBERS_MAX; i++) {
        if ((alive & node_bit(i)) == 0 && coverage_may_go(&c->coverage, i, node->clock)) {
            return false;
        }
    }
    coverage_begin(&c->coverage, f);
    tell(node);
    return true;
}

bool contact_guard(struct node *node)
{
    struct contact *c = &node->contact;
    for (node_index i = 0; i < MEMBERS_MAX; i++) {
        if (!is_led(node) || coverage_may_go(&c->coverage, i, node->clock)) {
            return false;
        }
    }
    qr_assert(c->coverage.freeze.count > 0);
    if (!c->guards) {
        c->guards = true;
        router_guard(node->router);
    }
    return true;
}

void contact_thaw(struct node *node)
{
    node->contact.guards = false;
    if (is_led(node) && node->contact.coverage.freeze.count > 0) {
        coverage_thaw(&node->contact.coverage);
        tell(node);
    }
}
