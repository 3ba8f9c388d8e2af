#include "node/shards.h"

#include "base/alloc.h"
#include "base/panic.h"
#include "cluster/slots.h"
#include "node/local_internal.h"
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

static uint32_t partition_count(const struct node *node)
{
    (void)node;
    return 1;
}

static void look_at(const struct node *node, uint32_t index, uint16_t up,
                    struct partition_view *out)
{
    struct outlook outlook;
    qr_assert(index == 0);
    (void)local_outlook(node, &outlook);
    *out = (struct partition_view){ .last = SLOTS - 1, .leader = outlook.leader };
    out->term = outlook.term;
    out->can_lead = quorum_of(up, &outlook.membership);
}

/* Everybody that is known, and those of them that can be asked now. */
static uint16_t nodes_up(const struct node *node)
{
    uint16_t up = 0;
    for (node_index i = 0; i < MEMBERS_MAX; i++) {
        bool me = i == identity_me(&node->identity);
        up = (uint16_t)(up | (me || local_is_follower(node, i) ? node_bit(i) : 0));
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
    bool has_port = leader != NODE_NONE && (shards->shown & node_bit(leader)) != 0;
    if (has_port) {
        return leader;
    }
    return (shards->up & shards->shown) != 0 ? set_first(shards->up & shards->shown) : NODE_NONE;
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

void shards_look(const struct node *node, struct shards *out)
{
    uint32_t count = partition_count(node);
    *out = (struct shards){ .shown = nodes_shown(node), .up = nodes_up(node) };
    out->range = qr_alloc(count * sizeof *out->range);
    for (uint32_t i = 0; i < count; i++) {
        struct partition_view view;
        look_at(node, i, out->up, &view);
        add_range(out, &view);
        out->epoch += view.term;
        out->slots_served +=
            view.leader != NODE_NONE || view.can_lead ? (uint32_t)(view.last - view.first + 1) : 0;
    }
    assign_replicas(out);
}

void shards_free(struct shards *shards)
{
    free(shards->range);
}

node_index shards_leader(const struct node *node, uint16_t slot)
{
    (void)slot;
    return node->zero->replica != NULL ? replica_leader(node->zero->replica) : NODE_NONE;
}
