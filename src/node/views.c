#include "node/views.h"

#include "cluster/map.h"
#include "cluster/strategy.h"
#include "cluster/succession.h"
#include "node/contact.h"
#include "node/early.h"
#include "node/lagging.h"
#include "node/node.h"
#include "node/quarantine.h"
#include "node/replica_internal.h"
#include "protocol/quorum.h"

#define NOTE_PAUSE QR_SECOND /* between tries to write a note on a full disk */

bool replica_has_views(const struct replica *r)
{
    return r->viewed;
}

void replica_view(struct replica *r, const struct view *view)
{
    struct event event = { .kind = EVENT_VIEW };
    event.view = *view;
    replica_roster_viewed(r, view);
    quarantine_forget(r->partition);
    replica_step(r, &event);
}

void replica_lease(struct replica *r, bool held)
{
    struct event event = { .kind = EVENT_LEASE };
    event.lease.held = held;
    r->lease_until = 0;
    replica_step(r, &event);
}

static bool is_told(const struct viewed *told, const struct succession *s)
{
    return told->term == s->term && told->primary == s->primary;
}

static void tell_view(struct replica *r, const struct succession *s)
{
    struct viewed *told = &r->views;
    struct view view = succession_view(s);
    enum early early = early_of((enum ack_stage)view.stage);
    if (!early_begins(r->partition, early)) {
        told->changes = 0;
        partition_wake_at(r->partition, r->node->clock + NOTE_PAUSE);
        return;
    }
    told->term = s->term;
    told->primary = s->primary;
    view.whole = s->primary == r->me && s->life == r->node->contact.leases.life; /* W2 */
    r->partition->lazy = early == EARLY_WRITTEN;
    r->partition->soon = early == EARLY_RECEIVED;
    replica_view(r, &view);
    early_ends(r->partition, early);
}

/* 4 bits of each node: for FEED zone one number for each zone, for FEED follower one for all but
 * this node, of which it says nothing: it is fed by nobody while it leads. Who has no zone is fed
 * by the primary. */
static uint64_t zones_of(const struct replica *r, const struct map_keyspace *k)
{
    const struct map *map = r->node->map;
    uint8_t feed = k != NULL ? k->primary.feed : PRIMARY_FEEDS;
    uint64_t zones = 0;
    for (node_index i = 0; i < MEMBERS_MAX && feed != PRIMARY_FEEDS; i++) {
        uint64_t number = feed == PRIMARY_FEED_FOLLOWER && i != r->me;
        if (feed == PRIMARY_FEED_ZONE && map_node(map, i)->zone[0] != 0) {
            uint16_t same = strategy_zone(map, map_node(map, i)->zone);
            number = 1 + set_first(same);
        }
        number = lagging_is_dropped(r->partition, i) ? 0 : number; /* nobody feeds it for now */
        zones |= number << (4 * i);
    }
    return zones;
}

static void tell_zones(struct replica *r)
{
    uint64_t zones = zones_of(r, map_keyspace_of_group(r->node->map, r->group));
    if (zones != r->views.zones) {
        r->views.zones = zones;
        struct event event = { .kind = EVENT_ADMIN };
        event.admin.order = ADMIN_ZONES;
        event.admin.argument = zones;
        replica_step(r, &event);
    }
}

static void tell_lease(struct replica *r, bool held)
{
    if (held != r->views.leased) {
        r->views.leased = held;
        replica_lease(r, held);
    }
}

void views_tell(struct partition *partition)
{
    struct replica *r = partition->replica;
    const struct map *map = partition->node->map;
    if (!r->viewed || !r->started) {
        return;
    }
    if (r->views.changes != map_changes(map)) {
        r->views.changes = map_changes(map);
        r->views.asks = map_settings(map)->level >= MAP_LEVEL_FOLLOWERS;
        tell_zones(r);
        const struct succession *s = map_succession(map, partition->group);
        if (s != NULL && !is_told(&r->views, s)) {
            tell_view(r, s);
        }
    }
    early_turn(partition);
    tell_lease(r, r->views.changes != 0 && lease_counts(partition->node));
}

void views_end_lease(struct replica *r)
{
    if (r->views.leased && !lease_held(r->node)) {
        tell_lease(r, false);
    }
}

void views_look(struct partition *partition)
{
    const struct replica *r = partition->replica;
    if (r == NULL || !r->viewed) {
        return;
    }
    const struct succession *s = map_succession(partition->node->map, partition->group);
    bool fed = zones_of(r, map_keyspace_of_group(partition->node->map, partition->group)) !=
               r->views.zones;
    if (fed || (s != NULL && !is_told(&r->views, s))) {
        partition_wake(partition);
    }
}

void views_wake(struct node *node)
{
    for (uint32_t i = 0; i < node->partitions.count; i++) {
        struct partition *p = partitions_at(&node->partitions, i);
        if (p->replica != NULL && p->replica->viewed) {
            partition_wake(p);
        }
    }
}
