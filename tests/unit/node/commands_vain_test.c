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

/* A1, U3: what was read before anybody knew where the command goes is looked at again there. */
static void test_more_than_a_keyspace_with_a_primary_gives_is_refused_U3(void **state)
{
    (void)state;
    struct map_keyspace k = *map_keyspace(node.map, 16);
    char large[400], line[500];
    k.strategy = STRATEGY_PRIMARY;
    k.primary = primary_options_default();
    put_keyspace(node.map, &k);
    static const char all[] = "LEVEL keyspace 'cart' of strategy primary gives all writes ACK ANY "
                              "1 ON durable, and none another" NOT_APPLIED;
    SAYS_ERROR("with 2 ack majority set cart:a 1", all);
    SAYS_ERROR("with 4 ks cart ack quorum flushdb", all); /* to all partitions */
    memset(large, 'x', sizeof large);
    large[300] = 0;
    goes("with 2 ack majority get cart:a"); /* reads have none */
    goes("set cart:a 1");
    answer_all();
    SAYS("consistency ack majority", "+OK\r\n");
    SAYS_ERROR("set cart:a 1", all);
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
    k.primary.fallback_async = true;
    put_keyspace(node.map, &k);
    SAYS_ERROR("with 2 fallback fail set cart:a 1",
               "LEVEL keyspace 'cart' of strategy primary gives all writes ACK ANY 1 ON durable "
               "FALLBACK async, and none another" NOT_APPLIED);
    goes("set cart:a 1");
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

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(
            test_more_than_a_keyspace_with_a_primary_gives_is_refused_U3, commands_begin,
            commands_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
