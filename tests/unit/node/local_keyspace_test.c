/* KEYSPACE LIST, INFO and EXPLAIN by their exact replies (D1, U1), and the line of INFO keyspaces:
 * each field says what it is named after. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "facades_world.h"
#include "node/selected.h"
#include "tests/unit/cluster/put_records.h"

static struct map_partition parts[2];

/* Keyspace 16 with two partitions, of which the second goes from nodes 1 and 2 to 1 and 3. */
static int begin(void **state)
{
    (void)state;
    (void)facades_by(LISTENER_PLAIN);
    struct map_keyspace k = a_keyspace(16, "cart", "cart:", 2, 2);
    k.replicas = 2;
    k.lease = true;
    k.maxmemory = 1048576;
    k.maxops = 500;
    k.history_ms = 10000;
    k.history_bytes = 1 << 20;
    k.created = 1700000000123456;
    put_all(node.map, &k, 3, 1);
    for (uint32_t i = 0; i < 2; i++) {
        parts[i] = *map_partition(node.map, 2 + i);
    }
    map_wish(&parts[1], 5, 2);
    put_partition(node.map, &parts[1]);
    others[0].hint.leader = 0;
    return 0;
}

#define HEAD(id, name, replicas, partitions, prefix)                                     \
    "$2\r\nid\r\n:" #id "\r\n$4\r\nname\r\n" name "\r\n$8\r\nstrategy\r\n$4\r\nraft\r\n" \
    "$8\r\nreplicas\r\n:" #replicas "\r\n$10\r\npartitions\r\n:" #partitions "\r\n"      \
    "$6\r\nprefix\r\n" prefix "\r\n$5\r\nstate\r\n$6\r\nin use\r\n"                      \
    "$4\r\nread\r\n$12\r\nlinearizable\r\n$3\r\nack\r\n$19\r\nMAJORITY ON durable\r\n"
#define CART HEAD(16, "$4\r\ncart", 2, 2, "$5\r\ncart:")

static void all_keyspaces_are_listed(void **state)
{
    (void)state;
    CHECK("keyspace list", "*2\r\n*18\r\n" HEAD(0, "$7\r\ndefault", 3, 1, "$0\r\n") "*18\r\n" CART);
}

static void info_tells_everything_and_where_it_is(void **state)
{
    const char *expected =
        "*40\r\n" CART "$12\r\npartitioning\r\n$4\r\nhash\r\n$5\r\nlease\r\n$3\r\nyes\r\n"
        "$9\r\nmaxmemory\r\n:1048576\r\n$6\r\nmaxops\r\n:500\r\n"
        "$13\r\nidmp-duration\r\n:600\r\n$12\r\nidmp-maxsize\r\n:1000\r\n"
        "$13\r\nidmp-maxbytes\r\n:268435456\r\n"
        "$10\r\nhistory_ms\r\n:10000\r\n$13\r\nhistory_bytes\r\n:1048576\r\n"
        "$7\r\ncreated\r\n:1700000000123\r\n"
        "$9\r\nplacement\r\n*2\r\n"
        "*16\r\n$9\r\npartition\r\n:0\r\n$5\r\ngroup\r\n:2\r\n$5\r\nslots\r\n$6\r\n0-8191\r\n"
        "$5\r\nnodes\r\n$3\r\n1,2\r\n$7\r\nprefers\r\n:2\r\n$6\r\nleader\r\n:1\r\n"
        "$5\r\nepoch\r\n:1\r\n$5\r\nstate\r\n$7\r\nsettled\r\n"
        "*16\r\n$9\r\npartition\r\n:1\r\n$5\r\ngroup\r\n:3\r\n$5\r\nslots\r\n$10\r\n8192-16383\r\n"
        "$5\r\nnodes\r\n$3\r\n1,3\r\n$7\r\nprefers\r\n:3\r\n$6\r\nleader\r\n:0\r\n"
        "$5\r\nepoch\r\n:2\r\n$5\r\nstate\r\n$6\r\nmoving\r\n";
    (void)state;
    CHECK("keyspace info cart", expected);
    CHECK("keyspace info 16", expected);
    node.holding.current = false;
    CHECK("keyspace info Cart", "-" SELECTED_UNKNOWN "\r\n"); /* it has just started */
    node.holding.current = true;
    CHECK("keyspace info Cart", "-ERR there is no keyspace 'Cart': KEYSPACE LIST shows which there "
                                "are\r\n");
    me->version = 3;
    CHECK_HAS("keyspace info cart", "%20\r\n");
}

static void put_view(const struct succession *s)
{
    uint8_t value[MAP_VALUE_BYTES_MAX];
    size_t n = map_succession_write(s, value);
    assert_int_equal(put_raw(node.map, MAP_RECORD_SUCCESSION, 2, value, n), MAP_OK);
}

#define ALL_OPTIONS "ACK \"ANY 1 ON received\" FALLBACK fail LOG logical APPENDFSYNC always"
#define VIEW(words) "$4\r\nview\r\n" words "\r\n"

/* What is promised, and beside it what is done now (L9, L10). */
static void info_tells_of_primaries_and_their_views(void **state)
{
    (void)state;
    struct map_keyspace k = *map_keyspace(node.map, 16);
    k.strategy = STRATEGY_PRIMARY;
    k.primary = primary_options_default();
    k.primary.ack.stage = ACK_RECEIVED;
    put_keyspace(node.map, &k);
    struct succession s = { .term = 7, .primary = NODE_NONE, .before = 1, .preferred = NODE_NONE };
    s.settled = 5;
    s.stage = ACK_RECEIVED;
    s.learners = 4;
    s.rule = (struct succession_rule){ .members = 3, .copies = 1 };
    put_view(&s);
    CHECK_HAS("keyspace list", "$8\r\nstrategy\r\n$7\r\nprimary\r\n");
    CHECK_HAS("keyspace list", "$3\r\nack\r\n$17\r\nANY 1 ON received\r\n");
    CHECK_HAS("info keyspaces", "ks16:name=cart,strategy=primary,replicas=2,");
    CHECK_HAS("keyspace info cart", "*42\r\n$2\r\nid\r\n");
    CHECK_HAS("keyspace info cart", "$7\r\noptions\r\n$68\r\n" ALL_OPTIONS "\r\n");
    CHECK_HAS("keyspace info cart",
              "*30\r\n$9\r\npartition\r\n:0\r\n"); /* the other has none: half a change */
    CHECK_HAS("keyspace info cart", "*16\r\n$9\r\npartition\r\n:1\r\n");
    CHECK_HAS("keyspace info cart",
              "$4\r\nterm\r\n:7\r\n$7\r\nprimary\r\n:0\r\n$8\r\nlearners\r\n$1\r\n3\r\n"
              "$12\r\nacknowledges\r\n$17\r\nANY 1 ON received\r\n$3\r\nset\r\n$0\r\n\r\n" VIEW(
                  "$8\r\nchoosing"));
    s.primary = 1;
    s.rule = (struct succession_rule){ .members = 3, .set = 3 };
    put_view(&s);
    CHECK_HAS("keyspace info cart",
              "$4\r\nterm\r\n:7\r\n$7\r\nprimary\r\n:2\r\n$8\r\nlearners\r\n$1\r\n3\r\n"
              "$12\r\nacknowledges\r\n$15\r\nALL ON received\r\n$3\r\nset\r\n$3\r\n1,2\r\n" VIEW(
                  "$9\r\nbeginning"));
    s.settled = 7;
    s.rule.set = 0;
    s.stage = ACK_DURABLE;
    put_view(&s);
    CHECK_HAS("keyspace info cart", "$12\r\nacknowledges\r\n$16\r\nLOCAL ON durable\r\n$3\r\nset"
                                    "\r\n$0\r\n\r\n" VIEW("$7\r\nsettled"));
    k.primary.ack.n = 2; /* of two nodes */
    put_keyspace(node.map, &k);
    CHECK_HAS("keyspace info cart", VIEW("$14\r\nshort of nodes"));
    s.fallen = true;
    put_view(&s);
    CHECK_HAS("keyspace info cart", VIEW("$11\r\nfallen back"));
    CHECK_HAS("keyspace explain cart", "*32\r\n$8\r\nstrategy\r\n$7\r\nprimary\r\n");
    CHECK_HAS("keyspace explain cart", "$3\r\nlog\r\n$7\r\nlogical\r\n");
    put_erased(node.map, MAP_RECORD_SUCCESSION, 2);
}

/* The planner may not have seen yet that a node was wiped. */
static void what_is_held_by_no_member_is_not_settled(void **state)
{
    (void)state;
    node.known[1].id = 0;
    CHECK_HAS("keyspace info cart", "$3\r\n1,0\r\n$7\r\nprefers\r\n:0\r\n$6\r\nleader\r\n:1\r\n"
                                    "$5\r\nepoch\r\n:1\r\n$5\r\nstate\r\n$6\r\nmoving\r\n");
    node.known[1].id = 2;
}

/* It has no records of its own. */
static void keyspace_0_is_as_its_members_and_settings_say(void **state)
{
    (void)state;
    CHECK_HAS("keyspace info 0", "$5\r\nlease\r\n$2\r\nno\r\n");
    CHECK_HAS("keyspace info default", "$9\r\nplacement\r\n*0\r\n");
    CHECK_HAS("info keyspaces", "ks0:name=default,strategy=raft,replicas=3,partitions=1,");
    outlook.membership.voters = 31;
    node.config.read_mode = READ_MODE_LEASE;
    CHECK_HAS("keyspace info 0", "$8\r\nreplicas\r\n:5\r\n");
    CHECK_HAS("keyspace info 0", "$5\r\nlease\r\n$3\r\nyes\r\n");
    CHECK_HAS("keyspace list", "$8\r\nreplicas\r\n:5\r\n");
    CHECK_HAS("keyspace explain 0", "$8\r\nreplicas\r\n$1\r\n5\r\n");
    CHECK_HAS("keyspace explain 0", "yes, reads by leader lease");
    CHECK_HAS("keyspace explain 0", "2 replicas of each partition may fail");
    CHECK_HAS("info keyspaces", "ks0:name=default,strategy=raft,replicas=5,partitions=1,");
    outlook.membership.voters = 1;
    CHECK_HAS("keyspace explain 0", "0 replicas of each partition may fail: none, add replicas");
    CHECK_HAS("keyspace explain 0", "$18\r\nmessages-per-write\r\n$1\r\n0\r\n");
    outlook.membership.voters = 0; /* it does not know yet */
    CHECK_HAS("keyspace list", "$8\r\nreplicas\r\n:3\r\n");
}

static void the_line_of_info_counts_the_same(void **state)
{
    (void)state;
    CHECK_HAS("info keyspaces",
              "ks16:name=cart,strategy=raft,replicas=2,partitions=2,here=2,led=1,moving=1\r\n");
}

/* As many replicas as there are now, of the partition that has the fewest. */
static void explain_tells_what_holds_now_and_not_what_is_wished(void **state)
{
    (void)state;
    struct map_keyspace k = *map_keyspace(node.map, 16);
    k.replicas = 5;
    put_keyspace(node.map, &k);
    CHECK_HAS("keyspace explain cart", "$8\r\nreplicas\r\n$1\r\n2\r\n");
    map_wish(&parts[0], 7, 1);
    map_wish(&parts[1], 31, 2);
    put_partition(node.map, &parts[0]);
    put_partition(node.map, &parts[1]);
    CHECK(
        "keyspace explain cart",
        "*26\r\n$8\r\nstrategy\r\n$4\r\nraft\r\n$10\r\npartitions\r\n$1\r\n2\r\n"
        "$8\r\nreplicas\r\n$1\r\n3\r\n"
        "$17\r\nsurvives-failover\r\n$74\r\n"
        "yes, every acknowledged write, while a majority of the replicas comes back\r\n"
        "$12\r\nlinearizable\r\n$26\r\nyes, reads by leader lease\r\n"
        "$21\r\navailable-in-minority\r\n$40\r\nno, a majority of the replicas is needed\r\n"
        "$30\r\nmessages-per-write-and-replica\r\n$1\r\n2\r\n"
        "$18\r\nmessages-per-write\r\n$1\r\n4\r\n"
        "$18\r\nfailures-tolerated\r\n$36\r\n1 replica of each partition may fail\r\n"
        "$5\r\nreads\r\n$63\r\nlinearizable, leader, session, bounded, prefix, snapshot, local\r\n"
        "$4\r\nacks\r\n$39\r\nMAJORITY, QUORUM, EACH zone; ON durable\r\n"
        "$15\r\nread-by-default\r\n$12\r\nlinearizable\r\n"
        "$14\r\nack-by-default\r\n$19\r\nMAJORITY ON durable\r\n");
    k.replicas = 1; /* the others are about to go */
    put_keyspace(node.map, &k);
    CHECK_HAS("keyspace explain cart", "$8\r\nreplicas\r\n$1\r\n1\r\n");
    CHECK("keyspace explain 7", "-ERR there is no keyspace '7': KEYSPACE LIST shows which there "
                                "are\r\n");
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, begin, facades_clean)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(all_keyspaces_are_listed),
        CASE(info_tells_everything_and_where_it_is),
        CASE(info_tells_of_primaries_and_their_views),
        CASE(what_is_held_by_no_member_is_not_settled),
        CASE(keyspace_0_is_as_its_members_and_settings_say),
        CASE(the_line_of_info_counts_the_same),
        CASE(explain_tells_what_holds_now_and_not_what_is_wished),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
