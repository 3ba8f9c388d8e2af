#include "node/keeper.h"

#include "base/alloc.h"
#include "node/node.h"

struct keeper {
    struct node *node;
    qr_slot slot;
    bool busy;
};

struct keeper *keeper_new(struct node *node)
{
    struct keeper *keeper = qr_zalloc(sizeof *keeper);
    keeper->node = node;
    return keeper;
}

void keeper_free(struct keeper *keeper)
{
    free(keeper);
}

bool keeper_load(struct keeper *keeper, qr_slot *slot, qr_term *term, char *message, size_t cap)
{
    (void)message;
    (void)cap;
    *slot = keeper->slot;
    *term = 0;
    return true;
}

void keeper_turn(struct keeper *keeper)
{
    keeper->busy = engine_idle(keeper->node->engine);
}

bool keeper_busy(const struct keeper *keeper)
{
    return keeper->busy;
}

qr_slot keeper_slot(const struct keeper *keeper)
{
    return keeper->slot;
}
