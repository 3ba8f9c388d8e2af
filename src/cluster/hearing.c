#include "cluster/hearing.h"

#include "base/alloc.h"
#include "base/panic.h"
#include "protocol/quorum.h"

#include <stdlib.h>

void hearing_free(struct hearing *h)
{
    free(h->witness);
    h->witness = NULL;
    h->count = h->cap = 0;
}

static struct witness *find(const struct hearing *h, node_index node)
{
    for (uint32_t i = 0; i < h->count; i++) {
        if (h->witness[i].node == node) {
            return &h->witness[i];
        }
    }
    return NULL;
}

static struct witness *add(struct hearing *h, node_index node)
{
    if (h->count == h->cap) {
        h->cap = h->cap == 0 ? 3 : MEMBERS_MAX;
        h->witness = qr_realloc(h->witness, h->cap * sizeof *h->witness);
    }
    struct witness *w = &h->witness[h->count++];
    *w = (struct witness){ .node = node };
    return w;
}

void hearing_take(struct hearing *h, node_index node, const struct word *word, qr_time now)
{
    qr_assert(node < MEMBERS_MAX && word->told.life != 0);
    struct witness *w = find(h, node);
    w = w != NULL ? w : add(h, node);
    uint16_t caught = (uint16_t)(w->word.caught | word->caught); /* until now, or from now on */
    w->word = *word;
    h->calm = false;
    for (uint32_t i = 0; i < h->count; i++) {
        if ((caught & node_bit(h->witness[i].node)) != 0) {
            h->witness[i].caught_at = now;
        }
    }
}

void hearing_forget(struct hearing *h, node_index node)
{
    struct witness *w = find(h, node);
    h->calm = false;
    if (w != NULL) {
        *w = h->witness[--h->count];
    }
}

static qr_time later(qr_time a, qr_time b)
{
    return a > b ? a : b;
}

static const struct witness *primary_of(const struct hearing *h, const struct succession *record,
                                        const struct hearing_nodes *nodes)
{
    const struct witness *w = record->primary != NODE_NONE ? find(h, record->primary) : NULL;
    bool speaks = w != NULL && (nodes->alive & node_bit(w->node)) != 0 &&
                  w->word.told.life == nodes->life[w->node] &&
                  w->word.told.promised == record->term;
    return speaks ? w : NULL;
}

/* H2 */
static bool is_lost(const struct hearing *h, const struct hearing_nodes *nodes,
                    const struct witness *primary, node_index node)
{
    if ((nodes->alive & node_bit(node)) == 0) {
        qr_time since = later(later(nodes->away_since[node], nodes->since), h->since);
        return nodes->now - since > HEARING_PATIENCE_AWAY;
    }
    const struct witness *w = find(h, node);
    if (primary == NULL || w == NULL || node == primary->node ||
        (primary->word.caught & node_bit(node)) != 0) {
        return false;
    }
    return nodes->now - later(w->caught_at, h->since) > HEARING_PATIENCE_BEHIND;
}

static void look_at(const struct witness *w, const struct succession *record,
                    const struct hearing_nodes *nodes, struct succession_scene *out)
{
    struct succession_told *told = &out->told[w->node];
    if (nodes->life[w->node] != w->word.told.life) {
        return; /* H1 */
    }
    *told = w->word.told;
    if (w->word.barred && w->node == record->primary && told->promised == record->term) {
        told->life = ~record->life; /* it has led the term in what to the term is another life */
    }
}

void hearing_scene(struct hearing *h, const struct succession *record,
                   const struct hearing_nodes *nodes, struct succession_scene *out)
{
    if (h->term != record->term) {
        h->term = record->term;
        h->since = nodes->now;
    }
    *out = (struct succession_scene){ .alive = nodes->alive, .to = NODE_NONE };
    const struct witness *primary = primary_of(h, record, nodes);
    out->caught = primary != NULL ? primary->word.caught : 0;
    for (uint32_t i = 0; i < h->count; i++) {
        look_at(&h->witness[i], record, nodes, out);
    }
    for (node_index i = 0; i < MEMBERS_MAX; i++) {
        out->lost = (uint16_t)(out->lost | (is_lost(h, nodes, primary, i) ? node_bit(i) : 0));
    }
    node_index leads = record->primary != NODE_NONE ? record->primary : record->before;
    out->lease_over = leads == NODE_NONE || nodes->lease_gone[leads] > 0;
    out->grace_over = nodes->now - later(h->since, nodes->since) > HEARING_GRACE;
}
