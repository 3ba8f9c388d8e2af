/* KEYSPACE CREATE, ALTER and DROP with STRATEGY primary: what is refused, and what is written
 * (features R2 to R4, L9; U3: nothing is promised that its nodes cannot give). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "order_keyspace_world.h"

static int primary_begin(void **state)
{
    (void)order_begin(state);
    put_settings(node.map,
                 &(struct map_settings){ .level = MAP_LEVEL_PRIMARY, .next_group = GROUP_FIRST });
    return 0;
}

static void put_zone(node_index i, const char *zone)
{
    struct map_node n = { .id = i + 101u };
    memcpy(n.zone, zone, strlen(zone));
    put_node(node.map, i, &n);
}

static void its_partitions_have_successions(void **state)
{
    (void)state;
    accept(CREATE, "a STRATEGY primary ACK ANY~2~ON~received PARTITIONS 3");
    assert_int_equal(of("a")->strategy, STRATEGY_PRIMARY);
    assert_true(of("a")->primary.ack.n == 2 && !of("a")->primary.fallback_async);
    for (uint32_t group = GROUP_FIRST; group < GROUP_FIRST + 3; group++) {
        const struct succession *s = map_succession(node.map, group);
        assert_non_null(s);
        assert_true(s->term == 1 && s->primary == NODE_NONE && s->rule.members == 7);
        assert_true(s->rule.copies == 2 && s->stage == ACK_RECEIVED && s->duty_count == 0);
    }
    accept(CREATE, "raft STRATEGY raft");
    assert_null(map_succession(node.map, GROUP_FIRST + 3));
    accept(DROP, "a FORCE");
    assert_null(of("a"));
    assert_null(map_succession(node.map, GROUP_FIRST));
    assert_null(map_succession(node.map, GROUP_FIRST + 2));
    assert_true(map_index_is_free(node.map, 0) == false); /* of `raft` */
    accept(DROP, "raft FORCE");
    assert_true(map_index_is_free(node.map, 0));
}

static void it_needs_the_level_that_brought_it(void **state)
{
    (void)state;
    put_settings(node.map, &(struct map_settings){ .level = MAP_LEVEL_PRIMARY - 1,
                                                   .next_group = GROUP_FIRST });
    refuse(CREATE, "a STRATEGY primary",
           "-UPGRADE strategy primary needs level 4 of the cluster, and level 3 is active");
    accept(CREATE, "b STRATEGY raft HISTORY 1s");
    put_settings(node.map, &(struct map_settings){ .level = MAP_LEVEL_COPIES - 1,
                                                   .next_group = GROUP_FIRST + 1 });
    refuse(CREATE, "a STRATEGY primary ACK ALL~ON~applied",
           "-UPGRADE these options need level 5 of the cluster, and level 4 is active");
    put_settings(node.map, &(struct map_settings){ .level = MAP_LEVEL_FOLLOWERS - 1,
                                                   .next_group = GROUP_FIRST + 1 });
    refuse(CREATE, "a STRATEGY primary MAXLAG 5ops LAGGING STALL",
           "-UPGRADE these options need level 6 of the cluster, and level 5 is active");
    refuse(CREATE, "a STRATEGY primary MAXLAG 5s",
           "-UPGRADE these options need level 6 of the cluster, and level 5 is active");
    put_settings(node.map, &(struct map_settings){ .level = MAP_LEVEL_REQUESTS - 1,
                                                   .next_group = GROUP_FIRST + 1 });
    refuse(CREATE, "c STRATEGY raft HISTORY 1s",
           "-UPGRADE these options need level 3 of the cluster, and level 2 is active");
}

/* Bad input: more acks than replicas. */
static void there_are_as_many_replicas_as_ack_needs(void **state)
{
    (void)state;
    refuse(CREATE, "a STRATEGY primary ACK ANY~3",
           "-ERR 4 replicas need as many nodes that are up and do not drain, there are 3");
    refuse(CREATE, "a STRATEGY primary ACK ANY~2 REPLICAS 2",
           "-ERR ACK ANY 2 ON durable needs 2 beside the primary, REPLICAS leaves 1");
    refuse(CREATE, "a STRATEGY primary ACK ALL REPLICAS 1",
           "-ERR ACK ALL ON durable needs 1 beside the primary, REPLICAS leaves 0");
    nodes.live = nodes.members = 1; /* by default as many as there are, but no fewer than these */
    refuse(CREATE, "a STRATEGY primary",
           "-ERR 2 replicas need as many nodes that are up and do not drain, there are 1");
    refuse(CREATE, "a STRATEGY primary ACK ALL",
           "-ERR 2 replicas need as many nodes that are up and do not drain, there are 1");
    accept(CREATE, "l STRATEGY primary ACK LOCAL");
    nodes.live = nodes.members = 7;
    accept(CREATE, "a STRATEGY primary ACK ANY~2");
    refuse(ALTER, "a REPLICAS 2",
           "-ERR ACK ANY 2 ON durable needs 2 beside the primary, REPLICAS leaves 1");
    accept(ALTER, "a REPLICAS 2 ACK ANY~1");
    assert_true(of("a")->replicas == 2 && of("a")->primary.ack.n == 1);
    assert_int_equal(map_succession(node.map, GROUP_FIRST + 1)->rule.copies, 2); /* until it is */
    accept(ALTER, "a MAXOPS 5");
    assert_int_equal(of("a")->primary.ack.n, 1);
}

static void a_zone_has_the_nodes_that_ack_asks_for(void **state)
{
    (void)state;
    refuse(CREATE, "a STRATEGY primary ACK ALL~OF~eu",
           "-ERR ACK ALL OF eu ON durable names a zone that no node is in");
    put_zone(3, "eu"); /* no member of the cluster */
    refuse(CREATE, "a STRATEGY primary ACK ALL~OF~eu",
           "-ERR ACK ALL OF eu ON durable names a zone that no node is in");
    put_zone(0, "eu");
    refuse(CREATE, "a STRATEGY primary ACK ANY~1~OF~eu",
           "-ERR ACK ANY 1 OF eu ON durable needs 1 beside the primary, where one of the zone "
           "leads it has 0");
    put_zone(1, "eu");
    accept(CREATE, "a STRATEGY primary ACK ANY~1~OF~eu");
    assert_int_equal(map_succession(node.map, GROUP_FIRST)->rule.set, 1);
    accept(CREATE, "b STRATEGY primary ACK ALL~OF~eu");
    assert_int_equal(map_succession(node.map, GROUP_FIRST + 1)->rule.set, 3);
    nodes.members = nodes.live = 6; /* enough of them, and not where its replicas would be */
    put_zone(2, "us");
    put_zone(4, "us");
    nodes.members = 0x16;
    nodes.live = 0x16;
    accept(CREATE, "c STRATEGY primary ACK ANY~1~OF~us");
}

/* The world places partitions on all members that there are: of one node here. */
static void where_its_nodes_cannot_give_it_nothing_is_made(void **state)
{
    (void)state;
    const struct map_keyspace k = { .id = 16,
                                    .first_group = GROUP_FIRST,
                                    .partitions = 1,
                                    .strategy = STRATEGY_PRIMARY,
                                    .primary = primary_options_default() };
    struct map_partition p = map_found(&k, 0, GROUP_FIRST, 1, 0);
    struct succession first = { .term = 77 };
    assert_false(strategy_first(node.map, &k, &p, &first));
    assert_int_equal(first.term, 77);
    struct map_keyspace all = k;
    all.primary.ack = (struct ack){ .kind = ACK_ALL };
    assert_false(strategy_first(node.map, &all, &p, &first)); /* ALL of one would be none */
    p.wish = 3;
    assert_true(strategy_first(node.map, &all, &p, &first));
    assert_true(first.rule.set == 2 && first.preferred == 0);
    all.primary.ack.kind = ACK_LOCAL;
    p.wish = 1;
    assert_true(strategy_first(node.map, &all, &p, &first));
    put_zone(0, "eu");
    put_zone(1, "eu");
    put_zone(2, "us");
    put_zone(3, "us");
    nodes.members = nodes.live = 0xf;
    accept(CREATE, "a STRATEGY primary ACK ANY~1~OF~eu");
    all.primary.ack = (struct ack){ .kind = ACK_ANY, .n = 1, .zone = "eu" };
    p.wish = 0xd;
    assert_false(strategy_first(node.map, &all, &p, &first));
    p.wish = 7;
    assert_true(strategy_first(node.map, &all, &p, &first));
    placed = 0xd;
    refuse(CREATE, "b STRATEGY primary ACK ANY~1~OF~eu",
           "-ERR ACK ANY 1 OF eu ON durable asks for more than are in its zone of the nodes that "
           "partition 0 would have: 101, 103, 104, nothing was changed");
    assert_null(of("b"));
    accept(CREATE, "b STRATEGY primary ACK ANY~1~OF~us");
    assert_int_equal(strategy_zone(node.map, ""), 0); /* of which nobody is */
}

/* U3: nothing weakens by what stood there, and what a raft keyspace has is not touched. */
static void what_is_not_said_stays(void **state)
{
    (void)state;
    accept(CREATE, "a STRATEGY primary ACK ALL FALLBACK async READ prefix");
    accept(ALTER, "a REPLICAS 2");
    assert_true(of("a")->primary.ack.kind == ACK_ALL && of("a")->primary.fallback_async);
    assert_int_equal(of("a")->read.level, READ_PREFIX);
    refuse(ALTER, "a ACK ANY~1", "-ERR FALLBACK async was said beside another ACK");
    accept(ALTER, "a ACK ANY~1 FALLBACK fail");
    assert_true(of("a")->primary.ack.kind == ACK_ANY && !of("a")->primary.fallback_async);
    assert_true(of("a")->ack_kind == ACK_MAJORITY && of("a")->ack_stage == ACK_DURABLE);
    refuse(ALTER, "a FALLBACK async ACK LOCAL READ local",
           "-ERR ACK LOCAL ON durable waits for no other node, so there is nothing to fall back");
    accept(CREATE, "r STRATEGY raft ACK EACH~zone");
    refuse(ALTER, "r FALLBACK async", "-ERR option 'FALLBACK' is not part of strategy raft");
    accept(ALTER, "r MAXOPS 4");
    assert_int_equal(of("r")->ack_kind, ACK_EACH_ZONE);
    refuse(ALTER, "nobody ACK ANY~1", "-ERR there is no keyspace 'nobody'");
    ready = false; /* there may be a later map in which it is one with a primary */
    assert_string_equal(give(ALTER, &(struct pending){ .node = &node }, "nobody ACK ANY~1"), "");
}

/* Only what nodes go by is waited for (control.h C4); ACK is the view's. */
static void an_alter_of_ack_is_no_rule_that_nodes_go_by(void **state)
{
    (void)state;
    accept(CREATE, "a STRATEGY primary");
    accept(ALTER, "a ACK ALL");
    assert_int_equal(waited_for, 0);
    accept(ALTER, "a READ prefix");
    assert_int_equal(waited_for, CONTROL_RULES);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, primary_begin, order_end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(its_partitions_have_successions),
        CASE(it_needs_the_level_that_brought_it),
        CASE(there_are_as_many_replicas_as_ack_needs),
        CASE(a_zone_has_the_nodes_that_ack_asks_for),
        CASE(where_its_nodes_cannot_give_it_nothing_is_made),
        CASE(what_is_not_said_stays),
        CASE(an_alter_of_ack_is_no_rule_that_nodes_go_by),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
