/* What a command says with it, or its connection, and a keyspace with STRATEGY primary does not
 * give (node/client_wants.c): refused where it is known where the command goes, and never
 * weakened. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "commands_world.h"

#include "tests/unit/cluster/put_records.h"

#define NOT_APPLIED ", the command was not applied\r\n"
#define CART "LEVEL keyspace 'cart' of strategy primary "
#define GIVES CART "gives ACK LOCAL, ANY k and ALL, not ACK "
#define NOT_MAJORITY GIVES "MAJORITY ON durable" NOT_APPLIED

/* A1, U3: what was read before anybody knew where the command goes is looked at again there. */
static void test_more_than_a_keyspace_with_a_primary_gives_is_refused_U3(void **state)
{
    (void)state;
    struct map_keyspace k = *map_keyspace(node.map, 16);
    char large[400], line[500];
    k.strategy = STRATEGY_PRIMARY;
    k.primary = primary_options_default();
    put_keyspace(node.map, &k);
    SAYS_ERROR("with 2 ack majority set cart:a 1", NOT_MAJORITY);
    SAYS_ERROR("with 4 ks cart ack quorum flushdb", /* to all partitions */
               GIVES "QUORUM ON durable" NOT_APPLIED);
    memset(large, 'x', sizeof large);
    large[300] = 0;
    goes("with 2 ack majority get cart:a"); /* reads have none */
    goes("set cart:a 1");
    answer_all();
    SAYS("consistency ack majority", "+OK\r\n");
    SAYS_ERROR("set cart:a 1", NOT_MAJORITY);
    (void)snprintf(line, sizeof line, "set cart:a %s", large);
    SAYS_ERROR(line, "LEVEL keyspace 'cart'");
    goes("set a 1"); /* elsewhere it is given */
    answer_all();
    SAYS("consistency reset", "+OK\r\n");
    assert_true(goes(line)->laden);
    answer_all();
    SAYS_ERROR("with 2 read session get cart:a",
               "LEVEL keyspace 'cart' of strategy primary gives reads at linearizable, leader, "
               "bounded, prefix, local, not at session" NOT_APPLIED);
    SAYS_ERROR("with 4 ks cart read session dbsize", "LEVEL keyspace 'cart'");
    goes("with 2 read session set cart:a 1"); /* writes show nothing */
    goes("with 2 read prefix get cart:a");
    goes("with 2 fallback fail set cart:a 1");
    answer_all();
    k.primary = (struct primary_options){ .ack = { .kind = ACK_LOCAL } };
    k.read.level = READ_LEADER;
    put_keyspace(node.map, &k);
    goes("get cart:a");
    answer_all();
    SAYS_ERROR("with 2 read linearizable get cart:a",
               "LEVEL keyspace 'cart' of strategy primary gives reads at leader, bounded, "
               "prefix, local, not at linearizable" NOT_APPLIED);
    node.contact.coverage.knows_until = node.clock; /* it may give more by now: that is asked for */
    assert_int_equal(goes("get cart:a")->wants.level, READ_LINEARIZABLE);
}

static void has_copies(const char *line, uint8_t count, enum ack_stage stage)
{
    const struct wants_copies *copies = &goes(line)->wants.copies;
    assert_int_equal(copies->count, count);
    assert_int_equal(copies->stage, stage);
    answer_all();
}

/* A command's own ACK goes with it, that of its connection too, and of WITH no FALLBACK but its
 * own. */
static void test_an_ack_of_its_own_goes_with_a_write_U50(void **state)
{
    (void)state;
    struct map_keyspace k = *map_keyspace(node.map, 16);
    k.strategy = STRATEGY_PRIMARY;
    k.primary = primary_options_default();
    k.replicas = 3;
    put_keyspace(node.map, &k);
    SAYS_ERROR("with 2 ack any_2 set cart:a 1",
               "UPGRADE ACK of a command needs level 6 of the cluster: when all nodes run this "
               "version, CLUSTER UPGRADE FINALIZE raises it; the command was not applied\r\n");
    semantics_level = MAP_LEVEL_FOLLOWERS;
    has_copies("with 2 ack any_2 set cart:a 1", 3, ACK_DURABLE);
    has_copies("set cart:a 1", 0, ACK_DURABLE);
    has_copies("with 2 ack any_2 get cart:a", 0, ACK_DURABLE);
    has_copies("with 2 ack local_on_received set cart:a 1", 0, ACK_DURABLE);
    SAYS_ERROR("with 2 ack any_3 set cart:a 1",
               CART "has not so many replicas: ACK ANY 3 ON durable" NOT_APPLIED);
    SAYS_ERROR("with 2 fallback async set cart:a 1",
               CART "never acknowledges less than was asked for: FALLBACK fail is given, not "
                    "async" NOT_APPLIED);
    k.primary.fallback_async = true;
    put_keyspace(node.map, &k);
    has_copies("with 2 fallback fail set cart:a 1", 2, ACK_DURABLE);
    has_copies("with 2 fallback async set cart:a 1", 0, ACK_DURABLE);
    SAYS("consistency ack all fallback fail", "+OK\r\n");
    has_copies("set cart:a 1", WANTS_ALL_COPIES, ACK_DURABLE);
    has_copies("with 2 ack any_1_on_received set cart:a 1", 2, ACK_RECEIVED);
    has_copies("with 4 ack any_1 fallback async set cart:a 1", 0, ACK_DURABLE);
    SAYS("consistency ack any_1 fallback async", "+OK\r\n");
    has_copies("set cart:a 1", 0, ACK_DURABLE);
    has_copies("with 2 ack any_1 set cart:a 1", 2, ACK_DURABLE);
    SAYS("consistency ack any_1", "+OK\r\n"); /* what was said of another is not of this one */
    has_copies("set cart:a 1", 2, ACK_DURABLE);
}

/* Words that are taken for the sake of a keyspace with a primary. */
static void test_with_raft_they_are_refused_as_ever(void **state)
{
    (void)state;
    static const char any[] =
        "LEVEL strategy raft does not give ACK 'ANY 1 ON durable', the command was not applied; it "
        "gives MAJORITY, QUORUM, EACH zone; ON durable\r\n";
    SAYS_ERROR("with 2 ack all set a 1", "LEVEL strategy raft does not give ACK 'all', ");
    struct map_keyspace k = *map_keyspace(node.map, 16);
    k.strategy = STRATEGY_PRIMARY;
    k.primary = primary_options_default();
    put_keyspace(node.map, &k);
    SAYS_ERROR("with 2 ack any_1 set a 1", any);
    SAYS_ERROR("with 2 ack majority_of_mars set a 1", "LEVEL strategy raft does not give ACK ");
    SAYS_ERROR("with 2 ack w=2 set a 1", "LEVEL strategy raft or primary does not give ACK 'w=2'");
    SAYS_ERROR("with 2 fallback async set a 1",
               "LEVEL strategy raft never acknowledges less than was asked for: FALLBACK 'async' "
               "is not given, fail is" NOT_APPLIED);
    goes("with 2 ack any_1 get a"); /* reads have none */
    goes("with 2 ack majority set a 1");
    answer_all();
    SAYS("consistency ack any_1", "+OK\r\n");
    SAYS_ERROR("set a 1", any);
    semantics_level = MAP_LEVEL_FOLLOWERS;
    has_copies("set cart:a 1", 2, ACK_DURABLE);
}

/* A node that was started just now may not know a keyspace yet, or what that gives by now. */
static void test_who_has_not_heard_from_group_0_refuses_nothing_for_good(void **state)
{
    (void)state;
    struct map_keyspace k = *map_keyspace(node.map, 16);
    qr_time knows_until = node.contact.coverage.knows_until;
    node.contact.coverage.knows_until = node.clock;
    assert_string_equal(hears("with 2 ack any_1 set cart:a 1"), "");
    assert_true(is_held()); /* by its map that is raft's */
    k.strategy = STRATEGY_PRIMARY;
    k.primary = primary_options_default();
    put_keyspace(node.map, &k);
    semantics_level = MAP_LEVEL_FOLLOWERS;
    node.contact.coverage.knows_until = knows_until;
    assert_string_equal(hears(""), "");
    assert_false(is_held());
    assert_int_equal(last()->wants.copies.count, 2);
    answer_all();
    node.contact.coverage.knows_until = node.clock;
    assert_string_equal(hears("with 2 ack any_3 set cart:a 1"), "");
    assert_true(is_held());
    node.clock += node.config.leader_wait_ms * QR_MILLISECOND;
    SAYS_ERROR("", "CLUSTERDOWN this node has not heard from group 0 and does not know what the "
                   "keyspace asks of its writes by now" NOT_APPLIED);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(
            test_more_than_a_keyspace_with_a_primary_gives_is_refused_U3, commands_begin,
            commands_end),
        cmocka_unit_test_setup_teardown(test_an_ack_of_its_own_goes_with_a_write_U50,
                                        commands_begin, commands_end),
        cmocka_unit_test_setup_teardown(
            test_who_has_not_heard_from_group_0_refuses_nothing_for_good, commands_begin,
            commands_end),
        cmocka_unit_test_setup_teardown(test_with_raft_they_are_refused_as_ever, commands_begin,
                                        commands_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
