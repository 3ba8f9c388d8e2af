/* What the council has heard (council.h). */
#include "node/council_internal.h"

#include "base/alloc.h"
#include "cluster/follow.h"
#include "node/contact.h"
#include "node/control_internal.h"
#include "node/replica.h"

#include <stdlib.h>
#include <string.h>

struct council *council_new(void)
{
    return qr_zalloc(sizeof(struct council));
}

static void forget_all(struct council *c)
{
    for (uint32_t i = 0; i < c->count; i++) {
        hearing_free(&c->group[i]);
    }
    c->count = 0;
}

void council_free(struct council *c)
{
    forget_all(c);
    free(c->group);
    free(c);
}

/* --- What was heard --------------------------------------------------------------------------- */

/* Where the group is, or would stand. */
static uint32_t seat_of(const struct council *c, uint32_t group)
{
    uint32_t lo = 0, hi = c->count;
    while (lo < hi) {
        uint32_t mid = lo + (hi - lo) / 2;
        if (c->group[mid].group < group) {
            lo = mid + 1;
        } else {
            hi = mid;
        }
    }
    return lo;
}

struct hearing *council_find(const struct council *c, uint32_t group)
{
    uint32_t at = seat_of(c, group);
    return at < c->count && c->group[at].group == group ? &c->group[at] : NULL;
}

struct hearing *council_add(struct council *c, uint32_t group)
{
    uint32_t at = seat_of(c, group);
    if (at < c->count && c->group[at].group == group) {
        return &c->group[at];
    }
    if (c->count == c->cap) {
        c->cap = c->cap == 0 ? 16 : c->cap * 2;
        c->group = qr_realloc(c->group, c->cap * sizeof *c->group);
    }
    memmove(&c->group[at + 1], &c->group[at], (c->count - at) * sizeof *c->group);
    c->group[at] = (struct hearing){ .group = group };
    c->count++;
    return &c->group[at];
}

/* CN2. Whether this node leads group 0. */
bool council_look(struct node *node)
{
    struct council *c = node->control->council;
    const struct outlook *o = replica_seen(node->zero->replica);
    qr_term term = o->role == ROLE_LEADER ? o->term : 0;
    if (term != c->term) {
        forget_all(c);
        c->term = term;
        c->nodes = (struct hearing_nodes){ .since = node->clock };
        c->stirred = true;
    }
    return term != 0;
}

static void forget_node(struct council *c, node_index from)
{
    for (uint32_t i = 0; i < c->count; i++) {
        hearing_forget(&c->group[i], from);
    }
    c->stirred = true;
}

void council_life(struct node *node, node_index from, uint64_t life)
{
    struct council *c = node->control->council;
    if (council_look(node) && life != 0 && c->nodes.life[from] != life) {
        c->nodes.life[from] = life; /* H1 of hearing.h */
        c->stirred = true;
    }
}

void council_lost(struct node *node, node_index from)
{
    if (council_look(node)) {
        forget_node(node->control->council, from);
    }
}

static struct word word_of(const struct standing *s, uint64_t life)
{
    return (struct word){ .told = { .life = life,
                                    .promised = s->promised,
                                    .last_term = s->last_term,
                                    .last_slot = s->last_slot,
                                    .settled = s->settled,
                                    .forgetful = s->forgetful,
                                    .handed_over = s->closed,
                                    .handed_to = s->to },
                          .barred = s->barred,
                          .caught = s->caught };
}

void council_take(struct node *node, node_index from, const struct standings *told)
{
    struct council *c = node->control->council;
    if (!council_look(node)) {
        return; /* whoever leads is told anew (T3) */
    }
    council_life(node, from, told->life);
    if (told->whole) {
        forget_node(c, from);
    }
    for (uint32_t i = 0; i < told->count; i++) {
        const struct standing *s = &told->v[i];
        struct hearing *h = council_find(c, s->group);
        if (s->gone) {
            if (h != NULL) {
                hearing_forget(h, from);
            }
        } else if (!follow_is_gone(node->map, s->group) &&
                   (h != NULL || c->count < PARTITIONS_MAX)) {
            struct word word = word_of(s, told->life);
            hearing_take(council_add(c, s->group), from, &word, node->clock);
        }
    }
    c->stirred = c->stirred || told->count > 0;
    node_stir(node);
}

bool council_receive(struct node *node, node_index from, struct span head)
{
    struct standings *told = &node->control->council->received;
    if (!standings_read(head, told)) {
        return false;
    }
    council_take(node, from, told);
    return true;
}

struct council_figures council_figures(const struct node *node)
{
    return node->control->council->figures;
}
