/* The commands of a connection itself, by their exact replies: those of redis-server 7.0.15
 * and 7.2. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "cardboard.h"
#include "command/details.h"
#include "tests/unit/cluster/put_records.h"

#define CHECK(line, expected) assert_string_equal(run(line), expected)
#define CHECK_HAS(line, part) assert_non_null(strstr(run(line), part))

/* --- Refusals ------------------------------------------------------------------------------- */

static void test_every_local_command_has_a_handler(void **state)
{
    (void)state;
    for (size_t i = 0; i < command_count(); i++) {
        assert_int_equal(local_handler_of(command_at(i)) != NULL,
                         command_at(i)->place == PLACE_LOCAL);
    }
}

static void test_unknown_commands(void **state)
{
    (void)state;
    CHECK("foo", "-ERR unknown command 'foo', with args beginning with: \r\n");
    CHECK("Foo a B", "-ERR unknown command 'Foo', with args beginning with: 'a' 'B' \r\n");
    CHECK("client|list x",
          "-ERR unknown command 'client|list', with args beginning with: 'x' \r\n");
    CHECK("client Nope x", "-ERR unknown subcommand 'Nope'. Try CLIENT HELP.\r\n");
    CHECK("config nope", "-ERR unknown subcommand 'nope'. Try CONFIG HELP.\r\n");
    CHECK("client", "-ERR wrong number of arguments for 'client' command\r\n");
    CHECK("CLIENT Setname", "-ERR wrong number of arguments for 'client|setname' command\r\n");
}

static void test_unknown_commands_are_cut(void **state)
{
    (void)state;
    char line[600], expected[600];
    /* 100 + "'' " leaves 25 bytes of the second argument; the third is not begun. */
    (void)snprintf(line, sizeof line, "%0200d %0100d %0100d c", 0, 1, 2);
    (void)snprintf(expected, sizeof expected,
                   "-ERR unknown command '%0128d', with args beginning with: '%0100d' '%025d' \r\n",
                   0, 1, 0);
    assert_string_equal(run(line), expected);
}

/* --- The connection ------------------------------------------------------------------------- */

static void test_ping_echo_time(void **state)
{
    (void)state;
    CHECK("ping", "+PONG\r\n");
    CHECK("PING hello", "$5\r\nhello\r\n");
    CHECK("ping a b", "-ERR wrong number of arguments for 'ping' command\r\n");
    CHECK("echo a\\sb", "$3\r\na b\r\n");
    CHECK("time", "*2\r\n$10\r\n1700000000\r\n$2\r\n42\r\n");
    CHECK("readonly", "+OK\r\n");
    CHECK("readwrite", "+OK\r\n");
    CHECK("module list", "*0\r\n");
}

static void test_select(void **state)
{
    (void)state;
    CHECK("select 15", "+OK\r\n");
    assert_int_equal(me->selected.db, 15);
    CHECK("select 16", "-ERR DB index is out of range\r\n");
    CHECK("select -1", "-ERR DB index is out of range\r\n");
    CHECK("select x", "-ERR value is not an integer or out of range\r\n");
    CHECK("select 99999999999",
          "-ERR value is out of range, value must between -2147483648 and 2147483647\r\n");
    assert_int_equal(me->selected.db, 15);
}

static void test_hello(void **state)
{
    (void)state;
    CHECK("hello", "*14\r\n$6\r\nserver\r\n$5\r\nredis\r\n$7\r\nversion\r\n$5\r\n7.2.4\r\n"
                   "$5\r\nproto\r\n:2\r\n$2\r\nid\r\n:1\r\n$4\r\nmode\r\n$10\r\nstandalone\r\n"
                   "$4\r\nrole\r\n$6\r\nmaster\r\n$7\r\nmodules\r\n*0\r\n");
    CHECK("hello 3 setname me",
          "%7\r\n$6\r\nserver\r\n$5\r\nredis\r\n$7\r\nversion\r\n$5\r\n7.2.4\r\n"
          "$5\r\nproto\r\n:3\r\n$2\r\nid\r\n:1\r\n$4\r\nmode\r\n$10\r\nstandalone\r\n"
          "$4\r\nrole\r\n$6\r\nmaster\r\n$7\r\nmodules\r\n*0\r\n");
    assert_int_equal(me->version, 3);
    assert_string_equal(me->name, "me");
    CHECK("hello 2 setname", "-ERR Syntax error in HELLO option 'setname'\r\n");
    CHECK("hello 2 auth default", "-ERR Syntax error in HELLO option 'auth'\r\n");
    CHECK("hello 4", "-NOPROTO unsupported protocol version\r\n");
    CHECK("hello 1", "-NOPROTO unsupported protocol version\r\n");
    CHECK("hello x", "-ERR Protocol version is not an integer or out of range\r\n");
    CHECK("hello 2 setname a\\sb",
          "-ERR Client names cannot contain spaces, newlines or special characters.\r\n");
    assert_int_equal(me->version, 3);
    assert_string_equal(me->name, "me");
}

static void test_auth(void **state)
{
    (void)state;
    CHECK("auth x", "-ERR AUTH <password> called without any password configured for the default "
                    "user. Are you sure your configuration is correct?\r\n");
    CHECK("auth default x", "+OK\r\n");
    CHECK("auth a b c", "-ERR syntax error\r\n");
    strcpy(node.config.requirepass, "secret");
    me->authenticated = false;
    const char *wrong = "-WRONGPASS invalid username-password pair or user is disabled.\r\n";
    CHECK("auth secre", wrong);
    CHECK("auth secrets", wrong);
    CHECK("auth secretsecret", wrong);
    CHECK("auth other secret", wrong);
    CHECK("hello 3 auth default x", wrong);
    assert_false(me->authenticated);
    CHECK("hello 3",
          "-NOAUTH HELLO must be called with the client already authenticated, otherwise the HELLO "
          "<proto> AUTH <user> <pass> option can be used to authenticate the client and select the "
          "RESP protocol version at the same time\r\n");
    assert_int_equal(me->version, 2);
    CHECK("auth secret", "+OK\r\n");
    assert_true(me->authenticated);
    me->authenticated = false;
    CHECK_HAS("hello 3 AUTH default secret SETNAME x", "%7\r\n");
    assert_true(me->authenticated);
    assert_true(me->parser.authenticated);
}

static void test_reset_and_quit(void **state)
{
    (void)state;
    strcpy(node.config.requirepass, "secret");
    strcpy(me->lib_name, "lib");
    strcpy(me->name, "n");
    me->version = 3;
    me->selected.db = 3;
    me->no_touch = true;
    CHECK("reset", "+RESET\r\n");
    assert_int_equal(me->version, 2);
    assert_int_equal(me->selected.db, 0);
    assert_false(me->authenticated);
    assert_false(me->no_touch);
    assert_string_equal(me->name, "");
    assert_string_equal(me->lib_name, "lib");
    assert_null(closed_gently);
    CHECK("quit", "+OK\r\n");
    assert_ptr_equal(closed_gently, me);
}

/* --- CLIENT --------------------------------------------------------------------------------- */

static void test_client_names(void **state)
{
    (void)state;
    CHECK("client getname", "$-1\r\n");
    CHECK("client setname a:b", "+OK\r\n");
    CHECK("client getname", "$3\r\na:b\r\n");
    CHECK("client setname a\\sb",
          "-ERR Client names cannot contain spaces, newlines or special characters.\r\n");
    CHECK("client setinfo lib-name redis-py", "+OK\r\n");
    CHECK("client setinfo LIB-VER 5.0.1", "+OK\r\n");
    assert_string_equal(me->lib_name, "redis-py");
    assert_string_equal(me->lib_version, "5.0.1");
    CHECK("client setinfo lib-foo x", "-ERR Unrecognized option 'lib-foo'\r\n");
    CHECK("client setinfo lib-name a\\sb",
          "-ERR lib-name cannot contain spaces, newlines or special characters.\r\n");
    CHECK("client id", ":1\r\n");
}

static void test_client_list(void **state)
{
    (void)state;
    CHECK_HAS("client info", "id=1 addr=127.0.0.1:50000 laddr=127.0.0.1:7001 fd=7 name= age=100 "
                             "idle=100 flags=N db=0 sub=0 psub=0 ssub=0 multi=-1 ");
    const char *all = run("client list");
    assert_non_null(strstr(all, "id=1 "));
    assert_non_null(strstr(all, "\nid=3 "));
    const char *two = run("client list id 3 1 99");
    assert_non_null(strstr(two, "id=3 "));
    assert_null(strstr(two, "id=2 "));
    CHECK("client list type master", "$0\r\n\r\n");
    CHECK_HAS("client list type NORMAL", "id=2 ");
    CHECK("client list type foo", "-ERR Unknown client type 'foo'\r\n");
    CHECK("client list id x", "-ERR Invalid client ID\r\n");
    CHECK("client list foo", "-ERR syntax error\r\n");
    CHECK("client list type", "-ERR syntax error\r\n");
    me->version = 3;
    assert_int_equal(strncmp(run("client info"), "=", 1), 0);
}

static void test_client_kill(void **state)
{
    (void)state;
    CHECK("client kill 1.2.3.4:5", "-ERR No such client\r\n");
    CHECK("client kill 127.0.0.1:50001", "+OK\r\n");
    assert_ptr_equal(killed, &clients[1]);
    CHECK("client kill id 3", ":1\r\n");
    assert_ptr_equal(killed, &clients[2]);
    CHECK("client kill id 1", ":0\r\n"); /* spared unless asked */
    CHECK("client kill id 1 skipme no", ":1\r\n");
    assert_ptr_equal(closed_gently, me);
    CHECK("client kill type pubsub", ":0\r\n");
    CHECK("client kill laddr 127.0.0.1:7001 user default", ":2\r\n");
    CHECK("client kill addr 127.0.0.1:50001 id 3", ":0\r\n");
    CHECK("client kill id x", "-ERR client-id should be greater than 0\r\n");
    CHECK("client kill id 0", "-ERR client-id should be greater than 0\r\n");
    CHECK("client kill type foo", "-ERR Unknown client type 'foo'\r\n");
    CHECK("client kill user nobody", "-ERR No such user 'nobody'\r\n");
    CHECK("client kill foo bar", "-ERR syntax error\r\n");
    CHECK("client kill id 1 type", "-ERR syntax error\r\n");
    CHECK("client kill id 1 skipme maybe", "-ERR syntax error\r\n");
}

static void test_client_switches(void **state)
{
    (void)state;
    CHECK("client reply off", "");
    assert_int_equal(me->reply_mode, REPLY_OFF);
    CHECK("client reply skip", "");
    assert_int_equal(me->reply_mode, REPLY_OFF);
    CHECK("client reply on", "+OK\r\n");
    CHECK("client reply skip", "");
    assert_int_equal(me->reply_mode, REPLY_SKIP_NEXT);
    CHECK("client reply maybe", "-ERR syntax error\r\n");
    CHECK("client no-evict on", "+OK\r\n");
    CHECK("client no-touch on", "+OK\r\n");
    CHECK_HAS("client info", " flags=eT ");
    CHECK("client no-touch off", "+OK\r\n");
    CHECK("client no-evict x", "-ERR syntax error\r\n");
}

/* --- COMMAND -------------------------------------------------------------------------------- */

static void test_command_info(void **state)
{
    (void)state;
    CHECK(
        "command info get",
        "*1\r\n*10\r\n$3\r\nget\r\n:2\r\n*2\r\n+readonly\r\n+fast\r\n:1\r\n:1\r\n:1\r\n"
        "*3\r\n+@read\r\n+@string\r\n+@fast\r\n*0\r\n*1\r\n*6\r\n$5\r\nflags\r\n*2\r\n+RO\r\n"
        "+access\r\n$12\r\nbegin_search\r\n*4\r\n$4\r\ntype\r\n$5\r\nindex\r\n$4\r\nspec\r\n*2\r\n"
        "$5\r\nindex\r\n:1\r\n$9\r\nfind_keys\r\n*4\r\n$4\r\ntype\r\n$5\r\nrange\r\n$4\r\nspec\r\n"
        "*6\r\n$7\r\nlastkey\r\n:0\r\n$7\r\nkeystep\r\n:1\r\n$5\r\nlimit\r\n:0\r\n*0\r\n");
    CHECK("command info nope config|nope", "*2\r\n$-1\r\n$-1\r\n");
    me->version = 3;
    CHECK("command info config|set",
          "*1\r\n*10\r\n$10\r\nconfig|set\r\n:-4\r\n~4\r\n+admin\r\n+noscript\r\n+loading\r\n"
          "+stale\r\n:0\r\n:0\r\n:0\r\n~3\r\n+@admin\r\n+@slow\r\n+@dangerous\r\n~2\r\n$24\r\n"
          "request_policy:all_nodes\r\n$29\r\nresponse_policy:all_succeeded\r\n~0\r\n~0\r\n");
}

static void test_command_whole_table(void **state)
{
    (void)state;
    char count[32];
    (void)snprintf(count, sizeof count, "*%s", run("command count") + 1);
    assert_int_equal(strncmp(run("command"), count, strlen(count)), 0);
    CHECK_HAS("command", "$11\r\nclient|kill\r\n");
    CHECK_HAS("command docs", "$11\r\nsubcommands\r\n");
    CHECK("command docs nope", "*0\r\n");
    CHECK_HAS("command docs get", "$5\r\ngroup\r\n$6\r\nstring\r\n");
    CHECK("command list filterby pattern MG*", "*1\r\n$4\r\nmget\r\n");
    CHECK("command list filterby module x", "*0\r\n");
    CHECK_HAS("command list filterby aclcat STRING", "$3\r\nget\r\n");
    CHECK("command list filterby aclcat nope", "*0\r\n");
    CHECK("command list filterby foo x", "-ERR syntax error\r\n");
    CHECK("command list foo", "-ERR syntax error\r\n");
}

static void test_command_docs_arguments(void **state)
{
    (void)state;
    CHECK_HAS("command docs getrange",
              "$9\r\narguments\r\n*3\r\n"
              "*6\r\n$4\r\nname\r\n$3\r\nkey\r\n$4\r\ntype\r\n$3\r\nkey\r\n"
              "$14\r\nkey_spec_index\r\n:0\r\n"
              "*4\r\n$4\r\nname\r\n$5\r\nstart\r\n$4\r\ntype\r\n$7\r\ninteger\r\n"
              "*4\r\n$4\r\nname\r\n$3\r\nend\r\n$4\r\ntype\r\n$7\r\ninteger\r\n");
    CHECK_HAS("command docs mset", "$5\r\nflags\r\n*1\r\n+multiple\r\n$9\r\narguments\r\n*2\r\n");
    CHECK_HAS("command docs scan",
              "*8\r\n$4\r\nname\r\n$7\r\npattern\r\n$4\r\ntype\r\n$7\r\npattern\r\n"
              "$5\r\ntoken\r\n$5\r\nMATCH\r\n$5\r\nflags\r\n*1\r\n+optional\r\n");
    CHECK_HAS("command docs client|no-touch",
              "$5\r\noneof\r\n$9\r\narguments\r\n*2\r\n"
              "*6\r\n$4\r\nname\r\n$2\r\non\r\n$4\r\ntype\r\n$10\r\npure-token\r\n"
              "$5\r\ntoken\r\n$2\r\nON\r\n");
    me->version = 3;
    CHECK_HAS("command docs", "$14\r\nkey_spec_index\r\n:1\r\n");
}

/* As many arguments are keys as there are groups of keys. */
static void test_syntax_agrees_with_keys(void **state)
{
    (void)state;
    for (size_t i = 0; i < command_count(); i++) {
        const struct command_keys *keys;
        uint32_t groups = command_keys_of(command_at(i), &keys);
        char line[128];
        (void)snprintf(line, sizeof line, "command docs %s", command_at(i)->name);
        const char *docs = run(line);
        uint32_t found = 0;
        for (const char *p = docs; (p = strstr(p, "key_spec_index")) != NULL; p++) {
            found++;
        }
        if ((command_at(i)->flags & CF_CONTAINER) == 0) {
            assert_int_equal(found, groups);
        }
    }
}

static void test_command_getkeys(void **state)
{
    (void)state;
    CHECK("command getkeys mset a 1 b 2", "*2\r\n$1\r\na\r\n$1\r\nb\r\n");
    CHECK("command getkeys copy a b replace", "*2\r\n$1\r\na\r\n$1\r\nb\r\n");
    CHECK("command getkeys memory usage k", "*1\r\n$1\r\nk\r\n");
    CHECK("command getkeys del a b c", "*3\r\n$1\r\na\r\n$1\r\nb\r\n$1\r\nc\r\n");
    CHECK("command getkeys ping x", "-ERR The command has no key arguments\r\n");
    CHECK("command getkeys foo x", "-ERR Invalid command specified\r\n");
    CHECK("command getkeys get x y", "-ERR Invalid number of arguments specified for command\r\n");
    CHECK("command getkeysandflags set a b", "*1\r\n*2\r\n$1\r\na\r\n*2\r\n+OW\r\n+update\r\n");
    CHECK("command getkeysandflags set a b get",
          "*1\r\n*2\r\n$1\r\na\r\n*3\r\n+RW\r\n+access\r\n+update\r\n");
}

/* --- CONFIG --------------------------------------------------------------------------------- */

static void test_config_get(void **state)
{
    (void)state;
    CHECK("config get maxmemory", "*2\r\n$9\r\nmaxmemory\r\n$1\r\n0\r\n");
    CHECK("config get MAXMEMory", "*2\r\n$9\r\nMAXMEMory\r\n$1\r\n0\r\n");
    CHECK("config get nope cluster-secret user", "*0\r\n");
    CHECK("config get sav[e] save s?ve", "*2\r\n$4\r\nsave\r\n$0\r\n\r\n");
    me->version = 3;
    CHECK("config get appendonly READ-MOD*",
          "%2\r\n$9\r\nread-mode\r\n$9\r\nreadindex\r\n$10\r\nappendonly\r\n$3\r\nyes\r\n");
    CHECK_HAS("config get *", "$15\r\nslave-read-only\r\n$3\r\nyes\r\n");
    assert_null(strstr(run("config get *"), "cluster-secret"));
}

/* A megabyte of names must not ask for gigabytes of answer (R4). */
static void test_names_are_bounded(void **state)
{
    (void)state;
    static const char *const commands[] = { "command|info", "command|docs", "config|get", "info",
                                            "client|list" };
    static struct span argv[LOCAL_NAMES_MAX + 10];
    for (size_t i = 0; i < ARRAY_COUNT(argv); i++) {
        argv[i] = SPAN_LITERAL("1");
    }
    argv[2] = SPAN_LITERAL("id"); /* of CLIENT LIST; a name to the others */
    for (size_t i = 0; i < ARRAY_COUNT(commands); i++) {
        const struct command_spec *spec =
            command_by_name(span_of(commands[i], strlen(commands[i])));
        struct reply reply;
        reply_init(&reply, 2);
        local_handler_of(spec)(me, argv, (uint32_t)ARRAY_COUNT(argv), &reply);
        assert_true(reply.is_error);
        reply_free(&reply);
    }
    char line[300];
    (void)snprintf(line, sizeof line, "config get *%0250d*", 0);
    CHECK(line, "*0\r\n");
}

static void test_config_set(void **state)
{
    (void)state;
    CHECK("config set read-mode lease Timeout 5", "+OK\r\n");
    assert_int_equal(node.config.read_mode, 1);
    assert_string_equal(changed, "read-mode timeout ");
    CHECK("config set a b c", "-ERR syntax error\r\n");
    CHECK("config set a", "-ERR wrong number of arguments for 'config|set' command\r\n");
    CHECK("config set foo 1",
          "-ERR Unknown option or number of arguments for CONFIG SET - 'foo'\r\n");
    CHECK("config rewrite", "-ERR The server is running without a config file\r\n");
    node.stats.uncertain = 5;
    CHECK("config resetstat", "+OK\r\n");
    assert_int_equal(node.stats.uncertain, 0);
}

/* --- The node ------------------------------------------------------------------------------- */

static void test_role(void **state)
{
    (void)state;
    CHECK("role", "*3\r\n$6\r\nmaster\r\n:42\r\n*1\r\n*3\r\n$9\r\n127.0.0.1\r\n$4\r\n7002\r\n"
                  "$2\r\n40\r\n");
    outlook.role = ROLE_FOLLOWER;
    outlook.leader = 2;
    CHECK("role", "*5\r\n$5\r\nslave\r\n$9\r\n127.0.0.1\r\n:7003\r\n$9\r\nconnected\r\n:41\r\n");
    outlook.leader = NODE_NONE;
    CHECK("role", "*5\r\n$5\r\nslave\r\n$0\r\n\r\n:0\r\n$7\r\nconnect\r\n:41\r\n");
    zero.replica = NULL;
    CHECK("role", "*5\r\n$5\r\nslave\r\n$0\r\n\r\n:0\r\n$7\r\nconnect\r\n:0\r\n");
}

static void test_info(void **state)
{
    (void)state;
    CHECK_HAS("info", "# Server\r\nredis_version:7.2.4\r\nquorate_version:");
    CHECK_HAS("info", "\r\n\r\n# Persistence\r\nloading:0\r\n");
    CHECK_HAS("info", "\r\n\r\n# Modules\r\n\r\n# Errorstats\r\n");
    assert_null(strstr(run("info"), "# Commandstats"));
    CHECK_HAS("info replication", "# Replication\r\nrole:master\r\nconnected_slaves:1\r\n"
                                  "slave0:ip=127.0.0.1,port=7002,state=online,offset=40,lag=1\r\n"
                                  "replica1:id=2,state=online,lag_ops=3,lag_bytes=300,lag_ms=60000,"
                                  "last_ack_ms=1000,bootstrap_pct=100,"
                                  "snapshot_sent=0,snapshot_bytes=0,snapshot_bytes_per_second=0\r\n"
                                  "replica2:id=3,state=away,lag_ops=-1,lag_bytes=-1,lag_ms=-1,"
                                  "last_ack_ms=-1,bootstrap_pct=100,"
                                  "snapshot_sent=0,snapshot_bytes=0,snapshot_bytes_per_second=0\r\n"
                                  "master_failover_state:no-failover\r\n");
    CHECK("info cluster nope CLUSTER", "$30\r\n# Cluster\r\ncluster_enabled:0\r\n\r\n");
    CHECK("info nope", "$0\r\n\r\n");
    command_stats[command_index(command_by_name(SPAN_LITERAL("get")))] =
        (struct command_stats){ .calls = 4, .usec = 10, .failed = 1 };
    CHECK("info commandstats",
          "$96\r\n# Commandstats\r\ncmdstat_get:calls=4,usec=10,usec_per_call=2.50,"
          "rejected_calls=0,failed_calls=1\r\n\r\n");
    CHECK_HAS("info raft", "raft_member1:id=2,role=voter,addr=127.0.0.1,port=7002,peer_port=17002,"
                           "state=connected,match=40,lag=3,heard_ms=1000,needs_snapshot=0\r\n");
    CHECK_HAS("info everything", "# Latencystats\r\n");
    outlook.role = ROLE_FOLLOWER;
    outlook.leader = 1;
    CHECK_HAS("info replication", "role:slave\r\nmaster_host:127.0.0.1\r\nmaster_port:7002\r\n"
                                  "master_link_status:up\r\n");
    zero.replica = NULL;
    zero.loading = true;
    CHECK_HAS("info", "loading:1\r\n");
    me->version = 3;
    assert_int_equal(strncmp(run("info"), "=", 1), 0);
}

static void test_shutdown(void **state)
{
    (void)state;
    CHECK("shutdown foo", "-ERR syntax error\r\n");
    CHECK("shutdown nosave save", "-ERR syntax error\r\n");
    CHECK("shutdown abort now", "-ERR syntax error\r\n");
    CHECK("shutdown abort", "-ERR No shutdown in progress.\r\n");
    assert_false(stopped);
    CHECK("shutdown NOSAVE now", "");
    assert_true(stopped);
}

static void test_help(void **state)
{
    (void)state;
    CHECK_HAS("client help",
              "+CLIENT <subcommand> [<arg> [value] [opt] ...]. Subcommands are:\r\n");
    CHECK_HAS("command help", "+HELP\r\n+    Lists these subcommands.\r\n");
    CHECK_HAS("config help", "+RESETSTAT\r\n");
    CHECK_HAS("memory help", "+USAGE <key> [SAMPLES <count>]\r\n");
    CHECK_HAS("module help", "+LIST\r\n");
}

/* What KEYSPACE LIST and INFO tell of a keyspace, and of where its partitions are. */
static void test_keyspaces(void **state)
{
    (void)state;
    struct map_keyspace k = a_keyspace(16, "orders", "o:", 2, 2);
    k.maxops = 50;
    put_all(node.map, &k, 3, 1);
    struct map_partition moving = map_found(&k, 1, 3, 3, 0);
    moving.wish = 5;
    moving.held = 7;
    moving.epoch = 2;
    put_partition(node.map, &moving);
    others[1].hint = (struct leader_hint){ .term = 1, .leader = 1 };
    me->version = 3;
    const char *head = "$2\r\nid\r\n:16\r\n$4\r\nname\r\n$6\r\norders\r\n"
                       "$8\r\nstrategy\r\n$4\r\nraft\r\n$8\r\nreplicas\r\n:3\r\n"
                       "$10\r\npartitions\r\n:2\r\n$6\r\nprefix\r\n$2\r\no:\r\n"
                       "$5\r\nstate\r\n$6\r\nin use\r\n";
    CHECK_HAS("keyspace list", head);
    CHECK_HAS("keyspace info orders", "$6\r\nmaxops\r\n:50\r\n");
    CHECK_HAS("keyspace info orders",
              "$9\r\nplacement\r\n*2\r\n"
              "%8\r\n$9\r\npartition\r\n:0\r\n$5\r\ngroup\r\n:2\r\n"
              "$5\r\nslots\r\n$6\r\n0-8191\r\n$5\r\nnodes\r\n$3\r\n1,2\r\n"
              "$7\r\nprefers\r\n:2\r\n$6\r\nleader\r\n:0\r\n"
              "$5\r\nepoch\r\n:1\r\n$5\r\nstate\r\n$7\r\nsettled\r\n"
              "%8\r\n$9\r\npartition\r\n:1\r\n$5\r\ngroup\r\n:3\r\n"
              "$5\r\nslots\r\n$10\r\n8192-16383\r\n$5\r\nnodes\r\n$3\r\n1,3\r\n"
              "$7\r\nprefers\r\n:1\r\n$6\r\nleader\r\n:2\r\n"
              "$5\r\nepoch\r\n:2\r\n$5\r\nstate\r\n$6\r\nmoving\r\n");
    k.state = KEYSPACE_DROPPING;
    put_keyspace(node.map, &k);
    CHECK_HAS("keyspace list", "$5\r\nstate\r\n$8\r\ndropping\r\n");
    map_reset(node.map);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_every_local_command_has_a_handler, fresh),
        cmocka_unit_test_setup(test_unknown_commands, fresh),
        cmocka_unit_test_setup(test_unknown_commands_are_cut, fresh),
        cmocka_unit_test_setup(test_ping_echo_time, fresh),
        cmocka_unit_test_setup(test_select, fresh),
        cmocka_unit_test_setup(test_hello, fresh),
        cmocka_unit_test_setup(test_auth, fresh),
        cmocka_unit_test_setup(test_reset_and_quit, fresh),
        cmocka_unit_test_setup(test_client_names, fresh),
        cmocka_unit_test_setup(test_client_list, fresh),
        cmocka_unit_test_setup(test_client_kill, fresh),
        cmocka_unit_test_setup(test_client_switches, fresh),
        cmocka_unit_test_setup(test_command_info, fresh),
        cmocka_unit_test_setup(test_command_whole_table, fresh),
        cmocka_unit_test_setup(test_command_docs_arguments, fresh),
        cmocka_unit_test_setup(test_syntax_agrees_with_keys, fresh),
        cmocka_unit_test_setup(test_command_getkeys, fresh),
        cmocka_unit_test_setup(test_config_get, fresh),
        cmocka_unit_test_setup(test_names_are_bounded, fresh),
        cmocka_unit_test_setup(test_config_set, fresh),
        cmocka_unit_test_setup(test_role, fresh),
        cmocka_unit_test_setup(test_info, fresh),
        cmocka_unit_test_setup(test_shutdown, fresh),
        cmocka_unit_test_setup(test_help, fresh),
        cmocka_unit_test_setup(test_keyspaces, fresh),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
