/* KEYSPACE CREATE, ALTER, DROP, STATS and LAG: what is refused, and what is changed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "order_keyspace_world.h"

/* --- CREATE ---------------------------------------------------------------------------------- */

static void all_that_was_said_is_in_the_record(void **state)
{
    (void)state;
    accept(CREATE, "cart ID 40 STRATEGY raft REPLICAS 2 PARTITIONS 4 PARTITION hash PREFIX cart: "
                   "LEASE yes MAXMEMORY 1mb MAXOPS 500");
    const struct map_keyspace *k = of("cart");
    assert_int_equal(k->id, 40);
    assert_int_equal(waited_for, 40); /* OK when it can be used */
    assert_int_equal(k->replicas, 2);
    assert_int_equal(k->partitions, 4);
    assert_int_equal(k->first_group, GROUP_FIRST);
    assert_int_equal(k->prefix_length, 5);
    assert_memory_equal(k->prefix, "cart:", 5);
    assert_true(k->lease);
    assert_int_equal(k->maxmemory, 1 << 20);
    assert_int_equal(k->maxops, 500);
    assert_int_equal(k->created, WALL);
    assert_int_equal(k->state, KEYSPACE_IN_USE);
    assert_int_equal(map_settings(node.map)->next_group, GROUP_FIRST + 4);
    assert_non_null(map_partition(node.map, GROUP_FIRST + 3));
    accept(CREATE, "plain STRATEGY raft");
    k = of("plain");
    assert_int_equal(k->id, 41);
    assert_int_equal(k->replicas, 3);
    assert_int_equal(k->partitions, 1);
    assert_int_equal(k->first_group, GROUP_FIRST + 4);
    assert_false(k->lease);
    assert_true(k->prefix_length == 0 && k->maxmemory == 0 && k->maxops == 0);
}

static void the_next_id_is_above_the_highest_until_there_is_none(void **state)
{
    (void)state;
    accept(CREATE, "a STRATEGY raft");
    assert_int_equal(of("a")->id, 16);
    accept(CREATE, "b STRATEGY raft ID 65534");
    accept(DROP, "a FORCE");
    accept(CREATE, "c STRATEGY raft");
    assert_int_equal(of("c")->id, 65535);
    accept(CREATE, "d STRATEGY raft");
    accept(CREATE, "e STRATEGY raft");
    assert_int_equal(of("d")->id, 16); /* they come round */
    assert_int_equal(of("e")->id, 17);
}

static void names_ids_and_prefixes_are_taken_once_and_by_every_byte(void **state)
{
    (void)state;
    accept(CREATE, "cart ID 20 STRATEGY raft PREFIX cart:");
    refuse(CREATE, "cart STRATEGY raft", "-ERR keyspace 'cart' is there already, with ID 20");
    refuse(CREATE, "default STRATEGY raft", "-ERR keyspace 'default' is there already, with ID 0");
    refuse(CREATE, "b STRATEGY raft ID 20", "-ERR ID 20 is that of keyspace 'cart'");
    refuse(CREATE, "b STRATEGY raft PREFIX cart:",
           "-ERR PREFIX 'cart:' is that of keyspace 'cart' already");
    accept(CREATE, "Cart STRATEGY raft PREFIX Cart:"); /* another name, another prefix */
    accept(CREATE, "card STRATEGY raft PREFIX card:");
    accept(CREATE, "long STRATEGY raft PREFIX cart:long:");
    refuse(ALTER, "long PREFIX cart:", "-ERR PREFIX 'cart:' is that of keyspace 'cart' already");
    accept(ALTER, "cart PREFIX cart:"); /* its own */
    accept(ALTER, "cart PREFIX _");
    assert_int_equal(of("cart")->prefix_length, 0);
    accept(ALTER, "long PREFIX cart:");
    refuse(CREATE, "1st STRATEGY raft", "-ERR a keyspace's name is a letter and up to 62 letters");
}

static void there_is_room_for_what_is_asked_for(void **state)
{
    (void)state;
    refuse(CREATE, "a STRATEGY raft REPLICAS 4",
           "-ERR 4 replicas need as many nodes that are up and do not drain, there are 3");
    nodes.live = 3;
    refuse(CREATE, "a STRATEGY raft VOTERS 3",
           "-ERR 3 replicas need as many nodes that are up and do not drain, there are 2");
    accept(CREATE, "a STRATEGY raft"); /* as many as there are nodes, until there are more */
    assert_int_equal(of("a")->replicas, 3);
    refuse(ALTER, "a REPLICAS 3", "-ERR 3 replicas need");
    accept(ALTER, "a REPLICAS 2");
    assert_int_equal(of("a")->replicas, 2);
    nodes.live = 7;
    not_ready = 6; /* a majority has to be founded at once, or the group may never be born */
    refuse(CREATE, "c STRATEGY raft REPLICAS 3",
           "-ERR 3 replicas need as many nodes that are up and do not drain, there are 1");
    not_ready = 4;
    accept(CREATE, "c STRATEGY raft REPLICAS 3");
    accept(DROP, "c FORCE");
    not_ready = 6;
    accept(ALTER, "a VOTERS 3"); /* what is there goes on meanwhile */
    accept(ALTER, "a VOTERS 2");
    not_ready = 0;
    accept(ALTER, "a VOTERS 3");
    assert_int_equal(of("a")->replicas, 3);
    refuse(CREATE, "b STRATEGY raft PARTITIONS 16384",
           "-ERR 16384 partitions more would be more than 16384 in the cluster");
    accept(CREATE, "b STRATEGY raft PARTITIONS 16383");
}

static void a_share_of_a_quota_is_not_nothing(void **state)
{
    (void)state;
    refuse(CREATE, "a STRATEGY raft PARTITIONS 8 MAXMEMORY 7",
           "-ERR MAXMEMORY 7 is less than a byte for each of the 8 partitions");
    refuse(CREATE, "a STRATEGY raft PARTITIONS 8 MAXOPS 7",
           "-ERR MAXOPS 7 is less than a command a second for each of the 8 partitions");
    accept(CREATE, "a STRATEGY raft PARTITIONS 8 MAXMEMORY 8 MAXOPS 8");
    use.partitions = 8;
    refuse(ALTER, "a MAXMEMORY 7", "-ERR MAXMEMORY 7 is less than a byte");
    refuse(ALTER, "a MAXOPS 1", "-ERR MAXOPS 1 is less than a command a second");
    accept(ALTER, "a MAXMEMORY 0 MAXOPS 0"); /* no limit */
    assert_true(of("a")->maxmemory == 0 && of("a")->maxops == 0);
}

static void an_order_that_is_not_the_first_in_line_waits(void **state)
{
    struct pending p = { .node = &node };
    (void)state;
    ready = false;
    assert_string_equal(give(CREATE, &p, "a STRATEGY raft"), "");
    assert_string_equal(give(ALTER, &p, "nobody LEASE yes"), "");
    assert_string_equal(give(DROP, &p, "nobody"), "");
    assert_int_equal(changes, 0);
    refuse(CREATE, "a STRATEGY magic", "-ERR unknown strategy 'magic'"); /* no need of a turn */
    refuse(DROP, "nobody NOW", "-ERR syntax error: it is KEYSPACE DROP name [FORCE]");
    refuse(DROP, "nobody FORCE FORCE", "-ERR syntax error");
}

static void keyspaces_need_the_level_that_brought_them(void **state)
{
    (void)state;
    put_settings(node.map, &(struct map_settings){ .level = 1, .next_group = GROUP_FIRST });
    refuse(CREATE, "a STRATEGY raft",
           "-UPGRADE keyspaces need level 2 of the cluster, and level 1");
    refuse(ALTER, "0 MAXOPS 5", "-UPGRADE keyspaces need level 2");
}

/* --- ALTER ----------------------------------------------------------------------------------- */

static void what_was_not_said_stays(void **state)
{
    (void)state;
    accept(CREATE, "a STRATEGY raft PARTITIONS 2 PREFIX abc: LEASE yes MAXMEMORY 8mb MAXOPS 500 "
                   "IDMP-DURATION 7 IDMP-MAXSIZE 8 IDMP-MAXBYTES 9kb");
    struct map_keyspace k = *of("a");
    assert_true(k.idmp_seconds == 7 && k.idmp_count == 8 && k.idmp_bytes == 9 * KIB);
    use.partitions = 2;
    k.maxops = 600;
    accept(ALTER, "a MAXOPS 600");
    assert_memory_equal(of("a"), &k, sizeof k);
    assert_int_equal(waited_for, 0);
    accept(ALTER, "16 LEASE no"); /* by its id */
    accept(ALTER, "a MAXMEMORY 16mb");
    k.lease = false;
    k.maxmemory = 16 << 20;
    assert_memory_equal(of("a"), &k, sizeof k);
    accept(ALTER, "a IDMP-DURATION 70 IDMP-MAXSIZE 80 IDMP-MAXBYTES 90kb");
    k = *of("a");
    assert_true(k.idmp_seconds == 70 && k.idmp_count == 80 && k.idmp_bytes == 90 * KIB);
    assert_int_equal(waited_for, CONTROL_RULES); /* C4 */
    accept(ALTER, "a REPLICAS 1 PREFIX x:");
    assert_true(of("a")->prefix_length == 2 && of("a")->replicas == 1);
    refuse(ALTER, "A LEASE yes", "-ERR there is no keyspace 'A'"); /* another name */
    refuse(ALTER, "17 LEASE yes", "-ERR there is no keyspace '17'");
}

static void keyspace_0_has_quotas_and_nothing_else(void **state)
{
    (void)state;
    refuse(ALTER, "0 REPLICAS 1", "-ERR keyspace 0 has no REPLICAS: MEMBER PROMOTE");
    refuse(ALTER, "default MAXOPS 5 LEASE no", "-ERR keyspace 0 has no LEASE");
    refuse(ALTER, "0 PREFIX a:", "-ERR keyspace 0 has no PREFIX");
    use.partitions = 1;
    accept(ALTER, "0 MAXOPS 5 MAXMEMORY 1mb");
    assert_true(of("default")->maxops == 5 && of("default")->maxmemory == 1 << 20);
    assert_int_equal(of("default")->partitions, 1);
    refuse(DROP, "default FORCE", "-ERR keyspace 0 is there always");
}

/* By figures that were asked for, of the partition that has most. */
static void maxmemory_below_use_is_refused(void **state)
{
    struct pending p = { .node = &node };
    (void)state;
    accept(CREATE, "a STRATEGY raft PARTITIONS 4");
    use = (struct keyspace_use){ .partitions = 4, .bytes = 1000, .most_bytes = 500 };
    assert_string_equal(give(ALTER, &p, "a MAXMEMORY 2000"), "");
    assert_int_equal(asked, 1);
    assert_int_equal(waited_for, 16);
    assert_int_equal(changes, 1);
    asked = 0;
    accept(ALTER, "a MAXMEMORY 2000");
    refuse(ALTER, "a MAXMEMORY 1999",
           "-ERR keyspace 'a' uses 1000 bytes, at most 500 in one of its 4 partitions, and "
           "MAXMEMORY 1999 (499 for each) is below that");
    assert_int_equal(of("a")->maxmemory, 2000);
    use.partitions = 3; /* the fourth may hold anything */
    refuse(ALTER, "a MAXMEMORY 1800 LEASE yes", "-ERR keyspace 'a' uses 1000 bytes");
    use.most_bytes = 100;
    refuse(ALTER, "a MAXMEMORY 1800 LEASE yes",
           "-UNSAFE how much keyspace 'a' uses is not known, for 1 of its 4 partitions have no");
    assert_false(of("a")->lease);
    accept(ALTER, "a MAXMEMORY 2000"); /* no lower than before */
    accept(ALTER, "a MAXMEMORY 0");
    refuse(ALTER, "a MAXMEMORY 1gb", "-UNSAFE how much keyspace 'a' uses is not known");
    use.partitions = 4;
    figures = false; /* those that are there may be old */
    refuse(ALTER, "a MAXMEMORY 1gb",
           "-UNSAFE how much keyspace 'a' uses is not known, for a node does not answer, nothing");
    accept(ALTER, "a MAXOPS 9"); /* no figures are wanted for that */
}

/* --- DROP ------------------------------------------------------------------------------------ */

static void what_is_in_use_is_dropped_by_force_only(void **state)
{
    struct pending p = { .node = &node };
    (void)state;
    accept(CREATE, "a STRATEGY raft PARTITIONS 2");
    assert_string_equal(give(DROP, &p, "a"), "");
    assert_int_equal(asked, 1);
    assert_int_equal(waited_for, 16);
    asked = 0;
    use = (struct keyspace_use){ .partitions = 2, .keys = 1 };
    refuse(DROP, "a", "-UNSAFE keyspace 'a' is in use: it has 1 keys and 0 connected clients");
    use = (struct keyspace_use){ .partitions = 2, .clients = 2, .uncounted = true };
    refuse(DROP, "a", "-UNSAFE keyspace 'a' is in use: it has 0 keys and 2 connected clients");
    use.clients = 0;
    refuse(DROP, "a", "-UNSAFE whether clients have selected keyspace 'a' is not known");
    use = (struct keyspace_use){ .partitions = 1 };
    refuse(DROP, "a", "-UNSAFE whether keyspace 'a' is in use is not known, for 1 of its 2 part");
    use.partitions = 2;
    figures = false;
    refuse(
        DROP, "a",
        "-UNSAFE whether keyspace 'a' is in use is not known, for a node does not answer; FORCE");
    refuse(DROP, "b FORCE", "-ERR there is no keyspace 'b'");
    use.keys = 5;
    accept(DROP, "a FORCE"); /* whatever is known of it */
}

static void nothing_of_it_is_left(void **state)
{
    (void)state;
    accept(CREATE, "a STRATEGY raft PARTITIONS 3");
    accept(CREATE, "b STRATEGY raft PARTITIONS 2");
    use.partitions = 3;
    accept(DROP, "a");
    assert_null(of("a"));
    assert_int_equal(map_partition_count(node.map), 3); /* of b, and keyspace 0's */
    assert_null(map_partition(node.map, GROUP_FIRST + 2));
    assert_non_null(map_partition(node.map, GROUP_FIRST + 3));
    assert_int_equal(map_settings(node.map)->next_group, GROUP_FIRST + 5); /* never again */
}

/* --- STATS and LAG --------------------------------------------------------------------------- */

#define FIELD(name, value) assert_non_null(strstr(text, name "\r\n:" #value "\r\n"))

static void stats_tells_each_figure_by_its_name(void **state)
{
    struct pending p = { .node = &node };
    (void)state;
    accept(CREATE, "a STRATEGY raft PARTITIONS 9 MAXMEMORY 1000 MAXOPS 2000");
    struct map_partition moves = *map_partition(node.map, GROUP_FIRST + 1);
    map_wish(&moves, 3, NODE_NONE);
    put_partition(node.map, &moves);
    use = (struct keyspace_use){ .partitions = 8,
                                 .keys = 11,
                                 .bytes = 12,
                                 .most_bytes = 13,
                                 .clients = 14,
                                 .ops = 15,
                                 .refused = 16,
                                 .worst_lag = 17,
                                 .worst_partition = 6,
                                 .worst_node = 2 };
    const char *text = give(order_cmd_KEYSPACE_STATS, &p, "a");
    FIELD("$2\r\nid", 16);
    assert_non_null(strstr(text, "$4\r\nname\r\n$1\r\na\r\n"));
    FIELD("$10\r\npartitions", 9);
    FIELD("$3\r\nled", 8);
    FIELD("$6\r\nmoving", 1);
    FIELD("$4\r\nkeys", 11);
    FIELD("$5\r\nbytes", 12);
    FIELD("$10\r\nmost_bytes", 13);
    FIELD("$7\r\nclients", 14);
    FIELD("$11\r\nops_per_sec", 15);
    FIELD("$15\r\nrefused_per_sec", 16);
    FIELD("$9\r\nmaxmemory", 1000);
    FIELD("$6\r\nmaxops", 2000);
    FIELD("$9\r\nworst_lag", 17);
    FIELD("$15\r\nworst_partition", 6);
    FIELD("$10\r\nworst_node", 103);
    use.worst_node = NODE_NONE;
    text = give(order_cmd_KEYSPACE_STATS, &p, "16");
    FIELD("$15\r\nworst_partition", -1);
    FIELD("$10\r\nworst_node", 0);
    text = give(order_cmd_KEYSPACE_STATS, &p, "nobody");
    assert_string_equal(text, "-ERR there is no keyspace 'nobody': KEYSPACE LIST shows which there "
                              "are\r\n");
    leads = false; /* the figures are the leader's */
    assert_string_equal(give(order_cmd_KEYSPACE_STATS, &p, "a"), "-CLUSTERDOWN\r\n");
    assert_string_equal(give(order_cmd_KEYSPACE_LAG, &p, "a"), "-CLUSTERDOWN\r\n");
}

static void lag_tells_of_all_that_do_not_lead(void **state)
{
    struct pending p = { .node = &node };
    (void)state;
    accept(CREATE, "a STRATEGY raft PARTITIONS 2");
    report = (struct partition_report){
        .group = GROUP_FIRST + 1,
        .last = 40,
        .voters = 3,
        .others = 0x18,
        .lag = { [1] = 5, [3] = 40 },
        .state = { [1] = 1 + FOLLOWER_THROTTLED, [3] = 1 + FOLLOWER_BOOTSTRAP }, /* 4: not told */
        .lag_ms = { [1] = 7, [3] = REPORT_UNKNOWN },
        .lag_bytes = { [1] = 8 },
    };
    assert_string_equal(
        give(order_cmd_KEYSPACE_LAG, &p, "a"),
        "*2\r\n"
        "*8\r\n$9\r\npartition\r\n:0\r\n$6\r\nleader\r\n:0\r\n$4\r\nlast\r\n:-1\r\n"
        "$8\r\nreplicas\r\n*0\r\n"
        "*8\r\n$9\r\npartition\r\n:1\r\n$6\r\nleader\r\n:101\r\n$4\r\nlast\r\n:40\r\n"
        "$8\r\nreplicas\r\n*3\r\n"
        "*12\r\n$4\r\nnode\r\n:102\r\n$4\r\nrole\r\n$5\r\nvoter\r\n"
        "$5\r\nstate\r\n$9\r\nthrottled\r\n$3\r\nlag\r\n:5\r\n"
        "$9\r\nlag_bytes\r\n:8\r\n$6\r\nlag_ms\r\n:7\r\n"
        "*12\r\n$4\r\nnode\r\n:104\r\n$4\r\nrole\r\n$7\r\nlearner\r\n"
        "$5\r\nstate\r\n$9\r\nbootstrap\r\n$3\r\nlag\r\n:40\r\n"
        "$9\r\nlag_bytes\r\n:-1\r\n$6\r\nlag_ms\r\n:-1\r\n"
        "*12\r\n$4\r\nnode\r\n:105\r\n$4\r\nrole\r\n$7\r\nlearner\r\n"
        "$5\r\nstate\r\n$0\r\n\r\n$3\r\nlag\r\n:0\r\n"
        "$9\r\nlag_bytes\r\n:-1\r\n$6\r\nlag_ms\r\n:-1\r\n");
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, order_begin, order_end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(all_that_was_said_is_in_the_record),
        CASE(the_next_id_is_above_the_highest_until_there_is_none),
        CASE(names_ids_and_prefixes_are_taken_once_and_by_every_byte),
        CASE(there_is_room_for_what_is_asked_for),
        CASE(a_share_of_a_quota_is_not_nothing),
        CASE(an_order_that_is_not_the_first_in_line_waits),
        CASE(keyspaces_need_the_level_that_brought_them),
        CASE(what_was_not_said_stays),
        CASE(keyspace_0_has_quotas_and_nothing_else),
        CASE(maxmemory_below_use_is_refused),
        CASE(what_is_in_use_is_dropped_by_force_only),
        CASE(nothing_of_it_is_left),
        CASE(stats_tells_each_figure_by_its_name),
        CASE(lag_tells_of_all_that_do_not_lead),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
