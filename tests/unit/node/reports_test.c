/* What group 0's leader hears of partitions (reports.h), between two nodes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "reports_world.h"
#include "tests/unit/cluster/put_records.h"

static int begin(void **state)
{
    (void)state;
    make_worlds(4);
    return 0;
}

/* Both have so many turns, 10 ms apart. */
static void live_for(int turns)
{
    for (int i = 0; i < turns; i++) {
        for (int n = 0; n < 2; n++) {
            nodes[n].node.clock += 10 * QR_MILLISECOND;
            reports_turn(&nodes[n].node, nodes[n].node.clock);
        }
    }
}

static void live(void)
{
    live_for(50);
}

static void connect_again(void)
{
    connected = true;
    reports_connected(&zero->node, 1);
    reports_connected(&other->node, 0);
}

static uint64_t reached(uint32_t group)
{
    node_index leader;
    const struct partition_report *r = reports_of_group(&zero->node, group, &leader);
    return r != NULL && leader == 1 ? r->epoch : UINT64_MAX;
}

static void reach(uint32_t group, uint64_t epoch)
{
    other->partition[group - 1].reached = epoch;
    reporting_note(&other->partition[group - 1]);
}

static void test_what_changes_is_told(void **state)
{
    (void)state;
    know_keyspace(zero);
    know_keyspace(other);
    live();
    assert_int_equal(reached(3), 0);
    assert_true(reports_keyspace_is_led(&zero->node, 16));
    reach(3, 4);
    live();
    assert_int_equal(reached(3), 4);
    assert_int_equal(reached(4), 0);
}

/* Nothing else of an idle partition would ever change again. */
static void test_what_was_told_to_a_closed_connection_is_told_anew(void **state)
{
    (void)state;
    know_keyspace(zero);
    know_keyspace(other);
    live();
    connected = false;
    reach(3, 4);
    live();
    assert_int_equal(reached(3), UINT64_MAX);
    connect_again();
    live();
    assert_int_equal(reached(3), 4);
    assert_int_equal(reached(2), 0);
    assert_int_equal(lost, 0); /* nothing is composed for nobody */
}

static void test_what_was_on_its_way_when_the_connection_closed_is_told_anew(void **state)
{
    (void)state;
    know_keyspace(zero);
    know_keyspace(other);
    live();
    node_index leader;
    struct partition_report before = *reports_of_group(&zero->node, 3, &leader);
    reach(3, 4);
    live();
    struct report back = { .version = 6, .level = 2, .partitions = 1 };
    back.partition[0] = before; /* as if the last frame had not come */
    uint8_t *frame = qr_alloc(REPORT_BYTES_MAX);
    assert_true(reports_receive(&zero->node, 1, span_of(frame, report_write(&back, frame))));
    free(frame);
    live();
    assert_int_equal(reached(3), 0);
    connect_again();
    live();
    assert_int_equal(reached(3), 4);
}

/* A new leader of group 0 hears of partitions whose records it has not applied yet. */
static void test_partitions_that_the_leader_does_not_know_yet_are_kept(void **state)
{
    (void)state;
    know_keyspace(other);
    live();
    zero->version++; /* something else is applied first */
    live();
    know_keyspace(zero);
    assert_true(reports_keyspace_is_led(&zero->node, 16));
    live();
    assert_int_equal(reached(4), 0);
}

static void test_partitions_that_were_dropped_are_forgotten(void **state)
{
    (void)state;
    know_keyspace(zero);
    know_keyspace(other);
    live();
    put_erased(zero->node.map, MAP_RECORD_PARTITION, 3);
    zero->version++;
    live();
    assert_int_equal(reached(3), UINT64_MAX);
    reach(3, 4); /* by who has not heard of it yet */
    live();
    assert_int_equal(reached(3), UINT64_MAX);
    assert_int_equal(reached(4), 0);
}

/* What a node does not tell for want of room may be clients of any keyspace. */
static void test_clients_that_are_not_counted_may_be_of_any_keyspace(void **state)
{
    (void)state;
    struct keyspace_use use;
    struct report r = { .version = 6, .level = 2 };
    uint8_t *frame = qr_alloc(REPORT_BYTES_MAX);
    know_keyspace(zero);
    while (r.client_counts < REPORT_KEYSPACES_MAX) {
        reports_use(&zero->node, 16, &use);
        assert_false(use.uncounted);
        r.clients[r.client_counts] = (struct client_count){ 17 + r.client_counts, 2 };
        r.client_counts++;
        assert_true(reports_receive(&zero->node, 1, span_of(frame, report_write(&r, frame))));
    }
    free(frame);
    reports_use(&zero->node, 16, &use);
    assert_true(use.uncounted);
    assert_int_equal(use.clients, 0);
    reports_use(&zero->node, 17, &use);
    assert_false(use.uncounted);
    assert_int_equal(use.clients, 2);
    connected = false; /* its clients are its own business */
    reports_use(&zero->node, 16, &use);
    assert_false(use.uncounted);
}

/* Started again with an older version it says less, or nothing (CLUSTER UPGRADE FINALIZE). */
static void test_a_new_connection_knows_no_level_until_it_says_so(void **state)
{
    (void)state;
    live();
    assert_int_equal(reports_level(&zero->node, 1), 2);
    connect_again();
    assert_int_equal(reports_level(&zero->node, 1), 0);
    assert_false(reports_know_version(&zero->node, 5));
    live();
    assert_int_equal(reports_level(&zero->node, 1), 2);
    assert_true(reports_know_version(&zero->node, 5));
}

/* KEYSPACE STATS: the sum over the partitions, of the last while and no longer. */
static void test_rates_are_told_and_end(void **state)
{
    (void)state;
    struct keyspace_use use;
    know_keyspace(zero);
    know_keyspace(other);
    live();
    reports_use(&zero->node, 16, &use);
    assert_true(use.ops == 0 && use.refused == 0);
    for (int i = 0; i < 100; i++) {
        other->partition[1].quota.ops += 3;
        other->partition[2].quota.ops += 4;
        other->partition[2].quota.refused += 2;
        reporting_note(&other->partition[1]);
        reporting_note(&other->partition[2]);
        live_for(1);
    }
    reports_use(&zero->node, 16, &use);
    assert_in_range(use.ops, 650, 750);
    assert_in_range(use.refused, 180, 220);
    live(); /* without a turn of theirs */
    reports_use(&zero->node, 16, &use);
    assert_true(use.ops == 0 && use.refused == 0);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, begin, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_what_changes_is_told),
        TEST(test_what_was_told_to_a_closed_connection_is_told_anew),
        TEST(test_what_was_on_its_way_when_the_connection_closed_is_told_anew),
        TEST(test_partitions_that_the_leader_does_not_know_yet_are_kept),
        TEST(test_partitions_that_were_dropped_are_forgotten),
        TEST(test_rates_are_told_and_end),
        TEST(test_clients_that_are_not_counted_may_be_of_any_keyspace),
        TEST(test_a_new_connection_knows_no_level_until_it_says_so),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
