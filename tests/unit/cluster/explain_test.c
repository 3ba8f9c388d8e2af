/* KEYSPACE EXPLAIN: the promise of the strategy, for so many replicas (D1, U1). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "cluster/explain.h"
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
        cmocka_unit_test(test_the_canary_promises_what_raft_does),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
