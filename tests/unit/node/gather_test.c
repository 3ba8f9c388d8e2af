/* Commands that several partitions answer: gather.h G1 to G4. All partitions are led elsewhere, and
 * the test gives their answers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/limits.h"
#include "node/frame.h"
#include "node/gather.h"
#include "node/replica.h"
#include "router_world.h"

static int begin(void **state)
{
    (void)setup(state);
    for (uint32_t i = 0; i < MORE; i++) {
        world->replicas[i].leader = 1;
    }
    return 0;
}

static void ask(const char *line)
{
    char words[128];
    struct span argv[8];
    uint32_t argc = 0;
    struct route route = { .kind = ROUTE_ALL, .keyspace = map_keyspace(world->node.map, 16) };
    (void)snprintf(words, sizeof words, "%s", line);
    for (char *word = strtok(words, " "); word != NULL; word = strtok(NULL, " ")) {
        argv[argc++] = span_of(word, strlen(word));
    }
    const struct command_spec *container;
    gather_command(world->node.router, &world->client, &route, command_find(argv, argc, &container),
                   2, argv, argc, false, false);
    turn_later(0);
}

static void set_in(uint32_t nth, const char *key)
{
    struct span argv[3] = { SPAN_LITERAL("set"), span_of(key, strlen(key)), SPAN_LITERAL("v") };
    router_command(world->node.router, &world->more[nth], &world->client, command_by_name(argv[0]),
                   2, 0, argv, 3, false);
}

static void answer_all(const char *const *replies, uint32_t first, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        answer_from(1, first + i, STATUS_OK, replies[i]);
    }
    turn_later(0);
}

/* --- Tests ---------------------------------------------------------------------------------- */

static void test_sizes_are_added(void **state)
{
    (void)state;
    ask("dbsize");
    assert_int_equal(world->peers.count, MORE);
    answer_all((const char *const[]){ ":1\r\n", ":20\r\n", ":300\r\n", ":0\r\n" }, 0, MORE);
    assert_heard(":321\r\n");
    assert_int_equal(world->node.pending_count, 0);
}

/* It sees what its client has written before it, and nothing that comes behind. */
static void test_it_begins_when_all_ahead_is_answered_and_is_alone_G1(void **state)
{
    (void)state;
    set_in(3, "a");
    ask("dbsize");
    assert_int_equal(world->peers.count, 1);
    assert_int_equal(world->client.alone, 1); /* so its client is not read from */
    answer_from(1, 0, STATUS_OK, "+OK\r\n");
    assert_true(world->node.again);
    turn_later(0);
    assert_int_equal(world->peers.count, 1 + MORE);
    answer_all((const char *const[]){ ":1\r\n", ":1\r\n", ":1\r\n", ":1\r\n" }, 1, MORE);
    assert_heard("+OK\r\n:4\r\n");
    assert_int_equal(world->client.alone, 0);
}

static void test_keys_are_one_list(void **state)
{
    (void)state;
    ask("keys *");
    answer_all((const char *const[]){ "*1\r\n$1\r\na\r\n", "*0\r\n", "*2\r\n$1\r\nb\r\n$1\r\nc\r\n",
                                      "*0\r\n" },
               0, MORE);
    assert_heard("*3\r\n$1\r\na\r\n$1\r\nb\r\n$1\r\nc\r\n");
}

static void test_a_read_that_fails_says_where_G3(void **state)
{
    (void)state;
    ask("dbsize");
    answer_all((const char *const[]){ ":1\r\n", ":1\r\n", "-CLUSTERDOWN no leader\r\n", ":1\r\n" },
               0, MORE);
    assert_heard("-CLUSTERDOWN no leader (partition 2 of keyspace 'cart')\r\n");
}

static void test_a_flush_of_all_is_ok(void **state)
{
    (void)state;
    ask("flushall");
    answer_all((const char *const[]){ "+OK\r\n", "+OK\r\n", "+OK\r\n", "+OK\r\n" }, 0, MORE);
    assert_heard("+OK\r\n");
}

static void test_a_flush_of_some_says_so_G3(void **state)
{
    (void)state;
    ask("flushdb");
    answer_all((const char *const[]){ "+OK\r\n", "-UNCERTAIN its fate is unknown\r\n",
                                      "-CLUSTERDOWN no leader\r\n", "+OK\r\n" },
               0, MORE);
    assert_heard("-UNCERTAIN 2 of the 4 partitions of keyspace 'cart' are empty, of 1 it is not "
                 "known, the others are as they were; it can be tried again. First error: "
                 "UNCERTAIN its fate is unknown (partition 1 of keyspace 'cart')\r\n");
    ask("flushdb");
    const char *none = "-CLUSTERDOWN no leader\r\n";
    answer_all((const char *const[]){ none, none, none, none }, MORE, MORE);
    assert_heard("-CLUSTERDOWN no leader (partition 0 of keyspace 'cart')\r\n"); /* nothing was */
}

static void test_a_random_key_is_the_first_that_there_is(void **state)
{
    (void)state;
    ask("randomkey");
    answer_all((const char *const[]){ "$-1\r\n", "$-1\r\n", "$1\r\nx\r\n" }, 0, 3);
    assert_heard("$1\r\nx\r\n");
    answer_from(1, 3, STATUS_OK, "$1\r\ny\r\n"); /* nobody waits for it */
    turn_later(0);
    assert_heard("");
    ask("randomkey");
    answer_all((const char *const[]){ "$-1\r\n", "$-1\r\n", "$-1\r\n", "$-1\r\n" }, MORE, MORE);
    assert_heard("$-1\r\n");
}

static void test_a_scan_goes_from_partition_to_partition_G4(void **state)
{
    (void)state;
    ask("scan 0 count 5");
    assert_string_equal(world->peers.forwarded, "1:0 ");
    answer_all((const char *const[]){ "*2\r\n$5\r\n39500\r\n*1\r\n$1\r\na\r\n" }, 0, 1);
    assert_heard("*2\r\n$2\r\n77\r\n*1\r\n$1\r\na\r\n"); /* still in the first */
    ask("scan 77");
    answer_all((const char *const[]){ "*2\r\n$1\r\n0\r\n*0\r\n" }, 1, 1);
    assert_heard("*2\r\n$12\r\n549755813888\r\n*0\r\n"); /* 1 << 39 */
    ask("scan 1099511627783");                           /* 7 in the third */
    assert_string_equal(world->peers.forwarded, "1:0 1:39424 1:3584 ");
    answer_all((const char *const[]){ "*2\r\n$15\r\n281474976710655\r\n*0\r\n" }, 2, 1);
    assert_heard("*2\r\n$13\r\n1649267441663\r\n*0\r\n"); /* the greatest that there is */
    ask("scan 1649267441665");                            /* 1 in the last */
    answer_all((const char *const[]){ "*2\r\n$1\r\n0\r\n*0\r\n" }, 3, 1);
    assert_heard("*2\r\n$1\r\n0\r\n*0\r\n");
    ask("scan 18446744073709551615"); /* no cursor of ours: what the engine says */
    ask("scan 9223372036854775807");  /* behind the last */
    assert_int_equal(world->client.count, 2);
    answer_all((const char *const[]){ "-ERR invalid cursor\r\n" }, 4, 1);
    turn_later(0);
    assert_heard("-ERR invalid cursor (partition 0 of keyspace 'cart')\r\n"
                 "*2\r\n$1\r\n0\r\n*0\r\n");
}

static void test_a_wait_counts_the_least_of_what_was_written_to(void **state)
{
    (void)state;
    uint32_t group;
    set_in(1, "a");
    assert_int_equal(gather_written(&world->client, &group), 1);
    assert_int_equal(group, GROUP_FIRST + 1);
    set_in(3, "b");
    assert_int_equal(gather_written(&world->client, &group), 2);
    answer_from(1, 0, STATUS_OK, "+OK\r\n");
    answer_from(1, 1, STATUS_OK, "+OK\r\n");
    reply_reset(&world->out);
    ask("wait 2 1000");
    assert_int_equal(world->peers.count, 4);
    answer_all((const char *const[]){ ":2\r\n", ":1\r\n" }, 2, 2);
    assert_heard(":1\r\n");
}

/* What counts replicas shows nothing of the state, and what was refused neither: the session of its
 * client knows what it knew. */
static void test_without_a_state_there_is_no_doubt_N1(void **state)
{
    (void)state;
    static const struct {
        const char *asked, *answer;
    } cases[] = { { "wait 2 1000", ":1\r\n" },
                  { "flushall", "-THROTTLED no\r\n" },
                  { "dbsize", "-CLUSTERDOWN no leader\r\n" } };
    world->peers.version = WIRE_VERSION_LEVELS;
    world->shown.slot = 7;
    set_in(0, "a");
    set_in(1, "b");
    answer_from(1, 0, STATUS_OK, "+OK\r\n");
    answer_from(1, 1, STATUS_OK, "+OK\r\n");
    world->shown.slot = 0;
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        uint32_t first = world->peers.count;
        ask(cases[i].asked);
        for (uint32_t k = first; k < world->peers.count; k++) {
            answer_from(1, k, STATUS_OK, cases[i].answer);
        }
        turn_later(0);
        const struct strand *one = strand_of(&world->client.strands, GROUP_FIRST);
        assert_true(one->seen == 7 && !one->unsure);
    }
    uint32_t first = world->peers.count;
    ask("flushall");
    answer_all((const char *const[]){ "+OK\r\n", "+OK\r\n", "+OK\r\n", "+OK\r\n" }, first, MORE);
    assert_true(strand_of(&world->client.strands, GROUP_FIRST)->unsure); /* nobody knows how far */
    reply_reset(&world->out);
}

static void test_a_waitaof_counts_both_at_their_least(void **state)
{
    (void)state;
    set_in(1, "a");
    set_in(3, "b");
    answer_from(1, 0, STATUS_OK, "+OK\r\n");
    answer_from(1, 1, STATUS_OK, "+OK\r\n");
    reply_reset(&world->out);
    ask("waitaof 1 1 1000");
    answer_all((const char *const[]){ "*2\r\n:1\r\n:1\r\n", "*2\r\n:0\r\n:2\r\n" }, 2, 2);
    assert_heard("*2\r\n:0\r\n:1\r\n");
    ask("waitaof 1 1 1000");
    answer_all((const char *const[]){ "*2\r\n:0\r\n:2\r\n", "*3\r\n:1\r\n:1\r\n" }, 4, 2);
    assert_memory_equal(world->out.p, "-ERR an answer could not be read", 32);
    reply_reset(&world->out);
}

/* A flush is a write to all of them, by the hands of another stream; nor does what was known of the
 * last write to one say where the flush stands. */
static void test_a_wait_behind_a_flush_is_about_all_of_it(void **state)
{
    (void)state;
    uint32_t group;
    set_in(1, "a");
    answer_from(1, 0, STATUS_OK, "+OK\r\n");
    struct strand *strand = strand_of(&world->client.strands, GROUP_FIRST + 1);
    strand->last_write = 7; /* as if this node led */
    ask("flushall");
    answer_all((const char *const[]){ "+OK\r\n", "+OK\r\n", "+OK\r\n", "+OK\r\n" }, 1, MORE);
    assert_int_equal(gather_written(&world->client, &group), 2);
    assert_int_equal(strand->last_write, 0);
    reply_reset(&world->out);
    ask("wait 2 1000");
    answer_all((const char *const[]){ ":2\r\n", ":2\r\n", ":2\r\n", ":1\r\n" }, 1 + MORE, MORE);
    assert_heard(":1\r\n");
}

/* G7: so long the session reads at the leader. */
static void test_a_leader_window_begins_when_a_flush_is_answered(void **state)
{
    (void)state;
    const struct strand *strand = strand_of(&world->client.strands, GROUP_FIRST + 1);
    ask("dbsize");
    answer_all((const char *const[]){ ":1\r\n", ":1\r\n", ":1\r\n", ":1\r\n" }, 0, MORE);
    assert_int_equal(strand->wrote_at, 0);
    reply_reset(&world->out);
    ask("flushall");
    turn_later(QR_SECOND);
    assert_int_equal(strand->wrote_at, 0);
    answer_all((const char *const[]){ "+OK\r\n", "-UNCERTAIN its fate is unknown\r\n", "+OK\r\n",
                                      "+OK\r\n" },
               MORE, MORE);
    assert_int_equal(strand->wrote_at, world->node.clock);
}

/* What was asked for goes with each question (U3: nothing less is given). */
static void test_a_flush_wants_in_each_partition_what_its_client_wants(void **state)
{
    (void)state;
    world->client.wants.each_zone = true;
    world->client.wants.copies.count = 3;
    ask("flushall");
    uint32_t n = 0;
    for (const struct pending *p = world->node.oldest; p != NULL; p = p->age_next) {
        bool same = p->wants.each_zone && p->wants.copies.count == 3;
        n += p->state == PENDING_FORWARDED && same ? 1 : 0;
    }
    assert_int_equal(n, MORE);
    answer_all((const char *const[]){ "+OK\r\n", "+OK\r\n", "+OK\r\n", "+OK\r\n" }, 0, MORE);
    assert_heard("+OK\r\n");
}

static void test_a_client_that_leaves_takes_its_question_along(void **state)
{
    (void)state;
    ask("keys *");
    ask("flushall"); /* not begun: it never is */
    stream_detach(&world->client);
    turn_later(0);
    answer_all((const char *const[]){ "*0\r\n", "*0\r\n", "*0\r\n", "*0\r\n" }, 0, MORE);
    assert_int_equal(world->peers.count, MORE);
    assert_int_equal(world->node.pending_count, 0);
}

static void test_what_cannot_be_gathered_is_refused(void **state)
{
    (void)state;
    ask("swapdb 0 1");
    assert_memory_equal(world->out.p, "-ERR swapdb is not there", 24);
    reply_reset(&world->out);
}

#define GATHER_TEST(name) cmocka_unit_test_setup_teardown(name, begin, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        GATHER_TEST(test_sizes_are_added),
        GATHER_TEST(test_it_begins_when_all_ahead_is_answered_and_is_alone_G1),
        GATHER_TEST(test_keys_are_one_list),
        GATHER_TEST(test_a_read_that_fails_says_where_G3),
        GATHER_TEST(test_a_flush_of_all_is_ok),
        GATHER_TEST(test_a_flush_of_some_says_so_G3),
        GATHER_TEST(test_a_random_key_is_the_first_that_there_is),
        GATHER_TEST(test_a_scan_goes_from_partition_to_partition_G4),
        GATHER_TEST(test_a_wait_counts_the_least_of_what_was_written_to),
        GATHER_TEST(test_without_a_state_there_is_no_doubt_N1),
        GATHER_TEST(test_a_waitaof_counts_both_at_their_least),
        GATHER_TEST(test_a_wait_behind_a_flush_is_about_all_of_it),
        GATHER_TEST(test_a_leader_window_begins_when_a_flush_is_answered),
        GATHER_TEST(test_a_flush_wants_in_each_partition_what_its_client_wants),
        GATHER_TEST(test_a_client_that_leaves_takes_its_question_along),
        GATHER_TEST(test_what_cannot_be_gathered_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
