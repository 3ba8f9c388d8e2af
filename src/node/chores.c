#include "node/chores.h"

#include "protocol/protocol.h"

/* Everything of it that a chore acts upon without being called again for that. */
static uint32_t sight_of(const struct outlook *o)
{
    bool decided = o->membership_slot <= o->commit;
    return (uint32_t)o->role | (uint32_t)o->leader << 2 | (uint32_t)o->transfer_to << 10 |
           (uint32_t)o->can_serve << 18 | (uint32_t)o->forgetful << 19 | (uint32_t)o->skewed << 20 |
           (uint32_t)o->stands_back << 21 | (uint32_t)decided << 22;
}

void chores_outlook(struct chores *c, const struct outlook *o)
{
    uint32_t sight = sight_of(o);
    if (sight != c->seen || o->term != c->seen_term || o->membership_slot != c->seen_members) {
        c->seen = sight;
        c->seen_term = o->term;
        c->seen_members = o->membership_slot;
        c->stirred = true;
    }
}

bool chores_due(const struct chores *chores, bool special, qr_time now, qr_time due,
                uint64_t position)
{
    return special || chores->stirred || chores->stays || now >= due ||
           position >= chores->position;
}
