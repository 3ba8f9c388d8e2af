#include "cluster/position.h"

#include <string.h>

void losses_add(struct lineage *losses, qr_term term, qr_slot kept)
{
    losses->counted = true;
    losses->count = (uint16_t)(losses->count + (losses->count < POSITION_LOSSES_MAX ? 1 : 0));
    if (losses->listed == LOSSES_LISTED) {
        losses->listed--;
        memmove(losses->last, losses->last + 1, losses->listed * sizeof losses->last[0]);
    }
    losses->last[losses->listed++] = (struct loss_kept){ term, kept };
}

bool losses_by(const struct lineage *losses, qr_term term, uint16_t *count)
{
    uint32_t later = 0;
    while (later < losses->listed && losses->last[losses->listed - 1 - later].term > term) {
        later++;
    }
    *count = (uint16_t)(losses->count - later);
    return losses->counted && losses->count < POSITION_LOSSES_MAX &&
           (later < losses->listed || later == losses->count);
}

/* Whether all losses behind that position, and up to `count`, kept it. */
static bool is_kept(const struct lineage *losses, uint16_t count, qr_slot position)
{
    uint32_t first = losses->count - losses->listed; /* so many are not listed */
    bool kept = losses->counted && losses->count < POSITION_LOSSES_MAX && count <= losses->count &&
                position_losses(position) >= first;
    for (uint32_t i = position_losses(position); kept && i < count; i++) {
        kept = losses->last[i - first].kept >= position_slot(position);
    }
    return kept;
}

qr_slot position_here(const struct lineage *losses, uint16_t count, qr_slot position)
{
    bool here = position_losses(position) <= count && is_kept(losses, count, position);
    return here ? position_slot(position) : POSITION_NEVER;
}

bool position_join(const struct lineage *losses, qr_slot *known, qr_slot more)
{
    qr_slot older = min_u64(*known, more), newer = max_u64(*known, more);
    if (losses == NULL || older == 0 || position_losses(older) == position_losses(newer)) {
        *known = newer; /* O1 */
        return true;
    }
    uint16_t count = position_losses(newer);
    bool sure = losses->counted && count <= losses->count;
    bool kept = sure && is_kept(losses, count, older); /* O2 */
    *known = kept ? position_of(count, max_u64(position_slot(older), position_slot(newer))) : older;
    return sure;
}
