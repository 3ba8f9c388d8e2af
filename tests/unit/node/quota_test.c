/* Quotas (U30): what is refused, when, and in which words. The engine and the replica are
 * played. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "node/node.h"
#include "node/quota.h"
#include "node/replica.h"
#include "tests/unit/cluster/put_records.h"

static struct node node;
static struct partition partition;
static uint64_t memory, staged;
static size_t flying;
static struct reply answer;
static enum qr_status answered;

struct store *engine_store(struct engine *engine)
{
    (void)engine;
    return NULL;
}

uint64_t store_memory(const struct store *store)
{
    (void)store;
    return memory;
}

uint64_t engine_staged_bytes(const struct engine *engine)
{
    (void)engine;
    return staged;
}

void schedule_wake(struct partition *p)
{
    (void)p;
}

void replica_queues(const struct replica *r, struct replica_queues *out)
{
    (void)r;
    *out = (struct replica_queues){ .flight_bytes = flying };
}

struct reply *stream_reply(struct pending *p)
{
    (void)p;
    reply_reset(&answer);
    return &answer;
}

void stream_answered(struct pending *p, enum qr_status status)
{
    assert_true(p->refused);
    answered = status;
}

static const struct command_spec *set, *get, *del, *wait;

/* Keyspace 16 with two partitions; group 2 is the one that is led here. */
static void limit(uint64_t maxmemory, uint64_t maxops)
{
    struct map_keyspace k = a_keyspace(16, "cart", "", 2, 2);
    k.replicas = 1;
    k.maxmemory = maxmemory;
    k.maxops = maxops;
    put_all(node.map, &k, 1, 0);
    node.quotas++;
}

static int begin(void **state)
{
    (void)state;
    memset(&node, 0, sizeof node);
    memset(&partition, 0, sizeof partition);
    memory = staged = flying = 0;
    node.map = map_new();
    node.clock = 1000 * QR_SECOND;
    partition.node = &node;
    partition.group = 2;
    set = command_by_name(SPAN_LITERAL("set"));
    get = command_by_name(SPAN_LITERAL("get"));
    del = command_by_name(SPAN_LITERAL("del"));
    wait = command_by_name(SPAN_LITERAL("wait"));
    reply_init(&answer, 2);
    return 0;
}

static int end(void **state)
{
    (void)state;
    map_free(node.map);
    reply_free(&answer);
    return 0;
}

/* What a client is told. */
static const char *refusal(const struct command_spec *spec, size_t bytes)
{
    static char text[512];
    struct pending p = { .node = &node, .partition = &partition, .spec = spec };
    quota_refuse(&p, bytes);
    assert_int_equal(answered, STATUS_OK);
    memcpy(text, answer.p, answer.n);
    text[answer.n - 2] = 0;
    return text;
}

static void without_a_quota_nothing_is_refused(void **state)
{
    (void)state;
    memory = UINT64_MAX / 4;
    assert_false(quota_refuses(&partition, set, 100)); /* not even in the map */
    limit(0, 0);
    for (int i = 0; i < 100000; i++) {
        assert_false(quota_refuses(&partition, set, 100));
        quota_spend(&partition);
    }
    assert_int_equal(partition.quota.ops, 100000);
    assert_int_equal(partition.quota.refused, 0);
}

static void memory_is_a_share_and_counts_what_is_under_way(void **state)
{
    (void)state;
    limit(2000, 0);
    memory = 500;
    staged = 150;
    flying = 250;
    assert_false(quota_refuses(&partition, set, 100));
    assert_true(quota_refuses(&partition, set, 101)); /* Q2 */
    assert_false(quota_refuses(&partition, get, 5000));
    assert_false(quota_refuses(&partition, del, 5000));
    memory = 100000;
    assert_true(quota_refuses(&partition, set, 0));
    assert_false(quota_refuses(&partition, del, 0)); /* what frees memory is taken always */
    assert_string_equal(refusal(set, 30),
                        "-QUOTA MAXMEMORY of keyspace 'cart' is 2000, of which this partition's "
                        "share is 1000: 100400 bytes are in use and 30 more were to come, the "
                        "command was not applied");
    assert_int_equal(node.stats.quota_refused, 1);
    assert_int_equal(partition.quota.refused, 1);
}

/* Where there is one partition there are no shares to speak of. */
static void the_quota_of_one_partition_is_told_without_a_share(void **state)
{
    struct map_keyspace k = *map_keyspace(node.map, 0);
    (void)state;
    k.maxmemory = 1000;
    put_keyspace(node.map, &k);
    partition.group = 0;
    node.quotas++;
    memory = 990;
    assert_false(quota_refuses(&partition, set, 10));
    assert_true(quota_refuses(&partition, set, 11));
    assert_string_equal(refusal(set, 11),
                        "-QUOTA MAXMEMORY of keyspace 'default' is 1000: 990 bytes are in use and "
                        "11 more were to come, the command was not applied");
}

static uint32_t take(uint32_t tries)
{
    uint32_t done = 0;
    for (uint32_t i = 0; i < tries; i++) {
        if (!quota_refuses(&partition, get, 10)) {
            quota_spend(&partition);
            done++;
        }
    }
    return done;
}

static void commands_are_a_second_at_once_and_then_a_pace(void **state)
{
    (void)state;
    limit(0, 200);
    assert_int_equal(take(500), 100); /* Q3: a second's worth of its share */
    assert_int_equal(take(500), 0);
    assert_string_equal(refusal(get, 10),
                        "-QUOTA MAXOPS of keyspace 'cart' is 200, of which this partition's share "
                        "is 100: the next command is taken in 11 ms, this one was not applied");
    node.clock += 100 * QR_MILLISECOND;
    assert_int_equal(take(500), 10);
    for (int i = 0; i < 3; i++) {
        node.clock += 3600 * QR_SECOND;
        assert_false(quota_refuses(&partition, get, 10));
    }
    assert_int_equal(take(500), 100); /* no more than a second's worth is saved */
}

static void asking_often_takes_nothing(void **state)
{
    (void)state;
    limit(0, 200);
    for (int i = 0; i < 1000; i++) {
        assert_false(quota_refuses(&partition, get, 10));
    }
    assert_int_equal(take(500), 100);
}

static void waiting_and_orders_are_not_counted(void **state)
{
    (void)state;
    limit(1, 1);
    assert_int_equal(take(500), 1);
    assert_false(quota_refuses(&partition, wait, 10));
    assert_false(quota_refuses(&partition, command_by_name(SPAN_LITERAL("keyspace|alter")), 10));
}

static void a_quota_that_is_altered_counts_at_once(void **state)
{
    (void)state;
    limit(0, 0);
    assert_int_equal(take(10), 10);
    limit(0, 20);
    assert_int_equal(take(500), 10);
    limit(0, 0);
    assert_int_equal(take(500), 500);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(without_a_quota_nothing_is_refused, begin, end),
        cmocka_unit_test_setup_teardown(memory_is_a_share_and_counts_what_is_under_way, begin, end),
        cmocka_unit_test_setup_teardown(the_quota_of_one_partition_is_told_without_a_share, begin,
                                        end),
        cmocka_unit_test_setup_teardown(commands_are_a_second_at_once_and_then_a_pace, begin, end),
        cmocka_unit_test_setup_teardown(asking_often_takes_nothing, begin, end),
        cmocka_unit_test_setup_teardown(waiting_and_orders_are_not_counted, begin, end),
        cmocka_unit_test_setup_teardown(a_quota_that_is_altered_counts_at_once, begin, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
