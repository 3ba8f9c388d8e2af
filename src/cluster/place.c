/* Placing what is new, and plans for what is there: the rules are in place.h. */
#include "cluster/place_internal.h"

#include "base/alloc.h"
#include "base/rng.h"
#include "cluster/slots.h"
#include "cluster/strategy.h"
#include "protocol/quorum.h"

#include <string.h>

/* --- Nodes ---------------------------------------------------------------------------------- */

void place_begin(struct place_work *work, const struct map *map, const struct place_nodes *nodes)
{
    *work = (struct place_work){ 0 };
    for (uint32_t rest = nodes->members; rest != 0; rest &= rest - 1) {
        node_index i = set_first(rest);
        const struct map_node *node = map_node(map, i);
        uint16_t bit = node_bit(i);
        bool live = (nodes->live & bit) != 0;
        bool able = !node->draining && (nodes->gone & bit) == 0;
        work->able |= able ? bit : 0;
        work->usable |= able && live ? bit : 0;
        work->draining |= node->draining && live ? bit : 0;
        for (uint32_t others = nodes->members; others != 0; others &= others - 1) {
            node_index k = set_first(others);
            bool same = node->zone[0] != 0 && strcmp(node->zone, map_node(map, k)->zone) == 0;
            work->zone[i] |= same || k == i ? node_bit(k) : 0;
        }
    }
}

/* Where all else is equal the group decides, so that a node shares its partitions with many. */
static uint64_t lot(uint32_t group, node_index node)
{
    struct rng rng = rng_from((uint64_t)group << 8 | node);
    return rng_next(&rng);
}

uint32_t place_crowd(const struct place_work *work, uint16_t set)
{
    uint32_t zones = 0;
    for (uint32_t rest = set; rest != 0; zones++) {
        rest &= ~(uint32_t)work->zone[set_first(rest)] & (rest - 1);
    }
    return quorum_count(set) - zones;
}

node_index place_to_add(const struct place_work *work, uint32_t group, uint16_t set, uint16_t from)
{
    node_index best = NODE_NONE;
    uint32_t best_crowd = 0;
    for (uint32_t rest = from & ~(uint32_t)set; rest != 0; rest &= rest - 1) {
        node_index i = set_first(rest);
        uint32_t crowd = quorum_count(set & work->zone[i]);
        bool better = best == NODE_NONE || crowd < best_crowd;
        if (!better && crowd == best_crowd) {
            uint32_t load = work->load[i];
            better = load < work->load[best] ||
                     (load == work->load[best] && lot(group, i) < lot(group, best));
        }
        best = better ? i : best;
        best_crowd = better ? crowd : best_crowd;
    }
    return best;
}

node_index place_to_drop(const struct place_work *work, uint32_t group, uint16_t set, uint16_t from)
{
    node_index best = NODE_NONE;
    uint32_t best_crowd = 0;
    for (uint32_t rest = from & set; rest != 0; rest &= rest - 1) {
        node_index i = set_first(rest);
        uint32_t crowd = quorum_count(set & work->zone[i]);
        bool better = best == NODE_NONE || crowd > best_crowd;
        if (!better && crowd == best_crowd) {
            uint32_t load = work->load[i];
            better = load > work->load[best] ||
                     (load == work->load[best] && lot(group, i) < lot(group, best));
        }
        best = better ? i : best;
        best_crowd = better ? crowd : best_crowd;
    }
    return best;
}

node_index place_to_lead(const struct place_work *work, uint32_t group, uint16_t set)
{
    node_index best = NODE_NONE;
    for (uint32_t rest = set; rest != 0; rest &= rest - 1) {
        node_index i = set_first(rest);
        bool better = best == NODE_NONE || work->leads[i] < work->leads[best] ||
                      (work->leads[i] == work->leads[best] && lot(group, i) < lot(group, best));
        best = better ? i : best;
    }
    return best;
}

static void count(struct place_work *work, uint16_t set, node_index leads, int32_t by)
{
    for (uint32_t rest = set; rest != 0; rest &= rest - 1) {
        work->load[set_first(rest)] += (uint32_t)by;
    }
    if (leads != NODE_NONE) {
        work->leads[leads] += (uint32_t)by;
    }
}

void place_set_wish(struct place_work *work, struct place_item *item, uint16_t wish,
                    enum place_reason reason)
{
    qr_assert(wish != 0);
    count(work, item->wish, NODE_NONE, -1);
    count(work, wish, NODE_NONE, 1);
    item->reason = item->reason == 0 ? (uint8_t)reason : item->reason;
    item->wish = wish;
}

void place_set_prefers(struct place_work *work, struct place_item *item, node_index prefers)
{
    count(work, 0, item->prefers, -1);
    count(work, 0, prefers, 1);
    item->prefers = prefers;
    item->reason = item->reason == 0 ? PLACE_LEADS : item->reason;
}

/* --- Zones that ACK names (PL6) --------------------------------------------------------------- */

static struct place_home home_of(const struct map *map, const struct map_keyspace *keyspace)
{
    if (keyspace == NULL || !strategy_has_views(keyspace)) {
        return (struct place_home){ 0 };
    }
    const struct ack *ack = &keyspace->primary.ack;
    struct place_home home = { .nodes = strategy_zone(map, ack->zone) };
    home.least = ack->zone[0] == 0 ? 0 : ack->kind == ACK_ANY ? (uint16_t)(ack->n + 1) : 1;
    return home;
}

/* One of those that are missing there, if it can be had. */
static node_index to_add(const struct place_work *work, uint32_t group,
                         const struct place_home *home, uint16_t set, uint16_t from)
{
    node_index node = NODE_NONE;
    if (!place_keeps_home(home, set)) {
        node = place_to_add(work, group, set, (uint16_t)(from & home->nodes));
    }
    return node != NODE_NONE ? node : place_to_add(work, group, set, from);
}

/* None of those that are needed there, if there are others. */
static node_index to_drop(const struct place_work *work, uint32_t group,
                          const struct place_home *home, uint16_t set, uint16_t from)
{
    uint16_t others = (uint16_t)(from & ~home->nodes);
    bool spare = quorum_count((uint16_t)(set & home->nodes)) > home->least;
    return place_to_drop(work, group, set, spare || others == 0 ? from : others);
}

static void load_map(struct place_work *work, const struct map *map)
{
    work->item = qr_alloc(map_partition_count(map) * sizeof *work->item);
    const struct map_partition *p = map_partition_after(map, 0);
    for (; p != NULL; p = map_partition_after(map, p->group)) {
        const struct map_keyspace *keyspace = map_keyspace(map, p->keyspace);
        if (keyspace != NULL && keyspace->state == KEYSPACE_IN_USE) {
            work->item[work->count++] = (struct place_item){ .partition = p,
                                                             .home = home_of(map, keyspace),
                                                             .wish = p->wish,
                                                             .replicas = keyspace->replicas,
                                                             .prefers = p->prefers };
            count(work, p->wish, p->prefers, 1);
        }
    }
}

/* --- New keyspaces -------------------------------------------------------------------------- */

enum place_status place_check_replicas(const struct map *map, const struct place_nodes *nodes,
                                       uint32_t replicas)
{
    struct place_work work;
    place_begin(&work, map, nodes);
    return replicas == 0 || replicas > MEMBERS_MAX ? PLACE_NO_REPLICAS
           : replicas > quorum_count(work.usable)  ? PLACE_TOO_FEW_NODES
                                                   : PLACE_OK;
}

enum place_status place_check(const struct map *map, const struct place_nodes *nodes,
                              uint32_t replicas, uint32_t partitions)
{
    enum place_status status = place_check_replicas(map, nodes, replicas);
    return status != PLACE_OK                                           ? status
           : partitions == 0 || partitions > SLOTS                      ? PLACE_NO_PARTITIONS
           : map_partition_count(map) + partitions > PARTITIONS_MAX + 1 ? PLACE_TOO_MANY_PARTITIONS
           : map_keyspace_count(map) >= KEYSPACES_MAX                   ? PLACE_TOO_MANY_KEYSPACES
           : partitions > UINT32_MAX - map_settings(map)->next_group    ? PLACE_NO_GROUPS
                                                                        : PLACE_OK;
}

void place_found(const struct map *map, const struct place_nodes *nodes, uint32_t replicas,
                 uint32_t first_group, uint32_t partitions, const struct map_keyspace *keyspace,
                 struct placement *out)
{
    struct place_work work;
    struct place_home home = home_of(map, keyspace);
    place_begin(&work, map, nodes);
    load_map(&work, map);
    for (uint32_t i = 0; i < partitions; i++) {
        uint16_t set = 0;
        for (uint32_t n = 0; n < replicas; n++) {
            node_index node = to_add(&work, first_group + i, &home, set, work.usable);
            qr_assert(node != NODE_NONE); /* place_check */
            set |= node_bit(node);
        }
        node_index leads = place_to_lead(&work, first_group + i, set);
        count(&work, set, leads, 1);
        out[i] = (struct placement){ .nodes = set, .leads = leads };
    }
    free(work.item);
}

void place_explain(enum place_status status, const struct map *map, const struct place_nodes *nodes,
                   uint32_t replicas, uint32_t partitions, struct text *out)
{
    struct place_work work;
    place_begin(&work, map, nodes);
    switch (status) {
    case PLACE_OK:
        return;
    case PLACE_NO_REPLICAS:
        text_put(out, "ERR a partition has from 1 to ");
        text_u64(out, MEMBERS_MAX);
        text_put(out, " replicas");
        break;
    case PLACE_TOO_FEW_NODES:
        text_put(out, "ERR ");
        text_u64(out, replicas);
        text_put(out, " replicas need as many nodes that are up and do not drain, there are ");
        text_u64(out, quorum_count(work.usable));
        break;
    case PLACE_NO_PARTITIONS:
        text_put(out, "ERR a keyspace has from 1 to ");
        text_u64(out, SLOTS);
        text_put(out, " partitions");
        break;
    case PLACE_TOO_MANY_PARTITIONS:
        text_put(out, "ERR ");
        text_u64(out, partitions);
        text_put(out, " partitions more would be more than ");
        text_u64(out, PARTITIONS_MAX);
        text_put(out, " in the cluster");
        break;
    case PLACE_TOO_MANY_KEYSPACES:
        text_put(out, "ERR there are ");
        text_u64(out, map_keyspace_count(map));
        text_put(out, " keyspaces already");
        break;
    case PLACE_NO_GROUPS:
        text_put(out, "ERR all numbers of groups were given, and none is given twice");
        break;
    }
    text_put(out, ", nothing was changed");
}

/* --- Plans ---------------------------------------------------------------------------------- */

/* Why the nodes that it must leave are to be left. */
static enum place_reason why(const struct place_work *work, uint16_t leaves)
{
    return (leaves & ~work->draining) != 0 ? PLACE_REPLACES
           : leaves != 0                   ? PLACE_DRAINS
                                           : PLACE_RESIZES;
}

/* Replicas elsewhere make room for those that ACK wants there. */
static uint16_t go_home(const struct place_work *work, uint32_t group,
                        const struct place_home *home, uint16_t set)
{
    while (!place_keeps_home(home, set)) {
        uint16_t others = (uint16_t)(set & ~home->nodes);
        node_index node = place_to_add(work, group, set, (uint16_t)(work->usable & home->nodes));
        if (node == NODE_NONE || others == 0) {
            break;
        }
        set &= (uint16_t)~node_bit(place_to_drop(work, group, set, others));
        set |= node_bit(node);
    }
    return set;
}

/* As many replicas as are wanted, on nodes that may have them; where there are too few, nodes that
 * should be left keep theirs: first those that drain, which still have all of it. */
static void repair(struct place_work *work, struct place_item *item)
{
    uint32_t group = item->partition->group;
    uint16_t leaves = (uint16_t)(item->wish & ~work->able);
    uint16_t set = (uint16_t)(item->wish & work->able);
    uint16_t sources[] = { work->usable, (uint16_t)(leaves & work->draining), leaves };
    for (uint32_t i = 0; i < ARRAY_COUNT(sources); i++) {
        while (quorum_count(set) < item->replicas) {
            node_index node = to_add(work, group, &item->home, set, sources[i]);
            if (node == NODE_NONE) {
                break;
            }
            set |= node_bit(node);
        }
    }
    while (quorum_count(set) > item->replicas) {
        uint16_t away = (uint16_t)(set & ~work->usable);
        node_index node = to_drop(work, group, &item->home, set, away != 0 ? away : set);
        set = (uint16_t)(set & ~node_bit(node));
    }
    uint16_t gone = go_home(work, group, &item->home, set);
    enum place_reason reason = leaves == 0 && gone != set ? PLACE_PARTS : why(work, leaves);
    set = gone;
    bool leaves_home =
        place_keeps_home(&item->home, item->wish) && !place_keeps_home(&item->home, set);
    set = leaves_home ? item->wish : set;
    work->stuck += (set & leaves) != 0 || quorum_count(set) < item->replicas;
    if (set != item->wish) {
        place_set_wish(work, item, set, reason);
    }
}

/* Whoever prefers to lead holds a replica, and does not drain if another one does not. */
static void repair_prefers(struct place_work *work, struct place_item *item)
{
    uint16_t fit = item->wish & work->able;
    fit = fit != 0 ? fit : item->wish;
    uint16_t up = fit & work->usable;
    bool fits = item->prefers != NODE_NONE && (fit & node_bit(item->prefers)) != 0;
    if (!fits) {
        place_set_prefers(work, item,
                          place_to_lead(work, item->partition->group, up != 0 ? up : fit));
    }
}

static int in_order(const void *a, const void *b)
{
    const struct place_change *x = a;
    const struct place_change *y = b;
    return x->reason != y->reason ? (x->reason < y->reason ? -1 : 1)
                                  : (x->group > y->group) - (x->group < y->group);
}

void place_plan(const struct map *map, const struct place_nodes *nodes, bool balancing,
                struct place_plan *out)
{
    struct place_work work;
    place_begin(&work, map, nodes);
    load_map(&work, map);
    for (uint32_t i = 0; i < work.count; i++) {
        repair(&work, &work.item[i]);
    }
    if (balancing) {
        place_part_zones(&work);
        place_even_replicas(&work);
    }
    for (uint32_t i = 0; i < work.count; i++) {
        repair_prefers(&work, &work.item[i]);
    }
    if (balancing) {
        place_even_leads(&work);
    }
    *out = (struct place_plan){ .stuck = work.stuck };
    out->change = qr_alloc(work.count * sizeof *out->change);
    for (uint32_t i = 0; i < work.count; i++) {
        const struct place_item *item = &work.item[i];
        const struct map_partition *p = item->partition;
        if (item->wish != p->wish || item->prefers != p->prefers) {
            out->change[out->count++] = (struct place_change){
                .group = p->group,
                .before = p->wish,
                .wish = item->wish,
                .prefers = item->prefers,
                .reason = item->wish != p->wish ? item->reason : PLACE_LEADS,
            };
        }
    }
    qsort(out->change, out->count, sizeof *out->change, in_order);
    free(work.item);
}

void place_plan_free(struct place_plan *plan)
{
    free(plan->change);
    *plan = (struct place_plan){ 0 };
}

/* Whether what is under way for a partition cannot end, because a node that it needs is gone. */
static bool is_lost(const struct map_partition *p, const struct place_nodes *nodes)
{
    return (p->wish & (nodes->gone | ~(uint32_t)nodes->members)) != 0;
}

/* Whether those nodes can give what its ACK says: else its members do not change (succession_turn),
 * so a move there does not end. */
static bool gives_ack(const struct map *map, const struct map_partition *p, uint16_t wish)
{
    const struct map_keyspace *keyspace = map_keyspace(map, p->keyspace);
    if (keyspace == NULL || !strategy_has_views(keyspace)) {
        return true;
    }
    struct succession_wish rule = strategy_wish(map, keyspace, wish);
    return succession_wish_is_sound(&rule);
}

/* Whether something else may be begun in place of what is under way (PL5). */
static bool is_in_vain(const struct map *map, const struct map_partition *p,
                       const struct place_nodes *nodes, uint16_t wish)
{
    return is_lost(p, nodes) || (!gives_ack(map, p, p->wish) && gives_ack(map, p, wish));
}

uint32_t place_due(const struct map *map, const struct place_nodes *nodes,
                   const struct place_plan *plan, uint32_t moves, struct map_partition *out,
                   uint32_t cap)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < plan->count && n < cap; i++) {
        const struct place_change *change = &plan->change[i];
        const struct map_partition *p = map_partition(map, change->group);
        if (p == NULL || p->wish != change->before) {
            continue; /* the plan is older than the map */
        }
        bool moves_it = change->wish != p->wish;
        bool again = p->settled < p->epoch; /* instead of what is under way */
        if (moves_it && (again ? !is_in_vain(map, p, nodes, change->wish) : moves == 0)) {
            continue; /* PL5 */
        }
        moves -= moves_it && !again;
        out[n] = *p;
        map_wish(&out[n], change->wish, change->prefers);
        n++;
    }
    return n;
}

/* --- Figures -------------------------------------------------------------------------------- */

uint32_t place_under_way(const struct map *map)
{
    uint32_t n = 0;
    const struct map_partition *p = map_partition_after(map, 0);
    for (; p != NULL; p = map_partition_after(map, p->group)) {
        n += p->settled < p->epoch;
    }
    return n;
}

uint32_t place_held(const struct map *map, node_index node)
{
    uint32_t n = 0;
    const struct map_partition *p = map_partition_after(map, 0);
    for (; p != NULL; p = map_partition_after(map, p->group)) {
        n += (p->held & node_bit(node)) != 0;
    }
    return n;
}

const char *place_reason_name(enum place_reason reason)
{
    switch (reason) {
    case PLACE_REPLACES:
        return "replace";
    case PLACE_DRAINS:
        return "drain";
    case PLACE_RESIZES:
        return "resize";
    case PLACE_PARTS:
        return "zones";
    case PLACE_EVENS:
        return "balance";
    case PLACE_LEADS:
        return "lead";
    }
    return "none";
}
