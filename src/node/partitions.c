#include "node/partitions.h"

#include "base/alloc.h"
#include "cluster/map.h"
#include "node/node.h"

/* Groups are numbered one after the other: any odd factor spreads them. */
static uint32_t home_of(const struct partitions *ps, uint32_t group)
{
    return group * 2654435761u & (ps->place_count - 1);
}

/* Where the group is, or where it would stand. */
static uint32_t find_place(const struct partitions *ps, uint32_t group)
{
    uint32_t at = home_of(ps, group);
    while (ps->places[at].index != 0 && ps->places[at].group != group) {
        at = (at + 1) & (ps->place_count - 1);
    }
    return at;
}

struct partition *partition_of_group(const struct node *node, uint32_t group)
{
    const struct partitions *ps = &node->partitions;
    if (ps->count == 0) {
        return NULL;
    }
    uint32_t index = ps->places[find_place(ps, group)].index;
    return index != 0 ? ps->all[index - 1] : NULL;
}

static void set_place(struct partitions *ps, uint32_t group, uint32_t index)
{
    ps->places[find_place(ps, group)] = (struct partition_place){ .group = group, .index = index };
}

static void spread(struct partitions *ps)
{
    free(ps->places);
    ps->place_count = ps->cap * 2;
    ps->places = qr_zalloc(ps->place_count * sizeof *ps->places);
    for (uint32_t i = 0; i < ps->count; i++) {
        set_place(ps, ps->all[i]->group, i + 1);
    }
}

struct partition *partitions_add(struct node *node, uint32_t group)
{
    struct partitions *ps = &node->partitions;
    qr_assert(partition_of_group(node, group) == NULL);
    qr_assert(group == 0 || ps->count > 0);
    struct partition *p = partition_new(node, group);
    if (ps->count == ps->cap) {
        ps->cap = ps->cap == 0 ? 16 : ps->cap * 2;
        ps->all = qr_realloc(ps->all, ps->cap * sizeof *ps->all);
        spread(ps);
    }
    p->index = ps->count;
    ps->all[ps->count++] = p;
    set_place(ps, group, ps->count);
    return p;
}

struct partition *partitions_of_map(struct node *node, uint32_t group)
{
    struct partition *p = partition_of_group(node, group);
    bool added = p == NULL && map_partition(node->map, group) != NULL;
    return added ? partitions_add(node, group) : p;
}

/* Those behind a place that is free now move up, as far as they may. */
static void free_place(struct partitions *ps, uint32_t at)
{
    uint32_t mask = ps->place_count - 1;
    for (uint32_t next = (at + 1) & mask; ps->places[next].index != 0; next = (next + 1) & mask) {
        uint32_t home = home_of(ps, ps->places[next].group);
        if (((next - home) & mask) >= ((next - at) & mask)) {
            ps->places[at] = ps->places[next];
            at = next;
        }
    }
    ps->places[at].index = 0;
}

void partitions_remove(struct partition *p)
{
    struct partitions *ps = &p->node->partitions;
    qr_assert(p->group != 0);
    qr_assert(ps->all[p->index] == p);
    schedule_forget(p);
    free_place(ps, find_place(ps, p->group));
    struct partition *last = ps->all[ps->count - 1];
    if (last != p) {
        set_place(ps, last->group, p->index + 1);
        ps->all[p->index] = last;
        last->index = p->index;
    }
    ps->count--;
    partition_free(p);
}

void partitions_free(struct partitions *ps)
{
    for (uint32_t i = 0; i < ps->count; i++) {
        partition_free(ps->all[i]);
    }
    free(ps->all);
    free(ps->places);
    schedule_free(&ps->schedule);
}
