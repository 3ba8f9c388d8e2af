/* KEYSPACE EXPLAIN: the promise of the strategy, for so many replicas (D1, U1). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "cluster/explain.h"
#include "cluster/strategy.h"
#include "protocol/canary/canary.h"
#include "protocol/raft/raft.h"

static const char *value_of(const struct explain_row *rows, const char *name)
{
    for (uint32_t i = 0; i < EXPLAIN_ROWS; i++) {
        if (strcmp(rows[i].name, name) == 0) {
            return rows[i].value;
        }
    }
    return "";
}

static void test_raft_with_three(void **state)
{
    (void)state;
    struct map_keyspace k = { .replicas = 3, .partitions = 8 };
    struct explain_row rows[EXPLAIN_ROWS];
    explain(&k, &raft_protocol, rows);
    assert_string_equal(value_of(rows, "strategy"), "raft");
    assert_string_equal(value_of(rows, "partitions"), "8");
    assert_string_equal(value_of(rows, "replicas"), "3");
    assert_string_equal(value_of(rows, "survives-failover"),
                        "yes, every acknowledged write, while a majority of the replicas comes "
                        "back");
    assert_string_equal(value_of(rows, "linearizable"), "yes, reads by a round among the replicas");
    assert_string_equal(value_of(rows, "available-in-minority"),
                        "no, a majority of the replicas is needed");
    assert_string_equal(value_of(rows, "messages-per-write-and-replica"), "2");
    assert_string_equal(value_of(rows, "messages-per-write"), "4");
    assert_string_equal(value_of(rows, "failures-tolerated"),
                        "1 replica of each partition may fail");
    assert_string_equal(value_of(rows, "reads"),
                        "linearizable, leader, session, bounded, prefix, local");
    assert_string_equal(value_of(rows, "acks"), "MAJORITY, QUORUM, EACH zone; ON durable");
    assert_string_equal(value_of(rows, "read-by-default"), "linearizable");
    assert_string_equal(value_of(rows, "ack-by-default"), "MAJORITY ON durable");
    k.read = (struct level_asked){ .level = READ_BOUNDED, .bound = 5000 };
    k.ack_kind = ACK_EACH_ZONE;
    explain(&k, &raft_protocol, rows);
    assert_string_equal(value_of(rows, "read-by-default"), "bounded:5000ms");
    assert_string_equal(value_of(rows, "ack-by-default"), "EACH zone ON durable");
}

static void test_the_number_of_replicas_decides(void **state)
{
    (void)state;
    static const char *const tolerated[] = { "", "0", "0", "1", "1", "2", "2", "3" };
    for (uint8_t n = 1; n < ARRAY_COUNT(tolerated); n++) {
        struct map_keyspace k = { .replicas = n, .partitions = 1, .lease = true };
        struct explain_row rows[EXPLAIN_ROWS];
        explain(&k, &raft_protocol, rows);
        assert_int_equal(strncmp(value_of(rows, "failures-tolerated"), tolerated[n], 1), 0);
        assert_int_equal(strncmp(value_of(rows, "survives-failover"), n > 2 ? "yes" : "no", 2), 0);
        assert_string_equal(value_of(rows, "linearizable"), "yes, reads by leader lease");
    }
}

static struct map_keyspace a_primary(enum ack_kind kind, uint8_t n, uint8_t replicas)
{
    return (struct map_keyspace){ .strategy = STRATEGY_PRIMARY,
                                  .replicas = replicas,
                                  .partitions = 2,
                                  .primary.ack = { .kind = kind, .n = n } };
}

static void assert_primary(const struct map_keyspace *k, const char *row, const char *value)
{
    struct explain_row rows[EXPLAIN_ROWS] = { 0 };
    assert_int_equal(explain(k, strategy_protocol(k), rows), 16);
    for (uint32_t i = 0; i < EXPLAIN_ROWS; i++) {
        assert_non_null(rows[i].name);
    }
    assert_string_equal(value_of(rows, row), value);
}

/* What is promised follows from ACK. */
static void test_primary(void **state)
{
    (void)state;
    struct map_keyspace local = a_primary(ACK_LOCAL, 0, 3), any = a_primary(ACK_ANY, 1, 5),
                        all = a_primary(ACK_ALL, 0, 3);
    assert_primary(&local, "strategy", "primary");
    assert_primary(&local, "survives-failover",
                   "no, what only the primary has is lost with it; when it comes back such writes "
                   "go to the discard journal");
    assert_primary(&local, "linearizable",
                   "no, a failover may show less than was read or acknowledged");
    assert_primary(&local, "available-in-minority",
                   "yes, the primary alone is enough, while it has its lease of group 0");
    assert_primary(&local, "failures-tolerated", "2 replicas of each partition may fail");
    assert_primary(&local, "messages-per-write", "2");
    assert_primary(&local, "ack-by-default", "LOCAL ON durable");
    assert_primary(&any, "survives-failover",
                   "yes, every acknowledged write, while 4 of the 5 replicas are there or come "
                   "back");
    assert_primary(&any, "linearizable", "yes, reads at the primary, by its lease of group 0");
    assert_primary(&any, "available-in-minority",
                   "yes, the primary and 1 other are enough, while it has its lease of group 0");
    assert_primary(&any, "failures-tolerated", "3 replicas of each partition may fail");
    assert_primary(&any, "messages-per-write", "8");
    assert_primary(&any, "fallback", "fail");
    any.primary.fallback_async = true;
    assert_primary(&any, "fallback", "async");
    assert_primary(&any, "failures-tolerated",
                   "4: FALLBACK async, then writes are acknowledged as LOCAL, and reported");
    assert_primary(&all, "survives-failover",
                   "yes, every acknowledged write, while the primary or one of those that had to "
                   "acknowledge it is there or comes back");
    assert_primary(&all, "failures-tolerated",
                   "0: while one that must acknowledge is away writes wait");
    assert_primary(&all, "acks", "ALL, ANY, LOCAL; ON durable, received"); /* of a command */
    assert_primary(&local, "acks", "LOCAL; ON durable, received");
    all.primary.ack.stage = ACK_APPLIED;
    assert_primary(&all, "acks", "ALL, ANY, LOCAL; ON durable, received, applied");
    all.primary.sync = PRIMARY_EVERYSEC;
    all.primary.ack.stage = ACK_RECEIVED;
    assert_primary(&all, "acks", "ALL, ANY, LOCAL; ON received");
    all.primary.sync = PRIMARY_ALWAYS;
    all.primary.ack = (struct ack){ .kind = ACK_ANY, .n = 2, .zone = "eu" };
    assert_primary(&all, "failures-tolerated", "as many as leave enough of the zone");
    assert_primary(&all, "available-in-minority",
                   "yes, the primary and 2 others are enough, while it has its lease of group 0");
    any.primary = (struct primary_options){ .ack = { .kind = ACK_ANY, .n = 2 } };
    any.replicas = 2; /* others are to come */
    assert_primary(&any, "failures-tolerated", "0 replicas of each partition may fail");
}

/* What the simulator checks is what users are told: both read the same promise. */
static void test_the_canary_promises_what_raft_does(void **state)
{
    (void)state;
    const struct promise *promise = &canary_protocol(0)->promise;
    assert_int_equal(promise->consistency, raft_protocol.promise.consistency);
    assert_int_equal(promise->messages_per_replica, raft_protocol.promise.messages_per_replica);
    assert_int_equal(promise->tolerates(5), 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_raft_with_three),
        cmocka_unit_test(test_the_number_of_replicas_decides),
        cmocka_unit_test(test_primary),
        cmocka_unit_test(test_the_canary_promises_what_raft_does),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
