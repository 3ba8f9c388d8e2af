#include "schedule_world.h"

#include <string.h>

#include "node/peers.h"
#include "node/quarantine.h"
#include "node/repair.h"
#include "node/replica.h"
#include "node/reporting.h"
#include "node/standing.h"
#include "node/views.h"

struct node node;
struct partition zero;
struct partition part[MANY];
static struct partition *all[MANY + 1];
struct played played[MANY];
uint32_t order[MANY * 2], ordered;
qr_time now, turn_takes;
uint32_t disturbed;

/* --- The rest of the node -------------------------------------------------------------------- */

qr_time io_now(struct io *io)
{
    (void)io;
    return now;
}

uint32_t views_told;

/* W1: ahead of the replica's turn. */
void views_tell(struct partition *p)
{
    (void)p;
    views_told++;
}

void replica_turn(struct replica *r)
{
    struct played *replica = (struct played *)(void *)r;
    struct partition *p = &part[replica - played];
    replica->turns++;
    order[ordered++] = (uint32_t)(replica - played);
    now += turn_takes;
    p->again = replica->unfinished;
    if (replica->wakes != NULL) {
        partition_wake(replica->wakes);
    }
}

bool frames_wait;

bool peers_hold(const struct peers *peers)
{
    (void)peers;
    return frames_wait;
}

qr_time replica_deadline(struct replica *r)
{
    struct played *replica = (struct played *)(void *)r;
    bool waits = part[replica - played].campaign == CAMPAIGN_WAITS;
    return waits ? QR_NEVER : replica->deadline;
}

bool replica_awaits_only(const struct replica *r)
{
    return ((const struct played *)(const void *)r)->aside;
}

bool replica_is_lazy(const struct replica *r)
{
    (void)r;
    return false;
}

void replica_durable_aside(struct replica *r, uint64_t position)
{
    struct played *replica = (struct played *)(void *)r;
    struct partition *p = &part[replica - played];
    assert_false(p->expects);
    replica->durable = position;
    replica->asides++;
    if (replica->wakes == p) {
        partition_expects(p, position + 100); /* for what was written since */
    }
}

void replica_durable(struct replica *r, uint64_t position)
{
    struct played *replica = (struct played *)(void *)r;
    replica->durable = position;
    replica->durables++;
}

void replica_peer(struct replica *r, node_index peer, bool up)
{
    struct played *replica = (struct played *)(void *)r;
    size_t n = strlen(replica->peers);
    assert_true(n + 3 < sizeof replica->peers);
    replica->peers[n] = up ? '+' : '-';
    replica->peers[n + 1] = (char)('0' + peer);
}

bool replica_campaigns(struct replica *r)
{
    struct played *replica = (struct played *)(void *)r;
    return replica->campaigns && replica->deadline <= now;
}

node_index replica_leader(const struct replica *r)
{
    return ((const struct played *)(const void *)r)->leader;
}

void replica_admin(struct replica *r, enum admin_kind kind, uint64_t argument)
{
    struct played *replica = (struct played *)(void *)r;
    assert_true(kind == ADMIN_SKEWED && argument == 0);
    replica->righted += strcmp(replica->peers + strlen(replica->peers) - 2, "-3") == 0; /* first */
}

const struct outlook *replica_seen(const struct replica *r)
{
    static const struct outlook follows = { .role = ROLE_FOLLOWER };
    static const struct outlook campaigns = { .role = ROLE_CANDIDATE };
    const struct played *replica = (const struct played *)(const void *)r;
    if (replica->seen.role != 0) {
        return &replica->seen;
    }
    return replica_campaigns((struct replica *)(uintptr_t)r) ? &campaigns : &follows;
}

void repairer_peer(struct partition *p, node_index peer, bool up)
{
    (void)p, (void)peer, (void)up;
}

void quarantine_peer(struct partition *p, node_index peer)
{
    (void)p, (void)peer;
}

void partition_house(struct partition *p, qr_time at)
{
    (void)p, (void)at;
}

void partition_tidy(struct partition *p)
{
    (void)p;
}

void reporting_note(struct partition *p)
{
    (void)p;
}

void standing_look(struct partition *p)
{
    (void)p;
}

void holding_disturb(struct partition *p)
{
    (void)p;
    disturbed++;
}

/* --- A world --------------------------------------------------------------------------------- */

struct schedule *schedule(void)
{
    return &node.partitions.schedule;
}

void partitions(uint32_t count)
{
    schedule_free(schedule());
    memset(&node, 0, sizeof node);
    memset(part, 0, sizeof part);
    memset(played, 0, sizeof played);
    all[0] = &zero;
    zero.node = &node;
    for (uint32_t i = 0; i < count; i++) {
        part[i].node = &node;
        part[i].group = i + 2;
        part[i].due = QR_NEVER;
        part[i].replica = (struct replica *)(void *)&played[i];
        played[i].deadline = QR_NEVER;
        all[i + 1] = &part[i];
    }
    campaigns_init(&node.partitions.schedule.campaigns);
    node.partitions.all = all;
    node.partitions.count = count + 1;
    now = 1000;
    turn_takes = 0;
    ordered = disturbed = 0;
}

int end(void **state)
{
    (void)state;
    schedule_free(schedule());
    memset(&node, 0, sizeof node);
    return 0;
}

void turn(void)
{
    ordered = 0;
    schedule_begin(&node, now);
    schedule_turn(&node, now, now + SCHEDULE_SLICE_USEC);
}

void settle(void)
{
    for (int i = 0; i < 100 && schedule_deadline(schedule()) == 0; i++) {
        turn();
    }
    assert_int_not_equal(schedule_deadline(schedule()), 0);
}
