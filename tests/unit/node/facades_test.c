/* CLUSTER, MOVED, SENTINEL and SUBSCRIBE by their exact replies, against the shapes of redis-server
 * 7.0.15 and redis-sentinel: what clients that follow the leader by themselves read (rows O10,
 * O12). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "cardboard.h"
#include "cluster/records.h"
#include "node/redirect.h"
#include "node/sentinel.h"
#include "node/shards.h"
#include "node/subscribe.h"

#define CHECK(line, expected) assert_string_equal(run(line), expected)
#define CHECK_HAS(line, part) assert_non_null(strstr(run(line), part))
#define CHECK_LACKS(line, part) assert_null(strstr(run(line), part))

#define ID0 "0101010101010101010101010101010141c7d653"
#define DISABLED "-ERR This instance has cluster support disabled\r\n"

/* The id that a node has, of whose UUID all bytes are the same. */
static const char *id(node_index i)
{
    static char text[3][41];
    assert_true(place_id_of(&node, i, text[i]));
    return text[i];
}

/* Node 0 is this one, node 1 is connected and node 2 is not. All have the ports. */
static int by(enum listener_kind listener)
{
    (void)fresh(NULL);
    map_reset(node.map);
    me->listener = listener;
    node.config.cluster_port = 7101;
    node.config.sentinel_port = 7201;
    node.started_wall = QR_SECOND;
    memset(node.identity.uuid, 1, sizeof node.identity.uuid);
    for (node_index i = 0; i < 3; i++) {
        struct told_place *told = &node.places[i];
        memset(node.known[i].uuid, 1 + i, 16);
        memset(told->uuid, 1 + i, 16);
        told->told = true;
        told->place = (struct place){ .cluster_port = (uint16_t)(7101 + i),
                                      .plain_port = (uint16_t)(7001 + i),
                                      .sentinel_port = (uint16_t)(7201 + i) };
        strcpy(told->place.address, "127.0.0.1");
        strcpy(told->place.plain_address, "127.0.0.1");
        strcpy(told->place.keyspace, "0");
    }
    return 0;
}

static int cluster(void **state)
{
    (void)state;
    return by(LISTENER_CLUSTER);
}

static int sentinel(void **state)
{
    (void)state;
    return by(LISTENER_SENTINEL);
}

static int clean(void **state)
{
    (void)state;
    subscribe_forget(me);
    reply_free(&me->out);
    map_reset(node.map);
    return 0;
}

/* --- Cluster -------------------------------------------------------------------------------- */

static void test_other_ports_have_no_cluster(void **state)
{
    (void)state;
    me->listener = LISTENER_PLAIN;
    CHECK("cluster slots", DISABLED);
    CHECK("cluster shards", DISABLED);
    CHECK("cluster nodes", DISABLED);
    CHECK("cluster info", DISABLED);
    CHECK("cluster links", DISABLED);
    CHECK("cluster replicas x", DISABLED);
    CHECK("cluster count-failure-reports x", DISABLED);
    CHECK("asking", DISABLED);
    CHECK("cluster keyslot foo", ":12182\r\n");
    CHECK_HAS("cluster myid", "$40\r\n01010101");
    CHECK_HAS("info server", "redis_mode:standalone");
    CHECK_HAS("info cluster", "cluster_enabled:0");
}

static void test_slots(void **state)
{
    (void)state;
    char expected[512];
    (void)snprintf(expected, sizeof expected,
                   "*1\r\n*4\r\n:0\r\n:16383\r\n"
                   "*4\r\n$9\r\n127.0.0.1\r\n:7101\r\n$40\r\n%s\r\n*0\r\n"
                   "*4\r\n$9\r\n127.0.0.1\r\n:7102\r\n$40\r\n%s\r\n*0\r\n",
                   id(0), id(1));
    CHECK("cluster slots", expected); /* node 2 is away */
    outlook.leader = 1;
    outlook.role = ROLE_FOLLOWER;
    (void)snprintf(expected, sizeof expected,
                   "*1\r\n*4\r\n:0\r\n:16383\r\n"
                   "*4\r\n$9\r\n127.0.0.1\r\n:7102\r\n$40\r\n%s\r\n*0\r\n"
                   "*4\r\n$9\r\n127.0.0.1\r\n:7101\r\n$40\r\n%s\r\n*0\r\n",
                   id(1), id(0));
    CHECK("cluster slots", expected);
}

static void test_slots_by_hostname_and_by_none(void **state)
{
    (void)state;
    strcpy(node.places[1].place.hostname, "b.example");
    node.places[1].place.endpoint = ENDPOINT_HOSTNAME;
    node.config.cluster_endpoint = ENDPOINT_UNKNOWN;
    CHECK_HAS("cluster slots", "*4\r\n$9\r\nb.example\r\n:7102\r\n");
    CHECK_HAS("cluster slots", "*2\r\n$2\r\nip\r\n$9\r\n127.0.0.1\r\n");
    CHECK_HAS("cluster slots", "*4\r\n$-1\r\n:7101\r\n");
    node.places[1].place.endpoint = ENDPOINT_IP;
    CHECK_HAS("cluster slots", "*2\r\n$8\r\nhostname\r\n$9\r\nb.example\r\n");
    me->version = 3;
    CHECK_HAS("cluster slots", "*4\r\n_\r\n:7101\r\n");
    CHECK_HAS("cluster slots", "%1\r\n$8\r\nhostname\r\n$9\r\nb.example\r\n");
}

static void test_shards(void **state)
{
    (void)state;
    char expected[2048];
    const char *one = "%%7\r\n$2\r\nid\r\n$40\r\n%s\r\n$4\r\nport\r\n:%u\r\n"
                      "$2\r\nip\r\n$9\r\n127.0.0.1\r\n$8\r\nendpoint\r\n$9\r\n127.0.0.1\r\n"
                      "$4\r\nrole\r\n$%zu\r\n%s\r\n$18\r\nreplication-offset\r\n:%u\r\n"
                      "$6\r\nhealth\r\n$%zu\r\n%s\r\n";
    size_t n = (size_t)snprintf(expected, sizeof expected,
                                "*1\r\n%%2\r\n$5\r\nslots\r\n*2\r\n:0\r\n:16383\r\n"
                                "$5\r\nnodes\r\n*3\r\n");
    n += (size_t)snprintf(expected + n, sizeof expected - n, one, id(0), 7101u, (size_t)6, "master",
                          41u, (size_t)6, "online");
    n += (size_t)snprintf(expected + n, sizeof expected - n, one, id(1), 7102u, (size_t)7,
                          "replica", 40u, (size_t)6, "online");
    (void)snprintf(expected + n, sizeof expected - n, one, id(2), 7103u, (size_t)7, "replica", 0u,
                   (size_t)4, "fail");
    me->version = 3;
    CHECK("cluster shards", expected);
    me->version = 2;
    CHECK_HAS("cluster shards", "*1\r\n*4\r\n$5\r\nslots\r\n");
    zero.loading = true;
    CHECK_HAS("cluster shards", "$7\r\nloading\r\n");
}

static void test_nodes(void **state)
{
    (void)state;
    char expected[1024];
    (void)snprintf(expected, sizeof expected,
                   "%s 127.0.0.1:7101@17001 myself,master - 0 0 5 connected 0-16383\n"
                   "%s 127.0.0.1:7102@17002 slave %s 0 1700000000000 5 connected\n"
                   "%s 127.0.0.1:7103@17003 slave,fail %s 0 0 5 disconnected\n",
                   id(0), id(1), id(0), id(2), id(0));
    assert_non_null(strstr(run("cluster nodes"), expected));
    node.known[2].id = 0;
    CHECK_LACKS("cluster nodes", "7103");
    strcpy(node.config.cluster_announce_ip, "10.0.0.9");
    strcpy(node.config.cluster_announce_hostname, "a.example");
    node.config.cluster_announce_port = 99;
    CHECK_HAS("cluster nodes", " 10.0.0.9:99@17001,a.example myself,master - ");
}

static void test_a_node_without_the_port_is_not_shown(void **state)
{
    (void)state;
    node.places[1].told = false; /* of an older version */
    CHECK_LACKS("cluster nodes", ":17002");
    CHECK_HAS("cluster info", "cluster_known_nodes:2\r\n");
    node.places[1].told = true;
    memset(node.known[1].uuid, 9, 16); /* another node has the index now */
    CHECK_LACKS("cluster nodes", ":17002");
}

/* V2 of shards.h */
static void test_somebody_stands_in_for_a_leader_that_is_not_known(void **state)
{
    (void)state;
    outlook.role = ROLE_FOLLOWER;
    outlook.leader = NODE_NONE;
    CHECK_HAS("cluster nodes", "myself,master - 0 0 5 connected 0-16383\n");
    CHECK_HAS("cluster info", "cluster_state:ok\r\n"); /* two of three voters are up */
    outlook.membership.voters = 6;                     /* one of these two is */
    CHECK_HAS("cluster info", "cluster_state:fail\r\n");
    CHECK_HAS("cluster info", "cluster_slots_ok:0\r\n");
    outlook.leader = 2;
    node.places[2].place.cluster_port = 0; /* the leader has no such port */
    CHECK_HAS("cluster nodes", "myself,master");
    CHECK_HAS("cluster info", "cluster_state:ok\r\n");
}

static void test_info_and_small_answers(void **state)
{
    (void)state;
    CHECK_HAS("cluster info", "cluster_state:ok\r\ncluster_slots_assigned:16384\r\n"
                              "cluster_slots_ok:16384\r\ncluster_slots_pfail:0\r\n"
                              "cluster_slots_fail:0\r\ncluster_known_nodes:3\r\n"
                              "cluster_size:1\r\ncluster_current_epoch:5\r\ncluster_my_epoch:5");
    CHECK("cluster keyslot {user}.following", ":5474\r\n");
    CHECK("asking", "+OK\r\n");
    CHECK("readonly", "+OK\r\n");
    assert_true(me->readonly);
    CHECK("readwrite", "+OK\r\n");
    assert_false(me->readonly);
    CHECK("select 0", "+OK\r\n");
    CHECK("select 1", "-ERR SELECT is not allowed in cluster mode\r\n");
    CHECK_HAS("hello", "$4\r\nmode\r\n$7\r\ncluster\r\n$4\r\nrole\r\n$6\r\nmaster\r\n");
    CHECK_HAS("info", "redis_mode:cluster\r\n");
    CHECK_HAS("info", "tcp_port:7101\r\n");
    CHECK_HAS("info cluster", "cluster_enabled:1\r\n");
    CHECK_HAS("cluster links", "*1\r\n*12\r\n$9\r\ndirection\r\n$2\r\nto\r\n$4\r\nnode\r\n$40\r\n");
    char line[160];
    (void)snprintf(line, sizeof line, "cluster count-failure-reports %s", id(2));
    CHECK(line, ":1\r\n");
    (void)snprintf(line, sizeof line, "cluster replicas %s", id(0));
    CHECK_HAS(line, "*2\r\n$");
    (void)snprintf(line, sizeof line, "cluster slaves %s", id(1));
    CHECK(line, "-ERR The specified node is not a master\r\n");
    CHECK("cluster replicas abc", "-ERR Unknown node abc\r\n");
    CHECK("cluster meet 1 2", "-ERR unknown subcommand 'meet'. Try CLUSTER HELP.\r\n");
}

/* --- MOVED ---------------------------------------------------------------------------------- */

/* What redirect says; "" when the command is to be carried out. */
static const char *redirected(const char *line)
{
    static char out[512];
    char words[256];
    struct span argv[16];
    uint32_t argc = 0;
    struct reply reply;
    const struct command_spec *container;
    strcpy(words, line);
    for (char *word = strtok(words, " "); word != NULL; word = strtok(NULL, " ")) {
        argv[argc++] = span_of(word, strlen(word));
    }
    reply_init(&reply, 2);
    const struct command_spec *spec = command_find(argv, argc, &container);
    assert_non_null(spec);
    bool is = redirect(me, spec, argv, argc, &reply);
    assert_int_equal(is, reply.n > 0);
    (void)snprintf(out, sizeof out, "%.*s", (int)reply.n, reply.n > 0 ? (char *)reply.p : "");
    reply_free(&reply);
    return out;
}

#define REDIRECTED(line, expected) assert_string_equal(redirected(line), expected)

static void test_moved_to_the_leader_alone(void **state)
{
    (void)state;
    REDIRECTED("set foo 1", ""); /* M2: it leads itself */
    outlook.leader = 1;
    REDIRECTED("set foo 1", "-MOVED 12182 127.0.0.1:7102\r\n");
    REDIRECTED("get foo", "-MOVED 12182 127.0.0.1:7102\r\n");
    REDIRECTED("dbsize", "");
    me->readonly = true; /* M3 */
    REDIRECTED("get foo", "");
    REDIRECTED("set foo 1", "-MOVED 12182 127.0.0.1:7102\r\n");
    outlook.leader = NODE_NONE;
    REDIRECTED("set foo 1", "");
}

static void test_moved_only_where_the_port_serves_the_same(void **state)
{
    (void)state;
    outlook.leader = 1;
    strcpy(node.places[1].place.keyspace, "orders");
    REDIRECTED("set foo 1", "");
    strcpy(node.places[1].place.keyspace, "0");
    node.places[1].place.cluster_port = 0;
    REDIRECTED("set foo 1", "");
    node.places[1].place.cluster_port = 7102;
    node.places[1].place.endpoint = ENDPOINT_HOSTNAME;
    REDIRECTED("set foo 1", "-MOVED 12182 ?:7102\r\n");
    strcpy(node.places[1].place.hostname, "b.example");
    REDIRECTED("set foo 1", "-MOVED 12182 b.example:7102\r\n");
    node.places[1].place.endpoint = ENDPOINT_UNKNOWN;
    REDIRECTED("set foo 1", "-MOVED 12182 :7102\r\n");
}

static void test_crossslot_and_databases(void **state)
{
    (void)state;
    const char *crossed = "-CROSSSLOT Keys in request don't hash to the same slot\r\n";
    REDIRECTED("mset a 1 b 2", crossed);
    REDIRECTED("mset {x}a 1 {x}b 2", "");
    REDIRECTED("mget a b", crossed);
    REDIRECTED("rename a b", crossed);
    REDIRECTED("del {x}1 {x}2 y", crossed);
    REDIRECTED("copy a a db 1",
               "-ERR Copying to another database is not allowed in cluster mode\r\n");
    REDIRECTED("copy {a}1 {a}2 replace", "");
    REDIRECTED("move a 1", "-ERR MOVE is not allowed in cluster mode\r\n");
    REDIRECTED("swapdb 0 1", "-ERR SWAPDB is not allowed in cluster mode\r\n");
    outlook.leader = 1;
    REDIRECTED("mset a 1 b 2", crossed);
    REDIRECTED("move foo 1", "-MOVED 12182 127.0.0.1:7102\r\n");
}

/* --- A keyspace of four partitions ---------------------------------------------------------- */

static void put_record(enum map_record kind, uint32_t number, struct span value)
{
    uint8_t key[MAP_KEY_BYTES_MAX];
    size_t n = map_key_write((struct map_key){ kind, number }, key);
    assert_int_equal(map_put(node.map, span_of(key, n), value), MAP_OK);
}

static void make_keyspace(void)
{
    uint8_t value[MAP_VALUE_BYTES_MAX];
    struct map_keyspace k = { .id = 16, .first_group = 2, .partitions = 4, .replicas = 3 };
    k.strategy = STRATEGY_RAFT;
    k.partitioning = PARTITIONING_HASH;
    k.state = KEYSPACE_IN_USE;
    strcpy(k.name, "orders");
    put_record(MAP_RECORD_KEYSPACE, k.id, span_of(value, map_keyspace_write(&k, value)));
    for (uint32_t i = 0; i < 4; i++) {
        struct map_partition p = map_found(&k, i, 2 + i, 7, NODE_NONE);
        put_record(MAP_RECORD_PARTITION, p.group, span_of(value, map_partition_write(&p, value)));
    }
    strcpy(node.config.cluster_keyspace, "orders");
    for (node_index i = 0; i < 3; i++) {
        strcpy(node.places[i].place.keyspace, "orders");
    }
}

static void test_slots_of_many_partitions(void **state)
{
    (void)state;
    make_keyspace();
    const node_index leaders[] = { 0, 0, 1, 0 };
    for (uint32_t i = 0; i < 4; i++) {
        others[i].hint = (struct leader_hint){ .term = 3 + i, .leader = leaders[i] };
    }
    char expected[1024];
    (void)snprintf(
        expected, sizeof expected,
        "*3\r\n*3\r\n:0\r\n:8191\r\n*4\r\n$9\r\n127.0.0.1\r\n:7101\r\n$40\r\n%s\r\n*0\r\n"
        "*3\r\n:8192\r\n:12287\r\n*4\r\n$9\r\n127.0.0.1\r\n:7102\r\n$40\r\n%s\r\n*0\r\n"
        "*3\r\n:12288\r\n:16383\r\n*4\r\n$9\r\n127.0.0.1\r\n:7101\r\n$40\r\n%s\r\n*0\r\n",
        id(0), id(1), id(0)); /* ranges of one master are one; node 2 is away */
    CHECK("cluster slots", expected);
    CHECK_HAS("cluster nodes", "myself,master - 0 0 6 connected 0-8191 12288-16383\n");
    CHECK_HAS("cluster nodes", "master - 0 1700000000000 5 connected 8192-12287\n");
    CHECK_HAS("cluster info", "cluster_size:2\r\ncluster_current_epoch:18\r\n");
    me->version = 3;
    CHECK_HAS("cluster shards", "*2\r\n%2\r\n$5\r\nslots\r\n*4\r\n:0\r\n:8191\r\n:12288\r\n");
    me->version = 2;
    REDIRECTED("get foo", "-MOVED 12182 127.0.0.1:7102\r\n");
    others[2].hint.leader = 0;
    REDIRECTED("get foo", "");
}

static void test_moved_by_slot(void **state)
{
    (void)state;
    make_keyspace();
    for (uint32_t i = 0; i < 4; i++) {
        others[i].hint = (struct leader_hint){ .term = 1, .leader = (node_index)(i % 2) };
    }
    REDIRECTED("get a", "-MOVED 15495 127.0.0.1:7102\r\n"); /* partition 3 */
    REDIRECTED("get foo", "");                              /* 12182: partition 2 */
    others[2].hint.leader = 1;
    REDIRECTED("get foo", "-MOVED 12182 127.0.0.1:7102\r\n");
    others[2].hint.leader = NODE_NONE;
    REDIRECTED("get foo", "");
    assert_int_equal(me->selected.keyspace, 16);
    CHECK("select 0", "+OK\r\n");
    assert_int_equal(me->selected.keyspace, 16);
}

static void test_a_keyspace_that_is_not_there(void **state)
{
    (void)state;
    strcpy(node.config.cluster_keyspace, "orders");
    CHECK("cluster slots", "*0\r\n");
    CHECK_HAS("cluster info", "cluster_state:fail\r\n");
    REDIRECTED("get foo",
               "-CLUSTERDOWN this port is for keyspace 'orders', which is not there, the "
               "command was not applied\r\n");
    make_keyspace();
    others[2].hint = (struct leader_hint){ .term = 1, .leader = 0 };
    REDIRECTED("get foo", "");
}

/* --- Places --------------------------------------------------------------------------------- */

static void test_places_are_told_and_read(void **state)
{
    (void)state;
    struct place place = { .cluster_port = 7102, .plain_port = 1, .sentinel_port = 65535 };
    struct place back;
    uint8_t bytes[PLACE_BYTES_MAX];
    place.endpoint = ENDPOINT_HOSTNAME;
    strcpy(place.address, "::1");
    strcpy(place.hostname, "x");
    strcpy(place.keyspace, "orders");
    size_t n = place_write(&place, bytes);
    assert_true(place_read(span_of(bytes, n), &back));
    assert_memory_equal(&back, &place, sizeof back);
    for (size_t i = 0; i < n; i++) {
        assert_false(place_read(span_of(bytes, i), &back));
    }
    strcpy(place.hostname, "a b"); /* would end a word of CLUSTER NODES */
    n = place_write(&place, bytes);
    assert_false(place_read(span_of(bytes, n), &back));
    strcpy(place.hostname, "");
    place.endpoint = 3;
    n = place_write(&place, bytes);
    assert_false(places_receive(&node, 1, span_of(bytes, n)));
    place.endpoint = 0;
    n = place_write(&place, bytes);
    assert_true(places_receive(&node, 1, span_of(bytes, n)));
    place_of(&node, 1, &back);
    assert_string_equal(back.address, "::1");
}

/* --- Sentinel ------------------------------------------------------------------------------- */

static void test_the_masters_address(void **state)
{
    (void)state;
    CHECK("sentinel get-master-addr-by-name mymaster", "*2\r\n$9\r\n127.0.0.1\r\n$4\r\n7001\r\n");
    CHECK("sentinel get-master-addr-by-name other", "*-1\r\n");
    CHECK("sentinel master other", "-ERR No such master with that name\r\n");
    CHECK("sentinel replicas other", "-ERR No such master with that name\r\n");
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
    me->version = 3;
    CHECK_HAS("sentinel masters", "*1\r\n%20\r\n");
    CHECK_HAS("sentinel replicas mymaster", "*2\r\n%21\r\n");
}

static void test_a_master_that_cannot_be_is_down(void **state)
{
    (void)state;
    CHECK("sentinel ckquorum mymaster",
          "+OK 2 usable Sentinels. Quorum and failover authorization can be reached\r\n");
    node.sentinel_told.master = 1 + 2;
    outlook.leader = NODE_NONE; /* node 2 was it, and is away: node 0 stands in */
    CHECK_HAS("sentinel get-master-addr-by-name mymaster", "$4\r\n7001\r\n");
    CHECK_HAS("sentinel master mymaster", "$6\r\nmaster\r\n");
    outlook.membership.voters = 6;
    CHECK_HAS("sentinel ckquorum mymaster", "-NOQUORUM 2 usable Sentinels.");
    CHECK_HAS("sentinel master mymaster", "$20\r\ns_down,o_down,master\r\n");
    CHECK_HAS("sentinel is-master-down-by-addr 127.0.0.1 7001 1 *",
              "*3\r\n:1\r\n$1\r\n*\r\n:0\r\n");
    node.sentinel_told.master = 0;
    CHECK("sentinel get-master-addr-by-name mymaster", "*-1\r\n");
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
    make_keyspace();
    others[0].hint = (struct leader_hint){ .term = 3, .leader = 1 };
    CHECK_HAS("sentinel get-master-addr-by-name orders", "$4\r\n7002\r\n");
    CHECK_HAS("sentinel masters", "*2\r\n");
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

int main(void)
{
    const struct CMUnitTest tests[] = {
#define CLUSTER_TEST(name) cmocka_unit_test_setup_teardown(name, cluster, clean)
#define SENTINEL_TEST(name) cmocka_unit_test_setup_teardown(name, sentinel, clean)
        CLUSTER_TEST(test_other_ports_have_no_cluster),
        CLUSTER_TEST(test_slots),
        CLUSTER_TEST(test_slots_by_hostname_and_by_none),
        CLUSTER_TEST(test_shards),
        CLUSTER_TEST(test_nodes),
        CLUSTER_TEST(test_a_node_without_the_port_is_not_shown),
        CLUSTER_TEST(test_somebody_stands_in_for_a_leader_that_is_not_known),
        CLUSTER_TEST(test_info_and_small_answers),
        CLUSTER_TEST(test_moved_to_the_leader_alone),
        CLUSTER_TEST(test_moved_only_where_the_port_serves_the_same),
        CLUSTER_TEST(test_crossslot_and_databases),
        CLUSTER_TEST(test_slots_of_many_partitions),
        CLUSTER_TEST(test_moved_by_slot),
        CLUSTER_TEST(test_a_keyspace_that_is_not_there),
        CLUSTER_TEST(test_places_are_told_and_read),
        SENTINEL_TEST(test_the_masters_address),
        SENTINEL_TEST(test_masters_replicas_sentinels),
        SENTINEL_TEST(test_a_master_that_cannot_be_is_down),
        SENTINEL_TEST(test_what_else_a_sentinel_says),
        SENTINEL_TEST(test_which_commands_a_port_knows),
        SENTINEL_TEST(test_subscribing),
        SENTINEL_TEST(test_subscriptions_are_bounded),
        SENTINEL_TEST(test_messages),
        SENTINEL_TEST(test_a_switch_is_told_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
