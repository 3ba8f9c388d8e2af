#include "node/route.h"

#include "base/word.h"
#include "command/op.h"
#include "node/leaders.h"
#include "node/node.h"
#include "node/replica.h"

#include <string.h>

/* --- Where a key belongs -------------------------------------------------------------------- */

static bool is_of_zero(const struct map_keyspace *keyspace)
{
    return keyspace->id == 0;
}

/* K1 */
static const struct map_keyspace *keyspace_of(const struct node *node,
                                              const struct map_keyspace *selected, struct span key)
{
    const struct map_keyspace *other = NULL;
    if (is_of_zero(selected) && map_has_prefixes(node->map)) {
        other = map_keyspace_of_key(node->map, key);
    }
    return other != NULL ? other : selected;
}

/* Arguments that no key can be as long as have no slot: whichever partition says so. */
static uint32_t slot_of(struct span key)
{
    return op_is_ref(key) ? SLOTS : slot_of_key(key);
}

static uint32_t partition_index(const struct map_keyspace *keyspace, uint32_t slot)
{
    return slot == SLOTS ? 0 : slots_partition(slot, keyspace->partitions);
}

/* K6: its prefix is not covered, or frozen. Where the node was removed the router says that. */
static bool may_not_go(const struct node *node, bool by_prefix, bool some_frozen, struct span key)
{
    const struct coverage *c = &node->contact.coverage;
    return !node->removed && ((by_prefix && !coverage_holds(c, node->clock)) ||
                              (some_frozen && freeze_has(&c->frozen, key)));
}

/* The place of the first key, and whether the others are there too (K3). */
static void place_keys(const struct node *node, const struct key_range *keys,
                       const struct span *argv, struct route *out)
{
    const struct map_keyspace *selected = out->keyspace;
    bool some_frozen = is_of_zero(selected) && node->contact.coverage.frozen.count > 0;
    for (uint32_t i = keys->first; i < keys->end && out->kind == ROUTE_ONE; i += keys->step) {
        bool first = i == keys->first;
        const struct map_keyspace *keyspace = keyspace_of(node, selected, argv[i]);
        uint32_t slot = slot_of(argv[i]);
        bool by_prefix = keyspace != selected;
        out->by_prefix = out->by_prefix || by_prefix;
        if (may_not_go(node, by_prefix, some_frozen, argv[i])) {
            out->kind = ROUTE_UNSURE; /* K6 */
        } else if (first) {
            out->keyspace = keyspace;
            out->slot = slot;
        } else if (keyspace != out->keyspace) {
            out->other = keyspace;
            out->kind = ROUTE_KEYSPACES;
        } else if (partition_index(keyspace, slot) != partition_index(keyspace, out->slot)) {
            out->kind = ROUTE_SLOTS;
        }
    }
}

/* --- Databases ------------------------------------------------------------------------------ */

static bool is_named(const struct command_spec *spec, const char *name)
{
    return strcmp(spec->name, name) == 0;
}

/* K5: SWAPDB, MOVE, and COPY with DB. */
static bool is_between_databases(const struct command_spec *spec, const struct span *argv,
                                 uint32_t argc)
{
    if (is_named(spec, "copy")) {
        bool between = false;
        for (uint32_t i = 3; i + 1 < argc; i++) {
            between = between || (!op_is_ref(argv[i]) && word_is(argv[i], "DB"));
        }
        return between;
    }
    return is_named(spec, "move") || is_named(spec, "swapdb");
}

/* --- Routes --------------------------------------------------------------------------------- */

static void look_at(struct node *node, struct route *out, uint32_t group)
{
    out->partition = partitions_of_map(node, group);
    if (out->partition == NULL) {
        out->kind = ROUTE_UNPLACED;
        return;
    }
    out->leader = leaders_of(out->partition);
    out->here = out->leader == replica_me(node->zero->replica);
}

/* The partition, once the keyspace and the slot are known. */
static void find_partition(struct node *node, struct route *out)
{
    uint32_t group = 0;
    if (!is_of_zero(out->keyspace)) {
        uint32_t index = partition_index(out->keyspace, out->slot);
        const struct map_partition *p = map_partition_at(node->map, out->keyspace->id, index);
        out->kind = p == NULL ? ROUTE_UNPLACED : ROUTE_ONE;
        out->db = 0;
        group = p != NULL ? p->group : 0;
    }
    if (out->kind == ROUTE_ONE) {
        look_at(node, out, group);
    }
}

void route_of(struct node *node, const struct selected *selected, const struct command_spec *spec,
              const struct span *argv, uint32_t argc, struct route *out)
{
    struct key_range keys = command_keys(spec, argc);
    *out = (struct route){ .kind = ROUTE_ONE,
                           .keyspace = route_keyspace(node, selected),
                           .slot = SLOTS,
                           .db = selected->db,
                           .leader = NODE_NONE };
    if (out->keyspace == NULL) {
        out->kind = ROUTE_GONE;
        return;
    }
    if (spec->place == PLACE_ORDER) {
        out->keyspace = map_keyspace(node->map, 0);
    } else if (keys.first >= keys.end) {
        out->kind = out->keyspace->partitions > 1 ? ROUTE_ALL : ROUTE_ONE;
    } else {
        place_keys(node, &keys, argv, out);
    }
    if (!is_of_zero(out->keyspace) && is_between_databases(spec, argv, argc)) {
        out->kind = ROUTE_DATABASES;
    }
    if (out->keyspace->state == KEYSPACE_DROPPING) {
        out->kind = ROUTE_GONE;
    }
    if (out->kind == ROUTE_ONE) {
        find_partition(node, out);
    }
}

void route_of_slot(struct node *node, uint32_t keyspace, uint16_t slot, struct route *out)
{
    *out = (struct route){ .kind = ROUTE_ONE,
                           .keyspace = map_keyspace(node->map, keyspace),
                           .slot = slot,
                           .leader = NODE_NONE };
    if (out->keyspace == NULL) {
        out->kind = ROUTE_GONE;
    } else {
        find_partition(node, out);
    }
}

/* --- Refusals ------------------------------------------------------------------------------- */

void route_refuse(const struct route *route, const struct command_spec *spec, struct reply *reply)
{
    const char *name = route->keyspace != NULL ? route->keyspace->name : "";
    char upper[32];
    size_t n = 0;
    for (; spec->name[n] != 0 && n + 1 < sizeof upper; n++) {
        char c = spec->name[n];
        upper[n] = (char)(c >= 'a' && c <= 'z' ? c - 'a' + 'A' : c);
    }
    upper[n] = 0;
    switch (route->kind) {
    case ROUTE_SLOTS:
        reply_errorf(reply,
                     "CROSSSLOT Keys in request don't hash to the same slot (keyspace '%s' has %u "
                     "partitions: give the keys one {tag}), the command was not applied",
                     name, (unsigned)route->keyspace->partitions);
        return;
    case ROUTE_KEYSPACES:
        reply_errorf(reply,
                     "CROSSSLOT Keys in request belong to different keyspaces ('%s' and '%s', by "
                     "their prefixes), the command was not applied",
                     name, route->other->name);
        return;
    case ROUTE_DATABASES:
        reply_errorf(reply,
                     "ERR keyspace '%s' has one database: %s works between the databases of "
                     "keyspace 0",
                     name, upper);
        return;
    case ROUTE_GONE:
        reply_error(reply, "NOKEYSPACE the keyspace was dropped, the command was not applied: "
                           "SELECT another one");
        return;
    case ROUTE_UNSURE:
        reply_error(reply, "TRYAGAIN this node has not heard from group 0 and does not know where "
                           "the key's prefix leads now, the command was not applied");
        return;
    case ROUTE_UNPLACED:
        reply_errorf(reply,
                     "CLUSTERDOWN a partition of keyspace '%s' is still being made, the command "
                     "was not applied",
                     name);
        return;
    case ROUTE_ONE:
    case ROUTE_ALL:
        break;
    }
    qr_unreachable();
}
