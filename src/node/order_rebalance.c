/* REBALANCE and MEMBER DRAIN. */
#include "node/orders.h"

#include "node/control.h"

void order_cmd_REBALANCE(struct node *node, struct pending *p, const struct span *argv,
                         uint32_t argc)
{
    (void)node;
    (void)argv;
    (void)argc;
    orders_refuse(p, "ERR REBALANCE is not built yet, nothing was changed");
}

void order_cmd_MEMBER_DRAIN(struct node *node, struct pending *p, const struct span *argv,
                            uint32_t argc)
{
    (void)node;
    (void)argv;
    (void)argc;
    orders_refuse(p, "ERR MEMBER DRAIN is not built yet, nothing was changed");
}
