/* Spreading anew, when it is ordered (REBALANCE): zones, then even numbers, then who leads, and no
 * move without need (place.h: PL1, PL3, PL4). */
#include "place_world.h"

/* A zone that was given to a node later: what is crowded by it is moved apart, and only that. */
static void test_crowded_zones_are_parted_when_asked(void **state)
{
    (void)state;
    struct cluster c = cluster_of(6);
    assert_int_equal(create(&c, 3, 40), PLACE_OK);
    for (node_index i = 0; i < 6; i++) {
        put_in_zone(&c, i, i < 2 ? "a" : i < 4 ? "b" : "c", false);
    }
    uint32_t crowded = count(&c).crowded;
    assert_true(crowded > 0);
    assert_int_equal(carry_out_all(&c, false), 0); /* not unless it is ordered */
    uint32_t moved = carry_out_all(&c, true);
    struct figures f = count(&c);
    assert_int_equal(f.crowded, 0);
    assert_true(moved >= crowded);
    assert_true(moved <= crowded + 12); /* evenness again */
    map_free(c.map);
}

/* Two of its three are in the way: it moves once. Zones come before numbers, and stay. */
static void test_a_crowded_partition_is_parted_at_once(void **state)
{
    (void)state;
    struct cluster c = cluster_of(3);
    assert_int_equal(create(&c, 3, 4), PLACE_OK);
    c.nodes.members = c.nodes.live = 31;
    for (node_index i = 0; i < 5; i++) {
        put_in_zone(&c, i, i < 3 ? "a" : i < 4 ? "b" : "c", false);
    }
    assert_int_equal(carry_out_all(&c, true), 4);
    assert_int_equal(count(&c).crowded, 0);
    assert_int_equal(count(&c).load[3], 4);
    assert_int_equal(carry_out_all(&c, true), 0);
    map_free(c.map);
}

/* A node that came takes its share and nothing else moves: the least there is to do. */
static void test_a_new_node_takes_its_share(void **state)
{
    (void)state;
    for (uint32_t n = 3; n < MEMBERS_MAX; n++) {
        struct cluster c = cluster_of(n);
        assert_int_equal(create(&c, 3, 60), PLACE_OK);
        c.nodes.members = c.nodes.live = (uint16_t)((1u << (n + 1)) - 1);
        assert_int_equal(carry_out_all(&c, false), 0);
        uint32_t moved = carry_out_all(&c, true);
        struct figures f = count(&c);
        assert_true(spread(f.load, c.nodes.members) <= 1);
        assert_true(spread(f.leads, c.nodes.members) <= 1);
        assert_int_equal(moved, f.load[n]);
        assert_int_equal(carry_out_all(&c, true), 0);
        map_free(c.map);
    }
}

static void test_spreading_anew_gives_nothing_to_who_is_away(void **state)
{
    (void)state;
    struct cluster c = cluster_of(3);
    assert_int_equal(create(&c, 3, 30), PLACE_OK);
    for (uint32_t group = GROUP_FIRST; group < c.next_group; group++) {
        struct map_partition p = *map_partition(c.map, group);
        p.prefers = p.prefers == 2 ? 0 : p.prefers;
        put_partition(c.map, &p);
    }
    c.nodes.members = 15; /* node 3 has come, and is away like node 2 */
    c.nodes.live = 3;
    assert_int_equal(carry_out_all(&c, true), 0);
    struct figures f = count(&c);
    assert_true(f.load[2] == 30 && f.load[3] == 0);
    assert_true(f.leads[0] == 15 && f.leads[1] == 15);
    c.nodes.live = 15;
    assert_true(carry_out_all(&c, true) > 0);
    f = count(&c);
    assert_true(spread(f.load, 15) <= 1 && spread(f.leads, 15) <= 1);
    map_free(c.map);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_crowded_zones_are_parted_when_asked),
        cmocka_unit_test(test_a_crowded_partition_is_parted_at_once),
        cmocka_unit_test(test_a_new_node_takes_its_share),
        cmocka_unit_test(test_spreading_anew_gives_nothing_to_who_is_away),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
