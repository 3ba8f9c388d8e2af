/* KEYSPACE CREATE, ALTER and DROP: judged by the state that group 0's leader has applied, and
 * carried out as one change of it (control.h). What is refused changes nothing.
 *
 *   KEYSPACE CREATE name [ID n] STRATEGY raft|primary [REPLICAS n|VOTERS n] [PARTITIONS n]
 *                   [PARTITION hash] [PREFIX p:] [LEASE yes|no] [MAXMEMORY b] [MAXOPS n]
 *                   [READ level] [ACK spec] [IDMP-DURATION s] [IDMP-MAXSIZE n] [IDMP-MAXBYTES b]
 *                   [HISTORY t] [HISTORY-BYTES b]
 *                   and those of primary (cluster/primary_options.h)
 *   KEYSPACE ALTER name [REPLICAS n|VOTERS n] [PREFIX p:] [LEASE yes|no] [MAXMEMORY b] [MAXOPS n]
 *                  [READ level] [ACK spec] [IDMP-DURATION s] [IDMP-MAXSIZE n] [IDMP-MAXBYTES b]
 *                  [HISTORY t] [HISTORY-BYTES b]
 *   KEYSPACE DROP name [FORCE] */
#include "node/orders.h"

#include "base/limits.h"
#include "base/number.h"
#include "base/word.h"
#include "cluster/records.h"
#include "cluster/strategy.h"
#include "node/control_internal.h"
#include "node/keyspace_options.h"
#include "node/local_internal.h"
#include "node/placing.h"
#include "node/run.h"

#include <stdio.h>
#include <string.h>

#define WHY_BYTES 384u /* of a refusal */

typedef unsigned long long ull; /* what printf calls 64 bits */

static bool read_options(struct pending *p, const struct span *argv, uint32_t argc,
                         const struct map_keyspace *now, struct keyspace_options *out)
{
    char why[WHY_BYTES];
    struct text text = text_in(why, sizeof why);
    bool valid = keyspace_options_read(argv, argc, now, out, &text);
    if (!valid) {
        orders_refuse(p, "%s", why);
    }
    return valid;
}

/* --- What any keyspace must be ------------------------------------------------------------- */

/* Whether another keyspace has that prefix; refuses. */
static bool prefix_is_taken(struct node *node, struct pending *p, const struct map_keyspace *k)
{
    for (uint32_t i = 0; k->prefix_length > 0 && i < map_keyspace_count(node->map); i++) {
        const struct map_keyspace *other = map_keyspace_at(node->map, i);
        if (other->id != k->id && other->prefix_length == k->prefix_length &&
            memcmp(other->prefix, k->prefix, k->prefix_length) == 0) {
            orders_refuse(p,
                          "ERR PREFIX '%.*s' is that of keyspace '%s' already, nothing was changed",
                          (int)k->prefix_length, k->prefix, other->name);
            return true;
        }
    }
    return false;
}

/* Whether there is no room for so many replicas, of so many partitions more; 0: of those that are
 * there; refuses. */
static bool has_no_room(struct node *node, struct pending *p, uint32_t replicas,
                        uint32_t partitions)
{
    char why[WHY_BYTES];
    struct text text = text_in(why, sizeof why);
    struct place_nodes nodes = placing_nodes(node);
    enum place_status status = partitions == 0
                                   ? place_check_replicas(node->map, &nodes, replicas)
                                   : place_check(node->map, &nodes, replicas, partitions);
    if (status == PLACE_OK && partitions > 0 && !placing_can_found(node, replicas)) {
        status = PLACE_TOO_FEW_NODES; /* those that would do are not there, or have forgotten */
        nodes = placing_ready(node);
    }
    if (status != PLACE_OK) {
        place_explain(status, node->map, &nodes, replicas, partitions, &text);
        orders_refuse(p, "%s", why);
    }
    return status != PLACE_OK;
}

static bool level_is_too_low(struct node *node, struct pending *p)
{
    if (control_level(node) >= MAP_LEVEL_KEYSPACES) {
        return false;
    }
    orders_refuse(
        p,
        "UPGRADE keyspaces need level %u of the cluster, and level %u is active: when all nodes "
        "run this version, CLUSTER UPGRADE FINALIZE raises it; nothing was changed",
        MAP_LEVEL_KEYSPACES, control_level(node));
    return true;
}

/* The keyspace would say what only nodes of a higher level understand; refuses. */
static bool fields_need_level(struct node *node, struct pending *p, const struct map_keyspace *k)
{
    bool primary = strategy_has_views(k);
    uint32_t needed = primary ? primary_options_level(&k->primary) : MAP_LEVEL_REQUESTS;
    bool sessions = primary && k->read.level == READ_SESSION; /* cluster/position.h, O4 */
    needed = sessions ? MAP_LEVEL_FOLLOWERS : needed;
    if (!map_keyspace_has_fields(k) || control_level(node) >= needed) {
        return false;
    }
    orders_refuse(p,
                  "UPGRADE %s level %u of the cluster, and level %u is active: when all "
                  "nodes run this version, CLUSTER UPGRADE FINALIZE raises it; nothing was changed",
                  needed == MAP_LEVEL_PRIMARY ? "strategy primary needs" : "these options need",
                  needed, control_level(node));
    return true;
}

/* --- STRATEGY primary ------------------------------------------------------------------------- */

/* ACK asks for more copies than there will be, or contradicts what stands beside it; refuses. */
static bool primary_is_bad(struct node *node, struct pending *p, const struct map_keyspace *k)
{
    char why[WHY_BYTES];
    struct text text = text_in(why, sizeof why);
    if (!strategy_has_views(k)) {
        return false;
    }
    uint16_t members = placing_nodes(node).members;
    uint16_t in_zone = (uint16_t)(strategy_zone(node->map, k->primary.ack.zone) & members);
    uint32_t most = (uint32_t)__builtin_popcount(in_zone);
    bool good = primary_options_check(&k->primary, k->replicas, most, &text);
    if (!good) {
        orders_refuse(p, "%s", why);
    }
    return !good;
}

/* The fewest replicas with which the keyspace can be made. */
static uint32_t fewest_replicas(const struct keyspace_options *o)
{
    const struct ack *ack = &o->primary.ack;
    bool alone = o->strategy != STRATEGY_PRIMARY || ack->kind == ACK_LOCAL;
    return (o->given & GIVEN_REPLICA_COUNT) != 0 ? o->replicas
           : alone                               ? 1
           : ack->kind == ACK_ANY                ? ack->n + 1u
                                                 : 2;
}

/* A partition's nodes are enough and too few of them are in ACK's zone. */
static void refuse_zone(struct node *node, struct pending *p, const struct map_keyspace *k,
                        const struct map_partition *partition)
{
    char why[WHY_BYTES];
    struct text text = text_in(why, sizeof why);
    const char *between = " ";
    text_put(&text, "ERR ACK ");
    ack_put(&text, &k->primary.ack);
    text_put(&text, " asks for more than are in its zone of the nodes that partition ");
    text_u64(&text, partition->index);
    text_put(&text, " would have:");
    for (node_index i = 0; i < MEMBERS_MAX; i++) {
        if ((partition->wish >> i & 1) != 0) {
            text_put(&text, between);
            text_u64(&text, local_member(node, i)->id);
            between = ", ";
        }
    }
    text_put(&text, ", nothing was changed");
    orders_refuse(p, "%s", why);
}

/* Each partition has an equal share of a quota: that it is nothing cannot be meant, and none of
 * them keeps to less than one; refuses. */
static bool share_is_nothing(struct pending *p, const struct keyspace_options *o,
                             uint32_t partitions)
{
    bool no_byte = o->maxmemory != 0 && o->maxmemory < partitions;
    bool no_command = o->maxops != 0 && o->maxops < partitions;
    if (no_byte || no_command) {
        orders_refuse(
            p,
            "ERR %s %llu is less than a %s for each of the %u partitions (0 is no limit), "
            "nothing was changed",
            no_byte ? "MAXMEMORY" : "MAXOPS", (ull)(no_byte ? o->maxmemory : o->maxops),
            no_byte ? "byte" : "command a second", partitions);
    }
    return no_byte || no_command;
}

/* HISTORY, and in how many bytes, with what stands there already. Where there is none the record
 * says nothing of bytes (cluster/records.c), as it does of what is behind a prefix. */
static void take_history(struct map_keyspace *k, const struct keyspace_options *o)
{
    bool has_bytes = (o->given & GIVEN_HISTORY_BYTES) != 0;
    k->history_ms = (o->given & GIVEN_HISTORY) != 0 ? o->history_ms : k->history_ms;
    k->history_bytes = has_bytes ? o->history_bytes : k->history_bytes;
    k->history_bytes = k->history_bytes == 0 ? KEYSPACE_HISTORY_BYTES : k->history_bytes;
}

/* Whether a history cannot be kept as it was asked for; refuses. */
static bool history_is_bad(struct pending *p, const struct keyspace_options *o,
                           const struct map_keyspace *k)
{
    if (k->history_ms == 0) {
        bool bytes_of_nothing = (o->given & GIVEN_HISTORY_BYTES) != 0;
        if (bytes_of_nothing) {
            orders_refuse(p,
                          "ERR HISTORY-BYTES is for keyspaces with HISTORY, nothing was changed");
        }
        return bytes_of_nothing;
    }
    bool too_little = k->history_bytes / k->partitions < KEYSPACE_HISTORY_SHARE_MIN;
    if (too_little) {
        orders_refuse(
            p,
            "ERR HISTORY-BYTES %llu is less than %llu for each of the %u partitions, nothing "
            "was changed",
            (ull)k->history_bytes, (ull)KEYSPACE_HISTORY_SHARE_MIN, k->partitions);
    }
    return too_little;
}

/* --- CREATE ---------------------------------------------------------------------------------- */

static bool name_is_bad(struct node *node, struct pending *p, struct span name)
{
    char why[WHY_BYTES];
    struct text text = text_in(why, sizeof why);
    if (!keyspace_name_is_valid(name)) {
        text_put(&text, "ERR a keyspace's name is a letter and up to 62 letters, digits and _.- "
                        "behind it, not ");
        word_quote(&text, name);
        text_put(&text, ", nothing was changed");
        orders_refuse(p, "%s", why);
        return true;
    }
    const struct map_keyspace *k = map_keyspace_named(node->map, name);
    if (k != NULL) {
        orders_refuse(p, "ERR keyspace '%s' is there already, with ID %u, nothing was changed",
                      k->name, k->id);
    }
    return k != NULL;
}

/* The id behind the highest one, so that one that was dropped is not soon taken for another. */
static uint32_t next_id(const struct map *map)
{
    const struct map_keyspace *last = map_keyspace_at(map, map_keyspace_count(map) - 1);
    if (last->id < KEYSPACE_ID_MAX) {
        return last->id < KEYSPACE_FIRST_ID ? KEYSPACE_FIRST_ID : last->id + 1;
    }
    uint32_t id = KEYSPACE_FIRST_ID;
    while (map_keyspace(map, id) != NULL) {
        id++; /* KEYSPACES_MAX are fewer than there are ids */
    }
    return id;
}

static bool id_is_taken(struct node *node, struct pending *p, uint32_t id)
{
    const struct map_keyspace *k = id != 0 ? map_keyspace(node->map, id) : NULL;
    if (k != NULL) {
        orders_refuse(p, "ERR ID %u is that of keyspace '%s', nothing was changed", id, k->name);
    }
    return k != NULL;
}

static struct map_keyspace fresh_keyspace(struct node *node, struct span name,
                                          const struct keyspace_options *o)
{
    struct map_keyspace k = { .id = o->id != 0 ? o->id : next_id(node->map),
                              .first_group = map_settings(node->map)->next_group,
                              .partitions = o->partitions,
                              .strategy = o->strategy,
                              .partitioning = PARTITIONING_HASH,
                              .state = KEYSPACE_IN_USE,
                              .replicas = (uint8_t)o->replicas,
                              .lease = o->lease,
                              .prefix_length = o->prefix_length,
                              .maxmemory = o->maxmemory,
                              .maxops = o->maxops,
                              .idmp_bytes = o->idmp_bytes,
                              .idmp_count = o->idmp_count,
                              .idmp_seconds = o->idmp_seconds,
                              .read = o->read,
                              .ack_kind = (uint8_t)o->ack.kind,
                              .ack_stage = (uint8_t)o->ack.stage,
                              .created = (uint64_t)io_wall(node->io) };
    memcpy(k.name, name.p, name.n);
    memcpy(k.prefix, o->prefix, o->prefix_length);
    if (strategy_has_views(&k)) {
        k.primary = o->primary;
    }
    return k;
}

void order_cmd_KEYSPACE_CREATE(struct node *node, struct pending *p, const struct span *argv,
                               uint32_t argc)
{
    struct keyspace_options o;
    if (!read_options(p, argv + 1, argc - 1, NULL, &o) || !control_begins(node, p)) {
        return;
    }
    if (level_is_too_low(node, p) || name_is_bad(node, p, argv[0]) || id_is_taken(node, p, o.id)) {
        return;
    }
    /* By default as many as there are nodes for, until there are enough. */
    if (has_no_room(node, p, fewest_replicas(&o), o.partitions)) {
        return;
    }
    struct map_keyspace k = fresh_keyspace(node, argv[0], &o);
    take_history(&k, &o);
    if (prefix_is_taken(node, p, &k) || share_is_nothing(p, &o, k.partitions) ||
        fields_need_level(node, p, &k) || history_is_bad(p, &o, &k) ||
        primary_is_bad(node, p, &k)) {
        return;
    }
    struct edit edit = { 0 };
    struct map_partition refused;
    struct map_settings settings = *map_settings(node->map);
    settings.next_group += k.partitions;
    edit_settings(&edit, &settings);
    edit_keyspace(&edit, &k);
    if (!placing_found(node, &k, &edit, &refused)) {
        edit_free(&edit);
        refuse_zone(node, p, &k, &refused);
        return;
    }
    node_log(node, NODE_LOG_NOTICE, "KEYSPACE CREATE %s was ordered: ID %u, %u partitions", k.name,
             k.id, k.partitions);
    control_propose(node, p, &edit, k.id);
}

/* --- ALTER ----------------------------------------------------------------------------------- */

/* What keyspace 0 has no say in. */
static bool is_not_for_zero(struct pending *p, const struct map_keyspace *k, uint32_t given)
{
    const char *why = k->id != 0                           ? NULL
                      : (given & GIVEN_REPLICA_COUNT) != 0 ? "REPLICAS: MEMBER PROMOTE and DEMOTE "
                                                             "say who votes for it"
                      : (given & GIVEN_LEASE) != 0         ? "LEASE: the setting read-mode of each "
                                                             "node is it"
                      : (given & GIVEN_PREFIX) != 0 ? "PREFIX: keys without a route are its own"
                                                    : NULL;
    if (why != NULL) {
        orders_refuse(p, "ERR keyspace 0 has no %s, nothing was changed", why);
    }
    return why != NULL;
}

/* Why figures that were asked for did not all come; empty: they did. */
static void why_not_known(struct node *node, const struct pending *p, const struct map_keyspace *k,
                          const struct keyspace_use *use, char *out, size_t cap)
{
    out[0] = 0;
    if (use->partitions < k->partitions) {
        (void)snprintf(out, cap, "%u of its %u partitions have no leader",
                       k->partitions - use->partitions, k->partitions);
    } else if (!reports_answered(node, p->slot)) {
        (void)snprintf(out, cap, "a node does not answer");
    }
}

/* A quota below what is in use, by figures that were asked for since the order came, would refuse
 * everything from the first moment on; refuses, or asks for them. `raised`: there was a lower one.
 */
static bool is_below_use(struct node *node, struct pending *p, const struct map_keyspace *k,
                         bool raised)
{
    struct keyspace_use use;
    if (k->maxmemory == 0) {
        return false;
    }
    if (p->slot == 0) {
        control_await_reports(node, p, k->id);
        return true;
    }
    reports_use(node, k->id, &use);
    uint64_t share = k->maxmemory / k->partitions;
    if (use.bytes <= k->maxmemory && use.most_bytes <= share) {
        char why[80];
        why_not_known(node, p, k, &use, why, sizeof why);
        bool unsure = why[0] != 0 && !raised;
        if (unsure) {
            orders_refuse(
                p, "UNSAFE how much keyspace '%s' uses is not known, for %s, nothing was changed",
                k->name, why);
        }
        return unsure;
    }
    orders_refuse(
        p,
        "ERR keyspace '%s' uses %llu bytes, at most %llu in one of its %u partitions, and "
        "MAXMEMORY %llu (%llu for each) is below that, nothing was changed",
        k->name, (ull)use.bytes, (ull)use.most_bytes, k->partitions, (ull)k->maxmemory, (ull)share);
    return true;
}

static void take_options(struct map_keyspace *k, const struct keyspace_options *o)
{
    k->replicas = (o->given & GIVEN_REPLICA_COUNT) != 0 ? (uint8_t)o->replicas : k->replicas;
    k->lease = (o->given & GIVEN_LEASE) != 0 ? o->lease : k->lease;
    k->maxmemory = (o->given & GIVEN_MAXMEMORY) != 0 ? o->maxmemory : k->maxmemory;
    k->maxops = (o->given & GIVEN_MAXOPS) != 0 ? o->maxops : k->maxops;
    k->idmp_bytes = (o->given & GIVEN_IDMP_BYTES) != 0 ? o->idmp_bytes : k->idmp_bytes;
    k->idmp_count = (o->given & GIVEN_IDMP_COUNT) != 0 ? o->idmp_count : k->idmp_count;
    k->idmp_seconds = (o->given & GIVEN_IDMP_SECONDS) != 0 ? o->idmp_seconds : k->idmp_seconds;
    k->read = (o->given & GIVEN_READ) != 0 ? o->read : k->read;
    k->ack_kind = (o->given & GIVEN_ACK) != 0 ? (uint8_t)o->ack.kind : k->ack_kind;
    k->ack_stage = (o->given & GIVEN_ACK) != 0 ? (uint8_t)o->ack.stage : k->ack_stage;
    k->primary = o->primary;
    if ((o->given & GIVEN_PREFIX) != 0) {
        memcpy(k->prefix, o->prefix, o->prefix_length);
        k->prefix_length = o->prefix_length;
    }
}

void order_cmd_KEYSPACE_ALTER(struct node *node, struct pending *p, const struct span *argv,
                              uint32_t argc)
{
    struct keyspace_options o;
    const struct map_keyspace *now = keyspace_find(node->map, argv[0]);
    if ((now != NULL && !read_options(p, argv + 1, argc - 1, now, &o)) ||
        !control_begins(node, p)) {
        return; /* there may be a later map in which it is there */
    }
    now = orders_keyspace(node, p, argv[0]);
    if (now == NULL || level_is_too_low(node, p) || is_not_for_zero(p, now, o.given)) {
        return;
    }
    struct map_keyspace k = *now;
    take_options(&k, &o);
    if (((o.given & GIVEN_REPLICA_COUNT) != 0 && has_no_room(node, p, k.replicas, 0)) ||
        ((o.given & GIVEN_PREFIX) != 0 && prefix_is_taken(node, p, &k))) {
        return;
    }
    take_history(&k, &o);
    if (fields_need_level(node, p, &k) || primary_is_bad(node, p, &k)) {
        return;
    }
    bool raised = now->maxmemory != 0 && k.maxmemory >= now->maxmemory;
    if (share_is_nothing(p, &o, k.partitions) || history_is_bad(p, &o, &k) ||
        ((o.given & GIVEN_MAXMEMORY) != 0 && is_below_use(node, p, &k, raised))) {
        return;
    }
    struct edit edit = { 0 };
    edit_keyspace(&edit, &k);
    node_log(node, NODE_LOG_NOTICE, "KEYSPACE ALTER %s was ordered", k.name);
    bool rules = (o.given & GIVEN_RULES) != 0; /* also as they are: are they known to all? */
    control_propose(node, p, &edit, rules ? CONTROL_RULES : 0);
}

/* --- DROP ------------------------------------------------------------------------------------ */

/* Whether somebody would miss it, by figures that were asked for since the order came; refuses, or
 * asks for them. */
static bool is_in_use(struct node *node, struct pending *p, const struct map_keyspace *k)
{
    char why[80];
    struct keyspace_use use;
    if (p->slot == 0) {
        control_await_reports(node, p, k->id);
        return true;
    }
    reports_use(node, k->id, &use);
    why_not_known(node, p, k, &use, why, sizeof why);
    if (why[0] != 0) {
        orders_refuse(
            p,
            "UNSAFE whether keyspace '%s' is in use is not known, for %s; FORCE drops it with "
            "all that is in it, nothing was changed",
            k->name, why);
        return true;
    }
    if (use.keys == 0 && use.clients == 0 && use.uncounted) {
        orders_refuse(
            p,
            "UNSAFE whether clients have selected keyspace '%s' is not known, for a node has "
            "clients of more than %u keyspaces; FORCE drops it, nothing was changed",
            k->name, REPORT_KEYSPACES_MAX);
        return true;
    }
    if (use.keys > 0 || use.clients > 0) {
        orders_refuse(
            p,
            "UNSAFE keyspace '%s' is in use: it has %llu keys and %llu connected clients have "
            "selected it; FORCE drops it with all that is in it, nothing was changed",
            k->name, (ull)use.keys, (ull)use.clients);
        return true;
    }
    return false;
}

void order_cmd_KEYSPACE_DROP(struct node *node, struct pending *p, const struct span *argv,
                             uint32_t argc)
{
    bool force = argc == 2 && word_is(argv[1], "FORCE");
    if (argc > 1 && !force) {
        orders_refuse(p, "ERR syntax error: it is KEYSPACE DROP name [FORCE], nothing was changed");
        return;
    }
    if (!control_begins(node, p)) {
        return;
    }
    const struct map_keyspace *k = orders_keyspace(node, p, argv[0]);
    if (k == NULL) {
        return;
    }
    if (k->id == 0) {
        orders_refuse(p, "ERR keyspace 0 is there always, nothing was changed");
        return;
    }
    if (!force && is_in_use(node, p, k)) {
        return;
    }
    struct edit edit = { 0 };
    for (uint32_t i = 0; i < k->partitions; i++) {
        const struct map_partition *part = map_partition_at(node->map, k->id, i);
        if (map_succession(node->map, part->group) != NULL) {
            edit_drop(&edit, MAP_RECORD_SUCCESSION, part->group);
        }
        edit_drop(&edit, MAP_RECORD_PARTITION, part->group);
    }
    edit_drop(&edit, MAP_RECORD_KEYSPACE, k->id);
    node_log(node, force ? NODE_LOG_WARNING : NODE_LOG_NOTICE, "KEYSPACE DROP %s%s was ordered",
             k->name, force ? " FORCE" : "");
    control_propose(node, p, &edit, 0);
}
