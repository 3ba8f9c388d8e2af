/* Replicas of keyspaces whose ACK names a zone (PL6; R3, U9): as many as it counts on stand there,
 * when they are placed and whatever is moved later. */
#include "place_world.h"

#include "base/rng.h"
#include "cluster/strategy.h"

static struct map_keyspace make(struct cluster *c, struct ack ack, uint8_t replicas,
                                uint32_t partitions)
{
    struct map_keyspace k = a_keyspace(c->next_keyspace++, "zoned", "", c->next_group, partitions);
    struct placement placed[64];
    k.strategy = STRATEGY_PRIMARY;
    k.primary = primary_options_default();
    k.primary.ack = ack;
    k.replicas = replicas;
    assert_int_equal(place_check(c->map, &c->nodes, replicas, partitions), PLACE_OK);
    assert_true(partitions <= ARRAY_COUNT(placed));
    place_found(c->map, &c->nodes, replicas, c->next_group, partitions, &k, placed);
    put_keyspace(c->map, &k);
    for (uint32_t i = 0; i < partitions; i++) {
        struct map_partition p =
            map_found(&k, i, c->next_group + i, placed[i].nodes, placed[i].leads);
        put_partition(c->map, &p);
    }
    c->next_group += partitions;
    return k;
}

/* Whether each partition could go on with what ACK says. */
static bool all_can(const struct cluster *c, const struct map_keyspace *k)
{
    bool can = true;
    for (uint32_t i = 0; i < k->partitions; i++) {
        const struct map_partition *p = map_partition_at(c->map, k->id, i);
        struct succession_wish wish = strategy_wish(c->map, k, p->wish);
        can = can && succession_wish_is_sound(&wish);
    }
    return can;
}

/* `in` of them in eu, the others in zones of their own. */
static struct cluster zones(uint32_t nodes, uint32_t in)
{
    struct cluster c = cluster_of(nodes);
    for (node_index i = 0; i < nodes; i++) {
        char zone[] = "zone-?";
        zone[5] = (char)('a' + i);
        put_in_zone(&c, i, i < in ? "eu" : zone, false);
    }
    return c;
}

static void test_they_are_placed_where_ack_wants_them(void **state)
{
    (void)state;
    for (uint8_t n = 1; n < 4; n++) {
        struct cluster c = zones(9, n + 1u);
        struct map_keyspace k =
            make(&c, (struct ack){ .kind = ACK_ANY, .n = n, .zone = "eu" }, 5, 40);
        assert_true(all_can(&c, &k));
        assert_int_equal(carry_out_all(&c, true), 0); /* parting zones would take them away */
        assert_true(all_can(&c, &k));
        map_free(c.map);
    }
    struct cluster c = zones(9, 1);
    struct map_keyspace k = make(&c, (struct ack){ .kind = ACK_ALL, .zone = "eu" }, 3, 40);
    assert_true(all_can(&c, &k));
    assert_int_equal(count(&c).load[0], 40);
    (void)carry_out_all(&c, true); /* nor is it emptied for evenness */
    assert_true(all_can(&c, &k));
    map_free(c.map);
}

/* Without a zone in ACK they stand where those of other keyspaces would. */
static void test_who_names_no_zone_is_spread_over_them(void **state)
{
    (void)state;
    struct cluster c = zones(9, 5);
    (void)make(&c, (struct ack){ .kind = ACK_ANY, .n = 2 }, 5, 40);
    assert_int_equal(count(&c).crowded, 0);
    map_free(c.map);
}

static void test_what_would_leave_the_zone_is_stuck(void **state)
{
    (void)state;
    struct cluster c = zones(6, 2);
    struct map_keyspace k = make(&c, (struct ack){ .kind = ACK_ANY, .n = 1, .zone = "eu" }, 3, 8);
    struct place_plan plan;
    put_in_zone(&c, 1, "eu", true); /* it drains, and nobody else is there */
    place_plan(c.map, &c.nodes, true, &plan);
    assert_int_equal(plan.stuck, 8);
    place_plan_free(&plan);
    (void)carry_out_all(&c, true);
    assert_true(all_can(&c, &k));
    put_in_zone(&c, 5, "eu", false);
    place_plan(c.map, &c.nodes, false, &plan);
    assert_int_equal(plan.stuck, 0);
    place_plan_free(&plan);
    (void)carry_out_all(&c, false);
    assert_true(all_can(&c, &k));
    assert_true(count(&c).load[1] == 0 && count(&c).load[5] == 8);
    map_free(c.map);
}

/* Those elsewhere go first when there are to be fewer, and those there come first when more. */
static void test_fewer_replicas_stay_where_ack_wants_them(void **state)
{
    (void)state;
    struct cluster c = zones(8, 3);
    struct map_keyspace k = make(&c, (struct ack){ .kind = ACK_ANY, .n = 1, .zone = "eu" }, 5, 20);
    struct place_plan plan;
    k.replicas = 2;
    put_keyspace(c.map, &k);
    place_plan(c.map, &c.nodes, false, &plan);
    assert_int_equal(plan.count, 20);
    for (uint32_t i = 0; i < plan.count; i++) { /* nobody has to be brought up */
        assert_int_equal(plan.change[i].wish & ~plan.change[i].before, 0);
    }
    place_plan_free(&plan);
    (void)carry_out_all(&c, false);
    assert_int_equal(count(&c).replicas, 40);
    assert_true(all_can(&c, &k));
    k.primary.ack.n = 2;
    k.replicas = 4;
    put_keyspace(c.map, &k);
    (void)carry_out_all(&c, true);
    assert_true(all_can(&c, &k));
    map_free(c.map);
}

/* ALTER names another zone, or a node is said to be in it: they are brought there, and no more are
 * moved than are missing. */
static void test_they_go_where_an_alter_wants_them(void **state)
{
    (void)state;
    struct cluster c = zones(6, 2);
    struct map_keyspace k = make(&c, (struct ack){ .kind = ACK_LOCAL }, 3, 12);
    struct place_plan plan;
    k.primary.ack = (struct ack){ .kind = ACK_ANY, .n = 1, .zone = "eu" };
    put_keyspace(c.map, &k);
    assert_false(all_can(&c, &k));
    place_plan(c.map, &c.nodes, false, &plan);
    assert_true(plan.count > 0 && plan.stuck == 0);
    for (uint32_t i = 0; i < plan.count; i++) {
        uint16_t came = (uint16_t)(plan.change[i].wish & ~plan.change[i].before);
        assert_int_equal(came & ~3, 0);
        assert_int_equal(plan.change[i].reason, PLACE_PARTS);
        assert_int_equal(quorum_count(plan.change[i].wish), 3);
    }
    place_plan_free(&plan);
    (void)carry_out_all(&c, false);
    assert_true(all_can(&c, &k));
    assert_int_equal(carry_out_all(&c, false), 0);
    k.primary.ack = (struct ack){ .kind = ACK_ALL, .zone = "us" };
    put_keyspace(c.map, &k);
    assert_int_equal(carry_out_all(&c, false), 0); /* nobody is there */
    put_in_zone(&c, 5, "us", false);
    (void)carry_out_all(&c, false);
    assert_true(all_can(&c, &k));
    put_in_zone(&c, 4, "us", false);
    c.nodes.live = 0x1f; /* who is there is away: what it has is there all the same */
    assert_int_equal(carry_out_all(&c, false), 0);
    map_free(c.map);
}

/* A zone that has no node any more holds up nothing that was lost already. */
static void test_a_zone_that_is_gone_binds_nobody(void **state)
{
    (void)state;
    struct cluster c = zones(5, 1);
    struct map_keyspace k = make(&c, (struct ack){ .kind = ACK_ALL, .zone = "eu" }, 3, 6);
    put_in_zone(&c, 0, "us", true); /* now in another one, and it drains */
    assert_false(all_can(&c, &k));
    (void)carry_out_all(&c, false);
    assert_int_equal(count(&c).load[0], 0);
    map_free(c.map);
}

static void test_random_clusters_never_leave_a_zone(void **state)
{
    (void)state;
    struct rng rng = rng_from(6);
    for (uint32_t round = 0; round < 300; round++) {
        uint32_t n = 4 + (uint32_t)rng_below(&rng, MEMBERS_MAX - 4);
        uint32_t in = 2 + (uint32_t)rng_below(&rng, n - 2);
        struct cluster c = zones(n, in);
        uint8_t least = (uint8_t)(1 + rng_below(&rng, in - 1));
        uint8_t replicas = (uint8_t)(least + 1 + rng_below(&rng, n - least));
        struct ack ack = { .kind = ACK_ANY, .n = least, .zone = "eu" };
        struct map_keyspace k = make(&c, ack, replicas, 1 + (uint32_t)rng_below(&rng, 30));
        assert_true(all_can(&c, &k));
        for (uint32_t step = 0; step < 6; step++) {
            node_index i = (node_index)rng_below(&rng, n);
            uint16_t bit = (uint16_t)(1u << i);
            bool drains = rng_below(&rng, 2) == 0;
            put_in_zone(&c, i, map_node(c.map, i)->zone[0] == 'e' ? "eu" : "us", drains);
            c.nodes.live = (uint16_t)(c.nodes.members & ~(rng_below(&rng, 3) == 0 ? bit : 0));
            (void)carry_out_all(&c, rng_below(&rng, 2) == 0);
            assert_true(all_can(&c, &k));
        }
        map_free(c.map);
    }
}

/* A move under a rule that its nodes cannot give would never end (PL5): REPLICAS and ACK were both
 * altered while it was under way. */
static void test_a_move_that_leaves_too_few_for_ack_is_changed(void **state)
{
    (void)state;
    struct cluster c = cluster_of(5);
    struct map_keyspace k = make(&c, (struct ack){ .kind = ACK_ANY, .n = 1 }, 2, 1);
    struct map_partition p = *map_partition_at(c.map, k.id, 0);
    uint16_t elsewhere = (uint16_t)(c.nodes.members & ~p.wish);
    node_index stays = set_first(p.wish);
    map_wish(&p, (uint16_t)(node_bit(stays) | node_bit(set_first(elsewhere))), stays);
    put_partition(c.map, &p);
    struct place_plan plan;
    struct map_partition due[2];
    k.replicas = 3;
    put_keyspace(c.map, &k);
    place_plan(c.map, &c.nodes, false, &plan);
    assert_int_equal(plan.count, 1);
    assert_int_equal(place_due(c.map, &c.nodes, &plan, 1, due, 2), 0); /* it ends first */
    k.primary.ack.n = 2;
    put_keyspace(c.map, &k);
    assert_false(all_can(&c, &k));
    assert_int_equal(place_due(c.map, &c.nodes, &plan, 0, due, 2), 1);
    assert_int_equal(quorum_count(due[0].wish), 3);
    assert_int_equal(due[0].wish & p.wish, p.wish);
    assert_int_equal(due[0].held & p.held, p.held); /* who had it keeps it until it is settled */
    assert_true(due[0].epoch == p.epoch + 1 && due[0].settled == p.settled);
    plan.change[0].wish = (uint16_t)(plan.change[0].wish & (plan.change[0].wish - 1));
    assert_int_equal(place_due(c.map, &c.nodes, &plan, 0, due, 2), 0); /* it would not end either */
    place_plan_free(&plan);
    map_free(c.map);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_they_are_placed_where_ack_wants_them),
        cmocka_unit_test(test_who_names_no_zone_is_spread_over_them),
        cmocka_unit_test(test_what_would_leave_the_zone_is_stuck),
        cmocka_unit_test(test_fewer_replicas_stay_where_ack_wants_them),
        cmocka_unit_test(test_they_go_where_an_alter_wants_them),
        cmocka_unit_test(test_a_zone_that_is_gone_binds_nobody),
        cmocka_unit_test(test_random_clusters_never_leave_a_zone),
        cmocka_unit_test(test_a_move_that_leaves_too_few_for_ack_is_changed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
