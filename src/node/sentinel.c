#include "node/sentinel.h"

#include "base/limits.h"
#include "cluster/map.h"
#include "node/leaders.h"
#include "node/local_internal.h"
#include "node/partition.h"
#include "node/replica.h"
#include "node/shards.h"
#include "node/subscribe.h"
#include "protocol/quorum.h"

#include <stdio.h>
#include <string.h>

#define EVENT_BYTES 384

static bool is_me(const struct node *node, node_index i)
{
    return i == identity_me(&node->identity);
}

/* --- Looking -------------------------------------------------------------------------------- */

static void count_nodes(const struct node *node, struct sentinel_view *out)
{
    for (node_index i = 0; i < MEMBERS_MAX; i++) {
        struct place place;
        char id[41];
        if (!place_id_of(node, i, id)) {
            continue;
        }
        place_of(node, i, &place);
        out->known |= node_bit(i);
        out->up |= is_me(node, i) || local_is_alive(node, i) ? node_bit(i) : 0u;
        out->sentinels |= place.sentinel_port != 0 ? node_bit(i) : 0u;
    }
}

/* The last one for as long as it is up: it may only be handing over. */
static node_index stand_in(const struct node *node, const struct sentinel_view *view)
{
    node_index last = (node_index)(node->sentinel_told.master - 1);
    if (node->sentinel_told.master != 0 && (view->up & node_bit(last)) != 0) {
        return last;
    }
    return node->sentinel_told.master != 0 && view->up != 0 ? set_first(view->up) : NODE_NONE;
}

static void look_at_zero(const struct node *node, struct sentinel_view *out)
{
    struct outlook outlook;
    (void)local_outlook(node, &outlook);
    memcpy(out->name, node->config.sentinel_master_name, sizeof out->name);
    out->master = outlook.leader;
    out->down = outlook.leader == NODE_NONE && !quorum_of(out->up, &outlook.membership);
    out->quorum = quorum_count(outlook.membership.voters) / 2 + 1;
    out->epoch = outlook.term;
}

/* Whoever leads the first partition; the plain ports of all nodes take commands for all of them. */
static void look_at_keyspace(const struct node *node, const struct map_keyspace *keyspace,
                             struct sentinel_view *out)
{
    const struct map_partition *p = map_partition_at(node->map, keyspace->id, 0);
    const struct partition *partition = p != NULL ? partition_of_group(node, p->group) : NULL;
    (void)snprintf(out->name, sizeof out->name, "%s", keyspace->name);
    out->master = partition != NULL ? leaders_of(partition) : NODE_NONE;
    out->down = out->master == NODE_NONE && (p == NULL || !quorum_of_set(out->up, p->wish));
    out->quorum = p != NULL ? quorum_count(p->wish) / 2 + 1 : 1;
    out->epoch = partition != NULL ? shards_term(partition) : 0;
}

/* The keyspaces that are masters, in order of id: all but one that has the name of keyspace 0's. */
static const struct map_keyspace *master_at(const struct node *node, uint32_t i)
{
    const char *name = node->config.sentinel_master_name;
    const struct map_keyspace *hidden = map_keyspace_named(node->map, span_of(name, strlen(name)));
    uint32_t count = map_keyspace_count(node->map);
    const struct map_keyspace *at = i < count ? map_keyspace_at(node->map, i) : NULL;
    if (at == NULL || hidden == NULL || hidden->id == 0 || at->id < hidden->id) {
        return at;
    }
    return i + 1 < count ? map_keyspace_at(node->map, i + 1) : NULL;
}

bool sentinel_at(const struct node *node, uint32_t i, struct sentinel_view *out)
{
    const struct map_keyspace *keyspace = master_at(node, i);
    if (node->removed || keyspace == NULL) {
        return false;
    }
    *out = (struct sentinel_view){ .master = NODE_NONE };
    count_nodes(node, out);
    if (keyspace->id == 0) {
        look_at_zero(node, out);
    } else {
        look_at_keyspace(node, keyspace, out);
    }
    if (out->master == NODE_NONE || (out->known & out->up & node_bit(out->master)) == 0) {
        out->master = stand_in(node, out);
    }
    return true;
}

bool sentinel_named(const struct node *node, struct span name, struct sentinel_view *out)
{
    for (uint32_t i = 0; sentinel_at(node, i, out); i++) {
        if (strlen(out->name) == name.n && memcmp(out->name, name.p, name.n) == 0) {
            return true;
        }
    }
    return false;
}

/* --- Telling -------------------------------------------------------------------------------- */

/* "master mymaster 127.0.0.1 7001" or "slave ip:port ip port @ mymaster ip port", as Redis's. */
static void tell_of(struct node *node, const char *event, const struct sentinel_view *view,
                    node_index i)
{
    struct place place;
    const struct place *master = &node->sentinel_told.master_place;
    char text[EVENT_BYTES];
    char id[41];
    bool sentinel = strcmp(event, "+sentinel") == 0;
    bool is_master = !sentinel && (node_index)(node->sentinel_told.master - 1) == i;
    (void)place_id_of(node, i, id);
    place_of(node, i, &place);
    if (is_master) {
        (void)snprintf(text, sizeof text, "master %s %s %u", view->name, master->plain_address,
                       master->plain_port);
    } else {
        char name[96];
        unsigned port = sentinel ? place.sentinel_port : place.plain_port;
        (void)snprintf(name, sizeof name, "%s:%u", place.plain_address, port);
        (void)snprintf(text, sizeof text, "%s %s %s %u @ %s %s %u", sentinel ? "sentinel" : "slave",
                       sentinel ? id : name, place.plain_address, port, view->name,
                       master->plain_address, master->plain_port);
    }
    subscribe_publish(node, event, text);
}

static void tell_each(struct node *node, const char *event, const struct sentinel_view *view,
                      uint32_t set)
{
    for (uint32_t rest = set; rest != 0; rest &= rest - 1) {
        tell_of(node, event, view, set_first(rest));
    }
}

/* Another leader, or another address of it. */
static void tell_switch(struct node *node, const struct sentinel_view *view, node_index leader)
{
    struct sentinel_told *told = &node->sentinel_told;
    struct place place;
    place_of(node, leader, &place);
    bool same = strcmp(place.plain_address, told->master_place.plain_address) == 0 &&
                place.plain_port == told->master_place.plain_port;
    if (told->master != 0 && !same) {
        char text[EVENT_BYTES];
        (void)snprintf(text, sizeof text, "%s %s %u %s %u", view->name,
                       told->master_place.plain_address, told->master_place.plain_port,
                       place.plain_address, place.plain_port);
        subscribe_publish(node, "+switch-master", text);
    }
    node_index former = (node_index)(told->master - 1);
    bool had = told->master != 0 && former != leader;
    told->master = (node_index)(leader + 1);
    told->master_place = place;
    if (had && (view->known & node_bit(former)) != 0) {
        tell_of(node, "+slave", view, former);
    }
}

void sentinel_tell(struct node *node)
{
    struct sentinel_told *told = &node->sentinel_told;
    struct sentinel_view view;
    node_index leader = replica_leader(node->zero->replica);
    if (node->config.sentinel_port == 0 || !sentinel_at(node, 0, &view)) {
        return;
    }
    tell_each(node, "+sdown", &view, told->up & ~view.up);
    if (leader != NODE_NONE && (view.known & node_bit(leader)) != 0) {
        tell_switch(node, &view, leader);
    }
    uint32_t fresh = told->known != 0 ? view.known & ~told->known : 0;
    tell_each(node, "+slave", &view, fresh & ~(leader != NODE_NONE ? node_bit(leader) : 0u));
    tell_each(node, "+sentinel", &view, fresh & view.sentinels);
    tell_each(node, "-sdown", &view, view.up & ~told->up & told->known);
    told->known = view.known;
    told->up = view.up;
}
