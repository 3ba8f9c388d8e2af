/* Reads of pinned sessions (router_aside.c): where they go, what becomes of them when the node that
 * is to answer does not, and what a node does that is asked. This one is node 0; pins are found for
 * each of the others. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/limits.h"
#include "cluster/pin.h"
#include "command/op.h"
#include "node/frame.h"
#include "node/replica.h"
#include "node/router_internal.h"
#include "router_world.h"

/* A session that goes to `first` of nodes 0 to 2, and to `then` when that one is away. */
static uint64_t pinned(node_index first, node_index then)
{
    uint64_t pin = 1;
    while (pin_pick(pin, 7) != first || pin_pick(pin, 7 & ~(1u << first)) != then) {
        pin++;
    }
    return pin;
}

/* Node 1 leads; this one follows, and could read. */
static void begin(void)
{
    world->replica.outlook.membership.voters = 7;
    world->replica.readable = true;
    world->replica.leader = 1;
    world->replica.applied = 40;
}

static void read_at(enum read_level level, uint64_t pin, const char *key)
{
    world->client.wants = (struct wants){ .level = level, .pin = pin };
    world->client.wants.session = level == READ_SESSION;
    command("get", key);
    world->client.wants = (struct wants){ 0 };
}

static void assert_went(const char *expected)
{
    assert_string_equal(world->peers.forwarded, expected);
}

static void test_the_pinned_node_answers_whoever_leads(void **state)
{
    (void)state;
    static const enum read_level levels[] = { READ_SESSION, READ_PREFIX, READ_LOCAL };
    begin();
    for (size_t i = 0; i < ARRAY_COUNT(levels); i++) {
        read_at(levels[i], pinned(2, 1), "a");
        assert_true(world->peers.aside);
        assert_int_equal(world->peers.wants.level, levels[i]);
        answer_from(2, (uint32_t)i, STATUS_OK, "$1\r\n1\r\n");
        assert_heard("$1\r\n1\r\n");
    }
    assert_went("2:a 2:a 2:a ");
    world->replica.leads = true;
    world->replica.leader = 0;
    read_at(READ_LOCAL, pinned(2, 1), "b");
    assert_went("2:a 2:a 2:a 2:b ");
    assert_int_equal(world->replica.unproven, 0);
    assert_int_equal(world->zero.track.forwarded, 0);
}

static void test_where_it_is_this_one_it_is_read_here(void **state)
{
    (void)state;
    begin();
    read_at(READ_SESSION, pinned(0, 1), "a");
    read_at(READ_LOCAL, 0, "b");
    assert_int_equal(world->replica.unproven, 2);
    assert_went("");
    world->peers.away = 1 << 0; /* nobody is connected to himself */
    read_at(READ_LOCAL, pinned(0, 1), "b");
    assert_int_equal(world->replica.unproven, 3);
    world->peers.away = 0;
    world->replica.small = true;
    stream_detach(&world->client);
    world->client.first = NULL;
    read_at(READ_LOCAL, pinned(0, 1), "c");
    assert_int_equal(world->replica.at_once, 1);
    read_at(READ_LOCAL, pinned(2, 1), "d");
    assert_int_equal(world->replica.at_once, 1);
    assert_went("2:d ");
}

static void test_other_levels_have_their_own_ways(void **state)
{
    (void)state;
    begin();
    read_at(READ_LINEARIZABLE, pinned(2, 1), "a");
    answer_from(1, 0, STATUS_OK, "$1\r\n1\r\n");
    read_at(READ_LEADER, pinned(2, 1), "b");
    answer_from(1, 1, STATUS_OK, "$1\r\n1\r\n");
    assert_went("1:a 1:b ");
    assert_false(world->peers.aside);
    world->replica.fresh_at = world->node.clock;
    read_at(READ_BOUNDED, pinned(2, 1), "c");
    assert_int_equal(world->replica.unproven, 1);
}

static void test_only_voters_are_picked(void **state)
{
    (void)state;
    begin();
    world->replica.outlook.membership.voters = 3;
    read_at(READ_LOCAL, pinned(2, 0), "a");
    assert_int_equal(world->replica.unproven, 1);
    world->more[0].replica = NULL; /* the map tells of others: nodes 1 to 3 */
    struct wants wants = { .level = READ_LOCAL, .pin = 1 };
    for (wants.pin = 1; wants.pin < 200; wants.pin++) {
        node_index to = router_pinned_to(world->node.router, &world->more[0], &wants);
        assert_int_equal(to, pin_pick(wants.pin, 14));
    }
    struct partition unknown = { .node = &world->node, .group = 9999 }; /* to this node */
    assert_int_equal(router_pinned_to(world->node.router, &unknown, &wants), NODE_NONE);
    world->node.removed = true;
    assert_int_equal(router_pinned_to(world->node.router, &world->more[0], &wants), NODE_NONE);
}

/* A session knows what it must be shown, the others had better not go back. */
static void test_refused_it_goes_the_usual_way_once(void **state)
{
    (void)state;
    begin();
    world->shown.slot = 40;
    read_at(READ_PREFIX, pinned(2, 1), "a");
    answer_from(2, 0, STATUS_NOT_LEADER, "");
    turn_later(0);
    assert_went("2:a 1:a ");
    assert_false(world->peers.aside);
    answer_from(1, 1, STATUS_OK, "$1\r\n1\r\n");
    assert_heard("$1\r\n1\r\n");
    read_at(READ_SESSION, pinned(2, 1), "b");
    answer_from(2, 2, STATUS_EXPIRED, "");
    turn_later(0);
    assert_went("2:a 1:a 2:b ");
    assert_int_equal(world->replica.unproven, 1);
}

static void test_without_a_leader_it_is_read_here_at_last(void **state)
{
    (void)state;
    begin();
    world->replica.leader = NODE_NONE;
    read_at(READ_LOCAL, pinned(2, 1), "a");
    answer_from(2, 0, STATUS_NOT_LEADER, "");
    turn_later(0);
    assert_went("2:a ");
    assert_int_equal(world->replica.unproven, 1);
}

/* T2 is about what leaders are asked: nothing aside is counted there, refused or not. */
static void test_the_track_knows_nothing_of_it_T2(void **state)
{
    (void)state;
    begin();
    read_at(READ_PREFIX, pinned(2, 1), "a");
    struct stream other;
    stream_init(&other, &world->node, STREAM_CLIENT);
    other.begin_reply = world->client.begin_reply;
    other.end_reply = world->client.end_reply;
    other.is_congested = world->client.is_congested;
    struct span argv[3] = { SPAN_LITERAL("set"), SPAN_LITERAL("x"), SPAN_LITERAL("v") };
    const struct command_spec *container, *set = command_find(argv, 3, &container);
    router_command(world->node.router, &world->zero, &other, set, 2, 0, argv, 3, false);
    assert_int_equal(world->zero.track.forwarded, 1);
    uint32_t epoch = world->zero.track.epoch;
    answer_from(2, 0, STATUS_NOT_LEADER, "");
    assert_false(world->zero.track.draining);
    assert_int_equal(world->zero.track.forwarded, 1);
    turn_later(0);
    assert_int_equal(world->zero.track.epoch, epoch);
    assert_went("2:a 1:x 1:a "); /* in the same epoch */
    answer_from(1, 1, STATUS_OK, "+OK\r\n");
    answer_from(1, 2, STATUS_OK, "$1\r\n1\r\n");
    assert_int_equal(world->zero.track.forwarded, 0);
    stream_detach(&other);
}

/* Also when the leader is lost while something is aside. */
static void test_a_lost_leader_takes_nothing_along_that_is_aside(void **state)
{
    (void)state;
    begin();
    read_at(READ_PREFIX, pinned(2, 1), "a");
    world->zero.track.target = 1;
    world->peers.away = 1 << 1;
    router_peer_down(world->node.router, 1);
    turn_later(0);
    answer_from(1, 0, STATUS_OK, "$1\r\n2\r\n"); /* not its own */
    assert_heard("");
    answer_from(2, 0, STATUS_OK, "$1\r\n1\r\n");
    assert_heard("$1\r\n1\r\n");
}

static void test_when_that_node_is_lost_another_one_answers(void **state)
{
    (void)state;
    begin();
    uint64_t pin = pinned(2, 1);
    read_at(READ_PREFIX, pin, "a");
    world->peers.away = 1 << 2;
    router_peer_down(world->node.router, 2);
    turn_later(0);
    assert_went("2:a 1:a ");
    answer_from(2, 0, STATUS_OK, "$1\r\n1\r\n"); /* too late */
    assert_heard("");
    answer_from(1, 1, STATUS_OK, "$1\r\n1\r\n");
    assert_heard("$1\r\n1\r\n");
    read_at(READ_PREFIX, pin, "b");
    assert_went("2:a 1:a 1:b ");
    assert_true(world->peers.aside);
    answer_from(1, 2, STATUS_OK, "$1\r\n1\r\n");
    world->peers.away = 0;
    read_at(READ_PREFIX, pin, "c");
    assert_went("2:a 1:a 1:b 2:c ");
}

static void test_a_slow_one_is_not_waited_for(void **state)
{
    (void)state;
    begin();
    read_at(READ_PREFIX, pinned(2, 1), "a");
    turn_later((INDEX_PATIENCE_MS - 10) * QR_MILLISECOND);
    assert_went("2:a ");
    turn_later(40 * QR_MILLISECOND);
    turn_later(0);
    assert_went("2:a 1:a ");
}

static void test_a_time_out_ends_it(void **state)
{
    (void)state;
    begin();
    world->client.wants = (struct wants){ .level = READ_PREFIX,
                                          .pin = pinned(2, 1),
                                          .expires = world->node.clock + 50 * QR_MILLISECOND };
    command("get", "a");
    assert_true(world->peers.wants.expires < world->node.clock + 50 * QR_MILLISECOND);
    turn_later(60 * QR_MILLISECOND);
    assert_true(world->out.n > 6 && memcmp(world->out.p, "-STALE", 6) == 0);
    assert_int_equal(router_forwarded(world->node.router), 0);
    answer_from(2, 0, STATUS_OK, "$1\r\n1\r\n");
    assert_went("2:a ");
}

/* S1, N2: it passes nothing, and nothing passes it. */
static void test_behind_what_has_no_answer_it_takes_the_same_way(void **state)
{
    (void)state;
    begin();
    command("set", "a");
    read_at(READ_SESSION, pinned(2, 1), "b");
    read_at(READ_PREFIX, pinned(2, 1), "c");
    assert_went("1:a 1:b 1:c ");
    answer_from(1, 0, STATUS_OK, "+OK\r\n");
    answer_from(1, 1, STATUS_OK, "$1\r\n1\r\n");
    answer_from(1, 2, STATUS_OK, "$1\r\n1\r\n");
    world->client.strands.first.unsure = false;
    read_at(READ_SESSION, pinned(2, 1), "d");
    assert_went("1:a 1:b 1:c 2:d ");
    assert_int_equal(world->client.alone, 1); /* its connection is not read from */
    answer_from(2, 3, STATUS_OK, "$1\r\n1\r\n");
    assert_int_equal(world->client.alone, 0);
}

static void test_it_says_what_its_session_must_be_shown(void **state)
{
    (void)state;
    begin();
    world->client.strands.first.seen = 44;
    read_at(READ_SESSION, pinned(2, 1), "a");
    assert_int_equal(world->peers.wants.least, 44);
    world->shown.slot = 47;
    answer_from(2, 0, STATUS_OK, "$1\r\n1\r\n");
    assert_int_equal(world->client.strands.first.seen, 47);
    world->client.strands.first.unsure = true; /* N1 */
    read_at(READ_SESSION, pinned(2, 1), "b");
    assert_went("2:a 1:b ");
}

static void test_nobody_is_asked_more_than_he_takes(void **state)
{
    (void)state;
    struct router *router = world->node.router;
    begin();
    world->replica.leader = NODE_NONE;
    world->peers.congested = true;
    read_at(READ_LOCAL, pinned(2, 1), "a");
    assert_int_equal(world->replica.unproven, 1);
    world->peers.congested = false;
    router->forwarded_count = FORWARD_WINDOW / 2;
    read_at(READ_LOCAL, pinned(2, 1), "b");
    assert_int_equal(world->replica.unproven, 2);
    assert_went("");
    stream_detach(&world->client);
    router->forwarded_count = FORWARD_WINDOW / 2 - 1;
    read_at(READ_LOCAL, pinned(2, 1), "c");
    assert_went("2:c ");
    router->forwarded_count = 1;
}

/* As its client speaks, and in its name. */
static void test_it_goes_as_its_clients_command(void **state)
{
    (void)state;
    begin();
    world->client.sender = 17;
    struct span argv[2] = { SPAN_LITERAL("get"), SPAN_LITERAL("a") };
    const struct command_spec *container, *get = command_find(argv, 2, &container);
    world->client.wants = (struct wants){ .level = READ_LOCAL, .pin = pinned(2, 1) };
    router_command(world->node.router, &world->zero, &world->client, get, 3, 0, argv, 2, false);
    assert_went("2:a ");
    assert_int_equal(world->peers.sender, 17);
    assert_int_equal(world->peers.speaks, 3);
}

/* From the moment on at which it was sent; what goes to the leader has longer. */
static void test_patience_is_for_what_was_sent_there(void **state)
{
    (void)state;
    begin();
    world->replica.readable = false;
    world->replica.leader = NODE_NONE;
    world->peers.version = WIRE_VERSION_LEVELS - 1;
    read_at(READ_LOCAL, pinned(2, 1), "a");
    turn_later((INDEX_PATIENCE_MS - 50) * QR_MILLISECOND);
    world->peers.version = WIRE_VERSION;
    turn_later(0);
    assert_went("2:a ");
    turn_later(100 * QR_MILLISECOND);
    turn_later(0);
    world->replica.leader = 1;
    turn_later(0);
    assert_went("2:a ");
    answer_from(2, 0, STATUS_OK, "$1\r\n1\r\n");
    read_at(READ_LEADER, pinned(2, 1), "b");
    turn_later(2 * INDEX_PATIENCE_MS * QR_MILLISECOND);
    turn_later(0);
    assert_went("2:a 1:b ");
}

/* It waited for somebody to answer it. */
static void test_who_is_gone_is_sent_nowhere(void **state)
{
    (void)state;
    begin();
    world->replica.readable = false;
    world->replica.leader = NODE_NONE;
    world->peers.version = WIRE_VERSION_LEVELS - 1;
    read_at(READ_LOCAL, pinned(2, 1), "a");
    stream_detach(&world->client);
    world->peers.version = WIRE_VERSION;
    turn_later(0);
    assert_went("");
}

static void test_an_older_node_is_not_asked(void **state)
{
    (void)state;
    begin();
    world->peers.version = WIRE_VERSION_LEVELS - 1;
    read_at(READ_PREFIX, pinned(2, 1), "a");
    assert_went("1:a ");
    assert_false(world->peers.aside);
}

static void test_who_is_gone_gets_no_answer(void **state)
{
    (void)state;
    begin();
    read_at(READ_PREFIX, pinned(2, 1), "a");
    stream_detach(&world->client);
    answer_from(2, 0, STATUS_NOT_LEADER, "");
    turn_later(0);
    assert_went("2:a ");
    assert_int_equal(router_forwarded(world->node.router), 0);
}

/* --- The one that is asked ------------------------------------------------------------------ */

static bool ask_here(uint64_t id, const char *name, struct wants wants, uint32_t epoch, bool aside)
{
    uint8_t bytes[128];
    struct span argv[2] = { SPAN_LITERAL("k"), SPAN_LITERAL("v") };
    const struct command_spec *spec = command_by_name(span_of(name, strlen(name)));
    uint32_t argc = spec->place == PLACE_WRITE ? 2 : 1;
    struct op head = { .level = SEMANTICS_LEVEL, .tag = spec->tag, .argc = argc };
    op_write(bytes, &head, argv, argc);
    struct forward forward = { .id = id,
                               .epoch = epoch,
                               .version = 2,
                               .sender = 1,
                               .aside = aside,
                               .wants = wants };
    return router_relayed(world->node.router, 2, 0, &forward, span_of(bytes, op_bytes(argv, argc)));
}

static void test_here_it_is_served_when_that_can_be_at_once(void **state)
{
    (void)state;
    begin();
    assert_true(ask_here(7, "get", (struct wants){ .level = READ_SESSION, .least = 40 }, 0, true));
    assert_int_equal(world->replica.unproven, 1);
    assert_true(ask_here(8, "get", (struct wants){ .level = READ_SESSION, .least = 41 }, 0, true));
    assert_true(ask_here(9, "get", (struct wants){ .level = READ_LINEARIZABLE }, 0, true));
    world->replica.fresh_at = world->node.clock;
    assert_true(ask_here(12, "get", (struct wants){ .level = READ_BOUNDED }, 0, true));
    assert_true(ask_here(13, "get", (struct wants){ .level = READ_SNAPSHOT }, 0, true));
    world->replica.readable = false;
    assert_true(ask_here(10, "get", (struct wants){ .level = READ_LOCAL }, 0, true));
    assert_int_equal(world->replica.unproven, 1);
    assert_string_equal(world->peers.replies, "8:1 9:1 12:1 13:1 10:1 "); /* NOT_LEADER */
    assert_false(ask_here(11, "set", (struct wants){ .level = READ_LOCAL }, 0, true));
}

static void test_here_it_has_no_part_in_epochs_T2(void **state)
{
    (void)state;
    begin();
    world->replica.leads = true;
    world->replica.leader = 0;
    assert_true(ask_here(1, "set", (struct wants){ 0 }, 3, false));
    world->replica.readable = false;
    assert_true(ask_here(2, "get", (struct wants){ .level = READ_LOCAL }, 0, true));
    assert_string_equal(world->peers.replies, "2:1 ");
    assert_int_equal(world->peers.told, 0);
    assert_true(ask_here(3, "set", (struct wants){ 0 }, 3, false)); /* the same epoch goes on */
    assert_int_equal(world->replica.write_count, 2);
    assert_string_equal(world->peers.replies, "2:1 ");
}

/* What came in an epoch before is refused with the rest of that epoch, whatever came in between. */
static void test_here_it_hides_no_epoch_T2(void **state)
{
    (void)state;
    begin();
    world->replica.leads = true;
    world->replica.leader = 0;
    assert_true(ask_here(1, "set", (struct wants){ 0 }, 3, false));
    assert_true(ask_here(2, "get", (struct wants){ .level = READ_LOCAL }, 0, true));
    struct pendings refused = { 0 };
    pendings_push(&refused, world->replica.writes[0]);
    router_retry(world->node.router, &refused, STATUS_NOT_LEADER);
    assert_true(ask_here(3, "set", (struct wants){ 0 }, 3, false));
    assert_string_equal(world->peers.replies, "1:1 3:1 ");
    assert_int_equal(world->replica.write_count, 1);
}

/* The replica goes before it has answered: the rest of the peer's epoch is not refused for it. */
static void test_here_it_takes_no_epoch_along_T2(void **state)
{
    (void)state;
    begin();
    world->replica.leads = true;
    world->replica.leader = 0;
    assert_true(ask_here(1, "set", (struct wants){ 0 }, 3, false));
    assert_true(ask_here(2, "get", (struct wants){ .level = READ_LOCAL }, 0, true));
    struct pending *p = world->replica.reads.first;
    struct pendings refused = { 0 };
    replica_forget(&world->replica, p);
    pendings_push(&refused, p);
    router_retry(world->node.router, &refused, STATUS_NOT_LEADER);
    assert_true(ask_here(3, "set", (struct wants){ 0 }, 3, false));
    assert_string_equal(world->peers.replies, "2:1 ");
    assert_int_equal(world->replica.write_count, 2);
}

#define PIN_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        PIN_TEST(test_the_pinned_node_answers_whoever_leads),
        PIN_TEST(test_where_it_is_this_one_it_is_read_here),
        PIN_TEST(test_other_levels_have_their_own_ways),
        PIN_TEST(test_only_voters_are_picked),
        PIN_TEST(test_refused_it_goes_the_usual_way_once),
        PIN_TEST(test_without_a_leader_it_is_read_here_at_last),
        PIN_TEST(test_the_track_knows_nothing_of_it_T2),
        PIN_TEST(test_a_lost_leader_takes_nothing_along_that_is_aside),
        PIN_TEST(test_when_that_node_is_lost_another_one_answers),
        PIN_TEST(test_a_slow_one_is_not_waited_for),
        PIN_TEST(test_a_time_out_ends_it),
        PIN_TEST(test_behind_what_has_no_answer_it_takes_the_same_way),
        PIN_TEST(test_it_says_what_its_session_must_be_shown),
        PIN_TEST(test_nobody_is_asked_more_than_he_takes),
        PIN_TEST(test_it_goes_as_its_clients_command),
        PIN_TEST(test_patience_is_for_what_was_sent_there),
        PIN_TEST(test_who_is_gone_is_sent_nowhere),
        PIN_TEST(test_an_older_node_is_not_asked),
        PIN_TEST(test_who_is_gone_gets_no_answer),
        PIN_TEST(test_here_it_is_served_when_that_can_be_at_once),
        PIN_TEST(test_here_it_has_no_part_in_epochs_T2),
        PIN_TEST(test_here_it_hides_no_epoch_T2),
        PIN_TEST(test_here_it_takes_no_epoch_along_T2),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
