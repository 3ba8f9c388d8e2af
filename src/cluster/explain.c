/* The rows of KEYSPACE EXPLAIN. */
#include "cluster/explain.h"

#include "base/panic.h"
#include "cluster/ack.h"
#include "cluster/level.h"

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

void explain(const struct map_keyspace *keyspace, const struct protocol *protocol,
             struct explain_row rows[EXPLAIN_ROWS])
{
    const struct promise *promise = &protocol->promise;
    uint32_t replicas = keyspace->replicas;
    word_row(rows, 0, "strategy", protocol->name);
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
    ack_put(&t, &(struct ack){ .kind = keyspace->ack_kind, .stage = keyspace->ack_stage });
}
