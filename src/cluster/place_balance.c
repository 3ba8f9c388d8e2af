/* Spreading anew: first zones, then numbers of replicas, then who leads. Each change makes one of
 * them better and none before it worse, so that this ends, and nothing moves twice. */
#include "cluster/place_internal.h"

#include "base/panic.h"
#include "protocol/quorum.h"

#include <string.h>

/* --- Zones ---------------------------------------------------------------------------------- */

void place_part_zones(struct place_work *work)
{
    for (uint32_t i = 0; i < work->count; i++) {
        struct place_item *item = &work->item[i];
        uint32_t crowd = place_crowd(work, item->wish);
        while (crowd > 0) {
            uint32_t group = item->partition->group;
            node_index from = place_to_drop(work, group, item->wish, item->wish);
            uint16_t rest = (uint16_t)(item->wish & ~node_bit(from));
            node_index to = place_to_add(work, group, item->wish, work->usable);
            uint16_t wish = (uint16_t)(rest | (to == NODE_NONE ? 0 : node_bit(to)));
            if (to == NODE_NONE || place_crowd(work, wish) >= crowd ||
                !place_keeps_home(&item->home, wish)) {
                break;
            }
            place_set_wish(work, item, wish, PLACE_PARTS);
            crowd = place_crowd(work, wish);
        }
    }
}

/* --- Numbers of replicas -------------------------------------------------------------------- */

/* A pair of nodes whose numbers differ by two or more, and where the search for a partition that
 * can pass from one to the other has come to. */
struct pairs {
    uint32_t next[MEMBERS_MAX][MEMBERS_MAX];
};

static bool can_pass(const struct place_work *work, const struct place_item *item, node_index from,
                     node_index to)
{
    uint16_t without = (uint16_t)(item->wish & ~node_bit(from));
    uint16_t with = (uint16_t)(without | node_bit(to));
    return without != item->wish && (item->wish & node_bit(to)) == 0 &&
           place_crowd(work, with) <= place_crowd(work, item->wish) &&
           place_keeps_home(&item->home, with);
}

/* The two that differ most and are not searched through; false: none. */
static bool widest(const struct place_work *work, const struct pairs *pairs, node_index *from,
                   node_index *to)
{
    uint32_t width = 1;
    for (uint32_t a = work->able; a != 0; a &= a - 1) {
        for (uint32_t b = work->usable; b != 0; b &= b - 1) {
            node_index high = set_first(a);
            node_index low = set_first(b);
            uint32_t more = work->load[high];
            uint32_t less = work->load[low];
            if (more > less && more - less > width && pairs->next[high][low] < work->count) {
                width = more - less;
                *from = high;
                *to = low;
            }
        }
    }
    return width > 1;
}

void place_even_replicas(struct place_work *work)
{
    for (uint32_t moved = 1, rounds = 0; moved > 0 && rounds < MEMBERS_MAX; rounds++) {
        struct pairs pairs;
        node_index from;
        node_index to;
        memset(&pairs, 0, sizeof pairs);
        moved = 0;
        while (widest(work, &pairs, &from, &to)) {
            uint32_t at = pairs.next[from][to];
            while (at < work->count && !can_pass(work, &work->item[at], from, to)) {
                at++;
            }
            pairs.next[from][to] = at + 1;
            if (at < work->count) {
                struct place_item *item = &work->item[at];
                uint16_t wish = (uint16_t)((item->wish & ~node_bit(from)) | node_bit(to));
                place_set_wish(work, item, wish, PLACE_EVENS);
                moved++;
            }
        }
    }
}

/* --- Who leads ------------------------------------------------------------------------------ */

#define NO_ITEM UINT32_MAX

/* For each two nodes a partition that the first leads and the other could. */
static void find_chances(const struct place_work *work, uint32_t chance[MEMBERS_MAX][MEMBERS_MAX])
{
    memset(chance, 0xff, sizeof(uint32_t[MEMBERS_MAX][MEMBERS_MAX]));
    for (uint32_t i = 0; i < work->count; i++) {
        const struct place_item *item = &work->item[i];
        for (uint32_t rest = item->wish & work->usable; rest != 0; rest &= rest - 1) {
            node_index to = set_first(rest);
            uint32_t *one = &chance[item->prefers][to];
            *one = to != item->prefers && *one == NO_ITEM ? i : *one;
        }
    }
}

/* Leadership passes along a row of nodes, from one that has two more than the last: true. */
static bool pass_on(struct place_work *work, uint32_t chance[MEMBERS_MAX][MEMBERS_MAX],
                    node_index first)
{
    node_index before[MEMBERS_MAX];
    node_index queue[MEMBERS_MAX];
    uint32_t n = 0;
    uint32_t seen = node_bit(first);
    queue[n++] = first;
    for (uint32_t at = 0; at < n; at++) {
        node_index here = queue[at];
        if (work->leads[first] >= work->leads[here] + 2) {
            for (node_index to = here; to != first; to = before[to]) {
                place_set_prefers(work, &work->item[chance[before[to]][to]], to);
            }
            return true;
        }
        for (node_index to = 0; to < MEMBERS_MAX; to++) {
            if (chance[here][to] != NO_ITEM && (seen >> to & 1) == 0) {
                seen |= node_bit(to);
                before[to] = here;
                queue[n++] = to;
            }
        }
    }
    return false;
}

void place_even_leads(struct place_work *work)
{
    bool better = true;
    while (better) { /* most of it in one go */
        better = false;
        for (uint32_t i = 0; i < work->count; i++) {
            struct place_item *item = &work->item[i];
            uint16_t up = item->wish & work->usable;
            node_index least = place_to_lead(work, item->partition->group, up);
            if (least != NODE_NONE && work->leads[item->prefers] >= work->leads[least] + 2) {
                place_set_prefers(work, item, least);
                better = true;
            }
        }
    }
    better = true;
    while (better) { /* and the rest along rows */
        uint32_t chance[MEMBERS_MAX][MEMBERS_MAX];
        find_chances(work, chance);
        better = false;
        for (node_index i = 0; i < MEMBERS_MAX && !better; i++) {
            better = pass_on(work, chance, i);
        }
    }
}
