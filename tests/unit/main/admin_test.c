/* quorate admin: what each action says to the server, and what it makes of the answers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "main/main.h"
#include "talk_played.h"

static const char *out, *err;

/* The exit code of "quorate admin" with these words. */
static int admin(const char *words)
{
    char copy[1024], *argv[128] = { "admin" };
    int argc = 1;
    (void)snprintf(copy, sizeof copy, "%s", words);
    for (char *w = strtok(copy, " "); w != NULL; w = strtok(NULL, " ")) {
        argv[argc++] = w;
    }
    played_asked[0] = 0;
    gather_begin();
    int code = admin_main(argc, argv);
    gather_end(&out, &err);
    return code;
}

static int begin(void **state)
{
    (void)state;
    unsetenv("REDISCLI_AUTH");
    return 0;
}

/* --- What is said ---------------------------------------------------------------------------- */

static void test_each_action_says_its_command(void **state)
{
    (void)state;
    static const struct {
        const char *words, *line;
    } rows[] = {
        { "keyspace create a", "KEYSPACE CREATE a STRATEGY raft" },
        { "keyspace create a REPLICAS 5", "KEYSPACE CREATE a REPLICAS 5 STRATEGY raft" },
        { "keyspace create a strategy raft ID 20", "KEYSPACE CREATE a strategy raft ID 20" },
        { "keyspace create strategy", "KEYSPACE CREATE strategy STRATEGY raft" },
        { "keyspace alter a MAXOPS 5", "KEYSPACE ALTER a MAXOPS 5" },
        { "keyspace drop a", "KEYSPACE DROP a" },
        { "keyspace drop a FORCE", "KEYSPACE DROP a FORCE" },
        { "keyspace list", "KEYSPACE LIST" },
        { "keyspace info a", "KEYSPACE INFO a" },
        { "keyspace stats a", "KEYSPACE STATS a" },
        { "keyspace lag a", "KEYSPACE LAG a" },
        { "keyspace explain a", "KEYSPACE EXPLAIN a" },
        { "member list", "MEMBER LIST" },
        { "member add 4 10.0.0.1:7004", "MEMBER ADD 4 10.0.0.1:7004" },
        { "member remove 4", "MEMBER REMOVE 4" },
        { "member drain 4", "MEMBER DRAIN 4" },
        { "member drain 4 cancel", "MEMBER DRAIN 4 cancel" },
        { "member promote 4", "MEMBER PROMOTE 4" },
        { "member demote 4", "MEMBER DEMOTE 4" },
        { "member set 4 zone b", "MEMBER SET 4 zone b" },
        { "rebalance", "REBALANCE" },
        { "rebalance dryrun", "REBALANCE dryrun" },
        { "rebalance rate 5mb", "REBALANCE rate 5mb" },
        { "failover", "FAILOVER" },
        { "failover to 10.0.0.1 7001", "FAILOVER to 10.0.0.1 7001" },
        { "upgrade status", "CLUSTER UPGRADE STATUS" },
        { "upgrade finalize", "CLUSTER UPGRADE FINALIZE" },
        { "alarm list", "ALARM LIST" },
        { "alarm ack 1-2", "ALARM ACK 1-2" },
        { "MEMBER List", "MEMBER LIST" },
    };
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        static struct played answers[2];
        answers[0] = (struct played){ 6379, rows[i].line, "+OK" };
        played = answers;
        assert_int_equal(admin(rows[i].words), 0);
        assert_string_equal(played_asked, rows[i].line);
        assert_string_equal(out, "OK\n");
        assert_string_equal(err, "");
    }
}

static void test_whom_it_asks(void **state)
{
    (void)state;
    static const struct played answers[] = { { 7002, "MEMBER LIST", "[ ]" }, { 0 } };
    played = answers;
    assert_int_equal(admin("-h ::1 --port 7002 --user ann -a pw --timeout 5 member list"), 0);
    assert_string_equal(played_where.host, "::1");
    assert_string_equal(played_where.user, "ann");
    assert_string_equal(played_where.password, "pw");
    assert_int_equal(played_where.timeout_ms, 5000);
    assert_string_equal(out, "none\n");
    setenv("REDISCLI_AUTH", "of the environment", 1);
    assert_int_equal(admin("-p 7002 member list"), 0);
    assert_string_equal(played_where.password, "of the environment");
    assert_int_equal(admin("-p 7002 -a pw member list"), 0);
    assert_string_equal(played_where.password, "pw"); /* what is said counts more */
    assert_int_equal(admin("-p 7002 member list"), 0);
    assert_string_equal(played_where.host, "127.0.0.1");
    assert_null(played_where.user);
    assert_int_equal(played_where.timeout_ms, 30000);
}

/* --- What is answered ------------------------------------------------------------------------ */

static void test_tables_and_documents(void **state)
{
    (void)state;
    static const struct played answers[] = { { 6379, "MEMBER LIST",
                                               "[ [ id 1 role voter ] [ id 10 role learner ] ]" },
                                             { 6379, "REBALANCE STATUS", "[ under^way 0 rate 5 ]" },
                                             { 0 } };
    played = answers;
    assert_int_equal(admin("member list"), 0);
    assert_string_equal(out, "id  role\n 1  voter\n10  learner\n");
    assert_int_equal(admin("--json member list"), 0);
    assert_string_equal(out, "[{\"id\": 1, \"role\": \"voter\"}, {\"id\": 10, \"role\": "
                             "\"learner\"}]\n");
    assert_int_equal(admin("rebalance STATUS"), 0);
    assert_string_equal(out, "under way       0\nrate            5\n");
}

/* KEYSPACE LAG: the replicas of each partition, a row for each. */
static void test_a_table_within_each_row_becomes_rows(void **state)
{
    (void)state;
    static const struct played answers[] = {
        { 6379, "KEYSPACE LAG a",
          "[ [ partition 0 leader 1 replicas [ [ node 2 lag 0 ] [ node 3 lag 12 ] ] ] "
          "[ partition 1 leader 0 replicas [ ] ] "
          "[ partition 2 leader 3 replicas [ [ node 1 lag 4 ] ] ] ]" },
        { 6379, "KEYSPACE LAG b", "[ [ partition 0 replicas [ ] ] ]" },
        { 6379, "KEYSPACE LAG c",
          "[ [ partition 0 replicas [ [ node 2 lag 0 ] ] ] "
          "[ partition 1 replicas [ [ node 2 age 0 ] ] ] ]" },
        { 0 }
    };
    played = answers;
    assert_int_equal(admin("keyspace lag a"), 0);
    assert_string_equal(out, "partition  leader  node  lag\n"
                             "        0       1     2    0\n"
                             "        0       1     3   12\n"
                             "        1       0\n"
                             "        2       3     1    4\n");
    assert_int_equal(admin("keyspace lag b"), 0);
    assert_string_equal(out, "partition       0\nreplicas        none\n");
    assert_int_equal(admin("keyspace lag c"), 0); /* other names: no table for both */
    assert_non_null(strstr(out, "node  age\n"));
}

static void test_the_exit_code_tells_what_went_wrong(void **state)
{
    (void)state;
    static const struct played answers[] = { { 6379, "MEMBER REMOVE 9", "-ERR there is no node 9" },
                                             { 6379, "REBALANCE", NULL },
                                             { 0 } };
    played = answers;
    assert_int_equal(admin("member remove 9"), 1);
    assert_string_equal(out, "");
    assert_string_equal(err, "ERR there is no node 9\n");
    assert_int_equal(admin("--json member remove 9"), 1);
    assert_string_equal(out, "");
    assert_int_equal(admin("rebalance"), 3);
    assert_string_equal(err, "quorate admin: 127.0.0.1:6379: it hung up\n");
    assert_int_equal(admin("-p 1 rebalance"), 3);
    assert_string_equal(err, "quorate admin: 127.0.0.1:1: Connection refused\n");
}

static void test_bad_usage_says_nothing_to_the_server(void **state)
{
    (void)state;
    static const struct {
        const char *words, *why;
    } rows[] = {
        { "", "an action is missing" },
        { "frob", "there is no action 'frob'; see quorate admin --help" },
        { "keyspace", "there is no action 'keyspace'; see" },
        { "keyspace frob", "there is no action 'keyspace frob'; see" },
        { "keyspaces list", "there is no action 'keyspaces list'; see" },
        { "keyspace create", "'keyspace create' wants more" },
        { "keyspace alter a MAXOPS", "'keyspace alter' wants more" },
        { "keyspace drop", "'keyspace drop' wants more" },
        { "keyspace info", "'keyspace info' wants more" },
        { "keyspace stats", "'keyspace stats' wants more" },
        { "keyspace lag", "'keyspace lag' wants more" },
        { "keyspace explain", "'keyspace explain' wants more" },
        { "member add 4", "'member add' wants more" },
        { "member remove", "'member remove' wants more" },
        { "member drain", "'member drain' wants more" },
        { "member promote", "'member promote' wants more" },
        { "member demote", "'member demote' wants more" },
        { "member set 4 zone", "'member set' wants more" },
        { "alarm ack", "'alarm ack' wants more" },
        { "--watch member list", "'--watch'" },
        { "-p 0 member list", "-p wants a number from 1 to 65535" },
        { "-p 7x member list", "-p wants a number" },
        { "--timeout 86401 member list", "--timeout wants a number from 1 to 86400" },
        { "--frob 1 member list", "unknown option '--frob'" },
        { "-a", "'-a' is unknown or wants a value" },
    };
    static const struct played none[] = { { 0 } };
    played = none;
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        assert_int_equal(admin(rows[i].words), 2);
        assert_string_equal(out, "");
        assert_string_equal(played_asked, "");
        if (strstr(err, rows[i].why) == NULL || strncmp(err, "quorate admin: ", 15) != 0) {
            fail_msg("'%s': %s", rows[i].words, err);
        }
    }
}

static void test_too_many_words(void **state)
{
    (void)state;
    char words[512] = "rebalance";
    for (int i = 0; i < TALK_WORDS_MAX; i++) {
        strcat(words, " x");
    }
    assert_int_equal(admin(words), 2);
    assert_string_equal(err, "quorate admin: too many words\n");
}

#define TEST(f) cmocka_unit_test_setup(f, begin)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_each_action_says_its_command),
        TEST(test_whom_it_asks),
        TEST(test_tables_and_documents),
        TEST(test_a_table_within_each_row_becomes_rows),
        TEST(test_the_exit_code_tells_what_went_wrong),
        TEST(test_bad_usage_says_nothing_to_the_server),
        TEST(test_too_many_words),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
