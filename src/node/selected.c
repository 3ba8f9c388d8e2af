#include "node/selected.h"

#include "base/number.h"
#include "cluster/map.h"
#include "node/node.h"

#include <limits.h>

bool route_is_plain(const struct node *node, const struct selected *selected)
{
    return selected->keyspace == 0 && !map_has_prefixes(node->map) &&
           node->contact.coverage.frozen.count == 0;
}

static bool is_there(const struct map_keyspace *keyspace)
{
    return keyspace != NULL && keyspace->state != KEYSPACE_DROPPING;
}

const struct map_keyspace *route_keyspace(const struct node *node, const struct selected *selected)
{
    const struct map_keyspace *keyspace = map_keyspace(node->map, selected->keyspace);
    return is_there(keyspace) && keyspace->first_group == selected->first_group ? keyspace : NULL;
}

/* --- SELECT --------------------------------------------------------------------------------- */

static void choose(const struct map_keyspace *keyspace, struct selected *out)
{
    *out = (struct selected){ .keyspace = keyspace->id, .first_group = keyspace->first_group };
}

/* It may be there, for all that this node knows (holding.h). */
static void refuse_unknown(const struct node *node, const char *error, struct reply *reply)
{
    reply_error(reply, node->holding.current ? error : SELECTED_UNKNOWN);
}

/* A number: Redis's words where it is none that there is. */
static bool select_number(const struct node *node, int64_t number, struct selected *out,
                          struct reply *reply)
{
    bool fits = number >= 0 && number <= KEYSPACE_ID_MAX;
    const struct map_keyspace *keyspace =
        fits && number >= DATABASES ? map_keyspace(node->map, (uint32_t)number) : NULL;
    if (number < INT_MIN || number > INT_MAX) {
        reply_errorf(reply, "ERR value is out of range, value must between %d and %d", INT_MIN,
                     INT_MAX);
    } else if (number >= 0 && number < DATABASES) {
        choose(map_keyspace(node->map, 0), out);
        out->db = (uint8_t)number;
        return true;
    } else if (is_there(keyspace)) {
        choose(keyspace, out);
        return true;
    } else if (fits && number >= DATABASES) {
        refuse_unknown(node, "ERR DB index is out of range", reply);
    } else {
        reply_error(reply, "ERR DB index is out of range");
    }
    return false;
}

bool route_select(const struct node *node, struct span what, struct selected *out,
                  struct reply *reply)
{
    int64_t number;
    if (number_from(what, &number)) {
        return select_number(node, number, out, reply);
    }
    const struct map_keyspace *keyspace = map_keyspace_named(node->map, what);
    if (!is_there(keyspace)) {
        refuse_unknown(node, "ERR value is not an integer or out of range", reply);
        return false;
    }
    choose(keyspace, out);
    return true;
}
