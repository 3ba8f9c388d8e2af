/* What quorate status makes of the answers of nodes: the screen and the document, byte by byte. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "main/main.h"
#include "main/status.h"
#include "talk_played.h"

/* --- A cluster of four ------------------------------------------------------------------------ */

#define INFO_1(leader, cpu, time)                                                              \
    "#quorate_version:0.1.0\r\nraft_node_id:1\r\nraft_leader_id:" leader "\r\nraft_term:7\r\n" \
    "raft_commit:120\r\nraft_applied:119\r\nraft_can_serve:0\r\ncluster_level:2\r\n"           \
    "raft_member0:id=1,addr=127.0.0.1,port=7001,role=voter,state=self\r\n"                     \
    "raft_member1:id=2,addr=127.0.0.1,port=7002,role=voter,state=connected,lag=0\r\n"          \
    "raft_member2:id=3,addr=127.0.0.1,port=7003,role=voter,state=away,lag=1234\r\n"            \
    "raft_member4:id=5,addr=::1,port=7005,role=learner,state=connected,lag=0\r\n"              \
    "used_cpu_sys:" cpu "\r\nused_cpu_user:" cpu "\r\nserver_time_usec:" time "\r\n"           \
    "used_memory_rss:10485760\r\nloop_stall_max_usec:250000\r\ndisk_free_bytes:3221225472\r\n" \
    "log_space_low:0\r\nlease_held:1\r\n"
#define INFO_OTHER(id)                                                                           \
    "#quorate_version:0.1.1\r\nraft_node_id:" id "\r\nused_cpu_sys:0\r\nused_cpu_user:0\r\n"     \
    "server_time_usec:1700000000000000\r\nused_memory_rss:1024\r\nloop_stall_max_usec:99000\r\n" \
    "disk_free_bytes:0\r\nlog_space_low:1\r\nlease_held:0\r\n"

#define TIME_1 "1700000000000000" /* 22:13:20 */
#define TIME_2 "1700000001000000"

static const struct played healthy[] = {
    { 7001, "INFO everything", INFO_1("2", "10.0", TIME_1) },
    { 7001, "CONFIG GET cluster-id", "[ cluster-id abcdef0123456789abcdef0123456789 ]" },
    { 7001, "ALARM LIST", "[ ]" },
    { 7001, "MEMBER LIST",
      "[ [ id 1 zone ~ draining no ] [ id 2 zone b draining no ] [ id 3 zone b draining yes ] "
      "[ id 5 zone ~ draining no ] ]" },
    { 7001, "KEYSPACE LIST",
      "[ [ id 0 name default strategy raft replicas 3 partitions 1 prefix ~ state in^use ] "
      "[ id 16 name users strategy raft replicas 3 partitions 4 prefix u: state dropped ] ]" },
    { 7001, "KEYSPACE INFO users",
      "[ maxmemory 1073741824 maxops 5000 placement [ "
      "[ partition 0 group 2 slots 0-4095 nodes 1,2,5 leader 1 state settled ] "
      "[ partition 1 group 3 slots 4096-8191 nodes 1,2,3 leader 3 state moving ] "
      "[ partition 2 group 4 slots 8192-12287 nodes 1,2,3 leader 2 state moving ] "
      "[ partition 3 group 5 slots 12288-16383 nodes 1,3,4 leader 1 state settled ] ] ]" },
    { 7001, "KEYSPACE STATS default",
      "[ keys 12 bytes 2048 ops_per_sec 0 worst_lag 0 worst_partition -1 worst_node 0 ]" },
    { 7001, "KEYSPACE STATS users",
      "[ keys 1234567 bytes 5242880 ops_per_sec 4321 worst_lag 77 worst_partition 3 worst_node 5 "
      "]" },
    { 7001, "REBALANCE STATUS",
      "[ balancing yes rate 1048576 under_way 1 left 2 stuck 3 bytes_left 3145728 "
      "bytes_per_second 524288 moves [ [ keyspace users partition 2 from 1,2,3 to 1,2,5 percent 40 "
      "bytes_left 3145728 entries_left 1500 ] ] ]" },
    { 7002, "INFO everything", INFO_OTHER("2") },
    { 7005, "INFO everything", INFO_OTHER("4") }, /* it is somebody else */
    { 0 },
};

static struct played rows[ARRAY_COUNT(healthy)];

static struct played *row_of(const char *line)
{
    for (struct played *p = rows; p->port != 0; p++) {
        if (strcmp(p->line, line) == 0) {
            return p;
        }
    }
    fail();
    return NULL;
}

/* Of the first of the nodes. */
static void answer(const char *line, const char *reply)
{
    row_of(line)->reply = reply;
}

/* Who asks that fails. */
static void never(const char *line)
{
    row_of(line)->line = "";
}

static int begin(void **state)
{
    (void)state;
    setenv("TZ", "UTC", 1);
    unsetenv("REDISCLI_AUTH");
    memcpy(rows, healthy, sizeof healthy);
    played = rows;
    return 0;
}

static struct asking asking = { .where = { .host = "127.0.0.1",
                                           .port = 7001,
                                           .user = "ann",
                                           .password = "pw",
                                           .timeout_ms = 2000 } };
static char *text;
static size_t bytes;

static int end(void **state)
{
    (void)state;
    free(text);
    text = NULL;
    return 0;
}

enum form { SCREEN, DOCUMENT };

static const char *print(const struct status *s, enum form form)
{
    free(text);
    text = NULL;
    FILE *out = open_memstream(&text, &bytes);
    if (form == DOCUMENT) {
        status_json(s, out);
    } else {
        status_print(s, "there:7001", 120, out);
    }
    (void)fclose(out);
    return text;
}

/* One look; whether the node could be asked is to be so. */
static const char *look(bool good, enum form form)
{
    struct status *s = calloc(1, sizeof *s);
    assert_int_equal(status_gather(s, NULL, &asking), good);
    print(s, form);
    status_free(s);
    free(s);
    return text;
}

/* A second one, a second behind the first. */
static const char *look_twice(enum form form)
{
    struct status *before = calloc(1, sizeof *before), *s = calloc(1, sizeof *s);
    assert_true(status_gather(before, NULL, &asking));
    answer("INFO everything", INFO_1("2", "10.25", TIME_2));
    assert_true(status_gather(s, before, &asking));
    print(s, form);
    status_free(before);
    status_free(s);
    free(before);
    free(s);
    return text;
}

#define SAYS(found, part)                                   \
    do {                                                    \
        const char *whole = (found);                        \
        if (strstr(whole, (part)) == NULL) {                \
            fail_msg("'%s' is not in:\n%s", (part), whole); \
        }                                                   \
    } while (0)

/* --- What is shown ---------------------------------------------------------------------------- */

static void test_the_screen(void **state)
{
    (void)state;
    assert_string_equal(
        look_twice(SCREEN),
        "cluster abcdef01: 4 nodes, 2 keyspaces, 5 partitions, level 2; 22:13:21\n"
        "as node 1 sees it (there:7001): node 2 leads in term 7\n"
        "\n"
        "node  address         state           zone  leads  holds     cpu   memory     fr"
        "ee   stall    lag\n"
        "   1  127.0.0.1:7001  up                        2      5  50.0 %   10 MiB  3.0 G"
        "iB  250 ms\n"
        "  2*  127.0.0.1:7002  up, no lease    b         2      4          1.0 KiB\n"
        "   3  127.0.0.1:7003  away, draining  b         0      4                        "
        "            1,234\n"
        "   5  [::1]:7005      up, learner               0      2\n"
        "\n"
        "id  keyspace  replicas  partitions       keys    bytes  ops/s  lag  quota       "
        "      prefix  state\n"
        " 0  default          3           1         12  2.0 KiB      0\n"
        "16  users            3           4  1,234,567  5.0 MiB  4,321   77  1.0 GiB, 5,0"
        "00/s  u:      dropped\n"
        "\n"
        "alarms: none\n"
        "moves: 1 under way, 2 to begin, 3.0 MiB left at 512 KiB/s (rate 1.0 MiB/s)\n"
        "moves with nowhere to go: 3\n"
        "keyspace  partition  from   to     done     left  entries\n"
        "users             2  1,2,3  1,2,5  40 %  3.0 MiB    1,500\n"
        "partitions of 5: no leader 1, replica away 4, moving 2\n"
        "keyspace  partition  group  slots        nodes  leader  why\n"
        "users             1      3  4096-8191    1,2,3       -  no leader, moving\n"
        "users             2      4  8192-12287   1,2,3       2  moving, a replica away\n"
        "users             3      5  12288-16383  1,3,4       1  replicas away\n");
}

static void test_the_document(void **state)
{
    (void)state;
    assert_string_equal(
        look_twice(DOCUMENT),
        "{\"cluster\": \"abcdef0123456789abcdef0123456789\", \"version\": \"0.1.0\", "
        "\"level\": 2, \"asked\": 1, \"leader\": 2, \"term\": 7, \"commit\": 120, "
        "\"applied\": 119, \"leader_serves\": true, \"nodes\": [{\"id\": 1, "
        "\"address\": \"127.0.0.1:7001\", \"role\": \"voter\", \"state\": \"up\", "
        "\"zone\": \"\", \"draining\": false, \"leads_group_0\": false, \"partitions\": 5, "
        "\"leaders\": 2, \"lag\": 0, \"answered\": true, \"version\": \"0.1.0\", "
        "\"lease_held\": true, \"memory_bytes\": 10485760, \"stall_max_usec\": 250000, "
        "\"disk_free_bytes\": 3221225472, \"disk_low\": false, \"cpu\": 0.5000}, {\"id\": 2, "
        "\"address\": \"127.0.0.1:7002\", \"role\": \"voter\", \"state\": \"up\", "
        "\"zone\": \"b\", \"draining\": false, \"leads_group_0\": true, \"partitions\": 4, "
        "\"leaders\": 2, \"lag\": 0, \"answered\": true, \"version\": \"0.1.1\", "
        "\"lease_held\": false, \"memory_bytes\": 1024, \"stall_max_usec\": 99000, "
        "\"disk_free_bytes\": 0, \"disk_low\": true}, {\"id\": 3, "
        "\"address\": \"127.0.0.1:7003\", \"role\": \"voter\", \"state\": \"away\", "
        "\"zone\": \"b\", \"draining\": true, \"leads_group_0\": false, \"partitions\": 4, "
        "\"leaders\": 0, \"lag\": 1234, \"answered\": false}, {\"id\": 5, "
        "\"address\": \"[::1]:7005\", \"role\": \"learner\", \"state\": \"up\", "
        "\"zone\": \"\", \"draining\": false, \"leads_group_0\": false, \"partitions\": 2, "
        "\"leaders\": 0, \"lag\": 0, \"answered\": false}], \"keyspaces\": [{\"id\": 0, "
        "\"name\": \"default\", \"strategy\": \"raft\", \"replicas\": 3, \"partitions\": 1, "
        "\"prefix\": \"\", \"state\": \"in use\", \"maxmemory\": 0, \"maxops\": 0, "
        "\"keys\": 12, \"bytes\": 2048, \"ops_per_second\": 0, \"worst_lag\": 0, "
        "\"worst_partition\": -1, \"worst_node\": 0}, {\"id\": 16, \"name\": \"users\", "
        "\"strategy\": \"raft\", \"replicas\": 3, \"partitions\": 4, \"prefix\": \"u:\", "
        "\"state\": \"dropped\", \"maxmemory\": 1073741824, \"maxops\": 5000, "
        "\"keys\": 1234567, \"bytes\": 5242880, \"ops_per_second\": 4321, \"worst_lag\": 77, "
        "\"worst_partition\": 3, \"worst_node\": 5}], \"partitions\": {\"count\": 5, "
        "\"without_leader\": 1, \"with_replica_away\": 4, \"moving\": 2, "
        "\"listed\": [{\"keyspace\": \"users\", \"partition\": 1, \"group\": 3, "
        "\"slots\": \"4096-8191\", \"nodes\": \"1,2,3\", \"leader\": 0, \"why\": \"no leader, "
        "moving\"}, {\"keyspace\": \"users\", \"partition\": 2, \"group\": 4, "
        "\"slots\": \"8192-12287\", \"nodes\": \"1,2,3\", \"leader\": 2, \"why\": \"moving, "
        "a replica away\"}, {\"keyspace\": \"users\", \"partition\": 3, \"group\": 5, "
        "\"slots\": \"12288-16383\", \"nodes\": \"1,3,4\", \"leader\": 1, "
        "\"why\": \"replicas away\"}]}, \"alarm_count\": 0, \"alarms\": [], "
        "\"moves\": {\"balancing\": true, \"under_way\": 1, \"left\": 2, \"stuck\": 3, "
        "\"rate\": 1048576, \"bytes_left\": 3145728, \"bytes_per_second\": 524288, "
        "\"listed\": [{\"keyspace\": \"users\", \"partition\": 2, \"from\": \"1,2,3\", "
        "\"to\": \"1,2,5\", \"percent\": 40, \"bytes_left\": 3145728, \"entries_left\": 1500}]}, "
        "\"notes\": []}\n");
}

static void test_nothing_is_the_matter(void **state)
{
    (void)state;
    answer("MEMBER LIST", "[ ]");
    answer("KEYSPACE LIST",
           "[ [ id 0 name default strategy raft replicas 3 partitions 1 prefix ~ state in^use ] ]");
    answer("REBALANCE STATUS",
           "[ balancing no rate 0 under_way 0 left 0 stuck 0 bytes_left 0 bytes_per_second 0 "
           "moves [ ] ]");
    answer("INFO everything",
           "#quorate_version:0.1.0\r\nraft_node_id:1\r\nraft_leader_id:1\r\nraft_term:7\r\n"
           "raft_can_serve:0\r\nserver_time_usec:" TIME_1 "\r\n"
           "raft_member0:id=1,addr=127.0.0.1,port=7001,role=voter,state=self\r\n");
    const char *found = look(true, SCREEN);
    assert_string_equal(found,
                        "cluster abcdef01: 1 node, 1 keyspace, 1 partition; 22:13:20\n"
                        "as node 1 sees it (there:7001): node 1 leads in term 7, not serving yet\n"
                        "\n"
                        "node  address         state         leads  holds  memory\n"
                        "  1*  127.0.0.1:7001  up, no lease      1      1     0 B\n"
                        "\n"
                        "id  keyspace  replicas  partitions  keys    bytes  ops/s\n"
                        " 0  default          3           1    12  2.0 KiB      0\n"
                        "\n"
                        "alarms: none\n"
                        "partitions: 1 healthy\n");
    SAYS(look(true, DOCUMENT), "\"leader_serves\": false");
    SAYS(text, "\"moves\": {\"balancing\": false, ");
}

static void test_a_node_on_its_way_out(void **state)
{
    (void)state;
    answer("INFO everything",
           "#quorate_version:0.1.0\r\nraft_node_id:1\r\nraft_leader_id:1\r\nlease_held:1\r\n"
           "raft_member0:id=1,addr=a,port=1,role=observer,state=self\r\n"
           "raft_member1:id=2,addr=127.0.0.1,port=7002,role=none,state=connected\r\n");
    const char *found = look(true, SCREEN);
    SAYS(found, "  up, observer ");
    SAYS(found, "  up, leaving, no lease ");
}

static void test_alarms(void **state)
{
    (void)state;
    answer("ALARM LIST",
           "[ [ id 9-1 alarm disk-low node 2 since 1699999990000 until 0 text 1^GB^left ] "
           "[ id 2-7 alarm odd node 3 since 1699994600000 until 1699999999000 text \033[2J ] "
           "[ id 2-8 alarm old node 3 since 1699992800000 until 0 text ~ ] ]");
    SAYS(look(true, SCREEN), "\nalarms: 3\n"
                             "alarm       node     for  id   text\n"
                             "disk-low       2    10 s  9-1  1 GB left\n"
                             "odd (over)     3  90 min  2-7  ?[2J\n"
                             "old            3     2 h  2-8\n");
    SAYS(look(true, DOCUMENT),
         "\"alarm_count\": 3, \"alarms\": [{\"id\": \"9-1\", \"alarm\": \"disk-low\", \"node\": 2, "
         "\"since\": 1699999990000, \"until\": 0, \"text\": \"1 GB left\"}, ");
}

/* A list of so many elements, each of which ends with its number. */
static char *list_of(int count, const char *head, const char *element, const char *tail)
{
    char *list = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&list, &size);
    (void)fputs(head, out);
    for (int i = 0; i < count; i++) {
        (void)fprintf(out, "%s%d ] ", element, i);
    }
    (void)fputs(tail, out);
    (void)fclose(out);
    return list;
}

static uint32_t count_of(const char *whole, const char *part)
{
    uint32_t count = 0;
    for (const char *at = strstr(whole, part); at != NULL; at = strstr(at + 1, part)) {
        count++;
    }
    return count;
}

/* What is not named is counted, and said to be more. */
static void test_more_alarms_and_partitions_than_are_named(void **state)
{
    (void)state;
    char *exact = list_of(STATUS_LISTED_MAX, "[ ", "[ alarm odd node 3 id ", "]");
    char *more = list_of(STATUS_LISTED_MAX + 1, "[ ", "[ alarm odd node 3 id ", "]");
    char *sick =
        list_of(STATUS_LISTED_MAX + 1, "[ maxmemory 0 maxops 0 placement [ ",
                "[ group 2 slots 0-0 nodes 1,2,3 leader 3 state settled partition ", "] ]");
    answer("ALARM LIST", exact);
    SAYS(look(true, SCREEN), "\nalarms: 20\n");
    assert_int_equal(count_of(text, "\nodd "), STATUS_LISTED_MAX);
    answer("ALARM LIST", more);
    answer("KEYSPACE INFO users", sick);
    never("REBALANCE STATUS");
    answer("INFO everything", INFO_1("0", "10.0", TIME_1));
    SAYS(look(true, SCREEN), "\nalarms: 21, the oldest of them\n");
    assert_int_equal(count_of(text, "\nodd "), STATUS_LISTED_MAX);
    SAYS(text, "no leader 22, replica away 22, moving 0\nthe first of them:\nkeyspace ");
    assert_int_equal(count_of(text, "\nusers  "), STATUS_LISTED_MAX - 1); /* and keyspace 0 */
    SAYS(look(true, DOCUMENT), "\"alarm_count\": 21, ");
    assert_int_equal(count_of(text, "\"alarm\": \"odd\""), STATUS_LISTED_MAX);
    free(exact);
    free(more);
    free(sick);
}

/* All are up and led: that one moves is to be seen all the same. */
static void test_moves_alone(void **state)
{
    (void)state;
    answer("INFO everything",
           "#quorate_version:0.1.0\r\nraft_node_id:1\r\nraft_leader_id:1\r\nlease_held:1\r\n"
           "raft_member0:id=1,addr=a,port=1,role=voter,state=self\r\n");
    answer("KEYSPACE INFO users",
           "[ maxmemory 0 maxops 0 placement [ "
           "[ partition 0 group 2 slots 0-4095 nodes 1 leader 1 state moving ] ] ]");
    SAYS(look(true, SCREEN), "partitions of 5: no leader 0, replica away 0, moving 1\n");
}

/* One that is asked and does not lead hears from the leader how far the others are behind. */
static void test_the_leaders_word_of_lag(void **state)
{
    (void)state;
    answer("MEMBER LIST", "[ [ id 1 lag 0 ] [ id 2 lag 17 ] [ id 3 lag -1 ] ]");
    SAYS(look(true, DOCUMENT), "\"leaders\": 2, \"lag\": 17, ");
    SAYS(text, "\"leaders\": 0, \"lag\": 1234, ");
}

/* Not by how it begins: member 10 is not member 1. */
static void test_a_row_is_found_by_its_whole_name(void **state)
{
    (void)state;
    answer("INFO everything",
           "#quorate_version:0.1.0\r\nraft_node_id:1\r\nraft_leader_id:1\r\nlease_held:1\r\n"
           "used_cpu_sys_children:50\r\nraft_member0:id=1,addr=a,port=1,role=voter,state=self\r\n"
           "raft_member10:id=11,addr=b,port=1,role=voter,state=away\r\n");
    SAYS(look(true, SCREEN), "cluster abcdef01: 2 nodes, ");
}

/* A drain moves too, and what it leaves has to be told. */
static void test_moves_without_a_rebalance(void **state)
{
    (void)state;
    answer("REBALANCE STATUS",
           "[ balancing no rate 0 under_way 0 left 0 stuck 2 bytes_left 0 bytes_per_second 0 "
           "moves [ ] ]");
    SAYS(look(true, SCREEN), "moves: 0 under way, 0 to begin, 0 B left at 0 B/s\n"
                             "moves with nowhere to go: 2\n"
                             "partitions of 5");
}

/* Nobody leads group 0: what only its leader knows is not asked for. */
static void test_without_a_leader(void **state)
{
    (void)state;
    answer("INFO everything", INFO_1("0", "10.0", TIME_1));
    never("KEYSPACE STATS default");
    never("KEYSPACE STATS users");
    never("REBALANCE STATUS");
    assert_string_equal(
        look(true, SCREEN),
        "cluster abcdef01: 4 nodes, 2 keyspaces, 5 partitions, level 2; 22:13:20\n"
        "as node 1 sees it (there:7001): NO LEADER of group 0\n"
        "\n"
        "node  address         state           zone  leads  holds   memory     free   sta"
        "ll    lag\n"
        "   1  127.0.0.1:7001  up                        2      5   10 MiB  3.0 GiB  250 ms\n"
        "   2  127.0.0.1:7002  up, no lease    b         1      4  1.0 KiB\n"
        "   3  127.0.0.1:7003  away, draining  b         0      4                        "
        "    1,234\n"
        "   5  [::1]:7005      up, learner               0      2\n"
        "\n"
        "id  keyspace  replicas  partitions  quota             prefix  state\n"
        " 0  default          3           1\n"
        "16  users            3           4  1.0 GiB, 5,000/s  u:      dropped\n"
        "\n"
        "alarms: none\n"
        "partitions of 5: no leader 2, replica away 4, moving 2\n"
        "keyspace  partition  group  slots        nodes    leader  why\n"
        "default           0      0  0-16383      1,2,3,5       -  no leader\n"
        "users             1      3  4096-8191    1,2,3         -  no leader, moving\n"
        "users             2      4  8192-12287   1,2,3         2  moving, a replica away\n"
        "users             3      5  12288-16383  1,3,4         1  replicas away\n");
    SAYS(look(true, DOCUMENT), "\"leader\": 0, \"term\": 7, ");
    SAYS(text, "\"leader_serves\": false");
    SAYS(text, "\"moves\": {}, ");
    SAYS(text, "\"maxmemory\": 0, \"maxops\": 0}, {"); /* and no figures are made up */
}

/* --- What cannot be had ----------------------------------------------------------------------- */

static void test_what_is_refused_is_noted_and_the_rest_is_shown(void **state)
{
    (void)state;
    answer("ALARM LIST", "-ERR no alarms today");
    answer("KEYSPACE INFO users", "-LOADING it begins");
    answer("REBALANCE STATUS", NULL);
    const char *found = look(true, SCREEN);
    SAYS(found, "alarms: none\n"
                "partitions of 5: no leader 0, replica away 1, moving 0\n"
                "(ALARM LIST: ERR no alarms today)\n"
                "(KEYSPACE INFO users: LOADING it begins)\n"
                "(REBALANCE STATUS: it hung up)\n");
    SAYS(look(true, DOCUMENT),
         "\"moves\": {}, \"notes\": [\"ALARM LIST: ERR no alarms today\", \"KEYSPACE "
         "INFO users: LOADING it begins\", \"REBALANCE STATUS: it hung up\"]}\n");
}

/* One refusal of figures is the same for all; one of a placement is of that keyspace alone. */
static void test_how_many_refusals_are_noted(void **state)
{
    (void)state;
    answer("KEYSPACE STATS default", "-CLUSTERDOWN nobody leads");
    answer("KEYSPACE STATS users", "-CLUSTERDOWN nobody leads");
    answer("KEYSPACE LIST", "[ [ id 0 name default partitions 1 ] [ id 17 name gone partitions 1 ] "
                            "[ id 16 name users partitions 4 ] ]");
    row_of("KEYSPACE STATS default")[0] =
        (struct played){ 7001, "KEYSPACE STATS default", "-CLUSTERDOWN nobody leads" };
    row_of("CONFIG GET cluster-id")[0] =
        (struct played){ 7001, "KEYSPACE INFO gone", "-ERR no keyspace 'gone'" };
    never("KEYSPACE STATS users");
    rows[ARRAY_COUNT(healthy) - 2] = (struct played){ 7001, "CONFIG GET cluster-id", "[ ]" };
    const char *found = look(true, SCREEN);
    SAYS(found, "(KEYSPACE INFO gone: ERR no keyspace 'gone')\n");
    SAYS(found, "\nusers             3      5  12288-16383  1,3,4       1  replicas away\n");
    assert_int_equal(count_of(found, "nobody leads"), 1);
}

/* On a screen of 120 columns. */
static void test_long_refusals_are_cut(void **state)
{
    (void)state;
    char refusal[220] = "-ERR ";
    memset(refusal + 5, 'x', 200);
    answer("ALARM LIST", refusal);
    const char *note = strstr(look(true, SCREEN), "(ALARM LIST: ERR xxx");
    assert_non_null(note);
    assert_int_equal(strcspn(note, "\n"), 120);
}

static void test_who_cannot_be_asked(void **state)
{
    (void)state;
    answer("INFO everything", "#redis_version:7.0.0\r\n");
    assert_string_equal(look(false, DOCUMENT), "{\"error\": \"it is no Quorate\"}\n");
    answer("INFO everything", "-NOAUTH first");
    assert_string_equal(look(false, DOCUMENT), "{\"error\": \"NOAUTH first\"}\n");
    answer("INFO everything", NULL);
    assert_string_equal(look(false, DOCUMENT), "{\"error\": \"it hung up\"}\n");
    asking.where.port = 7009;
    assert_string_equal(look(false, DOCUMENT), "{\"error\": \"Connection refused\"}\n");
    asking.where.port = 7001;
}

/* The other nodes are asked with the same name and password, and not for long. */
static void test_how_the_others_are_asked(void **state)
{
    (void)state;
    (void)look(true, SCREEN);
    assert_int_equal(played_where.port, 7005);
    assert_string_equal(played_where.host, "::1");
    assert_string_equal(played_where.user, "ann");
    assert_string_equal(played_where.password, "pw");
    assert_in_range(played_where.timeout_ms, 1, 500);
}

/* --- The command ------------------------------------------------------------------------------ */

static int status_says(const char *words, const char **out, const char **err)
{
    char copy[256], *argv[16] = { "status" };
    int argc = 1;
    (void)snprintf(copy, sizeof copy, "%s", words);
    for (char *w = strtok(copy, " "); w != NULL; w = strtok(NULL, " ")) {
        argv[argc++] = w;
    }
    gather_begin();
    int code = status_main(argc, argv);
    gather_end(out, err);
    return code;
}

static void test_the_command(void **state)
{
    (void)state;
    const char *out, *err;
    assert_int_equal(status_says("-p 7001 --json", &out, &err), 0);
    assert_true(out[0] == '{' && err[0] == 0);
    assert_int_equal(status_says("-p 7001", &out, &err), 0);
    SAYS(out, "as node 1 sees it (127.0.0.1:7001): node 2 leads");
    assert_string_equal(err, "");
    assert_int_equal(status_says("-p 7009", &out, &err), 3);
    assert_string_equal(out, "");
    assert_string_equal(err, "quorate status: 127.0.0.1:7009: Connection refused\n");
    assert_int_equal(status_says("-p 7009 --json", &out, &err), 3);
    assert_string_equal(out, "{\"error\": \"Connection refused\"}\n");
    assert_int_equal(status_says("-p 7001 what", &out, &err), 2);
    assert_string_equal(out, "");
    SAYS(err, "'what'");
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, begin, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_the_screen),
        TEST(test_the_document),
        TEST(test_nothing_is_the_matter),
        TEST(test_a_node_on_its_way_out),
        TEST(test_alarms),
        TEST(test_more_alarms_and_partitions_than_are_named),
        TEST(test_moves_alone),
        TEST(test_the_leaders_word_of_lag),
        TEST(test_a_row_is_found_by_its_whole_name),
        TEST(test_moves_without_a_rebalance),
        TEST(test_without_a_leader),
        TEST(test_what_is_refused_is_noted_and_the_rest_is_shown),
        TEST(test_how_many_refusals_are_noted),
        TEST(test_long_refusals_are_cut),
        TEST(test_who_cannot_be_asked),
        TEST(test_how_the_others_are_asked),
        TEST(test_the_command),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
