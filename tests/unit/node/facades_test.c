/* CLUSTER and MOVED by their exact replies, against the shapes of redis-server 7.0.15: what clients
 * of Redis Cluster read (rows O10, O12; ecosystem: topology). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "cluster/slots.h"
#include "facades_world.h"
#include "node/frame.h"
#include "node/redirect.h"
#include "node/shards.h"
#include "tests/unit/cluster/put_records.h"

#define DISABLED "-ERR This instance has cluster support disabled\r\n"

static int cluster(void **state)
{
    (void)state;
    return facades_by(LISTENER_CLUSTER);
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
                   id_of(0), id_of(1));
    CHECK("cluster slots", expected); /* node 2 is away */
    outlook.leader = 1;
    outlook.role = ROLE_FOLLOWER;
    (void)snprintf(expected, sizeof expected,
                   "*1\r\n*4\r\n:0\r\n:16383\r\n"
                   "*4\r\n$9\r\n127.0.0.1\r\n:7102\r\n$40\r\n%s\r\n*0\r\n"
                   "*4\r\n$9\r\n127.0.0.1\r\n:7101\r\n$40\r\n%s\r\n*0\r\n",
                   id_of(1), id_of(0));
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
    node.places[1].place.endpoint = ENDPOINT_HOSTNAME;
    node.places[1].place.hostname[0] = 0; /* it has none to tell */
    CHECK_HAS("cluster slots", "*4\r\n$1\r\n?\r\n:7102\r\n");
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
    n += (size_t)snprintf(expected + n, sizeof expected - n, one, id_of(0), 7101u, (size_t)6,
                          "master", 41u, (size_t)6, "online");
    n += (size_t)snprintf(expected + n, sizeof expected - n, one, id_of(1), 7102u, (size_t)7,
                          "replica", 40u, (size_t)6, "online");
    (void)snprintf(expected + n, sizeof expected - n, one, id_of(2), 7103u, (size_t)7, "replica",
                   0u, (size_t)4, "fail");
    me->version = 3;
    CHECK("cluster shards", expected);
    me->version = 2;
    CHECK_HAS("cluster shards", "*1\r\n*4\r\n$5\r\nslots\r\n");
    zero.loading = true;
    CHECK_HAS("cluster shards", "$7\r\nloading\r\n");
}

static void test_shards_by_hostname_and_from_a_follower(void **state)
{
    (void)state;
    strcpy(node.places[1].place.hostname, "b.example");
    node.places[1].place.endpoint = ENDPOINT_HOSTNAME;
    outlook.leader = 1;
    outlook.role = ROLE_FOLLOWER;
    me->version = 3;
    CHECK_HAS("cluster shards",
              "$5\r\nnodes\r\n*3\r\n%8\r\n$2\r\nid\r\n$40\r\n"); /* its master first */
    CHECK_HAS("cluster shards",
              "$4\r\nport\r\n:7102\r\n$2\r\nip\r\n$9\r\n127.0.0.1\r\n"
              "$8\r\nendpoint\r\n$9\r\nb.example\r\n$8\r\nhostname\r\n$9\r\nb.example\r\n"
              "$4\r\nrole\r\n$6\r\nmaster\r\n$18\r\nreplication-offset\r\n:42\r\n");
    node.places[1].place.endpoint = ENDPOINT_UNKNOWN;
    CHECK_HAS("cluster shards", "$8\r\nendpoint\r\n_\r\n$8\r\nhostname\r\n");
}

static void test_nodes(void **state)
{
    (void)state;
    char expected[1024];
    (void)snprintf(expected, sizeof expected,
                   "%s 127.0.0.1:7101@17001 myself,master - 0 0 5 connected 0-16383\n"
                   "%s 127.0.0.1:7102@17002 slave %s 0 1700000000000 5 connected\n"
                   "%s 127.0.0.1:7103@17003 slave,fail %s 0 0 5 disconnected\n",
                   id_of(0), id_of(1), id_of(0), id_of(2), id_of(0));
    assert_non_null(strstr(run("cluster nodes"), expected));
    node.known[2].id = 0;
    CHECK_LACKS("cluster nodes", "7103");
    strcpy(node.config.cluster_announce_ip, "10.0.0.9");
    strcpy(node.config.cluster_announce_hostname, "a.example");
    node.config.cluster_announce_port = 99;
    CHECK_HAS("cluster nodes", " 10.0.0.9:99@17001,a.example myself,master - ");
    me->version = 3;
    char expected_head[64];
    (void)snprintf(expected_head, sizeof expected_head, "\r\ntxt:%s 10.0.0.9", id_of(0));
    assert_true(run("cluster nodes")[0] == '=');
    CHECK_HAS("cluster nodes", expected_head);
}

static void test_a_node_without_the_port_is_not_shown(void **state)
{
    (void)state;
    node.places[1].told = false; /* of an older version */
    CHECK_LACKS("cluster nodes", "@17002");
    CHECK_HAS("cluster info", "cluster_known_nodes:2\r\n");
    node.places[1].told = true;
    memset(node.known[1].uuid, 9, 16); /* another node has the index now */
    CHECK_LACKS("cluster nodes", "@17002");
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
    CHECK_HAS("cluster info", "cluster_slots_fail:16384\r\n");
    outlook.leader = 1;
    node.places[1].place.cluster_port = 0; /* the leader has no such port */
    CHECK_HAS("cluster nodes", "myself,master");
    CHECK_HAS("cluster info", "cluster_state:ok\r\n");
    outlook.leader = 2; /* not heard of another yet, but its connection is gone */
    CHECK_HAS("cluster nodes", "myself,master");
}

static void test_info_and_small_answers(void **state)
{
    (void)state;
    CHECK_HAS("cluster info", "cluster_state:ok\r\ncluster_slots_assigned:16384\r\n"
                              "cluster_slots_ok:16384\r\ncluster_slots_pfail:0\r\n"
                              "cluster_slots_fail:0\r\ncluster_known_nodes:3\r\n"
                              "cluster_size:1\r\ncluster_current_epoch:5\r\ncluster_my_epoch:5");
    node.stats.peer_messages_sent = 7;
    node.stats.peer_messages_received = 8;
    CHECK_HAS("cluster info", "\r\ncluster_stats_messages_sent:7\r\n"
                              "cluster_stats_messages_received:8\r\n");
    me->version = 3;
    CHECK_HAS("cluster info", "\r\ntxt:cluster_state:ok\r\n");
    me->version = 2;
    CHECK("cluster keyslot {user}.following", ":5474\r\n");
    CHECK("asking", "+OK\r\n");
    CHECK("readonly", "+OK\r\n");
    assert_true(me->readonly);
    CHECK("readwrite", "+OK\r\n");
    assert_false(me->readonly);
    me->readonly = true;
    CHECK("reset", "+RESET\r\n");
    assert_false(me->readonly);
    CHECK("select 0", "+OK\r\n");
    CHECK("select 1", "-ERR SELECT is not allowed in cluster mode\r\n");
    CHECK_HAS("hello", "$4\r\nmode\r\n$7\r\ncluster\r\n$4\r\nrole\r\n$6\r\nmaster\r\n");
    CHECK_HAS("info", "redis_mode:cluster\r\n");
    CHECK_HAS("info", "tcp_port:7101\r\n");
    CHECK_HAS("info cluster", "cluster_enabled:1\r\n");
    CHECK_HAS("cluster links", "*1\r\n*12\r\n$9\r\ndirection\r\n$2\r\nto\r\n$4\r\nnode\r\n$40\r\n");
    char line[160];
    (void)snprintf(line, sizeof line, "cluster count-failure-reports %s", id_of(2));
    CHECK(line, ":1\r\n");
    (void)snprintf(line, sizeof line, "cluster replicas %s", id_of(0));
    CHECK_HAS(line, "*2\r\n$");
    (void)snprintf(line, sizeof line, "cluster slaves %s", id_of(1));
    CHECK(line, "-ERR The specified node is not a master\r\n");
    CHECK("cluster replicas abc", "-ERR Unknown node abc\r\n");
    CHECK("cluster replicas 0101", "-ERR Unknown node 0101\r\n"); /* how its id begins */
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
    outlook.leader = 2; /* it is gone */
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

/* Its slot is not known before it is there whole: the command goes on by itself. */
static void test_a_large_key_is_no_reason_to_move(void **state)
{
    (void)state;
    struct span argv[] = { SPAN_LITERAL("set"), { .n = 1 << 20 }, SPAN_LITERAL("1") };
    struct reply reply;
    outlook.leader = 1;
    reply_init(&reply, 2);
    assert_false(redirect(me, command_by_name(argv[0]), argv, 3, &reply));
    assert_int_equal(reply.n, 0);
    reply_free(&reply);
}

/* It would not know the command that it is sent. */
static void test_keys_of_a_slot_with_a_leader_of_an_older_version(void **state)
{
    (void)state;
    outlook.leader = 1;
    REDIRECTED("cluster countkeysinslot 5", "");
    wire_version = WIRE_VERSION_GROUPS - 1;
    REDIRECTED("cluster countkeysinslot 5",
               "-ERR the leader runs a version that does not know this command\r\n");
    REDIRECTED("dbsize", "");
    assert_int_equal(redirect_slot(SPAN_LITERAL("16383")), 16383);
    assert_int_equal(redirect_slot(SPAN_LITERAL("16384")), 0);
    assert_int_equal(redirect_slot(SPAN_LITERAL("-1")), 0);
    assert_int_equal(redirect_slot(SPAN_LITERAL("x")), 0);
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

static void test_nobody_is_sent_to_a_node_that_hangs(void **state)
{
    (void)state;
    outlook.leader = 1;
    outlook.role = ROLE_FOLLOWER;
    facades_hang(1);
    node.contact.beats.looked--;
    REDIRECTED("set foo 1", "-MOVED 12182 127.0.0.1:7102\r\n");
    CHECK_HAS("cluster nodes", "master - 0 1700000000000 ");
    facades_hang(1);
    REDIRECTED("set foo 1", "");
    CHECK_HAS("cluster nodes", ",fail ");
    CHECK_HAS("cluster nodes", "myself,master ");
    node.contact.beats.beating = 0; /* an older version: its connection has to do */
    REDIRECTED("set foo 1", "-MOVED 12182 127.0.0.1:7102\r\n");
}

/* --- A keyspace of four partitions ---------------------------------------------------------- */

static void test_slots_of_many_partitions(void **state)
{
    (void)state;
    facades_make_keyspace();
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
        id_of(0), id_of(1), id_of(0)); /* ranges of one master are one; node 2 is away */
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
    outlook.role = ROLE_FOLLOWER; /* of group 0; here it is one of the masters, in all views */
    outlook.leader = 1;
    CHECK_HAS("hello", "$4\r\nrole\r\n$6\r\nmaster\r\n");
    CHECK_HAS("role", "*3\r\n$6\r\nmaster\r\n");
    CHECK_HAS("info replication", "\r\nrole:master\r\n");
    me->listener = LISTENER_PLAIN;
    CHECK_HAS("role", "*5\r\n$5\r\nslave\r\n");
    CHECK_HAS("info replication", "\r\nrole:slave\r\n");
}

/* So many partitions as there are slots: a range of one is written as that slot. */
static void test_ranges_of_one_slot(void **state)
{
    (void)state;
    struct map_keyspace k = a_keyspace(16, "orders", "", 2, SLOTS);
    put_all(node.map, &k, 7, NODE_NONE);
    strcpy(node.config.cluster_keyspace, "orders");
    others[1].hint = (struct leader_hint){ .term = 2, .leader = 1 };
    CHECK_HAS("cluster nodes", " connected 0 2-16383\n");
    CHECK_HAS("cluster nodes", " connected 1\n");
    CHECK_HAS("cluster slots", "*3\r\n*3\r\n:0\r\n:0\r\n");
}

/* Of what a node leads the latest term counts; of the own replicas, theirs where it is newer. */
static void test_epochs_of_masters(void **state)
{
    (void)state;
    facades_make_keyspace();
    for (uint32_t i = 0; i < 4; i++) {
        others[i].hint = (struct leader_hint){ .term = 9 - i, .leader = (node_index)(i % 2) };
    }
    CHECK_HAS("cluster nodes", "myself,master - 0 0 9 connected");
    CHECK_HAS("cluster nodes", " master - 0 1700000000000 8 connected");
    CHECK_HAS("cluster info", "cluster_current_epoch:30\r\ncluster_my_epoch:9\r\n");
    others[2].replica = (struct replica *)&outlook;
    outlook.term = 12;
    CHECK_HAS("cluster info", "cluster_current_epoch:35\r\ncluster_my_epoch:12\r\n");
}

static void test_replicas_of_several_masters(void **state)
{
    (void)state;
    char line[80];
    facades_make_keyspace();
    for (uint32_t i = 0; i < 4; i++) {
        others[i].hint = (struct leader_hint){ .term = 1, .leader = (node_index)(i % 2) };
    }
    node.known[3] = node.known[2];
    node.known[3].id = 4;
    node.places[3] = node.places[2];
    for (node_index i = 0; i < 2; i++) { /* one each */
        (void)snprintf(line, sizeof line, "cluster replicas %s", id_of(i));
        CHECK_HAS(line, "*1\r\n$");
    }
    node.known[3].id = 0;
    (void)snprintf(line, sizeof line, "cluster replicas %s", id_of(1));
    CHECK(line, "*0\r\n");
}

static void test_a_partition_that_nobody_can_lead(void **state)
{
    (void)state;
    struct map_keyspace k = a_keyspace(16, "orders", "", 2, 4);
    put_all(node.map, &k, 6, NODE_NONE); /* of these two, one is away */
    strcpy(node.config.cluster_keyspace, "orders");
    others[1].hint = (struct leader_hint){ .term = 1, .leader = 1 };
    CHECK_HAS("cluster info", "cluster_state:fail\r\ncluster_slots_assigned:16384\r\n"
                              "cluster_slots_ok:4096\r\n");
}

static void test_moved_by_slot(void **state)
{
    (void)state;
    facades_make_keyspace();
    for (uint32_t i = 0; i < 4; i++) {
        others[i].hint = (struct leader_hint){ .term = 1, .leader = (node_index)(i % 2) };
    }
    CHECK_HAS("client info", " db=16 ");
    CHECK_HAS("client info", " ks=orders");
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
               "-CLUSTERDOWN this port is for keyspace 'orders', which is not there or, right "
               "after a start, not known yet, the command was not applied\r\n");
    facades_make_keyspace();
    others[2].hint = (struct leader_hint){ .term = 1, .leader = 0 };
    REDIRECTED("get foo", "");
    map_reset(node.map); /* dropped under the connection */
    assert_int_equal(strncmp(redirected("get foo"), "-CLUSTERDOWN", 12), 0);
}

static void test_a_node_that_was_removed_sends_clients_away(void **state)
{
    (void)state;
    const char *down = "-CLUSTERDOWN this node is no member of its cluster any more, the command "
                       "was not applied: ask another node, here it is CLUSTERDOWN for good\r\n";
    node.removed = true;
    CHECK("cluster slots", down);
    CHECK("cluster shards", down);
    CHECK("cluster nodes", down);
    CHECK("cluster info", down);
    REDIRECTED("get foo", down);
    me->readonly = true;
    REDIRECTED("get foo", down);
    REDIRECTED("dbsize", down);
    CHECK("cluster keyslot foo", ":12182\r\n");
    me->listener = LISTENER_PLAIN;
    CHECK("cluster slots", DISABLED);
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

int main(void)
{
    const struct CMUnitTest tests[] = {
#define CLUSTER_TEST(name) cmocka_unit_test_setup_teardown(name, cluster, facades_clean)
        CLUSTER_TEST(test_other_ports_have_no_cluster),
        CLUSTER_TEST(test_slots),
        CLUSTER_TEST(test_slots_by_hostname_and_by_none),
        CLUSTER_TEST(test_shards),
        CLUSTER_TEST(test_shards_by_hostname_and_from_a_follower),
        CLUSTER_TEST(test_nodes),
        CLUSTER_TEST(test_a_node_without_the_port_is_not_shown),
        CLUSTER_TEST(test_somebody_stands_in_for_a_leader_that_is_not_known),
        CLUSTER_TEST(test_info_and_small_answers),
        CLUSTER_TEST(test_moved_to_the_leader_alone),
        CLUSTER_TEST(test_nobody_is_sent_to_a_node_that_hangs),
        CLUSTER_TEST(test_moved_only_where_the_port_serves_the_same),
        CLUSTER_TEST(test_a_large_key_is_no_reason_to_move),
        CLUSTER_TEST(test_keys_of_a_slot_with_a_leader_of_an_older_version),
        CLUSTER_TEST(test_crossslot_and_databases),
        CLUSTER_TEST(test_slots_of_many_partitions),
        CLUSTER_TEST(test_ranges_of_one_slot),
        CLUSTER_TEST(test_epochs_of_masters),
        CLUSTER_TEST(test_replicas_of_several_masters),
        CLUSTER_TEST(test_a_partition_that_nobody_can_lead),
        CLUSTER_TEST(test_moved_by_slot),
        CLUSTER_TEST(test_a_keyspace_that_is_not_there),
        CLUSTER_TEST(test_a_node_that_was_removed_sends_clients_away),
        CLUSTER_TEST(test_places_are_told_and_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
