/* Reads as of a position in a replica (node/as_of.c): router, replica and engine are real. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../cluster/put_records.h"
#include "apply_world.h"
#include "base/limits.h"
#include "node/replica_internal.h"

static struct shown shown; /* by the last answer */

static void end_reply(struct stream *stream, struct pending *p, enum qr_status status)
{
    (void)stream, (void)status;
    shown = p->shown;
}

/* The map says another thing from now on. */
static void keep(uint32_t history_ms, uint64_t bytes)
{
    struct map_keyspace zero = a_keyspace(0, "default", "", 0, 1);
    zero.history_ms = history_ms;
    zero.history_bytes = bytes;
    put_keyspace(world->node.map, &zero);
    world->node.quotas++;
}

static void write_at(qr_slot slot, const char *line)
{
    command(line);
    turn();
    apply_upto(slot);
    turn();
}

/* a is 1 as of slot 1, and 2 as of 2. */
static void begin(void)
{
    qr_slot floor;
    world->node.holding.current = true;
    world->client.end_reply = end_reply;
    keep(1000, 1 * MIB);
    assert_true(replica_past_floor(world->zero.replica, &floor));
    assert_int_equal(floor, 0);
    write_at(1, "set a 1");
    write_at(2, "set a 2");
    assert_heard("+OK\r\n+OK\r\n");
}

static void as_of(qr_slot slot, const char *line)
{
    world->client.wants = (struct wants){ .level = READ_SNAPSHOT, .least = slot };
    command(line);
    world->client.wants = (struct wants){ 0 };
}

static const struct command_stats *stats(const char *name)
{
    return &world->node.command_stats[command_index(
        command_by_name(span_of(name, strlen(name))))];
}

static void test_it_shows_what_was_and_says_so(void **state)
{
    (void)state;
    begin();
    uint64_t calls = stats("get")->calls;
    as_of(1, "get a");
    turn();
    assert_heard("$1\r\n1\r\n");
    assert_int_equal(shown.slot, 1);
    assert_int_equal(shown.by, 0);
    assert_false(shown.has_stale || shown.replayed);
    as_of(2, "get a");
    turn();
    assert_heard("$1\r\n2\r\n");
    assert_int_equal(shown.slot, 2);
    assert_int_equal(stats("get")->calls, calls + 2);
    assert_int_equal(world->node.pending_count, 0);
}

/* What it takes is known of its client, as of other reads (pace.c). */
static void test_what_it_takes_counts_for_its_client(void **state)
{
    (void)state;
    begin();
    write_at(3, "setrange b 20000 x");
    assert_heard(":20001\r\n");
    assert_int_equal(world->client.history.bytes, 0);
    as_of(3, "get b");
    turn();
    assert_true(world->client.history.bytes > 0);
    reply_reset(&world->out);
}

/* Log time is what counts, in microseconds; and each partition has its share of the bytes. */
static void test_what_is_kept_is_what_the_keyspace_says(void **state)
{
    (void)state;
    qr_slot floor;
    begin();
    later(500 * QR_MILLISECOND);
    write_at(3, "set a 3");
    assert_true(replica_past_floor(world->zero.replica, &floor));
    assert_int_equal(floor, 0);
    later(2 * QR_SECOND);
    write_at(4, "set a 4");
    assert_true(replica_past_floor(world->zero.replica, &floor));
    assert_true(floor > 0);
    struct map_keyspace four = a_keyspace(16, "four", "", 5, 4);
    four.history_ms = 1000;
    four.history_bytes = 256 * KIB;
    put_all(world->node.map, &four, 1, NODE_NONE);
    world->node.quotas++;
    world->zero.replica->group = 6;
    assert_true(replica_past_floor(world->zero.replica, &floor));
    world->zero.replica->group = 0;
    write_at(5, "setrange b 20000 x"); /* more than a quarter of its share */
    write_at(6, "set b 1");
    reply_reset(&world->out);
    as_of(5, "get b");
    turn();
    assert_heard("-STALE -1 what a key was as of position 0-5 is not known any more: its value was "
                 "too large to be kept, the command was not applied\r\n");
}

static void test_a_group_of_no_keyspace_keeps_nothing(void **state)
{
    (void)state;
    qr_slot floor;
    begin();
    put_erased(world->node.map, MAP_RECORD_KEYSPACE, 0);
    world->node.quotas++;
    assert_false(replica_past_floor(world->zero.replica, &floor));
}

static void test_another_one_of_the_group_says_who_it_is(void **state)
{
    (void)state;
    begin();
    world->zero.replica->me = 3;
    as_of(1, "get a");
    turn();
    assert_int_equal(shown.by, 3);
    assert_heard("$1\r\n1\r\n");
    world->zero.replica->me = 0;
}

static void test_what_is_to_come_is_waited_for(void **state)
{
    (void)state;
    begin();
    as_of(3, "get a");
    turn();
    assert_heard("");
    write_at(3, "set a 3");
    assert_heard("$1\r\n3\r\n+OK\r\n");
}

/* Whatever was said before it. */
static void test_what_fails_is_counted_and_nothing_else(void **state)
{
    (void)state;
    begin();
    world->out.is_error = true;
    as_of(1, "get a");
    turn();
    assert_int_equal(stats("get")->failed, 0);
    world->out.is_error = false;
    assert_heard("$1\r\n1\r\n");
}

static void test_at_the_leader_what_is_too_old_is_refused(void **state)
{
    (void)state;
    begin();
    keep(0, 0);
    qr_slot floor;
    assert_false(replica_past_floor(world->zero.replica, &floor));
    keep(1000, 1 * MIB);
    write_at(3, "set a 3");
    assert_heard("+OK\r\n");
    for (int meta = 0; meta < 2; meta++) {
        world->client.wants =
            (struct wants){ .level = READ_SNAPSHOT, .least = 1, .meta = meta != 0 };
        command("get a");
        turn();
        assert_heard("-STALE -1 position 0-1 is too old: the oldest that can be asked for is 0-2, "
                     "the command was not applied\r\n");
    }
    assert_int_equal(world->node.pending_count, 0);
}

/* The leader may know more. */
static void test_elsewhere_it_goes_to_the_leader(void **state)
{
    (void)state;
    begin();
    as_of(3, "get a"); /* it may be answered here, */
    keep(0, 0);
    qr_slot floor;
    assert_false(replica_past_floor(world->zero.replica, &floor));
    follow_nobody(1);
    world->outlook.leader = 1;
    world->connected = world->takes = true;
    turn();
    noop_at(3, 1);
    noop_at(4, 1);
    apply_upto(4); /* when it has forgotten */
    keep(1000, 1 * MIB);
    turn();
    assert_heard("");
    assert_int_equal(world->forwards, 1);
    assert_int_equal(world->client.strands.first.reads_forwarded, 1);
}

/* While it waited it was switched off: nothing older than this can be asked for. */
static void test_switched_off_meanwhile(void **state)
{
    (void)state;
    begin();
    as_of(3, "get a");
    turn();
    keep(0, 0);
    qr_slot floor;
    assert_false(replica_past_floor(world->zero.replica, &floor));
    write_at(3, "set a 3");
    assert_heard("-STALE -1 position 0-3 is too old: the oldest that can be asked for is 0-3, the "
                 "command was not applied\r\n+OK\r\n");
}

static void test_a_value_that_was_too_large_is_lost_alone(void **state)
{
    (void)state;
    begin();
    keep(1000, 64 * KIB);
    write_at(3, "setrange b 20000 x");
    write_at(4, "set b 1");
    write_at(5, "set a 5");
    assert_heard(":20001\r\n+OK\r\n+OK\r\n");
    as_of(3, "get b");
    as_of(4, "get a");
    turn();
    assert_heard("-STALE -1 what a key was as of position 0-3 is not known any more: its value was "
                 "too large to be kept, the command was not applied\r\n$1\r\n2\r\n");
    assert_int_equal(world->node.pending_count, 0);
}

/* Of META too nothing is left where there is no answer. */
static void test_a_refusal_stands_alone(void **state)
{
    (void)state;
    begin();
    keep(1000, 64 * KIB);
    write_at(3, "setrange b 20000 x");
    write_at(4, "set b 1");
    assert_heard(":20001\r\n+OK\r\n");
    struct wants wants = { .level = READ_SNAPSHOT, .least = 3, .meta = true };
    world->client.wants = wants;
    command("get b");
    world->client.wants = (struct wants){ 0 };
    turn();
    assert_heard("-STALE -1 what a key was as of position 0-3 is not known any more: its value was "
                 "too large to be kept, the command was not applied\r\n");
}

static void test_a_frozen_state_tells_nothing(void **state)
{
    (void)state;
    begin();
    qr_slot floor;
    world->zero.replica->frozen = true;
    assert_false(replica_past_floor(world->zero.replica, &floor));
    world->zero.replica->frozen = false;
    assert_true(replica_past_floor(world->zero.replica, &floor));
}

/* Once for each state of the map, and with the share of one partition. */
static void test_it_follows_the_map(void **state)
{
    (void)state;
    begin();
    qr_slot floor;
    struct map_keyspace zero = a_keyspace(0, "default", "", 0, 1);
    zero.history_ms = 0;
    put_keyspace(world->node.map, &zero); /* and nobody is told */
    assert_true(replica_past_floor(world->zero.replica, &floor));
    world->node.quotas++;
    assert_false(replica_tend_past(world->zero.replica) &&
                 replica_past_floor(world->zero.replica, &floor));
    assert_false(replica_past_floor(world->zero.replica, &floor));
}

/* What nobody can ask for any more goes in slices. */
static void test_what_was_kept_goes_in_slices(void **state)
{
    (void)state;
    begin();
    for (qr_slot slot = 3; slot < 60; slot++) {
        command("set a 3");
        turn();
    }
    apply_upto(59);
    assert_true(engine_past_memory(world->zero.engine) > 0);
    keep(0, 0);
    uint32_t slices = 0;
    while (replica_tend_past(world->zero.replica)) {
        slices++;
        assert_true(slices < 1000);
    }
    assert_int_equal(engine_past_memory(world->zero.engine), 0);
}

#define AS_OF_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        AS_OF_TEST(test_it_shows_what_was_and_says_so),
        AS_OF_TEST(test_what_it_takes_counts_for_its_client),
        AS_OF_TEST(test_what_is_kept_is_what_the_keyspace_says),
        AS_OF_TEST(test_a_group_of_no_keyspace_keeps_nothing),
        AS_OF_TEST(test_another_one_of_the_group_says_who_it_is),
        AS_OF_TEST(test_what_is_to_come_is_waited_for),
        AS_OF_TEST(test_what_fails_is_counted_and_nothing_else),
        AS_OF_TEST(test_at_the_leader_what_is_too_old_is_refused),
        AS_OF_TEST(test_elsewhere_it_goes_to_the_leader),
        AS_OF_TEST(test_switched_off_meanwhile),
        AS_OF_TEST(test_a_value_that_was_too_large_is_lost_alone),
        AS_OF_TEST(test_a_refusal_stands_alone),
        AS_OF_TEST(test_a_frozen_state_tells_nothing),
        AS_OF_TEST(test_it_follows_the_map),
        AS_OF_TEST(test_what_was_kept_goes_in_slices),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
