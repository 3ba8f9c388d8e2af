/* The rows of KEYSPACE EXPLAIN. */
#include "cluster/explain.h"

#include "base/panic.h"
#include "cluster/ack.h"
#include "cluster/level.h"
#include "cluster/primary_asked.h"
#include "cluster/strategy.h"

static struct text row(struct explain_row *rows, uint32_t at, const char *name)
{
    qr_assert(at < EXPLAIN_ROWS);
    rows[at].name = name;
    return text_in(rows[at].value, sizeof rows[at].value);
}

static void number_row(struct explain_row *rows, uint32_t at, const char *name, uint64_t value)
{
    struct text t = row(rows, at, name);
    text_u64(&t, value);
}

static void word_row(struct explain_row *rows, uint32_t at, const char *name, const char *value)
{
    struct text t = row(rows, at, name);
    text_put(&t, value);
}

static void put_tolerated(struct text *t, const struct promise *promise, uint32_t replicas)
{
    uint32_t tolerated = promise->tolerates(replicas);
    text_u64(t, tolerated);
    text_put(t, tolerated == 1 ? " replica of each partition may fail"
                               : " replicas of each partition may fail");
    if (tolerated == 0) {
        text_put(t, ": none, add replicas");
    }
}

static const char *consistency_name(const struct promise *promise, bool lease)
{
    switch (promise->consistency) {
    case CONSISTENCY_LINEARIZABLE:
        return lease ? "yes, reads by leader lease" : "yes, reads by a round among the replicas";
    case CONSISTENCY_CONVERGENT:
        return "no, replicas converge";
    case CONSISTENCY_EVENTUAL:
        return "no, eventual";
    }
    qr_unreachable();
}

/* --- STRATEGY primary: decision 056 ----------------------------------------------------------- */

/* How many of the replicas must be there so that one of them can go on with all that was
 * acknowledged, whoever is gone. */
static void survives_row(struct explain_row *rows, uint32_t at, const struct map_keyspace *k)
{
    const struct ack *ack = &k->primary.ack;
    struct text t = row(rows, at, "survives-failover");
    if (ack->kind == ACK_LOCAL) {
        text_put(&t, "no, what only the primary has is lost with it; when it comes back such "
                     "writes go to the discard journal");
    } else if (ack->kind == ACK_ANY && ack->zone[0] == 0 && k->replicas > ack->n) {
        text_put(&t, "yes, every acknowledged write, while ");
        text_u64(&t, (uint64_t)k->replicas - ack->n);
        text_put(&t, " of the ");
        text_u64(&t, k->replicas);
        text_put(&t, " replicas are there or come back");
    } else {
        text_put(&t, "yes, every acknowledged write, while the primary or one of those that had to "
                     "acknowledge it is there or comes back");
    }
}

static void goes_on_row(struct explain_row *rows, uint32_t at, const struct map_keyspace *k)
{
    const struct ack *ack = &k->primary.ack;
    struct text t = row(rows, at, "failures-tolerated");
    uint32_t others = k->replicas > 0 ? k->replicas - 1u : 0;
    if (k->primary.fallback_async) {
        text_u64(&t, others);
        text_put(&t, ": FALLBACK async, then writes are acknowledged as LOCAL, and reported");
    } else if (ack->kind == ACK_LOCAL) {
        text_u64(&t, others);
        text_put(&t, " replicas of each partition may fail");
    } else if (ack->kind == ACK_ANY && ack->zone[0] == 0) {
        text_u64(&t, others > ack->n ? others - ack->n : 0);
        text_put(&t, " replicas of each partition may fail");
    } else {
        text_put(&t, ack->kind == ACK_ALL ? "0: while one that must acknowledge is away writes wait"
                                          : "as many as leave enough of the zone");
    }
}

static void needs_row(struct explain_row *rows, uint32_t at, const struct map_keyspace *k)
{
    const struct ack *ack = &k->primary.ack;
    struct text t = row(rows, at, "available-in-minority");
    if (ack->kind == ACK_LOCAL) {
        text_put(&t, "yes, the primary alone is enough, while it has its lease of group 0");
        return;
    }
    text_put(&t, "yes, the primary and ");
    if (ack->kind == ACK_ALL) {
        text_put(&t, "those that must acknowledge");
    } else {
        text_u64(&t, ack->n);
        text_put(&t, ack->n == 1 ? " other" : " others");
    }
    text_put(&t, " are enough, while it has its lease of group 0");
}

/* What a command may ask for: primary_asked.h. */
static void asked_row(struct explain_row *rows, uint32_t at, const struct primary_options *o)
{
    struct text t = row(rows, at, "acks");
    struct promise given = primary_asked_gives(o);
    ack_names(&t, &given);
}

static uint32_t explain_primary(const struct map_keyspace *k, struct explain_row *rows)
{
    const struct primary_options *o = &k->primary;
    bool local = o->ack.kind == ACK_LOCAL;
    survives_row(rows, 3, k);
    word_row(rows, 4, "linearizable",
             local ? "no, a failover may show less than was read or acknowledged"
                   : "yes, reads at the primary, by its lease of group 0");
    needs_row(rows, 5, k);
    goes_on_row(rows, 8, k);
    asked_row(rows, 10, o);
    word_row(rows, 13, "fallback", o->fallback_async ? "async" : "fail");
    word_row(rows, 14, "log", o->log == PRIMARY_LOGICAL ? "logical" : "statement");
    word_row(rows, 15, "appendfsync",
             o->sync == PRIMARY_ALWAYS
                 ? "always"
                 : "everysec: a restart of a process loses nothing, a loss of power up to a second "
                   "of what its node had");
    return 16;
}

/* --- All -------------------------------------------------------------------------------------- */

uint32_t explain(const struct map_keyspace *keyspace, const struct protocol *protocol,
                 struct explain_row rows[EXPLAIN_ROWS])
{
    const struct promise *promise = &protocol->promise;
    uint32_t replicas = keyspace->replicas;
    bool views = strategy_has_views(keyspace);
    word_row(rows, 0, "strategy", views ? strategy_name(keyspace) : protocol->name);
    number_row(rows, 1, "partitions", keyspace->partitions);
    number_row(rows, 2, "replicas", replicas);
    word_row(rows, 3, "survives-failover",
             promise->survives_minority_crash && replicas > 2
                 ? "yes, every acknowledged write, while a majority of the replicas comes back"
             : promise->survives_minority_crash
                 ? "no, a failed replica stops the partition until it is back"
                 : "no, acknowledged writes may be lost");
    word_row(rows, 4, "linearizable", consistency_name(promise, keyspace->lease));
    word_row(rows, 5, "available-in-minority",
             promise->available_in_minority ? "yes" : "no, a majority of the replicas is needed");
    number_row(rows, 6, "messages-per-write-and-replica", promise->messages_per_replica);
    number_row(rows, 7, "messages-per-write",
               (uint64_t)promise->messages_per_replica * (replicas - 1));
    struct text t = row(rows, 8, "failures-tolerated");
    put_tolerated(&t, promise, replicas);
    t = row(rows, 9, "reads");
    struct promise given = *promise;
    given.reads &= keyspace->history_ms == 0 ? (uint16_t)~READ_BIT(READ_SNAPSHOT) : UINT16_MAX;
    level_names(&t, &given);
    t = row(rows, 10, "acks");
    ack_names(&t, promise);
    t = row(rows, 11, "read-by-default");
    level_put(&t, &keyspace->read);
    t = row(rows, 12, "ack-by-default");
    struct ack ack = strategy_ack(keyspace);
    ack_put(&t, &ack);
    return views ? explain_primary(keyspace, rows) : 13;
}
