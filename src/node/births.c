#include "node/births.h"

#include "cluster/follow.h"
#include "cluster/map.h"
#include "node/campaigns.h"
#include "node/contact.h"
#include "node/node.h"
#include "node/replica.h"

#define CALLS_MAX 7u
#define FIRST_PAUSE (10 * QR_MILLISECOND) /* and twice as long after each call */
/* Who did not found it now finds its leader in touch, unless there is none. */
#define RESTART_PAUSE (250 * QR_MILLISECOND)
/* Who is not to call looks whether whoever is has gone away. */
#define OTHERS_PAUSE (500 * QR_MILLISECOND)

void births_begin(struct partition *p, bool founded)
{
    qr_assert(p->replica != NULL);
    if (replica_has_views(p->replica)) {
        return; /* group 0 says who leads */
    }
    p->calls = 0;
    p->call_at = p->node->clock + (founded ? 0 : RESTART_PAUSE);
    partition_wake(p);
}

static bool is_over(const struct partition *p)
{
    const struct outlook *o = replica_seen(p->replica);
    return o->leader != NODE_NONE || o->role == ROLE_LEADER || p->calls == CALLS_MAX;
}

/* True: this node is the one. */
static bool call(struct partition *p)
{
    const struct node *node = p->node;
    const struct map_partition *mp = map_partition(node->map, p->group);
    if (mp == NULL) {
        return false;
    }
    node_index caller = follow_caller(mp, health_able(node));
    caller = caller != NODE_NONE ? caller : follow_caller(mp, contact_alive(node));
    if (caller != replica_me(p->replica)) {
        return false;
    }
    replica_admin(p->replica, ADMIN_CALL, 0);
    return true;
}

void births_turn(struct partition *p, qr_time now)
{
    if (p->call_at == 0 || p->loading) {
        return;
    }
    if (is_over(p)) {
        p->call_at = 0;
        return;
    }
    if (campaigns_hold_back(p)) {
        return; /* it is woken when it gets or loses its place */
    }
    if (now >= p->call_at) {
        p->call_at = now + (call(p) ? FIRST_PAUSE << p->calls : OTHERS_PAUSE);
        p->calls++;
    }
    partition_wake_at(p, p->call_at);
}
