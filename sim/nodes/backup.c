/* See backup.h. Nothing here is drawn from the dice of the realm: a seed is the same world, but for
 * what one keyspace promises. */
#include "sim/nodes/backup.h"

#include "sim/nodes/seat.h"

#define COPIES_MAX 2u

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

void backup_draw(struct run *run)
{
    struct rng rng = rng_from(run->realm->seed ^ 0x7072696d617279u);
    run->backup.is = true;
    draw_rule(&run->backup, &rng);
    run->realm->keeps_memory = run->backup.lazy;
    for (uint32_t i = 0; i < run->askers; i++) {
        run->asker[i].hop.kind = HOP_NEVER; /* there are no sessions in it */
    }
}

void backup_models(struct run *run)
{
    for (unsigned i = 0; i < MODELS && run->backup.local; i++) {
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
        (void)snprintf(p, cap, "primary LOG %s ACK %s%s", b->logical ? "logical" : "statement",
                       rule, b->lazy ? "~ON~received APPENDFSYNC everysec" : "");
    } else {
        (void)snprintf(p, cap, "RAFT");
    }
}

/* A rule under which nothing that is acknowledged is lost either. */
static const char *other_rule(struct rng *rng)
{
    static const char *const rules[] = { "ANY~1", "ANY~1", "ANY~2", "ALL", "ANY~1~ON~durable" };
    return rules[rng_below(rng, ARRAY_COUNT(rules))];
}

static void print_rule(const struct backup *b, struct rng *rng, char *p, size_t cap)
{
    const char *rule = b->local ? "LOCAL" : other_rule(rng);
    bool stage = strstr(rule, "~ON~") != NULL;
    const char *sync = !b->lazy                          ? ""
                       : stage || rng_chance(rng, 1, 3) ? " APPENDFSYNC always"
                                                        : "~ON~received APPENDFSYNC everysec";
    (void)snprintf(p, cap, "KEYSPACE ALTER cart ACK %s%s", rule, sync);
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
    char strategy[100];
    bool orders = b->is && (b->made ? rng_chance(rng, 1, 4) : rng_chance(rng, 9, 10));
    if (orders && !b->made) {
        uint32_t most = run->seats < 5 ? run->seats : 5, least = backup_replicas_min(b);
        backup_strategy(b, strategy, sizeof strategy);
        least = run->fragile > 0 && least < 3 ? 3 : least;
        (void)snprintf(p, cap, "KEYSPACE CREATE cart STRATEGY %s REPLICAS %u PARTITIONS %u",
                       strategy, least + (unsigned)rng_below(rng, most - least + 1),
                       1 + (unsigned)rng_below(rng, 4));
    } else if (orders && rng_chance(rng, 1, 2)) {
        print_failover(run, rng, p, cap);
    } else if (orders) {
        print_rule(b, rng, p, cap);
    }
    return orders;
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
