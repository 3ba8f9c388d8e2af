/* KEYSPACE LIST, INFO, EXPLAIN: told by any node from what it has applied of the control state. */
#include "node/local_internal.h"

#include "cluster/ack.h"
#include "cluster/explain.h"
#include "cluster/id_bounds.h"
#include "cluster/strategy.h"
#include "node/keyspace_options.h"
#include "node/leaders.h"
#include "node/replica.h"
#include "node/selected.h"
#include "protocol/quorum.h"

#include <stdio.h>
#include <string.h>

static void field_bool(struct reply *reply, const char *name, bool v)
{
    reply_field_text(reply, name, v ? "yes" : "no");
}

static void field_prefix(struct reply *reply, const struct map_keyspace *k)
{
    reply_bulk_text(reply, "prefix");
    reply_bulk(reply, span_of(k->prefix, k->prefix_length));
}

static const char *state_of(const struct map_keyspace *k)
{
    return k->state == KEYSPACE_DROPPING ? "dropping" : "in use";
}

struct map_keyspace local_keyspace(const struct node *node, const struct map_keyspace *k)
{
    struct map_keyspace out = *k;
    struct outlook o;
    if (k->id == 0) {
        bool known = local_outlook(node, &o) && o.membership.voters != 0;
        out.replicas = known ? (uint8_t)quorum_count(o.membership.voters) : k->replicas;
        out.lease = node->config.read_mode == READ_MODE_LEASE;
    }
    return out;
}

/* What is given where a request says nothing. */
static void field_defaults(struct reply *reply, const struct map_keyspace *k)
{
    char level[LEVEL_BYTES], ack[ACK_TEXT_BYTES];
    struct text words = text_in(level, sizeof level);
    level_put(&words, &k->read);
    reply_field_text(reply, "read", level);
    words = text_in(ack, sizeof ack);
    struct ack given = strategy_ack(k);
    ack_put(&words, &given);
    reply_field_text(reply, "ack", ack);
}

/* The fields that LIST and INFO share: 9 of them. */
static void write_head(struct reply *reply, const struct map_keyspace *k)
{
    reply_field_integer(reply, "id", k->id);
    reply_field_text(reply, "name", k->name);
    reply_field_text(reply, "strategy", strategy_name(k));
    reply_field_integer(reply, "replicas", k->replicas);
    reply_field_integer(reply, "partitions", k->partitions);
    field_prefix(reply, k);
    reply_field_text(reply, "state", state_of(k));
    field_defaults(reply, k);
}

void local_cmd_KEYSPACE_LIST(struct client *client, const struct span *argv, uint32_t argc,
                             struct reply *reply)
{
    const struct node *node = client->node;
    (void)argv;
    (void)argc;
    reply_array(reply, map_keyspace_count(node->map));
    for (uint32_t i = 0; i < map_keyspace_count(node->map); i++) {
        struct map_keyspace k = local_keyspace(node, map_keyspace_at(node->map, i));
        reply_map(reply, 9);
        write_head(reply, &k);
    }
}

/* --- INFO ----------------------------------------------------------------------------------- */

/* Ids of the nodes in a set: "1,2,3". */
static void field_nodes(struct reply *reply, const char *name, const struct node *node,
                        uint16_t set)
{
    char text[MEMBERS_MAX * 12];
    struct text out = text_in(text, sizeof text);
    for (uint32_t i = 0; i < MEMBERS_MAX; i++) {
        if ((set >> i & 1) != 0) {
            text_put(&out, out.n > 0 ? "," : "");
            text_u64(&out, local_member(node, i)->id);
        }
    }
    reply_field_text(reply, name, text);
}

static int64_t id_of(const struct node *node, node_index index)
{
    return index == NODE_NONE ? 0 : (int64_t)local_member(node, index)->id;
}

/* As far as this node knows. */
static node_index leader_of(const struct node *node, const struct map_partition *p)
{
    const struct partition *partition = partition_of_group(node, p->group);
    return partition != NULL ? leaders_of(partition) : NODE_NONE;
}

/* Whether its nodes are those that are wished, and none of these has lost its place: what it held
 * is to move, whether or not the planner has seen it. */
static bool is_settled(const struct node *node, const struct map_partition *p)
{
    bool whole = true;
    for (uint32_t rest = p->wish; rest != 0; rest &= rest - 1) {
        whole = whole && local_member(node, set_first(rest))->id != 0;
    }
    return whole && p->settled == p->epoch;
}

/* What is acknowledged now, which may be another rule than the keyspace asks for: one that is being
 * replaced, or that of FALLBACK async. */
static void field_rule(struct reply *reply, const struct node *node, const struct succession *s)
{
    char text[ACK_TEXT_BYTES];
    struct text out = text_in(text, sizeof text);
    struct ack ack = { .kind = ACK_LOCAL, .stage = s->stage, .n = s->rule.copies };
    ack.kind = s->rule.set != 0 ? ACK_ALL : s->rule.copies > 0 ? ACK_ANY : ACK_LOCAL;
    ack_put(&out, &ack);
    reply_field_text(reply, "acknowledges", text);
    field_nodes(reply, "set", node, s->rule.set);
}

/* Who feeds whom in the primary's place: "2>3,2>4". The primary knows all, who feeds its own. */
static void field_feeds(struct reply *reply, const struct node *node, uint32_t group)
{
    const struct partition *partition = partition_of_group(node, group);
    char text[MEMBERS_MAX * 24] = "";
    struct text out = text_in(text, sizeof text);
    struct outlook o = { 0 };
    if (partition != NULL && partition->replica != NULL) {
        replica_outlook(partition->replica, &o);
    }
    for (node_index i = 0; i < MEMBERS_MAX; i++) {
        uint8_t fed_by = o.role == ROLE_LEADER && i < o.members ? o.member[i].fed_by : 0;
        if (fed_by != 0 || (o.feeds >> i & 1) != 0) {
            node_index me = (node_index)identity_me(&node->identity);
            text_put(&out, out.n > 0 ? "," : "");
            text_u64(&out, (uint64_t)id_of(node, fed_by != 0 ? (node_index)(fed_by - 1) : me));
            text_put(&out, ">");
            text_u64(&out, (uint64_t)id_of(node, i));
        }
    }
    reply_field_text(reply, "feeds", text);
}

#define VIEW_FIELDS 7u

/* Whether its nodes can give what ACK says; else the rule before goes on. */
static bool can_meet(const struct map *map, const struct map_keyspace *k,
                     const struct map_partition *p)
{
    struct succession_wish wish = strategy_wish(map, k, p->wish);
    return succession_wish_is_sound(&wish);
}

/* Of a partition whose primary group 0 names (decision 056). */
static void write_view(struct reply *reply, const struct node *node, const struct map_keyspace *k,
                       const struct map_partition *p, const struct succession *s)
{
    reply_field_integer(reply, "term", (int64_t)s->term);
    reply_field_integer(reply, "primary", id_of(node, s->primary));
    field_nodes(reply, "learners", node, s->learners);
    field_rule(reply, node, s);
    reply_field_text(reply, "view",
                     s->primary == NODE_NONE      ? "choosing"
                     : s->fallen                  ? "fallen back"
                     : s->settled != s->term      ? "beginning"
                     : !can_meet(node->map, k, p) ? "short of nodes"
                                                  : "settled");
    field_feeds(reply, node, p->group);
}

static void write_partition(struct reply *reply, const struct node *node,
                            const struct map_partition *p)
{
    char slots[32];
    (void)snprintf(slots, sizeof slots, "%u-%u", (unsigned)p->first_slot, (unsigned)p->last_slot);
    const struct map_keyspace *k = map_keyspace(node->map, p->keyspace);
    bool views = k != NULL && strategy_has_views(k);
    const struct succession *succession = views ? map_succession(node->map, p->group) : NULL;
    reply_map(reply, succession != NULL ? 8 + VIEW_FIELDS : 8);
    reply_field_integer(reply, "partition", p->index);
    reply_field_integer(reply, "group", p->group);
    reply_field_text(reply, "slots", slots);
    field_nodes(reply, "nodes", node, p->wish);
    reply_field_integer(reply, "prefers", id_of(node, p->prefers));
    reply_field_integer(reply, "leader", id_of(node, leader_of(node, p)));
    reply_field_integer(reply, "epoch", (int64_t)p->epoch);
    reply_field_text(reply, "state", is_settled(node, p) ? "settled" : "moving");
    if (succession != NULL) {
        write_view(reply, node, k, p, succession);
    }
}

const struct map_keyspace *local_named_keyspace(const struct node *node, struct span name,
                                                struct reply *reply)
{
    const struct map_keyspace *k = keyspace_find(node->map, name);
    if (k == NULL && !node->holding.current) {
        reply_error(reply, SELECTED_UNKNOWN);
    } else if (k == NULL) {
        char why[160];
        struct text text = text_in(why, sizeof why);
        keyspace_unknown(&text, name);
        reply_error(reply, why);
    }
    return k;
}

#define PRIMARY_FIELDS 1u

static void write_primary(struct reply *reply, const struct primary_options *o)
{
    char words[PRIMARY_OPTIONS_BYTES];
    struct text out = text_in(words, sizeof words);
    primary_options_put(&out, o);
    reply_field_text(reply, "options", words);
}

void local_cmd_KEYSPACE_INFO(struct client *client, const struct span *argv, uint32_t argc,
                             struct reply *reply)
{
    const struct node *node = client->node;
    const struct map_keyspace *named_one = local_named_keyspace(node, argv[2], reply);
    (void)argc;
    if (named_one == NULL) {
        return;
    }
    struct map_keyspace k = local_keyspace(node, named_one);
    struct id_bounds ids = id_bounds_of(&k);
    bool primary = strategy_has_views(&k);
    reply_map(reply, primary ? 20 + PRIMARY_FIELDS : 20);
    write_head(reply, &k);
    reply_field_text(reply, "partitioning", "hash");
    field_bool(reply, "lease", k.lease);
    reply_field_integer(reply, "maxmemory", (int64_t)k.maxmemory);
    reply_field_integer(reply, "maxops", (int64_t)k.maxops);
    reply_field_integer(reply, "idmp-duration", ids.seconds);
    reply_field_integer(reply, "idmp-maxsize", ids.count);
    reply_field_integer(reply, "idmp-maxbytes", (int64_t)ids.bytes);
    reply_field_integer(reply, "history_ms", (int64_t)k.history_ms);
    reply_field_integer(reply, "history_bytes", (int64_t)k.history_bytes);
    reply_field_integer(reply, "created", (int64_t)k.created / QR_MILLISECOND);
    if (primary) {
        write_primary(reply, &k.primary);
    }
    reply_bulk_text(reply, "placement");
    reply_array(reply, k.id == 0 ? 0 : k.partitions); /* of keyspace 0: MEMBER LIST */
    for (uint32_t i = 0; k.id != 0 && i < k.partitions; i++) {
        write_partition(reply, node, map_partition_at(node->map, k.id, i));
    }
}

/* --- HELP ----------------------------------------------------------------------------------- */

void local_cmd_KEYSPACE_HELP(struct client *client, const struct span *argv, uint32_t argc,
                             struct reply *reply)
{
    static const char *const lines[] = {
        "ALTER <name> <option> <value> [...]",
        "    Changes REPLICAS, PREFIX, LEASE, MAXMEMORY, MAXOPS, READ, ACK, IDMP-DURATION,",
        "    IDMP-MAXSIZE, IDMP-MAXBYTES, HISTORY or HISTORY-BYTES of a keyspace; with strategy",
        "    primary also FALLBACK, MAXLAG, LAGGING, APPENDFSYNC and FEED.",
        "CREATE <name> STRATEGY raft [<option> <value> ...]",
        "    Makes a keyspace. Options: ID, REPLICAS or VOTERS, PARTITIONS, PARTITION hash,",
        "    PREFIX, LEASE yes|no, MAXMEMORY, MAXOPS, READ level, ACK spec, IDMP-DURATION,",
        "    IDMP-MAXSIZE, IDMP-MAXBYTES, HISTORY, HISTORY-BYTES.",
        "CREATE <name> STRATEGY primary [<option> <value> ...]",
        "    Makes a keyspace with a primary. Options: those of raft but for LEASE and HISTORY,",
        "    ACK \"LOCAL|ANY k [OF zone]|ALL [OF zone] [ON received|durable|applied]\",",
        "    FALLBACK fail|async, MAXLAG time|bytes|operations, LAGGING REJECT|STALL|DROP,",
        "    LOG logical|statement, APPENDFSYNC always|everysec, FEED primary|zone|follower.",
        "DISCARDS <name> [SCAN <cursor> [COUNT <count>]|STATS]",
        "    What this node has discarded of the keyspace: writes with their reasons, or counts.",
        "DROP <name> [FORCE]",
        "    Removes a keyspace that is not in use; with FORCE, with all that is in it.",
        "EXPLAIN <name>",
        "    What the keyspace guarantees, and what that costs.",
        "FAILOVER <name> [PARTITION <index>] [TO <node-id>] [TIMEOUT <ms>] [FORCE] [ABORT]",
        "    Makes another node the primary of a partition, and loses nothing; with FORCE also",
        "    where that cannot be, and tells what may be lost.",
        "INFO <name>",
        "    The keyspace, and where its partitions are.",
        "LAG <name>",
        "    How far its replicas are behind.",
        "LIST",
        "    All keyspaces.",
        "STATS <name>",
        "    Keys, bytes, clients, rates, lag and quotas.",
    };
    (void)client;
    (void)argv;
    (void)argc;
    local_help(reply, "KEYSPACE", lines, ARRAY_COUNT(lines));
}

/* --- EXPLAIN --------------------------------------------------------------------------------- */

/* As many replicas as each of its partitions has now, which may be fewer than wished for. */
static uint8_t replicas_now(const struct map *map, const struct map_keyspace *k)
{
    uint32_t least = k->replicas;
    for (uint32_t i = 0; k->id != 0 && i < k->partitions; i++) {
        uint32_t n = quorum_count(map_partition_at(map, k->id, i)->wish);
        least = n < least ? n : least;
    }
    return (uint8_t)least;
}

void local_cmd_KEYSPACE_EXPLAIN(struct client *client, const struct span *argv, uint32_t argc,
                                struct reply *reply)
{
    struct explain_row rows[EXPLAIN_ROWS];
    struct node *node = client->node;
    const struct map_keyspace *named_one = local_named_keyspace(node, argv[2], reply);
    (void)argc;
    if (named_one == NULL) {
        return;
    }
    struct map_keyspace k = local_keyspace(node, named_one);
    k.replicas = replicas_now(node->map, &k);
    uint32_t count = explain(&k, strategy_protocol(&k), rows);
    reply_map(reply, count);
    for (uint32_t i = 0; i < count; i++) {
        reply_field_text(reply, rows[i].name, rows[i].value);
    }
}
