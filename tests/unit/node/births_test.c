/* When elections are called for partitions that nobody leads yet (births.h; follow.h F11). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "cluster/map.h"
#include "cluster/records.h"
#include "node/births.h"
#include "node/contact.h"
#include "node/node.h"
#include "node/replica.h"
#include "tests/unit/cluster/put_records.h"

#define GROUP 5u
#define ME 1u

static struct node node;
static struct partition partition;
static struct outlook seen;
static uint16_t alive, able; /* able: up, and their clocks are right */
static uint32_t calls;

static bool has_views;

bool replica_has_views(const struct replica *r)
{
    (void)r;
    return has_views;
}

const struct outlook *replica_seen(const struct replica *r)
{
    (void)r;
    return &seen;
}

node_index replica_me(const struct replica *r)
{
    (void)r;
    return ME;
}

void replica_admin(struct replica *r, enum admin_kind order, uint64_t argument)
{
    (void)r;
    (void)argument;
    assert_int_equal(order, ADMIN_CALL);
    calls++;
}

uint16_t contact_alive(const struct node *of)
{
    (void)of;
    return alive;
}

uint16_t health_able(const struct node *of)
{
    (void)of;
    return able & alive;
}

static bool others_first;

bool campaigns_hold_back(const struct partition *p)
{
    (void)p;
    return others_first;
}

void schedule_wake(struct partition *p)
{
    p->awake = true;
}

static int begin(void **state)
{
    (void)state;
    struct map_keyspace k = { .id = 16, .partitions = 1 };
    struct map_partition p = map_found(&k, 0, GROUP, 7, ME);
    node = (struct node){ .map = map_new(), .clock = 100 * QR_SECOND };
    put_partition(node.map, &p);
    partition = (struct partition){ .node = &node, .group = GROUP };
    partition.replica = (struct replica *)&partition; /* there is one */
    seen = (struct outlook){ .role = ROLE_FOLLOWER, .leader = NODE_NONE };
    alive = able = 7;
    calls = 0;
    others_first = false;
    return 0;
}

static int end(void **state)
{
    (void)state;
    map_free(node.map);
    return 0;
}

/* The turns that it asks for, up to `span` from now on. */
static void live(qr_time span)
{
    qr_time until = node.clock + span;
    while (node.clock < until) {
        partition.wake = QR_NEVER;
        births_turn(&partition, node.clock);
        node.clock = partition.wake < until ? partition.wake : until;
    }
}

static void test_who_prefers_to_lead_calls_when_it_has_founded(void **state)
{
    (void)state;
    births_begin(&partition, true);
    assert_true(partition.awake);
    live(1);
    assert_int_equal(calls, 1);
}

static void test_it_calls_again_more_and_more_slowly_and_not_for_ever(void **state)
{
    (void)state;
    births_begin(&partition, true);
    live(31 * QR_MILLISECOND);
    assert_int_equal(calls, 3); /* at once, after 10 ms, after 20 more */
    live(40 * QR_MILLISECOND);
    assert_int_equal(calls, 4);
    live(60 * QR_SECOND);
    assert_int_equal(calls, 7);
    partition.wake = QR_NEVER;
    births_turn(&partition, node.clock);
    assert_int_equal(partition.wake, QR_NEVER); /* from here on the time-outs are all there is */
}

static void test_it_is_over_when_somebody_leads(void **state)
{
    (void)state;
    births_begin(&partition, true);
    live(1);
    seen.leader = 2;
    live(QR_SECOND);
    seen.leader = NODE_NONE; /* later losses are the protocol's matter */
    live(QR_SECOND);
    assert_int_equal(calls, 1);
}

static void test_the_others_wait_unless_that_one_is_away(void **state)
{
    (void)state;
    struct map_partition p = *map_partition(node.map, GROUP);
    p.prefers = 0;
    put_partition(node.map, &p);
    births_begin(&partition, true);
    live(400 * QR_MILLISECOND);
    assert_int_equal(calls, 0);
    alive = 6; /* it dies */
    live(200 * QR_MILLISECOND);
    assert_true(calls > 0);
}

/* Calls while it stands in line would be lost, and would wake thousands for nothing. */
static void test_who_stands_in_line_does_not_call_C1(void **state)
{
    (void)state;
    births_begin(&partition, true);
    others_first = true;
    live(QR_SECOND);
    assert_int_equal(calls, 0);
    assert_int_equal(partition.wake, QR_NEVER);
    others_first = false; /* whoever ends that wakes it */
    live(15 * QR_MILLISECOND);
    assert_int_equal(calls, 2);
}

/* Its group is led as a rule: the leader is heard before that. */
static void test_a_replica_of_an_earlier_life_waits_a_while(void **state)
{
    (void)state;
    births_begin(&partition, false);
    live(200 * QR_MILLISECOND);
    assert_int_equal(calls, 0);
    live(100 * QR_MILLISECOND);
    assert_true(calls > 0);
}

static void test_a_group_that_is_dropped_meanwhile_is_left_alone(void **state)
{
    (void)state;
    uint8_t key[MAP_KEY_BYTES_MAX];
    size_t n = map_key_write((struct map_key){ MAP_RECORD_PARTITION, GROUP }, key);
    assert_int_equal(map_put(node.map, span_of(key, n), (struct span){ 0 }), MAP_OK);
    births_begin(&partition, true);
    live(QR_SECOND);
    assert_int_equal(calls, 0);
}

/* W4: who leads first gives the log its time. */
static void test_who_prefers_to_lead_does_not_call_when_its_clock_is_off(void **state)
{
    (void)state;
    able = (uint16_t)~node_bit(ME);
    births_begin(&partition, true);
    live(QR_SECOND);
    assert_int_equal(calls, 0);
    able = 0; /* but when all are, it does not matter who */
    live(QR_SECOND);
    assert_true(calls > 0);
}

#define BIRTHS_TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        BIRTHS_TEST(test_who_prefers_to_lead_calls_when_it_has_founded),
        BIRTHS_TEST(test_it_calls_again_more_and_more_slowly_and_not_for_ever),
        BIRTHS_TEST(test_it_is_over_when_somebody_leads),
        BIRTHS_TEST(test_who_prefers_to_lead_does_not_call_when_its_clock_is_off),
        BIRTHS_TEST(test_the_others_wait_unless_that_one_is_away),
        BIRTHS_TEST(test_who_stands_in_line_does_not_call_C1),
        BIRTHS_TEST(test_a_replica_of_an_earlier_life_waits_a_while),
        BIRTHS_TEST(test_a_group_that_is_dropped_meanwhile_is_left_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
