/* Placement over random clusters: different nodes, zones first, even numbers, no move without need
 * (PL1-PL5; O10, O12, U45). */
#include "place_world.h"

#include "base/rng.h"

static void test_new_keyspaces_are_spread_evenly(void **state)
{
    (void)state;
    struct rng rng = rng_from(1);
    for (uint32_t round = 0; round < 60; round++) {
        uint32_t n = 1 + (uint32_t)rng_below(&rng, MEMBERS_MAX);
        struct cluster c = cluster_of(n);
        for (uint32_t k = 0; k < 3; k++) {
            uint32_t replicas = 1 + (uint32_t)rng_below(&rng, n);
            assert_int_equal(create(&c, replicas, 1 + (uint32_t)rng_below(&rng, 60)), PLACE_OK);
        }
        struct figures f = count(&c);
        assert_true(spread(f.load, c.nodes.members) <= 1);
        assert_true(spread(f.leads, c.nodes.members) <= 2);
        uint32_t moved = carry_out_all(&c, true);
        f = count(&c);
        assert_int_equal(moved, 0); /* PL3 */
        assert_true(n < 2 || spread(f.leads, c.nodes.members) <= 2);
        map_free(c.map);
    }
}

static void test_zones_come_first(void **state)
{
    (void)state;
    struct rng rng = rng_from(2);
    for (uint32_t round = 0; round < 60; round++) {
        uint32_t n = 3 + (uint32_t)rng_below(&rng, MEMBERS_MAX - 2);
        uint32_t zones = 3 + (uint32_t)rng_below(&rng, n - 2);
        struct cluster c = cluster_of(n);
        for (node_index i = 0; i < n; i++) {
            char zone[] = "rack-?"; /* they differ at the end */
            zone[5] = (char)('a' + i % zones);
            put_in_zone(&c, i, zone, false);
        }
        assert_int_equal(create(&c, 3, 50), PLACE_OK);
        struct figures f = count(&c);
        assert_int_equal(f.crowded, 0);
        if (n % zones == 0) {
            assert_true(spread(f.load, c.nodes.members) <= 1);
        }
        map_free(c.map);
    }
}

static void test_without_a_zone_each_is_its_own(void **state)
{
    (void)state;
    struct cluster c = cluster_of(4);
    put_in_zone(&c, 0, "a", false);
    put_in_zone(&c, 1, "b", false);
    assert_int_equal(create(&c, 3, 40), PLACE_OK);
    assert_true(spread(count(&c).load, c.nodes.members) <= 1);
    map_free(c.map);
}

/* Evenness is not bought with two replicas in one zone. */
static void test_a_crowded_zone_is_worse_than_a_full_node(void **state)
{
    (void)state;
    struct cluster c = cluster_of(3);
    for (node_index i = 0; i < 3; i++) {
        put_in_zone(&c, i, i == 0 ? "a" : i == 1 ? "b" : "c", false);
    }
    assert_int_equal(create(&c, 3, 30), PLACE_OK);
    c.nodes.members = c.nodes.live = 0xf;
    put_in_zone(&c, 3, "c", false);
    assert_int_equal(carry_out_all(&c, true), 15); /* from the other node of its zone alone */
    assert_int_equal(count(&c).crowded, 0);
    assert_int_equal(count(&c).load[3], 15);
    map_free(c.map);
}

static void test_a_drained_node_is_left_by_all(void **state)
{
    (void)state;
    struct cluster c = cluster_of(5);
    assert_int_equal(create(&c, 3, 50), PLACE_OK);
    uint32_t had = count(&c).load[2];
    put_in_zone(&c, 2, "", true);
    uint32_t moved = carry_out_all(&c, false);
    struct figures f = count(&c);
    assert_int_equal(f.load[2], 0);
    assert_int_equal(f.leads[2], 0);
    assert_int_equal(moved, had);
    assert_int_equal(place_held(c.map, 2), 0);
    assert_true(spread(f.load, 0x1b) <= 1);
    assert_true(map_index_is_free(c.map, 2)); /* F8 */
    map_free(c.map);
}

static void test_with_nowhere_to_go_replicas_stay(void **state)
{
    (void)state;
    struct cluster c = cluster_of(3);
    assert_int_equal(create(&c, 3, 10), PLACE_OK);
    put_in_zone(&c, 1, "", true);
    struct place_plan plan;
    place_plan(c.map, &c.nodes, false, &plan);
    assert_int_equal(plan.stuck, 10);
    for (uint32_t i = 0; i < plan.count; i++) { /* but it need not lead */
        assert_int_equal(plan.change[i].reason, PLACE_LEADS);
    }
    place_plan_free(&plan);
    assert_int_equal(carry_out_all(&c, false), 0);
    assert_int_equal(count(&c).leads[1], 0);
    assert_int_equal(count(&c).load[1], 10);
    map_free(c.map);
}

static void test_where_all_drain_nothing_changes(void **state)
{
    (void)state;
    struct cluster c = cluster_of(3);
    assert_int_equal(create(&c, 3, 10), PLACE_OK);
    for (node_index i = 0; i < 3; i++) {
        put_in_zone(&c, i, "", true);
    }
    struct place_plan plan;
    place_plan(c.map, &c.nodes, false, &plan);
    assert_int_equal(plan.stuck, 10);
    assert_int_equal(plan.count, 0); /* nor who leads */
    place_plan_free(&plan);
    map_free(c.map);
}

/* Whoever drains and is away is replaced: nothing comes from there, so it is urgent. */
static void test_who_drains_and_is_away_is_replaced(void **state)
{
    (void)state;
    struct cluster c = cluster_of(4);
    assert_int_equal(create(&c, 3, 10), PLACE_OK);
    put_in_zone(&c, 1, "", true);
    for (uint32_t away = 0; away < 2; away++) {
        struct place_plan plan;
        c.nodes.live = away ? 13 : 15;
        place_plan(c.map, &c.nodes, false, &plan);
        assert_true(plan.count > 0);
        assert_int_equal(plan.change[0].reason, away ? PLACE_REPLACES : PLACE_DRAINS);
        place_plan_free(&plan);
    }
    map_free(c.map);
}

static void set_replicas(struct cluster *c, uint8_t replicas)
{
    struct map_keyspace k = *map_keyspace(c->map, 16);
    k.replicas = replicas;
    put_keyspace(c->map, &k);
}

static uint32_t stuck(const struct cluster *c)
{
    struct place_plan plan;
    place_plan(c->map, &c->nodes, false, &plan);
    uint32_t n = plan.stuck;
    place_plan_free(&plan);
    return n;
}

static void test_what_is_short_of_nodes_is_stuck(void **state)
{
    (void)state;
    struct cluster c = cluster_of(3);
    assert_int_equal(create(&c, 3, 10), PLACE_OK);
    assert_int_equal(stuck(&c), 0);
    set_replicas(&c, 4);
    assert_int_equal(stuck(&c), 10);
    map_free(c.map);
}

/* Of those that should be left whoever drains has all of it; of all, who is away goes first. */
static void test_the_fittest_of_too_few_stay(void **state)
{
    (void)state;
    struct cluster c = cluster_of(3);
    assert_int_equal(create(&c, 3, 30), PLACE_OK);
    set_replicas(&c, 2);
    put_in_zone(&c, 1, "", true);
    c.nodes.live = 3;
    c.nodes.gone = 4;
    assert_int_equal(carry_out_all(&c, false), 30);
    assert_int_equal(count(&c).load[1], 30);
    assert_int_equal(count(&c).load[2], 0);
    map_free(c.map);
    c = cluster_of(3);
    assert_int_equal(create(&c, 3, 30), PLACE_OK);
    set_replicas(&c, 2);
    c.nodes.live = 5;
    assert_int_equal(carry_out_all(&c, false), 30);
    assert_int_equal(count(&c).load[1], 0);
    map_free(c.map);
}

static void test_what_is_dropped_stays_where_it_is(void **state)
{
    (void)state;
    struct cluster c = cluster_of(4);
    assert_int_equal(create(&c, 3, 10), PLACE_OK);
    struct map_keyspace k = *map_keyspace(c.map, 16);
    k.state = KEYSPACE_DROPPING;
    put_keyspace(c.map, &k);
    put_in_zone(&c, 1, "", true);
    assert_int_equal(carry_out_all(&c, true), 0);
    assert_int_equal(stuck(&c), 0);
    map_free(c.map);
}

static void test_a_node_that_is_away_keeps_what_it_has(void **state)
{
    (void)state;
    struct cluster c = cluster_of(4);
    assert_int_equal(create(&c, 3, 20), PLACE_OK);
    struct figures before = count(&c);
    c.nodes.live = 0x7;
    assert_int_equal(carry_out_all(&c, false), 0); /* PL4 */
    struct figures f = count(&c);
    assert_int_equal(f.load[3], before.load[3]);
    assert_int_equal(f.leads[3], before.leads[3]);
    assert_int_equal(create(&c, 4, 1), PLACE_TOO_FEW_NODES);
    assert_int_equal(create(&c, 3, 4), PLACE_OK);
    assert_int_equal(count(&c).load[3], before.load[3]); /* nothing new is placed on it */
    c.nodes.gone = 0x8;
    assert_int_equal(carry_out_all(&c, false), before.load[3]);
    assert_int_equal(count(&c).load[3], 0);
    map_free(c.map);
}

/* Nor is it to lead what others have led; but of its surplus it is relieved. */
static void test_a_node_that_is_away_is_given_nothing_and_keeps_no_surplus(void **state)
{
    (void)state;
    struct cluster c = cluster_of(5);
    assert_int_equal(create(&c, 3, 50), PLACE_OK);
    for (uint32_t group = GROUP_FIRST; group < c.next_group; group++) {
        struct map_partition p = *map_partition(c.map, group);
        map_wish(&p, p.wish, set_first(p.wish)); /* the last one leads none */
        put_partition(c.map, &p);
    }
    c.nodes.live = 0xf;
    put_in_zone(&c, 0, "", true);
    (void)carry_out_all(&c, true);
    assert_int_equal(count(&c).load[0], 0);
    assert_int_equal(count(&c).leads[4], 0);
    put_in_zone(&c, 0, "", false);
    c.nodes.members = 0x3f; /* and one more comes */
    c.nodes.live = 0x2f;
    uint32_t surplus = count(&c).load[4];
    (void)carry_out_all(&c, true);
    assert_true(count(&c).load[4] < surplus);
    assert_true(spread(count(&c).load, c.nodes.members) <= 1);
    assert_int_equal(count(&c).leads[4], 0);
    map_free(c.map);
}

static void test_a_node_that_is_gone_is_replaced_first(void **state)
{
    (void)state;
    struct cluster c = cluster_of(6);
    assert_int_equal(create(&c, 3, 60), PLACE_OK);
    put_in_zone(&c, 0, "", true);
    c.nodes.live = c.nodes.members & 0x7ffd;
    c.nodes.gone = 0x2;
    struct place_plan plan;
    place_plan(c.map, &c.nodes, true, &plan);
    for (uint32_t i = 0; i < plan.count; i++) {
        bool lost = (plan.change[i].before & 0x2) != 0;
        bool drained = (plan.change[i].before & 0x1) != 0;
        assert_int_equal(plan.change[i].wish & 0x3, 0);
        assert_int_equal(plan.change[i].reason == PLACE_REPLACES, lost);
        assert_int_equal(plan.change[i].reason == PLACE_DRAINS, drained && !lost);
        assert_true(i == 0 || plan.change[i].reason >= plan.change[i - 1].reason);
    }
    place_plan_free(&plan);
    map_free(c.map);
}

static void test_only_so_much_is_under_way(void **state)
{
    (void)state;
    struct cluster c = cluster_of(5);
    assert_int_equal(create(&c, 3, 50), PLACE_OK);
    put_in_zone(&c, 2, "", true);
    struct place_plan plan;
    struct map_partition due[64], out[64];
    place_plan(c.map, &c.nodes, false, &plan);
    uint32_t n = place_due(c.map, &c.nodes, &plan, 4, due, 64);
    for (uint32_t i = 0; i < n; i++) {
        put_partition(c.map, &due[i]);
    }
    assert_int_equal(place_under_way(c.map), 4);
    assert_int_equal(place_held(c.map, 2), 30); /* until they are settled */
    assert_int_equal(place_due(c.map, &c.nodes, &plan, 64, out, 64), plan.count - 4); /* is older */
    place_plan_free(&plan);
    /* The next plan has the rest; what is under way is left alone (PL5). */
    place_plan(c.map, &c.nodes, false, &plan);
    assert_int_equal(plan.count, count(&c).load[2]);
    assert_int_equal(place_due(c.map, &c.nodes, &plan, 0, due, 64), 0);
    place_plan_free(&plan);
    /* But not when a node that it needs is gone. */
    node_index lost = set_first(due[0].wish);
    c.nodes.gone = node_bit(lost);
    c.nodes.live &= (uint16_t)~node_bit(lost);
    place_plan(c.map, &c.nodes, false, &plan);
    n = place_due(c.map, &c.nodes, &plan, 0, due, 64);
    assert_true(n >= 1);
    for (uint32_t i = 0; i < n; i++) {
        assert_int_equal(due[i].wish & c.nodes.gone, 0);
        assert_true(due[i].epoch == 3 || due[i].settled == due[i].epoch);
    }
    place_plan_free(&plan);
    /* Or is no member any more. */
    c.nodes.gone = 0;
    c.nodes.members &= c.nodes.live;
    place_plan(c.map, &c.nodes, false, &plan);
    assert_int_equal(place_due(c.map, &c.nodes, &plan, 0, out, 64), n);
    place_plan_free(&plan);
    map_free(c.map);
}

static void test_who_prefers_to_lead_costs_no_moves(void **state)
{
    (void)state;
    struct cluster c = cluster_of(3);
    assert_int_equal(create(&c, 3, 30), PLACE_OK);
    put_in_zone(&c, 1, "", true);
    struct place_plan plan;
    struct map_partition due[64];
    place_plan(c.map, &c.nodes, false, &plan);
    assert_int_equal(plan.count, count(&c).leads[1]);
    assert_int_equal(place_due(c.map, &c.nodes, &plan, 0, due, 64), plan.count);
    place_plan_free(&plan);
    map_free(c.map);
}

static void test_another_number_of_replicas(void **state)
{
    (void)state;
    struct cluster c = cluster_of(7);
    assert_int_equal(create(&c, 3, 30), PLACE_OK);
    for (uint32_t replicas = 5; replicas <= 5; replicas -= 2) {
        set_replicas(&c, (uint8_t)replicas);
        assert_int_equal(carry_out_all(&c, false), 30);
        struct figures f = count(&c);
        assert_int_equal(f.replicas, 30 * replicas);
        assert_true(spread(f.load, c.nodes.members) <= 2);
    }
    map_free(c.map);
}

/* Any trouble, then all is there again: everything ends even, and then nothing is left to do. */
static void test_every_turmoil_ends(void **state)
{
    (void)state;
    struct rng rng = rng_from(11);
    for (uint32_t round = 0; round < 80; round++) {
        uint32_t n = 4 + (uint32_t)rng_below(&rng, 6);
        struct cluster c = cluster_of(n);
        uint16_t all = c.nodes.members;
        assert_int_equal(create(&c, 3, 20 + (uint32_t)rng_below(&rng, 30)), PLACE_OK);
        assert_int_equal(create(&c, 1, 7), PLACE_OK);
        for (uint32_t step = 0; step < 30; step++) {
            node_index i = (node_index)rng_below(&rng, n);
            uint32_t moved = 0;
            put_in_zone(&c, i, rng_chance(&rng, 1, 3) ? "z" : "", rng_chance(&rng, 1, 4));
            c.nodes.live = (uint16_t)(all & rng_next(&rng)) | 0x3;
            c.nodes.gone = (uint16_t)(~c.nodes.live & all & rng_next(&rng));
            (void)carry_out(&c, rng_chance(&rng, 1, 2), 5, &moved);
        }
        for (node_index i = 0; i < n; i++) {
            put_in_zone(&c, i, "", false);
        }
        c.nodes = (struct place_nodes){ .members = all, .live = all };
        (void)carry_out_all(&c, true);
        struct figures f = count(&c);
        assert_true(spread(f.load, all) <= 1);
        assert_true(spread(f.leads, all) <= 2); /* who holds alone leads, whatever else is even */
        struct place_plan plan;
        place_plan(c.map, &c.nodes, true, &plan);
        assert_int_equal(plan.count, 0);
        assert_int_equal(plan.stuck, 0);
        place_plan_free(&plan);
        map_free(c.map);
    }
}

static void test_refusals_say_why(void **state)
{
    (void)state;
    struct cluster c = cluster_of(4);
    put_in_zone(&c, 3, "", true);
    char words[200];
    struct text text = text_in(words, sizeof words);
    enum place_status status = place_check(c.map, &c.nodes, 5, 1);
    assert_int_equal(status, PLACE_TOO_FEW_NODES);
    place_explain(status, c.map, &c.nodes, 5, 1, &text);
    assert_string_equal(words, "ERR 5 replicas need as many nodes that are up and do not drain, "
                               "there are 3, nothing was changed");
    assert_int_equal(place_check(c.map, &c.nodes, 0, 1), PLACE_NO_REPLICAS);
    assert_int_equal(place_check(c.map, &c.nodes, 16, 1), PLACE_NO_REPLICAS);
    assert_int_equal(place_check(c.map, &c.nodes, 3, 0), PLACE_NO_PARTITIONS);
    assert_int_equal(place_check(c.map, &c.nodes, 3, 16385), PLACE_NO_PARTITIONS);
    assert_int_equal(place_check(c.map, &c.nodes, 3, 16384), PLACE_OK);
    assert_int_equal(create(&c, 1, 1), PLACE_OK);
    status = place_check(c.map, &c.nodes, 3, 16384);
    assert_int_equal(status, PLACE_TOO_MANY_PARTITIONS);
    text = text_in(words, sizeof words);
    place_explain(status, c.map, &c.nodes, 3, 16384, &text);
    assert_string_equal(words, "ERR 16384 partitions more would be more than 16384 in the cluster, "
                               "nothing was changed");
    assert_int_equal(create(&c, 1, 16383), PLACE_OK); /* it is full, */
    assert_int_equal(place_check(c.map, &c.nodes, 1, 1), PLACE_TOO_MANY_PARTITIONS);
    assert_int_equal(place_check_replicas(c.map, &c.nodes, 3), PLACE_OK); /* ... and altered */
    assert_int_equal(place_check_replicas(c.map, &c.nodes, 4), PLACE_TOO_FEW_NODES);
    map_free(c.map);
}

static void test_numbers_of_groups_are_never_given_twice(void **state)
{
    (void)state;
    struct cluster c = cluster_of(3);
    struct map_settings settings = { .level = 2, .next_group = UINT32_MAX - 100 };
    put_settings(c.map, &settings);
    assert_int_equal(place_check(c.map, &c.nodes, 3, 100), PLACE_OK);
    assert_int_equal(place_check(c.map, &c.nodes, 3, 101), PLACE_NO_GROUPS);
    char words[200];
    struct text text = text_in(words, sizeof words);
    place_explain(PLACE_NO_GROUPS, c.map, &c.nodes, 3, 101, &text);
    assert_string_equal(words, "ERR all numbers of groups were given, and none is given twice, "
                               "nothing was changed");
    map_free(c.map);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_new_keyspaces_are_spread_evenly),
        cmocka_unit_test(test_zones_come_first),
        cmocka_unit_test(test_without_a_zone_each_is_its_own),
        cmocka_unit_test(test_a_crowded_zone_is_worse_than_a_full_node),
        cmocka_unit_test(test_a_drained_node_is_left_by_all),
        cmocka_unit_test(test_with_nowhere_to_go_replicas_stay),
        cmocka_unit_test(test_where_all_drain_nothing_changes),
        cmocka_unit_test(test_who_drains_and_is_away_is_replaced),
        cmocka_unit_test(test_what_is_short_of_nodes_is_stuck),
        cmocka_unit_test(test_the_fittest_of_too_few_stay),
        cmocka_unit_test(test_what_is_dropped_stays_where_it_is),
        cmocka_unit_test(test_a_node_that_is_away_keeps_what_it_has),
        cmocka_unit_test(test_a_node_that_is_away_is_given_nothing_and_keeps_no_surplus),
        cmocka_unit_test(test_a_node_that_is_gone_is_replaced_first),
        cmocka_unit_test(test_only_so_much_is_under_way),
        cmocka_unit_test(test_who_prefers_to_lead_costs_no_moves),
        cmocka_unit_test(test_another_number_of_replicas),
        cmocka_unit_test(test_every_turmoil_ends),
        cmocka_unit_test(test_refusals_say_why),
        cmocka_unit_test(test_numbers_of_groups_are_never_given_twice),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
