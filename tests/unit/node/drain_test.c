/* MEMBER DRAIN and MEMBER SET ZONE, and which nodes may be given replicas (order_drain.c,
 * placing.c; O12). */
#include "moves_world.h"

#include <string.h>

#include "node/order_member.h"
#include "tests/unit/cluster/put_records.h"

static void set_replicas(uint8_t replicas)
{
    struct map_keyspace k = *map_keyspace(node->map, 16);
    k.replicas = replicas;
    put_keyspace(node->map, &k);
}

static const char *refusal(const char *answer)
{
    assert_non_null(strstr(answer, "nothing was changed\r\n"));
    return answer;
}

static void assert_no_room(uint32_t left)
{
    char words[160];
    (void)snprintf(words, sizeof words,
                   "-UNSAFE without node 3 there are %u nodes for keyspace 'cart', which has 3 "
                   "replicas: add a node first",
                   (unsigned)left);
    assert_non_null(strstr(refusal(order("MEMBER DRAIN 3")), words));
    assert_int_equal(changes, 0);
    assert_false(map_node(node->map, 2)->draining);
}

/* --- Draining -------------------------------------------------------------------------------- */

static void test_a_node_drains_until_that_is_called_off(void **state)
{
    (void)state;
    assert_string_equal(order("MEMBER DRAIN 3"), "+OK\r\n");
    assert_true(map_node(node->map, 2)->draining);
    assert_int_equal(map_node(node->map, 2)->id, 3);
    assert_string_equal(order("MEMBER DRAIN 3 CANCEL"), "+OK\r\n");
    assert_false(map_node(node->map, 2)->draining);
    assert_non_null(strstr(order("MEMBER DRAIN 9"), "-ERR there is no member with that id"));
    assert_non_null(strstr(order("MEMBER DRAIN 3 NOW"), "-ERR syntax error"));
    assert_int_equal(changes, 2);
}

static void test_nodes_that_drain_are_no_room(void **state)
{
    (void)state;
    drains(3, true);
    assert_no_room(2);
}

static void test_nodes_that_are_away_are_no_room(void **state)
{
    (void)state;
    lease_gone[3] = QR_SECOND;
    assert_no_room(2);
    lease_gone[1] = 601 * QR_SECOND;
    assert_no_room(1);
}

static void test_observers_are_no_room(void **state)
{
    (void)state;
    applied_roster.members = (struct membership){ .voters = 7, .observers = 8 };
    latest_roster = applied_roster;
    assert_no_room(2);
}

static void test_room_is_for_as_many_as_there_are_to_be(void **state)
{
    (void)state;
    drains(3, true);
    set_replicas(2); /* also before that is carried out */
    assert_string_equal(order("MEMBER DRAIN 3"), "+OK\r\n");
}

static void test_keyspaces_without_a_replica_there_need_no_room(void **state)
{
    (void)state;
    lease_gone[2] = QR_SECOND;
    assert_string_equal(order("MEMBER DRAIN 4"), "+OK\r\n");
}

static void test_calling_off_needs_no_room(void **state)
{
    (void)state;
    drains(2, true);
    lease_gone[3] = QR_SECOND;
    assert_string_equal(order("MEMBER DRAIN 3 CANCEL"), "+OK\r\n");
    assert_false(map_node(node->map, 2)->draining);
}

static void test_a_lower_level_knows_nothing_of_it(void **state)
{
    (void)state;
    struct map_settings s = *map_settings(node->map);
    s.level = MAP_LEVEL_KEYSPACES - 1;
    put_settings(node->map, &s);
    assert_non_null(strstr(refusal(order("MEMBER DRAIN 3")), "-UPGRADE"));
    assert_non_null(strstr(refusal(order("MEMBER SET 3 ZONE a")), "-UPGRADE"));
    assert_int_equal(changes, 0);
}

/* A wish that is not reached yet: the node before still has it, and the next one may. */
static void test_a_node_is_drained_when_nothing_is_held_there(void **state)
{
    (void)state;
    for (uint32_t group = FIRST; group < FIRST + PARTITIONS; group++) {
        move(group, 11);
    }
    assert_non_null(strstr(order("MEMBER REMOVE 3"), "-UNSAFE node 3 holds replicas of 4 part"));
    assert_non_null(strstr(order("MEMBER REMOVE 4"), "-UNSAFE node 4 holds replicas of 4 part"));
    for (uint32_t group = FIRST; group < FIRST + PARTITIONS; group++) {
        struct map_partition p = *partition(group);
        map_settle(&p);
        assert_int_equal(order("MEMBER REMOVE 3")[0], '-');
        put_partition(node->map, &p);
    }
    assert_string_equal(order("MEMBER REMOVE 3"), "+OK\r\n");
}

/* --- Zones ----------------------------------------------------------------------------------- */

static void test_zone_and_drain_leave_each_other_alone(void **state)
{
    (void)state;
    assert_string_equal(order("MEMBER SET 3 ZONE east-1"), "+OK\r\n");
    assert_string_equal(order("MEMBER DRAIN 3"), "+OK\r\n");
    assert_string_equal(map_node(node->map, 2)->zone, "east-1");
    assert_string_equal(order("MEMBER SET 3 ZONE b"), "+OK\r\n");
    assert_string_equal(map_node(node->map, 2)->zone, "b");
    assert_true(map_node(node->map, 2)->draining);
    assert_string_equal(order("MEMBER SET 3 ZONE"), "+OK\r\n"); /* an empty one: none */
    assert_string_equal(map_node(node->map, 2)->zone, "");
    assert_non_null(
        strstr(order("MEMBER SET 3 ZONE east\tone"), "-ERR a zone has up to 31 printable"));
    assert_non_null(strstr(order("MEMBER SET 3 ZONE 0123456789012345678901234567890x"),
                           "-ERR a zone has up to 31 printable"));
    assert_int_equal(changes, 4);
    assert_int_equal(rule_changes, 3); /* leaders of partitions go by zones */
}

static void test_what_was_said_of_the_node_before_is_not_the_next_ones(void **state)
{
    (void)state;
    assert_string_equal(order("MEMBER SET 4 ZONE west"), "+OK\r\n");
    drains(3, true);
    applied_roster.node[3].id = 9; /* the index is another one's */
    assert_string_equal(order("MEMBER DRAIN 9 CANCEL"), "+OK\r\n");
    assert_string_equal(map_node(node->map, 3)->zone, "");
    assert_int_equal(map_node(node->map, 3)->id, 9);
    assert_string_equal(order("MEMBER SET 9 ZONE b"), "+OK\r\n");
    assert_false(map_node(node->map, 3)->draining);
}

/* --- Who may be given replicas --------------------------------------------------------------- */

static void test_members_that_stay_may_have_replicas(void **state)
{
    (void)state;
    assert_int_equal(placing_nodes(node).members, 15);
    applied_roster.members = (struct membership){ .voters = 7, .learners = 8, .observers = 16 };
    latest_roster = applied_roster;
    assert_int_equal(placing_nodes(node).members, 15);
    latest_roster.members = (struct membership){ .voters = 3, .learners = 8, .outgoing = 7 };
    assert_int_equal(placing_nodes(node).members, 11); /* node 3 is about to go */
    applied_roster.members = (struct membership){ .voters = 3, .outgoing = 7 };
    latest_roster.members = (struct membership){ .voters = 7 };
    assert_int_equal(placing_nodes(node).members, 7);
}

static void test_away_is_who_has_no_lease_and_gone_who_has_had_none_for_long(void **state)
{
    (void)state;
    lease_gone[0] = 900 * QR_SECOND; /* this node leads, and needs none */
    lease_gone[1] = 1;
    lease_gone[2] = 600 * QR_SECOND;
    struct place_nodes nodes = placing_nodes(node);
    assert_int_equal(nodes.live, 9);
    assert_int_equal(nodes.gone, 4);
    node->config.replace_after_s = 0; /* never */
    nodes = placing_nodes(node);
    assert_int_equal(nodes.live, 9);
    assert_int_equal(nodes.gone, 0);
    old_nodes = 8;
    assert_int_equal(placing_nodes(node).live, 1);
}

static void test_a_keyspace_begins_with_as_many_replicas_as_there_are_nodes(void **state)
{
    (void)state;
    struct map_keyspace k = a_keyspace(17, "next", "", FIRST + PARTITIONS, 2);
    lease_gone[1] = lease_gone[2] = QR_SECOND;
    struct edit edit = { 0 };
    put_keyspace(node->map, &k);
    struct map_partition refused;
    assert_true(placing_found(node, &k, &edit, &refused));
    (void)control_propose_own(node, &edit);
    edit_free(&edit);
    for (uint32_t i = 0; i < 2; i++) {
        const struct map_partition *p = map_partition_at(node->map, 17, i);
        assert_int_equal(p->wish, 9);
        assert_int_equal(p->prefers, 3); /* who leads nothing yet */
        assert_int_equal(p->group, FIRST + PARTITIONS + i);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(test_a_node_drains_until_that_is_called_off),
        CASE(test_nodes_that_drain_are_no_room),
        CASE(test_nodes_that_are_away_are_no_room),
        CASE(test_observers_are_no_room),
        CASE(test_room_is_for_as_many_as_there_are_to_be),
        CASE(test_keyspaces_without_a_replica_there_need_no_room),
        CASE(test_calling_off_needs_no_room),
        CASE(test_a_lower_level_knows_nothing_of_it),
        CASE(test_a_node_is_drained_when_nothing_is_held_there),
        CASE(test_zone_and_drain_leave_each_other_alone),
        CASE(test_what_was_said_of_the_node_before_is_not_the_next_ones),
        CASE(test_members_that_stay_may_have_replicas),
        CASE(test_away_is_who_has_no_lease_and_gone_who_has_had_none_for_long),
        CASE(test_a_keyspace_begins_with_as_many_replicas_as_there_are_nodes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
