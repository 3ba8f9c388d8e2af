/* The keyspace that an order names: orders.h. */
#include "node/orders.h"

#include "node/keyspace_options.h"
#include "node/node.h"

#define NAME_REFUSED_BYTES 256u

const struct map_keyspace *orders_keyspace(struct node *node, struct pending *p, struct span name)
{
    const struct map_keyspace *k = keyspace_find(node->map, name);
    if (k == NULL) {
        char why[NAME_REFUSED_BYTES];
        struct text text = text_in(why, sizeof why);
        keyspace_unknown(&text, name);
        orders_refuse(p, "%s, nothing was changed", why);
    }
    return k;
}
