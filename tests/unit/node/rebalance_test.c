/* REBALANCE [DRYRUN] [RATE], STATUS, CANCEL: what they change, what they tell, and what of it turns
 * back (O10, U46). */
#include "moves_world.h"

#include <string.h>

static bool balancing(void)
{
    return map_settings(node->map)->balancing;
}

/* --- Ordering -------------------------------------------------------------------------------- */

static void test_a_dry_run_tells_all_and_changes_nothing(void **state)
{
    (void)state;
    const char *plan = order("REBALANCE DRYRUN");
    assert_int_equal(plan[0], '*');
    assert_int_not_equal(plan[1], '0');
    assert_string_equal(field("keyspace", 0), "cart");
    assert_string_equal(field("reason", 0), "balance");
    assert_string_equal(field("from", 0), "1,2,3");
    assert_non_null(strchr(field("to", 0), '4')); /* the node that has nothing yet */
    assert_string_equal(field("prefers", 0), "4");
    (void)order("REBALANCE RATE 1mb DRYRUN");
    assert_string_equal(field("reason", 0), "balance");
    assert_int_equal(changes, 0);
    assert_false(balancing());
}

static void test_a_rebalance_is_ordered_with_its_rate(void **state)
{
    (void)state;
    assert_string_equal(order("REBALANCE RATE 10mb"), "+OK\r\n");
    assert_true(balancing());
    assert_int_equal(map_settings(node->map)->rate, 10 << 20);
    assert_string_equal(order("REBALANCE CANCEL"), "+OK\r\n");
    assert_false(balancing());
    assert_int_equal(map_settings(node->map)->rate, 10 << 20); /* of what still moves */
    assert_string_equal(order("REBALANCE"), "+OK\r\n");
    assert_int_equal(map_settings(node->map)->rate, 0);
    assert_int_equal(map_settings(node->map)->balance, 2);
}

static void test_what_makes_no_sense_changes_nothing(void **state)
{
    (void)state;
    static const char *const lines[] = { "REBALANCE NOW", "REBALANCE RATE",
                                         "REBALANCE DRYRUN DRYRUN", "REBALANCE RATE 1 RATE 2",
                                         "REBALANCE STATUS CANCEL" };
    for (size_t i = 0; i < ARRAY_COUNT(lines); i++) {
        assert_non_null(strstr(order(lines[i]), "-ERR syntax error"));
    }
    assert_non_null(strstr(order("REBALANCE RATE fast"), "-ERR a RATE is"));
    assert_non_null(strstr(order("REBALANCE RATE 2000gb"), "-ERR a RATE is"));
    assert_int_equal(changes, 0);
}

/* --- Cancel ---------------------------------------------------------------------------------- */

static void test_cancel_turns_moves_back_to_where_they_are(void **state)
{
    (void)state;
    leader_of_all = 2;
    (void)order("REBALANCE");
    move(3, 11);
    move(4, 13);
    assert_string_equal(order("REBALANCE CANCEL"), "+OK\r\n");
    assert_false(balancing());
    for (uint32_t group = 3; group <= 4; group++) {
        assert_int_equal(partition(group)->wish, 7);
        assert_int_equal(partition(group)->epoch, 3); /* so that the newcomer is let go */
        assert_int_equal(partition(group)->held, 15); /* and is one of theirs until then */
        assert_int_equal(partition(group)->prefers, 2);
    }
    assert_int_equal(partition(2)->epoch, 1);
    assert_int_equal(changes, 2);
}

static void test_what_is_there_already_does_not_turn_back(void **state)
{
    (void)state;
    leader_of_all = 1;
    move(3, 11);
    reach(3); /* but it is not noted down yet */
    assert_string_equal(order("REBALANCE CANCEL"), "+OK\r\n");
    assert_int_equal(partition(3)->wish, 11);
    assert_int_equal(partition(3)->epoch, 2);
    assert_int_equal(partition(3)->prefers, 0); /* nor does who is to lead it change */
}

/* A move that cannot turn back goes on, and the answer says so. */
static void assert_goes_on(uint16_t wish)
{
    move(3, wish);
    assert_string_equal(order("REBALANCE CANCEL"),
                        "+OK, but 1 move cannot turn back and goes on\r\n");
    assert_int_equal(partition(3)->wish, wish);
    assert_int_equal(partition(3)->epoch, 2);
}

static void test_from_a_node_that_is_gone_nothing_turns_back(void **state)
{
    (void)state;
    lease_gone[2] = 601 * QR_SECOND;
    assert_goes_on(11);
}

static void test_to_a_node_that_is_away_nothing_turns_back(void **state)
{
    (void)state;
    lease_gone[2] = QR_SECOND;
    assert_goes_on(11);
}

static void test_another_number_of_replicas_does_not_turn_back(void **state)
{
    (void)state;
    assert_goes_on(15);
}

static void test_without_a_leader_nothing_is_known_and_it_goes_on(void **state)
{
    (void)state;
    report[3].group = 0;
    assert_goes_on(11);
}

static void test_from_a_node_that_drains_nothing_turns_back(void **state)
{
    (void)state;
    drains(2, true);
    move(3, 11);
    move(4, 11);
    move(5, 13); /* not from there, but back to there */
    assert_string_equal(order("REBALANCE CANCEL"),
                        "+OK, but 3 moves cannot turn back and go on, node 3 still drains (MEMBER "
                        "DRAIN id CANCEL)\r\n");
    assert_int_equal(partition(3)->wish, 11);
    assert_int_equal(partition(5)->wish, 13);
}

/* --- Status ---------------------------------------------------------------------------------- */

static void test_status_tells_how_far_each_move_is(void **state)
{
    (void)state;
    leader_of_all = 1;
    move(3, 11);
    move(5, 14);
    report[3].others = 8;
    report[3].lag[3] = 100;
    report[5].others = 8;
    report[5].lag[3] = 500;
    report[5].copy = 4000;
    report[5].copy_left = 1000;
    (void)order("REBALANCE STATUS");
    assert_string_equal(field("balancing", 0), "no");
    assert_string_equal(field("under_way", 0), "2");
    assert_string_equal(field("partition", 0), "1");
    assert_string_equal(field("partition", 1), "3");
    assert_string_equal(field("partition", 2), "none");
    assert_string_equal(field("leader", 0), "2");
    assert_string_equal(field("from", 0), "1,2,3");
    assert_string_equal(field("to", 0), "1,2,4");
    assert_string_equal(field("to", 1), "2,3,4");
    assert_string_equal(field("percent", 0), "90");
    assert_string_equal(field("percent", 1), "75");
    assert_string_equal(field("bytes", 0), "1000000");
    assert_string_equal(field("bytes_left", 1), "100000"); /* the first is of all */
    assert_string_equal(field("bytes_left", 2), "1000");
    assert_string_equal(field("entries_left", 0), "100");
    report[3].group = 0;
    (void)order("REBALANCE STATUS");
    assert_string_equal(field("leader", 0), "0");
    assert_string_equal(field("percent", 0), "0");
    assert_int_equal(changes, 0);
}

/* The planner has not looked since: who asks behind an order hears of the order. */
static void test_status_tells_what_is_left_at_once(void **state)
{
    (void)state;
    (void)order("REBALANCE STATUS");
    assert_string_equal(field("left", 0), "0");
    (void)order("REBALANCE RATE 1000");
    (void)order("REBALANCE STATUS");
    assert_string_equal(field("balancing", 0), "yes");
    assert_string_equal(field("rate", 0), "1000");
    assert_string_equal(field("left", 0), "3");
    assert_string_equal(field("bytes_left", 0), "3000000");
    drains(2, true);
    drains(3, true);
    (void)order("REBALANCE STATUS");
    assert_string_equal(field("stuck", 0), "4");
}

static void test_bytes_moved_grow_with_what_has_come(void **state)
{
    (void)state;
    struct planner *pl = &node->control->planner;
    (void)order("REBALANCE STATUS");
    assert_string_equal(field("bytes_moved", 0), "0");
    assert_string_equal(field("bytes_per_second", 0), "0");
    pl->since = node->clock - 10 * QR_SECOND; /* two have begun, and one is there */
    pl->begun_bytes = 2000000;
    pl->begun = 2;
    pl->settled = 1;
    move(3, 11);
    report[3].others = 8;
    report[3].lag[3] = 250;
    (void)order("REBALANCE STATUS");
    assert_string_equal(field("begun", 0), "2");
    assert_string_equal(field("settled", 0), "1");
    assert_string_equal(field("bytes_moved", 0), "1750000");
    assert_string_equal(field("bytes_left", 0), "250000");
    assert_string_equal(field("bytes_per_second", 0), "175000");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(test_a_dry_run_tells_all_and_changes_nothing),
        CASE(test_a_rebalance_is_ordered_with_its_rate),
        CASE(test_what_makes_no_sense_changes_nothing),
        CASE(test_cancel_turns_moves_back_to_where_they_are),
        CASE(test_what_is_there_already_does_not_turn_back),
        CASE(test_from_a_node_that_is_gone_nothing_turns_back),
        CASE(test_to_a_node_that_is_away_nothing_turns_back),
        CASE(test_another_number_of_replicas_does_not_turn_back),
        CASE(test_without_a_leader_nothing_is_known_and_it_goes_on),
        CASE(test_from_a_node_that_drains_nothing_turns_back),
        CASE(test_status_tells_how_far_each_move_is),
        CASE(test_status_tells_what_is_left_at_once),
        CASE(test_bytes_moved_grow_with_what_has_come),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
