/* SENTINEL and SUBSCRIBE by their exact replies, against the shapes of redis-sentinel 7.0.15: what
 * clients read that ask sentinels who leads (rows O10, O12). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "facades_world.h"
#include "node/sentinel.h"
#include "node/subscribe.h"
#include "tests/unit/cluster/put_records.h"

static int sentinel(void **state)
{
    (void)state;
    return facades_by(LISTENER_SENTINEL);
}

/* --- Sentinel ------------------------------------------------------------------------------- */

static void test_the_masters_address(void **state)
{
    (void)state;
    CHECK("sentinel get-master-addr-by-name mymaster", "*2\r\n$9\r\n127.0.0.1\r\n$4\r\n7001\r\n");
    CHECK("sentinel get-master-addr-by-name other", "*-1\r\n");
    CHECK("sentinel master other", "-ERR No such master with that name\r\n");
    CHECK("sentinel replicas other", "-ERR No such master with that name\r\n");
    CHECK("sentinel master mymaste", "-ERR No such master with that name\r\n");
    me->version = 3;
    CHECK("sentinel get-master-addr-by-name other", "_\r\n");
    strcpy(node.config.sentinel_master_name, "other");
    node.config.replica_announce_port = 12;
    strcpy(node.config.replica_announce_ip, "h");
    CHECK("sentinel get-master-addr-by-name other", "*2\r\n$1\r\nh\r\n$2\r\n12\r\n");
}

static void test_masters_replicas_sentinels(void **state)
{
    (void)state;
    CHECK_HAS("sentinel masters",
              "*1\r\n*40\r\n$4\r\nname\r\n$8\r\nmymaster\r\n$2\r\nip\r\n$9\r\n127.0.0.1\r\n$4\r\n"
              "port\r\n$4\r\n7001\r\n$5\r\nrunid\r\n$40\r\n");
    CHECK_HAS("sentinel master mymaster", "$5\r\nflags\r\n$6\r\nmaster\r\n");
    CHECK_HAS("sentinel master mymaster",
              "$10\r\nnum-slaves\r\n$1\r\n2\r\n$19\r\nnum-other-sentinels\r\n$1\r\n2\r\n"
              "$6\r\nquorum\r\n$1\r\n2\r\n");
    CHECK_HAS("sentinel replicas mymaster", "*2\r\n*42\r\n$4\r\nname\r\n$14\r\n127.0.0.1:7002\r\n");
    CHECK_HAS("sentinel slaves mymaster", "$5\r\nflags\r\n$25\r\ns_down,slave,disconnected\r\n");
    CHECK_HAS("sentinel replicas mymaster", "$18\r\nmaster-link-status\r\n$2\r\nok\r\n");
    CHECK_HAS("sentinel sentinels mymaster", "*2\r\n*28\r\n$4\r\nname\r\n$40\r\n");
    CHECK_HAS("sentinel sentinels mymaster", "$4\r\nport\r\n$4\r\n7202\r\n");
    CHECK_HAS("sentinel sentinels mymaster", "$5\r\nflags\r\n$8\r\nsentinel\r\n");
    CHECK_HAS("sentinel sentinels mymaster", "$28\r\ns_down,sentinel,disconnected\r\n");
    CHECK_HAS("sentinel master mymaster", "$12\r\nconfig-epoch\r\n$1\r\n5\r\n");
    me->version = 3;
    CHECK_HAS("sentinel masters", "*1\r\n%20\r\n");
    CHECK_HAS("sentinel replicas mymaster", "*2\r\n%21\r\n");
}

static void test_what_is_said_of_replicas(void **state)
{
    (void)state;
    const char *two = run("sentinel replicas mymaster");
    const char *last = strstr(two, "7003\r\n");
    assert_non_null(strstr(two, "$18\r\nmaster-link-status\r\n$2\r\nok\r\n"));
    assert_non_null(last);
    assert_non_null(strstr(last, "$18\r\nmaster-link-status\r\n$3\r\nerr\r\n")); /* it is away */
    assert_null(strstr(last, "$18\r\nmaster-link-status\r\n$2\r\nok\r\n"));
    assert_non_null(strstr(two, "$11\r\nmaster-host\r\n$9\r\n127.0.0.1\r\n$11\r\nmaster-port\r\n"
                                "$4\r\n7001\r\n"));
    assert_null(strstr(two, "$11\r\nmaster-port\r\n$4\r\n7002\r\n"));
    assert_non_null(strstr(two, "$17\r\nslave-repl-offset\r\n$2\r\n40\r\n"));
    outlook.leader = 1;
    outlook.role = ROLE_FOLLOWER; /* of the others it knows nothing, of itself all */
    CHECK_HAS("sentinel replicas mymaster", "$17\r\nslave-repl-offset\r\n$2\r\n41\r\n");
    node.sentinel_told.master = 1 + 0;
    outlook.leader = NODE_NONE;
    outlook.membership.voters = 6;
    CHECK_LACKS("sentinel replicas mymaster", "$2\r\nok\r\n"); /* who is up has no master either */
}

static void test_nodes_without_the_port_are_no_sentinels(void **state)
{
    (void)state;
    node.places[1].place.sentinel_port = 0;
    CHECK_HAS("sentinel master mymaster", "$19\r\nnum-other-sentinels\r\n$1\r\n1\r\n");
    CHECK_HAS("sentinel sentinels mymaster", "*1\r\n*28\r\n");
    CHECK("sentinel ckquorum mymaster",
          "+OK 1 usable Sentinels. Quorum and failover authorization can be reached\r\n");
}

static void test_a_keyspace_is_a_master_by_its_own_name(void **state)
{
    (void)state;
    struct map_keyspace k = a_keyspace(16, "orders", "", 2, 4);
    put_all(node.map, &k, 7, NODE_NONE);
    others[0].hint = (struct leader_hint){ .term = 3, .leader = 1 };
    others[1].hint = (struct leader_hint){ .term = 30, .leader = 0 };
    CHECK_HAS("sentinel get-master-addr-by-name orders", "$4\r\n7002\r\n");
    CHECK_HAS("sentinel master orders", "$12\r\nconfig-epoch\r\n$1\r\n3\r\n");
    CHECK_HAS("sentinel master orders", "$6\r\nquorum\r\n$1\r\n2\r\n");
    others[0].replica =
        (struct replica *)&outlook; /* this node's own, which knows of later terms */
    outlook.term = 8;
    CHECK_HAS("sentinel master orders", "$12\r\nconfig-epoch\r\n$1\r\n8\r\n");
    others[0].hint.leader = NODE_NONE;
    node.sentinel_told.master = 1;
    CHECK_HAS("sentinel master orders", "$5\r\nflags\r\n$6\r\nmaster\r\n"); /* one will lead */
    map_reset(node.map);
    put_all(node.map, &k, 6, NODE_NONE); /* of these two, one is away */
    CHECK_HAS("sentinel master orders", "$20\r\ns_down,o_down,master\r\n");
    CHECK_HAS("sentinel ckquorum orders", "-NOQUORUM");
}

static void test_a_master_that_cannot_be_is_down(void **state)
{
    (void)state;
    CHECK("sentinel ckquorum mymaster",
          "+OK 2 usable Sentinels. Quorum and failover authorization can be reached\r\n");
    node.sentinel_told.master = 1 + 2;
    outlook.leader = 2; /* and is away: node 0 stands in */
    CHECK_HAS("sentinel get-master-addr-by-name mymaster", "$4\r\n7001\r\n");
    outlook.leader = NODE_NONE;
    CHECK_HAS("sentinel get-master-addr-by-name mymaster", "$4\r\n7001\r\n");
    CHECK_HAS("sentinel master mymaster", "$6\r\nmaster\r\n");
    CHECK_HAS("sentinel is-master-down-by-addr 127.0.0.1 7001 1 *", "*3\r\n:0\r\n");
    node.sentinel_told.master = 1 + 1; /* it is up: the one that led last stands in for itself */
    CHECK_HAS("sentinel get-master-addr-by-name mymaster", "$4\r\n7002\r\n");
    node.sentinel_told.master = 1 + 2;
    outlook.membership.voters = 6;
    CHECK_HAS("sentinel ckquorum mymaster", "-NOQUORUM 2 usable Sentinels.");
    CHECK_HAS("sentinel master mymaster", "$20\r\ns_down,o_down,master\r\n");
    CHECK_HAS("sentinel is-master-down-by-addr 127.0.0.1 7001 1 *",
              "*3\r\n:1\r\n$1\r\n*\r\n:0\r\n");
    CHECK_HAS("sentinel is-master-down-by-addr 127.0.0.1 7002 1 *", "*3\r\n:0\r\n");
    CHECK_HAS("sentinel is-master-down-by-addr 127.0.0.2 7001 1 *", "*3\r\n:0\r\n");
    node.sentinel_told.master = 0;
    CHECK("sentinel get-master-addr-by-name mymaster", "*-1\r\n");
    outlook.membership.voters = 3;
    CHECK_HAS("sentinel ckquorum mymaster", "+OK 2 usable Sentinels.");
    facades_hang(1);
    CHECK_HAS("sentinel ckquorum mymaster", "-NOQUORUM 1 usable Sentinels.");
    CHECK_HAS("sentinel sentinels mymaster", "$28\r\ns_down,sentinel,disconnected\r\n");
}

static void test_what_else_a_sentinel_says(void **state)
{
    (void)state;
    CHECK("role", "*2\r\n$8\r\nsentinel\r\n*1\r\n$8\r\nmymaster\r\n");
    CHECK_HAS("hello", "*12\r\n");
    CHECK_HAS("hello", "$4\r\nmode\r\n$8\r\nsentinel\r\n$7\r\nmodules\r\n*0\r\n");
    CHECK_HAS("info", "# Sentinel\r\nsentinel_masters:1\r\n");
    CHECK_HAS("info sentinel", "master0:name=mymaster,status=ok,address=127.0.0.1:7001,slaves=2,"
                               "sentinels=3\r\n");
    CHECK_LACKS("info everything", "# Replication");
    me->listener = LISTENER_PLAIN;
    CHECK_LACKS("info everything", "# Sentinel");
    facades_make_keyspace();
    others[0].hint = (struct leader_hint){ .term = 3, .leader = 1 };
    CHECK_HAS("sentinel get-master-addr-by-name orders", "$4\r\n7002\r\n");
    CHECK_HAS("sentinel masters", "*2\r\n");
}

static void test_a_keyspace_of_the_masters_name_is_no_master(void **state)
{
    (void)state;
    facades_make_keyspace();
    strcpy(node.config.sentinel_master_name, "orders");
    CHECK_HAS("sentinel masters", "*1\r\n*40\r\n$4\r\nname\r\n$6\r\norders\r\n");
    CHECK_HAS("sentinel get-master-addr-by-name orders", "$4\r\n7001\r\n");
    CHECK("role", "*2\r\n$8\r\nsentinel\r\n*1\r\n$6\r\norders\r\n");
    struct map_keyspace behind = a_keyspace(17, "users", "", 2, 1);
    put_all(node.map, &behind, 21, NODE_NONE);
    CHECK("role", "*2\r\n$8\r\nsentinel\r\n*2\r\n$6\r\norders\r\n$5\r\nusers\r\n");
}

static void test_which_commands_a_port_knows(void **state)
{
    (void)state;
    const char *const both[] = { "ping", "info", "role", "client|list", "command", "hello" };
    const char *const plain[] = {
        "get", "set", "select", "cluster|slots", "config|get", "failover"
    };
    const char *const sentinels[] = { "subscribe", "punsubscribe", "sentinel|masters", "sentinel" };
    for (size_t i = 0; i < ARRAY_COUNT(both); i++) {
        const struct command_spec *spec = command_by_name(span_of(both[i], strlen(both[i])));
        assert_true(local_is_told(LISTENER_SENTINEL, spec) && local_is_told(LISTENER_PLAIN, spec));
    }
    for (size_t i = 0; i < ARRAY_COUNT(plain); i++) {
        const struct command_spec *spec = command_by_name(span_of(plain[i], strlen(plain[i])));
        assert_true(local_is_told(LISTENER_CLUSTER, spec));
        assert_false(local_is_told(LISTENER_SENTINEL, spec));
    }
    for (size_t i = 0; i < ARRAY_COUNT(sentinels); i++) {
        const struct command_spec *spec =
            command_by_name(span_of(sentinels[i], strlen(sentinels[i])));
        assert_true(local_is_told(LISTENER_SENTINEL, spec));
        assert_false(local_is_told(LISTENER_CLUSTER, spec) || local_is_told(LISTENER_PLAIN, spec));
    }
    assert_false(local_is_told(LISTENER_SENTINEL, NULL));
    CHECK("command info get", "*1\r\n$-1\r\n");
}

/* --- Messages ------------------------------------------------------------------------------- */

static const char *heard(void)
{
    static char text[4096];
    (void)snprintf(text, sizeof text, "%.*s", (int)me->out.n,
                   me->out.n > 0 ? (char *)me->out.p : "");
    reply_reset(&me->out);
    return text;
}

static void test_subscribing(void **state)
{
    (void)state;
    CHECK("subscribe a", "*3\r\n$9\r\nsubscribe\r\n$1\r\na\r\n:1\r\n");
    CHECK("subscribe a", "*3\r\n$9\r\nsubscribe\r\n$1\r\na\r\n:1\r\n");
    CHECK("psubscribe +*", "*3\r\n$10\r\npsubscribe\r\n$2\r\n+*\r\n:2\r\n");
    assert_int_equal(subscribe_channels(me), 1);
    assert_int_equal(subscribe_patterns(me), 1);
    CHECK("ping", "*2\r\n$4\r\npong\r\n$0\r\n\r\n");
    assert_false(subscribe_allows(me, command_by_name(SPAN_LITERAL("info"))));
    assert_true(subscribe_allows(me, command_by_name(SPAN_LITERAL("ping"))));
    assert_true(subscribe_allows(me, command_by_name(SPAN_LITERAL("quit"))));
    assert_true(subscribe_allows(me, command_by_name(SPAN_LITERAL("reset"))));
    me->version = 3;
    assert_true(subscribe_allows(me, command_by_name(SPAN_LITERAL("info"))));
    CHECK("ping", "+PONG\r\n");
    CHECK("unsubscribe a", ">3\r\n$11\r\nunsubscribe\r\n$1\r\na\r\n:1\r\n");
    CHECK("unsubscribe", ">3\r\n$11\r\nunsubscribe\r\n_\r\n:1\r\n");
    CHECK("punsubscribe", ">3\r\n$12\r\npunsubscribe\r\n$2\r\n+*\r\n:0\r\n");
    assert_null(me->subscriptions);
    assert_int_equal(node.subscribers, 0);
    CHECK("subscribe a", ">3\r\n$9\r\nsubscribe\r\n$1\r\na\r\n:1\r\n");
    CHECK("reset", "+RESET\r\n");
    assert_null(me->subscriptions);
}

static void test_a_channel_is_no_pattern(void **state)
{
    (void)state;
    CHECK("subscribe a", "*3\r\n$9\r\nsubscribe\r\n$1\r\na\r\n:1\r\n");
    CHECK("psubscribe a", "*3\r\n$10\r\npsubscribe\r\n$1\r\na\r\n:2\r\n");
    CHECK("unsubscribe a", "*3\r\n$11\r\nunsubscribe\r\n$1\r\na\r\n:1\r\n");
    assert_int_equal(subscribe_patterns(me), 1);
}

static void test_subscriptions_are_bounded(void **state)
{
    (void)state;
    char line[400];
    for (uint32_t i = 0; i < SUBSCRIPTIONS_MAX; i++) {
        (void)snprintf(line, sizeof line, "subscribe c%u", i);
        CHECK_HAS(line, "subscribe");
    }
    CHECK_HAS("subscribe more", "-ERR at most 32 channels");
    CHECK_HAS("unsubscribe c3", "*3\r\n");
    (void)snprintf(line, sizeof line, "subscribe %0*d", SUBSCRIPTION_BYTES_MAX + 1, 0);
    CHECK_HAS(line, "-ERR at most 32 channels");
    CHECK_HAS("subscribe more", "*3\r\n$9\r\nsubscribe");
}

static void test_messages(void **state)
{
    (void)state;
    (void)run("subscribe a");
    (void)run("psubscribe b*");
    subscribe_publish(&node, "a", "1");
    assert_true(me->dirty);
    assert_string_equal(heard(), "*3\r\n$7\r\nmessage\r\n$1\r\na\r\n$1\r\n1\r\n");
    subscribe_publish(&node, "bc", "2");
    assert_string_equal(heard(), "*4\r\n$8\r\npmessage\r\n$2\r\nb*\r\n$2\r\nbc\r\n$1\r\n2\r\n");
    subscribe_publish(&node, "c", "3");
    assert_string_equal(heard(), "");
    me->version = 3;
    subscribe_publish(&node, "a", "4");
    assert_string_equal(heard(), ">3\r\n$7\r\nmessage\r\n$1\r\na\r\n$1\r\n4\r\n");
    me->out.n = 0;
    (void)reply_reserve(&me->out, SUBSCRIBER_OUTPUT_BYTES_MAX + 1);
    me->out.n = SUBSCRIBER_OUTPUT_BYTES_MAX + 1; /* not taken */
    subscribe_publish(&node, "a", "5");
    assert_ptr_equal(killed, me);
}

static void test_a_switch_is_told_once(void **state)
{
    (void)state;
    (void)run("psubscribe *");
    sentinel_tell(&node);
    (void)heard();
    sentinel_tell(&node);
    assert_string_equal(heard(), "");
    outlook.leader = NODE_NONE; /* an election: nothing is known yet */
    sentinel_tell(&node);
    assert_string_equal(heard(), "");
    outlook.leader = 1;
    sentinel_tell(&node);
    const char *said = heard();
    assert_non_null(
        strstr(said, "+switch-master\r\n$38\r\nmymaster 127.0.0.1 7001 127.0.0.1 7002"));
    assert_non_null(strstr(said, "+slave\r\n$61\r\nslave 127.0.0.1:7001 127.0.0.1 7001 @ mymaster "
                                 "127.0.0.1 7002\r\n"));
    sentinel_tell(&node);
    assert_string_equal(heard(), "");
    node.sentinel_told.up |= 4; /* node 2 was there a moment ago */
    sentinel_tell(&node);
    assert_non_null(strstr(heard(), "+sdown\r\n$61\r\nslave 127.0.0.1:7003 127.0.0.1 7003 @ "));
    node.sentinel_told.known &= 5; /* node 1 is new */
    node.sentinel_told.up &= 5;
    sentinel_tell(&node);
    assert_non_null(strstr(heard(), "+sentinel\r\n"));
}

static void test_a_node_that_was_removed_knows_of_no_master(void **state)
{
    (void)state;
    (void)run("psubscribe *");
    sentinel_tell(&node);
    (void)heard();
    node.removed = true;
    outlook.leader = 1;
    sentinel_tell(&node);
    assert_string_equal(heard(), "");
    CHECK("sentinel masters", "*0\r\n");
    CHECK("sentinel get-master-addr-by-name mymaster", "*-1\r\n");
    CHECK("sentinel master mymaster", "-ERR No such master with that name\r\n");
    CHECK("sentinel replicas mymaster", "-ERR No such master with that name\r\n");
}

/* What was published since the last call, a line each: "+sdown master mymaster ...". */
static const char *events(void)
{
    static char lines[2048];
    const char *at = heard();
    size_t n = 0;
    lines[0] = 0;
    while ((at = strstr(at, "$8\r\npmessage\r\n$1\r\n*\r\n$")) != NULL) {
        char name[32], text[256];
        assert_int_equal(sscanf(at, "$8 pmessage $1 * $%*d %31s $%*d %255[^\r]", name, text), 2);
        n += (size_t)snprintf(lines + n, sizeof lines - n, "%s %s\n", name, text);
        at++;
    }
    return lines;
}

#define TOLD(expected)                           \
    do {                                         \
        sentinel_tell(&node);                    \
        assert_string_equal(events(), expected); \
    } while (0)

#define NODE_3 "127.0.0.1:7003 127.0.0.1 7003 @ mymaster 127.0.0.1 "

/* Each event with its text, in the order in which a sentinel of Redis tells them. */
static void test_events(void **state)
{
    (void)state;
    char expected[512];
    (void)run("psubscribe *");
    TOLD(""); /* what was there before is no news */
    outlook.leader = 1;
    TOLD("+switch-master mymaster 127.0.0.1 7001 127.0.0.1 7002\n"
         "+slave slave 127.0.0.1:7001 127.0.0.1 7001 @ mymaster 127.0.0.1 7002\n");
    node.sentinel_told.up |= 1u << 2; /* it was up, and goes: a replica */
    TOLD("+sdown slave " NODE_3 "7002\n");
    node.sentinel_told.up &= ~3u; /* who comes back, the master too */
    TOLD("-sdown slave 127.0.0.1:7001 127.0.0.1 7001 @ mymaster 127.0.0.1 7002\n"
         "-sdown master mymaster 127.0.0.1 7002\n");
    node.places[1].place.plain_port = 7099; /* the same leader at another address */
    TOLD("+switch-master mymaster 127.0.0.1 7002 127.0.0.1 7099\n");
    node.known[2].id = 0;
    TOLD("");
    node.known[2].id = 9; /* another one came: a replica, and a sentinel by its own port */
    (void)snprintf(expected, sizeof expected,
                   "+slave slave " NODE_3 "7099\n"
                   "+sentinel sentinel %s 127.0.0.1 7203 @ mymaster 127.0.0.1 7099\n",
                   id_of(2));
    TOLD(expected);
    node.known[2].id = 0;
    TOLD("");
    node.known[2].id = 10;
    node.places[2].place.sentinel_port = 0; /* one that is no sentinel */
    TOLD("+slave slave " NODE_3 "7099\n");
}

static void test_a_leader_that_dies_is_down_before_another_takes_over(void **state)
{
    (void)state;
    (void)run("psubscribe *");
    outlook.leader = 2;
    node.sentinel_told.master = 1 + 2;
    node.sentinel_told.master_place = node.places[2].place;
    node.sentinel_told.known = node.sentinel_told.up = 7;
    outlook.leader = 1; /* in one look: node 2 went, node 1 leads */
    TOLD("+sdown master mymaster 127.0.0.1 7003\n"
         "+switch-master mymaster 127.0.0.1 7003 127.0.0.1 7002\n"
         "+slave slave " NODE_3 "7002\n");
    node.known[1].id = 0; /* removed while it led: it follows nobody */
    outlook.leader = 0;
    node.sentinel_told.up = 1;
    TOLD("+switch-master mymaster 127.0.0.1 7002 127.0.0.1 7001\n");
}

/* A node that comes and leads in one look is the master, not a replica. */
static void test_a_fresh_leader_is_no_replica(void **state)
{
    (void)state;
    char expected[512];
    (void)run("psubscribe *");
    node.known[1].id = 0;
    TOLD("");
    node.known[1].id = 2;
    outlook.leader = 1;
    (void)snprintf(expected, sizeof expected,
                   "+switch-master mymaster 127.0.0.1 7001 127.0.0.1 7002\n"
                   "+slave slave 127.0.0.1:7001 127.0.0.1 7001 @ mymaster 127.0.0.1 7002\n"
                   "+sentinel sentinel %s 127.0.0.1 7202 @ mymaster 127.0.0.1 7002\n",
                   id_of(1));
    TOLD(expected);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define SENTINEL_TEST(name) cmocka_unit_test_setup_teardown(name, sentinel, facades_clean)
        SENTINEL_TEST(test_the_masters_address),
        SENTINEL_TEST(test_masters_replicas_sentinels),
        SENTINEL_TEST(test_what_is_said_of_replicas),
        SENTINEL_TEST(test_nodes_without_the_port_are_no_sentinels),
        SENTINEL_TEST(test_a_keyspace_is_a_master_by_its_own_name),
        SENTINEL_TEST(test_a_master_that_cannot_be_is_down),
        SENTINEL_TEST(test_what_else_a_sentinel_says),
        SENTINEL_TEST(test_a_keyspace_of_the_masters_name_is_no_master),
        SENTINEL_TEST(test_which_commands_a_port_knows),
        SENTINEL_TEST(test_subscribing),
        SENTINEL_TEST(test_a_channel_is_no_pattern),
        SENTINEL_TEST(test_subscriptions_are_bounded),
        SENTINEL_TEST(test_messages),
        SENTINEL_TEST(test_a_switch_is_told_once),
        SENTINEL_TEST(test_a_node_that_was_removed_knows_of_no_master),
        SENTINEL_TEST(test_events),
        SENTINEL_TEST(test_a_leader_that_dies_is_down_before_another_takes_over),
        SENTINEL_TEST(test_a_fresh_leader_is_no_replica),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
