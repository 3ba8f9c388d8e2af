/* What a keyspace gives where nothing is said, and what it keeps: READ, ACK, HISTORY. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "order_keyspace_world.h"

/* HISTORY, in so many bytes unless more or less are given; both go together. */
static void a_keyspace_may_keep_its_past(void **state)
{
    (void)state;
    put_settings(node.map, &(struct map_settings){ .level = 2, .next_group = GROUP_FIRST });
    refuse(CREATE, "a STRATEGY raft HISTORY 10s", "-UPGRADE these options need level 3");
    put_settings(node.map, &(struct map_settings){ .level = 3, .next_group = GROUP_FIRST });
    accept(CREATE, "b STRATEGY raft HISTORY 10s PARTITIONS 2");
    assert_true(of("b")->history_ms == 10000 && of("b")->history_bytes == 64 * MIB);
    refuse(CREATE, "c STRATEGY raft HISTORY 1s HISTORY-BYTES 128kb PARTITIONS 3",
           "-ERR HISTORY-BYTES 131072 is less than 65536 for each of the 3 partitions");
    accept(ALTER, "b HISTORY 2s HISTORY-BYTES 1mb");
    accept(ALTER, "b LEASE yes");
    assert_true(of("b")->history_ms == 2000 && of("b")->history_bytes == MIB);
    refuse(ALTER, "b HISTORY-BYTES 100kb", "-ERR HISTORY-BYTES 102400 is less than");
    accept(ALTER, "b HISTORY 0");
    assert_true(of("b")->history_ms == 0 && of("b")->history_bytes == 0);
}

/* What HISTORY of nothing would be kept in: said or left over. */
static void bytes_of_no_history_are_none(void **state)
{
    (void)state;
    refuse(CREATE, "a STRATEGY raft HISTORY-BYTES 1mb",
           "-ERR HISTORY-BYTES is for keyspaces with HISTORY");
    accept(CREATE, "a STRATEGY raft");
    assert_int_equal(of("a")->history_bytes, 0);
    refuse(ALTER, "a HISTORY-BYTES 1mb", "-ERR HISTORY-BYTES is for keyspaces with HISTORY");
    refuse(ALTER, "a HISTORY 0 HISTORY-BYTES 1mb", "-ERR HISTORY-BYTES is for");
    accept(CREATE, "b STRATEGY raft HISTORY 1s HISTORY-BYTES 128kb PARTITIONS 2"); /* just enough */
    accept(ALTER, "b HISTORY 0");
    accept(ALTER, "b HISTORY 3s"); /* as if for the first time */
    assert_int_equal(of("b")->history_bytes, 64 * MIB);
}

static void defaults_are_in_the_record_and_stay(void **state)
{
    (void)state;
    accept(CREATE, "a STRATEGY raft READ bounded:500 ACK EACH~zone~ON~durable");
    struct map_keyspace k = *of("a");
    assert_true(k.read.level == READ_BOUNDED && k.read.bound == 500);
    assert_true(k.ack_kind == ACK_EACH_ZONE);
    uint8_t durable = k.ack_stage;
    accept(ALTER, "a LEASE yes");
    k.lease = true;
    assert_memory_equal(of("a"), &k, sizeof k);
    accept(ALTER, "a READ local");
    assert_true(of("a")->read.level == READ_LOCAL && of("a")->read.bound == 0);
    assert_int_equal(of("a")->ack_kind, ACK_EACH_ZONE);
    accept(ALTER, "a ACK MAJORITY");
    assert_true(of("a")->ack_kind == ACK_MAJORITY && of("a")->ack_stage == durable);
    assert_int_equal(of("a")->read.level, READ_LOCAL);
    accept(ALTER, "0 READ prefix ACK EACH~zone");
    assert_true(map_keyspace(node.map, 0)->read.level == READ_PREFIX);
    refuse(CREATE, "b STRATEGY raft READ snapshot:3-4", "-ERR READ 'snapshot:3-4' is one state");
    uint32_t before = changes; /* in the words that CONSISTENCY has for it */
    struct pending p = { .node = &node };
    const char *const wrong[] = { "a READ causal", "a ACK ALL" };
    for (size_t i = 0; i < ARRAY_COUNT(wrong); i++) {
        const char *text = give(ALTER, &p, wrong[i]);
        assert_memory_equal(text, "-LEVEL strategy raft does not give", 34);
        assert_non_null(strstr(text, ", the command was not applied; it gives "));
    }
    assert_int_equal(changes, before);
}

/* A node of before would read them as if nothing had been said: a silent downgrade. */
static void defaults_need_the_level_that_brought_them(void **state)
{
    (void)state;
    static const char *const lines[] = { "READ local",      "ACK EACH~zone",  "HISTORY 1s",
                                         "IDMP-DURATION 7", "IDMP-MAXSIZE 8", "IDMP-MAXBYTES 9kb" };
    put_settings(node.map, &(struct map_settings){ .level = 2, .next_group = GROUP_FIRST });
    for (size_t i = 0; i < ARRAY_COUNT(lines); i++) {
        char line[80];
        (void)snprintf(line, sizeof line, "0 %s", lines[i]);
        refuse(ALTER, line, "-UPGRADE these options need level 3 of the cluster, and level 2");
        (void)snprintf(line, sizeof line, "a STRATEGY raft %s", lines[i]);
        refuse(CREATE, line, "-UPGRADE these options need level 3 of the cluster, and level 2");
    }
    accept(CREATE, "a STRATEGY raft READ linearizable ACK MAJORITY"); /* what there always was */
    accept(ALTER, "a MAXOPS 5");
}

/* The one that is left over would be longer than what is said, behind its end. */
static void a_prefix_leaves_nothing_of_the_one_before(void **state)
{
    (void)state;
    accept(CREATE, "a STRATEGY raft PREFIX longer:");
    accept(ALTER, "a PREFIX x:");
    struct map_keyspace k = *of("a");
    accept(CREATE, "b STRATEGY raft PREFIX x");
    accept(ALTER, "a PREFIX _");
    static const uint8_t none[KEYSPACE_PREFIX_BYTES];
    assert_int_equal(of("a")->prefix_length, 0);
    assert_memory_equal(of("a")->prefix, none, sizeof none);
    assert_memory_equal(k.prefix + 2, none, sizeof none - 2);
}

/* Who says nothing of MAXMEMORY is not asked how much is in use. */
static void what_is_in_use_matters_to_maxmemory_alone(void **state)
{
    (void)state;
    accept(CREATE, "a STRATEGY raft MAXMEMORY 1mb PARTITIONS 2");
    use.partitions = 2;
    use.bytes = 5 * MIB;
    use.most_bytes = 3 * MIB;
    struct pending p = { .node = &node };
    assert_string_equal(give(ALTER, &p, "a MAXOPS 600"), "");
    assert_true(asked == 0 && of("a")->maxops == 600);
    refuse(ALTER, "a MAXMEMORY 5mb", "-ERR keyspace 'a' uses 5242880 bytes");
    use.most_bytes = 2 * MIB;
    use.bytes = 4 * MIB;
    accept(ALTER, "a MAXMEMORY 4mb"); /* exactly that */
    use.bytes = 4 * MIB + 1;
    refuse(ALTER, "a MAXMEMORY 4mb", "-ERR keyspace 'a' uses 4194305 bytes");
}

#define CASE(test) cmocka_unit_test_setup_teardown(test, order_begin, order_end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(a_keyspace_may_keep_its_past),
        CASE(bytes_of_no_history_are_none),
        CASE(defaults_are_in_the_record_and_stay),
        CASE(defaults_need_the_level_that_brought_them),
        CASE(a_prefix_leaves_nothing_of_the_one_before),
        CASE(what_is_in_use_matters_to_maxmemory_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
