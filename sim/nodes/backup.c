/* See backup.h. Nothing here is drawn from the dice of the realm: a seed is the same world, but for
 * what one keyspace promises. */
#include "sim/nodes/backup.h"

#include "cluster/map.h"
#include "cluster/slots.h"
#include "node/node.h"
#include "node/replica.h"
#include "sim/nodes/seat.h"

#define COPIES_MAX 2u
#define STUCK_TIME (4 * QR_SECOND) /* then the operator gives up what may be lost */

/* Rules by how often they are drawn. */
static void draw_rule(struct backup *b, struct rng *rng)
{
    uint64_t which = rng_below(rng, 8);
    b->local = which < 2;
    b->all = which == 2;
    b->copies = b->local ? 0 : b->all || which < 7 ? 1 : COPIES_MAX;
    b->logical = rng_chance(rng, 1, 2);
    b->lazy = rng_chance(rng, 1, 4);
}

/* What holds beside it; zones have nodes as the operator orders (MEMBER SET). */
static void draw_rest(struct backup *b, struct rng *rng)
{
    static const char *const feeds[] = { "", "", " FEED zone", " FEED follower" };
    static const char *const laggings[] = { " MAXLAG 300ms LAGGING STALL",
                                            " MAXLAG 2kb LAGGING STALL",
                                            " MAXLAG 300ms LAGGING DROP",
                                            " MAXLAG 2kb LAGGING DROP" };
    uint64_t lagging = rng_below(rng, 2 * ARRAY_COUNT(laggings));
    uint64_t feed = rng_below(rng, ARRAY_COUNT(feeds));
    b->fallback = !b->local && rng_chance(rng, 1, 4);
    b->applied = !b->local && !b->lazy && rng_chance(rng, 1, 3);
    if (b->applied && rng_chance(rng, 1, 2)) { /* then each copy shows it */
        b->all = true;
        b->copies = 1;
    }
    b->junk_local = rng_chance(rng, 1, 2);
    b->feed = feeds[feed];
    lagging = b->all ? lagging % 2 : lagging; /* which needs every copy */
    b->lagging = lagging < ARRAY_COUNT(laggings) ? laggings[lagging] : "";
}

void backup_draw(struct run *run)
{
    struct rng rng = rng_from(run->realm->seed ^ 0x7072696d617279u);
    run->backup.is = true;
    draw_rule(&run->backup, &rng);
    draw_rest(&run->backup, &rng);
    run->backup.forgets = run->backup.lazy && rng_chance(&rng, 1, 2);
    run->realm->keeps_memory = run->backup.lazy && !run->backup.forgets;
    for (uint32_t i = 0; i < run->askers; i++) {
        run->asker[i].hop.kind = HOP_NEVER; /* there are no sessions in it */
    }
}

void backup_weights(const struct backup *b, uint32_t *weight)
{
    weight[FAULT_isolate] += b->is ? 6 : 0; /* it takes writes until its lease ends */
    weight[FAULT_isolate] += b->local ? 6 : 0;
    weight[FAULT_kill] += b->is ? 2 : 0;
    weight[FAULT_power] += b->forgets ? 4 : 0;
    weight[FAULT_power_all] += b->forgets ? 8 : 0;
}

static bool is_weak(const struct backup *b)
{
    return b->local || b->fallback;
}

bool backup_may_lose(const struct backup *backup)
{
    return is_weak(backup) || backup->losses.promised;
}

void backup_models(struct run *run)
{
    for (unsigned i = 0; i < MODELS && is_weak(&run->backup); i++) {
        run->models.has[i] = run->models.has[i] && i == MODEL_flush;
    }
}

uint32_t backup_replicas_min(const struct backup *backup)
{
    return backup->is ? backup->copies + 1 : 1;
}

void backup_strategy(const struct backup *b, char *p, size_t cap)
{
    const char *rule = b->local         ? "LOCAL"
                       : b->all         ? "ALL"
                       : b->copies == 1 ? "ANY~1"
                                        : "ANY~2";
    if (b->is) {
        (void)snprintf(p, cap, "primary LOG %s ACK %s%s%s%s%s",
                       b->logical ? "logical" : "statement", rule,
                       b->lazy      ? "~ON~received APPENDFSYNC everysec"
                       : b->applied ? "~ON~applied"
                                    : "",
                       b->fallback ? " FALLBACK async" : "", b->feed, b->lagging);
    } else {
        (void)snprintf(p, cap, "RAFT");
    }
}

const char *backup_junk(const struct run *run)
{
    return !run->backup.is           ? "RAFT"
           : run->backup.junk_local ? "primary ACK LOCAL"
                                     : "primary LOG statement ACK ANY~1";
}

const char *backup_junk_change(struct rng *rng)
{
    static const char *const changes[] = { "PREFIX j:",
                                           "READ local",
                                           "READ leader",
                                           "MAXMEMORY 2mb",
                                           "MAXMEMORY 0 MAXOPS 50",
                                           "MAXOPS 0",
                                           "IDMP-DURATION 2 IDMP-MAXSIZE 10",
                                           "IDMP-MAXBYTES 64kb",
                                           "ACK ANY~1",
                                           "ACK LOCAL",
                                           "FEED follower",
                                           "FEED primary",
                                           "MAXLAG 300ms LAGGING DROP",
                                           "MAXLAG 2kb LAGGING STALL",
                                           "REPLICAS 3" };
    return changes[rng_below(rng, ARRAY_COUNT(changes))];
}

/* A rule under which nothing that is acknowledged is lost either. */
static const char *other_rule(struct rng *rng)
{
    static const char *const rules[] = { "ANY~1",
                                         "ANY~1",
                                         "ANY~2",
                                         "ALL",
                                         "ANY~1~ON~durable",
                                         "ANY~1~ON~applied",
                                         "ALL~ON~applied" };
    return rules[rng_below(rng, ARRAY_COUNT(rules))];
}

static void print_rule(const struct backup *b, struct rng *rng, char *p, size_t cap)
{
    const char *other = other_rule(rng);
    const char *rule = b->local ? "LOCAL" : b->all && b->applied ? "ALL~ON~applied" : other;
    bool stage = strstr(rule, "~ON~") != NULL;
    const char *sync = !b->lazy                          ? ""
                       : stage || rng_chance(rng, 1, 3) ? " APPENDFSYNC always"
                                                        : "~ON~received APPENDFSYNC everysec";
    const char *fallback = !b->fallback               ? ""
                           : rng_chance(rng, 2, 3) ? " FALLBACK async"
                                                      : " FALLBACK fail";
    (void)snprintf(p, cap, "KEYSPACE ALTER cart ACK %s%s%s", rule, sync, fallback);
}

static void print_feed(const struct run *run, struct rng *rng, char *p, size_t cap)
{
    static const char *const changes[] = { "FEED primary", "FEED zone", "FEED follower",
                                           "MAXLAG 300ms LAGGING STALL",
                                           "MAXLAG 2kb LAGGING DROP" };
    if (rng_chance(rng, 1, 2)) {
        (void)snprintf(p, cap, "MEMBER SET %u ZONE z%u",
                       1 + (unsigned)rng_below(rng, run->seats), (unsigned)rng_below(rng, 2));
    } else {
        (void)snprintf(p, cap, "KEYSPACE ALTER cart %s",
                       changes[rng_below(rng, ARRAY_COUNT(changes))]);
    }
}

/* Nothing is lost by it, whenever it comes; what LOCAL loses by FORCE is named. */
static void print_failover(const struct run *run, struct rng *rng, char *p, size_t cap)
{
    char how[40] = "";
    uint64_t which = rng_below(rng, 8);
    if (which < 3) {
        (void)snprintf(how, sizeof how, " TO %u", 1 + (unsigned)rng_below(rng, run->seats));
    } else if (which == 3 || (which < 6 && run->backup.local)) {
        (void)snprintf(how, sizeof how, "%s", which == 3 ? " ABORT" : " FORCE");
    }
    (void)snprintf(p, cap, "KEYSPACE FAILOVER cart PARTITION %u%s", (unsigned)rng_below(rng, 4),
                   how);
}

bool backup_order(const struct run *run, struct rng *rng, char *p, size_t cap)
{
    const struct backup *b = &run->backup;
    char strategy[STRATEGY_BYTES];
    bool orders = b->is && (b->made ? rng_chance(rng, 1, 4) : rng_chance(rng, 9, 10));
    if (orders && !b->made) {
        uint32_t most = run->seats < 5 ? run->seats : 5, least = backup_replicas_min(b);
        backup_strategy(b, strategy, sizeof strategy);
        least = run->fragile > 0 && least < 3 ? 3 : least;
        (void)snprintf(p, cap, "KEYSPACE CREATE cart STRATEGY %s REPLICAS %u PARTITIONS %u",
                       strategy, least + (unsigned)rng_below(rng, most - least + 1),
                       1 + (unsigned)rng_below(rng, 4));
    } else if (orders && rng_chance(rng, 1, 3)) {
        print_feed(run, rng, p, cap);
    } else if (orders && rng_chance(rng, 1, 2)) {
        print_failover(run, rng, p, cap);
    } else if (orders) {
        print_rule(b, rng, p, cap);
    }
    return orders;
}

/* --- What may be lost is given up ------------------------------------------------------------- */

static bool somebody_forgot(const struct run *run, uint32_t group)
{
    for (uint32_t i = 0; i < run->seats; i++) {
        const struct node *node = node_on(&run->seat[i]);
        for (uint32_t k = 0; node != NULL && k < node->partitions.count; k++) {
            const struct partition *p = partitions_at(&node->partitions, k);
            struct outlook o = { 0 };
            if (p->group == group && p->replica != NULL) {
                replica_outlook(p->replica, &o);
            }
            if (o.forgetful) {
                return true;
            }
        }
    }
    return false;
}

static const struct map *council_map(const struct run *run)
{
    for (uint32_t i = 0; i < run->seats; i++) {
        const struct node *node = node_on(&run->seat[i]);
        if (node != NULL && node->zero->replica != NULL && replica_leads(node->zero->replica)) {
            return node->map;
        }
    }
    return NULL;
}

static const struct map_partition *partition_at(const struct map *map, const struct deed *asked)
{
    const struct map_keyspace *k =
        map != NULL ? map_keyspace_named(map, span_of("cart", 4)) : NULL;
    uint16_t slot = slot_of_key(span_of(asked->key, strlen(asked->key)));
    return k != NULL ? map_partition_of_slot(map, k->id, slot) : NULL;
}

bool backup_shows_early(const struct backup *backup, const struct deed *asked)
{
    return backup->logical && asked->owed && asked->kind == OP_GET &&
           strcmp(asked->level, "local") == 0;
}

qr_term backup_copy(const struct run *run, const struct seat *seat, const struct deed *asked)
{
    const struct backup *b = &run->backup;
    const struct node *node = node_on(seat);
    bool counts = b->applied && b->all && !b->fallback && asked->owed && node != NULL &&
                  node->zero->replica != NULL;
    const struct map *map = counts ? council_map(run) : NULL;
    const struct map_partition *p = partition_at(map, asked);
    const struct succession *s = p != NULL ? map_succession(map, p->group) : NULL;
    if (s == NULL || s->settled != s->term || s->primary == NODE_NONE) {
        return 0;
    }
    qr_slot slot;
    node_index me = roster_find(replica_roster(node->zero->replica, &slot), seat->id);
    return me != NODE_NONE && (s->rule.members & node_bit(me)) != 0 ? s->term : 0;
}

/* Some have forgotten, and so too few of those that are all there may say who leads. Where nobody
 * has, nothing may be lost by waiting: then the operator does, and the seed fails. */
void backup_look(struct run *run)
{
    struct backup *b = &run->backup;
    const struct map *map = b->is && run->ending ? council_map(run) : NULL;
    const struct map_keyspace *k =
        map != NULL ? map_keyspace_named(map, span_of("cart", 4)) : NULL;
    bool stuck = false;
    for (uint32_t i = 0; k != NULL && i < k->partitions && !stuck; i++) {
        const struct map_partition *p = map_partition_at(map, k->id, i);
        const struct succession *s = p != NULL ? map_succession(map, p->group) : NULL;
        stuck = s != NULL && s->primary == NODE_NONE && somebody_forgot(run, p->group);
        b->stuck = i;
    }
    b->stuck_since = !stuck ? 0 : b->stuck_since != 0 ? b->stuck_since : run->realm->now;
}

bool backup_gives_up(const struct run *run, char *p, size_t cap)
{
    const struct backup *b = &run->backup;
    bool gives_up = b->stuck_since != 0 && run->realm->now - b->stuck_since > STUCK_TIME;
    if (gives_up) {
        (void)snprintf(p, cap, "KEYSPACE FAILOVER cart PARTITION %u FORCE", (unsigned)b->stuck);
    }
    return gives_up;
}

const char *backup_level(const struct backup *backup, const char *drawn)
{
    static const char *const given[] = { "local", "prefix", "leader" };
    for (size_t i = 0; i < ARRAY_COUNT(given); i++) {
        if (strcmp(drawn, given[i]) == 0) {
            return given[i];
        }
    }
    return backup->local ? "leader" : "linearizable";
}
