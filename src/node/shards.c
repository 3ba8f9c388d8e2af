#include "node/shards.h"

#include "base/alloc.h"
#include "base/panic.h"
#include "cluster/map.h"
#include "cluster/slots.h"
#include "node/leaders.h"
#include "node/local_internal.h"
#include "node/partition.h"
#include "node/peers.h"
#include "node/places.h"
#include "node/replica.h"
#include "protocol/quorum.h"

#include <stdlib.h>

/* Who leads a run of slots, and who could. */
struct partition_view {
    uint16_t first, last;
    node_index leader;
    qr_term term;
    bool can_lead; /* a majority of its voters is up */
};

/* Group 0, of which the own replica knows all. */
static void look_at_zero(const struct node *node, uint16_t up, struct partition_view *out)
{
    struct outlook outlook;
    (void)local_outlook(node, &outlook);
    out->leader = outlook.leader;
    out->term = outlook.term;
    out->can_lead = quorum_of(up, &outlook.membership);
}

qr_term shards_term(const struct partition *partition)
{
    bool own = partition->replica != NULL;
    return max_u64(partition->hint.term, own ? replica_term(partition->replica) : 0);
}

/* A partition that may have no replica here. */
static void look_at_other(const struct node *node, const struct map_partition *p, uint16_t up,
                          struct partition_view *out)
{
    const struct partition *partition = partition_of_group(node, p->group);
    if (partition == NULL) {
        return;
    }
    out->leader = leaders_of(partition);
    out->term = shards_term(partition);
    out->can_lead = quorum_of_set(up, p->wish);
}

/* False: it is not there. */
static bool look_at(const struct node *node, const struct map_keyspace *keyspace, uint32_t index,
                    uint16_t up, struct partition_view *out)
{
    *out = (struct partition_view){ .last = SLOTS - 1, .leader = NODE_NONE };
    if (keyspace->id == 0) {
        look_at_zero(node, up, out);
        return true;
    }
    const struct map_partition *p = map_partition_at(node->map, keyspace->id, index);
    if (p == NULL) {
        return false;
    }
    out->first = p->first_slot;
    out->last = p->last_slot;
    look_at_other(node, p, up, out);
    return true;
}

/* Everybody that is known, and those of them that can be asked now. */
static uint16_t nodes_up(const struct node *node)
{
    uint16_t up = 0;
    for (node_index i = 0; i < MEMBERS_MAX; i++) {
        bool me = i == identity_me(&node->identity);
        up = (uint16_t)(up | (me || local_is_alive(node, i) ? node_bit(i) : 0));
    }
    return up;
}

static uint16_t nodes_shown(const struct node *node)
{
    uint16_t shown = 0;
    for (node_index i = 0; i < MEMBERS_MAX; i++) {
        struct place place;
        char id[41];
        if (place_id_of(node, i, id)) {
            place_of(node, i, &place);
            shown = (uint16_t)(shown | (place.cluster_port != 0 ? node_bit(i) : 0));
        }
    }
    return shown;
}

/* V2 */
static node_index stand_in(const struct shards *shards, node_index leader)
{
    uint32_t able = (uint32_t)shards->shown & (uint32_t)shards->up;
    if (leader != NODE_NONE && (able & node_bit(leader)) != 0) {
        return leader;
    }
    return able != 0 ? set_first(able) : NODE_NONE;
}

static void add_range(struct shards *shards, const struct partition_view *view)
{
    node_index master = stand_in(shards, view->leader);
    if (master == NODE_NONE) {
        return;
    }
    shards->masters |= node_bit(master);
    shards->epoch_of[master] = max_u64(shards->epoch_of[master], view->term);
    struct shard_range *last = shards->count > 0 ? &shards->range[shards->count - 1] : NULL;
    if (last != NULL && last->master == master && last->last + 1 == view->first) {
        last->last = view->last;
    } else {
        shards->range[shards->count++] = (struct shard_range){ view->first, view->last, master };
    }
}

/* Each replica belongs to one master, evenly. */
static void assign_replicas(struct shards *shards)
{
    uint32_t rest = shards->masters;
    uint32_t replicas = (uint32_t)shards->shown & ~(uint32_t)shards->masters;
    for (node_index i = 0; i < MEMBERS_MAX; i++) {
        shards->master_of[i] = NODE_NONE;
        if ((replicas & node_bit(i)) != 0 && shards->masters != 0) {
            rest = rest != 0 ? rest : shards->masters;
            shards->master_of[i] = set_first(rest);
            shards->epoch_of[i] = shards->epoch_of[shards->master_of[i]];
            rest &= rest - 1;
        }
    }
}

void shards_look(const struct node *node, uint32_t keyspace, struct shards *out)
{
    const struct map_keyspace *k = map_keyspace(node->map, keyspace);
    uint32_t count = k != NULL ? k->partitions : 0;
    *out = (struct shards){ .shown = nodes_shown(node), .up = nodes_up(node) };
    out->range = qr_alloc((count + 1) * sizeof *out->range);
    for (uint32_t i = 0; i < count; i++) {
        struct partition_view view;
        if (look_at(node, k, i, out->up, &view)) {
            add_range(out, &view);
            out->epoch += view.term;
            out->slots_served += view.leader != NODE_NONE || view.can_lead
                                     ? (uint32_t)(view.last - view.first + 1)
                                     : 0;
        }
    }
    assign_replicas(out);
}

void shards_free(struct shards *shards)
{
    free(shards->range);
}

node_index shards_leader(const struct node *node, uint32_t keyspace, uint16_t slot)
{
    const struct replica *zero = node->zero->replica;
    if (keyspace == 0) {
        return zero != NULL ? replica_leader(zero) : NODE_NONE;
    }
    const struct map_partition *p = map_partition_of_slot(node->map, keyspace, slot);
    const struct partition *partition = p != NULL ? partition_of_group(node, p->group) : NULL;
    return partition != NULL ? leaders_of(partition) : NODE_NONE;
}

int64_t shards_offset(const struct node *node, node_index i)
{
    struct outlook outlook;
    if (!local_outlook(node, &outlook)) {
        return 0;
    }
    if (i == identity_me(&node->identity)) {
        return (int64_t)replica_applied(node->zero->replica);
    }
    return (int64_t)(i == outlook.leader ? outlook.commit : outlook.member[i].match);
}

bool shards_lead_here(const struct node *node, uint32_t keyspace)
{
    struct shards shards;
    shards_look(node, keyspace, &shards);
    bool leads = (shards.masters & node_bit((node_index)identity_me(&node->identity))) != 0;
    shards_free(&shards);
    return leads;
}
