/* Writes whose time is over while reads of their client come before them (stream.h S2): router,
 * streams, replica and engine are real. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "apply_world.h"
#include "command/op.h"
#include "node/router_internal.h"

#define MS QR_MILLISECOND
#define UNCERTAIN "-UNCERTAIN the write was proposed and its fate is unknown\r\n"
#define LATE "-TRYAGAIN not applied, its TIMEOUT has passed\r\n"

static void begin(void)
{
    command("set a 1");
    turn();
    apply_upto(1);
    turn();
    assert_heard("+OK\r\n");
}

static void within(qr_time ms, const char *line)
{
    world->client.wants = (struct wants){ .expires = world->now + ms * MS };
    command(line);
    world->client.wants = (struct wants){ 0 };
}

/* A command that another node has sent for one of its clients. */
static void relayed(const char *name, uint32_t sender, bool after_reads, qr_time ms)
{
    const struct command_spec *spec = command_by_name(span_of(name, 3));
    struct span argv[] = { SPAN_LITERAL("a"), SPAN_LITERAL("2") };
    uint32_t argc = spec->place == PLACE_READ ? 1 : 2;
    struct op head = { .level = SEMANTICS_LEVEL, .tag = spec->tag, .argc = argc };
    struct pending *p = stream_push(&world->client, spec, 2, world->node.clock);
    p->sender = sender;
    p->after_reads = after_reads;
    pending_join(p, &world->zero);
    if (ms != 0) {
        pending_want(p, &(struct wants){ .expires = world->now + ms * MS });
    }
    op_write(pending_take_room(p, op_bytes(argv, argc)), &head, argv, argc);
    router_take(world->node.router, p);
}

static void be_a_peer(void)
{
    world->client.ordered = false;
    world->client.relayed = true;
}

/* What is answered behind it could not be heard, and the read would show it. */
static void test_a_write_that_is_late_is_not_forgotten_S2(void **state)
{
    (void)state;
    begin();
    command("get a");
    within(20, "set a 2");
    turn();
    later(30 * MS);
    later(300 * MS);
    assert_heard("");
    apply_upto(2);
    assert_heard("$1\r\n1\r\n+OK\r\n");
    assert_int_equal(world->node.stats.uncertain, 0);
    assert_int_equal(world->node.expiries.n, 0);
}

/* Nor by the node's own bound: who takes no replies has a read that waits for long. */
static void test_nor_after_the_longest_time_S2(void **state)
{
    (void)state;
    begin();
    world->congested = true;
    world->client.wants.level = READ_LOCAL;
    command("get a");
    world->client.wants.level = READ_LINEARIZABLE;
    command("set a 2");
    turn();
    later(world->node.config.request_timeout_ms * MS + MS);
    later(20 * MS);
    assert_heard("");
    world->congested = false;
    apply_upto(2);
    assert_heard("$1\r\n1\r\n+OK\r\n");
}

/* Only as long as anything is ahead of it. */
static void test_it_is_told_with_the_read(void **state)
{
    (void)state;
    begin();
    within(200, "get a");
    within(100, "set a 2");
    within(200, "set a 3");
    turn();
    later(100 * MS);
    assert_int_equal(world->node.expiries.n, 2); /* nobody looks at it in vain */
    assert_int_equal(heap_least(&world->node.expiries), world->now + 100 * MS);
    later(99 * MS);
    assert_heard("");
    later(MS);
    assert_heard(LATE UNCERTAIN UNCERTAIN);
    apply_upto(3);
    assert_heard("");
    command("get a");
    turn();
    confirm_reads(3, 0);
    turn();
    assert_heard("$1\r\n3\r\n");
}

/* One that is not late yet is in the heap once. */
static void test_a_head_that_has_time_left_keeps_it(void **state)
{
    (void)state;
    begin();
    within(20, "get a");
    within(100, "set a 2");
    turn();
    later(20 * MS);
    assert_heard(LATE);
    assert_int_equal(world->node.expiries.n, 1);
    later(79 * MS);
    assert_heard("");
    later(MS);
    assert_heard(UNCERTAIN);
}

/* One without an end has none as the head either. */
static void test_a_head_without_an_end_has_none(void **state)
{
    (void)state;
    begin();
    within(20, "get a");
    command("set a 2");
    turn();
    later(20 * MS);
    assert_heard(LATE);
    assert_int_equal(world->node.expiries.n, 0);
    apply_upto(2);
    assert_heard("+OK\r\n");
}

static void test_what_has_no_slot_yet_is_looked_at_soon(void **state)
{
    (void)state;
    begin();
    world->now += 5 * QR_SECOND;
    (void)node_clock(&world->node);
    within(1, "set a 2");
    world->now += 200 * MS;
    (void)node_clock(&world->node);
    router_turn(world->node.router); /* without the replica's, which gives it its slot */
    assert_int_equal(heap_least(&world->node.expiries), world->now + MS);
    turn();
    later(MS);
    assert_heard(UNCERTAIN);
}

/* Behind a write it waits for that one alone, and a read behind it for both (S1). */
static void test_a_write_holds_no_write(void **state)
{
    (void)state;
    begin();
    command("set a 2");
    within(20, "set b 3");
    command("get a");
    turn();
    later(20 * MS);
    assert_int_equal(world->node.stats.uncertain, 1);
    confirm_reads(1, world->now + QR_SECOND);
    turn();
    assert_heard("");
    apply_upto(3);
    turn();
    assert_heard("+OK\r\n" UNCERTAIN "$1\r\n2\r\n");
}

/* A read that needs no leader passes a write that waits for one, and may be begun before it. */
static void test_a_read_behind_it_holds_no_write(void **state)
{
    (void)state;
    begin();
    follow_nobody(2);
    within(20, "set a 2");
    world->client.wants.level = READ_LOCAL;
    world->congested = true;
    command("get a");
    turn();
    lead(3);
    turn();
    later(20 * MS);
    assert_heard(UNCERTAIN);
    world->congested = false;
    replica_unpark(&world->client);
    turn();
    assert_heard("$1\r\n1\r\n");
}

/* And where others are ahead of it, these alone do. */
static void test_nor_when_those_ahead_of_it_are_answered(void **state)
{
    (void)state;
    begin();
    world->congested = true;
    world->client.wants.level = READ_LOCAL;
    world->client.wants.expires = world->now + 30 * MS;
    command("get a");
    follow_nobody(2);
    within(20, "set a 2");
    world->client.wants.level = READ_LOCAL;
    command("get a");
    turn();
    lead(3);
    turn();
    later(25 * MS);
    assert_heard("");
    assert_int_equal(world->node.stats.uncertain, 0);
    later(5 * MS);
    assert_heard("-STALE -1 no replica that shows what was asked for answered in time, the command "
                 "was not applied\r\n" UNCERTAIN);
    assert_int_equal(world->client.count, 1);
}

/* Of a peer's clients each waits for its own reads. */
static void test_another_clients_read_holds_no_write_S2(void **state)
{
    (void)state;
    begin();
    be_a_peer();
    relayed("get", 1, false, 0);
    relayed("set", 2, false, 20);
    relayed("set", 1, true, 20);
    turn();
    later(30 * MS);
    assert_heard(UNCERTAIN);
    apply_upto(3);
    assert_heard("$1\r\n2\r\n+OK\r\n"); /* by now it shows what the other one has written */
}

/* Those whose reads have their answers, as the node that they came from says: their place may be
 * that of another client, whose read waits. */
static void test_nor_one_that_shares_its_place(void **state)
{
    (void)state;
    begin();
    be_a_peer();
    relayed("get", 1, false, 0);
    relayed("set", 1 + world->client.sender_places, false, 20);
    turn();
    later(20 * MS);
    assert_heard(UNCERTAIN);
}

/* A peer's client whose write is given up makes nobody forget a write of another before it. */
static void test_one_that_is_given_up_is_not_the_one_before_it_S1(void **state)
{
    (void)state;
    begin();
    be_a_peer();
    relayed("set", 1, false, 0);
    relayed("get", 1, false, 0);
    relayed("set", 2, false, 20);
    turn();
    confirm_reads(1, world->now + QR_SECOND);
    later(30 * MS);
    turn();
    assert_heard(UNCERTAIN);
    apply_upto(3);
    turn();
    assert_heard("+OK\r\n$1\r\n2\r\n");
}

/* And of a WAIT, which holds no write. */
static void test_nor_for_a_wait_U1(void **state)
{
    (void)state;
    begin();
    command("set a 2");
    command("wait 0 0");
    within(20, "set b 3");
    turn();
    later(30 * MS);
    assert_int_equal(world->node.stats.uncertain, 1);
    assert_heard("");
    apply_upto(3);
    turn();
    assert_heard("+OK\r\n:0\r\n" UNCERTAIN);
}

/* It is begun once, however often it is taken up. */
static void test_a_write_that_is_taken_up_again_counts_once_S1(void **state)
{
    (void)state;
    begin();
    world->refuses = true;
    command("set a 2");
    command("get a");
    turn();
    world->refuses = false;
    turn();
    turn();
    confirm_reads(1, world->now + QR_SECOND);
    apply_upto(2);
    turn();
    assert_heard("+OK\r\n$1\r\n2\r\n");
    assert_int_equal(world->client.strands.first.writes_begun, 2);
}

static void test_a_write_of_nobody_counts_for_nobody(void **state)
{
    (void)state;
    begin();
    follow_nobody(2);
    command("set a 2");
    assert_int_equal(router_waiting(world->node.router), 1);
    stream_detach(&world->client);
    lead(3);
    turn();
    apply_upto(2);
    assert_int_equal(world->node.pending_count, 0);
}

static void test_a_write_of_nobody_is_given_up(void **state)
{
    (void)state;
    begin();
    command("get a");
    within(20, "set a 2");
    turn();
    stream_detach(&world->client);
    later(30 * MS);
    assert_int_equal(world->node.stats.uncertain, 1);
    apply_upto(2);
    confirm_reads(2, 0);
    turn();
    assert_int_equal(world->node.pending_count, 0);
}

#define LATE_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

/* The node's own orders have a stream by which nobody reads, and which nobody detaches. */
static void test_where_nobody_reads_nothing_is_kept_to_look_at(void **state)
{
    (void)state;
    struct stream own;
    stream_init(&own, &world->node, STREAM_PEER);
    struct pending order = { .stream = &own };
    assert_false(stream_holds_write(&order));
    assert_null(own.senders);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        LATE_TEST(test_a_write_that_is_late_is_not_forgotten_S2),
        LATE_TEST(test_nor_after_the_longest_time_S2),
        LATE_TEST(test_it_is_told_with_the_read),
        LATE_TEST(test_a_head_that_has_time_left_keeps_it),
        LATE_TEST(test_a_head_without_an_end_has_none),
        LATE_TEST(test_what_has_no_slot_yet_is_looked_at_soon),
        LATE_TEST(test_a_write_holds_no_write),
        LATE_TEST(test_a_read_behind_it_holds_no_write),
        LATE_TEST(test_nor_when_those_ahead_of_it_are_answered),
        LATE_TEST(test_another_clients_read_holds_no_write_S2),
        LATE_TEST(test_nor_one_that_shares_its_place),
        LATE_TEST(test_one_that_is_given_up_is_not_the_one_before_it_S1),
        LATE_TEST(test_nor_for_a_wait_U1),
        LATE_TEST(test_a_write_that_is_taken_up_again_counts_once_S1),
        LATE_TEST(test_a_write_of_nobody_counts_for_nobody),
        LATE_TEST(test_a_write_of_nobody_is_given_up),
        LATE_TEST(test_where_nobody_reads_nothing_is_kept_to_look_at),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
